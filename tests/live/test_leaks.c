/*
 * lifetrace leaks: a row a leaking parent, and how many more children it can
 * have. The oracle of that is the kernel: so many forks succeed, and the next
 * one fails.
 */
#include "groups.h"

#include <sys/utsname.h>

#define OWN_UID 64321 /* nobody else's */

static struct lt *start(void)
{
	struct lt *lt = lt__start("--zombie-age", "100ms", "--leak-count", "5", "--leak-age", "1h",
				  "--leak-settle", "1h", NULL);

	lt__tail(lt);
	return lt;
}

static struct cast *leak(struct lt *lt, const char *n)
{
	struct cast *cast = cast__start("leak", n, "0", NULL);

	lt__await_event(lt, lt__id(lt, cast__pid(cast)), "leak-open", 0);
	return cast;
}

/* The row of PID in `leaks` with an option; NULL when there is none. */
static json_t *leak_row(struct lt *lt, pid_t pid, const char *option, const char *value)
{
	json_t *json = lt__json(lt, NULL, "leaks", option, value, NULL), *row, *found = NULL;
	size_t i;

	json_array_foreach(json_at(json, "leaks"), i, row)
		if (int_at(row, "pid") == pid)
			found = json_incref(row);
	json_decref(json);
	return found;
}

static bool has_row(struct lt *lt, pid_t pid, const char *option, const char *value)
{
	json_t *row = leak_row(lt, pid, option, value);

	json_decref(row);
	return row;
}

LT_TEST(leaking, the_row)
{
	static const char *const names[] = {
		"parent_id", "pid",	 "comm",	   "unit",
		"container", "zombies",	 "oldest_ms",	   "rate_per_minute",
		"cause",     "evidence", "remedy",	   "clear_now",
		"pids_left", "limit",	 "exhausted_in_s", "since_ns",
		"stacks"
	};
	struct lt *lt = start();
	struct cast *cast = leak(lt, "7");
	const char *id = lt__id(lt, cast__pid(cast));
	json_t *row = leak_row(lt, cast__pid(cast), NULL, NULL);
	json_t *open = lt__await_event(lt, id, "leak-open", 0);

	lt_require(row, "no row");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		lt_require(json_object_get(row, names[i]), "no %s", names[i]);
	expect(row, "parent_id=%s comm=leak zombies=7 since_ns=%ld stacks=null", id,
	       int_at(open, "since_ns"));
	lt_require(int_at(row, "oldest_ms") >= 100, "oldest_ms");
	lt_require(json_number_value(json_at(row, "rate_per_minute")) > 0, "rate_per_minute");
	lt_require(int_at(row, "exhausted_in_s") > 0, "exhausted_in_s");
	json_decref(row);
	cast__tell(cast, "reap");
	cast__str(cast, "obeyed", 0);
	row = leak_row(lt, cast__pid(cast), NULL, NULL);
	expect(row, "zombies=0 oldest_ms=null cause=null exhausted_in_s=null");
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(leaking, as_text)
{
	struct lt *lt = start();
	struct cast *cast = leak(lt, "7");
	struct output output;
	char words[64];

	lt__run(lt, &output, "leaks", NULL);
	snprintf(words, sizeof(words), "%d leak", cast__pid(cast));
	lt_require(!output.code && strstr(output.out, words) && strstr(output.out, "PIDS LEFT"),
		   "%s%s", output.out, output.err);
	output__free(&output);
	lt__run(lt, &output, "leaks", "--min", "100000", NULL);
	lt_require(!output.code && !strcmp(output.out, "no leaks\n"), "%s", output.out);
	output__free(&output);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(leaking, filters)
{
	struct lt *lt = start();
	struct cast *cast = leak(lt, "7");
	pid_t pid = cast__pid(cast);
	struct output output;
	char number[16];

	snprintf(number, sizeof(number), "%d", pid);
	lt_require(has_row(lt, pid, "--min", "7"), "--min");
	lt_require(!has_row(lt, pid, "--min", "8"), "--min");
	lt_require(has_row(lt, pid, "--older", "1ms"), "--older");
	lt_require(!has_row(lt, pid, "--older", "1h"), "--older");
	lt_require(has_row(lt, pid, "--comm", "lea?"), "--comm");
	lt_require(!has_row(lt, pid, "--comm", "lea"), "--comm");
	lt_require(has_row(lt, pid, "--pid", number), "--pid");
	lt_require(!has_row(lt, pid, "--unit", "no\\x2dsuch.service"), "--unit");
	lt__run(lt, &output, "leaks", "--pid", "1048576", NULL);
	lt_require(output.code == 1 && is_one_line(output.err), "exit %d: %s", output.code,
		   output.err);
	output__free(&output);
	lt__run(lt, &output, "leaks", "--older", "soon", NULL);
	lt_require(output.code == 2 && is_one_line(output.err), "exit %d: %s", output.code,
		   output.err);
	output__free(&output);
	cast__free(cast);
	lt__stop(lt);
}

/* ---- limits ---- */

/* The kernel's word on it: so many are born, and then none. */
static void check_left(struct cast *cast, const json_t *row, int64_t expected)
{
	int64_t left = int_at(row, "pids_left");

	lt_require(left == expected, "%ld left, not %ld", left, expected);
	for (int64_t i = 0; i < left; i++)
		cast__tell(cast, "try");
	for (int64_t i = 0; i < left; i++)
		lt_require(!strcmp(cast__str(cast, "tried", (int)i), "born"),
			   "only %ld of %ld were born", i, left);
	cast__tell(cast, "try");
	lt_require(!strcmp(cast__str(cast, "tried", (int)left), "EAGAIN"), "one more: %s",
		   cast__str(cast, "tried", (int)left));
}

/* Of a user's: 40 tasks, of which it has the parent and seven zombies. */
LT_TEST(leaking, up_to_the_users_limit)
{
	struct lt *lt = start();
	char member[4096], user[32];
	const char *argv[] = { "/usr/bin/env",
			       "prlimit",
			       "--nproc=40:40",
			       "setpriv",
			       user,
			       "--clear-groups",
			       cast__path("leak", member, sizeof(member)),
			       "7",
			       "0",
			       NULL };
	struct cast *cast;
	json_t *row;

	snprintf(user, sizeof(user), "--reuid=%d", OWN_UID);
	cast = cast__startv(argv);
	lt__await_event(lt, lt__id(lt, cast__pid(cast)), "leak-open", 0);
	row = leak_row(lt, cast__pid(cast), NULL, NULL);
	expect(row, "comm=leak");
	lt_require(!strcmp(str_at(row, "limit"), "RLIMIT_NPROC of uid 64321"), "%s",
		   str_at(row, "limit"));
	check_left(cast, row, 40 - 1 - 7);
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}

static const char *pids_root(void)
{
	FILE *f = fopen("/proc/cgroups", "re");
	char line[256];
	int hierarchy = 0;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "pids %d", &hierarchy);
	if (f)
		fclose(f);
	return root_of(hierarchy ? PIDS : UNIFIED);
}

static void set_max(const char *group, const char *max)
{
	char path[8300];
	int fd;

	snprintf(path, sizeof(path), "%s/pids.max", group);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		cr_skip_test("no pids controller here");
	lt_require(write(fd, max, strlen(max)) == (ssize_t)strlen(max), "%s: %s", path,
		   strerror(errno));
	close(fd);
}

static void enter_group(const char *group, pid_t pid)
{
	char path[8300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	f = fopen(path, "we");
	lt_require(f && fprintf(f, "%d", pid) > 0 && !fclose(f), "%s: %s", path, strerror(errno));
}

/* Zombies that were there before it was moved stay where they were: none are, here. */
static void check_group_limit(const char *nearest, const char *inner_max, const char *outer_max,
			      int64_t left)
{
	static const char inner[] = "/lt-test.slice/lt-test-x.service";
	const char *root = pids_root();
	struct janitor janitor = janitor_start(root);
	char *outer_dir = strdup(make_group(root, "/lt-test.slice"));
	char *inner_dir = strdup(make_group(root, inner));
	struct lt *lt = start();
	struct cast *cast;
	char limit[256];
	json_t *row;

	/* cgroup2: those below a group have the controllers that it hands on; v1 has no such file */
	write_to_group(root, "cgroup.subtree_control", "+pids");
	write_to_group(outer_dir, "cgroup.subtree_control", "+pids");
	set_max(inner_dir, inner_max);
	set_max(outer_dir, outer_max);
	cast = cast__start("leak", "0", NULL);
	cast__int(cast, "leaking", 0);
	enter_group(inner_dir, cast__pid(cast));
	cast__tell(cast, "more 7");
	lt__await_event(lt, lt__id(lt, cast__pid(cast)), "leak-open", 0);
	row = leak_row(lt, cast__pid(cast), NULL, NULL);
	snprintf(limit, sizeof(limit), "pids.max of %s", nearest);
	lt_require(!strcmp(str_at(row, "limit"), limit), "%s", str_at(row, "limit"));
	check_left(cast, row, left);
	json_decref(row);
	cast__free(cast);
	janitor_end(&janitor);
	lt__stop(lt);
	free(outer_dir);
	free(inner_dir);
}

LT_TEST(leaking, up_to_its_groups_limit)
{
	check_group_limit("/lt-test.slice/lt-test-x.service", "30", "60", 30 - 1 - 7);
}

LT_TEST(leaking, up_to_the_limit_of_a_group_above)
{
	check_group_limit("/lt-test.slice", "max", "25", 25 - 1 - 7);
}

/* An alert of this parent that the daemon tells by itself: nobody asks while it is awaited. */
static void expect_alert(struct lt *lt, const char *id, int n, const char *words)
{
	expect(lt__await_event(lt, id, "alert", n), "%s", words);
}

LT_TEST(leaking, pids_that_run_out_are_an_alert)
{
	const char *root = pids_root(), *id;
	struct janitor janitor = janitor_start(root);
	char *group = strdup(make_group(root, "/lt-test.slice"));
	struct lt *lt = lt__start("--zombie-age", "100ms", "--leak-count", "3", "--leak-settle",
				  "0s", "--alert-settle", "0s", "--alert-pids-within", "1h",
				  "--repair-interval", "500ms", NULL);
	struct cast *cast;

	lt__tail_kinds(lt, "fork,alert");
	set_max(group, "200");
	cast = cast__start("leak", "0", NULL);
	cast__int(cast, "leaking", 0);
	enter_group(group, cast__pid(cast));
	id = lt__id(lt, cast__pid(cast));
	cast__tell(cast, "more 7"); /* within ten seconds: 192 more for less than an hour */
	expect_alert(lt, id, 0, "alert=leak state=firing");
	expect_alert(lt, id, 1,
		     "alert=pids state=firing severity=critical reason=pids.max parent_comm=leak");
	cast__tell(cast, "reap");
	expect_alert(lt, id, 2, "alert=pids state=resolved");
	expect_alert(lt, id, 3, "alert=leak state=resolved");
	cast__free(cast);
	janitor_end(&janitor);
	lt__stop(lt);
	free(group);
}

/* Tasks of the whole host, zombies among them: /proc/loadavg's fourth field. */
static int64_t all_tasks(void)
{
	FILE *f = fopen("/proc/loadavg", "re");
	long tasks = 0;

	lt_require(f && fscanf(f, "%*s %*s %*s %*d/%ld", &tasks) == 1, "loadavg");
	fclose(f);
	return tasks;
}

static int64_t number_in(const char *path)
{
	FILE *f = fopen(path, "re");
	long n = 0;

	lt_require(f && fscanf(f, "%ld", &n) == 1, "%s", path);
	fclose(f);
	return n;
}

/* Root in no group is bound by the host alone; others come and go meanwhile. */
LT_TEST(leaking, up_to_the_hosts_limit)
{
	int64_t pids = number_in("/proc/sys/kernel/pid_max") - 300;
	int64_t threads = number_in("/proc/sys/kernel/threads-max"), left;
	bool by_pid = pids <= threads - 300;
	struct lt *lt = start();
	struct cast *cast = leak(lt, "7");
	json_t *row = leak_row(lt, cast__pid(cast), NULL, NULL);

	lt_require(!strcmp(str_at(row, "limit"), by_pid ? "kernel.pid_max" : "kernel.threads-max"),
		   "%s", str_at(row, "limit"));
	left = (by_pid ? pids : threads) - all_tasks();
	/* up to 300 of the tasks have pids that are not given out again */
	lt_require(int_at(row, "pids_left") > left - 200 && int_at(row, "pids_left") < left + 500,
		   "%ld left, %ld by /proc", int_at(row, "pids_left"), left);
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}

/* Before it there is one pid_max, and who writes within a namespace sets the host's. */
static void need_pid_max_by_namespace(void)
{
	struct utsname kernel;
	int major = 0, minor = 0;

	uname(&kernel);
	sscanf(kernel.release, "%d.%d", &major, &minor);
	if (geteuid() || major < 6 || (major == 6 && minor < 14))
		cr_skip_test("needs root, and Linux 6.14");
}

static pid_t only_child_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	return (pid_t)number_in(path);
}

/* 301 is the least that the kernel takes. Its init leaks: pids 1 to 8 are in use. */
LT_TEST(leaking, up_to_its_namespaces_limit)
{
	int64_t host_max = number_in("/proc/sys/kernel/pid_max");
	char member[4096], limit[128];
	const char *argv[] = { "unshare",
			       "--pid",
			       "--fork",
			       "--kill-child",
			       "sh",
			       "-c",
			       "echo 301 >/proc/sys/kernel/pid_max && exec \"$0\" 7 0",
			       cast__path("leak", member, sizeof(member)),
			       NULL };
	struct cast *cast;
	struct lt *lt;
	json_t *row;
	pid_t init;

	need_pid_max_by_namespace();
	lt = start();
	cast = cast__startv(argv);
	cast__int(cast, "leaking", 0);
	init = only_child_of(cast__pid(cast));
	lt__await_event(lt, lt__id(lt, init), "leak-open", 0);
	row = leak_row(lt, init, NULL, NULL);
	snprintf(limit, sizeof(limit), "kernel.pid_max of the pid namespace of %d", init);
	lt_require(!strcmp(str_at(row, "limit"), limit), "%s", str_at(row, "limit"));
	check_left(cast, row, 301 - 1 - 1 - 7);
	lt_require(number_in("/proc/sys/kernel/pid_max") == host_max, "the host's was set");
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}

/* ---- adoption ---- */

static const char *init_id(struct lt *lt)
{
	static char id[64];
	json_t *row = lt__row(lt, "ps", 1);

	lt_require(row, "no init");
	snprintf(id, sizeof(id), "%s", str_at(row, "id"));
	json_decref(row);
	return id;
}

/* An adopter that reaps within its grace never leaks, whatever it was handed. */
LT_TEST(leaking, not_an_adopter_that_reaps)
{
	struct lt *lt =
		lt__start("--zombie-age", "4s", "--leak-count", "3", "--leak-age", "1h", NULL);
	struct cast *cast, *control;
	const char *init;

	lt__tail(lt);
	lt__watch(lt, init = init_id(lt));
	cast = cast__start("leak", "5", NULL);
	lt__await_event(lt, lt__id(lt, cast__pid(cast)), "leak-open", 0);
	cast__terminate(cast);
	for (int i = 0; i < 5; i++) { /* by init: on some hosts two seconds later */
		const char *id = lt__id(lt, cast__int(cast, "child", i));

		expect(lt__await_event(lt, id, "reap", 0), "reaped_by=%s", init);
	}
	control = cast__start("leak", "5", NULL);
	lt__await_event(lt, lt__id(lt, cast__pid(control)), "leak-open", 0);
	lt_require(!lt__count(lt, init, "leak-open"), "init was said to leak");
	cast__free(control);
	cast__free(cast);
	lt__stop(lt);
}

/* ---- silences ---- */

static struct lt *start_with(const char *file)
{
	struct lt *lt = lt__start("--zombie-age", "100ms", "--leak-count", "5", "--leak-age", "1h",
				  "--leak-settle", "100ms", "--silences", file, NULL);

	lt__tail(lt);
	return lt;
}

static char *new_path(void)
{
	static char path[64];

	strcpy(path, "/tmp/lt-silences-XXXXXX");
	lt_require(mkdtemp(path), "mkdtemp");
	strcat(path, "/silences.json");
	return path;
}

static void remove_path(char *path)
{
	unlink(path);
	*strrchr(path, '/') = '\0';
	lt_require(!rmdir(path), "something is left in %s", path);
}

static void silence(struct lt *lt, int code, const char *a, const char *b)
{
	struct output output;

	lt__run(lt, &output, "silence", a, b, NULL);
	lt_require(output.code == code && (code ? is_one_line(output.err) : !*output.err),
		   "silence %s %s: exit %d: %s", a, b ? b : "", output.code, output.err);
	output__free(&output);
}

static json_t *row_of(struct lt *lt, struct cast *cast)
{
	json_t *row = leak_row(lt, cast__pid(cast), NULL, NULL);

	lt_require(row, "no row");
	return row;
}

/* A leak of another parent, that opens after all that could have opened before. */
static void open_control(struct lt *lt)
{
	struct cast *control = cast__start("leak", "8", "0", "control", NULL);

	lt__await_event(lt, lt__id(lt, cast__pid(control)), "leak-open", 0);
	cast__free(control);
}

/* Listed and marked, but nobody is told; after a restart, too; and told when that ends. */
LT_TEST(leaking, silenced)
{
	char *file = new_path();
	struct lt *lt = start_with(file);
	struct cast *cast;
	json_t *row;

	silence(lt, 0, "known*", "1h");
	cast = cast__start("leak", "7", "0", "known-leaker", NULL);
	cast__int(cast, "leaking", 0);
	open_control(lt);
	lt_require(!lt__count(lt, lt__id(lt, cast__pid(cast)), "leak-open"), "told");
	row = row_of(lt, cast);
	lt_require(int_at(row, "silenced_until_ns") > boottime_ns(), "not marked");
	json_decref(row);
	kill(lt__daemon_pid(lt), SIGHUP);
	open_control(lt);
	lt_require(!lt__count(lt, lt__id(lt, cast__pid(cast)), "leak-open"), "told after a reload");
	silence(lt, 0, "--remove", "known*");
	lt__await_event(lt, lt__id(lt, cast__pid(cast)), "leak-open", 0);
	row = row_of(lt, cast);
	expect(row, "silenced_until_ns=null");
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
	remove_path(file);
}

LT_TEST(leaking, silenced_across_a_restart)
{
	char *file = new_path();
	struct lt *lt = start_with(file);
	struct cast *cast = leak(lt, "7");
	char pid[16];
	json_t *row, *list;

	snprintf(pid, sizeof(pid), "%d", cast__pid(cast));
	silence(lt, 0, pid, "1h");
	silence(lt, 0, "x\\x2dy.service", "2h");
	lt__end_tail(lt);
	cast__tell(cast, "reap");
	cast__free(cast);
	lt__stop(lt);
	lt = start_with(file);
	list = lt__json(lt, NULL, "silence", "--list", NULL);
	lt_require(json_array_size(json_at(list, "silences")) == 2, "not kept");
	row = json_array_get(json_at(list, "silences"), 1);
	lt_require(!strcmp(str_at(row, "what"), "x\\x2dy.service"), "%s", str_at(row, "what"));
	expect(row, "kind=unit");
	lt_require(llabs(int_at(row, "until_ns") - boottime_ns() - 7200 * NSEC_PER_SEC) <
			   LT_DEADLINE_NS * 3,
		   "another end");
	json_decref(list);
	lt__stop(lt);
	remove_path(file);
}

LT_TEST(leaking, silences_that_cannot_be)
{
	char *file = new_path();
	struct lt *lt = start_with(file);

	silence(lt, 2, "nginx", "soon");
	silence(lt, 2, "nginx", "0");
	silence(lt, 2, "nginx", "-1h");
	silence(lt, 2, "nginx", NULL);
	silence(lt, 2, "0", "1h");
	silence(lt, 2, "a-name-that-no-process-has", "1h");
	silence(lt, 2, "--remove", NULL);
	silence(lt, 2, "--list", "nginx");
	silence(lt, 1, "4194304", "1h");
	silence(lt, 1, "--remove", "nginx");
	lt_require(access(file, F_OK), "a file of nothing");
	lt__stop(lt);
	*strrchr(file, '/') = '\0';
	lt_require(!rmdir(file), "something is left");
}

/* Others than root and the group may look, and change nothing. */
LT_TEST(leaking, silences_of_others)
{
	char *file = new_path();
	struct lt *lt = start_with(file);
	const char *set[] = {
		LIFETRACE, "silence", "nginx", "1h", "--socket", lt__socket(lt), NULL
	};
	const char *list[] = { LIFETRACE, "silence", "--list", "--socket", lt__socket(lt), NULL };
	char directory[512];
	struct result result;

	snprintf(directory, sizeof(directory), "%s", lt__socket(lt));
	*strrchr(directory, '/') = '\0';
	lt_require(!chmod(directory, 0755), "chmod");
	run(&result, &(struct plan){ .argv = set, .uid = OWN_UID });
	lt_require(result.code == 1 && strstr(result.err, "403"), "exit %d: %s", result.code,
		   result.err);
	result__free(&result);
	run(&result, &(struct plan){ .argv = list, .uid = OWN_UID });
	lt_require(!result.code && !strcmp(result.out, "no silences\n"), "%s%s", result.out,
		   result.err);
	result__free(&result);
	lt__stop(lt);
	*strrchr(file, '/') = '\0';
	lt_require(!rmdir(file), "something is left");
}

/* A file of somebody else's making: what can be read of it holds. */
LT_TEST(leaking, silences_from_a_bad_file)
{
	char *file = new_path();
	FILE *f = fopen(file, "we");
	struct lt *lt;
	json_t *list;

	fprintf(f, "{\"silences\": [3, {\"what\": 7}, {\"what\": \"good\", \"until_ns\": "
		   "9000000000000000000}, {\"what\": \"over\", \"until_ns\": 1}]}");
	fclose(f);
	lt = start_with(file);
	list = lt__json(lt, NULL, "silence", "--list", NULL);
	lt_require(json_array_size(json_at(list, "silences")) == 1, "not one");
	json_decref(list);
	lt__stop(lt);
	f = fopen(file, "we");
	fprintf(f, "nonsense");
	fclose(f);
	lt = start_with(file);
	silence(lt, 0, "good", "1h"); /* and it is whole again */
	lt__stop(lt);
	remove_path(file);
}

/* ---- stacks ---- */

static struct lt *start_stacks(void)
{
	struct lt *lt = lt__start("--zombie-age", "100ms", "--leak-count", "1", "--leak-age", "1h",
				  "--stacks", "on", "--syscall-hooks", "off", NULL);

	lt__tail(lt);
	return lt;
}

/* Its bait is flagged: from here on its stacks are taken. */
static void await_bait(struct lt *lt, struct cast *cast)
{
	cast__hold(cast, "baited");
	lt__await_event(lt, lt__id(lt, cast__pid(cast)), "leak-open", 0);
	/* a shell that became it can have leaked for a moment, too */
	if (cast__count(cast, "child"))
		lt__await_event(lt, lt__id(lt, (pid_t)cast__int(cast, "child", 0)), "flagged", 0);
}

static json_t *stacks(struct lt *lt, pid_t pid)
{
	json_t *json, *groups;
	char number[16];

	snprintf(number, sizeof(number), "%d", pid);
	json = lt__json(lt, NULL, "leaks", "--stacks", "--pid", number, NULL);
	groups = json_incref(json_at(json_array_get(json_at(json, "leaks"), 0), "stacks"));
	json_decref(json);
	lt_require(json_is_array(groups), "no stacks");
	return groups;
}

/* Whether the calls went through these functions, from the innermost on: "site_b main". */
static bool goes_through(const json_t *group, const char *names)
{
	char words[256], *save = NULL, *word;
	const json_t *frames = json_at(group, "frames");
	size_t at = 0;

	snprintf(words, sizeof(words), "%s", names);
	for (word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		for (; at < json_array_size(frames); at++) {
			const char *name =
				json_string_value(json_at(json_array_get(frames, at), "function"));

			if (name && !strcmp(name, word))
				break;
		}
		if (at == json_array_size(frames))
			return false;
	}
	return true;
}

static int64_t zombies_through(const json_t *groups, const char *names)
{
	const json_t *group;
	int64_t sum = 0;
	size_t i;

	json_array_foreach(groups, i, group)
		sum += goes_through(group, names) ? int_at(group, "zombies") : 0;
	return sum;
}

static void require_through(const json_t *groups, const char *names, int64_t zombies)
{
	char *dump = json_dumps(groups, JSON_INDENT(1));

	lt_require(zombies_through(groups, names) == zombies, "%ld through %s, not %ld, of %s",
		   zombies_through(groups, names), names, zombies, dump);
	free(dump);
}

LT_TEST(stacks, of_two_sites_three_to_one)
{
	struct lt *lt = start_stacks();
	struct cast *cast = cast__start("leaksites", "sites", "5", NULL);
	json_t *groups, *frame;
	size_t i;

	await_bait(lt, cast);
	cast__go(cast);
	cast__hold(cast, "leaked");
	groups = stacks(lt, cast__pid(cast));
	require_through(groups, "leaf_fork site_a main", 15);
	require_through(groups, "leaf_fork site_b main", 5);
	lt_require(goes_through(json_array_get(groups, 0), "site_a"), "not the most first");
	json_array_foreach(json_at(json_array_get(groups, 0), "frames"), i, frame)
		if (json_matches(frame, "function=site_a"))
			lt_require(strstr(str_at(frame, "file"), "leaksites.c") &&
					   int_at(frame, "line") > 0,
				   "no source line");
	json_decref(groups);
	cast__free(cast);
	lt__stop(lt);
}

/* Through what a C library makes children by: clone3 or vfork, whose tables end early. */
static void check_library(const char *how, const char *names)
{
	struct lt *lt = start_stacks();
	struct cast *cast = cast__start("leaksites", how, "4", NULL);
	json_t *groups;

	await_bait(lt, cast);
	cast__go(cast);
	cast__hold(cast, "leaked");
	groups = stacks(lt, cast__pid(cast));
	require_through(groups, names, 4);
	json_decref(groups);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(stacks, of_posix_spawn)
{
	check_library("spawn", "site_spawn main");
}

LT_TEST(stacks, of_system)
{
	check_library("system", "site_system main");
}

LT_TEST(stacks, of_popen)
{
	check_library("popen", "site_popen main");
}

/* What a signal interrupted is no call: its place is the instruction itself. */
LT_TEST(stacks, of_a_signals_handler)
{
	check_library("fault", "leaf_fork on_fault site_faults fault_once main");
}

/* As a user sees them. */
static void run_stacks(struct lt *lt, struct cast *cast, struct output *output)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", cast__pid(cast));
	lt__run(lt, output, "leaks", "--stacks", "--pid", number, NULL);
}

LT_TEST(stacks, of_a_recursion)
{
	struct lt *lt = start_stacks();
	struct cast *cast = cast__start("leaksites", "recursion", "1", NULL);
	struct output output;
	json_t *groups;

	await_bait(lt, cast);
	cast__go(cast);
	cast__hold(cast, "leaked");
	groups = stacks(lt, cast__pid(cast));
	require_through(groups, "site_a site_recursive site_recursive main", 1);
	json_decref(groups);
	run_stacks(lt, cast, &output);
	lt_require(strstr(output.out, ", 7 times\n") && strstr(output.out, "1 zombie forked by\n"),
		   "%s", output.out);
	output__free(&output);
	cast__free(cast);
	lt__stop(lt);
}

/* What cannot be unwound is told as far as it could be, and with a word why it ends there. */
static void check_cut(const char *how, const char *innermost, const char *word)
{
	struct lt *lt = start_stacks();
	struct cast *cast = cast__start("leaksites", how, "3", NULL);
	json_t *groups, *group;
	struct output output;

	await_bait(lt, cast);
	cast__go(cast);
	cast__hold(cast, "leaked");
	groups = stacks(lt, cast__pid(cast));
	group = json_array_get(groups, 0);
	require_through(groups, innermost, 3);
	require_through(groups, "main", 0);
	lt_require(json_array_size(groups) == 1 && !strcmp(str_at(group, "incomplete"), word),
		   "%s: %s", how, str_at(group, "incomplete"));
	json_decref(groups);
	run_stacks(lt, cast, &output);
	lt_require(!output.code && !*output.err && strstr(output.out, word), "exit %d: %s%s",
		   output.code, output.out, output.err);
	output__free(&output);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(stacks, that_may_not_be_read)
{
	check_cut("unreadable", "site_raw", "the stack could not be read");
}

LT_TEST(stacks, that_nobody_has_touched)
{
	check_cut("unfaulted", "site_raw", "the stack could not be read");
}

LT_TEST(stacks, that_are_nowhere)
{
	check_cut("nowhere", "site_raw", "the stack could not be read");
}

LT_TEST(stacks, that_end_at_once)
{
	check_cut("short", "site_raw", "the rest of the stack was not copied");
}

LT_TEST(stacks, that_are_deeper_than_what_is_copied)
{
	check_cut("deep", "leaf_fork site_a", "the rest of the stack was not copied");
}

/* Addresses of the program before mean nothing in the files of this one. */
LT_TEST(stacks, of_a_program_that_is_no_more)
{
	struct lt *lt = start_stacks();
	struct cast *cast = cast__start("leaksites", "exec", "3", NULL);
	struct output output;
	json_t *groups;

	await_bait(lt, cast);
	cast__go(cast);
	cast__hold(cast, "leaked");
	groups = stacks(lt, cast__pid(cast));
	require_through(groups, "site_a main", 3);
	json_decref(groups);
	cast__go(cast);
	lt__await_event(lt, lt__id(lt, cast__pid(cast)), "exec", 1); /* after its own */
	groups = stacks(lt, cast__pid(cast));
	lt_require(!json_array_size(groups), "stacks of the program before");
	json_decref(groups);
	run_stacks(lt, cast, &output);
	lt_require(!output.code && strstr(output.out, "4 without a stack"), "exit %d: %s%s",
		   output.code, output.out, output.err);
	output__free(&output);
	cast__free(cast);
	lt__stop(lt);
}

/* ---- separate debug files ---- */

/*
 * In the mount namespace of who runs them, so that nothing is left behind. $1: the program with
 * all it has; below /mnt it is put without symbols, and what was taken off beside it.
 */
#define SPLIT                                                                      \
	"mount -t tmpfs none /mnt && objcopy --strip-all \"$0\" /mnt/stripped && " \
	"objcopy --only-keep-debug \"$0\" /mnt/debug"
/* Puts the file $DEBUG where debuggers look for it, by the build-id of $0. */
#define PLACE                                                                       \
	"mount -t tmpfs none /usr/lib/debug && "                                    \
	"id=$(readelf -n \"$0\" | sed -n 's/.*Build ID: //p') && rest=${id#??} && " \
	"dir=/usr/lib/debug/.build-id/${id%$rest} && mkdir -p $dir && "             \
	"cp $DEBUG $dir/$rest.debug"

static struct cast *start_stripped(const char *script)
{
	static char member[4096];
	const char *argv[] = { "unshare", "-m",	  "sh",
			       "-c",	  script, cast__path("leaksites", member, sizeof(member)),
			       NULL };

	if (!have_program("objcopy") || !have_program("readelf"))
		cr_skip_test("no binutils");
	if (access("/usr/lib/debug", F_OK))
		cr_skip_test("no /usr/lib/debug to mount over");
	return cast__startv(argv);
}

/* `leaks --stacks` by a client that nothing is downloaded for, after SCRIPT in a namespace of its own. */
static json_t *stacks_after(struct lt *lt, struct cast *cast, const char *script)
{
	static const char *const env[] = { "DEBUGINFOD_URLS=", NULL };
	char words[4096], member[4096];
	const char *argv[] = { "/usr/bin/env",
			       "unshare",
			       "-m",
			       "sh",
			       "-c",
			       words,
			       cast__path("leaksites", member, sizeof(member)),
			       NULL };
	struct result result;
	json_t *json, *groups;

	snprintf(
		words, sizeof(words),
		"DEBUG=/proc/%d/root/mnt/debug; %s && exec %s leaks --stacks --pid %d --json --socket %s",
		cast__pid(cast), script, LIFETRACE, cast__pid(cast), lt__socket(lt));
	run(&result, &(struct plan){ .argv = argv, .env = env });
	lt_require(!result.code, "exit %d: %s", result.code, result.err);
	json = json_loads(result.out, 0, NULL);
	groups = json_incref(json_at(json_array_get(json_at(json, "leaks"), 0), "stacks"));
	json_decref(json);
	result__free(&result);
	lt_require(json_is_array(groups), "no stacks");
	return groups;
}

static void leak_stripped(struct lt *lt, struct cast *cast)
{
	await_bait(lt, cast);
	cast__go(cast);
	cast__hold(cast, "leaked");
}

/* By the debug file: function, file and line of a program that has none of them. */
static void require_all_names(const json_t *groups)
{
	const json_t *frame;
	bool has_line = false;
	size_t i;

	require_through(groups, "leaf_fork site_a main", 6);
	require_through(groups, "leaf_fork site_b main", 2);
	json_array_foreach(json_at(json_array_get(groups, 0), "frames"), i, frame)
		has_line |= json_matches(frame, "function=site_a") &&
			    strstr(str_at(frame, "file"), "leaksites.c") &&
			    int_at(frame, "line") > 0;
	lt_require(has_line, "no source line");
}

LT_TEST(stacks, by_the_parents_separate_debug_file)
{
	struct lt *lt = start_stacks();
	struct cast *cast = start_stripped(SPLIT " && DEBUG=/mnt/debug && " PLACE
						 " && exec /mnt/stripped sites 2");
	json_t *groups;

	leak_stripped(lt, cast);
	groups = stacks_after(lt, cast, "true");
	require_all_names(groups);
	json_decref(groups);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(stacks, by_our_separate_debug_file)
{
	struct lt *lt = start_stacks();
	struct cast *cast = start_stripped(SPLIT " && exec /mnt/stripped sites 2");
	json_t *groups;

	leak_stripped(lt, cast);
	groups = stacks_after(lt, cast, PLACE);
	require_all_names(groups);
	json_decref(groups);
	cast__free(cast);
	lt__stop(lt);
}

/* Whether addr2line has it that the code there is FUNCTION's, as a line of its own. */
static bool lies_in(const char *file, int64_t offset, const char *function)
{
	char address[32];
	const char *argv[] = { "/usr/bin/env", "addr2line", "-i", "-f", "-e", file, address, NULL };
	struct result result;
	const char *line;
	bool lies = false;

	snprintf(address, sizeof(address), "0x%lx", (long)offset);
	run(&result, &(struct plan){ .argv = argv });
	for (line = result.out; line && !lies; line = strchr(line, '\n'), line += line != NULL)
		lies = !result.code && !strncmp(line, function, strlen(function)) &&
		       line[strlen(function)] == '\n';
	result__free(&result);
	return lies;
}

/* Whether `readelf -n` says this build-id of FILE. */
static bool has_build_id(const char *file, const char *id)
{
	const char *argv[] = { "/usr/bin/env", "readelf", "-n", file, NULL };
	struct result result;
	bool has;

	run(&result, &(struct plan){ .argv = argv });
	has = !result.code && strlen(id) >= 16 && strstr(result.out, id);
	result__free(&result);
	return has;
}

/* Frames of the stripped file have no name, and what has is not of it. */
static void require_places(const json_t *group, const char *whole, const char *const functions[])
{
	const json_t *frame;
	size_t i, at = 0;

	json_array_foreach(json_at(group, "frames"), i, frame) {
		if (!strstr(str_at(frame, "module"), "/mnt/stripped"))
			continue;
		expect(frame, "function=null file=null line=null");
		lt_require(strstr(str_at(frame, "note"), "debug file missing"), "%s",
			   str_at(frame, "note"));
		lt_require(has_build_id(whole, str_at(frame, "build_id")), "build-id %s",
			   str_at(frame, "build_id"));
		if (functions[at])
			lt_require(lies_in(whole, int_at(frame, "offset"), functions[at]),
				   "offset %ld is not in %s", int_at(frame, "offset"),
				   functions[at]);
		at += functions[at] != NULL;
	}
	lt_require(!functions[at], "no frame of %s", functions[at]);
}

LT_TEST(stacks, without_the_debug_file)
{
	static const char *const functions[] = { "leaf_fork", "site_a", "main", NULL };
	struct lt *lt = start_stacks();
	struct cast *cast = start_stripped(SPLIT " && exec /mnt/stripped sites 2");
	char whole[4096];
	json_t *groups;

	leak_stripped(lt, cast);
	groups = stacks_after(lt, cast, "true");
	require_places(json_array_get(groups, 0), cast__path("leaksites", whole, sizeof(whole)),
		       functions);
	json_decref(groups);
	cast__free(cast);
	lt__stop(lt);
}

/* A program that is deleted meanwhile: its file is read all the same. */
LT_TEST(stacks, of_a_deleted_program)
{
	struct lt *lt = start_stacks();
	char member[4096], copy[] = "/tmp/lt-deleted-XXXXXX";
	const char *argv[] = { copy, "sites", "2", NULL };
	const char *cp[] = { "cp", cast__path("leaksites", member, sizeof(member)), copy, NULL };
	struct cast *cast;
	json_t *groups;

	close(mkstemp(copy));
	lt_require(!run_quietly(cp) && !chmod(copy, 0755), "cp");
	cast = cast__startv(argv);
	await_bait(lt, cast);
	unlink(copy);
	cast__go(cast);
	cast__hold(cast, "leaked");
	groups = stacks(lt, cast__pid(cast));
	require_through(groups, "site_a main", 6);
	json_decref(groups);
	cast__free(cast);
	lt__stop(lt);
}

/* In a mount namespace where its path means nothing to us. */
LT_TEST(stacks, of_another_mount_namespace)
{
	static const char script[] =
		"mount -t tmpfs none /mnt && cp \"$0\" /mnt/elsewhere && exec /mnt/elsewhere sites 2";
	struct lt *lt = start_stacks();
	char member[4096];
	const char *argv[] = { "unshare", "-m",	  "sh",
			       "-c",	  script, cast__path("leaksites", member, sizeof(member)),
			       NULL };
	struct cast *cast = cast__startv(argv);
	json_t *groups;

	await_bait(lt, cast);
	lt_require(access("/mnt/elsewhere", F_OK), "it is here, too");
	cast__go(cast);
	cast__hold(cast, "leaked");
	groups = stacks(lt, cast__pid(cast));
	require_through(groups, "site_b main", 2);
	json_decref(groups);
	cast__free(cast);
	lt__stop(lt);
}

/* Python's own frames: its interpreter's functions, where it has their names. */
LT_TEST(stacks, of_pythons_subprocess)
{
	static const char script[] = "import os, subprocess, sys\n"
				     "keep = []\n"
				     "def leak():\n"
				     "    p = subprocess.Popen(['true'])\n"
				     "    keep.append(p)\n"
				     "    os.waitid(os.P_PID, p.pid, os.WEXITED | os.WNOWAIT)\n"
				     "print('self=%d' % os.getpid(), flush=True)\n"
				     "leak()\n"
				     "print('hold=baited', flush=True)\n"
				     "sys.stdin.readline()\n"
				     "for i in range(4):\n"
				     "    leak()\n"
				     "print('hold=leaked', flush=True)\n"
				     "sys.stdin.readline()\n";
	const char *argv[] = { "python3", "-c", script, NULL };
	json_t *groups, *group, *frame;
	struct cast *cast;
	int64_t sum = 0;
	struct lt *lt;
	size_t i, j, named = 0;

	if (!have_program("python3"))
		cr_skip_test("no python3");
	lt = start_stacks();
	cast = cast__startv(argv);
	await_bait(lt, cast);
	cast__go(cast);
	cast__hold(cast, "leaked");
	groups = stacks(lt, cast__pid(cast));
	json_array_foreach(groups, i, group) {
		sum += int_at(group, "zombies");
		json_array_foreach(json_at(group, "frames"), j, frame)
			named += json_is_string(json_at(frame, "module"));
	}
	lt_require(sum == 4, "%ld of 4", sum);
	lt_require(named >= 10, "only %zu frames in files", named);
	json_decref(groups);
	cast__free(cast);
	lt__stop(lt);
}

/* Nobody pays who holds no flagged zombie, and nothing is taken where it is off. */
LT_TEST(stacks, of_no_others)
{
	struct lt *lt = start_stacks();
	struct cast *cast = cast__start("leaksites", "sites", "1", NULL);
	struct output output;
	json_t *json, *stack;
	size_t i;

	await_bait(lt, cast);
	cast__go(cast);
	cast__hold(cast, "leaked");
	lt__fence(lt);
	json = lt__json(lt, NULL, "leaks", "--stacks", NULL);
	json_array_foreach(json_at(json, "leaks"), i, stack)
		if (int_at(stack, "pid") != cast__pid(cast))
			lt_require(!zombies_through(json_at(stack, "stacks"), "main"), "others");
	json_decref(json);
	cast__free(cast);
	lt__stop(lt);
	lt = start();
	cast = leak(lt, "6");
	run_stacks(lt, cast, &output);
	lt_require(output.code == 1 && is_one_line(output.err) &&
			   strstr(output.err, "stacks = off"),
		   "exit %d: %s", output.code, output.err);
	output__free(&output);
	cast__free(cast);
	lt__stop(lt);
}

static bool hook_is(struct lt *lt, const char *expected)
{
	char *hook = lt__hook(lt, "stacks");
	bool is = !strcmp(hook, expected);

	free(hook);
	return is;
}

/* What `doctor` says of it: well, degraded, and the hook as status has it. */
static void require_diagnosis(struct lt *lt, const char *hook, const char *verdict)
{
	const char *argv[] = { LIFETRACE, "doctor", "--json", "--socket", lt__socket(lt), NULL };
	struct result result;
	json_t *json, *need;
	bool said = false;
	size_t i;

	run(&result, &(struct plan){ .argv = argv });
	json = json_loads(result.out, 0, NULL);
	lt_require(json, "doctor: %s", result.err);
	json_array_foreach(json_at(json, "needs"), i, need)
		said |= json_matches(need, "what=stacks") && !strcmp(str_at(need, "hook"), hook) &&
			!strcmp(str_at(need, "verdict"), verdict);
	lt_require(said, "%s, %s: %s", hook, verdict, result.out);
	json_decref(json);
	result__free(&result);
}

/* It is attached while there is a parent to take stacks of; and status says so. */
LT_TEST(stacks, hook_is_told)
{
	struct lt *lt = start_stacks();
	struct cast *cast;
	const char *id;

	/* nobody's zombies but ours, or it is attached from the start */
	if (hook_is(lt, "tp_btf/task_newtask")) {
		lt__stop(lt);
		cr_skip_test("somebody else on this host holds flagged zombies");
	}
	require_diagnosis(lt, "off: no parent holds a flagged zombie (stacks = on)", "well");
	cast = cast__start("leaksites", "sites", "1", NULL);
	await_bait(lt, cast);
	id = lt__id(lt, cast__pid(cast));
	lt_await(hook_is(lt, "tp_btf/task_newtask"), "not attached for %s", id);
	require_diagnosis(lt, "tp_btf/task_newtask", "well");
	cast__free(cast);
	lt__stop(lt);
	lt = start();
	lt_require(hook_is(lt, "off: stacks = off"), "not off");
	require_diagnosis(lt, "off: stacks = off", "well");
	lt__stop(lt);
}

/* ---- replay ---- */

static json_t *recorded_leaks(struct lt *lt, const char *file)
{
	const char *argv[] = { LIFETRACE, "replay", file, "leaks", "--json", NULL };
	struct output output;
	struct result result;
	json_t *json;

	lt__run(lt, &output, "record", file, "--for", "200ms", NULL);
	lt_require(!output.code, "%s", output.err);
	output__free(&output);
	run(&result, &(struct plan){ .argv = argv });
	lt_require(!result.code, "%s", result.err);
	json = json_loads(result.out, 0, NULL);
	result__free(&result);
	return json;
}

/* What was read of limits is in the recording: the row is the daemon's. */
LT_TEST(leaking, replays_the_same)
{
	static const char *const same[] = { "parent_id", "zombies", "since_ns", "limit",
					    "pids_left" };
	struct lt *lt = start();
	struct cast *cast = leak(lt, "7");
	json_t *row = leak_row(lt, cast__pid(cast), NULL, NULL), *replayed, *other, *found = NULL;
	char file[] = "/tmp/lt-leaks-XXXXXX";
	size_t i;

	close(mkstemp(file));
	replayed = recorded_leaks(lt, file);
	unlink(file);
	json_array_foreach(json_at(replayed, "leaks"), i, other)
		if (int_at(other, "pid") == cast__pid(cast))
			found = other;
	lt_require(found, "no row");
	for (i = 0; i < ARRAY_SIZE(same); i++)
		lt_require(json_equal(json_at(found, same[i]), json_at(row, same[i])), "%s",
			   same[i]);
	json_decref(replayed);
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}
