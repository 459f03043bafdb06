/* SPDX-License-Identifier: ISC */
/*
 * handover: the state that a supervisor passes to the program that replaces it on a reload.
 *
 * The new image runs in the same process: the workers stay its children, and the descriptors
 * stay open.  One environment variable, CGIBRIDGE_HANDOVER, lists them, one line each:
 *
 *   pid PID                     the supervisor
 *   lifeline READ WRITE         the workers' lifeline.stop
 *   drain WRITE MS              their lifeline.drain, and the time they take to drain
 *   syslog FACILITY PATH        if its log goes there, so that a failed reload is logged there
 *   board FD READ WRITE WORKERS SCRIPTS LAYOUT   the scoreboard (scoreboard_share())
 *   worker PID NUMBER           one each
 *   socket FD NAME              one each, NAME as in struct listener
 *   file FD DEVICE INODE        after its socket: the socket file that was made for that
 *
 * Before the exec, a child tries the same start and reports whether it would succeed: it gets
 * the variable too, and the pid in it tells it that it is only a trial.
 */
#ifndef CGIBRIDGE_HANDOVER_H
#define CGIBRIDGE_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attributes.h"
#include "stats/scoreboard.h"

/*
 * Two pipes.  Workers hold the read ends, and only the supervisor holds the write ends: it
 * closes one, or the system closes both when it dies.
 */
struct lifeline {
	int stop[2];  /* end of file: stop at once */
	int drain[2]; /* end of file: drain; -1: workers of a version that only knew signals */
};

enum { HANDOVER_WORKERS = 1024, HANDOVER_SOCKETS = 1024 };

struct handover_worker {
	pid_t pid;
	int number;
};

struct handover_socket {
	int fd;           /* -1: taken */
	const char *name; /* borrowed from `text` */
	bool has_file;    /* a socket file was made for it, with this identity */
	dev_t dev;
	ino_t ino;
};

enum handover_role {
	HANDOVER_NONE,  /* an ordinary start */
	HANDOVER_TRIAL, /* only tries whether it could start */
	HANDOVER_HEIR,  /* takes over */
	HANDOVER_DONE,  /* an heir that has taken over */
};

struct handover {
	enum handover_role role;
	char *text; /* owned */
	struct lifeline lifeline;
	int64_t drain_time; /* ms that the workers take to drain, at most; -1: not known */
	int syslog;                /* facility; 0: its log goes to stderr */
	const char *syslog_socket; /* borrowed from `text` */
	struct scoreboard_share board;
	struct handover_worker *workers; /* owned */
	size_t worker_count;
	struct handover_socket *sockets; /* owned */
	size_t socket_count;
};

/* Initialises an empty handover. */
void handover_init(struct handover *handover);

/*
 * Reads the variable and removes it.  If it is missing, malformed or meant for another process,
 * this is an ordinary start.  0, or -1 with errno ENOMEM and the variable still there.
 */
int handover_take(struct handover *handover) MUST_CHECK;

/* Frees the memory; closes no descriptor. */
void handover_fini(struct handover *handover);

/* The socket `name`, or NULL.  A caller that takes over its descriptor sets `fd` to -1. */
struct handover_socket *handover_socket(struct handover *handover, const char *name);

/* Puts `fd`, the descriptor that was taken over, back into the socket `name`. */
void handover_give_back(struct handover *handover, const char *name, int fd);

/* Closes the descriptors of sockets that were not taken over. */
void handover_close_sockets(struct handover *handover);

/*
 * Writes `handover` (except `role` and `text`) to the variable, for the supervisor `pid`.  0,
 * or -1 with errno.
 */
int handover_give(const struct handover *handover, pid_t pid) MUST_CHECK;

/* Removes the variable. */
void handover_withdraw(void);

/* Sets whether the descriptors of `handover` stay open across an exec.  0, or -1 with errno. */
int handover_keep(const struct handover *handover, bool keep) MUST_CHECK;

#endif
