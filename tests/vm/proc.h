/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's own word, by /proc: what lifetrace tells is compared with it. */
#ifndef PROC_H
#define PROC_H

#include <stdbool.h>
#include <sys/types.h>

#define PROC_PIDS_MAX 65536

struct proc_pids {
	pid_t pid[PROC_PIDS_MAX];
	int n;
};

/* A field of /proc/PID/stat by its number in proc(5), which is at least 4; -1: it is gone. */
long long proc_stat(pid_t pid, int number);

/* The host's births so far: "processes" of /proc/stat, threads among them. */
long long proc_births(void);

/* All processes that have a directory: those that live, and the zombies. */
void proc_pids(struct proc_pids *pids);

bool proc_pids_have(const struct proc_pids *pids, pid_t pid);

#endif
