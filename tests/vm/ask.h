/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Asks lifetrace, in the ways its users do: the command with --json, the daemon's socket, and
 * `lifetrace tail --json` as a stream that is kept from its first line on.
 *
 * Owns the child that runs `tail` and every event that it printed. Knows no test.
 */
#ifndef ASK_H
#define ASK_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct ask_paths {
	const char *command; /* the lifetrace binary */
	const char *socket;  /* the daemon's */
};

/* To be called first; the strings are kept by reference. */
void ask_init(struct ask_paths paths);

/*
 * Runs `lifetrace WORDS... --json --socket PATH`. Returns the document, a new reference, or NULL
 * when the command failed or printed something else. *pid is the command's own, if not NULL.
 */
json_t *ask_command(const char *const words[], pid_t *pid);

/* GET of a path on the socket, without starting a process. A new reference, or NULL. */
json_t *ask_http(const char *path);

/* Starts the stream; 0 or a negative errno. Events before the daemon serves it are not seen. */
int ask_tail_start(void);

/* Ends the stream and forgets its events. */
void ask_tail_stop(void);

/* How many events of this kind and pid have been seen; reads what is there, without waiting. */
int ask_tail_count(const char *kind, pid_t pid);

/* The first event of this kind and pid: borrowed. NULL when none came within the time. */
json_t *ask_tail_wait(const char *kind, pid_t pid, int timeout_ms);

/* Lines of the stream that are no JSON. */
int ask_tail_bad_lines(void);

/*
 * The value at a path of names with dots between ("exit.status"): borrowed, JSON null when any
 * of them is missing.
 */
json_t *ask_at(json_t *object, const char *path);

/* Milliseconds of CLOCK_BOOTTIME. */
long long ask_now_ms(void);

#endif
