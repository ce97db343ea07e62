/*
 * Births and programs: fork and its two returns, who is parent and creator,
 * pid namespaces, exec, names; against what the programs and /proc say.
 */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether a JSON array of strings has WORD. */
static bool has_word(const json_t *array, const char *word)
{
	json_t *value;
	size_t i;

	json_array_foreach(array, i, value)
		if (!strcmp(json_string_value(value), word))
			return true;
	return false;
}

/* The link /proc/PID/exe. */
static char *proc_exe(pid_t pid, char *exe, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, exe, size - 1);
	lt_require(n > 0, "%s", path);
	exe[n] = '\0';
	return exe;
}

static void check_fork(const char *way, bool by_leader)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	json_t *event, *row;
	const char *parent_id, *id;
	char exe[512];
	pid_t pid;

	lt__tail(lt);
	cast = cast__start("forks", way, NULL);
	cast__hold(cast, "alive");
	pid = cast__int(cast, "child", 0);
	lt_require(cast__int(cast, "child.pid", 0) == pid, "fork's two returns");
	lt_require(cast__int(cast, "child.returned", 0) == 0, "fork's two returns");
	parent_id = lt__id(lt, cast__pid(cast));
	id = lt__id(lt, pid);
	check_id(id, pid);
	check_id(parent_id, cast__pid(cast));

	event = lt__await_event(lt, id, "fork", 0);
	expect(event, "pid=%d ppid=%d parent_id=%s parent_comm=forks comm=forks born_of=null", pid,
	       cast__pid(cast), parent_id);
	expect(event, "parent_tid=%d parent_level_pid=%d ns_pid=%d exit_signal=SIGCHLD uid=0",
	       (int)cast__int(cast, "creator.tid", 0), pid, pid);
	expect(event, "kernel=false");
	lt_require(by_leader == (int_at(event, "parent_tid") == cast__pid(cast)), "parent_tid");

	row = lt__await_row(lt, "ps", pid, "state=running");
	expect(row, "id=%s ppid=%d parent_id=%s comm=forks exe=%s exit=null inferred=false", id,
	       cast__pid(cast), parent_id, proc_exe(pid, exe, sizeof(exe)));
	expect(row, "orphan=false adopted_by=null reaped_by=null born_of=null exited_ns=null");
	expect(row, "first_parent_id=%s kernel=false uid=0 ns_pid=%d", parent_id, pid);
	json_decref(row);
	row = lt__row(lt, "ps", cast__pid(cast));
	expect(row, "children.alive=1 children.zombies=0");
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(births, fork_and_its_two_returns)
{
	check_fork("fork", true);
}

LT_TEST(births, fork_by_another_thread)
{
	check_fork("thread", false);
}

LT_TEST(births, vfork)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	json_t *event;

	lt__tail(lt);
	cast = cast__start("forks", "vfork", NULL);
	cast__end(cast);
	event = lt__await_event(lt, lt__id(lt, cast__int(cast, "child", 0)), "fork", 0);
	expect(event, "ppid=%d exit_signal=SIGCHLD", cast__pid(cast));
	lt_require(has_word(json_at(event, "clone_flags"), "CLONE_VFORK") &&
			   has_word(json_at(event, "clone_flags"), "CLONE_VM"),
		   "clone_flags");
	cast__free(cast);
	lt__stop(lt);
}

/* The creator is not the parent: born_of names it. */
LT_TEST(births, clone_parent)
{
	struct lt *lt = lt__start(NULL);
	const char *parent_id, *creator_id;
	struct cast *cast;
	json_t *event, *row;
	pid_t pid;

	lt__tail(lt);
	cast = cast__start("forks", "parent", NULL);
	cast__hold(cast, "alive");
	pid = cast__int(cast, "child", 0);
	parent_id = lt__id(lt, cast__pid(cast));
	creator_id = lt__id(lt, cast__int(cast, "creator.pid", 0));
	lt_require(cast__int(cast, "child.ppid", 0) == cast__pid(cast), "not a sibling");
	event = lt__await_event(lt, lt__id(lt, pid), "fork", 0);
	expect(event, "ppid=%d parent_id=%s born_of=%s", cast__pid(cast), parent_id, creator_id);
	lt_require(has_word(json_at(event, "clone_flags"), "CLONE_PARENT"), "clone_flags");
	row = lt__await_row(lt, "ps", pid, "state=running");
	expect(row, "ppid=%d parent_id=%s first_parent_id=%s born_of=%s orphan=false",
	       cast__pid(cast), parent_id, parent_id, creator_id);
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}

static void check_exit_signal(const char *number, const char *name)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	json_t *row;
	pid_t pid;

	lt__tail(lt);
	cast = cast__start("clonesig", number, NULL);
	cast__hold(cast, "zombie");
	pid = cast__int(cast, "child", 0);
	expect(lt__await_event(lt, lt__id(lt, pid), "fork", 0), "exit_signal=%s", name);
	row = lt__await_row(lt, "zombies", pid, "state=zombie");
	expect(row, "ppid=%d exit.how=exited exit.status=13 autoreaped=false", cast__pid(cast));
	json_decref(row);
	cast__end(cast);
	lt_require(!strcmp(cast__str(cast, "wait.how", 0), "ECHILD"), "reaped without __WALL");
	check_reaped(lt, cast, pid, 1);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(births, exit_signal_usr1)
{
	check_exit_signal("10", "SIGUSR1");
}

LT_TEST(births, exit_signal_none)
{
	check_exit_signal("0", "null");
}

/* "1234 2 1": the pid in the outermost namespace, and in its own. */
static void check_nspid(struct lt *lt, struct cast *cast, const char *who, const char *fork_key)
{
	char key[64];
	const char *all, *own;
	int host, level_pid;
	json_t *event, *row;

	snprintf(key, sizeof(key), "%s.nspid", who);
	all = cast__str(cast, key, 0);
	host = atoi(all);
	own = strrchr(all, ' ') + 1;
	level_pid = fork_key ? (int)cast__int(cast, fork_key, 0) : 0;
	event = lt__await_event(lt, lt__id(lt, host), "fork", 0);
	expect(event, "pid=%d ns_pid=%s", host, own);
	if (fork_key)
		expect(event, "parent_level_pid=%d", level_pid);
	row = lt__await_row(lt, "ps", host, "state=running");
	expect(row, "ns_pid=%s", own);
	json_decref(row);
}

LT_TEST(births, nested_pid_namespaces)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	static const struct {
		const char *who, *wait_status;
	} levels[] = { { "level1", "30" }, { "level2", "31" }, { "level3", "32" } };

	lt__tail(lt);
	cast = cast__start("nspid", "nested", "3", NULL);
	cast__hold(cast, "nested");
	check_nspid(lt, cast, "level1", "level1.fork");
	check_nspid(lt, cast, "level2", "level2.fork");
	check_nspid(lt, cast, "level3", "level3.fork");
	cast__end(cast);
	for (int i = 0; i < 3; i++) {
		char key[32];
		const char *id;

		snprintf(key, sizeof(key), "%s.nspid", levels[i].who);
		id = lt__id(lt, cast__int(cast, key, 0));
		expect(lt__await_event(lt, id, "exit", 0), "exit.how=exited exit.status=%s",
		       levels[i].wait_status);
		lt__await_event(lt, id, "reap", 0);
		lt__fence(lt);
		lt_require(lt__count(lt, id, "exit") == 1 && lt__count(lt, id, "reap") == 1,
			   "%s: not one exit and one reap", levels[i].who);
	}
	cast__free(cast);
	lt__stop(lt);
}

/* NAME.nspid is "1234 2 1"; strtoll takes the first. */
static const char *id_in_namespace(struct lt *lt, struct cast *cast, const char *key)
{
	return lt__id(lt, cast__int(cast, key, 0));
}

LT_TEST(births, adopted_by_a_namespaces_init)
{
	struct lt *lt = lt__start(NULL);
	const char *init_id, *child_id;
	struct cast *cast;
	json_t *row;

	lt__tail(lt);
	cast = cast__start("nspid", "adopt", NULL);
	cast__hold(cast, "born");
	cast__go(cast);
	cast__hold(cast, "adopted");
	init_id = id_in_namespace(lt, cast, "init.nspid");
	child_id = id_in_namespace(lt, cast, "child.nspid");
	expect(lt__await_event(lt, child_id, "orphan", 0), "adopted_by=%s", init_id);
	row = lt__await_row(lt, "ps", cast__int(cast, "child.nspid", 0), "orphan=true");
	expect(row, "adopted_by=%s parent_id=%s ppid=%d", init_id, init_id,
	       (int)cast__int(cast, "init.nspid", 0));
	json_decref(row);
	cast__end(cast);
	expect(lt__await_event(lt, child_id, "exit", 0), "exit.how=exited exit.status=4");
	expect(lt__await_event(lt, child_id, "reap", 0), "reaped_by=%s", init_id);
	cast__free(cast);
	lt__stop(lt);
}

/* The namespace's init dies: the kernel kills and reaps all others in it. */
LT_TEST(births, zapped_pid_namespace)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	const char *id, *init_id;

	lt__tail(lt);
	cast = cast__start("nspid", "zap", NULL);
	cast__hold(cast, "born");
	id = id_in_namespace(lt, cast, "child.nspid");
	init_id = id_in_namespace(lt, cast, "init.nspid");
	cast__end(cast);
	expect(lt__await_event(lt, init_id, "exit", 0), "exit.how=exited exit.status=3");
	expect(lt__await_event(lt, init_id, "reap", 0), "reaped_by=%s",
	       lt__id(lt, cast__pid(cast)));
	expect(lt__await_event(lt, id, "exit", 0), "exit.how=killed exit.signal=SIGKILL");
	lt__require_no_zombie(lt, cast__int(cast, "child.nspid", 0));
	lt_require(lt__count(lt, id, "exit") == 1, "%d exits", lt__count(lt, id, "exit"));
	lt_require(lt__count(lt, id, "reap") + lt__count(lt, id, "autoreap") == 1,
		   "%d reaps, %d autoreaps", lt__count(lt, id, "reap"),
		   lt__count(lt, id, "autoreap"));
	cast__free(cast);
	lt__stop(lt);
}

/* --- exec --- */

LT_TEST(births, exec)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	json_t *event, *row, *args;
	const char *id;
	pid_t pid;

	lt__tail(lt);
	cast = cast__start("execs", "two words", "a\"b", NULL);
	cast__hold(cast, "executed");
	pid = cast__int(cast, "child", 0);
	id = lt__id(lt, pid);
	check_id(id, pid);
	event = lt__await_event(lt, id, "exec", 0);
	expect(event, "exe=%s comm=execs comm_before=execs args_truncated=false by_tid=%d uid=0",
	       cast__str(cast, "after.exe", 0), pid);
	args = json_at(event, "args");
	lt_require(json_array_size(args) == 4 &&
			   !strcmp(json_string_value(json_array_get(args, 0)),
				   cast__str(cast, "after.exe", 0)) &&
			   !strcmp(json_string_value(json_array_get(args, 1)), "--after") &&
			   !strcmp(json_string_value(json_array_get(args, 2)), "two words") &&
			   !strcmp(json_string_value(json_array_get(args, 3)), "a\"b"),
		   "args");
	row = lt__await_row(lt, "ps", pid, "state=running");
	lt_require(json_equal(json_at(row, "args"), args), "the row's args");
	lt_require(int_at(row, "exec_ns") == int_at(event, "exec_ns"), "exec_ns");
	expect(row, "exe=%s args_truncated=false", cast__str(cast, "after.exe", 0));
	json_decref(row);
	cast__end(cast);
	check_all_reaped(lt, cast);
	lt_require(lt__count(lt, id, "exec") == 1, "%d execs", lt__count(lt, id, "exec"));
	cast__free(cast);
	lt__stop(lt);
}

/* The thread takes the leader's pid: the same process goes on. */
LT_TEST(births, exec_by_another_thread)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	const char *id;
	pid_t pid;

	lt__tail(lt);
	cast = cast__start("execs", "thread", NULL);
	cast__hold(cast, "executed");
	pid = cast__int(cast, "child", 0);
	id = lt__id(lt, pid);
	check_id(id, pid);
	lt_require(cast__int(cast, "after.pid", 0) == pid, "not the same process");
	expect(lt__await_event(lt, id, "exec", 0), "pid=%d by_tid=%d", pid,
	       (int)cast__int(cast, "exec.tid", 0));
	lt__fence(lt);
	lt_require(lt__count(lt, id, "exit") == 0, "an exec is no exit");
	json_decref(lt__await_row(lt, "ps", pid, "state=running"));
	cast__end(cast);
	check_all_reaped(lt, cast);
	cast__free(cast);
	lt__stop(lt);
}

static size_t args_bytes(const json_t *args)
{
	size_t n = 0, i;
	json_t *arg;

	json_array_foreach(args, i, arg)
		n += json_string_length(arg) + 1;
	return n;
}

/* 256 bytes of arguments are taken; what does not fit is said to be missing. */
LT_TEST(births, long_args)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	char longest[1001];
	json_t *event, *args;
	const char *last;

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	lt__tail(lt);
	cast = cast__start("execs", "first", longest, "last", NULL);
	cast__hold(cast, "executed");
	event = lt__await_event(lt, lt__id(lt, cast__int(cast, "child", 0)), "exec", 0);
	expect(event, "args_truncated=true");
	args = json_at(event, "args");
	lt_require(json_array_size(args) == 4 && args_bytes(args) <= 257 && args_bytes(args) >= 250,
		   "%zu args, %zu bytes", json_array_size(args), args_bytes(args));
	last = json_string_value(json_array_get(args, 3));
	lt_require(!strncmp(last, longest, strlen(last)), "last argument %s", last);
	cast__free(cast);
	lt__stop(lt);
}

/* The last length that fits is not truncated, and one more is. */
LT_TEST(births, args_at_the_limit)
{
	char path[512], *real = realpath(cast__path("execs", path, sizeof(path)), NULL), fits[300];
	size_t used = strlen(real) + 1 + sizeof("--after");
	struct lt *lt;

	free(real);
	if (used > 200)
		cr_skip_test("the path of the cast is too long");
	lt = lt__start(NULL);
	lt__tail(lt);
	memset(fits, 'y', sizeof(fits));
	for (int more = -1; more <= 2; more++) {
		/* With 257, only the last NUL is missing: either answer is right. */
		size_t n = 256 - used - 1 + more;
		struct cast *cast;
		json_t *event;

		fits[n] = '\0';
		cast = cast__start("execs", fits, NULL);
		fits[n] = 'y';
		cast__hold(cast, "executed");
		event = lt__await_event(lt, lt__id(lt, cast__int(cast, "child", 0)), "exec", 0);
		if (more != 1)
			expect(event, "args_truncated=%s", more == 2 ? "true" : "false");
		lt_require(json_is_true(json_at(event, "args_truncated")) ||
				   json_string_length(json_array_get(json_at(event, "args"), 2)) ==
					   n,
			   "cut, and not said, with %zu bytes", used + n + 1);
		cast__free(cast);
	}
	lt__stop(lt);
}

/* --- names --- */

LT_TEST(births, name_by_prctl)
{
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	json_t *row;
	const char *id;
	pid_t pid;

	lt__tail(lt);
	cast = cast__start("names", "renamed", NULL);
	cast__hold(cast, "named");
	pid = cast__int(cast, "child", 0);
	id = lt__id(lt, pid);
	expect(lt__await_event(lt, id, "fork", 0), "comm=names");
	cast__go(cast);
	cast__hold(cast, "zombie");
	expect(lt__await_event(lt, id, "exit", 0), "comm=renamed");
	row = lt__await_row(lt, "zombies", pid, "state=zombie");
	expect(row, "comm=renamed parent_comm=names");
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}

/* Nothing of a name reaches a terminal: one line a row, no control character, UTF-8. */
static void check_printable(const struct output *output)
{
	const unsigned char *p = (const unsigned char *)output->out;

	for (size_t i = 0; i < output->out_len; i++)
		lt_require(p[i] == '\n' || (p[i] >= ' ' && p[i] != 0x7f), "byte 0x%02x in: %s",
			   p[i], output->out);
	lt_require(json_string(output->out), "not UTF-8");
}

static int lines(const struct output *output)
{
	int n = 0;

	for (size_t i = 0; i < output->out_len; i++)
		n += output->out[i] == '\n';
	return n;
}

static void check_hostile(const char *name, const char *how)
{
	static const char *const commands[] = { "zombies", "ps" };
	struct lt *lt = lt__start(NULL);
	struct output output;
	struct cast *cast;
	pid_t pid;

	lt__tail(lt);
	cast = cast__start("names", name, how, NULL);
	cast__hold(cast, "named");
	pid = cast__int(cast, "child", 0);
	json_decref(lt__await_row(lt, "ps", pid, "state=running"));
	cast__go(cast);
	cast__hold(cast, "zombie");
	json_decref(lt__await_row(lt, "zombies", pid, "state=zombie exit.status=8"));
	for (int i = 0; i < 2; i++) {
		lt__run(lt, &output, commands[i], NULL);
		lt_require(output.code == 0, "%s: exit %d", commands[i], output.code);
		check_printable(&output);
		output__free(&output);
	}
	lt__run(lt, &output, "zombies", "--pid", cast__str(cast, "child", 0), NULL);
	lt_require(lines(&output) <= 3, "more than heading, row and sum:\n%s", output.out);
	output__free(&output);
	cast__end(cast);
	check_all_reaped(lt, cast);
	cast__free(cast);
	lt__stop(lt);
}

#define HOSTILE(name, text)                               \
	LT_TEST(births, hostile_comm_##name)              \
	{                                                 \
		check_hostile(text, NULL);                \
	}                                                 \
	LT_TEST(births, hostile_file_and_argument_##name) \
	{                                                 \
		check_hostile(text, "exec");              \
	}

HOSTILE(newline, "two\nlines")
HOSTILE(escape, "\033[31mred\a")
HOSTILE(invalid_utf8, "\xff\xfe\xc3")
HOSTILE(quote, "\"},{\"")
HOSTILE(parenthesis, ") Z 1 (")
HOSTILE(c1_control, "\xc2\x9b"
		    "31m")
