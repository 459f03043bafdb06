/* SPDX-License-Identifier: ISC */
/*
 * check_watch: a loop that cannot watch another descriptor.
 */
#include "check_util.h"

#include <errno.h>

int __real_loop_watch(struct loop *loop, struct loop_watch *watch, int fd, unsigned events);
IN_PLACE int __wrap_loop_watch(struct loop *loop, struct loop_watch *watch, int fd,
    unsigned events);

static int left = -1; /* so many may be watched; -1: any number */

void watch_at_most(int count)
{
	left = count;
}

int __wrap_loop_watch(struct loop *loop, struct loop_watch *watch, int fd, unsigned events)
{
	if (left == 0) {
		errno = ENOSPC;
		return -1;
	}
	left -= left > 0;
	return __real_loop_watch(loop, watch, fd, events);
}
