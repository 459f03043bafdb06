/* SPDX-License-Identifier: ISC */
/*
 * conn_index: the requests of a connection that has many, by id.
 *
 * The client chooses the ids, and hashing them would let it force collisions: each id has a
 * place of its own, in one of 256 pages that exist only while they are used.  Finding, adding
 * and removing take the same time for all ids, and memory grows with the requests: about 2 KiB
 * for each at most, and 0.5 MiB in all.
 */
#ifndef CGIBRIDGE_CONN_INDEX_H
#define CGIBRIDGE_CONN_INDEX_H

#include <stdint.h>

#include "base/attributes.h"

struct conn_index;
struct request;

/* An empty index; NULL with errno ENOMEM. */
struct conn_index *conn_index_new(void) MUST_CHECK;
void conn_index_free(struct conn_index **index);

/* The request that was added with `id`, or NULL. */
struct request *conn_index_find(const struct conn_index *index, uint16_t id);

/* Adds `request`, borrowed, under `id`, which must be unused.  0, or -1 with errno ENOMEM. */
int conn_index_add(struct conn_index *index, uint16_t id, struct request *request) MUST_CHECK;

/* Removes the request that was added with `id`, if any. */
void conn_index_remove(struct conn_index *index, uint16_t id);

#endif
