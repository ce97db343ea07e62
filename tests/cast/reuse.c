/*
 * usage: reuse N [same] - N short lives, each with an exit status of its own
 *
 * same: all with one and the same pid, by clone3's set_tid (needs root); else
 * with the pids that the kernel gives. The status of the n-th is n modulo 200.
 */
#include "cast.h"

static const char text[] = "N [same]";

/* PID is whoever's the child got; 0 lets the kernel choose. -1: it was taken. */
static pid_t live(int status, pid_t pid)
{
	pid = clone_fork(0, SIGCHLD, pid);
	if (!pid)
		_exit(status);
	if (pid < 0) {
		if (errno != EEXIST)
			fail("clone3");
		return -1;
	}
	reap(pid, 0);
	return pid;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? number(argv[1], text) : 0;
	bool same = argc > 2 && !strcmp(argv[2], "same");
	pid_t pid = 0;

	if (n < 1 || (argc > 2 && !same))
		usage(text);
	enter_stage();
	for (int i = 0; i < n; i++) {
		pid_t got = live(i % 200, pid);

		if (got < 0) { /* somebody else took it: choose anew */
			pid = 0;
			i--;
		} else if (same) {
			pid = got;
		}
	}
	hold("lived");
	return 0;
}
