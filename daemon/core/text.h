/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Words for people and programs: durations, sizes, names of signals, flags
 * and options, and making any bytes safe to print. Pure; owns nothing.
 */
#ifndef LT_TEXT_H
#define LT_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NSEC_PER_MSEC 1000000ULL
#define NSEC_PER_SEC 1000000000ULL

#define TEXT_AGE_SIZE 16
#define TEXT_ID_SIZE 48

/*
 * "250ms", "10s", "1m30s", "2h", "1d", or "0": nanoseconds. Returns 0, or
 * -EINVAL for anything else (no unit, a sign, more than 100 years).
 */
int text_parse_duration(const char *text, uint64_t *ns);
/* "4096", "64k", "8M", "1G": bytes. Returns 0 or -EINVAL. */
int text_parse_size(const char *text, uint64_t *bytes);
/* A whole decimal number up to max. Returns 0 or -EINVAL. */
int text_parse_number(const char *text, uint64_t max, uint64_t *number);

/* "PID-START". Returns 0 or -EINVAL. */
int text_parse_id(const char *text, uint64_t *pid, uint64_t *start_ns);

/* As text_parse_duration reads it; exact. Needs 64 bytes. */
void text_format_duration(uint64_t ns, char *buf, size_t size);
/* For people: "850ms", "12s", "3m12s", "5h02m", "9d04h". */
void text_format_age(uint64_t ns, char buf[TEXT_AGE_SIZE]);
/* "2026-01-31T23:59:59.123Z" of nanoseconds since the epoch. */
#define TEXT_TIME_SIZE 32
void text_format_time(uint64_t realtime_ns, char buf[TEXT_TIME_SIZE]);
void text_format_size(uint64_t bytes, char *buf, size_t size);

/* "SIGKILL", "SIGRTMIN+3", or "SIG99" for a number without a name. */
void text_signal(int signal, char *buf, size_t size);

/* New arrays of names; bits without a name are given as "0x…". */
json_t *text_clone_flags(uint64_t flags);
json_t *text_wait_options(uint32_t options);

/* A JSON string of any bytes: what is not UTF-8 becomes U+FFFD. New reference. */
json_t *text_json(const char *bytes, size_t len);
/*
 * The bytes of a JSON string made safe for a terminal: control characters,
 * and what could reorder or hide text, as \n, \x1b, \u202e. A backslash is one: so
 * units (a\x2db.service) are told as other tools take them. Returns buf.
 */
char *text_escape(const char *utf8, char *buf, size_t size);

#endif
