/* SPDX-License-Identifier: ISC */
/*
 * outcomes: adding up.
 */
#include "fcgiget/outcomes.h"

#include <stdarg.h>
#include <stdio.h>

enum { SIGNAL_EXIT = 128 }; /* as a shell reports a program that was killed by a signal */

void outcomes_init(struct outcomes *t)
{
	*t = (struct outcomes){.ended = 0};
	latency_init(&t->latency);
}

void outcomes_error(struct outcomes *t, const char *fmt, ...)
{
	va_list args;

	if (t->error[0] != '\0')
		return;
	va_start(args, fmt);
	vsnprintf(t->error, sizeof t->error, fmt, args);
	va_end(args);
}

static void count_statuses(struct outcomes *t, const struct ending *e)
{
	if (e->status != 0)
		t->classes[e->status / 100]++;
	if (e->protocol_status < 0)
		return;
	t->protocols[e->protocol_status < OUTCOMES_PROTOCOLS ? e->protocol_status
	                                                  : OUTCOMES_PROTOCOLS - 1]++;
	t->script_failures += e->app_status != 0;
}

static void keep_error(struct outcomes *t, const struct ending *e)
{
	switch (e->outcome) {
	case OUTCOME_DONE:
	case OUTCOME_COUNT:
		break;
	case OUTCOME_STATUS:
		outcomes_error(t, "status %d", e->status);
		break;
	case OUTCOME_REFUSED:
		outcomes_error(t, "refused with protocolStatus %d (%s)", e->protocol_status,
		    verdict_status_name((unsigned)e->protocol_status));
		break;
	case OUTCOME_PROTOCOL:
	case OUTCOME_TIMEOUT:
		outcomes_error(t, "%s", e->why);
		break;
	case OUTCOME_CONNECT:
		outcomes_error(t, "cannot connect: %s", e->why);
		break;
	}
}

void outcomes_add(struct outcomes *t, const struct ending *e)
{
	t->ended++;
	t->of[e->outcome]++;
	t->bytes += e->bytes;
	t->error_bytes += e->error_bytes;
	t->connects += e->connects;
	t->resent += e->resent != 0;
	count_statuses(t, e);
	if (e->outcome <= OUTCOME_REFUSED)
		latency_add(&t->latency, e->time);
	keep_error(t, e);
	t->last = *e;
	t->last.why = NULL;
}

uint64_t outcomes_failures(const struct outcomes *t)
{
	return t->ended - t->of[OUTCOME_DONE];
}

int outcomes_verdict(const struct outcomes *t)
{
	static const enum exit_status verdicts[OUTCOME_COUNT] = {
	    [OUTCOME_DONE] = EXIT_OK,
	    [OUTCOME_STATUS] = EXIT_HTTP_STATUS,
	    [OUTCOME_REFUSED] = EXIT_PROTOCOL,
	    [OUTCOME_PROTOCOL] = EXIT_PROTOCOL,
	    [OUTCOME_TIMEOUT] = EXIT_TIMEOUT,
	    [OUTCOME_CONNECT] = EXIT_CONNECT,
	};

	if (t->signo != 0)
		return SIGNAL_EXIT + t->signo;
	for (int i = OUTCOME_COUNT - 1; i > OUTCOME_DONE; i--)
		if (t->of[i] > 0)
			return (int)verdicts[i];
	return EXIT_OK;
}
