/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The columns of all views: the one list that the daemon sorts by and cuts
 * rows with, and that `top`, `ps`, `zombies`, `cow`, their --json and the
 * manual (docs/columns.md) are made from. How a cell is printed is
 * cell_NAME() in cli/columns.c, what is sorted by key_NAME() in columns.c.
 */
#ifndef LT_COLUMNS_H
#define LT_COLUMNS_H

#include <stdbool.h>
#include <stdint.h>

#include "view.h"

#define VIEW_LIVES (VIEW_ZOMBIES | VIEW_PROCESSES | VIEW_TREE)

/*
 * X(NAME, "name", "TITLE", width, align, sort, has, shown, "members", "help")
 * width: at least, on a screen. sort: UP or DOWN, the order that comes first.
 * has: the views that know the column; shown: those that show it unless told
 * otherwise, in this order. members: the JSON names that it is made of.
 */
// clang-format off
#define LT_COLUMNS(X)                                                                             \
	X(CREATOR, "creator", "PARENT", 15, LEFT, UP, VIEW_COW, VIEW_COW,                         \
	  "ppid parent_comm", "who forked")                                                       \
	X(PID, "pid", "PID", 7, RIGHT, UP, VIEW_LIVES | VIEW_BIRTHS,                              \
	  VIEW_LIVES | VIEW_BIRTHS, "pid", "the process's id")                                    \
	X(PER_SECOND, "per-second", "FORKS/S", 7, RIGHT, DOWN, VIEW_BIRTHS, VIEW_BIRTHS,          \
	  "births_per_s", "children that it bore in the last whole second")                       \
	X(BIRTHS, "births", "FORKS", 8, RIGHT, DOWN, VIEW_BIRTHS, VIEW_BIRTHS,                    \
	  "births", "children that it bore since it was first seen, the short-lived too")         \
	X(CHILD, "pid", "CHILD", 15, LEFT, UP, VIEW_COW, VIEW_COW,                                \
	  "pid comm", "who was born")                                                             \
	X(SINCE, "begin", "SINCE", 6, RIGHT, DOWN, VIEW_COW, VIEW_COW,                            \
	  "forked_ns", "time since the fork, the latest first")                                   \
	X(ZOMBIE_FOR, "zombie-for", "ZOMBIE FOR", 10, RIGHT, DOWN, VIEW_ZOMBIES, VIEW_ZOMBIES,    \
	  "zombie_ns", "how long it has been a zombie")                                           \
	X(FLAGGED, "flagged", "FLAGGED", 7, LEFT, DOWN, VIEW_ZOMBIES, VIEW_ZOMBIES,               \
	  "flagged", "a zombie for longer than zombie_age")                                       \
	X(STATUS, "status", "STATUS", 9, LEFT, UP, VIEW_ZOMBIES | VIEW_PROCESSES, VIEW_ZOMBIES,   \
	  "exit", "how it ended")                                                                 \
	X(PPID, "ppid", "PPID", 7, RIGHT, UP, VIEW_LIVES | VIEW_BIRTHS,                           \
	  VIEW_ZOMBIES | VIEW_PROCESSES, "ppid", "its parent's id")                                         \
	X(PARENT, "parent", "PARENT", 10, LEFT, UP, VIEW_LIVES | VIEW_BIRTHS, VIEW_ZOMBIES,       \
	  "parent_comm", "its parent's name")                                                     \
	X(ITS_WAITS, "its-waits", "ITS WAITS", 9, RIGHT, DOWN, VIEW_ZOMBIES, VIEW_ZOMBIES,        \
	  "parent_waits", "how often its parent has called wait")                                 \
	X(ITS_CAUSE, "cause", "CAUSE", 11, LEFT, UP, VIEW_ZOMBIES, VIEW_ZOMBIES,                      \
	  "cause", "why it is not reaped; `why PID` says more")                                   \
	X(UID, "uid", "UID", 5, RIGHT, UP, VIEW_LIVES | VIEW_BIRTHS, VIEW_PROCESSES,              \
	  "uid", "its user's id")                                                                 \
	X(AGE, "age", "AGE", 6, RIGHT, DOWN, VIEW_LIVES | VIEW_BIRTHS,                            \
	  VIEW_PROCESSES | VIEW_TREE, "start_ns", "time since its birth")                         \
	X(STATE, "state", "STATE", 7, LEFT, UP, VIEW_LIVES | VIEW_BIRTHS,                         \
	  VIEW_PROCESSES | VIEW_TREE | VIEW_BIRTHS,                                               \
	  "state orphan exit_called_ns exited_ns", "what it does, as ps would say")               \
	X(ALIVE, "children", "CHILDREN", 8, RIGHT, DOWN, VIEW_LIVES | VIEW_BIRTHS, VIEW_BIRTHS,   \
	  "children", "its children that live")                                                   \
	X(ZOMBIES, "zombies", "ZOMBIES", 7, RIGHT, DOWN, VIEW_LIVES | VIEW_BIRTHS,                \
	  VIEW_PROCESSES | VIEW_BIRTHS, "children", "its children that are zombies")              \
	X(WAITS, "waits", "WAITS", 6, RIGHT, DOWN, VIEW_LIVES, 0,                                 \
	  "waits", "how often it has called wait")                                                \
	X(COPIED_BY, "cow", "COW", 8, RIGHT, DOWN, VIEW_LIVES, 0,                                 \
	  "cow", "memory that its writes to shared pages copied")                                 \
	X(FORK_FAILURES, "failed-forks", "FAILED", 6, RIGHT, DOWN, VIEW_LIVES, 0,                 \
	  "fork_failures", "its fork calls that failed")                                          \
	X(TOOK, "took", "FORK TOOK", 9, RIGHT, DOWN, VIEW_COW | VIEW_LIVES, VIEW_COW,             \
	  "fork", "how long the fork call took that made it")                                     \
	X(SHARED, "shared", "SHARED", 8, RIGHT, DOWN, VIEW_COW, VIEW_COW,                         \
	  "fork", "memory that the two shared at the fork")                                       \
	X(TABLES, "tables", "PAGE TABLES", 11, RIGHT, DOWN, VIEW_COW, VIEW_COW,                   \
	  "fork", "page tables that the fork copied")                                             \
	X(COPIED, "copied", "COPIED", 8, RIGHT, DOWN, VIEW_COW, VIEW_COW,                         \
	  "copied_bytes", "what both have copied since")                                          \
	X(BY_PARENT, "parent", "BY PARENT", 9, RIGHT, DOWN, VIEW_COW, VIEW_COW,                   \
	  "parent_cow", "what the parent has copied")                                             \
	X(BY_CHILD, "child", "BY CHILD", 8, RIGHT, DOWN, VIEW_COW, VIEW_COW,                      \
	  "cow", "what the child has copied")                                                     \
	X(SHARE, "share", "SHARE", 7, RIGHT, DOWN, VIEW_COW, VIEW_COW,                            \
	  "copied_share", "copied, of what was shared")                                           \
	X(RATE, "rate", "COPIES/S", 8, RIGHT, DOWN, VIEW_COW, VIEW_COW,                           \
	  "copies_per_s", "pages copied a second, since the fork")                                \
	X(REUSES, "reuses", "REUSES", 7, RIGHT, DOWN, VIEW_COW, VIEW_COW,                         \
	  "cow parent_cow", "writes that found the page no longer shared")                        \
	X(OVER, "end", "OVER", 4, LEFT, UP, VIEW_COW, VIEW_COW,                                   \
	  "forked_ns ended_ns end", "how they ceased to share pages, and after how long")         \
	X(LEAKER, "pid", "PARENT", 15, LEFT, UP, VIEW_LEAKS, VIEW_LEAKS,                          \
	  "pid comm", "who leaks")                                                                \
	X(HOLDS, "zombies", "ZOMBIES", 7, RIGHT, DOWN, VIEW_LEAKS, VIEW_LEAKS,                    \
	  "zombies", "zombies that it holds")                                                     \
	X(OLDEST, "oldest", "OLDEST", 6, RIGHT, DOWN, VIEW_LEAKS, VIEW_LEAKS,                     \
	  "oldest_ms", "how long its oldest one has been a zombie")                               \
	X(NET, "rate", "NET/MIN", 7, RIGHT, DOWN, VIEW_LEAKS, VIEW_LEAKS,                         \
	  "rate_per_minute", "zombies gained less those lost, a minute")                          \
	X(CAUSE, "cause", "CAUSE", 10, LEFT, UP, VIEW_LEAKS, VIEW_LEAKS,                          \
	  "cause", "why they are not reaped")                                                     \
	X(SILENCED, "silenced", "SILENCED", 8, RIGHT, DOWN, VIEW_LEAKS, VIEW_LEAKS,               \
	  "silenced_until_ns", "for how long nobody is told of it")                               \
	X(LEFT_PIDS, "left", "PIDS LEFT", 9, RIGHT, UP, VIEW_LEAKS, VIEW_LEAKS,                   \
	  "pids_left", "tasks up to the nearest limit")                                           \
	X(RUN_OUT, "run-out", "RUN OUT IN", 10, RIGHT, UP, VIEW_LEAKS, VIEW_LEAKS,                \
	  "exhausted_in_s", "when none is left at this rate")                                     \
	X(LIMIT, "limit", "NEAREST LIMIT", 13, LEFT, UP, VIEW_LEAKS, VIEW_LEAKS,                  \
	  "limit", "which limit that is")                                                         \
	X(UNIT, "unit", "UNIT", 12, LEFT, UP, VIEW_LIVES | VIEW_BIRTHS | VIEW_COW | VIEW_LEAKS,   \
	  VIEW_ZOMBIES | VIEW_PROCESSES | VIEW_LEAKS, "unit container", "its systemd unit or container")       \
	X(COMM, "comm", "NAME", 15, LEFT, UP, VIEW_LIVES | VIEW_BIRTHS, 0,                        \
	  "comm", "its name")                                                                     \
	X(COMMAND, "command", "COMMAND", 7, LEFT, UP, VIEW_LIVES | VIEW_BIRTHS | VIEW_COW,        \
	  VIEW_LIVES | VIEW_BIRTHS, "comm args args_truncated", "what it runs, with arguments")
// clang-format on

enum column {
#define X(NAME, ...) COLUMN_##NAME,
	LT_COLUMNS(X)
#undef X
		COLUMN_COUNT
};

struct column_info {
	const char *name;
	const char *title;
	const char *members; /* separated by blanks */
	const char *help;
	uint32_t has, shown; /* enum view_kind */
	uint8_t width;
	bool right;   /* aligned */
	bool falling; /* the largest first, unless reversed */
};

extern const struct column_info column_infos[COLUMN_COUNT];

/* The column that the view calls so, or -1. */
int column_find(uint32_t view, const char *name);
/* A set of columns: 1 << enum column. "pid,age": -EINVAL for a name that the view has not. */
int column_set_parse(uint32_t view, const char *names, uint64_t *set);
uint64_t column_set_shown(uint32_t view);

#endif
