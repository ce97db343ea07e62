// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: churn [--procs N] [--cpu N] [--vfork] [--exec PROGRAM] [--pause US] LIVES
 *
 * Makes LIVES lives, each a fork (or vfork), an exec if PROGRAM is given, an exit and a wait, as fast
 * as one process (or N at once) can, or with a pause after each. Prints one line:
 *
 *	lives=N seconds=S round_trip_ns=NS cpu_ns=NS
 *
 * round_trip_ns is what a life took in the batch, of a few lives each, that is slower than one in ten:
 * what else the machine does hits other batches. It is 0 with more than one process. cpu_ns is the processor time, user and
 * system, of a life and of its parent's part in it.
 */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NSEC_PER_SEC 1000000000ULL
#define BATCH_LIVES 20

static struct {
	const char *program;
	unsigned long lives, procs, pause_us;
	int cpu;
	bool vfork;
} options = { .procs = 1, .cpu = -1 };

static __attribute__((noreturn)) void fail(const char *what)
{
	fprintf(stderr, "churn: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static __attribute__((noreturn)) void usage(void)
{
	fputs("usage: churn [--procs N] [--cpu N] [--vfork] [--exec PROGRAM] [--pause US] LIVES\n",
	      stderr);
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

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static uint64_t timeval_ns(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * NSEC_PER_SEC + (uint64_t)time->tv_usec * 1000;
}

static uint64_t cpu_ns_of(int who)
{
	struct rusage used;

	if (getrusage(who, &used))
		fail("getrusage");
	return timeval_ns(&used.ru_utime) + timeval_ns(&used.ru_stime);
}

static uint64_t cpu_ns(void)
{
	return cpu_ns_of(RUSAGE_SELF) + cpu_ns_of(RUSAGE_CHILDREN);
}

static void live_once(void)
{
	int status;
	pid_t pid;

	if (options.vfork)
		pid = vfork();
	else
		pid = fork();
	if (!pid) {
		if (options.program)
			execl(options.program, options.program, (char *)NULL);
		_exit(options.program ? 127 : 0);
	}
	if (pid < 0)
		fail("fork");
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid");
	if (status)
		exit(1);
	if (options.pause_us)
		usleep((useconds_t)options.pause_us);
}

static uint64_t time_batch(unsigned long lives)
{
	uint64_t begin_ns = clock_ns();

	for (unsigned long i = 0; i < lives; i++)
		live_once();
	return lives ? (clock_ns() - begin_ns) / lives : 0;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Returns the first decile of the batches' time per life. */
static uint64_t churn(unsigned long lives)
{
	unsigned long batches = (lives + BATCH_LIVES - 1) / BATCH_LIVES, left = lives;
	uint64_t *took_ns = calloc(batches + 1, sizeof(*took_ns)), decile_ns;

	if (!took_ns)
		fail("calloc");
	for (unsigned long i = 0; i < batches; i++) {
		unsigned long part = left < BATCH_LIVES ? left : BATCH_LIVES;

		took_ns[i] = time_batch(part);
		left -= part;
	}
	qsort(took_ns, batches, sizeof(*took_ns), by_size);
	decile_ns = took_ns[batches / 10];
	free(took_ns);
	return decile_ns;
}

/* The churning processes are no lives of their own: they are few. */
static void churn_at_once(void)
{
	for (unsigned long i = 0; i < options.procs; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail("fork");
		if (!pid) {
			churn(options.lives / options.procs);
			_exit(0);
		}
	}
	for (unsigned long i = 0; i < options.procs; i++) {
		int status;

		if (wait(&status) < 0 || status)
			exit(1);
	}
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity");
}

static void parse(int argc, char **argv)
{
	static const struct option table[] = {
		{ "procs", required_argument, NULL, 'p' }, { "cpu", required_argument, NULL, 'c' },
		{ "vfork", no_argument, NULL, 'v' },	   { "exec", required_argument, NULL, 'e' },
		{ "pause", required_argument, NULL, 'u' }, { NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (option == 'p')
			options.procs = number(optarg);
		else if (option == 'c')
			options.cpu = (int)number(optarg);
		else if (option == 'v')
			options.vfork = true;
		else if (option == 'e')
			options.program = optarg;
		else if (option == 'u')
			options.pause_us = number(optarg);
		else
			usage();
	}
	if (optind + 1 != argc || !options.procs)
		usage();
	options.lives = number(argv[optind]) / options.procs * options.procs;
}

int main(int argc, char **argv)
{
	uint64_t begin_ns, took_ns, round_trip_ns = 0;
	unsigned long lives;

	parse(argc, argv);
	lives = options.lives;
	if (!lives)
		usage();
	if (options.cpu >= 0)
		stay_on(options.cpu);
	begin_ns = clock_ns();
	if (options.procs == 1)
		round_trip_ns = churn(lives);
	else
		churn_at_once();
	took_ns = clock_ns() - begin_ns;
	printf("lives=%lu seconds=%.3f round_trip_ns=%llu cpu_ns=%llu\n", lives,
	       (double)took_ns / NSEC_PER_SEC, (unsigned long long)round_trip_ns,
	       (unsigned long long)(cpu_ns() / lives));
	return 0;
}
