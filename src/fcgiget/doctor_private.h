/* SPDX-License-Identifier: ISC */
/*
 * doctor_private: what doctor.c and the doctor_*.c have of each other.  Nobody else includes it.
 */
#ifndef CGIBRIDGE_DOCTOR_PRIVATE_H
#define CGIBRIDGE_DOCTOR_PRIVATE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/sys.h"
#include "fcgiget/answer.h"
#include "fcgiget/client.h"
#include "fcgiget/fcgiget_options.h"

struct doctor {
	const struct fcgiget_options *options;
	char path[PATH_MAX]; /* the script's, absolute */
	char user[80];       /* as whom it is looked at */
	int faults;
	int cures;           /* of the last fault */
};

/* ---- doctor_report.c ---------------------------------------------------------- */

/* A line about `what` that is as it should be, that may matter, that is at fault. */
void doctor_ok(const char *what, const char *fmt, ...) PRINTF_LIKE(2, 3);
void doctor_note(const char *what, const char *fmt, ...) PRINTF_LIKE(2, 3);
void doctor_fault(struct doctor *doctor, const char *what, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* What to do about the last fault; the likeliest cure comes first. */
void doctor_cure(struct doctor *doctor, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Lines that the script has written, each behind a bar: up to `most` of the `len` bytes. */
void doctor_quote(const char *bytes, size_t len, int most);

/* ---- doctor_run.c ------------------------------------------------------------- */

enum { DOCTOR_KEPT_MAX = 2000 };

/* The beginning of what came. */
struct doctor_text {
	char bytes[DOCTOR_KEPT_MAX + 1];
	size_t len;
	uint64_t all; /* bytes that came */
};

enum doctor_end {
	DOCTOR_ENDED,      /* the script has exited */
	DOCTOR_TIMED_OUT,
	DOCTOR_HELD,       /* it has exited, something it started holds its output */
	DOCTOR_NOT_BEGUN,  /* no process, or no connection: `error` */
	DOCTOR_BROKEN_OFF, /* the server did not end the request: `why_text` */
};

/* One run of the script, or what the server made of it. */
struct doctor_run {
	enum doctor_end end;
	bool local;
	int error;
	struct sys_fault fault; /* local, not begun */
	char why_text[CLIENT_ERROR_MAX]; /* broken off */
	uint32_t app_status;
	unsigned protocol_status;
	int64_t time; /* ms */
	struct answer answer;
	int answer_error; /* errno of answer_take(); 0: none */
	struct doctor_text output, errors;
	uint64_t body; /* bytes behind the header block */
};

/* To be given to doctor_run_fini(). */
void doctor_run_init(struct doctor_run *run);
void doctor_run_fini(struct doctor_run *run);

/* Adds bytes of the script's output. */
void doctor_run_output(struct doctor_run *run, const void *bytes, size_t len);

/* Adds bytes of its standard error. */
void doctor_run_errors(struct doctor_run *run, const void *bytes, size_t len);

/* Runs the script in this process's place, or through the server.  0, or -1 with errno. */
int doctor_run_here(struct doctor_run *run, const struct doctor *doctor) MUST_CHECK;
int doctor_run_there(struct doctor_run *run, const struct doctor *doctor) MUST_CHECK;

/* ---- doctor_file.c ------------------------------------------------------------ */

/* Looks at each directory up the path, and at the file; false if it cannot run. */
bool doctor_examine_path(struct doctor *doctor) MUST_CHECK;

/* What an execve(2) that failed with `error` has met. */
void doctor_explain_exec(struct doctor *doctor, int error);

/* ---- doctor_judge.c ----------------------------------------------------------- */

/* Says what the run has shown. */
void doctor_judge(struct doctor *doctor, const struct doctor_run *run);

#endif
