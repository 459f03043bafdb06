/* SPDX-License-Identifier: ISC */
/*
 * worker: accepting, the limits on that, and stopping.
 */
#include "daemon/worker.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "stats/accesslog.h"
#include "bridge/admission.h"
#include "config/allow.h"
#include "cgi/child.h"
#include "bridge/conn.h"
#include "cgi/left.h"
#include "cgi/preload.h"
#include "cgi/environment.h"
#include "config/identity.h"
#include "base/log.h"
#include "base/log_stderr.h"
#include "bridge/request.h"
#include "daemon/fitness.h"
#include "base/sys.h"

enum {
	ACCEPT_LEAD = 2,        /* connections more than another worker's, before it gives way */
	BEAT = 1000,            /* ms between signs of life, at most */
	ACCEPT_PAUSE = 500,     /* ms without accepting after descriptors have run out */
	ACCEPT_LOST_MAX = 512,  /* connections lost in a row before that is taken for a fault */
	QUIT_TIME = 300,        /* ms between the scripts' TERM and KILL when stopping at once */
	RESERVED_FDS = 32,      /* the worker's own: listeners, loop, log */
	FDS_A_SCRIPT = 4,       /* its pipes, and the file of its spooled body */
	REFUSAL_PAUSE = 5000,   /* ms without another log line about a refused connection ... */
	FAILURE_PAUSE = 10000,  /* ... or about failing to accept, or reaching the limit */
};

enum worker_state {
	WORKER_RUNNING,
	WORKER_DRAINING, /* the listening sockets are closed; scripts may end */
	WORKER_STOPPING, /* scripts have been sent TERM, and have --kill-delay */
	WORKER_QUITTING, /* scripts have been sent TERM, and have QUIT_TIME */
};

enum accepted {
	ACCEPTED,
	ACCEPT_SKIPPED, /* that connection was refused, or is gone: there may be another */
	ACCEPT_NONE,    /* there is none, or none can be accepted now */
};

struct worker;

/* A listening socket in this worker's loop. */
struct acceptor {
	struct worker *worker;
	struct listener *listener;
	struct loop_watch watch;
	unsigned lost; /* connections in a row */
};

/* The buffer that all connections read into, each for the time of one read. */
static unsigned char scratch[CONN_SCRATCH];

/* The buffer for the first output of all scripts. */
static struct relay_scratch relay_scratch;

struct worker {
	const struct worker_plan *plan;
	enum worker_state state;
	struct loop *loop;
	struct environment environment;
	struct admission admission;
	struct children children;
	struct sys_limit *script_limits; /* of open files, as it was, then those of --limit */
	struct request_services services;
	struct request_sink sink;
	struct left_list left;
	struct mounts mounts;
	struct scouts scouts;
	struct preload *preload; /* NULL: none */
	struct flaw_log flaws;
	struct conn_owner owner;
	int64_t failures_quiet;  /* loop time until which failed accepts are not logged */
	int64_t full_quiet;      /* the same for "too many connections" */
	int64_t refusals_quiet;  /* until then, refused connections are only counted */
	unsigned long refusals;  /* since the last one that was logged */
	struct acceptor *acceptors;
	size_t acceptor_count;
	struct fitness fitness;
	int exit_status;
	struct loop_watch stop_line;
	struct loop_watch drain_line;
	struct loop_timer accept_again;
	struct loop_timer beat;
	struct loop_timer stop;
};

extern char **environ;

/* ---- accepting ------------------------------------------------------------------- */

static void count_connections(const struct worker *worker)
{
	scoreboard_connected(worker->plan->board, worker->plan->number, (int)worker->owner.count);
}

static void on_conn_opened(struct conn_owner *owner)
{
	const struct worker *worker = CONTAINER_OF(owner, struct worker, owner);

	count_connections(worker);
	tally_add(scoreboard_tally(worker->plan->board, worker->plan->number), TALLY_ACCEPTED, 1);
}

static void stop_accepting(struct worker *worker)
{
	for (size_t i = 0; i < worker->acceptor_count; i++)
		loop_unwatch(worker->loop, &worker->acceptors[i].watch);
}

static void start_accepting(struct worker *worker)
{
	if (worker->state != WORKER_RUNNING || worker->owner.count >= worker->owner.max)
		return;
	for (size_t i = 0; i < worker->acceptor_count; i++) {
		struct acceptor *acceptor = &worker->acceptors[i];

		if (acceptor->watch.fd < 0 &&
		    loop_watch_shared(worker->loop, &acceptor->watch, acceptor->listener->fd) != 0) {
			log_error("cannot watch %s: %s: trying again", acceptor->listener->name,
			    strerror(errno));
			loop_timer_set(worker->loop, &worker->accept_again, ACCEPT_PAUSE);
		}
	}
}

static void on_accept_again(struct loop_timer *timer)
{
	start_accepting(CONTAINER_OF(timer, struct worker, accept_again));
}

/* Out of a resource: connections wait in the kernel's queue meanwhile. */
static void pause_accepting(struct worker *worker, int error)
{
	int64_t now = loop_now(worker->loop);

	stop_accepting(worker);
	loop_timer_set(worker->loop, &worker->accept_again, ACCEPT_PAUSE);
	if (now < worker->failures_quiet)
		return;
	worker->failures_quiet = now + FAILURE_PAUSE;
	log_error("cannot accept connections: %s: trying again every %d ms%s", strerror(error),
	    ACCEPT_PAUSE, sys_remedy(error));
}

/* A port scanner, or a wrong --allow, must not fill the log. */
static void log_refusal(struct worker *worker, const char *who)
{
	int64_t now = loop_now(worker->loop);

	if (now < worker->refusals_quiet) {
		worker->refusals++;
		return;
	}
	if (worker->refusals == 0)
		log_warn("connection refused: from %s", who);
	else
		log_warn("connection refused: from %s (and %lu since the last such line)", who,
		    worker->refusals);
	worker->refusals = 0;
	worker->refusals_quiet = now + REFUSAL_PAUSE;
}

/*
 * Whether a failed accept() concerns one connection only.  Under a policy that forbids the call
 * altogether (seccomp, SELinux) it looks the same, but each time.
 */
static bool is_one_lost(struct acceptor *acceptor, int error)
{
	if (error != EINTR && error != ECONNABORTED && error != EPROTO && error != EPERM)
		return false;
	acceptor->lost++;
	return acceptor->lost < ACCEPT_LOST_MAX;
}

static enum accepted accept_one(struct acceptor *acceptor)
{
	struct worker *worker = acceptor->worker;
	struct address_peer peer = {.len = sizeof peer.addr};
	struct fault why;
	int fd = sys_accept(acceptor->listener->fd, &peer.addr.any, &peer.len);

	if (fd < 0 && is_one_lost(acceptor, errno))
		return ACCEPT_SKIPPED;
	if (fd < 0) {
		/* any other error would come back at once */
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			pause_accepting(worker, errno);
		else
			acceptor->lost = 0;
		return ACCEPT_NONE;
	}
	acceptor->lost = 0;
	if (!allow_peer(&worker->plan->options->allow, fd, &peer, &why)) {
		close(fd);
		log_refusal(worker, why.text);
		return ACCEPT_SKIPPED;
	}
	if (conn_open(&worker->owner, fd, &peer) != 0) {
		pause_accepting(worker, errno);
		return ACCEPT_NONE;
	}
	return ACCEPTED;
}

/* At the limit, each connection that ends lets in one more: not each is worth a line. */
static void log_full(struct worker *worker)
{
	int64_t now = loop_now(worker->loop);

	if (now < worker->full_quiet)
		return;
	worker->full_quiet = now + FAILURE_PAUSE;
	log_warn("%zu connections, as many as the limit of open files allows: no more are accepted "
		 "until one ends",
	    worker->owner.count);
}

static bool is_ahead(const struct worker *worker)
{
	return (int)worker->owner.count > scoreboard_fewest(worker->plan->board) + ACCEPT_LEAD;
}

/*
 * The kernel wakes the worker that has waited in its queue the longest, and an idle one would
 * get all connections.  A worker with more than the others goes to the end of the queue.
 */
static void give_way(struct worker *worker)
{
	if (!is_ahead(worker))
		return;
	stop_accepting(worker);
	start_accepting(worker);
}

/*
 * The more connections a worker serves, the longer a turn takes: it accepts as many per turn as
 * it has, or those in the kernel's queue would wait for many turns.
 */
static void on_connection(struct loop_watch *watch, unsigned events)
{
	struct acceptor *acceptor = CONTAINER_OF(watch, struct acceptor, watch);
	struct worker *worker = acceptor->worker;
	size_t more = worker->owner.count;

	(void)events;
	do {
		if (accept_one(acceptor) != ACCEPTED)
			return;
	} while (more-- > 0 && worker->owner.count < worker->owner.max && !is_ahead(worker));
	if (worker->owner.count < worker->owner.max) {
		give_way(worker);
		return;
	}
	log_full(worker);
	stop_accepting(worker);
}

static int64_t beat_time(const struct worker *worker)
{
	int64_t quarter = worker->plan->options->watchdog / 4;

	return quarter < BEAT ? quarter + 1 : BEAT;
}

/* ---- stopping ---------------------------------------------------------------------- */

static void exit_if_done(struct worker *worker)
{
	if (worker->state != WORKER_RUNNING && worker->owner.count == 0 &&
	    worker->children.count == 0)
		loop_stop(worker->loop);
}

static void on_conn_closed(struct conn_owner *owner)
{
	struct worker *worker = CONTAINER_OF(owner, struct worker, owner);

	count_connections(worker);
	start_accepting(worker);
	exit_if_done(worker);
}

static void on_children_gone(struct children *children)
{
	exit_if_done(CONTAINER_OF(children, struct worker, children));
}

/* Only forward: a worker that has begun to stop does not serve again. */
static void set_state(struct worker *worker, enum worker_state state)
{
	assert(state > worker->state);
	worker->state = state;
}

/* A socket that is not accepted from any more must not stay open: clients would hang on it. */
static void close_listeners(struct worker *worker)
{
	stop_accepting(worker);
	worker->acceptor_count = 0;
	listeners_close(worker->plan->listeners);
}

static void stop_scripts(struct worker *worker, enum worker_state state, int64_t grace)
{
	set_state(worker, state);
	close_listeners(worker);
	conn_stop_all(&worker->owner);
	children_terminate(&worker->children);
	loop_timer_set(worker->loop, &worker->stop, grace);
	exit_if_done(worker);
}

static void quit(struct worker *worker)
{
	if (worker->state != WORKER_QUITTING)
		stop_scripts(worker, WORKER_QUITTING, QUIT_TIME);
}

/*
 * Connections for which only this worker was woken still have to be accepted here; and when all
 * workers stop, no other one will.
 */
static void accept_announced(struct worker *worker)
{
	for (size_t i = 0; i < worker->acceptor_count; i++)
		while (worker->owner.count < worker->owner.max &&
		    accept_one(&worker->acceptors[i]) != ACCEPT_NONE)
			;
}

static void drain(struct worker *worker)
{
	if (worker->state != WORKER_RUNNING)
		return;
	accept_announced(worker);
	set_state(worker, WORKER_DRAINING);
	close_listeners(worker);
	conn_drain_all(&worker->owner);
	loop_timer_set(worker->loop, &worker->stop, worker->plan->options->drain_timeout);
	exit_if_done(worker);
}

/* ---- signs of life -------------------------------------------------------------------- */

/*
 * A worker whose limits were lowered cannot serve, and the watchdog would not notice: its loop
 * turns.  Its requests may end in order.
 */
static void check_fitness(struct worker *worker)
{
	const struct tally *tally = scoreboard_tally(worker->plan->board, worker->plan->number);
	const struct fitness_look look = {.now = loop_clock(worker->loop),
	    .accepts = !loop_timer_active(&worker->accept_again),
	    .answers = tally_count(tally, TALLY_2XX) + tally_count(tally, TALLY_3XX),
	    .failures = tally_count(tally, TALLY_SPAWN_FAILURES) + tally_count(tally, TALLY_FAILED)};
	const char *limit =
	    fitness_lost(&worker->fitness, &look, worker->plan->options->watchdog / 2);

	if (limit == NULL || worker->state != WORKER_RUNNING)
		return;
	log_error("the limit %s was lowered from outside, and nothing has worked since: this worker "
		  "ends, and a new one takes its place",
	    limit);
	worker->exit_status = 1;
	drain(worker);
}

/*
 * Gives a sign of life; and accepts a waiting connection, if there is one: the worker that was
 * woken for it may be dead.
 */
static void on_beat(struct loop_timer *timer)
{
	struct worker *worker = CONTAINER_OF(timer, struct worker, beat);

	scoreboard_beat(worker->plan->board, worker->plan->number, loop_clock(worker->loop));
	for (size_t i = 0; i < worker->acceptor_count; i++)
		if (worker->acceptors[i].watch.fd >= 0)
			on_connection(&worker->acceptors[i].watch, LOOP_IN);
	loop_timer_set(worker->loop, timer, beat_time(worker));
	check_fitness(worker);
}

/* ---- the end -------------------------------------------------------------------------- */

static void on_stop_time(struct loop_timer *timer)
{
	struct worker *worker = CONTAINER_OF(timer, struct worker, stop);

	if (worker->state != WORKER_DRAINING) {
		loop_stop(worker->loop);
		return;
	}
	if (worker->children.count > 0)
		log_warn("%zu scripts still run after --drain-timeout: stopped",
		    worker->children.count);
	else
		log_info("%zu connections are still open after --drain-timeout: closed",
		    worker->owner.count);
	stop_scripts(worker, WORKER_STOPPING, worker->plan->options->kill_delay + QUIT_TIME);
}

/* The supervisor closes it to stop its workers; the system closes it when the supervisor dies. */
static void on_stop(struct loop_watch *watch, unsigned events)
{
	struct worker *worker = CONTAINER_OF(watch, struct worker, stop_line);

	(void)events;
	loop_unwatch(worker->loop, watch);
	quit(worker);
}

static void on_drain(struct loop_watch *watch, unsigned events)
{
	struct worker *worker = CONTAINER_OF(watch, struct worker, drain_line);

	(void)events;
	loop_unwatch(worker->loop, watch);
	if (getppid() == worker->plan->supervisor)
		drain(worker);
}

/* INT is for the supervisor, even if a terminal sends it to all processes. */
static void on_signal(void *context, int signo)
{
	struct worker *worker = context;

	if (signo == SIGTERM)
		drain(worker);
	else if (signo == SIGQUIT)
		quit(worker);
	else if (signo == SIGUSR1)
		accesslog_reopen();
}

/* ---- making ------------------------------------------------------------------------- */

/* For scripts, restores the limit of open files, then applies --limit. */
static int limit_scripts(struct worker *worker, const struct rlimit *files)
{
	const struct value_limits *limits = &worker->plan->options->limits;
	size_t count = 0;

	worker->script_limits = calloc(limits->count + 1, sizeof *worker->script_limits);
	if (worker->script_limits == NULL)
		return -1;
	if (files->rlim_cur < files->rlim_max)
		worker->script_limits[count++] = (struct sys_limit){RLIMIT_NOFILE, *files};
	for (size_t i = 0; i < limits->count; i++)
		worker->script_limits[count++] = limits->items[i].limit;
	worker->children.limits = worker->script_limits;
	worker->children.limit_count = count;
	return 0;
}

/* Raises the limit of open files as far as allowed.  Returns how many that are. */
static size_t raise_fd_limit(struct rlimit limit)
{
	rlim_t before = limit.rlim_cur;

	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		limit.rlim_cur = before;
	return limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > 1000000 ? 1000000
									   : (size_t)limit.rlim_cur;
}

/* As many connections as leave descriptors for the pipes and bodies of all scripts. */
static size_t connection_limit(size_t fds, int max_scripts)
{
	size_t taken = RESERVED_FDS + LEFT_STDERR_MAX + FDS_A_SCRIPT * (size_t)max_scripts;

	return fds > taken + fds / 4 ? fds - taken : fds / 4;
}

static int make_acceptors(struct worker *worker)
{
	struct listeners *listeners = worker->plan->listeners;

	worker->acceptors = calloc(listeners->count, sizeof *worker->acceptors);
	if (worker->acceptors == NULL)
		return -1;
	worker->acceptor_count = listeners->count;
	for (size_t i = 0; i < listeners->count; i++) {
		worker->acceptors[i] = (struct acceptor){
		    .worker = worker, .listener = &listeners->items[i]};
		loop_watch_init(&worker->acceptors[i].watch, on_connection);
	}
	return 0;
}

static void connect_parts(struct worker *worker)
{
	const struct worker_plan *plan = worker->plan;

	admission_init(&worker->admission, worker->loop, plan->board, plan->options, plan->number);
	worker->services = (struct request_services){.loop = worker->loop,
	    .options = plan->options,
	    .environment = &worker->environment,
	    .admission = &worker->admission,
	    .children = &worker->children,
	    .scratch = &relay_scratch,
	    .flaws = &worker->flaws,
	    .sink = &worker->sink,
	    .left = &worker->left,
	    .mounts = &worker->mounts,
	    .scouts = &worker->scouts,
	    .times = request_times};
	left_init(&worker->left, worker->loop, &worker->children);
	mounts_follow(&worker->mounts, worker->loop);
	scouts_init(&worker->scouts, worker->loop);
	request_sink_init(&worker->sink, &worker->services);
	worker->owner.services = &worker->services;
	worker->owner.times = &conn_times;
	worker->owner.scratch = scratch;
	worker->owner.opened = on_conn_opened;
	worker->owner.closed = on_conn_closed;
	worker->children.emptied = on_children_gone;
	worker->children.worker = plan->number;
	loop_watch_init(&worker->stop_line, on_stop);
	loop_watch_init(&worker->drain_line, on_drain);
	loop_timer_init(&worker->accept_again, on_accept_again);
	loop_timer_init(&worker->beat, on_beat);
	loop_timer_init(&worker->stop, on_stop_time);
}

/* After this, /dev/null may be out of reach, and there is no way back. */
static int drop_privileges(const struct options *options)
{
	struct fault why;

	if (identity_drop_privileges(&options->identity, &why) == 0) {
		sys_close_to_others(); /* another user may have undone it */
		return 0;
	}
	log_error("%s", why.text);
	errno = EPERM;
	return -1;
}

static int open_children(struct worker *worker)
{
	if (children_init(&worker->children, worker->loop, worker->plan->board,
		worker->plan->options->kill_delay) == 0)
		return 0;
	log_error("/dev/null cannot be opened, and scripts need it: %s", strerror(errno));
	return -1;
}

/* Without them, all scripts are started by exec. */
static void start_preloaders(struct worker *worker)
{
	const struct preload_parts parts = {.loop = worker->loop,
	    .options = worker->plan->options,
	    .environment = &worker->environment,
	    .children = &worker->children,
	    .times = &preload_times};

	if (worker->plan->options->preloads.count == 0)
		return;
	worker->preload = worker->services.preload = preload_new(&parts);
	if (worker->preload == NULL)
		log_error("no memory for preloaders: scripts are started without them");
}

/*
 * Tells the supervisor, which ends the workers from before a reload only then: a worker that
 * cannot is of no use.  EPIPE: a supervisor that has been replaced does not read it any more.
 */
static int say_ready(const struct worker_plan *plan)
{
	ssize_t n = write(plan->ready, &plan->number, sizeof plan->number);

	if (n < 0 && errno != EPIPE)
		return -1;
	close(plan->ready);
	return 0;
}

static int worker_init(struct worker *worker)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, 0};
	const struct options *options = worker->plan->options;
	const struct environment_wish wish = {
	    options->clear_env, options->variables.items, options->variables.count};
	struct rlimit files = {256, 256};

	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		log_warn("cannot find out the limit of open files: %s", strerror(errno));
	worker->loop = loop_new();
	mounts_init(&worker->mounts, options->identity.root);
	if (worker->loop == NULL || open_children(worker) != 0 || drop_privileges(options) != 0 ||
	    environment_init(&worker->environment, environ, &wish) != 0 ||
	    limit_scripts(worker, &files) != 0 || make_acceptors(worker) != 0)
		return -1;
	connect_parts(worker);
	log_stderr_follow(worker->loop);
	worker->owner.max = connection_limit(raise_fd_limit(files), options->max_scripts);
	fitness_init(&worker->fitness);
	if (loop_signals(worker->loop, signals, on_signal, worker) != 0 ||
	    loop_watch(worker->loop, &worker->stop_line, worker->plan->stop, LOOP_IN) != 0)
		return -1;
	if (loop_watch(worker->loop, &worker->drain_line, worker->plan->drain, LOOP_IN) != 0 ||
	    say_ready(worker->plan) != 0)
		return -1;
	start_preloaders(worker); /* last: they would have to be stopped again */
	return 0;
}

static void free_memory(struct worker *worker)
{
	log_stderr_follow(NULL);
	environment_fini(&worker->environment);
	free(worker->acceptors);
	free(worker->script_limits);
	loop_free(&worker->loop);
}

static void worker_fini(struct worker *worker)
{
	conn_close_all(&worker->owner);
	request_sink_stop(&worker->sink);
	left_fini(&worker->left);
	scouts_fini(&worker->scouts);
	mounts_fini(&worker->mounts);
	if (worker->preload != NULL)
		preload_stop(worker->preload);
	children_fini(&worker->children);
	preload_free(&worker->preload);
	/* closed connections free themselves in a last turn */
	if (loop_turn(worker->loop, 0) != 0)
		log_debug("the last turn failed: %s", strerror(errno));
	admission_fini(&worker->admission);
	free_memory(worker);
}

int64_t worker_drain_time(const struct options *options)
{
	return options->drain_timeout + options->kill_delay + QUIT_TIME;
}

/* poll(2) fails when it is to wait for more descriptors than may be open. */
static void log_waiting_failed(const struct worker *worker)
{
	int number = worker->plan->number;
	const char *reason = strerror(errno);
	const char *limit = fitness_lowered(&worker->fitness);

	if (limit == NULL)
		log_error("worker %d: waiting failed: %s", number, reason);
	else
		log_error("worker %d: waiting failed: %s: the limit %s was lowered from outside",
		    number, reason, limit);
}

int worker_run(const struct worker_plan *plan)
{
	struct worker worker = {.plan = plan};
	int failed;

	if (worker_init(&worker) != 0) {
		log_error("worker %d cannot start: %s", plan->number, strerror(errno));
		free_memory(&worker);
		log_stderr_close();
		return 1;
	}
	scoreboard_enter(plan->board, plan->number, loop_clock(worker.loop));
	start_accepting(&worker);
	if (plan->options->watchdog > 0)
		loop_timer_set(worker.loop, &worker.beat, beat_time(&worker));
	failed = loop_run(worker.loop);
	if (failed)
		log_waiting_failed(&worker);
	/* checked only now: a dying process closes its descriptors before it loses its children */
	if (getppid() != plan->supervisor)
		log_error("worker %d: the supervisor is gone: stopped at once", plan->number);
	worker_fini(&worker);
	log_stderr_close();
	return failed ? 1 : worker.exit_status;
}
