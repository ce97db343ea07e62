/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One line to standard error, with the journal's priority where it listens. A
 * journald that does not read is not waited for.
 * Only main.c and daemon.c log; what they call returns errors.
 */
#ifndef LT_LOG_H
#define LT_LOG_H

enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_INFO = 6 };

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Lines that journald did not take. */
unsigned log_dropped(void);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)

#endif
