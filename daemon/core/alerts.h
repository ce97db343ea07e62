/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Alerts: what somebody should be told of, from its begin until it is over.
 *
 * A leak is one for each parent that leaks, and so is a parent that is about to
 * have no pids left; the others are of the host, one of each kind. All is
 * decided from records, with the time that they say: no clock is read here.
 */
#ifndef LT_ALERTS_H
#define LT_ALERTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core.h"

struct viewer;

/*
 * X(NAME, name, severity, remedy): the one list. The remedy is what to do where
 * no cause of a zombie tells it.
 */
// clang-format off
#define LT_ALERT_KINDS(X)                                                                       \
	X(LEAK, "leak", "warning", "")                                                          \
	X(PIDS, "pids", "critical", "")                                                         \
	X(FLAGGED, "flagged", "warning",                                                        \
	  "see which parents do not reap: lifetrace zombies, lifetrace why PID")                \
	X(FORK_STORM, "fork-storm", "warning",                                                  \
	  "see who bears them: lifetrace births")                                          \
	X(LOST, "events-lost", "warning",                                                       \
	  "raise ring_size; the table has been repaired, what is marked inferred was not seen") \
	X(BLIND, "blind", "critical",                                                           \
	  "restart lifetraced, which attaches its hooks anew; which it can: lifetrace doctor")
// clang-format on

enum alert_kind {
#define X(NAME, name, severity, remedy) ALERT_##NAME,
	LT_ALERT_KINDS(X)
#undef X
		ALERT_KINDS
};

extern const char *const alert_names[ALERT_KINDS];
/* The hooks that everything rests on; the first is none. */
#define ALERT_HOOKS 7
extern const char *const alert_hooks[ALERT_HOOKS];

/* An alert that begins (firing) or is over, valid during the call of the change. */
struct alert_change {
	enum alert_kind kind;
	bool firing;
	uint64_t since_ns;
	uint64_t value;	    /* what it counts: flagged zombies, births a second, events lost */
	const char *reason; /* NULL: none but its kind */
};

/* The alerts that fire now, as /v1/alerts gives them. NULL without memory. */
json_t *view_alerts(const struct core *core, uint64_t now_ns, const struct viewer *viewer);
/* The fields of one, set in the object; life is a leak's parent, NULL for the host's. */
void view_alert(json_t *object, const struct core *core, const struct alert_change *alert,
		const struct life *life, uint64_t now_ns, const struct viewer *viewer);
/*
 * Whom one of the host's is about: who holds the most flagged zombies, who bears a
 * storm, and of what lifetrace does not see lifetraced. NULL: nobody is known.
 */
const struct life *alert_about(const struct core *core, enum alert_kind kind);

#endif
