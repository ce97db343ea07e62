// SPDX-License-Identifier: GPL-2.0-only
/*
 * Words of a user: the input is a file of settings, the words of the daemon's
 * and of the command's call (one a line), and the parameters of a request.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli.h"
#include "core/text.h"
#include "settings.h"

#define WORDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct words {
	char *text;
	int count;
	char *word[WORDS_MAX + 1];
};

static void split(struct words *words, const uint8_t *data, size_t size, const char *first)
{
	char *save = NULL;

	words->text = calloc(1, size + 1);
	if (size)
		memcpy(words->text, data, size);
	words->count = 0;
	words->word[words->count++] = (char *)first;
	for (char *word = strtok_r(words->text, "\n", &save); word && words->count < WORDS_MAX;
	     word = strtok_r(NULL, "\n", &save))
		words->word[words->count++] = word;
	words->word[words->count] = NULL;
}

static void check_error(int err, const char *error)
{
	if (!err == !*error && !strchr(error, '\n'))
		return;
	fprintf(stderr, "%d: '%s'\n", err, error);
	abort();
}

static void as_settings_file(const uint8_t *data, size_t size)
{
	char error[SETTINGS_ERROR_SIZE] = "", path[64];
	struct settings settings;
	int fd = memfd_create("settings", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	settings_defaults(&settings);
	check_error(settings_load(&settings, path, error), error);
	close(fd);
}

static void as_daemon_call(const uint8_t *data, size_t size)
{
	struct invocation invocation = { .lifeline = -1 };
	char error[SETTINGS_ERROR_SIZE] = "";
	struct settings settings;
	struct words words;

	split(&words, data, size, "lifetraced");
	settings_defaults(&settings);
	check_error(settings_parse(&settings, &invocation, words.count, words.word, error), error);
	free(words.text);
}

static void as_command_call(const struct command *command, const uint8_t *data, size_t size)
{
	struct options options = { 0 };
	struct words words;
	int next;

	split(&words, data, size, command->name);
	parse_options(command, &options, words.count, words.word, &next);
	free(words.text);
}

static void as_request(const uint8_t *data, size_t size)
{
	struct filter filter = { 0 };
	struct words words;

	split(&words, data, size, "");
	for (int i = 1; i < words.count; i++) {
		char *value = strchr(words.word[i], '=');

		if (value)
			*value++ = '\0';
		for (unsigned view = VIEW_ZOMBIES; view <= VIEW_EVENTS; view *= 2)
			filter_set(&filter, view, words.word[i], value);
	}
	free(words.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_settings_file(data, size);
	as_daemon_call(data, size);
	for (const struct command *command = commands; command->name; command++)
		as_command_call(command, data, size);
	as_request(data, size);
	return 0;
}
