/*
 * Copy-on-write: what lifetrace counts of a process, against the page frames
 * that /proc/PID/pagemap showed before and after, and against the kernel's own
 * delay accounting.
 */
#include "event.h"
#include "harness.h"

#include <glob.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 2000
#define PAGES_TEXT "2000"

struct counts {
	int64_t copies, reuses;
};

/* A daemon that observes copy-on-write; skips the test where none can. */
static struct lt *start_observing(const char *option, const char *value)
{
	struct lt *lt = lt__start("--cow", "auto", option, value, NULL);
	char *hook = lt__hook(lt, "cow");

	if (!strncmp(hook, "off", 3)) {
		lt__stop(lt);
		cr_skip_test("copy-on-write cannot be observed here: %s", hook);
	}
	free(hook);
	return lt;
}

static struct counts counts_of(struct lt *lt, pid_t pid)
{
	json_t *row = lt__row(lt, "ps", pid);
	struct counts counts;

	lt_require(row, "%d is not in ps", pid);
	counts.copies = int_at(row, "cow.copies");
	counts.reuses = int_at(row, "cow.reuses");
	json_decref(row);
	return counts;
}

/* Lets the actor act, and says what each of N daemons counted of it meanwhile. */
static void count_act_by(struct lt *const lts[], struct counts counts[], size_t n,
			 struct cast *cast)
{
	pid_t actor;

	cast__hold(cast, "warm");
	cast__go(cast);
	cast__hold(cast, "ready");
	actor = (pid_t)cast__int(cast, "actor", 0);
	for (size_t i = 0; i < n; i++)
		counts[i] = counts_of(lts[i], actor);
	cast__go(cast);
	cast__hold(cast, "done");
	for (size_t i = 0; i < n; i++) {
		struct counts after = counts_of(lts[i], actor);

		counts[i].copies = after.copies - counts[i].copies;
		counts[i].reuses = after.reuses - counts[i].reuses;
	}
	cast__go(cast);
	cast__end(cast);
}

static struct counts count_act(struct lt *lt, struct cast *cast)
{
	struct counts counts;

	count_act_by(&lt, &counts, 1, cast);
	return counts;
}

/* What the page frames said. */
static int64_t moved(struct cast *cast)
{
	return cast__int(cast, "moved", 0);
}

/* Exactly the pages that moved, which are as many as were written. */
static void check_copies(const char *act, int64_t pages)
{
	struct lt *lt = start_observing(NULL, NULL);
	struct cast *cast = cast__start("cow", act, PAGES_TEXT, NULL);
	struct counts counts = count_act(lt, cast);

	lt_require(moved(cast) == pages, "%s: %lld pages moved", act, (long long)moved(cast));
	lt_require(counts.copies == pages, "%s: %lld copies of %lld", act, (long long)counts.copies,
		   (long long)pages);
	lt_require(counts.reuses <= 2, "%s: %lld reuses", act, (long long)counts.reuses);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(cow, child_writes)
{
	check_copies("child", PAGES);
}

LT_TEST(cow, parent_writes)
{
	check_copies("parent", PAGES);
}

LT_TEST(cow, read_copies_nothing)
{
	check_copies("read", 0);
}

LT_TEST(cow, kernel_writes_for_read)
{
	check_copies("syscall", PAGES);
}

LT_TEST(cow, small_pages)
{
	check_copies("small", PAGES);
}

/* A page of zeroes is given up for one of its own: the kernel fills one. */
LT_TEST(cow, zero_page)
{
	check_copies("zero", PAGES);
}

LT_TEST(cow, shared_memory_counts_nothing)
{
	check_copies("shared", 0);
}

LT_TEST(cow, shared_file_counts_nothing)
{
	char *hook;
	struct lt *lt = start_observing(NULL, NULL);

	hook = lt__hook(lt, "cow");
	lt__stop(lt);
	if (strstr(hook, "shared mappings count"))
		cr_skip_test("before Linux 5.17 %s", hook);
	free(hook);
	check_copies("file", 0);
}

/* 64fe24a3e05e ("mm/mprotect: try avoiding write faults ...", 6.0) */
static bool makes_writable_at_once(void)
{
	struct utsname kernel;

	return !uname(&kernel) && strtol(kernel.release, NULL, 10) >= 6;
}

LT_TEST(cow, mprotect_counts_nothing)
{
	if (!makes_writable_at_once())
		cr_skip_test(
			"before Linux 6.0 the kernel takes such writes for writes to shared pages");
	check_copies("mprotect", 0);
}

LT_TEST(cow, reuse_when_the_child_is_gone)
{
	struct lt *lt = start_observing(NULL, NULL);
	struct cast *cast = cast__start("cow", "reuse", PAGES_TEXT, NULL);
	struct counts counts = count_act(lt, cast);

	lt_require(moved(cast) == 0, "%lld pages moved", (long long)moved(cast));
	lt_require(counts.copies == 0, "%lld copies", (long long)counts.copies);
	lt_require(counts.reuses >= PAGES && counts.reuses <= PAGES + 2, "%lld reuses",
		   (long long)counts.reuses);
	cast__free(cast);
	lt__stop(lt);
}

#define DAEMONS 2

/* Somebody else's may look up at every fault, and leave none to ours. */
static bool are_alone(void)
{
	char comm[LT_COMM_LEN];
	glob_t files;
	int count = 0;

	lt_require(!glob("/proc/[0-9]*/comm", 0, NULL, &files), "/proc");
	for (size_t i = 0; i < files.gl_pathc; i++) {
		FILE *file = fopen(files.gl_pathv[i], "re");

		count += file && fgets(comm, sizeof(comm), file) && !strcmp(comm, "lifetraced\n");
		if (file)
			fclose(file);
	}
	globfree(&files);
	return count == DAEMONS;
}

/* They look up the area in the same faults, and the kernel lets but one of them do it at a time. */
static void check_several(const char *act, int64_t copies, int64_t reuses)
{
	struct counts counts[DAEMONS];
	struct lt *lts[DAEMONS];
	struct cast *cast;
	bool exact = true, alone;

	for (size_t i = 0; i < DAEMONS; i++)
		lts[i] = start_observing(NULL, NULL);
	alone = are_alone();
	cast = cast__start("cow", act, PAGES_TEXT, NULL);
	count_act_by(lts, counts, DAEMONS, cast);
	alone &= are_alone();
	lt_require(moved(cast) == copies, "%lld pages moved", (long long)moved(cast));
	for (size_t i = 0; i < DAEMONS; i++)
		exact &= counts[i].copies == copies && counts[i].reuses >= reuses &&
			 counts[i].reuses <= reuses + 2;
	if (!exact && !alone)
		cr_skip_test("another daemon runs on this host");
	lt_require(exact, "%s: %lld and %lld copies, %lld and %lld reuses", act,
		   (long long)counts[0].copies, (long long)counts[1].copies,
		   (long long)counts[0].reuses, (long long)counts[1].reuses);
	cast__free(cast);
	for (size_t i = DAEMONS; i--;)
		lt__stop(lts[i]);
}

LT_TEST(cow, several_daemons_see_the_same_reuses)
{
	check_several("reuse", 0, PAGES);
}

LT_TEST(cow, several_daemons_see_the_same_reuses_here_and_there)
{
	check_several("apart", 0, PAGES);
}

LT_TEST(cow, several_daemons_see_the_same_copies)
{
	check_several("child", PAGES, 0);
}

LT_TEST(cow, several_daemons_count_no_shared_file)
{
	check_several("file", 0, 0);
}

/* Each thread also writes to a page or two of its own stack. */
LT_TEST(cow, threads_write)
{
	struct lt *lt = start_observing(NULL, NULL);
	struct cast *cast = cast__start("cow", "threads", "20000", NULL);
	struct counts counts = count_act(lt, cast);

	lt_require(moved(cast) == 20000, "%lld pages moved", (long long)moved(cast));
	lt_require(counts.copies >= 20000 && counts.copies <= 20000 + 64 * 4, "%lld copies",
		   (long long)counts.copies);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(cow, huge_pages)
{
	struct lt *lt = start_observing(NULL, NULL);
	struct cast *cast = cast__start("cow", "huge", "2048", NULL);
	bool had_huge = cast__int(cast, "huge_kib", 0) >= 4 * 2048;
	struct counts counts = count_act(lt, cast);
	int64_t pages = moved(cast);

	cast__free(cast);
	lt__stop(lt);
	if (!had_huge)
		cr_skip_test("the kernel gave no huge pages");
	cr_assert_eq(pages, 2048, "%lld pages moved", (long long)pages);
	cr_assert_eq(counts.copies, 2048, "%lld copies", (long long)counts.copies);
}

/* --- against the kernel's delay accounting --- */

static void check_wpcopy(const char *act)
{
	struct guard *guard;
	struct lt *lt;
	struct cast *cast;
	struct counts counts;
	int64_t wpcopy;

	if (access("/proc/sys/kernel/task_delayacct", W_OK))
		cr_skip_test("the kernel has no delay accounting (kernel.task_delayacct)");
	guard = guard__set("/proc/sys/kernel/task_delayacct", "1");
	lt = start_observing(NULL, NULL);
	cast = cast__start("cow", act, PAGES_TEXT, NULL);
	counts = count_act(lt, cast);
	guard__restore(guard);
	if (!cast__count(cast, "wpcopy"))
		cr_skip_test("the kernel's taskstats have no wpcopy_count (5.19)");
	wpcopy = cast__int(cast, "wpcopy", 0);
	lt_require(llabs(counts.copies - wpcopy) * 100 <= wpcopy,
		   "%s: %lld copies, wpcopy_count %lld", act, (long long)counts.copies,
		   (long long)wpcopy);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(cow, agrees_with_delay_accounting)
{
	check_wpcopy("child");
}

LT_TEST(cow, agrees_with_delay_accounting_on_zero_pages)
{
	check_wpcopy("zero");
}

/* --- a command that goes on until it is ended --- */

struct run {
	FILE *lines;
	pid_t pid;
};

/* `lifetrace COMMAND OPTION PID`, and --json or what else is said last. */
static struct run run__start(struct lt *lt, const char *command, const char *option, int64_t pid,
			     const char *last)
{
	char path[512], number[16];
	int pair[2];
	struct run run;

	snprintf(path, sizeof(path), "%s/bin/lifetrace", LT_BIN_DIR);
	snprintf(number, sizeof(number), "%lld", (long long)pid);
	lt_require(!pipe(pair), "pipe");
	run.pid = fork();
	if (!run.pid) {
		dup2(pair[1], STDOUT_FILENO);
		close(pair[0]);
		close(pair[1]);
		execl(path, path, command, option, number, "--socket", lt__socket(lt), last, NULL);
		_exit(127);
	}
	close(pair[1]);
	run.lines = fdopen(pair[0], "r");
	lt_require(run.lines, "fdopen");
	return run;
}

/* Its exit status, or 128 and the signal. */
static int run__end(struct run *run, int sig)
{
	int raw;

	kill(run->pid, sig);
	fclose(run->lines);
	waitpid(run->pid, &raw, 0);
	return WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
}

/* --- what is shown --- */

static json_t *fork_row(struct lt *lt, pid_t child)
{
	char pid[16];
	json_t *document, *row = NULL, *each;
	size_t i;

	snprintf(pid, sizeof(pid), "%d", child);
	document = lt__json(lt, NULL, "cow", pid, NULL);
	json_array_foreach(json_at(document, "forks"), i, each)
		if (json_integer_value(json_object_get(each, "pid")) == child)
			row = json_incref(each);
	json_decref(document);
	lt_require(row, "cow %d has no row of that child", child);
	return row;
}

static int64_t children_of(struct lt *lt, pid_t parent, int64_t pids[], size_t room)
{
	char pid[16];
	json_t *document, *each;
	size_t i, count = 0;

	snprintf(pid, sizeof(pid), "%d", parent);
	document = lt__json(lt, NULL, "cow", pid, NULL);
	json_array_foreach(json_at(document, "forks"), i, each)
		if (int_at(each, "ppid") == parent && count < room)
			pids[count++] = int_at(each, "pid");
	json_decref(document);
	return (int64_t)count;
}

/* The parent's copies are its fork's, also when the child is gone. */
LT_TEST(cow, fork_is_charged_with_the_parents_copies)
{
	struct lt *lt = start_observing(NULL, NULL);
	struct cast *cast = cast__start("cow", "parent", PAGES_TEXT, NULL);
	int64_t child;
	json_t *row;

	cast__hold(cast, "warm");
	lt_require(children_of(lt, cast__pid(cast), &child, 1) == 1, "not one fork");
	cast__go(cast);
	cast__hold(cast, "ready");
	cast__go(cast);
	cast__hold(cast, "done");
	row = fork_row(lt, (pid_t)child);
	expect(row, "ppid=%d parent_comm=cow comm=cow ended_ns=null end=null state=running",
	       cast__pid(cast));
	lt_require(int_at(row, "parent_cow.copies") >= PAGES, "parent's copies");
	lt_require(int_at(row, "parent_cow.copies") < PAGES + 100, "parent's copies");
	lt_require(int_at(row, "cow.copies") < 100, "child's copies");
	lt_require(int_at(row, "shared_pages") >= PAGES, "shared_pages");
	lt_require(int_at(row, "fork.pagetable_bytes") > 0, "pagetable_bytes");
	lt_require(int_at(row, "copied_pages") ==
			   int_at(row, "parent_cow.copies") + int_at(row, "cow.copies"),
		   "copied_pages is no sum");
	lt_require(int_at(row, "copied_bytes") ==
			   int_at(row, "copied_pages") * sysconf(_SC_PAGESIZE),
		   "copied_bytes");
	json_decref(row);
	cast__go(cast);
	cast__end(cast);
	lt__fence(lt);
	row = fork_row(lt, (pid_t)child);
	expect(row, "end=exit");
	lt_require(int_at(row, "parent_cow.copies") >= PAGES, "gone with the child");
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}

#define MIB (1 << 20)

/* What a line of `cow` says in words of a fork. */
struct words {
	double took, copied, by_parent; /* in the units below */
	char unit[8], by_unit[8];
};

static bool words__read(struct words *words, const char *line, pid_t parent, pid_t child)
{
	char begin[64];
	const char *fact;

	snprintf(begin, sizeof(begin), "%d cow -> %d cow, ", parent, child);
	fact = strncmp(line, begin, strlen(begin)) ? NULL : strstr(line, "fork took ");
	return fact &&
	       sscanf(fact, "fork took %lf %*[^;]; %lf %7s copied since, %lf %7s by the parent",
		      &words->took, &words->copied, words->unit, &words->by_parent,
		      words->by_unit) == 5;
}

static bool wrote_all(const struct words *words)
{
	double page_mib = (double)sysconf(_SC_PAGESIZE) / MIB;

	return !strcmp(words->unit, "MiB") && !strcmp(words->by_unit, "MiB") &&
	       words->by_parent >= PAGES * page_mib - 0.1 &&
	       words->by_parent <= (PAGES + 100) * page_mib + 0.1;
}

/* At a glance: how long it took, what was copied since, and how much of it by the parent. */
LT_TEST(cow, in_words_anew_every_second)
{
	struct lt *lt = start_observing("--syscall-hooks", "always");
	struct cast *cast = cast__start("cow", "parent", PAGES_TEXT, NULL);
	double page_mib = (double)sysconf(_SC_PAGESIZE) / MIB;
	struct words words = { 0 };
	char line[512];
	struct run run;
	int64_t child;
	int code;

	cast__hold(cast, "warm");
	lt_require(children_of(lt, cast__pid(cast), &child, 1) == 1, "not one fork");
	cast__go(cast);
	cast__hold(cast, "ready");
	run = run__start(lt, "cow", "--pid", cast__pid(cast), "--watch");
	do
		lt_require(fgets(line, sizeof(line), run.lines), "it ended");
	while (!words__read(&words, line, cast__pid(cast), (pid_t)child));
	lt_require(!strcmp(words.by_unit, "KiB") || words.by_parent == 0, "early: %s", line);
	cast__go(cast);
	cast__hold(cast, "done");
	do
		lt_require(fgets(line, sizeof(line), run.lines), "it ended");
	while (!words__read(&words, line, cast__pid(cast), (pid_t)child) || !wrote_all(&words));
	lt_require(words.took > 0 && words.copied >= words.by_parent &&
			   words.copied <= words.by_parent + 100 * page_mib + 0.1,
		   "%s", line);
	code = run__end(&run, SIGINT);
	lt_require(code == 0, "exit %d", code);
	cast__go(cast);
	cast__end(cast);
	cast__free(cast);
	lt__stop(lt);
}

/* Who copied more comes first, or last. */
LT_TEST(cow, sorted)
{
	struct lt *lt = start_observing(NULL, NULL);
	struct cast *casts[2] = { cast__start("cow", "parent", "500", NULL),
				  cast__start("cow", "parent", PAGES_TEXT, NULL) };

	for (int i = 0; i < 2; i++) {
		cast__hold(casts[i], "warm");
		cast__go(casts[i]);
		cast__hold(casts[i], "ready");
		cast__go(casts[i]);
		cast__hold(casts[i], "done");
	}
	for (int i = 0; i < 2; i++) {
		json_t *document =
			lt__json(lt, NULL, "cow", "--sort", "copied", i ? "--reverse" : NULL, NULL);
		json_t *row;
		size_t at, place[2] = { SIZE_MAX, SIZE_MAX };

		json_array_foreach(json_at(document, "forks"), at, row)
			for (int k = 0; k < 2; k++)
				if (int_at(row, "ppid") == cast__pid(casts[k]))
					place[k] = at;
		lt_require(place[0] != SIZE_MAX && place[1] != SIZE_MAX, "a fork is missing");
		lt_require((place[1] < place[0]) == !i, "%zu and %zu", place[0], place[1]);
		json_decref(document);
	}
	for (int i = 0; i < 2; i++) {
		cast__go(casts[i]);
		cast__end(casts[i]);
		cast__free(casts[i]);
	}
	lt__stop(lt);
}

/* What was copied is told with the end of a process. */
LT_TEST(cow, tail_tells_at_powers_of_two_and_at_exit)
{
	struct lt *lt = start_observing(NULL, NULL);
	struct cast *cast;
	const char *id;
	int64_t copies = 0, final;
	json_t *event, *last;
	int count;

	lt__tail(lt);
	cast = cast__start("cow", "child", PAGES_TEXT, NULL);
	cast__hold(cast, "warm");
	cast__go(cast);
	cast__hold(cast, "ready");
	cast__go(cast);
	cast__hold(cast, "done");
	id = lt__id(lt, (pid_t)cast__int(cast, "actor", 0));
	cast__go(cast);
	cast__end(cast);
	last = lt__await_event(lt, id, "exit", 0);
	final = int_at(last, "cow.copies");
	lt_require(final >= PAGES, "%lld copies at exit", (long long) final);
	lt_require(int_at(last, "cow.bytes") == final * sysconf(_SC_PAGESIZE), "bytes");
	count = lt__count(lt, id, "cow");
	lt_require(count >= 6 && count <= 16, "%d cow lines", count); /* 64 to 1024, and the end */
	for (int i = 0; i < count; i++) {
		event = lt__find(lt, id, "cow", i)->json;
		lt_require(int_at(event, "cow.copies") >= copies, "copies went back");
		copies = int_at(event, "cow.copies");
	}
	lt_require(copies == final, "the last line tells %lld copies", (long long)copies);
	cast__free(cast);
	lt__stop(lt);
}

/* --- every fault of one process --- */

/* The next line of that kind. */
static json_t *raw__next(struct run *raw, const char *kind)
{
	char *line = NULL;
	size_t size = 0;
	json_t *event = NULL;

	while (!event && getline(&line, &size, raw->lines) > 0) {
		event = json_loads(line, 0, NULL);
		lt_require(event, "no JSON: %s", line);
		if (strcmp(str_at(event, "kind"), kind)) {
			json_decref(event);
			event = NULL;
		}
	}
	free(line);
	lt_require(event, "the stream ended");
	return event;
}

/* Waits until the stream has begun: what happens from now on is in it. */
static void raw__await(struct run *raw)
{
	struct pollfd pfd = { .fd = fileno(raw->lines), .events = POLLIN };

	do {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	} while (poll(&pfd, 1, 100) == 0);
}

static void check_fault(const json_t *event, int64_t pid, bool has_end)
{
	const char *address = str_at(event, "address");

	expect(event, "pid=%lld tid=%lld comm=cow", (long long)pid, (long long)pid);
	lt_require(!strncmp(address, "0x", 2) && strtoull(address, NULL, 16) >= 4096, "address %s",
		   address);
	lt_require(int_at(event, "begin_ns") <= int_at(event, "time_ns"), "begin_ns");
	if (has_end)
		lt_require(int_at(event, "duration_ns") > 0, "duration_ns");
}

LT_TEST(cow, raw_faults)
{
	struct lt *lt = start_observing(NULL, NULL);
	struct cast *cast = cast__start("cow", "child", PAGES_TEXT, NULL);
	char *hook = lt__hook(lt, "cow");
	bool has_end = strstr(hook, "do_wp_page");
	unsigned long long last = 0;
	struct run raw;
	int64_t actor;
	int in_a_row = 0;

	free(hook);
	cast__hold(cast, "warm");
	cast__go(cast);
	cast__hold(cast, "ready");
	actor = cast__int(cast, "actor", 0);
	raw = run__start(lt, "tail", "--raw-cow", actor, "--json");
	raw__await(&raw);
	cast__go(cast);
	while (in_a_row < PAGES - 1) { /* one page after the other, as they were written */
		json_t *event = raw__next(&raw, "cow-fault");
		unsigned long long page = strtoull(str_at(event, "address"), NULL, 16) /
					  (unsigned long long)sysconf(_SC_PAGESIZE);

		check_fault(event, actor, has_end);
		in_a_row = page == last + 1 && !strcmp(str_at(event, "result"), "copy") ?
				   in_a_row + 1 :
				   0;
		last = page;
		json_decref(event);
	}
	cast__hold(cast, "done");
	run__end(&raw, SIGTERM);
	cast__go(cast);
	cast__end(cast);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(cow, process_that_is_gone)
{
	struct lt *lt = start_observing(NULL, NULL);
	static const char *const calls[][3] = {
		{ "tail", "--raw-cow", "2147483647" },
		{ "cow", "2147483647", NULL },
	};

	for (size_t i = 0; i < 2; i++) {
		struct output output;

		lt__run(lt, &output, calls[i][0], calls[i][1], calls[i][2], NULL);
		lt_require(output.code == 1 && strstr(output.err, "process"), "%s: %d, %s",
			   calls[i][0], output.code, output.err);
		output__free(&output);
	}
	lt__stop(lt);
}

/* --- bounds and settings --- */

#define CROWD 400

/* Each child writes to what it shares with us, and stays. */
LT_TEST(cow, places_are_bounded)
{
	struct lt *lt = start_observing("--cow-max", "64");
	pid_t crowd[CROWD];
	json_t *status;
	int64_t evicted;
	int open_end[2];
	char byte;

	lt_require(!pipe(open_end), "pipe");
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = fork();
		if (!crowd[i]) {
			close(open_end[1]);
			_exit(read(open_end[0], &byte, 1) > 0);
		}
	}
	json_decref(lt__json(lt, NULL, "cow", NULL)); /* a look counts them */
	status = lt__status(lt);
	evicted = int_at(status, "lost.cow");
	lt_require(evicted >= CROWD / 2 && evicted <= 4 * CROWD, "%lld evicted",
		   (long long)evicted);
	lt_require(int_at(status, "lost.fork") == 0, "a fork was lost");
	json_decref(status);
	close(open_end[1]);
	close(open_end[0]);
	for (int i = 0; i < CROWD; i++)
		waitpid(crowd[i], NULL, 0);
	lt__stop(lt);
}

#define FAMILY 1200 /* more than one CPU notes between two looks */
#define WRITTEN 70  /* pages: enough that the kernel side adds them to the process's count */

static pid_t fork_writer(char *pages, size_t page, int ready, const int gate[2])
{
	pid_t pid = fork();
	char byte = 0;

	if (pid)
		return pid;
	close(gate[1]);
	for (size_t i = 0; i < WRITTEN; i++)
		pages[i * page] = 1;
	if (write(ready, &byte, 1) == 1)
		byte = (char)read(gate[0], &byte, 1);
	_exit(byte);
}

/* Children that run this program, and of which a look shows that they copied what they wrote. */
static int count_writers(struct lt *lt)
{
	json_t *document = lt__json(lt, NULL, "ps", NULL), *row;
	char own[LT_COMM_LEN];
	int writers = 0;
	size_t i;

	prctl(PR_GET_NAME, own);
	json_array_foreach(json_object_get(document, "processes"), i, row) {
		const char *comm = json_string_value(json_object_get(row, "comm"));

		if (int_at(row, "ppid") == getpid() && comm && !strcmp(comm, own) &&
		    int_at(row, "cow.copies") >= WRITTEN)
			writers++;
	}
	json_decref(document);
	return writers;
}

LT_TEST(cow, a_crowd_between_two_looks)
{
	struct lt *lt = start_observing("--repair-interval", "1h");
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int ready[2], gate[2];
	cpu_set_t one, before;
	char *pages, byte;
	int writers;

	pages = mmap(NULL, WRITTEN * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	lt_require(pages != MAP_FAILED && !pipe(ready) && !pipe(gate), "pages and pipes");
	madvise(pages, WRITTEN * page, MADV_NOHUGEPAGE);
	memset(pages, 2, WRITTEN * page);
	lt_require(count_writers(lt) == 0, "children");
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	lt_require(!sched_getaffinity(0, sizeof(before), &before) &&
			   !sched_setaffinity(0, sizeof(one), &one),
		   "affinity");
	for (int i = 0; i < FAMILY; i++)
		lt_require(fork_writer(pages, page, ready[1], gate) > 0, "fork %d", i);
	for (int i = 0; i < FAMILY; i++)
		lt_require(read(ready[0], &byte, 1) == 1, "child %d", i);
	writers = count_writers(lt);
	lt_require(writers == FAMILY, "%d of %d", writers, FAMILY);
	sched_setaffinity(0, sizeof(before), &before);
	for (int i = 0; i < 2; i++) {
		close(gate[i]);
		close(ready[i]);
	}
	munmap(pages, WRITTEN * page);
	for (int i = 0; i < FAMILY; i++)
		wait(NULL);
	lt__stop(lt);
}

LT_TEST(cow, off)
{
	struct lt *lt = lt__start("--cow", "off", NULL);
	json_t *row = lt__row(lt, "ps", getpid());
	char *hook = lt__hook(lt, "cow");
	struct output output;

	lt_require(!strcmp(hook, "off: cow = off"), "hook %s", hook);
	free(hook);
	expect(row, "cow=null");
	json_decref(row);
	lt__run(lt, &output, "cow", NULL);
	lt_require(output.code == 0 && strstr(output.err, "not observed"), "cow: %d, %s",
		   output.code, output.err);
	output__free(&output);
	lt__run(lt, &output, "tail", "--raw-cow", "1", NULL);
	lt_require(output.code == 1 && strstr(output.err, "not observed"), "tail: %s", output.err);
	output__free(&output);
	lt__stop(lt);
}

/* A set that the kernel refuses is off, and the rest works. */
LT_TEST(cow, copies_set_or_why_not)
{
	struct lt *lt = lt__start("--cow", "copies", NULL);
	char *hook = lt__hook(lt, "cow");

	lt_require(strstr(hook, "do_wp_page"), "hook %s", hook);
	free(hook);
	json_decref(lt__row(lt, "ps", getpid()));
	lt__stop(lt);
}
