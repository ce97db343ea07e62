/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A core on the bench: records to feed it with, and what it told. Times are
 * given in milliseconds. Process PID started at PID milliseconds.
 */
#ifndef LT_TEST_BENCH_H
#define LT_TEST_BENCH_H

#include <criterion/criterion.h>
#include <jansson.h>

#include "core/core.h"
#include "core/text.h"
#include "core/view.h"

#define MS(n) ((uint64_t)(n)*NSEC_PER_MSEC)
#define NOBODY 0

struct bench {
	struct core *core;
	bool alerts;	   /* are told, too */
	uint64_t watched;  /* only this pid's changes are told; 0: all */
	char told[16384];  /* "kind kind …" */
	json_t *last_line; /* of tail */
};

struct bench *bench_new(void);
void bench_free(struct bench *bench);

struct lt_id id_of(uint64_t pid);

void feed(struct bench *bench, const void *record);
void feed_fork(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t parent);
/* In a cgroup that feed_cgroup() names. */
void feed_fork_in(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t parent, uint64_t cgroup);
void feed_cgroup(struct bench *bench, uint64_t ms, uint64_t id, const char *path);
void feed_fork_fail(struct bench *bench, uint64_t ms, uint64_t parent, unsigned err);
void feed_fork_end(struct bench *bench, uint64_t ms, uint64_t child, uint64_t vfork_wait_ns);
void feed_hook(struct bench *bench, uint64_t ms, const char *what, const char *value);
void feed_comm(struct bench *bench, uint64_t ms, uint64_t pid, const char *comm);
void feed_exec(struct bench *bench, uint64_t ms, uint64_t pid, const char *exe, const char *arg);
void feed_exit(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t parent, int code,
	       uint64_t adopter, unsigned flags);
void feed_exit_call(struct bench *bench, uint64_t ms, uint64_t pid, bool handlers);
void feed_notify(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t parent, int code,
		 unsigned flags);
void feed_free(struct bench *bench, uint64_t ms, uint64_t pid);
void feed_absent(struct bench *bench, uint64_t ms, uint64_t pid);
void feed_release(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t by);
void feed_stop(struct bench *bench, uint64_t ms, uint64_t pid, enum lt_kind kind);
void feed_leader_exit(struct bench *bench, uint64_t ms, uint64_t pid);
void feed_tick(struct bench *bench, uint64_t ms);
void feed_pass(struct bench *bench, uint64_t ms, enum lt_kind kind, uint64_t begin_ms, bool seed);
void feed_scan(struct bench *bench, uint64_t ms, uint64_t pid, uint64_t parent,
	       enum lt_state state);
void feed_policy(struct bench *bench, uint64_t ms, uint64_t zombie_age_ms, uint32_t leak_count,
		 uint64_t leak_age_ms, uint64_t settle_ms, const char *ignore_comm);
void feed_memory_max(struct bench *bench, uint64_t ms, uint64_t bytes);

/* A row of ps --all --kernel, or NULL; a new reference. */
json_t *row_of(struct bench *bench, uint64_t pid);
const char *state_of(struct bench *bench, uint64_t pid);
const char *text_at(const json_t *row, const char *path);

/* The table's totals against its rows. */
void check_totals(struct bench *bench);

#define expect_text(actual, expected)                                            \
	cr_assert_str_eq((actual) ? (actual) : "null", (expected), "%s, not %s", \
			 (actual) ? (actual) : "null", (expected))
#define expect_told(bench, expected) expect_text((bench)->told, (expected))

#endif
