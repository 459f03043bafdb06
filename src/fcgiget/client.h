/* SPDX-License-Identifier: ISC */
/*
 * client: the web server's side of one FastCGI exchange on one socket.
 *
 *    begin, params, body -> client.out -> socket -> reader -> sink
 *
 * An exchange is either a request (BEGIN ... END_REQUEST) or a question (GET_VALUES ...
 * GET_VALUES_RESULT).  It ends with the record it awaits, whose content is kept in `final`.
 * Further exchanges may follow on the same socket.  It never waits: the owner polls for
 * client_interest() and reports with client_ready(), and one owner can run many.  It does not
 * interpret the script's output.
 */
#ifndef CGIBRIDGE_CLIENT_H
#define CGIBRIDGE_CLIENT_H

#include <stdbool.h>

#include "base/buf.h"
#include "fcgi/fcgi.h"

enum {
	CLIENT_READ_MAX = 64 * 1024, /* most bytes that one client_ready() gives to the sink */
	CLIENT_ERROR_MAX = 160,
};

enum client_state {
	CLIENT_OPEN,   /* the awaited record has not arrived */
	CLIENT_ENDED,  /* it has arrived: `final` is its content */
	CLIENT_FAILED, /* it will never arrive: `error` says why */
};

enum client_sending {
	CLIENT_BODY, /* more of the body may come */
	CLIENT_SENT, /* all of the request is queued */
	CLIENT_CUT,  /* the server stopped reading: the rest is dropped */
};

struct client;

/* Takes the script's output, in the pieces in which it arrives; `len` > 0. */
struct client_sink {
	void (*output)(struct client *c, void *context, const unsigned char *bytes, size_t len);
	void (*errors)(struct client *c, void *context, const unsigned char *bytes, size_t len);
	void *context;
};

struct client {
	int fd;                         /* not owned */
	enum client_state state;
	enum client_sending sending;
	uint16_t id;                    /* of every record in this exchange */
	enum fcgi_type awaited;
	struct buf out;                 /* records on their way to the server */
	struct fcgi_reader reader;
	struct buf final;
	bool heard;                     /* the server has sent something in this exchange */
	bool surplus;                   /* and more after `final`: the socket is spoilt */
	const struct client_sink *sink;
	uint32_t app_status;            /* of END_REQUEST */
	unsigned protocol_status;
	char error[CLIENT_ERROR_MAX];
};

/* Prepares an exchange on `fd`, a connected non-blocking socket; `sink` must outlive it. */
void client_init(struct client *c, int fd, const struct client_sink *sink);

/* Frees the memory of `c`; the socket stays open. */
void client_fini(struct client *c);

/*
 * Makes `c` ready for another exchange on its socket; it must be CLIENT_ENDED without
 * a surplus, and all of its request sent.
 */
void client_again(struct client *c);

/*
 * Starts a request with `params`, a stream of encoded pairs; `flags` as for BEGIN_REQUEST.
 * The body follows by client_send().
 */
void client_request(struct client *c, unsigned flags, const struct buf *params);

/* Asks for the `count` values named in `names`. */
void client_ask(struct client *c, const char *const *names, size_t count);

/* Whether more of the body has somewhere to go. */
bool client_wants_body(const struct client *c);

/* Queues `len` bytes of the body; 0 ends it. */
void client_send(struct client *c, const void *bytes, size_t len);

/* The poll(2) events to wait for; `reading`: the sink has room. */
short client_interest(const struct client *c, bool reading);

/*
 * Acts on `events` of poll(2), with the same `reading`; calls the sink with at most
 * CLIENT_READ_MAX bytes.  The state may change.
 */
void client_ready(struct client *c, short events, bool reading);

/* Ends the exchange as failed, unless it has ended already; the first reason is kept. */
void client_fail(struct client *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
