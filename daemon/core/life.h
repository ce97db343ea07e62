/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A life and the table that holds it. Internal to the core; the views read it.
 *
 * A life owns what few have (kin, death, waits, leak, rare) and shares its program
 * and cgroup with others. It hangs in up to three places: the table (by pid),
 * its parent's children, and one queue (the dying, zombies by age, the reaped).
 */
#ifndef LT_LIFE_H
#define LT_LIFE_H

#include <stdbool.h>
#include <string.h>

#include "alerts.h"
#include "core.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

/* What runs: shared by a process and those it forks, until one of them execs. */
struct program {
	uint32_t refs;
	uint16_t exe_len, args_len;
	uint32_t flags; /* LT_LIFE_ARGS_CUT, LT_LIFE_ARGS_UNKNOWN */
	char text[];	/* the path, then the arguments, each ended by a NUL */
};

#define CONTAINER_ID_LEN 64
#define POD_UID_LEN 36

/* What a container is called; "": nobody says. */
struct names {
	size_t size; /* of all of this */
	const char *container, *pod, *space;
	char text[];
};

/* A cgroup and what its path says. path is NULL until somebody tells it. */
struct cgroup_info {
	struct lt_cgroup_id id;
	uint32_t refs;
	bool gone;
	char *path;
	char *unit;
	char container[CONTAINER_ID_LEN + 1];
	char pod[POD_UID_LEN + 1];
	struct names *names; /* NULL: not known */
	uint64_t names_ns;   /* when they were last looked up; 0: never */
	uint32_t births;     /* while who bears a storm is looked for */
	UT_hash_handle hh;
};

/* Relatives that most never have. pid 0: none. */
struct kin {
	struct lt_id first_parent;
	struct lt_id born_of;
	struct lt_id adopted_by;
	struct lt_id reaped_by;
	struct lt_id tracer;
	struct life *traced; /* whose kin it is, while it has a tracer */
	struct kin *traced_prev, *traced_next;
};

/* What a zombie adds to the leak of its parent. */
enum weight { WEIGHS_NOTHING, WEIGHS_FLAGGED, WEIGHS_AGED, WEIGHTS };

/*
 * A zombie that was adopted: it weighs by how long its new parent has held it,
 * whatever its age, and hangs in a list of those that weigh as much, by since_ns.
 */
struct hold {
	struct life *life;
	struct hold *prev, *next;
	uint64_t since_ns;
	enum weight weight;
};

/*
 * What its parent was told and how it stood then; zombies only. Of an adopted
 * zombie, how its new parent stood when it got it.
 */
struct death {
	struct hold *hold; /* NULL: with whose child it was when it died */
	uint64_t flagged_ns;
	uint64_t adopted_ns; /* as a zombie; 0: not */
	uint32_t notify_flags, sa_flags, disposition;
	struct lt_waits parent_waits;
};

/* How a parent reaps, and how its threads stood when somebody looked. */
struct reaping {
	struct lt_reaping facts; /* from its first child's death on, anew from each exec */
	uint64_t tasks_ns;	 /* when they were read */
	struct lt_tasks *tasks;	 /* NULL: never */
};

/* Fork calls that failed, by errno. */
struct failures {
	struct lt_failure by[LT_FAILURES];
};

/* The children that it bore; see births_per_second(). */
struct births {
	uint64_t count;
	uint64_t second;      /* of boot time, that of the latest */
	uint32_t now, before; /* in that second, and in the one before it */
};

struct cow_sum {
	uint64_t copies, reuses; /* pages, faults; they saturate */
};

/* What most never have; see life_rare(). */
struct rare {
	uint64_t exit_called_ns;
	struct births births;
	struct failures failures;  /* its own fork calls' */
	struct cow_sum cow_before; /* counted in places in the kernel's table that it lost */
	struct reaping *reaping;   /* see life_reaping() */
	struct stack *stack;	   /* see life_stack() */
};

/*
 * A fork that copied an address space, and what it led to. While the two share
 * pages (until one of them ends, or the child execs) it hangs in its creator's
 * list of such forks, the latest last: that one is charged with the creator's
 * faults.
 */
struct fork {
	struct life *child;
	struct life *creator; /* NULL: they share no more */
	struct fork *prev, *next;
	struct lt_id creator_id;
	uint64_t ended_ns; /* 0: they share pages */
	struct cow_sum by_creator;
	struct cow_sum by_child; /* when it ended; before, see its cow */
};

/* The nearest of the limits that bound a parent's forks, as last read. */
struct leak_limits {
	uint64_t at_ns;
	struct lt_limit limit;
	int nearest;	      /* enum lt_limit_kind; -1: there is none */
	char *path;	      /* of a cgroup's; otherwise NULL */
	uint32_t pid_ns_init; /* of a pid namespace's pid_max; otherwise 0 */
};

/* Leaks that nobody is to be told of, in order of their ends. */
struct silence {
	struct silence *prev, *next;
	struct lt_id id;
	uint64_t until_ns;
	uint32_t kind; /* enum lt_silence_kind */
	char text[SILENCE_TEXT_SIZE];
};

/* A parent with flagged zombies. since_ns 0: not open. */
struct leak {
	struct life *parent;
	struct leak *prev, *next;	  /* among those that settle, by shrunk_ns */
	struct leak *all_prev, *all_next; /* among all, as they were made */
	uint64_t since_ns;
	uint64_t shrunk_ns; /* fewer than the low-water mark since; 0: not */
	uint32_t flagged;
	uint32_t aged;
	uint32_t quiet; /* of the flagged: all while the parent is silenced or ignored, else none */
	bool told;	/* that it is open: it was not silenced then, or is not any more */
	struct lt_rate rate;
	struct leak_limits *limits; /* NULL: not read */
	uint64_t pids_alert_ns;	    /* that pids run out is an alert since; 0: it is none */
};

/*
 * The queues: of EXITING to AGED is who is dying. A zombie goes from YOUNG to FLAGGED to AGED as it passes
 * zombie_age and leak_age; both are constants, so each queue is in order of
 * begin and only its head can be due.
 */
enum queue {
	QUEUE_NONE,
	QUEUE_EXITING,
	QUEUE_YOUNG,
	QUEUE_FLAGGED,
	QUEUE_AGED,
	QUEUE_REAPED,
	QUEUES
};

/* Where a child was forked: bytes from begin on, to be unwound by whoever asks. */
struct stack {
	struct stack *prev, *next; /* the oldest first */
	struct life *life;
	struct lt_stack at;
	uint64_t begin;
	uint32_t len;
	uint8_t bytes[LT_STACK_PARTS * LT_STACK_PART_BYTES];
};

struct life {
	struct lt_id id;
	struct life *next_in_bucket;
	struct lt_id parent_id;
	struct life *parent; /* NULL: nobody, unknown, or this one is reaped */
	struct life *children;
	struct life *sibling_prev, *sibling_next;
	struct life *prev, *next; /* in its queue */
	struct program *program;
	struct cgroup_info *cgroup;
	struct kin *kin;
	struct death *death;
	struct lt_waits *waits;
	struct leak *leak;
	struct rare *rare;
	uint64_t fork_duration_ns, vfork_wait_ns;
	struct lt_cow_counts *cow;	   /* of write faults on shared pages, as last told */
	struct fork *fork;		   /* its own birth */
	struct fork *forks;		   /* of its making, while pages are shared */
	uint32_t rss_pages, pagetable_kib; /* at birth, see lt_fork */
	uint64_t forked_ns, exec_ns, exited_ns, zombie_ns, reaped_ns;
	uint32_t flags; /* LT_LIFE_* */
	uint32_t uid;
	uint32_t ns_pid;
	int32_t exit_code;
	uint32_t pass;		 /* the last one that met it */
	uint32_t alive, zombies; /* children */
	uint8_t state : 4;	 /* enum lt_state; 0 never in the table */
	uint8_t seen_state : 4;	 /* by the pass under way, not yet believed */
	uint8_t queue : 4;	 /* enum queue */
	uint8_t reap_source : 4; /* enum lt_reap_source */
	uint8_t exit_signal;
	char comm[LT_COMM_LEN];
};

struct hook_info {
	char *what, *value;
	uint64_t since_ns;
};

#define HOOKS_MAX 16

/* Globs, ended by NULL. */
struct glob_list {
	char *text; /* owns them all */
	char **globs;
};

struct policy {
	uint64_t zombie_age_ns, leak_age_ns, leak_settle_ns;
	uint64_t reaped_keep_ns;
	uint64_t memory_max_bytes;
	uint32_t leak_count;
	struct glob_list ignore_comm, ignore_unit;
};

struct alert_policy {
	uint64_t flagged_limit, storm_per_s, storm_for_ns, pids_within_ns, settle_ns;
	uint64_t self_pid; /* the daemon's; 0: not told */
	char host[256];
};

/* See lt_alert. */
struct alert {
	uint64_t since_ns, held_ns, calm_ns, value;
	struct lt_id by; /* who bore the most when a fork storm began; pid 0: nobody */
	uint32_t hook;	 /* that tells nothing: its place in alert_hooks; 0: none */
};

/* The hooks whose silence shows, by their names. */
#define LT_TELLING(X)       \
	X(BIRTH, "birth")   \
	X(EXIT, "exit")     \
	X(ZOMBIE, "zombie") \
	X(REAP, "reap")

enum telling {
#define X(NAME, name) TELLS_##NAME,
	LT_TELLING(X)
#undef X
		TELLINGS
};

/*
 * Between two sweeps: how often such a hook told something, and of how many that were
 * born since the start it must have told, and had not when that showed.
 */
struct telling_count {
	uint64_t told, untold;
};

/* The births of the second under way. */
struct storm {
	uint64_t begin_ns, births;
};

struct core {
	/*
	 * The table: chains of lives by the low bits of their pids, which the
	 * kernel gives out one after the other: neighbours in time are neighbours
	 * in memory. In a chain, lives of one pid go from the newest to the
	 * oldest; at most one of them can be unreaped in the kernel.
	 */
	struct life **buckets;
	size_t bucket_count; /* a power of two */
	size_t life_count;
	struct cgroup_info *cgroups;
	struct life *queues[QUEUES];
	struct leak *leaks, *settling;
	struct hold *held[WEIGHTS];
	struct silence *silences;
	struct stack *stacks;
	uint32_t stack_count;
	uint64_t leakers_version; /* changes with who holds flagged zombies */
	uint32_t silence_count;
	bool restoring; /* another table's knowledge: no leak opens by it */
	uint64_t now_ns;
	size_t memory_bytes;
	struct policy policy;
	struct core_totals totals; /* its memory_bytes is not kept: see above */
	__u64 sent[LT_KERNEL_KINDS];
	struct lt_start start;
	struct hook_info hooks[HOOKS_MAX];
	bool cow_observed;	   /* as its hook says */
	struct failures failures;  /* all fork calls' */
	struct lt_tallies tallies; /* its header and COW counts are not used */
	struct lt_health health;   /* as last told; its header's time 0: never */
	struct alert_policy alert_policy;
	struct alert alerts[ALERT_KINDS]; /* the host's */
	struct storm storm;
	uint32_t flagged_quiet; /* the flagged zombies of parents that are silenced or ignored */
	bool names_wanted;	/* a zombie was flagged in a container that nobody has looked up */
	uint64_t losses_swept; /* what had been lost or refused at the last sweep; UINT64_MAX: anything */
	struct telling_count telling[TELLINGS];	    /* since then */
	struct telling_count told_before[TELLINGS]; /* from the sweep before that until then */
	uint32_t pass;
	uint64_t pass_begin_ns;
	bool seeding;
	struct kin *traced; /* of the lives that a tracer is known to hold */
	core_change_fn on_change;
	void *user;
};

#define EACH_LIFE(core, life)                                               \
	for (size_t bucket_ = 0; bucket_ < (core)->bucket_count; bucket_++) \
		for ((life) = (core)->buckets[bucket_]; (life); (life) = (life)->next_in_bucket)

/* table.c: making, finding, linking, freeing. All memory is accounted there. */
void *core_alloc(struct core *core, size_t size);
void core_release(struct core *core, void *memory, size_t size);

/* Makes the empty table; false without memory. */
bool table_init(struct core *core);
void table_deinit(struct core *core);

struct life *life_find(const struct core *core, struct lt_id id);
/* Who has the pid now, or had it last; NULL: nobody that is known. */
struct life *life_of_pid(const struct core *core, uint64_t pid);
/* The life that had the same pid before, or NULL. */
struct life *life_older(const struct life *life);
/* For qsort() of pointers to lives: in order of birth, as the table has no order to show. */
int life_order(const void *a, const void *b);
/* A new, unlinked life; NULL when the memory cap allows no more (counted). */
struct life *life_new(struct core *core, struct lt_id id);
/* The life, made up if it is unknown: running, inferred. NULL for pid 0 or no room. */
struct life *life_get(struct core *core, struct lt_id id);
/* The same for one that a record of another names: if none of its own comes, its end is no exit. */
struct life *life_named(struct core *core, struct lt_id id);
void life_free(struct core *core, struct life *life);

/* Sets the parent and both sides' links and counts; id.pid 0 for nobody. */
void life_set_parent(struct core *core, struct life *life, struct lt_id parent_id);
/* A dead one leaves its parent's children. parent_id stays. */
void life_leave_parent(struct life *life);
/* Changes the state and keeps the parent's and the table's counts right. */
void life_set_state(struct core *core, struct life *life, enum lt_state state);

struct kin *life_kin(struct core *core, struct life *life);
/* Makes it if there is none; NULL without memory. */
struct rare *life_make_rare(struct core *core, struct life *life);
/* To read: all 0 where there is none. */
const struct rare *life_rare(const struct life *life);
struct death *life_death(struct core *core, struct life *life);
void life_set_tracer(struct core *core, struct life *life, struct lt_id tracer);
void life_set_failures(struct core *core, struct life *life, const struct failures *failures);
void failures_add(struct failures *failures, uint32_t err);
void life_set_waits(struct core *core, struct life *life, const struct lt_waits *waits);
void life_set_program(struct core *core, struct life *life, const char *text, uint16_t exe_len,
		      uint16_t args_len, uint32_t flags);
void life_share_program(struct core *core, struct life *life, const struct life *from);
void life_set_cgroup(struct core *core, struct life *life, struct lt_cgroup_id id);
void life_set_comm(struct life *life, const char comm[LT_COMM_LEN]);
void life_set_status(struct life *life, int32_t exit_code);

/* Whether the pass should have met it: it lives and was born before. */
static inline bool life_is_unseen(const struct core *core, const struct life *life)
{
	uint64_t born_ns = life->forked_ns ? life->forked_ns : life->id.start_ns;

	return life->pass != core->pass && life->state != LT_REAPED &&
	       born_ns < core->pass_begin_ns;
}

/* An age may be as long as somebody likes, and then it is for ever. */
static inline uint64_t ns_after(uint64_t ns, uint64_t age_ns)
{
	return age_ns < UINT64_MAX - ns ? ns + age_ns : UINT64_MAX;
}

static inline bool id_is(struct lt_id a, struct lt_id b)
{
	return a.pid == b.pid && a.start_ns == b.start_ns;
}

void life_count_birth(struct core *core, struct life *creator, uint64_t time_ns);
/* In the last whole second before now_ns. */
uint32_t births_per_second(const struct life *life, uint64_t now_ns);
/* Of the second under way and of the one before it. */
uint32_t births_lately(const struct life *life, uint64_t now_ns);

/* cow.c */
struct cow_sum cow_of(const struct life *life);
void cow_told(struct core *core, struct life *life, const struct lt_cow_counts *counts);
/* The life was born by a fork that copied its creator's address space. */
void fork_begin(struct core *core, struct life *child, struct life *creator);
/* The child shares no more: it has another program, or ends. */
void fork_end(struct life *child, uint64_t time_ns);
/* The creator ends: nothing more is charged to these forks. */
void forks_end(struct life *creator);
/* Forgets a fork that copied next to nothing. */
void fork_drop_small(struct core *core, struct life *child);
struct cow_sum fork_by_child(const struct fork *fork);
/* Bytes of so many pages; saturates at what JSON can tell. */
uint64_t cow_bytes(const struct core *core, uint64_t pages);
/* What both sides copied is worth telling after the fork is over. */
bool fork_is_big(const struct core *core, const struct fork *fork);
void cow_restore(struct core *core, struct life *life, const struct lt_life *e);
void cow_dump(struct lt_life *e, const struct life *life);
void cow_free(struct core *core, struct life *life);
void cow_apply_hook(struct core *core, const struct hook_info *hook);

/* Since when its parent holds a zombie. */
static inline uint64_t life_held_ns(const struct life *life)
{
	return life->death && life->death->hold ? life->death->hold->since_ns : life->zombie_ns;
}

/* stack.c: NULL where none was taken */
struct stack *life_stack(const struct life *life);
void stack_begin(struct core *core, struct life *life, const struct lt_stack *e);
void stack_add(struct life *life, const struct lt_stack_part *e);
void stack_free(struct core *core, struct life *life);
void stack_dump(const struct stack *stack, core_emit_fn emit, void *user);

/* silence.c: the one that covers a leak of this parent and lasts the longest, or NULL */
const struct silence *silence_of(const struct core *core, const struct life *parent);
void silence_apply(struct core *core, const struct lt_silence *e);
void silence_end(struct core *core, struct silence *silence);

/* All leaks, those that are not open too, as they were made. */
#define EACH_LEAK(core, leak) DL_FOREACH2((core)->leaks, leak, all_next)

/* leak.c: made for a parent when it gets its first flagged zombie */
struct leak *leak_new(struct core *core, struct life *parent);
void leak_free(struct core *core, struct leak *leak);
/* A zombie, in its queue, came to a parent or is about to leave it. */
void leak_gained(struct life *parent, const struct life *zombie, uint64_t at_ns);
void leak_lost(struct life *parent, const struct life *zombie, uint64_t at_ns);
void leak_set_limits(struct core *core, struct life *parent, const struct lt_limits *e);

/* Of its zombies: begin of the oldest, and since when it holds any; UINT64_MAX: it has none. */
struct leak_age {
	uint64_t oldest_ns, held_ns;
};

struct leak_age leak_age(const struct leak *leak);
/*
 * Zombies gained less lost, a second: since it holds the longest held one, or
 * over the last slots if that is longer ago.
 */
double leak_rate_per_s(const struct leak *leak, const struct leak_age *age, uint64_t now_ns);
/* Tasks to the nearest limit; false where none is known. */
bool leak_pids_left(const struct leak *leak, uint64_t *left);
/*
 * The zombie that speaks for a leak: of several causes that which the most have,
 * and of those the oldest. NULL: it holds none.
 */
const struct life *leak_witness(const struct core *core, const struct leak *leak, uint64_t now_ns);
/* Seconds until none is left at the present rate; UINT64_MAX: never, or not known. */
uint64_t leak_exhausted_in_s(const struct leak *leak, uint64_t now_ns);
/* Of that limit. */
const char *leak_limit_name(const struct leak *leak);

/* cgroup.c */
void cgroup_apply(struct core *core, const struct lt_cgroup *record);
void names_apply(struct core *core, const struct lt_names *e);
void names_note(struct core *core, const struct change *change);
void cgroup_put(struct core *core, struct cgroup_info *cgroup);
struct cgroup_info *cgroup_get(struct core *core, struct lt_cgroup_id id);
void cgroups_free(struct core *core);
/*
 * The systemd unit that a path names (the innermost .service or .scope), as a
 * new string, or NULL.
 */
char *cgroup_unit_of(const char *path);
/* Whether a glob matches a unit's name, in which a backslash is a character: dev-x\\x2dy.service. */
bool unit_matches(const char *glob, const char *unit);
/* The container id in a path: 64 hex digits. Returns false if there is none. */
bool cgroup_container_of(const char *path, char id[CONTAINER_ID_LEN + 1]);
/* The uid of the Kubernetes pod in a path. Returns false if there is none. */
bool cgroup_pod_of(const char *path, char uid[POD_UID_LEN + 1]);

/* reaping.c */
/* NULL: it is not known to have a child that died, and nobody has looked. */
struct reaping *life_reaping(const struct life *life);
void reaping_born(const struct life *parent);
void reaping_died(struct core *core, struct life *parent, uint64_t time_ns);
void reaping_notified(struct core *core, struct life *parent, const struct lt_notify *e);
void reaping_reaped(const struct life *child, uint64_t time_ns);
/* Another program runs: how the one before reaped says nothing of it. */
void reaping_forget(const struct life *life, uint64_t time_ns);
/* It runs another program, has stopped or goes on: how its threads stood before is no longer so. */
void reaping_drop_tasks(struct core *core, const struct life *life, uint64_t time_ns);
void reaping_free(struct core *core, struct life *life);
void reaping_set_tasks(struct core *core, struct life *life, const struct lt_tasks *e);
void reaping_set_adopter(struct core *core, struct life *life, struct lt_id adopter);
void reaping_restore(struct core *core, struct life *life, const struct lt_reaping *e);
/* So many thousandths of its reaps took no longer than about this; 0: none yet. */
uint64_t reaping_quantile(const struct lt_reaping *facts, unsigned permille);
/* The mark that rates at now_ns are to be taken from. */
const struct lt_reap_mark *reaping_mark(const struct lt_reaping *facts, uint64_t now_ns);

/* policy.c: queues and leaks */
void queue_put(struct core *core, struct life *life, enum queue queue);
void queue_remove(struct core *core, struct life *life);
/* Puts a zombie whose begin is known (or now known better) into its queue. */
void policy_add_zombie(struct core *core, struct life *life);
/* Takes it out: it is no zombie any more. */
void policy_drop_zombie(struct core *core, struct life *life);
/* A zombie's weight in its parent's leak; called around reparenting. */
void policy_leave_parent(struct core *core, struct life *life);
void policy_join_parent(struct core *core, struct life *life);
void policy_parent_exited(struct core *core, struct life *parent);
/* A zombie is about to change its parent, who holds it from then on: a grace of zombie_age. */
void policy_adopt(struct core *core, struct life *life, uint64_t since_ns);
/* It is no zombie any more, or is forgotten. */
void policy_end_hold(struct core *core, struct life *life);
/* Puts a zombie of another table straight where it was there. */
void policy_restore_zombie(struct core *core, struct life *life, uint64_t flagged_ns);
void policy_restore_leak(struct core *core, struct life *parent, uint64_t since_ns,
			 uint64_t shrunk_ns);
/* Does all that is due up to now_ns, each thing at its own time. */
void policy_advance(struct core *core, uint64_t now_ns);
/* Silences have changed: who is to be told now is told. */
void policy_silenced(struct core *core);
void policy_apply(struct core *core, const struct lt_policy *record);
void policy_init(struct policy *policy);
void policy_deinit(struct policy *policy);

/* Nobody is to be told of its zombies: it is silenced or ignored. */
bool is_quiet(const struct core *core, const struct life *parent);

/* alerts.c */
void alerts_init(struct core *core);
/* Draws from a change what it means for the alerts; called for every change. */
void alerts_note(struct core *core, const struct change *change);
void alerts_judge_flagged(struct core *core);
void alerts_judge_hooks(struct core *core);
/* The hook for what told nothing of `count` that must have happened, and nothing was lost. */
void alerts_untold(struct core *core, const char *what, uint64_t count);
/* The limits of a leak's parent were told. */
void alerts_judge_pids(struct core *core, const struct life *parent);
uint64_t alerts_due_ns(const struct core *core);
void alerts_advance(struct core *core);
void alerts_apply_policy(struct core *core, const struct lt_alert_policy *e);
void alerts_apply(struct core *core, const struct lt_alert *e);

/* core.c */
/* Since when this need has been served without a break; 0: it is not. */
uint64_t core_hook_since(const struct core *core, const char *what);
void core_tell(struct core *core, struct change change);

#endif
