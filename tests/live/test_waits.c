/*
 * Wait calls: what a parent asks for is counted per parent. The member of the
 * cast counts its own calls; the row of the parent in `ps` must agree.
 */
#include "harness.h"

#include <string.h>

static const char *const counters[] = {
	"calls", "any", "pid", "group", "pidfd", "nohang", "wall", "wclone", "nowait",
};

static bool counts_agree(struct lt *lt, struct cast *cast, json_t **row)
{
	bool agree = true;

	json_decref(*row);
	*row = lt__row(lt, "ps", cast__pid(cast));
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		char path[32];
		json_t *n;

		snprintf(path, sizeof(path), "waits.%s", counters[i]);
		n = json_at(*row, path);
		agree = agree && json_is_integer(n) &&
			json_integer_value(n) == cast__int(cast, path, 0);
	}
	return agree;
}

static void check_last(struct cast *cast, const json_t *row, const char *which)
{
	int last = cast__count(cast, "last.call") - 1;

	expect(row, "waits.last.call=%s waits.last.which=%s", cast__str(cast, "last.call", last),
	       which);
	if (!strcmp(which, "pid"))
		expect(row, "waits.last.pid=%s", cast__str(cast, "last.pid", last));
	lt_require(int_at(row, "waits.last_ns") > int_at(row, "forked_ns"), "last_ns");
}

/* WHICH and OPTION of the last call; OPTION may be NULL. */
static void check_waits(const char *way, const char *which, const char *option)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	json_t *row = NULL, *value;
	bool found = !option;
	size_t i;

	lt__tail(lt);
	cast = cast__start("waits", way, NULL);
	if (!strcmp(way, "nowait")) {
		cast__hold(cast, "looked");
		json_decref(
			lt__await_row(lt, "zombies", cast__int(cast, "child", 0), "state=zombie"));
		cast__go(cast);
	}
	cast__hold(cast, "waited");
	lt_await(counts_agree(lt, cast, &row), "%s: %s", way,
		 row ? json_dumps(json_at(row, "waits"), JSON_ENCODE_ANY) : "no row");
	check_last(cast, row, which);
	json_array_foreach(json_at(row, "waits.last.options"), i, value)
		found |= option && !strcmp(json_string_value(value), option);
	lt_require(found, "no %s among the last options", option);
	json_decref(row);
	expect(lt__await_event(lt, lt__id(lt, cast__pid(cast)), "wait", 0), "waits.calls=1");
	expect(lt__await_event(lt, lt__id(lt, cast__int(cast, "child", 0)), "reap", 0),
	       "reaped_by=%s", lt__id(lt, cast__pid(cast)));
	expect(lt__await_event(lt, lt__id(lt, cast__int(cast, "child", 0)), "exit", 0),
	       "exit.how=exited exit.status=11");
	lt__fence(lt);
	lt_require(lt__count(lt, lt__id(lt, cast__int(cast, "child", 0)), "reap") == 1, "reaps");
	cast__free(cast);
	lt__stop(lt);
}

#define WAIT(name, way, which, option)           \
	LT_TEST(waits, name)                     \
	{                                        \
		check_waits(way, which, option); \
	}

WAIT(wait, "wait", "any", NULL)
WAIT(waitpid_any, "any", "any", NULL)
WAIT(waitpid_pid, "pid", "pid", NULL)
WAIT(waitpid_group, "group", "group", NULL)
WAIT(waitpid_own_group, "own-group", "group", NULL)
WAIT(waitpid_nohang, "nohang", "any", "WNOHANG")
WAIT(waitpid_wall, "wall", "pid", "__WALL")
WAIT(waitpid_wclone, "wclone", "any", NULL)
WAIT(waitpid_echild, "echild", "pid", NULL)
WAIT(waitid_any, "waitid-any", "any", "WEXITED")
WAIT(waitid_pid, "waitid-pid", "pid", "WEXITED")
WAIT(waitid_group, "waitid-group", "group", "WEXITED")
WAIT(waitid_pidfd, "waitid-pidfd", "pidfd", "WEXITED")
WAIT(waitid_nowait_does_not_reap, "nowait", "any", NULL)

/* Two pids in a row: one count each, not more for the time spent blocked. */
LT_TEST(waits, at_death_and_now)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	json_t *row;

	lt__tail(lt);
	cast = cast__start("batch", "3", "2", NULL);
	cast__hold(cast, "full");
	cast__go(cast);
	cast__hold(cast, "full");
	row = lt__await_row(lt, "zombies", cast__int(cast, "child", 3), "state=zombie");
	expect(row, "parent_waits.calls=3 parent_waits.any=3 parent_waits_at_death.calls=3");
	json_decref(row);
	cast__end(cast);
	check_all_reaped(lt, cast);
	cast__free(cast);
	lt__stop(lt);
}
