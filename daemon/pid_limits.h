/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many more tasks the kernel lets a process make, as an LT_LIMITS record:
 * what copy_process() and alloc_pid() measure a fork by (kernel/fork.c,
 * kernel/pid.c, kernel/cgroup/pids.c). A zombie is a task until it is reaped.
 */
#ifndef LT_PID_LIMITS_H
#define LT_PID_LIMITS_H

#include "event.h"
#include "source.h"

struct limits;
struct kernel;

/*
 * What holds for the whole host, read now: once for all processes that are
 * asked for in a row. The kernel is the caller's. NULL: no memory.
 */
struct limits *limits_begin(const struct kernel *kernel);
void limits_end(struct limits *limits);

/* Tasks that the host has room for still; LT_NO_LIMIT: that cannot be read. */
uint64_t limits_left_on_host(void);

/* Tasks of the real user id uid; called only where RLIMIT_NPROC binds the process. */
typedef uint64_t (*limits_count_fn)(void *user, uint32_t uid);

/*
 * Hands over the process's record, or none if it is gone. What cannot be read
 * counts as no limit.
 */
void limits_read(struct limits *limits, struct lt_id id, uint64_t now_ns, limits_count_fn tasks_of,
		 record_fn fn, void *user);

#endif
