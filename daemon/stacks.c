// SPDX-License-Identifier: GPL-2.0-only
#include "stacks.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "stacks.skel.h"

struct stacks {
	struct stacks_bpf *skel;
	struct bpf_link *link; /* NULL: not attached */
};

int stacks_open(struct stacks **stacks, const struct stacks_options *options)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts,
		    .btf_custom_path = options->btf && *options->btf ? options->btf : NULL);
	struct stacks *s = calloc(1, sizeof(*s));
	int err;

	*stacks = NULL;
	if (!s)
		return -ENOMEM;
	s->skel = stacks_bpf__open_opts(&opts);
	if (!s->skel) {
		err = -errno;
		free(s);
		return err;
	}
	s->skel->rodata->lt_wake_bytes = options->ring_bytes / 4;
	err = bpf_map__reuse_fd(s->skel->maps.lt_ring, options->ring_fd);
	if (!err)
		err = bpf_map__reuse_fd(s->skel->maps.lt_counters, options->counters_fd);
	if (!err)
		err = stacks_bpf__load(s->skel);
	if (err) {
		stacks_close(s);
		return err;
	}
	*stacks = s;
	return 0;
}

void stacks_close(struct stacks *stacks)
{
	if (!stacks)
		return;
	bpf_link__destroy(stacks->link);
	stacks_bpf__destroy(stacks->skel);
	free(stacks);
}

static int by_pid(const void *a, const void *b)
{
	const struct lt_id *left = a, *right = b;

	return (left->pid > right->pid) - (left->pid < right->pid);
}

/* Those that stay are there all the while: they can fork at any time. */
static void leave_only(int fd, struct lt_id *parents, size_t count)
{
	__u32 key, last, *after = NULL;

	qsort(parents, count, sizeof(*parents), by_pid);
	while (!bpf_map_get_next_key(fd, after, &key)) {
		struct lt_id sought = { .pid = key };

		if (bsearch(&sought, parents, count, sizeof(*parents), by_pid)) {
			last = key;
			after = &last;
		} else if (bpf_map_delete_elem(fd, &key)) {
			return;
		}
	}
}

int stacks_of(struct stacks *stacks, struct lt_id *parents, size_t count)
{
	int fd = bpf_map__fd(stacks->skel->maps.lt_stack_parents);

	leave_only(fd, parents, count);
	for (size_t i = 0; i < count && i < LT_STACK_PARENTS; i++) {
		__u32 key = (__u32)parents[i].pid;

		bpf_map_update_elem(fd, &key, &parents[i].start_ns, BPF_ANY);
	}
	if (!count) {
		bpf_link__destroy(stacks->link);
		stacks->link = NULL;
	} else if (!stacks->link) {
		stacks->link = bpf_program__attach(stacks->skel->progs.on_newtask_stack);
		if (!stacks->link)
			return -errno;
	}
	return 0;
}
