// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alert.h"
#include "clock.h"
#include "core/text.h"

#define TIMEOUT_S 10
#define ANSWER_MAX (64 << 10)
#define BACK_OFF_MAX_MS (5 * 60 * 1000)
#define ENDS_AFTER_INTERVALS 4 /* without us, an Alertmanager lets an alert end by itself */

const char *const alert_labels[] = { "severity",    "host",	 "unit",     "container",
				     "pod",	    "namespace", "pod_name", "container_name",
				     "parent_comm", "parent_id", NULL };
static const char *const annotations[] = { "summary",	"cause",     "evidence",
					   "remedy",	"clear_now", "zombies",
					   "oldest_ms", "value",     NULL };

struct target {
	char url[512];
	CURL *easy; /* NULL: nothing is under way */
	char *body;
	size_t answered; /* bytes */
	uint64_t retry_at, again_at;
	unsigned failures;
};

struct pusher {
	CURLM *multi;
	struct queue *queue;
	const struct settings *settings;
	struct curl_slist *headers;
	char password[256];
	struct target targets[TARGETS_MAX];
	unsigned count;
};

/* ---- what is sent ---- */

static void copy_members(json_t *to, const json_t *from, const char *const *names)
{
	char buf[32];

	for (; *names; names++) {
		const json_t *value = json_object_get(from, *names);

		if (json_is_integer(value)) {
			snprintf(buf, sizeof(buf), "%" JSON_INTEGER_FORMAT,
				 json_integer_value(value));
			json_object_set_new(to, *names, json_string(buf));
		} else if (json_string_length(value)) {
			json_object_set(to, *names, (json_t *)value);
		}
	}
}

/* "fork-storm": LifetraceForkStorm. */
static json_t *alert_name(const json_t *alert)
{
	const char *p = json_string_value(json_object_get(alert, "alert"));
	char name[64] = "Lifetrace";
	size_t len = strlen(name);
	bool upper = true;

	for (; p && *p && len < sizeof(name) - 1; p++) {
		if (*p != '-')
			name[len++] = upper ? (char)toupper((unsigned char)*p) : *p;
		upper = *p == '-';
	}
	name[len] = '\0';
	return json_string(name);
}

static json_t *ends_at(const struct pusher *pusher, const struct item *item)
{
	uint64_t after_ns = ENDS_AFTER_INTERVALS * pusher->settings->alertmanager_interval_ns;
	char text[TEXT_TIME_SIZE];

	if (item->resolved)
		return json_incref(json_object_get(item->alert, "ends_at"));
	text_format_time(clock_ns(CLOCK_REALTIME) + after_ns, text);
	return json_string(text);
}

static json_t *posted(const struct pusher *pusher, const struct item *item)
{
	json_t *alert = json_object(), *label = json_object(), *annotation = json_object();

	json_object_set_new(label, "alertname", alert_name(item->alert));
	copy_members(label, item->alert, alert_labels);
	copy_members(annotation, item->alert, annotations);
	json_object_set_new(alert, "labels", label);
	json_object_set_new(alert, "annotations", annotation);
	json_object_set(alert, "startsAt", json_object_get(item->alert, "starts_at"));
	json_object_set_new(alert, "endsAt", ends_at(pusher, item));
	return alert;
}

/* All that fires, and the ends that the target does not know. */
static char *body_for(struct pusher *pusher, unsigned t)
{
	json_t *array = json_array();
	char *text;

	for (size_t i = 0; i < pusher->queue->count; i++) {
		struct item *item = &pusher->queue->items[i];

		item->under_way[t] = 0;
		if (item->resolved && item->sent[t] == item->version)
			continue;
		item->under_way[t] = item->version;
		json_array_append_new(array, posted(pusher, item));
	}
	text = json_dumps(array, JSON_COMPACT);
	json_decref(array);
	return text;
}

/* ---- transfers ---- */

/* As libcurl declares it. NOLINTNEXTLINE(readability-non-const-parameter) */
static size_t on_answer(char *bytes, size_t size, size_t count, void *user)
{
	struct target *target = user;

	(void)bytes;
	target->answered += size * count;
	return target->answered <= ANSWER_MAX ? size * count : 0;
}

static void send_to(struct pusher *pusher, unsigned t)
{
	const struct settings *settings = pusher->settings;
	struct target *target = &pusher->targets[t];
	char url[600];

	target->body = body_for(pusher, t);
	target->easy = target->body ? curl_easy_init() : NULL;
	if (!target->easy) {
		free(target->body);
		target->body = NULL;
		return;
	}
	target->answered = 0;
	snprintf(url, sizeof(url), "%s/api/v2/alerts", target->url);
	curl_easy_setopt(target->easy, CURLOPT_URL, url);
	curl_easy_setopt(target->easy, CURLOPT_POSTFIELDS, target->body);
	curl_easy_setopt(target->easy, CURLOPT_HTTPHEADER, pusher->headers);
	curl_easy_setopt(target->easy, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
	curl_easy_setopt(target->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(target->easy, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(target->easy, CURLOPT_WRITEDATA, target);
	if (*settings->alertmanager_ca)
		curl_easy_setopt(target->easy, CURLOPT_CAINFO, settings->alertmanager_ca);
	if (*settings->alertmanager_user) {
		curl_easy_setopt(target->easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		curl_easy_setopt(target->easy, CURLOPT_USERNAME, settings->alertmanager_user);
		curl_easy_setopt(target->easy, CURLOPT_PASSWORD, pusher->password);
	}
	curl_multi_add_handle(pusher->multi, target->easy);
}

static bool has_news(const struct pusher *pusher, unsigned t)
{
	for (size_t i = 0; i < pusher->queue->count; i++)
		if (pusher->queue->items[i].sent[t] != pusher->queue->items[i].version)
			return true;
	return false;
}

uint64_t pusher_run(struct pusher *pusher, uint64_t now)
{
	uint64_t first = NEVER, due;

	for (unsigned t = 0; t < pusher->count; t++) {
		struct target *target = &pusher->targets[t];

		if (target->easy || !pusher->queue->count)
			continue;
		due = has_news(pusher, t)		  ? target->retry_at :
		      target->again_at > target->retry_at ? target->again_at :
							    target->retry_at;
		if (due <= now)
			send_to(pusher, t);
		else if (due < first)
			first = due;
	}
	return first;
}

static void delivered(struct pusher *pusher, unsigned t, uint64_t now)
{
	struct target *target = &pusher->targets[t];

	if (target->failures)
		say("%s takes alerts again", target->url);
	target->failures = 0;
	target->retry_at = 0;
	target->again_at = now + pusher->settings->alertmanager_interval_ns / 1000000;
	for (size_t i = 0; i < pusher->queue->count; i++) {
		struct item *item = &pusher->queue->items[i];

		if (item->under_way[t])
			item->sent[t] = item->under_way[t];
	}
	queue_settle(pusher->queue, pusher->count);
}

bool pusher_done(struct pusher *pusher, CURL *easy, CURLcode result, uint64_t now)
{
	struct target *target = pusher->targets;
	long status = 0;

	while (target < pusher->targets + pusher->count && target->easy != easy)
		target++;
	if (target == pusher->targets + pusher->count)
		return false;
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (!result && status == 200) {
		delivered(pusher, (unsigned)(target - pusher->targets), now);
	} else {
		target->retry_at = now + back_off_ms(target->failures++, BACK_OFF_MAX_MS);
		if (result)
			say("%s takes no alerts: %s", target->url, curl_easy_strerror(result));
		else
			say("%s takes no alerts: it answers %ld", target->url, status);
	}
	curl_multi_remove_handle(pusher->multi, easy);
	curl_easy_cleanup(easy);
	target->easy = NULL;
	free(target->body);
	target->body = NULL;
	return true;
}

/* ---- opening and closing ---- */

static bool is_url(const char *url)
{
	CURLU *parsed = curl_url();
	bool is = !strncmp(url, "http://", 7) || !strncmp(url, "https://", 8);

	is = is && parsed && !curl_url_set(parsed, CURLUPART_URL, url, 0);
	curl_url_cleanup(parsed);
	return is;
}

static bool take_url(struct pusher *pusher, const char *url)
{
	struct target *target = &pusher->targets[pusher->count];
	size_t len = strlen(url);

	if (!is_url(url) || len >= sizeof(target->url)) {
		say("alertmanager_url: '%.64s' is no http or https URL", url);
		return false;
	}
	if (pusher->count == TARGETS_MAX) {
		say("alertmanager_url: more than %d", TARGETS_MAX);
		return false;
	}
	strcpy(target->url, url);
	while (len && target->url[len - 1] == '/')
		target->url[--len] = '\0';
	pusher->count++;
	return true;
}

static bool take_urls(struct pusher *pusher)
{
	char urls[SETTING_TEXT_SIZE], *save = NULL;

	strcpy(urls, pusher->settings->alertmanager_url);
	for (char *url = strtok_r(urls, ", ", &save); url; url = strtok_r(NULL, ", ", &save))
		if (!take_url(pusher, url))
			return false;
	return true;
}

/* The first line; in a file, so that not everybody reads it among the settings. */
static bool read_password(struct pusher *pusher)
{
	const char *path = pusher->settings->alertmanager_password_file;
	FILE *file = *path ? fopen(path, "re") : NULL;

	if (!*path)
		return true;
	if (!file || !fgets(pusher->password, sizeof(pusher->password), file)) {
		say("alertmanager_password_file: %s: %s", path, file ? "empty" : strerror(errno));
		if (file)
			fclose(file);
		return false;
	}
	fclose(file);
	pusher->password[strcspn(pusher->password, "\r\n")] = '\0';
	return true;
}

struct pusher *pusher_new(CURLM *multi, const struct settings *settings, struct queue *queue)
{
	struct pusher *pusher = calloc(1, sizeof(*pusher));

	if (!pusher)
		return NULL;
	pusher->multi = multi;
	pusher->settings = settings;
	pusher->queue = queue;
	pusher->headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (take_urls(pusher) && read_password(pusher))
		return pusher;
	pusher_free(pusher);
	return NULL;
}

unsigned pusher_targets(const struct pusher *pusher)
{
	return pusher->count;
}

void pusher_free(struct pusher *pusher)
{
	if (!pusher)
		return;
	for (unsigned t = 0; t < pusher->count; t++) {
		struct target *target = &pusher->targets[t];

		if (target->easy) {
			curl_multi_remove_handle(pusher->multi, target->easy);
			curl_easy_cleanup(target->easy);
		}
		free(target->body);
	}
	curl_slist_free_all(pusher->headers);
	free(pusher);
}
