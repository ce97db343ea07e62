// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Where fork calls begin and end and what wait calls answer: from the kernel's
 * functions where it allows that (only callers pay), otherwise from the system
 * calls' tracepoints, attached while there is need (every system call of the
 * host pays). One of the four sets is loaded. The maps are lifetrace.bpf.c's.
 */
#include "calls.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* ---- waits ---- */

#define MAY_BE_DEAD (-1) /* nothing tells what became of the child */

static __always_inline bool is_dead(__s32 dead, __u32 options)
{
	return dead == MAY_BE_DEAD ? !(options & (WUNTRACED | WCONTINUED)) : dead;
}

static __always_inline __u32 outcome_of(__s64 result, __s32 dead, __u32 options)
{
	if (result > 0)
		return !(options & WNOWAIT) && is_dead(dead, options) ? LT_WAIT_REAPED :
									LT_WAIT_REPORTED;
	return !result		 ? LT_WAIT_NOTHING :
	       result == -ECHILD ? LT_WAIT_ECHILD :
	       result == -EINTR	 ? LT_WAIT_EINTR :
				   LT_WAIT_FAILED;
}

static __always_inline struct wait_under_way *find_wait(struct wait_key *key)
{
	wait_key_of(key, lt_current());
	return bpf_map_lookup_elem(&lt_wait_calls, key);
}

/* Whether it only pauses: what becomes of it is decided when the signal is delivered. */
static __always_inline bool is_interrupted(struct wait_under_way *call, __s64 result)
{
	if (result != -ERESTARTSYS)
		return false;
	call->interrupted = 1;
	return true;
}

static __always_inline int wait_returns(__s64 result, __s32 dead)
{
	struct wait_under_way *call;
	struct wait_key key;

	if (!lt_works())
		return 0;
	call = find_wait(&key);
	if (call && !is_interrupted(call, result))
		wait_ends(&key, call, result, outcome_of(result, dead, call->asked.options));
	return 0;
}

static __always_inline bool is_death(__s32 cause)
{
	return cause >= CLD_EXITED && cause <= CLD_DUMPED;
}

/* wait(2): what is no stop and no continuation. */
static __always_inline bool is_death_status(__u32 status)
{
	return (status & 0x7f) != 0x7f;
}

SEC("fexit/do_wait")
int BPF_PROG(on_wait_fexit, struct wait_opts *wo, long result)
{
	struct waitid_info *info = wo->wo_info;

	return wait_returns(result, info ? is_death(info->cause) : is_death_status(wo->wo_stat));
}

SEC("kretprobe/do_wait")
int BPF_KRETPROBE(on_wait_kretprobe, long result)
{
	return wait_returns(result, MAY_BE_DEAD);
}

/* Into user memory that the kernel has just written; the caller can make it vanish. */
static __always_inline __s32 dead_by_status(__u64 address)
{
	__u32 status;

	if (!address || bpf_probe_read_user(&status, sizeof(status), (void *)address))
		return MAY_BE_DEAD;
	return is_death_status(status);
}

/* include/uapi/asm-generic/siginfo.h, of 64-bit programs */
struct user_siginfo {
	__s32 signo, err, code, reserved, pid;
};

/* waitid() itself gives 0; which child it was stands in its siginfo, if it has one. */
static __always_inline void waitid_returns(const struct wait_key *key, struct wait_under_way *call,
					   __u64 address)
{
	struct user_siginfo info;

	if (!address || bpf_probe_read_user(&info, sizeof(info), (void *)address)) {
		wait_ends(key, call, 0, LT_WAIT_UNKNOWN);
		return;
	}
	if (!info.signo)
		info.pid = 0;
	wait_ends(key, call, info.pid,
		  outcome_of(info.pid, is_death(info.code), call->asked.options));
}

static __always_inline int wait_syscall_returns(__s64 result)
{
	struct wait_under_way *call;
	struct wait_key key;
	__u64 args[4];

	if (!lt_works())
		return 0;
	call = find_wait(&key);
	if (!call || is_interrupted(call, result))
		return 0;
	syscall_args(user_regs(lt_current()), args);
	if (call->asked.call == LT_WAITID && !result)
		waitid_returns(&key, call, args[2]);
	else
		wait_ends(&key, call, result,
			  outcome_of(result, result > 0 ? dead_by_status(args[1]) : MAY_BE_DEAD,
				     call->asked.options));
	return 0;
}

/* ---- forks ---- */

static __always_inline int fork_begins(__u64 clone_flags)
{
	struct fork_under_way call = { .clone_flags = clone_flags & ~(__u64)CSIGNAL };
	__u32 tid = bpf_get_current_pid_tgid();

	if (!lt_works() || clone_flags & CLONE_THREAD)
		return 0;
	call.began_ns = bpf_ktime_get_boot_ns();
	if (!bpf_map_update_elem(&lt_fork_calls, &tid, &call, BPF_NOEXIST))
		lt_count_put(LT_BOUNDED_FORKS);
	else /* one is left whose end nobody saw */
		bpf_map_update_elem(&lt_fork_calls, &tid, &call, BPF_ANY);
	return 0;
}

static __always_inline void send_fork_fail(const struct fork_under_way *call, __u32 err)
{
	struct task_struct *current = lt_current();
	struct lt_fork_fail *e = lt_reserve_spare(LT_FORK_FAIL, sizeof(*e));

	if (!e)
		return;
	e->parent.pid = LT_READ(current, tgid);
	e->parent.start_ns = LT_READ(current, group_leader, start_boottime);
	e->clone_flags = call->clone_flags;
	e->duration_ns = e->hdr.time_ns - call->began_ns;
	e->tid = LT_READ(current, pid);
	e->err = err;
	lt_submit(e);
}

static __always_inline void send_fork_end(const struct fork_under_way *call)
{
	struct lt_fork_end *e = lt_reserve(LT_FORK_END, sizeof(*e));

	if (!e)
		return;
	e->child = call->child;
	e->vfork_wait_ns = e->hdr.time_ns - call->born_ns;
	lt_submit(e);
}

/* -ERESTARTNOINTR is no failure: a signal came, and the call is made again. */
static __always_inline int fork_returns(__s64 result)
{
	__u32 tid = bpf_get_current_pid_tgid();
	struct fork_under_way *call = bpf_map_lookup_elem(&lt_fork_calls, &tid);

	if (!lt_works() || !call)
		return 0;
	if (call->child.pid)
		send_fork_end(call);
	else if (result < 0 && result != -ERESTARTNOINTR)
		send_fork_fail(call, -result);
	if (!bpf_map_delete_elem(&lt_fork_calls, &tid))
		lt_count_taken(LT_BOUNDED_FORKS);
	return 0;
}

SEC("fentry/kernel_clone")
int BPF_PROG(on_clone_fentry, struct kernel_clone_args *args)
{
	return fork_begins(args->flags);
}

SEC("fexit/kernel_clone")
int BPF_PROG(on_clone_fexit, struct kernel_clone_args *args, pid_t result)
{
	return fork_returns(result);
}

SEC("kprobe/kernel_clone")
int BPF_KPROBE(on_clone_kprobe, struct kernel_clone_args *args)
{
	return fork_begins(BPF_CORE_READ(args, flags));
}

SEC("kretprobe/kernel_clone")
int BPF_KRETPROBE(on_clone_kretprobe, pid_t result)
{
	return fork_returns(result);
}

/* ---- system calls ---- */

static __always_inline int clone_syscall_begins(void)
{
	__u64 args[4];

	syscall_args(user_regs(lt_current()), args);
	return fork_begins(args[0]);
}

static __always_inline int clone3_syscall_begins(void)
{
	__u64 args[4], flags;

	syscall_args(user_regs(lt_current()), args);
	if (bpf_probe_read_user(&flags, sizeof(flags), (void *)args[0])) /* its first member */
		return 0;
	return fork_begins(flags);
}

/* The classic tracepoints, one a call and direction: not told of 32-bit programs' calls. */

SEC("tp/syscalls/sys_enter_clone")
int on_enter_clone(void *ctx)
{
	return clone_syscall_begins();
}

SEC("tp/syscalls/sys_enter_clone3")
int on_enter_clone3(void *ctx)
{
	return clone3_syscall_begins();
}

SEC("tp/syscalls/sys_enter_fork")
int on_enter_fork(void *ctx)
{
	return fork_begins(0);
}

SEC("tp/syscalls/sys_enter_vfork")
int on_enter_vfork(void *ctx)
{
	return fork_begins(CLONE_VFORK | CLONE_VM);
}

SEC("tp/syscalls/sys_exit_clone")
int on_exit_fork(struct trace_event_raw_sys_exit *ctx)
{
	return fork_returns(ctx->ret);
}

SEC("tp/syscalls/sys_exit_wait4")
int on_exit_wait(struct trace_event_raw_sys_exit *ctx)
{
	return wait_syscall_returns(ctx->ret);
}

/* The raw ones, which run for every system call: they need no perf events. */

SEC("tp_btf/sys_enter")
int BPF_PROG(on_sys_enter, struct pt_regs *regs, long nr)
{
	if (nr != NR_CLONE && nr != NR_CLONE3 && nr != NR_FORK && nr != NR_VFORK)
		return 0;
	if (lt_is_compat(lt_current()))
		return 0;
	if (nr == NR_CLONE)
		return clone_syscall_begins();
	if (nr == NR_CLONE3)
		return clone3_syscall_begins();
	return fork_begins(nr == NR_VFORK ? CLONE_VFORK | CLONE_VM : 0);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long result)
{
	long nr = lt_syscall_nr(regs);

	if (nr == NR_WAIT4 || nr == NR_WAITID)
		return wait_syscall_returns(result);
	if (nr == NR_CLONE || nr == NR_CLONE3 || nr == NR_FORK || nr == NR_VFORK)
		return fork_returns(result);
	return 0;
}
