// SPDX-License-Identifier: GPL-2.0-only
#include "names.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOGS "/var/log"
#define DOCKER "/var/lib/docker/containers"
#define STORAGE "/var/lib/containers/storage"
#define FILE_MAX (16 << 20) /* no runtime's file of names is so big */

const char *const names_listed[] = { LOGS, NULL };
const char *const names_read[] = { DOCKER, STORAGE, NULL };

struct lookup {
	const char *root;
	struct names_want *wants;
	size_t count;
};

/* A name is bytes of somebody else's: too long, or with what no name has, it is none. */
static void set_name(char name[NAMES_NAME_SIZE], const char *text, size_t len)
{
	if (*name || !len || len >= NAMES_NAME_SIZE)
		return;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
			return;
	memcpy(name, text, len);
	name[len] = '\0';
}

/* Splits text at its first underscores. Names of Kubernetes have none. False: fewer parts. */
static bool split(const char *text, size_t len, size_t parts, const char **part, size_t *part_len)
{
	for (size_t i = 0; i < parts; i++) {
		const char *end = i + 1 < parts ? memchr(text, '_', len) : text + len;

		if (!end)
			return false;
		part[i] = text;
		part_len[i] = (size_t)(end - text);
		len -= part_len[i] + (i + 1 < parts);
		text = end + 1;
	}
	return true;
}

static struct names_want *want_of(const struct lookup *lookup, const char *id)
{
	for (size_t i = 0; i < lookup->count; i++)
		if (*lookup->wants[i].container &&
		    !strncmp(lookup->wants[i].container, id, NAMES_CONTAINER_SIZE - 1))
			return &lookup->wants[i];
	return NULL;
}

/* ---- the kubelet's logs ---- */

typedef void (*entry_fn)(const struct lookup *lookup, const char *name);

static void each_entry(const struct lookup *lookup, const char *directory, entry_fn fn)
{
	const struct dirent *entry;
	char path[PATH_MAX];
	DIR *dir;

	snprintf(path, sizeof(path), "%s%s", lookup->root, directory);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir)))
		fn(lookup, entry->d_name);
	closedir(dir);
}

/* POD_NAMESPACE_CONTAINER-ID.log */
static void take_container_log(const struct lookup *lookup, const char *name)
{
	const size_t tail = 1 + NAMES_CONTAINER_SIZE - 1 + strlen(".log");
	size_t len = strlen(name), part_len[3];
	struct names_want *want = len > tail ? want_of(lookup, name + len - tail + 1) : NULL;
	const char *part[3];

	if (!want || name[len - tail] != '-' || !split(name, len - tail, 3, part, part_len))
		return;
	set_name(want->pod_name, part[0], part_len[0]);
	set_name(want->space, part[1], part_len[1]);
	set_name(want->container_name, part[2], part_len[2]);
}

/* NAMESPACE_POD_UID */
static void take_pod_logs(const struct lookup *lookup, const char *name)
{
	const char *part[3];
	size_t part_len[3];

	if (!split(name, strlen(name), 3, part, part_len))
		return;
	for (size_t i = 0; i < lookup->count; i++) {
		struct names_want *want = &lookup->wants[i];

		if (!*want->pod || strcmp(want->pod, part[2]))
			continue;
		set_name(want->space, part[0], part_len[0]);
		set_name(want->pod_name, part[1], part_len[1]);
	}
}

/* ---- runtimes ---- */

/* As read(2) gives it: what a confined daemon may call is little. */
static json_t *read_json(const char *root, const char *path)
{
	char full[PATH_MAX], *bytes = NULL;
	size_t len = 0;
	struct stat stat;
	json_t *document = NULL;
	ssize_t n = 1;
	int fd;

	snprintf(full, sizeof(full), "%s%s", root, path);
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return NULL;
	if (!fstat(fd, &stat) && S_ISREG(stat.st_mode) && stat.st_size < FILE_MAX)
		bytes = malloc((size_t)stat.st_size + 1);
	while (bytes && len < (size_t)stat.st_size && n > 0) {
		n = read(fd, bytes + len, (size_t)stat.st_size - len);
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (bytes)
		document = json_loadb(bytes, len, 0, NULL);
	free(bytes);
	return document;
}

/* "k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT" by cri-dockerd and CRI-O; others as somebody likes. */
static void take_name(struct names_want *want, const char *name)
{
	const char *part[6];
	size_t part_len[6];

	name += *name == '/';
	if (strncmp(name, "k8s_", 4) || !split(name, strlen(name), 6, part, part_len)) {
		set_name(want->container_name, name, strlen(name));
		return;
	}
	set_name(want->container_name, part[1], part_len[1]);
	set_name(want->pod_name, part[2], part_len[2]);
	set_name(want->space, part[3], part_len[3]);
}

static void ask_docker(const struct lookup *lookup)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < lookup->count; i++) {
		struct names_want *want = &lookup->wants[i];
		const char *name;
		json_t *document;

		if (!*want->container || *want->container_name)
			continue;
		snprintf(path, sizeof(path), DOCKER "/%s/config.v2.json", want->container);
		document = read_json(lookup->root, path);
		name = json_string_value(json_object_get(document, "Name"));
		if (name)
			take_name(want, name);
		json_decref(document);
	}
}

/* containers/storage: [{"id": ID, "names": [NAME, …], …}, …] */
static void take_storage(const struct lookup *lookup, const char *driver)
{
	static const char end[] = "-containers";
	size_t len = strlen(driver), i;
	char path[PATH_MAX];
	json_t *document, *row;

	if (len < sizeof(end) || strcmp(driver + len - (sizeof(end) - 1), end) != 0)
		return;
	snprintf(path, sizeof(path), STORAGE "/%s/containers.json", driver);
	document = read_json(lookup->root, path);
	json_array_foreach(document, i, row) {
		const char *id = json_string_value(json_object_get(row, "id"));
		const char *name =
			json_string_value(json_array_get(json_object_get(row, "names"), 0));
		struct names_want *want = id && name ? want_of(lookup, id) : NULL;

		if (want)
			take_name(want, name);
	}
	json_decref(document);
}

static bool lacks_names(const struct lookup *lookup)
{
	for (size_t i = 0; i < lookup->count; i++)
		if (*lookup->wants[i].container && !*lookup->wants[i].container_name)
			return true;
	return false;
}

void names_look_up(const char *root, struct names_want *wants, size_t count)
{
	const struct lookup lookup = { root, wants, count };

	each_entry(&lookup, LOGS "/containers", take_container_log);
	each_entry(&lookup, LOGS "/pods", take_pod_logs);
	if (lacks_names(&lookup))
		ask_docker(&lookup);
	if (lacks_names(&lookup))
		each_entry(&lookup, STORAGE, take_storage);
}
