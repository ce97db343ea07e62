/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pins: the kernel side that outlives its daemon. Below one directory of bpffs
 * each generation of programs has a directory of its own, named by its number:
 *
 *   map_NAME prog_NAME link_NAME   of all BPF objects together
 *   layout                         what it is; pinned last: without it the rest is
 *                                  what a crash left, and is removed
 *
 * A daemon that would load the same (the same build and settings, by a checksum)
 * adopts the newest generation as it is. Any other makes the next one beside it,
 * with maps of the same shape shared and a ring of its own, and then retires it:
 * which of the two works is decided by one word (struct lt_gate), so that no event
 * falls between them. Owns the directory's lock and the descriptors it gives out.
 * Never logs. Where pins is NULL nothing is pinned and all of it does nothing.
 */
#ifndef LT_PINS_H
#define LT_PINS_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdint.h>

#define PINS_DEFAULT_DIR "/sys/fs/bpf/lifetrace"

/* Raised when struct lt_gate, struct lt_counters or the names of pins change. */
#define PINS_VERSION 3

struct pins;

#define PINS_WHY_SIZE 320

/*
 * Opens and locks the directory, made if need be, and removes what is
 * incomplete. Returns 0, -EBUSY when another daemon holds it, or -errno; why
 * then says so in words.
 */
int pins_open(struct pins **pins, const char *dir, char why[PINS_WHY_SIZE]);
/* What is pinned stays. */
void pins_close(struct pins *pins);

/* How this daemon came to its generation. */
enum pins_way {
	PINS_FRESH,   /* there was none before */
	PINS_ADOPTED, /* the same: its programs go on */
	PINS_RETIRES, /* of another layout: replaced without a gap */
	PINS_FOREIGN, /* of a version that cannot be read: replaced, nothing is taken over */
};

/*
 * Chooses the generation for a daemon whose programs have this checksum. To be
 * called before anything is loaded. Returns 0 or -errno.
 */
int pins_choose(struct pins *pins, uint32_t checksum);
enum pins_way pins_way(const struct pins *pins);
/* Whether what was known with those before is true with these. */
bool pins_go_on(const struct pins *pins);
uint32_t pins_generation(const struct pins *pins);

/* Whether the program of this name is attached already, by an adopted pin. */
bool pins_has_link(const struct pins *pins, const char *program);

/*
 * Before an object is loaded: gives it the maps that are there, and keeps its
 * programs that are attached already from being loaded again. Maps that have a
 * descriptor are left alone. Returns 0 or -errno.
 */
int pins_take(struct pins *pins, struct bpf_object *object);
/*
 * After it is attached: pins its maps, its programs and their links. A link that
 * this kernel cannot pin (perf events before 5.15) ends with the daemon. What
 * goes wrong is told by pins_commit().
 */
void pins_keep(struct pins *pins, const struct bpf_object_skeleton *skeleton);
/* The program, loaded or adopted: a descriptor that stays the caller's or ours; or -ENOENT. */
int pins_program_fd(const struct pins *pins, const struct bpf_program *program);

/*
 * This generation is complete. Returns 0 or -errno, and then nothing outlives
 * this daemon.
 */
int pins_commit(struct pins *pins);

/* This daemon cannot observe after all: takes back what it has pinned. */
void pins_abandon(struct pins *pins);
/* 0, or the -errno because of which nothing outlives this daemon. */
int pins_error(const struct pins *pins);

/*
 * The generations that this one replaces, oldest first; adopted or not, as a
 * crash can have left some. Detaches the programs of one and hands each
 * program's runs that the kernel skipped to fn.
 */
int pins_former_count(const struct pins *pins);
typedef void (*pins_misses_fn)(void *user, const char *program, uint64_t misses);
void pins_former_detach(struct pins *pins, int i, pins_misses_fn fn, void *user);
/* Its ring, a descriptor of the caller's, or -errno; none where it cannot be read. */
int pins_former_ring(const struct pins *pins, int i);
/* It is drained: removes it. */
void pins_former_remove(struct pins *pins, int i);

/*
 * Takes all that is pinned below dir out of the kernel (the directory stays); stale_only: if no daemon
 * has been heard of for longer than its heartbeat. Returns how many generations
 * that were, or -errno with why: -EBUSY when a daemon holds it. When nothing is pinned
 * any more gone is called, while nobody else can come.
 */
typedef void (*pins_gone_fn)(void *user);
int pins_detach_all(const char *dir, bool stale_only, pins_gone_fn gone, void *user,
		    char why[PINS_WHY_SIZE]);

#endif
