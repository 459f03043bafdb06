/* SPDX-License-Identifier: ISC */
/*
 * accesslog: one line per request, to a file, to standard output or to syslog.
 *
 * Each process has one, like the log, and workers inherit it.  A line goes out in one
 * write(2), in append mode, so lines of different workers never mix.  Everything in it is
 * printable ASCII, whatever clients send, and no field can be mistaken for another.  No write
 * waits for a reader: a line that cannot be written now is lost, and the log says so, once a
 * minute, for all workers together.
 */
#ifndef CGIBRIDGE_ACCESSLOG_H
#define CGIBRIDGE_ACCESSLOG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"

#define ACCESSLOG_FORM_CHOICES "text|json"
enum accesslog_form { ACCESSLOG_TEXT, ACCESSLOG_JSON };

/* How a request ended. */
enum accesslog_end {
	ACCESSLOG_OK,       /* its script answered and exited with status 0 */
	ACCESSLOG_FAILED,   /* it answered, and exited otherwise */
	ACCESSLOG_SHORT,    /* its response was shorter than announced */
	ACCESSLOG_INVALID,  /* its output was not a CGI response */
	ACCESSLOG_REFUSED,  /* it was refused: not started, or its body not taken */
	ACCESSLOG_TIMEOUT,  /* --timeout, --idle-timeout */
	ACCESSLOG_ABORTED,  /* by the client, which stays connected */
	ACCESSLOG_LOST,     /* the client left */
	ACCESSLOG_DETACHED, /* the client had gone, and the script ran to its end */
	ACCESSLOG_STOPPED,  /* the bridge was stopped at once */
	ACCESSLOG_ERROR,    /* the bridge was out of memory for it */
};

/* The contents of a line.  All pointers are borrowed; NULL: not known. */
struct accesslog_entry {
	const char *peer, *method, *script, *uri;
	const char *client;  /* the web server's client: REMOTE_ADDR */
	int status;          /* of the HTTP response; 0: none was sent */
	uint32_t app_status; /* FastCGI's */
	uint64_t in, out;    /* bytes of request body, of response */
	int64_t duration;    /* ms */
	pid_t pid;           /* the script's; 0: none was started */
	enum accesslog_end end;
};

/*
 * The longest line in bytes, newline included; script and URI are cut to fit and end in "...".
 * A pipe takes up to PIPE_BUF bytes in one piece.
 */
#if PIPE_BUF >= 4096
#define ACCESSLOG_LINE_MAX 4096
#else
#define ACCESSLOG_LINE_MAX 1024
#endif

/* How much of a URI is worth keeping: a longer one is cut in the line anyway. */
#define ACCESSLOG_URI_MAX (ACCESSLOG_LINE_MAX * 5 / 8)

/*
 * Writes the line for `entry`, ended at `now` (ms since 1970), with its newline; returns
 * its length.
 */
size_t accesslog_format(enum accesslog_form form, const struct accesslog_entry *entry,
    int64_t now, char line[ACCESSLOG_LINE_MAX]);

enum accesslog_way {
	ACCESSLOG_NONE,
	ACCESSLOG_FILE,
	ACCESSLOG_STDOUT,
	ACCESSLOG_SYSLOG, /* needs log_syslog_open() first */
};

/* Where the lines go. */
struct accesslog_target {
	enum accesslog_way way;
	const char *text; /* as given in the option, for log lines; the path of a file; borrowed */
};

/* Opens `target`, which is not ACCESSLOG_NONE.  0, or -1 with errno. */
int accesslog_open(const struct accesslog_target *target, enum accesslog_form form) MUST_CHECK;

/*
 * Gives the file, and the one that accesslog_reopen() opens, to the user that workers run as:
 * they have to open it, too.  0, or -1 with errno.
 */
int accesslog_give(uid_t uid, gid_t gid) MUST_CHECK;

/* Whether there is an access log: saves building entries. */
bool accesslog_is_open(void);

/* Writes the line for a request that ends now; if there is no access log, does nothing. */
void accesslog_write(const struct accesslog_entry *entry);

/*
 * Opens the file again by its name, because it may have been renamed.  If that fails the log
 * says so and the old file stays in use.
 */
void accesslog_reopen(void);

void accesslog_close(void);

#endif
