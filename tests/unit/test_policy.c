// SPDX-License-Identifier: GPL-2.0-only
/* Flags, leaks, the memory cap, bad records, handing on: with time passed in. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define PARENT 50
#define INIT 1

static struct bench *with_parent(void)
{
	struct bench *bench = bench_new();

	feed_policy(bench, 1, 1000, 3, 60000, 5000, "quiet*");
	feed_fork(bench, 1, INIT, NOBODY);
	feed_fork(bench, 50, PARENT, INIT);
	return bench;
}

static void zombie(struct bench *bench, uint64_t ms, uint64_t pid)
{
	feed_fork(bench, ms, pid, PARENT);
	feed_exit(bench, ms, pid, PARENT, 0, NOBODY, 0);
	feed_notify(bench, ms, pid, PARENT, 0, 0);
}

static void forget_told(struct bench *bench)
{
	*bench->told = '\0';
}

Test(flags, exactly_at_the_age)
{
	struct bench *bench = with_parent();

	zombie(bench, 2000, 100);
	cr_assert_eq(core_next_due_ns(bench->core), MS(3000));
	forget_told(bench);
	feed_tick(bench, 2999);
	expect_told(bench, "");
	feed_tick(bench, 3500);
	expect_told(bench, "flagged");
	cr_assert_eq(json_integer_value(json_object_get(bench->last_line, "time_ns")), MS(3000));
	bench_free(bench);
}

Test(flags, in_order_of_begin_whatever_the_order_of_records)
{
	struct bench *bench = with_parent();
	json_int_t last = 0;

	for (uint64_t i = 0; i < 50; i++) /* 0, 17, 34, 1, 18, … */
		zombie(bench, 2000 + i * 17 % 50, 100 + i);
	for (uint64_t ms = 3000; ms < 3050; ms++) {
		feed_tick(bench, ms);
		cr_assert_eq(core_totals(bench->core).flagged, ms - 3000 + 1);
		cr_assert_geq(
			json_integer_value(json_object_get(bench->last_line, "zombie_ns")) ?
				json_integer_value(json_object_get(bench->last_line, "zombie_ns")) :
				last,
			last);
	}
	bench_free(bench);
}

Test(flags, not_when_reaped_before)
{
	struct bench *bench = with_parent();

	zombie(bench, 2000, 100);
	feed_free(bench, 2999, 100);
	forget_told(bench);
	feed_tick(bench, 9000);
	expect_told(bench, "");
	cr_assert_eq(core_next_due_ns(bench->core), UINT64_MAX);
	bench_free(bench);
}

Test(flags, a_record_brings_its_time_along)
{
	struct bench *bench = with_parent();

	zombie(bench, 2000, 100);
	forget_told(bench);
	feed_free(bench, 3001, 100); /* no tick: it was due before this */
	expect_told(bench, "flagged reap");
	bench_free(bench);
}

Test(flags, a_new_age_restages)
{
	struct bench *bench = with_parent();

	zombie(bench, 2000, 100);
	feed_tick(bench, 3000);
	cr_assert_eq(core_totals(bench->core).flagged, 1);
	feed_policy(bench, 3001, 5000, 3, 60000, 5000, "");
	cr_assert_eq(core_totals(bench->core).flagged, 0);
	feed_tick(bench, 7000);
	cr_assert_eq(core_totals(bench->core).flagged, 1);
	bench_free(bench);
}

/* ---- leaks ---- */

static struct bench *leaking(uint64_t zombies)
{
	struct bench *bench = with_parent();

	bench->watched = PARENT;
	for (uint64_t i = 0; i < zombies; i++)
		zombie(bench, 2000 + i, 100 + i);
	forget_told(bench);
	return bench;
}

Test(leaks, opens_once_and_grows)
{
	struct bench *bench = leaking(10);

	feed_tick(bench, 3001);
	expect_told(bench, "");
	feed_tick(bench, 3002);
	expect_told(bench, "leak-open");
	feed_tick(bench, 9000);
	expect_told(bench, "leak-open");
	cr_assert_eq(core_totals(bench->core).leaks, 1);
	bench_free(bench);
}

Test(leaks, closes_once_after_it_has_settled)
{
	struct bench *bench = leaking(3);

	feed_tick(bench, 4000);
	feed_free(bench, 5000, 100); /* two of three left: half of three, rounded up */
	feed_tick(bench, 20000);
	expect_told(bench, "leak-open");
	feed_free(bench, 21000, 101);
	feed_tick(bench, 25999);
	expect_told(bench, "leak-open");
	feed_tick(bench, 26000);
	expect_told(bench, "leak-open leak-close");
	feed_free(bench, 27000, 102);
	feed_tick(bench, 90000);
	expect_told(bench, "leak-open leak-close");
	cr_assert_eq(core_totals(bench->core).leaks, 0);
	bench_free(bench);
}

/* Reaps five at a time, every three seconds: one leak, not twenty. */
Test(leaks, a_batch_reaper_does_not_flap)
{
	struct bench *bench = leaking(0);
	uint64_t pid = 100;

	for (uint64_t round = 0; round < 20; round++) {
		uint64_t ms = 2000 + round * 3000;

		for (int i = 0; i < 5; i++)
			zombie(bench, ms, pid + (uint64_t)i);
		feed_tick(bench, ms + 2500);
		for (int i = 0; i < 5; i++)
			feed_free(bench, ms + 2600, pid++);
	}
	expect_told(bench, "leak-open");
	feed_tick(bench, 90000);
	expect_told(bench, "leak-open leak-close");
	bench_free(bench);
}

Test(leaks, one_old_zombie_is_one)
{
	struct bench *bench = leaking(1);

	feed_tick(bench, 61999);
	expect_told(bench, "");
	feed_tick(bench, 62000);
	expect_told(bench, "leak-open");
	expect_text(text_at(bench->last_line, "reason"), "age");
	bench_free(bench);
}

Test(leaks, the_ignored_have_none)
{
	struct bench *bench = bench_new();

	feed_policy(bench, 1, 1000, 3, 60000, 5000, "loud, quiet*");
	feed_fork(bench, 50, PARENT, INIT);
	feed_comm(bench, 60, PARENT, "quietly");
	bench->watched = PARENT;
	for (uint64_t i = 0; i < 5; i++)
		zombie(bench, 2000, 100 + i);
	forget_told(bench);
	feed_tick(bench, 5000);
	expect_told(bench, "");
	feed_policy(bench, 5001, 1000, 3, 60000, 5000, ""); /* ignored no more */
	expect_told(bench, "leak-open");
	feed_policy(bench, 5002, 1000, 3, 60000, 5000, "quiet*");
	expect_told(bench, "leak-open leak-close");
	bench_free(bench);
}

/* What passed to an adopter is flagged as before, and counts against it a zombie_age later. */
Test(leaks, close_with_their_parent_and_pass_to_the_adopter)
{
	struct bench *bench = leaking(3);

	feed_tick(bench, 4000);
	bench->watched = 0;
	forget_told(bench);
	feed_exit(bench, 5000, PARENT, INIT, 0, INIT, 0);
	expect_told(bench, "leak-close exit orphan orphan orphan");
	cr_assert_eq(core_totals(bench->core).leaks, 0);
	cr_assert_eq(core_totals(bench->core).flagged, 3);
	cr_assert_eq(core_next_due_ns(bench->core), MS(6000));
	feed_tick(bench, 5999);
	expect_told(bench, "leak-close exit orphan orphan orphan");
	feed_tick(bench, 6000);
	expect_told(bench, "leak-close exit orphan orphan orphan leak-open");
	cr_assert_eq(core_totals(bench->core).leaks, 1);
	check_totals(bench);
	bench_free(bench);
}

Test(leaks, an_adopter_that_reaps_in_time_has_none)
{
	struct bench *bench = leaking(10);

	feed_tick(bench, 4000);
	feed_exit(bench, 5000, PARENT, INIT, 0, INIT, 0);
	bench->watched = INIT;
	forget_told(bench);
	for (uint64_t i = 0; i < 10; i++)
		feed_free(bench, 5900, 100 + i);
	feed_tick(bench, 90000);
	expect_told(bench, "");
	cr_assert_eq(core_totals(bench->core).flagged, 0);
	bench_free(bench);
}

/* One that has been a zombie for ever: its adopter holds it only now. */
Test(leaks, of_an_adopter_are_aged_by_what_it_holds)
{
	struct bench *bench = leaking(1);

	feed_tick(bench, 61000);
	feed_exit(bench, 61500, PARENT, INIT, 0, INIT, 0);
	bench->watched = INIT;
	forget_told(bench);
	feed_tick(bench, 121499);
	expect_told(bench, "");
	feed_tick(bench, 121500);
	expect_told(bench, "leak-open");
	expect_text(text_at(bench->last_line, "reason"), "age");
	bench_free(bench);
}

/* Adopted before it was flagged: flagged in time, and counted later. */
Test(leaks, of_an_adopter_do_not_delay_a_flag)
{
	struct bench *bench = leaking(0);

	for (uint64_t i = 0; i < 3; i++)
		zombie(bench, 2000, 100 + i);
	feed_exit(bench, 2900, PARENT, INIT, 0, INIT, 0);
	bench->watched = 0;
	forget_told(bench);
	feed_tick(bench, 3000);
	expect_told(bench, "flagged flagged flagged");
	feed_tick(bench, 3899);
	expect_told(bench, "flagged flagged flagged");
	feed_tick(bench, 3900);
	expect_told(bench, "flagged flagged flagged leak-open");
	bench_free(bench);
}

/* Passed on again: the next one has a grace of its own. */
Test(leaks, of_one_adopter_after_the_other)
{
	struct bench *bench = leaking(3);

	feed_fork(bench, 60, 60, INIT);
	feed_tick(bench, 4000);
	feed_exit(bench, 5000, PARENT, 60, 0, 60, 0);
	bench->watched = INIT;
	forget_told(bench);
	feed_exit(bench, 5900, 60, INIT, 0, INIT, 0);
	feed_tick(bench, 6899);
	expect_told(bench, "");
	feed_tick(bench, 6900);
	expect_told(bench, "leak-open");
	bench_free(bench);
}

/* A longer age calls those younger that counted already. */
Test(leaks, of_an_adopter_by_a_new_age)
{
	struct bench *bench = leaking(3);

	feed_tick(bench, 4000);
	feed_exit(bench, 5000, PARENT, INIT, 0, INIT, 0);
	feed_tick(bench, 6000);
	cr_assert_eq(core_totals(bench->core).leaks, 1);
	feed_policy(bench, 6001, 3000, 3, 60000, 500, "");
	feed_tick(bench, 6600);
	cr_assert_eq(core_totals(bench->core).leaks, 0);
	feed_tick(bench, 8000);
	cr_assert_eq(core_totals(bench->core).leaks, 1);
	check_totals(bench);
	bench_free(bench);
}

Test(leaks, dead_leaders_are_none)
{
	struct bench *bench = leaking(0);

	for (uint64_t i = 0; i < 5; i++) {
		feed_fork(bench, 2000, 100 + i, PARENT);
		feed_leader_exit(bench, 2001, 100 + i);
	}
	feed_tick(bench, 90000);
	expect_told(bench, "");
	cr_assert_eq(core_totals(bench->core).zombies, 0);
	bench_free(bench);
}

/* ---- memory ---- */

static void feed_lives(struct bench *bench, uint64_t ms, uint64_t count)
{
	for (uint64_t pid = 100; pid < 100 + count; pid++) {
		feed_fork(bench, ms, pid, PARENT);
		feed_exec(bench, ms + 1, pid, "/bin/true", "true");
		feed_exit(bench, ms + 2, pid, PARENT, 0, NOBODY, 0);
		feed_notify(bench, ms + 3, pid, PARENT, 0, 0);
		feed_free(bench, ms + 4, pid);
	}
}

Test(memory, returns_to_where_it_was)
{
	struct bench *bench = with_parent();
	size_t before;

	feed_lives(bench, 2000, 1); /* a parent is one from then on */
	feed_tick(bench, 70000);
	before = core_totals(bench->core).memory_bytes;
	feed_lives(bench, 80000, 500);
	feed_tick(bench, 150000);
	cr_assert_eq(core_totals(bench->core).memory_bytes, before, "%zu bytes, %zu before",
		     core_totals(bench->core).memory_bytes, before);
	bench_free(bench);
}

Test(memory, the_oldest_reaped_go_first_and_the_rest_is_told)
{
	struct bench *bench = bench_new();

	feed_memory_max(bench, 1, 64 << 10);
	feed_fork(bench, 50, PARENT, INIT);
	for (uint64_t i = 0; i < 60; i++)
		zombie(bench, 100, 100 + i);
	for (uint64_t i = 0; i < 1000; i++) {
		zombie(bench, 200, 1000 + i);
		feed_free(bench, 201, 1000 + i);
	}
	cr_assert_eq(core_totals(bench->core).zombies, 60);
	cr_assert_eq(core_totals(bench->core).refused, 0);
	expect_text(state_of(bench, 1000), "unknown");
	expect_text(state_of(bench, 1999), "reaped");
	for (uint64_t i = 0; i < 1000; i++)
		feed_fork(bench, 300, 3000 + i, PARENT);
	cr_assert_gt(core_totals(bench->core).refused, 0);
	cr_assert_eq(core_totals(bench->core).zombies, 60);
	cr_assert_leq(core_totals(bench->core).memory_bytes, (64 << 10) + 4096);
	check_totals(bench);
	bench_free(bench);
}

/* ---- bad records ---- */

Test(records, of_a_wrong_size_or_kind_are_counted_and_skipped)
{
	static _Alignas(8) unsigned char bytes[LT_RECORD_MAX + 64];
	struct bench *bench = with_parent();
	uint64_t bad = 0;

	for (unsigned kind = 0; kind < 70; kind++) {
		size_t min = core_min_size(kind);

		for (size_t size = 0; size < sizeof(bytes); size += size < 700 ? 4 : 256) {
			struct lt_hdr hdr = { .size = (uint32_t)size, .kind = (uint16_t)kind };

			if (min && size >= min && size <= LT_RECORD_MAX)
				continue;
			memset(bytes, 0, sizeof(bytes));
			memcpy(bytes, &hdr, sizeof(hdr));
			cr_assert_eq(core_apply(bench->core, bytes, size), -EBADMSG,
				     "kind %u of %zu bytes", kind, size);
			bad++;
		}
	}
	cr_assert_eq(core_totals(bench->core).bad_records, bad);
	check_totals(bench);
	bench_free(bench);
}

Test(records, whose_text_does_not_fit_are_bad)
{
	struct bench *bench = with_parent();
	struct lt_exec exec = { .hdr = { sizeof(exec), LT_EXEC, 0, MS(100) },
				.id = id_of(PARENT),
				.exe_len = 8 };
	struct lt_cgroup cgroup = { .hdr = { sizeof(cgroup), LT_CGROUP, 0, MS(100) },
				    .path_len = 0xffffffff };
	struct lt_hook hook = { .hdr = { sizeof(hook), LT_HOOK, 0, MS(100) },
				.what_len = 0xffffffff,
				.value_len = 2 };

	cr_assert_eq(core_apply(bench->core, &exec, sizeof(exec)), -EBADMSG);
	cr_assert_eq(core_apply(bench->core, &cgroup, sizeof(cgroup)), -EBADMSG);
	cr_assert_eq(core_apply(bench->core, &hook, sizeof(hook)), -EBADMSG);
	bench_free(bench);
}

/* Any bytes at all: nothing breaks (run under the sanitizers). */
Test(records, of_random_bytes_break_nothing)
{
	static _Alignas(8) unsigned char bytes[1024];
	struct bench *bench = with_parent();
	unsigned seed = 1;

	for (int i = 0; i < 200000; i++) {
		unsigned kind = (unsigned)rand_r(&seed) % LT_KIND_MAX;
		size_t size = core_min_size(kind) + (size_t)rand_r(&seed) % 8 * 8;
		struct lt_hdr hdr = { .size = (uint32_t)size,
				      .kind = (uint16_t)kind,
				      .time_ns = MS(2000 + i) };

		for (size_t j = 0; j < sizeof(bytes); j++)
			bytes[j] = rand_r(&seed) % 4 ? 0 : (unsigned char)rand_r(&seed);
		memcpy(bytes, &hdr, sizeof(hdr));
		core_apply(bench->core, bytes, size);
		*bench->told = '\0';
	}
	check_totals(bench);
	bench_free(bench);
}

/* A record may say that it is the last nanosecond that there is. */
Test(records, of_the_end_of_time_make_nothing_due)
{
	struct lt_hdr tick = { .size = sizeof(tick), .kind = LT_TICK, .time_ns = UINT64_MAX };
	struct bench *bench = with_parent();

	feed(bench, &tick);
	cr_assert_eq(core_next_due_ns(bench->core), UINT64_MAX);
	bench_free(bench);
}

/* Longer than the clock can tell: for ever, not at once. */
Test(zombies, are_never_flagged_at_an_endless_age)
{
	struct bench *bench = with_parent();

	feed_policy(bench, 1000, UINT64_MAX / MS(1), 5, 1, 1, "");
	feed_fork(bench, 2000, 10, 5);
	feed_exit(bench, 3000, 10, 5, 0, 1, 0);
	feed_notify(bench, 3000, 10, 5, 0, 0);
	feed_tick(bench, 4000000);
	cr_assert_eq(core_totals(bench->core).zombies, 1);
	cr_assert_eq(core_totals(bench->core).flagged, 0);
	bench_free(bench);
}

static void feed_leaking_life(struct bench *bench, uint64_t ms, uint64_t pid, enum lt_state state,
			      uint64_t leak_ms)
{
	struct lt_life e = { .hdr = { .size = sizeof(e), .kind = LT_LIFE, .time_ns = MS(ms) },
			     .id = id_of(pid),
			     .leak_since_ns = MS(leak_ms),
			     .leak_shrunk_ns = MS(leak_ms),
			     .reaped_ns = state == LT_REAPED ? MS(ms) : 0,
			     .state = (uint8_t)state };

	feed(bench, &e);
}

/* Nothing is left of a leak when its parent is forgotten, whatever another table said of it. */
Test(records, of_lives_that_are_over_open_no_leak)
{
	struct bench *bench = bench_new();

	feed_policy(bench, 1000, 1000, 5, 1000, 100000000, "");
	feed_leaking_life(bench, 2000, 10, LT_REAPED, 2000);
	feed_leaking_life(bench, 2000, 11, LT_RUNNING, 2000);
	cr_assert_eq(core_totals(bench->core).leaks, 1);
	feed_leaking_life(bench, 2000, 11, LT_EXITING, 0);
	cr_assert_eq(core_totals(bench->core).leaks, 0);
	feed_free(bench, 3000, 11);
	feed_tick(bench, 100000); /* both are forgotten */
	feed_tick(bench, 200000000);
	cr_assert_eq(core_totals(bench->core).leaks, 0);
	bench_free(bench);
}

/* ---- handing on ---- */

static void pass_on(void *user, const struct lt_hdr *record)
{
	feed(user, record);
}

typedef json_t *(*view_fn)(const struct core *core, uint64_t now_ns, const struct filter *filter,
			   const struct viewer *viewer);

static char *document(const struct bench *bench, view_fn view)
{
	static const struct viewer everyone = { .all = true };
	static const struct filter all = { .all = true, .kernel = true };
	json_t *json = view(bench->core, core_now_ns(bench->core), &all, &everyone);
	size_t len;
	char *text = view_text(json, &len);

	json_decref(json);
	return text;
}

static void check_same(const struct bench *a, const struct bench *b)
{
	static const view_fn views[] = { view_zombies, view_processes, view_leaks, view_births };

	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		char *x = document(a, views[i]), *y = document(b, views[i]);

		cr_assert_str_eq(x, y, "\n%s\n%s", x, y);
		free(x);
		free(y);
	}
}

static void random_step(struct bench *const *benches, size_t count, unsigned *seed, uint64_t ms)
{
	uint64_t pid = 100 + (uint64_t)rand_r(seed) % 60, parent = 40 + pid % 7;
	int what = rand_r(seed) % 11;

	for (size_t i = 0; i < count; i++) {
		struct bench *b = benches[i];

		switch (what) {
		case 0:
		case 1:
			feed_fork(b, ms, pid, parent);
			break;
		case 2:
			feed_exec(b, ms, pid, "/bin/x", "x");
			break;
		case 3:
			feed_exit(b, ms, pid, parent, 256, NOBODY, 0);
			break;
		case 4:
			feed_notify(b, ms, pid, parent, 256, 0);
			break;
		case 5:
			feed_free(b, ms, pid);
			break;
		case 6:
			feed_stop(b, ms, pid, LT_STOP);
			break;
		case 7:
			feed_tick(b, ms + 500);
			break;
		case 8:
			if (pid % 10 == 0)
				feed_exit(b, ms, parent, INIT, 0, INIT, 0);
			break;
		case 9:
			feed_fork_fail(b, ms, parent, 1 + (unsigned)pid % 10);
			break;
		case 10:
			feed_fork_end(b, ms, pid, ms);
			break;
		}
	}
}

/* A second table that takes over in the middle goes on as the first one does. */
Test(dump, another_table_goes_on_the_same)
{
	for (unsigned start = 1; start <= 20; start++) {
		struct bench *first = with_parent(), *second = bench_new();
		struct bench *const both[] = { first, second };
		unsigned seed = start;

		for (uint64_t i = 0; i < 300; i++)
			random_step(both, 1, &seed, 2000 + i * 20);
		core_dump(first->core, pass_on, second);
		expect_told(second, "");
		check_same(first, second);
		*first->told = '\0';
		for (uint64_t i = 300; i < 600; i++)
			random_step(both, 2, &seed, 2000 + i * 20);
		expect_told(first, second->told);
		check_same(first, second);
		check_totals(second);
		bench_free(first);
		bench_free(second);
	}
}

/* ---- of the reaped only the latest are handed on ---- */

/* Goes on with the latest reaped one, and a pass that meets INIT, PARENT and `living`. */
static struct bench *go_on_with_one_reaped(struct bench *bench, uint64_t living)
{
	struct bench *next = bench_new();

	core_dump_lately(bench->core, 1, pass_on, next);
	feed_pass(next, 4000, LT_PASS_BEGIN, 4000, false);
	feed_scan(next, 4001, INIT, NOBODY, LT_RUNNING);
	feed_scan(next, 4001, PARENT, INIT, LT_RUNNING);
	if (living)
		feed_scan(next, 4001, living, INIT, LT_RUNNING);
	feed_pass(next, 4002, LT_PASS_END, 4000, false);
	feed_pass(next, 5000, LT_SWEEP, 4000, false);
	return next;
}

static void check_counts_of(const struct bench *next, const struct bench *bench)
{
	struct core_totals now = core_totals(next->core), then = core_totals(bench->core);

	cr_expect_eq(now.exits, then.exits, "%lu exits, not %lu", now.exits, then.exits);
	cr_expect_eq(now.reaps, then.reaps, "%lu reaps, not %lu", now.reaps, then.reaps);
	cr_expect_eq(now.processes, then.processes, "%u processes, not %u", now.processes,
		     then.processes);
}

Test(dump, a_forgotten_parent_of_a_reaped_one_does_not_live_again)
{
	struct bench *bench = with_parent(), *next;

	feed_fork(bench, 1000, 100, PARENT);
	feed_fork(bench, 1001, 101, 100);
	feed_exit(bench, 1002, 101, 100, 0, NOBODY, 0);
	feed_exit(bench, 1003, 100, PARENT, 0, NOBODY, 0);
	feed_free(bench, 1040, 100);
	feed_free(bench, 1041, 101);
	next = go_on_with_one_reaped(bench, 0);
	expect_text(state_of(next, 100), "unknown");
	check_counts_of(next, bench);
	bench_free(bench);
	bench_free(next);
}

/* Who adopted it was not known when the dead father was forgotten. */
Test(dump, a_forgotten_father_of_a_living_one_does_not_exit_again)
{
	struct bench *bench = with_parent(), *next;

	feed_fork(bench, 1000, 100, PARENT);
	feed_fork(bench, 1001, 101, 100);
	feed_exit(bench, 1002, 100, PARENT, 0, NOBODY, 0);
	feed_free(bench, 1040, 100);
	feed_fork(bench, 2000, 102, PARENT);
	feed_exit(bench, 2001, 102, PARENT, 0, NOBODY, 0);
	feed_free(bench, 2040, 102);
	next = go_on_with_one_reaped(bench, 101);
	check_counts_of(next, bench);
	bench_free(bench);
	bench_free(next);
}
