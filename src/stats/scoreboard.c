/* SPDX-License-Identifier: ISC */
/*
 * scoreboard: the memory, slots, workers, and the wake-up pipe.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "stats/scoreboard_private.h"
#include "base/sys.h"

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

static size_t place_of_workers(int scripts)
{
	return aligned(sizeof(struct shared) + (size_t)scripts * sizeof(struct shared_slot));
}

static size_t place_of_infos(int workers, int scripts)
{
	return place_of_workers(scripts) + aligned((size_t)workers * sizeof(struct shared_worker));
}

/* The sizes of what is shared, and the order that this version has it in. */
static unsigned layout(void)
{
	const unsigned order = 3;

	return order << 28 | (unsigned)sizeof(struct shared_worker) << 14 |
	    (unsigned)(sizeof(struct shared_info) + sizeof(struct shared_slot) + sizeof(struct shared));
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
	board->size = place_of_infos(workers, scripts) + (size_t)scripts * sizeof(struct shared_info);
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

	board->per_worker = (void *)(base + place_of_workers(board->scripts));
	board->infos = (void *)(base + place_of_infos(board->workers, board->scripts));
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

void scoreboard_inherit(struct scoreboard *board, struct scoreboard *old)
{
	struct tally_sum sum = {.events = {0}};
	int respawns = scoreboard_respawns(old);

	for (int i = 0; i < old->workers; i++)
		tally_read(&old->per_worker[i].tally, &sum);
	tally_read(&old->shared->inherited, &sum);
	tally_grow(&board->shared->inherited, &sum, &old->passed);
	old->passed = sum;
	atomic_fetch_add(&board->shared->respawns, respawns - old->passed_respawns);
	old->passed_respawns = respawns;
	atomic_store(&board->shared->since, atomic_load(&old->shared->since));
	atomic_store(&board->shared->made, atomic_load(&old->shared->made));
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
		struct shared_slot *slot = &board->shared->slots[at];
		int free_owner = 0;

		if (atomic_load(&slot->owner) != 0 ||
		    !atomic_compare_exchange_strong(&slot->owner, &free_owner, worker + 1))
			continue;
		atomic_store(&slot->pid, 0);
		atomic_fetch_add(&board->shared->running, 1);
		board->next = at + 1;
		return at;
	}
	return -1;
}

atomic_int *scoreboard_pid(struct scoreboard *board, int slot)
{
	return &board->shared->slots[slot].pid;
}

void scoreboard_release(struct scoreboard *board, int slot)
{
	atomic_store(&board->infos[slot].state, SCOREBOARD_NONE);
	atomic_store(&board->shared->slots[slot].pid, 0);
	atomic_fetch_sub(&board->shared->running, 1);
	/* the owner last: from here on the slot is another's */
	atomic_store(&board->shared->slots[slot].owner, 0);
	scoreboard_pass_wake(board);
}

int scoreboard_running(const struct scoreboard *board)
{
	return atomic_load(&board->shared->running);
}

void scoreboard_wait(struct scoreboard *board, int worker, int change)
{
	atomic_fetch_add(&board->per_worker[worker].waiting, change);
}

int scoreboard_waiting(const struct scoreboard *board)
{
	int sum = 0;

	for (int i = 0; i < board->workers; i++)
		sum += atomic_load(&board->per_worker[i].waiting);
	return sum;
}

void scoreboard_connected(struct scoreboard *board, int worker, int count)
{
	atomic_store(&board->per_worker[worker].connections, count);
}

void scoreboard_beat(struct scoreboard *board, int worker, int64_t now)
{
	atomic_store(&board->per_worker[worker].beat, now);
}

int64_t scoreboard_last_beat(const struct scoreboard *board, int worker)
{
	return atomic_load(&board->per_worker[worker].beat);
}

int scoreboard_fewest(const struct scoreboard *board)
{
	int fewest = INT_MAX;

	for (int i = 0; i < board->workers; i++) {
		int count = atomic_load(&board->per_worker[i].connections);

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

static void kill_script(struct shared_slot *slot)
{
	pid_t pid = (pid_t)atomic_load(&slot->pid);

	if (pid <= 0)
		return;
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL); /* in case it has not yet made its own group */
}

int scoreboard_bury(struct scoreboard *board, int worker)
{
	int scripts = 0;

	atomic_store(&board->per_worker[worker].waiting, 0);
	atomic_store(&board->per_worker[worker].connections, 0);
	atomic_store(&board->per_worker[worker].pid, 0);
	tally_bury(&board->per_worker[worker].tally);
	for (int i = 0; i < board->scripts; i++) {
		struct shared_slot *slot = &board->shared->slots[i];

		if (atomic_load(&slot->owner) != worker + 1)
			continue;
		kill_script(slot);
		scoreboard_release(board, i);
		scripts++;
	}
	return scripts;
}
