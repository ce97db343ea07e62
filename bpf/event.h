/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wire: every fact that reaches the table of lives, one record each.
 *
 * The BPF programs write these records into the ring and the task iterator's
 * file, the daemon adds what only user space can know (a look into /proc, a
 * tick of the clock, its settings) as records of its own, and a recording is
 * these records one after another. Whoever folds the same records gets the
 * same table.
 *
 * All multi-byte fields are in the byte order of the machine. All times are
 * CLOCK_BOOTTIME in nanoseconds. A record is LT_ALIGN aligned, never longer
 * than LT_RECORD_MAX, and padded with zeroes where it ends in text.
 *
 * Layout changes bump LT_WIRE_VERSION; kinds are never renumbered.
 */
#ifndef LT_EVENT_H
#define LT_EVENT_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#define LT_WIRE_VERSION 3
#define LT_ALIGN 8
#define LT_COMM_LEN 16	/* TASK_COMM_LEN */
#define LT_EXE_MAX 256	/* bytes of the path given to execve */
#define LT_ARGS_MAX 256 /* bytes of the command line, NULs included */
#define LT_CGROUP_PATH_MAX 1024
#define LT_TEXT_MAX 4096
#define LT_RECORD_MAX (LT_TEXT_MAX + 1024)

/*
 * X(number, name, payload struct): the one list of kinds. It makes the enum,
 * the names, the smallest size that is accepted, and the dispatch.
 */
// clang-format off
#define LT_KINDS(X)                                                               \
	/* from the kernel, by the ring */                                        \
	X(1, FORK, fork, lt_fork)             /* a process was born */            \
	X(2, EXEC, exec, lt_exec)             /* a new program */                 \
	X(3, EXIT, exit, lt_exit)             /* the last thread began to exit */ \
	X(4, NOTIFY, notify, lt_notify)       /* the parent was told of a death */ \
	X(5, STOP, stop, lt_stop)             /* all threads stopped */           \
	X(6, CONTINUE, continue, lt_stop)     /* and go on */                     \
	X(7, RELEASE, release, lt_release)    /* release_task(): reaped, exact */ \
	X(8, FREE, free, lt_free)             /* after an RCU grace period */     \
	X(9, WAIT, wait, lt_wait)             /* counters, at powers of two */    \
	X(10, LEADER_EXIT, leader_exit, lt_leader_exit) /* others live on */      \
	X(11, COMM, comm, lt_comm)            /* prctl(PR_SET_NAME) and the like */ \
	X(12, CGROUP, cgroup, lt_cgroup)      /* id -> path */                    \
	X(13, CGROUP_GONE, cgroup_gone, lt_cgroup)                                \
	X(14, THREAD, thread, lt_hdr)         /* counted, never sent */           \
	X(15, COW, cow, lt_cow)               /* counters, at powers of two */    \
	X(16, COW_FAULT, cow_fault, lt_cow_fault) /* one fault, of a process looked at */ \
	X(20, WAIT_CALL, wait_call, lt_wait_call) /* one call, while somebody asks */ \
	X(21, FORK_FAIL, fork_fail, lt_fork_fail) /* nobody was born */           \
	X(22, FORK_END, fork_end, lt_fork_end) /* a vfork's parent goes on */     \
	X(24, EXIT_CALL, exit_call, lt_exit_call) /* exit() or _exit() was called */ \
	X(25, NEW_FILES, new_files, lt_new_files) /* a program where none is known yet */ \
	X(26, STACK, stack, lt_stack)         /* the user registers of a fork call */ \
	X(27, STACK_PART, stack_part, lt_stack_part) /* and memory of its stack */ \
	/* from the task iterator, and from a daemon's own table */               \
	X(32, SCAN, scan, lt_life)            /* a process as the iterator met it */ \
	X(33, LIFE, life, lt_life)            /* a life as another table knew it */ \
	/* from the daemon */                                                     \
	X(40, START, start, lt_start)         /* opens a stream of records */     \
	X(41, POLICY, policy, lt_policy)                                          \
	X(42, HOOK, hook, lt_hook)            /* what serves which need */        \
	X(43, PASS_BEGIN, pass_begin, lt_pass)                                    \
	X(44, PASS_END, pass_end, lt_pass)                                        \
	X(45, SWEEP, sweep, lt_pass)          /* the ring is drained past a pass */ \
	X(46, PROC, proc, lt_proc)            /* read from /proc/PID */           \
	X(47, TICK, tick, lt_hdr)             /* time went by */                  \
	X(48, LOST, lost, lt_counts)          /* records lost since the last LOST */ \
	X(49, COUNTS, counts, lt_counts)      /* records sent since the start */      \
	X(50, TOTALS, totals, lt_totals)      /* what another table had counted */  \
	X(51, WAITS, waits, lt_wait)          /* the counters, as somebody looked */ \
	X(52, ABSENT, absent, lt_free)        /* looked for, and its pid was free */ \
	X(53, COWS, cows, lt_cow)             /* the counters, as somebody looked */ \
	X(54, TASKS, tasks, lt_tasks)         /* a process's threads, from /proc */  \
	X(55, ADOPTER, adopter, lt_adopter)   /* who would get its children */       \
	X(56, REAPING, reaping, lt_reaping)   /* how a parent reaps: from another table */ \
	X(57, ADOPTION, adoption, lt_adoption) /* of a zombie, likewise */           \
	X(58, LIMITS, limits, lt_limits)      /* how many pids a leaking parent has left */ \
	X(59, LEAK, leak, lt_leak)            /* a leak as another table knew it */ \
	X(60, SILENCE, silence, lt_silence)   /* leaks that nobody is to be told of */ \
	X(62, LEDGER, ledger, lt_ledger)      /* what the daemon had read so far */ \
	X(64, TALLIES, tallies, lt_tallies)   /* more of what another table had counted */ \
	X(65, HEALTH, health, lt_health)      /* the daemon's own, as somebody looked */ \
	X(66, ALERT_POLICY, alert_policy, lt_alert_policy)                        \
	X(67, ALERT, alert, lt_alert)         /* one of another table */          \
	X(68, NAMES, names, lt_names)         /* a container's, as its runtime or the kubelet has them */ \
	X(69, BIRTHS, births, lt_births)      /* a life's children: from another table */
// clang-format on

#define LT_KIND_MAX 70
#define LT_KERNEL_KINDS 32 /* kinds below this are counted by the kernel side */

enum lt_kind {
#define X(number, NAME, name, type) LT_##NAME = number,
	LT_KINDS(X)
#undef X
};

#define LT_NO_CPU 0xffff

struct lt_hdr {
	__u32 size; /* of the whole record, this header included */
	__u16 kind; /* enum lt_kind */
	__u16 cpu;  /* LT_NO_CPU: a kernel side's kind that the daemon made */
	__u64 time_ns;
};

/* A process: thread group id and the leader's start_boottime. pid 0: nobody. */
struct lt_id {
	__u64 start_ns;
	__u64 pid;
};

/*
 * Where a process is accounted: the cgroup2 hierarchy (hierarchy 0) unless
 * the process is in its root, otherwise the hierarchy of a v1 controller.
 */
struct lt_cgroup_id {
	__u64 id; /* kernfs node id, the inode number in cgroupfs */
	__u32 hierarchy;
	__u32 reserved;
};

/*
 * How a wait call ended. REPORTED: of a child that stopped, continued or
 * trapped, or that was only looked at (WNOWAIT). RESTARTED: interrupted, and
 * the same call goes on; it is no end.
 */
// clang-format off
#define LT_WAIT_ENDS(X)          \
	X(REAPED, reaped)        \
	X(REPORTED, reported)    \
	X(NOTHING, nothing)      \
	X(ECHILD, echild)        \
	X(EINTR, eintr)          \
	X(FAILED, failed)        \
	X(UNKNOWN, unknown)      \
	X(RESTARTED, restarted)
// clang-format on

enum lt_wait_outcome {
#define X(NAME, name) LT_WAIT_##NAME,
	LT_WAIT_ENDS(X)
#undef X
		LT_WAIT_OUTCOMES
};

/*
 * What the wait calls of a process's program asked for: counted anew from its
 * first one after an exec. calls are all of them. Whom they asked for, and how,
 * is counted of those that are for the dead: waitid() without WEXITED is not.
 */
struct lt_waits {
	__u64 start_ns; /* of the process: the key is only its pid */
	__u64 calls;
	__u64 last_ns;
	__u64 any, pid, group, pidfd; /* whom they asked for */
	__u64 nohang, wall, wclone, nowait;
	__s64 last_pid;
	__u32 last_options;
	__u8 last_call;	 /* enum lt_wait_call_kind */
	__u8 last_which; /* enum lt_wait_which */
	__u16 program;	 /* tells apart what it runs before and after an exec; 0: not known */
	/* of the calls whose end was observed */
	__u64 outcome[LT_WAIT_OUTCOMES];
	__u64 blocked_ns;
	__u64 waiting_since_ns; /* begin of the newest call; 0: it has returned */
};

enum lt_wait_call_kind { LT_WAIT_OTHER, LT_WAIT4, LT_WAITID, LT_WAITPID };
enum lt_wait_which { LT_WAIT_ANY, LT_WAIT_PID, LT_WAIT_GROUP, LT_WAIT_PIDFD };

/*
 * Write faults of a process on present, write-protected, private pages. Counted
 * from since_ns on: a process that was long silent can have lost its place in
 * the kernel's table, and begins anew.
 */
struct lt_cow_counts {
	__u64 since_ns; /* 0: it has no place, and none was counted */
	__u64 copies;	/* pages that the kernel allocated and filled */
	__u64 reuses;	/* faults on a page that was no longer shared */
};

#define LT_FORK_KERNEL 0x1 /* the child is a kernel thread */
#define LT_FORK_SIZES 0x2  /* rss_pages and pagetable_bytes are known */

struct lt_fork {
	struct lt_hdr hdr;
	struct lt_id child;
	struct lt_id parent;  /* real_parent */
	struct lt_id creator; /* who called; another one with CLONE_PARENT */
	struct lt_cgroup_id cgroup;
	struct lt_cow_counts creator_cow; /* the creator's until now */
	__u64 clone_flags;		  /* without the exit signal */
	__u32 creator_tid;
	__u32 uid;
	__s32 exit_signal;
	__u32 ns_pid;		/* its pid in its own namespace */
	__u32 parent_level_pid; /* in its parent's namespace: what fork returned */
	__u32 flags;
	__u64 duration_ns;     /* from the call's entry to this record; 0: not observed */
	__u64 rss_pages;       /* of the child; 0 where it shares its parent's memory */
	__u64 pagetable_bytes; /* likewise */
	char comm[LT_COMM_LEN];
};

#define LT_EXEC_EXE_CUT 0x1  /* the path was longer */
#define LT_EXEC_ARGS_CUT 0x2 /* the command line was longer */
#define LT_EXEC_NO_ARGS 0x4  /* it could not be read */

struct lt_exec {
	struct lt_hdr hdr;
	struct lt_id id;
	struct lt_cgroup_id cgroup;
	struct lt_id parent;		      /* nobody where COW is not observed */
	struct lt_cow_counts cow, parent_cow; /* until now */
	__u32 uid;
	__u32 old_tid; /* the thread that called execve */
	__u32 flags;
	__u16 exe_len;	/* bytes of text that are the path */
	__u16 args_len; /* bytes that follow: arguments, each ended by a NUL */
	char comm[LT_COMM_LEN];
	char text[];
};

#define LT_EXIT_TRACED 0x1	    /* a tracer is told first */
#define LT_EXIT_SIGCHLD_IGNORED 0x2 /* the parent has SIG_IGN: it is autoreaped untold */

struct lt_exit {
	struct lt_hdr hdr;
	struct lt_id id;
	struct lt_id parent;
	struct lt_id adopter; /* who gets its children */
	struct lt_id tracer;
	struct lt_cow_counts cow, parent_cow; /* until now */
	__s32 exit_code;		      /* as wait(2) reports it */
	__s32 exit_signal;
	__u32 uid;
	__u32 flags;
};

#define LT_NOTIFY_AUTOREAP 0x1	/* SA_NOCLDWAIT: nobody needs to wait */
#define LT_NOTIFY_TRACED 0x2	/* the tracer was told, not the parent */
#define LT_NOTIFY_COALESCED 0x4 /* a SIGCHLD was pending already */
#define LT_NOTIFY_BLOCKED 0x8	/* the parent's thread blocks the signal */
#define LT_NOTIFY_UNTRACED 0x10 /* a tracer let go; id.start_ns is 0 */

enum lt_disposition { LT_SIG_DFL, LT_SIG_IGN, LT_SIG_HANDLER };

struct lt_notify {
	struct lt_hdr hdr;
	struct lt_id id;
	struct lt_id parent;
	struct lt_id tracer;
	__s32 exit_code;
	__u32 flags;
	__u32 sa_flags; /* of the parent's SIGCHLD action */
	__u32 disposition;
	struct lt_waits parent_waits; /* at this moment; all 0 when it never waited */
};

#define LT_STOP_SEEN 0x1 /* the parent was sent SIGCHLD */

struct lt_stop {
	struct lt_hdr hdr;
	struct lt_id id;
	__u32 signal;
	__u32 flags;
};

/* The first call of a program; what follows from it is not sent. */
struct lt_exit_call {
	struct lt_hdr hdr;
	struct lt_id id;
	__u32 handlers; /* 1: exit(), whose handlers run now; 0: _exit() */
	__u32 reserved;
};

/* What a path means to a process: its mount namespace, and its root in that. */
struct lt_files {
	__u32 mntns; /* inode number */
	__u32 root_device;
	__u64 root_inode;
};

struct lt_new_files {
	struct lt_hdr hdr;
	struct lt_id id;
	struct lt_files files;
};

struct lt_release {
	struct lt_hdr hdr;
	struct lt_id id;
	struct lt_id by;
};

struct lt_free {
	struct lt_hdr hdr;
	struct lt_id id;
};

struct lt_wait {
	struct lt_hdr hdr;
	struct lt_id id;
	struct lt_waits waits;
};

/* One wait call's end, or its interruption (outcome RESTARTED). */
struct lt_wait_call {
	struct lt_hdr hdr;
	struct lt_id id;
	__u64 began_ns;
	__s64 result; /* > 0: the child's pid as the caller sees it; < 0: -errno */
	__s32 pid;    /* whom it asked for: a pid, group or descriptor */
	__u32 options;
	__u32 tid;
	__u32 restarts;
	__u8 call;    /* enum lt_wait_call_kind */
	__u8 which;   /* enum lt_wait_which */
	__u8 outcome; /* enum lt_wait_outcome */
	__u8 reserved[5];
};

struct lt_fork_fail {
	struct lt_hdr hdr;
	struct lt_id parent; /* who called */
	__u64 clone_flags;
	__u64 duration_ns;
	__u32 tid;
	__u32 err; /* errno */
};

struct lt_fork_end {
	struct lt_hdr hdr;
	struct lt_id child;
	__u64 vfork_wait_ns; /* from the child's birth to the parent's going on */
};

struct lt_cow {
	struct lt_hdr hdr;
	struct lt_id id;
	struct lt_cow_counts counts;
};

enum lt_cow_result { LT_COW_REUSE, LT_COW_COPY };

struct lt_cow_fault {
	struct lt_hdr hdr;
	struct lt_id id;
	__u64 address;
	__u64 begin_ns;
	__u64 duration_ns; /* 0: its end is not seen */
	__u32 tid;
	__u32 result; /* enum lt_cow_result */
};

/* What the kernel keeps of a process: a value of the map lt_cows, by tgid. */
struct lt_cow_entry {
	__u64 start_ns; /* of the process: the key is only its pid */
	struct lt_cow_counts counts;
	__u64 copies_due, reuses_due; /* sent when they come to so many */
	__u64 look;		      /* the daemon's, at which it was last noted as changed */
};

#define LT_COW_CHANGES 1024

/*
 * Whose counts have changed since the daemon looked last, as one CPU noted them:
 * a ring, in which each process is noted once between two looks. A value of the
 * map lt_cow_changes.
 */
struct lt_cow_changes {
	__u64 look;  /* counts the daemon's looks, from 1 on; the daemon writes it */
	__u64 count; /* noted so far */
	__u32 tgid[LT_COW_CHANGES];
};

#define LT_COW_SLOTS 4096
#define LT_COW_UNSETTLED 3 /* faults of a thread whose area could not be looked up at the time */

/*
 * And of a thread: the fault that it is in, and what it counted since that was
 * last added to its process's. What a fault needs is in one cache line.
 */
struct lt_cow_slot {
	__u32 tid; /* 0: nobody's */
	__u32 seq; /* of the memory map when the area was looked up */
	__s16 copies, reuses;
	__u8 is_private;	    /* the area */
	__u8 unsettled;		    /* how many */
	__u16 pages;		    /* allocated in the fault so far */
	__u64 address;		    /* of the fault; 0: in none */
	__u64 regs;		    /* the exception's registers, on the kernel's stack */
	__u64 ip;		    /* and what they say */
	__u64 mm;		    /* the areas' */
	__u64 area_begin, area_end; /* that the last fault lay in */
	__u64 start_ns;		    /* of the process */
	__u64 begin_ns;		    /* of the fault, if each of the process is sent */
	__u32 tgid;
	__u8 is_counted; /* the fault, as a reuse so far */
	__u8 other_is_private;
	__u16 reserved;
	__u64 other_begin, other_end; /* the area before that one */
	__u64 unsettled_addresses[LT_COW_UNSETTLED];
};

struct lt_leader_exit {
	struct lt_hdr hdr;
	struct lt_id id;
	__s32 exit_code;
	__u32 reserved;
};

struct lt_comm {
	struct lt_hdr hdr;
	struct lt_id id;
	char comm[LT_COMM_LEN];
};

#define LT_CGROUP_RENAMED 0x1 /* and so is all that is below it */

struct lt_cgroup {
	struct lt_hdr hdr;
	struct lt_cgroup_id cgroup;
	__u32 path_len;
	__u32 flags;
	char path[];
};

/* What a container is called; a length of 0: nobody says. */
struct lt_names {
	struct lt_hdr hdr;
	struct lt_cgroup_id cgroup;
	__u16 container_len, pod_len, namespace_len, reserved;
	char text[]; /* in this order */
};

/* A life's state as it travels; the core has no other. */
enum lt_state {
	LT_RUNNING = 1,
	LT_STOPPED,
	LT_DEAD_LEADER,
	LT_EXITING,
	LT_ZOMBIE,
	LT_REAPED,
};

/* How a reap became known: LOOK and FREE after the fact, SCAN by inference. */
enum lt_reap_source {
	LT_REAP_UNKNOWN,
	LT_REAP_RELEASE,
	LT_REAP_FREE,
	LT_REAP_LOOK,
	LT_REAP_SCAN,
};

#define LT_LIFE_KERNEL 0x1
#define LT_LIFE_INFERRED 0x2
#define LT_LIFE_ORPHAN 0x4
#define LT_LIFE_AUTOREAPED 0x8
#define LT_LIFE_ARGS_CUT 0x10
#define LT_LIFE_ARGS_UNKNOWN 0x20
#define LT_LIFE_FORK_SEEN 0x40 /* its own FORK record came */
#define LT_LIFE_EXIT_SEEN 0x80 /* its own EXIT record came */
#define LT_LIFE_NOTIFY_SEEN 0x100
#define LT_LIFE_SIGCHLD_IGNORED 0x200
#define LT_LIFE_HAS_STATUS 0x400     /* exit_code means something */
#define LT_LIFE_FORK_SIZES 0x800     /* rss_pages and pagetable_bytes are known */
#define LT_LIFE_FORK_SHARES 0x1000   /* LIFE: it shares pages with its creator still */
#define LT_LIFE_CALLED__EXIT 0x10000 /* it called _exit(), not exit() */
#define LT_LIFE_NAMED_ONLY 0x20000   /* others' records name it; of its own none came */

/* Failed calls by errno; those that find no slot are counted in the last one, as 0. */
#define LT_FAILURES 8

struct lt_failure {
	__u32 err; /* 0: others */
	__u32 count;
};

/*
 * All that is known of one life: the iterator fills in what a task_struct
 * tells (SCAN), a table that is handed on fills in all of it (LIFE).
 */
struct lt_life {
	struct lt_hdr hdr;
	struct lt_id id;
	struct lt_id parent;
	struct lt_id tracer;
	struct lt_id first_parent;
	struct lt_id born_of;
	struct lt_id adopted_by; /* SCAN: who would get its children */
	struct lt_id reaped_by;
	struct lt_cgroup_id cgroup;
	__u64 clone_flags;
	__u64 forked_ns, exec_ns, exit_called_ns, exited_ns, zombie_ns, reaped_ns;
	__u64 flagged_ns;
	__u64 leak_since_ns, leak_shrunk_ns; /* as a parent: see daemon/core/policy.c */
	struct lt_waits waits;		     /* of its own; calls 0: none known */
	struct lt_waits waits_at_death;	     /* its parent's */
	__u64 fork_duration_ns, vfork_wait_ns, rss_pages, pagetable_bytes; /* see lt_fork */
	struct lt_failure fork_failures[LT_FAILURES];			   /* of its own */
	struct lt_cow_counts cow;					   /* likewise */
	__u64 reserved_ns;						   /* 0 */
	__u64 cow_copies_before, cow_reuses_before; /* counted before cow.since_ns */
	struct lt_id fork_creator;		    /* pid 0: what its fork cost is not kept */
	__u64 fork_ended_ns;
	__u64 fork_creator_copies, fork_creator_reuses; /* since the fork, while it shared */
	__u64 fork_child_copies, fork_child_reuses;
	__u32 sa_flags, notify_flags, disposition; /* see lt_notify */
	__u32 uid, ns_pid;
	__s32 exit_code, exit_signal;
	__u32 flags;
	__u8 state;	  /* enum lt_state */
	__u8 reap_source; /* enum lt_reap_source */
	__u16 exe_len, args_len;
	__u16 reserved;
	char comm[LT_COMM_LEN];
	char text[]; /* as in lt_exec */
};

/* How far up a stack is copied: from the part that its pointer is in, 8 KiB and more. */
#define LT_STACK_PART_BYTES 1024
#define LT_STACK_PARTS 9
#define LT_STACK_REGS 33
#define LT_STACK_PARENTS 4096 /* whose stacks are taken at a time */

struct lt_stack {
	struct lt_hdr hdr;
	struct lt_id id; /* of the child */
	struct lt_id parent;
	__u32 tid; /* who called */
	__u32 reg_count;
	__u64 regs[LT_STACK_REGS]; /* in the order of the machine's DWARF numbers, then the pc */
};

/* They come in the order of their addresses. */
struct lt_stack_part {
	struct lt_hdr hdr;
	struct lt_id id;
	__u64 address;
	__u8 bytes[LT_STACK_PART_BYTES];
};

struct lt_start {
	struct lt_hdr hdr;
	__u64 boot_realtime_ns; /* CLOCK_REALTIME minus CLOCK_BOOTTIME */
	__u64 started_ns;
	__u64 page_bytes;
	__u64 ring_bytes;
};

struct lt_policy {
	struct lt_hdr hdr;
	__u64 zombie_age_ns;
	__u64 leak_age_ns;
	__u64 leak_settle_ns;
	__u64 reaped_keep_ns;
	__u64 memory_max_bytes;
	__u32 leak_count;
	__u16 ignore_comm_len, ignore_unit_len;
	char text[]; /* globs, comma-separated: of comms, then of units */
};

struct lt_hook {
	struct lt_hdr hdr;
	__u64 since_ns; /* in use since then; 0: since it was not "off" for the first time */
	__u32 what_len, value_len;
	char text[]; /* the need, then what serves it */
};

struct lt_pass {
	struct lt_hdr hdr;
	__u64 begin_ns; /* of the pass this record belongs to */
	__u32 seed;	/* the first pass: what it finds is no repair */
	__u32 reserved;
};

#define LT_PROC_ARGS 0x1 /* the command line was read (it may be empty) */
#define LT_PROC_EXE 0x2	 /* the path of the executable was read */
#define LT_PROC_ARGS_CUT 0x4
#define LT_PROC_CGROUP 0x8    /* only wanted, never sent: it comes as LT_CGROUP */
#define LT_PROC_TASKS 0x10    /* likewise, as LT_TASKS */
#define LT_PROC_ADOPTER 0x20  /* likewise, as LT_ADOPTER, and not from /proc */
#define LT_PROC_IO_URING 0x40 /* with LT_PROC_TASKS: whether it holds an io_uring */

struct lt_proc {
	struct lt_hdr hdr;
	struct lt_id id;
	__u32 flags;
	__u16 exe_len, args_len;
	char text[];
};

#define LT_THREAD_WAITS 0x1 /* it is in a wait call: call and what follows */
#define LT_THREAD_BLOCKS_SIGCHLD 0x2

/* One thread, as /proc/PID/task/TID shows it. */
struct lt_thread {
	__u32 tid;
	__s32 pid; /* whom it waits for, as it sees pids */
	__u32 options;
	__u8 state; /* 'R', 'S', 'D', 'T', 't': proc_pid_stat(5) */
	__u8 flags;
	__u8 call;	/* enum lt_wait_call_kind */
	__u8 which;	/* enum lt_wait_which */
	char wchan[32]; /* the kernel function that it sleeps in; "": unknown */
};

#define LT_TASKS_FROZEN 0x1	   /* its cgroup is */
#define LT_TASKS_REAPED_BEFORE 0x2 /* children that were waited for are accounted to it */
#define LT_TASKS_CALLS 0x4	   /* what system calls its threads are in could be read */
#define LT_TASKS_FREEZER 0x8   /* frozen by cgroup v1's freezer: by a cgroup of that hierarchy */
#define LT_TASKS_IO_URING 0x10 /* it holds an io_uring, which can wait for children */
#define LT_THREADS_TOLD 8

/* The threads of a process. Those that wait are told first. */
struct lt_tasks {
	struct lt_hdr hdr;
	struct lt_id id;
	__u64 still_ns; /* no thread has run since then, as far as is known; 0: not known */
	__u64 switches; /* context switches of those looked at */
	__u64 sig_pending, sig_ignored, sig_caught; /* of the process: bit n - 1 is signal n */
	__u32 threads;				    /* in all */
	__u32 looked;				    /* so many of them are in the counts */
	__u32 running, sleeping, uninterruptible, stopped, traced, dead;
	__u32 waiting; /* in wait calls */
	__u32 flags;
	__u32 told;
	__u32 reserved;
	struct lt_thread thread[];
};

struct lt_adopter {
	struct lt_hdr hdr;
	struct lt_id id;
	struct lt_id adopter;
};

/* Counts of a parent's children at one moment. */
struct lt_reap_mark {
	__u64 ns;
	__u64 born, died, reaped;
};

/*
 * Latencies from a child's death to its reap are counted in buckets of a
 * quarter of an octave; all are halved when one is full.
 */
#define LT_REAP_BUCKETS 112

struct lt_reaping {
	struct lt_hdr hdr;
	struct lt_id id;
	struct lt_id adopter; /* of its children; pid 0: not known */
	__u64 since_ns;
	__u64 born, died, reaped;
	__u64 notified, coalesced; /* deaths by SIGCHLD, and of these into a pending one */
	__u64 any_before;	   /* its wait calls for any child before the first of these */
	__u64 slowest_ns, last_reaped_ns;
	__u32 late_reaps; /* not 0: reaps were told late, see LT_REAP_FREE */
	__u32 reserved;
	struct lt_reap_mark marks[2]; /* rates are taken from: older, newer */
	__u16 latency[LT_REAP_BUCKETS];
};

struct lt_adoption {
	struct lt_hdr hdr;
	struct lt_id id;
	__u64 since_ns;
};

/* How many children a process has borne, threads' included. */
struct lt_births {
	struct lt_hdr hdr;
	struct lt_id id;
	__u64 count;
	__u64 second;	   /* of boot time, that of the latest */
	__u32 now, before; /* in that second, and in the one before it */
};

/* X(NAME, name): what bounds the number of pids; see daemon/pid_limits.h. */
// clang-format off
#define LT_LIMIT_KINDS(X)                      \
	X(PID_MAX, "kernel.pid_max")           \
	X(THREADS_MAX, "kernel.threads-max")   \
	X(CGROUP, "pids.max")                  \
	X(NPROC, "RLIMIT_NPROC")
// clang-format on

enum lt_limit_kind {
#define X(NAME, name) LT_LIMIT_##NAME,
	LT_LIMIT_KINDS(X)
#undef X
		LT_LIMIT_COUNT
};

#define LT_NO_LIMIT (~0ULL)

/* In tasks: threads, and zombies too. */
struct lt_limit {
	__u64 max; /* LT_NO_LIMIT: there is none, or it could not be read */
	__u64 used;
};

/* What a parent's next fork is measured by. */
struct lt_limits {
	struct lt_hdr hdr;
	struct lt_id id;
	struct lt_limit limit[LT_LIMIT_COUNT];
	__u32 path_len;	   /* of the cgroup that is nearest to its limit, it or an ancestor */
	__u32 pid_ns_init; /* of the pid namespace that pid_max is of: its init's pid; 0: the host */
	char path[];
};

/*
 * No record, but what the second iterator says: a task, and of its
 * pid namespaces the one with the fewest pids left.
 */
struct lt_ns_task {
	struct lt_id id; /* of its process */
	__u32 nr;	 /* its pid there */
	__u32 ns;	 /* the namespace's inode */
	__u32 init;	 /* and its init's pid, as the host counts */
	__u32 pid_max, allocated;
	__u32 next; /* pids are given out from here on */
};

/* Zombies that a parent gained less those it lost: so many slots of so long. */
#define LT_RATE_SLOTS 30
#define LT_RATE_SLOT_NS 10000000000ULL

struct lt_rate {
	__u64 slot;		  /* number of the newest: its begin by LT_RATE_SLOT_NS */
	__s32 net[LT_RATE_SLOTS]; /* of slot n at n modulo LT_RATE_SLOTS */
};

struct lt_leak {
	struct lt_hdr hdr;
	struct lt_id id; /* the parent */
	struct lt_rate rate;
	__u32 told; /* somebody was told that it is open */
	__u32 reserved;
};

enum lt_silence_kind { LT_SILENCE_UNIT, LT_SILENCE_COMM, LT_SILENCE_PID };

/* Replaces one of the same kind and text. */
struct lt_silence {
	struct lt_hdr hdr;
	struct lt_id id; /* of a pid */
	__u64 until_ns;	 /* 0: no more */
	__u32 kind;	 /* enum lt_silence_kind */
	__u32 text_len;
	char text[]; /* a glob for units or names; a pid */
};

struct lt_counts {
	struct lt_hdr hdr;
	__u64 count[LT_KERNEL_KINDS];
};

struct lt_totals {
	struct lt_hdr hdr;
	__u64 forks, execs, exits, reaps;
	__u64 repairs, refused, bad_records;
	__u64 lost[LT_KERNEL_KINDS];
	struct lt_failure fork_failures[LT_FAILURES];
};

/* Durations by size; what each bucket holds is in daemon/core/metrics.c. The last has no bound. */
#define LT_BUCKETS 12

struct lt_histogram {
	__u64 count[LT_BUCKETS];
	__u64 sum_ns;
};

enum lt_end { LT_END_UNKNOWN, LT_END_EXITED, LT_END_KILLED, LT_END_DUMPED, LT_ENDS };
enum lt_reap { LT_REAP_WAITED, LT_REAP_AUTO, LT_REAP_INFERRED, LT_REAPS };
#define LT_SIGNALS 65 /* 0: none; up to _NSIG */

struct lt_tallies {
	struct lt_hdr hdr;
	__u64 ends[LT_ENDS][LT_SIGNALS];
	__u64 reaps[LT_REAPS];
	__u64 cow_copies, cow_reuses;
	struct lt_histogram reap_latency;  /* of zombies, from their begin */
	struct lt_histogram fork_duration; /* of those that were observed */
};

struct lt_health {
	struct lt_hdr hdr;
	__u64 start_realtime_ns;
	__u64 cpu_ns; /* user and system */
	__u64 rss_bytes, virtual_bytes;
	__u64 open_fds, max_fds;
	__u64 ring_highest_bytes;
	struct lt_histogram event_delay; /* from a record's time until it is folded */
	__u32 syscall_hooks;		 /* those that tax every system call are on */
	__u32 journal_dropped;		 /* entries that journald did not take */
};

struct lt_alert_policy {
	struct lt_hdr hdr;
	__u64 flagged_limit; /* 0: none */
	__u64 storm_per_s;   /* births; 0: no limit */
	__u64 storm_for_ns;
	__u64 pids_within_ns; /* 0: never */
	__u64 settle_ns;
	__u32 host_len;
	__u32 self_pid; /* the daemon's; 0: not told */
	char text[];	/* the host's name */
};

struct lt_alert {
	struct lt_hdr hdr;
	struct lt_id parent; /* whose leak it is, or who bears a storm; pid 0: nobody */
	__u64 since_ns;	     /* it fires since; 0: it does not */
	__u64 held_ns;	     /* its condition holds since */
	__u64 calm_ns;	     /* it fires, and its condition does not hold since */
	__u64 value;
	__u32 alert; /* enum alert_kind */
	__u32 hook;  /* that tells nothing: see alert_hooks; 0: none */
};

/*
 * Of a daemon's own: what it had read of the kernel side, so that the next one
 * goes on from there. The table does not need it.
 */
struct lt_ledger {
	struct lt_hdr hdr;
	__u64 received[LT_KERNEL_KINDS];
	__u64 lost[LT_KERNEL_KINDS]; /* of what the kernel side says, told so far */
	struct lt_hdr last;	     /* of the ring's record that may be met again; size 0: none */
	struct lt_id last_id;	     /* what follows its header */
};

/*
 * Maps that are bounded: where more is wanted, what was used longest ago goes.
 * What was put in, less what was taken out and what is still there, is what
 * has gone that way.
 */
enum lt_bounded {
	LT_BOUNDED_WAITS,
	LT_BOUNDED_CALLS,
	LT_BOUNDED_FORKS,
	LT_BOUNDED_COWS,
	LT_BOUNDED
};

/* What the daemon tells the kernel side: one, in an array. */
struct lt_switches {
	__u32 wait_results; /* the end of wait calls is observed */
	__u32 wait_calls;   /* and each of them sent */
	__u32 fork_calls;   /* begin and end of fork calls are observed */
	__u32 syscalls;	    /* by system call tracepoints: those of 32-bit programs are not */
};

/*
 * Which generation of programs works. Pinned programs outlive their daemon, and
 * the next daemon's may be attached beside them: only those whose lt_generation
 * this is do anything. One, in a map that all objects of a daemon share; what
 * it says at first is right for programs that nobody pins. All that a page fault
 * asks of the daemon is here: a further page takes some 40 ns of a copy.
 */
struct lt_gate {
	__u64 generation;    /* 0: none, as no daemon has been heard of */
	__u64 until_boot_ns; /* for so long it is known that there is a daemon, */
	__u64 until_mono_ns; /* by both clocks: in a suspended host it is not late */
	__u64 quiet_ns;	     /* since when none works; 0: one does */
	__u32 looked_at;     /* the process whose every COW fault is sent; 0: none */
	__u32 reserved;
};

#define LT_GATE_OPEN                                                            \
	{                                                                       \
		.generation = 1, .until_boot_ns = ~0ULL, .until_mono_ns = ~0ULL \
	}

/*
 * What no record tells. One per CPU, in an array that the daemon maps: no
 * system call to look.
 */
struct lt_counters {
	__u64 threads;	  /* born */
	__u64 newest_tid; /* of them: two generations of programs count it once */
	__u64 lost[LT_KERNEL_KINDS];
	__u64 put[LT_BOUNDED];
	__u64 taken[LT_BOUNDED];
} __attribute__((aligned(128)));

#define LT_ASSERT(what) _Static_assert(what, #what)
#define LT_OFFSET(type, member) __builtin_offsetof(struct type, member)

LT_ASSERT(sizeof(struct lt_hdr) == 16);
LT_ASSERT(LT_OFFSET(lt_hdr, kind) == 4);
LT_ASSERT(LT_OFFSET(lt_hdr, time_ns) == 8);
LT_ASSERT(sizeof(struct lt_id) == 16);
LT_ASSERT(sizeof(struct lt_cgroup_id) == 16);
LT_ASSERT(sizeof(struct lt_waits) == 184);
LT_ASSERT(sizeof(struct lt_cow_counts) == 24);
LT_ASSERT(sizeof(struct lt_fork) == 176);
LT_ASSERT(LT_OFFSET(lt_fork, clone_flags) == 104);
LT_ASSERT(LT_OFFSET(lt_exec, text) == 144);
LT_ASSERT(sizeof(struct lt_exit) == 144);
LT_ASSERT(sizeof(struct lt_notify) == 264);
LT_ASSERT(sizeof(struct lt_stop) == 40);
LT_ASSERT(sizeof(struct lt_exit_call) == 40);
LT_ASSERT(sizeof(struct lt_new_files) == 48);
LT_ASSERT(sizeof(struct lt_release) == 48);
LT_ASSERT(sizeof(struct lt_free) == 32);
LT_ASSERT(sizeof(struct lt_wait) == 216);
LT_ASSERT(sizeof(struct lt_wait_call) == 72);
LT_ASSERT(sizeof(struct lt_fork_fail) == 56);
LT_ASSERT(sizeof(struct lt_fork_end) == 40);
LT_ASSERT(sizeof(struct lt_switches) == 16);
LT_ASSERT(sizeof(struct lt_cow) == 56);
LT_ASSERT(sizeof(struct lt_cow_fault) == 64);
LT_ASSERT(sizeof(struct lt_cow_entry) == 56);
LT_ASSERT(sizeof(struct lt_cow_changes) == 16 + 4 * LT_COW_CHANGES);
LT_ASSERT(LT_OFFSET(lt_cow_slot, start_ns) == 64);
LT_ASSERT(sizeof(struct lt_cow_slot) == 128);
LT_ASSERT(sizeof(struct lt_leader_exit) == 40);
LT_ASSERT(sizeof(struct lt_comm) == 48);
LT_ASSERT(LT_OFFSET(lt_cgroup, path) == 40);
LT_ASSERT(LT_OFFSET(lt_names, text) == 40);
LT_ASSERT(LT_OFFSET(lt_life, waits) == 224);
LT_ASSERT(LT_OFFSET(lt_life, text) == 848);
LT_ASSERT(sizeof(struct lt_start) == 48);
LT_ASSERT(LT_OFFSET(lt_policy, text) == 64);
LT_ASSERT(LT_OFFSET(lt_hook, text) == 32);
LT_ASSERT(sizeof(struct lt_pass) == 32);
LT_ASSERT(LT_OFFSET(lt_proc, text) == 40);
LT_ASSERT(sizeof(struct lt_thread) == 48);
LT_ASSERT(LT_OFFSET(lt_tasks, thread) == 120);
LT_ASSERT(sizeof(struct lt_adopter) == 48);
LT_ASSERT(sizeof(struct lt_reaping) == 416);
LT_ASSERT(sizeof(struct lt_adoption) == 40);
LT_ASSERT(sizeof(struct lt_births) == 56);
LT_ASSERT(sizeof(struct lt_stack) == 320);
LT_ASSERT(sizeof(struct lt_stack_part) == 1064);
LT_ASSERT(LT_OFFSET(lt_limits, path) == 104);
LT_ASSERT(sizeof(struct lt_ns_task) == 40);
LT_ASSERT(sizeof(struct lt_leak) == 168);
LT_ASSERT(LT_OFFSET(lt_silence, text) == 48);
LT_ASSERT(sizeof(struct lt_counts) == 272);
LT_ASSERT(sizeof(struct lt_totals) == 392);
LT_ASSERT(sizeof(struct lt_histogram) == 104);
LT_ASSERT(LT_OFFSET(lt_tallies, reap_latency) == 2136);
LT_ASSERT(sizeof(struct lt_tallies) == 2344);
LT_ASSERT(LT_OFFSET(lt_health, event_delay) == 72);
LT_ASSERT(sizeof(struct lt_health) == 184);
LT_ASSERT(sizeof(struct lt_ledger) == 560);
LT_ASSERT(sizeof(struct lt_gate) == 40);
LT_ASSERT(sizeof(struct lt_counters) == 384);
LT_ASSERT(LT_OFFSET(lt_alert_policy, text) == 64);
LT_ASSERT(sizeof(struct lt_alert) == 72);
#undef LT_OFFSET

#endif
