// SPDX-License-Identifier: GPL-2.0-only
/* The screen of top: head, bar of views, list, pane, keys. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "top_pane.h"
#include "top_ui.h"

#define BESIDE_MIN 60 /* columns from which the pane stands beside the list */
#define GUTTER 1      /* for the mark of a row that has ended */

/* Who gets which lines; what a small screen has no room for goes, head first. */
struct layout {
	int head, bar, titles, list, keys; /* lines; -1: none */
	int head_lines, rows;
	int list_columns, pane, pane_columns;
};

static struct layout lay_out(const struct ui *ui)
{
	struct layout at = { .bar = -1, .titles = -1, .keys = -1 };
	int y;

	at.head_lines = LINES >= 14 ? HEAD_LINES : LINES >= 10 ? 2 : LINES >= 4 ? 1 : 0;
	y = at.head_lines;
	if (LINES >= 5)
		at.bar = y++;
	if (LINES >= 3)
		at.titles = y++;
	at.list = y;
	if (LINES >= 4)
		at.keys = LINES - 1;
	at.rows = (at.keys >= 0 ? at.keys : LINES) - at.list;
	if (at.rows < 1)
		at.rows = 1;
	at.list_columns = COLS;
	if (!ui->top->details_open)
		return at;
	if (COLS >= BESIDE_MIN)
		at.list_columns = COLS / 2;
	else
		at.list_columns = 0;
	at.pane = at.list_columns ? at.list_columns + 1 : 0;
	at.pane_columns = COLS - at.pane;
	return at;
}

size_t ui_room(const struct ui *ui)
{
	return (size_t)lay_out(ui).rows;
}

/* ---- the head ---- */

static int put_span(int y, int x, const struct span *span)
{
	int width = text_width(span->text);

	if (!width || x >= COLS)
		return x;
	screen_put(y, x, width < COLS - x ? width : COLS - x, span->tone, false, span->text, 0);
	return x + width + 2;
}

/* All on one line: what must be seen first. */
static void draw_short_head(const struct head *head)
{
	static const int order[][2] = { { 2, 1 }, { 2, 2 }, { 3, 0 }, { 1, 0 }, { 0, 0 } };
	int x = 0;

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		const struct span *span = &head->spans[order[i][0]][order[i][1]];

		if (order[i][0] == 3 && span->tone != TONE_BAD)
			continue;
		x = put_span(0, x, span);
	}
}

static int graph_columns(void)
{
	return COLS > 70 ? COLS - 62 : 0;
}

static void draw_head(const struct ui *ui, const struct layout *at)
{
	static const int few[] = { 2, 3 };
	struct head head;

	top_head(ui->top, &head, graph_columns());
	if (at->head_lines == 1)
		draw_short_head(&head);
	for (int y = 0; at->head_lines > 1 && y < at->head_lines; y++) {
		int line = at->head_lines == HEAD_LINES ? y : few[y], x = 0;

		for (int i = 0; i < head.counts[line]; i++)
			x = put_span(y, x, &head.spans[line][i]);
	}
}

/* ---- the bar ---- */

static void view_words(const struct top *top, int view, char *words, size_t size)
{
	if (view == TOP_ZOMBIES && number(top->status, "zombies"))
		snprintf(words, size, "%d %s %" PRIu64, view + 1, top_views[view].title,
			 number(top->status, "zombies"));
	else if (view == TOP_LEAKS && number(top->status, "leaks"))
		snprintf(words, size, "%d %s %" PRIu64, view + 1, top_views[view].title,
			 number(top->status, "leaks"));
	else
		snprintf(words, size, "%d %s", view + 1, top_views[view].title);
}

static void draw_bar(const struct ui *ui, const struct layout *at)
{
	const struct top *top = ui->top;
	bool narrow = COLS < 80;
	char words[48];
	int x = 0;

	if (at->bar < 0)
		return;
	for (int view = 0; view < TOP_VIEWS; view++) {
		int width;

		view_words(top, view, words, sizeof(words));
		if (narrow && view != (int)top->view)
			snprintf(words, sizeof(words), "%d", view + 1);
		width = text_width(words) + 1;
		screen_put(at->bar, x, width, view == (int)top->view ? TONE_TITLE : TONE_PLAIN,
			   view == (int)top->view, words, 0);
		screen_zone(at->bar, x, width, ZONE_VIEW, view);
		x += width + !narrow;
	}
}

/* ---- the list ---- */

struct list_columns {
	enum column columns[COLUMN_COUNT];
	int count;
};

static struct list_columns columns_of(const struct top_look *look)
{
	struct list_columns list = { .count = 0 };

	for (int column = 0; column < COLUMN_COUNT; column++)
		if (look->columns & 1ULL << column)
			list.columns[list.count++] = column;
	return list;
}

/* They grow and never shrink while one looks: nothing jumps. */
static void widen(const struct top *top, struct top_look *look, const struct list_columns *list)
{
	const json_t *rows = top_array(top), *row;
	uint64_t now_ns = number(top->rows, "time_ns");
	char cell[CELL_SIZE];
	size_t i;

	for (int c = 0; c < list->count; c++) {
		enum column column = list->columns[c];
		int *width = &look->widths[column];

		if (*width < column_infos[column].width)
			*width = column_infos[column].width;
		if (*width < text_width(column_infos[column].title))
			*width = text_width(column_infos[column].title);
		json_array_foreach(rows, i, row) {
			column_cell(column, row, now_ns, cell);
			if (text_width(cell) > *width)
				*width = text_width(cell);
		}
	}
}

/* Appends a cell and the blanks to its width; the last one's own width is free. */
static void append_cell(char *line, size_t size, const char *cell, int width, bool right, bool last)
{
	int pad = width - text_width(cell);
	size_t used = strlen(line);

	if (pad < 0)
		pad = 0;
	snprintf(line + used, size - used, "%*s%s%*s", right ? pad : 0, "", cell,
		 last  ? 0 :
		 right ? 1 :
			 pad + 1,
		 "");
}

static void draw_titles(const struct ui *ui, const struct layout *at, const struct top_look *look,
			const struct list_columns *list)
{
	int x = GUTTER - ui->skip;

	for (int c = 0; c < list->count; c++) {
		enum column column = list->columns[c];
		bool sorted = look->sort == (int)column, last = c + 1 == list->count;
		char title[64] = "";
		int width = last ? at->list_columns - x : look->widths[column] + 1;

		append_cell(title, sizeof(title), column_infos[column].title,
			    last ? 0 : look->widths[column], column_infos[column].right, last);
		if (x >= at->list_columns || width <= 0)
			break;
		if (x + width > at->list_columns)
			width = at->list_columns - x;
		if (x + width > 0) {
			int out = x < 0 ? -x : 0;

			screen_put(at->titles, x + out, width - out,
				   sorted ? TONE_TITLE : TONE_PLAIN, true, title, out);
			screen_zone(at->titles, x + out, width - out, ZONE_TITLE, (int)column);
		}
		x += width;
	}
}

static void draw_row(const struct ui *ui, const struct layout *at, const struct top_look *look,
		     const struct list_columns *list, size_t i)
{
	const struct top *top = ui->top;
	const json_t *row = json_array_get(top_array(top), i);
	const char *state = json_string_value(json_object_get(row, "state")) ?: "";
	bool ended = !strcmp(state, "reaped"), selected = look->offset + i == look->rank;
	char line[CELL_SIZE * 4] = "", cell[CELL_SIZE];
	int y = at->list + (int)i;

	for (int c = 0; c < list->count; c++) {
		enum column column = list->columns[c];

		column_cell(column, row, number(top->rows, "time_ns"), cell);
		append_cell(line, sizeof(line), cell, look->widths[column],
			    column_infos[column].right, c + 1 == list->count);
	}
	screen_put(y, 0, GUTTER, TONE_BAD, selected, ended ? "†" : " ", 0);
	screen_put(y, GUTTER, at->list_columns - GUTTER, top_tone(top, row), selected, line,
		   ui->skip);
	screen_zone(y, 0, at->list_columns, ZONE_ROW, (int)i);
}

static void draw_rows(const struct ui *ui, const struct layout *at)
{
	struct top *top = ui->top;
	struct top_look *look = top_look(top);
	struct list_columns list = columns_of(look);
	size_t count = json_array_size(top_array(top));

	widen(top, look, &list);
	if (at->titles >= 0) {
		screen_put(at->titles, 0, at->list_columns, TONE_PLAIN, true, "", 0);
		draw_titles(ui, at, look, &list);
	}
	for (size_t i = 0; i < count && i < (size_t)at->rows; i++)
		draw_row(ui, at, look, &list, i);
	if (!count && top->rows)
		screen_put(at->list, GUTTER, at->list_columns - GUTTER, TONE_DIM, false,
			   *top->text ? "nothing has this in it" : top_info(top)->none, 0);
}

static void draw_events(const struct ui *ui, const struct layout *at)
{
	char line[CELL_SIZE * 2];
	int y = at->list + at->rows - 1;

	if (at->titles >= 0)
		screen_put(at->titles, 0, at->list_columns, TONE_PLAIN, true,
			   "TIME         KIND           PID NAME            WHAT", ui->skip);
	for (uint64_t back = 0; y >= at->list && top_event_line(ui->top, back, line, sizeof(line));
	     back++) {
		if (!*line)
			continue;
		screen_put(y, 0, at->list_columns, TONE_PLAIN, false, line, ui->skip);
		y--;
	}
	if (!ui->top->event_count)
		screen_put(at->list, GUTTER, at->list_columns - GUTTER, TONE_DIM, false,
			   top_info(ui->top)->none, 0);
}

/* ---- the pane ---- */

static void draw_pane(const struct ui *ui, const struct layout *at)
{
	struct pane pane = { 0 };
	struct top *top = ui->top;
	int room = at->rows + (at->titles >= 0), y = at->list - (at->titles >= 0);

	if (!top->details_open)
		return;
	pane_fill(&pane, top, at->pane_columns);
	if (top->details_scroll > (size_t)(pane.count > room ? pane.count - room : 0))
		top->details_scroll = (size_t)(pane.count > room ? pane.count - room : 0);
	for (int i = 0; i < room; i++) {
		int line = i + (int)top->details_scroll;

		if (at->list_columns)
			screen_put(y + i, at->list_columns, 1, TONE_DIM, false, "│", 0);
		screen_put(y + i, at->pane, at->pane_columns,
			   line < pane.count ? pane.lines[line].tone : TONE_PLAIN, false,
			   line < pane.count ? pane.lines[line].text : "", 0);
	}
	pane_free(&pane);
}

/* ---- the last line ---- */

static void draw_keys(const struct ui *ui, const struct layout *at)
{
	const char *trouble = ui->top->feed->ops->trouble(ui->top->feed), *name, *words;
	char line[256];
	int x = 0, key;

	if (trouble || top_clock_ns() < ui->top->message_until_ns) {
		text_escape(trouble ? trouble : ui->top->message, line, sizeof(line));
		screen_put(LINES - 1, 0, COLS, trouble ? TONE_BAD : TONE_WARN, true, line, 0);
		return;
	}
	for (int i = 0; at->keys >= 0 && (name = key_bar(i, &words, &key)); i++) {
		int width = text_width(name) + text_width(words) + 1;

		if (x + width > COLS)
			break;
		screen_put(at->keys, x, text_width(name), TONE_PLAIN, false, name, 0);
		screen_put(at->keys, x + text_width(name), text_width(words) + 1, TONE_TITLE, true,
			   words, 0);
		screen_zone(at->keys, x, width, ZONE_KEY, key);
		x += width;
	}
}

void ui_draw(struct ui *ui)
{
	struct layout at = lay_out(ui);

	screen_begin();
	draw_head(ui, &at);
	draw_bar(ui, &at);
	if (at.list_columns && top_info(ui->top)->what)
		draw_rows(ui, &at);
	else if (at.list_columns)
		draw_events(ui, &at);
	draw_pane(ui, &at);
	draw_keys(ui, &at);
	over_draw(ui);
	screen_end();
}
