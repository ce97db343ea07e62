/* SPDX-License-Identifier: GPL-2.0-only */
/* How records change the table. Internal to the core. */
#ifndef LT_APPLY_H
#define LT_APPLY_H

#include "life.h"

/* ---- step.c: the state machine ---- */

enum step {
	STEP_EXEC,
	STEP_LEADER_EXIT,
	STEP_EXIT,
	STEP_ZOMBIE,
	STEP_AUTOREAP,
	STEP_STOP,
	STEP_CONTINUE,
	STEP_REAP,
	STEP_SEEN_RUNNING, /* what a pass of the iterator met and no record told */
	STEP_SEEN_STOPPED,
	STEP_SEEN_DEAD_LEADER,
	STEP_SEEN_EXITING,
	STEP_SEEN_ZOMBIE,
	STEP_GONE, /* and what it did not meet */
	STEPS
};

/* Born while records told of births, and of all that follows. */
bool life_is_new(const struct core *core, const struct life *life);
bool life_can_step(const struct life *life, enum step step);
/* Takes the step if the life's state knows it; returns whether it did. record: what told, or NULL. */
bool life_step(struct core *core, struct life *life, enum step step, uint64_t time_ns,
	       const struct lt_hdr *record);
/* The same parent again, and one that was not known, is no adoption. */
void reparent(struct core *core, struct life *life, struct lt_id parent, uint64_t time_ns);
/* The end of a life, however it becomes known. by: pid 0 where that is not. */
void reap(struct core *core, struct life *life, enum lt_reap_source source, struct lt_id by,
	  uint64_t time_ns, const struct lt_hdr *record);
void autoreap(struct core *core, struct life *life, enum lt_reap_source source,
	      const struct lt_hdr *hdr);
/* The kernel let go of it, and nobody told: SIG_IGN, or what told it was missed. */
void let_go(struct core *core, struct life *life, enum lt_reap_source source,
	    const struct lt_hdr *hdr);
void tell(struct core *core, enum change_kind kind, const struct life *life, uint64_t time_ns,
	  const struct lt_hdr *record);

/* What a look at a process tells whenever it is made (apply_pass.c). */
void take_scan_facts(struct core *core, struct life *life, const struct lt_life *e);

/* ---- one handler a kind of record; it is valid, and time has passed until its own ---- */

#define X(number, NAME, name, type) void apply_##name(struct core *core, const struct type *e);
LT_KINDS(X)
#undef X

#endif
