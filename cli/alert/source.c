// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "alert.h"

#define BACK_OFF_MAX_MS (30 * 1000)
#define LIST_EVERY_MS (60 * 1000) /* whatever was missed is made good by then */
#define LIST_AGAIN_MS 1000	  /* after one that failed */
#define LIST_TIMEOUT_S 10
#define TEXT_MAX (16 << 20)

/* Bytes that have come and are not yet taken. */
struct text {
	char *bytes;
	size_t len;
};

struct source {
	CURLM *multi;
	const char *socket;
	source_fn on_alert;
	source_list_fn on_list;
	void *user;
	CURL *stream, *list; /* NULL: not under way */
	struct text line, document;
	bool connected; /* said so, and listed since */
	bool outdated;	/* the list under way: an alert has come since it was asked for */
	uint64_t retry_at, list_at;
	unsigned failures;
};

static bool append(struct text *text, const char *bytes, size_t len)
{
	char *bigger = text->len + len <= TEXT_MAX ? realloc(text->bytes, text->len + len + 1) :
						     NULL;

	if (!bigger)
		return false;
	memcpy(bigger + text->len, bytes, len);
	text->bytes = bigger;
	text->len += len;
	bigger[text->len] = '\0';
	return true;
}

static void take_line(struct source *source, const char *line, size_t len)
{
	json_t *alert = json_loadb(line, len, 0, NULL);
	const char *state = json_string_value(json_object_get(alert, "state"));

	if (state) {
		source->outdated = true;
		source->on_alert(source->user, alert, !strcmp(state, "resolved"));
	}
	json_decref(alert);
}

static size_t on_line(char *bytes, size_t size, size_t count, void *user)
{
	struct source *source = user;
	struct text *text = &source->line;
	char *end;

	if (!append(text, bytes, size * count))
		return 0;
	while ((end = memchr(text->bytes, '\n', text->len))) {
		take_line(source, text->bytes, (size_t)(end - text->bytes));
		text->len -= (size_t)(end + 1 - text->bytes);
		memmove(text->bytes, end + 1, text->len);
	}
	return size * count;
}

/* The stream has begun: what is listed from now on leaves nothing out between the two. */
static size_t on_header(char *bytes, size_t size, size_t count, void *user)
{
	struct source *source = user;

	if (!strncmp(bytes, "HTTP/1.1 200", size * count < 12 ? size * count : 12)) {
		source->connected = true;
		source->list_at = 0;
		if (source->failures)
			say("lifetraced answers");
		source->failures = 0;
	}
	return size * count;
}

static size_t on_document(char *bytes, size_t size, size_t count, void *user)
{
	struct source *source = user;

	return append(&source->document, bytes, size * count) ? size * count : 0;
}

static CURL *request(struct source *source, const char *url, curl_write_callback on_body)
{
	CURL *easy = curl_easy_init();

	if (!easy)
		return NULL;
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, source->socket);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, source);
	return easy;
}

static void start_stream(struct source *source)
{
	source->line.len = 0;
	source->stream = request(source, "http://lifetraced/v1/events?kind=alert", on_line);
	if (!source->stream)
		return;
	curl_easy_setopt(source->stream, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(source->stream, CURLOPT_HEADERDATA, source);
	curl_multi_add_handle(source->multi, source->stream);
}

static void start_list(struct source *source)
{
	source->document.len = 0;
	source->outdated = false;
	source->list = request(source, "http://lifetraced/v1/alerts", on_document);
	if (!source->list)
		return;
	curl_easy_setopt(source->list, CURLOPT_TIMEOUT, (long)LIST_TIMEOUT_S);
	curl_multi_add_handle(source->multi, source->list);
}

uint64_t source_run(struct source *source, uint64_t now)
{
	if (!source->stream) {
		if (now < source->retry_at)
			return source->retry_at;
		start_stream(source);
	}
	if (!source->connected || source->list)
		return NEVER; /* until something comes */
	if (now < source->list_at)
		return source->list_at;
	source->list_at = now + LIST_EVERY_MS;
	start_list(source);
	return NEVER;
}

static void finish(struct source *source, CURL **easy)
{
	curl_multi_remove_handle(source->multi, *easy);
	curl_easy_cleanup(*easy);
	*easy = NULL;
}

/*
 * One that an alert has overtaken would end, or begin again, what it does not know yet:
 * another is asked for.
 */
static void take_list(struct source *source, CURLcode result, uint64_t now)
{
	json_t *document = NULL, *alerts;

	if (!result && source->document.len)
		document = json_loadb(source->document.bytes, source->document.len, 0, NULL);
	alerts = json_object_get(document, "alerts");
	finish(source, &source->list);
	if (!json_is_array(alerts))
		source->list_at = now + LIST_AGAIN_MS;
	else if (source->outdated)
		source->list_at = now;
	else
		source->on_list(source->user, alerts);
	json_decref(document);
}

bool source_done(struct source *source, CURL *easy, CURLcode result, uint64_t now)
{
	if (easy == source->list) {
		take_list(source, result, now);
		return true;
	}
	if (easy != source->stream)
		return false;
	if (!source->failures)
		say("lifetraced does not answer on %s: %s", source->socket,
		    result ? curl_easy_strerror(result) : "it ended the stream");
	source->connected = false;
	source->retry_at = now + back_off_ms(source->failures++, BACK_OFF_MAX_MS);
	finish(source, &source->stream);
	return true;
}

struct source *source_new(CURLM *multi, const char *socket, source_fn on_alert,
			  source_list_fn on_list, void *user)
{
	struct source *source = calloc(1, sizeof(*source));

	if (source)
		*source = (struct source){ .multi = multi,
					   .socket = socket,
					   .on_alert = on_alert,
					   .on_list = on_list,
					   .user = user };
	return source;
}

void source_free(struct source *source)
{
	if (!source)
		return;
	if (source->stream)
		finish(source, &source->stream);
	if (source->list)
		finish(source, &source->list);
	free(source->line.bytes);
	free(source->document.bytes);
	free(source);
}
