// SPDX-License-Identifier: GPL-2.0-only
/* cow: what forks cost, and what was copied since. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "core/text.h"
#include "print.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define WATCH_S 1

static const json_t *part(const json_t *row, const char *name)
{
	return json_object_get(row, name);
}

/* ---- columns ---- */

static void pid_and_name(const json_t *row, const char *pid, const char *comm, char *cell)
{
	char name[CELL_SIZE];

	snprintf(cell, CELL_SIZE, "%" PRIu64 " %.64s", number(row, pid), member(row, comm, name));
}

static void cell_parent(const json_t *row, uint64_t now_ns, char cell[CELL_SIZE])
{
	(void)now_ns;
	pid_and_name(row, "ppid", "parent_comm", cell);
}

static void cell_child(const json_t *row, uint64_t now_ns, char cell[CELL_SIZE])
{
	(void)now_ns;
	pid_and_name(row, "pid", "comm", cell);
}

static void age_text(uint64_t then_ns, uint64_t now_ns, char *cell)
{
	text_format_age(now_ns > then_ns ? now_ns - then_ns : 0, cell);
}

static void cell_since(const json_t *row, uint64_t now_ns, char cell[CELL_SIZE])
{
	age_text(number(row, "forked_ns"), now_ns, cell);
}

/* How long they shared pages, if they share none any more. */
static void cell_over(const json_t *row, uint64_t now_ns, char cell[CELL_SIZE])
{
	char age[TEXT_AGE_SIZE], end[CELL_SIZE];

	(void)now_ns;
	strcpy(cell, "-");
	if (!number(row, "ended_ns"))
		return;
	age_text(number(row, "forked_ns"), number(row, "ended_ns"), age);
	snprintf(cell, CELL_SIZE, "%.16s, after %s", member(row, "end", end), age);
}

static void optional_bytes(const json_t *object, const char *name, char *cell)
{
	if (json_is_integer(part(object, name)))
		bytes_text(number(object, name), cell);
	else
		strcpy(cell, "-");
}

static void cell_took(const json_t *row, uint64_t now_ns, char cell[CELL_SIZE])
{
	uint64_t duration_ns = number(part(row, "fork"), "duration_ns");

	(void)now_ns;
	strcpy(cell, "-");
	if (duration_ns)
		short_time_text(duration_ns, cell);
}

static void cell_shared(const json_t *row, uint64_t now_ns, char cell[CELL_SIZE])
{
	(void)now_ns;
	optional_bytes(part(row, "fork"), "rss_bytes", cell);
}

static void cell_tables(const json_t *row, uint64_t now_ns, char cell[CELL_SIZE])
{
	(void)now_ns;
	optional_bytes(part(row, "fork"), "pagetable_bytes", cell);
}

static void cell_copied(const json_t *row, uint64_t now_ns, char cell[CELL_SIZE])
{
	(void)now_ns;
	bytes_text(number(row, "copied_bytes"), cell);
}

static void cell_by_parent(const json_t *row, uint64_t now_ns, char cell[CELL_SIZE])
{
	(void)now_ns;
	bytes_text(number(part(row, "parent_cow"), "bytes"), cell);
}

static void cell_by_child(const json_t *row, uint64_t now_ns, char cell[CELL_SIZE])
{
	(void)now_ns;
	bytes_text(number(part(row, "cow"), "bytes"), cell);
}

static void cell_reused(const json_t *row, uint64_t now_ns, char cell[CELL_SIZE])
{
	(void)now_ns;
	snprintf(cell, CELL_SIZE, "%" PRIu64,
		 number(part(row, "parent_cow"), "reuses") + number(part(row, "cow"), "reuses"));
}

static void cell_share(const json_t *row, uint64_t now_ns, char cell[CELL_SIZE])
{
	const json_t *share = part(row, "copied_share");

	(void)now_ns;
	if (json_is_number(share))
		snprintf(cell, CELL_SIZE, "%.1f %%", json_number_value(share) * 100);
	else
		strcpy(cell, "-");
}

static void cell_rate(const json_t *row, uint64_t now_ns, char cell[CELL_SIZE])
{
	(void)now_ns;
	snprintf(cell, CELL_SIZE, "%.0f", json_number_value(part(row, "copies_per_s")));
}

static const struct column columns[] = {
	{ "PARENT", 0, cell_parent },	  { "CHILD", 0, cell_child },
	{ "SINCE", 1, cell_since },	  { "FORK TOOK", 1, cell_took },
	{ "SHARED", 1, cell_shared },	  { "PAGE TABLES", 1, cell_tables },
	{ "COPIED", 1, cell_copied },	  { "BY PARENT", 1, cell_by_parent },
	{ "BY CHILD", 1, cell_by_child }, { "SHARE", 1, cell_share },
	{ "COPIES/S", 1, cell_rate },	  { "REUSES", 1, cell_reused },
	{ "OVER", 0, cell_over },
};

/* ---- in words ---- */

static void print_sentence(const json_t *row, uint64_t now_ns)
{
	char parent[CELL_SIZE], child[CELL_SIZE], took[CELL_SIZE], copied[CELL_SIZE];
	char by_parent[CELL_SIZE], ago[CELL_SIZE], end[CELL_SIZE];
	bool known = number(part(row, "fork"), "duration_ns") != 0;

	cell_parent(row, now_ns, parent);
	cell_child(row, now_ns, child);
	cell_took(row, now_ns, took);
	cell_copied(row, now_ns, copied);
	cell_by_parent(row, now_ns, by_parent);
	cell_since(row, now_ns, ago);
	cell_over(row, now_ns, end);
	printf("%.80s -> %.80s, %.16s ago: %s%.32s%s%.32s copied since, %.32s by the parent%s%.80s\n",
	       parent, child, ago, known ? "fork took " : "", known ? took : "", known ? "; " : "",
	       copied, by_parent, number(row, "ended_ns") ? "; over: " : "",
	       number(row, "ended_ns") ? end : "");
}

static void print_forks(const struct options *options, const json_t *document)
{
	const json_t *rows = part(document, "forks"), *row;
	uint64_t now_ns = number(document, "time_ns");
	size_t i;

	if (!json_array_size(rows)) {
		puts("no forks that share or have copied pages");
		return;
	}
	if (options->filter.has_pid) {
		json_array_foreach(rows, i, row)
			print_sentence(row, now_ns);
		putchar('\n');
	}
	print_rows(rows, now_ns, columns, ARRAY_SIZE(columns));
}

/* ---- the command ---- */

/* Forks are shown all the same, with what they shared. */
static int tell_unobserved(struct source *source)
{
	const struct options plain = { 0 };
	json_t *status;
	char why[CELL_SIZE];
	int err = source->ops->get(source, &plain, "status", &status);

	if (err)
		return err;
	complain("copy-on-write is not observed: %s", member(part(status, "hooks"), "cow", why));
	json_decref(status);
	return DONE;
}

static int show_once(const struct options *options, struct source *source)
{
	json_t *document;
	int status = source->ops->get(source, options, "cow", &document);
	bool none;

	if (status)
		return status;
	none = !json_array_size(part(document, "forks"));
	if (options->json)
		status = print_json(document);
	else
		print_forks(options, document);
	if (!status && json_is_false(part(document, "observed")))
		status = tell_unobserved(source);
	if (!status && none && options->filter.has_pid) {
		complain("no fork by or of process %" PRIu64 " is known", options->filter.pid);
		status = FAILED;
	}
	json_decref(document);
	return status;
}

int show_cow(const struct options *options, struct source *source)
{
	bool clears = options->watch && !options->json && isatty(STDOUT_FILENO);
	const struct timespec pause = { .tv_sec = WATCH_S };
	int status;

	for (;;) {
		if (clears)
			fputs("\x1b[H\x1b[2J", stdout);
		status = show_once(options, source);
		if (status || !options->watch || fflush(stdout) || ferror(stdout))
			break;
		if (nanosleep(&pause, NULL))
			break;
	}
	return options->watch && interrupted ? DONE : status;
}
