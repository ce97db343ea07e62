// SPDX-License-Identifier: GPL-2.0-only
/* The table as JSON: one function a thing that docs/interface.md names. */
#include "view.h"

#include "alerts.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parts.h"
#include "rows.h"
#include "text.h"
#include "why.h"

#ifndef LIFETRACE_VERSION
#define LIFETRACE_VERSION "0"
#endif

/* ---- small values ---- */

static json_t *signal_name(int signal)
{
	char buf[16];

	if (!signal)
		return json_null();
	text_signal(signal, buf, sizeof(buf));
	return json_string(buf);
}

/* ---- parts of a life ---- */

static json_t *view_exit_by(const struct life *life)
{
	if (life_rare(life)->exit_called_ns)
		return json_string("exit");
	return life->flags & LT_LIFE_CALLED__EXIT ? json_string("_exit") : json_null();
}

/* From the call of exit() to the kernel's: handlers, and the flushing of streams. */
static json_t *view_handlers(const struct life *life)
{
	uint64_t called_ns = life_rare(life)->exit_called_ns;

	if (!called_ns || life->exited_ns < called_ns)
		return json_null();
	return integer(life->exited_ns - called_ns);
}

/* wait(2): the status word as its macros read it. */
json_t *view_exit(const struct life *life)
{
	int signal = life->exit_code & 0x7f;
	json_t *object;

	if (life->state < LT_EXITING || !(life->flags & LT_LIFE_HAS_STATUS))
		return json_null();
	object = json_object();
	set(object, "how",
	    json_string(!signal		       ? "exited" :
			life->exit_code & 0x80 ? "dumped" :
						 "killed"));
	set(object, "status", signal ? json_null() : json_integer(life->exit_code >> 8 & 0xff));
	set(object, "signal", signal_name(signal));
	set(object, "by", signal ? NULL : view_exit_by(life));
	set(object, "handlers_ns", view_handlers(life));
	return object;
}

static json_t *view_args(const struct program *program)
{
	json_t *array;
	const char *p, *end;
	size_t len;

	if (!program || program->flags & LT_LIFE_ARGS_UNKNOWN)
		return json_null();
	array = json_array();
	p = program->text + program->exe_len;
	end = p + program->args_len;
	for (; p < end; p += len + 1) {
		len = strnlen(p, (size_t)(end - p));
		json_array_append_new(array, text_json(p, len));
	}
	return array;
}

static const char *const outcome_names[LT_WAIT_OUTCOMES] = {
#define X(NAME, name) [LT_WAIT_##NAME] = #name,
	LT_WAIT_ENDS(X)
#undef X
};

static json_t *view_wait_which(unsigned which)
{
	static const char *const names[] = {
		[LT_WAIT_ANY] = "any",
		[LT_WAIT_PID] = "pid",
		[LT_WAIT_GROUP] = "group",
		[LT_WAIT_PIDFD] = "pidfd",
	};

	return which < sizeof(names) / sizeof(names[0]) ? json_string(names[which]) : json_null();
}

static json_t *view_wait_call(unsigned call)
{
	static const char *const names[] = {
		[LT_WAIT_OTHER] = "other",
		[LT_WAIT4] = "wait4",
		[LT_WAITID] = "waitid",
		[LT_WAITPID] = "waitpid",
	};

	return call < sizeof(names) / sizeof(names[0]) ? json_string(names[call]) : json_null();
}

/* Null where none was observed: nothing is claimed then. */
static json_t *view_wait_results(const struct lt_waits *waits)
{
	json_t *object = json_object();
	uint64_t observed = 0;

	for (int i = 0; i < LT_WAIT_OUTCOMES; i++) {
		observed += waits->outcome[i];
		set(object, outcome_names[i], integer(waits->outcome[i]));
	}
	set(object, "blocked_ns", integer(waits->blocked_ns));
	if (observed)
		return object;
	json_decref(object);
	return json_null();
}

/* A call whose end nobody would have seen is not said to be under way. */
static json_t *view_waiting_since(const struct core *core, const struct lt_waits *waits)
{
	uint64_t watched_ns = core_hook_since(core, "wait_results");

	if (!watched_ns || waits->waiting_since_ns < watched_ns)
		return json_null();
	return integer(waits->waiting_since_ns);
}

json_t *view_waits(const struct core *core, const struct lt_waits *waits)
{
	json_t *object, *last;

	if (!waits || !waits->calls)
		return json_null();
	object = json_object();
	set(object, "calls", integer(waits->calls));
	set(object, "any", integer(waits->any));
	set(object, "pid", integer(waits->pid));
	set(object, "group", integer(waits->group));
	set(object, "pidfd", integer(waits->pidfd));
	set(object, "nohang", integer(waits->nohang));
	set(object, "wall", integer(waits->wall));
	set(object, "wclone", integer(waits->wclone));
	set(object, "nowait", integer(waits->nowait));
	set(object, "results", view_wait_results(waits));
	set(object, "waiting_since_ns", view_waiting_since(core, waits));
	set(object, "last_ns", when(waits->last_ns));
	last = json_object();
	set(last, "call", view_wait_call(waits->last_call));
	set(last, "which", view_wait_which(waits->last_which));
	set(last, "pid", json_integer(waits->last_pid));
	set(last, "options", text_wait_options(waits->last_options));
	set(object, "last", last);
	return object;
}

static json_t *view_sigchld(const struct life *life)
{
	static const char *const names[] = {
		[LT_SIG_DFL] = "default",
		[LT_SIG_IGN] = "ignore",
		[LT_SIG_HANDLER] = "handler",
	};
	const struct death *death = life->death;
	json_t *object;

	if (!death || !(life->flags & LT_LIFE_NOTIFY_SEEN) || death->disposition > LT_SIG_HANDLER)
		return json_null();
	object = json_object();
	set(object, "disposition", json_string(names[death->disposition]));
	set(object, "nocldwait", json_boolean(death->sa_flags & SA_NOCLDWAIT));
	set(object, "nocldstop", json_boolean(death->sa_flags & SA_NOCLDSTOP));
	set(object, "blocked", json_boolean(death->notify_flags & LT_NOTIFY_BLOCKED));
	set(object, "coalesced", json_boolean(death->notify_flags & LT_NOTIFY_COALESCED));
	return object;
}

static json_t *view_reap_source(const struct life *life)
{
	static const char *const names[] = {
		[LT_REAP_RELEASE] = "release",
		[LT_REAP_FREE] = "free",
		[LT_REAP_LOOK] = "look",
		[LT_REAP_SCAN] = "scan",
	};

	if (life->state != LT_REAPED || !life->reap_source || life->reap_source > LT_REAP_SCAN)
		return json_null();
	return json_string(names[life->reap_source]);
}

static const char *const state_names[] = {
	[LT_RUNNING] = "running", [LT_STOPPED] = "stopped", [LT_DEAD_LEADER] = "dead-leader",
	[LT_EXITING] = "exiting", [LT_ZOMBIE] = "zombie",   [LT_REAPED] = "reaped",
};

static json_t *view_state(const struct life *life)
{
	return json_string(state_names[life->state]);
}

static json_t *view_states(const struct core_totals *totals)
{
	json_t *object = json_object();

	for (int state = LT_RUNNING; state < LT_REAPED; state++)
		set(object, state_names[state], integer(totals->states[state]));
	return object;
}

static struct lt_id reaper_of(const struct life *life)
{
	if (life->state != LT_REAPED || life->flags & LT_LIFE_AUTOREAPED)
		return (struct lt_id){ 0 };
	return life->kin && life->kin->reaped_by.pid ? life->kin->reaped_by : life->parent_id;
}

static json_t *view_fork_cost(const struct core *core, const struct life *life)
{
	bool sizes = life->flags & LT_LIFE_FORK_SIZES;
	json_t *object = json_object();

	set(object, "duration_ns", when(life->fork_duration_ns));
	set(object, "vfork_wait_ns", when(life->vfork_wait_ns));
	set(object, "rss_bytes", sizes ? integer(life->rss_pages * core->start.page_bytes) : NULL);
	set(object, "pagetable_bytes",
	    sizes ? integer(life->pagetable_kib * (uint64_t)1024) : NULL);
	return object;
}

static json_t *errno_name(uint32_t err)
{
	const char *name = strerrorname_np((int)err);
	char buf[16];

	if (name)
		return json_string(name);
	snprintf(buf, sizeof(buf), "%" PRIu32, err);
	return json_string(buf);
}

static json_t *view_failures(const struct failures *failures)
{
	json_t *object = json_object(), *name;

	for (int i = 0; i < LT_FAILURES && failures->by[i].count; i++) {
		name = failures->by[i].err ? errno_name(failures->by[i].err) : json_string("other");
		set(object, json_string_value(name), integer(failures->by[i].count));
		json_decref(name);
	}
	return object;
}

/* A count that saturated is the largest that JSON can tell. */
static json_t *count(uint64_t n)
{
	return integer(n < INT64_MAX ? n : INT64_MAX);
}

static json_t *view_cow_sum(const struct core *core, struct cow_sum sum)
{
	json_t *object = json_object();

	set(object, "copies", count(sum.copies));
	set(object, "reuses", count(sum.reuses));
	set(object, "bytes", integer(cow_bytes(core, sum.copies)));
	return object;
}

/* A kernel thread has no memory of its own. */
static json_t *view_cow_of(const struct core *core, const struct life *life)
{
	if (life->flags & LT_LIFE_KERNEL || !(life->cow || core->cow_observed))
		return json_null();
	return view_cow_sum(core, cow_of(life));
}

static void set_program(json_t *object, const struct life *life, const struct viewer *viewer)
{
	const struct program *program = life->program;
	bool may_see = may_see_all(viewer, life->uid);

	set(object, "exe",
	    program && program->exe_len ? text_json(program->text, program->exe_len) : NULL);
	set(object, "args", may_see ? view_args(program) : NULL);
	set(object, "args_truncated", json_boolean(program && program->flags & LT_LIFE_ARGS_CUT));
}

static void set_identity(json_t *object, const struct life *life)
{
	set(object, "id", id_text(life->id));
	set(object, "pid", integer(life->id.pid));
}

json_t *view_life(const struct core *core, const struct life *life, const struct viewer *viewer)
{
	static const struct kin no_kin;
	const struct kin *kin = life->kin ? life->kin : &no_kin;
	bool dying = life->state >= LT_EXITING;
	json_t *object = json_object(), *children = json_object();
	json_t *waits = view_waits(core, life->waits);

	if (dying && json_is_object(waits)) /* known by now or not: no call lasts */
		set(waits, "waiting_since_ns", NULL);
	set_identity(object, life);
	set(object, "start_ns", integer(life->id.start_ns));
	set(object, "ns_pid", integer(life->ns_pid));
	set(object, "comm", text(life->comm));
	set_program(object, life, viewer);
	set(object, "uid", integer(life->uid));
	set(object, "ppid", integer(life->parent_id.pid));
	set(object, "parent_id", kin_id(core, viewer, life->parent_id));
	set(object, "parent_comm", kin_comm(core, viewer, life->parent_id));
	set(object, "born_of", kin_id(core, viewer, kin->born_of));
	set(object, "first_parent_id",
	    kin_id(core, viewer, kin->first_parent.pid ? kin->first_parent : life->parent_id));
	set_place(object, life->cgroup);
	set(object, "state", view_state(life));
	set(object, "kernel", json_boolean(life->flags & LT_LIFE_KERNEL));
	set(object, "forked_ns", when(life->forked_ns));
	set(object, "exec_ns", when(life->exec_ns));
	set(object, "exit_called_ns", when(life_rare(life)->exit_called_ns));
	set(object, "exited_ns", dying ? when(life->exited_ns) : NULL);
	set(object, "zombie_ns", dying ? when(life->zombie_ns) : NULL);
	set(object, "reaped_ns", when(life->reaped_ns));
	set(object, "exit", view_exit(life));
	set(object, "reaped_by", kin_id(core, viewer, reaper_of(life)));
	set(object, "adopted_by", kin_id(core, viewer, kin->adopted_by));
	set(object, "orphan", json_boolean(life->flags & LT_LIFE_ORPHAN));
	set(object, "autoreaped", json_boolean(life->flags & LT_LIFE_AUTOREAPED));
	set(object, "inferred", json_boolean(life->flags & LT_LIFE_INFERRED));
	set(object, "tracer", kin_id(core, viewer, kin->tracer));
	set(object, "reap_source", view_reap_source(life));
	set(object, "cow", view_cow_of(core, life));
	set(object, "fork", view_fork_cost(core, life));
	set(object, "fork_failures", view_failures(&life_rare(life)->failures));
	set(children, "alive", integer(life->alive));
	set(children, "zombies", integer(life->zombies));
	set(object, "children", children);
	set(object, "waits", waits);
	return object;
}

static bool is_flagged(const struct life *life)
{
	return life->queue == QUEUE_FLAGGED || life->queue == QUEUE_AGED;
}

/* Of one that was reaped there is no more to be said; nor if its parent is not to be known. */
static void set_cause(json_t *object, const struct core *core, const struct life *life,
		      uint64_t now_ns, const struct viewer *viewer)
{
	struct why why = { .remedy = NULL };
	bool judged = life->state == LT_ZOMBIE && may_know_id(core, viewer, life->parent_id);

	if (judged)
		why_zombie(core, life, now_ns, &why);
	set(object, "cause", judged ? json_string(cause_names[why.cause]) : NULL);
	set(object, "evidence", text(why.evidence));
	set(object, "remedy", text(why.remedy));
	set(object, "clear_now", text(why.clear_now));
}

json_t *view_zombie(const struct core *core, const struct life *life, uint64_t now_ns,
		    const struct viewer *viewer)
{
	json_t *object = view_life(core, life, viewer);
	bool knows_parent = may_know_id(core, viewer, life->parent_id);
	const struct death *death = life->death, *notified = knows_parent ? death : NULL;

	set(object, "age_ms", integer(since(now_ns, life->zombie_ns) / NSEC_PER_MSEC));
	set(object, "flagged", json_boolean(is_flagged(life)));
	set(object, "flagged_ns", death ? when(death->flagged_ns) : NULL);
	set_cause(object, core, life, now_ns, viewer);
	set(object, "parent_waits",
	    life->parent && knows_parent ? view_waits(core, life->parent->waits) : NULL);
	set(object, "parent_waits_at_death",
	    notified ? view_waits(core, &notified->parent_waits) : NULL);
	set(object, "sigchld", knows_parent ? view_sigchld(life) : NULL);
	return object;
}

/* ---- documents ---- */

/* What is left of the rows, as a document. Frees them. */
static json_t *view_rows(struct rows *rows, enum column otherwise, const char *name, view_row_fn fn)
{
	json_t *document = json_object(), *array = json_array();

	rows_cut(rows, otherwise);
	for (size_t i = rows->begin; i < rows->end; i++)
		json_array_append_new(array, rows_narrow(rows, fn(rows, &rows->all[i])));
	set(document, "time_ns", integer(rows->now_ns));
	rows_tell(rows, document);
	set(document, name, array);
	rows_free(rows);
	return document;
}

#define LATELY_LASTED_NS (NSEC_PER_SEC / 2) /* shorter ones nobody has looked at */

static bool wants_life(const struct rows *rows, const struct life *life, uint64_t since_ns)
{
	return filter_life(rows->filter, life) && filter_age(rows->filter, since_ns, rows->now_ns);
}

/* It ended lately, having been there since then. */
static bool ended_lately(const struct rows *rows, const struct life *life, uint64_t since_ns)
{
	return since_ns && since(rows->now_ns, life->reaped_ns) <= rows->filter->lately_ns &&
	       since(life->reaped_ns, since_ns) >= LATELY_LASTED_NS;
}

/* The latest of the reaped come first, and those before them matter no more. */
static const struct life *reaped_before(const struct rows *rows, const struct life *life)
{
	const struct life *first = rows->core->queues[QUEUE_REAPED];
	const struct life *before = !life ? first : life;

	if (!first || life == first || !rows->filter->lately_ns)
		return NULL;
	before = before->prev; /* the first one's is the last */
	return since(rows->now_ns, before->reaped_ns) <= rows->filter->lately_ns ? before : NULL;
}

static json_t *zombie_row(const struct rows *rows, const struct row *row)
{
	return view_zombie(rows->core, row->life, rows->now_ns, rows->viewer);
}

static void gather_zombies(struct rows *rows)
{
	static const enum queue queues[] = { QUEUE_YOUNG, QUEUE_FLAGGED, QUEUE_AGED };
	const struct life *life = NULL;

	while ((life = reaped_before(rows, life)))
		if (ended_lately(rows, life, life->zombie_ns) &&
		    wants_life(rows, life, life->zombie_ns))
			rows_add(rows, life);
	for (size_t i = 0; i < sizeof(queues) / sizeof(queues[0]); i++)
		DL_FOREACH(rows->core->queues[queues[i]], life)
			if (wants_life(rows, life, life->zombie_ns))
				rows_add(rows, life);
}

static bool is_still_zombie(const struct filter *filter, const struct life *life)
{
	return life->state == LT_ZOMBIE || filter->lately_ns;
}

static json_t *process_row(const struct rows *rows, const struct row *row)
{
	json_t *object = view_life(rows->core, row->life, rows->viewer);

	if (rows->filter->tree) { /* how deep, and which lines go on past it */
		set(object, "depth", integer(row->depth));
		set(object, "more_below", integer(row->more_below));
	}
	return object;
}

static bool wants_process(const struct rows *rows, const struct life *life)
{
	return (life->state != LT_REAPED || rows->filter->all ||
		(rows->filter->lately_ns && ended_lately(rows, life, life->id.start_ns))) &&
	       wants_life(rows, life, life->id.start_ns);
}

/* In a tree each row holds the place of those below it. */
static bool is_still_process(const struct filter *filter, const struct life *life)
{
	return life->state != LT_REAPED || filter->all || filter->lately_ns || filter->tree;
}

static void gather_processes(struct rows *rows)
{
	const struct life *life;

	if (rows->filter->tree) {
		rows_add_tree(rows, wants_process);
		return;
	}
	EACH_LIFE(rows->core, life)
		if (wants_process(rows, life))
			rows_add(rows, life);
}

/* ---- who forks most ---- */

static json_t *birth_row(const struct rows *rows, const struct row *row)
{
	json_t *object = view_life(rows->core, row->life, rows->viewer);

	set(object, "births", integer(life_rare(row->life)->births.count));
	set(object, "births_per_s", integer(births_per_second(row->life, rows->now_ns)));
	return object;
}

static void gather_births(struct rows *rows)
{
	const struct life *life;

	EACH_LIFE(rows->core, life)
		if (life_rare(life)->births.count && wants_life(rows, life, life->id.start_ns))
			rows_add(rows, life);
}

/* ---- forks, and what was copied since ---- */

struct fork_row fork_row(const struct fork *fork, uint64_t now_ns)
{
	uint64_t end_ns = fork->ended_ns ? fork->ended_ns : now_ns;
	uint64_t lasted_ns = since(end_ns, fork->child->forked_ns);
	struct fork_row row = { .fork = fork, .child = fork_by_child(fork) };

	row.copied = row.child.copies + fork->by_creator.copies;
	if (row.copied < row.child.copies)
		row.copied = UINT64_MAX;
	row.share = fork->child->rss_pages ? (double)row.copied / (double)fork->child->rss_pages :
					     -1;
	row.rate = lasted_ns ? (double)row.copied * NSEC_PER_SEC / (double)lasted_ns : 0;
	return row;
}

static json_t *real(double value, double unit)
{
	return json_real((double)(uint64_t)(value / unit + 0.5) * unit);
}

static const char *fork_end_name(const struct fork *fork)
{
	if (!fork->ended_ns)
		return NULL;
	return fork->child->exec_ns == fork->ended_ns ? "exec" : "exit";
}

static json_t *view_fork(const struct core *core, const struct fork_row *row,
			 const struct viewer *viewer)
{
	const struct fork *fork = row->fork;
	const struct life *child = fork->child;
	json_t *object = json_object();

	set_identity(object, child);
	set(object, "comm", text(child->comm));
	set_program(object, child, viewer);
	set(object, "state", view_state(child));
	set(object, "ppid", integer(fork->creator_id.pid));
	set(object, "parent_id", kin_id(core, viewer, fork->creator_id));
	set(object, "parent_comm", kin_comm(core, viewer, fork->creator_id));
	set_place(object, child->cgroup);
	set(object, "forked_ns", when(child->forked_ns));
	set(object, "ended_ns", when(fork->ended_ns));
	set(object, "end", text(fork_end_name(fork)));
	set(object, "fork", view_fork_cost(core, child));
	set(object, "shared_pages",
	    child->flags & LT_LIFE_FORK_SIZES ? integer(child->rss_pages) : NULL);
	set(object, "cow", view_cow_sum(core, row->child));
	set(object, "parent_cow", view_cow_sum(core, fork->by_creator));
	set(object, "copied_pages", count(row->copied));
	set(object, "copied_bytes", integer(cow_bytes(core, row->copied)));
	set(object, "copied_share", row->share < 0 ? NULL : real(row->share, 0.0001));
	set(object, "copies_per_s", real(row->rate, 0.1));
	return object;
}

static bool wants_fork(const struct core *core, const struct filter *filter,
		       const struct life *life, uint64_t now_ns)
{
	const struct fork *fork = life->fork;

	if (!fork || !filter_age(filter, life->forked_ns, now_ns) || !filter_fork(filter, life))
		return false;
	return !fork->ended_ns || filter->all || filter->has_pid || fork_is_big(core, fork);
}

static json_t *cow_row(const struct rows *rows, const struct row *row)
{
	struct fork_row fork = fork_row(row->life->fork, rows->now_ns);

	return view_fork(rows->core, &fork, rows->viewer);
}

static void gather_forks(struct rows *rows)
{
	const struct life *life;

	EACH_LIFE(rows->core, life)
		if (wants_fork(rows->core, rows->filter, life, rows->now_ns))
			rows_add(rows, life);
}

static bool is_still_fork(const struct filter *filter, const struct life *life)
{
	(void)filter;
	return life->fork;
}

static void tell_observed(const struct core *core, json_t *document)
{
	set(document, "observed", json_boolean(core->cow_observed));
}

/* ---- views of rows ---- */

enum { ROWS_ZOMBIES, ROWS_PROCESSES, ROWS_BIRTHS, ROWS_FORKS, ROWS_LEAKS };

static const struct rows_view {
	enum view_kind view;
	const char *name;
	enum column otherwise; /* sorted by it by default */
	void (*gather)(struct rows *rows);
	view_row_fn row;
	/* such a row when it is made, pages later; NULL: every life is */
	bool (*is_still)(const struct filter *filter, const struct life *life);
	void (*tell)(const struct core *core, json_t *document); /* what follows the rows */
} rows_views[] = {
	[ROWS_ZOMBIES] = { VIEW_ZOMBIES, "zombies", COLUMN_ZOMBIE_FOR, gather_zombies, zombie_row,
			   is_still_zombie, NULL },
	[ROWS_PROCESSES] = { VIEW_PROCESSES, "processes", COLUMN_AGE, gather_processes, process_row,
			     is_still_process, NULL },
	[ROWS_BIRTHS] = { VIEW_BIRTHS, "births", COLUMN_PER_SECOND, gather_births, birth_row, NULL,
			  NULL },
	[ROWS_FORKS] = { VIEW_COW, "forks", COLUMN_COPIED, gather_forks, cow_row, is_still_fork,
			 tell_observed },
	[ROWS_LEAKS] = { VIEW_LEAKS, "leaks", COLUMN_HOLDS, gather_leaks, leak_row, is_still_leak,
			 NULL },
};

static const struct rows_view *find_rows_view(enum view_kind kind)
{
	for (size_t i = 0; i < sizeof(rows_views) / sizeof(rows_views[0]); i++)
		if (rows_views[i].view == kind)
			return &rows_views[i];
	return NULL;
}

static json_t *view_whole(const struct rows_view *view, const struct core *core, uint64_t now_ns,
			  const struct filter *filter, const struct viewer *viewer)
{
	struct rows rows = { .core = core, .now_ns = now_ns, .filter = filter, .viewer = viewer };
	json_t *document;

	view->gather(&rows);
	document = view_rows(&rows, view->otherwise, view->name, view->row);
	if (view->tell)
		view->tell(core, document);
	return document;
}

json_t *view_zombies(const struct core *core, uint64_t now_ns, const struct filter *filter,
		     const struct viewer *viewer)
{
	return view_whole(&rows_views[ROWS_ZOMBIES], core, now_ns, filter, viewer);
}

json_t *view_processes(const struct core *core, uint64_t now_ns, const struct filter *filter,
		       const struct viewer *viewer)
{
	return view_whole(&rows_views[ROWS_PROCESSES], core, now_ns, filter, viewer);
}

json_t *view_births(const struct core *core, uint64_t now_ns, const struct filter *filter,
		    const struct viewer *viewer)
{
	return view_whole(&rows_views[ROWS_BIRTHS], core, now_ns, filter, viewer);
}

json_t *view_cow(const struct core *core, uint64_t now_ns, const struct filter *filter,
		 const struct viewer *viewer)
{
	return view_whole(&rows_views[ROWS_FORKS], core, now_ns, filter, viewer);
}

json_t *view_leaks(const struct core *core, uint64_t now_ns, const struct filter *filter,
		   const struct viewer *viewer)
{
	return view_whole(&rows_views[ROWS_LEAKS], core, now_ns, filter, viewer);
}

/* ---- the same, in pieces ---- */

struct page_row {
	struct lt_id id;
	uint64_t more_below;
	uint32_t depth;
};

struct view_pages {
	const struct rows_view *view;
	const struct core *core;
	struct filter filter;
	struct viewer viewer;
	uint64_t now_ns;
	struct page_row *rows;
	size_t next, count;
	bool comma, ended;
	char *text; /* made, and not read yet: from begin to used */
	size_t begin, used;
};

/* The document without its rows, up to where they begin. */
static int pages_make_head(struct view_pages *pages, const struct rows *rows)
{
	json_t *document = json_object();
	size_t len, size;
	char *head;

	set(document, "time_ns", integer(rows->now_ns));
	rows_tell(rows, document);
	head = view_text(document, &len); /* ends in "}\n" */
	json_decref(document);
	size = len + strlen(pages->view->name) + sizeof(",\"\":[");
	pages->text = head ? malloc(size) : NULL;
	if (pages->text)
		pages->used = (size_t)snprintf(pages->text, size, "%.*s,\"%s\":[", (int)len - 2,
					       head, pages->view->name);
	free(head);
	return pages->text ? 0 : -1;
}

static int pages_keep_ids(struct view_pages *pages, const struct rows *rows)
{
	pages->count = rows->end - rows->begin;
	pages->rows = calloc(pages->count + 1, sizeof(*pages->rows));
	if (!pages->rows)
		return -1;
	for (size_t i = 0; i < pages->count; i++) {
		const struct row *row = &rows->all[rows->begin + i];

		pages->rows[i] = (struct page_row){ row->life->id, row->more_below, row->depth };
	}
	return 0;
}

struct view_pages *view_pages_new(enum view_kind kind, const struct core *core, uint64_t now_ns,
				  const struct filter *filter, const struct viewer *viewer)
{
	struct rows rows = { .core = core, .now_ns = now_ns, .filter = filter, .viewer = viewer };
	const struct rows_view *view = find_rows_view(kind);
	struct view_pages *pages = view ? calloc(1, sizeof(*pages)) : NULL;

	if (!pages)
		return NULL;
	*pages = (struct view_pages){
		.view = view, .core = core, .filter = *filter, .viewer = *viewer, .now_ns = now_ns
	};
	view->gather(&rows);
	rows_cut(&rows, view->otherwise);
	if (pages_make_head(pages, &rows) || pages_keep_ids(pages, &rows)) {
		view_pages_free(pages);
		pages = NULL;
	}
	rows_free(&rows);
	return pages;
}

/* What follows the last row: "]}\n", or "],", the document's other members and "}\n". */
static bool pages_make_end(struct view_pages *pages)
{
	json_t *document = json_object();
	size_t len = 0, size;
	char *rest;

	if (pages->view->tell)
		pages->view->tell(pages->core, document);
	rest = view_text(document, &len); /* begins with '{' */
	size = len + sizeof("],");
	pages->text = rest ? malloc(size) : NULL;
	if (pages->text)
		pages->used = (size_t)snprintf(pages->text, size, "]%s%s",
					       json_object_size(document) ? "," : "", rest + 1);
	json_decref(document);
	free(rest);
	pages->ended = true;
	return pages->text;
}

/* Who was forgotten since, or is no such row any more, is left out. */
static bool pages_next_row(struct view_pages *pages, struct row *row)
{
	while (pages->next < pages->count) {
		const struct page_row *page_row = &pages->rows[pages->next++];

		*row = (struct row){ .life = life_find(pages->core, page_row->id),
				     .more_below = page_row->more_below,
				     .depth = page_row->depth };
		if (row->life &&
		    (!pages->view->is_still || pages->view->is_still(&pages->filter, row->life)))
			return true;
	}
	return false;
}

/* The next row, or the end; false without memory. */
static bool pages_make(struct view_pages *pages)
{
	struct rows rows = { .core = pages->core,
			     .now_ns = pages->now_ns,
			     .filter = &pages->filter,
			     .viewer = &pages->viewer };
	struct row row;
	json_t *object;

	free(pages->text);
	pages->text = NULL;
	pages->begin = pages->used = 0;
	if (!pages_next_row(pages, &row))
		return pages_make_end(pages);
	object = rows_narrow(&rows, pages->view->row(&rows, &row));
	pages->text = view_text(object, &pages->used);
	json_decref(object);
	if (!pages->text)
		return false;
	if (pages->comma) { /* before it, in place of the line's end */
		memmove(pages->text + 1, pages->text, pages->used - 1);
		pages->text[0] = ',';
	} else {
		pages->used--;
	}
	pages->comma = true;
	return true;
}

int64_t view_pages_read(struct view_pages *pages, char *buf, size_t size)
{
	size_t len, done = 0;

	while (done < size) {
		if (pages->begin == pages->used) {
			if (pages->ended)
				break;
			if (!pages_make(pages))
				return -1;
		}
		len = pages->used - pages->begin;
		len = len < size - done ? len : size - done;
		memcpy(buf + done, pages->text + pages->begin, len);
		pages->begin += len;
		done += len;
	}
	return (int64_t)done;
}

void view_pages_free(struct view_pages *pages)
{
	if (!pages)
		return;
	free(pages->text);
	free(pages->rows);
	free(pages);
}

/* ---- status ---- */

/* The kernel's kinds by name, with what the array counts. */
static json_t *view_kinds(const __u64 counts[LT_KERNEL_KINDS], bool all)
{
	json_t *object = json_object();

	for (unsigned kind = 0; kind < LT_KERNEL_KINDS; kind++)
		if (core_kind_name(kind) && (all || counts[kind]))
			set(object, core_kind_name(kind), integer(counts[kind]));
	return object;
}

static json_t *view_hooks(const struct core *core)
{
	json_t *object = json_object();

	for (int i = 0; i < HOOKS_MAX && core->hooks[i].what; i++)
		set(object, core->hooks[i].what, text(core->hooks[i].value));
	return object;
}

json_t *view_status(const struct core *core, uint64_t now_ns)
{
	struct core_totals totals = core_totals(core);
	struct cow_sum cow = { totals.cow_copies, totals.cow_reuses };
	json_t *object = json_object();

	set(object, "version", json_string(LIFETRACE_VERSION));
	set(object, "time_ns", integer(now_ns));
	set(object, "uptime_s", integer(since(now_ns, core->start.started_ns) / NSEC_PER_SEC));
	set(object, "boot_realtime_ns", integer(core->start.boot_realtime_ns));
	set(object, "events", view_kinds(core->sent, true));
	set(object, "lost", view_kinds(totals.lost, true));
	set(object, "bad_records", integer(totals.bad_records));
	set(object, "repairs", integer(totals.repairs));
	set(object, "refused", integer(totals.refused));
	set(object, "forks", integer(totals.forks));
	set(object, "fork_failures", view_failures(&core->failures));
	set(object, "threads", integer(core->sent[LT_THREAD]));
	set(object, "execs", integer(totals.execs));
	set(object, "exits", integer(totals.exits));
	set(object, "reaps", integer(totals.reaps));
	set(object, "processes", integer(totals.processes));
	set(object, "states", view_states(&totals));
	set(object, "zombies", integer(totals.zombies));
	set(object, "flagged", integer(totals.flagged));
	set(object, "leaks", integer(totals.leaks));
	set(object, "cow", core->cow_observed ? view_cow_sum(core, cow) : NULL);
	set(object, "memory_bytes", integer(totals.memory_bytes));
	set(object, "ring_bytes", integer(core->start.ring_bytes));
	set(object, "hooks", view_hooks(core));
	return object;
}

/* ---- lines of tail: what each kind adds ---- */

struct line {
	const struct core *core;
	const struct change *change;
	const struct life *life;
	const struct viewer *viewer;
	json_t *object;
};

static void set_parent(const struct line *line)
{
	set(line->object, "parent_id", kin_id(line->core, line->viewer, line->life->parent_id));
	set(line->object, "parent_comm", kin_comm(line->core, line->viewer, line->life->parent_id));
}

static void line_FORK(const struct line *line)
{
	const struct lt_fork *e = (const void *)line->change->record;
	bool other = !id_is(e->creator, e->parent);

	set(line->object, "parent_id", kin_id(line->core, line->viewer, e->parent));
	set(line->object, "parent_comm", kin_comm(line->core, line->viewer, e->parent));
	set(line->object, "parent_tid", other ? NULL : integer(e->creator_tid));
	set(line->object, "born_of", other ? kin_id(line->core, line->viewer, e->creator) : NULL);
	set(line->object, "ns_pid", integer(e->ns_pid));
	set(line->object, "parent_level_pid", integer(e->parent_level_pid));
	set(line->object, "clone_flags", text_clone_flags(e->clone_flags));
	set(line->object, "exit_signal", signal_name(e->exit_signal));
	set(line->object, "uid", integer(e->uid));
	set(line->object, "kernel", json_boolean(e->flags & LT_FORK_KERNEL));
	set_place(line->object, line->life->cgroup);
	set(line->object, "fork", view_fork_cost(line->core, line->life));
}

static void line_FORK_FAIL(const struct line *line)
{
	const struct lt_fork_fail *e = (const void *)line->change->record;

	set(line->object, "errno", errno_name(e->err));
	set(line->object, "tid", integer(e->tid));
	set(line->object, "clone_flags", text_clone_flags(e->clone_flags));
	set(line->object, "duration_ns", integer(e->duration_ns));
	set_place(line->object, line->life->cgroup);
}

static void line_EXEC(const struct line *line)
{
	const struct lt_exec *e = (const void *)line->change->record;

	set_program(line->object, line->life, line->viewer);
	set(line->object, "comm_before", text(line->change->comm_before));
	set(line->object, "exec_ns", when(line->life->exec_ns));
	set(line->object, "by_tid", integer(e->old_tid));
	set(line->object, "uid", integer(e->uid));
}

static void line_EXIT(const struct line *line)
{
	set(line->object, "exit", view_exit(line->life));
	set(line->object, "exit_called_ns", when(life_rare(line->life)->exit_called_ns));
	set(line->object, "exited_ns", when(line->life->exited_ns));
	set(line->object, "cow", view_cow_of(line->core, line->life));
}

static void line_ZOMBIE(const struct line *line)
{
	set(line->object, "exit", view_exit(line->life));
	set(line->object, "zombie_ns", when(line->life->zombie_ns));
	set_parent(line);
	set(line->object, "sigchld", view_sigchld(line->life));
	set(line->object, "tracer",
	    line->life->kin ? kin_id(line->core, line->viewer, line->life->kin->tracer) : NULL);
	set(line->object, "parent_waits",
	    line->life->death ? view_waits(line->core, &line->life->death->parent_waits) : NULL);
	set(line->object, "inferred", json_boolean(line->life->flags & LT_LIFE_INFERRED));
}

static void line_FLAGGED(const struct line *line)
{
	set(line->object, "zombie_ns", when(line->life->zombie_ns));
	set(line->object, "flagged_ns", when(line->change->time_ns));
	set(line->object, "age_ms",
	    integer(since(line->change->time_ns, line->life->zombie_ns) / NSEC_PER_MSEC));
	set_parent(line);
}

static void line_REAP(const struct line *line)
{
	struct lt_id by = reaper_of(line->life);

	set(line->object, "reaped_by", kin_id(line->core, line->viewer, by));
	set(line->object, "reaped_by_comm", kin_comm(line->core, line->viewer, by));
	set(line->object, "reaped_ns", when(line->life->reaped_ns));
	set(line->object, "reap_source", view_reap_source(line->life));
	set(line->object, "inferred", json_boolean(line->life->flags & LT_LIFE_INFERRED));
}

static void line_AUTOREAP(const struct line *line)
{
	set(line->object, "exit", view_exit(line->life));
	set(line->object, "reaped_ns", when(line->life->reaped_ns));
	set(line->object, "reap_source", view_reap_source(line->life));
}

static void line_ORPHAN(const struct line *line)
{
	struct lt_id was = line->change->was_parent;

	set(line->object, "was_parent_id", kin_id(line->core, line->viewer, was));
	set(line->object, "was_parent_comm", kin_comm(line->core, line->viewer, was));
	set(line->object, "adopted_by", kin_id(line->core, line->viewer, line->life->parent_id));
	set(line->object, "adopted_by_comm",
	    kin_comm(line->core, line->viewer, line->life->parent_id));
}

static void line_STOP(const struct line *line)
{
	const struct lt_stop *e = (const void *)line->change->record;
	bool told = e && e->hdr.kind == LT_STOP;

	set(line->object, "signal", told ? signal_name((int)e->signal) : NULL);
	set(line->object, "seen_by_parent", told ? json_boolean(e->flags & LT_STOP_SEEN) : NULL);
}

static void line_CONTINUE(const struct line *line)
{
	(void)line;
}

static json_t *view_call(const struct lt_wait_call *e)
{
	bool failed = e->result < 0 && e->outcome != LT_WAIT_RESTARTED;
	json_t *object = json_object();

	set(object, "call", view_wait_call(e->call));
	set(object, "which", view_wait_which(e->which));
	set(object, "pid", json_integer(e->pid));
	set(object, "options", text_wait_options(e->options));
	set(object, "tid", integer(e->tid));
	set(object, "result",
	    e->outcome < LT_WAIT_OUTCOMES ? json_string(outcome_names[e->outcome]) : NULL);
	set(object, "child_pid", e->result > 0 ? integer((uint64_t)e->result) : NULL);
	set(object, "errno", failed ? errno_name((uint32_t)-e->result) : NULL);
	set(object, "restarts", integer(e->restarts));
	set(object, "began_ns", integer(e->began_ns));
	set(object, "blocked_ns", integer(since(e->hdr.time_ns, e->began_ns)));
	return object;
}

static void line_WAIT(const struct line *line)
{
	const struct lt_hdr *record = line->change->record;
	bool one = record->kind == LT_WAIT_CALL;

	set(line->object, "waits",
	    one ? NULL :
		  view_waits(line->core, &((const struct lt_wait *)(const void *)record)->waits));
	set(line->object, "call", one ? view_call((const void *)record) : NULL);
}

static void line_COW(const struct line *line)
{
	set(line->object, "cow", view_cow_of(line->core, line->life));
}

static void line_COW_FAULT(const struct line *line)
{
	const struct lt_cow_fault *e = (const void *)line->change->record;
	char address[32];

	snprintf(address, sizeof(address), "0x%" PRIx64, (uint64_t)e->address);
	set(line->object, "tid", integer(e->tid));
	set(line->object, "address", json_string(address));
	set(line->object, "result", json_string(e->result == LT_COW_COPY ? "copy" : "reuse"));
	set(line->object, "begin_ns", integer(e->begin_ns));
	set(line->object, "duration_ns", when(e->duration_ns));
}

static void line_LEAK_OPEN(const struct line *line)
{
	const struct life *child;
	uint64_t oldest_ns = line->change->time_ns;

	DL_FOREACH2(line->life->children, child, sibling_next)
		if (child->state == LT_ZOMBIE && child->zombie_ns < oldest_ns)
			oldest_ns = child->zombie_ns;
	set(line->object, "since_ns", when(line->life->leak ? line->life->leak->since_ns : 0));
	set(line->object, "zombies", integer(line->life->zombies));
	set(line->object, "flagged", integer(line->life->leak ? line->life->leak->flagged : 0));
	set(line->object, "oldest_ms",
	    integer(since(line->change->time_ns, oldest_ns) / NSEC_PER_MSEC));
	set(line->object, "unit", line->life->cgroup ? text(line->life->cgroup->unit) : NULL);
	set(line->object, "container",
	    line->life->cgroup ? text(line->life->cgroup->container) : NULL);
	set(line->object, "reason", text(line->change->reason));
}

static void line_LEAK_CLOSE(const struct line *line)
{
	line_LEAK_OPEN(line);
}

static void line_LOST(const struct line *line)
{
	const struct lt_counts *e = (const void *)line->change->record;

	set(line->object, "lost", view_kinds(e->count, false));
}

static void line_ALERT(const struct line *line)
{
	view_alert(line->object, line->core, line->change->alert, line->life, line->change->time_ns,
		   line->viewer);
}

bool view_shows(const struct change *change, const struct viewer *viewer)
{
	return !change->life || may_know(viewer, change->life->uid);
}

json_t *view_change(const struct core *core, const struct change *change,
		    const struct viewer *viewer)
{
	static void (*const more[CHANGE_KINDS])(const struct line *) = {
#define X(NAME, name) [CHANGE_##NAME] = line_##NAME,
		LT_CHANGES(X)
#undef X
	};
	const struct life *life = change->life;
	struct line line = { core, change, life, viewer, json_object() };

	set(line.object, "time_ns", integer(change->time_ns));
	set(line.object, "kind", json_string(change_names[change->kind]));
	set(line.object, "id", life ? id_text(life->id) : NULL);
	set(line.object, "pid", life ? integer(life->id.pid) : NULL);
	set(line.object, "ppid", life ? integer(life->parent_id.pid) : NULL);
	set(line.object, "comm", life ? text(life->comm) : NULL);
	more[change->kind](&line);
	return line.object;
}

/*
 * DEL and the C1 controls are valid in JSON as they are, and would move a
 * terminal's cursor: they are escaped like the other controls.
 */
static char *escape_controls(char *text, size_t *len)
{
	char *escaped = malloc(*len * 6 + 1), *out = escaped;

	if (!escaped)
		return text;
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p == 0x7f)
			out += sprintf(out, "\\u007f");
		else if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f)
			out += sprintf(out, "\\u%04x", *++p);
		else
			*out++ = (char)*p;
	}
	*out = '\0';
	*len = (size_t)(out - escaped);
	free(text);
	return escaped;
}

/* A growing text; data NULL: out of memory. */
struct text_buffer {
	char *data;
	size_t used, room;
};

static int append(const char *bytes, size_t len, void *user)
{
	struct text_buffer *buffer = user;
	char *bigger;

	if (buffer->used + len > buffer->room) {
		while (buffer->used + len > buffer->room)
			buffer->room *= 2;
		bigger = realloc(buffer->data, buffer->room);
		if (!bigger)
			return -1;
		buffer->data = bigger;
	}
	memcpy(buffer->data + buffer->used, bytes, len);
	buffer->used += len;
	return 0;
}

char *view_text(const json_t *json, size_t *len)
{
	struct text_buffer buffer = { .data = malloc(1024), .room = 1024 };

	if (!buffer.data || json_dump_callback(json, append, &buffer, JSON_COMPACT) ||
	    append("\n", 2, &buffer)) { /* and its NUL */
		free(buffer.data);
		return NULL;
	}
	*len = buffer.used - 1;
	if (strpbrk(buffer.data, "\x7f\xc2"))
		return escape_controls(buffer.data, len);
	return buffer.data;
}
