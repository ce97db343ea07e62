/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stacks of fork calls: owns the program that copies them, which is attached
 * only while there are parents to copy them of.
 */
#ifndef LT_STACKS_H
#define LT_STACKS_H

#include <stddef.h>
#include <stdint.h>

#include "event.h"

struct stacks;

struct stacks_options {
	int ring_fd, counters_fd; /* maps of the kernel side, see kernel.h */
	uint64_t ring_bytes;
	const char *btf; /* as in kernel_options */
};

/* Loads the program; nothing is attached. Returns 0 or -errno. */
int stacks_open(struct stacks **stacks, const struct stacks_options *options);
void stacks_close(struct stacks *stacks);

/* From here on of these parents (sorted here), and of no others; beyond LT_STACK_PARENTS they are left out. */
int stacks_of(struct stacks *stacks, struct lt_id *parents, size_t count);

#endif
