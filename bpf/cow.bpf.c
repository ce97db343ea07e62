// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Copy-on-write: the write faults on present, write-protected, private pages,
 * and whether the kernel copied the page for them. Two sets of programs:
 *
 *   faults   the exceptions' tracepoints. A write to a present page begins a
 *            fault; a page that is allocated in it makes it a copy. Where it
 *            ends is not seen: it counts as a reuse until a page is allocated.
 *   copies   do_wp_page() and do_huge_pmd_wp_page(), bracketed by fentry and
 *            fexit or by kprobe and kretprobe, with the allocation in between.
 *
 * The daemon loads one of them (docs/kernel.md). The maps are lifetrace.bpf.c's.
 */
#include "cow.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The copies set, not the faults set. */
const volatile bool lt_cow_brackets = false;

/* The calling thread's; whoever else had it has counted so far. */
static __always_inline struct lt_cow_slot *take_slot(struct task_struct *task, __u32 tid)
{
	struct lt_cow_slot *slot = lt_cow_slot(tid);
	struct lt_id id;

	if (!slot || slot->tid == tid)
		return slot;
	if (slot->tid)
		lt_cow_flush(slot);
	id.start_ns = LT_READ(task, group_leader, start_boottime);
	id.pid = LT_READ(task, tgid);
	lt_cow_get(id);
	slot->tid = tid;
	slot->tgid = id.pid;
	slot->start_ns = id.start_ns;
	slot->mm = 0;
	slot->address = 0;
	slot->unsettled = 0;
	return slot;
}

static __always_inline void count(struct lt_cow_slot *slot, __s16 copies, __s16 reuses)
{
	slot->copies += copies;
	slot->reuses += reuses;
	if (slot->copies >= LT_COW_FLUSH || slot->reuses >= LT_COW_FLUSH)
		lt_cow_flush(slot);
}

/* ---- one process looked at ---- */

static __always_inline void begin_fault(struct lt_cow_slot *slot, __u64 address)
{
	slot->address = address;
	slot->pages = 0;
	if (!lt_gate.looked_at)
		slot->begin_ns = 0;
	else
		slot->begin_ns = slot->tgid == lt_gate.looked_at ? bpf_ktime_get_boot_ns() : 0;
}

static __always_inline void send_fault(const struct lt_cow_slot *slot, __u32 result,
				       __u64 duration_ns)
{
	struct lt_cow_fault *e = lt_reserve_spare(LT_COW_FAULT, sizeof(*e));

	if (!e)
		return;
	e->id.start_ns = slot->start_ns;
	e->id.pid = slot->tgid;
	e->address = slot->address;
	e->begin_ns = slot->begin_ns;
	e->duration_ns = duration_ns;
	e->tid = slot->tid;
	e->result = result;
	lt_submit(e);
}

/* ---- an allocation within the fault ---- */

#define GFP_HIGHMEM 0x2 /* include/linux/gfp_types.h: both are what GFP_HIGHUSER_MOVABLE has */
#define GFP_MOVABLE 0x8
#define GFP_HUGE_ORDER 9

/*
 * Whether the exception's registers still lie on the stack as they were: in a
 * fault that is over, other calls have been there since. A system call that
 * came after a fault in user mode has its number where an exception has -1.
 */
static __always_inline bool is_in_fault(const struct lt_cow_slot *slot)
{
#if defined(__TARGET_ARCH_x86)
	struct {
		__u64 orig_ax, ip; /* as in struct pt_regs */
	} now;
	const void *at = (const void *)slot->regs + bpf_core_field_offset(struct pt_regs, orig_ax);

	return !bpf_probe_read_kernel(&now, sizeof(now), at) && now.orig_ax == (__u64)-1 &&
	       now.ip == slot->ip;
#else
	return false;
#endif
}

static __always_inline void on_copy(struct lt_cow_slot *slot)
{
	bool is_copy = is_in_fault(slot);

	if (slot->begin_ns)
		send_fault(slot, is_copy ? LT_COW_COPY : LT_COW_REUSE, 0);
	slot->address = 0;
	if (!is_copy)
		return;
	if (!slot->is_counted && slot->unsettled)
		slot->unsettled--; /* this one is the last of them */
	count(slot, slot->pages, slot->is_counted ? -1 : 0);
}

SEC("tp_btf/mm_page_alloc")
int BPF_PROG(on_alloc, struct page *page, unsigned int order, gfp_t gfp)
{
	struct lt_cow_slot *slot;
	__u32 tid;

	if (!lt_works() || !(gfp & GFP_MOVABLE) || !(gfp & GFP_HIGHMEM) ||
	    (order && order != GFP_HUGE_ORDER))
		return 0;
	tid = bpf_get_current_pid_tgid();
	slot = lt_cow_slot(tid);
	if (!slot || !slot->address || slot->tid != tid || !page)
		return 0;
	slot->pages = order ? 1 << GFP_HUGE_ORDER : 1;
	if (!lt_cow_brackets)
		on_copy(slot);
	return 0;
}

/* ---- the faults set ---- */

#define VM_WRITE 0x2 /* include/linux/mm.h */
#define VM_SHARED 0x8
#define VM_MAYSHARE 0x80
#define VM_UFFD_WP 0x1000
#define VM_HUGETLB 0x400000

#if defined(__TARGET_ARCH_x86)

#define PF_PROT 0x1 /* arch/x86/include/asm/trap_pf.h */
#define PF_WRITE 0x2
#define PF_PK 0x20

struct area {
	__u64 start, end;
	bool is_private;
};

static long on_area(struct task_struct *task, struct vm_area_struct *vma, void *context)
{
	struct area *area = context;
	__u64 flags = vma->vm_flags;

	area->start = vma->vm_start;
	area->end = vma->vm_end;
	area->is_private = flags & VM_WRITE &&
			   !(flags & (VM_SHARED | VM_MAYSHARE | VM_UFFD_WP | VM_HUGETLB));
	return 0;
}

#define EBUSY 16 /* include/uapi/asm-generic/errno-base.h */

enum privacy { NOT_KNOWN, PRIVATE, NOT_PRIVATE };

static __always_inline bool is_in_area(const struct lt_cow_slot *slot, __u64 address)
{
	return address >= slot->area_begin && address < slot->area_end;
}

static __always_inline void change_areas(struct lt_cow_slot *slot)
{
	__u64 begin = slot->area_begin, end = slot->area_end;
	__u8 is_private = slot->is_private;

	slot->area_begin = slot->other_begin;
	slot->area_end = slot->other_end;
	slot->is_private = slot->other_is_private;
	slot->other_begin = begin;
	slot->other_end = end;
	slot->other_is_private = is_private;
}

/*
 * Interrupts are off here: the map's lock is given back by an interrupt of its
 * own, which is dear, and one for all BPF programs of the CPU. Who needs it when
 * another did so in this fault is refused, as is who finds the lock taken.
 */
static __always_inline enum privacy look_up_area(struct lt_cow_slot *slot, struct task_struct *task,
						 __u64 address)
{
	struct area area = {};
	long err = bpf_find_vma(task, address, on_area, &area, 0);

	if (err)
		return err == -EBUSY ? NOT_KNOWN : NOT_PRIVATE;
	slot->area_begin = area.start;
	slot->area_end = area.end;
	slot->is_private = area.is_private;
	return area.is_private ? PRIVATE : NOT_PRIVATE;
}

/* In what area the address lies. The last two are remembered until the memory map changes. */
static __always_inline enum privacy find_area(struct lt_cow_slot *slot, struct task_struct *task,
					      __u64 address)
{
	__u64 mm = (__u64)task->mm;
	__u32 seq;

	if (!mm)
		return NOT_PRIVATE;
	if (!lt_mm_seq(task, &seq) || slot->mm != mm || slot->seq != seq) {
		slot->mm = mm;
		slot->seq = seq;
		slot->area_end = 0;
		slot->other_end = 0;
	}
	if (!is_in_area(slot, address))
		change_areas(slot);
	if (!is_in_area(slot, address))
		return look_up_area(slot, task, address);
	return slot->is_private ? PRIVATE : NOT_PRIVATE;
}

/* Faults that were refused, and in which no page was allocated: reuses, if private. */
static __always_inline void settle(struct lt_cow_slot *slot, struct task_struct *task)
{
	enum privacy privacy;
	__s16 reuses = 0;

	for (int i = 0; i < LT_COW_UNSETTLED && slot->unsettled; i++) {
		__u32 last = slot->unsettled - 1;

		if (last >= LT_COW_UNSETTLED)
			break;
		privacy = find_area(slot, task, slot->unsettled_addresses[last]);
		if (privacy == NOT_KNOWN)
			break;
		slot->unsettled = last;
		reuses += privacy == PRIVATE;
	}
	count(slot, 0, reuses);
}

/* The latest take the places: of more, some are never counted. */
static __always_inline void leave_unsettled(struct lt_cow_slot *slot, __u64 address)
{
	__u32 last = slot->unsettled;

	if (last >= LT_COW_UNSETTLED)
		last = LT_COW_UNSETTLED - 1;
	slot->unsettled_addresses[last] = address;
	slot->unsettled = last + 1;
}

static __always_inline int on_fault(__u64 address, struct pt_regs *regs, __u64 error, bool can_find)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct lt_cow_slot *slot = lt_cow_slot(tid);
	enum privacy privacy = PRIVATE;

	if (!lt_works())
		return 0;
	if (slot && slot->tid == tid) {
		if (slot->address && slot->begin_ns) /* no page was allocated in it */
			send_fault(slot, LT_COW_REUSE, 0);
		slot->address = 0;
		if (can_find && slot->unsettled)
			settle(slot, bpf_get_current_task_btf());
	}
	if ((error & (PF_PROT | PF_WRITE | PF_PK)) != (PF_PROT | PF_WRITE) || address >> 63)
		return 0;
	slot = take_slot(lt_current(), tid);
	if (!slot)
		return 0;
	if (can_find)
		privacy = find_area(slot, bpf_get_current_task_btf(), address);
	if (privacy == NOT_PRIVATE)
		return 0;
	slot->regs = (__u64)regs;
	slot->ip = regs->ip;
	slot->is_counted = privacy == PRIVATE;
	begin_fault(slot, address);
	if (slot->is_counted)
		count(slot, 0, 1);
	else
		leave_unsettled(slot, address);
	return 0;
}

#define FAULT_PROGRAMS(mode)                                                             \
	SEC("tp_btf/page_fault_" #mode)                                                  \
	int BPF_PROG(on_##mode##_fault, unsigned long address, struct pt_regs *regs,     \
		     unsigned long error)                                                \
	{                                                                                \
		return on_fault(address, regs, error, true);                             \
	}                                                                                \
	SEC("tp_btf/page_fault_" #mode)                                                  \
	int BPF_PROG(on_##mode##_fault_any, unsigned long address, struct pt_regs *regs, \
		     unsigned long error)                                                \
	{                                                                                \
		return on_fault(address, regs, error, false);                            \
	}

FAULT_PROGRAMS(user)
FAULT_PROGRAMS(kernel)

#endif

/* ---- the copies set ---- */

#define VM_FAULT_FAILED 0x473	/* include/linux/mm_types.h: VM_FAULT_ERROR, VM_FAULT_RETRY */
#define VM_FAULT_FALLBACK 0x800 /* a huge page was split: do_wp_page() comes next */

static __always_inline void begin_wp(__u64 address, __u64 vm_flags)
{
	struct lt_cow_slot *slot;

	if (!lt_works() || vm_flags & (VM_SHARED | VM_MAYSHARE))
		return;
	slot = take_slot(lt_current(), bpf_get_current_pid_tgid());
	if (slot)
		begin_fault(slot, address);
}

static __always_inline void end_wp(__u32 result)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct lt_cow_slot *slot = lt_cow_slot(tid);

	if (!lt_works() || !slot || slot->tid != tid || !slot->address)
		return;
	if (!(result & (VM_FAULT_FAILED | VM_FAULT_FALLBACK))) {
		if (slot->begin_ns)
			send_fault(slot, slot->pages ? LT_COW_COPY : LT_COW_REUSE,
				   bpf_ktime_get_boot_ns() - slot->begin_ns);
		count(slot, slot->pages, !slot->pages);
	}
	slot->address = 0;
}

#define WP_PROGRAMS(name, function)                                                       \
	SEC("fentry/" #function)                                                          \
	int BPF_PROG(name##_fentry, struct vm_fault *vmf)                                 \
	{                                                                                 \
		begin_wp(vmf->address, vmf->vma->vm_flags);                               \
		return 0;                                                                 \
	}                                                                                 \
	SEC("fexit/" #function)                                                           \
	int BPF_PROG(name##_fexit, struct vm_fault *vmf, __u64 result)                    \
	{                                                                                 \
		end_wp(result);                                                           \
		return 0;                                                                 \
	}                                                                                 \
	SEC("kprobe/" #function)                                                          \
	int BPF_KPROBE(name##_kprobe, struct vm_fault *vmf)                               \
	{                                                                                 \
		begin_wp(BPF_CORE_READ(vmf, address), BPF_CORE_READ(vmf, vma, vm_flags)); \
		return 0;                                                                 \
	}                                                                                 \
	SEC("kretprobe/" #function)                                                       \
	int BPF_KRETPROBE(name##_kretprobe, __u64 result)                                 \
	{                                                                                 \
		end_wp(result);                                                           \
		return 0;                                                                 \
	}

WP_PROGRAMS(on_wp, do_wp_page)
WP_PROGRAMS(on_huge_wp, do_huge_pmd_wp_page)
