/*
 * usage: names NAME [exec] - a child that calls itself NAME, hostile names welcome
 *
 * By prctl; with exec, by running a copy of this program whose file is called
 * NAME, with NAME as its argument. Then it is a zombie until told.
 */
#include "cast.h"

static const char text[] = "NAME [exec]";

static void copy_self(const char *to)
{
	char buf[65536];
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	ssize_t n;

	if (in < 0 || out < 0)
		fail(to);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, n) != n)
			fail(to);
	close(in);
	close(out);
}

/* The child's last words: named, then exit 8. */
static int named(void)
{
	hold("named");
	return 8;
}

static void by_prctl(const char *name)
{
	if (prctl(PR_SET_NAME, name) < 0)
		fail("PR_SET_NAME");
	_exit(named());
}

static void by_exec(const char *name, const char *path)
{
	execl(path, name, "--named", name, NULL);
	fail("execl");
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/cast-XXXXXX", path[512];
	bool by_file = argc > 2 && !strcmp(argv[2], "exec");
	pid_t pid;

	if (argc > 1 && !strcmp(argv[1], "--named"))
		return named();
	if (argc < 2)
		usage(text);
	enter_stage();
	if (by_file) {
		if (!mkdtemp(dir))
			fail(dir);
		snprintf(path, sizeof(path), "%s/%s", dir, argv[1]);
		copy_self(path);
	}
	pid = fork_or_fail();
	if (!pid && by_file)
		by_exec(argv[1], path);
	if (!pid)
		by_prctl(argv[1]);
	say("child", "%d", pid);
	await_death(pid);
	hold("zombie");
	reap(pid, 0);
	if (by_file && (unlink(path) < 0 || rmdir(dir) < 0))
		fail(path);
	return 0;
}
