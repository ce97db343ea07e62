// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: crowd [--zombies] [--pause US] N [PROGRAM ARGUMENT...]
 *
 * N children that sleep, each a fork of this small process or, with PROGRAM, what that exec makes of
 * it; with --zombies, N that exit at once and that nobody waits for. PAUSE comes after each birth.
 * Prints "ready" when all are there (those that exec have done so), holds until its standard input
 * ends, then ends and reaps them all.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	char **program; /* NULL: none */
	unsigned long count, pause_us;
	bool zombies;
} options;

static __attribute__((noreturn)) void fail(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static __attribute__((noreturn)) void usage(void)
{
	fputs("usage: crowd [--zombies] [--pause US] N [PROGRAM ARGUMENT...]\n", stderr);
	exit(2);
}

static unsigned long number(const char *word)
{
	char *end;
	unsigned long n = strtoul(word, &end, 10);

	if (!*word || *end)
		usage();
	return n;
}

static void parse(int argc, char **argv)
{
	static const struct option table[] = {
		{ "zombies", no_argument, NULL, 'z' },
		{ "pause", required_argument, NULL, 'u' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "+", table, NULL)) != -1) {
		if (option == 'z')
			options.zombies = true;
		else if (option == 'u')
			options.pause_us = number(optarg);
		else
			usage();
	}
	if (optind >= argc)
		usage();
	options.count = number(argv[optind]);
	options.program = argv[optind + 1] ? argv + optind + 1 : NULL;
}

static __attribute__((noreturn)) void be_child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (options.zombies)
		_exit(0);
	if (options.program) {
		execvp(options.program[0], options.program);
		_exit(127);
	}
	for (;;)
		pause();
}

/* The gate closes by itself in whoever execs: its end says that all have. */
static void make_crowd(pid_t *pids, int gate)
{
	for (unsigned long i = 0; i < options.count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail("fork");
		if (!pid) {
			if (!options.program)
				close(gate);
			be_child();
		}
		pids[i] = pid;
		if (options.pause_us)
			usleep((useconds_t)options.pause_us);
	}
}

static void await_end_of(int fd)
{
	char bytes[64];
	ssize_t n;

	do
		n = read(fd, bytes, sizeof(bytes));
	while (n > 0 || (n < 0 && errno == EINTR));
}

int main(int argc, char **argv)
{
	pid_t *pids;
	int gate[2];

	parse(argc, argv);
	pids = calloc(options.count + 1, sizeof(*pids));
	if (!pids)
		fail("calloc");
	if (pipe2(gate, O_CLOEXEC))
		fail("pipe2");
	make_crowd(pids, gate[1]);
	close(gate[1]);
	await_end_of(gate[0]);
	puts("ready");
	fflush(stdout);
	await_end_of(STDIN_FILENO);
	for (unsigned long i = 0; i < options.count; i++)
		kill(pids[i], SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	free(pids);
	return 0;
}
