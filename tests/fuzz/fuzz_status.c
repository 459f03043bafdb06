/* SPDX-License-Identifier: ISC */
/*
 * fuzz_status: the scoreboard, when a worker writes anything into the memory that it shares.
 * Pages are what they claim to be, a script that they list is one of the memory, and says what
 * that says, and they have a line for each.  Nothing outside of the memory is touched.  When a
 * worker dies, its scripts are killed if they are in its session, and no other process.  There
 * are no processes: this takes the place of the calls about them.
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
#include "stats/status_private.h"

enum { WORKERS = 3, SLOTS = 5, SESSION = 0x3fffffff };

static struct fuzz_input doing; /* whatever a script waits for */
static struct {
	pid_t pids[64];
	size_t count;
} killed;

/* One process in four is of the dead worker's session. */
static bool is_ours(pid_t pid)
{
	return pid > 1 && pid % 4 == 0;
}

pid_t sys_session_of(pid_t pid)
{
	fuzz_require(pid > 1);
	return is_ours(pid) ? SESSION : SESSION + 1;
}

/* It looks at the session by itself, and takes any number. */
void sys_kill_family(pid_t leader, pid_t session)
{
	(void)leader;
	fuzz_require(session == SESSION);
}

int kill(pid_t pid, int signo)
{
	fuzz_require(signo == SIGKILL && pid != -1 && is_ours(pid < 0 ? -pid : pid));
	fuzz_require(killed.count < sizeof killed.pids / sizeof *killed.pids);
	killed.pids[killed.count++] = pid;
	return 0;
}

void sys_process_doing(pid_t pid, char text[SYS_DOING_MAX])
{
	size_t len = doing.left < SYS_DOING_MAX ? doing.left : SYS_DOING_MAX - 1;

	(void)pid;
	if (len > 0)
		memcpy(text, doing.at, len);
	text[len] = '\0';
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* The text with each byte that is not UTF-8 as U+FFFD; to be freed. */
static char *make_utf8(const char *text, size_t room)
{
	size_t left = strnlen(text, room - 1);
	char *made = malloc(3 * left + 1);
	char *to = made;

	fuzz_require(made != NULL);
	while (left > 0) {
		size_t n = fuzz_character(text, left);

		memcpy(to, n == 0 ? "\xef\xbf\xbd" : text, n == 0 ? 3 : n);
		to += n == 0 ? 3 : n;
		text += n + (n == 0);
		left -= n + (n == 0);
	}
	*to = '\0';
	return made;
}

static bool says(struct fuzz_json item, const char *name, const char *text, size_t room)
{
	char *got = fuzz_json_string(fuzz_json_member(item, name));
	char *wanted = make_utf8(text, room);
	bool same = strcmp(got, wanted) == 0;

	free(got);
	free(wanted);
	return same;
}

static double number_of(struct fuzz_json item, const char *name)
{
	return fuzz_json_number(fuzz_json_member(item, name));
}

/* Whether the memory has something to show in that slot. */
static bool is_shown(const struct scoreboard *board, int slot)
{
	int state = board->infos[slot].state;
	int owner = board->shared->slots[slot].owner;

	return state >= 1 && state <= 5 && board->infos[slot].seq % 2 == 0 && owner >= 1 &&
	    owner <= WORKERS;
}

/* Whether the item is about the script in that slot, by what the memory says of it. */
static bool is_of_slot(struct fuzz_json item, const struct scoreboard *board, int slot)
{
	static const char *const states[] = {"", "\"starting\"", "\"running\"", "\"answering\"",
	    "\"stopping\"", "\"left\""};
	const struct shared_slot *shared = &board->shared->slots[slot];
	int pid = shared->pid;
	union info_words info;

	if (!is_shown(board, slot))
		return false;
	for (int i = 0; i < INFO_WORDS; i++)
		info.words[i] = board->infos[slot].words[i];
	return number_of(item, "pid") == (pid < 0 ? 0 : pid) &&
	    number_of(item, "worker") == shared->owner - 1 &&
	    number_of(item, "request") == info.info.request &&
	    fuzz_json_is(fuzz_json_member(item, "state"), states[board->infos[slot].state]) &&
	    fuzz_json_is(fuzz_json_member(item, "preloaded"),
		info.info.preloaded != 0 ? "true" : "false") &&
	    says(item, "script", info.info.script, sizeof info.info.script) &&
	    says(item, "client", info.info.client, sizeof info.info.client) &&
	    says(item, "peer", info.info.peer, sizeof info.info.peer);
}

/* The oldest first, each of a slot of its own. */
static void check_scripts(struct fuzz_json page, const struct scoreboard *board)
{
	struct fuzz_json list = fuzz_json_member(page, "script_list");
	struct fuzz_json item;
	bool used[SLOTS] = {false};
	double age = 1e300;
	size_t count = 0;

	for (; item = fuzz_json_item(list, count), item.at != NULL; count++) {
		int slot = 0;

		while (slot < SLOTS && (used[slot] || !is_of_slot(item, board, slot)))
			slot++;
		fuzz_require(slot < SLOTS);
		used[slot] = true;
		fuzz_require(number_of(item, "age") >= 0 && number_of(item, "age") <= age);
		age = number_of(item, "age");
	}
	fuzz_require(number_of(page, "more_scripts") == 0);
	for (int slot = 0; slot < SLOTS; slot++)
		fuzz_require(used[slot] == is_shown(board, slot));
}

static void check_workers(struct fuzz_json page)
{
	struct fuzz_json list = fuzz_json_member(page, "worker_list");

	for (int i = 0; i < WORKERS; i++) {
		struct fuzz_json item = fuzz_json_item(list, (size_t)i);

		fuzz_require(number_of(item, "worker") == i && number_of(item, "pid") >= 0);
		fuzz_require(number_of(item, "age") >= 0 && number_of(item, "starts") >= 0);
		fuzz_require(number_of(item, "connections") >= 0);
		fuzz_require(number_of(item, "running_scripts") <= SLOTS);
	}
	fuzz_require(fuzz_json_item(list, WORKERS).at == NULL);
	fuzz_require(number_of(page, "more_workers") == 0);
}

/* Each bucket has all that were counted in those before it. */
static void check_time(struct fuzz_json time)
{
	struct fuzz_json buckets = fuzz_json_member(time, "buckets");
	struct fuzz_json item;
	double bound = 0, count = 0;

	for (size_t i = 0; item = fuzz_json_item(buckets, i), item.at != NULL; i++) {
		fuzz_require(number_of(item, "le") > bound && number_of(item, "count") >= count);
		bound = number_of(item, "le");
		count = number_of(item, "count");
	}
	fuzz_require(number_of(time, "count") >= count && number_of(time, "sum") >= 0);
}

static void check_json(const char *text, size_t len, const struct scoreboard *board)
{
	struct fuzz_json page = {text, len};

	fuzz_require(fuzz_is_json(text, len));
	for (size_t i = 0; i < len; i++) /* it is safe within HTML */
		fuzz_require(memchr("<>&'", text[i], 4) == NULL);
	for (int i = 0; i < STATUS_VALUES; i++)
		fuzz_require(number_of(page, status_names[i].name) >= 0);
	fuzz_require(number_of(page, "running_scripts") <= SLOTS);
	fuzz_require(number_of(page, "max_scripts") == SLOTS);
	check_time(fuzz_json_member(page, "spawn_seconds"));
	check_time(fuzz_json_member(page, "request_seconds"));
	check_workers(page);
	check_scripts(page, board);
}

/* No script can make a line of its own: each line is of a number, a time, a worker or a script. */
static void check_text(const char *text, size_t len, const struct scoreboard *board)
{
	const int first = 1 + STATUS_VALUES + TALLY_TIMES; /* of the workers' lines */
	const char *end = text + len;
	int wanted = first + WORKERS;
	int lines = 0;

	fuzz_require(fuzz_is_lines(text, len));
	for (int slot = 0; slot < SLOTS; slot++)
		wanted += is_shown(board, slot);
	for (; text < end; text = (const char *)memchr(text, '\n', (size_t)(end - text)) + 1, lines++)
		if (lines >= first)
			fuzz_require(
			    strncmp(text, lines < first + WORKERS ? "worker " : "script ", 7) == 0);
	fuzz_require(lines == wanted);
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
		check_json(text, len, source->board);
	else if (form == STATUS_OPENMETRICS)
		fuzz_require(fuzz_is_metrics(text, len));
	else if (form == STATUS_TEXT)
		check_text(text, len, source->board);
	else
		fuzz_require(fuzz_is_lines(text, len));
	buf_fini(&page);
}

/* ---- the supervisor ------------------------------------------------------------------------- */

static bool has_killed(pid_t pid)
{
	for (size_t i = 0; i < killed.count; i++)
		if (killed.pids[i] == pid)
			return true;
	return false;
}

/* A slot of the dead worker, or of one that cannot exist, which nobody else would free. */
static bool is_dead(int owner, int worker)
{
	return owner != 0 && (owner == worker + 1 || owner < 0 || owner > WORKERS);
}

/* What has to be killed has been; `*rest` counts down what was. */
static void check_killed(int owner, int pid, int worker, size_t *rest)
{
	if (!is_dead(owner, worker) || !is_ours(pid))
		return;
	fuzz_require(has_killed(pid) && has_killed(-pid));
	*rest -= 2;
}

static void bury(struct scoreboard *board, int worker)
{
	struct {
		int owner, pid, group_owner, group;
	} before[SLOTS];
	size_t rest;
	int scripts = 0;

	for (int i = 0; i < SLOTS; i++) {
		const struct shared_slot *slot = &board->shared->slots[i];

		before[i].owner = slot->owner;
		before[i].pid = slot->pid;
		before[i].group_owner = slot->group_owner;
		before[i].group = slot->group;
		scripts += is_dead(slot->owner, worker);
	}
	killed.count = 0;
	fuzz_require(scoreboard_bury(board, worker, SESSION) == scripts);
	rest = killed.count;
	for (int i = 0; i < SLOTS; i++) {
		check_killed(before[i].owner, before[i].pid, worker, &rest);
		check_killed(before[i].group_owner, before[i].group, worker, &rest);
		fuzz_require(board->shared->slots[i].owner ==
		    (is_dead(before[i].owner, worker) ? 0 : before[i].owner));
	}
	fuzz_require(rest == 0);
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
		if (dead)
			bury(board, i);
	}
	scoreboard_free(&heir);
}

static void scribble(struct scoreboard *board, const struct fuzz_input *input)
{
	unsigned char *memory = (unsigned char *)board->shared;

	for (size_t i = 0; input->left > 0 && i < board->size; i++)
		memory[i] = input->at[i % input->left];
}

/* What the third number says; bits.  Of the second and third, the worker dies if only the one is set. */
enum { DESCRIBES = 1, DIES = 2, LIVES = 4, FILLS = 8, OWNS_WRONGLY = 16 };

/* Some of the memory is as it should be: the infos of scripts, or at least where they are. */
static void describe(struct scoreboard *board, unsigned how, const struct fuzz_input *input)
{
	struct script_info info = {.script = "/srv/a.cgi", .peer = "unix"};

	memcpy(info.script, input->at, input->left < 190 ? input->left : 190);
	memcpy(info.client, input->at, input->left < 40 ? input->left : 40);
	for (size_t i = 0; how & FILLS && input->left > 0 && i < sizeof info; i++)
		((unsigned char *)&info)[i] = input->at[i % input->left];
	for (int slot = 0; slot < SLOTS; slot++) {
		int owner = how & OWNS_WRONGLY ? slot : slot % WORKERS + 1;

		atomic_store(&board->shared->slots[slot].owner, owner);
		if (!(how & FILLS)) /* in any order */
			info.started = scoreboard_made(board) +
			    (int64_t)how * (slot + 1) % 251 * 1000;
		scoreboard_describe(board, slot, &info);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len};
	struct scoreboard *board = scoreboard_new(WORKERS, SLOTS);
	struct status_source source = {.board = board, .max_queue = (int)fuzz_byte(&input),
	    .slow = fuzz_number(&input)};
	unsigned how = fuzz_byte(&input);

	fuzz_require(board != NULL);
	doing = input;
	source.now = scoreboard_made(board) + fuzz_number(&input);
	scribble(board, &input);
	if (how & DESCRIBES)
		describe(board, how, &input);
	for (int form = STATUS_TEXT; form <= STATUS_HTML; form++)
		check_page((enum status_form)form, &source);
	status_log(&source);
	check_numbers(board, (how & (DIES | LIVES)) == DIES);
	scoreboard_free(&board);
	return 0;
}
