// SPDX-License-Identifier: GPL-2.0-only
/*
 * The smoke test of a whole lifetrace on the kernel that runs: small processes live and die, and
 * what the command and the daemon tell of them is compared with what wait and /proc told us.
 *
 *	smoke --command LIFETRACE --socket PATH [OPTION]...
 *		--direct	on somebody's host: others fork, too, and the kernel may
 *				refuse the best hooks (then a reap is seen late)
 *		--slow N	time limits are N times the usual
 *		--before PID	that process made a zombie (status 11) before the daemon began
 *		--only NAME	one case
 *		--best-hook KIND	the daemon was told to use nothing better: fentry, kprobe,
 *				tracepoint
 *	smoke --leave-zombie	makes that zombie, and waits for the end of its standard input
 *	smoke --exit N		just that: for exec
 *
 * One line a case: "VM-TEST ok NAME" or "VM-TEST not ok NAME: why"; "# " begins a remark. The exit
 * status is 0 when all were ok. The daemon must have been started with --zombie-age 500ms.
 */
#include "ask.h"
#include "expect.h"
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define BEFORE_STATUS 11
#define USUAL_LIMIT_MS 4000
#define THREADS 8

static struct {
	bool direct;
	int slow;
	pid_t before;
	const char *only;
	const char *best_hook;
} options = { .slow = 1, .best_hook = "fentry" };

static int limit_ms(void)
{
	return USUAL_LIMIT_MS * options.slow;
}

/* The event, or NULL and the blame. */
static json_t *expect_event(const char *kind, pid_t pid)
{
	json_t *event = ask_tail_wait(kind, pid, limit_ms());

	if (!event)
		blame("no %s of %d in the tail", kind, pid);
	return event;
}

static void expect_count(const char *kind, pid_t pid, int expected)
{
	int n = ask_tail_count(kind, pid);

	if (n != expected)
		blame("%d %s events of %d, expected %d", n, kind, pid, expected);
}

/* --- processes -------------------------------------------------------------------------------- */

static pid_t spawn(void (*body)(void))
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		body();
		_exit(0);
	}
	if (pid < 0)
		blame("fork: %m");
	return pid;
}

static int reap(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* A pipe that every child inherits: the children's word to us, or ours to them. */
static int word[2] = { -1, -1 };

static void open_word(void)
{
	if (pipe(word) < 0)
		blame("pipe: %m");
}

static void close_word(void)
{
	close(word[0]);
	close(word[1]);
}

static void say_pid(pid_t pid)
{
	if (write(word[1], &pid, sizeof(pid)) != sizeof(pid))
		_exit(99);
}

static pid_t hear_pid(void)
{
	pid_t pid = 0;

	if (read(word[0], &pid, sizeof(pid)) != sizeof(pid))
		blame("a child said nothing");
	return pid;
}

static void body_nothing(void)
{
}

/*
 * All that came before it is in the tail when this returns: events are told in the order of the
 * ring, and a child that dies now is the last of them.
 */
static bool sync_tail(int timeout_ms)
{
	pid_t pid = spawn(body_nothing);

	reap(pid);
	return ask_tail_wait("exit", pid, timeout_ms) != NULL;
}

static void expect_sync(void)
{
	if (!sync_tail(limit_ms()))
		blame("the tail does not show what happens");
}

/* The daemon that serves `tail` may take a moment to subscribe it: what came before is not seen. */
static bool tail_is_live(void)
{
	const long long end_ms = ask_now_ms() + limit_ms();

	while (ask_now_ms() < end_ms) {
		if (sync_tail(200 * options.slow))
			return true;
	}
	return false;
}

/* --- what lifetrace tells --------------------------------------------------------------------- */

/* The process's row in what `lifetrace COMMAND` lists: a new reference, NULL when it has none. */
static json_t *row_of(const char *command, const char *array, pid_t pid)
{
	json_t *document = ask_command((const char *[]){ command, NULL }, NULL);
	json_t *found = NULL;
	json_t *row;
	size_t i;

	if (!document)
		blame("lifetrace %s --json failed", command);
	json_array_foreach(ask_at(document, array), i, row) {
		if (json_integer_value(ask_at(row, "pid")) == pid)
			found = json_incref(row);
	}
	json_decref(document);
	return found;
}

/* The same from `ps --all`, which also has those that were reaped. */
static json_t *all_row_of(pid_t pid)
{
	json_t *document = ask_http("/v1/processes?all=1");
	json_t *found = NULL;
	json_t *row;
	size_t i;

	json_array_foreach(ask_at(document, "processes"), i, row) {
		if (json_integer_value(ask_at(row, "pid")) == pid)
			found = json_incref(row);
	}
	json_decref(document);
	return found;
}

static json_t *zombie_row(pid_t pid)
{
	return row_of("zombies", "zombies", pid);
}

static bool is_in_state(json_t *row, const char *state)
{
	const char *its = json_string_value(ask_at(row, "state"));

	return its && !strcmp(its, state);
}

/* Waits until `ps` shows the process in this state; the row, a new reference, or NULL. */
static json_t *expect_state(pid_t pid, const char *state)
{
	const long long end_ms = ask_now_ms() + limit_ms();
	json_t *row;

	for (;;) {
		row = row_of("ps", "processes", pid);
		if (row && is_in_state(row, state))
			return row;
		if (ask_now_ms() > end_ms || expect_why())
			break;
		json_decref(row);
		usleep(50000);
	}
	if (row)
		blame_value(row, "state", state);
	else
		blame("ps has no %d, expected it %s", pid, state);
	json_decref(row);
	return NULL;
}

/* "release" is exact. A locked-down host allows neither of its hooks, a kernel in a VM must. */
static const char *expected_reap_source(void)
{
	json_t *status = ask_http("/v1/status");
	const char *hook = json_string_value(ask_at(status, "hooks.reap"));
	bool exact = (!options.direct && strcmp(options.best_hook, "tracepoint")) ||
		     (hook && strstr(hook, "release_task"));

	json_decref(status);
	return exact ? "release" : "free";
}

static void expect_reap(pid_t pid, pid_t by)
{
	json_t *event = expect_event("reap", pid);

	expect_id_of(event, "reaped_by", by);
	expect_text(event, "reap_source", expected_reap_source());
	expect_bool(event, "inferred", false);
}

/* A whole life of which we are the parent: born, dead, a zombie, reaped, each exactly once. */
static void expect_life(pid_t pid, int status)
{
	json_t *fork_event = expect_event("fork", pid);

	expect_number(fork_event, "ppid", getpid());
	expect_exit(expect_event("exit", pid), status);
	expect_exit(expect_event("zombie", pid), status);
	expect_reap(pid, getpid());
	expect_same(fork_event, expect_event("reap", pid), "id");
	expect_count("fork", pid, 1);
	expect_count("exit", pid, 1);
	expect_count("zombie", pid, 1);
	expect_count("reap", pid, 1);
}

/* --- the cases -------------------------------------------------------------------------------- */

static void case_hooks(void)
{
	static const char *const needed[] = { "birth", "exec", "exit", "zombie", "reap", "wait" };
	json_t *status = ask_command((const char *[]){ "status", NULL }, NULL);
	json_t *hooks = ask_at(status, "hooks");
	const char *name;
	json_t *hook;

	if (!status)
		blame("lifetrace status --json failed");
	json_object_foreach(hooks, name, hook) {
		printf("# hook %s: %s\n", name, json_string_value(hook));
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		const char *text = json_string_value(json_object_get(hooks, needed[i]));

		if (status && (!text || !strncmp(text, "off", 3)))
			blame_value(hooks, needed[i], "a hook");
	}
	json_decref(status);
}

static void body_exit_3(void)
{
	_exit(3);
}

static void case_exits_3(void)
{
	pid_t pid = spawn(body_exit_3);

	expect_life(pid, reap(pid));
}

static void body_pause(void)
{
	for (;;)
		pause();
}

static void case_killed(void)
{
	pid_t pid = spawn(body_pause);

	kill(pid, SIGKILL);
	expect_life(pid, reap(pid));
}

static json_t *wait_for_zombie(pid_t pid)
{
	const long long end_ms = ask_now_ms() + limit_ms();
	json_t *row;

	do
		row = zombie_row(pid);
	while (!row && ask_now_ms() < end_ms && usleep(50000) == 0);
	if (!row)
		blame("zombies does not list %d", pid);
	return row;
}

static void expect_no_zombie(pid_t pid)
{
	const long long end_ms = ask_now_ms() + limit_ms();
	json_t *row;

	while ((row = zombie_row(pid)) && ask_now_ms() < end_ms) {
		json_decref(row);
		usleep(50000);
	}
	if (row)
		blame("zombies still lists %d, which is reaped", pid);
	json_decref(row);
}

static void expect_zombie_row(json_t *row, int exit_status)
{
	expect_text(row, "state", "zombie");
	expect_exit(row, W_EXITCODE(exit_status, 0));
	expect_null(row, "reaped_ns");
	expect_null(row, "reaped_by");
}

static void body_exit_7(void)
{
	_exit(7);
}

static void case_zombie_of_a_second(void)
{
	const long long begin_ms = ask_now_ms();
	pid_t pid = spawn(body_exit_7);
	json_t *row = wait_for_zombie(pid);

	expect_zombie_row(row, 7);
	expect_number(row, "ppid", getpid());
	expect_id_of(row, "parent_id", getpid());
	expect_bool(row, "inferred", false);
	expect_text(row, "sigchld.disposition", "default");
	json_decref(row);
	while (ask_now_ms() < begin_ms + 1100)
		usleep(10000);
	row = zombie_row(pid);
	expect_at_least(row, "age_ms", 900);
	expect_bool(row, "flagged", true);
	json_decref(row);
	expect_event("flagged", pid);
	expect_life(pid, reap(pid));
	expect_no_zombie(pid);
}

static void case_zombie_from_before(void)
{
	json_t *document = ask_command((const char *[]){ "zombies", NULL }, NULL);
	json_t *found = NULL;
	json_t *row;
	size_t i;

	json_array_foreach(ask_at(document, "zombies"), i, row) {
		if (json_integer_value(ask_at(row, "ppid")) == options.before)
			found = row;
	}
	if (!found)
		blame("zombies does not list the child of %d", options.before);
	expect_zombie_row(found, BEFORE_STATUS);
	expect_bool(found, "inferred", true);
	expect_at_least(found, "age_ms", 0);
	json_decref(document);
}

static int held[2]; /* a child that waits for its end reads from it */

static void body_until_let_go(void)
{
	char byte;

	close(held[1]);
	if (read(held[0], &byte, 1) < 0)
		_exit(98);
	_exit(6);
}

static void body_father(void)
{
	say_pid(spawn(body_until_let_go));
	_exit(0);
}

static void case_orphan(void)
{
	pid_t father;
	pid_t child;
	pid_t adopter;
	json_t *event;
	json_t *row;

	open_word();
	if (pipe(held) < 0)
		blame("pipe: %m");
	father = spawn(body_father);
	child = hear_pid();
	reap(father);
	adopter = (pid_t)proc_stat(child, 4);
	if (!options.direct && adopter != 1)
		blame("/proc says that %d adopted %d", adopter, child);
	event = expect_event("orphan", child);
	expect_id_of(event, "was_parent_id", father);
	expect_id_of(event, "adopted_by", adopter);
	row = expect_state(child, "running");
	expect_bool(row, "orphan", true);
	expect_number(row, "ppid", adopter);
	json_decref(row);
	close(held[0]);
	close(held[1]);
	expect_exit(expect_event("exit", child), W_EXITCODE(6, 0));
	expect_reap(child, adopter);
	close_word();
}

static void body_exit_5(void)
{
	_exit(5);
}

static void on_sigchld(int signal)
{
	(void)signal;
}

/* Returns from wait with ECHILD when all children are gone, as with SIG_IGN. */
static void make_autoreaped_child(const struct sigaction *action)
{
	sigaction(SIGCHLD, action, NULL);
	say_pid(spawn(body_exit_5));
	while (wait(NULL) >= 0 || errno == EINTR)
		;
}

static void body_ignores_sigchld(void)
{
	make_autoreaped_child(&(struct sigaction){ .sa_handler = SIG_IGN });
}

static void body_nocldwait(void)
{
	make_autoreaped_child(
		&(struct sigaction){ .sa_handler = on_sigchld, .sa_flags = SA_NOCLDWAIT });
}

static void expect_autoreap(void (*father_body)(void))
{
	pid_t father;
	pid_t child;

	open_word();
	father = spawn(father_body);
	child = hear_pid();
	reap(father);
	close_word();
	expect_exit(expect_event("autoreap", child), W_EXITCODE(5, 0));
	expect_exit(expect_event("exit", child), W_EXITCODE(5, 0));
	expect_sync();
	expect_count("autoreap", child, 1);
	expect_count("zombie", child, 0);
	expect_count("reap", child, 0);
}

static void case_sigchld_ignored(void)
{
	expect_autoreap(body_ignores_sigchld);
}

static void case_nocldwait(void)
{
	expect_autoreap(body_nocldwait);
}

static void case_stop_and_continue(void)
{
	pid_t pid = spawn(body_pause);
	int status;

	kill(pid, SIGSTOP);
	waitpid(pid, &status, WUNTRACED);
	expect_text(expect_event("stop", pid), "signal", "SIGSTOP");
	json_decref(expect_state(pid, "stopped"));
	kill(pid, SIGCONT);
	waitpid(pid, &status, WCONTINUED);
	expect_event("continue", pid);
	json_decref(expect_state(pid, "running"));
	kill(pid, SIGTERM);
	expect_life(pid, reap(pid));
}

static pthread_barrier_t barrier;

/* The thread alone ends here: glibc's exit would be the group's, pthread_exit does more first. */
static void exit_thread(int status)
{
	syscall(SYS_exit, status);
}

static void *thread_exits_with_the_rest(void *arg)
{
	pthread_barrier_wait(&barrier);
	exit_thread(0);
	return arg;
}

static void body_threads_exit_at_once(void)
{
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int i = 1; i < THREADS; i++)
		pthread_create(&thread, NULL, thread_exits_with_the_rest, NULL);
	pthread_barrier_wait(&barrier);
	exit_thread(4);
}

static void case_threads_exit_at_once(void)
{
	for (int i = 0; i < 20 && !expect_why(); i++) {
		pid_t pid = spawn(body_threads_exit_at_once);
		int status = reap(pid);

		expect_sync();
		expect_life(pid, status);
	}
}

static void *thread_until_let_go(void *arg)
{
	char byte;

	if (read(held[0], &byte, 1) < 0)
		_exit(98);
	exit_thread(0);
	return arg;
}

static void body_leader_exits_first(void)
{
	pthread_t thread;

	close(held[1]);
	pthread_create(&thread, NULL, thread_until_let_go, NULL);
	exit_thread(5);
}

static void case_dead_leader(void)
{
	pid_t pid;

	if (pipe(held) < 0)
		blame("pipe: %m");
	pid = spawn(body_leader_exits_first);
	json_decref(expect_state(pid, "dead-leader"));
	expect_sync();
	expect_count("exit", pid, 0);
	close(held[0]);
	close(held[1]);
	expect_life(pid, reap(pid));
}

static void *thread_execs(void *arg)
{
	say_pid((pid_t)syscall(SYS_gettid));
	execl("/proc/self/exe", "smoke", "--exit", "9", NULL);
	_exit(97);
	return arg;
}

static void body_thread_execs(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, thread_execs, NULL);
	pthread_join(thread, NULL);
}

static void case_thread_execs(void)
{
	json_t *exec;
	pid_t pid;
	pid_t tid;

	open_word();
	pid = spawn(body_thread_execs);
	tid = hear_pid();
	expect_life(pid, reap(pid));
	close_word();
	exec = expect_event("exec", pid);
	expect_same(expect_event("fork", pid), exec, "id");
	expect_number(exec, "by_tid", tid);
	expect_exit(expect_event("exit", pid), W_EXITCODE(9, 0));
	if (exec && json_array_size(ask_at(exec, "args")) != 3)
		blame_value(exec, "args", "smoke --exit 9");
}

static void body_makes_a_sibling(void)
{
	long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(8);
	say_pid((pid_t)pid);
}

static void case_clone_parent(void)
{
	json_t *event;
	pid_t creator;
	pid_t sibling;

	open_word();
	creator = spawn(body_makes_a_sibling);
	sibling = hear_pid();
	reap(creator);
	expect_life(sibling, reap(sibling));
	close_word();
	event = expect_event("fork", sibling);
	expect_id_of(event, "parent_id", getpid());
	expect_id_of(event, "born_of", creator);
	expect_null(expect_event("fork", creator), "born_of");
}

static void body_waits_in_vain(void)
{
	pid_t pid;

	pid = spawn(body_pause);
	for (int i = 0; i < 5; i++)
		waitpid(-1, NULL, WNOHANG);
	waitpid(pid, NULL, WNOHANG);
	say_pid(pid);
	body_pause();
}

static void case_wait_calls(void)
{
	pid_t child;
	pid_t pid;
	json_t *row;

	open_word();
	pid = spawn(body_waits_in_vain);
	child = hear_pid();
	row = expect_state(pid, "running");
	expect_number(row, "waits.calls", 6);
	expect_number(row, "waits.any", 5);
	expect_number(row, "waits.pid", 1);
	expect_number(row, "waits.nohang", 6);
	expect_text(row, "waits.last.which", "pid");
	expect_number(row, "waits.last.pid", child);
	json_decref(row);
	kill(pid, SIGKILL);
	reap(pid);
	kill(child, SIGKILL);
	close_word();
}

static void on_signal(int sig)
{
	(void)sig;
}

static pid_t signal_target;

static bool is_asleep(pid_t pid)
{
	char path[64], line[512] = "";
	FILE *file;
	char *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file || !fgets(line, sizeof(line), file))
		line[0] = '\0';
	if (file)
		fclose(file);
	end = strrchr(line, ')');
	return end && end[2] == 'S';
}

/* Signals the one who waits for it, and again when that one waits again. */
static void body_signals(void)
{
	for (int i = 0; i < 2; i++) {
		while (!is_asleep(signal_target))
			usleep(1000);
		if (!i)
			kill(signal_target, SIGUSR1);
		usleep(10000);
	}
}

/* A call that a signal interrupts: with SA_RESTART it goes on, without it fails. */
static void wait_disturbed(int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };
	pid_t pid;

	signal_target = getpid();
	sigaction(SIGUSR1, &action, NULL);
	pid = spawn(body_signals);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* A fork into a pid namespace whose init is dead fails with ENOMEM. */
static void fail_to_fork(void)
{
	pid_t pid;

	if (unshare(CLONE_NEWPID))
		_exit(98);
	pid = fork();
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	for (int i = 0; i < 3; i++)
		if (fork() >= 0 || errno != ENOMEM)
			_exit(97);
}

/*
 * Ten calls, by their answers: nothing; ECHILD; a stop; a child; by waitid one;
 * one after a restart; EINTR, then one; a vforked one; the namespace's init.
 */
static void body_calls(void)
{
	siginfo_t info;
	pid_t pid = spawn(body_pause);

	waitpid(pid, NULL, WNOHANG);
	waitpid(getpid(), NULL, 0);
	kill(pid, SIGSTOP);
	waitpid(pid, &(int){ 0 }, WUNTRACED);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	pid = spawn(body_nothing);
	waitid(P_PID, (id_t)pid, &info, WEXITED);
	wait_disturbed(SA_RESTART);
	wait_disturbed(0);
	pid = vfork();
	if (!pid) {	       /* it must take time, and calls only the kernel */
		usleep(20000); /* NOLINT(clang-analyzer-unix.Vfork) */
		_exit(0);
	}
	say_pid(pid);
	waitpid(pid, NULL, 0);
	fail_to_fork();
	say_pid(getpid());
	body_pause();
}

static void expect_begin_of(json_t *object, const char *path, const char *begin)
{
	const char *text = json_string_value(ask_at(object, path));

	if (!text || strncmp(text, begin, strlen(begin)))
		blame_value(object, path, begin);
}

/* That the hooks are those that this kernel must allow; false: they are off, on somebody's host. */
static bool expect_call_hooks(void)
{
	static const struct {
		const char *best, *wait, *fork;
	} hooks[] = {
		{ "fentry", "fexit/do_wait", "fentry/kernel_clone" },
		{ "kprobe", "kretprobe/do_wait", "kprobe/kernel_clone" },
		{ "tracepoint", "tp/syscalls/sys_exit_wait4", "tp/syscalls/sys_enter_clone" },
	};
	json_t *status = ask_http("/v1/status");
	const char *wait = json_string_value(ask_at(status, "hooks.wait_results"));
	bool on = wait && strncmp(wait, "off", 3) != 0;

	for (size_t i = 0; !options.direct && i < sizeof(hooks) / sizeof(hooks[0]); i++) {
		if (strcmp(hooks[i].best, options.best_hook))
			continue;
		expect_begin_of(status, "hooks.wait_results", hooks[i].wait);
		expect_begin_of(status, "hooks.fork_cost", hooks[i].fork);
	}
	json_decref(status);
	return on;
}

static void expect_costs(pid_t pid, pid_t vforked)
{
	json_t *fork_event = expect_event("fork", pid);
	json_t *row;

	expect_at_least(fork_event, "fork.duration_ns", 1000);
	expect_at_least(fork_event, "fork.rss_bytes", 4096);
	expect_at_least(fork_event, "fork.pagetable_bytes", 8192);
	expect_null(fork_event, "fork.vfork_wait_ns");
	fork_event = expect_event("fork", vforked);
	expect_at_least(fork_event, "fork.duration_ns", 1000);
	expect_number(fork_event, "fork.rss_bytes", 0);
	row = all_row_of(vforked);
	expect_at_least(row, "fork.vfork_wait_ns", 20000000);
	json_decref(row);
}

static void case_calls(void)
{
	pid_t pid, vforked;
	json_t *row;

	if (!expect_call_hooks()) {
		printf("# calls: the hooks are off here\n");
		return;
	}
	open_word();
	pid = spawn(body_calls);
	vforked = hear_pid();
	hear_pid();
	expect_sync();
	row = expect_state(pid, "running");
	expect_number(row, "waits.calls", 10);
	expect_number(row, "waits.results.nothing", 1);
	expect_number(row, "waits.results.echild", 1);
	expect_number(row, "waits.results.reported", 1);
	expect_number(row, "waits.results.reaped", 6);
	expect_number(row, "waits.results.eintr", 1);
	expect_number(row, "waits.results.restarted", 1);
	expect_number(row, "waits.results.failed", 0);
	expect_null(row, "waits.waiting_since_ns");
	expect_number(row, "fork_failures.ENOMEM", 3);
	expect_event("fork-fail", pid);
	expect_count("fork-fail", pid, 3);
	json_decref(row);
	expect_costs(pid, vforked);
	kill(pid, SIGKILL);
	reap(pid);
	close_word();
}

static long long births_by_lifetrace(void)
{
	json_t *status = ask_http("/v1/status");
	/* what the kernel skipped (from 7.0 on, see docs/kernel.md) is told as lost */
	long long births = json_integer_value(ask_at(status, "forks")) +
			   json_integer_value(ask_at(status, "threads")) +
			   json_integer_value(ask_at(status, "lost.fork"));

	if (!status)
		blame("GET /v1/status failed");
	json_decref(status);
	return births;
}

/*
 * How many births lifetrace has not counted: all those before its start. Nobody may be born
 * between the three looks, and the number must settle, because the daemon need not read its ring
 * at once. -1 when it did not settle.
 */
static long long uncounted_births(long long wanted)
{
	const long long end_ms = ask_now_ms() + limit_ms();
	long long last = -1;
	int same = 0;

	while (ask_now_ms() < end_ms && !expect_why()) {
		long long before = proc_births();
		long long difference = before - births_by_lifetrace();

		if (proc_births() == before) {
			same = difference == last ? same + 1 : 0;
			last = difference;
			if (same >= 5 && (wanted < 0 || last == wanted))
				return last;
		}
		usleep(50000);
	}
	return last;
}

static void *thread_nothing(void *arg)
{
	return arg;
}

static void body_two_threads(void)
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, thread_nothing, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

/* 400 births at once, 600 of them when the threads are counted. */
static void burst(void)
{
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 20; i++)
			spawn(i % 4 ? body_nothing : body_two_threads);
		for (int i = 0; i < 20; i++)
			reap(-1);
	}
}

static void case_births_are_counted(void)
{
	long long before = uncounted_births(-1);
	long long after;

	burst();
	after = uncounted_births(before);
	if (before < 0 || after != before)
		blame("/proc/stat has %lld births more than lifetrace before a burst, %lld after",
		      before, after);
}

/* A row against /proc/PID/stat: the parent, and the start in clock ticks. */
static void compare_row(json_t *row, char *difference, size_t size)
{
	pid_t pid = (pid_t)json_integer_value(ask_at(row, "pid"));
	long long ppid = proc_stat(pid, 4);
	long long ticks = proc_stat(pid, 22);
	long long tick_ns = 1000000000 / sysconf(_SC_CLK_TCK);
	long long start = json_integer_value(ask_at(row, "start_ns")) / tick_ns;

	if (ppid >= 0 && ppid != json_integer_value(ask_at(row, "ppid")))
		snprintf(difference, size, "the parent of %d is %lld", pid, ppid);
	else if (ticks >= 0 && ticks != start)
		snprintf(difference, size, "%d began at tick %lld, not %lld", pid, ticks, start);
}

static void compare_rows(json_t *rows, pid_t asker, char *difference, size_t size)
{
	static struct proc_pids before, after, listed;
	json_t *row;
	size_t i;

	proc_pids(&after);
	listed.n = 0;
	json_array_foreach(rows, i, row) {
		pid_t pid = (pid_t)json_integer_value(ask_at(row, "pid"));

		listed.pid[listed.n++] = pid;
		if (proc_pids_have(&after, pid))
			compare_row(row, difference, size);
		else if (before.n && !proc_pids_have(&before, pid) && pid != asker)
			snprintf(difference, size, "%d does not live", pid);
	}
	for (int k = 0; k < after.n; k++) {
		pid_t pid = after.pid[k];

		if (proc_pids_have(&before, pid) && !proc_pids_have(&listed, pid))
			snprintf(difference, size, "%d is missing", pid);
	}
	before = after;
}

/*
 * Processes come and go between the looks: a pid that /proc had before and after must be listed,
 * one that it had neither before nor after must not. A zombie's free may come late: it must
 * become right within the time.
 */
static void case_table_is_proc(void)
{
	const long long end_ms = ask_now_ms() + limit_ms();
	char difference[128] = "nothing to compare";
	pid_t asker;

	for (int round = 0; difference[0] && ask_now_ms() < end_ms; round++) {
		json_t *ps = ask_command((const char *[]){ "ps", "--kernel", NULL }, &asker);

		if (round)
			difference[0] = '\0';
		if (!ps)
			snprintf(difference, sizeof(difference), "lifetrace ps failed");
		compare_rows(ask_at(ps, "processes"), asker, difference, sizeof(difference));
		json_decref(ps);
	}
	if (difference[0])
		blame("ps and /proc differ: %s", difference);
}

/* From 7.0 on a task can be preempted within a program, and the kernel skips others' runs. */
static bool kernel_skips_programs(void)
{
	struct utsname kernel;

	return !uname(&kernel) && atoi(kernel.release) >= 7;
}

/* --- copy-on-write --- */

#define COW_PAGES 2000

static volatile char *cow_memory;
static int cow_go[2];

static void cow_write(void)
{
	for (size_t i = 0; i < COW_PAGES; i++)
		cow_memory[i * 4096] = 1;
}

static void cow_read(void)
{
	for (size_t i = 0; i < COW_PAGES; i++)
		(void)cow_memory[i * 4096];
}

/* The kernel writes. */
static void cow_write_by_read(void)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; i < COW_PAGES; i++)
		if (read(fd, (char *)cow_memory + i * 4096, 1) != 1)
			_exit(98);
	close(fd);
}

static const struct cow_act {
	const char *name;
	void (*act)(void);
	bool is_alone; /* its pages were shared, and are not any more */
	int copies, reuses;
} cow_acts[] = {
	{ "writes", cow_write, false, COW_PAGES, 0 },
	{ "reads", cow_read, false, 0, 0 },
	{ "read(2)", cow_write_by_read, false, COW_PAGES, 0 },
	{ "writes when its own child is gone", cow_write, true, 0, COW_PAGES },
};
static const struct cow_act *cow_act;

static void cow_wait_and_tell(void)
{
	char byte;

	say_pid(getpid());
	if (read(cow_go[0], &byte, 1) != 1)
		_exit(97);
}

static void body_cow(void)
{
	if (cow_act->is_alone) {
		cow_write();
		reap(spawn(body_nothing));
	}
	cow_wait_and_tell(); /* what this writes to is copied now */
	cow_wait_and_tell();
	cow_act->act();
	cow_wait_and_tell();
}

static void cow_go_on(void)
{
	if (write(cow_go[1], "g", 1) != 1)
		blame("pipe: %m");
}

static json_t *cow_row(pid_t pid)
{
	json_t *row = row_of("ps", "processes", pid);

	if (!json_is_object(ask_at(row, "cow")))
		blame("no cow of %d", pid);
	return row;
}

/* Within one part in a hundred. */
static void expect_grown(json_t *before, json_t *after, const char *path, int by)
{
	long long grown =
		json_integer_value(ask_at(after, path)) - json_integer_value(ask_at(before, path));

	if (llabs(grown - by) * 100 > COW_PAGES)
		blame("a child that %s: %s grew by %lld, expected %d", cow_act->name, path, grown,
		      by);
}

static void expect_cow(void)
{
	json_t *before, *after;
	pid_t pid;

	open_word();
	if (pipe(cow_go) < 0)
		blame("pipe: %m");
	pid = spawn(body_cow);
	hear_pid();
	cow_go_on();
	hear_pid();
	before = cow_row(pid);
	cow_go_on();
	hear_pid();
	after = cow_row(pid);
	cow_go_on();
	expect_grown(before, after, "cow.copies", cow_act->copies);
	expect_grown(before, after, "cow.reuses", cow_act->reuses);
	printf("# cow: %s: copies %lld to %lld, reuses %lld to %lld\n", cow_act->name,
	       json_integer_value(ask_at(before, "cow.copies")),
	       json_integer_value(ask_at(after, "cow.copies")),
	       json_integer_value(ask_at(before, "cow.reuses")),
	       json_integer_value(ask_at(after, "cow.reuses")));
	json_decref(before);
	json_decref(after);
	if (reap(pid))
		blame("the child failed");
	close(cow_go[0]);
	close(cow_go[1]);
	close_word();
}

/* Whichever set the daemon was told to use: all are held to the same figures. */
static void case_cow(void)
{
	json_t *status = ask_http("/v1/status");
	const char *hook = json_string_value(ask_at(status, "hooks.cow"));

	printf("# cow: %s\n", hook ? hook : "no hook");
	if (!hook || !strncmp(hook, "off", 3)) {
		if (!options.direct)
			blame_value(status, "hooks.cow", "a hook");
		json_decref(status);
		return;
	}
	json_decref(status);
	cow_memory = mmap(NULL, COW_PAGES * 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (cow_memory == MAP_FAILED) {
		blame("mmap: %m");
		return;
	}
	madvise((void *)cow_memory, COW_PAGES * 4096, MADV_NOHUGEPAGE);
	cow_write();
	for (size_t i = 0; i < sizeof(cow_acts) / sizeof(cow_acts[0]); i++) {
		cow_act = &cow_acts[i];
		expect_cow();
	}
	munmap((void *)cow_memory, COW_PAGES * 4096);
}

/* --- what a parent's children are limited by ---------------------------------------------------- */

#define GROUPS "/sys/fs/cgroup"
#define OUTER GROUPS "/lt-outer"
#define INNER OUTER "/lt-inner"
#define GROUP_ZOMBIES 7

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

static void body_exit_1(void)
{
	_exit(1);
}

/* Leaks in the group, and when it is told to tries how many more there can be. */
static void body_leak_in_group(void)
{
	int more = 0, status;
	char byte;
	pid_t pid;

	close(held[1]);
	if (!write_file(INNER "/cgroup.procs", "0"))
		_exit(97);
	for (int i = 0; i < GROUP_ZOMBIES; i++)
		spawn(body_exit_1);
	if (read(held[0], &byte, 1) < 0)
		_exit(98);
	while ((pid = fork()) > 0)
		more++;
	if (!pid)
		_exit(1);
	status = errno == EAGAIN ? 0 : 99;
	while (wait(NULL) > 0)
		;
	say_pid(more);
	_exit(status);
}

static json_t *leak_row(pid_t pid)
{
	static const char *const words[] = { "leaks", NULL };
	json_t *document = ask_command(words, NULL), *row, *found = NULL;
	size_t i;

	json_array_foreach(ask_at(document, "leaks"), i, row)
		if (json_integer_value(ask_at(row, "pid")) == pid)
			found = json_incref(row);
	json_decref(document);
	return found;
}

/* The row of the leak, and the kernel's word on it: so many are born, and then none. */
static void expect_group_limit(const char *name)
{
	const long long end_ms = ask_now_ms() + limit_ms();
	json_t *row;
	pid_t leaker;
	int more;

	open_word();
	if (pipe(held) < 0)
		blame("pipe: %m");
	leaker = spawn(body_leak_in_group);
	do
		row = leak_row(leaker);
	while (!row && ask_now_ms() < end_ms && usleep(50000) == 0);
	close(held[0]);
	close(held[1]);
	more = hear_pid();
	expect_text(row, "limit", name);
	expect_number(row, "pids_left", more);
	if (more <= 0 || reap(leaker))
		blame("%d more children were born, and not EAGAIN then", more);
	json_decref(row);
	close_word();
}

/* cgroup2's own controller: on hosts with cgroup v1 that has it. */
static void case_group_limit(void)
{
	if (!write_file(GROUPS "/cgroup.subtree_control", "+pids")) {
		printf("# group-limit: no pids controller of cgroup2 here\n");
		return;
	}
	if (mkdir(OUTER, 0755) || !write_file(OUTER "/cgroup.subtree_control", "+pids") ||
	    mkdir(INNER, 0755)) {
		blame("cannot make groups: %m");
		return;
	}
	if (!write_file(INNER "/pids.max", "30") || !write_file(OUTER "/pids.max", "60"))
		blame("pids.max: %m");
	expect_group_limit("pids.max of /lt-outer/lt-inner");
	if (!write_file(INNER "/pids.max", "max") || !write_file(OUTER "/pids.max", "25"))
		blame("pids.max: %m");
	expect_group_limit("pids.max of /lt-outer");
	rmdir(INNER);
	rmdir(OUTER);
}

static void case_nothing_lost(void)
{
	json_t *status = ask_http("/v1/status");
	const char *kind;
	json_t *n;

	if (!json_is_object(ask_at(status, "lost")))
		blame("status has no lost");
	json_object_foreach(ask_at(status, "lost"), kind, n) {
		if (json_integer_value(n) != 0 && !kernel_skips_programs())
			blame_value(ask_at(status, "lost"), kind, "0");
	}
	expect_number(status, "bad_records", 0);
	expect_number(status, "refused", 0);
	if (ask_tail_bad_lines() > 0)
		blame("%d lines of tail are no JSON", ask_tail_bad_lines());
	json_decref(status);
}

static const struct smoke_case {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "hooks", case_hooks },
	{ "zombie-from-before", case_zombie_from_before },
	{ "exits-3", case_exits_3 },
	{ "killed", case_killed },
	{ "zombie-of-a-second", case_zombie_of_a_second },
	{ "orphan", case_orphan },
	{ "sigchld-ignored", case_sigchld_ignored },
	{ "nocldwait", case_nocldwait },
	{ "stop-and-continue", case_stop_and_continue },
	{ "threads-exit-at-once", case_threads_exit_at_once },
	{ "dead-leader", case_dead_leader },
	{ "thread-execs", case_thread_execs },
	{ "clone-parent", case_clone_parent },
	{ "wait-calls", case_wait_calls },
	{ "calls", case_calls },
	{ "cow", case_cow },
	{ "group-limit", case_group_limit },
	{ "births-are-counted", case_births_are_counted },
	{ "table-is-proc", case_table_is_proc },
	{ "nothing-lost", case_nothing_lost },
};

static bool is_wanted(const struct smoke_case *c)
{
	if (options.only)
		return !strcmp(options.only, c->name);
	return options.before || c->run != case_zombie_from_before;
}

static bool run_case(const struct smoke_case *c)
{
	const long long begin_ms = ask_now_ms();

	expect_begin();
	c->run();
	if (expect_why())
		printf("VM-TEST not ok %s: %s\n", c->name, expect_why());
	else
		printf("VM-TEST ok %s (%lld ms)\n", c->name, ask_now_ms() - begin_ms);
	fflush(stdout);
	return !expect_why();
}

static int run_cases(void)
{
	bool ok = true;

	if (ask_tail_start() < 0 || !tail_is_live()) {
		printf("VM-TEST not ok tail: lifetrace tail --json shows nothing\n");
		return 1;
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (is_wanted(&cases[i]))
			ok = run_case(&cases[i]) && ok;
	}
	ask_tail_stop();
	return !ok;
}

static void body_before(void)
{
	_exit(BEFORE_STATUS);
}

static int leave_zombie(void)
{
	char byte;
	pid_t pid = spawn(body_before);

	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	reap(pid);
	return 0;
}

int main(int argc, char **argv)
{
	enum { COMMAND = 1, SOCKET, DIRECT, SLOW, BEFORE, ONLY, BEST_HOOK, LEAVE_ZOMBIE, EXIT };
	static const struct option names[] = {
		{ "command", required_argument, NULL, COMMAND },
		{ "socket", required_argument, NULL, SOCKET },
		{ "direct", no_argument, NULL, DIRECT },
		{ "slow", required_argument, NULL, SLOW },
		{ "before", required_argument, NULL, BEFORE },
		{ "only", required_argument, NULL, ONLY },
		{ "best-hook", required_argument, NULL, BEST_HOOK },
		{ "leave-zombie", no_argument, NULL, LEAVE_ZOMBIE },
		{ "exit", required_argument, NULL, EXIT },
		{},
	};
	struct ask_paths paths = {};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (option) {
		case COMMAND:
			paths.command = optarg;
			break;
		case SOCKET:
			paths.socket = optarg;
			break;
		case DIRECT:
			options.direct = true;
			break;
		case SLOW:
			options.slow = (int)strtol(optarg, NULL, 10);
			break;
		case BEFORE:
			options.before = (pid_t)strtol(optarg, NULL, 10);
			break;
		case ONLY:
			options.only = optarg;
			break;
		case BEST_HOOK:
			options.best_hook = optarg;
			break;
		case LEAVE_ZOMBIE:
			return leave_zombie();
		case EXIT:
			return (int)strtol(optarg, NULL, 10);
		default:
			return 2;
		}
	}
	if (!paths.command || !paths.socket) {
		fprintf(stderr, "smoke: --command and --socket are needed\n");
		return 2;
	}
	ask_init(paths);
	return run_cases();
}
