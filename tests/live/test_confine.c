/*
 * What the daemon has given up, by what the kernel says of it; and its table of
 * system calls, against what strace saw: none is missing, none is too many.
 */
#include "http.h"

#include <linux/landlock.h>
#include <linux/magic.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

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

static void check_capabilities(pid_t pid)
{
	uint64_t left = needs_none() ? 0 : 1ULL << 39 | 1ULL << 38; /* CAP_BPF, CAP_PERFMON */

	cr_expect(!(mask_of(pid, "CapPrm") & ~left), "permitted: %lx", mask_of(pid, "CapPrm"));
	cr_expect(!(mask_of(pid, "CapEff") & ~left), "effective: %lx", mask_of(pid, "CapEff"));
	cr_expect(!mask_of(pid, "CapAmb"), "ambient: %lx", mask_of(pid, "CapAmb"));
}

LT_TEST(confine, rights_are_gone)
{
	struct lt *lt = lt__start("--confine", "on", NULL);
	pid_t pid = lt__daemon_pid(lt);

	check_capabilities(pid);
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

/* ---- what strace sees ---- */

#define CALLS_MAX 512

/* Names of system calls, and of bpf's commands; and the first call that the filter refused. */
struct seen {
	char names[CALLS_MAX][64];
	size_t count;
	char refused[256];
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

	if (sscanf(line, "%*d %63[a-z0-9_](", name) != 1 &&
	    sscanf(line, "%*d <... %63[a-z0-9_] resumed>", name) != 1)
		return;
	if (is_refused(name))
		return;
	if (strstr(line, ") = -1 ENOSYS") && !*seen->refused)
		snprintf(seen->refused, sizeof(seen->refused), "%s", line);
	see(seen, name);
	if (sscanf(line, "%*d bpf(%63[A-Z_],", command) == 1)
		see(seen, command);
}

/* ---- a confined daemon, and strace on it until it ends ---- */

struct watched {
	struct lt *lt;
	char dir[64], config[96], silences[96], trace[96];
	struct job strace;
};

static void write_config(const struct watched *watched, const char *text)
{
	FILE *f = fopen(watched->config, "we");

	lt_require(f && fputs(text, f) >= 0 && !fclose(f), "%s", watched->config);
}

#define LEAKY "zombie_age = 100ms\nleak_count = 3\nleak_age = 1h\nleak_settle = 0s\n"

static void make_place(struct watched *watched)
{
	if (!have_program("strace"))
		cr_skip_test("needs strace");
	strcpy(watched->dir, "/tmp/lt-confine-XXXXXX");
	cr_assert(mkdtemp(watched->dir), "mkdtemp: %s", strerror(errno));
	snprintf(watched->config, sizeof(watched->config), "%s/config", watched->dir);
	snprintf(watched->silences, sizeof(watched->silences), "%s/silences", watched->dir);
	snprintf(watched->trace, sizeof(watched->trace), "%s/trace", watched->dir);
	write_config(watched, LEAKY);
}

static void remove_place(struct watched *watched)
{
	unlink(watched->config);
	unlink(watched->silences);
	unlink(watched->trace);
	lt_require(!rmdir(watched->dir), "something is left in %s", watched->dir);
}

/* From the time on that it has given up its rights; all its threads. */
static void watch(struct watched *watched)
{
	pid_t pid = lt__daemon_pid(watched->lt);
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	lt_require(status_of(pid, "Seccomp") == 2, "no filter was loaded");
	job__start(&watched->strace, &(struct plan){ .argv = ARGV("/usr/bin/strace", "-f", "-o",
								  watched->trace, "-p", text) });
	lt_await(status_of(pid, "TracerPid") == watched->strace.pid, "strace does not attach");
}

/* The daemon has ended: what did it call? */
static void end_watch(struct watched *watched, struct seen *seen)
{
	char *line = NULL;
	size_t size = 0;
	FILE *f;

	cr_expect(!job__wait(&watched->strace, LT_DEADLINE_NS), "strace does not end");
	job__free(&watched->strace);
	f = fopen(watched->trace, "re");
	lt_require(f, "%s: %s", watched->trace, strerror(errno));
	while (getline(&line, &size, f) > 0)
		see_line(seen, line);
	free(line);
	fclose(f);
	cr_expect(!*seen->refused, "refused: %s", seen->refused);
}

/* ---- all that a daemon does ---- */

/* doctor's and status's exit status also says whether all is well with the host. */
static void require_done(struct output *output)
{
	lt_require(!output->code || !*output->err, "exit %d: %s", output->code, output->err);
	output__free(output);
}

#define ask(lt, ...)                                      \
	do {                                              \
		struct output output_;                    \
		lt__run(lt, &output_, __VA_ARGS__, NULL); \
		require_done(&output_);                   \
	} while (0)

static void get(const struct lt *lt, const char *path, int status)
{
	struct answer answer = http_ask(lt, path);

	lt_require(http_status(&answer) == status, "%s: \"%.200s\"", path, answer.text);
	free(answer.text);
}

static void ask_all(struct lt *lt, const char *pid)
{
	static const char *const commands[] = { "zombies", "ps",    "tree",   "cow",
						"births",  "leaks", "status", "doctor" };

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		ask(lt, commands[i], "--json");
	ask(lt, "why", pid);
	ask(lt, "leaks", "--stacks", "--pid", pid);
	ask(lt, "silence", "--list");
	get(lt, "/v1/alerts", 200);
	get(lt, "/metrics", 200);
	get(lt, "/healthz", 200);
	get(lt, "/v1/nothing", 404);
}

static bool leaks(struct lt *lt, pid_t pid, int zombies)
{
	json_t *json = lt__json(lt, NULL, "leaks", NULL), *row;
	bool leaks = false;
	size_t i;

	json_array_foreach(json_at(json, "leaks"), i, row)
		leaks |= int_at(row, "pid") == pid && int_at(row, "zombies") == zombies;
	json_decref(json);
	return leaks;
}

/* Its stacks are taken, and then no more. */
static void make_leak_that_ends(const struct watched *watched)
{
	struct cast *leak = cast__start("leak", "4", NULL);
	pid_t pid = cast__pid(leak);

	lt_await(leaks(watched->lt, pid, 4), "no leak");
	cast__tell(leak, "reap");
	lt_await(!leaks(watched->lt, pid, 4), "a leak still");
	cast__tell(leak, "end");
	cast__free(leak);
}

/* A leak is told to the journal, its stacks are taken, and it is silenced. */
static void make_leak(const struct watched *watched)
{
	struct cast *leak = cast__start("leak", "4", NULL);
	char pid[16];
	json_t *silences;

	snprintf(pid, sizeof(pid), "%d", cast__pid(leak));
	lt_await(leaks(watched->lt, cast__pid(leak), 4), "no leak");
	ask_all(watched->lt, pid); /* stacks are of children from now on */
	cast__tell(leak, "more 2");
	lt_await(leaks(watched->lt, cast__pid(leak), 6), "no more than before");
	ask_all(watched->lt, pid);
	ask(watched->lt, "silence", pid, "1m");
	silences = json_load_file(watched->silences, 0, NULL);
	lt_require(silences, "the silence is not kept");
	json_decref(silences);
	ask(watched->lt, "silence", "--remove", pid);
	cast__tell(leak, "reap");
	cast__tell(leak, "end");
	cast__free(leak);
}

/* Hooks that tax come and go with who asks for them. */
static bool taxes(struct lt *lt)
{
	char *hook = lt__hook(lt, "wait_results");
	bool taxes = strncmp(hook, "off", 3) && !strstr(hook, "do_wait");

	free(hook);
	return taxes;
}

/* Who is in a call while there are none is forgotten when they come again. Whether they tax. */
static bool stream(struct lt *lt)
{
	struct cast *waiter = cast__start("waits", "threads", NULL);
	bool tax = false;

	for (int i = 0; i < 2; i++) {
		lt__tail_by_name(lt, "*");
		if (!i)
			cast__hold(waiter, "both wait");
		tax = taxes(lt);
		lt__end_tail(lt);
		lt_await(!taxes(lt), "the hooks stay");
	}
	cast__free(waiter);
	return tax;
}

static void record(const struct watched *watched)
{
	char file[128];

	snprintf(file, sizeof(file), "%s/recording", watched->dir);
	ask(watched->lt, "record", file, "--for", "300ms");
	unlink(file);
}

static bool has_said(const struct lt *lt, const char *words)
{
	char *log = lt__log(lt);
	bool has = strstr(log, words) != NULL;

	free(log);
	return has;
}

static void reload(const struct watched *watched)
{
	write_config(watched, "zombie_age = nonsense\n");
	kill(lt__daemon_pid(watched->lt), SIGHUP);
	lt_await(has_said(watched->lt, "'nonsense'"), "a bad file is not told of");
	write_config(watched, "zombie_age = 100d\n"); /* nobody's is any more */
	kill(lt__daemon_pid(watched->lt), SIGHUP);
	lt_await(has_said(watched->lt, "settings reloaded"), "the settings are not read");
}

static bool do_all(const struct watched *watched)
{
	make_leak_that_ends(watched);
	make_leak(watched);
	record(watched);
	reload(watched);
	return stream(watched->lt);
}

#define CONFINED(watched)                                                                    \
	"--confine", "on", "--config", (watched)->config, "--silences", (watched)->silences, \
		"--stacks", "on"

static void end(struct watched *watched, struct seen *seen)
{
	lt__end_daemon(watched->lt, SIGTERM);
	lt_require(access(lt__socket(watched->lt), F_OK), "the daemon left its socket");
	end_watch(watched, seen);
}

/* What this test does not see, and why it must be let through all the same. */
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
	{ "brk", "the heap, when it must grow" },
	{ "mremap", "the table, or a client's buffer, when they have grown large" },
	{ "restart_syscall", "a sleep that SIGSTOP or a debugger interrupted" },
	{ "rt_sigaction", "abort()" },
	{ "rt_sigreturn", "likewise, and who debugs it" },
	{ "gettid", "abort()" },
	{ "tgkill", "abort()" },
	{ "writev", "what the C library says before abort()" },
};

static bool is_seldom(const char *name)
{
	for (size_t i = 0; i < sizeof(seldom) / sizeof(seldom[0]); i++)
		if (!strcmp(seldom[i].name, name))
			return true;
	return false;
}

static void require_minimal(const struct seen *seen)
{
	const char *name;

	for (size_t i = 0; (name = confine_syscall(i)); i++)
		cr_expect(is_seldom(name) || has_seen(seen, name), "%s is let through for nothing",
			  name);
}

/* That nothing is too many shows where all is needed: where hooks tax, and are taken out again. */
LT_TEST(confine, table_is_complete_and_minimal)
{
	struct watched watched = { 0 };
	struct seen seen = { 0 };
	const char *port = free_port();
	struct answer answer;
	bool tax;

	make_place(&watched);
	watched.lt = lt__start(CONFINED(&watched), "--metrics-listen", port, NULL);
	watch(&watched);
	tax = do_all(&watched);
	answer = tcp_ask(port, "/metrics");
	lt_require(http_status(&answer) == 200, "\"%.200s\"", answer.text);
	free(answer.text);
	end(&watched, &seen);
	if (tax)
		require_minimal(&seen);
	remove_place(&watched);
}

/* ---- files ---- */

/* Settings that lie elsewhere than at the start are not read any more. */
LT_TEST(confine, files_are_locked)
{
	struct watched watched = { 0 };
	char elsewhere[] = "/tmp/lt-elsewhere-XXXXXX", file[64];

	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1)
		cr_skip_test("this kernel has no Landlock");
	make_place(&watched);
	watched.lt = lt__start(CONFINED(&watched), NULL);
	cr_assert(mkdtemp(elsewhere), "mkdtemp: %s", strerror(errno));
	snprintf(file, sizeof(file), "%s/config", elsewhere);
	lt_require(!rename(watched.config, file) && !symlink(file, watched.config), "%s", file);
	kill(lt__daemon_pid(watched.lt), SIGHUP);
	lt_await(has_said(watched.lt, "Permission denied"), "another directory's file is read");
	lt__stop(watched.lt);
	unlink(file);
	rmdir(elsewhere);
	remove_place(&watched);
}

/* ---- with pins ---- */

static bool is_taken_over(struct lt *lt)
{
	char *hook = lt__hook(lt, "pins");
	bool is = strstr(hook, "(taken over)") && !strchr(hook, ';');

	free(hook);
	return is;
}

/* So many lives that the files must grow for them. */
static void fill_journal(void)
{
	struct cast *many = cast__start("zombie", "4000", NULL), *storm;

	cast__hold(many, "zombie");
	storm = cast__start("storm", "12000", NULL);
	cast__hold(storm, "calm");
	cast__go(storm);
	cast__hold(storm, "over");
	cast__end(storm);
	cast__free(storm);
	cast__free(many);
}

/* What a confined daemon knew is kept, by a journal that grows, and another takes over. */
LT_TEST(confine, pins_can_be_kept)
{
	struct watched watched = { 0 };
	struct seen seen = { 0 };
	struct guard *guard;
	struct statfs fs;
	char dir[64];

	if (geteuid())
		cr_skip_test("needs root");
	if (statfs("/sys/fs/bpf", &fs) || (unsigned)fs.f_type != BPF_FS_MAGIC)
		cr_skip_test("no bpf file system");
	snprintf(dir, sizeof(dir), "/sys/fs/bpf/lt-confine-%d", getpid());
	guard = guard__command(ARGV(LIFETRACED, "--pin-dir", dir, "--detach-all"));
	make_place(&watched);
	watched.lt = lt__start(CONFINED(&watched), "--pin-dir", dir, NULL);
	for (int i = 0; i < 2; i++) {
		check_capabilities(lt__daemon_pid(watched.lt));
		watch(&watched);
		if (!i)
			fill_journal();
		do_all(&watched);
		end(&watched, &seen);
		write_config(&watched, LEAKY);
		lt__again(watched.lt, CONFINED(&watched), "--pin-dir", dir, NULL);
		lt_require(is_taken_over(watched.lt), "not taken over");
	}
	cr_expect(has_seen(&seen, "fallocate") && has_seen(&seen, "ftruncate"),
		  "calls for what is kept are let through for nothing");
	lt__stop(watched.lt);
	remove_place(&watched);
	guard__restore(guard);
	rmdir(dir);
}
