/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the daemon's loop share: daemon.c opens and closes, feed.c tells
 * the core, rounds.c says when, needs.c what is on only by need. Internal to them.
 */
#ifndef LT_LOOP_H
#define LT_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "core/core.h"
#include "daemon.h"
#include "handlers.h"
#include "health.h"
#include "keep.h"
#include "kernel.h"
#include "notify.h"
#include "server.h"
#include "stacks.h"

struct daemon {
	struct settings *settings;
	const struct command_line *command_line;
	sd_event *event;
	struct core *core;
	struct kernel *kernel;
	struct keep keep;
	uint64_t started_ns;	   /* observing since then: what was kept says so, or now */
	uint64_t boot_realtime_ns; /* as it was told last */
	struct stacks *stacks;	   /* NULL: off */
	int stacks_err;		   /* why there are none, where they are wanted */
	bool stacks_taken;	   /* there are parents to take them of */
	uint64_t stacks_version;   /* of the leakers that they are taken of */
	uint64_t looked_pid;	   /* the last parent whose threads were looked at */
	struct lt_id stacks_also;  /* a parent that somebody named; pid 0: none */
	struct handlers *handlers; /* NULL: off */
	int handlers_err;	   /* why, where they are wanted */
	struct server *server;
	struct notify *notify;
	struct health health;
	int listen_fd, metrics_fd, journal_fd;
	int journal_err; /* why the last alert did not get there */
	uint32_t alerts_dropped;
	bool passed; /* the socket is the service manager's */
	sd_event_source *ring, *more, *batch, *due, *look, *pass, *sweep, *calm, *beat, *lifeline;
	sd_event_source *libraries; /* more of them to be looked for */
	bool batching;		    /* records gather until the batch timer */
	bool pass_wanted;	    /* records were lost since the pass under way began */
	bool sweep_pending;
	struct lt_pass swept; /* the pass that the next sweep judges */
	uint64_t newest_ns;   /* time of the newest record drained */
	__u64 lost[LT_KERNEL_KINDS];
	uint64_t exits_looked; /* how many there had been at the last look */
	bool look_planned;
	bool watching_calls; /* the hooks that tax system calls are on */
	bool calming;	     /* and go off when the timer runs out */
	uint64_t refused_told;
};

/* ---- feed.c: records to the core, to the journal of what is kept, and to who streams them ---- */

void feed(void *user, const void *record, size_t len);
/* Of counts that are read again and again, those that have changed. */
void feed_news(void *user, const void *record, size_t len);
void feed_from_ring(void *user, const void *record, size_t len);
void feed_tick(struct daemon *daemon);
void feed_start(struct daemon *daemon);
/* Told anew if the wall clock was set since: everything else goes by boot time. */
void feed_clock(struct daemon *daemon);
void feed_policy(struct daemon *daemon);
void feed_alert_policy(struct daemon *daemon);
void feed_handlers_hook(struct daemon *daemon);
void feed_stacks_hook(struct daemon *daemon);
/* Which hook serves which need. */
void feed_hooks(struct daemon *daemon);
void feed_counts(struct daemon *daemon);
/* Alerts and log lines that journald did not take. */
uint32_t journal_dropped(void *user);
void feed_health(struct daemon *daemon);
/* What the core wants of /proc. */
void feed_proc(struct daemon *daemon);
/* What parents of flagged zombies are judged by. */
void feed_judged(struct daemon *daemon);
/* How the threads of this process and of its parent stand. */
void feed_asked(struct daemon *daemon, uint64_t pid);
/* Who of the dying, or of the zombies that are due, is not there any more. */
void feed_dying(struct daemon *daemon);
void feed_due(struct daemon *daemon);
/* What containers are called whose parents leak: of those that are about to be told of, or all. */
void feed_names_due(struct daemon *daemon);
void feed_names(struct daemon *daemon);
/* How many pids leaking parents have left. */
void feed_limits(struct daemon *daemon);
/* Who was there before, and the pass under way has not met. */
void feed_unseen(struct daemon *daemon);
/* For the exit handlers of their C libraries, which are looked for slice by slice. */
void visit_programs(struct daemon *daemon);
int on_libraries(sd_event_source *source, void *user);

/* ---- needs.c ---- */

/* Whether anybody needs the hooks that tax every system call. */
bool calls_wanted(const struct daemon *daemon);
void watch_calls(struct daemon *daemon, bool watch);
/* Until nobody wants them, and for so long at least. */
void watch_calls_for(struct daemon *daemon, uint64_t ns);
/* On at once, off after a while; off at once where the settings forbid it. */
void plan_calls(struct daemon *daemon);
int on_calm(sd_event_source *source, uint64_t usec, void *user);
void on_wishes(void *user);
/* Stacks: of those that leak, and of nobody else. */
void plan_stacks(struct daemon *daemon);
/* Also of this one. Returns 0, or why there are none. */
int want_stacks(void *user, uint64_t pid);

/* ---- rounds.c ---- */

void arm(sd_event_source *source, uint64_t at_ns);
/* Arms the core's next deadline. Called whenever the core has changed. */
void plan_due(struct daemon *daemon);
/* All that the ring holds, within reason. Returns how many records. */
size_t drain(struct daemon *daemon);
void make_pass(struct daemon *daemon, bool seed);
/* As soon as may be. */
void want_pass(struct daemon *daemon);
int on_ring(sd_event_source *source, int fd, uint32_t events, void *user);
int on_more(sd_event_source *source, void *user);
int on_batch(sd_event_source *source, uint64_t usec, void *user);
int on_due(sd_event_source *source, uint64_t usec, void *user);
int on_look(sd_event_source *source, uint64_t usec, void *user);
int on_pass(sd_event_source *source, uint64_t usec, void *user);
int on_sweep(sd_event_source *source, uint64_t usec, void *user);
/* What a client is shown is as of now: see struct server_context. */
void refresh(void *user);
void refresh_counts(void *user);
void ask_why(void *user, uint64_t pid);
int look_at_cow(void *user, uint32_t pid);

#endif
