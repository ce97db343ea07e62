// SPDX-License-Identifier: GPL-2.0-only
#include "offers.h"

#include <string.h>

/* 2aa6ac03516d ("arm64: ftrace: Add direct call support", 6.4): fentry needs it, x86 had it before 5.10. */
#if defined(__aarch64__)
#define FENTRY_NEEDS_DIRECT_CALLS true
#define SINCE_FENTRY(since_x86) .since = "2aa6ac03516d, 6.4"
#else
#define FENTRY_NEEDS_DIRECT_CALLS false
#define SINCE_FENTRY(since_x86) .since = since_x86
#endif

/* clang-format off */
#define TP(tracepoint, arguments) { NEED_TRACEPOINT, tracepoint, arguments }
#define FN(function, arguments) { NEED_FUNCTION, function, arguments }
#define HELPER(helper) { NEED_HELPER, helper, 0 }
#define FENTRY { NEED_FENTRY, NULL, 0 }
#define KPROBES FN("register_kprobe", 1)
#define OFFER(need, name, ...) .what = need, .hook = name, .needs = { __VA_ARGS__ }
#define TAXES .on_demand = true
#define NOT_BY_SYSCALLS \
	"waits by io_uring; answers to 32-bit programs; whom a waitid without siginfo took"
#define NOT_BY_CLONES "forks by 32-bit programs: how long they took, and that they failed"

const struct offer hook_offers[] = {
	{ OFFER("birth", "tp_btf/task_newtask", TP("task_newtask", 2)) },

	{ OFFER("exec", "tp_btf/sched_process_exec", TP("sched_process_exec", 3)) },

	{ OFFER("exit", "tp_btf/sched_process_exit (group_dead)", TP("sched_process_exit", 2)),
	  .since = "3e816361e94a, 6.16" },
	{ OFFER("exit", "tp_btf/sched_process_exit (signal->live)", TP("sched_process_exit", 1)),
	  .not_seen = "which of two threads that exit at once ends their process: the first counts" },

	{ OFFER("zombie", "tp_btf/signal_generate", TP("signal_generate", 5)) },

	{ OFFER("reap", "fentry/release_task", FN("release_task", 1), FENTRY), SINCE_FENTRY(NULL) },
	{ OFFER("reap", "kprobe/release_task", FN("release_task", 1), KPROBES) },
	{ OFFER("reap", "tp_btf/sched_process_free", TP("sched_process_free", 1)),
	  .not_seen = "when a reap is, to some 30 ms (an RCU grace period); and by whom, unless a "
		      "wait tells: the last parent is taken for it" },

	{ OFFER("wait", "tp_btf/sched_process_wait", TP("sched_process_wait", 1)) },

	{ OFFER("wait_results", "fexit/do_wait", FN("do_wait", 1), FENTRY), SINCE_FENTRY(NULL),
	  .not_seen = "waits by io_uring" },
	{ OFFER("wait_results", "kretprobe/do_wait", FN("do_wait", 1), KPROBES),
	  .not_seen = "waits by io_uring; a child's death from its stop, in a call that asked for "
		      "both; answers beyond the kernel's return slots (counted as lost)" },
	{ OFFER("wait_results", "tp/syscalls/sys_exit_wait4", FN("perf_syscall_exit", -1)), TAXES,
	  .not_seen = NOT_BY_SYSCALLS },
	{ OFFER("wait_results", "tp_btf/sys_exit", TP("sys_exit", 2)), TAXES,
	  .not_seen = NOT_BY_SYSCALLS },

	{ OFFER("fork_cost", "fentry/kernel_clone", FN("kernel_clone", 1), FENTRY), SINCE_FENTRY(NULL) },
	{ OFFER("fork_cost", "kprobe/kernel_clone", FN("kernel_clone", 1), KPROBES) },
	{ OFFER("fork_cost", "tp/syscalls/sys_enter_clone", FN("perf_syscall_enter", -1)), TAXES,
	  .not_seen = NOT_BY_CLONES },
	{ OFFER("fork_cost", "tp_btf/sys_enter", TP("sys_enter", 2)), TAXES,
	  .not_seen = NOT_BY_CLONES },

	/* before it do_huge_pmd_wp_page() takes a struct by value, which fentry refuses */
	{ OFFER("cow", "fentry/do_wp_page", FN("do_wp_page", 1), FN("do_huge_pmd_wp_page", 1), FENTRY),
	  SINCE_FENTRY("5db4f15c4fd7, 5.14"),
	  .not_seen = "huge pages of hugetlbfs" },
	{ OFFER("cow", "kprobe/do_wp_page", FN("do_wp_page", 1), KPROBES),
	  .not_seen = "huge pages of hugetlbfs" },
	{ OFFER("cow", "tp_btf/page_fault_user", TP("page_fault_user", 3),
		TP("page_fault_kernel", 3), HELPER("BPF_FUNC_find_vma")),
	  .since = "7c7e3d31e785, 5.17; x86 only",
	  .not_seen = "most writes of the kernel itself to shared pages; huge pages of hugetlbfs" },
	{ OFFER("cow", "tp_btf/page_fault_user (shared mappings count as reuses)",
		TP("page_fault_user", 3), TP("page_fault_kernel", 3)),
	  .since = "3.13; x86 only",
	  .not_seen = "most writes of the kernel itself to shared pages; huge pages of hugetlbfs; "
		      "a reuse apart from a first write to a shared mapping" },

	{ OFFER("exit_handlers", "uprobe/exit", FN("uprobe_register", -1),
		HELPER("BPF_FUNC_get_attach_cookie")),
	  .since = "7adfc6c9b315, 5.15",
	  .not_seen = "programs that map no C library: static ones, Go; _exit() of a process from "
		      "before its library was covered" },
	{ OFFER("exit_handlers", "uprobe/exit without cookies", FN("uprobe_register", -1)),
	  .not_seen = "programs that map no C library: static ones, Go; _exit() from the end of "
		      "an exit() called before the library was covered" },

	{ OFFER("stacks", "tp_btf/task_newtask", TP("task_newtask", 2)), .on_demand = true,
	  .not_seen = "where children were forked before their parent held a flagged zombie" },
};
/* clang-format on */

const size_t hook_offer_count = sizeof(hook_offers) / sizeof(hook_offers[0]);

/* Arguments of a tracepoint, its own context not counted; -1: no such one. */
static int tracepoint_args(const struct btf *btf, const char *name)
{
	const struct btf_type *type;
	char typedef_name[64] = "btf_trace_";
	int id;

	strncat(typedef_name, name, sizeof(typedef_name) - strlen(typedef_name) - 1);
	id = btf__find_by_name_kind(btf, typedef_name, BTF_KIND_TYPEDEF);
	if (id < 0)
		return -1;
	type = btf__type_by_id(btf, btf__type_by_id(btf, (__u32)id)->type); /* pointer */
	type = btf__type_by_id(btf, type->type);
	return btf_vlen(type) - 1;
}

/* Arguments of a function; -1: no such one. */
static int function_args(const struct btf *btf, const char *name)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (__u32)id) : NULL;

	return type ? btf_vlen(btf__type_by_id(btf, type->type)) : -1;
}

static bool has_helper(const struct btf *btf, const char *name)
{
	int id = btf__find_by_name_kind(btf, "bpf_func_id", BTF_KIND_ENUM);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (__u32)id) : NULL;

	for (int i = 0; type && i < btf_vlen(type); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_enum(type)[i].name_off), name))
			return true;
	return false;
}

/* dbaccb618fab ("ftrace: Store direct called addresses in their ops", 6.4): there only with direct calls. */
static bool has_direct_calls(const struct btf *btf)
{
	int id = btf__find_by_name_kind(btf, "ftrace_ops", BTF_KIND_STRUCT);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (__u32)id) : NULL;

	for (int i = 0; type && i < btf_vlen(type); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_members(type)[i].name_off), "direct_call"))
			return true;
	return false;
}

static bool has(const struct btf *btf, enum btf_need need, const char *name, int args)
{
	switch (need) {
	case NEED_TRACEPOINT:
		return tracepoint_args(btf, name) >= args;
	case NEED_FUNCTION:
		return args < 0 ? function_args(btf, name) >= 0 : function_args(btf, name) == args;
	case NEED_HELPER:
		return has_helper(btf, name);
	case NEED_FENTRY:
		return !FENTRY_NEEDS_DIRECT_CALLS || has_direct_calls(btf);
	case NEED_NOTHING:
		break;
	}
	return true;
}

bool offer_is_there(const struct btf *btf, const struct offer *offer)
{
	for (int i = 0; i < OFFER_NEEDS; i++)
		if (!has(btf, offer->needs[i].need, offer->needs[i].name, offer->needs[i].args))
			return false;
	return true;
}

bool offers_function(const struct btf *btf, const char *name)
{
	return function_args(btf, name) >= 0;
}

bool offers_hook(const struct btf *btf, const char *hook)
{
	for (size_t i = 0; i < hook_offer_count; i++)
		if (!strcmp(hook_offers[i].hook, hook))
			return offer_is_there(btf, &hook_offers[i]);
	return false;
}
