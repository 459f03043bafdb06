/* SPDX-License-Identifier: ISC */
/*
 * What the processes of a walk share: the file CONTROL.  tests/faults/run writes `fault`, and
 * reads the rest.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stdint.h>

enum { CONTROL_CALLS = 512, CALL_MALLOC = CONTROL_CALLS - 1 };

enum role {
	ROLE_SUPERVISOR,
	ROLE_WORKER,
	ROLE_TRIAL, /* another child of the supervisor: also a worker until its setsid() */
	ROLE_CHILD, /* a child of one of those: a script until its exec */
	ROLE_NONE
};

struct control {
	/* the fault: calls number `first` to `last`, counted from 1, of the role */
	volatile int32_t on;
	volatile int32_t call, role, error, first, last;
	/* what has been seen of it */
	volatile int32_t seen, failed;
	/* between the two processes of inject */
	volatile int32_t supervisor, listener, taken;
	volatile int32_t counts[ROLE_NONE][CONTROL_CALLS];
};

/* What this call of `role` gets: 0, or an error. */
static inline int control_fault(struct control *control, enum role role, int call)
{
	int32_t seen;

	if (!control->on || call != control->call || (int32_t)role != control->role)
		return 0;
	seen = __atomic_add_fetch(&control->seen, 1, __ATOMIC_SEQ_CST);
	if (seen < control->first || seen > control->last)
		return 0;
	__atomic_add_fetch(&control->failed, 1, __ATOMIC_SEQ_CST);
	return control->error;
}

#endif
