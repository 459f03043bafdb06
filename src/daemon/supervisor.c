/* SPDX-License-Identifier: ISC */
/*
 * supervisor: signals, stopping, and messages to the service manager.
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
	TICK = 1000,           /* ms between checks of the workers */
	TICK_MIN = 50,
	STATUS_EVERY = 5,      /* ticks between two texts to the service manager */
	RETRY = 5,             /* s between two reloads while an heir cannot take over */
	DRAIN_TIME = 30,       /* s to drain, for workers whose time is not known */
};

static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, 0};

/* ---- stopping ------------------------------------------------------------------------- */

static void stop(struct supervisor *supervisor)
{
	supervisor_set_state(supervisor, SUPERVISOR_STOPPING);
	listeners_unlink(supervisor->listeners);
	listeners_close(supervisor->listeners);
	listeners_drop(supervisor->handover);
	loop_timer_clear(supervisor->loop, &supervisor->retry);
	reload_cancel(supervisor);
	notify_send("STOPPING=1\nSTATUS=Stopping");
}

static void drain(struct supervisor *supervisor)
{
	log_info("stopping: running scripts have %lld s to end",
	    (long long)supervisor->options->drain_timeout / 1000);
	stop(supervisor);
	group_drain(&supervisor->workers);
	group_drain(&supervisor->old_workers);
	supervisor_check_end(supervisor);
}

static bool is_asked_to_quit(const struct worker_group *group)
{
	return group->alive == 0 || group->state >= GROUP_QUITTING;
}

static void stop_now(struct supervisor *supervisor)
{
	if (supervisor->state == SUPERVISOR_STOPPING && is_asked_to_quit(&supervisor->workers) &&
	    is_asked_to_quit(&supervisor->old_workers))
		return;
	log_info("stopping at once");
	if (supervisor->state != SUPERVISOR_STOPPING)
		stop(supervisor);
	group_quit(&supervisor->workers);
	group_quit(&supervisor->old_workers);
	supervisor_check_end(supervisor);
}

static void show_status(const struct supervisor *supervisor)
{
	const struct status_source source = {.board = supervisor->workers.board,
	    .max_queue = supervisor->options->queue,
	    .slow = supervisor->options->slow_log,
	    .now = loop_clock(supervisor->loop)};

	status_log(&source);
}

/* The supervisor's own comes first: a worker that starts from here on inherits it. */
static void reopen_logs(const struct supervisor *supervisor)
{
	log_info("opening the log files again");
	accesslog_reopen();
	if (!group_signal(&supervisor->workers, SIGUSR1) ||
	    !group_signal(&supervisor->old_workers, SIGUSR1))
		log_warn("not all workers could be told to open the log files again: %s", strerror(errno));
}

static void on_signal(void *context, int signo)
{
	struct supervisor *supervisor = context;

	switch (signo) {
	case SIGTERM:
	case SIGINT:
		if (supervisor->state == SUPERVISOR_STOPPING)
			stop_now(supervisor);
		else
			drain(supervisor);
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
		log_warn("signal %d has no effect: TERM stops, HUP reloads", signo);
	}
}

/* ---- the service manager ---------------------------------------------------------------- */

static void tell_status(struct supervisor *supervisor)
{
	char text[sizeof supervisor->status];

	snprintf(text, sizeof text, "%d scripts running, %d requests waiting, %zu workers",
	    scoreboard_running(supervisor->workers.board),
	    scoreboard_waiting(supervisor->workers.board), supervisor->workers.alive);
	if (strcmp(text, supervisor->status) == 0)
		return;
	memcpy(supervisor->status, text, sizeof text);
	notify_send("STATUS=%s", text);
}

/*
 * While a worker is well: a restart by the service manager would end its requests, and help the
 * others no more than the supervisor does, which kills and replaces them, and tries again where
 * it cannot fork.  When none is well, a restart is right.
 */
static void feed_watchdog(struct supervisor *supervisor, bool well)
{
	int64_t now = loop_now(supervisor->loop);

	if (supervisor->watchdog == 0 || !well || now - supervisor->fed < supervisor->watchdog / 4)
		return;
	supervisor->fed = now;
	notify_send("WATCHDOG=1");
}

/* Often enough to feed the watchdog, and not more often than is useful. */
static int64_t tick_time(const struct supervisor *supervisor)
{
	int64_t time = supervisor->watchdog / 4;

	if (supervisor->watchdog == 0 || time > TICK)
		return TICK;
	return time < TICK_MIN ? TICK_MIN : time;
}

/* A restart now would end the old workers that serve, and not help the new ones to start. */
static bool serve_old_workers(const struct supervisor *supervisor)
{
	return supervisor->state == SUPERVISOR_STARTING && supervisor->old_workers.alive > 0;
}

static void on_tick(struct loop_timer *timer)
{
	struct supervisor *supervisor = CONTAINER_OF(timer, struct supervisor, tick);

	if (supervisor->state == SUPERVISOR_STOPPING)
		return;
	feed_watchdog(supervisor, workers_look(supervisor) || serve_old_workers(supervisor));
	if (supervisor->state == SUPERVISOR_RUNNING &&
	    loop_now(supervisor->loop) / TICK % STATUS_EVERY == 0)
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
	const struct identity *identity = &supervisor->options->identity;

	if (geteuid() == 0 && (!identity->has_user || identity->uid == 0))
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

/* The service is ready when its first worker serves: the old workers can end then. */
static void on_ready(struct loop_watch *watch, unsigned events)
{
	struct supervisor *supervisor = CONTAINER_OF(watch, struct supervisor, ready);
	int number;

	(void)events;
	while (read(watch->fd, &number, sizeof number) == (ssize_t)sizeof number)
		workers_serve(supervisor, number);
	if (supervisor->state != SUPERVISOR_STARTING)
		return;
	supervisor_set_state(supervisor, SUPERVISOR_RUNNING);
	tell_ready(supervisor);
	listeners_drop(supervisor->handover);
	group_drain(&supervisor->old_workers);
	workers_free_old(supervisor); /* the reload may have found none alive */
}

static void on_retry(struct loop_timer *timer)
{
	struct supervisor *supervisor = CONTAINER_OF(timer, struct supervisor, retry);

	reload_begin(supervisor);
	loop_timer_set(supervisor->loop, timer, RETRY * 1000);
}

/* ---- life ------------------------------------------------------------------------------ */

static int open_ready(struct supervisor *supervisor)
{
	int ends[2];

	if (sys_pipe(ends, SYS_PIPE_READ) != 0)
		return -1;
	supervisor->ready_end = ends[1];
	if (loop_watch(supervisor->loop, &supervisor->ready, ends[0], LOOP_IN) == 0)
		return 0;
	close(ends[0]);
	return -1;
}

/*
 * The steps that cannot fail come last: until then `handover` is unchanged.  Whichever step fails,
 * supervisor_fini() can follow.
 */
static int supervisor_init(struct supervisor *supervisor, char **argv)
{
	group_init(&supervisor->workers, supervisor);
	group_init(&supervisor->old_workers, supervisor);
	loop_timer_init(&supervisor->tick, on_tick);
	loop_timer_init(&supervisor->retry, on_retry);
	loop_watch_init(&supervisor->ready, on_ready);
	supervisor->loop = loop_new();
	if (supervisor->loop == NULL || open_ready(supervisor) != 0 ||
	    workers_init(supervisor) != 0 || reload_init(supervisor, argv) != 0 ||
	    loop_signals(supervisor->loop, signals, on_signal, supervisor) != 0)
		return -1;
	workers_adopt(supervisor);
	supervisor->handover->role = HANDOVER_DONE;
	return 0;
}

static void supervisor_fini(struct supervisor *supervisor)
{
	log_stderr_follow(NULL);
	loop_close(supervisor->loop, &supervisor->ready);
	if (supervisor->ready_end >= 0)
		close(supervisor->ready_end);
	workers_fini(supervisor);
	reload_fini(supervisor);
	loop_free(&supervisor->loop);
}

/* Runs until the end; returns the exit status. */
static int supervise(struct supervisor *supervisor)
{
	int failed;

	log_stderr_follow(supervisor->loop);
	workers_start(supervisor);
	start_ticking(supervisor);
	failed = loop_run(supervisor->loop);
	if (failed)
		log_error("waiting failed: %s", strerror(errno));
	else
		log_info("stopped");
	supervisor_fini(supervisor);
	return failed ? 1 : 0;
}

int supervisor_run(const struct options *options, struct listeners *listeners,
    struct handover *handover, char **argv)
{
	struct supervisor supervisor = {.options = options,
	    .listeners = listeners,
	    .handover = handover,
	    .ready_end = -1};

	if (supervisor_init(&supervisor, argv) == 0)
		return supervise(&supervisor);
	log_error("cannot start: %s", strerror(errno));
	supervisor_fini(&supervisor);
	return 1;
}

/* While signals are blocked: whether one that means stop is pending. */
static bool is_stop_pending(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 &&
	    (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1 ||
		sigismember(&pending, SIGQUIT) == 1);
}

int supervisor_hold(struct handover *handover, char **argv)
{
	const struct options options = {.syslog = handover->syslog,
	    .syslog_socket = handover->syslog_socket,
	    .drain_timeout = handover->drain_time >= 0 ? handover->drain_time : DRAIN_TIME * 1000};
	struct listeners listeners;
	struct supervisor supervisor;

	sys_signals_block(NULL);
	if (listeners_keep(&listeners, handover) != 0)
		return 1;
	log_error("the new image cannot take over: the old workers go on, and it tries again every "
		  "%d s", RETRY);
	for (;;) {
		supervisor = (struct supervisor){.options = &options,
		    .listeners = &listeners,
		    .handover = handover,
		    .ready_end = -1};
		if (supervisor_init(&supervisor, argv) == 0)
			break;
		log_error("cannot supervise the old workers: %s: trying again", strerror(errno));
		supervisor_fini(&supervisor);
		if (is_stop_pending()) { /* the workers end, too: their lifeline closes */
			listeners_unlink(&listeners);
			return 1;
		}
		sleep(1);
	}
	loop_timer_set(supervisor.loop, &supervisor.retry, RETRY * 1000);
	return supervise(&supervisor);
}
