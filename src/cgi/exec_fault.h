/* SPDX-License-Identifier: ISC */
/*
 * exec_fault: why a program could not be executed, in words that help.
 *
 * execve(2) says "No such file or directory" of a script that is there.  This looks at the
 * beginning of the file, once it has failed, and names what is wrong with it.
 */
#ifndef CGIBRIDGE_EXEC_FAULT_H
#define CGIBRIDGE_EXEC_FAULT_H

#include <stddef.h>

enum { EXEC_FAULT_MAX = 512 };

/* The HTTP status for an execve(2) of a script that failed with `error`. */
int exec_fault_status(int error);

/*
 * Writes the reason why execve(2) of `program` has failed with `error` to `text`: errno's
 * words and what was found, as "No such file or directory: its interpreter ...".
 */
void exec_fault_describe(const char *program, int error, char text[EXEC_FAULT_MAX]);

#endif
