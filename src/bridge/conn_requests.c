/* SPDX-License-Identifier: ISC */
/*
 * conn_requests: the state of a connection, its end, and its requests by id.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/log.h"
#include "bridge/conn_private.h"

enum { FEW = 8 }; /* up to this many requests are found without an index */

/* ---- state ----------------------------------------------------------------------------- */

static bool may_follow(enum conn_state from, enum conn_state to)
{
	switch (from) {
	case CONN_NEW:
		return to == CONN_OPEN || to == CONN_GRACE || to == CONN_LAST || to == CONN_HALF ||
		    to >= CONN_FAILED;
	case CONN_OPEN:
		return (to >= CONN_GRACE && to <= CONN_HALF) || to >= CONN_SHUT;
	case CONN_GRACE:
		return (to >= CONN_LEAVING && to <= CONN_HALF) || to >= CONN_SHUT;
	case CONN_LEAVING:
		return to == CONN_LAST || to == CONN_HALF || to >= CONN_SHUT;
	case CONN_LAST:
		return to == CONN_HALF || to == CONN_DRAIN || to >= CONN_FAILED;
	case CONN_HALF:
		return to >= CONN_FAILED;
	case CONN_DRAIN:
		return to == CONN_SHUT || to == CONN_CLOSED;
	case CONN_SHUT:
	case CONN_FAILED:
		return to == CONN_CLOSED;
	case CONN_CLOSED:
		return false;
	}
	return false;
}

void conn_set_state(struct conn *conn, enum conn_state state)
{
	if (conn->state == state)
		return;
	assert(may_follow(conn->state, state));
	conn->state = state;
}

void conn_touch(struct conn *conn)
{
	if (conn->state != CONN_CLOSED)
		loop_post(conn_loop(conn), &conn->turn);
}

/* ---- the lists --------------------------------------------------------------------------- */

static void count_active(struct conn *conn, int change)
{
	const struct admission *admission = conn->owner->services->admission;
	bool was_busy = conn->active > 0;

	if (change > 0)
		conn->active++;
	else
		conn->active--;
	if (was_busy != (conn->active > 0))
		tally_move(scoreboard_tally(admission->board, admission->worker), TALLY_BUSY, change);
}

struct request *conn_rotate_requests(struct conn *conn)
{
	return request_list_rotate(&conn->requests);
}

/* ---- by id ------------------------------------------------------------------------------- */

static void index_list(struct conn *conn, const struct request_list *list)
{
	struct request *at = list->first;

	for (; at != NULL && conn->index != NULL; at = request_list_next(list, at))
		if (conn_index_add(conn->index, request_id(at), at) != 0)
			conn_index_free(&conn->index);
}

/* Without memory there is no index, and requests are found by searching the lists. */
static void make_index(struct conn *conn)
{
	conn->index = conn_index_new();
	index_list(conn, &conn->requests);
	index_list(conn, &conn->ended);
}

struct request *conn_find_request(const struct conn *conn, uint16_t id)
{
	struct request *request;

	if (conn->index != NULL)
		return conn_index_find(conn->index, id);
	request = request_list_find(&conn->requests, id);
	return request != NULL ? request : request_list_find(&conn->ended, id);
}

void conn_link_request(struct conn *conn, struct request *request)
{
	request_list_add(&conn->requests, request);
	count_active(conn, 1);
	conn->known++;
	if (conn->index == NULL && conn->known > FEW)
		make_index(conn);
	else if (conn->index != NULL && conn_index_add(conn->index, request_id(request), request) != 0)
		conn_index_free(&conn->index);
}

void conn_retire_request(struct conn *conn, struct request *request)
{
	request_list_remove(&conn->requests, request);
	request_list_add(&conn->ended, request);
	count_active(conn, -1);
}

static void unlink_ended(struct conn *conn, struct request *request)
{
	request_list_remove(&conn->ended, request);
	conn->known--;
	if (conn->index != NULL)
		conn_index_remove(conn->index, request_id(request));
	if (conn->known == 0)
		conn_index_free(&conn->index);
}

void conn_forget_request(struct conn *conn, struct request *request)
{
	unlink_ended(conn, request);
	request_discard(request);
}

void conn_detach_request(struct conn *conn, struct request *request)
{
	conn_retire_request(conn, request);
	unlink_ended(conn, request);
	request_detach(request);
}

/* ---- the end ----------------------------------------------------------------------------- */

static void leave_owner(struct conn *conn)
{
	LIST_REMOVE(conn->owner->first, conn);
	conn->owner->count--;
}

static void lose_request(struct conn *conn, struct request *request, const char *why)
{
	if (request_may_detach(request)) {
		conn_detach_request(conn, request);
		return;
	}
	conn_retire_request(conn, request);
	request_lose(request, why);
}

/*
 * Closes the socket; requests that still run lose their client (`why`, for the log; NULL if
 * that has been logged).  The memory is freed after this turn.
 */
static void close_because(struct conn *conn, const char *why)
{
	if (conn->state == CONN_CLOSED)
		return;
	conn_set_state(conn, CONN_CLOSED);
	while (conn->requests.first != NULL)
		lose_request(conn, conn->requests.first, why);
	while (conn->ended.first != NULL)
		conn_forget_request(conn, conn->ended.first);
	loop_close(conn_loop(conn), &conn->socket);
	loop_timer_clear(conn_loop(conn), &conn->timer);
	loop_unpost(&conn->turn);
	leave_owner(conn);
	loop_post(conn_loop(conn), &conn->free_task);
	conn->owner->closed(conn->owner);
}

void conn_close(struct conn *conn)
{
	close_because(conn, "the client is gone");
}

void conn_reject(struct conn *conn, const char *why)
{
	char peer[ADDRESS_TEXT_MAX];

	if (conn->state == CONN_CLOSED)
		return;
	address_text(&conn->peer, peer);
	log_warn("connection from %s closed: %s", peer, why);
	close_because(conn, NULL);
}
