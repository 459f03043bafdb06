/* SPDX-License-Identifier: ISC */
/*
 * supervisor_private: what supervisor.c, supervisor_workers.c and supervisor_reload.c
 * have of each other.  Nobody else includes it.
 */
#ifndef CGIBRIDGE_SUPERVISOR_PRIVATE_H
#define CGIBRIDGE_SUPERVISOR_PRIVATE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/loop.h"
#include "stats/scoreboard.h"
#include "daemon/supervisor.h"

enum supervisor_state { SUPERVISOR_RUNNING, SUPERVISOR_DRAINING, SUPERVISOR_STOPPING };

enum reload_state {
	RELOAD_NONE,
	RELOAD_WAITING, /* for the workers of the last one */
	RELOAD_TRIAL,   /* a child tries whether the new image starts */
};

/* A worker's place; its worker may be between two lives. */
struct slot {
	struct supervisor *supervisor;
	int number;
	pid_t pid; /* 0: none runs */
	bool veteran; /* of the image before us: drains, and is not replaced */
	struct loop_child process;
	struct loop_timer respawn;
	int64_t started;
	int64_t backoff; /* ms */
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
	struct scoreboard *board;
	struct scoreboard *old_board; /* the veterans'; NULL: none, or it cannot be read */
	struct loop *loop;
	enum supervisor_state state;
	struct slot *slots;    /* as many as options->workers */
	struct slot *veterans;
	size_t veteran_count;
	int alive;             /* of all */
	int veterans_alive;
	int lifeline[2]; /* workers hold the reading end: end of file when we are gone */
	struct reload reload;
	struct loop_timer stop;
	struct loop_timer veterans_end;
	struct loop_timer tick;
	int64_t watchdog; /* the service manager's, ms; 0: none */
	int64_t fed;      /* when it was last told */
	int64_t paused;   /* ms that we had been paused when the workers were last looked at ... */
	int64_t resumed;  /* ... and when we saw that it had become more; loop_clock() time */
	char status[128]; /* what it was last told */
};

/* ---- supervisor_workers.c -------------------------------------------------------- */

/* Makes the slots, and those of the veterans in `handover`.  0, or -1 with errno. */
int workers_init(struct supervisor *supervisor, const struct handover *handover) MUST_CHECK;
void workers_fini(struct supervisor *supervisor);

/* Starts a worker in each slot; then the veterans drain. */
void workers_start(struct supervisor *supervisor);

/* Stops respawning; sends `signo` to all workers. */
void workers_stop(struct supervisor *supervisor, int signo);
void workers_signal(const struct supervisor *supervisor, int signo);

/* Kills workers that have been silent for --watchdog; whether all others are well. */
bool workers_are_well(struct supervisor *supervisor);

/* ---- supervisor_reload.c --------------------------------------------------------- */

/* `argv` is main()'s.  0, or -1 with errno. */
int reload_init(struct supervisor *supervisor, char **argv) MUST_CHECK;
void reload_fini(struct supervisor *supervisor);

/* Begins a reload, or has it wait for its turn. */
void reload_begin(struct supervisor *supervisor);

/* The last veteran is gone: what has waited goes on. */
void reload_resume(struct supervisor *supervisor);

/* ---- supervisor.c ---------------------------------------------------------------- */

/* A worker has gone while stopping: was it the last one? */
void supervisor_check_end(struct supervisor *supervisor);

#endif
