/* SPDX-License-Identifier: ISC */
/*
 * request_private: shared by request.c and the request_*.c files.  No other file includes it.
 *
 * They form a chain, each calling those before it: request_report, request_slow, request_end,
 * request_run, request_locate, request_start, request_redirect, request.  Outside the chain are
 * request_list, which calls none of the others, request_pages, which request_start calls, and
 * request_sink, which none of them calls.
 */
#ifndef CGIBRIDGE_REQUEST_PRIVATE_H
#define CGIBRIDGE_REQUEST_PRIVATE_H

#include <sys/stat.h>

#include "bridge/request.h"
#include "cgi/script.h"

/*
 * request.h has the picture.  From RUNNING to EXITING its script has been started; in STARTING,
 * a preloader may have started it without our knowing yet.
 */
enum request_state {
	REQUEST_PARAMS,    /* PARAMS are coming in */
	REQUEST_LOCATING,  /* a scout is asking its script's file system, which may not answer */
	REQUEST_BODY,      /* the body's length is unknown: it is collected first */
	REQUEST_QUEUED,    /* waits for a slot of the scoreboard */
	REQUEST_STARTING,  /* a preloader has been asked to start its script */
	REQUEST_RUNNING,   /* its script runs */
	REQUEST_GRACE,     /* the same without a client, for --disconnect-grace */
	REQUEST_DETACHED,  /* the same without a client, for as long as it takes */
	REQUEST_LINGERING, /* its script has exited, its output is open: --linger */
	REQUEST_EXITING,   /* its output has ended: waits a moment for the exit */
	REQUEST_CLOSING,   /* all its records are in `out`; END_REQUEST waits for all of FCGI_STDIN */
	REQUEST_ENDED,     /* all its records are in `out`, or will never be */
};

/* How long it may take, and what happens if its client leaves; set by option or by parameter. */
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
	struct request *next, *prev; /* used by request_list.c */
	enum request_state state;
	unsigned role;    /* as sent */
	uint16_t id;
	bool keep_conn;
	bool stdin_ended; /* the terminating empty FCGI_STDIN has been seen */
	bool preloads;    /* a preloader is to start its script, or has started it */
	bool handled;     /* the --handler for its extension runs its script */
	uint8_t redirects; /* local redirects that it has followed */
	enum front_end front_end;
	uint32_t dropped; /* bytes that the script has written since its client left */
	struct request_limits limits;
	struct request_script script;
	struct request_result result;
	struct request_log_fields *log_fields; /* for the logs; owned, NULL: none */
	struct request_slow *slow; /* for --slow-log; owned, NULL: not used */

	struct params params;
	struct body body;
	struct relay relay;
	struct errlog errlog;

	struct loop_timer total;  /* --timeout */
	struct loop_timer idle;   /* --idle-timeout; before that, the time for PARAMS */
	struct loop_timer linger; /* the wait of its state: GRACE, LINGERING, EXITING, CLOSING */
	struct loop_task later;   /* not within its callbacks: frees it, or follows a redirect */
	int64_t started;          /* loop time of BEGIN_REQUEST */
	int64_t active;           /* loop time of the last byte, in or out */
	int64_t out_end;          /* outlet_end() after the last byte of its output */
	int64_t taken;            /* outlet_taken() at the last check, at most out_end */
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

/* Whether its script has been started, as far as we know, and the response goes on. */
static inline bool request_is_running(const struct request *request)
{
	return request->state >= REQUEST_RUNNING && request->state < REQUEST_CLOSING;
}

/* The same, or it may have been started by now. */
static inline bool request_may_run(const struct request *request)
{
	return request->state >= REQUEST_STARTING && request->state < REQUEST_CLOSING;
}

/* Whether it goes on without a client. */
static inline bool request_is_detached(const struct request *request)
{
	return request->link == &request->link->services->sink->link;
}

enum { REQUEST_REDIRECTS_MAX = 5 }; /* local redirects that a request may follow */

/* Whether it keeps its parameters while its script runs, to follow a local redirect with them. */
static inline bool request_may_redirect(const struct request *request)
{
	return request_options(request)->local_redirect && request->role == FCGI_RESPONDER &&
	    request->redirects < REQUEST_REDIRECTS_MAX && !front_end_redirects(request->front_end);
}

/* Whether its script has exited, and not with 0: its local redirect is not followed. */
static inline bool request_has_failed(const struct request *request)
{
	return request->script.child == NULL && request->script.exit_status != 0;
}

/* ---- request_report.c --------------------------------------------------------- */

/* Keeps copies of the parameters that log lines show, as the parameters are about to be freed. */
void request_keep_log_fields(struct request *request);

/*
 * ", client: 192.0.2.7, request: \"GET /x?y\"": the end of its log lines, which names the
 * client and its request.  "" if its parameters are not known.
 */
const char *request_origin(const struct request *request, char *text, size_t size);

enum { REQUEST_ORIGIN_MAX = 384 };

/* "/srv/x.cgi[4711]: request 1 from 127.0.0.1:80": the start of its log lines. */
const char *request_subject(const struct request *request, char *text, size_t size);

/* "0.12s, 17 bytes in, 4711 out; first line of stderr: Oops": its history so far. */
const char *request_account(const struct request *request, char *text, size_t size);

/* Logs `what` went wrong, with the request's history so far. */
void request_log_failure(const struct request *request, const char *what);

/* Logs the flaws of a response that is sent; each at most once a minute for the same script. */
void request_log_flaws(struct request *request);

/* The HTTP status of the answer that was sent to the client; 0: none. */
int request_status(const struct request *request);

/* Shows its script, which is about to start, in the scoreboard. */
void request_show(struct request *request);

/* It ends: counts it, with its status, bytes and time. */
void request_count_end(struct request *request);

/* It ends: writes its line to the access log, if there is one. */
void request_log_end(const struct request *request);

/* ---- request_slow.c ----------------------------------------------------------- */

/* Its script runs from now on: starts the timer of --slow-log, if that is given. */
void request_slow_begin(struct request *request);

/* It is over, or its script goes on without it. */
void request_slow_end(struct request *request);

/* ---- request_end.c ------------------------------------------------------------ */

void request_set_state(struct request *request, enum request_state state);

/* Clears all its timers, and its task for later; no scout is waited for any more. */
void request_clear_timers(struct request *request);

/*
 * Ends it in its present state: frees everything except the id, which the connection needs.  If
 * its script still runs, that goes on without it (left.h).
 */
void request_end(struct request *request, uint32_t app_status);

/* END_REQUEST waits for the end of FCGI_STDIN: limits the wait, or ends it. */
void request_hold_end(struct request *request);
void request_release_end(struct request *request);

/*
 * Ends it with a page of the bridge if nothing of an answer has been sent; otherwise in such a
 * way that the client does not take part of a response for a whole one.
 */
void request_fail(struct request *request, int status, const char *detail, uint32_t app_status);

/* Ends it before a script has run.  The log gets `reason`, the client `detail`. */
void request_refuse(struct request *request, int status, const char *detail, const char *reason);

/* Its script has exited, but a silent descendant holds its output: ends the response here. */
void request_cut_output(struct request *request);

/* Ends it because its script's output is not a CGI response. */
void request_fail_response(struct request *request);

/* Ends it for lack of memory for `what`, which is not its script's fault. */
void request_starve(struct request *request, const char *what);

/*
 * Passes on its script, if that still runs, and its stderr: they go on without the request
 * (left.h).
 */
void request_leave_script(struct request *request);

/* Sends its local redirect to the client, instead of following it. */
void request_pass_redirect(struct request *request);

/* Ends it: its output has ended; the script has exited, or goes on without it. */
void request_complete(struct request *request);

/* Its result is no longer wanted: stops the script if `how` is ON_DISCONNECT_KILL. */
void request_stop_script(struct request *request, enum on_disconnect how);

/* ---- request_run.c ------------------------------------------------------------ */

/* Initialises the streams and timers of a new request; the time for PARAMS begins. */
void request_run_init(struct request *request);

/* Its output and stderr begin anew, for its next script. */
void request_renew_output(struct request *request);

/* The script has been reaped: a child_exit_fn whose context is the request. */
void request_exited(void *context, int status);

/* Its body has advanced: a response that has ended may have waited for that. */
void request_review_body(struct request *request);

/* From now on, silence for --idle-timeout ends the request. */
void request_limit_silence(struct request *request);

/* ---- request_pages.c ---------------------------------------------------------- */

/* Answers and ends it if it is for --status-path or --ping-path; otherwise returns false. */
bool request_answer_page(struct request *request) MUST_CHECK;

/* ---- request_locate.c --------------------------------------------------------- */

/* What is found of the script that its parameters name. */
struct request_location {
	struct script_refusal refusal; /* why it is not run; its status is 0 if it may be */
	/* if it may be */
	struct stat info;
	bool handled;      /* the --handler for its extension runs it */
	const struct preload_look *look; /* by a scout; NULL: the worker may look itself */
	struct mounts_trace trace; /* by a scout */
};

/*
 * Finds its script, and sets the parameters about its path.  True: `location` is filled.  False:
 * it waits in LOCATING until a scout has `ended`, or there is no process for one, and it has
 * ended.
 */
bool request_locate(struct request *request, struct request_location *location,
    scout_ended_fn *ended) MUST_CHECK;

/*
 * The scout has ended: takes over what it has found.  NULL: nothing, and the request has ended.
 */
const struct request_location *request_take_location(struct request *request,
    const void *findings, int error) MUST_CHECK;

/* The mount that its script leads to, by its parameters; NULL: none that is known. */
const struct mount *request_mount(const struct request *request);

/*
 * The directory that `script` runs in: its own, for which `text` of `size` bytes is used, or that
 * in FCGI_CHDIR; NULL: the worker's.
 */
const char *request_directory(const struct params *params, const char *script, char *text,
    size_t size);

/* ---- request_start.c ---------------------------------------------------------- */

/* Its script is that of SCRIPT_FILENAME, at `location`.  False: no memory, and it has ended. */
bool request_set_script(struct request *request,
    const struct request_location *location) MUST_CHECK;

/*
 * The length of its body is known: asks for a slot, and starts when there is one.  `look`: what a
 * scout has just seen of its script; NULL: nothing.
 */
void request_admit(struct request *request, const struct preload_look *look);

/* ---- request_redirect.c -------------------------------------------------------- */

/*
 * QUEUED because its script has written a local redirect: runs the script it leads to, if need be
 * after LOCATING.
 */
void request_follow_redirect(struct request *request);

#endif
