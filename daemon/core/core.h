/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The core: a table of process lives, folded from records (bpf/event.h).
 *
 * It owns the lives, what is known of cgroups, the zombie and leak policy and
 * all counts. It is pure: no clock, no file, no socket, no BPF, no logging.
 * Time comes with the records, so the same records make the same table, the
 * same changes in the same order, and the same text, anywhere.
 */
#ifndef LT_CORE_H
#define LT_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"

struct alert_change;
struct core;
struct life;

/*
 * X(NAME, name): what can be told of a life, in `tail` and to alerts. The one
 * list: enum, names, dispatch.
 */
// clang-format off
#define LT_CHANGES(X)               \
	X(FORK, "fork")             \
	X(FORK_FAIL, "fork-fail")   \
	X(EXEC, "exec")             \
	X(EXIT, "exit")             \
	X(ZOMBIE, "zombie")         \
	X(FLAGGED, "flagged")       \
	X(REAP, "reap")             \
	X(AUTOREAP, "autoreap")     \
	X(ORPHAN, "orphan")         \
	X(STOP, "stop")             \
	X(CONTINUE, "continue")     \
	X(WAIT, "wait")             \
	X(COW, "cow")               \
	X(COW_FAULT, "cow-fault")   \
	X(LEAK_OPEN, "leak-open")   \
	X(LEAK_CLOSE, "leak-close") \
	X(LOST, "lost")             \
	X(ALERT, "alert")
// clang-format on

enum change_kind {
#define X(NAME, name) CHANGE_##NAME,
	LT_CHANGES(X)
#undef X
		CHANGE_KINDS
};

extern const char *const change_names[CHANGE_KINDS];

/*
 * A change, valid during the call only. `life` is the process it is about (a
 * leak's parent), NULL for CHANGE_LOST. `record` is the record that made it,
 * where its view needs more than the life tells; otherwise NULL.
 */
struct change {
	enum change_kind kind;
	uint64_t time_ns;
	const struct life *life;
	const struct lt_hdr *record;
	const char *reason;	 /* of a leak */
	const char *comm_before; /* of an exec */
	struct lt_id was_parent; /* of an orphan */
	const struct alert_change *alert;
};

typedef void (*core_change_fn)(void *user, const struct change *change);
typedef void (*core_emit_fn)(void *user, const struct lt_hdr *record);

/* An empty table with the default policy. on_change may be NULL. NULL: no memory. */
struct core *core_new(core_change_fn on_change, void *user);
void core_free(struct core *core);

/*
 * Folds one record of len bytes, 8-byte aligned. Returns 0, or -EBADMSG for a
 * record of the wrong size or an unknown kind: it is counted and skipped.
 */
int core_apply(struct core *core, const void *record, size_t len);

/* When the policy has something to do (a TICK does it); UINT64_MAX: never. */
uint64_t core_next_due_ns(const struct core *core);

/* Boot-time of the newest record. */
uint64_t core_now_ns(const struct core *core);

/* Whether an LT_COWS record says anything that the table does not know. */
bool core_is_news(const struct core *core, const struct lt_cow *record);
/* Lives in the table, those that are over too. */
size_t core_life_count(const struct core *core);
/* Whether the process is in the table and lives. */
bool core_lives(const struct core *core, uint64_t pid);
/* The same, and which it is. */
bool core_find(const struct core *core, uint64_t pid, struct lt_id *id);

/* Totals that the daemon's own reports need without a view. */
struct core_totals {
	uint64_t forks, execs, exits, reaps, repairs, refused, bad_records;
	__u64 lost[LT_KERNEL_KINDS];
	size_t memory_bytes;
	uint32_t processes, zombies, flagged, leaks;
	uint32_t dying; /* exiting, or zombies */
	uint32_t states[LT_REAPED + 1];
	uint64_t cow_copies, cow_reuses;
};

struct core_totals core_totals(const struct core *core);

/*
 * Gives, as records, all that another core needs to go on from here: START,
 * POLICY, ALERT_POLICY, ALERT, HOOK, SILENCE, CGROUP, LIFE, LEAK, LIMITS, COUNTS, TOTALS,
 * TALLIES.
 */
void core_dump(const struct core *core, core_emit_fn emit, void *user);
/* The same with no more of the reaped than so many, the latest. */
void core_dump_lately(const struct core *core, size_t reaped_max, core_emit_fn emit, void *user);

/* The smallest valid size of a kind; 0 for an unknown one. */
size_t core_min_size(unsigned kind);
const char *core_kind_name(unsigned kind);

/*
 * Calls fn for each process that lives or is a zombie and of which /proc could
 * tell what no record has told: LT_PROC_*. fn must not change the core.
 */
typedef void (*core_want_fn)(void *user, struct lt_id id, struct lt_cgroup_id cgroup,
			     uint32_t proc_flags);
void core_each_want(const struct core *core, core_want_fn fn, void *user);

/* The same, but only for what parents of flagged zombies are judged by. */
void core_each_judged(const struct core *core, core_want_fn fn, void *user);
/*
 * And for those who have none, and within a second will have: their threads. A judgement at that
 * moment cannot tell whether they are blocked otherwise. The same parent may come several times.
 */
void core_each_judged_soon(const struct core *core, core_want_fn fn, void *user);

/*
 * The same for who is asked about by pid: that process and its parent, with
 * LT_PROC_TASKS and LT_PROC_ADOPTER.
 */
void core_each_asked(const struct core *core, uint64_t pid, core_want_fn fn, void *user);

/*
 * Calls fn for each process that should have been met by the pass under way
 * and was not: gone, or hidden from the iterator. fn must not change the core.
 */
typedef void (*core_id_fn)(void *user, struct lt_id id);
void core_each_unseen(const struct core *core, core_id_fn fn, void *user);

/*
 * Calls fn for each process that is exiting or a zombie: a look can tell
 * sooner than its last record that it is gone. core_each_due() only for the
 * zombies that would be flagged, or count against an adopter, at now_ns. fn must not change the core.
 */
void core_each_dying(const struct core *core, core_id_fn fn, void *user);
void core_each_due(const struct core *core, uint64_t now_ns, core_id_fn fn, void *user);

/*
 * Calls fn for cgroups of containers whose names are not known (LT_NAMES) and in
 * which a parent holds a flagged zombie; core_each_nameless_due() where it is
 * about to, and so that an alert has them. One can come more than once; none that was
 * looked up within the last minute. fn must not change the core.
 */
typedef void (*core_nameless_fn)(void *user, struct lt_cgroup_id id, const char *container,
				 const char *pod);
void core_each_nameless(const struct core *core, core_nameless_fn fn, void *user);
/* Whether one of these has become so, and none was looked up since. */
bool core_wants_names(const struct core *core);
void core_each_nameless_due(const struct core *core, uint64_t now_ns, core_nameless_fn fn,
			    void *user);

/*
 * Calls fn for each process that runs a program: since exec_ns, 0 if it has not
 * been seen to exec. fn must not change the core.
 */
typedef void (*core_program_fn)(void *user, struct lt_id id, uint64_t exec_ns);
void core_each_program(const struct core *core, core_program_fn fn, void *user);

/*
 * Calls fn for each parent whose leak is open and whose limits (LT_LIMITS) were
 * last read before that time, or never. fn must not change the core.
 */
void core_each_leak(const struct core *core, uint64_t before_ns, core_id_fn fn, void *user);

/* Calls fn for each process of a real user id that is not reaped. */
typedef void (*core_task_fn)(void *user, struct lt_id id, bool dying);
void core_each_of_user(const struct core *core, uint32_t uid, core_task_fn fn, void *user);

#define SILENCES_MAX 256
#define SILENCE_TEXT_SIZE 256

/*
 * What a word silences: a pid, a unit (with its suffix), otherwise processes of
 * that name; globs but for the pid. Returns 0, or -EINVAL for what can be none.
 */
int silence_parse(const char *what, enum lt_silence_kind *kind, uint64_t *pid);
bool core_has_silence(const struct core *core, const char *what);
/* Whether there is room for another one. */
bool core_may_silence(const struct core *core);
/* Gives each as an LT_SILENCE record. */
void core_each_silence(const struct core *core, core_emit_fn fn, void *user);

/* Calls fn for each living parent that holds a flagged zombie. */
void core_each_leaker(const struct core *core, core_id_fn fn, void *user);
/* Another number whenever there are others. */
uint64_t core_leakers_version(const struct core *core);

#endif
