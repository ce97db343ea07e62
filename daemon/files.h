/* SPDX-License-Identifier: GPL-2.0-only */
/* Directories and files that are made; owns nothing. */
#ifndef LT_FILES_H
#define LT_FILES_H

#include <sys/types.h>

/*
 * Makes path and what leads to it, as far as it is not there: itself with mode,
 * the others with 0755, less the umask. Returns 0, or a negative errno.
 */
int directory_make(const char *path, mode_t mode);

/*
 * The file is text from here on, whole, or stays as it was, whenever the power
 * goes: written beside it as PATH.new, with mode, and put in its place. Returns 0,
 * or a negative errno; nothing is left beside it then.
 */
int file_replace(const char *path, mode_t mode, const char *text);

#endif
