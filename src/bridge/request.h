/* SPDX-License-Identifier: ISC */
/*
 * request: one FastCGI request, from its BEGIN_REQUEST to its END_REQUEST.
 *
 *   PARAMS --end of params--> BODY --length known--> QUEUED --slot--> RUNNING --> ENDED
 *      |                       |                        |                |          ^
 *      +--- refused, lost, aborted, timed out ----------+----------------+----------+
 *
 * RUNNING ends with the script's output: END_REQUEST carries the exit status if the exit
 * comes within REQUEST_EXIT_TIME.  A client that leaves before has what it wanted if the
 * response's head has gone out: the request is then detached, its output is read and
 * dropped, and --disconnect-grace runs.
 *
 * It owns the parameters, the body on its way in, the script, and the response on
 * its way out.  It writes records to its connection's buffer and tells it through
 * `struct request_link`; it knows no socket.  What is left of its script when it ends
 * goes to left.c.
 */
#ifndef CGIBRIDGE_REQUEST_H
#define CGIBRIDGE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "stats/accesslog.h"
#include "bridge/admission.h"
#include "base/attributes.h"
#include "cgi/body.h"
#include "cgi/child.h"
#include "cgi/environment.h"
#include "cgi/errlog.h"
#include "bridge/flaw_log.h"
#include "bridge/front_end.h"
#include "fcgi/fcgi.h"
#include "cgi/left.h"
#include "base/loop.h"
#include "config/options.h"
#include "fcgi/outlet.h"
#include "cgi/params.h"
#include "cgi/relay.h"

/*
 * The most that a connection's buffer of records holds: what relays let it grow to, one
 * record on top, the page that may answer the record which is taken then, some room for
 * management records; and for each request what it may end with, whether there is room or
 * not: a page of ours, the rest of its stderr, and END_REQUEST.
 */
enum {
	REQUEST_OUT_MAX = RELAY_HIGH + 2 * FCGI_MAX_CONTENT + RESPONSE_GROWTH_MAX + 16 * 1024,
	REQUEST_END_MAX = RESPONSE_PAGE_MAX + 64,
	REQUEST_STDERR_MAX = ERRLOG_TAIL_MAX + 32, /* besides, with --stderr client */
};

enum {
	REQUEST_EXIT_TIME = 20,       /* ms that the exit may come after the end of the output */
	REQUEST_DROP_MAX = 64 * 1024, /* bytes that a script may write in its grace ... */
	REQUEST_DROP_TIME = 1000,     /* ... and for how many ms from its beginning */
};

struct request_sink;

/* What requests share in a worker.  All borrowed. */
struct request_services {
	struct loop *loop;
	const struct options *options;
	const struct environment *environment;
	struct admission *admission;
	struct children *children;
	struct relay_scratch *scratch;
	struct flaw_log *flaws;
	struct request_sink *sink;
	struct left_list *left;
};

struct request;

/* A connection, as its requests see it; embedded there. */
struct request_link {
	const struct request_services *services;
	struct outlet *out; /* the way to the client */
	/* Something has changed: records in `out`, what the request can take. */
	void (*touched)(struct request_link *link);
	/* The request is over; the connection writes END_REQUEST and frees it, later. */
	void (*ended)(struct request_link *link, struct request *request);
	/* Writes who the client is to `text`, for a log line. */
	void (*describe)(struct request_link *link, char *text, size_t size);
};

/* Stands in for the connection of requests that go on without one. */
struct request_sink {
	struct request_link link;
	struct outlet out;
	struct request *first; /* of those requests */
};

void request_sink_init(struct request_sink *sink, const struct request_services *services);

/* The worker ends: stops these requests, as request_stop(), and forgets their scripts. */
void request_sink_stop(struct request_sink *sink);

enum request_state {
	REQUEST_PARAMS,  /* PARAMS are coming in */
	REQUEST_BODY,    /* the body's length is unknown: it is collected first */
	REQUEST_QUEUED,  /* waits for a slot of the scoreboard */
	REQUEST_RUNNING, /* its script runs */
	REQUEST_ENDED,   /* all its records are in `out`, or will never be */
};

struct request_note;
struct request_slow;

struct request {
	struct request_link *link;
	struct request *next, *prev; /* the connection's, or the sink's */
	enum request_state state;
	uint16_t id;
	unsigned role;   /* as sent */
	int64_t timeout;      /* --timeout, or CGIBRIDGE_TIMEOUT; ms, 0: none */
	int64_t idle_timeout; /* --idle-timeout, or CGIBRIDGE_IDLE_TIMEOUT; ms, 0: none */
	enum on_disconnect on_disconnect; /* --on-disconnect, or CGIBRIDGE_ON_DISCONNECT */
	bool keep_conn;
	bool crowded;     /* the connection has too many active requests: to be refused */
	bool stdin_ended; /* the terminating empty FCGI_STDIN has been seen */
	bool truncated;  /* ended: the client must not take the response for whole */
	enum front_end front_end;
	bool needs_stdin; /* its client sends all of FCGI_STDIN only before END_REQUEST */
	bool end_held;    /* ended: END_REQUEST waits for the end of FCGI_STDIN */
	bool own_page;    /* it is about ourselves: not counted among the answers */
	enum fcgi_protocol_status protocol_status; /* ended */
	uint32_t app_status;                       /* ended */
	int answered;    /* the status of a page of ours that has gone out; 0: none */

	struct params params;
	struct body body;
	struct relay relay;
	struct errlog errlog;
	struct admission_ticket ticket;
	struct child *child; /* NULL: none, or it has exited */
	int exit_status;     /* waitpid(2)'s, once it has */
	pid_t pid;
	char *script;        /* its path, for logs; owned, NULL until resolved */

	struct request_note *note; /* for the logs; owned, NULL: none */
	struct request_slow *slow; /* for --slow-log; owned, NULL: not waited for */
	enum accesslog_end outcome;
	uint32_t dropped;         /* bytes that the script has written since its client left */

	struct loop_timer total;  /* --timeout */
	struct loop_timer idle;   /* --idle-timeout; before that, the time for PARAMS */
	struct loop_timer linger; /* --linger, REQUEST_EXIT_TIME, --disconnect-grace */
	struct loop_task discard;
	int64_t started;          /* loop time of BEGIN_REQUEST */
	int64_t active;           /* loop time of the last byte, in or out */
	int64_t out_end;          /* outlet_end() after the last byte of its output */
	int64_t taken;            /* of what is before that, outlet_taken() when last looked at */
};

/*
 * A request that has begun.  NULL with errno ENOMEM.  `link` is borrowed.
 */
struct request *request_new(struct request_link *link, uint16_t id, unsigned role,
    bool keep_conn) MUST_CHECK;

/* Frees it, ended or not begun: a script that runs has been left by then. */
void request_free(struct request **request);

/* Frees it when this turn's events have been seen. */
void request_discard(struct request *request);

/* A piece of FCGI_PARAMS or FCGI_STDIN; an empty record (`len` 0) ends the stream. */
void request_take_params(struct request *request, const void *bytes, size_t len);
void request_take_stdin(struct request *request, const void *bytes, size_t len);

/*
 * Whether the FCGI_STDIN that is to come can be moved to its script, unseen; and that, for
 * up to `len` bytes of it that wait in socket `from`: as body_move().
 */
bool request_moves_stdin(const struct request *request);
ssize_t request_move_stdin(struct request *request, int from, size_t len) MUST_CHECK;

/* The script has not read what it has: request_wants_input() until then says no, if it may. */
void request_await_room(struct request *request);

/* FCGI_ABORT_REQUEST: ends now, its script as --on-disconnect says. */
void request_abort(struct request *request);

/* The client is gone: as request_abort(), but it is not told.  `why` is logged unless NULL. */
void request_lose(struct request *request, const char *why);

/*
 * Whether its script is to go on when its client has closed the connection: it has its
 * grace, or --on-disconnect says so.  After ABORT_REQUEST only the latter counts.
 */
bool request_may_detach(const struct request *request);
bool request_ignores_abort(const struct request *request);

/* Lets it go on: the request, in no list of the connection any more, frees itself. */
void request_detach(struct request *request);

/* The worker is asked to stop at once. */
void request_stop(struct request *request);

/* Whether more FCGI_STDIN has somewhere to go; `alone` if nobody else uses the connection. */
bool request_wants_input(const struct request *request, bool alone);

/* Whether it has been sent whole: what a half-closed connection still can answer. */
bool request_is_whole(const struct request *request);

/* The connection's buffer has room again. */
void request_resume(struct request *request);

#endif
