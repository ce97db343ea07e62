/*
 * usage: exits HOW [N] - a child that ends in one way, and what its parent's wait says
 *
 * HOW: return, exit, _exit, _Exit, exit_group, thread-exit (each with N), or
 * kill (by its parent, with signal N), raise (by itself), abort (with a core).
 */
#include "cast.h"

#include <dirent.h>
#include <sys/resource.h>

static const char text[] = "return|exit|_exit|_Exit|exit_group|thread-exit|kill|raise|abort [N]";

/* What the child does; a return is a return from main. */
typedef int end_fn(int n);

static int end_return(int n)
{
	return n;
}

static int end_exit(int n)
{
	exit(n);
}

static int end__exit(int n)
{
	_exit(n);
}

static int end__Exit(int n)
{
	_Exit(n);
}

static int end_exit_group(int n)
{
	syscall(SYS_exit_group, n);
	return CAST_FAILED;
}

static int end_thread_exit(int n)
{
	syscall(SYS_exit, n);
	return CAST_FAILED;
}

static int end_kill(int n)
{
	(void)n;
	while (pause())
		;
	return CAST_FAILED;
}

static int end_raise(int n)
{
	raise(n);
	return CAST_FAILED;
}

static int end_abort(int n)
{
	struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };

	(void)n;
	setrlimit(RLIMIT_CORE, &core);
	abort();
}

static const struct end {
	const char *name;
	end_fn *end;
} ends[] = {
	{ "return", end_return },
	{ "exit", end_exit },
	{ "_exit", end__exit },
	{ "_Exit", end__Exit },
	{ "exit_group", end_exit_group },
	{ "thread-exit", end_thread_exit },
	{ "kill", end_kill },
	{ "raise", end_raise },
	{ "abort", end_abort },
};

static const struct end *find_end(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (!strcmp(name, ends[i].name))
			return &ends[i];
	usage(text);
}

/* A core file goes to a directory of its own, which goes with it. */
static void remove_cores(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d)))
		unlinkat(dirfd(d), entry->d_name, 0);
	if (d)
		closedir(d);
	rmdir(dir);
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/cast-XXXXXX";
	const struct end *end = find_end(argc > 1 ? argv[1] : "");
	int n = argc > 2 ? number(argv[2], text) : 0;
	struct gate begin;
	pid_t pid;

	enter_stage();
	if (end->end == end_abort && (!mkdtemp(dir) || chdir(dir) < 0))
		fail(dir);
	gate__init(&begin);
	pid = fork_or_fail();
	if (!pid) {
		die_with_parent();
		gate__pass(&begin);
		return end->end(n);
	}
	say("child", "%d", pid);
	hold("alive");
	gate__open(&begin, 1);
	if (end->end == end_kill)
		kill(pid, n);
	reap(pid, 0);
	if (end->end == end_abort)
		remove_cores(dir);
	return 0;
}
