/* SPDX-License-Identifier: ISC */
/*
 * preload_private: shared by preload.c and preload_process.c, which the former calls.  No other
 * file includes it.
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

/* ---- preload_process.c ------------------------------------------------------------ */

void preload_processes_init(struct preload *preload);

/* Starts its first process; `interpreter` and `argv` are set. */
void preloader_start(struct preloader *preloader);

/* Sends `packet` with the descriptors of `item`, which it takes over; 0, or -1 with errno. */
int preload_process_send(struct preload_process *process, struct preload_item *item,
    const struct buf *packet, const int fds[3]) MUST_CHECK;

/* Kills all processes; those that have not been answered will not be started. */
void preload_processes_stop(struct preload *preload);

/* Frees them, and all items. */
void preload_processes_free(struct preload *preload);

void preload_item_free(struct preload_item *item);

#endif
