// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: empty TRACEPOINT...
 *
 * A program that does nothing at each of these tracepoints, until it is killed: what the kernel
 * itself takes for calling programs there, and what no program can therefore cost less than.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct bpf_insn nothing[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
	{ .code = BPF_JMP | BPF_EXIT },
};

static bool attach(const char *tracepoint)
{
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_RAW_TP);
	int fd, btf_id = libbpf_find_vmlinux_btf_id(tracepoint, BPF_TRACE_RAW_TP);

	if (btf_id < 0) {
		errno = -btf_id;
		return false;
	}
	options.attach_btf_id = (__u32)btf_id;
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "empty", "GPL", nothing,
			   sizeof(nothing) / sizeof(nothing[0]), &options);
	return fd >= 0 && bpf_raw_tracepoint_open(NULL, fd) >= 0;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs("usage: empty TRACEPOINT...\n", stderr);
		return 2;
	}
	for (int i = 1; i < argc; i++) {
		if (!attach(argv[i])) {
			fprintf(stderr, "empty: %s: %s\n", argv[i], strerror(errno));
			return 1;
		}
	}
	for (;;)
		pause();
}
