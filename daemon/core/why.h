/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why a zombie is not reaped: the first cause that holds, in the order of the
 * list here, judged from what the table knows. Pure, like all of the core.
 */
#ifndef LT_WHY_H
#define LT_WHY_H

#include <stddef.h>
#include <stdint.h>

#include "core.h"

/*
 * X(NAME, name, remedy): the one list of causes, the first that holds wins. The
 * remedy is for the program, in one sentence.
 */
// clang-format off
#define LT_CAUSES(X)                                                                              \
	X(TRACED, "traced",                                                                       \
	  "let the tracer wait for what it traces, or detach")                                    \
	X(NO_SIGCHLD, "no-sigchld",                                                               \
	  "pass __WALL (or __WCLONE) to the wait call, or clone with SIGCHLD as exit signal")     \
	X(INIT_DOES_NOT_REAP, "init-does-not-reap",                                               \
	  "run an init as pid 1 of the container: --init, tini, shareProcessNamespace")           \
	X(SUBREAPER_DOES_NOT_REAP, "subreaper-does-not-reap",                                     \
	  "a subreaper must wait for any child, or not be one (PR_SET_CHILD_SUBREAPER)")          \
	X(BLOCKED, "blocked",                                                                     \
	  "let the parent run again: it can reap nothing while all its threads stand still")      \
	X(WAITS_FOR_OTHERS, "waits-for-others",                                                   \
	  "wait for any child (waitpid(-1)), or also for this one by its pid")                    \
	X(COALESCED_SIGCHLD, "coalesced-sigchld",                                                 \
	  "on each SIGCHLD loop until waitpid(-1, WNOHANG) gives 0: one signal can stand for many") \
	X(NEVER_WAITS, "never-waits",                                                             \
	  "wait for children in a loop or a SIGCHLD handler, or set SA_NOCLDWAIT")                \
	X(STOPPED_WAITING, "stopped-waiting",                                                     \
	  "find out what keeps the parent from its wait loop: it has waited before")              \
	X(FALLS_BEHIND, "falls-behind",                                                           \
	  "reap faster than children die: loop until nothing is left, in a thread of its own")    \
	X(UNKNOWN, "unknown", NULL)
// clang-format on

enum cause {
#define X(NAME, name, remedy) CAUSE_##NAME,
	LT_CAUSES(X)
#undef X
		CAUSES
};

extern const char *const cause_names[CAUSES];
extern const char *const cause_remedies[CAUSES]; /* NULL: none */

#define WHY_TEXT_SIZE 768

/*
 * An answer, in words for people. Names in it are as processes chose them: any
 * bytes. remedy NULL, clear_now "": there is none.
 */
struct why {
	enum cause cause;
	const char *remedy;
	char evidence[WHY_TEXT_SIZE];
	char clear_now[WHY_TEXT_SIZE];
	uint64_t watched_ns; /* how long its parent's calls were watched while it waited */
	bool enough;	     /* watching for longer will hardly change the answer */
	bool has_calls;
	struct lt_waits calls; /* its parent's since it died: the counters' differences */
};

/*
 * The cause of one zombie at now_ns (boot time); the life must be a zombie.
 * Cheap: looks at the zombie, its parent and the parent's counters only.
 */
enum cause why_cause(const struct core *core, const struct life *zombie, uint64_t now_ns);

/* The same, with the words. */
void why_zombie(const struct core *core, const struct life *zombie, uint64_t now_ns,
		struct why *why);

#endif
