/* SPDX-License-Identifier: ISC */
/*
 * supervisor: keeps the workers alive, and stops them.
 *
 *   TERM, INT   drain: no new connections, running scripts end; again: at once
 *   QUIT        at once
 *
 * It runs no request and parses no client's byte, so nothing a client does can end it.
 */
#ifndef CGIBRIDGE_SUPERVISOR_H
#define CGIBRIDGE_SUPERVISOR_H

#include "attributes.h"
#include "listener.h"
#include "options.h"

/* Serves `listeners` until a signal ends it; returns the exit status: 0, or 1 if it cannot run. */
int supervisor_run(const struct options *options, struct listeners *listeners);

#endif
