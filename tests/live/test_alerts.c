/*
 * Alerts that only a kernel can give: hooks that tell nothing any more, though
 * the daemon knows nothing of it.
 */
#include "http.h"

/* Of /v1/alerts, a new reference; NULL: it does not fire. */
static json_t *alert_now(const struct lt *lt, const char *name)
{
	struct answer answer = http_ask(lt, "/v1/alerts");
	json_t *document, *row, *found = NULL;
	size_t i;

	lt_require(http_status(&answer) == 200, "\"%.200s\"", answer.text);
	document = json_loads(http_body(&answer), 0, NULL);
	json_array_foreach(json_at(document, "alerts"), i, row)
		if (!strcmp(str_at(row, "alert"), name))
			found = json_incref(row);
	json_decref(document);
	free(answer.text);
	return found;
}

static void disarm(const struct lt *lt, const char *program)
{
	char pid[16], path[512];
	struct result result;

	snprintf(pid, sizeof(pid), "%d", lt__daemon_pid(lt));
	run(&result,
	    &(struct plan){ .argv = ARGV(cast__path("disarm", path, sizeof(path)), pid, program) });
	if (result.code == 77)
		cr_skip("no way to take a hook away here");
	lt_require(!result.code && !strcmp(result.out, "closed=1\n"), "%d: %s%s", result.code,
		   result.out, result.err);
	result__free(&result);
}

/* Longer than two sweeps take. */
#define TRY_NS (3 * NSEC_PER_SEC)

/* A process is born, dies, is a zombie for a while, and may be reaped. */
static json_t *provoke(const struct lt *lt, const char *hook)
{
	struct cast *cast = cast__start("zombie", "1", NULL);
	int64_t end = boottime_ns() + TRY_NS;
	json_t *alert;

	cast__hold(cast, "zombie");
	if (!strcmp(hook, "reap")) {
		cast__go(cast);
		cast__hold(cast, "reaped");
	}
	while (!(alert = alert_now(lt, "blind")) && boottime_ns() < end)
		lt__pump(10);
	cast__end(cast);
	cast__free(cast);
	return alert;
}

/* What the hook told before it was taken away can be of the same interval: once more, then. */
static void expect_blind(const char *program, const char *hook)
{
	struct lt *lt = lt__start("--alert-settle", "1h", "--pin-dir", "", NULL);
	json_t *alert = NULL;

	disarm(lt, program);
	lt_await((alert = provoke(lt, hook)), "not blind without %s", program);
	expect(alert, "reason=%s severity=critical parent_comm=lifetraced", hook);
	cr_assert_eq(strtol(str_at(alert, "parent_id"), NULL, 10), lt__daemon_pid(lt));
	json_decref(alert);
	lt__stop(lt);
}

LT_TEST(alerts, blind_without_births)
{
	expect_blind("on_newtask", "birth");
}

LT_TEST(alerts, blind_without_exits)
{
	expect_blind("on_exit", "exit");
}

LT_TEST(alerts, blind_without_zombies)
{
	expect_blind("on_signal", "zombie");
}

LT_TEST(alerts, blind_without_reaps)
{
	expect_blind("on_free", "reap");
}
