/*
 * usage: nspid nested [LEVELS] | adopt | zap - processes in pid namespaces (needs root)
 *
 * nested: LEVELS namespaces inside each other, a process in each; adopt: the
 * namespace's init adopts and reaps an orphan; zap: it dies, and the kernel
 * kills the rest of its namespace.
 */
#include "cast.h"

static const char text[] = "nested [LEVELS] | adopt | zap";
static struct gate ready, end;

/* Its pids from the outermost namespace to its own, by the kernel's word. */
static void say_nspid(const char *who)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256], key[64];

	if (!f)
		fail("/proc/self/status");
	snprintf(key, sizeof(key), "%s.nspid", who);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "NSpid:\t", 7))
			continue;
		line[strcspn(line, "\n")] = '\0';
		for (char *p = line; *p; p++)
			if (*p == '\t')
				*p = ' ';
		say(key, "%s", line + 7);
	}
	fclose(f);
	snprintf(key, sizeof(key), "%s.getpid", who);
	say(key, "%d", getpid());
}

static pid_t fork_into_namespace(void)
{
	if (unshare(CLONE_NEWPID) < 0)
		fail("unshare");
	return fork_or_fail();
}

/* One level further in, down to LEVELS; each says what fork returned to it. */
static void descend(int level, int levels)
{
	char who[32];
	pid_t pid;

	if (level == levels) {
		hold("nested");
		return;
	}
	pid = fork_into_namespace();
	snprintf(who, sizeof(who), "level%d", level + 1);
	if (!pid) {
		say_nspid(who);
		descend(level + 1, levels);
		_exit(30 + level);
	}
	strcat(who, ".fork");
	say(who, "%d", pid);
	reap(pid, 0);
}

static void nested(int levels)
{
	descend(0, levels);
}

static void adopted_child(void)
{
	say_nspid("child");
	gate__open(&ready, 1);
	gate__pass(&end);
	_exit(4);
}

static void adopting_init(void)
{
	pid_t pid;

	say_nspid("init");
	pid = fork_or_fail();
	if (!pid) {
		gate__enter(&end);
		if (!fork_or_fail())
			adopted_child();
		gate__collect(&ready, 1);
		hold("born");
		_exit(2);
	}
	reap(pid, 0);
	hold("adopted");
	gate__open(&end, 1);
	reap(-1, 0);
	_exit(0);
}

static void adopt(int unused)
{
	pid_t pid = fork_into_namespace();

	(void)unused;
	if (!pid)
		adopting_init();
	say("init", "%d", pid);
	reap(pid, 0);
}

static void zapped_init(void)
{
	pid_t pid;

	say_nspid("init");
	pid = fork_or_fail();
	if (!pid) {
		say_nspid("child");
		gate__open(&ready, 1);
		for (;;)
			pause();
	}
	gate__collect(&ready, 1);
	hold("born");
	_exit(3);
}

static void zap(int unused)
{
	pid_t pid = fork_into_namespace();

	(void)unused;
	if (!pid)
		zapped_init();
	say("init", "%d", pid);
	reap(pid, 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(int levels);
	} ways[] = {
		{ "nested", nested },
		{ "adopt", adopt },
		{ "zap", zap },
	};
	int levels = argc > 2 ? number(argv[2], text) : 2;

	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(ways); i++) {
		if (strcmp(argv[1], ways[i].name))
			continue;
		gate__init(&ready);
		gate__init(&end);
		enter_stage();
		ways[i].run(levels);
		return 0;
	}
	usage(text);
}
