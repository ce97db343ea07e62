// SPDX-License-Identifier: GPL-2.0-only
/* Copy-on-write: the counts of each process, and which fork they are charged to. */
#include <string.h>

#include "life.h"

static uint64_t add(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

static uint64_t grown(uint64_t from, uint64_t to)
{
	return to > from ? to - from : 0;
}

struct cow_sum cow_of(const struct life *life)
{
	const struct cow_sum *before = &life_rare(life)->cow_before;

	if (!life->cow)
		return (struct cow_sum){ 0 };
	return (struct cow_sum){ add(before->copies, life->cow->copies),
				 add(before->reuses, life->cow->reuses) };
}

/* What was counted of a creator since it was last told belongs to its latest fork. */
static void charge(struct life *creator, struct cow_sum from, struct cow_sum to)
{
	struct fork *latest = creator->forks ? creator->forks->prev : NULL;

	if (!latest)
		return;
	latest->by_creator.copies = add(latest->by_creator.copies, grown(from.copies, to.copies));
	latest->by_creator.reuses = add(latest->by_creator.reuses, grown(from.reuses, to.reuses));
}

/* A fault is counted as a reuse, and then perhaps as a copy: their sum never falls. */
static bool is_newer(const struct lt_cow_counts *counts, const struct lt_cow_counts *known)
{
	if (counts->since_ns != known->since_ns)
		return counts->since_ns > known->since_ns;
	return add(counts->copies, counts->reuses) >= add(known->copies, known->reuses);
}

/*
 * Counts come by the ring and by a look into the kernel's map: the newer win.
 * A later begin is that of a new place: what the old one counted stays.
 */
void cow_told(struct core *core, struct life *life, const struct lt_cow_counts *counts)
{
	struct cow_sum from = cow_of(life), to;

	if (!counts->since_ns || (life->cow && !is_newer(counts, life->cow)))
		return;
	if (!life->cow)
		life->cow = core_alloc(core, sizeof(*life->cow));
	else if (counts->since_ns > life->cow->since_ns && life_make_rare(core, life))
		life->rare->cow_before = from;
	if (!life->cow)
		return;
	*life->cow = *counts;
	to = cow_of(life);
	core->totals.cow_copies = add(core->totals.cow_copies, grown(from.copies, to.copies));
	core->totals.cow_reuses = add(core->totals.cow_reuses, grown(from.reuses, to.reuses));
	charge(life, from, to);
}

bool core_is_news(const struct core *core, const struct lt_cow *record)
{
	const struct life *life = life_find(core, record->id);

	return life && life->state != LT_REAPED &&
	       (!life->cow || memcmp(life->cow, &record->counts, sizeof(record->counts)));
}

/* ---- forks ---- */

/* Nearly always the latest; not when a table is handed on. */
static void join_creator(struct life *creator, struct fork *fork)
{
	struct fork *at = creator->forks ? creator->forks->prev : NULL;

	while (at && at->child->forked_ns > fork->child->forked_ns)
		at = at == creator->forks ? NULL : at->prev;
	fork->creator = creator;
	if (at)
		DL_APPEND_ELEM(creator->forks, at, fork);
	else
		DL_PREPEND(creator->forks, fork);
}

static void leave_creator(struct fork *fork)
{
	if (fork->creator)
		DL_DELETE(fork->creator->forks, fork);
	fork->creator = NULL;
}

void fork_begin(struct core *core, struct life *child, struct life *creator)
{
	struct fork *fork = child->fork;

	if (fork || !creator)
		return;
	fork = child->fork = core_alloc(core, sizeof(*fork));
	if (!fork)
		return;
	fork->child = child;
	fork->creator_id = creator->id;
	join_creator(creator, fork);
}

struct cow_sum fork_by_child(const struct fork *fork)
{
	return fork->ended_ns ? fork->by_child : cow_of(fork->child);
}

void fork_end(struct life *child, uint64_t time_ns)
{
	struct fork *fork = child->fork;

	if (!fork || fork->ended_ns)
		return;
	fork->by_child = cow_of(child);
	fork->ended_ns = time_ns;
	leave_creator(fork);
}

void forks_end(struct life *creator)
{
	while (creator->forks)
		leave_creator(creator->forks);
}

void cow_free(struct core *core, struct life *life)
{
	forks_end(life);
	if (life->fork)
		leave_creator(life->fork);
	core_release(core, life->fork, sizeof(*life->fork));
	core_release(core, life->cow, sizeof(*life->cow));
	life->fork = NULL;
	life->cow = NULL;
}

uint64_t cow_bytes(const struct core *core, uint64_t pages)
{
	uint64_t page_bytes = core->start.page_bytes ? core->start.page_bytes : 4096;

	return pages > INT64_MAX / page_bytes ? INT64_MAX : pages * page_bytes;
}

#define BIG_BYTES (1 << 20)

bool fork_is_big(const struct core *core, const struct fork *fork)
{
	return cow_bytes(core, add(fork->by_creator.copies, fork_by_child(fork).copies)) >=
	       BIG_BYTES;
}

/* Most forks are followed by an exec, and live long with their new program. */
void fork_drop_small(struct core *core, struct life *child)
{
	if (!child->fork || fork_is_big(core, child->fork))
		return;
	leave_creator(child->fork);
	core_release(core, child->fork, sizeof(*child->fork));
	child->fork = NULL;
}

/* ---- handing on ---- */

static void dump_fork(struct lt_life *e, const struct fork *fork)
{
	if (!fork)
		return;
	e->fork_creator = fork->creator_id;
	e->fork_ended_ns = fork->ended_ns;
	e->fork_creator_copies = fork->by_creator.copies;
	e->fork_creator_reuses = fork->by_creator.reuses;
	e->fork_child_copies = fork->by_child.copies;
	e->fork_child_reuses = fork->by_child.reuses;
	if (fork->creator)
		e->flags |= LT_LIFE_FORK_SHARES;
}

void cow_dump(struct lt_life *e, const struct life *life)
{
	dump_fork(e, life->fork);
	if (!life->cow)
		return;
	e->cow = *life->cow;
	e->cow_copies_before = life_rare(life)->cow_before.copies;
	e->cow_reuses_before = life_rare(life)->cow_before.reuses;
}

static void restore_fork(struct core *core, struct life *life, const struct lt_life *e)
{
	struct fork *fork = life->fork;

	if (!e->fork_creator.pid || fork)
		return;
	fork = life->fork = core_alloc(core, sizeof(*fork));
	if (!fork)
		return;
	*fork = (struct fork){
		.child = life,
		.creator_id = e->fork_creator,
		.ended_ns = e->fork_ended_ns,
		.by_creator = { e->fork_creator_copies, e->fork_creator_reuses },
		.by_child = { e->fork_child_copies, e->fork_child_reuses },
	};
	if (e->flags & LT_LIFE_FORK_SHARES) {
		struct life *creator = life_named(core, e->fork_creator);

		if (creator)
			join_creator(creator, fork);
	}
}

void cow_restore(struct core *core, struct life *life, const struct lt_life *e)
{
	restore_fork(core, life, e);
	if (!e->cow.since_ns || life->cow)
		return;
	life->cow = core_alloc(core, sizeof(*life->cow));
	if (!life->cow)
		return;
	*life->cow = e->cow;
	if ((e->cow_copies_before || e->cow_reuses_before) && life_make_rare(core, life))
		life->rare->cow_before =
			(struct cow_sum){ e->cow_copies_before, e->cow_reuses_before };
}

void cow_apply_hook(struct core *core, const struct hook_info *hook)
{
	if (!strcmp(hook->what, "cow"))
		core->cow_observed = strncmp(hook->value, "off", 3) != 0;
}
