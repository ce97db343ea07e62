/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is expected of a JSON object, and the first thing that was not as expected. A case goes on
 * after it: what follows is not blamed any more, and processes are still taken care of.
 *
 * A path is of names with dots between ("exit.status"). Where the object is NULL something else
 * has been blamed already, and nothing is expected of it.
 */
#ifndef EXPECT_H
#define EXPECT_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/* Forgets the blame: a new case begins. */
void expect_begin(void);

/* The first blame since then; NULL: none. */
const char *expect_why(void);

void blame(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Blames the value at a path; expected is said in words. */
void blame_value(json_t *object, const char *path, const char *expected);

void expect_text(json_t *object, const char *path, const char *expected);
void expect_number(json_t *object, const char *path, long long expected);
void expect_at_least(json_t *object, const char *path, long long least);
void expect_bool(json_t *object, const char *path, bool expected);
void expect_null(json_t *object, const char *path);

/* That an id ("PID-START") is this pid's. */
void expect_id_of(json_t *object, const char *path, pid_t pid);

/* That b has what a has. */
void expect_same(json_t *a, json_t *b, const char *path);

/* That its "exit" is what wait told: status is wait's. */
void expect_exit(json_t *object, int status);

#endif
