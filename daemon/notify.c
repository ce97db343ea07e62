// SPDX-License-Identifier: GPL-2.0-only
#include "notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "clock.h"

/* Between two lines: each costs the service manager a message to whoever watches it. */
#define PAUSE_USEC 1000000
#define ACCURACY_USEC 100000

struct notify {
	sd_event *event;
	sd_event_source *after, *later;
	struct notify_news (*news)(void *user);
	void *user;
	struct notify_news told;
	uint64_t told_usec; /* monotonic; 0: not ready yet */
	bool planned;
};

static const char *ending(uint32_t count, const char *one, const char *many)
{
	return count == 1 ? one : many;
}

static void tell(struct notify *notify, const char *first)
{
	struct notify_news news = notify->news(notify->user);

	sd_notifyf(0, "%sSTATUS=tracking %" PRIu32 " process%s, %" PRIu32 " zombie%s flagged",
		   first, news.processes, ending(news.processes, "", "es"), news.flagged,
		   ending(news.flagged, "", "s"));
	notify->told = news;
	sd_event_now(notify->event, CLOCK_MONOTONIC, &notify->told_usec);
}

static int on_later(sd_event_source *source, uint64_t usec, void *user)
{
	struct notify *notify = user;

	(void)source;
	(void)usec;
	notify->planned = false;
	tell(notify, "");
	return 0;
}

static int on_turn(sd_event_source *source, void *user)
{
	struct notify *notify = user;
	struct notify_news news = notify->news(notify->user);

	(void)source;
	if (!notify->told_usec || notify->planned || !memcmp(&news, &notify->told, sizeof(news)))
		return 0;
	notify->planned = true;
	sd_event_source_set_time(notify->later, notify->told_usec + PAUSE_USEC);
	return sd_event_source_set_enabled(notify->later, SD_EVENT_ONESHOT);
}

static int add_sources(struct notify *notify)
{
	int err = sd_event_add_time(notify->event, &notify->later, CLOCK_MONOTONIC, 0,
				    ACCURACY_USEC, on_later, notify);

	if (err >= 0)
		err = sd_event_source_set_enabled(notify->later, SD_EVENT_OFF);
	if (err >= 0)
		err = sd_event_add_post(notify->event, &notify->after, on_turn, notify);
	if (err >= 0)
		err = sd_event_set_watchdog(notify->event, true);
	return err < 0 ? err : 0;
}

int notify_new(struct notify **notify, sd_event *event, struct notify_news (*news)(void *user),
	       void *user)
{
	struct notify *n;
	int err;

	*notify = NULL;
	if (!getenv("NOTIFY_SOCKET"))
		return 0;
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	*n = (struct notify){ .event = event, .news = news, .user = user };
	err = add_sources(n);
	if (err) {
		notify_free(n);
		return err;
	}
	*notify = n;
	return 0;
}

void notify_free(struct notify *notify)
{
	if (!notify)
		return;
	sd_event_source_unref(notify->after);
	sd_event_source_unref(notify->later);
	free(notify);
}

void notify_ready(struct notify *notify)
{
	if (notify)
		tell(notify, "READY=1\n");
}

/* MONOTONIC_USEC: what Type=notify-reload (systemd 253) wants. */
void notify_reloading(void)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_ns(CLOCK_MONOTONIC) / 1000);
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}
