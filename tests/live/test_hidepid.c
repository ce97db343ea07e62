/*
 * A /proc that hides processes (hidepid of proc(5)) is not to be got round by asking
 * the daemon: what a user gets from it of others is no more than `ps` there shows him.
 * In a mount namespace of the test's own.
 */
#include "run.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/utsname.h>

#define UID 54321 /* nobody else's on the host */
#define UID_TEXT "54321"

/* Before 5.8 (fa10fed30f25) the options are of the pid namespace: the host's would change, too. */
static void hide(const char *options)
{
	struct utsname kernel;
	int major = 0, minor = 0;

	uname(&kernel);
	sscanf(kernel.release, "%d.%d", &major, &minor);
	if (geteuid() || major * 100 + minor < 508 || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, options))
		cr_skip_test("no /proc of its own");
}

static char *output_as(uid_t uid, const char *const *argv, pid_t *pid, int code)
{
	struct job job;
	char *text;

	job__start(&job, &(struct plan){ .argv = argv, .uid = uid });
	if (pid)
		*pid = job.pid;
	job__wait(&job, LT_DEADLINE_NS);
	lt_require(job.code == code, "%s %s: exit %d: %s", argv[0], argv[1], job.code,
		   read_fd(job.err, NULL));
	text = read_fd(job.out, NULL);
	job__free(&job);
	return text;
}

static json_t *document_as(uid_t uid, const char *const *argv, pid_t *pid)
{
	char *text = output_as(uid, argv, pid, 0);
	json_t *document = json_loads(text, 0, NULL);

	lt_require(document, "no JSON: %s", text);
	free(text);
	return document;
}

/* Their pids, as keys. */
static json_t *pids_of_ps(uid_t uid)
{
	char *text = output_as(uid, ARGV("/bin/ps", "-e", "-o", "pid="), NULL, 0), *rest = text;
	json_t *pids = json_object();

	for (char *pid; (pid = strtok_r(rest, " \n", &rest));)
		json_object_set_new(pids, pid, json_true());
	free(text);
	return pids;
}

static bool has_pid(const json_t *pids, pid_t pid)
{
	char key[16];

	snprintf(key, sizeof(key), "%d", pid);
	return json_object_get(pids, key);
}

/* A process of root's and one of the user's, which hold a zombie each. */
struct holders {
	struct job root, own;
};

static void holder__start(struct job *job, uid_t uid)
{
	job__start(job, &(struct plan){ .argv = ARGV("/bin/sh", "-c", "true & exec sleep 1000"),
					.uid = uid });
}

static struct holders begin_holders(void)
{
	struct holders holders;

	holder__start(&holders.root, 0);
	holder__start(&holders.own, UID);
	return holders;
}

static void holder__end(struct job *job)
{
	kill(job->pid, SIGTERM);
	job__free(job);
}

/* Whether a zombie of the holder is in the document. */
static const json_t *zombie_of(const json_t *document, pid_t holder)
{
	const json_t *row;
	size_t i;

	json_array_foreach(json_at(document, "zombies"), i, row)
		if (int_at(row, "ppid") == holder)
			return row;
	return NULL;
}

static bool both_are_zombies(struct lt *lt, const struct holders *holders)
{
	json_t *document = lt__json(lt, NULL, "zombies", NULL);
	bool are = zombie_of(document, holders->root.pid) && zombie_of(document, holders->own.pid);

	json_decref(document);
	return are;
}

static struct lt *begin(const char *options, struct holders *holders)
{
	struct lt *lt;

	hide(options);
	lt = lt__start(NULL);
	*holders = begin_holders();
	lt_await(both_are_zombies(lt, holders), "no zombies");
	return lt;
}

static void end(struct lt *lt, struct holders *holders)
{
	holder__end(&holders->root);
	holder__end(&holders->own);
	lt__stop(lt);
}

#define ASK(lt, command) ARGV(LIFETRACE, command, "--json", "--socket", lt__socket(lt))

/* The rows are those of ps: at one moment or the other. */
static void require_rows_of_ps(struct lt *lt, const struct holders *holders)
{
	json_t *before = pids_of_ps(UID), *document, *after, *row;
	pid_t command;
	size_t i;

	document = document_as(
		UID, ARGV(LIFETRACE, "ps", "--kernel", "--json", "--socket", lt__socket(lt)),
		&command);
	after = pids_of_ps(UID);
	json_array_foreach(json_at(document, "processes"), i, row) {
		pid_t pid = int_at(row, "pid");

		lt_require(pid == command || has_pid(before, pid) || has_pid(after, pid),
			   "ps does not show him: %s", json_dumps(row, 0));
		lt_require(has_pid(after, int_at(row, "ppid")) ||
				   json_matches(row, "parent_id=null parent_comm=null"),
			   "ps does not show him the parent: %s", json_dumps(row, 0));
	}
	lt_require(json_array_size(json_at(document, "processes")) >= json_object_size(after) / 2 &&
			   has_pid(after, holders->own.pid),
		   "too few: %s", json_dumps(document, 0));
	json_decref(before);
	json_decref(after);
	json_decref(document);
}

static void require_no_metrics(struct lt *lt)
{
	char *status;

	if (!have_program("curl"))
		return;
	status = output_as(UID,
			   ARGV("/usr/bin/curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
				"--unix-socket", lt__socket(lt), "http://localhost/metrics"),
			   NULL, 0);
	lt_require(!strcmp("403", status), "he gets the metrics: %s", status);
	free(status);
}

static void require_hidden(struct lt *lt, const struct holders *holders)
{
	json_t *document = document_as(UID, ASK(lt, "zombies"), NULL);
	const json_t *row = zombie_of(document, holders->own.pid);
	char pid[16];

	lt_require(row && !zombie_of(document, holders->root.pid), "%s", json_dumps(document, 0));
	expect(row, "parent_comm=sleep cause!=null");
	json_decref(document);
	snprintf(pid, sizeof(pid), "%d", holders->root.pid);
	require_rows_of_ps(lt, holders);
	free(output_as(UID, ARGV(LIFETRACE, "why", pid, "--socket", lt__socket(lt)), NULL, 1));
	snprintf(pid, sizeof(pid), "%d", holders->own.pid);
	free(output_as(UID, ARGV(LIFETRACE, "why", pid, "--socket", lt__socket(lt)), NULL, 0));
	require_no_metrics(lt);
}

static void require_seen(struct lt *lt, uid_t uid, const struct holders *holders)
{
	json_t *document = document_as(uid, ASK(lt, "zombies"), NULL);

	lt_require(zombie_of(document, holders->own.pid) && zombie_of(document, holders->root.pid),
		   "%s", json_dumps(document, 0));
	json_decref(document);
}

static void check_hidden(const char *options)
{
	struct holders holders;
	struct lt *lt = begin(options, &holders);

	require_hidden(lt, &holders);
	require_seen(lt, 0, &holders);
	end(lt, &holders);
}

LT_TEST(hidepid, no_access)
{
	check_hidden("hidepid=1");
}

LT_TEST(hidepid, invisible)
{
	check_hidden("hidepid=2");
}

LT_TEST(hidepid, ptraceable)
{
	check_hidden("hidepid=4,gid=" UID_TEXT);
}

LT_TEST(hidepid, off)
{
	struct holders holders;
	struct lt *lt = begin("hidepid=0", &holders);

	require_seen(lt, UID, &holders);
	end(lt, &holders);
}

/* The group of the mount sees all, also here. */
LT_TEST(hidepid, group_of_the_mount)
{
	struct holders holders;
	struct lt *lt = begin("hidepid=2,gid=" UID_TEXT, &holders);
	json_t *pids = pids_of_ps(UID);

	lt_require(has_pid(pids, holders.root.pid), "ps does not show it either");
	require_seen(lt, UID, &holders);
	json_decref(pids);
	end(lt, &holders);
}

/* Every line of a stream is about his own. */
LT_TEST(hidepid, stream)
{
	struct holders holders;
	struct lt *lt = begin("hidepid=2", &holders);
	json_t *own = json_object(), *event;
	char *text, *rest, key[16];
	struct job tail, job;

	job__start(&tail, &(struct plan){ .argv = ASK(lt, "tail"), .uid = UID });
	snprintf(key, sizeof(key), "%d", tail.pid);
	json_object_set_new(own, key, json_true());
	while (file_size(tail.out) < 2000) { /* some ten of them */
		lt_require(!output_as(0, ARGV("/bin/true"), NULL, 0)[0], "it says something");
		job__start(&job, &(struct plan){ .argv = ARGV("/bin/true"), .uid = UID });
		snprintf(key, sizeof(key), "%d", job.pid);
		json_object_set_new(own, key, json_true());
		job__wait(&job, LT_DEADLINE_NS);
		job__free(&job);
	}
	kill(tail.pid, SIGTERM);
	job__wait(&tail, LT_DEADLINE_NS);
	rest = text = read_fd(tail.out, NULL);
	for (char *line; (line = strtok_r(rest, "\n", &rest));) {
		event = json_loads(line, 0, NULL);
		lt_require(event && has_pid(own, int_at(event, "pid")), "not his: %s", line);
		json_decref(event);
	}
	free(text);
	json_decref(own);
	job__free(&tail);
	end(lt, &holders);
}
