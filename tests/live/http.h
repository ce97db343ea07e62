/*
 * http.h - bytes on the daemon's socket, as good and bad clients send them.
 *
 * A client is a plain descriptor that its test closes.
 */
#ifndef LT_HTTP_H
#define LT_HTTP_H

#include "run.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A connection, or -1 with errno. */
static inline int try_connect(const struct lt *lt, int flags)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), err;

	cr_assert(fd >= 0, "socket: %s", strerror(errno));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", lt__socket(lt));
	if (!connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

static inline int http_connect(const struct lt *lt)
{
	int fd = try_connect(lt, 0);

	lt_require(fd >= 0, "connect: %s", strerror(errno));
	return fd;
}

/* False when the other side has closed, or takes nothing more for two seconds. */
static inline bool http_send(int fd, const void *bytes, size_t len)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	const char *p = bytes;
	ssize_t n;

	while (len) {
		if (poll(&pfd, 1, 2000) <= 0)
			return false;
		n = send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		p += n > 0 ? n : 0;
		len -= n > 0 ? n : 0;
	}
	return true;
}

static inline bool http_say(int fd, const char *text)
{
	return http_send(fd, text, strlen(text));
}

/* Asks for PATH; the connection is the answer's alone. */
static inline void http_get(int fd, const char *path)
{
	char request[4096];

	snprintf(request, sizeof(request),
		 "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	lt_require(http_say(fd, request), "the daemon does not take a request");
}

struct answer {
	char *text; /* NUL-terminated */
	size_t len;
	bool ended; /* by the other side, within the time */
};

/* Reads until the other side closes, at most for NS. */
static inline struct answer http_read(int fd, int64_t ns)
{
	struct answer answer = { .text = calloc(1, 1) };
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int64_t end = boottime_ns() + ns;
	ssize_t n;

	while (!answer.ended && boottime_ns() < end) {
		lt__pump(0);
		if (poll(&pfd, 1, 10) <= 0)
			continue;
		answer.text = realloc(answer.text, answer.len + 65536 + 1);
		n = recv(fd, answer.text + answer.len, 65536, MSG_DONTWAIT);
		answer.ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
		answer.len += n > 0 ? n : 0;
		answer.text[answer.len] = '\0';
	}
	return answer;
}

/* Whether the other side closes within NS; what it says is dropped. */
static inline bool http_closes(int fd, int64_t ns)
{
	struct answer answer = http_read(fd, ns);

	free(answer.text);
	return answer.ended;
}

/* 0: no answer of HTTP. */
static inline int http_status(const struct answer *answer)
{
	int status = 0;

	sscanf(answer->text, "HTTP/1.%*d %d", &status);
	return status;
}

static inline const char *http_body(const struct answer *answer)
{
	const char *end = strstr(answer->text, "\r\n\r\n");

	return end ? end + 4 : "";
}

/* One request on a connection of its own; the answer's text is to be freed. */
static inline struct answer http_ask(const struct lt *lt, const char *path)
{
	int fd = http_connect(lt);
	struct answer answer;

	http_get(fd, path);
	answer = http_read(fd, LT_DEADLINE_NS);
	close(fd);
	return answer;
}

/* ---- by TCP ---- */

static inline int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert(fd >= 0, "socket: %s", strerror(errno));
	return fd;
}

/* A port of 127.0.0.1 that nobody had a moment ago. */
static inline const char *free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	static char port[8];
	int fd = tcp_socket();

	cr_assert(!bind(fd, (struct sockaddr *)&address, len) &&
		  !getsockname(fd, (struct sockaddr *)&address, &len));
	close(fd);
	snprintf(port, sizeof(port), "%d", ntohs(address.sin_port));
	return port;
}

static inline int tcp_connect(const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(atoi(port)),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = tcp_socket();

	lt_require(!connect(fd, (struct sockaddr *)&address, sizeof(address)), "connect: %s",
		   strerror(errno));
	return fd;
}

static inline struct answer tcp_ask(const char *port, const char *path)
{
	int fd = tcp_connect(port);
	struct answer answer;

	http_get(fd, path);
	answer = http_read(fd, LT_DEADLINE_NS);
	close(fd);
	return answer;
}

/* ---- in time ---- */

/* Requires an answer in the time that a user would still call short. */
static inline void require_served(const struct lt *lt)
{
	int64_t began = boottime_ns();
	struct answer answer = http_ask(lt, "/healthz");

	lt_require(http_status(&answer) == 200, "not served: \"%.100s\"", answer.text);
	lt_require(boottime_ns() - began < 5 * NSEC_PER_SEC, "served after %ld ms",
		   (long)((boottime_ns() - began) / NSEC_PER_MSEC));
	free(answer.text);
}

#endif
