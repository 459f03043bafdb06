/* SPDX-License-Identifier: ISC */
/*
 * listener: the listening sockets, opened or inherited.
 *
 * Inherited ones come by LISTEN_FDS and LISTEN_PID (sd_listen_fds(3), read here by
 * hand), or as descriptor 0 (FastCGI 1.0 2.2), as spawn-fcgi and inetd leave it.
 * A unix socket is bound under a temporary name and renamed, so that it never has
 * another mode than it should and replaces a stale one in one step.
 */
#ifndef CGIBRIDGE_LISTENER_H
#define CGIBRIDGE_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "daemon/handover.h"
#include "config/options.h"

struct listener {
	int fd;
	char name[ADDRESS_URL_MAX]; /* for logs: its URL, or how it was inherited */
	char about[96];   /* for logs: " (OWNER:GROUP MODE)" of its file, if we have made one */
	const char *path; /* of a socket file that we have made; else NULL */
	dev_t dev;        /* that file's identity */
	ino_t ino;
	bool handed_over; /* by the supervisor before us */
};

struct listeners {
	struct listener *items; /* owned */
	size_t count;
};

enum listener_failure {
	LISTENER_OK,
	LISTENER_NONE,   /* none given and none inherited: usage */
	LISTENER_FAILED, /* has been logged */
};

/*
 * Opens what `options` name, or takes it from `handover`; if they name none, takes the
 * inherited ones.  What an heir has no use for stays in `handover`.  All are close-on-exec,
 * non-blocking and at 3 or above; LISTEN_* is removed from the
 * environment.  Errors are logged here, with what to do.
 */
enum listener_failure listeners_open(struct listeners *listeners,
    const struct options *options, struct handover *handover) MUST_CHECK;

/* Gives all up and undoes what opening them has made; `handover` gets back what it had. */
void listeners_abandon(struct listeners *listeners, struct handover *handover);

/* Closes what is left in `handover`, and removes the socket files that were made for it. */
void listeners_drop(struct handover *handover);

/* Takes all that is in `handover`, as it is, whose names it borrows.  0, or -1, and logged. */
int listeners_keep(struct listeners *listeners, struct handover *handover) MUST_CHECK;

/* Removes the socket files that we made and that are still ours. */
void listeners_unlink(struct listeners *listeners);

/* Closes all descriptors and frees the list. */
void listeners_close(struct listeners *listeners);

#endif
