/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * top: what its parts share. The model (top_model.c) holds what is looked at
 * and turns keys' wishes into questions; a feed (top_feed.c: a daemon,
 * top_replay.c: a recording) answers them; top_screen.c, top_pane.c and
 * top_menu.c draw, and nothing else in this program may.
 */
#ifndef LT_TOP_H
#define LT_TOP_H

#include "cli.h"
#include "columns.h"
#include "core/text.h"

#define TOP_TEXT_SIZE 128
#define TOP_HISTORY 240	    /* rates that the graph remembers */
#define TOP_EVENTS_MAX 1000 /* that are kept */
#define TOP_DELAY_NS (1500 * NSEC_PER_MSEC)
#define TOP_DELAY_MIN_NS (100 * NSEC_PER_MSEC)
#define TOP_DELAY_MAX_NS (60 * NSEC_PER_SEC)

/* ---- where the data comes from ---- */

enum ask { ASK_STATUS, ASK_ROWS, ASK_DETAILS, ASK_FIND, ASKS };

struct feed_user {
	/* The reference is the callee's to keep or drop. error NULL: document is an answer. */
	void (*answered)(void *user, enum ask ask, json_t *document, const char *error);
	void (*happened)(void *user, json_t *event);
	void *user;
};

struct feed;

struct feed_ops {
	/* A newer question of the same kind takes the place of one that waits. */
	void (*ask)(struct feed *feed, enum ask ask, const char *what,
		    const struct options *options);
	/* What happens from now on, or no more of it. */
	void (*stream)(struct feed *feed, bool on);
	/* Until input comes on fd (-1: none), something is answered, or the time is over. */
	void (*wait)(struct feed *feed, int fd, int timeout_ms);
	/* Why nothing comes; NULL when all is well. */
	const char *(*trouble)(const struct feed *feed);
	void (*close)(struct feed *feed);
};

struct feed {
	const struct feed_ops *ops;
	struct feed_user user;
	struct player *player; /* NULL: it is live */
};

/* NULL: said on stderr why not. */
struct feed *daemon_feed(const struct options *options, const struct feed_user *user);
struct feed *replay_feed(const char *path, uint64_t at_ns, const struct feed_user *user);

/* The clock of a recording. */
struct player {
	int speed; /* a power of two: 0 is as it was, 1 twice as fast, -1 half */
	bool paused;
	bool ended;
	uint64_t now_ns; /* boot time there */
};

/* Folds what happened up to then, and asks nobody. */
void replay_advance(struct feed *feed, uint64_t to_ns);
/* As wait() does by its clock; elapsed: of our own. */
void replay_elapse(struct feed *feed, uint64_t elapsed_ns);
uint64_t replay_now_ns(const struct feed *feed);

/* ---- what is looked at ---- */

enum top_view {
	TOP_ZOMBIES,
	TOP_LEAKS,
	TOP_PROCESSES,
	TOP_BIRTHS,
	TOP_COW,
	TOP_TREE,
	TOP_EVENTS,
	TOP_VIEWS
};

struct top_view_info {
	const char *name; /* in the bar, in toprc and for --view */
	const char *title;
	const char *what;     /* the document; NULL: the stream */
	const char *array;    /* the rows in it */
	enum view_kind kind;  /* whose columns and filters these are */
	enum view_kind shown; /* whose columns are shown unless chosen */
	const char *always;   /* a flag that is always asked for */
	bool lately;	      /* those that end stay for a moment */
	const char *none;     /* what is said where there are no rows */
};

extern const struct top_view_info top_views[TOP_VIEWS];
/* By the beginning of its name; -1: none. */
int top_find_view(const char *name);

/* How one view is looked at: kept in toprc but for the place. */
struct top_look {
	uint64_t columns;
	int sort; /* enum column; -1: the view's own order */
	bool reverse;
	bool follows; /* the selection is of a process, and not the first line */
	uint64_t offset, rank, total;
	char selected[TEXT_ID_SIZE];
	int widths[COLUMN_COUNT]; /* as wide as they have been */
};

enum top_colours { COLOURS_AUTO, COLOURS_256, COLOURS_8, COLOURS_NONE, TOP_COLOURS };

extern const char *const top_colour_names[TOP_COLOURS];

struct top_settings {
	uint64_t delay_ns;
	enum top_colours colours;
	bool kernel;
	int first; /* enum top_view; -1: zombies, if there are any */
	struct top_look looks[TOP_VIEWS];
};

struct top_rates {
	double forks, execs, exits, reaps, cow_bytes; /* a second */
	double cpu;				      /* of one, of the daemon's */
};

struct top {
	struct feed *feed;
	struct top_settings settings;
	enum top_view view;
	bool paused, quit, dirty, asked_view;
	char text[TOP_TEXT_SIZE]; /* the filter */
	uint64_t older_ns, younger_ns;
	size_t room; /* rows that the screen has for the list */
	json_t *status, *status_before;
	struct top_rates rates;
	double history[TOP_HISTORY]; /* forks a second, the newest last */
	json_t *rows;		     /* the document of this view; NULL: not answered yet */
	json_t *details;
	bool details_open;
	size_t details_scroll;
	char details_of[TEXT_ID_SIZE];
	json_t *events[TOP_EVENTS_MAX]; /* a ring */
	uint64_t event_count;
	unsigned answered; /* 1 << enum ask */
	bool refused;	   /* a question was, since that was last looked at */
	char find[TOP_TEXT_SIZE];
	uint64_t find_count;
	char message[256];
	uint64_t message_until_ns;
};

void top_init(struct top *top);
void top_free(struct top *top);
struct top_look *top_look(struct top *top);
const struct top_view_info *top_info(const struct top *top);

/* Ask for what the screen shows, anew. */
void top_refresh(struct top *top);
void top_ask_rows(struct top *top);
void top_ask_details(struct top *top);
void top_set_view(struct top *top, enum top_view view);
void top_open_details(struct top *top, bool open);
/* The query of the list as it stands; limit 0: all rows. */
void top_query(const struct top *top, struct options *options, uint64_t limit);
/* The next row that has the text. */
void top_find(struct top *top, const char *text);

void top_answered(void *user, enum ask ask, json_t *document, const char *error);
void top_happened(void *user, json_t *event);
/* The event before so many others; "" if the filter leaves it out, false past the oldest. */
bool top_event_line(const struct top *top, uint64_t back, char *line, size_t size);

/* Moves the selection by so many rows; to the first or last one. */
void top_move(struct top *top, int64_t by);
void top_move_to(struct top *top, uint64_t rank);
/* Lets go of the process: the selection is the first row. */
void top_move_home(struct top *top);
const json_t *top_selected(const struct top *top);
const json_t *top_array(const struct top *top);
/* Says something for a few seconds. */
void top_say(struct top *top, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *top_row_id(const struct top *top, const json_t *row);

/* ---- the head, as words ---- */

enum tone { TONE_PLAIN, TONE_DIM, TONE_GOOD, TONE_WARN, TONE_BAD, TONE_TITLE };

struct span {
	char text[160];
	enum tone tone;
};

#define HEAD_LINES 4
#define HEAD_SPANS 8

struct head {
	struct span spans[HEAD_LINES][HEAD_SPANS];
	int counts[HEAD_LINES];
};

/* graph: columns that it may take; 0: none. */
void top_head(const struct top *top, struct head *head, int graph);
enum tone top_tone(const struct top *top, const json_t *row);

/* ---- settings on disk ---- */

void toprc_defaults(struct top_settings *settings);
/* What is wrong in it is left out; the first such line is told in wrong: -EINVAL. */
int toprc_load(struct top_settings *settings, char *wrong, size_t size);
/* Returns 0, or -errno with the path in path. */
int toprc_save(const struct top_settings *settings, char *path, size_t size);
/* Sets what one line of it says. Returns 0 or -EINVAL. */
int toprc_set(struct top_settings *settings, const char *section, const char *name,
	      const char *value);

/* ---- running it ---- */

/* Frames of plain text. Returns an exit status. */
int top_batch(struct top *top, const struct top_options *options);
/* Whether the terminal is fit for it; complains. */
bool top_can_draw(void);
/* On the terminal, until it is left. Returns an exit status. */
int top_interactive(struct top *top);

uint64_t top_clock_ns(void);

#endif
