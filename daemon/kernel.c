// SPDX-License-Identifier: GPL-2.0-only
#include "kernel.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "calls.h"
#include "clock.h"
#include "cow_counts.h"
#include "lifetrace.skel.h"
#include "offers.h"
#include "release.skel.h"

/*
 * What two generations of programs both tell, as one took over from the other in
 * the middle of it: the kind, and of what, which follows every kernel record's header.
 */
struct told {
	__u64 time_ns;
	struct lt_id id;
	__u16 kind;
};

#define TOLD_MAX 256
#define TOLD_TWICE_NS 200000ULL /* no further apart */

struct kernel {
	struct lifetrace_bpf *tracepoints;
	struct release_bpf *release; /* NULL where the kernel allows it not */
	struct calls *calls;	     /* likewise */
	struct cow *cow;	     /* likewise */
	struct cow_counts *cow_counts;
	struct ring_buffer *ring;
	const char *positions; /* two pages of the ring's map: the reader's, the writers' */
	uint64_t ring_highest;
	struct lt_counters *counters; /* one per CPU */
	size_t counters_size;
	int cpus;
	struct kernel_hook hooks[KERNEL_HOOKS];
	__u64 evicted[LT_BOUNDED];
	bool has_cookies;
	bool io_uring_waits;
	struct pins *pins;
	uint64_t quiet_ns;	    /* the gate was closed since then, when this daemon opened it */
	struct told told[TOLD_MAX]; /* the latest, of the ring before */
	size_t told_count;
	uint64_t told_until_ns;
	struct lt_hdr last; /* another daemon's last record of a ring; size 0: none, or it was met */
	struct lt_id last_id;
	record_fn fn; /* of the drain under way */
	void *user;
	size_t drained, budget;
	__u64 received[LT_KERNEL_KINDS];
};

/* ---- what libbpf says, kept in case loading fails ---- */

static char messages[4096];
static char error_text[8192];

static int keep_message(enum libbpf_print_level level, const char *format, va_list args)
{
	size_t used = strlen(messages);

	if (level != LIBBPF_WARN)
		return 0;
	if (used > sizeof(messages) - 256) { /* the newest are the ones that tell */
		memmove(messages, messages + sizeof(messages) / 2, sizeof(messages) / 2);
		used = strlen(messages);
	}
	vsnprintf(messages + used, sizeof(messages) - used, format, args);
	return 0;
}

const char *kernel_error(void)
{
	return error_text;
}

static int fail(int err, const char *what)
{
	snprintf(error_text, sizeof(error_text), "%s: %s%s%s", what, strerror(-err),
		 *messages ? "\n" : "", messages);
	return err;
}

/* WHAT, and the program that it is about, if that is known. */
static int fail_program(int err, const char *what, const char *name)
{
	char words[256];

	snprintf(words, sizeof(words), "%s%s%s", what, *name ? ": " : "", name);
	return fail(err, words);
}

/* "libbpf: prog 'on_exit': failed to load: -1"; a failed load leaves no other trace of it. */
static const char *not_loaded(char name[64])
{
	const char *end = strstr(messages, "': failed to load"), *begin = end;

	while (begin && begin > messages && begin[-1] != '\'')
		begin--;
	snprintf(name, 64, "%.*s", (int)(end - begin), begin ? begin : "");
	return name;
}

static const char *not_attached(const struct bpf_object_skeleton *skeleton)
{
	for (int i = 0; i < skeleton->prog_cnt; i++) {
		const struct bpf_program *prog = *skeleton->progs[i].prog;

		if (!*skeleton->progs[i].link && bpf_program__autoload(prog) &&
		    bpf_program__autoattach(prog))
			return bpf_program__name(prog);
	}
	return "";
}

/* ---- what this kernel offers, by its BTF ---- */

#define EXIT_BY_ARGUMENT "tp_btf/sched_process_exit (group_dead)"
#define EXIT_BY_COUNT "tp_btf/sched_process_exit (signal->live)"
#define RELEASE_FENTRY "fentry/release_task"
#define RELEASE_KPROBE "kprobe/release_task"
#define UPROBE_COOKIES "uprobe/exit"

struct kernel_offers {
	bool group_dead;
	bool release_fentry, release_kprobe;
	bool cookies;
	bool io_uring_waits;
};

static int parse_btf(struct btf **btf, const char *path)
{
	int err;

	*btf = path ? btf__parse(path, NULL) : btf__load_vmlinux_btf();
	err = libbpf_get_error(*btf);
	if (!err)
		return 0;
	*btf = NULL;
	return fail(err, path ? path : "the kernel's BTF (/sys/kernel/btf/vmlinux)");
}

static struct kernel_offers find_offers(const struct btf *btf)
{
	return (struct kernel_offers){
		.group_dead = offers_hook(btf, EXIT_BY_ARGUMENT),
		.release_fentry = offers_hook(btf, RELEASE_FENTRY),
		.release_kprobe = offers_hook(btf, RELEASE_KPROBE),
		.cookies = offers_hook(btf, UPROBE_COOKIES),
		/* f31ecf671ddc, 6.7: IORING_OP_WAITID */
		.io_uring_waits = offers_function(btf, "io_waitid_prep"),
	};
}

/* ---- loading ---- */

/* Before 5.11 maps were charged to this limit. */
static void raise_memlock(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	if (!setrlimit(RLIMIT_MEMLOCK, &limit))
		return;
	if (!getrlimit(RLIMIT_MEMLOCK, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &limit);
	}
}

static __u64 wake_bytes(const struct kernel_options *options)
{
	return options->ring_bytes / 4;
}

static struct bpf_map *bounded_map(const struct lifetrace_bpf *skel, int which)
{
	return which == LT_BOUNDED_WAITS ? skel->maps.lt_waits :
	       which == LT_BOUNDED_CALLS ? skel->maps.lt_wait_calls :
	       which == LT_BOUNDED_FORKS ? skel->maps.lt_fork_calls :
					   skel->maps.lt_cows;
}

/* Each CPU may hold back 128 free entries (kernel/bpf/bpf_lru_list.c, LOCAL_FREE_TARGET). */
static __u32 bounded_entries(const struct kernel *kernel, const struct kernel_options *options,
			     int which)
{
	if (which == LT_BOUNDED_COWS)
		return options->cow == COW_OFF ? 1 : (__u32)options->cow_max;
	return (which == LT_BOUNDED_WAITS ? 8192U : 4096U) + 128U * (__u32)kernel->cpus;
}

static int load_tracepoints(struct kernel *kernel, const struct kernel_options *options,
			    const struct kernel_offers *offers,
			    const struct bpf_object_open_opts *opts)
{
	struct lifetrace_bpf *skel = lifetrace_bpf__open_opts(opts);
	char name[64];
	int err;

	if (!skel)
		return fail(-errno, "cannot open the BPF programs");
	kernel->tracepoints = skel;
	skel->rodata->lt_has_group_dead = offers->group_dead;
	skel->rodata->lt_wake_bytes = wake_bytes(options);
	skel->rodata->lt_cow_counted = options->cow != COW_OFF;
	skel->rodata->lt_generation = pins_generation(options->pins);
	err = bpf_map__set_max_entries(skel->maps.lt_ring, (__u32)options->ring_bytes);
	if (!err)
		err = bpf_map__set_max_entries(skel->maps.lt_counters, (__u32)kernel->cpus);
	if (!err)
		err = bpf_map__set_max_entries(skel->maps.lt_cow_changes, (__u32)kernel->cpus);
	for (int i = 0; !err && i < LT_BOUNDED; i++)
		err = bpf_map__set_max_entries(bounded_map(skel, i),
					       bounded_entries(kernel, options, i));
	if (err)
		return fail(err, "cannot size the BPF maps");
	err = pins_take(options->pins, skel->obj);
	if (err)
		return fail(err, "cannot take over the pinned maps");
	err = lifetrace_bpf__load(skel);
	if (err)
		return fail_program(err, "the kernel refuses the BPF programs", not_loaded(name));
	return 0;
}

static int map_counters(struct kernel *kernel)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (size_t)kernel->cpus * sizeof(struct lt_counters);
	void *memory;

	kernel->counters_size = (size + page - 1) / page * page;
	memory = mmap(NULL, kernel->counters_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      bpf_map__fd(kernel->tracepoints->maps.lt_counters), 0);
	if (memory == MAP_FAILED)
		return fail(-errno, "cannot map the counters");
	kernel->counters = memory;
	return 0;
}

static int open_cow_counts(struct kernel *kernel)
{
	const struct lifetrace_bpf *from = kernel->tracepoints;
	const struct cow_counts_options options = {
		.cows_fd = bpf_map__fd(from->maps.lt_cows),
		.slots_fd = bpf_map__fd(from->maps.lt_cow_slots),
		.changes_fd = bpf_map__fd(from->maps.lt_cow_changes),
		.counters = kernel->counters,
		.cpus = kernel->cpus,
	};
	int err = cow_counts_open(&kernel->cow_counts, &options);

	return err ? fail(err, "cannot map the counts of COW faults") : 0;
}

/* ---- the ring; what another daemon had read, or another program tells, comes once ---- */

/* The record under way when the other daemon was killed: kept by it, and still in a ring. */
static bool is_last_of_former(const struct kernel *kernel, const void *record, size_t len)
{
	const size_t size = sizeof(kernel->last);

	return kernel->last.size && len >= size + sizeof(kernel->last_id) &&
	       !memcmp(&kernel->last, record, size) &&
	       !memcmp(&kernel->last_id, (const char *)record + size, sizeof(kernel->last_id));
}

static bool read_told(struct told *told, const struct lt_hdr *record, size_t len)
{
	if (len < sizeof(*record) + sizeof(told->id))
		return false;
	*told = (struct told){ .time_ns = record->time_ns, .kind = record->kind };
	memcpy(&told->id, record + 1, sizeof(told->id));
	return true;
}

static bool is_told_twice(const struct kernel *kernel, const struct lt_hdr *record, size_t len)
{
	struct told now;

	if (!read_told(&now, record, len))
		return false;
	for (size_t i = 0; i < TOLD_MAX && i < kernel->told_count; i++) {
		const struct told *before = &kernel->told[i];

		if (before->kind == now.kind && before->id.pid == now.id.pid &&
		    before->id.start_ns == now.id.start_ns &&
		    now.time_ns - before->time_ns < TOLD_TWICE_NS)
			return true;
	}
	return false;
}

static bool is_told_already(struct kernel *kernel, const struct lt_hdr *record, size_t len)
{
	if (is_last_of_former(kernel, record, len))
		return true;
	return len >= sizeof(*record) && record->time_ns < kernel->told_until_ns &&
	       is_told_twice(kernel, record, len);
}

static int on_ring_record(void *context, void *record, size_t len)
{
	struct kernel *kernel = context;
	const struct lt_hdr *hdr = record;

	if (!is_told_already(kernel, record, len)) {
		kernel->fn(kernel->user, record, len);
		if (len >= sizeof(*hdr) && hdr->kind < LT_KERNEL_KINDS)
			kernel->received[hdr->kind]++;
	}
	kernel->last.size = 0; /* it could only be the first */
	/* the position is past this record already: stopping here loses nothing */
	return ++kernel->drained >= kernel->budget ? -EAGAIN : 0;
}

static int open_ring(struct kernel *kernel)
{
	kernel->ring = ring_buffer__new(bpf_map__fd(kernel->tracepoints->maps.lt_ring),
					on_ring_record, kernel, NULL);
	if (!kernel->ring)
		return fail(-errno, "cannot map the ring");
	kernel->positions = mmap(NULL, 2 * (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED,
				 kernel_ring_fd(kernel), 0);
	if (kernel->positions == MAP_FAILED)
		kernel->positions = NULL; /* only its fill is not known then */
	return 0;
}

/* kernel/bpf/ringbuf.c: each position is the first word of its page. */
static void note_fill(struct kernel *kernel)
{
	const unsigned long *read = (const void *)kernel->positions, *written;
	uint64_t fill;

	if (!kernel->positions)
		return;
	written = (const void *)(kernel->positions + sysconf(_SC_PAGESIZE));
	fill = __atomic_load_n(written, __ATOMIC_ACQUIRE) - __atomic_load_n(read, __ATOMIC_ACQUIRE);
	if (fill > kernel->ring_highest)
		kernel->ring_highest = fill;
}

uint64_t kernel_ring_highest(const struct kernel *kernel)
{
	return kernel->ring_highest;
}

/* ---- exact reaps, where they can be had ---- */

static struct release_bpf *open_release(struct kernel *kernel,
					const struct bpf_object_open_opts *opts,
					const struct kernel_options *options)
{
	struct release_bpf *skel = release_bpf__open_opts(opts);
	struct lifetrace_bpf *from = kernel->tracepoints;

	if (!skel)
		return NULL;
	skel->rodata->lt_wake_bytes = wake_bytes(options);
	skel->rodata->lt_generation = pins_generation(options->pins);
	if (bpf_map__reuse_fd(skel->maps.lt_ring, bpf_map__fd(from->maps.lt_ring)) ||
	    bpf_map__reuse_fd(skel->maps.lt_counters, bpf_map__fd(from->maps.lt_counters))) {
		release_bpf__destroy(skel);
		return NULL;
	}
	return skel;
}

/*
 * No BTF tells what a lockdown forbids: the better hook is tried, then the
 * other. Returns whether it took.
 */
static bool try_release(struct kernel *kernel, const struct bpf_object_open_opts *opts,
			const struct kernel_options *options, bool fentry)
{
	struct release_bpf *skel = open_release(kernel, opts, options);

	if (!skel)
		return false;
	bpf_program__set_autoload(skel->progs.on_release_fentry, fentry);
	bpf_program__set_autoload(skel->progs.on_release_kprobe, !fentry);
	if (pins_take(options->pins, skel->obj) || release_bpf__load(skel) ||
	    release_bpf__attach(skel)) {
		release_bpf__destroy(skel);
		return false;
	}
	pins_keep(options->pins, skel->skeleton);
	kernel->release = skel;
	return true;
}

static enum reach attach_release(struct kernel *kernel, const struct bpf_object_open_opts *opts,
				 const struct kernel_options *options,
				 const struct kernel_offers *offers)
{
	const bool kprobe_is_kept = pins_has_link(options->pins, "on_release_kprobe");

	if (options->best_hook <= REACH_FENTRY && offers->release_fentry && !kprobe_is_kept &&
	    try_release(kernel, opts, options, true))
		return REACH_FENTRY;
	if (options->best_hook <= REACH_KPROBE && offers->release_kprobe &&
	    try_release(kernel, opts, options, false))
		return REACH_KPROBE;
	return REACH_TRACEPOINTS;
}

static const char *const reap_hooks[REACHES] = {
	[REACH_FENTRY] = RELEASE_FENTRY,
	[REACH_KPROBE] = RELEASE_KPROBE,
	[REACH_TRACEPOINTS] = "tp_btf/sched_process_free",
};

/* ---- the ends of calls ---- */

static int open_calls(struct kernel *kernel, const struct bpf_object_open_opts *opts,
		      const struct kernel_options *options, enum reach reach)
{
	const struct lifetrace_bpf *from = kernel->tracepoints;
	const struct calls_maps maps = {
		.ring = from->maps.lt_ring,
		.counters = from->maps.lt_counters,
		.waits = from->maps.lt_waits,
		.wait_calls = from->maps.lt_wait_calls,
		.fork_calls = from->maps.lt_fork_calls,
		.switches = from->maps.lt_switches,
		.wake_bytes = wake_bytes(options),
		.taken = kernel->counters->taken,
		.pins = options->pins,
	};

	return calls_new(&kernel->calls, &maps, opts, reach);
}

static void name_call_hook(struct kernel *kernel, const char *what, const char *hook,
			   const char *why_not)
{
	for (int i = 0; i < KERNEL_HOOKS; i++) {
		struct kernel_hook *h = &kernel->hooks[i];

		if (strcmp(h->what, what))
			continue;
		snprintf(h->value, sizeof(h->value), "%s%s",
			 hook ? "" : "off: ", hook ? hook : why_not);
	}
}

static void name_call_hooks(struct kernel *kernel, const char *why_not)
{
	const char *wait = kernel->calls ? calls_wait_hook(kernel->calls) : NULL;
	const char *fork = kernel->calls ? calls_fork_hook(kernel->calls) : NULL;

	name_call_hook(kernel, "wait_results", wait, why_not);
	name_call_hook(kernel, "fork_cost", fork, why_not);
}

bool kernel_calls_tax(const struct kernel *kernel)
{
	return kernel->calls && calls_tax(kernel->calls);
}

int kernel_watch_calls(struct kernel *kernel, bool watch, const char *why_not)
{
	int err = kernel->calls ? calls_watch(kernel->calls, watch) : -ENOTSUP;

	name_call_hooks(kernel, err ? strerror(-err) : why_not);
	return err;
}

void kernel_send_wait_calls(struct kernel *kernel, bool send)
{
	if (kernel->calls)
		calls_send_waits(kernel->calls, send);
}

/* ---- opening and closing ---- */

static void name_hooks(struct kernel *kernel, const struct kernel_offers *offers, enum reach reach,
		       const char *cow)
{
	const struct kernel_hook hooks[KERNEL_HOOKS] = {
		{ "birth", "tp_btf/task_newtask" },
		{ "exec", "tp_btf/sched_process_exec" },
		{ "exit", "" },
		{ "zombie", "tp_btf/signal_generate" },
		{ "reap", "" },
		{ "wait", "tp_btf/sched_process_wait" },
		{ "wait_results", "" },
		{ "fork_cost", "" },
		{ "cow", "" },
	};

	memcpy(kernel->hooks, hooks, sizeof(hooks));
	strcpy(kernel->hooks[2].value, offers->group_dead ? EXIT_BY_ARGUMENT : EXIT_BY_COUNT);
	snprintf(kernel->hooks[4].value, sizeof(kernel->hooks[4].value), "%s", reap_hooks[reach]);
	snprintf(kernel->hooks[8].value, sizeof(kernel->hooks[8].value), "%s", cow);
}

static void attach_cow(struct kernel *kernel, const struct kernel_options *options,
		       const struct btf *btf, const char *path, char hook[COW_HOOK_SIZE])
{
	const struct lifetrace_bpf *from = kernel->tracepoints;
	const struct cow_options cow = { .wanted = options->cow,
					 .btf_path = path,
					 .btf = btf,
					 .ring_fd = bpf_map__fd(from->maps.lt_ring),
					 .counters_fd = bpf_map__fd(from->maps.lt_counters),
					 .cows_fd = bpf_map__fd(from->maps.lt_cows),
					 .slots_fd = bpf_map__fd(from->maps.lt_cow_slots),
					 .changes_fd = bpf_map__fd(from->maps.lt_cow_changes),
					 .wake_bytes = wake_bytes(options),
					 .pins = options->pins };

	kernel->cow = cow_open(&cow, hook);
}

static int open_parts(struct kernel *kernel, const struct kernel_options *options,
		      const struct btf *btf, const char *path)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = path);
	const struct kernel_offers offers = find_offers(btf);
	char cow_hook[COW_HOOK_SIZE];
	enum reach reach;
	int err = load_tracepoints(kernel, options, &offers, &opts);

	kernel->has_cookies = offers.cookies;
	kernel->io_uring_waits = offers.io_uring_waits;
	if (!err)
		err = map_counters(kernel);
	if (!err)
		err = open_cow_counts(kernel);
	if (!err)
		err = open_ring(kernel);
	if (err)
		return err;
	err = lifetrace_bpf__attach(kernel->tracepoints);
	if (err)
		return fail_program(err, "the kernel refuses to attach the BPF program",
				    not_attached(kernel->tracepoints->skeleton));
	pins_keep(options->pins, kernel->tracepoints->skeleton);
	attach_cow(kernel, options, btf, path, cow_hook);
	reach = attach_release(kernel, &opts, options, &offers);
	name_hooks(kernel, &offers, reach, cow_hook);
	err = open_calls(kernel, &opts, options, reach);
	name_call_hooks(kernel, strerror(-err));
	return 0;
}

/* ---- what another daemon left ---- */

static const struct {
	const char *program;
	enum lt_kind kind;
} senders[] = {
	{ "on_newtask", LT_FORK },
	{ "on_exec", LT_EXEC },
	{ "on_rename", LT_COMM },
	{ "on_exit", LT_EXIT },
	{ "on_free", LT_FREE },
	{ "on_signal", LT_NOTIFY },
	{ "on_deliver", LT_STOP },
	{ "on_wait", LT_WAIT },
	{ "on_cgroup_mkdir", LT_CGROUP },
	{ "on_cgroup_rmdir", LT_CGROUP_GONE },
	{ "on_release_fentry", LT_RELEASE },
	{ "on_release_kprobe", LT_RELEASE },
};

/* Counts that would go with their program are kept by those that stay. */
static void keep_misses(void *user, const char *program, uint64_t misses)
{
	struct kernel *kernel = user;
	enum lt_kind kind = calls_kind(program);

	for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++)
		if (!strcmp(senders[i].program, program))
			kind = senders[i].kind;
	if (kind)
		__sync_fetch_and_add(&kernel->counters->lost[kind], misses);
}

/* The end of the time comes first: until then nobody may find it passed. */
static uint64_t open_gate(struct kernel *kernel, uint64_t heartbeat_ns)
{
	volatile struct lt_gate *gate = &kernel->tracepoints->data_gate->lt_gate;
	uint64_t quiet_ns = gate->quiet_ns;

	gate->until_boot_ns = boot_ns() + heartbeat_ns;
	gate->until_mono_ns = clock_ns(CLOCK_MONOTONIC) + heartbeat_ns;
	gate->quiet_ns = 0;
	__sync_synchronize();
	gate->generation = pins_generation(kernel->pins);
	return quiet_ns;
}

/*
 * From the moment that the gate says so the new programs work, and the old ones
 * do nothing any more once an RCU grace period is over: then their ring has all
 * that it will have, and no record in it is unfinished. (On a CPU that is
 * between the two just then both have told: see struct told.)
 */
static void take_over(struct kernel *kernel, uint64_t heartbeat_ns)
{
	pins_commit(kernel->pins);
	kernel->quiet_ns = open_gate(kernel, heartbeat_ns);
	kernel->told_until_ns = boot_ns() + TOLD_TWICE_NS;
	if (pins_former_count(kernel->pins)) /* those that are at work are done after it */
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	for (int i = 0; i < pins_former_count(kernel->pins); i++)
		pins_former_detach(kernel->pins, i, keep_misses, kernel);
}

struct former {
	struct kernel *kernel;
	record_fn fn;
	void *user;
};

static int on_former_record(void *context, void *record, size_t len)
{
	struct former *former = context;
	struct kernel *kernel = former->kernel;
	const struct lt_hdr *hdr = record;

	if (is_last_of_former(kernel, record, len))
		return 0;
	if (read_told(&kernel->told[kernel->told_count % TOLD_MAX], record, len))
		kernel->told_count++;
	former->fn(former->user, record, len);
	if (len >= sizeof(*hdr) && hdr->kind < LT_KERNEL_KINDS)
		kernel->received[hdr->kind]++;
	return 0;
}

void kernel_drain_former(struct kernel *kernel, record_fn fn, void *user)
{
	struct former former = { kernel, fn, user };

	for (int i = 0; i < pins_former_count(kernel->pins); i++) {
		int fd = pins_former_ring(kernel->pins, i);
		struct ring_buffer *ring =
			fd < 0 ? NULL : ring_buffer__new(fd, on_former_record, &former, NULL);

		if (ring)
			ring_buffer__consume(ring);
		ring_buffer__free(ring);
		if (fd >= 0)
			close(fd);
		pins_former_remove(kernel->pins, i);
	}
}

void kernel_resume(struct kernel *kernel, const struct lt_ledger *ledger)
{
	memcpy(kernel->received, ledger->received, sizeof(kernel->received));
	kernel->last = ledger->last;
	kernel->last_id = ledger->last_id;
}

void kernel_fill_ledger(const struct kernel *kernel, struct lt_ledger *ledger)
{
	memcpy(ledger->received, kernel->received, sizeof(kernel->received));
	ledger->last = kernel->last;
	ledger->last_id = kernel->last_id;
}

uint64_t kernel_beat(struct kernel *kernel, uint64_t heartbeat_ns)
{
	uint64_t before_ns = kernel->quiet_ns, quiet_ns = open_gate(kernel, heartbeat_ns);

	kernel->quiet_ns = 0;
	return before_ns ? before_ns : quiet_ns;
}

typedef const void *elf_bytes_fn(size_t *size);

/* Of all that the kernel side is made from: what differs in it is another layout. */
static uint32_t checksum_of(const struct kernel_options *options)
{
	const uint64_t settings[] = { options->ring_bytes, options->best_hook, options->cow,
				      options->cow_max };
	static elf_bytes_fn *const objects[] = {
		lifetrace_bpf__elf_bytes,
		release_bpf__elf_bytes,
		calls_elf_bytes,
		cow_elf_bytes,
	};
	uLong sum = crc32(0, (const void *)settings, sizeof(settings));
	size_t size;

	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		const void *bytes = objects[i](&size);

		sum = crc32(sum, bytes, (uInt)size);
	}
	return (uint32_t)sum;
}

static int open_all(struct kernel *kernel, const struct kernel_options *options)
{
	const char *path = options->btf && *options->btf ? options->btf : NULL;
	struct btf *btf;
	int err;

	kernel->cpus = libbpf_num_possible_cpus();
	if (kernel->cpus < 1)
		return fail(kernel->cpus, "cannot count the CPUs");
	err = parse_btf(&btf, path);
	if (err)
		return err;
	if (options->pins)
		err = pins_choose(options->pins, checksum_of(options));
	if (err) {
		btf__free(btf);
		return fail(err, "cannot pin");
	}
	err = open_parts(kernel, options, btf, path);
	if (!err && kernel->pins)
		take_over(kernel, options->heartbeat_ns);
	btf__free(btf);
	malloc_trim(0); /* the kernel's BTF was parsed: some megabytes */
	return err;
}

int kernel_open(struct kernel **kernel, const struct kernel_options *options)
{
	struct kernel *k = calloc(1, sizeof(*k));
	int err;

	*kernel = NULL;
	*messages = '\0';
	libbpf_set_print(keep_message);
	if (!k)
		return fail(-ENOMEM, "opening the kernel side");
	raise_memlock();
	k->pins = options->pins;
	err = open_all(k, options);
	if (err) {
		pins_abandon(options->pins);
		kernel_close(k);
		return err;
	}
	*kernel = k;
	return 0;
}

void kernel_close(struct kernel *kernel)
{
	if (!kernel)
		return;
	ring_buffer__free(kernel->ring);
	if (kernel->positions)
		munmap((void *)kernel->positions, 2 * (size_t)sysconf(_SC_PAGESIZE));
	cow_counts_close(kernel->cow_counts);
	if (kernel->counters)
		munmap((void *)kernel->counters, kernel->counters_size);
	calls_free(kernel->calls);
	cow_close(kernel->cow);
	release_bpf__destroy(kernel->release);
	lifetrace_bpf__destroy(kernel->tracepoints);
	free(kernel);
}

const struct kernel_hook *kernel_hooks(const struct kernel *kernel)
{
	return kernel->hooks;
}

/* ---- reading ---- */

bool kernel_io_uring_waits(const struct kernel *kernel)
{
	return kernel->io_uring_waits;
}

bool kernel_has_cookies(const struct kernel *kernel)
{
	return kernel->has_cookies;
}

int kernel_ring_fd(const struct kernel *kernel)
{
	return bpf_map__fd(kernel->tracepoints->maps.lt_ring);
}

int kernel_counters_fd(const struct kernel *kernel)
{
	return bpf_map__fd(kernel->tracepoints->maps.lt_counters);
}

size_t kernel_drain(struct kernel *kernel, record_fn fn, void *user, size_t budget)
{
	kernel->fn = fn;
	kernel->user = user;
	kernel->budget = budget;
	kernel->drained = 0;
	note_fill(kernel);
	ring_buffer__consume(kernel->ring);
	return kernel->drained;
}

/* The iterator's records are all of one size; a read can end within one. */
/* What an iterator writes, records of one size each; closes fd. */
static int read_iterator(int fd, size_t size, record_fn fn, void *user)
{
	static char bytes[16384] __attribute__((aligned(LT_ALIGN)));
	size_t have = 0, done;
	ssize_t got;
	int err = 0;

	while ((got = read(fd, bytes + have, sizeof(bytes) - have)) != 0) {
		if (got < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			err = -errno;
			break;
		}
		have += (size_t)got;
		for (done = 0; done + size <= have; done += size)
			fn(user, bytes + done, size);
		have -= done;
		memmove(bytes, bytes + done, have);
	}
	close(fd);
	return err;
}

int kernel_scan(struct kernel *kernel, record_fn fn, void *user)
{
	/* a zombie's begin is reckoned from when this thread last came to run: now */
	const struct timespec moment = { .tv_nsec = 1 };
	int fd = bpf_iter_create(bpf_link__fd(kernel->tracepoints->links.on_scan));

	if (fd < 0)
		return -errno;
	nanosleep(&moment, NULL);
	return read_iterator(fd, sizeof(struct lt_life), fn, user);
}

int kernel_each_in_namespaces(const struct kernel *kernel, record_fn fn, void *user)
{
	int fd = bpf_iter_create(bpf_link__fd(kernel->tracepoints->links.on_namespaces));

	return fd < 0 ? -errno : read_iterator(fd, sizeof(struct lt_ns_task), fn, user);
}

bool kernel_works(const struct kernel *kernel)
{
	const struct lifetrace_bpf *skel = kernel->tracepoints;
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), key;
	int fd = bpf_iter_create(bpf_link__fd(skel->links.on_scan));
	int err = bpf_obj_get_info_by_fd(bpf_map__fd(skel->maps.lt_counters), &info, &len);

	if (fd < 0 || err)
		return false;
	close(fd);
	return !bpf_map_get_next_key(bpf_map__fd(skel->maps.lt_counters), NULL, &key);
}

static const struct bpf_program *find_program(const struct kernel *kernel, const char *name)
{
	const struct bpf_program *program =
		bpf_object__find_program_by_name(kernel->tracepoints->obj, name);

	if (!program && kernel->release)
		program = bpf_object__find_program_by_name(kernel->release->obj, name);
	return program;
}

/*
 * A program that is interrupted by itself is skipped by the kernel, which
 * counts that by program only (from 5.12 on). It happens from 7.0 on, where a
 * task can be preempted within a tracepoint's program. The event is lost as if
 * the ring had been full: for what a program sends at most.
 */
static void add_misses(const struct kernel *kernel, __u64 lost[LT_KERNEL_KINDS])
{
	for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
		const struct bpf_program *program = find_program(kernel, senders[i].program);
		struct bpf_prog_info info = { 0 };
		__u32 len = sizeof(info);
		int fd = program ? pins_program_fd(kernel->pins, program) : -1;

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len))
			lost[senders[i].kind] += info.recursion_misses;
	}
}

/* What the bounded maps had no room for, as far as it was looked at last. */
static void add_evicted(const struct kernel *kernel, __u64 lost[LT_KERNEL_KINDS])
{
	if (kernel->calls)
		calls_add_misses(kernel->calls, lost);
	lost[LT_WAIT] += kernel->evicted[LT_BOUNDED_WAITS];
	lost[LT_WAIT_CALL] += kernel->evicted[LT_BOUNDED_CALLS];
	lost[LT_FORK_END] += kernel->evicted[LT_BOUNDED_FORKS];
}

void kernel_counts(const struct kernel *kernel, __u64 sent[LT_KERNEL_KINDS],
		   __u64 lost[LT_KERNEL_KINDS])
{
	for (int kind = 0; kind < LT_KERNEL_KINDS; kind++) {
		sent[kind] = kernel->received[kind];
		lost[kind] = 0;
		for (int cpu = 0; cpu < kernel->cpus; cpu++) {
			lost[kind] += kernel->counters[cpu].lost[kind];
		}
	}
	for (int cpu = 0; cpu < kernel->cpus; cpu++)
		sent[LT_THREAD] += kernel->counters[cpu].threads;
	lost[LT_COW] += cow_counts_evicted(kernel->cow_counts);
	add_misses(kernel, lost);
	add_evicted(kernel, lost);
}

static void look_for_evicted(struct kernel *kernel)
{
	__u64 put[LT_BOUNDED] = { 0 }, taken[LT_BOUNDED] = { 0 };

	for (int cpu = 0; cpu < kernel->cpus; cpu++)
		for (int i = 0; i < LT_BOUNDED; i++) {
			put[i] += kernel->counters[cpu].put[i];
			taken[i] += kernel->counters[cpu].taken[i];
		}
	if (kernel->calls)
		calls_evicted(kernel->calls, put, taken, kernel->evicted);
}

void kernel_waits(struct kernel *kernel, record_fn fn, void *user)
{
	int fd = bpf_map__fd(kernel->tracepoints->maps.lt_waits);
	struct lt_wait record = { .hdr = { .size = sizeof(record), .kind = LT_WAITS } };
	__u32 key, *previous = NULL;

	look_for_evicted(kernel);
	record.hdr.time_ns = boot_ns();
	while (!bpf_map_get_next_key(fd, previous, &key)) {
		previous = &key;
		if (bpf_map_lookup_elem(fd, &key, &record.waits))
			continue;
		record.id.pid = key;
		record.id.start_ns = record.waits.start_ns;
		fn(user, &record, sizeof(record));
	}
}

/* ---- copy-on-write ---- */

void kernel_cows(struct kernel *kernel, bool all, record_fn fn, void *user)
{
	if (kernel->cow)
		cow_counts_read(kernel->cow_counts, all, boot_ns(), fn, user);
}

int kernel_look_at_cow(struct kernel *kernel, uint32_t pid)
{
	if (!kernel->cow)
		return -EOPNOTSUPP;
	cow_look_at(kernel->cow, pid);
	return 0;
}
