/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The daemon's settings: one table gives defaults, parsing of file and
 * options, --help, --print-config and docs/settings.md.
 *
 * A setting is given as `name = value` in the file and as `--name value`
 * (dashes for underscores) on the command line, which wins.
 */
#ifndef LT_SETTINGS_H
#define LT_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SETTING_TEXT_SIZE 1024
#define SETTINGS_ERROR_SIZE 512

/* When system calls' own tracepoints may be used, which tax every system call. */
enum syscall_hooks { SYSCALL_HOOKS_AUTO, SYSCALL_HOOKS_ALWAYS, SYSCALL_HOOKS_OFF };

/* The best kind of hook that may be used; an order from best to what always works. */
enum best_hook { BEST_HOOK_FENTRY, BEST_HOOK_KPROBE, BEST_HOOK_TRACEPOINT };

enum confine_when { CONFINE_AUTO, CONFINE_ON, CONFINE_OFF };

/* Which program a setting is of. */
enum reader { BY_DAEMON, BY_ALERT, BY_BOTH };

struct settings {
	char socket[108]; /* sizeof(sockaddr_un.sun_path) */
	char group[64];
	char metrics_listen[SETTING_TEXT_SIZE];
	char on_alert[SETTING_TEXT_SIZE]; /* from here on: of lifetrace-alert */
	char alertmanager_url[SETTING_TEXT_SIZE];
	char alertmanager_user[SETTING_TEXT_SIZE];
	char alertmanager_password_file[SETTING_TEXT_SIZE];
	char alertmanager_ca[SETTING_TEXT_SIZE];
	char alert_queue[SETTING_TEXT_SIZE];
	uint64_t on_alert_max;
	uint64_t on_alert_timeout_ns;
	uint64_t alertmanager_interval_ns;
	uint64_t alert_queue_max;
	char btf[SETTING_TEXT_SIZE];
	char pin_dir[SETTING_TEXT_SIZE];
	char journal_dir[SETTING_TEXT_SIZE];
	char ignore_comm[SETTING_TEXT_SIZE];
	char ignore_unit[SETTING_TEXT_SIZE];
	char silences[SETTING_TEXT_SIZE];
	uint64_t zombie_age_ns;
	uint64_t leak_count;
	uint64_t leak_age_ns;
	uint64_t leak_settle_ns;
	uint64_t alert_flagged;
	uint64_t alert_forks;
	uint64_t alert_forks_for_ns;
	uint64_t alert_pids_within_ns;
	uint64_t alert_settle_ns;
	uint64_t reaped_keep_ns;
	uint64_t repair_interval_ns;
	uint64_t batch_ns;
	uint64_t ring_bytes;
	uint64_t memory_max_bytes;
	uint64_t stream_buffer_bytes;
	uint64_t client_timeout_ns;
	uint64_t client_max;
	uint64_t syscall_hooks; /* enum syscall_hooks */
	uint64_t best_hook;	/* enum best_hook */
	uint64_t cow;		/* enum cow_set */
	uint64_t cow_max;
	uint64_t exit_handlers; /* 0: off, 1: on */
	uint64_t stacks;	/* likewise */
	uint64_t heartbeat_ns;
	uint64_t confine; /* likewise */
};

/* What the command line says besides settings. */
struct invocation {
	const char *config; /* NULL: none given */
	int lifeline;	    /* descriptor to report readiness on and to die with; -1: none */
	enum {
		RUN,
		SHOW_HELP,
		SHOW_VERSION,
		PRINT_CONFIG,
		DOCUMENT,
		DOCUMENT_METRICS,
		DETACH_ALL,
		DETACH_STALE
	} what;
};

void settings_defaults(struct settings *settings);

/*
 * Sets one by its name. Returns 0, or -EINVAL with one line in error that
 * names what was wrong.
 */
int settings_set(struct settings *settings, const char *name, const char *value,
		 char error[SETTINGS_ERROR_SIZE]);

/*
 * Reads an INI file over settings, and then those of conf.d beside it that are
 * named *.conf, in the order of their names: the last one wins. Errors name
 * file and line. Returns 0 or -EINVAL; settings may have changed then.
 */
int settings_load(struct settings *settings, const char *path, char error[SETTINGS_ERROR_SIZE]);

/* Reads the command line over settings. Returns 0 or -EINVAL. */
int settings_parse(struct settings *settings, struct invocation *invocation, int argc, char **argv,
		   char error[SETTINGS_ERROR_SIZE]);

/*
 * Copies from fresh to settings what can be changed while the daemon runs.
 * Returns the name of a setting that differs and cannot, or NULL.
 */
const char *settings_reload(struct settings *settings, const struct settings *fresh);

/* The value of a setting that exists, as the file would have it; SETTING_TEXT_SIZE holds any. */
void settings_value(const struct settings *settings, const char *name, char *buf, size_t size);

void settings_print(const struct settings *settings, FILE *out);
/* lifetraced's whole; and the lines of a program's own settings. */
void settings_help(FILE *out);
void settings_help_of(enum reader reader, FILE *out);
/* The table as Markdown. */
void settings_document(FILE *out);

#endif
