// SPDX-License-Identifier: GPL-2.0-only
/* One table of keys, and the loop that reads them. */
#include <stdio.h>
#include <unistd.h>
#include <string.h>

#include "top_ui.h"

#define CH(c) SCREEN_CHARACTER(c)

/* ---- what they do ---- */

static void do_view(struct ui *ui, int view)
{
	ui->skip = 0;
	top_set_view(ui->top, (enum top_view)view);
}

static void do_next_view(struct ui *ui, int by)
{
	do_view(ui, ((int)ui->top->view + TOP_VIEWS + by) % TOP_VIEWS);
}

static void do_tree(struct ui *ui, int arg)
{
	(void)arg;
	do_view(ui, ui->top->view == TOP_TREE ? TOP_PROCESSES : TOP_TREE);
}

static void do_move(struct ui *ui, int by)
{
	top_move(ui->top, by);
}

static void do_page(struct ui *ui, int by)
{
	top_move(ui->top, (int64_t)by * (int64_t)(ui->top->room > 1 ? ui->top->room - 1 : 1));
}

static void do_home(struct ui *ui, int arg)
{
	(void)arg;
	top_move_home(ui->top);
}

static void do_end(struct ui *ui, int arg)
{
	(void)arg;
	top_move_to(ui->top, UINT64_MAX);
}

static void do_skip(struct ui *ui, int by)
{
	ui->skip += by;
	if (ui->skip < 0)
		ui->skip = 0;
	if (ui->skip > 400)
		ui->skip = 400;
}

static void do_scroll_pane(struct ui *ui, int by)
{
	if (by < 0 && !ui->top->details_scroll)
		return;
	ui->top->details_scroll += (size_t)by;
}

static void do_details(struct ui *ui, int arg)
{
	(void)arg;
	if (top_info(ui->top)->what)
		top_open_details(ui->top, !ui->top->details_open);
}

/* One thing after the other: the pane, then the filters. */
static void do_escape(struct ui *ui, int arg)
{
	struct top *top = ui->top;

	(void)arg;
	if (top->details_open) {
		top_open_details(top, false);
		return;
	}
	*top->text = '\0';
	top->older_ns = top->younger_ns = 0;
	top_ask_rows(top);
}

static void do_help(struct ui *ui, int arg)
{
	(void)arg;
	ui->help_scroll = 0;
	ui->over = OVER_HELP;
}

static void do_setup(struct ui *ui, int arg)
{
	(void)arg;
	if (top_info(ui->top)->what)
		setup_show(ui);
}

static void do_sort(struct ui *ui, int arg)
{
	(void)arg;
	if (top_info(ui->top)->what)
		sort_show(ui);
}

static void sort_by(struct ui *ui, const char *name)
{
	int column = column_find(top_info(ui->top)->kind, name);

	if (column < 0)
		return;
	top_look(ui->top)->sort = column;
	top_look(ui->top)->reverse = false;
	top_ask_rows(ui->top);
}

static void do_sort_pid(struct ui *ui, int arg)
{
	(void)arg;
	sort_by(ui, "pid");
}

static void do_sort_age(struct ui *ui, int arg)
{
	(void)arg;
	sort_by(ui, ui->top->view == TOP_ZOMBIES ? "zombie-for" : "age");
}

static void do_reverse(struct ui *ui, int arg)
{
	(void)arg;
	top_look(ui->top)->reverse = !top_look(ui->top)->reverse;
	top_ask_rows(ui->top);
}

static void text_typed(struct ui *ui, const char *text, bool done)
{
	(void)done;
	snprintf(ui->top->text, sizeof(ui->top->text), "%s", text ? text : ui->prompt.before);
	top_look(ui->top)->offset = 0;
	top_ask_rows(ui->top);
}

static void do_filter(struct ui *ui, int arg)
{
	(void)arg;
	prompt_show(ui, "Filter", ui->top->text, text_typed);
}

static void find_typed(struct ui *ui, const char *text, bool done)
{
	if (!done) {
		ui->top->find_count = 0;
		*ui->top->find = '\0';
	}
	if (text && *text && (!done || strcmp(ui->top->find, text)))
		top_find(ui->top, text);
}

static void do_find(struct ui *ui, int arg)
{
	(void)arg;
	prompt_show(ui, "Search", "", find_typed);
}

static void do_find_next(struct ui *ui, int arg)
{
	(void)arg;
	if (*ui->top->find)
		top_find(ui->top, ui->top->find);
	else
		do_find(ui, 0);
}

static void age_typed(struct ui *ui, const char *text, uint64_t *age_ns)
{
	uint64_t ns = 0;

	if (!text)
		return;
	if (*text && text_parse_duration(text, &ns)) {
		top_say(ui->top, "'%s' is no duration: 250ms, 10s, 1m30s, 2h, 1d", text);
		return;
	}
	*age_ns = ns;
	top_ask_rows(ui->top);
}

static void older_typed(struct ui *ui, const char *text, bool done)
{
	if (done)
		age_typed(ui, text, &ui->top->older_ns);
}

static void younger_typed(struct ui *ui, const char *text, bool done)
{
	if (done)
		age_typed(ui, text, &ui->top->younger_ns);
}

static void do_age(struct ui *ui, int older)
{
	char age[64] = "";
	uint64_t ns = older ? ui->top->older_ns : ui->top->younger_ns;

	if (ns)
		text_format_duration(ns, age, sizeof(age));
	prompt_show(ui, older ? "Older than" : "Younger than", age,
		    older ? older_typed : younger_typed);
}

static void do_signal(struct ui *ui, int arg)
{
	(void)arg;
	signals_show(ui);
}

static void do_kernel(struct ui *ui, int arg)
{
	(void)arg;
	ui->top->settings.kernel = !ui->top->settings.kernel;
	top_ask_rows(ui->top);
}

static void do_follow(struct ui *ui, int arg)
{
	(void)arg;
	top_move(ui->top, 0);
}

static void do_pause(struct ui *ui, int arg)
{
	struct player *player = ui->top->feed->player;

	(void)arg;
	if (player)
		player->paused = !player->paused;
	else
		ui->top->paused = !ui->top->paused;
	if (!player && !ui->top->paused)
		top_refresh(ui->top);
}

static void do_speed(struct ui *ui, int by)
{
	struct player *player = ui->top->feed->player;

	if (!player)
		return;
	player->speed += by;
	if (player->speed < -4)
		player->speed = -4;
	if (player->speed > 10)
		player->speed = 10;
}

static void do_step(struct ui *ui, int arg)
{
	struct player *player = ui->top->feed->player;

	(void)arg;
	if (!player)
		return;
	player->paused = true;
	replay_advance(ui->top->feed, player->now_ns + ui->top->settings.delay_ns);
	top_refresh(ui->top);
}

static void do_redraw(struct ui *ui, int arg)
{
	(void)arg;
	clearok(curscr, TRUE);
	memset(top_look(ui->top)->widths, 0, sizeof(top_look(ui->top)->widths));
	top_refresh(ui->top);
}

static void do_quit(struct ui *ui, int arg)
{
	(void)arg;
	ui->top->quit = true;
}

/* ---- the table ---- */

/* In the order of help; those with the same words are one line there. */
static const struct key {
	int key;
	const char *name, *words;
	void (*act)(struct ui *ui, int arg);
	int arg;
	const char *bar; /* what the bar at the bottom calls it */
} keys[] = {
	{ KEY_F(1), "F1", "this help", do_help, 0, "Help" },
	{ CH('?'), "?", "this help", do_help, 0, NULL },
	{ CH('h'), "h", "this help", do_help, 0, NULL },
	{ KEY_F(2), "F2", "settings: columns, delay, colours", do_setup, 0, "Setup" },
	{ CH('S'), "S", "settings: columns, delay, colours", do_setup, 0, NULL },
	{ KEY_F(3), "F3", "search", do_find, 0, "Search" },
	{ CH('/'), "/", "search", do_find, 0, NULL },
	{ CH('n'), "n", "search on", do_find_next, 0, NULL },
	{ KEY_F(4), "F4", "filter by text, as it is typed", do_filter, 0, "Filter" },
	{ CH('\\'), "\\", "filter by text, as it is typed", do_filter, 0, NULL },
	{ CH('o'), "o", "only what is older than", do_age, 1, NULL },
	{ CH('y'), "y", "only what is younger than", do_age, 0, NULL },
	{ KEY_F(5), "F5", "tree", do_tree, 0, "Tree" },
	{ CH('t'), "t", "tree", do_tree, 0, NULL },
	{ KEY_F(6), "F6", "sort by", do_sort, 0, "SortBy" },
	{ CH('>'), ">", "sort by", do_sort, 0, NULL },
	{ CH('<'), "<", "sort by", do_sort, 0, NULL },
	{ CH('I'), "I", "the other way round", do_reverse, 0, NULL },
	{ CH('N'), "N", "sort by pid", do_sort_pid, 0, NULL },
	{ CH('T'), "T", "sort by age", do_sort_age, 0, NULL },
	{ KEY_F(9), "F9", "send a signal", do_signal, 0, "Kill" },
	{ CH('k'), "k", "send a signal", do_signal, 0, NULL },
	{ KEY_F(10), "F10", "quit", do_quit, 0, "Quit" },
	{ CH('q'), "q", "quit", do_quit, 0, NULL },
	{ CH('\r'), "Enter", "why, and all that is known of it, beside the list", do_details, 0,
	  NULL },
	{ CH('\n'), NULL, NULL, do_details, 0, NULL },
	{ KEY_ENTER, NULL, NULL, do_details, 0, NULL },
	{ KEY_SR, "Shift-Up", "scroll that", do_scroll_pane, -1, NULL },
	{ KEY_SF, "Shift-Down", "scroll that", do_scroll_pane, 1, NULL },
	{ CH('{'), "{", "scroll that", do_scroll_pane, -1, NULL },
	{ CH('}'), "}", "scroll that", do_scroll_pane, 1, NULL },
	{ CH(27), "Esc", "close it; then: no filter", do_escape, 0, NULL },
	{ CH('\t'), "Tab", "the next view", do_next_view, 1, NULL },
	{ KEY_BTAB, "Shift-Tab", "the view before", do_next_view, -1, NULL },
	{ CH('1'), "1", "zombies", do_view, TOP_ZOMBIES, NULL },
	{ CH('2'), "2", "leaks", do_view, TOP_LEAKS, NULL },
	{ CH('3'), "3", "processes", do_view, TOP_PROCESSES, NULL },
	{ CH('4'), "4", "births: what forks most", do_view, TOP_BIRTHS, NULL },
	{ CH('5'), "5", "copy-on-write", do_view, TOP_COW, NULL },
	{ CH('6'), "6", "tree", do_view, TOP_TREE, NULL },
	{ CH('7'), "7", "events", do_view, TOP_EVENTS, NULL },
	{ KEY_UP, "Up", "move", do_move, -1, NULL },
	{ KEY_DOWN, "Down", "move", do_move, 1, NULL },
	{ KEY_PPAGE, "PgUp", "move", do_page, -1, NULL },
	{ KEY_NPAGE, "PgDn", "move", do_page, 1, NULL },
	{ KEY_END, "End", "move", do_end, 0, NULL },
	{ KEY_HOME, "Home", "the first row, whoever that is", do_home, 0, NULL },
	{ CH('F'), "F", "stay with this process", do_follow, 0, NULL },
	{ KEY_LEFT, "Left", "scroll sideways", do_skip, -8, NULL },
	{ KEY_RIGHT, "Right", "scroll sideways", do_skip, 8, NULL },
	{ CH('K'), "K", "kernel threads too", do_kernel, 0, NULL },
	{ CH('Z'), "Z", "pause", do_pause, 0, NULL },
	{ CH(' '), "Space", "pause", do_pause, 0, NULL },
	{ CH('+'), "+", "recording: faster", do_speed, 1, NULL },
	{ CH('-'), "-", "recording: slower", do_speed, -1, NULL },
	{ CH('.'), ".", "recording: one step", do_step, 0, NULL },
	{ CH(12), "Ctrl-L", "draw it anew", do_redraw, 0, NULL },
};

#define KEYS (sizeof(keys) / sizeof(keys[0]))

const char *key_bar(int at, const char **words, int *key)
{
	for (size_t i = 0; i < KEYS; i++) {
		if (!keys[i].bar || at--)
			continue;
		*words = keys[i].bar;
		*key = keys[i].key;
		return keys[i].name;
	}
	return NULL;
}

static bool same_words(size_t a, size_t b)
{
	return keys[b].words && !strcmp(keys[a].words, keys[b].words);
}

const char *key_help(int line, char *text, size_t size)
{
	char names[64];
	size_t used = 0;

	if (!line)
		return "lifetrace top: what the keys do";
	for (size_t i = 0; i < KEYS; i++) {
		if (!keys[i].words || (i && same_words(i, i - 1)) || --line)
			continue;
		for (size_t j = i; j < KEYS && same_words(i, j) && used < sizeof(names); j++)
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
						 j > i ? " " : "", keys[j].name);
		snprintf(text, size, "  %-24s %s", names, keys[i].words);
		return text;
	}
	return NULL;
}

static void click_row(struct ui *ui, const struct zone *zone, bool twice)
{
	uint64_t rank = top_look(ui->top)->offset + (uint64_t)zone->arg;
	bool again = top_look(ui->top)->rank == rank && top_look(ui->top)->follows;

	top_move_to(ui->top, rank);
	if (twice || again)
		do_details(ui, 0);
}

static void do_click(struct ui *ui)
{
	bool twice;
	struct zone zone = screen_click(&twice);
	struct top_look *look = top_look(ui->top);

	switch ((enum zone_what)zone.what) {
	case ZONE_ROW:
		click_row(ui, &zone, twice);
		break;
	case ZONE_TITLE:
		look->reverse = look->sort == zone.arg && !look->reverse;
		look->sort = zone.arg;
		top_ask_rows(ui->top);
		break;
	case ZONE_VIEW:
		do_view(ui, zone.arg);
		break;
	case ZONE_KEY:
		ui_key(ui, zone.arg);
		break;
	case ZONE_UP:
	case ZONE_DOWN:
		top_move(ui->top, zone.what == ZONE_UP ? -3 : 3);
		break;
	default:
		break;
	}
}

void ui_key(struct ui *ui, int key)
{
	ui->top->dirty = true;
	if (key == KEY_RESIZE || over_key(ui, key))
		return;
	if (key == KEY_MOUSE) {
		do_click(ui);
		return;
	}
	for (size_t i = 0; i < KEYS; i++)
		if (keys[i].key == key) {
			keys[i].act(ui, keys[i].arg);
			return;
		}
}

/* ---- the loop ---- */

/* A daemon that is gone is asked for each second, however long the delay. */
static uint64_t delay_of(const struct top *top)
{
	bool trouble = !top->feed->player && top->feed->ops->trouble(top->feed);

	return trouble && top->settings.delay_ns > NSEC_PER_SEC ? NSEC_PER_SEC :
								  top->settings.delay_ns;
}

static void take_size(struct ui *ui)
{
	size_t room;

	if (screen_resized())
		ui->top->dirty = true;
	room = ui_room(ui);
	if (room == ui->top->room)
		return;
	ui->top->room = room;
	top_ask_rows(ui->top);
}

static int wait_ms(const struct top *top, uint64_t next_ns)
{
	uint64_t now_ns = top_clock_ns();

	if (now_ns < top->message_until_ns && top->message_until_ns < next_ns)
		next_ns = top->message_until_ns;
	if (top->paused)
		return 1000;
	return next_ns > now_ns ? (int)((next_ns - now_ns) / NSEC_PER_MSEC) + 1 : 0;
}

static void forget_message(struct top *top)
{
	if (!top->message_until_ns || top_clock_ns() < top->message_until_ns)
		return;
	top->message_until_ns = 0;
	top->dirty = true;
}

static void run_screen(struct ui *ui)
{
	struct top *top = ui->top;
	uint64_t next_ns = 0;
	int key;

	while (!top->quit && !interrupted && screen_is_there()) {
		if (!top->paused && top_clock_ns() >= next_ns) {
			top_refresh(top);
			top->dirty = true;
			next_ns = top_clock_ns() + delay_of(top);
		}
		take_size(ui);
		forget_message(top);
		if (top->dirty)
			ui_draw(ui);
		top->dirty = false;
		top->feed->ops->wait(top->feed, STDIN_FILENO, wait_ms(top, next_ns));
		while ((key = screen_key()) != ERR)
			ui_key(ui, key);
	}
}

int top_interactive(struct top *top)
{
	static struct ui ui;

	ui.top = top;
	if (screen_open(top->settings.colours))
		return FAILED;
	run_screen(&ui);
	screen_close();
	return DONE;
}
