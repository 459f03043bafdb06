/* SPDX-License-Identifier: ISC */
/*
 * supervisor_state: which state may follow which, for all state machines of the supervisor.
 */
#include <assert.h>

#include "daemon/supervisor_private.h"

void supervisor_set_state(struct supervisor *supervisor, enum supervisor_state state)
{
	assert(state > supervisor->state);
	supervisor->state = state;
}

static bool reload_may_follow(enum reload_state from, enum reload_state to)
{
	switch (from) {
	case RELOAD_NONE:
		return to == RELOAD_WAITING || to == RELOAD_TRIAL;
	case RELOAD_WAITING:
	case RELOAD_CANCELLED:
		return to == RELOAD_NONE;
	case RELOAD_TRIAL:
		return true;
	case RELOAD_OUTDATED:
		return to != RELOAD_TRIAL;
	}
	return false;
}

void reload_set_state(struct reload *reload, enum reload_state state)
{
	assert(reload_may_follow(reload->state, state));
	reload->state = state;
}

void group_set_state(struct worker_group *group, enum group_state state)
{
	assert(state > group->state);
	group->state = state;
}

void process_set_state(struct worker_process *process, enum process_state state)
{
	assert(state == PROCESS_NONE || state > process->state);
	assert(state != PROCESS_STARTING || process->group->state == GROUP_SERVING);
	process->state = state;
}

static bool is_trial_alive(const struct reload *reload)
{
	return reload->state == RELOAD_TRIAL || reload->state == RELOAD_OUTDATED ||
	    reload->state == RELOAD_CANCELLED;
}

void supervisor_check_end(struct supervisor *supervisor)
{
	if (supervisor->state == SUPERVISOR_STOPPING && supervisor->workers.alive == 0 &&
	    supervisor->old_workers.alive == 0 && !is_trial_alive(&supervisor->reload))
		loop_stop(supervisor->loop);
}
