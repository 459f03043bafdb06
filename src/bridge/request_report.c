/* SPDX-License-Identifier: ISC */
/*
 * request_report: reports about a request: log lines, the access log, and the numbers and the
 * script info in the scoreboard.
 *
 * Lines read the parameters while these exist.  Once the script has its copy they are freed,
 * and the client may leave: log_fields keeps the parts of both that lines need.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "bridge/request_private.h"

enum { URI_SHOWN = 200 }; /* in a line of the log */

enum asked_text {
	ASKED_URI,
	ASKED_PATH, /* the rest of the URI; usually "" */
	ASKED_METHOD,
	ASKED_CLIENT,
	ASKED_PEER, /* for the access log; "" without one */
	ASKED_TEXTS
};

/* The client and its request: strings of the parameters, or of log_fields. */
struct asked {
	const char *text[ASKED_TEXTS];
};

/* The strings, one after the other. */
struct request_log_fields {
	uint16_t at[ASKED_TEXTS]; /* where in `text` each begins */
	char text[];
};

/* ---- the texts of log lines -------------------------------------------------- */

static const char *value_of(const struct params *params, const char *name)
{
	const char *value = params_get(params, name);

	return value == NULL ? "" : value;
}

static void read_params(const struct params *params, struct asked *asked)
{
	const char *uri = params_get_filled(params, "REQUEST_URI");

	*asked = (struct asked){{
	    [ASKED_URI] = uri != NULL ? uri : value_of(params, "SCRIPT_NAME"),
	    [ASKED_PATH] = uri != NULL ? "" : value_of(params, "PATH_INFO"),
	    [ASKED_METHOD] = value_of(params, "REQUEST_METHOD"),
	    [ASKED_CLIENT] = value_of(params, "REMOTE_ADDR"),
	    [ASKED_PEER] = "",
	}};
}

static void read_log_fields(const struct request_log_fields *fields, struct asked *asked)
{
	for (int i = 0; i < ASKED_TEXTS; i++)
		asked->text[i] = fields->text + fields->at[i];
}

static void look_up(const struct request *request, struct asked *asked)
{
	if (request->log_fields != NULL)
		read_log_fields(request->log_fields, asked);
	else
		read_params(&request->params, asked);
}

void request_keep_log_fields(struct request *request)
{
	size_t most = accesslog_is_open() ? ACCESSLOG_URI_MAX : URI_SHOWN + 1;
	const size_t limits[ASKED_TEXTS] = {most, most, 63, 63, 95};
	size_t lengths[ASKED_TEXTS];
	size_t size = 0;
	char peer[96];
	struct request_log_fields *fields;
	struct asked asked;

	if (request->log_fields != NULL) /* of the client's request, not of a local redirect */
		return;
	read_params(&request->params, &asked);
	if (accesslog_is_open()) {
		request->link->describe(request->link, peer, sizeof peer);
		asked.text[ASKED_PEER] = peer;
	}
	for (int i = 0; i < ASKED_TEXTS; i++) {
		lengths[i] = strnlen(asked.text[i], limits[i]);
		size += lengths[i] + 1;
	}
	fields = request->log_fields = malloc(sizeof *fields + size);
	if (fields == NULL) /* lines do without them */
		return;
	for (size_t i = 0, at = 0; i < ASKED_TEXTS; i++) {
		fields->at[i] = (uint16_t)at;
		memcpy(fields->text + at, asked.text[i], lengths[i]);
		at += lengths[i];
		fields->text[at++] = '\0';
	}
}

static bool is_known(const struct request *request)
{
	return request->log_fields != NULL || request->params.list != NULL;
}

const char *request_origin(const struct request *request, char *text, size_t size)
{
	char uri[URI_SHOWN + 2];
	struct asked asked;
	const char *client;
	const char *method;

	if (!is_known(request))
		return "";
	look_up(request, &asked);
	client = asked.text[ASKED_CLIENT];
	method = asked.text[ASKED_METHOD];
	snprintf(uri, sizeof uri, "%s%s", asked.text[ASKED_URI], asked.text[ASKED_PATH]);
	snprintf(text, size, "%s%.63s, request: \"%.63s %.*s%s\"",
	    *client != '\0' ? ", client: " : "", client, *method == '\0' ? "-" : method, URI_SHOWN,
	    *uri == '\0' ? "-" : uri, strlen(uri) > URI_SHOWN ? "..." : "");
	return text;
}

const char *request_subject(const struct request *request, char *text, size_t size)
{
	char peer[96];

	request->link->describe(request->link, peer, sizeof peer);
	if (request->script.pid > 0)
		snprintf(text, size, "%s[%ld]: request %u from %s", request->script.path,
		    (long)request->script.pid, (unsigned)request->id, peer);
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
		    flaw_log_admits(told, request->script.path, flaw, loop_now(request_loop(request))))
			log_warn("%s: in its header block: %s: %s",
			    request_subject(request, who, sizeof who),
			    response_flaw_text((enum response_flaw)flaw),
			    response_flaw_cure((enum response_flaw)flaw));
	response->flaws = 0;
}

/* ---- the answer, in numbers -------------------------------------------------- */

int request_status(const struct request *request)
{
	if (request->result.own_status != 0)
		return request->result.own_status;
	if (request->relay.state == RELAY_BODY || request->relay.state == RELAY_ENDED)
		return request->relay.response.status;
	return 0;
}

void request_show(struct request *request)
{
	struct script_info info = {
	    .started = loop_clock(request_loop(request)),
	    .request = request->id,
	    .preloaded = request->preloads};
	const char *client = params_get_filled(&request->params, "REMOTE_ADDR");

	scoreboard_cut(info.script, sizeof info.script, request->script.path);
	scoreboard_cut(info.client, sizeof info.client, client == NULL ? "" : client);
	request->link->describe(request->link, info.peer, sizeof info.peer);
	scoreboard_describe(request->link->services->admission->board, request->script.ticket.slot, &info);
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
	if (status == 0 || request->result.uncounted)
		return;
	tally_add(tally, class_of(status), 1);
	tally_time(tally, TALLY_REQUEST, ms * 1000);
}

/* ---- the access log ---------------------------------------------------------- */

void request_log_end(const struct request *request)
{
	char peer[96];
	char uri[ACCESSLOG_URI_MAX + 1];
	struct asked asked;
	struct accesslog_entry entry;

	if (!accesslog_is_open())
		return;
	look_up(request, &asked);
	if (*asked.text[ASKED_PEER] == '\0') {
		request->link->describe(request->link, peer, sizeof peer);
		asked.text[ASKED_PEER] = peer;
	}
	snprintf(uri, sizeof uri, "%s%s", asked.text[ASKED_URI], asked.text[ASKED_PATH]);
	entry = (struct accesslog_entry){.peer = asked.text[ASKED_PEER],
	    .method = asked.text[ASKED_METHOD],
	    .uri = uri,
	    .client = asked.text[ASKED_CLIENT],
	    .script = request->script.path,
	    .status = request_status(request),
	    .app_status = request->result.app_status,
	    .in = request->body.received,
	    .out = request->relay.sent,
	    .duration = loop_now(request_loop(request)) - request->started,
	    .pid = request->script.pid,
	    .end = request->result.outcome};
	accesslog_write(&entry);
}
