// SPDX-License-Identifier: GPL-2.0-only
#include "cow.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cow.skel.h"
#include "offers.h"

struct cow {
	struct cow_bpf *skel;
};

/* ---- the sets, the better ones first; daemon/offers.c says what they need ---- */

#define SET_PROGRAMS 4
#define HUGE_FUNCTION "do_huge_pmd_wp_page" /* CONFIG_TRANSPARENT_HUGEPAGE */

static const struct set {
	enum cow_set set;
	const char *hook;
	bool needs_huge;
	const char *programs[SET_PROGRAMS]; /* besides on_alloc */
} sets[] = {
	{ COW_COPIES,
	  "fentry/do_wp_page",
	  true,
	  { "on_wp_fentry", "on_wp_fexit", "on_huge_wp_fentry", "on_huge_wp_fexit" } },
	{ COW_COPIES,
	  "kprobe/do_wp_page",
	  true,
	  { "on_wp_kprobe", "on_wp_kretprobe", "on_huge_wp_kprobe", "on_huge_wp_kretprobe" } },
	{ COW_COPIES, "kprobe/do_wp_page", false, { "on_wp_kprobe", "on_wp_kretprobe" } },
	{ COW_FAULTS, "tp_btf/page_fault_user", false, { "on_user_fault", "on_kernel_fault" } },
	{ COW_FAULTS,
	  "tp_btf/page_fault_user (shared mappings count as reuses)",
	  false,
	  { "on_user_fault_any", "on_kernel_fault_any" } },
};

/* Where no set is offered, by what was wanted. */
static const char *const why_off[] = {
	[COW_OFF] = "cow = off",
	[COW_AUTO] = "this kernel has neither do_wp_page nor page_fault_user",
	[COW_COPIES] = "this kernel has no do_wp_page",
	[COW_FAULTS] = "this kernel has no page_fault_user",
};

static bool is_offered(const struct btf *btf, const struct set *set)
{
	bool has_huge = btf__find_by_name_kind(btf, HUGE_FUNCTION, BTF_KIND_FUNC) > 0;

	return offers_hook(btf, set->hook) && (has_huge || !set->needs_huge);
}

static bool has_program(const struct set *set, const char *name)
{
	for (int i = 0; i < SET_PROGRAMS && set->programs[i]; i++)
		if (!strcmp(set->programs[i], name))
			return true;
	return !strcmp(name, "on_alloc");
}

/* ---- loading ---- */

static int share_maps(struct cow_bpf *skel, const struct cow_options *options)
{
	int err = bpf_map__reuse_fd(skel->maps.lt_ring, options->ring_fd);

	if (!err)
		err = bpf_map__reuse_fd(skel->maps.lt_counters, options->counters_fd);
	if (!err)
		err = bpf_map__reuse_fd(skel->maps.lt_cows, options->cows_fd);
	if (!err)
		err = bpf_map__reuse_fd(skel->maps.lt_cow_slots, options->slots_fd);
	if (!err)
		err = bpf_map__reuse_fd(skel->maps.lt_cow_changes, options->changes_fd);
	return err;
}

static int load(struct cow_bpf *skel, const struct cow_options *options, const struct set *set)
{
	struct bpf_program *program = NULL;
	int err;

	skel->rodata->lt_wake_bytes = options->wake_bytes;
	skel->rodata->lt_generation = pins_generation(options->pins);
	skel->rodata->lt_cow_brackets = set->set == COW_COPIES;
	while ((program = bpf_object__next_program(skel->obj, program)))
		bpf_program__set_autoload(program, has_program(set, bpf_program__name(program)));
	err = share_maps(skel, options);
	if (!err)
		err = pins_take(options->pins, skel->obj);
	if (!err)
		err = cow_bpf__load(skel);
	if (!err)
		err = cow_bpf__attach(skel);
	if (!err)
		pins_keep(options->pins, skel->skeleton);
	return err;
}

/* No BTF tells what a lockdown forbids: what is offered is tried. */
static struct cow *try_set(const struct cow_options *options, const struct set *set, int *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = options->btf_path);
	struct cow *cow = calloc(1, sizeof(*cow));

	*err = -ENOMEM;
	if (cow)
		cow->skel = cow_bpf__open_opts(&opts);
	if (cow && cow->skel)
		*err = load(cow->skel, options, set);
	if (!*err)
		return cow;
	cow_close(cow);
	return NULL;
}

/* Of the sets, another daemon may have left one attached. */
static bool is_wanted(const struct cow_options *options, const struct set *set)
{
	if (pins_has_link(options->pins, "on_alloc"))
		return pins_has_link(options->pins, set->programs[0]);
	return options->wanted == COW_AUTO || options->wanted == set->set;
}

struct cow *cow_open(const struct cow_options *options, char hook[COW_HOOK_SIZE])
{
	int err;

	snprintf(hook, COW_HOOK_SIZE, "off: %s", why_off[options->wanted]);
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		const struct set *set = &sets[i];
		struct cow *cow;

		if (!is_wanted(options, set) || !is_offered(options->btf, set))
			continue;
		cow = try_set(options, set, &err);
		snprintf(hook, COW_HOOK_SIZE, cow ? "%s" : "off: %s: %s", set->hook,
			 strerror(-err));
		if (cow)
			return cow;
	}
	return NULL;
}

void cow_close(struct cow *cow)
{
	if (!cow)
		return;
	cow_bpf__destroy(cow->skel);
	free(cow);
}

const void *cow_elf_bytes(size_t *size)
{
	return cow_bpf__elf_bytes(size);
}

void cow_look_at(struct cow *cow, uint32_t pid)
{
	cow->skel->data_gate->lt_gate.looked_at = pid;
}
