// SPDX-License-Identifier: GPL-2.0-only
#include "ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS_MAX 16
#define HTTP_TIMEOUT_S 30

struct text {
	char *bytes;
	size_t len;
};

static struct ask_paths to;

static struct {
	pid_t pid;
	int fd;
	struct text unread; /* the beginning of a line whose end has not come */
	json_t *events;
	int bad_lines;
} tail = { .fd = -1 };

void ask_init(struct ask_paths paths)
{
	to = paths;
}

long long ask_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

json_t *ask_at(json_t *object, const char *path)
{
	char word[64];

	while (object && *path) {
		size_t len = strcspn(path, ".");

		snprintf(word, sizeof(word), "%.*s", (int)len, path);
		object = json_object_get(object, word);
		path += len + (path[len] == '.');
	}
	return object ? object : json_null();
}

/* Appends what one read gives; its return value. */
static ssize_t text_read(struct text *text, int fd)
{
	const size_t room = 65536;
	char *bytes = realloc(text->bytes, text->len + room + 1);
	ssize_t n;

	if (!bytes)
		abort();
	text->bytes = bytes;
	n = read(fd, bytes + text->len, room);
	if (n > 0)
		text->len += (size_t)n;
	bytes[text->len] = '\0';
	return n;
}

static void text_read_all(struct text *text, int fd)
{
	ssize_t n;

	do
		n = text_read(text, fd);
	while (n > 0 || (n < 0 && errno == EINTR));
}

/* Starts the command with its standard output in *fd; its pid or a negative errno. */
static pid_t command_start(const char *const words[], int *fd)
{
	const char *argv[WORDS_MAX + 5] = { to.command };
	int argc = 1;
	int ends[2];
	pid_t pid;

	while (words[argc - 1] && argc <= WORDS_MAX) {
		argv[argc] = words[argc - 1];
		argc++;
	}
	argv[argc++] = "--json";
	argv[argc++] = "--socket";
	argv[argc++] = to.socket;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execv(to.command, (char *const *)argv);
		_exit(127);
	}
	close(ends[1]);
	*fd = ends[0];
	return pid;
}

json_t *ask_command(const char *const words[], pid_t *pid_out)
{
	struct text text = {};
	json_t *document = NULL;
	int status = -1;
	int fd = -1;
	pid_t pid = command_start(words, &fd);

	if (pid < 0)
		return NULL;
	if (pid_out)
		*pid_out = pid;
	text_read_all(&text, fd);
	close(fd);
	if (waitpid(pid, &status, 0) == pid && status == 0)
		document = json_loadb(text.bytes, text.len, 0, NULL);
	free(text.bytes);
	return document;
}

static int http_connect(void)
{
	const struct timeval limit = { .tv_sec = HTTP_TIMEOUT_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", to.socket);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -ECONNREFUSED;
}

/* HTTP/1.0, so that the answer is not chunked and ends with the connection. */
json_t *ask_http(const char *path)
{
	struct text answer = {};
	json_t *document = NULL;
	const char *body;
	int fd = http_connect();

	if (fd < 0)
		return NULL;
	if (dprintf(fd, "GET %s HTTP/1.0\r\n\r\n", path) > 0)
		text_read_all(&answer, fd);
	close(fd);
	body = answer.bytes ? strstr(answer.bytes, "\r\n\r\n") : NULL;
	if (body)
		document = json_loads(body + 4, 0, NULL);
	free(answer.bytes);
	return document;
}

int ask_tail_start(void)
{
	static const char *const words[] = { "tail", NULL };

	tail.pid = command_start(words, &tail.fd);
	if (tail.pid < 0)
		return (int)tail.pid;
	tail.events = json_array();
	return 0;
}

void ask_tail_stop(void)
{
	if (tail.fd < 0)
		return;
	kill(tail.pid, SIGTERM);
	waitpid(tail.pid, NULL, 0);
	close(tail.fd);
	tail.fd = -1;
	free(tail.unread.bytes);
	tail.unread = (struct text){};
	json_decref(tail.events);
}

static void tail_take_lines(void)
{
	char *line = tail.unread.bytes;
	char *end;

	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		if (json_array_append_new(tail.events, json_loads(line, 0, NULL)) < 0)
			tail.bad_lines++;
		line = end + 1;
	}
	tail.unread.len -= (size_t)(line - tail.unread.bytes);
	memmove(tail.unread.bytes, line, tail.unread.len + 1);
}

/* Takes what has come, after at most timeout_ms; false when the stream has ended. */
static bool tail_read(int timeout_ms)
{
	struct pollfd pfd = { .fd = tail.fd, .events = POLLIN };

	while (poll(&pfd, 1, timeout_ms) > 0) {
		if (text_read(&tail.unread, tail.fd) <= 0)
			return false;
		tail_take_lines();
		timeout_ms = 0;
	}
	return true;
}

static bool is_event(json_t *event, const char *kind, pid_t pid)
{
	const char *its_kind = json_string_value(json_object_get(event, "kind"));

	return its_kind && !strcmp(its_kind, kind) &&
	       json_integer_value(json_object_get(event, "pid")) == pid;
}

/* A pid is met again only after pid_max others: the tests are far fewer. */
static json_t *tail_first(const char *kind, pid_t pid)
{
	json_t *event;
	size_t i;

	json_array_foreach(tail.events, i, event) {
		if (is_event(event, kind, pid))
			return event;
	}
	return NULL;
}

int ask_tail_count(const char *kind, pid_t pid)
{
	json_t *event;
	size_t i;
	int n = 0;

	tail_read(0);
	json_array_foreach(tail.events, i, event) {
		n += is_event(event, kind, pid);
	}
	return n;
}

json_t *ask_tail_wait(const char *kind, pid_t pid, int timeout_ms)
{
	const long long end_ms = ask_now_ms() + timeout_ms;
	bool go_on = tail_read(0);
	json_t *event;

	while (!(event = tail_first(kind, pid)) && go_on) {
		long long left_ms = end_ms - ask_now_ms();

		go_on = left_ms > 0 && tail_read((int)left_ms);
	}
	return event;
}

int ask_tail_bad_lines(void)
{
	return tail.bad_lines;
}
