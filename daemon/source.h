/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where records come from: the kernel's ring, or a recording. Both hand them
 * to a function that folds them.
 */
#ifndef LT_SOURCE_H
#define LT_SOURCE_H

#include <stddef.h>
#include <stdint.h>

/* One record of len bytes, 8-byte aligned, valid during the call. */
typedef void (*record_fn)(void *user, const void *record, size_t len);

#endif
