/*
 * usage: batch N [ROUNDS] - a parent that lets N children die, then reaps them all, ROUNDS times
 *
 * The next batch is dead before this program holds again after a reaping.
 */
#include "cast.h"

static const char text[] = "N [ROUNDS]";

static void make_batch(int n)
{
	while (n-- > 0) {
		pid_t pid = fork_or_fail();

		if (!pid)
			_exit(1);
		say("child", "%d", pid);
		await_death(pid);
	}
}

static void reap_batch(int n)
{
	while (n-- > 0)
		reap(-1, 0);
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? number(argv[1], text) : 0;
	int rounds = argc > 2 ? number(argv[2], text) : 3;

	if (n < 1)
		usage(text);
	enter_stage();
	while (rounds-- > 0) {
		make_batch(n);
		hold("full");
		reap_batch(n);
	}
	say("empty_ns", "%llu", (unsigned long long)boottime_ns());
	hold("empty");
	return 0;
}
