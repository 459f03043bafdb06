/* SPDX-License-Identifier: ISC */
/*
 * supervisor: forking, respawning with back-off, burying, stopping.
 */
#include "supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"
#include "scoreboard.h"
#include "sys.h"
#include "worker.h"

enum {
	HEALTHY_TIME = 10 * 1000, /* ms a worker has to live for its death to be a first one */
	BACKOFF_FIRST = 100,      /* ms before the respawn after an early death; doubled each time */
	BACKOFF_MAX = 10 * 1000,
	STOP_SLACK = 5 * 1000,    /* ms a worker may take longer to stop than it is allowed */
};

enum supervisor_state { SUPERVISOR_RUNNING, SUPERVISOR_DRAINING, SUPERVISOR_STOPPING };

struct supervisor;

struct slot {
	struct supervisor *supervisor;
	int number;
	pid_t pid; /* 0: none runs */
	struct loop_child process;
	struct loop_timer respawn;
	int64_t started;
	int64_t backoff; /* ms */
};

struct supervisor {
	const struct options *options;
	struct listeners *listeners;
	struct scoreboard *board;
	struct loop *loop;
	enum supervisor_state state;
	struct slot *slots;
	int alive;
	int lifeline[2]; /* workers hold the reading end: end of file when we are gone */
	struct loop_timer stop;
};

static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, 0};

/* ---- workers ------------------------------------------------------------------------ */

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

	close(supervisor->lifeline[1]);
	loop_free(&supervisor->loop);
	free(supervisor->slots);
	return worker_run(&plan);
}

/* Signals to the new worker wait until it has taken them over. */
static pid_t fork_blocked(void)
{
	sigset_t all;
	sigset_t before;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
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

static void on_exited(struct loop_child *process, int status)
{
	struct slot *slot = CONTAINER_OF(process, struct slot, process);
	struct supervisor *supervisor = slot->supervisor;
	pid_t pid = slot->pid;
	int scripts = scoreboard_bury(supervisor->board, slot->number);

	slot->pid = 0;
	supervisor->alive--;
	if (supervisor->state == SUPERVISOR_RUNNING) {
		schedule_respawn(slot);
		log_death(slot, pid, status, scripts);
	} else if (supervisor->alive == 0) {
		loop_stop(supervisor->loop);
	}
}

/* ---- stopping ------------------------------------------------------------------------- */

static void signal_workers(const struct supervisor *supervisor, int signo)
{
	for (int i = 0; i < supervisor->options->workers; i++)
		if (supervisor->slots[i].pid > 0)
			kill(supervisor->slots[i].pid, signo);
}

/* A worker that does not stop in its time never will. */
static void on_stop_time(struct loop_timer *timer)
{
	struct supervisor *supervisor = CONTAINER_OF(timer, struct supervisor, stop);

	log_error("%d workers did not stop in time: killed", supervisor->alive);
	signal_workers(supervisor, SIGKILL);
}

static void stop_workers(struct supervisor *supervisor, enum supervisor_state state, int signo,
    int64_t time)
{
	supervisor->state = state;
	for (int i = 0; i < supervisor->options->workers; i++)
		loop_timer_clear(supervisor->loop, &supervisor->slots[i].respawn);
	listeners_unlink(supervisor->listeners);
	listeners_close(supervisor->listeners);
	signal_workers(supervisor, signo);
	loop_timer_set(supervisor->loop, &supervisor->stop, time + STOP_SLACK);
	if (supervisor->alive == 0)
		loop_stop(supervisor->loop);
}

static void drain(struct supervisor *supervisor)
{
	const struct options *options = supervisor->options;

	log_info("stopping: running scripts have %lld s to end",
	    (long long)options->drain_timeout / 1000);
	stop_workers(supervisor, SUPERVISOR_DRAINING, SIGTERM,
	    options->drain_timeout + options->kill_delay);
}

static void stop_now(struct supervisor *supervisor)
{
	log_info("stopping at once");
	stop_workers(supervisor, SUPERVISOR_STOPPING, SIGQUIT, 0);
}

static void on_signal(void *context, int signo)
{
	struct supervisor *supervisor = context;

	switch (signo) {
	case SIGTERM:
	case SIGINT:
		if (supervisor->state == SUPERVISOR_RUNNING)
			drain(supervisor);
		else
			stop_now(supervisor);
		break;
	case SIGQUIT:
		stop_now(supervisor);
		break;
	default:
		log_warn("signal %d has no meaning here: TERM stops; a restart takes new options",
		    signo);
	}
}

/* ---- life ------------------------------------------------------------------------------ */

static int make_slots(struct supervisor *supervisor)
{
	int count = supervisor->options->workers;

	supervisor->slots = calloc((size_t)count, sizeof *supervisor->slots);
	if (supervisor->slots == NULL)
		return -1;
	for (int i = 0; i < count; i++) {
		supervisor->slots[i] = (struct slot){.supervisor = supervisor, .number = i};
		loop_timer_init(&supervisor->slots[i].respawn, on_respawn);
	}
	return 0;
}

static int supervisor_init(struct supervisor *supervisor)
{
	const struct options *options = supervisor->options;

	loop_timer_init(&supervisor->stop, on_stop_time);
	supervisor->loop = loop_new();
	supervisor->board = scoreboard_new(options->workers, options->max_scripts);
	if (supervisor->loop == NULL || supervisor->board == NULL || make_slots(supervisor) != 0)
		return -1;
	if (sys_pipe(supervisor->lifeline, SYS_PIPE_READ) != 0)
		return -1;
	return loop_signals(supervisor->loop, signals, on_signal, supervisor);
}

static void log_ready(const struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->listeners->count; i++)
		log_info("listening on %s", supervisor->listeners->items[i].name);
	log_info("ready: cgibridge %s, %d workers, at most %d scripts at once", PACKAGE_VERSION,
	    supervisor->options->workers, supervisor->options->max_scripts);
}

static void supervisor_fini(struct supervisor *supervisor)
{
	close(supervisor->lifeline[0]);
	close(supervisor->lifeline[1]);
	scoreboard_free(&supervisor->board);
	free(supervisor->slots);
	loop_free(&supervisor->loop);
}

int supervisor_run(const struct options *options, struct listeners *listeners)
{
	struct supervisor supervisor = {
	    .options = options, .listeners = listeners, .lifeline = {-1, -1}};
	int failed;

	if (supervisor_init(&supervisor) != 0) {
		log_error("cannot start: %s", strerror(errno));
		return 1;
	}
	for (int i = 0; i < options->workers; i++)
		spawn(&supervisor.slots[i]);
	log_ready(&supervisor);
	failed = loop_run(supervisor.loop);
	if (failed)
		log_error("waiting failed: %s", strerror(errno));
	else
		log_info("stopped");
	supervisor_fini(&supervisor);
	return failed ? 1 : 0;
}
