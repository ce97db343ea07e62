/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The part of the kernel side that observes where fork calls begin and end and
 * what wait calls answer: by the kernel's functions, where only callers pay, or
 * by the system calls' tracepoints, which tax every system call of the host and
 * are therefore attached only while they are wanted. Used by kernel.c alone.
 */
#ifndef LT_DAEMON_CALLS_H
#define LT_DAEMON_CALLS_H

#include <bpf/libbpf.h>
#include <stdbool.h>

#include "event.h"
#include "pins.h"

/* What this kernel allows, best first. */
enum reach { REACH_FENTRY, REACH_KPROBE, REACH_TRACEPOINTS, REACHES };

/* The maps that both sides use, and what sizes them. */
struct calls_maps {
	const struct bpf_map *ring, *counters, *waits, *wait_calls, *fork_calls, *switches;
	__u64 wake_bytes;
	__u64 *taken; /* enum lt_bounded: what this side takes out of maps is counted there */
	struct pins *pins;
};

struct calls;

/*
 * Loads the best set of programs that the kernel allows, none better than
 * reach. Sets that tax no system call are in use from here on. Returns 0 or
 * -errno; calls_free(NULL) is allowed.
 */
int calls_new(struct calls **calls, const struct calls_maps *maps,
	      const struct bpf_object_open_opts *opts, enum reach reach);
void calls_free(struct calls *calls);

/* Whether watching taxes system calls: then calls_watch() has something to do. */
bool calls_tax(const struct calls *calls);

/* Attaches or detaches. Returns 0 or -errno. */
int calls_watch(struct calls *calls, bool watch);

/* Whether each wait call is sent as a record, not only counted. */
void calls_send_waits(struct calls *calls, bool send);

/* The hooks in use; NULL: none, now. */
const char *calls_wait_hook(const struct calls *calls);
const char *calls_fork_hook(const struct calls *calls);

/* Entries that have gone from the bounded maps to make room, so far. */
void calls_evicted(struct calls *calls, const __u64 put[LT_BOUNDED], const __u64 taken[LT_BOUNDED],
		   __u64 evicted[LT_BOUNDED]);

/* What the program of this name would send; 0: none of these. */
enum lt_kind calls_kind(const char *program);

/* The BPF object, as it is loaded. */
const void *calls_elf_bytes(size_t *size);

/* Adds runs of the programs that the kernel skipped. */
void calls_add_misses(const struct calls *calls, __u64 lost[LT_KERNEL_KINDS]);

#endif
