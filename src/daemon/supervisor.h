/* SPDX-License-Identifier: ISC */
/*
 * supervisor: keeps the workers alive, replaces itself, and stops them.
 *
 *   TERM, INT   drain: no new connections, running scripts may end; a second one: stop at once
 *   QUIT        stop at once
 *   USR1        open the log files again, in all workers
 *   HUP         reload: a new image of the program in this process, with new workers; the
 *               old workers drain.  If the new image would not start, nothing changes.
 *
 * It runs no requests and parses no bytes from clients, so no client can end it.
 */
#ifndef CGIBRIDGE_SUPERVISOR_H
#define CGIBRIDGE_SUPERVISOR_H

#include "base/attributes.h"
#include "daemon/handover.h"
#include "daemon/listener.h"
#include "config/options.h"

/*
 * Serves `listeners` until a signal ends it; returns the exit status: 0, or 1 if it cannot run.
 * `argv`, as main() got it, is used by a reload.  The workers and the scoreboard in `handover`
 * are taken over, and its role is set to DONE; if it cannot run, `handover` is unchanged.
 */
int supervisor_run(const struct options *options, struct listeners *listeners,
    struct handover *handover, char **argv);

/*
 * For an heir that could not take over, for example because its options have changed since the
 * trial: keeps the workers of the previous image as they are, and tries to reload until that
 * works.  Returns as supervisor_run().  All descriptors of `handover` must still be open.
 */
int supervisor_hold(struct handover *handover, char **argv);

#endif
