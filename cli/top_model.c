// SPDX-License-Identifier: GPL-2.0-only
/* What top looks at: views, selection, filter. Knows no terminal. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "top.h"

#define MESSAGE_NS (4 * NSEC_PER_SEC)
#define LATELY_NS ((uint64_t)NSEC_PER_SEC)

const struct top_view_info top_views[TOP_VIEWS] = {
	[TOP_ZOMBIES] = { "zombies", "Zombies", "zombies", "zombies", VIEW_ZOMBIES, VIEW_ZOMBIES,
			  NULL, true, "no zombies: whatever ended has been reaped" },
	[TOP_LEAKS] = { "leaks", "Leaks", "leaks", "leaks", VIEW_LEAKS, VIEW_LEAKS, NULL, false,
			"no leaks: nobody holds zombies for long" },
	[TOP_PROCESSES] = { "processes", "Processes", "processes", "processes", VIEW_PROCESSES,
			    VIEW_PROCESSES, NULL, true, "no such processes" },
	[TOP_BIRTHS] = { "births", "Births", "births", "births", VIEW_BIRTHS, VIEW_BIRTHS, NULL,
			 false, "nobody has forked" },
	[TOP_COW] = { "cow", "COW", "cow", "forks", VIEW_COW, VIEW_COW, NULL, false,
		      "no forks that share or have copied pages" },
	[TOP_TREE] = { "tree", "Tree", "processes", "processes", VIEW_PROCESSES, VIEW_TREE, "tree",
		       false, "no such processes" },
	[TOP_EVENTS] = { "events", "Events", NULL, NULL, VIEW_EVENTS, VIEW_EVENTS, NULL, false,
			 "nothing has happened yet" },
};

int top_find_view(const char *name)
{
	for (int view = 0; *name && view < TOP_VIEWS; view++)
		if (!strncmp(top_views[view].name, name, strlen(name)))
			return view;
	return -1;
}

const char *const top_colour_names[TOP_COLOURS] = {
	[COLOURS_AUTO] = "auto",
	[COLOURS_256] = "256",
	[COLOURS_8] = "8",
	[COLOURS_NONE] = "none",
};

uint64_t top_clock_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

void top_init(struct top *top)
{
	*top = (struct top){ .dirty = true };
	toprc_defaults(&top->settings);
}

void top_free(struct top *top)
{
	json_decref(top->status);
	json_decref(top->status_before);
	json_decref(top->rows);
	json_decref(top->details);
	for (int i = 0; i < TOP_EVENTS_MAX; i++)
		json_decref(top->events[i]);
}

struct top_look *top_look(struct top *top)
{
	return &top->settings.looks[top->view];
}

const struct top_view_info *top_info(const struct top *top)
{
	return &top_views[top->view];
}

void top_say(struct top *top, const char *format, ...)
{
	char words[sizeof(top->message)];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	text_escape(words, top->message, sizeof(top->message));
	top->message_until_ns = top_clock_ns() + MESSAGE_NS;
	top->dirty = true;
}

/* ---- questions ---- */

static void add(const struct top *top, struct options *options, const char *name,
		const char *format, ...) __attribute__((format(printf, 4, 5)));

static void add(const struct top *top, struct options *options, const char *name,
		const char *format, ...)
{
	char value[512];
	va_list args;

	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	add_filter(options, top_info(top)->kind, name, value);
}

static void add_columns(const struct top *top, const struct top_look *look, struct options *options)
{
	char names[512] = "";
	size_t used = 0;
	uint64_t set = look->columns;

	if (top->view == TOP_ZOMBIES) /* its colour */
		set |= 1ULL << COLUMN_FLAGGED;
	for (int column = 0; column < COLUMN_COUNT && used < sizeof(names); column++)
		if (set & 1ULL << column)
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
						 used ? "," : "", column_infos[column].name);
	add(top, options, "columns", "%s", names);
}

void top_query(const struct top *top, struct options *options, uint64_t limit)
{
	const struct top_view_info *info = top_info(top);
	const struct top_look *look = &top->settings.looks[top->view];

	*options = (struct options){ 0 };
	if (info->always)
		add(top, options, info->always, "1");
	if (look->sort >= 0)
		add(top, options, "sort", "%s", column_infos[look->sort].name);
	if (look->reverse)
		add(top, options, "reverse", "1");
	if (top->settings.kernel)
		add(top, options, "kernel", "1");
	if (top->older_ns)
		add(top, options, "older", "%" PRIu64 "ns", top->older_ns);
	if (top->younger_ns)
		add(top, options, "younger", "%" PRIu64 "ns", top->younger_ns);
	if (*top->text)
		add(top, options, "text", "%s", top->text);
	if (info->lately && top->room) /* a screen marks them */
		add(top, options, "lately", "%" PRIu64 "ns", top->settings.delay_ns + LATELY_NS);
	add_columns(top, look, options);
	if (limit) {
		add(top, options, "limit", "%" PRIu64, limit);
		add(top, options, "offset", "%" PRIu64, look->offset);
	}
	if (limit && look->follows && *look->selected)
		add(top, options, "select", "%s", look->selected);
}

void top_ask_rows(struct top *top)
{
	struct options options;

	if (!top_info(top)->what)
		return;
	top_query(top, &options, top->room ? top->room : 1);
	top->feed->ops->ask(top->feed, ASK_ROWS, top_info(top)->what, &options);
}

void top_ask_details(struct top *top)
{
	struct options options = { 0 };
	const struct top_look *look = top_look(top);
	uint64_t pid, start_ns;
	char value[32];

	if (!top->details_open || text_parse_id(look->selected, &pid, &start_ns))
		return;
	snprintf(value, sizeof(value), "%" PRIu64, pid);
	add_filter(&options, VIEW_WHY, "pid", value);
	top->feed->ops->ask(top->feed, ASK_DETAILS, "why", &options);
}

void top_refresh(struct top *top)
{
	const struct options plain = { 0 };

	top->feed->ops->ask(top->feed, ASK_STATUS, "status", &plain);
	top_ask_rows(top);
	top_ask_details(top);
}

void top_find(struct top *top, const char *text)
{
	struct options options;
	char value[32];

	if (!top_info(top)->what)
		return;
	if (strcmp(top->find, text)) {
		snprintf(top->find, sizeof(top->find), "%s", text);
		top->find_count = 0;
	}
	top_query(top, &options, 0);
	snprintf(value, sizeof(value), "%" PRIu64, top->find_count);
	if (!*text || add_filter(&options, top_info(top)->kind, "text", text))
		return;
	add_filter(&options, top_info(top)->kind, "limit", "1");
	add_filter(&options, top_info(top)->kind, "offset", value);
	top->feed->ops->ask(top->feed, ASK_FIND, top_info(top)->what, &options);
}

void top_set_view(struct top *top, enum top_view view)
{
	if (view == top->view && top->rows)
		return;
	top->view = view;
	json_decref(top->rows);
	top->rows = NULL;
	top->asked_view = true;
	top->dirty = true;
	top->feed->ops->stream(top->feed, view == TOP_EVENTS || top->feed->player);
	top_ask_rows(top);
	top_ask_details(top);
}

void top_open_details(struct top *top, bool open)
{
	top->details_open = open;
	top->details_scroll = 0;
	top->dirty = true;
	top_ask_details(top);
}

/* ---- answers ---- */

const json_t *top_array(const struct top *top)
{
	const char *array = top_info(top)->array;

	return array ? json_object_get(top->rows, array) : NULL;
}

const char *top_row_id(const struct top *top, const json_t *row)
{
	const char *name = top->view == TOP_LEAKS ? "parent_id" : "id";

	return json_string_value(json_object_get(row, name)) ?: "";
}

static void select_row(struct top *top, uint64_t rank)
{
	struct top_look *look = top_look(top);
	const json_t *row = json_array_get(top_array(top), (size_t)(rank - look->offset));
	char was[TEXT_ID_SIZE];

	look->rank = rank;
	strcpy(was, look->selected);
	snprintf(look->selected, sizeof(look->selected), "%s", row ? top_row_id(top, row) : "");
	if (strcmp(was, look->selected)) {
		top->details_scroll = 0;
		top_ask_details(top);
	}
}

/* The selected process may have moved, and the window with it; or it is gone. */
static void take_place(struct top *top)
{
	struct top_look *look = top_look(top);
	const json_t *rank = json_object_get(top->rows, "rank");
	size_t count = json_array_size(top_array(top));

	look->total = json_object_get(top->rows, "total") ? number(top->rows, "total") : count;
	look->offset = number(top->rows, "offset");
	if (!look->follows)
		look->rank = look->offset;
	else if (json_is_integer(rank))
		look->rank = (uint64_t)json_integer_value(rank);
	if (look->rank >= look->total)
		look->rank = look->total ? look->total - 1 : 0;
	if (look->rank < look->offset)
		look->rank = look->offset;
	if (count && look->rank >= look->offset + count)
		look->rank = look->offset + count - 1;
	select_row(top, look->rank);
}

static double per_second(const json_t *now, const json_t *before, const char *name, double seconds)
{
	uint64_t to = number(now, name), from = before ? number(before, name) : 0;

	return to > from && seconds > 0 ? (double)(to - from) / seconds : 0;
}

static void take_rates(struct top *top)
{
	const json_t *now = top->status, *before = top->status_before;
	double seconds = before ? (double)(number(now, "time_ns") - number(before, "time_ns")) /
					  NSEC_PER_SEC :
				  (double)number(now, "uptime_s");

	top->rates = (struct top_rates){
		.forks = per_second(now, before, "forks", seconds),
		.execs = per_second(now, before, "execs", seconds),
		.exits = per_second(now, before, "exits", seconds),
		.reaps = per_second(now, before, "reaps", seconds),
		.cow_bytes = per_second(json_object_get(now, "cow"), json_object_get(before, "cow"),
					"bytes", seconds),
		.cpu = per_second(json_object_get(now, "self"), json_object_get(before, "self"),
				  "cpu_ns", seconds) /
		       NSEC_PER_SEC,
	};
	if (!before)
		return;
	memmove(top->history, top->history + 1, sizeof(top->history) - sizeof(top->history[0]));
	top->history[TOP_HISTORY - 1] = top->rates.forks;
}

/* Zombies come first, where there are any and nobody has chosen. */
static void choose_view(struct top *top)
{
	if (top->asked_view)
		return;
	if (top->settings.first >= 0)
		top_set_view(top, (enum top_view)top->settings.first);
	else
		top_set_view(top, number(top->status, "zombies") ? TOP_ZOMBIES : TOP_PROCESSES);
}

/* A daemon that was started anew counts from nothing. */
static void take_status(struct top *top, json_t *document)
{
	uint64_t time_ns = number(document, "time_ns");

	if (top->status && time_ns == number(top->status, "time_ns")) {
		json_decref(document);
		return;
	}
	json_decref(top->status_before);
	top->status_before = top->status;
	top->status = document;
	if (top->status_before &&
	    (time_ns < number(top->status_before, "time_ns") ||
	     number(document, "forks") < number(top->status_before, "forks"))) {
		json_decref(top->status_before);
		top->status_before = NULL;
	}
	take_rates(top);
	choose_view(top);
}

static void take_found(struct top *top, const json_t *document)
{
	const json_t *row = json_array_get(json_object_get(document, top_info(top)->array), 0);
	uint64_t total = number(document, "total");
	struct top_look *look = top_look(top);

	if (!row) {
		top_say(top, "'%.64s' is not found", top->find);
		return;
	}
	top->find_count = (top->find_count + 1) % (total ? total : 1);
	snprintf(look->selected, sizeof(look->selected), "%s", top_row_id(top, row));
	look->follows = true;
	top_ask_rows(top);
	top_ask_details(top);
}

static void take_rows(struct top *top, json_t *document)
{
	if (!json_object_get(document, top_info(top)->array)) { /* of another view, by now */
		json_decref(document);
		return;
	}
	json_decref(top->rows);
	top->rows = document;
	take_place(top);
}

void top_answered(void *user, enum ask ask, json_t *document, const char *error)
{
	struct top *top = user;

	top->dirty = true;
	if (error && ask == ASK_DETAILS) { /* the pane says so */
		json_decref(top->details);
		json_decref(document);
		top->details = NULL;
		return;
	}
	if (error) {
		top_say(top, "%s", error);
		top->refused |= ask != ASKS;
		json_decref(document);
		return;
	}
	top->answered |= 1U << ask;
	switch (ask) {
	case ASK_STATUS:
		take_status(top, document);
		break;
	case ASK_ROWS:
		take_rows(top, document);
		break;
	case ASK_DETAILS:
		json_decref(top->details);
		top->details = document;
		break;
	case ASK_FIND:
		take_found(top, document);
		json_decref(document);
		break;
	case ASKS: /* only the feed's state is another */
		break;
	}
}

void top_happened(void *user, json_t *event)
{
	struct top *top = user;
	json_t **slot = &top->events[top->event_count % TOP_EVENTS_MAX];

	if (top->paused) { /* what is looked at stays */
		json_decref(event);
		return;
	}
	json_decref(*slot);
	*slot = event;
	top->event_count++;
	if (top->view == TOP_EVENTS)
		top->dirty = true;
}

bool top_event_line(const struct top *top, uint64_t back, char *line, size_t size)
{
	uint64_t kept = top->event_count < TOP_EVENTS_MAX ? top->event_count : TOP_EVENTS_MAX;

	*line = '\0';
	if (back >= kept)
		return false;
	event_text(top->events[(top->event_count - 1 - back) % TOP_EVENTS_MAX],
		   number(top->status, "boot_realtime_ns"), line, size);
	if (*top->text && !strcasestr(line, top->text))
		*line = '\0';
	return true;
}

/* ---- the selection ---- */

const json_t *top_selected(const struct top *top)
{
	const struct top_look *look = &top->settings.looks[top->view];

	return json_array_get(top_array(top), (size_t)(look->rank - look->offset));
}

void top_move_to(struct top *top, uint64_t rank)
{
	struct top_look *look = top_look(top);
	uint64_t room = top->room ? top->room : 1;

	if (!look->total)
		return;
	if (rank >= look->total)
		rank = look->total - 1;
	look->follows = true;
	top->dirty = true;
	if (rank >= look->offset && rank < look->offset + json_array_size(top_array(top))) {
		select_row(top, rank);
		return;
	}
	look->offset = rank < look->offset ? rank : rank - (rank < room ? rank : room - 1);
	look->rank = rank;
	*look->selected = '\0'; /* whoever stands there */
	top_ask_rows(top);
}

void top_move(struct top *top, int64_t by)
{
	uint64_t rank = top_look(top)->rank;

	top_move_to(top, by < 0 && rank < (uint64_t)-by ? 0 : rank + (uint64_t)by);
}

void top_move_home(struct top *top)
{
	struct top_look *look = top_look(top);

	look->follows = false;
	look->offset = look->rank = 0;
	*look->selected = '\0';
	top->dirty = true;
	top_ask_rows(top);
}

enum tone top_tone(const struct top *top, const json_t *row)
{
	const char *state = json_string_value(json_object_get(row, "state")) ?: "";

	if (!strcmp(state, "reaped"))
		return TONE_DIM;
	if (top->view == TOP_LEAKS)
		return TONE_BAD;
	if (!strcmp(state, "zombie"))
		return json_is_true(json_object_get(row, "flagged")) ? TONE_BAD : TONE_WARN;
	return number(json_object_get(row, "children"), "zombies") ? TONE_WARN : TONE_PLAIN;
}
