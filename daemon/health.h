/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The daemon's own health, as a record: CPU, memory, descriptors, and how long
 * events were under way. Owns the counts of the latter.
 */
#ifndef LT_HEALTH_H
#define LT_HEALTH_H

#include <stdint.h>

#include "event.h"

struct health {
	struct lt_histogram event_delay;
	uint64_t start_realtime_ns;
	uint64_t clock_ns;     /* boot time when it was last looked at */
	uint64_t since_looked; /* records since then */
};

/* A drain begins: what the clock said last is long ago. */
void health_begin(struct health *health);
/* A record of that boot time is being folded. */
void health_note_event(struct health *health, uint64_t time_ns);
/* Fills in all but the header, and what only the kernel side knows. */
void health_read(const struct health *health, struct lt_health *record);

#endif
