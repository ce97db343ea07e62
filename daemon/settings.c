// SPDX-License-Identifier: GPL-2.0-only
#include "settings.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <ini.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/text.h"

enum type {
	TEXT,
	DURATION,
	SIZE,
	COUNT,
	SYSCALL_HOOKS,
	BEST_HOOK,
	COW_SET,
	SWITCH,
	CONFINE,
	TYPES
};

#define WORDS_MAX 4

/* Types that are one of some words, in the order of their enum. */
static const char *const choices[TYPES][WORDS_MAX + 1] = {
	[SYSCALL_HOOKS] = { "auto", "always", "off" },
	[BEST_HOOK] = { "fentry", "kprobe", "tracepoint" },
	[COW_SET] = { "auto", "off", "faults", "copies" },
	[SWITCH] = { "off", "on" },
	[CONFINE] = { "auto", "on", "off" },
};

struct setting {
	const char *name;
	enum type type;
	size_t offset, size;
	const char *preset;
	uint64_t min, max;
	bool reloads;
	const char *help;
	enum reader reader;
};

#define AT(field) offsetof(struct settings, field), sizeof(((struct settings *)0)->field)
#define ANY 0, UINT64_MAX
#define S NSEC_PER_SEC
#define MS NSEC_PER_MSEC

static const struct setting table[] = {
	{ "socket", TEXT, AT(socket), "/run/lifetrace/lifetraced.sock", ANY, false,
	  "unix socket that answers", BY_BOTH },
	{ "metrics_listen", TEXT, AT(metrics_listen), "", ANY, false,
	  "TCP port or ADDRESS:PORT that answers /metrics and /healthz, and nothing else; a port alone is of 127.0.0.1",
	  BY_DAEMON },
	{ "group", TEXT, AT(group), "lifetrace", ANY, false,
	  "besides root, members of this group see every process's arguments", BY_DAEMON },
	{ "zombie_age", DURATION, AT(zombie_age_ns), "10s", MS, UINT64_MAX, true,
	  "a zombie older than this is flagged", BY_DAEMON },
	{ "leak_count", COUNT, AT(leak_count), "5", 1, UINT32_MAX, true,
	  "a parent with so many flagged zombies leaks", BY_DAEMON },
	{ "leak_age", DURATION, AT(leak_age_ns), "5m", MS, UINT64_MAX, true,
	  "and so does one with any zombie older than this", BY_DAEMON },
	{ "leak_settle", DURATION, AT(leak_settle_ns), "30s", ANY, true,
	  "a leak closes when it has held less than half of leak_count for so long", BY_DAEMON },
	{ "ignore_comm", TEXT, AT(ignore_comm), "", ANY, true,
	  "parents that never leak, by name: globs, comma-separated", BY_DAEMON },
	{ "ignore_unit", TEXT, AT(ignore_unit), "", ANY, true,
	  "parents that never leak, by systemd unit: globs, comma-separated", BY_DAEMON },
	{ "alert_flagged", COUNT, AT(alert_flagged), "50", ANY, true,
	  "an alert fires when more zombies than this are flagged; 0: never", BY_DAEMON },
	{ "alert_forks", COUNT, AT(alert_forks), "0", ANY, true,
	  "an alert fires when more processes than this are born a second, for alert_forks_for; 0: never",
	  BY_DAEMON },
	{ "alert_forks_for", DURATION, AT(alert_forks_for_ns), "30s", ANY, true, "see alert_forks",
	  BY_DAEMON },
	{ "alert_pids_within", DURATION, AT(alert_pids_within_ns), "1d", ANY, true,
	  "an alert fires when a leak leaves no pids within so long; 0: never", BY_DAEMON },
	{ "alert_settle", DURATION, AT(alert_settle_ns), "1m", ANY, true,
	  "an alert of the host is over when its condition has not held for so long", BY_DAEMON },
	{ "silences", TEXT, AT(silences), "/var/lib/lifetrace/silences.json", ANY, false,
	  "file that keeps silences across a restart; empty: none does", BY_DAEMON },
	{ "reaped_keep", DURATION, AT(reaped_keep_ns), "1m", ANY, true,
	  "how long a reaped process is remembered", BY_DAEMON },
	{ "repair_interval", DURATION, AT(repair_interval_ns), "30s", 100 * MS, UINT64_MAX, true,
	  "how often the table is compared with the kernel's", BY_DAEMON },
	{ "batch", DURATION, AT(batch_ns), "50ms", ANY, true,
	  "how long events may gather in the ring", BY_DAEMON },
	{ "ring_size", SIZE, AT(ring_bytes), "16M", 4096, 1 << 30, false,
	  "bytes of the ring, a power of two", BY_DAEMON },
	{ "memory_max", SIZE, AT(memory_max_bytes), "64M", 64 << 10, UINT64_MAX, true,
	  "most bytes of the table; the longest reaped go first", BY_DAEMON },
	{ "stream_buffer", SIZE, AT(stream_buffer_bytes), "64M", 4096, 1 << 30, true,
	  "a client that is so far behind in its stream is dropped; those that are not root's share it",
	  BY_DAEMON },
	{ "client_timeout", DURATION, AT(client_timeout_ns), "10s", S, 3600 * S, false,
	  "a client that is silent for so long in mid-request is dropped", BY_DAEMON },
	{ "client_max", COUNT, AT(client_max), "256", 4, 10000, false, "most clients at a time",
	  BY_DAEMON },
	{ "syscall_hooks", SYSCALL_HOOKS, AT(syscall_hooks), "auto", ANY, true,
	  "fork costs and wait results by system call tracepoints, where nothing better is allowed: "
	  "auto (while a zombie is flagged or somebody asks), always, off",
	  BY_DAEMON },
	{ "best_hook", BEST_HOOK, AT(best_hook), "fentry", ANY, false,
	  "best kind of kernel hook to use where it is allowed: fentry, kprobe, tracepoint",
	  BY_DAEMON },
	{ "cow", COW_SET, AT(cow), "auto", ANY, false,
	  "what observes copy-on-write: auto (copies, else faults), off, faults, copies",
	  BY_DAEMON },
	{ "cow_max", COUNT, AT(cow_max), "16384", 16, 1 << 20, false,
	  "most processes whose copy-on-write is counted; the longest idle goes first", BY_DAEMON },
	{ "exit_handlers", SWITCH, AT(exit_handlers), "off", ANY, false,
	  "on: exit() is told from _exit(), and what its handlers take, by uprobes on C libraries",
	  BY_DAEMON },
	{ "pin_dir", TEXT, AT(pin_dir), "", ANY, false,
	  "directory in a bpf file system: what is observed, and known, outlives the daemon there",
	  BY_DAEMON },
	{ "journal_dir", TEXT, AT(journal_dir), "/run/lifetrace/journal", ANY, false,
	  "with pin_dir: the directory, best in memory, of the files that what is known is kept in",
	  BY_DAEMON },
	{ "heartbeat", DURATION, AT(heartbeat_ns), "1m", S, UINT64_MAX / 4, true,
	  "pinned programs do nothing more when no daemon has been heard of for so long",
	  BY_DAEMON },
	{ "on_alert", TEXT, AT(on_alert), "", ANY, false,
	  "command for the shell that gets each alert, at its begin and its end, as JSON on its standard input",
	  BY_ALERT },
	{ "on_alert_max", COUNT, AT(on_alert_max), "4", 1, 1000, false,
	  "most such commands at a time", BY_ALERT },
	{ "on_alert_timeout", DURATION, AT(on_alert_timeout_ns), "30s", MS, 86400 * S, false,
	  "one that runs for longer is killed", BY_ALERT },
	{ "alertmanager_url", TEXT, AT(alertmanager_url), "", ANY, false,
	  "Alertmanagers that get the alerts, each: http or https URLs, comma-separated",
	  BY_ALERT },
	{ "alertmanager_user", TEXT, AT(alertmanager_user), "", ANY, false, "user name for these",
	  BY_ALERT },
	{ "alertmanager_password_file", TEXT, AT(alertmanager_password_file), "", ANY, false,
	  "file whose first line is the password", BY_ALERT },
	{ "alertmanager_ca", TEXT, AT(alertmanager_ca), "", ANY, false,
	  "certificates that are trusted for https, instead of the system's", BY_ALERT },
	{ "alertmanager_interval", DURATION, AT(alertmanager_interval_ns), "1m", S, 86400 * S,
	  false, "what fires is sent again so often", BY_ALERT },
	{ "alert_queue", TEXT, AT(alert_queue), "/var/lib/lifetrace-alert/queue.json", ANY, false,
	  "file of what is to be delivered; empty: none", BY_ALERT },
	{ "alert_queue_max", COUNT, AT(alert_queue_max), "1000", 1, 100000, false,
	  "most alerts that wait; what is over gives way first", BY_ALERT },
	{ "stacks", SWITCH, AT(stacks), "off", ANY, false,
	  "on: of parents that hold a flagged zombie, where each further child is forked (leaks --stacks)",
	  BY_DAEMON },
	{ "confine", CONFINE, AT(confine), "auto", ANY, false,
	  "rights, files and system calls that are needed no more once all is set up are given up: "
	  "auto (unless root), on, off",
	  BY_DAEMON },
	{ "btf", TEXT, AT(btf), "", ANY, false,
	  "BTF of the running kernel, where it brings none of its own", BY_DAEMON },
};

#define SETTINGS (sizeof(table) / sizeof(table[0]))

static void *field(const struct setting *setting, const struct settings *settings)
{
	return (char *)settings + setting->offset;
}

static int parse_word(enum type type, const char *value, uint64_t *number)
{
	for (uint64_t i = 0; choices[type][i]; i++)
		if (!strcmp(choices[type][i], value)) {
			*number = i;
			return 0;
		}
	return -EINVAL;
}

static int set_number(const struct setting *setting, struct settings *settings, const char *value)
{
	uint64_t number = 0;
	int err;

	if (setting->type == DURATION)
		err = text_parse_duration(value, &number);
	else if (setting->type == SIZE)
		err = text_parse_size(value, &number);
	else if (setting->type == COUNT)
		err = text_parse_number(value, UINT64_MAX, &number);
	else
		err = parse_word(setting->type, value, &number);
	if (err || number < setting->min || number > setting->max)
		return -EINVAL;
	memcpy(field(setting, settings), &number, sizeof(number));
	return 0;
}

static int set_value(const struct setting *setting, struct settings *settings, const char *value)
{
	if (setting->type != TEXT)
		return set_number(setting, settings, value);
	if (strlen(value) >= setting->size)
		return -EINVAL;
	strcpy(field(setting, settings), value);
	return 0;
}

static void format(const struct setting *setting, uint64_t number, char *buf, size_t size)
{
	if (setting->type == DURATION)
		text_format_duration(number, buf, size);
	else if (setting->type == SIZE)
		text_format_size(number, buf, size);
	else if (setting->type == COUNT)
		snprintf(buf, size, "%" PRIu64, number);
	else
		snprintf(buf, size, "%s", choices[setting->type][number]);
}

/* "auto, on or off" */
static const char *expected_words(const char *const *words, char *buf, size_t size)
{
	size_t used = 0;

	for (int i = 0; words[i] && used < size; i++)
		used += (size_t)snprintf(buf + used, size - used, "%s%s",
					 !i	      ? "" :
					 words[i + 1] ? ", " :
							" or ",
					 words[i]);
	return buf;
}

static const char *expected(const struct setting *setting, char *buf, size_t size)
{
	static const char *const what[] = {
		[TEXT] = "a shorter text",
		[DURATION] = "a duration such as 250ms, 10s or 1m30s",
		[SIZE] = "a size such as 4096, 64k or 8M",
		[COUNT] = "a whole number",
	};
	char min[64], max[64];

	if (*choices[setting->type])
		return expected_words(choices[setting->type], buf, size);
	if (setting->type == TEXT || (setting->min == 0 && setting->max == UINT64_MAX))
		return what[setting->type];
	format(setting, setting->min, min, sizeof(min));
	if (setting->max == UINT64_MAX) {
		snprintf(buf, size, "%s, at least %s", what[setting->type], min);
	} else {
		format(setting, setting->max, max, sizeof(max));
		snprintf(buf, size, "%s, from %s to %s", what[setting->type], min, max);
	}
	return buf;
}

/* Dashes and underscores are the same. */
static bool same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !(*a == '_' && *b == '-') && !(*a == '-' && *b == '_'))
			return false;
	return *a == *b;
}

static const struct setting *find(const char *name)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if (same_name(table[i].name, name))
			return &table[i];
	return NULL;
}

int settings_set(struct settings *settings, const char *name, const char *value,
		 char error[SETTINGS_ERROR_SIZE])
{
	const struct setting *setting = find(name);
	char buf[256];

	if (!setting) {
		snprintf(error, SETTINGS_ERROR_SIZE, "unknown setting '%.64s'", name);
		return -EINVAL;
	}
	if (set_value(setting, settings, value)) {
		snprintf(error, SETTINGS_ERROR_SIZE, "%s: '%.64s' is not %s", setting->name, value,
			 expected(setting, buf, sizeof(buf)));
		return -EINVAL;
	}
	return 0;
}

/* What no single setting can check. */
static int check(const struct settings *settings, char error[SETTINGS_ERROR_SIZE])
{
	if (settings->ring_bytes & (settings->ring_bytes - 1)) {
		snprintf(error, SETTINGS_ERROR_SIZE, "ring_size: %" PRIu64 " is not a power of two",
			 settings->ring_bytes);
		return -EINVAL;
	}
	if (!*settings->socket) {
		snprintf(error, SETTINGS_ERROR_SIZE, "socket: the path is empty");
		return -EINVAL;
	}
	return 0;
}

void settings_defaults(struct settings *settings)
{
	char error[SETTINGS_ERROR_SIZE];

	memset(settings, 0, sizeof(*settings));
	for (size_t i = 0; i < SETTINGS; i++)
		settings_set(settings, table[i].name, table[i].preset, error);
}

/* ---- the file ---- */

#define LINE_MAX_BYTES 160 /* inih takes 200 */

struct loading {
	struct settings *settings;
	FILE *file;
	char *error;
	bool named;	/* a setting came since the section began */
	bool continues; /* the line goes on with the one before */
};

static bool is_known_section(const char *name, size_t len)
{
	return len == strlen("lifetraced") && !memcmp(name, "lifetraced", len);
}

/* inih tells of no section that has no settings: they are judged here. */
static char *read_line(char *buf, int size, void *user)
{
	struct loading *loading = user;
	const char *start;
	size_t len;

	if (*loading->error || !fgets(buf, size, loading->file))
		return NULL;
	len = strlen(buf);
	if (len + 1 == (size_t)size && buf[len - 1] != '\n')
		snprintf(loading->error, SETTINGS_ERROR_SIZE,
			 "longer than %d bytes; a text may go on in the next line, indented",
			 size - 2);
	start = buf + strspn(buf, " \t");
	loading->named = loading->named && *start != '[';
	loading->continues = loading->named && start > buf;
	len = strcspn(start, "]");
	if (*start == '[' && start[len] && !is_known_section(start + 1, len - 1))
		snprintf(loading->error, SETTINGS_ERROR_SIZE, "unknown section '%.*s'",
			 (int)(len - 1 < 64 ? len - 1 : 64), start + 1);
	return *loading->error ? strcpy(buf, "=") : buf; /* so that inih names the line */
}

/* More of a text: `ignore_comm = a,` and then, indented, `b`. */
static int continue_value(struct settings *settings, const char *name, const char *value,
			  char *error)
{
	const struct setting *setting = find(name);
	char *text;

	if (!setting || setting->type != TEXT) {
		snprintf(error, SETTINGS_ERROR_SIZE, "an indented line, but '%.64s' is no text",
			 name);
		return -EINVAL;
	}
	text = field(setting, settings);
	if (strlen(text) + strlen(value) >= setting->size) {
		snprintf(error, SETTINGS_ERROR_SIZE, "%s: not a shorter text", setting->name);
		return -EINVAL;
	}
	strcat(text, value);
	return 0;
}

static int take_line(void *user, const char *section, const char *name, const char *value)
{
	struct loading *loading = user;

	(void)section;
	if (*loading->error)
		return 0;
	loading->named = true;
	if (loading->continues)
		return !continue_value(loading->settings, name, value, loading->error);
	return !settings_set(loading->settings, name, value, loading->error);
}

static int load_file(struct settings *settings, const char *path, char error[SETTINGS_ERROR_SIZE])
{
	struct loading loading = { .settings = settings, .error = error };
	char words[SETTINGS_ERROR_SIZE];
	struct stat stat;
	FILE *file;
	int line;

	*error = '\0';
	file = fopen(path, "re");
	if (!file || fstat(fileno(file), &stat) || !S_ISREG(stat.st_mode)) {
		snprintf(error, SETTINGS_ERROR_SIZE, "%.256s: %s", path,
			 file ? "not a file" : strerror(errno));
		if (file)
			fclose(file);
		return -EINVAL;
	}
	loading.file = file;
	line = ini_parse_stream(read_line, &loading, take_line, &loading);
	fclose(file);
	if (!line && !check(settings, error))
		return 0;
	strcpy(words, *error ? error : "neither a section, a setting nor a comment");
	if (line)
		snprintf(error, SETTINGS_ERROR_SIZE, "%.200s:%d: %.256s", path, line, words);
	else
		snprintf(error, SETTINGS_ERROR_SIZE, "%.200s: %.256s", path, words);
	return -EINVAL;
}

/* ---- drop-ins ---- */

static int is_drop_in(const struct dirent *entry)
{
	return !fnmatch("*.conf", entry->d_name, FNM_PERIOD);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* conf.d beside the file; whoever has none needs none. */
static int load_drop_ins(struct settings *settings, const char *path,
			 char error[SETTINGS_ERROR_SIZE])
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX], file[PATH_MAX + NAME_MAX + 2];
	struct dirent **entries;
	int count, err = 0;

	snprintf(dir, sizeof(dir), "%.*sconf.d", slash ? (int)(slash + 1 - path) : 0, path);
	count = scandir(dir, &entries, is_drop_in, by_name);
	if (count < 0 && errno != ENOENT && errno != ENOTDIR) {
		snprintf(error, SETTINGS_ERROR_SIZE, "%.256s: %s", dir, strerror(errno));
		return -EINVAL;
	}
	for (int i = 0; i < count; i++) {
		snprintf(file, sizeof(file), "%s/%s", dir, entries[i]->d_name);
		if (!err)
			err = load_file(settings, file, error);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return err;
}

int settings_load(struct settings *settings, const char *path, char error[SETTINGS_ERROR_SIZE])
{
	int err = load_file(settings, path, error);

	return err ? err : load_drop_ins(settings, path, error);
}

/* ---- the command line ---- */

enum {
	OPT_CONFIG = 1000,
	OPT_PRINT_CONFIG,
	OPT_DOCUMENT,
	OPT_METRICS,
	OPT_LIFELINE,
	OPT_DETACH_ALL,
	OPT_DETACH_STALE,
	OPT_HELP,
	OPT_VERSION
};

static const struct option fixed_options[] = {
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "print-config", no_argument, NULL, OPT_PRINT_CONFIG },
	{ "document-settings", no_argument, NULL, OPT_DOCUMENT },
	{ "document-metrics", no_argument, NULL, OPT_METRICS },
	{ "lifeline", required_argument, NULL, OPT_LIFELINE },
	{ "detach-all", no_argument, NULL, OPT_DETACH_ALL },
	{ "detach-stale", no_argument, NULL, OPT_DETACH_STALE },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
};

#define FIXED (sizeof(fixed_options) / sizeof(fixed_options[0]))

/* Option i of the table has val i; its name has dashes. */
static void build_options(struct option options[SETTINGS + FIXED + 1], char names[SETTINGS][32])
{
	for (size_t i = 0; i < SETTINGS; i++) {
		snprintf(names[i], sizeof(names[i]), "%s", table[i].name);
		for (char *p = names[i]; *p; p++)
			*p = *p == '_' ? '-' : *p;
		options[i] = (struct option){ names[i], required_argument, NULL, (int)i };
	}
	memcpy(options + SETTINGS, fixed_options, sizeof(fixed_options));
	options[SETTINGS + FIXED] = (struct option){ 0 };
}

static int take_fixed(struct invocation *invocation, int option, char error[SETTINGS_ERROR_SIZE])
{
	uint64_t fd;

	switch (option) {
	case OPT_CONFIG:
		invocation->config = optarg;
		break;
	case OPT_PRINT_CONFIG:
		invocation->what = PRINT_CONFIG;
		break;
	case OPT_DOCUMENT:
		invocation->what = DOCUMENT;
		break;
	case OPT_METRICS:
		invocation->what = DOCUMENT_METRICS;
		break;
	case OPT_DETACH_ALL:
		invocation->what = DETACH_ALL;
		break;
	case OPT_DETACH_STALE:
		invocation->what = DETACH_STALE;
		break;
	case OPT_HELP:
		invocation->what = SHOW_HELP;
		break;
	case OPT_VERSION:
		invocation->what = SHOW_VERSION;
		break;
	case OPT_LIFELINE:
		if (text_parse_number(optarg, INT32_MAX, &fd)) {
			snprintf(error, SETTINGS_ERROR_SIZE,
				 "--lifeline: '%.64s' is not a descriptor", optarg);
			return -EINVAL;
		}
		invocation->lifeline = (int)fd;
		break;
	}
	return 0;
}

int settings_parse(struct settings *settings, struct invocation *invocation, int argc, char **argv,
		   char error[SETTINGS_ERROR_SIZE])
{
	struct option options[SETTINGS + FIXED + 1];
	char names[SETTINGS][32];
	int option, err = 0, at = 1; /* at: the word that getopt looks at */

	build_options(options, names);
	*invocation = (struct invocation){ .lifeline = -1 };
	optind = 0;
	for (; !err && (option = getopt_long(argc, argv, "+:", options, NULL)) != -1; at = optind) {
		if (option == '?' || option == ':') {
			snprintf(error, SETTINGS_ERROR_SIZE, "%s '%.64s'",
				 option == ':' ? "no value for option" : "unknown option",
				 argv[at]);
			return -EINVAL;
		}
		if (option < (int)SETTINGS)
			err = settings_set(settings, table[option].name, optarg, error);
		else
			err = take_fixed(invocation, option, error);
	}
	if (!err && optind < argc) {
		snprintf(error, SETTINGS_ERROR_SIZE, "unexpected word '%.64s'", argv[optind]);
		err = -EINVAL;
	}
	return err ? err : check(settings, error);
}

/* ---- reload and print ---- */

const char *settings_reload(struct settings *settings, const struct settings *fresh)
{
	const char *stays = NULL;

	for (size_t i = 0; i < SETTINGS; i++) {
		void *old = field(&table[i], settings);
		const void *new = field(&table[i], fresh);
		bool same = table[i].type == TEXT ? !strcmp(old, new) : !memcmp(old, new, 8);

		if (same)
			continue;
		if (table[i].reloads)
			memcpy(old, new, table[i].size);
		else
			stays = table[i].name;
	}
	return stays;
}

static void value_text(const struct setting *setting, const struct settings *settings, char *buf,
		       size_t size)
{
	uint64_t number;

	if (setting->type == TEXT) {
		snprintf(buf, size, "%s", (const char *)field(setting, settings));
		return;
	}
	memcpy(&number, field(setting, settings), sizeof(number));
	format(setting, number, buf, size);
}

void settings_value(const struct settings *settings, const char *name, char *buf, size_t size)
{
	value_text(find(name), settings, buf, size);
}

static bool may_break(char before, char after)
{
	return !strchr(" \t;#", before) && !strchr(" \t;#", after);
}

/* In lines that the file may have. */
static void print_value(const char *value, FILE *out)
{
	int column = 0;

	for (; *value; value++) {
		fputc(*value, out);
		if (++column >= LINE_MAX_BYTES && value[1] && may_break(*value, value[1])) {
			fputs("\n  ", out);
			column = 0;
		}
	}
	fputc('\n', out);
}

/* Where settings of all programs are told, this says whose one is. */
static const char *prefix_of(const struct setting *setting)
{
	return setting->reader == BY_ALERT ? "lifetrace-alert: " : "";
}

void settings_print(const struct settings *settings, FILE *out)
{
	char value[SETTING_TEXT_SIZE];

	for (size_t i = 0; i < SETTINGS; i++) {
		value_text(&table[i], settings, value, sizeof(value));
		fprintf(out, "# %s%s\n%s = ", prefix_of(&table[i]), table[i].help, table[i].name);
		print_value(value, out);
	}
}

static void help_setting(const struct setting *setting, const char *name, enum reader reader,
			 FILE *out)
{
	static const char *const argument[] = {
		[TEXT] = "TEXT",     [DURATION] = "DURATION",  [SIZE] = "SIZE",
		[COUNT] = "N",	     [SYSCALL_HOOKS] = "WHEN", [BEST_HOOK] = "KIND",
		[COW_SET] = "WHICH", [SWITCH] = "on|off",      [CONFINE] = "WHEN",
	};
	bool by_sighup = setting->reloads || reader == BY_ALERT;
	char left[64];

	snprintf(left, sizeof(left), "--%s %s", name, argument[setting->type]);
	fprintf(out, "  %-27s %s%s%s%s%s%s\n", left, reader == BY_ALERT ? "" : prefix_of(setting),
		setting->help, *setting->preset ? " [" : "", setting->preset,
		*setting->preset ? "]" : "", by_sighup ? "" : " (not by SIGHUP)");
}

void settings_help_of(enum reader reader, FILE *out)
{
	struct option options[SETTINGS + FIXED + 1];
	char names[SETTINGS][32];

	build_options(options, names);
	for (size_t i = 0; i < SETTINGS; i++)
		if (reader != BY_ALERT || table[i].reader != BY_DAEMON)
			help_setting(&table[i], names[i], reader, out);
}

void settings_help(FILE *out)
{
	fprintf(out,
		"Usage: lifetraced [--config FILE] [OPTION …]\n\n"
		"Follows every process's life and flags zombies that nobody reaps.\n"
		"Runs in the foreground; `lifetrace` asks it.\n\n"
		"  --config FILE               read settings from an INI file, and from conf.d/*.conf beside it\n"
		"  --print-config              print the settings in force and exit\n"
		"  --detach-all                take out of the kernel what is pinned, and exit\n"
		"  --detach-stale              the same, if no daemon was heard of for longer than\n"
		"                              its heartbeat\n"
		"  --help, --version\n\n"
		"Settings (in the file: name = value, underscores for dashes):\n");
	settings_help_of(BY_DAEMON, out);
	fprintf(out, "\nExamples:\n"
		     "  lifetraced --zombie-age 2s --leak-count 3\n"
		     "  lifetraced --config /etc/lifetrace/lifetraced.conf --print-config\n");
}

void settings_document(FILE *out)
{
	fprintf(out,
		"# Settings of lifetraced\n\n"
		"In the file as `name = value`, on the command line as `--name value` with dashes\n"
		"for underscores. Written by `lifetraced --document-settings`.\n\n");
	fprintf(out, "| setting | default | what it is | SIGHUP |\n| --- | --- | --- | --- |\n");
	for (size_t i = 0; i < SETTINGS; i++)
		fprintf(out, "| `%s` | `%s` | %s%s | %s |\n", table[i].name,
			*table[i].preset ? table[i].preset : "(none)", prefix_of(&table[i]),
			table[i].help, table[i].reloads ? "yes" : "no");
}
