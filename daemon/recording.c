// SPDX-License-Identifier: GPL-2.0-only
#include "recording.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct recording_header recording_header(void)
{
	struct recording_header header = { .version = LT_WIRE_VERSION,
					   .byte_order = RECORDING_ORDER };

	memcpy(header.magic, RECORDING_MAGIC, sizeof(header.magic));
	return header;
}

struct recording {
	gzFile file;
	uint64_t offset; /* of the record under way, in the unzipped stream */
	const char *path;
	union {
		struct lt_hdr hdr;
		char bytes[LT_RECORD_MAX];
	} record;
};

static enum recording_end give_up(const struct recording *recording, enum recording_end end,
				  const char *why, char *error)
{
	snprintf(error, RECORDING_ERROR_SIZE, "%.120s: %s at offset %" PRIu64, recording->path, why,
		 recording->offset);
	return end;
}

/* 1: whole, 0: nothing left, -1: cut off (or the gzip stream is broken). */
static int read_whole(struct recording *recording, void *buf, size_t len)
{
	int got = gzread(recording->file, buf, (unsigned)len), err = Z_OK;

	if (got == 0) { /* at its end, or where a gzip stream breaks off */
		gzerror(recording->file, &err);
		return err == Z_OK || err == Z_STREAM_END ? 0 : -1;
	}
	return got == (int)len ? 1 : -1;
}

static enum recording_end read_header(struct recording *recording, char *error)
{
	struct recording_header header;
	char why[64];

	if (read_whole(recording, &header, sizeof(header)) != 1 ||
	    memcmp(header.magic, RECORDING_MAGIC, sizeof(header.magic)))
		return give_up(recording, RECORDING_REFUSED,
			       "not a recording of lifetrace:", error);
	if (header.byte_order != RECORDING_ORDER)
		return give_up(recording, RECORDING_REFUSED,
			       "recorded on a machine of the other byte order:", error);
	if (header.version != LT_WIRE_VERSION) {
		snprintf(why, sizeof(why),
			 "recording version %u, this program reads %d:", header.version,
			 LT_WIRE_VERSION);
		return give_up(recording, RECORDING_REFUSED, why, error);
	}
	recording->offset = sizeof(header);
	return RECORDING_WHOLE;
}

struct recording *recording_open(const char *path, char error[RECORDING_ERROR_SIZE])
{
	struct recording *recording = calloc(1, sizeof(*recording));

	*error = '\0';
	errno = 0;
	if (recording) {
		recording->path = path;
		recording->file = gzopen(path, "rbe");
	}
	if (!recording || !recording->file)
		snprintf(error, RECORDING_ERROR_SIZE, "%.120s: %s", path,
			 strerror(errno ? errno : ENOMEM));
	else if (read_header(recording, error) == RECORDING_WHOLE)
		return recording;
	recording_close(recording);
	return NULL;
}

void recording_close(struct recording *recording)
{
	if (recording && recording->file)
		gzclose(recording->file);
	free(recording);
}

enum recording_end recording_next(struct recording *recording, const struct lt_hdr **record,
				  char error[RECORDING_ERROR_SIZE])
{
	struct lt_hdr *hdr = &recording->record.hdr;
	int got = read_whole(recording, hdr, sizeof(*hdr));

	*record = NULL;
	*error = '\0';
	if (got < 0)
		return give_up(recording, RECORDING_CUT, "cut off", error);
	if (!got)
		return RECORDING_WHOLE;
	if (hdr->size < sizeof(*hdr) || hdr->size > LT_RECORD_MAX || hdr->size % LT_ALIGN)
		return give_up(recording, RECORDING_GARBAGE, "no record", error);
	if (hdr->size > sizeof(*hdr) &&
	    read_whole(recording, recording->record.bytes + sizeof(*hdr),
		       hdr->size - sizeof(*hdr)) != 1)
		return give_up(recording, RECORDING_CUT, "cut off in the record", error);
	recording->offset += hdr->size;
	*record = hdr;
	return RECORDING_WHOLE;
}

enum recording_end recording_read(const char *path,
				  int (*fn)(void *user, const void *record, size_t len), void *user,
				  char error[RECORDING_ERROR_SIZE])
{
	struct recording *recording = recording_open(path, error);
	const struct lt_hdr *record;
	enum recording_end end;

	if (!recording)
		return RECORDING_REFUSED;
	do
		end = recording_next(recording, &record, error);
	while (record && !fn(user, record, record->size));
	recording_close(recording);
	return end;
}
