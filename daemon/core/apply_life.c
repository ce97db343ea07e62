// SPDX-License-Identifier: GPL-2.0-only
/* What the kernel side tells of a life: one handler a kind. */
#include "apply.h"
#include "metrics.h"

#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>

/* ---- birth, exec ---- */

/* A record of birth that comes after others: who adopted it since is known already. */
static void set_first_parent(struct core *core, struct life *life, struct lt_id parent)
{
	struct kin *kin;

	if (!life->parent_id.pid) {
		life_set_parent(core, life, parent);
		return;
	}
	if (id_is(life->parent_id, parent) || life->flags & LT_LIFE_ORPHAN)
		return;
	life->flags |= LT_LIFE_ORPHAN;
	kin = life_kin(core, life);
	if (!kin)
		return;
	kin->first_parent = parent;
	kin->adopted_by = life->parent_id;
}

/* With one memory for both, nothing is copied; nor where the record comes after the end of it. */
static void begin_sharing(struct core *core, struct life *life, struct life *creator,
			  const struct lt_fork *e)
{
	if (creator)
		cow_told(core, creator, &e->creator_cow);
	if (core->cow_observed && e->flags & LT_FORK_SIZES && !(e->clone_flags & CLONE_VM) &&
	    !life->exec_ns && life->state < LT_EXITING)
		fork_begin(core, life, creator);
}

static void set_fork_cost(struct life *life, const struct lt_fork *e)
{
	life->fork_duration_ns = e->duration_ns;
	if (!(e->flags & LT_FORK_SIZES))
		return;
	life->flags |= LT_LIFE_FORK_SIZES;
	life->rss_pages = (uint32_t)e->rss_pages;
	life->pagetable_kib = (uint32_t)(e->pagetable_bytes / 1024);
}

void apply_fork(struct core *core, const struct lt_fork *e)
{
	struct life *life = life_find(core, e->child), *creator, *older;
	bool late = life != NULL;
	struct kin *kin;

	core->telling[TELLS_BIRTH].told++;
	if (late && life->flags & LT_LIFE_FORK_SEEN)
		return;
	if (!e->child.pid || (!late && !(life = life_new(core, e->child))))
		return;
	core->totals.forks++;
	/* a pid is given away only when its last owner is gone */
	for (older = life_older(life); older && older->state != LT_REAPED;
	     older = life_older(older))
		let_go(core, older, LT_REAP_LOOK, &e->hdr);
	life->flags |= LT_LIFE_FORK_SEEN;
	life->flags &= ~(uint32_t)(LT_LIFE_INFERRED | LT_LIFE_NAMED_ONLY);
	if (e->flags & LT_FORK_KERNEL)
		life->flags |= LT_LIFE_KERNEL;
	set_first_parent(core, life, e->parent);
	if (!id_is(e->creator, e->parent) && (kin = life_kin(core, life)))
		kin->born_of = e->creator;
	if (life->parent)
		reaping_born(life->parent);
	life->forked_ns = e->hdr.time_ns;
	life->ns_pid = e->ns_pid;
	life->exit_signal = (uint8_t)e->exit_signal;
	set_fork_cost(life, e);
	if (e->duration_ns)
		metrics_observe(&core->tallies.fork_duration, SCALE_FORK_DURATION, e->duration_ns);
	creator = life_find(core, e->creator);
	if (creator)
		life_count_birth(core, creator, e->hdr.time_ns);
	begin_sharing(core, life, creator, e);
	if (!life->exec_ns) {
		life->uid = e->uid;
		life_set_comm(life, e->comm);
		life_set_cgroup(core, life, e->cgroup);
		if (creator && !life->program)
			life_share_program(core, life, creator);
	}
	tell(core, CHANGE_FORK, life, e->hdr.time_ns, &e->hdr);
}

void apply_fork_fail(struct core *core, const struct lt_fork_fail *e)
{
	struct life *life = life_get(core, e->parent);

	failures_add(&core->failures, e->err);
	if (!life)
		return;
	if (life_make_rare(core, life))
		failures_add(&life->rare->failures, e->err);
	tell(core, CHANGE_FORK_FAIL, life, e->hdr.time_ns, &e->hdr);
}

void apply_fork_end(struct core *core, const struct lt_fork_end *e)
{
	struct life *life = life_find(core, e->child);

	if (life)
		life->vfork_wait_ns = e->vfork_wait_ns;
}

/* Its own counts and its parent's, which may be its creator's: up to here they are the fork's. */
static void told_of_both(struct core *core, struct life *life, const struct lt_cow_counts *own,
			 struct lt_id parent_id, const struct lt_cow_counts *parents)
{
	struct life *parent = parent_id.pid ? life_find(core, parent_id) : NULL;

	cow_told(core, life, own);
	if (parent && parent->state != LT_REAPED)
		cow_told(core, parent, parents);
}

void apply_exec(struct core *core, const struct lt_exec *e)
{
	struct life *life = life_get(core, e->id);
	uint32_t flags = (e->flags & LT_EXEC_ARGS_CUT ? LT_LIFE_ARGS_CUT : 0) |
			 (e->flags & LT_EXEC_NO_ARGS ? LT_LIFE_ARGS_UNKNOWN : 0);
	char comm_before[LT_COMM_LEN];

	if (!life || life->exec_ns >= e->hdr.time_ns)
		return;
	memcpy(comm_before, life->comm, LT_COMM_LEN);
	core->totals.execs++;
	told_of_both(core, life, &e->cow, e->parent, &e->parent_cow);
	fork_end(life, e->hdr.time_ns);
	fork_drop_small(core, life);
	reaping_forget(life, e->hdr.time_ns);
	reaping_drop_tasks(core, life, e->hdr.time_ns);
	life->exec_ns = e->hdr.time_ns;
	if (life->rare && life->rare->exit_called_ns < e->hdr.time_ns)
		life->rare->exit_called_ns = 0; /* by a handler: this program has not called it */
	life->uid = e->uid;
	life_set_comm(life, e->comm);
	life_set_cgroup(core, life, e->cgroup);
	life_set_program(core, life, e->text, e->exe_len, e->args_len, flags);
	core_tell(core, (struct change){ .kind = CHANGE_EXEC,
					 .time_ns = e->hdr.time_ns,
					 .life = life,
					 .record = &e->hdr,
					 .comm_before = comm_before });
	life_step(core, life, STEP_EXEC, e->hdr.time_ns, &e->hdr);
}

void apply_comm(struct core *core, const struct lt_comm *e)
{
	struct life *life = life_find(core, e->id);

	if (life)
		life_set_comm(life, e->comm);
}

/* ---- exit ---- */

/* The first call counts. */
void apply_exit_call(struct core *core, const struct lt_exit_call *e)
{
	struct life *life = life_get(core, e->id);

	if (!life || life->state == LT_REAPED || e->hdr.time_ns < life->exec_ns ||
	    life_rare(life)->exit_called_ns || life->flags & LT_LIFE_CALLED__EXIT)
		return;
	if (!e->handlers)
		life->flags |= LT_LIFE_CALLED__EXIT;
	else if (life_make_rare(core, life))
		life->rare->exit_called_ns = e->hdr.time_ns;
}

void apply_new_files(struct core *core, const struct lt_new_files *e)
{
	(void)core;
	(void)e; /* only the daemon's: see handlers.h */
}

void apply_leader_exit(struct core *core, const struct lt_leader_exit *e)
{
	struct life *life = life_get(core, e->id);

	if (life)
		life_step(core, life, STEP_LEADER_EXIT, e->hdr.time_ns, &e->hdr);
}

/* In order of birth: what is told must not depend on how the table came to be. */
static void adopt_children(struct core *core, struct life *father, struct lt_id adopter,
			   uint64_t time_ns)
{
	size_t count = (size_t)father->alive + father->zombies, kept = 0;
	struct life **children = count ? malloc(count * sizeof(struct life *)) : NULL, *child;

	if (!children)
		return;
	DL_FOREACH2(father->children, child, sibling_next)
		if (kept < count)
			children[kept++] = child;
	qsort(children, kept, sizeof(struct life *), life_order);
	for (size_t i = 0; i < kept; i++)
		reparent(core, children[i], adopter, time_ns);
	free(children);
}

/* A dead tracer holds nobody. */
static void release_traced(struct core *core, struct lt_id tracer)
{
	struct kin *kin, *next;

	DL_FOREACH_SAFE2(core->traced, kin, next, traced_next)
		if (id_is(kin->tracer, tracer))
			life_set_tracer(core, kin->traced, (struct lt_id){ 0 });
}

void apply_exit(struct core *core, const struct lt_exit *e)
{
	struct life *life = life_get(core, e->id);

	core->telling[TELLS_EXIT].told++;
	if (!life || life->flags & LT_LIFE_EXIT_SEEN)
		return;
	life->flags |= LT_LIFE_EXIT_SEEN;
	if (e->flags & LT_EXIT_SIGCHLD_IGNORED)
		life->flags |= LT_LIFE_SIGCHLD_IGNORED;
	life->exited_ns = e->hdr.time_ns;
	life->exit_signal = (uint8_t)e->exit_signal;
	life->uid = e->uid;
	life_set_status(life, e->exit_code);
	told_of_both(core, life, &e->cow, e->parent, &e->parent_cow);
	if (e->cow.since_ns)
		tell(core, CHANGE_COW, life, e->hdr.time_ns, &e->hdr);
	reparent(core, life, e->parent, e->hdr.time_ns);
	if (e->flags & LT_EXIT_TRACED)
		life_set_tracer(core, life, e->tracer);
	life_step(core, life, STEP_EXIT, e->hdr.time_ns, &e->hdr);
	adopt_children(core, life, e->adopter, e->hdr.time_ns);
	release_traced(core, e->id);
	/* nobody is sent a signal for these: they are zombies from here on */
	if (!e->exit_signal || e->flags & LT_EXIT_TRACED)
		life_step(core, life, STEP_ZOMBIE, e->hdr.time_ns, &e->hdr);
}

/* The zombie that a tracer let go: si_pid is its pid as its parent sees it. */
static struct life *find_untraced(struct core *core, const struct lt_notify *e)
{
	const struct kin *kin;

	DL_FOREACH2(core->traced, kin, traced_next)
		if (id_is(kin->traced->parent_id, e->parent) &&
		    (kin->traced->id.pid == e->id.pid || kin->traced->ns_pid == e->id.pid))
			return kin->traced;
	return NULL;
}

static void set_death(struct core *core, struct life *life, const struct lt_notify *e)
{
	struct death *death = life_death(core, life);

	if (!death)
		return;
	death->notify_flags = e->flags;
	death->sa_flags = e->sa_flags;
	death->disposition = e->disposition;
	death->parent_waits = e->parent_waits;
	life->flags |= LT_LIFE_NOTIFY_SEEN;
}

/* A zombie that was only inferred so far begins when its own record says. */
static void correct_begin(struct core *core, struct life *life, uint64_t begin_ns)
{
	if (life->flags & LT_LIFE_EXIT_SEEN || life->queue != QUEUE_YOUNG)
		return;
	life->zombie_ns = begin_ns;
	policy_add_zombie(core, life);
}

void apply_notify(struct core *core, const struct lt_notify *e)
{
	bool untraced = e->flags & LT_NOTIFY_UNTRACED;
	struct life *life = untraced ? find_untraced(core, e) : life_get(core, e->id);

	core->telling[TELLS_ZOMBIE].told++;
	if (!life || life->state == LT_REAPED)
		return;
	if (!untraced) {
		if (life->flags & LT_LIFE_NOTIFY_SEEN)
			return;
		life_set_status(life, e->exit_code);
		reparent(core, life, e->parent, e->hdr.time_ns);
	}
	life_set_tracer(core, life, e->tracer);
	set_death(core, life, e);
	if (life->parent && !(e->flags & (LT_NOTIFY_AUTOREAP | LT_NOTIFY_TRACED)))
		reaping_notified(core, life->parent, e);
	if (e->flags & LT_NOTIFY_AUTOREAP)
		autoreap(core, life, LT_REAP_RELEASE, &e->hdr);
	else if (!life_step(core, life, STEP_ZOMBIE, e->hdr.time_ns, &e->hdr) && !untraced)
		correct_begin(core, life, e->hdr.time_ns);
}

/* ---- reap ---- */

/*
 * kernel/exit.c: a task that is autoreaped releases itself; zombies whose
 * adopter does not want them are released by their dying father.
 */
void apply_release(struct core *core, const struct lt_release *e)
{
	struct life *life = life_find(core, e->id), *by = life_find(core, e->by);

	if (!life || life->state == LT_REAPED)
		return;
	if (id_is(e->id, e->by) ||
	    (!id_is(e->by, life->parent_id) && by && by->state >= LT_EXITING))
		autoreap(core, life, LT_REAP_RELEASE, &e->hdr);
	else
		reap(core, life, LT_REAP_RELEASE, e->by, e->hdr.time_ns, &e->hdr);
}

/* Comes for every task that is not hidden from BPF; alone, it is late. */
void apply_free(struct core *core, const struct lt_free *e)
{
	struct life *life = life_find(core, e->id);

	core->telling[TELLS_REAP].told++;
	if (life)
		let_go(core, life, LT_REAP_FREE, &e->hdr);
}

void apply_absent(struct core *core, const struct lt_free *e)
{
	struct life *life = life_find(core, e->id);

	if (!life || life->state < LT_EXITING)
		return;
	core->telling[TELLS_REAP].untold += life->state != LT_REAPED && life_is_new(core, life);
	let_go(core, life, LT_REAP_LOOK, &e->hdr);
}

/* ---- stop, continue, wait ---- */

void apply_stop(struct core *core, const struct lt_stop *e)
{
	struct life *life = life_get(core, e->id);

	if (life)
		life_step(core, life, STEP_STOP, e->hdr.time_ns, &e->hdr);
}

void apply_continue(struct core *core, const struct lt_stop *e)
{
	struct life *life = life_get(core, e->id);

	if (life)
		life_step(core, life, STEP_CONTINUE, e->hdr.time_ns, &e->hdr);
}

void apply_waits(struct core *core, const struct lt_wait *e)
{
	struct life *life = life_find(core, e->id);

	if (!life || life->state == LT_REAPED || e->waits.start_ns != e->id.start_ns)
		return;
	life_set_waits(core, life, &e->waits);
}

void apply_wait(struct core *core, const struct lt_wait *e)
{
	struct life *life = life_get(core, e->id);

	if (!life)
		return;
	apply_waits(core, e);
	tell(core, CHANGE_WAIT, life, e->hdr.time_ns, &e->hdr);
}

void apply_wait_call(struct core *core, const struct lt_wait_call *e)
{
	struct life *life = life_get(core, e->id);

	if (life)
		tell(core, CHANGE_WAIT, life, e->hdr.time_ns, &e->hdr);
}

/* ---- copy-on-write ---- */

void apply_cow(struct core *core, const struct lt_cow *e)
{
	struct life *life = life_get(core, e->id);

	if (!life || life->state == LT_REAPED)
		return;
	cow_told(core, life, &e->counts);
	tell(core, CHANGE_COW, life, e->hdr.time_ns, &e->hdr);
}

void apply_cows(struct core *core, const struct lt_cow *e)
{
	struct life *life = life_find(core, e->id);

	if (life && life->state != LT_REAPED)
		cow_told(core, life, &e->counts);
}

void apply_cow_fault(struct core *core, const struct lt_cow_fault *e)
{
	const struct life *life = life_find(core, e->id);

	if (life)
		tell(core, CHANGE_COW_FAULT, life, e->hdr.time_ns, &e->hdr);
}

void apply_cgroup(struct core *core, const struct lt_cgroup *e)
{
	cgroup_apply(core, e);
}

void apply_cgroup_gone(struct core *core, const struct lt_cgroup *e)
{
	cgroup_apply(core, e);
}

void apply_thread(struct core *core, const struct lt_hdr *e)
{
	(void)core;
	(void)e;
}
