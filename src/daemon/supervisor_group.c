/* SPDX-License-Identifier: ISC */
/*
 * supervisor_group: asking workers to end.
 *
 *   SERVING --> DRAINING --not ended within the time--> QUITTING --nor then-> KILLED
 *      \------------------asked to stop at once------------/
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/supervisor_private.h"

enum { SLACK = 5 * 1000 }; /* ms that workers may take in addition to their time */

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void group_disown(struct worker_group *group)
{
	close_end(&group->lifeline.stop[1]);
	close_end(&group->lifeline.drain[1]);
}

bool group_signal(const struct worker_group *group, int signo)
{
	bool sent = true;

	for (size_t i = 0; i < group->count; i++)
		if (group->processes[i].state != PROCESS_NONE &&
		    kill(group->processes[i].child.pid, signo) != 0)
			sent = false;
	return sent;
}

static void stop_respawning(struct worker_group *group)
{
	for (size_t i = 0; i < group->count; i++)
		loop_timer_clear(group->supervisor->loop, &group->processes[i].respawn);
}

void group_drain(struct worker_group *group)
{
	if (group->state >= GROUP_DRAINING)
		return;
	group_set_state(group, GROUP_DRAINING);
	stop_respawning(group);
	close_end(&group->lifeline.drain[1]);
	(void)group_signal(group, SIGTERM);
	loop_timer_set(group->supervisor->loop, &group->end, group->drain_time + SLACK);
}

void group_quit(struct worker_group *group)
{
	if (group->state >= GROUP_QUITTING)
		return;
	group_set_state(group, GROUP_QUITTING);
	stop_respawning(group);
	group_disown(group);
	(void)group_signal(group, SIGQUIT);
	loop_timer_set(group->supervisor->loop, &group->end, SLACK);
}

static void kill_group(struct worker_group *group)
{
	log_error("%zu workers did not stop in time: killed", group->alive);
	group_set_state(group, GROUP_KILLED);
	if (group_signal(group, SIGKILL))
		return;
	/* as in a container without CAP_KILL; the supervisor must not wait for it for ever */
	log_error("a worker cannot be killed: it is left behind");
	if (group->supervisor->state == SUPERVISOR_STOPPING)
		loop_stop(group->supervisor->loop);
}

static void on_end(struct loop_timer *timer)
{
	struct worker_group *group = CONTAINER_OF(timer, struct worker_group, end);

	if (group->alive == 0)
		return;
	if (group->state == GROUP_QUITTING) {
		kill_group(group);
		return;
	}
	log_error("%zu workers did not drain in time: stopped at once", group->alive);
	group_quit(group);
}

void group_init(struct worker_group *group, struct supervisor *supervisor)
{
	*group = (struct worker_group){
	    .supervisor = supervisor, .lifeline = {.stop = {-1, -1}, .drain = {-1, -1}}};
	loop_timer_init(&group->end, on_end);
}

void group_fini(struct worker_group *group)
{
	for (int end = 0; end < 2; end++) {
		close_end(&group->lifeline.stop[end]);
		close_end(&group->lifeline.drain[end]);
	}
	scoreboard_free(&group->board);
	free(group->processes);
	group->processes = NULL;
	group->count = 0;
}
