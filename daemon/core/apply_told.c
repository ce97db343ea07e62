// SPDX-License-Identifier: GPL-2.0-only
/* What the daemon tells: of /proc, of settings, of hooks; and another table, taken over. */
#include "apply.h"

#include <stdlib.h>
#include <string.h>

void apply_proc(struct core *core, const struct lt_proc *e)
{
	struct life *life = life_find(core, e->id);
	const struct program *old;
	char text[LT_TEXT_MAX];
	const char *exe, *args;
	uint16_t exe_len, args_len;
	uint32_t flags;

	if (!life || life->exec_ns > e->hdr.time_ns)
		return;
	old = life->program;
	exe = e->text;
	exe_len = e->exe_len;
	args = e->text + e->exe_len;
	args_len = e->args_len;
	flags = e->flags & LT_PROC_ARGS_CUT ? LT_LIFE_ARGS_CUT : 0;
	if (!(e->flags & LT_PROC_EXE)) {
		exe = old ? old->text : "";
		exe_len = old ? old->exe_len : 0;
	}
	if (!(e->flags & LT_PROC_ARGS)) {
		args = old ? old->text + old->exe_len : "";
		args_len = old ? old->args_len : 0;
		flags = old ? old->flags : LT_LIFE_ARGS_UNKNOWN;
	}
	if ((size_t)exe_len + args_len > sizeof(text))
		return;
	memcpy(text, exe, exe_len);
	memcpy(text + exe_len, args, args_len);
	life_set_program(core, life, text, exe_len, args_len, flags);
}

void apply_tasks(struct core *core, const struct lt_tasks *e)
{
	struct life *life = life_find(core, e->id);

	if (life && life->state < LT_EXITING)
		reaping_set_tasks(core, life, e);
}

void apply_adopter(struct core *core, const struct lt_adopter *e)
{
	struct life *life = life_find(core, e->id);

	if (life && life->state < LT_EXITING)
		reaping_set_adopter(core, life, e->adopter);
}

void apply_reaping(struct core *core, const struct lt_reaping *e)
{
	struct life *life = life_find(core, e->id);

	if (life && life->state < LT_EXITING)
		reaping_restore(core, life, e);
}

void apply_adoption(struct core *core, const struct lt_adoption *e)
{
	struct life *life = life_find(core, e->id);

	if (!life || !life->death || e->since_ns > core->now_ns)
		return;
	life->death->adopted_ns = e->since_ns;
	core->restoring = true;
	policy_adopt(core, life, e->since_ns);
	core->restoring = false;
}

void apply_births(struct core *core, const struct lt_births *e)
{
	struct life *life = life_find(core, e->id);

	if (life && life_make_rare(core, life))
		life->rare->births = (struct births){ e->count, e->second, e->now, e->before };
}

static void restore_kin(struct core *core, struct life *life, const struct lt_life *e)
{
	struct kin *kin;

	if (!e->first_parent.pid && !e->born_of.pid && !e->adopted_by.pid && !e->reaped_by.pid)
		return;
	kin = life_kin(core, life);
	if (!kin)
		return;
	kin->first_parent = e->first_parent;
	kin->born_of = e->born_of;
	kin->adopted_by = e->adopted_by;
	kin->reaped_by = e->reaped_by;
}

static void restore_forks(struct core *core, struct life *life, const struct lt_life *e)
{
	struct failures failures;

	life->fork_duration_ns = e->fork_duration_ns;
	life->vfork_wait_ns = e->vfork_wait_ns;
	life->rss_pages = (uint32_t)e->rss_pages;
	life->pagetable_kib = (uint32_t)(e->pagetable_bytes / 1024);
	memcpy(failures.by, e->fork_failures, sizeof(failures.by));
	if (failures.by[0].count)
		life_set_failures(core, life, &failures);
}

static void restore_zombie(struct core *core, struct life *life, const struct lt_life *e)
{
	struct death *death = life_death(core, life);

	if (death) {
		death->notify_flags = e->notify_flags;
		death->sa_flags = e->sa_flags;
		death->disposition = e->disposition;
		death->parent_waits = e->waits_at_death;
	}
	policy_restore_zombie(core, life, e->flagged_ns);
}

/* Another table's knowledge, taken over as it is; nothing is told. */
void apply_life(struct core *core, const struct lt_life *e)
{
	struct life *life = life_get(core, e->id);

	if (!life || e->state < LT_RUNNING || e->state > LT_REAPED || life->queue != QUEUE_NONE)
		return;
	core->restoring = true;
	life->flags = e->flags &
		      ~(uint32_t)(LT_LIFE_ARGS_CUT | LT_LIFE_ARGS_UNKNOWN | LT_LIFE_FORK_SHARES);
	life->forked_ns = e->forked_ns;
	life->exec_ns = e->exec_ns;
	if (e->exit_called_ns && life_make_rare(core, life))
		life->rare->exit_called_ns = e->exit_called_ns;
	life->exited_ns = e->exited_ns;
	life->zombie_ns = e->zombie_ns;
	life->reaped_ns = e->reaped_ns;
	life->exit_code = e->exit_code;
	life->reap_source = e->reap_source;
	take_scan_facts(core, life, e);
	if (e->state != LT_REAPED)
		life_set_parent(core, life, e->parent);
	else /* the parent may be forgotten: nobody is to think that it lives */
		life->parent_id = e->parent;
	life_set_state(core, life, e->state);
	restore_kin(core, life, e);
	life_set_tracer(core, life, e->tracer);
	if (!(e->flags & LT_LIFE_ARGS_UNKNOWN) || e->exe_len)
		life_set_program(core, life, e->text, e->exe_len, e->args_len, e->flags);
	if (e->waits.calls)
		life_set_waits(core, life, &e->waits);
	cow_restore(core, life, e);
	restore_forks(core, life, e);
	if (e->state < LT_EXITING)
		policy_restore_leak(core, life, e->leak_since_ns, e->leak_shrunk_ns);
	else
		policy_parent_exited(core, life);
	if (e->state == LT_ZOMBIE) {
		restore_zombie(core, life, e);
	} else if (e->state == LT_REAPED) {
		life_leave_parent(life);
		queue_put(core, life, QUEUE_REAPED);
	} else if (e->state == LT_EXITING) {
		queue_put(core, life, QUEUE_EXITING);
	}
	core->restoring = false;
}

void apply_start(struct core *core, const struct lt_start *e)
{
	core->start = *e;
	core->losses_swept = UINT64_MAX; /* nobody may have observed until now */
}

void apply_policy(struct core *core, const struct lt_policy *e)
{
	policy_apply(core, e);
}

static uint64_t hook_since(const struct hook_info *old, const struct lt_hook *e, const char *value)
{
	uint64_t since_ns = old->since_ns ? old->since_ns : e->hdr.time_ns;

	if (e->since_ns)
		return e->since_ns;
	return strncmp(value, "off", strlen("off")) ? since_ns : 0;
}

void apply_hook(struct core *core, const struct lt_hook *e)
{
	struct hook_info *hook = core->hooks;
	char *what = strndup(e->text, e->what_len);
	char *value = strndup(e->text + e->what_len, e->value_len);
	uint64_t since_ns;

	while (what && hook < core->hooks + HOOKS_MAX && hook->what && strcmp(hook->what, what))
		hook++;
	if (!what || !value || hook == core->hooks + HOOKS_MAX) {
		free(what);
		free(value);
		return;
	}
	since_ns = hook_since(hook, e, value);
	free(hook->what);
	free(hook->value);
	*hook = (struct hook_info){ what, value, since_ns };
	cow_apply_hook(core, hook);
	alerts_judge_hooks(core);
}

void apply_tick(struct core *core, const struct lt_hdr *e)
{
	(void)core;
	(void)e; /* time has passed already */
}

void apply_lost(struct core *core, const struct lt_counts *e)
{
	for (int i = 0; i < LT_KERNEL_KINDS; i++)
		core->totals.lost[i] += e->count[i];
	tell(core, CHANGE_LOST, NULL, e->hdr.time_ns, &e->hdr);
}

void apply_counts(struct core *core, const struct lt_counts *e)
{
	memcpy(core->sent, e->count, sizeof(core->sent));
}

void apply_totals(struct core *core, const struct lt_totals *e)
{
	core->totals.forks = e->forks;
	core->totals.execs = e->execs;
	core->totals.exits = e->exits;
	core->totals.reaps = e->reaps;
	core->totals.repairs = e->repairs;
	core->totals.refused = e->refused;
	core->totals.bad_records += e->bad_records; /* and those of the dump itself */
	memcpy(core->totals.lost, e->lost, sizeof(core->totals.lost));
	memcpy(core->failures.by, e->fork_failures, sizeof(core->failures.by));
}

void apply_tallies(struct core *core, const struct lt_tallies *e)
{
	core->tallies = *e;
	core->totals.cow_copies = e->cow_copies;
	core->totals.cow_reuses = e->cow_reuses;
}

void apply_alert_policy(struct core *core, const struct lt_alert_policy *e)
{
	alerts_apply_policy(core, e);
}

void apply_alert(struct core *core, const struct lt_alert *e)
{
	alerts_apply(core, e);
}

void apply_health(struct core *core, const struct lt_health *e)
{
	core->health = *e;
}

void apply_ledger(struct core *core, const struct lt_ledger *e)
{
	(void)core;
	(void)e; /* the daemon's own */
}

/* ---- leaks ---- */

void apply_names(struct core *core, const struct lt_names *e)
{
	names_apply(core, e);
}

void apply_limits(struct core *core, const struct lt_limits *e)
{
	struct life *life = life_find(core, e->id);

	if (!life)
		return;
	leak_set_limits(core, life, e);
	alerts_judge_pids(core, life);
}

void apply_stack(struct core *core, const struct lt_stack *e)
{
	struct life *life = life_find(core, e->id);

	if (life)
		stack_begin(core, life, e);
}

void apply_stack_part(struct core *core, const struct lt_stack_part *e)
{
	struct life *life = life_find(core, e->id);

	if (life)
		stack_add(life, e);
}

void apply_silence(struct core *core, const struct lt_silence *e)
{
	silence_apply(core, e);
	policy_silenced(core);
}

void apply_leak(struct core *core, const struct lt_leak *e)
{
	struct life *life = life_find(core, e->id);

	if (life && life->leak) {
		life->leak->rate = e->rate;
		life->leak->told = e->told;
	}
}
