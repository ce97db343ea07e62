// SPDX-License-Identifier: GPL-2.0-only
/* The table of columns, and what each sorts by. */
#include "columns.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "rows.h"
#include "why.h"

#define LEFT false
#define RIGHT true
#define UP false
#define DOWN true

const struct column_info column_infos[COLUMN_COUNT] = {
#define X(NAME, name_, title_, width_, align_, sort_, has_, shown_, members_, help_) \
	[COLUMN_##NAME] = {                                                          \
		.name = (name_),                                                     \
		.title = (title_),                                                   \
		.members = (members_),                                               \
		.help = (help_),                                                     \
		.has = (has_),                                                       \
		.shown = (shown_),                                                   \
		.width = (width_),                                                   \
		.right = (align_),                                                   \
		.falling = (sort_),                                                  \
	},
	LT_COLUMNS(X)
#undef X
};

int column_find(uint32_t view, const char *name)
{
	for (int column = 0; column < COLUMN_COUNT; column++)
		if (column_infos[column].has & view && !strcmp(column_infos[column].name, name))
			return column;
	return -1;
}

int column_set_parse(uint32_t view, const char *names, uint64_t *set)
{
	char name[32];
	size_t len;
	int column;

	for (*set = 0; *names; names += len + (names[len] == ',')) {
		len = strcspn(names, ",");
		if (len >= sizeof(name))
			return -EINVAL;
		memcpy(name, names, len);
		name[len] = '\0';
		column = column_find(view, name);
		if (column < 0)
			return -EINVAL;
		*set |= 1ULL << column;
	}
	return *set ? 0 : -EINVAL;
}

uint64_t column_set_shown(uint32_t view)
{
	uint64_t set = 0;

	for (int column = 0; column < COLUMN_COUNT; column++)
		if (column_infos[column].shown & view)
			set |= 1ULL << column;
	return set;
}

/* ---- what they sort by ---- */

static struct sort_key by_number(double number)
{
	return (struct sort_key){ .number = number };
}

static struct sort_key by_text(const char *text)
{
	return (struct sort_key){ .text = text ? text : "" };
}

static double age(const struct rows *rows, uint64_t since_ns)
{
	return rows->now_ns > since_ns ? (double)(rows->now_ns - since_ns) : 0;
}

/* Only of rows of forks: their columns are no other view's. */
static struct fork_row fork_of(const struct rows *rows, const struct life *life)
{
	return fork_row(life->fork, rows->now_ns);
}

#define KEY(NAME)                                                                          \
	static struct sort_key key_##NAME(const struct rows *rows __attribute__((unused)), \
					  const struct life *life)

KEY(CREATOR)
{
	return by_number((double)fork_of(rows, life).fork->creator_id.pid);
}

KEY(PID)
{
	return by_number((double)life->id.pid);
}

KEY(PER_SECOND)
{
	return by_number(births_per_second(life, rows->now_ns));
}

KEY(BIRTHS)
{
	return by_number((double)life_rare(life)->births.count);
}

KEY(CHILD)
{
	return key_PID(rows, life);
}

KEY(SINCE)
{
	return by_number((double)life->forked_ns);
}

KEY(ZOMBIE_FOR)
{
	return by_number(age(rows, life->zombie_ns));
}

KEY(FLAGGED)
{
	return by_number(life->queue == QUEUE_FLAGGED || life->queue == QUEUE_AGED);
}

KEY(STATUS)
{
	return by_number(life->exit_code);
}

KEY(PPID)
{
	return by_number((double)life->parent_id.pid);
}

KEY(PARENT)
{
	return by_text(life->parent ? life->parent->comm : NULL);
}

KEY(ITS_WAITS)
{
	const struct lt_waits *waits = life->parent ? life->parent->waits : NULL;

	return by_number(waits ? (double)waits->calls : 0);
}

KEY(ITS_CAUSE)
{
	bool judged = life->state == LT_ZOMBIE;

	return by_text(judged ? cause_names[why_cause(rows->core, life, rows->now_ns)] : NULL);
}

KEY(UID)
{
	return by_number(life->uid);
}

KEY(AGE)
{
	return by_number(age(rows, life->id.start_ns));
}

KEY(STATE)
{
	return by_number(life->state);
}

KEY(ALIVE)
{
	return by_number(life->alive);
}

KEY(ZOMBIES)
{
	return by_number(life->zombies);
}

KEY(WAITS)
{
	return by_number(life->waits ? (double)life->waits->calls : 0);
}

KEY(COPIED_BY)
{
	return by_number((double)cow_of(life).copies);
}

KEY(FORK_FAILURES)
{
	double sum = 0;

	for (int i = 0; i < LT_FAILURES; i++)
		sum += life_rare(life)->failures.by[i].count;
	return by_number(sum);
}

KEY(TOOK)
{
	return by_number((double)life->fork_duration_ns);
}

KEY(SHARED)
{
	return by_number(life->rss_pages);
}

KEY(TABLES)
{
	return by_number(life->pagetable_kib);
}

KEY(COPIED)
{
	return by_number((double)fork_of(rows, life).copied);
}

KEY(BY_PARENT)
{
	return by_number((double)fork_of(rows, life).fork->by_creator.copies);
}

KEY(BY_CHILD)
{
	return by_number((double)fork_of(rows, life).child.copies);
}

KEY(SHARE)
{
	return by_number(fork_of(rows, life).share);
}

KEY(RATE)
{
	return by_number(fork_of(rows, life).rate);
}

KEY(REUSES)
{
	struct fork_row row = fork_of(rows, life);

	return by_number((double)row.child.reuses + (double)row.fork->by_creator.reuses);
}

KEY(OVER)
{
	return by_number((double)fork_of(rows, life).fork->ended_ns);
}

KEY(LEAKER)
{
	return key_PID(rows, life);
}

KEY(HOLDS)
{
	return by_number(life->zombies);
}

KEY(OLDEST)
{
	return by_number(age(rows, leak_age(life->leak).oldest_ns));
}

KEY(NET)
{
	struct leak_age held = leak_age(life->leak);

	return by_number(leak_rate_per_s(life->leak, &held, rows->now_ns));
}

KEY(CAUSE)
{
	const struct life *witness = leak_witness(rows->core, life->leak, rows->now_ns);

	return by_text(witness ? cause_names[why_cause(rows->core, witness, rows->now_ns)] : NULL);
}

KEY(SILENCED)
{
	const struct silence *silence = silence_of(rows->core, life);

	return by_number(silence ? (double)silence->until_ns : 0);
}

/* What is not known comes last. */
KEY(LEFT_PIDS)
{
	uint64_t left;

	return by_number(leak_pids_left(life->leak, &left) ? (double)left : HUGE_VAL);
}

KEY(RUN_OUT)
{
	struct leak_age held = leak_age(life->leak);
	double rate = leak_rate_per_s(life->leak, &held, rows->now_ns);
	uint64_t left;

	return by_number(rate > 0 && leak_pids_left(life->leak, &left) ? (double)left / rate :
									 HUGE_VAL);
}

KEY(LIMIT)
{
	uint64_t left;

	return by_text(leak_pids_left(life->leak, &left) ? leak_limit_name(life->leak) : NULL);
}

KEY(UNIT)
{
	const struct cgroup_info *cgroup = life->cgroup;

	return by_text(!cgroup ? NULL : *cgroup->container ? cgroup->container : cgroup->unit);
}

KEY(COMM)
{
	return by_text(life->comm);
}

/* The arguments only where they may be seen: an order would tell them, too. */
KEY(COMMAND)
{
	const struct program *program = may_see_all(rows->viewer, life->uid) ? life->program : NULL;

	return by_text(program && program->args_len ? program->text + program->exe_len :
						      life->comm);
}

struct sort_key column_key(enum column column, const struct rows *rows, const struct life *life)
{
	static struct sort_key (*const keys[COLUMN_COUNT])(const struct rows *,
							   const struct life *) = {
#define X(NAME, ...) [COLUMN_##NAME] = key_##NAME,
		LT_COLUMNS(X)
#undef X
	};

	return keys[column](rows, life);
}
