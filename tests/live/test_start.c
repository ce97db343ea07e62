/*
 * What lived, or was dead already, before the daemon started: it is known from
 * the first answer on, and goes on as any other life.
 */
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An old zombie's begin is found out, not just the daemon's start. */
LT_TEST(start, zombie_from_before)
{
	const int64_t wrong_ns = 200 * NSEC_PER_MSEC, old_ns = NSEC_PER_SEC;
	struct cast *cast = cast__start("zombie", NULL);
	struct lt *lt;
	int64_t died, began;
	json_t *row;
	pid_t pid;

	cast__hold(cast, "zombie");
	pid = cast__int(cast, "child", 0);
	died = cast__int(cast, "died_before", 0);
	lt_await(boottime_ns() > died + old_ns, "the clock stands");
	lt = lt__start("--zombie-age", "300ms", NULL);
	row = lt__row(lt, "zombies", pid);
	lt_require(row, "not among the zombies");
	expect(row, "state=zombie inferred=true exit.how=exited exit.status=7 exit.signal=null");
	expect(row, "ppid=%d parent_comm=zombie comm=zombie reaped_ns=null", cast__pid(cast));
	began = int_at(row, "zombie_ns");
	lt_require(began >= died - wrong_ns && began <= died + wrong_ns,
		   "a zombie since %ld, not %ld: %ld ms off", died, began,
		   (began - died) / NSEC_PER_MSEC);
	check_id(str_at(row, "id"), pid);
	check_id(str_at(row, "parent_id"), cast__pid(cast));
	json_decref(row);
	json_decref(lt__await_row(lt, "zombies", pid, "flagged=true"));
	json_decref(lt__status(lt));
	cast__free(cast);
	lt__stop(lt);
}

/* Lives that began before the daemon have no fork event: their id is in ps. */
static char *id_in_ps(struct lt *lt, pid_t pid)
{
	json_t *row = lt__await_row(lt, "ps", pid, "orphan!=none");
	char *id = strdup(str_at(row, "id"));

	lt__watch(lt, id);
	json_decref(row);
	return id;
}

LT_TEST(start, zombie_from_before_is_reaped)
{
	struct cast *cast = cast__start("zombie", "3", NULL);
	struct lt *lt;
	char *parent_id;

	cast__hold(cast, "zombie");
	lt = lt__start(NULL);
	lt__tail(lt);
	parent_id = id_in_ps(lt, cast__pid(cast));
	for (int n = 0; n < 3; n++)
		json_decref(
			lt__await_row(lt, "zombies", cast__int(cast, "child", n), "inferred=true"));
	char *ids[] = {
		id_in_ps(lt, cast__int(cast, "child", 0)),
		id_in_ps(lt, cast__int(cast, "child", 1)),
		id_in_ps(lt, cast__int(cast, "child", 2)),
	};

	cast__go(cast);
	cast__hold(cast, "reaped");
	for (int n = 0; n < 3; n++) {
		expect(lt__await_event(lt, ids[n], "reap", 0), "reaped_by=%s", parent_id);
		lt__require_no_zombie(lt, cast__int(cast, "child", n));
		lt_require(lt__count(lt, ids[n], "exit") == 0, "it exited long ago");
		free(ids[n]);
	}
	free(parent_id);
	cast__free(cast);
	lt__stop(lt);
}

/* ARGS against /proc/PID/cmdline, word by word. */
static void check_args(const json_t *args, pid_t pid)
{
	char path[64], cmdline[4096];
	const char *word = cmdline;
	ssize_t n;
	size_t i;
	json_t *arg;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, cmdline, sizeof(cmdline) - 1);
	close(fd);
	lt_require(n > 0, "%s", path);
	cmdline[n] = '\0';
	json_array_foreach(args, i, arg) {
		lt_require(word < cmdline + n && !strcmp(json_string_value(arg), word),
			   "%s, not %s", json_string_value(arg), word);
		word += strlen(word) + 1;
	}
	lt_require(word == cmdline + n, "%zu words, more in %s", i, path);
}

LT_TEST(start, living_from_before)
{
	struct cast *cast = cast__start("forks", "fork", NULL);
	char path[512], exe[512] = "";
	json_t *row;
	struct lt *lt;
	char *parent_id, *id;
	pid_t pid;

	cast__hold(cast, "alive");
	pid = cast__int(cast, "child", 0);
	lt = lt__start(NULL);
	lt__tail(lt);
	parent_id = id_in_ps(lt, cast__pid(cast));
	id = id_in_ps(lt, pid);
	row = lt__await_row(lt, "ps", pid, "state=running args!=null");
	lt_require(realpath(cast__path("forks", path, sizeof(path)), exe), "no exe");
	expect(row, "ppid=%d parent_id=%s comm=forks exe=%s uid=0 ns_pid=%d exit=null",
	       cast__pid(cast), parent_id, exe, pid);
	expect(row, "orphan=false kernel=false args_truncated=false");
	check_args(json_at(row, "args"), pid);
	check_id(id, pid);
	check_id(parent_id, cast__pid(cast));
	json_decref(row);
	cast__end(cast);
	expect(lt__await_event(lt, id, "exit", 0), "exit.how=exited exit.status=0");
	expect(lt__await_event(lt, id, "reap", 0), "reaped_by=%s", parent_id);
	lt__fence(lt);
	lt_require(lt__count(lt, id, "fork") == 0 && lt__count(lt, id, "exit") == 1 &&
			   lt__count(lt, id, "reap") == 1,
		   "events of a life from before");
	free(parent_id);
	free(id);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(start, dead_leader_from_before)
{
	struct cast *cast = cast__start("deadleader", "exit", NULL);
	struct lt *lt;
	pid_t pid;
	char *id;

	cast__hold(cast, "dead-leader");
	pid = cast__int(cast, "child", 0);
	lt = lt__start("--zombie-age", "50ms", NULL);
	lt__tail(lt);
	id = id_in_ps(lt, pid);
	json_decref(lt__await_row(lt, "ps", pid, "state=dead-leader zombie_ns=null exit=null"));
	lt__require_no_zombie(lt, pid);
	cast__go(cast);
	cast__hold(cast, "reaped");
	expect(lt__await_event(lt, id, "exit", 0), "exit.how=exited exit.status=5");
	lt__await_event(lt, id, "reap", 0);
	lt_require(lt__count(lt, id, "exit") == 1 && lt__count(lt, id, "reap") == 1,
		   "not one exit and one reap");
	free(id);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(start, stopped_from_before)
{
	struct cast *cast = cast__start("stops", "handled", NULL);
	struct lt *lt;
	pid_t pid;
	char *id;

	cast__hold(cast, "stopped");
	pid = cast__int(cast, "child", 0);
	lt = lt__start(NULL);
	lt__tail(lt);
	id = id_in_ps(lt, pid);
	json_decref(lt__await_row(lt, "ps", pid, "state=stopped exit=null"));
	cast__go(cast);
	cast__hold(cast, "continued");
	lt__await_event(lt, id, "continue", 0);
	json_decref(lt__await_row(lt, "ps", pid, "state=running"));
	cast__end(cast);
	expect(lt__await_event(lt, id, "exit", 0), "exit.how=killed exit.signal=SIGKILL");
	free(id);
	cast__free(cast);
	lt__stop(lt);
}

/* Both live from before; the subreaper's flag is known. */
LT_TEST(start, subreaper_from_before)
{
	struct cast *cast = cast__start("orphan", "subreaper", NULL);
	struct lt *lt;
	char *id, *by_id;
	pid_t pid;

	cast__hold(cast, "born");
	pid = cast__int(cast, "child", 0);
	lt = lt__start(NULL);
	lt__tail(lt);
	id = id_in_ps(lt, pid);
	by_id = id_in_ps(lt, cast__pid(cast));
	cast__go(cast);
	cast__hold(cast, "adopted");
	expect(lt__await_event(lt, id, "orphan", 0), "adopted_by=%s ppid=%d", by_id,
	       cast__pid(cast));
	json_decref(lt__await_row(lt, "ps", pid, "orphan=true"));
	cast__end(cast);
	expect(lt__await_event(lt, id, "reap", 0), "reaped_by=%s", by_id);
	free(id);
	free(by_id);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(start, autoreaping_parent_from_before)
{
	struct cast *cast = cast__start("autoreap", "ignore", NULL);
	struct lt *lt;
	pid_t pid;
	char *id;

	cast__hold(cast, "alive");
	pid = cast__int(cast, "child", 0);
	lt = lt__start(NULL);
	lt__tail(lt);
	id = id_in_ps(lt, pid);
	cast__go(cast);
	cast__hold(cast, "gone");
	expect(lt__await_event(lt, id, "autoreap", 0), "exit.how=exited exit.status=12");
	lt__require_no_zombie(lt, pid);
	lt_require(lt__count(lt, id, "zombie") == 0 && lt__count(lt, id, "reap") == 0,
		   "a zombie, although autoreaped");
	free(id);
	cast__free(cast);
	lt__stop(lt);
}
