// SPDX-License-Identifier: GPL-2.0-only
#include "proc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

long long proc_stat(pid_t pid, int number)
{
	char path[32];
	char line[1024] = "";
	char *at;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	at = fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	fclose(file);
	for (int i = 2; at && i < number; i++)
		at = strchr(at + 1, ' ');
	return at ? strtoll(at, NULL, 10) : -1;
}

long long proc_births(void)
{
	long long births = -1;
	char line[256];
	FILE *file = fopen("/proc/stat", "re");

	while (file && births < 0 && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "processes ", 10))
			births = strtoll(line + 10, NULL, 10);
	}
	if (file)
		fclose(file);
	return births;
}

void proc_pids(struct proc_pids *pids)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc");

	pids->n = 0;
	while (dir && (entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0 && pids->n < PROC_PIDS_MAX)
			pids->pid[pids->n++] = pid;
	}
	if (dir)
		closedir(dir);
}

bool proc_pids_have(const struct proc_pids *pids, pid_t pid)
{
	for (int i = 0; i < pids->n; i++) {
		if (pids->pid[i] == pid)
			return true;
	}
	return false;
}
