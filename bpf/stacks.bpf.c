// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Where a leaking parent forks: its user registers and the top of its stack, as
 * they are in the fork call. Attached only while there is such a parent, and
 * nothing is looked up for others but their pid. Unwinding is up to whoever
 * looks: frame pointers do not get through a C library's fork.
 * Maps of lifetrace.bpf.c: the ring and the counters.
 */
#include "task.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* tgid -> start_boottime */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LT_STACK_PARENTS);
	__type(key, __u32);
	__type(value, __u64);
} lt_stack_parents SEC(".maps");

static __always_inline struct pt_regs *user_regs(struct task_struct *task)
{
	if (lt_has_task_pt_regs())
		return (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return (void *)BPF_CORE_READ(task, stack) + LT_THREAD_SIZE -
	       bpf_core_type_size(struct pt_regs);
}

/* In the order that DWARF numbers them. */
#if defined(__TARGET_ARCH_x86)
static __always_inline __u64 read_regs(struct lt_stack *e, struct pt_regs *regs)
{
	e->regs[0] = BPF_CORE_READ(regs, ax);
	e->regs[1] = BPF_CORE_READ(regs, dx);
	e->regs[2] = BPF_CORE_READ(regs, cx);
	e->regs[3] = BPF_CORE_READ(regs, bx);
	e->regs[4] = BPF_CORE_READ(regs, si);
	e->regs[5] = BPF_CORE_READ(regs, di);
	e->regs[6] = BPF_CORE_READ(regs, bp);
	e->regs[7] = BPF_CORE_READ(regs, sp);
	e->regs[8] = BPF_CORE_READ(regs, r8);
	e->regs[9] = BPF_CORE_READ(regs, r9);
	e->regs[10] = BPF_CORE_READ(regs, r10);
	e->regs[11] = BPF_CORE_READ(regs, r11);
	e->regs[12] = BPF_CORE_READ(regs, r12);
	e->regs[13] = BPF_CORE_READ(regs, r13);
	e->regs[14] = BPF_CORE_READ(regs, r14);
	e->regs[15] = BPF_CORE_READ(regs, r15);
	e->regs[16] = BPF_CORE_READ(regs, ip);
	e->reg_count = 17;
	return e->regs[7];
}
#elif defined(__TARGET_ARCH_arm64)
static __always_inline __u64 read_regs(struct lt_stack *e, struct pt_regs *regs)
{
	BPF_CORE_READ_INTO(&e->regs, regs, user_regs.regs); /* x0 to x30 */
	e->regs[31] = BPF_CORE_READ(regs, user_regs.sp);
	e->regs[32] = BPF_CORE_READ(regs, user_regs.pc);
	e->reg_count = 33;
	return e->regs[31];
}
#else
#error "unknown architecture"
#endif

/* A part never reaches over the end of a page: it is there as a whole, or not at all. */
static __always_inline bool emit_part(const struct lt_id *id, __u64 address)
{
	struct lt_stack_part *e = lt_reserve_spare(LT_STACK_PART, sizeof(*e));

	if (!e)
		return false;
	e->id = *id;
	e->address = address;
	if (bpf_probe_read_user(e->bytes, sizeof(e->bytes), (void *)address)) {
		bpf_ringbuf_discard(e, 0);
		return false;
	}
	lt_submit(e);
	return true;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(on_newtask_stack, struct task_struct *child, __u64 clone_flags)
{
	struct task_struct *parent = child->real_parent, *task = lt_current();
	__u32 tgid = parent->tgid;
	const __u64 *start_ns;
	struct lt_stack *e;
	struct lt_id id;
	__u64 sp;

	if (clone_flags & CLONE_THREAD)
		return 0;
	start_ns = bpf_map_lookup_elem(&lt_stack_parents, &tgid);
	if (!start_ns || *start_ns != parent->group_leader->start_boottime || lt_is_compat(task))
		return 0;
	e = lt_reserve_spare(LT_STACK, sizeof(*e));
	if (!e)
		return 0;
	lt_id_of(&e->id, child);
	id = e->id;
	e->parent.start_ns = *start_ns;
	e->parent.pid = tgid;
	e->tid = (__u32)bpf_get_current_pid_tgid();
	sp = read_regs(e, user_regs(task));
	lt_submit(e);
	sp &= ~(__u64)(LT_STACK_PART_BYTES - 1);
	for (int i = 0; i < LT_STACK_PARTS; i++)
		if (!emit_part(&id, sp + (__u64)i * LT_STACK_PART_BYTES))
			break;
	return 0;
}
