/*
 * cast.h - what every member of the cast needs: to say what the kernel told
 * it, and to hold until it is told to go on.
 *
 * A member prints one "key=value" a line on standard output, each by one
 * write(2), so that lines of several processes never mix. "hold=NAME" means
 * that the state NAME now lasts: the program goes on when a line (or the end)
 * comes on standard input. Nothing here sleeps to let something happen.
 *
 * Owns nothing and starts nothing by itself.
 */
#ifndef CAST_H
#define CAST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define CAST_FAILED 120 /* the program itself could not do its part */
#define CAST_USAGE 2
#define NSEC_PER_SEC 1000000000ULL

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Ends the program with CAST_FAILED, naming what could not be done and errno. */
static inline __attribute__((noreturn)) void fail(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	_exit(CAST_FAILED);
}

static inline __attribute__((noreturn)) void usage(const char *text)
{
	fprintf(stderr, "usage: %s %s\n", program_invocation_short_name, text);
	exit(CAST_USAGE);
}

/* Prints KEY=VALUE as one line by one write. */
static inline __attribute__((format(printf, 2, 3))) void say(const char *key, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n = snprintf(line, sizeof(line), "%s=", key);

	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 1)
		n = sizeof(line) - 1;
	line[n++] = '\n';
	if (write(STDOUT_FILENO, line, n) != n)
		_exit(CAST_FAILED);
}

static inline pid_t gettid_now(void)
{
	return syscall(SYS_gettid);
}

static inline uint64_t boottime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static inline void sleep_ms(int ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* Reads one line of FD without the newline; false at the end of input. */
static inline bool read_line(int fd, char *line, size_t size)
{
	size_t n = 0;
	char c = 0;

	for (;;) {
		ssize_t got = read(fd, &c, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0 || c == '\n')
			break;
		if (n + 1 < size)
			line[n++] = c;
	}
	line[n] = '\0';
	return n > 0 || c == '\n';
}

/* Says that the state WHAT now lasts and waits for a line of standard input. */
static inline void hold(const char *what)
{
	char line[64];

	say("hold", "%s", what);
	read_line(STDIN_FILENO, line, sizeof(line));
}

static inline const char *signal_name(int sig, char *name, size_t size)
{
	const char *abbrev = sigabbrev_np(sig);

	if (abbrev)
		snprintf(name, size, "SIG%s", abbrev);
	else
		snprintf(name, size, "%d", sig);
	return name;
}

static inline const char *status_how(int raw)
{
	if (WIFEXITED(raw))
		return "exited";
	if (WIFSTOPPED(raw))
		return "stopped";
	if (WIFCONTINUED(raw))
		return "continued";
	return WCOREDUMP(raw) ? "dumped" : "killed";
}

/*
 * Says what a wait gave: wait.ret (the pid, 0 or -1), wait.raw, wait.how,
 * wait.status (of an exited child), wait.signal (of any other), wait.by.
 * All six lines always come, so that the n-th of each belong together.
 */
static inline void say_wait(pid_t ret, int raw)
{
	char name[16] = "";
	int sig = 0;

	if (ret > 0 && WIFSIGNALED(raw))
		sig = WTERMSIG(raw);
	else if (ret > 0 && WIFSTOPPED(raw))
		sig = WSTOPSIG(raw);
	if (sig)
		signal_name(sig, name, sizeof(name));

	say("wait.ret", "%d", ret);
	say("wait.raw", "0x%x", ret > 0 ? raw : 0);
	say("wait.how", "%s", ret > 0 ? status_how(raw) : ret ? strerrorname_np(errno) : "nothing");
	if (ret > 0 && WIFEXITED(raw))
		say("wait.status", "%d", WEXITSTATUS(raw));
	else
		say("wait.status", "%s", "");
	say("wait.signal", "%s", name);
	say("wait.by", "%d", getpid());
}

/* Waits for PID (as waitpid takes it) and says what came of it. */
static inline pid_t reap(pid_t pid, int options)
{
	int raw = 0;
	pid_t ret;

	do {
		ret = waitpid(pid, &raw, options);
	} while (ret < 0 && errno == EINTR);
	say_wait(ret, raw);
	return ret;
}

static inline int open_pidfd(pid_t pid)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		fail("pidfd_open");
	return fd;
}

static inline void await_pidfd(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	while (poll(&pfd, 1, -1) < 0 && errno == EINTR)
		;
	close(fd);
}

/* Returns when all threads of PID are dead, without a wait call. */
static inline void await_death(pid_t pid)
{
	await_pidfd(open_pidfd(pid));
}

/*
 * A gate holds processes back until somebody else opens it: one byte lets one
 * of them pass, and all pass when every process that could open it is gone.
 */
struct gate {
	int fd[2];
};

static inline void gate__init(struct gate *gate)
{
	if (pipe(gate->fd) < 0)
		fail("pipe");
}

/* For those who only pass: gives up the right to open. */
static inline void gate__enter(struct gate *gate)
{
	if (gate->fd[1] >= 0)
		close(gate->fd[1]);
	gate->fd[1] = -1;
}

static inline void gate__pass(struct gate *gate)
{
	char c;

	gate__enter(gate);
	while (read(gate->fd[0], &c, 1) < 0 && errno == EINTR)
		;
}

static inline void gate__open(struct gate *gate, int n)
{
	while (n-- > 0)
		if (write(gate->fd[1], "g", 1) != 1)
			fail("gate");
}

/* Waits until N others have opened GATE; false when they died before. */
static inline bool gate__collect(struct gate *gate, int n)
{
	char c;

	while (n > 0) {
		ssize_t got = read(gate->fd[0], &c, 1);

		if (got == 0)
			return false;
		if (got < 0 && errno != EINTR)
			return false;
		if (got == 1)
			n--;
	}
	return true;
}

/* For a child that would go on for ever: it goes with its parent. */
static inline void die_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* fork that cannot fail. */
static inline pid_t fork_or_fail(void)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	return pid;
}

/*
 * clone3 as a fork: the child goes on where the parent is, on a copy of its
 * stack. FLAGS and EXIT_SIGNAL as for clone3; SET_TID, when not 0, is the pid
 * that the child must have. Returns as fork does, -1 with errno.
 */
static inline pid_t clone_fork(uint64_t flags, int exit_signal, pid_t set_tid)
{
	struct clone_args args = {
		.flags = flags,
		.exit_signal = exit_signal,
		.set_tid = (uintptr_t)(set_tid ? &set_tid : NULL),
		.set_tid_size = set_tid ? 1 : 0,
	};

	return syscall(SYS_clone3, &args, sizeof(args));
}

static inline void set_handler(int sig, void (*handler)(int), int flags)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = flags };

	if (sigaction(sig, &sa, NULL) < 0)
		fail("sigaction");
}

static inline void no_op(int sig)
{
	(void)sig;
}

/* A number, or the end of the program with its usage. */
static inline int number(const char *word, const char *text)
{
	char *end;
	long n = strtol(word, &end, 0);

	if (!*word || *end)
		usage(text);
	return n;
}

/* The start of every member: says who it is. */
static inline void enter_stage(void)
{
	say("self", "%d", getpid());
}

#endif
