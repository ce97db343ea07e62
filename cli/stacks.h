/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where zombies were forked: the raw stacks of /v1/stacks, unwound and named
 * with the files of their parent. Reads that process and runs nothing of it.
 */
#ifndef LT_CLI_STACKS_H
#define LT_CLI_STACKS_H

#include <jansson.h>

/*
 * The stacks of a row of leaks, as an array of groups: {zombies, frames}, those
 * with the most zombies first. What cannot be read is said on stderr, and left
 * out. A new reference.
 */
json_t *stacks_of_parent(const json_t *stacks, const json_t *leak);
/* Of a row that has them. */
void print_stacks(const json_t *leak);

#endif
