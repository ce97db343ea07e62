// SPDX-License-Identifier: GPL-2.0-only
/* Words, cgroup paths, filters, settings, recordings. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/life.h"
#include "core/text.h"
#include "core/view.h"
#include "recording.h"
#include "settings.h"

#define EACH(all) (size_t i = 0; i < sizeof(all) / sizeof((all)[0]); i++)

Test(text, durations)
{
	static const struct {
		const char *text;
		int err;
		uint64_t ns;
	} all[] = {
		{ "0", 0, 0 },
		{ "250ms", 0, 250 * NSEC_PER_MSEC },
		{ "10s", 0, 10 * NSEC_PER_SEC },
		{ "1m30s", 0, 90 * NSEC_PER_SEC },
		{ "2h", 0, 7200 * NSEC_PER_SEC },
		{ "1d", 0, 86400 * NSEC_PER_SEC },
		{ "", -EINVAL, 0 },
		{ "10", -EINVAL, 0 },
		{ "-1s", -EINVAL, 0 },
		{ "1.5s", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },
		{ "1x", -EINVAL, 0 },
		{ " 1s", -EINVAL, 0 },
		{ "1s ", -EINVAL, 0 },
		{ "99999999999999999999s", -EINVAL, 0 },
		{ "100000d", -EINVAL, 0 },
	};

	for
		EACH(all)
		{
			uint64_t ns = 0;

			cr_expect_eq(text_parse_duration(all[i].text, &ns), all[i].err, "'%s'",
				     all[i].text);
			if (!all[i].err)
				cr_expect_eq(ns, all[i].ns, "'%s'", all[i].text);
		}
}

Test(text, durations_print_as_they_are_read)
{
	static const uint64_t all[] = {
		0, 1, 999, 250000000, 90000000000, 86400000000000, 123456789
	};

	for
		EACH(all)
		{
			char buf[64];
			uint64_t ns;

			text_format_duration(all[i], buf, sizeof(buf));
			cr_expect_eq(text_parse_duration(buf, &ns), 0, "%s", buf);
			cr_expect_eq(ns, all[i], "%s", buf);
		}
}

Test(text, ages)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} all[] = {
		{ 0, "0ms" },
		{ 850 * NSEC_PER_MSEC, "850ms" },
		{ 12 * NSEC_PER_SEC, "12s" },
		{ 192 * NSEC_PER_SEC, "3m12s" },
		{ 18120 * NSEC_PER_SEC, "5h02m" },
		{ 792000 * NSEC_PER_SEC, "9d04h" },
	};

	for
		EACH(all)
		{
			char buf[TEXT_AGE_SIZE];

			text_format_age(all[i].ns, buf);
			cr_expect_str_eq(buf, all[i].text);
		}
}

Test(text, sizes)
{
	static const struct {
		const char *text;
		int err;
		uint64_t bytes;
	} all[] = {
		{ "4096", 0, 4096 },  { "64k", 0, 65536 },  { "8M", 0, 8 << 20 },
		{ "1G", 0, 1 << 30 }, { "", -EINVAL, 0 },   { "8MB", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 }, { "1T", -EINVAL, 0 }, { "99999999999999999999", -EINVAL, 0 },
	};

	for
		EACH(all)
		{
			uint64_t bytes = 0;

			cr_expect_eq(text_parse_size(all[i].text, &bytes), all[i].err, "'%s'",
				     all[i].text);
			if (!all[i].err)
				cr_expect_eq(bytes, all[i].bytes, "'%s'", all[i].text);
		}
}

Test(text, bytes_that_are_no_utf8_are_replaced)
{
#define BAD "\xef\xbf\xbd"
	static const struct {
		const char *bytes, *json;
	} all[] = {
		{ "plain", "plain" },
		{ "\xc3\xa4", "\xc3\xa4" },
		{ "\xff", BAD },
		{ "a\xc3", "a" BAD },
		{ "\xc0\xaf", BAD BAD },		 /* overlong */
		{ "\xed\xa0\x80", BAD BAD BAD },	 /* a surrogate */
		{ "\xf4\x90\x80\x80", BAD BAD BAD BAD }, /* beyond U+10FFFF */
		{ "\xe2\x82", BAD BAD },
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
	};

	for
		EACH(all)
		{
			json_t *json = text_json(all[i].bytes, strlen(all[i].bytes));

			cr_expect_str_eq(json_string_value(json), all[i].json);
			json_decref(json);
		}
}

Test(text, nothing_moves_the_cursor)
{
	static const struct {
		const char *utf8, *escaped;
	} all[] = {
		{ "a\nb", "a\\nb" },
		{ "\x1b[31m", "\\x1b[31m" },
		{ "a\\x2db.service", "a\\x2db.service" },
		{ "\x7f", "\\x7f" },
		{ "\xc2\x9b", "\\x9b" }, /* CSI in C1 */
		{ "\xe2\x80\xae"
		  "x",
		  "\\u202ex" }, /* right-to-left override */
		{ "\xe2\x80\x8b", "\\u200b" },
		{ "\xc3\xa4\xe2\x82\xac", "\xc3\xa4\xe2\x82\xac" },
	};
	char buf[64], tiny[4];

	for
		EACH(all)
	cr_expect_str_eq(text_escape(all[i].utf8, buf, sizeof(buf)), all[i].escaped);
	cr_expect_str_eq(text_escape("abcdef", tiny, sizeof(tiny)), "abc");
	cr_expect_str_eq(text_escape("a\n\n", tiny, sizeof(tiny)), "a\\n");
}

Test(cgroup, units_and_containers)
{
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	static const struct {
		const char *path, *unit, *container;
	} all[] = {
		{ "/", NULL, NULL },
		{ "/system.slice/nginx.service", "nginx.service", NULL },
		{ "/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service",
		  NULL },
		{ "/user.slice/user-1000.slice/session-3.scope", "session-3.scope", NULL },
		{ "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.service",
		  "app-x.service", NULL },
		{ "/init.scope", "init.scope", NULL },
		{ "/docker/" ID, NULL, ID },
		{ "/system.slice/docker-" ID ".scope", "docker-" ID ".scope", ID },
		{ "/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID ".scope",
		  "cri-containerd-" ID ".scope", ID },
		{ "/kubepods/burstable/pod-1/" ID, NULL, ID },
		{ "/machine.slice/libpod-" ID ".scope/container", "libpod-" ID ".scope", ID },
		{ "/crio-" ID ".scope", "crio-" ID ".scope", ID },
		{ "/x" ID, NULL, NULL }, /* part of a longer word */
		{ "/" ID "0", NULL, NULL },
		{ "/.service", NULL, NULL },
		{ "/a.service/b/c.service/d", "c.service", NULL },
		{ "relative.service", "relative.service", NULL },
		{ "//", NULL, NULL },
		{ "", NULL, NULL },
	};

	for
		EACH(all)
		{
			char *unit = cgroup_unit_of(all[i].path),
			     container[CONTAINER_ID_LEN + 1] = "";
			bool has = cgroup_container_of(all[i].path, container);

			cr_expect_str_eq(unit ? unit : "(none)",
					 all[i].unit ? all[i].unit : "(none)", "%s", all[i].path);
			cr_expect_eq(has, all[i].container != NULL, "%s", all[i].path);
			if (has && all[i].container)
				cr_expect_str_eq(container, all[i].container);
			free(unit);
		}
}

Test(filter, values)
{
	static const struct {
		enum view_kind view;
		const char *name, *value;
		int err;
	} all[] = {
		{ VIEW_ZOMBIES, "pid", "12", 0 },
		{ VIEW_ZOMBIES, "pid", "0", -EINVAL },
		{ VIEW_ZOMBIES, "pid", "-1", -EINVAL },
		{ VIEW_ZOMBIES, "pid", "x", -EINVAL },
		{ VIEW_ZOMBIES, "pid", "99999999999", -EINVAL },
		{ VIEW_ZOMBIES, "pid", NULL, -EINVAL },
		{ VIEW_ZOMBIES, "older", "1m", 0 },
		{ VIEW_ZOMBIES, "older", "1", -EINVAL },
		{ VIEW_EVENTS, "older", "1m", -ENOENT },
		{ VIEW_EVENTS, "kind", "fork,leak-open", 0 },
		{ VIEW_EVENTS, "kind", "fork,nonsense", -EINVAL },
		{ VIEW_EVENTS, "kind", "", -EINVAL },
		{ VIEW_PROCESSES, "kernel", NULL, 0 },
		{ VIEW_PROCESSES, "kernel", "maybe", -EINVAL },
		{ VIEW_PROCESSES, "nonsense", "1", -ENOENT },
	};

	for
		EACH(all)
		{
			struct filter filter = { 0 };

			cr_expect_eq(filter_set(&filter, all[i].view, all[i].name, all[i].value),
				     all[i].err, "%s=%s", all[i].name,
				     all[i].value ? all[i].value : "(none)");
		}
}

/* ---- settings ---- */

static void write_file(const char *path, const void *bytes, size_t len)
{
	FILE *file = fopen(path, "w");

	cr_assert_eq(fwrite(bytes, 1, len, file), len);
	fclose(file);
}

static char *temporary(char path[64])
{
	int fd;

	strcpy(path, "/tmp/lt-unit-XXXXXX");
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	close(fd);
	return path;
}

Test(settings, a_bad_file_is_told_by_line)
{
	static const struct {
		const char *text, *words;
	} all[] = {
		{ "zombie_age = 1s\n", NULL },
		{ "# comment\n[lifetraced]\nleak-count = 3\n", NULL },
		{ "zombie_age = 1s\nzombie_agee = 2s\n", ":2: unknown setting 'zombie_agee'" },
		{ "zombie_age = soon\n", ":1: zombie_age: 'soon' is not a duration" },
		{ "\n\nleak_count = 0\n", ":3: leak_count: '0'" },
		{ "[other]\nzombie_age = 1s\n", "unknown section 'other'" },
		{ "zombie_age\n", ":1: " },
		{ "ring_size = 5000\n", "not a power of two" },
		{ "syscall_hooks = always\n", NULL },
		{ "syscall_hooks = Always\n",
		  ":1: syscall_hooks: 'Always' is not auto, always or off" },
	};

	for
		EACH(all)
		{
			char path[64], error[SETTINGS_ERROR_SIZE] = "";
			struct settings settings;
			int err;

			settings_defaults(&settings);
			write_file(temporary(path), all[i].text, strlen(all[i].text));
			err = settings_load(&settings, path, error);
			cr_expect_eq(!err, !all[i].words, "%s: %s", all[i].text, error);
			if (all[i].words)
				cr_expect(strstr(error, all[i].words) && strstr(error, path),
					  "'%s' lacks '%s'", error, all[i].words);
			unlink(path);
		}
}

Test(settings, what_is_printed_loads_again)
{
	char path[64], error[SETTINGS_ERROR_SIZE] = "";
	struct settings settings, again;
	FILE *file;

	settings_defaults(&settings);
	cr_assert_eq(settings_set(&settings, "zombie-age", "1m30s", error), 0);
	cr_assert_eq(settings_set(&settings, "ignore_comm", "a*,b", error), 0);
	cr_assert_eq(settings_set(&settings, "syscall_hooks", "off", error), 0);
	file = fopen(temporary(path), "w");
	settings_print(&settings, file);
	fclose(file);
	settings_defaults(&again);
	cr_assert_eq(settings_load(&again, path, error), 0, "%s", error);
	cr_assert_eq(again.zombie_age_ns, 90 * NSEC_PER_SEC);
	cr_assert_str_eq(again.ignore_comm, "a*,b");
	cr_assert_eq(again.syscall_hooks, SYSCALL_HOOKS_OFF);
	cr_assert_null(settings_reload(&settings, &again));
	unlink(path);
}

Test(settings, a_reload_takes_what_can_change)
{
	char error[SETTINGS_ERROR_SIZE] = "";
	struct settings settings, fresh;

	settings_defaults(&settings);
	settings_defaults(&fresh);
	cr_assert_null(settings_reload(&settings, &fresh));
	settings_set(&fresh, "zombie_age", "3s", error);
	settings_set(&fresh, "ring_size", "64k", error);
	cr_assert_str_eq(settings_reload(&settings, &fresh), "ring_size");
	cr_assert_eq(settings.zombie_age_ns, 3 * NSEC_PER_SEC);
	cr_assert_eq(settings.ring_bytes, 16 << 20);
}

/* ---- recordings ---- */

static int count_record(void *user, const void *record, size_t len)
{
	(void)record;
	(void)len;
	++*(int *)user;
	return 0;
}

static size_t build_recording(unsigned char *bytes)
{
	struct recording_header header = recording_header();
	struct lt_hdr tick = { .size = sizeof(tick), .kind = LT_TICK, .time_ns = 5 };
	size_t used = sizeof(header);

	memcpy(bytes, &header, sizeof(header));
	for (int i = 0; i < 3; i++, used += sizeof(tick))
		memcpy(bytes + used, &tick, sizeof(tick));
	return used;
}

Test(recording, cut_off_anywhere)
{
	unsigned char bytes[128];
	size_t whole = build_recording(bytes), head = sizeof(struct recording_header);
	char path[64], error[RECORDING_ERROR_SIZE];

	temporary(path);
	for (size_t len = 0; len <= whole; len++) {
		int count = 0;
		enum recording_end end;

		write_file(path, bytes, len);
		end = recording_read(path, count_record, &count, error);
		if (len < head)
			cr_expect_eq(end, RECORDING_REFUSED, "%zu bytes", len);
		else if ((len - head) % sizeof(struct lt_hdr))
			cr_expect_eq(end, RECORDING_CUT, "%zu bytes", len);
		else
			cr_expect_eq(end, RECORDING_WHOLE, "%zu bytes", len);
		cr_expect_eq(count, len < head ? 0 : (int)((len - head) / sizeof(struct lt_hdr)));
		cr_expect_eq(*error != '\0', end != RECORDING_WHOLE);
	}
	unlink(path);
}

Test(recording, of_another_kind_is_refused)
{
	static const struct {
		size_t at;
		const char *words;
	} all[] = { { 0, "not a recording" }, { 8, "version" }, { 12, "byte order" } };
	unsigned char bytes[128];
	char path[64], error[RECORDING_ERROR_SIZE];

	temporary(path);
	for
		EACH(all)
		{
			size_t len = build_recording(bytes);
			int count = 0;

			bytes[all[i].at] ^= 0x40;
			write_file(path, bytes, len);
			cr_expect_eq(recording_read(path, count_record, &count, error),
				     RECORDING_REFUSED);
			cr_expect(strstr(error, all[i].words), "%s", error);
			cr_expect_eq(count, 0);
		}
	unlink(path);
	cr_expect_eq(recording_read("/nonexistent", count_record, NULL, error), RECORDING_REFUSED);
}

Test(recording, garbage_is_named_by_its_offset)
{
	unsigned char bytes[128];
	size_t len = build_recording(bytes);
	char path[64], error[RECORDING_ERROR_SIZE];
	int count = 0;

	memset(bytes + sizeof(struct recording_header) + sizeof(struct lt_hdr), 0xff, 8);
	write_file(temporary(path), bytes, len);
	cr_assert_eq(recording_read(path, count_record, &count, error), RECORDING_GARBAGE);
	cr_assert(strstr(error, "offset 32"), "%s", error);
	cr_assert_eq(count, 1);
	unlink(path);
}
