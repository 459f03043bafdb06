/* SPDX-License-Identifier: ISC */
/*
 * supervisor_private: shared by the files of supervisor.  No other file includes it.  Each
 * calls only those below it:
 *
 *   supervisor.c          signals, and messages to the service manager
 *   supervisor_workers.c  forking, respawning, burying
 *   supervisor_reload.c   the trial, and the exec
 *   supervisor_group.c    asking a group of workers to end, more and more firmly
 *   supervisor_state.c    which state may follow which
 */
#ifndef CGIBRIDGE_SUPERVISOR_PRIVATE_H
#define CGIBRIDGE_SUPERVISOR_PRIVATE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/loop.h"
#include "stats/scoreboard.h"
#include "daemon/supervisor.h"

enum supervisor_state {
	SUPERVISOR_STARTING, /* no new worker serves yet; those from before a reload do */
	SUPERVISOR_RUNNING,
	SUPERVISOR_STOPPING, /* until the last child has ended */
};

enum reload_state {
	RELOAD_NONE,
	RELOAD_WAITING,   /* for the workers of the last reload to end */
	RELOAD_TRIAL,     /* a child tries whether the new image starts */
	RELOAD_OUTDATED,  /* likewise, but HUP came since: if it fails, another trial is due */
	RELOAD_CANCELLED, /* the service stops: the child was killed, and has not ended yet */
};

enum group_state {
	GROUP_SERVING,
	GROUP_DRAINING, /* asked to drain */
	GROUP_QUITTING, /* asked to stop at once */
	GROUP_KILLED,   /* not asked any more */
};

enum process_state {
	PROCESS_NONE,     /* no process: not forked yet, or ended */
	PROCESS_STARTING, /* forked */
	PROCESS_SERVING,  /* it has reported that it serves */
	PROCESS_KILLED,   /* by --watchdog */
};

struct worker_group;

/* A worker's place in its group. */
struct worker_process {
	struct worker_group *group;
	int number;
	enum process_state state;
	struct loop_child child; /* valid while there is a process; has its pid */
	struct loop_timer respawn;
	int64_t started;
	int64_t backoff; /* ms */
};

/* Workers that were forked by one image of the program. */
struct worker_group {
	struct supervisor *supervisor;
	enum group_state state;
	struct worker_process *processes;
	size_t count;
	size_t alive;
	struct scoreboard *board; /* NULL: it cannot be read */
	struct lifeline lifeline;
	int64_t drain_time;    /* ms that its workers take to drain, at most */
	struct loop_timer end; /* the next, firmer request */
};

struct reload {
	enum reload_state state;
	char *program; /* absolute path; owned */
	char **argv;   /* main()'s */
	struct loop_child trial;
	struct loop_timer trial_end;
};

struct supervisor {
	const struct options *options;
	struct listeners *listeners;
	struct handover *handover; /* received; its sockets are closed once a worker serves */
	struct loop *loop;
	enum supervisor_state state;
	struct worker_group workers;     /* as many as options->workers */
	struct worker_group old_workers; /* from before a reload: not replaced */
	struct loop_watch ready; /* workers report their number here when they serve ... */
	int ready_end;           /* ... by writing it to this end */
	struct reload reload;
	struct loop_timer tick;
	struct loop_timer retry; /* in supervisor_hold(): the next reload */
	int64_t watchdog; /* the service manager's, ms; 0: none */
	int64_t fed;      /* loop time of the last WATCHDOG=1 */
	int64_t paused;   /* ms of pauses, at the last check of the workers ... */
	int64_t resumed;  /* ... and when they were last seen to grow; loop_clock() time */
	char status[128]; /* the last status text sent */
};

/* ---- supervisor_state.c ---------------------------------------------------------- */

/* Each asserts that the new state may follow the old one. */
void supervisor_set_state(struct supervisor *supervisor, enum supervisor_state state);
void reload_set_state(struct reload *reload, enum reload_state state);
void group_set_state(struct worker_group *group, enum group_state state);
void process_set_state(struct worker_process *process, enum process_state state);

/* A child has ended: if it was the last one and the service stops, stops the loop. */
void supervisor_check_end(struct supervisor *supervisor);

/* ---- supervisor_group.c ---------------------------------------------------------- */

void group_init(struct worker_group *group, struct supervisor *supervisor);
void group_fini(struct worker_group *group);

/* In a forked process: closes the lifelines' write ends, or the workers would never end. */
void group_disown(struct worker_group *group);

/* Sends `signo` to all; false, with errno, if one could not be sent. */
bool group_signal(const struct worker_group *group, int signo);

/*
 * Asks all to drain, or to stop at once: by a signal and, since a container may forbid signals,
 * through their lifeline.  When their time is up, they are asked more firmly, and finally killed.
 * To ask again, or for less, changes nothing.
 */
void group_drain(struct worker_group *group);
void group_quit(struct worker_group *group);

/* ---- supervisor_reload.c --------------------------------------------------------- */

/* `argv` is main()'s.  0, or -1 with errno. */
int reload_init(struct supervisor *supervisor, char **argv) MUST_CHECK;
void reload_fini(struct supervisor *supervisor);

/* Begins a reload, or queues it until its turn comes. */
void reload_begin(struct supervisor *supervisor);

/* A worker has ended: begins a waiting reload, if that was what it waited for. */
void reload_resume(struct supervisor *supervisor);

/* The service stops: cancels a reload, and kills its trial. */
void reload_cancel(struct supervisor *supervisor);

/* ---- supervisor_workers.c -------------------------------------------------------- */

/* Makes the groups, with room for those in `handover`.  0, or -1 with errno. */
int workers_init(struct supervisor *supervisor) MUST_CHECK;
void workers_fini(struct supervisor *supervisor);

/* Takes over the old workers, and their scoreboard if it can be read.  Cannot fail. */
void workers_adopt(struct supervisor *supervisor);

/* Forks them all; those that cannot be forked are tried again. */
void workers_start(struct supervisor *supervisor);

/*
 * If no old worker is alive any more, logs that and frees what the group holds: its scoreboard
 * and its pipes.  After a reload that found none alive, this is so from the start.
 */
void workers_free_old(struct supervisor *supervisor);

/* Worker `number` has reported that it serves. */
void workers_serve(struct supervisor *supervisor, int number);

/*
 * Kills workers that have been silent for --watchdog; returns whether at least one is well: it
 * serves, or the first ones are still starting, and it has given a sign of life.
 */
bool workers_look(struct supervisor *supervisor);

#endif
