/* SPDX-License-Identifier: ISC */
/*
 * child: pipes, spawning, and the way from TERM through KILL to being reaped.
 *
 *   STARTING --begins--> RUNNING
 *      | TERM
 *   CANCELLED --begins--> DYING        both: --withdrawn--> GONE, freed
 *
 *   RUNNING --exit--> GONE, freed
 *      | TERM
 *   DYING --exit, group empty--> STOPPED, freed
 *      |  \--exit, group not empty--> ORPHANED --KILL after the delay--> freed
 *      | KILL after the delay
 *   KILLED --exit--> STOPPED, freed
 *      | no exit reported for LAST_WAIT
 *   STUCK (its slot is released, its owner told, it is not waited for) --exit--> freed
 */
#include "cgi/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"

enum {
	ORPHAN_LOOK = 50, /* ms between checks of a group whose script has exited */
	LAST_WAIT = 1000, /* ms that a process may take to end after KILL */
};

enum child_state {
	CHILD_STARTING,  /* another process is to start it */
	CHILD_RUNNING,
	CHILD_GONE,      /* it has ended by itself, or will not be started */

	/* from here on it has been sent TERM, or will be as soon as it begins */
	CHILD_CANCELLED, /* as STARTING */
	CHILD_DYING,
	CHILD_KILLED,
	CHILD_STUCK,
	CHILD_ORPHANED,  /* it has ended, its group has not */
	CHILD_STOPPED,   /* it has ended */
};

union child_origin {
	int64_t begun;           /* elsewhere: us, clock_us(): it did not begin later */
	struct child_failure *failure; /* apart: shared with it until its exec */
};

struct child {
	struct children *family;
	struct child *next, *prev;
	enum child_state state;
	int slot; /* -1 once given back */
	int noted; /* its group in the scoreboard, killed if this worker dies; -1: not there */
	bool elsewhere; /* another process is its parent: has an origin */
	bool apart; /* it was not waited for until its exec: has an origin */
	struct loop_child process;
	struct loop_timer kill;
	int64_t kill_at; /* DYING, ORPHANED: loop time of KILL */
	struct loop_task free_task;
	child_exit_fn *exited; /* NULL once dropped or called */
	void *context;
	union child_origin origin[];
};

static bool may_follow(enum child_state from, enum child_state to)
{
	switch (from) {
	case CHILD_STARTING:
		return to == CHILD_CANCELLED || to == CHILD_RUNNING || to == CHILD_GONE;
	case CHILD_CANCELLED:
		return to == CHILD_RUNNING || to == CHILD_GONE;
	case CHILD_RUNNING:
		return to == CHILD_DYING || to == CHILD_GONE;
	case CHILD_DYING:
		return to == CHILD_KILLED || to == CHILD_ORPHANED || to == CHILD_STOPPED;
	case CHILD_KILLED:
		return to == CHILD_STUCK || to == CHILD_STOPPED;
	case CHILD_STUCK:
	case CHILD_ORPHANED:
	case CHILD_STOPPED:
	case CHILD_GONE:
		return false;
	}
	return false;
}

static void set_state(struct child *child, enum child_state state)
{
	assert(may_follow(child->state, state));
	child->state = state;
}

int children_init(struct children *children, struct loop *loop, struct scoreboard *board,
    int64_t kill_delay)
{
	*children = (struct children){.loop = loop, .board = board, .kill_delay = kill_delay};
	children->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return children->null_fd < 0 ? -1 : 0;
}

/* There is one script fewer to wait for. */
static void leave_count(struct children *family)
{
	family->count--;
	if (family->count == 0 && family->emptied != NULL)
		family->emptied(family);
}

static void forget(struct child *child)
{
	if (child != NULL && child->apart && child->origin->failure != NULL)
		sys_shared_free(child->origin->failure, sizeof *child->origin->failure);
	free(child);
}

static void child_free(struct child *child)
{
	struct children *family = child->family;
	bool counted = child->state != CHILD_STUCK;

	LIST_REMOVE(family->first, child);
	loop_timer_clear(family->loop, &child->kill);
	loop_unpost(&child->free_task);
	if (child->noted >= 0)
		scoreboard_forget_group(family->board, child->noted);
	forget(child);
	if (counted)
		leave_count(family);
}

static void on_free(struct loop_task *task)
{
	child_free(CONTAINER_OF(task, struct child, free_task));
}

/* Shows in the scoreboard what the script does now. */
static void show(const struct child *child, enum scoreboard_state state)
{
	if (child->slot >= 0)
		scoreboard_set_state(child->family->board, child->slot, state);
}

static void give_slot_back(struct child *child)
{
	if (child->slot >= 0)
		scoreboard_release(child->family->board, child->slot);
	child->slot = -1;
}

/* Whether it has ended, its group too: its pid may then be another process's. */
static bool is_over(const struct child *child)
{
	return child->state == CHILD_GONE || child->state == CHILD_STOPPED;
}

/* Whether the script has been reaped. */
static bool is_reaped(const struct child *child)
{
	return child->state == CHILD_ORPHANED || is_over(child);
}

/*
 * Whether its pid is its own, or its group's.  While any process is in the group the system does
 * not give the number to a new one: if there is one after the script has ended, it is another's.
 * A script that another process reaps may have ended without our knowing it yet.
 */
static bool owns_pid(const struct child *child)
{
	pid_t pid = child->process.pid;

	if (child_is_starting(child)) /* it has none: 0 would be our own group */
		return false;
	if (is_reaped(child))
		return !sys_is_running(pid);
	return !child->elsewhere ||
	    (sys_session_of(pid) == getsid(0) && !sys_is_younger(pid, child->origin->begun));
}

/* Signals the script's group, and the script too if it has left that group.  0, or an errno. */
static int signal_all(const struct child *child, int signo)
{
	pid_t pid = child->process.pid;
	int error;

	if (!owns_pid(child))
		return ESRCH;
	error = kill(-pid, signo) == 0 ? 0 : errno;
	if (!is_reaped(child) && getpgid(pid) != pid)
		error = kill(pid, signo) == 0 ? 0 : errno;
	return error;
}

/*
 * Whether any process is left in the group of a script that has ended.  EPERM: there are some,
 * but they run as another user.
 */
static bool group_is_alive(const struct child *child)
{
	pid_t pid = child->process.pid;

	return (kill(-pid, 0) == 0 || errno == EPERM) && !sys_is_running(pid);
}

/* The end of a group is not reported: it is polled until the delay is over. */
static void look_again(struct child *child)
{
	int64_t left = child->kill_at - loop_now(child->family->loop);

	loop_timer_set(child->family->loop, &child->kill, left < ORPHAN_LOOK ? left : ORPHAN_LOOK);
}

/* "/srv/x.cgi[4711]", or "script[4711]" if its path is not known. */
static const char *name_of(const struct child *child, char *text, size_t size)
{
	struct scoreboard_script script;

	if (child->slot < 0 ||
	    !scoreboard_script(child->family->board, child->slot, &script))
		snprintf(script.info.script, sizeof script.info.script, "script");
	snprintf(text, size, "%s[%ld]", script.info.script, (long)child->process.pid);
	return text;
}

static void log_survivors(const struct child *child)
{
	char name[256];

	log_warn("%s: processes that it started in its group as another user are left running: "
		 "SIGKILL: %s",
	    name_of(child, name, sizeof name), strerror(EPERM));
}

static void on_exited(struct loop_child *process, int status)
{
	struct child *child = CONTAINER_OF(process, struct child, process);
	struct children *family = child->family;
	child_exit_fn *exited = child->exited;

	if (child->state == CHILD_KILLED && kill(-process->pid, 0) != 0 && errno == EPERM &&
	    !sys_is_running(process->pid))
		log_survivors(child);
	if (child->state == CHILD_DYING && group_is_alive(child)) {
		set_state(child, CHILD_ORPHANED);
		child->noted = scoreboard_set_group(family->board, family->worker, process->pid);
		look_again(child);
	} else if (child->state != CHILD_STUCK) {
		set_state(child, child_is_stopped(child) ? CHILD_STOPPED : CHILD_GONE);
	}
	give_slot_back(child);
	child->exited = NULL;
	if (child->state != CHILD_ORPHANED)
		loop_post(family->loop, &child->free_task);
	if (exited != NULL)
		exited(child->context, status);
}

static int send_kill(struct child *child)
{
	log_debug("script[%ld]: still there after TERM: KILL", (long)child->process.pid);
	tally_add(scoreboard_tally(child->family->board, child->family->worker), TALLY_KILLS, 1);
	return signal_all(child, SIGKILL);
}

/* The script has exited: KILL for the rest of its group when the delay is over. */
static void look_after_group(struct child *child)
{
	bool alive = group_is_alive(child);

	if (alive && loop_now(child->family->loop) < child->kill_at) {
		look_again(child);
		return;
	}
	if (alive && send_kill(child) == EPERM)
		log_survivors(child);
	loop_post(child->family->loop, &child->free_task);
}

/*
 * KILL had no effect, or nobody reports that it had: its slot goes to others, and it is not waited
 * for any more.  Its owner is told that it has ended: scripts without a slot are not limited in
 * number, and nothing may be kept for them.
 */
static void give_up(struct child *child)
{
	int error = signal_all(child, SIGKILL);
	child_exit_fn *exited = child->exited;
	char name[256];

	if (error != ESRCH && sys_is_running(child->process.pid))
		log_warn("%s: still runs after SIGKILL (%s): left running, and its slot is given back",
		    name_of(child, name, sizeof name),
		    error == 0 ? "it does not end" : strerror(error));
	else if (error == EPERM)
		log_survivors(child);
	set_state(child, CHILD_STUCK);
	child->exited = NULL;
	give_slot_back(child);
	if (exited != NULL)
		exited(child->context, SIGKILL);
	leave_count(child->family);
}

static void on_kill(struct loop_timer *timer)
{
	struct child *child = CONTAINER_OF(timer, struct child, kill);

	switch (child->state) {
	case CHILD_DYING:
		(void)send_kill(child);
		set_state(child, CHILD_KILLED);
		loop_timer_set(child->family->loop, timer, LAST_WAIT);
		return;
	case CHILD_KILLED:
		give_up(child);
		return;
	case CHILD_ORPHANED:
		look_after_group(child);
		return;
	case CHILD_STARTING:
	case CHILD_CANCELLED:
	case CHILD_RUNNING:
	case CHILD_STUCK:
	case CHILD_STOPPED:
	case CHILD_GONE:
		return;
	}
}

void child_terminate(struct child *child)
{
	if (child->state == CHILD_STARTING)
		set_state(child, CHILD_CANCELLED);
	if (child->state != CHILD_RUNNING)
		return;
	set_state(child, CHILD_DYING);
	show(child, SCOREBOARD_STOPPING);
	(void)signal_all(child, SIGTERM); /* if that fails, KILL follows and reports it */
	child->kill_at = loop_now(child->family->loop) + child->family->kill_delay;
	loop_timer_set(child->family->loop, &child->kill, child->family->kill_delay);
}

void children_terminate(struct children *children)
{
	for (struct child *child = children->first; child != NULL; child = child->next)
		child_terminate(child);
}

void children_fini(struct children *children)
{
	struct child *next;

	children->emptied = NULL;
	for (struct child *child = children->first; child != NULL; child = next) {
		char name[256];
		int error = is_over(child) ? 0 : signal_all(child, SIGKILL);

		next = child->next;
		if (error == EPERM && child->state != CHILD_STUCK)
			log_warn("%s: SIGKILL: %s: left running",
			    name_of(child, name, sizeof name), strerror(error));
		if (!is_reaped(child) && !child->elsewhere)
			loop_child_remove(children->loop, &child->process);
		give_slot_back(child);
		child_free(child);
	}
	if (children->null_fd >= 0)
		close(children->null_fd);
}

/* ---- starting ---------------------------------------------------------------- */

static void close_ends(const int ends[3], int keep)
{
	for (int i = 0; i < 3; i++)
		if (ends[i] != keep)
			close_keeping_errno(ends[i]);
}

static int open_stream(struct child_streams *streams, int number)
{
	enum sys_pipe_end end = number == STDIN_FILENO ? SYS_PIPE_WRITE : SYS_PIPE_READ;
	int fds[2];

	if (sys_pipe(fds, end) != 0)
		return -1;
	streams->ours[number] = fds[end];
	streams->theirs[number] = fds[1 - end];
	return 0;
}

static int open_streams(struct child_streams *streams, const struct child_plan *plan, int null_fd)
{
	const int wanted[3] = {plan->wants_stdin, 1, plan->wants_stderr};

	for (int i = 0; i < 3; i++) {
		streams->ours[i] = -1;
		streams->theirs[i] = null_fd;
	}
	for (int i = 0; i < 3; i++) {
		if (wanted[i] && open_stream(streams, i) != 0) {
			close_ends(streams->ours, -1);
			close_ends(streams->theirs, null_fd);
			return -1;
		}
	}
	return 0;
}

static struct child *child_new(struct children *children, const struct child_plan *plan,
    bool elsewhere)
{
	bool with_origin = elsewhere || plan->apart;
	struct child *child =
	    calloc(1, sizeof *child + (with_origin ? sizeof *child->origin : 0));

	if (child == NULL)
		return NULL;
	*child = (struct child){.family = children,
	    .state = elsewhere ? CHILD_STARTING : CHILD_RUNNING,
	    .slot = plan->slot,
	    .noted = -1,
	    .elsewhere = elsewhere,
	    .apart = plan->apart && !elsewhere};
	loop_timer_init(&child->kill, on_kill);
	loop_task_init(&child->free_task, on_free);
	return child;
}

static void join_family(struct child *child)
{
	struct children *family = child->family;

	LIST_PREPEND(family->first, child);
	family->count++;
}

/* In the script's process. */
static void explain(void *context, const char *path, int error)
{
	struct child_failure *failure = context;

	exec_fault_describe(path, error, failure->why);
}

/* As sys_spawn(), but fills `fault` only if not even a process could be started. */
static pid_t spawn_apart(struct child *child, const struct sys_program *program,
    struct sys_fault *fault)
{
	struct child_failure *shared = sys_shared_alloc(sizeof *shared);
	pid_t pid;

	if (shared == NULL) {
		*fault = (struct sys_fault){SYS_STEP_FORK, errno};
		return -1;
	}
	child->origin->failure = shared;
	pid = sys_spawn_apart(program, &shared->fault, explain, shared);
	if (pid < 0)
		*fault = shared->fault;
	return pid;
}

static pid_t run(struct child *child, const struct child_plan *plan,
    const struct child_streams *streams, struct sys_fault *fault)
{
	const struct children *children = child->family;
	struct sys_program program = {
	    .path = plan->argv[0],
	    .argv = plan->argv,
	    .envp = plan->envp,
	    .dir = plan->dir,
	    .stdio = {streams->theirs[0], streams->theirs[1], streams->theirs[2]},
	    .limits = children->limits,
	    .limit_count = children->limit_count,
	    .pid_cell = scoreboard_pid(children->board, plan->slot),
	};

	return child->apart ? spawn_apart(child, &program, fault) : sys_spawn(&program, fault);
}

struct child *child_spawn(struct children *children, const struct child_plan *plan,
    struct child_pipes *pipes, struct sys_fault *fault, child_exit_fn *exited, void *context)
{
	struct child *child = child_new(children, plan, false);
	struct child_streams streams;
	pid_t pid;

	if (child == NULL || open_streams(&streams, plan, children->null_fd) != 0) {
		*fault = (struct sys_fault){SYS_STEP_FORK, errno};
		forget(child);
		return NULL;
	}
	pid = run(child, plan, &streams, fault);
	close_ends(streams.theirs, children->null_fd);
	if (pid < 0) {
		close_ends(streams.ours, -1);
		forget(child);
		return NULL;
	}
	child->exited = exited;
	child->context = context;
	join_family(child);
	show(child, SCOREBOARD_RUNNING);
	loop_child_add(children->loop, &child->process, pid, on_exited);
	*pipes = (struct child_pipes){streams.ours[0], streams.ours[1], streams.ours[2]};
	return child;
}

/* ---- started by another process ------------------------------------------------- */

struct child *child_expect(struct children *children, const struct child_plan *plan,
    struct child_streams *streams, child_exit_fn *exited, void *context)
{
	struct child *child = child_new(children, plan, true);

	if (child == NULL || open_streams(streams, plan, children->null_fd) != 0) {
		free(child);
		return NULL;
	}
	child->exited = exited;
	child->context = context;
	join_family(child);
	return child;
}

void child_close_streams(const struct children *children, const int ends[3])
{
	for (int i = 0; i < 3; i++)
		if (ends[i] >= 0 && ends[i] != children->null_fd)
			close_keeping_errno(ends[i]);
}

bool child_begin(struct child *child, pid_t pid, int64_t now)
{
	bool cancelled = child->state == CHILD_CANCELLED;

	child->process.pid = pid;
	child->origin->begun = now;
	set_state(child, CHILD_RUNNING);
	if (child->slot >= 0)
		atomic_store(scoreboard_pid(child->family->board, child->slot), (int)pid);
	show(child, SCOREBOARD_RUNNING);
	if (cancelled)
		child_terminate(child);
	return child->exited != NULL;
}

bool child_withdraw(struct child *child)
{
	bool owned = child->exited != NULL;

	if (owned)
		child->slot = -1;
	give_slot_back(child);
	set_state(child, CHILD_GONE);
	loop_post(child->family->loop, &child->free_task);
	return owned;
}

void child_ended(struct child *child, int status)
{
	on_exited(&child->process, status);
}

bool child_is_starting(const struct child *child)
{
	return child->state == CHILD_STARTING || child->state == CHILD_CANCELLED;
}

/* ---- its life as others see it ---------------------------------------------------- */

pid_t child_pid(const struct child *child)
{
	return child->process.pid;
}

const struct child_failure *child_failure(const struct child *child)
{
	return child->apart && child->origin->failure->fault.error != 0 ? child->origin->failure
									: NULL;
}

void child_answers(struct child *child)
{
	if (child != NULL && child->state == CHILD_RUNNING)
		show(child, SCOREBOARD_ANSWERING);
}

bool child_is_stopped(const struct child *child)
{
	return child->state >= CHILD_CANCELLED;
}

void child_leave(struct child *child, child_exit_fn *exited, void *context)
{
	child->exited = exited;
	child->context = context;
	if (child->state == CHILD_RUNNING)
		show(child, SCOREBOARD_LEFT);
}

void child_drop(struct child **child)
{
	if (*child != NULL)
		child_leave(*child, NULL, NULL);
	*child = NULL;
}
