/*
 * usage: causes WAY - a parent that does not reap, each WAY for a reason of its own
 *
 * The parent is a child of this program, says "parent" and, of each zombie that
 * it keeps, "child"; it ends when this program is told to go on.
 *
 * no-signal, other-signal: the child's exit signal is none, or SIGUSR1, and the
 *	parent waits without __WALL
 * init: pid 1 of a pid namespace is `sleep` (needs root)
 * init-of-its-own: pid 1 reaps its own child by pid, and nobody that it adopts
 * subreaper: adopts a child and waits only for its own
 * vfork: its only thread is in the kernel until a vfork child goes on
 * blocked-in-wait: in waitpid() for another child
 * polls-others, waits-for-group, waits-for-pidfd: for another, another's group,
 *	or by its pidfd
 * one-per-signal: ten die while SIGCHLD is blocked; its handler makes one wait
 * one-per-signalfd: the same with a signalfd
 * loops-per-signal, and then hangs: as many die at once, its handler makes all
 *	waits; then it stands still, and one more dies
 * never: no wait at all; only-looks: only with WNOWAIT
 * hangs: reaps some, then waits for a lock that nobody gives up
 * slow: reaps one while three die
 * slow-peeks: the same, by a look (WNOWAIT) and then by pid
 * slow-handler: one long SIGCHLD handler that loops, while children die
 * wclone-only: polls for any child with __WCLONE
 * thread-waits-for-one: another thread polls for one child by its pid
 * unread-signalfd: SIGCHLD goes to a signalfd that nobody reads
 * stuck-sigwait: a thread that took SIGCHLD by sigwait and reaped stands still
 * by-pid-then-hangs: many die while SIGCHLD is blocked, all are reaped by their
 *	pids; it looks for more once, and then stands still
 * once-by-signalfd: one wait for each of its signals, then nobody reads it
 * among-many: makes no wait call, and has 500 children that live
 * no-signal-no-wait: exit signal none, and the parent does not wait at all
 * other-thread: asks for children of another thread only (__WNOTHREAD)
 * looks-by-pid: never waits, but looks at it by its pid (WNOWAIT)
 * other-thread-by-pid: another thread asks for it by its pid, with __WNOTHREAD
 * double-fork: forks one that forks another and ends, as daemons do, and does
 *	not wait for it; the "grandchild" lives on
 * middle-leaks: forks a middle one that keeps a child, and waits for it
 * stops-only: blocked in a call for any child that has stopped
 * by-io-uring: waits for another by an io_uring alone
 * 32-bit: is a 32-bit program in waitpid() for another
 * stops-beside: polls for any child that has stopped, and reaps its own by their pids
 */
#include "uring.h"

#include <sys/signalfd.h>

static const char text[] = "WAY";
static struct gate program_end; /* nobody opens it; its end is this program's */

/* For ever, whatever signals come. */
static __attribute__((noreturn)) void stand_still(void)
{
	for (;;)
		pause();
}

static pid_t make_child(void)
{
	pid_t pid = fork_or_fail();

	if (!pid)
		_exit(1);
	return pid;
}

/* One that dies at once, and is kept. */
static pid_t keep_child(void)
{
	pid_t pid = make_child();

	say("child", "%d", pid);
	await_death(pid);
	return pid;
}

static pid_t make_sleeper(void)
{
	pid_t pid = fork_or_fail();

	if (!pid) {
		die_with_parent();
		stand_still();
	}
	return pid;
}

static void ready(void)
{
	say("ready", "%d", getpid());
}

/* ---- no-sigchld ---- */

static void keep_signalling(int exit_signal)
{
	pid_t pid;

	set_handler(SIGUSR1, no_op, 0);
	pid = clone_fork(0, exit_signal, 0);
	if (pid < 0)
		fail("clone3");
	if (!pid)
		_exit(1);
	say("child", "%d", pid);
	await_death(pid);
	ready();
	for (;; sleep_ms(200))
		waitpid(-1, NULL, WNOHANG);
}

static void no_signal(void)
{
	keep_signalling(0);
}

static void other_signal(void)
{
	keep_signalling(SIGUSR1);
}

/* ---- adopters ---- */

/* Its pid as the outermost namespace's /proc has it. */
static void say_outer_pid(const char *key)
{
	char pid[32] = "";

	if (readlink("/proc/self", pid, sizeof(pid) - 1) < 0)
		fail("/proc/self");
	say(key, "%s", pid);
}

/* A child whose parent dies, and then it; returns that parent. */
static pid_t make_orphan(struct gate *parent_is_dead, struct gate *dead)
{
	pid_t pid = fork_or_fail();

	if (pid)
		return pid;
	if (!fork_or_fail()) {
		gate__pass(parent_is_dead);
		say_outer_pid("child");
		gate__enter(dead);
		_exit(1); /* whoever reads this gate sees its end */
	}
	_exit(2);
}

static void adopt(void)
{
	struct gate parent_is_dead, dead;
	pid_t pid;
	char c;

	gate__init(&parent_is_dead);
	gate__init(&dead);
	pid = make_orphan(&parent_is_dead, &dead);
	if (waitpid(pid, NULL, 0) != pid)
		fail("waitpid");
	gate__open(&parent_is_dead, 1);
	gate__enter(&dead);
	while (read(dead.fd[0], &c, 1) > 0)
		;
	ready();
	stand_still();
}

static void become_init(void (*act)(void))
{
	pid_t pid;

	if (unshare(CLONE_NEWPID) < 0)
		fail("unshare");
	pid = fork_or_fail();
	if (!pid) {
		die_with_parent();
		say_outer_pid("init");
		act();
	}
	waitpid(pid, NULL, 0);
	_exit(0);
}

static void be_sleep(void)
{
	pid_t pid = fork_or_fail();

	if (!pid) {
		say_outer_pid("child");
		_exit(1);
	}
	await_death(pid);
	ready();
	execlp("sleep", "sleep", "1000000", (char *)NULL);
	fail("sleep");
}

static void init(void)
{
	become_init(be_sleep);
}

static void be_init_of_its_own(void)
{
	adopt();
}

static void init_of_its_own(void)
{
	become_init(be_init_of_its_own);
}

static void subreaper(void)
{
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		fail("PR_SET_CHILD_SUBREAPER");
	adopt();
}

/* ---- blocked, waits-for-others ---- */

static void vfork_waits(void)
{
	pid_t pid;

	keep_child();
	ready();
	pid = clone_fork(CLONE_VFORK, SIGCHLD, 0);
	if (pid < 0)
		fail("clone3");
	if (!pid)
		die_with_parent();
	stand_still();
}

static void blocked_in_wait(void)
{
	pid_t other = make_sleeper();

	keep_child();
	say("other", "%d", other);
	ready();
	waitpid(other, NULL, 0);
	stand_still();
}

static void poll_others(int which)
{
	pid_t other = make_sleeper();
	int fd = open_pidfd(other);
	siginfo_t info;

	setpgid(other, other);
	keep_child();
	say("other", "%d", other);
	ready();
	for (;; sleep_ms(200)) {
		if (which == P_PIDFD)
			waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG);
		else
			waitpid(which == P_PGID ? -other : other, NULL, WNOHANG);
	}
}

static void polls_others(void)
{
	poll_others(P_PID);
}

static void waits_for_group(void)
{
	poll_others(P_PGID);
}

static void waits_for_pidfd(void)
{
	poll_others(P_PIDFD);
}

static void wclone_only(void)
{
	keep_child();
	ready();
	for (;; sleep_ms(200))
		waitpid(-1, NULL, WNOHANG | __WCLONE);
}

static void *poll_for_one(void *pid)
{
	for (;; sleep_ms(200))
		waitpid(*(pid_t *)pid, NULL, WNOHANG);
	return NULL;
}

static void start_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, arg))
		fail("pthread_create");
}

static void thread_waits_for_one(void)
{
	pid_t other = make_sleeper();

	keep_child();
	start_thread(poll_for_one, &other);
	ready();
	stand_still();
}

/* ---- coalesced-sigchld ---- */

#define AT_ONCE 10

static void reap_one(int sig)
{
	(void)sig;
	waitpid(-1, NULL, WNOHANG);
}

static void reap_all(int sig)
{
	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void set_blocked(bool blocked)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/* They die one after the other, and each after the first finds a signal pending. */
static void die_at_once(bool kept)
{
	set_blocked(true);
	for (int i = 0; i < AT_ONCE; i++) {
		pid_t pid = make_child();

		await_death(pid);
		if (kept && i) /* the first one is reaped */
			say("child", "%d", pid);
	}
}

static void one_per_signal(void)
{
	set_handler(SIGCHLD, reap_one, SA_RESTART);
	die_at_once(true);
	set_blocked(false);
	ready();
	stand_still();
}

static int sigchld_fd(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	fd = signalfd(-1, &set, 0);
	if (fd < 0)
		fail("signalfd");
	return fd;
}

static void one_per_signalfd(void)
{
	struct signalfd_siginfo info;
	int fd = sigchld_fd();

	die_at_once(true);
	ready();
	while (read(fd, &info, sizeof(info)) > 0)
		waitpid(-1, NULL, WNOHANG);
	stand_still();
}

static void unread_signalfd(void)
{
	set_blocked(true);
	sigchld_fd();
	keep_child();
	keep_child();
	ready();
	stand_still();
}

static void once_by_signalfd(void)
{
	struct signalfd_siginfo info;
	int fd = sigchld_fd();

	set_blocked(true);
	for (int i = 0; i < 5; i++) {
		pid_t pid = make_child();

		await_death(pid);
		if (read(fd, &info, sizeof(info)) != sizeof(info))
			fail("signalfd");
		waitpid(i ? -1 : pid, NULL, 0);
	}
	keep_child();
	ready();
	stand_still();
}

static void *sigwait_and_reap(void *reaped)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigwait(&set, &sig);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	gate__open(reaped, 1);
	stand_still();
}

static void stuck_sigwait(void)
{
	struct gate reaped;
	char c;

	gate__init(&reaped);
	set_blocked(true);
	start_thread(sigwait_and_reap, &reaped);
	make_child();
	if (read(reaped.fd[0], &c, 1) != 1)
		fail("read");
	keep_child();
	ready();
	stand_still();
}

static void by_pid_then_hangs(void)
{
	pid_t pids[AT_ONCE];

	set_handler(SIGCHLD, no_op, SA_RESTART);
	set_blocked(true);
	for (int i = 0; i < AT_ONCE; i++) {
		pids[i] = make_child();
		await_death(pids[i]);
	}
	set_blocked(false);
	for (int i = 0; i < AT_ONCE; i++)
		waitpid(pids[i], NULL, 0);
	waitpid(-1, NULL, WNOHANG);
	keep_child();
	keep_child();
	ready();
	stand_still();
}

static void loops_per_signal(void)
{
	set_handler(SIGCHLD, reap_all, SA_RESTART);
	for (int i = 0; i < 3; i++) {
		die_at_once(false);
		set_blocked(false);
	}
	set_blocked(true);
	keep_child();
	keep_child();
	ready();
	stand_still();
}

/* ---- never-waits, stopped-waiting, falls-behind ---- */

static void never(void)
{
	keep_child();
	ready();
	stand_still();
}

static void among_many(void)
{
	for (int i = 0; i < 500; i++)
		make_sleeper();
	keep_child();
	ready();
	stand_still();
}

static void no_signal_no_wait(void)
{
	pid_t pid = clone_fork(0, 0, 0);

	if (pid < 0)
		fail("clone3");
	if (!pid)
		_exit(1);
	say("child", "%d", pid);
	await_death(pid);
	ready();
	stand_still();
}

static void only_looks(void)
{
	siginfo_t info;

	keep_child();
	ready();
	for (;; sleep_ms(200))
		waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
}

static void hangs(void)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	for (int i = 0; i < 5; i++) {
		make_child();
		waitpid(-1, NULL, 0);
	}
	keep_child();
	ready();
	pthread_mutex_lock(&lock);
	pthread_mutex_lock(&lock);
	stand_still();
}

#define SLOW_MAX 400 /* zombies at a time: a leak, but a bounded one */

static void reap_slowly(void (*reap)(void))
{
	int left = 0;

	for (int i = 0;; i++) {
		for (int n = 0; n < 3 && left < SLOW_MAX; n++, left++)
			make_child();
		reap();
		left--;
		if (i == 3)
			ready();
		sleep_ms(100);
	}
}

static void reap_any(void)
{
	waitpid(-1, NULL, WNOHANG);
}

static void peek_and_reap(void)
{
	siginfo_t info = { 0 };

	waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
	if (info.si_pid)
		waitid(P_PID, info.si_pid, &info, WEXITED);
}

static void slow(void)
{
	reap_slowly(reap_any);
}

static void slow_peeks(void)
{
	reap_slowly(peek_and_reap);
}

static void reap_all_slowly(int sig)
{
	(void)sig;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		sleep_ms(100);
}

static void slow_handler(void)
{
	pid_t pid = fork_or_fail();

	/* whose children it adopts keep dying while the handler runs */
	if (!pid) {
		die_with_parent();
		for (int i = 0; i < SLOW_MAX; i++) {
			if (!clone_fork(CLONE_PARENT, 0, 0))
				_exit(1);
			sleep_ms(30);
		}
		stand_still();
	}
	set_handler(SIGCHLD, reap_all_slowly, SA_RESTART);
	ready();
	stand_still();
}

static void looks_by_pid(void)
{
	pid_t pid = keep_child();
	siginfo_t info;

	ready();
	for (;; sleep_ms(200))
		waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT);
}

static void *ask_for_it(void *pid)
{
	for (;; sleep_ms(200))
		waitpid(*(pid_t *)pid, NULL, WNOHANG | __WNOTHREAD);
	return NULL;
}

static void other_thread_by_pid(void)
{
	pid_t pid = keep_child();

	start_thread(ask_for_it, &pid);
	ready();
	stand_still();
}

/* ---- double forks ---- */

/* Of the whole program: it adopts nobody, so its end is all that its grandchildren can see. */
static __attribute__((noreturn)) void await_end(void)
{
	char c;

	while (read(program_end.fd[0], &c, 1) > 0)
		;
	_exit(0);
}

static void double_fork(void)
{
	pid_t pid = fork_or_fail();

	if (!pid) {
		pid = fork_or_fail();
		if (!pid)
			await_end();
		say("grandchild", "%d", pid);
		_exit(1);
	}
	say("child", "%d", pid);
	await_death(pid);
	ready();
	stand_still();
}

static void middle_leaks(void)
{
	pid_t pid = fork_or_fail();

	if (!pid) {
		die_with_parent();
		say("middle", "%d", getpid());
		keep_child();
		ready();
		stand_still();
	}
	waitpid(pid, NULL, 0);
	stand_still();
}

/* ---- unknown ---- */

static void stops_only(void)
{
	siginfo_t info;

	keep_child();
	make_sleeper(); /* or there would be nobody to wait for */
	ready();
	waitid(P_ALL, 0, &info, WSTOPPED);
	stand_still();
}

static void by_io_uring(void)
{
	static siginfo_t info;
	pid_t other = make_sleeper();

	keep_child();
	uring__waitid(other, &info, 0);
	ready();
	stand_still();
}

static void in_32_bit(void)
{
	char path[256] = "", pid[16];
	pid_t other = make_sleeper();

	keep_child();
	ready();
	snprintf(pid, sizeof(pid), "%d", other);
	if (readlink("/proc/self/exe", path, sizeof(path) - 8) < 0)
		fail("/proc/self/exe");
	strcpy(strrchr(path, '/') + 1, "wait32");
	execl(path, path, pid, (char *)NULL);
	say("lacks", "32-bit programs: %s", strerrorname_np(errno));
	stand_still();
}

static void stops_beside(void)
{
	siginfo_t info;

	keep_child();
	ready();
	for (;; sleep_ms(100)) {
		waitid(P_ALL, 0, &info, WSTOPPED | WNOHANG);
		waitpid(make_child(), NULL, 0);
	}
}

static void *wait_for_own(void *unused)
{
	(void)unused;
	for (;; sleep_ms(200))
		waitpid(-1, NULL, WNOHANG | __WNOTHREAD);
	return NULL;
}

static void other_thread(void)
{
	keep_child();
	start_thread(wait_for_own, NULL);
	ready();
	stand_still();
}

static const struct {
	const char *name;
	void (*act)(void);
} ways[] = {
	{ "no-signal", no_signal },
	{ "other-signal", other_signal },
	{ "init", init },
	{ "init-of-its-own", init_of_its_own },
	{ "subreaper", subreaper },
	{ "vfork", vfork_waits },
	{ "blocked-in-wait", blocked_in_wait },
	{ "polls-others", polls_others },
	{ "waits-for-group", waits_for_group },
	{ "waits-for-pidfd", waits_for_pidfd },
	{ "one-per-signal", one_per_signal },
	{ "one-per-signalfd", one_per_signalfd },
	{ "loops-per-signal", loops_per_signal },
	{ "never", never },
	{ "only-looks", only_looks },
	{ "hangs", hangs },
	{ "slow", slow },
	{ "slow-peeks", slow_peeks },
	{ "slow-handler", slow_handler },
	{ "other-thread", other_thread },
	{ "looks-by-pid", looks_by_pid },
	{ "other-thread-by-pid", other_thread_by_pid },
	{ "double-fork", double_fork },
	{ "middle-leaks", middle_leaks },
	{ "stops-only", stops_only },
	{ "by-io-uring", by_io_uring },
	{ "32-bit", in_32_bit },
	{ "stops-beside", stops_beside },
	{ "wclone-only", wclone_only },
	{ "thread-waits-for-one", thread_waits_for_one },
	{ "unread-signalfd", unread_signalfd },
	{ "stuck-sigwait", stuck_sigwait },
	{ "by-pid-then-hangs", by_pid_then_hangs },
	{ "once-by-signalfd", once_by_signalfd },
	{ "among-many", among_many },
	{ "no-signal-no-wait", no_signal_no_wait },
};

int main(int argc, char **argv)
{
	void (*act)(void) = NULL;
	pid_t pid;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (argc == 2 && !strcmp(argv[1], ways[i].name))
			act = ways[i].act;
	if (!act)
		usage(text);
	enter_stage();
	gate__init(&program_end);
	pid = fork_or_fail();
	if (!pid) {
		die_with_parent();
		gate__enter(&program_end);
		say("parent", "%d", getpid());
		act();
	}
	hold("keeping");
	kill(pid, SIGKILL);
	kill(pid, SIGCONT);
	waitpid(pid, NULL, 0);
	return 0;
}
