// SPDX-License-Identifier: GPL-2.0-only
/*
 * A daemon as top's feed: questions and the stream of events run beside each
 * other and never make a key wait. A daemon that is gone is asked again.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "top.h"

#define HUNG_NS (3 * NSEC_PER_SEC)
#define ANSWER_TIMEOUT_S 10

struct question {
	struct daemon_feed *feed;
	CURL *easy;
	bool busy;  /* under way */
	bool again; /* with what and query, when that is answered */
	uint64_t since_ns;
	char what[32], query[QUERY_SIZE];
	char *body;
	size_t len;
};

struct daemon_feed {
	struct feed feed;
	struct source *source;
	struct question questions[ASKS];
	CURL *stream;
	bool stream_wanted, stream_runs;
	struct lines lines;
	char trouble[192];
};

/* ---- questions ---- */

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
	struct question *question = user;
	size_t len = size * count;
	char *bigger = realloc(question->body, question->len + len + 1);

	if (!bigger)
		return 0;
	memcpy(bigger + question->len, bytes, len);
	question->body = bigger;
	question->len += len;
	return len;
}

static void send_question(struct question *question)
{
	if (!question->easy)
		question->easy = client_easy(question->feed->source);
	if (!question->easy)
		return;
	curl_easy_setopt(question->easy, CURLOPT_TIMEOUT, (long)ANSWER_TIMEOUT_S);
	curl_easy_setopt(question->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(question->easy, CURLOPT_WRITEDATA, question);
	client_set_url(question->easy, question->what, question->query);
	question->len = 0;
	question->since_ns = top_clock_ns();
	question->again = false;
	question->busy = !curl_multi_add_handle(client_transfers(), question->easy);
}

static void feed_ask(struct feed *feed, enum ask ask, const char *what,
		     const struct options *options)
{
	struct daemon_feed *daemon = (struct daemon_feed *)feed;
	struct question *question = &daemon->questions[ask];

	question->feed = daemon;
	snprintf(question->what, sizeof(question->what), "%s", what);
	snprintf(question->query, sizeof(question->query), "%s", options->query);
	question->again = true;
	if (!question->busy)
		send_question(question);
}

/* ---- the stream ---- */

static int on_line(void *user, const char *line, size_t len)
{
	struct daemon_feed *daemon = user;
	json_t *event = line ? json_loadb(line, len, JSON_ALLOW_NUL, NULL) : NULL;

	if (event)
		daemon->feed.user.happened(daemon->feed.user.user, event);
	return 0;
}

static size_t on_stream(char *bytes, size_t size, size_t count, void *user)
{
	struct daemon_feed *daemon = user;

	return lines_split(&daemon->lines, bytes, size * count) ? 0 : size * count;
}

static void stream_begin(struct daemon_feed *daemon)
{
	daemon->lines.fn = on_line;
	daemon->lines.user = daemon;
	daemon->lines.rest_len = 0;
	if (!daemon->stream)
		daemon->stream = client_easy(daemon->source);
	if (!daemon->stream)
		return;
	curl_easy_setopt(daemon->stream, CURLOPT_WRITEFUNCTION, on_stream);
	curl_easy_setopt(daemon->stream, CURLOPT_WRITEDATA, daemon);
	client_set_url(daemon->stream, "events", "");
	daemon->stream_runs = !curl_multi_add_handle(client_transfers(), daemon->stream);
}

static void stream_end(struct daemon_feed *daemon)
{
	if (daemon->stream)
		curl_multi_remove_handle(client_transfers(), daemon->stream);
	curl_easy_cleanup(daemon->stream);
	daemon->stream = NULL;
	daemon->stream_runs = false;
}

static void feed_stream(struct feed *feed, bool on)
{
	struct daemon_feed *daemon = (struct daemon_feed *)feed;

	daemon->stream_wanted = on;
	if (on && !daemon->stream_runs)
		stream_begin(daemon);
	else if (!on && daemon->stream_runs)
		stream_end(daemon);
}

/* ---- answers ---- */

static void take_trouble(struct daemon_feed *daemon)
{
	static const char revived[] = "the daemon died; another one is started";
	int state = client_revive(daemon->source);

	if (state < 0)
		snprintf(daemon->trouble, sizeof(daemon->trouble),
			 "no daemon answers on %.108s; trying again",
			 client_socket(daemon->source));
	else
		strcpy(daemon->trouble, revived);
	/* it may answer before anybody has read that */
	daemon->feed.user.answered(daemon->feed.user.user, ASKS, NULL, state > 0 ? revived : NULL);
}

static void take_answer(struct daemon_feed *daemon, enum ask ask, CURLcode result)
{
	struct question *question = &daemon->questions[ask];
	const struct feed_user *user = &daemon->feed.user;
	const char *words = NULL;
	json_t *document;
	long status = 0;

	curl_easy_getinfo(question->easy, CURLINFO_RESPONSE_CODE, &status);
	question->busy = false;
	if (result) {
		question->again = false;
		take_trouble(daemon);
		return;
	}
	*daemon->trouble = '\0';
	document = question->body ?
			   json_loadb(question->body, question->len, JSON_ALLOW_NUL, NULL) :
			   NULL;
	if (status != 200)
		words = json_string_value(json_object_get(document, "error")) ?: "no answer";
	else if (!document)
		words = "the daemon's answer is no JSON";
	if (question->again)
		send_question(question);
	user->answered(user->user, ask, document, words);
	if (daemon->stream_wanted && !daemon->stream_runs)
		stream_begin(daemon);
}

static void take_done(struct daemon_feed *daemon)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client_transfers(), &left))) {
		CURL *easy = message->easy_handle;
		CURLcode result = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_multi_remove_handle(client_transfers(), easy);
		if (easy == daemon->stream)
			daemon->stream_runs = false;
		for (int ask = 0; ask < ASKS; ask++)
			if (easy == daemon->questions[ask].easy)
				take_answer(daemon, ask, result);
	}
}

static void feed_wait(struct feed *feed, int fd, int timeout_ms)
{
	struct daemon_feed *daemon = (struct daemon_feed *)feed;
	struct curl_waitfd extra = { .fd = fd, .events = CURL_WAIT_POLLIN };
	int running;

	curl_multi_perform(client_transfers(), &running);
	take_done(daemon);
	if (!interrupted)
		curl_multi_poll(client_transfers(), &extra, fd >= 0, timeout_ms, NULL);
	curl_multi_perform(client_transfers(), &running);
	take_done(daemon);
}

static const char *feed_trouble(const struct feed *feed)
{
	const struct daemon_feed *daemon = (const struct daemon_feed *)feed;
	const struct question *question = &daemon->questions[ASK_STATUS];

	if (*daemon->trouble)
		return daemon->trouble;
	if (question->busy && top_clock_ns() - question->since_ns > HUNG_NS)
		return "the daemon does not answer";
	return NULL;
}

static void feed_close(struct feed *feed)
{
	struct daemon_feed *daemon = (struct daemon_feed *)feed;

	stream_end(daemon);
	for (int ask = 0; ask < ASKS; ask++) {
		struct question *question = &daemon->questions[ask];

		if (question->easy)
			curl_multi_remove_handle(client_transfers(), question->easy);
		curl_easy_cleanup(question->easy);
		free(question->body);
	}
	free(daemon->lines.rest);
	daemon->source->ops->close(daemon->source);
	free(daemon);
}

static const struct feed_ops daemon_ops = { feed_ask, feed_stream, feed_wait, feed_trouble,
					    feed_close };

struct feed *daemon_feed(const struct options *options, const struct feed_user *user)
{
	struct source *source = daemon_source(options);
	struct daemon_feed *daemon = source ? calloc(1, sizeof(*daemon)) : NULL;

	if (!daemon)
		return NULL;
	daemon->feed = (struct feed){ .ops = &daemon_ops, .user = *user };
	daemon->source = source;
	return &daemon->feed;
}
