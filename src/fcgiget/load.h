/* SPDX-License-Identifier: ISC */
/*
 * load: many requests over several lanes at once, and the outcomes of them.
 *
 * One event loop; each lane that has ended a request is given the next one.  INT and
 * TERM end it early.  A bar on standard error shows how far it is, if that is a terminal.
 */
#ifndef CGIBRIDGE_LOAD_H
#define CGIBRIDGE_LOAD_H

#include "fcgiget/fcgiget_options.h"
#include "fcgiget/outcomes.h"

/*
 * Asks `requests` times for what `o` says, over at most `connections` connections at a
 * time, and fills `t`.  Returns EXIT_OK, whatever the server has done; or, when nothing
 * could be asked for reasons of our own, another status, with t->error set.
 */
enum exit_status load_run(const struct fcgiget_options *o, int requests, int connections,
    struct outcomes *t) MUST_CHECK;

#endif
