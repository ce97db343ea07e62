// SPDX-License-Identifier: GPL-2.0-only
#include "keep.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Of the reaped, no more than so many outlive the daemon besides those in the journal. */
#define REAPED_KEPT 1000
#define LIFE_BYTES 1024	    /* about, of one in the journal */
#define ROOM_MIN (1U << 20) /* besides four times the table */

int keep_open(struct keep *keep, const char *dir, const char *journal_dir)
{
	int err;

	*keep = (struct keep){ .dir = dir, .journal_dir = journal_dir };
	if (!*dir) {
		snprintf(keep->why, sizeof(keep->why), "pin_dir is empty");
		return 0;
	}
	err = pins_open(&keep->pins, dir, keep->why);
	return err == -EBUSY ? err : 0;
}

void keep_close(struct keep *keep)
{
	journal_close(keep->journal);
	pins_close(keep->pins);
	*keep = (struct keep){ 0 };
}

static void remove_journal(void *user)
{
	const struct keep *keep = user;

	journal_remove(keep->journal_dir, keep->dir);
}

int keep_detach_all(const char *dir, const char *journal_dir, bool stale_only,
		    char why[PINS_WHY_SIZE])
{
	struct keep keep = { .dir = dir, .journal_dir = journal_dir };

	return pins_detach_all(dir, stale_only, remove_journal, &keep, why);
}

/* ---- taking over ---- */

struct resuming {
	struct core *core;
	uint64_t started_ns;
	struct lt_ledger ledger;
};

static void count_record(struct lt_ledger *ledger, const struct lt_hdr *hdr, size_t len)
{
	ledger->received[hdr->kind]++;
	if (len < sizeof(*hdr) + sizeof(ledger->last_id))
		return;
	ledger->last = *hdr;
	memcpy(&ledger->last_id, hdr + 1, sizeof(ledger->last_id));
}

static void resume_record(void *user, const void *record, size_t len)
{
	struct resuming *resuming = user;
	const struct lt_hdr *hdr = record;

	if (len == sizeof(struct lt_ledger) && hdr->kind == LT_LEDGER)
		memcpy(&resuming->ledger, record, len);
	if (len == sizeof(struct lt_start) && hdr->kind == LT_START)
		resuming->started_ns = ((const struct lt_start *)record)->started_ns;
	if (len == sizeof(struct lt_counts) && hdr->kind == LT_LOST)
		for (int i = 0; i < LT_KERNEL_KINDS; i++)
			resuming->ledger.lost[i] += ((const struct lt_counts *)record)->count[i];
	if (hdr->kind < LT_KERNEL_KINDS && hdr->cpu != LT_NO_CPU)
		count_record(&resuming->ledger, hdr, len);
	core_apply(resuming->core, record, len);
}

static void no_journal(struct keep *keep, int err)
{
	snprintf(keep->why, sizeof(keep->why), "no journal in %s: %s", keep->journal_dir,
		 strerror(-err));
	journal_close(keep->journal);
	keep->journal = NULL;
}

bool keep_resume(struct keep *keep, struct core *core, struct kernel *kernel, struct kept *kept)
{
	struct resuming resuming = { .core = core };
	size_t count;
	int err;

	memset(kept, 0, sizeof(*kept));
	if (!keep->pins || pins_error(keep->pins))
		return false;
	err = journal_open(&keep->journal, keep->journal_dir, keep->dir);
	if (err) {
		no_journal(keep, err);
		return false;
	}
	if (!pins_go_on(keep->pins)) /* of pins that are gone, or not to be read */
		journal_void(keep->journal);
	count = journal_replay(keep->journal, resume_record, &resuming);
	kernel_resume(kernel, &resuming.ledger);
	kept->started_ns = resuming.started_ns;
	memcpy(kept->lost, resuming.ledger.lost, sizeof(kept->lost));
	return count;
}

/* ---- keeping ---- */

struct dumping {
	struct journal *journal;
	bool fits;
};

static void dump_record(void *user, const struct lt_hdr *record)
{
	struct dumping *dumping = user;

	dumping->fits = dumping->fits && journal_append(dumping->journal, record, record->size);
}

static bool dump_all(struct keep *keep)
{
	struct lt_ledger ledger = { .hdr = { .size = sizeof(ledger), .kind = LT_LEDGER } };
	struct dumping dumping = { keep->journal, true };

	core_dump_lately(keep->core, REAPED_KEPT, dump_record, &dumping);
	ledger.hdr.time_ns = core_now_ns(keep->core);
	kernel_fill_ledger(keep->kernel, &ledger);
	memcpy(ledger.lost, keep->lost, sizeof(ledger.lost));
	dump_record(&dumping, &ledger.hdr);
	return dumping.fits;
}

/*
 * A new beginning costs as much as the table is big, so that it has room for a
 * few times as much before the next.
 */
static int begin_anew(struct keep *keep)
{
	size_t lives = core_totals(keep->core).processes;
	size_t guess = keep->dumped > lives * LIFE_BYTES ? keep->dumped : lives * LIFE_BYTES;
	size_t bytes = ROOM_MIN + guess * 4;
	bool is_all;

	for (;; bytes *= 2) {
		journal_begin(keep->journal, bytes);
		if (dump_all(keep))
			break;
		is_all = journal_room(keep->journal) < bytes / 2;
		journal_cancel(keep->journal);
		if (is_all)
			return -ENOSPC;
	}
	keep->dumped = journal_size(keep->journal);
	journal_commit(keep->journal);
	return 0;
}

/* What lies in it would be taken for what is true. */
static void give_up(struct keep *keep, int err)
{
	journal_void(keep->journal);
	no_journal(keep, err);
}

void keep_begin(struct keep *keep, const struct core *core, const struct kernel *kernel,
		const __u64 lost[LT_KERNEL_KINDS])
{
	int err;

	keep->core = core;
	keep->kernel = kernel;
	keep->lost = lost;
	if (!keep->journal)
		return;
	err = begin_anew(keep);
	if (!err) /* the other half, too, has room while it can still be had */
		err = begin_anew(keep);
	if (err)
		give_up(keep, err);
}

bool keep_record(struct keep *keep, const void *record, size_t len)
{
	const struct lt_hdr *hdr = record;
	int err = 0;

	if (!keep->journal || len < sizeof(*hdr) || hdr->size != len || len % LT_ALIGN)
		return true;
	if (journal_append(keep->journal, record, len))
		return true;
	err = begin_anew(keep);
	if (!err && journal_append(keep->journal, record, len))
		return true;
	give_up(keep, err ? err : -ENOSPC);
	return false;
}

/* ---- words ---- */

void keep_hook(const struct keep *keep, char hook[KEEP_HOOK_SIZE])
{
	static const char *const ways[] = {
		[PINS_FRESH] = "new",
		[PINS_ADOPTED] = "taken over",
		[PINS_RETIRES] = "took over from another layout",
		[PINS_FOREIGN] = "replaced another version, of which nothing could be taken over",
	};

	if (!keep->pins)
		snprintf(hook, KEEP_HOOK_SIZE, "off: %s", keep->why);
	else if (pins_error(keep->pins))
		snprintf(hook, KEEP_HOOK_SIZE, "off: cannot pin below %s: %s", keep->dir,
			 strerror(-pins_error(keep->pins)));
	else
		snprintf(hook, KEEP_HOOK_SIZE, "%s/%u (%s)%s%s", keep->dir,
			 pins_generation(keep->pins), ways[pins_way(keep->pins)],
			 *keep->why ? "; " : "", keep->why);
}
