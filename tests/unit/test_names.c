// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names of containers, from files as the kubelet, docker and podman leave them: of docker
 * 20.10 and podman 4.3 cut down from what they wrote.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "names.h"

#define ID "a9d4c1f0b7e25836a9d4c1f0b7e25836a9d4c1f0b7e25836a9d4c1f0b7e25836"
#define OTHER_ID "f4f0c544a315200d1275cc6d21394d060eba13fdd67f57013319b73a8dc8f3a3"
#define UID "3b0e6a52-8f1c-4d7a-9e2b-5c6d7e8f9a01"

static char root[64];

static void begin(void)
{
	strcpy(root, "/tmp/lt-names-XXXXXX");
	cr_assert(mkdtemp(root));
}

static int drop(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	(void)stat;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void end(void)
{
	nftw(root, drop, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(names_files, .init = begin, .fini = end);

/* A file with its directories; text NULL: these alone. */
static void put(const char *path, const char *text)
{
	char full[1024];
	FILE *file;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		cr_assert(!mkdir(full, 0755) || errno == EEXIST);
		*p = '/';
	}
	if (!text)
		return;
	file = fopen(full, "we");
	cr_assert(file && fputs(text, file) >= 0 && !fclose(file), "%s", full);
}

static struct names_want look_up(const char *container, const char *pod)
{
	struct names_want wants[2] = { 0 };

	strcpy(wants[0].container, OTHER_ID "x" + 1); /* somebody else asks, too */
	strcpy(wants[1].container, container);
	strcpy(wants[1].pod, pod);
	names_look_up(root, wants, 2);
	cr_expect_str_empty(wants[0].container_name);
	return wants[1];
}

static void expect_names(const char *container_id, const char *pod_uid, const char *container,
			 const char *pod, const char *space)
{
	struct names_want want = look_up(container_id, pod_uid);

	cr_expect_str_eq(want.container_name, container, "%s", want.container_name);
	cr_expect_str_eq(want.pod_name, pod, "%s", want.pod_name);
	cr_expect_str_eq(want.space, space, "%s", want.space);
}

Test(names_files, nothing_there)
{
	expect_names(ID, UID, "", "", "");
}

Test(names_files, by_the_kubelets_log_of_a_container)
{
	put("/var/log/containers/shop-0_prod_web-" ID ".log", "");
	put("/var/log/containers/shop-0_prod_sidecar-" OTHER_ID ".log", "");
	expect_names(ID, "", "web", "shop-0", "prod");
	expect_names(OTHER_ID, UID, "sidecar", "shop-0", "prod");
}

Test(names_files, by_the_kubelets_logs_of_a_pod)
{
	put("/var/log/pods/kube-system_etcd-node1_0123456789abcdef0123456789abcdef/", NULL);
	put("/var/log/pods/prod_shop-0_" UID "/", NULL);
	expect_names(ID, UID, "", "shop-0", "prod");
	expect_names(ID, "0123456789abcdef0123456789abcdef", "", "etcd-node1", "kube-system");
	expect_names(ID, "", "", "", "");
}

Test(names_files, that_are_none)
{
	put("/var/log/containers/shop-0_prod-" ID ".log", "");
	put("/var/log/containers/" ID ".log", "");
	put("/var/log/containers/-" ID ".log", "");
	put("/var/log/containers/a_b_c" ID ".log", "");
	put("/var/log/containers/a\nb_c\t_d e-" ID ".log", "");
	put("/var/log/pods/" UID "/", NULL);
	put("/var/log/pods/_" UID "/", NULL);
	put("/var/lib/docker/containers/" ID "/config.v2.json", "[{\"Name\": 5");
	put("/var/lib/containers/storage/overlay-containers/containers.json", "{\"id\":[]}");
	put("/var/lib/containers/storage/vfs-containers/containers.json",
	    "[5, {}, {\"id\": \"" ID "\"}, {\"id\": 7, \"names\": [\"x\"]},"
	    " {\"id\": \"" ID "\", \"names\": [{}]}]");
	put("/var/lib/containers/storage/containers.json", "");
	expect_names(ID, UID, "", "", "");
}

Test(names_files, by_docker)
{
	put("/var/lib/docker/containers/" ID "/config.v2.json",
	    "{\"StreamConfig\":{},\"State\":{\"Running\":true,\"Pid\":4139},\"ID\":\"" ID "\","
	    "\"Config\":{\"Hostname\":\"f4f0c544a315\",\"Labels\":{}},\"Name\":\"/web-2\"}");
	expect_names(ID, "", "web-2", "", "");
}

Test(names_files, by_docker_below_a_kubelet)
{
	put("/var/lib/docker/containers/" ID "/config.v2.json",
	    "{\"Name\":\"/k8s_web_shop-0_prod_" UID "_0\"}");
	expect_names(ID, UID, "web", "shop-0", "prod");
}

Test(names_files, by_podman)
{
	put("/var/lib/containers/storage/vfs-containers/containers.json",
	    "[{\"id\":\"" OTHER_ID "\",\"names\":[\"other\"]},{\"id\":\"" ID
	    "\",\"names\":[\"web-1\"],"
	    "\"image\":\"\",\"layer\":\"61fd\",\"metadata\":\"{\\\"image-name\\\":\\\"\\\","
	    "\\\"name\\\":\\\"web-1\\\",\\\"created-at\\\":1795347478}\",\"flags\":{\"MountLabel\":\"\"}}]");
	expect_names(ID, "", "web-1", "", "");
}

Test(names_files, by_cri_o)
{
	put("/var/lib/containers/storage/overlay-containers/containers.json",
	    "[{\"id\":\"" ID "\",\"names\":[\"k8s_web_shop-0_prod_" UID "_3\"]}]");
	expect_names(ID, UID, "web", "shop-0", "prod");
}
