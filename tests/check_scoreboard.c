/* SPDX-License-Identifier: ISC */
/*
 * check_scoreboard: the limit is exact over several processes, the dead leave nothing
 * behind, who waits is woken, and nothing that a worker has written is taken for true.
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

#include "stats/scoreboard_private.h"
#include "base/sys.h"

/* Elsewhere the system does not tell of a group, and memory is an ordinary file. */
#ifdef WITH_SYS_LINUX
enum { WITHOUT_PROC = 0 };
#else
enum { WITHOUT_PROC = 1 };
#endif

enum { SLOTS = 7, PROCESSES = 6, ROUNDS = 20000, NO_SESSION = 0x7fffffff };

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

START_TEST(knows_the_fewest_connections_of_those_that_run)
{
	for (int i = 0; i < PROCESSES; i++) {
		scoreboard_connected(board, i, 10 + i);
		scoreboard_enter(board, i, 1);
	}
	ck_assert_int_eq(scoreboard_fewest(board), 10);
	scoreboard_connected(board, 0, 12);
	ck_assert_int_eq(scoreboard_fewest(board), 11);
	scoreboard_bury(board, 1, NO_SESSION); /* it has none, and takes none either */
	ck_assert_int_eq(scoreboard_fewest(board), 12);
	for (int i = 0; i < PROCESSES; i++)
		scoreboard_bury(board, i, NO_SESSION);
	ck_assert_int_gt(scoreboard_fewest(board), 10000);
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
		sum += scoreboard_bury(board, i, NO_SESSION);
	ck_assert_int_eq(sum, SLOTS);
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

/* ---- the dead ----------------------------------------------------------------------------- */

/* Ends no sooner than it is killed; `fd` says that it has begun. */
static void run_for_ever(int fd)
{
	if (write(fd, "x", 1) != 1)
		_exit(1);
	/* one that a test has left must not hold up whoever reads what is printed here */
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	for (;;)
		pause();
}

/* A worker with a session of its own, whose script has a group of its own and a child in it. */
static void run_worker(int slot, int fd)
{
	setsid();
	if (fork() == 0) {
		atomic_store(scoreboard_pid(board, slot), (int)getpid());
		setpgid(0, 0);
		fork();
	}
	run_for_ever(fd);
}

/* A process that runs `code`; all it has started have `*end` open, and `count` of them run. */
#define START(pid, end, count, code)                                     \
	do {                                                             \
		char bytes[8];                                           \
		int fds[2];                                              \
		ck_assert_int_eq(pipe(fds), 0);                          \
		(pid) = fork();                                          \
		ck_assert_int_ge(pid, 0);                                \
		if ((pid) == 0) {                                        \
			int fd = fds[1];                                 \
			code;                                            \
		}                                                        \
		close(fds[1]);                                           \
		(end) = fds[0];                                          \
		for (int n = 0; n < (count);)                            \
			n += (int)read(end, bytes, sizeof bytes);        \
	} while (0)

/* All that have its other end open have gone. */
static bool all_gone(int end)
{
	char byte;

	return read(end, &byte, 1) == 0;
}

static bool some_run(int end)
{
	struct pollfd p = {.fd = end, .events = POLLIN};

	return poll(&p, 1, 50) == 0;
}

static void end_process(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(wait_for(pid), -1);
}

START_TEST(the_scripts_of_a_dead_worker_are_killed_with_all_their_processes)
{
	int dead = scoreboard_claim(board, 2);
	int empty = scoreboard_claim(board, 2); /* not started yet */
	int other = scoreboard_claim(board, 3);
	int end;
	pid_t pid;

	ck_assert_int_ge(empty, 0);
	START(pid, end, 3, run_worker(dead, fd));
	ck_assert_int_gt(atomic_load(scoreboard_pid(board, dead)), (int)pid);
	end_process(pid);
	ck_assert(some_run(end));
	scoreboard_wait(board, 2, 5);
	scoreboard_wait(board, 3, 1);
	ck_assert_int_eq(scoreboard_bury(board, 2, pid), 2);
	ck_assert(all_gone(end));
	ck_assert_int_eq(scoreboard_running(board), 1);
	ck_assert_int_eq(scoreboard_waiting(board), 1);
	ck_assert_int_eq(scoreboard_bury(board, 2, pid), 0);
	scoreboard_release(board, other);
	close(end);
}
END_TEST

START_TEST(nothing_is_killed_outside_of_the_session_of_the_dead)
{
	int slots[] = {scoreboard_claim(board, 2), scoreboard_claim(board, 2),
	    scoreboard_claim(board, 2)};
	int end, ends[2];
	pid_t worker, pids[2];

	START(worker, end, 3, run_worker(slots[0], fd));
	for (int i = 0; i < 2; i++)
		START(pids[i], ends[i], 1, {
			if (i == 0)
				setsid();
			else
				setpgid(0, 0);
			run_for_ever(fd);
		});
	for (int i = 0; i < 2; i++) {
		atomic_store(scoreboard_pid(board, slots[i + 1]), (int)pids[i]);
		ck_assert_int_ge(scoreboard_set_group(board, 2, pids[i]), 0);
	}
	ck_assert_int_eq(scoreboard_bury(board, 2, worker), 3);
	ck_assert_int_eq(scoreboard_running(board), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert(some_run(ends[i]));
		end_process(pids[i]);
		close(ends[i]);
	}
	end_process(worker);
	ck_assert(all_gone(end)); /* the script was in it */
	close(end);
}
END_TEST

/* As run_worker(), after its script has ended: what that has started goes on. */
static void run_orphans(int fd)
{
	pid_t script;

	setsid();
	script = fork();
	if (script == 0) {
		setpgid(0, 0);
		if (fork() == 0)
			run_for_ever(fd);
		_exit(0);
	}
	while (waitpid(script, NULL, 0) != script)
		;
	if (scoreboard_set_group(board, 2, script) < 0)
		_exit(1);
	run_for_ever(fd);
}

START_TEST(a_group_that_is_to_be_killed_is_although_its_worker_dies)
{
	int end;
	pid_t pid;

	START(pid, end, 2, run_orphans(fd));
	end_process(pid);
	scoreboard_bury(board, 3, pid);
	ck_assert(some_run(end));
	ck_assert_int_eq(scoreboard_bury(board, 2, pid), 0);
	ck_assert(all_gone(end));
	close(end);
}
END_TEST

START_TEST(groups_are_noted_as_long_as_there_is_room)
{
	for (int i = 0; i < SLOTS; i++)
		ck_assert_int_eq(scoreboard_set_group(board, i % 2, NO_SESSION), i);
	ck_assert_int_eq(scoreboard_set_group(board, 1, NO_SESSION), -1);
	scoreboard_forget_group(board, 3);
	ck_assert_int_eq(scoreboard_set_group(board, 1, NO_SESSION), 3);
	scoreboard_bury(board, 0, NO_SESSION);
	ck_assert_int_eq(scoreboard_set_group(board, 1, NO_SESSION), 0);
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

/* Claims and gives back, until it dies in the middle of that. */
static void claim_for_ever(int fd)
{
	if (write(fd, "x", 1) != 1)
		_exit(1);
	for (;;) {
		int slot = scoreboard_claim(board, 4);

		if (slot >= 0)
			scoreboard_release(board, slot);
	}
}

START_TEST(wherever_a_worker_dies_the_count_of_scripts_is_right)
{
	int other = scoreboard_claim(board, 1);

	ck_assert_int_ge(other, 0);
	for (int i = 0; i < 200; i++) {
		int end;
		pid_t pid;

		START(pid, end, 1, claim_for_ever(fd));
		usleep((unsigned)i % 16 * 10);
		end_process(pid);
		scoreboard_bury(board, 4, pid);
		ck_assert_int_eq(scoreboard_running(board), 1);
		close(end);
	}
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
	scoreboard_clear_wake(board); /* none: it does not wait for one */
	scoreboard_wait(board, 1, 1);
	scoreboard_release(board, more);
	ck_assert(is_woken());
	scoreboard_clear_wake(board);
	ck_assert(!is_woken());
	scoreboard_pass_wake(board);
	ck_assert(is_woken());
	scoreboard_clear_wake(board);
	scoreboard_wait(board, 1, -1);
	scoreboard_pass_wake(board); /* nobody left to pass it to */
	ck_assert(!is_woken());
}
END_TEST

START_TEST(burying_wakes_who_waits)
{
	ck_assert_int_eq(claim_all(0), SLOTS);
	scoreboard_wait(board, 1, 1);
	ck_assert_int_eq(scoreboard_bury(board, 0, NO_SESSION), SLOTS);
	ck_assert(is_woken());
}
END_TEST

START_TEST(a_wake_up_that_a_worker_has_died_with_is_passed_on)
{
	int slot = scoreboard_claim(board, 0);

	scoreboard_wait(board, 1, 1);
	scoreboard_wait(board, 2, 1);
	scoreboard_release(board, slot);
	scoreboard_clear_wake(board); /* by worker 1, which does not get to its claim */
	ck_assert(!is_woken());
	scoreboard_bury(board, 1, NO_SESSION);
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

START_TEST(an_info_that_is_being_written_is_read_whole_or_not_at_all)
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
	ck_assert_int_eq(scoreboard_bury(board, 0, NO_SESSION), 1);
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
	ck_assert_int_eq(scoreboard_bury(board, 2, NO_SESSION), 0);
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

/* ---- what a worker may write ------------------------------------------------------------------ */

START_TEST(numbers_are_in_range_whatever_was_written)
{
	static const unsigned char patterns[] = {0xff, 0x80, 0x7f, 0x55};
	struct scoreboard_worker worker;
	int64_t since = scoreboard_since(board);
	int64_t made = scoreboard_made(board);

	memset(board->shared, patterns[_i], board->size);
	scoreboard_worker(board, 1, &worker);
	ck_assert(worker.pid >= 0 && worker.starts >= 0 && worker.waiting >= 0 &&
	    worker.connections >= 0);
	ck_assert_int_le(llabs(worker.started), INT64_MAX / 4);
	ck_assert_int_le(llabs(scoreboard_last_beat(board, 1)), INT64_MAX / 4);
	ck_assert_int_le(worker.waiting, COUNT_MAX);
	ck_assert_int_le(worker.connections, COUNT_MAX);
	ck_assert_int_ge(scoreboard_waiting(board), 0);
	ck_assert_int_ge(scoreboard_running(board), 0);
	ck_assert_int_le(scoreboard_running(board), SLOTS);
	ck_assert_int_ge(scoreboard_respawns(board), 0);
	ck_assert_int_ge(scoreboard_fewest(board), 0);
	ck_assert_int_le(scoreboard_fewest(board), COUNT_MAX);
	ck_assert_int_eq(scoreboard_since(board), since);
	ck_assert_int_eq(scoreboard_made(board), made);
}
END_TEST

START_TEST(a_slot_with_nonsense_shows_nothing)
{
	struct script_info info = info_of('a');
	struct scoreboard_script script;
	int slot = scoreboard_claim(board, 1);

	memset(info.peer, 'x', sizeof info.peer);
	info.started = INT64_MIN;
	scoreboard_describe(board, slot, &info);
	ck_assert(scoreboard_script(board, slot, &script));
	ck_assert_uint_eq(strlen(script.info.peer), sizeof info.peer - 1);
	ck_assert_int_eq(script.info.started, 0);
	for (int state = SCOREBOARD_LEFT; state < 1000; state += 7)
		ck_assert_int_eq(
		    (scoreboard_set_state(board, slot, (enum scoreboard_state)state),
			scoreboard_script(board, slot, &script)),
		    state == SCOREBOARD_LEFT);
	scoreboard_set_state(board, slot, SCOREBOARD_RUNNING);
	atomic_store(&board->shared->slots[slot].owner, PROCESSES + 1);
	ck_assert(!scoreboard_script(board, slot, &script));
	ck_assert_int_eq(scoreboard_running(board), 0);
	/* nobody would give it back */
	ck_assert_int_eq(scoreboard_bury(board, 0, NO_SESSION), 1);
	ck_assert_int_eq(claim_all(0), SLOTS);
}
END_TEST

START_TEST(an_heir_is_told_no_time_that_has_not_been)
{
	static const int64_t nonsense[] = {INT64_MIN, -1, 0, INT64_MAX};
	struct scoreboard_share share = scoreboard_share(board);
	int64_t made = scoreboard_made(board);
	struct scoreboard *adopted;

	share.fd = dup(share.fd);
	share.wake[0] = dup(share.wake[0]);
	share.wake[1] = dup(share.wake[1]);
	atomic_store(&board->shared->since, nonsense[_i]);
	atomic_store(&board->shared->made, nonsense[_i]);
	adopted = scoreboard_adopt(&share);
	ck_assert_ptr_nonnull(adopted);
	ck_assert_int_ge(scoreboard_made(adopted), made);
	ck_assert_int_le(scoreboard_made(adopted), made + 60 * 1000);
	ck_assert_int_gt(scoreboard_since(adopted), 0);
	scoreboard_free(&adopted);
}
END_TEST

START_TEST(a_worker_cannot_take_the_memory_away)
{
	int fds = count_fds();

	ck_assert_int_ge(board->fd, 0);
	if (!WITHOUT_PROC)
		ck_assert_int_ne(ftruncate(board->fd, 0), 0);
	scoreboard_enter(board, 0, 1);
	ck_assert_int_eq(count_fds(), fds - 1);
	ck_assert_int_eq(scoreboard_share(board).fd, -1);
}
END_TEST

START_TEST(leaves_no_descriptor_open)
{
	int fds = count_fds();
	struct scoreboard *another = scoreboard_new(1, 1);

	ck_assert_ptr_nonnull(another);
	ck_assert_int_eq(count_fds(), fds + 3); /* memory and sockets */
	scoreboard_free(&another);
	ck_assert_int_eq(count_fds(), fds);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, has_as_many_slots_as_it_was_made_with);
	tcase_add_test(tcase, knows_the_fewest_connections_of_those_that_run);
	tcase_add_test(tcase, a_claimed_slot_names_no_process_yet);
	tcase_add_test(tcase, no_slot_is_ever_two_processes);
	tcase_add_test(tcase, all_processes_together_get_exactly_all_slots);
	tcase_add_test(tcase, the_scripts_of_a_dead_worker_are_killed_with_all_their_processes);
	tcase_add_test(tcase, nothing_is_killed_outside_of_the_session_of_the_dead);
	if (!WITHOUT_PROC)
		tcase_add_test(tcase, a_group_that_is_to_be_killed_is_although_its_worker_dies);
	tcase_add_test(tcase, groups_are_noted_as_long_as_there_is_room);
	tcase_add_test(tcase, wherever_a_worker_dies_the_count_of_scripts_is_right);
	tcase_add_test(tcase, waiters_are_counted_over_all_workers);
	tcase_add_test(tcase, a_slot_given_back_wakes_one_waiter_if_there_is_one);
	tcase_add_test(tcase, burying_wakes_who_waits);
	tcase_add_test(tcase, a_wake_up_that_a_worker_has_died_with_is_passed_on);
	tcase_add_test(tcase, endless_wakes_do_not_block);
	tcase_add_test(tcase, a_slot_shows_its_info_while_a_script_is_there);
	tcase_add_test(tcase, an_info_that_is_being_written_is_read_whole_or_not_at_all);
	tcase_add_test(tcase, a_text_that_is_too_long_keeps_its_end);
	tcase_add_test(tcase, a_worker_says_who_it_is_until_it_is_buried);
	tcase_add_test(tcase, counts_are_inherited_once_and_whole);
	tcase_add_loop_test(tcase, numbers_are_in_range_whatever_was_written, 0, 4);
	tcase_add_test(tcase, a_slot_with_nonsense_shows_nothing);
	tcase_add_loop_test(tcase, an_heir_is_told_no_time_that_has_not_been, 0, 4);
	tcase_add_test(tcase, a_worker_cannot_take_the_memory_away);
	tcase_add_test(tcase, leaves_no_descriptor_open);
}

int main(void)
{
	return check_main("scoreboard", add);
}
