/*
 * usage: autoreap ignore|nocldwait|nocldwait-handler [N] - children that never become zombies
 *
 * Its SIGCHLD is ignored, or has SA_NOCLDWAIT with the default action or with
 * a handler. The child exits with N; the parent's wait can only say ECHILD.
 */
#include "cast.h"

static const char text[] = "ignore|nocldwait|nocldwait-handler [N]";

static const struct manner {
	const char *name;
	void (*handler)(int);
	int flags;
} manners[] = {
	{ "ignore", SIG_IGN, 0 },
	{ "nocldwait", SIG_DFL, SA_NOCLDWAIT },
	{ "nocldwait-handler", no_op, SA_NOCLDWAIT | SA_RESTART },
};

static void act(const struct manner *manner, int n)
{
	struct gate end;
	pid_t pid;

	set_handler(SIGCHLD, manner->handler, manner->flags);
	gate__init(&end);
	pid = fork_or_fail();
	if (!pid) {
		gate__pass(&end);
		_exit(n);
	}
	say("child", "%d", pid);
	say("child.status", "%d", n & 0377);
	hold("alive");
	gate__open(&end, 1);
	reap(-1, 0); /* returns when there is no child any more */
	hold("gone");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	int n = argc > 2 ? number(argv[2], text) : 12;

	for (size_t i = 0; i < ARRAY_SIZE(manners); i++) {
		if (strcmp(name, manners[i].name))
			continue;
		enter_stage();
		act(&manners[i], n);
		return 0;
	}
	usage(text);
}
