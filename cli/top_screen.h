/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The terminal: the one place that curses is called from. Opens and restores
 * it, also when the program crashes; puts words where they are to stand; reads
 * keys and clicks. Knows nothing of what is shown.
 */
#ifndef LT_TOP_SCREEN_H
#define LT_TOP_SCREEN_H

#include <ncurses.h>

#include "top.h"

/* Complains and returns -1 when the terminal cannot be used. */
int screen_open(enum top_colours colours);
void screen_close(void);
void screen_set_colours(enum top_colours colours);
/* After the terminal has changed its size: true if it had. */
bool screen_resized(void);
/* Whether somebody is there still: false once the terminal is closed. */
bool screen_is_there(void);

void screen_begin(void);
void screen_end(void);
/*
 * Puts text, safe to print, at that place: padded or cut to so many columns.
 * skip: columns of it that are scrolled out on the left.
 */
void screen_put(int y, int x, int columns, enum tone tone, bool marked, const char *text, int skip);
void screen_cursor(int y, int x);

/* A key's code, or a character as KEY_MAX + its number; ERR: none waits. */
int screen_key(void);
#define SCREEN_CHARACTER(wide) (KEY_MAX + 1 + (int)(wide))

/* What a click there means. */
struct zone {
	int y, x, columns;
	int what; /* enum zone_what */
	int arg;
};

enum zone_what {
	ZONE_NONE,
	ZONE_ROW,
	ZONE_TITLE,
	ZONE_VIEW,
	ZONE_KEY,
	ZONE_ITEM,
	ZONE_UP,
	ZONE_DOWN
};

void screen_zone(int y, int x, int columns, enum zone_what what, int arg);
/* Of the click that KEY_MOUSE told of; the wheel is ZONE_UP and ZONE_DOWN. */
struct zone screen_click(bool *twice);

#endif
