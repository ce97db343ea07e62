/*
 * Recordings: what the live daemon printed is what the recording replays to,
 * byte for byte; and a file that is cut, garbled or another's is used as far
 * as it goes, or refused, with the offset.
 */
#include "http.h"

#include "event.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define HEADER_SIZE 16 /* magic, version, byte order */

/* ---- a test's recording ---- */

struct take {
	char dir[64];
	char path[96];
	struct job job;
};

static struct take make_take(const char *name)
{
	struct take take = { .dir = "/tmp/lt-replay-XXXXXX" };

	if (geteuid())
		cr_skip_test("needs root");
	cr_assert(mkdtemp(take.dir), "mkdtemp: %s", strerror(errno));
	chmod(take.dir, 0755);
	snprintf(take.path, sizeof(take.path), "%s/%s", take.dir, name);
	return take;
}

static void remove_take(const struct take *take)
{
	unlink(take->path);
	cr_expect(!rmdir(take->dir), "%s: %s", take->dir, strerror(errno));
}

/* The daemon's descriptors, without those of a client that is just leaving. */
static int fds_at_rest(const struct lt *lt)
{
	int fds = fds_of(lt__daemon_pid(lt));

	for (int i = 0; i < 20; i++) {
		int now = fds_of(lt__daemon_pid(lt));

		fds = now < fds ? now : fds;
		pass_time(10 * NSEC_PER_MSEC);
	}
	return fds;
}

/* What has happened until now is known to the daemon when it has answered. */
static void settle(struct lt *lt)
{
	json_decref(lt__status(lt));
}

/* Begins; returns when the daemon sends. */
static struct take start_take(const struct lt *lt, const char *name)
{
	struct take take = make_take(name);
	int fds = fds_at_rest(lt);

	job__start(&take.job, &(struct plan){ .argv = ARGV(LIFETRACE, "record", take.path,
							   "--socket", lt__socket(lt)) });
	/* a connection, and what watches for its end */
	lt_await(job__ended(&take.job) || fds_of(lt__daemon_pid(lt)) >= fds + 2, "no recording");
	lt_require(take.job.pid, "record ended with %d", take.job.code);
	return take;
}

static void end_take(struct lt *lt, struct take *take)
{
	char *err;

	settle(lt);
	/* what has been told to the tail may still be on its way to the file */
	pass_time(300 * NSEC_PER_MSEC);
	kill(take->job.pid, SIGINT);
	job__wait(&take->job, LT_DEADLINE_NS);
	err = read_fd(take->job.err, NULL);
	lt_require(take->job.code == 0, "record ended with %d: %s", take->job.code, err);
	lt_require(is_one_line(err) && strstr(err, " records "), "record said \"%s\"", err);
	free(err);
	job__free(&take->job);
}

/* Replays: exit status 0 and not a word, or the test ends. To be freed. */
static char *replay(const char *const *argv)
{
	struct result result;

	run(&result, &(struct plan){ .argv = argv });
	lt_require(result.code == 0 && !*result.err, "%s: exit %d: %s", argv[1], result.code,
		   result.err);
	free(result.err);
	return result.out;
}

/* ---- documents ---- */

static const char *const documents[][4] = {
	{ "zombies", "--json" },
	{ "ps", "--json" },
	{ "ps", "--json", "--kernel", "--all" },
	{ "cow", "--json", "--all" },
};

struct shown {
	char *text;
	char at[24];
};

/* What the live daemon prints, and of which moment. */
static struct shown ask_live(struct lt *lt, const char *const *words)
{
	struct shown shown;
	struct output output;
	json_t *json;

	lt__run(lt, &output, words[0], words[1], words[2] ? words[2] : "--json",
		words[3] ? words[3] : "--json", NULL);
	lt_require(output.code == 0, "%s: exit %d: %s", words[0], output.code, output.err);
	json = json_loadb(output.out, output.out_len, 0, NULL);
	snprintf(shown.at, sizeof(shown.at), "%lld",
		 (long long)json_integer_value(json_at(json, "time_ns")));
	json_decref(json);
	shown.text = output.out;
	free(output.err);
	return shown;
}

/* Where two texts part, with what is around it. */
static void require_same(const char *live, const char *replayed, const char *what)
{
	size_t at = 0;
	int before;

	while (live[at] && live[at] == replayed[at])
		at++;
	before = at < 400 ? at : 400;
	cr_expect(!live[at] && !replayed[at],
		  "%s: they part at byte %zu:\n%.*s\nlive: %.200s\nreplay: %.200s", what, at,
		  before, live + at - before, live + at, replayed + at);
}

static void check_document(const struct take *take, const struct shown *shown,
			   const char *const *words)
{
	char *text = replay(ARGV(LIFETRACE, "replay", "--at", shown->at, take->path, words[0],
				 words[1], words[2], words[3]));

	require_same(shown->text, text, words[0]);
	free(text);
	free(shown->text);
}

/* A scene with one of each: zombies, a leak, a dead leader, a stopped one, an orphan. */
struct scene {
	struct cast *zombies, *leak, *leader, *stopped, *orphan, *hostile;
};

static struct scene start_scene(void)
{
	struct scene scene = {
		.zombies = cast__start("zombie", "3", NULL),
		.leak = cast__start("leak", "6", NULL),
		.leader = cast__start("deadleader", "exit", NULL),
		.stopped = cast__start("stops", "handled", NULL),
		.orphan = cast__start("orphan", "subreaper", NULL),
		.hostile = cast__start("names", "a\n\"\\\xff\x1b", NULL),
	};

	cast__hold(scene.zombies, "zombie");
	cast__str(scene.leak, "leaking", 0);
	cast__hold(scene.leader, "dead-leader");
	cast__hold(scene.stopped, "stopped");
	cast__hold(scene.orphan, "born");
	cast__go(scene.orphan);
	cast__hold(scene.orphan, "adopted");
	cast__hold(scene.hostile, "named");
	return scene;
}

static void end_scene(struct scene *scene)
{
	cast__tell(scene->leak, "reap");
	cast__free(scene->zombies);
	cast__free(scene->leak);
	cast__free(scene->leader);
	cast__free(scene->stopped);
	cast__free(scene->orphan);
	cast__free(scene->hostile);
}

static void wait_for_the_leak(struct lt *lt, const struct scene *scene)
{
	json_decref(
		lt__await_row(lt, "zombies", cast__int(scene->leak, "child", 5), "flagged=true"));
}

static void check_documents(struct lt *lt, struct take *take, struct scene *scene)
{
	struct shown shown[ARRAY_SIZE(documents)];

	wait_for_the_leak(lt, scene);
	for (size_t i = 0; i < ARRAY_SIZE(documents); i++)
		shown[i] = ask_live(lt, documents[i]);
	end_scene(scene);
	end_take(lt, take);
	for (size_t i = 0; i < ARRAY_SIZE(documents); i++)
		check_document(take, &shown[i], documents[i]);
	remove_take(take);
}

static void check_from_the_beginning(const char *name)
{
	struct lt *lt = lt__start("--zombie-age", "200ms", NULL);
	struct take take;
	struct scene scene;

	take = start_take(lt, name);
	scene = start_scene();
	check_documents(lt, &take, &scene);
	lt__stop(lt);
}

LT_TEST(replay, documents)
{
	check_from_the_beginning("plain.ltr");
}

LT_TEST(replay, documents_of_a_gzipped_recording)
{
	check_from_the_beginning("zipped.ltr.gz");
}

/* It begins when all of it is there already: zombies, orphans, an open leak, reaped ones. */
static void check_from_the_middle(const char *name)
{
	struct lt *lt = lt__start("--zombie-age", "200ms", NULL);
	struct scene scene;
	struct take take;

	scene = start_scene();
	wait_for_the_leak(lt, &scene);
	cast__go(scene.zombies);
	cast__hold(scene.zombies, "reaped");
	settle(lt);
	take = start_take(lt, name);
	check_documents(lt, &take, &scene);
	lt__stop(lt);
}

LT_TEST(replay, documents_from_the_middle)
{
	check_from_the_middle("plain.ltr");
}

LT_TEST(replay, documents_from_the_middle_gzipped)
{
	check_from_the_middle("zipped.ltr.gz");
}

/* The dead and the living of a life before the daemon. */
LT_TEST(replay, documents_of_what_the_daemon_found)
{
	struct scene scene = start_scene();
	struct lt *lt = lt__start("--zombie-age", "200ms", NULL);
	struct take take;

	take = start_take(lt, "plain.ltr");
	check_documents(lt, &take, &scene);
	lt__stop(lt);
}

/* Counts go on from where they were. */
LT_TEST(replay, status)
{
	static const char *const same[] = { "forks",	   "execs",	 "exits",
					    "reaps",	   "zombies",	 "flagged",
					    "leaks",	   "processes",	 "repairs",
					    "bad_records", "refused",	 "boot_realtime_ns",
					    "uptime_s",	   "ring_bytes", "version" };
	static const char *const words[] = { "status", "--json", NULL, NULL };
	struct lt *lt = lt__start("--zombie-age", "200ms", NULL);
	struct scene scene = start_scene();
	struct shown live;
	struct take take;
	json_t *before, *after;
	char *text;

	wait_for_the_leak(lt, &scene);
	take = start_take(lt, "plain.ltr");
	settle(lt);
	live = ask_live(lt, words);
	end_scene(&scene);
	end_take(lt, &take);
	text = replay(ARGV(LIFETRACE, "replay", "--at", live.at, take.path, "status", "--json"));
	before = json_loads(live.text, 0, NULL);
	after = json_loads(text, 0, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		cr_expect(json_equal(json_at(before, same[i]), json_at(after, same[i])),
			  "%s: %lld, live it was %lld", same[i],
			  (long long)json_integer_value(json_at(after, same[i])),
			  (long long)json_integer_value(json_at(before, same[i])));
	cr_expect(json_equal(json_at(before, "hooks"), json_at(after, "hooks")), "other hooks");
	cr_expect(json_equal(json_at(before, "lost"), json_at(after, "lost")), "other losses");
	json_decref(before);
	json_decref(after);
	free(text);
	free(live.text);
	remove_take(&take);
	lt__stop(lt);
}

/* ---- --at ---- */

/* A moment between two things that happen is as the moment before it: to this program. */
LT_TEST(replay, at_any_moment)
{
	static const char *const words[] = { "zombies", "--json", "--comm", "zombie" };
	struct lt *lt = lt__start("--zombie-age", "200ms", NULL);
	struct cast *cast = cast__start("zombie", "3", NULL);
	struct take take;
	struct shown shown;
	char later[24], *text;

	take = start_take(lt, "plain.ltr");
	cast__hold(cast, "zombie");
	settle(lt);
	shown = ask_live(lt, words);
	cast__go(cast);
	cast__hold(cast, "reaped");
	cast__free(cast);
	end_take(lt, &take);
	snprintf(later, sizeof(later), "%lld", strtoll(shown.at, NULL, 10) + 1);
	text = replay(ARGV(LIFETRACE, "replay", "--at", later, take.path, words[0], words[1],
			   words[2], words[3]));
	require_same(strstr(shown.text, "\"zombies\""), strstr(text, "\"zombies\""),
		     "a nanosecond later");
	free(text);
	free(shown.text);
	remove_take(&take);
	lt__stop(lt);
}

/* Of what was before its beginning a recording knows nothing: a word, not another moment. */
LT_TEST(replay, at_before_the_beginning)
{
	struct lt *lt = lt__start(NULL);
	struct take take = start_take(lt, "plain.ltr");
	struct result result;

	end_take(lt, &take);
	run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, "replay", "--at", "1", take.path,
						  "zombies", "--json") });
	cr_expect(*result.err, "exit %d and not a word: %.100s", result.code, result.out);
	result__free(&result);
	remove_take(&take);
	lt__stop(lt);
}

/* Options stand where --help puts them, and where people do. */
LT_TEST(replay, options_anywhere)
{
	struct lt *lt = lt__start(NULL);
	struct take take = start_take(lt, "plain.ltr");
	const char *const *orders[] = {
		ARGV(LIFETRACE, "replay", take.path, "--json"),
		ARGV(LIFETRACE, "replay", "--json", take.path),
		ARGV(LIFETRACE, "replay", take.path, "tail", "--json"),
		ARGV(LIFETRACE, "replay", take.path, "zombies", "--json", "--at",
		     "99999999999999999"),
		ARGV(LIFETRACE, "replay", take.path, "--at", "99999999999999999", "zombies",
		     "--json"),
		ARGV(LIFETRACE, "replay", take.path, "--kind", "fork"),
	};

	end_take(lt, &take);
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		char *words = words_of(orders[i]);
		struct result result;

		run(&result, &(struct plan){ .argv = orders[i] });
		cr_expect(result.code == 0 && !*result.err, "%s: exit %d: %s", words, result.code,
			  result.err);
		result__free(&result);
		free(words);
	}
	remove_take(&take);
	lt__stop(lt);
}

/* ---- lines ---- */

/* A tail that began after the recording and ended before it: its lines are among the replayed. */
struct tailed {
	struct job job;
};

static void start_tail(struct lt *lt, struct tailed *tailed, const char *option, const char *value)
{
	int fds = fds_at_rest(lt);

	job__start(&tailed->job,
		   &(struct plan){ .argv = ARGV(LIFETRACE, "tail", "--json", "--socket",
						lt__socket(lt), option, value) });
	lt_await(fds_of(lt__daemon_pid(lt)) >= fds + 2, "no tail");
}

static char *end_tail(struct tailed *tailed)
{
	char *text;

	kill(tailed->job.pid, SIGTERM);
	lt_require(job__wait(&tailed->job, LT_DEADLINE_NS) == 0, "tail ended with %d",
		   tailed->job.code);
	text = read_fd(tailed->job.out, NULL);
	job__free(&tailed->job);
	return text;
}

/* Its first line is looked up, and from there on they must be the same. */
static void require_within(char *live, const char *replayed)
{
	char *last = strrchr(live, '\n'), first[8192];
	const char *at;
	size_t len;

	lt_require(last, "the tail told nothing");
	last[1] = '\0';
	len = strchr(live, '\n') + 1 - live;
	lt_require(len < sizeof(first), "a line of %zu bytes", len);
	snprintf(first, sizeof(first), "%.*s", (int)len, live);
	at = strstr(replayed, first);
	lt_require(at, "not among the replayed: %s", first);
	len = 0;
	while (live[len] && live[len] == at[len])
		len++;
	while (live[len] && len && live[len - 1] != '\n')
		len--;
	cr_expect(!live[len], "after %zu bytes\nlive: %.600s\nreplay: %.600s", len, live + len,
		  at + len);
}

static void check_lines(const char *name)
{
	struct lt *lt = lt__start("--zombie-age", "200ms", "--leak-settle", "500ms", NULL);
	struct take take;
	struct tailed tailed;
	struct scene scene;
	char *live, *replayed;

	take = start_take(lt, name);
	settle(lt);
	start_tail(lt, &tailed, NULL, NULL);
	scene = start_scene();
	wait_for_the_leak(lt, &scene);
	end_scene(&scene);
	settle(lt);
	pass_time(NSEC_PER_SEC);
	live = end_tail(&tailed);
	end_take(lt, &take);
	replayed = replay(ARGV(LIFETRACE, "replay", "--json", take.path));
	require_within(live, replayed);
	free(live);
	free(replayed);
	remove_take(&take);
	lt__stop(lt);
}

LT_TEST(replay, lines)
{
	check_lines("plain.ltr");
}

LT_TEST(replay, lines_of_a_gzipped_recording)
{
	check_lines("zipped.ltr.gz");
}

LT_TEST(replay, lines_from_the_middle)
{
	struct lt *lt = lt__start("--zombie-age", "200ms", "--leak-settle", "500ms", NULL);
	struct scene scene;
	struct take take;
	struct tailed tailed;
	char *live, *replayed;

	scene = start_scene();
	wait_for_the_leak(lt, &scene);
	take = start_take(lt, "plain.ltr");
	settle(lt);
	start_tail(lt, &tailed, NULL, NULL);
	end_scene(&scene);
	settle(lt);
	pass_time(2 * NSEC_PER_SEC);
	live = end_tail(&tailed);
	end_take(lt, &take);
	replayed = replay(ARGV(LIFETRACE, "replay", "--json", take.path));
	require_within(live, replayed);
	lt_require(strstr(live, "\"kind\":\"leak-close\""), "no leak closed");
	free(live);
	free(replayed);
	remove_take(&take);
	lt__stop(lt);
}

/* A storm, and what a filter leaves of it. */
LT_TEST(replay, lines_of_a_storm)
{
	struct lt *lt = lt__start(NULL);
	struct take take = start_take(lt, "plain.ltr");
	struct tailed tailed;
	char *live, *replayed;

	settle(lt);
	start_tail(lt, &tailed, "--kind", "fork,reap");
	for (int i = 0; i < 2000; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	settle(lt);
	pass_time(NSEC_PER_SEC);
	live = end_tail(&tailed);
	end_take(lt, &take);
	replayed = replay(ARGV(LIFETRACE, "replay", "--json", "--kind", "fork,reap", take.path));
	require_within(live, replayed);
	free(live);
	free(replayed);
	remove_take(&take);
	lt__stop(lt);
}

/* ---- order that a table of another's making must keep ---- */

static void pause_until(int fd)
{
	char c;

	while (read(fd, &c, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

/* A son who has a son, and dies when told. */
static void be_son(int ready, int gate, int live)
{
	char c;

	if (!fork())
		pause_until(live);
	_exit(write(ready, "x", 1) != 1 || read(gate, &c, 1) < 0);
}

/*
 * A father who has a second child before he adopts his first one's: his
 * children are in the order of their coming to him, not of their birth.
 */
static void be_father(int ready, int go, int live)
{
	int gate[2];
	pid_t son;
	char c;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1) || pipe(gate))
		_exit(1);
	son = fork();
	if (!son)
		be_son(ready, gate[0], live);
	if (read(go, &c, 1) != 1)
		_exit(1);
	if (!fork())
		pause_until(live);
	if (write(gate[1], "x", 1) != 1 || waitpid(son, NULL, 0) != son ||
	    write(ready, "y", 1) != 1)
		_exit(1);
	pause_until(live);
}

LT_TEST(replay, order_of_orphans)
{
	struct lt *lt = lt__start(NULL);
	int ready[2], go[2], live_pipe[2];
	struct tailed tailed;
	struct take take;
	char *live, *replayed, c;
	pid_t father;

	cr_assert(!pipe2(ready, O_CLOEXEC) && !pipe2(go, O_CLOEXEC) &&
		  !pipe2(live_pipe, O_CLOEXEC));
	father = fork();
	if (!father) {
		close(live_pipe[1]);
		close(go[1]);
		be_father(ready[1], go[0], live_pipe[0]);
	}
	lt_require(read(ready[0], &c, 1) == 1 && write(go[1], "x", 1) == 1 &&
			   read(ready[0], &c, 1) == 1,
		   "the family fails");
	settle(lt);
	take = start_take(lt, "plain.ltr");
	start_tail(lt, &tailed, "--kind", "orphan");
	kill(father, SIGKILL);
	waitpid(father, NULL, 0);
	settle(lt);
	pass_time(500 * NSEC_PER_MSEC);
	live = end_tail(&tailed);
	end_take(lt, &take);
	close(live_pipe[0]);
	close(live_pipe[1]);
	replayed = replay(ARGV(LIFETRACE, "replay", "--json", "--kind", "orphan", take.path));
	require_within(live, replayed);
	free(live);
	free(replayed);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
	remove_take(&take);
	lt__stop(lt);
}

static struct cast *start_leak(struct lt *lt)
{
	struct cast *cast = cast__start("leak", "4", NULL);

	cast__str(cast, "leaking", 0);
	json_decref(lt__await_row(lt, "zombies", cast__int(cast, "child", 3), "flagged=true"));
	return cast;
}

static void reap_leak(struct lt *lt, struct cast *cast)
{
	cast__tell(cast, "reap");
	cast__str(cast, "obeyed", 0);
	lt__require_no_zombie(lt, cast__int(cast, "child", 3));
}

/* Two leaks that are about to close: the one that began later closes sooner. */
LT_TEST(replay, order_of_leaks_that_settle)
{
	struct lt *lt =
		lt__start("--zombie-age", "50ms", "--leak-count", "2", "--leak-settle", "6s", NULL);
	struct cast *first, *second;
	struct tailed tailed;
	struct take take;
	char *live, *replayed;

	lt__tail(lt);
	first = start_leak(lt);
	second = start_leak(lt);
	reap_leak(lt, second);
	pass_time(500 * NSEC_PER_MSEC);
	reap_leak(lt, first);
	take = start_take(lt, "plain.ltr");
	start_tail(lt, &tailed, "--kind", "leak-close");
	pass_time(8 * NSEC_PER_SEC);
	live = end_tail(&tailed);
	end_take(lt, &take);
	replayed = replay(ARGV(LIFETRACE, "replay", "--json", "--kind", "leak-close", take.path));
	require_within(live, replayed);
	cast__free(first);
	cast__free(second);
	free(live);
	free(replayed);
	remove_take(&take);
	lt__stop(lt);
}

/* ---- record ---- */

LT_TEST(record, for_a_while)
{
	struct lt *lt = lt__start(NULL);
	struct take take = make_take("plain.ltr");
	int64_t began = boottime_ns(), took;
	struct result result;

	run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, "record", take.path, "--for",
						  "1s500ms", "--socket", lt__socket(lt)) });
	took = boottime_ns() - began;
	cr_expect(result.code == 0 && is_one_line(result.err), "exit %d: %s", result.code,
		  result.err);
	cr_expect(took >= 1500 * NSEC_PER_MSEC, "it took %ld ms", (long)(took / NSEC_PER_MSEC));
	free(replay(ARGV(LIFETRACE, "replay", take.path, "status")));
	result__free(&result);
	remove_take(&take);
	lt__stop(lt);
}

LT_TEST(record, over_an_old_one)
{
	struct lt *lt = lt__start(NULL);
	struct take take = make_take("plain.ltr");
	int fd = open(take.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	struct result result;

	cr_assert(!ftruncate(fd, 10 << 20));
	close(fd);
	run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, "record", take.path, "--for", "200ms",
						  "--socket", lt__socket(lt)) });
	cr_expect(result.code == 0, "exit %d: %s", result.code, result.err);
	free(replay(ARGV(LIFETRACE, "replay", take.path, "status")));
	result__free(&result);
	remove_take(&take);
	lt__stop(lt);
}

/* Where it cannot be written, that is said once, with the path. */
LT_TEST(record, nowhere)
{
	struct lt *lt = lt__start(NULL);

	require_complaint(ARGV(LIFETRACE, "record", "/nonexistent/file", "--for", "1s", "--socket",
			       lt__socket(lt)),
			  1, "/nonexistent/file");
	require_complaint(ARGV(LIFETRACE, "record", "/tmp", "--for", "1s", "--socket",
			       lt__socket(lt)),
			  1, "/tmp");
	require_complaint(ARGV(LIFETRACE, "record", "/dev/full", "--for", "1s", "--socket",
			       lt__socket(lt)),
			  1, "/dev/full");
	lt__stop(lt);
}

/* The daemon ends under it: what came is whole, and it says that no more did. */
LT_TEST(record, daemon_ends)
{
	struct lt *lt = lt__start(NULL);
	struct take take = start_take(lt, "plain.ltr");
	char *err;

	settle(lt);
	pass_time(200 * NSEC_PER_MSEC);
	kill(lt__daemon_pid(lt), SIGTERM);
	cr_expect(job__wait(&take.job, LT_DEADLINE_NS) == 1, "record ended with %d", take.job.code);
	err = read_fd(take.job.err, NULL);
	cr_expect(strstr(err, "ended"), "it says \"%s\"", err);
	free(err);
	job__free(&take.job);
	free(replay(ARGV(LIFETRACE, "replay", take.path, "status")));
	remove_take(&take);
	lt__stop(lt);
}

/* Who may not record does not lose what he had. */
LT_TEST(record, refused)
{
	struct lt *lt = lt__start(NULL);
	struct take take = make_take("plain.ltr");
	struct result result;
	char *text;
	int fd = open(take.path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

	cr_assert(fchmod(fd, 0666) == 0 && write(fd, "precious", 8) == 8);
	run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, "record", take.path, "--for", "1s",
						  "--socket", lt__socket(lt)),
				     .uid = NOBODY_UID });
	text = read_fd(fd, NULL);
	close(fd);
	remove_take(&take);
	lt__stop(lt);
	if (result.code == 127)
		cr_skip_test("nobody may not run this build");
	cr_expect(result.code == 1 && is_one_line(result.err) && strstr(result.err, "root"),
		  "exit %d: %s", result.code, result.err);
	cr_expect_str_eq(text, "precious");
	free(text);
	result__free(&result);
}

/* ---- files that are damaged ---- */

struct blob {
	unsigned char *bytes;
	size_t len;
};

/* A short recording of this host, read back; the take stays for what is made of it. */
static struct blob short_recording(struct take *take)
{
	struct lt *lt = lt__start("--zombie-age", "50ms", NULL);
	struct cast *cast = cast__start("zombie", "2", NULL);
	struct blob blob;
	int fd;

	cast__hold(cast, "zombie");
	*take = start_take(lt, "plain.ltr");
	cast__go(cast);
	cast__hold(cast, "reaped");
	cast__free(cast);
	end_take(lt, take);
	lt__stop(lt);
	fd = open(take->path, O_RDONLY | O_CLOEXEC);
	blob.bytes = (unsigned char *)read_fd(fd, &blob.len);
	close(fd);
	return blob;
}

static void write_blob(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	cr_assert(fd >= 0 && write(fd, bytes, len) == (ssize_t)len, "%s: %s", path,
		  strerror(errno));
	close(fd);
}

/* Where the record that holds the byte AT begins. */
static size_t record_at(const struct blob *blob, size_t at)
{
	size_t begin = HEADER_SIZE;
	struct lt_hdr hdr;

	while (begin + sizeof(hdr) <= blob->len) {
		memcpy(&hdr, blob->bytes + begin, sizeof(hdr));
		if (begin + hdr.size > at)
			break;
		begin += hdr.size;
	}
	return begin;
}

/* Replays what LEN bytes make of it: whole, cut with the offset, or refused; never worse. */
static void check_cut(const struct take *take, const struct blob *blob, size_t len)
{
	size_t begin = record_at(blob, len);
	char offset[64];
	struct result result;

	write_blob(take->path, blob->bytes, len);
	run(&result,
	    &(struct plan){ .argv = ARGV(LIFETRACE, "replay", take->path, "zombies", "--json") });
	snprintf(offset, sizeof(offset), "offset %zu", len < HEADER_SIZE ? 0 : begin);
	if (len < HEADER_SIZE) {
		cr_expect(result.code == 1, "cut at %zu: exit %d", len, result.code);
		cr_expect(!*result.out, "cut at %zu: %s", len, result.out);
	} else {
		cr_expect(result.code == 0, "cut at %zu: exit %d", len, result.code);
	}
	if (len == begin)
		cr_expect(!*result.err, "cut between records at %zu: %s", len, result.err);
	else
		cr_expect(is_one_line(result.err) && strstr(result.err, offset),
			  "cut at %zu: no %s in \"%s\"", len, offset, result.err);
	result__free(&result);
}

LT_TEST(damaged, cut)
{
	struct take take;
	struct blob blob = short_recording(&take);

	for (size_t len = 0; len < 120; len += 7)
		check_cut(&take, &blob, len);
	for (size_t i = 1; i < 60; i++)
		check_cut(&take, &blob, blob.len * i / 60);
	for (size_t i = 1; i < 20; i++)
		check_cut(&take, &blob, blob.len - i);
	check_cut(&take, &blob, record_at(&blob, blob.len / 2));
	check_cut(&take, &blob, blob.len);
	remove_take(&take);
	free(blob.bytes);
}

/* The file as gzip makes it. */
static struct blob zip(const char *path)
{
	struct result result;

	run(&result, &(struct plan){ .argv = ARGV("/bin/gzip", "-c", path) });
	lt_require(result.code == 0, "gzip: exit %d: %s", result.code, result.err);
	free(result.err);
	return (struct blob){ (unsigned char *)result.out, result.out_len };
}

/* What is missing at the end of a gzipped one is told as well, and where. */
LT_TEST(damaged, cut_of_a_gzipped_one)
{
	struct take take;
	struct blob blob = short_recording(&take), zipped = zip(take.path);

	for (size_t i = 0; i < 60; i++) {
		size_t len = i < 40 ? zipped.len * i / 40 : zipped.len - 10 * (i - 39);
		struct result result;

		write_blob(take.path, zipped.bytes, len);
		run(&result, &(struct plan){ .argv = ARGV(LIFETRACE, "replay", take.path, "zombies",
							  "--json") });
		cr_expect(result.code == 0 || (result.code == 1 && !*result.out),
			  "cut at %zu: exit %d", len, result.code);
		cr_expect(is_one_line(result.err) && strstr(result.err, "offset "),
			  "cut at %zu of %zu: \"%s\"", len, zipped.len, result.err);
		result__free(&result);
	}
	remove_take(&take);
	free(zipped.bytes);
	free(blob.bytes);
}

/* Told once, also where it has to be read twice. */
LT_TEST(damaged, cut_is_told_once)
{
	struct take take;
	struct blob blob = short_recording(&take);

	write_blob(take.path, blob.bytes, blob.len - 3);
	for (int i = 0; i < 2; i++) {
		struct result result;

		run(&result,
		    &(struct plan){ .argv = i ? ARGV(LIFETRACE, "replay", take.path) :
						ARGV(LIFETRACE, "replay", "--json", take.path) });
		cr_expect(result.code == 0 && is_one_line(result.err), "exit %d: %s", result.code,
			  result.err);
		result__free(&result);
	}
	remove_take(&take);
	free(blob.bytes);
}

struct patch {
	const char *title;
	size_t at;
	const char *bytes;
	size_t len;
	const char *named;
};

LT_TEST(damaged, refused)
{
	static const struct patch patches[] = {
		{ "magic", 0, "x", 1, "not a recording" },
		{ "next version", 8, "\x63\x00\x00\x00", 4, "version 99" },
		{ "version 0", 8, "\x00\x00\x00\x00", 4, "version 0" },
		{ "byte order", 12, "\x01\x02\x03\x04", 4, "byte order" },
		{ "no byte order", 12, "\xff\xff\xff\xff", 4, "byte order" },
	};
	struct take take;
	struct blob blob = short_recording(&take);

	for (size_t i = 0; i < ARRAY_SIZE(patches); i++) {
		unsigned char before[8];

		memcpy(before, blob.bytes + patches[i].at, patches[i].len);
		memcpy(blob.bytes + patches[i].at, patches[i].bytes, patches[i].len);
		write_blob(take.path, blob.bytes, blob.len);
		require_complaint(ARGV(LIFETRACE, "replay", take.path, "zombies"), 1,
				  patches[i].named);
		require_complaint(ARGV(LIFETRACE, "replay", take.path, "ps", "--json"), 1,
				  "offset 0");
		require_complaint(ARGV(LIFETRACE, "replay", take.path), 1, take.path);
		require_complaint(ARGV(LIFETRACE, "replay", "--json", take.path), 1, take.path);
		memcpy(blob.bytes + patches[i].at, before, patches[i].len);
	}
	remove_take(&take);
	free(blob.bytes);
}

LT_TEST(damaged, no_recording_at_all)
{
	struct take take = make_take("file");

	require_complaint(ARGV(LIFETRACE, "replay", take.path), 1, take.path);
	write_blob(take.path, "", 0);
	require_complaint(ARGV(LIFETRACE, "replay", take.path, "ps"), 1, "offset 0");
	write_blob(take.path, "hello\nworld\n", 12);
	require_complaint(ARGV(LIFETRACE, "replay", take.path, "ps"), 1, "offset 0");
	write_blob(take.path, "\x1f\x8b\x08\x00garbage that is no gzip", 27);
	require_complaint(ARGV(LIFETRACE, "replay", take.path, "ps"), 1, "offset 0");
	require_complaint(ARGV(LIFETRACE, "replay", take.dir, "ps"), 1, take.dir);
	require_complaint(ARGV(LIFETRACE, "replay", "/proc/self/mem", "ps"), 1, "/proc/self/mem");
	require_complaint(ARGV(LIFETRACE, "replay", "/dev/zero", "ps"), 1, "offset 0");
	remove_take(&take);
}

/* Changes one record's header in the middle; says what replay makes of it. */
static void check_header(const struct take *take, const struct blob *blob, const struct lt_hdr *hdr,
			 const char *named, int bad_records)
{
	size_t begin = record_at(blob, blob->len / 2);
	unsigned char before[sizeof(*hdr)];
	struct result result;
	char offset[64];
	json_t *json;

	memcpy(before, blob->bytes + begin, sizeof(*hdr));
	memcpy(blob->bytes + begin, hdr, 6); /* size and kind */
	write_blob(take->path, blob->bytes, blob->len);
	memcpy(blob->bytes + begin, before, sizeof(*hdr));
	run(&result,
	    &(struct plan){ .argv = ARGV(LIFETRACE, "replay", take->path, "status", "--json") });
	json = json_loads(result.out, 0, NULL);
	cr_expect(result.code == 0 && json, "size %u kind %u: exit %d: %s", hdr->size, hdr->kind,
		  result.code, result.err);
	snprintf(offset, sizeof(offset), "%s at offset %zu", named ? named : "", begin);
	if (named)
		cr_expect(is_one_line(result.err) && strstr(result.err, offset),
			  "size %u kind %u: no \"%s\" in \"%s\"", hdr->size, hdr->kind, offset,
			  result.err);
	else
		cr_expect(json_integer_value(json_at(json, "bad_records")) == bad_records,
			  "size %u kind %u: %lld bad records", hdr->size, hdr->kind,
			  (long long)json_integer_value(json_at(json, "bad_records")));
	json_decref(json);
	result__free(&result);
}

LT_TEST(damaged, record_that_is_none)
{
	static const __u32 sizes[] = { 0, 1, 8, 15, 17, LT_RECORD_MAX + 8, 0x80000000, 0xffffffff };
	struct take take;
	struct blob blob = short_recording(&take);

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		check_header(&take, &blob, &(struct lt_hdr){ .size = sizes[i], .kind = LT_TICK },
			     "no record", 0);
	remove_take(&take);
	free(blob.bytes);
}

/* Its size can be, but it is of no kind, or too short for it: skipped and counted. */
LT_TEST(damaged, record_of_no_kind)
{
	static const __u16 kinds[] = { 0, 31, LT_KIND_MAX, 1000, 0xffff };
	struct take take;
	struct blob blob = short_recording(&take);
	struct lt_hdr hdr;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		memcpy(&hdr, blob.bytes + record_at(&blob, blob.len / 2), sizeof(hdr));
		hdr.kind = kinds[i];
		check_header(&take, &blob, &hdr, NULL, 1);
	}
	remove_take(&take);
	free(blob.bytes);
}

/* Any bytes may be any others: nothing dies of it, and it ends. Seeded, to be seen again. */
static void check_noise(unsigned seed, int rounds)
{
	struct take take;
	struct blob blob = short_recording(&take);
	unsigned char *copy = malloc(blob.len);
	static const char *const commands[] = { "zombies", "ps", "status", "tail" };

	srandom(seed);
	for (int i = 0; i < rounds; i++) {
		struct result result;

		memcpy(copy, blob.bytes, blob.len);
		for (int n = 1 + random() % 40; n; n--)
			copy[HEADER_SIZE + random() % (blob.len - HEADER_SIZE)] =
				random() % 3 ? random() :
				random() % 2 ? 0xff :
					       0;
		write_blob(take.path, copy, blob.len);
		run(&result,
		    &(struct plan){ .argv = ARGV(LIFETRACE, "replay", take.path, commands[i % 4],
						 i % 8 < 4 ? "--json" : NULL) });
		lt_require(result.code == 0 || result.code == 1, "seed %u, round %d: exit %d: %s",
			   seed, i, result.code, result.err);
		result__free(&result);
	}
	remove_take(&take);
	free(copy);
	free(blob.bytes);
}

LT_TEST(damaged, noise)
{
	check_noise(1, 300);
}
