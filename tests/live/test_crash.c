/*
 * The daemon's own death by a bug: it says what it was doing, and the kernel writes a
 * core of it, confined or not. The bugs are tests/cast/fault's, so that nothing in the
 * daemon can make it fail; in some a signal stands for one.
 */
#include "http.h"
#include "run.h"

struct doomed {
	char dir[64], socket[96], silences[96];
	struct job job;
};

static bool answers(const struct doomed *doomed)
{
	return !run_quietly(ARGV(LIFETRACE, "status", "--socket", doomed->socket));
}

/* In a directory of its own, where it may write. */
static void doomed__start(struct doomed *doomed, const char *confine)
{
	static const char in_directory[] =
		"cd \"$1\" && ulimit -c unlimited && shift && exec \"$@\"";

	if (geteuid())
		cr_skip_test("needs root");
	strcpy(doomed->dir, "/tmp/lt-crash-XXXXXX");
	lt_require(mkdtemp(doomed->dir), "%s: %s", doomed->dir, strerror(errno));
	snprintf(doomed->socket, sizeof(doomed->socket), "%s/s", doomed->dir);
	snprintf(doomed->silences, sizeof(doomed->silences), "%s/silences", doomed->dir);
	job__start(&doomed->job,
		   &(struct plan){ .argv = ARGV("/bin/sh", "-c", in_directory, "sh", doomed->dir,
						LIFETRACED, "--socket", doomed->socket,
						"--silences", doomed->silences, "--ring-size", "1M",
						"--confine", confine) });
	lt_await(answers(doomed), "no daemon: %s", read_fd(doomed->job.err, NULL));
}

static void doomed__remove(struct doomed *doomed)
{
	job__free(&doomed->job);
	lt_require(!run_quietly(ARGV("/bin/rm", "-r", doomed->dir)), "%s is left", doomed->dir);
}

/* How it died, by the kernel. */
static siginfo_t doomed__end(struct doomed *doomed)
{
	siginfo_t end = { 0 };

	lt_require(!waitid(P_PID, doomed->job.pid, &end, WEXITED | WNOWAIT), "waitid");
	job__wait(&doomed->job, LT_DEADLINE_NS);
	return end;
}

static void require_words(const struct doomed *doomed, const char *words)
{
	char *said = read_fd(doomed->job.err, NULL);

	lt_require(strstr(said, words), "it does not say \"%s\": %s", words, said);
	free(said);
}

/* Only where the host's own setting has it written to the directory the daemon is in. */
static bool core_lies_beside(void)
{
	char pattern[256] = "";
	FILE *f = fopen("/proc/sys/kernel/core_pattern", "re");

	if (f && !fgets(pattern, sizeof(pattern), f))
		*pattern = '\0';
	if (f)
		fclose(f);
	return !strcmp(pattern, "core\n");
}

/* A debugger finds in it where the daemon was, if there is still a STACK. */
static void require_usable_core(const struct doomed *doomed, bool stack)
{
	char core[96], pid_core[128];
	struct result result;

	if (!core_lies_beside())
		return;
	snprintf(core, sizeof(core), "%s/core", doomed->dir);
	snprintf(pid_core, sizeof(pid_core), "%s.%d", core, (int)doomed->job.pid);
	lt_require(!access(core, F_OK) || !access(pid_core, F_OK), "no core in %s", doomed->dir);
	if (!stack || !have_program("gdb"))
		return;
	run(&result, &(struct plan){ .argv = ARGV("/usr/bin/gdb", "-nx", "-batch", "-ex", "bt",
						  LIFETRACED, core) });
	lt_require(strstr(result.out, "daemon_run") || strstr(result.out, "main ("),
		   "no stack in the core: %s %s", result.out, result.err);
	result__free(&result);
}

/* By SIG, with WORDS for its last ones. */
static void require_death(struct doomed *doomed, int sig, const char *words, bool stack)
{
	siginfo_t end = doomed__end(doomed);

	lt_require(end.si_status == sig, "it died of %d", end.si_status);
	lt_require(end.si_code == CLD_DUMPED, "no core was dumped");
	require_words(doomed, words);
	require_usable_core(doomed, stack);
	doomed__remove(doomed);
}

static void check_death(int sig, const char *name, const char *confine)
{
	struct doomed doomed;
	char words[128];

	doomed__start(&doomed, confine);
	snprintf(words, sizeof(words), "lifetraced: dies of %s by process %d while it serves", name,
		 getpid());
	kill(doomed.job.pid, sig);
	require_death(&doomed, sig, words, true);
}

LT_TEST(crash, segv)
{
	check_death(SIGSEGV, "SIGSEGV", "off");
}

LT_TEST(crash, segv_confined)
{
	check_death(SIGSEGV, "SIGSEGV", "on");
}

LT_TEST(crash, abort_confined)
{
	check_death(SIGABRT, "SIGABRT", "on");
}

/* ---- faults of its own ---- */

static const struct {
	const char *name, *words;
	int sig;
	bool stack; /* in the core is one to be read */
} faults[] = {
	{ "segv", "lifetraced: dies of SIGSEGV at address 0x10 while it serves", SIGSEGV, true },
	{ "fpe", "lifetraced: dies of SIGFPE at address 0x7", SIGFPE, true },
	{ "overflow", "lifetraced: dies of SIGSEGV at address 0x7", SIGSEGV, false },
	{ "free", "invalid pointer\nlifetraced: dies of SIGABRT by itself", SIGABRT, true },
};

static void check_fault(size_t n, const char *confine)
{
	struct doomed doomed;
	struct result result;
	char fault[256], pid[16];

	cast__path("fault", fault, sizeof(fault));
	doomed__start(&doomed, confine);
	snprintf(pid, sizeof(pid), "%d", doomed.job.pid);
	run(&result, &(struct plan){ .argv = ARGV(fault, pid, faults[n].name) });
	if (result.code == 2) {
		doomed__remove(&doomed);
		cr_skip_test("no fault is known for this machine");
	}
	lt_require(!result.code, "%s", result.err);
	result__free(&result);
	require_death(&doomed, faults[n].sig, faults[n].words, faults[n].stack);
}

LT_TEST(crash, bad_read)
{
	check_fault(0, "off");
}

LT_TEST(crash, bad_read_confined)
{
	check_fault(0, "on");
}

LT_TEST(crash, division_by_zero_confined)
{
	check_fault(1, "on");
}

/* Told on a stack of its own. */
LT_TEST(crash, stack_overflow_confined)
{
	check_fault(2, "on");
}

/* Found by the C library, which says so itself before. */
LT_TEST(crash, bad_free_confined)
{
	check_fault(3, "on");
}

/* ---- what it was doing ---- */

/* Clients that ask and ask: it is killed in one of the answers, sooner or later. */
static bool dies_answering(void)
{
	struct doomed doomed;
	char *said;
	bool answering;
	int fds[32];

	doomed__start(&doomed, "on");
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };

		fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		snprintf(address.sun_path, sizeof(address.sun_path), "%s", doomed.socket);
		lt_require(!connect(fds[i], (struct sockaddr *)&address, sizeof(address)),
			   "connect: %s", strerror(errno));
		http_get(fds[i], "/v1/processes?all=1&kernel=1");
	}
	http_closes(fds[0], LT_DEADLINE_NS); /* the first is answered: it is at one of the others */
	kill(doomed.job.pid, SIGSEGV);
	lt_require(doomed__end(&doomed).si_code == CLD_DUMPED, "no core was dumped");
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
	said = read_fd(doomed.job.err, NULL);
	answering = strstr(said, "while it serves, answers /v1/processes");
	free(said);
	doomed__remove(&doomed);
	return answering;
}

LT_TEST(crash, says_which_request)
{
	for (int i = 0; i < 20; i++)
		if (dies_answering())
			return;
	lt_require(false, "in none of 20 deaths it was answering");
}
