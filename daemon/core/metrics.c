// SPDX-License-Identifier: GPL-2.0-only
#include "metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "life.h"
#include "text.h"
#include "why.h"

#ifndef LIFETRACE_VERSION
#define LIFETRACE_VERSION "0"
#endif

/* ---- histograms ---- */

#define US 1000ULL
#define MS NSEC_PER_MSEC
#define S NSEC_PER_SEC

/* Upper bounds, included; what is longer is in the last bucket. */
static const uint64_t bounds_ns[SCALES][LT_BUCKETS - 1] = {
	[SCALE_REAP_LATENCY] = { MS, 5 * MS, 20 * MS, 100 * MS, 500 * MS, 2 * S, 10 * S, 60 * S,
				 300 * S, 1800 * S, 7200 * S },
	[SCALE_FORK_DURATION] = { 20 * US, 50 * US, 100 * US, 200 * US, 500 * US, MS, 2 * MS,
				  5 * MS, 20 * MS, 100 * MS, S },
	[SCALE_EVENT_DELAY] = { 100 * US, MS, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS,
				S, 5 * S, 30 * S },
};

void metrics_observe(struct lt_histogram *histogram, enum metrics_scale scale, uint64_t ns)
{
	int bucket = 0;

	while (bucket < LT_BUCKETS - 1 && ns > bounds_ns[scale][bucket])
		bucket++;
	histogram->count[bucket]++;
	histogram->sum_ns += ns;
}

/* ---- a text that grows ---- */

struct metric;

/* The least that is left to a parent that leaks; UINT64_MAX: none is known. */
struct pids {
	uint64_t left, in_s;
};

struct scrape {
	const struct core *core;
	struct pids least;
	const struct metric *metric; /* whose samples are being written */
	enum metrics_format format;
	bool named;    /* its name, type and help are written */
	bool labelled; /* the sample has a label */
	bool failed;   /* no memory */
	char *data;
	size_t used, room;
};

/* Room for so many more bytes and a NUL. */
static bool make_room(struct scrape *s, size_t len)
{
	size_t room = s->room ? s->room : 256;
	char *bigger;

	if (s->failed || s->used + len < s->room)
		return !s->failed;
	while (room <= s->used + len)
		room *= 2;
	bigger = realloc(s->data, room);
	if (!bigger) {
		s->failed = true;
		return false;
	}
	s->data = bigger;
	s->room = room;
	return true;
}

static void put_bytes(struct scrape *s, const char *bytes, size_t len)
{
	if (!make_room(s, len))
		return;
	memcpy(s->data + s->used, bytes, len);
	s->used += len;
	s->data[s->used] = '\0';
}

static void put(struct scrape *s, const char *text)
{
	put_bytes(s, text, strlen(text));
}

static void put_number(struct scrape *s, uint64_t number)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "%" PRIu64, number);
	put(s, buf);
}

/* Exact, as a decimal: "0.001", "2.0". */
static void put_seconds(struct scrape *s, uint64_t ns)
{
	char buf[40];
	size_t len = (size_t)snprintf(buf, sizeof(buf), "%" PRIu64 ".%09" PRIu64,
				      (uint64_t)(ns / NSEC_PER_SEC), (uint64_t)(ns % NSEC_PER_SEC));

	while (buf[len - 1] == '0' && buf[len - 2] != '.')
		len--;
	put_bytes(s, buf, len);
}

static bool is_plain(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\')
			return false;
	return true;
}

/* Any bytes as a label's value: what is not UTF-8 becomes U+FFFD. */
static void put_escaped(struct scrape *s, const char *value)
{
	size_t len = strlen(value), plain;
	json_t *clean;
	const char *p;

	if (is_plain(value, len)) { /* nearly always */
		put_bytes(s, value, len);
		return;
	}
	clean = text_json(value, len);
	p = json_string_value(clean);

	while (p && *p) {
		plain = strcspn(p, "\\\"\n");
		put_bytes(s, p, plain);
		p += plain;
		if (*p) {
			put(s, *p == '\n' ? "\\n" : *p == '"' ? "\\\"" : "\\\\");
			p++;
		}
	}
	json_decref(clean);
}

/* ---- samples ---- */

enum metric_type { COUNTER, GAUGE, HISTOGRAM, INFO };

struct metric {
	const char *name; /* of the family: without _total and _info */
	enum metric_type type;
	const char *labels; /* for the document */
	const char *help;
	void (*collect)(struct scrape *s);
	size_t at; /* in struct core, of what collect_number() writes */
};

static const char *const type_suffix[] = {
	[COUNTER] = "_total", [GAUGE] = "", [HISTOGRAM] = "", [INFO] = "_info"
};
static const char *const type_names[][2] = {
	[COUNTER] = { "counter", "counter" },
	[GAUGE] = { "gauge", "gauge" },
	[HISTOGRAM] = { "histogram", "histogram" },
	[INFO] = { "gauge", "info" }, /* only OpenMetrics knows it */
};

static void put_comment(struct scrape *s, const char *what, const char *words)
{
	bool open = s->format == METRICS_OPENMETRICS;

	put(s, what);
	put(s, s->metric->name);
	put(s, open ? "" : type_suffix[s->metric->type]);
	put(s, " ");
	put(s, words);
	put(s, "\n");
}

/* A family without a sample is not named. */
static void sample(struct scrape *s, const char *suffix)
{
	if (!s->named) {
		put_comment(s, "# HELP ", s->metric->help);
		put_comment(s, "# TYPE ",
			    type_names[s->metric->type][s->format == METRICS_OPENMETRICS]);
	}
	s->named = true;
	s->labelled = false;
	put(s, s->metric->name);
	put(s, *suffix ? suffix : type_suffix[s->metric->type]);
}

static void begin_label(struct scrape *s, const char *name)
{
	put(s, s->labelled ? "," : "{");
	s->labelled = true;
	put(s, name);
	put(s, "=\"");
}

static void label(struct scrape *s, const char *name, const char *value)
{
	begin_label(s, name);
	put_escaped(s, value);
	put(s, "\"");
}

static void end_labels(struct scrape *s)
{
	put(s, s->labelled ? "} " : " ");
}

static void value(struct scrape *s, uint64_t number)
{
	end_labels(s);
	put_number(s, number);
	put(s, "\n");
}

static void value_seconds(struct scrape *s, uint64_t ns)
{
	end_labels(s);
	put_seconds(s, ns);
	put(s, "\n");
}

static void put_histogram(struct scrape *s, const struct lt_histogram *histogram,
			  enum metrics_scale scale)
{
	uint64_t sum = 0;

	for (int i = 0; i < LT_BUCKETS; i++) {
		sum += histogram->count[i];
		sample(s, "_bucket");
		begin_label(s, "le");
		if (i < LT_BUCKETS - 1)
			put_seconds(s, bounds_ns[scale][i]);
		else
			put(s, "+Inf");
		put(s, "\"");
		value(s, sum);
	}
	sample(s, "_sum");
	value_seconds(s, histogram->sum_ns);
	sample(s, "_count");
	value(s, sum);
}

/* ---- zombies by label set ---- */

struct label_set {
	char *labels; /* as they are written; the key */
	uint64_t zombies;
	UT_hash_handle hh;
};

/* Zombies of one parent for one cause have the same label set: it is made once. */
struct family_key {
	const struct life *parent;
	uint64_t cause; /* enum cause; as wide as leaves no padding */
};

struct family {
	struct family_key key;
	uint64_t zombies;
	UT_hash_handle hh;
};

static struct family *family_of(struct family **families, const struct family_key *key)
{
	struct family *family;

	HASH_FIND(hh, *families, key, sizeof(*key), family);
	if (family)
		return family;
	family = calloc(1, sizeof(*family));
	if (!family)
		return NULL;
	family->key = *key;
	HASH_ADD(hh, *families, key, sizeof(family->key), family);
	if (family->hh.tbl)
		return family;
	free(family);
	return NULL;
}

static void count_families(struct scrape *s, struct family **families)
{
	struct family *family = NULL;
	const struct life *zombie;
	struct family_key key;

	for (int queue = QUEUE_YOUNG; queue <= QUEUE_AGED; queue++)
		DL_FOREACH(s->core->queues[queue], zombie) {
			key = (struct family_key){ zombie->parent,
						   why_cause(s->core, zombie, s->core->now_ns) };
			if (!family || memcmp(&family->key, &key, sizeof(key)))
				family = family_of(families, &key);
			if (family)
				family->zombies++;
			else
				s->failed = true;
		}
}

static void put_names(struct scrape *s, const struct names *names)
{
	if (names && *names->space)
		label(s, "namespace", names->space);
	if (names && *names->pod)
		label(s, "pod_name", names->pod);
	if (names && *names->container)
		label(s, "container_name", names->container);
}

static char *labels_of(const struct family_key *key)
{
	const struct life *parent = key->parent;
	const struct cgroup_info *cgroup = parent ? parent->cgroup : NULL;
	struct scrape s = { 0 };

	label(&s, "unit", cgroup && cgroup->unit ? cgroup->unit : "");
	label(&s, "container", cgroup ? cgroup->container : "");
	if (cgroup && *cgroup->pod)
		label(&s, "pod", cgroup->pod);
	put_names(&s, cgroup ? cgroup->names : NULL);
	label(&s, "parent_comm", parent ? parent->comm : "");
	label(&s, "cause", cause_names[key->cause]);
	if (!s.failed)
		return s.data;
	free(s.data);
	return NULL;
}

static struct label_set *set_of(struct label_set **sets, char *labels)
{
	struct label_set *set;

	HASH_FIND_STR(*sets, labels, set);
	if (set) {
		free(labels);
		return set;
	}
	set = calloc(1, sizeof(*set));
	if (set) {
		set->labels = labels;
		HASH_ADD_KEYPTR(hh, *sets, set->labels, strlen(set->labels), set);
		if (set->hh.tbl)
			return set;
	}
	free(labels);
	free(set);
	return NULL;
}

/* Different parents can have the same labels. Frees the families. */
static struct label_set *label_sets(struct scrape *s, struct family *families)
{
	struct family *family = families, *next;
	struct label_set *sets = NULL, *set;

	HASH_CLEAR(hh, families); /* their order stays */
	for (; family; family = next) {
		char *labels = labels_of(&family->key);

		next = family->hh.next;
		set = labels ? set_of(&sets, labels) : NULL;
		if (set)
			set->zombies += family->zombies;
		else
			s->failed = true;
		free(family);
	}
	return sets;
}

static int most_first(const struct label_set *a, const struct label_set *b)
{
	if (a->zombies != b->zombies)
		return a->zombies < b->zombies ? 1 : -1;
	return strcmp(a->labels, b->labels);
}

static void collect_zombies(struct scrape *s)
{
	struct label_set *sets, *set, *next;
	struct family *families = NULL;
	uint64_t others = 0;
	int named = 0;

	count_families(s, &families);
	sets = label_sets(s, families);
	HASH_SORT(sets, most_first);
	set = sets;
	HASH_CLEAR(hh, sets); /* their order stays */
	for (; set; set = next) {
		next = set->hh.next;
		if (named++ < METRICS_ZOMBIE_SETS) {
			sample(s, "");
			put(s, set->labels);
			s->labelled = true;
			value(s, set->zombies);
		} else {
			others += set->zombies;
		}
		free(set->labels);
		free(set);
	}
	if (!others)
		return;
	sample(s, "");
	label(s, "unit", "other");
	label(s, "container", "other");
	label(s, "parent_comm", "other");
	label(s, "cause", "other");
	value(s, others);
}

/* ---- what is collected how ---- */

static void collect_number(struct scrape *s)
{
	uint64_t number;

	memcpy(&number, (const char *)s->core + s->metric->at, sizeof(number));
	sample(s, "");
	value(s, number);
}

static void collect_number32(struct scrape *s)
{
	uint32_t number;

	memcpy(&number, (const char *)s->core + s->metric->at, sizeof(number));
	sample(s, "");
	value(s, number);
}

static void collect_build(struct scrape *s)
{
	sample(s, "");
	label(s, "version", LIFETRACE_VERSION);
	value(s, 1);
}

static void collect_processes(struct scrape *s)
{
	static const char *const names[] = {
		[LT_RUNNING] = "running",	  [LT_STOPPED] = "stopped",
		[LT_DEAD_LEADER] = "dead-leader", [LT_EXITING] = "exiting",
		[LT_ZOMBIE] = "zombie",
	};

	for (int state = LT_RUNNING; state <= LT_ZOMBIE; state++) {
		sample(s, "");
		label(s, "state", names[state]);
		value(s, s->core->totals.states[state]);
	}
}

static void collect_fork_failures(struct scrape *s)
{
	const struct lt_failure *by = s->core->failures.by;
	const char *name;
	char buf[16];

	for (int i = 0; i < LT_FAILURES && by[i].count; i++) {
		name = by[i].err ? strerrorname_np((int)by[i].err) : "other";
		snprintf(buf, sizeof(buf), "%" PRIu32, (uint32_t)by[i].err);
		sample(s, "");
		label(s, "errno", name ? name : buf);
		value(s, by[i].count);
	}
}

static void collect_exits(struct scrape *s)
{
	static const char *const names[LT_ENDS] = {
		[LT_END_UNKNOWN] = "unknown",
		[LT_END_EXITED] = "exited",
		[LT_END_KILLED] = "killed",
		[LT_END_DUMPED] = "dumped",
	};
	char buf[16];

	for (int end = 0; end < LT_ENDS; end++)
		for (int signal = 0; signal < LT_SIGNALS; signal++) {
			if (!s->core->tallies.ends[end][signal])
				continue;
			*buf = '\0';
			if (signal)
				text_signal(signal, buf, sizeof(buf));
			sample(s, "");
			label(s, "how", names[end]);
			label(s, "signal", buf);
			value(s, s->core->tallies.ends[end][signal]);
		}
}

static void collect_reaps(struct scrape *s)
{
	static const char *const names[LT_REAPS] = {
		[LT_REAP_WAITED] = "waited",
		[LT_REAP_AUTO] = "autoreaped",
		[LT_REAP_INFERRED] = "inferred",
	};

	for (int how = 0; how < LT_REAPS; how++) {
		sample(s, "");
		label(s, "how", names[how]);
		value(s, s->core->tallies.reaps[how]);
	}
}

static void collect_oldest(struct scrape *s)
{
	const struct life *head;
	uint64_t begin_ns = s->core->now_ns;

	for (int queue = QUEUE_YOUNG; queue <= QUEUE_AGED; queue++) {
		head = s->core->queues[queue];
		if (head && head->zombie_ns < begin_ns)
			begin_ns = head->zombie_ns;
	}
	if (!s->core->totals.zombies)
		return;
	sample(s, "");
	value_seconds(s, s->core->now_ns - begin_ns);
}

static struct pids least_pids(const struct core *core)
{
	struct pids least = { UINT64_MAX, UINT64_MAX };
	const struct life *zombie, *last = NULL;
	uint64_t left, in_s;

	for (int queue = QUEUE_FLAGGED; queue <= QUEUE_AGED && core->totals.leaks; queue++)
		DL_FOREACH(core->queues[queue], zombie) {
			const struct leak *leak = zombie->parent ? zombie->parent->leak : NULL;

			if (zombie->parent == last || !leak || !leak->since_ns)
				continue;
			last = zombie->parent;
			in_s = leak_exhausted_in_s(leak, core->now_ns);
			if (leak_pids_left(leak, &left) && left < least.left)
				least.left = left;
			if (in_s < least.in_s)
				least.in_s = in_s;
		}
	return least;
}

static void collect_pids_left(struct scrape *s)
{
	if (s->least.left == UINT64_MAX)
		return;
	sample(s, "");
	value(s, s->least.left);
}

static void collect_pids_exhausted(struct scrape *s)
{
	if (s->least.in_s == UINT64_MAX)
		return;
	sample(s, "");
	value(s, s->least.in_s);
}

static void collect_reap_latency(struct scrape *s)
{
	put_histogram(s, &s->core->tallies.reap_latency, SCALE_REAP_LATENCY);
}

static void collect_fork_duration(struct scrape *s)
{
	put_histogram(s, &s->core->tallies.fork_duration, SCALE_FORK_DURATION);
}

static void collect_cow_bytes(struct scrape *s)
{
	if (!s->core->cow_observed)
		return;
	sample(s, "");
	value(s, cow_bytes(s->core, s->core->totals.cow_copies));
}

static void collect_cow_faults(struct scrape *s)
{
	if (!s->core->cow_observed)
		return;
	sample(s, "");
	label(s, "result", "copy");
	value(s, s->core->totals.cow_copies);
	sample(s, "");
	label(s, "result", "reuse");
	value(s, s->core->totals.cow_reuses);
}

static void put_kinds(struct scrape *s, const __u64 counts[LT_KERNEL_KINDS])
{
	for (unsigned kind = 0; kind < LT_KERNEL_KINDS; kind++) {
		if (!core_kind_name(kind))
			continue;
		sample(s, "");
		label(s, "kind", core_kind_name(kind));
		value(s, counts[kind]);
	}
}

static void collect_events(struct scrape *s)
{
	put_kinds(s, s->core->sent);
}

static void collect_lost(struct scrape *s)
{
	put_kinds(s, s->core->totals.lost);
}

static void collect_alerts(struct scrape *s)
{
	for (int kind = 0; kind < ALERT_KINDS; kind++) {
		if (!s->core->alerts[kind].since_ns)
			continue;
		sample(s, "");
		label(s, "alert", alert_names[kind]);
		value(s, 1);
	}
}

/* "off: why", "uprobe/exit (3 libraries)": without what changes by itself. */
static void collect_hooks(struct scrape *s)
{
	const struct hook_info *hook = s->core->hooks;
	char name[64];

	for (; hook < s->core->hooks + HOOKS_MAX && hook->what; hook++) {
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(hook->value, ":("), hook->value);
		if (*name && name[strlen(name) - 1] == ' ')
			name[strlen(name) - 1] = '\0';
		sample(s, "");
		label(s, "what", hook->what);
		label(s, "hook", name);
		value(s, 1);
	}
}

static void collect_memory(struct scrape *s)
{
	sample(s, "");
	value(s, s->core->memory_bytes);
}

/* The daemon's own; a recording in which nobody asked for them has none. */
static void collect_own(struct scrape *s)
{
	if (s->core->health.hdr.time_ns)
		collect_number(s);
}

static void collect_own_seconds(struct scrape *s)
{
	uint64_t ns;

	memcpy(&ns, (const char *)s->core + s->metric->at, sizeof(ns));
	if (!s->core->health.hdr.time_ns)
		return;
	sample(s, "");
	value_seconds(s, ns);
}

static void collect_own32(struct scrape *s)
{
	if (s->core->health.hdr.time_ns)
		collect_number32(s);
}

static void collect_event_delay(struct scrape *s)
{
	if (s->core->health.hdr.time_ns)
		put_histogram(s, &s->core->health.event_delay, SCALE_EVENT_DELAY);
}

/* ---- the table ---- */

#define AT(member) offsetof(struct core, member)

static const struct metric table[] = {
	{ "lifetrace_build", INFO, "version", "The version of lifetraced.", collect_build, 0 },
	{ "lifetrace_processes", GAUGE, "state", "Processes, kernel threads among them, by state.",
	  collect_processes, 0 },
	{ "lifetrace_forks", COUNTER, "", "Processes born.", collect_number, AT(totals.forks) },
	{ "lifetrace_fork_failures", COUNTER, "errno",
	  "Fork calls that failed, as far as they are observed.", collect_fork_failures, 0 },
	{ "lifetrace_threads", COUNTER, "", "Further threads of processes born.", collect_number,
	  AT(sent[LT_THREAD]) },
	{ "lifetrace_execs", COUNTER, "", "Programs begun by exec.", collect_number,
	  AT(totals.execs) },
	{ "lifetrace_exits", COUNTER, "how, signal",
	  "Processes that ended: exited, killed or dumped (with a core); unknown where only their absence was seen.",
	  collect_exits, 0 },
	{ "lifetrace_reaps", COUNTER, "how",
	  "Processes that went: waited for, autoreaped, or inferred from their absence.",
	  collect_reaps, 0 },
	{ "lifetrace_zombies", GAUGE,
	  "unit, container, pod (its uid), namespace, pod_name, container_name (where known), parent_comm, cause",
	  "Zombies by the parent that does not reap them; of label sets the 50 largest, the rest is other.",
	  collect_zombies, 0 },
	{ "lifetrace_zombies_flagged", GAUGE, "", "Zombies older than zombie_age.",
	  collect_number32, AT(totals.flagged) },
	{ "lifetrace_zombie_oldest_age_seconds", GAUGE, "",
	  "Age of the oldest zombie; absent while there is none.", collect_oldest, 0 },
	{ "lifetrace_leaks", GAUGE, "", "Parents that leak zombies.", collect_number32,
	  AT(totals.leaks) },
	{ "lifetrace_pids_left", GAUGE, "",
	  "Tasks up to the nearest limit of a parent that leaks, the least of all; absent while there is no leak.",
	  collect_pids_left, 0 },
	{ "lifetrace_pids_exhausted_in_seconds", GAUGE, "",
	  "When these run out at the present rate; absent while they do not.",
	  collect_pids_exhausted, 0 },
	{ "lifetrace_reap_latency_seconds", HISTOGRAM, "",
	  "From a zombie's begin until it was reaped.", collect_reap_latency, 0 },
	{ "lifetrace_fork_duration_seconds", HISTOGRAM, "",
	  "Duration of fork calls until the child's birth, of those that were observed.",
	  collect_fork_duration, 0 },
	{ "lifetrace_cow_copied_bytes", COUNTER, "",
	  "Bytes copied on write after forks; absent unless observed.", collect_cow_bytes, 0 },
	{ "lifetrace_cow_faults", COUNTER, "result",
	  "Write faults on shared pages; absent unless observed.", collect_cow_faults, 0 },
	{ "lifetrace_events", COUNTER, "kind", "Events from the kernel.", collect_events, 0 },
	{ "lifetrace_events_lost", COUNTER, "kind", "Events that the kernel side lost.",
	  collect_lost, 0 },
	{ "lifetrace_repairs", COUNTER, "",
	  "Lives that a comparison with the kernel's own table set right.", collect_number,
	  AT(totals.repairs) },
	{ "lifetrace_refused", COUNTER, "",
	  "Processes not taken in, as the table had its memory_max.", collect_number,
	  AT(totals.refused) },
	{ "lifetrace_bad_records", COUNTER, "", "Records of a wrong size or kind, skipped.",
	  collect_number, AT(totals.bad_records) },
	{ "lifetrace_alerts", GAUGE, "alert",
	  "1 while an alert of the host fires: flagged, fork-storm, events-lost, blind; absent while it does not.",
	  collect_alerts, 0 },
	{ "lifetrace_hook", INFO, "what, hook", "The kernel hook that serves a need, or off.",
	  collect_hooks, 0 },
	{ "lifetrace_syscall_hooks", GAUGE, "",
	  "1 while hooks are on that tax every system call of the host.", collect_own32,
	  AT(health.syscall_hooks) },
	{ "lifetrace_event_delay_seconds", HISTOGRAM, "",
	  "From an event in the kernel until it is in the table.", collect_event_delay, 0 },
	{ "lifetrace_ring_bytes", GAUGE, "", "Size of the ring.", collect_number,
	  AT(start.ring_bytes) },
	{ "lifetrace_ring_highest_bytes", GAUGE, "",
	  "Highest fill of the ring that the daemon met.", collect_own,
	  AT(health.ring_highest_bytes) },
	{ "lifetrace_journal_dropped", COUNTER, "",
	  "Entries, alerts and lines, that journald did not take when they came.", collect_own32,
	  AT(health.journal_dropped) },
	{ "lifetrace_memory_bytes", GAUGE, "", "Bytes of the table of lives.", collect_memory, 0 },
	{ "process_cpu_seconds", COUNTER, "", "CPU time of the daemon, user and system.",
	  collect_own_seconds, AT(health.cpu_ns) },
	{ "process_resident_memory_bytes", GAUGE, "",
	  "Resident memory of the daemon, the ring included (twice, as it is mapped twice).",
	  collect_own, AT(health.rss_bytes) },
	{ "process_virtual_memory_bytes", GAUGE, "", "Virtual memory of the daemon.", collect_own,
	  AT(health.virtual_bytes) },
	{ "process_open_fds", GAUGE, "", "Open descriptors of the daemon.", collect_own,
	  AT(health.open_fds) },
	{ "process_max_fds", GAUGE, "", "Most descriptors that it may open.", collect_own,
	  AT(health.max_fds) },
	{ "process_start_time_seconds", GAUGE, "", "Start of the daemon, since the epoch.",
	  collect_own_seconds, AT(health.start_realtime_ns) },
};

#define METRICS (sizeof(table) / sizeof(table[0]))

/* The text, or NULL where memory ran out on the way. */
static char *finish(struct scrape *s, size_t *len)
{
	*len = s->used;
	if (!s->failed)
		return s->data;
	free(s->data);
	return NULL;
}

char *metrics_text(const struct core *core, enum metrics_format format, size_t *len)
{
	struct scrape s = { .core = core, .least = least_pids(core), .format = format };

	for (size_t i = 0; i < METRICS; i++) {
		s.metric = &table[i];
		s.named = false;
		table[i].collect(&s);
	}
	if (format == METRICS_OPENMETRICS)
		put(&s, "# EOF\n");
	return finish(&s, len);
}

char *metrics_document(size_t *len)
{
	struct scrape s = { 0 };

	put(&s,
	    "# Metrics\n\n"
	    "`GET /metrics`, as Prometheus text or OpenMetrics, whichever is asked for. Written by\n"
	    "`lifetraced --document-metrics`.\n\n"
	    "| metric | type | labels | what it is |\n| --- | --- | --- | --- |\n");
	for (size_t i = 0; i < METRICS; i++) {
		put(&s, "| `");
		put(&s, table[i].name);
		put(&s, type_suffix[table[i].type]);
		put(&s, "` | ");
		put(&s, type_names[table[i].type][0]);
		put(&s, " | ");
		put(&s, table[i].labels);
		put(&s, *table[i].labels ? " | " : "| ");
		put(&s, table[i].help);
		put(&s, " |\n");
	}
	return finish(&s, len);
}

/* ---- which format ---- */

/* The q of one element of an Accept header, in thousandths; without one it is 1. */
static unsigned quality(const char *element, size_t len)
{
	unsigned whole = 1, thousandths = 0, digit = 100;
	const char *p = element, *end = element + len;

	while (p < end && (p = memchr(p, ';', (size_t)(end - p)))) {
		p++;
		while (p < end && (*p == ' ' || *p == '\t'))
			p++;
		if (end - p < 2 || (*p != 'q' && *p != 'Q') || p[1] != '=')
			continue;
		whole = p + 2 < end && p[2] == '1';
		for (p += 4; p < end && *p >= '0' && *p <= '9' && digit; p++, digit /= 10)
			thousandths += (unsigned)(*p - '0') * digit;
		break;
	}
	return whole ? 1000 : thousandths;
}

static bool is_type(const char *element, size_t len, const char *type)
{
	size_t type_len = strlen(type);

	return len >= type_len && !strncasecmp(element, type, type_len) &&
	       (len == type_len || strchr("; \t", element[type_len]));
}

enum metrics_format metrics_format_for(const char *accept)
{
	unsigned best[] = { [METRICS_TEXT] = 0, [METRICS_OPENMETRICS] = 0 };
	const char *p = accept ? accept : "";
	enum metrics_format format;
	size_t len;

	for (; *p; p += len) {
		p += strspn(p, ", \t");
		len = strcspn(p, ",");
		format = METRICS_TEXT;
		if (is_type(p, len, "application/openmetrics-text"))
			format = METRICS_OPENMETRICS;
		else if (!is_type(p, len, "text/plain"))
			continue;
		if (quality(p, len) > best[format])
			best[format] = quality(p, len);
	}
	return best[METRICS_OPENMETRICS] > best[METRICS_TEXT] ? METRICS_OPENMETRICS : METRICS_TEXT;
}

const char *metrics_content_type(enum metrics_format format)
{
	return format == METRICS_OPENMETRICS ?
		       "application/openmetrics-text; version=1.0.0; charset=utf-8" :
		       "text/plain; version=0.0.4; charset=utf-8";
}
