/* SPDX-License-Identifier: ISC */
/*
 * scoreboard_info: the info of each slot, and the rest of the data for a status page.
 */
#include <string.h>
#include <unistd.h>

#include "stats/scoreboard_private.h"

int scoreboard_count(const atomic_int *number)
{
	int value = atomic_load(number);

	return value < 0 ? 0 : value > COUNT_MAX ? COUNT_MAX : value;
}

int64_t scoreboard_time(int64_t value)
{
	const int64_t max = INT64_C(1) << 50; /* ms: sums and differences do not overflow */

	return value < -max || value > max ? 0 : value;
}

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

void scoreboard_describe(struct scoreboard *board, int slot, const struct script_info *info)
{
	struct shared_info *shared = &board->infos[slot];
	union info_words from = {.words = {0}};
	/* odd even if a worker died while it was writing here */
	unsigned odd = atomic_load_explicit(&shared->seq, memory_order_relaxed) | 1;

	from.info = *info;
	atomic_store_explicit(&shared->seq, odd, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (int i = 0; i < INFO_WORDS; i++)
		atomic_store_explicit(&shared->words[i], from.words[i], memory_order_relaxed);
	atomic_store_explicit(&shared->seq, odd + 1, memory_order_release);
	atomic_store(&shared->state, SCOREBOARD_STARTING);
}

void scoreboard_set_state(struct scoreboard *board, int slot, enum scoreboard_state state)
{
	atomic_store_explicit(&board->infos[slot].state, (int)state, memory_order_relaxed);
}

/* One attempt; false if the info is being written. */
static bool read_info(const struct shared_info *shared, struct script_info *info)
{
	union info_words to;
	unsigned before = atomic_load_explicit(&shared->seq, memory_order_acquire);

	for (int i = 0; i < INFO_WORDS; i++)
		to.words[i] = atomic_load_explicit(&shared->words[i], memory_order_relaxed);
	atomic_thread_fence(memory_order_acquire);
	*info = to.info;
	return before % 2 == 0 &&
	    before == atomic_load_explicit(&shared->seq, memory_order_relaxed);
}

/* Terminates the texts and bounds the numbers, whoever wrote them. */
static void make_sound(struct script_info *info)
{
	info->script[sizeof info->script - 1] = '\0';
	info->client[sizeof info->client - 1] = '\0';
	info->peer[sizeof info->peer - 1] = '\0';
	info->started = scoreboard_time(info->started);
}

bool scoreboard_script(const struct scoreboard *board, int slot, struct scoreboard_script *script)
{
	const struct shared_info *shared = &board->infos[slot];

	int state = atomic_load(&shared->state);
	int pid = atomic_load(&board->shared->slots[slot].pid);

	/* an info that is being written now is shown the next time */
	if (state <= SCOREBOARD_NONE || state > SCOREBOARD_LEFT || !read_info(shared, &script->info))
		return false;
	make_sound(&script->info);
	script->state = (enum scoreboard_state)state;
	script->worker = atomic_load(&board->shared->slots[slot].owner) - 1;
	script->pid = pid < 0 ? 0 : (pid_t)pid;
	return script->worker >= 0 && script->worker < board->workers;
}

void scoreboard_enter(struct scoreboard *board, int worker, int64_t now)
{
	struct shared_worker *shared = &board->per_worker[worker];

	atomic_store(&shared->started, now);
	atomic_fetch_add(&shared->starts, 1);
	atomic_store(&shared->pid, (int)getpid());
	/* a worker could only use it to change the size */
	if (board->fd >= 0)
		close(board->fd);
	board->fd = -1;
}

void scoreboard_worker(const struct scoreboard *board, int worker, struct scoreboard_worker *info)
{
	const struct shared_worker *shared = &board->per_worker[worker];

	int pid = atomic_load(&shared->pid);

	*info = (struct scoreboard_worker){
	    .pid = pid < 0 ? 0 : (pid_t)pid,
	    .started = scoreboard_time(atomic_load(&shared->started)),
	    .starts = scoreboard_count(&shared->starts),
	    .waiting = scoreboard_count(&shared->waiting),
	    .connections = scoreboard_count(&shared->connections),
	};
}

struct tally *scoreboard_tally(const struct scoreboard *board, int worker)
{
	return &board->per_worker[worker].tally;
}

const struct tally *scoreboard_inherited(const struct scoreboard *board)
{
	return &board->shared->inherited;
}

int scoreboard_respawns(const struct scoreboard *board)
{
	int sum = scoreboard_count(&board->shared->respawns);

	for (int i = 0; i < board->workers; i++) {
		int starts = scoreboard_count(&board->per_worker[i].starts);

		sum += starts > 1 ? starts - 1 : 0;
	}
	return sum;
}

int scoreboard_workers(const struct scoreboard *board)
{
	return board->workers;
}

int scoreboard_slots(const struct scoreboard *board)
{
	return board->scripts;
}

int64_t scoreboard_since(const struct scoreboard *board)
{
	return board->since;
}

int64_t scoreboard_made(const struct scoreboard *board)
{
	return board->made;
}
