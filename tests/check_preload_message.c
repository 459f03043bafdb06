/* SPDX-License-Identifier: ISC */
/*
 * check_preload_message: the packets of cgibridge-preload(7), byte for byte.
 */
#include "check_util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cgi/preload_message.h"

static struct preload_message message;

/* ---- written ----------------------------------------------------------------------------- */

START_TEST(a_request_has_all_its_parts)
{
	static const char wanted[] = "start\0" "17\0" "2\0" "-w\0" "-l 0\0" "/srv\0"
	    "2\0" "7\0" "256\0" "unlimited\0" "4\0" "0\0" "0\0"
	    "2\0" "/srv/x.pl\0" "\0" "3\0" "A=b\0" "EMPTY=\0" "Z=1\0002\0003";
	static const char *const switches[] = {"-w", "-l 0"};
	char *argv[] = {(char[]){"/srv/x.pl"}, (char[]){""}, NULL};
	char *envp[] = {(char[]){"A=b"}, (char[]){"EMPTY="}, (char[]){"Z=1"}, NULL};
	const struct sys_limit limits[] = {
	    {(sys_resource)7, {256, RLIM_INFINITY}}, {(sys_resource)4, {0, 0}}};
	struct buf packet;

	buf_init(&packet, PRELOAD_REQUEST_MAX);
	ck_assert_int_eq(preload_message_start(&packet,
	    &(struct preload_request){.serial = 17, .switches = switches, .switch_count = 2,
		.dir = "/srv", .limits = limits, .limit_count = 2, .argv = argv, .envp = envp}), 0);
	ck_assert_uint_eq(buf_len(&packet), sizeof wanted - sizeof "2\0003");
	ck_assert_int_eq(memcmp(buf_bytes(&packet), wanted, buf_len(&packet)), 0);
	buf_fini(&packet);
}
END_TEST

START_TEST(a_request_that_is_too_long)
{
	static char *none[] = {NULL};
	char *item = malloc(PRELOAD_REQUEST_MAX);
	char *envp[] = {item, NULL};
	struct preload_request request = {.dir = "/", .argv = none, .envp = envp};
	struct buf packet;

	/* the rest of it: "start" "0" "0" "/" "0" "0" "1", each with its NUL, and the item's */
	memset(item, 'x', PRELOAD_REQUEST_MAX);
	item[PRELOAD_REQUEST_MAX - 6 - 6 * 2 - 1] = '\0';
	buf_init(&packet, PRELOAD_REQUEST_MAX);
	ck_assert_int_eq(preload_message_start(&packet, &request), 0);
	ck_assert_uint_eq(buf_len(&packet), PRELOAD_REQUEST_MAX);
	buf_consume(&packet, buf_len(&packet));
	item[PRELOAD_REQUEST_MAX - 6 - 6 * 2 - 1] = 'x';
	item[PRELOAD_REQUEST_MAX - 6 - 6 * 2] = '\0';
	ck_assert_int_eq(preload_message_start(&packet, &request), -1);
	ck_assert_int_eq(errno, ENOBUFS);
	buf_fini(&packet);
	free(item);
}
END_TEST

/* ---- read -------------------------------------------------------------------------------- */

#define PARSE(text) preload_message_parse(text, sizeof text, &message)

START_TEST(ready)
{
	ck_assert_int_eq(PARSE("ready\0" "1"), 0);
	ck_assert_int_eq(message.verb, PRELOAD_IS_READY);
	ck_assert_uint_eq(message.name_count, 0);
	ck_assert_int_eq(PARSE("ready\0" "1\0A\0B*"), 0);
	ck_assert_uint_eq(message.name_count, 2);
	ck_assert_int_eq(memcmp(message.names, "A\0B*", 5), 0);
}
END_TEST

START_TEST(started)
{
	ck_assert_int_eq(PARSE("start\0" "18446744073709551615\0" "4711"), 0);
	ck_assert_int_eq(message.verb, PRELOAD_HAS_STARTED);
	ck_assert_uint_eq(message.serial, (unsigned long)-1);
	ck_assert_int_eq(message.pid, 4711);
}
END_TEST

START_TEST(failed)
{
	static const struct {
		const char *text;
		size_t len;
		enum sys_step step;
	} steps[] = {
	    {"fail\0" "5\0fork\0" "11", 15, SYS_STEP_FORK},
	    {"fail\0" "5\0group\0" "1", 15, SYS_STEP_GROUP},
	    {"fail\0" "5\0dir\0" "2", 13, SYS_STEP_DIR},
	    {"fail\0" "5\0limit\0" "1", 15, SYS_STEP_LIMIT},
	    {"fail\0" "5\0stdio\0" "1", 15, SYS_STEP_STDIO},
	};

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		ck_assert_int_eq(preload_message_parse(steps[i].text, steps[i].len, &message), 0);
		ck_assert_int_eq(message.verb, PRELOAD_HAS_FAILED);
		ck_assert_uint_eq(message.serial, 5);
		ck_assert_int_eq(message.fault.step, steps[i].step);
		ck_assert_int_gt(message.fault.error, 0);
	}
}
END_TEST

START_TEST(declines_and_stale)
{
	ck_assert_int_eq(PARSE("decline\0" "3\0has -T"), 0);
	ck_assert_int_eq(message.verb, PRELOAD_DECLINES);
	ck_assert_uint_eq(message.serial, 3);
	ck_assert_str_eq(message.reason, "has -T");
	ck_assert_int_eq(PARSE("stale\0" "0"), 0);
	ck_assert_int_eq(message.verb, PRELOAD_IS_STALE);
	ck_assert_uint_eq(message.serial, 0);
}
END_TEST

START_TEST(alive)
{
	ck_assert_int_eq(PARSE("pong"), 0);
	ck_assert_int_eq(message.verb, PRELOAD_IS_ALIVE);
}
END_TEST

START_TEST(exited)
{
	ck_assert_int_eq(PARSE("exit\0" "47\0" "255\0" "0"), 0);
	ck_assert_int_eq(message.verb, PRELOAD_HAS_EXITED);
	ck_assert_int_eq(message.pid, 47);
	ck_assert(WIFEXITED(message.status) && WEXITSTATUS(message.status) == 255);
	ck_assert_int_eq(PARSE("exit\0" "47\0" "0\0" "11"), 0);
	ck_assert(WIFSIGNALED(message.status) && WTERMSIG(message.status) == 11);
	ck_assert_int_eq(PARSE("exit\0" "47\0" "0\0" "0"), 0);
	ck_assert_int_eq(message.status, 0);
}
END_TEST

static const struct {
	const char *text;
	size_t len;
} wrong[] = {
#define WRONG(text) {text, sizeof text}
    {"", 0}, {"start", 5}, {"stale\0" "0", 7}, WRONG(""), WRONG("started\0" "1\0" "2"),
    WRONG("READY\0" "1"), WRONG("ready"), WRONG("ready\0" "2"), WRONG("ready\0" "1.0"),
    WRONG("start"), WRONG("start\0" "1"), WRONG("start\0" "\0" "2"), WRONG("start\0" "1\0" "2\0x"),
    WRONG("start\0" "-1\0" "2"), WRONG("start\0" "+1\0" "2"), WRONG("start\0" " 1\0" "2"),
    WRONG("start\0" "1x\0" "2"), WRONG("start\0" "18446744073709551616\0" "2"),
    WRONG("start\0" "1\0" "2147483648"), WRONG("start\0" "1\0" "-5"),
    WRONG("exit\0" "0\0" "0\0" "0"), WRONG("exit\0" "1\0" "0\0" "0"),
    WRONG("fail\0" "1\0" "exec\0" "2"), WRONG("fail\0" "1\0" "dir"), WRONG("fail\0" "1\0" "dir\0x"),
    WRONG("decline\0" "1"), WRONG("decline\0x\0y"), WRONG("stale"), WRONG("stale\0" "0\0" "1"),
    WRONG("exit\0" "5\0" "256\0" "0"), WRONG("exit\0" "5\0" "0\0" "127"),
    WRONG("exit\0" "5\0" "1\0" "9"), WRONG("exit\0" "5\0" "1"), WRONG("exit\0x\0" "1\0" "0"),
    WRONG("pong\0" "1"), WRONG("ping"),
#undef WRONG
};

START_TEST(messages_that_are_none)
{
	/* on the heap, so that reading past its end is seen */
	char *copy = malloc(wrong[_i].len + 1);

	memcpy(copy, wrong[_i].text, wrong[_i].len);
	copy = realloc(copy, wrong[_i].len > 0 ? wrong[_i].len : 1);
	ck_assert_int_eq(preload_message_parse(copy, wrong[_i].len, &message), -1);
	free(copy);
}
END_TEST

START_TEST(any_bytes_are_survived)
{
	static const char bytes[] = "\0\0\0" "12starexifldecny\377";
	static const char *const verbs[] = {"ready", "start", "fail", "decline", "exit", "stale",
	    "pong"};

	draw_restart();
	for (int i = 0; i < 20000; i++) {
		char packet[64];
		size_t len = draw(sizeof packet) + 1;

		for (size_t at = 0; at < len; at++)
			packet[at] = bytes[draw(sizeof bytes)];
		strncpy(packet, verbs[draw(7)], len);
		(void)!preload_message_parse(packet, len, &message);
	}
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, a_request_has_all_its_parts);
	tcase_add_test(tcase, a_request_that_is_too_long);
	tcase_add_test(tcase, ready);
	tcase_add_test(tcase, started);
	tcase_add_test(tcase, failed);
	tcase_add_test(tcase, declines_and_stale);
	tcase_add_test(tcase, alive);
	tcase_add_test(tcase, exited);
	tcase_add_loop_test(tcase, messages_that_are_none, 0, sizeof wrong / sizeof *wrong);
	tcase_add_test(tcase, any_bytes_are_survived);
}

int main(void)
{
	return check_main("preload_message", add_tests);
}
