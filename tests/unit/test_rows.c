/*
 * Rows sorted and cut: what is asked for, page by page, is what one answer with
 * all of them holds; and who bears children is counted by the second.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CROWD 500

static const struct viewer everyone = { .all = true };

static struct filter filter_by(enum view_kind view, const char *const words[][2])
{
	struct filter filter = { 0 };

	for (; (*words)[0]; words++)
		cr_assert_eq(filter_set(&filter, view, (*words)[0], (*words)[1]), 0, "%s=%s",
			     (*words)[0], (*words)[1]);
	return filter;
}

#define FILTER(view, ...) filter_by(view, (const char *const[][2]){ __VA_ARGS__, { 0 } })

static json_t *ask(const struct bench *bench, struct filter filter)
{
	uint64_t now_ns = core_now_ns(bench->core);

	switch ((enum view_kind)filter.view) {
	case VIEW_ZOMBIES:
		return view_zombies(bench->core, now_ns, &filter, &everyone);
	case VIEW_BIRTHS:
		return view_births(bench->core, now_ns, &filter, &everyone);
	case VIEW_COW:
		return view_cow(bench->core, now_ns, &filter, &everyone);
	case VIEW_LEAKS:
		return view_leaks(bench->core, now_ns, &filter, &everyone);
	default:
		return view_processes(bench->core, now_ns, &filter, &everyone);
	}
}

static const json_t *rows_in(const json_t *document)
{
	const char *const names[] = { "zombies", "births", "processes", "forks", "leaks" };
	const json_t *rows = NULL;

	for (size_t i = 0; !rows && i < 5; i++)
		rows = json_object_get(document, names[i]);
	return rows;
}

static json_int_t int_of(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	cr_assert(json_is_integer(value), "no %s", name);
	return json_integer_value(value);
}

/* Children of 7, in an order of pids that is none of births, with names that repeat. */
static struct bench *crowded(void)
{
	struct bench *bench = bench_new();
	char name[16];

	feed_fork(bench, 7, 7, NOBODY);
	for (uint64_t i = 0; i < CROWD; i++) {
		uint64_t pid = 1000 + i * 7919 % CROWD;

		snprintf(name, sizeof(name), "name%03u", (unsigned)(pid % 37));
		feed_fork(bench, 2000 + i, pid, 7);
		feed_exec(bench, 2000 + i, pid, "/bin/x", name);
	}
	feed_tick(bench, 10000);
	return bench;
}

/* The pids as they come when all are asked for, and in pages of `limit`. */
static void check_pages(const struct bench *bench, struct filter filter, uint64_t limit)
{
	json_t *all = ask(bench, filter), *page;
	size_t count = json_array_size(rows_in(all)), at = 0, i;
	const json_t *row;

	while (at < count) {
		filter.limit = limit;
		filter.offset = at;
		page = ask(bench, filter);
		cr_assert_eq((size_t)int_of(page, "total"), count);
		json_array_foreach(rows_in(page), i, row) {
			size_t where = (size_t)int_of(page, "offset") + i;

			cr_assert(json_equal(json_object_get(row, "id"),
					     json_object_get(json_array_get(rows_in(all), where),
							     "id")),
				  "row %zu differs in pages of %zu", where, (size_t)limit);
		}
		at += json_array_size(rows_in(page));
		json_decref(page);
	}
	json_decref(all);
}

/* Reads it to its end, so many bytes at a time; to be freed. */
static char *read_pages(struct view_pages *pages, size_t at_a_time)
{
	size_t used = 0, room = 1 << 22;
	char *text = malloc(room);
	int64_t len;

	cr_assert(pages && text);
	while ((len = view_pages_read(pages, text + used, at_a_time)) > 0) {
		used += (size_t)len;
		cr_assert_lt(used + at_a_time, room);
	}
	cr_assert_eq(len, 0);
	text[used] = '\0';
	view_pages_free(pages);
	return text;
}

static void check_pieces(const struct bench *bench, enum view_kind view, struct filter filter)
{
	json_t *all;
	size_t len;
	char *whole, *text;

	filter.view = view;
	all = ask(bench, filter);
	whole = view_text(all, &len);
	for (size_t size = 1; size < 1 << 20; size = size * 9 + 5) {
		text = read_pages(view_pages_new(view, bench->core, core_now_ns(bench->core),
						 &filter, &everyone),
				  size);
		cr_assert_str_eq(text, whole, "in pieces of %zu bytes", size);
		free(text);
	}
	free(whole);
	json_decref(all);
}

Test(rows, a_document_in_pieces_is_the_same)
{
	struct bench *bench = crowded();

	check_pieces(bench, VIEW_PROCESSES, (struct filter){ 0 });
	check_pieces(bench, VIEW_PROCESSES,
		     FILTER(VIEW_PROCESSES, { "sort", "comm" }, { "limit", "77" }));
	check_pieces(bench, VIEW_PROCESSES, FILTER(VIEW_PROCESSES, { "tree", NULL }));
	check_pieces(bench, VIEW_PROCESSES, FILTER(VIEW_PROCESSES, { "columns", "pid,comm" }));
	check_pieces(bench, VIEW_PROCESSES, FILTER(VIEW_PROCESSES, { "comm", "nobody" }));
	check_pieces(bench, VIEW_BIRTHS, (struct filter){ 0 });
	check_pieces(bench, VIEW_ZOMBIES, (struct filter){ 0 });
	bench_free(bench);
}

static void feed_copying_fork(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t parent)
{
	struct lt_fork e = { .hdr = { sizeof(e), LT_FORK, 0, MS(ms) },
			     .child = id_of(pid),
			     .parent = id_of(parent),
			     .creator = id_of(parent),
			     .exit_signal = 17,
			     .flags = LT_FORK_SIZES,
			     .rss_pages = 1000,
			     .comm = "forked" };

	feed(bench, &e);
}

/* Children of 7 that run its program; each holds three zombies, which is a leak. */
static struct bench *leaking(void)
{
	struct bench *bench = bench_new();

	feed_hook(bench, 1, "cow", "tp_btf/page_fault_user");
	feed_policy(bench, 1, 1000, 3, 100000000, 5000, "");
	feed_fork(bench, 7, 7, NOBODY);
	for (uint64_t parent = 1000; parent < 1000 + CROWD; parent++) {
		feed_copying_fork(bench, 2000, parent, 7);
		for (uint64_t pid = parent * 10; pid < parent * 10 + 3; pid++) {
			feed_fork(bench, 2001, pid, parent);
			feed_exit(bench, 2002, pid, parent, 0, 0, 0);
			feed_notify(bench, 2002, pid, parent, 0, 0);
		}
	}
	feed_tick(bench, 10000);
	return bench;
}

Test(rows, forks_and_leaks_in_pieces_are_the_same)
{
	struct bench *bench = leaking();
	json_t *forks = ask(bench, FILTER(VIEW_COW, { "older", "1s" }));
	json_t *leaks = ask(bench, FILTER(VIEW_LEAKS, { "min", "3" }));

	cr_assert_eq(json_array_size(rows_in(forks)), CROWD);
	cr_assert_eq(json_array_size(rows_in(leaks)), CROWD);
	check_pieces(bench, VIEW_COW, (struct filter){ 0 });
	check_pieces(bench, VIEW_COW, FILTER(VIEW_COW, { "all", NULL }, { "sort", "child" }));
	check_pieces(bench, VIEW_COW, FILTER(VIEW_COW, { "limit", "77" }, { "columns", "copied" }));
	check_pieces(bench, VIEW_COW, FILTER(VIEW_COW, { "comm", "nobody" }));
	check_pieces(bench, VIEW_LEAKS, (struct filter){ 0 });
	check_pieces(bench, VIEW_LEAKS, FILTER(VIEW_LEAKS, { "limit", "77" }));
	json_decref(forks);
	json_decref(leaks);
	bench_free(bench);
}

static size_t count_pages(struct view_pages *pages)
{
	char *text = read_pages(pages, 999);
	json_t *document = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	size_t count = json_array_size(rows_in(document));

	cr_assert(document, "%s", text);
	json_decref(document);
	free(text);
	return count;
}

/* Between two pieces the table goes on. */
Test(rows, who_is_forgotten_meanwhile_is_left_out)
{
	struct bench *bench = crowded();
	struct filter all = FILTER(VIEW_PROCESSES, { "all", NULL });
	struct view_pages *pages = view_pages_new(VIEW_PROCESSES, bench->core,
						  core_now_ns(bench->core), &all, &everyone);

	for (uint64_t pid = 1000; pid < 1000 + CROWD; pid += 2) {
		feed_exit(bench, 11000, pid, 7, 0, 0, 0);
		feed_notify(bench, 11000, pid, 7, 0, 0);
		feed_free(bench, 11001, pid);
	}
	feed_tick(bench, 200000);
	cr_assert_eq(count_pages(pages), 1 + CROWD / 2);
	bench_free(bench);
}

/* Nobody is a zombie, or runs, that was reaped before its row was made. */
Test(rows, who_is_reaped_meanwhile_is_left_out)
{
	struct bench *bench = crowded();
	struct filter filter = { 0 };
	uint64_t now_ns = MS(11000);
	struct view_pages *processes, *zombies, *with_lately;

	for (uint64_t pid = 1000; pid < 1000 + CROWD; pid++) {
		feed_exit(bench, 11000, pid, 7, 0, 0, 0);
		feed_notify(bench, 11000, pid, 7, 0, 0);
	}
	processes = view_pages_new(VIEW_PROCESSES, bench->core, now_ns, &filter, &everyone);
	zombies = view_pages_new(VIEW_ZOMBIES, bench->core, now_ns, &filter, &everyone);
	filter.lately_ns = NSEC_PER_SEC;
	with_lately = view_pages_new(VIEW_ZOMBIES, bench->core, now_ns, &filter, &everyone);
	for (uint64_t pid = 1000; pid < 1000 + CROWD; pid += 2)
		feed_free(bench, 11001, pid);
	cr_expect_eq(count_pages(processes), 1 + CROWD / 2);
	cr_expect_eq(count_pages(zombies), CROWD / 2);
	cr_expect_eq(count_pages(with_lately), CROWD);
	bench_free(bench);
}

/* What was asked for when every other parent execs or ends between the question and the answer. */
static void check_meanwhile(enum view_kind view,
			    void (*meanwhile)(struct bench *bench, uint64_t pid))
{
	struct bench *bench = leaking();
	struct filter filter = { .view = view };
	struct view_pages *pages =
		view_pages_new(view, bench->core, core_now_ns(bench->core), &filter, &everyone);

	for (uint64_t pid = 1000; pid < 1000 + CROWD; pid += 2)
		meanwhile(bench, pid);
	cr_assert_eq(count_pages(pages), CROWD / 2);
	bench_free(bench);
}

static void exec_it(struct bench *bench, uint64_t pid)
{
	feed_exec(bench, 11000, pid, "/bin/x", "x");
}

static void end_it(struct bench *bench, uint64_t pid)
{
	feed_exit(bench, 11000, pid, 7, 0, 0, 0);
}

Test(rows, forks_that_are_over_meanwhile_are_left_out)
{
	check_meanwhile(VIEW_COW, exec_it);
}

Test(rows, leaks_that_are_over_meanwhile_are_left_out)
{
	check_meanwhile(VIEW_LEAKS, end_it);
}

Test(rows, pages_are_the_whole)
{
	static const char *const columns[] = { "pid", "age", "command", "state", "ppid", "comm" };
	struct bench *bench = crowded();

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		for (uint64_t limit = 1; limit < CROWD * 2; limit = limit * 5 + 2) {
			check_pages(bench, FILTER(VIEW_PROCESSES, { "sort", columns[i] }), limit);
			check_pages(bench,
				    FILTER(VIEW_PROCESSES, { "sort", columns[i] },
					   { "reverse", "1" }),
				    limit);
		}
	bench_free(bench);
}

Test(rows, are_in_order)
{
	struct bench *bench = crowded();
	json_t *up = ask(bench, FILTER(VIEW_PROCESSES, { "sort", "pid" }));
	json_t *down = ask(bench, FILTER(VIEW_PROCESSES, { "sort", "pid" }, { "reverse", "1" }));
	size_t count = json_array_size(rows_in(up));

	cr_assert_eq(count, CROWD + 1);
	for (size_t i = 1; i < count; i++) {
		const json_t *a = json_array_get(rows_in(up), i - 1);
		const json_t *b = json_array_get(rows_in(up), i);

		cr_assert_lt(int_of(a, "pid"), int_of(b, "pid"));
		cr_assert_eq(int_of(b, "pid"),
			     int_of(json_array_get(rows_in(down), count - 1 - i), "pid"));
	}
	json_decref(up);
	json_decref(down);
	bench_free(bench);
}

/* Wherever it stands by now: it is on the page, and its rank says where. */
Test(rows, the_selected_is_on_the_page)
{
	struct bench *bench = crowded();
	char id[64];

	for (uint64_t pid = 1000; pid < 1000 + CROWD; pid += 13) {
		json_t *document;

		snprintf(id, sizeof(id), "%llu-%llu", (unsigned long long)pid,
			 (unsigned long long)MS(pid));
		document =
			ask(bench, FILTER(VIEW_PROCESSES, { "sort", "command" }, { "limit", "20" },
					  { "offset", "100" }, { "select", id }));
		cr_assert_eq(json_array_size(rows_in(document)), 20);
		expect_text(text_at(json_array_get(rows_in(document),
						   (size_t)(int_of(document, "rank") -
							    int_of(document, "offset"))),
				    "id"),
			    id);
		json_decref(document);
	}
	bench_free(bench);
}

Test(rows, a_page_past_the_end_is_the_last)
{
	struct bench *bench = crowded();
	json_t *document = ask(bench, FILTER(VIEW_PROCESSES, { "limit", "10" },
					     { "offset", "9999" }, { "select", "4000000-1" }));

	cr_expect_eq(json_array_size(rows_in(document)), 10);
	cr_expect_eq(int_of(document, "offset"), CROWD + 1 - 10);
	cr_expect(json_is_null(json_object_get(document, "rank")));
	json_decref(document);
	bench_free(bench);
}

Test(rows, text_is_looked_for_in_names_and_arguments)
{
	struct bench *bench = crowded();
	json_t *document = ask(bench, FILTER(VIEW_PROCESSES, { "text", "NAME005" }));
	struct filter filter = FILTER(VIEW_PROCESSES, { "text", "name005" });
	struct viewer other = { .uid = 4711 };
	size_t i;
	const json_t *row;

	cr_expect_gt(json_array_size(rows_in(document)), CROWD / 37 - 1);
	json_array_foreach(rows_in(document), i, row)
		cr_expect_eq(int_of(row, "pid") % 37, 5);
	json_decref(document);
	/* and what somebody may not see cannot be found out either */
	document = view_processes(bench->core, core_now_ns(bench->core), &filter, &other);
	cr_expect_eq(json_array_size(rows_in(document)), 0);
	json_decref(document);
	bench_free(bench);
}

Test(rows, columns_narrow_a_row)
{
	struct bench *bench = crowded();
	json_t *document =
		ask(bench, FILTER(VIEW_PROCESSES, { "columns", "ppid,age" }, { "limit", "1" }));
	const json_t *row = json_array_get(rows_in(document), 0);

	cr_expect_eq(json_object_size(row), 7, "%zu", json_object_size(row));
	cr_expect(json_object_get(row, "ppid") && json_object_get(row, "start_ns") &&
		  json_object_get(row, "id"));
	json_decref(document);
	bench_free(bench);
}

Test(rows, malformed_parameters_are_refused)
{
	static const char *const bad[][2] = {
		{ "sort", "" },	      { "sort", "zombie-for" }, { "columns", "pid,nothing" },
		{ "limit", "0" },     { "limit", "-1" },	{ "offset", "x" },
		{ "select", "12" },   { "select", "0-5" },	{ "younger", "0" },
		{ "reverse", "yes" }, { "columns", "" },	{ "text", "" },
	};
	struct filter filter = { 0 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(filter_set(&filter, VIEW_PROCESSES, bad[i][0], bad[i][1]), -EINVAL,
			     "%s=%s", bad[i][0], bad[i][1]);
}

Test(rows, those_that_ended_lately_stay_for_a_while)
{
	struct bench *bench = bench_new();
	struct filter filter = FILTER(VIEW_ZOMBIES, { "lately", "2s" });
	json_t *document;

	feed_fork(bench, 7, 7, NOBODY);
	feed_fork(bench, 100, 100, 7);
	feed_exit(bench, 200, 100, 7, 0, 0, 0);
	feed_notify(bench, 200, 100, 7, 0, 0);
	feed_release(bench, 5000, 100, 7);
	feed_tick(bench, 6000);
	document = ask(bench, filter);
	cr_assert_eq(json_array_size(rows_in(document)), 1);
	expect_text(text_at(json_array_get(rows_in(document), 0), "state"), "reaped");
	json_decref(document);
	feed_tick(bench, 8000);
	document = ask(bench, filter);
	cr_expect_eq(json_array_size(rows_in(document)), 0);
	json_decref(document);
	bench_free(bench);
}

Test(rows, a_tree_has_parents_before_children)
{
	struct bench *bench = bench_new();
	static const int expected[][3] = { /* pid, depth, more_below */
					   { 7, 0, 0 },	 { 20, 1, 2 }, { 22, 2, 6 },
					   { 23, 2, 2 }, { 21, 1, 0 }, { 24, 2, 0 }
	};
	json_t *document;

	feed_fork(bench, 7, 7, NOBODY);
	feed_fork(bench, 20, 20, 7);
	feed_fork(bench, 21, 21, 7);
	feed_fork(bench, 22, 22, 20);
	feed_fork(bench, 23, 23, 20);
	feed_fork(bench, 24, 24, 21);
	document = ask(bench, FILTER(VIEW_PROCESSES, { "tree", "1" }));
	cr_assert_eq(json_array_size(rows_in(document)), 6);
	for (size_t i = 0; i < 6; i++) {
		const json_t *row = json_array_get(rows_in(document), i);

		cr_expect_eq(int_of(row, "pid"), expected[i][0]);
		cr_expect_eq(int_of(row, "depth"), expected[i][1]);
		cr_expect_eq(int_of(row, "more_below"), expected[i][2], "%d: %d", expected[i][0],
			     (int)int_of(row, "more_below"));
	}
	json_decref(document);
	bench_free(bench);
}

static void expect_births(const struct bench *bench, int in_second, int in_all)
{
	json_t *document = ask(bench, FILTER(VIEW_BIRTHS, { "limit", "1" }));
	const json_t *row = json_array_get(rows_in(document), 0);

	cr_expect_eq(int_of(row, "pid"), 7);
	cr_expect_eq(int_of(row, "births_per_s"), in_second, "%d in the second",
		     (int)int_of(row, "births_per_s"));
	cr_expect_eq(int_of(row, "births"), in_all);
	json_decref(document);
}

/* Also of those that nobody would meet by looking: they are gone by then. */
Test(rows, births_are_counted_by_the_second)
{
	struct bench *bench = bench_new();

	feed_fork(bench, 7, 7, NOBODY);
	for (uint64_t i = 0; i < 30; i++) {
		feed_fork(bench, 1000 + i, 100 + i, 7);
		feed_exit(bench, 1000 + i, 100 + i, 7, 0, 0, 0);
		feed_release(bench, 1000 + i, 100 + i, 7);
	}
	feed_tick(bench, 1999);
	expect_births(bench, 0, 30);
	feed_fork(bench, 2000, 200, 7);
	expect_births(bench, 30, 31);
	feed_tick(bench, 3000);
	expect_births(bench, 1, 31);
	feed_tick(bench, 4000);
	expect_births(bench, 0, 31);
	bench_free(bench);
}

Test(rows, states_sum_up_to_the_processes)
{
	struct bench *bench = crowded();
	json_t *status = view_status(bench->core, core_now_ns(bench->core));
	json_int_t sum = 0;
	const char *name;
	json_t *count;

	json_object_foreach(json_object_get(status, "states"), name, count)
		sum += json_integer_value(count);
	cr_expect_eq(sum, int_of(status, "processes"));
	cr_expect_eq(sum, CROWD + 1);
	json_decref(status);
	bench_free(bench);
}
