/*
 * Ends: how processes end and are reaped, against what their parent's wait
 * reported. Each row is a member of the cast that is run to its end; all its
 * children must have been shown with one fork, one exit of the reported
 * status, one zombie and one reap.
 */
#include "harness.h"

struct row {
	const char *cast[8]; /* member and arguments */
	const char *exit;    /* what the first child's exit must be, too */
};

static void check_row(const struct row *row)
{
	const char *argv[8] = { 0 };
	char path[512];
	struct lt *lt = lt__start(NULL);
	struct cast *cast;

	for (int i = 0; row->cast[i]; i++)
		argv[i] = row->cast[i];
	argv[0] = cast__path(row->cast[0], path, sizeof(path));
	lt__tail(lt);
	cast = cast__startv(argv);
	cast__end(cast);
	check_all_reaped(lt, cast);
	if (row->exit)
		expect(lt__await_event(lt, lt__id(lt, cast__int(cast, "child", 0)), "exit", 0),
		       "%s", row->exit);
	cast__free(cast);
	lt__stop(lt);
}

#define CAST(...)           \
	{                   \
		__VA_ARGS__ \
	}
#define ROW(name, cast, exit)                                 \
	LT_TEST(ends, name)                                   \
	{                                                     \
		static const struct row row = { cast, exit }; \
                                                              \
		check_row(&row);                              \
	}

ROW(return_0, CAST("exits", "return", "0"), "exit.how=exited exit.status=0 exit.signal=null")
ROW(return_3, CAST("exits", "return", "3"), "exit.how=exited exit.status=3 exit.signal=null")
ROW(exit_255, CAST("exits", "exit", "255"), "exit.how=exited exit.status=255")
ROW(exit_256_plus_7, CAST("exits", "exit", "263"), "exit.how=exited exit.status=7")
ROW(exit_256, CAST("exits", "_exit", "256"), "exit.how=exited exit.status=0")
ROW(exit_minus_1, CAST("exits", "exit", "-1"), "exit.how=exited exit.status=255")
ROW(_exit_3, CAST("exits", "_exit", "3"), "exit.how=exited exit.status=3")
ROW(_Exit_3, CAST("exits", "_Exit", "3"), "exit.how=exited exit.status=3")
ROW(exit_group, CAST("exits", "exit_group", "9"), "exit.how=exited exit.status=9")
ROW(raw_exit_of_the_only_thread, CAST("exits", "thread-exit", "8"), "exit.how=exited exit.status=8")
ROW(kill_9, CAST("exits", "kill", "9"), "exit.how=killed exit.signal=SIGKILL exit.status=null")
ROW(kill_term, CAST("exits", "kill", "15"), "exit.how=killed exit.signal=SIGTERM")
ROW(raise_usr1, CAST("exits", "raise", "10"), "exit.how=killed exit.signal=SIGUSR1")
ROW(abort_with_core, CAST("exits", "abort"), "exit.signal=SIGABRT exit.status=null")

ROW(vfork, CAST("forks", "vfork"), "exit.how=exited exit.status=9")
ROW(fork_by_thread, CAST("forks", "thread"), "exit.how=exited exit.status=0")
ROW(clone_parent, CAST("forks", "parent"), "exit.how=exited exit.status=6")
ROW(exec_by_thread, CAST("execs", "thread"), "exit.how=exited exit.status=21")

ROW(exit_in_48_threads, CAST("threads", "exit", "48", "20"), "exit.how=exited")
ROW(raw_exit_in_48_threads, CAST("threads", "raw", "48", "20"), "exit.how=exited")
ROW(raw_exit_in_2_threads, CAST("threads", "raw", "2", "100"), "exit.how=exited")
ROW(leader_first_then_exit, CAST("deadleader", "exit", "3"), "exit.how=exited exit.status=5")
ROW(leader_first_then_raw, CAST("deadleader", "raw", "3"), "exit.how=exited")
ROW(leader_first_then_return, CAST("deadleader", "pthread", "3"), "exit.how=exited exit.status=0")
ROW(leader_first_then_kill, CAST("deadleader", "kill", "3"), "exit.signal=SIGKILL")

ROW(killed_while_stopped, CAST("stops", "seen"), "exit.signal=SIGKILL")
ROW(reaped_after_a_while, CAST("zombie", "3"), "exit.how=exited exit.status=7")
ROW(exit_signal_usr1, CAST("clonesig", "10"), "exit.how=exited exit.status=13")
ROW(exit_signal_none, CAST("clonesig", "0"), "exit.how=exited exit.status=13")
ROW(exit_signal_usr1_parent_ignores, CAST("clonesig", "10", "ignore"), "exit.status=13")
ROW(traced_zombie, CAST("traced", "wait"), "exit.how=exited exit.status=14")
ROW(traced_zombie_tracer_dies, CAST("traced", "die"), "exit.how=exited exit.status=14")

/* strace holds every thread, and reaps nothing of what is not its own child. */
static void check_strace(const char *how)
{
	char path[512];
	const char *argv[] = {
		"strace", "-f", "-q", "-o", "/dev/null", cast__path("threads", path, sizeof(path)),
		how,	  "16", "3",  NULL,
	};
	struct lt *lt;
	struct cast *cast;

	if (!have_program("strace"))
		cr_skip_test("no strace");
	lt = lt__start(NULL);
	lt__tail(lt);
	cast = cast__startv(argv);
	cast__end(cast);
	check_all_reaped(lt, cast);
	for (int i = 0; i < cast__count(cast, "child"); i++)
		lt_require(!lt__count(lt, lt__id(lt, cast__int(cast, "child", i)), "stop"),
			   "a tracer's stop is not the program's");
	lt_require(lt__count(lt, lt__id(lt, cast__int(cast, "self", 0)), "exit") == 1,
		   "the parent under strace");
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(ends, strace_f_exit)
{
	check_strace("exit");
}

LT_TEST(ends, strace_f_raw_exit)
{
	check_strace("raw");
}

/* Never zombies: the parent's wait could only say ECHILD, the child itself knows its status. */
static void check_autoreap(const char *manner)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	const char *id;
	pid_t pid;

	lt__tail(lt);
	cast = cast__start("autoreap", manner, "12", NULL);
	cast__hold(cast, "alive");
	pid = cast__int(cast, "child", 0);
	id = lt__id(lt, pid);
	cast__go(cast);
	cast__hold(cast, "gone");
	lt_require(!strcmp(cast__str(cast, "wait.how", 0), "ECHILD"), "the wait gave something");
	expect(lt__await_event(lt, id, "autoreap", 0),
	       "exit.how=exited exit.status=%s exit.signal=null",
	       cast__str(cast, "child.status", 0));
	expect(lt__await_event(lt, id, "exit", 0), "exit.how=exited exit.status=12");
	lt__require_no_zombie(lt, pid);
	lt_require(lt__count(lt, id, "exit") == 1 && lt__count(lt, id, "autoreap") == 1 &&
			   lt__count(lt, id, "zombie") == 0 && lt__count(lt, id, "reap") == 0,
		   "%d exit, %d autoreap, %d zombie, %d reap events", lt__count(lt, id, "exit"),
		   lt__count(lt, id, "autoreap"), lt__count(lt, id, "zombie"),
		   lt__count(lt, id, "reap"));
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(ends, autoreap_sigchld_ignored)
{
	check_autoreap("ignore");
}

LT_TEST(ends, autoreap_nocldwait)
{
	check_autoreap("nocldwait");
}

LT_TEST(ends, autoreap_nocldwait_with_handler)
{
	check_autoreap("nocldwait-handler");
}

/* An autoreaped life is remembered as such. */
LT_TEST(ends, autoreaped_in_ps_all)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	json_t *ps, *row;
	int found = 0;
	const char *id;
	size_t i;

	lt__tail(lt);
	cast = cast__start("autoreap", "ignore", NULL);
	cast__end(cast);
	id = lt__id(lt, cast__int(cast, "child", 0));
	lt__await_event(lt, id, "autoreap", 0);
	lt__fence(lt);
	ps = lt__json(lt, NULL, "ps", "--all", NULL);
	json_array_foreach(json_at(ps, "processes"), i, row) {
		if (strcmp(str_at(row, "id"), id))
			continue;
		found++;
		expect(row,
		       "state=reaped autoreaped=true zombie_ns=null reaped_by=null exit.status=12");
	}
	lt_require(found == 1, "%d rows of %s", found, id);
	json_decref(ps);
	cast__free(cast);
	lt__stop(lt);
}
