/*
 * doctor against what the host itself says: its BTF as bpftool reads it, its
 * settings, its mounts; and on hosts that cannot do it.
 */
#include "run.h"

#include <sys/mount.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct diagnosis {
	int code;
	json_t *json;
	char *err;
};

/* Runs `SETUP; lifetrace doctor --json` in a mount namespace of its own. */
static struct diagnosis diagnose(const char *setup, const char *socket_path)
{
	struct diagnosis diagnosis;
	struct result result;
	char script[2048];

	snprintf(script, sizeof(script),
		 "mount --make-rprivate / && %s && exec %s doctor --json %s %s", setup, LIFETRACE,
		 socket_path ? "--socket" : "", socket_path ? socket_path : "");
	run(&result,
	    &(struct plan){ .argv = ARGV("/usr/bin/unshare", "-m", "/bin/sh", "-c", script) });
	diagnosis.code = result.code;
	diagnosis.json = json_loads(result.out, JSON_REJECT_DUPLICATES, NULL);
	diagnosis.err = result.err;
	lt_require(diagnosis.json, "exit %d, no JSON: \"%s\" \"%s\"", result.code, result.out,
		   result.err);
	free(result.out);
	return diagnosis;
}

static void diagnosis__free(struct diagnosis *diagnosis)
{
	json_decref(diagnosis->json);
	free(diagnosis->err);
}

/* The entry of ARRAY whose KEY is NAME; a borrowed reference. */
static json_t *entry_of(const json_t *document, const char *array, const char *key,
			const char *name)
{
	json_t *entry;
	size_t i;

	json_array_foreach(json_at((json_t *)document, array), i, entry)
		if (!strcmp(json_string_value(json_object_get(entry, key)), name))
			return entry;
	lt_require(false, "no %s in %s", name, array);
	return NULL;
}

static const char *check_text(const struct diagnosis *diagnosis, const char *check,
			      const char *member)
{
	return json_string_value(
		json_object_get(entry_of(diagnosis->json, "checks", "name", check), member));
}

#define expect_check(diagnosis, check, member, expected) \
	cr_expect_str_eq(check_text(diagnosis, check, member), expected)

LT_TEST(doctor, exit_status_is_the_verdict)
{
	static const char *const verdicts[] = { "well", "degraded", "unable" };
	struct lt *lt = lt__start(NULL);
	struct diagnosis diagnosis = diagnose("true", lt__socket(lt));

	lt_require(diagnosis.code >= 0 && diagnosis.code <= 2, "exit %d", diagnosis.code);
	cr_expect_str_eq(json_string_value(json_at(diagnosis.json, "verdict")),
			 verdicts[diagnosis.code]);
	cr_expect(!*diagnosis.err, "%s", diagnosis.err);
	diagnosis__free(&diagnosis);
	lt__stop(lt);
}

/* The hooks are those that status names. */
LT_TEST(doctor, hooks_are_those_in_use)
{
	struct lt *lt = lt__start(NULL);
	struct diagnosis diagnosis = diagnose("true", lt__socket(lt));
	json_t *status = lt__status(lt), *hook;
	const char *what;
	size_t count = 0;

	json_object_foreach(json_at(status, "hooks"), what, hook) {
		json_t *need = entry_of(diagnosis.json, "needs", "what", what);

		cr_expect(json_equal(json_object_get(need, "hook"), hook), "%s", what);
		count++;
	}
	cr_expect(json_array_size(json_at(diagnosis.json, "needs")) == count);
	json_decref(status);
	diagnosis__free(&diagnosis);
	lt__stop(lt);
}

static bool kernel_has_function(const char *name)
{
	char script[256];
	struct result result;

	snprintf(
		script, sizeof(script),
		"PATH=$PATH:/usr/sbin bpftool btf dump file /sys/kernel/btf/vmlinux | grep -q \"FUNC '%s'\"",
		name);
	run(&result, &(struct plan){ .argv = ARGV("/bin/sh", "-c", script) });
	result__free(&result);
	return result.code == 0;
}

/* What is said of a hook that is not used: NULL: it is used, or not better. */
static const char *why_not(const struct diagnosis *diagnosis, const char *what, const char *hook)
{
	json_t *need = entry_of(diagnosis->json, "needs", "what", what), *better;
	size_t i;

	json_array_foreach(json_object_get(need, "better"), i, better)
		if (!strcmp(json_string_value(json_object_get(better, "hook")), hook))
			return json_string_value(json_object_get(better, "why_not"));
	return NULL;
}

/* Of a better hook that is not in use it is said whether the kernel has it. */
LT_TEST(doctor, what_the_kernel_lacks_and_what_it_refuses)
{
	struct lt *lt = lt__start(NULL);
	struct diagnosis diagnosis = diagnose("true", lt__socket(lt));
	const char *fentry = why_not(&diagnosis, "reap", "fentry/release_task");
	const char *kprobe = why_not(&diagnosis, "reap", "kprobe/release_task");
	char *used = lt__hook(lt, "reap");

	if (!strncmp(used, "fentry/", 7)) {
		cr_expect(!fentry && !kprobe, "better than the best");
	} else {
		lt_require(fentry, "nothing is said of fentry");
		cr_expect(!strstr(fentry, "does not have") == kernel_has_function("release_task"),
			  "fentry: %s", fentry);
		cr_expect(strncmp(used, "tp_btf/", 7) ||
				  !strstr(kprobe, "does not have") ==
					  kernel_has_function("register_kprobe"),
			  "kprobe: %s", kprobe);
		cr_expect(diagnosis.code == 1, "exit %d", diagnosis.code);
	}
	free(used);
	diagnosis__free(&diagnosis);
	lt__stop(lt);
}

/* What lifetraced's own settings rule out is not blamed on the kernel. */
LT_TEST(doctor, what_the_settings_rule_out)
{
	struct lt *lt = lt__start("--best-hook", "tracepoint", "--cow", "faults", NULL);
	struct diagnosis diagnosis = diagnose("true", lt__socket(lt));
	const char *reap = why_not(&diagnosis, "reap", "fentry/release_task");
	const char *wait = why_not(&diagnosis, "wait_results", "fexit/do_wait");
	const char *cow = why_not(&diagnosis, "cow", "fentry/do_wp_page");

	cr_expect(reap && strstr(reap, "best_hook = tracepoint"), "reap: %s", reap);
	cr_expect(wait && strstr(wait, "best_hook = tracepoint"), "wait_results: %s", wait);
	cr_expect(cow && strstr(cow, "cow = faults"), "cow: %s", cow);
	cr_expect(diagnosis.code == 1, "exit %d", diagnosis.code);
	diagnosis__free(&diagnosis);
	lt__stop(lt);
}

static const char *verdict_of(const struct diagnosis *diagnosis, const char *what)
{
	return json_string_value(
		json_object_get(entry_of(diagnosis->json, "needs", "what", what), "verdict"));
}

/* What nobody asked for is no fault of the host. */
LT_TEST(doctor, what_is_off_because_nobody_asked)
{
	static const char *const needs[] = { "exit_handlers", "stacks", "pins" };
	struct lt *lt = lt__start(NULL);
	struct diagnosis diagnosis = diagnose("true", lt__socket(lt));

	for (size_t i = 0; i < 3; i++) {
		char *hook = lt__hook(lt, needs[i]);

		lt_require(!strncmp(hook, "off: ", 5), "%s: %s", needs[i], hook);
		cr_expect_str_eq(verdict_of(&diagnosis, needs[i]), "well", "%s: %s", needs[i],
				 hook);
		free(hook);
	}
	diagnosis__free(&diagnosis);
	lt__stop(lt);
}

LT_TEST(doctor, pins_that_are_there_and_pins_that_cannot_be)
{
	char dir[] = "/tmp/lt-doctor-XXXXXX";
	struct diagnosis diagnosis;
	struct lt *lt;

	lt_require(mkdtemp(dir), "mkdtemp");
	lt = lt__start("--pin-dir", dir, "--syscall-hooks", "off", NULL);
	diagnosis = diagnose("true", lt__socket(lt));
	cr_expect_str_eq(verdict_of(&diagnosis, "pins"), "degraded", "no file system of pins");
	diagnosis__free(&diagnosis);
	lt__stop(lt);
	lt_require(!mount("bpf", dir, "bpf", 0, "mode=700"), "mount %s", dir);
	lt = lt__start("--pin-dir", dir, "--syscall-hooks", "off", NULL);
	diagnosis = diagnose("true", lt__socket(lt));
	cr_expect_str_eq(verdict_of(&diagnosis, "pins"), "well");
	diagnosis__free(&diagnosis);
	lt__stop(lt);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

LT_TEST(doctor, nearly_out_of_pids)
{
	struct lt *lt = lt__start(NULL);
	struct diagnosis diagnosis = diagnose("mount -t tmpfs none /mnt && echo 30 > /mnt/max &&"
					      " mount --bind /mnt/max /proc/sys/kernel/pid_max",
					      lt__socket(lt));

	cr_expect(diagnosis.code == 1, "exit %d", diagnosis.code);
	expect_check(&diagnosis, "pid_max", "verdict", "degraded");
	cr_expect(strstr(check_text(&diagnosis, "pid_max", "advice"), "sysctl kernel.pid_max=60"));
	diagnosis__free(&diagnosis);
	lt__stop(lt);
}

LT_TEST(doctor, kernel_settings)
{
	static const char *const names[] = { "bpf_jit_enable", "perf_event_paranoid",
					     "task_delayacct" };
	static const char *const files[] = { "/proc/sys/net/core/bpf_jit_enable",
					     "/proc/sys/kernel/perf_event_paranoid",
					     "/proc/sys/kernel/task_delayacct" };
	struct lt *lt = lt__start(NULL);
	struct diagnosis diagnosis = diagnose("true", lt__socket(lt));

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char value[32] = "";
		FILE *file = fopen(files[i], "re");

		if (!file || !fgets(value, sizeof(value), file)) {
			cr_expect(strstr(check_text(&diagnosis, names[i], "value"), "unknown"));
			continue;
		}
		fclose(file);
		value[strcspn(value, "\n")] = '\0';
		expect_check(&diagnosis, names[i], "value", value);
	}
	diagnosis__free(&diagnosis);
	lt__stop(lt);
}

/* Found, told, and told what to do; in securityfs, which need not be mounted. */
LT_TEST(doctor, lockdown)
{
	static const char with[] = "{ mountpoint -q /sys/kernel/security ||"
				   " mount -t securityfs securityfs /sys/kernel/security; }";
	static const char mode[] = "mount -t securityfs securityfs /sys/kernel/security;"
				   "grep -o '\\[.*\\]' /sys/kernel/security/lockdown |"
				   "tr -d '[]\\n'";
	struct lt *lt = lt__start(NULL);
	struct diagnosis diagnosis = diagnose(with, lt__socket(lt));
	struct result result;

	run(&result,
	    &(struct plan){ .argv = ARGV("/usr/bin/unshare", "-m", "/bin/sh", "-c", mode) });
	if (*result.out)
		expect_check(&diagnosis, "lockdown", "value", result.out);
	else
		cr_expect(strstr(check_text(&diagnosis, "lockdown", "value"), "unknown"));
	result__free(&result);
	diagnosis__free(&diagnosis);
	lt__stop(lt);
}

LT_TEST(doctor, no_btf)
{
	struct lt *lt = lt__start(NULL);
	struct diagnosis diagnosis =
		diagnose("mount -t tmpfs none /sys/kernel/btf", lt__socket(lt));

	cr_expect(diagnosis.code == 2, "exit %d", diagnosis.code);
	expect_check(&diagnosis, "btf", "verdict", "unable");
	cr_expect(strstr(check_text(&diagnosis, "btf", "advice"), "CONFIG_DEBUG_INFO_BTF"));
	diagnosis__free(&diagnosis);
	lt__stop(lt);
}

LT_TEST(doctor, nothing_mounted)
{
	struct lt *lt = lt__start(NULL);
	struct diagnosis diagnosis =
		diagnose("for at in fs/cgroup kernel/tracing kernel/debug fs/bpf; do"
			 " while umount -l /sys/$at 2>/dev/null; do :; done; done",
			 lt__socket(lt));

	cr_expect(diagnosis.code == 1, "exit %d", diagnosis.code);
	expect_check(&diagnosis, "tracefs", "value", "not mounted");
	cr_expect(strstr(check_text(&diagnosis, "tracefs", "advice"), "mount -t tracefs"));
	expect_check(&diagnosis, "bpffs", "value", "not mounted");
	expect_check(&diagnosis, "cgroups", "verdict", "degraded");
	diagnosis__free(&diagnosis);
	lt__stop(lt);
}

LT_TEST(doctor, no_daemon)
{
	struct diagnosis diagnosis = diagnose("true", "/nonexistent/sock");

	cr_expect(diagnosis.code == 2, "exit %d", diagnosis.code);
	cr_expect(is_one_line(diagnosis.err) && strstr(diagnosis.err, "/nonexistent/sock"), "%s",
		  diagnosis.err);
	cr_expect(json_array_size(json_at(diagnosis.json, "needs")) == 0);
	diagnosis__free(&diagnosis);
}

/* Who may not start a daemon can still ask one. */
LT_TEST(doctor, as_nobody)
{
	struct lt *lt = lt__start(NULL);
	struct result result;

	run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, "doctor", "--socket", lt__socket(lt)),
				     .uid = NOBODY_UID });
	lt__stop(lt);
	if (result.code == 127)
		cr_skip_test("nobody may not run this build");
	cr_expect(result.code == 1, "exit %d: %s", result.code, result.err);
	cr_expect(strstr(result.out, "uid 65534\n"), "%s", result.out);
	cr_expect(strstr(result.out, "CAP_BPF and CAP_PERFMON"), "%s", result.out);
	result__free(&result);
}
