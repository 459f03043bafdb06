/* SPDX-License-Identifier: ISC */
/*
 * fd: what is done with any descriptor.
 */
#ifndef CGIBRIDGE_FD_H
#define CGIBRIDGE_FD_H

/* Closes `fd`, unless it is negative, on the way out after an error: errno stays. */
void close_keeping_errno(int fd);

#endif
