/* SPDX-License-Identifier: ISC */
/*
 * preload_process: the life of a preloader, its answers, and when there is a new one.
 *
 * The kernel's part in "never both ways": packets are whole and in order, shutdown(SHUT_RD) on
 * our end is atomic with respect to senders, and it names the sender of each packet.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/backoff.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "base/packet.h"
#include "cgi/preload_private.h"

enum {
	FAILURES_MAX = 3,
	PACKETS_A_TURN = 64,
	POLL_TIME = 50,           /* ms between looks at scripts whose preloader is gone */
	EOF_TIME = 100,           /* ms until the exit that goes with the end of its socket */
	RETIRE_TIME = 5000,       /* ms to exit after the last of its scripts */
};

const struct preload_times preload_times = {.answer = 1000, .ready = 60 * 1000, .silence = 5000};

static void preloader_spawn(struct preloader *preloader);

static bool may_follow(enum preload_state from, enum preload_state to)
{
	switch (from) {
	case PRELOAD_STARTING:
		return to != PRELOAD_STARTING;
	case PRELOAD_READY:
		return to == PRELOAD_RETIRING || to == PRELOAD_KILLED || to == PRELOAD_GONE;
	case PRELOAD_RETIRING:
		return to == PRELOAD_KILLED || to == PRELOAD_GONE;
	case PRELOAD_KILLED:
		return to == PRELOAD_GONE;
	case PRELOAD_GONE:
		return false;
	}
	return false;
}

static void set_state(struct preload_process *process, enum preload_state state)
{
	assert(may_follow(process->state, state));
	process->state = state;
}

static struct preload *preload_of(const struct preload_process *process)
{
	return process->preloader->preload;
}

/* Whether a message from it is of use. */
static bool is_listened_to(const struct preload_process *process)
{
	return process->state < PRELOAD_KILLED;
}

/* ---- its scripts -------------------------------------------------------------------- */

void preload_item_free(struct preload_item *item)
{
	for (int i = 0; i < 3; i++)
		close_keeping_errno(item->ours[i]);
	free(item->path);
	free(item);
}

static struct preload_item *find_waiting(struct preload_process *process, unsigned long serial)
{
	struct preload_item *item = process->first_waiting;

	while (item != NULL && item->serial != serial)
		item = item->next;
	return item;
}

static struct preload_item *find_pid(struct preload_item *item, pid_t pid)
{
	while (item != NULL && item->pid != pid)
		item = item->next;
	return item;
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
		loop_timer_set(loop, &process->timer, RETIRE_TIME);
	else
		loop_timer_clear(loop, &process->timer);
}

/* It is not started here, and not in a list: its owner, if it has one, decides what to do. */
static void hand_back(struct preload_item *item, struct preload_answer answer)
{
	bool stopped = preload_of(item->process)->stopped || child_is_stopped(item->child);

	if (answer.outcome == PRELOAD_EXEC && stopped)
		answer.outcome = PRELOAD_STOPPED;
	if (child_withdraw(item->child))
		item->answered(item->context, &answer);
	preload_item_free(item);
}

static void answer_unstarted(struct preload_item *item, struct preload_answer answer)
{
	LIST2_REMOVE(item->process->first_waiting, item->process->last_waiting, item);
	hand_back(item, answer);
}

static void answer_all_unstarted(struct preload_process *process)
{
	struct preload_item *next;

	for (struct preload_item *item = process->first_waiting; item != NULL; item = next) {
		next = item->next;
		hand_back(item, (struct preload_answer){.outcome = PRELOAD_EXEC});
	}
	process->first_waiting = process->last_waiting = NULL;
}

/* Whether it reports those that have ended is looked at from time to time. */
static void watch_exits(struct preload_process *process)
{
	struct preload *preload = preload_of(process);

	if (process->running != NULL && !loop_timer_active(&process->look))
		loop_timer_set(preload_loop(preload), &process->look, preload->parts.times->answer);
}

static void begin(struct preload_item *item, pid_t pid)
{
	struct preload_process *process = item->process;
	struct preload_answer answer = {.outcome = PRELOAD_STARTED,
	    .pipes = {item->ours[0], item->ours[1], item->ours[2]},
	    .spent = clock_us() - item->sent};

	process->proven = true;
	process->preloader->failures = 0;
	LIST2_REMOVE(process->first_waiting, process->last_waiting, item);
	LIST_PREPEND(process->running, item);
	item->pid = pid;
	watch_exits(process);
	if (child_begin(item->child, pid)) {
		item->ours[0] = item->ours[1] = item->ours[2] = -1;
		item->answered(item->context, &answer);
	}
	for (int i = 0; i < 3; i++) {
		close_keeping_errno(item->ours[i]);
		item->ours[i] = -1;
	}
}

static void end_item(struct preload_item **list, struct preload_item *item, int status)
{
	struct child *child = item->child;

	LIST_REMOVE(*list, item);
	preload_item_free(item);
	child_ended(child, status);
}

/* ---- scripts whose preloader is gone -------------------------------------------------- */

/*
 * Nobody reports their exit.  Within POLL_TIME the system does not give a pid to another
 * process of our session.
 */
static void on_poll(struct loop_timer *timer)
{
	struct preload *preload = CONTAINER_OF(timer, struct preload, poll);
	struct preload_item *next;

	for (struct preload_item *item = preload->orphans; item != NULL; item = next) {
		next = item->next;
		if (getsid(item->pid) != preload->session || !sys_is_running(item->pid))
			end_item(&preload->orphans, item, 0);
	}
	if (preload->orphans != NULL)
		loop_timer_set(preload_loop(preload), timer, POLL_TIME);
}

static void make_orphans(struct preload_process *process)
{
	struct preload *preload = preload_of(process);

	while (process->running != NULL) {
		struct preload_item *item = process->running;

		LIST_REMOVE(process->running, item);
		item->process = NULL;
		LIST_PREPEND(preload->orphans, item);
	}
	if (preload->orphans != NULL && !preload->stopped)
		loop_timer_set(preload_loop(preload), &preload->poll, POLL_TIME);
}

/* ---- its end, and the next one ---------------------------------------------------------- */

static void preloader_off(struct preloader *preloader)
{
	preloader->state = PRELOADER_OFF;
	log_error("preloader for %s: the last %d ended before they had started a script: it is not "
		  "used until the next reload, and scripts are started without it",
	    preloader->interpreter, FAILURES_MAX);
}

/* It has no process that could start scripts: there will be a new one, after a while. */
static void schedule(struct preloader *preloader, int64_t age)
{
	struct loop *loop = preload_loop(preloader->preload);

	preloader->state = PRELOADER_WAITING;
	loop_timer_set(loop, &preloader->respawn, backoff_next(&preloader->backoff, age));
}

/* The current process can start no more scripts: it leaves its place to the next one. */
static void give_place(struct preload_process *process)
{
	struct preloader *preloader = process->preloader;

	if (preloader->current != process)
		return;
	preloader->current = NULL;
	if (!preloader->preload->stopped)
		schedule(preloader, loop_now(preload_loop(preloader->preload)) - process->begun);
}

/* It ended, or had to be ended, for the reason `how`. */
static void report(struct preload_process *process, const char *how)
{
	struct preloader *preloader = process->preloader;

	if (preloader->preload->stopped)
		return;
	log_warn("preloader for %s (pid %ld) %s", preloader->interpreter, (long)process->child.pid,
	    how);
	if (process->proven || preloader->current != process)
		return;
	if (++preloader->failures < FAILURES_MAX)
		return;
	preloader->current = NULL;
	preloader_off(preloader);
}

static void receive(struct preload_process *process, int most);

/*
 * Ends the conversation.  After packet_close() no child can say any more that it starts; those
 * that have said so are found in the socket, and all others are not started.
 */
static void hang_up(struct preload_process *process, enum preload_state state)
{
	struct loop *loop = preload_loop(preload_of(process));

	set_state(process, state);
	loop_timer_clear(loop, &process->timer);
	loop_unwatch(loop, &process->socket);
	packet_close(process->fd);
	receive(process, INT_MAX);
	loop_timer_clear(loop, &process->look);
	close(process->fd);
	process->fd = -1;
	give_place(process);
	make_orphans(process);
	answer_all_unstarted(process);
}

static void kill_process(struct preload_process *process)
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

	if (!is_listened_to(process)) /* it is being ended */
		return;
	va_start(args, fmt);
	vsnprintf(how, sizeof how, fmt, args);
	va_end(args);
	report(process, how);
	kill_process(process);
}

static void on_exited(struct loop_child *child, int status)
{
	struct preload_process *process = CONTAINER_OF(child, struct preload_process, child);
	bool expected = !is_listened_to(process) ||
	    (process->state == PRELOAD_RETIRING && status == 0);
	char how[64];

	if (WIFSIGNALED(status))
		snprintf(how, sizeof how, "was killed by signal %d", WTERMSIG(status));
	else
		snprintf(how, sizeof how, "ended with status %d", WEXITSTATUS(status));
	if (!expected)
		report(process, how);
	if (sys_session_of(child->pid) == preload_of(process)->session)
		kill(-child->pid, SIGKILL); /* children that it has forked just before */
	if (process->state == PRELOAD_KILLED)
		set_state(process, PRELOAD_GONE);
	else
		hang_up(process, PRELOAD_GONE);
	errlog_finish(&process->errlog);
	loop_post(preload_loop(preload_of(process)), &process->free_task);
}

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
		kill_process(process); /* it was asked to end */
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
		watch_exits(process);
	}
}

/* ---- its messages --------------------------------------------------------------------- */

/* From here on it starts nothing; it reports the exits of its scripts, and ends. */
static void retire(struct preload_process *process)
{
	if (process->state == PRELOAD_RETIRING)
		return;
	set_state(process, PRELOAD_RETIRING);
	log_info("preloader for %s (pid %ld): a file that it has loaded has changed: a new one is "
		 "started",
	    process->preloader->interpreter, (long)process->child.pid);
	/* if it cannot be told, it is ended after the last of its scripts */
	if (packet_send(process->fd, preload_message_retire, PRELOAD_RETIRE_LEN, NULL, 0) != 0)
		log_debug("a preloader cannot be told to retire: %s", strerror(errno));
	give_place(process);
}

/* Each returns false if the message is not one that may come now. */

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
	set_state(process, PRELOAD_READY);
	loop_timer_clear(preload_loop(preload_of(process)), &process->timer);
	log_debug("preloader for %s (pid %ld): ready", process->preloader->interpreter,
	    (long)process->child.pid);
	return true;
}

/* The kernel does not let a process with this pid be another one: an older script has ended. */
static bool end_namesakes(struct preload_process *process, pid_t pid)
{
	struct preload *preload = preload_of(process);
	struct preload_item *item = find_pid(process->running, pid);

	if (item != NULL)
		return false;
	item = find_pid(preload->orphans, pid);
	if (item != NULL)
		end_item(&preload->orphans, item, 0);
	for (struct preload_process *at = preload->processes; at != NULL; at = at->next) {
		item = find_pid(at->running, pid);
		if (item != NULL)
			end_item(&at->running, item, 0);
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
	pid_t group = getpgid(pid); /* it may be reaped between the two */

	return session < 0 || group < 0 || (session == preload->session && group == pid);
}

/* A forked child that does not say what it has to must not run anything. */
static void kill_child(const struct preload_process *process, pid_t pid)
{
	if (pid <= 1 || pid == process->child.pid || find_pid(process->running, pid) != NULL ||
	    getsid(pid) != preload_of(process)->session)
		return;
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL); /* in case it does not lead a group */
}

/*
 * A child says that it runs its script.  If the kernel knows which process says so, that is the
 * script, whatever number it gives; the preloader itself is none.
 */
static bool on_started(struct preload_process *process, const struct preload_message *message,
    pid_t sender)
{
	struct preload_item *item = find_waiting(process, message->serial);
	pid_t pid = sender > 0 ? sender : message->pid;

	if (pid == process->child.pid)
		return false;
	if (item == NULL)
		return false;
	if (!is_script(preload_of(process), pid) || !end_namesakes(process, pid)) {
		answer_unstarted(item, (struct preload_answer){.outcome = PRELOAD_LOST});
		return false;
	}
	begin(item, pid);
	return pid == message->pid;
}

static bool on_failed(struct preload_process *process, const struct preload_message *message)
{
	struct preload_item *item = find_waiting(process, message->serial);
	struct preload_answer answer = {.outcome = PRELOAD_FAILED, .fault = message->fault};

	if (item == NULL)
		return false;
	if (message->fault.step == SYS_STEP_FORK || message->fault.error == 0)
		answer.outcome = PRELOAD_EXEC;
	answer_unstarted(item, answer);
	return true;
}

static bool on_declines(struct preload_process *process, const struct preload_message *message)
{
	struct preload_item *item = find_waiting(process, message->serial);

	if (item == NULL)
		return false;
	if (item->mark->number == item->mark_number && !item->mark->declined) {
		item->mark->declined = true;
		log_info("%s: not preloaded: %.200s", item->path, message->reason);
	}
	answer_unstarted(item, (struct preload_answer){.outcome = PRELOAD_EXEC});
	return true;
}

/* One that is not known has not become a script; one that has been reaped is not there. */
static bool on_script_exited(struct preload_process *process,
    const struct preload_message *message)
{
	struct preload_item *item = find_pid(process->running, message->pid);

	if (item == NULL)
		return true;
	if (getsid(item->pid) == preload_of(process)->session)
		return false;
	end_item(&process->running, item, message->status);
	return true;
}

/* Scripts that it was asked for before may be forked by now: they have answers of their own. */
static bool on_stale(struct preload_process *process, const struct preload_message *message)
{
	struct preload_item *item = find_waiting(process, message->serial);

	if (message->serial != 0 && item == NULL)
		return false;
	if (is_listened_to(process))
		retire(process);
	if (item != NULL)
		answer_unstarted(item, (struct preload_answer){.outcome = PRELOAD_EXEC});
	return true;
}

static bool on_alive(struct preload_process *process)
{
	bool asked = process->pinged > 0;

	process->pinged = 0;
	return asked;
}

static bool handle(struct preload_process *process, const char *packet, size_t len, pid_t sender)
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
		bool heard = is_listened_to(process);
		pid_t sender = 0;
		ssize_t len = packet_receive(process->fd, packet, sizeof packet, &sender);

		if (len < 0 && errno != EMSGSIZE)
			return;
		if (len == 0 && heard)
			await_exit(process);
		if (len == 0)
			return;
		if (len < 0 || !handle(process, packet, (size_t)len, sender)) {
			kill_child(process, sender);
			break_off(process, "broke the protocol: \"%s\" is wrong",
			    len < 0 ? "" : verb_of(packet, len, verb));
		}
		if (heard && !is_listened_to(process))
			return;
	}
}

static void on_socket(struct loop_watch *watch, unsigned events)
{
	struct preload_process *process = CONTAINER_OF(watch, struct preload_process, socket);

	(void)events;
	receive(process, PACKETS_A_TURN);
	if (is_listened_to(process) && process->socket.fd >= 0)
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

/* ---- life ------------------------------------------------------------------------------- */

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
	loop_watch_init(&process->socket, on_socket);
	loop_timer_init(&process->timer, on_timer);
	loop_timer_init(&process->look, on_look);
	loop_task_init(&process->free_task, on_free);
	errlog_init(&process->errlog, preload_loop(preload), NULL);
	LIST_PREPEND(preload->processes, process);
	return process;
}

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
	loop_child_add_quiet(loop, &process->child, pid, on_exited);
	errlog_attach(&process->errlog, errors[0], process->preloader->interpreter, pid, 0);
	loop_timer_set(loop, &process->timer, preload_of(process)->parts.times->ready);
	return 0;
}

/* Whether it may pass, unlike a program that cannot be executed. */
static bool is_shortage(const struct sys_fault *fault)
{
	return fault->step == SYS_STEP_FORK && fault->error != ENOTSUP;
}

static void preloader_spawn(struct preloader *preloader)
{
	struct preload_process *process = process_new(preloader);
	struct sys_fault fault = {.error = ENOMEM};

	preloader->state = PRELOADER_ON;
	if (process != NULL && launch(process, &fault) == 0) {
		preloader->current = process;
		return;
	}
	if (process != NULL)
		process_free(process);
	log_warn("preloader for %s: %s cannot be started: %s", preloader->interpreter,
	    preloader->argv[0], strerror(fault.error));
	if (is_shortage(&fault) || ++preloader->failures < FAILURES_MAX)
		schedule(preloader, 0);
	else
		preloader_off(preloader);
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

void preload_processes_init(struct preload *preload)
{
	loop_timer_init(&preload->poll, on_poll);
}

void preload_processes_stop(struct preload *preload)
{
	for (size_t i = 0; i < preload->count; i++)
		loop_timer_clear(preload_loop(preload), &preload->preloaders[i].respawn);
	for (struct preload_process *at = preload->processes; at != NULL; at = at->next)
		if (is_listened_to(at))
			kill_process(at);
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
