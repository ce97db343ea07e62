// SPDX-License-Identifier: GPL-2.0-only
/* cow: what forks cost, and what was copied since. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "columns.h"

static const json_t *part(const json_t *row, const char *name)
{
	return json_object_get(row, name);
}

/* ---- in words ---- */

static void print_sentence(const json_t *row, uint64_t now_ns)
{
	char parent[CELL_SIZE], child[CELL_SIZE], took[CELL_SIZE], copied[CELL_SIZE];
	char by_parent[CELL_SIZE], ago[CELL_SIZE], end[CELL_SIZE];
	bool known = number(part(row, "fork"), "duration_ns") != 0;

	column_cell(COLUMN_CREATOR, row, now_ns, parent);
	column_cell(COLUMN_CHILD, row, now_ns, child);
	column_cell(COLUMN_TOOK, row, now_ns, took);
	column_cell(COLUMN_COPIED, row, now_ns, copied);
	column_cell(COLUMN_BY_PARENT, row, now_ns, by_parent);
	column_cell(COLUMN_SINCE, row, now_ns, ago);
	column_cell(COLUMN_OVER, row, now_ns, end);
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
	print_rows(rows, now_ns, options->filter.columns ?: column_set_shown(VIEW_COW));
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
	return show_watched(options, source, show_once);
}
