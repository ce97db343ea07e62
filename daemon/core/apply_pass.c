// SPDX-License-Identifier: GPL-2.0-only
/* Passes of the iterator: what they met and did not meet. */
#include "apply.h"

#include <stdlib.h>

void take_scan_facts(struct core *core, struct life *life, const struct lt_life *e)
{
	life->ns_pid = e->ns_pid;
	life->uid = e->uid;
	life->exit_signal = (uint8_t)e->exit_signal;
	life->flags |= e->flags & LT_LIFE_KERNEL;
	life_set_comm(life, e->comm);
	life_set_cgroup(core, life, e->cgroup);
}

static enum step seen_step(unsigned state)
{
	static const uint8_t steps[LT_REAPED + 1] = {
		[LT_RUNNING] = STEP_SEEN_RUNNING,	  [LT_STOPPED] = STEP_SEEN_STOPPED,
		[LT_DEAD_LEADER] = STEP_SEEN_DEAD_LEADER, [LT_EXITING] = STEP_SEEN_EXITING,
		[LT_ZOMBIE] = STEP_SEEN_ZOMBIE,
	};

	return steps[state];
}

/*
 * Records that explain what the pass met may still lie in the ring: a known
 * life keeps its state until the sweep. The first pass is believed at once,
 * as all that it meets is new.
 */
void apply_scan(struct core *core, const struct lt_life *e)
{
	struct life *life = life_get(core, e->id);

	if (!life || e->state < LT_RUNNING || e->state > LT_ZOMBIE)
		return;
	life->pass = core->pass;
	if (life->state == LT_REAPED)
		return;
	reparent(core, life, e->parent, e->hdr.time_ns);
	if (life_reaping(life) && e->adopted_by.pid)
		reaping_set_adopter(core, life, e->adopted_by);
	if (life->state >= LT_EXITING && e->state <= life->state)
		return;
	take_scan_facts(core, life, e);
	if (e->tracer.pid && e->state >= LT_EXITING)
		life_set_tracer(core, life, e->tracer);
	if (e->state >= LT_EXITING && !(life->flags & LT_LIFE_HAS_STATUS))
		life_set_status(life, e->exit_code);
	if (e->state == LT_ZOMBIE && !life->zombie_ns)
		life->zombie_ns = e->zombie_ns;
	if (core->seeding)
		life_step(core, life, seen_step(e->state), e->hdr.time_ns, &e->hdr);
	else
		life->seen_state = e->state;
}

void apply_pass_begin(struct core *core, const struct lt_pass *e)
{
	core->pass++;
	core->pass_begin_ns = e->begin_ns;
	core->seeding = e->seed;
}

void apply_pass_end(struct core *core, const struct lt_pass *e)
{
	(void)e;
	core->seeding = false;
}

/* What the pass met, no record explained, and nothing has changed since. */
static void sweep_seen(struct core *core, struct life *life, const struct lt_pass *e)
{
	enum step step = seen_step(life->seen_state);
	bool differs = life_can_step(life, step);
	bool unborn = !(life->flags & LT_LIFE_FORK_SEEN) && life_is_new(core, life);

	life->seen_state = 0;
	if (!differs && !unborn)
		return;
	if (unborn) {
		life->flags |= LT_LIFE_FORK_SEEN; /* counted once */
		core->telling[TELLS_BIRTH].untold++;
	}
	core->totals.repairs += !e->seed;
	life->flags |= LT_LIFE_INFERRED;
	if (!differs)
		return;
	core->telling[TELLS_ZOMBIE].untold += step == STEP_SEEN_ZOMBIE && life_is_new(core, life);
	life_step(core, life, step, e->hdr.time_ns, NULL);
}

static void sweep_unseen(struct core *core, struct life *life, const struct lt_pass *e)
{
	core->totals.repairs += !e->seed;
	core->telling[TELLS_REAP].untold += life_is_new(core, life);
	life->flags |= LT_LIFE_INFERRED;
	reap(core, life, LT_REAP_SCAN, life->parent_id, e->hdr.time_ns, NULL);
}

static const char *const telling_names[TELLINGS] = {
#define X(NAME, name) [TELLS_##NAME] = name,
	LT_TELLING(X)
#undef X
};

static bool is_silent(const struct telling_count *before, const struct telling_count *now)
{
	return before->untold && !before->told && !now->told;
}

/*
 * A hook that told nothing at all though it must have, and nothing was lost, is gone.
 * Not at once: a task can be met before it has come to the hook (kernel/fork.c traces
 * a task that is in the table already), and is freed after a grace period.
 */
static void judge_tellings(struct core *core)
{
	uint64_t losses = core->totals.refused;
	struct telling_count *now = core->telling, *before = core->told_before;

	for (int i = 0; i < LT_KERNEL_KINDS; i++)
		losses += core->totals.lost[i];
	for (int i = 0; i < TELLINGS; i++) {
		if (losses != core->losses_swept)
			now[i].untold = 0;
		else if (is_silent(&before[i], &now[i]))
			alerts_untold(core, telling_names[i], before[i].untold);
		before[i] = now[i];
		now[i] = (struct telling_count){ 0 };
	}
	core->losses_swept = losses;
}

/*
 * The ring is drained past the pass: what the pass met and no record explained,
 * and what it did not meet although it was born before, was lost. In order of
 * birth, so that what is told does not depend on the hash.
 */
void apply_sweep(struct core *core, const struct lt_pass *e)
{
	struct life **lives = malloc((core->life_count + 1) * sizeof(struct life *)), *life;
	size_t kept = 0;

	if (!lives)
		return;
	EACH_LIFE(core, life)
		if (life->seen_state || life_is_unseen(core, life))
			lives[kept++] = life;
	qsort(lives, kept, sizeof(struct life *), life_order);
	for (size_t i = 0; i < kept; i++) {
		if (lives[i]->seen_state)
			sweep_seen(core, lives[i], e);
		else
			sweep_unseen(core, lives[i], e);
	}
	free(lives);
	judge_tellings(core);
}
