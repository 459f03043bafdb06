/* SPDX-License-Identifier: ISC */
/*
 * list: doubly linked lists through the members `next` and `prev` of their elements.
 *
 * A list is a pointer to its first element or, with LIST2, one to the first and one to the
 * last; they are NULL when it is empty.  `next` and `prev` of a removed element are NULL, too.
 * Nothing is allocated.  Arguments are evaluated more than once.
 */
#ifndef CGIBRIDGE_LIST_H
#define CGIBRIDGE_LIST_H

#define LIST_PREPEND(first, item)               \
	do {                                    \
		(item)->prev = NULL;            \
		(item)->next = (first);         \
		if ((first) != NULL)            \
			(first)->prev = (item); \
		(first) = (item);               \
	} while (0)

#define LIST_REMOVE(first, item)                            \
	do {                                                \
		if ((item)->next != NULL)                   \
			(item)->next->prev = (item)->prev;  \
		if ((item)->prev != NULL)                   \
			(item)->prev->next = (item)->next;  \
		else                                        \
			(first) = (item)->next;             \
		(item)->next = (item)->prev = NULL;         \
	} while (0)

#define LIST2_PREPEND(first, last, item) \
	do {                             \
		if ((last) == NULL)      \
			(last) = (item); \
		LIST_PREPEND(first, item); \
	} while (0)

#define LIST2_APPEND(first, last, item)        \
	do {                                   \
		(item)->next = NULL;           \
		(item)->prev = (last);         \
		if ((last) != NULL)            \
			(last)->next = (item); \
		else                           \
			(first) = (item);      \
		(last) = (item);               \
	} while (0)

#define LIST2_REMOVE(first, last, item)        \
	do {                                   \
		if ((last) == (item))          \
			(last) = (item)->prev; \
		LIST_REMOVE(first, item);      \
	} while (0)

#endif
