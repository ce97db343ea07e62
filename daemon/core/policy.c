// SPDX-License-Identifier: GPL-2.0-only
/*
 * When a zombie is long-lived and when a parent leaks.
 *
 * Every delay is a constant, so whatever waits for one stands in a queue in
 * order of begin: only heads are looked at, never the table.
 */
#include "life.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* ---- queues ---- */

/* By begin. Records come nearly in order, so this walks a step or two. */
static void insert_by_begin(struct life **head, struct life *life)
{
	struct life *after = *head ? (*head)->prev : NULL; /* the tail */

	while (after && after->zombie_ns > life->zombie_ns)
		after = after == *head ? NULL : after->prev;
	if (after)
		DL_APPEND_ELEM(*head, after, life);
	else
		DL_PREPEND(*head, life);
}

void queue_put(struct core *core, struct life *life, enum queue queue)
{
	queue_remove(core, life);
	life->queue = (uint8_t)queue;
	if (queue == QUEUE_REAPED || queue == QUEUE_EXITING)
		DL_APPEND(core->queues[queue], life);
	else
		insert_by_begin(&core->queues[queue], life);
}

void queue_remove(struct core *core, struct life *life)
{
	if (life->queue == QUEUE_NONE)
		return;
	DL_DELETE(core->queues[life->queue], life);
	life->queue = QUEUE_NONE;
}

static bool is_flagged_queue(unsigned queue)
{
	return queue == QUEUE_FLAGGED || queue == QUEUE_AGED;
}

/* ---- leaks ---- */

/* An open leak that holds fewer flagged zombies than this begins to settle. */
static uint32_t low_water(const struct policy *policy)
{
	return (policy->leak_count + 1) / 2;
}

static bool is_ignored(const struct core *core, const struct life *parent)
{
	const char *unit = parent->cgroup ? parent->cgroup->unit : NULL;
	char **glob;

	for (glob = core->policy.ignore_comm.globs; glob && *glob; glob++)
		if (!fnmatch(*glob, parent->comm, 0))
			return true;
	for (glob = core->policy.ignore_unit.globs; glob && *glob; glob++)
		if (unit_matches(*glob, unit))
			return true;
	return false;
}

static void tell_leak(struct core *core, const struct leak *leak, enum change_kind kind,
		      const char *reason)
{
	core_tell(core, (struct change){ .kind = kind,
					 .time_ns = core->now_ns,
					 .life = leak->parent,
					 .reason = reason });
}

static void stop_settling(struct core *core, struct leak *leak)
{
	if (!leak->shrunk_ns)
		return;
	DL_DELETE(core->settling, leak);
	leak->shrunk_ns = 0;
}

static void leak_close(struct core *core, struct leak *leak, const char *reason)
{
	if (!leak->since_ns)
		return;
	stop_settling(core, leak);
	core->totals.leaks--;
	if (leak->told)
		tell_leak(core, leak, CHANGE_LEAK_CLOSE, reason);
	leak->since_ns = 0;
	leak->told = false;
}

static void leak_drop_if_idle(struct core *core, struct leak *leak)
{
	if (!leak->since_ns && !leak->flagged)
		leak_free(core, leak);
}

/* Once: a silence that comes later changes nothing of it. */
static void tell_open(struct core *core, struct leak *leak)
{
	if (!leak->since_ns || leak->told || silence_of(core, leak->parent))
		return;
	leak->told = true;
	tell_leak(core, leak, CHANGE_LEAK_OPEN, leak->aged ? "age" : "count");
}

static bool must_open(const struct core *core, const struct leak *leak)
{
	return (leak->flagged >= core->policy.leak_count || leak->aged) &&
	       leak->parent->state < LT_EXITING && !is_ignored(core, leak->parent);
}

bool is_quiet(const struct core *core, const struct life *parent)
{
	return is_ignored(core, parent) || silence_of(core, parent);
}

/* What no alert is to count. A parent that is renamed is weighed at its next flagged zombie. */
static void weigh_quiet(struct core *core, struct leak *leak)
{
	bool quiet = leak->flagged && is_quiet(core, leak->parent);

	core->flagged_quiet -= leak->quiet;
	leak->quiet = quiet ? leak->flagged : 0;
	core->flagged_quiet += leak->quiet;
}

static void leak_evaluate(struct core *core, struct leak *leak)
{
	weigh_quiet(core, leak);
	if (core->restoring)
		return;
	if (!leak->since_ns) {
		if (!must_open(core, leak))
			return;
		leak->since_ns = core->now_ns;
		core->totals.leaks++;
		tell_open(core, leak);
	} else if (leak->flagged >= low_water(&core->policy) || leak->aged) {
		stop_settling(core, leak);
	} else if (!leak->shrunk_ns) {
		leak->shrunk_ns = core->now_ns;
		DL_APPEND(core->settling, leak);
	}
}

static struct leak *leak_of(struct core *core, struct life *parent)
{
	return parent->leak ? parent->leak : leak_new(core, parent);
}

static void leak_add(struct core *core, struct life *parent, enum weight weight)
{
	struct leak *leak = parent && weight ? leak_of(core, parent) : NULL;

	if (!leak)
		return;
	core->leakers_version += !leak->flagged++;
	leak->aged += weight == WEIGHS_AGED;
	leak_evaluate(core, leak);
}

static void leak_sub(struct core *core, struct life *parent, enum weight weight)
{
	struct leak *leak = parent && weight ? parent->leak : NULL;

	if (!leak || !leak->flagged)
		return;
	core->leakers_version += !--leak->flagged;
	leak->aged -= weight == WEIGHS_AGED;
	leak_evaluate(core, leak);
	leak_drop_if_idle(core, leak);
}

/* In before out, so that the leak sees no dip. */
static void leak_change(struct core *core, struct life *parent, enum weight was, enum weight is)
{
	if (was == is)
		return;
	leak_add(core, parent, is);
	leak_sub(core, parent, was);
}

static enum weight weight_of(const struct life *life)
{
	if (life->death && life->death->hold)
		return life->death->hold->weight;
	return life->queue == QUEUE_AGED    ? WEIGHS_AGED :
	       life->queue == QUEUE_FLAGGED ? WEIGHS_FLAGGED :
					      WEIGHS_NOTHING;
}

void policy_leave_parent(struct core *core, struct life *life)
{
	leak_lost(life->parent, life, core->now_ns);
	leak_sub(core, life->parent, weight_of(life));
}

void policy_join_parent(struct core *core, struct life *life)
{
	leak_gained(life->parent, life, core->now_ns);
	leak_add(core, life->parent, weight_of(life));
}

void policy_parent_exited(struct core *core, struct life *parent)
{
	struct leak *leak = parent->leak;

	if (!leak)
		return;
	leak_close(core, leak, "parent-exited");
	leak_drop_if_idle(core, leak);
}

/* ---- zombies that changed hands ---- */

static enum weight weight_at(const struct core *core, uint64_t since_ns)
{
	const struct policy *policy = &core->policy;

	if (ns_after(since_ns, policy->zombie_age_ns) > core->now_ns)
		return WEIGHS_NOTHING;
	return ns_after(since_ns, policy->leak_age_ns) > core->now_ns ? WEIGHS_FLAGGED :
									WEIGHS_AGED;
}

/* By since_ns. They come nearly in order, so this walks a step or two. */
static void hold_put(struct core *core, struct hold *hold, enum weight weight)
{
	struct hold **head = &core->held[weight], *after = *head ? (*head)->prev : NULL;

	while (after && after->since_ns > hold->since_ns)
		after = after == *head ? NULL : after->prev;
	if (after)
		DL_APPEND_ELEM(*head, after, hold);
	else
		DL_PREPEND(*head, hold);
	hold->weight = weight;
}

static void hold_weigh(struct core *core, struct hold *hold, enum weight weight)
{
	enum weight was = hold->weight;

	DL_DELETE(core->held[was], hold);
	hold_put(core, hold, weight);
	leak_change(core, hold->life->parent, was, weight);
}

void policy_end_hold(struct core *core, struct life *life)
{
	struct hold *hold = life->death ? life->death->hold : NULL;

	if (!hold)
		return;
	DL_DELETE(core->held[hold->weight], hold);
	core_release(core, hold, sizeof(*hold));
	life->death->hold = NULL;
}

void policy_adopt(struct core *core, struct life *life, uint64_t since_ns)
{
	enum weight was = weight_of(life);
	struct death *death;
	struct hold *hold;

	if (life->queue < QUEUE_YOUNG || life->queue > QUEUE_AGED)
		return;
	death = life_death(core, life);
	hold = death ? core_alloc(core, sizeof(*hold)) : NULL;
	if (!hold)
		return;
	policy_end_hold(core, life);
	hold->life = life;
	hold->since_ns = since_ns;
	death->hold = hold;
	hold_put(core, hold, weight_at(core, since_ns));
	leak_change(core, life->parent, was, hold->weight);
}

/* ---- zombies ---- */

static void restage(struct core *core, struct life *life, enum queue queue)
{
	enum weight weighed = weight_of(life);
	unsigned was = life->queue;

	core->totals.flagged += (uint32_t)is_flagged_queue(queue) - (uint32_t)is_flagged_queue(was);
	if (queue == QUEUE_NONE) {
		leak_lost(life->parent, life, core->now_ns);
		queue_remove(core, life);
		policy_end_hold(core, life);
	} else {
		queue_put(core, life, queue);
		if (was < QUEUE_YOUNG)
			leak_gained(life->parent, life, life->zombie_ns);
	}
	leak_change(core, life->parent, weighed, weight_of(life));
}

static void flag(struct core *core, struct life *life)
{
	struct death *death = life_death(core, life);

	if (death)
		death->flagged_ns = core->now_ns;
	restage(core, life, QUEUE_FLAGGED);
	core_tell(core,
		  (struct change){ .kind = CHANGE_FLAGGED, .time_ns = core->now_ns, .life = life });
}

void policy_add_zombie(struct core *core, struct life *life)
{
	restage(core, life, QUEUE_YOUNG);
}

void policy_drop_zombie(struct core *core, struct life *life)
{
	restage(core, life, QUEUE_NONE);
}

void policy_restore_zombie(struct core *core, struct life *life, uint64_t flagged_ns)
{
	struct death *death = life_death(core, life);

	if (death)
		death->flagged_ns = flagged_ns;
	if (!flagged_ns)
		restage(core, life, QUEUE_YOUNG);
	else if (ns_after(life->zombie_ns, core->policy.leak_age_ns) > core->now_ns)
		restage(core, life, QUEUE_FLAGGED);
	else
		restage(core, life, QUEUE_AGED);
}

static int by_shrunk(const struct leak *a, const struct leak *b)
{
	return a->shrunk_ns < b->shrunk_ns ? -1 : a->shrunk_ns > b->shrunk_ns;
}

void policy_restore_leak(struct core *core, struct life *parent, uint64_t since_ns,
			 uint64_t shrunk_ns)
{
	struct leak *leak = since_ns ? leak_of(core, parent) : NULL;

	if (!leak || leak->since_ns)
		return;
	leak->since_ns = since_ns;
	leak->told = true;
	core->totals.leaks++;
	if (!shrunk_ns)
		return;
	leak->shrunk_ns = shrunk_ns;
	DL_INSERT_INORDER(core->settling, leak, by_shrunk);
}

/* In order of birth: what is told must not depend on the hash. */
static void each_leak(struct core *core, void (*fn)(struct core *core, struct leak *leak))
{
	struct life **parents;
	struct leak *leak;
	size_t count = 0;

	EACH_LEAK(core, leak)
		count++;
	parents = malloc((count + 1) * sizeof(struct life *));
	if (!parents)
		return;
	count = 0;
	EACH_LEAK(core, leak)
		parents[count++] = leak->parent;
	qsort(parents, count, sizeof(struct life *), life_order);
	for (size_t i = 0; i < count; i++)
		fn(core, parents[i]->leak);
	free(parents);
}

void policy_silenced(struct core *core)
{
	struct leak *leak;

	EACH_LEAK(core, leak)
		weigh_quiet(core, leak);
	if (core->totals.leaks)
		each_leak(core, tell_open);
	if (core->restoring)
		return;
	alerts_judge_flagged(core);
	alerts_judge_hooks(core);
}

/* ---- time ---- */

static void end_silence(struct core *core)
{
	silence_end(core, core->silences);
	policy_silenced(core);
}

static void expire_reaped(struct core *core)
{
	struct life *oldest;

	while ((oldest = core->queues[QUEUE_REAPED]) &&
	       ns_after(oldest->reaped_ns, core->policy.reaped_keep_ns) < core->now_ns)
		life_free(core, oldest);
}

struct due {
	uint64_t ns;
	enum {
		DUE_NOTHING,
		DUE_FLAG,
		DUE_AGE,
		DUE_HELD_FLAG,
		DUE_HELD_AGE,
		DUE_CLOSE,
		DUE_SILENCE,
		DUE_ALERT
	} what;
};

static void consider(struct due *due, uint64_t ns, int what)
{
	if (ns < due->ns)
		*due = (struct due){ .ns = ns, .what = what };
}

static struct due next_due(const struct core *core)
{
	const struct policy *policy = &core->policy;
	struct due due = { .ns = UINT64_MAX };

	if (core->queues[QUEUE_YOUNG])
		consider(&due,
			 ns_after(core->queues[QUEUE_YOUNG]->zombie_ns, policy->zombie_age_ns),
			 DUE_FLAG);
	if (core->queues[QUEUE_FLAGGED])
		consider(&due,
			 ns_after(core->queues[QUEUE_FLAGGED]->zombie_ns, policy->leak_age_ns),
			 DUE_AGE);
	if (core->held[WEIGHS_NOTHING])
		consider(&due,
			 ns_after(core->held[WEIGHS_NOTHING]->since_ns, policy->zombie_age_ns),
			 DUE_HELD_FLAG);
	if (core->held[WEIGHS_FLAGGED])
		consider(&due, ns_after(core->held[WEIGHS_FLAGGED]->since_ns, policy->leak_age_ns),
			 DUE_HELD_AGE);
	if (core->settling)
		consider(&due, ns_after(core->settling->shrunk_ns, policy->leak_settle_ns),
			 DUE_CLOSE);
	if (core->silences)
		consider(&due, core->silences->until_ns, DUE_SILENCE);
	consider(&due, alerts_due_ns(core), DUE_ALERT);
	return due;
}

uint64_t core_next_due_ns(const struct core *core)
{
	return next_due(core).ns;
}

static void close_settled(struct core *core)
{
	struct leak *leak = core->settling;

	leak_close(core, leak, "reaped");
	leak_drop_if_idle(core, leak);
}

void policy_advance(struct core *core, uint64_t now_ns)
{
	struct due due;

	while ((due = next_due(core)).what != DUE_NOTHING && due.ns <= now_ns) {
		if (due.ns > core->now_ns)
			core->now_ns = due.ns;
		if (due.what == DUE_FLAG)
			flag(core, core->queues[QUEUE_YOUNG]);
		else if (due.what == DUE_AGE)
			restage(core, core->queues[QUEUE_FLAGGED], QUEUE_AGED);
		else if (due.what == DUE_HELD_FLAG)
			hold_weigh(core, core->held[WEIGHS_NOTHING], WEIGHS_FLAGGED);
		else if (due.what == DUE_HELD_AGE)
			hold_weigh(core, core->held[WEIGHS_FLAGGED], WEIGHS_AGED);
		else if (due.what == DUE_SILENCE)
			end_silence(core);
		else if (due.what == DUE_CLOSE)
			close_settled(core);
		else
			alerts_advance(core);
	}
	if (now_ns > core->now_ns)
		core->now_ns = now_ns;
	expire_reaped(core);
}

/* ---- settings ---- */

static void globs_free(struct glob_list *list)
{
	free(list->text);
	free(list->globs);
	*list = (struct glob_list){ 0 };
}

/* Takes "a,b*, c" apart. Without memory the list is empty: more is told, not less. */
static void globs_set(struct glob_list *list, const char *text, size_t len)
{
	char *save = NULL, *glob;
	size_t count = 0;

	globs_free(list);
	list->text = strndup(text, len);
	list->globs = calloc(len / 2 + 2, sizeof(*list->globs));
	if (!list->text || !list->globs) {
		globs_free(list);
		return;
	}
	for (glob = strtok_r(list->text, ", ", &save); glob; glob = strtok_r(NULL, ", ", &save))
		list->globs[count++] = glob;
}

void policy_init(struct policy *policy)
{
	*policy = (struct policy){ .zombie_age_ns = 10 * NSEC_PER_SEC,
				   .leak_age_ns = 300 * NSEC_PER_SEC,
				   .leak_settle_ns = 30 * NSEC_PER_SEC,
				   .reaped_keep_ns = 60 * NSEC_PER_SEC,
				   .memory_max_bytes = 64 << 20,
				   .leak_count = 5 };
}

void policy_deinit(struct policy *policy)
{
	globs_free(&policy->ignore_comm);
	globs_free(&policy->ignore_unit);
}

/* Those that the new ages call younger go back; the rest is due by itself. */
static void restage_all(struct core *core)
{
	const struct policy *policy = &core->policy;
	struct hold *hold, *next_hold;
	struct life *life, *next;

	for (int weight = WEIGHS_AGED; weight > WEIGHS_NOTHING; weight--)
		DL_FOREACH_SAFE(core->held[weight], hold, next_hold)
			if (weight_at(core, hold->since_ns) < hold->weight)
				hold_weigh(core, hold, weight_at(core, hold->since_ns));
	DL_FOREACH_SAFE(core->queues[QUEUE_AGED], life, next)
		if (ns_after(life->zombie_ns, policy->leak_age_ns) > core->now_ns)
			restage(core, life, QUEUE_FLAGGED);
	DL_FOREACH_SAFE(core->queues[QUEUE_FLAGGED], life, next) {
		if (ns_after(life->zombie_ns, policy->zombie_age_ns) <= core->now_ns)
			continue;
		if (life->death)
			life->death->flagged_ns = 0;
		restage(core, life, QUEUE_YOUNG);
	}
}

static void reconsider_leak(struct core *core, struct leak *leak)
{
	if (is_ignored(core, leak->parent))
		leak_close(core, leak, "ignored");
	leak_evaluate(core, leak);
	leak_drop_if_idle(core, leak);
}

void policy_apply(struct core *core, const struct lt_policy *record)
{
	struct policy *policy = &core->policy;

	policy->zombie_age_ns = record->zombie_age_ns;
	policy->leak_age_ns = record->leak_age_ns;
	policy->leak_settle_ns = record->leak_settle_ns;
	policy->reaped_keep_ns = record->reaped_keep_ns;
	policy->memory_max_bytes = record->memory_max_bytes;
	policy->leak_count = record->leak_count;
	globs_set(&policy->ignore_comm, record->text, record->ignore_comm_len);
	globs_set(&policy->ignore_unit, record->text + record->ignore_comm_len,
		  record->ignore_unit_len);
	restage_all(core);
	each_leak(core, reconsider_leak);
	if (!core->restoring)
		alerts_judge_flagged(core);
}
