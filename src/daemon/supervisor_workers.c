/* SPDX-License-Identifier: ISC */
/*
 * supervisor_workers: forking, respawning with back-off, burying, and noticing those
 * that are stuck.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/supervisor_private.h"
#include "base/sys.h"
#include "daemon/worker.h"

enum {
	HEALTHY_TIME = 10 * 1000, /* ms a worker has to live for its death to be a first one */
	BACKOFF_FIRST = 100,      /* ms before the respawn after an early death; doubled each time */
	BACKOFF_MAX = 10 * 1000,
	VETERAN_SLACK = 5 * 1000, /* ms a veteran may take longer to stop than it is allowed */
};

/* ---- starting --------------------------------------------------------------------- */

/* In the forked process: nothing of the supervisor stays but what the plan names. */
static int run_worker(struct slot *slot)
{
	struct supervisor *supervisor = slot->supervisor;
	struct worker_plan plan = {
	    .options = supervisor->options,
	    .listeners = supervisor->listeners,
	    .board = supervisor->board,
	    .number = slot->number,
	    .lifeline = supervisor->lifeline[0],
	};

	/* so no script has a terminal; a session for each of them would do, too, but Linux
	 * makes a group of the scheduler for every session, and frees it */
	(void)setsid();
	close(supervisor->lifeline[1]);
	scoreboard_free(&supervisor->old_board);
	reload_fini(supervisor);
	loop_free(&supervisor->loop);
	free(supervisor->veterans);
	free(supervisor->slots);
	return worker_run(&plan);
}

/* Signals to the new worker wait until it has taken them over. */
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

static void on_exited(struct loop_child *process, int status);

static void back_off(struct slot *slot)
{
	if (slot->backoff == 0)
		slot->backoff = BACKOFF_FIRST;
	else if (slot->backoff < BACKOFF_MAX / 2)
		slot->backoff *= 2;
	else
		slot->backoff = BACKOFF_MAX;
}

static void spawn(struct slot *slot)
{
	struct supervisor *supervisor = slot->supervisor;
	pid_t pid = fork_blocked();

	if (pid == 0)
		exit(run_worker(slot));
	if (pid < 0) {
		back_off(slot);
		log_error("worker %d cannot be started: %s: trying again in %lld ms", slot->number,
		    strerror(errno), (long long)slot->backoff);
		loop_timer_set(supervisor->loop, &slot->respawn, slot->backoff);
		return;
	}
	slot->pid = pid;
	slot->started = loop_now(supervisor->loop);
	scoreboard_beat(supervisor->board, slot->number, loop_clock(supervisor->loop));
	supervisor->alive++;
	loop_child_add(supervisor->loop, &slot->process, pid, on_exited);
}

static void on_respawn(struct loop_timer *timer)
{
	spawn(CONTAINER_OF(timer, struct slot, respawn));
}

static void schedule_respawn(struct slot *slot)
{
	struct supervisor *supervisor = slot->supervisor;

	if (loop_now(supervisor->loop) - slot->started >= HEALTHY_TIME)
		slot->backoff = 0;
	loop_timer_set(supervisor->loop, &slot->respawn, slot->backoff);
	back_off(slot);
}

static void log_death(const struct slot *slot, pid_t pid, int status, int scripts)
{
	const char *how = WIFSIGNALED(status) ? "was killed by signal" : "ended with status";
	int number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);

	log_error("worker %d (pid %ld) %s %d; its %d scripts were stopped; a new one starts in "
		  "%lld ms",
	    slot->number, (long)pid, how, number, scripts, (long long)slot->respawn.when < 0 ? 0LL
	    : (long long)(slot->respawn.when - loop_now(slot->supervisor->loop)));
}

/* Its scripts die with it, wherever they are written down. */
static int bury(struct slot *slot)
{
	struct supervisor *supervisor = slot->supervisor;
	struct scoreboard *board = slot->veteran ? supervisor->old_board : supervisor->board;

	return board == NULL ? 0 : scoreboard_bury(board, slot->number, slot->pid);
}

static void on_veteran_exited(struct slot *slot, pid_t pid, int status, int scripts)
{
	struct supervisor *supervisor = slot->supervisor;

	if (status != 0 && supervisor->state == SUPERVISOR_RUNNING)
		log_warn("an old worker (pid %ld) did not end well; its %d scripts were stopped",
		    (long)pid, scripts);
	if (supervisor->old_board != NULL)
		scoreboard_inherit(supervisor->board, supervisor->old_board);
	if (--supervisor->veterans_alive > 0)
		return;
	loop_timer_clear(supervisor->loop, &supervisor->veterans_end);
	scoreboard_free(&supervisor->old_board);
	log_info("the workers from before the reload have ended");
	reload_resume(supervisor);
}

static void on_exited(struct loop_child *process, int status)
{
	struct slot *slot = CONTAINER_OF(process, struct slot, process);
	struct supervisor *supervisor = slot->supervisor;
	pid_t pid = slot->pid;
	int scripts = bury(slot);

	slot->pid = 0;
	supervisor->alive--;
	if (slot->veteran) {
		on_veteran_exited(slot, pid, status, scripts);
	} else if (supervisor->state == SUPERVISOR_RUNNING) {
		schedule_respawn(slot);
		log_death(slot, pid, status, scripts);
	}
	supervisor_check_end(supervisor);
}

/* ---- signals to all ---------------------------------------------------------------- */

static void signal_slots(const struct slot *slots, size_t count, int signo)
{
	for (size_t i = 0; i < count; i++)
		if (slots[i].pid > 0)
			kill(slots[i].pid, signo);
}

void workers_signal(const struct supervisor *supervisor, int signo)
{
	signal_slots(supervisor->slots, (size_t)supervisor->options->workers, signo);
	signal_slots(supervisor->veterans, supervisor->veteran_count, signo);
}

void workers_stop(struct supervisor *supervisor, int signo)
{
	for (int i = 0; i < supervisor->options->workers; i++)
		loop_timer_clear(supervisor->loop, &supervisor->slots[i].respawn);
	workers_signal(supervisor, signo);
}

/* ---- workers that are stuck --------------------------------------------------------- */

/*
 * Notes whether we have been paused ourselves, as when a container is: the workers have been
 * so, too, and get all their time again to say that they are alive.
 */
static void note_pause(struct supervisor *supervisor)
{
	int64_t paused = loop_clock(supervisor->loop) - loop_now(supervisor->loop);

	if (paused != supervisor->paused)
		supervisor->resumed = loop_clock(supervisor->loop);
	supervisor->paused = paused;
}

/* For how many ms, as far as we were there to see it, worker `number` has done nothing. */
static int64_t silence_of(const struct supervisor *supervisor, int number)
{
	int64_t beat = scoreboard_last_beat(supervisor->board, number);

	return loop_clock(supervisor->loop) -
	    (beat > supervisor->resumed ? beat : supervisor->resumed);
}

/* Whether `slot` has a worker that the service manager need not worry about; else it may die. */
static bool look_at(const struct slot *slot)
{
	const struct supervisor *supervisor = slot->supervisor;
	int64_t limit = supervisor->options->watchdog;
	int64_t silent = silence_of(supervisor, slot->number);

	if (slot->pid == 0)
		return false;
	if (limit == 0) /* workers give no sign then */
		return true;
	if (silent > limit) {
		log_error("worker %d (pid %ld) has not done anything for %lld s (--watchdog): killed",
		    slot->number, (long)slot->pid, (long long)silent / 1000);
		kill(slot->pid, SIGKILL);
	}
	return supervisor->watchdog == 0 || silent <= supervisor->watchdog / 2;
}

bool workers_are_well(struct supervisor *supervisor)
{
	bool well = true;

	note_pause(supervisor);
	for (int i = 0; i < supervisor->options->workers; i++)
		if (!look_at(&supervisor->slots[i]))
			well = false;
	return well;
}

/* ---- veterans ------------------------------------------------------------------------ */

/* They end by themselves, after --drain-timeout at the latest: these do not. */
static void on_veterans_end(struct loop_timer *timer)
{
	struct supervisor *supervisor = CONTAINER_OF(timer, struct supervisor, veterans_end);

	log_error("%d workers from before the reload did not stop in time: killed",
	    supervisor->veterans_alive);
	signal_slots(supervisor->veterans, supervisor->veteran_count, SIGKILL);
}

static void drain_veterans(struct supervisor *supervisor)
{
	const struct options *options = supervisor->options;

	if (supervisor->veterans_alive == 0)
		return;
	signal_slots(supervisor->veterans, supervisor->veteran_count, SIGTERM);
	loop_timer_set(supervisor->loop, &supervisor->veterans_end,
	    options->drain_timeout + options->kill_delay + VETERAN_SLACK);
}

static int make_veterans(struct supervisor *supervisor, const struct handover *handover)
{
	supervisor->veterans = calloc(handover->worker_count + 1, sizeof *supervisor->veterans);
	if (supervisor->veterans == NULL)
		return -1;
	for (size_t i = 0; i < handover->worker_count; i++) {
		struct slot *slot = &supervisor->veterans[i];

		*slot = (struct slot){.supervisor = supervisor,
		    .number = handover->workers[i].number,
		    .pid = handover->workers[i].pid,
		    .veteran = true};
		loop_child_add(supervisor->loop, &slot->process, slot->pid, on_exited);
	}
	supervisor->veteran_count = handover->worker_count;
	supervisor->veterans_alive = (int)handover->worker_count;
	supervisor->alive = (int)handover->worker_count;
	return 0;
}

static void adopt_board(struct supervisor *supervisor, const struct scoreboard_share *share)
{
	if (share->fd >= 0)
		supervisor->old_board = scoreboard_adopt(share);
	if (supervisor->old_board != NULL)
		scoreboard_inherit(supervisor->board, supervisor->old_board);
	else if (supervisor->veteran_count > 0)
		log_warn("what the workers from before the reload have written down cannot be read: if "
			 "one dies, its scripts go on; counters begin anew");
}

/* ---- life ------------------------------------------------------------------------------ */

int workers_init(struct supervisor *supervisor, const struct handover *handover)
{
	int count = supervisor->options->workers;

	loop_timer_init(&supervisor->veterans_end, on_veterans_end);
	supervisor->slots = calloc((size_t)count, sizeof *supervisor->slots);
	if (supervisor->slots == NULL || make_veterans(supervisor, handover) != 0)
		return -1;
	adopt_board(supervisor, &handover->board);
	for (int i = 0; i < count; i++) {
		supervisor->slots[i] = (struct slot){.supervisor = supervisor, .number = i};
		loop_timer_init(&supervisor->slots[i].respawn, on_respawn);
	}
	return 0;
}

void workers_start(struct supervisor *supervisor)
{
	for (int i = 0; i < supervisor->options->workers; i++)
		spawn(&supervisor->slots[i]);
	drain_veterans(supervisor);
}

void workers_fini(struct supervisor *supervisor)
{
	scoreboard_free(&supervisor->old_board);
	free(supervisor->veterans);
	free(supervisor->slots);
}
