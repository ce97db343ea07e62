// SPDX-License-Identifier: GPL-2.0-only
/* How parents reap: counts, latencies and rates, and how their threads stood. */
#include "life.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

/* Rates are taken over the last one to two of these. */
#define MARK_NS (10 * NSEC_PER_SEC)

static struct lt_reap_mark mark_of(const struct lt_reaping *facts, uint64_t now_ns)
{
	return (struct lt_reap_mark){
		.ns = now_ns, .born = facts->born, .died = facts->died, .reaped = facts->reaped
	};
}

static void begin(struct lt_reaping *facts, uint64_t time_ns)
{
	*facts = (struct lt_reaping){ .since_ns = time_ns, .adopter = facts->adopter };
	facts->marks[0] = facts->marks[1] = mark_of(facts, time_ns);
}

struct reaping *life_reaping(const struct life *life)
{
	return life_rare(life)->reaping;
}

static struct reaping *reaping_of(struct core *core, struct life *life, uint64_t time_ns)
{
	struct rare *rare = life->state < LT_EXITING ? life_make_rare(core, life) : NULL;

	if (!rare)
		return NULL;
	if (!rare->reaping) {
		rare->reaping = core_alloc(core, sizeof(*rare->reaping));
		if (rare->reaping)
			begin(&rare->reaping->facts, time_ns);
	}
	return rare->reaping;
}

static size_t tasks_size(const struct lt_tasks *tasks)
{
	return tasks ? tasks->hdr.size : 0;
}

void reaping_free(struct core *core, struct life *life)
{
	struct reaping *reaping = life_reaping(life);

	if (!reaping)
		return;
	core_release(core, reaping->tasks, tasks_size(reaping->tasks));
	core_release(core, reaping, sizeof(*reaping));
	life->rare->reaping = NULL;
}

/* ---- counting ---- */

/* Before something is counted, so that a mark holds what was before it. */
static void advance_marks(struct lt_reaping *facts, uint64_t time_ns)
{
	if (time_ns < ns_after(facts->marks[1].ns, MARK_NS))
		return;
	facts->marks[0] = facts->marks[1];
	facts->marks[1] = mark_of(facts, time_ns);
}

const struct lt_reap_mark *reaping_mark(const struct lt_reaping *facts, uint64_t now_ns)
{
	return &facts->marks[now_ns >= ns_after(facts->marks[1].ns, MARK_NS)];
}

void reaping_born(const struct life *parent)
{
	struct reaping *reaping = life_reaping(parent);

	if (reaping)
		reaping->facts.born++;
}

void reaping_died(struct core *core, struct life *parent, uint64_t time_ns)
{
	struct reaping *reaping = reaping_of(core, parent, time_ns);

	if (!reaping)
		return;
	advance_marks(&reaping->facts, time_ns);
	reaping->facts.died++;
	if (core->seeding) { /* before anybody counted: in no rate */
		reaping->facts.marks[0].died++;
		reaping->facts.marks[1].died++;
	}
}

void reaping_notified(struct core *core, struct life *parent, const struct lt_notify *e)
{
	struct reaping *reaping = reaping_of(core, parent, e->hdr.time_ns);
	struct lt_reaping *facts = reaping ? &reaping->facts : NULL;

	if (!facts)
		return;
	if (!facts->notified++)
		facts->any_before =
			e->parent_waits.last_ns >= parent->exec_ns ? e->parent_waits.any : 0;
	facts->coalesced += (e->flags & LT_NOTIFY_COALESCED) != 0;
}

/* ---- latencies ---- */

#define OCTAVE_MIN 13 /* 8 us: what is shorter falls into the first bucket */
#define PER_OCTAVE 4

static unsigned bucket_of(uint64_t ns)
{
	unsigned octave, bucket;

	if (ns >> OCTAVE_MIN == 0)
		return 0;
	octave = 63 - (unsigned)__builtin_clzll(ns);
	bucket = (octave - OCTAVE_MIN) * PER_OCTAVE + (unsigned)(ns >> (octave - 2) & 3);
	return bucket < LT_REAP_BUCKETS ? bucket : LT_REAP_BUCKETS - 1;
}

static uint64_t bucket_middle(unsigned bucket)
{
	uint64_t octave_ns = UINT64_C(1) << (OCTAVE_MIN + bucket / PER_OCTAVE);

	return octave_ns + octave_ns / (2 * PER_OCTAVE) * (2 * (bucket % PER_OCTAVE) + 1);
}

static void count_latency(struct lt_reaping *facts, uint64_t ns)
{
	if (++facts->latency[bucket_of(ns)] < UINT16_MAX)
		return;
	for (int i = 0; i < LT_REAP_BUCKETS; i++)
		facts->latency[i] /= 2;
}

uint64_t reaping_quantile(const struct lt_reaping *facts, unsigned permille)
{
	uint64_t sum = 0, below = 0, middle;

	for (int i = 0; i < LT_REAP_BUCKETS; i++)
		sum += facts->latency[i];
	for (unsigned i = 0; i < LT_REAP_BUCKETS; i++) {
		below += facts->latency[i];
		if (!below || below * 1000 < sum * permille)
			continue;
		middle = bucket_middle(i);
		return middle < facts->slowest_ns ? middle : facts->slowest_ns;
	}
	return 0;
}

/* So much later, at the most, a reap is told of where its release is not seen. */
#define LATE_NS NSEC_PER_SEC

/* What the parent ran before an exec has reaped it, as far as one can know. */
static bool is_of_the_program_before(const struct life *child, uint64_t begin_ns, uint64_t time_ns)
{
	uint64_t exec_ns = child->parent->exec_ns;

	return child->reap_source != LT_REAP_RELEASE && begin_ns < exec_ns &&
	       time_ns < ns_after(exec_ns, LATE_NS);
}

/* By its parent: a tracer's reap leaves it to its parent. */
void reaping_reaped(const struct life *child, uint64_t time_ns)
{
	struct reaping *reaping = child->parent ? life_reaping(child->parent) : NULL;
	struct lt_reaping *facts = reaping ? &reaping->facts : NULL;
	uint64_t begin_ns = child->zombie_ns;
	uint64_t took_ns;

	if (!facts || !begin_ns || child->flags & LT_LIFE_AUTOREAPED)
		return;
	if (child->death && child->death->adopted_ns)
		begin_ns = child->death->adopted_ns;
	if (is_of_the_program_before(child, begin_ns, time_ns))
		return;
	took_ns = time_ns > begin_ns ? time_ns - begin_ns : 0;
	advance_marks(facts, time_ns);
	facts->reaped++;
	facts->last_reaped_ns = time_ns;
	facts->late_reaps += child->reap_source != LT_REAP_RELEASE;
	if (took_ns > facts->slowest_ns)
		facts->slowest_ns = took_ns;
	count_latency(facts, took_ns);
}

void reaping_forget(const struct life *life, uint64_t time_ns)
{
	struct reaping *reaping = life_reaping(life);

	if (reaping)
		begin(&reaping->facts, time_ns);
}

void reaping_drop_tasks(struct core *core, const struct life *life, uint64_t time_ns)
{
	struct reaping *reaping = life_reaping(life);

	if (!reaping || reaping->tasks_ns > time_ns)
		return;
	core_release(core, reaping->tasks, tasks_size(reaping->tasks));
	reaping->tasks = NULL;
	reaping->tasks_ns = 0;
}

/* ---- what others know ---- */

/* No thread has run since the last look, if none was switched to since. */
static uint64_t still_since(const struct lt_tasks *old, const struct lt_tasks *e)
{
	if (e->still_ns || e->running)
		return e->still_ns;
	if (old && old->still_ns && old->switches == e->switches && old->looked == e->looked)
		return old->still_ns;
	return e->hdr.time_ns;
}

void reaping_set_tasks(struct core *core, struct life *life, const struct lt_tasks *e)
{
	struct reaping *reaping = reaping_of(core, life, e->hdr.time_ns);
	struct lt_tasks *tasks = reaping ? core_alloc(core, e->hdr.size) : NULL;

	if (!tasks)
		return;
	memcpy(tasks, e, e->hdr.size);
	tasks->still_ns = still_since(reaping->tasks, e);
	core_release(core, reaping->tasks, tasks_size(reaping->tasks));
	reaping->tasks = tasks;
	reaping->tasks_ns = e->hdr.time_ns;
}

void reaping_set_adopter(struct core *core, struct life *life, struct lt_id adopter)
{
	struct reaping *reaping = reaping_of(core, life, core->now_ns);

	if (reaping)
		reaping->facts.adopter = adopter;
}

void reaping_restore(struct core *core, struct life *life, const struct lt_reaping *e)
{
	struct reaping *reaping = reaping_of(core, life, e->since_ns);

	if (reaping)
		reaping->facts = *e;
}
