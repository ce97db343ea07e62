// SPDX-License-Identifier: GPL-2.0-only
/* The core's outside: making it, asking it, handing it on. */
#include "life.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

const char *const change_names[CHANGE_KINDS] = {
#define X(NAME, name) [CHANGE_##NAME] = name,
	LT_CHANGES(X)
#undef X
};

struct core *core_new(core_change_fn on_change, void *user)
{
	struct core *core = calloc(1, sizeof(*core));

	if (!core)
		return NULL;
	if (!table_init(core)) {
		free(core);
		return NULL;
	}
	core->on_change = on_change;
	core->user = user;
	policy_init(&core->policy);
	alerts_init(core);
	return core;
}

void core_free(struct core *core)
{
	if (!core)
		return;
	while (core->silences)
		silence_end(core, core->silences);
	table_deinit(core);
	cgroups_free(core);
	policy_deinit(&core->policy);
	for (int i = 0; i < HOOKS_MAX; i++) {
		free(core->hooks[i].what);
		free(core->hooks[i].value);
	}
	free(core);
}

void core_tell(struct core *core, struct change change)
{
	if (core->on_change)
		core->on_change(core->user, &change);
	names_note(core, &change);
	alerts_note(core, &change);
}

uint64_t core_now_ns(const struct core *core)
{
	return core->now_ns;
}

struct core_totals core_totals(const struct core *core)
{
	struct core_totals totals = core->totals;

	totals.memory_bytes = core->memory_bytes;
	return totals;
}

static const struct lt_cgroup_id nowhere;

/* A parent that is to be judged: its threads anew, as they change. */
#define TASKS_FRESH_NS NSEC_PER_SEC

static bool are_tasks_fresh(const struct core *core, const struct reaping *reaping)
{
	return reaping && ns_after(reaping->tasks_ns, TASKS_FRESH_NS) > core->now_ns;
}

static uint32_t judged_want(const struct core *core, const struct life *parent)
{
	const struct reaping *reaping = life_reaping(parent);
	uint32_t want = 0;

	if (!reaping || !reaping->facts.adopter.pid)
		want |= LT_PROC_ADOPTER;
	if (!are_tasks_fresh(core, reaping))
		want |= LT_PROC_TASKS;
	return want;
}

static uint32_t wanted_of(const struct core *core, const struct life *life)
{
	uint32_t want = life->leak && life->leak->flagged ? judged_want(core, life) : 0;

	if (life->cgroup && !life->cgroup->path)
		want |= LT_PROC_CGROUP;
	if (life->state >= LT_EXITING || life->flags & LT_LIFE_KERNEL)
		return want;
	if (!life->program)
		return want | LT_PROC_ARGS | LT_PROC_EXE;
	if (life->program->flags & LT_LIFE_ARGS_UNKNOWN)
		want |= LT_PROC_ARGS;
	if (life->program->exe_len && life->program->text[0] != '/')
		want |= LT_PROC_EXE;
	return want;
}

void core_each_want(const struct core *core, core_want_fn fn, void *user)
{
	const struct life *life;

	EACH_LIFE(core, life) {
		uint32_t want = life->state == LT_REAPED ? 0 : wanted_of(core, life);

		if (want)
			fn(user, life->id, life->cgroup ? life->cgroup->id : nowhere, want);
	}
}

void core_each_judged(const struct core *core, core_want_fn fn, void *user)
{
	const struct leak *leak;

	EACH_LEAK(core, leak) {
		uint32_t want = leak->flagged ? judged_want(core, leak->parent) : 0;

		if (want)
			fn(user, leak->parent->id, nowhere, want);
	}
}

void core_each_judged_soon(const struct core *core, core_want_fn fn, void *user)
{
	uint64_t soon_ns = ns_after(core->now_ns, TASKS_FRESH_NS);
	const struct life *zombie;

	DL_FOREACH(core->queues[QUEUE_YOUNG], zombie) {
		const struct life *parent = zombie->parent;
		const struct reaping *reaping = parent ? life_reaping(parent) : NULL;

		if (ns_after(zombie->zombie_ns, core->policy.zombie_age_ns) > soon_ns)
			break;
		if (parent && parent->state < LT_EXITING &&
		    !(parent->leak && parent->leak->flagged) &&
		    !(are_tasks_fresh(core, reaping) && reaping->tasks_ns >= zombie->zombie_ns))
			fn(user, parent->id, nowhere, LT_PROC_TASKS);
	}
}

uint64_t core_hook_since(const struct core *core, const char *what)
{
	for (int i = 0; i < HOOKS_MAX && core->hooks[i].what; i++)
		if (!strcmp(core->hooks[i].what, what))
			return core->hooks[i].since_ns;
	return 0;
}

static void ask(const struct life *life, core_want_fn fn, void *user)
{
	if (life && life->state < LT_EXITING && !(life->flags & LT_LIFE_KERNEL))
		fn(user, life->id, nowhere, LT_PROC_TASKS | LT_PROC_ADOPTER);
}

void core_each_asked(const struct core *core, uint64_t pid, core_want_fn fn, void *user)
{
	const struct life *life = life_of_pid(core, pid);

	ask(life, fn, user);
	ask(life ? life->parent : NULL, fn, user);
}

void core_each_unseen(const struct core *core, core_id_fn fn, void *user)
{
	const struct life *life;

	EACH_LIFE(core, life)
		if (life_is_unseen(core, life))
			fn(user, life->id);
}

void core_each_dying(const struct core *core, core_id_fn fn, void *user)
{
	const struct life *life;

	for (int queue = QUEUE_EXITING; queue <= QUEUE_AGED; queue++)
		DL_FOREACH(core->queues[queue], life)
			fn(user, life->id);
}

bool core_find(const struct core *core, uint64_t pid, struct lt_id *id)
{
	const struct life *life;

	EACH_LIFE(core, life) {
		if (life->id.pid != pid || life->state >= LT_EXITING)
			continue;
		*id = life->id;
		return true;
	}
	return false;
}

size_t core_life_count(const struct core *core)
{
	return core->life_count;
}

bool core_lives(const struct core *core, uint64_t pid)
{
	struct lt_id id;

	return core_find(core, pid, &id);
}

void core_each_due(const struct core *core, uint64_t now_ns, core_id_fn fn, void *user)
{
	const struct hold *hold;
	const struct life *life;

	DL_FOREACH(core->queues[QUEUE_YOUNG], life) {
		if (ns_after(life->zombie_ns, core->policy.zombie_age_ns) > now_ns)
			break;
		fn(user, life->id);
	}
	DL_FOREACH(core->held[WEIGHS_NOTHING], hold) {
		if (ns_after(hold->since_ns, core->policy.zombie_age_ns) > now_ns)
			break;
		fn(user, hold->life->id);
	}
}

void core_each_program(const struct core *core, core_program_fn fn, void *user)
{
	const struct life *life;

	EACH_LIFE(core, life)
		if (life->state < LT_EXITING && !(life->flags & LT_LIFE_KERNEL))
			fn(user, life->id, life->exec_ns);
}

/* ---- handing on ---- */

struct dump {
	const struct core *core;
	core_emit_fn emit;
	void *user;
	union {
		struct lt_hdr hdr;
		struct lt_start start;
		struct lt_policy policy;
		struct lt_hook hook;
		struct lt_cgroup cgroup;
		struct lt_names names;
		struct lt_life life;
		struct lt_limits limits;
		struct lt_leak leak;
		struct lt_counts counts;
		struct lt_totals totals;
		struct lt_tallies tallies;
		struct lt_tasks tasks;
		struct lt_reaping reaping;
		struct lt_adoption adoption;
		struct lt_births births;
		struct lt_alert_policy alert_policy;
		struct lt_alert alert;
		char bytes[LT_RECORD_MAX];
	} record;
};

/* Starts the record anew: all zero but the header. */
static void dump_begin(struct dump *dump, enum lt_kind kind)
{
	memset(&dump->record, 0, sizeof(dump->record));
	dump->record.hdr.kind = (uint16_t)kind;
	dump->record.hdr.time_ns = dump->core->now_ns;
	dump->record.hdr.size = (uint32_t)core_min_size(kind);
}

/* Appends text; what does not fit is cut. Returns what did. */
static uint32_t dump_text(struct dump *dump, const char *text, size_t len)
{
	struct lt_hdr *hdr = &dump->record.hdr;
	size_t room = LT_RECORD_MAX - LT_ALIGN - hdr->size;

	len = len < room ? len : room;
	if (len)
		memcpy(dump->record.bytes + hdr->size, text, len);
	hdr->size += (uint32_t)len;
	return (uint32_t)len;
}

static void dump_end(struct dump *dump)
{
	struct lt_hdr *hdr = &dump->record.hdr;

	hdr->size = (hdr->size + LT_ALIGN - 1) & ~(uint32_t)(LT_ALIGN - 1);
	dump->emit(dump->user, hdr);
}

static uint16_t dump_globs(struct dump *dump, const struct glob_list *list)
{
	uint32_t len = 0;

	for (char **glob = list->globs; glob && *glob; glob++) {
		len += dump_text(dump, *glob, strlen(*glob));
		len += dump_text(dump, ",", 1);
	}
	return (uint16_t)len;
}

static void dump_policy(struct dump *dump)
{
	const struct policy *policy = &dump->core->policy;
	struct lt_policy *e = &dump->record.policy;

	dump_begin(dump, LT_POLICY);
	e->zombie_age_ns = policy->zombie_age_ns;
	e->leak_age_ns = policy->leak_age_ns;
	e->leak_settle_ns = policy->leak_settle_ns;
	e->reaped_keep_ns = policy->reaped_keep_ns;
	e->memory_max_bytes = policy->memory_max_bytes;
	e->leak_count = policy->leak_count;
	e->ignore_comm_len = dump_globs(dump, &policy->ignore_comm);
	e->ignore_unit_len = dump_globs(dump, &policy->ignore_unit);
	dump_end(dump);
}

static void dump_hook(struct dump *dump, const struct hook_info *hook)
{
	struct lt_hook *e = &dump->record.hook;

	if (!hook->what)
		return;
	dump_begin(dump, LT_HOOK);
	e->since_ns = hook->since_ns;
	e->what_len = dump_text(dump, hook->what, strlen(hook->what));
	e->value_len = dump_text(dump, hook->value, strlen(hook->value));
	dump_end(dump);
}

static void dump_cgroup(struct dump *dump, const struct cgroup_info *cgroup)
{
	struct lt_cgroup *e = &dump->record.cgroup;

	if (!cgroup->path)
		return;
	dump_begin(dump, LT_CGROUP);
	e->cgroup = cgroup->id;
	e->path_len = dump_text(dump, cgroup->path, strlen(cgroup->path));
	dump_end(dump);
}

static void dump_names(struct dump *dump, const struct cgroup_info *cgroup)
{
	struct lt_names *e = &dump->record.names;
	const struct names *names = cgroup->names;

	if (!names)
		return;
	dump_begin(dump, LT_NAMES);
	e->hdr.time_ns = cgroup->names_ns;
	e->cgroup = cgroup->id;
	e->container_len = (__u16)dump_text(dump, names->container, strlen(names->container));
	e->pod_len = (__u16)dump_text(dump, names->pod, strlen(names->pod));
	e->namespace_len = (__u16)dump_text(dump, names->space, strlen(names->space));
	dump_end(dump);
}

static void dump_death(struct lt_life *e, const struct death *death)
{
	if (!death)
		return;
	e->flagged_ns = death->flagged_ns;
	e->notify_flags = death->notify_flags;
	e->sa_flags = death->sa_flags;
	e->disposition = death->disposition;
	e->waits_at_death = death->parent_waits;
}

static void dump_kin(struct lt_life *e, const struct kin *kin)
{
	if (!kin)
		return;
	e->first_parent = kin->first_parent;
	e->born_of = kin->born_of;
	e->adopted_by = kin->adopted_by;
	e->reaped_by = kin->reaped_by;
	e->tracer = kin->tracer;
}

static void dump_forks(struct lt_life *e, const struct life *life)
{
	e->fork_duration_ns = life->fork_duration_ns;
	e->vfork_wait_ns = life->vfork_wait_ns;
	e->rss_pages = life->rss_pages;
	e->pagetable_bytes = life->pagetable_kib * (uint64_t)1024;
	memcpy(e->fork_failures, life_rare(life)->failures.by, sizeof(e->fork_failures));
}

static void dump_program(struct dump *dump, const struct program *program)
{
	struct lt_life *e = &dump->record.life;

	if (!program) {
		e->flags |= LT_LIFE_ARGS_UNKNOWN;
		return;
	}
	e->flags |= program->flags;
	e->exe_len = (uint16_t)dump_text(dump, program->text, program->exe_len);
	e->args_len =
		(uint16_t)dump_text(dump, program->text + program->exe_len, program->args_len);
}

static void dump_births(struct dump *dump, const struct life *life)
{
	const struct births *births = &life_rare(life)->births;
	struct lt_births *e = &dump->record.births;

	if (!births->count)
		return;
	dump_begin(dump, LT_BIRTHS);
	e->id = life->id;
	e->count = births->count;
	e->second = births->second;
	e->now = births->now;
	e->before = births->before;
	dump_end(dump);
}

static void dump_life(struct dump *dump, const struct life *life)
{
	struct lt_life *e = &dump->record.life;

	dump_begin(dump, LT_LIFE);
	e->id = life->id;
	e->parent = life->parent_id;
	if (life->cgroup)
		e->cgroup = life->cgroup->id;
	e->forked_ns = life->forked_ns;
	e->exec_ns = life->exec_ns;
	e->exit_called_ns = life_rare(life)->exit_called_ns;
	e->exited_ns = life->exited_ns;
	e->zombie_ns = life->zombie_ns;
	e->reaped_ns = life->reaped_ns;
	if (life->leak) {
		e->leak_since_ns = life->leak->since_ns;
		e->leak_shrunk_ns = life->leak->shrunk_ns;
	}
	if (life->waits)
		e->waits = *life->waits;
	dump_forks(e, life);
	cow_dump(e, life);
	dump_kin(e, life->kin);
	dump_death(e, life->death);
	e->uid = life->uid;
	e->ns_pid = life->ns_pid;
	e->exit_code = life->exit_code;
	e->exit_signal = life->exit_signal;
	e->flags |= life->flags;
	e->state = life->state;
	e->reap_source = life->reap_source;
	memcpy(e->comm, life->comm, LT_COMM_LEN);
	dump_program(dump, life->program);
	dump_end(dump);
	dump_births(dump, life);
}

static void dump_alert(struct dump *dump, enum alert_kind kind, const struct alert *alert,
		       struct lt_id parent)
{
	struct lt_alert *e = &dump->record.alert;

	if (!alert->since_ns && !alert->held_ns)
		return;
	dump_begin(dump, LT_ALERT);
	e->parent = parent;
	e->alert = (uint32_t)kind;
	e->since_ns = alert->since_ns;
	e->held_ns = alert->held_ns;
	e->calm_ns = alert->calm_ns;
	e->value = alert->value;
	e->hook = alert->hook;
	dump_end(dump);
}

static void dump_alerts(struct dump *dump)
{
	const struct alert_policy *policy = &dump->core->alert_policy;
	struct lt_alert_policy *e = &dump->record.alert_policy;

	dump_begin(dump, LT_ALERT_POLICY);
	e->flagged_limit = policy->flagged_limit;
	e->storm_per_s = policy->storm_per_s;
	e->storm_for_ns = policy->storm_for_ns;
	e->pids_within_ns = policy->pids_within_ns;
	e->settle_ns = policy->settle_ns;
	e->self_pid = (uint32_t)policy->self_pid;
	e->host_len = dump_text(dump, policy->host, strlen(policy->host));
	dump_end(dump);
	for (int kind = 0; kind < ALERT_KINDS; kind++)
		dump_alert(dump, (enum alert_kind)kind, &dump->core->alerts[kind],
			   dump->core->alerts[kind].by);
}

static void dump_limits(struct dump *dump, const struct leak *leak)
{
	const struct leak_limits *limits = leak->limits;
	struct lt_limits *e = &dump->record.limits;

	if (!limits)
		return;
	dump_begin(dump, LT_LIMITS);
	e->hdr.time_ns = limits->at_ns;
	e->id = leak->parent->id;
	for (int i = 0; i < LT_LIMIT_COUNT; i++)
		e->limit[i].max = LT_NO_LIMIT;
	if (limits->nearest >= 0)
		e->limit[limits->nearest] = limits->limit;
	e->pid_ns_init = limits->pid_ns_init;
	if (limits->path)
		e->path_len = dump_text(dump, limits->path, strlen(limits->path));
	dump_end(dump);
}

static void dump_leak(struct dump *dump, const struct leak *leak)
{
	dump_begin(dump, LT_LEAK);
	dump->record.leak.id = leak->parent->id;
	dump->record.leak.rate = leak->rate;
	dump->record.leak.told = leak->told;
	dump_end(dump);
	/* before the limits, which would make it fire anew */
	dump_alert(dump, ALERT_PIDS, &(struct alert){ .since_ns = leak->pids_alert_ns },
		   leak->parent->id);
	dump_limits(dump, leak);
}

/* As they were read: what is judged by them depends on when that was. */
static void dump_tasks(struct dump *dump, const struct reaping *reaping)
{
	memcpy(&dump->record, reaping->tasks, reaping->tasks->hdr.size);
	dump->emit(dump->user, &dump->record.hdr);
}

static void dump_reaping(struct dump *dump, const struct life *life)
{
	const struct reaping *reaping = life_reaping(life);
	const struct death *death = life->death;

	if (reaping) {
		dump_begin(dump, LT_REAPING);
		struct lt_hdr hdr = dump->record.hdr;

		dump->record.reaping = reaping->facts;
		dump->record.hdr = hdr;
		dump->record.reaping.id = life->id;
		dump_end(dump);
		if (reaping->tasks)
			dump_tasks(dump, reaping);
	}
	if (death && death->adopted_ns) {
		dump_begin(dump, LT_ADOPTION);
		dump->record.adoption.id = life->id;
		dump->record.adoption.since_ns = death->adopted_ns;
		dump_end(dump);
	}
}

static void dump_totals(struct dump *dump)
{
	const struct core_totals *totals = &dump->core->totals;
	struct lt_totals *e = &dump->record.totals;

	dump_begin(dump, LT_TOTALS);
	e->forks = totals->forks;
	e->execs = totals->execs;
	e->exits = totals->exits;
	e->reaps = totals->reaps;
	e->repairs = totals->repairs;
	e->refused = totals->refused;
	e->bad_records = totals->bad_records;
	memcpy(e->lost, totals->lost, sizeof(e->lost));
	memcpy(e->fork_failures, dump->core->failures.by, sizeof(e->fork_failures));
	dump_end(dump);
}

static void dump_tallies(struct dump *dump)
{
	struct lt_hdr hdr;

	dump_begin(dump, LT_TALLIES);
	hdr = dump->record.hdr;
	dump->record.tallies = dump->core->tallies;
	dump->record.hdr = hdr;
	dump->record.tallies.cow_copies = dump->core->totals.cow_copies;
	dump->record.tallies.cow_reuses = dump->core->totals.cow_reuses;
	dump_end(dump);
}

/* The first of the latest so many that were reaped; the queue's head names its tail. */
static struct life *lately_reaped(const struct core *core, size_t max)
{
	struct life *head = core->queues[QUEUE_REAPED], *life;

	if (!head || !max)
		return NULL;
	for (life = head->prev; life != head && --max; life = life->prev)
		;
	return life;
}

void core_dump(const struct core *core, core_emit_fn emit, void *user)
{
	core_dump_lately(core, SIZE_MAX, emit, user);
}

void core_dump_lately(const struct core *core, size_t reaped_max, core_emit_fn emit, void *user)
{
	struct dump *dump = calloc(1, sizeof(*dump));
	struct cgroup_info *cgroup, *next_cgroup;
	const struct stack *stack;
	const struct leak *leak;
	struct life *life;

	if (!dump)
		return;
	*dump = (struct dump){ .core = core, .emit = emit, .user = user };
	dump_begin(dump, LT_START);
	dump->record.start.boot_realtime_ns = core->start.boot_realtime_ns;
	dump->record.start.started_ns = core->start.started_ns;
	dump->record.start.page_bytes = core->start.page_bytes;
	dump->record.start.ring_bytes = core->start.ring_bytes;
	dump_end(dump);
	dump_policy(dump);
	dump_alerts(dump); /* before what would make them fire anew */
	for (int i = 0; i < HOOKS_MAX; i++)
		dump_hook(dump, &core->hooks[i]);
	core_each_silence(core, emit, user);
	HASH_ITER(hh, core->cgroups, cgroup, next_cgroup) {
		dump_cgroup(dump, cgroup);
		dump_names(dump, cgroup);
	}
	EACH_LIFE(core, life)
		if (life->state != LT_REAPED)
			dump_life(dump, life);
	EACH_LIFE(core, life)
		dump_reaping(dump, life);
	for (life = lately_reaped(core, reaped_max); life; life = life->next) /* in their order */
		dump_life(dump, life);
	DL_FOREACH(core->stacks, stack)
		stack_dump(stack, emit, user);
	EACH_LEAK(core, leak)
		dump_leak(dump, leak);
	dump_begin(dump, LT_COUNTS);
	memcpy(dump->record.counts.count, core->sent, sizeof(core->sent));
	dump_end(dump);
	dump_totals(dump);
	dump_tallies(dump);
	free(dump);
}
