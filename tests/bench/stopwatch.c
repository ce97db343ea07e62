// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: stopwatch FIELD OFFSET_NS
 *
 * Reads lines of JSON and prints for each how many nanoseconds after the boot time in its FIELD, plus
 * OFFSET_NS, it arrived here. Lines without the field are passed over.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char buffer[1 << 20];

static int64_t boottime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + (int64_t)now.tv_nsec;
}

static void tell(const char *line, const char *key, int64_t offset_ns, int64_t arrived_ns)
{
	const char *at = strstr(line, key);
	char *end;
	int64_t from_ns;

	if (!at)
		return;
	at += strlen(key);
	from_ns = strtoll(at, &end, 10);
	if (end != at)
		printf("%lld\n", (long long)(arrived_ns - from_ns - offset_ns));
}

/* Takes the whole lines out of the buffer; returns how many bytes are left. */
static size_t take_lines(size_t used, const char *key, int64_t offset_ns, int64_t arrived_ns)
{
	char *line = buffer, *newline;

	while ((newline = memchr(line, '\n', used - (size_t)(line - buffer)))) {
		*newline = '\0';
		tell(line, key, offset_ns, arrived_ns);
		line = newline + 1;
	}
	used -= (size_t)(line - buffer);
	memmove(buffer, line, used);
	return used;
}

int main(int argc, char **argv)
{
	size_t used = 0;
	char key[64];
	ssize_t n;

	if (argc != 3) {
		fputs("usage: stopwatch FIELD OFFSET_NS\n", stderr);
		return 2;
	}
	snprintf(key, sizeof(key), "\"%s\":", argv[1]);
	while (used < sizeof(buffer) &&
	       (n = read(STDIN_FILENO, buffer + used, sizeof(buffer) - used)) > 0)
		used = take_lines(used + (size_t)n, key, strtoll(argv[2], NULL, 10), boottime_ns());
	return 0;
}
