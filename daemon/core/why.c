// SPDX-License-Identifier: GPL-2.0-only
/* The causes as a table: what must hold, and what is then told. */
#include "why.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "life.h"
#include "text.h"

const char *const cause_names[CAUSES] = {
#define X(NAME, name, remedy) [CAUSE_##NAME] = name,
	LT_CAUSES(X)
#undef X
};

const char *const cause_remedies[CAUSES] = {
#define X(NAME, name, remedy) [CAUSE_##NAME] = remedy,
	LT_CAUSES(X)
#undef X
};

/* Nobody is judged sooner: whoever has just been told may be about to wait. */
#define JUDGE_AFTER_NS NSEC_PER_SEC
/* And nobody who has reaped before: some inits take two seconds for each. */
#define PATIENCE_NS (3 * NSEC_PER_SEC)
/* How long a watch must have lasted for an answer to be final. */
#define WATCH_NS (3 * NSEC_PER_SEC)
/* All threads in D for so long are blocked, and not just reading a disk. */
#define STILL_NS NSEC_PER_SEC
/* What its threads did longer ago says nothing about now. */
#define TASKS_VALID_NS (10 * NSEC_PER_SEC)
/* So many signals with one wait each are a habit. */
#define HABIT 3

/* All that a cause is judged by. */
struct facts {
	const struct core *core;
	const struct life *zombie, *parent; /* parent NULL: not known, or it ends */
	uint64_t now_ns;
	uint64_t since_ns;     /* this program's zombie since then, as far as it was watched */
	struct lt_waits waits; /* the parent's, in all */
	struct lt_waits calls; /* and since then */
	const struct lt_reaping *reaping; /* the parent's */
	const struct lt_tasks *look;	  /* the last one at its threads; NULL: too long ago */
	const struct lt_tasks *tasks;	  /* the same, since it died; NULL: nobody has looked */
	uint64_t quiet_ns; /* since then, or since its newest call that was not only a look */
	bool program_seen; /* from the beginning */
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
static struct lt_waits calls_between(const struct lt_waits *now, const struct lt_waits *then)
{
	struct lt_waits calls = *now;

	if (now->calls < then->calls || now->start_ns != then->start_ns)
		return calls;
	calls.calls -= then->calls;
	calls.any -= then->any;
	calls.pid -= then->pid;
	calls.group -= then->group;
	calls.pidfd -= then->pidfd;
	calls.nohang -= then->nohang;
	calls.wall -= then->wall;
	calls.wclone -= then->wclone;
	calls.nowait -= then->nowait;
	for (int i = 0; i < LT_WAIT_OUTCOMES; i++)
		calls.outcome[i] -= then->outcome[i];
	calls.blocked_ns = elapsed(now->blocked_ns, then->blocked_ns);
	return calls;
}

/* Those that are not for stops alone. */
static uint64_t calls_for_the_dead(const struct lt_waits *calls)
{
	return calls->any + calls->pid + calls->group + calls->pidfd;
}

/* None of them could take anything. */
static bool only_look(const struct lt_waits *calls)
{
	return calls_for_the_dead(calls) <= calls->nowait;
}

static bool only_looks(const struct facts *f)
{
	return only_look(&f->calls);
}

/* Whether such a call would take one that is dead. */
static bool takes_the_dead(unsigned call, uint32_t options)
{
	return !(options & WNOWAIT) && (call != LT_WAITID || options & WEXITED);
}

/* Counters are of the program that made the newest call in them. */
static bool are_of_the_program(const struct facts *f, const struct lt_waits *waits)
{
	return waits->calls && waits->start_ns == f->parent->id.start_ns &&
	       waits->last_ns >= f->parent->exec_ns;
}

/* Each program's are counted anew. */
static struct lt_waits calls_since(const struct facts *f)
{
	const struct death *death = f->zombie->death;

	if (f->waits.last_ns <= f->since_ns)
		return (struct lt_waits){ 0 };
	return death && are_of_the_program(f, &death->parent_waits) ?
		       calls_between(&f->waits, &death->parent_waits) :
		       f->waits;
}

static void take_parent(struct facts *f, const struct life *parent)
{
	const struct reaping *reaping = life_reaping(parent);

	f->parent = parent;
	f->since_ns = later(f->since_ns, parent->exec_ns);
	if (parent->waits)
		f->waits = *parent->waits;
	f->calls = calls_since(f);
	f->quiet_ns = elapsed(f->now_ns,
			      only_looks(f) ? f->since_ns : later(f->since_ns, f->waits.last_ns));
	f->program_seen = later(parent->exec_ns, parent->forked_ns) > f->core->start.started_ns &&
			  (parent->exec_ns || parent->flags & LT_LIFE_FORK_SEEN);
	if (!reaping)
		return;
	f->reaping = &reaping->facts;
	if (reaping->tasks && elapsed(f->now_ns, reaping->tasks_ns) < TASKS_VALID_NS)
		f->look = reaping->tasks;
	if (f->look && reaping->tasks_ns >= f->since_ns)
		f->tasks = f->look;
}

static struct facts facts_of(const struct core *core, const struct life *zombie, uint64_t now_ns)
{
	static const struct lt_reaping no_reaping;
	struct facts f = {
		.core = core, .zombie = zombie, .now_ns = now_ns, .reaping = &no_reaping
	};

	f.since_ns = later(zombie->zombie_ns, core->start.started_ns);
	if (zombie->death)
		f.since_ns = later(f.since_ns, zombie->death->adopted_ns);
	if (zombie->parent && zombie->parent->state < LT_EXITING)
		take_parent(&f, zombie->parent);
	return f;
}

/* ---- what must hold ---- */

/* For how long this program has had it, as far as that was watched. */
static uint64_t had_for_ns(const struct facts *f)
{
	return elapsed(f->now_ns, f->since_ns);
}

static bool is_early(const struct facts *f)
{
	uint64_t age_ns = f->core->policy.zombie_age_ns;

	return had_for_ns(f) < (age_ns < JUDGE_AFTER_NS ? age_ns : JUDGE_AFTER_NS);
}

/* Its parent can be judged by what it does. */
static bool is_judged(const struct facts *f)
{
	return f->parent && !is_early(f);
}

/* Before it was watched, whoever ran in that process. */
static bool reaped_before(const struct facts *f)
{
	return !f->program_seen && f->tasks && f->tasks->flags & LT_TASKS_REAPED_BEFORE;
}

/* By what is counted now, or was when this one died: that can have been forgotten since. */
static bool has_waited(const struct facts *f)
{
	const struct death *death = f->zombie->death;
	const struct lt_waits *then = death ? &death->parent_waits : &f->waits;

	return f->reaping->reaped || reaped_before(f) ||
	       (are_of_the_program(f, &f->waits) && !only_look(&f->waits)) ||
	       (are_of_the_program(f, then) && !only_look(then));
}

/* Longer than it ever took, and than somebody might. */
static uint64_t patience_ns(const struct facts *f)
{
	return later(later(PATIENCE_NS, f->core->policy.zombie_age_ns), f->reaping->slowest_ns);
}

static bool is_overdue(const struct facts *f)
{
	return !has_waited(f) || f->quiet_ns >= patience_ns(f);
}

static bool has_reaped_since(const struct facts *f)
{
	return f->reaping->last_reaped_ns > f->since_ns;
}

/* kernel/exit.c, eligible_child(): __WCLONE alone is for others than children with SIGCHLD. */
static bool asks_for_clones(const struct facts *f)
{
	const struct lt_waits *calls = &f->calls;

	return calls->wclone && calls->wclone == calls_for_the_dead(calls) && !calls->wall &&
	       f->zombie->exit_signal == SIGCHLD;
}

/* It is in a call that could take a child. */
static bool reaps_by(const struct lt_thread *thread)
{
	return thread->flags & LT_THREAD_WAITS && takes_the_dead(thread->call, thread->options);
}

/* A thread is in a call for any child, whenever that began. Those that wait are told first. */
static bool is_in_wait_for_any(const struct facts *f)
{
	for (uint32_t i = 0; f->tasks && i < f->tasks->told; i++) {
		const struct lt_thread *thread = &f->tasks->thread[i];

		if (reaps_by(thread) && thread->which == LT_WAIT_ANY &&
		    !(thread->options & __WCLONE))
			return true;
	}
	return false;
}

static bool is_in_wait_for_others(const struct facts *f)
{
	for (uint32_t i = 0; f->tasks && i < f->tasks->told; i++)
		if (reaps_by(&f->tasks->thread[i]) && f->tasks->thread[i].which != LT_WAIT_ANY)
			return true;
	return false;
}

/* Since it died: calls that only look are of no use, unless others then take what they saw. */
static bool asks_for_any(const struct facts *f)
{
	const struct lt_waits *calls = &f->calls;

	return is_in_wait_for_any(f) || (calls->any && !asks_for_clones(f) &&
					 (calls->any > calls->nowait || calls->pid + calls->pidfd));
}

/* Its newest call was for this very one, and not only a look: then it is not one for others. */
static bool asks_for_this(const struct facts *f)
{
	const struct lt_waits *calls = &f->calls;

	return calls->calls && calls->last_which == LT_WAIT_PID && calls->last_pid > 0 &&
	       (uint32_t)calls->last_pid == f->zombie->ns_pid &&
	       takes_the_dead(calls->last_call, calls->last_options);
}

static bool asks_for_others(const struct facts *f)
{
	const struct lt_waits *calls = &f->calls;

	return (!only_looks(f) && calls->pid + calls->group + calls->pidfd) ||
	       is_in_wait_for_others(f);
}

static uint32_t live_threads(const struct lt_tasks *tasks)
{
	return tasks->looked - tasks->dead;
}

static bool is_in_d(const struct facts *f)
{
	const struct lt_tasks *tasks = f->look;

	return tasks && tasks->looked >= tasks->threads && tasks->uninterruptible &&
	       tasks->uninterruptible + tasks->stopped + tasks->traced == live_threads(tasks);
}

/* A look that is left is newer than its stop, after which a tracer may have let it go on. */
static bool is_stopped(const struct facts *f)
{
	const struct lt_tasks *tasks = f->look;

	if (tasks && tasks->looked >= tasks->threads && live_threads(tasks))
		return tasks->stopped + tasks->traced == live_threads(tasks);
	return f->parent->state == LT_STOPPED;
}

static bool is_frozen(const struct facts *f)
{
	return f->look && f->look->flags & LT_TASKS_FROZEN;
}

static bool is_blocked(const struct facts *f)
{
	return f->parent && (is_stopped(f) || is_frozen(f) ||
			     (is_in_d(f) && f->look->still_ns &&
			      elapsed(f->look->hdr.time_ns, f->look->still_ns) >= STILL_NS));
}

static bool is_traced(const struct facts *f)
{
	const struct kin *kin = f->zombie->kin;

	return kin && kin->tracer.pid && !id_is(kin->tracer, f->zombie->parent_id);
}

/*
 * kernel/exit.c, eligible_child(). A notification tells no exit signal, and the
 * lack of one is not notified. Who is adopted, or execs, has SIGCHLD.
 */
static bool signals_otherwise(const struct life *zombie)
{
	bool known = zombie->exit_signal ||
		     (zombie->flags & LT_LIFE_HAS_STATUS && !(zombie->flags & LT_LIFE_NOTIFY_SEEN));

	return known && zombie->exit_signal != SIGCHLD && !(zombie->flags & LT_LIFE_ORPHAN);
}

/* Such a child, and not every call was one that sees it. */
static bool may_be_overlooked(const struct facts *f)
{
	return signals_otherwise(f->zombie) &&
	       f->calls.wall + f->calls.wclone < calls_for_the_dead(&f->calls);
}

static bool has_no_sigchld(const struct facts *f)
{
	const struct lt_waits *calls = f->calls.calls ? &f->calls : &f->waits;

	return is_judged(f) && signals_otherwise(f->zombie) && !calls->wall && !calls->wclone;
}

/* Calls for others do not count. One that stands still may be a good one. */
static bool does_not_reap(const struct facts *f)
{
	return is_judged(f) && !asks_for_any(f) && !asks_for_this(f) &&
	       (!has_waited(f) || (had_for_ns(f) >= patience_ns(f) && !is_blocked(f)));
}

static bool init_does_not_reap(const struct facts *f)
{
	return does_not_reap(f) && f->parent->ns_pid == 1;
}

static bool subreaper_does_not_reap(const struct facts *f)
{
	const struct kin *kin = f->zombie->kin;

	return does_not_reap(f) && kin && id_is(kin->adopted_by, f->parent->id);
}

static bool waits_for_others(const struct facts *f)
{
	return is_judged(f) && !is_in_wait_for_any(f) && !asks_for_this(f) &&
	       (asks_for_clones(f) || (!f->calls.any && asks_for_others(f)));
}

static bool is_sigchld_pending(const struct facts *f)
{
	return f->tasks && f->tasks->sig_pending & UINT64_C(1) << (SIGCHLD - 1);
}

static bool is_sigchld_ignored(const struct facts *f)
{
	return f->tasks && f->tasks->sig_ignored & UINT64_C(1) << (SIGCHLD - 1);
}

/*
 * Each signal led to one wait, and what is left are no more than the signals that were swallowed.
 * Whoever has reaped more than such calls can take does it in another way.
 */
static bool has_one_wait_per_signal(const struct facts *f)
{
	const struct lt_reaping *reaping = f->reaping;
	const struct death *death = f->zombie->death;
	uint64_t calls = elapsed(f->waits.any, reaping->any_before);
	bool wants_signals = death && (death->disposition == LT_SIG_HANDLER ||
				       death->notify_flags & LT_NOTIFY_BLOCKED);

	return is_judged(f) && wants_signals && reaping->coalesced &&
	       f->parent->zombies <= reaping->coalesced && calls &&
	       calls <= reaping->notified - reaping->coalesced && reaping->reaped <= calls;
}

/* While there were few it may still be at work; and a signal that nobody takes has led to none. */
static bool is_coalesced(const struct facts *f)
{
	return has_one_wait_per_signal(f) && !is_sigchld_pending(f) &&
	       (elapsed(f->waits.any, f->reaping->any_before) >= HABIT || is_overdue(f));
}

/* It could wait, and does not now. */
static bool does_not_wait(const struct facts *f)
{
	return is_judged(f) && !is_in_d(f) && !is_in_wait_for_any(f);
}

/* Calls by it are not counted. */
static bool holds_io_uring(const struct facts *f)
{
	return f->look && f->look->flags & LT_TASKS_IO_URING;
}

/* Who came before us may be in a call that was never counted. */
static bool never_waits(const struct facts *f)
{
	return does_not_wait(f) && !has_waited(f) && !holds_io_uring(f) &&
	       (f->program_seen || f->tasks);
}

static bool stopped_waiting(const struct facts *f)
{
	return does_not_wait(f) && has_waited(f) && is_overdue(f);
}

static bool falls_behind(const struct facts *f)
{
	return is_judged(f) && !may_be_overlooked(f) && calls_for_the_dead(&f->calls) > 1 &&
	       !only_looks(f) && has_reaped_since(f) && !is_overdue(f) &&
	       elapsed(f->now_ns, f->reaping->last_reaped_ns) < patience_ns(f) &&
	       !has_one_wait_per_signal(f);
}

static bool always(const struct facts *f)
{
	(void)f;
	return true;
}

/* ---- words ---- */

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

/* A semicolon and a space end a part of the evidence: a name has them as "\x3b ". */
static void say_comm(char text[WHY_TEXT_SIZE], const char *comm)
{
	const char *end;

	while ((end = strstr(comm, "; "))) {
		say(text, "%.*s\\x3b ", (int)(end - comm), comm);
		comm = end + 2;
	}
	say(text, "%s", comm);
}

static void say_id(char text[WHY_TEXT_SIZE], const struct core *core, struct lt_id id)
{
	const struct life *life = life_find(core, id);

	say(text, "%" PRIu64, (uint64_t)id.pid);
	if (!life || !*life->comm)
		return;
	say(text, " (");
	say_comm(text, life->comm);
	say(text, ")");
}

static void say_age(char text[WHY_TEXT_SIZE], uint64_t ns)
{
	char age[TEXT_AGE_SIZE];

	text_format_age(ns, age);
	say(text, "%s", age);
}

/* "wait4(4711, WNOHANG|__WALL)" */
static void say_call(char text[WHY_TEXT_SIZE], unsigned call, unsigned which, int64_t pid,
		     uint32_t options)
{
	static const char *const calls[] = { "a wait", "wait4", "waitid", "waitpid" };
	static const char *const whiches[] = { "any child", "pid ", "group ", "pidfd " };
	json_t *names = text_wait_options(options), *name;
	size_t i;

	say(text, "%s(%s", call < 4 ? calls[call] : "?",
	    which == LT_WAIT_GROUP && !pid ? "its own group" :
	    which < 4			   ? whiches[which] :
					     "?");
	if (which != LT_WAIT_ANY && pid)
		say(text, "%" PRId64, which == LT_WAIT_GROUP && pid < 0 ? -pid : pid);
	json_array_foreach(names, i, name)
		say(text, "%s%s", i ? "|" : ", ", json_string_value(name));
	say(text, ")");
	json_decref(names);
}

static void say_count(char text[WHY_TEXT_SIZE], const char **lead, uint64_t count, const char *what)
{
	if (!count)
		return;
	say(text, "%s%" PRIu64 " %s", *lead, count, what);
	*lead = ", ";
}

/* From when on its parent's calls count. */
static const char *since_when(const struct facts *f)
{
	const struct life *zombie = f->zombie;

	if (f->since_ns == zombie->zombie_ns)
		return "it died";
	if (f->parent && f->since_ns == f->parent->exec_ns)
		return "the parent's last exec";
	return zombie->death && f->since_ns == zombie->death->adopted_ns ? "it was adopted" :
									   "the watch began";
}

/* What it asked for since, and what came of it where that was seen. */
static void say_calls(char text[WHY_TEXT_SIZE], const struct facts *f)
{
	static const char *const ends[LT_WAIT_OUTCOMES] = {
		[LT_WAIT_REAPED] = "took another child", [LT_WAIT_REPORTED] = "only reported one",
		[LT_WAIT_NOTHING] = "found none",	 [LT_WAIT_ECHILD] = "had no such child",
		[LT_WAIT_EINTR] = "were interrupted",	 [LT_WAIT_FAILED] = "failed",
	};
	const struct lt_waits *calls = &f->calls;
	const char *lead = ": ";

	if (!calls->calls) {
		say(text, "; no wait call since %s", since_when(f));
		if (f->waits.last_ns) {
			say(text, ", the last one ");
			say_age(text, elapsed(f->now_ns, f->waits.last_ns));
			say(text, " ago: ");
			say_call(text, f->waits.last_call, f->waits.last_which, f->waits.last_pid,
				 f->waits.last_options);
		}
		return;
	}
	say(text, "; %" PRIu64 " wait call%s since %s", (uint64_t)calls->calls,
	    calls->calls == 1 ? "" : "s", since_when(f));
	say_count(text, &lead, calls->any, "for any child");
	say_count(text, &lead, calls->pid, "for a pid");
	say_count(text, &lead, calls->group, "for a group");
	say_count(text, &lead, calls->pidfd, "for a pidfd");
	say_count(text, &lead, calls->calls - calls_for_the_dead(calls), "only for stops");
	for (int i = 0; i < LT_WAIT_OUTCOMES; i++)
		if (ends[i])
			say_count(text, &lead, calls->outcome[i], ends[i]);
	say(text, "; the last ");
	say_age(text, elapsed(f->now_ns, f->waits.last_ns));
	say(text, " ago: ");
	say_call(text, calls->last_call, calls->last_which, calls->last_pid, calls->last_options);
}

/* How its first parent had it says nothing of one that adopted it since, or of a new program. */
static void say_sigchld(char text[WHY_TEXT_SIZE], const struct facts *f)
{
	static const char *const names[] = { "SIG_DFL", "SIG_IGN", "a handler" };
	const struct death *death = f->zombie->death;
	bool told = death && f->zombie->flags & LT_LIFE_NOTIFY_SEEN && death->disposition < 3 &&
		    !death->adopted_ns &&
		    (!f->parent || f->parent->exec_ns <= f->zombie->zombie_ns);
	bool threads = f->tasks && f->tasks->threads > 1;

	if (told)
		say(text, "; when it died SIGCHLD had %s%s%s%s", names[death->disposition],
		    death->notify_flags & LT_NOTIFY_BLOCKED ? ", was blocked" : "",
		    death->notify_flags & LT_NOTIFY_BLOCKED && threads ? " in one of its threads" :
									 "",
		    death->notify_flags & LT_NOTIFY_COALESCED ? ", was pending already" : "");
	if (is_sigchld_pending(f))
		say(text, "; it is pending now");
	if (told && death->disposition != LT_SIG_IGN && is_sigchld_ignored(f))
		say(text, "; it has SIG_IGN now, for those that die from then on");
}

static void say_threads(char text[WHY_TEXT_SIZE], const struct facts *f)
{
	const struct lt_tasks *tasks = f->tasks;
	const char *lead = ": ";

	if (!tasks)
		return;
	say(text, "; %" PRIu32 " thread%s", tasks->threads, tasks->threads == 1 ? "" : "s");
	if (tasks->looked < tasks->threads)
		say(text, ", %" PRIu32 " of them looked at", tasks->looked);
	say_count(text, &lead, tasks->running, "running");
	say_count(text, &lead, tasks->sleeping, "sleeping");
	say_count(text, &lead, tasks->uninterruptible, "in D");
	say_count(text, &lead, tasks->stopped, "stopped");
	say_count(text, &lead, tasks->traced, "stopped by a tracer");
	say_count(text, &lead, tasks->dead, "dead");
	for (uint32_t i = 0; i < tasks->told && tasks->thread[i].flags & LT_THREAD_WAITS; i++) {
		const struct lt_thread *thread = &tasks->thread[i];

		say(text, "%s", i ? ", " : ", in ");
		say_call(text, thread->call, thread->which, thread->pid, thread->options);
	}
	if (tasks->flags & LT_TASKS_IO_URING && has_waited(f))
		say(text, "; it holds an io_uring, whose waits are not seen");
}

/* ---- what is told then ---- */

static void tell_traced(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	say(text, "tracer ");
	say_id(text, f->core, f->zombie->kin->tracer);
	say(text, " holds it: the parent can reap it only when the tracer has waited or let go");
}

static void tell_no_sigchld(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	char name[16] = "none";

	if (f->zombie->exit_signal)
		text_signal(f->zombie->exit_signal, name, sizeof(name));
	say(text, "its exit signal is %s, not SIGCHLD, and ", name);
	say_id(text, f->core, f->parent->id);
	say(text, " has made no wait call with __WALL or __WCLONE");
}

static void tell_init(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	say_id(text, f->core, f->parent->id);
	say(text, " is pid 1 of its pid namespace and does not wait for it");
}

static void tell_subreaper(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	say_id(text, f->core, f->parent->id);
	say(text, " is a subreaper, has adopted it, a child of ");
	say_id(text, f->core, f->zombie->kin->first_parent);
	say(text, ", and does not wait for it");
}

static const char *where_of(const struct lt_tasks *tasks, char state)
{
	for (uint32_t i = 0; tasks && i < tasks->told; i++)
		if (tasks->thread[i].state == state && *tasks->thread[i].wchan)
			return tasks->thread[i].wchan;
	return NULL;
}

static void tell_blocked(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	const char *where = where_of(f->look, 'D');
	const struct cgroup_info *cgroup = f->parent->cgroup;

	say_id(text, f->core, f->parent->id);
	if (is_frozen(f)) {
		say(text, " is frozen, with its cgroup");
		if (cgroup && cgroup->path && !(f->look->flags & LT_TASKS_FREEZER))
			say(text, " %s", cgroup->path);
	} else if (is_stopped(f)) {
		say(text, " is stopped%s", f->look && f->look->traced ? " by its tracer" : "");
	} else {
		say(text, " is in D (uninterruptible) with all its threads");
		if (where)
			say(text, ", in the kernel's %.32s", where);
		say(text, ", for at least ");
		say_age(text, elapsed(f->now_ns, f->look->still_ns));
	}
}

static void tell_others(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	say_id(text, f->core, f->parent->id);
	say(text, asks_for_clones(f) ? " waits with __WCLONE only: for children whose exit signal "
				       "is not SIGCHLD" :
				       " waits only for other children");
	if (!asks_for_clones(f) && f->waits.any > f->calls.any)
		say(text, ", unlike before");
}

static void tell_coalesced(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	const struct lt_reaping *reaping = f->reaping;
	uint64_t calls = elapsed(f->waits.any, reaping->any_before);

	say_id(text, f->core, f->parent->id);
	say(text,
	    " makes one wait for each SIGCHLD: of %" PRIu64 " children that died %" PRIu64
	    " did so while a SIGCHLD was pending, and %" PRIu64 " call%s for any child %s made",
	    (uint64_t)reaping->notified, (uint64_t)reaping->coalesced, calls, calls == 1 ? "" : "s",
	    calls == 1 ? "was" : "were");
}

static void tell_never(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	const struct life *parent = f->parent;
	uint64_t began_ns = later(parent->exec_ns, parent->forked_ns);

	say_id(text, f->core, parent->id);
	say(text, " has made no %swait call since %s, ",
	    are_of_the_program(f, &f->waits) ? "reaping " : "",
	    !f->program_seen ? "it was first seen" :
	    parent->exec_ns  ? "its last exec" :
			       "its birth");
	say_age(text, elapsed(f->now_ns, later(began_ns, f->core->start.started_ns)));
	say(text, " ago");
}

static void tell_stopped(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	say_id(text, f->core, f->parent->id);
	if (f->reaping->reaped) {
		say(text, " has reaped %" PRIu64 " before, the last one ",
		    (uint64_t)f->reaping->reaped);
		say_age(text, elapsed(f->now_ns, f->reaping->last_reaped_ns));
		say(text, " ago, and never took longer than ");
		say_age(text, f->reaping->slowest_ns);
	} else {
		say(text, "%s",
		    reaped_before(f) ?
			    " (or what ran in it before an exec) reaped before it was watched" :
			    " waited before, and is not seen to have taken any");
	}
	say(text, f->calls.calls && only_looks(f) ? "; no call that reaps for " : "; silent for ");
	say_age(text, f->quiet_ns);
}

static void say_rate(char text[WHY_TEXT_SIZE], const char *lead, uint64_t count, uint64_t ns,
		     const char *what)
{
	say(text, "%s%.1f %s", lead, ns ? (double)count * NSEC_PER_SEC / (double)ns : 0, what);
}

static void tell_behind(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	const struct lt_reaping *reaping = f->reaping;
	const struct lt_reap_mark *mark = reaping_mark(reaping, f->now_ns);
	uint64_t ns = elapsed(f->now_ns, mark->ns);

	say_id(text, f->core, f->parent->id);
	say_rate(text, " goes on reaping; a second: ", reaping->born - mark->born, ns, "born, ");
	say_rate(text, "", reaping->died - mark->died, ns, "died, ");
	say_rate(text, "", reaping->reaped - mark->reaped, ns, "reaped");
}

/* What is missing for an answer. */
static void tell_unknown(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	if (!f->zombie->parent_id.pid) {
		say(text, "its parent is not known");
		return;
	}
	if (!f->parent) {
		say(text, "its parent is not known or about to end");
		return;
	}
	if (is_early(f)) {
		say(text, "too early to tell: watched for only ");
		say_age(text, had_for_ns(f));
	} else if (is_in_d(f)) {
		say(text, "all threads of the parent are in D now: since when is not known yet");
	} else if (!asks_for_this(f) && asks_for_any(f) && has_reaped_since(f) &&
		   !may_be_overlooked(f)) {
		say(text, "the parent asked for any child, and took others: whether it goes on to "
			  "this one is not known yet");
	} else if (asks_for_this(f) || asks_for_any(f)) {
		say(text,
		    "the parent asked for %s, and none took it: a call does not when it is "
		    "for another thread's (__WNOTHREAD)%s",
		    asks_for_this(f) ? "this one" : "any child",
		    may_be_overlooked(f) ? ", or lacks __WALL, as its exit signal is not SIGCHLD" :
					   "");
	} else if (!has_waited(f) && holds_io_uring(f)) {
		say(text,
		    "the parent has made no %swait call, but holds an io_uring: whether it "
		    "waits for others by that (IORING_OP_WAITID) is not seen",
		    are_of_the_program(f, &f->waits) ? "reaping " : "");
	} else if (!has_waited(f)) {
		say(text, "the parent's threads have not been looked at: one may be in a wait call "
			  "that began before the watch");
	} else {
		say(text,
		    "too early to tell: the parent has waited before and is silent for only ");
		say_age(text, f->quiet_ns);
	}
}

/* ---- what clears it now ---- */

/* The host's init does; of another that is only known once it has, and not only by pid. */
static bool is_known_to_reap(const struct life *life)
{
	const struct reaping *reaping = life_reaping(life);

	return life->id.pid == 1 ||
	       (reaping && reaping->facts.reaped && life->waits && life->waits->any);
}

static bool is_service(const char *unit)
{
	static const char suffix[] = ".service";
	size_t len = unit ? strlen(unit) : 0, suffix_len = sizeof(suffix) - 1;

	return len > suffix_len && !strcmp(unit + len - suffix_len, suffix);
}

/* Both are in the container or service that is to be restarted. */
static bool is_restarted_with(const struct life *parent, const struct life *adopter)
{
	const struct cgroup_info *its = parent->cgroup, *others = adopter->cgroup;

	if (!its || !others)
		return false;
	if (*its->container)
		return !strcmp(its->container, others->container);
	return is_service(its->unit) && others->unit && !strcmp(its->unit, others->unit);
}

/* "adopts and reaps them": whoever it is. */
static void say_adopter(char text[WHY_TEXT_SIZE], const struct facts *f)
{
	struct lt_id id = f->reaping->adopter;
	const struct life *adopter = id.pid ? life_find(f->core, id) : NULL;

	if (!adopter) {
		say(text, "whoever adopts them, mostly an init, reaps them");
		return;
	}
	say_id(text, f->core, id);
	if (is_restarted_with(f->parent, adopter))
		say(text, " would adopt them, and ends with it");
	else if (adopter->leak && adopter->leak->flagged)
		say(text, " adopts them, but holds %" PRIu32 " zombie%s of its own",
		    adopter->leak->flagged, adopter->leak->flagged == 1 ? "" : "s");
	else if (is_known_to_reap(adopter))
		say(text, " adopts and reaps them");
	else
		say(text, " adopts them, and has not been seen to reap whoever comes");
}

static void clear_init(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	const struct life *parent = f->parent;

	if (parent->id.pid == 1) {
		say(text, "kill -CHLD 1 has an init look again; nobody else can reap them");
		return;
	}
	if (parent->cgroup && *parent->cgroup->container) {
		say(text, "restarting container %.12s", parent->cgroup->container);
	} else {
		say(text, "ending ");
		say_id(text, f->core, parent->id);
	}
	say(text, " frees %" PRIu32 ": its pid namespace ends, and the kernel reaps all in it",
	    parent->zombies);
}

/* The parent's end makes orphans of its zombies, unless all end with it. */
static void clear_by_end(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	const struct life *parent = f->parent;
	const struct cgroup_info *cgroup = parent->cgroup;

	if (parent->ns_pid == 1) {
		clear_init(f, text);
		return;
	}
	if (cgroup && *cgroup->container) {
		say(text, "restarting container %.12s", cgroup->container);
	} else if (cgroup && is_service(cgroup->unit)) {
		say(text, "restarting %s", cgroup->unit);
	} else {
		say(text, "ending ");
		say_id(text, f->core, parent->id);
	}
	say(text, " frees %" PRIu32 ": ", parent->zombies);
	say_adopter(text, f);
}

static void clear_tracer(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	say(text, "ending tracer ");
	say_id(text, f->core, f->zombie->kin->tracer);
	say(text, ", or making it detach, lets ");
	say_id(text, f->core, f->zombie->parent_id);
	say(text, " reap it");
}

static void clear_blocked(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	if (is_frozen(f))
		say(text, "thawing its cgroup lets it go on");
	else if (is_stopped(f) && f->look && f->look->traced)
		say(text, "its tracer must let it go on, or end");
	else if (is_stopped(f))
		say(text, "kill -CONT %" PRIu64 " lets it go on", (uint64_t)f->parent->id.pid);
	else
		say(text,
		    "only the end of what it waits for in the kernel frees it, or SIGKILL where "
		    "that wait can be killed");
}

static void clear_coalesced(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	say(text, "each kill -CHLD %" PRIu64 " has it reap one more; ",
	    (uint64_t)f->parent->id.pid);
	clear_by_end(f, text);
}

static void clear_unknown(const struct facts *f, char text[WHY_TEXT_SIZE])
{
	if (f->parent)
		clear_by_end(f, text);
}

/* ---- the table ---- */

/* And besides the evidence of its own, a cause that lies in the parent's doing has this. */
#define DOINGS 1
/* It is seen at once: watching adds nothing. */
#define AT_ONCE 2

static const struct rule {
	bool (*holds)(const struct facts *f);
	void (*tell)(const struct facts *f, char text[WHY_TEXT_SIZE]);
	void (*clear)(const struct facts *f, char text[WHY_TEXT_SIZE]);
	unsigned flags;
} rules[CAUSES] = {
	[CAUSE_TRACED] = { is_traced, tell_traced, clear_tracer, AT_ONCE },
	[CAUSE_NO_SIGCHLD] = { has_no_sigchld, tell_no_sigchld, clear_by_end, DOINGS },
	[CAUSE_INIT_DOES_NOT_REAP] = { init_does_not_reap, tell_init, clear_init, DOINGS },
	[CAUSE_SUBREAPER_DOES_NOT_REAP] = { subreaper_does_not_reap, tell_subreaper, clear_by_end,
					    DOINGS },
	[CAUSE_BLOCKED] = { is_blocked, tell_blocked, clear_blocked, DOINGS | AT_ONCE },
	[CAUSE_WAITS_FOR_OTHERS] = { waits_for_others, tell_others, clear_by_end, DOINGS },
	[CAUSE_COALESCED_SIGCHLD] = { is_coalesced, tell_coalesced, clear_coalesced, DOINGS },
	[CAUSE_NEVER_WAITS] = { never_waits, tell_never, clear_by_end, DOINGS },
	[CAUSE_STOPPED_WAITING] = { stopped_waiting, tell_stopped, clear_by_end, DOINGS },
	[CAUSE_FALLS_BEHIND] = { falls_behind, tell_behind, clear_by_end, DOINGS },
	[CAUSE_UNKNOWN] = { always, tell_unknown, clear_unknown, DOINGS },
};

static enum cause judge(const struct facts *f)
{
	unsigned cause = 0;

	while (!rules[cause].holds(f))
		cause++;
	return cause;
}

enum cause why_cause(const struct core *core, const struct life *zombie, uint64_t now_ns)
{
	struct facts f = facts_of(core, zombie, now_ns);

	return judge(&f);
}

/* Of the calls' answers, where they are watched; otherwise of the calls. */
static uint64_t watched_ns(const struct facts *f)
{
	return elapsed(f->now_ns, later(f->since_ns, core_hook_since(f->core, "wait_results")));
}

void why_zombie(const struct core *core, const struct life *zombie, uint64_t now_ns,
		struct why *why)
{
	struct facts f = facts_of(core, zombie, now_ns);
	const struct rule *rule;

	*why = (struct why){ .cause = judge(&f),
			     .watched_ns = watched_ns(&f),
			     .has_calls = f.parent,
			     .calls = f.calls };
	rule = &rules[why->cause];
	why->remedy = cause_remedies[why->cause];
	why->enough = rule->flags & AT_ONCE || why->watched_ns >= WATCH_NS;
	rule->tell(&f, why->evidence);
	if (rule->flags & DOINGS && f.parent) {
		say_calls(why->evidence, &f);
		say_sigchld(why->evidence, &f);
		say_threads(why->evidence, &f);
	}
	rule->clear(&f, why->clear_now);
}
