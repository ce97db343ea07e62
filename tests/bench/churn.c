// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: churn [--cpu N] [--exec PROGRAM] LIVES
 *
 * Makes LIVES lives, each a fork, an exec if PROGRAM is given, an exit and a wait, as fast as one
 * process can. Prints what a life took, in nanoseconds: that of the batch, of a few lives each, that
 * is slower than one in ten, as what else the machine does hits other batches.
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define BATCH_LIVES 20

static const char *program; /* NULL: none */

static __attribute__((noreturn)) void fail(const char *what)
{
	fprintf(stderr, "churn: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static __attribute__((noreturn)) void usage(void)
{
	fputs("usage: churn [--cpu N] [--exec PROGRAM] LIVES\n", stderr);
	exit(2);
}

static unsigned long number(const char *word)
{
	char *end;
	unsigned long n = strtoul(word, &end, 10);

	if (!*word || *end)
		usage();
	return n;
}

static void stay_on(unsigned long cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity");
}

static void live_once(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (program)
			execl(program, program, (char *)NULL);
		_exit(program ? 127 : 0);
	}
	if (pid < 0)
		fail("fork");
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid");
	if (status)
		exit(1);
}

static uint64_t time_batch(void)
{
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);

	for (int i = 0; i < BATCH_LIVES; i++)
		live_once();
	return (clock_ns(CLOCK_MONOTONIC) - begin_ns) / BATCH_LIVES;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static unsigned long parse(int argc, char **argv)
{
	static const struct option table[] = {
		{ "cpu", required_argument, NULL, 'c' },
		{ "exec", required_argument, NULL, 'e' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (option == 'c')
			stay_on(number(optarg));
		else if (option == 'e')
			program = optarg;
		else
			usage();
	}
	if (optind + 1 != argc)
		usage();
	return number(argv[optind]);
}

int main(int argc, char **argv)
{
	unsigned long batches = parse(argc, argv) / BATCH_LIVES;
	uint64_t *took_ns = calloc(batches + 1, sizeof(*took_ns));

	if (!batches)
		usage();
	if (!took_ns)
		fail("calloc");
	for (unsigned long i = 0; i < batches; i++)
		took_ns[i] = time_batch();
	qsort(took_ns, batches, sizeof(*took_ns), by_size);
	printf("%llu\n", (unsigned long long)took_ns[batches / 10]);
	free(took_ns);
	return 0;
}
