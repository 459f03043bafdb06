/* SPDX-License-Identifier: ISC */
/*
 * status_private: shared by status.c and the status_*.c; no other file includes it.  They are
 * a chain, each calls those before it: status_snapshot, the forms (status_text, _json,
 * _metrics, _html), status.
 */
#ifndef CGIBRIDGE_STATUS_PRIVATE_H
#define CGIBRIDGE_STATUS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/escape.h"
#include "stats/status.h"

/* ---- numbers ------------------------------------------------------------- */

enum status_value {
	STATUS_START_TIME,
	STATUS_UPTIME,
	STATUS_WORKERS,
	STATUS_CONNECTIONS,
	STATUS_IDLE,
	STATUS_ACTIVE,
	STATUS_QUEUED,
	STATUS_MAX_QUEUE,
	STATUS_RUNNING,
	STATUS_MAX_SCRIPTS,
	STATUS_ACCEPTED,
	STATUS_REQUESTS,
	STATUS_2XX,
	STATUS_3XX,
	STATUS_4XX,
	STATUS_5XX,
	STATUS_OTHER,
	STATUS_REFUSED,
	STATUS_SPAWNED,
	STATUS_SPAWN_FAILURES,
	STATUS_PRELOADED,
	STATUS_BYPASSES,
	STATUS_PRELOADERS,
	STATUS_FAILED,
	STATUS_TIMEOUTS,
	STATUS_KILLS,
	STATUS_LOST,
	STATUS_BYTES_IN,
	STATUS_BYTES_OUT,
	STATUS_PAGES,
	STATUS_RESPAWNS,
	STATUS_VALUES,
};

struct status_name {
	const char *name;   /* in text and JSON */
	const char *family; /* in OpenMetrics; NULL: the same */
	const char *class;  /* the value of its label "class"; NULL: none */
	bool grows;         /* it counts events */
	const char *help;
};

extern const struct status_name status_names[STATUS_VALUES];
extern const char *const status_time_names[TALLY_TIMES];

/* ---- the snapshot -------------------------------------------------------- */

enum { STATUS_LIST_MAX = 256, STATUS_WORKERS_MAX = 1024 };

struct status_snapshot {
	const struct status_source *source;
	uint64_t values[STATUS_VALUES];
	struct tally_sum sum;
	struct {
		int64_t started;
		int slot;
	} oldest[STATUS_LIST_MAX]; /* the oldest scripts, in order */
	int listed;                /* how many of them are listed */
	int running;               /* all scripts */
	int scripts[STATUS_WORKERS_MAX]; /* of each worker */
};

/* A worker, and a script, as the lists show them. */
struct status_worker {
	struct scoreboard_worker info;
	struct tally_sum sum;
	const char *state;
	int64_t age; /* ms */
	int scripts;
};

struct status_script {
	struct scoreboard_script slot;
	const char *state;
	int64_t age;     /* ms */
	int64_t started; /* ms since 1970 */
	bool slow;       /* older than --slow-log */
};

/* Reads the numbers and lists as they are now. */
void status_snapshot(struct status_snapshot *snapshot, const struct status_source *source);

void status_worker(
    const struct status_snapshot *snapshot, int number, struct status_worker *worker);

/* Describes script `i` of the list; false if it has gone meanwhile. */
bool status_script(const struct status_snapshot *snapshot, int i, struct status_script *script);

/* How many times of a kind have been counted. */
uint64_t status_timed(const struct status_snapshot *snapshot, enum tally_time time);

/* ---- writing ------------------------------------------------------------- */

/* A page being written; one failed write spoils it. */
struct status_page {
	struct buf *out;
	bool failed;
};

void status_put(struct status_page *page, const char *fmt, ...) PRINTF_LIKE(2, 3);
void status_put_escaped(struct status_page *page, const char *text, escape_fn *escape);
void status_put_bytes(struct status_page *page, const char *bytes, size_t len);

/* Writes `us` microseconds as seconds, without trailing zeroes. */
void status_put_seconds(struct status_page *page, uint64_t us);

/* Whether one more worker, or script, fits. */
bool status_has_room(const struct status_page *page, bool is_worker);

/* ---- the forms ----------------------------------------------------------- */

void status_text(struct status_page *page, const struct status_snapshot *snapshot);
void status_json(struct status_page *page, const struct status_snapshot *snapshot);
void status_metrics(struct status_page *page, const struct status_snapshot *snapshot);
void status_html(struct status_page *page);

#endif
