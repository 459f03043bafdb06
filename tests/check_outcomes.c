/* SPDX-License-Identifier: ISC */
/*
 * check_outcomes: what fcgiget -n counts, and the exit status that comes of it.
 */
#include "check_util.h"

#include <signal.h>
#include <string.h>

#include "fcgiget/outcomes.h"

static struct outcomes outcomes;

static void setup(void)
{
	outcomes_init(&outcomes);
}

static void add_ending(enum outcome outcome, int status, int protocol_status, const char *why)
{
	const struct ending e = {.outcome = outcome, .time = 1000, .status = status,
	    .protocol_status = protocol_status, .bytes = 10, .error_bytes = 3, .connects = 1,
	    .why = why};

	outcomes_add(&outcomes, &e);
}

START_TEST(nothing_is_well)
{
	setup();
	ck_assert_int_eq(outcomes_verdict(&outcomes), EXIT_OK);
	ck_assert_uint_eq(outcomes_failures(&outcomes), 0);
	ck_assert_str_eq(outcomes.error, "");
}
END_TEST

START_TEST(answers_are_counted_by_class_and_protocol_status)
{
	setup();
	add_ending(OUTCOME_DONE, 200, 0, NULL);
	add_ending(OUTCOME_DONE, 299, 0, NULL);
	add_ending(OUTCOME_DONE, 404, 0, NULL);
	add_ending(OUTCOME_DONE, 999, 0, NULL);
	add_ending(OUTCOME_REFUSED, 0, 2, NULL);
	add_ending(OUTCOME_REFUSED, 0, 255, NULL);
	ck_assert_uint_eq(outcomes.classes[2], 2);
	ck_assert_uint_eq(outcomes.classes[4], 1);
	ck_assert_uint_eq(outcomes.classes[9], 1);
	ck_assert_uint_eq(outcomes.classes[0], 0);
	ck_assert_uint_eq(outcomes.protocols[0], 4);
	ck_assert_uint_eq(outcomes.protocols[2], 1);
	ck_assert_uint_eq(outcomes.protocols[OUTCOMES_PROTOCOLS - 1], 1);
	ck_assert_uint_eq(outcomes.ended, 6);
	ck_assert_uint_eq(outcomes.bytes, 60);
	ck_assert_uint_eq(outcomes.error_bytes, 18);
	ck_assert_uint_eq(outcomes.connects, 6);
	ck_assert_uint_eq(outcomes_failures(&outcomes), 2);
	ck_assert_int_eq(outcomes_verdict(&outcomes), EXIT_PROTOCOL);
}
END_TEST

START_TEST(only_answers_have_a_latency)
{
	setup();
	add_ending(OUTCOME_DONE, 200, 0, NULL);
	add_ending(OUTCOME_STATUS, 500, 0, NULL);
	add_ending(OUTCOME_REFUSED, 0, 2, NULL);
	ck_assert_uint_eq(outcomes.latency.count, 3);
	add_ending(OUTCOME_PROTOCOL, 0, -1, "closed");
	add_ending(OUTCOME_TIMEOUT, 0, -1, "late");
	add_ending(OUTCOME_CONNECT, 0, -1, "refused");
	ck_assert_uint_eq(outcomes.latency.count, 3);
	ck_assert_uint_eq(outcomes.protocols[0] + outcomes.protocols[2], 3);
}
END_TEST

START_TEST(the_worst_failure_is_the_verdict)
{
	setup();
	add_ending(OUTCOME_DONE, 500, 0, NULL);
	ck_assert_int_eq(outcomes_verdict(&outcomes), EXIT_OK);
	add_ending(OUTCOME_STATUS, 500, 0, NULL);
	ck_assert_int_eq(outcomes_verdict(&outcomes), EXIT_HTTP_STATUS);
	add_ending(OUTCOME_PROTOCOL, 0, -1, "closed");
	ck_assert_int_eq(outcomes_verdict(&outcomes), EXIT_PROTOCOL);
	add_ending(OUTCOME_TIMEOUT, 0, -1, "late");
	ck_assert_int_eq(outcomes_verdict(&outcomes), EXIT_TIMEOUT);
	add_ending(OUTCOME_CONNECT, 0, -1, "refused");
	ck_assert_int_eq(outcomes_verdict(&outcomes), EXIT_CONNECT);
	outcomes.signo = SIGINT;
	ck_assert_int_eq(outcomes_verdict(&outcomes), 128 + SIGINT);
}
END_TEST

START_TEST(the_first_error_is_kept)
{
	char text[2 * OUTCOMES_ERROR_MAX];

	setup();
	add_ending(OUTCOME_STATUS, 503, 0, NULL);
	add_ending(OUTCOME_CONNECT, 0, -1, "no such file");
	ck_assert_str_eq(outcomes.error, "status 503");
	setup();
	add_ending(OUTCOME_REFUSED, 0, 2, NULL);
	ck_assert_str_eq(outcomes.error, "refused with protocolStatus 2 (OVERLOADED)");
	setup();
	add_ending(OUTCOME_CONNECT, 0, -1, "no such file");
	ck_assert_str_eq(outcomes.error, "cannot connect: no such file");
	setup();
	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	outcomes_error(&outcomes, "%s", text);
	ck_assert_uint_eq(strlen(outcomes.error), OUTCOMES_ERROR_MAX - 1);
}
END_TEST

START_TEST(the_last_ending_can_be_looked_at)
{
	setup();
	add_ending(OUTCOME_DONE, 200, 0, NULL);
	add_ending(OUTCOME_PROTOCOL, 302, -1, "closed");
	ck_assert_int_eq(outcomes.last.status, 302);
	ck_assert_int_eq(outcomes.last.time, 1000);
	ck_assert_ptr_null(outcomes.last.why);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, nothing_is_well);
	tcase_add_test(tcase, answers_are_counted_by_class_and_protocol_status);
	tcase_add_test(tcase, only_answers_have_a_latency);
	tcase_add_test(tcase, the_worst_failure_is_the_verdict);
	tcase_add_test(tcase, the_first_error_is_kept);
	tcase_add_test(tcase, the_last_ending_can_be_looked_at);
}

int main(void)
{
	return check_main("outcomes", add);
}
