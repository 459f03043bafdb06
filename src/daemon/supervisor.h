/* SPDX-License-Identifier: ISC */
/*
 * supervisor: keeps the workers alive, replaces itself, and stops them.
 *
 *   TERM, INT   drain: no new connections, running scripts end; again: at once
 *   QUIT        at once
 *   USR1        open the log files again, in all workers
 *   HUP         reload: a new image of the program in this process, new workers;
 *               the old workers drain.  If the new one would not start, all stays.
 *
 * It runs no request and parses no client's byte, so nothing a client does can end it.
 */
#ifndef CGIBRIDGE_SUPERVISOR_H
#define CGIBRIDGE_SUPERVISOR_H

#include "base/attributes.h"
#include "daemon/handover.h"
#include "daemon/listener.h"
#include "config/options.h"

/*
 * Serves `listeners` until a signal ends it; returns the exit status: 0, or 1 if it
 * cannot run.  `argv`, as main() got it, is what a reload starts with.  What
 * `handover` has of workers and a scoreboard is taken over, and its role is DONE, unless
 * it cannot run: then everything is as it was.
 */
int supervisor_run(const struct options *options, struct listeners *listeners,
    struct handover *handover, char **argv);

/*
 * For an heir that could not take over, as when its options have been changed since the
 * trial: keeps the workers of the image before it as they are, and reloads until that works.
 * Returns as supervisor_run().  Before, nothing of `handover` may have been closed.
 */
int supervisor_hold(struct handover *handover, char **argv);

#endif
