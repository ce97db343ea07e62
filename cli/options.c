// SPDX-License-Identifier: GPL-2.0-only
/* The options of each command: its view's filters, and what it takes besides. */
#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "core/columns.h"
#include "core/text.h"
#include "core/why.h"

static int take_socket(struct options *options, const char *value)
{
	options->socket = value;
	return *value ? 0 : -1;
}

static int take_json(struct options *options, const char *value)
{
	(void)value;
	options->json = true;
	return 0;
}

static int take_help(struct options *options, const char *value)
{
	(void)value;
	options->help = true;
	return 0;
}

static int take_check(struct options *options, const char *value)
{
	(void)value;
	options->check = true;
	return 0;
}

static int take_warning(struct options *options, const char *value)
{
	return text_parse_number(value, UINT32_MAX, &options->warning);
}

static int take_critical(struct options *options, const char *value)
{
	return text_parse_number(value, UINT32_MAX, &options->critical);
}

static int take_watch(struct options *options, const char *value)
{
	(void)value;
	options->watch = true;
	return 0;
}

static int take_stacks(struct options *options, const char *value)
{
	(void)value;
	options->stacks = true;
	return 0;
}

static int take_list(struct options *options, const char *value)
{
	(void)value;
	options->list = true;
	return 0;
}

static int take_remove(struct options *options, const char *value)
{
	(void)value;
	options->remove = true;
	return 0;
}

static int take_for(struct options *options, const char *value)
{
	return text_parse_duration(value, &options->for_ns) || !options->for_ns ? -1 : 0;
}

static int take_at(struct options *options, const char *value)
{
	return text_parse_number(value, UINT64_MAX, &options->at_ns);
}

static int take_batch(struct options *options, const char *value)
{
	(void)value;
	options->top.batch = true;
	return 0;
}

static int take_frames(struct options *options, const char *value)
{
	if (text_parse_number(value, UINT32_MAX, &options->top.frames) || !options->top.frames)
		return -1;
	return 0;
}

static int take_replay(struct options *options, const char *value)
{
	options->top.replay = value;
	return *value ? 0 : -1;
}

static int take_view(struct options *options, const char *value)
{
	options->top.view = value;
	return 0;
}

static int take_delay(struct options *options, const char *value)
{
	return text_parse_duration(value, &options->top.delay_ns) || !options->top.delay_ns ? -1 :
											      0;
}

static int take_sort(struct options *options, const char *value)
{
	options->top.sort = value;
	return 0;
}

static int take_reverse(struct options *options, const char *value)
{
	(void)value;
	options->top.reverse = true;
	return 0;
}

static int take_text(struct options *options, const char *value)
{
	options->top.text = value;
	return *value ? 0 : -1;
}

static int take_limit(struct options *options, const char *value)
{
	if (text_parse_number(value, UINT32_MAX, &options->top.limit) || !options->top.limit)
		return -1;
	return 0;
}

/* Options that are no filters. takes 0: every command's. */
static const struct own_option {
	const char *name;
	const char *argument;
	const char *help;
	unsigned takes;
	int (*take)(struct options *options, const char *value);
} own_options[] = {
	{ "json", NULL, "print JSON", TAKES_JSON, take_json },
	{ "socket", "PATH", "ask the daemon on this socket", TAKES_SOCKET, take_socket },
	{ "check", NULL, "one line and an exit status for monitoring: 0, 1, 2, or 3", TAKES_CHECK,
	  take_check },
	{ "warning", "N", "exit 1 from so many flagged zombies [1]", TAKES_CHECK, take_warning },
	{ "critical", "N", "exit 2 from so many [5]", TAKES_CHECK, take_critical },
	{ "watch", NULL, "show it anew every second", TAKES_WATCH, take_watch },
	{ "stacks", NULL, "show where those that are zombies now were forked (root; stacks = on)",
	  TAKES_STACKS, take_stacks },
	{ "list", NULL, "list the silences", TAKES_SILENCES, take_list },
	{ "remove", NULL, "end the silence of this UNIT, COMM or PID", TAKES_SILENCES,
	  take_remove },
	{ "for", "DURATION", "stop after so long", TAKES_FOR, take_for },
	{ "at", "NANOSECONDS", "show what was known at this boot time", TAKES_AT, take_at },
	{ "batch", NULL, "print frames as plain text", TAKES_TOP, take_batch },
	{ "frames", "N", "with --batch: end after so many (also: -n N)", TAKES_TOP, take_frames },
	{ "replay", "FILE", "show a recording", TAKES_TOP, take_replay },
	{ "view", "VIEW", "zombies, leaks, processes, births, cow, tree or events", TAKES_TOP,
	  take_view },
	{ "delay", "DURATION", "between two frames [1.5s]", TAKES_TOP, take_delay },
	{ "sort", "COLUMN", "by this column of the view", TAKES_TOP, take_sort },
	{ "reverse", NULL, "the other way round", TAKES_TOP, take_reverse },
	{ "text", "TEXT", "only what has this in its name, arguments, pid, unit or container",
	  TAKES_TOP, take_text },
	{ "limit", "N", "with --batch: at most so many rows", TAKES_TOP, take_limit },
	{ "help", NULL, "say what this command does", 0, take_help },
};

#define OWN (sizeof(own_options) / sizeof(own_options[0]))
#define OPTIONS_MAX 48

static bool has_own(const struct command *command, const struct own_option *option)
{
	return !option->takes || command->takes & option->takes;
}

/* Filters first: val is their index; the others' follow. */
static void build_table(const struct command *command, struct option table[OPTIONS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < filter_option_count; i++)
		if (filter_options[i].views & command->view)
			table[count++] = (struct option){ filter_options[i].name,
							  filter_options[i].argument ? 1 : 0, NULL,
							  (int)i };
	for (size_t i = 0; i < OWN; i++)
		if (has_own(command, &own_options[i]))
			table[count++] = (struct option){ own_options[i].name,
							  own_options[i].argument ? 1 : 0, NULL,
							  (int)(filter_option_count + i) };
	table[count] = (struct option){ 0 };
}

static int add_to_query(struct options *options, const char *name, const char *value)
{
	char *escaped = curl_easy_escape(NULL, value, 0);
	size_t used = strlen(options->query);
	int len;

	if (!escaped)
		return -1;
	len = snprintf(options->query + used, QUERY_SIZE - used, "%s%s=%s", used ? "&" : "", name,
		       escaped);
	curl_free(escaped);
	return (size_t)len < QUERY_SIZE - used ? 0 : -E2BIG;
}

int add_filter(struct options *options, enum view_kind view, const char *name, const char *value)
{
	if (filter_set(&options->filter, view, name, value))
		return -EINVAL;
	return add_to_query(options, name, value ? value : "1");
}

static int take_filter(const struct command *command, struct options *options, int index,
		       const char *value)
{
	return add_filter(options, command->view, filter_options[index].name, value);
}

int parse_options(const struct command *command, struct options *options, int argc, char **argv,
		  int *next)
{
	struct option table[OPTIONS_MAX];
	const char *shorts = command->takes & TAKES_TOP ? "+:n:" : "+:";
	int index, err, at = 1; /* at: the word that getopt looks at */

	build_table(command, table);
	optind = 0;
	opterr = 0;
	for (; (index = getopt_long(argc, argv, shorts, table, NULL)) != -1; at = optind) {
		if (index == '?' || index == ':') {
			complain("%s: %s '%.64s'", command->name,
				 index == ':' ? "no value for option" : "unknown option", argv[at]);
			return USAGE;
		}
		if (index == 'n')
			err = take_frames(options, optarg);
		else if ((size_t)index < filter_option_count)
			err = take_filter(command, options, index, optarg);
		else
			err = own_options[(size_t)index - filter_option_count].take(options,
										    optarg);
		if (err == -E2BIG) {
			complain("%s: too many filters at '%.64s'", command->name, argv[at]);
			return USAGE;
		}
		if (err) {
			complain("%s: malformed value '%.64s' in '%.64s'", command->name, optarg,
				 argv[at]);
			return USAGE;
		}
	}
	*next = optind;
	return DONE;
}

int take_operand_filter(struct command *command, struct options *options, const char *word)
{
	const char *name = command->operand_filter;
	int index = 0;

	while (strcmp(filter_options[index].name, name) ||
	       !(filter_options[index].views & command->view))
		index++;
	command->operand_filter = NULL;
	if (!take_filter(command, options, index, word))
		return DONE;
	complain("%s: '%.64s' is no %s", command->name, word, name);
	return USAGE;
}

static void print_option(const char *name, const char *argument, const char *help)
{
	char left[64];

	snprintf(left, sizeof(left), "--%s %s", name, argument ? argument : "");
	printf("  %-24s %s\n", left, help);
}

static void print_columns(uint32_t view)
{
	const char *lead = "\nColumns:\n";

	for (int column = 0; column < COLUMN_COUNT; column++) {
		const struct column_info *info = &column_infos[column];

		if (!(info->has & view))
			continue;
		printf("%s  %-14s %s%s\n", lead, info->name, info->help,
		       info->shown & view ? "" : " (if asked for)");
		lead = "";
	}
}

void print_command_help(const struct command *command)
{
	printf("Usage: lifetrace %s%s%s [OPTION …]\n\n%s.\n\n", command->name,
	       *command->operands ? " " : "", command->operands, command->summary);
	for (size_t i = 0; i < filter_option_count; i++)
		if (filter_options[i].views & command->view)
			print_option(filter_options[i].name, filter_options[i].argument,
				     filter_options[i].help);
	for (size_t i = 0; i < OWN; i++)
		if (has_own(command, &own_options[i]))
			print_option(own_options[i].name, own_options[i].argument,
				     own_options[i].help);
	if (command->view & VIEW_ROWS)
		print_columns(command->view);
	if (command->view == VIEW_EVENTS) {
		printf("\nKinds:");
		for (int kind = 0; kind < CHANGE_KINDS; kind++)
			printf(" %s", change_names[kind]);
		printf("\n");
	}
	printf("\nExamples:\n%s", command->examples);
}

void print_help(void)
{
	printf("Usage: lifetrace COMMAND [OPTION …]\n\n"
	       "Follows every process's life on this host, and its zombies above all.\n\n");
	for (const struct command *command = commands; command->name; command++)
		printf("  %-8s %-22s %s\n", command->name, command->operands, command->summary);
	printf("\n`lifetrace COMMAND --help` says more. Where no daemon runs, root gets a private\n"
	       "one that goes when the command ends. Durations: 250ms, 10s, 1m30s, 2h, 1d.\n");
}

/* ---- for the manual and the shells' completion: deploy/document ---- */

/* The words that an option of this name takes, separated by blanks; or none. */
static void print_words(const char *name, unsigned view)
{
	if (!strcmp(name, "kind"))
		for (int kind = 0; kind < CHANGE_KINDS; kind++)
			printf("%s ", change_names[kind]);
	else if (!strcmp(name, "sort") || !strcmp(name, "columns"))
		for (int column = 0; column < COLUMN_COUNT; column++)
			if (column_infos[column].has & view)
				printf("%s ", column_infos[column].name);
}

static void document_option(const struct command *command, const char *name, const char *argument,
			    const char *help)
{
	printf("option\t%s\t%s\t%s\t", command->name, name, argument ? argument : "");
	print_words(name, command->view);
	printf("\t%s\n", help);
}

static void document_command(const struct command *command)
{
	printf("command\t%s\t%s\t%s\n", command->name, command->operands, command->summary);
	for (size_t i = 0; i < filter_option_count; i++)
		if (filter_options[i].views & command->view)
			document_option(command, filter_options[i].name, filter_options[i].argument,
					filter_options[i].help);
	for (size_t i = 0; i < OWN; i++)
		if (has_own(command, &own_options[i]))
			document_option(command, own_options[i].name, own_options[i].argument,
					own_options[i].help);
	for (const char *line = command->examples; *line; line += strcspn(line, "\n") + 1)
		printf("example\t%s\t%.*s\n", command->name, (int)strcspn(line + 2, "\n"),
		       line + 2);
}

void document_tables(void)
{
	for (const struct command *command = commands; command->name; command++)
		document_command(command);
	for (int column = 0; column < COLUMN_COUNT; column++)
		printf("column\t%s\t%s\t%s\n", column_infos[column].name,
		       column_infos[column].title, column_infos[column].help);
	for (int cause = 0; cause < CAUSES; cause++)
		printf("cause\t%s\t%s\n", cause_names[cause],
		       cause_remedies[cause] ? cause_remedies[cause] :
					       "what is missing for an answer is told");
}
