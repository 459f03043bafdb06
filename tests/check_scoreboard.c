/* SPDX-License-Identifier: ISC */
/*
 * check_scoreboard: the limit is exact over several processes, the dead leave nothing
 * behind, and who waits is woken.
 */
#include "check_util.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stats/scoreboard.h"
#include "base/sys.h"

enum { SLOTS = 7, PROCESSES = 6, ROUNDS = 20000 };

static struct scoreboard *board;

static void setup(void)
{
	board = scoreboard_new(PROCESSES, SLOTS);
	ck_assert_ptr_nonnull(board);
}

static void teardown(void)
{
	scoreboard_free(&board);
	ck_assert_ptr_null(board);
	scoreboard_free(&board);
}

START_TEST(has_as_many_slots_as_it_was_made_with)
{
	bool seen[SLOTS] = {false};

	for (int i = 0; i < SLOTS; i++) {
		int slot = scoreboard_claim(board, i % PROCESSES);

		ck_assert(slot >= 0 && slot < SLOTS && !seen[slot]);
		seen[slot] = true;
		ck_assert_int_eq(scoreboard_running(board), i + 1);
	}
	ck_assert_int_eq(scoreboard_claim(board, 0), -1);
	ck_assert_int_eq(scoreboard_running(board), SLOTS);
	scoreboard_release(board, 3);
	ck_assert_int_eq(scoreboard_running(board), SLOTS - 1);
	ck_assert_int_eq(scoreboard_claim(board, 5), 3);
	ck_assert_int_eq(scoreboard_claim(board, 5), -1);
}
END_TEST

START_TEST(knows_the_fewest_connections)
{
	for (int i = 0; i < PROCESSES; i++)
		scoreboard_connected(board, i, 10 + i);
	ck_assert_int_eq(scoreboard_fewest(board), 10);
	scoreboard_connected(board, 0, 12);
	ck_assert_int_eq(scoreboard_fewest(board), 11);
	scoreboard_bury(board, 3);
	ck_assert_int_eq(scoreboard_fewest(board), 0);
}
END_TEST

START_TEST(a_claimed_slot_names_no_process_yet)
{
	int slot = scoreboard_claim(board, 0);

	atomic_store(scoreboard_pid(board, slot), 4711);
	scoreboard_release(board, slot);
	ck_assert_int_eq(atomic_load(scoreboard_pid(board, slot)), 0);
	for (int i = 0; i < SLOTS; i++) {
		slot = scoreboard_claim(board, 0);
		ck_assert_int_eq(atomic_load(scoreboard_pid(board, slot)), 0);
	}
}
END_TEST

/*
 * Claims and gives back at random; no slot may be another's meanwhile.  `holders` has
 * one number a slot, and behind them how many processes are there.
 */
static int contend(int worker, atomic_int *holders)
{
	int held[SLOTS];
	int count = 0;

	atomic_fetch_add(&holders[SLOTS], 1);
	while (atomic_load(&holders[SLOTS]) < PROCESSES) /* all at once */
		sched_yield();
	for (int i = 0; i < ROUNDS; i++) {
		int slot = (i * 7 + worker) % 3 == 0 ? -1 : scoreboard_claim(board, worker);

		if (slot >= 0) {
			if (atomic_exchange(&holders[slot], worker + 1) != 0)
				return 1;
			held[count++] = slot;
		} else if (count > 0) {
			slot = held[--count];
			if (atomic_exchange(&holders[slot], 0) != worker + 1)
				return 2;
			scoreboard_release(board, slot);
		}
	}
	while (count > 0) {
		atomic_store(&holders[held[--count]], 0);
		scoreboard_release(board, held[count]);
	}
	return 0;
}

START_TEST(no_slot_is_ever_two_processes)
{
	atomic_int *holders = sys_shared_alloc((SLOTS + 1) * sizeof *holders);
	pid_t pids[PROCESSES];

	ck_assert_ptr_nonnull(holders);
	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		if (pids[i] == 0)
			_exit(contend(i, holders));
	}
	for (int i = 0; i < PROCESSES; i++)
		ck_assert_int_eq(wait_for(pids[i]), 0);
	ck_assert_int_eq(scoreboard_running(board), 0);
	sys_shared_free(holders, (SLOTS + 1) * sizeof *holders);
}
END_TEST

/* Takes all that it can get; how many that were. */
static int claim_all(int worker)
{
	int count = 0;

	while (scoreboard_claim(board, worker) >= 0)
		count++;
	return count;
}

START_TEST(all_processes_together_get_exactly_all_slots)
{
	pid_t pids[PROCESSES];
	int sum = 0;

	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		if (pids[i] == 0)
			_exit(claim_all(i));
	}
	for (int i = 0; i < PROCESSES; i++)
		sum += wait_for(pids[i]);
	ck_assert_int_eq(sum, SLOTS);
	ck_assert_int_eq(scoreboard_running(board), SLOTS);
	sum = 0;
	for (int i = 0; i < PROCESSES; i++)
		sum += scoreboard_bury(board, i);
	ck_assert_int_eq(sum, SLOTS);
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

/* ---- the dead ----------------------------------------------------------------------------- */

/* A session leader with a child; both hold `fd` until they die. */
static void run_script(int slot, int fd)
{
	setsid();
	if (fork() != 0) {
		atomic_store(scoreboard_pid(board, slot), (int)getpid());
		if (write(fd, "x", 1) < 0)
			_exit(1);
	}
	for (;;)
		pause();
}

START_TEST(the_scripts_of_a_dead_worker_are_killed_with_all_their_processes)
{
	int dead = scoreboard_claim(board, 2);
	int empty = scoreboard_claim(board, 2); /* not started yet */
	int other = scoreboard_claim(board, 3);
	char byte;
	int fds[2];
	pid_t pid;

	ck_assert_int_ge(empty, 0);
	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		run_script(dead, fds[1]);
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &byte, 1), 1);
	ck_assert_int_eq(atomic_load(scoreboard_pid(board, dead)), (int)pid);
	scoreboard_wait(board, 2, 5);
	scoreboard_wait(board, 3, 1);
	ck_assert_int_eq(scoreboard_bury(board, 2), 2);
	ck_assert_int_eq(wait_for(pid), -1);
	ck_assert_int_eq(read(fds[0], &byte, 1), 0); /* its child is gone too */
	ck_assert_int_eq(scoreboard_running(board), 1);
	ck_assert_int_eq(scoreboard_waiting(board), 1);
	ck_assert_int_eq(scoreboard_bury(board, 2), 0);
	scoreboard_release(board, other);
	close(fds[0]);
}
END_TEST

/* ---- waiting -------------------------------------------------------------------------------- */

static bool is_woken(void)
{
	struct pollfd p = {.fd = scoreboard_wake_fd(board), .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

START_TEST(waiters_are_counted_over_all_workers)
{
	ck_assert_int_eq(scoreboard_waiting(board), 0);
	scoreboard_wait(board, 0, 1);
	scoreboard_wait(board, 5, 1);
	scoreboard_wait(board, 5, 1);
	ck_assert_int_eq(scoreboard_waiting(board), 3);
	scoreboard_wait(board, 5, -1);
	ck_assert_int_eq(scoreboard_waiting(board), 2);
}
END_TEST

START_TEST(a_slot_given_back_wakes_one_waiter_if_there_is_one)
{
	int slot = scoreboard_claim(board, 0);
	int more = scoreboard_claim(board, 0);

	scoreboard_release(board, slot);
	ck_assert(!is_woken());
	scoreboard_take_wake(board); /* none: it does not wait for one */
	scoreboard_wait(board, 1, 1);
	scoreboard_release(board, more);
	ck_assert(is_woken());
	scoreboard_take_wake(board);
	ck_assert(!is_woken());
	scoreboard_pass_wake(board);
	ck_assert(is_woken());
	scoreboard_take_wake(board);
	scoreboard_wait(board, 1, -1);
	scoreboard_pass_wake(board); /* nobody left to pass it to */
	ck_assert(!is_woken());
}
END_TEST

START_TEST(burying_wakes_who_waits)
{
	ck_assert_int_eq(claim_all(0), SLOTS);
	scoreboard_wait(board, 1, 1);
	ck_assert_int_eq(scoreboard_bury(board, 0), SLOTS);
	ck_assert(is_woken());
}
END_TEST

START_TEST(endless_wakes_do_not_block)
{
	scoreboard_wait(board, 0, 1);
	for (int i = 0; i < 100000; i++)
		scoreboard_pass_wake(board);
	ck_assert(is_woken());
}
END_TEST

/* ---- what is shown -------------------------------------------------------------------------- */

static struct script_info info_of(char letter)
{
	struct script_info info;

	memset(&info, letter, sizeof info);
	info.script[sizeof info.script - 1] = '\0';
	info.client[sizeof info.client - 1] = '\0';
	info.peer[sizeof info.peer - 1] = '\0';
	info.started = letter;
	return info;
}

START_TEST(a_slot_shows_its_info_while_a_script_is_there)
{
	struct scoreboard_script script;
	struct script_info info = info_of('a');
	int slot = scoreboard_claim(board, 3);

	ck_assert(!scoreboard_script(board, slot, &script));
	scoreboard_describe(board, slot, &info);
	ck_assert(scoreboard_script(board, slot, &script));
	ck_assert_int_eq(script.state, SCOREBOARD_STARTING);
	ck_assert_int_eq(script.worker, 3);
	ck_assert_int_eq(script.pid, 0);
	ck_assert_str_eq(script.info.script, info.script);
	ck_assert_str_eq(script.info.peer, info.peer);
	ck_assert_int_eq(script.info.started, 'a');
	scoreboard_set_state(board, slot, SCOREBOARD_STOPPING);
	ck_assert(scoreboard_script(board, slot, &script));
	ck_assert_int_eq(script.state, SCOREBOARD_STOPPING);
	scoreboard_release(board, slot);
	ck_assert(!scoreboard_script(board, slot, &script));
	ck_assert_int_eq(scoreboard_claim(board, 1), (slot + 1) % SLOTS);
}
END_TEST

/* Writes one info after the other for ever. */
static void keep_writing(int slot)
{
	for (char letter = 'a';; letter = letter == 'z' ? 'a' : (char)(letter + 1)) {
		struct script_info info = info_of(letter);

		scoreboard_describe(board, slot, &info);
	}
}

START_TEST(a_info_that_is_being_written_is_read_whole_or_not_at_all)
{
	int slot = scoreboard_claim(board, 0);
	int whole = 0;
	time_t until = time(NULL) + patience(5000) / 1000;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		keep_writing(slot);
	while (whole < ROUNDS && time(NULL) < until) {
		struct scoreboard_script script;
		struct script_info wanted;

		if (!scoreboard_script(board, slot, &script)) {
			sched_yield(); /* the writer may have lost its turn in the middle */
			continue;
		}
		wanted = info_of(script.info.script[0]);
		ck_assert_str_eq(script.info.script, wanted.script);
		ck_assert_str_eq(script.info.client, wanted.client);
		ck_assert_str_eq(script.info.peer, wanted.peer);
		ck_assert_int_eq(script.info.started, wanted.started);
		whole++;
	}
	kill(pid, SIGKILL);
	ck_assert_int_eq(wait_for(pid), -1);
	ck_assert_int_gt(whole, 0);
	/* wherever that writer has died, the next one's info can be read */
	ck_assert_int_eq(scoreboard_bury(board, 0), 1);
	for (int i = 0; i < SLOTS; i++) {
		struct script_info info = info_of('n');
		struct scoreboard_script script;
		int next = scoreboard_claim(board, 1);

		scoreboard_describe(board, next, &info);
		ck_assert(scoreboard_script(board, next, &script));
		ck_assert_str_eq(script.info.peer, info.peer);
	}
}
END_TEST

START_TEST(a_text_that_is_too_long_keeps_its_end)
{
	char text[8];

	scoreboard_cut(text, sizeof text, "");
	ck_assert_str_eq(text, "");
	scoreboard_cut(text, sizeof text, "1234567");
	ck_assert_str_eq(text, "1234567");
	scoreboard_cut(text, sizeof text, "12345678");
	ck_assert_str_eq(text, "...5678");
}
END_TEST

START_TEST(a_worker_says_who_it_is_until_it_is_buried)
{
	struct scoreboard_worker worker;

	scoreboard_worker(board, 2, &worker);
	ck_assert_int_eq(worker.pid, 0);
	scoreboard_enter(board, 2, 12345);
	scoreboard_connected(board, 2, 4);
	tally_add(scoreboard_tally(board, 2), TALLY_2XX, 6);
	scoreboard_worker(board, 2, &worker);
	ck_assert_int_eq(worker.pid, getpid());
	ck_assert_int_eq(worker.started, 12345);
	ck_assert_int_eq(worker.starts, 1);
	ck_assert_int_eq(worker.connections, 4);
	ck_assert_int_eq(scoreboard_bury(board, 2), 0);
	scoreboard_enter(board, 2, 23456);
	scoreboard_worker(board, 2, &worker);
	ck_assert_int_eq(worker.starts, 2);
	ck_assert_int_eq(worker.connections, 0);
	ck_assert_uint_eq(atomic_load(&scoreboard_tally(board, 2)->events[TALLY_2XX]), 6);
}
END_TEST

static uint64_t inherited(const struct scoreboard *heir, enum tally_event event)
{
	struct tally_sum sum = {.events = {0}};

	tally_read(scoreboard_inherited(heir), &sum);
	return sum.events[event];
}

START_TEST(counts_are_inherited_once_and_whole)
{
	struct scoreboard *heir, *next;
	int64_t since = scoreboard_since(board);
	int64_t made = scoreboard_made(board);

	tally_add(scoreboard_tally(board, 0), TALLY_2XX, 3);
	tally_add(scoreboard_tally(board, 2), TALLY_2XX, 4);
	tally_move(scoreboard_tally(board, 2), TALLY_ACTIVE, 1);
	for (int i = 0; i < 3; i++)
		scoreboard_enter(board, 2, 1);
	usleep(3000);
	heir = scoreboard_new(1, 1);
	ck_assert_ptr_nonnull(heir);
	ck_assert_int_gt(scoreboard_made(heir), made);
	ck_assert_uint_eq(inherited(heir, TALLY_2XX), 0);
	scoreboard_inherit(heir, board);
	ck_assert_uint_eq(inherited(heir, TALLY_2XX), 7);
	ck_assert_int_eq(scoreboard_respawns(heir), 2);
	ck_assert_int_eq(scoreboard_since(heir), since);
	ck_assert_int_eq(scoreboard_made(heir), made);
	/* who asks a worker of before, or has it count, sees it all */
	ck_assert_uint_eq(atomic_load(&scoreboard_tally(board, 2)->events[TALLY_2XX]), 4);
	ck_assert_int_eq(scoreboard_respawns(board), 2);
	tally_add(scoreboard_tally(board, 2), TALLY_2XX, 5);
	scoreboard_inherit(heir, board);
	ck_assert_uint_eq(inherited(heir, TALLY_2XX), 12);
	ck_assert_int_eq(scoreboard_respawns(heir), 2);
	/* and another reload comes */
	next = scoreboard_new(1, 1);
	ck_assert_ptr_nonnull(next);
	scoreboard_inherit(next, heir);
	scoreboard_inherit(next, heir);
	ck_assert_uint_eq(inherited(next, TALLY_2XX), 12);
	ck_assert_int_eq(scoreboard_respawns(next), 2);
	scoreboard_free(&heir);
	scoreboard_free(&next);
}
END_TEST

START_TEST(leaves_no_descriptor_open)
{
	int fds = count_fds();
	struct scoreboard *another = scoreboard_new(1, 1);

	ck_assert_ptr_nonnull(another);
	ck_assert_int_eq(count_fds(), fds + 3); /* memory and pipe */
	scoreboard_free(&another);
	ck_assert_int_eq(count_fds(), fds);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, has_as_many_slots_as_it_was_made_with);
	tcase_add_test(tcase, knows_the_fewest_connections);
	tcase_add_test(tcase, a_claimed_slot_names_no_process_yet);
	tcase_add_test(tcase, no_slot_is_ever_two_processes);
	tcase_add_test(tcase, all_processes_together_get_exactly_all_slots);
	tcase_add_test(tcase, the_scripts_of_a_dead_worker_are_killed_with_all_their_processes);
	tcase_add_test(tcase, waiters_are_counted_over_all_workers);
	tcase_add_test(tcase, a_slot_given_back_wakes_one_waiter_if_there_is_one);
	tcase_add_test(tcase, burying_wakes_who_waits);
	tcase_add_test(tcase, endless_wakes_do_not_block);
	tcase_add_test(tcase, a_slot_shows_its_info_while_a_script_is_there);
	tcase_add_test(tcase, a_info_that_is_being_written_is_read_whole_or_not_at_all);
	tcase_add_test(tcase, a_text_that_is_too_long_keeps_its_end);
	tcase_add_test(tcase, a_worker_says_who_it_is_until_it_is_buried);
	tcase_add_test(tcase, counts_are_inherited_once_and_whole);
	tcase_add_test(tcase, leaves_no_descriptor_open);
}

int main(void)
{
	return check_main("scoreboard", add);
}
