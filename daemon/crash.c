// SPDX-License-Identifier: GPL-2.0-only
#include "crash.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/core.h"

#define STACK_BYTES (64 << 10)
#define WORDS_MAX 256

struct crash_doing crash_doing = { .step = "it starts" };

static const char *prefix = "lifetraced: ";

static const struct {
	int number;
	const char *name;
} signals[] = {
	{ SIGSEGV, "SIGSEGV" }, { SIGBUS, "SIGBUS" },	{ SIGILL, "SIGILL" },
	{ SIGFPE, "SIGFPE" },	{ SIGABRT, "SIGABRT" },
};

#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

/* ---- words, by nothing that signal-safety(7) does not allow ---- */

struct words {
	char text[WORDS_MAX];
	size_t len;
};

static void add(struct words *words, const char *text)
{
	while (*text && words->len < sizeof(words->text))
		words->text[words->len++] = *text++;
}

static void add_number(struct words *words, uintptr_t number, unsigned base)
{
	char digits[24], *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do
		*--p = "0123456789abcdef"[number % base];
	while (number /= base);
	add(words, p);
}

static void add_signal(struct words *words, const siginfo_t *info)
{
	for (size_t i = 0; i < SIGNALS; i++)
		if (signals[i].number == info->si_signo)
			add(words, signals[i].name);
	if (info->si_code > 0) {
		add(words, " at address 0x");
		add_number(words, (uintptr_t)info->si_addr, 16);
	} else if (info->si_pid == getpid()) {
		add(words, " by itself");
	} else {
		add(words, " by process ");
		add_number(words, (uintptr_t)info->si_pid, 10);
	}
}

static void add_doing(struct words *words)
{
	const char *kind = crash_doing.kind ? core_kind_name(crash_doing.kind) : NULL;

	add(words, " while ");
	add(words, crash_doing.step);
	if (crash_doing.request) {
		add(words, ", answers ");
		add(words, crash_doing.request);
	}
	if (crash_doing.kind) {
		add(words, ", folds a record of kind ");
		add_number(words, crash_doing.kind, 10);
		add(words, kind ? " (" : "");
		add(words, kind ? kind : "");
		add(words, kind ? ")" : "");
	}
	add(words, "; version " LIFETRACE_VERSION "\n");
}

/*
 * The handler is the default one by now: a fault comes again where it was, so that
 * the core shows that place; a signal that somebody sent has to be sent again.
 */
static void on_crash(int number, siginfo_t *info, void *context)
{
	struct words words = { .len = 0 };
	ssize_t told;

	(void)context;
	add(&words, prefix);
	add(&words, "dies of ");
	add_signal(&words, info);
	add_doing(&words);
	told = write(STDERR_FILENO, words.text, words.len);
	(void)told; /* there is nobody else to tell */
	if (info->si_code <= 0)
		raise(number);
}

void crash_prepare(void)
{
	static char stack[STACK_BYTES]; /* for an overflow of the other one */
	const stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = {
		.sa_sigaction = on_crash,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND,
	};

	if (getenv("JOURNAL_STREAM")) /* journald knows the name, and wants the level */
		prefix = "<2>";
	sigaltstack(&other, NULL);
	for (size_t i = 0; i < SIGNALS; i++)
		sigaction(signals[i].number, &action, NULL);
}
