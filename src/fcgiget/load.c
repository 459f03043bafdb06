/* SPDX-License-Identifier: ISC */
/*
 * load: which lane makes the next request, and when the load test is over.
 */
#include "fcgiget/load.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fcgiget/fcgiget_params.h"
#include "fcgiget/lane.h"
#include "base/clock.h"
#include "base/loop.h"
#include "fcgiget/progress.h"
#include "fcgiget/upload.h"

enum {
	BODY_MAX = 256 * 1024 * 1024, /* bytes; held in memory */
	SPARE_FDS = 16,               /* standard ones, and those of the loop */
	DRAW_EVERY = 200,             /* ms */
};

struct load {
	struct loop *loop;
	struct errand errand;
	struct outcomes *outcomes;
	struct lane *lanes; /* owned */
	int lane_count;
	int requests;
	int begun;
	int64_t since;      /* clock_us() at the start */
	struct progress progress;
	struct loop_timer draw;
};

/* ---- the errand ------------------------------------------------------------------ */

static enum exit_status errand_fill(struct errand *e, struct outcomes *t)
{
	const struct fcgiget_options *o = e->options;

	if (upload_all(o->data, &e->body) != 0) {
		outcomes_error(t, "%s: %s", o->data + 1, upload_explain(errno));
		return EXIT_READ;
	}
	if (o->action == ACTION_VALUES ||
	    fcgiget_params_put(&e->params, o, (off_t)buf_len(&e->body)) == 0)
		return EXIT_OK;
	outcomes_error(t, "parameters: %s", strerror(errno));
	return EXIT_USAGE;
}

static void errand_init(struct errand *e, const struct fcgiget_options *o)
{
	*e = (struct errand){.options = o};
	buf_init(&e->params, FCGIGET_PARAMS_MAX);
	buf_init(&e->body, BODY_MAX);
}

static void errand_fini(struct errand *e)
{
	buf_fini(&e->params);
	buf_fini(&e->body);
}

/* ---- while it runs ----------------------------------------------------------------- */

static void draw(struct load *l)
{
	progress_draw(&l->progress, l->outcomes->ended, outcomes_failures(l->outcomes),
	    clock_us() - l->since);
}

static void draw_again(struct loop_timer *timer)
{
	struct load *l = CONTAINER_OF(timer, struct load, draw);

	draw(l);
	loop_timer_set(l->loop, timer, DRAW_EVERY);
}

static void ended(struct lane *lane, const struct ending *e)
{
	struct load *l = lane->context;

	outcomes_add(l->outcomes, e);
	if (l->begun < l->requests) {
		l->begun++;
		lane_start(lane);
	} else if (l->outcomes->ended == (uint64_t)l->requests) {
		loop_stop(l->loop);
	}
}

static void interrupted(void *context, int signo)
{
	struct load *l = context;

	l->outcomes->signo = signo;
	loop_stop(l->loop);
}

/* ---- start and end -------------------------------------------------------------------- */

/* Makes sure that `count` connections can be open at once: 0, or -1 with t->error set. */
static int reserve_fds(int count, struct outcomes *t)
{
	rlim_t need = (rlim_t)count + SPARE_FDS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
	    limit.rlim_cur >= need)
		return 0;
	limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= need ? need : 0;
	if (limit.rlim_cur != 0 && setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return 0;
	outcomes_error(t, "%d connections need %llu descriptors, and fewer are allowed: use a smaller "
	    "-c, or raise the limit (ulimit -n)", count, (unsigned long long)need);
	return -1;
}

static int start_lanes(struct load *l, int count)
{
	l->lanes = calloc((size_t)count, sizeof *l->lanes);
	if (l->lanes == NULL)
		return -1;
	for (; l->lane_count < count; l->lane_count++) {
		struct lane *lane = &l->lanes[l->lane_count];

		lane_init(lane, l->loop, &l->errand, ended, l);
		lane_start(lane);
		l->begun++;
	}
	return 0;
}

static void stop_lanes(struct load *l)
{
	for (int i = 0; i < l->lane_count; i++)
		lane_fini(&l->lanes[i]);
	free(l->lanes);
}

/* Runs the loop until all requests have ended.  0, or -1 with errno. */
static int run_loop(struct load *l, int connections)
{
	static const int signals[] = {SIGINT, SIGTERM, 0};
	int result = -1;

	l->loop = loop_new();
	if (l->loop == NULL)
		return -1;
	loop_timer_init(&l->draw, draw_again);
	if (progress_init(&l->progress, STDERR_FILENO, (uint64_t)l->requests) && l->requests > 1)
		loop_timer_set(l->loop, &l->draw, DRAW_EVERY);
	l->since = clock_us();
	if (loop_signals(l->loop, signals, interrupted, l) == 0 &&
	    start_lanes(l, connections) == 0)
		result = loop_run(l->loop);
	l->outcomes->elapsed = clock_us() - l->since;
	progress_erase(&l->progress);
	stop_lanes(l);
	loop_timer_clear(l->loop, &l->draw);
	loop_free(&l->loop);
	return result;
}

enum exit_status load_run(const struct fcgiget_options *o, int requests, int connections,
    struct outcomes *t)
{
	struct load l = {.outcomes = t, .requests = requests};
	enum exit_status status;

	if (connections > requests)
		connections = requests;
	outcomes_init(t);
	errand_init(&l.errand, o);
	status = errand_fill(&l.errand, t);
	if (status == EXIT_OK && reserve_fds(connections, t) != 0)
		status = EXIT_USAGE;
	if (status == EXIT_OK && run_loop(&l, connections) != 0) {
		outcomes_error(t, "cannot run: %s", strerror(errno));
		status = EXIT_USAGE;
	}
	errand_fini(&l.errand);
	return status;
}
