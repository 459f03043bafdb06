/* SPDX-License-Identifier: ISC */
/*
 * exec_fault: why a program could not be executed, in words that help.
 *
 * execve(2) says "No such file or directory" even if the script exists.  This looks at the
 * beginning of the file after the failure, and names the cause.
 */
#ifndef CGIBRIDGE_EXEC_FAULT_H
#define CGIBRIDGE_EXEC_FAULT_H

#include "base/attributes.h"

enum {
	EXEC_FAULT_MAX = 512,
	EXEC_FAULT_NAME_MAX = 255, /* bytes of a first line that Linux looks at */
};

enum exec_fault_kind {
	EXEC_FAULT_OTHER, /* errno says all that is known */
	/* ENOENT, for a file that exists */
	EXEC_FAULT_NO_LOADER,
	EXEC_FAULT_NO_INTERPRETER,
	EXEC_FAULT_INTERPRETER_CR,
	EXEC_FAULT_INTERPRETER_RELATIVE,
	EXEC_FAULT_INTERPRETER_BROKEN, /* it exists, but cannot be started itself */
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
	char interpreter[EXEC_FAULT_NAME_MAX + 1]; /* from its first line; "" without one */
};

/* The HTTP status for a script whose execve(2) failed with `error`. */
int exec_fault_status(int error);

/*
 * Writes to `text` why execve(2) of `program` failed with `error`: errno's text and the cause
 * that was found, as in "No such file or directory: its interpreter ...".
 */
void exec_fault_describe(const char *program, int error, char text[EXEC_FAULT_MAX]);

/* The same reason, as a kind. */
void exec_fault_find(const char *program, int error, struct exec_fault *fault);

/*
 * The errno with which execve(2) of `program` by this process's user would fail, as far as can
 * be told without executing it; 0: it should succeed.
 */
int exec_fault_foresee(const char *program) MUST_CHECK;

#endif
