/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where zombies were forked: the raw stacks of /v1/stacks, unwound and named
 * with the files of their parent. Reads that process and runs nothing of it.
 */
#ifndef LT_CLI_STACKS_H
#define LT_CLI_STACKS_H

#include <jansson.h>

/*
 * The stacks of a row of leaks, grouped by their calls, for stacks_still_told()
 * alone. What cannot be read is said on stderr, and left out. A new reference.
 */
json_t *stacks_of_parent(const json_t *stacks, const json_t *leak);
/*
 * Of these groups what the daemon says once more, after they were unwound: so
 * nothing is told of a parent that has run another program meanwhile, and no
 * zombie that is gone. An array of {zombies, frames, incomplete}, those with
 * the most zombies first. A new reference.
 */
json_t *stacks_still_told(const json_t *groups, const json_t *stacks);
/* Of a row that has them. */
void print_stacks(const json_t *leak);

#endif
