// SPDX-License-Identifier: GPL-2.0-only
/*
 * When an alert begins and when it is over. One that fires stays until its
 * condition has not held for `settle`; so it does not flap, and an event such as
 * a loss is a condition that held for a moment.
 */
#include "alerts.h"

#include <string.h>

#include "life.h"
#include "text.h"

const char *const alert_names[ALERT_KINDS] = {
#define X(NAME, name, severity, remedy) [ALERT_##NAME] = name,
	LT_ALERT_KINDS(X)
#undef X
};

const char *const alert_hooks[ALERT_HOOKS] = { NULL,	 "birth", "exec", "exit",
					       "zombie", "reap",  "wait" };

static void tell(struct core *core, enum alert_kind kind, bool firing)
{
	const struct alert *alert = &core->alerts[kind];
	const struct alert_change change = { kind, firing, alert->since_ns, alert->value,
					     alert_hooks[alert->hook] };

	core_tell(core, (struct change){
				.kind = CHANGE_ALERT, .time_ns = core->now_ns, .alert = &change });
}

/* ---- whom they are about ---- */

static const struct life *holds_most(const struct core *core)
{
	const struct life *life, *most = NULL;

	EACH_LIFE(core, life)
		if (life->zombies > (most ? most->zombies : 0) && !is_quiet(core, life))
			most = life;
	return most;
}

/* Of a cgroup's processes, as of one that bears children which bear children. */
static const struct cgroup_info *cgroup_that_bears_most(const struct core *core)
{
	const struct cgroup_info *most = NULL;
	const struct life *life;

	EACH_LIFE(core, life)
		if (life->cgroup)
			life->cgroup->births = 0;
	EACH_LIFE(core, life) {
		if (!life->cgroup || silence_of(core, life))
			continue;
		life->cgroup->births += births_lately(life, core->now_ns);
		if (!most || life->cgroup->births > most->births)
			most = life->cgroup;
	}
	return most;
}

static bool is_before(const struct life *a, const struct life *b)
{
	return life_order(&a, &b) < 0;
}

static struct lt_id who_bears_most(const struct core *core)
{
	const struct cgroup_info *cgroup = cgroup_that_bears_most(core);
	const struct life *life, *most = NULL;
	uint32_t births, best = 0;

	EACH_LIFE(core, life) {
		if (life->cgroup != cgroup || silence_of(core, life))
			continue;
		births = births_lately(life, core->now_ns);
		if (births > best || (most && births == best && is_before(life, most))) {
			best = births;
			most = life;
		}
	}
	return most ? most->id : (struct lt_id){ 0 };
}

const struct life *alert_about(const struct core *core, enum alert_kind kind)
{
	switch (kind) {
	case ALERT_FLAGGED:
		return holds_most(core);
	case ALERT_FORK_STORM:
		return core->alerts[kind].by.pid ? life_find(core, core->alerts[kind].by) : NULL;
	case ALERT_LOST:
	case ALERT_BLIND:
		return life_of_pid(core, core->alert_policy.self_pid);
	default:
		return NULL;
	}
}

/* The daemon: of what is only about itself nobody is told. */
static bool is_self_silenced(const struct core *core)
{
	const struct life *self = core->silences ? alert_about(core, ALERT_BLIND) : NULL;

	return self && silence_of(core, self);
}

/* ---- from a condition to an alert ---- */

static uint64_t hold_ns(const struct core *core, enum alert_kind kind)
{
	return kind == ALERT_FORK_STORM ? core->alert_policy.storm_for_ns : 0;
}

static void fire_if_due(struct core *core, enum alert_kind kind)
{
	struct alert *alert = &core->alerts[kind];

	if (alert->since_ns || !alert->held_ns ||
	    ns_after(alert->held_ns, hold_ns(core, kind)) > core->now_ns)
		return;
	alert->since_ns = core->now_ns;
	if (kind == ALERT_FORK_STORM)
		alert->by = who_bears_most(core);
	tell(core, kind, true);
}

/* Its condition holds now, or does not. */
static void judge(struct core *core, enum alert_kind kind, bool holds, uint64_t value)
{
	struct alert *alert = &core->alerts[kind];

	if (holds) {
		alert->value = value;
		alert->calm_ns = 0;
		if (!alert->held_ns)
			alert->held_ns = core->now_ns;
		fire_if_due(core, kind);
	} else {
		if (alert->since_ns && !alert->calm_ns)
			alert->calm_ns = core->now_ns;
		alert->held_ns = 0;
	}
}

/* ---- conditions ---- */

void alerts_judge_flagged(struct core *core)
{
	uint64_t limit = core->alert_policy.flagged_limit;
	uint64_t all = core->totals.flagged, quiet = core->flagged_quiet;
	uint64_t flagged = all > quiet ? all - quiet : 0;

	judge(core, ALERT_FLAGGED, limit && flagged > limit, flagged);
}

static bool storms(const struct core *core)
{
	return core->alert_policy.storm_per_s &&
	       core->storm.births > core->alert_policy.storm_per_s;
}

/* The second is over: the births of the next one are counted anew. */
static void end_second(struct core *core)
{
	judge(core, ALERT_FORK_STORM, storms(core), core->storm.births);
	core->storm = (struct storm){ .begin_ns = core->now_ns };
}

/* Those of a silenced parent do not count. */
static void count_birth(struct core *core, const struct life *parent)
{
	if (ns_after(core->storm.begin_ns, NSEC_PER_SEC) <= core->now_ns)
		end_second(core);
	if (core->silences && parent && silence_of(core, parent))
		return;
	core->storm.births++;
	if (storms(core))
		judge(core, ALERT_FORK_STORM, true, core->storm.births);
}

/* Its place in alert_hooks; 0: much goes without it. */
static uint32_t hook_of(const char *what)
{
	for (uint32_t i = 1; i < ALERT_HOOKS; i++)
		if (!strcmp(what, alert_hooks[i]))
			return i;
	return 0;
}

/* The first of them that is off; 0: none. */
static uint32_t missing_hook(const struct core *core)
{
	const struct hook_info *hook = core->hooks;

	for (; hook < core->hooks + HOOKS_MAX && hook->what; hook++)
		if (!strncmp(hook->value, "off", 3) && hook_of(hook->what))
			return hook_of(hook->what);
	return 0;
}

static void judge_blind(struct core *core, uint32_t hook, uint64_t count)
{
	bool holds = hook && !is_self_silenced(core);

	if (holds)
		core->alerts[ALERT_BLIND].hook = hook;
	judge(core, ALERT_BLIND, holds, count);
}

void alerts_judge_hooks(struct core *core)
{
	judge_blind(core, missing_hook(core), 0);
}

void alerts_untold(struct core *core, const char *what, uint64_t count)
{
	judge_blind(core, hook_of(what), count);
	alerts_judge_hooks(core);
}

static void judge_lost(struct core *core, const struct lt_counts *e)
{
	struct alert *alert = &core->alerts[ALERT_LOST];
	uint64_t lost = alert->since_ns ? alert->value : 0;

	for (int i = 0; i < LT_KERNEL_KINDS; i++)
		lost += e->count[i];
	judge(core, ALERT_LOST, !is_self_silenced(core), lost);
	judge(core, ALERT_LOST, false, lost);
}

static void tell_leak(struct core *core, const struct change *change, enum alert_kind kind)
{
	const struct leak *leak = change->life->leak;
	const struct alert_change alert = { kind, change->kind == CHANGE_LEAK_OPEN,
					    leak ? leak->since_ns : 0, change->life->zombies,
					    change->reason };

	core_tell(core, (struct change){ .kind = CHANGE_ALERT,
					 .time_ns = change->time_ns,
					 .life = change->life,
					 .alert = &alert });
}

static void tell_pids(struct core *core, const struct life *parent, bool firing, uint64_t in_s,
		      const char *reason)
{
	const struct alert_change alert = { ALERT_PIDS, firing, parent->leak->pids_alert_ns, in_s,
					    reason };

	core_tell(core, (struct change){ .kind = CHANGE_ALERT,
					 .time_ns = core->now_ns,
					 .life = parent,
					 .alert = &alert });
}

/*
 * Over when it is twice as far off: the rate goes up and down. And of a leak that
 * has only just begun it says nothing: its first zombies came at once.
 */
void alerts_judge_pids(struct core *core, const struct life *parent)
{
	uint64_t within_s = core->alert_policy.pids_within_ns / NSEC_PER_SEC, in_s;
	struct leak *leak = parent->leak;

	if (!leak || !leak->told || silence_of(core, parent) ||
	    ns_after(leak->since_ns, core->alert_policy.settle_ns) > core->now_ns)
		return;
	in_s = leak_exhausted_in_s(leak, core->now_ns);
	if (!leak->pids_alert_ns && in_s < within_s) {
		leak->pids_alert_ns = core->now_ns;
		tell_pids(core, parent, true, in_s, leak_limit_name(leak));
	} else if (leak->pids_alert_ns && in_s / 2 >= within_s) {
		tell_pids(core, parent, false, 0, NULL);
		leak->pids_alert_ns = 0;
	}
}

static void end_pids(struct core *core, const struct life *parent)
{
	if (!parent->leak || !parent->leak->pids_alert_ns)
		return;
	tell_pids(core, parent, false, 0, NULL);
	parent->leak->pids_alert_ns = 0;
}

void alerts_note(struct core *core, const struct change *change)
{
	switch (change->kind) {
	case CHANGE_FORK:
		count_birth(core, change->life->parent);
		break;
	case CHANGE_FLAGGED:
	case CHANGE_REAP:
	case CHANGE_AUTOREAP:
		alerts_judge_flagged(core);
		break;
	case CHANGE_LEAK_CLOSE:
		end_pids(core, change->life);
		tell_leak(core, change, ALERT_LEAK);
		break;
	case CHANGE_LEAK_OPEN:
		tell_leak(core, change, ALERT_LEAK);
		break;
	case CHANGE_LOST:
		judge_lost(core, (const void *)change->record);
		break;
	default:
		break;
	}
}

/* ---- time ---- */

/* While births come too fast, or have: whether they still do is known when a second is over. */
static bool counts_seconds(const struct core *core)
{
	const struct alert *storm = &core->alerts[ALERT_FORK_STORM];

	return storm->held_ns || (storm->since_ns && !storm->calm_ns);
}

static uint64_t due_ns(const struct core *core, enum alert_kind kind)
{
	const struct alert *alert = &core->alerts[kind];

	if (alert->since_ns)
		return alert->calm_ns ? ns_after(alert->calm_ns, core->alert_policy.settle_ns) :
					UINT64_MAX;
	return alert->held_ns ? ns_after(alert->held_ns, hold_ns(core, kind)) : UINT64_MAX;
}

static bool any_is_pending(const struct core *core)
{
	uint64_t pending = 0;

	for (int kind = 0; kind < ALERT_KINDS; kind++)
		pending |= core->alerts[kind].since_ns | core->alerts[kind].held_ns;
	return pending;
}

/* Asked for at each record: on most hosts there is none. */
uint64_t alerts_due_ns(const struct core *core)
{
	uint64_t first_ns;

	if (!any_is_pending(core))
		return UINT64_MAX;
	first_ns = counts_seconds(core) ? ns_after(core->storm.begin_ns, NSEC_PER_SEC) : UINT64_MAX;
	for (int kind = 0; kind < ALERT_KINDS; kind++)
		if (due_ns(core, kind) < first_ns)
			first_ns = due_ns(core, kind);
	return first_ns;
}

static void resolve(struct core *core, enum alert_kind kind)
{
	tell(core, kind, false);
	core->alerts[kind] = (struct alert){ 0 };
}

void alerts_advance(struct core *core)
{
	if (counts_seconds(core) && ns_after(core->storm.begin_ns, NSEC_PER_SEC) <= core->now_ns)
		end_second(core);
	for (int kind = 0; kind < ALERT_KINDS; kind++) {
		if (due_ns(core, kind) > core->now_ns)
			continue;
		if (core->alerts[kind].since_ns)
			resolve(core, kind);
		else
			fire_if_due(core, kind);
	}
}

/* ---- settings, and another table's ---- */

void alerts_init(struct core *core)
{
	core->alert_policy = (struct alert_policy){ .settle_ns = 60 * NSEC_PER_SEC };
}

void alerts_apply_policy(struct core *core, const struct lt_alert_policy *e)
{
	struct alert_policy *policy = &core->alert_policy;
	uint32_t len = e->host_len < sizeof(policy->host) ? e->host_len :
							    (uint32_t)sizeof(policy->host) - 1;

	policy->flagged_limit = e->flagged_limit;
	policy->storm_per_s = e->storm_per_s;
	policy->storm_for_ns = e->storm_for_ns;
	policy->settle_ns = e->settle_ns;
	policy->pids_within_ns = e->pids_within_ns;
	policy->self_pid = e->self_pid;
	memcpy(policy->host, e->text, len);
	policy->host[len] = '\0';
	alerts_judge_flagged(core);
}

static bool is_of_parent(unsigned kind)
{
	return kind == ALERT_LEAK || kind == ALERT_PIDS;
}

void alerts_apply(struct core *core, const struct lt_alert *e)
{
	struct life *parent = e->parent.pid ? life_find(core, e->parent) : NULL;

	if (e->alert == ALERT_PIDS && parent && parent->leak)
		parent->leak->pids_alert_ns = e->since_ns;
	if (e->alert >= ALERT_KINDS || is_of_parent(e->alert))
		return;
	core->alerts[e->alert] = (struct alert){ .since_ns = e->since_ns,
						 .held_ns = e->held_ns,
						 .calm_ns = e->calm_ns,
						 .value = e->value,
						 .by = e->parent,
						 .hook = e->hook < ALERT_HOOKS ? e->hook : 0 };
}
