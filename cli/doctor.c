// SPDX-License-Identifier: GPL-2.0-only
/* doctor: what this host offers, what is used, what is therefore not seen, what to change. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli.h"
#include "core/text.h"
#include "offers.h"
#include "print.h"

/* Also the exit status. */
enum verdict { WELL, DEGRADED, UNABLE };

static const char *const verdicts[] = { "well", "degraded", "unable" };

#define WORDS_SIZE 320

struct finding {
	enum verdict verdict;
	char value[WORDS_SIZE];
	char advice[WORDS_SIZE]; /* what to change; "" */
};

/* ---- the host ---- */

#define LOCKDOWN_FILE "/sys/kernel/security/lockdown"
#define CAP_SYS_ADMIN_BIT 21
#define CAP_SYS_RESOURCE_BIT 24
#define CAP_PERFMON_BIT 38
#define CAP_BPF_BIT 39

static bool read_line(const char *path, char *line, int size)
{
	FILE *file = fopen(path, "re");
	bool got = file && fgets(line, size, file);

	if (file)
		fclose(file);
	if (got)
		line[strcspn(line, "\n")] = '\0';
	return got;
}

/* A number in a file of its own; missing: the finding says so. */
static bool read_number(const char *path, long long *number, struct finding *finding)
{
	char line[64];

	if (!read_line(path, line, sizeof(line))) {
		snprintf(finding->value, WORDS_SIZE, "unknown: %s: %s", path, strerror(errno));
		return false;
	}
	*number = strtoll(line, NULL, 10);
	snprintf(finding->value, WORDS_SIZE, "%lld", *number);
	return true;
}

static void judge(struct finding *finding, enum verdict verdict, const char *advice)
{
	finding->verdict = verdict;
	snprintf(finding->advice, WORDS_SIZE, "%s", advice);
}

static void look_at_kernel(struct finding *finding)
{
	unsigned major = 0, minor = 0;
	struct utsname name;

	uname(&name);
	sscanf(name.release, "%u.%u", &major, &minor);
	snprintf(finding->value, WORDS_SIZE, "%.100s %.32s", name.release, name.machine);
	if (major < 5 || (major == 5 && minor < 10))
		judge(finding, UNABLE, "boot 5.10 or newer");
}

static void look_at_btf(struct finding *finding)
{
	static const char path[] = "/sys/kernel/btf/vmlinux";

	snprintf(finding->value, WORDS_SIZE, "%s", path);
	if (!access(path, R_OK))
		return;
	snprintf(finding->value, WORDS_SIZE, "%s: %s", path, strerror(errno));
	judge(finding, UNABLE,
	      "boot a kernel with CONFIG_DEBUG_INFO_BTF=y, or give lifetraced --btf FILE");
}

static unsigned long long own_caps(void)
{
	char line[256];
	unsigned long long caps = 0;
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "CapEff: %llx", &caps);
	if (file)
		fclose(file);
	return caps;
}

static void look_at_user(struct finding *finding)
{
	unsigned long long caps = own_caps();

	snprintf(finding->value, WORDS_SIZE, "uid %u%s%s%s", geteuid(),
		 caps >> CAP_BPF_BIT & 1 ? ", CAP_BPF" : "",
		 caps >> CAP_PERFMON_BIT & 1 ? ", CAP_PERFMON" : "",
		 caps >> CAP_SYS_ADMIN_BIT & 1 ? ", CAP_SYS_ADMIN" : "");
	if (!(caps >> CAP_SYS_ADMIN_BIT & 1) &&
	    !(caps >> CAP_BPF_BIT & 1 && caps >> CAP_PERFMON_BIT & 1))
		judge(finding, DEGRADED,
		      "only root, or who has CAP_BPF and CAP_PERFMON, can start a daemon");
}

/* "[none] integrity confidentiality": the one in brackets; false where it cannot be read. */
static bool read_lockdown(char mode[64])
{
	char line[128], *open, *close;

	if (!read_line(LOCKDOWN_FILE, line, sizeof(line)))
		return false;
	open = strchr(line, '[');
	close = open ? strchr(open, ']') : NULL;
	if (!close)
		return false;
	snprintf(mode, 64, "%.*s", (int)(close - open - 1), open + 1);
	return true;
}

static void look_at_lockdown(struct finding *finding)
{
	char mode[64];

	if (!read_lockdown(mode)) {
		snprintf(finding->value, WORDS_SIZE, "unknown: %s: %s", LOCKDOWN_FILE,
			 strerror(errno));
		snprintf(finding->advice, WORDS_SIZE,
			 "to know: mount -t securityfs securityfs /sys/kernel/security");
		return;
	}
	snprintf(finding->value, WORDS_SIZE, "%s", mode);
	if (!strcmp(mode, "confidentiality"))
		judge(finding, UNABLE,
		      "BPF programs may not read kernel memory: boot with lockdown=integrity or none");
	else if (!strcmp(mode, "integrity"))
		judge(finding, DEGRADED,
		      "fentry and kprobes are forbidden: boot without lockdown for the better hooks");
}

static void look_at_jit(struct finding *finding)
{
	long long on;

	if (read_number("/proc/sys/net/core/bpf_jit_enable", &on, finding) && !on)
		judge(finding, DEGRADED,
		      "BPF programs are interpreted: sysctl net.core.bpf_jit_enable=1");
}

static void look_at_stats(struct finding *finding)
{
	long long on;

	if (read_number("/proc/sys/kernel/bpf_stats_enabled", &on, finding) && on)
		judge(finding, DEGRADED,
		      "each run of a BPF program is timed: sysctl kernel.bpf_stats_enabled=0");
}

static void look_at_paranoid(struct finding *finding)
{
	long long level;

	if (read_number("/proc/sys/kernel/perf_event_paranoid", &level, finding) && level > 2)
		snprintf(finding->advice, WORDS_SIZE,
			 "a daemon without CAP_SYS_ADMIN gets no system call tracepoints: "
			 "sysctl kernel.perf_event_paranoid=2");
}

static void look_at_mount(struct finding *finding, const char *type, const char *path,
			  enum verdict without)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *mount;
	char advice[WORDS_SIZE];

	while (mounts && (mount = getmntent(mounts))) {
		if (strcmp(mount->mnt_type, type))
			continue;
		snprintf(finding->value, WORDS_SIZE, "%s", mount->mnt_dir);
		endmntent(mounts);
		return;
	}
	if (mounts)
		endmntent(mounts);
	snprintf(finding->value, WORDS_SIZE, "not mounted");
	snprintf(advice, sizeof(advice), "mount -t %s %s %s", type, type, path);
	judge(finding, without, advice);
}

/* Needed by what is attached by name: system call tracepoints and kprobes. */
static void look_at_tracefs(struct finding *finding)
{
	look_at_mount(finding, "tracefs", "/sys/kernel/tracing", DEGRADED);
}

/* Only for maps that outlive the daemon. */
static void look_at_bpffs(struct finding *finding)
{
	look_at_mount(finding, "bpf", "/sys/fs/bpf", WELL);
}

static void look_at_cgroups(struct finding *finding)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	bool v1 = false, v2 = false;
	struct mntent *mount;

	while (mounts && (mount = getmntent(mounts))) {
		v1 |= !strcmp(mount->mnt_type, "cgroup");
		v2 |= !strcmp(mount->mnt_type, "cgroup2");
	}
	if (mounts)
		endmntent(mounts);
	snprintf(finding->value, WORDS_SIZE, "%s",
		 v1 && v2 ? "v1 and v2 (hybrid)" :
		 v2	  ? "v2" :
		 v1	  ? "v1" :
			    "none mounted");
	if (!v1 && !v2)
		judge(finding, DEGRADED,
		      "units and containers of what lives already are unknown: "
		      "mount -t cgroup2 cgroup2 /sys/fs/cgroup");
}

/* Tasks there are, out of how many: "215/1034" in /proc/loadavg. */
static long long count_tasks(void)
{
	char line[128];
	long long tasks = 0;

	if (read_line("/proc/loadavg", line, sizeof(line)))
		sscanf(line, "%*s %*s %*s %*d/%lld", &tasks);
	return tasks;
}

static void look_at_limit(struct finding *finding, const char *path, const char *name)
{
	long long max, tasks = count_tasks();
	char advice[WORDS_SIZE];

	if (!read_number(path, &max, finding))
		return;
	snprintf(finding->value, WORDS_SIZE, "%lld, %lld in use", max, tasks);
	if (tasks <= max / 10 * 8)
		return;
	snprintf(
		advice, sizeof(advice),
		"nearly out of pids: lifetrace leaks says who holds them; to raise it: sysctl %s=%lld",
		name, 2 * max);
	judge(finding, DEGRADED, advice);
}

static void look_at_pid_max(struct finding *finding)
{
	look_at_limit(finding, "/proc/sys/kernel/pid_max", "kernel.pid_max");
}

static void look_at_threads_max(struct finding *finding)
{
	look_at_limit(finding, "/proc/sys/kernel/threads-max", "kernel.threads-max");
}

/*
 * 97306be45fbe ("bpf: switch to memcg-based memory accounting", 5.11) made it irrelevant. Before,
 * whoever may raise it has it raised by libbpf.
 */
static void look_at_memlock(struct finding *finding)
{
	struct rlimit limit = { 0 };
	unsigned major = 0, minor = 0;
	struct utsname name;

	uname(&name);
	sscanf(name.release, "%u.%u", &major, &minor);
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_max == RLIM_INFINITY)
		snprintf(finding->value, WORDS_SIZE, "unlimited");
	else
		snprintf(finding->value, WORDS_SIZE, "%llu bytes",
			 (unsigned long long)limit.rlim_max);
	if ((major < 5 || (major == 5 && minor < 11)) && limit.rlim_max != RLIM_INFINITY &&
	    limit.rlim_max < 64 << 20 && !(own_caps() >> CAP_SYS_RESOURCE_BIT & 1))
		judge(finding, UNABLE,
		      "before 5.11 BPF maps are charged to it: ulimit -l unlimited");
}

/* Copy-on-write as the kernel itself counts it; nothing here needs it. */
static void look_at_delayacct(struct finding *finding)
{
	long long on;

	read_number("/proc/sys/kernel/task_delayacct", &on, finding);
}

static const struct check {
	const char *name;
	void (*look)(struct finding *finding);
} checks[] = {
	{ "kernel", look_at_kernel },
	{ "btf", look_at_btf },
	{ "user", look_at_user },
	{ "lockdown", look_at_lockdown },
	{ "bpf_jit_enable", look_at_jit },
	{ "bpf_stats_enabled", look_at_stats },
	{ "perf_event_paranoid", look_at_paranoid },
	{ "tracefs", look_at_tracefs },
	{ "bpffs", look_at_bpffs },
	{ "cgroups", look_at_cgroups },
	{ "pid_max", look_at_pid_max },
	{ "threads_max", look_at_threads_max },
	{ "memlock", look_at_memlock },
	{ "task_delayacct", look_at_delayacct },
};

#define CHECKS (sizeof(checks) / sizeof(checks[0]))

/* ---- the needs ---- */

/* What the daemon's own settings keep from use: hooks whose names begin so. */
static const struct {
	const char *setting, *value, *hooks;
} ruled_out[] = {
	{ "best_hook", "kprobe", "f" },	    { "best_hook", "tracepoint", "f" },
	{ "best_hook", "tracepoint", "k" }, { "cow", "faults", "f" },
	{ "cow", "faults", "k" },
};

/* The line above that keeps it from use; negative: none does. */
static int find_ruling(const json_t *settings, const struct offer *offer)
{
	const char *setting = strcmp(offer->what, "cow") ? "best_hook" : "cow", *value;

	value = json_string_value(json_object_get(settings, setting)) ?: "";
	for (size_t i = 0; i < sizeof(ruled_out) / sizeof(ruled_out[0]); i++)
		if (!strcmp(ruled_out[i].setting, setting) && !strcmp(ruled_out[i].value, value) &&
		    ruled_out[i].hooks[0] == offer->hook[0])
			return (int)i;
	return -1;
}

/* Why a hook that would be better is not the one in use. */
static void why_not(const struct btf *btf, const json_t *settings, const struct offer *offer,
		    char words[WORDS_SIZE])
{
	bool function = !strncmp(offer->hook, "f", 1), locked;
	int ruling = find_ruling(settings, offer);
	char mode[64] = "";

	if (btf && !offer_is_there(btf, offer)) {
		snprintf(words, WORDS_SIZE, "this kernel does not have it%s%s%s",
			 offer->since ? " (since " : "", offer->since ? offer->since : "",
			 offer->since ? ")" : "");
		return;
	}
	if (ruling >= 0) {
		snprintf(words, WORDS_SIZE, "lifetraced's setting rules it out: %s = %s",
			 ruled_out[ruling].setting, ruled_out[ruling].value);
		return;
	}
	locked = read_lockdown(mode) && strcmp(mode, "none") != 0;
	snprintf(words, WORDS_SIZE, "the kernel offers it and refuses it%s%s%s",
		 locked ? ": lockdown=" : "", locked ? mode : "",
		 !locked && function ? ": a lockdown, or missing capabilities" : "");
}

static bool is_off(const char *hook)
{
	return !strncmp(hook, "off:", 4);
}

/* Off because a setting says so, or says nothing: as it is wanted. */
static bool is_wanted_off(const char *hook)
{
	return is_off(hook) && (strstr(hook, " = off") || strstr(hook, " is empty"));
}

/* A hook's name may be followed by a word in parentheses. */
static bool is_hook(const char *name, const char *hook)
{
	size_t len = strlen(name);

	return !strncmp(name, hook, len) && (!hook[len] || !strncmp(hook + len, " (", 2));
}

static const struct offer *find_offer(const char *what, const char *hook)
{
	for (size_t i = 0; i < hook_offer_count; i++)
		if (!strcmp(hook_offers[i].what, what) && is_hook(hook_offers[i].hook, hook))
			return &hook_offers[i];
	return NULL;
}

/* What an "off" waits for to be switched on; NULL: nothing. */
static const struct offer *in_reserve(const struct btf *btf, const char *what, const char *hook)
{
	for (size_t i = 0; is_off(hook) && i < hook_offer_count; i++)
		if (!strcmp(hook_offers[i].what, what) && hook_offers[i].on_demand && btf &&
		    offer_is_there(btf, &hook_offers[i]))
			return &hook_offers[i];
	return NULL;
}

/* Those before the one that is used, or would be. */
static json_t *better_hooks(const struct btf *btf, const json_t *settings, const char *what,
			    const struct offer *used)
{
	json_t *better = json_array();
	char words[WORDS_SIZE];

	for (size_t i = 0; i < hook_offer_count && &hook_offers[i] != used; i++) {
		if (strcmp(hook_offers[i].what, what))
			continue;
		why_not(btf, settings, &hook_offers[i], words);
		json_array_append_new(better, json_pack("{s:s,s:s}", "hook", hook_offers[i].hook,
							"why_not", words));
	}
	return better;
}

/* Needs that are off unless somebody wants them, and what is not seen then. */
static const char *not_seen_without(const char *what)
{
	static const struct {
		const char *what, *not_seen;
	} off[] = { { "exit_handlers", "exit() from _exit(), and what exit handlers take" },
		    { "stacks", "where leaking parents fork" },
		    { "pins", "what happens while no daemon runs" } };

	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
		if (!strcmp(off[i].what, what))
			return off[i].not_seen;
	return "all of it";
}

static const char *not_seen(const char *what, const struct offer *used, const struct offer *reserve,
			    const char *hook)
{
	if (used)
		return used->not_seen ? used->not_seen : "";
	if (reserve)
		return "all of it, until a zombie is flagged or somebody asks";
	return is_off(hook) ? not_seen_without(what) : "";
}

static json_t *judge_need(const struct btf *btf, const json_t *settings, const char *what,
			  const char *hook)
{
	const struct offer *used = find_offer(what, hook), *reserve = in_reserve(btf, what, hook);
	json_t *better = is_wanted_off(hook) ?
				 json_array() :
				 better_hooks(btf, settings, what, used ? used : reserve);
	bool works = reserve || !is_off(hook);
	bool well = is_wanted_off(hook) || (works && !json_array_size(better));

	return json_pack("{s:s,s:s,s:s,s:o,s:s}", "what", what, "hook", hook, "verdict",
			 verdicts[well ? WELL : DEGRADED], "better", better, "not_seen",
			 not_seen(what, used, reserve, hook));
}

static json_t *judge_needs(const json_t *status)
{
	struct btf *btf = btf__load_vmlinux_btf();
	json_t *needs = json_array(), *hook;
	const json_t *settings = json_object_get(status, "settings");
	const char *what;

	if (libbpf_get_error(btf))
		btf = NULL;
	json_object_foreach(json_object_get(status, "hooks"), what, hook)
		json_array_append_new(needs, judge_need(btf, settings, what,
							json_string_value(hook) ?: ""));
	btf__free(btf);
	return needs;
}

/* ---- all of it ---- */

static json_t *judge_checks(void)
{
	json_t *array = json_array();

	for (size_t i = 0; i < CHECKS; i++) {
		struct finding finding = { WELL, "", "" };

		checks[i].look(&finding);
		json_array_append_new(array, json_pack("{s:s,s:s,s:s,s:s}", "name", checks[i].name,
						       "value", finding.value, "verdict",
						       verdicts[finding.verdict], "advice",
						       finding.advice));
	}
	return array;
}

static enum verdict worst_of(const json_t *array)
{
	enum verdict worst = WELL;
	const json_t *entry;
	size_t i;

	json_array_foreach((json_t *)array, i, entry) {
		const char *name = json_string_value(json_object_get(entry, "verdict"));

		for (enum verdict v = worst; v <= UNABLE; v++)
			if (!strcmp(name, verdicts[v]))
				worst = v;
	}
	return worst;
}

static void print_need(const json_t *need)
{
	char what[CELL_SIZE], hook[CELL_SIZE], text[CELL_SIZE];
	bool well = !strcmp(member(need, "verdict", text), verdicts[WELL]);
	const json_t *better;
	size_t i;

	printf("  %-13s %s%s%s\n", member(need, "what", what), colour_on(well ? PLAIN : YELLOW),
	       member(need, "hook", hook), colour_off());
	json_array_foreach(json_object_get(need, "better"), i, better)
		printf("  %-13s   not %s: %s\n", "", member(better, "hook", hook),
		       member(better, "why_not", text));
	if (*member(need, "not_seen", text))
		printf("  %-13s   not seen: %s\n", "", text);
}

static void print_check(const json_t *check)
{
	char name[CELL_SIZE], value[CELL_SIZE], text[CELL_SIZE];
	bool well = !strcmp(member(check, "verdict", text), verdicts[WELL]);

	printf("  %-19s %s%s%s\n", member(check, "name", name), colour_on(well ? PLAIN : YELLOW),
	       member(check, "value", value), colour_off());
	if (*member(check, "advice", text))
		printf("  %-19s   %s\n", "", text);
}

static void print_findings(const json_t *document)
{
	const json_t *entry;
	char text[CELL_SIZE];
	size_t i;

	printf("lifetrace is %s here\n\nhooks\n", member(document, "verdict", text));
	json_array_foreach(json_object_get(document, "needs"), i, entry)
		print_need(entry);
	if (!json_array_size(json_object_get(document, "needs")))
		puts("  unknown: no daemon answers, and none could be started");
	puts("\nhost");
	json_array_foreach(json_object_get(document, "checks"), i, entry)
		print_check(entry);
}

/* What a daemon says of itself; NULL: there is none, and it was said why. */
static json_t *ask_status(struct options *options)
{
	struct source *source = daemon_source(options);
	json_t *status = NULL;

	if (!source)
		return NULL;
	source->ops->get(source, options, "status", &status);
	source->ops->close(source);
	return status;
}

int run_doctor(const struct command *command, struct options *options)
{
	json_t *status = ask_status(options), *needs = judge_needs(status), *host = judge_checks();
	enum verdict verdict = worst_of(needs) > worst_of(host) ? worst_of(needs) : worst_of(host);
	json_t *document;

	(void)command;
	if (!status)
		verdict = UNABLE;
	document = json_pack("{s:s,s:o,s:o}", "verdict", verdicts[verdict], "needs", needs,
			     "checks", host);
	if (options->json)
		print_json(document);
	else
		print_findings(document);
	json_decref(document);
	json_decref(status);
	return (int)verdict;
}
