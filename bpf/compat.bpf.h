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
	BPF_FUNC_get_attach_cookie___lt = 174,
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

/*
 * 7adfc6c9b315 ("bpf: Add bpf_get_attach_cookie() BPF helper to access
 * bpf_cookie value", 5.15): a number that the daemon gives each uprobe.
 */
#define lt_cookie(ctx)                                                                        \
	(bpf_core_enum_value_exists(enum bpf_func_id___lt, BPF_FUNC_get_attach_cookie___lt) ? \
		 bpf_get_attach_cookie(ctx) :                                                 \
		 0)

/* dd6e10fbd9fb ("bpf: Add bpf_task_pt_regs() helper", 5.15) */

#define lt_has_task_pt_regs() \
	bpf_core_enum_value_exists(enum bpf_func_id___lt, BPF_FUNC_task_pt_regs___lt)

/*
 * Before that helper: the registers lie at the top of the kernel stack, whose
 * size is 16 KiB on both architectures in distribution kernels (THREAD_SIZE;
 * x86 has kept no padding there until FRED, 6.9).
 */
#define LT_THREAD_SIZE 16384

/* 7863dcc72d0f ("pid: allow pid_max to be set per pid namespace", 6.14): before it there is one. */
#define lt_has_pid_max() bpf_core_field_exists(struct pid_namespace, pid_max)

/* A 32-bit program's system call: its numbers and arguments are others. */
#define TS_COMPAT 0x2 /* arch/x86/include/asm/thread_info.h */
#define TIF_32BIT 22  /* arch/arm64/include/asm/thread_info.h */

#if defined(__TARGET_ARCH_x86)
#define lt_is_compat(task) (LT_READ(task, thread_info.status) & TS_COMPAT)
#else
#define lt_is_compat(task) (LT_READ(task, thread_info.flags) >> TIF_32BIT & 1)
#endif

/*
 * f1a7941243c1 ("mm: convert mm's rss stats into percpu_counter", 6.2): before
 * it an array of exact counts. What a CPU has not yet added to the sum stays in
 * its own counter, up to a batch (32 pages or twice the number of CPUs): a fork
 * that was moved between CPUs reads as so much less.
 */
struct mm_rss_stat___array {
	atomic_long_t count[4];
} __attribute__((preserve_access_index));

struct mm_struct___array {
	struct mm_rss_stat___array rss_stat;
} __attribute__((preserve_access_index));

/*
 * Where this CPU's own area lies: a per-CPU array's element is there at the
 * array's own pointer. (The symbols that would say it, such as __per_cpu_offset,
 * are not in every kernel's kallsyms.)
 */
struct lt_here {
	__u64 area;
	__u64 itself;
	char array[512]; /* the beginning of struct bpf_array */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lt_here);
} lt_here SEC(".maps");

struct bpf_array___lt {
	void *pptrs[1];
} __attribute__((preserve_access_index));

static __always_inline __u64 lt_cpu_area(void)
{
	const __u32 offset = bpf_core_field_offset(struct bpf_array___lt, pptrs);
	__u32 zero = 0;
	struct lt_here *here = bpf_map_lookup_elem(&lt_here, &zero);

	if (!here || offset > sizeof(here->array) - sizeof(__u64))
		return 0;
	if (here->area)
		return here->area;
	if (bpf_probe_read_kernel(here->array, offset + sizeof(__u64), &lt_here))
		return 0;
	*(volatile __u64 *)&here->itself = (__u64)here;
	here->area = *(volatile __u64 *)&here->itself - *(__u64 *)(here->array + offset);
	return here->area;
}

#define MM_FILEPAGES 0 /* include/linux/mm_types_task.h; 2 counts what is swapped out */
#define MM_ANONPAGES 1
#define MM_SHMEMPAGES 3
#define MM_COUNTERS 4

/* Made in one piece, mostly (kernel/fork.c, mm_init()): then one read tells all. */
static __always_inline __s64 lt_rss_here(struct mm_struct *mm)
{
	void *first = mm->rss_stat[0].counters, *last = mm->rss_stat[MM_COUNTERS - 1].counters;
	__u64 area = lt_cpu_area();
	__s32 here[MM_COUNTERS] = {};

	if (!area)
		return 0;
	if (last - first == (MM_COUNTERS - 1) * sizeof(here[0])) {
		bpf_probe_read_kernel(here, sizeof(here), first + area);
	} else {
		bpf_probe_read_kernel(&here[MM_FILEPAGES], sizeof(here[0]), first + area);
		bpf_probe_read_kernel(&here[MM_ANONPAGES], sizeof(here[0]),
				      mm->rss_stat[MM_ANONPAGES].counters + area);
		bpf_probe_read_kernel(&here[MM_SHMEMPAGES], sizeof(here[0]), last + area);
	}
	return (__s64)here[MM_FILEPAGES] + here[MM_ANONPAGES] + here[MM_SHMEMPAGES];
}

/* Loads of two kinds, or clang makes one of them, with an offset that one kernel lacks. */
#define LT_RSS_OF_ARRAY(mm, i) \
	BPF_CORE_READ((struct mm_struct___array *)(mm), rss_stat.count[i].counter)

static __always_inline __u64 lt_rss_pages(struct mm_struct *mm)
{
	__s64 pages;

	if (bpf_core_field_exists(((struct mm_struct___array *)mm)->rss_stat.count))
		pages = LT_RSS_OF_ARRAY(mm, MM_FILEPAGES) + LT_RSS_OF_ARRAY(mm, MM_ANONPAGES) +
			LT_RSS_OF_ARRAY(mm, MM_SHMEMPAGES);
	else
		pages = mm->rss_stat[MM_FILEPAGES].count + mm->rss_stat[MM_ANONPAGES].count +
			mm->rss_stat[MM_SHMEMPAGES].count + lt_rss_here(mm);
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

/* Of these only so much is asked for; the first is private to fs/. */
struct mnt_namespace___lt {
	struct ns_common ns;
} __attribute__((preserve_access_index));

struct fs_struct___lt {
	struct path root;
} __attribute__((preserve_access_index));

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
