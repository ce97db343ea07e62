/*
 * Bad input on the command line, and output that goes nowhere: one line that
 * names what was wrong, an exit status, nothing else. And names of processes
 * that are meant to do harm where they are printed.
 */
#include "run.h"

#include <pty.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define NO_PID "2147483647" /* above every pid_max */
#define NO_SOCKET "/nonexistent/lifetraced.sock"

/* ---- words that are wrong ---- */

/* Words with a | between them, and what must be named. */
struct bad {
	const char *words;
	const char *named;
};

static void require_usage(const struct bad *bad)
{
	const char *argv[8] = { LIFETRACE };
	char *words = strdup(bad->words), *rest = words;

	for (int n = 1; rest && *bad->words; n++)
		argv[n] = strsep(&rest, "|");
	require_complaint(argv, 2, bad->named);
	free(words);
}

#define USAGE_TEST(name, ...)                                    \
	LT_TEST(badinput, name)                                  \
	{                                                        \
		static const struct bad all[] = { __VA_ARGS__ }; \
                                                                 \
		for (size_t i = 0; i < ARRAY_SIZE(all); i++)     \
			require_usage(&all[i]);                  \
	}

USAGE_TEST(unknown_command, { "nonsense", "nonsense" }, { "Ps", "Ps" }, { "ps2", "ps2" },
	   { "-x", "-x" }, { "--nonsense", "--nonsense" }, { "", "command" })

USAGE_TEST(unknown_option, { "ps|--nonsense", "--nonsense" }, { "zombies|-x", "-x" },
	   { "tail|--json=1", "--json=1" }, { "status|--pid|1", "--pid" },
	   { "ps|--kind|fork", "--kind" }, { "tail|--older|1s", "--older" },
	   { "zombies|--all", "--all" }, { "ps|--check", "--check" },
	   { "record|--json|f", "--json" })

/* The word, not the one before it. */
USAGE_TEST(cluster_of_short_options, { "ps|-xyz", "-xyz" }, { "zombies|-abc|--json", "-abc" })

USAGE_TEST(option_without_value, { "ps|--pid", "--pid" }, { "zombies|--older", "--older" },
	   { "ps|--socket", "--socket" }, { "record|file|--for", "--for" })

USAGE_TEST(unexpected_word, { "ps|word", "word" }, { "zombies|--json|word", "word" },
	   { "status|1", "1" }, { "record|file|word", "word" },
	   { "record|file|--for|1s|word", "word" })

USAGE_TEST(operand_missing, { "record", "FILE" }, { "replay", "FILE" }, { "replay|--json", "FILE" })

USAGE_TEST(unknown_kind, { "tail|--kind|nonsense", "nonsense" },
	   { "tail|--kind|fork,nonsense", "fork,nonsense" }, { "tail|--kind|Fork", "Fork" },
	   { "tail|--kind|,", "," })

USAGE_TEST(malformed_pid, { "ps|--pid|-1", "-1" }, { "ps|--pid|0", "0" }, { "ps|--pid|abc", "abc" },
	   { "ps|--pid|12a", "12a" }, { "ps|--pid|1e9", "1e9" }, { "ps|--pid|0x10", "0x10" },
	   { "ps|--pid|+1", "+1" }, { "ps|--pid| 1", " 1" }, { "ps|--pid|1 ", "1 " },
	   { "ps|--pid|2147483648", "2147483648" },
	   { "ps|--pid|18446744073709551617", "18446744073709551617" }, { "tail|--pid|1.0", "1.0" },
	   { "zombies|--pid|1,2", "1,2" })

USAGE_TEST(malformed_uid, { "ps|--uid|-1", "-1" }, { "ps|--uid|4294967296", "4294967296" },
	   { "ps|--uid|1000x", "1000x" })

USAGE_TEST(malformed_duration, { "zombies|--older|-1s", "-1s" }, { "zombies|--older|abc", "abc" },
	   { "zombies|--older|10", "10" }, { "zombies|--older|1e9", "1e9" },
	   { "zombies|--older|1e9s", "1e9s" }, { "zombies|--older|1.5s", "1.5s" },
	   { "zombies|--older|s", "s" }, { "zombies|--older|10 s", "10 s" },
	   { "zombies|--older|10parsecs", "10parsecs" }, { "zombies|--older|1s1", "1s1" },
	   { "zombies|--older|1S", "1S" },
	   { "zombies|--older|99999999999999999999s", "99999999999999999999s" },
	   { "zombies|--older|9999999999d", "9999999999d" }, { "ps|--older|1s-1s", "1s-1s" },
	   { "record|file|--for|0", "0" }, { "record|file|--for|forever", "forever" })

USAGE_TEST(malformed_number, { "tail|--count|-1", "-1" }, { "tail|--count|many", "many" },
	   { "tail|--count|18446744073709551616", "18446744073709551616" },
	   { "zombies|--check|--warning|x", "x" }, { "zombies|--check|--critical|-1", "-1" },
	   { "replay|--at|now|f", "now" })

/* There is nothing to quote: the option has to be named. */
USAGE_TEST(empty_value, { "ps|--pid|", "pid" }, { "zombies|--older|", "older" },
	   { "tail|--kind|", "kind" }, { "ps|--comm|", "comm" }, { "ps|--socket|", "socket" },
	   { "ps|--unit=", "unit" })

USAGE_TEST(replay_of_what_no_recording_answers, { "replay|file|nonsense", "nonsense" },
	   { "replay|file|record", "record" }, { "replay|file|zombies|word", "word" },
	   { "replay|file|zombies|--nonsense", "--nonsense" })

/* Still one line, and nothing in it that a terminal would obey. */
LT_TEST(badinput, hostile_word)
{
	static const char *const words[] = { "a\nb",	     "\x1b[31mred",	 "\xff\xfe",
					     "\xc2\x9b[31m", "\xe2\x80\xaetxet", "%s%n%s" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct result result;

		run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, words[i]) });
		cr_expect(result.code == 2, "exit %d", result.code);
		cr_expect(is_one_line(result.err), "not one line: \"%s\"", result.err);
		for (const char *p = result.err; *p; p++)
			cr_expect((unsigned char)*p >= 0x20 || *p == '\n', "a control byte");
		cr_expect(!strpbrk(words[i], "\x1b\xff") || !strstr(result.err, words[i]),
			  "raw: %s", result.err);
		result__free(&result);
	}
}

LT_TEST(badinput, huge_word)
{
	static char word[100000];

	memset(word, 'x', sizeof(word) - 1);
	require_complaint(ARGV(LIFETRACE, word), 2, "xxxx");
	require_complaint(ARGV(LIFETRACE, "ps", "--comm", word), 2, "xxxx");
	require_complaint(ARGV(LIFETRACE, "ps", "--pid", word), 2, "xxxx");
}

/* ---- what is not there ---- */

LT_TEST(badinput, no_such_pid)
{
	static const char *const commands[] = { "ps",	 "zombies", "cow", "tree",
						"leaks", "births",  "why" };
	struct lt *lt = lt__start(NULL);

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		require_complaint(ARGV(LIFETRACE, commands[i], "--pid", NO_PID, "--socket",
				       lt__socket(lt)),
				  1, NO_PID);
		require_complaint(ARGV(LIFETRACE, commands[i], "--pid", NO_PID, "--json",
				       "--socket", lt__socket(lt)),
				  1, NO_PID);
	}
	lt__stop(lt);
}

LT_TEST(badinput, no_daemon)
{
	static const char *const commands[] = { "ps",  "zombies", "status", "tail",
						"cow", "tree",	  "leaks",  "births" };

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		require_complaint(ARGV(LIFETRACE, commands[i], "--socket", NO_SOCKET), 1,
				  NO_SOCKET);
	require_complaint(ARGV(LIFETRACE, "record", "/dev/null", "--socket", NO_SOCKET), 1,
			  NO_SOCKET);
	require_complaint(ARGV(LIFETRACE, "zombies", "--check", "--socket", NO_SOCKET), 3,
			  NO_SOCKET);
}

/* A plugin says by its exit status that nobody answers; it does not wait for ever. */
LT_TEST(badinput, check_of_a_daemon_that_hangs)
{
	struct lt *lt = lt__start(NULL);
	struct result result;

	kill(lt__daemon_pid(lt), SIGSTOP);
	run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, "zombies", "--check", "--socket",
						  lt__socket(lt)) });
	kill(lt__daemon_pid(lt), SIGCONT);
	cr_expect(result.code == 3, "exit %d (%d: it hangs)", result.code, JOB_HUNG);
	result__free(&result);
	lt__stop(lt);
}

/* ---- output that goes nowhere ---- */

/* Commands whose output is short, long, endless; S stands for the socket. */
static const char *const outputs[][8] = {
	{ "ps", "--kernel", "--socket", "S" },
	{ "ps", "--kernel", "--json", "--socket", "S" },
	{ "zombies", "--socket", "S" },
	{ "zombies", "--json", "--socket", "S" },
	{ "zombies", "--check", "--warning", "1000", "--critical", "1000", "--socket", "S" },
	{ "status", "--socket", "S" },
	{ "status", "--json", "--socket", "S" },
	{ "tail", "--socket", "S" },
	{ "tail", "--json", "--socket", "S" },
	{ "tree", "--kernel", "--socket", "S" },
	{ "tree", "--json", "--socket", "S" },
	{ "cow", "--all", "--socket", "S" },
	{ "cow", "--watch", "--socket", "S" },
	{ "births", "--socket", "S" },
	{ "leaks", "--watch", "--socket", "S" },
	{ "why", "1", "--socket", "S" },
	{ "--help" },
	{ "--version" },
	{ "ps", "--help" },
};

/* Something for a tail to tell. */
static void make_events(void)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

static const char *const *argv_of(const char *const *words, const struct lt *lt)
{
	static const char *argv[16];
	int n = 0;

	argv[n++] = LIFETRACE;
	for (int i = 0; i < 8 && words[i]; i++)
		argv[n++] = strcmp(words[i], "S") ? words[i] : lt__socket(lt);
	argv[n] = NULL;
	return argv;
}

/* Runs it while things happen; requires CODE and whether it says something. */
static void check_output(const char *const *words, const struct lt *lt, int out, int code,
			 bool says)
{
	struct plan plan = { .argv = argv_of(words, lt), .out = out };
	char *command = words_of(plan.argv), *err;
	struct job job;

	job__start(&job, &plan);
	for (int64_t end = boottime_ns() + 5 * NSEC_PER_SEC;
	     !job__ended(&job) && boottime_ns() < end; lt__pump(20))
		make_events();
	job__wait(&job, 0);
	err = read_fd(job.err, NULL);
	cr_expect(job.code == code, "%s: exit %d, not %d", command, job.code, code);
	if (says)
		cr_expect(is_one_line(err), "%s: not one line: \"%s\"", command, err);
	else
		cr_expect(!*err, "%s: \"%s\"", command, err);
	job__free(&job);
	free(err);
	free(command);
}

LT_TEST(badinput, closed_pipe)
{
	struct lt *lt = lt__start(NULL);

	for (size_t i = 0; i < ARRAY_SIZE(outputs); i++) {
		int fd[2];

		cr_assert(!pipe2(fd, O_CLOEXEC));
		close(fd[0]);
		check_output(outputs[i], lt, fd[1], 0, false);
		close(fd[1]);
	}
	lt__stop(lt);
}

/* The reader goes after the first line. */
LT_TEST(badinput, head)
{
	static const char *const commands[] = { "ps --kernel", "ps --kernel --json", "status",
						"tail", "tail --json" };
	struct lt *lt = lt__start(NULL);

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		char script[1024];
		struct job job;
		char *err;

		snprintf(script, sizeof(script),
			 "%s %s --socket %s | head -1; exit ${PIPESTATUS[0]}", LIFETRACE,
			 commands[i], lt__socket(lt));
		job__start(&job, &(struct plan){ .argv = ARGV("/bin/bash", "-c", script) });
		while (!job__ended(&job))
			make_events();
		err = read_fd(job.err, NULL);
		cr_expect(job.code == 0 && !*err, "%s: exit %d: \"%s\"", commands[i], job.code,
			  err);
		free(err);
		job__free(&job);
	}
	lt__stop(lt);
}

LT_TEST(badinput, full_disk)
{
	struct lt *lt = lt__start(NULL);

	for (size_t i = 0; i < ARRAY_SIZE(outputs); i++) {
		int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

		check_output(outputs[i], lt, fd, 1, true);
		close(fd);
	}
	lt__stop(lt);
}

/* ---- colours ---- */

/* What COMMAND prints to a terminal; to be freed. */
static char *on_terminal(const char *const *argv, const char *const *env)
{
	int master, slave;
	char *text = calloc(1, 1 << 20);
	size_t len = 0;
	struct job job;
	ssize_t n;

	cr_assert(!openpty(&master, &slave, NULL, NULL, NULL), "openpty: %s", strerror(errno));
	fcntl(master, F_SETFD, FD_CLOEXEC);
	fcntl(master, F_SETFL, O_NONBLOCK);
	job__start(&job, &(struct plan){ .argv = argv, .env = env, .out = slave });
	for (bool ended = false; !ended;) {
		ended = job__ended(&job);
		make_events();
		while ((n = read(master, text + len, (1 << 20) - 1 - len)) > 0)
			len += n;
	}
	close(master);
	close(slave);
	job__free(&job);
	text[len] = '\0';
	return text;
}

LT_TEST(badinput, colours)
{
	struct lt *lt = lt__start(NULL);
	const char *const *argv =
		ARGV(LIFETRACE, "tail", "--count", "50", "--socket", lt__socket(lt));
	char *plain = on_terminal(argv, ARGV("NO_COLOR=1", "TERM=xterm"));
	char *dumb = on_terminal(argv, ARGV("TERM=dumb"));
	char *coloured = on_terminal(argv, ARGV("TERM=xterm"));
	struct job job;
	char *text;

	cr_expect(strstr(coloured, "\x1b["), "no colours on a terminal");
	cr_expect(*plain && !strchr(plain, '\x1b'), "colours in spite of NO_COLOR");
	cr_expect(*dumb && !strchr(dumb, '\x1b'), "colours on a dumb terminal");
	job__start(&job, &(struct plan){ .argv = argv });
	while (!job__ended(&job))
		make_events();
	text = read_fd(job.out, NULL);
	cr_expect(*text && !strchr(text, '\x1b'), "colours in a file");
	job__free(&job);
	free(text);
	free(plain);
	free(dumb);
	free(coloured);
	lt__stop(lt);
}

/* ---- help ---- */

LT_TEST(badinput, help_has_examples)
{
	static const char *const commands[] = { "zombies", "ps",     "tail", "status", "record",
						"replay",  "cow",    "tree", "births", "leaks",
						"why",	   "doctor", "top",  "silence" };

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		struct result result;
		char call[64];

		snprintf(call, sizeof(call), "\n  lifetrace %s", commands[i]);
		run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, commands[i], "--help") });
		cr_expect(result.code == 0 && !*result.err, "%s: exit %d: %s", commands[i],
			  result.code, result.err);
		cr_expect(strstr(result.out, "Usage: lifetrace "), "%s: no usage", commands[i]);
		cr_expect(strstr(result.out, "Examples:") && strstr(result.out, call),
			  "%s: no examples: %s", commands[i], result.out);
		cr_expect(!strstr(result.out, "\nColumns:") || strstr(result.out, "--columns "),
			  "%s: columns that cannot be chosen", commands[i]);
		result__free(&result);
		run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, "--help") });
		cr_expect(strstr(result.out, commands[i]), "%s is not in --help", commands[i]);
		result__free(&result);
	}
}

/* Wherever it stands, nothing else is done. */
LT_TEST(badinput, help_of_a_replayed_command)
{
	struct result result;

	run(&result,
	    &(struct plan){ .argv = ARGV(LIFETRACE, "replay", NO_SOCKET, "zombies", "--help") });
	cr_expect(result.code == 0, "exit %d: %s", result.code, result.err);
	cr_expect(strstr(result.out, "Usage:"), "no usage");
	result__free(&result);
}

/* ---- hostile names ---- */

struct name {
	const char *title;
	const char *bytes; /* at most 15 */
	const char *json;  /* as the value of comm */
};

#define REPLACED "\xef\xbf\xbd"

static const struct name names[] = {
	{ "newline", "a\nb", "a\nb" },
	{ "escape code", "\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m" },
	{ "carriage return", "good\rbad", "good\rbad" },
	{ "backspace, bell, delete", "a\b\a\x7f", "a\b\a\x7f" },
	{ "quotes", "\"',\"x\":\"", "\"',\"x\":\"" },
	{ "backslash", "\\n\\\\u0000\\", "\\n\\\\u0000\\" },
	{ "invalid UTF-8",
	  "a\xff\xfe"
	  "b",
	  "a" REPLACED REPLACED "b" },
	{ "cut UTF-8", "1234567890123\xe2\x82", "1234567890123" REPLACED REPLACED },
	{ "overlong UTF-8", "\xc0\xaf", REPLACED REPLACED },
	{ "surrogate", "\xed\xa0\x80", REPLACED REPLACED REPLACED },
	{ "C1 control",
	  "\xc2\x9b"
	  "31m",
	  "\xc2\x9b"
	  "31m" },
	{ "right to left", "\xe2\x80\xaetxt.exe", "\xe2\x80\xaetxt.exe" },
	{ "isolate", "\xe2\x81\xa7x\xe2\x81\xa9", "\xe2\x81\xa7x\xe2\x81\xa9" },
	{ "arabic letter mark", "\xd8\x9cx", "\xd8\x9cx" },
	{ "line separator",
	  "a\xe2\x80\xa8"
	  "b",
	  "a\xe2\x80\xa8"
	  "b" },
	{ "tag", "x\xf3\xa0\x80\x81", "x\xf3\xa0\x80\x81" },
	{ "zero width", "r\xe2\x80\x8boot", "r\xe2\x80\x8boot" },
	{ "wide", "\xe6\xbc\xa2\xe5\xad\x97", "\xe6\xbc\xa2\xe5\xad\x97" },
	{ "parentheses", ") R 1 (x", ") R 1 (x" },
	{ "format", "%s%n%d", "%s%n%d" },
	{ "markup", "<b>&amp;</b>", "<b>&amp;</b>" },
	{ "spaces", "  a  b  ", "  a  b  " },
};

/* The well-formed sequence at *P, which moves past it; -1 for none. */
static long next_char(const char **p)
{
	const unsigned char *s = (const unsigned char *)*p;
	int more = *s < 0x80 ? 0 : *s >= 0xc2 && *s < 0xe0 ? 1 : (*s & 0xf0) == 0xe0 ? 2 : 3;
	long c = more ? *s & (0x3f >> more) : *s;

	if (*s >= 0xf5 || (*s >= 0x80 && *s < 0xc2))
		return -1;
	for (int i = 1; i <= more; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return -1;
		c = c << 6 | (s[i] & 0x3f);
	}
	*p += more + 1;
	return c;
}

/* Controls, and what moves, hides or reorders text: UAX #9, general category Cf. */
static bool is_harmful(long c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xe0000 && c <= 0xe007f);
}

static void require_harmless(const char *title, const char *what, const char *text)
{
	for (const char *p = text; *p;) {
		long c = *p == '\n' ? (p++, ' ') : next_char(&p);

		if (c < 0 || is_harmful(c)) {
			cr_expect_fail("%s: %s holds %ld (U+%04lX)", title, what, c, c);
			return;
		}
	}
}

static int count_lines(const char *text)
{
	int n = 0;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

/* Prints it by COMMAND as text: LINES lines, none of them harmful. */
static void check_text(struct lt *lt, const struct name *name, const char *command, const char *pid,
		       int lines)
{
	struct output output;

	lt__run(lt, &output, command, "--pid", pid, NULL);
	cr_expect(output.code == 0, "%s: %s: exit %d", name->title, command, output.code);
	cr_expect(count_lines(output.out) == lines, "%s: %s: not %d lines: %s", name->title,
		  command, lines, output.out);
	require_harmless(name->title, command, output.out);
	output__free(&output);
}

/* As JSON: the value, and no control byte, as people look at that on terminals too. */
static void check_json(struct lt *lt, const struct name *name, const char *command,
		       const char *array, const char *pid)
{
	struct output output;
	json_t *json, *comm;

	lt__run(lt, &output, command, "--pid", pid, "--json", NULL);
	json = json_loadb(output.out, output.out_len, JSON_REJECT_DUPLICATES, NULL);
	lt_require(json, "%s: %s: no JSON: %s", name->title, command, output.out);
	comm = json_at(json_array_get(json_at(json, array), 0), "comm");
	cr_expect(comm && !strcmp(json_string_value(comm), name->json), "%s: %s: comm is %s",
		  name->title, command, json_string_value(comm));
	for (const char *p = output.out; *p;) {
		long c = next_char(&p);

		lt_require(c == '\n' || (c >= 0x20 && !(c >= 0x7f && c <= 0x9f)),
			   "%s: %s --json holds U+%04lX raw", name->title, command, c);
	}
	json_decref(json);
	output__free(&output);
}

static void check_name(struct lt *lt, const struct name *name, bool by_exec)
{
	struct cast *cast = cast__start("names", name->bytes, by_exec ? "exec" : NULL, NULL);
	char pid[16];
	json_t *row;

	cast__hold(cast, "named");
	snprintf(pid, sizeof(pid), "%s", cast__str(cast, "child", 0));
	check_json(lt, name, "ps", "processes", pid);
	check_text(lt, name, "ps", pid, 2);
	row = lt__row(lt, "ps", atoi(pid));
	if (by_exec)
		cr_expect_str_eq(json_string_value(json_array_get(json_at(row, "args"), 0)),
				 name->json);
	json_decref(row);
	cast__go(cast);
	cast__hold(cast, "zombie");
	json_decref(lt__await_row(lt, "zombies", atoi(pid), "state=zombie"));
	check_json(lt, name, "zombies", "zombies", pid);
	check_text(lt, name, "zombies", pid, 2);
	cast__free(cast);
}

LT_TEST(hostile, name_by_prctl)
{
	struct lt *lt = lt__start(NULL);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		check_name(lt, &names[i], false);
	lt__stop(lt);
}

LT_TEST(hostile, name_by_exec)
{
	struct lt *lt = lt__start(NULL);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strchr(names[i].bytes, '/')) /* it becomes a file's name */
			check_name(lt, &names[i], true);
	lt__stop(lt);
}

/* All that happened, as text and as lines of JSON. */
LT_TEST(hostile, tail)
{
	struct lt *lt = lt__start(NULL);
	struct job text, json;
	struct cast *cast;
	char *out;

	job__start(&text,
		   &(struct plan){ .argv = ARGV(LIFETRACE, "tail", "--socket", lt__socket(lt)) });
	job__start(&json, &(struct plan){ .argv = ARGV(LIFETRACE, "tail", "--json", "--socket",
						       lt__socket(lt)) });
	lt__tail(lt);
	job__await_lines(&text);
	job__await_lines(&json);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		cast = cast__start("names", names[i].bytes,
				   strchr(names[i].bytes, '/') ? NULL : "exec", NULL);
		cast__hold(cast, "named");
		cast__go(cast);
		cast__hold(cast, "zombie");
		cast__free(cast);
	}
	lt__fence(lt);
	pass_time(300 * NSEC_PER_MSEC);
	kill(text.pid, SIGTERM);
	kill(json.pid, SIGTERM);
	cr_expect(job__wait(&text, LT_DEADLINE_NS) == 0 && job__wait(&json, LT_DEADLINE_NS) == 0,
		  "exit %d and %d", text.code, json.code);
	out = read_fd(text.out, NULL);
	require_harmless("all", "tail", out);
	free(out);
	out = read_fd(json.out, NULL);
	for (char *save = NULL, *line = strtok_r(out, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		json_t *event = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

		lt_require(json_is_object(event), "no JSON: %s", line);
		json_decref(event);
	}
	free(out);
	job__free(&text);
	job__free(&json);
	lt__stop(lt);
}

/* In a locale that cannot show it, whatever it is, it is still not obeyed. */
LT_TEST(hostile, text_in_the_C_locale)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast = cast__start("names",
					"\xc2\x9b"
					"31m\x1b[1m",
					NULL);
	struct result result;

	cast__hold(cast, "named");
	run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, "ps", "--socket", lt__socket(lt),
						  "--pid", cast__str(cast, "child", 0)),
				     .env = ARGV("LC_ALL=C") });
	cr_expect(result.code == 0 && count_lines(result.out) == 2, "exit %d: %s", result.code,
		  result.out);
	require_harmless("C locale", "ps", result.out);
	result__free(&result);
	cast__go(cast);
	cast__free(cast);
	lt__stop(lt);
}
