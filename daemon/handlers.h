/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exit handlers: uprobes on exit() and _Exit() of every C library that running
 * programs map, wherever it lies. Owns the programs, the probes, and what it
 * knows of who maps what.
 *
 * A library is found when one of its programs is looked at: each once, at a
 * pass, and at once where somebody execs in a container or a changed root that is
 * not known yet. It is let go at the pass that finds nobody who maps it any more, so that
 * no file system is held that its container is done with.
 *
 * Programs are read and not trusted: a library is read by pread(2) within
 * bounds, and one that is no good costs a word in the log and its place in the
 * count of those that are not covered.
 */
#ifndef LT_HANDLERS_H
#define LT_HANDLERS_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"

struct handlers;

struct handlers_options {
	int ring_fd, counters_fd; /* maps of the kernel side, see kernel.h */
	uint64_t ring_bytes;
	const char *btf; /* as in kernel_options */
	uint64_t repair_interval_ns;
	bool has_cookies; /* kernel_has_cookies() */
};

/* Loads the programs; no library is covered yet. Returns 0 or -errno. */
int handlers_open(struct handlers **handlers, const struct handlers_options *options);
void handlers_close(struct handlers *handlers);

/* Remembers who execs where no library is known; looks at nothing. */
void handlers_note(struct handlers *handlers, const struct lt_new_files *record);

/* A pass: every process that runs a program is visited; user is the handlers. Looks at nothing, either. */
void handlers_pass_begin(struct handlers *handlers);
void handlers_visit(void *user, struct lt_id id, uint64_t exec_ns);

/*
 * Looks at whom was noted and visited, for some milliseconds or until a library
 * was covered. Returns whether anybody is left. A pass is over when none is.
 */
bool handlers_look(struct handlers *handlers);
/* Whether handlers_hook() has changed since this was asked last. */
bool handlers_has_changed(struct handlers *handlers);

#define HANDLERS_HOOK_SIZE 96

/* The hook as `status` names it: "uprobe/exit (N libraries)"; in the first pass ", looking for more" is in it. */
void handlers_hook(const struct handlers *handlers, char hook[HANDLERS_HOOK_SIZE]);

#endif
