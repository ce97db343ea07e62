/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copy-on-write as the kernel side observes it: chooses and loads one of the
 * two sets of programs in bpf/cow.bpf.c. Owns its BPF object; the maps that it
 * shares are the caller's. Never logs: why nothing is observed is in the hook.
 */
#ifndef LT_COW_H
#define LT_COW_H

#include <linux/types.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h" /* also what the skeleton needs */
#include "pins.h"

struct btf;
struct cow;

enum cow_set { COW_AUTO, COW_OFF, COW_FAULTS, COW_COPIES };

/* What cow_open() needs; the descriptors are of maps and stay the caller's. */
struct cow_options {
	enum cow_set wanted;
	const char *btf_path;  /* NULL: the kernel's own */
	const struct btf *btf; /* the same, parsed */
	int ring_fd, counters_fd, cows_fd, slots_fd, changes_fd;
	uint64_t wake_bytes;
	struct pins *pins;
};

#define COW_HOOK_SIZE 128

/*
 * Loads and attaches the first set that is wanted and that the kernel allows.
 * hook gets its name, or "off: REASON" and NULL is returned.
 */
struct cow *cow_open(const struct cow_options *options, char hook[COW_HOOK_SIZE]);
void cow_close(struct cow *cow);

/* The BPF object, as it is loaded. */
const void *cow_elf_bytes(size_t *size);

/* Has every fault of this process sent (LT_COW_FAULT); 0: of none. */
void cow_look_at(struct cow *cow, uint32_t pid);

#endif
