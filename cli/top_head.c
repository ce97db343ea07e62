// SPDX-License-Identifier: GPL-2.0-only
/* The head of top: how the host is, in four lines of words. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "top.h"

static void say(struct head *head, int line, enum tone tone, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void say(struct head *head, int line, enum tone tone, const char *format, ...)
{
	struct span *span = &head->spans[line][head->counts[line]];
	va_list args;

	if (head->counts[line] == HEAD_SPANS)
		return;
	head->counts[line]++;
	span->tone = tone;
	va_start(args, format);
	vsnprintf(span->text, sizeof(span->text), format, args);
	va_end(args);
}

static void say_place(const struct top *top, struct head *head)
{
	const struct player *player = top->feed->player;
	char host[256] = "", escaped[128], up[TEXT_AGE_SIZE], clock[32] = "";
	uint64_t time_ns = number(top->status, "time_ns");
	time_t seconds =
		(time_t)((time_ns + number(top->status, "boot_realtime_ns")) / NSEC_PER_SEC);
	struct tm tm;

	gethostname(host, sizeof(host) - 1);
	text_format_age(time_ns, up);
	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&seconds, &tm));
	say(head, 0, TONE_TITLE, "%s",
	    player ? "recording" : text_escape(host, escaped, sizeof(escaped)));
	say(head, 0, TONE_PLAIN, "up %s", up);
	say(head, 0, TONE_PLAIN, "%s", clock);
	if (player && player->ended)
		say(head, 0, TONE_WARN, "end of the recording");
	else if (player && player->paused)
		say(head, 0, TONE_WARN, "paused");
	else if (player)
		say(head, 0, TONE_GOOD, player->speed < 0 ? "1/%dx" : "%dx",
		    1 << abs(player->speed));
	else if (top->paused)
		say(head, 0, TONE_WARN, "paused");
}

/* What keeps rows off the screen is not to be overlooked. */
static void say_filter(const struct top *top, struct head *head)
{
	char text[TOP_TEXT_SIZE], age[64];

	if (*top->text)
		say(head, 0, TONE_WARN, "filter: %s", text_escape(top->text, text, sizeof(text)));
	if (top->older_ns) {
		text_format_duration(top->older_ns, age, sizeof(age));
		say(head, 0, TONE_WARN, "older than %s", age);
	}
	if (top->younger_ns) {
		text_format_duration(top->younger_ns, age, sizeof(age));
		say(head, 0, TONE_WARN, "younger than %s", age);
	}
}

/* The rates of the latest refreshes, the newest right. */
static void graph_text(const struct top *top, int columns, char *text, size_t size)
{
	static const char *const bars[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	int room = (int)((size - 1) / strlen(bars[0]));
	double most = 1;
	size_t used = 0;

	if (columns > room)
		columns = room;
	if (columns > TOP_HISTORY)
		columns = TOP_HISTORY;
	for (int i = TOP_HISTORY - columns; i < TOP_HISTORY; i++)
		if (top->history[i] > most)
			most = top->history[i];
	*text = '\0';
	for (int i = TOP_HISTORY - columns; i < TOP_HISTORY; i++)
		used += (size_t)snprintf(text + used, size - used, "%s",
					 bars[(int)(top->history[i] / most * 7.0)]);
}

static void say_rates(const struct top *top, struct head *head, int graph)
{
	const struct top_rates *rates = &top->rates;
	char bars[sizeof(head->spans[0][0].text)];

	say(head, 1, TONE_PLAIN, "forks %.0f/s", rates->forks);
	say(head, 1, TONE_PLAIN, "execs %.0f/s", rates->execs);
	say(head, 1, TONE_PLAIN, "exits %.0f/s", rates->exits);
	say(head, 1, TONE_PLAIN, "reaps %.0f/s", rates->reaps);
	graph_text(top, graph, bars, sizeof(bars));
	say(head, 1, TONE_GOOD, "%s", bars);
}

/* Those that there are: the line is to have room for what is left. */
static void add_state(char *text, size_t size, uint64_t count, const char *name)
{
	size_t used = strlen(text);

	if (count)
		snprintf(text + used, size - used, ", %" PRIu64 " %s", count, name);
}

static void say_states(const struct top *top, struct head *head)
{
	const json_t *s = top->status, *states = json_object_get(s, "states");
	uint64_t zombies = number(s, "zombies"), flagged = number(s, "flagged");
	uint64_t leaks = number(s, "leaks");
	const json_t *left = json_object_get(s, "pids_left");
	char rest[64];

	*rest = '\0';
	add_state(rest, sizeof(rest), number(states, "stopped"), "stopped");
	add_state(rest, sizeof(rest), number(states, "exiting"), "exiting");
	say(head, 2, TONE_PLAIN, "%" PRIu64 " processes: %" PRIu64 " running%s",
	    number(s, "processes"), number(states, "running") + number(states, "dead-leader"),
	    rest);
	say(head, 2,
	    flagged ? TONE_BAD :
	    zombies ? TONE_WARN :
		      TONE_GOOD,
	    "%" PRIu64 " zombie%s, %" PRIu64 " flagged", zombies, zombies == 1 ? "" : "s", flagged);
	say(head, 2, leaks ? TONE_BAD : TONE_GOOD, "%" PRIu64 " leak%s", leaks,
	    leaks == 1 ? "" : "s");
	if (json_is_integer(left))
		say(head, 2, TONE_PLAIN, "%" JSON_INTEGER_FORMAT " pids left",
		    json_integer_value(left));
}

static void say_cost(const struct top *top, struct head *head)
{
	const json_t *s = top->status, *self = json_object_get(s, "self");
	uint64_t lost = sum_of(json_object_get(s, "lost"));
	char bytes[CELL_SIZE];

	say(head, 3, lost ? TONE_BAD : TONE_GOOD, "%" PRIu64 " events lost", lost);
	if (json_is_object(json_object_get(s, "cow"))) {
		bytes_text((uint64_t)top->rates.cow_bytes, bytes);
		say(head, 3, TONE_PLAIN, "COW %.32s/s", bytes);
	} else {
		say(head, 3, TONE_DIM, "COW off");
	}
	if (json_is_object(self)) {
		bytes_text(number(self, "resident_bytes"), bytes);
		say(head, 3, TONE_PLAIN, "lifetraced %.1f %% CPU, %.32s", top->rates.cpu * 100,
		    bytes);
	}
}

void top_head(const struct top *top, struct head *head, int graph)
{
	*head = (struct head){ 0 };
	if (!top->status)
		return;
	say_place(top, head);
	say_filter(top, head);
	say_rates(top, head, graph);
	say_states(top, head);
	say_cost(top, head);
}
