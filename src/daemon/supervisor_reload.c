/* SPDX-License-Identifier: ISC */
/*
 * supervisor_reload: a trial of the new image, then the exec.
 *
 *   NONE --HUP--> TRIAL --it would start--> exec: the process goes on as the new image
 *     ^  \          |\--it would not, or takes too long--> NONE, and the log says why
 *     |   \         |--HUP again--> OUTDATED: as TRIAL, but if it would not start, another TRIAL
 *     |    \        \--we are to stop--> CANCELLED --it has ended--> NONE
 *     |     \--workers of the last reload still drain--> WAITING --they are gone--> TRIAL
 *
 * The trial gets only the sockets: it must not keep anything else of the service alive.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_stderr.h"
#include "base/notify.h"
#include "daemon/supervisor_private.h"
#include "base/sys.h"

enum { TRIAL_TIME = 20 * 1000 }; /* ms in which the new image has to show that it would start */

extern char **environ;

/* ---- where the program is ------------------------------------------------------ */

/* The path of `name` as execvp(3) would find it; NULL if it is not found, or without memory. */
static char *search_path(const char *name)
{
	const char *at = getenv("PATH");

	while (at != NULL && *at != '\0') {
		int len = (int)strcspn(at, ":");
		char path[4096];

		/* an empty element is the current directory */
		if (snprintf(path, sizeof path, "%.*s/%s", len == 0 ? 1 : len, len == 0 ? "." : at,
			name) < (int)sizeof path &&
		    access(path, X_OK) == 0)
			return strdup(path);
		at += len + (at[len] == ':');
	}
	return NULL;
}

/* ---- the handover to the new image ------------------------------------------------ */

/* The workers that serve: those from before the last reload until a new one serves. */
static const struct worker_group *serving_group(const struct supervisor *supervisor)
{
	const struct worker_group *old = &supervisor->old_workers;

	return supervisor->state == SUPERVISOR_STARTING && old->alive > 0 ? old
									  : &supervisor->workers;
}

static void list_workers(const struct worker_group *group, struct handover *handover)
{
	for (size_t i = 0; i < group->count; i++)
		if (group->processes[i].state != PROCESS_NONE)
			handover->workers[handover->worker_count++] = (struct handover_worker){
			    group->processes[i].child.pid, group->processes[i].number};
}

/* The listeners, and sockets that only the old workers still serve. */
static void list_sockets(const struct supervisor *supervisor, struct handover *handover)
{
	const struct handover *rest = supervisor->handover;

	for (size_t i = 0; i < rest->socket_count; i++)
		if (rest->sockets[i].fd >= 0)
			handover->sockets[handover->socket_count++] = rest->sockets[i];
	for (size_t i = 0; i < supervisor->listeners->count; i++) {
		const struct listener *listener = &supervisor->listeners->items[i];

		handover->sockets[handover->socket_count++] =
		    (struct handover_socket){.fd = listener->fd,
			.name = listener->name,
			.has_file = listener->path != NULL,
			.dev = listener->dev,
			.ino = listener->ino};
	}
}

/*
 * Adds the state of `group` to `handover`; 0, or -1 with errno.  The caller frees `handover`
 * either way.
 */
static int describe_group(const struct worker_group *group, struct handover *handover)
{
	handover->lifeline = group->lifeline;
	handover->drain_time = group->drain_time;
	if (group->board != NULL)
		handover->board = scoreboard_share(group->board);
	handover->workers = calloc(group->count + 1, sizeof *handover->workers);
	if (handover->workers == NULL)
		return -1;
	list_workers(group, handover);
	return 0;
}

/* Likewise for the trial, without a write end: while one is open, the workers do not end. */
static void describe_trial(const struct worker_group *group, struct handover *handover)
{
	handover->lifeline.stop[0] = handover->lifeline.stop[1] = group->lifeline.stop[0];
}

static int describe(const struct supervisor *supervisor, struct handover *handover,
    enum handover_role role)
{
	const struct worker_group *group = serving_group(supervisor);

	handover_init(handover);
	handover->syslog = supervisor->options->syslog;
	handover->syslog_socket = supervisor->options->syslog_socket;
	if (role == HANDOVER_TRIAL)
		describe_trial(group, handover);
	else if (describe_group(group, handover) != 0)
		return -1;
	handover->sockets = calloc(supervisor->listeners->count + supervisor->handover->socket_count + 1,
	    sizeof *handover->sockets);
	if (handover->sockets == NULL)
		return -1;
	list_sockets(supervisor, handover);
	return 0;
}

/* Replaces this process with the new image; returns, with errno, only if that fails. */
static void exec_image(const struct supervisor *supervisor, const struct handover *handover,
    pid_t owner)
{
	const struct reload *reload = &supervisor->reload;

	if (handover_give(handover, owner) != 0 || handover_keep(handover, true) != 0)
		return;
	execve(reload->program, reload->argv, environ);
}

/* ---- the exec ------------------------------------------------------------------------ */

static void go_on(struct supervisor *supervisor, const char *why)
{
	reload_set_state(&supervisor->reload, RELOAD_NONE);
	log_error("not reloaded: %s: going on as before", why);
	notify_send("%sSTATUS=Not reloaded: %s",
	    supervisor->state == SUPERVISOR_RUNNING ? "READY=1\n" : "", why);
}

static void exec_new(struct supervisor *supervisor)
{
	struct handover handover;
	sigset_t before;
	int error = ENOMEM;

	log_info("reloading: the new image takes over");
	log_stderr_close();
	/* signals that arrive from here on wait for the new image */
	sys_signals_block(&before);
	if (describe(supervisor, &handover, HANDOVER_HEIR) == 0) {
		exec_image(supervisor, &handover, getpid());
		error = errno;
		handover_withdraw();
		if (handover_keep(&handover, false) != 0)
			log_warn("a descriptor may reach scripts: %s", strerror(errno));
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	handover_fini(&handover);
	go_on(supervisor, strerror(error));
}

/* ---- whose turn it is ---------------------------------------------------------------- */

/*
 * Whether workers from before the last reload are in the way.  They are not if no new worker
 * serves or has been started: then the old ones themselves are handed on.
 */
static bool must_wait(const struct supervisor *supervisor)
{
	return supervisor->old_workers.alive > 0 &&
	       (supervisor->state != SUPERVISOR_STARTING || supervisor->workers.alive > 0);
}

static void wait_for_turn(struct supervisor *supervisor)
{
	log_info("the reload waits for %zu workers from before the last reload",
	    supervisor->old_workers.alive);
	reload_set_state(&supervisor->reload, RELOAD_WAITING);
}

/* ---- the trial ------------------------------------------------------------------------ */

/* It may have read a configuration that was mended by the time of a second HUP. */
static void reject_trial(struct supervisor *supervisor, const char *why)
{
	bool outdated = supervisor->reload.state == RELOAD_OUTDATED;

	go_on(supervisor, why);
	if (outdated)
		reload_begin(supervisor);
}

static void judge_trial(struct supervisor *supervisor, int status)
{
	char why[96];

	if (WIFSIGNALED(status)) {
		snprintf(why, sizeof why, "a trial start was killed by signal %d",
		    WTERMSIG(status));
		reject_trial(supervisor, why);
	} else if (WEXITSTATUS(status) != 0) {
		snprintf(why, sizeof why, "a trial start ended with status %d",
		    WEXITSTATUS(status));
		reject_trial(supervisor, why);
	} else if (must_wait(supervisor)) {
		wait_for_turn(supervisor);
	} else {
		exec_new(supervisor);
	}
}

static void on_trial_exited(struct loop_child *process, int status)
{
	struct supervisor *supervisor = CONTAINER_OF(process, struct supervisor, reload.trial);

	loop_timer_clear(supervisor->loop, &supervisor->reload.trial_end);
	if (supervisor->reload.state != RELOAD_CANCELLED) {
		judge_trial(supervisor, status);
		return;
	}
	reload_set_state(&supervisor->reload, RELOAD_NONE);
	supervisor_check_end(supervisor);
}

/* Kills the trial with its children; it forks one to test whether it can become --user. */
static void kill_trial(const struct reload *reload)
{
	if (kill(-reload->trial.pid, SIGKILL) != 0)
		kill(reload->trial.pid, SIGKILL);
}

static void on_trial_end(struct loop_timer *timer)
{
	struct supervisor *supervisor = CONTAINER_OF(timer, struct supervisor, reload.trial_end);

	log_error("the trial start takes too long: killed");
	kill_trial(&supervisor->reload);
}

/* Makes the trial end with its parent or, where the system cannot do that, when its time is up. */
static void bind_trial(pid_t parent)
{
	(void)setpgid(0, 0);
	sys_die_with_parent(parent);
	alarm(TRIAL_TIME / 1000 + 5);
}

/* In the forked process. */
static void run_trial(struct supervisor *supervisor, pid_t parent)
{
	struct handover handover;
	sigset_t none;

	bind_trial(parent);
	if (describe(supervisor, &handover, HANDOVER_TRIAL) == 0) {
		group_disown(&supervisor->workers);
		group_disown(&supervisor->old_workers);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		exec_image(supervisor, &handover, parent);
	}
	log_error("cannot execute %s: %s", supervisor->reload.program, strerror(errno));
	_exit(126);
}

static void start_trial(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;
	pid_t parent = getpid();
	pid_t pid;

	reload_set_state(reload, RELOAD_TRIAL);
	if (reload->program == NULL) {
		go_on(supervisor, "the path of the program is unknown: start it by an absolute path");
		return;
	}
	pid = fork();
	if (pid == 0)
		run_trial(supervisor, parent);
	if (pid < 0) {
		go_on(supervisor, strerror(errno));
		return;
	}
	(void)setpgid(pid, pid); /* whichever process is first */
	loop_child_add(supervisor->loop, &reload->trial, pid, on_trial_exited);
	loop_timer_set(supervisor->loop, &reload->trial_end, TRIAL_TIME);
}

void reload_begin(struct supervisor *supervisor)
{
	if (supervisor->state == SUPERVISOR_STOPPING)
		return;
	if (supervisor->reload.state == RELOAD_TRIAL)
		reload_set_state(&supervisor->reload, RELOAD_OUTDATED);
	if (supervisor->reload.state != RELOAD_NONE)
		return; /* a waiting reload and the heir of a trial see the latest changes */
	if (must_wait(supervisor)) {
		wait_for_turn(supervisor);
		return;
	}
	log_info("reloading");
	notify_send("RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)loop_clock(supervisor->loop) * 1000);
	start_trial(supervisor);
}

void reload_resume(struct supervisor *supervisor)
{
	if (supervisor->reload.state != RELOAD_WAITING || must_wait(supervisor))
		return;
	reload_set_state(&supervisor->reload, RELOAD_NONE);
	reload_begin(supervisor);
}

void reload_cancel(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;

	if (reload->state == RELOAD_WAITING)
		reload_set_state(reload, RELOAD_NONE);
	if (reload->state != RELOAD_TRIAL && reload->state != RELOAD_OUTDATED)
		return;
	reload_set_state(reload, RELOAD_CANCELLED);
	kill_trial(reload);
}

/* ---- life ------------------------------------------------------------------------------ */

int reload_init(struct supervisor *supervisor, char **argv)
{
	struct reload *reload = &supervisor->reload;

	reload->argv = argv;
	/* a relative path stays valid: the supervisor never changes its directory */
	reload->program = strchr(argv[0], '/') != NULL ? strdup(argv[0]) : search_path(argv[0]);
	loop_timer_init(&reload->trial_end, on_trial_end);
	return 0;
}

void reload_fini(struct supervisor *supervisor)
{
	free(supervisor->reload.program);
	supervisor->reload.program = NULL;
}
