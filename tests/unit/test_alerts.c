// SPDX-License-Identifier: GPL-2.0-only
/* Alerts: when they begin and end, with time passed in, and what they say. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "core/alerts.h"

#define PARENT 50
#define SELF 40 /* the daemon */

static const struct viewer everyone = { .all = true };

static void set_policy(struct bench *bench, uint64_t ms, uint64_t flagged, uint64_t forks,
		       uint64_t forks_for_ms, uint64_t settle_ms)
{
	union {
		struct lt_alert_policy e;
		char bytes[128];
	} u = { .e = { .hdr = { sizeof(u.e) + 8, LT_ALERT_POLICY, 0, MS(ms) },
		       .flagged_limit = flagged,
		       .storm_per_s = forks,
		       .storm_for_ns = MS(forks_for_ms),
		       .pids_within_ns = MS(60000),
		       .settle_ns = MS(settle_ms),
		       .self_pid = SELF,
		       .host_len = 4 } };

	memcpy(u.bytes + sizeof(u.e), "here", 4);
	feed(bench, &u.e);
}

static struct bench *with_alerts(uint64_t flagged, uint64_t forks)
{
	struct bench *bench = bench_new();
	struct lt_start start = { .hdr = { sizeof(start), LT_START, 0, MS(1) },
				  .boot_realtime_ns = 1700000000 * NSEC_PER_SEC,
				  .started_ns = MS(1) };

	bench->alerts = true;
	feed(bench, &start);
	feed_policy(bench, 1, 1000, 3, 60000, 5000, "quiet");
	set_policy(bench, 1, flagged, forks, 3000, 10000);
	feed_fork(bench, 1, 1, NOBODY);
	feed_fork(bench, 50, PARENT, 1);
	*bench->told = '\0';
	return bench;
}

static void die(struct bench *bench, uint64_t ms, uint64_t pid)
{
	feed_fork(bench, ms, pid, PARENT);
	feed_exit(bench, ms, pid, PARENT, 0, NOBODY, 0);
	feed_notify(bench, ms, pid, PARENT, 0, 0);
}

/* The alerts that fire now: their keys, in order. */
static const char *firing(struct bench *bench)
{
	json_t *document = view_alerts(bench->core, core_now_ns(bench->core), &everyone), *row;
	static char keys[512];
	size_t i;

	*keys = '\0';
	json_array_foreach(json_object_get(document, "alerts"), i, row)
		snprintf(keys + strlen(keys), sizeof(keys) - strlen(keys), "%s%s", i ? " " : "",
			 text_at(row, "key"));
	json_decref(document);
	return keys;
}

/* The first that fires, as a new reference. */
static json_t *first_alert(struct bench *bench)
{
	json_t *document = view_alerts(bench->core, core_now_ns(bench->core), &everyone);
	json_t *row = json_incref(json_array_get(json_object_get(document, "alerts"), 0));

	json_decref(document);
	return row;
}

#define expect_firing(bench, keys) expect_text(firing(bench), (keys))

static void lose(struct bench *bench, uint64_t ms, uint64_t count)
{
	struct lt_counts e = { .hdr = { sizeof(e), LT_LOST, 0, MS(ms) } };

	e.count[LT_FORK] = count;
	feed(bench, &e);
}

Test(alerts, a_leak_from_begin_to_end)
{
	struct bench *bench = with_alerts(0, 0);

	for (uint64_t pid = 100; pid < 104; pid++)
		die(bench, 2000, pid);
	feed_tick(bench, 4000);
	cr_assert(strstr(bench->told, "leak-open alert"), "%s", bench->told);
	expect_firing(bench, "leak:50-50000000");
	*bench->told = '\0';
	for (uint64_t pid = 100; pid < 104; pid++)
		feed_free(bench, 5000, pid);
	feed_tick(bench, 20000);
	cr_assert(strstr(bench->told, "leak-close alert"), "%s", bench->told);
	expect_text(text_at(bench->last_line, "state"), "resolved");
	expect_firing(bench, "");
	bench_free(bench);
}

Test(alerts, say_what_pages_the_right_person)
{
	struct bench *bench = with_alerts(0, 0);
	json_t *document;
	const json_t *line;

	for (uint64_t pid = 100; pid < 104; pid++)
		die(bench, 2000, pid);
	feed_tick(bench, 3000);
	document = view_alerts(bench->core, MS(3000), &everyone);
	line = json_array_get(json_object_get(document, "alerts"), 0);
	expect_text(text_at(line, "alert"), "leak");
	expect_text(text_at(line, "state"), "firing");
	expect_text(text_at(line, "severity"), "warning");
	expect_text(text_at(line, "host"), "here");
	expect_text(text_at(line, "parent_comm"), "forked");
	expect_text(text_at(line, "starts_at"), "2023-11-14T22:13:23.000Z");
	cr_assert(json_is_null(json_object_get(line, "ends_at")));
	cr_assert(text_at(line, "cause"), "no cause");
	cr_assert(text_at(line, "remedy"), "no remedy");
	cr_assert_geq(json_integer_value(json_object_get(line, "zombies")), 3);
	cr_assert_eq(json_integer_value(json_object_get(line, "oldest_ms")), 1000);
	json_decref(document);
	bench_free(bench);
}

Test(alerts, ignored_parents_are_none)
{
	struct bench *bench = with_alerts(0, 0);

	feed_comm(bench, 60, PARENT, "quiet");
	for (uint64_t pid = 100; pid < 104; pid++)
		die(bench, 2000, pid);
	feed_tick(bench, 9000);
	expect_firing(bench, "");
	bench_free(bench);
}

static void silence_what(struct bench *bench, uint64_t ms, const char *what, uint64_t until_ms)
{
	union {
		struct lt_silence e;
		char bytes[128];
	} u = { .e = { .hdr = { sizeof(u.e), LT_SILENCE, 0, MS(ms) },
		       .until_ns = MS(until_ms),
		       .text_len = (uint32_t)strlen(what) } };
	enum lt_silence_kind kind;
	uint64_t pid = 0;

	memcpy(u.bytes + sizeof(u.e), what, u.e.text_len);
	u.e.hdr.size += (u.e.text_len + 7U) & ~7U;
	cr_assert_eq(silence_parse(what, &kind, &pid), 0);
	u.e.kind = kind;
	feed(bench, &u.e);
}

static void silence(struct bench *bench, uint64_t ms, uint64_t until_ms)
{
	silence_what(bench, ms, "forked", until_ms);
}

Test(alerts, silenced_until_a_time)
{
	struct bench *bench = with_alerts(0, 0);

	silence(bench, 1000, 20000);
	for (uint64_t pid = 100; pid < 104; pid++)
		die(bench, 2000, pid);
	feed_tick(bench, 19999);
	cr_assert(!strstr(bench->told, "alert"), "%s", bench->told);
	expect_firing(bench, "");
	feed_tick(bench, 20000);
	cr_assert(strstr(bench->told, "alert"), "%s", bench->told);
	expect_firing(bench, "leak:50-50000000");
	silence(bench, 21000, 30000); /* of one that was told */
	expect_firing(bench, "");
	bench_free(bench);
}

/* ---- pids that run out ---- */

#define PIDS "leak:50-50000000 pids:50-50000000"

static void feed_left(struct bench *bench, uint64_t ms, uint64_t left)
{
	struct lt_limits e = { .hdr = { sizeof(e), LT_LIMITS, 0, MS(ms) }, .id = id_of(PARENT) };

	for (int i = 0; i < LT_LIMIT_COUNT; i++)
		e.limit[i].max = LT_NO_LIMIT;
	e.limit[LT_LIMIT_PID_MAX] = (struct lt_limit){ 1000 + left, 1000 };
	feed(bench, &e);
}

/* One a second from 10 s to 30 s; with_alerts() fires at less than a minute. */
static struct bench *leaking(void)
{
	struct bench *bench = with_alerts(0, 0);

	for (uint64_t i = 0; i < 20; i++)
		die(bench, 10000 + i * 1000, 100 + i);
	feed_tick(bench, 30000);
	*bench->told = '\0';
	return bench;
}

Test(pids, fire_when_they_run_out_within_the_limit)
{
	struct bench *bench = leaking();

	feed_left(bench, 30000, 60);
	expect_firing(bench, "leak:50-50000000");
	feed_left(bench, 30000, 59);
	expect_firing(bench, PIDS);
	expect_text(text_at(bench->last_line, "alert"), "pids");
	expect_text(text_at(bench->last_line, "severity"), "critical");
	expect_text(text_at(bench->last_line, "reason"), "kernel.pid_max");
	expect_text(text_at(bench->last_line, "parent_comm"), "forked");
	cr_assert_eq(json_integer_value(json_object_get(bench->last_line, "value")), 59);
	*bench->told = '\0';
	feed_left(bench, 30000, 58);
	cr_assert(!strstr(bench->told, "alert"), "told again: %s", bench->told);
	bench_free(bench);
}

Test(pids, are_over_when_twice_as_far_off)
{
	struct bench *bench = leaking();

	feed_left(bench, 30000, 59);
	feed_left(bench, 30000, 119);
	expect_firing(bench, PIDS);
	feed_left(bench, 30000, 120);
	expect_firing(bench, "leak:50-50000000");
	expect_text(text_at(bench->last_line, "state"), "resolved");
	feed_left(bench, 30000, 119); /* nearer again, and not near enough */
	expect_firing(bench, "leak:50-50000000");
	feed_left(bench, 30000, 59);
	expect_firing(bench, PIDS);
	bench_free(bench);
}

/* Twenty zombies and no more: 50 pids are for 120 s once that was 48 s ago. */
Test(pids, are_over_when_the_rate_falls)
{
	struct bench *bench = leaking();

	feed_left(bench, 30000, 50);
	feed_left(bench, 57000, 50);
	expect_firing(bench, PIDS);
	feed_left(bench, 58000, 50);
	expect_firing(bench, "leak:50-50000000");
	bench_free(bench);
}

Test(pids, end_with_their_leak)
{
	struct bench *bench = leaking();

	feed_left(bench, 30000, 59);
	for (uint64_t i = 0; i < 20; i++)
		feed_free(bench, 31000, 100 + i);
	feed_tick(bench, 50000);
	expect_firing(bench, "");
	cr_assert(strstr(bench->told, "leak-close"), "%s", bench->told);
	feed_left(bench, 50000, 0);
	expect_firing(bench, "");
	bench_free(bench);
}

/* Its first zombies came at once: what rate is that? */
Test(pids, of_a_young_leak_nothing_is_said)
{
	struct bench *bench = with_alerts(0, 0);

	for (uint64_t pid = 100; pid < 150; pid++)
		die(bench, 2000, pid);
	feed_tick(bench, 3000); /* it is open since, and settles for ten seconds */
	feed_left(bench, 12999, 1);
	expect_firing(bench, "leak:50-50000000");
	feed_left(bench, 13000, 1);
	expect_firing(bench, PIDS);
	bench_free(bench);
}

Test(pids, silenced_with_their_leak)
{
	struct bench *bench = leaking();

	silence(bench, 30000, 40000);
	feed_left(bench, 30000, 1);
	expect_firing(bench, "");
	feed_left(bench, 40001, 1);
	expect_firing(bench, PIDS);
	bench_free(bench);
}

Test(alerts, flagged_over_the_limit)
{
	struct bench *bench = with_alerts(2, 0);

	feed_policy(bench, 60, 1000, 1000, 60000, 5000, "");
	die(bench, 2000, 100);
	die(bench, 2000, 101);
	feed_tick(bench, 3500);
	expect_firing(bench, "");
	die(bench, 4000, 102);
	feed_tick(bench, 4999);
	expect_firing(bench, "");
	feed_tick(bench, 5000);
	expect_firing(bench, "flagged");
	cr_assert_eq(json_integer_value(json_object_get(bench->last_line, "value")), 3);
	feed_free(bench, 6000, 100);
	feed_tick(bench, 15999);
	expect_firing(bench, "flagged"); /* until it has been calm for ten seconds */
	cr_assert_eq(core_next_due_ns(bench->core), MS(16000));
	feed_tick(bench, 16000);
	expect_firing(bench, "");
	expect_text(text_at(bench->last_line, "ends_at"), "2023-11-14T22:13:36.000Z");
	bench_free(bench);
}

Test(alerts, flagged_ones_of_silenced_parents_do_not_count)
{
	struct bench *bench = with_alerts(2, 0);

	feed_policy(bench, 60, 1000, 1000, 60000, 5000, "");
	silence(bench, 1000, 30000);
	for (uint64_t pid = 100; pid < 104; pid++)
		die(bench, 2000, pid);
	feed_tick(bench, 29999);
	cr_assert(!strstr(bench->told, "alert"), "%s", bench->told);
	feed_tick(bench, 30000);
	expect_firing(bench, "flagged");
	cr_assert_eq(json_integer_value(json_object_get(bench->last_line, "value")), 4);
	expect_text(text_at(bench->last_line, "parent_comm"), "forked");
	cr_assert(strstr(text_at(bench->last_line, "summary"), "; forked (pid 50) holds the most"),
		  "%s", text_at(bench->last_line, "summary"));
	cr_assert(text_at(bench->last_line, "cause"), "no cause");
	cr_assert_eq(json_integer_value(json_object_get(bench->last_line, "oldest_ms")), 28000);
	silence(bench, 31000, 90000); /* one that fires is over once it has been calm */
	feed_tick(bench, 40999);
	expect_firing(bench, "flagged");
	feed_tick(bench, 41000);
	expect_firing(bench, "");
	bench_free(bench);
}

Test(alerts, flagged_ones_of_ignored_parents_do_not_count)
{
	struct bench *bench = with_alerts(2, 0);

	feed_policy(bench, 60, 1000, 1000, 60000, 5000, "f*ed");
	for (uint64_t pid = 100; pid < 104; pid++)
		die(bench, 2000, pid);
	feed_tick(bench, 9000);
	expect_firing(bench, "");
	feed_policy(bench, 60, 1000, 1000, 60000, 5000, "");
	expect_firing(bench, "flagged");
	bench_free(bench);
}

Test(alerts, that_come_back_within_the_calm_go_on)
{
	struct bench *bench = with_alerts(1, 0);

	feed_policy(bench, 60, 1000, 1000, 60000, 5000, "");
	die(bench, 2000, 100);
	die(bench, 2000, 101);
	feed_tick(bench, 3000);
	*bench->told = '\0';
	for (uint64_t i = 0; i < 5; i++) { /* one goes, another comes */
		feed_free(bench, 4000 + 3000 * i, 100 + i);
		die(bench, 4500 + 3000 * i, 102 + i);
		feed_tick(bench, 6000 + 3000 * i);
	}
	cr_assert(!strstr(bench->told, "alert"), "%s", bench->told);
	expect_firing(bench, "flagged");
	bench_free(bench);
}

static void storm(struct bench *bench, uint64_t *pid, uint64_t from_ms, uint64_t to_ms,
		  uint64_t every_ms)
{
	for (uint64_t ms = from_ms; ms < to_ms; ms += every_ms)
		feed_fork(bench, ms, (*pid)++, PARENT);
}

Test(alerts, a_fork_storm_is_one_after_its_time)
{
	struct bench *bench = with_alerts(0, 100);
	uint64_t pid = 1000;

	storm(bench, &pid, 10000, 12500, 5); /* 200 a second, for less than three */
	feed_tick(bench, 20000);
	expect_firing(bench, "");
	storm(bench, &pid, 30000, 34000, 20); /* 50 a second */
	expect_firing(bench, "");
	storm(bench, &pid, 40000, 44500, 5);
	expect_firing(bench, "fork-storm");
	feed_tick(bench, 46000); /* the second from 44 s on had too few */
	feed_tick(bench, 54999);
	expect_firing(bench, "fork-storm");
	feed_tick(bench, 55000);
	expect_firing(bench, "");
	cr_assert_eq(core_next_due_ns(bench->core), UINT64_MAX, "a calm host wakes nobody");
	bench_free(bench);
}

/* Who bears one each, but is one of many in a unit, is as much of it. */
Test(alerts, a_fork_storm_names_who_bears_it)
{
	struct bench *bench = with_alerts(0, 100);
	json_t *alert;

	feed_cgroup(bench, 100, 7, "/system.slice/bomb.service");
	feed_cgroup(bench, 100, 8, "/system.slice/calm.service");
	feed_fork_in(bench, 200, 200, 1, 7);
	feed_fork_in(bench, 300, 300, 1, 8);
	for (uint64_t i = 0; i < 1000; i++) {
		feed_fork_in(bench, 10000 + i * 5, 1000 + i, i ? 999 + i : 200, 7);
		if (i % 10 == 0)
			feed_fork_in(bench, 10000 + i * 5, 5000 + i, 300, 8);
	}
	expect_firing(bench, "fork-storm");
	alert = first_alert(bench);
	expect_text(text_at(alert, "unit"), "bomb.service");
	expect_text(text_at(alert, "parent_comm"), "forked");
	cr_assert(strstr(text_at(alert, "summary"), "; among those that bear them: forked"), "%s",
		  text_at(alert, "summary"));
	json_decref(alert);
	bench_free(bench);
}

Test(alerts, births_of_silenced_parents_are_no_storm)
{
	struct bench *bench = with_alerts(0, 100);
	json_t *alert;
	uint64_t pid = 1000;

	feed_cgroup(bench, 100, 7, "/system.slice/build.service");
	feed_fork_in(bench, 200, 200, 1, 7);
	silence_what(bench, 300, "build.service", 20000);
	for (uint64_t ms = 10000; ms < 25000; ms += 5)
		feed_fork_in(bench, ms, pid++, 200, 7);
	expect_firing(bench, "fork-storm"); /* of those from 20 s on */
	alert = first_alert(bench);
	cr_assert_geq(json_integer_value(json_object_get(alert, "since_ns")), MS(22990));
	expect_text(text_at(alert, "unit"), "build.service");
	json_decref(alert);
	silence_what(bench, 25000, "build.service", 90000);
	for (uint64_t ms = 25000; ms < 37000; ms += 5)
		feed_fork_in(bench, ms, pid++, 200, 7);
	expect_firing(bench, "");
	bench_free(bench);
}

Test(alerts, without_a_storm_no_second_is_waited_for)
{
	struct bench *bench = with_alerts(0, 100);
	uint64_t pid = 1000;

	storm(bench, &pid, 10000, 12000, 20);
	cr_assert_eq(core_next_due_ns(bench->core), UINT64_MAX);
	bench_free(bench);
}

Test(alerts, losses_add_up_until_calm)
{
	struct bench *bench = with_alerts(0, 0);

	lose(bench, 1000, 5);
	expect_firing(bench, "events-lost");
	lose(bench, 9000, 7);
	cr_assert_eq(core_next_due_ns(bench->core), MS(19000));
	feed_tick(bench, 19000);
	expect_text(text_at(bench->last_line, "state"), "resolved");
	cr_assert_eq(json_integer_value(json_object_get(bench->last_line, "value")), 12);
	lose(bench, 30000, 1);
	cr_assert_eq(json_integer_value(json_object_get(bench->last_line, "value")), 1);
	bench_free(bench);
}

Test(alerts, blind_when_a_hook_goes)
{
	struct bench *bench = with_alerts(0, 0);

	feed_hook(bench, 100, "birth", "tp_btf/task_newtask");
	feed_hook(bench, 100, "cow", "off: cow = off"); /* nobody needs it */
	expect_firing(bench, "");
	feed_hook(bench, 200, "birth", "off: it was taken away");
	expect_firing(bench, "blind");
	expect_text(text_at(bench->last_line, "reason"), "birth");
	expect_text(text_at(bench->last_line, "severity"), "critical");
	feed_hook(bench, 300, "birth", "tp_btf/task_newtask");
	feed_tick(bench, 10300);
	expect_firing(bench, "");
	bench_free(bench);
}

static void feed_self(struct bench *bench)
{
	feed_cgroup(bench, 60, 9, "/system.slice/lifetraced.service");
	feed_fork_in(bench, SELF, SELF, 1, 9);
}

/* What is not seen is about the daemon: it is the one to look at, and to silence. */
Test(alerts, of_what_is_not_seen_are_about_the_daemon)
{
	struct bench *bench = with_alerts(0, 0);

	feed_self(bench);
	lose(bench, 1000, 5);
	expect_text(text_at(bench->last_line, "alert"), "events-lost");
	expect_text(text_at(bench->last_line, "unit"), "lifetraced.service");
	feed_hook(bench, 2000, "birth", "off: it was taken away");
	expect_firing(bench, "events-lost blind");
	expect_text(text_at(bench->last_line, "unit"), "lifetraced.service");
	expect_text(text_at(bench->last_line, "parent_id"), "40-40000000");
	bench_free(bench);
}

Test(alerts, of_a_silenced_daemon_wait)
{
	struct bench *bench = with_alerts(0, 0);

	feed_self(bench);
	silence_what(bench, 500, "lifetraced.service", 30000);
	lose(bench, 1000, 5);
	feed_hook(bench, 2000, "birth", "off: it was taken away");
	feed_tick(bench, 29999);
	cr_assert(!strstr(bench->told, "alert"), "%s", bench->told);
	expect_firing(bench, "");
	feed_tick(bench, 30000); /* what was lost is over; the hook is off still */
	expect_firing(bench, "blind");
	silence_what(bench, 31000, "lifetraced.service", 90000);
	feed_tick(bench, 41000);
	expect_firing(bench, "");
	bench_free(bench);
}

/* One that meets pid in this state, or does not (0). */
static void pass(struct bench *bench, uint64_t ms, uint64_t pid, enum lt_state state)
{
	feed_pass(bench, ms, LT_PASS_BEGIN, ms, false);
	feed_scan(bench, ms, 1, NOBODY, LT_RUNNING);
	feed_scan(bench, ms, PARENT, 1, LT_RUNNING);
	if (state)
		feed_scan(bench, ms, pid, PARENT, state);
	feed_pass(bench, ms, LT_PASS_END, ms, false);
	feed_pass(bench, ms + 10, LT_SWEEP, ms, false);
}

static void pass_that_meets(struct bench *bench, uint64_t ms, uint64_t pid)
{
	pass(bench, ms, pid, LT_RUNNING);
}

/* A pass in which nothing else is told. */
static void expect_blind(struct bench *bench, uint64_t ms, const char *hook)
{
	expect_firing(bench, ""); /* it may be late */
	feed_pass(bench, ms, LT_SWEEP, ms, false);
	expect_firing(bench, "blind");
	expect_text(text_at(bench->last_line, "reason"), hook);
}

/* One that nobody told of is met before, in an interval in which others are. */
static struct bench *about_to_be_blind(void)
{
	struct bench *bench = with_alerts(0, 0);

	die(bench, 500, 700);
	feed_free(bench, 510, 700);
	pass_that_meets(bench, 600, 701);
	feed_pass(bench, 700, LT_SWEEP, 700, false);
	expect_firing(bench, "");
	return bench;
}

Test(alerts, blind_when_births_are_not_told)
{
	struct bench *bench = about_to_be_blind();

	pass_that_meets(bench, 1000, 800);
	expect_blind(bench, 2000, "birth");
	bench_free(bench);
}

Test(alerts, blind_when_exits_are_not_told)
{
	struct bench *bench = about_to_be_blind();

	feed_fork(bench, 900, 800, PARENT);
	feed_notify(bench, 950, 800, PARENT, 0, 0);
	pass(bench, 1000, 800, LT_ZOMBIE);
	expect_blind(bench, 2000, "exit");
	bench_free(bench);
}

Test(alerts, blind_when_zombies_are_not_told)
{
	struct bench *bench = about_to_be_blind();

	feed_fork(bench, 900, 800, PARENT);
	feed_exit(bench, 950, 800, PARENT, 0, NOBODY, 0);
	pass(bench, 1000, 800, LT_ZOMBIE);
	expect_blind(bench, 2000, "zombie");
	bench_free(bench);
}

Test(alerts, blind_when_reaps_are_not_told)
{
	struct bench *bench = about_to_be_blind();

	die(bench, 900, 800);
	pass(bench, 1000, 800, 0);
	expect_blind(bench, 2000, "reap");
	bench_free(bench);
}

Test(alerts, blind_when_those_looked_for_are_never_freed)
{
	struct bench *bench = about_to_be_blind();

	die(bench, 900, 800);
	feed_absent(bench, 950, 800);
	pass(bench, 1000, 800, 0);
	expect_blind(bench, 2000, "reap");
	bench_free(bench);
}

/* A task is in the table before its birth is traced, and freed after a grace period. */
Test(alerts, not_blind_by_what_is_told_late)
{
	struct bench *bench = about_to_be_blind();

	die(bench, 900, 800);
	feed_absent(bench, 950, 800);
	pass_that_meets(bench, 1000, 802);
	feed_fork(bench, 1100, 802, PARENT);
	feed_free(bench, 1200, 800);
	pass(bench, 2000, 802, LT_RUNNING);
	pass(bench, 3000, 802, LT_RUNNING);
	expect_firing(bench, "");
	bench_free(bench);
}

Test(alerts, not_blind_by_what_was_lost)
{
	struct bench *bench = with_alerts(0, 0);

	die(bench, 900, 800);
	feed_pass(bench, 910, LT_SWEEP, 910, false);
	lose(bench, 950, 1);
	pass_that_meets(bench, 1000, 801);
	pass_that_meets(bench, 2000, 801);
	pass_that_meets(bench, 3000, 801);
	expect_firing(bench, "events-lost");
	bench_free(bench);
}

/* The gate was shut: a daemon that goes on where another one ended, or slept. */
Test(alerts, not_blind_by_what_nobody_observed)
{
	struct bench *bench = about_to_be_blind();
	struct lt_start start = { .hdr = { sizeof(start), LT_START, 0, MS(900) },
				  .started_ns = MS(1) };

	feed(bench, &start);
	for (uint64_t ms = 1000; ms < 4000; ms += 1000)
		pass_that_meets(bench, ms, 801);
	expect_firing(bench, "");
	bench_free(bench);
}

Test(alerts, not_blind_by_what_began_before)
{
	struct bench *bench = with_alerts(0, 0);
	struct lt_start start = { .hdr = { sizeof(start), LT_START, 0, MS(12000) },
				  .started_ns = MS(12000) };

	die(bench, 900, 800);
	feed_pass(bench, 910, LT_SWEEP, 910, false);
	feed(bench, &start);
	for (uint64_t ms = 13000; ms < 16000; ms += 1000)
		pass(bench, ms, 801, 0);
	expect_firing(bench, "");
	bench_free(bench);
}

static void emit(void *user, const struct lt_hdr *record)
{
	cr_assert_eq(core_apply(user, record, record->size), 0);
}

static void no_alert(void *user, const struct change *change)
{
	(void)user;
	cr_assert(change->kind != CHANGE_ALERT, "told again");
}

Test(alerts, handed_on_they_are_not_told_again)
{
	struct bench *bench = with_alerts(1, 0);
	struct core *other = core_new(no_alert, NULL);
	const char *const expected = "flagged events-lost blind leak:50-50000000";

	feed_hook(bench, 100, "exit", "tp_btf/sched_process_exit");
	feed_hook(bench, 100, "birth", "off: it was taken away");
	for (uint64_t pid = 100; pid < 104; pid++)
		die(bench, 2000, pid);
	lose(bench, 2500, 5);
	feed_tick(bench, 3500);
	expect_firing(bench, expected);
	core_dump(bench->core, emit, other);
	core_free(bench->core);
	bench->core = other;
	expect_firing(bench, expected);
	bench_free(bench);
}

Test(alerts, time_of_day)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00.007Z" },
		{ 951782399, "2000-02-28T23:59:59.007Z" },
		{ 951782400, "2000-02-29T00:00:00.007Z" },
		{ 951868800, "2000-03-01T00:00:00.007Z" },
		{ 1709164800, "2024-02-29T00:00:00.007Z" },
		{ 4107542400, "2100-03-01T00:00:00.007Z" },
		{ 1735689599, "2024-12-31T23:59:59.007Z" },
	};
	char buf[TEXT_TIME_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text_format_time(cases[i].seconds * NSEC_PER_SEC + MS(7), buf);
		cr_expect_str_eq(buf, cases[i].text, "%s", buf);
	}
}
