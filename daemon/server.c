// SPDX-License-Identifier: GPL-2.0-only
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utlist.h>

#include "core/alerts.h"
#include "core/metrics.h"
#include "core/text.h"
#include "core/view.h"
#include "crash.h"
#include "pid_limits.h"
#include "proc.h"
#include "recording.h"

#define NSEC_PER_USEC 1000
#define USEC_PER_MSEC 1000
#define REQUEST_MEMORY_BYTES (32 << 10) /* request line and headers; more is refused with 431 */
#define STREAM_BLOCK_BYTES (256 << 10)
#define ACCEPTS_AT_ONCE 16
#define STEPS_AT_ONCE 16
#define ACCEPT_PAUSE_USEC 1000000 /* when no descriptor is free */

enum stream_kind { STREAM_EVENTS, STREAM_RECORDS };

/* A connection. It is asking from its beginning, and again after each answer. */
struct client {
	struct client *prev, *next;
	int fd; /* the library's */
	bool root;
	bool remote; /* by TCP: whoever it is, it gets what is for all */
	bool asking;
	uint64_t asking_since_usec; /* monotonic */
};

/* A client that gets what happens as it happens. */
struct stream {
	struct server *server;
	struct stream *prev, *next;
	struct MHD_Connection *connection;
	sd_event_source *hangup; /* while suspended, nobody else looks at its socket */
	int fd;			 /* a duplicate, for that */
	enum stream_kind kind;
	struct filter filter;
	struct viewer viewer;
	char *buffer;
	size_t begin, used, room;
	size_t spared; /* bytes of what was known at its beginning: not its fault */
	uint64_t lines;
	bool suspended;
	bool complete; /* has its --count */
	bool dropped;
};

struct server {
	struct MHD_Daemon *http;
	sd_event *event;
	sd_event_source *io, *timer, *soon;
	sd_event_source *listen, *listen_tcp, *accept_again, *deadline;
	struct server_context context;
	const struct settings *settings;
	struct client *asking;	  /* the longest first */
	uint64_t clients, others; /* others: those that are not root's */
	uint64_t remotes;	  /* of the others, those by TCP */
	struct stream *streams;
	uint64_t other_streams;
	gid_t group;
	bool has_group;
};

/* ---- running the library on our loop ---- */

static void run_soon(struct server *server)
{
	sd_event_source_set_enabled(server->soon, SD_EVENT_ONESHOT);
}

/* What is to run soon stays so: a stream can have been woken within the step that was just done. */
static void plan_timeout(struct server *server)
{
	MHD_UNSIGNED_LONG_LONG ms = 1;
	uint64_t now;

	if (MHD_get_timeout(server->http, &ms) != MHD_YES || !ms) {
		sd_event_source_set_enabled(server->timer, SD_EVENT_OFF);
		if (!ms)
			run_soon(server);
		return;
	}
	sd_event_now(server->event, CLOCK_MONOTONIC, &now);
	sd_event_source_set_time(server->timer, now + ms * USEC_PER_MSEC);
	sd_event_source_set_enabled(server->timer, SD_EVENT_ONESHOT);
}

/* A step of the library sends no more than a part of a block, and then wants another. */
static void run(struct server *server)
{
	MHD_UNSIGNED_LONG_LONG ms;
	int steps = 0;

	do
		MHD_run(server->http);
	while (++steps < STEPS_AT_ONCE && MHD_get_timeout(server->http, &ms) == MHD_YES && !ms);
	plan_timeout(server);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *user)
{
	(void)source;
	(void)fd;
	(void)events;
	run(user);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *user)
{
	(void)source;
	(void)usec;
	run(user);
	return 0;
}

static int on_soon(sd_event_source *source, void *user)
{
	(void)source;
	run(user);
	return 0;
}

/* ---- clients ---- */

/* The timeout is the same for all: the first is due first. */
static void plan_deadline(struct server *server)
{
	const struct client *first = server->asking;

	if (!first) {
		sd_event_source_set_enabled(server->deadline, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(server->deadline,
				 first->asking_since_usec +
					 server->settings->client_timeout_ns / NSEC_PER_USEC);
	sd_event_source_set_enabled(server->deadline, SD_EVENT_ONESHOT);
}

static void client_set_asking(struct server *server, struct client *client, bool asking)
{
	if (client->asking)
		DL_DELETE(server->asking, client);
	client->asking = asking;
	if (asking) {
		sd_event_now(server->event, CLOCK_MONOTONIC, &client->asking_since_usec);
		DL_APPEND(server->asking, client);
	}
	plan_deadline(server);
}

/* However busily it has sent: a request that is not whole by then never is. */
static int on_deadline(sd_event_source *source, uint64_t usec, void *user)
{
	struct server *server = user;
	uint64_t timeout_usec = server->settings->client_timeout_ns / NSEC_PER_USEC;
	struct client *client;

	(void)source;
	while ((client = server->asking) && client->asking_since_usec + timeout_usec <= usec) {
		client_set_asking(server, client, false);
		shutdown(client->fd, SHUT_RDWR); /* the library sees its end */
	}
	plan_deadline(server);
	return 0;
}

static struct client *client_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static struct ucred peer_of(int fd)
{
	struct ucred cred = { .uid = (uid_t)-1, .gid = (gid_t)-1 };
	socklen_t len = sizeof(cred);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	return cred;
}

static bool is_remote(int fd)
{
	int domain = AF_UNSPEC;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) || domain != AF_UNIX;
}

static void client_begin(struct server *server, struct MHD_Connection *connection, void **context)
{
	struct client *client = calloc(1, sizeof(*client));

	*context = client;
	if (!client)
		return; /* its first request is refused */
	client->fd =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	client->remote = is_remote(client->fd);
	client->root = !client->remote && !peer_of(client->fd).uid;
	server->clients++;
	server->remotes += client->remote;
	server->others += !client->root;
	client_set_asking(server, client, true);
}

static void listen_again(struct server *server)
{
	sd_event_source_set_enabled(server->listen, SD_EVENT_ON);
	if (server->listen_tcp)
		sd_event_source_set_enabled(server->listen_tcp, SD_EVENT_ON);
}

static void client_end(struct server *server, struct client *client)
{
	if (!client)
		return;
	client_set_asking(server, client, false);
	server->clients--;
	server->others -= !client->root;
	server->remotes -= client->remote;
	free(client);
	listen_again(server);
}

static void on_connection(void *user, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		client_begin(user, connection, context);
	else
		client_end(user, *context);
}

static void on_completed(void *user, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	struct client *client = client_of(connection);

	(void)state;
	(void)code;
	if (client)
		client_set_asking(user, client, true);
}

/* The last quarter of the places is root's: nobody locks the administrator out. */
static bool has_place_for(const struct server *server, bool root)
{
	uint64_t max = server->settings->client_max;

	return root || server->others < max - max / 4;
}

static void refuse(int fd)
{
	static const char words[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
				    "Content-Type: application/json\r\n\r\n"
				    "{\"error\":\"too many clients\"}\n";

	send(fd, words, sizeof(words) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

/* No descriptor is free: nobody is let in for a while. */
static void pause_accepting(struct server *server)
{
	uint64_t now_usec;

	sd_event_now(server->event, CLOCK_MONOTONIC, &now_usec);
	sd_event_source_set_time(server->accept_again, now_usec + ACCEPT_PAUSE_USEC);
	sd_event_source_set_enabled(server->accept_again, SD_EVENT_ONESHOT);
	sd_event_source_set_enabled(server->listen, SD_EVENT_OFF);
	if (server->listen_tcp)
		sd_event_source_set_enabled(server->listen_tcp, SD_EVENT_OFF);
}

static int accept_from(struct server *server, int listen_fd, struct sockaddr *address,
		       socklen_t *len)
{
	int fd = accept4(listen_fd, address, len, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		pause_accepting(server);
	return fd;
}

/* Whoever finds no place at all waits at the door: the kernel's queue. */
static int on_listen(sd_event_source *source, int listen_fd, uint32_t events, void *user)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct server *server = user;
	int fd;

	(void)events;
	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		if (server->clients >= server->settings->client_max) {
			sd_event_source_set_enabled(source, SD_EVENT_OFF);
			break;
		}
		fd = accept_from(server, listen_fd, NULL, NULL);
		if (fd < 0)
			break;
		if (has_place_for(server, !peer_of(fd).uid))
			MHD_add_connection(server->http, fd, (struct sockaddr *)&address,
					   sizeof(address)); /* closes it when it fails */
		else
			refuse(fd);
	}
	run(server);
	return 0;
}

/*
 * Remote ones have a quarter of the places, and wait at the door for one: from
 * there they take none from who asks on this host.
 */
static int on_listen_tcp(sd_event_source *source, int listen_fd, uint32_t events, void *user)
{
	struct sockaddr_storage address;
	struct server *server = user;
	socklen_t len;
	int fd;

	(void)events;
	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		if (server->remotes >= server->settings->client_max / 4 ||
		    !has_place_for(server, false)) {
			sd_event_source_set_enabled(source, SD_EVENT_OFF);
			break;
		}
		len = sizeof(address);
		fd = accept_from(server, listen_fd, (struct sockaddr *)&address, &len);
		if (fd < 0)
			break;
		MHD_add_connection(server->http, fd, (struct sockaddr *)&address, len);
	}
	run(server);
	return 0;
}

static int on_accept_again(sd_event_source *source, uint64_t usec, void *user)
{
	(void)source;
	(void)usec;
	listen_again(user);
	return 0;
}

/* ---- streams ---- */

static void stream_wake(struct stream *stream)
{
	if (!stream->suspended)
		return;
	stream->suspended = false;
	MHD_resume_connection(stream->connection);
	run_soon(stream->server);
}

static void stream_drop(struct stream *stream)
{
	stream->dropped = true;
	free(stream->buffer);
	stream->buffer = NULL;
	stream->begin = stream->used = stream->room = 0;
	shutdown(stream->fd, SHUT_RDWR); /* ends a write that its client never lets through */
	stream_wake(stream);
}

/* Root's streams have a buffer each; those of all others share one. */
static size_t limit_of(const struct stream *stream)
{
	const struct server *server = stream->server;
	size_t bytes = server->settings->stream_buffer_bytes;

	return (stream->viewer.uid ? bytes / server->other_streams : bytes) + stream->spared;
}

/* Appends, or drops a client that is too far behind. */
static void stream_put(struct stream *stream, const void *bytes, size_t len)
{
	size_t limit = limit_of(stream), room;
	char *bigger;

	if (stream->dropped)
		return;
	if (stream->used + len > stream->room && stream->begin > stream->used / 2) {
		memmove(stream->buffer, stream->buffer + stream->begin,
			stream->used - stream->begin);
		stream->used -= stream->begin;
		stream->begin = 0;
	}
	if (stream->used - stream->begin + len > limit) {
		stream_drop(stream);
		return;
	}
	if (stream->used + len > stream->room) {
		room = stream->room ? stream->room * 2 : 8192;
		while (room < stream->used + len)
			room *= 2;
		bigger = realloc(stream->buffer, room);
		if (!bigger) {
			stream_drop(stream);
			return;
		}
		stream->buffer = bigger;
		stream->room = room;
	}
	memcpy(stream->buffer + stream->used, bytes, len);
	stream->used += len;
	stream_wake(stream);
}

/* The library asks for more to send. */
static ssize_t stream_read(void *user, uint64_t pos, char *buf, size_t max)
{
	struct stream *stream = user;
	size_t len = stream->used - stream->begin;

	(void)pos;
	if (stream->dropped)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (len) {
		len = len < max ? len : max;
		memcpy(buf, stream->buffer + stream->begin, len);
		stream->begin += len;
		if (stream->begin == stream->used)
			stream->begin = stream->used = 0;
		return (ssize_t)len;
	}
	if (stream->complete)
		return MHD_CONTENT_READER_END_OF_STREAM;
	stream->suspended = true;
	MHD_suspend_connection(stream->connection);
	return 0;
}

/* The process whose every COW fault somebody streams; 0: none. */
static uint64_t raw_cow_of(const struct server *server)
{
	const struct stream *stream;

	DL_FOREACH(server->streams, stream)
		if (stream->filter.raw_cow)
			return stream->filter.raw_cow;
	return 0;
}

static void stream_free(void *user)
{
	struct stream *stream = user;
	struct server *server = stream->server;

	DL_DELETE(server->streams, stream);
	server->other_streams -= stream->viewer.uid != 0;
	if (stream->filter.raw_cow && !raw_cow_of(server))
		server->context.look_at_cow(server->context.user, 0);
	server->context.wishes_changed(server->context.user);
	sd_event_source_unref(stream->hangup);
	if (stream->fd >= 0)
		close(stream->fd);
	free(stream->buffer);
	free(stream);
}

static int on_hangup(sd_event_source *source, int fd, uint32_t events, void *user)
{
	(void)fd;
	(void)events;
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	stream_drop(user);
	return 0;
}

static int watch_hangup(struct stream *stream, int connection_fd)
{
	stream->fd = fcntl(connection_fd, F_DUPFD_CLOEXEC, 3);
	if (stream->fd < 0)
		return -errno;
	/* EPOLLHUP is always reported; nothing else is wanted */
	return sd_event_add_io(stream->server->event, &stream->hangup, stream->fd, 0, on_hangup,
			       stream);
}

struct server_wishes server_wishes(const struct server *server)
{
	struct server_wishes wishes = { 0 };
	const struct stream *stream;

	DL_FOREACH(server->streams, stream) {
		if (stream->kind == STREAM_RECORDS)
			wishes.records = true;
		else
			wishes.kinds |= stream->filter.kinds;
	}
	return wishes;
}

static bool sees_the_same(const struct viewer *a, const struct viewer *b)
{
	return a->all == b->all && a->own_only == b->own_only && (a->all || a->uid == b->uid);
}

static char *change_text(const struct core *core, const struct change *change,
			 const struct viewer *viewer, size_t *len)
{
	json_t *line = view_change(core, change, viewer);
	char *text = view_text(line, len);

	json_decref(line);
	return text;
}

void server_change(struct server *server, const struct change *change)
{
	const struct viewer *made_for = NULL; /* those who see the same share the text */
	struct stream *stream;
	char *text = NULL;
	size_t len = 0;

	DL_FOREACH(server->streams, stream) {
		if (stream->kind != STREAM_EVENTS || stream->complete || stream->dropped ||
		    !filter_change(&stream->filter, change) || !view_shows(change, &stream->viewer))
			continue;
		if (!made_for || !sees_the_same(made_for, &stream->viewer)) {
			free(text);
			text = change_text(server->context.core, change, &stream->viewer, &len);
			made_for = &stream->viewer;
		}
		stream->complete = ++stream->lines == stream->filter.count;
		if (text)
			stream_put(stream, text, len);
		else
			stream_drop(stream);
	}
	free(text);
}

void server_record(struct server *server, const void *record, size_t len)
{
	struct stream *stream;

	DL_FOREACH(server->streams, stream)
		if (stream->kind == STREAM_RECORDS)
			stream_put(stream, record, len);
}

/* ---- answers ---- */

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status, char *text,
				   size_t len, const char *type)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

/* Takes the reference. */
static enum MHD_Result answer_json(struct MHD_Connection *connection, unsigned status, json_t *json)
{
	size_t len = 0;
	char *text = view_text(json, &len);

	json_decref(json);
	return text ? answer_text(connection, status, text, len, "application/json") : MHD_NO;
}

static enum MHD_Result answer_error(struct MHD_Connection *connection, unsigned status,
				    const char *words)
{
	return answer_json(connection, status,
			   json_pack("{s:o}", "error", text_json(words, strlen(words))));
}

struct request {
	struct server *server;
	struct MHD_Connection *connection;
	struct filter filter;
	struct viewer viewer;
	enum view_kind view;
	const char *method;
	char error[256];
};

/* What the daemon itself costs, and could not tell: not the core's to know. */
static json_t *view_self(const struct server *server)
{
	unsigned long size, resident = 0;
	struct rusage usage = { 0 };
	FILE *file = fopen("/proc/self/statm", "re");

	if (file && fscanf(file, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	if (file)
		fclose(file);
	getrusage(RUSAGE_SELF, &usage);
	return json_pack("{s:I,s:I,s:I,s:I}", "pid", (json_int_t)getpid(), "cpu_ns",
			 (json_int_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
				 (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000,
			 "resident_bytes", (json_int_t)resident * sysconf(_SC_PAGESIZE),
			 "journal_dropped",
			 (json_int_t)server->context.journal_dropped(server->context.user));
}

/* Those that choose hooks: why a better one is not in use can be one of them. */
static json_t *view_settings(const struct settings *settings)
{
	static const char *const names[] = { "best_hook", "syscall_hooks", "cow" };
	json_t *object = json_object();
	char value[SETTING_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		settings_value(settings, names[i], value, sizeof(value));
		json_object_set_new(object, names[i], json_string(value));
	}
	return object;
}

static json_t *get_status(const struct request *request)
{
	const struct core *core = request->server->context.core;
	json_t *status = view_status(core, core_now_ns(core));
	uint64_t left = limits_left_on_host();

	json_object_set_new(status, "pids_left",
			    left < INT64_MAX ? json_integer((json_int_t)left) : json_null());
	json_object_set_new(status, "self", view_self(request->server));
	json_object_set_new(status, "settings", view_settings(request->server->settings));
	return status;
}

/* ---- answers of very many rows ---- */

#define MANY_ROWS 1000	       /* some 20 ms */
#define PAGE_BYTES (128 << 10) /* made at a time: some three milliseconds */

static ssize_t pages_read(void *user, uint64_t pos, char *buf, size_t max)
{
	int64_t len = view_pages_read(user, buf, max);

	(void)pos;
	return len > 0	? (ssize_t)len :
	       len == 0 ? MHD_CONTENT_READER_END_OF_STREAM :
			  MHD_CONTENT_READER_END_WITH_ERROR;
}

static void pages_free(void *user)
{
	view_pages_free(user);
}

static bool is_large(const struct request *request)
{
	return request->view & VIEW_ROWS &&
	       (!request->filter.limit || request->filter.limit > MANY_ROWS) &&
	       core_life_count(request->server->context.core) > MANY_ROWS;
}

/* In pieces, between which the daemon does all else that it has to. */
static enum MHD_Result answer_pages(struct request *request)
{
	const struct core *core = request->server->context.core;
	struct view_pages *pages = view_pages_new(request->view, core, core_now_ns(core),
						  &request->filter, &request->viewer);
	struct MHD_Response *response;
	enum MHD_Result result;

	if (!pages)
		return MHD_NO;
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PAGE_BYTES, pages_read,
						     pages, pages_free);
	if (!response) {
		view_pages_free(pages);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	result = MHD_queue_response(request->connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}

static json_t *get_zombies(const struct request *request)
{
	const struct core *core = request->server->context.core;

	return view_zombies(core, core_now_ns(core), &request->filter, &request->viewer);
}

static json_t *get_processes(const struct request *request)
{
	const struct core *core = request->server->context.core;

	return view_processes(core, core_now_ns(core), &request->filter, &request->viewer);
}

static json_t *get_births(const struct request *request)
{
	const struct core *core = request->server->context.core;

	return view_births(core, core_now_ns(core), &request->filter, &request->viewer);
}

static json_t *get_cow(const struct request *request)
{
	const struct core *core = request->server->context.core;

	return view_cow(core, core_now_ns(core), &request->filter, &request->viewer);
}

static json_t *get_leaks(const struct request *request)
{
	const struct core *core = request->server->context.core;

	return view_leaks(core, core_now_ns(core), &request->filter, &request->viewer);
}

static json_t *get_alerts(const struct request *request)
{
	const struct core *core = request->server->context.core;

	return view_alerts(core, core_now_ns(core), &request->viewer);
}

static enum MHD_Result start_stream(struct request *request, enum stream_kind kind)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct stream *stream = calloc(1, sizeof(*stream));
	struct MHD_Response *response;
	enum MHD_Result result;

	if (!stream)
		return MHD_NO;
	*stream = (struct stream){ .server = request->server,
				   .connection = request->connection,
				   .kind = kind,
				   .filter = request->filter,
				   .viewer = request->viewer };
	DL_APPEND(request->server->streams, stream);
	request->server->other_streams += stream->viewer.uid != 0;
	if (watch_hangup(stream, info->connect_fd) < 0) {
		stream_free(stream);
		return MHD_NO;
	}
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES,
						     stream_read, stream, stream_free);
	if (!response) {
		stream_free(stream);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				kind == STREAM_EVENTS ? "application/x-ndjson" :
							"application/octet-stream");
	result = MHD_queue_response(request->connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	request->server->context.wishes_changed(request->server->context.user);
	return result;
}

/* NULL, or why not: one process at a time, and it must be there. */
static const char *look_at_cow(const struct request *request)
{
	const struct server_context *context = &request->server->context;
	uint64_t pid = request->filter.raw_cow, other = raw_cow_of(request->server);

	if (other && other != pid)
		return "the COW faults of another process are being streamed";
	if (!core_lives(context->core, pid))
		return "raw-cow: no such process";
	if (context->look_at_cow(context->user, (uint32_t)pid))
		return "copy-on-write is not observed";
	return NULL;
}

static enum MHD_Result stream_events(struct request *request)
{
	const char *why;

	if (request->filter.raw_cow && request->viewer.uid)
		return answer_error(request->connection, MHD_HTTP_FORBIDDEN,
				    "addresses tell where a program's memory lies: only root may");
	why = request->filter.raw_cow ? look_at_cow(request) : NULL;
	if (why)
		return answer_error(request->connection, MHD_HTTP_NOT_FOUND, why);
	return start_stream(request, STREAM_EVENTS);
}

static void put_dumped(void *user, const struct lt_hdr *record)
{
	struct stream *stream = user;

	stream->spared += record->size;
	stream_put(stream, record, record->size);
}

/* What is known now, then all that is folded from here on. */
static enum MHD_Result stream_records(struct request *request)
{
	struct recording_header header = recording_header();
	struct server *server = request->server;
	enum MHD_Result result;
	struct stream *stream;

	if (request->viewer.uid)
		return answer_error(request->connection, MHD_HTTP_FORBIDDEN,
				    "a recording holds everybody's arguments: only root may");
	result = start_stream(request, STREAM_RECORDS);
	if (result != MHD_YES)
		return result;
	stream = server->streams->prev; /* the newest */
	stream_put(stream, &header, sizeof(header));
	core_dump(server->context.core, put_dumped, stream);
	return result;
}

/* The number of a thread is no process's; of whose processes one may know, it is told. */
static void say_unknown(const struct request *request, uint64_t pid, char *words, size_t size)
{
	const struct core *core = request->server->context.core;
	uint64_t process = proc_process_of(pid);
	json_t *its = process && process != pid ?
			      view_why(core, core_now_ns(core), process, &request->viewer) :
			      NULL;

	if (its)
		snprintf(words, size, "%" PRIu64 " is a thread of process %" PRIu64, pid, process);
	else
		snprintf(words, size, "nothing is known of a process with pid %" PRIu64, pid);
	json_decref(its);
}

static enum MHD_Result answer_why(struct request *request)
{
	const struct server_context *context = &request->server->context;
	uint64_t pid = request->filter.pid;
	char words[80];
	json_t *why;

	if (!request->filter.has_pid)
		return answer_error(request->connection, MHD_HTTP_BAD_REQUEST, "no pid given");
	context->ask_why(context->user, pid);
	why = view_why(context->core, core_now_ns(context->core), pid, &request->viewer);
	if (why)
		return answer_json(request->connection, MHD_HTTP_OK, why);
	say_unknown(request, pid, words, sizeof(words));
	return answer_error(request->connection, MHD_HTTP_NOT_FOUND, words);
}

static const char *why_not_silenced(int err)
{
	switch (err) {
	case -ESRCH:
		return "no process lives under that pid";
	case -ENOENT:
		return "no such silence";
	case -ENOSPC:
		return "there are too many silences";
	default:
		return "not the name of a unit or process, nor a pid";
	}
}

/* Who sees everybody's arguments may also say what nobody is to be told. */
static enum MHD_Result change_silences(struct request *request)
{
	const struct server_context *context = &request->server->context;
	const struct filter *filter = &request->filter;
	bool ends = !strcmp(request->method, MHD_HTTP_METHOD_DELETE), kept = true;
	json_t *document;
	int err;

	if (!request->viewer.all)
		return answer_error(request->connection, MHD_HTTP_FORBIDDEN,
				    "only root and the group of lifetraced may silence");
	if (!*filter->what || ends != !filter->for_ns)
		return answer_error(request->connection, MHD_HTTP_BAD_REQUEST,
				    ends ? "what is to be heard again?" :
					   "whom to silence, and for how long?");
	err = context->silence(context->user, filter->what, filter->for_ns, &kept);
	if (err)
		return answer_error(request->connection, MHD_HTTP_NOT_FOUND, why_not_silenced(err));
	document = view_silences(context->core, core_now_ns(context->core), &request->viewer);
	json_object_set_new(document, "kept", json_boolean(kept));
	return answer_json(request->connection, MHD_HTTP_OK, document);
}

static enum MHD_Result answer_silences(struct request *request)
{
	const struct core *core = request->server->context.core;

	if (strcmp(request->method, MHD_HTTP_METHOD_GET))
		return change_silences(request);
	return answer_json(request->connection, MHD_HTTP_OK,
			   view_silences(core, core_now_ns(core), &request->viewer));
}

static enum MHD_Result answer_stacks(struct request *request)
{
	const struct server_context *context = &request->server->context;
	int err;

	if (request->viewer.uid)
		return answer_error(request->connection, MHD_HTTP_FORBIDDEN,
				    "a stack holds what a program works on: only root may");
	err = context->want_stacks(context->user, request->filter.pid);
	if (err)
		return answer_error(request->connection, MHD_HTTP_NOT_FOUND,
				    err == -ESRCH      ? "no process lives under that pid" :
				    err == -EOPNOTSUPP ? "stacks are not taken: stacks = off" :
							 "stacks cannot be taken on this kernel");
	return answer_json(request->connection, MHD_HTTP_OK,
			   view_stacks(context->core, core_now_ns(context->core),
				       &request->filter));
}

static enum MHD_Result answer_health(struct request *request)
{
	return answer_text(request->connection, MHD_HTTP_OK, strdup("ok\n"), 3, "text/plain");
}

static enum MHD_Result answer_metrics(struct request *request)
{
	enum metrics_format format = metrics_format_for(MHD_lookup_connection_value(
		request->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT));
	size_t len;
	char *text;

	if (request->viewer.own_only)
		return answer_error(request->connection, MHD_HTTP_FORBIDDEN,
				    "metrics name others' processes, which /proc hides here");
	request->server->context.refresh_counts(request->server->context.user);
	text = metrics_text(request->server->context.core, format, &len);
	return text ? answer_text(request->connection, MHD_HTTP_OK, text, len,
				  metrics_content_type(format)) :
		      MHD_NO;
}

static const struct route {
	const char *path;
	enum view_kind view; /* whose parameters it takes */
	json_t *(*get)(const struct request *request);
	enum MHD_Result (*answer)(struct request *request);
	bool fresh;   /* what it says must be of this moment */
	bool remote;  /* also by TCP */
	bool changes; /* also by POST and DELETE */
} routes[] = {
	{ "/v1/status", 0, get_status, NULL, true, false, false },
	{ "/v1/zombies", VIEW_ZOMBIES, get_zombies, NULL, true, false, false },
	{ "/v1/processes", VIEW_PROCESSES, get_processes, NULL, true, false, false },
	{ "/v1/births", VIEW_BIRTHS, get_births, NULL, true, false, false },
	{ "/v1/cow", VIEW_COW, get_cow, NULL, true, false, false },
	{ "/v1/leaks", VIEW_LEAKS, get_leaks, NULL, true, false, false },
	{ "/v1/why", VIEW_WHY, NULL, answer_why, true, false, false },
	{ "/v1/alerts", 0, get_alerts, NULL, true, false, false },
	{ "/v1/stacks", VIEW_STACKS, NULL, answer_stacks, true, false, false },
	{ "/v1/silences", VIEW_SILENCES, NULL, answer_silences, true, false, true },
	{ "/v1/events", VIEW_EVENTS, NULL, stream_events, false, false, false },
	{ "/v1/record", 0, NULL, stream_records, true, false, false },
	{ "/metrics", 0, NULL, answer_metrics, false, true, false },
	{ "/healthz", 0, NULL, answer_health, false, true, false },
};

/* ---- requests ---- */

static bool in_peer_groups(int fd, gid_t group)
{
	gid_t groups[1024];
	socklen_t len = sizeof(groups);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return false;
	for (size_t i = 0; i < len / sizeof(gid_t); i++)
		if (groups[i] == group)
			return true;
	return false;
}

static bool is_in_group(int fd, const struct ucred *cred, gid_t group)
{
	return cred->gid == group || in_peer_groups(fd, group);
}

/* By TCP there is only what is no process's own: who opened that port has decided. */
static struct viewer who_asks(const struct server *server, const struct client *client)
{
	struct ucred cred = peer_of(client->fd);
	struct viewer viewer = { .uid = cred.uid };
	struct proc_hiding hiding;

	viewer.all = !cred.uid ||
		     (server->has_group && is_in_group(client->fd, &cred, server->group));
	if (viewer.all || client->remote)
		return viewer;
	hiding = proc_hiding();
	viewer.own_only = hiding.hides &&
			  !(hiding.spares_group && is_in_group(client->fd, &cred, hiding.group));
	return viewer;
}

static enum MHD_Result on_parameter(void *user, enum MHD_ValueKind kind, const char *name,
				    const char *value)
{
	struct request *request = user;
	int err = filter_set(&request->filter, request->view, name, value);

	(void)kind;
	if (!err)
		return MHD_YES;
	snprintf(request->error, sizeof(request->error), "%s '%.64s'",
		 err == -ENOENT ? "unknown parameter" : "malformed value of", name);
	return MHD_NO;
}

static const struct route *find_route(const char *path)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		if (!strcmp(routes[i].path, path))
			return &routes[i];
	return NULL;
}

static bool may_use(const struct route *route, const char *method)
{
	return !strcmp(method, MHD_HTTP_METHOD_GET) ||
	       (route->changes &&
		(!strcmp(method, MHD_HTTP_METHOD_POST) || !strcmp(method, MHD_HTTP_METHOD_DELETE)));
}

static enum MHD_Result answer(struct server *server, struct MHD_Connection *connection,
			      const char *path, const char *method)
{
	const struct route *route = find_route(path);
	struct request request = { .server = server, .connection = connection };
	struct client *client = client_of(connection);

	if (!client)
		return MHD_NO;
	client_set_asking(server, client, false);
	crash_doing.request = route ? route->path : "an unknown path";
	if (!route || (client->remote && !route->remote))
		return answer_error(connection, MHD_HTTP_NOT_FOUND, "no such resource");
	if (!may_use(route, method))
		return answer_error(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
				    route->changes ? "only GET, POST and DELETE" : "only GET");
	request.method = method;
	request.viewer = who_asks(server, client);
	request.view = route->view;
	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, on_parameter, &request);
	if (*request.error)
		return answer_error(connection, MHD_HTTP_BAD_REQUEST, request.error);
	if (route->fresh)
		server->context.refresh(server->context.user);
	if (route->answer)
		return route->answer(&request);
	if (is_large(&request))
		return answer_pages(&request);
	return answer_json(connection, MHD_HTTP_OK, route->get(&request));
}

/* Called when the headers are in, and again for a body, which nothing here wants. */
static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *path,
				  const char *method, const char *version, const char *data,
				  size_t *data_size, void **state)
{
	static char seen;
	enum MHD_Result result;

	(void)version;
	(void)data;
	if (!*state) {
		*state = &seen;
		return MHD_YES;
	}
	if (*data_size) {
		*data_size = 0;
		return MHD_YES;
	}
	result = answer(user, connection, path, method);
	crash_doing.request = NULL;
	return result;
}

/* ---- opening and closing ---- */

static void ignore_log(void *user, const char *format, va_list args)
{
	(void)user;
	(void)format;
	(void)args;
}

static int start_http(struct server *server)
{
	const struct settings *settings = server->settings;
	unsigned timeout_s = (unsigned)(settings->client_timeout_ns / 1000000000);

	server->http = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
			MHD_USE_ERROR_LOG,
		0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, ignore_log, NULL,
		MHD_OPTION_CONNECTION_TIMEOUT, timeout_s, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)settings->client_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)REQUEST_MEMORY_BYTES, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_END);
	return server->http ? 0 : -EIO;
}

static int add_timer(struct server *server, sd_event_source **source,
		     sd_event_time_handler_t handler)
{
	int err = sd_event_add_time(server->event, source, CLOCK_MONOTONIC, 0, 10 * USEC_PER_MSEC,
				    handler, server);

	return err < 0 ? err : sd_event_source_set_enabled(*source, SD_EVENT_OFF);
}

static int join_loop(struct server *server, int listen_fd, int metrics_fd)
{
	int fd = MHD_get_daemon_info(server->http, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	int err = sd_event_add_io(server->event, &server->io, fd, EPOLLIN, on_io, server);

	if (err >= 0)
		err = sd_event_add_io(server->event, &server->listen, listen_fd, EPOLLIN, on_listen,
				      server);
	if (err >= 0 && metrics_fd >= 0)
		err = sd_event_add_io(server->event, &server->listen_tcp, metrics_fd, EPOLLIN,
				      on_listen_tcp, server);
	if (err >= 0)
		err = add_timer(server, &server->timer, on_timer);
	if (err >= 0)
		err = add_timer(server, &server->accept_again, on_accept_again);
	if (err >= 0)
		err = add_timer(server, &server->deadline, on_deadline);
	if (err >= 0)
		err = sd_event_add_defer(server->event, &server->soon, on_soon, server);
	if (err >= 0)
		run(server);
	return err;
}

int server_new(struct server **server, sd_event *event, int listen_fd, int metrics_fd,
	       const struct settings *settings, const struct server_context *context)
{
	struct server *s = calloc(1, sizeof(*s));
	struct group *group;
	int err;

	if (!s)
		return -ENOMEM;
	s->event = event;
	s->settings = settings;
	s->context = *context;
	group = *settings->group ? getgrnam(settings->group) : NULL;
	if (group) {
		s->group = group->gr_gid;
		s->has_group = true;
	}
	err = start_http(s);
	if (err >= 0)
		err = join_loop(s, listen_fd, metrics_fd);
	if (err < 0) {
		server_free(s);
		return err;
	}
	*server = s;
	return 0;
}

void server_free(struct server *server)
{
	struct stream *stream, *next;

	if (!server)
		return;
	if (server->http) {
		DL_FOREACH_SAFE(server->streams, stream, next)
			stream_drop(stream); /* the library cannot stop with suspended ones */
		MHD_run(server->http);
		MHD_stop_daemon(server->http);
	}
	sd_event_source_unref(server->io);
	sd_event_source_unref(server->timer);
	sd_event_source_unref(server->soon);
	sd_event_source_unref(server->listen);
	sd_event_source_unref(server->listen_tcp);
	sd_event_source_unref(server->accept_again);
	sd_event_source_unref(server->deadline);
	free(server);
}
