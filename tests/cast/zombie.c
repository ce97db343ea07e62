/*
 * usage: zombie [N [default|handler|nocldstop|blocked]] - N children die, and are reaped when told
 *
 * The word is what the parent does about SIGCHLD. died_after and died_before
 * are boot-time nanoseconds between which the last child died.
 */
#include "cast.h"

static const char text[] = "[N [default|handler|nocldstop|blocked]]";

static void be_default(void)
{
	set_handler(SIGCHLD, SIG_DFL, 0);
}

static void be_handler(void)
{
	set_handler(SIGCHLD, no_op, SA_RESTART);
}

static void be_nocldstop(void)
{
	set_handler(SIGCHLD, no_op, SA_RESTART | SA_NOCLDSTOP);
}

static void be_blocked(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void (*manner(const char *name))(void)
{
	static const struct {
		const char *name;
		void (*be)(void);
	} manners[] = {
		{ "default", be_default },
		{ "handler", be_handler },
		{ "nocldstop", be_nocldstop },
		{ "blocked", be_blocked },
	};

	for (size_t i = 0; i < ARRAY_SIZE(manners); i++)
		if (!strcmp(name, manners[i].name))
			return manners[i].be;
	usage(text);
}

static void one_dies(void)
{
	struct gate end;
	pid_t pid;

	gate__init(&end);
	pid = fork_or_fail();
	if (!pid) {
		gate__pass(&end);
		_exit(7);
	}
	say("child", "%d", pid);
	say("died_after", "%llu", (unsigned long long)boottime_ns());
	gate__open(&end, 1);
	await_death(pid);
	say("died_before", "%llu", (unsigned long long)boottime_ns());
	close(end.fd[0]);
	close(end.fd[1]);
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? number(argv[1], text) : 1;
	void (*be)(void) = manner(argc > 2 ? argv[2] : "default");

	enter_stage();
	be();
	for (int i = 0; i < n; i++)
		one_dies();
	hold("zombie");
	for (int i = 0; i < n; i++)
		reap(-1, 0);
	hold("reaped");
	return 0;
}
