/* SPDX-License-Identifier: ISC */
/*
 * request_list: requests of one owner, in a ring: the last one precedes the first.
 */
#include "bridge/request_private.h"

void request_list_add(struct request_list *list, struct request *request)
{
	struct request *first = list->first;

	if (first == NULL) {
		list->first = request->next = request->prev = request;
		return;
	}
	request->next = first;
	request->prev = first->prev;
	first->prev->next = request;
	first->prev = request;
}

void request_list_remove(struct request_list *list, struct request *request)
{
	if (request->next == request) {
		list->first = NULL;
		return;
	}
	request->next->prev = request->prev;
	request->prev->next = request->next;
	if (list->first == request)
		list->first = request->next;
}

struct request *request_list_rotate(struct request_list *list)
{
	struct request *first = list->first;

	if (first != NULL)
		list->first = first->next;
	return first;
}

struct request *request_list_next(const struct request_list *list, const struct request *request)
{
	return request->next == list->first ? NULL : request->next;
}

struct request *request_list_find(const struct request_list *list, uint16_t id)
{
	struct request *at = list->first;

	while (at != NULL && at->id != id)
		at = request_list_next(list, at);
	return at;
}
