/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What containers are called, by files that the kubelet and container runtimes
 * keep on the host. Of the kubelet's only the names of log files are looked at,
 * which everybody may list; what runtimes keep is root's.
 *
 *	/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log	kubelet, any runtime
 *	/var/log/pods/NAMESPACE_POD_UID/			kubelet, any runtime
 *	/var/lib/docker/containers/ID/config.v2.json		docker
 *	/var/lib/containers/storage/DRIVER-containers/containers.json	podman, CRI-O
 */
#ifndef LT_NAMES_H
#define LT_NAMES_H

#include <stddef.h>

#include "event.h"

#define NAMES_CONTAINER_SIZE 65
#define NAMES_POD_SIZE 37
#define NAMES_NAME_SIZE 256

/* Directories of which only the entries are read, and of which files are; NULL ends each. */
extern const char *const names_listed[], *const names_read[];

struct names_want {
	struct lt_cgroup_id cgroup;
	char container[NAMES_CONTAINER_SIZE]; /* its id; "": none */
	char pod[NAMES_POD_SIZE];	      /* its uid; "": none */
	/* what was found; "": nothing */
	char container_name[NAMES_NAME_SIZE], pod_name[NAMES_NAME_SIZE], space[NAMES_NAME_SIZE];
};

/*
 * Fills in what is found below root ("" but in tests). What cannot be read, or
 * is not what it should be, counts as absent.
 */
void names_look_up(const char *root, struct names_want *wants, size_t count);

#endif
