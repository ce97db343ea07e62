// SPDX-License-Identifier: GPL-2.0-only
/* A short run of the fuzzer, the same each time. */
#include <criterion/criterion.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "stream.h"

#define STREAM_MAX (1 << 20)
#define ROUNDS 40
#define CHANGES_A_ROUND 8

static size_t load(const char *path, uint8_t *data)
{
	gzFile file = gzopen(path, "rb");
	int size = file ? gzread(file, data, STREAM_MAX) : -1;

	cr_assert(size >= 0, "%s cannot be read", path);
	gzclose(file);
	return (size_t)size;
}

/* Each round begins with the whole recording again. */
static void change_and_fold(const uint8_t *recording, size_t size, uint8_t *changed)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t len = size;

		memcpy(changed, recording, size);
		for (unsigned i = 0; i < CHANGES_A_ROUND; i++)
			len = stream_change(changed, len, STREAM_MAX, round * CHANGES_A_ROUND + i);
		stream_fold(changed, len);
	}
}

Test(fuzz, recordings_that_are_changed_break_nothing)
{
	uint8_t *recording = malloc(STREAM_MAX), *changed = malloc(STREAM_MAX);
	glob_t paths = { 0 };

	glob(STREAMS "/*.ltr.gz", 0, NULL, &paths);
	cr_assert(paths.gl_pathc, "no recordings in " STREAMS);
	for (size_t i = 0; i < paths.gl_pathc; i++)
		change_and_fold(recording, load(paths.gl_pathv[i], recording), changed);
	globfree(&paths);
	free(recording);
	free(changed);
}
