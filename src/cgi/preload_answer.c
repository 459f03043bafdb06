/* SPDX-License-Identifier: ISC */
/*
 * preload_answer: what a preloader says, and what follows from it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/packet.h"
#include "cgi/preload_private.h"

/* From here on it starts nothing; it reports the exits of its scripts, and ends. */
static void retire(struct preload_process *process)
{
	if (process->state == PRELOAD_RETIRING)
		return;
	preload_process_set_state(process, PRELOAD_RETIRING);
	log_info("preloader for %s (pid %ld): a file that it has loaded has changed: a new one is "
		 "started",
	    process->preloader->interpreter, (long)process->child.pid);
	/* if it cannot be told, it is ended after the last of its scripts */
	if (packet_send(process->fd, preload_message_retire, PRELOAD_RETIRE_LEN, NULL, 0) != 0)
		log_debug("a preloader cannot be told to retire: %s", strerror(errno));
	preload_process_give_place(process);
}

/* ---- each message: false if it is not one that may come now ----------------------------- */

static bool on_ready(struct preload_process *process, const struct preload_message *message,
    const char *end)
{
	size_t size = (size_t)(end - message->names);

	if (process->state != PRELOAD_STARTING)
		return false;
	process->names = malloc(size + 1);
	if (process->names == NULL)
		return false;
	memcpy(process->names, message->names, size);
	process->name_count = message->name_count;
	preload_process_set_state(process, PRELOAD_READY);
	loop_timer_clear(preload_loop(preload_of(process)), &process->timer);
	log_debug("preloader for %s (pid %ld): ready", process->preloader->interpreter,
	    (long)process->child.pid);
	return true;
}

/*
 * The kernel does not give the number of a process to another one: an older script has ended.
 * child.c leaves the new one alone.
 */
static bool end_namesakes(struct preload_process *process, pid_t pid)
{
	struct preload *preload = preload_of(process);
	struct preload_item *item = preload_item_find_pid(process->running, pid);

	if (item != NULL)
		return false;
	item = preload_item_find_pid(preload->orphans, pid);
	if (item != NULL)
		preload_item_end(&preload->orphans, item, 0);
	for (struct preload_process *at = preload->processes; at != NULL; at = at->next) {
		item = preload_item_find_pid(at->running, pid);
		if (item != NULL)
			preload_item_end(&at->running, item, 0);
	}
	return true;
}

/*
 * Whether `pid` can be a script: it leads a group in our session, or has ended and been reaped
 * by now, of which we are told next.
 */
static bool is_script(const struct preload *preload, pid_t pid)
{
	pid_t session = getsid(pid);
	pid_t group = session < 0 ? -1 : getpgid(pid); /* it may be reaped between the two */

	if (pid <= 1) /* as -pid: more than a group */
		return false;
	if (session < 0 || group < 0)
		return errno == ESRCH; /* some systems do not tell about other sessions */
	return session == preload->session && group == pid;
}

/*
 * A child says that it runs its script.  If the kernel knows which process says so, that is the
 * script, whatever number it gives; the preloader itself is none.
 */
static bool on_started(struct preload_process *process, const struct preload_message *message,
    pid_t sender)
{
	struct preload_item *item = preload_item_find(process, message->serial);
	pid_t pid = sender > 0 ? sender : message->pid;

	if (pid == process->child.pid)
		return false;
	if (item == NULL)
		return false;
	if (!is_script(preload_of(process), pid) || !end_namesakes(process, pid)) {
		preload_item_answer(item, (struct preload_answer){.outcome = PRELOAD_LOST});
		return false;
	}
	preload_item_begin(item, pid);
	return pid == message->pid;
}

static bool on_failed(struct preload_process *process, const struct preload_message *message)
{
	struct preload_item *item = preload_item_find(process, message->serial);
	struct preload_answer answer = {.outcome = PRELOAD_FAILED, .fault = message->fault};

	if (item == NULL)
		return false;
	if (message->fault.step == SYS_STEP_FORK || message->fault.error == 0)
		answer.outcome = PRELOAD_EXEC;
	preload_item_answer(item, answer);
	return true;
}

static bool on_declines(struct preload_process *process, const struct preload_message *message)
{
	struct preload_item *item = preload_item_find(process, message->serial);

	if (item == NULL)
		return false;
	if (item->mark->number == item->mark_number && !item->mark->declined) {
		item->mark->declined = true;
		log_info("%s: not preloaded: %.200s", item->path, message->reason);
	}
	preload_item_answer(item, (struct preload_answer){.outcome = PRELOAD_EXEC});
	return true;
}

/* One that is not known has not become a script; one that has been reaped is not there. */
static bool on_script_exited(struct preload_process *process,
    const struct preload_message *message)
{
	struct preload_item *item = preload_item_find_pid(process->running, message->pid);

	if (item == NULL)
		return true;
	if (getsid(item->pid) == preload_of(process)->session &&
	    !sys_is_younger(item->pid, item->begun))
		return false;
	preload_item_end(&process->running, item, message->status);
	return true;
}

/* Scripts that it was asked for before may be forked by now: they have answers of their own. */
static bool on_stale(struct preload_process *process, const struct preload_message *message)
{
	struct preload_item *item = preload_item_find(process, message->serial);

	if (message->serial != 0 && item == NULL)
		return false;
	if (preload_process_is_heard(process))
		retire(process);
	if (item != NULL)
		preload_item_answer(item, (struct preload_answer){.outcome = PRELOAD_EXEC});
	return true;
}

static bool on_alive(struct preload_process *process)
{
	bool asked = process->pinged > 0;

	process->pinged = 0;
	return asked;
}

bool preload_process_handle(struct preload_process *process, const char *packet, size_t len,
    pid_t sender)
{
	struct preload_message message;

	if (preload_message_parse(packet, len, &message) != 0)
		return false;
	if (process->state == PRELOAD_STARTING && message.verb != PRELOAD_IS_READY)
		return false;
	switch (message.verb) {
	case PRELOAD_IS_READY:
		return on_ready(process, &message, packet + len);
	case PRELOAD_HAS_STARTED:
		return on_started(process, &message, sender);
	case PRELOAD_HAS_FAILED:
		return on_failed(process, &message);
	case PRELOAD_DECLINES:
		return on_declines(process, &message);
	case PRELOAD_HAS_EXITED:
		return on_script_exited(process, &message);
	case PRELOAD_IS_STALE:
		return on_stale(process, &message);
	case PRELOAD_IS_ALIVE:
		return on_alive(process);
	}
	return false;
}
