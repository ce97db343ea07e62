// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Exact reaps where the kernel allows more than tracepoints: release_task() is
 * called by the reaper itself (or by the dying task, if it is autoreaped).
 * One of the two programs is loaded. The maps are lifetrace.bpf.c's.
 */
#include "task.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline int on_release(struct task_struct *task)
{
	struct task_struct *current = (void *)bpf_get_current_task();
	__u32 tgid = BPF_CORE_READ(task, tgid);
	struct lt_release *e;

	if (!lt_works() || BPF_CORE_READ(task, pid) != tgid)
		return 0;
	e = lt_reserve(LT_RELEASE, sizeof(*e));
	if (!e)
		return 0;
	e->id.start_ns = BPF_CORE_READ(task, start_boottime);
	e->id.pid = tgid;
	e->by.pid = bpf_get_current_pid_tgid() >> 32;
	e->by.start_ns = BPF_CORE_READ(current, group_leader, start_boottime);
	lt_submit(e);
	return 0;
}

SEC("fentry/release_task")
int BPF_PROG(on_release_fentry, struct task_struct *task)
{
	return on_release(task);
}

SEC("kprobe/release_task")
int BPF_KPROBE(on_release_kprobe, struct task_struct *task)
{
	return on_release(task);
}
