/* SPDX-License-Identifier: ISC */
/*
 * request_report: what others are told about a request: log lines, the access log, and the
 * numbers and the info in the scoreboard.
 *
 * The parameters are gone when a request ends, and its client may be: what lines need of
 * them is kept when they are there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "bridge/request_private.h"

enum {
	PEER_MAX = 95,
	METHOD_MAX = 63,
	CLIENT_MAX = 63,
	URI_SHOWN = 200, /* in a line of the log */
};

/* Strings in one piece of memory, as long as they are. */
struct request_note {
	const char *uri, *method, *client;
	const char *peer; /* for the access log; "" without one */
	char text[];
};

/* ---- what log lines say of it ------------------------------------------------ */

/* Copies the first `max` bytes of `value`, which may be NULL, to `*at`, and moves that. */
static const char *keep(char **at, const char *value, size_t max)
{
	size_t len = value == NULL ? 0 : strnlen(value, max);
	char *copy = *at;

	if (len > 0)
		memcpy(copy, value, len);
	copy[len] = '\0';
	*at += len + 1;
	return copy;
}

static size_t length_of(const char *value, size_t max)
{
	return value == NULL ? 1 : strnlen(value, max) + 1;
}

void request_take_note(struct request *request)
{
	const struct params *params = &request->params;
	size_t most = accesslog_is_open() ? ACCESSLOG_URI_MAX : URI_SHOWN + 1;
	const char *method = params_get(params, "REQUEST_METHOD");
	const char *client = params_get(params, "REMOTE_ADDR");
	const char *uri = params_get_filled(params, "REQUEST_URI");
	const char *more = uri != NULL ? NULL : params_get(params, "PATH_INFO");
	char peer[PEER_MAX + 1] = "";
	struct request_note *note;
	char *at;

	if (uri == NULL)
		uri = params_get(params, "SCRIPT_NAME");
	if (accesslog_is_open())
		request->link->describe(request->link, peer, sizeof peer);
	note = request->note = malloc(sizeof *note + length_of(uri, most) + length_of(more, most) +
	    length_of(method, METHOD_MAX) + length_of(client, CLIENT_MAX) +
	    length_of(peer, PEER_MAX));
	if (note == NULL) /* lines go without */
		return;
	at = note->text;
	note->uri = keep(&at, uri, most);
	at--; /* the rest of it comes where its terminator is */
	(void)keep(&at, more, most);
	note->method = keep(&at, method, METHOD_MAX);
	note->client = keep(&at, client, CLIENT_MAX);
	note->peer = keep(&at, peer, PEER_MAX);
}

const char *request_origin(const struct request *request, char *text, size_t size)
{
	const struct request_note *note = request->note;
	bool named = note != NULL && *note->client != '\0';

	if (note == NULL)
		return "";
	snprintf(text, size, "%s%s, request: \"%s %.*s%s\"", named ? ", client: " : "", note->client,
	    *note->method == '\0' ? "-" : note->method, URI_SHOWN,
	    *note->uri == '\0' ? "-" : note->uri, strlen(note->uri) > URI_SHOWN ? "..." : "");
	return text;
}

const char *request_subject(const struct request *request, char *text, size_t size)
{
	char peer[96];

	request->link->describe(request->link, peer, sizeof peer);
	if (request->pid > 0)
		snprintf(text, size, "%s[%ld]: request %u from %s", request->script,
		    (long)request->pid, (unsigned)request->id, peer);
	else
		snprintf(text, size, "request %u from %s", (unsigned)request->id, peer);
	return text;
}

/* ---- log lines --------------------------------------------------------------- */

const char *request_account(const struct request *request, char *text, size_t size)
{
	double seconds = (double)(loop_now(request_loop(request)) - request->started) / 1000;
	const char *first = request->errlog.first;

	snprintf(text, size, "%.2fs, %llu bytes in, %llu out%s%s", seconds,
	    (unsigned long long)request->body.received, (unsigned long long)request->relay.sent,
	    first == NULL ? "" : "; first line of stderr: ", first == NULL ? "" : first);
	return text;
}

void request_log_failure(const struct request *request, const char *what)
{
	char who[512];
	char how[320];
	char origin[REQUEST_ORIGIN_MAX];

	log_warn("%s: %s (%s)%s", request_subject(request, who, sizeof who), what,
	    request_account(request, how, sizeof how), request_origin(request, origin, sizeof origin));
}

void request_log_flaws(struct request *request)
{
	struct response *response = &request->relay.response;
	struct flaw_log *told = request->link->services->flaws;
	char who[512];

	if (request->relay.state != RELAY_BODY && request->relay.state != RELAY_ENDED)
		return;
	for (unsigned flaw = 0; flaw < RESPONSE_FLAWS; flaw++)
		if ((response->flaws & 1U << flaw) != 0 &&
		    flaw_log_admits(told, request->script, flaw, loop_now(request_loop(request))))
			log_warn("%s: in its header block: %s: %s",
			    request_subject(request, who, sizeof who),
			    response_flaw_text((enum response_flaw)flaw),
			    response_flaw_cure((enum response_flaw)flaw));
	response->flaws = 0;
}

/* ---- the answer, in numbers -------------------------------------------------- */

int request_status(const struct request *request)
{
	if (request->answered != 0)
		return request->answered;
	if (request->relay.state == RELAY_BODY || request->relay.state == RELAY_ENDED)
		return request->relay.response.status;
	return 0;
}

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

/* ---- the access log ---------------------------------------------------------- */

void request_log_end(const struct request *request)
{
	const struct request_note *note = request->note;
	char peer[PEER_MAX + 1];
	struct accesslog_entry entry;

	if (!accesslog_is_open())
		return;
	if (note == NULL)
		request->link->describe(request->link, peer, sizeof peer);
	entry = (struct accesslog_entry){.peer = note == NULL ? peer : note->peer,
	    .method = note == NULL ? NULL : note->method,
	    .uri = note == NULL ? NULL : note->uri,
	    .client = note == NULL ? NULL : note->client,
	    .script = request->script,
	    .status = request_status(request),
	    .app_status = request->app_status,
	    .in = request->body.received,
	    .out = request->relay.sent,
	    .duration = loop_now(request_loop(request)) - request->started,
	    .pid = request->pid,
	    .end = request->outcome};
	accesslog_write(&entry);
}
