// SPDX-License-Identifier: GPL-2.0-only
/* Exit calls: which one counts, and what is said of it. Process 200 is forked at 1,000 ms. */
#include "bench.h"

#include <signal.h>

#define PARENT 50
#define CHILD 200
#define NOTHING (-1)

static json_int_t number_at(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_integer(value) ? json_integer_value(value) : NOTHING;
}

static void expect_end(struct bench *bench, const char *by, json_int_t handlers_ms)
{
	json_t *row = row_of(bench, CHILD);
	json_int_t ns = number_at(json_object_get(row, "exit"), "handlers_ns");

	expect_text(text_at(row, "exit.by"), by);
	cr_assert_eq(ns, handlers_ms < 0 ? NOTHING : (json_int_t)MS(handlers_ms), "%lld ns",
		     (long long)ns);
	json_decref(row);
}

/* A call a word: e is exit(), u is _exit(), x is an exec, X the kernel's exit. */
static const struct ending {
	const char *script;
	int code;
	const char *by;
	json_int_t handlers_ms; /* NOTHING: null */
} endings[] = {
	{ "X", 3 << 8, "null", NOTHING },
	{ "eX", 3 << 8, "exit", 1 },
	{ "uX", 3 << 8, "_exit", NOTHING },
	/* again by a handler, by another thread, or told twice: the first counts */
	{ "eeeX", 0, "exit", 3 },
	{ "euX", 0, "exit", 2 },
	{ "uuX", 0, "_exit", NOTHING },
	{ "ueX", 0, "_exit", NOTHING },
	/* killed in its handlers, or before */
	{ "eX", SIGKILL, "null", 1 },
	{ "X", SIGKILL, "null", NOTHING },
	{ "uX", SIGTERM, "null", NOTHING },
	/* a handler that runs another program */
	{ "exX", 0, "null", NOTHING },
	{ "exuX", 0, "_exit", NOTHING },
	{ "exeX", 0, "exit", 1 },
	/* too late */
	{ "Xe", 0, "exit", NOTHING },
	{ "Xu", 0, "_exit", NOTHING },
};

static struct bench *play(const struct ending *ending)
{
	struct bench *bench = bench_new();
	uint64_t ms = 1001;

	feed_fork(bench, 1000, CHILD, PARENT);
	for (const char *word = ending->script; *word; word++, ms++) {
		if (*word == 'x')
			feed_exec(bench, ms, CHILD, "/bin/other", "other");
		else if (*word == 'X')
			feed_exit(bench, ms, CHILD, PARENT, ending->code, NOBODY, 0);
		else
			feed_exit_call(bench, ms, CHILD, *word == 'e');
	}
	return bench;
}

Test(handlers, endings)
{
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		struct bench *bench = play(&endings[i]);

		expect_end(bench, endings[i].by, endings[i].handlers_ms);
		bench_free(bench);
	}
}

Test(handlers, in_them_it_is_running)
{
	struct bench *bench = bench_new();
	json_t *row;

	feed_fork(bench, 1000, CHILD, PARENT);
	feed_exit_call(bench, 1005, CHILD, true);
	feed_tick(bench, 9000);
	row = row_of(bench, CHILD);
	expect_text(text_at(row, "state"), "running");
	cr_assert_eq(number_at(row, "exit_called_ns"), (json_int_t)MS(1005));
	cr_assert(json_is_null(json_object_get(row, "exit")));
	json_decref(row);
	bench_free(bench);
}

Test(handlers, tail_tells)
{
	static const struct ending ending = { "eX", 0, "exit", 1 };
	struct bench *bench = play(&ending);

	expect_text(text_at(bench->last_line, "kind"), "exit");
	expect_text(text_at(bench->last_line, "exit.by"), "exit");
	cr_assert_eq(number_at(bench->last_line, "exit_called_ns"), (json_int_t)MS(1001));
	bench_free(bench);
}

Test(handlers, who_is_not_known_is_made_up)
{
	struct bench *bench = bench_new();
	json_t *row;

	feed_exit_call(bench, 1005, CHILD, true);
	row = row_of(bench, CHILD);
	cr_assert_eq(number_at(row, "exit_called_ns"), (json_int_t)MS(1005));
	cr_assert(json_is_true(json_object_get(row, "inferred")));
	json_decref(row);
	check_totals(bench);
	bench_free(bench);
}

Test(handlers, the_reaped_call_nothing)
{
	static const struct ending ending = { "X", 0, "null", NOTHING };
	struct bench *bench = play(&ending);

	feed_notify(bench, 1010, CHILD, PARENT, 0, 0);
	feed_free(bench, 1011, CHILD);
	feed_exit_call(bench, 1012, CHILD, true);
	expect_end(bench, "null", NOTHING);
	bench_free(bench);
}

static void pass_on(void *user, const struct lt_hdr *record)
{
	feed(user, record);
}

/* What a recording begins with. */
Test(handlers, another_table_knows_them)
{
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		struct bench *first = play(&endings[i]), *second = bench_new();

		core_dump(first->core, pass_on, second);
		expect_end(second, endings[i].by, endings[i].handlers_ms);
		bench_free(first);
		bench_free(second);
	}
}
