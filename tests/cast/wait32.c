/*
 * usage: wait32 PID - a 32-bit program, without a C library, that waits for PID alone
 *
 * Its calls have other numbers than a 64-bit program's (waitpid() that of poll()).
 */

#define NR_WAITPID 7 /* arch/x86/entry/syscalls/syscall_32.tbl */
#define NR_PAUSE 29

static long call(long nr, long first, long second, long third)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(nr), "b"(first), "c"(second), "d"(third)
			 : "memory");
	return result;
}

__attribute__((used, regparm(1))) static void run(char **stack)
{
	long pid = 0;

	for (const char *digit = stack[2]; *digit; digit++) /* after argc and the name */
		pid = pid * 10 + (*digit - '0');
	call(NR_WAITPID, pid, 0, 0);
	for (;;)
		call(NR_PAUSE, 0, 0, 0);
}

__asm__(".globl _start\n_start: mov %esp, %eax\n\tcall run");
