// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How a program ends itself: uprobes on a C library's exit() and _Exit(), and
 * who may map a library that has none yet. Loaded only when exit_handlers = on.
 * Maps of lifetrace.bpf.c: the ring and the counters.
 */
#include "task.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* A program: its process, and how often that has called execve. */
struct program {
	__u64 start_ns;
	__u64 execs;
};

/*
 * Those that have called exit(): each is told once, however often and from
 * however many threads it calls. One that lost its place is told again, and
 * the table takes the first.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); /* tgid */
	__type(value, struct program);
} lt_exiting SEC(".maps");

static __always_inline void emit_exit_call(__u32 tgid, __u64 start_ns, bool handlers)
{
	struct lt_exit_call *e = lt_reserve(LT_EXIT_CALL, sizeof(*e));

	if (!e)
		return;
	e->id.start_ns = start_ns;
	e->id.pid = tgid;
	e->handlers = handlers;
	e->reserved = 0;
	lt_submit(e);
}

/*
 * exit() ends in _Exit(): that is none of the program's own. Neither is one of
 * a process from before its library was covered (the cookie says when) known to
 * be: it may have been in its handlers by then.
 */
static __always_inline int on_call(void *ctx, bool handlers)
{
	struct task_struct *current = (void *)bpf_get_current_task();
	struct program now = {
		.start_ns = BPF_CORE_READ(current, group_leader, start_boottime),
		.execs = BPF_CORE_READ(current, self_exec_id),
	};
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct program *told = bpf_map_lookup_elem(&lt_exiting, &tgid);

	if (told && told->start_ns == now.start_ns && told->execs == now.execs)
		return 0;
	if (!handlers && now.start_ns < lt_cookie(ctx))
		return 0;
	if (handlers)
		bpf_map_update_elem(&lt_exiting, &tgid, &now, BPF_ANY);
	emit_exit_call(tgid, now.start_ns, handlers);
	return 0;
}

SEC("uprobe")
int on_libc_exit(struct pt_regs *ctx)
{
	return on_call(ctx, true);
}

SEC("uprobe")
int on_libc__Exit(struct pt_regs *ctx)
{
	return on_call(ctx, false);
}

/*
 * A container's libraries are its own, and so are those of a changed root.
 * Until the daemon has found the one of a view of the files, it is told who
 * runs a program there, now and then.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct lt_files);
	__type(value, __u64); /* nothing is told until then */
} lt_files_quiet SEC(".maps");

#define LT_FILES_EVERY_NS 100000000

static __always_inline void files_of(struct lt_files *files, struct task_struct *task)
{
	struct mnt_namespace___lt *mnt_ns = (void *)BPF_CORE_READ(task, nsproxy, mnt_ns);
	struct fs_struct___lt *fs = (void *)BPF_CORE_READ(task, fs);
	struct dentry *root = BPF_CORE_READ(fs, root.dentry);

	files->mntns = BPF_CORE_READ(mnt_ns, ns.inum);
	files->root_device = BPF_CORE_READ(root, d_sb, s_dev);
	files->root_inode = BPF_CORE_READ(root, d_inode, i_ino);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec_in_files, struct task_struct *task)
{
	__u64 now_ns = bpf_ktime_get_boot_ns();
	__u64 until_ns = now_ns + LT_FILES_EVERY_NS;
	struct lt_files files = {};
	struct lt_new_files *e;
	__u64 *quiet_ns;

	files_of(&files, task);
	quiet_ns = bpf_map_lookup_elem(&lt_files_quiet, &files);
	if (quiet_ns && now_ns < *quiet_ns)
		return 0;
	bpf_map_update_elem(&lt_files_quiet, &files, &until_ns, BPF_ANY);
	e = lt_reserve(LT_NEW_FILES, sizeof(*e));
	if (!e)
		return 0;
	lt_id_of(&e->id, task);
	e->files = files;
	lt_submit(e);
	return 0;
}
