// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: cow copy|reuse|touch ROUNDS
 *
 * What a write to a page takes: one that a child shares and that is copied for it, one that a child
 * shared until it ended, or one that was never touched (a fault, but no copy-on-write). Prints the
 * median over rounds of PAGES writes each, in nanoseconds with a fraction.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGES 4096

static size_t page_bytes;

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

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

static uint64_t write_all(char *pages)
{
	uint64_t begin_ns = clock_ns();

	for (size_t i = 0; i < PAGES; i++)
		((volatile char *)pages)[i * page_bytes] = 1;
	return clock_ns() - begin_ns;
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

static uint64_t time_touch(char *pages)
{
	return write_all(pages);
}

static uint64_t time_copy(char *pages)
{
	uint64_t took_ns;
	pid_t pid;

	write_all(pages);
	pid = share();
	took_ns = write_all(pages);
	end(pid);
	return took_ns;
}

static uint64_t time_reuse(char *pages)
{
	write_all(pages);
	end(share());
	return write_all(pages);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double time_rounds(uint64_t (*time_one)(char *pages), size_t rounds)
{
	uint64_t *took_ns = calloc(rounds, sizeof(*took_ns));
	size_t middle = rounds / 2;
	double median_ns;

	if (!took_ns)
		exit(1);
	for (size_t i = 0; i < rounds; i++) {
		char *pages = new_pages();

		took_ns[i] = time_one(pages);
		munmap(pages, PAGES * page_bytes);
	}
	qsort(took_ns, rounds, sizeof(*took_ns), by_size);
	median_ns = (double)took_ns[middle] / PAGES;
	free(took_ns);
	return median_ns;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint64_t (*time_one)(char *pages);
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
