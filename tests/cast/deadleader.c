/*
 * usage: deadleader exit|raw|pthread|kill [N] - N children whose leader dies before another thread
 *
 * ps calls them zombies, but nobody can reap them. When told, the thread that
 * is left ends: exit: by exit(5); raw: itself alone with 4, after a leader that
 * ended with 3 (which of the two counts depends on the kernel); pthread: it returns, after the leader's pthread_exit; kill: the
 * parent kills it.
 */
#include "cast.h"

static const char text[] = "exit|raw|pthread|kill [N]";
static struct gate dead, end;
static char how; /* first letter of the way */

static bool leader_is_dead(void)
{
	char path[64], stat[256] = "";
	const char *state;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", getpid());
	fd = open(path, O_RDONLY);
	if (fd < 0)
		fail(path);
	if (read(fd, stat, sizeof(stat) - 1) < 0)
		fail(path);
	close(fd);
	state = strrchr(stat, ')');
	return state && state[2] == 'Z';
}

static void *survivor(void *unused)
{
	(void)unused;
	while (!leader_is_dead())
		sched_yield();
	gate__open(&dead, 1);
	gate__pass(&end);
	if (how == 'e')
		exit(5);
	if (how == 'r')
		syscall(SYS_exit, 4);
	return NULL;
}

static void child(void)
{
	pthread_t thread;

	gate__enter(&end);
	if (pthread_create(&thread, NULL, survivor, NULL))
		_exit(CAST_FAILED);
	if (how == 'p')
		pthread_exit(NULL);
	syscall(SYS_exit, 3);
}

static void release(int n, const pid_t *pids)
{
	for (int i = 0; i < n; i++) {
		if (how == 'k')
			kill(pids[i], SIGKILL);
		else
			gate__open(&end, 1);
	}
	for (int i = 0; i < n; i++)
		reap(pids[i], 0);
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? number(argv[2], text) : 1;
	pid_t pids[64];

	how = argc > 1 && strchr("erpk", argv[1][0]) ? argv[1][0] : 0;
	if (!how || n < 1 || n > (int)ARRAY_SIZE(pids))
		usage(text);
	gate__init(&dead);
	gate__init(&end);
	enter_stage();
	for (int i = 0; i < n; i++) {
		pids[i] = fork_or_fail();
		if (!pids[i])
			child();
		say("child", "%d", pids[i]);
	}
	gate__collect(&dead, n);
	hold("dead-leader");
	release(n, pids);
	hold("reaped");
	return 0;
}
