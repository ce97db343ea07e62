// SPDX-License-Identifier: GPL-2.0-only
/* The state machine of a life: what takes it from one state to the next, and what follows. */
#include "apply.h"
#include "metrics.h"

/*
 * State × step: the next state; 0 stays. A life is only ever told forward, so
 * late and doubled records change nothing. What is not known yet is running.
 */
static const uint8_t next_state[LT_REAPED + 1][STEPS] = {
	[LT_RUNNING] = {
		[STEP_LEADER_EXIT] = LT_DEAD_LEADER,
		[STEP_EXIT] = LT_EXITING,
		[STEP_ZOMBIE] = LT_ZOMBIE,
		[STEP_AUTOREAP] = LT_REAPED,
		[STEP_STOP] = LT_STOPPED,
		[STEP_REAP] = LT_REAPED,
		[STEP_SEEN_STOPPED] = LT_STOPPED,
		[STEP_SEEN_DEAD_LEADER] = LT_DEAD_LEADER,
		[STEP_SEEN_EXITING] = LT_EXITING,
		[STEP_SEEN_ZOMBIE] = LT_ZOMBIE,
		[STEP_GONE] = LT_REAPED,
	},
	[LT_STOPPED] = {
		[STEP_LEADER_EXIT] = LT_DEAD_LEADER,
		[STEP_EXIT] = LT_EXITING,
		[STEP_ZOMBIE] = LT_ZOMBIE,
		[STEP_AUTOREAP] = LT_REAPED,
		[STEP_CONTINUE] = LT_RUNNING,
		[STEP_REAP] = LT_REAPED,
		[STEP_SEEN_RUNNING] = LT_RUNNING,
		[STEP_SEEN_DEAD_LEADER] = LT_DEAD_LEADER,
		[STEP_SEEN_EXITING] = LT_EXITING,
		[STEP_SEEN_ZOMBIE] = LT_ZOMBIE,
		[STEP_GONE] = LT_REAPED,
	},
	[LT_DEAD_LEADER] = {
		[STEP_EXEC] = LT_RUNNING, /* the caller took the leader's place */
		[STEP_EXIT] = LT_EXITING,
		[STEP_ZOMBIE] = LT_ZOMBIE,
		[STEP_AUTOREAP] = LT_REAPED,
		[STEP_REAP] = LT_REAPED,
		[STEP_SEEN_RUNNING] = LT_RUNNING,
		[STEP_SEEN_STOPPED] = LT_STOPPED,
		[STEP_SEEN_EXITING] = LT_EXITING,
		[STEP_SEEN_ZOMBIE] = LT_ZOMBIE,
		[STEP_GONE] = LT_REAPED,
	},
	[LT_EXITING] = {
		[STEP_ZOMBIE] = LT_ZOMBIE,
		[STEP_AUTOREAP] = LT_REAPED,
		[STEP_REAP] = LT_REAPED,
		[STEP_SEEN_ZOMBIE] = LT_ZOMBIE,
		[STEP_GONE] = LT_REAPED,
	},
	[LT_ZOMBIE] = {
		[STEP_AUTOREAP] = LT_REAPED,
		[STEP_REAP] = LT_REAPED,
		[STEP_GONE] = LT_REAPED,
	},
};

void tell(struct core *core, enum change_kind kind, const struct life *life, uint64_t time_ns,
	  const struct lt_hdr *record)
{
	core_tell(core, (struct change){
				.kind = kind, .time_ns = time_ns, .life = life, .record = record });
}

/* What its new parent asks for from here on counts. */
static void adopt_zombie(struct core *core, const struct life *life, uint64_t time_ns)
{
	static const struct lt_waits none;

	if (life->parent)
		reaping_died(core, life->parent, time_ns);
	if (!life->death)
		return;
	life->death->adopted_ns = time_ns;
	life->death->parent_waits = life->parent && life->parent->waits ? *life->parent->waits :
									  none;
}

void reparent(struct core *core, struct life *life, struct lt_id parent, uint64_t time_ns)
{
	const struct life *known = parent.pid ? life_find(core, parent) : NULL;
	struct lt_id was = life->parent_id;
	struct kin *kin;

	if (!parent.pid || id_is(was, parent) || life->state == LT_REAPED)
		return;
	/* between its exit record and its last step a father still is the parent */
	if (was.pid && known && known->state >= LT_EXITING)
		return;
	if (was.pid)
		policy_adopt(core, life, time_ns);
	life_set_parent(core, life, parent);
	if (!was.pid) /* not an adoption: it was only not known */
		return;
	life->flags |= LT_LIFE_ORPHAN;
	kin = life_kin(core, life);
	if (kin) {
		if (!kin->first_parent.pid)
			kin->first_parent = was;
		kin->adopted_by = parent;
	}
	if (life->state == LT_ZOMBIE)
		adopt_zombie(core, life, time_ns);
	core_tell(core, (struct change){ .kind = CHANGE_ORPHAN,
					 .time_ns = time_ns,
					 .life = life,
					 .was_parent = was });
}

/* wait(2): the status word as its macros read it. */
static void tally_end(struct core *core, const struct life *life)
{
	unsigned signal = (unsigned)life->exit_code & 0x7f;
	enum lt_end end = LT_END_UNKNOWN;

	if (life->flags & LT_LIFE_HAS_STATUS && signal < LT_SIGNALS)
		end = !signal		     ? LT_END_EXITED :
		      life->exit_code & 0x80 ? LT_END_DUMPED :
					       LT_END_KILLED;
	core->tallies.ends[end][end == LT_END_UNKNOWN ? 0 : signal]++;
}

static void tally_reap(struct core *core, const struct life *life)
{
	struct lt_tallies *tallies = &core->tallies;

	if (life->flags & LT_LIFE_AUTOREAPED) {
		tallies->reaps[LT_REAP_AUTO]++;
	} else if (life->reap_source == LT_REAP_SCAN) {
		tallies->reaps[LT_REAP_INFERRED]++;
	} else {
		tallies->reaps[LT_REAP_WAITED]++;
		if (life->zombie_ns)
			metrics_observe(&tallies->reap_latency, SCALE_REAP_LATENCY,
					life->reaped_ns > life->zombie_ns ?
						life->reaped_ns - life->zombie_ns :
						0);
	}
}

static void enter_death(struct core *core, struct life *life, uint64_t time_ns,
			const struct lt_hdr *record)
{
	if (!life->exited_ns)
		life->exited_ns = time_ns;
	if (!(life->flags & LT_LIFE_NAMED_ONLY)) { /* its end was counted with it, long ago */
		core->totals.exits++;
		tally_end(core, life);
	}
	fork_end(life, time_ns);
	forks_end(life);
	reaping_free(core, life);
	policy_parent_exited(core, life);
	tell(core, CHANGE_EXIT, life, time_ns, record);
}

static void enter_zombie(struct core *core, struct life *life, uint64_t time_ns,
			 const struct lt_hdr *record)
{
	if (!life->zombie_ns)
		life->zombie_ns = time_ns;
	life_death(core, life);
	policy_add_zombie(core, life);
	if (life->parent)
		reaping_died(core, life->parent, time_ns);
	tell(core, CHANGE_ZOMBIE, life, time_ns, record);
}

static void enter_reaped(struct core *core, struct life *life, uint64_t time_ns,
			 const struct lt_hdr *record)
{
	life->reaped_ns = time_ns;
	reaping_reaped(life, time_ns);
	if (life->queue != QUEUE_NONE)
		policy_drop_zombie(core, life);
	life_set_tracer(core, life, (struct lt_id){ 0 });
	life_leave_parent(life);
	stack_free(core, life);
	core_release(core, life->death, sizeof(*life->death));
	life->death = NULL;
	queue_put(core, life, QUEUE_REAPED);
	if (!(life->flags & LT_LIFE_NAMED_ONLY)) {
		core->totals.reaps++;
		tally_reap(core, life);
	}
	tell(core, life->flags & LT_LIFE_AUTOREAPED ? CHANGE_AUTOREAP : CHANGE_REAP, life, time_ns,
	     record);
}

bool life_is_new(const struct core *core, const struct life *life)
{
	return life->id.start_ns > core->start.started_ns;
}

/* Whoever is notified of, or freed, has exited: where that is news, its record has not come. */
static bool is_untold_exit(const struct core *core, const struct life *life, unsigned to,
			   const struct lt_hdr *record)
{
	return life->state < LT_EXITING && to > LT_EXITING && record &&
	       (record->kind == LT_NOTIFY || record->kind == LT_FREE) &&
	       life->flags & LT_LIFE_FORK_SEEN && life_is_new(core, life);
}

bool life_can_step(const struct life *life, enum step step)
{
	return next_state[life->state][step];
}

bool life_step(struct core *core, struct life *life, enum step step, uint64_t time_ns,
	       const struct lt_hdr *record)
{
	unsigned from = life->state, to = next_state[from][step];

	life->seen_state = 0;
	if (!to)
		return false;
	core->telling[TELLS_EXIT].untold += is_untold_exit(core, life, to, record);
	if (to == LT_STOPPED || from == LT_STOPPED)
		reaping_drop_tasks(core, life, time_ns);
	life_set_state(core, life, to);
	if (from < LT_EXITING && to >= LT_EXITING)
		enter_death(core, life, time_ns, record);
	if (to == LT_EXITING)
		queue_put(core, life, QUEUE_EXITING);
	else if (to == LT_ZOMBIE)
		enter_zombie(core, life, time_ns, record);
	else if (to == LT_REAPED)
		enter_reaped(core, life, time_ns, record);
	else if (to == LT_STOPPED)
		tell(core, CHANGE_STOP, life, time_ns, record);
	else if (from == LT_STOPPED && to == LT_RUNNING)
		tell(core, CHANGE_CONTINUE, life, time_ns, record);
	return true;
}

/* ---- the end of a life, however it becomes known ---- */

void reap(struct core *core, struct life *life, enum lt_reap_source source, struct lt_id by,
	  uint64_t time_ns, const struct lt_hdr *record)
{
	struct kin *kin;

	if (by.pid && !id_is(by, life->parent_id) && (kin = life_kin(core, life)))
		kin->reaped_by = by;
	life->reap_source = (uint8_t)source;
	life_step(core, life, source == LT_REAP_SCAN ? STEP_GONE : STEP_REAP, time_ns, record);
}

void autoreap(struct core *core, struct life *life, enum lt_reap_source source,
	      const struct lt_hdr *hdr)
{
	if (life->state == LT_REAPED)
		return;
	life->flags |= LT_LIFE_AUTOREAPED;
	life->reap_source = (uint8_t)source;
	life_step(core, life, STEP_AUTOREAP, hdr->time_ns, hdr);
}

void let_go(struct core *core, struct life *life, enum lt_reap_source source,
	    const struct lt_hdr *hdr)
{
	if (life->state == LT_REAPED)
		return;
	if (life->state == LT_EXITING && life->flags & LT_LIFE_SIGCHLD_IGNORED) {
		autoreap(core, life, source, hdr);
		return;
	}
	if (life->state != LT_ZOMBIE)
		life->flags |= LT_LIFE_INFERRED;
	reap(core, life, source, life->parent_id, hdr->time_ns, hdr);
}
