/*
 * Bad days: a full disk, a directory that cannot be written to, a daemon that is
 * stopped while its ring overruns, a kernel that refuses. What is wrong is told,
 * what was there before stays whole, and what was missed is counted.
 */
#include "run.h"
#include "truth.h"

#include <sched.h>
#include <sys/mount.h>
#include <time.h>

/* ---- a disk of its own, in a mount namespace of the test's own ---- */

#define DISK "/mnt"

static void mount_disk(const char *options)
{
	if (geteuid() || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", DISK, "tmpfs", 0, options))
		cr_skip_test("no mount namespace of its own");
}

static char *read_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;

	lt_require(fd >= 0, "%s: %s", path, strerror(errno));
	text = read_fd(fd, NULL);
	close(fd);
	return text;
}

/* Until not a byte more finds room. */
static void fill_disk(void)
{
	int fd = open(DISK "/filler", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	char block[4096] = "";

	while (write(fd, block, sizeof(block)) > 0)
		;
	lt_require(errno == ENOSPC, "the disk is not full: %s", strerror(errno));
	close(fd);
}

static int entries_of(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	int n = 0;

	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

/* The recording is good up to where the disk was full. */
static void check_recording(const char *path)
{
	static const char record_until_it_ends[] =
		"\"$0\" record \"$1\" --socket \"$2\" & "
		"while kill -0 $! 2>/dev/null; do /bin/true; done; "
		"wait $!";
	struct lt *lt;
	struct result result;
	json_t *document;

	mount_disk("size=256k");
	lt = lt__start(NULL);
	run(&result, &(struct plan){ .argv = ARGV("/bin/sh", "-c", record_until_it_ends, LIFETRACE,
						  path, lt__socket(lt)) });
	lt_require(result.code == 1 && is_one_line(result.err) && strstr(result.err, path) &&
			   strstr(result.err, strerror(ENOSPC)),
		   "exit %d: \"%s\"", result.code, result.err);
	result__free(&result);
	run(&result,
	    &(struct plan){ .argv = ARGV(LIFETRACE, "replay", path, "ps", "--all", "--json") });
	document = json_loads(result.out, 0, NULL);
	lt_require(!result.code && document && json_array_size(json_at(document, "processes")) > 1,
		   "exit %d: \"%s\"", result.code, result.err);
	lt_require(strstr(result.err, "what came before is used"), "\"%s\"", result.err);
	json_decref(document);
	result__free(&result);
	lt__stop(lt);
}

LT_TEST(baddays, recording_on_a_full_disk)
{
	check_recording(DISK "/a.ltr");
}

LT_TEST(baddays, gzipped_recording_on_a_full_disk)
{
	check_recording(DISK "/a.ltr.gz");
}

static void silence(struct lt *lt, const char *whom)
{
	struct output output;

	lt__run(lt, &output, "silence", whom, "1h", NULL);
	lt_require(!output.code, "silence %s: exit %d: %s", whom, output.code, output.err);
	output__free(&output);
}

static bool is_listed(struct lt *lt, const char *whom)
{
	struct output output;
	bool is;

	lt__run(lt, &output, "silence", "--list", NULL);
	is = !output.code && strstr(output.out, whom);
	output__free(&output);
	return is;
}

LT_TEST(baddays, silences_on_a_full_disk)
{
	static const char file[] = DISK "/silences.json";
	char *before, *after, *log;
	struct lt *lt;

	mount_disk("size=64k");
	lt = lt__start("--silences", file, NULL);
	silence(lt, "first-one");
	before = read_path(file);
	fill_disk();
	silence(lt, "second-one");
	lt_require(is_listed(lt, "second-one"), "it is not silenced");
	log = lt__log(lt);
	lt_require(strstr(log, file) && strstr(log, strerror(ENOSPC)), "it is not told: %s", log);
	after = read_path(file);
	lt_require(!strcmp(before, after), "the file was \"%s\", is \"%s\"", before, after);
	lt_require(entries_of(DISK) == 2, "something is left beside it");
	free(after);
	lt_require(!unlink(DISK "/filler"), "%s", strerror(errno));
	silence(lt, "third-one");
	after = read_path(file);
	lt_require(strstr(after, "first-one") && strstr(after, "second-one") &&
			   strstr(after, "third-one"),
		   "not all is kept: %s", after);
	free(before);
	free(after);
	free(log);
	lt__stop(lt);
}

LT_TEST(baddays, directory_of_the_socket_is_read_only)
{
	mount_disk("ro");
	require_complaint(ARGV(LIFETRACED, "--socket", DISK "/run/s"), 1, DISK "/run/s");
	require_complaint(ARGV(LIFETRACED, "--socket", DISK "/s"), 1, strerror(EROFS));
}

/* ---- stopped ---- */

/* The ring holds a few hundred records; that it overran the daemon's own figures say. */
LT_TEST(baddays, stopped_while_the_ring_overruns)
{
	struct lt *lt = lt__start("--ring-size", "64k", NULL);
	struct sums before = settle(lt);
	struct cast *storm = cast__start("storm", "20000", NULL), *living;
	json_t *status;

	cast__hold(storm, "calm");
	kill(lt__daemon_pid(lt), SIGSTOP);
	cast__go(storm);
	cast__hold(storm, "over");
	living = cast__start("forks", "fork", NULL);
	cast__hold(living, "alive");
	kill(lt__daemon_pid(lt), SIGCONT);
	lt_await(births_are(lt, before.births), "births: %ld are neither counted nor lost",
		 sums_now(lt).births - before.births);
	status = lt__status(lt);
	lt_require(int_at(status, "lost.fork") > 10000, "nothing was lost");
	json_decref(status);
	require_equal_to_proc(lt, LT_DEADLINE_NS);
	json_decref(lt__await_row(lt, "ps", cast__int(living, "child", 0), "inferred=true"));
	cast__end(living);
	cast__free(living);
	cast__end(storm);
	cast__free(storm);
	lt__stop(lt);
}

/* ---- refused ---- */

static bool ended_or_answers(struct job *job, const char *socket)
{
	return job__ended(job) || !run_quietly(ARGV(LIFETRACE, "status", "--socket", socket));
}

static json_t *status_on(const char *socket)
{
	struct result result;
	json_t *status;

	run(&result,
	    &(struct plan){ .argv = ARGV(LIFETRACE, "status", "--json", "--socket", socket) });
	status = json_loads(result.out, 0, NULL);
	lt_require(!result.code && status, "no status: %s", result.err);
	result__free(&result);
	return status;
}

/* Without what it can do without it observes, and says what is off. */
static pid_t require_observing(const char *socket, int n)
{
	pid_t pid;
	json_t *before = status_on(socket), *after, *value;
	const char *key;

	lt_require(!run_quietly(ARGV("/bin/true")), "true is not");
	after = status_on(socket);
	lt_require(int_at(after, "forks") > int_at(before, "forks") &&
			   int_at(after, "exits") > int_at(before, "exits"),
		   "refused the call %d, it starts and is blind: %s", n,
		   json_dumps(json_at(after, "hooks"), 0));
	json_object_foreach(json_at(after, "hooks"), key, value)
		lt_require(strncmp(json_string_value(value), "off", 3) ||
				   strlen(json_string_value(value)) > strlen("off: "),
			   "refused the call %d, %s is off without a reason", n, key);
	pid = int_at(after, "self.pid");
	json_decref(before);
	json_decref(after);
	return pid;
}

/* strace answers the N-th bpf(2) alone with EPERM. Returns whether the daemon started. */
static bool starts_without(int n, const char *socket)
{
	char inject[64], *words;
	struct job job;
	bool starts;

	snprintf(inject, sizeof(inject), "inject=bpf:error=EPERM:when=%d", n);
	job__start(&job, &(struct plan){ .argv = ARGV("/usr/bin/strace", "-f", "-q", "-o",
						      "/dev/null", "-e", "trace=bpf", "-e", inject,
						      LIFETRACED, "--socket", socket, "--ring-size",
						      "1M", "--syscall-hooks", "off") });
	lt_await_for(3 * LT_DEADLINE_NS, ended_or_answers(&job, socket),
		     "refused the call %d, it does nothing", n);
	starts = !job__ended(&job);
	if (starts) {
		kill(require_observing(socket, n), SIGTERM);
		job__wait(&job, LT_DEADLINE_NS);
	} else {
		words = read_fd(job.err, NULL);
		lt_require(job.code == 1 && strstr(words, "lifetraced: cannot observe this kernel"),
			   "refused the call %d, it ends with %d: \"%s\"", n, job.code, words);
		free(words);
	}
	job__free(&job);
	return starts;
}

LT_TEST(baddays, one_call_refused)
{
	/* of some 140: probes, maps, programs, links; an even spread */
	static const int calls[] = { 2, 20, 38, 47, 56, 65, 74, 83, 92, 101, 110, 119, 128 };
	int started = 0, count = sizeof(calls) / sizeof(calls[0]);
	char socket[64];

	if (geteuid() || access("/usr/bin/strace", X_OK))
		cr_skip_test("no strace");
	snprintf(socket, sizeof(socket), "/tmp/lt-baddays-%d", getpid());
	for (int i = 0; i < count; i++)
		started += starts_without(calls[i], socket);
	lt_require(started && started < count, "%d of %d times it started", started, count);
}

/* ---- the clock is set ---- */

static void step_clock(const char *path, const char *seconds)
{
	FILE *f = fopen(path, "we");

	lt_require(f && fputs(seconds, f) >= 0 && !fclose(f), "%s: %s", path, strerror(errno));
}

/* What the wall clock shows for "now" by the daemon's own figures, less the host's. */
static int64_t seconds_off(struct lt *lt)
{
	json_t *status = lt__status(lt);
	int64_t real_ns = int_at(status, "boot_realtime_ns") + boottime_ns(), off_ns;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	json_decref(status);
	off_ns = real_ns - (now.tv_sec * NSEC_PER_SEC + now.tv_nsec);
	return (off_ns + (off_ns < 0 ? -NSEC_PER_SEC : NSEC_PER_SEC) / 2) / NSEC_PER_SEC;
}

/* The wall clock follows, forwards and back; ages and what is known do not change. */
LT_TEST(baddays, clock_steps)
{
	char path[] = "/tmp/lt-clockstep-XXXXXX";
	json_t *before, *after;
	struct cast *cast;
	struct lt *lt;
	pid_t pid;

	close(mkstemp(path));
	step_clock(path, "0");
	setenv("CLOCKSTEP", path, 1);
	setenv("LD_PRELOAD", LT_CLOCKSTEP, 1);
	lt = lt__start("--zombie-age", "200ms", NULL);
	unsetenv("LD_PRELOAD");
	cast = cast__start("batch", "3", "2", NULL);
	cast__hold(cast, "full");
	pid = cast__int(cast, "child", 0);
	before = lt__await_row(lt, "zombies", pid, "flagged=true");
	lt_require(!seconds_off(lt), "it is off without a step");
	step_clock(path, "7200");
	lt_await(seconds_off(lt) == 7200, "it goes by the old clock");
	step_clock(path, "-86400");
	lt_await(seconds_off(lt) == -86400, "it goes by the old clock");
	after = lt__await_row(lt, "zombies", pid, "flagged=true");
	lt_require(json_equal(json_at(before, "zombie_ns"), json_at(after, "zombie_ns")) &&
			   json_equal(json_at(before, "id"), json_at(after, "id")) &&
			   int_at(after, "age_ms") >= int_at(before, "age_ms") &&
			   int_at(after, "age_ms") < LT_TIMEOUT_S * 1000,
		   "%s, %s", json_dumps(before, 0), json_dumps(after, 0));
	json_decref(before);
	json_decref(after);
	cast__go(cast);
	cast__terminate(cast);
	cast__free(cast);
	lt__stop(lt);
	unlink(path);
}
