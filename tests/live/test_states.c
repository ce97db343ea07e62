/*
 * States while they last: stopped, zombie (with its parent's SIGCHLD state),
 * held by a tracer, dead leader, orphan; `ps` and `zombies` against what the
 * programs and /proc say at that moment.
 */
#include "harness.h"

#include <stdio.h>
#include <string.h>

/* --- stop and continue --- */

static void check_stop(const char *manner, const char *number, const char *threads, bool seen)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	json_t *event;
	const char *id;
	pid_t pid;

	lt__tail(lt);
	cast = cast__start("stops", manner, number, threads, NULL);
	cast__hold(cast, "stopped");
	pid = cast__int(cast, "child", 0);
	id = lt__id(lt, pid);
	event = lt__await_event(lt, id, "stop", 0);
	expect(event, "pid=%d ppid=%d signal=%s seen_by_parent=%s", pid, cast__pid(cast),
	       cast__str(cast, "wait.signal", 0), seen ? "true" : "false");
	json_decref(lt__await_row(lt, "ps", pid, "state=stopped exit=null"));
	lt__require_no_zombie(lt, pid);
	cast__go(cast);
	cast__hold(cast, "continued");
	lt__await_event(lt, id, "continue", 0);
	json_decref(lt__await_row(lt, "ps", pid, "state=running exit=null"));
	cast__end(cast);
	expect(lt__await_event(lt, id, "exit", 0), "exit.how=killed exit.signal=SIGKILL");
	lt__fence(lt);
	lt_require(lt__count(lt, id, "stop") == 1 && lt__count(lt, id, "continue") == 1 &&
			   lt__count(lt, id, "exit") == 1,
		   "%d stops, %d continues, %d exits", lt__count(lt, id, "stop"),
		   lt__count(lt, id, "continue"), lt__count(lt, id, "exit"));
	cast__free(cast);
	lt__stop(lt);
}

#define STOP(name, manner, number, threads, seen)          \
	LT_TEST(states, name)                              \
	{                                                  \
		check_stop(manner, number, threads, seen); \
	}

STOP(stop_seen, "seen", "19", "1", true)
STOP(stop_seen_by_handler, "handled", "19", "1", true)
STOP(stop_with_nocldstop, "nocldstop", "19", "1", false)
STOP(stop_parent_ignores, "ignored", "19", "1", false)
STOP(stop_by_tstp, "handled", "20", "1", true)
STOP(stop_by_tstp_with_nocldstop, "nocldstop", "20", "1", false)
STOP(stop_of_8_threads, "handled", "19", "8", true)

/* --- zombies --- */

/* How the n-th of three zombies of such a parent was announced. */
struct announced {
	const char *manner;
	const char *sigchld;  /* words about each, below "sigchld." */
	bool later_coalesced; /* the first one's signal was still pending */
};

static void check_announced(struct lt *lt, struct cast *cast, int n, const struct announced *as)
{
	pid_t pid = cast__int(cast, "child", n);
	json_t *row = lt__await_row(lt, "zombies", pid, "state=zombie");

	expect(row, "ppid=%d parent_id=%s exit.how=exited exit.status=7 exit.signal=null",
	       cast__pid(cast), lt__id(lt, cast__pid(cast)));
	expect(row, "id=%s autoreaped=false orphan=false tracer=null reaped_ns=null inferred=false",
	       lt__id(lt, pid));
	expect(row, "%s", as->sigchld);
	expect(row, "sigchld.coalesced=%s", as->later_coalesced && n ? "true" : "false");
	expect(lt__await_event(lt, lt__id(lt, pid), "zombie", 0), "%s", as->sigchld);
	check_id(str_at(row, "id"), pid);
	json_decref(row);
}

static void check_zombie(const struct announced *as)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	json_t *row;

	lt__tail(lt);
	cast = cast__start("zombie", "3", as->manner, NULL);
	cast__hold(cast, "zombie");
	for (int n = 0; n < 3; n++)
		check_announced(lt, cast, n, as);
	row = lt__row(lt, "ps", cast__pid(cast));
	expect(row, "children.alive=0 children.zombies=3");
	json_decref(row);
	cast__go(cast);
	cast__hold(cast, "reaped");
	check_all_reaped(lt, cast);
	for (int n = 0; n < 3; n++)
		lt__require_no_zombie(lt, cast__int(cast, "child", n));
	row = lt__row(lt, "ps", cast__pid(cast));
	expect(row, "children.alive=0 children.zombies=0");
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}

#define ZOMBIE(name, ...)                                           \
	LT_TEST(states, name)                                       \
	{                                                           \
		static const struct announced as = { __VA_ARGS__ }; \
                                                                    \
		check_zombie(&as);                                  \
	}

ZOMBIE(zombie_sigchld_default, "default",
       "sigchld.disposition=default sigchld.nocldwait=false sigchld.nocldstop=false "
       "sigchld.blocked=false",
       false)
ZOMBIE(zombie_sigchld_handler, "handler",
       "sigchld.disposition=handler sigchld.nocldwait=false sigchld.nocldstop=false "
       "sigchld.blocked=false",
       false)
ZOMBIE(zombie_sigchld_nocldstop, "nocldstop",
       "sigchld.disposition=handler sigchld.nocldwait=false sigchld.nocldstop=true", false)
ZOMBIE(zombie_sigchld_blocked, "blocked",
       "sigchld.disposition=default sigchld.nocldwait=false sigchld.blocked=true", true)

/* It began between the moments that its parent saw. */
LT_TEST(states, zombie_since)
{
	const int64_t slack_ns = 20 * NSEC_PER_MSEC; /* the clock is read a little off the event */
	struct lt *lt = lt__start(NULL);
	struct cast *cast;

	lt__tail(lt);
	cast = cast__start("zombie", "20", NULL);
	cast__hold(cast, "zombie");
	for (int n = 0; n < 20; n++) {
		json_t *row =
			lt__await_row(lt, "zombies", cast__int(cast, "child", n), "state=zombie");
		int64_t zombie_ns = int_at(row, "zombie_ns");

		lt_require(zombie_ns >= cast__int(cast, "died_after", n) &&
				   zombie_ns <= cast__int(cast, "died_before", n) + slack_ns,
			   "zombie_ns %ld, died from %s to %s", zombie_ns,
			   cast__str(cast, "died_after", n), cast__str(cast, "died_before", n));
		lt_require(int_at(row, "exited_ns") <= zombie_ns,
			   "exited after it became a zombie");
		json_decref(row);
	}
	cast__free(cast);
	lt__stop(lt);
}

/* --- held by a tracer --- */

static void check_traced(const char *way)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	json_t *row;
	pid_t pid;

	lt__tail(lt);
	cast = cast__start("traced", way, NULL);
	cast__hold(cast, "held");
	pid = cast__int(cast, "child", 0);
	lt_require(!strcmp(cast__str(cast, "wait.how", 0), "nothing"), "its parent could wait");
	row = lt__await_row(lt, "zombies", pid, "state=zombie tracer!=null");
	expect(row, "tracer=%s ppid=%d parent_id=%s exit.how=exited exit.status=14",
	       lt__id(lt, cast__int(cast, "tracer", 0)), cast__pid(cast),
	       lt__id(lt, cast__pid(cast)));
	json_decref(row);
	cast__go(cast);
	cast__hold(cast, strcmp(way, "die") ? "traced" : "let-go");
	if (!strcmp(way, "die"))
		json_decref(lt__await_row(lt, "zombies", pid, "state=zombie"));
	cast__end(cast);
	check_all_reaped(lt, cast);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(states, traced_zombie)
{
	check_traced("wait");
}

LT_TEST(states, traced_zombie_tracer_dies)
{
	check_traced("die");
}

/* --- dead leader --- */

LT_TEST(states, dead_leader)
{
	struct lt *lt = lt__start(NULL);
	struct proc proc;
	struct cast *cast;
	const char *id;
	pid_t pid;

	lt__tail(lt);
	cast = cast__start("deadleader", "exit", NULL);
	cast__hold(cast, "dead-leader");
	pid = cast__int(cast, "child", 0);
	id = lt__id(lt, pid);
	lt_require(proc__read(pid, &proc) && proc.state == 'Z', "/proc says %c", proc.state);
	json_decref(lt__await_row(lt, "ps", pid, "state=dead-leader exit=null zombie_ns=null"));
	lt__require_no_zombie(lt, pid);
	lt_require(!lt__count(lt, id, "exit") && !lt__count(lt, id, "zombie"), "it has not exited");
	cast__go(cast);
	cast__hold(cast, "reaped");
	check_all_reaped(lt, cast);
	cast__free(cast);
	lt__stop(lt);
}

/* --- orphans --- */

/* The last ppid that the child saw is its adopter's. */
static pid_t adopter(struct cast *cast)
{
	return cast__int(cast, "child.ppid", cast__count(cast, "child.ppid") - 1);
}

static void require_orphan(struct lt *lt, struct cast *cast, int nth, pid_t by, const char *by_id)
{
	pid_t pid = cast__int(cast, "child", 0);
	const char *id = lt__id(lt, pid);
	json_t *row;

	expect(lt__await_event(lt, id, "orphan", nth), "adopted_by=%s ppid=%d", by_id, by);
	row = lt__await_row(lt, "ps", pid, "orphan=true");
	expect(row, "id=%s ppid=%d parent_id=%s adopted_by=%s", id, by, by_id, by_id);
	expect(row, "first_parent_id=%s", lt__id(lt, cast__int(cast, "parent", 0)));
	json_decref(row);
	check_id(by_id, by);
}

static void begin_orphan(struct lt *lt, struct cast *cast)
{
	json_t *row;

	cast__hold(cast, "born");
	row = lt__await_row(lt, "ps", cast__int(cast, "child", 0), "orphan=false adopted_by=null");
	expect(row, "ppid=%d", (int)cast__int(cast, "parent", 0));
	json_decref(row);
	lt__fence(lt);
	cast__go(cast);
}

LT_TEST(states, orphan_adopted_by_init)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	json_t *row;
	const char *id;
	char *by_id;

	lt__tail(lt);
	cast = cast__start("orphan", "init", NULL);
	begin_orphan(lt, cast);
	cast__hold(cast, "adopted");
	/* Usually pid 1, or a subreaper that this test runs below. */
	row = lt__await_row(lt, "ps", adopter(cast), "orphan!=none");
	by_id = strdup(str_at(row, "id"));
	json_decref(row);
	require_orphan(lt, cast, 0, adopter(cast), by_id);
	id = lt__id(lt, cast__int(cast, "child", 0));
	expect(lt__await_event(lt, id, "orphan", 0), "was_parent_id=%s was_parent_comm=orphan",
	       lt__id(lt, cast__int(cast, "parent", 0)));
	cast__end(cast);
	expect(lt__await_event(lt, id, "exit", 0), "exit.how=exited exit.status=4");
	expect(lt__await_event(lt, id, "reap", 0), "reaped_by=%s", by_id);
	lt_require(lt__count(lt, id, "orphan") == 1, "%d orphan events",
		   lt__count(lt, id, "orphan"));
	free(by_id);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(states, orphan_adopted_by_subreaper)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;

	lt__tail(lt);
	cast = cast__start("orphan", "subreaper", NULL);
	begin_orphan(lt, cast);
	cast__hold(cast, "adopted");
	lt_require(adopter(cast) == cast__pid(cast), "no subreaper");
	require_orphan(lt, cast, 0, cast__pid(cast), lt__id(lt, cast__pid(cast)));
	cast__end(cast);
	check_all_reaped(lt, cast);
	cast__free(cast);
	lt__stop(lt);
}

/* Adopted twice: by the nearest subreaper, and when that dies by the next. */
LT_TEST(states, orphan_adopted_again)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	pid_t near;

	lt__tail(lt);
	cast = cast__start("orphan", "far", NULL);
	begin_orphan(lt, cast);
	cast__hold(cast, "adopted");
	near = cast__int(cast, "near", 0);
	lt_require(adopter(cast) == near, "not adopted by the nearest");
	require_orphan(lt, cast, 0, near, lt__id(lt, near));
	cast__go(cast);
	cast__hold(cast, "adopted-again");
	require_orphan(lt, cast, 1, cast__pid(cast), lt__id(lt, cast__pid(cast)));
	cast__end(cast);
	check_all_reaped(lt, cast);
	cast__free(cast);
	lt__stop(lt);
}

/* It is a zombie already when its parent dies: one exit, one zombie, a new parent. */
LT_TEST(states, orphaned_zombie)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	json_t *row;
	pid_t pid;

	lt__tail(lt);
	cast = cast__start("orphan", "zombie", NULL);
	cast__hold(cast, "born");
	pid = cast__int(cast, "child", 0);
	row = lt__await_row(lt, "zombies", pid, "state=zombie");
	expect(row, "ppid=%d", (int)cast__int(cast, "parent", 0));
	json_decref(row);
	cast__go(cast);
	cast__hold(cast, "adopted");
	require_orphan(lt, cast, 0, cast__pid(cast), lt__id(lt, cast__pid(cast)));
	json_decref(lt__await_row(lt, "zombies", pid, "state=zombie exit.status=4"));
	cast__end(cast);
	check_all_reaped(lt, cast);
	cast__free(cast);
	lt__stop(lt);
}

/* Its thread died, its process lives: no orphan, the same parent. */
LT_TEST(states, handed_to_another_thread)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	const char *id;
	json_t *row;
	pid_t pid;

	lt__tail(lt);
	cast = cast__start("orphan", "thread", NULL);
	cast__hold(cast, "handed-over");
	pid = cast__int(cast, "child", 0);
	id = lt__id(lt, pid);
	lt__fence(lt);
	row = lt__await_row(lt, "ps", pid, "state=running");
	expect(row, "orphan=false adopted_by=null ppid=%d parent_id=%s", cast__pid(cast),
	       lt__id(lt, cast__pid(cast)));
	json_decref(row);
	cast__end(cast);
	check_all_reaped(lt, cast);
	lt_require(lt__count(lt, id, "orphan") == 0, "an orphan event");
	cast__free(cast);
	lt__stop(lt);
}

/* --- hooks --- */

/* The tracepoint set works wherever lifetrace does. */
LT_TEST(states, no_hook_is_off)
{
	static const char *const whats[] = { "birth", "exec", "exit", "zombie", "reap", "wait" };
	struct lt *lt = lt__start(NULL);

	for (size_t i = 0; i < sizeof(whats) / sizeof(whats[0]); i++) {
		char *hook = lt__hook(lt, whats[i]);

		lt_require(*hook && strncmp(hook, "off", 3), "%s: %s", whats[i], hook);
		free(hook);
	}
	lt__stop(lt);
}

static json_t *reap_one(struct lt *lt, struct cast **cast, int64_t *before, int64_t *after)
{
	lt__tail(lt);
	*cast = cast__start("zombie", NULL);
	cast__hold(*cast, "zombie");
	*before = boottime_ns();
	cast__go(*cast);
	cast__hold(*cast, "reaped");
	*after = boottime_ns();
	return lt__await_event(lt, lt__id(lt, cast__int(*cast, "child", 0)), "reap", 0);
}

/* By sched_process_free if by nothing better: complete, and not much later. */
LT_TEST(states, reaped_when)
{
	struct lt *lt = lt__start(NULL);
	int64_t before, after, late_ns = 2 * NSEC_PER_SEC;
	struct cast *cast;
	json_t *event = reap_one(lt, &cast, &before, &after);
	int64_t reaped_ns = int_at(event, "reaped_ns");

	if (!strcmp(str_at(event, "reap_source"), "release"))
		late_ns = 0;
	lt_require(reaped_ns >= before && reaped_ns <= after + late_ns,
		   "reaped at %ld, from %ld to %ld", reaped_ns, before, after);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(states, reaped_exactly_when)
{
	struct lt *lt = lt__start(NULL);
	char *hook = lt__hook(lt, "reap");
	int64_t before, after;
	struct cast *cast;

	if (!strstr(hook, "release_task")) {
		lt__stop(lt);
		cr_skip_test("release_task cannot be hooked here: %s is used", hook);
	}
	expect(reap_one(lt, &cast, &before, &after), "reap_source=release");
	free(hook);
	cast__free(cast);
	lt__stop(lt);
}
