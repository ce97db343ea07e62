/*
 * usage: leaksites sites|spawn|system|popen N - where children are made and left
 *
 * Built without frame pointers. One child is left first ("bait"), then it holds
 * in "baited". Then N children a round are left, by what the first word names:
 * sites: three times N by site_a, N by site_b. Nothing of it is ever reaped.
 */
#include "cast.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <spawn.h>
#include <stddef.h>

#define SITE static __attribute__((noipa)) /* each a function of its own */

static const char text[] = "sites|spawn|system|popen N";

SITE void leaf_fork(void)
{
	pid_t pid = fork_or_fail();

	if (!pid)
		_exit(0);
	await_death(pid);
	say("child", "%d", pid);
}

SITE void site_a(int depth)
{
	char local[64];

	memset(local, depth, sizeof(local));
	__asm__ volatile("" : : "r"(local) : "memory");
	leaf_fork();
	__asm__ volatile("" : : : "memory"); /* no tail call: it stays on the stack */
}

SITE void site_b(int depth)
{
	char local[200];

	memset(local, depth, sizeof(local));
	__asm__ volatile("" : : "r"(local) : "memory");
	leaf_fork();
	__asm__ volatile("" : : : "memory");
}

SITE void site_spawn(void)
{
	char *argv[] = { "true", NULL };
	pid_t pid;

	if (posix_spawnp(&pid, "true", NULL, NULL, argv, environ))
		fail("posix_spawn");
	await_death(pid);
	say("child", "%d", pid);
}

SITE void site_system(void)
{
	say("system", "%d", system("true"));
}

SITE void site_popen(void)
{
	FILE *file = popen("true", "r");

	if (!file)
		fail("popen");
	while (fgetc(file) != EOF)
		;
	say("popen", "%d", 0);
}

/* From here on no wait reaps: what waits by itself, as system() does, leaks too. */
static void refuse_waits(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_wait4, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ECHILD),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(filter), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		fail("seccomp");
}

static void leak_once(const char *how)
{
	if (!strcmp(how, "sites")) {
		for (int i = 0; i < 3; i++)
			site_a(i);
		site_b(0);
	} else if (!strcmp(how, "spawn")) {
		site_spawn();
	} else if (!strcmp(how, "system")) {
		site_system();
	} else if (!strcmp(how, "popen")) {
		site_popen();
	} else {
		usage(text);
	}
}

int main(int argc, char **argv)
{
	int n = argc == 3 ? number(argv[2], text) : -1;

	if (n < 0)
		usage(text);
	enter_stage();
	leaf_fork();
	refuse_waits();
	hold("baited");
	for (int i = 0; i < n; i++)
		leak_once(argv[1]);
	hold("leaked");
	return 0;
}
