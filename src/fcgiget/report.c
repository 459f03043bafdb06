/* SPDX-License-Identifier: ISC */
/*
 * report: the same numbers in two forms.
 */
#include "fcgiget/report.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/fcgi.h"

static const struct {
	const char *name;
	unsigned share; /* of ten thousand */
} percentiles[] = {{"50", 5000}, {"90", 9000}, {"99", 9900}, {"99.9", 9990}};

enum { PERCENTILES = sizeof percentiles / sizeof *percentiles };

/* `count` per second of the run. */
static double rate(const struct outcomes *t, uint64_t count)
{
	return t->elapsed > 0 ? (double)count * 1e6 / (double)t->elapsed : 0;
}

static double seconds(int64_t us)
{
	return (double)us / 1e6;
}

/* Statuses outside 1xx to 5xx. */
static uint64_t odd_statuses(const struct outcomes *t)
{
	return t->classes[6] + t->classes[7] + t->classes[8] + t->classes[9];
}

static const char *protocol_name(unsigned i)
{
	return i < OUTCOMES_PROTOCOLS - 1 ? verdict_status_name(i) : "other";
}

/* ---- for people ---------------------------------------------------------------- */

static void put_time(const char *label, int64_t us)
{
	if (us < 1000)
		printf("  %-18s %" PRId64 " us\n", label, us);
	else if (us < 1000000)
		printf("  %-18s %.2f ms\n", label, (double)us / 1e3);
	else
		printf("  %-18s %.2f s\n", label, seconds(us));
}

static void put_count(const char *label, uint64_t count)
{
	printf("  %-18s %" PRIu64 "\n", label, count);
}

/* For less important counts: left out if 0. */
static void put_some(const char *label, uint64_t count)
{
	if (count > 0)
		put_count(label, count);
}

static void put_latencies(const struct latency *l)
{
	printf("latency%s\n", l->count == 0 ? ": none, there was no answer" : "");
	if (l->count == 0)
		return;
	put_time("least", l->least);
	put_time("mean", latency_mean(l));
	for (size_t i = 0; i < PERCENTILES; i++) {
		char label[16];

		snprintf(label, sizeof label, "%s%%", percentiles[i].name);
		put_time(label, latency_percentile(l, percentiles[i].share));
	}
	put_time("max", l->most);
}

static void put_statuses(const struct outcomes *t)
{
	printf("status\n");
	for (int i = 1; i <= 5; i++) {
		char label[] = {(char)('0' + i), 'x', 'x', '\0'};

		put_count(label, t->classes[i]);
	}
	put_some("other", odd_statuses(t));
	printf("FastCGI\n");
	for (unsigned i = 0; i < OUTCOMES_PROTOCOLS - 1; i++)
		put_count(protocol_name(i), t->protocols[i]);
	put_some("other", t->protocols[OUTCOMES_PROTOCOLS - 1]);
	put_some("appStatus not 0", t->script_failures);
}

static void put_errors(const struct outcomes *t)
{
	printf("errors\n");
	put_count("connect", t->of[OUTCOME_CONNECT]);
	put_count("timeout", t->of[OUTCOME_TIMEOUT]);
	put_count("protocol", t->of[OUTCOME_PROTOCOL]);
	if (t->error[0] != '\0')
		printf("  first: %s\n", t->error);
}

void report_text(const struct outcomes *t, const struct fcgiget_options *o)
{
	if (t->signo != 0)
		printf("ended early by signal %d, after %" PRIu64 " of %d requests\n", t->signo,
		    t->ended, o->requests);
	printf("requests\n");
	put_count("ended", t->ended);
	put_count("failed", outcomes_failures(t));
	put_count("connections", t->connects);
	put_some("sent again", t->resent);
	printf("rate\n");
	put_time("time", t->elapsed);
	printf("  %-18s %.1f\n  %-18s %.0f\n", "requests/s", rate(t, t->ended), "bytes/s",
	    rate(t, t->bytes));
	printf("bytes\n");
	put_count("received", t->bytes);
	put_some("standard error", t->error_bytes);
	put_latencies(&t->latency);
	if (o->action != ACTION_VALUES)
		put_statuses(t);
	put_errors(t);
}

/* ---- JSON ------------------------------------------------------------------------- */

static void json_string(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '"' || byte == '\\')
			printf("\\%c", byte);
		else if (byte < 0x20 || byte >= 0x7f)
			printf("\\u%04x", byte);
		else
			putchar(byte);
	}
	putchar('"');
}

static void json_latencies(const struct latency *l)
{
	if (l->count == 0) {
		printf(",\"latency\":null");
		return;
	}
	printf(",\"latency\":{\"least\":%.6f,\"mean\":%.6f", seconds(l->least),
	    seconds(latency_mean(l)));
	for (size_t i = 0; i < PERCENTILES; i++)
		printf(",\"%s\":%.6f", percentiles[i].name,
		    seconds(latency_percentile(l, percentiles[i].share)));
	printf(",\"max\":%.6f}", seconds(l->most));
}

static void json_statuses(const struct outcomes *t)
{
	printf(",\"status\":{");
	for (int i = 1; i <= 5; i++)
		printf("\"%dxx\":%" PRIu64 ",", i, t->classes[i]);
	printf("\"other\":%" PRIu64 "},\"protocol_status\":{", odd_statuses(t));
	for (unsigned i = 0; i < OUTCOMES_PROTOCOLS; i++)
		printf("%s\"%s\":%" PRIu64, i == 0 ? "" : ",", protocol_name(i), t->protocols[i]);
	printf("},\"app_status_not_0\":%" PRIu64, t->script_failures);
}

static void json_errors(const struct outcomes *t)
{
	printf(",\"errors\":{\"connect\":%" PRIu64 ",\"timeout\":%" PRIu64 ",\"protocol\":%" PRIu64
	       "},\"first_error\":",
	    t->of[OUTCOME_CONNECT], t->of[OUTCOME_TIMEOUT],
	    t->of[OUTCOME_PROTOCOL]);
	if (t->error[0] == '\0')
		printf("null");
	else
		json_string(t->error);
}

void report_json(const struct outcomes *t, const struct fcgiget_options *o)
{
	printf("{\"requests\":%d,\"ended\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"signal\":%d",
	    o->requests, t->ended, outcomes_failures(t), t->signo);
	printf(",\"connections\":%" PRIu64 ",\"sent_again\":%" PRIu64, t->connects, t->resent);
	printf(",\"seconds\":%.6f,\"requests_per_second\":%.1f", seconds(t->elapsed),
	    rate(t, t->ended));
	printf(",\"bytes\":%" PRIu64 ",\"bytes_per_second\":%.0f,\"error_bytes\":%" PRIu64,
	    t->bytes, rate(t, t->bytes), t->error_bytes);
	json_latencies(&t->latency);
	json_statuses(t);
	json_errors(t);
	printf("}\n");
}
