/* SPDX-License-Identifier: GPL-2.0-only */
/* For people: aligned columns, ages, colours on a terminal. Writes to stdout. */
#ifndef LT_PRINT_H
#define LT_PRINT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define CELL_SIZE 512

/* Aligned; set: 1 << enum column. */
void print_rows(const json_t *rows, uint64_t now_ns, uint64_t set);
/* Columns on the screen; what the locale cannot read counts a byte each. */
int text_width(const char *text);
/* Cuts to so many columns of the screen, at a character's border. */
void text_cut(char *text, int columns);

enum colour { PLAIN, RED, GREEN, YELLOW, BLUE, DIM };

/* The escape sequence, or "" where colours are not wanted. */
const char *colour_on(enum colour colour);
const char *colour_off(void);

/* A string member, escaped for the terminal; "-" where it is null. */
const char *member(const json_t *object, const char *name, char buf[CELL_SIZE]);
uint64_t number(const json_t *object, const char *name);
/* Of an object whose members are counts. */
uint64_t sum_of(const json_t *counts);
/* "exited 3", "SIGKILL", "SIGABRT, core". */
void exit_text(const json_t *row, char cell[CELL_SIZE]);
/* "812 B", "96 KiB", "1.3 GiB"; "2.4 ms", "180 us": rounded, for people. */
void bytes_text(uint64_t bytes, char cell[CELL_SIZE]);
void short_time_text(uint64_t ns, char cell[CELL_SIZE]);
/* The arguments, or the name in brackets. */
void command_text(const json_t *row, char cell[CELL_SIZE]);

#endif
