/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every difference between kernels that the BPF programs must know, one entry
 * each, with the commit that made it. Decided by the running kernel's BTF when
 * the object is loaded: the branch that does not fit is dead code there.
 *
 * Range: 5.10 and newer, x86-64 and arm64.
 */
#ifndef LT_COMPAT_BPF_H
#define LT_COMPAT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/*
 * 3e816361e94a ("sched/tracepoints: Move and extend the sched_process_exit()
 * tracepoint", 6.16) gave the tracepoint the argument group_dead. Before it,
 * signal->live == 0 is the best that can be asked; two threads that exit at
 * once can both see it, and the table drops the second. Set by the daemon, by
 * the tracepoint's number of arguments in BTF.
 */
const volatile bool lt_has_group_dead = false;

#define lt_group_dead(ctx, task) \
	(lt_has_group_dead ? !!((const __u64 *)(ctx))[1] : (task)->signal->live.counter == 0)

enum bpf_func_id___lt {
	BPF_FUNC_get_current_task_btf___lt = 158,
	BPF_FUNC_task_pt_regs___lt = 175,
};

/*
 * 3ca1032ab7ab ("bpf: Implement get_current_task_btf and RET_PTR_TO_BTF_ID",
 * 5.11): the current task can be read by plain loads, not only by a helper
 * call a field. LT_READ() takes the way that there is.
 */
#define lt_has_task_btf() \
	bpf_core_enum_value_exists(enum bpf_func_id___lt, BPF_FUNC_get_current_task_btf___lt)

#define lt_current()                                      \
	(lt_has_task_btf() ? bpf_get_current_task_btf() : \
			     (struct task_struct *)bpf_get_current_task())

#define LT_READ(from, ...) \
	(lt_has_task_btf() ? ___arrow(from, __VA_ARGS__) : BPF_CORE_READ(from, __VA_ARGS__))

/* dd6e10fbd9fb ("bpf: Add bpf_task_pt_regs() helper", 5.15) */

#define lt_has_task_pt_regs() \
	bpf_core_enum_value_exists(enum bpf_func_id___lt, BPF_FUNC_task_pt_regs___lt)

/*
 * Before that helper: the registers lie at the top of the kernel stack, whose
 * size is 16 KiB on both architectures in distribution kernels (THREAD_SIZE;
 * x86 has kept no padding there until FRED, 6.9).
 */
#define LT_THREAD_SIZE 16384

/*
 * f1a7941243c1 ("mm: convert mm's rss stats into percpu_counter", 6.2): before
 * it an array of exact counts. What CPUs keep to themselves is not in count: up
 * to a batch (32 pages or twice the number of CPUs) each.
 */
struct mm_rss_stat___array {
	atomic_long_t count[4];
} __attribute__((preserve_access_index));

struct mm_struct___array {
	struct mm_rss_stat___array rss_stat;
} __attribute__((preserve_access_index));

#define MM_FILEPAGES 0 /* include/linux/mm_types_task.h; 2 counts what is swapped out */
#define MM_ANONPAGES 1
#define MM_SHMEMPAGES 3

#define lt_rss_count(mm, i)                                                                   \
	(bpf_core_field_exists(((struct mm_struct___array *)(mm))->rss_stat.count) ?          \
		 BPF_CORE_READ((struct mm_struct___array *)(mm), rss_stat.count[i].counter) : \
		 BPF_CORE_READ(mm, rss_stat[i].count))

static __always_inline __u64 lt_rss_pages(struct mm_struct *mm)
{
	__s64 pages = lt_rss_count(mm, MM_FILEPAGES);

	pages += lt_rss_count(mm, MM_ANONPAGES);
	pages += lt_rss_count(mm, MM_SHMEMPAGES);
	return pages > 0 ? pages : 0;
}

/*
 * task_struct.in_execve is not to be counted on: where it is missing, an exec
 * also sends the new name by itself, before its own record.
 */
struct task_struct___execve {
	unsigned in_execve : 1;
} __attribute__((preserve_access_index));

static __always_inline bool lt_in_execve(struct task_struct *task)
{
	struct task_struct___execve *t = (void *)task;

	if (!bpf_core_field_exists(t->in_execve))
		return false;
	return BPF_CORE_READ_BITFIELD(t, in_execve);
}

/* CONFIG_SCHED_INFO is what makes a zombie's begin known to the iterator. */
static __always_inline __u64 lt_last_arrival(struct task_struct *task)
{
	if (!bpf_core_field_exists(task->sched_info.last_arrival))
		return 0;
	return BPF_CORE_READ(task, sched_info.last_arrival);
}

/* The cgroup_subsys_id of pids differs by configuration; it is below 16. */
static __always_inline int lt_pids_subsys(void)
{
	if (!bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id))
		return -1;
	return bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
}

/*
 * b69f0aeb0689 ("pid: Replace struct pid 1-element array with flex-array",
 * 6.5): the offset of the array is all that is asked for.
 */
static __always_inline struct upid *lt_upid(struct pid *pid, __u32 level)
{
	return (void *)pid + bpf_core_field_offset(struct pid, numbers) +
	       level * bpf_core_type_size(struct upid);
}

/*
 * 5e31275cc997 ("mm: add per-VMA lock and helper functions to control it",
 * 6.4): a number that every change of the memory map moves on; a seqcount_t
 * since eb449bd96954 (6.14).
 */
struct mm_struct___seq {
	int mm_lock_seq;
} __attribute__((preserve_access_index));

static __always_inline bool lt_mm_seq(struct task_struct *task, __u32 *seq)
{
	struct mm_struct *mm = task->mm;

	*seq = 0;
	if (bpf_core_field_exists(mm->mm_lock_seq.sequence))
		*seq = mm->mm_lock_seq.sequence;
	else if (bpf_core_field_exists(((struct mm_struct___seq *)mm)->mm_lock_seq))
		*seq = BPF_CORE_READ((struct mm_struct___seq *)mm, mm_lock_seq);
	else
		return false;
	return true;
}

#endif
