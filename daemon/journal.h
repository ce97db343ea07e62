/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The journal: what a daemon knows, kept so that the next one knows it, too,
 * however this one ends. Records that make the table as it was, and after them
 * each that was folded since: whoever folds them all has the same table.
 *
 * It lies in two files of a memory file system, mapped: a record is written by
 * copying it, without a system call, and what is copied outlives a SIGKILL at any
 * instruction. When one file is full the other begins with the table as it is
 * then. To make them grow takes no right that a daemon gives up. Never logs.
 */
#ifndef LT_JOURNAL_H
#define LT_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "source.h"

struct journal;

/*
 * That of this name in the directory; both are made if they are not there. Returns
 * 0 or -errno: -EPERM where a file is not this user's alone.
 */
int journal_open(struct journal **journal, const char *dir, const char *name);
/* What it holds stays. */
void journal_close(struct journal *journal);
void journal_remove(const char *dir, const char *name);

/* Hands over all that it holds, from the beginning. Returns how many records that were. */
size_t journal_replay(const struct journal *journal, record_fn fn, void *user);

/* Returns false, and has kept nothing, when it is full. */
bool journal_append(struct journal *journal, const void *record, size_t len);

/*
 * Begins anew, with room for so many bytes, or for what there is if the file system
 * gives no more: what is appended from here on makes up the new beginning, and
 * nothing of it counts until journal_commit().
 */
void journal_begin(struct journal *journal, size_t bytes);
void journal_commit(struct journal *journal);
/* Not: the old one goes on. */
void journal_cancel(struct journal *journal);

/* Bytes appended since the last begin, and how many there is room for in all. */
size_t journal_size(const struct journal *journal);
size_t journal_room(const struct journal *journal);

/* Nothing in it is true any more. */
void journal_void(struct journal *journal);

#endif
