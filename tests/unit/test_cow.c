/* Copy-on-write in the core: what is counted of whom, and which fork is charged. */
#include "bench.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>

#define PARENT 50
#define FIRST 100
#define SECOND 101
#define PAGE 4096
#define BIG 300 /* pages: more than 1 MiB */

static const struct viewer everyone = { .all = true };

static struct lt_cow_counts counts_of(uint64_t since_ms, uint64_t copies, uint64_t reuses)
{
	return (struct lt_cow_counts){ since_ms ? MS(since_ms) : 0, copies, reuses };
}

static void feed_cow(struct bench *bench, uint64_t ms, uint64_t pid, enum lt_kind kind,
		     struct lt_cow_counts counts)
{
	struct lt_cow e = { .hdr = { sizeof(e), (uint16_t)kind, 0, MS(ms) },
			    .id = id_of(pid),
			    .counts = counts };

	feed(bench, &e);
}

/* A look at the kernel's counts of PARENT, that began when it did. */
static void look(struct bench *bench, uint64_t ms, uint64_t copies)
{
	feed_cow(bench, ms, PARENT, LT_COWS, counts_of(PARENT, copies, 0));
}

static void feed_copying_fork(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t clone_flags,
			      uint64_t parents_copies)
{
	struct lt_fork e = { .hdr = { sizeof(e), LT_FORK, 0, MS(ms) },
			     .child = id_of(pid),
			     .parent = id_of(PARENT),
			     .creator = id_of(PARENT),
			     .creator_cow = counts_of(PARENT, parents_copies, 0),
			     .clone_flags = clone_flags,
			     .flags = LT_FORK_SIZES,
			     .rss_pages = 1000,
			     .pagetable_bytes = 2 * PAGE,
			     .ns_pid = (uint32_t)pid,
			     .comm = "child" };

	feed(bench, &e);
}

static void feed_ends(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t copies,
		      uint64_t parents_copies)
{
	struct lt_exit e = { .hdr = { sizeof(e), LT_EXIT, 0, MS(ms) },
			     .id = id_of(pid),
			     .parent = id_of(PARENT),
			     .cow = counts_of(copies ? pid : 0, copies, 0),
			     .parent_cow = counts_of(PARENT, parents_copies, 0),
			     .exit_signal = 17 };

	feed(bench, &e);
}

static void feed_execs(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t copies,
		       uint64_t parents_copies)
{
	struct lt_exec e = { .hdr = { sizeof(e), LT_EXEC, 0, MS(ms) },
			     .id = id_of(pid),
			     .parent = id_of(PARENT),
			     .cow = counts_of(copies ? pid : 0, copies, 0),
			     .parent_cow = counts_of(PARENT, parents_copies, 0),
			     .old_tid = (uint32_t)pid,
			     .comm = "execed" };

	feed(bench, &e);
}

static struct bench *bench_with_parent(void)
{
	struct bench *bench = bench_new();

	feed_hook(bench, 1, "cow", "tp_btf/page_fault_user");
	feed_fork(bench, 1, 1, NOBODY);
	feed_fork(bench, PARENT, PARENT, 1);
	return bench;
}

static json_t *forks(struct bench *bench, const struct filter *filter)
{
	return view_cow(bench->core, core_now_ns(bench->core), filter, &everyone);
}

/* The row of that child; NULL: it has none. Borrowed from *document. */
static const json_t *fork_of(struct bench *bench, uint64_t child, json_t **document)
{
	const struct filter filter = { .all = true };
	json_t *row;
	size_t i;

	*document = forks(bench, &filter);
	json_array_foreach(json_object_get(*document, "forks"), i, row)
		if ((uint64_t)json_integer_value(json_object_get(row, "pid")) == child)
			return row;
	return NULL;
}

static uint64_t number_in(const json_t *row, const char *object, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(json_object_get(row, object), name));
}

static void check_fork(struct bench *bench, uint64_t child, uint64_t by_parent, uint64_t by_child)
{
	json_t *document;
	const json_t *row = fork_of(bench, child, &document);

	cr_assert(row, "no row of %d", (int)child);
	cr_expect_eq(number_in(row, "parent_cow", "copies"), by_parent, "%d by the parent, not %d",
		     (int)number_in(row, "parent_cow", "copies"), (int)by_parent);
	cr_expect_eq(number_in(row, "cow", "copies"), by_child, "%d by the child, not %d",
		     (int)number_in(row, "cow", "copies"), (int)by_child);
	cr_expect_eq((uint64_t)json_integer_value(json_object_get(row, "copied_bytes")),
		     (by_parent + by_child) * PAGE);
	json_decref(document);
}

static void check_counts(struct bench *bench, uint64_t pid, uint64_t copies)
{
	json_t *row = row_of(bench, pid);

	cr_assert(row);
	cr_expect_eq(number_in(row, "cow", "copies"), copies, "%d copies, not %d",
		     (int)number_in(row, "cow", "copies"), (int)copies);
	json_decref(row);
}

Test(cow, the_newer_count_wins)
{
	struct bench *bench = bench_with_parent();

	check_counts(bench, PARENT, 0);
	look(bench, 200, 30);
	feed_cow(bench, 190, PARENT, LT_COW, counts_of(PARENT, 16, 0)); /* late, from the ring */
	check_counts(bench, PARENT, 30);
	feed_cow(bench, 210, PARENT, LT_COW, counts_of(PARENT, 64, 0));
	check_counts(bench, PARENT, 64);
	bench_free(bench);
}

Test(cow, a_lost_place_loses_no_count)
{
	struct bench *bench = bench_with_parent();

	look(bench, 200, 30);
	feed_cow(bench, 300, PARENT, LT_COWS, counts_of(250, 5, 0));
	check_counts(bench, PARENT, 35);
	feed_cow(bench, 310, PARENT, LT_COWS, counts_of(250, 7, 0));
	check_counts(bench, PARENT, 37);
	feed_cow(bench, 320, PARENT, LT_COWS, counts_of(PARENT, 31, 0)); /* of the place before */
	check_counts(bench, PARENT, 37);
	bench_free(bench);
}

Test(cow, the_latest_living_fork_is_charged)
{
	struct bench *bench = bench_with_parent();

	look(bench, 90, 10); /* before any fork: nobody's */
	feed_copying_fork(bench, 100, FIRST, 0, 10);
	look(bench, 110, 30);
	check_fork(bench, FIRST, 20, 0);
	feed_copying_fork(bench, 120, SECOND, 0, 40);
	look(bench, 130, 100);
	check_fork(bench, FIRST, 30, 0);
	check_fork(bench, SECOND, 60, 0);
	feed_ends(bench, 140, SECOND, 7, 110);
	look(bench, 150, 150);
	check_fork(bench, SECOND, 70, 7);
	check_fork(bench, FIRST, 70, 0);
	feed_ends(bench, 160, FIRST, 0, 150);
	look(bench, 170, 999);
	check_fork(bench, FIRST, 70, 0);
	bench_free(bench);
}

Test(cow, an_exec_ends_it)
{
	struct bench *bench = bench_with_parent();
	json_t *document;

	feed_copying_fork(bench, 100, FIRST, 0, 0);
	feed_execs(bench, 110, FIRST, BIG, 5);
	feed_cow(bench, 120, FIRST, LT_COWS, counts_of(FIRST, BIG + 900, 0));
	look(bench, 120, 50);
	check_fork(bench, FIRST, 5, BIG); /* what its new program copies is another matter */
	check_counts(bench, FIRST, BIG + 900);
	expect_text(text_at(fork_of(bench, FIRST, &document), "end"), "exec");
	json_decref(document);
	feed_copying_fork(bench, 130, SECOND, 0, 50);
	feed_execs(bench, 140, SECOND, 20, 50);
	cr_expect(!fork_of(bench, SECOND, &document), "20 pages are not worth a row");
	json_decref(document);
	bench_free(bench);
}

Test(cow, one_memory_is_no_copy)
{
	struct bench *bench = bench_with_parent();
	json_t *document;

	feed_copying_fork(bench, 100, FIRST, CLONE_VM, 0);
	cr_expect(!fork_of(bench, FIRST, &document));
	json_decref(document);
	bench_free(bench);
}

Test(cow, a_dead_parent_is_charged_no_more)
{
	struct bench *bench = bench_with_parent();

	feed_copying_fork(bench, 100, FIRST, 0, 0);
	feed_exit(bench, 110, PARENT, 1, 0, 1, 0);
	feed_cow(bench, 120, FIRST, LT_COWS, counts_of(FIRST, 9, 0));
	check_fork(bench, FIRST, 0, 9);
	feed_free(bench, 130, PARENT);
	check_fork(bench, FIRST, 0, 9);
	feed_ends(bench, 140, FIRST, 12, 0);
	check_fork(bench, FIRST, 0, 12);
	bench_free(bench);
}

/* A forgotten parent leaves nothing behind that is still looked at. */
Test(cow, a_parent_that_was_never_seen_to_end)
{
	struct bench *bench = bench_with_parent();

	feed_copying_fork(bench, 100, FIRST, 0, 0);
	feed_free(bench, 110, PARENT);
	feed_memory_max(bench, 120, 1);
	feed_fork(bench, 130, 130, 1); /* makes room */
	feed_ends(bench, 140, FIRST, 3, 0);
	check_fork(bench, FIRST, 0, 3);
	bench_free(bench);
}

Test(cow, counts_saturate)
{
	struct bench *bench = bench_with_parent();
	json_t *document;
	const json_t *row;

	feed_copying_fork(bench, 100, FIRST, 0, 0);
	feed_cow(bench, 110, PARENT, LT_COWS, counts_of(PARENT, UINT64_MAX, UINT64_MAX));
	feed_cow(bench, 120, PARENT, LT_COWS, counts_of(115, UINT64_MAX, 1));
	feed_cow(bench, 120, FIRST, LT_COWS, counts_of(FIRST, UINT64_MAX, 0));
	row = fork_of(bench, FIRST, &document);
	cr_expect_eq(number_in(row, "parent_cow", "copies"), INT64_MAX);
	cr_expect_eq(number_in(row, "parent_cow", "reuses"), INT64_MAX);
	cr_expect_eq(number_in(row, "parent_cow", "bytes"), INT64_MAX);
	cr_expect_eq(json_integer_value(json_object_get(row, "copied_pages")), INT64_MAX);
	cr_expect_eq(json_integer_value(json_object_get(row, "copied_bytes")), INT64_MAX);
	json_decref(document);
	bench_free(bench);
}

Test(cow, null_where_it_is_not_observed)
{
	struct bench *bench = bench_with_parent();
	json_t *row;

	feed_hook(bench, 1, "cow", "off: cow = off");
	row = row_of(bench, PARENT);
	cr_expect(json_is_null(json_object_get(row, "cow")));
	json_decref(row);
	bench_free(bench);
}

/* ---- rows ---- */

static uint64_t first_by(struct bench *bench, const char *key)
{
	struct filter filter = { .all = true };
	json_t *document;
	uint64_t pid;

	cr_assert_eq(filter_set(&filter, VIEW_COW, "sort", key), 0);
	document = forks(bench, &filter);
	pid = (uint64_t)json_integer_value(
		json_object_get(json_array_get(json_object_get(document, "forks"), 0), "pid"));
	json_decref(document);
	return pid;
}

Test(cow, sorts)
{
	struct bench *bench = bench_with_parent();
	struct filter filter = { 0 };

	feed_copying_fork(bench, 100, FIRST, 0, 0);
	look(bench, 110, 30);
	feed_copying_fork(bench, 120, SECOND, 0, 30);
	feed_cow(bench, 200, SECOND, LT_COWS, counts_of(SECOND, 25, 3));
	cr_expect_eq(first_by(bench, "copied"), FIRST);
	cr_expect_eq(first_by(bench, "parent"), FIRST);
	cr_expect_eq(first_by(bench, "child"), SECOND);
	cr_expect_eq(first_by(bench, "reuses"), SECOND);
	cr_expect_eq(first_by(bench, "share"), FIRST);
	cr_expect_eq(first_by(bench, "rate"), SECOND);
	cr_expect_eq(first_by(bench, "begin"), SECOND);
	cr_expect_eq(filter_set(&filter, VIEW_COW, "sort", "colour"), -EINVAL);
	cr_expect_eq(filter_set(&filter, VIEW_PROCESSES, "sort", "rate"), -EINVAL);
	bench_free(bench);
}

static size_t rows_with(struct bench *bench, const struct filter *filter)
{
	json_t *document = forks(bench, filter);
	size_t count = json_array_size(json_object_get(document, "forks"));

	json_decref(document);
	return count;
}

Test(cow, small_ones_that_are_over_are_for_all)
{
	struct bench *bench = bench_with_parent();
	const struct filter any = { 0 }, all = { .all = true };
	const struct filter parents = { .has_pid = true, .pid = PARENT };
	const struct filter nobodys = { .has_pid = true, .pid = 77 };

	feed_copying_fork(bench, 100, FIRST, 0, 0);
	cr_expect_eq(rows_with(bench, &any), 1);
	feed_ends(bench, 110, FIRST, 3, 0);
	cr_expect_eq(rows_with(bench, &any), 0);
	cr_expect_eq(rows_with(bench, &all), 1);
	cr_expect_eq(rows_with(bench, &parents), 1);
	cr_expect_eq(rows_with(bench, &nobodys), 0);
	feed_copying_fork(bench, 120, SECOND, 0, 0);
	feed_ends(bench, 130, SECOND, BIG, 0);
	cr_expect_eq(rows_with(bench, &any), 1);
	bench_free(bench);
}

/* ---- handing on ---- */

static void take_over(void *user, const struct lt_hdr *record)
{
	feed(user, record);
}

static char *shown(struct bench *bench)
{
	const struct filter filter = { .all = true };
	json_t *document = forks(bench, &filter);
	size_t len;
	char *text = view_text(document, &len);

	json_decref(document);
	return text;
}

static void check_same(struct bench *a, struct bench *b)
{
	char *x = shown(a), *y = shown(b);

	expect_text(x, y);
	free(x);
	free(y);
}

Test(cow, another_table_goes_on_from_there)
{
	struct bench *bench = bench_with_parent(), *other = bench_new();

	feed_copying_fork(bench, 100, FIRST, 0, 10);
	look(bench, 110, 30);
	feed_cow(bench, 115, PARENT, LT_COWS, counts_of(112, 5, 0));
	feed_copying_fork(bench, 120, SECOND, 0, 5);
	feed_copying_fork(bench, 121, 102, 0, 5);
	feed_cow(bench, 130, SECOND, LT_COWS, counts_of(SECOND, BIG, 4));
	feed_ends(bench, 140, 102, BIG, 5);
	core_dump(bench->core, take_over, other);
	check_same(bench, other);
	feed_cow(bench, 150, PARENT, LT_COWS, counts_of(112, 50, 0));
	feed_cow(other, 150, PARENT, LT_COWS, counts_of(112, 50, 0));
	feed_ends(bench, 160, SECOND, BIG, 60);
	feed_ends(other, 160, SECOND, BIG, 60);
	check_same(bench, other);
	bench_free(bench);
	bench_free(other);
}

Test(cow, tail_tells_of_each_fault_who_asked)
{
	struct bench *bench = bench_with_parent();
	struct lt_cow_fault e = { .hdr = { sizeof(e), LT_COW_FAULT, 0, MS(200) },
				  .id = id_of(PARENT),
				  .address = 0x7f0000001000,
				  .begin_ns = MS(199),
				  .tid = PARENT,
				  .result = LT_COW_COPY };
	struct filter filter = { 0 };
	struct change change = { .kind = CHANGE_COW_FAULT };

	feed(bench, &e);
	expect_text(text_at(bench->last_line, "kind"), "cow-fault");
	expect_text(text_at(bench->last_line, "result"), "copy");
	expect_text(text_at(bench->last_line, "address"), "0x7f0000001000");
	cr_expect(json_is_null(json_object_get(bench->last_line, "duration_ns")));
	cr_expect(!filter_change(&filter, &change), "nobody asked");
	cr_expect_eq(filter_set(&filter, VIEW_EVENTS, "raw-cow", "0"), -EINVAL);
	cr_expect_eq(filter_set(&filter, VIEW_EVENTS, "raw-cow", "50"), 0);
	bench_free(bench);
}
