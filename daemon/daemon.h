/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The daemon's wiring: one sd-event loop that drains the ring, keeps time for
 * the core's policy, has the iterator repair the table, and serves clients.
 */
#ifndef LT_DAEMON_H
#define LT_DAEMON_H

#include <stdbool.h>

#include "settings.h"

/* What it was started with: a SIGHUP reads all of it again. */
struct command_line {
	int argc;
	char **argv;
};

/*
 * Takes what is pinned out of the kernel; stale_only: where no daemon was heard of
 * for longer than its heartbeat. Returns the exit status.
 */
int daemon_detach(const struct settings *settings, bool stale_only);

/* Runs until SIGTERM, SIGINT or the lifeline's end. Returns the exit status. */
int daemon_run(struct settings *settings, const struct invocation *invocation,
	       const struct command_line *command_line);

/* Settings of defaults, file and command line, in this order. Logs what is wrong. */
int daemon_settings(struct settings *settings, struct invocation *invocation,
		    const struct command_line *command_line);

#endif
