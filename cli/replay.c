// SPDX-License-Identifier: GPL-2.0-only
/* record and replay: the daemon's records in a file, folded through the same core. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <zlib.h>

#include "cli.h"
#include "core/core.h"
#include "recording.h"

/* ---- record ---- */

/* Only whole records are written: an interrupted recording is a whole one. */
struct recorder {
	gzFile file;
	const char *path;
	bool header_done;
	uint64_t records;
	char *rest;
	size_t rest_len;
	bool failed;
};

static bool ends_with_gz(const char *path)
{
	size_t len = strlen(path);

	return len > 3 && !strcmp(path + len - 3, ".gz");
}

/* Not before there is something to write: what was there may be dear to somebody. */
static int open_file(struct recorder *recorder)
{
	errno = 0;
	recorder->file = gzopen(recorder->path, ends_with_gz(recorder->path) ? "wbe" : "wbTe");
	if (recorder->file)
		return 0;
	complain("%s: %s", recorder->path, strerror(errno ? errno : ENOMEM));
	recorder->failed = true;
	return -1;
}

static int write_out(struct recorder *recorder, const void *bytes, size_t len)
{
	int err;

	if (!recorder->file && open_file(recorder))
		return -1;
	if (gzwrite(recorder->file, bytes, (unsigned)len) == (int)len)
		return 0;
	complain("%s: %s", recorder->path, errno ? strerror(errno) : gzerror(recorder->file, &err));
	recorder->failed = true;
	return -1;
}

/* How long the next whole piece is; 0: not all of it is here; SIZE_MAX: nonsense. */
static size_t next_piece(const struct recorder *recorder, const char *p, size_t left)
{
	struct lt_hdr hdr;

	if (!recorder->header_done)
		return left >= sizeof(struct recording_header) ? sizeof(struct recording_header) :
								 0;
	if (left < sizeof(hdr))
		return 0;
	memcpy(&hdr, p, sizeof(hdr));
	if (hdr.size < sizeof(hdr) || hdr.size > LT_RECORD_MAX)
		return SIZE_MAX;
	return hdr.size <= left ? hdr.size : 0;
}

static int on_bytes(void *user, const void *bytes, size_t len)
{
	struct recorder *recorder = user;
	char *all = realloc(recorder->rest, recorder->rest_len + len);
	size_t done = 0, have = recorder->rest_len + len, piece;

	if (!all)
		return -1;
	memcpy(all + recorder->rest_len, bytes, len);
	recorder->rest = all;
	while ((piece = next_piece(recorder, all + done, have - done))) {
		if (piece == SIZE_MAX) {
			complain("the daemon's stream is no recording");
			recorder->failed = true;
			return -1;
		}
		recorder->records += recorder->header_done;
		recorder->header_done = true;
		done += piece;
	}
	if (done && write_out(recorder, all, done))
		return -1;
	recorder->rest_len = have - done;
	memmove(all, all + done, recorder->rest_len);
	return 0;
}

static void stop_after(uint64_t ns)
{
	struct itimerval timer = { .it_value = { .tv_sec = (time_t)(ns / 1000000000),
						 .tv_usec = (suseconds_t)(ns / 1000 % 1000000) } };

	if (ns && !timer.it_value.tv_sec && !timer.it_value.tv_usec)
		timer.it_value.tv_usec = 1;
	setitimer(ITIMER_REAL, &timer, NULL);
}

static int record_to(struct recorder *recorder, struct source *source,
		     const struct options *options)
{
	int status;

	stop_after(options->for_ns);
	status = source->ops->record(source, options, on_bytes, recorder);
	if (recorder->file && gzclose(recorder->file) != Z_OK && !recorder->failed) {
		complain("%s: %s", recorder->path, strerror(errno));
		recorder->failed = true;
	}
	free(recorder->rest);
	return recorder->failed ? FAILED : status;
}

int run_record(const struct command *command, struct options *options)
{
	struct recorder recorder = { .path = options->operands[0] };
	struct source *source;
	int status;

	(void)command;
	source = daemon_source(options);
	if (!source)
		return FAILED;
	status = record_to(&recorder, source, options);
	source->ops->close(source);
	if (recorder.header_done && !recorder.failed)
		fprintf(stderr, "lifetrace: %" PRIu64 " records in %s\n", recorder.records,
			recorder.path);
	return status;
}

/* ---- a recording as a source ---- */

struct recorded {
	struct source source;
	const char *path;
	struct core *core;
	const struct options *options;
	int (*on_line)(void *user, const char *line, size_t len);
	void *user;
	uint64_t lines;
	bool ended;
	bool folded;
	bool told;	   /* what is wrong with the file */
	uint64_t begin_ns; /* its first record is of what was known then; 0: none came yet */
	uint64_t stop_ns;  /* between two records; 0: at the last one folded */
	int status;
};

static const struct viewer everyone = { .all = true };

static void on_change(void *user, const struct change *change)
{
	struct recorded *recorded = user;
	json_t *line;
	size_t len;
	char *text;

	if (!recorded->on_line || recorded->ended ||
	    !filter_change(&recorded->options->filter, change))
		return;
	line = view_change(recorded->core, change, &everyone);
	text = view_text(line, &len);
	json_decref(line);
	recorded->ended = !text || recorded->on_line(recorded->user, text, len) ||
			  ++recorded->lines == recorded->options->filter.count;
	free(text);
}

/* The daemon ticks just before it answers: up to that tick is what it knew then. */
static int on_record(void *user, const void *record, size_t len)
{
	struct recorded *recorded = user;
	const struct lt_hdr *hdr = record;
	uint64_t at_ns = recorded->options->at_ns;

	if (at_ns && recorded->begin_ns && hdr->time_ns > at_ns) {
		recorded->stop_ns = at_ns;
		return -1;
	}
	core_apply(recorded->core, record, len);
	if (!recorded->begin_ns)
		recorded->begin_ns = hdr->time_ns;
	if (at_ns && hdr->kind == LT_TICK && hdr->time_ns == at_ns)
		return -1;
	return recorded->ended || interrupted;
}

/* What was before its beginning, a recording cannot tell. */
static int check_moment(const struct recorded *recorded, uint64_t at_ns)
{
	if (!at_ns || at_ns >= recorded->begin_ns)
		return DONE;
	complain("%s begins at %" PRIu64 ", later than --at", recorded->path, recorded->begin_ns);
	return FAILED;
}

static int fold_once(struct recorded *recorded, const struct options *options)
{
	char error[RECORDING_ERROR_SIZE];
	enum recording_end end;

	if (recorded->folded)
		return recorded->status;
	recorded->folded = true;
	recorded->options = options;
	end = recording_read(recorded->path, on_record, recorded, error);
	if (end != RECORDING_WHOLE && !recorded->told)
		complain("%s%s", error,
			 end == RECORDING_REFUSED ? "" : "; what came before is used");
	recorded->told = true;
	recorded->status = end == RECORDING_REFUSED ? FAILED :
						      check_moment(recorded, options->at_ns);
	return recorded->status;
}

static json_t *recorded_why(const struct recorded *recorded, uint64_t pid, uint64_t now_ns)
{
	json_t *document = view_why(recorded->core, now_ns, pid, &everyone);

	if (!document)
		complain("nothing is known of a process with pid %" PRIu64, pid);
	return document;
}

static int recorded_get(struct source *source, const struct options *options, const char *what,
			json_t **document)
{
	struct recorded *recorded = (struct recorded *)source;
	int status = fold_once(recorded, options);
	uint64_t now_ns;

	*document = NULL;
	if (status)
		return status;
	now_ns = recorded->stop_ns ? recorded->stop_ns : core_now_ns(recorded->core);
	if (!strcmp(what, "zombies"))
		*document = view_zombies(recorded->core, now_ns, &options->filter, &everyone);
	else if (!strcmp(what, "processes"))
		*document = view_processes(recorded->core, now_ns, &options->filter, &everyone);
	else if (!strcmp(what, "births"))
		*document = view_births(recorded->core, now_ns, &options->filter, &everyone);
	else if (!strcmp(what, "cow"))
		*document = view_cow(recorded->core, now_ns, &options->filter, &everyone);
	else if (!strcmp(what, "stacks"))
		*document = view_stacks(recorded->core, now_ns, &options->filter);
	else if (!strcmp(what, "leaks"))
		*document = view_leaks(recorded->core, now_ns, &options->filter, &everyone);
	else if (!strcmp(what, "why"))
		*document = recorded_why(recorded, options->filter.pid, now_ns);
	else
		*document = view_status(recorded->core, now_ns);
	return *document ? DONE : FAILED;
}

/* Needs to see the records itself: whatever was folded before is forgotten. */
static int recorded_stream(struct source *source, const struct options *options,
			   int (*fn)(void *user, const char *line, size_t len), void *user)
{
	struct recorded *recorded = (struct recorded *)source;

	core_free(recorded->core);
	recorded->core = core_new(on_change, recorded);
	if (!recorded->core)
		return FAILED;
	recorded->folded = false;
	recorded->on_line = fn;
	recorded->user = user;
	return fold_once(recorded, options);
}

static int recorded_record(struct source *source, const struct options *options,
			   int (*fn)(void *user, const void *bytes, size_t len), void *user)
{
	(void)source;
	(void)options;
	(void)fn;
	(void)user;
	return FAILED;
}

static void recorded_close(struct source *source)
{
	struct recorded *recorded = (struct recorded *)source;

	core_free(recorded->core);
	free(recorded);
}

static const struct source_ops recorded_ops = { recorded_get, recorded_stream, recorded_record,
						recorded_close };

struct source *recording_source(const char *path)
{
	struct recorded *recorded = calloc(1, sizeof(*recorded));

	if (!recorded)
		return NULL;
	recorded->source.ops = &recorded_ops;
	recorded->path = path;
	recorded->core = core_new(on_change, recorded);
	return &recorded->source;
}

/* replay FILE [COMMAND]: COMMAND as if its daemon were there; tail by default. */
int run_replay(const struct command *command, struct options *options)
{
	struct source *source = recording_source(options->operands[0]);
	int status;

	if (!source)
		return FAILED;
	status = command->show(options, source);
	source->ops->close(source);
	return status;
}
