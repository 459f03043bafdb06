/* SPDX-License-Identifier: ISC */
/*
 * scoreboard: cells, seats, the wake-up pipe, and cards.
 */
#include "scoreboard.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sys.h"

/* One script that may run. */
struct cell {
	atomic_int owner; /* 0: free; else the worker's number + 1 */
	atomic_int pid;   /* 0 until the script's process has set it */
};

/* What a worker says of itself. */
struct seat {
	atomic_int waiting;     /* requests */
	atomic_int connections;
	atomic_llong beat;      /* ms of the monotonic clock */
	atomic_int pid;         /* 0: nobody sits here */
	atomic_int starts;
	atomic_llong started;   /* ms of the monotonic clock */
	struct tally tally;
};

enum { CARD_WORDS = (sizeof(struct scoreboard_card) + sizeof(long) - 1) / sizeof(long) };

/* A card in one piece, and word by word. */
union words {
	struct scoreboard_card card;
	unsigned long words[CARD_WORDS];
};

/*
 * A card as it is shared.  The owner of the cell makes `version` odd, writes, and makes
 * it even.  Who reads between two equal even versions has read one card.
 */
struct shown {
	atomic_uint version;
	atomic_int state; /* enum scoreboard_state */
	atomic_ulong words[CARD_WORDS];
};

struct shared {
	atomic_int running;
	atomic_int respawns;       /* inherited */
	atomic_llong since, made;  /* ms, since 1970 and monotonic */
	struct tally inherited;
	struct cell cells[];
};

struct scoreboard {
	struct shared *shared;
	struct seat *seats;  /* one a worker, behind the cells */
	struct shown *shown; /* one a cell, behind the seats */
	int fd; /* of the shared memory; -1: it has none */
	size_t size;
	int workers, scripts;
	int next; /* where this process looks for a free cell first */
	int wake[2];
};

static int open_wake(struct scoreboard *board)
{
	if (sys_pipe(board->wake, SYS_PIPE_READ) != 0)
		return -1;
	return sys_nonblock(board->wake[1]);
}

/* The parts of the shared memory, each where any type may start. */
static size_t aligned(size_t size)
{
	return (size + 63) / 64 * 64;
}

static size_t place_of_seats(int scripts)
{
	return aligned(sizeof(struct shared) + (size_t)scripts * sizeof(struct cell));
}

static size_t place_of_shown(int workers, int scripts)
{
	return place_of_seats(scripts) + aligned((size_t)workers * sizeof(struct seat));
}

/* The sizes of what is shared, and the order that this version has it in. */
static unsigned layout(void)
{
	const unsigned order = 3;

	return order << 28 | (unsigned)sizeof(struct seat) << 14 |
	    (unsigned)(sizeof(struct shown) + sizeof(struct cell) + sizeof(struct shared));
}

static int64_t clock_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct scoreboard *make(int workers, int scripts)
{
	struct scoreboard *board = calloc(1, sizeof *board);

	if (board == NULL)
		return NULL;
	*board = (struct scoreboard){
	    .fd = -1, .workers = workers, .scripts = scripts, .wake = {-1, -1}};
	board->size = place_of_shown(workers, scripts) + (size_t)scripts * sizeof(struct shown);
	return board;
}

/* Without a descriptor, a reload goes on without what was shared: no reason not to start. */
static void *map_new(struct scoreboard *board)
{
	board->fd = sys_shared_file(board->size);
	if (board->fd < 0)
		return sys_shared_alloc(board->size);
	return sys_shared_map(board->fd, board->size);
}

static void find_parts(struct scoreboard *board)
{
	char *base = (char *)board->shared;

	board->seats = (void *)(base + place_of_seats(board->scripts));
	board->shown = (void *)(base + place_of_shown(board->workers, board->scripts));
}

struct scoreboard *scoreboard_new(int workers, int scripts)
{
	struct scoreboard *board = make(workers, scripts);

	if (board == NULL)
		return NULL;
	board->shared = map_new(board);
	if (board->shared == NULL || open_wake(board) != 0) {
		scoreboard_free(&board);
		return NULL;
	}
	find_parts(board);
	atomic_store(&board->shared->since, clock_ms(CLOCK_REALTIME));
	atomic_store(&board->shared->made, clock_ms(CLOCK_MONOTONIC));
	return board;
}

struct scoreboard_share scoreboard_share(const struct scoreboard *board)
{
	return (struct scoreboard_share){.fd = board->fd,
	    .wake = {board->wake[0], board->wake[1]},
	    .workers = board->workers,
	    .scripts = board->scripts,
	    .layout = layout()};
}

struct scoreboard *scoreboard_adopt(const struct scoreboard_share *share)
{
	struct scoreboard *board = make(share->workers, share->scripts);

	if (board == NULL)
		return NULL;
	board->fd = share->fd;
	board->wake[0] = share->wake[0];
	board->wake[1] = share->wake[1];
	errno = EPROTO;
	if (share->layout == layout())
		board->shared = sys_shared_map(share->fd, board->size);
	if (board->shared == NULL) {
		scoreboard_free(&board);
		return NULL;
	}
	find_parts(board);
	return board;
}

/* How often a seat's worker had to be replaced; from then on 0. */
static int take_respawns(struct seat *seat)
{
	int starts = atomic_load(&seat->starts);

	if (starts > 1)
		atomic_store(&seat->starts, 1);
	return starts > 1 ? starts - 1 : 0;
}

void scoreboard_inherit(struct scoreboard *board, struct scoreboard *old)
{
	struct shared *from = old->shared;
	struct shared *to = board->shared;
	int respawns = atomic_exchange(&from->respawns, 0);

	atomic_store(&to->since, atomic_load(&from->since));
	atomic_store(&to->made, atomic_load(&from->made));
	tally_take_over(&to->inherited, &from->inherited);
	for (int i = 0; i < old->workers; i++) {
		tally_take_over(&to->inherited, &old->seats[i].tally);
		respawns += take_respawns(&old->seats[i]);
	}
	atomic_fetch_add(&to->respawns, respawns);
}

void scoreboard_free(struct scoreboard **board)
{
	int saved = errno;

	if (*board == NULL)
		return;
	for (int end = 0; end < 2; end++)
		if ((*board)->wake[end] >= 0)
			close((*board)->wake[end]);
	if ((*board)->shared != NULL)
		sys_shared_free((*board)->shared, (*board)->size);
	if ((*board)->fd >= 0)
		close((*board)->fd);
	free(*board);
	*board = NULL;
	errno = saved;
}

int scoreboard_claim(struct scoreboard *board, int worker)
{
	for (int i = 0; i < board->scripts; i++) {
		int at = (board->next + i) % board->scripts;
		struct cell *cell = &board->shared->cells[at];
		int free_owner = 0;

		if (atomic_load(&cell->owner) != 0 ||
		    !atomic_compare_exchange_strong(&cell->owner, &free_owner, worker + 1))
			continue;
		atomic_store(&cell->pid, 0);
		atomic_fetch_add(&board->shared->running, 1);
		board->next = at + 1;
		return at;
	}
	return -1;
}

atomic_int *scoreboard_pid(struct scoreboard *board, int cell)
{
	return &board->shared->cells[cell].pid;
}

void scoreboard_release(struct scoreboard *board, int cell)
{
	atomic_store(&board->shown[cell].state, SCOREBOARD_NONE);
	atomic_store(&board->shared->cells[cell].pid, 0);
	atomic_fetch_sub(&board->shared->running, 1);
	/* the owner last: from here on the cell is another's */
	atomic_store(&board->shared->cells[cell].owner, 0);
	scoreboard_pass_wake(board);
}

int scoreboard_running(const struct scoreboard *board)
{
	return atomic_load(&board->shared->running);
}

void scoreboard_wait(struct scoreboard *board, int worker, int change)
{
	atomic_fetch_add(&board->seats[worker].waiting, change);
}

int scoreboard_waiting(const struct scoreboard *board)
{
	int sum = 0;

	for (int i = 0; i < board->workers; i++)
		sum += atomic_load(&board->seats[i].waiting);
	return sum;
}

void scoreboard_connected(struct scoreboard *board, int worker, int count)
{
	atomic_store(&board->seats[worker].connections, count);
}

void scoreboard_beat(struct scoreboard *board, int worker, int64_t now)
{
	atomic_store(&board->seats[worker].beat, now);
}

int64_t scoreboard_last_beat(const struct scoreboard *board, int worker)
{
	return atomic_load(&board->seats[worker].beat);
}

int scoreboard_fewest(const struct scoreboard *board)
{
	int fewest = INT_MAX;

	for (int i = 0; i < board->workers; i++) {
		int count = atomic_load(&board->seats[i].connections);

		if (count < fewest)
			fewest = count;
	}
	return fewest;
}

int scoreboard_wake_fd(const struct scoreboard *board)
{
	return board->wake[0];
}

void scoreboard_take_wake(struct scoreboard *board)
{
	char byte;

	while (read(board->wake[0], &byte, 1) < 0 && errno == EINTR)
		;
}

void scoreboard_pass_wake(struct scoreboard *board)
{
	if (scoreboard_waiting(board) == 0)
		return;
	/* a full pipe already holds more wake-ups than there are waiters */
	while (write(board->wake[1], "", 1) < 0 && errno == EINTR)
		;
}

static void kill_script(struct cell *cell)
{
	pid_t pid = (pid_t)atomic_load(&cell->pid);

	if (pid <= 0)
		return;
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL); /* in case it has not yet made its own group */
}

int scoreboard_bury(struct scoreboard *board, int worker)
{
	int scripts = 0;

	atomic_store(&board->seats[worker].waiting, 0);
	atomic_store(&board->seats[worker].connections, 0);
	atomic_store(&board->seats[worker].pid, 0);
	tally_bury(&board->seats[worker].tally);
	for (int i = 0; i < board->scripts; i++) {
		struct cell *cell = &board->shared->cells[i];

		if (atomic_load(&cell->owner) != worker + 1)
			continue;
		kill_script(cell);
		scoreboard_release(board, i);
		scripts++;
	}
	return scripts;
}

/* ---- what is shown ----------------------------------------------------- */

void scoreboard_cut(char *to, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len < size) {
		memcpy(to, text, len + 1);
		return;
	}
	memcpy(to, "...", 3);
	memcpy(to + 3, text + len - (size - 4), size - 3);
}

void scoreboard_describe(struct scoreboard *board, int cell, const struct scoreboard_card *card)
{
	struct shown *shown = &board->shown[cell];
	union words from = {.words = {0}};
	/* odd also if a worker has died while it wrote here */
	unsigned odd = atomic_load_explicit(&shown->version, memory_order_relaxed) | 1;

	from.card = *card;
	atomic_store_explicit(&shown->version, odd, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (int i = 0; i < CARD_WORDS; i++)
		atomic_store_explicit(&shown->words[i], from.words[i], memory_order_relaxed);
	atomic_store_explicit(&shown->version, odd + 1, memory_order_release);
	atomic_store(&shown->state, SCOREBOARD_STARTING);
}

void scoreboard_set_state(struct scoreboard *board, int cell, enum scoreboard_state state)
{
	atomic_store_explicit(&board->shown[cell].state, (int)state, memory_order_relaxed);
}

/* One attempt; false if the card is being written. */
static bool read_card(const struct shown *shown, struct scoreboard_card *card)
{
	union words to;
	unsigned before = atomic_load_explicit(&shown->version, memory_order_acquire);

	for (int i = 0; i < CARD_WORDS; i++)
		to.words[i] = atomic_load_explicit(&shown->words[i], memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	*card = to.card;
	return before % 2 == 0 &&
	    before == atomic_load_explicit(&shown->version, memory_order_relaxed);
}

bool scoreboard_script(const struct scoreboard *board, int cell, struct scoreboard_script *script)
{
	const struct shown *shown = &board->shown[cell];

	/* who is being written just now is shown the next time */
	script->state = (enum scoreboard_state)atomic_load(&shown->state);
	if (script->state == SCOREBOARD_NONE || !read_card(shown, &script->card))
		return false;
	script->worker = atomic_load(&board->shared->cells[cell].owner) - 1;
	script->pid = (pid_t)atomic_load(&board->shared->cells[cell].pid);
	return script->worker >= 0;
}

void scoreboard_enter(struct scoreboard *board, int worker, int64_t now)
{
	struct seat *seat = &board->seats[worker];

	atomic_store(&seat->started, now);
	atomic_fetch_add(&seat->starts, 1);
	atomic_store(&seat->pid, (int)getpid());
}

void scoreboard_worker(const struct scoreboard *board, int worker, struct scoreboard_worker *said)
{
	const struct seat *seat = &board->seats[worker];

	*said = (struct scoreboard_worker){
	    .pid = (pid_t)atomic_load(&seat->pid),
	    .started = atomic_load(&seat->started),
	    .starts = atomic_load(&seat->starts),
	    .waiting = atomic_load(&seat->waiting),
	    .connections = atomic_load(&seat->connections),
	};
}

struct tally *scoreboard_tally(const struct scoreboard *board, int worker)
{
	return &board->seats[worker].tally;
}

const struct tally *scoreboard_inherited(const struct scoreboard *board)
{
	return &board->shared->inherited;
}

int scoreboard_respawns(const struct scoreboard *board)
{
	int sum = atomic_load(&board->shared->respawns);

	for (int i = 0; i < board->workers; i++) {
		int starts = atomic_load(&board->seats[i].starts);

		sum += starts > 1 ? starts - 1 : 0;
	}
	return sum;
}

int scoreboard_workers(const struct scoreboard *board)
{
	return board->workers;
}

int scoreboard_cells(const struct scoreboard *board)
{
	return board->scripts;
}

int64_t scoreboard_since(const struct scoreboard *board)
{
	return atomic_load(&board->shared->since);
}

int64_t scoreboard_made(const struct scoreboard *board)
{
	return atomic_load(&board->shared->made);
}
