/*
 * usage: forks [WAY] - a birth and its two returns, or its failure
 *
 * fork: by fork; thread: by a fork of a thread that is not the leader; vfork:
 * by vfork; parent: by a child that uses CLONE_PARENT, so that the newborn is
 * its creator's sibling; large: of a process of 64 MiB; retried: again and
 * again while signals come, which makes the kernel begin anew.
 * fail-nproc, fail-pids, fail-pid-max, fail-dead-ns: three times by a fork that
 * fails, the errno is said as "failed"; "lacks" says why that cannot be had.
 */
#include "cast.h"

#include <inttypes.h>
#include <mntent.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>

static const char text[] = "[fork|thread|vfork|parent|large|retried|"
			   "fail-nproc|fail-pids|fail-pid-max|fail-dead-ns]";
static struct gate alive;

static void tell_child(int returned)
{
	say("child.returned", "%d", returned);
	say("child.pid", "%d", getpid());
	say("child.ppid", "%d", getppid());
}

static pid_t fork_one(void)
{
	pid_t pid;

	gate__init(&alive);
	pid = fork_or_fail();
	if (!pid) {
		tell_child(pid);
		gate__pass(&alive);
		_exit(0);
	}
	say("creator.tid", "%d", gettid_now());
	say("creator.pid", "%d", getpid());
	say("child", "%d", pid);
	return pid;
}

static void by_fork(void)
{
	pid_t pid = fork_one();

	hold("alive");
	gate__open(&alive, 1);
	reap(pid, 0);
}

static void *fork_in_thread(void *unused)
{
	(void)unused;
	by_fork();
	return NULL;
}

static void by_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fork_in_thread, NULL))
		fail("pthread_create");
	pthread_join(thread, NULL);
}

static void by_vfork(void)
{
	static volatile uint64_t child_begin_ns, child_end_ns;
	uint64_t begin_ns, end_ns;
	pid_t pid;

	say("creator.tid", "%d", gettid_now());
	say("creator.pid", "%d", getpid());
	begin_ns = boottime_ns();
	pid = vfork();
	/* NOLINTBEGIN(clang-analyzer-unix.Vfork): it must take time, and calls only the kernel */
	if (!pid) {
		child_begin_ns = boottime_ns();
		usleep(20000);
		child_end_ns = boottime_ns();
		_exit(9);
	}
	/* NOLINTEND(clang-analyzer-unix.Vfork) */
	end_ns = boottime_ns();
	say("child", "%d", pid);
	say("child.lived_ns", "%" PRIu64, child_end_ns - child_begin_ns);
	say("call_ns", "%" PRIu64, end_ns - begin_ns);
	hold("dead");
	reap(pid, 0);
}

static void creator(struct gate *made)
{
	pid_t pid;

	gate__init(&alive);
	say("creator.tid", "%d", gettid_now());
	say("creator.pid", "%d", getpid());
	pid = clone_fork(CLONE_PARENT, 0, 0);
	if (pid < 0)
		fail("clone3");
	if (!pid) {
		tell_child(pid);
		gate__pass(&alive);
		_exit(6);
	}
	say("child", "%d", pid);
	gate__open(made, 1);
	hold("alive");
	gate__open(&alive, 1);
	_exit(5);
}

static void by_parent(void)
{
	struct gate made;
	pid_t pid;

	gate__init(&made);
	pid = fork_or_fail();
	if (!pid)
		creator(&made);
	gate__collect(&made, 1);
	reap(pid, 0);
	reap(-1, 0);
}

/* ---- what it costs ---- */

#define LARGE_BYTES (64UL << 20)

/* A size that /proc/self/status tells in KiB. */
static unsigned long status_kib(const char *key)
{
	char line[256];
	unsigned long kib = 0;
	FILE *file = fopen("/proc/self/status", "re");

	if (!file)
		fail("/proc/self/status");
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			kib = strtoul(line + strlen(key) + 1, NULL, 10);
	fclose(file);
	return kib;
}

static void by_large(void)
{
	char *memory =
		mmap(NULL, LARGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t begin_ns, end_ns;
	pid_t pid;

	if (memory == MAP_FAILED)
		fail("mmap");
	memset(memory, 1, LARGE_BYTES);
	say("rss_kib", "%lu", status_kib("VmRSS"));
	say("pagetable_kib", "%lu", status_kib("VmPTE"));
	gate__init(&alive);
	begin_ns = boottime_ns();
	pid = fork_or_fail();
	end_ns = boottime_ns();
	if (!pid) {
		say("child.pagetable_kib", "%lu", status_kib("VmPTE"));
		gate__pass(&alive);
		_exit(0);
	}
	say("child", "%d", pid);
	say("call_ns", "%" PRIu64, end_ns - begin_ns);
	hold("alive");
	gate__open(&alive, 1);
	reap(pid, 0);
}

#define RETRIED_FORKS 200

/* The kernel does not begin a copy while a signal is pending: it is called again. */
static void by_retried(void)
{
	pid_t parent = getpid(), sender, pid;

	set_handler(SIGUSR1, no_op, SA_RESTART);
	sender = fork_or_fail();
	if (!sender) {
		die_with_parent();
		while (!kill(parent, SIGUSR1))
			;
		_exit(0);
	}
	for (int i = 0; i < RETRIED_FORKS; i++) {
		pid = fork_or_fail();
		if (!pid)
			_exit(0);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	kill(sender, SIGKILL);
	while (waitpid(sender, NULL, 0) < 0 && errno == EINTR)
		;
	hold("done");
}

/* ---- no child ---- */

#define FAILURES 3

static void fail_to_fork(void)
{
	pid_t pid;

	for (int i = 0; i < FAILURES; i++) {
		pid = fork();
		if (!pid)
			_exit(0);
		say("failed", "%s", pid < 0 ? strerrorname_np(errno) : "not");
	}
	hold("failed");
}

static void by_fail_nproc(void)
{
	const struct rlimit none = { 1, 1 };

	/* root is not held to it */
	if (setrlimit(RLIMIT_NPROC, &none) || setresgid(54321, 54321, 54321) ||
	    setresuid(54321, 54321, 54321)) {
		say("lacks", "another user: %s", strerrorname_np(errno));
		return;
	}
	fail_to_fork();
}

static bool write_file(const char *path, const char *text_to_write)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text_to_write, strlen(text_to_write));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text_to_write);
}

/* Where a hierarchy with the pids controller is mounted: of version 1, or 2. */
static bool find_pids_cgroup(char *dir, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *mount;
	bool found = false;
	char path[512];

	while (mounts && !found && (mount = getmntent(mounts))) {
		if (strncmp(mount->mnt_type, "cgroup", 6))
			continue;
		snprintf(dir, size, "%s", mount->mnt_dir);
		snprintf(path, sizeof(path), "%s/cgroup.subtree_control", dir);
		found = hasmntopt(mount, "pids") || write_file(path, "+pids");
	}
	if (mounts)
		endmntent(mounts);
	return found;
}

/* A cgroup of its own that the parent removes again. */
static void by_fail_pids(void)
{
	char root[256], dir[320], path[400], self[16];
	pid_t pid;

	if (!find_pids_cgroup(root, sizeof(root))) {
		say("lacks", "the pids controller");
		return;
	}
	snprintf(dir, sizeof(dir), "%s/lt-cast-%d", root, getpid());
	if (mkdir(dir, 0755)) {
		say("lacks", "a cgroup of its own: %s", strerrorname_np(errno));
		return;
	}
	pid = fork_or_fail();
	if (!pid) {
		say("failing", "%d", getpid());
		snprintf(self, sizeof(self), "%d", getpid());
		snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
		if (!write_file(path, self))
			fail(path);
		snprintf(path, sizeof(path), "%s/pids.max", dir);
		if (!write_file(path, "1"))
			fail(path);
		fail_to_fork();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	while (rmdir(dir) && errno == EBUSY)
		sched_yield();
}

/* From 6.14 on each pid namespace has its own: nobody else's is touched. */
static bool has_own_pid_max(void)
{
	struct utsname name;
	int major = 0, minor = 0;

	uname(&name);
	return sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 14));
}

static void fill_namespace(void)
{
	pid_t pid;

	if (!write_file("/proc/sys/kernel/pid_max", "301"))
		fail("/proc/sys/kernel/pid_max");
	while ((pid = fork()) > 0)
		;
	if (!pid) {
		die_with_parent();
		_exit(pause());
	}
	say("failed", "%s", strerrorname_np(errno));
	for (int i = 1; i < FAILURES; i++)
		say("failed", "%s", fork() < 0 ? strerrorname_np(errno) : "not");
	hold("failed");
}

static void by_fail_pid_max(void)
{
	pid_t pid;

	if (!has_own_pid_max() || unshare(CLONE_NEWPID)) {
		say("lacks", "a pid_max of its own (before 6.14)");
		return;
	}
	pid = fork_or_fail();
	if (!pid) { /* its init: all others go with it */
		fill_namespace();
		_exit(0);
	}
	say("failing", "%d", pid);
	reap(pid, 0);
}

/* pid_namespaces(7): after its init is dead nobody is born there, with ENOMEM. */
static void by_fail_dead_ns(void)
{
	pid_t pid;

	if (unshare(CLONE_NEWPID)) {
		say("lacks", "a pid namespace: %s", strerrorname_np(errno));
		return;
	}
	pid = fork_or_fail();
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	fail_to_fork();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} ways[] = {
		{ "fork", by_fork },
		{ "thread", by_thread },
		{ "vfork", by_vfork },
		{ "parent", by_parent },
		{ "large", by_large },
		{ "retried", by_retried },
		{ "fail-nproc", by_fail_nproc },
		{ "fail-pids", by_fail_pids },
		{ "fail-pid-max", by_fail_pid_max },
		{ "fail-dead-ns", by_fail_dead_ns },
	};
	const char *way = argc > 1 ? argv[1] : "fork";

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (strcmp(way, ways[i].name))
			continue;
		enter_stage();
		ways[i].run();
		return 0;
	}
	usage(text);
}
