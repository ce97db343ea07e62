// SPDX-License-Identifier: GPL-2.0-only
#include "columns.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "cli.h"
#include "core/text.h"

#define WATCH_S 1

static bool colours_wanted(void)
{
	static int wanted = -1;
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (wanted < 0)
		wanted = isatty(STDOUT_FILENO) && !(no_color && *no_color) &&
			 !(term && !strcmp(term, "dumb"));
	return wanted;
}

const char *colour_on(enum colour colour)
{
	static const char *const codes[] = { "",	 "\x1b[31m", "\x1b[32m",
					     "\x1b[33m", "\x1b[34m", "\x1b[2m" };

	return colours_wanted() ? codes[colour] : "";
}

const char *colour_off(void)
{
	return colours_wanted() ? "\x1b[0m" : "";
}

const char *member(const json_t *object, const char *name, char buf[CELL_SIZE])
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? text_escape(value, buf, CELL_SIZE) : "-";
}

uint64_t number(const json_t *object, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(object, name));
}

uint64_t sum_of(const json_t *counts)
{
	uint64_t total = 0;
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)counts, name, value)
		total += (uint64_t)json_integer_value(value);
	return total;
}

void exit_text(const json_t *row, char cell[CELL_SIZE])
{
	const json_t *end = json_object_get(row, "exit");
	const char *how = json_string_value(json_object_get(end, "how"));
	const char *signal = json_string_value(json_object_get(end, "signal"));

	if (!how)
		snprintf(cell, CELL_SIZE, "-");
	else if (signal)
		snprintf(cell, CELL_SIZE, "%s%s", signal, strcmp(how, "dumped") ? "" : ", core");
	else
		snprintf(cell, CELL_SIZE, "exited %" PRIu64, number(end, "status"));
}

/* Three figures at most: 131, 13.1, 1.3. */
static void rounded_text(double value, const char *const units[], double step, char *cell)
{
	while (value >= step - 0.5 && units[1]) {
		value /= step;
		units++;
	}
	snprintf(cell, CELL_SIZE, "%.*f %s", value < 9.95 && value != (double)(int)value, value,
		 *units);
}

void bytes_text(uint64_t bytes, char cell[CELL_SIZE])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", NULL };

	rounded_text((double)bytes, units, 1024, cell);
}

void short_time_text(uint64_t ns, char cell[CELL_SIZE])
{
	static const char *const units[] = { "ns", "us", "ms", "s", NULL };

	rounded_text((double)ns, units, 1000, cell);
}

void command_text(const json_t *row, char cell[CELL_SIZE])
{
	const json_t *args = json_object_get(row, "args"), *arg;
	char word[CELL_SIZE];
	size_t used = 0, i;

	if (!json_array_size(args)) {
		snprintf(cell, CELL_SIZE, "[%s]", member(row, "comm", word));
		return;
	}
	json_array_foreach(args, i, arg) {
		int len = snprintf(cell + used, CELL_SIZE - used, "%s%s", i ? " " : "",
				   text_escape(json_string_value(arg), word, sizeof(word)));

		used += (size_t)len;
		if (used >= CELL_SIZE)
			break;
	}
	if (json_is_true(json_object_get(row, "args_truncated")) && used < CELL_SIZE - 4)
		snprintf(cell + used, CELL_SIZE - used, "…");
}

int text_width(const char *text)
{
	wchar_t wide[CELL_SIZE];
	size_t count = mbstowcs(wide, text, CELL_SIZE);
	int columns = count < CELL_SIZE ? wcswidth(wide, count) : -1;

	return columns < 0 ? (int)strlen(text) : columns;
}

static int screen_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		return 0;
	return size.ws_col;
}

void text_cut(char *text, int columns)
{
	wchar_t wide;
	int used = 0, len, one;

	for (char *p = text; *p; p += len) {
		len = mbtowc(&wide, p, MB_CUR_MAX);
		one = len > 0 ? wcwidth(wide) : 1;
		if (len <= 0)
			len = 1;
		used += one > 0 ? one : 0;
		if (used > columns) {
			*p = '\0';
			return;
		}
	}
}

struct layout {
	enum column columns[COLUMN_COUNT];
	int widths[COLUMN_COUNT];
	int count;
};

static void print_cell(const struct layout *layout, int at, char *cell, int *left)
{
	int pad = layout->widths[at] - text_width(cell);

	if (at + 1 == layout->count) {
		if (*left > 0)
			text_cut(cell, *left);
		printf("%s\n", cell);
		return;
	}
	if (pad < 0)
		pad = 0;
	if (column_infos[layout->columns[at]].right)
		printf("%*s%s  ", pad, "", cell);
	else
		printf("%s%*s  ", cell, pad, "");
	*left -= layout->widths[at] + 2;
}

static void lay_out(struct layout *layout, const json_t *rows, uint64_t now_ns, uint64_t set)
{
	char cell[CELL_SIZE];
	const json_t *row;
	size_t i;

	for (int column = 0; column < COLUMN_COUNT; column++) {
		int *width = &layout->widths[layout->count];

		if (!(set & 1ULL << column))
			continue;
		*width = text_width(column_infos[column].title);
		json_array_foreach(rows, i, row) {
			column_cell(column, row, now_ns, cell);
			if (text_width(cell) > *width)
				*width = text_width(cell);
		}
		layout->columns[layout->count++] = column;
	}
}

void print_rows(const json_t *rows, uint64_t now_ns, uint64_t set)
{
	struct layout layout = { .count = 0 };
	int left = screen_width();
	char cell[CELL_SIZE];
	const json_t *row;
	size_t i;

	lay_out(&layout, rows, now_ns, set);
	for (int c = 0; c < layout.count; c++) {
		snprintf(cell, sizeof(cell), "%s", column_infos[layout.columns[c]].title);
		print_cell(&layout, c, cell, &left);
	}
	json_array_foreach(rows, i, row) {
		left = screen_width();
		for (int c = 0; c < layout.count; c++) {
			column_cell(layout.columns[c], row, now_ns, cell);
			print_cell(&layout, c, cell, &left);
		}
	}
}

int show_watched(const struct options *options, struct source *source,
		 int (*show)(const struct options *options, struct source *source))
{
	bool clears = options->watch && !options->json && isatty(STDOUT_FILENO);
	const struct timespec pause = { .tv_sec = WATCH_S };
	int status;

	for (;;) {
		if (clears)
			fputs("\x1b[H\x1b[2J", stdout);
		status = show(options, source);
		if (status || !options->watch || fflush(stdout) || ferror(stdout))
			break;
		if (nanosleep(&pause, NULL))
			break;
	}
	return options->watch && interrupted ? DONE : status;
}
