// SPDX-License-Identifier: GPL-2.0-only
/*
 * Why a zombie is not reaped: the decision table, with each fact passed in.
 * Parent 50 is of init 1; its children die at 10 s and are judged at 15 s
 * unless a test says otherwise.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "core/why.h"

#define INIT 1
#define PARENT 50
#define DIED 10000
#define JUDGED 15000

static struct bench *with_parent(void)
{
	struct bench *bench = bench_new();

	feed_policy(bench, 1, 1000, 5, 600000, 5000, "");
	feed_fork(bench, 1, INIT, NOBODY);
	feed_fork(bench, 50, PARENT, INIT);
	return bench;
}

/* How the parent's counters stand, now and at its children's deaths. */
static struct lt_waits waits_of_parent(uint64_t any, uint64_t pid, uint64_t nowait, uint64_t ms)
{
	return (struct lt_waits){ .start_ns = id_of(PARENT).start_ns,
				  .calls = any + pid,
				  .any = any,
				  .pid = pid,
				  .nowait = nowait,
				  .last_ns = MS(ms),
				  .last_call = LT_WAIT4,
				  .last_which = pid ? LT_WAIT_PID : LT_WAIT_ANY,
				  .last_pid = pid ? 77 : -1 };
}

static void feed_waits(struct bench *bench, uint64_t ms, struct lt_waits waits)
{
	struct lt_wait e = { .hdr = { .size = sizeof(e), .kind = LT_WAITS, .time_ns = MS(ms) },
			     .id = id_of(PARENT),
			     .waits = waits };

	feed(bench, &e);
}

static void feed_death(struct bench *bench, uint64_t ms, uint64_t pid, unsigned flags,
		       unsigned disposition, struct lt_waits waits)
{
	struct lt_notify e = { .hdr = { .size = sizeof(e), .kind = LT_NOTIFY, .time_ns = MS(ms) },
			       .id = id_of(pid),
			       .parent = id_of(PARENT),
			       .flags = flags,
			       .disposition = disposition,
			       .parent_waits = waits };

	feed_fork(bench, ms - 1, pid, PARENT);
	feed_exit(bench, ms, pid, PARENT, 0, NOBODY, 0);
	feed(bench, &e);
}

static void child_dies(struct bench *bench, uint64_t ms, uint64_t pid)
{
	feed_death(bench, ms, pid, 0, LT_SIG_DFL, (struct lt_waits){ 0 });
}

/* One thread, in STATE, as somebody saw at MS; in a wait for PID (-1: any child) unless 0. */
static void feed_tasks_of(struct bench *bench, uint64_t ms, char state, uint32_t flags, int32_t pid,
			  int ignored)
{
	union {
		struct lt_tasks e;
		char bytes[sizeof(struct lt_tasks) + sizeof(struct lt_thread)];
	} u = { .e = { .hdr = { .size = sizeof(u), .kind = LT_TASKS, .time_ns = MS(ms) },
		       .id = id_of(PARENT),
		       .threads = 1,
		       .looked = 1,
		       .told = 1,
		       .flags = flags } };

	u.e.uninterruptible = state == 'D';
	u.e.sleeping = state == 'S';
	u.e.stopped = state == 'T';
	u.e.waiting = pid != 0;
	u.e.thread[0] = (struct lt_thread){ .tid = PARENT,
					    .state = (uint8_t)state,
					    .pid = pid,
					    .flags = pid ? LT_THREAD_WAITS : 0,
					    .call = LT_WAIT4,
					    .which = pid == -1 ? LT_WAIT_ANY : LT_WAIT_PID };
	u.e.sig_ignored = ignored ? UINT64_C(1) << (ignored - 1) : 0;
	feed(bench, &u.e);
}

static void feed_tasks(struct bench *bench, uint64_t ms, char state, uint32_t flags, int32_t pid)
{
	feed_tasks_of(bench, ms, state, flags, pid, 0);
}

/* What the rows of `zombies` say of it. */
static char *cause_of(struct bench *bench, uint64_t ms, uint64_t pid, char words[WHY_TEXT_SIZE])
{
	static const struct viewer everyone = { .all = true };
	static char cause[64];
	json_t *why;

	feed_tick(bench, ms);
	why = view_why(bench->core, MS(ms), pid, &everyone);
	snprintf(cause, sizeof(cause), "%s", text_at(why, "cause") ?: "null");
	snprintf(words, WHY_TEXT_SIZE, "%s", text_at(why, "evidence") ?: "");
	json_decref(why);
	return cause;
}

/* And what clears it now. */
static char *clear_now_of(struct bench *bench, uint64_t ms, uint64_t pid)
{
	static const struct viewer everyone = { .all = true };
	static char words[WHY_TEXT_SIZE];
	json_t *why = view_why(bench->core, MS(ms), pid, &everyone);

	snprintf(words, sizeof(words), "%s", text_at(why, "clear_now") ?: "");
	json_decref(why);
	return words;
}

#define expect_words(words, expected) cr_assert(strstr(words, expected), "%s", words)

#define expect_cause(bench, ms, pid, expected)                                                  \
	do {                                                                                    \
		char words_[WHY_TEXT_SIZE];                                                     \
		const char *cause_ = cause_of(bench, ms, pid, words_);                          \
		cr_assert_str_eq(cause_, expected, "%s, not %s: %s", cause_, expected, words_); \
	} while (0)

Test(why, never_waits)
{
	struct bench *bench = with_parent();

	child_dies(bench, DIED, 100);
	expect_cause(bench, DIED + 999, 100, "unknown");
	expect_cause(bench, DIED + 1000, 100, "never-waits");
	bench_free(bench);
}

/* "; " ends a part of the evidence, and would do so in a name. */
Test(why, name_with_a_semicolon)
{
	struct bench *bench = with_parent();
	char words[WHY_TEXT_SIZE];

	feed_comm(bench, 60, PARENT, "a; b; c");
	child_dies(bench, DIED, 100);
	cause_of(bench, JUDGED, 100, words);
	expect_words(words, " (a\\x3b b\\x3b c) has made no wait call");
	bench_free(bench);
}

/* Who ignores it too late keeps those that had died. */
Test(why, ignored_too_late)
{
	struct bench *bench = with_parent();
	char words[WHY_TEXT_SIZE];

	child_dies(bench, DIED, 100);
	feed_tasks_of(bench, JUDGED, 'S', 0, 0, SIGCHLD);
	cr_assert_str_eq(cause_of(bench, JUDGED, 100, words), "never-waits", "%s", words);
	expect_words(words, "SIGCHLD had SIG_DFL; it has SIG_IGN now");
	bench_free(bench);
}

/* As waitpid() has it: 0 is the caller's own group. */
Test(why, waits_for_its_own_group)
{
	struct bench *bench = with_parent();
	struct lt_waits waits = waits_of_parent(0, 0, 0, DIED + 10);
	char words[WHY_TEXT_SIZE];

	waits.calls = waits.group = 1;
	waits.last_which = LT_WAIT_GROUP;
	waits.last_pid = 0;
	child_dies(bench, DIED, 100);
	feed_waits(bench, JUDGED, waits);
	cr_assert_str_eq(cause_of(bench, JUDGED, 100, words), "waits-for-others", "%s", words);
	expect_words(words, "wait4(its own group)");
	bench_free(bench);
}

/* Calls of the program before count for nothing. */
Test(why, never_waits_since_its_exec)
{
	struct bench *bench = with_parent();

	feed_waits(bench, 60, waits_of_parent(3, 0, 0, 60));
	feed_exec(bench, 70, PARENT, "/bin/x", "x");
	feed_death(bench, DIED, 100, 0, LT_SIG_DFL, waits_of_parent(3, 0, 0, 60));
	expect_cause(bench, JUDGED, 100, "never-waits");
	feed_waits(bench, JUDGED, waits_of_parent(6, 0, 6, JUDGED - 1)); /* it only looks */
	expect_cause(bench, JUDGED, 100, "never-waits");
	feed_waits(bench, JUDGED, waits_of_parent(7, 0, 6, JUDGED));
	expect_cause(bench, JUDGED, 100, "unknown");
	bench_free(bench);
}

/* What a program asked for, before it made way for one that only looks. */
Test(why, waits_for_others_before_an_exec)
{
	struct bench *bench = with_parent();
	char words[WHY_TEXT_SIZE];

	child_dies(bench, DIED, 100);
	feed_waits(bench, DIED + 1000, waits_of_parent(0, 4, 1, DIED + 1000));
	expect_cause(bench, DIED + 1000, 100, "waits-for-others");
	feed_exec(bench, DIED + 1010, PARENT, "/bin/x", "x");
	cr_assert_str_eq(cause_of(bench, JUDGED, 100, words), "never-waits", "%s", words);
	expect_words(words, "no wait call since the parent's last exec, the last one 4s ago");
	cr_assert_not(strstr(words, "SIGCHLD had"), "the program before: %s", words);
	feed_waits(bench, JUDGED, waits_of_parent(5, 0, 5, JUDGED - 1));
	cr_assert_str_eq(cause_of(bench, JUDGED, 100, words), "never-waits", "%s", words);
	expect_words(words, "5 wait calls since the parent's last exec: 5 for any child");
	bench_free(bench);
}

/* Calls for any that has stopped take no dead one. */
Test(why, for_stops_beside)
{
	struct bench *bench = with_parent();
	struct lt_waits waits = waits_of_parent(0, 0, 0, JUDGED - 1);
	char words[WHY_TEXT_SIZE];

	waits.calls = 10;
	waits.last_call = LT_WAITID;
	child_dies(bench, DIED, 100);
	feed_waits(bench, JUDGED, waits);
	cr_assert_str_eq(cause_of(bench, JUDGED, 100, words), "never-waits", "%s", words);
	expect_words(words, "10 wait calls since it died: 10 only for stops");
	waits.pid = 5;
	waits.calls = 15;
	feed_waits(bench, JUDGED, waits);
	child_dies(bench, JUDGED - 1000, 101);
	feed_free(bench, JUDGED, 101);
	cr_assert_str_eq(cause_of(bench, JUDGED, 100, words), "waits-for-others", "%s", words);
	expect_words(words, "15 wait calls since it died: 5 for a pid, 10 only for stops");
	bench_free(bench);
}

/* Nor do its reaps, which can be told of only after the exec. */
Test(why, never_waits_since_its_exec_after_a_reap)
{
	struct bench *bench = with_parent();

	feed_death(bench, 1000, 99, 0, LT_SIG_DFL, (struct lt_waits){ 0 });
	feed_waits(bench, 1001, waits_of_parent(1, 0, 0, 1001));
	feed_exec(bench, 1002, PARENT, "/bin/x", "x");
	feed_free(bench, 1030, 99);
	feed_death(bench, DIED, 100, 0, LT_SIG_DFL, waits_of_parent(1, 0, 0, 1001));
	expect_cause(bench, JUDGED, 100, "never-waits");
	bench_free(bench);
}

Test(why, only_looks)
{
	struct bench *bench = with_parent();

	child_dies(bench, DIED, 100);
	feed_waits(bench, JUDGED, waits_of_parent(9, 0, 9, JUDGED - 1));
	expect_cause(bench, JUDGED, 100, "never-waits");
	bench_free(bench);
}

/* What it asks for by an io_uring nobody counts; what it reaps by it is seen. */
Test(why, by_io_uring)
{
	struct bench *bench = with_parent();
	char words[WHY_TEXT_SIZE];

	child_dies(bench, DIED, 100);
	feed_tasks(bench, JUDGED, 'S', LT_TASKS_IO_URING, 0);
	cr_assert_str_eq(cause_of(bench, JUDGED, 100, words), "unknown", "%s", words);
	expect_words(words, "has made no wait call, but holds an io_uring");
	feed_death(bench, JUDGED, 101, 0, LT_SIG_DFL, (struct lt_waits){ 0 });
	feed_free(bench, JUDGED + 10, 101);
	feed_tasks(bench, JUDGED + 8000, 'S', LT_TASKS_IO_URING, 0);
	cr_assert_str_eq(cause_of(bench, JUDGED + 8000, 100, words), "stopped-waiting", "%s",
			 words);
	expect_words(words, "it holds an io_uring, whose waits are not seen");
	bench_free(bench);
}

/* Who was there before may be in a call that nobody counted. */
Test(why, unknown_until_its_threads_are_seen)
{
	struct bench *bench = bench_new();
	struct lt_start start = {
		.hdr = { .size = sizeof(start), .kind = LT_START, .time_ns = MS(100) },
		.started_ns = MS(100)
	};

	feed(bench, &start);
	feed_policy(bench, 100, 1000, 5, 600000, 5000, "");
	feed_pass(bench, 100, LT_PASS_BEGIN, 100, true);
	feed_scan(bench, 100, INIT, NOBODY, LT_RUNNING);
	feed_scan(bench, 100, PARENT, INIT, LT_RUNNING);
	feed_pass(bench, 101, LT_PASS_END, 100, true);
	child_dies(bench, DIED, 100000);
	expect_cause(bench, JUDGED, 100000, "unknown");
	feed_tasks(bench, JUDGED, 'S', 0, 0);
	expect_cause(bench, JUDGED, 100000, "never-waits");
	feed_tasks(bench, JUDGED, 'S', 0, 77);
	expect_cause(bench, JUDGED, 100000, "waits-for-others");
	feed_tasks(bench, JUDGED, 'S', LT_TASKS_REAPED_BEFORE, 0);
	expect_cause(bench, JUDGED, 100000, "stopped-waiting");
	bench_free(bench);
}

Test(why, waits_for_others)
{
	struct bench *bench = with_parent();
	char words[WHY_TEXT_SIZE];

	feed_death(bench, DIED, 100, 0, LT_SIG_DFL, waits_of_parent(5, 1, 0, 9000));
	feed_waits(bench, JUDGED, waits_of_parent(5, 2, 0, DIED + 10));
	cr_assert_str_eq(cause_of(bench, JUDGED, 100, words), "waits-for-others", "%s", words);
	expect_words(words, "waits only for other children, unlike before;");
	feed_waits(bench, JUDGED, waits_of_parent(6, 2, 0, DIED + 20));
	expect_cause(bench, JUDGED, 100, "stopped-waiting");
	bench_free(bench);
}

Test(why, blocked)
{
	struct bench *bench = with_parent();

	child_dies(bench, DIED, 100);
	feed_stop(bench, DIED + 1, PARENT, LT_STOP);
	expect_cause(bench, DIED + 2, 100, "blocked");
	feed_stop(bench, DIED + 3, PARENT, LT_CONTINUE);
	expect_cause(bench, JUDGED, 100, "never-waits");
	feed_tasks(bench, JUDGED, 'S', LT_TASKS_FROZEN, 0);
	expect_cause(bench, JUDGED, 100, "blocked");
	bench_free(bench);
}

/* Looks at others or at it are no waits; a call for it is none for others. */
Test(why, by_its_pid)
{
	struct bench *bench = with_parent();
	struct lt_waits waits = waits_of_parent(0, 2, 2, DIED + 10);

	child_dies(bench, DIED, 100);
	feed_waits(bench, JUDGED, waits);
	expect_cause(bench, JUDGED, 100, "never-waits");
	waits.nowait = 0;
	feed_waits(bench, JUDGED, waits);
	expect_cause(bench, JUDGED, 100, "waits-for-others");
	waits.last_pid = 100;
	waits.last_ns = MS(JUDGED);
	feed_waits(bench, JUDGED, waits);
	expect_cause(bench, JUDGED, 100, "unknown");
	bench_free(bench);
}

/* A call for any child that began before the watch is none for others, and no silence. */
Test(why, in_a_wait_for_any_child)
{
	struct bench *bench = with_parent();
	char words[WHY_TEXT_SIZE];

	child_dies(bench, DIED, 100);
	feed_tasks(bench, JUDGED, 'S', 0, -1);
	cr_assert_str_eq(cause_of(bench, JUDGED, 100, words), "unknown", "%s", words);
	cr_assert(strstr(words, "asked for any child, and none took it"), "%s", words);
	feed_tasks(bench, JUDGED, 'S', LT_TASKS_REAPED_BEFORE, -1);
	expect_cause(bench, JUDGED, 100, "unknown");
	feed_tasks(bench, JUDGED, 'S', 0, 77);
	expect_cause(bench, JUDGED, 100, "waits-for-others");
	bench_free(bench);
}

/* What the threads of the program before did is not what this one does; and it has its own second. */
Test(why, a_look_before_an_exec)
{
	struct bench *bench = with_parent();
	char words[WHY_TEXT_SIZE];

	child_dies(bench, DIED, 100);
	feed_tasks(bench, JUDGED, 'S', 0, 77);
	expect_cause(bench, JUDGED, 100, "waits-for-others");
	feed_exec(bench, JUDGED + 10, PARENT, "/bin/x", "x");
	cr_assert_str_eq(cause_of(bench, JUDGED + 1009, 100, words), "unknown", "%s", words);
	cr_assert(strstr(words, "too early to tell"), "%s", words);
	expect_cause(bench, JUDGED + 1010, 100, "never-waits");
	bench_free(bench);
}

/* Nor what they did before it was stopped, or went on. */
Test(why, a_look_before_it_goes_on)
{
	struct bench *bench = with_parent();

	child_dies(bench, DIED, 100);
	feed_stop(bench, JUDGED, PARENT, LT_STOP);
	feed_tasks(bench, JUDGED + 1, 'T', 0, 0);
	expect_cause(bench, JUDGED + 2, 100, "blocked");
	feed_stop(bench, JUDGED + 3, PARENT, LT_CONTINUE);
	expect_cause(bench, JUDGED + 4, 100, "never-waits");
	bench_free(bench);
}

/* A tracer lets it go on, and a terminal's signal may do nothing: neither is told. */
Test(why, goes_on_though_it_was_stopped)
{
	struct bench *bench = with_parent();

	child_dies(bench, DIED, 100);
	feed_stop(bench, DIED + 1, PARENT, LT_STOP);
	expect_cause(bench, JUDGED, 100, "blocked");
	feed_tasks(bench, JUDGED, 'S', 0, 0);
	expect_cause(bench, JUDGED, 100, "never-waits");
	feed_tasks(bench, JUDGED + 1, 'T', 0, 0);
	expect_cause(bench, JUDGED + 1, 100, "blocked");
	bench_free(bench);
}

/* Whoever was in D shortly before it died can still be: no doing of its own is claimed. */
Test(why, in_d_before_it_died)
{
	struct bench *bench = with_parent();

	feed_policy(bench, 2, 100, 5, 600000, 5000, "");
	feed_tasks(bench, DIED - 10, 'D', 0, 0);
	child_dies(bench, DIED, 100);
	expect_cause(bench, DIED + 200, 100, "unknown");
	feed_tasks(bench, DIED + 300, 'S', 0, 0);
	expect_cause(bench, DIED + 300, 100, "never-waits");
	bench_free(bench);
}

/* One look says nothing of how long it has been so. */
Test(why, in_d_for_how_long)
{
	struct bench *bench = with_parent();

	child_dies(bench, DIED, 100);
	feed_tasks(bench, JUDGED, 'D', 0, 0);
	expect_cause(bench, JUDGED, 100, "unknown");
	feed_tasks(bench, JUDGED + 999, 'D', 0, 0);
	expect_cause(bench, JUDGED + 999, 100, "unknown");
	feed_tasks(bench, JUDGED + 1000, 'D', 0, 0);
	expect_cause(bench, JUDGED + 1000, 100, "blocked");
	bench_free(bench);
}

static void count_looks(void *user, struct lt_id id, struct lt_cgroup_id cgroup, uint32_t flags)
{
	int *looks = user;

	(void)cgroup;
	*looks += id.pid == PARENT && flags == LT_PROC_TASKS ? 1 : 100;
}

static int looks_soon(struct bench *bench, uint64_t ms)
{
	int looks = 0;

	feed_tick(bench, ms);
	core_each_judged_soon(bench->core, count_looks, &looks);
	return looks;
}

/* So that it is known from the first moment whether its parent is blocked. */
Test(why, threads_are_wanted_before_it_is_flagged)
{
	struct bench *bench = with_parent();

	feed_policy(bench, 2, 8000, 5, 600000, 5000, "");
	child_dies(bench, DIED, 100);
	cr_expect_eq(looks_soon(bench, DIED + 6999), 0);
	cr_expect_eq(looks_soon(bench, DIED + 7000), 1);
	feed_tasks(bench, DIED + 7100, 'S', 0, 0);
	cr_expect_eq(looks_soon(bench, DIED + 7200), 0, "they have just been looked at");
	child_dies(bench, DIED + 7300, 101);
	cr_expect_eq(looks_soon(bench, DIED + 7999), 0, "the second one has time");
	/* and then those of flagged ones are */
	cr_expect_eq(looks_soon(bench, DIED + 9000), 0);
	feed_free(bench, DIED + 9100, 100);
	cr_expect_eq(looks_soon(bench, DIED + 14300), 1, "that was before it died");
	bench_free(bench);
}

Test(why, traced_wins)
{
	struct bench *bench = with_parent();

	feed_fork(bench, DIED - 1, 100, PARENT);
	feed_exit(bench, DIED, 100, PARENT, 0, NOBODY, LT_EXIT_TRACED);
	feed_stop(bench, DIED + 1, PARENT, LT_STOP);
	expect_cause(bench, DIED + 1, 100, "traced");
	bench_free(bench);
}

/* It reaps each within 2 ms, ten times; then no more. */
static void reap_ten(struct bench *bench)
{
	for (uint64_t i = 0; i < 10; i++) {
		feed_death(bench, 1000 + i * 10, 1000 + i, 0, LT_SIG_DFL,
			   waits_of_parent(i, 0, 0, 1000 + i * 10 - 5));
		feed_waits(bench, 1002 + i * 10, waits_of_parent(i + 1, 0, 0, 1001 + i * 10));
		feed_free(bench, 1002 + i * 10, 1000 + i);
	}
}

Test(why, stopped_waiting_not_before_its_time)
{
	struct bench *bench = with_parent();

	reap_ten(bench);
	feed_death(bench, DIED, 100, 0, LT_SIG_DFL, waits_of_parent(10, 0, 0, 1091));
	expect_cause(bench, DIED + 2999, 100, "unknown");
	expect_cause(bench, DIED + 3000, 100, "stopped-waiting");
	bench_free(bench);
}

/* Of one who takes eight seconds for each, five are no silence. */
Test(why, as_long_as_it_ever_took)
{
	struct bench *bench = with_parent();

	child_dies(bench, 1000, 99);
	feed_waits(bench, 9000, waits_of_parent(1, 0, 0, 9000));
	feed_free(bench, 9000, 99);
	feed_death(bench, DIED, 100, 0, LT_SIG_DFL, waits_of_parent(1, 0, 0, 9000));
	expect_cause(bench, DIED + 7999, 100, "unknown");
	expect_cause(bench, DIED + 8000, 100, "stopped-waiting");
	bench_free(bench);
}

/* Calls that only look are no sign of life of a wait loop. */
Test(why, only_looks_since_it_reaped)
{
	struct bench *bench = with_parent();

	reap_ten(bench);
	feed_death(bench, DIED, 100, 0, LT_SIG_DFL, waits_of_parent(10, 0, 0, 1091));
	feed_waits(bench, JUDGED, waits_of_parent(30, 0, 20, JUDGED - 1));
	expect_cause(bench, JUDGED, 100, "stopped-waiting");
	/* a reap before it died can be told afterwards */
	child_dies(bench, JUDGED - 2000, 101);
	feed_free(bench, JUDGED, 101);
	expect_cause(bench, JUDGED, 100, "stopped-waiting");
	bench_free(bench);
}

Test(why, falls_behind)
{
	struct bench *bench = with_parent();

	for (uint64_t i = 0; i < 6; i++)
		child_dies(bench, DIED + i, 100 + i);
	for (uint64_t i = 0; i < 3; i++) {
		uint64_t ms = DIED + 1000 * (i + 1);

		feed_waits(bench, ms, waits_of_parent(i + 1, 0, 0, ms));
		feed_free(bench, ms, 100 + i);
	}
	expect_cause(bench, DIED + 3500, 105, "falls-behind");
	bench_free(bench);
}

/* Its one call took another; and when it asks for others only from then on, that is no reaping. */
Test(why, took_others_once)
{
	struct bench *bench = with_parent();
	struct lt_waits waits = waits_of_parent(1, 0, 0, DIED + 1500);
	char words[WHY_TEXT_SIZE];

	child_dies(bench, DIED, 100);
	child_dies(bench, DIED + 1, 101);
	feed_waits(bench, DIED + 1500, waits);
	feed_free(bench, DIED + 1500, 100);
	cr_assert_str_eq(cause_of(bench, DIED + 2000, 101, words), "unknown", "%s", words);
	expect_words(words, "asked for any child, and took others");
	waits.calls += waits.pid = 600;
	waits.last_which = LT_WAIT_PID;
	waits.last_pid = 77;
	waits.last_ns = MS(DIED + 60000);
	feed_waits(bench, DIED + 60000, waits);
	expect_cause(bench, DIED + 60000, 101, "unknown");
	bench_free(bench);
}

/* Ten die at once: SIGNALS of them come through, and CALLS waits follow. */
static struct bench *burst(uint64_t signals, uint64_t calls)
{
	struct bench *bench = with_parent();

	for (uint64_t i = 0; i < 10; i++)
		feed_death(bench, DIED + i, 100 + i, i < signals ? 0 : LT_NOTIFY_COALESCED,
			   LT_SIG_HANDLER, (struct lt_waits){ 0 });
	feed_waits(bench, DIED + 20, waits_of_parent(calls, 0, 0, DIED + 20));
	for (uint64_t i = 0; i < calls && i < 10; i++)
		feed_free(bench, DIED + 20, 100 + i);
	return bench;
}

Test(why, coalesced)
{
	struct bench *bench = burst(2, 2);

	expect_cause(bench, DIED + 2000, 105, "unknown"); /* it may be at work */
	expect_cause(bench, JUDGED, 105, "coalesced-sigchld");
	bench_free(bench);
}

Test(why, coalesced_is_a_habit)
{
	struct bench *bench = burst(3, 3);
	char words[WHY_TEXT_SIZE];

	expect_cause(bench, DIED + 2000, 105, "coalesced-sigchld");
	bench_free(bench);
	bench = burst(1, 1);
	cause_of(bench, JUDGED, 105, words);
	expect_words(words, "a SIGCHLD was pending, and 1 call for any child was made;");
	bench_free(bench);
}

/* It loops, and then stands still: signals that were swallowed are not to blame. */
Test(why, not_coalesced_by_a_loop)
{
	struct bench *bench = burst(2, 6);

	expect_cause(bench, JUDGED, 108, "stopped-waiting");
	bench_free(bench);
}

static void feed_signalless(struct bench *bench, uint64_t pid)
{
	struct lt_exit e = { .hdr = { .size = sizeof(e), .kind = LT_EXIT, .time_ns = MS(DIED) },
			     .id = id_of(pid),
			     .parent = id_of(PARENT) };

	feed_fork(bench, DIED - 1, pid, PARENT);
	feed(bench, &e);
}

Test(why, no_sigchld)
{
	struct bench *bench = with_parent();
	struct lt_waits waits = waits_of_parent(2, 0, 0, DIED + 10);

	feed_signalless(bench, 100);
	feed_waits(bench, JUDGED, waits);
	expect_cause(bench, JUDGED, 100, "no-sigchld");
	waits.wall = 1;
	feed_waits(bench, JUDGED, waits);
	expect_cause(bench, JUDGED, 100, "stopped-waiting");
	bench_free(bench);
}

/* Calls with __WALL for others, and those for any that lack it: neither sees this one. */
Test(why, no_sigchld_among_others)
{
	struct bench *bench = with_parent();
	struct lt_waits waits = waits_of_parent(20, 20, 0, JUDGED);
	char words[WHY_TEXT_SIZE];

	feed_signalless(bench, 100);
	waits.wall = 20;
	feed_waits(bench, JUDGED, waits);
	cr_assert_str_eq(cause_of(bench, JUDGED, 100, words), "unknown", "%s", words);
	expect_words(words, "lacks __WALL, as its exit signal is not SIGCHLD");
	child_dies(bench, JUDGED - 100, 101);
	feed_free(bench, JUDGED, 101);
	expect_cause(bench, JUDGED, 100, "unknown");
	bench_free(bench);
}

/* A subreaper gets a zombie: what it asked for before does not count. */
Test(why, adopted_as_a_zombie)
{
	struct bench *bench = with_parent();
	char words[WHY_TEXT_SIZE];

	feed_waits(bench, 5000, waits_of_parent(4, 0, 0, 5000));
	feed_fork(bench, 6000, 60, PARENT);
	feed_fork(bench, 6001, 61, 60);
	feed_exit(bench, 6002, 61, 60, 0, NOBODY, 0);
	feed_notify(bench, 6002, 61, 60, 0, 0);
	feed_exit(bench, DIED, 60, PARENT, 0, PARENT, 0);
	expect_cause(bench, DIED + 500, 61, "unknown");
	expect_cause(bench, DIED + 3000, 61, "subreaper-does-not-reap");
	feed_waits(bench, JUDGED, waits_of_parent(5, 0, 0, DIED + 100));
	cr_assert_str_eq(cause_of(bench, JUDGED, 61, words), "stopped-waiting", "%s", words);
	expect_words(words, "1 wait call since it was adopted");
	cr_assert_not(strstr(words, "SIGCHLD had"), "its first parent's: %s", words);
	bench_free(bench);
}

/* One that died long before the daemon came: what was called for in between nobody knows. */
Test(why, died_before_the_watch)
{
	struct bench *bench = bench_new();
	struct lt_start start = {
		.hdr = { .size = sizeof(start), .kind = LT_START, .time_ns = MS(DIED) },
		.started_ns = MS(DIED)
	};
	char words[WHY_TEXT_SIZE];

	feed(bench, &start);
	feed_policy(bench, DIED, 1000, 5, 600000, 5000, "");
	feed_pass(bench, DIED, LT_PASS_BEGIN, DIED, true);
	feed_scan(bench, DIED, INIT, NOBODY, LT_RUNNING);
	feed_scan(bench, DIED, PARENT, INIT, LT_RUNNING);
	feed_scan(bench, DIED, 100, PARENT, LT_ZOMBIE);
	feed_pass(bench, DIED + 1, LT_PASS_END, DIED, true);
	feed_tasks(bench, JUDGED, 'S', 0, 0);
	cr_assert_str_eq(cause_of(bench, JUDGED, 100, words), "never-waits", "%s", words);
	expect_words(words, "no wait call since the watch began");
	bench_free(bench);
}

/* From one adopter to the next: whose child it was at first is not who had it last. */
Test(why, adopted_twice)
{
	struct bench *bench = with_parent();
	char words[WHY_TEXT_SIZE];

	feed_fork(bench, 60, 60, PARENT);
	feed_fork(bench, 61, 61, 60);
	feed_fork(bench, 62, 62, 61);
	feed_exit(bench, 70, 61, 60, 0, 60, 0);
	feed_exit(bench, 80, 62, 60, 0, NOBODY, 0);
	feed_notify(bench, 80, 62, 60, 0, 0);
	feed_exit(bench, DIED, 60, PARENT, 0, PARENT, 0);
	cr_assert_str_eq(cause_of(bench, JUDGED, 62, words), "subreaper-does-not-reap", "%s",
			 words);
	expect_words(words, "has adopted it, a child of 61 (forked)");
	bench_free(bench);
}

static void feed_adopter(struct bench *bench, uint64_t ms, uint64_t adopter)
{
	struct lt_adopter e = { .hdr = { .size = sizeof(e), .kind = LT_ADOPTER, .time_ns = MS(ms) },
				.id = id_of(PARENT),
				.adopter = id_of(adopter) };

	feed(bench, &e);
}

/* Who reaps its own children by their pids is not known to reap those that it adopts. */
Test(why, adopter_that_reaps_by_pid)
{
	struct bench *bench = bench_new();
	struct lt_wait e = { .hdr = { .size = sizeof(e), .kind = LT_WAITS, .time_ns = MS(200) },
			     .id = id_of(5),
			     .waits = { .start_ns = id_of(5).start_ns, .calls = 1, .pid = 1 } };

	feed_policy(bench, 1, 1000, 5, 600000, 5000, "");
	feed_fork(bench, 1, INIT, NOBODY);
	feed_fork(bench, 5, 5, INIT);
	feed_fork(bench, 50, PARENT, 5);
	feed_fork(bench, 60, 60, 5);
	feed_exit(bench, 100, 60, 5, 0, NOBODY, 0);
	feed_notify(bench, 100, 60, 5, 0, 0);
	feed(bench, &e);
	feed_free(bench, 200, 60);
	child_dies(bench, DIED, 100);
	feed_adopter(bench, JUDGED, 5);
	expect_words(clear_now_of(bench, JUDGED, 100), "has not been seen to reap whoever comes");
	e.waits.calls = 2;
	e.waits.any = 1;
	feed(bench, &e);
	expect_words(clear_now_of(bench, JUDGED, 100), "adopts and reaps them");
	bench_free(bench);
}

/* A restart of the service ends its own subreaper, too: that one adopts nobody then. */
Test(why, adopter_that_is_restarted_with_it)
{
	struct bench *bench = bench_new();

	feed_policy(bench, 1, 1000, 5, 600000, 5000, "");
	feed_cgroup(bench, 2, 7, "/system.slice/web.service");
	feed_fork(bench, 1, INIT, NOBODY);
	feed_fork_in(bench, 5, 5, INIT, 7);
	feed_fork_in(bench, 50, PARENT, 5, 7);
	child_dies(bench, DIED, 100);
	feed_adopter(bench, JUDGED, 5);
	expect_words(
		clear_now_of(bench, JUDGED, 100),
		"restarting web.service frees 1: 5 (forked) would adopt them, and ends with it");
	feed_adopter(bench, JUDGED, INIT);
	expect_words(clear_now_of(bench, JUDGED, 100), "1 (forked) adopts and reaps them");
	bench_free(bench);
}

Test(why, init_does_not_reap)
{
	struct bench *bench = bench_new();

	feed_policy(bench, 1, 1000, 5, 600000, 5000, "");
	feed_fork(bench, 1, INIT, NOBODY);
	feed_fork(bench, 5, 5, INIT);
	feed_fork(bench, DIED - 1, 100, INIT);
	feed_exit(bench, DIED, 100, INIT, 0, NOBODY, 0);
	feed_notify(bench, DIED, 100, INIT, 0, 0);
	expect_cause(bench, JUDGED, 100, "init-does-not-reap");
	bench_free(bench);
}

/* It goes on waiting for its own, by their pids; and nobody adopts when it ends. */
Test(why, init_reaps_only_its_own)
{
	struct bench *bench = bench_new();
	struct lt_wait e = {
		.hdr = { .size = sizeof(e), .kind = LT_WAITS, .time_ns = MS(DIED + 100) },
		.id = id_of(PARENT),
		.waits = waits_of_parent(0, 50, 0, DIED + 2900)
	};
	struct lt_fork init = { .hdr = { .size = sizeof(init), .kind = LT_FORK, .time_ns = MS(50) },
				.child = id_of(PARENT),
				.parent = id_of(INIT),
				.creator = id_of(INIT),
				.exit_signal = SIGCHLD,
				.ns_pid = 1,
				.comm = "sh" };

	feed_policy(bench, 1, 1000, 5, 600000, 5000, "");
	feed_fork(bench, 1, INIT, NOBODY);
	feed(bench, &init);
	child_dies(bench, DIED, 100);
	feed(bench, &e);
	expect_cause(bench, DIED + 2950, 100, "waits-for-others");
	expect_words(clear_now_of(bench, DIED + 2950, 100), "its pid namespace ends");
	expect_cause(bench, DIED + 3000, 100, "init-does-not-reap");
	bench_free(bench);
}

Test(why, of_nobody)
{
	static const struct viewer everyone = { .all = true };
	struct bench *bench = with_parent();

	cr_assert_null(view_why(bench->core, MS(100), 4711, &everyone));
	expect_cause(bench, 100, PARENT, "null");
	bench_free(bench);
}

/* What was known before a recording began is known in it. */
static void feed_on(void *user, const struct lt_hdr *record)
{
	core_apply(user, record, record->size);
}

Test(why, handed_on)
{
	static const struct viewer everyone = { .all = true };
	struct bench *bench = burst(3, 3), *next = bench_new();
	json_t *here, *there;

	feed_tasks(bench, JUDGED, 'S', 0, 0);
	feed_tick(bench, JUDGED);
	core_dump(bench->core, feed_on, next->core);
	here = view_why(bench->core, MS(JUDGED), 105, &everyone);
	there = view_why(next->core, MS(JUDGED), 105, &everyone);
	cr_assert(json_equal(here, there), "%s\n%s", json_dumps(here, 0), json_dumps(there, 0));
	json_decref(here);
	json_decref(there);
	bench_free(bench);
	bench_free(next);
}

/* The manual explains each cause, with the remedy that the program tells. */
Test(why, documented)
{
	static const struct {
		const char *name, *remedy;
	} causes[] = {
#define X(NAME, name, remedy) { name, remedy },
		LT_CAUSES(X)
#undef X
	};
	static char manual[65536];
	FILE *file = fopen(WHY_MANUAL, "re");
	char row[512];

	cr_assert(file && fread(manual, 1, sizeof(manual) - 1, file));
	fclose(file);
	for (size_t i = 0; i < CAUSES; i++) {
		snprintf(row, sizeof(row), "| `%s` | %s |", causes[i].name,
			 causes[i].remedy ? causes[i].remedy : "none");
		cr_expect(strstr(manual, row), "docs/why.md lacks: %s", row);
	}
}
