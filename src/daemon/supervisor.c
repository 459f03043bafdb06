/* SPDX-License-Identifier: ISC */
/*
 * supervisor: signals, stopping, and what the service manager is told.
 * supervisor_workers.c has the workers' lives, supervisor_reload.c the reload.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stats/accesslog.h"
#include "base/log.h"
#include "base/log_stderr.h"
#include "base/notify.h"
#include "stats/status.h"
#include "daemon/supervisor_private.h"
#include "base/sys.h"

enum {
	STOP_SLACK = 5 * 1000, /* ms a worker may take longer to stop than it is allowed */
	TICK = 1000,           /* ms between looks at the workers */
	TICK_MIN = 50,
	STATUS_EVERY = 5,      /* ticks between two texts to the service manager */
};

static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, 0};

/* ---- stopping ------------------------------------------------------------------------- */

/* A worker that does not stop in its time never will. */
static void on_stop_time(struct loop_timer *timer)
{
	struct supervisor *supervisor = CONTAINER_OF(timer, struct supervisor, stop);

	log_error("%d workers did not stop in time: killed", supervisor->alive);
	workers_signal(supervisor, SIGKILL);
}

void supervisor_check_end(struct supervisor *supervisor)
{
	if (supervisor->state != SUPERVISOR_RUNNING && supervisor->alive == 0)
		loop_stop(supervisor->loop);
}

static void stop_workers(struct supervisor *supervisor, enum supervisor_state state, int signo,
    int64_t time)
{
	supervisor->state = state;
	listeners_unlink(supervisor->listeners);
	listeners_close(supervisor->listeners);
	workers_stop(supervisor, signo);
	loop_timer_set(supervisor->loop, &supervisor->stop, time + STOP_SLACK);
	notify_send("STOPPING=1\nSTATUS=Stopping");
	supervisor_check_end(supervisor);
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

static void show_status(const struct supervisor *supervisor)
{
	const struct status_source source = {.board = supervisor->board,
	    .max_queue = supervisor->options->queue,
	    .now = loop_clock(supervisor->loop)};

	status_log(&source);
}

/* Ours comes first: a worker that starts from here on inherits it. */
static void reopen_logs(const struct supervisor *supervisor)
{
	log_info("opening the log files again");
	accesslog_reopen();
	workers_signal(supervisor, SIGUSR1);
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
	case SIGHUP:
		reload_begin(supervisor);
		break;
	case SIGUSR1:
		reopen_logs(supervisor);
		break;
	case SIGUSR2:
		show_status(supervisor);
		break;
	default:
		log_warn("signal %d has no meaning here: TERM stops, HUP reloads", signo);
	}
}

/* ---- the service manager ---------------------------------------------------------------- */

static void tell_status(struct supervisor *supervisor)
{
	char text[sizeof supervisor->status];

	snprintf(text, sizeof text, "%d scripts running, %d requests waiting, %d workers",
	    scoreboard_running(supervisor->board), scoreboard_waiting(supervisor->board),
	    supervisor->alive - supervisor->veterans_alive);
	if (strcmp(text, supervisor->status) == 0)
		return;
	memcpy(supervisor->status, text, sizeof text);
	notify_send("STATUS=%s", text);
}

/* It is fed only while every worker is well: else it is right to restart us. */
static void feed_watchdog(struct supervisor *supervisor, bool well)
{
	int64_t now = loop_now(supervisor->loop);

	if (supervisor->watchdog == 0 || !well || now - supervisor->fed < supervisor->watchdog / 4)
		return;
	supervisor->fed = now;
	notify_send("WATCHDOG=1");
}

/* Often enough to feed the watchdog, and no oftener than that is of use to anybody. */
static int64_t tick_time(const struct supervisor *supervisor)
{
	int64_t time = supervisor->watchdog / 4;

	if (supervisor->watchdog == 0 || time > TICK)
		return TICK;
	return time < TICK_MIN ? TICK_MIN : time;
}

static void on_tick(struct loop_timer *timer)
{
	struct supervisor *supervisor = CONTAINER_OF(timer, struct supervisor, tick);

	if (supervisor->state != SUPERVISOR_RUNNING)
		return;
	feed_watchdog(supervisor, workers_are_well(supervisor));
	if (loop_now(supervisor->loop) / TICK % STATUS_EVERY == 0)
		tell_status(supervisor);
	loop_timer_set(supervisor->loop, &supervisor->tick, tick_time(supervisor));
}

static void start_ticking(struct supervisor *supervisor)
{
	supervisor->watchdog = notify_watchdog();
	if (supervisor->options->watchdog > 0 || notify_wanted())
		loop_timer_set(supervisor->loop, &supervisor->tick, 0);
}

static void tell_ready(const struct supervisor *supervisor)
{
	if (geteuid() == 0 && !supervisor->options->identity.has_user)
		log_warn("RUNNING AS ROOT: every script may do anything to this machine; give --user, or "
			 "start it as another user");
	for (size_t i = 0; i < supervisor->listeners->count; i++)
		log_info("listening on %s%s", supervisor->listeners->items[i].name,
		    supervisor->listeners->items[i].about);
	log_info("ready: cgibridge %s, %d workers, at most %d scripts at once", PACKAGE_VERSION,
	    supervisor->options->workers, supervisor->options->max_scripts);
	notify_send("READY=1\nSTATUS=Ready: %d workers, at most %d scripts at once",
	    supervisor->options->workers, supervisor->options->max_scripts);
}

/* ---- life ------------------------------------------------------------------------------ */

static int open_lifeline(struct supervisor *supervisor, const struct handover *handover)
{
	memcpy(supervisor->lifeline, handover->lifeline, sizeof supervisor->lifeline);
	return supervisor->lifeline[0] >= 0 ? 0 : sys_pipe(supervisor->lifeline, SYS_PIPE_READ);
}

static int supervisor_init(struct supervisor *supervisor, const struct handover *handover,
    char **argv)
{
	const struct options *options = supervisor->options;

	loop_timer_init(&supervisor->stop, on_stop_time);
	loop_timer_init(&supervisor->tick, on_tick);
	supervisor->loop = loop_new();
	supervisor->board = scoreboard_new(options->workers, options->max_scripts);
	if (supervisor->loop == NULL || supervisor->board == NULL ||
	    open_lifeline(supervisor, handover) != 0 || workers_init(supervisor, handover) != 0 ||
	    reload_init(supervisor, argv) != 0)
		return -1;
	return loop_signals(supervisor->loop, signals, on_signal, supervisor);
}

static void supervisor_fini(struct supervisor *supervisor)
{
	log_stderr_follow(NULL);
	close(supervisor->lifeline[0]);
	close(supervisor->lifeline[1]);
	scoreboard_free(&supervisor->board);
	workers_fini(supervisor);
	reload_fini(supervisor);
	loop_free(&supervisor->loop);
}

int supervisor_run(const struct options *options, struct listeners *listeners,
    const struct handover *handover, char **argv)
{
	struct supervisor supervisor = {
	    .options = options, .listeners = listeners, .lifeline = {-1, -1}};
	int failed;

	if (supervisor_init(&supervisor, handover, argv) != 0) {
		log_error("cannot start: %s", strerror(errno));
		return 1;
	}
	log_stderr_follow(supervisor.loop);
	workers_start(&supervisor);
	tell_ready(&supervisor);
	start_ticking(&supervisor);
	failed = loop_run(supervisor.loop);
	if (failed)
		log_error("waiting failed: %s", strerror(errno));
	else
		log_info("stopped");
	supervisor_fini(&supervisor);
	return failed ? 1 : 0;
}
