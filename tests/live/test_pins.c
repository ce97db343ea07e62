/*
 * What outlives the daemon: programs and maps pinned in a bpf file system, and what
 * it knew. Killed, upgraded, stopped, in bad company: no event is missed, none
 * is counted twice, and nothing that was known is forgotten.
 */
#include "run.h"
#include "truth.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#define BPFFS "/sys/fs/bpf"
#define BPFFS_MAGIC 0xcafe4a11

/* ---- pins of a test ---- */

/* Zombies of others on the host are no reason to attach more. */
#define PIN(dir) "--syscall-hooks", "off", "--pin-dir", dir

struct place {
	char dir[64];
	struct guard *guard; /* takes all out of the kernel, also when the test is killed */
};

static struct place make_place(void)
{
	struct place place;
	struct statfs fs;

	if (geteuid())
		cr_skip_test("needs root");
	if (statfs(BPFFS, &fs) || (unsigned)fs.f_type != BPFFS_MAGIC)
		cr_skip_test("no bpf file system on " BPFFS);
	snprintf(place.dir, sizeof(place.dir), BPFFS "/lt-live-%d", getpid());
	place.guard = guard__command(ARGV(LIFETRACED, PIN(place.dir), "--detach-all"));
	return place;
}

#define JOURNALS "/run/lifetrace/journal"

/* One of the two files in which is kept what is known. */
static void journal_path(const struct place *place, int which, char path[128])
{
	snprintf(path, 128, JOURNALS "/sys-fs-bpf-%s.%d", strrchr(place->dir, '/') + 1, which);
}

static void remove_place(struct place *place)
{
	char path[128];

	guard__restore(place->guard);
	for (int i = 0; i < 2; i++) {
		journal_path(place, i, path);
		lt_require(access(path, F_OK), "%s is left", path);
	}
	lt_require(!rmdir(place->dir) || errno == ENOENT, "%s: %s", place->dir, strerror(errno));
}

static void require_hook(struct lt *lt, const char *words)
{
	char *hook = lt__hook(lt, "pins");

	lt_require(strstr(hook, words), "pins: \"%s\", not \"%s\"", hook, words);
	free(hook);
}

static void require_log(const struct lt *lt, const char *words)
{
	char *log = lt__log(lt);

	lt_require(strstr(log, words), "the log does not say \"%s\"", words);
	free(log);
}

/* Kernel ids of what is pinned, by the kernel's own tool; 0: no such pin. */
static int program_id(const char *path)
{
	char command[256];
	FILE *pipe;
	int id = 0;

	snprintf(command, sizeof(command), "bpftool prog show pinned %s 2>/dev/null", path);
	pipe = popen(command, "re");
	if (!pipe || fscanf(pipe, "%d:", &id) != 1)
		id = 0;
	if (pipe)
		pclose(pipe);
	return id;
}

static bool program_is_loaded(int id)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", id);
	return !run_quietly(ARGV("/usr/sbin/bpftool", "prog", "show", "id", text));
}

static int id_of(const struct place *place, int generation, const char *program)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%d/prog_%s", place->dir, generation, program);
	return program_id(path);
}

/* ---- a storm, and what must come of it ---- */

static struct cast *begin_storm(const char *forks, int64_t *births)
{
	struct cast *storm = cast__start("storm", forks, NULL);

	cast__hold(storm, "calm");
	*births = proc__births();
	cast__go(storm);
	return storm;
}

static void await_births(const struct cast *storm, int64_t births)
{
	lt_await(proc__births() >= births, "no storm");
	lt_require(cast__count(storm, "hold") == 1, "the storm is over already");
}

static void end_storm(struct cast *storm)
{
	cast__hold(storm, "over");
	cast__end(storm);
	cast__free(storm);
}

LT_TEST(pins, killed_twice_in_a_storm)
{
	struct place place = make_place();
	struct lt *lt = lt__start(PIN(place.dir), NULL);
	struct sums before = settle(lt);
	struct cast *storm;
	int64_t births;

	require_hook(lt, "(new)");
	storm = begin_storm("20000", &births);
	for (int64_t n = 1; n <= 2; n++) {
		await_births(storm, births + n * 3000);
		lt__end_daemon(lt, SIGKILL);
		lt__again(lt, PIN(place.dir), NULL);
		require_hook(lt, "/1 (taken over)");
	}
	end_storm(storm);
	require_truth(lt, before);
	lt__stop(lt);
	remove_place(&place);
}

/* What is not pinned goes with the daemon, and takes nothing along. */
LT_TEST(pins, killed_while_calls_are_watched)
{
	struct place place = make_place();
	struct lt *lt = lt__start(PIN(place.dir), "--syscall-hooks", "always", NULL);
	struct sums before = settle(lt);
	int64_t births;
	struct cast *storm = begin_storm("20000", &births);

	await_births(storm, births + 3000);
	lt__end_daemon(lt, SIGKILL);
	lt__again(lt, PIN(place.dir), "--syscall-hooks", "always", NULL);
	end_storm(storm);
	require_truth(lt, before);
	lt__stop(lt);
	remove_place(&place);
}

/* Killed where it starts, too, with the same layout and another, at no moment that anybody chose. */
LT_TEST(pins, killed_while_it_starts)
{
	struct place place = make_place();
	struct lt *lt = lt__start(PIN(place.dir), "--ring-size", "64M", NULL);
	struct sums before = settle(lt);
	int64_t births;
	struct cast *storm = begin_storm("20000", &births);

	for (int ms = 5; ms <= 320; ms *= 2) {
		const char *size = ms % 4 ? "64M" : "32M";
		const char *const argv[] = { LIFETRACED,     "--pin-dir",   place.dir, "--socket",
					     lt__socket(lt), "--ring-size", size,      NULL };
		struct job job;

		lt__end_daemon(lt, SIGKILL);
		job__start(&job, &(struct plan){ .argv = argv });
		pass_time(ms * NSEC_PER_MSEC);
		kill(job.pid, SIGKILL);
		job__wait(&job, LT_DEADLINE_NS);
		job__free(&job);
		lt__again(lt, PIN(place.dir), "--ring-size", "64M", NULL);
	}
	end_storm(storm);
	require_truth(lt, before);
	lt__stop(lt);
	remove_place(&place);
}

/* ---- what was known ---- */

/* What no look at the kernel brings back. */
static json_t *knowledge(struct lt *lt, pid_t pid)
{
	static const char *const names[] = {
		"id",	     "exit",	   "zombie_ns",	      "exited_ns",
		"forked_ns", "sigchld",	   "parent_waits",    "parent_waits_at_death",
		"born_of",   "fork",	   "inferred",	      "parent_id",
		"flagged",   "flagged_ns", "first_parent_id",
	};
	json_t *row = lt__await_row(lt, "zombies", pid, "flagged=true"), *known = json_object();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		lt_require(json_at(row, names[i]), "no %s", names[i]);
		json_object_set(known, names[i], json_at(row, names[i]));
	}
	json_decref(row);
	return known;
}

static void require_known(struct lt *lt, pid_t pid, json_t *known)
{
	json_t *now = knowledge(lt, pid);

	lt_require(json_equal(now, known), "%s was known as %s", json_dumps(now, 0),
		   json_dumps(known, 0));
	json_decref(now);
}

/* A parent that has waited three times, then lets three children be zombies. */
static struct cast *begin_zombies(void)
{
	struct cast *cast = cast__start("batch", "3", "2", NULL);

	cast__hold(cast, "full");
	cast__go(cast);
	cast__hold(cast, "full");
	return cast;
}

/* They are reaped, and that is seen. */
static void end_zombies(struct lt *lt, struct cast *cast)
{
	pid_t pid = cast__int(cast, "child", 4);

	cast__go(cast);
	cast__hold(cast, "empty");
	lt__require_no_zombie(lt, pid);
	cast__free(cast);
}

static void check_known_after(int sig, const char *option, const char *value, const char *words)
{
	struct place place = make_place();
	struct lt *lt =
		lt__start(PIN(place.dir), "--zombie-age", "200ms", "--leak-count", "2", NULL);
	struct cast *cast = begin_zombies();
	pid_t pid = cast__int(cast, "child", 4);
	json_t *known = knowledge(lt, pid);

	expect(known, "exit.how=exited exit.status=1 parent_waits.calls=3 inferred=false");
	expect(known, "parent_waits_at_death.calls=3 sigchld.disposition=default");
	lt__end_daemon(lt, sig);
	lt__again(lt, PIN(place.dir), "--zombie-age", "200ms", "--leak-count", "2", option, value,
		  NULL);
	require_hook(lt, words);
	require_known(lt, pid, known);
	json_decref(known);
	end_zombies(lt, cast);
	lt__stop(lt);
	remove_place(&place);
}

LT_TEST(pins, zombies_are_known_after_a_kill)
{
	check_known_after(SIGKILL, NULL, NULL, "/1 (taken over)");
}

LT_TEST(pins, zombies_are_known_after_a_restart)
{
	check_known_after(SIGTERM, NULL, NULL, "/1 (taken over)");
}

LT_TEST(pins, zombies_are_known_after_an_upgrade)
{
	check_known_after(SIGKILL, "--ring-size", "4M", "/2 (took over from another layout)");
}

/* What others could have written: nothing of it is known, and the pins go on. */
LT_TEST(pins, journal_that_others_can_write_is_not_believed)
{
	struct place place = make_place();
	struct lt *lt = lt__start(PIN(place.dir), NULL);
	struct cast *cast = begin_zombies();
	pid_t pid = cast__int(cast, "child", 4);
	char path[128];

	json_decref(lt__await_row(lt, "zombies", pid, "inferred=false"));
	lt__end_daemon(lt, SIGKILL);
	for (int i = 0; i < 2; i++) {
		journal_path(&place, i, path);
		lt_require(!chmod(path, 0620), "%s: %s", path, strerror(errno));
	}
	lt__again(lt, PIN(place.dir), NULL);
	require_hook(lt, "/1 (taken over); no journal in " JOURNALS ": Operation not permitted");
	json_decref(lt__await_row(lt, "zombies", pid, "inferred=true"));
	end_zombies(lt, cast);
	lt__stop(lt);
	remove_place(&place);
}

/* It died, and was reaped, while nobody read. */
LT_TEST(pins, what_happens_meanwhile_is_told)
{
	struct place place = make_place();
	struct lt *lt = lt__start(PIN(place.dir), NULL);
	struct cast *cast = begin_zombies();
	pid_t pid = cast__int(cast, "child", 3);
	json_t *row = lt__await_row(lt, "zombies", pid, "exit.status=1");

	lt__end_daemon(lt, SIGKILL);
	cast__go(cast);
	cast__hold(cast, "empty");
	lt__again(lt, PIN(place.dir), NULL);
	lt__require_no_zombie(lt, pid);
	json_decref(row);
	row = lt__json(lt, NULL, "ps", "--all", "--comm", "batch", NULL);
	lt_require(json_array_size(json_at(row, "processes")) == 7, "%s", json_dumps(row, 0));
	json_decref(row);
	row = lt__await_row(lt, "ps", cast__pid(cast), "waits.calls=6 inferred=false");
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
	remove_place(&place);
}

/* ---- upgrades ---- */

/* By its settings the second one's programs are others. */
LT_TEST(pins, another_layout_in_a_storm)
{
	static const char *const sizes[] = { "32M", "64M", "32M" };
	struct place place = make_place();
	struct lt *lt = lt__start(PIN(place.dir), NULL);
	struct sums before = settle(lt);
	int64_t births;
	struct cast *storm;
	char words[64];
	int first, later;

	first = id_of(&place, 1, "on_newtask");
	lt_require(first && program_is_loaded(first), "nothing is pinned");
	for (int i = 0; i < 3; i++) {
		storm = begin_storm("20000", &births);
		await_births(storm, births + 3000);
		lt__end_daemon(lt, i ? SIGTERM : SIGKILL);
		lt__again(lt, PIN(place.dir), "--ring-size", sizes[i], NULL);
		snprintf(words, sizeof(words), "/%d (took over from another layout)", i + 2);
		require_hook(lt, words);
		end_storm(storm);
	}
	require_truth(lt, before);
	later = id_of(&place, 4, "on_newtask");
	lt_await(!program_is_loaded(first), "the first one's program is still there");
	lt_require(later && program_is_loaded(later), "the last one's is not");
	lt_require(!id_of(&place, 3, "on_newtask"), "pins of a former one are left");
	lt__stop(lt);
	remove_place(&place);
}

/* ---- nobody there ---- */

LT_TEST(pins, overrun_while_nobody_reads)
{
	struct place place = make_place();
	struct lt *lt = lt__start(PIN(place.dir), "--ring-size", "64k", NULL);
	struct sums before = settle(lt);
	struct cast *storm, *living;
	int64_t births;
	json_t *status;

	lt__end_daemon(lt, SIGKILL);
	storm = begin_storm("20000", &births);
	end_storm(storm);
	living = cast__start("forks", "fork", NULL);
	cast__hold(living, "alive");
	lt__again(lt, PIN(place.dir), "--ring-size", "64k", NULL);
	lt_await(births_are(lt, before.births), "births: %ld are neither counted nor lost",
		 sums_now(lt).births - before.births);
	require_equal_to_proc(lt, LT_DEADLINE_NS);
	status = lt__status(lt);
	lt_require(int_at(status, "lost.fork") > 10000, "nothing was lost");
	json_decref(status);
	json_decref(lt__await_row(lt, "ps", cast__int(living, "child", 0), "inferred=true"));
	cast__end(living);
	cast__free(living);
	lt__stop(lt);
	remove_place(&place);
}

LT_TEST(pins, stopped_in_a_storm)
{
	struct place place = make_place();
	struct lt *lt = lt__start(PIN(place.dir), "--ring-size", "64M", NULL);
	struct sums before = settle(lt);
	struct cast *storm;
	int64_t births;

	kill(lt__daemon_pid(lt), SIGSTOP);
	storm = begin_storm("20000", &births);
	end_storm(storm);
	kill(lt__daemon_pid(lt), SIGCONT);
	require_truth(lt, before);
	lt__stop(lt);
	remove_place(&place);
}

/* A birth, for the programs to look at the clock. */
static void be_born(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}

/* How often the program on_newtask has run is what bpftool counts; what it sent is not. */
static size_t gate_generation(const struct place *place)
{
	char command[200];
	unsigned byte = 1;
	FILE *pipe;

	be_born();
	snprintf(command, sizeof(command),
		 "bpftool map dump pinned %s/1/map__data_gate -j | "
		 "sed 's/.*\"generation\":\\([0-9]*\\).*/\\1/'",
		 place->dir);
	pipe = popen(command, "re");
	if (!pipe || fscanf(pipe, "%u", &byte) != 1)
		byte = 1;
	if (pipe)
		pclose(pipe);
	return byte;
}

static int detach(const struct place *place, const char *how)
{
	return run_quietly(ARGV(LIFETRACED, PIN(place->dir), how));
}

LT_TEST(pins, without_a_heartbeat_programs_rest)
{
	struct place place = make_place();
	struct lt *lt = lt__start(PIN(place.dir), "--heartbeat", "1s", NULL);
	struct cast *living;
	json_t *status;
	int64_t forks;

	lt_require(!detach(&place, "--detach-stale") && !access(place.dir, F_OK),
		   "detached beneath a daemon that lives");
	lt__end_daemon(lt, SIGKILL);
	lt_await(!gate_generation(&place), "the programs go on");
	living = cast__start("forks", "fork", NULL);
	cast__hold(living, "alive");
	for (int i = 0; i < 1000; i++)
		be_born();
	lt__again(lt, PIN(place.dir), "--heartbeat", "1s", NULL);
	require_log(lt, "nothing was observed for");
	status = lt__status(lt);
	forks = int_at(status, "forks");
	json_decref(status);
	lt_require(forks < 1000, "%ld forks were counted by programs at rest", forks);
	require_equal_to_proc(lt, LT_DEADLINE_NS);
	be_born();
	status = lt__status(lt);
	lt_require(int_at(status, "forks") > forks, "the programs rest for ever");
	json_decref(status);
	cast__end(living);
	cast__free(living);
	lt__stop(lt);
	remove_place(&place);
}

LT_TEST(pins, stopped_for_longer_than_the_heartbeat)
{
	struct place place = make_place();
	struct lt *lt = lt__start(PIN(place.dir), "--heartbeat", "1s", NULL);

	kill(lt__daemon_pid(lt), SIGSTOP);
	lt_await(!gate_generation(&place), "the programs go on");
	kill(lt__daemon_pid(lt), SIGCONT);
	lt_await(gate_generation(&place) == 1, "the programs rest for ever");
	require_log(lt, "nothing was observed for");
	require_equal_to_proc(lt, LT_DEADLINE_NS);
	lt__stop(lt);
	remove_place(&place);
}

/* ---- taking all out ---- */

LT_TEST(pins, detach)
{
	struct place place = make_place();
	struct lt *lt = lt__start(PIN(place.dir), "--heartbeat", "2s", NULL);
	int id = id_of(&place, 1, "on_exit");

	lt_require(id, "nothing is pinned");
	require_complaint(ARGV(LIFETRACED, PIN(place.dir), "--detach-all"), 1, place.dir);
	lt__end_daemon(lt, SIGTERM);
	lt_require(program_is_loaded(id), "the program went with its daemon");
	lt_require(!detach(&place, "--detach-stale"), "--detach-stale failed");
	lt_require(program_is_loaded(id), "detached too soon");
	lt_await(!gate_generation(&place), "the programs go on");
	lt_require(!detach(&place, "--detach-stale"), "--detach-stale failed");
	lt_require(!id_of(&place, 1, "on_exit"), "the pins are left");
	lt_await(!program_is_loaded(id), "the program is left");
	lt_require(!detach(&place, "--detach-all"), "with nothing to detach it fails");
	lt__again(lt, PIN(place.dir), NULL);
	require_hook(lt, "/1 (new)");
	lt__stop(lt);
	remove_place(&place);
}

/* ---- bad company ---- */

LT_TEST(pins, two_daemons)
{
	struct place place = make_place();
	struct lt *lt = lt__start(PIN(place.dir), NULL);
	struct sums before = settle(lt);
	char socket[128];

	snprintf(socket, sizeof(socket), "%s.2", lt__socket(lt));
	require_complaint(ARGV(LIFETRACED, PIN(place.dir), "--socket", socket), 1, place.dir);
	lt_require(access(socket, F_OK), "it left its socket");
	require_truth(lt, before);
	lt__stop(lt);
	remove_place(&place);
}

/* A crash while it was pinning left a part. */
LT_TEST(pins, left_by_a_crash)
{
	struct place place = make_place();
	struct lt *lt = lt__start(PIN(place.dir), NULL);
	int id = id_of(&place, 1, "on_exit");
	char path[160];

	lt__end_daemon(lt, SIGKILL);
	snprintf(path, sizeof(path), "%s/7", place.dir);
	lt_require(!mkdir(path, 0700), "%s: %s", path, strerror(errno));
	snprintf(path, sizeof(path), "%s/1/layout", place.dir);
	lt_require(!unlink(path), "%s: %s", path, strerror(errno));
	lt__again(lt, PIN(place.dir), NULL);
	require_hook(lt, "/1 (new)");
	lt_await(!program_is_loaded(id), "what was left is still there");
	snprintf(path, sizeof(path), "%s/7", place.dir);
	lt_require(access(path, F_OK), "%s is left", path);
	require_equal_to_proc(lt, LT_DEADLINE_NS);
	lt__stop(lt);
	remove_place(&place);
}

static void check_unpinned(const char *dir, const char *words)
{
	struct lt *lt = lt__start(PIN(dir), NULL);
	struct sums before = settle(lt);

	require_hook(lt, "off: ");
	require_hook(lt, words);
	require_log(lt, words);
	be_born();
	require_truth(lt, before);
	lt__stop(lt);
}

LT_TEST(pins, of_another_user)
{
	struct place place = make_place();

	lt_require(!mkdir(place.dir, 0700) && !chown(place.dir, NOBODY_UID, NOBODY_UID), "%s: %s",
		   place.dir, strerror(errno));
	check_unpinned(place.dir, "belongs to user 65534");
	lt_require(!chown(place.dir, 0, 0) && !chmod(place.dir, 0777), "%s", strerror(errno));
	check_unpinned(place.dir, "can be written to by others");
	rmdir(place.dir);
	remove_place(&place);
}

LT_TEST(pins, no_bpf_file_system)
{
	check_unpinned("/tmp/lt-live-pins", "/tmp: no bpf file system is mounted there");
	check_unpinned("/nowhere/lt-live-pins", "/nowhere: No such file or directory");
	check_unpinned("/proc/lt-live-pins", "no bpf file system");
}

/* In a mount namespace of the daemon's own. */
LT_TEST(pins, read_only)
{
	const char *const mount_it[] = { "/bin/mount", "-t", "bpf", "-o", "ro", "bpf", BPFFS, NULL };

	if (geteuid() || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || run_quietly(mount_it))
		cr_skip_test("no mount namespace of its own");
	check_unpinned(BPFFS "/lt-live", "Read-only file system");
}

/* ---- a kernel that refuses ---- */

/* Which program, where libbpf knows: in the first line, with the reason. Returns whether it does. */
static bool names_the_refused(const char *words)
{
	const char *by_libbpf = strstr(words, "': failed to load");
	char line[256], name[64];
	int len = 0;

	if (!by_libbpf)
		by_libbpf = strstr(words, "': failed to attach");
	if (!by_libbpf)
		return false;
	while (by_libbpf - len > words && by_libbpf[-len - 1] != '\'')
		len++;
	snprintf(name, sizeof(name), ": %.*s: %s", len, by_libbpf - len, strerror(EPERM));
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(words, "\n"), words);
	lt_require(strstr(line, name), "\"%s\" does not say which program: %s", line, words);
	return true;
}

/*
 * strace answers the N-th bpf(2) and all after it with EPERM: the kernel allows
 * the first programs and refuses the others, wherever that begins. What another
 * daemon has left goes on, and nothing of this one is left. Returns whether it names one.
 */
static bool refuse(const struct place *place, const char *socket, int n)
{
	char inject[64], *words;
	struct job job;
	bool named;

	snprintf(inject, sizeof(inject), "inject=bpf:error=EPERM:when=%d+", n);
	const char *const argv[] = { "/usr/bin/strace",
				     "-f",
				     "-q",
				     "-o",
				     "/dev/null",
				     "-e",
				     "trace=bpf",
				     "-e",
				     inject,
				     LIFETRACED,
				     PIN(place->dir),
				     "--socket",
				     socket,
				     "--ring-size",
				     "4M",
				     NULL };

	job__start(&job, &(struct plan){ .argv = argv });
	lt_require(job__wait(&job, LT_DEADLINE_NS) == 1, "refused the call %d, it ended with %d", n,
		   job.code);
	words = read_fd(job.err, NULL);
	lt_require(strstr(words, "lifetraced: "), "it says nothing: \"%s\"", words);
	named = names_the_refused(words);
	free(words);
	job__free(&job);
	return named;
}

LT_TEST(pins, refused_programs_leave_the_others)
{
	/* of some 140 calls these come before the last program is attached */
	static const int calls[] = { 1, 10, 30, 50, 70, 80 };
	struct place place = make_place();
	struct lt *lt = lt__start(PIN(place.dir), NULL);
	struct sums before = settle(lt);
	char path[160];
	int named = 0;

	if (access("/usr/bin/strace", X_OK))
		cr_skip_test("no strace");
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		lt__end_daemon(lt, SIGTERM);
		named += refuse(&place, lt__socket(lt), calls[i]);
		snprintf(path, sizeof(path), "%s/2", place.dir);
		lt_require(access(path, F_OK), "%s is left", path);
		be_born();
		lt__again(lt, PIN(place.dir), NULL);
		require_hook(lt, "/1 (taken over)");
	}
	lt_require(named, "none of the refused calls was a program's");
	require_truth(lt, before);
	lt__stop(lt);
	remove_place(&place);
}
