// SPDX-License-Identifier: GPL-2.0-only
/* lifetrace top: from the words of the call to frames or a screen. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "top.h"

/* ---- what is asked for in words ---- */

static int apply_view(struct top *top, const struct top_options *options)
{
	int view = options->view ? top_find_view(options->view) : top->settings.first;

	if (view < 0 && options->view) {
		complain("top: unknown view '%.64s'", options->view);
		return USAGE;
	}
	if (view < 0 && (options->sort || options->reverse)) {
		complain("top: --sort and --reverse are of a --view");
		return USAGE;
	}
	top->settings.first = view;
	return DONE;
}

static int apply_look(struct top *top, const struct top_options *options)
{
	const struct top_view_info *info = &top_views[top->settings.first];
	struct top_look *look = &top->settings.looks[top->settings.first];

	if (options->sort) {
		look->sort = column_find(info->kind, options->sort);
		if (look->sort < 0) {
			complain("top: unknown column '%.64s' of %s", options->sort, info->name);
			return USAGE;
		}
	}
	look->reverse ^= options->reverse;
	return DONE;
}

static int apply_options(struct top *top, const struct options *options)
{
	const struct top_options *wish = &options->top;
	int status = apply_view(top, wish);

	if (!status && (wish->sort || wish->reverse))
		status = apply_look(top, wish);
	if (status)
		return status;
	if (wish->delay_ns &&
	    (wish->delay_ns < TOP_DELAY_MIN_NS || wish->delay_ns > TOP_DELAY_MAX_NS)) {
		complain("top: the delay may be 100ms to 60s");
		return USAGE;
	}
	if (options->at_ns && !wish->replay) {
		complain("top: --at is a moment of a --replay");
		return USAGE;
	}
	if (wish->delay_ns)
		top->settings.delay_ns = wish->delay_ns;
	if (wish->text)
		snprintf(top->text, sizeof(top->text), "%s", wish->text);
	return DONE;
}

/* ---- standard error, while the screen is ours ---- */

/* A private daemon has the same, and what it says must not be drawn over. */
struct held {
	int real, memory;
};

static struct held hold_stderr(void)
{
	struct held held = { dup(STDERR_FILENO), memfd_create("stderr", MFD_CLOEXEC) };

	if (held.memory >= 0)
		dup2(held.memory, STDERR_FILENO);
	return held;
}

static void release_stderr(const struct held *held)
{
	char bytes[4096];
	ssize_t len;

	fflush(stderr);
	if (held->real >= 0)
		dup2(held->real, STDERR_FILENO);
	for (off_t at = 0; (len = pread(held->memory, bytes, sizeof(bytes), at)) > 0; at += len)
		if (write(STDERR_FILENO, bytes, (size_t)len) < 0)
			break;
	close(held->real);
	close(held->memory);
}

/* ---- running ---- */

static int run(struct top *top, const struct options *options)
{
	const struct top_options *wish = &options->top;
	const struct feed_user user = { top_answered, top_happened, top };
	int status;

	top->feed = wish->replay ? replay_feed(wish->replay, options->at_ns, &user) :
				   daemon_feed(options, &user);
	if (!top->feed)
		return FAILED;
	status = wish->batch ? top_batch(top, wish) : top_interactive(top);
	top->feed->ops->close(top->feed);
	return status;
}

int run_top(const struct command *command, struct options *options)
{
	static struct top top;
	struct held held;
	char wrong[128];
	int status;

	(void)command;
	top_init(&top);
	if (toprc_load(&top.settings, wrong, sizeof(wrong))) {
		if (options->top.batch)
			complain("%s", wrong);
		else
			top_say(&top, "%s", wrong);
	}
	status = apply_options(&top, options);
	if (status)
		return status;
	if (options->top.batch) {
		status = run(&top, options);
	} else if (top_can_draw()) {
		held = hold_stderr();
		status = run(&top, options);
		release_stderr(&held);
	} else {
		status = FAILED;
	}
	top_free(&top);
	return status;
}
