// SPDX-License-Identifier: GPL-2.0-only
#include "top_pane.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HANG 2
#define HANG_WHY 11 /* the labels of `why` */

/* ---- lines ---- */

/* How many bytes fit into so many columns; broken at a blank where there is one. */
static size_t fitting(const char *text, int columns)
{
	char piece[CELL_SIZE];
	size_t len;
	char *blank;

	snprintf(piece, sizeof(piece), "%s", text);
	text_cut(piece, columns > 0 ? columns : 1);
	len = strlen(piece);
	if (!text[len])
		return len;
	blank = strrchr(piece, ' ');
	return blank && blank > piece ? (size_t)(blank - piece) : len ? len : 1;
}

static void put_line(struct pane *pane, enum tone tone, const char *text, size_t len, int indent)
{
	char *line;

	if (pane->count == PANE_LINES_MAX ||
	    asprintf(&line, "%*s%.*s", indent, "", (int)len, text) < 0)
		return;
	pane->lines[pane->count++] = (struct pane_line){ line, tone };
}

/* hang: by how much what is wrapped is moved in. */
static void put(struct pane *pane, enum tone tone, int columns, int hang, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

static void put(struct pane *pane, enum tone tone, int columns, int hang, const char *format, ...)
{
	char words[CELL_SIZE * 4];
	const char *rest = words;
	int indent = 0;
	va_list args;
	size_t len;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	do {
		len = fitting(rest, columns - indent);
		put_line(pane, tone, rest, len, indent);
		rest += len;
		rest += strspn(rest, " ");
		indent = columns > 3 * hang ? hang : 0;
	} while (*rest && pane->count < PANE_LINES_MAX);
}

void pane_free(struct pane *pane)
{
	for (int i = 0; i < pane->count; i++)
		free(pane->lines[i].text);
}

/* ---- all members of a row ---- */

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len > end_len && !strcmp(text + len - end_len, end);
}

/* A program that has written a title over its arguments leaves empty ones behind it. */
static json_t *without_empty_end(const json_t *args)
{
	json_t *cut = json_copy((json_t *)args);
	size_t count = json_array_size(cut);

	while (count && !json_string_length(json_array_get(cut, count - 1)))
		json_array_remove(cut, --count);
	return cut;
}

/* A moment as how long ago it was, a length as that. */
static void value_text(const char *name, const json_t *value, uint64_t now_ns, char text[CELL_SIZE])
{
	uint64_t n = (uint64_t)json_integer_value(value);
	char age[TEXT_AGE_SIZE];

	if (json_is_integer(value) && ends_with(name, "_bytes")) {
		bytes_text(n, text);
	} else if (json_is_integer(value) &&
		   (ends_with(name, "duration_ns") || ends_with(name, "wait_ns") ||
		    ends_with(name, "blocked_ns") || ends_with(name, "handlers_ns"))) {
		short_time_text(n, text);
	} else if (json_is_integer(value) && ends_with(name, "_ns")) {
		text_format_age(now_ns > n ? now_ns - n : 0, age);
		snprintf(text, CELL_SIZE, "%s ago", age);
	} else if (json_is_string(value)) {
		text_escape(json_string_value(value), text, CELL_SIZE);
	} else {
		json_t *shown = without_empty_end(value);
		char *dumped = json_dumps(shown, JSON_ENCODE_ANY | JSON_COMPACT);

		text_escape(dumped ? dumped : "", text, CELL_SIZE);
		free(dumped);
		json_decref(shown);
	}
}

/* What is not known, or not so, says nothing. */
static bool says_nothing(const json_t *value)
{
	return json_is_null(value) || json_is_false(value) ||
	       (json_is_object(value) && !json_object_size(value)) ||
	       (json_is_array(value) && !json_array_size(value));
}

static void put_members(struct pane *pane, const json_t *row, const char *within, uint64_t now_ns,
			int columns)
{
	char text[CELL_SIZE], path[96];
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)row, name, value) {
		if (says_nothing(value) || !strcmp(name, "args_truncated"))
			continue;
		snprintf(path, sizeof(path), "%.40s%s%.40s", within, *within ? "." : "", name);
		if (json_is_object(value) && !*within) {
			put_members(pane, value, name, now_ns, columns);
			continue;
		}
		value_text(name, value, now_ns, text);
		put(pane, TONE_PLAIN, columns, HANG, "%s: %s", path, text);
	}
}

/* ---- the pane ---- */

/* The newest that had the pid; what was asked for may be gone. */
static const json_t *row_of(const struct top *top)
{
	const struct top_look *look = &top->settings.looks[top->view];
	const json_t *row = json_array_get(json_object_get(top->details, "zombies"), 0);

	if (!row)
		row = json_array_get(json_object_get(top->details, "processes"), 0);
	if (strcmp(json_string_value(json_object_get(row, "id")) ?: "", look->selected))
		return NULL;
	return row;
}

/* What `why` prints, line by line. */
static void put_why(struct pane *pane, const json_t *document, int columns)
{
	char *text = NULL, *save = NULL;
	enum tone tone = TONE_TITLE;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	print_why(out, document);
	fclose(out);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		put(pane, strncmp(line, "cause ", 6) ? tone : TONE_BAD, columns, HANG_WHY, "%s",
		    line);
		tone = TONE_PLAIN;
	}
	free(text);
}

void pane_fill(struct pane *pane, const struct top *top, int columns)
{
	const json_t *row = row_of(top);

	if (!row) {
		put(pane, TONE_DIM, columns, 0, "%s",
		    *top->settings.looks[top->view].selected ? "nothing is known of it any more" :
							       "nothing is selected");
		return;
	}
	put_why(pane, top->details, columns);
	put(pane, TONE_PLAIN, columns, 0, " ");
	put_members(pane, row, "", number(top->details, "time_ns"), columns);
}
