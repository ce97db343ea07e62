/*
 * usage: waits WHICH - one way to wait for a child, and how many calls it took
 *
 * WHICH: wait, any, pid, group, own-group, nohang, wall, wclone, echild,
 * waitid-any, waitid-pid, waitid-group, waitid-pidfd, nowait.
 * Afterwards it says under waits.* how many wait calls of each sort it made.
 */
#include "cast.h"

static const char text[] = "wait|any|pid|group|own-group|nohang|wall|wclone|echild|"
			   "waitid-any|waitid-pid|waitid-group|waitid-pidfd|nowait";

static struct {
	int calls, any, pid, group, pidfd, nohang, wall, wclone, nowait;
} made;

static struct gate end;

static void count_options(int options)
{
	made.calls++;
	made.nohang += !!(options & WNOHANG);
	made.wall += !!(options & __WALL);
	made.wclone += !!(options & __WCLONE);
	made.nowait += !!(options & WNOWAIT);
}

static pid_t wait_as(pid_t which, int options)
{
	count_options(options);
	if (which == -1)
		made.any++;
	else if (which > 0)
		made.pid++;
	else
		made.group++;
	say("last.call", "wait4");
	say("last.pid", "%d", which);
	return reap(which, options);
}

static void waitid_as(idtype_t type, id_t id, int options)
{
	siginfo_t info = { .si_pid = 0 };

	count_options(options);
	made.any += type == P_ALL;
	made.pid += type == P_PID;
	made.group += type == P_PGID;
	made.pidfd += type == (idtype_t)P_PIDFD;
	say("last.call", "waitid");
	say("last.pid", "%d", (int)id);
	if (waitid(type, id, &info, options | WEXITED) < 0)
		fail("waitid");
	say("waitid.pid", "%d", info.si_pid);
	say("waitid.code", "%d", info.si_code);
	say("waitid.status", "%d", info.si_status);
}

static void by_wait(pid_t pid)
{
	int raw = 0;

	(void)pid;
	count_options(0);
	made.any++;
	say("last.call", "wait4");
	say("last.pid", "-1");
	pid = wait(&raw);
	say_wait(pid, raw);
}

static void by_any(pid_t pid)
{
	(void)pid;
	wait_as(-1, 0);
}

static void by_pid(pid_t pid)
{
	wait_as(pid, 0);
}

static void by_group(pid_t pid)
{
	wait_as(-pid, 0);
}

static void by_own_group(pid_t pid)
{
	(void)pid;
	wait_as(0, 0);
}

static void by_nohang(pid_t pid)
{
	wait_as(pid, WNOHANG); /* it lives: nothing yet */
	gate__open(&end, 1);
	await_death(pid);
	wait_as(-1, WNOHANG);
}

static void by_wall(pid_t pid)
{
	wait_as(pid, __WALL);
}

static void by_wclone(pid_t pid)
{
	gate__open(&end, 1);
	await_death(pid);
	wait_as(-1, __WCLONE); /* ECHILD: an ordinary child */
	wait_as(-1, 0);
}

static void by_echild(pid_t pid)
{
	wait_as(pid, 0);
	wait_as(-1, 0);
	wait_as(pid, 0);
}

static void by_waitid_any(pid_t pid)
{
	(void)pid;
	waitid_as(P_ALL, 0, 0);
}

static void by_waitid_pid(pid_t pid)
{
	waitid_as(P_PID, pid, 0);
}

static void by_waitid_group(pid_t pid)
{
	waitid_as(P_PGID, pid, 0);
}

static void by_waitid_pidfd(pid_t pid)
{
	int fd = open_pidfd(pid);

	waitid_as(P_PIDFD, fd, 0);
	close(fd);
}

static void by_nowait(pid_t pid)
{
	waitid_as(P_PID, pid, WNOWAIT);
	hold("looked");
	wait_as(-1, 0);
}

static const struct way {
	const char *name;
	void (*run)(pid_t pid);
	bool opens_itself; /* it lets the child end when it sees fit */
	bool own_group;	   /* the child leads a process group of its own */
} ways[] = {
	{ "wait", by_wait, false, false },
	{ "any", by_any, false, false },
	{ "pid", by_pid, false, false },
	{ "group", by_group, false, true },
	{ "own-group", by_own_group, false, false },
	{ "nohang", by_nohang, true, false },
	{ "wall", by_wall, false, false },
	{ "wclone", by_wclone, true, false },
	{ "echild", by_echild, false, false },
	{ "waitid-any", by_waitid_any, false, false },
	{ "waitid-pid", by_waitid_pid, false, false },
	{ "waitid-group", by_waitid_group, false, true },
	{ "waitid-pidfd", by_waitid_pidfd, false, false },
	{ "nowait", by_nowait, false, false },
};

static void tell_counts(void)
{
	say("waits.calls", "%d", made.calls);
	say("waits.any", "%d", made.any);
	say("waits.pid", "%d", made.pid);
	say("waits.group", "%d", made.group);
	say("waits.pidfd", "%d", made.pidfd);
	say("waits.nohang", "%d", made.nohang);
	say("waits.wall", "%d", made.wall);
	say("waits.wclone", "%d", made.wclone);
	say("waits.nowait", "%d", made.nowait);
}

static void perform(const struct way *way)
{
	pid_t pid;

	gate__init(&end);
	pid = fork_or_fail();
	if (!pid) {
		gate__pass(&end);
		_exit(11);
	}
	if (way->own_group && setpgid(pid, pid) < 0)
		fail("setpgid");
	say("child", "%d", pid);
	if (!way->opens_itself)
		gate__open(&end, 1);
	way->run(pid);
	tell_counts();
	hold("waited");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (strcmp(name, ways[i].name))
			continue;
		enter_stage();
		perform(&ways[i]);
		return 0;
	}
	usage(text);
}
