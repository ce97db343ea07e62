/*
 * usage: traced wait|die|thread - a child that dies while a tracer holds it
 *
 * The tracer is the child's sibling. wait: it waits for the child, and only
 * then the real parent can; die: it dies without having waited; thread: it holds
 * a thread of the child, which is not the leader, and then waits for that.
 */
#include "cast.h"

#include <sys/mman.h>
#include <sys/ptrace.h>

static const char text[] = "wait|die|thread";
static struct gate attached, seen, tracer_end, child_end, born;
static pid_t *thread_id; /* shared; NULL: the leader is traced */

/* Looks without reaping until the tracee is a zombie. */
static void look_at_zombie(pid_t pid)
{
	siginfo_t info;

	while (waitid(P_PID, pid, &info, WEXITED | WNOWAIT | __WALL) < 0 && errno == EINTR)
		;
}

static void tracer(pid_t pid, bool waits)
{
	int raw = 0;

	gate__enter(&child_end);
	if (thread_id) {
		gate__pass(&born);
		pid = *thread_id;
	}
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		fail("PTRACE_SEIZE");
	gate__open(&attached, 1);
	look_at_zombie(pid);
	gate__open(&seen, 1);
	gate__pass(&tracer_end);
	if (!waits)
		_exit(16);
	if (waitpid(pid, &raw, __WALL) == pid)
		say("tracer.raw", "0x%x", raw);
	gate__open(&seen, 1);
	hold("traced");
	_exit(15);
}

static void *be_traced(void *unused)
{
	*thread_id = gettid_now();
	gate__open(&born, 1);
	for (;;)
		pause();
	return unused;
}

static pid_t child(void)
{
	pid_t pid = fork_or_fail();
	pthread_t thread;

	if (!pid) {
		if (thread_id && pthread_create(&thread, NULL, be_traced, NULL))
			fail("pthread_create");
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
	bool of_thread = argc > 1 && !strcmp(argv[1], "thread");
	bool waits = of_thread || (argc > 1 && !strcmp(argv[1], "wait"));

	if (!waits && (argc < 2 || strcmp(argv[1], "die")))
		usage(text);
	gate__init(&attached);
	gate__init(&seen);
	gate__init(&tracer_end);
	gate__init(&child_end);
	gate__init(&born);
	if (of_thread)
		thread_id = mmap(NULL, sizeof(*thread_id), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (thread_id == MAP_FAILED)
		fail("mmap");
	enter_stage();
	act(waits);
	return 0;
}
