/* SPDX-License-Identifier: ISC */
/*
 * request_private: what request.c and the request_*.c have of each other.  Nobody else includes it.
 *
 * They are a chain, each calls those before it: request_report, request_slow, request_end,
 * request_run, request_start, request.  Beside it are request_list, which knows nothing of
 * the others, request_pages, which request_start calls, and request_sink, which none calls.
 */
#ifndef CGIBRIDGE_REQUEST_PRIVATE_H
#define CGIBRIDGE_REQUEST_PRIVATE_H

#include "bridge/request.h"

/* request.h has the picture.  From RUNNING to EXITING its script has been started. */
enum request_state {
	REQUEST_PARAMS,    /* PARAMS are coming in */
	REQUEST_BODY,      /* the body's length is unknown: it is collected first */
	REQUEST_QUEUED,    /* waits for a slot of the scoreboard */
	REQUEST_RUNNING,   /* its script runs */
	REQUEST_GRACE,     /* the same without a client, for --disconnect-grace */
	REQUEST_DETACHED,  /* the same without a client, for as long as it takes */
	REQUEST_LINGERING, /* its script has exited, its output is open: --linger */
	REQUEST_EXITING,   /* its output has ended: the exit may come for REQUEST_EXIT_TIME */
	REQUEST_CLOSING,   /* all its records are in `out`; END_REQUEST waits for all of FCGI_STDIN */
	REQUEST_ENDED,     /* all its records are in `out`, or will never be */
};

/* How long it may take, and what its client's leaving does: options, or its parameters. */
struct request_limits {
	int64_t timeout; /* --timeout, or CGIBRIDGE_TIMEOUT; ms, 0: none */
	int64_t idle;    /* --idle-timeout, or CGIBRIDGE_IDLE_TIMEOUT; ms, 0: none */
	enum on_disconnect on_disconnect; /* --on-disconnect, or CGIBRIDGE_ON_DISCONNECT */
};

struct request_script {
	char *path;          /* for logs; owned, NULL until resolved */
	struct child *child; /* NULL: none, or it has exited */
	pid_t pid;
	int exit_status;     /* waitpid(2)'s, once it has exited */
	struct admission_ticket ticket;
};

struct request_log_fields;
struct request_slow;

struct request {
	struct request_link *link;
	struct request *next, *prev; /* request_list.c's */
	enum request_state state;
	unsigned role;    /* as sent */
	uint16_t id;
	bool keep_conn;
	bool stdin_ended; /* the terminating empty FCGI_STDIN has been seen */
	bool needs_stdin; /* its client sends all of FCGI_STDIN only before END_REQUEST */
	enum front_end front_end;
	uint32_t dropped; /* bytes that the script has written since its client left */
	struct request_limits limits;
	struct request_script script;
	struct request_result result;
	struct request_log_fields *log_fields; /* for the logs; owned, NULL: none */
	struct request_slow *slow; /* for --slow-log; owned, NULL: not waited for */

	struct params params;
	struct body body;
	struct relay relay;
	struct errlog errlog;

	struct loop_timer total;  /* --timeout */
	struct loop_timer idle;   /* --idle-timeout; before that, the time for PARAMS */
	struct loop_timer linger; /* what its state waits for: GRACE, LINGERING, EXITING, CLOSING */
	struct loop_task discard;
	int64_t started;          /* loop time of BEGIN_REQUEST */
	int64_t active;           /* loop time of the last byte, in or out */
	int64_t out_end;          /* outlet_end() after the last byte of its output */
	int64_t taken;            /* of what is before that, outlet_taken() when last looked at */
};

static inline const struct options *request_options(const struct request *request)
{
	return request->link->services->options;
}

static inline struct loop *request_loop(const struct request *request)
{
	return request->link->services->loop;
}

static inline struct tally *request_tally(const struct request *request)
{
	const struct admission *admission = request->link->services->admission;

	return scoreboard_tally(admission->board, admission->worker);
}

static inline void request_count(const struct request *request, enum tally_event event)
{
	tally_add(request_tally(request), event, 1);
}

/* Whether its script has been started, and the response goes on. */
static inline bool request_is_running(const struct request *request)
{
	return request->state >= REQUEST_RUNNING && request->state < REQUEST_CLOSING;
}

/* ---- request_report.c --------------------------------------------------------- */

/* Keeps what lines of the logs want of the parameters, which are about to be freed. */
void request_keep_log_fields(struct request *request);

/*
 * ", client: 192.0.2.7, request: \"GET /x?y\"": what its log lines end with, so that they
 * say who asked for what.  "" if its parameters are not known.
 */
const char *request_origin(const struct request *request, char *text, size_t size);

enum { REQUEST_ORIGIN_MAX = 384 };

/* "/srv/x.cgi[4711]: request 1 from 127.0.0.1:80": what its log lines start with. */
const char *request_subject(const struct request *request, char *text, size_t size);

/* "0.12s, 17 bytes in, 4711 out; first line of stderr: Oops": what has happened so far. */
const char *request_account(const struct request *request, char *text, size_t size);

/* A log line that says `what` went wrong, and what had happened until then. */
void request_log_failure(const struct request *request, const char *what);

/* Log lines for the flaws of a response that goes out, once each; one a minute for a script. */
void request_log_flaws(struct request *request);

/* The HTTP status of the answer that the client has got; 0: none. */
int request_status(const struct request *request);

/* Has the scoreboard show its script, which is about to start. */
void request_show(struct request *request);

/* Counts it, with its status, bytes and time: it ends. */
void request_count_end(struct request *request);

/* Writes its line in the access log, if there is one: it ends. */
void request_log_end(const struct request *request);

/* ---- request_slow.c ----------------------------------------------------------- */

/* Its script runs from now on: has --slow-log, if that is given, wait for it. */
void request_slow_begin(struct request *request);

/* It is over, or its script goes on without it. */
void request_slow_end(struct request *request);

/* ---- request_end.c ------------------------------------------------------------ */

void request_set_state(struct request *request, enum request_state state);

/* Clears all timers. */
void request_clear_timers(struct request *request);

/*
 * Ends it as it is: lets go of everything but the id, which the connection needs.  What
 * is left of its script goes on without it (left.h).
 */
void request_end(struct request *request, uint32_t app_status);

/* The END_REQUEST that waits for the end of FCGI_STDIN: for how long, and that it goes. */
void request_hold_end(struct request *request);
void request_release_end(struct request *request);

/*
 * Ends it with a page of ours if no answer has gone out yet; else so that the client
 * does not take what it has for all.
 */
void request_fail(struct request *request, int status, const char *detail, uint32_t app_status);

/* Ends it before a script has run.  The log gets `reason`, the client `detail`. */
void request_refuse(struct request *request, int status, const char *detail, const char *reason);

/* Its script has exited, a descendant holds its output and is silent: the response ends here. */
void request_cut_output(struct request *request);

/* Ends it for an output that is not a CGI response. */
void request_fail_response(struct request *request);

/* Ends it for want of memory, which is not its script's fault: `what` there was none for. */
void request_starve(struct request *request, const char *what);

/* Ends it: its output has ended; the script has exited, or goes on without it. */
void request_complete(struct request *request);

/* What the script gets when nobody waits for it any more. */
void request_stop_script(struct request *request, enum on_disconnect how);

/* ---- request_run.c ------------------------------------------------------------ */

/* Initialises the streams and timers of a new request; the time for PARAMS begins. */
void request_run_init(struct request *request);

/* The script has been reaped: a child_exit_fn whose context is the request. */
void request_exited(void *context, int status);

/* Its body has moved on: a response that has ended may have waited for that. */
void request_review_body(struct request *request);

/* From now on, silence ends the request: --idle-timeout. */
void request_limit_silence(struct request *request);

/* ---- request_pages.c ---------------------------------------------------------- */

/* Answers and ends it, if it is for --status-path or --ping-path; else false. */
bool request_answer_page(struct request *request) MUST_CHECK;

/* ---- request_start.c ---------------------------------------------------------- */

/* The length of its body is known: asks for a slot, and starts when there is one. */
void request_admit(struct request *request);

#endif
