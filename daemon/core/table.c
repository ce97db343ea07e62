// SPDX-License-Identifier: GPL-2.0-only
/* The table: making, finding, linking and freeing lives, within the memory cap. */
#include "life.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

void *core_alloc(struct core *core, size_t size)
{
	void *memory = calloc(1, size);

	if (memory)
		core->memory_bytes += size;
	return memory;
}

void core_release(struct core *core, void *memory, size_t size)
{
	if (memory)
		core->memory_bytes -= size;
	free(memory);
}

#define BUCKETS_MIN 1024

bool table_init(struct core *core)
{
	core->bucket_count = BUCKETS_MIN;
	core->buckets = core_alloc(core, BUCKETS_MIN * sizeof(*core->buckets));
	return core->buckets;
}

void table_deinit(struct core *core)
{
	for (size_t i = 0; i < core->bucket_count; i++)
		while (core->buckets[i])
			life_free(core, core->buckets[i]);
	core_release(core, core->buckets, core->bucket_count * sizeof(*core->buckets));
}

/* Where a life of that id hangs, or would: before older ones of its pid. */
static struct life **find_place(const struct core *core, struct lt_id id)
{
	struct life **place = &core->buckets[id.pid & (core->bucket_count - 1)];

	while (*place && ((*place)->id.pid != id.pid || (*place)->id.start_ns > id.start_ns))
		place = &(*place)->next_in_bucket;
	return place;
}

struct life *life_find(const struct core *core, struct lt_id id)
{
	struct life *life = *find_place(core, id);

	return life && life->id.start_ns == id.start_ns ? life : NULL;
}

struct life *life_of_pid(const struct core *core, uint64_t pid)
{
	return *find_place(core, (struct lt_id){ .pid = pid, .start_ns = UINT64_MAX });
}

struct life *life_older(const struct life *life)
{
	struct life *older = life->next_in_bucket;

	while (older && older->id.pid != life->id.pid)
		older = older->next_in_bucket;
	return older;
}

int life_order(const void *a, const void *b)
{
	const struct life *x = *(struct life *const *)a, *y = *(struct life *const *)b;

	if (x->id.start_ns != y->id.start_ns)
		return x->id.start_ns < y->id.start_ns ? -1 : 1;
	return x->id.pid < y->id.pid ? -1 : x->id.pid > y->id.pid;
}

static void hang(struct core *core, struct life *life)
{
	struct life **place = find_place(core, life->id);

	life->next_in_bucket = *place;
	*place = life;
}

/* Without memory for it the chains get longer, no more. */
static void grow(struct core *core)
{
	struct life **old = core->buckets, *life;
	size_t old_count = core->bucket_count, size = old_count * sizeof(*old);
	struct life **buckets = core_alloc(core, size * 2);

	if (!buckets)
		return;
	core->buckets = buckets;
	core->bucket_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++) {
		while ((life = old[i])) {
			old[i] = life->next_in_bucket;
			hang(core, life);
		}
	}
	core_release(core, old, size);
}

static void index_add(struct core *core, struct life *life)
{
	if (++core->life_count > core->bucket_count)
		grow(core);
	hang(core, life);
}

static void index_remove(struct core *core, struct life *life)
{
	*find_place(core, life->id) = life->next_in_bucket;
	core->life_count--;
}

/* The oldest reaped go first; the living and zombies never. */
static bool make_room(struct core *core, size_t size)
{
	while (core->memory_bytes + size > core->policy.memory_max_bytes) {
		struct life *oldest = core->queues[QUEUE_REAPED];

		if (!oldest)
			return false;
		life_free(core, oldest);
	}
	return true;
}

static void count_state(struct core *core, unsigned state, uint32_t by)
{
	core->totals.states[state] += by;
	if (state == LT_ZOMBIE)
		core->totals.zombies += by;
	if (state == LT_ZOMBIE || state == LT_EXITING)
		core->totals.dying += by;
	if (state != LT_REAPED)
		core->totals.processes += by;
}

struct life *life_new(struct core *core, struct lt_id id)
{
	struct life *life = NULL;

	if (make_room(core, sizeof(*life)))
		life = core_alloc(core, sizeof(*life));
	if (life) {
		life->id = id;
		life->state = LT_RUNNING;
		index_add(core, life);
		count_state(core, life->state, 1);
	} else {
		core->totals.refused++;
	}
	return life;
}

struct life *life_get(struct core *core, struct lt_id id)
{
	struct life *life = id.pid ? life_find(core, id) : NULL;

	if (life)
		life->flags &= ~(uint32_t)LT_LIFE_NAMED_ONLY;
	if (life || !id.pid)
		return life;
	life = life_new(core, id);
	if (life) {
		life->flags |= LT_LIFE_INFERRED;
		life->forked_ns = id.start_ns;
		life->ns_pid = (uint32_t)id.pid;
	}
	return life;
}

struct life *life_named(struct core *core, struct lt_id id)
{
	struct life *life = id.pid ? life_find(core, id) : NULL;

	if (life)
		return life;
	life = life_get(core, id);
	if (life)
		life->flags |= LT_LIFE_NAMED_ONLY;
	return life;
}

static void program_put(struct core *core, struct program *program)
{
	if (program && !--program->refs)
		core_release(core, program,
			     sizeof(*program) + program->exe_len + program->args_len);
}

void life_set_program(struct core *core, struct life *life, const char *text, uint16_t exe_len,
		      uint16_t args_len, uint32_t flags)
{
	size_t text_len = (size_t)exe_len + args_len;
	struct program *program = core_alloc(core, sizeof(*program) + text_len);

	if (!program)
		return;
	program->refs = 1;
	program->exe_len = exe_len;
	program->args_len = args_len;
	program->flags = flags & (LT_LIFE_ARGS_CUT | LT_LIFE_ARGS_UNKNOWN);
	memcpy(program->text, text, text_len);
	program_put(core, life->program);
	life->program = program;
}

void life_share_program(struct core *core, struct life *life, const struct life *from)
{
	if (from->program)
		from->program->refs++;
	program_put(core, life->program);
	life->program = from->program;
}

void life_set_comm(struct life *life, const char comm[LT_COMM_LEN])
{
	memcpy(life->comm, comm, LT_COMM_LEN);
	life->comm[LT_COMM_LEN - 1] = '\0';
}

void life_set_status(struct life *life, int32_t exit_code)
{
	life->exit_code = exit_code;
	life->flags |= LT_LIFE_HAS_STATUS;
}

void life_set_cgroup(struct core *core, struct life *life, struct lt_cgroup_id id)
{
	struct cgroup_info *cgroup;

	if (life->cgroup && life->cgroup->id.id == id.id &&
	    life->cgroup->id.hierarchy == id.hierarchy)
		return;
	cgroup = id.id ? cgroup_get(core, id) : NULL;
	if (life->cgroup)
		cgroup_put(core, life->cgroup);
	life->cgroup = cgroup;
}

struct kin *life_kin(struct core *core, struct life *life)
{
	if (!life->kin)
		life->kin = core_alloc(core, sizeof(*life->kin));
	return life->kin;
}

struct rare *life_make_rare(struct core *core, struct life *life)
{
	if (!life->rare)
		life->rare = core_alloc(core, sizeof(*life->rare));
	return life->rare;
}

const struct rare *life_rare(const struct life *life)
{
	static const struct rare none;

	return life->rare ? life->rare : &none;
}

struct death *life_death(struct core *core, struct life *life)
{
	if (!life->death)
		life->death = core_alloc(core, sizeof(*life->death));
	return life->death;
}

void life_set_tracer(struct core *core, struct life *life, struct lt_id tracer)
{
	bool was = life->kin && life->kin->tracer.pid, is = tracer.pid;
	struct kin *kin = was || is ? life_kin(core, life) : NULL;

	if (!kin)
		return;
	kin->tracer = tracer;
	kin->traced = life;
	if (is && !was)
		DL_APPEND2(core->traced, kin, traced_prev, traced_next);
	else if (was && !is)
		DL_DELETE2(core->traced, kin, traced_prev, traced_next);
}

void life_set_waits(struct core *core, struct life *life, const struct lt_waits *waits)
{
	if (!life->waits)
		life->waits = core_alloc(core, sizeof(*life->waits));
	if (life->waits)
		*life->waits = *waits;
}

void life_set_failures(struct core *core, struct life *life, const struct failures *failures)
{
	struct rare *rare = life_make_rare(core, life);

	if (rare)
		rare->failures = *failures;
}

/* The last slot is for those that find none of their own. */
void failures_add(struct failures *failures, uint32_t err)
{
	struct lt_failure *last = &failures->by[LT_FAILURES - 1], *slot = failures->by;

	while (slot < last && slot->count && slot->err != err)
		slot++;
	slot->err = slot < last ? err : 0;
	if (slot->count < UINT32_MAX)
		slot->count++;
}

void life_count_birth(struct core *core, struct life *creator, uint64_t time_ns)
{
	uint64_t second = time_ns / NSEC_PER_SEC;
	struct rare *rare = life_make_rare(core, creator);
	struct births *births;

	if (!rare)
		return;
	births = &rare->births;
	births->count++;
	if (second > births->second) {
		births->before = second == births->second + 1 ? births->now : 0;
		births->now = 0;
		births->second = second;
	}
	births->now++;
}

uint32_t births_per_second(const struct life *life, uint64_t now_ns)
{
	const struct births *births = &life_rare(life)->births;
	uint64_t second = now_ns / NSEC_PER_SEC;

	if (second > births->second + 1)
		return 0;
	return second == births->second + 1 ? births->now : births->before;
}

uint32_t births_lately(const struct life *life, uint64_t now_ns)
{
	const struct births *births = &life_rare(life)->births;

	return births_per_second(life, now_ns) +
	       (births->second == now_ns / NSEC_PER_SEC ? births->now : 0);
}

static void count_child(struct life *parent, const struct life *child, uint32_t by)
{
	if (!parent)
		return;
	if (child->state == LT_ZOMBIE)
		parent->zombies += by;
	else if (child->state != LT_REAPED)
		parent->alive += by;
}

void life_leave_parent(struct life *life)
{
	struct life *parent = life->parent;

	if (!parent)
		return;
	count_child(parent, life, (uint32_t)-1);
	DL_DELETE2(parent->children, life, sibling_prev, sibling_next);
	life->parent = NULL;
}

void life_set_parent(struct core *core, struct life *life, struct lt_id parent_id)
{
	struct life *parent;

	life->parent_id = parent_id;
	if (life->state == LT_REAPED) /* it is nobody's child, and that one may be forgotten */
		return;
	parent = life_named(core, parent_id);
	if (life->parent == parent || parent == life)
		return;
	policy_leave_parent(core, life);
	life_leave_parent(life);
	if (!parent || parent->state == LT_REAPED)
		return;
	life->parent = parent;
	DL_APPEND2(parent->children, life, sibling_prev, sibling_next);
	count_child(parent, life, 1);
	policy_join_parent(core, life);
}

void life_set_state(struct core *core, struct life *life, enum lt_state state)
{
	count_state(core, life->state, (uint32_t)-1);
	count_child(life->parent, life, (uint32_t)-1);
	life->state = (uint8_t)state;
	count_child(life->parent, life, 1);
	count_state(core, state, 1);
}

void life_free(struct core *core, struct life *life)
{
	life_set_tracer(core, life, (struct lt_id){ 0 });
	policy_end_hold(core, life);
	queue_remove(core, life);
	count_state(core, life->state, (uint32_t)-1);
	life_leave_parent(life);
	while (life->children)
		life_leave_parent(life->children);
	index_remove(core, life);
	program_put(core, life->program);
	if (life->cgroup)
		cgroup_put(core, life->cgroup);
	core_release(core, life->kin, sizeof(*life->kin));
	core_release(core, life->death, sizeof(*life->death));
	core_release(core, life->waits, sizeof(*life->waits));
	reaping_free(core, life);
	stack_free(core, life);
	cow_free(core, life);
	leak_free(core, life->leak);
	core_release(core, life->rare, sizeof(*life->rare));
	core_release(core, life, sizeof(*life));
}
