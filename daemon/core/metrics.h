/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Metrics: the core's counts as Prometheus text or OpenMetrics, from one table
 * of metrics, which is their documentation, too. Pure; owns nothing.
 *
 * Label sets are bounded whatever happens on the host: no pid is ever a label,
 * and of the zombies' label sets the largest are named, the rest is "other".
 */
#ifndef LT_METRICS_H
#define LT_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core.h"

/* Label sets of lifetrace_zombies that are named. */
#define METRICS_ZOMBIE_SETS 50

enum metrics_format { METRICS_TEXT, METRICS_OPENMETRICS };

/* What an HTTP Accept header likes best; NULL or neither: METRICS_TEXT. */
enum metrics_format metrics_format_for(const char *accept);
const char *metrics_content_type(enum metrics_format format);

/*
 * All metrics as of core_now_ns(). Malloced and ended by a NUL that *len does
 * not count; NULL without memory.
 */
char *metrics_text(const struct core *core, enum metrics_format format, size_t *len);

/* The table as Markdown; malloced, likewise. */
char *metrics_document(size_t *len);

/* What the buckets of a histogram hold. */
enum metrics_scale { SCALE_REAP_LATENCY, SCALE_FORK_DURATION, SCALE_EVENT_DELAY, SCALES };

/* Counts a duration. */
void metrics_observe(struct lt_histogram *histogram, enum metrics_scale scale, uint64_t ns);

#endif
