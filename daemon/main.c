// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>

#include "core/metrics.h"
#include "daemon.h"
#include "log.h"

/* What was asked for and could not be written is a failure. */
static int written(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	log_error("cannot write to standard output");
	return 1;
}

static void document_metrics(void)
{
	size_t len;
	char *text = metrics_document(&len);

	if (text)
		fwrite(text, 1, len, stdout);
	free(text);
}

int main(int argc, char **argv)
{
	const struct command_line command_line = { argc, argv };
	struct invocation invocation;
	struct settings settings;

	if (daemon_settings(&settings, &invocation, &command_line))
		return 2;
	switch (invocation.what) {
	case SHOW_HELP:
		settings_help(stdout);
		return written();
	case SHOW_VERSION:
		puts("lifetraced " LIFETRACE_VERSION);
		return written();
	case PRINT_CONFIG:
		settings_print(&settings, stdout);
		return written();
	case DOCUMENT:
		settings_document(stdout);
		return written();
	case DOCUMENT_METRICS:
		document_metrics();
		return written();
	case DETACH_ALL:
	case DETACH_STALE:
		return daemon_detach(&settings, invocation.what == DETACH_STALE);
	case RUN:
		break;
	}
	return daemon_run(&settings, &invocation, &command_line);
}
