/* SPDX-License-Identifier: ISC */
/*
 * status_json: one JSON object (RFC 8259), in UTF-8 and safe within HTML.
 */
#include "base/sys.h"
#include "stats/status_private.h"

enum { DOING_COUNT = 32 }; /* how many scripts, the oldest, /proc is read for */

static void put_string(struct status_page *page, const char *text)
{
	status_put(page, "\"");
	status_put_escaped(page, text, escape_json_html);
	status_put(page, "\"");
}

static void put_time(struct status_page *page, const struct status_snapshot *s,
    enum tally_time time)
{
	uint64_t sum = 0;

	status_put(page, "\"%s\":{\"count\":%llu,\"sum\":", status_time_names[time],
	    (unsigned long long)status_timed(s, time));
	status_put_seconds(page, s->sum.times[time].sum);
	status_put(page, ",\"buckets\":[");
	for (int i = 0; i < TALLY_BUCKETS - 1; i++) {
		sum += s->sum.times[time].buckets[i];
		status_put(page, "%s{\"le\":", i == 0 ? "" : ",");
		status_put_seconds(page, (uint64_t)tally_bound(time, i));
		status_put(page, ",\"count\":%llu}", (unsigned long long)sum);
	}
	status_put(page, "]},\n");
}

static void put_worker(struct status_page *page, int number, const struct status_worker *worker)
{
	status_put(page,
	    "%s\n{\"worker\":%d,\"state\":\"%s\",\"pid\":%ld,\"age\":%.3f,\"starts\":%d,"
	    "\"connections\":%d,\"active_requests\":%d,\"queued_requests\":%d,"
	    "\"running_scripts\":%d,\"requests\":%llu}",
	    number == 0 ? "" : ",", number, worker->state, (long)worker->info.pid,
	    (double)worker->age / 1000, worker->info.starts, worker->info.connections,
	    (int)worker->sum.gauges[TALLY_ACTIVE], worker->info.waiting, worker->scripts,
	    (unsigned long long)worker->sum.events[TALLY_REQUESTS]);
}

/*
 * What a slow script waits for now, as the line of --slow-log had it then.  The system tells it
 * to a worker, which is of the script's user.
 */
static void put_doing(struct status_page *page, pid_t pid)
{
	char doing[SYS_DOING_MAX];

	sys_process_doing(pid, doing);
	if (doing[0] == '\0')
		return;
	status_put(page, ",\"doing\":");
	put_string(page, doing);
}

static void put_script(struct status_page *page, const struct status_script *script, int number)
{
	const struct script_info *info = &script->slot.info;

	status_put(page,
	    "{\"pid\":%ld,\"state\":\"%s\",\"worker\":%d,\"request\":%u,\"preloaded\":%s,"
	    "\"started\":%.3f,\"age\":%.3f,\"slow\":%s,\"client\":",
	    (long)script->slot.pid, script->state, script->slot.worker, info->request,
	    info->preloaded != 0 ? "true" : "false", (double)script->started / 1000,
	    (double)script->age / 1000, script->slow ? "true" : "false");
	put_string(page, info->client);
	status_put(page, ",\"peer\":");
	put_string(page, info->peer);
	status_put(page, ",\"script\":");
	put_string(page, info->script);
	if (script->slow && number < DOING_COUNT)
		put_doing(page, script->slot.pid);
	status_put(page, "}");
}

static void put_workers(struct status_page *page, const struct status_snapshot *s)
{
	int count = scoreboard_workers(s->source->board);
	int i = 0;

	status_put(page, "\"worker_list\":[");
	for (; i < count && status_has_room(page, true); i++) {
		struct status_worker worker;

		status_worker(s, i, &worker);
		put_worker(page, i, &worker);
	}
	status_put(page, "],\n\"more_workers\":%d,\n", count - i);
}

static void put_scripts(struct status_page *page, const struct status_snapshot *s)
{
	const char *separator = "\n";
	int i = 0;

	status_put(page, "\"script_list\":[");
	for (; i < s->listed && status_has_room(page, false); i++) {
		struct status_script script;

		if (!status_script(s, i, &script))
			continue;
		status_put(page, "%s", separator);
		put_script(page, &script, i);
		separator = ",\n";
	}
	status_put(page, "],\n\"more_scripts\":%d\n", s->running - i);
}

void status_json(struct status_page *page, const struct status_snapshot *snapshot)
{
	status_put(page, "{\"version\":\"%s\",\n", PACKAGE_VERSION);
	for (int i = 0; i < STATUS_VALUES; i++)
		status_put(page, "\"%s\":%llu,\n", status_names[i].name,
		    (unsigned long long)snapshot->values[i]);
	for (int time = 0; time < TALLY_TIMES; time++)
		put_time(page, snapshot, (enum tally_time)time);
	put_workers(page, snapshot);
	put_scripts(page, snapshot);
	status_put(page, "}\n");
}
