/* SPDX-License-Identifier: ISC */
/*
 * request: one FastCGI request, from its BEGIN_REQUEST to its END_REQUEST.
 *
 *   PARAMS --all of them--> BODY --its length is known--> QUEUED --a slot--> RUNNING
 *
 *   with a script on a file system that may not answer
 *   PARAMS --all of them--> LOCATING --it answers--> BODY
 *
 *   with a preloader --a slot--> STARTING --it says so--> RUNNING
 *                                    \--it does not--> RUNNING by exec, or QUEUED again
 *
 *   RUNNING --client gone---> GRACE, or with --on-disconnect ignore DETACHED
 *   these three
 *      |----script exited---> LINGERING
 *      \----output ended----> EXITING --it was a local redirect--> QUEUED, or LOCATING too
 *
 *   all of them --answered, refused, cut, stopped--> CLOSING --end of FCGI_STDIN--> ENDED
 *                                                \--> ENDED, where that is not waited for
 *
 * It owns the parameters, the body on its way in, the script, and the response on its way out.
 * It writes records to its connection's buffer and notifies it through `struct request_link`;
 * it does not know the socket.  When it ends, left.c takes over its script if that still runs,
 * and its stderr.
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
#include "cgi/mounts.h"
#include "base/loop.h"
#include "config/options.h"
#include "fcgi/outlet.h"
#include "cgi/preload.h"
#include "cgi/params.h"
#include "cgi/relay.h"
#include "cgi/scout.h"

/*
 * The most that a connection's buffer of records holds: the size that relays let it grow to,
 * one more record, the page that may answer the record read at that point, and some room for
 * management records; and in addition, for each request, the records that it may end with even
 * if there is no room: a page of the bridge, the rest of its stderr, and END_REQUEST.
 */
enum {
	REQUEST_OUT_MAX = RELAY_HIGH + 2 * FCGI_MAX_CONTENT + RESPONSE_GROWTH_MAX + 16 * 1024,
	REQUEST_END_MAX = RESPONSE_PAGE_MAX + 64,
	REQUEST_STDERR_MAX = ERRLOG_TAIL_MAX + 32, /* in addition, with --stderr client */
};

enum {
	REQUEST_DROP_MAX = 64 * 1024, /* bytes that a script may write in its grace period ... */
	REQUEST_DROP_TIME = 1000,     /* ... and for how many ms from its beginning */
};

/* How long a request waits, in ms. */
struct request_times {
	int64_t params; /* for all PARAMS */
	int64_t exit;   /* for the script's exit, after the end of its output */
};

extern const struct request_times request_times; /* the times that a worker uses */

struct request_sink;

/* The parts of a worker that its requests share.  All borrowed. */
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
	struct request_times times;
	struct mounts *mounts;
	struct scouts *scouts;
	struct preload *preload; /* NULL: there are no preloaders */
};

struct request;

/* Requests of one owner, the oldest first; a request is in one list at most.  See below. */
struct request_list {
	struct request *first; /* NULL: none */
};

/* A connection, as its requests see it; embedded there. */
struct request_link {
	const struct request_services *services;
	struct outlet *out; /* the way to the client */
	/* Something has changed: the records in `out`, or whether the request takes input. */
	void (*touched)(struct request_link *link);
	/* The request is over; the connection writes END_REQUEST, and frees it later. */
	void (*ended)(struct request_link *link, struct request *request);
	/* Writes a description of the client to `text`, for a log line. */
	void (*describe)(struct request_link *link, char *text, size_t size);
};

/* Takes the place of the connection for requests that go on without one. */
struct request_sink {
	struct request_link link;
	struct outlet out;
	struct request_list requests;
};

void request_sink_init(struct request_sink *sink, const struct request_services *services);

/* The worker ends: stops these requests, as request_stop() does. */
void request_sink_stop(struct request_sink *sink);

/* The content of BEGIN_REQUEST, and whether its connection has too many requests. */
struct request_begin {
	uint16_t id;
	unsigned role;
	bool keep_conn;
	bool overloaded;
};

/* How it ended. */
struct request_result {
	bool truncated; /* the client must not take the response for complete */
	bool uncounted; /* about the bridge itself: not counted among the answers */
	int own_status; /* the status of a page of the bridge that was sent; 0: none */
	enum accesslog_end outcome;
	uint32_t app_status;
	enum fcgi_protocol_status protocol_status;
};

/* A new request; `link` is borrowed.  NULL with errno ENOMEM. */
struct request *request_new(struct request_link *link,
    const struct request_begin *begin) MUST_CHECK;

/* Frees it, ended or never started; a script that still runs must have been handed to left.c. */
void request_free(struct request **request);

/* Frees it after this turn's events. */
void request_discard(struct request *request);

uint16_t request_id(const struct request *request);

/* Whether it has ended, and how; and whether its FCGI_STDIN has ended. */
bool request_has_ended(const struct request *request);
const struct request_result *request_result(const struct request *request);
bool request_stdin_ended(const struct request *request);

/* Whether its client takes an end of the connection without END_REQUEST for a whole response. */
bool request_trusts_eof(const struct request *request);

/* A piece of FCGI_PARAMS or FCGI_STDIN; an empty record (`len` 0) ends the stream. */
void request_read_params(struct request *request, const void *bytes, size_t len);
void request_read_stdin(struct request *request, const void *bytes, size_t len);

/*
 * The first tells whether further FCGI_STDIN can be moved to the script without being read; the
 * second moves up to `len` bytes of it that wait in socket `from`, like body_move().
 */
bool request_moves_stdin(const struct request *request);
ssize_t request_move_stdin(struct request *request, int from, size_t len) MUST_CHECK;

/* The pipe to the script is full: until there is room, request_wants_input() may be false. */
void request_await_room(struct request *request);

/* FCGI_ABORT_REQUEST: ends it now; --on-disconnect decides whether its script is stopped. */
void request_abort(struct request *request);

/* The client is gone: like request_abort(), but without an answer; logs `why` unless NULL. */
void request_lose(struct request *request, const char *why);

/*
 * Whether its script may go on when its client has closed the connection: for the grace period,
 * or because of --on-disconnect.  After ABORT_REQUEST, only --on-disconnect counts.
 */
bool request_may_detach(const struct request *request);
bool request_ignores_abort(const struct request *request);

/* Lets it go on without a client.  It has to be out of the connection's lists; it frees itself. */
void request_detach(struct request *request);

/* Stops it at once, with a 503 if nothing has been sent: the worker stops. */
void request_stop(struct request *request);

/* Whether more FCGI_STDIN has somewhere to go; `alone`: no other request uses the connection. */
bool request_wants_input(const struct request *request, bool alone);

/* Whether all of it has arrived; otherwise a half-closed connection cannot get its answer. */
bool request_is_whole(const struct request *request);

/* The connection's buffer has room again. */
void request_resume(struct request *request);

/* ---- lists of requests ------------------------------------------------------- */

/* Adds `request` as the last. */
void request_list_add(struct request_list *list, struct request *request);

/* Removes `request` from `list`, where it has to be. */
void request_list_remove(struct request_list *list, struct request *request);

/* Makes the first one the last, and returns it; NULL if there is none. */
struct request *request_list_rotate(struct request_list *list);

/* The one after `request`; NULL after the last. */
struct request *request_list_next(const struct request_list *list, const struct request *request);

/* The one with this id, or NULL. */
struct request *request_list_find(const struct request_list *list, uint16_t id);

#endif
