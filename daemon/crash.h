/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Last words: what the daemon was doing when it died by a bug (SIGSEGV, SIGABRT
 * and the like), as one line on standard error; then the signal does what it always
 * does, and leaves a core. Owns the handlers of these signals and their stack.
 */
#ifndef LT_CRASH_H
#define LT_CRASH_H

#include <stdint.h>

/* Read by a signal's handler at any moment: each is set at once, and what it points to stays. */
struct crash_doing {
	const char *volatile step;    /* "while …" */
	const char *volatile request; /* path that is being answered; NULL: none */
	volatile unsigned kind;	      /* of the record that is being folded; 0: none */
};

extern struct crash_doing crash_doing;

void crash_prepare(void);

#endif
