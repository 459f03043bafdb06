/* SPDX-License-Identifier: ISC */
/*
 * status_text: "name: value" lines, for people and for the log.
 */
#include "stats/status_private.h"

/* Writes an upper bound for the fastest `percent` percent of all times. */
static void put_percentile(struct status_page *page, const struct status_snapshot *s,
    enum tally_time time, unsigned percent)
{
	uint64_t wanted = (status_timed(s, time) * percent + 99) / 100;
	uint64_t sum = 0;
	int i = 0;

	while (i < TALLY_BUCKETS - 1 && (sum += s->sum.times[time].buckets[i]) < wanted)
		i++;
	status_put(page, ", %u%% %s ", percent, i < TALLY_BUCKETS - 1 ? "<=" : ">");
	status_put_seconds(page,
	    (uint64_t)tally_bound(time, i < TALLY_BUCKETS - 1 ? i : TALLY_BUCKETS - 2));
}

static void put_time(struct status_page *page, const struct status_snapshot *s,
    enum tally_time time)
{
	uint64_t count = status_timed(s, time);

	status_put(page, "%s: %llu", status_time_names[time], (unsigned long long)count);
	if (count > 0) {
		status_put(page, ", mean ");
		status_put_seconds(page, s->sum.times[time].sum / count);
		put_percentile(page, s, time, 50);
		put_percentile(page, s, time, 90);
		put_percentile(page, s, time, 99);
	}
	status_put(page, "\n");
}

static void put_worker(struct status_page *page, int number, const struct status_worker *worker)
{
	status_put(page, "worker %d: %s, pid %ld, up ", number, worker->state,
	    (long)worker->info.pid);
	status_put_seconds(page, (uint64_t)worker->age * 1000);
	status_put(page,
	    ", %d connections, %d requests active, %d queued, %d scripts, %llu requests in all\n",
	    worker->info.connections, (int)worker->sum.gauges[TALLY_ACTIVE],
	    worker->info.waiting, worker->scripts,
	    (unsigned long long)worker->sum.events[TALLY_REQUESTS]);
}

static void put_script(struct status_page *page, const struct status_script *script)
{
	const struct script_info *info = &script->slot.info;

	status_put(page, "script %ld: %s, age ", (long)script->slot.pid, script->state);
	status_put_seconds(page, (uint64_t)script->age * 1000);
	status_put(page, "%s%s, worker %d, request %u, client ", script->slow ? " (slow)" : "",
	    info->preloaded != 0 ? ", preloaded" : "", script->slot.worker, info->request);
	status_put_escaped(page, info->client[0] == '\0' ? "-" : info->client, escape_line);
	status_put(page, ", peer ");
	status_put_escaped(page, info->peer, escape_line);
	status_put(page, ", ");
	status_put_escaped(page, info->script, escape_line);
	status_put(page, "\n");
}

static void put_workers(struct status_page *page, const struct status_snapshot *s)
{
	int count = scoreboard_workers(s->source->board);
	int i = 0;

	for (; i < count && status_has_room(page, true); i++) {
		struct status_worker worker;

		status_worker(s, i, &worker);
		put_worker(page, i, &worker);
	}
	if (i < count)
		status_put(page, "and %d more workers\n", count - i);
}

static void put_scripts(struct status_page *page, const struct status_snapshot *s)
{
	int i = 0;

	for (; i < s->listed && status_has_room(page, false); i++) {
		struct status_script script;

		if (status_script(s, i, &script))
			put_script(page, &script);
	}
	if (i < s->running)
		status_put(page, "and %d younger scripts\n", s->running - i);
}

void status_text(struct status_page *page, const struct status_snapshot *snapshot)
{
	status_put(page, "version: %s\n", PACKAGE_VERSION);
	for (int i = 0; i < STATUS_VALUES; i++)
		status_put(page, "%s: %llu\n", status_names[i].name,
		    (unsigned long long)snapshot->values[i]);
	for (int time = 0; time < TALLY_TIMES; time++)
		put_time(page, snapshot, (enum tally_time)time);
	put_workers(page, snapshot);
	put_scripts(page, snapshot);
}
