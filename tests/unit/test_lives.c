// SPDX-License-Identifier: GPL-2.0-only
/* The state machine, by scripts: what one process does, its state, what is told. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define CHILD 100
#define PARENT 50
#define INIT 1
#define TRACER 7
#define EXITED_3 (3 << 8)

static void at_fork(struct bench *b, uint64_t t)
{
	feed_fork(b, t, CHILD, PARENT);
}

static void at_exec(struct bench *b, uint64_t t)
{
	feed_exec(b, t, CHILD, "/bin/prog", "prog");
}

static void at_exit(struct bench *b, uint64_t t)
{
	feed_exit(b, t, CHILD, PARENT, EXITED_3, NOBODY, 0);
}

static void at_exit_ignored(struct bench *b, uint64_t t)
{
	feed_exit(b, t, CHILD, PARENT, EXITED_3, NOBODY, LT_EXIT_SIGCHLD_IGNORED);
}

static void at_exit_traced(struct bench *b, uint64_t t)
{
	feed_exit(b, t, CHILD, PARENT, EXITED_3, NOBODY, LT_EXIT_TRACED);
}

static void at_exit_untold(struct bench *b, uint64_t t)
{
	struct lt_exit e = { .hdr = { sizeof(e), LT_EXIT, 0, MS(t) },
			     .id = id_of(CHILD),
			     .parent = id_of(PARENT) };

	feed(b, &e);
}

static void at_notify(struct bench *b, uint64_t t)
{
	feed_notify(b, t, CHILD, PARENT, EXITED_3, 0);
}

static void at_notify_nocldwait(struct bench *b, uint64_t t)
{
	feed_notify(b, t, CHILD, PARENT, EXITED_3, LT_NOTIFY_AUTOREAP);
}

static void at_notify_tracer(struct bench *b, uint64_t t)
{
	feed_notify(b, t, CHILD, PARENT, EXITED_3, LT_NOTIFY_TRACED);
}

static void at_untraced(struct bench *b, uint64_t t)
{
	feed_notify(b, t, CHILD, PARENT, 0, LT_NOTIFY_UNTRACED);
}

static void at_tracer_exit(struct bench *b, uint64_t t)
{
	feed_exit(b, t, TRACER, INIT, 0, INIT, 0);
}

static void at_free(struct bench *b, uint64_t t)
{
	feed_free(b, t, CHILD);
}

static void at_absent(struct bench *b, uint64_t t)
{
	feed_absent(b, t, CHILD);
}

static void at_release(struct bench *b, uint64_t t)
{
	feed_release(b, t, CHILD, PARENT);
}

static void at_release_self(struct bench *b, uint64_t t)
{
	feed_release(b, t, CHILD, CHILD);
}

static void at_stop(struct bench *b, uint64_t t)
{
	feed_stop(b, t, CHILD, LT_STOP);
}

static void at_continue(struct bench *b, uint64_t t)
{
	feed_stop(b, t, CHILD, LT_CONTINUE);
}

static void at_leader(struct bench *b, uint64_t t)
{
	feed_leader_exit(b, t, CHILD);
}

static void at_father_exit(struct bench *b, uint64_t t)
{
	feed_exit(b, t, PARENT, INIT, 0, INIT, 0);
}

static void at_reuse(struct bench *b, uint64_t t)
{
	struct lt_fork e = { .hdr = { sizeof(e), LT_FORK, 0, MS(t) },
			     .child = { .pid = CHILD, .start_ns = MS(t) },
			     .parent = id_of(PARENT),
			     .creator = id_of(PARENT) };

	feed(b, &e);
}

static const struct word {
	const char *name;
	void (*feed)(struct bench *bench, uint64_t ms);
} words[] = {
	{ "fork", at_fork },
	{ "exec", at_exec },
	{ "exit", at_exit },
	{ "exit-ignored", at_exit_ignored },
	{ "exit-traced", at_exit_traced },
	{ "exit-untold", at_exit_untold },
	{ "notify", at_notify },
	{ "nocldwait", at_notify_nocldwait },
	{ "notify-tracer", at_notify_tracer },
	{ "untraced", at_untraced },
	{ "tracer-exit", at_tracer_exit },
	{ "free", at_free },
	{ "absent", at_absent },
	{ "release", at_release },
	{ "release-self", at_release_self },
	{ "stop", at_stop },
	{ "continue", at_continue },
	{ "leader", at_leader },
	{ "father-exit", at_father_exit },
	{ "reuse", at_reuse },
};

#define WORDS (sizeof(words) / sizeof(words[0]))

static struct bench *play(const char *script)
{
	struct bench *bench = bench_new();
	char copy[512], *save = NULL;
	uint64_t ms = 1000;

	feed_fork(bench, 1, INIT, NOBODY);
	feed_fork(bench, 7, TRACER, INIT);
	feed_fork(bench, 50, PARENT, INIT);
	bench->watched = CHILD;
	*bench->told = '\0';
	snprintf(copy, sizeof(copy), "%s", script);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		size_t i = 0;

		while (i < WORDS && strcmp(words[i].name, word))
			i++;
		cr_assert_lt(i, WORDS, "no word %s", word);
		if (i < WORDS)
			words[i].feed(bench, ms++);
		check_totals(bench);
	}
	return bench;
}

static const struct script {
	const char *script, *state, *told;
} scripts[] = {
	/* as it goes */
	{ "fork", "running", "fork" },
	{ "fork exec", "running", "fork exec" },
	{ "fork exit", "exiting", "fork exit" },
	{ "fork exit notify", "zombie", "fork exit zombie" },
	{ "fork exit notify free", "reaped", "fork exit zombie reap" },
	{ "fork exit notify release", "reaped", "fork exit zombie reap" },
	{ "fork exit notify release free", "reaped", "fork exit zombie reap" },
	{ "fork exit notify absent free", "reaped", "fork exit zombie reap" },
	{ "fork stop", "stopped", "fork stop" },
	{ "fork stop continue", "running", "fork stop continue" },
	{ "fork stop exit notify", "zombie", "fork stop exit zombie" },
	{ "fork continue", "running", "fork" },
	/* never a zombie */
	{ "fork exit-ignored", "exiting", "fork exit" },
	{ "fork exit-ignored free", "reaped", "fork exit autoreap" },
	{ "fork exit-ignored absent", "reaped", "fork exit autoreap" },
	{ "fork exit-ignored release-self free", "reaped", "fork exit autoreap" },
	{ "fork exit nocldwait", "reaped", "fork exit autoreap" },
	{ "fork exit nocldwait free", "reaped", "fork exit autoreap" },
	/* nobody is sent a signal, but it is one */
	{ "fork exit-untold", "zombie", "fork exit zombie" },
	{ "fork exit-untold free", "reaped", "fork exit zombie reap" },
	/* held by a tracer */
	{ "fork exit-traced", "zombie", "fork exit zombie" },
	{ "fork exit-traced notify-tracer", "zombie", "fork exit zombie" },
	{ "fork exit-traced notify-tracer untraced free", "reaped", "fork exit zombie reap" },
	{ "fork exit-traced tracer-exit free", "reaped", "fork exit zombie reap" },
	/* the leader first */
	{ "fork leader", "dead-leader", "fork" },
	{ "fork leader exec", "running", "fork exec" },
	{ "fork leader stop", "dead-leader", "fork" },
	{ "fork leader exit notify free", "reaped", "fork exit zombie reap" },
	/* orphans */
	{ "fork father-exit", "running", "fork orphan" },
	{ "fork exit notify father-exit", "zombie", "fork exit zombie orphan" },
	{ "fork exit notify father-exit free", "reaped", "fork exit zombie orphan reap" },
	{ "fork exit notify free father-exit", "reaped", "fork exit zombie reap" },
	/* twice */
	{ "fork fork", "running", "fork" },
	{ "fork exec exit exit notify notify free free", "reaped", "fork exec exit zombie reap" },
	{ "fork stop stop", "stopped", "fork stop" },
	{ "fork leader leader", "dead-leader", "fork" },
	/* late, early, lost */
	{ "exec fork", "running", "exec fork" },
	{ "exit fork notify", "zombie", "exit fork zombie" },
	{ "fork notify", "zombie", "fork exit zombie" },
	{ "fork notify exit", "zombie", "fork exit zombie" },
	{ "fork free", "reaped", "fork reap exit" },
	{ "fork exit free", "reaped", "fork exit reap" },
	{ "free", "unknown", "" },
	{ "release", "unknown", "" },
	{ "absent", "unknown", "" },
	{ "fork absent", "running", "fork" },
	{ "fork exit notify free exec", "reaped", NULL },
	{ "fork exit notify free stop continue leader exit notify", "reaped",
	  "fork exit zombie reap" },
	/* its pid is given away */
	{ "fork exit notify reuse", "reaped", NULL },
	{ "fork reuse", "reaped", NULL },
};

Test(lives, scripts)
{
	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		const struct script *s = &scripts[i];
		struct bench *bench = play(s->script);
		bool free_alone = !strcmp(s->script, "fork free");

		cr_expect_str_eq(state_of(bench, CHILD), s->state, "%s: %s, not %s", s->script,
				 state_of(bench, CHILD), s->state);
		if (s->told && !free_alone)
			cr_expect_str_eq(bench->told, s->told, "%s: told '%s', not '%s'", s->script,
					 bench->told, s->told);
		bench_free(bench);
	}
}

/* Every word after every state: never back to life, never told twice. */
Test(lives, no_word_revives_the_dead)
{
	static const char *const ends[] = { "fork exit notify free", "fork exit nocldwait",
					    "fork exit-ignored free", "fork exit notify absent" };
	char script[512];

	for (size_t e = 0; e < sizeof(ends) / sizeof(ends[0]); e++) {
		for (size_t i = 0; i < WORDS; i++) {
			struct bench *bench;

			snprintf(script, sizeof(script), "%s %s", ends[e], words[i].name);
			bench = play(script);
			cr_expect_str_eq(state_of(bench, CHILD), "reaped", "%s", script);
			bench_free(bench);
		}
	}
}

static size_t times(const char *told, const char *kind)
{
	size_t count = 0, len = strlen(kind);

	for (const char *p = told; (p = strstr(p, kind)); p += len)
		count += (p == told || p[-1] == ' ') && (!p[len] || p[len] == ' ');
	return count;
}

static void check_order(const char *const *order, size_t n)
{
	static const char *const once[] = { "fork", "exit", "zombie", "reap" };
	char script[512] = "";
	struct bench *bench;

	for (size_t i = 0; i < n; i++) {
		strcat(script, order[i]);
		strcat(script, " ");
	}
	/* all of it once more, in order: nothing may be told again */
	strcat(script, "fork exec exit notify free");
	bench = play(script);
	cr_expect_str_eq(state_of(bench, CHILD), "reaped", "%s", script);
	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
		cr_expect_leq(times(bench->told, once[i]), 1, "%s: %s", script, bench->told);
	bench_free(bench);
}

static void permute(const char **order, size_t n, size_t from)
{
	if (from == n)
		check_order(order, n);
	for (size_t i = from; i < n; i++) {
		const char *first = order[from];

		order[from] = order[i];
		order[i] = first;
		permute(order, n, from + 1);
		order[i] = order[from];
		order[from] = first;
	}
}

Test(lives, any_order_of_records)
{
	const char *order[] = { "fork", "exec", "exit", "notify", "free" };

	permute(order, 5, 0);
}

Test(lives, status_is_what_wait_reports)
{
	static const struct {
		int code;
		const char *how, *signal;
		int status;
	} all[] = {
		{ 0, "exited", NULL, 0 },
		{ 3 << 8, "exited", NULL, 3 },
		{ 255 << 8, "exited", NULL, 255 },
		{ SIGKILL, "killed", "SIGKILL", -1 },
		{ SIGABRT | 0x80, "dumped", "SIGABRT", -1 },
		{ 34, "killed", "SIGRTMIN+0", -1 },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct bench *bench = bench_new();
		json_t *row;

		feed_fork(bench, 1000, CHILD, PARENT);
		feed_exit(bench, 1001, CHILD, PARENT, all[i].code, NOBODY, 0);
		row = row_of(bench, CHILD);
		expect_text(text_at(row, "exit.how"), all[i].how);
		expect_text(text_at(row, "exit.signal"), all[i].signal ? all[i].signal : "null");
		if (all[i].status >= 0)
			cr_assert_eq(json_integer_value(json_object_get(
					     json_object_get(row, "exit"), "status")),
				     all[i].status);
		json_decref(row);
		bench_free(bench);
	}
}

Test(lives, orphan_names_all_its_parents)
{
	struct bench *bench = play("fork father-exit exit notify free");
	json_t *row = row_of(bench, CHILD);

	expect_text(text_at(row, "first_parent_id"), "50-50000000");
	expect_text(text_at(row, "adopted_by"), "1-1000000");
	expect_text(text_at(row, "reaped_by"), "1-1000000");
	cr_assert(json_is_true(json_object_get(row, "orphan")));
	json_decref(row);
	bench_free(bench);
}

/* A dying father releases the zombies that their adopter does not want. */
Test(lives, released_by_a_dying_father_is_autoreaped)
{
	struct bench *bench = play("fork exit notify father-exit");

	feed_release(bench, 2000, CHILD, PARENT);
	expect_told(bench, "fork exit zombie orphan autoreap");
	bench_free(bench);
}

Test(lives, clone_parent_names_the_creator)
{
	struct bench *bench = bench_new();
	struct lt_fork e = { .hdr = { sizeof(e), LT_FORK, 0, MS(1000) },
			     .child = id_of(CHILD),
			     .parent = id_of(PARENT),
			     .creator = id_of(60),
			     .clone_flags = 0x8000 };
	json_t *row;

	feed(bench, &e);
	row = row_of(bench, CHILD);
	expect_text(text_at(row, "born_of"), "60-60000000");
	expect_text(text_at(row, "parent_id"), "50-50000000");
	json_decref(row);
	bench_free(bench);
}

/* ---- passes ---- */

Test(passes, the_first_is_believed_at_once)
{
	struct bench *bench = bench_new();

	feed_pass(bench, 1000, LT_PASS_BEGIN, 1000, true);
	feed_scan(bench, 1001, PARENT, INIT, LT_RUNNING);
	feed_scan(bench, 1002, CHILD, PARENT, LT_ZOMBIE);
	feed_scan(bench, 1003, 101, PARENT, LT_DEAD_LEADER);
	feed_scan(bench, 1004, 102, PARENT, LT_STOPPED);
	expect_text(state_of(bench, CHILD), "zombie");
	expect_text(state_of(bench, 101), "dead-leader");
	expect_text(state_of(bench, 102), "stopped");
	feed_pass(bench, 1005, LT_PASS_END, 1000, true);
	feed_pass(bench, 1400, LT_SWEEP, 1000, true);
	cr_assert_eq(core_totals(bench->core).repairs, 0);
	check_totals(bench);
	bench_free(bench);
}

/* Records that lay in the ring while the pass went by: counted once, inferred no more. */
Test(passes, late_records_confirm_what_the_first_met)
{
	struct bench *bench = bench_new();
	json_t *row;

	feed_pass(bench, 1000, LT_PASS_BEGIN, 1000, true);
	feed_scan(bench, 1002, CHILD, PARENT, LT_ZOMBIE);
	feed_pass(bench, 1005, LT_PASS_END, 1000, true);
	feed_fork(bench, 999, CHILD, PARENT);
	feed_exit(bench, 1000, CHILD, PARENT, EXITED_3, NOBODY, 0);
	feed_notify(bench, 1001, CHILD, PARENT, EXITED_3, 0);
	row = row_of(bench, CHILD);
	cr_assert(json_is_false(json_object_get(row, "inferred")));
	cr_assert_eq(core_totals(bench->core).forks, 1);
	cr_assert_eq(core_totals(bench->core).exits, 1);
	json_decref(row);
	bench_free(bench);
}

Test(passes, what_a_later_one_met_waits_for_the_sweep)
{
	struct bench *bench = play("fork");

	feed_pass(bench, 2000, LT_PASS_BEGIN, 2000, false);
	feed_scan(bench, 2001, CHILD, PARENT, LT_ZOMBIE);
	feed_scan(bench, 2001, PARENT, INIT, LT_RUNNING);
	feed_scan(bench, 2001, INIT, NOBODY, LT_RUNNING);
	feed_scan(bench, 2001, TRACER, INIT, LT_RUNNING);
	feed_pass(bench, 2002, LT_PASS_END, 2000, false);
	expect_text(state_of(bench, CHILD), "running");
	feed_pass(bench, 3000, LT_SWEEP, 2000, false);
	expect_text(state_of(bench, CHILD), "zombie");
	cr_assert_eq(core_totals(bench->core).repairs, 1);
	bench_free(bench);
}

Test(passes, what_it_did_not_meet_is_closed_if_born_before)
{
	struct bench *bench = play("fork");
	json_t *row;

	feed_pass(bench, 2000, LT_PASS_BEGIN, 2000, false);
	feed_fork(bench, 2001, 200, PARENT); /* born during the pass: not judged */
	feed_scan(bench, 2002, INIT, NOBODY, LT_RUNNING);
	feed_scan(bench, 2002, PARENT, INIT, LT_RUNNING);
	feed_scan(bench, 2002, TRACER, INIT, LT_RUNNING);
	feed_pass(bench, 2003, LT_PASS_END, 2000, false);
	feed_pass(bench, 3000, LT_SWEEP, 2000, false);
	expect_text(state_of(bench, CHILD), "reaped");
	expect_text(state_of(bench, 200), "running");
	row = row_of(bench, CHILD);
	cr_assert(json_is_true(json_object_get(row, "inferred")));
	expect_text(text_at(row, "reap_source"), "scan");
	cr_assert_eq(core_totals(bench->core).repairs, 1);
	json_decref(row);
	bench_free(bench);
}

/* What happened after the pass met it wins over what the pass saw. */
Test(passes, news_win_over_what_was_seen)
{
	struct bench *bench = play("fork");

	feed_pass(bench, 2000, LT_PASS_BEGIN, 2000, false);
	feed_scan(bench, 2001, CHILD, PARENT, LT_STOPPED);
	feed_scan(bench, 2001, PARENT, INIT, LT_RUNNING);
	feed_scan(bench, 2001, INIT, NOBODY, LT_RUNNING);
	feed_scan(bench, 2001, TRACER, INIT, LT_RUNNING);
	feed_pass(bench, 2002, LT_PASS_END, 2000, false);
	feed_stop(bench, 2100, CHILD, LT_CONTINUE);
	feed_pass(bench, 3000, LT_SWEEP, 2000, false);
	expect_text(state_of(bench, CHILD), "running");
	cr_assert_eq(core_totals(bench->core).repairs, 0);
	bench_free(bench);
}
