/* SPDX-License-Identifier: ISC */
/*
 * request_redirect: local redirects (RFC 3875 6.2.2), by --local-redirect.
 *
 * A script that answers with a path in Location and nothing else wants the response to a GET
 * request for that path.  nginx does that, when it gets the path as X-Accel-Redirect.  For
 * others, a script below DOCUMENT_ROOT that this daemon may run is run here, in the same
 * request; it finds the request that led to it in REDIRECT_*.  All else is sent as a 302.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/log.h"
#include "bridge/request_private.h"

/* ---- the parameters ---------------------------------------------------------- */

/* Sets `name` to the value of `first`, followed by that of `second`, which may be unset. */
static int set_joined(struct params *params, const char *name, const char *first,
    const char *second)
{
	const char *a = params_get(params, first);
	const char *b = params_get(params, second);
	size_t len = a == NULL ? 0 : strlen(a);
	size_t more = b == NULL ? 0 : strlen(b);
	char *joined = malloc(len + more + 1);
	int failed;

	if (joined == NULL)
		return -1;
	memcpy(joined, a == NULL ? "" : a, len);
	memcpy(joined + len, b == NULL ? "" : b, more);
	joined[len + more] = '\0';
	failed = params_set(params, name, joined);
	free(joined);
	return failed;
}

/* The request so far, in REDIRECT_*: names and values are those of Apache. */
static int keep_request(struct params *params)
{
	const char *query = params_get_filled(params, "QUERY_STRING");

	params_unset(params, "REDIRECT_QUERY_STRING");
	if (query != NULL && params_set(params, "REDIRECT_QUERY_STRING", query) != 0)
		return -1;
	if (set_joined(params, "REDIRECT_URL", "SCRIPT_NAME", "PATH_INFO") != 0)
		return -1;
	return params_set(params, "REDIRECT_STATUS", "200");
}

/* The request becomes one for `path` without a body; how scripts are found is up to script.c. */
static int set_request(struct params *params, const char *path, const char *query)
{
	static const char *const gone[] = {"CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_CONTENT_ENCODING",
	    "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_TRANSFER_ENCODING", "PATH_INFO",
	    "PATH_TRANSLATED", "SCRIPT_FILENAME"};
	const char *method = params_get(params, "REQUEST_METHOD");

	for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
		params_unset(params, gone[i]);
	if ((method == NULL || strcmp(method, "HEAD") != 0) &&
	    params_set(params, "REQUEST_METHOD", "GET") != 0)
		return -1;
	if (params_get(params, "DOCUMENT_URI") != NULL &&
	    params_set(params, "DOCUMENT_URI", path) != 0)
		return -1;
	if (params_set(params, "SCRIPT_NAME", path) != 0)
		return -1;
	return params_set(params, "QUERY_STRING", query);
}

/* Turns the parameters into those of a request for `location`, which is changed. */
static int set_location(struct params *params, char *location)
{
	char *query = location + strcspn(location, "?");

	if (*query != '\0')
		*query++ = '\0';
	hex_percent_decode(location);
	if (keep_request(params) != 0)
		return -1;
	return set_request(params, location, query);
}

/* The same for the path that its script has written.  0, or -1 without memory. */
static int set_path(struct request *request)
{
	size_t len;
	const char *path = relay_local_path(&request->relay, &len);
	char *location = strndup(path, len);
	int failed = location == NULL ? -1 : set_location(&request->params, location);

	free(location);
	return failed;
}

/* Whether a script is there which may be run. */
static bool may_run(const struct request *request, const struct request_location *location)
{
	if (location->refusal.status != 0)
		return false;
	if (location->handled)
		return true;
	if (location->look != NULL)
		return location->look->executable;
	return access(params_get(&request->params, "SCRIPT_FILENAME"), X_OK) == 0;
}

/* ---- the next script --------------------------------------------------------- */

/* The time that is left of --timeout: it is for all of its scripts. */
static void keep_total(struct request *request)
{
	int64_t left = request->total.when - loop_now(request_loop(request));

	if (loop_timer_active(&request->total))
		request->limits.timeout = left > 0 ? left : 1;
}

/* Lets go of the script that wrote the redirect, which may still run. */
static void part(struct request *request)
{
	(void)errlog_catch_up(&request->errlog);
	errlog_turn_to_log(&request->errlog);
	request_leave_script(request);
	keep_total(request);
	request_clear_timers(request);
	admission_leave(request->link->services->admission, &request->script.ticket);
	body_renounce(&request->body);
	request_renew_output(request);
	free(request->script.path);
	request->script = (struct request_script){.path = NULL};
}

/* Sends it as a 302: it leads to something else than a script, or its script has failed. */
static void decline(struct request *request)
{
	request_pass_redirect(request);
	if (request->relay.state == RELAY_ENDED)
		request_complete(request);
	else if (request->relay.state == RELAY_FAULT_ENDED)
		request_fail_response(request);
	else
		request_starve(request, "its output");
}

/* The path has been looked at; its script may have failed meanwhile. */
static void follow(struct request *request, const struct request_location *location)
{
	char who[512];

	if (request_has_failed(request) || !may_run(request, location)) {
		decline(request);
		return;
	}
	log_debug("%s: local redirect to %s", request_subject(request, who, sizeof who),
	    params_get(&request->params, "SCRIPT_FILENAME"));
	part(request);
	request->redirects++;
	if (request_set_script(request, location))
		request_admit(request, location->look);
}

static void on_looked(void *context, const void *findings, int error)
{
	struct request *request = context;
	const struct request_location *location = request_take_location(request, findings, error);

	if (location != NULL)
		follow(request, location);
	request->link->touched(request->link);
}

void request_follow_redirect(struct request *request)
{
	struct request_location location;

	if (set_path(request) != 0)
		decline(request);
	else if (request_locate(request, &location, on_looked))
		follow(request, &location);
	request->link->touched(request->link);
}
