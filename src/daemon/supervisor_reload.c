/* SPDX-License-Identifier: ISC */
/*
 * supervisor_reload: a trial of the new image, then the exec.
 *
 *   NONE --HUP--> TRIAL --it would start--> exec: the process goes on as the new image
 *     ^  \          \--it would not, or takes too long--> NONE, and the log says why
 *     |   \--workers of the last reload still drain--> WAITING --they are gone--> TRIAL
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

enum { TRIAL_TIME = 20 * 1000 }; /* ms the new image has to say whether it would start */

extern char **environ;

/* ---- where the program is ------------------------------------------------------ */

/* The path of `name` as execvp(3) would find it; NULL if it does not, or without memory. */
static char *search_path(const char *name)
{
	const char *at = getenv("PATH");

	while (at != NULL && *at != '\0') {
		int len = (int)strcspn(at, ":");
		char path[4096];

		/* an empty element is where we are */
		if (snprintf(path, sizeof path, "%.*s/%s", len == 0 ? 1 : len, len == 0 ? "." : at,
			name) < (int)sizeof path &&
		    access(path, X_OK) == 0)
			return strdup(path);
		at += len + (at[len] == ':');
	}
	return NULL;
}

/* ---- what the new image finds ----------------------------------------------------- */

static void list_workers(const struct supervisor *supervisor, struct handover *handover)
{
	for (int i = 0; i < supervisor->options->workers; i++) {
		const struct slot *slot = &supervisor->slots[i];

		if (slot->pid > 0)
			handover->workers[handover->worker_count++] =
			    (struct handover_worker){slot->pid, slot->number};
	}
}

static void list_sockets(const struct supervisor *supervisor, struct handover *handover)
{
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

/* Fills `handover`; 0, or -1 with errno.  handover_fini() either way. */
static int describe(const struct supervisor *supervisor, struct handover *handover)
{
	*handover = (struct handover){
	    .lifeline = {supervisor->lifeline[0], supervisor->lifeline[1]},
	    .syslog = supervisor->options->syslog,
	    .syslog_socket = supervisor->options->syslog_socket,
	    .board = scoreboard_share(supervisor->board)};
	handover->workers = calloc((size_t)supervisor->options->workers, sizeof *handover->workers);
	handover->sockets = calloc(supervisor->listeners->count + 1, sizeof *handover->sockets);
	if (handover->workers == NULL || handover->sockets == NULL)
		return -1;
	list_workers(supervisor, handover);
	list_sockets(supervisor, handover);
	return 0;
}

/* Replaces this process by the new image; returns, with errno, only if that fails. */
static void become(const struct supervisor *supervisor, const struct handover *handover,
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
	supervisor->reload.state = RELOAD_NONE;
	log_error("not reloaded: %s: going on as before", why);
	notify_send("READY=1\nSTATUS=Not reloaded: %s", why);
}

static void exec_new(struct supervisor *supervisor)
{
	struct handover handover;
	sigset_t before;
	int error = ENOMEM;

	log_info("reloading: the new image takes over");
	log_stderr_close();
	/* what arrives from here on waits for the new image */
	sys_signals_block(&before);
	if (describe(supervisor, &handover) == 0) {
		become(supervisor, &handover, getpid());
		error = errno;
		handover_withdraw();
		if (handover_keep(&handover, false) != 0)
			log_warn("a descriptor may reach scripts: %s", strerror(errno));
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	handover_fini(&handover);
	go_on(supervisor, strerror(error));
}

/* ---- the trial ------------------------------------------------------------------------ */

static void on_trial_exited(struct loop_child *process, int status)
{
	struct supervisor *supervisor = CONTAINER_OF(process, struct supervisor, reload.trial);
	char why[96];

	loop_timer_clear(supervisor->loop, &supervisor->reload.trial_end);
	if (supervisor->state != SUPERVISOR_RUNNING)
		return;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		exec_new(supervisor);
		return;
	}
	if (WIFSIGNALED(status))
		snprintf(why, sizeof why, "a trial of the new start was killed by signal %d",
		    WTERMSIG(status));
	else
		snprintf(why, sizeof why, "a trial of the new start ended with status %d",
		    WEXITSTATUS(status));
	go_on(supervisor, why);
}

static void on_trial_end(struct loop_timer *timer)
{
	struct supervisor *supervisor = CONTAINER_OF(timer, struct supervisor, reload.trial_end);

	log_error("the trial of the new start takes too long: killed");
	kill(supervisor->reload.trial.pid, SIGKILL);
}

/* In the forked process. */
static void run_trial(struct supervisor *supervisor)
{
	struct handover handover;
	sigset_t none;

	if (describe(supervisor, &handover) == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		become(supervisor, &handover, getppid());
	}
	log_error("cannot execute %s: %s", supervisor->reload.program, strerror(errno));
	_exit(126);
}

static void start_trial(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;
	pid_t pid;

	if (reload->program == NULL) {
		go_on(supervisor, "the program's own path is not known: start it by an absolute path");
		return;
	}
	pid = fork();
	if (pid == 0)
		run_trial(supervisor);
	if (pid < 0) {
		go_on(supervisor, strerror(errno));
		return;
	}
	reload->state = RELOAD_TRIAL;
	loop_child_add(supervisor->loop, &reload->trial, pid, on_trial_exited);
	loop_timer_set(supervisor->loop, &reload->trial_end, TRIAL_TIME);
}

void reload_begin(struct supervisor *supervisor)
{
	struct reload *reload = &supervisor->reload;

	if (supervisor->state != SUPERVISOR_RUNNING || reload->state != RELOAD_NONE)
		return; /* what waits or is being tried will see what has changed */
	if (supervisor->veterans_alive > 0) {
		log_info("reload waits for %d workers from before the last one",
		    supervisor->veterans_alive);
		reload->state = RELOAD_WAITING;
		return;
	}
	log_info("reloading");
	notify_send("RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)loop_clock(supervisor->loop) * 1000);
	start_trial(supervisor);
}

void reload_resume(struct supervisor *supervisor)
{
	if (supervisor->reload.state != RELOAD_WAITING)
		return;
	supervisor->reload.state = RELOAD_NONE;
	reload_begin(supervisor);
}

/* ---- life ------------------------------------------------------------------------------ */

int reload_init(struct supervisor *supervisor, char **argv)
{
	struct reload *reload = &supervisor->reload;

	reload->argv = argv;
	/* a relative path stays good: nobody here changes the directory */
	reload->program = strchr(argv[0], '/') != NULL ? strdup(argv[0]) : search_path(argv[0]);
	loop_timer_init(&reload->trial_end, on_trial_end);
	return 0;
}

void reload_fini(struct supervisor *supervisor)
{
	free(supervisor->reload.program);
	supervisor->reload.program = NULL;
}
