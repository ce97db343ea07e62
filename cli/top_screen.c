// SPDX-License-Identifier: GPL-2.0-only
#include "top_screen.h"

#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

/* macros of term.h */
#undef columns
#undef tone

#define ZONES_MAX 256
#define RESTORE_SIZE 256

void wake_transfer(void); /* client.c */

static SCREEN *terminal;
static struct zone zones[ZONES_MAX];
static int zone_count;
static volatile sig_atomic_t size_changed;
static bool plain_ascii; /* the locale has no UTF-8 */

/* ---- when all goes wrong ---- */

/* What a crashed program can still do: bytes that were made before. */
static struct {
	struct termios modes;
	char bytes[RESTORE_SIZE];
	size_t len;
	bool armed;
} restore;

static void add_restore(const char *capability)
{
	const char *bytes = tigetstr((char *)capability);

	if (!bytes || bytes == (char *)-1 || restore.len + strlen(bytes) >= RESTORE_SIZE)
		return;
	memcpy(restore.bytes + restore.len, bytes, strlen(bytes));
	restore.len += strlen(bytes);
}

static void on_crash(int signal_number)
{
	if (restore.armed) {
		ssize_t written = write(STDOUT_FILENO, restore.bytes, restore.len);

		(void)written;
		tcsetattr(STDIN_FILENO, TCSANOW, &restore.modes);
	}
	raise(signal_number); /* its default action again: SA_RESETHAND */
}

static void arm_restore(void)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT };
	static const char no_mouse[] = "\x1b[?1000l\x1b[?1006l";
	struct sigaction action = { .sa_handler = on_crash,
				    .sa_flags = (int)SA_RESETHAND | SA_NODEFER };

	restore.len = 0;
	add_restore("sgr0");
	add_restore("rmkx");
	add_restore("cnorm");
	memcpy(restore.bytes + restore.len, no_mouse, sizeof(no_mouse) - 1);
	restore.len += sizeof(no_mouse) - 1;
	add_restore("rmcup");
	restore.armed = true;
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		sigaction(crashes[i], &action, NULL);
}

/* ---- size ---- */

static void on_winch(int signal_number)
{
	(void)signal_number;
	size_changed = 1;
	wake_transfer();
}

bool screen_resized(void)
{
	struct winsize size;

	if (!size_changed)
		return false;
	size_changed = 0;
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
	clearok(curscr, TRUE);
	return true;
}

bool screen_is_there(void)
{
	struct pollfd pfd = { .fd = STDIN_FILENO };

	return poll(&pfd, 1, 0) <= 0 || !(pfd.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* ---- colours ---- */

static const struct {
	short colour, rich; /* with 8 colours, with 256 */
	attr_t attributes;
} tones[] = {
	[TONE_PLAIN] = { -1, -1, 0 },
	[TONE_DIM] = { -1, 244, A_DIM },
	[TONE_GOOD] = { COLOR_GREEN, 71, 0 },
	[TONE_WARN] = { COLOR_YELLOW, 179, 0 },
	[TONE_BAD] = { COLOR_RED, 203, A_BOLD },
	[TONE_TITLE] = { COLOR_CYAN, 74, A_BOLD },
};

#define TONES (sizeof(tones) / sizeof(tones[0]))

static bool in_colour;
static bool in_256;

void screen_set_colours(enum top_colours colours)
{
	const char *no_color = getenv("NO_COLOR");

	in_colour = has_colors() && colours != COLOURS_NONE && !(no_color && *no_color);
	in_256 = in_colour && COLORS >= 256 && colours != COLOURS_8;
	for (size_t i = 0; in_colour && i < TONES; i++)
		init_pair((short)(i + 1), in_256 ? tones[i].rich : tones[i].colour, -1);
}

static attr_t attributes_of(enum tone tone, bool marked)
{
	attr_t attributes = tones[tone].attributes;

	if (in_colour)
		attributes |= COLOR_PAIR((int)tone + 1);
	if (in_256 && tone == TONE_DIM)
		attributes &= ~A_DIM;
	return marked ? attributes | A_REVERSE : attributes;
}

/* ---- opening and closing ---- */

bool top_can_draw(void)
{
	const char *term = getenv("TERM");

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		complain("top needs a terminal; `lifetrace top --batch` does without");
		return false;
	}
	if (!term || !*term || !strcmp(term, "dumb")) {
		complain("top needs a terminal that can move its cursor, and TERM is '%.32s'; "
			 "`lifetrace top --batch` does without",
			 term ? term : "");
		return false;
	}
	return true;
}

static void set_modes(void)
{
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	start_color();
	use_default_colors();
	mouseinterval(0);
	mousemask(BUTTON1_PRESSED | BUTTON1_CLICKED | BUTTON1_DOUBLE_CLICKED | BUTTON4_PRESSED |
			  BUTTON5_PRESSED,
		  NULL);
}

static bool can_move(void)
{
	const char *bytes = tigetstr("cup");

	return bytes && bytes != (char *)-1;
}

int screen_open(enum top_colours colours)
{
	struct sigaction winch = { .sa_handler = on_winch };

	tcgetattr(STDIN_FILENO, &restore.modes);
	plain_ascii = MB_CUR_MAX == 1;
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal) {
		complain("top knows no terminal '%.32s'; `lifetrace top --batch` does without",
			 getenv("TERM"));
		return -1;
	}
	if (!can_move()) {
		endwin();
		delscreen(terminal);
		complain("top needs a terminal that can move its cursor, and '%.32s' cannot; "
			 "`lifetrace top --batch` does without",
			 getenv("TERM"));
		return -1;
	}
	set_modes();
	screen_set_colours(colours);
	sigaction(SIGWINCH, &winch, NULL);
	arm_restore();
	return 0;
}

void screen_close(void)
{
	restore.armed = false;
	endwin();
	delscreen(terminal);
}

/* ---- drawing ---- */

void screen_begin(void)
{
	zone_count = 0;
	erase();
	curs_set(0);
}

void screen_end(void)
{
	refresh();
}

void screen_cursor(int y, int x)
{
	move(y, x);
	curs_set(1);
}

void screen_zone(int y, int x, int columns, enum zone_what what, int arg)
{
	if (zone_count < ZONES_MAX)
		zones[zone_count++] = (struct zone){ y, x, columns, what, arg };
}

/* Where the locale has no UTF-8, its sequences are each a sign that is like it. */
static wchar_t next_sign(const char **text)
{
	static const struct {
		const char *utf8;
		char sign;
	} likes[] = { { "│", '|' }, { "├", '|' }, { "└", '`' }, { "─", '-' }, { "…", '.' },
		      { "▁", '_' }, { "▂", '_' }, { "▃", '.' }, { "▄", '-' }, { "▅", '=' },
		      { "▆", '+' }, { "▇", '*' }, { "█", '#' }, { "†", 'x' } };
	const char *p = *text;
	wchar_t wide;
	int len;

	if (!plain_ascii) {
		len = mbtowc(&wide, p, MB_CUR_MAX);
		*text += len > 0 ? len : 1;
		return len > 0 ? wide : L'?';
	}
	*text += 1;
	if (!((unsigned char)*p & 0x80))
		return *p;
	while (((unsigned char)**text & 0xc0) == 0x80)
		++*text;
	for (size_t i = 0; i < sizeof(likes) / sizeof(likes[0]); i++)
		if (!strncmp(p, likes[i].utf8, strlen(likes[i].utf8)))
			return likes[i].sign;
	return L'?';
}

#define LINE_MAX 1024

void screen_put(int y, int x, int columns, enum tone tone, bool marked, const char *text, int skip)
{
	wchar_t line[LINE_MAX];
	int used = 0, at = -skip;
	size_t count = 0;

	if (y < 0 || y >= LINES || x >= COLS || columns <= 0)
		return;
	if (columns > COLS - x)
		columns = COLS - x;
	while (*text && count < LINE_MAX - 1) {
		wchar_t sign = next_sign(&text);
		int width = wcwidth(sign);

		if (width < 0) {
			sign = L'?';
			width = 1;
		}
		at += width;
		if (at - width < 0)
			continue;
		if (used + width > columns)
			break;
		line[count++] = sign;
		used += width;
	}
	while (used < columns && count < LINE_MAX - 1) {
		line[count++] = L' ';
		used++;
	}
	line[count] = L'\0';
	attrset(attributes_of(tone, marked));
	mvaddnwstr(y, x, line, (int)count);
	attrset(A_NORMAL);
}

/* ---- keys and clicks ---- */

int screen_key(void)
{
	wint_t wide;
	int kind = get_wch(&wide);

	if (kind == ERR)
		return ERR;
	return kind == KEY_CODE_YES ? (int)wide : SCREEN_CHARACTER(wide);
}

struct zone screen_click(bool *twice)
{
	MEVENT event;

	*twice = false;
	if (getmouse(&event) != OK)
		return (struct zone){ .what = ZONE_NONE };
	if (event.bstate & (BUTTON4_PRESSED | BUTTON5_PRESSED))
		return (struct zone){ .what = event.bstate & BUTTON4_PRESSED ? ZONE_UP :
									       ZONE_DOWN };
	*twice = event.bstate & BUTTON1_DOUBLE_CLICKED;
	for (int i = zone_count; i-- > 0;) { /* the one on top was drawn last */
		const struct zone *zone = &zones[i];

		if (event.y == zone->y && event.x >= zone->x && event.x < zone->x + zone->columns)
			return *zone;
	}
	return (struct zone){ .what = ZONE_NONE };
}
