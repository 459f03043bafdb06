/* SPDX-License-Identifier: ISC */
/*
 * fuzz_bridge: a worker's inside, for targets that send requests; its scripts are those of
 * fuzz_child.h.
 */
#ifndef CGIBRIDGE_FUZZ_BRIDGE_H
#define CGIBRIDGE_FUZZ_BRIDGE_H

#include <stdbool.h>

#include "base/buf.h"
#include "bridge/conn.h"

enum { FUZZ_SLOTS = 3 };

extern struct options options; /* the target sets them before each request */
extern struct loop *loop;      /* NULL until fuzz_bridge_open() */
extern struct scoreboard *board;
extern struct children children;
extern struct request_sink sink;
extern struct left_list left;
extern struct conn_times times;
extern struct conn_owner owner;

/* Makes all of them, for as long as the process lives. */
void fuzz_bridge_open(void);

/* A new connection, from this host or from elsewhere (`tcp`); the client's descriptor. */
int fuzz_bridge_dial(bool tcp);

/* Appends a name-value pair (FastCGI 3.4). */
void fuzz_bridge_add_pair(struct buf *pairs, const char *name, const char *value);

#endif
