/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a task_struct tells. The pointers are BTF pointers (tracepoint
 * arguments): plain loads, no helper calls.
 */
#ifndef LT_TASK_BPF_H
#define LT_TASK_BPF_H

#include "emit.bpf.h"
#include <bpf/bpf_tracing.h>

#define SIGCHLD 17
#define SIGCONT 18
#define SIGSTOP 19
#define SIGTSTP 20
#define SIGTTIN 21
#define SIGTTOU 22
#define SIG_DFL 0
#define SIG_IGN 1
#define SA_NOCLDSTOP 0x1 /* include/uapi/asm-generic/signal.h, also x86 */
#define SA_NOCLDWAIT 0x2
#define SA_RESTART 0x10000000

#define CLD_EXITED 1 /* include/uapi/asm-generic/siginfo.h */
#define CLD_DUMPED 3
#define CLD_STOPPED 5

#define CLONE_VM 0x100 /* include/uapi/linux/sched.h */
#define CLONE_THREAD 0x10000
#define CSIGNAL 0xff

#define JOBCTL_STOP_SIGMASK 0xffff /* include/linux/sched/jobctl.h: of the last group stop */

#define PF_EXITING 0x4 /* include/linux/sched.h */
#define PF_KTHREAD 0x200000
#define EXIT_ZOMBIE 0x20

#define SIGNAL_STOP_STOPPED 0x1 /* include/linux/sched/signal.h */
#define SIGNAL_GROUP_EXIT 0x4
#define SIGNAL_CLD_CONTINUED 0x20

static __always_inline void lt_id_of(struct lt_id *id, struct task_struct *task)
{
	id->start_ns = task->group_leader->start_boottime;
	id->pid = task->tgid;
}

static __always_inline bool lt_is_leader(struct task_struct *task)
{
	return task->pid == task->tgid;
}

static __always_inline __u32 lt_ns_level(struct task_struct *task)
{
	return task->thread_pid->level;
}

/* The task's pid as the namespace at that level counts; 0 where it has none. */
static __always_inline __u32 lt_pid_at(struct task_struct *task, __u32 level)
{
	struct pid *pid = task->thread_pid;
	volatile __u32 nr = task->pid; /* or clang merges two loads of different kinds */

	if (level) {
		nr = 0;
		if (level <= pid->level)
			bpf_probe_read_kernel((void *)&nr, sizeof(nr), lt_upid(pid, level));
	}
	return nr;
}

/*
 * subsys[] of a css_set at an index that only the running kernel knows: of the
 * cases one is left when the programs are loaded, and is a plain load.
 */
static __always_inline struct cgroup_subsys_state *lt_css(struct css_set *set, int subsys)
{
#define LT_CASE(n) \
	case n:    \
		return set->subsys[n];

	switch (subsys) {
		LT_CASE(0)
		LT_CASE(1)
		LT_CASE(2)
		LT_CASE(3)
		LT_CASE(4)
		LT_CASE(5)
		LT_CASE(6)
		LT_CASE(7)
		LT_CASE(8)
		LT_CASE(9)
		LT_CASE(10)
		LT_CASE(11)
		LT_CASE(12)
		LT_CASE(13)
	}
#undef LT_CASE
	return NULL;
}

/*
 * cgroup2 where the process has a place in it; otherwise (legacy and hybrid
 * hosts, whose container engines use v1 only) the pids controller's hierarchy.
 */
static __always_inline void lt_cgroup_of(struct lt_cgroup_id *id, struct task_struct *task)
{
	struct css_set *set = task->cgroups;
	struct cgroup *cgroup = set->dfl_cgrp;
	struct cgroup_subsys_state *css;

	id->reserved = 0;
	id->id = cgroup->kn->id;
	id->hierarchy = 0;
	if (cgroup->level)
		return;
	css = lt_css(set, lt_pids_subsys());
	if (!css)
		return;
	cgroup = css->cgroup;
	id->id = cgroup->kn->id;
	id->hierarchy = cgroup->root->hierarchy_id;
}

static __always_inline __u32 lt_uid_of(struct task_struct *task)
{
	return task->cred->uid.val;
}

/* Two loads; the helper that copies bytes costs more than all else of a record. */
static __always_inline void lt_comm_of(char comm[LT_COMM_LEN], struct task_struct *task)
{
	const __u64 *from = (const __u64 *)task->comm;
	__u64 *to = (__u64 *)comm;

	to[0] = from[0];
	to[1] = from[1];
}

/* kernel/exit.c, wait_task_zombie(): the status that wait reports. */
static __always_inline __s32 lt_exit_code(struct task_struct *leader)
{
	struct signal_struct *signal = leader->signal;

	return signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : leader->exit_code;
}

static __always_inline struct k_sigaction *lt_sigchld_action(struct task_struct *task)
{
	return &task->sighand->action[SIGCHLD - 1];
}

#endif
