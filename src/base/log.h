/* SPDX-License-Identifier: ISC */
/*
 * log: one line per message, to stderr (log_stderr.h) or to syslog (log_syslog.h).
 *
 * Every line is one write(2) or one datagram, so lines of different workers never mix; after
 * log_unblock() none waits for the reader of stderr.  Characters that could forge a line or
 * drive a terminal are escaped (escape_line()).  The functions that log keep errno.  What is
 * worth logging is not decided here: the layer that handles an event logs it, once.
 */
#ifndef CGIBRIDGE_LOG_H
#define CGIBRIDGE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_form {
	LOG_FORM_PLAIN,    /* "cgibridge[PID] level: text" */
	LOG_FORM_DATED,    /* "2026-11-21T07:21:52.123Z cgibridge[PID] level: text" */
	LOG_FORM_JOURNAL,  /* "<N>text": systemd's journal reads the priority */
	LOG_FORM_SYSLOG,   /* by log_syslog_send(); lines that it cannot send: to stderr, dated */
};

/* The longest line in bytes, newline included; a longer message is cut and ends in "...". */
#define LOG_LINE_MAX 2048

/*
 * Sets what is logged from now on: messages up to `level`, in `form`.
 * Before the first call everything up to INFO goes out in plain form.
 */
void log_open(enum log_level level, enum log_form form);

/* From now on no line waits for the reader of stderr; descriptor 2 itself is not changed. */
void log_unblock(void);

/* The level named by `name` ("error", "warn", "info", "debug"), or -1. */
int log_level_parse(const char *name);

/* The name of `level`, as log_level_parse() takes it. */
const char *log_level_name(enum log_level level);

/* Whether a message of `level` would be written: saves computing costly arguments. */
bool log_enabled(enum log_level level);

void log_error(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* What `fmt` says, and after it the `len` bytes of someone else's, whatever they are. */
void log_warn_bytes(const char *bytes, size_t len, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* For text that has been through escape_line(): its backslashes are not escaped again. */
void log_info_escaped(const char *words);

#endif
