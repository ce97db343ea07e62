// SPDX-License-Identifier: GPL-2.0-only
/* Parents that leak, as JSON. */
#include "view.h"

#include <stdlib.h>

#include "parts.h"
#include "rows.h"
#include "why.h"

/* One decimal; what is less than that is nothing. */
static json_t *rate_json(double per_minute)
{
	double tenths = per_minute * 10;

	return json_real((double)(int64_t)(tenths + (tenths < 0 ? -0.5 : 0.5)) / 10);
}

/*
 * "pids.max of /system.slice/x.service", "RLIMIT_NPROC of uid 1000", "kernel.pid_max",
 * "kernel.pid_max of the pid namespace of 4711"
 */
static json_t *limit_json(const struct leak *leak)
{
	const char *name = leak_limit_name(leak);
	char words[LT_TEXT_MAX];

	if (leak->limits->nearest == LT_LIMIT_NPROC)
		snprintf(words, sizeof(words), "%s of uid %" PRIu32, name, leak->parent->uid);
	else if (leak->limits->pid_ns_init)
		snprintf(words, sizeof(words), "%s of the pid namespace of %" PRIu32, name,
			 leak->limits->pid_ns_init);
	else if (leak->limits->path)
		snprintf(words, sizeof(words), "%s of %s", name, leak->limits->path);
	else
		snprintf(words, sizeof(words), "%s", name);
	return text(words);
}

static void set_limit(json_t *object, const struct leak *leak, double rate_per_s)
{
	uint64_t left;
	bool known = leak_pids_left(leak, &left);

	set(object, "pids_left", known ? integer(left) : NULL);
	set(object, "limit", known ? limit_json(leak) : NULL);
	set(object, "exhausted_in_s",
	    known && rate_per_s > 0 ? integer((uint64_t)((double)left / rate_per_s)) : NULL);
}

const struct life *leak_witness(const struct core *core, const struct leak *leak, uint64_t now_ns)
{
	const struct life *oldest[CAUSES] = { 0 }, *child, *witness = NULL;
	uint32_t counts[CAUSES] = { 0 }, most = 0;

	DL_FOREACH2(leak->parent->children, child, sibling_next) {
		enum cause cause;

		if (child->state != LT_ZOMBIE)
			continue;
		cause = why_cause(core, child, now_ns);
		counts[cause]++;
		if (!oldest[cause] || child->zombie_ns < oldest[cause]->zombie_ns)
			oldest[cause] = child;
	}
	for (int i = 0; i < CAUSES; i++) {
		if (counts[i] > most) {
			most = counts[i];
			witness = oldest[i];
		}
	}
	return witness;
}

static void set_why(json_t *object, const struct core *core, const struct leak *leak,
		    uint64_t now_ns)
{
	const struct life *witness = leak_witness(core, leak, now_ns);
	struct why why = { 0 };

	if (witness)
		why_zombie(core, witness, now_ns, &why);
	set(object, "cause", witness ? json_string(cause_names[why.cause]) : NULL);
	set(object, "evidence", text(why.evidence));
	set(object, "remedy", text(why.remedy));
	set(object, "clear_now", text(why.clear_now));
}

json_t *leak_row(const struct rows *rows, const struct row *row)
{
	const struct life *parent = row->life;
	const struct leak *leak = parent->leak;
	const struct cgroup_info *cgroup = parent->cgroup;
	const struct silence *silence = silence_of(rows->core, parent);
	struct leak_age age = leak_age(leak);
	double rate_per_s = leak_rate_per_s(leak, &age, rows->now_ns);
	json_t *object = json_object();

	set(object, "parent_id", id_text(parent->id));
	set(object, "pid", integer(parent->id.pid));
	set(object, "comm", text(parent->comm));
	set(object, "unit", cgroup ? text(cgroup->unit) : NULL);
	set(object, "container", cgroup ? text(cgroup->container) : NULL);
	set_names(object, cgroup);
	set(object, "zombies", integer(parent->zombies));
	set(object, "oldest_ms",
	    parent->zombies ? integer(since(rows->now_ns, age.oldest_ns) / NSEC_PER_MSEC) : NULL);
	set(object, "rate_per_minute", rate_json(rate_per_s * 60));
	set_why(object, rows->core, leak, rows->now_ns);
	set_limit(object, leak, rate_per_s);
	set(object, "since_ns", when(leak->since_ns));
	set(object, "stacks", NULL);
	set(object, "silenced_until_ns", silence ? integer(silence->until_ns) : NULL);
	return object;
}

static bool wants_leak(const struct rows *rows, const struct leak *leak)
{
	return leak->since_ns && leak->parent->zombies >= rows->filter->min &&
	       filter_life(rows->filter, leak->parent) &&
	       filter_age(rows->filter, leak_age(leak).oldest_ns, rows->now_ns);
}

void gather_leaks(struct rows *rows)
{
	const struct leak *leak;

	EACH_LEAK(rows->core, leak)
		if (wants_leak(rows, leak))
			rows_add(rows, leak->parent);
}

bool is_still_leak(const struct filter *filter, const struct life *life)
{
	(void)filter;
	return life->leak && life->leak->since_ns;
}

json_t *view_silences(const struct core *core, uint64_t now_ns, const struct viewer *viewer)
{
	static const char *const kinds[] = {
		[LT_SILENCE_UNIT] = "unit", [LT_SILENCE_COMM] = "comm", [LT_SILENCE_PID] = "pid"
	};
	json_t *document = json_object(), *array = json_array(), *object;
	const struct silence *silence;

	DL_FOREACH(core->silences, silence) {
		if (viewer->own_only) /* whom they are of is not told */
			break;
		object = json_object();
		set(object, "what", text(silence->text));
		set(object, "kind",
		    silence->kind <= LT_SILENCE_PID ? json_string(kinds[silence->kind]) : NULL);
		set(object, "id", id_text(silence->id));
		set(object, "until_ns", integer(silence->until_ns));
		json_array_append_new(array, object);
	}
	set(document, "time_ns", integer(now_ns));
	set(document, "silences", array);
	return document;
}
