/* SPDX-License-Identifier: ISC */
/*
 * fuzz_handover: the variable that a supervisor finds at its start.  Whatever it says, numbers
 * are in range; and what is written from it says the same when it is read again.
 *
 * Input: the variable, in which "pid P" of the first line becomes our own pid.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/handover.h"
#include "fuzz.h"

static void set_variable(const struct fuzz_input *input)
{
	struct fuzz_input rest = *input;
	char *text = fuzz_text(&rest);
	char *all = malloc(strlen(text) + 64);

	fuzz_require(all != NULL);
	sprintf(all, "pid %ld\nlifeline 900 901\n%s", (long)getpid(), text);
	fuzz_require(setenv("CGIBRIDGE_HANDOVER", all, 1) == 0);
	free(text);
	free(all);
}

static void check_ranges(const struct handover *h)
{
	fuzz_require(h->worker_count <= HANDOVER_WORKERS && h->socket_count <= HANDOVER_SOCKETS);
	fuzz_require(h->drain_time >= -1);
	for (size_t i = 0; i < h->worker_count; i++)
		fuzz_require(h->workers[i].pid > 1); /* it is signalled */
	for (size_t i = 0; i < h->socket_count; i++)
		fuzz_require(h->sockets[i].fd >= 0 && h->sockets[i].name[0] != '\0' &&
		    strchr(h->sockets[i].name, '\n') == NULL);
	fuzz_require(h->syslog == 0 || h->syslog_socket[0] == '/');
}

static void require_same_socket(const struct handover_socket *a, const struct handover_socket *b)
{
	fuzz_require(a->fd == b->fd && strcmp(a->name, b->name) == 0 && a->has_file == b->has_file);
	fuzz_require(!a->has_file || (a->dev == b->dev && a->ino == b->ino));
}

static void require_same(const struct handover *a, const struct handover *b)
{
	fuzz_require(a->worker_count == b->worker_count && a->socket_count == b->socket_count);
	for (size_t i = 0; i < a->worker_count; i++)
		fuzz_require(a->workers[i].pid == b->workers[i].pid &&
		    a->workers[i].number == b->workers[i].number);
	for (size_t i = 0; i < a->socket_count; i++)
		require_same_socket(&a->sockets[i], &b->sockets[i]);
	fuzz_require(a->drain_time == b->drain_time && a->lifeline.stop[0] == b->lifeline.stop[0]);
	fuzz_require(a->board.fd == b->board.fd);
	fuzz_require(a->board.fd < 0 || (a->board.layout == b->board.layout &&
					    a->board.workers == b->board.workers));
	fuzz_require(a->syslog == b->syslog);
	fuzz_require(a->syslog == 0 || strcmp(a->syslog_socket, b->syslog_socket) == 0);
}

/* Takes each socket over and gives it back. */
static void use_sockets(struct handover *h)
{
	for (size_t i = 0; i < h->socket_count; i++) {
		struct handover_socket *found = handover_socket(h, h->sockets[i].name);
		int fd = found == NULL ? -1 : found->fd;

		fuzz_require(found != NULL && strcmp(found->name, h->sockets[i].name) == 0);
		found->fd = -1;
		handover_give_back(h, found->name, fd);
		fuzz_require(found->fd == fd);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len};
	struct handover first, again;

	set_variable(&input);
	fuzz_require(handover_take(&first) == 0 && getenv("CGIBRIDGE_HANDOVER") == NULL);
	check_ranges(&first);
	if (first.role == HANDOVER_HEIR) {
		fuzz_require(handover_give(&first, getpid()) == 0);
		fuzz_require(handover_take(&again) == 0);
		fuzz_require(again.role == HANDOVER_HEIR);
		require_same(&first, &again);
		handover_fini(&again);
		use_sockets(&first);
	}
	handover_fini(&first);
	return 0;
}
