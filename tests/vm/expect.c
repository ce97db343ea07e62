// SPDX-License-Identifier: GPL-2.0-only
#include "expect.h"

#include "ask.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define WHY_MAX 4096

static char why[WHY_MAX];

void expect_begin(void)
{
	why[0] = '\0';
}

const char *expect_why(void)
{
	return why[0] ? why : NULL;
}

void blame(const char *format, ...)
{
	va_list args;

	if (why[0])
		return;
	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
}

/* For values and whole objects; the caller frees. */
static char *text_of(json_t *value)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

	return text ? text : strdup("?");
}

void blame_value(json_t *object, const char *path, const char *expected)
{
	char *value = text_of(ask_at(object, path));
	char *whole = text_of(object);

	blame("%s is %s, expected %s, in %s", path, value, expected, whole);
	free(value);
	free(whole);
}

void expect_text(json_t *object, const char *path, const char *expected)
{
	const char *text = json_string_value(ask_at(object, path));

	if (object && (!text || strcmp(text, expected) != 0))
		blame_value(object, path, expected);
}

void expect_number(json_t *object, const char *path, long long expected)
{
	json_t *value = ask_at(object, path);
	char text[24];

	snprintf(text, sizeof(text), "%lld", expected);
	if (object && (!json_is_integer(value) || json_integer_value(value) != expected))
		blame_value(object, path, text);
}

void expect_at_least(json_t *object, const char *path, long long least)
{
	json_t *value = ask_at(object, path);
	char text[40];

	snprintf(text, sizeof(text), "at least %lld", least);
	if (object && (!json_is_integer(value) || json_integer_value(value) < least))
		blame_value(object, path, text);
}

void expect_bool(json_t *object, const char *path, bool expected)
{
	json_t *value = ask_at(object, path);

	if (object && (!json_is_boolean(value) || json_boolean_value(value) != expected))
		blame_value(object, path, expected ? "true" : "false");
}

void expect_null(json_t *object, const char *path)
{
	if (object && !json_is_null(ask_at(object, path)))
		blame_value(object, path, "null");
}

void expect_id_of(json_t *object, const char *path, pid_t pid)
{
	const char *id = json_string_value(ask_at(object, path));
	char start[24];

	snprintf(start, sizeof(start), "%d-", pid);
	if (object && (!id || strncmp(id, start, strlen(start)) != 0))
		blame_value(object, path, start);
}

void expect_same(json_t *a, json_t *b, const char *path)
{
	if (a && b && !json_equal(ask_at(a, path), ask_at(b, path))) {
		char *value = text_of(ask_at(a, path));

		blame_value(b, path, value);
		free(value);
	}
}

void expect_exit(json_t *object, int status)
{
	if (WIFEXITED(status)) {
		expect_text(object, "exit.how", "exited");
		expect_number(object, "exit.status", WEXITSTATUS(status));
		expect_null(object, "exit.signal");
	} else {
		char name[16];

		snprintf(name, sizeof(name), "SIG%s", sigabbrev_np(WTERMSIG(status)));
		expect_text(object, "exit.how", WCOREDUMP(status) ? "dumped" : "killed");
		expect_text(object, "exit.signal", name);
		expect_null(object, "exit.status");
	}
}
