// SPDX-License-Identifier: GPL-2.0-only
/* The causes as a table: what must hold, and what is then told. */
#include "why.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "life.h"
#include "text.h"

const char *const cause_names[CAUSES] = {
#define X(NAME, name, remedy) [CAUSE_##NAME] = name,
	LT_CAUSES(X)
#undef X
};

static const char *const remedies[CAUSES] = {
#define X(NAME, name, remedy) [CAUSE_##NAME] = remedy,
	LT_CAUSES(X)
#undef X
};

/* Nobody is judged sooner: whoever has just been told may be about to wait. */
#define JUDGE_AFTER_NS NSEC_PER_SEC

/* Wait calls, by whom they asked for and with which options. */
struct calls {
	uint64_t all, any, pid, group, pidfd;
	uint64_t nohang, wall, wclone, nowait;
};

/* All that a cause is judged by. */
struct facts {
	const struct core *core;
	const struct life *zombie, *parent; /* parent NULL: not known, or it ends */
	uint64_t now_ns;
	uint64_t since_ns;     /* this parent's zombie since then, as far as it was watched */
	struct calls calls;    /* the parent's, since then */
	struct lt_waits waits; /* the parent's, in all */
};

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t elapsed(uint64_t now_ns, uint64_t then_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

/* Counters that were forgotten to make room begin at 0 again. */
static struct calls calls_between(const struct lt_waits *now, const struct lt_waits *then)
{
	static const struct lt_waits none;

	if (now->calls < then->calls || now->start_ns != then->start_ns)
		then = &none;
	return (struct calls){ .all = now->calls - then->calls,
			       .any = now->any - then->any,
			       .pid = now->pid - then->pid,
			       .group = now->group - then->group,
			       .pidfd = now->pidfd - then->pidfd,
			       .nohang = now->nohang - then->nohang,
			       .wall = now->wall - then->wall,
			       .wclone = now->wclone - then->wclone,
			       .nowait = now->nowait - then->nowait };
}

static struct facts facts_of(const struct core *core, const struct life *zombie, uint64_t now_ns)
{
	static const struct lt_waits none;
	struct facts f = { .core = core, .zombie = zombie, .now_ns = now_ns };

	f.since_ns = later(zombie->zombie_ns, core->start.started_ns);
	if (zombie->parent && zombie->parent->state < LT_EXITING)
		f.parent = zombie->parent;
	if (f.parent && f.parent->waits)
		f.waits = *f.parent->waits;
	/* what was seen at the death can be older than the newest call */
	if (f.waits.last_ns > f.since_ns)
		f.calls = calls_between(&f.waits,
					zombie->death ? &zombie->death->parent_waits : &none);
	return f;
}

/* ---- what must hold ---- */

static bool is_early(const struct facts *f)
{
	uint64_t age_ns = f->core->policy.zombie_age_ns;

	return elapsed(f->now_ns, f->since_ns) <
	       (age_ns < JUDGE_AFTER_NS ? age_ns : JUDGE_AFTER_NS);
}

static bool is_traced(const struct facts *f)
{
	const struct kin *kin = f->zombie->kin;

	return kin && kin->tracer.pid && !id_is(kin->tracer, f->zombie->parent_id);
}

/*
 * kernel/exit.c, eligible_child(). A notification tells no exit signal, and its
 * absence is one. Who is adopted ends with SIGCHLD, and so does who execs.
 */
static bool has_no_sigchld(const struct facts *f)
{
	const struct life *zombie = f->zombie;
	bool known = zombie->exit_signal ||
		     (zombie->flags & LT_LIFE_HAS_STATUS && !(zombie->flags & LT_LIFE_NOTIFY_SEEN));
	bool asks = f->calls.all ? f->calls.wall + f->calls.wclone :
				   f->waits.wall + f->waits.wclone;

	return f->parent && known && zombie->exit_signal != SIGCHLD &&
	       !(zombie->flags & LT_LIFE_ORPHAN) && !asks;
}

/* No call since it died that could have taken it. */
static bool does_not_wait(const struct facts *f)
{
	return f->parent && !f->calls.any && !is_early(f);
}

static bool init_does_not_reap(const struct facts *f)
{
	return does_not_wait(f) && f->parent->ns_pid == 1;
}

static bool subreaper_does_not_reap(const struct facts *f)
{
	const struct kin *kin = f->zombie->kin;

	return does_not_wait(f) && kin && id_is(kin->adopted_by, f->parent->id);
}

static bool is_blocked(const struct facts *f)
{
	return f->parent && f->parent->state == LT_STOPPED;
}

static bool waits_for_others(const struct facts *f)
{
	return f->calls.all && !f->calls.any;
}

static bool is_coalesced(const struct facts *f)
{
	(void)f;
	return false;
}

static bool never_waits(const struct facts *f)
{
	return does_not_wait(f) && (!f->waits.calls || f->waits.last_ns < f->parent->exec_ns);
}

static bool stopped_waiting(const struct facts *f)
{
	(void)f;
	return false;
}

static bool falls_behind(const struct facts *f)
{
	(void)f;
	return false;
}

static bool always(const struct facts *f)
{
	(void)f;
	return true;
}

/* ---- what is told then ---- */

static void say(char text[WHY_TEXT_SIZE], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(char text[WHY_TEXT_SIZE], const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, WHY_TEXT_SIZE - used, format, args);
	va_end(args);
}

static void say_life(char text[WHY_TEXT_SIZE], const struct core *core, struct lt_id id)
{
	const struct life *life = life_find(core, id);

	say(text, "%" PRIu64, (uint64_t)id.pid);
	if (life && *life->comm)
		say(text, " (%s)", life->comm);
}

static void say_age(char text[WHY_TEXT_SIZE], uint64_t ns)
{
	char age[TEXT_AGE_SIZE];

	text_format_age(ns, age);
	say(text, "%s", age);
}

static void tell_traced(const struct facts *f, char evidence[WHY_TEXT_SIZE])
{
	say(evidence, "tracer ");
	say_life(evidence, f->core, f->zombie->kin->tracer);
	say(evidence,
	    " holds it: the parent can reap it only when the tracer has waited or let go");
}

static void tell_no_sigchld(const struct facts *f, char evidence[WHY_TEXT_SIZE])
{
	char name[16] = "none";

	if (f->zombie->exit_signal)
		text_signal(f->zombie->exit_signal, name, sizeof(name));
	say(evidence,
	    "its exit signal is %s, not SIGCHLD, and %" PRIu64
	    " wait calls of the parent since it died had neither __WALL nor __WCLONE",
	    name, f->calls.all);
}

static void tell_waits(const struct facts *f, char evidence[WHY_TEXT_SIZE])
{
	say_life(evidence, f->core, f->parent->id);
	say(evidence,
	    " made %" PRIu64 " wait calls since it died: %" PRIu64 " for any child, %" PRIu64
	    " for a pid, %" PRIu64 " for a group, %" PRIu64 " for a pidfd",
	    f->calls.all, f->calls.any, f->calls.pid, f->calls.group, f->calls.pidfd);
}

static void tell_blocked(const struct facts *f, char evidence[WHY_TEXT_SIZE])
{
	say_life(evidence, f->core, f->parent->id);
	say(evidence, " is stopped");
}

static void tell_never(const struct facts *f, char evidence[WHY_TEXT_SIZE])
{
	bool since_exec = f->parent->exec_ns > f->core->start.started_ns;
	uint64_t then_ns = since_exec ? f->parent->exec_ns :
					later(f->parent->forked_ns, f->core->start.started_ns);

	say_life(evidence, f->core, f->parent->id);
	say(evidence, " has made no wait call since %s, ",
	    since_exec ? "its last exec" : "it was first seen");
	say_age(evidence, elapsed(f->now_ns, then_ns));
	say(evidence, " ago");
}

static void tell_unknown(const struct facts *f, char evidence[WHY_TEXT_SIZE])
{
	if (!f->zombie->parent_id.pid) {
		say(evidence, "its parent is not known");
	} else if (!f->parent) {
		say(evidence, "its parent ends, or is not known");
	} else if (is_early(f)) {
		say(evidence, "it was watched for only ");
		say_age(evidence, elapsed(f->now_ns, f->since_ns));
		say(evidence, ": too short to judge");
	} else {
		tell_waits(f, evidence);
	}
}

static const struct rule {
	bool (*holds)(const struct facts *f);
	void (*tell)(const struct facts *f, char evidence[WHY_TEXT_SIZE]);
} rules[CAUSES] = {
	[CAUSE_TRACED] = { is_traced, tell_traced },
	[CAUSE_NO_SIGCHLD] = { has_no_sigchld, tell_no_sigchld },
	[CAUSE_INIT_DOES_NOT_REAP] = { init_does_not_reap, tell_waits },
	[CAUSE_SUBREAPER_DOES_NOT_REAP] = { subreaper_does_not_reap, tell_waits },
	[CAUSE_BLOCKED] = { is_blocked, tell_blocked },
	[CAUSE_WAITS_FOR_OTHERS] = { waits_for_others, tell_waits },
	[CAUSE_COALESCED_SIGCHLD] = { is_coalesced, tell_waits },
	[CAUSE_NEVER_WAITS] = { never_waits, tell_never },
	[CAUSE_STOPPED_WAITING] = { stopped_waiting, tell_waits },
	[CAUSE_FALLS_BEHIND] = { falls_behind, tell_waits },
	[CAUSE_UNKNOWN] = { always, tell_unknown },
};

static enum cause judge(const struct facts *f)
{
	unsigned cause = 0;

	while (!rules[cause].holds(f))
		cause++;
	return cause;
}

static void tell_clear_now(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	const struct life *parent = f->parent;

	if (!parent)
		return;
	if (parent->cgroup && parent->cgroup->unit)
		say(text, "restarting %s", parent->cgroup->unit);
	else
		say(text, "ending %" PRIu64, (uint64_t)parent->id.pid);
	say(text, " frees %" PRIu32 ": whoever adopts them reaps them", parent->zombies);
}

enum cause why_cause(const struct core *core, const struct life *zombie, uint64_t now_ns)
{
	struct facts f = facts_of(core, zombie, now_ns);

	return judge(&f);
}

void why_zombie(const struct core *core, const struct life *zombie, uint64_t now_ns,
		struct why *why)
{
	struct facts f = facts_of(core, zombie, now_ns);

	*why = (struct why){ .cause = judge(&f) };
	why->remedy = remedies[why->cause];
	rules[why->cause].tell(&f, why->evidence);
	tell_clear_now(&f, why->clear_now);
}
