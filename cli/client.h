/* SPDX-License-Identifier: GPL-2.0-only */
/* What top's feed needs of the client besides source_ops. */
#ifndef LT_CLIENT_H
#define LT_CLIENT_H

#include <curl/curl.h>

#include "cli.h"

/* The one that all transfers run in, so that a signal wakes whoever waits; NULL: no memory. */
CURLM *client_transfers(void);
const char *client_socket(const struct source *source);
/*
 * A private daemon that is gone is started again, and not waited for. Returns 1 if it has just been
 * started, 0 if it was before and is still there, -1 if there is none to start.
 */
int client_revive(struct source *source);
/* An easy handle for that path below /v1/; NULL: no memory. The caller's to clean up. */
CURL *client_easy(const struct source *source);
void client_set_url(CURL *easy, const char *what, const char *query);

/* Whole lines out of what comes in pieces. */
struct lines {
	int (*fn)(void *user, const char *line, size_t len);
	void *user;
	char *rest;
	size_t rest_len;
};

/* Hands over the lines that are whole by now, and then NULL. -1: fn or memory ended it. */
int lines_split(void *user, const void *bytes, size_t len);

#endif
