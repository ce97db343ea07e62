// SPDX-License-Identifier: GPL-2.0-only
/* lifetrace-alert: wiring, and one loop. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "alert.h"
#include "clock.h"
#include "core/text.h"

struct program {
	struct settings settings;
	CURLM *multi;
	struct queue queue;
	struct hooks *hooks;
	struct pusher *pusher;
	struct source *source;
	int signals;
	bool stop;
};

uint64_t now_ms(void)
{
	return clock_ns(CLOCK_MONOTONIC) / NSEC_PER_MSEC;
}

void say(const char *format, ...)
{
	char words[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	fprintf(stderr, "lifetrace-alert: %s\n", words);
}

uint64_t back_off_ms(unsigned failures, uint64_t max_ms)
{
	uint64_t ms = failures < 20 ? 1000ULL << failures : max_ms;

	return ms < max_ms ? ms : max_ms;
}

/* ---- what the daemon tells ---- */

static void on_alert(void *user, json_t *alert, bool resolved)
{
	struct program *program = user;

	if (!queue_put(&program->queue, alert, resolved))
		return;
	hooks_add(program->hooks, alert);
	queue_settle(&program->queue, pusher_targets(program->pusher));
}

static void on_missed_end(void *user, json_t *alert)
{
	struct program *program = user;

	hooks_add(program->hooks, alert);
}

static void on_list(void *user, const json_t *alerts)
{
	struct program *program = user;
	json_t *alert;
	size_t i;

	json_array_foreach(alerts, i, alert)
		on_alert(program, alert, false);
	queue_end_others(&program->queue, alerts, on_missed_end, program);
	queue_settle(&program->queue, pusher_targets(program->pusher));
}

/* ---- the loop ---- */

static void take_signals(struct program *program)
{
	struct signalfd_siginfo info;

	while (read(program->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			hooks_reap(program->hooks);
		else
			program->stop = true;
	}
}

static void take_done(struct program *program, uint64_t now)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(program->multi, &left))) {
		CURL *easy = message->easy_handle;
		CURLcode result = message->data.result;

		if (!source_done(program->source, easy, result, now))
			pusher_done(program->pusher, easy, result, now);
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int loop(struct program *program)
{
	struct curl_waitfd signals = { .fd = program->signals, .events = CURL_WAIT_POLLIN };
	uint64_t now, due;
	int running;

	while (!program->stop) {
		now = now_ms();
		due = source_run(program->source, now);
		due = earlier(due, pusher_run(program->pusher, now));
		due = earlier(due, hooks_run(program->hooks, now));
		if (curl_multi_perform(program->multi, &running))
			return 1;
		take_done(program, now_ms());
		/* what has just come may be due at once */
		due = earlier(due, earlier(source_run(program->source, now),
					   earlier(pusher_run(program->pusher, now),
						   hooks_run(program->hooks, now))));
		now = now_ms();
		if (curl_multi_poll(program->multi, &signals, 1,
				    due == NEVER ? 60000 :
				    due > now	 ? (int)earlier(due - now, 60000) :
						   0,
				    NULL))
			return 1;
		take_signals(program);
	}
	return 0;
}

/* ---- opening and closing ---- */

static int read_settings(struct program *program, struct invocation *invocation, int argc,
			 char **argv)
{
	char error[SETTINGS_ERROR_SIZE];
	int err;

	/* as the daemon does: the command line says where the file is, and wins over it */
	settings_defaults(&program->settings);
	err = settings_parse(&program->settings, invocation, argc, argv, error);
	if (!err && invocation->config) {
		settings_defaults(&program->settings);
		err = settings_load(&program->settings, invocation->config, error);
		if (!err)
			err = settings_parse(&program->settings, invocation, argc, argv, error);
	}
	if (err)
		say("%s", error);
	return err;
}

static int open_signals(void)
{
	sigset_t mask;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Returns an exit status. */
static int open_all(struct program *program)
{
	const struct settings *settings = &program->settings;

	if (!*settings->on_alert && !*settings->alertmanager_url) {
		say("neither on_alert nor alertmanager_url is set: nobody would be told");
		return 2;
	}
	program->signals = open_signals();
	curl_global_init(CURL_GLOBAL_DEFAULT);
	program->multi = curl_multi_init();
	queue_open(&program->queue, settings->alert_queue, settings->alert_queue_max);
	program->hooks = hooks_new(settings);
	program->pusher = pusher_new(program->multi, settings, &program->queue);
	if (!program->pusher)
		return 2;
	program->source = source_new(program->multi, settings->socket, on_alert, on_list, program);
	if (program->signals < 0 || !program->multi || !program->hooks || !program->source) {
		say("cannot begin: %s", strerror(errno));
		return 1;
	}
	return 0;
}

static void close_all(struct program *program)
{
	source_free(program->source);
	pusher_free(program->pusher);
	hooks_free(program->hooks);
	queue_free(&program->queue);
	curl_multi_cleanup(program->multi);
	curl_global_cleanup();
	close(program->signals);
}

static void help(void)
{
	puts("Usage: lifetrace-alert [--config FILE] [OPTION …]\n\n"
	     "Passes lifetraced's alerts on: to a command (on_alert), as JSON on its standard input,\n"
	     "and to Alertmanagers (alertmanager_url). Runs in the foreground.\n\n"
	     "  --config FILE               read settings from lifetraced's file, and from conf.d/*.conf beside it\n"
	     "  --print-config              print the settings in force and exit\n"
	     "  --help, --version\n\n"
	     "Settings (in the file: name = value, underscores for dashes):");
	settings_help_of(BY_ALERT, stdout);
	puts("\nExamples:\n"
	     "  lifetrace-alert --on-alert 'logger -t zombies'\n"
	     "  lifetrace-alert --alertmanager-url http://am1:9093,http://am2:9093");
}

int main(int argc, char **argv)
{
	static struct program program;
	struct invocation invocation;
	int status;

	if (read_settings(&program, &invocation, argc, argv))
		return 2;
	switch (invocation.what) {
	case SHOW_HELP:
		help();
		return 0;
	case SHOW_VERSION:
		puts("lifetrace-alert " LIFETRACE_VERSION);
		return 0;
	case PRINT_CONFIG:
		settings_print(&program.settings, stdout);
		return 0;
	default:
		break;
	}
	status = open_all(&program);
	if (!status)
		status = loop(&program);
	close_all(&program);
	return status;
}
