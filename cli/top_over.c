// SPDX-License-Identifier: GPL-2.0-only
/* What lies over the list: menus, a line to type in, questions, help. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "top_ui.h"

#define ESCAPE SCREEN_CHARACTER(27)
#define IS_ENTER(key) \
	((key) == SCREEN_CHARACTER('\r') || (key) == SCREEN_CHARACTER('\n') || (key) == KEY_ENTER)

/* ---- menus ---- */

void menu_begin(struct ui *ui, const char *title, void (*chosen)(struct ui *ui, int arg))
{
	ui->menu = (struct menu){ .chosen = chosen };
	snprintf(ui->menu.title, sizeof(ui->menu.title), "%s", title);
}

void menu_add(struct ui *ui, int arg, const char *format, ...)
{
	struct menu_item *item = &ui->menu.items[ui->menu.count];
	va_list args;

	if (ui->menu.count == MENU_ITEMS_MAX)
		return;
	ui->menu.count++;
	item->arg = arg;
	va_start(args, format);
	vsnprintf(item->text, sizeof(item->text), format, args);
	va_end(args);
}

void menu_show(struct ui *ui, int at)
{
	ui->menu.at = at < ui->menu.count ? at : 0;
	ui->over = OVER_MENU;
	ui->top->dirty = true;
}

static void menu_close(struct ui *ui)
{
	ui->over = OVER_NOTHING;
	if (ui->menu.closed)
		ui->menu.closed(ui);
}

static void menu_choose(struct ui *ui)
{
	ui->over = OVER_NOTHING;
	if (ui->menu.count)
		ui->menu.chosen(ui, ui->menu.items[ui->menu.at].arg);
}

static void menu_move(struct menu *menu, int by)
{
	menu->at += by;
	if (menu->at >= menu->count)
		menu->at = menu->count - 1;
	if (menu->at < 0)
		menu->at = 0;
}

static void menu_click(struct ui *ui)
{
	bool twice;
	struct zone zone = screen_click(&twice);

	if (zone.what == ZONE_UP || zone.what == ZONE_DOWN) {
		menu_move(&ui->menu, zone.what == ZONE_UP ? -3 : 3);
	} else if (zone.what == ZONE_ITEM) {
		ui->menu.at = zone.arg;
		menu_choose(ui);
	} else {
		menu_close(ui);
	}
}

static void menu_key(struct ui *ui, int key)
{
	struct menu *menu = &ui->menu;

	if (IS_ENTER(key) || key == SCREEN_CHARACTER(' '))
		menu_choose(ui);
	else if (key == KEY_MOUSE)
		menu_click(ui);
	else if (key == KEY_UP || key == KEY_DOWN)
		menu_move(menu, key == KEY_UP ? -1 : 1);
	else if (key == KEY_PPAGE || key == KEY_NPAGE)
		menu_move(menu, key == KEY_PPAGE ? -10 : 10);
	else if (key == KEY_HOME || key == KEY_END)
		menu_move(menu, key == KEY_HOME ? -MENU_ITEMS_MAX : MENU_ITEMS_MAX);
	else if ((key == KEY_LEFT || key == KEY_RIGHT) && menu->changed && menu->count)
		menu->changed(ui, menu->items[menu->at].arg, key == KEY_LEFT ? -1 : 1);
	else if (key == ESCAPE || key == KEY_F(10) || key == SCREEN_CHARACTER('q'))
		menu_close(ui);
}

static void menu_draw(struct ui *ui)
{
	struct menu *menu = &ui->menu;
	int width = text_width(menu->title) + 2, room = LINES - 2, y;

	for (int i = 0; i < menu->count; i++)
		if (text_width(menu->items[i].text) + 2 > width)
			width = text_width(menu->items[i].text) + 2;
	if (room < 1)
		room = 1;
	if (menu->at < menu->first)
		menu->first = menu->at;
	if (menu->at >= menu->first + room)
		menu->first = menu->at - room + 1;
	screen_put(0, 0, width, TONE_TITLE, true, menu->title, 0);
	for (int i = menu->first; i < menu->count && i < menu->first + room; i++) {
		char text[sizeof(menu->items[0].text) + 1];

		y = i - menu->first + 1;
		snprintf(text, sizeof(text), " %s", menu->items[i].text);
		screen_put(y, 0, width, TONE_PLAIN, i == menu->at, text, 0);
		screen_zone(y, 0, width, ZONE_ITEM, i);
	}
	y = (menu->count < room ? menu->count : room) + 1;
	screen_put(y, 0, width, TONE_DIM, false, "Enter, Esc", 0);
}

/* ---- a line to type in ---- */

void prompt_show(struct ui *ui, const char *label, const char *text,
		 void (*typed)(struct ui *ui, const char *text, bool done))
{
	ui->prompt = (struct prompt){ .label = label, .typed = typed };
	snprintf(ui->prompt.text, sizeof(ui->prompt.text), "%s", text);
	snprintf(ui->prompt.before, sizeof(ui->prompt.before), "%s", text);
	ui->over = OVER_PROMPT;
	ui->top->dirty = true;
}

/* The whole last character, however many bytes it has. */
static void drop_last(char *text)
{
	size_t len = strlen(text);

	while (len && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
		len--;
	if (len)
		text[len - 1] = '\0';
}

static void append(char text[TOP_TEXT_SIZE], wchar_t sign)
{
	char bytes[MB_LEN_MAX + 1];
	mbstate_t state = { 0 };
	size_t len = wcrtomb(bytes, sign, &state);

	if (len == (size_t)-1 || strlen(text) + len >= TOP_TEXT_SIZE)
		return;
	bytes[len] = '\0';
	strcat(text, bytes);
}

static void prompt_key(struct ui *ui, int key)
{
	struct prompt *prompt = &ui->prompt;
	bool erases = key == KEY_BACKSPACE || key == SCREEN_CHARACTER(127) ||
		      key == SCREEN_CHARACTER(8);

	if (key == ESCAPE || IS_ENTER(key)) {
		ui->over = OVER_NOTHING;
		prompt->typed(ui, IS_ENTER(key) ? prompt->text : NULL, true);
		return;
	}
	if (erases)
		drop_last(prompt->text);
	else if (key == SCREEN_CHARACTER(21)) /* Ctrl-U */
		*prompt->text = '\0';
	else if (key >= SCREEN_CHARACTER(' '))
		append(prompt->text, (wchar_t)(key - SCREEN_CHARACTER(0)));
	else
		return;
	prompt->typed(ui, prompt->text, false);
}

static void prompt_draw(struct ui *ui)
{
	char line[TOP_TEXT_SIZE + 64];
	int width, skip;

	snprintf(line, sizeof(line), "%s: %s", ui->prompt.label, ui->prompt.text);
	width = text_width(line);
	skip = width >= COLS ? width - COLS + 1 : 0;
	screen_put(LINES - 1, 0, COLS, TONE_TITLE, false, line, skip);
	screen_cursor(LINES - 1, width - skip);
}

/* ---- a question ---- */

void question_show(struct ui *ui, void (*yes)(struct ui *ui), const char *format, ...)
{
	va_list args;

	ui->question.yes = yes;
	va_start(args, format);
	vsnprintf(ui->question.words, sizeof(ui->question.words), format, args);
	va_end(args);
	ui->over = OVER_QUESTION;
	ui->top->dirty = true;
}

/* Whatever is not a clear yes is a no. */
static void question_key(struct ui *ui, int key)
{
	ui->over = OVER_NOTHING;
	if (key == SCREEN_CHARACTER('y') || key == SCREEN_CHARACTER('Y'))
		ui->question.yes(ui);
	else
		top_say(ui->top, "nothing was sent");
}

static void question_draw(struct ui *ui)
{
	char line[sizeof(ui->question.words) + 16];

	snprintf(line, sizeof(line), "%s [y/N]", ui->question.words);
	screen_put(LINES - 1, 0, COLS, TONE_BAD, true, line, 0);
}

/* ---- help ---- */

static void help_key(struct ui *ui, int key)
{
	if (key == KEY_DOWN || key == KEY_NPAGE)
		ui->help_scroll += key == KEY_DOWN ? 1 : 10;
	else if (key == KEY_UP || key == KEY_PPAGE)
		ui->help_scroll -= key == KEY_UP ? 1 : 10;
	else
		ui->over = OVER_NOTHING;
	if (ui->help_scroll < 0)
		ui->help_scroll = 0;
}

static void help_draw(struct ui *ui)
{
	char text[160];
	int lines = 0;

	while (key_help(lines, text, sizeof(text)))
		lines++;
	if (ui->help_scroll > lines - 1)
		ui->help_scroll = lines - 1;
	for (int y = 0; y < LINES - 1; y++)
		screen_put(y, 0, COLS, y || ui->help_scroll ? TONE_PLAIN : TONE_TITLE, false,
			   key_help(y + ui->help_scroll, text, sizeof(text)) ?: "", 0);
	screen_put(LINES - 1, 0, COLS, TONE_PLAIN, true, "Any other key closes this", 0);
}

/* ---- whichever ---- */

static const struct {
	void (*key)(struct ui *ui, int key);
	void (*draw)(struct ui *ui);
} overs[] = {
	[OVER_MENU] = { menu_key, menu_draw },
	[OVER_PROMPT] = { prompt_key, prompt_draw },
	[OVER_QUESTION] = { question_key, question_draw },
	[OVER_HELP] = { help_key, help_draw },
};

bool over_key(struct ui *ui, int key)
{
	if (ui->over == OVER_NOTHING)
		return false;
	ui->top->dirty = true;
	overs[ui->over].key(ui, key);
	return true;
}

void over_draw(struct ui *ui)
{
	if (ui->over != OVER_NOTHING)
		overs[ui->over].draw(ui);
}
