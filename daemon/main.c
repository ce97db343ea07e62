// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>

#include "daemon.h"

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
		return 0;
	case SHOW_VERSION:
		puts("lifetraced " LIFETRACE_VERSION);
		return 0;
	case PRINT_CONFIG:
		settings_print(&settings, stdout);
		return 0;
	case DOCUMENT:
		settings_document(stdout);
		return 0;
	case RUN:
		break;
	}
	return daemon_run(&settings, &invocation, &command_line);
}
