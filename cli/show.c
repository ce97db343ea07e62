// SPDX-License-Identifier: GPL-2.0-only
/* zombies, ps, status, tail: documents to text. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "columns.h"
#include "core/text.h"
#include "stacks.h"

/* ---- documents ---- */

int print_json(const json_t *document)
{
	size_t len;
	char *text = view_text(document, &len);

	if (!text)
		return FAILED;
	fwrite(text, 1, len, stdout);
	free(text);
	return DONE;
}

static int check_zombies(const struct options *options, struct source *source)
{
	static const char *const words[] = { "OK", "WARNING", "CRITICAL" };
	json_t *document;
	uint64_t flagged = 0;
	int level, status = source->ops->get(source, options, "zombies", &document);
	const json_t *rows, *row;
	size_t i;

	if (status)
		return CHECK_UNKNOWN;
	rows = json_object_get(document, "zombies");
	json_array_foreach(rows, i, row)
		flagged += json_is_true(json_object_get(row, "flagged"));
	level = flagged >= options->critical ? 2 : flagged >= options->warning ? 1 : 0;
	printf("ZOMBIES %s - %" PRIu64 " flagged, %zu in all | flagged=%" PRIu64 ";%" PRIu64
	       ";%" PRIu64 ";0 zombies=%zu;;;0\n",
	       words[level], flagged, json_array_size(rows), flagged, options->warning,
	       options->critical, json_array_size(rows));
	json_decref(document);
	return level;
}

/* A view that is one array of rows, and what it is called where. */
static const struct rows_view {
	uint32_t view;
	const char *what, *one, *none;
} zombies_view = { VIEW_ZOMBIES, "zombies", "zombie", "no zombies" },
  processes_view = { VIEW_PROCESSES, "processes", "process", "no such processes" },
  births_view = { VIEW_BIRTHS, "births", "process that forked", "nobody has forked" },
  leaks_view = { VIEW_LEAKS, "leaks", "leak of a process", "no leaks" };

static int show_rows(const struct options *options, struct source *source,
		     const struct rows_view *view)
{
	json_t *document;
	int status = source->ops->get(source, options, view->what, &document);
	const json_t *rows;

	if (status)
		return status;
	rows = json_object_get(document, view->what);
	if (options->json)
		status = print_json(document);
	else if (json_array_size(rows))
		print_rows(rows, number(document, "time_ns"),
			   options->filter.columns ?: column_set_shown(view->view));
	else
		puts(view->none);
	/* asked for one process and it is not there: a failure, and a word */
	if (!json_array_size(rows) && options->filter.has_pid && !status) {
		complain("no %s with pid %" PRIu64, view->one, options->filter.pid);
		status = FAILED;
	}
	json_decref(document);
	return status;
}

int show_zombies(const struct options *options, struct source *source)
{
	return options->check ? check_zombies(options, source) :
				show_rows(options, source, &zombies_view);
}

int show_processes(const struct options *options, struct source *source)
{
	return show_rows(options, source, &processes_view);
}

int show_births(const struct options *options, struct source *source)
{
	return show_rows(options, source, &births_view);
}

static int get_stacks(const struct options *options, struct source *source, json_t **document)
{
	struct options only_pid = { .at_ns = options->at_ns, .filter.pid = options->filter.pid };

	only_pid.filter.has_pid = options->filter.has_pid;
	if (options->filter.has_pid)
		snprintf(only_pid.query, QUERY_SIZE, "pid=%" PRIu64, options->filter.pid);
	return source->ops->get(source, &only_pid, "stacks", document);
}

/* The daemon copies stacks; what they mean only who may read the process can say. */
static int add_stacks(const struct options *options, struct source *source, json_t *rows,
		      const json_t *stacks)
{
	json_t *row, *still;
	int status;
	size_t i;

	json_array_foreach(rows, i, row)
		json_object_set_new(row, "stacks",
				    stacks_of_parent(json_object_get(stacks, "stacks"), row));
	status = get_stacks(options, source, &still);
	if (status)
		return status;
	json_array_foreach(rows, i, row)
		json_object_set_new(row, "stacks",
				    stacks_still_told(json_object_get(row, "stacks"),
						      json_object_get(still, "stacks")));
	json_decref(still);
	return status;
}

static int show_leaks_with_stacks(const struct options *options, struct source *source)
{
	json_t *document, *stacks, *rows, *row;
	int status = get_stacks(options, source, &stacks);
	size_t i;

	if (status)
		return status;
	status = source->ops->get(source, options, "leaks", &document);
	rows = json_object_get(document, "leaks");
	if (!status)
		status = add_stacks(options, source, rows, stacks);
	json_decref(stacks);
	if (!status && options->json)
		status = print_json(document);
	else if (!status && json_array_size(rows))
		json_array_foreach(rows, i, row)
			print_stacks(row);
	else if (!status)
		puts("no leaks");
	if (!status && options->filter.has_pid && !json_array_size(rows)) {
		complain("no leak of a process with pid %" PRIu64
			 "; where it forks is noted from now on",
			 options->filter.pid);
		status = FAILED;
	}
	json_decref(document);
	return status;
}

static int show_leaks_once(const struct options *options, struct source *source)
{
	return options->stacks ? show_leaks_with_stacks(options, source) :
				 show_rows(options, source, &leaks_view);
}

int show_leaks(const struct options *options, struct source *source)
{
	return show_watched(options, source, show_leaks_once);
}

/* ---- status ---- */

static void print_hooks(const json_t *hooks)
{
	const char *what, *lead = "hooks";
	json_t *value;

	json_object_foreach((json_t *)hooks, what, value) {
		printf("%-12s %-13s %s\n", lead, what, json_string_value(value));
		lead = "";
	}
}

static void print_status(const json_t *s)
{
	char up[TEXT_AGE_SIZE];
	uint64_t lost = sum_of(json_object_get(s, "lost")), dropped;

	text_format_age(number(s, "uptime_s") * NSEC_PER_SEC, up);
	printf("%-12s %s, watching for %s\n", "lifetraced",
	       json_string_value(json_object_get(s, "version")), up);
	printf("%-12s %" PRIu64 ", of them %" PRIu64 " zombies, %" PRIu64 " flagged; %" PRIu64
	       " leaks\n",
	       "processes", number(s, "processes"), number(s, "zombies"), number(s, "flagged"),
	       number(s, "leaks"));
	printf("%-12s %" PRIu64 " forks (and %" PRIu64 " threads), %" PRIu64 " execs, %" PRIu64
	       " exits, %" PRIu64 " reaps\n",
	       "since then", number(s, "forks"), number(s, "threads"), number(s, "execs"),
	       number(s, "exits"), number(s, "reaps"));
	printf("%-12s %" PRIu64 " sent, %s%" PRIu64 " lost%s, %" PRIu64 " repairs, %" PRIu64
	       " bad, %" PRIu64 " refused\n",
	       "events", sum_of(json_object_get(s, "events")), lost ? colour_on(RED) : "", lost,
	       lost ? colour_off() : "", number(s, "repairs"), number(s, "bad_records"),
	       number(s, "refused"));
	printf("%-12s %" PRIu64 " KiB table, %" PRIu64 " KiB ring\n", "memory",
	       number(s, "memory_bytes") / 1024, number(s, "ring_bytes") / 1024);
	dropped = number(json_object_get(s, "self"), "journal_dropped");
	if (dropped)
		printf("%-12s %s%" PRIu64 " entries%s not taken by journald\n", "journal",
		       colour_on(RED), dropped, colour_off());
	print_hooks(json_object_get(s, "hooks"));
}

int show_status(const struct options *options, struct source *source)
{
	json_t *document;
	int status = source->ops->get(source, options, "status", &document);

	if (status)
		return status;
	if (options->json)
		status = print_json(document);
	else
		print_status(document);
	json_decref(document);
	return status;
}

/* ---- tail ---- */

static void say_fork(const json_t *e, char *out)
{
	char parent[CELL_SIZE];

	snprintf(out, CELL_SIZE, "born of %" PRIu64 " (%s)", number(e, "ppid"),
		 member(e, "parent_comm", parent));
}

static void say_exec(const json_t *e, char *out)
{
	char before[CELL_SIZE], command[CELL_SIZE];

	command_text(e, command);
	snprintf(out, CELL_SIZE, "was %.16s, runs %.400s", member(e, "comm_before", before),
		 command);
}

static void say_zombie(const json_t *e, char *out)
{
	const json_t *waits = json_object_get(e, "parent_waits");
	const json_t *sigchld = json_object_get(e, "sigchld");
	uint64_t calls = json_is_object(waits) ? number(waits, "calls") : 0;
	char parent[CELL_SIZE], disposition[CELL_SIZE];

	snprintf(
		out, CELL_SIZE,
		"waits for %" PRIu64 " (%.64s), which has waited %" PRIu64 " time%s, SIGCHLD %.16s",
		number(e, "ppid"), member(e, "parent_comm", parent), calls, calls == 1 ? "" : "s",
		json_is_object(sigchld) ? member(sigchld, "disposition", disposition) : "not seen");
}

static void say_flagged(const json_t *e, char *out)
{
	char age[TEXT_AGE_SIZE], parent[CELL_SIZE];

	text_format_age(number(e, "age_ms") * NSEC_PER_MSEC, age);
	snprintf(out, CELL_SIZE, "not reaped by %" PRIu64 " (%.64s) for %s", number(e, "ppid"),
		 member(e, "parent_comm", parent), age);
}

/* People tell processes by their pids. */
static uint64_t pid_of_id(const json_t *e, const char *name)
{
	const char *id = json_string_value(json_object_get(e, name));
	uint64_t pid = 0, start_ns;

	text_parse_id(id ? id : "", &pid, &start_ns);
	return pid;
}

static void say_reap(const json_t *e, char *out)
{
	char name[CELL_SIZE];

	snprintf(out, CELL_SIZE, "by %" PRIu64 " (%.64s)%s", pid_of_id(e, "reaped_by"),
		 member(e, "reaped_by_comm", name),
		 json_is_true(json_object_get(e, "inferred")) ? ", inferred" : "");
}

static void say_autoreap(const json_t *e, char *out)
{
	(void)e;
	strcpy(out, "its parent ignores SIGCHLD or has SA_NOCLDWAIT: never a zombie");
}

static void say_orphan(const json_t *e, char *out)
{
	char was[CELL_SIZE], by[CELL_SIZE];

	snprintf(out, CELL_SIZE, "%" PRIu64 " (%.64s) died; adopted by %" PRIu64 " (%.64s)",
		 pid_of_id(e, "was_parent_id"), member(e, "was_parent_comm", was),
		 number(e, "ppid"), member(e, "adopted_by_comm", by));
}

static void say_stop(const json_t *e, char *out)
{
	char name[CELL_SIZE];

	snprintf(out, CELL_SIZE, "%.32s%s", member(e, "signal", name),
		 json_is_false(json_object_get(e, "seen_by_parent")) ? ", its parent is not told" :
								       "");
}

static void say_fork_fail(const json_t *e, char *out)
{
	char err[CELL_SIZE];

	snprintf(out, CELL_SIZE, "no child: %.32s", member(e, "errno", err));
}

/* "WNOHANG|WEXITED" */
static void options_text(const json_t *options, char out[CELL_SIZE])
{
	size_t i, used = 0;
	json_t *name;

	snprintf(out, CELL_SIZE, "0");
	json_array_foreach((json_t *)options, i, name)
		if (used < CELL_SIZE)
			used += (size_t)snprintf(out + used, CELL_SIZE - used, "%s%s", i ? "|" : "",
						 json_string_value(name));
}

static void say_call(const json_t *call, char *out)
{
	char name[CELL_SIZE], which[CELL_SIZE], options[CELL_SIZE], result[CELL_SIZE], age[32];

	options_text(json_object_get(call, "options"), options);
	text_format_duration(number(call, "blocked_ns") / 1000 * 1000, age, sizeof(age));
	if (number(call, "child_pid"))
		snprintf(result, CELL_SIZE, "%" PRIu64 " ", number(call, "child_pid"));
	else
		*result = '\0';
	snprintf(out, CELL_SIZE,
		 "%.16s(%.16s %" JSON_INTEGER_FORMAT ", %.200s) = %.16s%.32s after %.31s",
		 member(call, "call", name), member(call, "which", which),
		 json_integer_value(json_object_get(call, "pid")), options, result,
		 json_string_value(json_object_get(call, "result")), age);
}

static void say_wait(const json_t *e, char *out)
{
	const json_t *call = json_object_get(e, "call");
	uint64_t calls;

	if (json_is_object(call)) {
		say_call(call, out);
		return;
	}
	calls = number(json_object_get(e, "waits"), "calls");
	snprintf(out, CELL_SIZE, "%" PRIu64 " wait call%s so far", calls, calls == 1 ? "" : "s");
}

static void say_cow(const json_t *e, char *out)
{
	const json_t *cow = json_object_get(e, "cow");
	char bytes[CELL_SIZE];

	bytes_text(number(cow, "bytes"), bytes);
	snprintf(out, CELL_SIZE,
		 "%" PRIu64 " pages copied so far (%.32s), %" PRIu64 " writes reused theirs",
		 number(cow, "copies"), bytes, number(cow, "reuses"));
}

static void say_cow_fault(const json_t *e, char *out)
{
	char address[CELL_SIZE], result[CELL_SIZE], took[CELL_SIZE];
	uint64_t duration_ns = number(e, "duration_ns");

	short_time_text(duration_ns, took);
	snprintf(out, CELL_SIZE, "%.32s at %.32s by thread %" PRIu64 "%s%.32s",
		 member(e, "result", result), member(e, "address", address), number(e, "tid"),
		 duration_ns ? ", took " : "", duration_ns ? took : "");
}

static void say_leak(const json_t *e, char *out)
{
	char reason[CELL_SIZE], age[TEXT_AGE_SIZE];

	text_format_age(number(e, "oldest_ms") * NSEC_PER_MSEC, age);
	snprintf(out, CELL_SIZE,
		 "%" PRIu64 " zombies, %" PRIu64 " flagged, the oldest for %s (%.32s)",
		 number(e, "zombies"), number(e, "flagged"), age, member(e, "reason", reason));
}

static void say_lost(const json_t *e, char *out)
{
	snprintf(out, CELL_SIZE, "%" PRIu64 " events; the table is being repaired",
		 sum_of(json_object_get(e, "lost")));
}

static void say_alert(const json_t *e, char *out)
{
	char state[CELL_SIZE], name[CELL_SIZE], words[CELL_SIZE];

	snprintf(out, CELL_SIZE, "%.16s: %.16s: %.400s", member(e, "alert", name),
		 member(e, "state", state), member(e, "summary", words));
}

static void say_nothing(const json_t *e, char *out)
{
	(void)e;
	*out = '\0';
}

static void say_exit(const json_t *e, char *out)
{
	const json_t *end = json_object_get(e, "exit");
	char took[TEXT_AGE_SIZE], by[CELL_SIZE];
	size_t used;

	exit_text(e, out);
	used = strlen(out);
	if (json_is_string(json_object_get(end, "by")))
		used += (size_t)snprintf(out + used, CELL_SIZE - used, " by %.8s()",
					 member(end, "by", by));
	if (number(end, "handlers_ns") < NSEC_PER_MSEC)
		return;
	text_format_age(number(end, "handlers_ns"), took);
	snprintf(out + used, CELL_SIZE - used, ", %s in its handlers", took);
}

static const struct kind_text {
	enum colour colour;
	void (*say)(const json_t *line, char *out);
} kind_texts[CHANGE_KINDS] = {
	[CHANGE_FORK] = { GREEN, say_fork },
	[CHANGE_FORK_FAIL] = { RED, say_fork_fail },
	[CHANGE_EXEC] = { PLAIN, say_exec },
	[CHANGE_EXIT] = { PLAIN, say_exit },
	[CHANGE_ZOMBIE] = { YELLOW, say_zombie },
	[CHANGE_FLAGGED] = { RED, say_flagged },
	[CHANGE_REAP] = { DIM, say_reap },
	[CHANGE_AUTOREAP] = { DIM, say_autoreap },
	[CHANGE_ORPHAN] = { BLUE, say_orphan },
	[CHANGE_STOP] = { PLAIN, say_stop },
	[CHANGE_CONTINUE] = { PLAIN, say_nothing },
	[CHANGE_COW] = { PLAIN, say_cow },
	[CHANGE_COW_FAULT] = { PLAIN, say_cow_fault },
	[CHANGE_WAIT] = { PLAIN, say_wait },
	[CHANGE_ALERT] = { RED, say_alert },
	[CHANGE_LEAK_OPEN] = { RED, say_leak },
	[CHANGE_LEAK_CLOSE] = { GREEN, say_leak },
	[CHANGE_LOST] = { RED, say_lost },
};

static void clock_text(uint64_t time_ns, uint64_t boot_realtime_ns, char buf[32])
{
	uint64_t real_ns = time_ns + boot_realtime_ns;
	time_t seconds = (time_t)(real_ns / NSEC_PER_SEC);
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(buf, 32, "%H:%M:%S", &tm);
	snprintf(buf + 8, 24, ".%03u", (unsigned)(real_ns % NSEC_PER_SEC / NSEC_PER_MSEC));
}

struct tail {
	bool json;
	uint64_t boot_realtime_ns;
};

/* What a line of tail says, in words. */
struct event_words {
	enum colour colour;
	const char *kind;
	uint64_t pid;
	char when[32], comm[CELL_SIZE], words[CELL_SIZE];
};

/* False for a kind of a newer daemon's. */
static bool read_event(struct event_words *event, const json_t *e, uint64_t boot_realtime_ns)
{
	unsigned kind = 0;

	event->kind = json_string_value(json_object_get(e, "kind"));
	while (kind < CHANGE_KINDS && event->kind && strcmp(change_names[kind], event->kind))
		kind++;
	if (!event->kind || kind == CHANGE_KINDS)
		return false;
	clock_text(number(e, "time_ns"), boot_realtime_ns, event->when);
	member(e, "comm", event->comm);
	if (!json_is_string(json_object_get(e, "comm")))
		strcpy(event->comm, "-");
	kind_texts[kind].say(e, event->words);
	event->colour = kind_texts[kind].colour;
	event->pid = number(e, "pid");
	return true;
}

static void print_line(const struct tail *tail, const json_t *e)
{
	struct event_words event;

	if (read_event(&event, e, tail->boot_realtime_ns))
		printf("%s %s%-10s%s %7" PRIu64 " %-15s %s\n", event.when, colour_on(event.colour),
		       event.kind, colour_off(), event.pid, event.comm, event.words);
}

void event_text(const json_t *e, uint64_t boot_realtime_ns, char *line, size_t size)
{
	struct event_words event;

	*line = '\0';
	if (read_event(&event, e, boot_realtime_ns))
		snprintf(line, size, "%s %-10s %7" PRIu64 " %-15s %s", event.when, event.kind,
			 event.pid, event.comm, event.words);
}

static int on_line(void *user, const char *line, size_t len)
{
	const struct tail *tail = user;
	json_t *e;

	if (!line)
		return fflush(stdout);
	if (tail->json) {
		fwrite(line, 1, len, stdout);
	} else {
		e = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
		if (e)
			print_line(tail, e);
		json_decref(e);
	}
	return ferror(stdout);
}

int show_events(const struct options *options, struct source *source)
{
	struct tail tail = { .json = options->json };
	struct options plain = { 0 };
	json_t *document;
	int status;

	if (!tail.json) { /* to tell the time of day */
		status = source->ops->get(source, &plain, "status", &document);
		if (status)
			return status;
		tail.boot_realtime_ns = number(document, "boot_realtime_ns");
		json_decref(document);
	}
	return source->ops->stream(source, options, on_line, &tail);
}
