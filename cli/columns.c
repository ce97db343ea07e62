// SPDX-License-Identifier: GPL-2.0-only
#include "columns.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/text.h"

#define CELL(NAME)                                                                          \
	static void cell_##NAME(const json_t *row, uint64_t now_ns __attribute__((unused)), \
				char cell[CELL_SIZE])

static const json_t *part(const json_t *row, const char *name)
{
	return json_object_get(row, name);
}

static void number_text(const json_t *row, const char *name, char cell[CELL_SIZE])
{
	snprintf(cell, CELL_SIZE, "%" PRIu64, number(row, name));
}

/* Nothing is a dash: what there is some of stands out. */
static void count_text(uint64_t count, char cell[CELL_SIZE])
{
	if (count)
		snprintf(cell, CELL_SIZE, "%" PRIu64, count);
	else
		strcpy(cell, "-");
}

static void age_text(uint64_t then_ns, uint64_t now_ns, char cell[CELL_SIZE])
{
	text_format_age(now_ns > then_ns ? now_ns - then_ns : 0, cell);
}

static void optional_bytes(const json_t *object, const char *name, char cell[CELL_SIZE])
{
	if (json_is_integer(part(object, name)))
		bytes_text(number(object, name), cell);
	else
		strcpy(cell, "-");
}

static void pid_and_name(const json_t *row, const char *pid, const char *comm, char cell[CELL_SIZE])
{
	char name[CELL_SIZE];

	snprintf(cell, CELL_SIZE, "%" PRIu64 " %.64s", number(row, pid), member(row, comm, name));
}

/* ---- one a column ---- */

CELL(CREATOR)
{
	pid_and_name(row, "ppid", "parent_comm", cell);
}

CELL(PID)
{
	number_text(row, "pid", cell);
}

CELL(PER_SECOND)
{
	count_text(number(row, "births_per_s"), cell);
}

CELL(BIRTHS)
{
	number_text(row, "births", cell);
}

CELL(CHILD)
{
	pid_and_name(row, "pid", "comm", cell);
}

CELL(SINCE)
{
	age_text(number(row, "forked_ns"), now_ns, cell);
}

CELL(ZOMBIE_FOR)
{
	age_text(number(row, "zombie_ns"), now_ns, cell);
}

CELL(FLAGGED)
{
	strcpy(cell, json_is_true(part(row, "flagged")) ? "yes" : "-");
}

CELL(STATUS)
{
	exit_text(row, cell);
}

CELL(PPID)
{
	number_text(row, "ppid", cell);
}

CELL(PARENT)
{
	char name[CELL_SIZE];

	snprintf(cell, CELL_SIZE, "%s", member(row, "parent_comm", name));
}

CELL(ITS_WAITS)
{
	count_text(number(part(row, "parent_waits"), "calls"), cell);
}

CELL(ITS_CAUSE)
{
	char name[CELL_SIZE];

	snprintf(cell, CELL_SIZE, "%s", member(row, "cause", name));
}

CELL(UID)
{
	number_text(row, "uid", cell);
}

CELL(AGE)
{
	age_text(number(row, "start_ns"), now_ns, cell);
}

CELL(STATE)
{
	bool in_handlers = number(row, "exit_called_ns") && !number(row, "exited_ns");
	char age[CELL_SIZE] = "";

	if (in_handlers)
		age_text(number(row, "exit_called_ns"), now_ns, age);
	snprintf(cell, CELL_SIZE, "%s%s%s%.32s", json_string_value(part(row, "state")) ?: "-",
		 json_is_true(part(row, "orphan")) ? ", orphan" : "",
		 in_handlers ? ": exiting, in handlers for " : "", age);
}

CELL(ALIVE)
{
	count_text(number(part(row, "children"), "alive"), cell);
}

CELL(ZOMBIES)
{
	count_text(number(part(row, "children"), "zombies"), cell);
}

CELL(WAITS)
{
	count_text(number(part(row, "waits"), "calls"), cell);
}

CELL(COPIED_BY)
{
	optional_bytes(part(row, "cow"), "bytes", cell);
}

CELL(FORK_FAILURES)
{
	uint64_t sum = 0;
	const char *name;
	json_t *count;

	json_object_foreach((json_t *)part(row, "fork_failures"), name, count)
		sum += (uint64_t)json_integer_value(count);
	count_text(sum, cell);
}

CELL(TOOK)
{
	uint64_t duration_ns = number(part(row, "fork"), "duration_ns");

	strcpy(cell, "-");
	if (duration_ns)
		short_time_text(duration_ns, cell);
}

CELL(SHARED)
{
	optional_bytes(part(row, "fork"), "rss_bytes", cell);
}

CELL(TABLES)
{
	optional_bytes(part(row, "fork"), "pagetable_bytes", cell);
}

CELL(COPIED)
{
	bytes_text(number(row, "copied_bytes"), cell);
}

CELL(BY_PARENT)
{
	bytes_text(number(part(row, "parent_cow"), "bytes"), cell);
}

CELL(BY_CHILD)
{
	bytes_text(number(part(row, "cow"), "bytes"), cell);
}

CELL(SHARE)
{
	const json_t *share = part(row, "copied_share");

	if (json_is_number(share))
		snprintf(cell, CELL_SIZE, "%.1f %%", json_number_value(share) * 100);
	else
		strcpy(cell, "-");
}

CELL(RATE)
{
	snprintf(cell, CELL_SIZE, "%.0f", json_number_value(part(row, "copies_per_s")));
}

CELL(REUSES)
{
	snprintf(cell, CELL_SIZE, "%" PRIu64,
		 number(part(row, "parent_cow"), "reuses") + number(part(row, "cow"), "reuses"));
}

/* How long they shared pages, if they share none any more. */
CELL(OVER)
{
	char age[CELL_SIZE], end[CELL_SIZE];

	strcpy(cell, "-");
	if (!number(row, "ended_ns"))
		return;
	age_text(number(row, "forked_ns"), number(row, "ended_ns"), age);
	snprintf(cell, CELL_SIZE, "%.16s, after %.16s", member(row, "end", end), age);
}

/* The unit, or the beginning of the container's id. */
CELL(LEAKER)
{
	pid_and_name(row, "pid", "comm", cell);
}

CELL(HOLDS)
{
	number_text(row, "zombies", cell);
}

CELL(OLDEST)
{
	strcpy(cell, "-");
	if (json_is_integer(part(row, "oldest_ms")))
		text_format_age(number(row, "oldest_ms") * NSEC_PER_MSEC, cell);
}

CELL(NET)
{
	snprintf(cell, CELL_SIZE, "%+.1f", json_number_value(part(row, "rate_per_minute")));
}

CELL(CAUSE)
{
	char cause[CELL_SIZE];

	snprintf(cell, CELL_SIZE, "%.64s", member(row, "cause", cause));
}

CELL(SILENCED)
{
	strcpy(cell, "-");
	if (number(row, "silenced_until_ns"))
		age_text(now_ns, number(row, "silenced_until_ns"), cell);
}

CELL(LEFT_PIDS)
{
	strcpy(cell, "-");
	if (json_is_integer(part(row, "pids_left")))
		number_text(row, "pids_left", cell);
}

CELL(RUN_OUT)
{
	uint64_t seconds = number(row, "exhausted_in_s");

	strcpy(cell, "-");
	if (json_is_integer(part(row, "exhausted_in_s")))
		text_format_age(seconds < UINT64_MAX / NSEC_PER_SEC ? seconds * NSEC_PER_SEC :
								      UINT64_MAX,
				cell);
}

CELL(LIMIT)
{
	char limit[CELL_SIZE];

	snprintf(cell, CELL_SIZE, "%s", member(row, "limit", limit));
}

CELL(UNIT)
{
	const char *container = json_string_value(part(row, "container"));
	char name[CELL_SIZE];

	if (container)
		snprintf(cell, CELL_SIZE, "%.12s", container);
	else
		snprintf(cell, CELL_SIZE, "%s", member(row, "unit", name));
}

CELL(COMM)
{
	char name[CELL_SIZE];

	snprintf(cell, CELL_SIZE, "%s", member(row, "comm", name));
}

/* Below whom: the lines of the tree, as deep as they can be read. */
#define BRANCHES_MAX 24

static size_t branch_text(const json_t *row, char cell[CELL_SIZE])
{
	uint64_t more = number(row, "more_below"), depth = number(row, "depth");
	size_t used = 0;

	for (uint64_t at = 1; at <= depth && at <= BRANCHES_MAX; at++) {
		bool goes_on = more & 1ULL << at, own = at == depth;

		used += (size_t)snprintf(cell + used, CELL_SIZE - used, "%s",
					 own	 ? goes_on ? "├─ " : "└─ " :
					 goes_on ? "│  " :
						   "   ");
	}
	return used;
}

CELL(COMMAND)
{
	size_t used = branch_text(row, cell);
	char command[CELL_SIZE];

	command_text(row, command);
	snprintf(cell + used, CELL_SIZE - used, "%s", command);
}

void column_cell(enum column column, const json_t *row, uint64_t now_ns, char cell[CELL_SIZE])
{
	static void (*const cells[COLUMN_COUNT])(const json_t *, uint64_t, char *) = {
#define X(NAME, ...) [COLUMN_##NAME] = cell_##NAME,
		LT_COLUMNS(X)
#undef X
	};

	cells[column](row, now_ns, cell);
}

/* ---- the manual ---- */

static void print_views(uint32_t views, uint32_t shown)
{
	static const struct {
		uint32_t view;
		const char *name;
	} names[] = {
		{ VIEW_ZOMBIES, "zombies" },
		{ VIEW_PROCESSES, "ps" },
		{ VIEW_COW, "cow" },
		{ VIEW_BIRTHS, "births" },
	};
	const char *lead = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(views & names[i].view))
			continue;
		printf("%s%s%s", lead, names[i].name,
		       shown & names[i].view ? "" : " (if asked for)");
		lead = ", ";
	}
}

void document_columns(void)
{
	puts("# Columns\n\n"
	     "What `--columns` and `--sort` know, and `lifetrace top` too. Made from daemon/core/columns.h by\n"
	     "`lifetrace --document-columns`.\n\n"
	     "| name | title | where | JSON | sorted | what it is |\n"
	     "| --- | --- | --- | --- | --- | --- |");
	for (int column = 0; column < COLUMN_COUNT; column++) {
		const struct column_info *info = &column_infos[column];

		printf("| %s | %s | ", info->name, info->title);
		print_views(info->has, info->shown);
		printf(" | %s | %s | %s |\n", info->members, info->falling ? "down" : "up",
		       info->help);
	}
}
