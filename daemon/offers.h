/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a kernel offers to each need: every difference between kernels that
 * decides which hook serves, one line each, by BTF and never by trial. What the
 * BPF programs must know of a kernel besides is in bpf/compat.bpf.h.
 *
 * A lockdown or missing capabilities are in no BTF: of the hooks that are
 * offered the daemon takes the first that the kernel lets it attach.
 */
#ifndef LT_OFFERS_H
#define LT_OFFERS_H

#include <bpf/btf.h>
#include <stdbool.h>
#include <stddef.h>

enum btf_need {
	NEED_NOTHING,
	NEED_TRACEPOINT, /* with at least so many arguments */
	NEED_FUNCTION,	 /* with exactly so many arguments; -1: any */
	NEED_HELPER,	 /* a value of enum bpf_func_id */
	NEED_FENTRY,	 /* programs at functions' entries and exits */
};

#define OFFER_NEEDS 3

struct offer {
	const char *what; /* the need, as `status` names it */
	const char *hook; /* as `status` names it; the better ones of a need come first */
	struct {
		enum btf_need need;
		const char *name;
		int args;
	} needs[OFFER_NEEDS];
	bool on_demand;	      /* attached only while it is wanted */
	const char *since;    /* the commit that brought it, and its release; NULL: before 5.10 */
	const char *not_seen; /* what is not seen, NULL: nothing */
};

extern const struct offer hook_offers[];
extern const size_t hook_offer_count;

bool offer_is_there(const struct btf *btf, const struct offer *offer);
bool offers_function(const struct btf *btf, const char *name);
/* By the hook's name; false for one that is in no line. */
bool offers_hook(const struct btf *btf, const char *hook);

#endif
