/* SPDX-License-Identifier: ISC */
/*
 * handover: what a supervisor leaves to the program that replaces it on a reload.
 *
 * The new image runs in the same process, so the workers stay its children and the
 * descriptors stay open; which is which is written into one environment variable,
 * CGIBRIDGE_HANDOVER, a line each:
 *
 *   pid PID                     the supervisor
 *   lifeline READ WRITE         the workers' lifeline.stop
 *   drain WRITE MS              their lifeline.drain, and the time they take to drain
 *   syslog FACILITY PATH        if its log goes there: why it is not reloaded, too
 *   board FD READ WRITE WORKERS SCRIPTS LAYOUT   the scoreboard (scoreboard_share())
 *   worker PID NUMBER           one each
 *   socket FD NAME              one each, NAME as in struct listener
 *   file FD DEVICE INODE        after that: the socket file that was made for it
 *
 * Before that, a child tries the same start and says whether it would do: it finds
 * the variable too, and knows by its pid that it is only asked.
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
 * Two pipes of which workers hold the ends to read from, and nobody but the supervisor those
 * to write to: it closes one, or the system does when it dies.
 */
struct lifeline {
	int stop[2];  /* end of file: stop at once */
	int drain[2]; /* end of file: drain; -1: workers of a version that knew only signals */
};

enum { HANDOVER_WORKERS = 1024, HANDOVER_SOCKETS = 1024 };

struct handover_worker {
	pid_t pid;
	int number;
};

struct handover_socket {
	int fd;           /* -1: taken */
	const char *name; /* borrowed from `text` */
	bool has_file;    /* a socket file was made for it: the one with this identity */
	dev_t dev;
	ino_t ino;
};

enum handover_role {
	HANDOVER_NONE,  /* an ordinary start */
	HANDOVER_TRIAL, /* only asked whether it could start */
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

/* Makes `handover` one that has nothing. */
void handover_init(struct handover *handover);

/*
 * Reads the variable and removes it.  What is no handover, or for another process,
 * is an ordinary start.  0, or -1 with errno ENOMEM.
 */
int handover_take(struct handover *handover) MUST_CHECK;

/* Frees the memory; closes no descriptor. */
void handover_fini(struct handover *handover);

/* The socket `name`, or NULL.  Whoever takes its descriptor over sets `fd` to -1. */
struct handover_socket *handover_socket(struct handover *handover, const char *name);

/* Gives the descriptor of the socket `name` back, which had been taken over. */
void handover_give_back(struct handover *handover, const char *name, int fd);

/* Closes the descriptors of sockets that nobody has taken over. */
void handover_close_sockets(struct handover *handover);

/*
 * Sets the variable to what `handover` has (`role` and `text` do not matter) for the
 * supervisor `pid`.  0, or -1 with errno.
 */
int handover_give(const struct handover *handover, pid_t pid) MUST_CHECK;

/* Removes the variable. */
void handover_withdraw(void);

/* Has all descriptors of `handover` stay open over an exec, or not.  0, or -1 with errno. */
int handover_keep(const struct handover *handover, bool keep) MUST_CHECK;

#endif
