/* SPDX-License-Identifier: ISC */
/*
 * loop_epoll: the Linux backend.
 *
 * A paused descriptor stays registered, edge-triggered and without events: a hang-up is then
 * reported once and dropped, instead of waking the loop again and again, and resuming cannot
 * fail for lack of memory.
 */
#include "base/loop_os.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { BATCH = 256 };

struct loop_os {
	int fd;
	int found; /* events of the last wait */
	size_t watches;
	size_t passed; /* events of the last waits, while each filled the batch */
	struct epoll_event events[BATCH];
};

struct loop_os *loop_os_new(void)
{
	struct loop_os *os = malloc(sizeof *os);

	if (os == NULL)
		return NULL;
	os->watches = os->passed = 0;
	os->fd = epoll_create1(EPOLL_CLOEXEC);
	if (os->fd < 0) {
		free(os);
		return NULL;
	}
	return os;
}

void loop_os_free(struct loop_os **os)
{
	close((*os)->fd);
	free(*os);
	*os = NULL;
}

static struct epoll_event event_of(struct loop_watch *watch)
{
	struct epoll_event event = {.data.ptr = watch};

	if (watch->wanted & LOOP_IN)
		event.events |= (unsigned)EPOLLIN;
	if (watch->wanted & LOOP_OUT)
		event.events |= (unsigned)EPOLLOUT;
	if (watch->wanted & LOOP_SHUT)
		event.events |= (unsigned)EPOLLRDHUP;
	if (watch->wanted == 0)
		event.events |= (unsigned)EPOLLET;
	return event;
}

int loop_os_add(struct loop_os *os, struct loop_watch *watch, int exclusive)
{
	struct epoll_event event = event_of(watch);

	if (exclusive)
		event.events |= (unsigned)EPOLLEXCLUSIVE;
	if (epoll_ctl(os->fd, EPOLL_CTL_ADD, watch->fd, &event) != 0)
		return -1;
	os->watches++;
	return 0;
}

void loop_os_change(struct loop_os *os, struct loop_watch *watch)
{
	struct epoll_event event = event_of(watch);

	(void)epoll_ctl(os->fd, EPOLL_CTL_MOD, watch->fd, &event);
}

/*
 * Explicitly, even when the descriptor is closed next: a script that is being started has
 * copies of all our descriptors until its exec closes them, and while a copy is open, closing
 * ours would leave the registration in place, with a pointer to a watch that no longer exists.
 */
void loop_os_remove(struct loop_os *os, struct loop_watch *watch)
{
	(void)epoll_ctl(os->fd, EPOLL_CTL_DEL, watch->fd, NULL);
	os->watches--;
}

static unsigned events_from(uint32_t bits)
{
	unsigned events = 0;

	if (bits & (unsigned)EPOLLIN)
		events |= LOOP_IN;
	if (bits & (unsigned)EPOLLOUT)
		events |= LOOP_OUT;
	if (bits & (unsigned)EPOLLRDHUP)
		events |= LOOP_SHUT;
	if (bits & (unsigned)(EPOLLHUP | EPOLLERR))
		events |= LOOP_HUP;
	return events;
}

enum loop_os_found loop_os_wait(struct loop_os *os, int timeout)
{
	os->found = epoll_wait(os->fd, os->events, BATCH, timeout);
	if (os->found < 0) {
		os->found = 0;
		return errno == EINTR ? LOOP_OS_PART : LOOP_OS_FAILED;
	}
	if (os->found == 0)
		return LOOP_OS_NOTHING;
	/*
	 * reported events move to the end of the kernel's list, so full waits in a row see all
	 */
	os->passed += (size_t)os->found;
	if (os->found == BATCH && os->passed < os->watches)
		return LOOP_OS_PART;
	os->passed = 0;
	return LOOP_OS_ALL;
}

void loop_os_hand_out(struct loop_os *os)
{
	for (int i = 0; i < os->found; i++)
		loop_dispatch(os->events[i].data.ptr, events_from(os->events[i].events));
}
