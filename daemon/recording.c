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

struct reading {
	gzFile file;
	uint64_t offset; /* of the record under way, in the unzipped stream */
	const char *path;
	char *error;
};

static enum recording_end give_up(const struct reading *reading, enum recording_end end,
				  const char *why)
{
	snprintf(reading->error, RECORDING_ERROR_SIZE, "%.120s: %s at offset %" PRIu64,
		 reading->path, why, reading->offset);
	return end;
}

/* 1: whole, 0: nothing left, -1: cut off (or the gzip stream is broken). */
static int read_whole(struct reading *reading, void *buf, size_t len)
{
	int got = gzread(reading->file, buf, (unsigned)len), err = Z_OK;

	if (got == 0) { /* at its end, or where a gzip stream breaks off */
		gzerror(reading->file, &err);
		return err == Z_OK || err == Z_STREAM_END ? 0 : -1;
	}
	return got == (int)len ? 1 : -1;
}

static enum recording_end read_header(struct reading *reading)
{
	struct recording_header header;
	char why[64];

	if (read_whole(reading, &header, sizeof(header)) != 1 ||
	    memcmp(header.magic, RECORDING_MAGIC, sizeof(header.magic)))
		return give_up(reading, RECORDING_REFUSED, "not a recording of lifetrace:");
	if (header.byte_order != RECORDING_ORDER)
		return give_up(reading, RECORDING_REFUSED,
			       "recorded on a machine of the other byte order:");
	if (header.version != LT_WIRE_VERSION) {
		snprintf(why, sizeof(why),
			 "recording version %u, this program reads %d:", header.version,
			 LT_WIRE_VERSION);
		return give_up(reading, RECORDING_REFUSED, why);
	}
	reading->offset = sizeof(header);
	return RECORDING_WHOLE;
}

static enum recording_end read_records(struct reading *reading,
				       int (*fn)(void *user, const void *record, size_t len),
				       void *user)
{
	union {
		struct lt_hdr hdr;
		char bytes[LT_RECORD_MAX];
	} record;
	int got;

	while ((got = read_whole(reading, &record.hdr, sizeof(record.hdr))) == 1) {
		size_t size = record.hdr.size;

		if (size < sizeof(record.hdr) || size > LT_RECORD_MAX || size % LT_ALIGN)
			return give_up(reading, RECORDING_GARBAGE, "no record");
		if (size > sizeof(record.hdr) &&
		    read_whole(reading, record.bytes + sizeof(record.hdr),
			       size - sizeof(record.hdr)) != 1)
			return give_up(reading, RECORDING_CUT, "cut off in the record");
		if (fn(user, &record, size))
			return RECORDING_WHOLE;
		reading->offset += size;
	}
	if (got < 0)
		return give_up(reading, RECORDING_CUT, "cut off");
	return RECORDING_WHOLE;
}

enum recording_end recording_read(const char *path,
				  int (*fn)(void *user, const void *record, size_t len), void *user,
				  char error[RECORDING_ERROR_SIZE])
{
	struct reading reading = { .path = path, .error = error };
	enum recording_end end;

	*error = '\0';
	errno = 0;
	reading.file = gzopen(path, "rbe");
	if (!reading.file) {
		snprintf(error, RECORDING_ERROR_SIZE, "%.120s: %s", path,
			 strerror(errno ? errno : ENOMEM));
		return RECORDING_REFUSED;
	}
	end = read_header(&reading);
	if (end == RECORDING_WHOLE)
		end = read_records(&reading, fn, user);
	gzclose(reading.file);
	return end;
}
