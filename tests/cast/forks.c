/*
 * usage: forks [fork|thread|vfork|parent] - a birth and its two returns
 *
 * fork: by fork; thread: by a fork of a thread that is not the leader; vfork:
 * by vfork; parent: by a child that uses CLONE_PARENT, so that the newborn is
 * its creator's sibling.
 */
#include "cast.h"

static const char text[] = "[fork|thread|vfork|parent]";
static struct gate alive;

static void tell_child(int returned)
{
	say("child.returned", "%d", returned);
	say("child.pid", "%d", getpid());
	say("child.ppid", "%d", getppid());
}

static pid_t fork_one(void)
{
	pid_t pid;

	gate__init(&alive);
	pid = fork_or_fail();
	if (!pid) {
		tell_child(pid);
		gate__pass(&alive);
		_exit(0);
	}
	say("creator.tid", "%d", gettid_now());
	say("creator.pid", "%d", getpid());
	say("child", "%d", pid);
	return pid;
}

static void by_fork(void)
{
	pid_t pid = fork_one();

	hold("alive");
	gate__open(&alive, 1);
	reap(pid, 0);
}

static void *fork_in_thread(void *unused)
{
	(void)unused;
	by_fork();
	return NULL;
}

static void by_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fork_in_thread, NULL))
		fail("pthread_create");
	pthread_join(thread, NULL);
}

static void by_vfork(void)
{
	pid_t pid;

	say("creator.tid", "%d", gettid_now());
	say("creator.pid", "%d", getpid());
	pid = vfork();
	if (!pid)
		_exit(9);
	say("child", "%d", pid);
	hold("dead");
	reap(pid, 0);
}

static void creator(struct gate *made)
{
	pid_t pid;

	gate__init(&alive);
	say("creator.tid", "%d", gettid_now());
	say("creator.pid", "%d", getpid());
	pid = clone_fork(CLONE_PARENT, 0, 0);
	if (pid < 0)
		fail("clone3");
	if (!pid) {
		tell_child(pid);
		gate__pass(&alive);
		_exit(6);
	}
	say("child", "%d", pid);
	gate__open(made, 1);
	hold("alive");
	gate__open(&alive, 1);
	_exit(5);
}

static void by_parent(void)
{
	struct gate made;
	pid_t pid;

	gate__init(&made);
	pid = fork_or_fail();
	if (!pid)
		creator(&made);
	gate__collect(&made, 1);
	reap(pid, 0);
	reap(-1, 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} ways[] = {
		{ "fork", by_fork },
		{ "thread", by_thread },
		{ "vfork", by_vfork },
		{ "parent", by_parent },
	};
	const char *way = argc > 1 ? argv[1] : "fork";

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		if (strcmp(way, ways[i].name))
			continue;
		enter_stage();
		ways[i].run();
		return 0;
	}
	usage(text);
}
