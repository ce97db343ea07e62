/*
 * usage: stops seen|handled|nocldstop|ignored [SIGNAL [THREADS]] - a child that is stopped, continued and killed
 *
 * The parent has SIGCHLD's default action, a handler, a handler with
 * SA_NOCLDSTOP, or ignores it; sigchld= says how often its handler ran.
 */
#include "cast.h"

static const char text[] = "seen|handled|nocldstop|ignored [SIGNAL [THREADS]]";
static volatile sig_atomic_t told;

static void count(int sig)
{
	(void)sig;
	told++;
}

static const struct manner {
	const char *name;
	void (*handler)(int);
	int flags;
} manners[] = {
	{ "seen", SIG_DFL, 0 },
	{ "handled", count, SA_RESTART },
	{ "nocldstop", count, SA_RESTART | SA_NOCLDSTOP },
	{ "ignored", SIG_IGN, 0 },
};

static void *rest(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return NULL;
}

static pid_t victim(int threads)
{
	struct gate ready;
	pid_t pid;

	gate__init(&ready);
	pid = fork_or_fail();
	if (!pid) {
		pthread_t thread;

		die_with_parent();
		setpgid(0, 0);
		while (--threads > 0)
			if (pthread_create(&thread, NULL, rest, NULL))
				fail("pthread_create");
		gate__open(&ready, 1);
		rest(NULL);
	}
	gate__enter(&ready);
	gate__collect(&ready, 1);
	/* A group of its own under a parent of the session: SIGTSTP stops it. */
	setpgid(pid, pid);
	return pid;
}

static void act(const struct manner *manner, int sig, int threads)
{
	pid_t pid;

	set_handler(SIGCHLD, manner->handler, manner->flags);
	pid = victim(threads);
	say("child", "%d", pid);
	kill(pid, sig);
	reap(pid, WUNTRACED);
	say("sigchld", "%d", told);
	hold("stopped");
	kill(pid, SIGCONT);
	reap(pid, WCONTINUED);
	hold("continued");
	kill(pid, SIGKILL);
	reap(pid, 0);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	int sig = argc > 2 ? number(argv[2], text) : SIGSTOP;
	int threads = argc > 3 ? number(argv[3], text) : 1;

	for (size_t i = 0; i < ARRAY_SIZE(manners); i++) {
		if (strcmp(name, manners[i].name))
			continue;
		enter_stage();
		act(&manners[i], sig, threads);
		return 0;
	}
	usage(text);
}
