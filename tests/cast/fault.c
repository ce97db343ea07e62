/*
 * usage: fault PID segv|fpe|overflow|free - makes another process fail by itself, as a bug in it would
 *
 * Stops it by ptrace where it waits in epoll_wait, has it stand there before another
 * instruction or before libc's free(), lets go of it, and ends. What comes then is the process's own fault:
 * a read of address 0x10, a division by zero, a recursion without end, or a free() of
 * what was never allocated. Both must have the same C library.
 */
#include "cast.h"

#include <sys/ptrace.h>
#include <sys/user.h>

static const char text[] = "PID segv|fpe|overflow|free";

#ifdef __x86_64__

static const struct fault {
	const char *name;
	uint64_t code; /* as it lies in memory; 0: free() */
} faults[] = {
	{ "segv", 0x008b48 },	      /* mov (%rax), %rax */
	{ "fpe", 0xf1f7c931 },	      /* xor %ecx, %ecx; div %ecx */
	{ "overflow", 0xfffffffbe8 }, /* itself: call itself */
	{ "free", 0 },
};

/* Where the C library begins in PID's memory. */
static uint64_t libc_of(pid_t pid)
{
	char path[64], line[512];
	uint64_t begin = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	while (maps && !begin && fgets(line, sizeof(line), maps))
		if (strstr(line, "/libc.so.6"))
			begin = strtoull(line, NULL, 16);
	if (!begin)
		fail(path);
	fclose(maps);
	return begin;
}

static void stop(pid_t pid)
{
	if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) || waitpid(pid, NULL, __WALL) != pid)
		fail("ptrace");
}

/* Where it waits for something to do, its stack is one that debuggers can read. */
static void stop_waiting(pid_t pid, struct user_regs_struct *regs)
{
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL))
		fail("PTRACE_SEIZE");
	for (;;) {
		stop(pid);
		if (ptrace(PTRACE_GETREGS, pid, NULL, regs))
			fail("PTRACE_GETREGS");
		if (regs->orig_rax == SYS_epoll_wait || regs->orig_rax == SYS_epoll_pwait)
			return;
		ptrace(PTRACE_CONT, pid, NULL, NULL);
		sleep_ms(1);
	}
}

/* Its next instruction. The system call that it was in is not begun again. */
static void redirect(pid_t pid, struct user_regs_struct *regs, uint64_t code)
{
	regs->orig_rax = -1;
	regs->rax = 0x10;
	if (code) {
		if (ptrace(PTRACE_POKETEXT, pid, regs->rip, code))
			fail("PTRACE_POKETEXT");
	} else {
		regs->rdi = regs->rsp + 1;
		regs->rsp -= 8;
		if (ptrace(PTRACE_POKEDATA, pid, regs->rsp, regs->rip))
			fail("PTRACE_POKEDATA");
		regs->rip = (uintptr_t)free - libc_of(getpid()) + libc_of(pid);
	}
	if (ptrace(PTRACE_SETREGS, pid, NULL, regs))
		fail("PTRACE_SETREGS");
}

int main(int argc, char **argv)
{
	const struct fault *fault = faults, *end = faults + ARRAY_SIZE(faults);
	struct user_regs_struct regs;
	pid_t pid;

	if (argc != 3)
		usage(text);
	pid = number(argv[1], text);
	while (fault < end && strcmp(fault->name, argv[2]))
		fault++;
	if (fault == end)
		usage(text);
	enter_stage();
	stop_waiting(pid, &regs);
	redirect(pid, &regs, fault->code);
	if (ptrace(PTRACE_DETACH, pid, NULL, NULL))
		fail("PTRACE_DETACH");
	return 0;
}

#else

int main(void)
{
	usage(text); /* only the instructions of x86-64 are known */
}

#endif
