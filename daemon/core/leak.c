// SPDX-License-Identifier: GPL-2.0-only
/* What is known of a leaking parent: how fast it leaks, and how many pids are left to it. */
#include "life.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

/* ---- rate ---- */

/* No rate is said of less: a few that die at once are no stream of them. */
#define RATE_MIN_NS LT_RATE_SLOT_NS

static bool is_zombie(const struct life *life)
{
	return life->queue >= QUEUE_YOUNG && life->queue <= QUEUE_AGED;
}

static void rate_add(struct lt_rate *rate, uint64_t at_ns, int32_t by)
{
	uint64_t slot = at_ns / LT_RATE_SLOT_NS;
	int32_t *net;

	if (slot + LT_RATE_SLOTS <= rate->slot)
		return;
	if (slot >= rate->slot + LT_RATE_SLOTS) {
		*rate = (struct lt_rate){ .slot = slot };
	} else {
		while (rate->slot < slot)
			rate->net[++rate->slot % LT_RATE_SLOTS] = 0;
	}
	net = &rate->net[slot % LT_RATE_SLOTS];
	*net = (int32_t)((uint32_t)*net + (uint32_t)by); /* a record may have told any number */
}

void leak_gained(struct life *parent, const struct life *zombie, uint64_t at_ns)
{
	if (parent && parent->leak && is_zombie(zombie))
		rate_add(&parent->leak->rate, at_ns, 1);
}

void leak_lost(struct life *parent, const struct life *zombie, uint64_t at_ns)
{
	if (parent && parent->leak && is_zombie(zombie))
		rate_add(&parent->leak->rate, at_ns, -1);
}

struct leak *leak_new(struct core *core, struct life *parent)
{
	struct leak *leak = parent->leak = core_alloc(core, sizeof(*leak));
	const struct life *child;

	if (!leak)
		return NULL;
	leak->parent = parent;
	DL_APPEND2(core->leaks, leak, all_prev, all_next);
	DL_FOREACH2(parent->children, child, sibling_next)
		if (is_zombie(child))
			rate_add(&leak->rate, life_held_ns(child), 1);
	return leak;
}

struct leak_age leak_age(const struct leak *leak)
{
	struct leak_age age = { .oldest_ns = UINT64_MAX, .held_ns = UINT64_MAX };
	const struct life *child;

	DL_FOREACH2(leak->parent->children, child, sibling_next) {
		if (!is_zombie(child))
			continue;
		if (child->zombie_ns < age.oldest_ns)
			age.oldest_ns = child->zombie_ns;
		if (life_held_ns(child) < age.held_ns)
			age.held_ns = life_held_ns(child);
	}
	return age;
}

double leak_rate_per_s(const struct leak *leak, const struct leak_age *age, uint64_t now_ns)
{
	const struct lt_rate *rate = &leak->rate;
	uint64_t now_slot = now_ns / LT_RATE_SLOT_NS;
	uint64_t first = now_slot < LT_RATE_SLOTS ? 0 : now_slot - LT_RATE_SLOTS + 1;
	uint64_t from_ns = first * LT_RATE_SLOT_NS, elapsed_ns;
	int64_t net = 0;

	if (age->held_ns != UINT64_MAX && age->held_ns > from_ns)
		from_ns = age->held_ns < now_ns ? age->held_ns : now_ns;
	for (uint64_t slot = from_ns / LT_RATE_SLOT_NS; slot <= rate->slot && slot <= now_slot;
	     slot++)
		net += rate->net[slot % LT_RATE_SLOTS];
	elapsed_ns = now_ns - from_ns;
	if (elapsed_ns < RATE_MIN_NS)
		elapsed_ns = RATE_MIN_NS;
	return (double)net * NSEC_PER_SEC / (double)elapsed_ns;
}

/* ---- limits ---- */

static const char *const limit_names[LT_LIMIT_COUNT] = {
#define X(NAME, name) [LT_LIMIT_##NAME] = name,
	LT_LIMIT_KINDS(X)
#undef X
};

static uint64_t left_of(const struct lt_limit *limit)
{
	return limit->max > limit->used ? limit->max - limit->used : 0;
}

static void limits_free(struct core *core, struct leak *leak)
{
	if (!leak->limits)
		return;
	if (leak->limits->path)
		core_release(core, leak->limits->path, strlen(leak->limits->path) + 1);
	core_release(core, leak->limits, sizeof(*leak->limits));
	leak->limits = NULL;
}

void leak_free(struct core *core, struct leak *leak)
{
	if (!leak)
		return;
	limits_free(core, leak);
	core->leakers_version += leak->flagged > 0;
	core->flagged_quiet -= leak->quiet;
	leak->parent->leak = NULL;
	DL_DELETE2(core->leaks, leak, all_prev, all_next);
	core_release(core, leak, sizeof(*leak));
}

/* Of equals the first of the list counts. */
static int nearest_of(const struct lt_limits *e)
{
	int nearest = -1;

	for (int i = 0; i < LT_LIMIT_COUNT; i++)
		if (e->limit[i].max != LT_NO_LIMIT &&
		    (nearest < 0 || left_of(&e->limit[i]) < left_of(&e->limit[nearest])))
			nearest = i;
	return nearest;
}

void leak_set_limits(struct core *core, struct life *parent, const struct lt_limits *e)
{
	struct leak *leak = parent->leak;
	struct leak_limits *limits;

	if (!leak)
		return;
	limits_free(core, leak);
	limits = leak->limits = core_alloc(core, sizeof(*limits));
	if (!limits)
		return;
	limits->at_ns = e->hdr.time_ns;
	limits->nearest = nearest_of(e);
	if (limits->nearest < 0)
		return;
	limits->limit = e->limit[limits->nearest];
	if (limits->nearest == LT_LIMIT_PID_MAX)
		limits->pid_ns_init = e->pid_ns_init;
	if (limits->nearest != LT_LIMIT_CGROUP)
		return;
	limits->path = core_alloc(core, e->path_len + 1);
	if (limits->path)
		memcpy(limits->path, e->path, e->path_len);
}

bool leak_pids_left(const struct leak *leak, uint64_t *left)
{
	if (!leak->limits || leak->limits->nearest < 0)
		return false;
	*left = left_of(&leak->limits->limit);
	return true;
}

uint64_t leak_exhausted_in_s(const struct leak *leak, uint64_t now_ns)
{
	struct leak_age age = leak_age(leak);
	double rate_per_s = leak_rate_per_s(leak, &age, now_ns);
	uint64_t left;

	if (!leak_pids_left(leak, &left) || rate_per_s <= 0)
		return UINT64_MAX;
	return (uint64_t)((double)left / rate_per_s);
}

const char *leak_limit_name(const struct leak *leak)
{
	return limit_names[leak->limits->nearest];
}

/* ---- asking and handing on ---- */

void core_each_leak(const struct core *core, uint64_t before_ns, core_id_fn fn, void *user)
{
	const struct leak *leak;

	EACH_LEAK(core, leak)
		if (leak->since_ns && (!leak->limits || leak->limits->at_ns < before_ns))
			fn(user, leak->parent->id);
}

void core_each_of_user(const struct core *core, uint32_t uid, core_task_fn fn, void *user)
{
	const struct life *life;

	EACH_LIFE(core, life)
		if (life->uid == uid && life->state != LT_REAPED)
			fn(user, life->id, life->state >= LT_EXITING);
}
