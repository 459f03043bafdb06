/* SPDX-License-Identifier: ISC */
/*
 * outcomes: how many requests ended in which way.
 */
#ifndef CGIBRIDGE_OUTCOMES_H
#define CGIBRIDGE_OUTCOMES_H

#include <stdint.h>

#include "base/attributes.h"
#include "fcgiget/latency.h"
#include "fcgiget/verdict.h"

/* From good to bad: the worst one that occurred is the verdict. */
enum outcome {
	OUTCOME_DONE,
	OUTCOME_STATUS,   /* answered, but with a status of 400 or more that counts as failure */
	OUTCOME_REFUSED,  /* ended with a protocolStatus other than REQUEST_COMPLETE */
	OUTCOME_PROTOCOL, /* no answer, or no valid one */
	OUTCOME_TIMEOUT,
	OUTCOME_CONNECT,
	OUTCOME_COUNT,
};

enum {
	OUTCOMES_CLASSES = 10,       /* status / 100; 0: none */
	OUTCOMES_PROTOCOLS = 5,      /* by protocolStatus; the last: unknown ones */
	OUTCOMES_ERROR_MAX = 200,
};

/* How one request ended. */
struct ending {
	enum outcome outcome;
	int64_t time;             /* us, from before the connect */
	int status;               /* of the response; 0: there is none */
	int protocol_status;      /* of END_REQUEST; -1: there was none */
	uint32_t app_status;
	uint64_t bytes;           /* of the response, header block included */
	uint64_t error_bytes;     /* of the script's standard error */
	unsigned connects;        /* connections opened for it */
	int resent;               /* on a new connection: a kept one had been closed */
	const char *why;          /* of OUTCOME_PROTOCOL, _TIMEOUT and _CONNECT; else NULL */
};

struct outcomes {
	uint64_t ended;
	uint64_t of[OUTCOME_COUNT];
	uint64_t classes[OUTCOMES_CLASSES];
	uint64_t protocols[OUTCOMES_PROTOCOLS];
	uint64_t script_failures; /* appStatus was not 0 */
	uint64_t bytes;
	uint64_t error_bytes;
	uint64_t connects;
	uint64_t resent;
	struct latency latency;   /* of requests that were answered */
	struct ending last;       /* with `why` NULL */
	int64_t elapsed;          /* us */
	int signo;                /* the signal that ended it early; 0: none */
	char error[OUTCOMES_ERROR_MAX]; /* the first error; "" if there was none */
};

void outcomes_init(struct outcomes *t);

void outcomes_add(struct outcomes *t, const struct ending *e);

/* Keeps an error's text, if it is the first. */
void outcomes_error(struct outcomes *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The number of requests that failed. */
uint64_t outcomes_failures(const struct outcomes *t);

/* The exit status: EXIT_OK if no request failed and no signal ended it early. */
int outcomes_verdict(const struct outcomes *t);

#endif
