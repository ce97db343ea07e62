// SPDX-License-Identifier: GPL-2.0-only
#include "pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "clock.h"
#include "event.h"

#define DIR_MAX 256
#define GENERATIONS_MAX 8
#define PROGRAMS_MAX 64

#define GATE_MAP ".data.gate"
#define RING_MAP "lt_ring"

/* What a generation is; the value of the map `layout`. */
struct layout {
	uint32_t pins_version;
	uint32_t wire_version;
	uint32_t checksum; /* of programs and settings */
	uint32_t reserved;
};

struct generation {
	uint32_t number;
	struct layout layout;
};

struct pins {
	char dir[DIR_MAX];
	int lock; /* the directory, locked */
	struct generation own;
	struct generation former[GENERATIONS_MAX];
	int former_count;
	enum pins_way way;
	int err; /* of the first pin that failed */
	struct {
		char name[32];
		int fd, link_fd;  /* held, so that they stay if somebody removes the pins */
	} programs[PROGRAMS_MAX]; /* adopted */
	int program_count;
};

/* ---- paths ---- */

#define PIN_PATH_MAX (DIR_MAX + 96)

/* bpffs has no names with dots. */
static void pin_path(char path[PIN_PATH_MAX], const struct pins *pins, uint32_t generation,
		     const char *kind, const char *name)
{
	int at = snprintf(path, PIN_PATH_MAX, "%s/%u/", pins->dir, generation);

	snprintf(path + at, (size_t)(PIN_PATH_MAX - at), "%s%s", kind, name);
	for (char *p = path + at; *p; p++)
		*p = *p == '.' ? '_' : *p;
}

static int get_pin(const struct pins *pins, uint32_t generation, const char *kind, const char *name)
{
	char path[PIN_PATH_MAX];

	pin_path(path, pins, generation, kind, name);
	return bpf_obj_get(path);
}

static int put_pin(const struct pins *pins, uint32_t generation, const char *kind, const char *name,
		   int fd)
{
	char path[PIN_PATH_MAX];

	pin_path(path, pins, generation, kind, name);
	return bpf_obj_pin(fd, path);
}

/* ---- removing ---- */

typedef void (*entry_fn)(void *user, int dir_fd, const char *name);

static int each_entry(const char *path, entry_fn fn, void *user)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			fn(user, dirfd(dir), entry->d_name);
	closedir(dir);
	return 0;
}

static void unlink_entry(void *user, int dir_fd, const char *name)
{
	(void)user;
	unlinkat(dir_fd, name, 0);
}

/* The layout goes first: what a crash leaves of a generation is known as that. */
static void remove_generation(const struct pins *pins, uint32_t generation)
{
	char path[PIN_PATH_MAX];

	pin_path(path, pins, generation, "layout", "");
	unlink(path);
	pin_path(path, pins, generation, "", "");
	each_entry(path, unlink_entry, NULL);
	rmdir(path);
}

/* ---- finding what is there ---- */

/* Returns 0, -ENOENT if there is none, -EPROTO if it is none of ours, or another -errno. */
static int read_layout(const struct pins *pins, uint32_t number, struct layout *layout)
{
	int fd = get_pin(pins, number, "layout", ""), err;
	struct bpf_map_info info = { 0 };
	__u32 zero = 0, len = sizeof(info);

	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (!err && (info.key_size != sizeof(zero) || info.value_size != sizeof(*layout)))
		err = -EPROTO;
	if (!err)
		err = bpf_map_lookup_elem(fd, &zero, layout);
	close(fd);
	return err;
}

/* Only directories that are numbers are ours. */
static void find_generation(void *user, int dir_fd, const char *name)
{
	struct pins *pins = user;
	struct generation found = { 0 };
	char *end;
	int err;

	(void)dir_fd;
	found.number = (uint32_t)strtoul(name, &end, 10);
	if (*end || !found.number)
		return;
	err = read_layout(pins, found.number, &found.layout);
	if (err == -ENOENT || err == -EPROTO)
		remove_generation(pins, found.number);
	else if (err)
		pins->err = err;
	else if (pins->former_count < GENERATIONS_MAX)
		pins->former[pins->former_count++] = found;
}

static int by_number(const void *a, const void *b)
{
	const struct generation *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

/* ---- the directory ---- */

static int complain(char why[PINS_WHY_SIZE], int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int complain(char why[PINS_WHY_SIZE], int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, PINS_WHY_SIZE, format, args);
	va_end(args);
	return err;
}

static int make_directory(const char *dir, char why[PINS_WHY_SIZE])
{
	char copy[DIR_MAX], *parent;
	struct statfs fs;

	if (!access(dir, F_OK)) /* a service's own is mounted by itself */
		return 0;
	snprintf(copy, sizeof(copy), "%s", dir);
	parent = dirname(copy);
	if (statfs(parent, &fs))
		return complain(why, -errno, "%s: %s", parent, strerror(errno));
	if (fs.f_type != BPF_FS_MAGIC)
		return complain(why, -EINVAL, "%s: no bpf file system is mounted there", parent);
	if (mkdir(dir, 0700) && errno != EEXIST)
		return complain(why, -errno, "%s: %s", dir, strerror(errno));
	return 0;
}

/* What others could have put there is not believed. */
static int check_directory(int fd, const char *dir, char why[PINS_WHY_SIZE])
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) || fstatfs(fd, &fs))
		return complain(why, -errno, "%s: %s", dir, strerror(errno));
	if (fs.f_type != BPF_FS_MAGIC)
		return complain(why, -EINVAL, "%s: not in a bpf file system", dir);
	if (st.st_uid && st.st_uid != geteuid())
		return complain(why, -EPERM, "%s belongs to user %u", dir, st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return complain(why, -EPERM, "%s can be written to by others", dir);
	return 0;
}

#define LOCK_TRIES 100
#define LOCK_PAUSE_USEC 20000

/* A daemon that was just killed holds it until the kernel has cleared it away. */
static int lock_directory(int fd, const char *dir, char why[PINS_WHY_SIZE])
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return 0;
		if (errno != EWOULDBLOCK)
			return complain(why, -errno, "%s: %s", dir, strerror(errno));
		usleep(LOCK_PAUSE_USEC);
	}
	return complain(why, -EBUSY, "another lifetraced holds %s", dir);
}

static int open_directory(struct pins *pins, char why[PINS_WHY_SIZE])
{
	int err;

	pins->lock = open(pins->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (pins->lock < 0)
		return complain(why, -errno, "%s: %s", pins->dir, strerror(errno));
	err = check_directory(pins->lock, pins->dir, why);
	return err ? err : lock_directory(pins->lock, pins->dir, why);
}

/* What is there and cannot be read is left alone. */
static int find_generations(struct pins *pins, char why[PINS_WHY_SIZE])
{
	int err = each_entry(pins->dir, find_generation, pins);

	if (!err)
		err = pins->err;
	return err ? complain(why, err, "cannot read what is pinned below %s: %s", pins->dir,
			      strerror(-err)) :
		     0;
}

int pins_open(struct pins **pins, const char *dir, char why[PINS_WHY_SIZE])
{
	struct pins *p = calloc(1, sizeof(*p));
	int err;

	*pins = NULL;
	if (!p)
		return complain(why, -ENOMEM, "out of memory");
	p->lock = -1;
	err = strlen(dir) < DIR_MAX ? 0 : complain(why, -ENAMETOOLONG, "the path is too long");
	if (!err)
		err = make_directory(dir, why);
	if (!err) {
		strcpy(p->dir, dir);
		err = open_directory(p, why);
	}
	if (!err)
		err = find_generations(p, why);
	if (err) {
		pins_close(p);
		return err;
	}
	qsort(p->former, (size_t)p->former_count, sizeof(p->former[0]), by_number);
	*pins = p;
	return 0;
}

void pins_close(struct pins *pins)
{
	if (!pins)
		return;
	for (int i = 0; i < pins->program_count; i++) {
		close(pins->programs[i].fd);
		close(pins->programs[i].link_fd);
	}
	if (pins->lock >= 0)
		close(pins->lock);
	free(pins);
}

/* ---- this daemon's generation ---- */

static bool is_readable(const struct layout *layout)
{
	return layout->pins_version == PINS_VERSION && layout->wire_version == LT_WIRE_VERSION;
}

static const struct generation *newest(const struct pins *pins)
{
	return pins->former_count ? &pins->former[pins->former_count - 1] : NULL;
}

int pins_choose(struct pins *pins, uint32_t checksum)
{
	const struct generation *last = newest(pins);
	char path[PIN_PATH_MAX];

	pins->own.layout = (struct layout){ PINS_VERSION, LT_WIRE_VERSION, checksum, 0 };
	if (last && !memcmp(&last->layout, &pins->own.layout, sizeof(last->layout))) {
		pins->way = PINS_ADOPTED;
		pins->own.number = last->number;
		pins->former_count--;
		return 0;
	}
	pins->way = !last ? PINS_FRESH : is_readable(&last->layout) ? PINS_RETIRES : PINS_FOREIGN;
	pins->own.number = last ? last->number + 1 : 1;
	pin_path(path, pins, pins->own.number, "", "");
	return mkdir(path, 0700) ? -errno : 0;
}

enum pins_way pins_way(const struct pins *pins)
{
	return pins->way;
}

bool pins_go_on(const struct pins *pins)
{
	return pins->way == PINS_ADOPTED || pins->way == PINS_RETIRES;
}

uint32_t pins_generation(const struct pins *pins)
{
	return pins ? pins->own.number : 1;
}

bool pins_has_link(const struct pins *pins, const char *program)
{
	char path[PIN_PATH_MAX];

	if (!pins || pins->way != PINS_ADOPTED)
		return false;
	pin_path(path, pins, pins->own.number, "link_", program);
	return !access(path, F_OK);
}

/* ---- objects: before they are loaded ---- */

static bool is_constant(const struct bpf_map *map)
{
	return strstr(bpf_map__name(map), ".rodata");
}

static bool fits(const struct bpf_map *map, int fd)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &len) && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) &&
	       info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map) &&
	       info.map_flags == bpf_map__map_flags(map);
}

/* This generation's, which another object may have brought, or that of the one before. */
static int find_map(const struct pins *pins, const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);
	int fd = get_pin(pins, pins->own.number, "map_", name);

	if (fd < 0 && pins->way == PINS_RETIRES && strcmp(name, RING_MAP))
		fd = get_pin(pins, newest(pins)->number, "map_", name);
	return fd;
}

static int take_map(const struct pins *pins, struct bpf_map *map)
{
	int err = 0, fd;

	if (is_constant(map) || bpf_map__fd(map) >= 0)
		return 0;
	fd = find_map(pins, map);
	if (fd < 0)
		return 0;
	if (fits(map, fd))
		err = bpf_map__reuse_fd(map, fd);
	close(fd);
	return err;
}

static int take_program(struct pins *pins, struct bpf_program *program)
{
	const char *name = bpf_program__name(program);
	int i = pins->program_count;

	if (!pins_has_link(pins, name))
		return 0;
	if (i == PROGRAMS_MAX)
		return -E2BIG;
	bpf_program__set_autoload(program, false);
	snprintf(pins->programs[i].name, sizeof(pins->programs[i].name), "%s", name);
	pins->programs[i].fd = get_pin(pins, pins->own.number, "prog_", name);
	pins->programs[i].link_fd = get_pin(pins, pins->own.number, "link_", name);
	pins->program_count++;
	return pins->programs[i].fd < 0 ? pins->programs[i].fd : 0;
}

int pins_take(struct pins *pins, struct bpf_object *object)
{
	struct bpf_program *program;
	struct bpf_map *map;
	int err = 0;

	if (!pins)
		return 0;
	bpf_object__for_each_map(map, object)
		if (!err)
			err = take_map(pins, map);
	bpf_object__for_each_program(program, object)
		if (!err)
			err = take_program(pins, program);
	return err;
}

int pins_program_fd(const struct pins *pins, const struct bpf_program *program)
{
	int fd = bpf_program__fd(program);

	for (int i = 0; pins && fd < 0 && i < pins->program_count; i++)
		if (!strcmp(pins->programs[i].name, bpf_program__name(program)))
			fd = pins->programs[i].fd;
	return fd;
}

/* ---- and after ---- */

static void keep(struct pins *pins, const char *kind, const char *name, int fd)
{
	int err = put_pin(pins, pins->own.number, kind, name, fd);

	if (err && err != -EEXIST && !pins->err)
		pins->err = err;
}

/*
 * A link that is a perf event is no link to the kernel before 5.15 (b89fbfbb854c,
 * "bpf: Implement minimal BPF perf link"): then it has no type.
 */
static __u32 link_type(const struct bpf_link *link)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &len) ? 0 : info.type;
}

static void keep_program(struct pins *pins, const struct bpf_prog_skeleton *program)
{
	struct bpf_link *link = *program->link;
	__u32 type = link ? link_type(link) : 0;

	if (!type || type == BPF_LINK_TYPE_ITER)
		return;
	keep(pins, "prog_", program->name, bpf_program__fd(*program->prog));
	keep(pins, "link_", program->name, bpf_link__fd(link));
	if (type == BPF_LINK_TYPE_PERF_EVENT)
		bpf_link__disconnect(link); /* libbpf would switch it off */
}

void pins_keep(struct pins *pins, const struct bpf_object_skeleton *skeleton)
{
	const struct bpf_map *map;

	if (!pins)
		return;
	bpf_object__for_each_map(map, *skeleton->obj)
		if (!is_constant(map))
			keep(pins, "map_", bpf_map__name(map), bpf_map__fd(map));
	for (int i = 0; i < skeleton->prog_cnt; i++)
		keep_program(pins, &skeleton->progs[i]);
}

static int put_layout(const struct pins *pins)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "lt_layout", sizeof(__u32),
				sizeof(struct layout), 1, &opts);
	__u32 zero = 0;
	int err;

	if (fd < 0)
		return fd;
	err = bpf_map_update_elem(fd, &zero, &pins->own.layout, BPF_ANY);
	if (!err)
		err = put_pin(pins, pins->own.number, "layout", "", fd);
	close(fd);
	return err;
}

int pins_commit(struct pins *pins)
{
	if (!pins->err && pins->way != PINS_ADOPTED)
		pins->err = put_layout(pins);
	if (pins->err)
		remove_generation(pins, pins->own.number);
	return pins->err;
}

void pins_abandon(struct pins *pins)
{
	if (pins && pins->way != PINS_ADOPTED && pins->own.number)
		remove_generation(pins, pins->own.number);
}

int pins_error(const struct pins *pins)
{
	return pins->err;
}

/* ---- those before ---- */

int pins_former_count(const struct pins *pins)
{
	return pins ? pins->former_count : 0;
}

struct detaching {
	const struct pins *pins;
	uint32_t number;
	pins_misses_fn fn;
	void *user;
};

/* The program goes with its link: what it missed is told once. */
static void detach_entry(void *user, int dir_fd, const char *name)
{
	const struct detaching *detaching = user;
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	char program[64];
	int fd;

	if (strncmp(name, "link_", strlen("link_")))
		return;
	snprintf(program, sizeof(program), "prog_%s", name + strlen("link_"));
	unlinkat(dir_fd, name, 0);
	fd = get_pin(detaching->pins, detaching->number, program, "");
	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.recursion_misses)
		detaching->fn(detaching->user, name + strlen("link_"), info.recursion_misses);
	unlinkat(dir_fd, program, 0);
	close(fd);
}

void pins_former_detach(struct pins *pins, int i, pins_misses_fn fn, void *user)
{
	struct detaching detaching = { pins, pins->former[i].number, fn, user };
	char path[PIN_PATH_MAX];

	pin_path(path, pins, detaching.number, "", "");
	each_entry(path, detach_entry, &detaching);
}

int pins_former_ring(const struct pins *pins, int i)
{
	if (!is_readable(&pins->former[i].layout))
		return -EPROTO;
	return get_pin(pins, pins->former[i].number, "map_", RING_MAP);
}

void pins_former_remove(struct pins *pins, int i)
{
	remove_generation(pins, pins->former[i].number);
}

/* ---- all out ---- */

/* Whether the daemon's heartbeat has stopped, as the programs themselves saw it. */
static bool is_quiet(const struct pins *pins, const struct generation *generation)
{
	int fd = get_pin(pins, generation->number, "map_", GATE_MAP);
	struct lt_gate gate = { 0 };
	__u32 zero = 0;
	int err = -EPROTO;

	if (fd >= 0 && is_readable(&generation->layout))
		err = bpf_map_lookup_elem(fd, &zero, &gate);
	if (fd >= 0)
		close(fd);
	return err || gate.until_mono_ns < clock_ns(CLOCK_MONOTONIC);
}

int pins_detach_all(const char *dir, bool stale_only, pins_gone_fn gone, void *user,
		    char why[PINS_WHY_SIZE])
{
	struct pins *pins;
	int err, count;

	if (access(dir, F_OK) && errno == ENOENT)
		return 0;
	err = pins_open(&pins, dir, why);
	if (err || !pins)
		return err;
	count = pins->former_count;
	if (stale_only && count && !is_quiet(pins, newest(pins))) {
		pins_close(pins);
		return 0;
	}
	for (int i = 0; i < count; i++)
		remove_generation(pins, pins->former[i].number);
	gone(user);
	pins_close(pins);
	return count;
}
