/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lifetrace-alert: a client of lifetraced that passes its alerts on, to a
 * command and to Alertmanagers. One loop, of curl_multi; nothing blocks it, and
 * what cannot be delivered waits in a bounded queue that survives a restart.
 */
#ifndef LT_ALERT_H
#define LT_ALERT_H

#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "settings.h"

#define NEVER UINT64_MAX

/* CLOCK_MONOTONIC. */
uint64_t now_ms(void);

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Seconds, doubled with each failure in a row up to max_ms, in milliseconds. */
uint64_t back_off_ms(unsigned failures, uint64_t max_ms);

/* ---- hook.c: on_alert, once for each begin and each end ---- */

struct hooks;

/* NULL: no memory. */
struct hooks *hooks_new(const struct settings *settings);
/* Kills those that run. */
void hooks_free(struct hooks *hooks);
/* The command is to be run with the alert; the oldest that waits gives way when too many do. */
void hooks_add(struct hooks *hooks, const json_t *alert);
/* Starts, and kills, what is due. Returns when there is something to do again. */
uint64_t hooks_run(struct hooks *hooks, uint64_t now);
/* SIGCHLD has come. */
void hooks_reap(struct hooks *hooks);

/* What tells alerts apart, NULL ends them. The rest of what is told are annotations. */
extern const char *const alert_labels[];

/* ---- queue.c: the alerts that are to be delivered to Alertmanagers ---- */

#define TARGETS_MAX 8

struct item {
	json_t *alert; /* as the daemon told it last */
	bool resolved;
	unsigned version;	    /* of what was told */
	unsigned sent[TARGETS_MAX]; /* the version that each target has; 0: none */
	unsigned under_way[TARGETS_MAX];
};

struct queue {
	struct item *items; /* the oldest first */
	size_t count, max;
	unsigned versions;
	const char *path;
	bool changed; /* since it was saved */
	bool failing; /* to be saved; said once */
	bool full;    /* of what fires; said once */
};

/* Takes over what the file holds; one that is no good is begun anew. */
void queue_open(struct queue *queue, const char *path, size_t max);
void queue_free(struct queue *queue);
/*
 * Returns whether the alert, or that it is over, is news: one that was known to fire is
 * not, but Alertmanagers get what it says now, and at once if its cause is another. Its
 * labels stay those of its begin, whatever is known or called otherwise by then:
 * Alertmanagers know it by them.
 */
bool queue_put(struct queue *queue, const json_t *alert, bool resolved);
/*
 * What fires by the queue and not by the daemon's own list is over. Calls fn
 * with each of these.
 */
void queue_end_others(struct queue *queue, const json_t *firing, void (*fn)(void *, json_t *),
		      void *user);
/* Drops what is over and has reached the first `targets` targets, and saves the rest. */
void queue_settle(struct queue *queue, unsigned targets);

/* ---- push.c: Alertmanagers, API v2 ---- */

struct pusher;

/* NULL with one line said: a URL or a file that cannot be used. */
struct pusher *pusher_new(CURLM *multi, const struct settings *settings, struct queue *queue);
void pusher_free(struct pusher *pusher);
unsigned pusher_targets(const struct pusher *pusher);
/* Sends what is due. Returns when something is due again. */
uint64_t pusher_run(struct pusher *pusher, uint64_t now);
/* Whether the transfer was one of its own, which is then over. */
bool pusher_done(struct pusher *pusher, CURL *easy, CURLcode result, uint64_t now);

/* ---- source.c: the daemon's stream of alerts, and its list ---- */

struct source;

typedef void (*source_fn)(void *user, json_t *alert, bool resolved);
typedef void (*source_list_fn)(void *user, const json_t *alerts);

struct source *source_new(CURLM *multi, const char *socket, source_fn on_alert,
			  source_list_fn on_list, void *user);
void source_free(struct source *source);
uint64_t source_run(struct source *source, uint64_t now);
bool source_done(struct source *source, CURL *easy, CURLcode result, uint64_t now);

#endif
