/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What one daemon keeps for the next: its pins, and in their journal each record
 * that it folds. Owns both; the table and the kernel side are the caller's. All of
 * it does nothing where nothing is pinned. Never logs.
 */
#ifndef LT_KEEP_H
#define LT_KEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/core.h"
#include "event.h"
#include "journal.h"
#include "kernel.h"
#include "pins.h"

struct keep {
	struct pins *pins;	 /* NULL: nothing outlives this daemon */
	struct journal *journal; /* NULL: what it knows does not */
	char why[PINS_WHY_SIZE]; /* why not; "" */
	const char *dir, *journal_dir;
	const struct core *core;
	const struct kernel *kernel;
	const __u64 *lost; /* by kind: what of the kernel side's losses is told already */
	size_t dumped;	   /* bytes of the last beginning */
};

/*
 * Opens the pins below dir, "" for none; what is known is kept in files in
 * journal_dir. Both stay the caller's. Returns 0, also where there can be no
 * pins (keep->why says so then), or -EBUSY: another daemon holds them.
 */
int keep_open(struct keep *keep, const char *dir, const char *journal_dir);
/* What is kept stays. */
void keep_close(struct keep *keep);

/* See pins_detach_all(); what was known goes, too. */
int keep_detach_all(const char *dir, const char *journal_dir, bool stale_only,
		    char why[PINS_WHY_SIZE]);

/* What another daemon knew. */
struct kept {
	uint64_t started_ns; /* when the first of them began to observe */
	__u64 lost[LT_KERNEL_KINDS];
};

/*
 * Folds what another daemon knew into an empty table, and has the kernel side go
 * on from there. Returns whether there was anything. Errors are in keep->why.
 */
bool keep_resume(struct keep *keep, struct core *core, struct kernel *kernel, struct kept *kept);

/*
 * From here on records are kept: begins with the table as it is. lost points to
 * what is kept up to date by the caller. Errors are in keep->why.
 */
void keep_begin(struct keep *keep, const struct core *core, const struct kernel *kernel,
		const __u64 lost[LT_KERNEL_KINDS]);

/* To be called before the record is folded. Returns false when from now on nothing is kept. */
bool keep_record(struct keep *keep, const void *record, size_t len);

#define KEEP_HOOK_SIZE 512

/* As `status` names it: where the pins are and how this daemon came to them, or "off: REASON". */
void keep_hook(const struct keep *keep, char hook[KEEP_HOOK_SIZE]);

#endif
