/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the service manager is told (sd_notify(3)): readiness, one line on how
 * it goes, and that the loop still turns (the watchdog). Wakes nobody on an
 * idle host: news are told after what woke the loop anyway. Without a service
 * manager all of it does nothing.
 */
#ifndef LT_NOTIFY_H
#define LT_NOTIFY_H

#include <stdint.h>
#include <systemd/sd-event.h>

struct notify;

struct notify_news {
	uint32_t processes, flagged;
};

/*
 * Asks for news after each turn of the loop. Returns 0, with *notify NULL where
 * there is no service manager, or -errno.
 */
int notify_new(struct notify **notify, sd_event *event, struct notify_news (*news)(void *user),
	       void *user);
void notify_free(struct notify *notify);

/* Says, with the first news, that the service is up, again after notify_reloading(). */
void notify_ready(struct notify *notify);
void notify_reloading(void);
void notify_stopping(void);

#endif
