// SPDX-License-Identifier: GPL-2.0-only
#include "cow_counts.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BATCH 1024

/* What threads have counted and not yet added to their process's. */
struct unflushed {
	__u64 start_ns;
	__u32 tgid;
	__s16 copies, reuses;
};

/* Of a slot, at the last look. */
struct seen {
	__u32 tid;
	__s16 copies, reuses;
};

struct cow_counts {
	struct cow_counts_options options;
	__u32 places; /* of the map */
	const struct lt_cow_slot *slots;
	struct lt_cow_changes *changes; /* one per CPU */
	size_t changes_size;
	__u64 *taken; /* of the changes of each CPU */
	__u64 look;
	__u64 begun_then; /* places begun until the last look of all */
	__u64 evicted;
	bool all_wanted;
	size_t unflushed_count;
	struct unflushed unflushed[LT_COW_SLOTS]; /* by tgid */
	struct seen seen[LT_COW_SLOTS];
	__u32 *changed; /* room for what all CPUs and all slots can tell of */
	__u32 keys[BATCH];
	struct lt_cow_entry entries[BATCH];
};

/* ---- what the programs tell ---- */

static int by_tgid(const void *a, const void *b)
{
	const struct unflushed *x = a, *y = b;

	return x->tgid < y->tgid ? -1 : x->tgid > y->tgid;
}

static int by_value(const void *a, const void *b)
{
	const __u32 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* What slots hold; and whose hold something else than at the last look. Returns how many those are. */
static size_t read_slots(struct cow_counts *counts, __u32 *changed)
{
	size_t changes = 0;

	counts->unflushed_count = 0;
	for (size_t i = 0; i < LT_COW_SLOTS; i++) {
		const volatile struct lt_cow_slot *slot = &counts->slots[i];
		const struct seen now = { slot->tid, slot->copies, slot->reuses };
		struct seen *seen = &counts->seen[i];

		if (now.tid && (now.copies || now.reuses)) {
			const struct unflushed unflushed = { slot->start_ns, slot->tgid, now.copies,
							     now.reuses };

			counts->unflushed[counts->unflushed_count++] = unflushed;
			if (memcmp(&now, seen, sizeof(now)))
				changed[changes++] = unflushed.tgid;
		}
		*seen = now;
	}
	qsort(counts->unflushed, counts->unflushed_count, sizeof(counts->unflushed[0]), by_tgid);
	return changes;
}

/*
 * Who was noted since the last look; from now on they are noted anew. Returns how
 * many, or wants to look at all, where a CPU noted more than its ring holds.
 */
static size_t take_changes(struct cow_counts *counts, __u32 *changed)
{
	size_t changes = 0;

	counts->look++;
	for (int cpu = 0; cpu < counts->options.cpus; cpu++)
		counts->changes[cpu].look = counts->look;
	__sync_synchronize();
	for (int cpu = 0; cpu < counts->options.cpus; cpu++) {
		const volatile struct lt_cow_changes *noted = &counts->changes[cpu];
		__u64 count = noted->count;

		if (count - counts->taken[cpu] > LT_COW_CHANGES)
			counts->all_wanted = true;
		else
			while (counts->taken[cpu] < count)
				changed[changes++] =
					noted->tgid[counts->taken[cpu]++ % LT_COW_CHANGES];
		counts->taken[cpu] = count;
	}
	return changes;
}

static __u64 sum(const struct cow_counts *counts, size_t offset)
{
	__u64 sum = 0;

	for (int cpu = 0; cpu < counts->options.cpus; cpu++)
		sum += *(const __u64 *)((const char *)&counts->options.counters[cpu] + offset);
	return sum;
}

/* ---- records ---- */

static void add_unflushed(const struct cow_counts *counts, struct lt_cow *record)
{
	const struct unflushed *all = counts->unflushed, *end = all + counts->unflushed_count;
	const struct unflushed key = { .tgid = (__u32)record->id.pid };
	const struct unflushed *at =
		bsearch(&key, all, counts->unflushed_count, sizeof(key), by_tgid);

	while (at && at > all && at[-1].tgid == key.tgid)
		at--;
	for (; at && at < end && at->tgid == key.tgid; at++) {
		if (at->start_ns != record->id.start_ns)
			continue;
		record->counts.copies += (__u64)(__s64)at->copies;
		record->counts.reuses += (__u64)(__s64)at->reuses;
	}
}

static void tell(const struct cow_counts *counts, __u32 tgid, const struct lt_cow_entry *entry,
		 uint64_t now_ns, record_fn fn, void *user)
{
	struct lt_cow record = {
		.hdr = { .size = sizeof(record), .kind = LT_COWS, .time_ns = now_ns },
		.id = { .start_ns = entry->start_ns, .pid = tgid },
		.counts = entry->counts,
	};

	add_unflushed(counts, &record);
	fn(user, &record, sizeof(record));
}

static void read_changed(struct cow_counts *counts, size_t count, uint64_t now_ns, record_fn fn,
			 void *user)
{
	struct lt_cow_entry entry;

	qsort(counts->changed, count, sizeof(counts->changed[0]), by_value);
	for (size_t i = 0; i < count; i++) {
		__u32 tgid = counts->changed[i];

		if ((!i || tgid != counts->changed[i - 1]) &&
		    !bpf_map_lookup_elem(counts->options.cows_fd, &tgid, &entry))
			tell(counts, tgid, &entry, now_ns, fn, user);
	}
}

/* Returns how many there are. */
static __u32 read_all(struct cow_counts *counts, uint64_t now_ns, record_fn fn, void *user)
{
	__u32 at, all = 0, count;
	int err = 0;

	while (!err) {
		count = BATCH;
		err = bpf_map_lookup_batch(counts->options.cows_fd, all ? &at : NULL, &at,
					   counts->keys, counts->entries, &count, NULL);
		if (err && err != -ENOENT) /* the last batch says so */
			break;
		all += count;
		for (__u32 i = 0; i < count; i++)
			tell(counts, counts->keys[i], &counts->entries[i], now_ns, fn, user);
	}
	return all;
}

/*
 * Who lost its place is neither among those that are there, nor did it give it
 * back. Read in this order, so that who comes and goes meanwhile is not taken
 * for one of them.
 */
static void look_at_all(struct cow_counts *counts, uint64_t now_ns, record_fn fn, void *user)
{
	__u64 begun = sum(counts, offsetof(struct lt_counters, put[LT_BOUNDED_COWS])), there;

	counts->begun_then = begun;
	counts->all_wanted = false;
	there = read_all(counts, now_ns, fn, user) +
		sum(counts, offsetof(struct lt_counters, taken[LT_BOUNDED_COWS]));
	if (begun > there && begun - there > counts->evicted)
		counts->evicted = begun - there;
}

/* So many are new that some may have lost their places: nobody notes those. */
static bool may_be_evicted(const struct cow_counts *counts)
{
	__u64 begun = sum(counts, offsetof(struct lt_counters, put[LT_BOUNDED_COWS]));
	__u64 given_back = sum(counts, offsetof(struct lt_counters, taken[LT_BOUNDED_COWS]));

	return begun - given_back > counts->places / 2 &&
	       begun - counts->begun_then > counts->places / 16;
}

void cow_counts_read(struct cow_counts *counts, bool all, uint64_t now_ns, record_fn fn, void *user)
{
	size_t changes = take_changes(counts, counts->changed);

	changes += read_slots(counts, counts->changed + changes);
	if (all || counts->all_wanted || may_be_evicted(counts))
		look_at_all(counts, now_ns, fn, user);
	else
		read_changed(counts, changes, now_ns, fn, user);
}

uint64_t cow_counts_evicted(const struct cow_counts *counts)
{
	return counts->evicted;
}

/* ---- opening and closing ---- */

static size_t slots_size(void)
{
	return LT_COW_SLOTS * sizeof(struct lt_cow_slot);
}

static int map_memory(struct cow_counts *counts)
{
	const struct cow_counts_options *options = &counts->options;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (size_t)options->cpus * sizeof(struct lt_cow_changes);
	void *memory = mmap(NULL, slots_size(), PROT_READ, MAP_SHARED, options->slots_fd, 0);

	if (memory == MAP_FAILED)
		return -errno;
	counts->slots = memory;
	counts->changes_size = (size + page - 1) / page * page;
	memory = mmap(NULL, counts->changes_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      options->changes_fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	counts->changes = memory;
	return 0;
}

/* Another daemon may have looked before, and what it did not take is in the places. */
static int begin(struct cow_counts *counts)
{
	size_t cpus = (size_t)counts->options.cpus;
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	int err = bpf_obj_get_info_by_fd(counts->options.cows_fd, &info, &len);

	counts->places = info.max_entries;
	counts->taken = calloc(cpus, sizeof(counts->taken[0]));
	counts->changed = calloc(cpus * LT_COW_CHANGES + LT_COW_SLOTS, sizeof(counts->changed[0]));
	if (!counts->taken || !counts->changed)
		return -ENOMEM;
	if (!err)
		err = map_memory(counts);
	if (err)
		return err;
	counts->look = counts->changes[0].look;
	counts->all_wanted = true;
	return 0;
}

int cow_counts_open(struct cow_counts **counts, const struct cow_counts_options *options)
{
	int err;

	*counts = calloc(1, sizeof(**counts));
	if (!*counts)
		return -ENOMEM;
	(*counts)->options = *options;
	err = begin(*counts);
	if (!err)
		return 0;
	cow_counts_close(*counts);
	*counts = NULL;
	return err;
}

void cow_counts_close(struct cow_counts *counts)
{
	if (!counts)
		return;
	if (counts->slots)
		munmap((void *)counts->slots, slots_size());
	if (counts->changes)
		munmap(counts->changes, counts->changes_size);
	free(counts->taken);
	free(counts->changed);
	free(counts);
}
