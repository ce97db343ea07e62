#include "harness.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX 64

/*
 * Some kernels run no BPF program while one of init's threads is on the CPU,
 * not even in an interrupt. So one in some hundred sched_process_free is never
 * seen there, and a reap is only known by the next pass of the iterator: soon.
 * "reuse" requires that this stays the exception.
 */
#define REPAIR_INTERVAL "500ms"

/* We parse what others do, too: a storm of theirs must not end our tail. */
#define STREAM_BUFFER "256M"

/* --- tests run one at a time: they share the host, its pids and its cores --- */

__attribute__((constructor)) static void one_at_a_time(void)
{
	setenv("CRITERION_JOBS", "1", 0);
}

int64_t boottime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void *xrealloc(void *p, size_t size)
{
	p = realloc(p, size);
	if (!p)
		abort();
	return p;
}

static char *xprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static char *xprintf(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	return text;
}

/* --- pipes --- */

/* A pipe that is read whenever anything is waited for. */
struct stream {
	int fd; /* -1 after its end */
	char *buf;
	size_t len; /* what is not handled yet; all, without a handler */
	void (*line)(void *ctx, char *line, int64_t arrived_ns);
	void *ctx;
	struct stream *next;
};

static struct stream *streams;

static void stream__init(struct stream *stream, int fd,
			 void (*line)(void *ctx, char *line, int64_t arrived_ns), void *ctx)
{
	*stream = (struct stream){ .fd = fd, .line = line, .ctx = ctx, .next = streams };
	streams = stream;
}

static void stream__end(struct stream *stream)
{
	if (stream->fd >= 0)
		close(stream->fd);
	stream->fd = -1;
}

static void stream__deinit(struct stream *stream)
{
	for (struct stream **p = &streams; *p; p = &(*p)->next) {
		if (*p == stream) {
			*p = stream->next;
			break;
		}
	}
	stream__end(stream);
	free(stream->buf);
	stream->buf = NULL;
}

static void stream__split(struct stream *stream, int64_t now)
{
	char *from = stream->buf, *end = stream->buf + stream->len, *newline;

	while ((newline = memchr(from, '\n', end - from))) {
		*newline = '\0';
		stream->line(stream->ctx, from, now);
		from = newline + 1;
	}
	stream->len = end - from;
	memmove(stream->buf, from, stream->len);
}

static void stream__read(struct stream *stream)
{
	int64_t now;
	ssize_t n;

	stream->buf = xrealloc(stream->buf, stream->len + 65536 + 1);
	stream->buf[stream->len] = '\0'; /* also of one that says nothing */
	n = read(stream->fd, stream->buf + stream->len, 65536);
	now = boottime_ns();
	if (n <= 0) {
		if (n == 0 || errno != EINTR)
			stream__end(stream);
		return;
	}
	stream->len += n;
	stream->buf[stream->len] = '\0';
	if (stream->line)
		stream__split(stream, now);
}

void lt__pump(int timeout_ms)
{
	struct pollfd pfds[32];
	struct stream *of[32];
	int n = 0;

	for (struct stream *s = streams; s && n < 32; s = s->next) {
		if (s->fd < 0)
			continue;
		pfds[n] = (struct pollfd){ .fd = s->fd, .events = POLLIN };
		of[n++] = s;
	}
	if (poll(pfds, n, timeout_ms) <= 0)
		return;
	for (int i = 0; i < n; i++)
		if (pfds[i].revents)
			stream__read(of[i]);
}

/* --- child processes --- */

struct spawn {
	const char *const *argv;
	int fd[3];	  /* what becomes its 0, 1, 2; -1: /dev/null */
	int death_signal; /* it gets when we die */
};

static void spawn__become(const struct spawn *spawn)
{
	prctl(PR_SET_PDEATHSIG, spawn->death_signal);
	for (int i = 0; i < 3; i++) {
		int fd = spawn->fd[i] >= 0 ? spawn->fd[i] : open("/dev/null", O_RDWR);

		if (dup2(fd, i) < 0)
			_exit(126);
	}
	syscall(SYS_close_range, 3, ~0U, 0);
	execvp(spawn->argv[0], (char *const *)spawn->argv);
	dprintf(STDERR_FILENO, "%s: %s\n", spawn->argv[0], strerror(errno));
	_exit(127);
}

static pid_t spawn__go(const struct spawn *spawn)
{
	pid_t pid = fork();

	cr_assert(pid >= 0, "fork: %s", strerror(errno));
	if (!pid)
		spawn__become(spawn);
	return pid;
}

static void make_pipe(int fd[2])
{
	cr_assert_eq(pipe2(fd, O_CLOEXEC), 0, "pipe: %s", strerror(errno));
}

static int exit_code(int raw)
{
	return WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
}

/* Whether PID has ended; its exit code then. */
static bool has_ended(pid_t pid, int *code)
{
	int raw;
	pid_t got = waitpid(pid, &raw, WNOHANG);

	cr_assert(got >= 0, "waitpid %d: %s", pid, strerror(errno));
	if (got)
		*code = exit_code(raw);
	return got > 0;
}

/* The hooks on system calls come and go with zombies, which others on the host may have, too. */
static bool is_hook(int dir, const char *fd)
{
	char target[64] = "";

	if (readlinkat(dir, fd, target, sizeof(target) - 1) < 0)
		return false;
	return !strncmp(target, "anon_inode:bpf", 14) || !strcmp(target, "anon_inode:[perf_event]");
}

/* Hooks apart. */
static int fd_count(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.' && !is_hook(dirfd(dir), entry->d_name);
	closedir(dir);
	return n - (pid == getpid()); /* not the directory itself */
}

bool have_program(const char *name)
{
	const char *set = getenv("PATH");
	char *path = xprintf("%s", set ? set : "/usr/bin:/bin"), *save = NULL;
	bool found = false;

	for (char *dir = strtok_r(path, ":", &save); dir && !found;
	     dir = strtok_r(NULL, ":", &save)) {
		char *file = xprintf("%s/%s", dir, name);

		found = !access(file, X_OK);
		free(file);
	}
	free(path);
	return found;
}

int run_quietly(const char *const argv[])
{
	struct spawn spawn = { argv, { -1, -1, -1 }, SIGTERM };
	pid_t pid = spawn__go(&spawn);
	int code = 0;

	lt_await_for(LT_TIMEOUT_S * NSEC_PER_SEC, has_ended(pid, &code), "%s does not end",
		     argv[0]);
	return code;
}

/* --- JSON --- */

json_t *json_at(const json_t *object, const char *path)
{
	char key[64];
	const char *dot;

	while (object && (dot = strchr(path, '.'))) {
		snprintf(key, sizeof(key), "%.*s", (int)(dot - path), path);
		object = json_object_get(object, key);
		path = dot + 1;
	}
	return object ? json_object_get(object, path) : NULL;
}

static char *dump(const json_t *json)
{
	char *text = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;

	return text ? text : strdup("nothing");
}

int64_t int_at(const json_t *object, const char *path)
{
	json_t *value = json_at(object, path);

	lt_require(json_is_integer(value), "no number %s in %s", path, dump(object));
	return json_integer_value(value);
}

const char *str_at(const json_t *object, const char *path)
{
	json_t *value = json_at(object, path);

	lt_require(json_is_string(value), "no string %s in %s", path, dump(object));
	return json_string_value(value);
}

static char *plain(const json_t *value)
{
	return json_is_string(value) ? strdup(json_string_value(value)) : dump(value);
}

static bool word_matches(const json_t *object, const char *word)
{
	const char *equals = strchr(word, '=');
	bool negated = equals > word && equals[-1] == '!';
	char path[128];
	json_t *value;
	char *text;
	bool same;

	cr_assert(equals, "no = in \"%s\"", word);
	snprintf(path, sizeof(path), "%.*s", (int)(equals - negated - word), word);
	value = json_at(object, path);
	if (!value)
		return false;
	text = plain(value);
	same = !strcmp(text, equals + 1);
	free(text);
	return same != negated;
}

/* The first word that does not hold, to be freed; NULL when all do. */
static char *first_mismatch(const json_t *object, const char *words)
{
	char *copy = strdup(words), *save = NULL, *wrong = NULL;

	for (char *w = strtok_r(copy, " ", &save); w && !wrong; w = strtok_r(NULL, " ", &save))
		if (!word_matches(object, w))
			wrong = strdup(w);
	free(copy);
	return wrong;
}

bool json_matches(const json_t *object, const char *words)
{
	char *wrong = first_mismatch(object, words);

	free(wrong);
	return !wrong;
}

void expect_here(const char *file, int line, const json_t *object, const char *fmt, ...)
{
	char *words, *wrong;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&words, fmt, ap) < 0)
		abort();
	va_end(ap);
	wrong = first_mismatch(object, words);
	lt_require(!wrong, "%s:%d: not %s: %s", file, line, wrong, dump(object));
	free(words);
}

/* --- the daemon --- */

struct lt {
	struct lt *outer; /* one that was started before and runs on */
	char dir[64], socket[80], log[80];
	pid_t pid;
	int own_fds;	/* of this process, before the start */
	int daemon_fds; /* of the daemon, after its start */
	pid_t tail_pid; /* 0: none */
	struct stream tail;
	struct event *events; /* of our descendants, and of those watched */
	size_t n_events;
	size_t n_lines; /* of all; some of the others' are parsed, too */
	json_t *by_id;	/* {id: [indices of its events]} */
	json_t *by_pid; /* {pid: id of its last life} */
};

static struct lt *current; /* for explanations */
static int guards;	   /* children that outlive the test */
static struct cast *casts; /* those that were not freed */

static bool is_program(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK);
}

static const char *bin_path(const char *program, char *path, size_t size)
{
	static const char *const below[] = { "", "bin/", "daemon/", "cli/", "src/" };
	const char *dir = getenv("LIFETRACE_BIN_DIR");

	if (!dir)
		dir = LT_BIN_DIR;
	for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++) {
		snprintf(path, size, "%s/%s%s", dir, below[i], program);
		if (is_program(path))
			return path;
	}
	cr_assert_fail("no %s below %s", program, dir);
	return NULL;
}

/* Appends the words of AP up to NULL to ARGV. */
static int add_words(const char **argv, int n, const char *word, va_list ap)
{
	for (; word; word = va_arg(ap, const char *)) {
		cr_assert_lt(n, ARGS_MAX - 4);
		argv[n++] = word;
	}
	return n;
}

static void make_directory(struct lt *lt)
{
	strcpy(lt->dir, "/tmp/lt-live-XXXXXX");
	cr_assert(mkdtemp(lt->dir), "mkdtemp: %s", strerror(errno));
	chmod(lt->dir, 0755);
	snprintf(lt->socket, sizeof(lt->socket), "%s/sock", lt->dir);
	snprintf(lt->log, sizeof(lt->log), "%s/stderr", lt->dir);
}

static void print_file(const char *title, const char *path)
{
	char buf[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	fprintf(stderr, "--- %s\n", title);
	while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, n, stderr);
	if (fd >= 0)
		close(fd);
}

static bool status_answers(struct lt *lt)
{
	struct output output;
	int code = 0;
	bool answered;

	lt_require(!has_ended(lt->pid, &code), "the daemon ended with %d", code);
	lt__run(lt, &output, "status", "--json", NULL);
	answered = output.code == 0;
	output__free(&output);
	return answered;
}

static void spawn_daemon(struct lt *lt, const char *const argv[])
{
	struct spawn spawn = { argv, { -1, -1, -1 }, SIGKILL };
	int log = open(lt->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	cr_assert(log >= 0, "%s: %s", lt->log, strerror(errno));
	spawn.fd[1] = spawn.fd[2] = log;
	lt->pid = spawn__go(&spawn);
	close(log);
}

/* lifetraced with our usual options, then those of AP. */
static void start_daemon(struct lt *lt, const char *option, va_list ap)
{
	const char *argv[ARGS_MAX];
	char path[512];
	int n = 0;

	argv[n++] = bin_path("lifetraced", path, sizeof(path));
	argv[n++] = "--socket";
	argv[n++] = lt->socket;
	argv[n++] = "--repair-interval";
	argv[n++] = REPAIR_INTERVAL;
	argv[n++] = "--stream-buffer";
	argv[n++] = STREAM_BUFFER;
	n = add_words(argv, n, option, ap);
	argv[n] = NULL;
	spawn_daemon(lt, argv);
}

static void await_daemon(struct lt *lt)
{
	lt_await(status_answers(lt), "the daemon does not answer");
	lt->daemon_fds = fd_count(lt->pid);
}

struct lt *lt__start(const char *option, ...)
{
	struct lt *lt;
	va_list ap;

	if (geteuid())
		cr_skip_test("needs root");
	lt = calloc(1, sizeof(*lt));
	lt->by_id = json_object();
	lt->by_pid = json_object();
	lt->outer = current;
	current = lt;
	lt->own_fds = fd_count(getpid());
	make_directory(lt);
	va_start(ap, option);
	start_daemon(lt, option, ap);
	va_end(ap);
	await_daemon(lt);
	return lt;
}

void lt__end_daemon(struct lt *lt, int sig)
{
	int code = 0;

	kill(lt->pid, sig);
	lt_await(has_ended(lt->pid, &code), "the daemon does not end");
	lt_require(code == (sig == SIGTERM ? 0 : 128 + sig), "the daemon ended with %d", code);
	lt->pid = 0;
}

void lt__again(struct lt *lt, const char *option, ...)
{
	va_list ap;

	va_start(ap, option);
	start_daemon(lt, option, ap);
	va_end(ap);
	await_daemon(lt);
}

char *lt__log(const struct lt *lt)
{
	int fd = open(lt->log, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text;

	cr_assert(fd >= 0 && !fstat(fd, &st), "%s: %s", lt->log, strerror(errno));
	text = calloc(1, (size_t)st.st_size + 1);
	cr_assert(pread(fd, text, (size_t)st.st_size, 0) == st.st_size, "%s", lt->log);
	close(fd);
	return text;
}

static int child_count(pid_t pid)
{
	char *path = xprintf("/proc/%d/task/%d/children", pid, pid), c;
	FILE *f = fopen(path, "r");
	int n = 0;

	while (f && (c = fgetc(f)) != (char)EOF)
		n += c == ' ';
	if (f)
		fclose(f);
	free(path);
	return n;
}

void lt__end_tail(struct lt *lt)
{
	int code;

	if (!lt->tail_pid)
		return;
	kill(lt->tail_pid, SIGTERM);
	lt_await(has_ended(lt->tail_pid, &code), "tail does not end");
	stream__deinit(&lt->tail);
	lt->tail_pid = 0;
}

static void end_daemon(struct lt *lt)
{
	int code = 0;

	lt_await(fd_count(lt->pid) <= lt->daemon_fds, "the daemon has %d descriptors, had %d",
		 fd_count(lt->pid), lt->daemon_fds);
	lt_require(child_count(lt->pid) == 0, "the daemon has children");
	kill(lt->pid, SIGTERM);
	lt_await(has_ended(lt->pid, &code), "the daemon does not end");
	lt_require(code == 0, "the daemon ended with %d", code);
	lt_require(access(lt->socket, F_OK) < 0, "the daemon left its socket");
}

static int outer_count(const struct lt *lt)
{
	int count = 0;

	while ((lt = lt->outer))
		count++;
	return count;
}

void lt__stop(struct lt *lt)
{
	lt__end_tail(lt);
	end_daemon(lt);
	lt_require(child_count(getpid()) == guards + outer_count(lt), "a child is left");
	lt_require(fd_count(getpid()) <= lt->own_fds, "%d descriptors, %d before",
		   fd_count(getpid()), lt->own_fds);
	unlink(lt->log);
	rmdir(lt->dir);
	for (size_t i = 0; i < lt->n_events; i++)
		json_decref(lt->events[i].json);
	json_decref(lt->by_id);
	json_decref(lt->by_pid);
	free(lt->events);
	current = lt->outer;
	free(lt);
}

pid_t lt__daemon_pid(const struct lt *lt)
{
	return lt->pid;
}

const char *lt__socket(const struct lt *lt)
{
	return lt->socket;
}

/* --- the command --- */

static void run_command(struct output *output, const char *const argv[])
{
	int out[2], err[2];
	struct stream out_stream, err_stream;
	struct spawn spawn = { argv, { -1, -1, -1 }, SIGKILL };

	make_pipe(out);
	make_pipe(err);
	spawn.fd[1] = out[1];
	spawn.fd[2] = err[1];
	output->pid = spawn__go(&spawn);
	close(out[1]);
	close(err[1]);
	stream__init(&out_stream, out[0], NULL, NULL);
	stream__init(&err_stream, err[0], NULL, NULL);
	lt_await(out_stream.fd < 0 && err_stream.fd < 0, "%s %s does not end", argv[0], argv[1]);
	lt_await(has_ended(output->pid, &output->code), "%s %s does not end", argv[0], argv[1]);
	output->out = out_stream.buf;
	output->out_len = out_stream.len;
	output->err = err_stream.buf;
	out_stream.buf = err_stream.buf = NULL;
	stream__deinit(&out_stream);
	stream__deinit(&err_stream);
}

void output__free(struct output *output)
{
	free(output->out);
	free(output->err);
}

void lt__run(struct lt *lt, struct output *output, const char *command, ...)
{
	const char *argv[ARGS_MAX];
	char path[512];
	va_list ap;
	int n = 0;

	argv[n++] = bin_path("lifetrace", path, sizeof(path));
	va_start(ap, command);
	n = add_words(argv, n, command, ap);
	va_end(ap);
	argv[n++] = "--socket";
	argv[n++] = lt->socket;
	argv[n] = NULL;
	run_command(output, argv);
}

json_t *lt__json(struct lt *lt, pid_t *pid, const char *command, ...)
{
	const char *argv[ARGS_MAX];
	struct output output;
	json_error_t error;
	char path[512];
	json_t *json;
	va_list ap;
	int n = 0;

	argv[n++] = bin_path("lifetrace", path, sizeof(path));
	va_start(ap, command);
	n = add_words(argv, n, command, ap);
	va_end(ap);
	argv[n++] = "--json";
	argv[n++] = "--socket";
	argv[n++] = lt->socket;
	argv[n] = NULL;
	run_command(&output, argv);
	lt_require(output.code == 0, "lifetrace %s: exit %d: %s", command, output.code, output.err);
	json = json_loadb(output.out, output.out_len, JSON_REJECT_DUPLICATES, &error);
	lt_require(json, "lifetrace %s: %s: %.2000s", command, error.text, output.out);
	if (pid)
		*pid = output.pid;
	output__free(&output);
	return json;
}

json_t *lt__status(struct lt *lt)
{
	return lt__json(lt, NULL, "status", NULL);
}

static const char *array_of(const char *command)
{
	return strcmp(command, "ps") ? command : "processes";
}

json_t *lt__row(struct lt *lt, const char *command, pid_t pid)
{
	json_t *json = lt__json(lt, NULL, command, "--kernel", NULL), *row, *found = NULL;
	size_t i;

	lt_require(json_is_array(json_at(json, array_of(command))), "no array %s in %s",
		   array_of(command), dump(json));
	json_array_foreach(json_at(json, array_of(command)), i, row)
		if (int_at(row, "pid") == pid && strcmp(str_at(row, "state"), "reaped"))
			found = json_incref(row);
	json_decref(json);
	return found;
}

static bool row_matches(struct lt *lt, const char *command, pid_t pid, const char *words,
			json_t **row)
{
	json_decref(*row);
	*row = lt__row(lt, command, pid);
	return *row && json_matches(*row, words);
}

json_t *lt__await_row(struct lt *lt, const char *command, pid_t pid, const char *words)
{
	json_t *row = NULL;

	lt_await(row_matches(lt, command, pid, words, &row), "%s: %d is not %s but %s", command,
		 pid, words, dump(row));
	return row;
}

void lt__require_no_zombie(struct lt *lt, pid_t pid)
{
	json_t *row;

	lt__fence(lt);
	row = lt__row(lt, "zombies", pid);
	lt_require(!row, "among the zombies: %s", dump(row));
}

char *lt__hook(struct lt *lt, const char *what)
{
	json_t *status = lt__status(lt);
	char *path = xprintf("hooks.%s", what), *hook = strdup(str_at(status, path));

	free(path);
	json_decref(status);
	return hook;
}

/* --- the tail --- */

static const char *pid_key(json_int_t pid, char key[16])
{
	snprintf(key, 16, "%d", (int)pid);
	return key;
}

void lt__watch(struct lt *lt, const char *id)
{
	char key[16];

	if (json_object_get(lt->by_id, id))
		return;
	json_object_set_new(lt->by_id, id, json_array());
	json_object_set_new(lt->by_pid, pid_key(strtol(id, NULL, 10), key), json_string(id));
}

/* What follows KEY, as it is at the beginning of a line of tail; NULL without. */
static const char *after_key(const char *line, const char *key)
{
	const char *value = strstr(line, key);

	return value ? value + strlen(key) + strspn(value + strlen(key), " ") : NULL;
}

/*
 * Others live on this host too, and in storms: theirs are not kept. A cheap
 * look first, so that we keep up with them; in doubt it says yes.
 */
static bool may_be_ours(struct lt *lt, const char *line)
{
	const char *id = after_key(line, "\"id\":"), *ppid = after_key(line, "\"ppid\":");
	char key[64];

	if (!id || *id != '"' || !ppid)
		return true;
	snprintf(key, sizeof(key), "%.*s", (int)strcspn(id + 1, "\""), id + 1);
	if (json_object_get(lt->by_id, key) || atoi(ppid) == getpid())
		return true;
	return json_object_get(lt->by_pid, pid_key(atoi(ppid), key));
}

static bool is_ours(struct lt *lt, const json_t *json, const char *id)
{
	json_int_t ppid = json_integer_value(json_object_get(json, "ppid"));
	char key[16];

	if (json_object_get(lt->by_id, id))
		return true;
	return !strcmp(str_at(json, "kind"), "fork") &&
	       (ppid == getpid() || json_object_get(lt->by_pid, pid_key(ppid, key)));
}

static void keep_event(struct lt *lt, json_t *json, const char *id, int64_t arrived_ns)
{
	lt__watch(lt, id);
	json_array_append_new(json_object_get(lt->by_id, id), json_integer(lt->n_events));
	if (!(lt->n_events & (lt->n_events - 1)))
		lt->events = xrealloc(lt->events, (lt->n_events * 2 + 1) * sizeof(*lt->events));
	lt->events[lt->n_events++] = (struct event){ json_incref(json), arrived_ns };
}

static void take_event(void *ctx, char *line, int64_t arrived_ns)
{
	struct lt *lt = ctx;
	json_error_t error;
	json_t *json;
	const char *id;

	if (lt->n_lines++ % 64 && !may_be_ours(lt, line))
		return;
	json = json_loads(line, JSON_REJECT_DUPLICATES, &error);
	lt_require(json_is_object(json), "tail: %s: %s", error.text, line);
	id = json_string_value(json_object_get(json, "id"));
	if (id && is_ours(lt, json, id))
		keep_event(lt, json, id, arrived_ns);
	json_decref(json);
}

size_t lt__events(const struct lt *lt, const struct event **events)
{
	*events = lt->events;
	return lt->n_events;
}

const struct event *lt__find(const struct lt *lt, const char *id, const char *kind, int n)
{
	json_t *index;
	size_t i;

	json_array_foreach(json_object_get(lt->by_id, id), i, index) {
		const struct event *event = &lt->events[json_integer_value(index)];

		if (!strcmp(str_at(event->json, "kind"), kind) && !n--)
			return event;
	}
	return NULL;
}

int lt__count(const struct lt *lt, const char *id, const char *kind)
{
	int n = 0;

	while (lt__find(lt, id, kind, n))
		n++;
	return n;
}

json_t *lt__await_event(struct lt *lt, const char *id, const char *kind, int n)
{
	lt_require(lt->tail_pid, "no tail");
	lt_await(lt__find(lt, id, kind, n), "no event %s number %d of %s", kind, n, id);
	return lt__find(lt, id, kind, n)->json;
}

/* The last one: an earlier life may have had the pid. */
static const char *born_as(const struct lt *lt, pid_t pid)
{
	char key[16];
	const char *id = json_string_value(json_object_get(lt->by_pid, pid_key(pid, key)));
	const struct event *fork = id ? lt__find(lt, id, "fork", 0) : NULL;

	return fork ? str_at(fork->json, "id") : NULL; /* stays, whoever gets the pid */
}

const char *lt__id(struct lt *lt, pid_t pid)
{
	lt_await(born_as(lt, pid), "no fork event of %d", pid);
	return born_as(lt, pid);
}

/* A process of ours that lives for a moment. */
static pid_t make_marker(void)
{
	pid_t pid = fork();
	int raw;

	cr_assert(pid >= 0, "fork: %s", strerror(errno));
	if (!pid)
		_exit(0);
	waitpid(pid, &raw, 0);
	return pid;
}

/*
 * Markers made one after the other until KIND is seen of one of them: events
 * may get lost, or be on their way for long.
 */
struct markers {
	pid_t pids[64];
	int n;
	int64_t next_ns; /* when to make the next one */
};

static bool marker_seen(struct lt *lt, struct markers *markers, const char *kind,
			int64_t interval_ns)
{
	lt_require(lt->tail.fd >= 0, "tail ended");
	for (int i = 0; i < markers->n; i++) {
		const char *id = born_as(lt, markers->pids[i]);

		if (id && lt__find(lt, id, kind, 0))
			return true;
	}
	if (boottime_ns() >= markers->next_ns && markers->n < 64) {
		markers->pids[markers->n++] = make_marker();
		markers->next_ns = boottime_ns() + interval_ns;
	}
	return false;
}

void lt__fence(struct lt *lt)
{
	struct markers markers = { 0 };

	if (!lt->tail_pid)
		lt__tail(lt);
	lt_await(marker_seen(lt, &markers, "reap", NSEC_PER_SEC), "no marker comes through");
}

/* KINDS NULL: all of all. */
static void start_tail(struct lt *lt, const char *kinds, const char *comm)
{
	char path[512];
	const char *argv[] = {
		bin_path("lifetrace", path, sizeof(path)),
		"tail",
		"--json",
		"--socket",
		lt->socket,
		kinds ? "--kind" : NULL,
		kinds,
		comm ? "--comm" : NULL,
		comm,
		NULL,
	};
	struct spawn spawn = { argv, { -1, -1, -1 }, SIGKILL };
	int log = open(lt->log, O_WRONLY | O_APPEND | O_CLOEXEC), fd[2];
	struct markers markers = { 0 };

	make_pipe(fd);
	spawn.fd[1] = fd[1];
	spawn.fd[2] = log;
	lt->tail_pid = spawn__go(&spawn);
	close(fd[1]);
	close(log);
	stream__init(&lt->tail, fd[0], take_event, lt);
	lt_await(marker_seen(lt, &markers, "fork", LT_DEADLINE_NS / 50), "tail shows nothing");
}

void lt__tail(struct lt *lt)
{
	start_tail(lt, NULL, NULL);
}

void lt__tail_kinds(struct lt *lt, const char *kinds)
{
	start_tail(lt, kinds, NULL);
}

void lt__tail_by_name(struct lt *lt, const char *comm)
{
	start_tail(lt,
		   "fork,fork-fail,exec,exit,zombie,flagged,reap,autoreap,orphan,stop,"
		   "continue,wait,leak-open,leak-close,lost",
		   comm);
}

/* --- the cast --- */

struct said {
	char *key, *value;
};

struct cast {
	char *name;
	pid_t pid;
	int in; /* its standard input; -1: closed */
	struct stream out;
	struct said *said;
	int n_said;
	int holds; /* how many holds were waited for */
	bool ended;
	int code;
	struct cast *next;
};

static void take_said(void *ctx, char *line, int64_t arrived_ns)
{
	struct cast *cast = ctx;
	char *equals = strchr(line, '=');

	(void)arrived_ns;
	if (!equals)
		return;
	cast->said = xrealloc(cast->said, (cast->n_said + 1) * sizeof(*cast->said));
	cast->said[cast->n_said++] = (struct said){
		strndup(line, equals - line),
		strdup(equals + 1),
	};
}

const char *cast__path(const char *member, char *path, size_t size)
{
	const char *dir = getenv("LIFETRACE_CAST_DIR");

	snprintf(path, size, "%s/%s", dir ? dir : LT_CAST_DIR, member);
	cr_assert(!access(path, X_OK), "%s: %s", path, strerror(errno));
	return path;
}

static char *join(const char *const argv[])
{
	char *all = strdup("");

	for (int i = 0; argv[i]; i++) {
		char *more = xprintf("%s%s%s", all, i ? " " : "", argv[i]);

		free(all);
		all = more;
	}
	return all;
}

struct cast *cast__startv(const char *const argv[])
{
	struct spawn spawn = { argv, { -1, -1, STDERR_FILENO }, SIGKILL };
	struct cast *cast = calloc(1, sizeof(*cast));
	int in[2], out[2];

	make_pipe(in);
	make_pipe(out);
	spawn.fd[0] = in[0];
	spawn.fd[1] = out[1];
	cast->name = join(argv);
	cast->in = in[1];
	stream__init(&cast->out, out[0], take_said, cast);
	cast->pid = spawn__go(&spawn);
	close(in[0]);
	close(out[1]);
	cast->next = casts;
	casts = cast;
	return cast;
}

struct cast *cast__start(const char *member, ...)
{
	const char *argv[ARGS_MAX];
	char path[512];
	va_list ap;
	int n = 0;

	argv[n++] = cast__path(member, path, sizeof(path));
	va_start(ap, member);
	n = add_words(argv, n, va_arg(ap, const char *), ap);
	va_end(ap);
	argv[n] = NULL;
	return cast__startv(argv);
}

pid_t cast__pid(const struct cast *cast)
{
	return cast->pid;
}

static const char *said_under(const struct cast *cast, const char *key, int n)
{
	for (int i = 0; i < cast->n_said; i++)
		if (!strcmp(cast->said[i].key, key) && !n--)
			return cast->said[i].value;
	return NULL;
}

const char *cast__str(struct cast *cast, const char *key, int n)
{
	lt_await(said_under(cast, key, n) || cast->out.fd < 0, "%s says no %s number %d",
		 cast->name, key, n);
	lt_require(said_under(cast, key, n), "%s ended without %s number %d", cast->name, key, n);
	return said_under(cast, key, n);
}

int64_t cast__int(struct cast *cast, const char *key, int n)
{
	return strtoll(cast__str(cast, key, n), NULL, 0);
}

int cast__count(const struct cast *cast, const char *key)
{
	int n = 0;

	while (said_under(cast, key, n))
		n++;
	return n;
}

int cast__find(const struct cast *cast, const char *key, int64_t value)
{
	const char *said;

	for (int n = 0; (said = said_under(cast, key, n)); n++)
		if (strtoll(said, NULL, 0) == value)
			return n;
	return -1;
}

void cast__hold(struct cast *cast, const char *name)
{
	const char *held = cast__str(cast, "hold", cast->holds++);

	lt_require(!strcmp(held, name), "%s holds at %s, not at %s", cast->name, held, name);
}

void cast__tell(struct cast *cast, const char *line)
{
	lt_require(dprintf(cast->in, "%s\n", line) > 0, "%s: %s", cast->name, strerror(errno));
}

void cast__go(struct cast *cast)
{
	cast__tell(cast, "");
}

static void await_end(struct cast *cast)
{
	if (cast->in >= 0)
		close(cast->in);
	cast->in = -1;
	lt_await(has_ended(cast->pid, &cast->code), "%s does not end", cast->name);
	cast->ended = true;
	lt__pump(0); /* its last words are in the pipe */
	lt__pump(0);
}

void cast__end(struct cast *cast)
{
	await_end(cast);
	lt_require(cast->code == 0, "%s ended with %d", cast->name, cast->code);
}

void cast__terminate(struct cast *cast)
{
	kill(cast->pid, SIGTERM);
	await_end(cast);
	lt_require(cast->code == 128 + SIGTERM, "%s ended with %d", cast->name, cast->code);
}

void cast__free(struct cast *cast)
{
	if (!cast->ended)
		cast__end(cast);
	for (struct cast **p = &casts; *p; p = &(*p)->next) {
		if (*p == cast) {
			*p = cast->next;
			break;
		}
	}
	stream__deinit(&cast->out);
	for (int i = 0; i < cast->n_said; i++) {
		free(cast->said[i].key);
		free(cast->said[i].value);
	}
	free(cast->said);
	free(cast->name);
	free(cast);
}

/* --- what a wait told, against what was shown --- */

/* The exit that the N-th wait told, as words for expect. */
static char *wait_words(struct cast *cast, int n)
{
	const char *status = cast__str(cast, "wait.status", n);
	const char *signal = cast__str(cast, "wait.signal", n);

	return xprintf("exit.how=%s exit.status=%s exit.signal=%s", cast__str(cast, "wait.how", n),
		       *status ? status : "null", *signal ? signal : "null");
}

/* Its exit, zombie and reap came, and are what the wait told. */
static void await_reaped(struct lt *lt, struct cast *cast, pid_t pid, int n)
{
	const char *id = lt__id(lt, pid);
	char *words = wait_words(cast, n);

	expect(lt__await_event(lt, id, "exit", 0), "%s", words);
	expect(lt__await_event(lt, id, "zombie", 0), "%s", words);
	expect(lt__await_event(lt, id, "reap", 0), "reaped_by=%s",
	       lt__id(lt, cast__int(cast, "wait.by", n)));
	free(words);
}

/* And each of them once. */
static void require_one_life(struct lt *lt, pid_t pid)
{
	static const char *const once[] = { "fork", "exit", "zombie", "reap" };
	const char *id = lt__id(lt, pid);

	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
		lt_require(lt__count(lt, id, once[i]) == 1, "%d %s events of %s",
			   lt__count(lt, id, once[i]), once[i], id);
	lt_require(lt__count(lt, id, "autoreap") == 0, "autoreap of %s, which was reaped", id);
}

void check_reaped(struct lt *lt, struct cast *cast, pid_t pid, int n)
{
	await_reaped(lt, cast, pid, n);
	lt__fence(lt);
	require_one_life(lt, pid);
}

/* The last wait that gave PID: it may have stopped and continued before. */
static int last_wait(struct cast *cast, pid_t pid)
{
	int last = -1;

	for (int n = 0; n < cast__count(cast, "wait.ret"); n++)
		if (cast__int(cast, "wait.ret", n) == pid)
			last = n;
	lt_require(last >= 0, "%s did not reap %d", cast->name, pid);
	return last;
}

void check_all_reaped(struct lt *lt, struct cast *cast)
{
	int n_children = cast__count(cast, "child");

	lt_require(n_children > 0, "%s had no child", cast->name);
	for (int i = 0; i < n_children; i++) {
		pid_t pid = cast__int(cast, "child", i);

		await_reaped(lt, cast, pid, last_wait(cast, pid));
	}
	lt__fence(lt);
	for (int i = 0; i < n_children; i++)
		require_one_life(lt, cast__int(cast, "child", i));
}

/* --- /proc --- */

bool proc__read(pid_t pid, struct proc *proc)
{
	char path[64], stat[1024];
	char *after;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	if (n <= 0)
		return false;
	stat[n] = '\0';
	after = strrchr(stat, ')'); /* a name may hold anything */
	proc->pid = pid;
	return after && sscanf(after + 2,
			       "%c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
			       "%*d %*d %*d %lu",
			       &proc->state, &proc->ppid, &proc->start_ticks) == 3;
}

static int by_pid(const void *a, const void *b)
{
	return ((const struct proc *)a)->pid - ((const struct proc *)b)->pid;
}

struct proc *proc__scan(size_t *n)
{
	DIR *dir = opendir("/proc");
	struct proc *procs = NULL;
	struct dirent *entry;

	*n = 0;
	if (!dir)
		return NULL;
	while ((entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		procs = xrealloc(procs, (*n + 1) * sizeof(*procs));
		*n += proc__read(atoi(entry->d_name), &procs[*n]);
	}
	closedir(dir);
	if (procs)
		qsort(procs, *n, sizeof(*procs), by_pid);
	return procs;
}

int64_t proc__births(void)
{
	FILE *f = fopen("/proc/stat", "re");
	char line[65536];
	long births = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "processes %ld", &births) == 1)
			break;
	if (f)
		fclose(f);
	return births;
}

uint64_t ns_to_ticks(uint64_t ns)
{
	return ns / (NSEC_PER_SEC / sysconf(_SC_CLK_TCK));
}

void check_id(const char *id, pid_t pid)
{
	struct proc proc;
	char *dash;
	long id_pid = strtol(id, &dash, 10);
	uint64_t start_ns;

	lt_require(*dash == '-', "id %s is not PID-START", id);
	start_ns = strtoull(dash + 1, NULL, 10);
	lt_require(proc__read(pid, &proc), "no process %d", pid);
	lt_require(id_pid == pid && ns_to_ticks(start_ns) == proc.start_ticks,
		   "id %s, but pid %d began at tick %lu", id, pid, proc.start_ticks);
}

/* --- kernel settings --- */

struct guard {
	int fd; /* its end restores the setting */
	pid_t pid;
};

static void read_setting(const char *path, char *value, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, value, size - 1);

	cr_assert(n > 0, "%s: %s", path, strerror(errno));
	value[n] = '\0';
	close(fd);
}

static bool write_setting(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, value, strlen(value)) > 0;

	if (fd >= 0)
		close(fd);
	return written;
}

/* In the process that restores it: waits for the end of the test, however it comes. */
static void await_test_end(int fd)
{
	char c;

	setsid();
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	dup2(fd, 3);
	syscall(SYS_close_range, 4, ~0U, 0);
	while (read(3, &c, 1) > 0)
		;
}

/* In the new process, whose pid is 0, it returns when the test has ended. */
static struct guard *start_guard(void)
{
	struct guard *guard = calloc(1, sizeof(*guard));
	int fd[2];

	make_pipe(fd);
	guard->fd = fd[1];
	guard->pid = fork();
	cr_assert(guard->pid >= 0, "fork: %s", strerror(errno));
	guards++;
	if (!guard->pid) {
		close(fd[1]);
		await_test_end(fd[0]);
		return guard;
	}
	close(fd[0]);
	return guard;
}

struct guard *guard__command(const char *const argv[])
{
	struct guard *guard = start_guard();

	if (!guard->pid) {
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	return guard;
}

struct guard *guard__set(const char *path, const char *value)
{
	struct guard *guard;
	char before[256];

	read_setting(path, before, sizeof(before));
	guard = start_guard();
	if (!guard->pid)
		_exit(write_setting(path, before) ? 0 : 1);
	if (!write_setting(path, value)) {
		guard__restore(guard);
		cr_skip_test("%s cannot be set to %s here", path, value);
	}
	return guard;
}

void guard__restore(struct guard *guard)
{
	int code;

	close(guard->fd);
	lt_await(has_ended(guard->pid, &code), "the guard does not end");
	guards--;
	lt_require(code == 0, "what the test changed could not be restored: %d", code);
	free(guard);
}

/* --- explanations --- */

static void explain_cast(const struct cast *cast)
{
	fprintf(stderr, "--- %s said (pid %d%s)\n", cast->name, cast->pid,
		cast->ended ? ", ended" : "");
	for (int i = 0; i < cast->n_said && i < 60; i++)
		fprintf(stderr, "%s=%s\n", cast->said[i].key, cast->said[i].value);
}

static void explain_events(const struct lt *lt)
{
	size_t from = lt->n_events > 60 ? lt->n_events - 60 : 0;

	fprintf(stderr, "--- the last events\n");
	for (size_t i = from; i < lt->n_events; i++) {
		char *text = dump(lt->events[i].json);

		fprintf(stderr, "%.500s\n", text);
		free(text);
	}
}

void lt__explain(void)
{
	int raw;

	for (struct cast *cast = casts; cast; cast = cast->next)
		explain_cast(cast);
	if (!current)
		return;
	explain_events(current);
	if (current->pid && waitpid(current->pid, &raw, WNOHANG) == current->pid)
		fprintf(stderr, "--- the daemon ended with %d\n", exit_code(raw));
	if (current->tail_pid && waitpid(current->tail_pid, &raw, WNOHANG) == current->tail_pid)
		fprintf(stderr, "--- tail ended with %d\n", exit_code(raw));
	print_file("the daemon's standard error", current->log);
	fflush(stderr);
}
