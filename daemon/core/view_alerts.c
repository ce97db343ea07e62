// SPDX-License-Identifier: GPL-2.0-only
/* Alerts as JSON: all that whoever is called needs to know. */
#include <stdlib.h>

#include "alerts.h"
#include "parts.h"
#include "why.h"

static const char *const severities[ALERT_KINDS] = {
#define X(NAME, name, severity, remedy) [ALERT_##NAME] = severity,
	LT_ALERT_KINDS(X)
#undef X
};

static const char *const remedies[ALERT_KINDS] = {
#define X(NAME, name, severity, remedy) [ALERT_##NAME] = remedy,
	LT_ALERT_KINDS(X)
#undef X
};

/* Whose cause and remedy are those of a parent that does not reap. */
static const bool is_of_zombies[ALERT_KINDS] = {
	[ALERT_LEAK] = true, [ALERT_PIDS] = true, [ALERT_FLAGGED] = true
};

/* What tells an alert from all others of this host, from its begin to its end. */
static json_t *key_of(enum alert_kind kind, const struct life *life)
{
	char buf[TEXT_ID_SIZE + 16];

	if (!life)
		return json_string(alert_names[kind]);
	snprintf(buf, sizeof(buf), "%s:%" PRIu64 "-%" PRIu64, alert_names[kind],
		 (uint64_t)life->id.pid, (uint64_t)life->id.start_ns);
	return json_string(buf);
}

static json_t *wall_clock(const struct core *core, uint64_t ns)
{
	char buf[TEXT_TIME_SIZE];

	if (!ns)
		return NULL;
	text_format_time(core->start.boot_realtime_ns + ns, buf);
	return json_string(buf);
}

/* "; NAME (pid N)" and what it does; nothing where nobody is known. */
static const char *name_of(const struct life *life, const char *before, const char *after,
			   char buf[96])
{
	*buf = '\0';
	if (life)
		snprintf(buf, 96, "%s%s (pid %" PRIu64 ")%s", before, life->comm,
			 (uint64_t)life->id.pid, after);
	return buf;
}

/* One sentence. */
static json_t *summary_of(const struct core *core, const struct alert_change *alert,
			  const struct life *of)
{
	static const struct life nobody;
	const struct life *life = of ? of : &nobody;
	char words[256], name[96];

	switch (alert->kind) {
	case ALERT_LEAK:
		snprintf(words, sizeof(words),
			 "%s (pid %" PRIu64 ") does not reap: it holds %" PRIu32 " zombies",
			 life->comm, (uint64_t)life->id.pid, life->zombies);
		break;
	case ALERT_PIDS:
		snprintf(words, sizeof(words),
			 "at the rate at which %s (pid %" PRIu64
			 ") leaks, no pids are left in %" PRIu64 " s",
			 life->comm, (uint64_t)life->id.pid, alert->value);
		break;
	case ALERT_FLAGGED:
		snprintf(words, sizeof(words),
			 "%" PRIu64 " zombies are flagged, the limit is %" PRIu64 "%s",
			 alert->value, core->alert_policy.flagged_limit,
			 name_of(of, "; ", " holds the most", name));
		break;
	case ALERT_FORK_STORM:
		snprintf(words, sizeof(words),
			 "%" PRIu64 " processes were born in a second, the limit is %" PRIu64 "%s",
			 alert->value, core->alert_policy.storm_per_s,
			 name_of(of, "; among those that bear them: ", "", name));
		break;
	case ALERT_LOST:
		snprintf(words, sizeof(words), "%" PRIu64 " events were lost", alert->value);
		break;
	default:
		snprintf(words, sizeof(words), "lifetrace is blind: the hook for %s tells nothing",
			 alert->reason ? alert->reason : "some events");
	}
	return text_json(words, strlen(words));
}

static void set_why(json_t *object, const struct core *core, const struct alert_change *alert,
		    const struct life *zombie, uint64_t now_ns)
{
	struct why why = { .remedy = remedies[alert->kind] };

	if (zombie)
		why_zombie(core, zombie, now_ns, &why);
	set(object, "cause", zombie ? json_string(cause_names[why.cause]) : NULL);
	set(object, "evidence", text(why.evidence));
	set(object, "remedy", text(why.remedy));
	set(object, "clear_now", text(why.clear_now));
}

/* Each queue is in order of begin. */
static uint64_t oldest_of_host(const struct core *core)
{
	uint64_t oldest_ns = UINT64_MAX;

	for (int queue = QUEUE_YOUNG; queue <= QUEUE_AGED; queue++)
		if (core->queues[queue] && core->queues[queue]->zombie_ns < oldest_ns)
			oldest_ns = core->queues[queue]->zombie_ns;
	return oldest_ns;
}

static const struct life *whom(const struct core *core, const struct alert_change *alert,
			       const struct life *life, const struct viewer *viewer)
{
	const struct life *about = life ? life : alert_about(core, alert->kind);

	return about && may_know(viewer, about->uid) ? about : NULL;
}

void view_alert(json_t *object, const struct core *core, const struct alert_change *alert,
		const struct life *life, uint64_t now_ns, const struct viewer *viewer)
{
	const struct life *about = whom(core, alert, life, viewer);
	const struct cgroup_info *cgroup = about ? about->cgroup : NULL;
	const struct leak *leak = about && is_of_zombies[alert->kind] ? about->leak : NULL;
	uint64_t oldest_ns = !life ? oldest_of_host(core) :
			     leak  ? leak_age(leak).oldest_ns :
				     UINT64_MAX;

	set(object, "alert", json_string(alert_names[alert->kind]));
	set(object, "state", json_string(alert->firing ? "firing" : "resolved"));
	set(object, "key", key_of(alert->kind, life));
	set(object, "severity", json_string(severities[alert->kind]));
	set(object, "summary", summary_of(core, alert, about));
	set(object, "host", text(core->alert_policy.host));
	set(object, "unit", cgroup ? text(cgroup->unit) : NULL);
	set(object, "container", cgroup ? text(cgroup->container) : NULL);
	set(object, "pod", cgroup ? text(cgroup->pod) : NULL);
	set_names(object, cgroup);
	set(object, "parent_id", about ? id_text(about->id) : NULL);
	set(object, "parent_comm", about ? text(about->comm) : NULL);
	set(object, "zombies", life ? integer(life->zombies) : integer(core->totals.zombies));
	set(object, "flagged", integer(!life ? core->totals.flagged : leak ? leak->flagged : 0));
	set(object, "oldest_ms",
	    oldest_ns != UINT64_MAX ? integer(since(now_ns, oldest_ns) / NSEC_PER_MSEC) : NULL);
	set(object, "value", integer(alert->value));
	set(object, "reason", text(alert->reason));
	set_why(object, core, alert, leak ? leak_witness(core, leak, now_ns) : NULL, now_ns);
	set(object, "since_ns", when(alert->since_ns));
	set(object, "starts_at", wall_clock(core, alert->since_ns));
	set(object, "ends_at", wall_clock(core, alert->firing ? 0 : now_ns));
}

static void add_row(json_t *array, const struct core *core, const struct alert_change *alert,
		    const struct life *life, uint64_t now_ns, const struct viewer *viewer)
{
	json_t *object = json_object();

	view_alert(object, core, alert, life, now_ns, viewer);
	json_array_append_new(array, object);
}

static void add_leak(json_t *array, const struct core *core, const struct life *parent,
		     uint64_t now_ns, const struct viewer *viewer)
{
	const struct leak *leak = parent->leak;
	struct alert_change alert = { ALERT_LEAK, true, leak->since_ns, parent->zombies, NULL };

	add_row(array, core, &alert, parent, now_ns, viewer);
	if (!leak->pids_alert_ns)
		return;
	alert = (struct alert_change){ ALERT_PIDS, true, leak->pids_alert_ns,
				       leak_exhausted_in_s(leak, now_ns), leak_limit_name(leak) };
	add_row(array, core, &alert, parent, now_ns, viewer);
}

json_t *view_alerts(const struct core *core, uint64_t now_ns, const struct viewer *viewer)
{
	json_t *document = json_object(), *array = json_array();
	struct alert_change alert = { .firing = true };
	const struct leak *leak;

	for (int kind = 0; kind < ALERT_KINDS; kind++) {
		alert.kind = (enum alert_kind)kind;
		alert.since_ns = core->alerts[kind].since_ns;
		alert.value = core->alerts[kind].value;
		alert.reason = alert_hooks[core->alerts[kind].hook];
		if (alert.since_ns)
			add_row(array, core, &alert, NULL, now_ns, viewer);
	}
	EACH_LEAK(core, leak)
		if (leak->since_ns && leak->told && !silence_of(core, leak->parent) &&
		    may_know(viewer, leak->parent->uid))
			add_leak(array, core, leak->parent, now_ns, viewer);
	set(document, "time_ns", integer(now_ns));
	set(document, "alerts", array);
	return document;
}
