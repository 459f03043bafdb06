/* SPDX-License-Identifier: ISC */
/*
 * check: from the outcome of one request to a state.
 */
#include "fcgiget/check.h"

#include <inttypes.h>
#include <stdio.h>

#include "fcgiget/load.h"
#include "fcgiget/outcomes.h"

enum { TEXT_MAX = 2 * OUTCOMES_ERROR_MAX };

static const char *state_name(enum check_result state)
{
	static const char *const names[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

	return names[state];
}

enum check_result check_refuse(const char *why)
{
	printf("CGIBRIDGE UNKNOWN - %s\n", why);
	return CHECK_UNKNOWN;
}

/* The state by time alone. */
static enum check_result judge_time(const struct fcgiget_options *o, int64_t us)
{
	if (o->critical > 0 && us > o->critical * 1000)
		return CHECK_CRITICAL;
	return o->warning > 0 && us > o->warning * 1000 ? CHECK_WARNING : CHECK_OK;
}

/* The state by the response's status alone: 5xx is a fault of the server, 4xx of the request. */
static enum check_result judge_status(int status)
{
	if (status >= 500)
		return CHECK_CRITICAL;
	return status >= 400 ? CHECK_WARNING : CHECK_OK;
}

static enum check_result judge(const struct fcgiget_options *o, const struct outcomes *t)
{
	enum check_result by_time = judge_time(o, t->last.time);
	enum check_result by_status = judge_status(t->last.status);

	if (t->of[OUTCOME_DONE] == 0)
		return CHECK_CRITICAL;
	return by_time > by_status ? by_time : by_status;
}

/* Describes the response, or why there was none. */
static void describe(const struct fcgiget_options *o, const struct outcomes *t, char text[TEXT_MAX])
{
	const struct ending *e = &t->last;
	double ms = (double)e->time / 1e3;

	if (e->outcome > OUTCOME_STATUS)
		snprintf(text, TEXT_MAX, "%s", t->error);
	else if (o->action == ACTION_VALUES)
		snprintf(text, TEXT_MAX, "FCGI_GET_VALUES answered in %.1f ms", ms);
	else
		snprintf(text, TEXT_MAX, "status %d, appStatus %" PRIu32 ", %" PRIu64
		    " bytes in %.1f ms", e->status, e->app_status, e->bytes, ms);
}

/* A threshold in seconds, or nothing if it was not given. */
static void put_threshold(int64_t ms)
{
	putchar(';');
	if (ms > 0)
		printf("%.3f", (double)ms / 1e3);
}

static void put_line(const struct fcgiget_options *o, const struct outcomes *t,
    enum check_result state)
{
	char text[TEXT_MAX];

	describe(o, t, text);
	printf("CGIBRIDGE %s - %s | time=%.6fs", state_name(state), text,
	    (double)t->last.time / 1e6);
	put_threshold(o->warning);
	put_threshold(o->critical);
	printf(";0");
	if (o->action != ACTION_VALUES)
		printf(" size=%" PRIu64 "B;;;0", t->last.bytes);
	putchar('\n');
}

enum check_result check_run(const struct fcgiget_options *o)
{
	struct outcomes t;
	enum check_result state;

	if (load_run(o, 1, 1, &t) != EXIT_OK)
		return check_refuse(t.error);
	if (t.signo != 0)
		return check_refuse("stopped by a signal before there was an answer");
	state = judge(o, &t);
	put_line(o, &t, state);
	return state;
}
