/* SPDX-License-Identifier: ISC */
/*
 * tally: what became of many requests, counted.
 */
#ifndef CGIBRIDGE_TALLY_H
#define CGIBRIDGE_TALLY_H

#include <stdint.h>

#include "attributes.h"
#include "latency.h"
#include "verdict.h"

/* From well to bad: of several kinds of failure the last one is the verdict. */
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
	TALLY_CLASSES = 10,       /* status / 100; 0: none */
	TALLY_PROTOCOLS = 5,      /* by protocolStatus; the last: unknown ones */
	TALLY_ERROR_MAX = 200,
};

/* How one request ended. */
struct ending {
	enum outcome outcome;
	int64_t time;             /* us, from before the connect */
	int status;               /* of the response; 0: it has none */
	int protocol_status;      /* of END_REQUEST; -1: none came */
	uint32_t app_status;
	uint64_t bytes;           /* of the response, header block included */
	uint64_t error_bytes;     /* of the script's standard error */
	unsigned connects;        /* connections opened for it */
	int resent;               /* on a new connection: a kept one had been closed */
	const char *why;          /* of OUTCOME_PROTOCOL, _TIMEOUT and _CONNECT; else NULL */
};

struct tally {
	uint64_t ended;
	uint64_t outcomes[OUTCOME_COUNT];
	uint64_t classes[TALLY_CLASSES];
	uint64_t protocols[TALLY_PROTOCOLS];
	uint64_t script_failures; /* appStatus was not 0 */
	uint64_t bytes;
	uint64_t error_bytes;
	uint64_t connects;
	uint64_t resent;
	struct latency latency;   /* of those that were answered */
	struct ending last;       /* with `why` NULL */
	int64_t elapsed;          /* us */
	int signo;                /* what ended it early; 0: nothing */
	char error[TALLY_ERROR_MAX]; /* the first that was said; "" if none */
};

void tally_init(struct tally *t);

void tally_add(struct tally *t, const struct ending *e);

/* Keeps an error's text, if it is the first. */
void tally_error(struct tally *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* How many have failed. */
uint64_t tally_failures(const struct tally *t);

/* The exit status: EXIT_OK if none has failed and nothing ended it early. */
int tally_verdict(const struct tally *t);

#endif
