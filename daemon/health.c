// SPDX-License-Identifier: GPL-2.0-only
#include "health.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "clock.h"
#include "core/metrics.h"
#include "core/text.h"

/* The clock is not looked at for each record: so many take some ten microseconds. */
#define RECORDS_A_LOOK 64

/* proc(5): field 22 of stat, the start in ticks since boot; the name can hold anything.
 * Looked at once: it does not change with a clock that is set. */
static uint64_t read_start(void)
{
	unsigned long long ticks = 0;
	char stat[1024], *after;
	FILE *file = fopen("/proc/self/stat", "re");
	size_t len;

	if (!file)
		return 0;
	len = fread(stat, 1, sizeof(stat) - 1, file);
	fclose(file);
	stat[len] = '\0';
	after = stat + len;
	while (after > stat && *after != ')')
		after--;
	if (sscanf(after,
		   ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		   &ticks) != 1)
		return 0;
	return clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME) +
	       ticks * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
}

void health_begin(struct health *health)
{
	health->since_looked = 0;
	if (!health->start_realtime_ns)
		health->start_realtime_ns = read_start();
}

void health_note_event(struct health *health, uint64_t time_ns)
{
	if (!(health->since_looked++ % RECORDS_A_LOOK))
		health->clock_ns = clock_ns(CLOCK_BOOTTIME);
	metrics_observe(&health->event_delay, SCALE_EVENT_DELAY,
			health->clock_ns > time_ns ? health->clock_ns - time_ns : 0);
}

static uint64_t timeval_ns(struct timeval time)
{
	return (uint64_t)time.tv_sec * NSEC_PER_SEC + (uint64_t)time.tv_usec * 1000;
}

/* proc(5): the first two fields of statm, in pages. */
static void read_memory(struct lt_health *record)
{
	unsigned long size = 0, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return;
	if (fscanf(file, "%lu %lu", &size, &resident) == 2) {
		record->virtual_bytes = size * (uint64_t)sysconf(_SC_PAGESIZE);
		record->rss_bytes = resident * (uint64_t)sysconf(_SC_PAGESIZE);
	}
	fclose(file);
}

/* Without the one that the look itself takes. */
static uint64_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	uint64_t count = 0;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count - 1;
}

void health_read(const struct health *health, struct lt_health *record)
{
	struct rlimit files = { 0 };
	struct rusage usage = { 0 };

	getrusage(RUSAGE_SELF, &usage);
	getrlimit(RLIMIT_NOFILE, &files);
	record->start_realtime_ns = health->start_realtime_ns;
	record->cpu_ns = timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
	read_memory(record);
	record->open_fds = count_fds();
	record->max_fds = files.rlim_cur;
	record->event_delay = health->event_delay;
}
