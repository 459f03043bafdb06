/* SPDX-License-Identifier: ISC */
/*
 * loop: timers (a pairing heap), tasks, children and signals over a backend.
 */
#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop_os.h"
#include "base/sys.h"

enum {
	CHILD_BUCKETS = 256,
	PAUSE_MIN = 500, /* ms; a turn that is this late means that the process was paused */
	REAP_PAUSE = 100, /* ms until children are asked for again, when that has failed */
};

struct loop {
	struct loop_os *os;
	int64_t clock;   /* CLOCK_MONOTONIC, in ms */
	int64_t paused;  /* ms of it in which the process could not run */
	int64_t now;     /* clock - paused */
	enum loop_os_found found; /* by the last wait */
	int64_t asked;   /* when the current run of waits that found only a part began */
	int64_t firing;  /* timers due by this time are firing; -1: none are */
	int stopped;
	struct loop_timer *timers;   /* heap root */
	struct loop_task tasks;      /* ring head */
	struct loop_task mark;       /* where the tasks of the next turn begin */
	struct loop_child *children[CHILD_BUCKETS];
	struct loop_watch signals;
	size_t child_count; /* without quiet ones */
	int child_exited; /* SIGCHLD arrived: reap after the descriptors' events */
	struct loop_timer reap_again; /* children could not be waited for */
	loop_signal_fn *arrived;
	void *arrived_context;
};

int64_t loop_now(const struct loop *loop)
{
	return loop->now;
}

int64_t loop_clock(const struct loop *loop)
{
	return loop->clock;
}

void loop_refresh(struct loop *loop)
{
	loop->clock = clock_ms();
	loop->now = loop->clock - loop->paused;
}

/* ---- descriptors ------------------------------------------------------- */

void loop_watch_init(struct loop_watch *watch, loop_ready_fn *ready)
{
	*watch = (struct loop_watch){.fd = -1, .ready = ready};
}

static int watch_add(struct loop *loop, struct loop_watch *watch, int fd, unsigned events,
    int exclusive)
{
	assert(watch->fd < 0);
	watch->fd = fd;
	watch->wanted = events;
	if (loop_os_add(loop->os, watch, exclusive) == 0)
		return 0;
	watch->fd = -1;
	return -1;
}

int loop_watch(struct loop *loop, struct loop_watch *watch, int fd, unsigned events)
{
	return watch_add(loop, watch, fd, events, 0);
}

int loop_watch_shared(struct loop *loop, struct loop_watch *watch, int fd)
{
	return watch_add(loop, watch, fd, LOOP_IN, 1);
}

void loop_want(struct loop *loop, struct loop_watch *watch, unsigned events)
{
	if (watch->fd < 0 || watch->wanted == events)
		return;
	watch->wanted = events;
	loop_os_change(loop->os, watch);
}

void loop_unwatch(struct loop *loop, struct loop_watch *watch)
{
	if (watch->fd < 0)
		return;
	loop_os_remove(loop->os, watch);
	watch->fd = -1;
}

void loop_close(struct loop *loop, struct loop_watch *watch)
{
	int fd = watch->fd;

	if (fd < 0)
		return;
	loop_os_remove(loop->os, watch);
	watch->fd = -1;
	close(fd);
}

void loop_dispatch(struct loop_watch *watch, unsigned events)
{
	if (watch->fd < 0)
		return;
	/* a hang-up counts as readable (end of file) and writable (EPIPE): one path for both */
	if (events & LOOP_HUP)
		events |= LOOP_IN | LOOP_OUT;
	events &= watch->wanted | (watch->wanted == 0 ? 0 : LOOP_HUP);
	if (events != 0)
		watch->ready(watch, events);
}

/* ---- timers ------------------------------------------------------------ */

void loop_timer_init(struct loop_timer *timer, loop_fire_fn *fire)
{
	*timer = (struct loop_timer){.when = -1, .fire = fire};
}

bool loop_timer_active(const struct loop_timer *timer)
{
	return timer->when >= 0;
}

/* Joins two heaps: the later root becomes the first child of the earlier one. */
static struct loop_timer *heap_join(struct loop_timer *a, struct loop_timer *b)
{
	if (a == NULL)
		return b;
	if (b == NULL)
		return a;
	if (b->when < a->when) {
		struct loop_timer *earlier = b;

		b = a;
		a = earlier;
	}
	b->prev = a;
	b->next = a->child;
	if (a->child != NULL)
		a->child->prev = b;
	a->child = b;
	return a;
}

/* Joins a list of siblings into one heap: in pairs from the left, then the pairs. */
static struct loop_timer *heap_gather(struct loop_timer *list)
{
	struct loop_timer *pairs = NULL;
	struct loop_timer *root = NULL;

	while (list != NULL) {
		struct loop_timer *a = list;
		struct loop_timer *b = a->next;

		list = b == NULL ? NULL : b->next;
		a->next = a->prev = NULL;
		if (b != NULL)
			b->next = b->prev = NULL;
		a = heap_join(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs != NULL) {
		struct loop_timer *rest = pairs->next;

		pairs->next = NULL;
		root = heap_join(root, pairs);
		pairs = rest;
	}
	return root;
}

static void heap_cut(struct loop_timer *timer)
{
	if (timer->prev->child == timer)
		timer->prev->child = timer->next;
	else
		timer->prev->next = timer->next;
	if (timer->next != NULL)
		timer->next->prev = timer->prev;
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
	struct loop_timer *below;

	if (!loop_timer_active(timer))
		return;
	below = heap_gather(timer->child);
	if (timer == loop->timers) {
		loop->timers = below;
	} else {
		heap_cut(timer);
		loop->timers = heap_join(loop->timers, below);
	}
	timer->child = timer->next = timer->prev = NULL;
	timer->when = -1;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t ms)
{
	loop_timer_clear(loop, timer);
	/* an overflowing `when` would be negative: in the heap, but counted as not set */
	if (ms > INT64_MAX - loop->now)
		ms = INT64_MAX - loop->now;
	timer->when = loop->now + (ms < 0 ? 0 : ms);
	if (timer->when <= loop->firing)
		timer->when = loop->firing + 1;
	loop->timers = heap_join(loop->timers, timer);
}

/* Fires the timers that are due at `time`. */
static void fire_timers(struct loop *loop, int64_t time)
{
	loop->firing = time;
	while (loop->timers != NULL && loop->timers->when <= time) {
		struct loop_timer *due = loop->timers;

		loop_timer_clear(loop, due);
		due->fire(due);
	}
	loop->firing = -1;
}

/* ---- tasks ------------------------------------------------------------- */

void loop_task_init(struct loop_task *task, loop_task_fn *run)
{
	*task = (struct loop_task){.run = run};
}

void loop_post(struct loop *loop, struct loop_task *task)
{
	struct loop_task *head = &loop->tasks;

	if (task->next != NULL)
		return;
	task->next = head;
	task->prev = head->prev;
	head->prev->next = task;
	head->prev = task;
}

void loop_unpost(struct loop_task *task)
{
	if (task->next == NULL)
		return;
	task->prev->next = task->next;
	task->next->prev = task->prev;
	task->next = task->prev = NULL;
}

static void run_tasks(struct loop *loop)
{
	/* only up to the mark: tasks posted meanwhile come after it and run in the next turn */
	loop_post(loop, &loop->mark);
	while (loop->tasks.next != &loop->mark) {
		struct loop_task *task = loop->tasks.next;

		loop_unpost(task);
		task->run(task);
	}
	loop_unpost(&loop->mark);
}

/* ---- children and signals ----------------------------------------------- */

static struct loop_child **bucket_of(struct loop *loop, pid_t pid)
{
	return &loop->children[(unsigned)pid % CHILD_BUCKETS];
}

void loop_child_add(struct loop *loop, struct loop_child *child, pid_t pid, loop_exit_fn *exited)
{
	struct loop_child **bucket = bucket_of(loop, pid);

	child->pid = pid;
	child->quiet = false;
	child->exited = exited;
	child->next = *bucket;
	*bucket = child;
	loop->child_count++;
}

void loop_child_add_quiet(struct loop *loop, struct loop_child *child, pid_t pid,
    loop_exit_fn *exited)
{
	loop_child_add(loop, child, pid, exited);
	child->quiet = true;
	loop->child_count--;
}

void loop_reap(struct loop *loop)
{
	loop->child_exited = 1;
}

void loop_child_remove(struct loop *loop, struct loop_child *child)
{
	struct loop_child **at = bucket_of(loop, child->pid);

	while (*at != NULL && *at != child)
		at = &(*at)->next;
	if (*at == NULL)
		return;
	*at = child->next;
	if (!child->quiet)
		loop->child_count--;
}

static void report_exit(struct loop *loop, pid_t pid, int status)
{
	struct loop_child *child = *bucket_of(loop, pid);

	while (child != NULL && child->pid != pid)
		child = child->next;
	if (child == NULL)
		return;
	loop_child_remove(loop, child);
	child->exited(child, status);
}

static void reap_children(struct loop *loop)
{
	pid_t pid;
	int status;

	if (!loop->child_exited)
		return;
	loop->child_exited = 0;
	/* one SIGCHLD may stand for several exits; stop when no more are registered */
	do {
		pid = waitpid(-1, &status, WNOHANG);
		if (pid > 0)
			report_exit(loop, pid, status);
	} while ((pid > 0 && loop->child_count > 0) || (pid < 0 && errno == EINTR));
	if (pid < 0 && loop->child_count > 0) /* no other SIGCHLD may come */
		loop_timer_set(loop, &loop->reap_again, REAP_PAUSE);
}

static void on_reap_again(struct loop_timer *timer)
{
	loop_reap(CONTAINER_OF(timer, struct loop, reap_again));
}

static void on_signals(struct loop_watch *watch, unsigned events)
{
	struct loop *loop = CONTAINER_OF(watch, struct loop, signals);
	int signo;

	(void)events;
	while ((signo = sys_signals_next(watch->fd)) != 0) {
		if (signo == SIGCHLD)
			loop->child_exited = 1;
		else
			loop->arrived(loop->arrived_context, signo);
	}
}

int loop_signals(struct loop *loop, const int *signals, loop_signal_fn *arrived, void *context)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (; *signals != 0; signals++)
		sigaddset(&set, *signals);
	loop->arrived = arrived;
	loop->arrived_context = context;
	/* an earlier exit may have left no SIGCHLD: setting a default action discards it */
	loop->child_exited = 1;
	fd = sys_signals_open(&set);
	if (fd < 0)
		return -1;
	if (loop_watch(loop, &loop->signals, fd, LOOP_IN) != 0) {
		sys_signals_close(fd);
		return -1;
	}
	return 0;
}

/* ---- the loop ---------------------------------------------------------- */

struct loop *loop_new(void)
{
	struct loop *loop = calloc(1, sizeof *loop);

	if (loop == NULL)
		return NULL;
	loop->os = loop_os_new();
	if (loop->os == NULL) {
		free(loop);
		return NULL;
	}
	loop->tasks.next = loop->tasks.prev = &loop->tasks;
	loop_watch_init(&loop->signals, on_signals);
	loop_timer_init(&loop->reap_again, on_reap_again);
	loop->firing = -1;
	loop_refresh(loop);
	return loop;
}

void loop_free(struct loop **loop)
{
	if (*loop == NULL)
		return;
	if ((*loop)->signals.fd >= 0)
		sys_signals_close((*loop)->signals.fd);
	loop_os_free(&(*loop)->os);
	free(*loop);
	*loop = NULL;
}

static int wait_time(const struct loop *loop, int max_ms)
{
	int64_t ms;

	if (loop->tasks.next != &loop->tasks || loop->child_exited)
		return 0;
	if (loop->timers == NULL)
		return max_ms;
	ms = loop->timers->when - loop->now;
	if (ms < 0)
		ms = 0;
	if (max_ms >= 0 && ms > max_ms)
		ms = max_ms;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

/*
 * Reads the clock, which should be at most `expected` ms (-1: no bound) later than before.  If
 * it is much later, this process was not allowed to run, and perhaps neither were those it
 * waits for.
 */
static void advance(struct loop *loop, int expected)
{
	int64_t before = loop->clock;
	int64_t late;

	loop_refresh(loop);
	late = loop->clock - before - expected;
	if (expected < 0 || late < PAUSE_MIN)
		return;
	loop->paused += late;
	loop->now -= late;
}

/* Waits; returns a time up to which every event has been seen, or -1. */
static int64_t see(struct loop *loop, int timeout)
{
	if (loop->found != LOOP_OS_PART)
		loop->asked = loop->now;
	loop->found = loop_os_wait(loop->os, timeout);
	switch (loop->found) {
	case LOOP_OS_FAILED:
	case LOOP_OS_PART:
		return -1;
	case LOOP_OS_ALL:
		return loop->asked;
	case LOOP_OS_NOTHING:
		return loop->now + timeout;
	}
	return -1;
}

int loop_turn(struct loop *loop, int max_ms)
{
	int timeout;
	int64_t seen;

	advance(loop, 0);
	timeout = wait_time(loop, max_ms);
	seen = see(loop, timeout);
	if (loop->found == LOOP_OS_FAILED)
		return -1;
	advance(loop, timeout);
	loop_os_hand_out(loop->os);
	/* the wait may have been interrupted by a signal of which its descriptor does not tell */
	if (loop->found == LOOP_OS_PART && loop->signals.fd >= 0)
		on_signals(&loop->signals, LOOP_IN);
	reap_children(loop);
	fire_timers(loop, seen);
	run_tasks(loop);
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = 1;
}

int loop_run(struct loop *loop)
{
	while (!loop->stopped)
		if (loop_turn(loop, -1) != 0)
			return -1;
	return 0;
}
