/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Silences from one run of the daemon to the next: a small file of JSON. In it
 * their ends are in wall-clock time, which goes on while nobody runs.
 */
#ifndef LT_SILENCES_H
#define LT_SILENCES_H

#include "core/core.h"
#include "source.h"

/*
 * Hands over an LT_SILENCE record for each that has not ended. A file that is
 * missing holds none. Returns 0, -errno, or -EBADMSG where it is not such a file:
 * what could be read of it was handed over.
 */
int silences_load(const char *path, record_fn fn, void *user);

/* Replaces the file by what the core knows, all of it or nothing. Returns 0 or -errno. */
int silences_save(const char *path, const struct core *core);

/*
 * The record that has what silenced until now + for_ns; for_ns 0: no more. Returns
 * 0, -EINVAL where what cannot be a name, -ESRCH for a pid that nobody lives under,
 * -ENOENT where there is no such silence to end, -ENOSPC where there are too many.
 */
int silences_change(const struct core *core, const char *what, uint64_t for_ns, record_fn fn,
		    void *user);

#endif
