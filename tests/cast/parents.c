/*
 * usage: parents N - N processes that have waited once, all alive at a time
 *
 * Each makes one wait call (for a child that it does not have). When told, the
 * last of them makes another, and when told again all end. "lacks" says why
 * there cannot be so many.
 */
#include "cast.h"

static const char text[] = "N";

static struct gate done, again, end;

static void be_parent(bool last)
{
	die_with_parent();
	waitpid(-1, NULL, WNOHANG);
	gate__open(&done, 1);
	if (last) {
		gate__pass(&again);
		waitpid(-1, NULL, WNOHANG);
		gate__open(&done, 1);
	}
	gate__pass(&end);
	_exit(0);
}

static pid_t make(int n)
{
	pid_t pid = -1;

	for (int i = 0; i < n; i++) {
		pid = fork();
		if (pid < 0) {
			say("lacks", "%d processes: %s", n, strerrorname_np(errno));
			return -1;
		}
		if (!pid)
			be_parent(i == n - 1);
	}
	return pid;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? number(argv[1], text) : 0;
	pid_t last;

	if (n < 1)
		usage(text);
	enter_stage();
	gate__init(&done);
	gate__init(&again);
	gate__init(&end);
	last = make(n);
	if (last > 0) {
		gate__collect(&done, n);
		say("last", "%d", last);
		hold("crowd");
		gate__open(&again, 1);
		gate__collect(&done, 1);
		hold("again");
	}
	gate__enter(&end); /* the last one that could open it: all pass */
	while (wait(NULL) > 0)
		;
	hold("gone");
	return 0;
}
