// SPDX-License-Identifier: GPL-2.0-only
/* A recording as top's feed: folded as far as its clock has come. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "recording.h"
#include "top.h"

struct replay {
	struct feed feed;
	struct player player;
	struct recording *recording;
	const struct lt_hdr *next; /* NULL: there is no more */
	struct core *core;
	bool streams;
	char trouble[RECORDING_ERROR_SIZE + 64];
};

static const struct viewer everyone = { .all = true };

static void on_change(void *user, const struct change *change)
{
	const struct replay *replay = user;

	if (replay->streams)
		replay->feed.user.happened(replay->feed.user.user,
					   view_change(replay->core, change, &everyone));
}

static void read_next(struct replay *replay)
{
	char error[RECORDING_ERROR_SIZE];

	if (recording_next(replay->recording, &replay->next, error) != RECORDING_WHOLE)
		snprintf(replay->trouble, sizeof(replay->trouble), "%s; what came before is shown",
			 error);
	replay->player.ended = !replay->next;
}

/* As the daemon does before it answers: what is due by now has happened. */
static void tick(const struct replay *replay, uint64_t now_ns)
{
	const struct lt_hdr record = { .size = sizeof(record), .kind = LT_TICK, .time_ns = now_ns };

	if (now_ns > core_now_ns(replay->core))
		core_apply(replay->core, &record, sizeof(record));
}

void replay_advance(struct feed *feed, uint64_t to_ns)
{
	struct replay *replay = (struct replay *)feed;

	while (replay->next && replay->next->time_ns <= to_ns) {
		core_apply(replay->core, replay->next, replay->next->size);
		read_next(replay);
	}
	if (!replay->next) /* where nothing more is known, time stands still */
		to_ns = core_now_ns(replay->core);
	tick(replay, to_ns);
	if (to_ns > replay->player.now_ns)
		replay->player.now_ns = to_ns;
}

void replay_elapse(struct feed *feed, uint64_t elapsed_ns)
{
	const struct player *player = feed->player;

	if (player->paused || player->ended)
		return;
	replay_advance(feed, player->now_ns + (player->speed < 0 ? elapsed_ns >> -player->speed :
								   elapsed_ns << player->speed));
}

static void replay_ask(struct feed *feed, enum ask ask, const char *what,
		       const struct options *options)
{
	static const struct {
		const char *what;
		json_t *(*view)(const struct core *core, uint64_t now_ns,
				const struct filter *filter, const struct viewer *viewer);
	} views[] = {
		{ "zombies", view_zombies }, { "processes", view_processes },
		{ "births", view_births },   { "cow", view_cow },
		{ "leaks", view_leaks },
	};
	const struct replay *replay = (struct replay *)feed;
	uint64_t now_ns = replay->player.now_ns;
	json_t *document = NULL;

	if (!strcmp(what, "status"))
		document = view_status(replay->core, now_ns);
	else if (!strcmp(what, "why"))
		document = view_why(replay->core, now_ns, options->filter.pid, &everyone);
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		if (!strcmp(what, views[i].what))
			document = views[i].view(replay->core, now_ns, &options->filter, &everyone);
	feed->user.answered(feed->user.user, ask, document,
			    document ? NULL : "a recording cannot answer that");
}

static void replay_stream(struct feed *feed, bool on)
{
	((struct replay *)feed)->streams = on;
}

static void replay_wait(struct feed *feed, int fd, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t began_ns = top_clock_ns();

	poll(&pfd, fd >= 0, timeout_ms);
	replay_elapse(feed, top_clock_ns() - began_ns);
}

static const char *replay_trouble(const struct feed *feed)
{
	const struct replay *replay = (const struct replay *)feed;

	return *replay->trouble ? replay->trouble : NULL;
}

static void replay_close(struct feed *feed)
{
	struct replay *replay = (struct replay *)feed;

	recording_close(replay->recording);
	core_free(replay->core);
	free(replay);
}

static const struct feed_ops replay_ops = { replay_ask, replay_stream, replay_wait, replay_trouble,
					    replay_close };

/* Its first record is of what was known when it began. */
static int begin_at(struct replay *replay, const char *path, uint64_t at_ns)
{
	uint64_t begin_ns;

	read_next(replay);
	begin_ns = replay->next ? replay->next->time_ns : 0;
	if (at_ns && at_ns < begin_ns) {
		complain("%s begins at %llu, later than --at", path, (unsigned long long)begin_ns);
		return -1;
	}
	replay->player.paused = at_ns != 0;
	replay_advance(&replay->feed, at_ns ? at_ns : begin_ns);
	return 0;
}

struct feed *replay_feed(const char *path, uint64_t at_ns, const struct feed_user *user)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	char error[RECORDING_ERROR_SIZE] = "out of memory";

	if (replay) {
		replay->feed = (struct feed){ .ops = &replay_ops,
					      .user = *user,
					      .player = &replay->player };
		replay->streams = true;
		replay->core = core_new(on_change, replay);
		replay->recording = recording_open(path, error);
	}
	if (replay && replay->core && replay->recording && !begin_at(replay, path, at_ns))
		return &replay->feed;
	if (!replay || !replay->recording || !replay->core)
		complain("%s", error);
	if (replay)
		replay_close(&replay->feed);
	return NULL;
}
