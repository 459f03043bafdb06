/* SPDX-License-Identifier: ISC */
/*
 * load: many requests over several lanes at once, and their outcomes.
 *
 * One event loop; a lane that has finished a request is given the next one.  INT and TERM end
 * it early.  A progress bar is shown on standard error if that is a terminal.
 */
#ifndef CGIBRIDGE_LOAD_H
#define CGIBRIDGE_LOAD_H

#include "fcgiget/fcgiget_options.h"
#include "fcgiget/outcomes.h"

/*
 * Makes the request of `o` `requests` times, over at most `connections` connections at a time,
 * and fills `t`.  Returns EXIT_OK, whatever the server did; or another status, with t->error
 * set, if the load test could not be run.
 */
enum exit_status load_run(const struct fcgiget_options *o, int requests, int connections,
    struct outcomes *t) MUST_CHECK;

#endif
