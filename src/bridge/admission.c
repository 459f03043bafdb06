/* SPDX-License-Identifier: ISC */
/*
 * admission: a FIFO of tickets, woken by the scoreboard.
 */
#include "bridge/admission.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "base/sys.h"

enum { SHORTAGE_PAUSE = 10 * 1000 }; /* ms between two log lines about a shortage */

static bool may_follow(enum admission_ticket_state from, enum admission_ticket_state to)
{
	switch (to) {
	case TICKET_NONE:
		return true;
	case TICKET_WAITING:
		return from == TICKET_NONE || from == TICKET_GRANTED;
	case TICKET_GRANTED:
		return from == TICKET_NONE || from == TICKET_WAITING;
	case TICKET_RUNNING:
		return from == TICKET_GRANTED;
	}
	return false;
}

static void set_state(struct admission_ticket *ticket, enum admission_ticket_state state)
{
	assert(may_follow(ticket->state, state));
	ticket->state = state;
}

static void grant(struct admission_ticket *ticket, int slot)
{
	ticket->slot = slot;
	set_state(ticket, TICKET_GRANTED);
}

/* Counts a ticket that is in the queue now. */
static void wait_in_queue(struct admission *admission, struct admission_ticket *ticket)
{
	set_state(ticket, TICKET_WAITING);
	scoreboard_wait(admission->board, admission->worker, 1);
}

static void unlink_ticket(struct admission *admission, struct admission_ticket *ticket)
{
	LIST2_REMOVE(admission->first, admission->last, ticket);
	scoreboard_wait(admission->board, admission->worker, -1);
}

/* Watches for what the queue needs: the wake-up, and the deadline of the first. */
static void watch_queue(struct admission *admission)
{
	if (admission->first == NULL) {
		loop_unwatch(admission->loop, &admission->wake);
		loop_timer_clear(admission->loop, &admission->timer);
		return;
	}
	loop_timer_set(admission->loop, &admission->timer,
	    admission->first->deadline - loop_now(admission->loop));
	/* a free slot is of no use here yet, but may be to another worker */
	if (admission->stalled)
		loop_unwatch(admission->loop, &admission->wake);
	else if (admission->wake.fd < 0 &&
	    loop_watch(admission->loop, &admission->wake, scoreboard_wake_fd(admission->board),
		LOOP_IN) != 0)
		log_warn("cannot wait for a free script slot: %s", strerror(errno));
}

/* Gives slots to waiting tickets, in order, as long as there are any. */
static void serve_queue(struct admission *admission)
{
	while (admission->first != NULL && !admission->stalled) {
		struct admission_ticket *first = admission->first;
		int slot = scoreboard_claim(admission->board, admission->worker);

		if (slot < 0)
			break;
		unlink_ticket(admission, first);
		grant(first, slot);
		first->decided(first, 1);
	}
	watch_queue(admission);
}

static void on_retry(struct loop_task *task)
{
	struct admission *admission = CONTAINER_OF(task, struct admission, retry);

	admission->stalled = false;
	serve_queue(admission);
}

static void on_wake(struct loop_watch *watch, unsigned events)
{
	struct admission *admission = CONTAINER_OF(watch, struct admission, wake);

	(void)events;
	scoreboard_clear_wake(admission->board);
	serve_queue(admission);
	/* this queue is empty, and the wake-up may be another worker's */
	if (admission->first == NULL)
		scoreboard_pass_wake(admission->board);
}

static void on_deadline(struct loop_timer *timer)
{
	struct admission *admission = CONTAINER_OF(timer, struct admission, timer);

	/* a slot may be free whose wake-up has not been seen yet */
	serve_queue(admission);
	while (admission->first != NULL &&
	    admission->first->deadline <= loop_now(admission->loop)) {
		struct admission_ticket *late = admission->first;

		unlink_ticket(admission, late);
		set_state(late, TICKET_NONE);
		late->decided(late, 0);
	}
	watch_queue(admission);
}

void admission_init(struct admission *admission, struct loop *loop, struct scoreboard *board,
    const struct options *options, int worker)
{
	*admission = (struct admission){
	    .loop = loop, .board = board, .options = options, .worker = worker};
	loop_watch_init(&admission->wake, on_wake);
	loop_timer_init(&admission->timer, on_deadline);
	loop_task_init(&admission->retry, on_retry);
}

void admission_fini(struct admission *admission)
{
	while (admission->first != NULL) {
		struct admission_ticket *ticket = admission->first;

		unlink_ticket(admission, ticket);
		set_state(ticket, TICKET_NONE);
	}
	watch_queue(admission);
	loop_unpost(&admission->retry);
}

/* Gives `ticket` a slot if there is one, and no other waits for it. */
static bool claim_first(struct admission *admission, struct admission_ticket *ticket)
{
	int slot;

	if (admission->first != NULL && admission->first != ticket)
		return false;
	slot = scoreboard_claim(admission->board, admission->worker);
	if (slot >= 0)
		grant(ticket, slot);
	return slot >= 0;
}

enum admission_answer admission_ask(struct admission *admission, struct admission_ticket *ticket,
    admission_fn *decided)
{
	*ticket = (struct admission_ticket){.slot = -1,
	    .deadline = loop_now(admission->loop) + admission->options->queue_timeout,
	    .decided = decided};
	if (claim_first(admission, ticket))
		return ADMISSION_GRANTED;
	if (scoreboard_waiting(admission->board) >= admission->options->queue)
		return ADMISSION_FULL;
	LIST2_APPEND(admission->first, admission->last, ticket);
	wait_in_queue(admission, ticket);
	/* a slot released before this ticket was counted woke no worker: try once more */
	if (claim_first(admission, ticket)) {
		unlink_ticket(admission, ticket);
		return ADMISSION_GRANTED;
	}
	watch_queue(admission);
	return ADMISSION_WAIT;
}

static void log_shortage(struct admission *admission, int error)
{
	if (loop_now(admission->loop) < admission->quiet)
		return;
	admission->quiet = loop_now(admission->loop) + SHORTAGE_PAUSE;
	log_warn("no descriptors for another script: %s: requests wait for one to end%s",
	    strerror(error), sys_remedy(error));
}

bool admission_put_back(struct admission *admission, struct admission_ticket *ticket, int error)
{
	if (admission->running == 0)
		return false;
	log_shortage(admission, error);
	scoreboard_release(admission->board, ticket->slot);
	ticket->slot = -1;
	LIST2_PREPEND(admission->first, admission->last, ticket);
	wait_in_queue(admission, ticket);
	admission->stalled = true;
	watch_queue(admission);
	return true;
}

void admission_begin(struct admission *admission, struct admission_ticket *ticket)
{
	set_state(ticket, TICKET_RUNNING);
	admission->running++;
}

void admission_leave(struct admission *admission, struct admission_ticket *ticket)
{
	enum admission_ticket_state state = ticket->state;

	set_state(ticket, TICKET_NONE);
	if (state == TICKET_WAITING) {
		unlink_ticket(admission, ticket);
		watch_queue(admission);
	} else if (state == TICKET_RUNNING) {
		admission->running--;
		if (admission->stalled) /* its descriptors are closed by this turn's tasks */
			loop_post(admission->loop, &admission->retry);
	}
}
