/* SPDX-License-Identifier: ISC */
/*
 * preload_process: the conversation with a preloader, and its end.
 *
 * The kernel's part in "never both ways": packets are whole and in order, shutdown(SHUT_RD) on
 * our end is atomic with respect to senders, and it names the sender of each packet.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/packet.h"
#include "cgi/preload_private.h"

enum {
	PACKETS_A_TURN = 64,
	EOF_TIME = 100, /* ms until the exit that goes with the end of its socket */
};

static void receive(struct preload_process *process, int most);

/* ---- its end ---------------------------------------------------------------------------- */

/*
 * Ends the conversation.  After packet_close() no child can say any more that it starts; those
 * that have said so are found in the socket, and all others are not started.
 */
static void hang_up(struct preload_process *process, enum preload_state state)
{
	struct loop *loop = preload_loop(preload_of(process));

	preload_process_set_state(process, state);
	loop_timer_clear(loop, &process->timer);
	loop_unwatch(loop, &process->socket);
	packet_close(process->fd);
	receive(process, INT_MAX);
	loop_timer_clear(loop, &process->look);
	close(process->fd);
	process->fd = -1;
	preload_process_give_place(process);
	preload_process_leave_items(process);
	preload_process_answer_all(process);
}

void preload_process_kill(struct preload_process *process)
{
	kill(-process->child.pid, SIGKILL);
	kill(process->child.pid, SIGKILL); /* it may have left its group */
	hang_up(process, PRELOAD_KILLED);
}

static void break_off(struct preload_process *process, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* It did what no preloader may do. */
static void break_off(struct preload_process *process, const char *fmt, ...)
{
	char how[256];
	va_list args;

	if (!preload_process_is_heard(process)) /* it is being ended */
		return;
	va_start(args, fmt);
	vsnprintf(how, sizeof how, fmt, args);
	va_end(args);
	preload_process_report(process, how);
	preload_process_kill(process);
}

static void on_exited(struct loop_child *child, int status)
{
	struct preload_process *process = CONTAINER_OF(child, struct preload_process, child);
	bool expected = !preload_process_is_heard(process) ||
	    (process->state == PRELOAD_RETIRING && status == 0);
	char how[64];

	if (WIFSIGNALED(status))
		snprintf(how, sizeof how, "was killed by signal %d", WTERMSIG(status));
	else
		snprintf(how, sizeof how, "ended with status %d", WEXITSTATUS(status));
	if (!expected)
		preload_process_report(process, how);
	if (!sys_is_running(child->pid) && /* it is another one that has its number, then */
	    sys_session_of(child->pid) == preload_of(process)->session)
		kill(-child->pid, SIGKILL); /* children that it has forked just before */
	if (process->state == PRELOAD_KILLED)
		preload_process_set_state(process, PRELOAD_GONE);
	else
		hang_up(process, PRELOAD_GONE);
	errlog_finish(&process->errlog);
	loop_post(preload_loop(preload_of(process)), &process->free_task);
}

/* ---- from it ---------------------------------------------------------------------------- */

/* A forked child that does not say what it has to must not run anything. */
static void kill_child(const struct preload_process *process, pid_t pid)
{
	if (pid <= 1 || pid == process->child.pid ||
	    preload_item_find_pid(process->running, pid) != NULL ||
	    getsid(pid) != preload_of(process)->session)
		return;
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL); /* in case it does not lead a group */
}

/* The kind of message, for the log. */
static const char *verb_of(const char *packet, ssize_t len, char text[16])
{
	size_t room = len < 15 ? (size_t)len : 15;

	memcpy(text, packet, room);
	text[room] = '\0';
	return text;
}

/* The process has closed its socket, or is about to be reaped, which tells more. */
static void await_exit(struct preload_process *process)
{
	struct loop *loop = preload_loop(preload_of(process));

	loop_unwatch(loop, &process->socket);
	loop_reap(loop);
	loop_timer_set(loop, &process->timer, EOF_TIME);
}

/* Reads at most `most` packets.  One that is wrong ends it, unless it is being ended. */
static void receive(struct preload_process *process, int most)
{
	char packet[PRELOAD_ANSWER_MAX];
	char verb[16];

	for (; most > 0; most--) {
		bool heard = preload_process_is_heard(process);
		pid_t sender = 0;
		ssize_t len = packet_receive(process->fd, packet, sizeof packet, &sender);

		if (len < 0 && errno != EMSGSIZE)
			return;
		if (len == 0 && heard)
			await_exit(process);
		if (len == 0)
			return;
		if (len < 0 || !preload_process_handle(process, packet, (size_t)len, sender)) {
			kill_child(process, sender);
			break_off(process, "broke the protocol: \"%s\" is wrong",
			    len < 0 ? "" : verb_of(packet, len, verb));
		}
		if (heard && !preload_process_is_heard(process))
			return;
	}
}

/* It has no script any more, and gets none: whatever it says, it has to exit in time. */
static void await_retirement(struct preload_process *process)
{
	const struct preload *preload = preload_of(process);
	int64_t now = loop_now(preload_loop(preload));

	if (process->retire_by == 0)
		process->retire_by = now + preload->parts.times->silence;
	loop_timer_set(preload_loop(preload), &process->timer, process->retire_by - now);
}

/* Waits for the answer to the first script that has none. */
static void watch_answers(struct preload_process *process)
{
	struct loop *loop = preload_loop(preload_of(process));

	if (process->state == PRELOAD_STARTING)
		return;
	if (process->first_waiting != NULL)
		loop_timer_set(loop, &process->timer,
		    process->first_waiting->deadline - loop_now(loop));
	else if (process->state == PRELOAD_RETIRING && process->running == NULL)
		await_retirement(process);
	else
		loop_timer_clear(loop, &process->timer);
}

static void on_socket(struct loop_watch *watch, unsigned events)
{
	struct preload_process *process = CONTAINER_OF(watch, struct preload_process, socket);

	(void)events;
	receive(process, PACKETS_A_TURN);
	if (preload_process_is_heard(process) && process->socket.fd >= 0)
		watch_answers(process);
}

/* ---- to it ------------------------------------------------------------------------------ */

int preload_process_send(struct preload_process *process, struct preload_item *item,
    const struct buf *packet, const int fds[3])
{
	struct loop *loop = preload_loop(preload_of(process));

	if (packet_send(process->fd, buf_bytes(packet), buf_len(packet), fds, 3) != 0)
		return -1;
	item->process = process;
	item->sent = clock_us();
	item->deadline = loop_now(loop) + preload_of(process)->parts.times->answer;
	LIST2_APPEND(process->first_waiting, process->last_waiting, item);
	if (process->first_waiting == item)
		watch_answers(process);
	return 0;
}

/*
 * Asks for a sign of life, as not every system shows that a script has ended.  If it does not
 * fit into the socket there are requests in there, which are waited for in their own way.
 */
static void ping(struct preload_process *process)
{
	if (process->running != NULL && process->pinged == 0 &&
	    packet_send(process->fd, preload_message_ping, PRELOAD_PING_LEN, NULL, 0) == 0)
		process->pinged = loop_now(preload_loop(preload_of(process)));
}

/* ---- times ------------------------------------------------------------------------------ */

static void on_timer(struct loop_timer *timer)
{
	struct preload_process *process = CONTAINER_OF(timer, struct preload_process, timer);
	const struct preload_times *times = preload_of(process)->parts.times;

	if (process->socket.fd < 0)
		break_off(process, "closed its socket");
	else if (process->state == PRELOAD_STARTING)
		break_off(process, "was not ready after %lld s", (long long)times->ready / 1000);
	else if (process->first_waiting != NULL)
		break_off(process, "did not start a script within %lld ms", (long long)times->answer);
	else
		preload_process_kill(process); /* it was asked to end */
}

/* Whether it has not reported a script that had ended at the last look. */
static bool misses_exit(struct preload_process *process)
{
	bool late = false;

	for (struct preload_item *item = process->running; item != NULL; item = item->next) {
		bool ended = !sys_is_running(item->pid);

		late = late || (ended && item->ended);
		item->ended = ended;
	}
	return late;
}

/* The slot of a script whose exit is never reported would be lost: such a preloader hangs. */
static void on_look(struct loop_timer *timer)
{
	struct preload_process *process = CONTAINER_OF(timer, struct preload_process, look);
	const struct preload_times *times = preload_of(process)->parts.times;
	int64_t now = loop_now(preload_loop(preload_of(process)));

	if (misses_exit(process)) {
		break_off(process, "did not report the end of a script within %lld ms",
		    (long long)times->answer);
	} else if (process->pinged > 0 && now - process->pinged >= times->silence) {
		break_off(process, "did not answer within %lld ms", (long long)times->silence);
	} else {
		ping(process);
		preload_process_watch_exits(process);
	}
}

/* ---- its beginning ------------------------------------------------------------------------ */

void preload_process_init(struct preload_process *process)
{
	loop_watch_init(&process->socket, on_socket);
	loop_timer_init(&process->timer, on_timer);
	loop_timer_init(&process->look, on_look);
}

void preload_process_adopt(struct preload_process *process, pid_t pid)
{
	struct preload *preload = preload_of(process);

	loop_child_add_quiet(preload_loop(preload), &process->child, pid, on_exited);
	loop_timer_set(preload_loop(preload), &process->timer, preload->parts.times->ready);
}
