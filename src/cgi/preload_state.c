/* SPDX-License-Identifier: ISC */
/*
 * preload_state: the states of a preloader and of its processes, and when there is a next one.
 */
#include <assert.h>

#include "base/backoff.h"
#include "base/log.h"
#include "cgi/preload_private.h"

enum { FAILURES_MAX = 3 };

static bool may_follow(enum preload_state from, enum preload_state to)
{
	switch (from) {
	case PRELOAD_STARTING:
		return to != PRELOAD_STARTING;
	case PRELOAD_READY:
		return to == PRELOAD_RETIRING || to == PRELOAD_KILLED || to == PRELOAD_GONE;
	case PRELOAD_RETIRING:
		return to == PRELOAD_KILLED || to == PRELOAD_GONE;
	case PRELOAD_KILLED:
		return to == PRELOAD_GONE;
	case PRELOAD_GONE:
		return false;
	}
	return false;
}

void preload_process_set_state(struct preload_process *process, enum preload_state state)
{
	assert(may_follow(process->state, state));
	process->state = state;
}

/* ---- the next process ------------------------------------------------------------------ */

void preloader_set_state(struct preloader *preloader, enum preloader_state state)
{
	assert(preloader->state == PRELOADER_ON ? state != PRELOADER_ON : state == PRELOADER_ON);
	preloader->state = state;
}

static void turn_off(struct preloader *preloader)
{
	preloader->current = NULL;
	preloader_set_state(preloader, PRELOADER_OFF);
	log_error("preloader for %s: the last %d ended before they had started a script: scripts are "
		  "started without it until the next reload",
	    preloader->interpreter, FAILURES_MAX);
}

bool preloader_fails(struct preloader *preloader)
{
	if (++preloader->failures < FAILURES_MAX)
		return false;
	turn_off(preloader);
	return true;
}

void preloader_schedule(struct preloader *preloader, int64_t age)
{
	struct loop *loop = preload_loop(preloader->preload);

	preloader_set_state(preloader, PRELOADER_WAITING);
	loop_timer_set(loop, &preloader->respawn, backoff_next(&preloader->backoff, age));
}

void preload_process_give_place(struct preload_process *process)
{
	struct preloader *preloader = process->preloader;
	const struct preload *preload = preloader->preload;

	if (preloader->current != process)
		return;
	preloader->current = NULL;
	if (!preload->stopped)
		preloader_schedule(preloader, loop_now(preload_loop(preload)) - process->begun);
}

void preload_process_report(struct preload_process *process, const char *how)
{
	struct preloader *preloader = process->preloader;

	log_warn("preloader for %s (pid %ld) %s", preloader->interpreter, (long)process->child.pid,
	    how);
	if (!process->proven && preloader->current == process)
		(void)preloader_fails(preloader);
}
