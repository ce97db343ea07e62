/* SPDX-License-Identifier: GPL-2.0-only */
/* Directories that the daemon needs and that may not be there yet. */
#ifndef LT_DIRECTORY_H
#define LT_DIRECTORY_H

#include <sys/types.h>

/*
 * Makes path and what leads to it, as far as it is not there: itself with mode,
 * the others with 0755, less the umask. Returns 0, or a negative errno.
 */
int directory_make(const char *path, mode_t mode);

#endif
