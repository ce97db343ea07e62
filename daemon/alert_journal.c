// SPDX-License-Identifier: GPL-2.0-only
#include "alert_journal.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "core/alerts.h"
#include "core/view.h"

#define FIELDS_MAX 48
#define JOURNALD "/run/systemd/journal/socket"

/* Each is explained in deploy/systemd/lifetrace.catalog. */
static const char *const message_ids[ALERT_KINDS] = {
	[ALERT_LEAK] = "6f3c9b1e5d0a4f7c8a52b1c07e4d9f31",
	[ALERT_PIDS] = "b0d7e2a94c8143f69e15a3d2c6f8071b",
	[ALERT_FLAGGED] = "2a9e5c7f13b84d60b7c4e8f1a05d6392",
	[ALERT_FORK_STORM] = "d41f8e6b7a2c49539c0d5b3e2f71a864",
	[ALERT_LOST] = "85c2b7d6e1f04a3d8b90f4a6c3e7d152",
	[ALERT_BLIND] = "e7a3d05b9c624f18a6d1c2b4f8093e75",
};
static const char *const resolved_id = "0c5e9a7d2f4b46138ed7b6a1c3f580e9";

struct fields {
	struct iovec all[FIELDS_MAX];
	int count;
};

/* Takes the text. */
static void add(struct fields *fields, char *text)
{
	if (!text || fields->count == FIELDS_MAX) {
		free(text);
		return;
	}
	fields->all[fields->count++] = (struct iovec){ text, strlen(text) };
}

static char *text_of(const json_t *value)
{
	char *text = NULL;

	if (json_is_string(value))
		return strdup(json_string_value(value));
	if (json_is_integer(value) &&
	    asprintf(&text, "%" JSON_INTEGER_FORMAT, json_integer_value(value)) >= 0)
		return text;
	return NULL;
}

static void add_field(struct fields *fields, const char *name, const char *value)
{
	char *text = NULL;

	if (value && asprintf(&text, "%s=%s", name, value) >= 0)
		add(fields, text);
}

/* "oldest_ms": LIFETRACE_OLDEST_MS. What is null is left out. */
static void add_member(struct fields *fields, const char *key, const json_t *value)
{
	char name[64], *text = text_of(value);

	snprintf(name, sizeof(name), "LIFETRACE_%s", key);
	for (char *p = name; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	add_field(fields, name, text);
	free(text);
}

static const char *priority_of(const struct change *change, const char *severity)
{
	if (!change->alert->firing)
		return "6";
	return strcmp(severity, "critical") ? "4" : "2";
}

/*
 * systemd's JOURNAL_NATIVE_PROTOCOL: NAME=value and a newline, or where the value
 * holds one NAME, a newline, its length and it.
 */
static void pack(FILE *entry, const struct iovec *field)
{
	const char *text = field->iov_base, *value = strchr(text, '=') + 1;
	size_t len = field->iov_len - (size_t)(value - text);
	uint64_t len_le = htole64(len);

	if (!memchr(value, '\n', len)) {
		fwrite(text, field->iov_len, 1, entry);
	} else {
		fwrite(text, (size_t)(value - 1 - text), 1, entry);
		fputc('\n', entry);
		fwrite(&len_le, sizeof(len_le), 1, entry);
		fwrite(value, len, 1, entry);
	}
	fputc('\n', entry);
}

/* sd_journal_sendv() would wait for a journald that does not read. */
static int send_entry(int fd, const struct fields *fields)
{
	const struct sockaddr_un journald = { .sun_family = AF_UNIX, .sun_path = JOURNALD };
	char *bytes = NULL;
	size_t len = 0;
	FILE *entry = open_memstream(&bytes, &len);
	int err = 0;

	for (int i = 0; entry && i < fields->count; i++)
		pack(entry, &fields->all[i]);
	if (!entry || fclose(entry))
		err = -ENOMEM;
	else if (sendto(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL,
			(const struct sockaddr *)&journald, sizeof(journald)) < 0)
		err = errno == ENOENT ? 0 : -errno; /* there is no journald here */
	free(bytes);
	return err;
}

int alert_journal_open(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

int alert_journal(int fd, const struct core *core, const struct change *change)
{
	static const struct viewer nobody = { .uid = UINT32_MAX };
	json_t *line = view_change(core, change, &nobody), *value;
	const char *summary = json_string_value(json_object_get(line, "summary"));
	const char *severity = json_string_value(json_object_get(line, "severity"));
	struct fields fields = { 0 };
	const char *key;
	char *message = NULL;
	int err = -ENOMEM;

	if (summary && severity &&
	    asprintf(&message, "%s%s", change->alert->firing ? "" : "Over: ", summary) >= 0) {
		add_field(&fields, "MESSAGE", message);
		add_field(&fields, "MESSAGE_ID",
			  change->alert->firing ? message_ids[change->alert->kind] : resolved_id);
		add_field(&fields, "PRIORITY", priority_of(change, severity));
		free(message);
		json_object_foreach(line, key, value)
			add_member(&fields, key, value);
		err = send_entry(fd, &fields);
	}
	for (int i = 0; i < fields.count; i++)
		free(fields.all[i].iov_base);
	json_decref(line);
	return err;
}
