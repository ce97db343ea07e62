/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Views: the table as JSON (docs/interface.md). Pure; every json_t returned
 * is a new reference, NULL only without memory.
 */
#ifndef LT_VIEW_H
#define LT_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core.h"

/* Who looks: others than root and the group see only their own arguments. */
struct viewer {
	bool all;
	bool own_only; /* and of others' processes nothing at all, as in a /proc with hidepid */
	uint32_t uid;
};

#define FILTER_TEXT_SIZE 256

/* Which rows. All zero lets everything through but kernel threads and the reaped. */
struct filter {
	uint64_t pid;
	uint64_t uid;
	uint64_t older_ns;
	uint64_t count;	  /* tail: end after so many; 0: never */
	uint32_t kinds;	  /* 1 << enum change_kind; 0: all */
	uint64_t raw_cow; /* tail: every COW fault of this process, too; 0: of none */
	uint32_t view;	  /* enum view_kind; whose parameters were set */
	uint32_t sort;	  /* enum column + 1; 0: the view's own order */
	uint64_t columns; /* 1 << enum column: of a row, only what these are made of; 0: all */
	uint64_t limit;	  /* rows; 0: all of them */
	uint64_t offset;
	struct lt_id select;	     /* is to be among the rows; pid 0: none */
	uint64_t younger_ns;	     /* 0: of any age */
	uint64_t lately_ns;	     /* also what ended at most so long ago */
	char what[FILTER_TEXT_SIZE]; /* silences: whom, for how long */
	uint64_t for_ns;
	uint64_t min; /* leaks: zombies */
	bool has_pid, has_uid, kernel, all, reverse, tree;
	char text[FILTER_TEXT_SIZE];
	char comm[FILTER_TEXT_SIZE];
	char unit[FILTER_TEXT_SIZE];
	char container[FILTER_TEXT_SIZE];
};

/* The views that a filter can be for. */
enum view_kind {
	VIEW_ZOMBIES = 1,
	VIEW_PROCESSES = 2,
	VIEW_EVENTS = 4,
	VIEW_COW = 8,
	VIEW_TREE = 16,
	VIEW_BIRTHS = 32,
	VIEW_LEAKS = 64,
	VIEW_WHY = 128,
	VIEW_SILENCES = 256,
	VIEW_STACKS = 512,
	/* those in rows, whose columns can be chosen */
	VIEW_ROWS = VIEW_ZOMBIES | VIEW_PROCESSES | VIEW_COW | VIEW_BIRTHS | VIEW_LEAKS
};

/* One filter: its name is the query parameter and the long option. */
struct filter_option {
	const char *name;
	const char *argument; /* NULL: a flag */
	const char *help;
	unsigned views;
	int (*set)(struct filter *filter, const char *value);
};

extern const struct filter_option filter_options[];
extern const size_t filter_option_count;

/*
 * Sets what one parameter says. Returns 0, -ENOENT for a name that this view
 * does not know, -EINVAL for a value that is malformed.
 */
int filter_set(struct filter *filter, enum view_kind view, const char *name, const char *value);
bool filter_life(const struct filter *filter, const struct life *life);
/* Whether its text is in what this viewer sees of the life. */
bool filter_text(const struct filter *filter, const struct life *life, const struct viewer *viewer);
/* Whether a row that is there since then is of the age asked for. */
bool filter_age(const struct filter *filter, uint64_t since_ns, uint64_t now_ns);
/* A fork is wanted if its child is, or, by pid, its creator. */
bool filter_fork(const struct filter *filter, const struct life *child);
bool filter_change(const struct filter *filter, const struct change *change);

json_t *view_zombies(const struct core *core, uint64_t now_ns, const struct filter *filter,
		     const struct viewer *viewer);
json_t *view_processes(const struct core *core, uint64_t now_ns, const struct filter *filter,
		       const struct viewer *viewer);
/*
 * The documents of VIEW_ROWS as text, of very many rows: which, and in what
 * order, is decided at once; each is made when it is read. What is gone by then
 * is left out. The filter and viewer are copied. NULL: no memory. Not to outlive
 * the core.
 */
struct view_pages;
struct view_pages *view_pages_new(enum view_kind kind, const struct core *core, uint64_t now_ns,
				  const struct filter *filter, const struct viewer *viewer);
/* Fills buf with what comes next. Returns how many bytes, 0 at the end, -1 without memory. */
int64_t view_pages_read(struct view_pages *pages, char *buf, size_t size);
void view_pages_free(struct view_pages *pages);

/* The forks that copied an address space, and the copies since. */
json_t *view_cow(const struct core *core, uint64_t now_ns, const struct filter *filter,
		 const struct viewer *viewer);
/* Who forks most: the creators, with their births of the last whole second and in all. */
json_t *view_births(const struct core *core, uint64_t now_ns, const struct filter *filter,
		    const struct viewer *viewer);
/* Parents that leak, those with the most zombies first. */
json_t *view_leaks(const struct core *core, uint64_t now_ns, const struct filter *filter,
		   const struct viewer *viewer);
/*
 * Who has the pid, or had it last: of a zombie why it is not reaped, of others
 * how they reap. NULL: nobody that is known.
 */
json_t *view_why(const struct core *core, uint64_t now_ns, uint64_t pid,
		 const struct viewer *viewer);
/* Where the zombies of a parent, or all, were forked, as far as stacks were taken. */
json_t *view_stacks(const struct core *core, uint64_t now_ns, const struct filter *filter);
json_t *view_silences(const struct core *core, uint64_t now_ns, const struct viewer *viewer);
json_t *view_status(const struct core *core, uint64_t now_ns);
/* One line of `tail`, for whom it may be shown to. */
bool view_shows(const struct change *change, const struct viewer *viewer);
json_t *view_change(const struct core *core, const struct change *change,
		    const struct viewer *viewer);

static inline bool may_see_all(const struct viewer *viewer, uint32_t uid)
{
	return viewer->all || viewer->uid == uid;
}

/* Whether the viewer may know that there is such a process. */
static inline bool may_know(const struct viewer *viewer, uint32_t uid)
{
	return !viewer->own_only || may_see_all(viewer, uid);
}

/* A document's or line's text, newline included; malloced. The one way JSON is printed. */
char *view_text(const json_t *json, size_t *len);

#endif
