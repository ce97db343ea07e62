/*
 * scripts/run on machines that cannot do it: it says what is wrong and what to
 * do about it, before it installs, builds or starts anything.
 */
#include "run.h"

static const struct machine {
	const char *setup; /* what makes this machine such a one, in a mount namespace of its own */
	const char *complaint;
} machines[] = {
	{ "set -- setpriv --reuid 65534 --regid 65534 --clear-groups", "run: not root" },
	{ "mount -t tmpfs none /sys/kernel/btf", "run: the kernel has no BTF" },
	{ "mount -t tmpfs none /mnt && printf '#!/bin/sh\necho 5.9.16\n' > /mnt/uname &&"
	  " chmod +x /mnt/uname && PATH=/mnt:$PATH",
	  "run: the kernel is too old: this is 5.9.16" },
	{ "for at in tracing debug; do while umount -l /sys/kernel/$at 2>/dev/null; do :; done; done;"
	  " set -- setpriv --bounding-set -sys_admin --inh-caps -sys_admin",
	  "run: tracefs is not mounted and cannot be" },
	{ "set -- setpriv --bounding-set -sys_admin,-bpf --inh-caps -sys_admin,-bpf",
	  "run: the kernel refuses bpf(2)" },
};

static void check_machine(const struct machine *machine)
{
	struct result result;
	char script[1024];
	const char *advice;

	snprintf(script, sizeof(script), "mount --make-rprivate / && %s && exec \"$@\" '%s/run'",
		 machine->setup, LT_SCRIPTS);
	run(&result,
	    &(struct plan){ .argv = ARGV("/usr/bin/unshare", "-m", "/bin/sh", "-c", script) });
	if (result.code == 126)
		cr_skip_test("nobody may not run this tree's scripts");
	advice = strstr(result.err, "\n  ");
	cr_expect(result.code == 1, "exit %d: %s", result.code, result.err);
	cr_expect(!strncmp(result.err, machine->complaint, strlen(machine->complaint)), "\"%s\"",
		  result.err);
	cr_expect(advice && advice[3], "no advice: %s", result.err);
	result__free(&result);
}

LT_TEST(scripts, say_what_is_wrong_with_the_machine)
{
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		check_machine(&machines[i]);
}
