// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: scrape PROCESSES ZOMBIES PARENTS
 *
 * Makes a table of so many processes, of which so many are zombies of so many
 * parents, and prints the nanoseconds that the text of /metrics takes: the
 * median of 21.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "core/core.h"
#include "core/metrics.h"
#include "core/text.h"

#define TIMES 21
#define HDR(type, KIND, pid) \
	.hdr = { .size = sizeof(struct type), .kind = LT_##KIND, .time_ns = (pid)*NSEC_PER_MSEC }

static struct lt_id id_of(uint64_t pid)
{
	return (struct lt_id){ .pid = pid, .start_ns = pid * NSEC_PER_MSEC };
}

static void bear(struct core *core, uint64_t pid, uint64_t parent)
{
	struct lt_fork e = { HDR(lt_fork, FORK, pid), .child = id_of(pid), .parent = id_of(parent),
			     .creator = id_of(parent), .exit_signal = SIGCHLD };

	snprintf(e.comm, sizeof(e.comm), "process-%d", (int)pid);
	core_apply(core, &e, sizeof(e));
}

static void die(struct core *core, uint64_t pid, uint64_t parent)
{
	struct lt_exit exit = { HDR(lt_exit, EXIT, pid), .id = id_of(pid), .parent = id_of(parent),
				.exit_signal = SIGCHLD };
	struct lt_notify notify = { HDR(lt_notify, NOTIFY, pid), .id = id_of(pid),
				    .parent = id_of(parent) };

	core_apply(core, &exit, sizeof(exit));
	core_apply(core, &notify, sizeof(notify));
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv)
{
	uint64_t processes = argc == 4 ? strtoull(argv[1], NULL, 10) : 0;
	uint64_t zombies = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
	uint64_t parents = argc == 4 ? strtoull(argv[3], NULL, 10) : 0, took[TIMES], begin;
	struct core *core = core_new(NULL, NULL);
	size_t len;

	if (!parents || parents + zombies > processes || !core) {
		fputs("usage: scrape PROCESSES ZOMBIES PARENTS\n", stderr);
		return 2;
	}
	for (uint64_t pid = 1; pid <= processes; pid++)
		bear(core, pid, pid <= parents ? 0 : 1 + pid % parents);
	for (uint64_t pid = parents + 1; pid <= parents + zombies; pid++)
		die(core, pid, 1 + pid % parents);
	for (int i = 0; i < TIMES; i++) {
		begin = clock_ns(CLOCK_MONOTONIC);
		free(metrics_text(core, METRICS_TEXT, &len));
		took[i] = clock_ns(CLOCK_MONOTONIC) - begin;
	}
	qsort(took, TIMES, sizeof(took[0]), by_size);
	printf("%llu\n", (unsigned long long)took[TIMES / 2]);
	core_free(core);
	return 0;
}
