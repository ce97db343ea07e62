/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Alerts to the systemd journal, each with structured fields: all that
 * /v1/alerts says of it, as LIFETRACE_ALERT, LIFETRACE_STATE and so on, and a
 * MESSAGE_ID that deploy/systemd/lifetrace.catalog explains. Without a journal
 * nothing happens.
 */
#ifndef LT_ALERT_JOURNAL_H
#define LT_ALERT_JOURNAL_H

#include "core/core.h"

/* The change is of kind CHANGE_ALERT. */
void alert_journal(const struct core *core, const struct change *change);

#endif
