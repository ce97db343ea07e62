// SPDX-License-Identifier: GPL-2.0-only
/* From a record to the table: what it must be, and whose it is. */
#include "apply.h"

#include <errno.h>

size_t core_min_size(unsigned kind)
{
	switch (kind) {
#define X(number, NAME, name, type) \
	case LT_##NAME:             \
		return sizeof(struct type);
		LT_KINDS(X)
#undef X
	}
	return 0;
}

const char *core_kind_name(unsigned kind)
{
	switch (kind) {
#define X(number, NAME, name, type) \
	case LT_##NAME:             \
		return #name;
		LT_KINDS(X)
#undef X
	}
	return NULL;
}

#define AS(type, record) ((const struct type *)(const void *)(record))

/* Bytes of text or threads that a record says it holds. */
static size_t text_len(const struct lt_hdr *hdr)
{
	switch (hdr->kind) {
	case LT_EXEC:
		return (size_t)AS(lt_exec, hdr)->exe_len + AS(lt_exec, hdr)->args_len;
	case LT_CGROUP:
	case LT_CGROUP_GONE:
		return AS(lt_cgroup, hdr)->path_len;
	case LT_NAMES:
		return (size_t)AS(lt_names, hdr)->container_len + AS(lt_names, hdr)->pod_len +
		       AS(lt_names, hdr)->namespace_len;
	case LT_SCAN:
	case LT_LIFE:
		return (size_t)AS(lt_life, hdr)->exe_len + AS(lt_life, hdr)->args_len;
	case LT_POLICY:
		return (size_t)AS(lt_policy, hdr)->ignore_comm_len +
		       AS(lt_policy, hdr)->ignore_unit_len;
	case LT_ALERT_POLICY:
		return AS(lt_alert_policy, hdr)->host_len;
	case LT_HOOK:
		return (size_t)AS(lt_hook, hdr)->what_len + AS(lt_hook, hdr)->value_len;
	case LT_SILENCE:
		return AS(lt_silence, hdr)->text_len;
	case LT_LIMITS:
		return AS(lt_limits, hdr)->path_len;
	case LT_PROC:
		return (size_t)AS(lt_proc, hdr)->exe_len + AS(lt_proc, hdr)->args_len;
	case LT_TASKS:
		return (size_t)AS(lt_tasks, hdr)->told * sizeof(struct lt_thread);
	}
	return 0;
}

static bool is_valid(const struct lt_hdr *hdr, size_t len)
{
	size_t min = len >= sizeof(*hdr) ? core_min_size(hdr->kind) : 0;

	return min && hdr->size == len && len >= min && len <= LT_RECORD_MAX &&
	       text_len(hdr) <= len - min;
}

int core_apply(struct core *core, const void *record, size_t len)
{
	const struct lt_hdr *hdr = record;

	if (!is_valid(hdr, len)) {
		core->totals.bad_records++;
		return -EBADMSG;
	}
	policy_advance(core, hdr->time_ns);
	switch (hdr->kind) {
#define X(number, NAME, name, type)         \
	case LT_##NAME:                     \
		apply_##name(core, record); \
		break;
		LT_KINDS(X)
#undef X
	}
	return 0;
}
