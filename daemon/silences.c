// SPDX-License-Identifier: GPL-2.0-only
#include "silences.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "core/text.h"
#include "files.h"

union silence_record {
	struct lt_silence e;
	char bytes[sizeof(struct lt_silence) + SILENCE_TEXT_SIZE + LT_ALIGN];
};

static void hand_over(union silence_record *record, const char *what, uint64_t until_ns,
		      record_fn fn, void *user)
{
	struct lt_silence *e = &record->e;

	e->until_ns = until_ns;
	e->text_len = (__u32)strlen(what);
	memcpy(e->text, what, e->text_len);
	e->hdr.kind = LT_SILENCE;
	e->hdr.time_ns = clock_ns(CLOCK_BOOTTIME);
	e->hdr.size = (__u32)(sizeof(*e) + e->text_len + LT_ALIGN - 1) & ~(__u32)(LT_ALIGN - 1);
	fn(user, e, e->hdr.size);
}

int silences_change(const struct core *core, const char *what, uint64_t for_ns, record_fn fn,
		    void *user)
{
	uint64_t now_ns = clock_ns(CLOCK_BOOTTIME), pid = 0;
	union silence_record record = { 0 };
	enum lt_silence_kind kind;

	if (silence_parse(what, &kind, &pid))
		return -EINVAL;
	if (!for_ns && !core_has_silence(core, what))
		return -ENOENT;
	if (for_ns && !core_has_silence(core, what) && !core_may_silence(core))
		return -ENOSPC;
	if (for_ns && pid && !core_find(core, pid, &record.e.id))
		return -ESRCH;
	record.e.kind = kind;
	hand_over(&record, what,
		  !for_ns		       ? 0 :
		  for_ns < UINT64_MAX - now_ns ? now_ns + for_ns :
						 UINT64_MAX,
		  fn, user);
	return 0;
}

/* ---- the file ---- */

/* {"what": "x.service", "until_ns": n} and, of a pid, "start_ns": n */
static int load_one(const json_t *row, record_fn fn, void *user)
{
	const char *what = json_string_value(json_object_get(row, "what"));
	uint64_t until_ns = (uint64_t)json_integer_value(json_object_get(row, "until_ns"));
	uint64_t real_ns = clock_ns(CLOCK_REALTIME), pid = 0;
	union silence_record record = { 0 };
	enum lt_silence_kind kind;

	if (!what || !until_ns || silence_parse(what, &kind, &pid))
		return -EBADMSG;
	if (until_ns <= real_ns)
		return 0;
	record.e.kind = kind;
	record.e.id.pid = pid;
	record.e.id.start_ns = (uint64_t)json_integer_value(json_object_get(row, "start_ns"));
	hand_over(&record, what, until_ns - real_ns + clock_ns(CLOCK_BOOTTIME), fn, user);
	return 0;
}

int silences_load(const char *path, record_fn fn, void *user)
{
	json_t *document, *rows, *row;
	int err = 0;
	size_t i;
	FILE *file = fopen(path, "re");

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	document = json_loadf(file, 0, NULL);
	fclose(file);
	rows = json_object_get(document, "silences");
	if (!json_is_array(rows))
		err = -EBADMSG;
	json_array_foreach(rows, i, row) {
		int bad = load_one(row, fn, user);

		err = err ? err : bad;
	}
	json_decref(document);
	return err;
}

struct saving {
	json_t *rows;
	uint64_t real_ns, boot_ns;
};

static void save_one(void *user, const struct lt_hdr *record)
{
	const struct lt_silence *e = (const struct lt_silence *)(const void *)record;
	struct saving *saving = user;
	uint64_t left_ns = e->until_ns > saving->boot_ns ? e->until_ns - saving->boot_ns : 0;
	uint64_t until_ns = left_ns < INT64_MAX - saving->real_ns ? saving->real_ns + left_ns :
								    INT64_MAX;
	json_t *row = json_object();

	json_object_set_new(row, "what", json_stringn(e->text, e->text_len));
	json_object_set_new(row, "until_ns", json_integer((json_int_t)until_ns));
	if (e->id.pid)
		json_object_set_new(row, "start_ns", json_integer((json_int_t)e->id.start_ns));
	json_array_append_new(saving->rows, row);
}

int silences_save(const char *path, const struct core *core)
{
	struct saving saving = { json_array(), clock_ns(CLOCK_REALTIME), clock_ns(CLOCK_BOOTTIME) };
	json_t *document = json_pack("{s:o}", "silences", saving.rows);
	char directory[PATH_MAX], *text;
	int err;

	if (!document)
		return -ENOMEM;
	core_each_silence(core, save_one, &saving);
	snprintf(directory, sizeof(directory), "%s", path);
	directory_make(dirname(directory), 0755); /* what fails is seen when it is written */
	text = json_dumps(document, JSON_INDENT(1));
	err = text ? file_replace(path, 0644, text) : -ENOMEM;
	free(text);
	json_decref(document);
	return err;
}
