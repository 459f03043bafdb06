/* SPDX-License-Identifier: ISC */
/*
 * accesslog: one line a request, to a file, to standard output or to syslog.
 *
 * There is one in a process, as of the log, and workers inherit it.  A line goes out
 * in one write(2), in append mode, so those of several workers never mix.  Everything
 * in it is printable ASCII, whatever clients send, and no field can look like another.
 * No write waits: a line that cannot be written now is lost, and the log says so, once
 * a minute, for all workers together.
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

/* How a request has ended. */
enum accesslog_end {
	ACCESSLOG_OK,       /* its script has answered and exited with status 0 */
	ACCESSLOG_FAILED,   /* it has answered, and exited otherwise */
	ACCESSLOG_SHORT,    /* its body was shorter than it said */
	ACCESSLOG_INVALID,  /* its output was no CGI response */
	ACCESSLOG_REFUSED,  /* it was not to run, or its body not to be held */
	ACCESSLOG_TIMEOUT,  /* --timeout, --idle-timeout */
	ACCESSLOG_ABORTED,  /* by the client, who stays connected */
	ACCESSLOG_LOST,     /* the client has gone */
	ACCESSLOG_DETACHED, /* so it had, and the script has gone on to its end */
	ACCESSLOG_STOPPED,  /* we were stopped at once */
	ACCESSLOG_ERROR,    /* we could not go on */
};

/* What a line tells.  All pointers are borrowed; NULL: not known. */
struct accesslog_entry {
	const char *peer, *method, *script, *uri;
	const char *client;  /* of the web server: REMOTE_ADDR */
	int status;          /* of the HTTP answer; 0: none went out */
	uint32_t app_status; /* FastCGI's */
	uint64_t in, out;    /* bytes of request body, of response */
	int64_t duration;    /* ms */
	pid_t pid;           /* the script's; 0: none has run */
	enum accesslog_end end;
};

/*
 * Longest line in bytes, newline included; script and URI are cut with "..." for it.
 * A pipe takes up to PIPE_BUF bytes in one piece.
 */
#if PIPE_BUF >= 4096
#define ACCESSLOG_LINE_MAX 4096
#else
#define ACCESSLOG_LINE_MAX 1024
#endif

/* What is worth keeping of a URI: a longer one is cut in the line anyway. */
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
	ACCESSLOG_SYSLOG, /* takes log_syslog_open() before */
};

/* Where the lines go. */
struct accesslog_target {
	enum accesslog_way way;
	const char *text; /* as an administrator writes it, for logs: of a file its path; borrowed */
};

/* Opens `target`, which is not ACCESSLOG_NONE.  0, or -1 with errno. */
int accesslog_open(const struct accesslog_target *target, enum accesslog_form form) MUST_CHECK;

/*
 * Gives the file, and what takes its place when it is opened again, to the user whom
 * workers become: they have to open it, too.  0, or -1 with errno.
 */
int accesslog_give(uid_t uid, gid_t gid) MUST_CHECK;

/* Whether there is one: guards costly entries. */
bool accesslog_is_open(void);

/* Writes the line for a request that ends now; if there is no access log, does nothing. */
void accesslog_write(const struct accesslog_entry *entry);

/* The file may have been renamed: opens it again by its name.  If that fails the log says so
 * and the old file stays in use. */
void accesslog_reopen(void);

void accesslog_close(void);

#endif
