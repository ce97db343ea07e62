/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The copy-on-write counts that the kernel side keeps (bpf/cow.bpf.h), as somebody
 * looks: of whom they changed since the last look. So a look costs by what happened,
 * not by how many processes there are. Never logs.
 */
#ifndef LT_COW_COUNTS_H
#define LT_COW_COUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"
#include "source.h"

struct cow_counts;

struct cow_counts_options {
	int cows_fd, slots_fd, changes_fd;  /* maps of the tracepoint set; borrowed */
	const struct lt_counters *counters; /* one per CPU; must outlive it */
	int cpus;
};

/* Returns 0, or -errno: without memory, or where the maps cannot be mapped. */
int cow_counts_open(struct cow_counts **counts, const struct cow_counts_options *options);
void cow_counts_close(struct cow_counts *counts);

/*
 * Calls fn with an LT_COWS record for each process whose counts have changed since
 * the last look; with all, for each that has any. One whose change falls together
 * with a look may come as late as the next that is of all. now_ns: the boot clock.
 */
void cow_counts_read(struct cow_counts *counts, bool all, uint64_t now_ns, record_fn fn,
		     void *user);

/*
 * How many processes lost their place to others, as far as looks have shown: all of
 * them after one of all, and nearly all after any.
 */
uint64_t cow_counts_evicted(const struct cow_counts *counts);

#endif
