/*
 * groups.h - control groups of a test's own, in a real hierarchy.
 *
 * A janitor, a process of its own, removes the groups however a test ends.
 */
#ifndef LT_GROUPS_H
#define LT_GROUPS_H

#include "run.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define HEX_A "00000000000000000000000000000000000000000000000000000000000000aa"

/* ---- hierarchies ---- */

enum hierarchy { UNIFIED, PIDS, FREEZER };

static const char *const hierarchy_names[] = { "cgroup2", "pids", "freezer" };

/* Where it is mounted; skips the test where it is not, or not writable. */
static inline const char *root_of(enum hierarchy hierarchy)
{
	static char root[256];
	char line[1024], path[256], type[32], options[512];
	FILE *f = fopen("/proc/self/mounts", "re");

	*root = '\0';
	while (f && !*root && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %255s %31s %511s", path, type, options) != 3)
			continue;
		if (hierarchy == UNIFIED ?
			    !strcmp(type, "cgroup2") :
			    !strcmp(type, "cgroup") && strstr(options, hierarchy_names[hierarchy]))
			strcpy(root, path);
	}
	if (f)
		fclose(f);
	if (!*root || access(root, W_OK))
		cr_skip_test("no %s hierarchy to make groups in", hierarchy_names[hierarchy]);
	return root;
}

/* PATH below ROOT and all above it; NULL or the path in memory that stays. */
static inline const char *make_group(const char *root, const char *path)
{
	static char full[8192];
	size_t root_len = strlen(root);

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + root_len + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = '\0';
		cr_assert(!mkdir(full, 0755) || errno == EEXIST, "%s: %s", full, strerror(errno));
		*p = c;
		if (!c)
			return full;
	}
}

/* ---- the janitor ---- */

struct janitor {
	int fd; /* its end is the sign */
	pid_t pid;
};

static inline void remove_tree(const char *path)
{
	struct dirent *entry;
	char below[8192];
	DIR *dir = opendir(path);

	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || !strcmp(entry->d_name, ".") ||
		    !strcmp(entry->d_name, ".."))
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		remove_tree(below);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

/* Writes WORD to a file of the group; false when it has no such file. */
static inline bool write_to_group(const char *group, const char *file, const char *word)
{
	char path[8192];
	bool written;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	written = write(fd, word, strlen(word)) == (ssize_t)strlen(word);
	close(fd);
	return written;
}

/* The frozen do not even die. */
static inline void thaw(const char *group)
{
	if (!write_to_group(group, "cgroup.freeze", "0"))
		write_to_group(group, "freezer.state", "THAWED");
}

/* Only groups of our names; "docker" itself only when nothing else is in it. */
static inline bool remove_groups(const char *root)
{
	static const char *const ours[] = { "/lt-test.slice", "/lt-moved.slice", "/docker/" HEX_A };
	bool all = true;
	char path[512];

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		snprintf(path, sizeof(path), "%s%s", root, ours[i]);
		thaw(path);
		remove_tree(path);
		all &= access(path, F_OK) < 0;
	}
	snprintf(path, sizeof(path), "%s/docker", root);
	rmdir(path);
	return all;
}

static inline void clean_when_told(int fd, const char *root)
{
	char c;

	setsid();
	dup2(fd, 3);
	syscall(SYS_close_range, 4, ~0U, 0);
	while (read(3, &c, 1) > 0)
		;
	for (int i = 0; i < 100 && !remove_groups(root); i++)
		usleep(100000);
	_exit(!remove_groups(root));
}

static inline struct janitor janitor_start(const char *root)
{
	struct janitor janitor;
	int fd[2];

	if (geteuid())
		cr_skip_test("needs root");
	cr_assert(!pipe2(fd, O_CLOEXEC));
	janitor.fd = fd[1];
	janitor.pid = fork();
	if (!janitor.pid) {
		close(fd[1]);
		clean_when_told(fd[0], root);
	}
	close(fd[0]);
	return janitor;
}

static inline void janitor_end(const struct janitor *janitor)
{
	int raw;

	close(janitor->fd);
	waitpid(janitor->pid, &raw, 0);
	cr_expect(WIFEXITED(raw) && !WEXITSTATUS(raw), "control groups are left");
}

#endif
