/* SPDX-License-Identifier: GPL-2.0-only */
/* The unix socket that clients find the daemon by; exactly one daemon has it. */
#ifndef LT_LISTEN_H
#define LT_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Makes its directory, takes over a socket that nobody listens on, and
 * listens. Returns the descriptor or -errno; -EADDRINUSE with *holder set to
 * the pid of the daemon that has it, -EEXIST if something else is in its place.
 */
int listen_on(const char *path, pid_t *holder);

/*
 * The socket that the service manager passes (sd_listen_fds(3)); its path is
 * not this process's to remove. Returns the descriptor, -ENOENT if it passes
 * none, -EINVAL if what it passes is no unix socket that listens. *tcp is set
 * to one for metrics by TCP that is passed, too, or -1.
 */
int listen_passed(int *tcp);

/* Whether the socket at this path is still this process's own. */
bool listens_on(const char *path);

/*
 * Listens on "PORT" (of the loopback address), "ADDRESS:PORT" or
 * "[ADDRESS]:PORT", addresses as numbers. Returns a descriptor, -EINVAL for
 * another text, -errno.
 */
int listen_on_tcp(const char *where);

#endif
