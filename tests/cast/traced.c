/*
 * usage: traced wait|die - a child that dies while a tracer holds it
 *
 * The tracer is the child's sibling. wait: it waits for the child, and only
 * then the real parent can; die: it dies without having waited.
 */
#include "cast.h"

#include <sys/ptrace.h>

static const char text[] = "wait|die";
static struct gate attached, seen, tracer_end, child_end;

/* Looks without reaping until the tracee is a zombie. */
static void look_at_zombie(pid_t pid)
{
	siginfo_t info;

	while (waitid(P_PID, pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		;
}

static void tracer(pid_t pid, bool waits)
{
	int raw = 0;

	gate__enter(&child_end);
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		fail("PTRACE_SEIZE");
	gate__open(&attached, 1);
	look_at_zombie(pid);
	gate__open(&seen, 1);
	gate__pass(&tracer_end);
	if (!waits)
		_exit(16);
	if (waitpid(pid, &raw, 0) == pid)
		say("tracer.raw", "0x%x", raw);
	gate__open(&seen, 1);
	hold("traced");
	_exit(15);
}

static pid_t child(void)
{
	pid_t pid = fork_or_fail();

	if (!pid) {
		gate__pass(&child_end);
		_exit(14);
	}
	say("child", "%d", pid);
	return pid;
}

static void act(bool waits)
{
	pid_t pid = child(), tracer_pid = fork_or_fail();

	if (!tracer_pid)
		tracer(pid, waits);
	say("tracer", "%d", tracer_pid);
	if (!gate__collect(&attached, 1))
		fail("tracer");
	gate__open(&child_end, 1);
	gate__collect(&seen, 1);
	reap(pid, WNOHANG); /* nothing: the tracer comes first */
	hold("held");
	gate__open(&tracer_end, 1);
	if (waits) {
		gate__collect(&seen, 1);
		reap(pid, 0);
		reap(tracer_pid, 0);
	} else {
		reap(tracer_pid, 0);
		hold("let-go");
		reap(pid, 0);
	}
}

int main(int argc, char **argv)
{
	bool waits = argc > 1 && !strcmp(argv[1], "wait");

	if (!waits && (argc < 2 || strcmp(argv[1], "die")))
		usage(text);
	gate__init(&attached);
	gate__init(&seen);
	gate__init(&tracer_end);
	gate__init(&child_end);
	enter_stage();
	act(waits);
	return 0;
}
