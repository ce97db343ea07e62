// SPDX-License-Identifier: GPL-2.0-only
/* From a record to the table: the state machine and one handler a kind. */
#include "life.h"
#include "metrics.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>

/* ---- the state machine ---- */

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

static void tell(struct core *core, enum change_kind kind, const struct life *life,
		 uint64_t time_ns, const struct lt_hdr *record)
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

static void reparent(struct core *core, struct life *life, struct lt_id parent, uint64_t time_ns)
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

/* Takes the step if the life's state knows it; returns whether it did. */
static bool life_step(struct core *core, struct life *life, enum step step, uint64_t time_ns,
		      const struct lt_hdr *record)
{
	unsigned from = life->state, to = next_state[from][step];

	life->seen_state = 0;
	if (!to)
		return false;
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

static void reap(struct core *core, struct life *life, enum lt_reap_source source, struct lt_id by,
		 uint64_t time_ns, const struct lt_hdr *record)
{
	struct kin *kin;

	if (by.pid && !id_is(by, life->parent_id) && (kin = life_kin(core, life)))
		kin->reaped_by = by;
	life->reap_source = (uint8_t)source;
	life_step(core, life, source == LT_REAP_SCAN ? STEP_GONE : STEP_REAP, time_ns, record);
}

static void autoreap(struct core *core, struct life *life, enum lt_reap_source source,
		     const struct lt_hdr *hdr)
{
	if (life->state == LT_REAPED)
		return;
	life->flags |= LT_LIFE_AUTOREAPED;
	life->reap_source = (uint8_t)source;
	life_step(core, life, STEP_AUTOREAP, hdr->time_ns, hdr);
}

/* The kernel let go of it, and nobody told: SIG_IGN, or what told it was missed. */
static void let_go(struct core *core, struct life *life, enum lt_reap_source source,
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

/* ---- birth, exec ---- */

static void set_comm(struct life *life, const char comm[LT_COMM_LEN])
{
	memcpy(life->comm, comm, LT_COMM_LEN);
	life->comm[LT_COMM_LEN - 1] = '\0';
}

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

static void apply_fork(struct core *core, const struct lt_fork *e)
{
	struct life *life = life_find(core, e->child), *creator, *older;
	bool late = life != NULL;
	struct kin *kin;

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
		set_comm(life, e->comm);
		life_set_cgroup(core, life, e->cgroup);
		if (creator && !life->program)
			life_share_program(core, life, creator);
	}
	tell(core, CHANGE_FORK, life, e->hdr.time_ns, &e->hdr);
}

static void apply_fork_fail(struct core *core, const struct lt_fork_fail *e)
{
	struct life *life = life_get(core, e->parent);

	failures_add(&core->failures, e->err);
	if (!life)
		return;
	if (life_make_rare(core, life))
		failures_add(&life->rare->failures, e->err);
	tell(core, CHANGE_FORK_FAIL, life, e->hdr.time_ns, &e->hdr);
}

static void apply_fork_end(struct core *core, const struct lt_fork_end *e)
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

static void apply_exec(struct core *core, const struct lt_exec *e)
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
	life->exec_ns = e->hdr.time_ns;
	if (life->rare && life->rare->exit_called_ns < e->hdr.time_ns)
		life->rare->exit_called_ns = 0; /* by a handler: this program has not called it */
	life->uid = e->uid;
	set_comm(life, e->comm);
	life_set_cgroup(core, life, e->cgroup);
	life_set_program(core, life, e->text, e->exe_len, e->args_len, flags);
	core_tell(core, (struct change){ .kind = CHANGE_EXEC,
					 .time_ns = e->hdr.time_ns,
					 .life = life,
					 .record = &e->hdr,
					 .comm_before = comm_before });
	life_step(core, life, STEP_EXEC, e->hdr.time_ns, &e->hdr);
}

static void apply_comm(struct core *core, const struct lt_comm *e)
{
	struct life *life = life_find(core, e->id);

	if (life)
		set_comm(life, e->comm);
}

/* ---- exit ---- */

/* The first call counts. */
static void apply_exit_call(struct core *core, const struct lt_exit_call *e)
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

static void apply_new_files(struct core *core, const struct lt_new_files *e)
{
	(void)core;
	(void)e; /* only the daemon's: see handlers.h */
}

static void apply_leader_exit(struct core *core, const struct lt_leader_exit *e)
{
	struct life *life = life_get(core, e->id);

	if (life)
		life_step(core, life, STEP_LEADER_EXIT, e->hdr.time_ns, &e->hdr);
}

static void set_status(struct life *life, int32_t exit_code)
{
	life->exit_code = exit_code;
	life->flags |= LT_LIFE_HAS_STATUS;
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
	struct life *life;

	if (!core->traced)
		return;
	EACH_LIFE(core, life)
		if (life->kin && id_is(life->kin->tracer, tracer))
			life_set_tracer(core, life, (struct lt_id){ 0 });
}

static void apply_exit(struct core *core, const struct lt_exit *e)
{
	struct life *life = life_get(core, e->id);

	if (!life || life->flags & LT_LIFE_EXIT_SEEN)
		return;
	life->flags |= LT_LIFE_EXIT_SEEN;
	if (e->flags & LT_EXIT_SIGCHLD_IGNORED)
		life->flags |= LT_LIFE_SIGCHLD_IGNORED;
	life->exited_ns = e->hdr.time_ns;
	life->exit_signal = (uint8_t)e->exit_signal;
	life->uid = e->uid;
	set_status(life, e->exit_code);
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
	struct life *parent = life_find(core, e->parent), *child;

	if (!parent || !core->traced)
		return NULL;
	DL_FOREACH2(parent->children, child, sibling_next)
		if (child->kin && child->kin->tracer.pid &&
		    (child->id.pid == e->id.pid || child->ns_pid == e->id.pid))
			return child;
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

static void apply_notify(struct core *core, const struct lt_notify *e)
{
	bool untraced = e->flags & LT_NOTIFY_UNTRACED;
	struct life *life = untraced ? find_untraced(core, e) : life_get(core, e->id);

	if (!life || life->state == LT_REAPED)
		return;
	if (!untraced) {
		if (life->flags & LT_LIFE_NOTIFY_SEEN)
			return;
		set_status(life, e->exit_code);
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
static void apply_release(struct core *core, const struct lt_release *e)
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
static void apply_free(struct core *core, const struct lt_free *e)
{
	struct life *life = life_find(core, e->id);

	if (life)
		let_go(core, life, LT_REAP_FREE, &e->hdr);
}

static void apply_absent(struct core *core, const struct lt_free *e)
{
	struct life *life = life_find(core, e->id);

	if (life && life->state >= LT_EXITING)
		let_go(core, life, LT_REAP_LOOK, &e->hdr);
}

/* ---- stop, continue, wait ---- */

static void apply_stop(struct core *core, const struct lt_stop *e)
{
	struct life *life = life_get(core, e->id);

	if (life)
		life_step(core, life, STEP_STOP, e->hdr.time_ns, &e->hdr);
}

static void apply_continue(struct core *core, const struct lt_stop *e)
{
	struct life *life = life_get(core, e->id);

	if (life)
		life_step(core, life, STEP_CONTINUE, e->hdr.time_ns, &e->hdr);
}

static void apply_waits(struct core *core, const struct lt_wait *e)
{
	struct life *life = life_find(core, e->id);

	if (!life || life->state == LT_REAPED || e->waits.start_ns != e->id.start_ns)
		return;
	life_set_waits(core, life, &e->waits);
}

static void apply_wait(struct core *core, const struct lt_wait *e)
{
	struct life *life = life_get(core, e->id);

	if (!life)
		return;
	apply_waits(core, e);
	tell(core, CHANGE_WAIT, life, e->hdr.time_ns, &e->hdr);
}

static void apply_wait_call(struct core *core, const struct lt_wait_call *e)
{
	struct life *life = life_get(core, e->id);

	if (life)
		tell(core, CHANGE_WAIT, life, e->hdr.time_ns, &e->hdr);
}

/* ---- copy-on-write ---- */

static void apply_cow(struct core *core, const struct lt_cow *e)
{
	struct life *life = life_get(core, e->id);

	if (!life || life->state == LT_REAPED)
		return;
	cow_told(core, life, &e->counts);
	tell(core, CHANGE_COW, life, e->hdr.time_ns, &e->hdr);
}

static void apply_cows(struct core *core, const struct lt_cow *e)
{
	struct life *life = life_find(core, e->id);

	if (life && life->state != LT_REAPED)
		cow_told(core, life, &e->counts);
}

static void apply_cow_fault(struct core *core, const struct lt_cow_fault *e)
{
	const struct life *life = life_find(core, e->id);

	if (life)
		tell(core, CHANGE_COW_FAULT, life, e->hdr.time_ns, &e->hdr);
}

static void apply_cgroup(struct core *core, const struct lt_cgroup *e)
{
	cgroup_apply(core, e);
}

static void apply_cgroup_gone(struct core *core, const struct lt_cgroup *e)
{
	cgroup_apply(core, e);
}

static void apply_thread(struct core *core, const struct lt_hdr *e)
{
	(void)core;
	(void)e;
}

/* ---- passes of the iterator ---- */

static void take_scan_facts(struct core *core, struct life *life, const struct lt_life *e)
{
	life->ns_pid = e->ns_pid;
	life->uid = e->uid;
	life->exit_signal = (uint8_t)e->exit_signal;
	life->flags |= e->flags & LT_LIFE_KERNEL;
	set_comm(life, e->comm);
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
static void apply_scan(struct core *core, const struct lt_life *e)
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
		set_status(life, e->exit_code);
	if (e->state == LT_ZOMBIE && !life->zombie_ns)
		life->zombie_ns = e->zombie_ns;
	if (core->seeding)
		life_step(core, life, seen_step(e->state), e->hdr.time_ns, &e->hdr);
	else
		life->seen_state = e->state;
}

static void apply_pass_begin(struct core *core, const struct lt_pass *e)
{
	core->pass++;
	core->pass_begin_ns = e->begin_ns;
	core->seeding = e->seed;
}

static void apply_pass_end(struct core *core, const struct lt_pass *e)
{
	(void)e;
	core->seeding = false;
}

/* What the pass met, no record explained, and nothing has changed since. */
/* Returns whether its birth is what no record told. */
static bool sweep_seen(struct core *core, struct life *life, const struct lt_pass *e)
{
	enum step step = seen_step(life->seen_state);
	bool differs = next_state[life->state][step] != 0;
	bool unborn = !(life->flags & LT_LIFE_FORK_SEEN) &&
		      life->id.start_ns > core->start.started_ns;

	life->seen_state = 0;
	if (!differs && !unborn)
		return false;
	if (unborn) /* counted once */
		life->flags |= LT_LIFE_FORK_SEEN;
	core->totals.repairs += !e->seed;
	life->flags |= LT_LIFE_INFERRED;
	if (differs)
		life_step(core, life, step, e->hdr.time_ns, NULL);
	return unborn;
}

static void sweep_unseen(struct core *core, struct life *life, const struct lt_pass *e)
{
	core->totals.repairs += !e->seed;
	life->flags |= LT_LIFE_INFERRED;
	reap(core, life, LT_REAP_SCAN, life->parent_id, e->hdr.time_ns, NULL);
}

/* Births that were missed though nothing was lost: whoever tells them does so no more. */
static void judge_unborn(struct core *core, uint64_t unborn)
{
	uint64_t losses = core->totals.refused;

	for (int i = 0; i < LT_KERNEL_KINDS; i++)
		losses += core->totals.lost[i];
	if (unborn && losses == core->losses_swept)
		alerts_unseen_births(core, unborn);
	core->losses_swept = losses;
}

/*
 * The ring is drained past the pass: what the pass met and no record explained,
 * and what it did not meet although it was born before, was lost. In order of
 * birth, so that what is told does not depend on the hash.
 */
static void apply_sweep(struct core *core, const struct lt_pass *e)
{
	struct life **lives = malloc((core->life_count + 1) * sizeof(struct life *)), *life;
	size_t kept = 0;
	uint64_t unborn = 0;

	if (!lives)
		return;
	EACH_LIFE(core, life)
		if (life->seen_state || life_is_unseen(core, life))
			lives[kept++] = life;
	qsort(lives, kept, sizeof(struct life *), life_order);
	for (size_t i = 0; i < kept; i++) {
		if (lives[i]->seen_state)
			unborn += sweep_seen(core, lives[i], e);
		else
			sweep_unseen(core, lives[i], e);
	}
	free(lives);
	judge_unborn(core, unborn);
}

/* ---- from the daemon ---- */

static void apply_proc(struct core *core, const struct lt_proc *e)
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

static void apply_tasks(struct core *core, const struct lt_tasks *e)
{
	struct life *life = life_find(core, e->id);

	if (life && life->state < LT_EXITING)
		reaping_set_tasks(core, life, e);
}

static void apply_adopter(struct core *core, const struct lt_adopter *e)
{
	struct life *life = life_find(core, e->id);

	if (life && life->state < LT_EXITING)
		reaping_set_adopter(core, life, e->adopter);
}

static void apply_reaping(struct core *core, const struct lt_reaping *e)
{
	struct life *life = life_find(core, e->id);

	if (life && life->state < LT_EXITING)
		reaping_restore(core, life, e);
}

static void apply_adoption(struct core *core, const struct lt_adoption *e)
{
	struct life *life = life_find(core, e->id);

	if (!life || !life->death || e->since_ns > core->now_ns)
		return;
	life->death->adopted_ns = e->since_ns;
	core->restoring = true;
	policy_adopt(core, life, e->since_ns);
	core->restoring = false;
}

static void apply_births(struct core *core, const struct lt_births *e)
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
static void apply_life(struct core *core, const struct lt_life *e)
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

static void apply_start(struct core *core, const struct lt_start *e)
{
	core->start = *e;
}

static void apply_policy(struct core *core, const struct lt_policy *e)
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

static void apply_hook(struct core *core, const struct lt_hook *e)
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

static void apply_tick(struct core *core, const struct lt_hdr *e)
{
	(void)core;
	(void)e; /* time has passed already */
}

static void apply_lost(struct core *core, const struct lt_counts *e)
{
	for (int i = 0; i < LT_KERNEL_KINDS; i++)
		core->totals.lost[i] += e->count[i];
	tell(core, CHANGE_LOST, NULL, e->hdr.time_ns, &e->hdr);
}

static void apply_counts(struct core *core, const struct lt_counts *e)
{
	memcpy(core->sent, e->count, sizeof(core->sent));
}

static void apply_totals(struct core *core, const struct lt_totals *e)
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

static void apply_tallies(struct core *core, const struct lt_tallies *e)
{
	core->tallies = *e;
	core->totals.cow_copies = e->cow_copies;
	core->totals.cow_reuses = e->cow_reuses;
}

static void apply_alert_policy(struct core *core, const struct lt_alert_policy *e)
{
	alerts_apply_policy(core, e);
}

static void apply_alert(struct core *core, const struct lt_alert *e)
{
	alerts_apply(core, e);
}

static void apply_health(struct core *core, const struct lt_health *e)
{
	core->health = *e;
}

static void apply_ledger(struct core *core, const struct lt_ledger *e)
{
	(void)core;
	(void)e; /* the daemon's own */
}

/* ---- leaks ---- */

static void apply_names(struct core *core, const struct lt_names *e)
{
	names_apply(core, e);
}

static void apply_limits(struct core *core, const struct lt_limits *e)
{
	struct life *life = life_find(core, e->id);

	if (!life)
		return;
	leak_set_limits(core, life, e);
	alerts_judge_pids(core, life);
}

static void apply_stack(struct core *core, const struct lt_stack *e)
{
	struct life *life = life_find(core, e->id);

	if (life)
		stack_begin(core, life, e);
}

static void apply_stack_part(struct core *core, const struct lt_stack_part *e)
{
	struct life *life = life_find(core, e->id);

	if (life)
		stack_add(life, e);
}

static void apply_silence(struct core *core, const struct lt_silence *e)
{
	silence_apply(core, e);
	policy_silenced(core);
}

static void apply_leak(struct core *core, const struct lt_leak *e)
{
	struct life *life = life_find(core, e->id);

	if (life && life->leak) {
		life->leak->rate = e->rate;
		life->leak->told = e->told;
	}
}

/* ---- dispatch ---- */

size_t core_min_size(unsigned kind)
{
	switch (kind) {
#define X(number, NAME, name, type) \
	case LT_##NAME:             \
		return sizeof(struct type);
		LT_KINDS(X)
#undef X
	}
	return 0;
}

const char *core_kind_name(unsigned kind)
{
	switch (kind) {
#define X(number, NAME, name, type) \
	case LT_##NAME:             \
		return #name;
		LT_KINDS(X)
#undef X
	}
	return NULL;
}

#define AS(type, record) ((const struct type *)(const void *)(record))

/* Bytes of text or threads that a record says it holds. */
static size_t text_len(const struct lt_hdr *hdr)
{
	switch (hdr->kind) {
	case LT_EXEC:
		return (size_t)AS(lt_exec, hdr)->exe_len + AS(lt_exec, hdr)->args_len;
	case LT_CGROUP:
	case LT_CGROUP_GONE:
		return AS(lt_cgroup, hdr)->path_len;
	case LT_NAMES:
		return (size_t)AS(lt_names, hdr)->container_len + AS(lt_names, hdr)->pod_len +
		       AS(lt_names, hdr)->namespace_len;
	case LT_SCAN:
	case LT_LIFE:
		return (size_t)AS(lt_life, hdr)->exe_len + AS(lt_life, hdr)->args_len;
	case LT_POLICY:
		return (size_t)AS(lt_policy, hdr)->ignore_comm_len +
		       AS(lt_policy, hdr)->ignore_unit_len;
	case LT_ALERT_POLICY:
		return AS(lt_alert_policy, hdr)->host_len;
	case LT_HOOK:
		return (size_t)AS(lt_hook, hdr)->what_len + AS(lt_hook, hdr)->value_len;
	case LT_SILENCE:
		return AS(lt_silence, hdr)->text_len;
	case LT_LIMITS:
		return AS(lt_limits, hdr)->path_len;
	case LT_PROC:
		return (size_t)AS(lt_proc, hdr)->exe_len + AS(lt_proc, hdr)->args_len;
	case LT_TASKS:
		return (size_t)AS(lt_tasks, hdr)->told * sizeof(struct lt_thread);
	}
	return 0;
}

static bool is_valid(const struct lt_hdr *hdr, size_t len)
{
	size_t min = len >= sizeof(*hdr) ? core_min_size(hdr->kind) : 0;

	return min && hdr->size == len && len >= min && len <= LT_RECORD_MAX &&
	       text_len(hdr) <= len - min;
}

int core_apply(struct core *core, const void *record, size_t len)
{
	const struct lt_hdr *hdr = record;

	if (!is_valid(hdr, len)) {
		core->totals.bad_records++;
		return -EBADMSG;
	}
	policy_advance(core, hdr->time_ns);
	switch (hdr->kind) {
#define X(number, NAME, name, type)         \
	case LT_##NAME:                     \
		apply_##name(core, record); \
		break;
		LT_KINDS(X)
#undef X
	}
	return 0;
}
