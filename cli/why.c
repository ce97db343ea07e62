// SPDX-License-Identifier: GPL-2.0-only
/* why: one process, and the answer in words. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "core/text.h"
#include "print.h"

/* A daemon that began to watch only now knows more in a moment. */
#define WATCH_MAX_NS (8 * NSEC_PER_SEC)
#define ASK_AGAIN_NS (NSEC_PER_SEC / 4)

static json_t *at(const json_t *object, const char *name)
{
	return json_object_get(object, name);
}

static void age_text(uint64_t ns, char age[TEXT_AGE_SIZE])
{
	text_format_age(ns, age);
}

/* Since a moment of this boot. */
static void since_text(const json_t *document, uint64_t then_ns, char age[TEXT_AGE_SIZE])
{
	uint64_t now_ns = number(document, "time_ns");

	age_text(now_ns > then_ns ? now_ns - then_ns : 0, age);
}

static void who_text(const json_t *who, char cell[CELL_SIZE])
{
	char comm[CELL_SIZE];

	if (!json_is_object(who))
		snprintf(cell, CELL_SIZE, "-");
	else if (!json_is_string(at(who, "comm")))
		snprintf(cell, CELL_SIZE, "%" PRIu64, number(who, "pid"));
	else
		snprintf(cell, CELL_SIZE, "%" PRIu64 " (%.64s)", number(who, "pid"),
			 member(who, "comm", comm));
}

/* Mostly its parent, of which more is known; of another one the pid that its id begins with. */
static void reaper_text(const json_t *document, const json_t *row, char cell[CELL_SIZE])
{
	const json_t *parent = at(document, "parent"), *id = at(row, "reaped_by");
	const char *text = json_string_value(id) ?: "-";

	if (json_is_string(id) && json_equal(id, at(parent, "id")))
		who_text(parent, cell);
	else
		snprintf(cell, CELL_SIZE, "%.*s", (int)(1 + strcspn(text + 1, "-")), text);
}

/* A label, and text that is broken at each "; ". */
static void print_words(FILE *out, const char *label, const json_t *words)
{
	const char *text = json_string_value(words), *end;
	char part[1024], safe[4096];

	for (; text && *text; text = *end ? end + 2 : end) {
		end = strstr(text, "; ");
		end = end ? end : text + strlen(text);
		snprintf(part, sizeof(part), "%.*s", (int)(end - text), text);
		fprintf(out, "%-10s %s\n", label, text_escape(part, safe, sizeof(safe)));
		label = "";
	}
}

static void print_orphan(FILE *out, const json_t *document)
{
	const json_t *orphan = at(document, "orphan"), *first = at(orphan, "first_parent");
	char parent[CELL_SIZE], adopter[CELL_SIZE], end[CELL_SIZE], age[TEXT_AGE_SIZE];

	if (!json_is_object(orphan))
		return;
	who_text(first, parent);
	who_text(at(orphan, "adopted_by"), adopter);
	exit_text(first, end);
	fprintf(out, "%-10s a child of %s", "orphan", parent);
	if (number(first, "exited_ns")) {
		since_text(document, number(first, "exited_ns"), age);
		fprintf(out, ", which ended %s ago: %s", age, end);
	}
	fprintf(out, "; adopted by %s\n", adopter);
}

/* Counted since it is watched, or anew since its exec. */
static void print_reaping(FILE *out, const json_t *document, const json_t *row)
{
	const json_t *reaping = at(document, "reaping"), *rates = at(reaping, "per_second");
	char median[CELL_SIZE], p99[CELL_SIZE], slowest[CELL_SIZE];

	if (!json_is_object(reaping))
		return;
	fprintf(out, "%-10s %" PRIu64 " of %" PRIu64 " children that died since %s", "reaps",
		number(reaping, "reaped"), number(reaping, "died"),
		number(reaping, "since_ns") == number(row, "exec_ns") ? "its exec" :
									"it is watched");
	if (number(reaping, "slowest_ns")) {
		short_time_text(number(reaping, "median_ns"), median);
		short_time_text(number(reaping, "p99_ns"), p99);
		short_time_text(number(reaping, "slowest_ns"), slowest);
		fprintf(out, ", after %s (median), %s (p99), %s (slowest)", median, p99, slowest);
	}
	fprintf(out, "\n%-10s %.2f born, %.2f died, %.2f reaped\n", "a second",
		json_real_value(at(rates, "born")), json_real_value(at(rates, "died")),
		json_real_value(at(rates, "reaped")));
}

static void print_adopter(FILE *out, const json_t *document)
{
	const json_t *adopter = at(document, "adopter");
	char who[CELL_SIZE];

	if (!json_is_object(adopter))
		return;
	who_text(adopter, who);
	fprintf(out, "%-10s %s adopts its children\n", "if it ends", who);
}

static void print_zombie(FILE *out, const json_t *document, const json_t *row)
{
	char age[TEXT_AGE_SIZE], end[CELL_SIZE], command[CELL_SIZE], parent[CELL_SIZE];
	const json_t *who = at(document, "parent");
	char watched[TEXT_AGE_SIZE];

	age_text(number(row, "age_ms") * NSEC_PER_MSEC, age);
	exit_text(row, end);
	command_text(row, command);
	who_text(who, parent);
	fprintf(out, "%" PRIu64 " %s\n%-10s for %s, %s, child of %s\n", number(row, "pid"), command,
		"zombie", age, end, parent);
	fprintf(out, "%-10s %s%s%s\n", "cause", out == stdout ? colour_on(RED) : "",
		json_string_value(at(document, "cause")) ?: "-", out == stdout ? colour_off() : "");
	print_words(out, "evidence", at(document, "evidence"));
	print_words(out, "remedy", at(document, "remedy"));
	print_words(out, "now", at(document, "clear_now"));
	age_text(number(document, "watched_ms") * NSEC_PER_MSEC, watched);
	fprintf(out, "%-10s %s of watching\n", "judged on", watched);
}

static void print_holds(FILE *out, const json_t *document, const json_t *row)
{
	const json_t *children = at(row, "children");
	const char *cause, *lead = ": ";
	json_t *count;

	fprintf(out, "%-10s %" PRIu64 " alive, %" PRIu64 " zombie%s", "children",
		number(children, "alive"), number(children, "zombies"),
		number(children, "zombies") == 1 ? "" : "s");
	json_object_foreach(at(document, "holds"), cause, count) {
		fprintf(out, "%s%" PRId64 " %s", lead, (int64_t)json_integer_value(count), cause);
		lead = ", ";
	}
	fprintf(out, "\n");
}

static void print_reaped(FILE *out, const json_t *document, const json_t *row)
{
	uint64_t reaped_ns = number(row, "reaped_ns"), zombie_ns = number(row, "zombie_ns");
	char age[TEXT_AGE_SIZE], end[CELL_SIZE], by[CELL_SIZE], took[CELL_SIZE];

	since_text(document, reaped_ns, age);
	exit_text(row, end);
	reaper_text(document, row, by);
	fprintf(out, "%-10s %s ago", "reaped", age);
	if (json_is_true(at(row, "autoreaped")))
		fprintf(out, ", by the kernel itself");
	else
		fprintf(out, ", by %s", by);
	if (zombie_ns && reaped_ns >= zombie_ns) {
		short_time_text(reaped_ns - zombie_ns, took);
		fprintf(out, ", %s after its death", took);
	}
	fprintf(out, "; %s\n", end);
}

static void print_process(FILE *out, const json_t *document, const json_t *row)
{
	const char *state = json_string_value(at(row, "state")) ?: "-";
	char age[TEXT_AGE_SIZE], command[CELL_SIZE];

	command_text(row, command);
	fprintf(out, "%" PRIu64 " %s\n", number(row, "pid"), command);
	if (!strcmp(state, "reaped")) {
		print_reaped(out, document, row);
		return;
	}
	since_text(document, number(row, "start_ns"), age);
	fprintf(out, "%-10s %s, born %s ago%s\n", "is", state, age,
		json_is_true(at(row, "kernel")) ? ": a kernel thread; the kernel reaps its own" :
						  "");
	print_holds(out, document, row);
	print_reaping(out, document, row);
	print_adopter(out, document);
}

void print_why(FILE *out, const json_t *document)
{
	const json_t *zombie = json_array_get(at(document, "zombies"), 0);

	if (zombie)
		print_zombie(out, document, zombie);
	else
		print_process(out, document, json_array_get(at(document, "processes"), 0));
	print_orphan(out, document);
}

static void pause_ns(uint64_t ns)
{
	const struct timespec pause = { .tv_nsec = (long)ns };

	nanosleep(&pause, NULL);
}

/* On a terminal only, and gone when the answer is there. */
static void tell_progress(const json_t *document)
{
	static bool told;

	if (!isatty(STDERR_FILENO))
		return;
	if (document)
		fprintf(stderr, "\rwatching %" PRIu64 " for %.1f s …", number(document, "pid"),
			(double)number(document, "watched_ms") / 1000);
	else if (told)
		fprintf(stderr, "\r\x1b[K");
	told = document != NULL;
}

/* A recording stands still: asking it again is of no use. */
static int watch(const struct options *options, struct source *source, json_t **document)
{
	uint64_t began_ns = number(*document, "time_ns"), now_ns = began_ns, last_ns = 0;
	int status = DONE;

	while (!status && json_is_false(at(*document, "enough")) && !interrupted &&
	       now_ns > last_ns && now_ns < began_ns + WATCH_MAX_NS) {
		last_ns = now_ns;
		tell_progress(*document);
		pause_ns(ASK_AGAIN_NS);
		json_decref(*document);
		status = source->ops->get(source, options, "why", document);
		now_ns = number(*document, "time_ns");
	}
	tell_progress(NULL);
	return status;
}

int show_why(const struct options *options, struct source *source)
{
	json_t *document;
	int status;

	if (!options->filter.has_pid) {
		complain("why: no PID given");
		return USAGE;
	}
	status = source->ops->get(source, options, "why", &document);
	if (!status)
		status = watch(options, source, &document);
	if (!status && options->json)
		status = print_json(document);
	else if (!status)
		print_why(stdout, document);
	json_decref(document);
	return status;
}
