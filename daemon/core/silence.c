// SPDX-License-Identifier: GPL-2.0-only
/* Leaks that somebody knows of: still listed, but nobody is told for a while. */
#include "life.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len > end_len && !strcmp(text + len - end_len, end);
}

int silence_parse(const char *what, enum lt_silence_kind *kind, uint64_t *pid)
{
	if (!*what || strlen(what) >= SILENCE_TEXT_SIZE)
		return -EINVAL;
	if (strspn(what, "0123456789") == strlen(what)) {
		*kind = LT_SILENCE_PID;
		return text_parse_number(what, INT32_MAX, pid) || !*pid ? -EINVAL : 0;
	}
	*kind = LT_SILENCE_UNIT;
	if (ends_with(what, ".service") || ends_with(what, ".scope"))
		return 0;
	*kind = LT_SILENCE_COMM;
	return strlen(what) < LT_COMM_LEN || strpbrk(what, "*?[") ? 0 : -EINVAL;
}

static bool covers(const struct silence *silence, const struct life *parent)
{
	switch (silence->kind) {
	case LT_SILENCE_PID:
		return id_is(silence->id, parent->id);
	case LT_SILENCE_UNIT:
		return parent->cgroup && unit_matches(silence->text, parent->cgroup->unit);
	case LT_SILENCE_COMM:
		return !fnmatch(silence->text, parent->comm, 0);
	}
	return false;
}

/* The one that lasts the longest; they are in order of their ends. */
const struct silence *silence_of(const struct core *core, const struct life *parent)
{
	const struct silence *silence, *last = NULL;

	DL_FOREACH(core->silences, silence)
		if (covers(silence, parent))
			last = silence;
	return last;
}

void silence_end(struct core *core, struct silence *silence)
{
	DL_DELETE(core->silences, silence);
	core->silence_count--;
	core_release(core, silence, sizeof(*silence));
}

static struct silence *find(const struct core *core, const struct lt_silence *e)
{
	struct silence *silence;

	DL_FOREACH(core->silences, silence)
		if (silence->kind == e->kind && strlen(silence->text) == e->text_len &&
		    !memcmp(silence->text, e->text, e->text_len))
			return silence;
	return NULL;
}

static int by_end(const struct silence *a, const struct silence *b)
{
	return a->until_ns < b->until_ns ? -1 : a->until_ns > b->until_ns;
}

void silence_apply(struct core *core, const struct lt_silence *e)
{
	struct silence *silence = find(core, e);

	if (silence)
		silence_end(core, silence);
	if (e->until_ns <= core->now_ns || e->text_len >= SILENCE_TEXT_SIZE ||
	    core->silence_count >= SILENCES_MAX)
		return;
	silence = core_alloc(core, sizeof(*silence));
	if (!silence)
		return;
	silence->kind = e->kind;
	silence->id = e->id;
	silence->until_ns = e->until_ns;
	memcpy(silence->text, e->text, e->text_len);
	DL_INSERT_INORDER(core->silences, silence, by_end);
	core->silence_count++;
}

void core_each_silence(const struct core *core, core_emit_fn fn, void *user)
{
	union {
		struct lt_silence e;
		char bytes[sizeof(struct lt_silence) + SILENCE_TEXT_SIZE + LT_ALIGN];
	} record;
	const struct silence *silence;

	DL_FOREACH(core->silences, silence) {
		size_t len = strlen(silence->text), size = sizeof(record.e) + len + LT_ALIGN - 1;

		memset(&record, 0, sizeof(record));
		record.e.hdr = (struct lt_hdr){ .size = (uint32_t)(size & ~(size_t)(LT_ALIGN - 1)),
						.kind = LT_SILENCE,
						.time_ns = core->now_ns };
		record.e.id = silence->id;
		record.e.kind = silence->kind;
		record.e.until_ns = silence->until_ns;
		record.e.text_len = (uint32_t)len;
		memcpy(record.e.text, silence->text, len);
		fn(user, &record.e.hdr);
	}
}

bool core_may_silence(const struct core *core)
{
	return core->silence_count < SILENCES_MAX;
}

bool core_has_silence(const struct core *core, const char *what)
{
	const struct silence *silence;

	DL_FOREACH(core->silences, silence)
		if (!strcmp(silence->text, what))
			return true;
	return false;
}
