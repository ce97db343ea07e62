// SPDX-License-Identifier: GPL-2.0-only
#include "daemon.h"

#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "alert_journal.h"
#include "clock.h"
#include "confine.h"
#include "core/text.h"
#include "crash.h"
#include "listen.h"
#include "log.h"
#include "loop.h"
#include "names.h"
#include "proc.h"
#include "silences.h"

#define BATCH_ACCURACY_USEC 5000
#define DUE_ACCURACY_USEC 1000
#define PASS_ACCURACY_USEC 100000
#define BEAT_ACCURACY_USEC 100000

static void to_journal(struct daemon *daemon, const struct change *change)
{
	int err = alert_journal(daemon->journal_fd, daemon->core, change);

	if (err && !daemon->journal_err)
		log_warn("journald does not take alerts: %s", strerror(-err));
	else if (!err && daemon->journal_err)
		log_info("journald takes alerts again");
	daemon->journal_err = err;
	daemon->alerts_dropped += err != 0;
}

static void on_change(void *user, const struct change *change)
{
	struct daemon *daemon = user;

	if (daemon->server)
		server_change(daemon->server, change);
	if (change->kind == CHANGE_ALERT)
		to_journal(daemon, change);
}

/* ---- pins ---- */

/* Seen by the programs: a daemon lives. Four times as often as they must see it. */
static void beat(struct daemon *daemon)
{
	uint64_t now_ns = boot_ns(), quiet_ns;
	char text[32];

	if (!daemon->keep.pins)
		return;
	quiet_ns = kernel_beat(daemon->kernel, daemon->settings->heartbeat_ns);
	arm(daemon->beat, now_ns + daemon->settings->heartbeat_ns / 4);
	if (!quiet_ns)
		return;
	text_format_duration(now_ns - quiet_ns, text, sizeof(text));
	log_warn(
		"nothing was observed for %s: no daemon had been heard of for longer than heartbeat",
		text);
	feed_start(daemon);
	want_pass(daemon);
}

static int on_beat(sd_event_source *source, uint64_t usec, void *user)
{
	(void)source;
	(void)usec;
	beat(user);
	return 0;
}

int daemon_detach(const struct settings *settings, bool stale_only)
{
	const char *dir = *settings->pin_dir ? settings->pin_dir : PINS_DEFAULT_DIR;
	char why[PINS_WHY_SIZE];
	int count = keep_detach_all(dir, settings->journal_dir, stale_only, why);

	if (count == -EBUSY && stale_only)
		return 0;
	if (count < 0)
		log_error("cannot detach: %s", why);
	else
		log_info("%s", count ? "detached" : "nothing to detach");
	return count < 0;
}

/* Whether it is also kept is in *kept: without that it lasts as long as this daemon. */
static int silence(void *user, const char *what, uint64_t for_ns, bool *kept)
{
	struct daemon *daemon = user;
	int err = silences_change(daemon->core, what, for_ns, feed, daemon);

	if (err)
		return err;
	plan_due(daemon);
	if (!*daemon->settings->silences)
		return 0;
	err = silences_save(daemon->settings->silences, daemon->core);
	*kept = !err;
	if (err)
		log_warn("%s: %s", daemon->settings->silences, strerror(-err));
	return 0;
}

static void load_silences(struct daemon *daemon)
{
	int err = *daemon->settings->silences ?
			  silences_load(daemon->settings->silences, feed, daemon) :
			  0;

	if (err)
		log_warn("%s: %s", daemon->settings->silences,
			 err == -EBADMSG ? "not all of it is silences" : strerror(-err));
}

/* ---- signals, lifeline ---- */

int daemon_settings(struct settings *settings, struct invocation *invocation,
		    const struct command_line *command_line)
{
	char error[SETTINGS_ERROR_SIZE];
	int err;

	/* the command line says where the file is, and wins over it */
	settings_defaults(settings);
	err = settings_parse(settings, invocation, command_line->argc, command_line->argv, error);
	if (!err && invocation->config) {
		settings_defaults(settings);
		err = settings_load(settings, invocation->config, error);
		if (!err)
			err = settings_parse(settings, invocation, command_line->argc,
					     command_line->argv, error);
	}
	if (err)
		log_error("%s", error);
	return err;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *user)
{
	struct daemon *daemon = user;
	struct invocation invocation;
	struct settings fresh;
	const char *stays;

	(void)source;
	(void)info;
	notify_reloading();
	if (daemon_settings(&fresh, &invocation, daemon->command_line)) {
		log_warn("the settings stay as they were");
		notify_ready(daemon->notify);
		return 0;
	}
	stays = settings_reload(daemon->settings, &fresh);
	if (stays)
		log_warn("%s needs a restart; it stays as it was", stays);
	feed_policy(daemon);
	feed_alert_policy(daemon);
	beat(daemon);
	watch_calls(daemon, calls_wanted(daemon)); /* also names the reason anew */
	plan_due(daemon);
	log_info("settings reloaded");
	notify_ready(daemon->notify);
	return 0;
}

static int on_lifeline(sd_event_source *source, int fd, uint32_t events, void *user)
{
	char byte;

	(void)events;
	(void)user;
	if (read(fd, &byte, 1) > 0)
		return 0;
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int add_signals(struct daemon *daemon)
{
	sigset_t mask;
	int err;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &mask, NULL))
		return -errno;
	err = sd_event_add_signal(daemon->event, NULL, SIGTERM, NULL, NULL);
	if (err >= 0)
		err = sd_event_add_signal(daemon->event, NULL, SIGINT, NULL, NULL);
	if (err >= 0)
		err = sd_event_add_signal(daemon->event, NULL, SIGHUP, on_reload, daemon);
	return err;
}

/* ---- opening and closing ---- */

static int add_timer(struct daemon *daemon, sd_event_source **source, uint64_t accuracy_usec,
		     sd_event_time_handler_t fn)
{
	int err = sd_event_add_time(daemon->event, source, CLOCK_BOOTTIME, 0, accuracy_usec, fn,
				    daemon);

	if (err >= 0)
		err = sd_event_source_set_enabled(*source, SD_EVENT_OFF);
	return err;
}

static int add_sources(struct daemon *daemon, const struct invocation *invocation)
{
	int err = add_timer(daemon, &daemon->batch, BATCH_ACCURACY_USEC, on_batch);

	if (err >= 0)
		err = add_timer(daemon, &daemon->due, DUE_ACCURACY_USEC, on_due);
	if (err >= 0)
		err = add_timer(daemon, &daemon->look, PASS_ACCURACY_USEC, on_look);
	if (err >= 0)
		err = add_timer(daemon, &daemon->pass, PASS_ACCURACY_USEC, on_pass);
	if (err >= 0)
		err = add_timer(daemon, &daemon->sweep, PASS_ACCURACY_USEC, on_sweep);
	if (err >= 0)
		err = add_timer(daemon, &daemon->calm, PASS_ACCURACY_USEC, on_calm);
	if (err >= 0)
		err = add_timer(daemon, &daemon->beat, BEAT_ACCURACY_USEC, on_beat);
	if (err >= 0)
		err = sd_event_add_defer(daemon->event, &daemon->more, on_more, daemon);
	if (err >= 0)
		err = sd_event_source_set_enabled(daemon->more, SD_EVENT_OFF);
	if (err >= 0)
		err = sd_event_add_defer(daemon->event, &daemon->libraries, on_libraries, daemon);
	if (err >= 0)
		err = sd_event_source_set_enabled(daemon->libraries, SD_EVENT_OFF);
	if (err >= 0)
		err = sd_event_add_io(daemon->event, &daemon->ring, kernel_ring_fd(daemon->kernel),
				      EPOLLIN | EPOLLET, on_ring, daemon);
	if (err >= 0 && invocation->lifeline >= 0)
		err = sd_event_add_io(daemon->event, &daemon->lifeline, invocation->lifeline,
				      EPOLLIN, on_lifeline, daemon);
	return err;
}

/* Returns the descriptor or -errno; what is wrong is told. */
static int own_socket(const char *path)
{
	pid_t holder;
	int fd = listen_on(path, &holder);

	if (fd == -EADDRINUSE)
		log_error("another lifetraced, pid %d, holds %s", holder, path);
	else if (fd == -EEXIST)
		log_error("%s is in the way: it is no socket", path);
	else if (fd < 0)
		log_error("cannot listen on %s: %s", path, strerror(-fd));
	return fd;
}

static int open_socket(struct daemon *daemon)
{
	int fd = listen_passed(&daemon->metrics_fd);

	daemon->passed = fd >= 0;
	if (!daemon->passed)
		fd = own_socket(daemon->settings->socket);
	daemon->listen_fd = fd < 0 ? -1 : fd;
	return fd < 0 ? fd : 0;
}

static int open_metrics_socket(struct daemon *daemon)
{
	const char *where = daemon->settings->metrics_listen;
	int fd;

	if (daemon->metrics_fd >= 0) /* passed by the service manager */
		return 0;
	fd = *where ? listen_on_tcp(where) : -1;
	daemon->metrics_fd = fd < 0 ? -1 : fd;
	if (!*where || fd >= 0)
		return 0;
	if (fd == -EINVAL)
		log_error("metrics_listen: '%s' is neither a port nor an address and a port",
			  where);
	else
		log_error("metrics_listen: cannot listen on %s: %s", where, strerror(-fd));
	return fd;
}

static int open_kernel(struct daemon *daemon)
{
	struct kernel_options options = { .ring_bytes = daemon->settings->ring_bytes,
					  .best_hook = (unsigned)daemon->settings->best_hook,
					  .btf = daemon->settings->btf,
					  .cow = (enum cow_set)daemon->settings->cow,
					  .cow_max = daemon->settings->cow_max,
					  .heartbeat_ns = daemon->settings->heartbeat_ns,
					  .pins = daemon->keep.pins };
	int err;

	if (!proc_in_initial_pidns()) {
		log_error("needs the host's pid namespace and its /proc "
			  "(in a container: --pid=host, hostPID)");
		return -EPERM;
	}
	err = kernel_open(&daemon->kernel, &options);
	if (err)
		log_error("cannot observe this kernel: %s", kernel_error());
	return err;
}

/* Not without which nothing goes: what is wrong is told, and stands among the hooks. */
static void open_handlers(struct daemon *daemon)
{
	const struct handlers_options options = {
		.ring_fd = kernel_ring_fd(daemon->kernel),
		.counters_fd = kernel_counters_fd(daemon->kernel),
		.ring_bytes = daemon->settings->ring_bytes,
		.btf = daemon->settings->btf,
		.repair_interval_ns = daemon->settings->repair_interval_ns,
		.has_cookies = kernel_has_cookies(daemon->kernel),
	};

	if (!daemon->settings->exit_handlers)
		return;
	daemon->handlers_err = handlers_open(&daemon->handlers, &options);
	if (daemon->handlers_err)
		log_warn("cannot observe exit handlers: %s", strerror(-daemon->handlers_err));
}

static void open_stacks(struct daemon *daemon)
{
	const struct stacks_options options = {
		.ring_fd = kernel_ring_fd(daemon->kernel),
		.counters_fd = kernel_counters_fd(daemon->kernel),
		.ring_bytes = daemon->settings->ring_bytes,
		.btf = daemon->settings->btf,
	};

	if (!daemon->settings->stacks)
		return;
	daemon->stacks_err = stacks_open(&daemon->stacks, &options);
	if (daemon->stacks_err)
		log_warn("cannot take stacks: %s", strerror(-daemon->stacks_err));
}

static int open_server(struct daemon *daemon)
{
	struct server_context context = { .core = daemon->core,
					  .refresh = refresh,
					  .refresh_counts = refresh_counts,
					  .journal_dropped = journal_dropped,
					  .look_at_cow = look_at_cow,
					  .ask_why = ask_why,
					  .silence = silence,
					  .want_stacks = want_stacks,
					  .wishes_changed = on_wishes,
					  .user = daemon };
	int err = server_new(&daemon->server, daemon->event, daemon->listen_fd, daemon->metrics_fd,
			     daemon->settings, &context);

	if (err)
		log_error("cannot serve clients: %s", strerror(-err));
	return err;
}

static struct notify_news news(void *user)
{
	const struct daemon *daemon = user;
	struct core_totals totals = core_totals(daemon->core);

	return (struct notify_news){ .processes = totals.processes, .flagged = totals.flagged };
}

static int open_pins(struct daemon *daemon)
{
	int err =
		keep_open(&daemon->keep, daemon->settings->pin_dir, daemon->settings->journal_dir);

	if (err)
		log_error("%s", daemon->keep.why);
	else if (!daemon->keep.pins && *daemon->settings->pin_dir)
		log_warn("nothing outlives this daemon: %s", daemon->keep.why);
	return err;
}

/*
 * Hooks on system calls went with the other daemon, as when they are off: that
 * nobody saw calls end since then is no loss.
 */
static void forget_unseen_ends(struct daemon *daemon)
{
	__u64 sent[LT_KERNEL_KINDS], lost[LT_KERNEL_KINDS];

	kernel_counts(daemon->kernel, sent, lost);
	daemon->lost[LT_WAIT_CALL] = lost[LT_WAIT_CALL];
}

/* What another daemon knew, and what its programs have told since. */
static bool resume(struct daemon *daemon)
{
	char hook[KEEP_HOOK_SIZE];
	struct kept kept;
	bool resumed = keep_resume(&daemon->keep, daemon->core, daemon->kernel, &kept);

	daemon->started_ns = kept.started_ns;
	memcpy(daemon->lost, kept.lost, sizeof(daemon->lost));
	if (resumed && kernel_calls_tax(daemon->kernel))
		forget_unseen_ends(daemon);
	keep_begin(&daemon->keep, daemon->core, daemon->kernel, daemon->lost);
	if (daemon->keep.pins) {
		keep_hook(&daemon->keep, hook);
		log_info("pins: %s", hook);
	}
	kernel_drain_former(daemon->kernel, feed_from_ring, daemon);
	return resumed;
}

/*
 * Events gather in the ring from before the first pass: nothing falls between.
 * With what another daemon knew it is a pass as any other.
 */
static void seed(struct daemon *daemon)
{
	bool resumed = resume(daemon);

	feed_start(daemon);
	feed_policy(daemon);
	feed_alert_policy(daemon);
	load_silences(daemon);
	watch_calls(daemon, calls_wanted(daemon));
	proc_cgroups(boot_ns(), feed, daemon);
	beat(daemon);
	make_pass(daemon, !resumed);
	drain(daemon);
	/* the ring may have been filling since before it was watched */
	sd_event_source_set_enabled(daemon->more, SD_EVENT_ONESHOT);
}

static bool works(void *user)
{
	const struct daemon *daemon = user;

	return kernel_works(daemon->kernel);
}

/* Where its own socket lies; a private daemon's directory goes with it. */
static const char *socket_directory(const struct daemon *daemon, bool is_private, char *copy)
{
	if (daemon->passed)
		return NULL;
	strcpy(copy, daemon->settings->socket);
	return is_private ? dirname(dirname(copy)) : dirname(copy);
}

/* Root has by hand what taxes the host less: the classic tracepoints of calls. */
static bool is_to_confine(const struct settings *settings)
{
	return settings->confine == CONFINE_ON || (settings->confine == CONFINE_AUTO && geteuid());
}

/* What the kernel does not give up is told; it is no reason not to observe. */
static void give_up_rights(struct daemon *daemon, const struct invocation *invocation)
{
	bool is_private = invocation->lifeline >= 0;
	char copy[sizeof(daemon->settings->socket)], state[SETTING_TEXT_SIZE];
	char words[CONFINE_WORDS_SIZE];
	const struct confine_options options = {
		.config = invocation->config,
		.removes_in = socket_directory(daemon, is_private, copy),
		.writes_in = *daemon->settings->silences ?
				     dirname(strcpy(state, daemon->settings->silences)) :
				     NULL,
		.pins = daemon->keep.pins,
		.lists = names_listed,
		.reads = names_read,
		.libraries = daemon->handlers,
		.works = works,
		.user = daemon,
	};
	int err;

	if (!is_to_confine(daemon->settings))
		return;
	/* these read files when first used */
	tzset();
	json_object_seed(0);
	err = confine(&options, words);
	if (err)
		log_warn("cannot give up all rights: %s; left: %s", strerror(-err), words);
	else if (!is_private)
		log_info("confined: %s", words);
}

static int daemon_open(struct daemon *daemon, const struct invocation *invocation)
{
	int err = sd_event_new(&daemon->event);

	daemon->core = core_new(on_change, daemon);
	if (err < 0 || !daemon->core) {
		log_error("out of memory");
		return -ENOMEM;
	}
	err = open_socket(daemon);
	if (!err)
		err = open_metrics_socket(daemon);
	if (!err)
		err = open_pins(daemon);
	if (!err)
		err = open_kernel(daemon);
	if (err)
		return err;
	open_handlers(daemon);
	open_stacks(daemon);
	err = add_signals(daemon);
	if (err >= 0)
		err = add_sources(daemon, invocation);
	if (err >= 0)
		err = notify_new(&daemon->notify, daemon->event, news, daemon);
	if (err < 0) {
		log_error("cannot set up the event loop: %s", strerror(-err));
		return err;
	}
	seed(daemon);
	err = open_server(daemon);
	if (!err)
		give_up_rights(daemon, invocation);
	return err;
}

static void daemon_close(struct daemon *daemon, bool is_private)
{
	char directory[sizeof(daemon->settings->socket)];
	sd_event_source *sources[] = { daemon->ring,	 daemon->more,	   daemon->batch,
				       daemon->due,	 daemon->look,	   daemon->pass,
				       daemon->sweep,	 daemon->calm,	   daemon->beat,
				       daemon->lifeline, daemon->libraries };

	server_free(daemon->server);
	notify_free(daemon->notify);
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		sd_event_source_unref(sources[i]);
	stacks_close(daemon->stacks);
	handlers_close(daemon->handlers);
	kernel_close(daemon->kernel);
	keep_close(&daemon->keep);
	core_free(daemon->core);
	sd_event_unref(daemon->event);
	if (daemon->journal_fd >= 0)
		close(daemon->journal_fd);
	if (daemon->metrics_fd >= 0)
		close(daemon->metrics_fd);
	if (daemon->listen_fd >= 0) {
		if (!daemon->passed && listens_on(daemon->settings->socket))
			unlink(daemon->settings->socket);
		close(daemon->listen_fd);
	}
	if (is_private) { /* whoever made its directory may be gone */
		snprintf(directory, sizeof(directory), "%s", daemon->settings->socket);
		rmdir(dirname(directory));
	}
}

static void tell_ready(struct daemon *daemon, const struct invocation *invocation)
{
	notify_ready(daemon->notify);
	if (invocation->lifeline >= 0 && write(invocation->lifeline, "ready\n", 6) < 0)
		log_warn("whoever started this daemon does not listen");
}

int daemon_run(struct settings *settings, const struct invocation *invocation,
	       const struct command_line *command_line)
{
	struct daemon daemon = { .settings = settings,
				 .command_line = command_line,
				 .listen_fd = -1,
				 .metrics_fd = -1,
				 .journal_fd = alert_journal_open() };
	int status = 1;

	crash_prepare();
	if (!daemon_open(&daemon, invocation)) {
		tell_ready(&daemon, invocation);
		crash_doing.step = "it serves";
		status = sd_event_loop(daemon.event) < 0;
		crash_doing.step = "it ends";
		notify_stopping();
	}
	daemon_close(&daemon, invocation->lifeline >= 0);
	return status;
}
