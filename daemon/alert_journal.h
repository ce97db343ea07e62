/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Alerts to the systemd journal, each with structured fields: all that
 * /v1/alerts says of it, as LIFETRACE_ALERT, LIFETRACE_STATE and so on, and a
 * MESSAGE_ID that deploy/systemd/lifetrace.catalog explains. Without a journald
 * nothing happens; one that does not read is not waited for.
 */
#ifndef LT_ALERT_JOURNAL_H
#define LT_ALERT_JOURNAL_H

#include "core/core.h"

/* The descriptor that entries are sent by, or -errno. */
int alert_journal_open(void);
/*
 * The change is of kind CHANGE_ALERT. Returns 0, or -errno of an entry that is
 * lost: -EAGAIN where journald has enough unread ones (unix(7)).
 */
int alert_journal(int fd, const struct core *core, const struct change *change);

#endif
