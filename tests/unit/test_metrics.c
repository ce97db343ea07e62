// SPDX-License-Identifier: GPL-2.0-only
/* Metrics: what the text says of what was fed, however many and hostile the labels are. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "core/metrics.h"

static char *text_of(const struct core *core, enum metrics_format format)
{
	size_t len;
	char *text = metrics_text(core, format, &len);

	cr_assert(text && strlen(text) == len);
	return text;
}

/* The value of a sample, as it is written, or "absent". */
static const char *value_of(const struct core *core, const char *series)
{
	char *text = text_of(core, METRICS_TEXT), start[256], *at;
	static char value[64];

	snprintf(start, sizeof(start), "\n%s ", series);
	at = strstr(text, start);
	snprintf(value, sizeof(value), "%.*s", at ? (int)strcspn(at + strlen(start), "\n") : 6,
		 at ? at + strlen(start) : "absent");
	free(text);
	return value;
}

#define expect_value(bench, series, expected) \
	expect_text(value_of((bench)->core, (series)), (expected))

static void die(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t parent, int code)
{
	feed_fork(bench, ms, pid, parent);
	feed_exit(bench, ms, pid, parent, code, NOBODY, 0);
	feed_notify(bench, ms, pid, parent, code, 0);
}

static size_t count_of(const char *text, const char *what)
{
	size_t count = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		count++;
	return count;
}

Test(metrics, counts_what_happened)
{
	struct bench *bench = bench_new();

	feed_policy(bench, 1, 1000, 1, 60000, 5000, "");
	feed_fork(bench, 1, 1, NOBODY);
	feed_fork(bench, 50, 50, 1);
	die(bench, 100, 100, 50, 3 << 8);
	die(bench, 100, 101, 50, SIGKILL);
	die(bench, 100, 102, 50, SIGABRT | 0x80);
	feed_free(bench, 103, 100);
	feed_fork_fail(bench, 110, 50, 11);
	feed_tick(bench, 2100);
	expect_value(bench, "lifetrace_processes{state=\"running\"}", "2");
	expect_value(bench, "lifetrace_processes{state=\"zombie\"}", "2");
	expect_value(bench, "lifetrace_forks_total", "5");
	expect_value(bench, "lifetrace_fork_failures_total{errno=\"EAGAIN\"}", "1");
	expect_value(bench, "lifetrace_exits_total{how=\"exited\",signal=\"\"}", "1");
	expect_value(bench, "lifetrace_exits_total{how=\"killed\",signal=\"SIGKILL\"}", "1");
	expect_value(bench, "lifetrace_exits_total{how=\"dumped\",signal=\"SIGABRT\"}", "1");
	expect_value(bench, "lifetrace_reaps_total{how=\"waited\"}", "1");
	expect_value(bench, "lifetrace_zombies_flagged", "2");
	expect_value(bench, "lifetrace_leaks", "1");
	expect_value(bench, "lifetrace_zombie_oldest_age_seconds", "2.0");
	expect_value(bench, "lifetrace_reap_latency_seconds_bucket{le=\"0.001\"}", "0");
	expect_value(bench, "lifetrace_reap_latency_seconds_bucket{le=\"0.005\"}", "1");
	expect_value(bench, "lifetrace_reap_latency_seconds_bucket{le=\"+Inf\"}", "1");
	expect_value(bench, "lifetrace_reap_latency_seconds_sum", "0.003");
	expect_value(bench, "lifetrace_cow_copied_bytes_total", "absent");
	expect_value(bench, "process_cpu_seconds_total", "absent");
	bench_free(bench);
}

Test(metrics, ends_that_nobody_saw)
{
	struct bench *bench = bench_new();
	struct lt_exit e = { .hdr = { sizeof(e), LT_EXIT, 0, MS(60) }, .id = id_of(52) };

	feed_fork(bench, 50, 50, 1);
	feed_free(bench, 60, 50); /* its exit was lost */
	feed_fork(bench, 51, 51, 1);
	feed_pass(bench, 100, LT_PASS_BEGIN, 100, false);
	feed_pass(bench, 101, LT_PASS_END, 100, false);
	feed_pass(bench, 200, LT_SWEEP, 100, false); /* and all of this one's */
	feed_fork(bench, 210, 52, 1);
	e.exit_code = 0x7f; /* no signal has this number */
	e.hdr.time_ns = MS(220);
	feed(bench, &e);
	expect_value(bench, "lifetrace_exits_total{how=\"unknown\",signal=\"\"}", "3");
	expect_value(bench, "lifetrace_reaps_total{how=\"waited\"}", "1");
	expect_value(bench, "lifetrace_reaps_total{how=\"inferred\"}",
		     "1"); /* of pid 1 there was no record */
	bench_free(bench);
}

Test(metrics, a_gone_zombie_leaves_no_series)
{
	struct bench *bench = bench_new();
	char *text;

	feed_fork(bench, 50, 50, 1);
	feed_comm(bench, 51, 50, "lazy");
	die(bench, 100, 100, 50, 0);
	text = text_of(bench->core, METRICS_TEXT);
	cr_assert(
		strstr(text, "\nlifetrace_zombies{unit=\"\",container=\"\",parent_comm=\"lazy\","));
	free(text);
	feed_free(bench, 200, 100);
	text = text_of(bench->core, METRICS_TEXT);
	cr_assert(!strstr(text, "lifetrace_zombies{"));
	cr_assert(!strstr(text, "lifetrace_zombies "), "not even its name");
	expect_value(bench, "lifetrace_zombie_oldest_age_seconds", "absent");
	free(text);
	bench_free(bench);
}

/* Pids 10 to 5009; parent PID holds 1 + PID % 100 zombies. */
Test(metrics, five_thousand_leaking_parents, .timeout = 60)
{
	struct bench *bench = bench_new();
	uint64_t next = 100000, all = 0, sum = 0;
	char comm[16], *text, *p;
	size_t named = 0;

	feed_memory_max(bench, 1, 1 << 30);
	for (uint64_t pid = 10; pid < 5010; pid++) {
		feed_fork(bench, 6000, pid, 1);
		snprintf(comm, sizeof(comm), "leaker-%d", (int)pid);
		feed_comm(bench, 6000, pid, comm);
	}
	for (uint64_t pid = 10; pid < 5010; pid++)
		for (uint64_t i = 0; i <= pid % 100; i++, all++)
			die(bench, 100000, next++, pid, 0);
	text = text_of(bench->core, METRICS_TEXT);
	for (p = text; (p = strstr(p, "\nlifetrace_zombies{")); named++, p++)
		sum += strtoull(strstr(p, "} ") + 2, NULL, 10);
	cr_assert_eq(named, METRICS_ZOMBIE_SETS + 1);
	cr_assert_eq(sum, all, "none is left out: %ld of %ld", (long)sum, (long)all);
	cr_assert(strstr(text, "parent_comm=\"leaker-99\",cause=\""));
	cr_assert(!strstr(text, "parent_comm=\"leaker-98\""), "not one of the largest");
	cr_assert(strlen(text) < 32768, "%zu bytes", strlen(text));
	free(text);
	bench_free(bench);
}

Test(metrics, hostile_names)
{
	struct bench *bench = bench_new();
	char *text;

	feed_fork(bench, 50, 50, 1);
	feed_comm(bench, 51, 50, "a\"} 1\nb\\c");
	die(bench, 100, 100, 50, 0);
	feed_fork(bench, 52, 52, 1);
	feed_comm(bench, 53, 52, "\xff");
	die(bench, 100, 101, 52, 0);
	feed_fork(bench, 54, 54, 1);
	feed_comm(bench, 55, 54, "\xfe"); /* shown as the same */
	die(bench, 100, 102, 54, 0);
	text = text_of(bench->core, METRICS_TEXT);
	cr_assert(strstr(text, "parent_comm=\"a\\\"} 1\\nb\\\\c\",cause=\""));
	cr_assert_eq(count_of(text, "parent_comm=\"\xef\xbf\xbd\""), 1, "no series twice");
	free(text);
	bench_free(bench);
}

Test(metrics, openmetrics)
{
	struct bench *bench = bench_new();
	char *text;

	feed_fork(bench, 50, 50, 1);
	feed_hook(bench, 51, "cow", "off: cow = off");
	text = text_of(bench->core, METRICS_OPENMETRICS);
	cr_assert(strstr(text, "# TYPE lifetrace_forks counter\nlifetrace_forks_total 1\n"));
	cr_assert(strstr(text, "# TYPE lifetrace_hook info\n"));
	cr_assert(strstr(text, "lifetrace_hook_info{what=\"cow\",hook=\"off\"} 1\n"));
	expect_text(text + strlen(text) - 6, "# EOF\n");
	free(text);
	text = text_of(bench->core, METRICS_TEXT);
	cr_assert(strstr(text, "# TYPE lifetrace_forks_total counter\nlifetrace_forks_total 1\n"));
	cr_assert(strstr(text, "# TYPE lifetrace_hook_info gauge\n"));
	cr_assert(!strstr(text, "# EOF"));
	free(text);
	bench_free(bench);
}

static void emit(void *user, const struct lt_hdr *record)
{
	cr_assert_eq(core_apply(user, record, record->size), 0);
}

Test(metrics, another_table_says_the_same)
{
	struct bench *bench = bench_new();
	struct core *other = core_new(NULL, NULL);
	struct lt_health health = { .hdr = { sizeof(health), LT_HEALTH, 0, MS(200) },
				    .cpu_ns = MS(1500) };
	char *here, *there;

	feed_fork(bench, 50, 50, 1);
	die(bench, 100, 100, 50, SIGTERM);
	die(bench, 100, 101, 50, 1 << 8);
	feed_free(bench, 150, 101);
	core_dump(bench->core, emit, other);
	feed(bench, &health);
	cr_assert_eq(core_apply(other, &health, sizeof(health)), 0);
	expect_value(bench, "process_cpu_seconds_total", "1.5");
	here = text_of(bench->core, METRICS_TEXT);
	there = text_of(other, METRICS_TEXT);
	/* but for how large the table is */
	*strstr(here, "\nlifetrace_memory_bytes") = *strstr(there, "\nlifetrace_memory_bytes") = 0;
	expect_text(there, here);
	free(here);
	free(there);
	core_free(other);
	bench_free(bench);
}

Test(metrics, which_format)
{
	static const struct {
		const char *accept;
		enum metrics_format format;
	} cases[] = {
		{ NULL, METRICS_TEXT },
		{ "", METRICS_TEXT },
		{ "*/*", METRICS_TEXT },
		{ "text/html", METRICS_TEXT },
		{ "application/openmetrics-text", METRICS_OPENMETRICS },
		{ "application/openmetrics-text; version=1.0.0; charset=utf-8",
		  METRICS_OPENMETRICS },
		{ "APPLICATION/OpenMetrics-Text;version=0.0.1,text/plain;q=0.5,*/*;q=0.1",
		  METRICS_OPENMETRICS },
		{ "application/openmetrics-text;version=1.0.0;q=0.5,"
		  "application/openmetrics-text;version=0.0.1;q=0.4,"
		  "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
		  METRICS_OPENMETRICS },
		{ "text/plain;version=0.0.4;q=0.9, application/openmetrics-text;q=0.8",
		  METRICS_TEXT },
		{ "text/plain , application/openmetrics-text", METRICS_TEXT },
		{ "application/openmetrics-text;q=0", METRICS_TEXT },
		{ "application/openmetrics-text;q=0.000,text/plain;q=0.001", METRICS_TEXT },
		{ "application/openmetrics-textual", METRICS_TEXT },
		{ "application/openmetrics-text;q=", METRICS_TEXT },
		{ ",,,;;;q=1,application/openmetrics-text;q=1.000;x", METRICS_OPENMETRICS },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(metrics_format_for(cases[i].accept), cases[i].format, "%s",
			     cases[i].accept ? cases[i].accept : "no header");
}

/* ---- pods ---- */

#define CONTAINER "a9d4c1f0b7e25836a9d4c1f0b7e25836a9d4c1f0b7e25836a9d4c1f0b7e25836"
#define OTHER "d6701ec289c56e4391acb11d07474b3139466857a305490575508a8b7a9fcf22"
#define UID_DASHES "3b0e6a52-8f1c-4d7a-9e2b-5c6d7e8f9a01"
#define UID_UNDERSCORES "3b0e6a52_8f1c_4d7a_9e2b_5c6d7e8f9a01"

/*
 * Of processes in containers, as /proc/PID/cgroup said: recorded here of docker 20.10 and podman
 * 4.3 with the cgroupfs driver (v1 and v2 are alike), the others as reported in public of
 * the runtimes that the comments name; the ids are made up.
 */
static const struct {
	const char *path, *pod;
	bool container;
} paths[] = {
	/* containerd 1.6, systemd driver, cgroup v2; kind has it below the node's own */
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_UNDERSCORES
	  ".slice/cri-containerd-" CONTAINER ".scope",
	  UID_DASHES, true },
	{ "/kubepods.slice/kubepods-pod" UID_UNDERSCORES ".slice/cri-containerd-" CONTAINER
	  ".scope/init.scope",
	  UID_DASHES, true },
	{ "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
	  "kubelet-kubepods-besteffort-pod" UID_UNDERSCORES ".slice/cri-containerd-" CONTAINER
	  ".scope",
	  UID_DASHES, true },
	/* containerd without SystemdCgroup below a kubelet with it, cgroup v1 */
	{ "/system.slice/containerd.service/kubepods-burstable-pod" UID_UNDERSCORES
	  ".slice:cri-containerd:" CONTAINER,
	  UID_DASHES, true },
	{ "/kubepods-besteffort-pod" UID_UNDERSCORES ".slice:cri-containerd:" CONTAINER, UID_DASHES,
	  true },
	/* containerd, cgroupfs driver, v1 and v2 */
	{ "/kubepods/besteffort/pod" UID_DASHES "/" CONTAINER, UID_DASHES, true },
	{ "/kubepods/pod" UID_DASHES "/" CONTAINER, UID_DASHES, true },
	/* CRI-O, systemd driver: v1; v2 with crun; its monitor is in no container; cgroupfs driver */
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_UNDERSCORES
	  ".slice/crio-" CONTAINER ".scope",
	  UID_DASHES, true },
	{ "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_UNDERSCORES
	  ".slice/crio-" CONTAINER ".scope/container",
	  UID_DASHES, true },
	{ "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_UNDERSCORES
	  ".slice/crio-conmon-" CONTAINER ".scope",
	  UID_DASHES, false },
	{ "/kubepods/burstable/pod" UID_DASHES "/crio-" CONTAINER, UID_DASHES, true },
	/* minikube: CRI-O in a docker container, that of the node is the outer one */
	{ "/docker/" OTHER
	  "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_UNDERSCORES
	  ".slice/crio-" CONTAINER ".scope",
	  UID_DASHES, true },
	/* dockershim and cri-dockerd */
	{ "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_UNDERSCORES
	  ".slice/docker-" CONTAINER ".scope",
	  UID_DASHES, true },
	/* a static pod: the hash of its manifest */
	{ "/kubepods/burstable/pod0123456789abcdef0123456789abcdef/" CONTAINER,
	  "0123456789abcdef0123456789abcdef", true },
	{ "/kubepods.slice/kubepods-burstable.slice/"
	  "kubepods-burstable-pod0123456789abcdef0123456789abcdef.slice/cri-containerd-" CONTAINER
	  ".scope",
	  "0123456789abcdef0123456789abcdef", true },
	/* kind: a node in a container */
	{ "/docker/" OTHER "/kubelet/kubepods/burstable/pod" UID_DASHES "/" CONTAINER, UID_DASHES,
	  true },
	/* docker: systemd driver; cgroupfs driver, v1 and v2; a cgroup of its own inside */
	{ "/system.slice/docker-" CONTAINER ".scope", NULL, true },
	{ "/docker/" CONTAINER, NULL, true },
	{ "/docker/" CONTAINER "/init", NULL, true },
	/* podman: systemd driver with runc and crun, rootless; cgroupfs driver; its monitors */
	{ "/machine.slice/libpod-" CONTAINER ".scope", NULL, true },
	{ "/machine.slice/libpod-" CONTAINER ".scope/container", NULL, true },
	{ "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" CONTAINER
	  ".scope/container",
	  NULL, true },
	{ "/libpod_parent/libpod-" CONTAINER, NULL, true },
	{ "/machine.slice/libpod-conmon-" CONTAINER ".scope", NULL, false },
	{ "/libpod_parent/conmon", NULL, false },
	/* none */
	{ "/system.slice/kubepods-cleaner.service", NULL, false },
	{ "/kubepods/podfull", NULL, false },
	{ "/system.slice/pod" UID_DASHES ".service", NULL, false },
};

/* Its parent, 50, is born there, in cgroup 7. */
static void zombie_in(struct bench *bench, const char *path)
{
	struct lt_fork e = { .hdr = { sizeof(e), LT_FORK, 0, MS(50) },
			     .child = id_of(50),
			     .parent = id_of(1),
			     .creator = id_of(1),
			     .exit_signal = 17,
			     .cgroup.id = 7 };

	feed_cgroup(bench, 10, 7, path);
	feed(bench, &e);
	die(bench, 100, 100, 50, 0);
}

Test(metrics, pods_and_containers_of_paths)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct bench *bench = bench_new();
		char label[128], *text;

		zombie_in(bench, paths[i].path);
		text = text_of(bench->core, METRICS_TEXT);
		snprintf(label, sizeof(label), "pod=\"%s\"", paths[i].pod ? paths[i].pod : "");
		cr_expect_eq(strstr(text, label) != NULL, paths[i].pod != NULL, "%s",
			     paths[i].path);
		cr_expect_eq(strstr(text, "pod=") != NULL, paths[i].pod != NULL, "%s",
			     paths[i].path);
		cr_expect_eq(strstr(text, "container=\"" CONTAINER "\"") != NULL,
			     paths[i].container, "%s", paths[i].path);
		free(text);
		bench_free(bench);
	}
}

/* ---- names ---- */

static void feed_names(struct bench *bench, uint64_t ms, uint64_t id, const char *container,
		       const char *pod, const char *space)
{
	const char *parts[] = { container, pod, space };
	union {
		struct lt_names e;
		char bytes[1024];
	} u = { .e = { .hdr = { sizeof(u.e), LT_NAMES, 0, MS(ms) },
		       .cgroup.id = id,
		       .container_len = (__u16)strlen(container),
		       .pod_len = (__u16)strlen(pod),
		       .namespace_len = (__u16)strlen(space) } };

	for (size_t i = 0; i < 3; i++) {
		memcpy(u.bytes + u.e.hdr.size, parts[i], strlen(parts[i]));
		u.e.hdr.size += (uint32_t)strlen(parts[i]);
	}
	u.e.hdr.size = (u.e.hdr.size + 7U) & ~7U;
	feed(bench, &u.e);
}

/* A leaking parent in a container. */
static struct bench *in_container(void)
{
	struct bench *bench = bench_new();

	feed_policy(bench, 1, 1000, 1, 60000, 5000, "");
	zombie_in(bench, "/kubepods/pod" UID_DASHES "/" CONTAINER);
	return bench;
}

static const char *zombies_of(const struct core *core)
{
	static char line[1024];
	char *text = text_of(core, METRICS_TEXT), *at = strstr(text, "\nlifetrace_zombies{");

	snprintf(line, sizeof(line), "%.*s", at ? (int)strcspn(at + 1, "\n") : 0, at ? at + 1 : "");
	free(text);
	return line;
}

#define IDS "{unit=\"\",container=\"" CONTAINER "\",pod=\"" UID_DASHES "\","

Test(names, are_labels)
{
	struct bench *bench = in_container();

	cr_assert(strstr(zombies_of(bench->core), IDS "parent_comm="), "%s",
		  zombies_of(bench->core));
	feed_names(bench, 200, 7, "web", "shop-0", "prod");
	cr_assert(strstr(zombies_of(bench->core), IDS "namespace=\"prod\",pod_name=\"shop-0\","
						      "container_name=\"web\",parent_comm="),
		  "%s", zombies_of(bench->core));
	feed_names(bench, 300, 7, "", "", ""); /* nobody knows any more */
	cr_assert(strstr(zombies_of(bench->core), IDS "parent_comm="), "%s",
		  zombies_of(bench->core));
	feed_names(bench, 400, 8, "of", "no", "cgroup");
	bench_free(bench);
}

static void count_asked(void *user, struct lt_cgroup_id id, const char *container, const char *pod)
{
	cr_assert_eq(id.id, 7);
	expect_text(container, CONTAINER);
	expect_text(pod, UID_DASHES);
	++*(int *)user;
}

static int asked(const struct bench *bench)
{
	int count = 0;

	core_each_nameless(bench->core, count_asked, &count);
	return count;
}

static int asked_due(const struct bench *bench, uint64_t ms)
{
	int count = 0;

	core_each_nameless_due(bench->core, MS(ms), count_asked, &count);
	return count;
}

Test(names, are_asked_for_where_parents_leak)
{
	struct bench *bench = in_container();

	cr_assert_eq(asked(bench), 0);
	cr_assert_eq(asked_due(bench, 1099), 0);
	cr_assert_eq(asked_due(bench, 1100), 1, "about to be flagged");
	cr_assert(!core_wants_names(bench->core));
	feed_tick(bench, 1100);
	cr_assert(core_wants_names(bench->core));
	cr_assert_eq(asked(bench), 1);
	feed_names(bench, 2000, 7, "", "", ""); /* not known yet */
	cr_assert(!core_wants_names(bench->core));
	cr_assert_eq(asked(bench), 0);
	feed_tick(bench, 61999);
	cr_assert_eq(asked(bench), 0);
	feed_tick(bench, 62000);
	cr_assert_eq(asked(bench), 1);
	feed_names(bench, 62000, 7, "web", "", "");
	feed_tick(bench, 1000000);
	cr_assert_eq(asked(bench), 0, "never again");
	bench_free(bench);
}

Test(names, are_handed_on)
{
	struct bench *bench = in_container();
	struct core *other = core_new(NULL, NULL);
	char *here;

	feed_names(bench, 200, 7, "web", "shop-0", "prod");
	core_dump(bench->core, emit, other);
	here = strdup(zombies_of(bench->core));
	expect_text(zombies_of(other), here);
	free(here);
	core_free(other);
	bench_free(bench);
}
