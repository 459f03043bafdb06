/* SPDX-License-Identifier: ISC */
/*
 * check_admission: who starts now, who waits and for how long, who is turned away.
 */
#include "check_util.h"

#include <errno.h>
#include <string.h>

#include "bridge/admission.h"

enum { SLOTS = 2 };

/* One that asks. */
struct asker {
	struct admission_ticket ticket;
	int decisions;
	int granted;
	int place; /* in the order of decisions */
	struct asker *leaves; /* taken out by this one's decision */
};

static struct loop *loops[2]; /* each worker has its own */
static struct scoreboard *board;
static struct options options;
static struct admission admissions[2]; /* of two workers; they could be two processes */
static struct asker askers[8];
static int decisions;

static void setup(void)
{
	memset(&options, 0, sizeof options);
	memset(askers, 0, sizeof askers);
	decisions = 0;
	options.queue = 4;
	options.queue_timeout = 3600 * 1000;
	board = scoreboard_new(2, SLOTS);
	ck_assert_ptr_nonnull(board);
	for (int i = 0; i < 2; i++) {
		loops[i] = loop_new();
		ck_assert_ptr_nonnull(loops[i]);
		admission_init(&admissions[i], loops[i], board, &options, i);
	}
}

static void teardown(void)
{
	for (int i = 0; i < 2; i++)
		admission_fini(&admissions[i]);
	ck_assert_int_eq(scoreboard_waiting(board), 0);
	scoreboard_free(&board);
	for (int i = 0; i < 2; i++)
		loop_free(&loops[i]);
}

static void on_decided(struct admission_ticket *ticket, int granted)
{
	struct asker *asker = CONTAINER_OF(ticket, struct asker, ticket);

	asker->decisions++;
	asker->granted = granted;
	asker->place = ++decisions;
	ck_assert_int_eq(granted != 0, ticket->slot >= 0);
	if (asker->leaves != NULL)
		admission_leave(&admissions[0], &asker->leaves->ticket);
}

static enum admission_answer ask(int worker, int number)
{
	return admission_ask(&admissions[worker], &askers[number].ticket, on_decided);
}

static void fill_slots(void)
{
	for (int i = 0; i < SLOTS; i++)
		ck_assert_int_eq(ask(0, i), ADMISSION_GRANTED);
}

static void turn_both(int ms)
{
	for (int i = 0; i < 2; i++)
		turn_for(loops[i], ms);
}

/* The other worker has its turn first. */
static bool have_decisions(void *context)
{
	turn_for(loops[1], 0);
	return decisions >= *(int *)context;
}

static void wait_for_decisions(int wanted)
{
	ck_assert(turn_until(loops[0], have_decisions, &wanted));
	turn_both(5);
	ck_assert_int_eq(decisions, wanted);
}

START_TEST(grants_at_once_while_there_are_slots)
{
	fill_slots();
	ck_assert_int_ge(askers[0].ticket.slot, 0);
	ck_assert_int_ne(askers[0].ticket.slot, askers[1].ticket.slot);
	ck_assert_int_eq(decisions, 0); /* no call: the answer has said it */
	ck_assert_int_eq(ask(0, 2), ADMISSION_WAIT);
	ck_assert_int_eq(askers[2].ticket.slot, -1);
	ck_assert_int_eq(scoreboard_waiting(board), 1);
}
END_TEST

START_TEST(who_waits_is_served_in_order)
{
	fill_slots();
	for (int i = 2; i < 6; i++)
		ck_assert_int_eq(ask(0, i), ADMISSION_WAIT);
	turn_both(5);
	ck_assert_int_eq(decisions, 0);
	scoreboard_release(board, askers[0].ticket.slot);
	wait_for_decisions(1);
	scoreboard_release(board, askers[1].ticket.slot);
	scoreboard_release(board, askers[2].ticket.slot);
	wait_for_decisions(3);
	for (int i = 2; i < 5; i++) {
		ck_assert_int_eq(askers[i].decisions, 1);
		ck_assert_int_eq(askers[i].place, i - 1);
		ck_assert_int_eq(askers[i].granted, 1);
	}
	ck_assert_int_eq(scoreboard_waiting(board), 1);
}
END_TEST

START_TEST(without_a_script_that_runs_there_is_nothing_to_wait_for)
{
	ck_assert_int_eq(ask(0, 0), ADMISSION_GRANTED);
	ck_assert(!admission_put_back(&admissions[0], &askers[0].ticket, EMFILE));
	ck_assert_int_ge(askers[0].ticket.slot, 0); /* still ours */
	scoreboard_release(board, askers[0].ticket.slot);
}
END_TEST

START_TEST(what_is_put_back_waits_for_a_script_of_its_worker)
{
	fill_slots();
	admission_begin(&admissions[0], &askers[0].ticket);
	ck_assert_int_eq(ask(0, 2), ADMISSION_WAIT);
	ck_assert(admission_put_back(&admissions[0], &askers[1].ticket, EMFILE));
	ck_assert_int_eq(scoreboard_waiting(board), 2);
	turn_both(5); /* its slot is free, but that is not what it lacks */
	ck_assert_int_eq(decisions, 0);
	ck_assert_int_eq(ask(1, 3), ADMISSION_GRANTED); /* others need not lack it */
	scoreboard_release(board, askers[3].ticket.slot);
	turn_both(5);
	ck_assert_int_eq(decisions, 0);
	scoreboard_release(board, askers[0].ticket.slot);
	admission_leave(&admissions[0], &askers[0].ticket);
	ck_assert_int_eq(decisions, 0); /* not before its descriptors are closed */
	wait_for_decisions(2);
	ck_assert_int_eq(askers[1].place, 1); /* the first, as it was */
	ck_assert_int_eq(askers[1].granted, 1);
	ck_assert_int_eq(askers[2].granted, 1);
}
END_TEST

START_TEST(what_is_put_back_is_refused_in_its_time)
{
	options.queue_timeout = 20;
	fill_slots();
	admission_begin(&admissions[0], &askers[0].ticket);
	ck_assert(admission_put_back(&admissions[0], &askers[1].ticket, ENFILE));
	wait_for_decisions(1);
	ck_assert_int_eq(askers[1].granted, 0);
	scoreboard_release(board, askers[0].ticket.slot);
	admission_leave(&admissions[0], &askers[0].ticket);
}
END_TEST

START_TEST(nobody_overtakes_who_waits)
{
	fill_slots();
	ck_assert_int_eq(ask(0, 2), ADMISSION_WAIT);
	scoreboard_release(board, askers[0].ticket.slot);
	ck_assert_int_eq(ask(0, 3), ADMISSION_WAIT);
	wait_for_decisions(1);
	ck_assert_int_eq(askers[2].granted, 1);
	ck_assert_int_eq(askers[3].decisions, 0);
}
END_TEST

START_TEST(a_full_queue_turns_away)
{
	fill_slots();
	for (int i = 2; i < 6; i++)
		ck_assert_int_eq(ask(i % 2, i), ADMISSION_WAIT); /* over all workers */
	ck_assert_int_eq(ask(0, 6), ADMISSION_FULL);
	ck_assert_int_eq(ask(1, 6), ADMISSION_FULL);
	admission_leave(&admissions[0], &askers[6].ticket); /* did not wait */
	admission_leave(&admissions[0], &askers[2].ticket);
	ck_assert_int_eq(ask(1, 7), ADMISSION_WAIT);
}
END_TEST

START_TEST(a_queue_of_none_turns_away_at_once)
{
	options.queue = 0;
	fill_slots();
	ck_assert_int_eq(ask(0, 2), ADMISSION_FULL);
	ck_assert_int_eq(scoreboard_waiting(board), 0);
	scoreboard_release(board, askers[0].ticket.slot);
	ck_assert_int_eq(ask(0, 3), ADMISSION_GRANTED);
}
END_TEST

START_TEST(who_has_waited_too_long_is_told)
{
	options.queue_timeout = 20;
	fill_slots();
	ck_assert_int_eq(ask(0, 2), ADMISSION_WAIT);
	ck_assert_int_eq(ask(0, 3), ADMISSION_WAIT);
	wait_for_decisions(2);
	for (int i = 2; i < 4; i++) {
		ck_assert_int_eq(askers[i].decisions, 1);
		ck_assert_int_eq(askers[i].granted, 0);
		ck_assert_int_eq(askers[i].ticket.slot, -1);
	}
	ck_assert_int_eq(scoreboard_waiting(board), 0);
	/* and it goes on */
	scoreboard_release(board, askers[0].ticket.slot);
	ck_assert_int_eq(ask(0, 4), ADMISSION_GRANTED);
}
END_TEST

START_TEST(who_has_left_is_not_told)
{
	fill_slots();
	for (int i = 2; i < 5; i++)
		ck_assert_int_eq(ask(0, i), ADMISSION_WAIT);
	admission_leave(&admissions[0], &askers[2].ticket);
	admission_leave(&admissions[0], &askers[2].ticket);
	ck_assert_int_eq(scoreboard_waiting(board), 2);
	scoreboard_release(board, askers[0].ticket.slot);
	wait_for_decisions(1);
	ck_assert_int_eq(askers[2].decisions, 0);
	ck_assert_int_eq(askers[3].granted, 1);
}
END_TEST

START_TEST(a_decision_may_take_others_out)
{
	fill_slots();
	for (int i = 2; i < 5; i++)
		ck_assert_int_eq(ask(0, i), ADMISSION_WAIT);
	askers[2].leaves = &askers[3];
	for (int i = 0; i < SLOTS; i++)
		scoreboard_release(board, askers[i].ticket.slot);
	wait_for_decisions(2);
	ck_assert_int_eq(askers[3].decisions, 0);
	ck_assert_int_eq(askers[4].granted, 1);
}
END_TEST

START_TEST(a_slot_of_one_worker_serves_another)
{
	fill_slots();
	ck_assert_int_eq(ask(1, 2), ADMISSION_WAIT);
	scoreboard_release(board, askers[0].ticket.slot);
	wait_for_decisions(1);
	ck_assert_int_eq(askers[2].granted, 1);
}
END_TEST

START_TEST(no_wake_up_is_lost_between_workers)
{
	fill_slots();
	ck_assert_int_eq(ask(0, 2), ADMISSION_WAIT);
	ck_assert_int_eq(ask(1, 3), ADMISSION_WAIT);
	for (int i = 0; i < SLOTS; i++)
		scoreboard_release(board, askers[i].ticket.slot);
	wait_for_decisions(2);
	ck_assert_int_eq(askers[2].granted, 1);
	ck_assert_int_eq(askers[3].granted, 1);
}
END_TEST

START_TEST(the_end_forgets_who_waits)
{
	fill_slots();
	ck_assert_int_eq(ask(0, 2), ADMISSION_WAIT);
	admission_fini(&admissions[0]);
	ck_assert_int_eq(scoreboard_waiting(board), 0);
	scoreboard_release(board, askers[0].ticket.slot);
	turn_both(5);
	ck_assert_int_eq(decisions, 0);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, grants_at_once_while_there_are_slots);
	tcase_add_test(tcase, who_waits_is_served_in_order);
	tcase_add_test(tcase, without_a_script_that_runs_there_is_nothing_to_wait_for);
	tcase_add_test(tcase, what_is_put_back_waits_for_a_script_of_its_worker);
	tcase_add_test(tcase, what_is_put_back_is_refused_in_its_time);
	tcase_add_test(tcase, nobody_overtakes_who_waits);
	tcase_add_test(tcase, a_full_queue_turns_away);
	tcase_add_test(tcase, a_queue_of_none_turns_away_at_once);
	tcase_add_test(tcase, who_has_waited_too_long_is_told);
	tcase_add_test(tcase, who_has_left_is_not_told);
	tcase_add_test(tcase, a_decision_may_take_others_out);
	tcase_add_test(tcase, a_slot_of_one_worker_serves_another);
	tcase_add_test(tcase, no_wake_up_is_lost_between_workers);
	tcase_add_test(tcase, the_end_forgets_who_waits);
}

int main(void)
{
	return check_main("admission", add);
}
