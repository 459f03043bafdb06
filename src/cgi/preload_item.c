/* SPDX-License-Identifier: ISC */
/*
 * preload_item: the scripts of a preloader, from the request to start one to its end.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/list.h"
#include "cgi/preload_private.h"

enum { POLL_TIME = 50 }; /* ms between looks at scripts whose preloader is gone */

void preload_item_free(struct preload_item *item)
{
	for (int i = 0; i < 3; i++)
		close_keeping_errno(item->ours[i]);
	free(item->path);
	free(item);
}

struct preload_item *preload_item_find(struct preload_process *process, unsigned long serial)
{
	struct preload_item *item = process->first_waiting;

	while (item != NULL && item->serial != serial)
		item = item->next;
	return item;
}

struct preload_item *preload_item_find_pid(struct preload_item *item, pid_t pid)
{
	while (item != NULL && item->pid != pid)
		item = item->next;
	return item;
}

/* ---- not started ------------------------------------------------------------------------ */

/* It is not started here, and not in a list: its owner, if it has one, decides what to do. */
static void hand_back(struct preload_item *item, struct preload_answer answer)
{
	bool stopped = preload_of(item->process)->stopped || child_is_stopped(item->child);

	if (answer.outcome == PRELOAD_EXEC && stopped)
		answer.outcome = PRELOAD_STOPPED;
	if (child_withdraw(item->child))
		item->answered(item->context, &answer);
	preload_item_free(item);
}

void preload_item_answer(struct preload_item *item, struct preload_answer answer)
{
	LIST2_REMOVE(item->process->first_waiting, item->process->last_waiting, item);
	hand_back(item, answer);
}

void preload_process_answer_all(struct preload_process *process)
{
	struct preload_item *next;

	for (struct preload_item *item = process->first_waiting; item != NULL; item = next) {
		next = item->next;
		hand_back(item, (struct preload_answer){.outcome = PRELOAD_EXEC});
	}
	process->first_waiting = process->last_waiting = NULL;
}

/* ---- running ---------------------------------------------------------------------------- */

void preload_process_watch_exits(struct preload_process *process)
{
	struct preload *preload = preload_of(process);

	if (process->running != NULL && !loop_timer_active(&process->look))
		loop_timer_set(preload_loop(preload), &process->look, preload->parts.times->answer);
}

void preload_item_begin(struct preload_item *item, pid_t pid)
{
	struct preload_process *process = item->process;
	int64_t now = clock_us();
	struct preload_answer answer = {.outcome = PRELOAD_STARTED,
	    .pipes = {item->ours[0], item->ours[1], item->ours[2]},
	    .spent = now - item->sent};

	process->proven = true;
	process->preloader->failures = 0;
	LIST2_REMOVE(process->first_waiting, process->last_waiting, item);
	LIST_PREPEND(process->running, item);
	item->pid = pid;
	item->begun = now;
	preload_process_watch_exits(process);
	if (child_begin(item->child, pid, now)) {
		item->ours[0] = item->ours[1] = item->ours[2] = -1;
		item->answered(item->context, &answer);
	}
	for (int i = 0; i < 3; i++) {
		close_keeping_errno(item->ours[i]);
		item->ours[i] = -1;
	}
}

void preload_item_end(struct preload_item **list, struct preload_item *item, int status)
{
	struct child *child = item->child;

	LIST_REMOVE(*list, item);
	preload_item_free(item);
	child_ended(child, status);
}

/* ---- scripts whose preloader is gone ---------------------------------------------------- */

/* Nobody reports their exit.  A process in another session, or a younger one, is not the script. */
static void on_poll(struct loop_timer *timer)
{
	struct preload *preload = CONTAINER_OF(timer, struct preload, poll);
	struct preload_item *next;

	for (struct preload_item *item = preload->orphans; item != NULL; item = next) {
		next = item->next;
		if (getsid(item->pid) != preload->session || !sys_is_running(item->pid) ||
		    sys_is_younger(item->pid, item->begun))
			preload_item_end(&preload->orphans, item, 0);
	}
	if (preload->orphans != NULL)
		loop_timer_set(preload_loop(preload), timer, POLL_TIME);
}

void preload_process_leave_items(struct preload_process *process)
{
	struct preload *preload = preload_of(process);

	while (process->running != NULL) {
		struct preload_item *item = process->running;

		LIST_REMOVE(process->running, item);
		item->process = NULL;
		LIST_PREPEND(preload->orphans, item);
	}
	if (preload->orphans != NULL && !preload->stopped)
		loop_timer_set(preload_loop(preload), &preload->poll, POLL_TIME);
}

void preload_items_init(struct preload *preload)
{
	loop_timer_init(&preload->poll, on_poll);
}
