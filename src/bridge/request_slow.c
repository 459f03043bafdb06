/* SPDX-License-Identifier: ISC */
/*
 * request_slow: --slow-log, a line about a script that runs for longer, while it still runs.
 *
 * The timer is on the heap: a request pays nothing for an option that is not given.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/sys.h"
#include "bridge/request_private.h"

struct request_slow {
	struct loop_timer timer;
	struct request *request;
	int64_t begun; /* loop time at which the script was started */
};

/* Fires once; the memory stays until the request ends. */
static void on_slow(struct loop_timer *timer)
{
	const struct request_slow *slow = CONTAINER_OF(timer, struct request_slow, timer);
	const struct request *request = slow->request;
	int64_t age = loop_now(request_loop(request)) - slow->begun;
	char who[512];
	char origin[REQUEST_ORIGIN_MAX];
	char doing[SYS_DOING_MAX];

	if (request->script.child == NULL) /* it has exited: the wait now is that of --linger */
		return;
	sys_process_doing(request->script.pid, doing);
	log_warn("%s: slow: its script still runs after %lld.%03d s%s%s%s",
	    request_subject(request, who, sizeof who), (long long)(age / 1000), (int)(age % 1000),
	    doing[0] == '\0' ? "" : ": ", doing,
	    request_origin(request, origin, sizeof origin));
}

void request_slow_begin(struct request *request)
{
	int64_t limit = request_options(request)->slow_log;
	struct request_slow *slow;

	if (limit == 0)
		return;
	slow = request->slow = malloc(sizeof *slow);
	if (slow == NULL) /* then there is no line */
		return;
	*slow = (struct request_slow){.request = request, .begun = loop_now(request_loop(request))};
	loop_timer_init(&slow->timer, on_slow);
	loop_timer_set(request_loop(request), &slow->timer, limit);
}

void request_slow_end(struct request *request)
{
	if (request->slow == NULL)
		return;
	loop_timer_clear(request_loop(request), &request->slow->timer);
	free(request->slow);
	request->slow = NULL;
}
