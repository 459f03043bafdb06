/* SPDX-License-Identifier: ISC */
/*
 * doctor_private: shared by doctor.c and the doctor_*.c files.  No other file includes it.
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
	char user[80];       /* the user as whom it is examined */
	int faults;
	int cures;           /* of the last fault */
};

/* ---- doctor_report.c ---------------------------------------------------------- */

/* Print a line about `what`: it is all right, it may matter, it is at fault. */
void doctor_ok(const char *what, const char *fmt, ...) PRINTF_LIKE(2, 3);
void doctor_note(const char *what, const char *fmt, ...) PRINTF_LIKE(2, 3);
void doctor_fault(struct doctor *doctor, const char *what, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Prints a cure for the last fault; the likeliest one comes first. */
void doctor_cure(struct doctor *doctor, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Prints up to `most` lines of the script's `len` bytes of output, each after a bar. */
void doctor_quote(const char *bytes, size_t len, int most);

/* ---- doctor_run.c ------------------------------------------------------------- */

enum { DOCTOR_KEPT_MAX = 2000 };

/* The beginning of a stream. */
struct doctor_text {
	char bytes[DOCTOR_KEPT_MAX + 1];
	size_t len;
	uint64_t all; /* bytes of the whole stream */
};

enum doctor_end {
	DOCTOR_ENDED,      /* the script has exited */
	DOCTOR_TIMED_OUT,
	DOCTOR_HELD,       /* it has exited, a process it started holds its output */
	DOCTOR_NOT_BEGUN,  /* no process, or no connection: `error` */
	DOCTOR_BROKEN_OFF, /* the server did not end the request: `why_text` */
};

/* One run of the script, here or by the server. */
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
	int answer_error; /* errno of answer_read_header(); 0: none */
	struct doctor_text output, errors;
	uint64_t body; /* bytes after the header block */
};

/* Has to be followed by doctor_run_fini(). */
void doctor_run_init(struct doctor_run *run);
void doctor_run_fini(struct doctor_run *run);

/* Adds bytes of the script's output. */
void doctor_run_output(struct doctor_run *run, const void *bytes, size_t len);

/* Adds bytes of its standard error. */
void doctor_run_errors(struct doctor_run *run, const void *bytes, size_t len);

/* Runs the script as a child of this process, or through the server.  0, or -1 with errno. */
int doctor_run_here(struct doctor_run *run, const struct doctor *doctor) MUST_CHECK;
int doctor_run_there(struct doctor_run *run, const struct doctor *doctor) MUST_CHECK;

/* ---- doctor_file.c ------------------------------------------------------------ */

/* Checks each directory of the path, and the file; false if it cannot run. */
bool doctor_examine_path(struct doctor *doctor) MUST_CHECK;

/* Explains why execve(2) of the script failed with `error`. */
void doctor_explain_exec(struct doctor *doctor, int error);

/* ---- doctor_judge.c ----------------------------------------------------------- */

/* Prints the findings of a run. */
void doctor_judge(struct doctor *doctor, const struct doctor_run *run);

#endif
