/*
 * run.h - what tests of bad input need besides the harness: any program with any
 * standard output, environment and user, and the daemon's own figures.
 *
 * A job's standard output and error are files in memory, read when it has
 * ended; it is killed when the test dies. Owns only the jobs that it started.
 */
#ifndef LT_RUN_H
#define LT_RUN_H

#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY_UID 65534
#define JOB_HUNG (-1) /* as an exit status: it had to be killed */

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* ---- programs ---- */

/* The path of lifetrace or lifetraced, in memory that stays. */
static inline const char *program(const char *name)
{
	static char paths[2][512];
	char *path = paths[!strcmp(name, "lifetraced")];
	const char *dir = getenv("LIFETRACE_BIN_DIR");

	snprintf(path, sizeof(paths[0]), "%s/bin/%s", dir ? dir : LT_BIN_DIR, name);
	if (access(path, X_OK))
		snprintf(path, sizeof(paths[0]), "%s/%s", dir ? dir : LT_BIN_DIR, name);
	cr_assert(!access(path, X_OK), "%s: %s", path, strerror(errno));
	return path;
}

#define LIFETRACE program("lifetrace")
#define LIFETRACED program("lifetraced")

struct plan {
	const char *const *argv;
	const char *const *env; /* "NAME=value"; NULL: none besides ours */
	int out;		/* descriptor for its standard output; 0: memory */
	uid_t uid;		/* 0: ours */
};

struct job {
	pid_t pid;
	int out, err;
	int code; /* once it has ended */
};

static inline void job__become(const struct plan *plan, const struct job *job)
{
	int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, 0);
	dup2(plan->out ? plan->out : job->out, 1);
	dup2(job->err, 2);
	syscall(SYS_close_range, 3, ~0U, 0);
	for (const char *const *set = plan->env; set && *set; set++)
		putenv((char *)*set);
	if (plan->uid &&
	    (syscall(SYS_setgroups, 0, NULL) || setgid(plan->uid) || setuid(plan->uid)))
		_exit(126);
	execv(plan->argv[0], (char *const *)plan->argv);
	_exit(127);
}

static inline void job__start(struct job *job, const struct plan *plan)
{
	job->out = memfd_create("out", MFD_CLOEXEC);
	job->err = memfd_create("err", MFD_CLOEXEC);
	cr_assert(job->out >= 0 && job->err >= 0, "memfd: %s", strerror(errno));
	job->pid = fork();
	cr_assert(job->pid >= 0, "fork: %s", strerror(errno));
	if (!job->pid)
		job__become(plan, job);
}

/* Whether it has ended; its exit status, or 128 + signal, then. */
static inline bool job__ended(struct job *job)
{
	int raw;

	if (!job->pid)
		return true;
	if (waitpid(job->pid, &raw, WNOHANG) <= 0)
		return false;
	job->code = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
	job->pid = 0;
	return true;
}

/* Waits for its end, and kills it when it takes longer than NS. Returns the code. */
static inline int job__wait(struct job *job, int64_t ns)
{
	int64_t end = boottime_ns() + ns;

	while (!job__ended(job)) {
		if (boottime_ns() < end) {
			lt__pump(5);
			continue;
		}
		kill(job->pid, SIGKILL);
		waitpid(job->pid, NULL, 0);
		job->pid = 0;
		job->code = JOB_HUNG;
	}
	return job->code;
}

static inline size_t file_size(int fd)
{
	struct stat st;

	cr_assert(!fstat(fd, &st), "fstat: %s", strerror(errno));
	return st.st_size;
}

/* What a file holds now, NUL-terminated, to be freed. */
static inline char *read_fd(int fd, size_t *len)
{
	size_t size = file_size(fd);
	char *text = malloc(size + 1);
	ssize_t got = pread(fd, text, size, 0);

	cr_assert(got >= 0, "pread: %s", strerror(errno));
	text[got] = '\0';
	if (len)
		*len = got;
	return text;
}

static inline void job__free(struct job *job)
{
	if (job->pid)
		job__wait(job, 0);
	close(job->out);
	close(job->err);
}

/* Makes something happen, as on an idle host a tail would have nothing to tell. */
static inline bool job__has_lines(struct job *job)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	return file_size(job->out);
}

#define job__await_lines(tail) lt_await(job__has_lines(tail), "the tail tells nothing")

/* ---- one program to its end ---- */

struct result {
	int code;
	char *out, *err;
	size_t out_len;
};

static inline void run(struct result *result, const struct plan *plan)
{
	struct job job;

	job__start(&job, plan);
	result->code = job__wait(&job, LT_DEADLINE_NS);
	result->out = read_fd(job.out, &result->out_len);
	result->err = read_fd(job.err, NULL);
	job__free(&job);
}

static inline void result__free(struct result *result)
{
	free(result->out);
	free(result->err);
}

/* One whole line. */
static inline bool is_one_line(const char *text)
{
	const char *newline = strchr(text, '\n');

	return newline && newline > text && !newline[1];
}

/* The words of ARGV, for a message; to be freed. */
static inline char *words_of(const char *const *argv)
{
	size_t size;
	char *text;
	FILE *f = open_memstream(&text, &size);

	for (const char *const *word = argv + 1; *word; word++)
		fprintf(f, "%s%s", word == argv + 1 ? "" : " ", *word);
	fclose(f);
	return text;
}

/* Runs ARGV: it must end with CODE and one line on standard error that holds WORD. */
static inline void require_complaint(const char *const *argv, int code, const char *word)
{
	char *words = words_of(argv);
	struct result result;

	run(&result, &(struct plan){ .argv = argv });
	cr_expect(result.code == code, "%s: exit %d, not %d", words, result.code, code);
	cr_expect(is_one_line(result.err), "%s: not one line: \"%s\"", words, result.err);
	cr_expect(strstr(result.err, word), "%s: \"%s\" does not name \"%s\"", words, result.err,
		  word);
	result__free(&result);
	free(words);
}

/* ---- figures of the daemon ---- */

/* The number after NAME in /proc/PID/status. */
static inline long status_of(pid_t pid, const char *name)
{
	char path[64], line[256];
	size_t len = strlen(name);
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':')
			value = strtol(line + len + 1, NULL, 10);
	if (f)
		fclose(f);
	return value;
}

/* Milliseconds of CPU so far. */
static inline long cpu_ms_of(pid_t pid)
{
	char path[64], stat[1024];
	unsigned long utime = 0, stime = 0;
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	cr_assert(f, "%s: %s", path, strerror(errno));
	len = fread(stat, 1, sizeof(stat) - 1, f);
	fclose(f);
	stat[len] = '\0';
	sscanf(strrchr(stat, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
	       &utime, &stime);
	return (utime + stime) * 1000 / sysconf(_SC_CLK_TCK);
}

static inline int fds_of(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

/* Does nothing but read pipes for so long. */
static inline void pass_time(int64_t ns)
{
	int64_t end = boottime_ns() + ns;

	while (boottime_ns() < end)
		lt__pump(10);
}

#endif
