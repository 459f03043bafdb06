/* SPDX-License-Identifier: ISC */
/*
 * conn_index: a table of two levels, the high and the low byte of an id.
 */
#include "bridge/conn_index.h"

#include <assert.h>
#include <stdlib.h>

enum { PAGES = 256, PAGE_SLOTS = 256 };

struct page {
	struct request *slots[PAGE_SLOTS];
	unsigned used;
};

struct conn_index {
	struct page *pages[PAGES]; /* owned; NULL: none of its ids is used */
};

struct conn_index *conn_index_new(void)
{
	return calloc(1, sizeof(struct conn_index));
}

void conn_index_free(struct conn_index **index)
{
	if (*index == NULL)
		return;
	for (size_t i = 0; i < PAGES; i++)
		free((*index)->pages[i]);
	free(*index);
	*index = NULL;
}

struct request *conn_index_find(const struct conn_index *index, uint16_t id)
{
	const struct page *page = index->pages[id / PAGE_SLOTS];

	return page == NULL ? NULL : page->slots[id % PAGE_SLOTS];
}

int conn_index_add(struct conn_index *index, uint16_t id, struct request *request)
{
	struct page **page = &index->pages[id / PAGE_SLOTS];

	if (*page == NULL)
		*page = calloc(1, sizeof **page);
	if (*page == NULL)
		return -1;
	assert((*page)->slots[id % PAGE_SLOTS] == NULL);
	(*page)->slots[id % PAGE_SLOTS] = request;
	(*page)->used++;
	return 0;
}

void conn_index_remove(struct conn_index *index, uint16_t id)
{
	struct page **page = &index->pages[id / PAGE_SLOTS];

	if (conn_index_find(index, id) == NULL)
		return;
	(*page)->slots[id % PAGE_SLOTS] = NULL;
	if (--(*page)->used == 0) {
		free(*page);
		*page = NULL;
	}
}
