// SPDX-License-Identifier: GPL-2.0-only
#include "calls.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "calls.skel.h"

#define LINKS_MAX 16

struct links {
	struct bpf_link *link[LINKS_MAX];
	int count;
};

struct calls {
	struct calls_bpf *skel;
	struct calls_maps maps;
	enum reach reach;
	bool raw; /* the raw system call tracepoints: the classic ones are refused */
	bool watching;
	struct lt_switches switches;
	struct links *links; /* of the system calls' tracepoints */
	pthread_t closer;
	bool closing;
	__u64 evicted[LT_BOUNDED];
};

/* ---- the sets ---- */

/* Which set a program belongs to, and what it would send. */
static const struct set_program {
	const char *name;
	enum reach reach;
	enum lt_kind kind;
} set_programs[] = {
	{ "on_wait_fexit", REACH_FENTRY, LT_WAIT_CALL },
	{ "on_clone_fentry", REACH_FENTRY, LT_FORK_END },
	{ "on_clone_fexit", REACH_FENTRY, LT_FORK_END },
	{ "on_wait_kretprobe", REACH_KPROBE, LT_WAIT_CALL },
	{ "on_clone_kprobe", REACH_KPROBE, LT_FORK_END },
	{ "on_clone_kretprobe", REACH_KPROBE, LT_FORK_END },
};

#define SET_PROGRAMS (sizeof(set_programs) / sizeof(set_programs[0]))

static enum reach reach_of(const char *name)
{
	for (size_t i = 0; i < SET_PROGRAMS; i++)
		if (!strcmp(set_programs[i].name, name))
			return set_programs[i].reach;
	return REACH_TRACEPOINTS;
}

enum lt_kind calls_kind(const char *program)
{
	for (size_t i = 0; i < SET_PROGRAMS; i++)
		if (!strcmp(set_programs[i].name, program))
			return set_programs[i].kind;
	return 0;
}

/* The set that another daemon left attached; REACHES: none. */
static enum reach kept_reach(const struct pins *pins)
{
	for (size_t i = 0; i < SET_PROGRAMS; i++)
		if (pins_has_link(pins, set_programs[i].name))
			return set_programs[i].reach;
	return REACHES;
}

const void *calls_elf_bytes(size_t *size)
{
	return calls_bpf__elf_bytes(size);
}

static const struct {
	const char *wait, *fork;
} hook_names[REACHES] = {
	[REACH_FENTRY] = { "fexit/do_wait", "fentry/kernel_clone" },
	[REACH_KPROBE] = { "kretprobe/do_wait", "kprobe/kernel_clone" },
	[REACH_TRACEPOINTS] = { "tp/syscalls/sys_exit_wait4", "tp/syscalls/sys_enter_clone" },
};

/* ---- the maps' two ends ---- */

static int reuse(struct bpf_map *map, const struct bpf_map *from)
{
	return bpf_map__reuse_fd(map, bpf_map__fd(from));
}

static int reuse_maps(struct calls_bpf *skel, const struct calls_maps *maps)
{
	int err = reuse(skel->maps.lt_ring, maps->ring);

	if (!err)
		err = reuse(skel->maps.lt_counters, maps->counters);
	if (!err)
		err = reuse(skel->maps.lt_waits, maps->waits);
	if (!err)
		err = reuse(skel->maps.lt_wait_calls, maps->wait_calls);
	if (!err)
		err = reuse(skel->maps.lt_fork_calls, maps->fork_calls);
	if (!err)
		err = reuse(skel->maps.lt_switches, maps->switches);
	return err;
}

static void set_switches(struct calls *calls)
{
	const __u32 zero = 0;

	bpf_map_update_elem(bpf_map__fd(calls->maps.switches), &zero, &calls->switches, BPF_ANY);
}

/* Calls whose end was not seen, as nobody watched: what is left of them means nothing. */
static void clear(const struct bpf_map *map, __u64 *taken)
{
	char key[64];

	while (bpf_map__key_size(map) <= sizeof(key) &&
	       !bpf_map_get_next_key(bpf_map__fd(map), NULL, key) &&
	       !bpf_map_delete_elem(bpf_map__fd(map), key))
		__sync_fetch_and_add(taken, 1);
}

static __u64 count_keys(const struct bpf_map *map)
{
	char keys[2][64], *previous = NULL, *next = keys[0];
	__u64 count = 0;

	while (bpf_map__key_size(map) <= sizeof(keys[0]) &&
	       !bpf_map_get_next_key(bpf_map__fd(map), previous, next)) {
		count++;
		previous = next;
		next = next == keys[0] ? keys[1] : keys[0];
	}
	return count;
}

static const struct bpf_map *bounded(const struct calls *calls, enum lt_bounded which)
{
	return which == LT_BOUNDED_WAITS ? calls->maps.waits :
	       which == LT_BOUNDED_CALLS ? calls->maps.wait_calls :
					   calls->maps.fork_calls;
}

/*
 * What is in none of the counts has gone. A map that is not half full has lost
 * nothing, and is not walked.
 */
void calls_evicted(struct calls *calls, const __u64 put[LT_BOUNDED], const __u64 taken[LT_BOUNDED],
		   __u64 evicted[LT_BOUNDED])
{
	for (int i = 0; i < LT_BOUNDED_COWS; i++) { /* those before are of calls */
		const struct bpf_map *map = bounded(calls, i);
		__u64 out = taken[i] + calls->evicted[i], there;

		if (put[i] > out && put[i] - out > bpf_map__max_entries(map) / 2) {
			there = count_keys(map);
			if (put[i] - out > there)
				calls->evicted[i] += put[i] - out - there;
		}
		evicted[i] = calls->evicted[i];
	}
}

/* ---- loading ---- */

static int attach_functions(struct calls *calls)
{
	int err = calls_bpf__attach(calls->skel);

	if (err)
		return err;
	calls->watching = true;
	calls->switches.wait_results = calls->switches.fork_calls = 1;
	set_switches(calls);
	return 0;
}

/* What a lockdown forbids no BTF tells: it is tried. */
static int try_reach(struct calls *calls, const struct bpf_object_open_opts *opts, enum reach reach)
{
	struct bpf_program *program;
	int err;

	calls->skel = calls_bpf__open_opts(opts);
	if (!calls->skel)
		return -errno;
	calls->reach = reach;
	calls->skel->rodata->lt_wake_bytes = calls->maps.wake_bytes;
	calls->skel->rodata->lt_generation = pins_generation(calls->maps.pins);
	bpf_object__for_each_program(program, calls->skel->obj)
		bpf_program__set_autoload(program, reach_of(bpf_program__name(program)) == reach);
	err = reuse_maps(calls->skel, &calls->maps);
	if (!err)
		err = pins_take(calls->maps.pins, calls->skel->obj);
	if (!err)
		err = calls_bpf__load(calls->skel);
	if (!err && reach != REACH_TRACEPOINTS)
		err = attach_functions(calls);
	if (err) {
		calls_bpf__destroy(calls->skel);
		calls->skel = NULL;
	}
	return err;
}

int calls_new(struct calls **calls, const struct calls_maps *maps,
	      const struct bpf_object_open_opts *opts, enum reach reach)
{
	struct calls *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	*calls = NULL;
	if (!c)
		return err;
	c->maps = *maps;
	if (kept_reach(maps->pins) != REACHES)
		reach = kept_reach(maps->pins);
	for (; reach < REACHES; reach++) {
		err = try_reach(c, opts, reach);
		if (!err)
			break;
	}
	if (err) {
		free(c);
		return err;
	}
	pins_keep(maps->pins, c->skel->skeleton);
	c->switches.syscalls = reach == REACH_TRACEPOINTS;
	set_switches(c);
	*calls = c;
	return 0;
}

/* ---- the system calls' tracepoints ---- */

static int add_link(struct links *links, struct bpf_link *link)
{
	if (!link)
		return -errno;
	links->link[links->count++] = link;
	return 0;
}

static void close_links(struct links *links)
{
	for (int i = 0; i < links->count; i++)
		bpf_link__destroy(links->link[i]);
	free(links);
}

/*
 * One tracepoint a call and direction. An architecture without the call has no
 * tracepoint of it. The entries come first, and so are closed first, also when
 * this daemon is killed: no call is begun that nobody sees the end of.
 */
static int attach_classic(const struct calls *calls, struct links *links)
{
	const struct {
		const struct bpf_program *program;
		const char *name;
		bool may_lack;
	} all[] = {
		{ calls->skel->progs.on_enter_clone, "sys_enter_clone", false },
		{ calls->skel->progs.on_enter_clone3, "sys_enter_clone3", false },
		{ calls->skel->progs.on_enter_fork, "sys_enter_fork", true },
		{ calls->skel->progs.on_enter_vfork, "sys_enter_vfork", true },
		{ calls->skel->progs.on_exit_wait, "sys_exit_wait4", false },
		{ calls->skel->progs.on_exit_wait, "sys_exit_waitid", false },
		{ calls->skel->progs.on_exit_fork, "sys_exit_clone", false },
		{ calls->skel->progs.on_exit_fork, "sys_exit_clone3", false },
		{ calls->skel->progs.on_exit_fork, "sys_exit_fork", true },
		{ calls->skel->progs.on_exit_fork, "sys_exit_vfork", true },
	};
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(all) / sizeof(all[0]); i++) {
		err = add_link(links, bpf_program__attach_tracepoint(all[i].program, "syscalls",
								     all[i].name));
		if (err == -ENOENT && all[i].may_lack)
			err = 0;
	}
	return err;
}

static int attach_raw(const struct calls *calls, struct links *links)
{
	int err = add_link(links, bpf_program__attach_trace(calls->skel->progs.on_sys_enter));

	return err ? err :
		     add_link(links, bpf_program__attach_trace(calls->skel->progs.on_sys_exit));
}

/* All or nothing. */
static int attach_syscalls(struct calls *calls,
			   int (*attach)(const struct calls *calls, struct links *links))
{
	struct links *links = calloc(1, sizeof(*links));
	int err = links ? attach(calls, links) : -ENOMEM;

	if (!err)
		calls->links = links;
	else if (links)
		close_links(links);
	return err;
}

/* The classic ones tax least (docs/kernel.md), and ask for more rights. */
static int start_watching(struct calls *calls)
{
	int err = attach_syscalls(calls, attach_classic);

	calls->raw = err != 0;
	if (err)
		err = attach_syscalls(calls, attach_raw);
	if (err)
		return err;
	clear(calls->maps.wait_calls, &calls->maps.taken[LT_BOUNDED_CALLS]);
	clear(calls->maps.fork_calls, &calls->maps.taken[LT_BOUNDED_FORKS]);
	calls->switches.wait_results = calls->switches.fork_calls = 1;
	set_switches(calls);
	return 0;
}

/*
 * Closing a classic tracepoint takes an RCU grace period, ten of them more than
 * half a second: not on the thread that flags zombies in time.
 */
static void *closer(void *links)
{
	close_links(links);
	return NULL;
}

static void join_closer(struct calls *calls)
{
	if (calls->closing)
		pthread_join(calls->closer, NULL);
	calls->closing = false;
}

static void stop_watching(struct calls *calls)
{
	calls->switches.wait_results = calls->switches.fork_calls = 0;
	set_switches(calls);
	join_closer(calls); /* the last one's: long done */
	if (pthread_create(&calls->closer, NULL, closer, calls->links))
		close_links(calls->links);
	else
		calls->closing = true;
	calls->links = NULL;
}

bool calls_tax(const struct calls *calls)
{
	return calls->reach == REACH_TRACEPOINTS;
}

int calls_watch(struct calls *calls, bool watch)
{
	int err = 0;

	if (!calls_tax(calls) || watch == calls->watching)
		return 0;
	if (watch)
		err = start_watching(calls);
	else
		stop_watching(calls);
	if (!err)
		calls->watching = watch;
	return err;
}

void calls_send_waits(struct calls *calls, bool send)
{
	if (calls->switches.wait_calls == send)
		return;
	calls->switches.wait_calls = send;
	set_switches(calls);
}

const char *calls_wait_hook(const struct calls *calls)
{
	if (!calls->watching)
		return NULL;
	return calls->raw ? "tp_btf/sys_exit" : hook_names[calls->reach].wait;
}

const char *calls_fork_hook(const struct calls *calls)
{
	if (!calls->watching)
		return NULL;
	return calls->raw ? "tp_btf/sys_enter" : hook_names[calls->reach].fork;
}

void calls_add_misses(const struct calls *calls, __u64 lost[LT_KERNEL_KINDS])
{
	for (size_t i = 0; i < SET_PROGRAMS; i++) {
		const struct bpf_program *program =
			bpf_object__find_program_by_name(calls->skel->obj, set_programs[i].name);
		struct bpf_prog_info info = { 0 };
		__u32 len = sizeof(info);
		int fd = program ? pins_program_fd(calls->maps.pins, program) : -1;

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len))
			lost[set_programs[i].kind] += info.recursion_misses;
	}
}

void calls_free(struct calls *calls)
{
	if (!calls)
		return;
	if (calls->links)
		close_links(calls->links);
	join_closer(calls);
	calls_bpf__destroy(calls->skel);
	free(calls);
}
