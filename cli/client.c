// SPDX-License-Identifier: GPL-2.0-only
/* Data from a daemon: HTTP over its unix socket, and a private daemon where none runs. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

#define ANSWER_TIMEOUT_S 10	  /* of a daemon that hangs, a monitoring check must be told */
#define RECEIVE_BYTES (256 << 10) /* at a time: a storm's lines come fast */
#define DEFAULT_SOCKET "/run/lifetrace/lifetraced.sock"

struct daemon_client {
	struct source source;
	char socket[108];
	char directory[64]; /* of a private daemon's socket; "" */
	pid_t daemon;	    /* the private one; 0 */
	bool revived;	    /* it is not the first, and was not waited for */
	int lifeline;
};

/* ---- one request ---- */

/*
 * An answer that streams hands over what comes; an error's body is kept to be
 * told. What fn returned is remembered: libcurl only knows that it ended.
 */
struct transfer {
	CURL *easy;
	const char *method; /* NULL: GET */
	int (*fn)(void *user, const void *bytes, size_t len);
	void *user;
	bool ended;	/* by fn */
	long timeout_s; /* 0: a stream, which may be silent for ever */
	char *body;
	size_t body_len;
};

static bool keep_body(struct transfer *transfer, const char *bytes, size_t len)
{
	char *bigger = realloc(transfer->body, transfer->body_len + len + 1);

	if (!bigger)
		return false;
	memcpy(bigger + transfer->body_len, bytes, len);
	transfer->body = bigger;
	transfer->body_len += len;
	bigger[transfer->body_len] = '\0';
	return true;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
	struct transfer *transfer = user;
	size_t len = size * count;
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200 || !transfer->fn)
		return keep_body(transfer, bytes, len) ? len : 0;
	transfer->ended = transfer->fn(transfer->user, bytes, len) != 0;
	return transfer->ended ? 0 : len;
}

static CURLM *multi;

static int perform(CURL *easy, CURLcode *result)
{
	CURLMsg *message;
	int running = 1, left;

	*result = CURLE_OK;
	while (running && !interrupted) {
		if (curl_multi_perform(multi, &running) ||
		    (running && curl_multi_poll(multi, NULL, 0, 1000, NULL)))
			return -1;
	}
	while ((message = curl_multi_info_read(multi, &left)))
		if (message->msg == CURLMSG_DONE && message->easy_handle == easy)
			*result = message->data.result;
	return 0;
}

/* A signal must end a wait for the next event at once. */
void wake_transfer(void);

void wake_transfer(void)
{
	if (multi)
		curl_multi_wakeup(multi);
}

static int tell_error(const struct transfer *transfer, long status)
{
	json_t *body = transfer->body ? json_loads(transfer->body, 0, NULL) : NULL;
	const char *words = json_string_value(json_object_get(body, "error"));

	complain("the daemon answers %ld: %s", status, words ? words : "no reason given");
	json_decref(body);
	return FAILED;
}

CURLM *client_transfers(void)
{
	if (!multi)
		multi = curl_multi_init();
	return multi;
}

const char *client_socket(const struct source *source)
{
	return ((const struct daemon_client *)source)->socket;
}

CURL *client_easy(const struct source *source)
{
	CURL *easy = curl_easy_init();

	if (!easy || !client_transfers())
		return NULL;
	curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, client_socket(source));
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L); /* SIGPIPE is ours */
	return easy;
}

void client_set_url(CURL *easy, const char *what, const char *query)
{
	char url[QUERY_SIZE + 128];

	snprintf(url, sizeof(url), "http://lifetraced/v1/%s%s%s", what, *query ? "?" : "", query);
	curl_easy_setopt(easy, CURLOPT_URL, url);
}

static int request(const struct daemon_client *client, const char *path, const char *query,
		   struct transfer *transfer)
{
	char error[CURL_ERROR_SIZE] = "";
	CURLcode result;
	long status = 0;

	transfer->easy = client_easy(&client->source);
	if (!transfer->easy) {
		complain("out of memory");
		return FAILED;
	}
	client_set_url(transfer->easy, path, query);
	curl_easy_setopt(transfer->easy, CURLOPT_CUSTOMREQUEST, transfer->method);
	/* without a byte for so long: a large answer may take its time */
	curl_easy_setopt(transfer->easy, CURLOPT_LOW_SPEED_LIMIT, transfer->timeout_s ? 1L : 0L);
	curl_easy_setopt(transfer->easy, CURLOPT_LOW_SPEED_TIME, transfer->timeout_s);
	curl_easy_setopt(transfer->easy, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(transfer->easy, CURLOPT_WRITEDATA, transfer);
	curl_multi_add_handle(multi, transfer->easy);
	if (perform(transfer->easy, &result))
		result = CURLE_READ_ERROR;
	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_multi_remove_handle(multi, transfer->easy);
	curl_easy_cleanup(transfer->easy);
	if (interrupted || transfer->ended)
		return DONE;
	if (status == 200 && result) {
		complain("the daemon ended the answer: it stopped, or this reader was too slow");
		return FAILED;
	}
	if (result) {
		complain("no daemon answers on %s: %s", client->socket,
			 *error ? error : curl_easy_strerror(result));
		return FAILED;
	}
	return status == 200 ? DONE : tell_error(transfer, status);
}

/* ---- the calls ---- */

static int client_get(struct source *source, const struct options *options, const char *what,
		      json_t **document)
{
	const struct daemon_client *client = (const struct daemon_client *)source;
	struct transfer transfer = { .timeout_s = ANSWER_TIMEOUT_S, .method = options->method };
	int status = request(client, what, options->query, &transfer);

	*document = NULL;
	if (!status && interrupted)
		status = FAILED;
	if (!status) {
		*document = json_loadb(transfer.body ? transfer.body : "", transfer.body_len,
				       JSON_ALLOW_NUL, NULL);
		if (!*document) {
			complain("the daemon's answer is no JSON");
			status = FAILED;
		}
	}
	free(transfer.body);
	return status;
}

int lines_split(void *user, const void *bytes, size_t len)
{
	struct lines *lines = user;
	char *bigger = realloc(lines->rest, lines->rest_len + len), *line, *end;
	size_t left;

	if (!bigger)
		return -1;
	memcpy(bigger + lines->rest_len, bytes, len);
	lines->rest = line = bigger;
	left = lines->rest_len + len;
	while ((end = memchr(line, '\n', left))) {
		if (lines->fn(lines->user, line, (size_t)(end + 1 - line)))
			return -1;
		left -= (size_t)(end + 1 - line);
		line = end + 1;
	}
	memmove(lines->rest, line, left);
	lines->rest_len = left;
	return lines->fn(lines->user, NULL, 0);
}

static int client_stream(struct source *source, const struct options *options,
			 int (*fn)(void *user, const char *line, size_t len), void *user)
{
	struct lines lines = { .fn = fn, .user = user };
	struct transfer transfer = { .fn = lines_split, .user = &lines };
	int status =
		request((const struct daemon_client *)source, "events", options->query, &transfer);

	free(lines.rest);
	free(transfer.body);
	return status;
}

static int client_record(struct source *source, const struct options *options,
			 int (*fn)(void *user, const void *bytes, size_t len), void *user)
{
	struct transfer transfer = { .fn = fn, .user = user };
	int status;

	(void)options;
	status = request((const struct daemon_client *)source, "record", "", &transfer);
	free(transfer.body);
	return status;
}

static void client_close(struct source *source)
{
	struct daemon_client *client = (struct daemon_client *)source;

	if (client->daemon) {
		close(client->lifeline);
		while (waitpid(client->daemon, NULL, 0) < 0 && errno == EINTR)
			;
		unlink(client->socket); /* killed, it could not */
		rmdir(client->directory);
	}
	free(client);
}

static const struct source_ops client_ops = { client_get, client_stream, client_record,
					      client_close };

/* ---- a private daemon ---- */

static bool answers(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	yes = fd >= 0 && !connect(fd, (const struct sockaddr *)&address, sizeof(address));
	if (fd >= 0)
		close(fd);
	return yes;
}

/* Beside this program, or where an installation puts it. */
static void find_daemon(char path[PATH_MAX])
{
	static const char *const places[] = { "/lifetraced", "/../sbin/lifetraced" };
	char self[PATH_MAX - 32], *slash;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	for (size_t i = 0; len > 0 && i < sizeof(places) / sizeof(places[0]); i++) {
		self[len] = '\0';
		slash = strrchr(self, '/');
		if (!slash)
			break;
		*slash = '\0';
		snprintf(path, PATH_MAX, "%s%s", self, places[i]);
		if (!access(path, X_OK))
			return;
		*slash = '/';
	}
	strcpy(path, "lifetraced");
}

/* In a process group of its own: an interrupt ends this program, and that ends it. */
static void become_daemon(const char *socket_path, int lifeline)
{
	char path[PATH_MAX], fd[16];

	setpgid(0, 0);
	find_daemon(path);
	fcntl(lifeline, F_SETFD, 0);
	snprintf(fd, sizeof(fd), "%d", lifeline);
	execlp(path, path, "--socket", socket_path, "--lifeline", fd, (char *)NULL);
	complain("cannot start %s: %s", path, strerror(errno));
	_exit(127);
}

static bool is_ready(int lifeline)
{
	char word[8];
	ssize_t got;

	while ((got = read(lifeline, word, sizeof(word))) < 0 && errno == EINTR && !interrupted)
		;
	return got > 0;
}

static int fork_private(struct daemon_client *client)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -1;
	client->daemon = fork();
	if (!client->daemon)
		become_daemon(client->socket, pair[1]);
	close(pair[1]);
	client->lifeline = pair[0];
	return client->daemon > 0 ? 0 : -1;
}

static int start_private(struct daemon_client *client)
{
	snprintf(client->directory, sizeof(client->directory), "/run/lifetrace-XXXXXX");
	if (!mkdtemp(client->directory)) {
		complain("cannot make %s: %s", client->directory, strerror(errno));
		return -1;
	}
	snprintf(client->socket, sizeof(client->socket), "%s/sock", client->directory);
	return !fork_private(client) && is_ready(client->lifeline) ? 0 : -1;
}

int client_revive(struct source *source)
{
	struct daemon_client *client = (struct daemon_client *)source;

	if (!client->daemon)
		return -1;
	if (waitpid(client->daemon, NULL, WNOHANG) != client->daemon)
		return client->revived ? 0 : -1;
	close(client->lifeline);
	client->daemon = 0;
	client->revived = true;
	/* where transfers look for it: one that ended by itself has removed both */
	unlink(client->socket);
	if (mkdir(client->directory, 0700) && errno != EEXIST)
		return -1;
	return fork_private(client) ? -1 : 1;
}

struct source *daemon_source(const struct options *options)
{
	struct daemon_client *client = calloc(1, sizeof(*client));
	const char *path = options->socket ? options->socket : DEFAULT_SOCKET;

	if (!client)
		return NULL;
	client->source.ops = &client_ops;
	if (strlen(path) >= sizeof(client->socket)) {
		complain("the socket's path is too long: '%.64s…'", path);
		free(client);
		return NULL;
	}
	strcpy(client->socket, path);
	if (answers(path))
		return &client->source;
	if (options->socket || options->check || geteuid()) {
		complain("no daemon answers on %s%s", path,
			 options->socket || options->check ?
				 "" :
				 "; root can do without, with one of its own");
		free(client);
		return NULL;
	}
	if (!start_private(client))
		return &client->source;
	client_close(&client->source);
	return NULL;
}
