/* SPDX-License-Identifier: ISC */
/*
 * inherited: the listening sockets announced by LISTEN_FDS and LISTEN_PID (sd_listen_fds(3),
 * implemented here).
 */
#ifndef CGIBRIDGE_INHERITED_H
#define CGIBRIDGE_INHERITED_H

#include <stdbool.h>

#include "base/address.h"
#include "base/attributes.h"

enum { INHERITED_FIRST = 3 }; /* SD_LISTEN_FDS_START */

/* The number of inherited sockets in LISTEN_FDS; 0 if that is not meant for this process. */
int inherited_count(void);

/* Removes LISTEN_* from the environment. */
void inherited_forget(void);

/* Whether one of them is bound to `address`. */
bool inherited_has(const struct address *address) MUST_CHECK;

/* Writes "inherited socket N (URL)" to `text`. */
void inherited_text(int fd, char text[ADDRESS_URL_MAX]);

#endif
