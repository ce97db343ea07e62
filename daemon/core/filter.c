// SPDX-License-Identifier: GPL-2.0-only
/* Which rows and lines somebody asked for. */
#include "life.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "view.h"

static int set_pid(struct filter *filter, const char *value)
{
	filter->has_pid = true;
	if (text_parse_number(value, INT32_MAX, &filter->pid) || !filter->pid)
		return -EINVAL;
	return 0;
}

static int set_uid(struct filter *filter, const char *value)
{
	filter->has_uid = true;
	return text_parse_number(value, UINT32_MAX, &filter->uid);
}

static int set_older(struct filter *filter, const char *value)
{
	return text_parse_duration(value, &filter->older_ns);
}

static int set_count(struct filter *filter, const char *value)
{
	return text_parse_number(value, UINT64_MAX, &filter->count);
}

static int set_text(char *field, const char *value)
{
	if (!*value || strlen(value) >= FILTER_TEXT_SIZE)
		return -EINVAL;
	strcpy(field, value);
	return 0;
}

static int set_comm(struct filter *filter, const char *value)
{
	return set_text(filter->comm, value);
}

static int set_unit(struct filter *filter, const char *value)
{
	return set_text(filter->unit, value);
}

static int set_container(struct filter *filter, const char *value)
{
	return set_text(filter->container, value);
}

static int set_flag(bool *flag, const char *value)
{
	if (value && *value && strcmp(value, "1"))
		return -EINVAL;
	*flag = true;
	return 0;
}

static int set_kernel(struct filter *filter, const char *value)
{
	return set_flag(&filter->kernel, value);
}

static int set_all(struct filter *filter, const char *value)
{
	return set_flag(&filter->all, value);
}

static int set_kind(struct filter *filter, const char *value)
{
	char names[FILTER_TEXT_SIZE], *save = NULL;

	if (set_text(names, value))
		return -EINVAL;
	for (char *name = strtok_r(names, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		unsigned kind = 0;

		while (kind < CHANGE_KINDS && strcmp(change_names[kind], name))
			kind++;
		if (kind == CHANGE_KINDS)
			return -EINVAL;
		filter->kinds |= 1U << kind;
	}
	return filter->kinds ? 0 : -EINVAL;
}

static int set_raw_cow(struct filter *filter, const char *value)
{
	if (text_parse_number(value, INT32_MAX, &filter->raw_cow) || !filter->raw_cow)
		return -EINVAL;
	return 0;
}

static int set_sort(struct filter *filter, const char *value)
{
	filter->sort = 0;
	while (filter->sort < COW_SORT_COUNT && strcmp(cow_sort_names[filter->sort], value))
		filter->sort++;
	return filter->sort < COW_SORT_COUNT ? 0 : -EINVAL;
}

#define VIEW_ROWS (VIEW_ZOMBIES | VIEW_PROCESSES | VIEW_COW)
#define VIEW_ANY (VIEW_ROWS | VIEW_EVENTS)

const struct filter_option filter_options[] = {
	{ "pid", "PID", "this process only", VIEW_ANY | VIEW_TREE, set_pid },
	{ "comm", "GLOB", "processes of this name", VIEW_ANY, set_comm },
	{ "uid", "UID", "processes of this user", VIEW_ANY, set_uid },
	{ "unit", "GLOB", "processes of this systemd unit", VIEW_ANY, set_unit },
	{ "container", "PREFIX", "processes of this container", VIEW_ANY, set_container },
	{ "kernel", NULL, "kernel threads too", VIEW_ANY | VIEW_TREE, set_kernel },
	{ "older", "DURATION", "only what is older (a zombie: for longer a zombie)", VIEW_ROWS,
	  set_older },
	{ "all", NULL, "also what was reaped a while ago and is still remembered", VIEW_PROCESSES,
	  set_all },
	{ "all", NULL, "also forks that are over and copied less than 1 MiB", VIEW_COW, set_all },
	{ "sort", "KEY", "copied, parent, child, reuses, share, rate, shared or begin", VIEW_COW,
	  set_sort },
	{ "raw-cow", "PID", "every COW fault of this process, too", VIEW_EVENTS, set_raw_cow },
	{ "kind", "KIND[,KIND]", "only lines of these kinds", VIEW_EVENTS, set_kind },
	{ "count", "N", "end after N lines", VIEW_EVENTS, set_count },
};

const size_t filter_option_count = sizeof(filter_options) / sizeof(filter_options[0]);

int filter_set(struct filter *filter, enum view_kind view, const char *name, const char *value)
{
	for (size_t i = 0; i < filter_option_count; i++) {
		const struct filter_option *option = &filter_options[i];

		if (strcmp(option->name, name) || !(option->views & view))
			continue;
		if (option->argument && !value)
			return -EINVAL;
		return option->set(filter, value);
	}
	return -ENOENT;
}

bool filter_life(const struct filter *filter, const struct life *life)
{
	const struct cgroup_info *cgroup = life->cgroup;

	if (life->flags & LT_LIFE_KERNEL && !filter->kernel)
		return false;
	if (filter->has_pid && life->id.pid != filter->pid)
		return false;
	if (filter->has_uid && life->uid != filter->uid)
		return false;
	if (*filter->comm && fnmatch(filter->comm, life->comm, 0))
		return false;
	if (*filter->unit && (!cgroup || !cgroup->unit || fnmatch(filter->unit, cgroup->unit, 0)))
		return false;
	if (*filter->container &&
	    (!cgroup || strncmp(cgroup->container, filter->container, strlen(filter->container))))
		return false;
	return true;
}

bool filter_fork(const struct filter *filter, const struct life *child)
{
	struct filter any_pid = *filter;

	any_pid.has_pid = false;
	return (!filter->has_pid || child->id.pid == filter->pid ||
		child->fork->creator_id.pid == filter->pid) &&
	       filter_life(&any_pid, child);
}

bool filter_change(const struct filter *filter, const struct change *change)
{
	/* asked for by pid, and then whatever the kinds */
	if (change->kind == CHANGE_COW_FAULT)
		return filter->raw_cow && change->life->id.pid == filter->raw_cow;
	if (filter->kinds && !(filter->kinds & 1U << change->kind))
		return false;
	return !change->life || filter_life(filter, change->life);
}
