/*
 * Attribution: the control group of a process, and the unit and the container
 * that follow from it. The groups are made for the test in every hierarchy
 * that could name them (the unified one and systemd's own), and removed.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ROOTS_MAX 4

struct place {
	const char *cgroup;
	const char *unit; /* NULL: not asked */
	const char *container;
};

/* Where the hierarchies are mounted: cgroup2, and v1's name=systemd. */
static int find_roots(char roots[ROOTS_MAX][256])
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char line[1024], type[32], options[512];
	int n = 0;

	while (f && n < ROOTS_MAX && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %255s %31s %511s", roots[n], type, options) != 3)
			continue;
		if (!strcmp(type, "cgroup2") ||
		    (!strcmp(type, "cgroup") && strstr(options, "name=systemd")))
			n++;
	}
	if (f)
		fclose(f);
	return n;
}

static bool make_groups(const char *root, const char *cgroup)
{
	char path[1024];
	int length = snprintf(path, sizeof(path), "%s%s", root, cgroup);

	for (int i = strlen(root) + 1; i <= length; i++) {
		char c = path[i];

		if (c && c != '/')
			continue;
		path[i] = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return false;
		path[i] = c;
	}
	return true;
}

static bool put(const char *root, const char *cgroup, pid_t pid)
{
	char path[1024];
	bool done = false;
	int fd;

	if (!make_groups(root, cgroup))
		return false;
	snprintf(path, sizeof(path), "%s%s/cgroup.procs", root, cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		done = dprintf(fd, "%d\n", pid) > 0;
		close(fd);
	}
	return done;
}

/* Removes the leaf, and its parents where nothing else is. */
static void remove_cgroup(const char *root, const char *cgroup)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s%s", root, cgroup);
	while (strlen(path) > strlen(root) && rmdir(path) == 0)
		*strrchr(path, '/') = '\0';
}

static void require_place(const json_t *object, const struct place *place)
{
	expect(object, "cgroup=%s", place->cgroup);
	if (place->unit)
		expect(object, "unit=%s", place->unit);
	expect(object, "container=%s", place->container);
}

static void check_place(const struct place *place)
{
	char roots[ROOTS_MAX][256];
	int n_roots = find_roots(roots), n_put = 0;
	struct lt *lt = lt__start(NULL);
	struct cast *cast;
	json_t *row;
	pid_t pid;

	lt__tail(lt);
	cast = cast__start("leak", "0", NULL);
	cast__str(cast, "leaking", 0);
	for (int i = 0; i < n_roots; i++)
		n_put += put(roots[i], place->cgroup, cast__pid(cast));
	if (!n_put) {
		cast__free(cast);
		lt__stop(lt);
		cr_skip_test("no control group can be made here");
	}
	cast__tell(cast, "more 1");
	pid = cast__int(cast, "child", 0);
	require_place(lt__await_event(lt, lt__id(lt, pid), "fork", 0), place);
	row = lt__await_row(lt, "zombies", pid, "state=zombie");
	require_place(row, place);
	json_decref(row);
	cast__tell(cast, "reap");
	cast__free(cast);
	for (int i = 0; i < n_roots; i++)
		remove_cgroup(roots[i], place->cgroup);
	lt__stop(lt);
}

#define PLACE(name, ...)                                           \
	LT_TEST(attribution, name)                                 \
	{                                                          \
		static const struct place place = { __VA_ARGS__ }; \
                                                                   \
		check_place(&place);                               \
	}

PLACE(service, "/system.slice/lt-live-test.service", "lt-live-test.service", "null")
PLACE(service_in_sub_group, "/system.slice/lt-live-test.service/worker", "lt-live-test.service",
      "null")
PLACE(docker_cgroupfs, "/docker/" HEX64, NULL, HEX64)
PLACE(docker_systemd, "/system.slice/docker-" HEX64 ".scope", NULL, HEX64)
PLACE(podman, "/machine.slice/libpod-" HEX64 ".scope/container", NULL, HEX64)
PLACE(kubernetes,
      "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1.slice/"
      "cri-containerd-" HEX64 ".scope",
      NULL, HEX64)
PLACE(no_container, "/lt-live-test/0123456789abcdef", "null", "null")
