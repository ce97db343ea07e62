/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The copy-on-write counters: cow.bpf.c counts, the tracepoint set sends them
 * along with what begins or ends the sharing of pages.
 *
 * A thread counts in a slot that no other CPU looks at; from there the counts
 * go to its process's place in lt_cows: every LT_COW_FLUSH of them, when the
 * thread ends, and when another thread needs the slot. A copy takes some two
 * microseconds, and what it copies leaves little in the cache: this is what
 * keeps counting it cheap.
 */
#ifndef LT_COW_BPF_H
#define LT_COW_BPF_H

#include "task.bpf.h"

#define LT_COW_FLUSH 64

/* Whether anybody counts: without, no life pays for looking into empty maps. */
const volatile bool lt_cow_counted = false;

/* Bounded: who has not faulted for longest loses its place. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384); /* the daemon's cow_max */
	__type(key, __u32);	    /* tgid */
	__type(value, struct lt_cow_entry);
} lt_cows SEC(".maps");

/*
 * By the low bits of the tid. Two threads that share one disturb each other
 * only if both are in a fault at a time.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LT_COW_SLOTS);
	__type(key, __u32);
	__type(value, struct lt_cow_slot);
} lt_cow_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the daemon sets as many as there are CPUs */
	__type(key, __u32);
	__type(value, struct lt_cow_changes);
} lt_cow_changes SEC(".maps");

static __always_inline struct lt_cow_slot *lt_cow_slot(__u32 tid)
{
	__u32 key = tid & (LT_COW_SLOTS - 1);

	return bpf_map_lookup_elem(&lt_cow_slots, &key);
}

static __always_inline struct lt_cow_entry *lt_cow_find(struct lt_id id)
{
	__u32 key = id.pid;
	struct lt_cow_entry *entry = bpf_map_lookup_elem(&lt_cows, &key);

	return entry && entry->start_ns == id.start_ns ? entry : NULL;
}

static __always_inline struct lt_cow_entry *lt_cow_get(struct lt_id id)
{
	struct lt_cow_entry fresh = { .start_ns = id.start_ns,
				      .counts.since_ns = bpf_ktime_get_boot_ns(),
				      .copies_due = LT_COW_FLUSH,
				      .reuses_due = LT_COW_FLUSH };
	struct lt_cow_entry *entry = lt_cow_find(id);
	__u32 key = id.pid;

	if (entry)
		return entry;
	if (bpf_map_lookup_elem(&lt_cows, &key)) /* a former owner's of the pid */
		bpf_map_update_elem(&lt_cows, &key, &fresh, BPF_EXIST);
	else if (!bpf_map_update_elem(&lt_cows, &key, &fresh, BPF_NOEXIST))
		lt_count_put(LT_BOUNDED_COWS);
	entry = lt_cow_find(id);
	if (!entry)
		lt_count_lost(LT_COW);
	return entry;
}

static __always_inline void lt_cow_send(struct lt_id id, const struct lt_cow_entry *entry)
{
	struct lt_cow *e = lt_reserve(LT_COW, sizeof(*e));

	if (!e)
		return;
	e->id = id;
	__builtin_memcpy(&e->counts, &entry->counts, sizeof(e->counts));
	lt_submit(e);
}

/*
 * For the daemon's next look. Programs that can be preempted may note two processes
 * in one place: of one of them the daemon then knows at its next look of all.
 */
static __always_inline void lt_cow_note_change(struct lt_cow_entry *entry, __u32 tgid)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct lt_cow_changes *changes = bpf_map_lookup_elem(&lt_cow_changes, &cpu);

	if (!changes || entry->look == changes->look)
		return;
	entry->look = changes->look;
	changes->tgid[changes->count & (LT_COW_CHANGES - 1)] = tgid;
	changes->count++;
}

/* From the slot to its process's place, and told when a power of two is passed. */
static __always_inline void lt_cow_flush(struct lt_cow_slot *slot)
{
	struct lt_id id = { .start_ns = slot->start_ns, .pid = slot->tgid };
	__s64 copies = slot->copies, reuses = slot->reuses;
	struct lt_cow_entry *entry;
	bool is_due = false;

	if (!copies && !reuses)
		return;
	entry = lt_cow_get(id);
	if (!entry)
		return;
	slot->copies = 0;
	slot->reuses = 0;
	__sync_fetch_and_add(&entry->counts.copies, copies);
	__sync_fetch_and_add(&entry->counts.reuses, reuses);
	lt_cow_note_change(entry, id.pid);
	if (entry->counts.copies >= entry->copies_due) {
		entry->copies_due <<= 1;
		is_due = true;
	}
	if (entry->counts.reuses >= entry->reuses_due) {
		entry->reuses_due <<= 1;
		is_due = true;
	}
	if (is_due)
		lt_cow_send(id, entry);
}

/* The thread ends, or has another tid from here on. */
static __always_inline void lt_cow_leave(__u32 tid)
{
	struct lt_cow_slot *slot;

	if (!lt_cow_counted)
		return;
	slot = lt_cow_slot(tid);
	if (!slot || slot->tid != tid)
		return;
	lt_cow_flush(slot);
	slot->tid = 0;
}

/* What was counted of the process, as far as its place and one thread's slot tell. */
static __always_inline void lt_cow_of(struct lt_cow_counts *counts, struct lt_id id, __u32 tid)
{
	struct lt_cow_entry *entry;
	struct lt_cow_slot *slot;

	__builtin_memset(counts, 0, sizeof(*counts));
	if (!lt_cow_counted)
		return;
	entry = lt_cow_find(id);
	if (!entry)
		return;
	__builtin_memcpy(counts, &entry->counts, sizeof(*counts));
	slot = lt_cow_slot(tid);
	if (!slot || slot->tid != tid || slot->start_ns != id.start_ns)
		return;
	counts->copies += (__s64)slot->copies;
	counts->reuses += (__s64)slot->reuses;
}

/* Gives the place back. */
static __always_inline void lt_cow_end(struct lt_id id)
{
	__u32 key = id.pid;

	if (lt_cow_counted && lt_cow_find(id) && !bpf_map_delete_elem(&lt_cows, &key))
		lt_count_taken(LT_BOUNDED_COWS);
}

#endif
