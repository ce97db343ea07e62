/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way out: the ring and the counters, shared by all BPF objects.
 *
 * Every map here can be pinned and outlives the daemon; none holds anything
 * that only this daemon's load would understand.
 */
#ifndef LT_EMIT_BPF_H
#define LT_EMIT_BPF_H

#include "vmlinux.h"
#include "event.h"
#include "compat.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20); /* the daemon's ring_size */
} lt_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the number of possible CPUs */
	__type(key, __u32);
	__type(value, struct lt_counters);
} lt_counters SEC(".maps");

/* Fill of the ring from which on every record wakes the daemon. */
const volatile __u64 lt_wake_bytes = 2 << 20;

/* ---- whether to work at all ---- */

volatile struct lt_gate lt_gate SEC(".data.gate") = LT_GATE_OPEN;

const volatile __u64 lt_generation = 1;

/* Asked first by every program that can be pinned. */
static __always_inline bool lt_works(void)
{
	return lt_gate.generation == lt_generation;
}

/* Whoever looks at the clock anyway sees that no daemon was heard of for too long. */
static __always_inline void lt_heed(__u64 now_ns)
{
	if (now_ns <= lt_gate.until_boot_ns || bpf_ktime_get_ns() <= lt_gate.until_mono_ns)
		return;
	lt_gate.quiet_ns = now_ns;
	lt_gate.generation = 0;
}

/* ---- counters ---- */

/* A CPU's own slot: nobody else's cache line. */
static __always_inline struct lt_counters *lt_cpu_counters(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&lt_counters, &cpu);
}

static __always_inline void lt_count_lost(__u32 kind)
{
	struct lt_counters *c = lt_cpu_counters();

	if (c)
		__sync_fetch_and_add(&c->lost[kind], 1);
}

static __always_inline void lt_count_thread(__u32 tid)
{
	struct lt_counters *c = lt_cpu_counters();

	if (!c || c->newest_tid == tid)
		return;
	c->newest_tid = tid;
	__sync_fetch_and_add(&c->threads, 1);
}

/* An entry of a bounded map was made, or taken out. */
static __always_inline void lt_count_put(enum lt_bounded map)
{
	struct lt_counters *c = lt_cpu_counters();

	if (c)
		__sync_fetch_and_add(&c->put[map], 1);
}

static __always_inline void lt_count_taken(enum lt_bounded map)
{
	struct lt_counters *c = lt_cpu_counters();

	if (c)
		__sync_fetch_and_add(&c->taken[map], 1);
}

/*
 * The ring wakes its reader by itself when it was empty; the daemon then lets
 * records gather. Only a ring that fills faster than that wakes it again.
 */
static __always_inline __u64 lt_wake_flags(void)
{
	return bpf_ringbuf_query(&lt_ring, BPF_RB_AVAIL_DATA) >= lt_wake_bytes ?
		       BPF_RB_FORCE_WAKEUP :
		       0;
}

static __always_inline void lt_fill_hdr(struct lt_hdr *hdr, __u32 kind, __u32 size)
{
	hdr->size = size;
	hdr->kind = kind;
	hdr->cpu = bpf_get_smp_processor_id();
	hdr->time_ns = bpf_ktime_get_boot_ns();
	lt_heed(hdr->time_ns);
}

/*
 * Reserves a record of constant size; NULL is counted as lost. Compared with
 * NULL once: verifiers before 6.3 forget after a second time what it is.
 */
static __always_inline void *lt_reserve(__u32 kind, __u32 size)
{
	void *record = bpf_ringbuf_reserve(&lt_ring, size, 0);

	if (!record) {
		lt_count_lost(kind);
		return NULL;
	}
	lt_fill_hdr(record, kind, size);
	return record;
}

/*
 * The same for what the table does not need: it gives way (and is counted as
 * lost) while the ring is half full.
 */
static __always_inline void *lt_reserve_spare(__u32 kind, __u32 size)
{
	if (bpf_ringbuf_query(&lt_ring, BPF_RB_AVAIL_DATA) >
	    bpf_ringbuf_query(&lt_ring, BPF_RB_RING_SIZE) / 2) {
		lt_count_lost(kind);
		return NULL;
	}
	return lt_reserve(kind, size);
}

static __always_inline void lt_submit(void *record)
{
	bpf_ringbuf_submit(record, lt_wake_flags());
}

/* Sends a record of variable size that was built elsewhere. */
static __always_inline void lt_output(struct lt_hdr *hdr, __u32 kind, __u32 size)
{
	lt_fill_hdr(hdr, kind, size);
	if (bpf_ringbuf_output(&lt_ring, hdr, size, lt_wake_flags()))
		lt_count_lost(kind);
}

static __always_inline void lt_no_id(struct lt_id *id)
{
	id->start_ns = 0;
	id->pid = 0;
}

#endif
