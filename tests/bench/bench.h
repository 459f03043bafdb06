/* SPDX-License-Identifier: ISC */
/*
 * bench: what the load client and the limits have in common: the clock, the
 * parameters of a request, and the numbers of a run.
 */
#ifndef CGIBRIDGE_BENCH_H
#define CGIBRIDGE_BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Monotonic nanoseconds. */
int64_t bench_now(void);

/* Says what failed, with errno's text, and exits with 1. */
_Noreturn void bench_die(const char *what);

/* Raises the limit of open files as far as it goes. */
void bench_raise_fds(void);

/* The number in `text`, at most `max`; exits with 2 if it is none. */
uint64_t bench_number(const char *text, uint64_t max);

/* A listening unix socket `path`, close-on-exec and non-blocking; exits if it cannot be made. */
int bench_listen(const char *path);

/*
 * The parameters of a request, NAME=VALUE each, NULL at the end: what nginx's
 * fastcgi_params send.  The limits use the same list as the environment of their
 * scripts.  Valid until the next call.
 */
char **bench_params(const char *script, const char *query, uint64_t body);

/* Durations, to be printed as percentiles. */
struct bench_times {
	int64_t *ns;
	size_t count;
	size_t cap;
};

void bench_add(struct bench_times *times, int64_t ns);

/* Prints `,"p50_us":N,"p90_us":N,"p99_us":N,"max_us":N`; sorts `times`. */
void bench_print_times(FILE *out, struct bench_times *times);

#endif
