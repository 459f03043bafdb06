/* SPDX-License-Identifier: ISC */
/*
 * scoreboard: memory, slots, workers, wake-ups and dead workers.
 *
 * Workers may have fewer privileges than the supervisor, so it does not trust the memory:
 * numbers are bounded where they are read, and no process is signalled on their word alone.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stats/scoreboard_private.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/sys.h"

/*
 * Sockets rather than a pipe: whether a call waits is decided by each call, and not by a flag
 * that any process sharing them can clear.
 */
static int open_wake(struct scoreboard *board)
{
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, board->wake) != 0)
		return -1;
	for (int end = 0; end < 2; end++)
		if (sys_cloexec(board->wake[end]) != 0)
			return -1;
	return 0;
}

/* The parts of the shared memory are aligned for any type. */
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

/* The sizes of the shared structs, and the number of this version's order of them. */
static unsigned layout(void)
{
	const unsigned order = 5;

	return order << 28 | (unsigned)sizeof(struct shared_worker) << 14 |
	    (unsigned)(sizeof(struct shared_info) + sizeof(struct shared_slot) + sizeof(struct shared));
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

/* Without a descriptor, a reload starts with a new board: no reason to fail now. */
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

static void set_times(struct scoreboard *board, int64_t since, int64_t made)
{
	board->since = since;
	board->made = made;
	atomic_store(&board->shared->since, since);
	atomic_store(&board->shared->made, made);
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
	set_times(board, clock_real_ms(), clock_ms());
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

/* The time in the memory if it is in the past; else `now`. */
static int64_t past(const atomic_llong *moment, int64_t now)
{
	int64_t then = atomic_load(moment);

	return then > 0 && then <= now ? then : now;
}

struct scoreboard *scoreboard_adopt(const struct scoreboard_share *share)
{
	struct scoreboard *board = make(share->workers, share->scripts);

	if (board == NULL) {
		close_keeping_errno(share->fd);
		close_keeping_errno(share->wake[0]);
		close_keeping_errno(share->wake[1]);
		return NULL;
	}
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
	board->since = past(&board->shared->since, clock_real_ms());
	board->made = past(&board->shared->made, clock_ms());
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
	set_times(board, old->since, old->made);
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
	/* the owner last: from here on another worker may claim the slot */
	atomic_store(&board->shared->slots[slot].owner, 0);
	scoreboard_pass_wake(board);
}

/* Whether `owner` is the number of a worker. */
static bool is_owner(const struct scoreboard *board, int owner)
{
	return owner > 0 && owner <= board->workers;
}

int scoreboard_running(const struct scoreboard *board)
{
	int count = 0;

	for (int i = 0; i < board->scripts; i++)
		count += is_owner(board, atomic_load(&board->shared->slots[i].owner));
	return count;
}

int scoreboard_set_group(struct scoreboard *board, int worker, pid_t group)
{
	for (int i = 0; i < board->scripts; i++) {
		struct shared_slot *slot = &board->shared->slots[i];
		int free_owner = 0;

		if (!atomic_compare_exchange_strong(&slot->group_owner, &free_owner, worker + 1))
			continue;
		atomic_store(&slot->group, (int)group);
		return i;
	}
	return -1;
}

void scoreboard_forget_group(struct scoreboard *board, int at)
{
	atomic_store(&board->shared->slots[at].group, 0);
	atomic_store(&board->shared->slots[at].group_owner, 0);
}

atomic_int *scoreboard_preloader(struct scoreboard *board, int worker, int at)
{
	return &board->per_worker[worker].preloaders[at];
}

void scoreboard_wait(struct scoreboard *board, int worker, int change)
{
	atomic_fetch_add(&board->per_worker[worker].waiting, change);
}

int scoreboard_waiting(const struct scoreboard *board)
{
	int sum = 0;

	for (int i = 0; i < board->workers; i++)
		sum += scoreboard_count(&board->per_worker[i].waiting);
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
	return scoreboard_time(atomic_load(&board->per_worker[worker].beat));
}

int scoreboard_fewest(const struct scoreboard *board)
{
	int fewest = COUNT_MAX;

	for (int i = 0; i < board->workers; i++) {
		int count = scoreboard_count(&board->per_worker[i].connections);

		if (atomic_load(&board->per_worker[i].pid) != 0 && count < fewest)
			fewest = count;
	}
	return fewest;
}

int scoreboard_wake_fd(const struct scoreboard *board)
{
	return board->wake[0];
}

void scoreboard_clear_wake(struct scoreboard *board)
{
	char byte;

	while (recv(board->wake[0], &byte, 1, MSG_DONTWAIT) < 0 && errno == EINTR)
		;
}

void scoreboard_pass_wake(struct scoreboard *board)
{
	if (scoreboard_waiting(board) == 0)
		return;
	/* if the socket is full, no more are needed: each wake-up leads to all free slots */
	while (send(board->wake[1], "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* ---- dead workers ---------------------------------------------------------- */

/*
 * `pid` is what the dead worker wrote.  It led a session of its own, so a process outside of
 * that is not its script, whatever the memory says: it may be 1, a process of root, or
 * ourselves.
 */
static void kill_script(int pid, pid_t session)
{
	if (pid <= 1 || sys_session_of(pid) != session)
		return;
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL); /* in case it has not yet made its own group */
}

static void bury_worker(struct shared_worker *worker, pid_t session)
{
	for (int i = 0; i < SCOREBOARD_PRELOADERS; i++)
		sys_kill_family((pid_t)atomic_exchange(&worker->preloaders[i], 0), session);
	atomic_store(&worker->waiting, 0);
	atomic_store(&worker->connections, 0);
	atomic_store(&worker->pid, 0);
	tally_bury(&worker->tally);
}

/* Whether `owner` has just died, or cannot exist, so that nobody would free the slot. */
static bool is_dead(const struct scoreboard *board, int owner, int worker)
{
	return owner == worker + 1 || (owner != 0 && !is_owner(board, owner));
}

int scoreboard_bury(struct scoreboard *board, int worker, pid_t session)
{
	int scripts = 0;

	bury_worker(&board->per_worker[worker], session);
	for (int i = 0; i < board->scripts; i++) {
		struct shared_slot *slot = &board->shared->slots[i];

		if (is_dead(board, atomic_load(&slot->group_owner), worker)) {
			kill_script(atomic_load(&slot->group), session);
			scoreboard_forget_group(board, i);
		}
		if (is_dead(board, atomic_load(&slot->owner), worker)) {
			kill_script(atomic_load(&slot->pid), session);
			scoreboard_release(board, i);
			scripts++;
		}
	}
	/* it may have taken a wake-up and died before it claimed a slot */
	scoreboard_pass_wake(board);
	return scripts;
}
