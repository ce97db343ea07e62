/*
 * Truth: while stress-ng makes trouble, births, exits and the table agree with
 * the kernel's own count and with /proc, and nothing is lost; with a squeezed
 * ring, what is lost is counted and the table is true again within a second.
 *
 * Other processes of the host live meanwhile, and a reap may be known a little
 * late. So a difference counts only if it stays: each look at both sides drops
 * those differences that the looks before had and it has not.
 */
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* --- the table against /proc --- */

static const struct proc *lookup(const struct proc *procs, size_t n, pid_t pid, uint64_t ticks)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (procs[mid].pid < pid)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < n && procs[low].pid == pid && procs[low].start_ticks == ticks)
		return &procs[low];
	return NULL;
}

static void note(json_t *differences, const char *what, const char *id, pid_t pid, uint64_t ticks)
{
	char key[256];

	snprintf(key, sizeof(key), "%s %d (tick %lu%s%s)", what, pid, ticks, id ? ", id " : "",
		 id ? id : "");
	json_object_set_new(differences, key, json_true());
}

static bool is_dead_state(char state)
{
	return state == 'Z' || state == 'X';
}

static bool is_dead_row(const json_t *row)
{
	return json_matches(row, "state=zombie") || json_matches(row, "state=dead-leader");
}

/* A process that both scans saw, against its row. */
static void compare_row(json_t *differences, const json_t *row, const struct proc *before,
			const struct proc *after)
{
	const char *id = str_at(row, "id");
	json_t *ppid = json_at(row, "ppid");

	if (is_dead_state(before->state) == is_dead_state(after->state) &&
	    is_dead_row(row) != is_dead_state(after->state) && !json_matches(row, "state=exiting"))
		note(differences, "state of", id, after->pid, after->start_ticks);
	if (before->ppid == after->ppid && after->ppid && json_integer_value(ppid) != after->ppid) {
		char what[128];

		snprintf(what, sizeof(what), "parent is %d, not %d (%s), of", after->ppid,
			 (int)json_integer_value(ppid), str_at(row, "state"));
		note(differences, what, id, after->pid, after->start_ticks);
	}
}

struct look {
	struct proc *before, *after;
	size_t n_before, n_after;
	int64_t began_ns;
	pid_t command; /* the command that printed the table */
};

static void compare_rows(json_t *differences, const struct look *look, const json_t *rows,
			 json_t *known)
{
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		pid_t pid = int_at(row, "pid");
		uint64_t ticks = ns_to_ticks(int_at(row, "start_ns"));
		const struct proc *before, *after;
		char key[64];

		if (json_matches(row, "state=reaped"))
			continue;
		snprintf(key, sizeof(key), "%d %lu", pid, ticks);
		lt_require(!json_object_get(known, key), "two rows of %s", str_at(row, "id"));
		json_object_set_new(known, key, json_true());
		before = lookup(look->before, look->n_before, pid, ticks);
		after = lookup(look->after, look->n_after, pid, ticks);
		if (before && after)
			compare_row(differences, row, before, after);
		else if (!before && !after && pid != look->command &&
			 int_at(row, "start_ns") < look->began_ns)
			note(differences, "gone from /proc:", str_at(row, "id"), pid, ticks);
	}
}

static void compare_procs(json_t *differences, const struct look *look, const json_t *known)
{
	for (size_t i = 0; i < look->n_before; i++) {
		const struct proc *proc = &look->before[i];
		char key[64];

		snprintf(key, sizeof(key), "%d %lu", proc->pid, proc->start_ticks);
		if (!json_object_get(known, key) &&
		    lookup(look->after, look->n_after, proc->pid, proc->start_ticks))
			note(differences, "not in the table:", NULL, proc->pid, proc->start_ticks);
	}
}

/* One look: {difference: true}. */
static json_t *differences(struct lt *lt)
{
	json_t *found = json_object(), *known = json_object(), *ps;
	struct look look = { .began_ns = boottime_ns() };

	look.before = proc__scan(&look.n_before);
	ps = lt__json(lt, &look.command, "ps", "--kernel", NULL);
	look.after = proc__scan(&look.n_after);
	compare_rows(found, &look, json_at(ps, "processes"), known);
	compare_procs(found, &look, known);
	free(look.before);
	free(look.after);
	json_decref(ps);
	json_decref(known);
	return found;
}

/* Looks once more: keeps of STAYING what is still different. True when nothing stays. */
static bool nothing_stays(struct lt *lt, json_t *staying)
{
	json_t *now = differences(lt), *value;
	const char *key;
	void *next;

	json_object_foreach_safe(staying, next, key, value) if (!json_object_get(now, key))
		json_object_del(staying, key);
	json_decref(now);
	return json_object_size(staying) == 0;
}

static void require_equal_to_proc(struct lt *lt, int64_t within_ns)
{
	json_t *staying = differences(lt);

	lt_await_for(within_ns, nothing_stays(lt, staying), "the table is not /proc: %s",
		     json_dumps(staying, JSON_INDENT(1)));
	json_decref(staying);
}

/* --- counts --- */

/*
 * Two sums that never change as long as nothing is missed or counted twice:
 * births by /proc/stat minus births counted, as seen or as lost; and births
 * minus exits minus living, which makes no sense any more after a loss.
 */
struct sums {
	int64_t births, living;
};

static struct sums sums_now(struct lt *lt)
{
	json_t *status = lt__status(lt);
	struct sums sums = {
		/* Read afterwards: never too small, and right whenever nothing is on its way. */
		.births = proc__births() - int_at(status, "forks") - int_at(status, "threads") -
			  int_at(status, "lost.fork") - int_at(status, "lost.thread"),
		.living = int_at(status, "forks") - int_at(status, "exits") -
			  int_at(status, "processes") + int_at(status, "zombies"),
	};

	json_decref(status);
	return sums;
}

/* The sums while nothing is on its way: the smallest, and the most stubborn. */
struct settling {
	struct sums sums;
	int births_seen, living_seen;
};

static bool settled(struct lt *lt, struct settling *s)
{
	struct sums now = sums_now(lt);

	if (!s->births_seen || now.births < s->sums.births)
		s->births_seen = 0;
	if (!s->births_seen)
		s->sums.births = now.births;
	s->births_seen += now.births == s->sums.births;
	if (s->living_seen <= 0)
		s->sums.living = now.living;
	s->living_seen += now.living == s->sums.living ? 1 : -1;
	return s->births_seen >= 5 && s->living_seen >= 5;
}

static struct sums settle(struct lt *lt)
{
	struct settling s = { 0 };

	lt_await_for(60 * NSEC_PER_SEC, settled(lt, &s), "the counts do not settle");
	return s.sums;
}

static bool births_are(struct lt *lt, int64_t births)
{
	struct sums now = sums_now(lt);

	lt_require(now.births >= births, "%ld births counted twice", births - now.births);
	return now.births == births;
}

static int64_t sum_of(json_t *object)
{
	int64_t sum = 0;
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
		sum += json_integer_value(value);
	return sum;
}

static void require_nothing_lost(struct lt *lt)
{
	json_t *status = lt__status(lt);

	lt_require(json_is_object(json_at(status, "lost")), "no object lost");
	lt_require(sum_of(json_at(status, "lost")) == 0, "lost: %s",
		   json_dumps(json_at(status, "lost"), 0));
	expect(status, "bad_records=0 refused=0");
	json_decref(status);
}

/* --- stressors --- */

#define NOBODY "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"
#define STRESS "stress-ng", "--quiet", "--temp-path", "/tmp", "--timeout", "3"
#define WORDS(...)                \
	{                         \
		__VA_ARGS__, NULL \
	}

struct stress {
	const char *argv[24];
};

static void need_stress_ng(void)
{
	if (!have_program("stress-ng"))
		cr_skip_test("no stress-ng");
}

static void check_stress(const struct stress *stress)
{
	struct sums before, after;
	struct lt *lt;
	int code;

	need_stress_ng();
	lt = lt__start(NULL);
	before = settle(lt);
	code = run_quietly(stress->argv);
	lt_require(code == 0, "stress-ng ended with %d", code);
	lt_await(births_are(lt, before.births), "births: %ld of /proc/stat were not counted",
		 sums_now(lt).births - before.births);
	require_nothing_lost(lt);
	require_equal_to_proc(lt, LT_DEADLINE_NS);
	after = settle(lt);
	lt_require(after.living == before.living, "exits are %ld more than births minus the living",
		   before.living - after.living);
	require_nothing_lost(lt);
	lt__stop(lt);
}

#define STRESS_TEST(name, ...)                                              \
	LT_TEST(truth, name)                                                \
	{                                                                   \
		static const struct stress stress = { WORDS(__VA_ARGS__) }; \
                                                                            \
		check_stress(&stress);                                      \
	}

STRESS_TEST(fork, STRESS, "--fork", "2")
STRESS_TEST(vfork, STRESS, "--vfork", "2")
STRESS_TEST(clone, STRESS, "--clone", "2")
STRESS_TEST(exec, NOBODY, STRESS, "--exec", "2") /* it refuses to run as root */
STRESS_TEST(zombie, STRESS, "--zombie", "2")
STRESS_TEST(daemon, STRESS, "--daemon", "2")
STRESS_TEST(all_at_once, NOBODY, STRESS, "--fork", "1", "--vfork", "1", "--clone", "1", "--exec",
	    "1", "--zombie", "1", "--daemon", "1")

/* It starts in the middle of it: nothing is missed, and nothing there twice. */
LT_TEST(truth, start_under_storm)
{
	static const char *const argv[] =
		WORDS(STRESS, "--fork", "1", "--vfork", "1", "--zombie", "1");
	int64_t births = proc__births();
	struct cast *storm;
	struct lt *lt;

	need_stress_ng();
	storm = cast__startv(argv);
	lt_await(proc__births() > births + 1000, "no storm");
	lt = lt__start(NULL);
	require_nothing_lost(lt);
	cast__free(storm);
	require_equal_to_proc(lt, LT_DEADLINE_NS);
	require_nothing_lost(lt);
	lt__stop(lt);
}

/* --- loss --- */

static json_t *status_with_loss(struct lt *lt)
{
	json_t *status = lt__status(lt);

	lt_require(sum_of(json_at(status, "lost")) > 0, "nothing was lost");
	return status;
}

/* One second after the storm the table is true; a little longer only for what was on its way. */
static void require_true_after_a_second(struct lt *lt, int64_t storm_end_ns)
{
	lt_await(boottime_ns() >= storm_end_ns + NSEC_PER_SEC, "the clock stands");
	require_equal_to_proc(lt, 300 * NSEC_PER_MSEC);
}

static void stop_daemon(struct lt *lt)
{
	kill(lt__daemon_pid(lt), SIGSTOP);
	waitpid(lt__daemon_pid(lt), &(int){ 0 }, WUNTRACED);
}

/* A good reader keeps up with a small ring, too: for a moment it is kept from reading. */
LT_TEST(loss, storm_through_a_small_ring)
{
	static const char *const argv[] = WORDS(STRESS, "--fork", "2", "--vfork", "2");
	struct cast *storm;
	struct lt *lt;
	json_t *status;
	int64_t births, repairs;

	need_stress_ng();
	lt = lt__start("--ring-size", "64k", "--repair-interval", "1h", NULL);
	status = lt__status(lt);
	repairs = int_at(status, "repairs");
	json_decref(status);
	births = proc__births();
	stop_daemon(lt);
	storm = cast__startv(argv);
	lt_await(proc__births() > births + 2000, "no storm");
	kill(lt__daemon_pid(lt), SIGCONT);
	cast__end(storm);
	require_true_after_a_second(lt, boottime_ns());
	status = status_with_loss(lt);
	lt_require(int_at(status, "repairs") > repairs, "no repair");
	json_decref(status);
	cast__free(storm);
	lt__stop(lt);
}

/* The daemon does not read while the ring overflows: all that happens then is lost for sure. */
LT_TEST(loss, repaired_lives_are_inferred)
{
	static const char *const argv[] = WORDS(STRESS, "--vfork", "2");
	struct cast *living, *dead, *ending, *handled;
	struct lt *lt;
	json_t *row;
	int64_t end_ns;

	need_stress_ng();
	lt = lt__start("--ring-size", "64k", "--repair-interval", "1h", NULL);
	lt__tail(lt);
	ending = cast__start("forks", "fork", NULL);
	cast__hold(ending, "alive");
	handled = cast__start("zombie", NULL);
	cast__hold(handled, "zombie");
	json_decref(lt__await_row(lt, "zombies", cast__int(handled, "child", 0), "inferred=false"));
	json_decref(lt__await_row(lt, "ps", cast__int(ending, "child", 0), "inferred=false"));

	stop_daemon(lt);
	lt_require(run_quietly(argv) == 0, "stress-ng failed");
	living = cast__start("forks", "fork", NULL);
	cast__hold(living, "alive");
	dead = cast__start("zombie", "3", NULL);
	cast__hold(dead, "zombie");
	cast__end(ending);
	cast__go(handled);
	cast__hold(handled, "reaped");
	kill(lt__daemon_pid(lt), SIGCONT);
	end_ns = boottime_ns();
	require_true_after_a_second(lt, end_ns);
	json_decref(status_with_loss(lt));

	row = lt__row(lt, "ps", cast__int(living, "child", 0));
	lt_require(row, "not repaired");
	expect(row, "state=running inferred=true ppid=%d comm=forks", cast__pid(living));
	check_id(str_at(row, "id"), cast__int(living, "child", 0));
	json_decref(row);
	for (int n = 0; n < 3; n++) {
		row = lt__row(lt, "zombies", cast__int(dead, "child", n));
		lt_require(row, "not repaired");
		expect(row, "state=zombie inferred=true exit.how=exited exit.status=7 ppid=%d",
		       cast__pid(dead));
		json_decref(row);
	}
	lt_require(!lt__row(lt, "ps", cast__int(ending, "child", 0)), "it ended during the loss");
	lt_require(!lt__row(lt, "zombies", cast__int(handled, "child", 0)),
		   "it was reaped meanwhile");

	/* They go on as if nothing had been. */
	cast__go(dead);
	cast__hold(dead, "reaped");
	for (int n = 0; n < 3; n++)
		lt__require_no_zombie(lt, cast__int(dead, "child", n));
	cast__free(living);
	cast__free(dead);
	cast__free(ending);
	cast__free(handled);
	lt__stop(lt);
}

/* What /proc/stat counts has been seen, or is counted as lost: not one more, not one less. */
LT_TEST(loss, is_counted_exactly)
{
	static const char *const argv[] = WORDS(STRESS, "--vfork", "2");
	struct sums before;
	struct lt *lt;

	need_stress_ng();
	lt = lt__start("--ring-size", "64k", "--repair-interval", "1h", NULL);
	before = settle(lt);
	stop_daemon(lt);
	lt_require(run_quietly(argv) == 0, "stress-ng failed");
	kill(lt__daemon_pid(lt), SIGCONT);
	lt_await(births_are(lt, before.births), "%ld births neither seen nor lost",
		 sums_now(lt).births - before.births);
	json_decref(status_with_loss(lt));
	lt__stop(lt);
}
