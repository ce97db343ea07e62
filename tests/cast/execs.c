/*
 * usage: execs [thread] [ARG...] - a child that runs this program again with ARG..., by exec
 *
 * thread: a thread that is not the leader calls exec. Without ARG the new
 * program gets one word. It holds, then exits with 21.
 */
#include "cast.h"

#define AFTER "--after" /* first word of the new program */

static char path[512]; /* of this program: /proc/self/exe is nobody's name */
static char **new_argv;

static void say_words(int argc, char **argv)
{
	say("after.argc", "%d", argc);
	for (int i = 0; i < argc; i++)
		say("after.length", "%zu", strlen(argv[i]));
}

/* The new program: what it is, as it sees it. */
static int after(int argc, char **argv)
{
	char exe[512];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	say("after.pid", "%d", getpid());
	say("after.tid", "%d", gettid_now());
	say("after.exe", "%.*s", n > 0 ? (int)n : 0, exe);
	say_words(argc, argv);
	hold("executed");
	return 21;
}

static void *exec_now(void *unused)
{
	(void)unused;
	say("exec.tid", "%d", gettid_now());
	execv(path, new_argv);
	fail("execv");
}

static void child(bool by_thread)
{
	pthread_t thread;

	if (!by_thread)
		exec_now(NULL);
	if (pthread_create(&thread, NULL, exec_now, NULL))
		fail("pthread_create");
	for (;;)
		pause();
}

/* What the new program is called with: ARGV's words, or one. */
static char **words(int argc, char **argv)
{
	static char *one[] = { path, (char *)AFTER, (char *)"word", NULL };
	char **all;

	if (argc < 2)
		return one;
	all = calloc(argc + 2, sizeof(*all));
	if (!all)
		fail("calloc");
	all[0] = path;
	all[1] = (char *)AFTER;
	memcpy(all + 2, argv + 1, (argc - 1) * sizeof(*argv));
	return all;
}

int main(int argc, char **argv)
{
	bool by_thread = argc > 1 && !strcmp(argv[1], "thread");
	pid_t pid;

	if (argc > 1 && !strcmp(argv[1], AFTER))
		return after(argc, argv);
	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		fail("/proc/self/exe");
	argv += by_thread;
	argc -= by_thread;
	new_argv = words(argc, argv);
	enter_stage();
	pid = fork_or_fail();
	if (!pid)
		child(by_thread);
	say("child", "%d", pid);
	reap(pid, 0);
	return 0;
}
