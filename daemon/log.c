// SPDX-License-Identifier: GPL-2.0-only
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned dropped;

unsigned log_dropped(void)
{
	return dropped;
}

/* systemd.exec(5), JOURNAL_STREAM: standard error is a socket of journald's. */
static void to_journald(enum log_level level, const char *words)
{
	char line[8192 + 8];
	int len = snprintf(line, sizeof(line), "<%d>%s\n", level, words);

	if (send(STDERR_FILENO, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return;
	if (errno == ENOTSOCK)
		fputs(line, stderr);
	else
		dropped++;
}

void log_line(enum log_level level, const char *format, ...)
{
	char words[8192];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	if (getenv("JOURNAL_STREAM"))
		to_journald(level, words);
	else
		fprintf(stderr, "lifetraced: %s\n", words);
}
