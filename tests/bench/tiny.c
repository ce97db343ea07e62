// SPDX-License-Identifier: GPL-2.0-only
/*
 * The smallest program: what an exec costs with hardly anything to load. It has no library, so that
 * the time of a round trip is the kernel's.
 */
#include <asm/unistd.h>

void _start(void);

__attribute__((noreturn)) void _start(void)
{
#if defined(__x86_64__)
	__asm__ volatile("syscall" : : "a"(__NR_exit_group), "D"(0) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long status __asm__("x0") = 0;
	register long number __asm__("x8") = __NR_exit_group;

	__asm__ volatile("svc #0" : : "r"(number), "r"(status) : "memory");
#else
#error "unknown architecture"
#endif
	__builtin_unreachable();
}
