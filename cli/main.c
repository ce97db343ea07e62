// SPDX-License-Identifier: GPL-2.0-only
/* lifetrace: one table of commands. */
#include <curl/curl.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "columns.h"
#include "core/text.h"

volatile int interrupted;
static volatile sig_atomic_t pipe_closed;
void wake_transfer(void); /* client.c */

const struct command commands[] = {
	{ .name = "top",
	  .operands = "",
	  .summary = "Shows zombies, leaks, processes, who forks, copy-on-write and events, live",
	  .examples = "  lifetrace top\n"
		      "  lifetrace top --view births\n"
		      "  lifetrace top --batch -n 3 --view processes --sort age --limit 20\n"
		      "  lifetrace top --replay incident.ltr.gz\n",
	  .takes = TAKES_SOCKET | TAKES_AT | TAKES_TOP,
	  .run = run_top },
	{ .name = "zombies",
	  .operands = "",
	  .summary = "Lists zombies, the oldest first, with whom they wait for",
	  .examples = "  lifetrace zombies --older 1m\n"
		      "  lifetrace zombies --unit 'nginx*' --json\n"
		      "  lifetrace zombies --check --warning 1 --critical 20\n",
	  .view = VIEW_ZOMBIES,
	  .takes = TAKES_CHECK | TAKES_JSON | TAKES_SOCKET,
	  .run = run_live,
	  .show = show_zombies },
	{ .name = "ps",
	  .operands = "",
	  .summary = "Lists processes, by birth",
	  .examples = "  lifetrace ps --comm 'sh*'\n"
		      "  lifetrace ps --all --pid 4711\n",
	  .view = VIEW_PROCESSES,
	  .takes = TAKES_JSON | TAKES_SOCKET,
	  .run = run_live,
	  .show = show_processes },
	{ .name = "tail",
	  .operands = "",
	  .summary = "Prints what happens, as it happens",
	  .examples = "  lifetrace tail --kind zombie,flagged,reap\n"
		      "  lifetrace tail --json --comm make --count 100\n",
	  .view = VIEW_EVENTS,
	  .takes = TAKES_JSON | TAKES_SOCKET,
	  .run = run_live,
	  .show = show_events },
	{ .name = "leaks",
	  .operands = "",
	  .summary = "Lists parents that leak zombies: how fast, and when the pids run out",
	  .examples = "  lifetrace leaks --watch\n"
		      "  lifetrace leaks --min 20 --older 10m --json\n"
		      "  lifetrace leaks --unit 'ci-*.service'\n"
		      "  lifetrace leaks --stacks --pid 4711\n",
	  .view = VIEW_LEAKS,
	  .takes = TAKES_JSON | TAKES_SOCKET | TAKES_WATCH | TAKES_STACKS,
	  .run = run_live,
	  .show = show_leaks },
	{ .name = "cow",
	  .operands = "[PID]",
	  .summary = "Shows what forks cost: pages shared then, and copied since by either side",
	  .examples = "  lifetrace cow --watch\n"
		      "  lifetrace cow 4711\n"
		      "  lifetrace cow --sort rate --json\n",
	  .view = VIEW_COW,
	  .takes = TAKES_JSON | TAKES_SOCKET | TAKES_WATCH,
	  .operand_filter = "pid",
	  .run = run_live,
	  .show = show_cow },
	{ .name = "tree",
	  .operands = "[PID]",
	  .summary =
		  "Shows who is below whom, with the lately reaped, and whose child an orphan was",
	  .examples = "  lifetrace tree\n"
		      "  lifetrace tree 4711 --json\n",
	  .view = VIEW_TREE,
	  .takes = TAKES_JSON | TAKES_SOCKET,
	  .operand_filter = "pid",
	  .run = run_live,
	  .show = show_tree },
	{ .name = "births",
	  .operands = "",
	  .summary = "Shows who forks most: children in the last whole second, and in all",
	  .examples = "  lifetrace births\n"
		      "  lifetrace births --limit 5 --json\n",
	  .view = VIEW_BIRTHS,
	  .takes = TAKES_JSON | TAKES_SOCKET,
	  .run = run_live,
	  .show = show_births },
	{ .name = "silence",
	  .operands = "[UNIT|COMM|PID] [DURATION]",
	  .summary =
		  "Has nobody told of known leaks for a while; lists these silences, and ends them",
	  .examples = "  lifetrace silence legacy-ci.service 8h\n"
		      "  lifetrace silence 4711 30m\n"
		      "  lifetrace silence --list\n"
		      "  lifetrace silence --remove legacy-ci.service\n",
	  .takes = TAKES_JSON | TAKES_SOCKET | TAKES_SILENCES,
	  .run = run_silence },
	{ .name = "why",
	  .operands = "PID",
	  .summary = "Says why a zombie is not reaped, or how a process reaps its children",
	  .examples = "  lifetrace why 4711\n"
		      "  lifetrace why 4711 --json\n",
	  .view = VIEW_WHY,
	  .takes = TAKES_JSON | TAKES_SOCKET,
	  .operand_filter = "pid",
	  .run = run_live,
	  .show = show_why },
	{ .name = "status",
	  .operands = "",
	  .summary = "Says how the daemon is, what it counted and lost, and which hooks serve it",
	  .examples = "  lifetrace status --json\n",
	  .takes = TAKES_JSON | TAKES_SOCKET,
	  .run = run_live,
	  .show = show_status },
	{ .name = "doctor",
	  .operands = "",
	  .summary =
		  "Says what this host offers, what is used, what is not seen, and what to change",
	  .examples = "  lifetrace doctor\n"
		      "  lifetrace doctor --json\n",
	  .takes = TAKES_JSON | TAKES_SOCKET,
	  .run = run_doctor },
	{ .name = "record",
	  .operands = "FILE",
	  .summary =
		  "Writes what the daemon knows and all that happens to a file (gzipped: FILE.gz)",
	  .examples = "  lifetrace record incident.ltr.gz --for 10m\n",
	  .takes = TAKES_FOR | TAKES_SOCKET,
	  .run = run_record },
	{ .name = "replay",
	  .operands = "FILE [COMMAND]",
	  .summary =
		  "Shows a recording as the daemon would have: tail, zombies, leaks, ps, tree, cow, births, why or status",
	  .examples = "  lifetrace replay incident.ltr.gz\n"
		      "  lifetrace replay incident.ltr.gz zombies --older 1m --json\n",
	  .view = VIEW_EVENTS,
	  .takes = TAKES_JSON | TAKES_AT,
	  .run = run_replay,
	  .show = show_events },
	{ 0 },
};

const struct command *find_command(const char *name)
{
	for (const struct command *command = commands; command->name; command++)
		if (!strcmp(command->name, name))
			return command;
	return NULL;
}

void complain(const char *format, ...)
{
	char words[1024], safe[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	fprintf(stderr, "lifetrace: %s\n", text_escape(words, safe, sizeof(safe)));
}

static void on_signal(int signal)
{
	(void)signal;
	interrupted = 1;
	wake_transfer();
}

/* A closed pipe is no error; but it must be told from one. */
static void on_pipe(int signal)
{
	(void)signal;
	pipe_closed = 1;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	signal(SIGPIPE, on_pipe);
}

int run_live(const struct command *command, struct options *options)
{
	struct source *source = daemon_source(options);
	int status;

	if (!source)
		return options->check ? CHECK_UNKNOWN : FAILED;
	status = command->show(options, source);
	source->ops->close(source);
	return status;
}

/* "FILE [COMMAND]": how many words it takes, and how many it wants. */
static int operands_of(const struct command *command, int *wanted)
{
	int count = 0;

	*wanted = 0;
	for (const char *p = command->operands; *p; count++) {
		*wanted += *p != '[';
		p += strcspn(p, " ");
		p += strspn(p, " ");
	}
	return count;
}

/* The command that a recording is to answer: with its filters, without a socket. */
static int choose_shown(struct command *command, const char *name)
{
	const struct command *shown = find_command(name);

	if (!shown || shown->run != run_live) {
		complain("'%.64s' is no command that a recording can answer", name);
		return USAGE;
	}
	command->view = shown->view;
	command->show = shown->show;
	command->takes = (shown->takes & ~(TAKES_SOCKET | TAKES_WATCH)) | TAKES_AT;
	command->operand_filter = shown->operand_filter;
	return DONE;
}

/* `cow PID`, and `replay FILE cow PID`; one of them. */
static bool stands_for_filter(const struct command *command, const struct options *options)
{
	return command->operand_filter &&
	       options->operand_count == (command->run == run_replay ? 2 : 0);
}

static int take_operand(struct command *command, struct options *options, int count,
			const char *word)
{
	if (stands_for_filter(command, options)) {
		options->operand_count += command->run != run_replay;
		return take_operand_filter(command, options, word);
	}
	if (options->operand_count == count) {
		complain("%s: unexpected word '%.64s'", command->name, word);
		return USAGE;
	}
	options->operands[options->operand_count++] = word;
	if (command->run == run_replay && options->operand_count == 2)
		return choose_shown(command, word);
	return DONE;
}

/* Options and operands, in any order. */
static int parse_call(struct command *command, struct options *options, int argc, char **argv)
{
	int wanted, count = operands_of(command, &wanted), next, status;

	for (;; argc -= next, argv += next) {
		status = parse_options(command, options, argc, argv, &next);
		if (status || options->help)
			return status;
		if (next >= argc)
			break;
		status = take_operand(command, options, count, argv[next]);
		if (status)
			return status;
	}
	if (command->operand_filter && options->filter.has_pid)
		return DONE; /* --pid is the operand's other name */
	if (options->operand_count < wanted) {
		complain("%s: no %s given", command->name, command->operands);
		return USAGE;
	}
	return DONE;
}

static int run(const struct command *found, int argc, char **argv)
{
	struct options options = { .warning = 1, .critical = 5 };
	struct command command = *found;
	int status = parse_call(&command, &options, argc, argv);

	if (status)
		return status;
	if (options.help) {
		print_command_help(&command);
		return DONE;
	}
	return command.run(&command, &options);
}

/* What could not be written, unless nobody wants it any more, is a failure. */
static int close_stdout(int status)
{
	if ((!fflush(stdout) && !ferror(stdout)) || pipe_closed)
		return status;
	complain("cannot write to standard output");
	return FAILED;
}

int main(int argc, char **argv)
{
	const struct command *command;

	setlocale(LC_ALL, "");
	catch_signals();
	if (argc < 2) {
		complain("no command given; `lifetrace --help` lists them");
		return USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		print_help();
		return close_stdout(DONE);
	}
	if (!strcmp(argv[1], "--version")) {
		puts("lifetrace " LIFETRACE_VERSION);
		return close_stdout(DONE);
	}
	if (!strcmp(argv[1], "--document-tables")) {
		document_tables();
		return close_stdout(DONE);
	}
	if (!strcmp(argv[1], "--document-columns")) {
		document_columns();
		return close_stdout(DONE);
	}
	command = find_command(argv[1]);
	if (!command) {
		complain("unknown command '%.64s'; `lifetrace --help` lists them", argv[1]);
		return USAGE;
	}
	return close_stdout(run(command, argc - 1, argv + 1));
}
