/* SPDX-License-Identifier: ISC */
/*
 * preload_spawn: the start of a preloader's processes, and what they have of memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "base/packet.h"
#include "cgi/preload_private.h"

const struct preload_times preload_times = {.answer = 1000, .ready = 60 * 1000, .silence = 5000};

/* ---- memory ----------------------------------------------------------------------------- */

static void process_free(struct preload_process *process)
{
	struct preload *preload = preload_of(process);

	LIST_REMOVE(preload->processes, process);
	if (process->noted >= 0)
		atomic_store(scoreboard_preloader(preload->parts.children->board,
		    preload->parts.children->worker, process->noted), 0);
	loop_timer_clear(preload_loop(preload), &process->timer);
	loop_timer_clear(preload_loop(preload), &process->look);
	loop_unpost(&process->free_task);
	errlog_fini(&process->errlog);
	free(process->names);
	free(process);
}

static void on_free(struct loop_task *task)
{
	process_free(CONTAINER_OF(task, struct preload_process, free_task));
}

/* A place in the scoreboard for its pid, which it writes itself; -1 if there is none. */
static int find_place(const struct preload *preload)
{
	const struct children *children = preload->parts.children;

	for (int at = 0; at < SCOREBOARD_PRELOADERS; at++)
		if (atomic_load(scoreboard_preloader(children->board, children->worker, at)) == 0)
			return at;
	return -1;
}

static struct preload_process *process_new(struct preloader *preloader)
{
	struct preload *preload = preloader->preload;
	struct preload_process *process = calloc(1, sizeof *process);

	if (process == NULL)
		return NULL;
	*process = (struct preload_process){.preloader = preloader,
	    .fd = -1,
	    .noted = find_place(preload),
	    .begun = loop_now(preload_loop(preload))};
	preload_process_init(process);
	loop_task_init(&process->free_task, on_free);
	errlog_init(&process->errlog, preload_loop(preload), NULL);
	LIST_PREPEND(preload->processes, process);
	return process;
}

/* ---- start ------------------------------------------------------------------------------ */

/* Its limit of open files is that of scripts; other limits are for them only. */
static pid_t run(const struct preload_process *process, int socket, int errors,
    struct sys_fault *fault)
{
	struct preload *preload = preload_of(process);
	const struct children *children = preload->parts.children;
	const struct sys_program program = {
	    .path = process->preloader->argv[0],
	    .argv = process->preloader->argv,
	    .envp = preload->envp,
	    .dir = "/",
	    .stdio = {socket, children->null_fd, errors},
	    .limits = children->limits,
	    .limit_count =
		children->limit_count > 0 && children->limits[0].resource == RLIMIT_NOFILE ? 1 : 0,
	    .pid_cell = process->noted < 0
		? NULL
		: scoreboard_preloader(children->board, children->worker, process->noted),
	};

	return sys_spawn(&program, fault);
}

/* Runs its program; 0, or -1 with `fault`. */
static int launch(struct preload_process *process, struct sys_fault *fault)
{
	struct loop *loop = preload_loop(preload_of(process));
	int ends[2] = {-1, -1};
	int errors[2] = {-1, -1};
	pid_t pid = -1;

	*fault = (struct sys_fault){.step = SYS_STEP_FORK};
	if (packet_pair(ends) != 0 || sys_pipe(errors, SYS_PIPE_READ) != 0 ||
	    loop_watch(loop, &process->socket, ends[0], LOOP_IN) != 0)
		fault->error = errno;
	else
		pid = run(process, ends[1], errors[1], fault);
	close_keeping_errno(ends[1]);
	close_keeping_errno(errors[1]);
	if (pid < 0) {
		loop_unwatch(loop, &process->socket);
		close_keeping_errno(ends[0]);
		close_keeping_errno(errors[0]);
		return -1;
	}
	process->fd = ends[0];
	preload_process_adopt(process, pid);
	errlog_attach(&process->errlog, errors[0], process->preloader->interpreter, pid, 0);
	return 0;
}

/* Whether it may pass, unlike a program that cannot be executed. */
static bool is_shortage(const struct sys_fault *fault)
{
	return sys_is_shortage(fault->error) ||
	    (fault->step == SYS_STEP_FORK && fault->error != ENOTSUP);
}

static void preloader_spawn(struct preloader *preloader)
{
	struct preload_process *process = process_new(preloader);
	struct sys_fault fault = {.error = ENOMEM};

	preloader_set_state(preloader, PRELOADER_ON);
	if (process != NULL && launch(process, &fault) == 0) {
		preloader->current = process;
		return;
	}
	if (process != NULL)
		process_free(process);
	log_warn("preloader for %s: %s cannot be started: %s", preloader->interpreter,
	    preloader->argv[0], strerror(fault.error));
	if (is_shortage(&fault) || !preloader_fails(preloader))
		preloader_schedule(preloader, 0);
}

static void on_respawn(struct loop_timer *timer)
{
	struct preloader *preloader = CONTAINER_OF(timer, struct preloader, respawn);
	const struct children *children = preloader->preload->parts.children;

	tally_add(scoreboard_tally(children->board, children->worker), TALLY_PRELOADERS, 1);
	preloader_spawn(preloader);
}

void preloader_start(struct preloader *preloader)
{
	loop_timer_init(&preloader->respawn, on_respawn);
	preloader_spawn(preloader);
}

/* ---- all of them ------------------------------------------------------------------------ */

void preload_processes_stop(struct preload *preload)
{
	for (size_t i = 0; i < preload->count; i++)
		loop_timer_clear(preload_loop(preload), &preload->preloaders[i].respawn);
	for (struct preload_process *at = preload->processes; at != NULL; at = at->next)
		if (preload_process_is_heard(at))
			preload_process_kill(at);
	loop_timer_clear(preload_loop(preload), &preload->poll);
}

void preload_processes_free(struct preload *preload)
{
	struct preload_item *next_item;
	struct preload_process *next;

	for (struct preload_item *item = preload->orphans; item != NULL; item = next_item) {
		next_item = item->next;
		preload_item_free(item);
	}
	for (struct preload_process *process = preload->processes; process != NULL; process = next) {
		next = process->next;
		if (process->state != PRELOAD_GONE)
			loop_child_remove(preload_loop(preload), &process->child);
		process_free(process);
	}
}
