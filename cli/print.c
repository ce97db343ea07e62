// SPDX-License-Identifier: GPL-2.0-only
#include "print.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "core/text.h"

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

/* Columns on the screen; what the locale cannot read counts a byte each. */
static int width(const char *text)
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

/* Cuts to so many columns of the screen, at a character's border. */
static void cut(char *text, int columns)
{
	wchar_t wide;
	int used = 0, len, one;

	for (char *p = text; *p; p += len) {
		len = mbtowc(&wide, p, MB_CUR_MAX);
		if (len <= 0)
			len = 1;
		one = len > 0 ? wcwidth(wide) : 1;
		used += one > 0 ? one : 0;
		if (used > columns) {
			*p = '\0';
			return;
		}
	}
}

static void print_cell(const struct column *column, char *cell, int column_width, bool last,
		       int *left)
{
	int pad = column_width - width(cell);

	if (last) {
		if (*left > 0)
			cut(cell, *left);
		printf("%s\n", cell);
		return;
	}
	if (pad < 0)
		pad = 0;
	if (column->right)
		printf("%*s%s  ", pad, "", cell);
	else
		printf("%s%*s  ", cell, pad, "");
	*left -= column_width + 2;
}

void print_rows(const json_t *rows, uint64_t now_ns, const struct column *columns, size_t count)
{
	size_t row_count = json_array_size(rows);
	char cell[CELL_SIZE];
	int widths[32], left;

	for (size_t c = 0; c < count; c++) {
		widths[c] = width(columns[c].title);
		for (size_t r = 0; r < row_count; r++) {
			columns[c].cell(json_array_get(rows, r), now_ns, cell);
			if (width(cell) > widths[c])
				widths[c] = width(cell);
		}
	}
	left = screen_width();
	for (size_t c = 0; c < count; c++) {
		snprintf(cell, sizeof(cell), "%s", columns[c].title);
		print_cell(&columns[c], cell, widths[c], c + 1 == count, &left);
	}
	for (size_t r = 0; r < row_count; r++) {
		const json_t *row = json_array_get(rows, r);

		left = screen_width();
		for (size_t c = 0; c < count; c++) {
			columns[c].cell(row, now_ns, cell);
			print_cell(&columns[c], cell, widths[c], c + 1 == count, &left);
		}
	}
}
