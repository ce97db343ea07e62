// SPDX-License-Identifier: GPL-2.0-only
/* One process, and why it is as it is. */
#include <signal.h>

#include "parts.h"
#include "why.h"

/* Who it is, as far as that is known. */
static json_t *view_who(const struct core *core, const struct viewer *viewer, struct lt_id id)
{
	const struct life *life = id.pid ? life_find(core, id) : NULL;
	const struct cgroup_info *cgroup = life ? life->cgroup : NULL;
	json_t *object;

	if (!id.pid || !may_know_id(core, viewer, id))
		return json_null();
	object = json_object();
	set(object, "id", id_text(id));
	set(object, "pid", integer(id.pid));
	set(object, "comm", life ? text(life->comm) : NULL);
	set(object, "unit", cgroup ? text(cgroup->unit) : NULL);
	set(object, "container", cgroup ? text(cgroup->container) : NULL);
	set(object, "exit", life ? view_exit(life) : NULL);
	set(object, "exited_ns", life && life->state >= LT_EXITING ? when(life->exited_ns) : NULL);
	return object;
}

static json_t *view_rate(uint64_t count, uint64_t ns)
{
	double rate = ns ? (double)count * NSEC_PER_SEC / (double)ns : 0;

	return json_real((double)(uint64_t)(rate * 100 + 0.5) / 100);
}

static json_t *view_reaping(const struct life *life, uint64_t now_ns)
{
	const struct lt_reaping *facts = life_reaping(life) ? &life_reaping(life)->facts : NULL;
	const struct lt_reap_mark *mark;
	json_t *object, *rates;
	uint64_t ns;

	if (!facts)
		return json_null();
	mark = reaping_mark(facts, now_ns);
	ns = since(now_ns, mark->ns);
	object = json_object();
	set(object, "since_ns", integer(facts->since_ns));
	set(object, "born", integer(facts->born));
	set(object, "died", integer(facts->died));
	set(object, "coalesced", integer(facts->coalesced));
	set(object, "reaped", integer(facts->reaped));
	set(object, "last_reaped_ns", when(facts->last_reaped_ns));
	set(object, "median_ns", when(reaping_quantile(facts, 500)));
	set(object, "p99_ns", when(reaping_quantile(facts, 990)));
	set(object, "slowest_ns", when(facts->slowest_ns));
	set(object, "late", json_boolean(facts->late_reaps));
	rates = json_object();
	set(rates, "born", view_rate(facts->born - mark->born, ns));
	set(rates, "died", view_rate(facts->died - mark->died, ns));
	set(rates, "reaped", view_rate(facts->reaped - mark->reaped, ns));
	set(object, "per_second", rates);
	return object;
}

static json_t *view_thread(const struct lt_thread *thread, bool in_full)
{
	char state[2] = { (char)thread->state, '\0' };
	json_t *object = json_object();

	set(object, "tid", integer(thread->tid));
	set(object, "state", text(state));
	set(object, "wchan",
	    in_full && *thread->wchan ?
		    text_json(thread->wchan, strnlen(thread->wchan, sizeof(thread->wchan))) :
		    NULL);
	set(object, "waits", json_boolean(thread->flags & LT_THREAD_WAITS));
	set(object, "sigchld_blocked", json_boolean(thread->flags & LT_THREAD_BLOCKS_SIGCHLD));
	return object;
}

/* What they wait in only root and the process's own user may see, as in /proc. */
static json_t *view_tasks(const struct life *life, const struct viewer *viewer)
{
	const struct lt_tasks *tasks = life_reaping(life) ? life_reaping(life)->tasks : NULL;
	const uint64_t sigchld = UINT64_C(1) << (SIGCHLD - 1);
	json_t *object, *array;

	if (!tasks)
		return json_null();
	object = json_object();
	set(object, "read_ns", integer(life_reaping(life)->tasks_ns));
	set(object, "threads", integer(tasks->threads));
	set(object, "looked_at", integer(tasks->looked));
	set(object, "running", integer(tasks->running));
	set(object, "sleeping", integer(tasks->sleeping));
	set(object, "uninterruptible", integer(tasks->uninterruptible));
	set(object, "stopped", integer(tasks->stopped));
	set(object, "traced", integer(tasks->traced));
	set(object, "waiting", integer(tasks->waiting));
	set(object, "frozen", json_boolean(tasks->flags & LT_TASKS_FROZEN));
	set(object, "io_uring", json_boolean(tasks->flags & LT_TASKS_IO_URING));
	set(object, "sigchld_pending", json_boolean(tasks->sig_pending & sigchld));
	set(object, "sigchld_ignored", json_boolean(tasks->sig_ignored & sigchld));
	set(object, "sigchld_caught", json_boolean(tasks->sig_caught & sigchld));
	array = json_array();
	for (uint32_t i = 0; i < tasks->told; i++)
		json_array_append_new(array, view_thread(&tasks->thread[i],
							 may_see_all(viewer, life->uid)));
	set(object, "thread", array);
	return object;
}

/* What became of its first parent, and who took it. */
static json_t *view_orphan(const struct core *core, const struct viewer *viewer,
			   const struct life *life)
{
	const struct kin *kin = life->kin;
	json_t *object;

	if (!(life->flags & LT_LIFE_ORPHAN) || !kin)
		return json_null();
	object = json_object();
	set(object, "first_parent", view_who(core, viewer, kin->first_parent));
	set(object, "adopted_by", view_who(core, viewer, kin->adopted_by));
	return object;
}

/* Its zombies, by what keeps them. */
static json_t *view_holds(const struct core *core, const struct life *life, uint64_t now_ns)
{
	json_t *object = json_object();
	const struct life *child;
	uint64_t counts[CAUSES] = { 0 };

	DL_FOREACH2(life->children, child, sibling_next)
		if (child->state == LT_ZOMBIE)
			counts[why_cause(core, child, now_ns)]++;
	for (int i = 0; i < CAUSES; i++)
		if (counts[i])
			set(object, cause_names[i], integer(counts[i]));
	return object;
}

static void set_why(json_t *document, const struct core *core, const struct life *zombie,
		    uint64_t now_ns)
{
	struct why why;

	why_zombie(core, zombie, now_ns, &why);
	set(document, "cause", json_string(cause_names[why.cause]));
	set(document, "evidence", text(why.evidence));
	set(document, "remedy", text(why.remedy));
	set(document, "clear_now", text(why.clear_now));
	set(document, "watched_ms", integer(why.watched_ns / NSEC_PER_MSEC));
	set(document, "enough", json_boolean(why.enough));
	set(document, "calls_since_death", view_waits(core, &why.calls));
}

static void set_no_why(json_t *document)
{
	static const char *const names[] = { "cause",	  "evidence",	"remedy",
					     "clear_now", "watched_ms", "calls_since_death" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		set(document, names[i], NULL);
	set(document, "enough", json_true());
}

json_t *view_why(const struct core *core, uint64_t now_ns, uint64_t pid,
		 const struct viewer *viewer)
{
	const struct life *life = life_of_pid(core, pid), *parent;
	bool zombie = life && life->state == LT_ZOMBIE, hidden;
	json_t *document, *rows = json_array();

	if (!life || !may_know(viewer, life->uid)) {
		json_decref(rows);
		return NULL;
	}
	parent = zombie ? life->parent : life; /* whose doings are told */
	hidden = parent && !may_know(viewer, parent->uid);
	if (hidden)
		parent = NULL;
	document = json_object();
	set(document, "time_ns", integer(now_ns));
	set(document, "pid", integer(pid));
	set(document, "id", id_text(life->id));
	if (zombie && !hidden)
		set_why(document, core, life, now_ns);
	else
		set_no_why(document);
	set(document, "parent", view_who(core, viewer, life->parent_id));
	set(document, "orphan", view_orphan(core, viewer, life));
	set(document, "reaping", parent ? view_reaping(parent, now_ns) : NULL);
	set(document, "tasks", parent ? view_tasks(parent, viewer) : NULL);
	set(document, "adopter",
	    parent && life_reaping(parent) ?
		    view_who(core, viewer, life_reaping(parent)->facts.adopter) :
		    NULL);
	set(document, "holds", parent ? view_holds(core, parent, now_ns) : NULL);
	json_array_append_new(rows, zombie ? view_zombie(core, life, now_ns, viewer) :
					     view_life(core, life, viewer));
	set(document, zombie ? "zombies" : "processes", rows);
	return document;
}
