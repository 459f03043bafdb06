/* SPDX-License-Identifier: ISC */
/*
 * preload_private: shared by preload.c and the files that it calls, directly or not: each calls
 * only those before it.  No other file includes it.
 *
 *   preload_state.c    states, and when there is a next process
 *   preload_item.c     scripts
 *   preload_answer.c   what a preloader says
 *   preload_process.c  the conversation, and its end
 *   preload_spawn.c    the start of a process
 */
#ifndef CGIBRIDGE_PRELOAD_PRIVATE_H
#define CGIBRIDGE_PRELOAD_PRIVATE_H

#include "cgi/errlog.h"
#include "cgi/preload.h"
#include "cgi/preload_message.h"

/*
 * A process:
 *
 *   STARTING --"ready"--> READY --"stale"--> RETIRING
 *   all three --exit--> GONE
 *   all three --broken, late, not needed any more--> KILLED --exit--> GONE
 */
enum preload_state {
	PRELOAD_STARTING, /* it loads */
	PRELOAD_READY,
	PRELOAD_RETIRING, /* it starts nothing more, and reports the exits of its scripts */
	PRELOAD_KILLED,   /* its socket is closed */
	PRELOAD_GONE,     /* it is freed after this turn's events */
};

/* What an option stands for: ON has a process, WAITING will have one again. */
enum preloader_state {
	PRELOADER_WAITING,
	PRELOADER_ON,
	PRELOADER_OFF, /* it does not work: not tried again */
};

/* A script that a preloader is to start, or has started. */
struct preload_item {
	struct preload_item *next, *prev;
	unsigned long serial;
	int64_t sent;       /* us, clock_us() */
	int64_t begun;      /* the same: it runs as `pid` since then, or earlier */
	int64_t deadline;   /* loop time by which it has to be answered */
	pid_t pid;          /* 0: not known yet */
	bool ended;         /* at the last look: its exit should be reported soon */
	struct child *child;
	struct preload_process *process; /* NULL: its preloader is gone */
	struct preload_mark *mark;       /* the file's, for "decline" ... */
	unsigned long mark_number;       /* ... unless it is another file's by then */
	char *path;         /* for the log; owned */
	int ours[3];        /* until it is answered */
	preload_answer_fn *answered;
	void *context;
};

struct preload_process {
	struct preload_process *next, *prev;
	struct preloader *preloader;
	enum preload_state state;
	bool proven;        /* it has started a script */
	int noted;          /* in the scoreboard; -1: there was no room */
	int64_t begun;      /* loop time */
	int64_t pinged;     /* the same, while it has not answered that; 0: nothing to answer */
	int64_t retire_by;  /* the same, RETIRING without scripts; 0: not yet */
	unsigned long serial; /* the last one */
	int fd;             /* our end of its socket */
	struct loop_watch socket;
	struct loop_child child;
	struct loop_timer timer; /* READY in time; then the answer to the first that waits */
	struct loop_timer look; /* at its scripts, while it has any */
	struct loop_task free_task;
	struct errlog errlog;
	struct preload_item *first_waiting, *last_waiting; /* not answered, in order */
	struct preload_item *running;
	char *names;        /* of variables, each terminated; owned */
	size_t name_count;
};

struct preloader {
	struct preload *preload;
	enum preloader_state state;
	const struct value_preload *option;
	char *interpreter;  /* owned */
	char **argv;        /* owned; the words are the option's */
	struct preload_process *current; /* only if ON */
	int64_t backoff;    /* ms */
	int failures;       /* processes in a row that have not started any script */
	struct loop_timer respawn;
};

/* What is known of a file, as it was. */
struct preload_mark {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtim, ctim;
	struct preloader *preloader; /* NULL: none starts it */
	unsigned long number; /* 0: free; else different for each file */
	bool bare;           /* no "#!" line, or one without further words: fit for a handler */
	bool by_path;        /* env found its interpreter along PATH */
	bool declined;
	char *switches;      /* words, each terminated; owned, NULL: none */
	size_t switch_count;
};

enum { PRELOAD_MARKS = 1024, PRELOAD_MARK_PROBES = 4 };

struct preload {
	struct preload_parts parts;
	pid_t session;
	char *dir;           /* the worker's working directory; owned, NULL: not known */
	char **envp;         /* of the preloaders; owned, the strings are the environment's */
	struct preloader *preloaders; /* as many as options; owned */
	size_t count;
	struct preload_process *processes; /* all of them */
	struct preload_item *orphans; /* scripts whose preloader is gone: polled */
	struct loop_timer poll;
	struct preload_mark *marks;
	unsigned long mark_count; /* so far */
	unsigned turn;       /* which of the probed marks is replaced next */
	struct buf packet;
	bool stopped;
};

static inline struct loop *preload_loop(const struct preload *preload)
{
	return preload->parts.loop;
}

static inline struct preload *preload_of(const struct preload_process *process)
{
	return process->preloader->preload;
}

/* Whether a message from it is of use. */
static inline bool preload_process_is_heard(const struct preload_process *process)
{
	return process->state < PRELOAD_KILLED;
}

/* ---- preload_state.c -------------------------------------------------------------- */

void preload_process_set_state(struct preload_process *process, enum preload_state state);
void preloader_set_state(struct preloader *preloader, enum preloader_state state);

/*
 * Counts a process that has ended before it had started a script.  Returns whether these are too
 * many now: then it is OFF.
 */
bool preloader_fails(struct preloader *preloader);

/* It has no process that could start scripts: there is a next one after a while.  `age` in ms. */
void preloader_schedule(struct preloader *preloader, int64_t age);

/* The process can start no more scripts: it leaves its place to the next one. */
void preload_process_give_place(struct preload_process *process);

/* Logs that it has ended, or has to be ended, for the reason `how`; counts that it fails. */
void preload_process_report(struct preload_process *process, const char *how);

/* ---- preload_item.c --------------------------------------------------------------- */

void preload_items_init(struct preload *preload);
void preload_item_free(struct preload_item *item);

/* The one of `process` that waits for an answer, and has this number, or NULL. */
struct preload_item *preload_item_find(struct preload_process *process, unsigned long serial);

/* The one in the list from `item` on that runs as process `pid`, or NULL. */
struct preload_item *preload_item_find_pid(struct preload_item *item, pid_t pid);

/* It is not started here: its owner, if it has one, decides what to do.  Frees it. */
void preload_item_answer(struct preload_item *item, struct preload_answer answer);

/* None that waits is started. */
void preload_process_answer_all(struct preload_process *process);

/* Looks from time to time whether the process reports the ends of its scripts. */
void preload_process_watch_exits(struct preload_process *process);

/* It runs as process `pid`: its owner is told. */
void preload_item_begin(struct preload_item *item, pid_t pid);

/* It is in `*list`, and has ended with waitpid(2)'s `status`.  Frees it. */
void preload_item_end(struct preload_item **list, struct preload_item *item, int status);

/* Nobody reports the ends of its scripts any more. */
void preload_process_leave_items(struct preload_process *process);

/* ---- preload_answer.c ------------------------------------------------------------- */

/* Does what follows from a packet; false if it is not one that may come now. */
bool preload_process_handle(struct preload_process *process, const char *packet, size_t len,
    pid_t sender) MUST_CHECK;

/* ---- preload_process.c ------------------------------------------------------------ */

/* Its events; the other members are set. */
void preload_process_init(struct preload_process *process);

/* It runs as `pid`, a child of this process, and has to be ready in time. */
void preload_process_adopt(struct preload_process *process, pid_t pid);

/* Sends `packet` with the descriptors of `item`, which it takes over; 0, or -1 with errno. */
int preload_process_send(struct preload_process *process, struct preload_item *item,
    const struct buf *packet, const int fds[3]) MUST_CHECK;

/* Ends it.  Of its scripts those that have not begun will not be started. */
void preload_process_kill(struct preload_process *process);

/* ---- preload_spawn.c -------------------------------------------------------------- */

/* Starts its first process; `interpreter` and `argv` are set. */
void preloader_start(struct preloader *preloader);

/* Kills all processes; those that have not been answered will not be started. */
void preload_processes_stop(struct preload *preload);

/* Frees them, and all items. */
void preload_processes_free(struct preload *preload);

#endif
