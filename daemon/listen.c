// SPDX-License-Identifier: GPL-2.0-only
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "core/text.h"
#include "files.h"

#define BACKLOG 128

#define LOCK_TRIES 50
#define LOCK_PAUSE_USEC 20000

/*
 * Two daemons that start at once take turns: the directory is their lock. Who
 * else holds it for long (anybody can, who can read it) holds up nobody.
 */
static int lock_directory(const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)], *dir;
	int fd, err;

	snprintf(copy, sizeof(copy), "%s", path);
	dir = dirname(copy);
	err = directory_make(dir, 0755);
	if (err)
		return err;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (int i = 0; i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB); i++)
		usleep(LOCK_PAUSE_USEC);
	return fd;
}

static pid_t peer_of(int fd)
{
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	return cred.pid;
}

/* Removes a socket that nobody listens on. */
static int clear_path(const struct sockaddr_un *address, pid_t *holder)
{
	struct stat stat;
	int fd, err;

	if (lstat(address->sun_path, &stat))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(stat.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = connect(fd, (const struct sockaddr *)address, sizeof(*address)) ? -errno : 0;
	if (!err)
		*holder = peer_of(fd);
	close(fd);
	if (err == -ECONNREFUSED)
		return unlink(address->sun_path) && errno != ENOENT ? -errno : 0;
	return err && err != -EAGAIN ? err : -EADDRINUSE; /* EAGAIN: its queue is full */
}

static int bind_and_listen(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	if (!bind(fd, (const struct sockaddr *)address, sizeof(*address)) &&
	    !chmod(address->sun_path, 0666) && !listen(fd, BACKLOG))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

bool listens_on(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	pid_t holder = 0;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd >= 0 && !connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		holder = peer_of(fd);
	if (fd >= 0)
		close(fd);
	return holder == getpid();
}

int listen_on(const char *path, pid_t *holder)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int lock, err;

	*holder = 0;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	lock = lock_directory(path);
	if (lock < 0)
		return lock;
	err = clear_path(&address, holder);
	if (!err)
		err = bind_and_listen(&address);
	close(lock);
	return err;
}

int listen_passed(int *tcp)
{
	int count = sd_listen_fds(true), end = SD_LISTEN_FDS_START + count;

	*tcp = -1;
	for (int fd = SD_LISTEN_FDS_START; fd < end && *tcp < 0; fd++)
		if ((sd_is_socket(fd, AF_INET, SOCK_STREAM, true) > 0 ||
		     sd_is_socket(fd, AF_INET6, SOCK_STREAM, true) > 0) &&
		    !fcntl(fd, F_SETFL, O_NONBLOCK))
			*tcp = fd;
	if (count <= 0)
		return count ? count : -ENOENT;
	for (int fd = SD_LISTEN_FDS_START; fd < end; fd++)
		if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, true) > 0)
			return fcntl(fd, F_SETFL, O_NONBLOCK) ? -errno : fd;
	return -EINVAL;
}

/* Takes "ADDRESS:PORT" apart; the address may be in brackets, or left out. */
static int split_address(char *text, const char **address, const char **port)
{
	char *colon = strrchr(text, ':');

	*address = "127.0.0.1";
	*port = text;
	if (!colon)
		return 0;
	*colon = '\0';
	*port = colon + 1;
	*address = text;
	if (*text != '[')
		return strchr(text, ':') || !*text ? -EINVAL : 0;
	if (colon[-1] != ']')
		return -EINVAL;
	colon[-1] = '\0';
	*address = text + 1;
	return 0;
}

static int bind_tcp(const struct addrinfo *info)
{
	int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err,
	    on = 1;

	if (fd < 0)
		return -errno;
	/* a port whose last connections linger is free; IPv6 does not take IPv4's, too */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (info->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (!bind(fd, info->ai_addr, info->ai_addrlen) && !listen(fd, SOMAXCONN))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int listen_on_tcp(const char *where)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
					.ai_socktype = SOCK_STREAM };
	struct addrinfo *info;
	const char *address, *port;
	char text[256];
	uint64_t number;
	int fd;

	snprintf(text, sizeof(text), "%s", where);
	if (strlen(where) >= sizeof(text) || split_address(text, &address, &port) ||
	    text_parse_number(port, UINT16_MAX, &number) || !number ||
	    getaddrinfo(address, port, &hints, &info))
		return -EINVAL;
	fd = bind_tcp(info);
	freeaddrinfo(info);
	return fd;
}
