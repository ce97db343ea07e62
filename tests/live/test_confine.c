/*
 * What the daemon has given up, by what the kernel says of it; and its table of
 * system calls, against what strace saw: none is missing, none is too many.
 */
#include "http.h"

#include <linux/landlock.h>
#include <netinet/in.h>
#include <sys/utsname.h>

#include "confine.h"

/* ---- what the kernel says ---- */

static uint64_t mask_of(pid_t pid, const char *name)
{
	char path[64], line[256];
	size_t len = strlen(name);
	uint64_t mask = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	cr_assert(f, "%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':')
			mask = strtoull(line + len + 1, NULL, 16);
	fclose(f);
	return mask;
}

/* From 5.19 on what is left to do needs no capability. */
static bool needs_none(void)
{
	struct utsname name;
	int major = 0, minor = 0;

	uname(&name);
	sscanf(name.release, "%d.%d", &major, &minor);
	return major > 5 || (major == 5 && minor >= 19);
}

LT_TEST(confine, rights_are_gone)
{
	struct lt *lt = lt__start("--confine", "on", NULL);
	pid_t pid = lt__daemon_pid(lt);
	uint64_t left = needs_none() ? 0 : 1ULL << 39 | 1ULL << 38; /* CAP_BPF, CAP_PERFMON */

	cr_expect(!(mask_of(pid, "CapPrm") & ~left), "permitted: %lx", mask_of(pid, "CapPrm"));
	cr_expect(!(mask_of(pid, "CapEff") & ~left), "effective: %lx", mask_of(pid, "CapEff"));
	cr_expect(!mask_of(pid, "CapAmb"), "ambient: %lx", mask_of(pid, "CapAmb"));
	cr_expect_eq(status_of(pid, "NoNewPrivs"), 1);
	cr_expect_eq(status_of(pid, "Seccomp"), 2);
	lt__stop(lt);
}

LT_TEST(confine, can_be_switched_off)
{
	struct lt *lt = lt__start("--confine", "off", NULL);

	cr_expect_eq(mask_of(lt__daemon_pid(lt), "CapPrm"), mask_of(getpid(), "CapPrm"));
	cr_expect_eq(status_of(lt__daemon_pid(lt), "Seccomp"), status_of(getpid(), "Seccomp"));
	lt__stop(lt);
}

/* ---- what strace saw ---- */

#define CALLS_MAX 512

/* Names of calls after the filter; those that it refused, and which of them bpf's were. */
struct seen {
	char names[CALLS_MAX][64];
	size_t count;
	bool filtered; /* the lines from here on are the confined daemon's */
	bool landlocked;
	char refused[256]; /* the first */
};

static bool has_seen(const struct seen *seen, const char *name)
{
	for (size_t i = 0; i < seen->count; i++)
		if (!strcmp(seen->names[i], name))
			return true;
	return false;
}

static void see(struct seen *seen, const char *name)
{
	if (has_seen(seen, name))
		return;
	cr_assert_lt(seen->count, CALLS_MAX);
	snprintf(seen->names[seen->count++], sizeof(seen->names[0]), "%s", name);
}

/* Tried, refused, and done without. */
static bool is_refused(const char *name)
{
	static const char *const names[] = {
		"clone3",	   /* its flags no filter can see: the C library takes clone() */
		"perf_event_open", /* classic tracepoints: the raw ones follow */
		"ioctl",	   /* stopping them before they are closed, which stops them */
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i], name))
			return true;
	return false;
}

/* "PID name(…) = result", or "PID <... name resumed>…" */
static void see_line(struct seen *seen, const char *line)
{
	char name[64], command[64];

	if (sscanf(line, "%*d %63[a-z0-9_](", name) != 1)
		return;
	if (!seen->filtered) {
		seen->landlocked |= strstr(line, "landlock_restrict_self(") && strstr(line, "= 0");
		seen->filtered = strstr(line, "seccomp(SECCOMP_SET_MODE_FILTER") &&
				 strstr(line, "{len=") && strstr(line, "= 0");
		return;
	}
	if (is_refused(name))
		return;
	if (strstr(line, "ENOSYS") && !*seen->refused)
		snprintf(seen->refused, sizeof(seen->refused), "%s", line);
	see(seen, name);
	if (sscanf(line, "%*d bpf(%63[A-Z_],", command) == 1)
		see(seen, command);
}

static void read_trace(struct seen *seen, const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;

	cr_assert(f, "%s: %s", path, strerror(errno));
	while (getline(&line, &size, f) > 0)
		see_line(seen, line);
	free(line);
	fclose(f);
}

/* A daemon under strace. */
struct traced {
	char dir[64], socket[96], config[96], trace[96], silences[96];
	struct job job; /* the daemon: strace is no parent of it */
};

static bool asks(const struct traced *traced, const char *const *argv)
{
	struct result result;
	bool well;

	run(&result, &(struct plan){ .argv = argv });
	well = !result.code;
	result__free(&result);
	(void)traced;
	return well;
}

#define ASK(traced, ...) asks(traced, ARGV(LIFETRACE, __VA_ARGS__, "--socket", (traced)->socket))

static void start_traced(struct traced *traced)
{
	if (geteuid())
		cr_skip_test("needs root");
	if (!have_program("strace"))
		cr_skip_test("needs strace");
	strcpy(traced->dir, "/tmp/lt-confine-XXXXXX");
	cr_assert(mkdtemp(traced->dir), "mkdtemp: %s", strerror(errno));
	snprintf(traced->socket, sizeof(traced->socket), "%s/sock", traced->dir);
	snprintf(traced->config, sizeof(traced->config), "%s/config", traced->dir);
	snprintf(traced->trace, sizeof(traced->trace), "%s/trace", traced->dir);
	snprintf(traced->silences, sizeof(traced->silences), "%s/silences", traced->dir);
	fclose(fopen(traced->config, "we"));
	job__start(&traced->job,
		   &(struct plan){ .argv = ARGV("/usr/bin/strace", "-D", "-f", "-o", traced->trace,
						LIFETRACED, "--socket", traced->socket, "--config",
						traced->config, "--confine", "on",
						"--metrics-listen", "19479", "--zombie-age",
						"100ms", "--repair-interval", "200ms") });
	lt_await(ASK(traced, "status"), "the daemon does not answer");
}

/* strace may go on writing for a moment. */
static bool is_whole(const char *trace)
{
	int fd = open(trace, O_RDONLY | O_CLOEXEC);
	char *text = read_fd(fd, NULL);
	bool is = strstr(text, "+++ exited with");

	free(text);
	close(fd);
	return is;
}

static void end_traced(struct traced *traced)
{
	kill(traced->job.pid, SIGTERM);
	cr_expect(!job__wait(&traced->job, LT_DEADLINE_NS), "exit %d", traced->job.code);
	job__free(&traced->job);
	lt_await(is_whole(traced->trace), "strace does not end");
}

/* ---- all that a daemon does ---- */

static void make_lives(int count)
{
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

/* What COMMAND says, as JSON. */
static json_t *json_of(const struct traced *traced, const char *command, const char *pid)
{
	struct result result;
	json_t *json;

	run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, command, "--json", "--socket",
						  traced->socket, pid ? "--pid" : NULL, pid) });
	json = json_loads(result.out, 0, NULL);
	result__free(&result);
	return json;
}

static bool hooks_are(const struct traced *traced, bool on)
{
	json_t *status = json_of(traced, "status", NULL);
	bool are = status && strncmp(str_at(status, "hooks.wait_results"), "off", 3) != 0;

	json_decref(status);
	return are == on;
}

static bool is_waiting(const struct traced *traced, pid_t pid)
{
	char text[16];
	json_t *json, *row;
	bool is;

	snprintf(text, sizeof(text), "%d", pid);
	json = json_of(traced, "ps", text);
	row = json_array_get(json_object_get(json, "processes"), 0);
	is = json_is_integer(json_at(row, "waits.waiting_since_ns"));
	json_decref(json);
	return is;
}

/* A process that is known to be in a wait call, for as long as it lives. */
static pid_t block_in_wait(const struct traced *traced)
{
	pid_t child, pid = fork();

	if (!pid) {
		child = fork();
		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pause();
		}
		waitpid(child, NULL, 0);
		_exit(0);
	}
	lt_await(is_waiting(traced, pid), "%d does not wait", pid);
	return pid;
}

/*
 * Taxing hooks come and go with who asks for them; what is in a call meanwhile
 * is forgotten when they come again. Then much happens and the reader stands still.
 */
static void stream_waits(const struct traced *traced)
{
	pid_t waiter = 0;
	struct job tail;

	for (int i = 0; i < 2; i++) {
		job__start(&tail, &(struct plan){ .argv = ARGV(LIFETRACE, "tail", "--kind",
							       "wait,fork,exit", "--socket",
							       traced->socket) });
		lt_await(hooks_are(traced, true), "no hook for waits");
		if (!waiter)
			waiter = block_in_wait(traced);
		kill(tail.pid, i ? SIGSTOP : SIGTERM);
		if (i)
			make_lives(1000);
		kill(tail.pid, SIGKILL);
		job__wait(&tail, LT_DEADLINE_NS);
		job__free(&tail);
		lt_await(hooks_are(traced, false), "hooks stay");
	}
	kill(waiter, SIGKILL);
	waitpid(waiter, NULL, 0);
}

static void get_metrics(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(19479),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	static const char request[] =
		"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char bytes[4096] = "";

	lt_require(!connect(fd, (const struct sockaddr *)&address, sizeof(address)), "connect: %s",
		   strerror(errno));
	lt_require(send(fd, request, strlen(request), 0) > 0, "send: %s", strerror(errno));
	lt_require(read(fd, bytes, sizeof(bytes) - 1) > 0 && strstr(bytes, "200 OK"),
		   "the answer: %s", bytes);
	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
	close(fd);
}

static void write_config(const struct traced *traced, const char *text)
{
	FILE *f = fopen(traced->config, "we");

	cr_assert(f && fputs(text, f) >= 0 && !fclose(f), "%s", traced->config);
}

static bool job_said(const struct job *job, const char *words)
{
	char *err = read_fd(job->err, NULL);
	bool said = strstr(err, words) != NULL;

	free(err);
	return said;
}

static void do_all(struct traced *traced)
{
	static const char *const commands[] = { "zombies", "ps", "tree", "cow", "status", "doctor" };
	char *file;
	struct cast *zombie = cast__start("zombie", NULL);

	cast__hold(zombie, "zombie");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		ASK(traced, commands[i], "--json");
	cast__free(zombie);
	stream_waits(traced);
	get_metrics();
	lt_require(ASK(traced, "silence", "nobody-here", "1m"), "no silence");
	lt_require(!access(traced->silences, F_OK), "it is not kept");
	unlink(traced->silences);
	cr_assert(asprintf(&file, "%s/recording", traced->dir) > 0);
	ASK(traced, "record", file, "--for", "300ms");
	unlink(file);
	free(file);
	write_config(traced, "zombie_age = nonsense\nleak_age = 1h\n");
	kill(traced->job.pid, SIGHUP);
	lt_await(job_said(&traced->job, "'nonsense'"), "a bad file is not told of");
	write_config(traced, "leak_age = 1h\n");
	kill(traced->job.pid, SIGHUP);
	lt_await(job_said(&traced->job, "settings reloaded"), "the settings are not read");
}

/* What no run of this test sees, and why it must be let through all the same. */
static const struct seldom {
	const char *name, *why;
} seldom[] = {
	{ "BPF_RAW_TRACEPOINT_OPEN", "where BPF_LINK_CREATE takes no tp_btf, before 6.0" },
	{ "readlinkat", "/proc/PID/exe of who was born while records were lost" },
	{ "futex", "a thread that is waited for before it has ended" },
	{ "rmdir", "the directory of a private daemon" },
	{ "faccessat2",
	  "where a hook is first wanted later, and no mount of tracefs is known yet" },
	{ "uname", "likewise" },
	{ "mremap", "the table, or a client's buffer, when they have grown large" },
	{ "restart_syscall", "a sleep that SIGSTOP or a debugger interrupted" },
	{ "rt_sigaction", "abort()" },
	{ "rt_sigreturn", "likewise, and who debugs it" },
	{ "gettid", "abort()" },
	{ "tgkill", "abort()" },
};

static bool is_seldom(const char *name)
{
	for (size_t i = 0; i < sizeof(seldom) / sizeof(seldom[0]); i++)
		if (!strcmp(seldom[i].name, name))
			return true;
	return false;
}

LT_TEST(confine, table_is_complete_and_minimal)
{
	struct traced traced = { 0 };
	struct seen seen = { 0 };
	const char *name;

	start_traced(&traced);
	do_all(&traced);
	end_traced(&traced);
	read_trace(&seen, traced.trace);
	cr_assert(seen.filtered, "no filter was loaded");
	cr_expect(!*seen.refused, "refused: %s", seen.refused);
	for (size_t i = 0; (name = confine_syscall(i)); i++)
		cr_expect(is_seldom(name) || has_seen(&seen, name), "%s is let through for nothing",
			  name);
	unlink(traced.trace);
	unlink(traced.config);
	rmdir(traced.dir);
}

/* ---- files ---- */

LT_TEST(confine, files_are_locked)
{
	struct traced traced = { 0 };
	struct seen seen = { 0 };

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1)
		cr_skip_test("this kernel has no Landlock");
	start_traced(&traced);
	end_traced(&traced);
	read_trace(&seen, traced.trace);
	cr_expect(seen.landlocked, "no Landlock");
	unlink(traced.trace);
	unlink(traced.config);
	rmdir(traced.dir);
}
