// SPDX-License-Identifier: GPL-2.0-only
/* top --batch: frames of plain text, for scripts. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "top.h"

static void print_head(const struct top *top)
{
	struct head head;

	top_head(top, &head, 0);
	for (int line = 0; line < HEAD_LINES; line++) {
		const char *lead = "";

		for (int i = 0; i < head.counts[line]; i++) {
			if (!*head.spans[line][i].text)
				continue;
			printf("%s%s", lead, head.spans[line][i].text);
			lead = "  ";
		}
		putchar('\n');
	}
}

static void print_events(const struct top *top, uint64_t limit)
{
	char line[CELL_SIZE * 2];
	uint64_t back = 0, shown = 0;

	while (shown < (limit ? limit : TOP_EVENTS_MAX) &&
	       top_event_line(top, back, line, sizeof(line))) {
		shown += *line != '\0';
		back++;
	}
	while (back--)
		if (top_event_line(top, back, line, sizeof(line)) && *line)
			puts(line);
}

static void print_frame(const struct top *top, const struct top_options *options)
{
	const struct top_view_info *info = top_info(top);

	print_head(top);
	printf("\n%s\n", info->title);
	if (!info->what)
		print_events(top, options->limit);
	else if (json_array_size(top_array(top)))
		print_rows(top_array(top), number(top->rows, "time_ns"),
			   top->settings.looks[top->view].columns);
	else
		puts(info->none);
}

/* Until the daemon has answered, or cannot. */
static int await(struct top *top, unsigned asks)
{
	const char *trouble = NULL;

	while (!interrupted && !top->refused && (top->answered & asks) != asks) {
		trouble = top->feed->ops->trouble(top->feed);
		if (trouble && !top->feed->player)
			break;
		top->feed->ops->wait(top->feed, -1, 100);
	}
	if ((top->answered & asks) == asks)
		return DONE;
	if (!interrupted)
		complain("%s", top->refused ? top->message : trouble ? trouble : "no answer");
	return interrupted ? DONE : FAILED;
}

static int ask_frame(struct top *top, const struct top_options *options)
{
	const struct options plain = { 0 };
	struct options query;
	int status;

	top->answered = 0;
	top->refused = false;
	top->feed->ops->ask(top->feed, ASK_STATUS, "status", &plain);
	status = await(top, 1U << ASK_STATUS);
	if (status || interrupted || !top_info(top)->what)
		return status;
	top->answered = 0;
	top_query(top, &query, options->limit);
	top->feed->ops->ask(top->feed, ASK_ROWS, top_info(top)->what, &query);
	return await(top, 1U << ASK_ROWS);
}

/* A recording's own time passes at once. */
static void pass_time(struct top *top)
{
	uint64_t end_ns = top_clock_ns() + top->settings.delay_ns, now_ns;

	if (top->feed->player) {
		replay_advance(top->feed, top->feed->player->now_ns + top->settings.delay_ns);
		return;
	}
	while (!interrupted && (now_ns = top_clock_ns()) < end_ns)
		top->feed->ops->wait(top->feed, -1, (int)((end_ns - now_ns) / NSEC_PER_MSEC) + 1);
}

int top_batch(struct top *top, const struct top_options *options)
{
	const struct player *player = top->feed->player;
	bool last = false;

	for (uint64_t frame = 0; !last && !interrupted; frame++) {
		int status;

		if (frame)
			pass_time(top);
		last = frame + 1 == options->frames || (player && player->ended);
		status = ask_frame(top, options);
		if (status)
			return status;
		if (interrupted)
			break;
		if (frame)
			putchar('\n');
		print_frame(top, options);
		if (fflush(stdout) || ferror(stdout))
			break;
	}
	return DONE;
}
