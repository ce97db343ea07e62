// SPDX-License-Identifier: GPL-2.0-only
/* The menus: how it is looked at (F2), sorted by (F6), and signals (F9). */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "top_ui.h"

/* ---- sorting ---- */

static void sort_chosen(struct ui *ui, int column)
{
	struct top_look *look = top_look(ui->top);

	if (look->sort == column)
		look->reverse = !look->reverse;
	else
		look->reverse = false;
	look->sort = column;
	top_ask_rows(ui->top);
}

void sort_show(struct ui *ui)
{
	const struct top_view_info *info = top_info(ui->top);
	const struct top_look *look = top_look(ui->top);
	int at = 0;

	menu_begin(ui, "Sort by", sort_chosen);
	for (int column = 0; column < COLUMN_COUNT; column++) {
		if (!(column_infos[column].has & info->kind))
			continue;
		if (look->sort == column)
			at = ui->menu.count;
		menu_add(ui, column, "%-14s %s", column_infos[column].name,
			 column_infos[column].help);
	}
	menu_show(ui, at);
}

/* ---- settings ---- */

enum setup { SETUP_DELAY = COLUMN_COUNT, SETUP_COLOURS, SETUP_KERNEL, SETUP_FIRST };

static void setup_fill(struct ui *ui);

static void setup_saved(struct ui *ui)
{
	char path[256];
	int err = toprc_save(&ui->top->settings, path, sizeof(path));

	if (err)
		top_say(ui->top, "%s: %s", path, strerror(-err));
	else
		top_say(ui->top, "kept in %s", path);
}

static void change_delay(struct top_settings *settings, int by)
{
	static const uint64_t steps[] = {
		100, 200, 500, 1000, 1500, 2000, 3000, 5000, 10000, 60000
	};
	int count = sizeof(steps) / sizeof(steps[0]), at = 0;

	while (at < count - 1 && steps[at] * NSEC_PER_MSEC < settings->delay_ns)
		at++;
	at += by;
	settings->delay_ns = steps[at < 0 ? 0 : at < count ? at : count - 1] * NSEC_PER_MSEC;
}

static void setup_changed(struct ui *ui, int arg, int by)
{
	struct top_settings *settings = &ui->top->settings;
	struct top_look *look = top_look(ui->top);
	uint64_t column;

	switch (arg) {
	case SETUP_DELAY:
		change_delay(settings, by);
		break;
	case SETUP_COLOURS:
		settings->colours = (settings->colours + TOP_COLOURS + by) % TOP_COLOURS;
		screen_set_colours(settings->colours);
		break;
	case SETUP_KERNEL:
		settings->kernel = !settings->kernel;
		break;
	case SETUP_FIRST: /* -1 is the last step of the round */
		settings->first = (settings->first + 1 + TOP_VIEWS + 1 + by) % (TOP_VIEWS + 1) - 1;
		break;
	default:
		column = 1ULL << arg;
		if (look->columns != column) /* one stays */
			look->columns ^= column;
	}
	setup_fill(ui);
	top_ask_rows(ui->top);
}

static void setup_chosen(struct ui *ui, int arg)
{
	setup_changed(ui, arg, 1);
}

/* Anew, and where it was. */
static void setup_fill(struct ui *ui)
{
	const struct top_settings *settings = &ui->top->settings;
	const struct top_view_info *info = top_info(ui->top);
	int at = ui->menu.closed == setup_saved ? ui->menu.at : 0;
	char delay[64];

	text_format_duration(settings->delay_ns, delay, sizeof(delay));
	menu_begin(ui, "Setup: Space or Left and Right change, F10 keeps it", setup_chosen);
	ui->menu.changed = setup_changed;
	ui->menu.closed = setup_saved;
	menu_add(ui, SETUP_DELAY, "delay          %s", delay);
	menu_add(ui, SETUP_COLOURS, "colours        %s", top_colour_names[settings->colours]);
	menu_add(ui, SETUP_KERNEL, "kernel threads %s", settings->kernel ? "yes" : "no");
	menu_add(ui, SETUP_FIRST, "begins with    %s",
		 settings->first < 0 ? "zombies, if there are any" :
				       top_views[settings->first].name);
	for (int column = 0; column < COLUMN_COUNT; column++)
		if (column_infos[column].has & info->kind)
			menu_add(ui, column, "[%c] %-14s %s",
				 top_look(ui->top)->columns & 1ULL << column ? 'x' : ' ',
				 column_infos[column].name, column_infos[column].help);
	menu_show(ui, at);
}

void setup_show(struct ui *ui)
{
	ui->menu.closed = NULL;
	setup_fill(ui);
}

/* ---- signals ---- */

/* Field 22 of /proc/PID/stat: whoever has the pid now may be another. */
static bool is_still(const struct target *target)
{
	unsigned long long ticks = 0;
	char path[64], stat[1024];
	const char *end;
	size_t len = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", target->pid);
	file = fopen(path, "re");
	if (file) {
		len = fread(stat, 1, sizeof(stat) - 1, file);
		fclose(file);
	}
	stat[len] = '\0';
	end = strrchr(stat, ')');
	if (!end || sscanf(end + 1,
			   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d"
			   " %*d %*d %*d %*d %llu",
			   &ticks) != 1)
		return false;
	return ticks == target->start_ns / (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* The descriptor holds on to the process: what is looked at is what is hit. */
static void send_signal(struct ui *ui)
{
	const struct target *target = &ui->target;
	int fd = (int)syscall(SYS_pidfd_open, (pid_t)target->pid, 0);
	char name[16];

	text_signal(target->signal, name, sizeof(name));
	if (fd < 0 || !is_still(target))
		top_say(ui->top, "%" PRIu64 " is gone", target->pid);
	else if (syscall(SYS_pidfd_send_signal, fd, target->signal, NULL, 0))
		top_say(ui->top, "%s to %" PRIu64 ": %s", name, target->pid, strerror(errno));
	else
		top_say(ui->top, "%s was sent to %" PRIu64, name, target->pid);
	if (fd >= 0)
		close(fd);
}

static void signal_chosen(struct ui *ui, int signal_number)
{
	char name[16];

	ui->target.signal = signal_number;
	text_signal(signal_number, name, sizeof(name));
	question_show(ui, send_signal, "Send %s to %" PRIu64 " (%s)?", name, ui->target.pid,
		      ui->target.name);
}

/* The dead hear nothing: of a zombie it is the parent. */
static bool choose_target(struct ui *ui, const json_t *row)
{
	const char *state = json_string_value(json_object_get(row, "state")) ?: "";
	bool parent = !strcmp(state, "zombie");
	const char *id = parent ? json_string_value(json_object_get(row, "parent_id")) :
				  top_row_id(ui->top, row);
	char comm[CELL_SIZE];

	if (text_parse_id(id ? id : "", &ui->target.pid, &ui->target.start_ns))
		return false;
	snprintf(ui->target.name, sizeof(ui->target.name), "%s%.40s",
		 parent ? "the zombie's parent " : "",
		 member(row, parent ? "parent_comm" : "comm", comm));
	return true;
}

void signals_show(struct ui *ui)
{
	static const int first[] = { SIGTERM, SIGKILL, SIGCHLD, SIGHUP, SIGINT, SIGSTOP, SIGCONT };
	char name[16];

	if (ui->top->feed->player) {
		top_say(ui->top, "nobody of a recording can be sent a signal");
		return;
	}
	if (!choose_target(ui, top_selected(ui->top))) {
		top_say(ui->top, "nobody is selected");
		return;
	}
	menu_begin(ui, "Send a signal", signal_chosen);
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		text_signal(first[i], name, sizeof(name));
		menu_add(ui, first[i], "%2d %s", first[i], name);
	}
	for (int number = 1; number < 32; number++) {
		bool is_first = false;

		for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
			is_first |= first[i] == number;
		text_signal(number, name, sizeof(name));
		if (!is_first)
			menu_add(ui, number, "%2d %s", number, name);
	}
	menu_show(ui, 0);
}
