/* SPDX-License-Identifier: ISC */
/*
 * exec_fault: why a program could not be executed, in words that help.
 *
 * execve(2) says "No such file or directory" of a script that is there.  This looks at the
 * beginning of the file, once it has failed, and names what is wrong with it.
 */
#ifndef CGIBRIDGE_EXEC_FAULT_H
#define CGIBRIDGE_EXEC_FAULT_H

#include "base/attributes.h"

enum {
	EXEC_FAULT_MAX = 512,
	EXEC_FAULT_NAME_MAX = 255, /* more than this of a first line Linux does not look at */
};

enum exec_fault_kind {
	EXEC_FAULT_OTHER, /* errno says all that is known */
	/* ENOENT, of a file that is there */
	EXEC_FAULT_NO_LOADER,
	EXEC_FAULT_NO_INTERPRETER,
	EXEC_FAULT_INTERPRETER_CR,
	EXEC_FAULT_INTERPRETER_RELATIVE,
	EXEC_FAULT_INTERPRETER_BROKEN, /* it is there, but what it needs is not */
	/* EACCES */
	EXEC_FAULT_NOT_EXECUTABLE,
	EXEC_FAULT_INTERPRETER_DENIED,
	EXEC_FAULT_NOEXEC,
	/* ENOEXEC */
	EXEC_FAULT_EMPTY,
	EXEC_FAULT_BOM,
	EXEC_FAULT_UTF16,
	EXEC_FAULT_MACHINE,
	EXEC_FAULT_NO_NAME,
	EXEC_FAULT_LATE_MARK,
	EXEC_FAULT_NO_MARK,
	/* E2BIG */
	EXEC_FAULT_TOO_LARGE,
};

struct exec_fault {
	enum exec_fault_kind kind;
	char interpreter[EXEC_FAULT_NAME_MAX + 1]; /* of its first line; "" without one */
};

/* The HTTP status for an execve(2) of a script that failed with `error`. */
int exec_fault_status(int error);

/*
 * Writes the reason why execve(2) of `program` has failed with `error` to `text`: errno's
 * words and what was found, as "No such file or directory: its interpreter ...".
 */
void exec_fault_describe(const char *program, int error, char text[EXEC_FAULT_MAX]);

/* The same reason, as a kind. */
void exec_fault_find(const char *program, int error, struct exec_fault *fault);

/*
 * The errno that execve(2) of `program`, as this process's user, would fail with, by what can
 * be seen from outside; 0: none.
 */
int exec_fault_foresee(const char *program) MUST_CHECK;

#endif
