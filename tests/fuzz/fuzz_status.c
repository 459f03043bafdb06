/* SPDX-License-Identifier: ISC */
/*
 * fuzz_status: the scoreboard, when a worker writes anything into the memory that it shares.
 * Pages are what they claim to be, nothing outside of the memory is touched, and no process is
 * killed that is not in the dead worker's session.
 *
 * Input: three numbers, and bytes that are written all over the memory, again and again.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "fuzz_text.h"
#include "stats/scoreboard_private.h"
#include "stats/status.h"

enum { WORKERS = 3, SLOTS = 5, NO_SESSION = 0x3fffffff };

/* In place of the system's: what the scoreboard would kill. */
int kill(pid_t pid, int signo)
{
	(void)pid;
	fuzz_require(signo == 0);
	return 0;
}

static void check_page(enum status_form form, const struct status_source *source)
{
	struct buf page;
	const char *text;
	size_t len;

	buf_init(&page, STATUS_MAX);
	fuzz_require(status_render(form, source, &page) == 0);
	text = (const char *)buf_bytes(&page);
	len = buf_len(&page);
	fuzz_require(len > 0 && len < STATUS_MAX);
	if (form == STATUS_JSON)
		fuzz_require(fuzz_is_json(text, len));
	else if (form == STATUS_OPENMETRICS)
		fuzz_require(fuzz_is_metrics(text, len));
	else
		fuzz_require(form == STATUS_HTML || fuzz_is_lines(text, len));
	buf_fini(&page);
}

/* What a supervisor does with the numbers. */
static void check_numbers(struct scoreboard *board, bool dead)
{
	int running = scoreboard_running(board);
	struct scoreboard *heir = scoreboard_new(1, 1);

	fuzz_require(heir != NULL);
	fuzz_require(running >= 0 && running <= SLOTS);
	fuzz_require(scoreboard_waiting(board) >= 0 && scoreboard_fewest(board) >= 0);
	fuzz_require(scoreboard_respawns(board) >= 0);
	scoreboard_inherit(heir, board);
	scoreboard_inherit(heir, board);
	for (int i = 0; i < WORKERS; i++) {
		(void)scoreboard_last_beat(board, i);
		if (dead) /* it may look at every process of the system: slow */
			fuzz_require(scoreboard_bury(board, i, NO_SESSION) <= SLOTS);
	}
	scoreboard_free(&heir);
}

static void scribble(struct scoreboard *board, const struct fuzz_input *input)
{
	unsigned char *memory = (unsigned char *)board->shared;

	for (size_t i = 0; input->left > 0 && i < board->size; i++)
		memory[i] = input->at[i % input->left];
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len};
	struct scoreboard *board = scoreboard_new(WORKERS, SLOTS);
	struct status_source source = {.board = board, .max_queue = (int)fuzz_byte(&input),
	    .slow = fuzz_number(&input)};
	struct script_info info = {.script = "/srv/a.cgi", .peer = "unix"};
	unsigned how = fuzz_byte(&input);

	fuzz_require(board != NULL);
	source.now = scoreboard_made(board) + fuzz_number(&input);
	scribble(board, &input);
	for (int slot = 0; slot < SLOTS && how & 1; slot++) { /* some of it is as it should be */
		memcpy(info.script, input.at, input.left < 190 ? input.left : 190);
		memcpy(info.client, input.at, input.left < 40 ? input.left : 40);
		atomic_store(&board->shared->slots[slot].owner, slot % WORKERS + 1);
		scoreboard_describe(board, slot, &info);
	}
	for (int form = STATUS_TEXT; form <= STATUS_HTML; form++)
		check_page((enum status_form)form, &source);
	status_log(&source);
	check_numbers(board, (how & 6) == 2);
	scoreboard_free(&board);
	return 0;
}
