// SPDX-License-Identifier: GPL-2.0-only
/* What is done when: the ring is drained, deadlines are kept, passes made and judged. */
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "core/text.h"
#include "log.h"
#include "loop.h"

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

/* Calls are watched for so long after somebody asked why. */
#define ASKED_LINGER_NS (5 * NSEC_PER_SEC)

#define USEC(ns) ((ns) / 1000)

/* ---- time ---- */

void arm(sd_event_source *source, uint64_t at_ns)
{
	sd_event_source_set_time(source, USEC(at_ns));
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* Rounded up, so that the timer does not come too soon. */
void plan_due(struct daemon *daemon)
{
	uint64_t due_ns = core_next_due_ns(daemon->core);

	plan_calls(daemon);
	plan_stacks(daemon);
	if (core_wants_names(daemon->core))
		feed_names(daemon);
	if (due_ns == UINT64_MAX)
		sd_event_source_set_enabled(daemon->due, SD_EVENT_OFF);
	else
		arm(daemon->due, due_ns + 999);
}

/* ---- losses ---- */

void want_pass(struct daemon *daemon)
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
	feed(daemon, &news, sizeof(news));
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
static size_t drain_some(struct daemon *daemon, size_t budget)
{
	size_t count;

	feed_names_due(daemon); /* the records' times can be past theirs */
	health_begin(&daemon->health);
	count = kernel_drain(daemon->kernel, feed_from_ring, daemon, budget);
	look_for_losses(daemon);
	plan_due(daemon);
	return count;
}

size_t drain(struct daemon *daemon)
{
	return drain_some(daemon, REFRESH_BUDGET);
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

int on_look(sd_event_source *source, uint64_t usec, void *user)
{
	struct daemon *daemon = user;

	(void)source;
	(void)usec;
	daemon->look_planned = false;
	drain(daemon);
	daemon->exits_looked = core_totals(daemon->core).exits;
	feed_dying(daemon);
	plan_due(daemon);
	return 0;
}

static void drain_batch(struct daemon *daemon)
{
	bool more = drain_some(daemon, DRAIN_BUDGET) == DRAIN_BUDGET;

	plan_look(daemon);
	sd_event_source_set_enabled(daemon->more, more ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	daemon->batching = more;
}

int on_more(sd_event_source *source, void *user)
{
	(void)source;
	drain_batch(user);
	return 0;
}

int on_batch(sd_event_source *source, uint64_t usec, void *user)
{
	(void)source;
	(void)usec;
	drain_batch(user);
	return 0;
}

int on_ring(sd_event_source *source, int fd, uint32_t events, void *user)
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

int on_due(sd_event_source *source, uint64_t usec, void *user)
{
	struct daemon *daemon = user;

	(void)source;
	(void)usec;
	/* what the ring holds was before now: a zombie may be reaped already */
	drain(daemon);
	feed_due(daemon);
	feed_names_due(daemon);
	feed_tick(daemon);
	plan_due(daemon);
	return 0;
}

/* ---- passes of the iterator ---- */

void make_pass(struct daemon *daemon, bool seed)
{
	struct lt_pass record = { .hdr = { .size = sizeof(record), .kind = LT_PASS_BEGIN },
				  .seed = seed };
	bool after_loss = daemon->pass_wanted;
	int err;

	daemon->pass_wanted = false;
	record.hdr.time_ns = record.begin_ns = boot_ns();
	feed(daemon, &record, sizeof(record));
	err = kernel_scan(daemon->kernel, feed, daemon);
	feed_unseen(daemon);
	record.hdr.kind = LT_PASS_END;
	record.hdr.time_ns = boot_ns();
	feed(daemon, &record, sizeof(record));
	feed_clock(daemon);
	kernel_cows(daemon->kernel, true, feed_news, daemon);
	feed_proc(daemon);
	feed_names(daemon);
	/* a leak that takes the last pids is told of, whether or not one asks */
	feed_limits(daemon);
	visit_programs(daemon);
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

int on_pass(sd_event_source *source, uint64_t usec, void *user)
{
	struct daemon *daemon = user;

	(void)source;
	(void)usec;
	if (daemon->sweep_pending) /* one at a time; the sweep plans the next */
		return 0;
	drain(daemon);
	feed_dying(daemon);
	make_pass(daemon, false);
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

int on_sweep(sd_event_source *source, uint64_t usec, void *user)
{
	struct daemon *daemon = user;
	size_t count = drain(daemon);
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
	feed(daemon, &daemon->swept, sizeof(daemon->swept));
	plan_due(daemon);
	tell_refused(daemon);
	arm(daemon->pass, daemon->pass_wanted ? boot_ns() : next_ns);
	return 0;
}

/* ---- clients ---- */

void refresh(void *user)
{
	struct daemon *daemon = user;

	drain(daemon);
	feed_proc(daemon);
	/* what changed while /proc was read is told by what is newer */
	drain(daemon);
	feed_clock(daemon);
	feed_dying(daemon);
	feed_counts(daemon);
	kernel_waits(daemon->kernel, feed, daemon);
	kernel_cows(daemon->kernel, false, feed_news, daemon);
	feed_tick(daemon);
	feed_limits(daemon);
	plan_due(daemon);
}

/* Counts alone: /proc is asked only of parents of flagged zombies. */
void refresh_counts(void *user)
{
	struct daemon *daemon = user;

	drain(daemon);
	feed_judged(daemon);
	feed_counts(daemon);
	kernel_cows(daemon->kernel, false, feed_news, daemon);
	feed_limits(daemon);
	feed_health(daemon);
	plan_due(daemon);
}

/* The calls are watched, and its and its parent's threads looked at now. */
void ask_why(void *user, uint64_t pid)
{
	struct daemon *daemon = user;

	if (daemon->settings->syscall_hooks == SYSCALL_HOOKS_AUTO && !calls_wanted(daemon))
		watch_calls_for(daemon, ASKED_LINGER_NS);
	feed_asked(daemon, pid);
	drain(daemon);
	feed_dying(daemon);
	kernel_waits(daemon->kernel, feed, daemon);
	feed_tick(daemon);
	plan_due(daemon);
}

int look_at_cow(void *user, uint32_t pid)
{
	struct daemon *daemon = user;

	return kernel_look_at_cow(daemon->kernel, pid);
}
