/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lies over the list: a menu, a line to type in, a question, help. One at
 * a time; what was chosen is told to a function. Internal to top.
 */
#ifndef LT_TOP_UI_H
#define LT_TOP_UI_H

#include "top_screen.h"

#define MENU_ITEMS_MAX 80

enum over { OVER_NOTHING, OVER_MENU, OVER_PROMPT, OVER_QUESTION, OVER_HELP };

struct ui;

struct menu_item {
	char text[96];
	int arg;
};

struct menu {
	char title[80];
	struct menu_item items[MENU_ITEMS_MAX];
	int count, at, first; /* first: on the screen */
	/* Enter, or Space. The menu is closed unless it makes itself anew. */
	void (*chosen)(struct ui *ui, int arg);
	/* Left and Right: -1, 1; NULL: they mean nothing. */
	void (*changed)(struct ui *ui, int arg, int by);
	void (*closed)(struct ui *ui);
};

struct prompt {
	const char *label;
	char text[TOP_TEXT_SIZE];
	char before[TOP_TEXT_SIZE];
	/* As typed, and at the end; done: by Enter. NULL text: given up. */
	void (*typed)(struct ui *ui, const char *text, bool done);
};

struct question {
	char words[160];
	void (*yes)(struct ui *ui);
};

struct target {
	uint64_t pid, start_ns;
	char name[64];
	int signal;
};

struct ui {
	struct top *top;
	enum over over;
	struct menu menu;
	struct prompt prompt;
	struct question question;
	struct target target;
	int skip; /* columns of the list that are scrolled out */
	int help_scroll;
};

/* top_draw.c: the whole screen; says how many rows the list has. */
void ui_draw(struct ui *ui);
size_t ui_room(const struct ui *ui);

/* top_over.c */
void menu_begin(struct ui *ui, const char *title, void (*chosen)(struct ui *ui, int arg));
void menu_add(struct ui *ui, int arg, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void menu_show(struct ui *ui, int at);
void prompt_show(struct ui *ui, const char *label, const char *text,
		 void (*typed)(struct ui *ui, const char *text, bool done));
void question_show(struct ui *ui, void (*yes)(struct ui *ui), const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A key goes to what lies over the list; false if nothing does. */
bool over_key(struct ui *ui, int key);
void over_draw(struct ui *ui);

/* top_keys.c */
void ui_key(struct ui *ui, int key);
/* One line of help; NULL past the last. */
const char *key_help(int line, char *text, size_t size);
/* The bar at the bottom: the name and the words of a key; NULL past the last. */
const char *key_bar(int at, const char **words, int *key);

/* top_setup.c: F2, F6 and F9 */
void setup_show(struct ui *ui);
void sort_show(struct ui *ui);
void signals_show(struct ui *ui);

#endif
