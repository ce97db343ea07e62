/*
 * The daemon as a program: its settings by option, file and SIGHUP, its
 * signals, its socket, and the private one that a command starts for itself.
 */
#include "http.h"

#include <sys/file.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define DEFAULT_SOCKET "/run/lifetrace/lifetraced.sock"

/* ---- files of a test ---- */

/* A directory for one test, with the paths that tests want in it. */
struct place {
	char dir[64], socket[96], config[96];
};

static struct place make_place(void)
{
	struct place place = { .dir = "/tmp/lt-daemon-XXXXXX" };

	if (geteuid())
		cr_skip_test("needs root");
	cr_assert(mkdtemp(place.dir), "mkdtemp: %s", strerror(errno));
	chmod(place.dir, 0755);
	snprintf(place.socket, sizeof(place.socket), "%s/sock", place.dir);
	snprintf(place.config, sizeof(place.config), "%s/config", place.dir);
	return place;
}

static void remove_place(const struct place *place)
{
	unlink(place->socket);
	unlink(place->config);
	cr_expect(!rmdir(place->dir), "%s: %s", place->dir, strerror(errno));
}

static void write_bytes(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	cr_assert(fd >= 0 && write(fd, bytes, len) == (ssize_t)len, "%s: %s", path,
		  strerror(errno));
	close(fd);
}

static void write_text(const char *path, const char *text)
{
	write_bytes(path, text, strlen(text));
}

/* ---- settings: options ---- */

struct bad {
	const char *name, *value;
	const char *named;
};

LT_TEST(daemon, bad_options)
{
	static const struct bad all[] = {
		{ "--zombie-age", "1x", "'1x'" },
		{ "--zombie-age", "-1s", "'-1s'" },
		{ "--zombie-age", "1e9", "'1e9'" },
		{ "--zombie-age", "10", "'10'" },
		{ "--zombie-age", "0s", "'0s'" },
		{ "--zombie-age", "", "zombie_age" },
		{ "--zombie-age", "99999999999999999999s", "'99999999999999999999s'" },
		{ "--leak-count", "0", "'0'" },
		{ "--leak-count", "1.5", "'1.5'" },
		{ "--leak-count", "4294967296", "'4294967296'" },
		{ "--repair-interval", "1ms", "'1ms'" },
		{ "--ring-size", "0", "'0'" },
		{ "--ring-size", "2k", "'2k'" },
		{ "--ring-size", "5000", "5000" },
		{ "--ring-size", "2G", "'2G'" },
		{ "--ring-size", "8MB", "'8MB'" },
		{ "--ring-size", "18446744073709551616", "'18446744073709551616'" },
		{ "--memory-max", "1k", "'1k'" },
		{ "--client-timeout", "1ms", "'1ms'" },
		{ "--client-max", "1", "'1'" },
		{ "--client-max", "many", "'many'" },
		{ "--syscall-hooks", "x", "'x' is not auto, always or off" },
		{ "--best-hook", "x", "'x' is not fentry, kprobe or tracepoint" },
		{ "--cow", "x", "'x' is not auto, off, faults or copies" },
		{ "--exit-handlers", "x", "'x' is not off or on" },
		{ "--confine", "x", "'x' is not auto, on or off" },
		{ "--socket", "", "socket" },
		{ "--nonsense", "1", "'--nonsense'" },
		{ "--lifeline", "x", "'x'" },
		{ "-x", NULL, "'-x'" },
		{ "word", NULL, "'word'" },
		{ "--zombie-age", NULL, "'--zombie-age'" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		require_complaint(ARGV(LIFETRACED, all[i].name, all[i].value), 2, all[i].named);
}

LT_TEST(daemon, cluster_of_short_options)
{
	require_complaint(ARGV(LIFETRACED, "-xyz"), 2, "'-xyz'");
}

LT_TEST(daemon, too_long_a_path)
{
	char path[200] = "/tmp/";

	memset(path + 5, 'x', sizeof(path) - 6);
	require_complaint(ARGV(LIFETRACED, "--socket", path), 2, "socket");
}

LT_TEST(daemon, help)
{
	static const char *const settings[] = { "--socket",	"--group",     "--zombie-age",
						"--leak-count", "--ring-size", "--client-timeout",
						"--config" };
	struct result result;

	run(&result, &(struct plan){ .argv = ARGV(LIFETRACED, "--help") });
	cr_expect(result.code == 0 && !*result.err, "exit %d: %s", result.code, result.err);
	cr_expect(strstr(result.out, "Examples:"), "no examples");
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		cr_expect(strstr(result.out, settings[i]), "no %s", settings[i]);
	result__free(&result);
}

LT_TEST(daemon, full_disk)
{
	static const char *const options[] = { "--help", "--version", "--print-config" };
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		struct result result;

		run(&result, &(struct plan){ .argv = ARGV(LIFETRACED, options[i]), .out = full });
		cr_expect(result.code == 1 && is_one_line(result.err), "%s: exit %d: \"%s\"",
			  options[i], result.code, result.err);
		result__free(&result);
	}
	close(full);
}

/* ---- settings: the file ---- */

struct bad_file {
	const char *text;
	int line; /* 0: none can be named */
	const char *named;
};

static void check_bad_file(const struct place *place, const struct bad_file *bad)
{
	char where[128];

	write_text(place->config, bad->text);
	if (bad->line)
		snprintf(where, sizeof(where), "%s:%d: ", place->config, bad->line);
	else
		snprintf(where, sizeof(where), "%s", place->config);
	require_complaint(ARGV(LIFETRACED, "--config", place->config, "--print-config"), 2, where);
	require_complaint(ARGV(LIFETRACED, "--config", place->config, "--print-config"), 2,
			  bad->named);
}

LT_TEST(daemon, bad_files)
{
	static const struct bad_file all[] = {
		{ "zombie_age = 1x\n", 1, "'1x'" },
		{ "zombie_age = 1x", 1, "'1x'" },
		{ "# words\n\n; more\n[lifetraced]\nzombie_age = 1s\nnonsense = 1\n", 6,
		  "'nonsense'" },
		{ "ring_size = 1\n", 1, "ring_size" },
		{ "ring_size = 5000\n", 0, "ring_size" },
		{ "zombie_age = 1s\nzombie_age =\n", 2, "zombie_age" },
		{ "leak_count = -1\n", 1, "'-1'" },
		{ "zombie_age\n", 1, "config:1" },
		{ "zombie_age = 1s\n= 1\n", 2, "config:2" },
		{ "[lifetraced\n", 1, "config:1" },
		{ "[nonsense]\nzombie_age = 1s\n", 0, "'nonsense'" },
		{ "\x7f"
		  "ELF\x02\x01\n",
		  1, "config:1" },
		{ "zombie_age = 1s\r\nleak_age = \x1b[31m\r\n", 2, "leak_age" },
		{ "socket = \n", 0, "socket" },
	};
	struct place place = make_place();

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		check_bad_file(&place, &all[i]);
	remove_place(&place);
}

/* A slip in the name of a section without settings yet: told as well. */
LT_TEST(daemon, empty_unknown_section)
{
	struct place place = make_place();

	check_bad_file(&place, &(struct bad_file){ "[nonsense]\n", 0, "'nonsense'" });
	remove_place(&place);
}

LT_TEST(daemon, file_that_is_none)
{
	struct place place = make_place();

	require_complaint(ARGV(LIFETRACED, "--config", place.config, "--print-config"), 2,
			  place.config);
	require_complaint(ARGV(LIFETRACED, "--config", "", "--print-config"), 2, "lifetraced");
	require_complaint(ARGV(LIFETRACED, "--config", "/proc/1/mem", "--print-config"), 2,
			  "/proc/1/mem");
	remove_place(&place);
}

LT_TEST(daemon, directory_for_a_file)
{
	struct place place = make_place();

	require_complaint(ARGV(LIFETRACED, "--config", place.dir, "--print-config"), 2, place.dir);
	remove_place(&place);
}

/* Prints the settings of ARGV, makes them the file, and requires the same from it. */
static void check_round_trip(const struct place *place, const char *const *argv)
{
	struct result given, read;

	run(&given, &(struct plan){ .argv = argv });
	lt_require(given.code == 0, "exit %d: %s", given.code, given.err);
	write_text(place->config, given.out);
	run(&read, &(struct plan){
			   .argv = ARGV(LIFETRACED, "--config", place->config, "--print-config") });
	cr_expect(read.code == 0, "exit %d: %s", read.code, read.err);
	cr_expect_str_eq(read.out, given.out);
	result__free(&given);
	result__free(&read);
}

LT_TEST(daemon, print_config_round_trip)
{
	struct place place = make_place();

	check_round_trip(&place, ARGV(LIFETRACED, "--print-config"));
	check_round_trip(&place, ARGV(LIFETRACED, "--socket", place.socket, "--group", "adm",
				      "--zombie-age", "1h1m1s1ms", "--leak-count", "7",
				      "--leak-age", "90s", "--leak-settle", "0", "--ignore-comm",
				      "a*,b c,[d-f]?", "--ignore-unit", "x@*.service",
				      "--ring-size", "64k", "--memory-max", "123456", "--batch",
				      "1500us", "--client-max", "10000", "--print-config"));
	remove_place(&place);
}

/* What an option may hold, a line of the file may, too. */
LT_TEST(daemon, print_config_round_trip_of_a_long_line)
{
	struct place place = make_place();
	char globs[900];

	for (size_t i = 0; i < sizeof(globs); i++)
		globs[i] = i % 10 ? 'a' + i % 26 : ',';
	globs[0] = 'x';
	globs[sizeof(globs) - 1] = '\0';
	check_round_trip(&place, ARGV(LIFETRACED, "--ignore-comm", globs, "--print-config"));
	remove_place(&place);
}

LT_TEST(daemon, option_wins_over_file)
{
	struct place place = make_place();
	struct result result;

	write_text(place.config, "zombie_age = 1s\nleak_age = 2s\n");
	run(&result, &(struct plan){ .argv = ARGV(LIFETRACED, "--zombie-age", "3s", "--config",
						  place.config, "--print-config") });
	cr_expect(result.code == 0, "exit %d: %s", result.code, result.err);
	cr_expect(strstr(result.out, "zombie_age = 3s\n"), "%s", result.out);
	cr_expect(strstr(result.out, "leak_age = 2s\n"), "%s", result.out);
	result__free(&result);
	remove_place(&place);
}

/* ---- a daemon of the test's own ---- */

static bool answers(const char *socket_path)
{
	struct result result;
	bool yes;

	run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, "status", "--socket", socket_path) });
	yes = result.code == 0;
	result__free(&result);
	return yes;
}

static void start_daemon(struct job *job, const struct place *place, const char *config)
{
	job__start(job, &(struct plan){ .argv = ARGV(LIFETRACED, "--socket", place->socket,
						     config ? "--config" : NULL, config) });
	lt_await(job__ended(job) || answers(place->socket), "the daemon does not answer");
	if (!job->pid) {
		char *err = read_fd(job->err, NULL);

		cr_assert_fail("the daemon ended with %d: %s", job->code, err);
	}
}

static void end_daemon(struct job *job, int signal)
{
	kill(job->pid, signal);
	cr_expect(job__wait(job, LT_DEADLINE_NS) == 0, "exit %d", job->code);
	job__free(job);
}

static bool has_logged(const struct job *job, const char *words)
{
	char *text = read_fd(job->err, NULL);
	bool has = strstr(text, words);

	free(text);
	return has;
}

#define await_log(job, words) \
	lt_await(has_logged(job, words), "the daemon does not say \"%s\"", words)

static bool row_is(const struct place *place, const char *pid, const char *words)
{
	struct result result;
	json_t *json;
	bool is;

	run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, "zombies", "--json", "--pid", pid,
						  "--socket", place->socket) });
	json = json_loads(result.out, 0, NULL);
	is = json_matches(json_array_get(json_at(json, "zombies"), 0), words);
	json_decref(json);
	result__free(&result);
	return is;
}

#define await_row(place, pid, words) \
	lt_await(row_is(place, pid, words), "zombie %s is not %s", pid, words)

/* ---- SIGHUP ---- */

static struct cast *start_zombie(char pid[16])
{
	struct cast *cast = cast__start("zombie", NULL);

	cast__hold(cast, "zombie");
	snprintf(pid, 16, "%s", cast__str(cast, "child", 0));
	return cast;
}

/* What is a zombie already is judged by the new age, in both directions. */
LT_TEST(daemon, sighup_changes_zombie_age)
{
	struct place place = make_place();
	struct job job;
	char pid[16];
	struct cast *cast;

	write_text(place.config, "zombie_age = 1h\n");
	start_daemon(&job, &place, place.config);
	cast = start_zombie(pid);
	await_row(&place, pid, "flagged=false");
	write_text(place.config, "zombie_age = 50ms\n");
	kill(job.pid, SIGHUP);
	await_row(&place, pid, "flagged=true");
	write_text(place.config, "zombie_age = 1h\n");
	kill(job.pid, SIGHUP);
	await_row(&place, pid, "flagged=false");
	cast__free(cast);
	end_daemon(&job, SIGTERM);
	remove_place(&place);
}

static void check_bad_reload(const char *text, const char *line)
{
	struct place place = make_place();
	struct job job;
	char pid[16], where[160];
	struct cast *cast;

	write_text(place.config, "zombie_age = 50ms\n");
	start_daemon(&job, &place, place.config);
	cast = start_zombie(pid);
	await_row(&place, pid, "flagged=true");
	if (text)
		write_text(place.config, text);
	else
		unlink(place.config);
	kill(job.pid, SIGHUP);
	snprintf(where, sizeof(where), "%s%s", place.config, line);
	await_log(&job, where);
	lt_require(answers(place.socket), "the daemon does not answer any more");
	lt_require(row_is(&place, pid, "flagged=true"), "the old settings did not stay");
	cast__free(cast);
	end_daemon(&job, SIGTERM);
	remove_place(&place);
}

LT_TEST(daemon, sighup_with_a_bad_file)
{
	check_bad_reload("zombie_age = 1h\nleak_age = nonsense\n", ":2: ");
}

LT_TEST(daemon, sighup_without_the_file)
{
	check_bad_reload(NULL, ": ");
}

/* What cannot be changed is named; the rest is changed. */
LT_TEST(daemon, sighup_with_what_needs_a_restart)
{
	struct place place = make_place();
	struct job job;
	char pid[16];
	struct cast *cast;

	write_text(place.config, "zombie_age = 1h\nclient_max = 10\n");
	start_daemon(&job, &place, place.config);
	cast = start_zombie(pid);
	await_row(&place, pid, "flagged=false");
	write_text(place.config, "zombie_age = 50ms\nclient_max = 11\n");
	kill(job.pid, SIGHUP);
	await_log(&job, "client_max");
	await_row(&place, pid, "flagged=true");
	cast__free(cast);
	end_daemon(&job, SIGTERM);
	remove_place(&place);
}

LT_TEST(daemon, many_sighups)
{
	struct place place = make_place();
	struct job job;
	int fds;

	start_daemon(&job, &place, NULL);
	fds = fds_of(job.pid);
	for (int i = 0; i < 200; i++) {
		kill(job.pid, SIGHUP);
		pass_time(NSEC_PER_MSEC);
	}
	lt_require(answers(place.socket), "the daemon does not answer any more");
	lt_await(fds_of(job.pid) <= fds, "%d descriptors, %d before", fds_of(job.pid), fds);
	end_daemon(&job, SIGTERM);
	remove_place(&place);
}

/* ---- its end ---- */

static void check_end(int signal, bool streams)
{
	struct place place = make_place();
	struct job job, tail;

	start_daemon(&job, &place, NULL);
	if (streams)
		job__start(&tail, &(struct plan){ .argv = ARGV(LIFETRACE, "tail", "--json",
							       "--socket", place.socket) });
	if (streams)
		job__await_lines(&tail);
	end_daemon(&job, signal);
	cr_expect(access(place.socket, F_OK), "the socket is left");
	if (streams) {
		char *err;

		cr_expect(job__wait(&tail, LT_DEADLINE_NS) == 1, "tail ended with %d", tail.code);
		err = read_fd(tail.err, NULL);
		cr_expect(is_one_line(err), "tail said \"%s\"", err);
		free(err);
		job__free(&tail);
	}
	remove_place(&place);
}

LT_TEST(daemon, sigterm)
{
	check_end(SIGTERM, false);
}

LT_TEST(daemon, sigint)
{
	check_end(SIGINT, false);
}

LT_TEST(daemon, sigterm_while_clients_stream)
{
	check_end(SIGTERM, true);
}

/* Whenever it comes, it ends, and the next one can start. */
LT_TEST(daemon, sigterm_while_it_starts)
{
	struct place place = make_place();
	struct job job;

	for (int ms = 0; ms < 1500; ms += 100) {
		job__start(&job,
			   &(struct plan){ .argv = ARGV(LIFETRACED, "--socket", place.socket) });
		pass_time(ms * NSEC_PER_MSEC);
		kill(job.pid, SIGTERM);
		job__wait(&job, LT_DEADLINE_NS);
		cr_expect(job.code == 0 || job.code == 128 + SIGTERM, "after %d ms: exit %d", ms,
			  job.code);
		job__free(&job);
	}
	start_daemon(&job, &place, NULL);
	end_daemon(&job, SIGTERM);
	remove_place(&place);
}

/* ---- its socket ---- */

LT_TEST(daemon, stale_socket_is_taken_over)
{
	struct place place = make_place();
	struct job job;

	start_daemon(&job, &place, NULL);
	kill(job.pid, SIGKILL);
	job__wait(&job, LT_DEADLINE_NS);
	job__free(&job);
	lt_require(!access(place.socket, F_OK), "no socket is left: nothing to take over");
	require_complaint(ARGV(LIFETRACE, "status", "--socket", place.socket), 1, place.socket);
	start_daemon(&job, &place, NULL);
	end_daemon(&job, SIGTERM);
	cr_expect(access(place.socket, F_OK), "the socket is left");
	remove_place(&place);
}

LT_TEST(daemon, second_daemon)
{
	struct place place = make_place();
	struct job job;
	char pid[32];

	start_daemon(&job, &place, NULL);
	snprintf(pid, sizeof(pid), "pid %d,", job.pid);
	require_complaint(ARGV(LIFETRACED, "--socket", place.socket), 1, pid);
	require_complaint(ARGV(LIFETRACED, "--socket", place.socket), 1, place.socket);
	lt_require(answers(place.socket), "the first one is not found any more");
	end_daemon(&job, SIGTERM);
	remove_place(&place);
}

/* However busy the first one is. */
LT_TEST(daemon, second_daemon_beside_one_that_hangs)
{
	struct place place = make_place();
	struct job job;
	char pid[32];

	start_daemon(&job, &place, NULL);
	kill(job.pid, SIGSTOP);
	snprintf(pid, sizeof(pid), "pid %d,", job.pid);
	require_complaint(ARGV(LIFETRACED, "--socket", place.socket), 1, pid);
	kill(job.pid, SIGCONT);
	end_daemon(&job, SIGTERM);
	remove_place(&place);
}

static int count_living(struct job *jobs, size_t n)
{
	int living = 0;

	for (size_t i = 0; i < n; i++)
		living += !job__ended(&jobs[i]);
	return living;
}

LT_TEST(daemon, all_start_at_once)
{
	struct place place = make_place();
	struct job jobs[6];

	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		job__start(&jobs[i],
			   &(struct plan){ .argv = ARGV(LIFETRACED, "--socket", place.socket) });
	lt_await(count_living(jobs, ARRAY_SIZE(jobs)) <= 1, "%d daemons live on one socket",
		 count_living(jobs, ARRAY_SIZE(jobs)));
	lt_await(answers(place.socket), "none answers");
	lt_require(count_living(jobs, ARRAY_SIZE(jobs)) == 1, "none lives");
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		if (jobs[i].pid) {
			end_daemon(&jobs[i], SIGTERM);
			continue;
		}
		cr_expect(jobs[i].code == 1, "exit %d", jobs[i].code);
		cr_expect(has_logged(&jobs[i], "holds"), "it does not say who holds the socket");
		job__free(&jobs[i]);
	}
	remove_place(&place);
}

/* The socket was removed by hand, and another daemon has the name now. */
LT_TEST(daemon, socket_of_another_is_left_alone)
{
	struct place place = make_place();
	struct job first, second;

	start_daemon(&first, &place, NULL);
	unlink(place.socket);
	start_daemon(&second, &place, NULL);
	end_daemon(&first, SIGTERM);
	lt_require(answers(place.socket), "the first one took the second one's socket with it");
	end_daemon(&second, SIGTERM);
	remove_place(&place);
}

LT_TEST(daemon, something_else_in_the_way)
{
	struct place place = make_place();
	char *text;
	int fd;

	write_text(place.socket, "precious");
	require_complaint(ARGV(LIFETRACED, "--socket", place.socket), 1, place.socket);
	fd = open(place.socket, O_RDONLY | O_CLOEXEC);
	text = read_fd(fd, NULL);
	cr_expect_str_eq(text, "precious");
	free(text);
	close(fd);
	unlink(place.socket);

	mkdir(place.socket, 0755);
	require_complaint(ARGV(LIFETRACED, "--socket", place.socket), 1, place.socket);
	cr_expect(!rmdir(place.socket), "the directory is gone");

	cr_assert(!symlink("/dev/null", place.socket));
	require_complaint(ARGV(LIFETRACED, "--socket", place.socket), 1, place.socket);
	write_text(place.config, "");
	require_complaint(ARGV(LIFETRACED, "--socket", "/dev/null/sock"), 1, "/dev/null/sock");
	remove_place(&place);
}

LT_TEST(daemon, directory_of_the_socket_is_made)
{
	struct place place = make_place();
	char a[96], b[128];
	struct job job;

	snprintf(a, sizeof(a), "%s/a", place.dir);
	snprintf(b, sizeof(b), "%s/b", a);
	snprintf(place.socket, sizeof(place.socket), "%.70s/b/sock", a);
	start_daemon(&job, &place, NULL);
	end_daemon(&job, SIGTERM);
	cr_expect(!rmdir(b) && !rmdir(a), "%s: %s", b, strerror(errno));
	remove_place(&place);
}

/* Anybody can lock a directory that he can read; that must not keep a daemon from starting. */
LT_TEST(daemon, lock_of_another_user_does_not_hold_it_up)
{
	struct place place = make_place();
	int go[2], ready[2];
	struct job job;
	pid_t pid;
	char c;

	cr_assert(!pipe2(go, O_CLOEXEC) && !pipe2(ready, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		close(go[1]);
		if (setgid(NOBODY_UID) || setuid(NOBODY_UID) ||
		    flock(open(place.dir, O_RDONLY), LOCK_SH | LOCK_NB) ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit(read(go[0], &c, 1) < 0);
	}
	close(ready[1]);
	lt_require(read(ready[0], &c, 1) == 1, "cannot lock");
	start_daemon(&job, &place, NULL);
	end_daemon(&job, SIGTERM);
	close(go[0]);
	close(go[1]);
	close(ready[0]);
	waitpid(pid, NULL, 0);
	remove_place(&place);
}

/* ---- the private daemon ---- */

/* A command without a socket, and the daemon that it has started. */
struct private
{
	struct job command;
	pid_t daemon;
	char dir[64];
};

static void need_no_daemon(void)
{
	if (geteuid())
		cr_skip_test("needs root");
	if (answers(DEFAULT_SOCKET))
		cr_skip_test("a daemon runs on this host");
}

/* The only child of PID; 0: none. */
static pid_t child_of(pid_t pid)
{
	char path[64];
	int child = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%d", &child) != 1)
		child = 0;
	if (f)
		fclose(f);
	return child;
}

/* Its socket's directory, by its command line. */
static bool find_directory(struct private *private)
{
	char path[64], line[1024], *at;
	ssize_t n;
	int fd;

	private->daemon = child_of(private->command.pid);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", private->daemon);
	fd = private->daemon ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return false;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	line[n > 0 ? n : 0] = '\0';
	at = n > 0 ? memmem(line, n, "/run/lifetrace-", 15) : NULL;
	if (!at)
		return false;
	snprintf(private->dir, sizeof(private->dir), "%.*s", (int)(strrchr(at, '/') - at), at);
	return true;
}

static void start_private(struct private *private)
{
	need_no_daemon();
	job__start(&private->command, &(struct plan){ .argv = ARGV(LIFETRACE, "tail", "--json") });
	lt_await(find_directory(private), "no private daemon");
}

/* A zombie of an init that is slow is gone, too. */
static bool is_gone(pid_t pid)
{
	struct proc proc;

	return !proc__read(pid, &proc) || proc.state == 'Z' || proc.state == 'X';
}

static void require_no_trace(struct private *private)
{
	job__free(&private->command);
	lt_await(is_gone(private->daemon), "the private daemon lives on");
	lt_await_for(3 * NSEC_PER_SEC, access(private->dir, F_OK), "%s is left", private->dir);
}

LT_TEST(private, command_has_its_own)
{
	static const char *const commands[] = { "ps", "zombies", "status" };

	need_no_daemon();
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		struct result result;
		json_t *json;

		run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, commands[i], "--json") });
		json = json_loads(result.out, JSON_REJECT_DUPLICATES, NULL);
		cr_expect(result.code == 0 && json && !*result.err, "%s: exit %d: %s", commands[i],
			  result.code, result.err);
		json_decref(json);
		result__free(&result);
	}
}

static void check_private_end(int signal, int code)
{
	struct private private = { 0 };

	start_private(&private);
	job__await_lines(&private.command);
	kill(private.command.pid, signal);
	cr_expect(job__wait(&private.command, LT_DEADLINE_NS) == code, "exit %d",
		  private.command.code);
	require_no_trace(&private);
}

LT_TEST(private, goes_with_sigint)
{
	check_private_end(SIGINT, 0);
}

LT_TEST(private, goes_with_sigterm)
{
	check_private_end(SIGTERM, 0);
}

LT_TEST(private, goes_with_sighup)
{
	check_private_end(SIGHUP, 0);
}

LT_TEST(private, goes_with_sigkill)
{
	check_private_end(SIGKILL, 128 + SIGKILL);
}

/* Before it was ready. */
LT_TEST(private, goes_with_a_signal_at_once)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGKILL };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct private private = { 0 };

		start_private(&private);
		kill(private.command.pid, signals[i]);
		job__wait(&private.command, LT_DEADLINE_NS);
		require_no_trace(&private);
	}
}

LT_TEST(private, is_for_its_user_alone)
{
	struct private private = { 0 };
	struct stat st;

	start_private(&private);
	job__await_lines(&private.command);
	cr_expect(!stat(private.dir, &st) && (st.st_mode & 0777) == 0700, "mode %o",
		  st.st_mode & 0777);
	kill(private.command.pid, SIGTERM);
	job__wait(&private.command, LT_DEADLINE_NS);
	require_no_trace(&private);
}

/* It dies under its command. */
LT_TEST(private, death_of_the_daemon_is_told)
{
	struct private private = { 0 };
	char *err;

	start_private(&private);
	job__await_lines(&private.command);
	kill(private.daemon, SIGKILL);
	cr_expect(job__wait(&private.command, LT_DEADLINE_NS) == 1, "exit %d",
		  private.command.code);
	err = read_fd(private.command.err, NULL);
	cr_expect(is_one_line(err), "not one line: \"%s\"", err);
	free(err);
	require_no_trace(&private);
}

LT_TEST(private, not_for_others)
{
	struct result result;

	need_no_daemon();
	run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, "ps"), .uid = NOBODY_UID });
	if (result.code == 127)
		cr_skip_test("nobody may not run this build");
	cr_expect(result.code == 1 && is_one_line(result.err), "exit %d: \"%s\"", result.code,
		  result.err);
	cr_expect(strstr(result.err, "root"), "it does not say who can: %s", result.err);
	result__free(&result);
}
