/*
 * usage: threads exit|raw [N [ROUNDS]] - a child of N threads that all end at once
 *
 * exit: each thread calls _exit with a number of its own, the first one counts;
 * raw: each ends itself alone, the leader with 77 (the last thread's number counts
 * on newer kernels, the leader's on older ones). One child after the other.
 */
#include "cast.h"

static const char text[] = "exit|raw [N [ROUNDS]]";
static pthread_barrier_t barrier;
static int call; /* SYS_exit or SYS_exit_group */

static void *end_at_once(void *status)
{
	pthread_barrier_wait(&barrier);
	syscall(call, (int)(intptr_t)status);
	return NULL;
}

static void child(int n)
{
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, n);
	for (int i = 1; i < n; i++)
		if (pthread_create(&thread, NULL, end_at_once, (void *)(intptr_t)i))
			_exit(CAST_FAILED);
	end_at_once((void *)(intptr_t)77);
}

int main(int argc, char **argv)
{
	bool raw = argc > 1 && !strcmp(argv[1], "raw");
	int n = argc > 2 ? number(argv[2], text) : 48;
	int rounds = argc > 3 ? number(argv[3], text) : 1;

	if (argc < 2 || (!raw && strcmp(argv[1], "exit")))
		usage(text);
	enter_stage();
	call = raw ? SYS_exit : SYS_exit_group;
	while (rounds-- > 0) {
		pid_t pid = fork_or_fail();

		if (!pid)
			child(n);
		say("child", "%d", pid);
		reap(pid, 0);
	}
	return 0;
}
