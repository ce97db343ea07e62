// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: cow copy|reuse|touch ROUNDS
 *
 * What a write to a page takes: one that a child shares and that is copied for it, one that a child
 * shared until it ended, or one that was never touched (a fault, but no copy-on-write). Prints
 * nanoseconds with a fraction: that of the fastest tenth of all runs of RUN writes, which nothing
 * else interrupted. A round is PAGES writes, so that what is written to is not in the cache.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define PAGES 4096
#define RUN 16
#define RUNS (PAGES / RUN)

static size_t page_bytes;

static char *new_pages(void)
{
	char *pages = mmap(NULL, PAGES * page_bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED) {
		perror("cow: mmap");
		exit(1);
	}
	madvise(pages, PAGES * page_bytes, MADV_NOHUGEPAGE);
	return pages;
}

static void write_all(char *pages, uint64_t took_ns[RUNS])
{
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC), end_ns;

	for (size_t i = 0; i < RUNS; i++, begin_ns = end_ns) {
		for (size_t j = i * RUN; j < (i + 1) * RUN; j++)
			((volatile char *)pages)[j * page_bytes] = 1;
		end_ns = clock_ns(CLOCK_MONOTONIC);
		took_ns[i] = end_ns - begin_ns;
	}
}

static pid_t share(void)
{
	pid_t pid = fork();

	if (pid < 0) {
		perror("cow: fork");
		exit(1);
	}
	if (!pid)
		for (;;)
			pause();
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void time_touch(char *pages, uint64_t took_ns[RUNS])
{
	write_all(pages, took_ns);
}

static void time_copy(char *pages, uint64_t took_ns[RUNS])
{
	pid_t pid;

	write_all(pages, took_ns);
	pid = share();
	write_all(pages, took_ns);
	end(pid);
}

static void time_reuse(char *pages, uint64_t took_ns[RUNS])
{
	write_all(pages, took_ns);
	end(share());
	write_all(pages, took_ns);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double time_rounds(void (*time_one)(char *pages, uint64_t took_ns[RUNS]), size_t rounds)
{
	size_t runs = rounds * RUNS, fastest = (runs + 9) / 10;
	uint64_t *took_ns = calloc(runs, sizeof(*took_ns)), sum_ns = 0;

	if (!took_ns)
		exit(1);
	for (size_t i = 0; i < rounds; i++) {
		char *pages = new_pages();

		time_one(pages, took_ns + i * RUNS);
		munmap(pages, PAGES * page_bytes);
	}
	qsort(took_ns, runs, sizeof(*took_ns), by_size);
	for (size_t i = 0; i < fastest; i++)
		sum_ns += took_ns[i];
	free(took_ns);
	return (double)sum_ns / (double)fastest / RUN;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*time_one)(char *pages, uint64_t took_ns[RUNS]);
	} kinds[] = { { "copy", time_copy }, { "reuse", time_reuse }, { "touch", time_touch } };
	size_t rounds = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;

	page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	for (size_t i = 0; rounds && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(argv[1], kinds[i].name))
			continue;
		printf("%.1f\n", time_rounds(kinds[i].time_one, rounds));
		return 0;
	}
	fputs("usage: cow copy|reuse|touch ROUNDS\n", stderr);
	return 2;
}
