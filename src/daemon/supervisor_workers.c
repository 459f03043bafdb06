/* SPDX-License-Identifier: ISC */
/*
 * supervisor_workers: forking, respawning with back-off, burying, and noticing stuck workers.
 *
 *   NONE --fork--> STARTING --says so--> SERVING --silent for --watchdog--> KILLED
 *    ^                |                     |                                 |
 *    \----------------+--------ended--------+---------------------------------/
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/log.h"
#include "daemon/supervisor_private.h"
#include "base/sys.h"
#include "daemon/worker.h"

/* ---- starting --------------------------------------------------------------------- */

/* In the forked process: frees all parts of the supervisor that the plan does not name. */
static int run_worker(struct worker_process *process)
{
	struct supervisor *supervisor = process->group->supervisor;
	struct worker_group *group = &supervisor->workers;
	struct worker_plan plan = {
	    .options = supervisor->options,
	    .listeners = supervisor->listeners,
	    .board = group->board,
	    .number = process->number,
	    .supervisor = getppid(),
	    .stop = group->lifeline.stop[0],
	    .drain = group->lifeline.drain[0],
	    .ready = supervisor->ready_end,
	};

	/* a session without a terminal, for all scripts; one for each script would do, too, but
	 * Linux creates and frees a scheduler group for every session */
	(void)setsid();
	group_disown(group);
	handover_close_sockets(supervisor->handover);
	close(supervisor->ready.fd);
	reload_fini(supervisor);
	loop_free(&supervisor->loop);
	group_fini(&supervisor->old_workers);
	free(group->processes);
	return worker_run(&plan);
}

/* Signals to the new worker stay blocked until it has installed its handlers. */
static pid_t fork_blocked(void)
{
	sigset_t before;
	pid_t pid;

	sys_signals_block(&before);
	pid = fork();
	if (pid != 0)
		sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

static void on_exited(struct loop_child *child, int status);

static void spawn(struct worker_process *process)
{
	struct worker_group *group = process->group;
	struct loop *loop = group->supervisor->loop;
	pid_t pid = fork_blocked();

	if (pid == 0)
		exit(run_worker(process));
	if (pid < 0) {
		process->backoff = backoff_longer(process->backoff);
		log_error("worker %d cannot be started: %s: trying again in %lld ms", process->number,
		    strerror(errno), (long long)process->backoff);
		loop_timer_set(loop, &process->respawn, process->backoff);
		return;
	}
	process_set_state(process, PROCESS_STARTING);
	process->started = loop_now(loop);
	scoreboard_beat(group->board, process->number, loop_clock(loop));
	group->alive++;
	loop_child_add(loop, &process->child, pid, on_exited);
}

static void on_respawn(struct loop_timer *timer)
{
	spawn(CONTAINER_OF(timer, struct worker_process, respawn));
}

void workers_serve(struct supervisor *supervisor, int number)
{
	struct worker_group *group = &supervisor->workers;

	if (number < 0 || (size_t)number >= group->count ||
	    group->processes[number].state != PROCESS_STARTING)
		return;
	process_set_state(&group->processes[number], PROCESS_SERVING);
}

/* ---- ending ----------------------------------------------------------------------- */

static void schedule_respawn(struct worker_process *process)
{
	struct loop *loop = process->group->supervisor->loop;

	loop_timer_set(loop, &process->respawn,
	    backoff_next(&process->backoff, loop_now(loop) - process->started));
}

static void log_death(const struct worker_process *process, int status, int scripts)
{
	const char *how = WIFSIGNALED(status) ? "was killed by signal" : "ended with status";
	int number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
	int64_t pause = process->respawn.when - loop_now(process->group->supervisor->loop);

	log_error("worker %d (pid %ld) %s %d; its %d scripts were stopped; a new one starts in "
		  "%lld ms",
	    process->number, (long)process->child.pid, how, number, scripts,
	    (long long)(pause < 0 ? 0 : pause));
}

/* Kills the scripts of a dead worker that the scoreboard lists; returns how many. */
static int bury(const struct worker_process *process)
{
	struct scoreboard *board = process->group->board;

	return board == NULL ? 0 : scoreboard_bury(board, process->number, process->child.pid);
}

void workers_free_old(struct supervisor *supervisor)
{
	struct worker_group *group = &supervisor->old_workers;

	if (group->alive > 0)
		return;
	if (group->count > 0)
		log_info("the workers from before the reload have ended");
	loop_timer_clear(supervisor->loop, &group->end);
	group_fini(group);
}

static void on_old_exited(const struct worker_process *process, int status, int scripts)
{
	struct worker_group *group = process->group;
	struct supervisor *supervisor = group->supervisor;

	if (status != 0 && supervisor->state != SUPERVISOR_STOPPING)
		log_warn("an old worker (pid %ld) did not end well; its %d scripts were stopped",
		    (long)process->child.pid, scripts);
	if (group->board != NULL)
		scoreboard_inherit(supervisor->workers.board, group->board);
	workers_free_old(supervisor);
}

static void on_exited(struct loop_child *child, int status)
{
	struct worker_process *process = CONTAINER_OF(child, struct worker_process, child);
	struct worker_group *group = process->group;
	struct supervisor *supervisor = group->supervisor;
	int scripts = bury(process);

	process_set_state(process, PROCESS_NONE);
	group->alive--;
	if (group == &supervisor->old_workers) {
		on_old_exited(process, status, scripts);
	} else if (group->state == GROUP_SERVING) {
		schedule_respawn(process);
		log_death(process, status, scripts);
	}
	reload_resume(supervisor);
	supervisor_check_end(supervisor);
}

/* ---- workers that are stuck --------------------------------------------------------- */

/*
 * Notices when the supervisor itself was paused, as in a paused container: the workers were
 * paused, too, and get their full time again to give a sign of life.
 */
static void log_pause(struct supervisor *supervisor)
{
	int64_t paused = loop_clock(supervisor->loop) - loop_now(supervisor->loop);

	if (paused != supervisor->paused)
		supervisor->resumed = loop_clock(supervisor->loop);
	supervisor->paused = paused;
}

/* For how many ms `process` has been silent, not counting a pause of the supervisor itself. */
static int64_t silence_of(const struct worker_process *process)
{
	const struct supervisor *supervisor = process->group->supervisor;
	int64_t beat = scoreboard_last_beat(process->group->board, process->number);

	return loop_clock(supervisor->loop) -
	    (beat > supervisor->resumed ? beat : supervisor->resumed);
}

/* Whether its worker is well, for the service manager; kills it after --watchdog. */
static bool look_at(struct worker_process *process)
{
	const struct supervisor *supervisor = process->group->supervisor;
	int64_t limit = supervisor->options->watchdog;
	int64_t silent = silence_of(process);

	if (process->state == PROCESS_NONE || process->state == PROCESS_KILLED)
		return false;
	if (limit > 0 && silent > limit) {
		log_error("worker %d (pid %ld) has not done anything for %lld s (--watchdog): killed",
		    process->number, (long)process->child.pid, (long long)silent / 1000);
		process_set_state(process, PROCESS_KILLED);
		kill(process->child.pid, SIGKILL);
		return false;
	}
	if (process->state == PROCESS_STARTING && supervisor->state != SUPERVISOR_STARTING)
		return false; /* the one before it may have hung, and it may do so, too */
	if (limit == 0) /* workers give no signs of life then */
		return true;
	return supervisor->watchdog == 0 || silent <= supervisor->watchdog / 2;
}

bool workers_look(struct supervisor *supervisor)
{
	struct worker_group *group = &supervisor->workers;
	bool well = false;

	log_pause(supervisor);
	for (size_t i = 0; i < group->count; i++)
		if (look_at(&group->processes[i]))
			well = true;
	return well;
}

/* ---- life ------------------------------------------------------------------------------ */

static int make_group(struct worker_group *group, struct supervisor *supervisor, size_t count)
{
	group_init(group, supervisor);
	group->processes = calloc(count + 1, sizeof *group->processes);
	if (group->processes == NULL)
		return -1;
	group->count = count;
	for (size_t i = 0; i < count; i++) {
		group->processes[i] = (struct worker_process){.group = group, .number = (int)i};
		loop_timer_init(&group->processes[i].respawn, on_respawn);
	}
	return 0;
}

static void adopt_old_workers(struct worker_group *group, const struct handover *handover)
{
	group->lifeline = handover->lifeline;
	if (handover->drain_time >= 0)
		group->drain_time = handover->drain_time;
	for (size_t i = 0; i < group->count; i++) {
		struct worker_process *process = &group->processes[i];

		process->number = handover->workers[i].number;
		process_set_state(process, PROCESS_SERVING);
		loop_child_add(group->supervisor->loop, &process->child, handover->workers[i].pid,
		    on_exited);
	}
	group->alive = group->count;
}

int workers_init(struct supervisor *supervisor)
{
	const struct options *options = supervisor->options;
	struct worker_group *group = &supervisor->workers;
	struct worker_group *old = &supervisor->old_workers;

	if (make_group(group, supervisor, (size_t)options->workers) != 0 ||
	    make_group(old, supervisor, supervisor->handover->worker_count) != 0)
		return -1;
	group->drain_time = old->drain_time = worker_drain_time(options);
	group->board = scoreboard_new(options->workers, options->max_scripts);
	if (group->board == NULL || sys_pipe(group->lifeline.stop, SYS_PIPE_READ) != 0 ||
	    sys_pipe(group->lifeline.drain, SYS_PIPE_READ) != 0)
		return -1;
	return 0;
}

void workers_adopt(struct supervisor *supervisor)
{
	const struct handover *handover = supervisor->handover;
	struct worker_group *old = &supervisor->old_workers;

	adopt_old_workers(old, handover);
	if (handover->board.fd >= 0)
		old->board = scoreboard_adopt(&handover->board);
	if (old->board != NULL)
		scoreboard_inherit(supervisor->workers.board, old->board);
	else if (old->count > 0)
		log_warn("the counters of the workers from before the reload cannot be read: "
		    "they start again from 0, and if such a worker dies, its scripts go on");
}

void workers_start(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->workers.count; i++)
		spawn(&supervisor->workers.processes[i]);
}

void workers_fini(struct supervisor *supervisor)
{
	group_fini(&supervisor->workers);
	group_fini(&supervisor->old_workers);
}
