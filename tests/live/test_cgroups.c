/*
 * Control groups as they come, change and go: unit and container of the
 * processes in them, and the filters. In cgroup2 and in the hierarchy of the
 * pids controller, whichever of them this host has.
 */
#include "groups.h"

#define HEX_B "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SERVICE "/lt-test.slice/lt-test-x.service"

/* ---- who lives in them ---- */

/* A process that enters GROUP, then runs another program; its own commands before it. */
static void start_member(struct job *job, const char *group, const char *before)
{
	char script[10000];

	snprintf(script, sizeof(script), "echo $$ > '%s/cgroup.procs' && %s exec sleep 60", group,
		 before);
	job__start(job, &(struct plan){ .argv = ARGV("/bin/sh", "-c", script) });
}

static void end_member(struct job *job)
{
	kill(job->pid, SIGKILL);
	job__wait(job, LT_DEADLINE_NS);
	job__free(job);
}

static void await_place(struct lt *lt, pid_t pid, const char *words)
{
	json_decref(lt__await_row(lt, "ps", pid, words));
}

/* How many processes a filter lets through, and whether PID is one of them. */
static size_t filtered(struct lt *lt, const char *option, const char *value, pid_t pid, bool *has)
{
	json_t *json = lt__json(lt, NULL, "ps", option, value, NULL), *row;
	size_t i, n = json_array_size(json_at(json, "processes"));

	*has = false;
	json_array_foreach(json_at(json, "processes"), i, row)
		*has |= int_at(row, "pid") == pid;
	json_decref(json);
	return n;
}

static void require_only(struct lt *lt, const char *option, const char *value, pid_t pid)
{
	bool has;
	size_t n = filtered(lt, option, value, pid, &has);

	cr_expect(has && n == 1, "%s %s: %zu processes, %s", option, value, n,
		  has ? "ours among them" : "ours not among them");
}

static void require_none(struct lt *lt, const char *option, const char *value, pid_t pid)
{
	bool has;

	filtered(lt, option, value, pid, &has);
	cr_expect(!has, "%s %s: ours is among them", option, value);
}

/* ---- names ---- */

struct group {
	const char *path, *unit, *container;
};

static const struct group groups[] = {
	{ SERVICE, "lt-test-x.service", "null" },
	{ "/lt-test.slice/lt-test-x.service/below", "lt-test-x.service", "null" },
	{ "/lt-test.slice/lt-test-y.scope", "lt-test-y.scope", "null" },
	{ "/lt-test.slice/lt-test-x.service/lt-test-y.scope", "lt-test-y.scope", "null" },
	{ "/lt-test.slice/user@1000.service/app.slice/lt-test@a\\x2db.service",
	  "lt-test@a\\x2db.service", "null" },
	{ "/lt-test.slice", "null", "null" },
	{ "/lt-test.slice/.service", "null", "null" },
	{ "/lt-test.slice/service", "null", "null" },
	{ "/docker/" HEX_A, "null", HEX_A },
	{ "/docker/" HEX_A "/init", "null", HEX_A },
	{ "/docker/" HEX_A "/docker/" HEX_B, "null", HEX_B },
	{ "/lt-test.slice/docker-" HEX_A ".scope", "docker-" HEX_A ".scope", HEX_A },
	{ "/lt-test.slice/kubepods-pod1.slice/cri-containerd-" HEX_A ".scope",
	  "cri-containerd-" HEX_A ".scope", HEX_A },
	{ "/lt-test.slice/crio-" HEX_A, "null", HEX_A },
	{ "/lt-test.slice/" HEX_A "0", "null", "null" },
	{ "/lt-test.slice/x" HEX_A, "null", "null" },
};

static void check_group(struct lt *lt, const char *root, const struct group *group)
{
	char words[1024];
	struct job job;

	start_member(&job, make_group(root, group->path), "");
	snprintf(words, sizeof(words), "cgroup=%s unit=%s container=%s comm=sleep", group->path,
		 group->unit, group->container);
	await_place(lt, job.pid, words);
	if (strcmp(group->unit, "null"))
		require_only(lt, "--unit", group->unit, job.pid);
	else
		require_none(lt, "--unit", "*", job.pid);
	if (strcmp(group->container, "null"))
		require_only(lt, "--container", group->container, job.pid);
	else
		require_none(lt, "--container", "0", job.pid);
	end_member(&job);
}

static void check_names(enum hierarchy hierarchy)
{
	const char *root = root_of(hierarchy);
	struct janitor janitor = janitor_start(root);
	struct lt *lt = lt__start(NULL);

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		check_group(lt, root, &groups[i]);
	janitor_end(&janitor);
	lt__stop(lt);
}

/* One test for each hierarchy. */
#define BOTH(name, check)                   \
	LT_TEST(cgroups, name##_in_cgroup2) \
	{                                   \
		check(UNIFIED);             \
	}                                   \
	LT_TEST(cgroups, name##_in_pids)    \
	{                                   \
		check(PIDS);                \
	}

BOTH(names, check_names)

static void check_filters(enum hierarchy hierarchy)
{
	const char *root = root_of(hierarchy);
	struct janitor janitor = janitor_start(root);
	struct lt *lt = lt__start(NULL);
	struct job service, docker;

	start_member(&service, make_group(root, SERVICE), "");
	start_member(&docker, make_group(root, "/docker/" HEX_A), "");
	await_place(lt, service.pid, "unit=lt-test-x.service comm=sleep");
	await_place(lt, docker.pid, "container=" HEX_A " comm=sleep");
	require_only(lt, "--unit", "lt-test-*", service.pid);
	require_only(lt, "--unit", "lt-test-[xyz].serv?ce", service.pid);
	require_none(lt, "--unit", "lt-test-x", service.pid);
	require_none(lt, "--unit", "*.scope", service.pid);
	require_only(lt, "--container", "0000000000000000000000000000", docker.pid);
	require_only(lt, "--container", HEX_A, docker.pid);
	require_none(lt, "--container", "aa", docker.pid);
	require_none(lt, "--container", HEX_A "0", docker.pid);
	end_member(&service);
	end_member(&docker);
	janitor_end(&janitor);
	lt__stop(lt);
}

BOTH(filters, check_filters)

/* ---- before and after ---- */

static void check_before(enum hierarchy hierarchy)
{
	const char *root = root_of(hierarchy);
	struct janitor janitor = janitor_start(root);
	struct job job, late;
	struct lt *lt;

	start_member(&job, make_group(root, SERVICE), "");
	make_group(root, "/docker/" HEX_A);
	lt = lt__start(NULL);
	await_place(lt, job.pid, "unit=lt-test-x.service cgroup=" SERVICE);
	/* made before, entered after */
	start_member(&late, make_group(root, "/docker/" HEX_A), "");
	await_place(lt, late.pid, "container=" HEX_A);
	end_member(&job);
	end_member(&late);
	janitor_end(&janitor);
	lt__stop(lt);
}

BOTH(made_before_the_daemon, check_before)

/* It changes its group without a fork or an exec: the next look at all finds it. */
static void check_moved_process(enum hierarchy hierarchy)
{
	const char *root = root_of(hierarchy);
	struct janitor janitor = janitor_start(root);
	struct lt *lt = lt__start("--repair-interval", "500ms", NULL);
	char path[512];
	struct job job;

	start_member(&job, make_group(root, SERVICE), "");
	await_place(lt, job.pid, "unit=lt-test-x.service comm=sleep");
	snprintf(path, sizeof(path), "echo %d > %s/cgroup.procs", job.pid,
		 make_group(root, "/lt-moved.slice/lt-moved.service"));
	lt_require(!system(path), "cannot move it");
	await_place(lt, job.pid, "unit=lt-moved.service");
	end_member(&job);
	janitor_end(&janitor);
	lt__stop(lt);
}

BOTH(moved_process, check_moved_process)

/* ---- renamed ---- */

/* Only v1 lets a group be renamed, within its parent. */
LT_TEST(cgroups, renamed)
{
	const char *root = root_of(PIDS);
	struct janitor janitor = janitor_start(root);
	struct lt *lt = lt__start(NULL);
	char from[512], to[512];
	struct job job;

	start_member(&job, make_group(root, SERVICE), "");
	await_place(lt, job.pid, "unit=lt-test-x.service");
	snprintf(from, sizeof(from), "%s" SERVICE, root);
	snprintf(to, sizeof(to), "%s/lt-test.slice/lt-test-z.service", root);
	if (rename(from, to)) {
		end_member(&job);
		janitor_end(&janitor);
		lt__stop(lt);
		cr_skip_test("groups cannot be renamed here");
	}
	await_place(lt, job.pid, "unit=lt-test-z.service cgroup=/lt-test.slice/lt-test-z.service");
	end_member(&job);
	janitor_end(&janitor);
	lt__stop(lt);
}

/* And with it the paths of all that is below it. */
LT_TEST(cgroups, renamed_above)
{
	const char *root = root_of(PIDS);
	struct janitor janitor = janitor_start(root);
	struct lt *lt = lt__start(NULL);
	char from[512], to[512];
	struct job job;

	start_member(&job, make_group(root, SERVICE "/below"), "");
	await_place(lt, job.pid, "unit=lt-test-x.service");
	snprintf(from, sizeof(from), "%s" SERVICE, root);
	snprintf(to, sizeof(to), "%s/lt-test.slice/lt-test-z.service", root);
	if (rename(from, to)) {
		end_member(&job);
		janitor_end(&janitor);
		lt__stop(lt);
		cr_skip_test("groups cannot be renamed here");
	}
	await_place(lt, job.pid, "unit=lt-test-z.service");
	end_member(&job);
	janitor_end(&janitor);
	lt__stop(lt);
}

/* ---- removed, with a zombie still in it ---- */

/* The only zombie of PARENT, with its row. */
static json_t *zombie_of(struct lt *lt, pid_t parent)
{
	json_t *json = lt__json(lt, NULL, "zombies", NULL), *row, *found = NULL;
	size_t i;

	json_array_foreach(json_at(json, "zombies"), i, row)
		if (int_at(row, "ppid") == parent)
			found = json_incref(row);
	json_decref(json);
	return found;
}

/* A group whose only process is a zombie: its parent has left. Both v1 and v2 then let it go. */
static void start_zombie_in(struct job *job, const char *root, const char *path)
{
	char leave[600];

	snprintf(leave, sizeof(leave), "{ sh -c 'exit 3' & } ; echo $$ > %s/cgroup.procs &&", root);
	start_member(job, make_group(root, path), leave);
}

static bool remove_group(const char *root, const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", root, path);
	return !rmdir(full);
}

static bool is_zombie_parent(pid_t pid)
{
	char path[64], state[1024] = "";
	int child = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%d", &child) != 1)
		child = 0;
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "/proc/%d/stat", child);
	f = child ? fopen(path, "re") : NULL;
	if (f && !fgets(state, sizeof(state), f))
		*state = '\0';
	if (f)
		fclose(f);
	return strstr(state, ") Z ");
}

static void require_zombie_in(struct lt *lt, pid_t parent, const char *words)
{
	json_t *row = NULL;

	lt_await((json_decref(row), row = zombie_of(lt, parent)), "no zombie of %d", parent);
	expect(row, "%s", words);
	json_decref(row);
}

static void check_removed(enum hierarchy hierarchy)
{
	const char *root = root_of(hierarchy);
	struct janitor janitor = janitor_start(root);
	struct lt *lt = lt__start(NULL);
	struct job job;

	start_zombie_in(&job, root, SERVICE);
	lt_await(is_zombie_parent(job.pid), "no zombie");
	require_zombie_in(lt, job.pid, "unit=lt-test-x.service cgroup=" SERVICE);
	lt_await(remove_group(root, SERVICE), "the group cannot be removed: %s", strerror(errno));
	require_zombie_in(lt, job.pid, "unit=lt-test-x.service cgroup=" SERVICE);
	/* another of the same name is another */
	make_group(root, SERVICE);
	require_zombie_in(lt, job.pid, "unit=lt-test-x.service cgroup=" SERVICE);
	end_member(&job);
	janitor_end(&janitor);
	lt__stop(lt);
}

BOTH(removed, check_removed)

/* The daemon comes when all that is left of the group is the zombie. */
LT_TEST(cgroups, removed_before_the_daemon)
{
	const char *root = root_of(UNIFIED);
	struct janitor janitor = janitor_start(root);
	struct job job;
	struct lt *lt;

	start_zombie_in(&job, root, SERVICE);
	lt_await(is_zombie_parent(job.pid), "no zombie");
	lt_await(remove_group(root, SERVICE), "the group cannot be removed: %s", strerror(errno));
	lt = lt__start(NULL);
	require_zombie_in(lt, job.pid, "unit=lt-test-x.service");
	end_member(&job);
	janitor_end(&janitor);
	lt__stop(lt);
}

/* v1 says "/" of a zombie: that is not where it died. */
LT_TEST(cgroups, removed_before_the_daemon_in_pids)
{
	const char *root = root_of(PIDS);
	struct janitor janitor = janitor_start(root);
	struct job job;
	struct lt *lt;
	json_t *row = NULL;

	start_zombie_in(&job, root, SERVICE);
	lt_await(is_zombie_parent(job.pid), "no zombie");
	lt_await(remove_group(root, SERVICE), "the group cannot be removed: %s", strerror(errno));
	lt = lt__start(NULL);
	lt_await((json_decref(row), row = zombie_of(lt, job.pid)), "no zombie");
	cr_expect(!json_matches(row, "cgroup=/"), "it was not in the root");
	json_decref(row);
	end_member(&job);
	janitor_end(&janitor);
	lt__stop(lt);
}

/* ---- many, long and hostile ---- */

LT_TEST(cgroups, come_and_go)
{
	const char *root = root_of(UNIFIED);
	struct janitor janitor = janitor_start(root);
	struct lt *lt = lt__start("--reaped-keep", "0", NULL);
	int64_t memory;
	json_t *status;

	make_group(root, "/lt-test.slice");
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 1000; i++) {
			char path[64];

			snprintf(path, sizeof(path), "/lt-test.slice/%d.service", i);
			rmdir(make_group(root, path));
		}
		status = lt__status(lt);
		if (!round)
			memory = int_at(status, "memory_bytes");
		else /* noise of others is far less than 1000 of them */
			cr_expect(int_at(status, "memory_bytes") - memory < 100000,
				  "%ld bytes more",
				  (long)(int_at(status, "memory_bytes") - memory));
		json_decref(status);
	}
	janitor_end(&janitor);
	lt__stop(lt);
}

LT_TEST(cgroups, long_path)
{
	const char *root = root_of(UNIFIED);
	struct janitor janitor = janitor_start(root);
	struct lt *lt = lt__start(NULL);
	char path[1024] = "/lt-test.slice", words[64];
	struct job job;
	json_t *row;

	for (int i = 0; i < 3; i++) {
		size_t len = strlen(path);

		path[len] = '/';
		memset(path + len + 1, 'a' + i, 250);
		path[len + 251] = '\0';
	}
	strcat(path, "/lt-test-x.service");
	start_member(&job, make_group(root, path), "");
	snprintf(words, sizeof(words), "unit=lt-test-x.service comm=sleep");
	row = lt__await_row(lt, "ps", job.pid, words);
	cr_expect_str_eq(str_at(row, "cgroup"), path);
	json_decref(row);
	end_member(&job);
	janitor_end(&janitor);
	lt__stop(lt);
}

/* Longer than a record can be: something is said, and nothing breaks. */
LT_TEST(cgroups, too_long_a_path)
{
	const char *root = root_of(UNIFIED);
	struct janitor janitor = janitor_start(root);
	struct lt *lt = lt__start(NULL);
	char path[4096] = "/lt-test.slice";
	struct job job;
	json_t *row;

	for (int i = 0; i < 8; i++) {
		size_t len = strlen(path);

		path[len] = '/';
		memset(path + len + 1, 'a' + i, 200);
		path[len + 201] = '\0';
	}
	start_member(&job, make_group(root, path), "");
	row = lt__await_row(lt, "ps", job.pid, "comm=sleep cgroup!=null");
	cr_expect(!strncmp(str_at(row, "cgroup"), path, 1000), "%s", str_at(row, "cgroup"));
	json_decref(row);
	row = lt__status(lt);
	expect(row, "bad_records=0");
	json_decref(row);
	end_member(&job);
	janitor_end(&janitor);
	lt__stop(lt);
}

/* A user may give a group of his any name but one with a line feed. */
LT_TEST(cgroups, hostile_names)
{
	static const char *const names[] = {
		"\x1b[31mred.service",	   "a b\t.service",
		"\"quote\\.service",	   "\xff\xfe.service",
		"\xe2\x80\xaetxt.service", ":a:b.service",
		" (deleted).service",	   "%s%n.service",
	};
	const char *root = root_of(UNIFIED);
	struct janitor janitor = janitor_start(root);
	struct lt *lt = lt__start(NULL);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct output output;
		char path[256], pid[16];
		struct job job;
		json_t *row;

		snprintf(path, sizeof(path), "/lt-test.slice/%s", names[i]);
		start_member(&job, make_group(root, path), "");
		row = lt__await_row(lt, "ps", job.pid, "comm=sleep unit!=null");
		if ((unsigned char)names[i][0] != 0xff)
			cr_expect_str_eq(str_at(row, "unit"), names[i]);
		json_decref(row);
		snprintf(pid, sizeof(pid), "%d", job.pid);
		lt__run(lt, &output, "ps", "--pid", pid, NULL);
		for (const char *p = output.out; *p; p++)
			cr_expect(*p == '\n' || (unsigned char)*p >= 0x20, "a control byte: %s",
				  output.out);
		output__free(&output);
		end_member(&job);
	}
	janitor_end(&janitor);
	lt__stop(lt);
}
