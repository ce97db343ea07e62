/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel side as the daemon sees it: loads and attaches the BPF programs,
 * drains the ring, runs the iterator, reads the maps. Owns all BPF objects.
 * Never logs: what went wrong is in kernel_error().
 */
#ifndef LT_KERNEL_H
#define LT_KERNEL_H

#include <stdbool.h>

#include "cow.h"
#include "event.h"
#include "pins.h"
#include "source.h"

struct kernel;

struct kernel_options {
	uint64_t ring_bytes; /* a power of two, at least a page */
	unsigned best_hook;  /* 0: fentry, 1: kprobe, 2: tracepoints only */
	const char *btf;     /* a file instead of /sys/kernel/btf/vmlinux; NULL or "" */
	enum cow_set cow;
	uint64_t cow_max; /* processes whose copies are counted at a time */
	uint64_t heartbeat_ns;
	struct pins *pins; /* what outlives the daemon, and what one left; NULL: nothing */
};

/* One need and the kernel hook that serves it, or "off: REASON". */
struct kernel_hook {
	const char *what;
	char value[128];
};

#define KERNEL_HOOKS 9

/*
 * Loads and attaches. On return 0 events are gathering in the ring. Otherwise
 * -errno and *kernel is NULL; kernel_error() says why, in words.
 */
int kernel_open(struct kernel **kernel, const struct kernel_options *options);
void kernel_close(struct kernel *kernel);
const char *kernel_error(void);

/*
 * Whether passes and looks at maps and programs work with the rights that there
 * are now: from 5.19 on (c8644cd0efe7) they need none, unless a host says otherwise.
 */
bool kernel_works(const struct kernel *kernel);

const struct kernel_hook *kernel_hooks(const struct kernel *kernel);

/* Whether the ends of calls can only be watched by taxing every system call. */
bool kernel_calls_tax(const struct kernel *kernel);

/* Whether an io_uring can wait for children: nothing tells of those calls. */
bool kernel_io_uring_waits(const struct kernel *kernel);

/*
 * Where they tax: watches the ends of fork and wait calls, or does so no more.
 * why_not stands in the hooks' values while they are off. Returns 0 or -errno.
 */
int kernel_watch_calls(struct kernel *kernel, bool watch, const char *why_not);

/* Whether each wait call comes as a record of its own, and is not only counted. */
void kernel_send_wait_calls(struct kernel *kernel, bool send);

/* The map of counters; for programs that are loaded besides. */
int kernel_counters_fd(const struct kernel *kernel);

/* Whether a uprobe can bring a number along that it was given (lt_cookie() in compat.bpf.h). */
bool kernel_has_cookies(const struct kernel *kernel);

/* Readable (edge-triggered) when the ring was empty, and when it fills fast. */
int kernel_ring_fd(const struct kernel *kernel);

/*
 * Goes on from where another daemon was: what it had received, and its last
 * record from a ring, which may still lie there.
 */
void kernel_resume(struct kernel *kernel, const struct lt_ledger *ledger);
/* The same of this one: all but what was told as lost, which is the caller's. */
void kernel_fill_ledger(const struct kernel *kernel, struct lt_ledger *ledger);

/*
 * Hands over what lies in the rings of programs that these replace, and removes
 * what is left of them. To be called once, before the first kernel_drain().
 */
void kernel_drain_former(struct kernel *kernel, record_fn fn, void *user);

/*
 * The daemon lives: pinned programs work for heartbeat_ns more. Returns since
 * when (boot time) none had worked, for want of a daemon, or 0.
 */
uint64_t kernel_beat(struct kernel *kernel, uint64_t heartbeat_ns);

/*
 * Hands over at most budget records. Returns how many; fewer than budget: the
 * ring was empty.
 */
size_t kernel_drain(struct kernel *kernel, record_fn fn, void *user, size_t budget);

/* Most bytes that a drain found in the ring. */
uint64_t kernel_ring_highest(const struct kernel *kernel);

/* One pass over all processes: an LT_SCAN record each. Returns 0 or -errno. */
int kernel_scan(struct kernel *kernel, record_fn fn, void *user);

/*
 * A struct lt_ns_task for each task in pid namespaces that bound pids more tightly than the host
 * does (each has a pid_max of its own from Linux 6.14 on), with the one that has the fewest left.
 * Returns 0 or -errno; what was handed over before that holds.
 */
int kernel_each_in_namespaces(const struct kernel *kernel, record_fn fn, void *user);

/*
 * What the kernel side has sent and lost so far, by kind: records that the ring
 * had no room for, and runs of a program that the kernel skipped.
 */
void kernel_counts(const struct kernel *kernel, __u64 sent[LT_KERNEL_KINDS],
		   __u64 lost[LT_KERNEL_KINDS]);

/* Calls fn with an LT_WAITS record for each process that ever waited and lives. */
void kernel_waits(struct kernel *kernel, record_fn fn, void *user);

/* See cow_counts_read(); nothing where COW is not observed. */
void kernel_cows(struct kernel *kernel, bool all, record_fn fn, void *user);

/* See cow_look_at(). Returns 0, or -EOPNOTSUPP where COW is not observed. */
int kernel_look_at_cow(struct kernel *kernel, uint32_t pid);

#endif
