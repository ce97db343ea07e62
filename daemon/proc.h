/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What only /proc and cgroupfs know, as records: the command lines of
 * processes that were there before the daemon, how the threads of a process
 * stand, and the paths of cgroups.
 */
#ifndef LT_PROC_H
#define LT_PROC_H

#include <stdbool.h>
#include <sys/types.h>

#include "event.h"
#include "source.h"

/*
 * Reads what flags (LT_PROC_*) ask of a process and hands over LT_PROC,
 * LT_CGROUP and LT_TASKS records, or none if it is gone or its pid is another's by now.
 */
void proc_read(struct lt_id id, struct lt_cgroup_id cgroup, uint32_t flags, uint64_t now_ns,
	       record_fn fn, void *user);

/*
 * Hands over an LT_SCAN record made from /proc, if the process is there. For
 * those that the task iterator does not show (a hardened kernel hides some).
 * Does not tell its parent: /proc knows only a bare pid.
 */
void proc_scan(struct lt_id id, uint64_t now_ns, record_fn fn, void *user);

/*
 * Whether this process is in the initial pid namespace: only there are the
 * kernel's pids its own, and can a pid be looked for.
 */
bool proc_in_initial_pidns(void);

/*
 * How the /proc that is mounted here hides processes from other users (hidepid of
 * proc(5)): members of the group see all the same. Where that cannot be read, all is hidden.
 */
struct proc_hiding {
	bool hides;
	bool spares_group;
	gid_t group;
};

struct proc_hiding proc_hiding(void);

/* The directory of a process below /proc, or -1 if it is gone or its pid is another's by now. */
int proc_open(struct lt_id id);
/* At most size bytes of a file there, as a string. Returns how many, or -errno. */
ssize_t proc_read_text(int dir, const char *name, char *text, size_t size);
/* The process that a thread is of, by the thread's number; 0: there is no such thread. */
uint64_t proc_process_of(uint64_t tid);
/* How many tasks a process is: its threads; 0 if it is gone. */
uint64_t proc_threads(struct lt_id id);

/* The number of the hierarchy that the pids controller is in; 0: cgroup2 or none. */
uint32_t proc_pids_hierarchy(void);

/*
 * Hands over an LT_CGROUP record for every cgroup of the two hierarchies that
 * matter: cgroup2, and the v1 hierarchy of the pids controller.
 */
void proc_cgroups(uint64_t now_ns, record_fn fn, void *user);

#endif
