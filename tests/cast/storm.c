/*
 * usage: storm FORKS - so many children, half of them by each of two processes, as fast as they go
 *
 * Every fourth has a second thread. They exit with 0 to 63, and are reaped.
 */
#include "cast.h"

static const char text[] = "FORKS";

static void *do_nothing(void *arg)
{
	return arg;
}

static void live(int n)
{
	pthread_t thread;

	if (n % 4 == 0 && pthread_create(&thread, NULL, do_nothing, NULL))
		_exit(CAST_FAILED);
	_exit(n % 64);
}

static void bear(int n)
{
	for (int i = 0; i < n; i++) {
		pid_t pid = fork_or_fail();
		int raw;

		if (!pid)
			live(i);
		if (waitpid(pid, &raw, 0) != pid || !WIFEXITED(raw) || WEXITSTATUS(raw) != i % 64)
			fail("waitpid");
	}
}

int main(int argc, char **argv)
{
	int forks = argc == 2 ? number(argv[1], text) : 0;
	pid_t other;

	if (forks < 2)
		usage(text);
	enter_stage();
	hold("calm");
	other = fork_or_fail();
	bear(forks / 2);
	if (!other)
		_exit(0);
	reap(other, 0);
	hold("over");
	return 0;
}
