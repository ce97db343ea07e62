// SPDX-License-Identifier: GPL-2.0-only
/* What a cgroup's path says of unit and container. */
#include "life.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static void forget_names(struct core *core, struct cgroup_info *cgroup)
{
	if (cgroup->names)
		core_release(core, cgroup->names, cgroup->names->size);
	cgroup->names = NULL;
	cgroup->names_ns = 0;
}

static void forget_path(struct core *core, struct cgroup_info *cgroup)
{
	if (cgroup->path)
		core->memory_bytes -= strlen(cgroup->path) + 1;
	if (cgroup->unit)
		core->memory_bytes -= strlen(cgroup->unit) + 1;
	forget_names(core, cgroup);
	free(cgroup->path);
	free(cgroup->unit);
	cgroup->path = cgroup->unit = NULL;
	cgroup->container[0] = cgroup->pod[0] = '\0';
}

static struct cgroup_info *cgroup_find(struct core *core, struct lt_cgroup_id id)
{
	struct cgroup_info *cgroup;

	id.reserved = 0;
	HASH_FIND(hh, core->cgroups, &id, sizeof(id), cgroup);
	return cgroup;
}

static struct cgroup_info *cgroup_find_or_new(struct core *core, struct lt_cgroup_id id)
{
	struct cgroup_info *cgroup = cgroup_find(core, id);

	if (cgroup)
		return cgroup;
	cgroup = core_alloc(core, sizeof(*cgroup));
	if (!cgroup)
		return NULL;
	cgroup->id = id;
	cgroup->id.reserved = 0;
	HASH_ADD(hh, core->cgroups, id, sizeof(cgroup->id), cgroup);
	if (!cgroup->hh.tbl) {
		core_release(core, cgroup, sizeof(*cgroup));
		return NULL;
	}
	return cgroup;
}

static void cgroup_free(struct core *core, struct cgroup_info *cgroup)
{
	HASH_DEL(core->cgroups, cgroup);
	forget_path(core, cgroup);
	core_release(core, cgroup, sizeof(*cgroup));
}

struct cgroup_info *cgroup_get(struct core *core, struct lt_cgroup_id id)
{
	struct cgroup_info *cgroup = cgroup_find_or_new(core, id);

	if (cgroup)
		cgroup->refs++;
	return cgroup;
}

/* Kept while a life is in it or it exists; dropped when neither holds. */
void cgroup_put(struct core *core, struct cgroup_info *cgroup)
{
	if (!--cgroup->refs && (cgroup->gone || !cgroup->path))
		cgroup_free(core, cgroup);
}

void cgroups_free(struct core *core)
{
	struct cgroup_info *cgroup, *next;

	HASH_ITER(hh, core->cgroups, cgroup, next)
		cgroup_free(core, cgroup);
}

static bool ends_with(const char *text, size_t len, const char *end)
{
	size_t end_len = strlen(end);

	return len > end_len && !memcmp(text + len - end_len, end, end_len);
}

char *cgroup_unit_of(const char *path)
{
	const char *found = NULL;
	size_t found_len = 0, len;

	for (const char *p = path; *p; p += len) {
		p += *p == '/';
		len = strcspn(p, "/");
		if (!ends_with(p, len, ".service") && !ends_with(p, len, ".scope"))
			continue;
		found = p;
		found_len = len;
	}
	return found ? strndup(found, found_len) : NULL;
}

bool unit_matches(const char *glob, const char *unit)
{
	return unit && !fnmatch(glob, unit, FNM_NOESCAPE);
}

static bool is_monitor(const char *path, const char *id)
{
	static const char monitor[] = "conmon-";
	const size_t len = sizeof(monitor) - 1;

	return (size_t)(id - path) >= len && !memcmp(id - len, monitor, len);
}

/*
 * docker-ID.scope, cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope,
 * /docker/ID, /kubepods/…/ID: whatever wraps it, it is 64 hex digits with no
 * alphanumeric at either side; the innermost one counts. crio-conmon-ID.scope
 * is who watches the container, and not in it.
 */
bool cgroup_container_of(const char *path, char id[CONTAINER_ID_LEN + 1])
{
	const char *found = NULL;
	size_t len;

	for (const char *p = path; *p; p += len ? len : 1) {
		len = strspn(p, "0123456789abcdef");
		if (len == CONTAINER_ID_LEN && !isalnum((unsigned char)p[len]) &&
		    (p == path || !isalnum((unsigned char)p[-1])) && !is_monitor(path, p))
			found = p;
	}
	if (!found)
		return false;
	memcpy(id, found, CONTAINER_ID_LEN);
	id[CONTAINER_ID_LEN] = '\0';
	return true;
}

/*
 * The kubelet's: kubepods-burstable-podUID.slice with underscores for dashes
 * (systemd), or /kubepods/burstable/podUID. A static pod's is 32 hex digits.
 */
bool cgroup_pod_of(const char *path, char uid[POD_UID_LEN + 1])
{
	const char *found = NULL, *p = strstr(path, "kubepods");
	size_t found_len = 0, len;

	for (; p && (p = strstr(p, "pod")); p += len) {
		p += strlen("pod");
		len = strspn(p, "0123456789abcdef-_");
		if ((len == POD_UID_LEN || len == 32) && !isalnum((unsigned char)p[len])) {
			found = p;
			found_len = len;
		}
	}
	if (!found)
		return false;
	for (size_t i = 0; i < found_len; i++)
		uid[i] = found[i] == '_' ? '-' : found[i];
	uid[found_len] = '\0';
	return true;
}

static void set_path(struct core *core, struct cgroup_info *cgroup, const char *path, size_t len)
{
	forget_path(core, cgroup);
	cgroup->path = strndup(path, len);
	if (!cgroup->path)
		return;
	core->memory_bytes += strlen(cgroup->path) + 1;
	cgroup->unit = cgroup_unit_of(cgroup->path);
	if (cgroup->unit)
		core->memory_bytes += strlen(cgroup->unit) + 1;
	cgroup_container_of(cgroup->path, cgroup->container);
	cgroup_pod_of(cgroup->path, cgroup->pod);
}

/* Only cgroup v1 renames; what is below moves along, and no event says so. */
static void rename_below(struct core *core, const struct cgroup_info *renamed, const char *path,
			 size_t len)
{
	size_t old_len = strlen(renamed->path);
	struct cgroup_info *cgroup, *next;
	char moved[LT_CGROUP_PATH_MAX * 2];

	HASH_ITER(hh, core->cgroups, cgroup, next) {
		if (cgroup->id.hierarchy != renamed->id.hierarchy || !cgroup->path ||
		    strncmp(cgroup->path, renamed->path, old_len) || cgroup->path[old_len] != '/')
			continue;
		snprintf(moved, sizeof(moved), "%.*s%s", (int)len, path, cgroup->path + old_len);
		set_path(core, cgroup, moved, strlen(moved));
	}
}

void cgroup_apply(struct core *core, const struct lt_cgroup *record)
{
	struct cgroup_info *cgroup;

	if (record->hdr.kind == LT_CGROUP_GONE) {
		cgroup = cgroup_find(core, record->cgroup);
		if (!cgroup)
			return;
		cgroup->gone = true;
		if (!cgroup->refs)
			cgroup_free(core, cgroup);
		return;
	}
	cgroup = cgroup_find_or_new(core, record->cgroup);
	if (!cgroup)
		return;
	cgroup->gone = false;
	if (record->flags & LT_CGROUP_RENAMED && cgroup->path)
		rename_below(core, cgroup, record->path, record->path_len);
	set_path(core, cgroup, record->path, record->path_len);
}

/* ---- names ---- */

static const char *take_name(char **to, const char *text, size_t len)
{
	char *name = *to;

	memcpy(name, text, len);
	name[len] = '\0';
	*to += len + 1;
	return name;
}

void names_apply(struct core *core, const struct lt_names *e)
{
	size_t container = e->container_len, pod = e->pod_len, space = e->namespace_len;
	struct cgroup_info *cgroup = cgroup_find(core, e->cgroup);
	size_t size = sizeof(struct names) + container + pod + space + 3;
	struct names *names;
	char *to;

	if (!cgroup)
		return;
	forget_names(core, cgroup);
	core->names_wanted = false;
	cgroup->names_ns = e->hdr.time_ns;
	names = container + pod + space ? core_alloc(core, size) : NULL;
	if (!names)
		return;
	cgroup->names = names;
	names->size = size;
	to = names->text;
	names->container = take_name(&to, e->text, container);
	names->pod = take_name(&to, e->text + container, pod);
	names->space = take_name(&to, e->text + container + pod, space);
}

static bool has_ids(const struct cgroup_info *cgroup)
{
	return *cgroup->container || *cgroup->pod;
}

void names_note(struct core *core, const struct change *change)
{
	const struct life *parent = change->kind == CHANGE_FLAGGED ? change->life->parent : NULL;
	const struct cgroup_info *cgroup = parent ? parent->cgroup : NULL;

	if (cgroup && has_ids(cgroup) && !cgroup->names_ns)
		core->names_wanted = true;
}

bool core_wants_names(const struct core *core)
{
	return core->names_wanted;
}

/* Where nobody knew, somebody may after so long: the kubelet's files come after the container. */
#define NAMES_AGAIN_NS (60 * NSEC_PER_SEC)

struct nameless {
	const struct core *core;
	core_nameless_fn fn;
	void *user;
	const struct cgroup_info *last; /* zombies of one parent come in a row */
};

static void note_nameless(struct nameless *nameless, const struct life *zombie)
{
	const struct cgroup_info *cgroup = zombie->parent ? zombie->parent->cgroup : NULL;

	if (!cgroup || cgroup == nameless->last || cgroup->names || !has_ids(cgroup))
		return;
	nameless->last = cgroup;
	if (!cgroup->names_ns ||
	    ns_after(cgroup->names_ns, NAMES_AGAIN_NS) <= nameless->core->now_ns)
		nameless->fn(nameless->user, cgroup->id, cgroup->container, cgroup->pod);
}

static void note_due(void *user, struct lt_id id)
{
	struct nameless *nameless = user;

	note_nameless(nameless, life_find(nameless->core, id));
}

void core_each_nameless_due(const struct core *core, uint64_t now_ns, core_nameless_fn fn,
			    void *user)
{
	struct nameless nameless = { core, fn, user, NULL };

	core_each_due(core, now_ns, note_due, &nameless);
}

void core_each_nameless(const struct core *core, core_nameless_fn fn, void *user)
{
	struct nameless nameless = { core, fn, user, NULL };
	const struct life *zombie;

	for (int queue = QUEUE_FLAGGED; queue <= QUEUE_AGED; queue++)
		DL_FOREACH(core->queues[queue], zombie)
			note_nameless(&nameless, zombie);
}
