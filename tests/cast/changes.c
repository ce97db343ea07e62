/*
 * usage: changes ROUNDS - parents that change while somebody looks at them
 *
 * Each round a parent keeps one zombie, says "round" (its own pid, the child's,
 * its exit status, and the kind of round), and changes a moment later: by kinds
 * it reaps it; ends, and this program adopts and reaps it; runs another program,
 * which reaps it; is stopped; is traced; reaps it, and gives its pid to another.
 * At the end nobody is left.
 */
#include "cast.h"

#include <sys/ptrace.h>

#define MOMENT_MS 60

static const char text[] = "ROUNDS";
static struct gate change;

/* ---- the parent ---- */

/* False when the pid is somebody else's by now. */
static bool keep_zombie(const char *kind, int status, pid_t set_tid)
{
	pid_t pid = clone_fork(0, SIGCHLD, set_tid);

	if (!pid)
		_exit(status);
	if (pid < 0 && set_tid)
		return false;
	if (pid < 0)
		fail("clone3");
	await_death(pid);
	say("round", "%d %d %d %s", getpid(), pid, status, kind);
	return true;
}

static void reap_all(int status)
{
	(void)status;
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static void end(int status)
{
	(void)status;
}

static void run_another(int status)
{
	(void)status;
	execl("/proc/self/exe", "changes", "reap", (char *)NULL);
	fail("exec");
}

static void give_pid_away(int status)
{
	pid_t pid = waitpid(-1, NULL, 0);

	if (keep_zombie("reuse", status + 100, pid)) {
		sleep_ms(MOMENT_MS);
		reap_all(0);
	}
}

/* ---- this program ---- */

static void stop(pid_t pid)
{
	kill(pid, SIGSTOP);
	waitpid(pid, NULL, WUNTRACED);
	sleep_ms(MOMENT_MS);
	kill(pid, SIGCONT);
}

static void trace(pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL))
		fail("ptrace");
	waitpid(pid, NULL, __WALL);
	sleep_ms(MOMENT_MS);
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

static void leave(pid_t pid)
{
	(void)pid;
}

static const struct kind {
	const char *name;
	void (*do_to)(pid_t pid);
	void (*change)(int status); /* of the parent, then */
} kinds[] = {
	{ "reap", leave, reap_all },	{ "die", leave, end },
	{ "exec", leave, run_another }, { "stop", stop, reap_all },
	{ "trace", trace, reap_all },	{ "reuse", leave, give_pid_away },
};

static void play(const struct kind *kind, int status)
{
	struct gate kept;
	pid_t pid;

	gate__init(&kept);
	gate__init(&change);
	pid = fork_or_fail();
	if (!pid) {
		die_with_parent();
		keep_zombie(kind->name, status, 0);
		gate__open(&kept, 1);
		gate__pass(&change);
		kind->change(status);
		_exit(0);
	}
	if (!gate__collect(&kept, 1))
		fail("parent");
	sleep_ms(MOMENT_MS);
	kind->do_to(pid);
	sleep_ms(MOMENT_MS);
	gate__open(&change, 1);
	reap_all(0);
	for (int i = 0; i < 2; i++) {
		close(kept.fd[i]);
		close(change.fd[i]);
	}
}

int main(int argc, char **argv)
{
	int rounds;

	if (argc == 2 && !strcmp(argv[1], "reap")) {
		reap_all(0);
		return 0;
	}
	rounds = argc == 2 ? number(argv[1], text) : -1;
	if (rounds < 0)
		usage(text);
	enter_stage();
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		fail("PR_SET_CHILD_SUBREAPER");
	for (int i = 0; i < rounds; i++)
		play(&kinds[i % ARRAY_SIZE(kinds)], 1 + i % 100);
	say("played", "%d", rounds);
	return 0;
}
