/* SPDX-License-Identifier: ISC */
/*
 * loop_poll: the portable backend.
 *
 * Two parallel tables, of struct pollfd and of watches; watch->slot is the index.  A paused
 * descriptor has fd -1 there, which poll(2) ignores.  While events are handed out the tables
 * only grow: removed entries become holes, which the next wait closes, so that indexes stay
 * valid.
 */
#include "base/loop_os.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/sys.h"

#ifdef POLLRDHUP
enum { SHUT_EVENT = POLLRDHUP };
#else
enum { SHUT_EVENT = 0 };
#endif

struct loop_os {
	struct pollfd *fds;
	struct loop_watch **watches; /* NULL: a hole */
	size_t count, cap;
	int found;    /* by the last wait */
	size_t first; /* where handing out starts; it moves on, so that no watch is always last */
};

struct loop_os *loop_os_new(void)
{
	return calloc(1, sizeof(struct loop_os));
}

void loop_os_free(struct loop_os **os)
{
	free((*os)->fds);
	free((*os)->watches);
	free(*os);
	*os = NULL;
}

static int grow(struct loop_os *os)
{
	size_t cap = os->cap == 0 ? 64 : os->cap * 2;
	struct pollfd *fds = realloc(os->fds, cap * sizeof *fds);
	struct loop_watch **watches;

	if (fds == NULL)
		return -1;
	os->fds = fds;
	watches = realloc(os->watches, cap * sizeof(struct loop_watch *));
	if (watches == NULL)
		return -1;
	os->watches = watches;
	os->cap = cap;
	return 0;
}

int loop_os_add(struct loop_os *os, struct loop_watch *watch, int exclusive)
{
	(void)exclusive; /* poll wakes every process; all but one find nothing to accept */
	if (os->count == os->cap && grow(os) != 0)
		return -1;
	watch->slot = os->count++;
	os->watches[watch->slot] = watch;
	os->fds[watch->slot].revents = 0;
	loop_os_change(os, watch);
	return 0;
}

void loop_os_change(struct loop_os *os, struct loop_watch *watch)
{
	struct pollfd *p = &os->fds[watch->slot];

	p->fd = watch->wanted == 0 ? -1 : watch->fd;
	p->events = 0;
	if (watch->wanted & LOOP_IN)
		p->events |= POLLIN;
	if (watch->wanted & LOOP_OUT)
		p->events |= POLLOUT;
	if (watch->wanted & LOOP_SHUT)
		p->events |= SHUT_EVENT;
}

void loop_os_remove(struct loop_os *os, struct loop_watch *watch)
{
	os->watches[watch->slot] = NULL;
	os->fds[watch->slot].fd = -1;
}

static void close_holes(struct loop_os *os)
{
	size_t kept = 0;

	for (size_t i = 0; i < os->count; i++) {
		if (os->watches[i] == NULL)
			continue;
		os->watches[kept] = os->watches[i];
		os->fds[kept] = os->fds[i];
		os->watches[kept]->slot = kept;
		kept++;
	}
	os->count = kept;
}

static unsigned events_from(short bits)
{
	unsigned events = 0;

	if (bits & POLLIN)
		events |= LOOP_IN;
	if (bits & POLLOUT)
		events |= LOOP_OUT;
	if (bits & SHUT_EVENT)
		events |= LOOP_SHUT;
	if (bits & (POLLHUP | POLLERR | POLLNVAL))
		events |= LOOP_HUP;
	return events;
}

enum loop_os_found loop_os_wait(struct loop_os *os, int timeout)
{
	close_holes(os);
	os->found = 0;
	if (sys_signals_waiting())
		return LOOP_OS_PART;
	os->found = poll(os->fds, (nfds_t)os->count, timeout);
	if (os->found < 0) {
		os->found = 0;
		return errno == EINTR ? LOOP_OS_PART : LOOP_OS_FAILED;
	}
	return os->found == 0 ? LOOP_OS_NOTHING : LOOP_OS_ALL;
}

void loop_os_hand_out(struct loop_os *os)
{
	size_t count = os->count; /* callbacks may add more */
	size_t first = count == 0 ? 0 : os->first++ % count;

	for (size_t i = 0; os->found > 0 && i < count; i++) {
		size_t at = (first + i) % count;

		if (os->watches[at] != NULL && os->fds[at].fd >= 0 && os->fds[at].revents != 0)
			loop_dispatch(os->watches[at], events_from(os->fds[at].revents));
	}
}
