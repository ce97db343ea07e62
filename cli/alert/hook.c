// SPDX-License-Identifier: GPL-2.0-only
#include "alert.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utlist.h>

struct job {
	struct job *prev, *next;
	pid_t pid; /* 0: waits */
	uint64_t deadline;
	size_t len;
	char *text; /* the alert, a line of JSON */
};

struct hooks {
	const struct settings *settings;
	struct job *waiting, *running;
	size_t waiting_count, running_count;
};

struct hooks *hooks_new(const struct settings *settings)
{
	struct hooks *hooks = calloc(1, sizeof(*hooks));

	if (hooks)
		hooks->settings = settings;
	/* what a command leaves behind comes to us, and is reaped */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return hooks;
}

static void job_free(struct job *job)
{
	free(job->text);
	free(job);
}

void hooks_add(struct hooks *hooks, const json_t *alert)
{
	char *text = *hooks->settings->on_alert ? json_dumps(alert, JSON_COMPACT) : NULL;
	struct job *job = text ? calloc(1, sizeof(*job)) : NULL, *oldest = hooks->waiting;

	if (!job) {
		free(text);
		return;
	}
	job->text = text;
	job->len = strlen(text);
	job->text[job->len++] = '\n'; /* in place of its NUL */
	DL_APPEND(hooks->waiting, job);
	if (++hooks->waiting_count <= hooks->settings->alert_queue_max)
		return;
	say("on_alert: too many wait; the oldest is dropped: %.*s", 200, oldest->text);
	DL_DELETE(hooks->waiting, oldest);
	hooks->waiting_count--;
	job_free(oldest);
}

/* Its standard input is a file in memory: nobody waits for it to read. */
static int input_of(const struct job *job)
{
	int fd = memfd_create("alert", MFD_CLOEXEC);

	if (fd >= 0 &&
	    (write(fd, job->text, job->len) != (ssize_t)job->len || lseek(fd, 0, SEEK_SET))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void become_command(const char *command, int in)
{
	sigset_t none;

	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(in, STDIN_FILENO) >= 0)
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static bool start(struct hooks *hooks, struct job *job, uint64_t now)
{
	int in = input_of(job);

	job->pid = in < 0 ? -1 : fork();
	if (!job->pid)
		become_command(hooks->settings->on_alert, in);
	if (in >= 0)
		close(in);
	if (job->pid < 0) {
		say("on_alert cannot be started: %s", strerror(errno));
		job->pid = 0;
		return false;
	}
	setpgid(job->pid, job->pid); /* whoever of the two is first */
	job->deadline = now + hooks->settings->on_alert_timeout_ns / 1000000;
	return true;
}

uint64_t hooks_run(struct hooks *hooks, uint64_t now)
{
	uint64_t due = NEVER;
	struct job *job;

	while ((job = hooks->waiting) && hooks->running_count < hooks->settings->on_alert_max) {
		if (!start(hooks, job, now)) {
			due = now + 1000;
			break;
		}
		DL_DELETE(hooks->waiting, job);
		hooks->waiting_count--;
		DL_APPEND(hooks->running, job);
		hooks->running_count++;
	}
	DL_FOREACH(hooks->running, job) {
		if (job->deadline <= now) {
			say("on_alert runs for too long, and is killed");
			kill(-job->pid, SIGKILL);
			job->deadline = NEVER;
		}
		if (job->deadline < due)
			due = job->deadline;
	}
	return due;
}

static void ended(struct hooks *hooks, pid_t pid, int status)
{
	struct job *job;

	DL_SEARCH_SCALAR(hooks->running, job, pid, pid);
	if (!job)
		return;
	if (WIFSIGNALED(status))
		say("on_alert was killed by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		say("on_alert failed with status %d", WEXITSTATUS(status));
	DL_DELETE(hooks->running, job);
	hooks->running_count--;
	job_free(job);
}

void hooks_reap(struct hooks *hooks)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		ended(hooks, pid, status);
}

void hooks_free(struct hooks *hooks)
{
	struct job *job, *next;

	if (!hooks)
		return;
	DL_FOREACH(hooks->running, job)
		kill(-job->pid, SIGKILL);
	DL_FOREACH_SAFE(hooks->running, job, next) {
		waitpid(job->pid, NULL, 0);
		job_free(job);
	}
	DL_FOREACH_SAFE(hooks->waiting, job, next)
		job_free(job);
	free(hooks);
}
