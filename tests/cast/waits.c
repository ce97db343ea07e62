/*
 * usage: waits WHICH - one way to wait for a child, and how many calls it took
 *
 * WHICH: wait, any, pid, group, own-group, nohang, wall, wclone, echild,
 * waitid-any, waitid-pid, waitid-group, waitid-pidfd, nowait, waitid-null,
 * waitid-nohang, stops, eintr, restart, handler-waits, stopped, threads, uring.
 * Afterwards it says under waits.* how many wait calls of each sort it made.
 * Each call's answer is said as answer (reaped, reported, nothing or the errno)
 * and answer.child, in the order of their ends.
 */
#include "uring.h"

#include <sched.h>

static const char text[] = "wait|any|pid|group|own-group|nohang|wall|wclone|echild|"
			   "waitid-any|waitid-pid|waitid-group|waitid-pidfd|nowait|"
			   "waitid-null|waitid-nohang|stops|eintr|restart|handler-waits|"
			   "stopped|threads|uring";

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

static void say_answer(const char *what, pid_t child)
{
	say("answer", "%s", what);
	say("answer.child", "%d", child);
}

/* By what waitpid gave; errno is still its own. */
static void say_waitpid(pid_t ret, int status, int options)
{
	bool dead = WIFEXITED(status) || WIFSIGNALED(status);

	if (ret < 0)
		say_answer(strerrorname_np(errno), 0);
	else if (!ret)
		say_answer("nothing", 0);
	else
		say_answer(dead && !(options & WNOWAIT) ? "reaped" : "reported", ret);
}

static pid_t wait_as(pid_t which, int options)
{
	int raw = 0;
	pid_t ret;

	count_options(options);
	if (which == -1)
		made.any++;
	else if (which > 0)
		made.pid++;
	else
		made.group++;
	say("last.call", "wait4");
	say("last.pid", "%d", which);
	ret = waitpid(which, &raw, options);
	say_wait(ret, raw);
	say_waitpid(ret, raw, options);
	return ret;
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
	if (!info.si_pid)
		say_answer("nothing", 0);
	else
		say_answer(options & WNOWAIT || info.si_code == CLD_STOPPED ? "reported" : "reaped",
			   info.si_pid);
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
	say_waitpid(pid, raw, 0);
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

/* Its end signals nothing: only with __WALL or __WCLONE it is waited for. */
static pid_t clone_silent(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0);

	if (pid < 0)
		fail("clone");
	if (!pid)
		_exit(0);
	return pid;
}

static void by_wall(pid_t pid)
{
	wait_as(clone_silent(), __WALL);
	wait_as(pid, __WALL);
}

static void by_wclone(pid_t pid)
{
	gate__open(&end, 1);
	await_death(pid);
	wait_as(-1, __WCLONE); /* ECHILD: an ordinary child */
	clone_silent();
	wait_as(-1, __WCLONE);
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

/* waitid tells nobody which child it took: not even its caller. */
static void by_waitid_null(pid_t pid)
{
	count_options(0);
	made.pid++;
	say("last.call", "waitid");
	say("last.pid", "%d", pid);
	if (waitid(P_PID, pid, NULL, WEXITED) < 0)
		fail("waitid");
	say_answer("unknown", 0);
}

static void by_waitid_nohang(pid_t pid)
{
	waitid_as(P_PID, pid, WNOHANG);
	gate__open(&end, 1);
	await_death(pid);
	waitid_as(P_PID, pid, WNOHANG);
}

static void by_stops(pid_t pid)
{
	kill(pid, SIGSTOP);
	wait_as(pid, WUNTRACED);
	kill(pid, SIGCONT);
	wait_as(pid, WCONTINUED);
	gate__open(&end, 1);
	wait_as(pid, WUNTRACED | WCONTINUED);
}

/* ---- a wait call that a signal interrupts ---- */

static char state_of(pid_t pid)
{
	char path[64], line[512] = "", *p;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, line, sizeof(line) - 1) <= 0)
		fail(path);
	close(fd);
	p = strrchr(line, ')');
	return p ? p[2] : '?';
}

static void await_state(pid_t pid, char state)
{
	while (state_of(pid) != state)
		sched_yield();
}

static void end_child(pid_t pid)
{
	gate__open(&end, 1);
	wait_as(pid, 0);
}

static struct gate handled;

/* Signals its parent when that one blocks in its wait call, and again: what is told to. */
static void disturb(pid_t parent, void (*signal_it)(pid_t parent))
{
	await_state(parent, 'S');
	signal_it(parent);
	await_state(parent, 'S');
	_exit(11);
}

static void by_user_signal(pid_t parent)
{
	kill(parent, SIGUSR1);
	gate__collect(&handled, 1);
}

static void by_stop_and_continue(pid_t parent)
{
	kill(parent, SIGSTOP);
	await_state(parent, 'T');
	kill(parent, SIGCONT);
	while (state_of(parent) == 'T')
		sched_yield();
}

static void on_signal(int sig)
{
	(void)sig;
	gate__open(&handled, 1);
}

static void on_signal_wait(int sig)
{
	(void)sig;
	wait_as(-1, WNOHANG);
	gate__open(&handled, 1);
}

static pid_t fork_disturber(void (*signal_it)(pid_t parent))
{
	pid_t parent = getpid(), pid;

	gate__init(&handled);
	pid = fork_or_fail();
	if (!pid)
		disturb(parent, signal_it);
	say("disturber", "%d", pid);
	return pid;
}

static void by_eintr(pid_t pid)
{
	pid_t disturber;

	set_handler(SIGUSR1, on_signal, 0);
	disturber = fork_disturber(by_user_signal);
	wait_as(disturber, 0); /* EINTR */
	wait_as(disturber, 0);
	end_child(pid);
}

static void by_restart(pid_t pid)
{
	set_handler(SIGUSR1, on_signal, SA_RESTART);
	wait_as(fork_disturber(by_user_signal), 0);
	end_child(pid);
}

/* What many do: the handler waits, too, for whoever is there. */
static void by_handler_waits(pid_t pid)
{
	set_handler(SIGUSR1, on_signal_wait, SA_RESTART);
	wait_as(fork_disturber(by_user_signal), 0);
	end_child(pid);
}

static void by_stopped(pid_t pid)
{
	wait_as(fork_disturber(by_stop_and_continue), 0);
	end_child(pid);
}

/* ---- two threads that wait at a time, the first for longer ---- */

struct waiting_thread {
	pthread_t thread;
	pid_t child;
	_Atomic pid_t tid;
};

static void *wait_in_thread(void *argument)
{
	struct waiting_thread *self = argument;

	self->tid = gettid_now();
	wait_as(self->child, 0);
	return NULL;
}

static void start_waiting(struct waiting_thread *self)
{
	if (pthread_create(&self->thread, NULL, wait_in_thread, self))
		fail("pthread_create");
	while (!self->tid)
		sched_yield();
	await_state(self->tid, 'S');
}

static void by_threads(pid_t pid)
{
	pid_t other = fork_or_fail();
	struct waiting_thread first = { .child = pid }, second = { .child = other };

	if (!other)
		_exit(pause());
	start_waiting(&first);
	start_waiting(&second);
	hold("both wait");
	kill(other, SIGKILL);
	pthread_join(second.thread, NULL);
	gate__open(&end, 1);
	pthread_join(first.thread, NULL);
}

/* ---- io_uring ---- */

static void by_uring(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };
	int fd = uring__waitid(pid, &info, 1);

	if (fd < 0)
		return;
	close(fd);
	say("waitid.pid", "%d", info.si_pid);
	say("waitid.code", "%d", info.si_code);
	say("waitid.status", "%d", info.si_status);
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
	{ "waitid-null", by_waitid_null, false, false },
	{ "waitid-nohang", by_waitid_nohang, true, false },
	{ "stops", by_stops, true, false },
	{ "eintr", by_eintr, true, false },
	{ "restart", by_restart, true, false },
	{ "handler-waits", by_handler_waits, true, false },
	{ "stopped", by_stopped, true, false },
	{ "threads", by_threads, true, false },
	{ "uring", by_uring, false, false },
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
