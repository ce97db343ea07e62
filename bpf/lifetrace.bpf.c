// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The tracepoint set: birth, exec, exit, zombie, stop, wait, free, and the
 * task iterator. It needs neither kprobes nor fentry and loads on locked-down
 * kernels. Hooks and their traps: docs/kernel.md.
 */
#include "calls.bpf.h"
#include "cow.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * How many of the entries of lt_waits belong to pids with these low bits. Most
 * processes never wait; here eight that were born one after the other share a
 * cache line, where each look into the hash is a miss of its own.
 */
#define LT_WAITERS 32768
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LT_WAITERS);
	__type(key, __u32); /* tgid % LT_WAITERS */
	__type(value, __u64);
} lt_waiters SEC(".maps");

static __always_inline __u64 *waiters_like(__u32 tgid)
{
	__u32 key = tgid % LT_WAITERS;

	return bpf_map_lookup_elem(&lt_waiters, &key);
}

static __always_inline void forget_waits(__u32 tgid)
{
	__u64 *waiters = waiters_like(tgid);

	if (waiters && *waiters && !bpf_map_delete_elem(&lt_waits, &tgid)) {
		__sync_fetch_and_add(waiters, (__u64)-1);
		lt_count_taken(LT_BOUNDED_WAITS);
	}
}

/* Room to build records that are too big for the stack; one user each. */
#define LT_SCRATCH(name, record, text_bytes)                              \
	struct {                                                          \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                  \
		__uint(max_entries, 1);                                   \
		__uint(key_size, sizeof(__u32));                          \
		__uint(value_size, sizeof(struct record) + (text_bytes)); \
	} name SEC(".maps");                                              \
	static __always_inline struct record *name##_get(void)            \
	{                                                                 \
		__u32 zero = 0;                                           \
                                                                          \
		return bpf_map_lookup_elem(&name, &zero);                 \
	}

LT_SCRATCH(exec_scratch, lt_exec, LT_EXE_MAX + LT_ARGS_MAX + LT_ALIGN)
LT_SCRATCH(cgroup_scratch, lt_cgroup, LT_CGROUP_PATH_MAX + LT_ALIGN)
LT_SCRATCH(scan_scratch, lt_life, 0)

/* ---- birth ---- */

/* What the fork made the two share: nothing that is copied where they have one memory. */
static __always_inline void fill_sizes(struct lt_fork *e, struct task_struct *child,
				       __u64 clone_flags)
{
	struct mm_struct *mm = child->mm;

	e->rss_pages = 0;
	e->pagetable_bytes = 0;
	if (!mm)
		return;
	e->flags |= LT_FORK_SIZES;
	if (clone_flags & CLONE_VM)
		return;
	e->rss_pages = lt_rss_pages(mm);
	e->pagetable_bytes = mm->pgtables_bytes.counter;
}

/*
 * task_newtask, not sched_process_fork: it carries the clone flags, and fires
 * once for each increment of total_forks (/proc/stat's "processes"), also for
 * the kernel's own io threads. Both come before the child first runs.
 */
SEC("tp_btf/task_newtask")
int BPF_PROG(on_newtask, struct task_struct *child, __u64 clone_flags)
{
	struct task_struct *parent = child->real_parent;
	struct task_struct *creator = lt_current();
	__u64 duration_ns;
	struct lt_fork *e;

	if (!lt_works())
		return 0;
	if (clone_flags & CLONE_THREAD) {
		lt_count_thread(child->pid);
		return 0;
	}
	if (!child->pid) /* an idle task of a CPU that comes up */
		return 0;
	duration_ns = fork_bears(child, clone_flags);
	e = lt_reserve(LT_FORK, sizeof(*e));
	if (!e)
		return 0;
	e->duration_ns = duration_ns;
	lt_id_of(&e->child, child);
	lt_id_of(&e->parent, parent);
	e->creator.pid = LT_READ(creator, tgid);
	e->creator.start_ns = LT_READ(creator, group_leader, start_boottime);
	e->creator_tid = LT_READ(creator, pid);
	e->clone_flags = clone_flags & ~(__u64)CSIGNAL;
	e->uid = lt_uid_of(child);
	e->exit_signal = child->exit_signal;
	e->ns_pid = lt_pid_at(child, lt_ns_level(child));
	e->parent_level_pid = lt_pid_at(child, lt_ns_level(parent));
	e->flags = child->flags & PF_KTHREAD ? LT_FORK_KERNEL : 0;
	fill_sizes(e, child, clone_flags);
	lt_cgroup_of(&e->cgroup, child);
	lt_comm_of(e->comm, child);
	lt_cow_of(&e->creator_cow, e->creator, e->creator_tid);
	lt_submit(e);
	return 0;
}

/* ---- exec, names ---- */

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct lt_exec *e = exec_scratch_get();
	struct mm_struct *mm = task->mm;
	__u64 args_len = mm->arg_end - mm->arg_start;
	__u64 end;
	long exe_len;

	if (!lt_works() || !e)
		return 0;
	e->flags = 0;
	exe_len = bpf_probe_read_kernel_str(e->text, LT_EXE_MAX, bprm->filename);
	if (exe_len == LT_EXE_MAX)
		e->flags |= LT_EXEC_EXE_CUT;
	exe_len = exe_len > 0 ? exe_len - 1 : 0;
	exe_len &= LT_EXE_MAX - 1;
	if (args_len > LT_ARGS_MAX) {
		if (args_len > LT_ARGS_MAX + 1) /* the last NUL is no loss */
			e->flags |= LT_EXEC_ARGS_CUT;
		args_len = LT_ARGS_MAX;
	}
	if (bpf_probe_read_user(e->text + exe_len, args_len, (void *)mm->arg_start)) {
		args_len = 0;
		e->flags |= LT_EXEC_NO_ARGS;
	}
	end = exe_len + args_len;
	if (end > LT_EXE_MAX + LT_ARGS_MAX)
		return 0;
	__builtin_memset(e->text + end, 0, LT_ALIGN);
	lt_id_of(&e->id, task);
	e->uid = lt_uid_of(task);
	e->old_tid = old_pid;
	e->exe_len = exe_len;
	e->args_len = args_len;
	lt_cow_leave(old_pid);
	lt_cow_of(&e->cow, e->id, old_pid);
	if (lt_cow_counted)
		lt_id_of(&e->parent, task->real_parent);
	lt_cow_of(&e->parent_cow, e->parent, e->parent.pid);
	lt_cgroup_of(&e->cgroup, task);
	lt_comm_of(e->comm, task);
	lt_output(&e->hdr, LT_EXEC, (sizeof(*e) + end + LT_ALIGN - 1) & ~(LT_ALIGN - 1));
	return 0;
}

SEC("tp_btf/task_rename")
int BPF_PROG(on_rename, struct task_struct *task, const char *comm)
{
	struct lt_comm *e;

	if (!lt_works() || !lt_is_leader(task) || lt_in_execve(task))
		return 0;
	e = lt_reserve(LT_COMM, sizeof(*e));
	if (!e)
		return 0;
	lt_id_of(&e->id, task);
	__builtin_memset(e->comm, 0, LT_COMM_LEN);
	bpf_probe_read_kernel_str(e->comm, LT_COMM_LEN, comm);
	lt_submit(e);
	return 0;
}

/* ---- exit ---- */

/*
 * kernel/exit.c, find_new_reaper(): the nearest living subreaper in father's
 * pid namespace, otherwise the namespace's init. A bounded walk: a chain of
 * more than LT_ANCESTORS_MAX ancestors without a subreaper goes to init here,
 * and the children's own next record says otherwise if that was wrong.
 */
#define LT_ANCESTORS_MAX 64

static __always_inline bool is_subreaper(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;

	return BPF_CORE_READ_BITFIELD(signal, is_child_subreaper) && signal->live.counter > 0;
}

static __always_inline bool has_subreaper(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;

	return BPF_CORE_READ_BITFIELD(signal, has_child_subreaper);
}

static __always_inline void find_adopter(struct lt_id *id, struct task_struct *father)
{
	struct task_struct *reaper = father->real_parent;
	__u32 level = lt_ns_level(father);
	struct pid *pid = father->thread_pid;
	struct pid_namespace *ns = NULL;
	struct task_struct *init;

	if (has_subreaper(father)) {
		for (int i = 0; i < LT_ANCESTORS_MAX; i++) {
			if (!reaper->pid || lt_ns_level(reaper) != level)
				break;
			if (is_subreaper(reaper)) {
				lt_id_of(id, reaper);
				return;
			}
			reaper = reaper->real_parent;
		}
	}
	bpf_probe_read_kernel(&ns, sizeof(ns), &lt_upid(pid, level)->ns);
	init = BPF_CORE_READ(ns, child_reaper);
	id->pid = BPF_CORE_READ(init, tgid);
	id->start_ns = BPF_CORE_READ(init, group_leader, start_boottime);
	if (id->pid == father->tgid) /* a namespace's init takes all with it */
		lt_no_id(id);
}

#define LT_THREADS_MAX 64

/*
 * Children hang on the thread that made them, and threads that are not yet
 * released on their process. Of more than can be walked it is said that they may.
 */
static __always_inline bool may_have_children(struct task_struct *task)
{
	void *head =
		(void *)task->signal + bpf_core_field_offset(struct signal_struct, thread_head);
	void *node = BPF_CORE_READ(task, signal, thread_head.next);

	if (task->signal->nr_threads == 1)
		return task->children.next != &task->children;
	for (int i = 0; i < LT_THREADS_MAX; i++) {
		struct task_struct *thread =
			node - bpf_core_field_offset(struct task_struct, thread_node);
		void *children =
			(void *)thread + bpf_core_field_offset(struct task_struct, children);

		if (node == head)
			return false;
		if (BPF_CORE_READ(thread, children.next) != children)
			return true;
		node = BPF_CORE_READ(thread, thread_node.next);
	}
	return true;
}

static __always_inline __u32 exit_flags(struct task_struct *leader)
{
	struct task_struct *parent = leader->real_parent;
	__u32 flags = 0;

	if (leader->ptrace)
		flags |= LT_EXIT_TRACED;
	if (leader->exit_signal == SIGCHLD &&
	    (__u64)lt_sigchld_action(parent)->sa.sa_handler == SIG_IGN)
		flags |= LT_EXIT_SIGCHLD_IGNORED;
	return flags;
}

static __always_inline void emit_leader_exit(struct task_struct *leader)
{
	struct lt_leader_exit *e = lt_reserve(LT_LEADER_EXIT, sizeof(*e));

	if (!e)
		return;
	lt_id_of(&e->id, leader);
	e->exit_code = leader->exit_code;
	e->reserved = 0;
	lt_submit(e);
}

static __always_inline void emit_exit(struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	struct lt_exit *e = lt_reserve(LT_EXIT, sizeof(*e));

	if (!e)
		return;
	lt_id_of(&e->id, task);
	lt_id_of(&e->parent, leader->real_parent);
	if (may_have_children(task))
		find_adopter(&e->adopter, task);
	else
		lt_no_id(&e->adopter);
	if (leader->ptrace)
		lt_id_of(&e->tracer, leader->parent);
	else
		lt_no_id(&e->tracer);
	e->exit_code = lt_exit_code(leader);
	e->exit_signal = leader->exit_signal;
	e->uid = lt_uid_of(task);
	e->flags = exit_flags(leader);
	lt_cow_of(&e->cow, e->id, 0);
	lt_cow_of(&e->parent_cow, e->parent, e->parent.pid);
	lt_submit(e);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	__u32 tgid = task->tgid;
	struct lt_id id;

	if (!lt_works())
		return 0;
	wait_forsaken(task);
	lt_cow_leave(task->pid);
	if (!lt_group_dead(ctx, task)) {
		/* in exit_group all follow at once: not worth a record */
		if (lt_is_leader(task) && !(task->signal->flags & SIGNAL_GROUP_EXIT))
			emit_leader_exit(task);
		return 0;
	}
	emit_exit(task);
	lt_id_of(&id, task);
	lt_cow_end(id);
	forget_waits(tgid);
	return 0;
}

SEC("tp_btf/sched_process_free")
int BPF_PROG(on_free, struct task_struct *task)
{
	struct lt_free *e;

	if (!lt_works() || !lt_is_leader(task))
		return 0;
	e = lt_reserve(LT_FREE, sizeof(*e));
	if (!e)
		return 0;
	e->id.start_ns = task->start_boottime;
	e->id.pid = task->tgid;
	lt_submit(e);
	return 0;
}

/* ---- SIGCHLD: zombie, stop; SIGCONT: continue ---- */

static __always_inline void id_of_leader(struct lt_id *id, struct task_struct *leader)
{
	id->start_ns = LT_READ(leader, start_boottime);
	id->pid = LT_READ(leader, tgid);
}

static __always_inline void fill_parent_waits(struct lt_waits *waits, __u64 pid, __u64 start_ns)
{
	__u32 key = pid;
	struct lt_waits *w = bpf_map_lookup_elem(&lt_waits, &key);

	if (w && w->start_ns == start_ns)
		__builtin_memcpy(waits, w, sizeof(*waits));
	else
		__builtin_memset(waits, 0, sizeof(*waits));
}

static __always_inline __u32 disposition_of(struct k_sigaction *action)
{
	__u64 handler = (__u64)action->sa.sa_handler;

	return handler == SIG_DFL ? LT_SIG_DFL : handler == SIG_IGN ? LT_SIG_IGN : LT_SIG_HANDLER;
}

/* kernel/signal.c, do_notify_parent(): the receiver's siglock is held. */
static __always_inline __u32 notify_flags(struct task_struct *receiver, int sig, int result,
					  bool traced)
{
	__u32 sa_flags = lt_sigchld_action(receiver)->sa.sa_flags;
	__u32 flags = traced ? LT_NOTIFY_TRACED : 0;

	if (!traced && sig == SIGCHLD && (sa_flags & SA_NOCLDWAIT))
		flags |= LT_NOTIFY_AUTOREAP;
	if (result == 2) /* TRACE_SIGNAL_ALREADY_PENDING */
		flags |= LT_NOTIFY_COALESCED;
	if (receiver->blocked.sig[0] & (1UL << (SIGCHLD - 1)))
		flags |= LT_NOTIFY_BLOCKED;
	return flags;
}

static __always_inline void fill_action(struct lt_notify *e, struct task_struct *receiver)
{
	struct k_sigaction *action = lt_sigchld_action(receiver);

	e->sa_flags = action->sa.sa_flags;
	e->disposition = disposition_of(action);
}

static __always_inline void emit_death(struct task_struct *leader, struct task_struct *receiver,
				       int sig, int result)
{
	struct task_struct *parent = LT_READ(leader, real_parent, group_leader);
	struct signal_struct *signal = LT_READ(leader, signal);
	bool traced = LT_READ(leader, ptrace) != 0;
	struct lt_notify *e = lt_reserve(LT_NOTIFY, sizeof(*e));

	if (!e)
		return;
	id_of_leader(&e->id, leader);
	id_of_leader(&e->parent, parent);
	if (traced)
		lt_id_of(&e->tracer, receiver);
	else
		lt_no_id(&e->tracer);
	e->exit_code = LT_READ(signal, flags) & SIGNAL_GROUP_EXIT ?
			       LT_READ(signal, group_exit_code) :
			       LT_READ(leader, exit_code);
	e->flags = notify_flags(receiver, sig, result, traced);
	fill_action(e, receiver);
	fill_parent_waits(&e->parent_waits, e->parent.pid, e->parent.start_ns);
	lt_submit(e);
}

/* A tracer let a zombie go, and its parent is told now. */
static __always_inline void emit_untraced(__u32 si_pid, struct task_struct *receiver, int sig,
					  int result)
{
	struct lt_notify *e = lt_reserve(LT_NOTIFY, sizeof(*e));

	if (!e)
		return;
	e->id.start_ns = 0;
	e->id.pid = si_pid;
	lt_id_of(&e->parent, receiver);
	lt_no_id(&e->tracer);
	e->exit_code = 0;
	e->flags = notify_flags(receiver, sig, result, false) | LT_NOTIFY_UNTRACED;
	fill_action(e, receiver);
	fill_parent_waits(&e->parent_waits, e->parent.pid, e->parent.start_ns);
	lt_submit(e);
}

static __always_inline void emit_stop(__u32 kind, struct lt_id id, __u32 signal, __u32 flags)
{
	struct lt_stop *e = lt_reserve(kind, sizeof(*e));

	if (!e)
		return;
	e->id = id;
	e->signal = signal;
	e->flags = flags;
	lt_submit(e);
}

/* include/uapi/asm-generic/siginfo.h: _sigchld as 64-bit programs get it. */
struct child_siginfo {
	__s32 signo, error, code, reserved;
	__u32 pid, uid;
	__s32 status;
};

static __always_inline __u32 pid_seen_by(struct task_struct *leader, struct task_struct *receiver)
{
	__u32 level = lt_ns_level(receiver), nr = LT_READ(leader, pid);

	if (level)
		bpf_probe_read_kernel(&nr, sizeof(nr), lt_upid(LT_READ(leader, thread_pid), level));
	return nr;
}

/*
 * A parent that waits already can take the stop before it is told of it: then
 * the signal that it is told is 0 (kernel/exit.c, wait_task_stopped()).
 */
static __always_inline __u32 stop_signal(struct task_struct *current,
					 const struct child_siginfo *info)
{
	if (info->status)
		return info->status;
	return LT_READ(current, jobctl) & JOBCTL_STOP_SIGMASK;
}

/*
 * Whose death, stop or continue a parent's signal tells of is said by si_pid,
 * in the receiver's namespace. Nearly always that is the current process; not
 * when a dying father's zombies are told to their adopter (the father's exit
 * record says all of that), nor when a traced thread tells its tracer. A tracer
 * is also told when only the leader died, and of stops that stop no program.
 */
static __always_inline void on_child_signal(int sig, const struct child_siginfo *info,
					    struct task_struct *receiver, int result)
{
	struct task_struct *current = lt_current();
	struct task_struct *leader = LT_READ(current, group_leader);
	bool exiting = LT_READ(current, flags) & PF_EXITING;
	int code = info->code;
	__u32 si_pid = info->pid;
	__u32 own_pid = pid_seen_by(leader, receiver);
	struct lt_id id;

	if (si_pid == own_pid && code <= CLD_DUMPED && exiting) {
		if ((sig == LT_READ(leader, exit_signal) || sig == SIGCHLD) &&
		    !LT_READ(leader, signal, live.counter))
			emit_death(leader, receiver, sig, result);
	} else if (si_pid == own_pid && code == CLD_STOPPED) {
		if (!(LT_READ(leader, signal, flags) & SIGNAL_STOP_STOPPED))
			return;
		id_of_leader(&id, leader);
		emit_stop(LT_STOP, id, stop_signal(current, info), LT_STOP_SEEN);
	} else if (code <= CLD_DUMPED && !exiting && sig == SIGCHLD) {
		emit_untraced(si_pid, receiver, sig, result);
	}
}

SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal, int sig, struct kernel_siginfo *info, struct task_struct *receiver,
	     int group, int result)
{
	struct child_siginfo copy = {};
	struct lt_id id;

	if (!lt_works())
		return 0;
	if (sig == SIGCONT) {
		/* prepare_signal() has just set it if the process was stopped */
		if (receiver->signal->flags & SIGNAL_CLD_CONTINUED) {
			lt_id_of(&id, receiver);
			emit_stop(LT_CONTINUE, id, SIGCONT, 0);
		}
		return 0;
	}
	/* info can be one of the kernel's special values 0 and 1: stays 0 */
	bpf_probe_read_kernel(&copy, sizeof(copy), info);
	if (copy.code >= CLD_EXITED && copy.code <= CLD_STOPPED)
		on_child_signal(sig, &copy, receiver, result);
	return 0;
}

/*
 * A parent with SIG_IGN or SA_NOCLDSTOP is told of no stop. Then the delivery
 * of the stopping signal is what can be seen. (A terminal's stop signals do
 * nothing to an orphaned process group; the next pass of the iterator puts
 * that right.)
 */
SEC("tp_btf/signal_deliver")
int BPF_PROG(on_deliver, int sig, struct kernel_siginfo *info, struct k_sigaction *action)
{
	struct task_struct *current, *parent;
	struct k_sigaction *sigchld;
	__u64 handler;
	struct lt_id id;

	if (!lt_works())
		return 0;
	handler = (__u64)BPF_CORE_READ(action, sa.sa_handler);
	if (handler > SIG_IGN && !(BPF_CORE_READ(action, sa.sa_flags) & SA_RESTART))
		wait_fails_with_eintr();
	if (sig < SIGSTOP || sig > SIGTTOU || handler != SIG_DFL)
		return 0;
	current = lt_current();
	parent = LT_READ(current, group_leader, real_parent);
	sigchld = &BPF_CORE_READ(parent, sighand)->action[SIGCHLD - 1];
	handler = (__u64)BPF_CORE_READ(sigchld, sa.sa_handler);
	if (handler != SIG_IGN && !(BPF_CORE_READ(sigchld, sa.sa_flags) & SA_NOCLDSTOP))
		return 0;
	id_of_leader(&id, LT_READ(current, group_leader));
	emit_stop(LT_STOP, id, sig, 0);
	return 0;
}

/* ---- wait calls ---- */

static __always_inline void count_asked(struct lt_waits *w, const struct wait_call *c)
{
	if (c->which == LT_WAIT_ANY)
		__sync_fetch_and_add(&w->any, 1);
	else if (c->which == LT_WAIT_PID)
		__sync_fetch_and_add(&w->pid, 1);
	else if (c->which == LT_WAIT_GROUP)
		__sync_fetch_and_add(&w->group, 1);
	else
		__sync_fetch_and_add(&w->pidfd, 1);
	if (c->options & WNOHANG)
		__sync_fetch_and_add(&w->nohang, 1);
	if (c->options & __WALL)
		__sync_fetch_and_add(&w->wall, 1);
	if (c->options & __WCLONE)
		__sync_fetch_and_add(&w->wclone, 1);
	if (c->options & WNOWAIT)
		__sync_fetch_and_add(&w->nowait, 1);
}

static __always_inline void count_wait(struct lt_waits *w, const struct wait_call *c)
{
	__sync_fetch_and_add(&w->calls, 1);
	if (is_for_the_dead(c))
		count_asked(w, c);
	w->last_ns = bpf_ktime_get_boot_ns();
	w->last_pid = c->pid;
	w->last_options = c->options;
	w->last_call = c->call;
	w->last_which = c->which;
}

/* Counters at 0 in place of those of the pid's former owner or program, if it left some. */
static __always_inline void make_waits(__u32 tgid, __u64 start_ns, __u16 program, bool left)
{
	struct lt_waits fresh = { .start_ns = start_ns, .program = program };
	long err = bpf_map_update_elem(&lt_waits, &tgid, &fresh, left ? BPF_EXIST : BPF_NOEXIST);
	__u64 *waiters = waiters_like(tgid);

	if (err && err != -EEXIST) /* another thread was first */
		lt_count_lost(LT_WAIT);
	if (err || left)
		return;
	lt_count_put(LT_BOUNDED_WAITS);
	if (waiters)
		__sync_fetch_and_add(waiters, 1);
}

/* The caller's counters, made at its program's first call. */
static __always_inline struct lt_waits *own_waits(__u32 tgid, __u64 start_ns)
{
	struct lt_waits *w = bpf_map_lookup_elem(&lt_waits, &tgid);
	__u16 program = LT_READ(lt_current(), self_exec_id);

	if (w && w->start_ns == start_ns && (w->program == program || !w->program)) {
		w->program = program;
		return w;
	}
	make_waits(tgid, start_ns, program, w);
	return bpf_map_lookup_elem(&lt_waits, &tgid);
}

static __always_inline void send_waits(__u32 tgid, __u64 start_ns, const struct lt_waits *w)
{
	struct lt_wait *e = lt_reserve(LT_WAIT, sizeof(*e));

	if (!e)
		return;
	e->id.start_ns = start_ns;
	e->id.pid = tgid;
	__builtin_memcpy(&e->waits, w, sizeof(e->waits));
	lt_submit(e);
}

SEC("tp_btf/sched_process_wait")
int BPF_PROG(on_wait, struct pid *pid)
{
	struct task_struct *current = lt_current();
	__u64 start_ns = LT_READ(current, group_leader, start_boottime);
	__u32 tgid = LT_READ(current, tgid);
	const struct lt_switches *switches = lt_get_switches();
	struct wait_call call = {};
	struct lt_waits *w;

	if (!lt_works())
		return 0;
	w = own_waits(tgid, start_ns);
	if (!w || !switches)
		return 0;
	decode_wait(&call, current, !pid);
	if (switches->wait_results && !wait_begins(current, w, &call, switches))
		return 0;
	count_wait(w, &call);
	if (!(w->calls & (w->calls - 1)))
		send_waits(tgid, start_ns, w);
	return 0;
}

/* ---- cgroups: an id's path ---- */

static __always_inline void emit_cgroup(__u32 kind, struct cgroup *cgroup, const char *path,
					__u32 flags)
{
	struct lt_cgroup *e = cgroup_scratch_get();
	long len;

	if (!lt_works() || !e)
		return;
	len = bpf_probe_read_kernel_str(e->path, LT_CGROUP_PATH_MAX, path);
	len = len > 0 ? len - 1 : 0;
	len &= LT_CGROUP_PATH_MAX - 1;
	__builtin_memset(e->path + len, 0, LT_ALIGN);
	e->cgroup.id = cgroup->kn->id;
	e->cgroup.hierarchy = cgroup->root->hierarchy_id;
	e->cgroup.reserved = 0;
	e->path_len = len;
	e->flags = flags;
	lt_output(&e->hdr, kind, (sizeof(*e) + len + LT_ALIGN - 1) & ~(LT_ALIGN - 1));
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
	emit_cgroup(LT_CGROUP, cgroup, path, 0);
	return 0;
}

SEC("tp_btf/cgroup_rename")
int BPF_PROG(on_cgroup_rename, struct cgroup *cgroup, const char *path)
{
	emit_cgroup(LT_CGROUP, cgroup, path, LT_CGROUP_RENAMED);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(on_cgroup_rmdir, struct cgroup *cgroup, const char *path)
{
	emit_cgroup(LT_CGROUP_GONE, cgroup, path, 0);
	return 0;
}

/* ---- what already lives ---- */

static __always_inline __u8 scan_state(struct task_struct *leader)
{
	struct signal_struct *signal = leader->signal;

	if (signal->live.counter > 0) {
		if (leader->exit_state)
			return LT_DEAD_LEADER;
		return signal->flags & SIGNAL_STOP_STOPPED ? LT_STOPPED : LT_RUNNING;
	}
	/* a zombie is alone in its group: its threads are released */
	if (leader->exit_state == EXIT_ZOMBIE && signal->nr_threads <= 1)
		return LT_ZOMBIE;
	return LT_EXITING;
}

/*
 * A zombie last ran when it died. last_arrival is in the scheduler's clock, so
 * it is taken relative to the iterating task's own, which is now, nearly.
 */
static __always_inline __u64 scan_zombie_ns(struct task_struct *leader, __u64 now_ns)
{
	struct task_struct *current = (void *)bpf_get_current_task();
	__u64 here = lt_last_arrival(current), there = lt_last_arrival(leader);

	return there && there < here && here - there < now_ns ? now_ns - (here - there) : now_ns;
}

/*
 * All of its process are dead, and a tracer holds this thread: only when it is
 * released the parent is told and can reap (kernel/exit.c, delay_group_leader()).
 */
static __always_inline bool delays_leader(struct task_struct *task)
{
	return task->ptrace && task->exit_state == EXIT_ZOMBIE &&
	       task->group_leader->exit_state == EXIT_ZOMBIE && !task->signal->live.counter;
}

SEC("iter/task")
int on_scan(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct seq_file *seq = ctx->meta->seq;
	struct lt_life *e = scan_scratch_get();
	__u64 now_ns = bpf_ktime_get_boot_ns();
	struct task_struct *leader;

	if (!task || !e || !(lt_is_leader(task) || delays_leader(task)))
		return 0;
	leader = task->group_leader;
	__builtin_memset(e, 0, sizeof(*e));
	lt_fill_hdr(&e->hdr, LT_SCAN, sizeof(*e));
	lt_id_of(&e->id, leader);
	lt_id_of(&e->parent, leader->real_parent);
	if (task->ptrace)
		lt_id_of(&e->tracer, task->parent);
	lt_cgroup_of(&e->cgroup, leader);
	e->state = lt_is_leader(task) ? scan_state(leader) : LT_ZOMBIE;
	e->forked_ns = leader->start_boottime;
	if (e->state == LT_ZOMBIE)
		e->zombie_ns = scan_zombie_ns(leader, now_ns);
	else if (e->state != LT_EXITING)
		find_adopter(&e->adopted_by, leader);
	e->uid = lt_uid_of(leader);
	e->ns_pid = lt_pid_at(leader, lt_ns_level(leader));
	e->exit_code = lt_exit_code(leader);
	e->exit_signal = leader->exit_signal;
	e->flags = LT_LIFE_INFERRED | (leader->flags & PF_KTHREAD ? LT_LIFE_KERNEL : 0);
	if (e->state == LT_ZOMBIE || e->state == LT_EXITING)
		e->flags |= LT_LIFE_HAS_STATUS;
	lt_comm_of(e->comm, leader);
	bpf_seq_write(seq, e, sizeof(*e));
	return 0;
}

/* ---- pid namespaces that bound pids more tightly than the host does ---- */

#define MAX_PID_NS_LEVEL 32	/* include/linux/pid_namespace.h */
#define PIDNS_ADDING (1U << 31) /* likewise */

/* The namespace of these that has the fewest pids left; of the host's there are 0. */
static __always_inline struct upid nearest_of(struct pid *pid)
{
	__u32 fewest = ~0U, left;
	struct upid nearest = { 0 }, upid;

	for (__u32 level = 1; level <= MAX_PID_NS_LEVEL && level <= BPF_CORE_READ(pid, level);
	     level++) {
		bpf_probe_read_kernel(&upid, sizeof(upid), lt_upid(pid, level));
		left = BPF_CORE_READ(upid.ns, pid_max) -
		       (BPF_CORE_READ(upid.ns, pid_allocated) & ~PIDNS_ADDING);
		if (left < fewest) {
			fewest = left;
			nearest = upid;
		}
	}
	return nearest;
}

SEC("iter/task")
int on_namespaces(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct lt_ns_task e = { 0 };
	struct upid host, nearest;
	struct pid *pid;

	if (!task || !lt_has_pid_max())
		return 0;
	pid = BPF_CORE_READ(task, thread_pid);
	if (!pid || !BPF_CORE_READ(pid, level))
		return 0;
	bpf_probe_read_kernel(&host, sizeof(host), lt_upid(pid, 0));
	nearest = nearest_of(pid);
	if (!nearest.ns)
		return 0;
	e.pid_max = BPF_CORE_READ(nearest.ns, pid_max);
	if (e.pid_max >= (__u32)BPF_CORE_READ(host.ns, pid_max))
		return 0;
	e.id.pid = BPF_CORE_READ(task, tgid);
	e.id.start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	e.nr = nearest.nr;
	e.ns = BPF_CORE_READ(nearest.ns, ns.inum);
	e.init = BPF_CORE_READ(nearest.ns, child_reaper, tgid);
	e.allocated = BPF_CORE_READ(nearest.ns, pid_allocated) & ~PIDNS_ADDING;
	e.next = BPF_CORE_READ(nearest.ns, idr.idr_next);
	bpf_seq_write(ctx->meta->seq, &e, sizeof(e));
	return 0;
}
