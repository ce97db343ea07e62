/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rows of a view: gathered from the table, sorted by a column, cut to what
 * a screen shows. Internal to the core; pure.
 */
#ifndef LT_ROWS_H
#define LT_ROWS_H

#include "columns.h"
#include "life.h"

/* By text where there is one, otherwise by number. */
struct sort_key {
	const char *text;
	double number;
};

struct row {
	const struct life *life;
	struct sort_key key;
	uint64_t more_below; /* tree: bit n: the ancestor at depth n has a later sibling */
	uint32_t depth;	     /* tree */
};

struct rows {
	const struct core *core;
	const struct filter *filter;
	const struct viewer *viewer;
	uint64_t now_ns;
	struct row *all;
	size_t count, room;
	size_t begin, end; /* what rows_cut() left; the rows outside are in no order */
	int64_t rank;	   /* of filter->select, -1: not among them */
};

/* Adds a life, if the viewer may know of it and the filter's text is in it. Without memory it is left out. */
void rows_add(struct rows *rows, const struct life *life);
/* Those that are wanted, parents before children, from those without a parent on. */
typedef bool (*row_wanted_fn)(const struct rows *rows, const struct life *life);
void rows_add_tree(struct rows *rows, row_wanted_fn wanted);
/* Sorts by the filter's column, or by `otherwise`, and cuts to limit and offset. */
void rows_cut(struct rows *rows, enum column otherwise);
/* "total", "offset" and "rank" of a document that was cut. */
void rows_tell(const struct rows *rows, json_t *document);
/* Of a row's members those that the filter's columns are made of. Takes the reference. */
json_t *rows_narrow(const struct rows *rows, json_t *row);
void rows_free(struct rows *rows);

typedef json_t *(*view_row_fn)(const struct rows *rows, const struct row *row);

/* view_leaks.c: the rows of leaks */
void gather_leaks(struct rows *rows);
bool is_still_leak(const struct filter *filter, const struct life *life);
json_t *leak_row(const struct rows *rows, const struct row *row);

/* A fork and what it led to, at one moment. */
struct fork_row {
	const struct fork *fork;
	struct cow_sum child;
	uint64_t copied; /* pages, by both */
	double share;	 /* of the pages that were shared; -1: not known */
	double rate;	 /* copies a second */
};

struct fork_row fork_row(const struct fork *fork, uint64_t now_ns);

/* columns.c: what the column sorts this life by */
struct sort_key column_key(enum column column, const struct rows *rows, const struct life *life);

#endif
