// SPDX-License-Identifier: GPL-2.0-only
#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct viewer everyone = { .all = true };
static const struct filter all_rows = { .all = true, .kernel = true };

static void on_change(void *user, const struct change *change)
{
	struct bench *bench = user;
	json_t *line;
	json_int_t pid;
	size_t used = strlen(bench->told);

	if (change->kind == CHANGE_ALERT && !bench->alerts)
		return;
	line = view_change(bench->core, change, &everyone);
	pid = json_integer_value(json_object_get(line, "pid"));

	if (bench->watched && (uint64_t)pid != bench->watched) {
		json_decref(line);
		return;
	}
	snprintf(bench->told + used, sizeof(bench->told) - used, "%s%s", used ? " " : "",
		 change_names[change->kind]);
	json_decref(bench->last_line);
	bench->last_line = line;
}

struct bench *bench_new(void)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	bench->core = core_new(on_change, bench);
	return bench;
}

void bench_free(struct bench *bench)
{
	core_free(bench->core);
	json_decref(bench->last_line);
	free(bench);
}

struct lt_id id_of(uint64_t pid)
{
	return (struct lt_id){ .pid = pid, .start_ns = pid ? MS(pid) : 0 };
}

/* ---- records ---- */

#define HDR(type, KIND, ms) \
	.hdr = { .size = sizeof(struct type), .kind = LT_##KIND, .time_ns = MS(ms) }

void feed(struct bench *bench, const void *record)
{
	const struct lt_hdr *hdr = record;

	cr_assert_eq(core_apply(bench->core, record, hdr->size), 0, "a record of kind %s",
		     core_kind_name(hdr->kind));
}

void feed_fork_in(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t parent, uint64_t cgroup)
{
	struct lt_fork e = { HDR(lt_fork, FORK, ms),  .child = id_of(pid),
			     .parent = id_of(parent), .creator = id_of(parent),
			     .cgroup.id = cgroup,     .creator_tid = (uint32_t)parent,
			     .exit_signal = SIGCHLD,  .ns_pid = (uint32_t)pid,
			     .comm = "forked" };

	feed(bench, &e);
}

void feed_fork(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t parent)
{
	feed_fork_in(bench, ms, pid, parent, 0);
}

void feed_cgroup(struct bench *bench, uint64_t ms, uint64_t id, const char *path)
{
	union {
		struct lt_cgroup e;
		char bytes[1024];
	} u = { .e = { HDR(lt_cgroup, CGROUP, ms), .cgroup.id = id } };

	u.e.path_len = (uint32_t)strlen(path);
	memcpy(u.bytes + sizeof(u.e), path, u.e.path_len);
	u.e.hdr.size += (u.e.path_len + 7U) & ~7U;
	feed(bench, &u.e);
}

void feed_fork_fail(struct bench *bench, uint64_t ms, uint64_t parent, unsigned err)
{
	struct lt_fork_fail e = { HDR(lt_fork_fail, FORK_FAIL, ms), .parent = id_of(parent),
				  .tid = (uint32_t)parent, .err = err };

	feed(bench, &e);
}

void feed_fork_end(struct bench *bench, uint64_t ms, uint64_t child, uint64_t vfork_wait_ns)
{
	struct lt_fork_end e = { HDR(lt_fork_end, FORK_END, ms), .child = id_of(child),
				 .vfork_wait_ns = vfork_wait_ns };

	feed(bench, &e);
}

void feed_hook(struct bench *bench, uint64_t ms, const char *what, const char *value)
{
	union {
		struct lt_hook e;
		char bytes[512];
	} u = { .e = { HDR(lt_hook, HOOK, ms) } };

	u.e.what_len = (uint32_t)strlen(what);
	u.e.value_len = (uint32_t)strlen(value);
	memcpy(u.bytes + sizeof(u.e), what, u.e.what_len);
	memcpy(u.bytes + sizeof(u.e) + u.e.what_len, value, u.e.value_len);
	u.e.hdr.size += (u.e.what_len + u.e.value_len + 7U) & ~7U;
	feed(bench, &u.e);
}

void feed_comm(struct bench *bench, uint64_t ms, uint64_t pid, const char *comm)
{
	struct lt_comm e = { HDR(lt_comm, COMM, ms), .id = id_of(pid) };

	snprintf(e.comm, sizeof(e.comm), "%s", comm);
	feed(bench, &e);
}

void feed_exec(struct bench *bench, uint64_t ms, uint64_t pid, const char *exe, const char *arg)
{
	union {
		struct lt_exec e;
		char bytes[1024];
	} u = { .e = { HDR(lt_exec, EXEC, ms), .id = id_of(pid), .old_tid = (uint32_t)pid,
		       .comm = "execed" } };

	u.e.exe_len = (uint16_t)strlen(exe);
	u.e.args_len = (uint16_t)(strlen(arg) + 1);
	memcpy(u.bytes + sizeof(u.e), exe, u.e.exe_len);
	memcpy(u.bytes + sizeof(u.e) + u.e.exe_len, arg, u.e.args_len);
	u.e.hdr.size += (u.e.exe_len + u.e.args_len + 7U) & ~7U;
	feed(bench, &u.e);
}

void feed_exit(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t parent, int code,
	       uint64_t adopter, unsigned flags)
{
	struct lt_exit e = { HDR(lt_exit, EXIT, ms),  .id = id_of(pid),
			     .parent = id_of(parent), .adopter = id_of(adopter),
			     .exit_code = code,	      .exit_signal = SIGCHLD,
			     .flags = flags };

	if (flags & LT_EXIT_TRACED)
		e.tracer = id_of(7);
	feed(bench, &e);
}

void feed_exit_call(struct bench *bench, uint64_t ms, uint64_t pid, bool handlers)
{
	struct lt_exit_call e = { HDR(lt_exit_call, EXIT_CALL, ms), .id = id_of(pid),
				  .handlers = handlers };

	feed(bench, &e);
}

void feed_notify(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t parent, int code,
		 unsigned flags)
{
	struct lt_notify e = {
		HDR(lt_notify, NOTIFY, ms), .id = id_of(pid), .parent = id_of(parent),
		.exit_code = code,	    .flags = flags,   .disposition = LT_SIG_HANDLER
	};

	if (flags & LT_NOTIFY_TRACED)
		e.tracer = id_of(7);
	if (flags & LT_NOTIFY_UNTRACED)
		e.id.start_ns = 0;
	feed(bench, &e);
}

void feed_free(struct bench *bench, uint64_t ms, uint64_t pid)
{
	struct lt_free e = { HDR(lt_free, FREE, ms), .id = id_of(pid) };

	feed(bench, &e);
}

void feed_absent(struct bench *bench, uint64_t ms, uint64_t pid)
{
	struct lt_free e = { HDR(lt_free, ABSENT, ms), .id = id_of(pid) };

	feed(bench, &e);
}

void feed_release(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t by)
{
	struct lt_release e = { HDR(lt_release, RELEASE, ms), .id = id_of(pid), .by = id_of(by) };

	feed(bench, &e);
}

void feed_stop(struct bench *bench, uint64_t ms, uint64_t pid, enum lt_kind kind)
{
	struct lt_stop e = { HDR(lt_stop, STOP, ms), .id = id_of(pid), .signal = SIGSTOP,
			     .flags = LT_STOP_SEEN };

	e.hdr.kind = (uint16_t)kind;
	feed(bench, &e);
}

void feed_leader_exit(struct bench *bench, uint64_t ms, uint64_t pid)
{
	struct lt_leader_exit e = { HDR(lt_leader_exit, LEADER_EXIT, ms), .id = id_of(pid) };

	feed(bench, &e);
}

void feed_tick(struct bench *bench, uint64_t ms)
{
	struct lt_hdr e = { .size = sizeof(e), .kind = LT_TICK, .time_ns = MS(ms) };

	feed(bench, &e);
}

void feed_pass(struct bench *bench, uint64_t ms, enum lt_kind kind, uint64_t begin_ms, bool seed)
{
	struct lt_pass e = { HDR(lt_pass, PASS_BEGIN, ms), .begin_ns = MS(begin_ms), .seed = seed };

	e.hdr.kind = (uint16_t)kind;
	feed(bench, &e);
}

void feed_scan(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t parent, enum lt_state state)
{
	struct lt_life e = { HDR(lt_life, SCAN, ms),	.id = id_of(pid),
			     .parent = id_of(parent),	.forked_ns = MS(pid),
			     .state = (uint8_t)state,	.exit_signal = SIGCHLD,
			     .flags = LT_LIFE_INFERRED, .comm = "scanned" };

	if (state == LT_ZOMBIE) {
		e.zombie_ns = MS(ms - 1);
		e.exit_code = 4 << 8;
		e.flags |= LT_LIFE_HAS_STATUS;
	}
	feed(bench, &e);
}

void feed_policy(struct bench *bench, uint64_t ms, uint64_t zombie_age_ms, uint32_t leak_count,
		 uint64_t leak_age_ms, uint64_t settle_ms, const char *ignore_comm)
{
	union {
		struct lt_policy e;
		char bytes[512];
	} u = { .e = { HDR(lt_policy, POLICY, ms), .zombie_age_ns = MS(zombie_age_ms),
		       .leak_age_ns = MS(leak_age_ms), .leak_settle_ns = MS(settle_ms),
		       .reaped_keep_ns = MS(60000), .memory_max_bytes = 64 << 20,
		       .leak_count = leak_count } };

	u.e.ignore_comm_len = (uint16_t)strlen(ignore_comm);
	memcpy(u.bytes + sizeof(u.e), ignore_comm, u.e.ignore_comm_len);
	u.e.hdr.size += (u.e.ignore_comm_len + 7U) & ~7U;
	feed(bench, &u.e);
}

void feed_memory_max(struct bench *bench, uint64_t ms, uint64_t bytes)
{
	struct lt_policy e = { HDR(lt_policy, POLICY, ms),
			       .zombie_age_ns = MS(10000),
			       .leak_age_ns = MS(300000),
			       .leak_settle_ns = MS(30000),
			       .reaped_keep_ns = MS(600000),
			       .memory_max_bytes = bytes,
			       .leak_count = 5 };

	feed(bench, &e);
}

/* ---- what came of it ---- */

json_t *row_of(struct bench *bench, uint64_t pid)
{
	json_t *document =
		view_processes(bench->core, core_now_ns(bench->core), &all_rows, &everyone);
	json_t *row, *found = NULL;
	size_t i;

	json_array_foreach(json_object_get(document, "processes"), i, row) {
		if ((uint64_t)json_integer_value(json_object_get(row, "start_ns")) == MS(pid) &&
		    (uint64_t)json_integer_value(json_object_get(row, "pid")) == pid)
			found = json_incref(row);
	}
	json_decref(document);
	return found;
}

const char *text_at(const json_t *row, const char *path)
{
	char name[64];
	const char *dot = strchr(path, '.');

	if (!dot)
		return json_string_value(json_object_get(row, path));
	snprintf(name, sizeof(name), "%.*s", (int)(dot - path), path);
	return text_at(json_object_get(row, name), dot + 1);
}

const char *state_of(struct bench *bench, uint64_t pid)
{
	static char state[32];
	json_t *row = row_of(bench, pid);

	snprintf(state, sizeof(state), "%s", row ? text_at(row, "state") : "unknown");
	json_decref(row);
	return state;
}

void check_totals(struct bench *bench)
{
	struct core_totals totals = core_totals(bench->core);
	json_t *document =
		view_processes(bench->core, core_now_ns(bench->core), &all_rows, &everyone);
	uint32_t living = 0, zombies = 0;
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(document, "processes"), i, row) {
		const char *state = text_at(row, "state");

		living += strcmp(state, "reaped") != 0;
		zombies += !strcmp(state, "zombie");
	}
	json_decref(document);
	cr_assert_eq(totals.processes, living, "%u processes, %u rows", totals.processes, living);
	cr_assert_eq(totals.zombies, zombies, "%u zombies, %u rows", totals.zombies, zombies);
	cr_assert_leq(totals.flagged, totals.zombies);
	cr_assert_leq(totals.zombies, totals.dying);
}
