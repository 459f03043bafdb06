/* SPDX-License-Identifier: ISC */
/*
 * status_metrics: OpenMetrics 1.0, which also parses as Prometheus' older text format.
 *
 * The two want different names in the TYPE line of a counter, with and without "_total".  So
 * counters do not have one: they are of type "unknown", which both allow.
 */
#include "stats/status_private.h"

static const char *family_of(const struct status_name *name)
{
	return name->family != NULL ? name->family : name->name;
}

static void put_value(struct status_page *page, const struct status_name *name, uint64_t value)
{
	const char *suffix = name->grows ? "_total" : "";

	/* the first of a family has the help text */
	if (name->help[0] != '\0')
		status_put(page, "# HELP cgibridge_%s%s %s\n", family_of(name), suffix, name->help);
	if (!name->grows)
		status_put(page, "# TYPE cgibridge_%s gauge\n", family_of(name));
	status_put(page, "cgibridge_%s%s", family_of(name), suffix);
	if (name->class != NULL)
		status_put(page, "{class=\"%s\"}", name->class);
	status_put(page, " %llu\n", (unsigned long long)value);
}

static void put_time(struct status_page *page, const struct status_snapshot *s,
    enum tally_time time, const char *help)
{
	const char *name = status_time_names[time];
	uint64_t sum = 0;

	status_put(page, "# HELP cgibridge_%s %s\n# TYPE cgibridge_%s histogram\n", name, help, name);
	for (int i = 0; i < TALLY_BUCKETS - 1; i++) {
		sum += s->sum.times[time].buckets[i];
		status_put(page, "cgibridge_%s_bucket{le=\"", name);
		status_put_seconds(page, (uint64_t)tally_bound(time, i));
		status_put(page, "\"} %llu\n", (unsigned long long)sum);
	}
	sum += s->sum.times[time].buckets[TALLY_BUCKETS - 1];
	status_put(page, "cgibridge_%s_bucket{le=\"+Inf\"} %llu\ncgibridge_%s_count %llu\n", name,
	    (unsigned long long)sum, name, (unsigned long long)sum);
	status_put(page, "cgibridge_%s_sum ", name);
	status_put_seconds(page, s->sum.times[time].sum);
	status_put(page, "\n");
}

void status_metrics(struct status_page *page, const struct status_snapshot *snapshot)
{
	status_put(page, "# HELP cgibridge_build_info The version that runs.\n"
			 "# TYPE cgibridge_build_info gauge\n"
			 "cgibridge_build_info{version=\"%s\"} 1\n",
	    PACKAGE_VERSION);
	for (int i = 0; i < STATUS_VALUES; i++)
		put_value(page, &status_names[i], snapshot->values[i]);
	put_time(page, snapshot, TALLY_SPAWN, "What starting a script took, up to its exec.");
	put_time(page, snapshot, TALLY_REQUEST, "What requests took that were answered.");
	status_put(page, "# EOF\n");
}
