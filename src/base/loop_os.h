/* SPDX-License-Identifier: ISC */
/*
 * loop_os: the interface between loop.c and its backend, loop_epoll.c or loop_poll.c.  A
 * backend knows descriptors only; timers, tasks and children belong to loop.c.
 */
#ifndef CGIBRIDGE_LOOP_OS_H
#define CGIBRIDGE_LOOP_OS_H

#include "base/loop.h"

struct loop_os;

struct loop_os *loop_os_new(void) MUST_CHECK;
void loop_os_free(struct loop_os **os);

/* Registers watch->fd for watch->wanted.  `exclusive`: wake one of several processes. */
int loop_os_add(struct loop_os *os, struct loop_watch *watch, int exclusive) MUST_CHECK;

/* Applies a changed watch->wanted. */
void loop_os_change(struct loop_os *os, struct loop_watch *watch);

/* Forgets the watch, whose descriptor is still open. */
void loop_os_remove(struct loop_os *os, struct loop_watch *watch);

enum loop_os_found {
	LOOP_OS_FAILED,  /* errno says why */
	LOOP_OS_PART,    /* interrupted, or there may be more than one wait can report */
	LOOP_OS_ALL,     /* everything, together with the waits before it that found a part */
	LOOP_OS_NOTHING, /* the time is up */
};

/* Waits up to `timeout` ms (-1: for ever). */
enum loop_os_found loop_os_wait(struct loop_os *os, int timeout) MUST_CHECK;

/* Calls loop_dispatch() for each watch that the last wait reported. */
void loop_os_hand_out(struct loop_os *os);

/* In loop.c: calls back the owner of `watch` if it still wants one of `events`. */
void loop_dispatch(struct loop_watch *watch, unsigned events);

#endif
