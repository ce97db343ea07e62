/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Small values of the views as JSON, and the rows that more than one of them
 * shows. Internal to them; each json_t returned is a new reference.
 */
#ifndef LT_PARTS_H
#define LT_PARTS_H

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "life.h"
#include "text.h"
#include "view.h"

/* Takes the reference; NULL is null. */
static inline void set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new_nocheck(object, key, value ? value : json_null());
}

static inline json_t *integer(uint64_t n)
{
	return json_integer((json_int_t)n);
}

/* A time that has not come yet is null. */
static inline json_t *when(uint64_t ns)
{
	return ns ? integer(ns) : json_null();
}

static inline json_t *id_text(struct lt_id id)
{
	char buf[TEXT_ID_SIZE];

	if (!id.pid)
		return json_null();
	snprintf(buf, sizeof(buf), "%" PRIu64 "-%" PRIu64, (uint64_t)id.pid, (uint64_t)id.start_ns);
	return json_string(buf);
}

static inline json_t *text(const char *string)
{
	return string && *string ? text_json(string, strlen(string)) : json_null();
}

static inline json_t *comm_of(const struct core *core, struct lt_id id)
{
	const struct life *life = id.pid ? life_find(core, id) : NULL;

	return life ? text(life->comm) : json_null();
}

static inline bool may_know_id(const struct core *core, const struct viewer *viewer,
			       struct lt_id id)
{
	const struct life *life = viewer->own_only && id.pid ? life_find(core, id) : NULL;

	return !viewer->own_only || (life && may_know(viewer, life->uid));
}

/* Another process that a row names; null if the viewer may not know of it. */
static inline json_t *kin_id(const struct core *core, const struct viewer *viewer, struct lt_id id)
{
	return may_know_id(core, viewer, id) ? id_text(id) : json_null();
}

static inline json_t *kin_comm(const struct core *core, const struct viewer *viewer,
			       struct lt_id id)
{
	return may_know_id(core, viewer, id) ? comm_of(core, id) : json_null();
}

static inline uint64_t since(uint64_t now_ns, uint64_t then_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

static inline void set_place(json_t *object, const struct cgroup_info *cgroup)
{
	set(object, "cgroup", cgroup ? text(cgroup->path) : NULL);
	set(object, "unit", cgroup ? text(cgroup->unit) : NULL);
	set(object, "container", cgroup ? text(cgroup->container) : NULL);
}

/* Of a container, what is known. */
static inline void set_names(json_t *object, const struct cgroup_info *cgroup)
{
	if (!cgroup || !cgroup->names)
		return;
	set(object, "namespace", text(cgroup->names->space));
	set(object, "pod_name", text(cgroup->names->pod));
	set(object, "container_name", text(cgroup->names->container));
}

/* view.c */
json_t *view_exit(const struct life *life);
/* NULL or without a call: null. */
json_t *view_waits(const struct core *core, const struct lt_waits *waits);
json_t *view_life(const struct core *core, const struct life *life, const struct viewer *viewer);
json_t *view_zombie(const struct core *core, const struct life *life, uint64_t now_ns,
		    const struct viewer *viewer);

#endif
