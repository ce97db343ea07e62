// SPDX-License-Identifier: GPL-2.0-only
#include "pid_limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <limits.h>
#include <mntent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel.h"
#include "proc.h"

/* kernel/pid.c: once all have been given out, pids below this are not given again. */
#define RESERVED_PIDS 300

struct limits {
	struct lt_limit pid_max, threads_max;
	uint32_t pids_hierarchy; /* of the v1 controller; 0: cgroup2 */
	char cgroups[PATH_MAX];	 /* where that hierarchy is mounted; "": nowhere */
	const struct kernel *kernel;
	struct lt_ns_task *tasks; /* in namespaces, read when first needed */
	size_t task_count, task_room;
	bool tasks_read;
};

static const struct lt_limit no_limit = { .max = LT_NO_LIMIT };

/* ---- small files ---- */

/* A number, "max" or "unlimited"; false for anything else. */
static bool parse_limit(const char *text, __u64 *limit)
{
	char *end;

	*limit = LT_NO_LIMIT;
	if (!strncmp(text, "max", 3) || !strncmp(text, "unlimited", 9))
		return true;
	errno = 0;
	*limit = strtoull(text, &end, 10);
	return end > text && !errno;
}

static bool read_limit(const char *path, __u64 *limit)
{
	char text[64];

	return proc_read_text(AT_FDCWD, path, text, sizeof(text)) > 0 && parse_limit(text, limit);
}

/* ---- of the host ---- */

/* proc_loadavg(5), its fourth field: "running/all", zombies among them (nr_threads). */
static bool count_tasks(uint64_t *tasks)
{
	char text[128];

	return proc_read_text(AT_FDCWD, "/proc/loadavg", text, sizeof(text)) > 0 &&
	       sscanf(text, "%*s %*s %*s %*u/%" SCNu64, tasks) == 1;
}

static uint64_t count_reserved_pids(void)
{
	uint64_t count = 0;

	for (pid_t pid = 1; pid < RESERVED_PIDS; pid++)
		count += !kill(pid, 0) || errno != ESRCH;
	return count;
}

static void find_cgroups(struct limits *limits)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *mount;

	limits->pids_hierarchy = proc_pids_hierarchy();
	while (mounts && !*limits->cgroups && (mount = getmntent(mounts)))
		if (limits->pids_hierarchy ?
			    !strcmp(mount->mnt_type, "cgroup") && hasmntopt(mount, "pids") :
			    !strcmp(mount->mnt_type, "cgroup2"))
			snprintf(limits->cgroups, sizeof(limits->cgroups), "%s", mount->mnt_dir);
	if (mounts)
		endmntent(mounts);
}

static void read_host(struct limits *limits)
{
	uint64_t tasks, low;
	__u64 max;

	limits->pid_max = limits->threads_max = no_limit;
	if (!count_tasks(&tasks))
		return;
	if (read_limit("/proc/sys/kernel/threads-max", &max))
		limits->threads_max = (struct lt_limit){ max, tasks };
	if (!read_limit("/proc/sys/kernel/pid_max", &max) || max <= RESERVED_PIDS)
		return;
	low = count_reserved_pids();
	limits->pid_max = (struct lt_limit){ max - RESERVED_PIDS, tasks > low ? tasks - low : 0 };
}

struct limits *limits_begin(const struct kernel *kernel)
{
	struct limits *limits = calloc(1, sizeof(*limits));

	if (!limits)
		return NULL;
	limits->kernel = kernel;
	find_cgroups(limits);
	read_host(limits);
	return limits;
}

static uint64_t room_in(const struct lt_limit *limit)
{
	return limit->max > limit->used ? limit->max - limit->used : 0;
}

uint64_t limits_left_on_host(void)
{
	struct limits limits;
	uint64_t pids, threads;

	read_host(&limits);
	pids = room_in(&limits.pid_max);
	threads = room_in(&limits.threads_max);
	return pids < threads ? pids : threads;
}

void limits_end(struct limits *limits)
{
	if (limits)
		free(limits->tasks);
	free(limits);
}

/* ---- of its cgroup and those above ---- */

/* Lines of /proc/PID/cgroup: hierarchy:controllers:path. NULL: not there, or removed. */
static char *find_path(char *lines, uint32_t hierarchy)
{
	char *save = NULL, *end, *path;

	for (char *line = strtok_r(lines, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strtoul(line, &end, 10) != hierarchy || *end != ':')
			continue;
		path = strchr(end + 1, ':');
		return path && path[1] == '/' && strncmp(path, ":/..", 4) ? path + 1 : NULL;
	}
	return NULL;
}

static bool read_cgroup(const char *cgroups, const char *path, struct lt_limit *limit)
{
	char file[PATH_MAX * 2 + 32];

	snprintf(file, sizeof(file), "%s%s/pids.max", cgroups, path);
	if (!read_limit(file, &limit->max) || limit->max == LT_NO_LIMIT)
		return false;
	snprintf(file, sizeof(file), "%s%s/pids.current", cgroups, path);
	return read_limit(file, &limit->used);
}

static int64_t left_of(struct lt_limit limit)
{
	return limit.max == LT_NO_LIMIT ? INT64_MAX : (int64_t)(limit.max - limit.used);
}

/* From the innermost upwards; returns the nearest, and cuts path to that one's. */
static struct lt_limit nearest_cgroup(const char *cgroups, char *path)
{
	struct lt_limit nearest = no_limit, limit;
	size_t nearest_len = 0;
	char *slash, at[PATH_MAX];

	snprintf(at, sizeof(at), "%s", path);
	while ((slash = strrchr(at, '/')) && slash[1]) {
		if (read_cgroup(cgroups, at, &limit) && left_of(limit) < left_of(nearest)) {
			nearest = limit;
			nearest_len = strlen(at);
		}
		*slash = '\0';
		if (slash == at)
			break;
	}
	path[nearest_len] = '\0';
	return nearest;
}

/* ---- of its user ---- */

/* The line of /proc/PID/limits or /proc/PID/status that begins so; what follows, or NULL. */
static const char *find_line(const char *text, const char *begin)
{
	const char *at = text;

	while (at && strncmp(at, begin, strlen(begin))) {
		at = strchr(at, '\n');
		at += at != NULL;
	}
	if (!at)
		return NULL;
	at += strlen(begin);
	return at + strspn(at, " \t");
}

/* copy_process() lets the initial user and these capabilities pass. */
static bool is_bound(int dir, uint32_t *uid)
{
	const uint64_t may_pass = 1ULL << CAP_SYS_RESOURCE | 1ULL << CAP_SYS_ADMIN;
	char status[4096];
	const char *caps;

	if (proc_read_text(dir, "status", status, sizeof(status)) <= 0 ||
	    !find_line(status, "Uid:") || !(caps = find_line(status, "CapEff:")))
		return false;
	*uid = (uint32_t)strtoul(find_line(status, "Uid:"), NULL, 10);
	return *uid && !(strtoull(caps, NULL, 16) & may_pass);
}

static struct lt_limit read_nproc(int dir, limits_count_fn tasks_of, void *user)
{
	struct lt_limit limit = no_limit;
	char text[4096];
	const char *line;
	uint32_t uid;

	if (proc_read_text(dir, "limits", text, sizeof(text)) <= 0 || !is_bound(dir, &uid))
		return no_limit;
	line = find_line(text, "Max processes");
	if (!line || !parse_limit(line, &limit.max) || limit.max == LT_NO_LIMIT)
		return no_limit;
	limit.used = tasks_of(user, uid);
	return limit;
}

/* ---- of its pid namespace ---- */

/* proc_pid_status(5): NSpid has a number for each level, the host's first. */
static bool is_in_namespace(int dir)
{
	char status[4096];
	const char *pids;

	if (proc_read_text(dir, "status", status, sizeof(status)) <= 0)
		return false;
	pids = find_line(status, "NSpid:");
	return pids && pids[strspn(pids, "0123456789")] == '\t';
}

static void note_task(void *user, const void *record, size_t len)
{
	struct limits *limits = user;

	if (limits->task_count == limits->task_room) {
		size_t room = limits->task_room ? limits->task_room * 2 : 256;
		struct lt_ns_task *bigger = realloc(limits->tasks, room * sizeof(*bigger));

		if (!bigger)
			return;
		limits->tasks = bigger;
		limits->task_room = room;
	}
	memcpy(&limits->tasks[limits->task_count++], record, len);
}

static const struct lt_ns_task *find_task(struct limits *limits, struct lt_id id)
{
	if (!limits->tasks_read)
		kernel_each_in_namespaces(limits->kernel, note_task, limits);
	limits->tasks_read = true;
	for (size_t i = 0; i < limits->task_count; i++)
		if (limits->tasks[i].id.pid == id.pid &&
		    limits->tasks[i].id.start_ns == id.start_ns)
			return &limits->tasks[i];
	return NULL;
}

/* As alloc_pid() goes: upwards, and anew from the reserved ones on, which are not given out again. */
static struct lt_limit limit_of(const struct limits *limits, const struct lt_ns_task *task)
{
	uint32_t first = task->next < RESERVED_PIDS ? task->next : RESERVED_PIDS;
	uint32_t below = 0;

	for (size_t i = 0; i < limits->task_count; i++)
		below += limits->tasks[i].ns == task->ns && limits->tasks[i].nr < first;
	return (struct lt_limit){ task->pid_max > first ? task->pid_max - first : 0,
				  task->allocated > below ? task->allocated - below : 0 };
}

/* Where its namespace has fewer left than the host. */
static void read_namespace(struct limits *limits, int dir, struct lt_limits *e)
{
	const struct lt_ns_task *task = is_in_namespace(dir) ? find_task(limits, e->id) : NULL;
	struct lt_limit limit;

	if (!task)
		return;
	limit = limit_of(limits, task);
	if (e->limit[LT_LIMIT_PID_MAX].max != LT_NO_LIMIT &&
	    room_in(&limit) >= room_in(&e->limit[LT_LIMIT_PID_MAX]))
		return;
	e->limit[LT_LIMIT_PID_MAX] = limit;
	e->pid_ns_init = task->init;
}

/* ---- all ---- */

void limits_read(struct limits *limits, struct lt_id id, uint64_t now_ns, limits_count_fn tasks_of,
		 record_fn fn, void *user)
{
	union {
		struct lt_limits e;
		char bytes[LT_RECORD_MAX];
	} record = { .e = { .hdr = { .kind = LT_LIMITS, .time_ns = now_ns }, .id = id } };
	struct lt_limits *e = &record.e;
	char lines[8192], *path = NULL;
	int dir = proc_open(id);

	if (dir < 0)
		return;
	e->limit[LT_LIMIT_PID_MAX] = limits->pid_max;
	e->limit[LT_LIMIT_THREADS_MAX] = limits->threads_max;
	read_namespace(limits, dir, e);
	e->limit[LT_LIMIT_NPROC] = read_nproc(dir, tasks_of, user);
	e->limit[LT_LIMIT_CGROUP] = no_limit;
	if (*limits->cgroups && proc_read_text(dir, "cgroup", lines, sizeof(lines)) > 0)
		path = find_path(lines, limits->pids_hierarchy);
	close(dir);
	if (path) {
		e->limit[LT_LIMIT_CGROUP] = nearest_cgroup(limits->cgroups, path);
		e->path_len = (__u32)strnlen(path, LT_CGROUP_PATH_MAX);
		memcpy(e->path, path, e->path_len);
	}
	e->hdr.size = (__u32)(sizeof(*e) + e->path_len + LT_ALIGN - 1) & ~(__u32)(LT_ALIGN - 1);
	fn(user, e, e->hdr.size);
}
