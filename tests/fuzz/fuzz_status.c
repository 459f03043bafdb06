/* SPDX-License-Identifier: ISC */
/*
 * fuzz_status: the scoreboard, when a worker writes anything into the memory that it shares.
 * Pages are what they claim to be, nothing outside of the memory is touched, and no process is
 * killed that is not in the dead worker's session.  There are no processes: this takes the place
 * of the calls about them.
 *
 * Input: three numbers, and bytes that are written all over the memory, again and again.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "fuzz.h"
#include "fuzz_text.h"
#include "stats/scoreboard_private.h"
#include "stats/status.h"

enum { WORKERS = 3, SLOTS = 5, SESSION = 0x3fffffff };

static struct fuzz_input doing; /* whatever a script waits for */
static size_t kills;

/* One process in four is of the dead worker's session. */
static bool is_ours(pid_t pid)
{
	return pid > 1 && pid % 4 == 0;
}

IN_PLACE pid_t __wrap_sys_session_of(pid_t pid);

pid_t __wrap_sys_session_of(pid_t pid)
{
	fuzz_require(pid > 1);
	return is_ours(pid) ? SESSION : SESSION + 1;
}

/* It looks at the session by itself, and takes any number. */
IN_PLACE void __wrap_sys_kill_family(pid_t leader, pid_t session);

void __wrap_sys_kill_family(pid_t leader, pid_t session)
{
	(void)leader;
	fuzz_require(session == SESSION);
}

int kill(pid_t pid, int signo)
{
	fuzz_require(signo == SIGKILL && pid != -1 && is_ours(pid < 0 ? -pid : pid));
	kills++;
	return 0;
}

IN_PLACE void __wrap_sys_process_doing(pid_t pid, char text[SYS_DOING_MAX]);

void __wrap_sys_process_doing(pid_t pid, char text[SYS_DOING_MAX])
{
	size_t len = doing.left < SYS_DOING_MAX ? doing.left : SYS_DOING_MAX - 1;

	(void)pid;
	if (len > 0)
		memcpy(text, doing.at, len);
	text[len] = '\0';
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
	if (form == STATUS_JSON) {
		fuzz_require(fuzz_is_json(text, len));
		for (size_t i = 0; i < len; i++) /* it is safe within HTML */
			fuzz_require(memchr("<>&'", text[i], 4) == NULL);
	} else if (form == STATUS_OPENMETRICS) {
		fuzz_require(fuzz_is_metrics(text, len));
	} else {
		fuzz_require(fuzz_is_lines(text, len));
	}
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
		kills = 0;
		if (dead)
			fuzz_require(scoreboard_bury(board, i, SESSION) <= SLOTS);
		fuzz_require(kills <= 4 * SLOTS); /* a script and its group, both ways */
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
	doing = input;
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
