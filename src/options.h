/* SPDX-License-Identifier: ISC */
/*
 * options: argv -> struct options, every value checked.
 *
 * One table in options.c is the parser, the source of --help and what the man
 * page is held against by a test.  Times are in milliseconds, sizes in bytes.
 */
#ifndef CGIBRIDGE_OPTIONS_H
#define CGIBRIDGE_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "attributes.h"
#include "log.h"

enum on_disconnect { ON_DISCONNECT_KILL, ON_DISCONNECT_CLOSE, ON_DISCONNECT_IGNORE };
enum stderr_to { STDERR_LOG, STDERR_CLIENT, STDERR_DISCARD };

/* Values of an option that may be repeated, in order; the strings are argv's. */
struct option_list {
	const char **items;
	size_t count;
};

struct options {
	struct option_list sockets;  /* socket URLs; empty: inherited ones */
	int socket_mode;             /* of unix sockets, as in chmod(2) */
	uid_t socket_uid;            /* (uid_t)-1: as started */
	gid_t socket_gid;            /* (gid_t)-1: as started */
	int backlog;
	int workers;
	int max_scripts;             /* running at once, all workers together */
	int queue;                   /* requests waiting for a script slot, all workers */
	int64_t queue_timeout;
	struct option_list programs; /* only these paths may run; empty: any */
	struct option_list roots;    /* only below these directories; empty: any */
	int64_t timeout;             /* 0: none */
	int64_t idle_timeout;        /* 0: none */
	int64_t linger;
	int64_t kill_delay;
	int64_t drain_timeout;
	int on_disconnect;           /* enum on_disconnect */
	int stderr_to;               /* enum stderr_to */
	uint64_t max_body;
	uint64_t max_params;
	const char *spool_dir;
	int log_level;               /* enum log_level */
};

enum options_verdict {
	OPTIONS_RUN,   /* go on */
	OPTIONS_DONE,  /* --help or --version has been answered: exit 0 */
	OPTIONS_USAGE, /* an error has been written to stderr: exit 2 */
};

/* Reads argv into `options`, defaults first.  Answers and errors are written here. */
enum options_verdict options_parse(struct options *options, int argc, char **argv) MUST_CHECK;

/* Frees the lists. */
void options_fini(struct options *options);

/* Writes what --help shows to `out`. */
void options_help(FILE *out);

/*
 * Reads a time: a number with s (the default), ms, m or h behind it.  Milliseconds,
 * or -1 if `text` is none.  Also what per-request time parameters are read with.
 */
int64_t options_time(const char *text);

#endif
