/*
 * why: each cause by a program that is made for it, and no other cause is ever
 * told of it: one by one, all at once on one host, and under load.
 */
#include "groups.h"

#include <sys/ptrace.h>

#define ZOMBIE_AGE "1s"

/* Always, as zombies that others on this host keep would hold descriptors of ours otherwise. */
static struct lt *start(void)
{
	return lt__start("--zombie-age", ZOMBIE_AGE, "--syscall-hooks", "always", NULL);
}

/* A way of the cast, and what is to be said of the zombies that it keeps. */
static const struct way {
	const char *name;
	const char *cause;
	const char *evidence; /* is among the words */
	const char *clear_now;
	bool needs_children; /* those that it said; otherwise any of the parent's */
} ways[] = {
	{ "no-signal", "no-sigchld", "its exit signal is none", "frees 1", true },
	{ "other-signal", "no-sigchld", "its exit signal is SIGUSR1", "frees 1", true },
	{ "init", "init-does-not-reap", "(sleep) is pid 1 of its pid namespace",
	  "its pid namespace ends", true },
	{ "init-of-its-own", "init-does-not-reap", "is pid 1 of its pid namespace",
	  "its pid namespace ends", true },
	{ "subreaper", "subreaper-does-not-reap", "is a subreaper, has adopted it", "frees 1",
	  true },
	{ "vfork", "blocked", "is in D (uninterruptible) with all its threads", "SIGKILL", true },
	{ "blocked-in-wait", "waits-for-others", "wait4(pid ", "frees 1", true },
	{ "polls-others", "waits-for-others", "for a pid", "frees 1", true },
	{ "waits-for-group", "waits-for-others", "for a group", "frees 1", true },
	{ "waits-for-pidfd", "waits-for-others", "for a pidfd", "frees 1", true },
	{ "one-per-signal", "coalesced-sigchld",
	  "of 10 children that died 9 did so while a SIGCHLD was pending", "frees 9", true },
	{ "one-per-signalfd", "coalesced-sigchld", "one wait for each SIGCHLD", "frees 9", true },
	{ "loops-per-signal", "stopped-waiting", "has reaped 30 before", "frees 2", true },
	{ "never", "never-waits", "has made no wait call since its birth", "frees 1", true },
	{ "only-looks", "never-waits", "has made no reaping wait call", "frees 1", true },
	{ "hangs", "stopped-waiting", "has reaped 5 before", "frees 1", true },
	{ "slow", "falls-behind", "goes on reaping; a second: ", "frees ", false },
	{ "slow-peeks", "falls-behind", "goes on reaping; a second: ", "frees ", false },
	{ "slow-handler", "falls-behind", "goes on reaping; a second: ", "frees ", false },
	{ "other-thread", "unknown", "none took it", "frees 1", true },
	{ "looks-by-pid", "never-waits", "has made no reaping wait call", "frees 1", true },
	{ "other-thread-by-pid", "unknown", "asked for this one, and none took it", "frees 1",
	  true },
	{ "double-fork", "never-waits", "has made no wait call since its birth", "frees 1", true },
	{ "middle-leaks", "never-waits", "has made no wait call since its birth", "frees 1", true },
	{ "stops-only", "never-waits", "has made no reaping wait call", "frees 1", true },
	{ "stops-beside", "waits-for-others", "only for stops", "frees 1", true },
	{ "wclone-only", "waits-for-others", "waits with __WCLONE only", "frees 1", true },
	{ "thread-waits-for-one", "waits-for-others", "for a pid", "frees 1", true },
	{ "unread-signalfd", "never-waits", "was blocked", "frees 2", true },
	{ "stuck-sigwait", "stopped-waiting", "has reaped 1 before", "frees 1", true },
	{ "by-pid-then-hangs", "stopped-waiting", "has reaped 10 before", "frees 2", true },
	{ "once-by-signalfd", "stopped-waiting", "it is pending now", "frees 1", true },
	{ "among-many", "never-waits", "has made no wait call since its birth", "frees 1", true },
	{ "no-signal-no-wait", "no-sigchld", "has made no wait call with __WALL", "frees 1", true },
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* And what not each host can do. */
static const struct way by_io_uring = { "by-io-uring", "unknown",
					"has made no wait call, but holds an io_uring", "frees 1",
					true };
static const struct way in_32_bit = { "32-bit", "waits-for-others", "in waitpid(pid ", "frees 1",
				      true };

static const struct way *way_of(const char *name)
{
	const struct way *way = ways;

	while (strcmp(way->name, name))
		way++;
	return way;
}

static pid_t parent_of(struct cast *cast, const struct way *way)
{
	const char *key = !strncmp(way->name, "init", 4)     ? "init" :
			  !strcmp(way->name, "middle-leaks") ? "middle" :
							       "parent";

	return (pid_t)cast__int(cast, key, 0);
}

/* Of all that a program keeps: how many are told rightly; a wrong word ends the test. */
static int rightly_told(const json_t *zombies, struct cast *cast, const struct way *way,
			json_t **witness)
{
	int64_t parent = parent_of(cast, way);
	const json_t *row;
	int right = 0;
	size_t i;

	json_array_foreach(zombies, i, row) {
		const char *cause = str_at(row, "cause");
		bool is_right = !strcmp(cause, way->cause);

		if (int_at(row, "ppid") != parent)
			continue;
		lt_require(is_right || !strcmp(cause, "unknown"), "%s is told as %s: %s", way->name,
			   cause, str_at(row, "evidence"));
		if (is_right && !strcmp(cause, "unknown"))
			is_right = strstr(str_at(row, "evidence"), way->evidence);
		if (is_right)
			*witness = (json_t *)row;
		right += is_right;
	}
	return right;
}

static int children_of(struct cast *cast, const struct way *way)
{
	return way->needs_children ? cast__count(cast, "child") : 1;
}

/* Remedy and what clears it now come with it. */
static void check_words(const struct way *way, const json_t *row)
{
	lt_require(strstr(str_at(row, "evidence"), way->evidence), "%s: evidence \"%s\"", way->name,
		   str_at(row, "evidence"));
	lt_require(strstr(str_at(row, "clear_now"), way->clear_now), "%s: clear_now \"%s\"",
		   way->name, str_at(row, "clear_now"));
	lt_require(!strcmp(way->cause, "unknown") == json_is_null(json_at(row, "remedy")),
		   "%s: remedy", way->name);
}

static bool all_told(struct lt *lt, struct cast *cast, const struct way *way)
{
	json_t *document = lt__json(lt, NULL, "zombies", NULL), *witness = NULL;
	bool all = rightly_told(json_at(document, "zombies"), cast, way, &witness) >=
		   children_of(cast, way);

	if (all)
		check_words(way, witness);
	json_decref(document);
	return all;
}

static struct cast *keep(const struct way *way)
{
	struct cast *cast = cast__start("causes", way->name, NULL);

	cast__hold(cast, "keeping");
	cast__str(cast, "ready", 0);
	return cast;
}

static void tell(const char *name)
{
	const struct way *way = way_of(name);
	struct lt *lt = start();
	struct cast *cast = keep(way);

	lt_await(all_told(lt, cast, way), "%s is not told as %s", name, way->cause);
	cast__end(cast);
	cast__free(cast);
	lt__stop(lt);
}

static void tell_where_possible(const struct way *way)
{
	struct lt *lt = start();
	struct cast *cast = keep(way);
	char why[128] = "";

	lt_await(cast__count(cast, "lacks") || all_told(lt, cast, way), "%s is not told as %s",
		 way->name, way->cause);
	if (cast__count(cast, "lacks"))
		snprintf(why, sizeof(why), "%s", cast__str(cast, "lacks", 0));
	cast__end(cast);
	cast__free(cast);
	lt__stop(lt);
	if (*why)
		cr_skip_test("%s", why);
}

LT_TEST(why, waits_by_io_uring)
{
	tell_where_possible(&by_io_uring);
}

LT_TEST(why, parent_of_32_bits)
{
	tell_where_possible(&in_32_bit);
}

#define CAUSE(test, way)   \
	LT_TEST(why, test) \
	{                  \
		tell(way); \
	}

CAUSE(exit_signal_none, "no-signal")
CAUSE(exit_signal_other, "other-signal")
CAUSE(init_is_sleep, "init")
CAUSE(init_reaps_only_its_own, "init-of-its-own")
CAUSE(subreaper_reaps_only_its_own, "subreaper")
CAUSE(parent_in_vfork, "vfork")
CAUSE(parent_in_wait_for_another, "blocked-in-wait")
CAUSE(polls_for_another, "polls-others")
CAUSE(polls_for_a_group, "waits-for-group")
CAUSE(polls_by_pidfd, "waits-for-pidfd")
CAUSE(one_wait_per_signal, "one-per-signal")
CAUSE(one_wait_per_signalfd, "one-per-signalfd")
CAUSE(a_loop_per_signal_is_not_to_blame, "loops-per-signal")
CAUSE(never_waits, "never")
CAUSE(looking_is_not_waiting, "only-looks")
CAUSE(hangs_after_reaping, "hangs")
CAUSE(slow_but_honest, "slow")
CAUSE(slow_by_looking_first, "slow-peeks")
CAUSE(slow_in_its_handler, "slow-handler")
CAUSE(of_another_thread, "other-thread")

CAUSE(double_fork_of_one_that_does_not_wait, "double-fork")
CAUSE(double_fork_whose_middle_one_leaks, "middle-leaks")
CAUSE(waits_for_stops_only, "stops-only")
CAUSE(waits_for_stops_beside, "stops-beside")
CAUSE(looking_by_pid_is_not_waiting, "looks-by-pid")
CAUSE(of_another_thread_by_its_pid, "other-thread-by-pid")
CAUSE(waits_with_wclone_only, "wclone-only")
CAUSE(another_thread_waits_for_one, "thread-waits-for-one")
CAUSE(signalfd_that_nobody_reads, "unread-signalfd")
CAUSE(sigwait_that_is_stuck, "stuck-sigwait")
CAUSE(many_at_once_by_pid_are_no_coalescence, "by-pid-then-hangs")
CAUSE(signalfd_that_nobody_reads_any_more, "once-by-signalfd")
CAUSE(among_many_that_live, "among-many")
CAUSE(exit_signal_none_and_no_wait, "no-signal-no-wait")

/* ---- those that need somebody else ---- */

static json_t *ask(struct lt *lt, const char *pid)
{
	return lt__json(lt, NULL, "why", pid, NULL);
}

/* Who adopted it, by /proc. */
static pid_t parent_of_grandchild(pid_t pid)
{
	struct proc proc;

	lt_require(proc__read(pid, &proc), "%d is gone", pid);
	return proc.ppid;
}

static bool has_cause(struct lt *lt, pid_t pid, const char *cause)
{
	json_t *row = lt__row(lt, "zombies", pid);
	bool has = row && !strcmp(str_at(row, "cause"), cause);

	json_decref(row);
	return has;
}

LT_TEST(why, traced)
{
	struct lt *lt = start();
	struct cast *cast = cast__start("traced", "wait", NULL);
	json_t *row;

	cast__hold(cast, "held");
	row = lt__await_row(lt, "zombies", (pid_t)cast__int(cast, "child", 0), "cause=traced");
	lt_require(strstr(str_at(row, "evidence"), cast__str(cast, "tracer", 0)), "%s",
		   str_at(row, "evidence"));
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}

/* Not the leader: its parent is told of its end when that thread is gone, too. */
LT_TEST(why, a_thread_of_it_is_traced)
{
	struct lt *lt = lt__start("--zombie-age", ZOMBIE_AGE, "--repair-interval", "1s", NULL);
	struct cast *cast = cast__start("traced", "thread", NULL);
	pid_t child = (pid_t)cast__int(cast, "child", 0);
	json_t *row;

	cast__hold(cast, "held");
	row = lt__await_row(lt, "zombies", child, "cause=traced exit.how=exited exit.status=14");
	lt_require(strstr(str_at(row, "evidence"), cast__str(cast, "tracer", 0)), "%s",
		   str_at(row, "evidence"));
	json_decref(row);
	cast__go(cast);
	lt_await(lt__row(lt, "zombies", child) == NULL, "reaped, and shown as a zombie");
	cast__free(cast);
	lt__stop(lt);
}

/* A parent that a tracer has stopped; it goes on when that lets it. */
LT_TEST(why, parent_is_traced)
{
	struct lt *lt = start();
	struct cast *cast = keep(way_of("polls-others"));
	pid_t child = (pid_t)cast__int(cast, "child", 0), parent = cast__int(cast, "parent", 0);
	json_t *row;
	int raw;

	lt_await(has_cause(lt, child, "waits-for-others"), "before");
	lt_require(!ptrace(PTRACE_SEIZE, parent, NULL, NULL), "%s", strerror(errno));
	lt_require(!ptrace(PTRACE_INTERRUPT, parent, NULL, NULL), "%s", strerror(errno));
	lt_require(waitpid(parent, &raw, __WALL) == parent && WIFSTOPPED(raw), "not stopped");
	lt_await(has_cause(lt, child, "blocked"), "stopped by its tracer, and not told as blocked");
	row = lt__row(lt, "zombies", child);
	lt_require(strstr(str_at(row, "evidence"), "is stopped by its tracer") &&
			   strstr(str_at(row, "clear_now"), "its tracer must let it go on"),
		   "%s; %s", str_at(row, "evidence"), str_at(row, "clear_now"));
	json_decref(row);
	/* traced, but not stopped: that keeps it from nothing */
	lt_require(!ptrace(PTRACE_CONT, parent, NULL, NULL), "%s", strerror(errno));
	lt_await(has_cause(lt, child, "waits-for-others"), "it goes on, and is told as blocked");
	lt_require(!ptrace(PTRACE_INTERRUPT, parent, NULL, NULL), "%s", strerror(errno));
	lt_require(waitpid(parent, &raw, __WALL) == parent && WIFSTOPPED(raw), "not stopped");
	lt_require(!ptrace(PTRACE_DETACH, parent, NULL, NULL), "%s", strerror(errno));
	cast__end(cast);
	cast__free(cast);
	lt__stop(lt);
}

/* Its grandchild is not to blame: who its parent was, and how that ended, is told. */
LT_TEST(why, of_what_a_double_fork_leaves)
{
	const struct way *way = way_of("double-fork");
	struct lt *lt = start();
	struct cast *cast = keep(way);
	int64_t grandchild = cast__int(cast, "grandchild", 0);
	char pid[16];
	json_t *why;

	json_decref(lt__await_row(lt, "ps", (pid_t)grandchild, "orphan=true"));
	snprintf(pid, sizeof(pid), "%ld", (long)grandchild);
	why = ask(lt, pid);
	expect(why,
	       "cause=null orphan.first_parent.pid=%s orphan.first_parent.exit.status=1 "
	       "parent.pid=%d",
	       cast__str(cast, "child", 0), parent_of_grandchild((pid_t)grandchild));
	json_decref(why);
	cast__end(cast);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(why, stopped)
{
	struct lt *lt = start();
	struct cast *cast = keep(way_of("polls-others"));
	pid_t child = (pid_t)cast__int(cast, "child", 0), parent = cast__int(cast, "parent", 0);

	lt_await(has_cause(lt, child, "waits-for-others"), "before");
	kill(parent, SIGSTOP);
	lt_await(has_cause(lt, child, "blocked"), "stopped, and not told as blocked");
	kill(parent, SIGCONT);
	lt_await(has_cause(lt, child, "waits-for-others"), "it goes on, and is told as blocked");
	cast__end(cast);
	cast__free(cast);
	lt__stop(lt);
}

/* Its cgroup is named, unless it is one of another hierarchy. */
static void tell_frozen(enum hierarchy hierarchy, const char *file, const char *frozen,
			const char *words)
{
	const char *root = root_of(hierarchy), *group;
	struct janitor janitor = janitor_start(root);
	struct lt *lt = start();
	struct cast *cast = keep(way_of("hangs"));
	pid_t child = (pid_t)cast__int(cast, "child", 0);
	char pid[16];
	json_t *row;

	group = make_group(root, "/lt-test.slice");
	snprintf(pid, sizeof(pid), "%s", cast__str(cast, "parent", 0));
	lt_require(write_to_group(group, "cgroup.procs", pid), "cgroup.procs");
	lt_require(write_to_group(group, file, frozen), "%s", file);
	lt_await(has_cause(lt, child, "blocked"), "frozen, and not told as blocked");
	row = lt__row(lt, "zombies", child);
	lt_require(strstr(str_at(row, "evidence"), words) &&
			   strstr(str_at(row, "clear_now"), "thawing"),
		   "\"%s\", \"%s\"", str_at(row, "evidence"), str_at(row, "clear_now"));
	json_decref(row);
	thaw(group);
	lt_await(has_cause(lt, child, "stopped-waiting"), "it goes on, and is told as blocked");
	cast__end(cast);
	cast__free(cast);
	janitor_end(&janitor);
	lt__stop(lt);
}

LT_TEST(why, frozen)
{
	tell_frozen(UNIFIED, "cgroup.freeze", "1", "is frozen, with its cgroup /");
}

LT_TEST(why, frozen_by_the_freezer_controller)
{
	tell_frozen(FREEZER, "freezer.state", "FROZEN", "is frozen, with its cgroup;");
}

/* Into a service's: what is to be restarted is told by the first answer. */
LT_TEST(why, parent_moved_to_another_cgroup)
{
	const char *root = root_of(UNIFIED), *group;
	struct janitor janitor = janitor_start(root);
	struct lt *lt = lt__start("--zombie-age", ZOMBIE_AGE, "--repair-interval", "1h", NULL);
	struct cast *cast = keep(way_of("never"));
	const char *child = cast__str(cast, "child", 0);
	json_t *why;

	lt_await(has_cause(lt, (pid_t)cast__int(cast, "child", 0), "never-waits"), "before");
	group = make_group(root, "/lt-test.slice/lt-why.service");
	lt_require(write_to_group(group, "cgroup.procs", cast__str(cast, "parent", 0)),
		   "cgroup.procs");
	why = ask(lt, child);
	expect(why, "parent.unit=lt-why.service");
	lt_require(strstr(str_at(why, "clear_now"), "restarting lt-why.service frees 1"), "%s",
		   str_at(why, "clear_now"));
	json_decref(why);
	cast__end(cast);
	cast__free(cast);
	janitor_end(&janitor);
	lt__stop(lt);
}

/* ---- all of them ---- */

static bool all_ways_told(struct lt *lt, struct cast *casts[WAYS])
{
	json_t *document = lt__json(lt, NULL, "zombies", NULL), *witness;
	bool all = true;

	for (size_t i = 0; i < WAYS; i++)
		all &= rightly_told(json_at(document, "zombies"), casts[i], &ways[i], &witness) >=
		       children_of(casts[i], &ways[i]);
	json_decref(document);
	return all;
}

/* Forks, and reaps what it forked, for as long as this test lives. */
static pid_t start_load(void)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		pid_t child = fork();

		if (!child)
			_exit(0);
		waitpid(child, NULL, 0);
	}
}

static void tell_all(int loads)
{
	struct cast *casts[WAYS];
	struct lt *lt = start();
	pid_t load[2];

	for (int i = 0; i < loads; i++)
		load[i] = start_load();
	for (size_t i = 0; i < WAYS; i++)
		casts[i] = keep(&ways[i]);
	lt_await_for(2 * LT_DEADLINE_NS, all_ways_told(lt, casts), "not all are told");
	for (size_t i = 0; i < WAYS; i++) {
		cast__end(casts[i]);
		cast__free(casts[i]);
	}
	for (int i = 0; i < loads; i++) {
		kill(load[i], SIGKILL);
		waitpid(load[i], NULL, 0);
	}
	lt__stop(lt);
}

LT_TEST(why, all_at_once)
{
	tell_all(0);
}

LT_TEST(why, all_at_once_under_load)
{
	tell_all(2);
}

/* ---- the command ---- */

/* It has not been flagged, so nobody has watched its parent's calls: the command does. */
LT_TEST(why, watches_before_it_judges)
{
	struct lt *lt = lt__start("--zombie-age", "1h", NULL);
	struct cast *cast = keep(way_of("polls-others"));
	json_t *why = ask(lt, cast__str(cast, "child", 0)), *row;

	expect(why, "cause=waits-for-others enough=true");
	lt_require(int_at(why, "watched_ms") >= 3000, "judged on %ld ms",
		   (long)int_at(why, "watched_ms"));
	row = json_array_get(json_at(why, "zombies"), 0);
	expect(row, "cause=waits-for-others flagged=false ppid=%d",
	       parent_of(cast, way_of("never")));
	lt_require(int_at(why, "calls_since_death.pid") > 0 &&
			   int_at(why, "calls_since_death.any") == 0,
		   "calls");
	lt_require(int_at(why, "calls_since_death.results.nothing") > 0,
		   "answers were not watched");
	json_decref(why);
	cast__end(cast);
	cast__free(cast);
	lt__stop(lt);
}

/* The daemon comes when all has happened: nothing is claimed of what it did not see. */
LT_TEST(why, begun_before_the_daemon)
{
	static const struct {
		const char *way, *cause;
	} late[] = { { "never", "never-waits" },
		     { "blocked-in-wait", "waits-for-others" },
		     { "hangs", "stopped-waiting" },
		     { "init", "init-does-not-reap" },
		     { "slow", "falls-behind" } };
	struct cast *casts[5];
	struct lt *lt;
	json_t *why;

	if (geteuid())
		cr_skip_test("needs root");
	for (size_t i = 0; i < ARRAY_SIZE(casts); i++)
		casts[i] = keep(way_of(late[i].way));
	lt = lt__start("--zombie-age", ZOMBIE_AGE, NULL);
	for (size_t i = 0; i < 4; i++) {
		why = ask(lt, cast__str(casts[i], "child", 0));
		expect(why, "cause=%s", late[i].cause);
		json_decref(why);
	}
	lt_await(all_told(lt, casts[4], way_of("slow")), "a slow one is not told");
	for (size_t i = 0; i < ARRAY_SIZE(casts); i++)
		cast__free(casts[i]);
	lt__stop(lt);
}

static bool has_reaped(struct lt *lt, const char *pid, int64_t count)
{
	json_t *why = ask(lt, pid), *reaped = json_at(why, "reaping.reaped");
	bool has = json_is_integer(reaped) && json_integer_value(reaped) == count;

	json_decref(why);
	return has;
}

/* How long its children waited, by the clock of their parent. */
LT_TEST(why, of_a_parent_how_it_reaps)
{
	struct lt *lt = start();
	struct cast *cast = cast__start("zombie", "3", NULL);
	int64_t longest, shortest;
	json_t *why;
	char pid[16];

	cast__hold(cast, "zombie");
	shortest = boottime_ns() - cast__int(cast, "died_before", 2);
	cast__go(cast);
	cast__hold(cast, "reaped");
	longest = boottime_ns() - cast__int(cast, "died_after", 0);
	snprintf(pid, sizeof(pid), "%d", cast__pid(cast));
	lt_await(has_reaped(lt, pid, 3), "three reaps are not told");
	why = ask(lt, pid);
	expect(why, "cause=null reaping.died=3");
	lt_require(int_at(why, "reaping.slowest_ns") >= shortest, "slowest");
	lt_require(int_at(why, "reaping.median_ns") <= int_at(why, "reaping.p99_ns") &&
			   int_at(why, "reaping.p99_ns") <= int_at(why, "reaping.slowest_ns"),
		   "out of order");
	/* told late by no more than the harness waits for anything */
	lt_require(int_at(why, "reaping.slowest_ns") <= longest + LT_DEADLINE_NS, "slowest");
	json_decref(why);
	cast__free(cast);
	lt__stop(lt);
}

/* Who adopts a process's children is what the kernel then does. */
LT_TEST(why, of_an_orphan_and_its_adopter)
{
	struct lt *lt = start();
	struct cast *cast = cast__start("orphan", "subreaper", NULL);
	char parent[16], child[16];
	json_t *why;

	cast__hold(cast, "born");
	snprintf(child, sizeof(child), "%s", cast__str(cast, "child", 0));
	why = ask(lt, child);
	snprintf(parent, sizeof(parent), "%ld", (long)int_at(why, "parent.pid"));
	json_decref(why);
	why = ask(lt, parent);
	expect(why, "adopter.pid=%d", cast__pid(cast));
	json_decref(why);
	cast__go(cast);
	cast__hold(cast, "adopted");
	json_decref(lt__await_row(lt, "ps", atoi(child), "orphan=true"));
	why = ask(lt, child);
	expect(why,
	       "orphan.first_parent.pid=%s orphan.first_parent.exit.status=2 "
	       "orphan.adopted_by.pid=%d",
	       parent, cast__pid(cast));
	json_decref(why);
	cast__free(cast);
	lt__stop(lt);
}

static void require_answer(struct lt *lt, const char *pid, const char *word)
{
	struct output output;

	lt__run(lt, &output, "why", pid, NULL);
	lt_require(output.code == 0 && strstr(output.out, word), "why %s: exit %d, \"%s\", \"%s\"",
		   pid, output.code, output.out, output.err);
	output__free(&output);
}

LT_TEST(why, of_a_reaped_one)
{
	struct lt *lt = start();
	struct cast *cast = cast__start("zombie", NULL);
	char words[64];
	json_t *why;

	cast__hold(cast, "zombie");
	cast__go(cast);
	cast__hold(cast, "reaped");
	json_decref(lt__await_row(lt, "ps", cast__pid(cast), "children.zombies=0"));
	lt__require_no_zombie(lt, (pid_t)cast__int(cast, "child", 0));
	why = ask(lt, cast__str(cast, "child", 0));
	expect(why, "cause=null parent.pid=%d", cast__pid(cast));
	expect(json_array_get(json_at(why, "processes"), 0), "state=reaped exit.status=7");
	json_decref(why);
	snprintf(words, sizeof(words), ", by %d (zombie), ", cast__pid(cast));
	require_answer(lt, cast__str(cast, "child", 0), words);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(why, of_anybody)
{
	struct lt *lt = start();
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", lt__daemon_pid(lt));
	require_answer(lt, pid, "lifetraced");
	require_answer(lt, "1", "alive");
	require_answer(lt, "2", "kernel thread");
	require_answer(lt, "--pid=1", "alive");
	lt__stop(lt);
}

LT_TEST(why, bad_words)
{
	struct lt *lt = start();
	const char *socket = lt__socket(lt);

	require_complaint(ARGV(LIFETRACE, "why", "--socket", socket, "2147483647"), 1,
			  "2147483647");
	require_complaint(ARGV(LIFETRACE, "why", "--socket", socket, "0"), 2, "'0'");
	require_complaint(ARGV(LIFETRACE, "why", "--socket", socket, "-1"), 2, "-1");
	require_complaint(ARGV(LIFETRACE, "why", "--socket", socket, "x1"), 2, "x1");
	require_complaint(ARGV(LIFETRACE, "why", "--socket", socket, ""), 2, "''");
	require_complaint(ARGV(LIFETRACE, "why", "--socket", socket, "99999999999"), 2, "9999");
	require_complaint(ARGV(LIFETRACE, "why", "--socket", socket), 2, "PID");
	require_complaint(ARGV(LIFETRACE, "why", "--socket", socket, "1", "2"), 2, "2");
	require_complaint(ARGV(LIFETRACE, "why", "--socket", "/nowhere", "1"), 1, "/nowhere");
	lt__stop(lt);
}

/* Other tools give the numbers of threads, too. */
LT_TEST(why, of_a_thread)
{
	const struct way *way = way_of("thread-waits-for-one");
	struct lt *lt = start();
	struct cast *cast = keep(way);
	pid_t parent = parent_of(cast, way), tid = 0;
	char path[64], words[64], number[16];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", parent);
	dir = opendir(path);
	while ((!tid || tid == parent) && (entry = readdir(dir)))
		tid = atoi(entry->d_name);
	closedir(dir);
	lt_require(tid != parent, "no other thread");
	json_decref(lt__await_row(lt, "ps", parent, "state=running"));
	snprintf(number, sizeof(number), "%d", tid);
	snprintf(words, sizeof(words), "%d is a thread of process %d", tid, parent);
	require_complaint(ARGV(LIFETRACE, "why", "--socket", lt__socket(lt), number), 1, words);
	cast__end(cast);
	cast__free(cast);
	lt__stop(lt);
}

/* ---- evidence that changes while it is read ---- */

#define ROUNDS_MAX 256
#define ASKING 4 /* at a time */

/* What the cast says of itself; a pid can be in several rounds. */
static struct play {
	struct round {
		int parent, child, status;
		char kind[16];
	} round[ROUNDS_MAX];
	size_t count;
	struct cast *cast;
	pid_t adopter;
} play;

/* What each kind of round can be told as, at one time or another. */
static const struct {
	const char *kind, *causes;
} truths[] = {
	{ "reap", " never-waits unknown " },
	{ "die", " never-waits unknown " },
	{ "adopted", " never-waits unknown falls-behind " },
	{ "exec", " never-waits unknown " },
	{ "stop", " never-waits unknown blocked " },
	{ "trace", " never-waits unknown blocked " },
	{ "reuse", " never-waits unknown falls-behind stopped-waiting " },
};

static void hear_rounds(void)
{
	for (; play.count < ROUNDS_MAX && (int)play.count < cast__count(play.cast, "round");
	     play.count++) {
		struct round *round = &play.round[play.count];

		lt_require(sscanf(cast__str(play.cast, "round", (int)play.count), "%d %d %d %15s",
				  &round->parent, &round->child, &round->status, round->kind) == 4,
			   "a round");
	}
}

/* By the cast itself, which reaps all. */
static const struct round adopted = { .kind = "adopted" };

static bool can_be(const struct round *round, const char *cause)
{
	char word[64];

	snprintf(word, sizeof(word), " %s ", cause);
	for (size_t i = 0; i < ARRAY_SIZE(truths); i++)
		if (!strcmp(truths[i].kind, round->kind))
			return strstr(truths[i].causes, word);
	return false;
}

/* Whose pid is another's by now is none of ours. */
static bool is_ours(const json_t *row)
{
	return json_matches(row, "comm=changes") || json_matches(row, "comm=exe");
}

/* A cause that can be told in such a round, with the evidence of that parent. */
static bool is_well_told(const struct round *round, const json_t *row, const json_t *why)
{
	const char *cause = json_string_value(json_at(why, "cause"));
	char named[32];

	snprintf(named, sizeof(named), "%ld (", (long)int_at(row, "ppid"));
	return !cause || (can_be(round, cause) &&
			  (!strcmp(cause, "unknown") || strstr(str_at(why, "evidence"), named)));
}

/* All that is said of a zombie is of one round: whose it is, how it ended, and what keeps it. */
static bool is_of_round(const struct round *round, const json_t *row, const json_t *why)
{
	int64_t pid = int_at(row, "pid"), ppid = int_at(row, "ppid");
	int64_t status = int_at(row, "exit.status");

	if (round->parent == pid) /* which has ended, too */
		return ppid == play.adopter && !status && is_well_told(&adopted, row, why);
	if (round->child != pid || round->status != status)
		return false;
	if (ppid == play.adopter)
		return !strcmp(round->kind, "die") && is_well_told(&adopted, row, why);
	return ppid == round->parent && is_well_told(round, row, why);
}

static bool is_of_any_round(const json_t *row, const json_t *why)
{
	hear_rounds();
	for (size_t i = 0; i < play.count; i++)
		if (is_of_round(&play.round[i], row, why))
			return true;
	return false;
}

static void check_zombie(const json_t *row, const json_t *why)
{
	char *dump;

	if (!is_ours(row))
		return;
	dump = json_dumps(why, JSON_INDENT(1));
	/* what is said of it can come after the answer */
	lt_await(is_of_any_round(row, why), "true in no round: %s", dump);
	free(dump);
}

/* One that lives, or did: of a child how it ended. */
static bool is_known(const json_t *row)
{
	int64_t pid = int_at(row, "pid");

	hear_rounds();
	for (size_t i = 0; i < play.count; i++) {
		const struct round *round = &play.round[i];

		if (pid == round->parent ||
		    (pid == round->child && (json_is_null(json_at(row, "exit")) ||
					     int_at(row, "exit.status") == round->status)))
			return true;
	}
	return false;
}

/* And of a parent that it holds no more than there are. */
static void check_process(const json_t *row)
{
	if (!is_ours(row) || int_at(row, "pid") == play.adopter)
		return;
	lt_await(is_known(row), "%ld is told in a way that it never was", (long)int_at(row, "pid"));
	lt_require(int_at(row, "children.zombies") <= 1, "%ld holds %ld", (long)int_at(row, "pid"),
		   (long)int_at(row, "children.zombies"));
}

static void check_answer(const struct result *result)
{
	json_t *why;

	lt_require(result->code == 0 || (result->code == 1 && is_one_line(result->err)),
		   "exit %d: %s%s", result->code, result->out, result->err);
	if (result->code)
		return;
	why = json_loads(result->out, 0, NULL);
	lt_require(why, "no JSON: %s", result->out);
	if (json_at(why, "zombies"))
		check_zombie(json_array_get(json_at(why, "zombies"), 0), why);
	else
		check_process(json_array_get(json_at(why, "processes"), 0));
	json_decref(why);
}

static void check_zombies(struct lt *lt)
{
	json_t *document = lt__json(lt, NULL, "zombies", NULL), *row;
	size_t i;

	hear_rounds();
	json_array_foreach(json_at(document, "zombies"), i, row) {
		bool said = false;

		for (size_t j = 0; j < play.count; j++)
			said |= play.round[j].child == int_at(row, "pid");
		if (said) /* or the parent has not come to say it */
			check_zombie(row, row);
	}
	json_decref(document);
}

/* The newest round's child, and its parent, in turns. */
static pid_t whom_to_ask(int n)
{
	const struct round *round = &play.round[play.count - 1];

	return n % 2 ? round->parent : round->child;
}

static void start_asking(struct job *job, struct lt *lt, pid_t pid)
{
	char number[16];
	const char *argv[] = {
		LIFETRACE, "why", number, "--json", "--socket", lt__socket(lt), NULL
	};

	snprintf(number, sizeof(number), "%d", pid);
	job__start(job, &(struct plan){ .argv = argv });
}

static void end_asking(struct job *job)
{
	struct result result = { .code = job__wait(job, LT_DEADLINE_NS) };

	result.out = read_fd(job->out, &result.out_len);
	result.err = read_fd(job->err, NULL);
	job__free(job);
	check_answer(&result);
	result__free(&result);
}

/*
 * Parents die, exec, reap, are stopped and traced, and pids are given away, while `why` watches for
 * seconds and reads: each answer is what was so in one round, and never of two.
 */
LT_TEST(why, of_what_changes_meanwhile)
{
	struct lt *lt = lt__start("--zombie-age", "20ms", "--syscall-hooks", "always", NULL);
	struct cast *cast = cast__start("changes", "60", NULL);
	struct job jobs[ASKING] = { 0 };
	int asked = 0;

	play.count = 0;
	play.cast = cast;
	play.adopter = cast__pid(cast);
	cast__str(cast, "round", 0);
	while (!cast__count(cast, "played")) {
		struct job *job = &jobs[asked % ASKING];

		if (job->pid)
			end_asking(job);
		hear_rounds();
		start_asking(job, lt, whom_to_ask(asked++));
		check_zombies(lt);
	}
	for (int i = 0; i < ASKING; i++)
		if (jobs[i].pid)
			end_asking(&jobs[i]);
	lt_require(asked >= ASKING, "only %d were asked", asked);
	cast__end(cast);
	cast__free(cast);
	lt__stop(lt);
}
