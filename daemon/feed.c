// SPDX-License-Identifier: GPL-2.0-only
/* What the core is fed: all that is known goes in as records. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "core/text.h"
#include "crash.h"
#include "log.h"
#include "loop.h"
#include "names.h"
#include "pid_limits.h"
#include "proc.h"

/* Parents whose threads are looked at for one answer, at most. */
#define LOOKS_MAX 128

/* How old what is shown of a leaking parent's limits may be; at most so many are read at a time. */
#define LIMITS_AGE_NS (2 * NSEC_PER_SEC)
#define LIMITS_AT_ONCE 256

/* ---- one way in: everything that is known goes through here ---- */

void feed(void *user, const void *record, size_t len)
{
	struct daemon *daemon = user;
	const struct lt_hdr *hdr = record;

	crash_doing.kind = len >= sizeof(*hdr) ? hdr->kind : 0;
	if (!keep_record(&daemon->keep, record, len))
		log_warn("what is known from here on ends with this daemon: %s", daemon->keep.why);
	core_apply(daemon->core, record, len);
	if (daemon->server)
		server_record(daemon->server, record, len);
	crash_doing.kind = 0;
}

void feed_news(void *user, const void *record, size_t len)
{
	struct daemon *daemon = user;

	if (core_is_news(daemon->core, record))
		feed(daemon, record, len);
}

void feed_from_ring(void *user, const void *record, size_t len)
{
	struct daemon *daemon = user;
	const struct lt_hdr *hdr = record;

	if (len >= sizeof(*hdr)) {
		daemon->newest_ns = hdr->time_ns;
		health_note_event(&daemon->health, hdr->time_ns);
	}
	if (daemon->handlers && len == sizeof(struct lt_new_files) && hdr->kind == LT_NEW_FILES) {
		handlers_note(daemon->handlers, record);
		sd_event_source_set_enabled(daemon->libraries, SD_EVENT_ONESHOT);
	}
	feed(daemon, record, len);
}

void feed_tick(struct daemon *daemon)
{
	struct lt_hdr tick = { .size = sizeof(tick), .kind = LT_TICK, .time_ns = boot_ns() };

	feed(daemon, &tick, sizeof(tick));
}

/* What the wall clock showed at boot, as it is set now. */
static uint64_t boot_realtime_ns(void)
{
	return clock_ns(CLOCK_REALTIME) - boot_ns();
}

void feed_start(struct daemon *daemon)
{
	struct lt_start start = { .hdr = { .size = sizeof(start), .kind = LT_START } };

	start.hdr.time_ns = boot_ns();
	if (!daemon->started_ns)
		daemon->started_ns = start.hdr.time_ns;
	start.started_ns = daemon->started_ns;
	daemon->boot_realtime_ns = start.boot_realtime_ns = boot_realtime_ns();
	start.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	start.ring_bytes = daemon->settings->ring_bytes;
	feed(daemon, &start, sizeof(start));
}

/* Not for each that a clock is slewed by: what is shown in its terms is so as to the second. */
#define CLOCK_STEP_NS (NSEC_PER_SEC / 2)

void feed_clock(struct daemon *daemon)
{
	int64_t step_ns = (int64_t)(boot_realtime_ns() - daemon->boot_realtime_ns);

	if (step_ns > (int64_t)CLOCK_STEP_NS || step_ns < -(int64_t)CLOCK_STEP_NS)
		feed_start(daemon);
}

/* A record and room for its text. */
union text_record {
	struct lt_hdr hdr;
	struct lt_policy policy;
	struct lt_hook hook;
	struct lt_alert_policy alert_policy;
	struct lt_names names;
	char bytes[LT_RECORD_MAX];
};

/* The parts of its text, NULL after the last. */
#define TEXTS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void feed_text(struct daemon *daemon, union text_record *record, uint16_t kind,
		      const char *const *texts)
{
	size_t size = core_min_size(kind);

	for (; *texts; texts++) {
		memcpy(record->bytes + size, *texts, strlen(*texts));
		size += strlen(*texts);
	}
	size = (size + LT_ALIGN - 1) & ~(size_t)(LT_ALIGN - 1);
	record->hdr.kind = kind;
	record->hdr.size = (uint32_t)size;
	record->hdr.time_ns = boot_ns();
	feed(daemon, record, size);
}

void feed_policy(struct daemon *daemon)
{
	const struct settings *settings = daemon->settings;
	union text_record record = { 0 };

	record.policy.zombie_age_ns = settings->zombie_age_ns;
	record.policy.leak_age_ns = settings->leak_age_ns;
	record.policy.leak_settle_ns = settings->leak_settle_ns;
	record.policy.reaped_keep_ns = settings->reaped_keep_ns;
	record.policy.memory_max_bytes = settings->memory_max_bytes;
	record.policy.leak_count = (uint32_t)settings->leak_count;
	record.policy.ignore_comm_len = (uint16_t)strlen(settings->ignore_comm);
	record.policy.ignore_unit_len = (uint16_t)strlen(settings->ignore_unit);
	feed_text(daemon, &record, LT_POLICY, TEXTS(settings->ignore_comm, settings->ignore_unit));
}

void feed_alert_policy(struct daemon *daemon)
{
	const struct settings *settings = daemon->settings;
	union text_record record = { 0 };
	char host[HOST_NAME_MAX + 1] = "";

	gethostname(host, sizeof(host) - 1);
	record.alert_policy.flagged_limit = settings->alert_flagged;
	record.alert_policy.storm_per_s = settings->alert_forks;
	record.alert_policy.storm_for_ns = settings->alert_forks_for_ns;
	record.alert_policy.pids_within_ns = settings->alert_pids_within_ns;
	record.alert_policy.settle_ns = settings->alert_settle_ns;
	record.alert_policy.self_pid = (uint32_t)getpid();
	record.alert_policy.host_len = (uint32_t)strlen(host);
	feed_text(daemon, &record, LT_ALERT_POLICY, TEXTS(host));
}

static void feed_hook(struct daemon *daemon, const char *what, const char *value)
{
	union text_record record = { 0 };

	record.hook.what_len = (uint32_t)strlen(what);
	record.hook.value_len = (uint32_t)strlen(value);
	feed_text(daemon, &record, LT_HOOK, TEXTS(what, value));
}

void feed_handlers_hook(struct daemon *daemon)
{
	char hook[HANDLERS_HOOK_SIZE] = "off: exit_handlers = off";

	if (daemon->handlers)
		handlers_hook(daemon->handlers, hook);
	else if (daemon->handlers_err)
		snprintf(hook, sizeof(hook), "off: %s", strerror(-daemon->handlers_err));
	feed_hook(daemon, "exit_handlers", hook);
}

void feed_stacks_hook(struct daemon *daemon)
{
	char hook[128] = "off: stacks = off";

	if (daemon->stacks_err)
		snprintf(hook, sizeof(hook), "off: %s", strerror(-daemon->stacks_err));
	else if (daemon->stacks)
		strcpy(hook, daemon->stacks_taken ?
				     "tp_btf/task_newtask" :
				     "off: no parent holds a flagged zombie (stacks = on)");
	feed_hook(daemon, "stacks", hook);
}

void feed_hooks(struct daemon *daemon)
{
	const struct kernel_hook *hooks = kernel_hooks(daemon->kernel);
	char pins[KEEP_HOOK_SIZE];

	for (int i = 0; i < KERNEL_HOOKS; i++)
		feed_hook(daemon, hooks[i].what, hooks[i].value);
	feed_handlers_hook(daemon);
	feed_stacks_hook(daemon);
	keep_hook(&daemon->keep, pins);
	feed_hook(daemon, "pins", pins);
}

void feed_counts(struct daemon *daemon)
{
	struct lt_counts counts = { .hdr = { .size = sizeof(counts), .kind = LT_COUNTS } };
	__u64 lost[LT_KERNEL_KINDS];

	counts.hdr.time_ns = boot_ns();
	kernel_counts(daemon->kernel, counts.count, lost);
	feed(daemon, &counts, sizeof(counts));
}

uint32_t journal_dropped(void *user)
{
	const struct daemon *daemon = user;

	return daemon->alerts_dropped + log_dropped();
}

void feed_health(struct daemon *daemon)
{
	struct lt_health health = { .hdr = { .size = sizeof(health), .kind = LT_HEALTH } };

	health_read(&daemon->health, &health);
	health.ring_highest_bytes = kernel_ring_highest(daemon->kernel);
	health.syscall_hooks = daemon->watching_calls && kernel_calls_tax(daemon->kernel);
	health.journal_dropped = journal_dropped(daemon);
	health.hdr.time_ns = boot_ns();
	feed(daemon, &health, sizeof(health));
}

/* ---- what only /proc knows ---- */

struct want {
	struct lt_id id;
	struct lt_cgroup_id cgroup;
	uint32_t flags;
};

/* The core must not change while it is walked: what it wants is noted first. */
struct wants {
	struct want *all;
	size_t count, room;
};

static void note_want(void *user, struct lt_id id, struct lt_cgroup_id cgroup, uint32_t flags)
{
	struct wants *wants = user;
	struct want *bigger;

	if (wants->count == wants->room) {
		size_t room = wants->room ? wants->room * 2 : 64;

		bigger = realloc(wants->all, room * sizeof(*bigger));
		if (!bigger) /* the next look will ask again */
			return;
		wants->all = bigger;
		wants->room = room;
	}
	wants->all[wants->count++] = (struct want){ id, cgroup, flags };
}

static void note_id(void *user, struct lt_id id)
{
	note_want(user, id, (struct lt_cgroup_id){ 0 }, 0);
}

/* Who is asked for, when a pass of the iterator is made only to see them and their adopters. */
struct adopters {
	struct daemon *daemon;
	const struct wants *wants;
};

static void feed_adopter(void *user, const void *record, size_t len)
{
	const struct adopters *adopters = user;
	const struct lt_life *e = record;
	struct lt_adopter adopter = { .hdr = { .size = sizeof(adopter), .kind = LT_ADOPTER } };

	if (len < sizeof(*e) || e->hdr.kind != LT_SCAN)
		return;
	for (size_t i = 0; i < adopters->wants->count; i++) {
		const struct want *want = &adopters->wants->all[i];

		if (!(want->flags & LT_PROC_ADOPTER) || want->id.pid != e->id.pid ||
		    want->id.start_ns != e->id.start_ns)
			continue;
		feed(adopters->daemon, record, len); /* nothing tells that its cgroup is another */
		if (!e->adopted_by.pid)
			continue;
		adopter.hdr.time_ns = boot_ns();
		adopter.id = e->id;
		adopter.adopter = e->adopted_by;
		feed(adopters->daemon, &adopter, sizeof(adopter));
	}
}

static int compare_wants(const void *a, const void *b)
{
	const struct lt_id *x = &((const struct want *)a)->id, *y = &((const struct want *)b)->id;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

/* By pid, and each process once. */
static void unite(struct wants *wants)
{
	size_t count = 0;

	if (wants->count)
		qsort(wants->all, wants->count, sizeof(*wants->all), compare_wants);
	for (size_t i = 0; i < wants->count; i++) {
		struct want *want = &wants->all[i], *last = &wants->all[count ? count - 1 : 0];

		if (count && !compare_wants(want, last)) {
			last->flags |= want->flags;
			if (want->flags & LT_PROC_CGROUP)
				last->cgroup = want->cgroup;
		} else {
			wants->all[count++] = *want;
		}
	}
	wants->count = count;
}

/* Where there are too many to look at once, the next time begins after the last of them. */
static void limit_looks(struct daemon *daemon, struct wants *wants)
{
	size_t first = 0, looks = 0;

	while (first < wants->count && wants->all[first].id.pid <= daemon->looked_pid)
		first++;
	for (size_t i = 0; i < wants->count; i++) {
		struct want *want = &wants->all[(first + i) % wants->count];

		if (!(want->flags & LT_PROC_TASKS))
			continue;
		if (looks++ < LOOKS_MAX)
			daemon->looked_pid = want->id.pid;
		else
			want->flags &= ~(uint32_t)LT_PROC_TASKS;
	}
}

static void feed_wants(struct daemon *daemon, struct wants *wants)
{
	struct adopters adopters = { daemon, wants };
	uint32_t all = 0;

	unite(wants);
	limit_looks(daemon, wants);
	for (size_t i = 0; i < wants->count; i++) {
		const struct want *want = &wants->all[i];
		uint32_t io_uring = kernel_io_uring_waits(daemon->kernel) ? LT_PROC_IO_URING : 0;

		all |= want->flags;
		proc_read(want->id, want->cgroup, want->flags | io_uring, boot_ns(), feed, daemon);
	}
	if (all & LT_PROC_ADOPTER)
		kernel_scan(daemon->kernel, feed_adopter, &adopters);
}

void feed_proc(struct daemon *daemon)
{
	struct wants wants = { 0 };

	core_each_want(daemon->core, note_want, &wants);
	core_each_judged_soon(daemon->core, note_want, &wants);
	feed_wants(daemon, &wants);
	free(wants.all);
}

void feed_asked(struct daemon *daemon, uint64_t pid)
{
	struct wants wants = { 0 };

	core_each_asked(daemon->core, pid, note_want, &wants);
	feed_wants(daemon, &wants);
	free(wants.all);
}

void feed_judged(struct daemon *daemon)
{
	struct wants wants = { 0 };

	if (!core_totals(daemon->core).flagged)
		return;
	core_each_judged(daemon->core, note_want, &wants);
	feed_wants(daemon, &wants);
	free(wants.all);
	drain(daemon);
	kernel_waits(daemon->kernel, feed, daemon);
}

/*
 * The last record of a life comes an RCU grace period after its reap, and where
 * the kernel hides a process from BPF (pid 1, on some hosts) it does not come
 * if that one's CPU happens to do the freeing. So before a zombie is shown or
 * flagged, its pid is looked for. What told of its death is in the ring by then.
 */
static void feed_absent(struct daemon *daemon, struct wants *dying)
{
	size_t gone = 0;

	for (size_t i = 0; i < dying->count; i++)
		if (kill((pid_t)dying->all[i].id.pid, 0) && errno == ESRCH)
			dying->all[gone++] = dying->all[i];
	if (gone)
		drain(daemon);
	for (size_t i = 0; i < gone; i++) {
		struct lt_free absent = { .hdr = { .size = sizeof(absent), .kind = LT_ABSENT },
					  .id = dying->all[i].id };

		absent.hdr.time_ns = boot_ns();
		feed(daemon, &absent, sizeof(absent));
	}
	free(dying->all);
}

void feed_dying(struct daemon *daemon)
{
	struct wants dying = { 0 };

	core_each_dying(daemon->core, note_id, &dying);
	feed_absent(daemon, &dying);
}

void feed_due(struct daemon *daemon)
{
	struct wants due = { 0 }, parents = { 0 };

	core_each_due(daemon->core, boot_ns(), note_id, &due);
	feed_absent(daemon, &due);
	core_each_judged_soon(daemon->core, note_want, &parents);
	feed_wants(daemon, &parents);
	free(parents.all);
}

/* ---- what containers are called ---- */

#define NAMES_AT_ONCE 64

struct nameless {
	struct names_want wants[NAMES_AT_ONCE]; /* 57 KiB: those up to count are set */
	size_t count;
};

static void note_nameless(void *user, struct lt_cgroup_id id, const char *container,
			  const char *pod)
{
	struct nameless *nameless = user;
	struct names_want *want = &nameless->wants[nameless->count];

	for (size_t i = 0; i < nameless->count; i++)
		if (nameless->wants[i].cgroup.id == id.id &&
		    nameless->wants[i].cgroup.hierarchy == id.hierarchy)
			return;
	if (nameless->count == NAMES_AT_ONCE)
		return;
	*want = (struct names_want){ .cgroup = id };
	snprintf(want->container, sizeof(want->container), "%s", container);
	snprintf(want->pod, sizeof(want->pod), "%s", pod);
	nameless->count++;
}

/* Also that nobody knows it. */
static void feed_found(struct daemon *daemon, const struct names_want *want)
{
	union text_record record = { 0 };

	record.names.cgroup = want->cgroup;
	record.names.container_len = (__u16)strlen(want->container_name);
	record.names.pod_len = (__u16)strlen(want->pod_name);
	record.names.namespace_len = (__u16)strlen(want->space);
	feed_text(daemon, &record, LT_NAMES,
		  TEXTS(want->container_name, want->pod_name, want->space));
}

static void look_up(struct daemon *daemon, struct nameless *nameless)
{
	if (nameless->count)
		names_look_up("", nameless->wants, nameless->count);
	for (size_t i = 0; i < nameless->count; i++)
		feed_found(daemon, &nameless->wants[i]);
}

void feed_names_due(struct daemon *daemon)
{
	struct nameless nameless;

	nameless.count = 0;
	core_each_nameless_due(daemon->core, boot_ns(), note_nameless, &nameless);
	look_up(daemon, &nameless);
}

void feed_names(struct daemon *daemon)
{
	struct nameless nameless;

	nameless.count = 0;
	core_each_nameless(daemon->core, note_nameless, &nameless);
	look_up(daemon, &nameless);
}

/* ---- how many pids leaking parents have left ---- */

static void count_tasks(void *user, struct lt_id id, bool dying)
{
	uint64_t *tasks = user;

	*tasks += dying ? 1 : proc_threads(id);
}

static uint64_t tasks_of_user(void *user, uint32_t uid)
{
	const struct daemon *daemon = user;
	uint64_t tasks = 0;

	core_each_of_user(daemon->core, uid, count_tasks, &tasks);
	return tasks;
}

static void note_leak(void *user, struct lt_id id)
{
	const struct wants *wants = user;

	if (wants->count < LIMITS_AT_ONCE)
		note_id(user, id);
}

void feed_limits(struct daemon *daemon)
{
	uint64_t now_ns = boot_ns();
	struct wants leaks = { 0 };
	struct limits *limits;

	if (!core_totals(daemon->core).leaks)
		return;
	core_each_leak(daemon->core, now_ns > LIMITS_AGE_NS ? now_ns - LIMITS_AGE_NS : 0, note_leak,
		       &leaks);
	limits = leaks.count ? limits_begin(daemon->kernel) : NULL;
	for (size_t i = 0; limits && i < leaks.count; i++)
		limits_read(limits, leaks.all[i].id, boot_ns(), tasks_of_user, feed, daemon);
	limits_end(limits);
	free(leaks.all);
}

/* ---- C libraries, for their exit handlers ---- */

int on_libraries(sd_event_source *source, void *user)
{
	struct daemon *daemon = user;
	bool more = handlers_look(daemon->handlers);

	if (handlers_has_changed(daemon->handlers))
		feed_handlers_hook(daemon);
	sd_event_source_set_enabled(source, more ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	return 0;
}

void visit_programs(struct daemon *daemon)
{
	if (!daemon->handlers)
		return;
	handlers_pass_begin(daemon->handlers);
	core_each_program(daemon->core, handlers_visit, daemon->handlers);
	sd_event_source_set_enabled(daemon->libraries, SD_EVENT_ONESHOT);
}

void feed_unseen(struct daemon *daemon)
{
	struct wants wants = { 0 };

	core_each_unseen(daemon->core, note_id, &wants);
	for (size_t i = 0; i < wants.count; i++)
		proc_scan(wants.all[i].id, boot_ns(), feed, daemon);
	free(wants.all);
}
