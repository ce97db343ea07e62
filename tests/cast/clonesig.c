/*
 * usage: clonesig SIGNAL [ignore] - a child with another exit signal than SIGCHLD, or none (0)
 *
 * It is a zombie until a wait with __WALL. With "ignore" its parent ignores
 * SIGCHLD, which does nothing for such a child.
 */
#include "cast.h"

static const char text[] = "SIGNAL|0 [ignore]";

int main(int argc, char **argv)
{
	struct gate end;
	pid_t pid;
	int sig;

	if (argc < 2)
		usage(text);
	sig = number(argv[1], text);
	enter_stage();
	if (sig)
		set_handler(sig, no_op, SA_RESTART);
	if (argc > 2)
		set_handler(SIGCHLD, SIG_IGN, 0);
	gate__init(&end);
	pid = clone_fork(0, sig, 0);
	if (pid < 0)
		fail("clone3");
	if (!pid) {
		gate__pass(&end);
		_exit(13);
	}
	say("child", "%d", pid);
	gate__open(&end, 1);
	await_death(pid);
	hold("zombie");
	reap(pid, WNOHANG); /* ECHILD: not without __WALL or __WCLONE */
	reap(pid, __WALL);
	return 0;
}
