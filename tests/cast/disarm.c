/*
 * usage: disarm PID PROGRAM - makes PID close its links to its BPF program of that name
 *
 * So the program is called no more, though PID knows nothing of it. closed is how
 * many there were. By ptrace, on x86-64; elsewhere it ends with 77.
 */
#include "cast.h"

#include <dirent.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#ifndef __x86_64__
int main(void)
{
	return 77;
}
#else

/* prog_id of a link's fdinfo; 0: it is none. */
static uint32_t program_of(pid_t pid, const char *fd)
{
	char path[64], line[128];
	bool is_link = false;
	uint32_t id = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.16s", pid, fd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		is_link |= !strncmp(line, "link_id:", 8);
		sscanf(line, "prog_id: %" SCNu32, &id);
	}
	if (file)
		fclose(file);
	return is_link ? id : 0;
}

static bool is_named(uint32_t id, const char *name)
{
	union bpf_attr attr = { .prog_id = id };
	struct bpf_prog_info info = { 0 };
	int fd = (int)syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &attr, sizeof(attr)), err;

	if (fd < 0)
		fail("bpf");
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uint64_t)(uintptr_t)&info;
	err = (int)syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr));
	close(fd);
	return !err && !strncmp(info.name, name, BPF_OBJ_NAME_LEN - 1);
}

/* In the stopped process, whose registers and code are as before afterwards. */
static long call_close(pid_t pid, long fd)
{
	struct user_regs_struct before, regs;
	long code;
	int status;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &before))
		fail("registers");
	regs = before;
	regs.rax = SYS_close;
	regs.rdi = (unsigned long)fd;
	regs.orig_rax = (unsigned long)-1; /* what it is in is not begun again */
	errno = 0;
	code = ptrace(PTRACE_PEEKTEXT, pid, regs.rip, NULL);
	if (errno ||
	    ptrace(PTRACE_POKETEXT, pid, regs.rip, (code & ~0xffffL) | 0x050f) || /* syscall */
	    ptrace(PTRACE_SETREGS, pid, NULL, &regs) ||
	    ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) || waitpid(pid, &status, 0) != pid ||
	    !WIFSTOPPED(status) || ptrace(PTRACE_GETREGS, pid, NULL, &regs) ||
	    ptrace(PTRACE_POKETEXT, pid, before.rip, code) ||
	    ptrace(PTRACE_SETREGS, pid, NULL, &before))
		fail("close");
	return (long)regs.rax;
}

static int close_all(pid_t pid, const char *name)
{
	char path[32];
	const struct dirent *entry;
	uint32_t id;
	int closed = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		fail(path);
	while ((entry = readdir(dir))) {
		id = program_of(pid, entry->d_name);
		if (!id || !is_named(id, name))
			continue;
		if (call_close(pid, strtol(entry->d_name, NULL, 10)))
			fail(entry->d_name);
		closed++;
	}
	closedir(dir);
	return closed;
}

int main(int argc, char **argv)
{
	pid_t pid = argc == 3 ? (pid_t)strtol(argv[1], NULL, 10) : 0;
	int status, closed;

	if (pid <= 0)
		usage("PID PROGRAM");
	if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) || waitpid(pid, &status, 0) != pid)
		fail("attach");
	closed = close_all(pid, argv[2]);
	if (ptrace(PTRACE_DETACH, pid, NULL, NULL))
		fail("detach");
	say("closed", "%d", closed);
	return 0;
}
#endif
