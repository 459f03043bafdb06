/* SPDX-License-Identifier: ISC */
/*
 * options: argv -> struct options, every value checked.
 *
 * One table in options.c drives the parser and --help; a test compares the man page with it.
 * Times are in milliseconds, sizes in bytes.
 */
#ifndef CGIBRIDGE_OPTIONS_H
#define CGIBRIDGE_OPTIONS_H

#include <stdint.h>
#include <stdio.h>

#include "config/allow.h"
#include "base/attributes.h"
#include "base/fault.h"
#include "config/identity.h"
#include "config/value.h"
#include "config/cmdline.h"
#include "stats/accesslog.h"

#define ON_DISCONNECT_CHOICES "kill|close|ignore"
enum on_disconnect { ON_DISCONNECT_KILL, ON_DISCONNECT_CLOSE, ON_DISCONNECT_IGNORE };
enum stderr_to { STDERR_LOG, STDERR_CLIENT, STDERR_DISCARD };

struct options {
	struct value_sockets sockets; /* empty: inherited ones */
	int socket_mode;             /* of unix sockets, as in chmod(2) */
	struct value_owner socket_owner; /* of unix sockets; -1: as started */
	int backlog;
	struct allow allow;          /* those given, FCGI_WEB_SERVER_ADDRS, root and our own user */
	/*
	 * Of workers and scripts; NULL: as started.  Names, as given: a group's default depends
	 * on the user, so both are looked up once all options are known, into `identity`.  They
	 * stay for error messages and --check, which say what was given.
	 */
	const char *user;
	const char *group;
	struct identity identity;    /* its root is --chroot itself */
	int workers;
	int max_scripts;             /* running at once, all workers together */
	int queue;                   /* requests waiting for a script slot, all workers */
	int64_t queue_timeout;
	struct value_list programs; /* only these paths may run; empty: any */
	struct value_list roots;    /* only below these directories; empty: any */
	struct value_handlers handlers;
	int handler_always;         /* also for scripts that could run by themselves */
	struct value_preloads preloads; /* programs that start scripts */
	int preload_learn;          /* they are given --learn */
	int query_args;             /* a query without "=" becomes arguments */
	struct value_variables variables; /* for scripts, added to the inherited ones */
	int clear_env;              /* scripts inherit nothing */
	struct value_limits limits; /* of scripts */
	int64_t timeout;             /* 0: none */
	int64_t idle_timeout;        /* 0: none */
	int64_t slow_log;            /* 0: none */
	int64_t linger;
	int64_t kill_delay;
	int64_t disconnect_grace;    /* 0: none */
	int64_t drain_timeout;
	int64_t watchdog;            /* 0: none */
	int on_disconnect;           /* enum on_disconnect */
	int stderr_to;               /* enum stderr_to */
	int error_detail;            /* error pages say what the log says */
	int strict_headers;          /* answer 500 for a flaw in a header block */
	int local_redirect;          /* follow a Location that is nothing but a path */
	uint64_t max_body;
	uint64_t max_params;
	const char *spool_dir;       /* below identity.root */
	int spool_by_default;        /* spool_dir was not given: it need not exist */
	const char *status_path;     /* of the status page; NULL: none */
	const char *ping_path;       /* of the ping page; NULL: none */
	int log_level;               /* enum log_level */
	int syslog;                  /* the log's facility; 0: log to stderr */
	const char *syslog_socket;
	struct accesslog_target access_log;
	int access_log_format;       /* enum accesslog_form */
	int check;                   /* only print the options in effect */
	struct cmdline cmdline;        /* the values point into it */
};

enum options_verdict {
	OPTIONS_RUN,   /* go on */
	OPTIONS_DONE,  /* --help, --version or --check has been answered: exit 0 */
	OPTIONS_USAGE, /* the command line is wrong: exit 2 */
	OPTIONS_FAILED, /* something else is wrong: exit 1 */
};

/* Why options were rejected. */
struct options_fault {
	const char *word; /* the offending word; NULL: none, or not known */
	struct fault why;
};

/*
 * Parses argv into `options`, over the defaults.  --help, --version and --check are answered
 * here; after USAGE and FAILED, `fault` says why, with file and line if the word is in a file:
 * the caller writes it.  argv is neither changed nor borrowed.
 */
enum options_verdict options_parse(struct options *options, int argc, const char *const *argv,
    struct options_fault *fault) MUST_CHECK;

/*
 * The last step of options_parse(): derives values that depend on several options, or on the
 * machine, and checks that they fit together.  OPTIONS_RUN, or another verdict with `fault`.
 */
enum options_verdict options_resolve(struct options *options,
    struct options_fault *fault) MUST_CHECK;

/*
 * Calls `warn` for each option that is valid but names something that is not there, so that it
 * may be a mistake: --root, --program, --handler, --preload; and for a default of --spool-dir
 * that cannot be written to.  With --check these are tried as the scripts' user, if we can switch
 * to it, preloaders are run, and a --socket in a directory where none can be made is reported,
 * too.
 */
void options_warn(const struct options *options, void (*warn)(const char *text));

/*
 * Finds out, in a forked process, whether a worker can switch to the user, group and root
 * directory of the options.  options_parse() calls it for --check only: an heir need not
 * repeat what its trial has done, and there may be no room for one more process by then.
 * OPTIONS_RUN, or FAILED with `fault`.
 */
enum options_verdict options_rehearse(struct options *options,
    struct options_fault *fault) MUST_CHECK;

/* Frees the lists, and the words that values point into. */
void options_fini(struct options *options);

/* Writes the output of --help to `out`. */
void options_help(FILE *out);

/* Writes all options in effect to `out`, in a form that can be given again. */
void options_print(const struct options *options, FILE *out);

#endif
