/* SPDX-License-Identifier: ISC */
/*
 * left: the script's exit, its time limit, and the two limits on a stderr that is held.
 */
#include "cgi/left.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/list.h"
#include "base/log.h"

enum left_state {
	LEFT_RUNNING, /* its script runs, or ends after its TERM */
	LEFT_HELD,    /* its script has exited, another process holds its stderr */
	LEFT_GONE,    /* it is freed after this turn's events */
};

struct left {
	struct left_list *list;
	struct left *next, *prev;
	enum left_state state;
	bool answered;
	char *script; /* owned */
	pid_t pid;
	uint16_t id;
	struct child *child;     /* NULL: it has exited */
	struct body body;
	struct errlog errlog;
	struct loop_timer timer; /* --timeout; then LEFT_STDERR_TIME */
	struct loop_task free_task;
};

/* ---- the list ------------------------------------------------------------- */

void left_init(struct left_list *list, struct loop *loop, struct children *children)
{
	*list = (struct left_list){.loop = loop, .children = children};
}

static void left_free(struct left *left)
{
	struct left_list *list = left->list;

	LIST_REMOVE(list->first, left);
	loop_timer_clear(list->loop, &left->timer);
	loop_unpost(&left->free_task);
	child_drop(&left->child);
	body_fini(&left->body);
	errlog_fini(&left->errlog);
	free(left->script);
	free(left);
}

static void on_free(struct loop_task *task)
{
	left_free(CONTAINER_OF(task, struct left, free_task));
}

/* ---- its state ------------------------------------------------------------- */

static void set_state(struct left *left, enum left_state state)
{
	struct left_list *list = left->list;

	assert(state > left->state);
	if (left->state == LEFT_HELD)
		list->held--;
	if (state == LEFT_HELD)
		list->held++;
	else
		loop_post(list->loop, &left->free_task);
	left->state = state;
}

/* ---- its stderr ------------------------------------------------------------ */

static void close_stderr(struct left *left, const char *why)
{
	log_warn("%s[%ld]: request %u: %s: its standard error is closed, though a process that "
	    "it left behind still holds it: redirect it there (2>FILE)",
	    left->script, (long)left->pid, (unsigned)left->id, why);
	errlog_finish(&left->errlog);
	set_state(left, LEFT_GONE);
}

/* The one that has been held for the longest, `newest` if there is no other. */
static struct left *find_oldest(struct left *newest)
{
	struct left *oldest = newest;

	for (struct left *left = newest->list->first; left != NULL; left = left->next)
		if (left->state == LEFT_HELD && left->timer.when < oldest->timer.when)
			oldest = left;
	return oldest;
}

/* Its script has exited: it is done, unless another process holds its stderr. */
static void hold_stderr(struct left *left)
{
	struct left_list *list = left->list;
	char why[64];

	if (left->errlog.fd < 0) {
		set_state(left, LEFT_GONE);
		return;
	}
	set_state(left, LEFT_HELD);
	loop_timer_set(list->loop, &left->timer, LEFT_STDERR_TIME);
	if (list->held <= LEFT_STDERR_MAX)
		return;
	snprintf(why, sizeof why, "more than %d such scripts in this worker", LEFT_STDERR_MAX);
	close_stderr(find_oldest(left), why);
}

static void on_stderr(struct loop_watch *watch, unsigned events)
{
	struct left *left = CONTAINER_OF(watch, struct left, errlog.pipe);

	(void)events;
	errlog_read(&left->errlog);
	if (left->state == LEFT_HELD && left->errlog.fd < 0)
		set_state(left, LEFT_GONE);
}

/* ---- its script ------------------------------------------------------------ */

/* Logs a failure after the response, unless the script was stopped or its response cut. */
static void report_exit(const struct left *left, bool stopped, int status)
{
	const struct children *children = left->list->children;
	char how[64];

	if (status == 0 || !left->answered || stopped)
		return;
	if (WIFSIGNALED(status))
		snprintf(how, sizeof how, "killed by signal %d", WTERMSIG(status));
	else
		snprintf(how, sizeof how, "exit status %d", WEXITSTATUS(status));
	tally_add(scoreboard_tally(children->board, children->worker), TALLY_FAILED, 1);
	log_warn("%s[%ld]: request %u: %s, after the end of its response", left->script,
	    (long)left->pid, (unsigned)left->id, how);
}

static void on_exited(void *context, int status)
{
	struct left *left = context;

	report_exit(left, child_is_stopped(left->child), status);
	left->child = NULL;
	loop_timer_clear(left->list->loop, &left->timer);
	body_drop(&left->body);
	(void)errlog_catch_up(&left->errlog);
	hold_stderr(left);
}

static void stop_script(struct left *left)
{
	const struct children *children = left->list->children;

	if (child_is_stopped(left->child))
		return;
	tally_add(scoreboard_tally(children->board, children->worker), TALLY_TIMEOUTS, 1);
	log_warn("%s[%ld]: request %u: longer than --timeout: stopped, after the end of its response",
	    left->script, (long)left->pid, (unsigned)left->id);
	child_terminate(left->child);
}

static void on_timer(struct loop_timer *timer)
{
	struct left *left = CONTAINER_OF(timer, struct left, timer);

	switch (left->state) {
	case LEFT_RUNNING:
		stop_script(left);
		return;
	case LEFT_HELD:
		close_stderr(left, "24 hours after its exit");
		return;
	case LEFT_GONE: /* earlier in this turn */
		return;
	}
}

static void on_body_moved(struct body *body)
{
	(void)body; /* no client waits for room any more */
}

/* ---- life ------------------------------------------------------------------ */

static void adopt_streams(struct left *left, const struct left_script *script)
{
	if (script->body != NULL)
		body_hand_over(script->body, &left->body, on_body_moved);
	else
		body_init(&left->body, left->list->loop, 0, "", on_body_moved);
	if (errlog_hand_over(script->errlog, &left->errlog, left->script, on_stderr) == 0)
		return;
	log_warn("%s[%ld]: request %u: stderr cannot be watched: %s: closed", left->script,
	    (long)left->pid, (unsigned)left->id, strerror(errno));
	errlog_finish(&left->errlog);
}

/* A script that cannot be followed, for want of memory, must not go on running. */
static void refuse(const struct left_script *script)
{
	struct child *child = script->child;

	log_error("%s[%ld]: request %u: no memory to follow what is left of it: stopped",
	    script->script, (long)script->pid, (unsigned)script->id);
	if (child != NULL)
		child_terminate(child);
	child_drop(&child);
	free(script->script);
}

void left_adopt(struct left_list *list, const struct left_script *script)
{
	struct left *left = calloc(1, sizeof *left);

	if (left == NULL) {
		refuse(script);
		return;
	}
	*left = (struct left){.list = list,
	    .answered = script->answered,
	    .script = script->script,
	    .pid = script->pid,
	    .id = script->id,
	    .child = script->child};
	loop_timer_init(&left->timer, on_timer);
	loop_task_init(&left->free_task, on_free);
	LIST_PREPEND(list->first, left);
	adopt_streams(left, script);
	if (left->child == NULL) {
		hold_stderr(left);
		return;
	}
	child_leave(left->child, on_exited, left);
	if (script->time >= 0)
		loop_timer_set(list->loop, &left->timer, script->time);
}

void left_fini(struct left_list *list)
{
	struct left *next;

	for (struct left *left = list->first; left != NULL; left = next) {
		next = left->next;
		if (left->state == LEFT_HELD)
			close_stderr(left, "this worker ends");
		left_free(left);
	}
}
