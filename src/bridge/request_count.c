/* SPDX-License-Identifier: ISC */
/*
 * request_count: what a request leaves in the scoreboard: an info while its script
 * runs, and its numbers at the end.
 */
#include <stdio.h>

#include "bridge/request_private.h"

void request_show(struct request *request)
{
	struct script_info info = {
	    .started = loop_clock(request_loop(request)), .request = request->id};
	const char *client = params_get_filled(&request->params, "REMOTE_ADDR");

	scoreboard_cut(info.script, sizeof info.script, request->script);
	scoreboard_cut(info.client, sizeof info.client, client == NULL ? "" : client);
	request->link->describe(request->link, info.peer, sizeof info.peer);
	scoreboard_describe(request->link->services->admission->board, request->ticket.slot, &info);
}

static enum tally_event class_of(int status)
{
	static const enum tally_event classes[] = {TALLY_2XX, TALLY_3XX, TALLY_4XX, TALLY_5XX};

	return status >= 200 && status < 600 ? classes[status / 100 - 2] : TALLY_OTHER;
}

void request_count_end(struct request *request)
{
	struct tally *tally = request_tally(request);
	int status = request_status(request);
	int64_t ms = loop_now(request_loop(request)) - request->started;

	tally_move(tally, TALLY_ACTIVE, -1);
	tally_add(tally, TALLY_BYTES_IN, request->body.received);
	tally_add(tally, TALLY_BYTES_OUT, request->relay.sent);
	if (status == 0 || request->own_page)
		return;
	tally_add(tally, class_of(status), 1);
	tally_time(tally, TALLY_REQUEST, ms * 1000);
}
