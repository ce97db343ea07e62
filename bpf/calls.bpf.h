/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls that have a begin and an end: waits and forks. What the tracepoints
 * see of them (lifetrace.bpf.c) and what only the functions or system calls
 * themselves tell (calls.bpf.c) meets in the maps here.
 */
#ifndef LT_CALLS_BPF_H
#define LT_CALLS_BPF_H

#include "task.bpf.h"

/* Bounded: what was used longest ago goes first. The daemon sets the sizes. */
#define LT_BOUNDED_MAP(name, key_type, value_type)   \
	struct {                                     \
		__uint(type, BPF_MAP_TYPE_LRU_HASH); \
		__uint(max_entries, 4096);           \
		__type(key, key_type);               \
		__type(value, value_type);           \
	} name SEC(".maps");

struct wait_call {
	__u8 call, which;
	__s32 pid;
	__u32 options;
};

/*
 * A wait call under way. The stack pointer is part of the key: a signal's
 * handler that waits does so below the call that it interrupted, which goes on
 * with the stack pointer that it had.
 */
struct wait_key {
	__u64 sp;
	__u32 tid;
	__u32 reserved;
};

struct wait_under_way {
	__u64 began_ns;
	__u64 start_ns; /* of the process */
	struct wait_call asked;
	__u32 restarts;
	__u32 interrupted;
};

/* A fork call under way. child.pid 0: it does not wait for its child. */
struct fork_under_way {
	__u64 began_ns;
	__u64 clone_flags;
	__u64 born_ns;
	struct lt_id child;
};

LT_BOUNDED_MAP(lt_waits, __u32 /* tgid */, struct lt_waits) /* taken out at exit */
LT_BOUNDED_MAP(lt_wait_calls, struct wait_key, struct wait_under_way)
LT_BOUNDED_MAP(lt_fork_calls, __u32 /* tid */, struct fork_under_way)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lt_switches);
} lt_switches SEC(".maps");

static __always_inline const struct lt_switches *lt_get_switches(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lt_switches, &zero);
}

/* ---- what a wait call asks for ---- */

static __always_inline struct pt_regs *user_regs(struct task_struct *task)
{
	if (lt_has_task_pt_regs())
		return (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return (void *)BPF_CORE_READ(task, stack) + LT_THREAD_SIZE -
	       bpf_core_type_size(struct pt_regs);
}

#define REG(regs, field) (lt_has_task_pt_regs() ? (regs)->field : BPF_CORE_READ(regs, field))

/*
 * The call's number and its first four arguments, as the system call's entry
 * left them in the user registers. The tables: arch/x86/entry/syscalls,
 * include/uapi/asm-generic/unistd.h; the 32-bit numbers do not collide, as the
 * caller is known to wait.
 */
#if defined(__TARGET_ARCH_x86)
enum {
	NR_CLONE = 56,
	NR_FORK = 57,
	NR_VFORK = 58,
	NR_WAIT4 = 61,
	NR_WAITID = 247,
	NR_CLONE3 = 435,
	NR_COMPAT_WAITPID = 7,
	NR_COMPAT_WAIT4 = 114,
	NR_COMPAT_WAITID = 284
};

#define LT_REG_SP sp
#define lt_syscall_nr(regs) ((long)(regs)->orig_ax)

static __always_inline __u64 syscall_args(struct pt_regs *regs, __u64 args[4])
{
	__u64 nr = REG(regs, orig_ax);
	bool compat = nr == NR_COMPAT_WAITPID || nr == NR_COMPAT_WAIT4 || nr == NR_COMPAT_WAITID;

	args[0] = compat ? REG(regs, bx) : REG(regs, di);
	args[1] = compat ? REG(regs, cx) : REG(regs, si);
	args[2] = REG(regs, dx);
	args[3] = compat ? REG(regs, si) : REG(regs, r10);
	return nr;
}
#elif defined(__TARGET_ARCH_arm64)
enum {
	NR_CLONE = 220,
	NR_FORK = -1, /* only 32-bit programs have these two */
	NR_VFORK = -1,
	NR_WAIT4 = 260,
	NR_WAITID = 95,
	NR_CLONE3 = 435,
	NR_COMPAT_WAITPID = 7,
	NR_COMPAT_WAIT4 = 114,
	NR_COMPAT_WAITID = 280
};

#define LT_REG_SP user_regs.sp
#define lt_syscall_nr(regs) ((long)(regs)->syscallno)

static __always_inline __u64 syscall_args(struct pt_regs *regs, __u64 args[4])
{
	args[0] = REG(regs, orig_x0);
	args[1] = REG(regs, user_regs.regs[1]);
	args[2] = REG(regs, user_regs.regs[2]);
	args[3] = REG(regs, user_regs.regs[3]);
	return REG(regs, syscallno);
}
#else
#error "unknown architecture"
#endif

#define WEXITED 0x4 /* include/uapi/linux/wait.h */

/* waitid() alone can ask for nothing but stops and continuations. */
static __always_inline bool is_for_the_dead(const struct wait_call *c)
{
	return c->call != LT_WAITID || c->options & WEXITED;
}

static __always_inline void decode_wait4(struct wait_call *c, __s32 pid)
{
	c->pid = pid;
	c->which = pid == -1 ? LT_WAIT_ANY : pid > 0 ? LT_WAIT_PID : LT_WAIT_GROUP;
}

static __always_inline void decode_waitid(struct wait_call *c, __u32 type, __s32 id)
{
	/* P_ALL, P_PID, P_PGID, P_PIDFD: include/uapi/linux/wait.h */
	c->which = type == 0 ? LT_WAIT_ANY :
		   type == 1 ? LT_WAIT_PID :
		   type == 2 ? LT_WAIT_GROUP :
			       LT_WAIT_PIDFD;
	c->pid = type ? id : -1;
}

static __always_inline void decode_wait(struct wait_call *c, struct task_struct *task, bool any)
{
	__u64 args[4];
	__u64 nr = syscall_args(user_regs(task), args);

	if (nr == NR_WAIT4 || nr == NR_COMPAT_WAIT4 || nr == NR_COMPAT_WAITPID) {
		c->call = nr == NR_COMPAT_WAITPID ? LT_WAITPID : LT_WAIT4;
		c->options = args[2];
		decode_wait4(c, args[0]);
	} else if (nr == NR_WAITID || nr == NR_COMPAT_WAITID) {
		c->call = LT_WAITID;
		c->options = args[3];
		decode_waitid(c, args[0], args[1]);
	} else { /* io_uring, or the kernel itself */
		c->call = LT_WAIT_OTHER;
		c->options = 0;
		c->which = any ? LT_WAIT_ANY : LT_WAIT_PID;
		c->pid = -1;
	}
}

/* ---- wait calls under way ---- */

#define WNOHANG 0x1 /* include/uapi/linux/wait.h */
#define WNOWAIT 0x01000000
#define __WALL 0x40000000
#define __WCLONE 0x80000000
#define WUNTRACED 0x2
#define WCONTINUED 0x8

#define ECHILD 10 /* include/uapi/asm-generic/errno-base.h */
#define EINTR 4
#define EEXIST 17
#define ERESTARTSYS 512 /* include/linux/errno.h */
#define ERESTARTNOINTR 513

static __always_inline void wait_key_of(struct wait_key *key, struct task_struct *task)
{
	key->sp = REG(user_regs(task), LT_REG_SP);
	key->tid = LT_READ(task, pid);
	key->reserved = 0;
}

static __always_inline void send_wait_call(const struct wait_under_way *call, __s64 result,
					   __u32 outcome)
{
	const struct lt_switches *switches = lt_get_switches();
	__u64 pid_tgid = bpf_get_current_pid_tgid();
	struct lt_wait_call *e;

	if (!switches || !switches->wait_calls)
		return;
	e = lt_reserve_spare(LT_WAIT_CALL, sizeof(*e));
	if (!e)
		return;
	e->id.pid = pid_tgid >> 32;
	e->id.start_ns = call->start_ns;
	e->began_ns = call->began_ns;
	e->result = result;
	e->pid = call->asked.pid;
	e->options = call->asked.options;
	e->tid = pid_tgid;
	e->restarts = call->restarts;
	e->call = call->asked.call;
	e->which = call->asked.which;
	e->outcome = outcome;
	__builtin_memset(e->reserved, 0, sizeof(e->reserved));
	lt_submit(e);
}

static __always_inline void count_outcome(struct lt_waits *w, __u32 outcome)
{
	/* the verifier sees this bound, too */
	_Static_assert(LT_WAIT_OUTCOMES == 8, "a mask of three bits");
	__sync_fetch_and_add(&w->outcome[outcome & 7], 1);
}

static __always_inline bool same_call(const struct wait_call *a, const struct wait_call *b)
{
	return a->call == b->call && a->which == b->which && a->pid == b->pid &&
	       a->options == b->options;
}

/* Whether this is a new call, not one that goes on after a signal. */
static __always_inline bool wait_begins(struct task_struct *current, struct lt_waits *w,
					const struct wait_call *asked,
					const struct lt_switches *switches)
{
	struct wait_under_way fresh = { .asked = *asked, .start_ns = w->start_ns };
	struct wait_under_way *call;
	struct wait_key key;

	if (switches->syscalls && lt_is_compat(current))
		return true;
	wait_key_of(&key, current);
	call = bpf_map_lookup_elem(&lt_wait_calls, &key);
	if (call && call->start_ns == w->start_ns && call->interrupted &&
	    same_call(&call->asked, asked)) {
		call->interrupted = 0;
		call->restarts++;
		count_outcome(w, LT_WAIT_RESTARTED);
		send_wait_call(call, -ERESTARTSYS, LT_WAIT_RESTARTED);
		return false;
	}
	fresh.began_ns = bpf_ktime_get_boot_ns();
	w->waiting_since_ns = fresh.began_ns;
	if (call && !call->interrupted) /* nobody saw its end */
		lt_count_lost(LT_WAIT_CALL);
	if (!bpf_map_update_elem(&lt_wait_calls, &key, &fresh, BPF_ANY) && !call)
		lt_count_put(LT_BOUNDED_CALLS);
	return true;
}

static __always_inline void forget_wait(const struct wait_key *key)
{
	if (!bpf_map_delete_elem(&lt_wait_calls, key))
		lt_count_taken(LT_BOUNDED_CALLS);
}

static __always_inline void wait_ends(const struct wait_key *key, const struct wait_under_way *call,
				      __s64 result, __u32 outcome)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct lt_waits *w = bpf_map_lookup_elem(&lt_waits, &tgid);

	if (w && w->start_ns == call->start_ns) {
		count_outcome(w, outcome);
		__sync_fetch_and_add(&w->blocked_ns, bpf_ktime_get_boot_ns() - call->began_ns);
		if (w->waiting_since_ns == call->began_ns)
			w->waiting_since_ns = 0;
	}
	send_wait_call(call, result, outcome);
	forget_wait(key);
}

/*
 * The interrupted call of the current thread does not go on: a handler without
 * SA_RESTART is about to run. (arch/x86/kernel/signal.c, handle_signal(): the
 * first handler decides, as a later one finds no error to turn into EINTR.)
 */
static __always_inline void wait_fails_with_eintr(void)
{
	const struct lt_switches *switches = lt_get_switches();
	struct wait_under_way *call;
	struct wait_key key;

	if (!switches || !switches->wait_results)
		return;
	wait_key_of(&key, lt_current());
	call = bpf_map_lookup_elem(&lt_wait_calls, &key);
	if (call && call->interrupted)
		wait_ends(&key, call, -EINTR, LT_WAIT_EINTR);
}

/* A thread that is killed in a wait call never returns from it. */
static __always_inline void wait_forsaken(struct task_struct *task)
{
	const struct lt_switches *switches = lt_get_switches();
	struct wait_key key;

	if (!switches || !switches->wait_results)
		return;
	wait_key_of(&key, task);
	if (bpf_map_lookup_elem(&lt_wait_calls, &key))
		forget_wait(&key);
}

/* ---- fork calls under way ---- */

#define CLONE_VM 0x100 /* include/uapi/linux/sched.h */
#define CLONE_VFORK 0x4000

/* The child is there. Returns how long that took; 0: its begin was not seen. */
static __always_inline __u64 fork_bears(struct task_struct *child, __u64 clone_flags)
{
	const struct lt_switches *switches = lt_get_switches();
	__u32 tid = bpf_get_current_pid_tgid();
	struct fork_under_way *call;
	__u64 now_ns;

	if (!switches || !switches->fork_calls)
		return 0;
	call = bpf_map_lookup_elem(&lt_fork_calls, &tid);
	if (!call)
		return 0;
	now_ns = bpf_ktime_get_boot_ns();
	if (clone_flags & CLONE_VFORK) {
		lt_id_of(&call->child, child);
		call->born_ns = now_ns;
	}
	return now_ns - call->began_ns;
}

#endif
