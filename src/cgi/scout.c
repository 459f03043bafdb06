/* SPDX-License-Identifier: ISC */
/*
 * scout: forking them, their number, and their end.
 *
 *   WAITING --there may be one more--> LOOKING --exit--> freed
 *      | forgotten: freed                 | forgotten: KILL
 *                                      FORGOTTEN --exit--> freed
 */
#include "cgi/scout.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/list.h"
#include "base/sys.h"

enum scout_state { SCOUT_WAITING, SCOUT_LOOKING, SCOUT_FORGOTTEN };

struct scout {
	struct scouts *scouts;
	struct scout *next, *prev;
	enum scout_state state;
	struct scout_plan plan;
	void *findings; /* shared with its process; NULL before that */
	struct loop_child process;
};

static void set_state(struct scout *scout, enum scout_state state)
{
	assert(state == scout->state + 1);
	scout->state = state;
}

static void scout_free(struct scout *scout)
{
	struct scouts *scouts = scout->scouts;

	if (scout->state == SCOUT_WAITING)
		LIST2_REMOVE(scouts->first, scouts->last, scout);
	else
		LIST_REMOVE(scouts->sent, scout);
	if (scout->findings != NULL)
		sys_shared_free(scout->findings, scout->plan.size);
	free(scout);
}

static bool may_be_sent(const struct scouts *scouts, dev_t device)
{
	int there = 0, all = 0;

	for (const struct scout *scout = scouts->sent; scout != NULL; scout = scout->next) {
		all++;
		there += scout->plan.device == device;
	}
	return there < SCOUTS_A_DEVICE && all < SCOUTS_MAX;
}

static void on_exit_of(struct loop_child *process, int status);

/* 0, or -1 with errno.  A copy of a client's socket would stay open for as long as it hangs. */
static int start(struct scout *scout)
{
	struct scouts *scouts = scout->scouts;
	pid_t parent = getpid();
	pid_t pid;

	scout->findings = sys_shared_alloc(scout->plan.size);
	pid = scout->findings == NULL ? -1 : fork();
	if (pid < 0)
		return -1;
	if (pid == 0) {
		sys_close_from(0);
		sys_die_with_parent(parent);
		scout->plan.look(scout->plan.context, scout->findings);
		_exit(0);
	}
	LIST2_REMOVE(scouts->first, scouts->last, scout);
	LIST_PREPEND(scouts->sent, scout);
	set_state(scout, SCOUT_LOOKING);
	loop_child_add(scouts->loop, &scout->process, pid, on_exit_of);
	return 0;
}

/* The oldest that waits and may be sent; NULL: none. */
static struct scout *next_of(const struct scouts *scouts)
{
	for (struct scout *scout = scouts->first; scout != NULL; scout = scout->next)
		if (may_be_sent(scouts, scout->plan.device))
			return scout;
	return NULL;
}

/* Its owner may send another one meanwhile, or forget: this one is not found any more. */
static void report(struct scout *scout, const void *findings, int error)
{
	struct scout_plan plan = scout->plan;

	scout->plan.context = NULL;
	if (scout->state != SCOUT_FORGOTTEN)
		plan.ended(plan.context, findings, error);
	scout_free(scout);
}

static void on_exit_of(struct loop_child *process, int status)
{
	struct scout *scout = CONTAINER_OF(process, struct scout, process);
	struct scouts *scouts = scout->scouts;

	report(scout, status == 0 ? scout->findings : NULL, 0);
	while ((scout = next_of(scouts)) != NULL && start(scout) != 0)
		report(scout, NULL, errno);
}

void scouts_init(struct scouts *scouts, struct loop *loop)
{
	*scouts = (struct scouts){.loop = loop};
}

void scouts_fini(struct scouts *scouts)
{
	struct scout *next;

	for (struct scout *scout = scouts->first; scout != NULL; scout = next) {
		next = scout->next;
		scout_free(scout);
	}
	for (struct scout *scout = scouts->sent; scout != NULL; scout = next) {
		next = scout->next;
		(void)kill(scout->process.pid, SIGKILL);
		loop_child_remove(scouts->loop, &scout->process);
		scout_free(scout);
	}
}

int scouts_send(struct scouts *scouts, const struct scout_plan *plan)
{
	struct scout *scout = calloc(1, sizeof *scout);
	int error;

	if (scout == NULL)
		return -1;
	scout->scouts = scouts;
	scout->plan = *plan;
	LIST2_APPEND(scouts->first, scouts->last, scout);
	/* older ones that wait for the same file system would have been sent before */
	if (!may_be_sent(scouts, plan->device) || start(scout) == 0)
		return 0;
	error = errno;
	scout_free(scout);
	errno = error;
	return -1;
}

static struct scout *find(struct scout *scout, const void *context)
{
	while (scout != NULL && (scout->plan.context != context || scout->state == SCOUT_FORGOTTEN))
		scout = scout->next;
	return scout;
}

void scouts_forget(struct scouts *scouts, const void *context)
{
	struct scout *scout = find(scouts->sent, context);

	if (scout != NULL) {
		set_state(scout, SCOUT_FORGOTTEN);
		(void)kill(scout->process.pid, SIGKILL);
		return;
	}
	scout = find(scouts->first, context);
	if (scout != NULL)
		scout_free(scout);
}
