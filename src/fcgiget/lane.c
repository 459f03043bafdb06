/* SPDX-License-Identifier: ISC */
/*
 * lane: connect, send, receive, judge.
 */
#include "fcgiget/lane.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fcgiget/dial.h"

enum {
	BODY_CHUNK = 32 * 1024,
	RETRY_DELAY = 5, /* ms between attempts at a full unix socket queue */
};

static bool may_follow(enum lane_state from, enum lane_state to)
{
	switch (from) {
	case LANE_CLOSED:
	case LANE_QUEUED:
		return to == LANE_CLOSED || to == LANE_QUEUED || to == LANE_CONNECTING;
	case LANE_CONNECTING:
		return to == LANE_CLOSED || to == LANE_BUSY;
	case LANE_BUSY:
	case LANE_REUSED:
		return to == LANE_CLOSED || to == LANE_KEPT;
	case LANE_KEPT:
		return to == LANE_CLOSED || to == LANE_REUSED;
	}
	return false;
}

static void set_state(struct lane *l, enum lane_state state)
{
	assert(may_follow(l->state, state));
	l->state = state;
}

static bool asks_values(const struct lane *l)
{
	return l->errand->options->action == ACTION_VALUES;
}

/* ---- the end of a request ------------------------------------------------------ */

static void drop(struct lane *l)
{
	loop_close(l->loop, &l->watch);
	client_fini(&l->client);
	set_state(l, LANE_CLOSED);
}

static void end(struct lane *l, enum outcome outcome, const char *why)
{
	loop_timer_clear(l->loop, &l->timeout);
	loop_timer_clear(l->loop, &l->retry);
	l->ending.outcome = outcome;
	l->ending.why = why;
	l->ending.time = clock_us() - l->since;
	l->ended(l, &l->ending);
}

/* Ends the request and the connection; `why` may be the client's `error`. */
static void give_up(struct lane *l, enum outcome outcome, const char *why)
{
	drop(l);
	end(l, outcome, why);
}

static void time_out(struct loop_timer *timer)
{
	struct lane *l = CONTAINER_OF(timer, struct lane, timeout);

	give_up(l, OUTCOME_TIMEOUT,
	    l->state == LANE_BUSY || l->state == LANE_REUSED
	        ? "timed out waiting for the response"
	        : "timed out waiting for the connection");
}

/* Whether the bytes are complete pairs. */
static bool are_pairs(const struct buf *b)
{
	const unsigned char *at = buf_bytes(b);
	size_t left = buf_len(b);

	while (left > 0) {
		struct fcgi_pair pair;
		size_t n = fcgi_get_pair(at, left, &pair);

		if (n == 0)
			return false;
		at += n;
		left -= n;
	}
	return true;
}

static enum outcome judge_values(const struct lane *l, const char **why)
{
	if (are_pairs(&l->client.final))
		return OUTCOME_DONE;
	*why = "GET_VALUES_RESULT ends inside a pair";
	return OUTCOME_PROTOCOL;
}

static enum outcome judge_response(const struct lane *l, const char **why)
{
	const struct client *c = &l->client;

	if (c->protocol_status != FCGI_REQUEST_COMPLETE)
		return OUTCOME_REFUSED;
	if (l->answer.status == 0) {
		*why = answer_missing(&l->answer);
		return OUTCOME_PROTOCOL;
	}
	return l->answer.status >= 400 && l->errand->options->fail_on_status ? OUTCOME_STATUS
	                                                                     : OUTCOME_DONE;
}

static bool can_keep(const struct lane *l)
{
	return l->errand->options->keep_connection && l->client.sending == CLIENT_SENT &&
	    buf_len(&l->client.out) == 0;
}

static void finish(struct lane *l)
{
	struct client *c = &l->client;
	const char *why = NULL;
	enum outcome outcome;

	outcome = asks_values(l) ? judge_values(l, &why) : judge_response(l, &why);
	if (c->surplus && outcome == OUTCOME_DONE) {
		outcome = OUTCOME_PROTOCOL;
		why = "something follows the end of the response";
	}
	l->ending.status = l->answer.status;
	if (!asks_values(l)) {
		l->ending.protocol_status = (int)c->protocol_status;
		l->ending.app_status = c->app_status;
	}
	if (can_keep(l) && !c->surplus)
		set_state(l, LANE_KEPT);
	else
		drop(l);
	end(l, outcome, why);
}

/* ---- the response ---------------------------------------------------------------- */

static void on_output(struct client *c, void *context, const unsigned char *bytes, size_t len)
{
	struct lane *l = context;

	l->ending.bytes += len;
	if (l->answer.status == 0 && answer_read_header(&l->answer, bytes, len) < 0)
		client_fail(c, "%s", answer_explain(errno));
}

static void on_errors(struct client *c, void *context, const unsigned char *bytes, size_t len)
{
	struct lane *l = context;

	(void)c;
	(void)bytes;
	l->ending.error_bytes += len;
}

/* ---- the connection ---------------------------------------------------------------- */

static void dial(struct lane *l)
{
	int fd = dial_begin(&l->errand->options->server);
	int error = errno;

	if (fd < 0 && error == EAGAIN) {
		set_state(l, LANE_QUEUED);
		loop_timer_set(l->loop, &l->retry, RETRY_DELAY);
		return;
	}
	if (fd >= 0 && loop_watch(l->loop, &l->watch, fd, LOOP_OUT) == 0) {
		set_state(l, LANE_CONNECTING);
		return;
	}
	if (fd >= 0) {
		error = errno;
		close(fd);
	}
	end(l, OUTCOME_CONNECT, strerror(error));
}

static void dial_again(struct loop_timer *timer)
{
	dial(CONTAINER_OF(timer, struct lane, retry));
}

/* ---- the request ----------------------------------------------------------------- */

static void redial(struct lane *l)
{
	drop(l);
	l->ending.resent = 1;
	l->body_at = 0;
	dial(l);
}

static unsigned wanted(const struct client *c)
{
	short events = client_interest(c, true);

	return ((events & POLLIN) != 0 ? LOOP_IN : 0U) | ((events & POLLOUT) != 0 ? LOOP_OUT : 0U);
}

static void lane_advance(struct lane *l)
{
	switch (l->client.state) {
	case CLIENT_OPEN:
		loop_want(l->loop, &l->watch, wanted(&l->client));
		break;
	case CLIENT_ENDED:
		finish(l);
		break;
	case CLIENT_FAILED:
		if (l->state == LANE_REUSED && !l->client.heard)
			redial(l);
		else
			give_up(l, OUTCOME_PROTOCOL, l->client.error);
		break;
	}
}

/* Gives the client as much of the body as it wants, and the end of the body. */
static void feed(struct lane *l)
{
	const struct buf *body = &l->errand->body;

	while (client_wants_body(&l->client)) {
		size_t left = buf_len(body) - l->body_at;
		size_t len = left < BODY_CHUNK ? left : BODY_CHUNK;

		client_send(&l->client, len == 0 ? NULL : buf_bytes(body) + l->body_at, len);
		l->body_at += len;
	}
}

static void go_on(struct lane *l, short events)
{
	feed(l);
	client_ready(&l->client, events, true);
	lane_advance(l);
}

static void send_request(struct lane *l)
{
	static const char *const names[] = {"FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"};
	const struct fcgiget_options *o = l->errand->options;

	if (asks_values(l))
		client_ask(&l->client, names, sizeof names / sizeof *names);
	else
		client_request(&l->client, o->keep_connection ? FCGI_KEEP_CONN : 0,
		    &l->errand->params);
	go_on(l, POLLOUT);
}

static void connected(struct lane *l)
{
	if (dial_outcome(l->watch.fd) != 0) {
		give_up(l, OUTCOME_CONNECT, strerror(errno));
		return;
	}
	l->ending.connects++;
	client_init(&l->client, l->watch.fd, &l->sink);
	set_state(l, LANE_BUSY);
	send_request(l);
}

static short poll_events(unsigned events)
{
	int result = 0;

	if (events & LOOP_IN)
		result |= POLLIN;
	if (events & LOOP_OUT)
		result |= POLLOUT;
	if (events & LOOP_HUP)
		result |= POLLHUP;
	return (short)result;
}

static void ready(struct loop_watch *watch, unsigned events)
{
	struct lane *l = CONTAINER_OF(watch, struct lane, watch);

	switch (l->state) {
	case LANE_CONNECTING:
		connected(l);
		break;
	case LANE_BUSY:
	case LANE_REUSED:
		go_on(l, poll_events(events));
		break;
	case LANE_KEPT: /* the server closed it, or sent something unasked */
		drop(l);
		break;
	case LANE_CLOSED: /* they watch no descriptor */
	case LANE_QUEUED:
		break;
	}
}

/* ---- calls of the owner -------------------------------------------------------------- */

static void begin(struct loop_task *task)
{
	struct lane *l = CONTAINER_OF(task, struct lane, start);

	l->ending = (struct ending){.protocol_status = -1};
	l->body_at = 0;
	answer_fini(&l->answer);
	answer_init(&l->answer);
	l->since = clock_us();
	loop_timer_set(l->loop, &l->timeout, l->errand->options->timeout);
	if (l->state != LANE_KEPT) {
		dial(l);
		return;
	}
	set_state(l, LANE_REUSED);
	client_again(&l->client);
	send_request(l);
}

void lane_init(struct lane *l, struct loop *loop, const struct errand *errand,
    lane_ended_fn *ended, void *context)
{
	*l = (struct lane){
	    .loop = loop, .errand = errand, .ended = ended, .context = context};
	l->sink = (struct client_sink){
	    .output = on_output, .errors = on_errors, .context = l};
	client_init(&l->client, -1, &l->sink);
	answer_init(&l->answer);
	loop_watch_init(&l->watch, ready);
	loop_timer_init(&l->timeout, time_out);
	loop_timer_init(&l->retry, dial_again);
	loop_task_init(&l->start, begin);
}

void lane_fini(struct lane *l)
{
	loop_unpost(&l->start);
	loop_timer_clear(l->loop, &l->timeout);
	loop_timer_clear(l->loop, &l->retry);
	drop(l);
	answer_fini(&l->answer);
}

void lane_start(struct lane *l)
{
	loop_post(l->loop, &l->start);
}
