/* SPDX-License-Identifier: ISC */
/*
 * scoreboard_shown: cards, and what else a status page asks for.
 */
#include <string.h>
#include <unistd.h>

#include "stats/scoreboard_private.h"

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
