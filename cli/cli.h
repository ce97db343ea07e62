/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the command share: the options of one call, where its
 * data comes from, and the exit statuses.
 */
#ifndef LT_CLI_H
#define LT_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/view.h"

enum exit_status { DONE = 0, FAILED = 1, USAGE = 2, CHECK_UNKNOWN = 3 };

#define QUERY_SIZE 8192 /* every filter once at its longest, and some again */
#define OPERANDS_MAX 2

struct top_options {
	bool batch, reverse;
	uint64_t frames;		/* 0: until interrupted, or the end of the recording */
	uint64_t limit;			/* rows; 0: all */
	uint64_t delay_ns;		/* 0: as toprc has it */
	const char *replay;		/* NULL: live */
	const char *view, *sort, *text; /* NULL: as toprc has it */
};

struct options {
	const char *socket; /* NULL: the default one, or a private daemon */
	bool json;
	bool help;
	struct filter filter;	/* for a recording */
	char query[QUERY_SIZE]; /* the same, for a daemon */
	bool check;
	uint64_t warning, critical;
	bool watch;
	bool stacks;	    /* leaks */
	bool list, remove;  /* silence */
	const char *method; /* of HTTP; NULL: GET */
	uint64_t for_ns;    /* record: 0: until interrupted */
	uint64_t at_ns;	    /* replay: 0: to the end */
	struct top_options top;
	int operand_count;
	const char *operands[OPERANDS_MAX];
};

struct source;

/*
 * Where the data comes from. Each call prints what went wrong and returns an
 * exit status; get() gives a new reference in *document.
 */
struct source_ops {
	int (*get)(struct source *source, const struct options *options, const char *what,
		   json_t **document);
	/*
	 * Lines of JSON as they come, newline included; line NULL: no more is at
	 * hand, let it be seen. fn returns non-zero to end.
	 */
	int (*stream)(struct source *source, const struct options *options,
		      int (*fn)(void *user, const char *line, size_t len), void *user);
	/* Raw bytes of /v1/record. */
	int (*record)(struct source *source, const struct options *options,
		      int (*fn)(void *user, const void *bytes, size_t len), void *user);
	void (*close)(struct source *source);
};

struct source {
	const struct source_ops *ops;
};

/* A daemon: the one on the socket, or a private one. NULL: none; said on stderr. */
struct source *daemon_source(const struct options *options);
/* A recording, folded up to options->at_ns when first asked. */
struct source *recording_source(const char *path);

struct command {
	const char *name;
	const char *operands;
	const char *summary;
	const char *examples;
	enum view_kind view;	    /* whose filters it takes; 0: none */
	unsigned takes;		    /* TAKES_* */
	const char *operand_filter; /* the filter that an operand stands for */
	int (*run)(const struct command *command, struct options *options);
	/* With the data from source; NULL for what a recording cannot answer. */
	int (*show)(const struct options *options, struct source *source);
};

#define TAKES_CHECK 1
#define TAKES_FOR 2
#define TAKES_JSON 4
#define TAKES_SOCKET 8
#define TAKES_AT 16
#define TAKES_WATCH 32
#define TAKES_TOP 64
#define TAKES_SILENCES 128
#define TAKES_STACKS 256

extern const struct command commands[];
const struct command *find_command(const char *name);

/*
 * Reads the options of argv[1] and on, up to the first word that is none: its
 * index is in *next. Returns DONE or USAGE, having said why.
 */
int parse_options(const struct command *command, struct options *options, int argc, char **argv,
		  int *next);
/* One filter, both for a recording and for a daemon. Returns 0 or -EINVAL, -E2BIG. */
int add_filter(struct options *options, enum view_kind view, const char *name, const char *value);
/* An operand that stands for a filter; the next one does not. Returns DONE or USAGE, likewise. */
int take_operand_filter(struct command *command, struct options *options, const char *word);
void print_command_help(const struct command *command);
void print_help(void);
/* The program's tables, one row a line, cells apart by tabs: for deploy/document. */
void document_tables(void);

int show_zombies(const struct options *options, struct source *source);
int show_processes(const struct options *options, struct source *source);
int show_births(const struct options *options, struct source *source);
int show_tree(const struct options *options, struct source *source);
int show_cow(const struct options *options, struct source *source);
int show_leaks(const struct options *options, struct source *source);
/* The answer in words, a line each; coloured on standard output only. */
void print_why(FILE *out, const json_t *document);
int show_why(const struct options *options, struct source *source);
int show_status(const struct options *options, struct source *source);
int show_events(const struct options *options, struct source *source);
int run_live(const struct command *command, struct options *options);
int run_silence(const struct command *command, struct options *options);
int run_record(const struct command *command, struct options *options);
int run_doctor(const struct command *command, struct options *options);
int run_top(const struct command *command, struct options *options);
int run_replay(const struct command *command, struct options *options);

/* Calls show once, or with --watch every second until it fails or is interrupted. */
int show_watched(const struct options *options, struct source *source,
		 int (*show)(const struct options *options, struct source *source));

/* The text as the daemon sent it: the same bytes wherever it comes from. */
int print_json(const json_t *document);

/* One line of `tail` without colours; "" for a kind that is not known. */
void event_text(const json_t *event, uint64_t boot_realtime_ns, char *line, size_t size);

/* One line to stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Set by SIGINT and SIGTERM; whoever waits is woken. */
extern volatile int interrupted;

#endif
