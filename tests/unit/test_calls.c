// SPDX-License-Identifier: GPL-2.0-only
/* What forks cost, forks that fail, what wait calls answer: records and rows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define PARENT 50
#define CHILD 100

static const json_t *value_at(const json_t *row, const char *object, const char *name)
{
	return json_object_get(json_object_get(row, object), name);
}

static json_int_t number_at(const json_t *row, const char *object, const char *name)
{
	const json_t *value = value_at(row, object, name);

	cr_assert(json_is_integer(value), "%s.%s is no number", object, name);
	return json_integer_value(value);
}

static void feed_start(struct bench *b)
{
	struct lt_start e = { .hdr = { sizeof(e), LT_START, 0, 0 }, .page_bytes = 4096 };

	feed(b, &e);
}

static void feed_costly_fork(struct bench *b, uint64_t ms, unsigned flags)
{
	struct lt_fork e = { .hdr = { sizeof(e), LT_FORK, 0, MS(ms) },
			     .child = id_of(CHILD),
			     .parent = id_of(PARENT),
			     .creator = id_of(PARENT),
			     .duration_ns = 1500,
			     .rss_pages = 10,
			     .pagetable_bytes = 8192,
			     .flags = flags };

	feed(b, &e);
}

Test(calls, what_a_fork_cost)
{
	struct bench *b = bench_new();
	json_t *row;

	feed_start(b);
	feed_costly_fork(b, 1000, LT_FORK_SIZES);
	row = row_of(b, CHILD);
	cr_assert_eq(number_at(row, "fork", "duration_ns"), 1500);
	cr_assert_eq(number_at(row, "fork", "rss_bytes"), 40960);
	cr_assert_eq(number_at(row, "fork", "pagetable_bytes"), 8192);
	cr_assert(json_is_null(value_at(row, "fork", "vfork_wait_ns")));
	json_decref(row);
	feed_fork_end(b, 1010, CHILD, 777);
	row = row_of(b, CHILD);
	cr_assert_eq(number_at(row, "fork", "vfork_wait_ns"), 777);
	json_decref(row);
	bench_free(b);
}

/* A kernel thread has no memory; what was there before the start has no known birth. */
Test(calls, what_is_not_known_is_null)
{
	static const char *const names[] = { "duration_ns", "vfork_wait_ns", "rss_bytes",
					     "pagetable_bytes" };
	struct bench *b = bench_new();
	json_t *row;

	feed_start(b);
	feed_fork(b, 1000, CHILD, PARENT);
	row = row_of(b, CHILD);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		cr_assert(json_is_null(value_at(row, "fork", names[i])), "%s", names[i]);
	json_decref(row);
	bench_free(b);
}

/* The child went, and was forgotten, before its parent went on. */
Test(calls, the_end_of_a_forgotten_vfork)
{
	struct bench *b = bench_new();

	feed_fork_end(b, 1000, CHILD, 777);
	expect_text(state_of(b, CHILD), "unknown");
	bench_free(b);
}

Test(calls, failures_by_errno)
{
	struct bench *b = bench_new();
	json_t *row, *status;

	feed_fork(b, 900, PARENT, 1);
	feed_fork_fail(b, 1000, PARENT, EAGAIN);
	feed_fork_fail(b, 1001, PARENT, ENOMEM);
	feed_fork_fail(b, 1002, PARENT, EAGAIN);
	feed_fork_fail(b, 1003, CHILD, EAGAIN); /* it was not known before */
	expect_told(b, "fork fork-fail fork-fail fork-fail fork-fail");
	row = row_of(b, PARENT);
	cr_assert_eq(number_at(row, "fork_failures", "EAGAIN"), 2);
	cr_assert_eq(number_at(row, "fork_failures", "ENOMEM"), 1);
	json_decref(row);
	status = view_status(b->core, MS(1003));
	cr_assert_eq(number_at(status, "fork_failures", "EAGAIN"), 3);
	cr_assert_eq(number_at(status, "fork_failures", "ENOMEM"), 1);
	json_decref(status);
	bench_free(b);
}

/* More errnos than there is room for: the rest is counted together. */
Test(calls, failures_beyond_the_slots)
{
	struct bench *b = bench_new();
	json_int_t sum = 0;
	const char *name;
	json_t *row, *count;

	feed_fork(b, 900, PARENT, 1);
	for (unsigned err = 1; err <= 20; err++)
		feed_fork_fail(b, 1000 + err, PARENT, err);
	feed_fork_fail(b, 1030, PARENT, 5000);
	row = row_of(b, PARENT);
	json_object_foreach(json_object_get(row, "fork_failures"), name, count)
		sum += json_integer_value(count);
	cr_assert_eq(sum, 21);
	cr_assert_eq(number_at(row, "fork_failures", "other"), 21 - (LT_FAILURES - 1));
	json_decref(row);
	bench_free(b);
}

Test(calls, a_count_that_is_full_stays)
{
	struct lt_life e = { .hdr = { sizeof(e), LT_LIFE, 0, MS(1000) },
			     .id = id_of(PARENT),
			     .state = LT_RUNNING,
			     .fork_failures = { { EAGAIN, UINT32_MAX } } };
	struct bench *b = bench_new();
	json_t *row;

	feed(b, &e);
	feed_fork_fail(b, 1001, PARENT, EAGAIN);
	row = row_of(b, PARENT);
	cr_assert_eq(number_at(row, "fork_failures", "EAGAIN"), UINT32_MAX);
	json_decref(row);
	bench_free(b);
}

static void feed_call(struct bench *b, uint64_t ms, enum lt_wait_outcome outcome, int64_t result)
{
	struct lt_wait_call e = { .hdr = { sizeof(e), LT_WAIT_CALL, 0, MS(ms) },
				  .id = id_of(PARENT),
				  .began_ns = MS(ms) - 2500,
				  .result = result,
				  .pid = -1,
				  .options = 1,
				  .tid = 51,
				  .call = LT_WAIT4,
				  .outcome = (uint8_t)outcome };

	feed(b, &e);
}

Test(calls, answers_of_wait_calls)
{
	static const struct {
		enum lt_wait_outcome outcome;
		int64_t result;
		const char *words, *errno_name;
	} all[] = {
		{ LT_WAIT_REAPED, CHILD, "reaped", NULL },
		{ LT_WAIT_REPORTED, CHILD, "reported", NULL },
		{ LT_WAIT_NOTHING, 0, "nothing", NULL },
		{ LT_WAIT_UNKNOWN, 0, "unknown", NULL },
		{ LT_WAIT_ECHILD, -ECHILD, "echild", "ECHILD" },
		{ LT_WAIT_EINTR, -EINTR, "eintr", "EINTR" },
		{ LT_WAIT_FAILED, -EFAULT, "failed", "EFAULT" },
		{ LT_WAIT_RESTARTED, -512, "restarted", NULL },
	};
	struct bench *b = bench_new();

	feed_fork(b, 900, PARENT, 1);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		feed_call(b, 1000 + i, all[i].outcome, all[i].result);
		expect_text(text_at(b->last_line, "kind"), "wait");
		expect_text(text_at(b->last_line, "call.result"), all[i].words);
		expect_text(text_at(b->last_line, "call.errno"),
			    all[i].errno_name ? all[i].errno_name : "null");
		expect_text(text_at(b->last_line, "call.call"), "wait4");
		cr_assert_eq(number_at(b->last_line, "call", "blocked_ns"), 2500);
		cr_assert_eq(number_at(b->last_line, "call", "tid"), 51);
		if (all[i].result > 0)
			cr_assert_eq(number_at(b->last_line, "call", "child_pid"), CHILD);
		else
			cr_assert(json_is_null(value_at(b->last_line, "call", "child_pid")));
	}
	bench_free(b);
}

static const json_t *waiting_since(json_t *row)
{
	return value_at(row, "waits", "waiting_since_ns");
}

static void feed_waits(struct bench *b, uint64_t ms, uint64_t waiting_since_ms)
{
	struct lt_wait e = { .hdr = { sizeof(e), LT_WAITS, 0, MS(ms) },
			     .id = id_of(PARENT),
			     .waits = { .start_ns = MS(PARENT),
					.calls = 1,
					.waiting_since_ns = MS(waiting_since_ms) } };

	feed(b, &e);
}

/* Whose end nobody watched for is not said to last: not even after it is watched for again. */
Test(calls, only_what_is_watched_is_under_way)
{
	struct bench *b = bench_new();
	json_t *row;

	feed_fork(b, 900, PARENT, 1);
	feed_waits(b, 950, 940);
	feed_hook(b, 1000, "wait_results", "off: nobody asks");
	row = row_of(b, PARENT);
	cr_assert(json_is_null(waiting_since(row)), "off");
	json_decref(row);
	feed_hook(b, 1100, "wait_results", "tp/syscalls/sys_exit_wait4");
	row = row_of(b, PARENT);
	cr_assert(json_is_null(waiting_since(row)), "from before it was on");
	json_decref(row);
	feed_waits(b, 1200, 1150);
	feed_hook(b, 1300, "wait_results", "tp/syscalls/sys_exit_wait4"); /* told again */
	row = row_of(b, PARENT);
	cr_assert_eq(number_at(row, "waits", "waiting_since_ns"), (json_int_t)MS(1150));
	json_decref(row);
	bench_free(b);
}
