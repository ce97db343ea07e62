/*
 * harness.h - a private lifetraced for one test, and everything that talks to it.
 *
 * A test starts a daemon of its own, runs members of the cast (tests/cast) and
 * compares what lifetrace printed about them with what the kernel told them.
 * The harness owns the daemon, its temporary directory, one background
 * `lifetrace tail --json` and the cast; it knows the daemon only through its
 * documented options, commands and JSON, and touches no other process.
 *
 * Nothing sleeps for something to happen: lt_await() polls a condition until a
 * generous deadline, and reads all pipes meanwhile. A require that fails ends
 * the test with the daemon's standard error and what the cast had said.
 *
 * Binaries are looked for below $LIFETRACE_BIN_DIR, or LT_BIN_DIR as built in;
 * the cast below $LIFETRACE_CAST_DIR, or LT_CAST_DIR.
 */
#ifndef LT_HARNESS_H
#define LT_HARNESS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NSEC_PER_MSEC ((int64_t)1000000)
#define NSEC_PER_SEC ((int64_t)1000000000)

/*
 * How long a condition may take to come true. Init reaps orphans up to 2 s
 * late on some hosts, and a loaded machine may not run us for a while.
 */
#define LT_DEADLINE_NS (20 * NSEC_PER_SEC)
#define LT_TIMEOUT_S 120 /* of a whole test, for Criterion */

/* Test(suite, name) with our time limit. */
#define LT_TEST(suite, name) Test(suite, name, .timeout = LT_TIMEOUT_S)

int64_t boottime_ns(void);

/* Reads what has come on all pipes, or waits at most TIMEOUT_MS for something. */
void lt__pump(int timeout_ms);

/* Prints to stderr what helps to understand a failure. */
void lt__explain(void);

#define lt_require(cond, ...)                        \
	do {                                         \
		if (!(cond)) {                       \
			lt__explain();               \
			cr_assert_fail(__VA_ARGS__); \
		}                                    \
	} while (0)

/* Waits until COND holds; the rest is the message, as of printf, if it never does. */
#define lt_await_for(ns, cond, ...)                                       \
	do {                                                              \
		int64_t lt_end_ = boottime_ns() + (ns);                   \
		while (!(cond)) {                                         \
			lt_require(boottime_ns() < lt_end_, __VA_ARGS__); \
			lt__pump(10);                                     \
		}                                                         \
	} while (0)
#define lt_await(cond, ...) lt_await_for(LT_DEADLINE_NS, cond, __VA_ARGS__)

/* --- JSON --- */

/* The value at a path such as "exit.status"; NULL when there is none. */
json_t *json_at(const json_t *object, const char *path);

/* The same, required to be there and of that type. */
int64_t int_at(const json_t *object, const char *path);
const char *str_at(const json_t *object, const char *path);

/*
 * Whether OBJECT has all that WORDS say: "path=value" separated by spaces,
 * value as in JSON but without quotes: "exit.how=killed exit.status=null".
 * "path!=value" for the contrary (the path must be there).
 */
bool json_matches(const json_t *object, const char *words);

/* Requires json_matches(OBJECT, printf of the rest). */
#define expect(object, ...) expect_here(__FILE__, __LINE__, object, __VA_ARGS__)
void expect_here(const char *file, int line, const json_t *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* --- the daemon and the command --- */

struct lt;

/*
 * Starts `lifetraced --socket TMP/sock OPTIONS…` (NULL ends them) with a short
 * repair interval and a large stream buffer unless these say otherwise (the
 * later of two options counts), and returns when `lifetrace status` is answered. Skips the test when not root.
 * Of several at once the latest is stopped first.
 */
struct lt *lt__start(const char *option, ...);

/*
 * Ends tail and daemon (by SIGTERM) and requires: the daemon exits 0, had no
 * more descriptors open than after its start, no child, its socket is gone;
 * and that this process has no child and no descriptor more than before.
 */
void lt__stop(struct lt *lt);

/* Ends the daemon by SIG alone, SIGTERM or SIGKILL, and nothing else of LT. */
void lt__end_daemon(struct lt *lt, int sig);
/* Then starts another one in its place, as lt__start() does. */
void lt__again(struct lt *lt, const char *option, ...);
/* What daemons have written to standard error so far, to be freed. */
char *lt__log(const struct lt *lt);

pid_t lt__daemon_pid(const struct lt *lt);
const char *lt__socket(const struct lt *lt);

struct output {
	int code;	 /* exit status, or 128 + signal */
	char *out, *err; /* NUL-terminated, by malloc */
	size_t out_len;
	pid_t pid; /* whose it was */
};

/* Runs `lifetrace COMMAND… --socket S` (NULL ends it) to its end. */
void lt__run(struct lt *lt, struct output *output, const char *command, ...)
	__attribute__((sentinel));
void output__free(struct output *output);

/* The same with --json; requires exit status 0 and JSON. *PID, if not NULL: whose it was. */
json_t *lt__json(struct lt *lt, pid_t *pid, const char *command, ...) __attribute__((sentinel));

/* Status, and the row of PID in `ps` or `zombies`: NULL when there is none. */
json_t *lt__status(struct lt *lt);
json_t *lt__row(struct lt *lt, const char *command, pid_t pid);

/* Waits until the row of PID matches WORDS (see json_matches) and returns it. */
json_t *lt__await_row(struct lt *lt, const char *command, pid_t pid, const char *words);

/* Requires that PID has no row in `zombies` once all that happened is known. */
void lt__require_no_zombie(struct lt *lt, pid_t pid);

/* What does `status` say of a hook: "off: …" or its name, to be freed. */
char *lt__hook(struct lt *lt, const char *what);

/* --- the tail --- */

struct event {
	json_t *json;
	int64_t arrived_ns; /* when its line was read here, boot time */
};

/*
 * Starts `lifetrace tail --json` and returns when it shows what happens now.
 * Only what happens afterwards is sure to be among the events.
 */
void lt__tail(struct lt *lt);
/* Of these kinds alone, fork among them: those that have to be named, too. */
void lt__tail_kinds(struct lt *lt, const char *kinds);

/*
 * The same, by naming every kind: then what must be asked for by name is shown,
 * too. As that is much, only of processes whose name matches COMM (a glob);
 * ours must be among them.
 */
void lt__tail_by_name(struct lt *lt, const char *comm);

/* Ends the tail; what it showed stays. */
void lt__end_tail(struct lt *lt);

/*
 * Only the events of our descendants are kept, and those of lives watched: ID
 * is of a process that was there before the tail.
 */
void lt__watch(struct lt *lt, const char *id);

/* All events kept so far, in their order. */
size_t lt__events(const struct lt *lt, const struct event **events);

/* The N-th (from 0) event of KIND of the life ID, NULL when not (yet) there. */
const struct event *lt__find(const struct lt *lt, const char *id, const char *kind, int n);
int lt__count(const struct lt *lt, const char *id, const char *kind);

/* Waits for it. */
json_t *lt__await_event(struct lt *lt, const char *id, const char *kind, int n);

/* The id of the process PID that was born under our eyes: waits for its fork event. */
const char *lt__id(struct lt *lt, pid_t pid);

/*
 * Returns when all that happened until now has been shown: a process made by
 * us for that purpose has been seen to be born, to exit and to be reaped.
 */
void lt__fence(struct lt *lt);

/* --- the cast --- */

struct cast;

/* Starts a member of the cast, with its arguments; NULL ends them. */
struct cast *cast__start(const char *member, ...) __attribute__((sentinel));
/* The same for any program, by ARGV. */
struct cast *cast__startv(const char *const argv[]);
const char *cast__path(const char *member, char *path, size_t size);

pid_t cast__pid(const struct cast *cast);

/* The N-th (from 0) value said under KEY; waits for it. */
const char *cast__str(struct cast *cast, const char *key, int n);
int64_t cast__int(struct cast *cast, const char *key, int n);
/* How often KEY has been said so far, and under which N it said VALUE (-1: never). */
int cast__count(const struct cast *cast, const char *key);
int cast__find(const struct cast *cast, const char *key, int64_t value);

/* Waits until it holds in the state NAME, its next one. */
void cast__hold(struct cast *cast, const char *name);
/* Lets it go on; says a line to it. */
void cast__go(struct cast *cast);
void cast__tell(struct cast *cast, const char *line);
/* Lets it run to its end and requires exit status 0. What it said stays. */
void cast__end(struct cast *cast);
/* Ends it by SIGTERM. */
void cast__terminate(struct cast *cast);
void cast__free(struct cast *cast);

/*
 * Requires that the life of PID was shown as WAIT number N of the cast told
 * it: one fork, one exit with that status, one zombie, one reap by the waiter.
 */
void check_reaped(struct lt *lt, struct cast *cast, pid_t pid, int n);

/* check_reaped for all that a member named as "child" and waited for. */
void check_all_reaped(struct lt *lt, struct cast *cast);

/* --- /proc --- */

struct proc {
	pid_t pid;
	uint64_t start_ticks; /* field 22 */
	char state;
	pid_t ppid;
};

/* False when there is no such process. */
bool proc__read(pid_t pid, struct proc *proc);
/* All processes, kernel threads too, by pid; to be freed. */
struct proc *proc__scan(size_t *n);
/* `processes` of /proc/stat: forks and threads since the boot. */
int64_t proc__births(void);
/* Field 22's unit: what PID-START is cut to for a comparison. */
uint64_t ns_to_ticks(uint64_t ns);
/* Requires that ID is PID and, at tick granularity, field 22. */
void check_id(const char *id, pid_t pid);

/* --- others --- */

/*
 * Runs ARGV to its end while the pipes are read; output is dropped. Returns
 * its exit status. It gets SIGTERM when the test dies.
 */
int run_quietly(const char *const argv[]);
/* Whether a program is in PATH. */
bool have_program(const char *name);

/*
 * A kernel setting (a file below /proc/sys) changed for the time of a test. A
 * process of its own restores it, also when the test is killed.
 */
struct guard;
struct guard *guard__set(const char *path, const char *value);
/* The same for anything that a command undoes; it is to exit with 0. */
struct guard *guard__command(const char *const argv[]);
void guard__restore(struct guard *guard);

#endif
