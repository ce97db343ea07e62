// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: crowd N
 *
 * N children that sleep, each a fork and an exec (of this program, for 0). Prints "ready" when all
 * have exec'ed, holds until its standard input ends, then kills and reaps them.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static __attribute__((noreturn)) void fail(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static __attribute__((noreturn)) void be_child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl("/proc/self/exe", "crowd", "0", (char *)NULL);
	fail("exec");
}

static void await_end_of(int fd)
{
	char bytes[64];
	ssize_t n;

	do
		n = read(fd, bytes, sizeof(bytes));
	while (n > 0 || (n < 0 && errno == EINTR));
}

/* An exec closes the gate: its end says that all have. */
static void make_crowd(pid_t *pids, unsigned long count)
{
	int gate[2];

	if (pipe2(gate, O_CLOEXEC))
		fail("pipe2");
	for (unsigned long i = 0; i < count; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			fail("fork");
		if (!pids[i])
			be_child();
	}
	close(gate[1]);
	await_end_of(gate[0]);
	close(gate[0]);
}

int main(int argc, char **argv)
{
	unsigned long count = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	pid_t *pids = calloc(count + 1, sizeof(*pids));

	if (argc != 2 || !pids) {
		fputs("usage: crowd N\n", stderr);
		return 2;
	}
	if (!count)
		for (;;)
			pause();
	make_crowd(pids, count);
	puts("ready");
	fflush(stdout);
	await_end_of(STDIN_FILENO);
	for (unsigned long i = 0; i < count; i++)
		kill(pids[i], SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	free(pids);
	return 0;
}
