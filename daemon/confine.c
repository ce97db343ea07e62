// SPDX-License-Identifier: GPL-2.0-only
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- capabilities ---- */

/* In the headers of later kernels only. */
#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

/* What may be kept, the least first; each step holds those before it. */
static const struct {
	cap_value_t cap;
	const char *name;
} steps[] = {
	{ CAP_BPF, "cap_bpf" }, /* any bpf(2) before 5.19, c8644cd0efe7 */
	{ CAP_PERFMON, "cap_perfmon" },
};

/* What probing C libraries wants besides: /proc/PID/maps, map_files, and a mount of one's own. */
static const cap_value_t library_caps[] = { CAP_SYS_PTRACE, CAP_CHECKPOINT_RESTORE,
					    CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN };

#define STEPS (sizeof(steps) / sizeof(steps[0]))
#define LIBRARY_CAPS (sizeof(library_caps) / sizeof(library_caps[0]))

static int keep(cap_t caps, cap_flag_t set, cap_value_t cap)
{
	cap_flag_value_t has = CAP_CLEAR;

	if (cap_get_flag(caps, cap, CAP_PERMITTED, &has) || has != CAP_SET)
		return 0;
	return cap_set_flag(caps, set, 1, &cap, CAP_SET) ? -errno : 0;
}

/* Makes effective the first so many steps of what is permitted; with the libraries' or not. */
static int set_effective(size_t count, bool libraries)
{
	cap_t caps = cap_get_proc();
	int err = caps && !cap_clear_flag(caps, CAP_EFFECTIVE) ? 0 : -errno;

	for (size_t i = 0; !err && i < count; i++)
		err = keep(caps, CAP_EFFECTIVE, steps[i].cap);
	for (size_t i = 0; !err && libraries && i < LIBRARY_CAPS; i++)
		err = keep(caps, CAP_EFFECTIVE, library_caps[i]);
	if (!err && cap_set_proc(caps))
		err = -errno;
	cap_free(caps);
	return err;
}

/* What is not effective now is never to be had again. */
static int forget_others(void)
{
	cap_t caps = cap_get_proc(), left = cap_init();
	cap_flag_value_t has;
	int err = caps && left ? 0 : -ENOMEM;

	for (cap_value_t cap = 0; !err && cap <= CAP_LAST_CAP; cap++) {
		if (cap_get_flag(caps, cap, CAP_EFFECTIVE, &has) || has != CAP_SET)
			continue;
		cap_set_flag(left, CAP_PERMITTED, 1, &cap, CAP_SET);
		cap_set_flag(left, CAP_EFFECTIVE, 1, &cap, CAP_SET);
	}
	if (!err && cap_set_proc(left))
		err = -errno;
	cap_free(caps);
	cap_free(left);
	return err;
}

/* No version of a kernel tells what it wants (distributions differ): it is tried. */
static int drop_capabilities(const struct confine_options *options, size_t *kept)
{
	size_t count = options->libraries ? STEPS : 0;
	int err;

	for (;; count++) {
		err = set_effective(count, options->libraries);
		if (err || count == STEPS || options->works(options->user))
			break;
	}
	*kept = count;
	return err ? err : forget_others();
}

/* ---- files ---- */

/* Rights of kernels that are newer than the headers. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

#define READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define REMOVES (LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR)
#define WRITES (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define MAKES (LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR)

/* The last right that each version of the interface knows; later ones know no less. */
static uint64_t rights_of(int version)
{
	static const uint64_t last[] = { 0,
					 LANDLOCK_ACCESS_FS_MAKE_SYM,
					 LANDLOCK_ACCESS_FS_REFER,
					 LANDLOCK_ACCESS_FS_TRUNCATE,
					 LANDLOCK_ACCESS_FS_TRUNCATE,
					 LANDLOCK_ACCESS_FS_IOCTL_DEV };
	const int known = sizeof(last) / sizeof(last[0]) - 1;

	return (last[version < known ? version : known] << 1) - 1;
}

static int allow_below(int ruleset, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = rights };
	int err;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return errno == ENOENT ? 0 : -errno;
	err = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) ?
		      -errno :
		      0;
	close(rule.parent_fd);
	return err;
}

/* Of a file, and of what it links to. */
static int allow_directories_of(int ruleset, const char *file)
{
	char copy[PATH_MAX];
	int err;

	snprintf(copy, sizeof(copy), "%s", file);
	err = allow_below(ruleset, dirname(copy), READS);
	if (err || !realpath(file, copy))
		return err;
	return allow_below(ruleset, dirname(copy), READS);
}

/* What this daemon cannot even look for is none of its business. */
static int allow_each(int ruleset, const char *const *paths, uint64_t rights)
{
	int err = 0;

	for (; !err && paths && *paths; paths++) {
		err = allow_below(ruleset, *paths, rights);
		if (err == -EACCES)
			err = 0;
	}
	return err;
}

static int allow_files(int ruleset, const struct confine_options *options, uint64_t handled)
{
	int err = allow_below(ruleset, "/proc", READS);

	if (!err)
		err = allow_below(ruleset, "/sys", READS);
	if (!err)
		err = allow_each(ruleset, options->lists, LANDLOCK_ACCESS_FS_READ_DIR);
	if (!err)
		err = allow_each(ruleset, options->reads, READS);
	if (!err && options->config)
		err = allow_directories_of(ruleset, options->config);
	if (!err && options->removes_in)
		err = allow_below(ruleset, options->removes_in, REMOVES);
	if (!err && options->writes_in)
		err = allow_below(ruleset, options->writes_in,
				  (READS | MAKES | REMOVES | WRITES) & handled);
	return err;
}

/* Returns 0 also where there is no Landlock. */
static int restrict_files(const struct confine_options *options, int *version)
{
	struct landlock_ruleset_attr attr = { 0 };
	int ruleset, err;

	*version = options->libraries ? 0 :
					(int)syscall(SYS_landlock_create_ruleset, NULL, 0,
						     LANDLOCK_CREATE_RULESET_VERSION);
	if (*version <= 0) {
		*version = 0;
		return 0;
	}
	attr.handled_access_fs = rights_of(*version);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return -errno;
	err = allow_files(ruleset, options, attr.handled_access_fs);
	if (!err && syscall(SYS_landlock_restrict_self, ruleset, 0))
		err = -errno;
	close(ruleset);
	return err;
}

/* ---- system calls ---- */

/* Only where the argument, masked, has this value. */
struct only {
	bool set;
	unsigned argument;
	uint64_t mask, value;
};

/* Some are wanted only then. */
enum { WITH_PINS = 1, WITH_LIBRARIES = 2 };

/* clang-format off */
#define CALL(call, ...) { .number = SCMP_SYS(call), .name = #call, __VA_ARGS__ }
#define ONLY(of, bits, is) .only = { .set = true, .argument = of, .mask = bits, .value = is }
#define BPF(command, ...) \
	{ .number = SCMP_SYS(bpf), .name = #command, ONLY(0, UINT32_MAX, command), __VA_ARGS__ }
#define PINS .with = WITH_PINS
#define LIBRARIES .with = WITH_LIBRARIES

/* What is left to do: to look at the ring, /proc and the settings, and to answer. */
static const struct rule {
	int number;
	const char *name;
	unsigned with; /* 0: always */
	struct only only;
} rules[] = {
	/* the loop */
#ifdef SYS_epoll_wait
	CALL(epoll_wait),
#else /* newer architectures have only one of a kind */
	CALL(epoll_pwait),
#endif
	CALL(epoll_ctl), CALL(timerfd_settime), CALL(signalfd4), CALL(read), CALL(write),
	CALL(close), CALL(getpid),
	/* the kernel side */
	BPF(BPF_MAP_LOOKUP_ELEM), BPF(BPF_MAP_UPDATE_ELEM), BPF(BPF_MAP_DELETE_ELEM),
	BPF(BPF_MAP_GET_NEXT_KEY), BPF(BPF_MAP_LOOKUP_BATCH), BPF(BPF_OBJ_GET_INFO_BY_FD),
	BPF(BPF_ITER_CREATE), BPF(BPF_LINK_CREATE), BPF(BPF_RAW_TRACEPOINT_OPEN),
	CALL(clock_nanosleep),
	/* clients, and the service manager */
	CALL(accept4), CALL(recvfrom), CALL(sendto), CALL(sendmsg), CALL(getsockopt),
	CALL(setsockopt), CALL(shutdown), CALL(fcntl), CALL(connect),
	CALL(socket, ONLY(0, UINT32_MAX, AF_UNIX)),
	/* files to read, and sockets to remove */
	CALL(openat, ONLY(2, O_ACCMODE, O_RDONLY)), CALL(newfstatat),
	CALL(readlinkat), CALL(getdents64), CALL(faccessat2),
#ifdef SYS_unlink
	CALL(unlink), CALL(rmdir), CALL(mkdir), CALL(rename),
#else
	CALL(unlinkat), CALL(mkdirat), CALL(renameat),
#endif
	/* the silences, kept */
	CALL(openat, ONLY(2, O_ACCMODE, O_WRONLY)), CALL(fsync),
	/* whether a process is there; of this one */
	CALL(kill, ONLY(1, UINT32_MAX, 0)), CALL(getrusage), CALL(prlimit64), CALL(uname),
	/* memory that is no code, and threads */
	CALL(mmap, ONLY(2, PROT_EXEC, 0)), CALL(mprotect, ONLY(2, PROT_EXEC, 0)), CALL(brk),
	CALL(munmap), CALL(mremap), CALL(madvise),
	CALL(clone, ONLY(0, CLONE_THREAD, CLONE_THREAD)), CALL(set_robust_list), CALL(rseq),
	CALL(futex), CALL(rt_sigprocmask), CALL(exit), CALL(exit_group),
	/* a call that was interrupted goes on; its own death by a bug */
	CALL(restart_syscall), CALL(rt_sigreturn), CALL(rt_sigaction), CALL(gettid),
	CALL(tgkill), CALL(writev),
	/* the files that what is known is kept in */
	CALL(fallocate, PINS), CALL(ftruncate, PINS),
	/* uprobes */
	CALL(bpf, LIBRARIES), CALL(perf_event_open, LIBRARIES), CALL(ioctl, LIBRARIES),
	CALL(pread64, LIBRARIES), CALL(open_tree, LIBRARIES), CALL(fstatfs, LIBRARIES), CALL(lseek, LIBRARIES),
};
/* clang-format on */

#define RULES (sizeof(rules) / sizeof(rules[0]))

static int add_rule(scmp_filter_ctx filter, const struct rule *rule)
{
	const struct scmp_arg_cmp only = SCMP_CMP64(rule->only.argument, SCMP_CMP_MASKED_EQ,
						    rule->only.mask, rule->only.value);

	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rule->number, rule->only.set, &only);
}

/*
 * ENOSYS and not death for the others: then a C library that has learned a new
 * call goes on with the old one, and a daemon that watches a host is not lost
 * to an update of that.
 */
static int restrict_syscalls(unsigned with)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int err = filter ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < RULES; i++)
		if (!rules[i].with || rules[i].with & with)
			err = add_rule(filter, &rules[i]);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

const char *confine_syscall(size_t i)
{
	return i < RULES && !rules[i].with ? rules[i].name : NULL; /* those with come last */
}

/* ---- all of it ---- */

int confine(const struct confine_options *options, char words[CONFINE_WORDS_SIZE])
{
	size_t kept = 0;
	int version = 0, caps = drop_capabilities(options, &kept), privileges, files, calls, used;

	privileges = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
	files = restrict_files(options, &version);
	calls = restrict_syscalls((options->libraries ? WITH_LIBRARIES : 0) |
				  (options->pins ? WITH_PINS : 0));
	used = snprintf(words, CONFINE_WORDS_SIZE, "%s%s%s%s", kept ? "" : "no capability",
			kept ? steps[0].name : "", kept > 1 ? " and " : "",
			kept > 1 ? steps[1].name : "");
	snprintf(words + used, CONFINE_WORDS_SIZE - (size_t)used, "%s, %s, %s",
		 options->libraries ? " and those of tracing" : "",
		 version ? "Landlock" : "no Landlock", calls ? "no seccomp filter" : "seccomp");
	return caps ? caps : privileges ? privileges : files ? files : calls;
}
