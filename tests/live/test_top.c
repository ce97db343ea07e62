/*
 * lifetrace top in a terminal (tmux): keys are sent, the screen is read. What
 * must be on it is known from the processes that the test made itself.
 */
#include "run.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* ---- a terminal ---- */

struct terminal {
	char dir[64], socket[96], home[96];
	char *screen; /* as it was last looked at */
};

/* tmux with these words, to its end; what it printed is to be freed. */
static char *mux(const struct terminal *terminal, const char *const *words)
{
	const char *argv[32] = { "/usr/bin/env", "LC_ALL=C.UTF-8", "tmux", "-S", terminal->socket,
				 "-f",		 "/dev/null" };
	struct result result;
	size_t n = 7;

	for (; *words && n < ARRAY_SIZE(argv) - 1; words++)
		argv[n++] = *words;
	run(&result, &(struct plan){ .argv = argv });
	free(result.err);
	return result.out;
}

#define MUX(terminal, ...) free(mux(terminal, ARGV(__VA_ARGS__)))
#define KEYS(terminal, ...) MUX(terminal, "send-keys", __VA_ARGS__)

static void terminal__open(struct terminal *terminal, const char *columns, const char *lines,
			   const char *shell)
{
	char command[2048];

	if (geteuid())
		cr_skip_test("needs root");
	if (!have_program("tmux"))
		cr_skip_test("tmux is not installed");
	*terminal = (struct terminal){ .dir = "/tmp/lt-top-XXXXXX" };
	cr_assert(mkdtemp(terminal->dir), "mkdtemp: %s", strerror(errno));
	snprintf(terminal->socket, sizeof(terminal->socket), "%s/tmux", terminal->dir);
	snprintf(terminal->home, sizeof(terminal->home), "%s/home", terminal->dir);
	mkdir(terminal->home, 0700);
	snprintf(command, sizeof(command),
		 "export HOME='%s'; unset NO_COLOR; %s; echo END $?; exec cat", terminal->home,
		 shell);
	MUX(terminal, "new-session", "-d", "-x", columns, "-y", lines, command);
}

static void terminal__close(struct terminal *terminal)
{
	char path[256];

	MUX(terminal, "kill-server");
	free(terminal->screen);
	snprintf(path, sizeof(path), "rm -rf '%s'", terminal->dir);
	cr_expect(!system(path));
}

static const char *look(struct terminal *terminal)
{
	free(terminal->screen);
	terminal->screen = mux(terminal, ARGV("capture-pane", "-p"));
	return terminal->screen;
}

static bool shows(struct terminal *terminal, const char *text)
{
	return strstr(look(terminal), text);
}

#define await_shown(terminal, text) \
	lt_await(shows(terminal, text), "'%s' is not shown:\n%s", text, (terminal)->screen)
#define await_gone(terminal, text) \
	lt_await(!shows(terminal, text), "'%s' is still shown:\n%s", text, (terminal)->screen)

/* The line of the screen that begins with this pid, marked as dead or not; NULL: none. */
static const char *line_of(struct terminal *terminal, pid_t pid)
{
	static char line[1024];
	const char *text = look(terminal);

	while (*text) {
		size_t len = strcspn(text, "\n");
		const char *p = text;

		while (*p == ' ' || !strncmp(p, "†", 3))
			p += *p == ' ' ? 1 : 3;
		if (atoi(p) == pid) {
			snprintf(line, sizeof(line), "%.*s", (int)len, text);
			return line;
		}
		text += len + (text[len] == '\n');
	}
	return NULL;
}

#define await_line(terminal, pid) \
	lt_await(line_of(terminal, pid), "%d has no line:\n%s", (int)(pid), (terminal)->screen)

/* top of that daemon, with these further words. */
static void top__open(struct terminal *terminal, const struct lt *lt, const char *columns,
		      const char *lines, const char *words)
{
	char shell[1024];

	snprintf(shell, sizeof(shell), "'%s' top --delay 200ms --socket '%s' %s", LIFETRACE,
		 lt__socket(lt), words);
	terminal__open(terminal, columns, lines, shell);
	await_shown(terminal, "processes:");
}

/* By F10: with exit status 0, and the terminal as it was. */
static void top__close(struct terminal *terminal)
{
	KEYS(terminal, "F10");
	await_shown(terminal, "END 0");
	terminal__close(terminal);
}

/* Who runs in the terminal: the child of its shell. */
static pid_t top_pid(const struct terminal *terminal)
{
	char *text = mux(terminal, ARGV("display-message", "-p", "#{pane_pid}")), path[64];
	char children[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", atoi(text), atoi(text));
	free(text);
	file = fopen(path, "re");
	cr_assert(file && fgets(children, sizeof(children), file), "%s: nobody", path);
	fclose(file);
	return atoi(children);
}

/* A child of ours that sleeps and is called so. */
static pid_t sleeper(const char *name)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		for (;;)
			pause();
	}
	return pid;
}

static void filter(struct terminal *terminal, const char *text)
{
	KEYS(terminal, "F4", "C-u");
	KEYS(terminal, "-l", text);
	KEYS(terminal, "Enter");
}

/* ---- what is shown ---- */

LT_TEST(top, zombies_come_first_and_say_why)
{
	struct lt *lt = lt__start("--zombie-age", "500ms", NULL);
	struct cast *cast = cast__start("leak", "3", "0", "leak-of-top", NULL);
	struct terminal terminal;
	char label[64];

	cast__str(cast, "child", 2);
	top__open(&terminal, lt, "120", "30", "");
	await_line(&terminal, cast__int(cast, "child", 0));
	lt_await(strstr(line_of(&terminal, cast__int(cast, "child", 1)) ?: "", "yes"),
		 "not flagged:\n%s", terminal.screen);
	snprintf(label, sizeof(label), "child of %d", cast__pid(cast));
	filter(&terminal, "leak-of-top");
	KEYS(&terminal, "Down", "Enter");
	await_shown(&terminal, label);
	await_shown(&terminal, "never-waits");
	top__close(&terminal);
	cast__free(cast);
	lt__stop(lt);
}

/* Children that are gone before anybody who polls could have met them. */
LT_TEST(top, births_are_of_the_short_lived_too)
{
	struct lt *lt = lt__start(NULL);
	struct terminal terminal;
	char count[32];

	prctl(PR_SET_NAME, "bearer");
	top__open(&terminal, lt, "120", "30", "--view births --text bearer");
	for (int i = 0; i < 300; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	await_line(&terminal, getpid());
	lt_await(sscanf(line_of(&terminal, getpid()) ?: "", "%*d %*s %31s", count) == 1 &&
			 atoi(count) >= 300,
		 "fewer than 300:\n%s", terminal.screen);
	top__close(&terminal);
	lt__stop(lt);
}

LT_TEST(top, views_by_key_and_by_click)
{
	static const struct {
		const char *key, *shown;
	} views[] = { { "1", "ZOMBIE FOR" }, { "2", "" },
		      { "3", "UID" },	     { "4", "FORKS/S" },
		      { "5", "" },	     { "6", "─ " },
		      { "7", "KIND" },	     { "Tab", "ZOMBIE FOR" },
		      { "t", "─ " } };
	struct lt *lt = lt__start(NULL);
	struct cast *cast = cast__start("leak", "1", NULL);
	struct terminal terminal;

	cast__str(cast, "child", 0);
	top__open(&terminal, lt, "120", "30", "");
	for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
		KEYS(&terminal, views[i].key);
		await_shown(&terminal, views[i].shown);
	}
	/* the bar, as xterm tells of a click: button, column, line, from 33 on */
	KEYS(&terminal, "-l", "\x1b[M \x24%");
	await_shown(&terminal, "ZOMBIE FOR");
	top__close(&terminal);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(top, a_row_that_ends_stays_a_moment_and_is_marked)
{
	struct lt *lt = lt__start(NULL);
	pid_t pid = sleeper("mortal");
	struct terminal terminal;

	top__open(&terminal, lt, "100", "24", "--view processes --text mortal --delay 400ms");
	await_line(&terminal, pid);
	pass_time(600 * NSEC_PER_MSEC); /* what was there for less than that is not kept */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	lt_await(strstr(line_of(&terminal, pid) ?: "", "†"), "not marked:\n%s", terminal.screen);
	lt_await(!line_of(&terminal, pid), "still there:\n%s", terminal.screen);
	top__close(&terminal);
	lt__stop(lt);
}

/* Youngest first: each birth moves it one line down. */
LT_TEST(top, the_selection_follows_its_process)
{
	struct lt *lt = lt__start(NULL);
	pid_t younger[40], pid;
	struct terminal terminal;
	char label[32];

	pid = sleeper("chosen-one");
	top__open(&terminal, lt, "120", "12", "--view processes --sort age --reverse");
	filter(&terminal, "chosen-"); /* not among top's own arguments */
	await_line(&terminal, pid);
	KEYS(&terminal, "F", "Enter");
	snprintf(label, sizeof(label), "│%d [chosen-one]", pid);
	await_shown(&terminal, "is         running");
	for (size_t i = 0; i < ARRAY_SIZE(younger); i++)
		younger[i] = sleeper("chosen-late");
	await_line(&terminal, pid); /* it would be far below by now */
	pass_time(500 * NSEC_PER_MSEC);
	lt_require(line_of(&terminal, pid), "it went away:\n%s", terminal.screen);
	snprintf(label, sizeof(label), "│%d ", pid);
	lt_require(shows(&terminal, label), "the pane is another's:\n%s", terminal.screen);
	top__close(&terminal);
	for (size_t i = 0; i < ARRAY_SIZE(younger); i++) {
		kill(younger[i], SIGKILL);
		waitpid(younger[i], NULL, 0);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	lt__stop(lt);
}

LT_TEST(top, hostile_names_move_no_cursor)
{
	struct lt *lt = lt__start("--zombie-age", "500ms", NULL);
	struct cast *cast = cast__start("names", "\x1b[2J\x1b]0;x\a\xe5\xae\xbd\xff", NULL);
	struct terminal terminal;

	cast__hold(cast, "named");
	top__open(&terminal, lt, "200", "24", "--view processes");
	filter(&terminal, "[2J");
	await_shown(&terminal, "\\x1b[2J\\x1b]0;x");
	lt_require(strstr(terminal.screen, "processes:") && strstr(terminal.screen, "F10Quit"),
		   "the screen is torn:\n%s", terminal.screen);
	top__close(&terminal);
	cast__free(cast);
	lt__stop(lt);
}

/* ---- what is done ---- */

LT_TEST(top, a_signal_is_sent_after_a_question)
{
	struct lt *lt = lt__start(NULL);
	pid_t pid = sleeper("targeted");
	struct terminal terminal;
	char question[64];
	int raw;

	top__open(&terminal, lt, "100", "24", "--view processes --text targeted");
	await_line(&terminal, pid);
	snprintf(question, sizeof(question), "Send SIGTERM to %d (targeted)?", pid);
	KEYS(&terminal, "F9", "Enter");
	await_shown(&terminal, question);
	KEYS(&terminal, "n");
	await_shown(&terminal, "nothing was sent");
	lt_require(!waitpid(pid, NULL, WNOHANG), "it was killed without a yes");
	KEYS(&terminal, "F9", "Enter");
	await_shown(&terminal, question);
	KEYS(&terminal, "y");
	lt_await(waitpid(pid, &raw, WNOHANG) == pid, "it lives:\n%s", look(&terminal));
	lt_require(WIFSIGNALED(raw) && WTERMSIG(raw) == SIGTERM, "it ended with %x", raw);
	top__close(&terminal);
	lt__stop(lt);
}

LT_TEST(top, settings_are_kept)
{
	struct lt *lt = lt__start(NULL);
	struct terminal terminal;
	char path[192], text[4096] = "";
	FILE *file;

	top__open(&terminal, lt, "100", "24", "--view processes");
	KEYS(&terminal, "F2");
	await_shown(&terminal, "Setup");
	KEYS(&terminal, "Down", "Right");		  /* colours: auto, then 256 */
	KEYS(&terminal, "Down", "Down", "Down", "Space"); /* the column pid goes */
	await_shown(&terminal, "[ ] pid");
	KEYS(&terminal, "F10");
	await_shown(&terminal, "kept in");
	await_gone(&terminal, "    PID");
	KEYS(&terminal, "q");
	await_shown(&terminal, "END 0");
	snprintf(path, sizeof(path), "%s/.config/lifetrace/toprc", terminal.home);
	file = fopen(path, "re");
	cr_assert(file, "%s: %s", path, strerror(errno));
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	cr_expect(strstr(text, "colours = 256\n"), "%s", text);
	cr_expect(strstr(text, "[processes]\ncolumns = ppid,"), "%s", text);
	terminal__close(&terminal);
	lt__stop(lt);
}

LT_TEST(top, what_is_wrong_in_toprc_is_told_and_left_out)
{
	struct lt *lt = lt__start(NULL);
	struct terminal terminal;
	char shell[1024];

	snprintf(shell, sizeof(shell),
		 "mkdir -p $HOME/.config/lifetrace; printf 'view = births\\ndelay = soon\\n'"
		 " >$HOME/.config/lifetrace/toprc; '%s' top --socket '%s'",
		 LIFETRACE, lt__socket(lt));
	terminal__open(&terminal, "100", "24", shell);
	await_shown(&terminal, "'delay = soon' is left out");
	lt_require(strstr(terminal.screen, "FORKS/S"), "not births:\n%s", terminal.screen);
	top__close(&terminal);
	lt__stop(lt);
}

/* As xterm tells of a press and a release: button, column, line, from 33 on. */
static void click(struct terminal *terminal, int column, int line)
{
	char bytes[32];

	snprintf(bytes, sizeof(bytes), "\x1b[M %c%c\x1b[M#%c%c", 33 + column, 33 + line,
		 33 + column, 33 + line);
	KEYS(terminal, "-l", bytes);
}

/* The line, from 0 on, that has this in it; -1: none. */
static int line_with(struct terminal *terminal, const char *text)
{
	const char *at = strstr(look(terminal), text);
	int line = 0;

	for (const char *p = terminal->screen; at && p < at; p++)
		line += *p == '\n';
	return at ? line : -1;
}

static int line_of_pid(struct terminal *terminal, pid_t pid)
{
	char label[32];

	snprintf(label, sizeof(label), "%d ", pid);
	return line_with(terminal, label);
}

LT_TEST(top, a_click_selects_and_a_second_opens)
{
	struct lt *lt = lt__start(NULL);
	pid_t pids[3];
	struct terminal terminal;
	char label[32];
	int line;

	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		pids[i] = sleeper("clickable");
	top__open(&terminal, lt, "90", "24", "--view processes --text clickable");
	filter(&terminal, "clickable");
	await_line(&terminal, pids[2]);
	line = line_of_pid(&terminal, pids[1]);
	click(&terminal, 10, line);
	KEYS(&terminal, "F9", "Enter");
	snprintf(label, sizeof(label), "to %d (clickable)?", pids[1]);
	await_shown(&terminal, label);
	KEYS(&terminal, "n");
	click(&terminal, 10, line);
	snprintf(label, sizeof(label), "│%d ", pids[1]);
	await_shown(&terminal, label);
	KEYS(&terminal, "Escape");
	await_gone(&terminal, "│");
	/* by pid, upwards, and the other way round */
	click(&terminal, 5, line_with(&terminal, "PPID"));
	click(&terminal, 5, line_with(&terminal, "PPID"));
	lt_await(line_of_pid(&terminal, pids[0]) == line_of_pid(&terminal, pids[2]) + 2,
		 "the oldest is not last:\n%s", terminal.screen);
	top__close(&terminal);
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	lt__stop(lt);
}

/* ---- the terminal ---- */

LT_TEST(top, a_resize_storm)
{
	static const char *const sizes[][2] = { { "200", "60" }, { "20", "5" }, { "80", "24" },
						{ "3", "2" },	 { "1", "1" },	{ "300", "3" },
						{ "10", "90" } };
	struct lt *lt = lt__start(NULL);
	struct terminal terminal;

	top__open(&terminal, lt, "80", "24", "--view processes");
	KEYS(&terminal, "Down", "Enter");
	for (int i = 0; i < 60; i++)
		MUX(&terminal, "resize-window", "-x", sizes[i % ARRAY_SIZE(sizes)][0], "-y",
		    sizes[i % ARRAY_SIZE(sizes)][1]);
	MUX(&terminal, "resize-window", "-x", "90", "-y", "20");
	await_shown(&terminal, "F10Quit");
	await_shown(&terminal, "events lost");
	await_shown(&terminal, "7 Events");
	top__close(&terminal);
	lt__stop(lt);
}

LT_TEST(top, a_closed_terminal_ends_it)
{
	struct lt *lt = lt__start(NULL);
	struct terminal terminal;
	pid_t pid;

	top__open(&terminal, lt, "80", "24", "");
	pid = top_pid(&terminal);
	MUX(&terminal, "kill-pane");
	lt_await(kill(pid, 0) && errno == ESRCH, "%d outlives its terminal", pid);
	terminal__close(&terminal);
	lt__stop(lt);
}

LT_TEST(top, a_crash_leaves_the_terminal_usable)
{
	struct lt *lt = lt__start(NULL);
	struct terminal terminal;
	char shell[1024];

	snprintf(shell, sizeof(shell),
		 "ulimit -c 0; echo before; '%s' top --socket '%s'; echo CRASHED $?; stty -a",
		 LIFETRACE, lt__socket(lt));
	terminal__open(&terminal, "80", "24", shell);
	await_shown(&terminal, "processes:");
	kill(top_pid(&terminal), SIGSEGV);
	await_shown(&terminal, "END 0");
	cr_expect(strstr(terminal.screen, "CRASHED 139"), "%s", terminal.screen);
	cr_expect(strstr(terminal.screen, "before"), "not the screen before:\n%s", terminal.screen);
	cr_expect(strstr(terminal.screen, " icanon") && strstr(terminal.screen, " echo "), "%s",
		  terminal.screen);
	terminal__close(&terminal);
	lt__stop(lt);
}

LT_TEST(top, no_colours_when_they_are_not_wanted)
{
	struct lt *lt = lt__start(NULL);
	struct terminal terminal;
	char shell[512], *screen;

	snprintf(shell, sizeof(shell), "NO_COLOR=1 '%s' top --socket '%s'", LIFETRACE,
		 lt__socket(lt));
	terminal__open(&terminal, "80", "24", shell);
	await_shown(&terminal, "processes:");
	screen = mux(&terminal, ARGV("capture-pane", "-p", "-e"));
	for (const char *p = screen; (p = strstr(p, "\x1b[")); p++)
		lt_require(p[2] != '9' && (p[2] != '3' || p[3] == '9'), "a colour: %.20s", p + 1);
	free(screen);
	top__close(&terminal);
	lt__stop(lt);
}

/* What tmux was told to show: its own words for colours, "\x1b[38;5;203m" or "\x1b[31m". */
static bool has_colour(const char *screen, bool rich)
{
	for (const char *p = screen; (p = strstr(p, "\x1b[")); p++)
		if (p[2] == '3' && (rich ? !strncmp(p + 2, "38;5;", 5) : p[3] < '8'))
			return true;
	return false;
}

LT_TEST(top, as_many_colours_as_there_are)
{
	static const struct {
		const char *environment;
		bool rich, eight;
	} terms[] = { { "TERM=screen-256color", true, false },
		      { "TERM=linux", false, true },
		      { "TERM=xterm", false, true },
		      { "TERM=vt100", false, false },
		      { "NO_COLOR=1 TERM=screen-256color", false, false },
		      { "COLOURS=8 TERM=screen-256color", false, true } };
	struct lt *lt = lt__start(NULL);
	struct terminal terminal;
	char shell[1024], *screen;

	for (size_t i = 0; i < ARRAY_SIZE(terms); i++) {
		snprintf(shell, sizeof(shell),
			 "export %s; mkdir -p $HOME/.config/lifetrace; echo colours = "
			 "${COLOURS:-auto} >$HOME/.config/lifetrace/toprc; '%s' top --socket '%s'",
			 terms[i].environment, LIFETRACE, lt__socket(lt));
		terminal__open(&terminal, "80", "24", shell);
		await_shown(&terminal, "F10");
		screen = mux(&terminal, ARGV("capture-pane", "-p", "-e"));
		lt_require(has_colour(screen, true) == terms[i].rich &&
				   has_colour(screen, false) == terms[i].eight,
			   "%s: %s", terms[i].environment, screen);
		lt_require(strstr(screen, "\x1b[7m") || strstr(screen, "\x1b[1;7m"),
			   "%s: nothing is marked", terms[i].environment);
		free(screen);
		KEYS(&terminal, "q"); /* tmux's F10 is none of these terminals' */
		await_shown(&terminal, "END 0");
		terminal__close(&terminal);
	}
	lt__stop(lt);
}

/* Signs that such a terminal has, and none of UTF-8's bytes. */
LT_TEST(top, a_locale_without_utf8)
{
	struct lt *lt = lt__start("--zombie-age", "500ms", NULL);
	struct cast *cast = cast__start("names", "\xe5\xae\xbd\xe5\xad\x97", NULL);
	struct terminal terminal;
	char shell[1024];

	cast__hold(cast, "named");
	snprintf(shell, sizeof(shell),
		 "export LC_ALL=C; '%s' top --delay 200ms --view tree --socket '%s'", LIFETRACE,
		 lt__socket(lt));
	terminal__open(&terminal, "200", "50", shell);
	await_shown(&terminal, "`- ");
	await_shown(&terminal, "|- ");
	KEYS(&terminal, "3", "Enter");
	await_shown(&terminal, "|");
	for (const char *p = look(&terminal); *p; p++)
		lt_require(!(*p & 0x80), "no ASCII:\n%s", terminal.screen);
	top__close(&terminal);
	cast__free(cast);
	lt__stop(lt);
}

LT_TEST(top, a_terminal_that_cannot_is_refused)
{
	static const char *const terms[] = { "TERM=dumb", "TERM=", "TERM=no-such-terminal" };
	struct terminal terminal;
	char shell[512];

	for (size_t i = 0; i < ARRAY_SIZE(terms); i++) {
		snprintf(shell, sizeof(shell), "%s '%s' top --replay '%s'", terms[i], LIFETRACE,
			 LT_STREAMS "/leaks-newest.ltr.gz");
		terminal__open(&terminal, "120", "24", shell);
		await_shown(&terminal, "END 1");
		cr_expect(strstr(terminal.screen, "--batch"), "%s:\n%s", terms[i], terminal.screen);
		terminal__close(&terminal);
	}
	require_complaint(ARGV(LIFETRACE, "top", "--replay", "/dev/null"), 1, "terminal");
}

/* ---- the daemon ---- */

static struct job start_daemon(const char *socket)
{
	struct job job;

	job__start(&job, &(struct plan){ .argv = ARGV(LIFETRACED, "--socket", socket) });
	return job;
}

static void end_daemon(struct job *job)
{
	kill(job->pid, SIGKILL);
	job__wait(job, LT_DEADLINE_NS);
	job__free(job);
}

LT_TEST(top, a_daemon_that_dies_and_comes_back)
{
	struct terminal terminal;
	char shell[512], socket[64] = "/tmp/lt-top-daemon-XXXXXX";
	struct job job;
	pid_t pid;

	if (geteuid())
		cr_skip_test("needs root");
	cr_assert(mkdtemp(socket));
	strcat(socket, "/sock");
	job = start_daemon(socket);
	lt_await(!access(socket, F_OK), "no daemon");
	snprintf(shell, sizeof(shell), "'%s' top --delay 200ms --view processes --socket '%s'",
		 LIFETRACE, socket);
	terminal__open(&terminal, "100", "24", shell);
	await_shown(&terminal, "processes:");
	end_daemon(&job);
	await_shown(&terminal, "no daemon answers");
	pid = sleeper("born-between");
	job = start_daemon(socket);
	await_gone(&terminal, "no daemon answers");
	filter(&terminal, "born-between");
	await_line(&terminal, pid);
	top__close(&terminal);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	end_daemon(&job);
	unlink(socket);
	*strrchr(socket, '/') = '\0';
	rmdir(socket);
}

/* The only child of PID; 0: none. */
static pid_t child_of(pid_t pid)
{
	char path[64];
	int child = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	file = fopen(path, "re");
	if (file && fscanf(file, "%d", &child) != 1)
		child = 0;
	if (file)
		fclose(file);
	return child;
}

/* One of its own that dies under it: it says so, starts another, and goes on. */
LT_TEST(top, a_private_daemon_that_dies)
{
	const char *status[] = { LIFETRACE, "zombies", "--check", NULL };
	struct terminal terminal;
	pid_t pid, daemon, top;
	struct result result;
	char shell[512];

	if (geteuid())
		cr_skip_test("needs root");
	run(&result, &(struct plan){ .argv = status });
	if (result.code != 3)
		cr_skip_test("a daemon runs on this host");
	result__free(&result);
	snprintf(shell, sizeof(shell), "'%s' top --delay 200ms --view processes", LIFETRACE);
	terminal__open(&terminal, "100", "24", shell);
	await_shown(&terminal, "processes:");
	top = top_pid(&terminal);
	daemon = child_of(top);
	lt_require(daemon, "no private daemon");
	kill(daemon, SIGKILL);
	await_shown(&terminal, "another one is started");
	pid = sleeper("born-after");
	await_gone(&terminal, "another one is started");
	filter(&terminal, "born-after");
	await_line(&terminal, pid);
	lt_require(child_of(top) && child_of(top) != daemon, "no other daemon");
	top__close(&terminal);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* A daemon that hangs makes no key wait. */
LT_TEST(top, a_daemon_that_hangs)
{
	struct lt *lt = lt__start(NULL);
	struct terminal terminal;

	top__open(&terminal, lt, "100", "24", "--view processes");
	kill(lt__daemon_pid(lt), SIGSTOP);
	await_shown(&terminal, "the daemon does not answer");
	KEYS(&terminal, "F1");
	await_shown(&terminal, "what the keys do");
	KEYS(&terminal, "x", "q");
	await_shown(&terminal, "END 0");
	kill(lt__daemon_pid(lt), SIGCONT);
	terminal__close(&terminal);
	lt__stop(lt);
}

/* ---- frames ---- */

LT_TEST(top, frames_for_scripts)
{
	struct lt *lt = lt__start(NULL);
	pid_t pid = sleeper("in-a-frame");
	struct output output;
	int frames = 0;
	char row[32];

	lt__run(lt, &output, "top", "--batch", "-n", "2", "--view", "processes", "--text",
		"in-a-frame", "--delay", "100ms", NULL);
	cr_assert_eq(output.code, 0, "%s", output.err);
	snprintf(row, sizeof(row), "\n%d ", pid);
	for (const char *p = output.out; (p = strstr(p, row)); p++)
		frames++;
	cr_expect_eq(frames, 2, "%s", output.out);
	cr_expect(!strchr(output.out, '\x1b'), "no plain text");
	output__free(&output);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	lt__stop(lt);
}

LT_TEST(top, words_that_are_wrong)
{
	static const char *const wrong[][2] = { { "--view", "nothing" }, { "-n", "0" },
						{ "--delay", "1ms" },	 { "--sort", "pid" },
						{ "--at", "12" },	 { "--limit", "-1" } };

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		require_complaint(ARGV(LIFETRACE, "top", "--batch", wrong[i][0], wrong[i][1]), 2,
				  wrong[i][0][1] == 'n' ? "-n" : "");
	require_complaint(ARGV(LIFETRACE, "top", "--batch", "--replay", "/nonexistent"), 1,
			  "/nonexistent");
}
