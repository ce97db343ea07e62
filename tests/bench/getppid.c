// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: getppid CALLS
 *
 * What one system call that does next to nothing takes: prints the median over batches of calls, in
 * nanoseconds with a fraction. Where any system call is traced, this one gets slower.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"

#define BATCH_CALLS 10000

static uint64_t time_batch(void)
{
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC);

	for (int i = 0; i < BATCH_CALLS; i++)
		syscall(SYS_getppid);
	return clock_ns(CLOCK_MONOTONIC) - begin_ns;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	unsigned long batches = argc == 2 ? strtoul(argv[1], NULL, 10) / BATCH_CALLS : 0;
	uint64_t *took_ns = calloc(batches + 1, sizeof(*took_ns));
	size_t middle = batches / 2;
	double median_ns;

	if (!batches || !took_ns) {
		fprintf(stderr, "usage: getppid CALLS (at least %d)\n", BATCH_CALLS);
		return 2;
	}
	for (unsigned long i = 0; i < batches; i++)
		took_ns[i] = time_batch();
	qsort(took_ns, batches, sizeof(*took_ns), by_size);
	median_ns = (double)took_ns[middle];
	printf("%.1f\n", median_ns / BATCH_CALLS);
	free(took_ns);
	return 0;
}
