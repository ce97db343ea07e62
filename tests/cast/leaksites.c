/*
 * usage: leaksites HOW N - where children are made and left
 *
 * Built without frame pointers. One child is left first ("bait"), then it holds
 * in "baited". Then N children a round are left, by what the first word names.
 * Nothing of it is ever reaped.
 *
 * sites: three times N by site_a, N by site_b
 * spawn, system, popen: by what a C library has for it
 * unreadable, unfaulted, nowhere, short: by site_raw, with a stack pointer to memory
 *	that may not be read, that nobody has ever touched, that is not ours, and
 *	to the last words before such memory
 * deep: by site_a, 20 KiB of stack below main
 * fault: by the handler of a signal that the first instruction of site_faults raises
 * recursion: by site_a, below site_recursive, which is there 8 times
 * exec: by site_a; once told, it runs cat, and has them still
 */
#include "cast.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/mman.h>

#define SITE static __attribute__((noipa)) /* each a function of its own */

static const char text[] = "HOW N";

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

SITE void site_deep(int depth)
{
	char local[20480];

	memset(local, depth, sizeof(local));
	__asm__ volatile("" : : "r"(local) : "memory");
	site_a(depth);
	__asm__ volatile("" : : : "memory");
}

SITE void site_recursive(int depth)
{
	if (depth)
		site_recursive(depth - 1);
	else
		site_a(depth);
	__asm__ volatile("" : : : "memory");
}

/* ---- in a signal's handler ---- */

static char *guarded; /* a page */

static void on_fault(int sig)
{
	(void)sig;
	leaf_fork();
	if (mprotect(guarded, 1, PROT_READ | PROT_WRITE))
		fail("mprotect");
}

SITE void site_faults(char *page)
{
	*(volatile char *)page = 1;
}

SITE void fault_once(void)
{
	guarded = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guarded == MAP_FAILED)
		fail("mmap");
	set_handler(SIGSEGV, on_fault, 0);
	site_faults(guarded);
}

/* ---- stack pointers that lead nowhere ---- */

/* fork, with another stack pointer during the call. No signal may come meanwhile. */
static inline __attribute__((always_inline)) long clone_with(const char *sp)
{
#if defined(__x86_64__)
	register long tid __asm__("r10") = 0, tls __asm__("r8") = 0;
	long ret;

	__asm__ volatile("mov %%rsp, %%r12; mov %[sp], %%rsp; syscall; mov %%r12, %%rsp"
			 : "=a"(ret)
			 : "a"(SYS_clone), "D"(SIGCHLD), "S"(0), "d"(0), "r"(tid),
			   "r"(tls), [sp] "r"(sp)
			 : "rcx", "r11", "r12", "memory");
	return ret;
#elif defined(__aarch64__)
	register long flags __asm__("x0") = SIGCHLD, stack __asm__("x1") = 0;
	register long tid __asm__("x2") = 0, tls __asm__("x3") = 0, child __asm__("x4") = 0;
	register long nr __asm__("x8") = SYS_clone;

	__asm__ volatile("mov x19, sp; mov sp, %[sp]; svc 0; mov sp, x19"
			 : "+r"(flags)
			 : "r"(stack), "r"(tid), "r"(tls), "r"(child), "r"(nr), [sp] "r"(sp)
			 : "x19", "memory");
	return flags;
#else
#error "unknown architecture"
#endif
}

SITE void site_raw(const char *sp)
{
	char local[64];
	long pid;

	memset(local, 0, sizeof(local));
	__asm__ volatile("" : : "r"(local) : "memory");
	pid = clone_with(sp);
	if (!pid)
		_exit(0);
	if (pid < 0)
		fail("clone");
	await_death((pid_t)pid);
	say("child", "%ld", pid);
	__asm__ volatile("" : : "r"(local) : "memory");
}

/* Two pages; the second may not be read. */
static char *map_stack(int prot)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *pages = mmap(NULL, 2 * page, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE))
		fail("mmap");
	return pages + page;
}

static void raw_once(const char *how)
{
	char *end;

	if (!strcmp(how, "unreadable")) {
		site_raw(map_stack(PROT_NONE) - 256);
	} else if (!strcmp(how, "unfaulted")) {
		site_raw(map_stack(PROT_READ | PROT_WRITE) - 256);
	} else if (!strcmp(how, "nowhere")) {
		site_raw((const char *)-256L);
	} else if (!strcmp(how, "short")) {
		end = map_stack(PROT_READ | PROT_WRITE);
		memset(end - 256, 0x5a, 256);
		site_raw(end - 16);
	} else {
		usage(text);
	}
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
	} else if (!strcmp(how, "exec")) {
		site_a(0);
	} else if (!strcmp(how, "fault")) {
		fault_once();
	} else if (!strcmp(how, "recursion")) {
		site_recursive(7);
	} else if (!strcmp(how, "deep")) {
		site_deep(0);
	} else {
		raw_once(how);
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
	if (!strcmp(argv[1], "exec")) {
		execlp("cat", "cat", (char *)NULL);
		fail("cat");
	}
	return 0;
}
