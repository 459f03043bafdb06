/* SPDX-License-Identifier: ISC */
/*
 * request_locate: finds a request's script.  The worker does that itself, unless the path leads to
 * a file system that may not answer, or is not known not to: then a scout does, and the worker
 * takes over what it has found.  Both run the same code, locate().
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sys.h"
#include "bridge/request_private.h"
#include "cgi/arguments.h"

/* A scout's findings. */
struct findings {
	struct request_location location;
	struct preload_look look;
	char names[]; /* script_put_names() */
};

/* Most machines have no such mounts: then this is all that is done about them. */
const struct mount *request_mount(const struct request *request)
{
	const struct mounts *mounts = request->link->services->mounts;

	if (!mounts_any(mounts))
		return NULL;
	return script_mount(&request->params, request_options(request), mounts);
}

const char *request_directory(const struct params *params, const char *script, char *text,
    size_t size)
{
	const char *wish = params_get_filled(params, "FCGI_CHDIR");
	const char *slash = strrchr(script, '/');
	int len = slash == script ? 1 : (int)(slash - script);

	if (wish != NULL)
		return strcmp(wish, "-") == 0 ? NULL : wish;
	snprintf(text, size, "%.*s", len, script);
	return text;
}

/* The device of the directory of `path`; 0: not known. */
static dev_t directory_device(const char *path)
{
	char text[PATH_MAX];
	struct stat info;

	snprintf(text, sizeof text, "%.*s", (int)(strrchr(path, '/') - path), path);
	return stat(text, &info) == 0 ? info.st_dev : 0;
}

/* This is where a file system that does not answer blocks. */
static void locate(struct request *request, struct request_location *location)
{
	const struct options *options = request_options(request);
	const char *path;

	location->look = NULL;
	if (script_resolve(&request->params, options, &location->info, &location->refusal) != 0)
		return;
	location->refusal.status = 0; /* not all that was tried may have been there */
	path = params_get(&request->params, "SCRIPT_FILENAME");
	location->handled = arguments_handler(options, path) != NULL;
}

/* ---- in the scout's process ---------------------------------------------------- */

/* Makes the calls that the script's own process would be blocked by. */
static void touch(const struct request *request, const char *path, struct mounts_trace *trace)
{
	char text[4096];
	const char *directory = request_directory(&request->params, path, text, sizeof text);

	trace->directory = directory_device(path);
	trace->program = script_touch(request_options(request), path);
	if (directory != NULL && chdir(directory) != 0)
		return;
}

static void look(void *context, void *memory)
{
	struct request *request = context;
	struct findings *findings = memory;
	struct request_location *location = &findings->location;
	const struct preload *preload = request->link->services->preload;
	size_t size = script_names_max(&request->params);
	const char *path;

	findings->look.time = clock_real_ms();
	locate(request, location);
	if (script_put_names(&request->params, findings->names, size) != 0)
		location->refusal = (struct script_refusal){503, "no memory for its names"};
	if (location->refusal.status != 0)
		return;
	path = params_get(&request->params, "SCRIPT_FILENAME");
	findings->look.info = location->info;
	preload_look(preload, path, &findings->look);
	location->look = &findings->look;
	location->trace.script = location->info.st_dev;
	touch(request, path, &location->trace);
}

/* ---- waiting for it ------------------------------------------------------------- */

/* Whether it is about its next script: it has a script already, and the timers of that. */
static bool is_redirected(const struct request *request)
{
	return request->relay.state == RELAY_REDIRECT;
}

/* The time that its file system may take: as long as its script, running or silent. */
static int64_t patience(const struct request_limits *limits)
{
	if (limits->timeout == 0 || (limits->idle > 0 && limits->idle < limits->timeout))
		return limits->idle;
	return limits->timeout;
}

static void set_timers(struct request *request)
{
	int64_t time = patience(&request->limits);

	loop_timer_clear(request_loop(request), &request->idle);
	if (time > 0)
		loop_timer_set(request_loop(request), &request->total, time);
}

static void refuse_scout(struct request *request, int error)
{
	char reason[256];

	if (error == 0)
		snprintf(reason, sizeof reason, "the process that accessed its file system died");
	else
		snprintf(reason, sizeof reason,
		    "cannot start a process to access its file system: %s%s", strerror(error),
		    sys_remedy(error));
	request_refuse(request, 503, "out of resources", reason);
}

/* The name, or part of it, that its client has sent. */
static const char *name_of(const struct request *request)
{
	const char *name = params_get_filled(&request->params, "SCRIPT_FILENAME");

	if (name == NULL)
		name = params_get_filled(&request->params, "DOCUMENT_ROOT");
	return name == NULL ? "" : name;
}

/* Keeps it for log lines. */
static int keep_name(struct request *request)
{
	request->script.path = strdup(name_of(request));
	return request->script.path == NULL ? -1 : 0;
}

static void send_scout(struct request *request, dev_t device, scout_ended_fn *ended)
{
	const struct scout_plan plan = {.device = device,
	    .size = sizeof(struct findings) + script_names_max(&request->params),
	    .look = look,
	    .ended = ended,
	    .context = request};

	if ((!is_redirected(request) && keep_name(request) != 0) ||
	    scouts_send(request->link->services->scouts, &plan) != 0) {
		refuse_scout(request, errno);
		return;
	}
	request_set_state(request, REQUEST_LOCATING);
	if (is_redirected(request))
		request_slow_end(request);
	else
		set_timers(request);
}

bool request_locate(struct request *request, struct request_location *location,
    scout_ended_fn *ended)
{
	const struct mounts *mounts = request->link->services->mounts;
	const struct mount *mount = request_mount(request);

	if (mount == NULL && (!mounts_any(mounts) || script_is_local(&request->params, mounts))) {
		locate(request, location);
		return true;
	}
	send_scout(request, mount == NULL ? mounts_guess(name_of(request)) : mount->device, ended);
	return false;
}

const struct request_location *request_take_location(struct request *request,
    const void *memory, int error)
{
	const struct findings *findings = memory;

	if (!is_redirected(request)) {
		loop_timer_clear(request_loop(request), &request->total);
		free(request->script.path);
		request->script.path = NULL;
	}
	if (findings == NULL)
		refuse_scout(request, error);
	else if (script_take_names(&request->params, findings->names) != 0)
		request_refuse(request, 503, "out of resources", "no memory for its names");
	else
		return &findings->location;
	return NULL;
}
