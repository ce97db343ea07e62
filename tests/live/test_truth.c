/*
 * Truth: while stress-ng makes trouble, births, exits and the table agree with
 * the kernel's own count and with /proc, and nothing is lost; with a squeezed
 * ring, what is lost is counted and the table is true again within a second.
 */
#include "truth.h"

#include <signal.h>
#include <sys/wait.h>

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
	struct sums before;
	struct lt *lt;
	int code;

	need_stress_ng();
	lt = lt__start(NULL);
	before = settle(lt);
	code = run_quietly(stress->argv);
	lt_require(code == 0, "stress-ng ended with %d", code);
	require_truth(lt, before);
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
