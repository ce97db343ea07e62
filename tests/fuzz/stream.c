// SPDX-License-Identifier: GPL-2.0-only
#include "stream.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/core.h"
#include "core/view.h"
#include "recording.h"

static const struct viewer everyone = { .all = true };
static const struct viewer somebody = { .uid = 1000 };
static const struct filter all_rows = { .all = true, .kernel = true };

static void hold(bool truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

/* ---- folding ---- */

static void print(json_t *json)
{
	size_t len;
	char *text = view_text(json, &len);

	hold(text && len && text[len - 1] == '\n', "a view can be printed");
	free(text);
	json_decref(json);
}

static void on_change(void *user, const struct change *change)
{
	struct core **core = user;

	print(view_change(*core, change, &everyone));
}

static int on_record(void *user, const void *record, size_t len)
{
	core_apply(user, record, len);
	return 0;
}

static void on_dump(void *user, const struct lt_hdr *record)
{
	hold(!core_apply(user, record, record->size), "what is handed on is no bad record");
}

static void on_id(void *user, struct lt_id id)
{
	*(uint64_t *)user += id.pid;
}

static void on_want(void *user, struct lt_id id, struct lt_cgroup_id cgroup, uint32_t proc_flags)
{
	*(uint64_t *)user += id.pid + cgroup.id + proc_flags;
}

static void view_all(const struct core *core)
{
	uint64_t now_ns = core_now_ns(core), sum = 0;

	print(view_zombies(core, now_ns, &all_rows, &everyone));
	print(view_processes(core, now_ns, &all_rows, &somebody));
	print(view_status(core, now_ns));
	core_each_want(core, on_want, &sum);
	core_each_unseen(core, on_id, &sum);
	core_each_dying(core, on_id, &sum);
	core_each_due(core, core_next_due_ns(core), on_id, &sum);
}

static void check_totals(const struct core *core)
{
	struct core_totals totals = core_totals(core);

	hold(totals.flagged <= totals.zombies, "flagged are zombies");
	hold(totals.zombies <= totals.dying, "zombies are dying");
	hold(totals.dying <= totals.processes, "the dying are processes");
	hold(totals.leaks <= totals.processes, "a parent that leaks lives");
}

static void hand_on(const struct core *core)
{
	struct core *next = NULL;

	next = core_new(NULL, NULL);
	core_dump(core, on_dump, next);
	view_all(next);
	core_free(next);
}

/* recording_read() takes files. */
static int file_of(const uint8_t *data, size_t size, char path[64])
{
	int fd = memfd_create("stream", MFD_CLOEXEC);

	hold(fd >= 0 && write(fd, data, size) == (ssize_t)size, "a file can be written");
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

void stream_fold(const uint8_t *data, size_t size)
{
	char error[RECORDING_ERROR_SIZE], path[64];
	int fd = file_of(data, size, path);
	enum recording_end end;
	struct core *core = NULL;

	core = core_new(on_change, &core);
	end = recording_read(path, on_record, core, error);
	hold((end == RECORDING_WHOLE) == !*error, "an end that is not whole is told");
	view_all(core);
	check_totals(core);
	hand_on(core);
	core_free(core);
	close(fd);
}

/* ---- changing ---- */

#define RECORDS_MAX 4096

/* Where its records are: as far as they can be told apart. */
struct layout {
	size_t at[RECORDS_MAX + 1];
	size_t count;
};

static struct lt_hdr hdr_at(const uint8_t *data, size_t at)
{
	struct lt_hdr hdr;

	memcpy(&hdr, data + at, sizeof(hdr));
	return hdr;
}

static void find_records(struct layout *layout, const uint8_t *data, size_t size)
{
	size_t at = sizeof(struct recording_header);

	layout->count = 0;
	layout->at[0] = at;
	while (layout->count < RECORDS_MAX && at + sizeof(struct lt_hdr) <= size) {
		size_t len = hdr_at(data, at).size;

		if (len < sizeof(struct lt_hdr) || len > size - at)
			break;
		at += len;
		layout->at[++layout->count] = at;
	}
}

static size_t len_of(const struct layout *layout, size_t record)
{
	return layout->at[record + 1] - layout->at[record];
}

/* Replaces len bytes by those of a record; where there is no room, nothing. */
static size_t put(uint8_t *data, size_t size, size_t max, size_t at, size_t len,
		  const uint8_t *bytes, size_t bytes_len)
{
	uint8_t copy[LT_RECORD_MAX] = { 0 };

	if (bytes_len > sizeof(copy) || size - len + bytes_len > max)
		return size;
	if (bytes_len)
		memcpy(copy, bytes, bytes_len);
	memmove(data + at + bytes_len, data + at + len, size - at - len);
	memcpy(data + at, copy, bytes_len);
	return size - len + bytes_len;
}

/* A word, the size one perhaps; of another record, of an edge, or any. */
static void change_word(uint8_t *data, size_t at, size_t len, const uint8_t *other,
			size_t other_len, unsigned *seed)
{
	static const uint64_t edges[] = { 0, 1, UINT32_MAX, INT64_MAX, UINT64_MAX };
	size_t word = (size_t)rand_r(seed) % (len / 8) * 8;
	uint64_t value = (uint64_t)rand_r(seed) << 33 ^ (uint64_t)rand_r(seed);

	switch (rand_r(seed) % 3) {
	case 0:
		value = edges[(size_t)rand_r(seed) % 5];
		break;
	case 1:
		if (word + 8 <= other_len)
			memcpy(&value, other + word, 8);
		break;
	default:
		break;
	}
	memcpy(data + at + word, &value, rand_r(seed) % 2 ? 8 : 1 + (size_t)rand_r(seed) % 8);
}

size_t stream_change(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	struct layout layout;
	size_t a, b, at, len;

	if (size < sizeof(struct recording_header))
		return size;
	find_records(&layout, data, size);
	if (!layout.count)
		return size;
	a = (size_t)rand_r(&seed) % layout.count;
	b = (size_t)rand_r(&seed) % layout.count;
	at = layout.at[a];
	len = len_of(&layout, a);
	switch (rand_r(&seed) % 8) {
	case 0: /* goes */
		return put(data, size, max, at, len, NULL, 0);
	case 1: /* another comes here once more */
		return put(data, size, max, at, 0, data + layout.at[b], len_of(&layout, b));
	case 2: /* so do all up to the next twenty go */
		b = a + 1 + (size_t)rand_r(&seed) % 20;
		b = b < layout.count ? b : layout.count;
		return put(data, size, max, at, layout.at[b] - at, NULL, 0);
	case 3: /* only the next fifty stay */
		b = a + 50 < layout.count ? a + 50 : layout.count;
		return put(data, layout.at[b], max, layout.at[0], at - layout.at[0], NULL, 0);
	case 4: /* another kind */
		data[at + offsetof(struct lt_hdr, kind)] = (uint8_t)(rand_r(&seed) % LT_KIND_MAX);
		return size;
	default:
		if (len >= 8)
			change_word(data, at, len, data + layout.at[b], len_of(&layout, b), &seed);
		return size;
	}
}
