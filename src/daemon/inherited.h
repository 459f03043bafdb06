/* SPDX-License-Identifier: ISC */
/*
 * inherited: the listening sockets that came by LISTEN_FDS and LISTEN_PID
 * (sd_listen_fds(3), read here by hand).
 */
#ifndef CGIBRIDGE_INHERITED_H
#define CGIBRIDGE_INHERITED_H

#include <stdbool.h>

#include "base/address.h"
#include "base/attributes.h"

enum { INHERITED_FIRST = 3 }; /* SD_LISTEN_FDS_START */

/* How many sockets LISTEN_FDS says that we have inherited; 0 if it is not for us. */
int inherited_count(void);

/* Removes LISTEN_* from the environment. */
void inherited_forget(void);

/* Whether one of them is bound to `address`. */
bool inherited_has(const struct address *address) MUST_CHECK;

/* Writes "inherited socket N (URL)" to `text`. */
void inherited_text(int fd, char text[ADDRESS_URL_MAX]);

#endif
