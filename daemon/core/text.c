// SPDX-License-Identifier: GPL-2.0-only
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define DURATION_MAX_NS (100ULL * 365 * 86400 * NSEC_PER_SEC)

/* Longest first, so that formatting takes the biggest that fits. */
static const struct unit {
	const char *name;
	uint64_t ns;
} units[] = {
	{ "d", 86400 * NSEC_PER_SEC },
	{ "h", 3600 * NSEC_PER_SEC },
	{ "m", 60 * NSEC_PER_SEC },
	{ "s", NSEC_PER_SEC },
	{ "ms", NSEC_PER_MSEC },
	{ "us", 1000 },
	{ "ns", 1 },
};

/* Reads digits; returns their end, or NULL if there are none or too many. */
static const char *parse_digits(const char *text, uint64_t max, uint64_t *number)
{
	const char *p = text;

	for (*number = 0; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (*number > (max - digit) / 10)
			return NULL;
		*number = *number * 10 + digit;
	}
	return p == text ? NULL : p;
}

static const struct unit *find_unit(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strlen(units[i].name) == len && !strncmp(units[i].name, text, len))
			return &units[i];
	return NULL;
}

int text_parse_duration(const char *text, uint64_t *ns)
{
	uint64_t sum = 0, number;
	const struct unit *unit;
	size_t len;

	if (!strcmp(text, "0")) {
		*ns = 0;
		return 0;
	}
	if (!*text)
		return -EINVAL;
	while (*text) {
		text = parse_digits(text, DURATION_MAX_NS, &number);
		if (!text)
			return -EINVAL;
		len = strspn(text, "dhmsun");
		unit = find_unit(text, len);
		if (!unit || number > (DURATION_MAX_NS - sum) / unit->ns)
			return -EINVAL;
		sum += number * unit->ns;
		text += len;
	}
	*ns = sum;
	return 0;
}

int text_parse_size(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "kMG";
	uint64_t number, scale = 1;
	const char *suffix;

	text = parse_digits(text, UINT64_MAX >> 30, &number);
	if (!text)
		return -EINVAL;
	if (*text) {
		suffix = strchr(suffixes, *text == 'K' ? 'k' : *text);
		if (!suffix || text[1])
			return -EINVAL;
		scale = 1024ULL << (10 * (suffix - suffixes));
	}
	*bytes = number * scale;
	return 0;
}

int text_parse_number(const char *text, uint64_t max, uint64_t *number)
{
	const char *end = parse_digits(text, max, number);

	return end && !*end ? 0 : -EINVAL;
}

int text_parse_id(const char *text, uint64_t *pid, uint64_t *start_ns)
{
	const char *end = parse_digits(text, INT32_MAX, pid);

	if (!end || *end != '-' || !*pid)
		return -EINVAL;
	return text_parse_number(end + 1, UINT64_MAX, start_ns);
}

void text_format_duration(uint64_t ns, char *buf, size_t size)
{
	size_t used = 0;

	snprintf(buf, size, "0");
	for (size_t i = 0; i < ARRAY_SIZE(units) && used < size; i++) {
		uint64_t n = ns / units[i].ns;

		if (!n)
			continue;
		used += (size_t)snprintf(buf + used, size - used, "%" PRIu64 "%s", n,
					 units[i].name);
		ns %= units[i].ns;
	}
}

void text_format_age(uint64_t ns, char buf[TEXT_AGE_SIZE])
{
	unsigned s = (unsigned)(ns / NSEC_PER_SEC % 86400);
	unsigned long long days = ns / NSEC_PER_SEC / 86400;

	if (days)
		snprintf(buf, TEXT_AGE_SIZE, "%llud%02uh", days % 1000000, s / 3600);
	else if (s >= 3600)
		snprintf(buf, TEXT_AGE_SIZE, "%uh%02um", s / 3600, s / 60 % 60);
	else if (s >= 60)
		snprintf(buf, TEXT_AGE_SIZE, "%um%02us", s / 60, s % 60);
	else if (s)
		snprintf(buf, TEXT_AGE_SIZE, "%us", s);
	else
		snprintf(buf, TEXT_AGE_SIZE, "%ums", (unsigned)(ns / NSEC_PER_MSEC));
}

/* Days since 1970 to a date: eras of 400 years that begin on 1 March, so that leap days come last. */
void text_format_time(uint64_t realtime_ns, char buf[TEXT_TIME_SIZE])
{
	uint64_t seconds = realtime_ns / NSEC_PER_SEC, days = seconds / 86400 + 719468;
	uint64_t of_day = seconds % 86400, of_era = days % 146097;
	uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	uint64_t march = (5 * of_year + 2) / 153, month = march < 10 ? march + 3 : march - 9;

	year += days / 146097 * 400 + (month <= 2);
	snprintf(buf, TEXT_TIME_SIZE,
		 "%04" PRIu64 "-%02" PRIu64 "-%02" PRIu64 "T%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64
		 ".%03" PRIu64 "Z",
		 year, month, of_year - (153 * march + 2) / 5 + 1, of_day / 3600, of_day / 60 % 60,
		 of_day % 60, (uint64_t)(realtime_ns % NSEC_PER_SEC / NSEC_PER_MSEC));
}

void text_format_size(uint64_t bytes, char *buf, size_t size)
{
	static const char *const suffixes[] = { "", "k", "M", "G" };
	size_t i = 0;

	while (bytes && bytes % 1024 == 0 && i + 1 < ARRAY_SIZE(suffixes)) {
		bytes /= 1024;
		i++;
	}
	snprintf(buf, size, "%" PRIu64 "%s", bytes, suffixes[i]);
}

void text_signal(int signal, char *buf, size_t size)
{
	const char *name = sigabbrev_np(signal);

	if (name)
		snprintf(buf, size, "SIG%s", name);
	else if (signal >= SIGRTMIN && signal <= SIGRTMAX)
		snprintf(buf, size, "SIGRTMIN+%d", signal - SIGRTMIN);
	else
		snprintf(buf, size, "SIG%d", signal);
}

struct bit_name {
	uint64_t bit;
	const char *name;
};

/* include/uapi/linux/sched.h */
static const struct bit_name clone_flags[] = {
	{ 0x00000100, "CLONE_VM" },
	{ 0x00000200, "CLONE_FS" },
	{ 0x00000400, "CLONE_FILES" },
	{ 0x00000800, "CLONE_SIGHAND" },
	{ 0x00001000, "CLONE_PIDFD" },
	{ 0x00002000, "CLONE_PTRACE" },
	{ 0x00004000, "CLONE_VFORK" },
	{ 0x00008000, "CLONE_PARENT" },
	{ 0x00010000, "CLONE_THREAD" },
	{ 0x00020000, "CLONE_NEWNS" },
	{ 0x00040000, "CLONE_SYSVSEM" },
	{ 0x00080000, "CLONE_SETTLS" },
	{ 0x00100000, "CLONE_PARENT_SETTID" },
	{ 0x00200000, "CLONE_CHILD_CLEARTID" },
	{ 0x00400000, "CLONE_DETACHED" },
	{ 0x00800000, "CLONE_UNTRACED" },
	{ 0x01000000, "CLONE_CHILD_SETTID" },
	{ 0x02000000, "CLONE_NEWCGROUP" },
	{ 0x04000000, "CLONE_NEWUTS" },
	{ 0x08000000, "CLONE_NEWIPC" },
	{ 0x10000000, "CLONE_NEWUSER" },
	{ 0x20000000, "CLONE_NEWPID" },
	{ 0x40000000, "CLONE_NEWNET" },
	{ 0x80000000, "CLONE_IO" },
	{ 0x100000000, "CLONE_CLEAR_SIGHAND" },
	{ 0x200000000, "CLONE_INTO_CGROUP" },
};

/* include/uapi/linux/wait.h */
static const struct bit_name wait_options[] = {
	{ 0x00000001, "WNOHANG" },    { 0x00000002, "WUNTRACED" }, { 0x00000004, "WEXITED" },
	{ 0x00000008, "WCONTINUED" }, { 0x01000000, "WNOWAIT" },   { 0x20000000, "__WNOTHREAD" },
	{ 0x40000000, "__WALL" },     { 0x80000000, "__WCLONE" },
};

static json_t *bit_names(const struct bit_name *names, size_t count, uint64_t bits)
{
	json_t *array = json_array();
	char rest[24];

	for (size_t i = 0; i < count; i++) {
		if (!(bits & names[i].bit))
			continue;
		json_array_append_new(array, json_string(names[i].name));
		bits &= ~names[i].bit;
	}
	if (bits) {
		snprintf(rest, sizeof(rest), "0x%" PRIx64, bits);
		json_array_append_new(array, json_string(rest));
	}
	return array;
}

json_t *text_clone_flags(uint64_t flags)
{
	return bit_names(clone_flags, ARRAY_SIZE(clone_flags), flags);
}

json_t *text_wait_options(uint32_t options)
{
	return bit_names(wait_options, ARRAY_SIZE(wait_options), options);
}

/*
 * Length of the well-formed UTF-8 sequence at p, 0 if there is none (Unicode
 * 15, table 3-7). Its code point goes to *cp.
 */
static size_t utf8_len(const unsigned char *p, size_t left, uint32_t *cp)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t min;
	} forms[] = { { 0x80, 0x00, 0 },
		      { 0xe0, 0xc0, 0x80 },
		      { 0xf0, 0xe0, 0x800 },
		      { 0xf8, 0xf0, 0x10000 } };

	for (size_t n = 0; n < ARRAY_SIZE(forms); n++) {
		if ((p[0] & forms[n].mask) != forms[n].lead)
			continue;
		if (left < n + 1)
			return 0;
		*cp = p[0] & (uint8_t)~forms[n].mask;
		for (size_t i = 1; i <= n; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return 0;
			*cp = *cp << 6 | (p[i] & 0x3f);
		}
		if (*cp < forms[n].min || *cp > 0x10ffff || (*cp >= 0xd800 && *cp <= 0xdfff))
			return 0;
		return n + 1;
	}
	return 0;
}

json_t *text_json(const char *bytes, size_t len)
{
	static const char replacement[] = "\xef\xbf\xbd";
	char stack[1024], *buf = stack;
	size_t used = 0, n;
	uint32_t cp;
	json_t *string;

	if (!len)
		return json_string("");
	if (len * 3 > sizeof(stack))
		buf = malloc(len * 3);
	if (!buf)
		return json_null();
	for (size_t i = 0; i < len; i += n ? n : 1) {
		n = utf8_len((const unsigned char *)bytes + i, len - i, &cp);
		if (n)
			memcpy(buf + used, bytes + i, n);
		else
			memcpy(buf + used, replacement, 3);
		used += n ? n : 3;
	}
	string = json_stringn_nocheck(buf, used);
	if (buf != stack)
		free(buf);
	return string;
}

/* Controls, and the format characters that move or hide text. */
static bool must_escape(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) || (cp >= 0x200b && cp <= 0x200f) ||
	       (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff ||
	       cp == 0x061c || (cp >= 0xe0000 && cp <= 0xe007f);
}

static void escape_one(uint32_t cp, char out[12])
{
	switch (cp) {
	case '\n':
		snprintf(out, 12, "\\n");
		break;
	case '\t':
		snprintf(out, 12, "\\t");
		break;
	case '\r':
		snprintf(out, 12, "\\r");
		break;
	default:
		snprintf(out, 12, cp < 0x100 ? "\\x%02x" : "\\u%04x", cp);
	}
}

char *text_escape(const char *utf8, char *buf, size_t size)
{
	const unsigned char *p = (const unsigned char *)utf8;
	size_t left = strlen(utf8), used = 0, n;
	char out[12];
	uint32_t cp;

	for (; left; p += n, left -= n) {
		n = utf8_len(p, left, &cp);
		if (!n) {
			cp = *p;
			n = 1;
			snprintf(out, sizeof(out), "\\x%02x", cp);
		} else if (must_escape(cp)) {
			escape_one(cp, out);
		} else {
			memcpy(out, p, n);
			out[n] = '\0';
		}
		if (used + strlen(out) >= size)
			break;
		memcpy(buf + used, out, strlen(out));
		used += strlen(out);
	}
	buf[used] = '\0';
	return buf;
}
