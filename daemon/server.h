/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HTTP with JSON over the unix socket (docs/interface.md), and metrics over TCP,
 * on the daemon's own event loop. Owns clients and their streams; reads the core, never changes
 * it. No client can make the daemon wait: each has a bounded buffer, and one
 * that does not read or does not finish its request is dropped.
 */
#ifndef LT_SERVER_H
#define LT_SERVER_H

#include <systemd/sd-event.h>

#include "core/core.h"
#include "settings.h"

struct server;

struct server_context {
	const struct core *core;
	/* Brings the core up to date; called before an answer is made. */
	void (*refresh)(void *user);
	/* The same for metrics, which need less. */
	void (*refresh_counts)(void *user);
	/* A stream has begun or ended: server_wishes() may say something else. */
	void (*wishes_changed)(void *user);
	/* Entries that journald did not take. */
	uint32_t (*journal_dropped)(void *user);
	/* Has every COW fault of this process sent; 0: of none. Returns 0 or -errno. */
	int (*look_at_cow)(void *user, uint32_t pid);
	/* Somebody asks why this process is as it is: the core is to know what can be known now. */
	void (*ask_why)(void *user, uint64_t pid);
	/*
	 * Silences leaks for so long; 0: no more. *kept becomes false if that is lost
	 * with the daemon's end. Returns 0 or -errno: see silences.h.
	 */
	int (*silence)(void *user, const char *what, uint64_t for_ns, bool *kept);
	/*
	 * Somebody asks for stacks; from here on also of this parent (0: of none
	 * besides). Returns 0, -ESRCH if it is not there, or why none are taken.
	 */
	int (*want_stacks)(void *user, uint64_t pid);
	void *user;
};

/*
 * Serves on listen_fd, and metrics alone on metrics_fd (-1: none), until
 * server_free(); both stay the caller's. Returns 0 or -errno.
 */
int server_new(struct server **server, sd_event *event, int listen_fd, int metrics_fd,
	       const struct settings *settings, const struct server_context *context);
void server_free(struct server *server);

/* What is being streamed: kinds that somebody asked for by name, and raw records. */
struct server_wishes {
	uint32_t kinds; /* 1 << enum change_kind */
	bool records;
};

struct server_wishes server_wishes(const struct server *server);

/* Passes a change on to the clients that stream them. */
void server_change(struct server *server, const struct change *change);
/* Passes a record on to the clients that record. */
void server_record(struct server *server, const void *record, size_t len);

#endif
