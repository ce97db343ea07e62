/*
 * Preloaded to a daemon: its wall clock, and that alone, is off by as many seconds as
 * the file that $CLOCKSTEP names says now. A host's own clock is not a test's to set.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
	const char *path = getenv("CLOCKSTEP");
	int err = real(clock, now);
	long seconds = 0;
	FILE *file;

	if (err || clock != CLOCK_REALTIME || !path || !(file = fopen(path, "re")))
		return err;
	if (fscanf(file, "%ld", &seconds) == 1)
		now->tv_sec += seconds;
	fclose(file);
	return 0;
}
