/* SPDX-License-Identifier: ISC */
/*
 * status_snapshot: the numbers and lists of all forms, and the functions that write a page.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "stats/status_private.h"

const struct status_name status_names[STATUS_VALUES] = {
    [STATUS_START_TIME] = {"start_time_seconds", NULL, NULL, false,
        "When counting began, in seconds since 1970."},
    [STATUS_UPTIME] = {"uptime_seconds", NULL, NULL, false, "Seconds since then."},
    [STATUS_WORKERS] = {"workers", NULL, NULL, false, "Worker processes that run."},
    [STATUS_CONNECTIONS] = {"connections", NULL, NULL, false, "Open connections."},
    [STATUS_IDLE] = {"idle_connections", NULL, NULL, false,
        "Open connections without a request."},
    [STATUS_ACTIVE] = {"active_requests", NULL, NULL, false,
        "Requests that have not ended, this one included."},
    [STATUS_QUEUED] = {"queued_requests", NULL, NULL, false,
        "Requests that wait for a script to end."},
    [STATUS_MAX_QUEUE] = {"max_queue", NULL, NULL, false, "How many may wait."},
    [STATUS_RUNNING] = {"running_scripts", NULL, NULL, false, "Scripts that run."},
    [STATUS_MAX_SCRIPTS] = {"max_scripts", NULL, NULL, false, "How many may run."},
    [STATUS_ACCEPTED] = {"accepted_connections", NULL, NULL, true, "Connections accepted."},
    [STATUS_REQUESTS] = {"requests", NULL, NULL, true, "Requests begun."},
    [STATUS_2XX] = {"responses_2xx", "responses", "2xx", true,
        "Responses, by the class of their status."},
    [STATUS_3XX] = {"responses_3xx", "responses", "3xx", true, ""},
    [STATUS_4XX] = {"responses_4xx", "responses", "4xx", true, ""},
    [STATUS_5XX] = {"responses_5xx", "responses", "5xx", true, ""},
    [STATUS_OTHER] = {"responses_other", "responses", "other", true, ""},
    [STATUS_REFUSED] = {"refused_requests", NULL, NULL, true,
        "Requests that found no room for a script."},
    [STATUS_SPAWNED] = {"started_scripts", NULL, NULL, true, "Scripts started."},
    [STATUS_SPAWN_FAILURES] = {"spawn_failures", NULL, NULL, true,
        "Scripts that could not be started."},
    [STATUS_PRELOADED] = {"preloaded_scripts", NULL, NULL, true,
        "Scripts started by a preloader; started_scripts has them, too."},
    [STATUS_BYPASSES] = {"preload_bypasses", NULL, NULL, true,
        "Scripts with a preloader that were started without it."},
    [STATUS_PRELOADERS] = {"preloader_restarts", NULL, NULL, true,
        "Preloaders started in place of one that had ended."},
    [STATUS_FAILED] = {"failed_scripts", NULL, NULL, true,
        "Scripts with a bad exit or without a response."},
    [STATUS_TIMEOUTS] = {"timeouts", NULL, NULL, true, "Scripts stopped by a time limit."},
    [STATUS_KILLS] = {"kills", NULL, NULL, true, "Scripts that TERM did not end: killed."},
    [STATUS_LOST] = {"lost_clients", NULL, NULL, true,
        "Requests whose client aborted them or went away."},
    [STATUS_BYTES_IN] = {"received_bytes", NULL, NULL, true, "Bytes of request bodies."},
    [STATUS_BYTES_OUT] = {"sent_bytes", NULL, NULL, true, "Bytes of responses."},
    [STATUS_PAGES] = {"status_pages", NULL, NULL, true, "Status pages and pings answered."},
    [STATUS_RESPAWNS] = {"worker_respawns", NULL, NULL, true,
        "Workers started in place of one that had died."},
};

const char *const status_time_names[TALLY_TIMES] = {
    [TALLY_SPAWN] = "spawn_seconds", [TALLY_REQUEST] = "request_seconds"};

/* ---- writing ------------------------------------------------------------- */

void status_put_bytes(struct status_page *page, const char *bytes, size_t len)
{
	if (buf_append(page->out, bytes, len) != 0)
		page->failed = true;
}

void status_put_escaped(struct status_page *page, const char *text, escape_fn *escape)
{
	for (const unsigned char *at = (const unsigned char *)text; *at != '\0';) {
		char unit[ESCAPE_UNIT_MAX];

		at += escape(at, unit);
		status_put_bytes(page, unit, strlen(unit));
	}
}

void status_put(struct status_page *page, const char *fmt, ...)
{
	char text[512];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	if (len < 0 || (size_t)len >= sizeof text)
		page->failed = true;
	else
		status_put_bytes(page, text, (size_t)len);
}

void status_put_seconds(struct status_page *page, uint64_t us)
{
	char text[40];
	int len = snprintf(text, sizeof text, "%llu.%06llu", (unsigned long long)(us / 1000000),
	    (unsigned long long)(us % 1000000));

	while (len > 2 && text[len - 1] == '0' && text[len - 2] != '.')
		len--;
	status_put_bytes(page, text, (size_t)len);
}

bool status_has_room(const struct status_page *page, bool is_worker)
{
	enum {
		ITEM = 5120,             /* more than the longest: each byte of a script's texts as \uXXXX */
		FOR_SCRIPTS = 32 * 1024, /* kept free by the list of workers */
	};

	return buf_room(page->out) >= (is_worker ? FOR_SCRIPTS : ITEM);
}

/* ---- the snapshot -------------------------------------------------------- */

/* Adds a script to the oldest, if it is one of them. */
static void keep_oldest(struct status_snapshot *s, int slot, int64_t started)
{
	int at = s->listed;

	if (at == STATUS_LIST_MAX && s->oldest[at - 1].started <= started)
		return;
	if (at < STATUS_LIST_MAX)
		s->listed++;
	else
		at--;
	for (; at > 0 && s->oldest[at - 1].started > started; at--)
		s->oldest[at] = s->oldest[at - 1];
	s->oldest[at].slot = slot;
	s->oldest[at].started = started;
}

static void snapshot_scripts(struct status_snapshot *s)
{
	const struct scoreboard *board = s->source->board;
	struct scoreboard_script script;

	for (int slot = 0; slot < scoreboard_slots(board); slot++) {
		if (!scoreboard_script(board, slot, &script))
			continue;
		s->running++;
		if (script.worker < STATUS_WORKERS_MAX)
			s->scripts[script.worker]++;
		keep_oldest(s, slot, script.info.started);
	}
}

static uint64_t not_negative(int64_t value)
{
	return value < 0 ? 0 : (uint64_t)value;
}

/* Numbers that are read one after the other may not match exactly. */
static void snapshot_workers(struct status_snapshot *s)
{
	const struct scoreboard *board = s->source->board;
	int64_t connections = 0;

	for (int i = 0; i < scoreboard_workers(board); i++) {
		struct scoreboard_worker worker;

		scoreboard_worker(board, i, &worker);
		tally_read(scoreboard_tally(board, i), &s->sum);
		s->values[STATUS_WORKERS] += worker.pid != 0;
		connections += worker.connections;
	}
	tally_read(scoreboard_inherited(board), &s->sum);
	s->values[STATUS_RESPAWNS] = not_negative(scoreboard_respawns(board));
	s->values[STATUS_CONNECTIONS] = not_negative(connections);
	s->values[STATUS_IDLE] = not_negative(connections - s->sum.gauges[TALLY_BUSY]);
	s->values[STATUS_ACTIVE] = not_negative(s->sum.gauges[TALLY_ACTIVE]);
}

static void snapshot_events(struct status_snapshot *s)
{
	static const enum status_value of[TALLY_EVENTS] = {
	    [TALLY_ACCEPTED] = STATUS_ACCEPTED,
	    [TALLY_REQUESTS] = STATUS_REQUESTS,
	    [TALLY_OTHER] = STATUS_OTHER,
	    [TALLY_2XX] = STATUS_2XX,
	    [TALLY_3XX] = STATUS_3XX,
	    [TALLY_4XX] = STATUS_4XX,
	    [TALLY_5XX] = STATUS_5XX,
	    [TALLY_REFUSED] = STATUS_REFUSED,
	    [TALLY_TIMEOUTS] = STATUS_TIMEOUTS,
	    [TALLY_KILLS] = STATUS_KILLS,
	    [TALLY_LOST] = STATUS_LOST,
	    [TALLY_SPAWNED] = STATUS_SPAWNED,
	    [TALLY_SPAWN_FAILURES] = STATUS_SPAWN_FAILURES,
	    [TALLY_PRELOADED] = STATUS_PRELOADED,
	    [TALLY_BYPASSES] = STATUS_BYPASSES,
	    [TALLY_PRELOADERS] = STATUS_PRELOADERS,
	    [TALLY_FAILED] = STATUS_FAILED,
	    [TALLY_BYTES_IN] = STATUS_BYTES_IN,
	    [TALLY_BYTES_OUT] = STATUS_BYTES_OUT,
	    [TALLY_STATUS_PAGES] = STATUS_PAGES,
	};

	for (int i = 0; i < TALLY_EVENTS; i++)
		s->values[of[i]] = s->sum.events[i];
}

void status_snapshot(struct status_snapshot *s, const struct status_source *source)
{
	int64_t uptime = source->now - scoreboard_made(source->board);

	memset(s, 0, sizeof *s);
	s->source = source;
	snapshot_scripts(s);
	snapshot_workers(s);
	snapshot_events(s);
	s->values[STATUS_START_TIME] = not_negative(scoreboard_since(source->board)) / 1000;
	s->values[STATUS_UPTIME] = not_negative(uptime) / 1000;
	s->values[STATUS_QUEUED] = not_negative(scoreboard_waiting(source->board));
	s->values[STATUS_MAX_QUEUE] = (uint64_t)source->max_queue;
	s->values[STATUS_RUNNING] = not_negative(scoreboard_running(source->board));
	s->values[STATUS_MAX_SCRIPTS] = (uint64_t)scoreboard_slots(source->board);
}

uint64_t status_timed(const struct status_snapshot *snapshot, enum tally_time time)
{
	uint64_t count = 0;

	for (int i = 0; i < TALLY_BUCKETS; i++)
		count += snapshot->sum.times[time].buckets[i];
	return count;
}

/* ---- the lists ----------------------------------------------------------- */

void status_worker(const struct status_snapshot *snapshot, int number, struct status_worker *worker)
{
	const struct scoreboard *board = snapshot->source->board;

	memset(worker, 0, sizeof *worker);
	scoreboard_worker(board, number, &worker->info);
	tally_read(scoreboard_tally(board, number), &worker->sum);
	worker->scripts = number < STATUS_WORKERS_MAX ? snapshot->scripts[number] : 0;
	if (worker->info.pid == 0) {
		worker->state = "down";
		return;
	}
	worker->state = worker->sum.gauges[TALLY_ACTIVE] > 0 ? "busy" : "idle";
	worker->age = snapshot->source->now - worker->info.started;
	if (worker->age < 0) /* it began in this turn */
		worker->age = 0;
}

bool status_script(const struct status_snapshot *snapshot, int i, struct status_script *script)
{
	static const char *const states[] = {"", "starting", "running", "answering", "stopping",
	    "left"};
	const struct status_source *source = snapshot->source;

	if (!scoreboard_script(source->board, snapshot->oldest[i].slot, &script->slot))
		return false;
	script->state = states[script->slot.state];
	script->age = source->now - script->slot.info.started;
	if (script->age < 0)
		script->age = 0;
	script->slow = source->slow > 0 && script->age >= source->slow;
	script->started = scoreboard_since(source->board) - scoreboard_made(source->board) +
	    script->slot.info.started;
	return true;
}
