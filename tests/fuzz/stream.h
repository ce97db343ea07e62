/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A recording of any bytes, as `replay` would take it, and ways to change one.
 * Shared by the fuzzer and by the short run of it among the unit tests.
 */
#ifndef LT_STREAM_H
#define LT_STREAM_H

#include <stddef.h>
#include <stdint.h>

/*
 * Reads size bytes as a recording, folds it, makes every view of it and hands
 * its table on to another core. Ends the process where what must always hold
 * does not: no view fails, no count contradicts another, and what one core
 * hands on is no bad record to the next.
 */
void stream_fold(const uint8_t *data, size_t size);

/*
 * Changes one thing of a recording in place: a record goes, comes twice, trades
 * places, becomes another kind, gets another's field or any bytes. Returns the
 * new size, at most max.
 */
size_t stream_change(uint8_t *data, size_t size, size_t max, unsigned seed);

#endif
