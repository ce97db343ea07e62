/*
 * usage: handlers MANNER [FILE] - a program with three exit handlers ends, when told, in that manner
 *
 * return, exit, thread, threads (all at once), again (a handler calls exit):
 * the handlers sleep for 30, 20 and 10 ms; of threads, unless the C library lets
 * those who come later end the process meanwhile. _exit, _Exit, raw: without them.
 * hang: a handler waits for a word. exec: a handler runs another program,
 * which calls _exit. vfork: a child calls exit in its parent's memory, which
 * then calls _exit. map: has FILE mapped as code, and calls exit.
 *
 * called and ended are boot-time nanoseconds just before the call, and at the
 * end of the last handler.
 */
#include "cast.h"

#include <sys/mman.h>

static const char text[] =
	"return|exit|thread|threads|again|_exit|_Exit|raw|hang|exec|vfork|map [FILE]";

#define THREADS 8

typedef int end_fn(const char *word);

static end_fn *chosen;
static const char *self;

static void say_time(const char *key)
{
	say(key, "%llu", (unsigned long long)boottime_ns());
}

static int end_return(const char *word)
{
	(void)word;
	return 0;
}

static int end_exit(const char *word)
{
	(void)word;
	exit(0);
}

static int end__exit(const char *word)
{
	(void)word;
	_exit(0);
}

static int end__Exit(const char *word)
{
	(void)word;
	_Exit(0);
}

static int end_raw(const char *word)
{
	(void)word;
	syscall(SYS_exit_group, 0);
	return CAST_FAILED;
}

static void *call_exit(void *gate)
{
	if (gate)
		pthread_barrier_wait(gate);
	exit(0);
}

static int end_thread(const char *word)
{
	pthread_t thread;

	(void)word;
	if (pthread_create(&thread, NULL, call_exit, NULL))
		fail("pthread_create");
	for (;;)
		pause();
}

static int end_threads(const char *word)
{
	pthread_barrier_t gate;
	pthread_t thread;

	(void)word;
	pthread_barrier_init(&gate, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, call_exit, &gate))
			fail("pthread_create");
	for (;;)
		pause();
}

static int end_again(const char *word)
{
	return end_exit(word);
}

static int end_hang(const char *word)
{
	return end_exit(word);
}

static int end_exec(const char *word)
{
	return end_exit(word);
}

static int end_vfork(const char *word)
{
	pid_t pid = vfork();

	if (!pid)
		exit(0); // NOLINT: this is what is to be shown
	say("child", "%d", pid);
	reap(pid, 0);
	return end__exit(word);
}

static int end_map(const char *word)
{
	void *below_all = (void *)0x10000000;
	int fd = open(word, O_RDONLY);

	if (fd < 0 ||
	    mmap(below_all, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED)
		fail(word);
	close(fd);
	hold("mapped");
	return end_exit(word);
}

/* Handlers run in the reverse order of their registration. */
static void last_handler(void)
{
	sleep_ms(10);
	if (chosen != end_vfork)
		say_time("ended");
}

static void second_handler(void)
{
	sleep_ms(20);
	if (chosen == end_hang)
		hold("handler");
	if (chosen == end_exec)
		execl(self, self, "_exit", NULL);
}

static void first_handler(void)
{
	sleep_ms(30);
	if (chosen == end_again)
		exit(0); // NOLINT: glibc and musl go on with the next handler
}

static const struct manner {
	const char *name;
	end_fn *end;
} manners[] = {
	{ "return", end_return },   { "exit", end_exit },   { "thread", end_thread },
	{ "threads", end_threads }, { "again", end_again }, { "_exit", end__exit },
	{ "_Exit", end__Exit },	    { "raw", end_raw },	    { "hang", end_hang },
	{ "exec", end_exec },	    { "vfork", end_vfork }, { "map", end_map },
};

static end_fn *find_end(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(manners); i++)
		if (!strcmp(name, manners[i].name))
			return manners[i].end;
	usage(text);
}

int main(int argc, char **argv)
{
	chosen = find_end(argc > 1 ? argv[1] : "");
	self = "/proc/self/exe";
	enter_stage();
	if (atexit(last_handler) || atexit(second_handler) || atexit(first_handler))
		fail("atexit");
	hold("ready");
	say_time("called");
	return chosen(argc > 2 ? argv[2] : "");
}
