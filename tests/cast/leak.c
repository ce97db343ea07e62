/*
 * usage: leak N [AGE [NAME]] - N children that exit and are never reaped
 *
 * Ends after AGE seconds (0: only when told) or at SIGTERM, and leaves them to
 * init. Lines of standard input: "more N", "reap N" (all without N), "try" (one
 * more, which may fail: "tried" says with what), "end".
 */
#include "cast.h"

static const char text[] = "N [AGE [NAME]]";

static void add(int n)
{
	while (n-- > 0) {
		pid_t pid = fork_or_fail();

		if (!pid)
			_exit(1);
		say("child", "%d", pid);
		await_death(pid);
	}
}

static void reap_some(int n)
{
	while (n-- > 0 && reap(-1, WNOHANG) > 0)
		;
}

static void try_one(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(1);
	say("tried", "%s", pid < 0 ? strerrorname_np(errno) : "born");
	if (pid > 0)
		await_death(pid);
}

/* False when it is told to end. */
static bool obey(const char *line)
{
	int n = 0;

	if (sscanf(line, "more %d", &n) == 1)
		add(n);
	else if (!strncmp(line, "reap", 4))
		reap_some(sscanf(line, "reap %d", &n) == 1 ? n : 1 << 30);
	else if (!strcmp(line, "try"))
		try_one();
	else if (!strcmp(line, "end"))
		return false;
	say("obeyed", "%s", line);
	return true;
}

/* Milliseconds until END, -1 for ever. */
static int left_ms(uint64_t end)
{
	uint64_t now = boottime_ns();

	if (!end)
		return -1;
	return now < end ? (int)((end - now) / 1000000 + 1) : 0;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? number(argv[1], text) : -1;
	int age = argc > 2 ? number(argv[2], text) : 0;
	uint64_t end = age ? boottime_ns() + age * NSEC_PER_SEC : 0;
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char line[64];

	if (n < 0)
		usage(text);
	if (argc > 3)
		prctl(PR_SET_NAME, argv[3]);
	enter_stage();
	add(n);
	say("leaking", "%d", n);
	while (poll(&in, 1, left_ms(end)) > 0) {
		if (read_line(STDIN_FILENO, line, sizeof(line))) {
			if (!obey(line))
				break;
		} else if (end) {
			in.fd = -1; /* nobody to tell it: only AGE ends it */
		} else {
			break;
		}
	}
	return 0;
}
