/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The recording: a header, then records of bpf/event.h one after another. A
 * file may be gzipped; the stream on the socket never is.
 */
#ifndef LT_RECORDING_H
#define LT_RECORDING_H

#include "event.h"
#include "source.h"

#define RECORDING_MAGIC "lifetrc\n"

struct recording_header {
	char magic[8];
	__u32 version;	  /* LT_WIRE_VERSION */
	__u32 byte_order; /* RECORDING_ORDER as the writer stores it */
};

#define RECORDING_ORDER 0x01020304

struct recording_header recording_header(void);

#define RECORDING_ERROR_SIZE 256

enum recording_end {
	RECORDING_WHOLE,
	RECORDING_CUT,	   /* ended within a record: what came before was handed over */
	RECORDING_GARBAGE, /* a record that cannot be one: likewise */
	RECORDING_REFUSED, /* no recording, or of another version: nothing was */
};

/*
 * One record after the other. Opening returns NULL and says why in error. Next
 * gives NULL at the end; for anything but RECORDING_WHOLE error says what is
 * wrong and at which offset. A record is valid, and 8-byte aligned, until the
 * next call. The path stays the caller's.
 */
struct recording;
struct recording *recording_open(const char *path, char error[RECORDING_ERROR_SIZE]);
enum recording_end recording_next(struct recording *recording, const struct lt_hdr **record,
				  char error[RECORDING_ERROR_SIZE]);
void recording_close(struct recording *recording);

/*
 * Hands over each record until the end or until fn returns non-zero. For
 * anything but RECORDING_WHOLE error says what and at which offset.
 */
enum recording_end recording_read(const char *path,
				  int (*fn)(void *user, const void *record, size_t len), void *user,
				  char error[RECORDING_ERROR_SIZE]);

#endif
