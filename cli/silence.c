// SPDX-License-Identifier: GPL-2.0-only
/* silence: leaks that somebody knows of, and for how long nobody is to be told. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "core/text.h"
#include "print.h"

static void print_silences(const json_t *document)
{
	const json_t *rows = json_object_get(document, "silences"), *row;
	uint64_t now_ns = number(document, "time_ns");
	char what[CELL_SIZE], left[TEXT_AGE_SIZE];
	size_t i;

	if (!json_array_size(rows))
		puts("no silences");
	json_array_foreach(rows, i, row) {
		text_format_age(number(row, "until_ns") - now_ns, left);
		printf("%-32s %-5s for another %s\n", member(row, "what", what),
		       json_string_value(json_object_get(row, "kind")) ?: "-", left);
	}
}

static int ask(struct options *options, struct source *source)
{
	json_t *document;
	int status = source->ops->get(source, options, "silences", &document);

	if (status)
		return status;
	if (json_is_false(json_object_get(document, "kept")))
		complain("not kept: the daemon cannot write its file of silences, and forgets this "
			 "with its end");
	if (options->json)
		status = print_json(document);
	else if (!options->method)
		print_silences(document);
	json_decref(document);
	return status;
}

/* WHAT DURATION, --remove WHAT, or --list: returns DONE or USAGE, having said why. */
static int check(struct command *command, struct options *options)
{
	static const char *const names[] = { "what", "for" };
	int wanted = options->list ? 0 : options->remove ? 1 : 2;

	options->method = options->list ? NULL : options->remove ? "DELETE" : "POST";
	if (options->list && options->remove) {
		complain("silence: --list or --remove, not both");
		return USAGE;
	}
	if (options->operand_count != wanted) {
		complain("silence: %s",
			 options->list	 ? "--list takes no further word" :
			 options->remove ? "--remove takes one UNIT, COMM or PID" :
					   "no UNIT, COMM or PID, and no DURATION given");
		return USAGE;
	}
	command->view = VIEW_SILENCES; /* words, not options */
	for (int i = 0; i < wanted; i++) {
		command->operand_filter = names[i];
		if (take_operand_filter(command, options, options->operands[i]))
			return USAGE;
	}
	return DONE;
}

int run_silence(const struct command *command, struct options *options)
{
	struct command own = *command;
	struct source *source;
	int status = check(&own, options);

	if (status)
		return status;
	source = daemon_source(options);
	if (!source)
		return FAILED;
	status = ask(options, source);
	source->ops->close(source);
	return status;
}
