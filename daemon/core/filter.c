// SPDX-License-Identifier: GPL-2.0-only
/* Which rows and lines somebody asked for. */
#include "life.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "columns.h"
#include "text.h"

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

static int set_min(struct filter *filter, const char *value)
{
	return text_parse_number(value, UINT64_MAX, &filter->min);
}

static int set_for(struct filter *filter, const char *value)
{
	return text_parse_duration(value, &filter->for_ns) || !filter->for_ns ? -EINVAL : 0;
}

static int set_text(char *field, const char *value)
{
	if (!*value || strlen(value) >= FILTER_TEXT_SIZE)
		return -EINVAL;
	strcpy(field, value);
	return 0;
}

static int set_what(struct filter *filter, const char *value)
{
	enum lt_silence_kind kind;
	uint64_t pid;

	return set_text(filter->what, value) || silence_parse(value, &kind, &pid) ? -EINVAL : 0;
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
	int column = column_find(filter->view, value);

	filter->sort = (uint32_t)(column + 1);
	return column < 0 ? -EINVAL : 0;
}

static int set_tree(struct filter *filter, const char *value)
{
	return set_flag(&filter->tree, value);
}

static int set_reverse(struct filter *filter, const char *value)
{
	return set_flag(&filter->reverse, value);
}

static int set_columns(struct filter *filter, const char *value)
{
	return column_set_parse(filter->view, value, &filter->columns);
}

static int set_limit(struct filter *filter, const char *value)
{
	return text_parse_number(value, UINT32_MAX, &filter->limit) || !filter->limit ? -EINVAL : 0;
}

static int set_offset(struct filter *filter, const char *value)
{
	return text_parse_number(value, UINT32_MAX, &filter->offset);
}

static int set_select(struct filter *filter, const char *value)
{
	uint64_t pid, start_ns;

	if (text_parse_id(value, &pid, &start_ns))
		return -EINVAL;
	filter->select = (struct lt_id){ .pid = pid, .start_ns = start_ns };
	return 0;
}

/* ASCII only, as the daemon has no locale. */
static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static int set_filter_text(struct filter *filter, const char *value)
{
	int err = set_text(filter->text, value);

	for (char *p = filter->text; *p; p++)
		*p = lower(*p);
	return err;
}

static int set_younger(struct filter *filter, const char *value)
{
	return text_parse_duration(value, &filter->younger_ns) || !filter->younger_ns ? -EINVAL : 0;
}

static int set_lately(struct filter *filter, const char *value)
{
	return text_parse_duration(value, &filter->lately_ns);
}

#define VIEW_ANY (VIEW_ROWS | VIEW_EVENTS)

const struct filter_option filter_options[] = {
	{ "pid", "PID", "this process only", VIEW_ANY | VIEW_STACKS | VIEW_TREE | VIEW_WHY,
	  set_pid },
	{ "comm", "GLOB", "processes of this name", VIEW_ANY, set_comm },
	{ "uid", "UID", "processes of this user", VIEW_ANY, set_uid },
	{ "unit", "GLOB", "processes of this systemd unit", VIEW_ANY, set_unit },
	{ "container", "PREFIX", "processes of this container", VIEW_ANY, set_container },
	{ "kernel", NULL, "kernel threads too", VIEW_ANY | VIEW_TREE, set_kernel },
	{ "older", "DURATION", "only what is older (a zombie: for longer a zombie)", VIEW_ROWS,
	  set_older },
	{ "younger", "DURATION", "only what is younger", VIEW_ROWS, set_younger },
	{ "text", "TEXT", "only what has this in its name, arguments, pid, unit or container",
	  VIEW_ROWS, set_filter_text },
	{ "lately", "DURATION", "also what ended at most so long ago",
	  VIEW_ZOMBIES | VIEW_PROCESSES, set_lately },
	{ "what", "UNIT|COMM|PID", "whom to silence", VIEW_SILENCES, set_what },
	{ "for", "DURATION", "for how long", VIEW_SILENCES, set_for },
	{ "min", "N", "only parents that hold so many zombies", VIEW_LEAKS, set_min },
	{ "all", NULL, "also what was reaped a while ago and is still remembered", VIEW_PROCESSES,
	  set_all },
	{ "all", NULL, "also forks that are over and copied less than 1 MiB", VIEW_COW, set_all },
	{ "tree", NULL, "parents before their children", VIEW_PROCESSES, set_tree },
	{ "sort", "COLUMN", "by this column", VIEW_ROWS, set_sort },
	{ "reverse", NULL, "the other way round", VIEW_ROWS, set_reverse },
	{ "columns", "COLUMN[,COLUMN]", "only these", VIEW_ROWS, set_columns },
	{ "limit", "N", "at most so many rows", VIEW_ROWS, set_limit },
	{ "offset", "N", "leave out so many rows first", VIEW_ROWS, set_offset },
	{ "select", "ID", "with --limit: such rows that this one is among them", VIEW_ROWS,
	  set_select },
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
		filter->view = view;
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
	if (*filter->unit && (!cgroup || !unit_matches(filter->unit, cgroup->unit)))
		return false;
	if (*filter->container &&
	    (!cgroup || strncmp(cgroup->container, filter->container, strlen(filter->container))))
		return false;
	return true;
}

bool filter_age(const struct filter *filter, uint64_t since_ns, uint64_t now_ns)
{
	uint64_t age_ns = now_ns > since_ns ? now_ns - since_ns : 0;

	return age_ns >= filter->older_ns && (!filter->younger_ns || age_ns < filter->younger_ns);
}

/*
 * Words, as they are shown: with a blank for each NUL between them. Of twenty thousand
 * processes that are searched, strcasestr() would take more than all the rest of a list.
 */
static bool has_text(const char *words, size_t len, const char *text)
{
	char shown[2048];

	if (len >= sizeof(shown))
		len = sizeof(shown) - 1;
	for (size_t i = 0; i < len; i++)
		shown[i] = words[i] ? lower(words[i]) : ' ';
	shown[len] = '\0';
	return strstr(shown, text);
}

static bool is_in_program(const struct program *program, const char *text)
{
	return has_text(program->text, (size_t)program->exe_len + program->args_len, text);
}

static bool is_in_cgroup(const struct cgroup_info *cgroup, const char *text)
{
	return (cgroup->unit && has_text(cgroup->unit, strlen(cgroup->unit), text)) ||
	       has_text(cgroup->container, strlen(cgroup->container), text);
}

static bool is_in_pid(uint64_t pid, const char *text)
{
	char shown[24];

	if (text[strspn(text, "0123456789")])
		return false;
	snprintf(shown, sizeof(shown), "%llu", (unsigned long long)pid);
	return strstr(shown, text);
}

bool filter_text(const struct filter *filter, const struct life *life, const struct viewer *viewer)
{
	if (!*filter->text)
		return true;
	return has_text(life->comm, strnlen(life->comm, LT_COMM_LEN), filter->text) ||
	       is_in_pid(life->id.pid, filter->text) ||
	       (life->cgroup && is_in_cgroup(life->cgroup, filter->text)) ||
	       (life->program && may_see_all(viewer, life->uid) &&
		is_in_program(life->program, filter->text));
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
	/* the events that alerts are drawn from are told, too: only by name */
	if (change->kind == CHANGE_ALERT && !filter->kinds)
		return false;
	if (filter->kinds && !(filter->kinds & 1U << change->kind))
		return false;
	return !change->life || filter_life(filter, change->life);
}
