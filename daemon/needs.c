// SPDX-License-Identifier: GPL-2.0-only
/* What is only switched on while somebody needs it. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "clock.h"
#include "core/text.h"
#include "log.h"
#include "loop.h"

/* Hooks that tax system calls are kept for so long after the last need: no flapping. */
#define CALLS_LINGER_NS (2 * NSEC_PER_SEC)
/* Who streams these by name asks for them. */
#define KINDS_OF_CALLS (1U << CHANGE_WAIT | 1U << CHANGE_FORK_FAIL)

/* ---- hooks that tax every system call: on by need ---- */

bool calls_wanted(const struct daemon *daemon)
{
	switch ((enum syscall_hooks)daemon->settings->syscall_hooks) {
	case SYSCALL_HOOKS_ALWAYS:
		return true;
	case SYSCALL_HOOKS_OFF:
		return false;
	case SYSCALL_HOOKS_AUTO:
		break;
	}
	return core_totals(daemon->core).flagged ||
	       (daemon->server && server_wishes(daemon->server).kinds & KINDS_OF_CALLS);
}

void watch_calls(struct daemon *daemon, bool watch)
{
	bool by_need = daemon->settings->syscall_hooks == SYSCALL_HOOKS_AUTO;
	int err = kernel_watch_calls(
		daemon->kernel, watch,
		by_need ? "no zombie is flagged, nobody asks (syscall_hooks = auto)" :
			  "syscall_hooks = off");

	if (err)
		log_warn("cannot watch system calls: %s", strerror(-err));
	daemon->watching_calls = watch;
	feed_hooks(daemon);
}

void watch_calls_for(struct daemon *daemon, uint64_t ns)
{
	if (!kernel_calls_tax(daemon->kernel))
		return;
	if (!daemon->watching_calls)
		watch_calls(daemon, true);
	daemon->calming = true;
	arm(daemon->calm, boot_ns() + ns);
}

void plan_calls(struct daemon *daemon)
{
	bool wanted = calls_wanted(daemon);
	bool off = daemon->settings->syscall_hooks == SYSCALL_HOOKS_OFF;

	if (!kernel_calls_tax(daemon->kernel))
		return;
	if (wanted || !daemon->watching_calls || off) {
		sd_event_source_set_enabled(daemon->calm, SD_EVENT_OFF);
		daemon->calming = false;
		if (wanted != daemon->watching_calls)
			watch_calls(daemon, wanted);
	} else if (!daemon->calming) {
		watch_calls_for(daemon, CALLS_LINGER_NS);
	}
}

int on_calm(sd_event_source *source, uint64_t usec, void *user)
{
	struct daemon *daemon = user;

	(void)source;
	(void)usec;
	daemon->calming = false;
	if (!calls_wanted(daemon))
		watch_calls(daemon, false);
	return 0;
}

void on_wishes(void *user)
{
	struct daemon *daemon = user;
	struct server_wishes wishes = server_wishes(daemon->server);

	plan_calls(daemon);
	kernel_send_wait_calls(daemon->kernel, wishes.records || wishes.kinds & 1U << CHANGE_WAIT);
}

/* ---- stacks: of those that leak, and of nobody else ---- */

struct parents {
	struct lt_id all[LT_STACK_PARENTS];
	size_t count;
};

static void note_parent(void *user, struct lt_id id)
{
	struct parents *parents = user;

	if (parents->count < LT_STACK_PARENTS)
		parents->all[parents->count++] = id;
}

void plan_stacks(struct daemon *daemon)
{
	uint64_t version = core_leakers_version(daemon->core);
	static struct parents parents;
	bool was_taken = daemon->stacks_taken;
	int was_err = daemon->stacks_err;

	if (!daemon->stacks || version == daemon->stacks_version)
		return;
	daemon->stacks_version = version;
	parents.count = 0;
	if (daemon->stacks_also.pid)
		note_parent(&parents, daemon->stacks_also);
	core_each_leaker(daemon->core, note_parent, &parents);
	daemon->stacks_err = stacks_of(daemon->stacks, parents.all, parents.count);
	daemon->stacks_taken = parents.count > 0;
	if (daemon->stacks_err && daemon->stacks_err != was_err)
		log_warn("cannot take stacks: %s", strerror(-daemon->stacks_err));
	if (daemon->stacks_err != was_err || daemon->stacks_taken != was_taken)
		feed_stacks_hook(daemon);
}

int want_stacks(void *user, uint64_t pid)
{
	struct daemon *daemon = user;

	if (daemon->stacks_err || !daemon->stacks)
		return daemon->stacks_err ? daemon->stacks_err : -EOPNOTSUPP;
	if (!pid)
		return 0;
	if (!core_find(daemon->core, pid, &daemon->stacks_also))
		return -ESRCH;
	daemon->stacks_version = UINT64_MAX; /* no such one */
	plan_stacks(daemon);
	return 0;
}
