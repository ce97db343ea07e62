/*
 * Exit handlers: what is said of a program's end, against its own clock, which
 * C libraries are covered, and that nothing is touched when nobody asked.
 */
#include "harness.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define HANDLERS_MS 60 /* what the three handlers of the cast sleep */

static bool is_looking(struct lt *lt)
{
	char *hook = lt__hook(lt, "exit_handlers");
	bool looking = strstr(hook, "looking for more");

	free(hook);
	return looking;
}

/* When it has covered the library of every program that there is. */
static struct lt *start_on_with(const char *repair_interval)
{
	struct lt *lt =
		lt__start("--exit-handlers", "on", "--repair-interval", repair_interval, NULL);

	lt_await(!is_looking(lt), "it does not come to an end of looking");
	lt__tail(lt);
	return lt;
}

static struct lt *start_on(void)
{
	return start_on_with("500ms");
}

static json_t *await_exit(struct lt *lt, pid_t pid)
{
	return lt__await_event(lt, lt__id(lt, pid), "exit", 0);
}

/* The call lies between the program's own two times, and the kernel's exit after both. */
static void check_times(const json_t *exit, struct cast *cast, int64_t ended_ns)
{
	int64_t called_ns = int_at(exit, "exit_called_ns"), exited_ns = int_at(exit, "exited_ns");

	lt_require(called_ns >= cast__int(cast, "called", 0), "called before the call");
	lt_require(called_ns <= ended_ns - HANDLERS_MS * NSEC_PER_MSEC,
		   "called %ld ns before the handlers' end", (long)(ended_ns - called_ns));
	lt_require(exited_ns >= ended_ns && exited_ns <= boottime_ns(), "exited_ns %ld",
		   (long)exited_ns);
	lt_require(int_at(exit, "exit.handlers_ns") == exited_ns - called_ns,
		   "handlers_ns is not the time between");
}

static void check_handlers(struct lt *lt, struct cast *cast, pid_t pid)
{
	json_t *exit = await_exit(lt, pid);

	expect(exit, "exit.how=exited exit.status=0 exit.by=exit");
	check_times(exit, cast, cast__int(cast, "ended", 0));
}

/* ---- in which manner it ends ---- */

static struct cast *run_manner(const char *manner)
{
	struct cast *cast = cast__start("handlers", manner, NULL);

	cast__hold(cast, "ready");
	cast__end(cast);
	return cast;
}

static void check_manner(const char *manner)
{
	struct lt *lt = start_on();
	struct cast *cast = run_manner(manner);

	check_handlers(lt, cast, cast__pid(cast));
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(handlers, return_from_main)
{
	check_manner("return");
}

LT_TEST(handlers, exit)
{
	check_manner("exit");
}

LT_TEST(handlers, exit_by_a_thread)
{
	check_manner("thread");
}

/* C libraries differ in whether the handlers are waited for: the first call counts in any. */
LT_TEST(handlers, exit_by_eight_threads_at_once)
{
	struct lt *lt = start_on();
	struct cast *cast = run_manner("threads");
	json_t *exit = await_exit(lt, cast__pid(cast));
	int64_t called_ns;

	expect(exit, "exit.how=exited exit.status=0 exit.by=exit");
	called_ns = int_at(exit, "exit_called_ns");
	lt_require(called_ns >= cast__int(cast, "called", 0), "called before the call");
	lt_require(int_at(exit, "exit.handlers_ns") == int_at(exit, "exited_ns") - called_ns,
		   "handlers_ns is not the time between");
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(handlers, exit_again_by_a_handler)
{
	check_manner("again");
}

static void check_without(const char *member, const char *manner, const char *by)
{
	struct lt *lt = start_on();
	struct cast *cast = cast__start(member, manner, NULL);

	cast__hold(cast, "ready");
	cast__end(cast);
	expect(await_exit(lt, cast__pid(cast)),
	       "exit.how=exited exit.by=%s exit.handlers_ns=null exit_called_ns=null", by);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(handlers, _exit)
{
	check_without("handlers", "_exit", "_exit");
}

LT_TEST(handlers, _Exit)
{
	check_without("handlers", "_Exit", "_exit");
}

LT_TEST(handlers, system_call_is_not_observed)
{
	check_without("handlers", "raw", "null");
}

LT_TEST(handlers, static_program_is_not_observed)
{
	check_without("handlers_static", "exit", "null");
}

/* A handler runs another program: that one has not called exit(). */
LT_TEST(handlers, exec_by_a_handler)
{
	struct lt *lt = start_on();
	struct cast *cast = cast__start("handlers", "exec", NULL);

	cast__hold(cast, "ready");
	cast__go(cast);
	cast__hold(cast, "ready");
	lt__fence(lt);
	json_decref(lt__await_row(lt, "ps", cast__pid(cast), "state=running exit_called_ns=null"));
	cast__end(cast);
	expect(await_exit(lt, cast__pid(cast)),
	       "exit.how=exited exit.by=_exit exit_called_ns=null");
	cast__free(cast);
	lt__stop(lt);
}

/* The child runs its parent's handlers, and is its own process all the same. */
LT_TEST(handlers, vfork_child)
{
	struct lt *lt = start_on();
	struct cast *cast = run_manner("vfork");
	json_t *child = await_exit(lt, cast__int(cast, "child", 0));

	expect(child, "exit.how=exited exit.by=exit");
	lt_require(int_at(child, "exit.handlers_ns") >= HANDLERS_MS * NSEC_PER_MSEC,
		   "its parent's handlers");
	expect(await_exit(lt, cast__pid(cast)), "exit.by=_exit exit_called_ns=null");
	cast__free(cast);
	lt__stop(lt);
}

/* ---- while they run ---- */

static struct cast *start_hanging(struct lt *lt)
{
	struct cast *cast = cast__start("handlers", "hang", NULL);

	cast__hold(cast, "ready");
	cast__go(cast);
	cast__hold(cast, "handler");
	json_decref(lt__await_row(lt, "ps", cast__pid(cast),
				  "state=running exit=null exited_ns=null exit_called_ns!=null"));
	return cast;
}

LT_TEST(handlers, hanging_is_shown)
{
	struct lt *lt = start_on();
	struct cast *cast = start_hanging(lt);
	struct output output;
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", cast__pid(cast));
	lt__run(lt, &output, "ps", "--pid", pid, NULL);
	lt_require(strstr(output.out, "running: exiting, in handlers for "), "%s", output.out);
	output__free(&output);
	cast__end(cast);
	check_handlers(lt, cast, cast__pid(cast));
	cast__free(cast);
	lt__stop(lt);
}

/* It called exit() before anybody could see it: how it ended is not known. */
LT_TEST(handlers, in_one_from_before_the_daemon)
{
	struct cast *cast = cast__start("handlers", "hang", NULL);
	struct lt *lt;
	const char *id;
	json_t *row;
	char *hook;

	cast__hold(cast, "ready");
	cast__go(cast);
	cast__hold(cast, "handler");
	lt = start_on();
	hook = lt__hook(lt, "exit_handlers");
	if (strstr(hook, "without cookies"))
		cr_skip_test("before Linux 5.15 nothing tells when a library was covered");
	free(hook);
	row = lt__row(lt, "ps", cast__pid(cast));
	id = json_string_value(json_at(row, "id"));
	lt__watch(lt, id);
	cast__end(cast);
	expect(lt__await_event(lt, id, "exit", 0),
	       "exit.how=exited exit.by=null exit.handlers_ns=null exit_called_ns=null");
	json_decref(row);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(handlers, killed_in_one)
{
	struct lt *lt = start_on();
	struct cast *cast = start_hanging(lt);
	json_t *exit;

	cast__terminate(cast);
	exit = await_exit(lt, cast__pid(cast));
	expect(exit, "exit.how=killed exit.signal=SIGTERM exit.by=null");
	lt_require(int_at(exit, "exit.handlers_ns") ==
			   int_at(exit, "exited_ns") - int_at(exit, "exit_called_ns"),
		   "how long it had been in them");
	cast__free(cast);
	lt__stop(lt);
}

/* ---- C libraries ---- */

/* A directory of its own with copies of what the cast runs on, at their paths. */
struct place {
	char dir[32];
	char libc[128], linker[128]; /* in it */
};

static void run_or_fail(const char *const argv[])
{
	int code = run_quietly(argv);

	lt_require(!code, "%s %s ended with %d", argv[0], argv[1], code);
}

static void copy_into(const struct place *place, const char *path)
{
	run_or_fail((const char *[]){ "cp", "-L", "--parents", path, place->dir, NULL });
}

/* "NAME => PATH (0x…)", and the linker as "PATH (0x…)". */
static void copy_libraries(struct place *place, const char *program)
{
	char command[600], line[512], *path;
	FILE *ldd;

	snprintf(command, sizeof(command), "ldd '%s'", program);
	ldd = popen(command, "re");
	while (ldd && fgets(line, sizeof(line), ldd)) {
		path = strchr(line, '/');
		if (!path)
			continue;
		path[strcspn(path, " \n")] = '\0';
		copy_into(place, path);
		if (strstr(path, "/libc.so"))
			snprintf(place->libc, sizeof(place->libc), "%s%.90s", place->dir, path);
		if (strstr(path, "/ld-"))
			snprintf(place->linker, sizeof(place->linker), "%s%.90s", place->dir, path);
	}
	if (ldd)
		pclose(ldd);
	lt_require(*place->libc && *place->linker, "ldd %s names no C library", program);
}

static void place__fill(struct place *place)
{
	char path[512];

	*place->libc = *place->linker = '\0';
	cast__path("handlers", path, sizeof(path));
	copy_libraries(place, path);
	copy_into(place, path);
}

static void place__init(struct place *place)
{
	strcpy(place->dir, "/tmp/lt-place-XXXXXX");
	lt_require(mkdtemp(place->dir), "mkdtemp: %s", strerror(errno));
	place__fill(place);
}

static void place__deinit(const struct place *place)
{
	run_or_fail((const char *[]){ "rm", "-rf", place->dir, NULL });
}

/* Runs the cast by the place's linker with the place's library. */
static struct cast *start_linked(const struct place *place, const char *manner)
{
	char libraries[128], path[512];

	snprintf(libraries, sizeof(libraries), "%s", place->libc);
	return cast__startv((const char *[]){ place->linker, "--library-path", dirname(libraries),
					      cast__path("handlers", path, sizeof(path)), manner,
					      NULL });
}

/* How many libraries are covered, and how many are not; of the hook's name. */
struct cover {
	int covered, not_covered;
};

static struct cover cover_now(struct lt *lt)
{
	char *hook = lt__hook(lt, "exit_handlers"), *comma = strchr(hook, ',');
	struct cover cover = { -1, 0 };

	lt_require(!strncmp(hook, "uprobe/exit (", 13), "%s", hook);
	cover.covered = atoi(hook + 13);
	if (comma)
		cover.not_covered = atoi(comma + 1);
	free(hook);
	return cover;
}

#define await_covered(lt, n) \
	lt_await(cover_now(lt).covered == (n), "%d libraries, not %d", cover_now(lt).covered, n)

/*
 * In another mount namespace and root: found at its exec, well before the next
 * pass; and let go by a pass after it, or the daemon would keep descriptors.
 */
LT_TEST(handlers, another_root)
{
	struct lt *lt = start_on_with("6s");
	int covered = cover_now(lt).covered;
	struct place place;
	struct cast *cast;
	char path[512];

	place__init(&place);
	cast = cast__startv((const char *[]){ "unshare", "-m", "chroot", place.dir,
					      cast__path("handlers", path, sizeof(path)), "return",
					      NULL });
	cast__hold(cast, "ready");
	lt_await_for(5 * NSEC_PER_SEC, cover_now(lt).covered == covered + 1, "not covered at once");
	cast__end(cast);
	check_handlers(lt, cast, cast__pid(cast));
	cast__free(cast);
	place__deinit(&place);
	await_covered(lt, covered);
	lt__stop(lt);
}

/* Its directory is gone, and it ran before the daemon. */
LT_TEST(handlers, deleted_library)
{
	struct place place;
	struct cast *cast;
	struct lt *lt;
	json_t *row;
	char *id;

	place__init(&place);
	cast = start_linked(&place, "exit");
	cast__hold(cast, "ready");
	place__deinit(&place);
	lt = start_on();
	row = lt__await_row(lt, "ps", cast__pid(cast), "state=running");
	id = strdup(str_at(row, "id"));
	lt__watch(lt, id);
	cast__end(cast);
	expect(lt__await_event(lt, id, "exit", 0), "exit.how=exited exit.by=exit");
	check_times(lt__await_event(lt, id, "exit", 0), cast, cast__int(cast, "ended", 0));
	json_decref(row);
	free(id);
	cast__free(cast);
	lt__stop(lt);
}

/* A file system can be unmounted while its library still is covered. */
LT_TEST(handlers, no_mount_is_held)
{
	struct lt *lt = start_on_with("6s");
	int covered = cover_now(lt).covered;
	struct place place;
	struct cast *cast;

	strcpy(place.dir, "/tmp/lt-place-XXXXXX");
	lt_require(mkdtemp(place.dir) && !mount("tmpfs", place.dir, "tmpfs", 0, "size=64m"),
		   "%s: %s", place.dir, strerror(errno));
	place__fill(&place);
	cast = start_linked(&place, "_exit");
	cast__hold(cast, "ready");
	await_covered(lt, covered + 1);
	cast__end(cast);
	cast__free(cast);
	lt_await_for(4 * NSEC_PER_SEC, !umount(place.dir), "umount: %s", strerror(errno));
	place__deinit(&place);
	await_covered(lt, covered);
	lt__stop(lt);
}

/* One file by two names is one library, and told once. */
LT_TEST(handlers, linked_twice)
{
	struct lt *lt = start_on();
	int covered = cover_now(lt).covered;
	struct place places[2];
	struct cast *casts[2];

	for (int i = 0; i < 2; i++)
		place__init(&places[i]);
	lt_require(!unlink(places[1].libc) && !link(places[0].libc, places[1].libc), "link: %s",
		   strerror(errno));
	for (int i = 0; i < 2; i++) {
		casts[i] = start_linked(&places[i], "exit");
		cast__hold(casts[i], "ready");
	}
	await_covered(lt, covered + 1);
	for (int i = 0; i < 2; i++) {
		cast__end(casts[i]);
		check_handlers(lt, casts[i], cast__pid(casts[i]));
		cast__free(casts[i]);
		place__deinit(&places[i]);
	}
	await_covered(lt, covered);
	lt__stop(lt);
}

/* ---- a C library that is not glibc ---- */

static void need_musl(void)
{
	char path[512];

	if (access(cast__path("handlers_musl", path, sizeof(path)), X_OK))
		cr_skip_test("musl-gcc (Debian: musl-tools) was not there when this was built");
}

/* The first program that maps it is there for it to be found. */
static void check_musl(const char *manner, const char *by)
{
	struct lt *lt = start_on();
	int covered = cover_now(lt).covered;
	struct cast *first = cast__start("handlers_musl", "hang", NULL), *cast;
	json_t *exit;

	cast__hold(first, "ready");
	await_covered(lt, covered + 1);
	cast = cast__start("handlers_musl", manner, NULL);
	cast__hold(cast, "ready");
	cast__end(cast);
	exit = await_exit(lt, cast__pid(cast));
	expect(exit, "exit.how=exited exit.status=0 exit.by=%s", by);
	if (!strcmp(by, "exit"))
		check_times(exit, cast, cast__int(cast, "ended", 0));
	cast__terminate(first);
	cast__free(first);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(handlers, musl_exit)
{
	need_musl();
	check_musl("exit", "exit");
}

LT_TEST(handlers, musl_return_from_main)
{
	need_musl();
	check_musl("return", "exit");
}

LT_TEST(handlers, musl__exit)
{
	need_musl();
	check_musl("_exit", "_exit");
}

LT_TEST(handlers, musl_static_is_not_observed)
{
	need_musl();
	check_without("handlers_musl_static", "exit", "null");
}

/* The daemon's log: how often it says that. */
static int times_logged(struct lt *lt, const char *words)
{
	char path[128], line[1024];
	int times = 0;
	FILE *log;

	snprintf(path, sizeof(path), "%s", lt__socket(lt));
	snprintf(strrchr(path, '/'), 16, "/stderr");
	log = fopen(path, "re");
	while (log && fgets(line, sizeof(line), log))
		times += strstr(line, words) != NULL;
	if (log)
		fclose(log);
	return times;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	lt_require(file && fputs(text, file) >= 0 && !fclose(file), "%s: %s", path,
		   strerror(errno));
}

/*
 * A program that wants exit and has none, as stripping leaves it; and no
 * program at all. Each is mapped twice: a word each, and the count of both.
 */
LT_TEST(handlers, library_without_symbols)
{
	char dir[] = "/tmp/lt-fake-XXXXXX", files[2][64], member[512];
	struct cast *casts[4];
	struct cover cover;
	struct cast *other;
	struct lt *lt;

	lt_require(mkdtemp(dir), "mkdtemp: %s", strerror(errno));
	snprintf(files[0], sizeof(files[0]), "%s/libc.so.6", dir);
	snprintf(files[1], sizeof(files[1]), "%s/libc-2.99.so", dir);
	run_or_fail((const char *[]){ "cp", cast__path("handlers", member, sizeof(member)),
				      files[0], NULL });
	write_file(files[1], "no program\n");
	for (int i = 0; i < 4; i++) {
		casts[i] = cast__start("handlers", "map", files[i % 2], NULL);
		cast__hold(casts[i], "ready");
		cast__go(casts[i]);
		cast__hold(casts[i], "mapped");
	}
	lt = start_on();
	cover = cover_now(lt);
	lt_require(cover.covered >= 1 && cover.not_covered == 2, "%d covered, %d not",
		   cover.covered, cover.not_covered);
	other = run_manner("exit");
	check_handlers(lt, other, cast__pid(other));
	cast__free(other);
	for (int i = 0; i < 4; i++)
		cast__free(casts[i]);
	lt_await(!cover_now(lt).not_covered, "they are gone, and still counted");
	lt_require(times_logged(lt, "libc.so.6 of process") == 1 &&
			   times_logged(lt, "libc-2.99.so of process") == 1 &&
			   times_logged(lt, "is not covered: no symbol exit or _Exit") == 2,
		   "not one word each");
	run_or_fail((const char *[]){ "rm", "-rf", dir, NULL });
	lt__stop(lt);
}

/* Programs in a root of their own that are gone as soon as they are looked at. */
LT_TEST(handlers, vanishing_programs)
{
	struct lt *lt = start_on();
	int covered = cover_now(lt).covered;
	struct place place;
	struct cast *cast;
	char path[512];

	place__init(&place);
	for (int i = 0; i < 100; i++)
		lt_require(run_quietly((const char *[]){ "chroot", place.dir,
							 cast__path("handlers", path, sizeof(path)),
							 "no-such-manner", NULL }) == 2,
			   "the cast does not run in its root");
	place__deinit(&place);
	cast = run_manner("exit");
	check_handlers(lt, cast, cast__pid(cast));
	await_covered(lt, covered);
	lt_require(!times_logged(lt, "exit handlers"), "a word about who has gone");
	cast__free(cast);
	lt__stop(lt);
}

/* ---- what it touches ---- */

#define CODE_BYTES 16

/* What stands at the beginning of our own exit(): a probe is a breakpoint there. */
static void read_code(unsigned char code[CODE_BYTES])
{
	const volatile unsigned char *at = dlsym(RTLD_DEFAULT, "exit");

	lt_require(at, "no exit: %s", dlerror());
	for (int i = 0; i < CODE_BYTES; i++)
		code[i] = at[i];
}

/* The same in the file that it came from: another daemon on this host may have put one there. */
static void read_unprobed(unsigned char code[CODE_BYTES])
{
	unsigned char file[CODE_BYTES];
	void *at = dlsym(RTLD_DEFAULT, "exit");
	char line[512], name[256];
	unsigned long begin, end, offset;
	FILE *maps = fopen("/proc/self/maps", "re");
	int fd = -1;

	while (fd < 0 && maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %255s", &begin, &end, &offset, name) ==
			    4 &&
		    (unsigned long)at >= begin && (unsigned long)at < end)
			fd = open(name, O_RDONLY | O_CLOEXEC);
	if (maps)
		fclose(maps);
	lt_require(fd >= 0 && pread(fd, file, CODE_BYTES,
				    (off_t)((unsigned long)at - begin + offset)) == CODE_BYTES,
		   "cannot read the code of exit");
	close(fd);
	read_code(code);
	if (memcmp(code, file, CODE_BYTES))
		cr_skip_test("somebody else has a probe on exit");
}

LT_TEST(handlers, off_by_default_and_nothing_touched)
{
	unsigned char before[CODE_BYTES], during[CODE_BYTES];
	struct cast *cast;
	struct lt *lt;
	char *hook;

	read_unprobed(before);
	lt = lt__start(NULL);
	lt__tail(lt);
	read_code(during);
	lt_require(!memcmp(before, during, CODE_BYTES), "our code has been changed");
	hook = lt__hook(lt, "exit_handlers");
	lt_require(!strcmp(hook, "off: exit_handlers = off"), "%s", hook);
	cast = run_manner("exit");
	expect(await_exit(lt, cast__pid(cast)),
	       "exit.how=exited exit.by=null exit.handlers_ns=null exit_called_ns=null");
	free(hook);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(handlers, probes_go_with_the_daemon)
{
	unsigned char before[CODE_BYTES], during[CODE_BYTES], after[CODE_BYTES];
	struct lt *lt;

	read_unprobed(before);
	lt = start_on();
	read_code(during);
	lt_require(memcmp(before, during, CODE_BYTES), "no probe");
	lt__stop(lt);
	read_code(after);
	lt_require(!memcmp(before, after, CODE_BYTES), "a probe was left");
}
