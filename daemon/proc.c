// SPDX-License-Identifier: GPL-2.0-only
#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <mntent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- one process ---- */

/* At most size bytes; returns how many there were to read, or -errno. */
static ssize_t read_file(int dir, const char *name, char *buf, size_t size)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	while (used < size && (got = read(fd, buf + used, size - used)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			got = -errno;
			close(fd);
			return got;
		}
		used += (size_t)got;
	}
	close(fd);
	return (ssize_t)used;
}

struct stat_line {
	char comm[LT_COMM_LEN];
	char state;
	uint64_t start_ticks, threads;
	uint64_t child_faults; /* of the children that it waited for */
};

/*
 * proc_pid_stat(5). The name in parentheses can hold anything, so the fields
 * are counted from the last parenthesis: 3 state, 11 and 13 the children's
 * faults, 20 threads, 22 start.
 */
static bool read_stat(int dir, struct stat_line *line)
{
	char stat[1024], *open, *close, *save = NULL, *word;
	ssize_t len = read_file(dir, "stat", stat, sizeof(stat) - 1);
	int field = 3;

	if (len <= 0)
		return false;
	stat[len] = '\0';
	open = strchr(stat, '(');
	close = strrchr(stat, ')');
	if (!open || !close || close < open)
		return false;
	*close = '\0';
	snprintf(line->comm, sizeof(line->comm), "%s", open + 1);
	line->child_faults = 0;
	for (word = strtok_r(close + 1, " ", &save); word && field < 22; field++) {
		if (field == 3)
			line->state = *word;
		else if (field == 11 || field == 13)
			line->child_faults += strtoull(word, NULL, 10);
		else if (field == 20)
			line->threads = strtoull(word, NULL, 10);
		word = strtok_r(NULL, " ", &save);
	}
	if (!word)
		return false;
	line->start_ticks = strtoull(word, NULL, 10);
	return true;
}

static bool is_dead(const struct stat_line *line)
{
	return line->state == 'Z' || line->state == 'X';
}

/* start_boottime, as the clock's ticks count it. */
static bool is_same_process(const struct stat_line *line, struct lt_id id)
{
	uint64_t tick_ns = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);

	return line->start_ticks == id.start_ns / tick_ns;
}

/* The process's directory, if it still is the process. */
static int open_process(struct lt_id id, struct stat_line *line)
{
	char path[32];
	int dir;

	snprintf(path, sizeof(path), "/proc/%" PRIu64, (uint64_t)id.pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -1;
	if (read_stat(dir, line) && is_same_process(line, id))
		return dir;
	close(dir);
	return -1;
}

/* mount(8) and old kernels say it in figures, newer ones in words. */
static bool is_value(const char *value, const char *figure, const char *word)
{
	size_t len = strcspn(value, ",");

	return (len == strlen(figure) && !memcmp(value, figure, len)) ||
	       (len == strlen(word) && !memcmp(value, word, len));
}

static struct proc_hiding hiding_of(const struct mntent *mount)
{
	const char *how = hasmntopt(mount, "hidepid"), *group = hasmntopt(mount, "gid");
	struct proc_hiding hiding = { 0 };

	if (!how)
		return hiding;
	how += strlen("hidepid=");
	hiding.hides = !is_value(how, "0", "off");
	hiding.spares_group = !is_value(how, "4", "ptraceable");
	if (group)
		hiding.group = (gid_t)strtoul(group + strlen("gid="), NULL, 10);
	return hiding;
}

/* Of those that lie on one another the last is what one sees. */
struct proc_hiding proc_hiding(void)
{
	struct proc_hiding hiding = { .hides = true };
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	const struct mntent *mount;

	while (mounts && (mount = getmntent(mounts)))
		if (!strcmp(mount->mnt_dir, "/proc"))
			hiding = hiding_of(mount);
	if (mounts)
		endmntent(mounts);
	return hiding;
}

int proc_open(struct lt_id id)
{
	struct stat_line line;

	return open_process(id, &line);
}

uint64_t proc_threads(struct lt_id id)
{
	struct stat_line line = { 0 };
	int dir = open_process(id, &line);

	if (dir < 0)
		return 0;
	close(dir);
	return line.threads;
}

ssize_t proc_read_text(int dir, const char *name, char *text, size_t size)
{
	ssize_t len = read_file(dir, name, text, size - 1);

	text[len < 0 ? 0 : len] = '\0';
	return len;
}

union record {
	struct lt_hdr hdr;
	struct lt_proc proc;
	struct lt_cgroup cgroup;
	struct lt_life life;
	struct lt_tasks tasks;
	char bytes[LT_RECORD_MAX];
};

static void send(union record *record, size_t len, record_fn fn, void *user)
{
	size_t padded = (len + LT_ALIGN - 1) & ~(size_t)(LT_ALIGN - 1);

	memset(record->bytes + len, 0, padded - len);
	record->hdr.size = (__u32)padded;
	fn(user, record, padded);
}

/* The dead have no memory that their arguments could be read from. */
static void read_program(int dir, const struct stat_line *line, uint32_t flags, struct lt_proc *e)
{
	char *text = e->text;
	ssize_t len;

	if (flags & LT_PROC_EXE) {
		len = readlinkat(dir, "exe", text, LT_EXE_MAX);
		if (len > 0) {
			e->exe_len = (__u16)len;
			e->flags |= LT_PROC_EXE;
			text += len;
		}
	}
	if (!(flags & LT_PROC_ARGS) || is_dead(line))
		return;
	len = read_file(dir, "cmdline", text, LT_ARGS_MAX + 2);
	if (len < 0)
		return;
	if (len > LT_ARGS_MAX) {
		if (len > LT_ARGS_MAX + 1) /* the last NUL is no loss */
			e->flags |= LT_PROC_ARGS_CUT;
		len = LT_ARGS_MAX;
	}
	e->args_len = (__u16)len;
	e->flags |= LT_PROC_ARGS;
}

/* Lines of /proc/PID/cgroup: hierarchy:controllers:path. */
static char *find_cgroup_path(char *lines, uint32_t hierarchy)
{
	char *save = NULL, *end, *path;

	for (char *line = strtok_r(lines, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strtoul(line, &end, 10) != hierarchy || *end != ':')
			continue;
		path = strchr(end + 1, ':');
		return path ? path + 1 : NULL;
	}
	return NULL;
}

static void send_cgroup(struct lt_cgroup_id id, const char *path, uint64_t now_ns, record_fn fn,
			void *user)
{
	union record record = { 0 };
	size_t len = strlen(path);

	if (len > LT_CGROUP_PATH_MAX)
		len = LT_CGROUP_PATH_MAX;
	record.hdr.kind = LT_CGROUP;
	record.hdr.cpu = LT_NO_CPU;
	record.hdr.time_ns = now_ns;
	record.cgroup.cgroup = id;
	record.cgroup.path_len = (__u32)len;
	memcpy(record.cgroup.path, path, len);
	send(&record, sizeof(record.cgroup) + len, fn, user);
}

/* The kernel marks so the path of a removed group, which a zombie may still be in. */
static void cut_deleted(char *path)
{
	static const char mark[] = " (deleted)";
	size_t len = strlen(path), mark_len = sizeof(mark) - 1;

	if (len > mark_len && !strcmp(path + len - mark_len, mark))
		path[len - mark_len] = '\0';
}

static void read_cgroup(int dir, const struct stat_line *line, struct lt_cgroup_id id,
			uint64_t now_ns, record_fn fn, void *user)
{
	char lines[8192], *path;
	ssize_t len = read_file(dir, "cgroup", lines, sizeof(lines) - 1);

	if (len <= 0)
		return;
	lines[len] = '\0';
	path = find_cgroup_path(lines, id.hierarchy);
	/* proc_cgroup_show() has "/" for the dead of a v1 hierarchy, wherever they are */
	if (!path || (id.hierarchy && is_dead(line)))
		return;
	cut_deleted(path);
	send_cgroup(id, path, now_ns, fn, user);
}

/* The number of the hierarchy that a controller is in; 0: cgroup2 or none. */
static uint32_t hierarchy_of(const char *controller)
{
	FILE *file = fopen("/proc/cgroups", "re");
	uint32_t hierarchy = 0;
	size_t len = strlen(controller);
	char line[256];

	if (!file)
		return 0;
	while (!hierarchy && fgets(line, sizeof(line), file))
		if (!strncmp(line, controller, len) && line[len] == '\t')
			hierarchy = (uint32_t)strtoul(line + len, NULL, 10);
	fclose(file);
	return hierarchy;
}

/* ---- its threads ---- */

/* So many are looked at: a look takes some 40 us a thread. */
#define THREADS_LOOKED 256

/* A line of /proc/PID/status, after its name; "" if there is none. */
static const char *status_value(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? at + strlen(name) : "";
}

static uint64_t status_mask(const char *status, const char *name)
{
	return strtoull(status_value(status, name), NULL, 16);
}

static bool read_status(int dir, char *status, size_t size)
{
	ssize_t len = read_file(dir, "status", status, size - 1);

	if (len <= 0)
		return false;
	status[len] = '\0';
	return true;
}

/* arch/x86/entry/syscalls/syscall_32.tbl, arch/arm64/tools/syscall_32.tbl */
#if defined(__x86_64__)
#define COMPAT_WAITID 284
#else
#define COMPAT_WAITID 280
#endif

static const struct wait_number {
	bool compat; /* of 32-bit programs */
	unsigned long nr;
	enum lt_wait_call_kind call;
} wait_numbers[] = {
	{ false, SYS_wait4, LT_WAIT4 }, { false, SYS_waitid, LT_WAITID },   { true, 7, LT_WAITPID },
	{ true, 114, LT_WAIT4 },	{ true, COMPAT_WAITID, LT_WAITID },
};

static bool wait_of(bool compat, unsigned long nr, __u8 *call)
{
	for (size_t i = 0; i < sizeof(wait_numbers) / sizeof(wait_numbers[0]); i++) {
		if (wait_numbers[i].compat != compat || wait_numbers[i].nr != nr)
			continue;
		*call = wait_numbers[i].call;
		return true;
	}
	return false;
}

/*
 * 32-bit programs number their calls otherwise. A look at the program's file could wait
 * for whoever serves it; proc_pid_auxv(5) does not: pairs of words of the program's size,
 * first of all a small number. Its upper half is 0, where it is not the word after it.
 */
static bool is_compat(int process)
{
	uint32_t halves[2];

	return read_file(process, "auxv", (char *)halves, sizeof(halves)) == sizeof(halves) &&
	       halves[1];
}

/* proc_pid_syscall(5): the call's number and its arguments in hexadecimal, or a word. */
static void read_call(int dir, bool compat, struct lt_thread *thread, struct lt_tasks *e)
{
	uint64_t args[4] = { 0 };
	char text[256], *at;
	ssize_t len = read_file(dir, "syscall", text, sizeof(text) - 1);
	unsigned long nr;

	if (len <= 0)
		return;
	text[len] = '\0';
	e->flags |= LT_TASKS_CALLS;
	nr = strtoul(text, &at, 10);
	if (at == text || !wait_of(compat, nr, &thread->call))
		return;
	for (int i = 0; i < 4; i++)
		args[i] = strtoull(at, &at, 16);
	thread->flags |= LT_THREAD_WAITS;
	if (thread->call != LT_WAITID) {
		thread->pid = (int32_t)args[0];
		thread->which = thread->pid == -1 ? LT_WAIT_ANY :
				thread->pid > 0	  ? LT_WAIT_PID :
						    LT_WAIT_GROUP;
		thread->options = (uint32_t)args[2];
	} else {
		thread->pid = args[0] == P_ALL ? -1 : (int32_t)args[1];
		thread->which = args[0] == P_ALL  ? LT_WAIT_ANY :
				args[0] == P_PID  ? LT_WAIT_PID :
				args[0] == P_PGID ? LT_WAIT_GROUP :
						    LT_WAIT_PIDFD;
		thread->options = (uint32_t)args[3];
	}
}

static void count_thread(const struct lt_thread *thread, const char *status, struct lt_tasks *e)
{
	__u32 *const states[] = { ['R'] = &e->running, ['D'] = &e->uninterruptible,
				  ['T'] = &e->stopped, ['t'] = &e->traced,
				  ['Z'] = &e->dead,    ['X'] = &e->dead };
	__u32 *count = thread->state < sizeof(states) / sizeof(states[0]) ? states[thread->state] :
									    NULL;

	++*(count ? count : &e->sleeping);
	e->looked++;
	e->waiting += (thread->flags & LT_THREAD_WAITS) != 0;
	e->switches += strtoull(status_value(status, "\nvoluntary_ctxt_switches:"), NULL, 10) +
		       strtoull(status_value(status, "nonvoluntary_ctxt_switches:"), NULL, 10);
}

/* Those that wait come first; who finds no more room is not told. */
static void tell_thread(const struct lt_thread *thread, struct lt_tasks *e)
{
	__u32 at = e->told;

	if (thread->flags & LT_THREAD_WAITS)
		for (at = 0; at < e->told && e->thread[at].flags & LT_THREAD_WAITS;)
			at++;
	if (at == LT_THREADS_TOLD)
		return;
	e->told += e->told < LT_THREADS_TOLD;
	memmove(&e->thread[at + 1], &e->thread[at], (e->told - at - 1) * sizeof(*thread));
	e->thread[at] = *thread;
}

static void read_thread(int tasks, const char *name, bool compat, struct lt_tasks *e)
{
	int dir = openat(tasks, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lt_thread thread = { .tid = (__u32)strtoul(name, NULL, 10) };
	char status[4096];
	ssize_t len;

	if (dir < 0)
		return;
	if (read_status(dir, status, sizeof(status))) {
		thread.state = (__u8)status_value(status, "\nState:\t")[0];
		if (status_mask(status, "\nSigBlk:") & 1U << (SIGCHLD - 1))
			thread.flags |= LT_THREAD_BLOCKS_SIGCHLD;
		read_call(dir, compat, &thread, e);
		len = read_file(dir, "wchan", thread.wchan, sizeof(thread.wchan) - 1);
		if (len <= 0 || !strcmp(thread.wchan, "0"))
			memset(thread.wchan, 0, sizeof(thread.wchan));
		count_thread(&thread, status, e);
		tell_thread(&thread, e);
	}
	close(dir);
}

static void read_threads(int process, struct lt_tasks *e)
{
	int fd = openat(process, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	bool compat = is_compat(process);
	const struct dirent *entry;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (e->looked < THREADS_LOOKED && (entry = readdir(dir)))
		if (*entry->d_name != '.')
			read_thread(fd, entry->d_name, compat, e);
	closedir(dir);
}

/* Whether a file of the cgroup says so. */
static bool cgroup_says(const char *mount, const char *path, const char *file, const char *word)
{
	char name[PATH_MAX], text[256];
	ssize_t len;

	snprintf(name, sizeof(name), "%s%s/%s", mount, path, file);
	len = read_file(AT_FDCWD, name, text, sizeof(text) - 1);
	if (len <= 0)
		return false;
	text[len] = '\0';
	return strstr(text, word) != NULL;
}

static bool is_frozen_in(const struct mntent *mount, const char *path)
{
	if (!strcmp(mount->mnt_type, "cgroup2"))
		return cgroup_says(mount->mnt_dir, path, "cgroup.events", "frozen 1");
	return cgroup_says(mount->mnt_dir, path, "freezer.state", "FROZEN");
}

/* LT_TASKS_FROZEN and the like: by the cgroup that it is in, or one above that. */
static uint32_t frozen_by(int process)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	uint32_t freezer = hierarchy_of("freezer");
	char lines[8192], copy[sizeof(lines)];
	ssize_t len = read_file(process, "cgroup", lines, sizeof(lines) - 1);
	const struct mntent *mount;
	uint32_t frozen = 0;

	while (mounts && len > 0 && !frozen && (mount = getmntent(mounts))) {
		bool v2 = !strcmp(mount->mnt_type, "cgroup2");
		const char *path;

		if (!v2 &&
		    (strcmp(mount->mnt_type, "cgroup") || !freezer || !hasmntopt(mount, "freezer")))
			continue;
		lines[len] = '\0';
		strcpy(copy, lines);
		path = find_cgroup_path(copy, v2 ? 0 : freezer);
		if (path && is_frozen_in(mount, path))
			frozen = LT_TASKS_FROZEN | (v2 ? 0 : LT_TASKS_FREEZER);
	}
	if (mounts)
		endmntent(mounts);
	return frozen;
}

/* So many descriptors are looked at: a look takes a microsecond each. */
#define FILES_LOOKED 1024

/* One that its descriptors lead to: of one that is only registered nothing is seen. */
static bool holds_io_uring(int process)
{
	static const char name[] = "anon_inode:[io_uring]";
	int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC), looked = 0;
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	bool holds = false;
	char target[64];

	while (dir && !holds && looked++ < FILES_LOOKED && (entry = readdir(dir)))
		holds = readlinkat(fd, entry->d_name, target, sizeof(target)) == sizeof(name) - 1 &&
			!memcmp(target, name, sizeof(name) - 1);
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	return holds;
}

static void read_tasks(int dir, struct lt_id id, const struct stat_line *line, uint32_t flags,
		       uint64_t now_ns, record_fn fn, void *user)
{
	union record record = { 0 };
	struct lt_tasks *e = &record.tasks;
	char status[4096];

	if (!read_status(dir, status, sizeof(status)))
		return;
	record.hdr.kind = LT_TASKS;
	record.hdr.time_ns = now_ns;
	e->id = id;
	e->threads = (__u32)line->threads;
	e->sig_pending = status_mask(status, "\nSigPnd:") | status_mask(status, "\nShdPnd:");
	e->sig_ignored = status_mask(status, "\nSigIgn:");
	e->sig_caught = status_mask(status, "\nSigCgt:");
	if (line->child_faults)
		e->flags |= LT_TASKS_REAPED_BEFORE;
	if (flags & LT_PROC_IO_URING && holds_io_uring(dir))
		e->flags |= LT_TASKS_IO_URING;
	read_threads(dir, e);
	if (!e->running)
		e->flags |= frozen_by(dir);
	if (e->looked)
		send(&record, sizeof(*e) + e->told * sizeof(*e->thread), fn, user);
}

uint64_t proc_process_of(uint64_t tid)
{
	char path[40], status[4096];

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/status", tid);
	if (proc_read_text(AT_FDCWD, path, status, sizeof(status)) <= 0)
		return 0;
	return strtoull(status_value(status, "\nTgid:"), NULL, 10);
}

void proc_read(struct lt_id id, struct lt_cgroup_id cgroup, uint32_t flags, uint64_t now_ns,
	       record_fn fn, void *user)
{
	union record record = { 0 };
	struct stat_line line;
	int dir = open_process(id, &line);

	if (dir < 0)
		return;
	if (flags & LT_PROC_CGROUP && cgroup.id)
		read_cgroup(dir, &line, cgroup, now_ns, fn, user);
	if (flags & LT_PROC_TASKS)
		read_tasks(dir, id, &line, flags, now_ns, fn, user);
	record.hdr.kind = LT_PROC;
	record.hdr.time_ns = now_ns;
	record.proc.id = id;
	read_program(dir, &line, flags, &record.proc);
	if (record.proc.flags)
		send(&record, sizeof(record.proc) + record.proc.exe_len + record.proc.args_len, fn,
		     user);
	close(dir);
}

static uint8_t state_of(const struct stat_line *line)
{
	switch (line->state) {
	case 'Z':
		return line->threads > 1 ? LT_DEAD_LEADER : LT_ZOMBIE;
	case 'X':
		return LT_EXITING;
	case 'T':
		return LT_STOPPED;
	default:
		return LT_RUNNING;
	}
}

void proc_scan(struct lt_id id, uint64_t now_ns, record_fn fn, void *user)
{
	union record record = { 0 };
	struct lt_life *e = &record.life;
	struct stat_line line;
	struct stat owner;
	int dir = open_process(id, &line);

	if (dir < 0)
		return;
	record.hdr.kind = LT_SCAN;
	record.hdr.time_ns = now_ns;
	e->id = id;
	e->state = state_of(&line);
	e->zombie_ns = e->state == LT_ZOMBIE ? now_ns : 0;
	e->exit_signal = SIGCHLD;
	e->flags = LT_LIFE_INFERRED;
	e->ns_pid = (__u32)id.pid;
	if (!fstat(dir, &owner))
		e->uid = owner.st_uid;
	memcpy(e->comm, line.comm, LT_COMM_LEN);
	send(&record, sizeof(*e), fn, user);
	close(dir);
}

bool proc_in_initial_pidns(void)
{
	struct stat ns;

	/* PROC_PID_INIT_INO, include/linux/proc_ns.h */
	return !stat("/proc/self/ns/pid", &ns) && ns.st_ino == 0xEFFFFFFCU;
}

/* ---- all cgroups ---- */

/* nftw has no argument of its own. */
static struct {
	size_t root_len;
	uint32_t hierarchy;
	uint64_t now_ns;
	record_fn fn;
	void *user;
} walk;

static int on_dir(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	struct lt_cgroup_id id = { .id = stat->st_ino, .hierarchy = walk.hierarchy };

	(void)ftw;
	if (type == FTW_D)
		send_cgroup(id, path[walk.root_len] ? path + walk.root_len : "/", walk.now_ns,
			    walk.fn, walk.user);
	return 0;
}

static void walk_hierarchy(const char *root, uint32_t hierarchy)
{
	walk.root_len = strlen(root);
	walk.hierarchy = hierarchy;
	nftw(root, on_dir, 16, FTW_PHYS | FTW_MOUNT);
}

uint32_t proc_pids_hierarchy(void)
{
	return hierarchy_of("pids");
}

void proc_cgroups(uint64_t now_ns, record_fn fn, void *user)
{
	uint32_t pids = proc_pids_hierarchy();
	bool seen_v1 = !pids, seen_v2 = false;
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *mount;

	if (!mounts)
		return;
	walk.now_ns = now_ns;
	walk.fn = fn;
	walk.user = user;
	while ((mount = getmntent(mounts))) {
		if (!strcmp(mount->mnt_type, "cgroup2") && !seen_v2) {
			seen_v2 = true;
			walk_hierarchy(mount->mnt_dir, 0);
		} else if (!strcmp(mount->mnt_type, "cgroup") && !seen_v1 &&
			   hasmntopt(mount, "pids")) {
			seen_v1 = true;
			walk_hierarchy(mount->mnt_dir, pids);
		}
	}
	endmntent(mounts);
}
