/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the daemon gives up once it is set up: capabilities, privileges that an
 * exec could bring (no_new_privs), files (Landlock) and system calls (seccomp).
 * Which system calls are left stands in one table; the live tests hold it
 * against what the daemon really calls. Never logs.
 */
#ifndef LT_CONFINE_H
#define LT_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

struct confine_options {
	const char *config;	  /* its directory is read again; NULL */
	const char *removes_in;	  /* directory that files are removed from at the end; NULL */
	const char *writes_in;	  /* directory that files are written to; NULL */
	bool pins;		  /* what is known is kept in files that grow */
	const char *const *lists; /* directories whose entries are read, NULL ends them */
	const char *const *reads; /* and whose files are */
	bool libraries;		  /* C libraries are opened and probed, wherever they lie */
	/* Whether what is left to do can be done with the rights that there are now. */
	bool (*works)(void *user);
	void *user;
};

#define CONFINE_WORDS_SIZE 256

/*
 * For the calling thread, which must be the only one, and for ever. Says in
 * words what holds from now on. Returns 0, or -errno of the first part that the
 * kernel refused: the others hold all the same.
 */
int confine(const struct confine_options *options, char words[CONFINE_WORDS_SIZE]);

/*
 * For the tests: the system calls that are let through of a daemon that neither
 * pins nor probes, and of bpf(2) its commands; by name, NULL ends them.
 */
const char *confine_syscall(size_t i);

#endif
