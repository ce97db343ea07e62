// SPDX-License-Identifier: GPL-2.0-only
/* What is told of a leak: how fast it grows, how many pids are left, and who asks for what. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define PARENT 50
#define INIT 1

static const struct viewer everyone = { .all = true };

static void zombie_of(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t parent)
{
	feed_fork(bench, ms, pid, parent);
	feed_exit(bench, ms, pid, parent, 0, NOBODY, 0);
	feed_notify(bench, ms, pid, parent, 0, 0);
}

/* Zombies are flagged after a second; three make a leak. */
static struct bench *with_parent(void)
{
	struct bench *bench = bench_new();

	feed_policy(bench, 1, 1000, 3, 100000000, 5000, "");
	feed_fork(bench, 1, INIT, NOBODY);
	feed_fork(bench, 50, PARENT, INIT);
	return bench;
}

static json_t *leaks(struct bench *bench, const struct filter *filter)
{
	json_t *document = view_leaks(bench->core, core_now_ns(bench->core), filter, &everyone);
	json_t *rows = json_incref(json_object_get(document, "leaks"));

	json_decref(document);
	return rows;
}

/* The row of a parent, or NULL; a new reference. */
static json_t *leak_of(struct bench *bench, uint64_t pid)
{
	static const struct filter all = { 0 };
	json_t *rows = leaks(bench, &all), *row, *found = NULL;
	size_t i;

	json_array_foreach(rows, i, row)
		if ((uint64_t)json_integer_value(json_object_get(row, "pid")) == pid)
			found = json_incref(row);
	json_decref(rows);
	return found;
}

static json_int_t number_at(json_t *row, const char *name)
{
	return json_integer_value(json_object_get(row, name));
}

static double rate_of(struct bench *bench)
{
	json_t *row = leak_of(bench, PARENT);
	double rate = json_real_value(json_object_get(row, "rate_per_minute"));

	cr_assert(row, "no leak");
	json_decref(row);
	return rate;
}

#define expect_rate(bench, expected, slack) \
	cr_assert_float_eq(rate_of(bench), (expected), (slack), "%f a minute", rate_of(bench))

/* ---- rate ---- */

/* One every two seconds: thirty a minute, however long it has been so. */
Test(rate, of_a_steady_leak)
{
	struct bench *bench = with_parent();
	uint64_t ms = 10000;

	for (uint64_t i = 0; i < 1000; i++, ms += 2000) {
		zombie_of(bench, ms, 100 + i, PARENT);
		if (i > 10)
			expect_rate(bench, 30, i < 30 ? 3 : 1.1);
	}
	bench_free(bench);
}

/* One that came at once and is over: less and less, and then none. */
Test(rate, of_a_burst_fades)
{
	struct bench *bench = with_parent();

	for (uint64_t i = 0; i < 60; i++)
		zombie_of(bench, 100000, 100 + i, PARENT);
	feed_tick(bench, 105000);
	expect_rate(bench, 360, 0.1); /* no rate is said of less than ten seconds */
	feed_tick(bench, 160000);
	expect_rate(bench, 60, 0.1);
	feed_tick(bench, 280000);
	expect_rate(bench, 20, 0.1);
	feed_tick(bench, 500000);
	expect_rate(bench, 0, 0.01);
	bench_free(bench);
}

/* As many reaped as die: it holds many, and leaks none. */
Test(rate, is_net)
{
	struct bench *bench = with_parent();
	uint64_t ms = 100000;

	for (uint64_t i = 0; i < 500; i++, ms += 2000) {
		zombie_of(bench, ms, 100 + i, PARENT);
		if (i >= 100)
			feed_free(bench, ms + 1, i);
	}
	expect_rate(bench, 0, 0.5);
	for (uint64_t i = 500; i < 590; i++, ms += 1000)
		feed_free(bench, ms, i);
	cr_assert_lt(rate_of(bench), -10, "%f a minute while it reaps", rate_of(bench));
	bench_free(bench);
}

/* Those that were there before its first was flagged count, too. */
Test(rate, counts_what_was_before)
{
	struct bench *bench = bench_new();

	feed_policy(bench, 1, 60000, 3, 100000000, 5000, "");
	feed_fork(bench, 50, PARENT, INIT);
	for (uint64_t i = 0; i < 60; i++)
		zombie_of(bench, 100000 + i * 1000, 100 + i, PARENT);
	feed_tick(bench, 163000);
	expect_rate(bench, 57, 1); /* 60 in 63 s */
	bench_free(bench);
}

/* ---- limits ---- */

static void feed_limits(struct bench *bench, uint64_t ms, uint64_t pid,
			const struct lt_limit limit[LT_LIMIT_COUNT], const char *path)
{
	union {
		struct lt_limits e;
		char bytes[1024];
	} u = { .e = { .hdr = { .kind = LT_LIMITS, .time_ns = MS(ms) }, .id = id_of(pid) } };

	memcpy(u.e.limit, limit, sizeof(u.e.limit));
	u.e.path_len = (uint32_t)strlen(path);
	memcpy(u.bytes + sizeof(u.e), path, u.e.path_len);
	u.e.hdr.size = (uint32_t)(sizeof(u.e) + u.e.path_len + 7U) & ~7U;
	feed(bench, &u.e);
}

static struct bench *leaking(void)
{
	struct bench *bench = with_parent();

	for (uint64_t i = 0; i < 10; i++)
		zombie_of(bench, 100000 + i * 1000, 100 + i, PARENT);
	feed_tick(bench, 120000);
	return bench;
}

static void expect_limit(struct bench *bench, const char *limit, json_int_t left)
{
	json_t *row = leak_of(bench, PARENT);

	expect_text(json_string_value(json_object_get(row, "limit")), limit);
	if (left < 0)
		cr_assert(json_is_null(json_object_get(row, "pids_left")));
	else
		cr_assert_eq(number_at(row, "pids_left"), left, "%" JSON_INTEGER_FORMAT " left",
			     number_at(row, "pids_left"));
	json_decref(row);
}

Test(limits, the_nearest_counts)
{
	struct bench *bench = leaking();
	struct lt_limit limit[LT_LIMIT_COUNT] = {
		{ 32468, 468 }, { 60000, 468 }, { LT_NO_LIMIT, 0 }, { LT_NO_LIMIT, 0 }
	};

	expect_limit(bench, "null", -1);
	feed_limits(bench, 120001, PARENT, limit, "");
	expect_limit(bench, "kernel.pid_max", 32000);
	limit[LT_LIMIT_THREADS_MAX].max = 1000;
	feed_limits(bench, 120002, PARENT, limit, "");
	expect_limit(bench, "kernel.threads-max", 532);
	limit[LT_LIMIT_CGROUP] = (struct lt_limit){ 100, 60 };
	feed_limits(bench, 120003, PARENT, limit, "/a.slice/b\\x2dc.service");
	expect_limit(bench, "pids.max of /a.slice/b\\x2dc.service", 40);
	limit[LT_LIMIT_NPROC] = (struct lt_limit){ 70, 60 };
	feed_limits(bench, 120004, PARENT, limit, "/a.slice/b\\x2dc.service");
	expect_limit(bench, "RLIMIT_NPROC of uid 0", 10);
	limit[LT_LIMIT_CGROUP].used = 200; /* a limit that was lowered below what there is */
	feed_limits(bench, 120005, PARENT, limit, "/a");
	expect_limit(bench, "pids.max of /a", 0);
	bench_free(bench);
}

Test(limits, none_that_could_be_read)
{
	const struct lt_limit limit[LT_LIMIT_COUNT] = {
		{ LT_NO_LIMIT, 0 }, { LT_NO_LIMIT, 9 }, { LT_NO_LIMIT, 0 }, { LT_NO_LIMIT, 1 }
	};
	struct bench *bench = leaking();

	feed_limits(bench, 120001, PARENT, limit, "");
	expect_limit(bench, "null", -1);
	bench_free(bench);
}

/* Ten in twenty seconds, a hundred left: two hundred seconds. Of no growth, never. */
Test(limits, when_they_run_out)
{
	const struct lt_limit limit[LT_LIMIT_COUNT] = {
		{ 300, 200 }, { LT_NO_LIMIT, 0 }, { LT_NO_LIMIT, 0 }, { LT_NO_LIMIT, 0 }
	};
	struct bench *bench = leaking();
	json_t *row;

	feed_limits(bench, 120000, PARENT, limit, "");
	row = leak_of(bench, PARENT);
	cr_assert_eq(number_at(row, "exhausted_in_s"), 200);
	json_decref(row);
	feed_tick(bench, 1000000);
	row = leak_of(bench, PARENT);
	cr_assert(json_is_null(json_object_get(row, "exhausted_in_s")));
	json_decref(row);
	bench_free(bench);
}

/* Of a process that does not leak, or is unknown: nothing to keep. */
Test(limits, of_others_are_dropped)
{
	const struct lt_limit limit[LT_LIMIT_COUNT] = { { 300, 200 } };
	struct bench *bench = leaking();
	size_t bytes = core_totals(bench->core).memory_bytes;

	feed_limits(bench, 120000, INIT, limit, "/x");
	feed_limits(bench, 120000, 4711, limit, "/x");
	cr_assert_eq(core_totals(bench->core).memory_bytes, bytes);
	bench_free(bench);
}

static void note_id(void *user, struct lt_id id)
{
	*(uint64_t *)user = id.pid;
}

Test(limits, are_asked_for_again_when_they_are_old)
{
	const struct lt_limit limit[LT_LIMIT_COUNT] = { { 300, 200 } };
	struct bench *bench = leaking();
	uint64_t pid = 0;

	core_each_leak(bench->core, MS(119000), note_id, &pid);
	cr_assert_eq(pid, PARENT);
	feed_limits(bench, 120000, PARENT, limit, "");
	pid = 0;
	core_each_leak(bench->core, MS(120000), note_id, &pid);
	cr_assert_eq(pid, 0);
	core_each_leak(bench->core, MS(120001), note_id, &pid);
	cr_assert_eq(pid, PARENT);
	bench_free(bench);
}

/* ---- rows ---- */

Test(leak_rows, the_most_zombies_first)
{
	static const struct filter all = { 0 };
	struct bench *bench = leaking();
	json_t *rows;

	feed_fork(bench, 60, 60, INIT);
	for (uint64_t i = 0; i < 20; i++)
		zombie_of(bench, 130000, 300 + i, 60);
	feed_fork(bench, 61, 61, INIT);
	for (uint64_t i = 0; i < 2; i++) /* no leak */
		zombie_of(bench, 130000, 400 + i, 61);
	feed_tick(bench, 140000);
	rows = leaks(bench, &all);
	cr_assert_eq(json_array_size(rows), 2);
	cr_assert_eq(number_at(json_array_get(rows, 0), "pid"), 60);
	cr_assert_eq(number_at(json_array_get(rows, 0), "zombies"), 20);
	cr_assert_eq(number_at(json_array_get(rows, 0), "oldest_ms"), 10000);
	cr_assert_eq(number_at(json_array_get(rows, 1), "pid"), PARENT);
	json_decref(rows);
	bench_free(bench);
}

static size_t rows_with(struct bench *bench, const char *name, const char *value)
{
	struct filter filter = { 0 };
	json_t *rows;
	size_t count;

	cr_assert_eq(filter_set(&filter, VIEW_LEAKS, name, value), 0, "%s=%s", name, value);
	rows = leaks(bench, &filter);
	count = json_array_size(rows);
	json_decref(rows);
	return count;
}

static void feed_place(struct bench *bench, uint64_t pid, const char *path)
{
	struct lt_life scan = { .hdr = { sizeof(scan), LT_SCAN, 0, MS(120000) },
				.id = id_of(pid),
				.parent = id_of(INIT),
				.cgroup = { .id = 7 },
				.state = LT_RUNNING,
				.comm = "leaky" };
	union {
		struct lt_cgroup e;
		char bytes[512];
	} u = { .e = { .hdr = { .kind = LT_CGROUP, .time_ns = MS(120000) },
		       .cgroup = { .id = 7 } } };

	feed(bench, &scan);
	u.e.path_len = (uint32_t)strlen(path);
	memcpy(u.bytes + sizeof(u.e), path, u.e.path_len);
	u.e.hdr.size = (uint32_t)(sizeof(u.e) + u.e.path_len + 7U) & ~7U;
	feed(bench, &u.e);
}

Test(leak_rows, as_filtered)
{
	struct filter filter = { 0 };
	struct bench *bench = leaking();

	feed_place(bench, PARENT, "/system.slice/dev-disk-by\\x2duuid.service");
	cr_assert_eq(rows_with(bench, "min", "10"), 1);
	cr_assert_eq(rows_with(bench, "min", "11"), 0);
	cr_assert_eq(rows_with(bench, "older", "20s"), 1);
	cr_assert_eq(rows_with(bench, "older", "21s"), 0);
	cr_assert_eq(rows_with(bench, "pid", "50"), 1);
	cr_assert_eq(rows_with(bench, "pid", "51"), 0);
	cr_assert_eq(rows_with(bench, "comm", "lea*"), 1);
	cr_assert_eq(rows_with(bench, "comm", "tight"), 0);
	/* a backslash is part of a unit's name */
	cr_assert_eq(rows_with(bench, "unit", "dev-disk-by\\x2duuid.service"), 1);
	cr_assert_eq(rows_with(bench, "unit", "dev-*\\x2d*.service"), 1);
	cr_assert_eq(rows_with(bench, "unit", "dev-disk-byx2duuid.service"), 0);
	cr_assert_eq(filter_set(&filter, VIEW_LEAKS, "min", "-1"), -EINVAL);
	cr_assert_eq(filter_set(&filter, VIEW_LEAKS, "min", "few"), -EINVAL);
	cr_assert_eq(filter_set(&filter, VIEW_LEAKS, "older", "10"), -EINVAL);
	cr_assert_eq(filter_set(&filter, VIEW_ZOMBIES, "min", "1"), -ENOENT);
	bench_free(bench);
}

/* ---- silences ---- */

static void feed_silence(struct bench *bench, uint64_t ms, const char *what, uint64_t until_ms)
{
	union {
		struct lt_silence e;
		char bytes[1024];
	} u = { .e = { .hdr = { .kind = LT_SILENCE, .time_ns = MS(ms) },
		       .until_ns = MS(until_ms) } };
	enum lt_silence_kind kind;
	uint64_t pid = 0;

	cr_assert_eq(silence_parse(what, &kind, &pid), 0, "%s", what);
	u.e.kind = kind;
	u.e.id = id_of(pid);
	u.e.text_len = (uint32_t)strlen(what);
	memcpy(u.bytes + sizeof(u.e), what, u.e.text_len);
	u.e.hdr.size = (uint32_t)(sizeof(u.e) + u.e.text_len + 7U) & ~7U;
	feed(bench, &u.e);
}

/* A parent of five zombies that become a leak at 101000, watched. */
static struct bench *about_to_leak(void)
{
	struct bench *bench = with_parent();

	bench->watched = PARENT;
	for (uint64_t i = 0; i < 5; i++)
		zombie_of(bench, 100000, 100 + i, PARENT);
	feed_place(bench, PARENT, "/x.slice/a\\x2db.service");
	*bench->told = '\0';
	return bench;
}

static void check_silenced(const char *what, bool covers)
{
	struct bench *bench = with_parent();
	json_t *row;

	bench->watched = PARENT;
	feed_place(bench, PARENT, "/x.slice/a\\x2db.service");
	feed_silence(bench, 120001, what, 500000);
	for (uint64_t i = 0; i < 5; i++)
		zombie_of(bench, 130000, 200 + i, PARENT);
	*bench->told = '\0';
	feed_tick(bench, 140000);
	expect_told(bench, covers ? "" : "leak-open");
	row = leak_of(bench, PARENT);
	cr_assert_eq(number_at(row, "silenced_until_ns"), covers ? MS(500000) : 0, "%s", what);
	json_decref(row);
	bench_free(bench);
}

Test(silences, cover_what_they_name)
{
	check_silenced("a\\x2db.service", true);
	check_silenced("a*.service", true);
	check_silenced("b.service", false);
	check_silenced("leaky", true);
	check_silenced("lea*", true);
	check_silenced("leak", false);
	check_silenced("50", true);
	check_silenced("51", false);
}

Test(silences, are_of_names_that_can_be)
{
	enum lt_silence_kind kind;
	char longest[SILENCE_TEXT_SIZE + 1];
	uint64_t pid;

	memset(longest, '*', SILENCE_TEXT_SIZE);
	longest[SILENCE_TEXT_SIZE] = '\0';
	cr_assert_eq(silence_parse("", &kind, &pid), -EINVAL);
	cr_assert_eq(silence_parse("0", &kind, &pid), -EINVAL);
	cr_assert_eq(silence_parse("4294967297", &kind, &pid), -EINVAL);
	cr_assert_eq(silence_parse("sixteen-letters!", &kind, &pid), -EINVAL);
	cr_assert_eq(silence_parse(longest, &kind, &pid), -EINVAL);
	cr_assert_eq(silence_parse("fifteen-letters", &kind, &pid), 0);
	cr_assert_eq(kind, LT_SILENCE_COMM);
	cr_assert_eq(silence_parse("a-rather-long-one.scope", &kind, &pid), 0);
	cr_assert_eq(kind, LT_SILENCE_UNIT);
}

/* When a silence ends, what leaks still is told; once. */
Test(silences, end_by_themselves)
{
	struct bench *bench = about_to_leak();

	feed_silence(bench, 120001, "50", 150000); /* it was told before */
	expect_told(bench, "");
	feed_fork(bench, 60, 60, INIT);
	bench->watched = 60;
	feed_silence(bench, 120002, "60", 150000);
	for (uint64_t i = 0; i < 5; i++)
		zombie_of(bench, 130000, 300 + i, 60);
	*bench->told = '\0';
	feed_tick(bench, 149999);
	expect_told(bench, "");
	cr_assert_eq(core_totals(bench->core).leaks, 2);
	cr_assert_eq(core_next_due_ns(bench->core), MS(150000));
	feed_tick(bench, 150000);
	expect_told(bench, "leak-open");
	feed_tick(bench, 160000);
	expect_told(bench, "leak-open");
	bench_free(bench);
}

/* What was not told to be open is not told to be closed. */
Test(silences, of_a_leak_that_comes_and_goes)
{
	struct bench *bench = with_parent();

	bench->watched = PARENT;
	feed_silence(bench, 99000, "50", 9000000);
	for (uint64_t i = 0; i < 5; i++)
		zombie_of(bench, 100000, 100 + i, PARENT);
	feed_tick(bench, 110000);
	cr_assert_eq(core_totals(bench->core).leaks, 1);
	for (uint64_t i = 0; i < 5; i++)
		feed_free(bench, 111000, 100 + i);
	*bench->told = '\0';
	feed_tick(bench, 200000);
	cr_assert_eq(core_totals(bench->core).leaks, 0);
	expect_told(bench, "");
	bench_free(bench);
}

Test(silences, are_lifted)
{
	struct bench *bench = with_parent();

	bench->watched = PARENT;
	feed_silence(bench, 99000, "50", 9000000);
	for (uint64_t i = 0; i < 5; i++)
		zombie_of(bench, 100000, 100 + i, PARENT);
	feed_tick(bench, 110000);
	*bench->told = '\0';
	feed_silence(bench, 120000, "50", 0);
	expect_told(bench, "leak-open");
	cr_assert(!core_has_silence(bench->core, "50"));
	bench_free(bench);
}

static void count_record(void *user, const struct lt_hdr *record)
{
	cr_assert_eq(record->kind, LT_SILENCE);
	++*(size_t *)user;
}

/* Any number of them takes bounded room, and all of it comes back. */
Test(silences, are_bounded)
{
	struct bench *bench = with_parent();
	size_t bytes = core_totals(bench->core).memory_bytes, count = 0;
	char what[32];

	for (int i = 1; i <= 1000; i++) {
		snprintf(what, sizeof(what), "%d", i);
		feed_silence(bench, 1000, what, 2000 + (uint64_t)i * 7 % 100);
		feed_silence(bench, 1000, what, 2000 + (uint64_t)i * 7 % 100);
	}
	core_each_silence(bench->core, count_record, &count);
	cr_assert_eq(count, SILENCES_MAX);
	cr_assert(!core_may_silence(bench->core));
	feed_tick(bench, 3000);
	cr_assert_eq(core_totals(bench->core).memory_bytes, bytes);
	bench_free(bench);
}

/* ---- stacks ---- */

static void feed_stack(struct bench *bench, uint64_t ms, uint64_t child, uint64_t begin, int parts)
{
	struct lt_stack e = { .hdr = { sizeof(e), LT_STACK, 0, MS(ms) },
			      .id = id_of(child),
			      .parent = id_of(PARENT),
			      .tid = PARENT,
			      .reg_count = 17,
			      .regs = { [16] = child } };
	struct lt_stack_part part = { .hdr = { sizeof(part), LT_STACK_PART, 0, MS(ms) },
				      .id = id_of(child) };

	feed(bench, &e);
	for (int i = 0; i < parts; i++) {
		part.address = begin + (uint64_t)i * sizeof(part.bytes);
		memset(part.bytes, i, sizeof(part.bytes));
		feed(bench, &part);
	}
}

static json_t *stacks_in(struct bench *bench)
{
	static const struct filter all = { 0 };
	json_t *document = view_stacks(bench->core, core_now_ns(bench->core), &all);
	json_t *rows = json_incref(json_object_get(document, "stacks"));

	json_decref(document);
	return rows;
}

Test(stack_records, are_of_zombies_until_they_are_reaped)
{
	struct bench *bench = with_parent();
	json_t *rows;

	feed_fork(bench, 100, 100, PARENT);
	feed_stack(bench, 100, 100, 0x1000, 20); /* more than there are to be */
	rows = stacks_in(bench);
	cr_assert_eq(json_array_size(rows), 0); /* it lives */
	json_decref(rows);
	feed_exit(bench, 200, 100, PARENT, 0, NOBODY, 0);
	feed_notify(bench, 200, 100, PARENT, 0, 0);
	rows = stacks_in(bench);
	cr_assert_eq(json_array_size(rows), 1);
	expect_text(text_at(json_array_get(rows, 0), "begin"), "0x1000");
	cr_assert_eq(strlen(text_at(json_array_get(rows, 0), "bytes")),
		     2 * LT_STACK_PARTS * LT_STACK_PART_BYTES);
	cr_assert_eq(strlen(text_at(json_array_get(rows, 0), "regs")), 2 * 17 * 8);
	json_decref(rows);
	feed_free(bench, 300, 100);
	rows = stacks_in(bench);
	cr_assert_eq(json_array_size(rows), 0);
	json_decref(rows);
	bench_free(bench);
}

/* What does not follow on what came before is of no use. */
Test(stack_records, with_a_gap_end_there)
{
	struct bench *bench = with_parent();
	struct lt_stack_part late = { .hdr = { sizeof(late), LT_STACK_PART, 0, MS(150) },
				      .id = id_of(100),
				      .address = 0x9000 };
	json_t *rows;

	zombie_of(bench, 100, 100, PARENT);
	feed_stack(bench, 101, 100, 0x1000, 2);
	feed(bench, &late);
	late.id = id_of(4711);
	feed(bench, &late);
	rows = stacks_in(bench);
	cr_assert_eq(strlen(text_at(json_array_get(rows, 0), "bytes")), 4 * LT_STACK_PART_BYTES);
	json_decref(rows);
	bench_free(bench);
}

Test(stack_records, are_bounded)
{
	struct bench *bench = with_parent();
	json_t *rows;

	for (uint64_t i = 0; i < 2000; i++) {
		zombie_of(bench, 100 + i, 100 + i, PARENT);
		feed_stack(bench, 100 + i, 100 + i, 0x1000, 1);
	}
	rows = stacks_in(bench);
	cr_assert_eq(json_array_size(rows), 512);
	json_decref(rows);
	cr_assert_lt(core_totals(bench->core).memory_bytes, 8 << 20);
	bench_free(bench);
}
