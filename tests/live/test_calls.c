/*
 * What calls answer and cost: each wait call's answer against what the program
 * was given, forks that fail and what forks cost against the program's own
 * measures and /proc; and the hooks that tax system calls: on only by need.
 */
#include "harness.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* live_calls, waits, forks, zombie */
#define OURS "[lwfz]*"

/* --- wait calls, one by one --- */

/* The N-th event (from 0) of the life that is the end of a wait call; NULL: not there. */
static json_t *find_call(struct lt *lt, const char *id, int n)
{
	const struct event *event;

	for (int i = 0; (event = lt__find(lt, id, "wait", i)); i++) {
		json_t *call = json_object_get(event->json, "call");

		if (json_is_object(call) && !json_matches(call, "result=restarted") && !n--)
			return call;
	}
	return NULL;
}

/* What the program was told, in lifetrace's words. */
static const char *expected_result(struct cast *cast, int n)
{
	const char *answer = cast__str(cast, "answer", n);

	return !strcmp(answer, "ECHILD") ? "echild" : !strcmp(answer, "EINTR") ? "eintr" : answer;
}

static void check_call(struct lt *lt, struct cast *cast, const char *id, int n)
{
	const char *result = expected_result(cast, n);
	pid_t child = cast__int(cast, "answer.child", n);
	json_t *call;

	lt_await(find_call(lt, id, n), "call %d, %s", n, result);
	call = find_call(lt, id, n);
	/* a function's hook knows the child, too, that a program did not want to know */
	if (!strcmp(result, "unknown") && json_matches(call, "result=reaped"))
		return;
	expect(call, "result=%s", result);
	if (child)
		expect(call, "child_pid=%d", child);
	else
		expect(call, "child_pid=null");
	if (!strcmp(result, "echild") || !strcmp(result, "eintr"))
		expect(call, "errno=%s", cast__str(cast, "answer", n));
	lt_require(int_at(call, "blocked_ns") >= 0 &&
			   int_at(call, "began_ns") + int_at(call, "blocked_ns") <= boottime_ns(),
		   "time blocked");
}

/* The counters must be what the single calls add up to. */
static void check_results(struct lt *lt, struct cast *cast, int calls, int restarted)
{
	static const char *const results[] = { "reaped", "reported", "nothing",
					       "echild", "eintr",    "unknown" };
	json_t *row = lt__row(lt, "ps", cast__pid(cast));

	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		int expected = 0;
		char path[64];

		for (int n = 0; n < calls; n++)
			expected += !strcmp(expected_result(cast, n), results[i]);
		snprintf(path, sizeof(path), "waits.results.%s", results[i]);
		lt_require(int_at(row, path) == expected, "%s: %d, not %d", path,
			   (int)int_at(row, path), expected);
	}
	expect(row, "waits.calls=%d waits.results.restarted=%d waits.waiting_since_ns=null", calls,
	       restarted);
	json_decref(row);
}

/* Starts a daemon and a tail that asks for calls. */
static struct lt *start_asking(void)
{
	struct lt *lt = lt__start("--syscall-hooks", "always", NULL);

	lt__tail_by_name(lt, OURS);
	return lt;
}

static void check_calls(const char *way, int restarted)
{
	struct lt *lt = start_asking();
	struct cast *cast = cast__start("waits", way, NULL);
	const char *id = lt__id(lt, cast__pid(cast));
	int calls;

	cast__hold(cast, "waited");
	calls = cast__count(cast, "answer");
	lt_require(calls > 0, "no call");
	for (int i = 0; i < calls; i++)
		check_call(lt, cast, id, i);
	lt__fence(lt);
	lt_require(!find_call(lt, id, calls), "more calls than the program made");
	check_results(lt, cast, calls, restarted);
	cast__free(cast);
	lt__stop(lt);
}

#define CALLS(name, way, restarted)          \
	LT_TEST(calls, name)                 \
	{                                    \
		check_calls(way, restarted); \
	}

CALLS(wait, "wait", 0)
CALLS(nohang_gives_nothing, "nohang", 0)
CALLS(echild_for_no_child, "echild", 0)
CALLS(wall, "wall", 0)
CALLS(wclone, "wclone", 0)
CALLS(waitid_pidfd, "waitid-pidfd", 0)
CALLS(waitid_nohang_gives_nothing, "waitid-nohang", 0)
CALLS(stops_are_reported, "stops", 0)
CALLS(interrupted_fails, "eintr", 0)
CALLS(interrupted_goes_on, "restart", 1)
CALLS(stopped_goes_on, "stopped", 1)
CALLS(handler_waits_meanwhile, "handler-waits", 1)

/* The child is looked at, and reaped by the next call. */
LT_TEST(calls, nowait_reports)
{
	struct lt *lt = start_asking();
	struct cast *cast = cast__start("waits", "nowait", NULL);
	const char *id = lt__id(lt, cast__pid(cast));

	cast__hold(cast, "looked");
	check_call(lt, cast, id, 0);
	expect(find_call(lt, id, 0), "call=waitid which=pid pid=%d result=reported",
	       (int)cast__int(cast, "child", 0));
	cast__go(cast);
	cast__hold(cast, "waited");
	check_call(lt, cast, id, 1);
	cast__free(cast);
	lt__stop(lt);
}

/* Which child it was nobody was told; that the call took one is not denied. */
LT_TEST(calls, waitid_without_siginfo)
{
	struct lt *lt = start_asking();
	struct cast *cast = cast__start("waits", "waitid-null", NULL);
	const char *id = lt__id(lt, cast__pid(cast));
	char *hook = lt__hook(lt, "wait_results");
	bool by_syscall = !strstr(hook, "do_wait");

	cast__hold(cast, "waited");
	lt_await(find_call(lt, id, 0), "no call");
	expect(find_call(lt, id, 0), "call=waitid errno=null result=%s",
	       by_syscall ? "unknown" : "reaped");
	expect(lt__await_event(lt, lt__id(lt, cast__int(cast, "child", 0)), "reap", 0),
	       "reaped_by=%s", id);
	free(hook);
	cast__free(cast);
	lt__stop(lt);
}

/* Two threads are blocked at a time: each answer belongs to its own call. */
LT_TEST(calls, threads_are_told_apart)
{
	struct lt *lt = start_asking();
	struct cast *cast = cast__start("waits", "threads", NULL);
	const char *id = lt__id(lt, cast__pid(cast));
	json_t *row, *first, *second;

	cast__hold(cast, "both wait");
	row = lt__await_row(lt, "ps", cast__pid(cast), "waits.calls=2");
	lt_require(int_at(row, "waits.waiting_since_ns") > int_at(row, "forked_ns"), "it waits");
	json_decref(row);
	cast__go(cast);
	cast__hold(cast, "waited");
	check_call(lt, cast, id, 0);
	check_call(lt, cast, id, 1);
	first = find_call(lt, id, 0);
	second = find_call(lt, id, 1);
	lt_require(int_at(first, "tid") != int_at(second, "tid"), "one thread");
	lt_require(int_at(first, "pid") != int_at(second, "pid"), "one child");
	lt_require(int_at(first, "child_pid") == int_at(first, "pid"), "another's child");
	lt_require(int_at(second, "began_ns") < int_at(first, "began_ns"),
		   "the longer one is last");
	json_decref(lt__await_row(lt, "ps", cast__pid(cast), "waits.waiting_since_ns=null"));
	cast__free(cast);
	lt__stop(lt);
}

/* No hook tells of a wait by io_uring; the child's end and its reaper are seen. */
LT_TEST(calls, io_uring_reaps)
{
	struct lt *lt = start_asking();
	struct cast *cast = cast__start("waits", "uring", NULL);
	char why[128] = "";
	const char *child;

	cast__hold(cast, "waited");
	if (cast__count(cast, "lacks")) {
		snprintf(why, sizeof(why), "%s", cast__str(cast, "lacks", 0));
	} else {
		child = lt__id(lt, cast__int(cast, "waitid.pid", 0));
		lt_require(cast__int(cast, "waitid.pid", 0) == cast__int(cast, "child", 0), "pid");
		expect(lt__await_event(lt, child, "exit", 0), "exit.how=exited exit.status=%d",
		       (int)cast__int(cast, "waitid.status", 0));
		expect(lt__await_event(lt, child, "reap", 0), "reaped_by=%s",
		       lt__id(lt, cast__pid(cast)));
		lt__require_no_zombie(lt, cast__int(cast, "child", 0));
	}
	cast__free(cast);
	lt__stop(lt);
	if (*why)
		cr_skip_test("%s", why);
}

/* --- more parents than there is room for --- */

#define CROWD 10000

/* An upper bound of the map's room: see bounded_entries() in daemon/kernel.c. */
static int waits_room(void)
{
	return 8192 + 128 * (int)sysconf(_SC_NPROCESSORS_CONF);
}

static int lost_waits(struct lt *lt)
{
	json_t *status = lt__status(lt);
	int lost = (int)int_at(status, "lost.wait");

	json_decref(status);
	return lost;
}

/* Their counters are bounded: who has not waited for longest goes, and that is counted. */
LT_TEST(calls, a_crowd_of_parents)
{
	struct lt *lt = lt__start(NULL);
	int room = waits_room(), lost;
	struct cast *cast;
	char why[128] = "", n[16];
	json_t *row;

	snprintf(n, sizeof(n), "%d", CROWD);
	cast = cast__start("parents", n, NULL);
	lt_await(cast__count(cast, "lacks") || cast__count(cast, "hold"), "no crowd");
	if (cast__count(cast, "lacks")) {
		snprintf(why, sizeof(why), "%s", cast__str(cast, "lacks", 0));
	} else if (room > CROWD) {
		snprintf(why, sizeof(why), "there is room for %d", room);
	} else {
		cast__hold(cast, "crowd");
		lt_await(lost_waits(lt) >= CROWD - room, "%d are out of %d", lost_waits(lt), CROWD);
		lost = lost_waits(lt);
		lt_require(lost < CROWD, "all are out");
		cast__go(cast);
		cast__hold(cast, "again");
		row = lt__await_row(lt, "ps", cast__int(cast, "last", 0), "waits.calls=2");
		json_decref(row);
		cast__go(cast);
		cast__hold(cast, "gone"); /* what goes by itself is not lost */
		lt__require_no_zombie(lt, cast__int(cast, "last", 0));
		lt_require(lost_waits(lt) <= lost + room / 10, "%d are out, were %d",
			   lost_waits(lt), lost);
	}
	cast__free(cast);
	lt__stop(lt);
	if (*why)
		cr_skip_test("%s", why);
}

/* --- what forks cost --- */

LT_TEST(forks, cost_of_a_large_one)
{
	struct lt *lt = start_asking();
	struct cast *cast = cast__start("forks", "large", NULL);
	json_t *event, *row;
	int64_t rss, pagetable;
	const char *id;

	cast__hold(cast, "alive");
	id = lt__id(lt, cast__int(cast, "child", 0));
	event = lt__await_event(lt, id, "fork", 0);
	row = lt__await_row(lt, "ps", cast__int(cast, "child", 0), "fork.vfork_wait_ns=null");
	lt_require(json_equal(json_at(event, "fork"), json_at(row, "fork")),
		   "event and row differ");
	lt_require(int_at(row, "fork.duration_ns") > 0 &&
			   int_at(row, "fork.duration_ns") <= cast__int(cast, "call_ns", 0),
		   "%" PRId64 " ns of %" PRId64, int_at(row, "fork.duration_ns"),
		   cast__int(cast, "call_ns", 0));
	/* /proc's own sums are as approximate: a batch of each counter and CPU */
	rss = int_at(row, "fork.rss_bytes") / 1024;
	lt_require(rss >= 64 << 10 && rss <= cast__int(cast, "rss_kib", 0) + 2048,
		   "%" PRId64 " KiB, the parent has %" PRId64, rss, cast__int(cast, "rss_kib", 0));
	/* the child has added what it touched before it looked */
	pagetable = int_at(row, "fork.pagetable_bytes") / 1024;
	lt_require(pagetable > (64 << 10) / 512 &&
			   pagetable <= cast__int(cast, "child.pagetable_kib", 0),
		   "%" PRId64 " KiB, the child has %" PRId64, pagetable,
		   cast__int(cast, "child.pagetable_kib", 0));
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(forks, vfork_waits_apart)
{
	struct lt *lt = start_asking();
	struct cast *cast = cast__start("forks", "vfork", NULL);
	json_t *row;
	int64_t wait_ns, copy_ns;

	cast__hold(cast, "dead");
	row = lt__await_row(lt, "ps", cast__int(cast, "child", 0),
			    "fork.vfork_wait_ns!=null fork.rss_bytes=0 fork.pagetable_bytes=0");
	wait_ns = int_at(row, "fork.vfork_wait_ns");
	copy_ns = int_at(row, "fork.duration_ns");
	lt_require(copy_ns > 0 && wait_ns >= cast__int(cast, "child.lived_ns", 0) &&
			   copy_ns + wait_ns <= cast__int(cast, "call_ns", 0),
		   "%" PRId64 " and %" PRId64 " ns of %" PRId64 ", the child lived %" PRId64,
		   copy_ns, wait_ns, cast__int(cast, "call_ns", 0),
		   cast__int(cast, "child.lived_ns", 0));
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}

/* --- no child --- */

static int failures_of(struct lt *lt, pid_t pid, const char *name)
{
	json_t *row = lt__row(lt, "ps", pid);
	json_t *count = json_object_get(json_at(row, "fork_failures"), name);
	int n = (int)json_integer_value(count);

	json_decref(row);
	return n;
}

static void check_failures(const char *way, const char *name)
{
	struct lt *lt = start_asking();
	struct cast *cast = cast__start("forks", way, NULL);
	char why[128] = "", path[64];
	json_t *status;
	const char *id;
	pid_t failing;

	lt_await(cast__count(cast, "lacks") || cast__count(cast, "hold"), "nothing fails");
	if (cast__count(cast, "lacks")) {
		snprintf(why, sizeof(why), "%s", cast__str(cast, "lacks", 0));
	} else {
		cast__hold(cast, "failed");
		failing = cast__count(cast, "failing") ? cast__int(cast, "failing", 0) :
							 cast__pid(cast);
		id = lt__id(lt, failing);
		for (int i = 0; i < cast__count(cast, "failed"); i++) {
			lt_require(!strcmp(cast__str(cast, "failed", i), name), "failed otherwise");
			expect(lt__await_event(lt, id, "fork-fail", i), "pid=%d tid=%d errno=%s",
			       failing, failing, name);
		}
		lt__fence(lt);
		lt_require(lt__count(lt, id, "fork-fail") == cast__count(cast, "failed"), "more");
		lt_require(failures_of(lt, failing, name) == cast__count(cast, "failed"), "count");
		status = lt__status(lt);
		snprintf(path, sizeof(path), "fork_failures.%s", name);
		lt_require(int_at(status, path) >= cast__count(cast, "failed"), "%s", path);
		json_decref(status);
	}
	cast__free(cast);
	lt__stop(lt);
	if (*why)
		cr_skip_test("%s", why);
}

#define FAILURES(name, way, errno_name)          \
	LT_TEST(forks, name)                     \
	{                                        \
		check_failures(way, errno_name); \
	}

FAILURES(fail_by_rlimit_nproc, "fail-nproc", "EAGAIN")
FAILURES(fail_by_pids_max, "fail-pids", "EAGAIN")
FAILURES(fail_by_pid_max, "fail-pid-max", "EAGAIN")
FAILURES(fail_in_a_dead_namespace, "fail-dead-ns", "ENOMEM")

/* Signals made the kernel begin the same call anew: no fork failed. */
LT_TEST(forks, retries_are_no_failures)
{
	struct lt *lt = start_asking();
	struct cast *cast = cast__start("forks", "retried", NULL);
	const char *id = lt__id(lt, cast__pid(cast));
	json_t *row;

	cast__hold(cast, "done");
	lt__fence(lt);
	row = lt__row(lt, "ps", cast__pid(cast));
	lt_require(!json_object_size(json_at(row, "fork_failures")), "failures");
	lt_require(lt__count(lt, id, "fork-fail") == 0, "failures");
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}

/* --- the hooks that tax system calls --- */

/* Whether a descriptor of the process is a link of BPF to a perf event, by the kernel's word. */
static bool is_perf_link(pid_t pid, const char *fd)
{
	char path[64], line[128];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.16s", pid, fd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		found |= !strncmp(line, "link_type:\tperf", strlen("link_type:\tperf"));
	if (file)
		fclose(file);
	return found;
}

static int perf_links(struct lt *lt)
{
	struct dirent *entry;
	char path[64];
	int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", lt__daemon_pid(lt));
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		n += is_perf_link(lt__daemon_pid(lt), entry->d_name);
	if (dir)
		closedir(dir);
	return n;
}

/* Tests of the switching need a kernel that refuses the better hooks. */
static struct lt *start_taxing(const char *mode)
{
	struct lt *lt = lt__start("--syscall-hooks", mode, "--zombie-age", "1s", NULL);
	char *hook = lt__hook(lt, "wait_results");
	bool free_of_tax = strstr(hook, "do_wait");

	free(hook);
	if (free_of_tax) {
		lt__stop(lt);
		cr_skip_test("this kernel allows hooks that tax nobody");
	}
	return lt;
}

static bool hook_begins(struct lt *lt, const char *what, const char *begin)
{
	char *hook = lt__hook(lt, what);
	bool does = !strncmp(hook, begin, strlen(begin));

	free(hook);
	return does;
}

static bool is_watching(struct lt *lt)
{
	json_t *status = lt__status(lt);
	bool wait = strncmp(str_at(status, "hooks.wait_results"), "off: ", 5);
	bool fork = strncmp(str_at(status, "hooks.fork_cost"), "off: ", 5);

	json_decref(status);
	lt_require(wait == fork, "one without the other");
	return wait;
}

static bool is_off(struct lt *lt)
{
	return !is_watching(lt) && perf_links(lt) == 0;
}

static bool is_on(struct lt *lt)
{
	return is_watching(lt) && perf_links(lt) > 0;
}

/* Others on this host may have flagged zombies: then on is right. */
static bool is_off_without_need(struct lt *lt)
{
	json_t *status = lt__status(lt);
	bool needed = int_at(status, "flagged") > 0;

	json_decref(status);
	return needed ? is_on(lt) : is_off(lt);
}

LT_TEST(syscall_hooks, auto_follows_a_flagged_zombie)
{
	struct lt *lt = start_taxing("auto");
	struct cast *cast;

	lt_await(is_off_without_need(lt), "on without need");
	lt__tail(lt); /* of all kinds: asks for nothing */
	lt_await(is_off_without_need(lt), "on without need");
	cast = cast__start("zombie", NULL);
	lt__await_event(lt, lt__id(lt, cast__int(cast, "child", 0)), "flagged", 0);
	lt_await(is_on(lt), "off with a flagged zombie");
	cast__end(cast);
	lt__await_event(lt, lt__id(lt, cast__int(cast, "child", 0)), "reap", 0);
	lt_await(is_off_without_need(lt), "on without need");
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(syscall_hooks, auto_follows_who_asks)
{
	struct lt *lt = start_taxing("auto");

	lt__tail_by_name(lt, OURS);
	lt_require(is_on(lt), "off, and somebody asks");
	lt__end_tail(lt);
	lt_await(is_off_without_need(lt), "on, and nobody asks");
	lt__stop(lt);
}

LT_TEST(syscall_hooks, always)
{
	struct lt *lt = start_taxing("always");

	lt_require(is_on(lt), "off");
	lt__stop(lt);
}

LT_TEST(syscall_hooks, off)
{
	struct lt *lt = start_taxing("off");
	struct cast *cast;
	json_t *row;

	lt__tail_by_name(lt, OURS);
	cast = cast__start("zombie", NULL);
	lt__await_event(lt, lt__id(lt, cast__int(cast, "child", 0)), "flagged", 0);
	lt_require(is_off(lt) && hook_begins(lt, "wait_results", "off: syscall_hooks = off"), "on");
	row = lt__row(lt, "zombies", cast__int(cast, "child", 0));
	expect(row, "fork.duration_ns=null fork.vfork_wait_ns=null");
	lt_require(int_at(row, "fork.rss_bytes") > 0, "the sizes need no such hook");
	json_decref(row);
	cast__end(cast);
	cast__free(cast);
	lt__stop(lt);
}

/* SIGHUP: from off to always, and back. */
LT_TEST(syscall_hooks, reloaded)
{
	char path[] = "/tmp/lt-calls-XXXXXX";
	int fd = mkstemp(path);
	struct lt *lt;

	lt_require(fd >= 0 && dprintf(fd, "syscall_hooks = off\n") > 0, "a file");
	lt = lt__start("--config", path, NULL);
	if (hook_begins(lt, "wait_results", "off: syscall_hooks = off")) {
		lt_require(!ftruncate(fd, 0) && !lseek(fd, 0, SEEK_SET) &&
				   dprintf(fd, "syscall_hooks = always\n") > 0,
			   "a file");
		kill(lt__daemon_pid(lt), SIGHUP);
		lt_await(is_on(lt), "off after a reload");
		lt_require(!ftruncate(fd, 0) && !lseek(fd, 0, SEEK_SET) &&
				   dprintf(fd, "syscall_hooks = off\n") > 0,
			   "a file");
		kill(lt__daemon_pid(lt), SIGHUP);
		lt_await(is_off(lt), "on after a reload");
	}
	lt__stop(lt);
	close(fd);
	unlink(path);
}
