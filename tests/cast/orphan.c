/*
 * usage: orphan init|subreaper|far|zombie|thread - a child whose parent dies before it
 *
 * init: adopted by init; subreaper: by this program; far: by this program, a
 * nearer subreaper having died before; zombie: it is already a zombie when its
 * parent dies; thread: only the thread that forked it dies, its process lives.
 */
#include "cast.h"

static const char text[] = "init|subreaper|far|zombie|thread";
static struct gate born; /* the child has said who it is */
static struct gate ask;	 /* the child may look who its parent is now */
static struct gate looked;
static struct gate end;

static void be_subreaper(void)
{
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		fail("PR_SET_CHILD_SUBREAPER");
}

/* The child: says its parent before and after, ends with 4 when told. */
static void child(void)
{
	gate__enter(&ask);
	gate__enter(&end);
	say("child.pid", "%d", getpid());
	say("child.ppid", "%d", getppid());
	gate__open(&born, 1);
	gate__pass(&ask);
	say("child.ppid", "%d", getppid());
	gate__open(&looked, 1);
	gate__pass(&end);
	_exit(4);
}

/* The parent that dies: makes the child and ends with 2. */
static void parent(bool child_dies_first)
{
	pid_t pid = fork_or_fail();

	if (!pid) {
		if (child_dies_first)
			_exit(4);
		child();
	}
	say("child", "%d", pid);
	if (child_dies_first)
		await_death(pid);
	gate__collect(&born, child_dies_first ? 0 : 1);
	hold("born");
	_exit(2);
}

/* Reaping it is the proof that its children have a new parent. */
static void lose_parent(pid_t pid)
{
	say("parent", "%d", pid);
	reap(pid, 0);
}

static void look(const char *state)
{
	gate__open(&ask, 1);
	gate__collect(&looked, 1);
	hold(state);
}

static void by_init(void)
{
	pid_t pid = fork_or_fail();

	if (!pid)
		parent(false);
	lose_parent(pid);
	look("adopted");
	gate__open(&end, 1);
}

static void by_subreaper(void)
{
	pid_t pid;

	be_subreaper();
	pid = fork_or_fail();
	if (!pid)
		parent(false);
	lose_parent(pid);
	look("adopted");
	gate__open(&end, 1);
	reap(-1, 0);
}

/* A nearer subreaper, which dies as soon as it has adopted the child. */
static void near_subreaper(void)
{
	pid_t pid;

	be_subreaper();
	pid = fork_or_fail();
	if (!pid)
		parent(false);
	lose_parent(pid);
	look("adopted");
	_exit(3);
}

static void by_far(void)
{
	pid_t pid;

	be_subreaper();
	pid = fork_or_fail();
	if (!pid)
		near_subreaper();
	say("near", "%d", pid);
	reap(pid, 0);
	hold("adopted-again");
	gate__open(&end, 1);
	reap(-1, 0);
}

static void by_zombie(void)
{
	pid_t pid;

	be_subreaper();
	pid = fork_or_fail();
	if (!pid)
		parent(true);
	lose_parent(pid);
	hold("adopted");
	reap(-1, 0);
}

static void *fork_and_end(void *pid)
{
	*(pid_t *)pid = fork_or_fail();
	if (!*(pid_t *)pid)
		child();
	say("creator.tid", "%d", gettid_now());
	say("child", "%d", *(pid_t *)pid);
	gate__collect(&born, 1);
	return NULL;
}

static void by_thread(void)
{
	pthread_t thread;
	pid_t pid = 0;

	if (pthread_create(&thread, NULL, fork_and_end, &pid))
		fail("pthread_create");
	pthread_join(thread, NULL);
	look("handed-over");
	gate__open(&end, 1);
	reap(pid, 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} ways[] = {
		{ "init", by_init },	 { "subreaper", by_subreaper }, { "far", by_far },
		{ "zombie", by_zombie }, { "thread", by_thread },
	};
	const char *name = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (strcmp(name, ways[i].name))
			continue;
		gate__init(&born);
		gate__init(&ask);
		gate__init(&looked);
		gate__init(&end);
		enter_stage();
		ways[i].run();
		return 0;
	}
	usage(text);
}
