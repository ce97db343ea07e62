// SPDX-License-Identifier: GPL-2.0-only
#include "daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "core/core.h"
#include "core/text.h"
#include "confine.h"
#include "handlers.h"
#include "health.h"
#include "keep.h"
#include "alert_journal.h"
#include "kernel.h"
#include "pid_limits.h"
#include "listen.h"
#include "log.h"
#include "notify.h"
#include "proc.h"
#include "server.h"
#include "silences.h"
#include "stacks.h"

/* Records between two looks at everything else; clients are served in between. */
#define DRAIN_BUDGET 512
/* A request waits for no more than this of a backlog. */
#define REFRESH_BUDGET 200000

/*
 * A reap's last record comes an RCU grace period after it: a pass is judged
 * only then. After a loss sooner, as then it is the table that is wrong.
 */
#define SWEEP_AFTER_NS NSEC_PER_SEC
#define LOOK_AFTER_NS NSEC_PER_SEC
#define SWEEP_AFTER_LOSS_NS (300 * NSEC_PER_MSEC)

/* Hooks that tax system calls are kept for so long after the last need: no flapping. */
#define CALLS_LINGER_NS (2 * NSEC_PER_SEC)
/* And for so long after somebody asked why. */
#define ASKED_LINGER_NS (5 * NSEC_PER_SEC)
/* Parents whose threads are looked at for one answer, at most. */
#define LOOKS_MAX 128
/* Who streams these by name asks for them. */
#define KINDS_OF_CALLS (1U << CHANGE_WAIT | 1U << CHANGE_FORK_FAIL)

/* How old what is shown of a leaking parent's limits may be; at most so many are read at a time. */
#define LIMITS_AGE_NS (2 * NSEC_PER_SEC)
#define LIMITS_AT_ONCE 256

#define USEC(ns) ((ns) / 1000)
#define BATCH_ACCURACY_USEC 5000
#define DUE_ACCURACY_USEC 1000
#define PASS_ACCURACY_USEC 100000
#define BEAT_ACCURACY_USEC 100000

struct daemon {
	struct settings *settings;
	const struct command_line *command_line;
	sd_event *event;
	struct core *core;
	struct kernel *kernel;
	struct keep keep;
	uint64_t started_ns;	   /* observing since then: what was kept says so, or now */
	struct stacks *stacks;	   /* NULL: off */
	int stacks_err;		   /* why, where they are wanted */
	uint64_t stacks_version;   /* of the leakers that they are taken of */
	struct lt_id stacks_also;  /* a parent that somebody named; pid 0: none */
	struct handlers *handlers; /* NULL: off */
	int handlers_err;	   /* why, where they are wanted */
	struct server *server;
	struct notify *notify;
	struct health health;
	int listen_fd, metrics_fd;
	bool passed; /* the socket is the service manager's */
	sd_event_source *ring, *more, *batch, *due, *look, *pass, *sweep, *calm, *beat, *lifeline;
	bool batching;	  /* records gather until the batch timer */
	bool pass_wanted; /* records were lost since the pass under way began */
	bool sweep_pending;
	struct lt_pass swept; /* the pass that the next sweep judges */
	uint64_t newest_ns;   /* time of the newest record drained */
	__u64 lost[LT_KERNEL_KINDS];
	uint64_t exits_looked; /* how many there had been at the last look */
	bool look_planned;
	bool watching_calls; /* the hooks that tax system calls are on */
	bool calming;	     /* and go off when the timer runs out */
	uint64_t refused_told;
};

static uint64_t boot_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

/* ---- one way in: everything that is known goes through here ---- */

static void fold(void *user, const void *record, size_t len)
{
	struct daemon *daemon = user;

	if (!keep_record(&daemon->keep, record, len))
		log_warn("what is known from here on ends with this daemon: %s", daemon->keep.why);
	core_apply(daemon->core, record, len);
	if (daemon->server)
		server_record(daemon->server, record, len);
}

/* Of counts that are read again and again, those that have changed. */
static void fold_news(void *user, const void *record, size_t len)
{
	struct daemon *daemon = user;

	if (core_is_news(daemon->core, record))
		fold(daemon, record, len);
}

static void fold_from_ring(void *user, const void *record, size_t len)
{
	struct daemon *daemon = user;
	const struct lt_hdr *hdr = record;

	if (len >= sizeof(*hdr)) {
		daemon->newest_ns = hdr->time_ns;
		health_note_event(&daemon->health, hdr->time_ns);
	}
	if (daemon->handlers && len == sizeof(struct lt_new_files) && hdr->kind == LT_NEW_FILES)
		handlers_note(daemon->handlers, record);
	fold(daemon, record, len);
}

static void on_change(void *user, const struct change *change)
{
	struct daemon *daemon = user;

	if (daemon->server)
		server_change(daemon->server, change);
	if (change->kind == CHANGE_ALERT)
		alert_journal(daemon->core, change);
}

static void fold_tick(struct daemon *daemon)
{
	struct lt_hdr tick = { .size = sizeof(tick), .kind = LT_TICK, .time_ns = boot_ns() };

	fold(daemon, &tick, sizeof(tick));
}

static void fold_start(struct daemon *daemon)
{
	struct timespec real;
	struct lt_start start = { .hdr = { .size = sizeof(start), .kind = LT_START } };

	clock_gettime(CLOCK_REALTIME, &real);
	start.hdr.time_ns = boot_ns();
	start.started_ns = daemon->started_ns ? daemon->started_ns : start.hdr.time_ns;
	start.boot_realtime_ns =
		(uint64_t)real.tv_sec * NSEC_PER_SEC + (uint64_t)real.tv_nsec - start.hdr.time_ns;
	start.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	start.ring_bytes = daemon->settings->ring_bytes;
	fold(daemon, &start, sizeof(start));
}

/* A record and room for its text. */
union text_record {
	struct lt_hdr hdr;
	struct lt_policy policy;
	struct lt_hook hook;
	struct lt_alert_policy alert_policy;
	char bytes[LT_RECORD_MAX];
};

static void fold_text(struct daemon *daemon, union text_record *record, uint16_t kind,
		      const char *first, const char *second)
{
	size_t at = core_min_size(kind), first_len = strlen(first), second_len = strlen(second);
	size_t size = (at + first_len + second_len + LT_ALIGN - 1) & ~(size_t)(LT_ALIGN - 1);

	memcpy(record->bytes + at, first, first_len);
	memcpy(record->bytes + at + first_len, second, second_len);
	record->hdr.kind = kind;
	record->hdr.size = (uint32_t)size;
	record->hdr.time_ns = boot_ns();
	fold(daemon, record, size);
}

static void fold_policy(struct daemon *daemon)
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
	fold_text(daemon, &record, LT_POLICY, settings->ignore_comm, settings->ignore_unit);
}

static void fold_alert_policy(struct daemon *daemon)
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
	record.alert_policy.host_len = (uint32_t)strlen(host);
	fold_text(daemon, &record, LT_ALERT_POLICY, host, "");
}

static void fold_hook(struct daemon *daemon, const char *what, const char *value)
{
	union text_record record = { 0 };

	record.hook.what_len = (uint32_t)strlen(what);
	record.hook.value_len = (uint32_t)strlen(value);
	fold_text(daemon, &record, LT_HOOK, what, value);
}

static void fold_handlers_hook(struct daemon *daemon)
{
	char hook[HANDLERS_HOOK_SIZE] = "off: exit_handlers = off";

	if (daemon->handlers)
		handlers_hook(daemon->handlers, hook);
	else if (daemon->handlers_err)
		snprintf(hook, sizeof(hook), "off: %s", strerror(-daemon->handlers_err));
	fold_hook(daemon, "exit_handlers", hook);
}

static void fold_hooks(struct daemon *daemon)
{
	const struct kernel_hook *hooks = kernel_hooks(daemon->kernel);
	char pins[KEEP_HOOK_SIZE];

	for (int i = 0; i < KERNEL_HOOKS; i++)
		fold_hook(daemon, hooks[i].what, hooks[i].value);
	fold_handlers_hook(daemon);
	keep_hook(&daemon->keep, pins);
	fold_hook(daemon, "pins", pins);
}

static void fold_counts(struct daemon *daemon)
{
	struct lt_counts counts = { .hdr = { .size = sizeof(counts), .kind = LT_COUNTS } };
	__u64 lost[LT_KERNEL_KINDS];

	counts.hdr.time_ns = boot_ns();
	kernel_counts(daemon->kernel, counts.count, lost);
	fold(daemon, &counts, sizeof(counts));
}

static void fold_health(struct daemon *daemon)
{
	struct lt_health health = { .hdr = { .size = sizeof(health), .kind = LT_HEALTH } };

	health_read(&daemon->health, &health);
	health.ring_highest_bytes = kernel_ring_highest(daemon->kernel);
	health.syscall_hooks = daemon->watching_calls && kernel_calls_tax(daemon->kernel);
	health.hdr.time_ns = boot_ns();
	fold(daemon, &health, sizeof(health));
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

/* Who is asked for, when a pass of the iterator is made only to see their adopters. */
struct adopters {
	struct daemon *daemon;
	const struct wants *wants;
};

static void fold_adopter(void *user, const void *record, size_t len)
{
	const struct adopters *adopters = user;
	const struct lt_life *e = record;
	struct lt_adopter adopter = { .hdr = { .size = sizeof(adopter), .kind = LT_ADOPTER } };

	if (len < sizeof(*e) || e->hdr.kind != LT_SCAN || !e->adopted_by.pid)
		return;
	for (size_t i = 0; i < adopters->wants->count; i++) {
		const struct want *want = &adopters->wants->all[i];

		if (!(want->flags & LT_PROC_ADOPTER) || want->id.pid != e->id.pid ||
		    want->id.start_ns != e->id.start_ns)
			continue;
		adopter.hdr.time_ns = boot_ns();
		adopter.id = e->id;
		adopter.adopter = e->adopted_by;
		fold(adopters->daemon, &adopter, sizeof(adopter));
	}
}

static void fold_wants(struct daemon *daemon, const struct wants *wants)
{
	struct adopters adopters = { daemon, wants };
	uint32_t all = 0;
	int looks = 0;

	for (size_t i = 0; i < wants->count; i++) {
		struct want *want = &wants->all[i];

		if (want->flags & LT_PROC_TASKS && ++looks > LOOKS_MAX)
			want->flags &= ~(uint32_t)LT_PROC_TASKS;
		all |= want->flags;
		proc_read(want->id, want->cgroup, want->flags, boot_ns(), fold, daemon);
	}
	if (all & LT_PROC_ADOPTER)
		kernel_scan(daemon->kernel, fold_adopter, &adopters);
}

static void fold_proc(struct daemon *daemon)
{
	struct wants wants = { 0 };

	core_each_want(daemon->core, note_want, &wants);
	fold_wants(daemon, &wants);
	free(wants.all);
}

static void note_judged(void *user, struct lt_id id, struct lt_cgroup_id cgroup, uint32_t flags)
{
	flags &= LT_PROC_TASKS | LT_PROC_ADOPTER;
	if (flags)
		note_want(user, id, cgroup, flags);
}

/* What parents of flagged zombies are judged by. */
static void fold_judged(struct daemon *daemon)
{
	struct wants wants = { 0 };

	if (!core_totals(daemon->core).flagged)
		return;
	core_each_want(daemon->core, note_judged, &wants);
	fold_wants(daemon, &wants);
	free(wants.all);
	kernel_waits(daemon->kernel, fold, daemon);
}

static size_t drain(struct daemon *daemon, size_t budget);

/*
 * The last record of a life comes an RCU grace period after its reap, and where
 * the kernel hides a process from BPF (pid 1, on some hosts) it does not come
 * if that one's CPU happens to do the freeing. So before a zombie is shown or
 * flagged, its pid is looked for. What told of its death is in the ring by then.
 */
static void fold_absent(struct daemon *daemon, struct wants *dying)
{
	size_t gone = 0;

	for (size_t i = 0; i < dying->count; i++)
		if (kill((pid_t)dying->all[i].id.pid, 0) && errno == ESRCH)
			dying->all[gone++] = dying->all[i];
	if (gone)
		drain(daemon, REFRESH_BUDGET);
	for (size_t i = 0; i < gone; i++) {
		struct lt_free absent = { .hdr = { .size = sizeof(absent), .kind = LT_ABSENT },
					  .id = dying->all[i].id };

		absent.hdr.time_ns = boot_ns();
		fold(daemon, &absent, sizeof(absent));
	}
	free(dying->all);
}

static void look_for_dying(struct daemon *daemon)
{
	struct wants dying = { 0 };

	core_each_dying(daemon->core, note_id, &dying);
	fold_absent(daemon, &dying);
}

static void look_for_due(struct daemon *daemon)
{
	struct wants due = { 0 };

	core_each_due(daemon->core, boot_ns(), note_id, &due);
	fold_absent(daemon, &due);
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

static void fold_limits(struct daemon *daemon)
{
	uint64_t now_ns = boot_ns();
	struct wants leaks = { 0 };
	struct limits *limits;

	if (!core_totals(daemon->core).leaks)
		return;
	core_each_leak(daemon->core, now_ns > LIMITS_AGE_NS ? now_ns - LIMITS_AGE_NS : 0, note_leak,
		       &leaks);
	limits = leaks.count ? limits_begin() : NULL;
	for (size_t i = 0; limits && i < leaks.count; i++)
		limits_read(limits, leaks.all[i].id, boot_ns(), tasks_of_user, fold, daemon);
	limits_end(limits);
	free(leaks.all);
}

/* ---- C libraries, for their exit handlers ---- */

static void look_for_new_libraries(struct daemon *daemon)
{
	if (daemon->handlers && handlers_look(daemon->handlers))
		fold_handlers_hook(daemon);
}

static void look_for_libraries(struct daemon *daemon)
{
	if (!daemon->handlers)
		return;
	handlers_pass_begin(daemon->handlers);
	core_each_program(daemon->core, handlers_visit, daemon->handlers);
	if (handlers_pass_end(daemon->handlers))
		fold_handlers_hook(daemon);
}

static void fold_unseen(struct daemon *daemon)
{
	struct wants wants = { 0 };

	core_each_unseen(daemon->core, note_id, &wants);
	for (size_t i = 0; i < wants.count; i++)
		proc_scan(wants.all[i].id, boot_ns(), fold, daemon);
	free(wants.all);
}

/* ---- time ---- */

static void arm(sd_event_source *source, uint64_t at_ns)
{
	sd_event_source_set_time(source, USEC(at_ns));
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* ---- hooks that tax every system call: on by need ---- */

static bool calls_wanted(const struct daemon *daemon)
{
	switch ((enum syscall_hooks)daemon->settings->syscall_hooks) {
	case SYSCALL_HOOKS_ALWAYS:
		return true;
	case SYSCALL_HOOKS_OFF:
		return false;
	case SYSCALL_HOOKS_AUTO:
		break;
	}
	return core_totals(daemon->core).flagged ||
	       (daemon->server && server_wishes(daemon->server).kinds & KINDS_OF_CALLS);
}

static void watch_calls(struct daemon *daemon, bool watch)
{
	bool by_need = daemon->settings->syscall_hooks == SYSCALL_HOOKS_AUTO;
	int err = kernel_watch_calls(
		daemon->kernel, watch,
		by_need ? "no zombie is flagged, nobody asks (syscall_hooks = auto)" :
			  "syscall_hooks = off");

	if (err)
		log_warn("cannot watch system calls: %s", strerror(-err));
	daemon->watching_calls = watch;
	fold_hooks(daemon);
}

/* Until nobody wants them, and for so long at least. */
static void watch_calls_for(struct daemon *daemon, uint64_t ns)
{
	if (!kernel_calls_tax(daemon->kernel))
		return;
	if (!daemon->watching_calls)
		watch_calls(daemon, true);
	daemon->calming = true;
	arm(daemon->calm, boot_ns() + ns);
}

/* On at once, off after a while; off at once where the settings forbid it. */
static void plan_calls(struct daemon *daemon)
{
	bool wanted = calls_wanted(daemon);
	bool off = daemon->settings->syscall_hooks == SYSCALL_HOOKS_OFF;

	if (!kernel_calls_tax(daemon->kernel))
		return;
	if (wanted || !daemon->watching_calls || off) {
		sd_event_source_set_enabled(daemon->calm, SD_EVENT_OFF);
		daemon->calming = false;
		if (wanted != daemon->watching_calls)
			watch_calls(daemon, wanted);
	} else if (!daemon->calming) {
		watch_calls_for(daemon, CALLS_LINGER_NS);
	}
}

static int on_calm(sd_event_source *source, uint64_t usec, void *user)
{
	struct daemon *daemon = user;

	(void)source;
	(void)usec;
	daemon->calming = false;
	if (!calls_wanted(daemon))
		watch_calls(daemon, false);
	return 0;
}

static void on_wishes(void *user)
{
	struct daemon *daemon = user;
	struct server_wishes wishes = server_wishes(daemon->server);

	plan_calls(daemon);
	kernel_send_wait_calls(daemon->kernel, wishes.records || wishes.kinds & 1U << CHANGE_WAIT);
}

/* ---- stacks: of those that leak, and of nobody else ---- */

struct parents {
	struct lt_id all[LT_STACK_PARENTS];
	size_t count;
};

static void note_parent(void *user, struct lt_id id)
{
	struct parents *parents = user;

	if (parents->count < LT_STACK_PARENTS)
		parents->all[parents->count++] = id;
}

static void plan_stacks(struct daemon *daemon)
{
	uint64_t version = core_leakers_version(daemon->core);
	static struct parents parents;
	int err;

	if (!daemon->stacks || version == daemon->stacks_version)
		return;
	daemon->stacks_version = version;
	parents.count = 0;
	if (daemon->stacks_also.pid)
		note_parent(&parents, daemon->stacks_also);
	core_each_leaker(daemon->core, note_parent, &parents);
	err = stacks_of(daemon->stacks, parents.all, parents.count);
	if (err)
		log_warn("cannot take stacks: %s", strerror(-err));
}

/* Also of this one. Returns 0, or why there are none. */
static int want_stacks(void *user, uint64_t pid)
{
	struct daemon *daemon = user;

	if (!daemon->stacks)
		return daemon->stacks_err ? daemon->stacks_err : -EOPNOTSUPP;
	if (!pid)
		return 0;
	if (!core_find(daemon->core, pid, &daemon->stacks_also))
		return -ESRCH;
	daemon->stacks_version = UINT64_MAX; /* no such one */
	plan_stacks(daemon);
	return 0;
}

/*
 * The core's next deadline; rounded up, so that the timer does not come too
 * soon. Called whenever the core has changed.
 */
static void plan_due(struct daemon *daemon)
{
	uint64_t due_ns = core_next_due_ns(daemon->core);

	plan_calls(daemon);
	plan_stacks(daemon);
	if (due_ns == UINT64_MAX)
		sd_event_source_set_enabled(daemon->due, SD_EVENT_OFF);
	else
		arm(daemon->due, due_ns + 999);
}

/* ---- losses ---- */

static void want_pass(struct daemon *daemon)
{
	daemon->pass_wanted = true;
	if (!daemon->sweep_pending)
		arm(daemon->pass, boot_ns());
}

/* What no pass of the iterator can bring back is only counted. */
static bool is_repairable(unsigned kind)
{
	return kind != LT_WAIT && kind != LT_WAIT_CALL && kind != LT_FORK_FAIL &&
	       kind != LT_FORK_END && kind != LT_COW && kind != LT_COW_FAULT && kind != LT_STACK &&
	       kind != LT_STACK_PART;
}

static void look_for_losses(struct daemon *daemon)
{
	struct lt_counts news = { .hdr = { .size = sizeof(news), .kind = LT_LOST } };
	__u64 sent[LT_KERNEL_KINDS], lost[LT_KERNEL_KINDS], sum = 0, repairable = 0;

	kernel_counts(daemon->kernel, sent, lost);
	for (int i = 0; i < LT_KERNEL_KINDS; i++) {
		if (lost[i] < daemon->lost[i]) /* some counts are only known after a look */
			lost[i] = daemon->lost[i];
		news.count[i] = lost[i] - daemon->lost[i];
		sum += news.count[i];
		repairable += is_repairable((unsigned)i) ? news.count[i] : 0;
	}
	if (!sum)
		return;
	news.hdr.time_ns = boot_ns();
	fold(daemon, &news, sizeof(news));
	memcpy(daemon->lost, lost, sizeof(lost));
	if (repairable)
		want_pass(daemon);
}

/* ---- the ring ---- */

/*
 * The ring wakes us when a record comes into it while it is empty. Then records
 * gather for a moment, and all are read at once: under load, one wake-up a
 * batch instead of one a record. A ring that is a quarter full wakes us again.
 */
static size_t drain(struct daemon *daemon, size_t budget)
{
	size_t count;

	health_begin(&daemon->health);
	count = kernel_drain(daemon->kernel, fold_from_ring, daemon, budget);

	look_for_new_libraries(daemon);
	look_for_losses(daemon);
	plan_due(daemon);
	return count;
}

/* Whoever died lately is looked for once, a while after it. */
static void plan_look(struct daemon *daemon)
{
	struct core_totals totals = core_totals(daemon->core);

	if (daemon->look_planned || !totals.dying || totals.exits == daemon->exits_looked)
		return;
	daemon->look_planned = true;
	arm(daemon->look, boot_ns() + LOOK_AFTER_NS);
}

static int on_look(sd_event_source *source, uint64_t usec, void *user)
{
	struct daemon *daemon = user;

	(void)source;
	(void)usec;
	daemon->look_planned = false;
	drain(daemon, REFRESH_BUDGET);
	daemon->exits_looked = core_totals(daemon->core).exits;
	look_for_dying(daemon);
	plan_due(daemon);
	return 0;
}

static void drain_batch(struct daemon *daemon)
{
	bool more = drain(daemon, DRAIN_BUDGET) == DRAIN_BUDGET;

	plan_look(daemon);
	sd_event_source_set_enabled(daemon->more, more ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	daemon->batching = more;
}

static int on_more(sd_event_source *source, void *user)
{
	(void)source;
	drain_batch(user);
	return 0;
}

static int on_batch(sd_event_source *source, uint64_t usec, void *user)
{
	(void)source;
	(void)usec;
	drain_batch(user);
	return 0;
}

static int on_ring(sd_event_source *source, int fd, uint32_t events, void *user)
{
	struct daemon *daemon = user;
	const struct settings *settings = daemon->settings;
	uint64_t batch_ns = settings->batch_ns < settings->zombie_age_ns ? settings->batch_ns :
									   settings->zombie_age_ns;

	(void)source;
	(void)fd;
	(void)events;
	if (daemon->batching || !batch_ns) {
		drain_batch(daemon);
		return 0;
	}
	daemon->batching = true;
	arm(daemon->batch, boot_ns() + batch_ns);
	return 0;
}

static int on_due(sd_event_source *source, uint64_t usec, void *user)
{
	struct daemon *daemon = user;

	(void)source;
	(void)usec;
	/* what the ring holds was before now: a zombie may be reaped already */
	drain(daemon, REFRESH_BUDGET);
	look_for_due(daemon);
	fold_tick(daemon);
	plan_due(daemon);
	return 0;
}

/* ---- passes of the iterator ---- */

static void pass(struct daemon *daemon, bool seed)
{
	struct lt_pass record = { .hdr = { .size = sizeof(record), .kind = LT_PASS_BEGIN },
				  .seed = seed };
	bool after_loss = daemon->pass_wanted;
	int err;

	daemon->pass_wanted = false;
	record.hdr.time_ns = record.begin_ns = boot_ns();
	fold(daemon, &record, sizeof(record));
	err = kernel_scan(daemon->kernel, fold, daemon);
	fold_unseen(daemon);
	record.hdr.kind = LT_PASS_END;
	record.hdr.time_ns = boot_ns();
	fold(daemon, &record, sizeof(record));
	fold_proc(daemon);
	/* a leak that takes the last pids is told of, whether or not one asks */
	fold_limits(daemon);
	look_for_libraries(daemon);
	plan_due(daemon);
	if (err) { /* half a pass proves nothing */
		log_warn("the task iterator failed: %s", strerror(-err));
		arm(daemon->pass, boot_ns() + daemon->settings->repair_interval_ns);
		return;
	}
	daemon->swept = record;
	daemon->sweep_pending = true;
	arm(daemon->sweep,
	    record.hdr.time_ns + (after_loss || seed ? SWEEP_AFTER_LOSS_NS : SWEEP_AFTER_NS));
}

static int on_pass(sd_event_source *source, uint64_t usec, void *user)
{
	struct daemon *daemon = user;

	(void)source;
	(void)usec;
	if (daemon->sweep_pending) /* one at a time; the sweep plans the next */
		return 0;
	drain(daemon, REFRESH_BUDGET);
	look_for_dying(daemon);
	pass(daemon, false);
	return 0;
}

static void tell_refused(struct daemon *daemon)
{
	uint64_t refused = core_totals(daemon->core).refused;

	if (refused == daemon->refused_told)
		return;
	log_warn("the table is full: %" PRIu64 " processes not taken in; raise memory_max",
		 refused - daemon->refused_told);
	daemon->refused_told = refused;
}

static int on_sweep(sd_event_source *source, uint64_t usec, void *user)
{
	struct daemon *daemon = user;
	size_t count = drain(daemon, REFRESH_BUDGET);
	uint64_t next_ns = daemon->swept.begin_ns + daemon->settings->repair_interval_ns;

	(void)source;
	(void)usec;
	/* a ring that never empties is drained past the pass by what came out of it */
	if (count == REFRESH_BUDGET && daemon->newest_ns <= daemon->swept.hdr.time_ns) {
		arm(daemon->sweep, boot_ns());
		return 0;
	}
	daemon->sweep_pending = false;
	daemon->swept.hdr.kind = LT_SWEEP;
	daemon->swept.hdr.time_ns = boot_ns();
	fold(daemon, &daemon->swept, sizeof(daemon->swept));
	plan_due(daemon);
	tell_refused(daemon);
	arm(daemon->pass, daemon->pass_wanted ? boot_ns() : next_ns);
	return 0;
}

/* ---- clients ---- */

static void refresh(void *user)
{
	struct daemon *daemon = user;

	drain(daemon, REFRESH_BUDGET);
	look_for_dying(daemon);
	fold_counts(daemon);
	kernel_waits(daemon->kernel, fold, daemon);
	kernel_cows(daemon->kernel, fold_news, daemon);
	fold_proc(daemon);
	fold_tick(daemon);
	fold_limits(daemon);
	plan_due(daemon);
}

/* Counts alone: /proc is asked only of parents of flagged zombies. */
static void refresh_counts(void *user)
{
	struct daemon *daemon = user;

	drain(daemon, REFRESH_BUDGET);
	fold_judged(daemon);
	fold_counts(daemon);
	kernel_cows(daemon->kernel, fold_news, daemon);
	fold_limits(daemon);
	fold_health(daemon);
	plan_due(daemon);
}

/* The calls are watched, and its and its parent's threads looked at now. */
static void ask_why(void *user, uint64_t pid)
{
	struct daemon *daemon = user;
	struct wants wants = { 0 };

	if (daemon->settings->syscall_hooks == SYSCALL_HOOKS_AUTO && !calls_wanted(daemon))
		watch_calls_for(daemon, ASKED_LINGER_NS);
	core_each_asked(daemon->core, pid, note_want, &wants);
	fold_wants(daemon, &wants);
	free(wants.all);
	fold_tick(daemon);
	plan_due(daemon);
}

static int look_at_cow(void *user, uint32_t pid)
{
	struct daemon *daemon = user;

	return kernel_look_at_cow(daemon->kernel, pid);
}

/* ---- pins ---- */

/* Seen by the programs: a daemon lives. Four times as often as they must see it. */
static void beat(struct daemon *daemon)
{
	uint64_t now_ns = boot_ns(), quiet_ns;
	char text[32];

	if (!daemon->keep.pins)
		return;
	quiet_ns = kernel_beat(daemon->kernel, daemon->settings->heartbeat_ns);
	arm(daemon->beat, now_ns + daemon->settings->heartbeat_ns / 4);
	if (!quiet_ns)
		return;
	text_format_duration(now_ns - quiet_ns, text, sizeof(text));
	log_warn(
		"nothing was observed for %s: no daemon had been heard of for longer than heartbeat",
		text);
	want_pass(daemon);
}

static int on_beat(sd_event_source *source, uint64_t usec, void *user)
{
	(void)source;
	(void)usec;
	beat(user);
	return 0;
}

int daemon_detach(const struct settings *settings, bool stale_only)
{
	const char *dir = *settings->pin_dir ? settings->pin_dir : PINS_DEFAULT_DIR;
	char why[PINS_WHY_SIZE];
	int count = pins_detach_all(dir, stale_only, why);

	if (count == -EBUSY && stale_only)
		return 0;
	if (count < 0)
		log_error("cannot detach: %s", why);
	else
		log_info("%s", count ? "detached" : "nothing to detach");
	return count < 0;
}

/* Whether it is also kept is in *kept: without that it lasts as long as this daemon. */
static int silence(void *user, const char *what, uint64_t for_ns, bool *kept)
{
	struct daemon *daemon = user;
	int err = silences_change(daemon->core, what, for_ns, fold, daemon);

	if (err)
		return err;
	plan_due(daemon);
	if (!*daemon->settings->silences)
		return 0;
	err = silences_save(daemon->settings->silences, daemon->core);
	*kept = !err;
	if (err)
		log_warn("%s: %s", daemon->settings->silences, strerror(-err));
	return 0;
}

static void load_silences(struct daemon *daemon)
{
	int err = *daemon->settings->silences ?
			  silences_load(daemon->settings->silences, fold, daemon) :
			  0;

	if (err)
		log_warn("%s: %s", daemon->settings->silences,
			 err == -EBADMSG ? "not all of it is silences" : strerror(-err));
}

/* ---- signals, lifeline ---- */

int daemon_settings(struct settings *settings, struct invocation *invocation,
		    const struct command_line *command_line)
{
	char error[SETTINGS_ERROR_SIZE];
	int err;

	/* the command line says where the file is, and wins over it */
	settings_defaults(settings);
	err = settings_parse(settings, invocation, command_line->argc, command_line->argv, error);
	if (!err && invocation->config) {
		settings_defaults(settings);
		err = settings_load(settings, invocation->config, error);
		if (!err)
			err = settings_parse(settings, invocation, command_line->argc,
					     command_line->argv, error);
	}
	if (err)
		log_error("%s", error);
	return err;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *user)
{
	struct daemon *daemon = user;
	struct invocation invocation;
	struct settings fresh;
	const char *stays;

	(void)source;
	(void)info;
	notify_reloading();
	if (daemon_settings(&fresh, &invocation, daemon->command_line)) {
		log_warn("the settings stay as they were");
		notify_ready(daemon->notify);
		return 0;
	}
	stays = settings_reload(daemon->settings, &fresh);
	if (stays)
		log_warn("%s needs a restart; it stays as it was", stays);
	fold_policy(daemon);
	fold_alert_policy(daemon);
	beat(daemon);
	watch_calls(daemon, calls_wanted(daemon)); /* also names the reason anew */
	plan_due(daemon);
	log_info("settings reloaded");
	notify_ready(daemon->notify);
	return 0;
}

static int on_lifeline(sd_event_source *source, int fd, uint32_t events, void *user)
{
	char byte;

	(void)events;
	(void)user;
	if (read(fd, &byte, 1) > 0)
		return 0;
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int add_signals(struct daemon *daemon)
{
	sigset_t mask;
	int err;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &mask, NULL))
		return -errno;
	err = sd_event_add_signal(daemon->event, NULL, SIGTERM, NULL, NULL);
	if (err >= 0)
		err = sd_event_add_signal(daemon->event, NULL, SIGINT, NULL, NULL);
	if (err >= 0)
		err = sd_event_add_signal(daemon->event, NULL, SIGHUP, on_reload, daemon);
	return err;
}

/* ---- opening and closing ---- */

static int add_timer(struct daemon *daemon, sd_event_source **source, uint64_t accuracy_usec,
		     sd_event_time_handler_t fn)
{
	int err = sd_event_add_time(daemon->event, source, CLOCK_BOOTTIME, 0, accuracy_usec, fn,
				    daemon);

	if (err >= 0)
		err = sd_event_source_set_enabled(*source, SD_EVENT_OFF);
	return err;
}

static int add_sources(struct daemon *daemon, const struct invocation *invocation)
{
	int err = add_timer(daemon, &daemon->batch, BATCH_ACCURACY_USEC, on_batch);

	if (err >= 0)
		err = add_timer(daemon, &daemon->due, DUE_ACCURACY_USEC, on_due);
	if (err >= 0)
		err = add_timer(daemon, &daemon->look, PASS_ACCURACY_USEC, on_look);
	if (err >= 0)
		err = add_timer(daemon, &daemon->pass, PASS_ACCURACY_USEC, on_pass);
	if (err >= 0)
		err = add_timer(daemon, &daemon->sweep, PASS_ACCURACY_USEC, on_sweep);
	if (err >= 0)
		err = add_timer(daemon, &daemon->calm, PASS_ACCURACY_USEC, on_calm);
	if (err >= 0)
		err = add_timer(daemon, &daemon->beat, BEAT_ACCURACY_USEC, on_beat);
	if (err >= 0)
		err = sd_event_add_defer(daemon->event, &daemon->more, on_more, daemon);
	if (err >= 0)
		err = sd_event_source_set_enabled(daemon->more, SD_EVENT_OFF);
	if (err >= 0)
		err = sd_event_add_io(daemon->event, &daemon->ring, kernel_ring_fd(daemon->kernel),
				      EPOLLIN | EPOLLET, on_ring, daemon);
	if (err >= 0 && invocation->lifeline >= 0)
		err = sd_event_add_io(daemon->event, &daemon->lifeline, invocation->lifeline,
				      EPOLLIN, on_lifeline, daemon);
	return err;
}

/* Returns the descriptor or -errno; what is wrong is told. */
static int own_socket(const char *path)
{
	pid_t holder;
	int fd = listen_on(path, &holder);

	if (fd == -EADDRINUSE)
		log_error("another lifetraced, pid %d, holds %s", holder, path);
	else if (fd == -EEXIST)
		log_error("%s is in the way: it is no socket", path);
	else if (fd < 0)
		log_error("cannot listen on %s: %s", path, strerror(-fd));
	return fd;
}

static int open_socket(struct daemon *daemon)
{
	int fd = listen_passed(&daemon->metrics_fd);

	daemon->passed = fd >= 0;
	if (!daemon->passed)
		fd = own_socket(daemon->settings->socket);
	daemon->listen_fd = fd < 0 ? -1 : fd;
	return fd < 0 ? fd : 0;
}

static int open_metrics_socket(struct daemon *daemon)
{
	const char *where = daemon->settings->metrics_listen;
	int fd;

	if (daemon->metrics_fd >= 0) /* passed by the service manager */
		return 0;
	fd = *where ? listen_on_tcp(where) : -1;
	daemon->metrics_fd = fd < 0 ? -1 : fd;
	if (!*where || fd >= 0)
		return 0;
	if (fd == -EINVAL)
		log_error("metrics_listen: '%s' is neither a port nor an address and a port",
			  where);
	else
		log_error("metrics_listen: cannot listen on %s: %s", where, strerror(-fd));
	return fd;
}

static int open_kernel(struct daemon *daemon)
{
	struct kernel_options options = { .ring_bytes = daemon->settings->ring_bytes,
					  .best_hook = (unsigned)daemon->settings->best_hook,
					  .btf = daemon->settings->btf,
					  .cow = (enum cow_set)daemon->settings->cow,
					  .cow_max = daemon->settings->cow_max,
					  .heartbeat_ns = daemon->settings->heartbeat_ns,
					  .pins = daemon->keep.pins };
	int err;

	if (!proc_in_initial_pidns()) {
		log_error("needs the host's pid namespace and its /proc "
			  "(in a container: --pid=host, hostPID)");
		return -EPERM;
	}
	err = kernel_open(&daemon->kernel, &options);
	if (err)
		log_error("cannot observe this kernel: %s", kernel_error());
	return err;
}

/* Not without which nothing goes: what is wrong is told, and stands among the hooks. */
static void open_handlers(struct daemon *daemon)
{
	const struct handlers_options options = {
		.ring_fd = kernel_ring_fd(daemon->kernel),
		.counters_fd = kernel_counters_fd(daemon->kernel),
		.ring_bytes = daemon->settings->ring_bytes,
		.btf = daemon->settings->btf,
		.repair_interval_ns = daemon->settings->repair_interval_ns,
	};

	if (!daemon->settings->exit_handlers)
		return;
	daemon->handlers_err = handlers_open(&daemon->handlers, &options);
	if (daemon->handlers_err)
		log_warn("cannot observe exit handlers: %s", strerror(-daemon->handlers_err));
}

static void open_stacks(struct daemon *daemon)
{
	const struct stacks_options options = {
		.ring_fd = kernel_ring_fd(daemon->kernel),
		.counters_fd = kernel_counters_fd(daemon->kernel),
		.ring_bytes = daemon->settings->ring_bytes,
		.btf = daemon->settings->btf,
	};

	if (!daemon->settings->stacks)
		return;
	daemon->stacks_err = stacks_open(&daemon->stacks, &options);
	if (daemon->stacks_err)
		log_warn("cannot take stacks: %s", strerror(-daemon->stacks_err));
}

static int open_server(struct daemon *daemon)
{
	struct server_context context = { .core = daemon->core,
					  .refresh = refresh,
					  .refresh_counts = refresh_counts,
					  .look_at_cow = look_at_cow,
					  .ask_why = ask_why,
					  .silence = silence,
					  .want_stacks = want_stacks,
					  .wishes_changed = on_wishes,
					  .user = daemon };
	int err = server_new(&daemon->server, daemon->event, daemon->listen_fd, daemon->metrics_fd,
			     daemon->settings, &context);

	if (err)
		log_error("cannot serve clients: %s", strerror(-err));
	return err;
}

static struct notify_news news(void *user)
{
	const struct daemon *daemon = user;
	struct core_totals totals = core_totals(daemon->core);

	return (struct notify_news){ .processes = totals.processes, .flagged = totals.flagged };
}

static int open_pins(struct daemon *daemon)
{
	int err = keep_open(&daemon->keep, daemon->settings->pin_dir);

	if (err)
		log_error("%s", daemon->keep.why);
	else if (!daemon->keep.pins && *daemon->settings->pin_dir)
		log_warn("nothing outlives this daemon: %s", daemon->keep.why);
	return err;
}

/*
 * Hooks on system calls went with the other daemon, as when they are off: that
 * nobody saw calls end since then is no loss.
 */
static void forget_unseen_ends(struct daemon *daemon)
{
	__u64 sent[LT_KERNEL_KINDS], lost[LT_KERNEL_KINDS];

	kernel_counts(daemon->kernel, sent, lost);
	daemon->lost[LT_WAIT_CALL] = lost[LT_WAIT_CALL];
}

/* What another daemon knew, and what its programs have told since. */
static bool resume(struct daemon *daemon)
{
	char hook[KEEP_HOOK_SIZE];
	struct kept kept;
	bool resumed = keep_resume(&daemon->keep, daemon->core, daemon->kernel, &kept);

	daemon->started_ns = kept.started_ns;
	memcpy(daemon->lost, kept.lost, sizeof(daemon->lost));
	if (resumed && kernel_calls_tax(daemon->kernel))
		forget_unseen_ends(daemon);
	keep_begin(&daemon->keep, daemon->core, daemon->kernel, daemon->lost);
	if (daemon->keep.pins) {
		keep_hook(&daemon->keep, hook);
		log_info("pins: %s", hook);
	}
	kernel_drain_former(daemon->kernel, fold_from_ring, daemon);
	return resumed;
}

/*
 * Events gather in the ring from before the first pass: nothing falls between.
 * With what another daemon knew it is a pass as any other.
 */
static void seed(struct daemon *daemon)
{
	bool resumed = resume(daemon);

	fold_start(daemon);
	fold_policy(daemon);
	fold_alert_policy(daemon);
	load_silences(daemon);
	watch_calls(daemon, calls_wanted(daemon));
	proc_cgroups(boot_ns(), fold, daemon);
	beat(daemon);
	pass(daemon, !resumed);
	drain(daemon, REFRESH_BUDGET);
	/* the ring may have been filling since before it was watched */
	sd_event_source_set_enabled(daemon->more, SD_EVENT_ONESHOT);
}

static bool works(void *user)
{
	const struct daemon *daemon = user;

	return kernel_works(daemon->kernel);
}

/* Where its own socket lies; a private daemon's directory goes with it. */
static const char *socket_directory(const struct daemon *daemon, bool is_private, char *copy)
{
	if (daemon->passed)
		return NULL;
	strcpy(copy, daemon->settings->socket);
	return is_private ? dirname(dirname(copy)) : dirname(copy);
}

/* Root has by hand what taxes the host less: the classic tracepoints of calls. */
static bool is_to_confine(const struct settings *settings)
{
	return settings->confine == CONFINE_ON || (settings->confine == CONFINE_AUTO && geteuid());
}

/* What the kernel does not give up is told; it is no reason not to observe. */
static void give_up_rights(struct daemon *daemon, const struct invocation *invocation)
{
	bool is_private = invocation->lifeline >= 0;
	char copy[sizeof(daemon->settings->socket)], state[SETTING_TEXT_SIZE];
	char words[CONFINE_WORDS_SIZE];
	const struct confine_options options = {
		.config = invocation->config,
		.removes_in = socket_directory(daemon, is_private, copy),
		.writes_in = *daemon->settings->silences ?
				     dirname(strcpy(state, daemon->settings->silences)) :
				     NULL,
		.pin_dir = daemon->settings->pin_dir,
		.libraries = daemon->handlers,
		.works = works,
		.user = daemon,
	};
	int err;

	if (!is_to_confine(daemon->settings))
		return;
	/* these read files when first used */
	tzset();
	json_object_seed(0);
	err = confine(&options, words);
	if (err)
		log_warn("cannot give up all rights: %s; left: %s", strerror(-err), words);
	else if (!is_private)
		log_info("confined: %s", words);
}

static int daemon_open(struct daemon *daemon, const struct invocation *invocation)
{
	int err = sd_event_new(&daemon->event);

	daemon->core = core_new(on_change, daemon);
	if (err < 0 || !daemon->core) {
		log_error("out of memory");
		return -ENOMEM;
	}
	err = open_socket(daemon);
	if (!err)
		err = open_metrics_socket(daemon);
	if (!err)
		err = open_pins(daemon);
	if (!err)
		err = open_kernel(daemon);
	if (err)
		return err;
	open_handlers(daemon);
	open_stacks(daemon);
	err = add_signals(daemon);
	if (err >= 0)
		err = add_sources(daemon, invocation);
	if (err >= 0)
		err = notify_new(&daemon->notify, daemon->event, news, daemon);
	if (err < 0) {
		log_error("cannot set up the event loop: %s", strerror(-err));
		return err;
	}
	seed(daemon);
	err = open_server(daemon);
	if (!err)
		give_up_rights(daemon, invocation);
	return err;
}

static void daemon_close(struct daemon *daemon, bool is_private)
{
	char directory[sizeof(daemon->settings->socket)];
	sd_event_source *sources[] = { daemon->ring, daemon->more,    daemon->batch, daemon->due,
				       daemon->look, daemon->pass,    daemon->sweep, daemon->calm,
				       daemon->beat, daemon->lifeline };

	server_free(daemon->server);
	notify_free(daemon->notify);
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		sd_event_source_unref(sources[i]);
	stacks_close(daemon->stacks);
	handlers_close(daemon->handlers);
	kernel_close(daemon->kernel);
	keep_close(&daemon->keep);
	core_free(daemon->core);
	sd_event_unref(daemon->event);
	if (daemon->metrics_fd >= 0)
		close(daemon->metrics_fd);
	if (daemon->listen_fd >= 0) {
		if (!daemon->passed && listens_on(daemon->settings->socket))
			unlink(daemon->settings->socket);
		close(daemon->listen_fd);
	}
	if (is_private) { /* whoever made its directory may be gone */
		snprintf(directory, sizeof(directory), "%s", daemon->settings->socket);
		rmdir(dirname(directory));
	}
}

static void tell_ready(struct daemon *daemon, const struct invocation *invocation)
{
	notify_ready(daemon->notify);
	if (invocation->lifeline >= 0 && write(invocation->lifeline, "ready\n", 6) < 0)
		log_warn("whoever started this daemon does not listen");
}

int daemon_run(struct settings *settings, const struct invocation *invocation,
	       const struct command_line *command_line)
{
	struct daemon daemon = { .settings = settings,
				 .command_line = command_line,
				 .listen_fd = -1,
				 .metrics_fd = -1 };
	int status = 1;

	if (!daemon_open(&daemon, invocation)) {
		tell_ready(&daemon, invocation);
		status = sd_event_loop(daemon.event) < 0;
		notify_stopping();
	}
	daemon_close(&daemon, invocation->lifeline >= 0);
	return status;
}
