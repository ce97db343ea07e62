/*
 * truth.h - the daemon's table and counts against /proc and the kernel's own count.
 *
 * Other processes of the host live meanwhile, and a reap may be known a little
 * late. So a difference counts only if it stays: each look at both sides drops
 * those differences that the looks before had and it has not.
 */
#ifndef LT_TRUTH_H
#define LT_TRUTH_H

#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the table against /proc --- */

static inline const struct proc *lookup(const struct proc *procs, size_t n, pid_t pid,
					uint64_t ticks)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (procs[mid].pid < pid)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < n && procs[low].pid == pid && procs[low].start_ticks == ticks)
		return &procs[low];
	return NULL;
}

static inline void note(json_t *differences, const char *what, const char *id, pid_t pid,
			uint64_t ticks)
{
	char key[256];

	snprintf(key, sizeof(key), "%s %d (tick %lu%s%s)", what, pid, ticks, id ? ", id " : "",
		 id ? id : "");
	json_object_set_new(differences, key, json_true());
}

static inline bool is_dead_state(char state)
{
	return state == 'Z' || state == 'X';
}

static inline bool is_dead_row(const json_t *row)
{
	return json_matches(row, "state=zombie") || json_matches(row, "state=dead-leader");
}

/* A process that both scans saw, against its row. */
static inline void compare_row(json_t *differences, const json_t *row, const struct proc *before,
			       const struct proc *after)
{
	const char *id = str_at(row, "id");
	json_t *ppid = json_at(row, "ppid");

	if (is_dead_state(before->state) == is_dead_state(after->state) &&
	    is_dead_row(row) != is_dead_state(after->state) && !json_matches(row, "state=exiting"))
		note(differences, "state of", id, after->pid, after->start_ticks);
	if (before->ppid == after->ppid && after->ppid && json_integer_value(ppid) != after->ppid) {
		char what[128];

		snprintf(what, sizeof(what), "parent is %d, not %d (%s), of", after->ppid,
			 (int)json_integer_value(ppid), str_at(row, "state"));
		note(differences, what, id, after->pid, after->start_ticks);
	}
}

struct look {
	struct proc *before, *after;
	size_t n_before, n_after;
	int64_t began_ns;
	pid_t command; /* the command that printed the table */
};

static inline void compare_rows(json_t *differences, const struct look *look, const json_t *rows,
				json_t *known)
{
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		pid_t pid = int_at(row, "pid");
		uint64_t ticks = ns_to_ticks(int_at(row, "start_ns"));
		const struct proc *before, *after;
		char key[64];

		if (json_matches(row, "state=reaped"))
			continue;
		snprintf(key, sizeof(key), "%d %lu", pid, ticks);
		lt_require(!json_object_get(known, key), "two rows of %s", str_at(row, "id"));
		json_object_set_new(known, key, json_true());
		before = lookup(look->before, look->n_before, pid, ticks);
		after = lookup(look->after, look->n_after, pid, ticks);
		if (before && after)
			compare_row(differences, row, before, after);
		else if (!before && !after && pid != look->command &&
			 int_at(row, "start_ns") < look->began_ns)
			note(differences, "gone from /proc:", str_at(row, "id"), pid, ticks);
	}
}

static inline void compare_procs(json_t *differences, const struct look *look, const json_t *known)
{
	for (size_t i = 0; i < look->n_before; i++) {
		const struct proc *proc = &look->before[i];
		char key[64];

		snprintf(key, sizeof(key), "%d %lu", proc->pid, proc->start_ticks);
		if (!json_object_get(known, key) &&
		    lookup(look->after, look->n_after, proc->pid, proc->start_ticks))
			note(differences, "not in the table:", NULL, proc->pid, proc->start_ticks);
	}
}

/* One look: {difference: true}. */
static inline json_t *differences(struct lt *lt)
{
	json_t *found = json_object(), *known = json_object(), *ps;
	struct look look = { .began_ns = boottime_ns() };

	look.before = proc__scan(&look.n_before);
	ps = lt__json(lt, &look.command, "ps", "--kernel", NULL);
	look.after = proc__scan(&look.n_after);
	compare_rows(found, &look, json_at(ps, "processes"), known);
	compare_procs(found, &look, known);
	free(look.before);
	free(look.after);
	json_decref(ps);
	json_decref(known);
	return found;
}

/* Looks once more: keeps of STAYING what is still different. True when nothing stays. */
static inline bool nothing_stays(struct lt *lt, json_t *staying)
{
	json_t *now = differences(lt), *value;
	const char *key;
	void *next;

	json_object_foreach_safe(staying, next, key, value) if (!json_object_get(now, key))
		json_object_del(staying, key);
	json_decref(now);
	return json_object_size(staying) == 0;
}

static inline void require_equal_to_proc(struct lt *lt, int64_t within_ns)
{
	json_t *staying = differences(lt);

	lt_await_for(within_ns, nothing_stays(lt, staying), "the table is not /proc: %s",
		     json_dumps(staying, JSON_INDENT(1)));
	json_decref(staying);
}

/* --- counts --- */

/*
 * Two sums that never change as long as nothing is missed or counted twice:
 * births by /proc/stat minus births counted, as seen or as lost; and births
 * minus exits minus living, which makes no sense any more after a loss.
 */
struct sums {
	int64_t births, living;
};

#define UNDISTURBED_NS (2 * NSEC_PER_SEC)

/* By the socket: a command would be a birth. */
static inline json_t *status_by_socket(const struct lt *lt)
{
	struct answer answer = http_ask(lt, "/v1/status");
	json_t *status = json_loads(http_body(&answer), 0, NULL);

	lt_require(status, "no status: \"%s\"", answer.text);
	free(answer.text);
	return status;
}

/* A status, and the births until then; if possible of a moment when nobody was born. */
static inline json_t *undisturbed_status(const struct lt *lt, int64_t *births)
{
	int64_t end = boottime_ns() + UNDISTURBED_NS, before;
	json_t *status = NULL;

	do {
		json_decref(status);
		before = proc__births();
		status = status_by_socket(lt);
		*births = proc__births();
	} while (*births != before && boottime_ns() < end);
	return status;
}

static inline struct sums sums_now(struct lt *lt)
{
	int64_t births;
	json_t *status = undisturbed_status(lt, &births);
	struct sums sums = {
		/* Read afterwards: never too small, and right whenever nothing is on its way. */
		.births = births - int_at(status, "forks") - int_at(status, "threads") -
			  int_at(status, "lost.fork") - int_at(status, "lost.thread"),
		.living = int_at(status, "forks") - int_at(status, "exits") -
			  int_at(status, "processes") + int_at(status, "zombies"),
	};

	json_decref(status);
	return sums;
}

/* The sums while nothing is on its way: the smallest births, and the most living, as one that is
 * exiting counts as an exit and as a process. */
struct settling {
	struct sums sums;
	int births_seen, living_seen;
};

static inline bool settled(struct lt *lt, struct settling *s)
{
	struct sums now = sums_now(lt);

	if (!s->births_seen || now.births < s->sums.births)
		s->births_seen = 0;
	if (!s->births_seen)
		s->sums.births = now.births;
	s->births_seen += now.births == s->sums.births;
	if (!s->living_seen || now.living > s->sums.living)
		s->living_seen = 0;
	if (!s->living_seen)
		s->sums.living = now.living;
	s->living_seen += now.living == s->sums.living;
	return s->births_seen >= 5 && s->living_seen >= 5;
}

static inline struct sums settle(struct lt *lt)
{
	struct settling s = { 0 };

	lt_await_for(60 * NSEC_PER_SEC, settled(lt, &s), "the counts do not settle");
	return s.sums;
}

static inline bool births_are(struct lt *lt, int64_t births)
{
	struct sums now = sums_now(lt);

	lt_require(now.births >= births, "%ld births counted twice", births - now.births);
	return now.births == births;
}

static inline int64_t sum_of(json_t *object)
{
	int64_t sum = 0;
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
		sum += json_integer_value(value);
	return sum;
}

static inline void require_nothing_lost(struct lt *lt)
{
	json_t *status = lt__status(lt);

	lt_require(json_is_object(json_at(status, "lost")), "no object lost");
	lt_require(sum_of(json_at(status, "lost")) == 0, "lost: %s",
		   json_dumps(json_at(status, "lost"), 0));
	expect(status, "bad_records=0 refused=0");
	json_decref(status);
}

/* Births are those of /proc/stat, exits are births minus the living, nothing is lost. */
static inline void require_truth(struct lt *lt, struct sums before)
{
	struct sums after;

	lt_await(births_are(lt, before.births), "births: %ld of /proc/stat were not counted",
		 sums_now(lt).births - before.births);
	require_nothing_lost(lt);
	require_equal_to_proc(lt, LT_DEADLINE_NS);
	after = settle(lt);
	lt_require(after.living == before.living, "exits are %ld more than births minus the living",
		   before.living - after.living);
}

#endif
