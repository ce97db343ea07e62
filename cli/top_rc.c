// SPDX-License-Identifier: GPL-2.0-only
/* toprc: how top is looked at, kept below ~/.config/lifetrace. */
#include <errno.h>
#include <inttypes.h>
#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "files.h"
#include "top.h"

void toprc_defaults(struct top_settings *settings)
{
	*settings = (struct top_settings){ .delay_ns = TOP_DELAY_NS, .first = -1 };
	for (int view = 0; view < TOP_VIEWS; view++) {
		settings->looks[view].columns = column_set_shown(top_views[view].shown);
		settings->looks[view].sort = -1;
	}
}

/* ---- one line ---- */

static int set_flag(bool *flag, const char *value)
{
	*flag = !strcmp(value, "yes");
	return *flag || !strcmp(value, "no") ? 0 : -EINVAL;
}

static int set_delay(struct top_settings *settings, const char *value)
{
	uint64_t ns;

	if (text_parse_duration(value, &ns) || ns < TOP_DELAY_MIN_NS || ns > TOP_DELAY_MAX_NS)
		return -EINVAL;
	settings->delay_ns = ns;
	return 0;
}

static int set_colours(struct top_settings *settings, const char *value)
{
	for (int colours = 0; colours < TOP_COLOURS; colours++) {
		if (strcmp(top_colour_names[colours], value))
			continue;
		settings->colours = colours;
		return 0;
	}
	return -EINVAL;
}

static int set_first(struct top_settings *settings, const char *value)
{
	settings->first = strcmp(value, "auto") ? top_find_view(value) : -1;
	return settings->first >= 0 || !strcmp(value, "auto") ? 0 : -EINVAL;
}

static int set_kernel(struct top_settings *settings, const char *value)
{
	return set_flag(&settings->kernel, value);
}

static int set_columns(struct top_look *look, enum view_kind kind, const char *value)
{
	uint64_t set;

	if (column_set_parse(kind, value, &set))
		return -EINVAL;
	look->columns = set;
	return 0;
}

static int set_sort(struct top_look *look, enum view_kind kind, const char *value)
{
	int column = column_find(kind, value);

	if (column < 0 && strcmp(value, "auto"))
		return -EINVAL;
	look->sort = column;
	return 0;
}

static int set_reverse(struct top_look *look, enum view_kind kind, const char *value)
{
	(void)kind;
	return set_flag(&look->reverse, value);
}

static const struct {
	const char *name;
	int (*set)(struct top_settings *settings, const char *value);
} settings_names[] = {
	{ "delay", set_delay },
	{ "colours", set_colours },
	{ "view", set_first },
	{ "kernel", set_kernel },
};

static const struct {
	const char *name;
	int (*set)(struct top_look *look, enum view_kind kind, const char *value);
} look_names[] = {
	{ "columns", set_columns },
	{ "sort", set_sort },
	{ "reverse", set_reverse },
};

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

int toprc_set(struct top_settings *settings, const char *section, const char *name,
	      const char *value)
{
	int view = top_find_view(section);

	if (!*section) {
		for (size_t i = 0; i < ARRAY_SIZE(settings_names); i++)
			if (!strcmp(settings_names[i].name, name))
				return settings_names[i].set(settings, value);
	} else if (view >= 0 && !strcmp(top_views[view].name, section)) {
		for (size_t i = 0; i < ARRAY_SIZE(look_names); i++)
			if (!strcmp(look_names[i].name, name))
				return look_names[i].set(&settings->looks[view],
							 top_views[view].kind, value);
	}
	return -EINVAL;
}

/* ---- the file ---- */

/* False where there is no home to keep it in. */
static bool find_path(char path[PATH_MAX], bool make)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int len;

	if (config && *config == '/')
		len = snprintf(path, PATH_MAX, "%s", config);
	else if (home && *home == '/')
		len = snprintf(path, PATH_MAX, "%s/.config", home);
	else
		return false;
	if (len >= PATH_MAX - 32)
		return false;
	if (make)
		mkdir(path, 0700);
	strcat(path, "/lifetrace");
	if (make)
		mkdir(path, 0700);
	strcat(path, "/toprc");
	return true;
}

struct loading {
	struct top_settings *settings;
	char *wrong;
	size_t size;
};

static int on_line(void *user, const char *section, const char *name, const char *value)
{
	struct loading *loading = user;

	if (!toprc_set(loading->settings, section, name, value))
		return 1;
	if (!*loading->wrong)
		snprintf(loading->wrong, loading->size, "toprc: '%.40s = %.40s' is left out", name,
			 value);
	return 1;
}

int toprc_load(struct top_settings *settings, char *wrong, size_t size)
{
	struct loading loading = { settings, wrong, size };
	char path[PATH_MAX];
	int line;

	*wrong = '\0';
	if (!find_path(path, false))
		return 0;
	line = ini_parse(path, on_line, &loading);
	if (line > 0 && !*wrong)
		snprintf(wrong, size, "toprc: line %d is left out", line);
	return *wrong ? -EINVAL : 0;
}

static void write_columns(FILE *file, uint64_t set)
{
	const char *lead = "columns = ";

	for (int column = 0; column < COLUMN_COUNT; column++) {
		if (!(set & 1ULL << column))
			continue;
		fprintf(file, "%s%s", lead, column_infos[column].name);
		lead = ",";
	}
	fputc('\n', file);
}

static void write_settings(FILE *file, const struct top_settings *settings)
{
	char delay[64];

	text_format_duration(settings->delay_ns, delay, sizeof(delay));
	fprintf(file,
		"# lifetrace top: written by its F2\n"
		"delay = %s\ncolours = %s\nview = %s\nkernel = %s\n",
		delay, top_colour_names[settings->colours],
		settings->first < 0 ? "auto" : top_views[settings->first].name,
		settings->kernel ? "yes" : "no");
	for (int view = 0; view < TOP_VIEWS; view++) {
		const struct top_look *look = &settings->looks[view];

		if (!look->columns)
			continue;
		fprintf(file, "\n[%s]\n", top_views[view].name);
		write_columns(file, look->columns);
		fprintf(file, "sort = %s\nreverse = %s\n",
			look->sort < 0 ? "auto" : column_infos[look->sort].name,
			look->reverse ? "yes" : "no");
	}
}

int toprc_save(const struct top_settings *settings, char *path, size_t size)
{
	char to[PATH_MAX], *text = NULL;
	size_t len;
	FILE *file;
	int err;

	snprintf(path, size, "toprc");
	if (!find_path(to, true))
		return -ENOENT;
	snprintf(path, size, "%s", to);
	file = open_memstream(&text, &len);
	if (!file)
		return -errno;
	write_settings(file, settings);
	err = fclose(file) ? -errno : file_replace(to, 0666, text);
	free(text);
	return err;
}
