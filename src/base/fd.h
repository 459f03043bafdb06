/* SPDX-License-Identifier: ISC */
/*
 * fd: a helper for descriptors of any kind.
 */
#ifndef CGIBRIDGE_FD_H
#define CGIBRIDGE_FD_H

/* Closes `fd`, unless it is negative, and keeps errno: for the way out after an error. */
void close_keeping_errno(int fd);

#endif
