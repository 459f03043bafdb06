/* SPDX-License-Identifier: ISC */
/*
 * admission: a FIFO of tickets, woken by the scoreboard.
 */
#include "bridge/admission.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/sys.h"

enum { SHORTAGE_PAUSE = 10 * 1000 }; /* ms between two log lines about a shortage */

static bool is_empty(const struct admission *admission)
{
	return admission->queue.next == &admission->queue;
}

static void unlink_ticket(struct admission *admission, struct admission_ticket *ticket)
{
	ticket->prev->next = ticket->next;
	ticket->next->prev = ticket->prev;
	ticket->next = ticket->prev = NULL;
	scoreboard_wait(admission->board, admission->worker, -1);
}

/* Watches for what the queue needs: the wake-up, and the deadline of the first. */
static void watch_queue(struct admission *admission)
{
	if (is_empty(admission)) {
		loop_unwatch(admission->loop, &admission->wake);
		loop_timer_clear(admission->loop, &admission->timer);
		return;
	}
	loop_timer_set(admission->loop, &admission->timer,
	    admission->queue.next->deadline - loop_now(admission->loop));
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
	while (!is_empty(admission) && !admission->stalled) {
		struct admission_ticket *first = admission->queue.next;
		int slot = scoreboard_claim(admission->board, admission->worker);

		if (slot < 0)
			break;
		unlink_ticket(admission, first);
		first->slot = slot;
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
	if (is_empty(admission))
		scoreboard_pass_wake(admission->board);
}

static void on_deadline(struct loop_timer *timer)
{
	struct admission *admission = CONTAINER_OF(timer, struct admission, timer);

	/* a slot may be free whose wake-up has not been seen yet */
	serve_queue(admission);
	while (!is_empty(admission) &&
	    admission->queue.next->deadline <= loop_now(admission->loop)) {
		struct admission_ticket *late = admission->queue.next;

		unlink_ticket(admission, late);
		late->decided(late, 0);
	}
	watch_queue(admission);
}

void admission_init(struct admission *admission, struct loop *loop, struct scoreboard *board,
    const struct options *options, int worker)
{
	*admission = (struct admission){
	    .loop = loop, .board = board, .options = options, .worker = worker};
	admission->queue.next = admission->queue.prev = &admission->queue;
	loop_watch_init(&admission->wake, on_wake);
	loop_timer_init(&admission->timer, on_deadline);
	loop_task_init(&admission->retry, on_retry);
}

void admission_fini(struct admission *admission)
{
	struct admission_ticket *next;

	for (struct admission_ticket *at = admission->queue.next; at != &admission->queue; at = next) {
		next = at->next;
		unlink_ticket(admission, at);
	}
	watch_queue(admission);
	loop_unpost(&admission->retry);
}

enum admission_answer admission_ask(struct admission *admission, struct admission_ticket *ticket,
    admission_fn *decided)
{
	*ticket = (struct admission_ticket){.slot = -1,
	    .deadline = loop_now(admission->loop) + admission->options->queue_timeout,
	    .decided = decided};
	if (is_empty(admission))
		ticket->slot = scoreboard_claim(admission->board, admission->worker);
	if (ticket->slot >= 0)
		return ADMISSION_GRANTED;
	if (scoreboard_waiting(admission->board) >= admission->options->queue)
		return ADMISSION_FULL;
	ticket->next = &admission->queue;
	ticket->prev = admission->queue.prev;
	ticket->prev->next = admission->queue.prev = ticket;
	scoreboard_wait(admission->board, admission->worker, 1);
	/* a slot released before this ticket was counted woke no worker: try once more */
	if (ticket->prev == &admission->queue) {
		ticket->slot = scoreboard_claim(admission->board, admission->worker);
		if (ticket->slot >= 0) {
			unlink_ticket(admission, ticket);
			return ADMISSION_GRANTED;
		}
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
	ticket->prev = &admission->queue;
	ticket->next = admission->queue.next;
	ticket->next->prev = admission->queue.next = ticket;
	scoreboard_wait(admission->board, admission->worker, 1);
	admission->stalled = true;
	watch_queue(admission);
	return true;
}

void admission_begin(struct admission *admission, struct admission_ticket *ticket)
{
	ticket->runs = true;
	admission->running++;
}

void admission_leave(struct admission *admission, struct admission_ticket *ticket)
{
	if (ticket->runs) {
		ticket->runs = false;
		admission->running--;
		if (admission->stalled) /* its descriptors are closed by this turn's tasks */
			loop_post(admission->loop, &admission->retry);
		return;
	}
	if (ticket->next == NULL)
		return;
	unlink_ticket(admission, ticket);
	watch_queue(admission);
}
