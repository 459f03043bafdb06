/* SPDX-License-Identifier: ISC */
/*
 * listener: the listening sockets, opened or inherited.
 *
 * They are inherited through LISTEN_FDS and LISTEN_PID (sd_listen_fds(3), implemented in
 * inherited.c), or as descriptor 0 (FastCGI 1.0 2.2), as spawn-fcgi and inetd pass them.  A unix
 * socket is bound under a temporary name and renamed, so that it never has a wrong mode, and
 * replaces a stale one in one step.
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
	char about[96];   /* for logs: " (OWNER:GROUP MODE)" of its file, if one was made */
	const char *path; /* of the socket file that was made for it, or NULL */
	dev_t dev;        /* that file's identity */
	ino_t ino;
	bool handed_over; /* by the previous supervisor */
};

struct listeners {
	struct listener *items; /* owned */
	size_t count;
};

enum listener_failure {
	LISTENER_OK,
	LISTENER_NONE,   /* none given and none inherited: a usage error */
	LISTENER_FAILED, /* an error, which has been logged */
};

/*
 * Opens the sockets that `options` name, or takes them from `handover`; if they name none,
 * takes the inherited ones.  Sockets that the heir does not need stay in `handover`.  All are
 * close-on-exec, non-blocking and at 3 or above; LISTEN_* is removed from the environment.
 * Errors are logged here, with a remedy.
 */
enum listener_failure listeners_open(struct listeners *listeners,
    const struct options *options, struct handover *handover) MUST_CHECK;

/*
 * Undoes listeners_open(): removes new socket files, closes new sockets, and returns to
 * `handover` those that came from it.
 */
void listeners_abandon(struct listeners *listeners, struct handover *handover);

/* Closes the sockets left in `handover`, and removes the socket files that were made for them. */
void listeners_drop(struct handover *handover);

/* Takes all sockets of `handover` as they are, and borrows their names.  0, or -1, logged. */
int listeners_keep(struct listeners *listeners, struct handover *handover) MUST_CHECK;

/* Removes the socket files that were made here and have not been replaced since. */
void listeners_unlink(struct listeners *listeners);

/* Closes all descriptors and frees the list. */
void listeners_close(struct listeners *listeners);

#endif
