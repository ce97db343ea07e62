// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alert.h"
#include "clock.h"
#include "core/text.h"
#include "files.h"

static const char *key_of(const json_t *alert)
{
	return json_string_value(json_object_get(alert, "key"));
}

static struct item *find(struct queue *queue, const char *key)
{
	for (size_t i = 0; i < queue->count; i++)
		if (!strcmp(key_of(queue->items[i].alert), key))
			return &queue->items[i];
	return NULL;
}

static void drop(struct queue *queue, size_t i)
{
	json_decref(queue->items[i].alert);
	memmove(&queue->items[i], &queue->items[i + 1],
		(--queue->count - i) * sizeof(queue->items[0]));
	queue->changed = true;
}

/*
 * The oldest that is over gives way. One that fires does not: the daemon lists it
 * again, and it would be news each time.
 */
static bool make_place(struct queue *queue)
{
	size_t victim = 0;

	while (victim < queue->count && !queue->items[victim].resolved)
		victim++;
	if (victim == queue->count)
		return false;
	say("the queue of alerts is full; the end of one is dropped: %s",
	    key_of(queue->items[victim].alert));
	drop(queue, victim);
	return true;
}

static struct item *add(struct queue *queue, const char *key)
{
	bool full = queue->count >= queue->max && !make_place(queue);
	struct item *bigger;

	if (full && !queue->full)
		say("%zu alerts fire, and the queue has no more room; one is not taken: %s",
		    queue->count, key);
	queue->full = full;
	if (full)
		return NULL;
	bigger = realloc(queue->items, (queue->count + 1) * sizeof(*bigger));
	if (!bigger)
		return NULL;
	queue->items = bigger;
	queue->items[queue->count] = (struct item){ 0 };
	return &queue->items[queue->count++];
}

static void take(struct item *item, const json_t *alert)
{
	json_t *before = item->alert;

	item->alert = json_deep_copy(alert);
	for (const char *const *label = alert_labels; before && *label; label++)
		if (!json_is_null(json_object_get(before, *label)))
			json_object_set(item->alert, *label, json_object_get(before, *label));
		else
			json_object_del(item->alert, *label);
	json_decref(before);
}

static const char *cause_of(const json_t *alert)
{
	return json_string_value(json_object_get(alert, "cause")) ?: "";
}

static void make_news(struct queue *queue, struct item *item)
{
	item->version = ++queue->versions;
	queue->changed = true;
}

/* It fires still, and what it says is sent with the next; a cause that is another is news. */
static void renew(struct queue *queue, struct item *item, const json_t *alert)
{
	bool same_cause = !strcmp(cause_of(item->alert), cause_of(alert));

	take(item, alert);
	if (!same_cause)
		make_news(queue, item);
}

bool queue_put(struct queue *queue, const json_t *alert, bool resolved)
{
	const char *key = key_of(alert);
	struct item *item = key ? find(queue, key) : NULL;

	if (!key || (!item && resolved)) /* the end of what was never told */
		return false;
	if (item && item->resolved == resolved) {
		if (!resolved)
			renew(queue, item, alert);
		return false;
	}
	if (!item)
		item = add(queue, key);
	if (!item)
		return false;
	take(item, alert);
	item->resolved = resolved;
	make_news(queue, item);
	return true;
}

static bool holds(const json_t *alerts, const char *key)
{
	const json_t *alert;
	size_t i;

	json_array_foreach(alerts, i, alert)
		if (key_of(alert) && !strcmp(key_of(alert), key))
			return true;
	return false;
}

static void end_now(struct item *item)
{
	char text[TEXT_TIME_SIZE];

	text_format_time(clock_ns(CLOCK_REALTIME), text);
	json_object_set_new(item->alert, "state", json_string("resolved"));
	json_object_set_new(item->alert, "ends_at", json_string(text));
	item->resolved = true;
}

void queue_end_others(struct queue *queue, const json_t *firing, void (*fn)(void *, json_t *),
		      void *user)
{
	for (size_t i = 0; i < queue->count; i++) {
		struct item *item = &queue->items[i];

		if (item->resolved || holds(firing, key_of(item->alert)))
			continue;
		end_now(item);
		make_news(queue, item);
		fn(user, item->alert);
	}
}

/* ---- the file ---- */

static json_t *as_json(const struct queue *queue)
{
	json_t *array = json_array();

	for (size_t i = 0; i < queue->count; i++)
		json_array_append(array, queue->items[i].alert);
	return array;
}

static int save(const struct queue *queue)
{
	json_t *array = as_json(queue);
	char *text = json_dumps(array, JSON_COMPACT);
	int err = text ? file_replace(queue->path, 0600, text) : -ENOMEM;

	json_decref(array);
	free(text);
	return err;
}

void queue_settle(struct queue *queue, unsigned targets)
{
	int err;

	for (size_t i = queue->count; i-- > 0;) {
		const struct item *item = &queue->items[i];
		bool everywhere = item->resolved;

		for (unsigned t = 0; t < targets; t++)
			everywhere = everywhere && item->sent[t] == item->version;
		if (everywhere)
			drop(queue, i);
	}
	if (!*queue->path || !queue->changed)
		return;
	err = save(queue);
	if (err && !queue->failing)
		say("%s: %s; alerts would not survive a restart", queue->path, strerror(-err));
	queue->failing = queue->changed = err != 0;
}

void queue_open(struct queue *queue, const char *path, size_t max)
{
	json_error_t error;
	json_t *array, *alert;
	size_t i;

	*queue = (struct queue){ .path = path, .max = max };
	if (!*path || access(path, F_OK))
		return;
	array = json_load_file(path, 0, &error);
	if (!json_is_array(array))
		say("%s is no queue of alerts; it is begun anew", path);
	json_array_foreach(array, i, alert) {
		const char *state = json_string_value(json_object_get(alert, "state"));

		/* the end of one is only news of one that began */
		if (!state || !queue_put(queue, alert, false))
			continue;
		queue->items[queue->count - 1].resolved = !strcmp(state, "resolved");
	}
	json_decref(array);
}

void queue_free(struct queue *queue)
{
	while (queue->count)
		drop(queue, queue->count - 1);
	free(queue->items);
}
