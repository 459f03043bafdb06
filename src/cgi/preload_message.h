/* SPDX-License-Identifier: ISC */
/*
 * preload_message: what a worker and a preloader say to each other (cgibridge-preload(7)).
 *
 * A message is a packet: a sequence of strings, each ended by a NUL.  There is no I/O here.
 */
#ifndef CGIBRIDGE_PRELOAD_MESSAGE_H
#define CGIBRIDGE_PRELOAD_MESSAGE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "base/buf.h"
#include "base/sys.h"

enum {
	PRELOAD_REQUEST_MAX = 128 * 1024, /* bytes of a message to a preloader */
	PRELOAD_ANSWER_MAX = 1024,        /* and of one from it */
};

/* A script to start.  All borrowed. */
struct preload_request {
	unsigned long serial;
	const char *const *switches;
	size_t switch_count;
	const char *dir; /* an absolute path */
	const struct sys_limit *limits;
	size_t limit_count;
	char *const *argv; /* from the script on; NULL at the end */
	char *const *envp;
};

/*
 * Appends "start" to `to`, an empty buffer with a maximum of PRELOAD_REQUEST_MAX.  0, or -1
 * with errno: ENOBUFS if it is too long, ENOMEM.
 */
int preload_message_start(struct buf *to, const struct preload_request *request) MUST_CHECK;

/* "retire" and "ping", with their lengths. */
extern const char preload_message_retire[];
extern const char preload_message_ping[];
enum { PRELOAD_RETIRE_LEN = sizeof "retire", PRELOAD_PING_LEN = sizeof "ping" };

enum preload_verb {
	PRELOAD_IS_READY,
	PRELOAD_HAS_STARTED,
	PRELOAD_HAS_FAILED,
	PRELOAD_DECLINES,
	PRELOAD_HAS_EXITED,
	PRELOAD_IS_STALE,
	PRELOAD_IS_ALIVE,
};

/* A message from a preloader; each verb has those members that it names. */
struct preload_message {
	enum preload_verb verb;
	unsigned long serial;   /* STARTED, FAILED, DECLINES, STALE (0: none) */
	pid_t pid;              /* STARTED, EXITED */
	int status;             /* EXITED: as waitpid(2)'s */
	struct sys_fault fault; /* FAILED */
	const char *reason;     /* DECLINES; in the packet */
	const char *names;      /* READY: name_count strings, in the packet */
	size_t name_count;
};

/* Parses a packet of `len` bytes.  0, or -1 if it is not such a message. */
int preload_message_parse(const char *bytes, size_t len,
    struct preload_message *message) MUST_CHECK;

#endif
