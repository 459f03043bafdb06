/* SPDX-License-Identifier: ISC */
/*
 * check_value: the kinds of values, read and written back.  What options refuse is in
 * check_options.
 */
#include "check_util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "config/value.h"
#include "stats/accesslog.h"

static char text[VALUE_TEXT_MAX];
static struct fault why;
static const struct value_rule wide = {0, INT64_MAX, "one|two|three"};

START_TEST(times_are_read)
{
	ck_assert_int_eq(value_time("0"), 0);
	ck_assert_int_eq(value_time("1"), 1000);
	ck_assert_int_eq(value_time("1s"), 1000);
	ck_assert_int_eq(value_time("1ms"), 1);
	ck_assert_int_eq(value_time("2m"), 120000);
	ck_assert_int_eq(value_time("2h"), 7200000);
	ck_assert_int_eq(value_time("007"), 7000);
	ck_assert_int_eq(value_time("8760h"), VALUE_TIME_MAX);
	ck_assert_int_eq(value_time("31536000000ms"), VALUE_TIME_MAX);
}
END_TEST

static const char *const no_times[] = {"", "-1", "+1", "1 ", " 1", "x", "s", "1d", "1M", "1.5", "1sm",
    "99999999999999999999", "2562047788016h", "0x1", "8761h", "31536000001ms", "9223372036854775s",
    "9223372036854776s", "9223372036854775807ms", "9223372036854775808ms"};

START_TEST(what_is_no_time_is_refused)
{
	ck_assert_msg(value_time(no_times[_i]) == -1, "%s", no_times[_i]);
}
END_TEST

static void check_number(const char *in, const char *out)
{
	int member = -1;

	ck_assert_int_eq(value_number.read(&(const struct value_rule){-5, 1000, NULL}, &member, in,
			     &why), 0);
	value_number.write(&wide, &member, text);
	ck_assert_str_eq(text, out);
}

static void check_time(const char *in, const char *out)
{
	int64_t member = -1;

	ck_assert_int_eq(value_time_kind.read(&wide, &member, in, &why), 0);
	value_time_kind.write(&wide, &member, text);
	ck_assert_str_eq(text, out);
	ck_assert_int_eq(value_time(text), member);
}

static void check_size(const char *in, const char *out)
{
	uint64_t member = 1;
	uint64_t again = 2;

	ck_assert_int_eq(value_size.read(&wide, &member, in, &why), 0);
	value_size.write(&wide, &member, text);
	ck_assert_str_eq(text, out);
	ck_assert_int_eq(value_size.read(&wide, &again, text, &why), 0);
	ck_assert_uint_eq(again, member);
}

static void check_mode(const char *in, const char *out)
{
	int member = -1;

	ck_assert_int_eq(value_mode.read(&wide, &member, in, &why), 0);
	value_mode.write(&wide, &member, text);
	ck_assert_str_eq(text, out);
}

START_TEST(what_is_written_can_be_read_again)
{
	check_number("0", "0");
	check_number("1000", "1000");
	check_time("90", "90s");
	check_time("90ms", "90ms");
	check_time("3000ms", "3s");
	check_time("2h", "7200s");
	check_time("0", "0s");
	check_size("0", "0");
	check_size("1023", "1023");
	check_size("1024", "1K");
	check_size("1048576", "1M");
	check_size("5000G", "5000G");
	check_size("1536M", "1536M");
	check_size("9223372036854775807", "9223372036854775807");
	check_mode("660", "0660");
	check_mode("0", "00");
}
END_TEST

static const char *const facilities[] = {"user", "mail", "daemon", "auth", "syslog", "lpr", "news",
    "uucp", "cron", "authpriv", "ftp", "local0", "local1", "local2", "local3", "local4", "local5",
    "local6", "local7"};

START_TEST(facilities_are_known_by_name)
{
	int member = -1;

	ck_assert_int_eq(value_facility.read(&wide, &member, facilities[_i], &why), 0);
	ck_assert_int_gt(member, 0);
	ck_assert_int_lt(member, 24);
	value_facility.write(&wide, &member, text);
	ck_assert_str_eq(text, facilities[_i]);
}
END_TEST

START_TEST(what_is_no_facility_is_refused)
{
	static const char *const words[] = {"", "kern", "local8", "DAEMON", "3"};
	int member = 0;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		why.text[0] = '\0';
		ck_assert_int_eq(value_facility.read(&wide, &member, words[i], &why), -1);
		ck_assert_ptr_nonnull(strstr(why.text, "facility"));
	}
	ck_assert_int_eq(member, 0);
	value_facility.write(&wide, &member, text);
	ck_assert_str_eq(text, "");
}
END_TEST

static const struct {
	const struct value_kind *kind;
	const char *text;
	int failed;
} places[] = {
	{&value_file, "/dev/log", 0}, {&value_file, "log", -1}, {&value_file, "-", -1},
	{&value_file, "syslog", -1}, {&value_file, "", -1}, {&value_access_log, "/var/log/x", 0},
	{&value_access_log, "-", 0}, {&value_access_log, "syslog", 0}, {&value_access_log, "", -1},
	{&value_access_log, "sylog", -1}, {&value_access_log, "./x", -1},
};

START_TEST(logs_go_to_what_is_absolute)
{
	struct accesslog_target target = {.way = ACCESSLOG_NONE};
	const char *path = NULL;
	void *member = places[_i].kind == &value_file ? (void *)&path : (void *)&target;

	ck_assert_int_eq(places[_i].kind->read(&wide, member, places[_i].text, &why), places[_i].failed);
	places[_i].kind->write(&wide, member, text);
	ck_assert_str_eq(text, places[_i].failed ? "" : places[_i].text);
}
END_TEST

START_TEST(choices_are_their_place)
{
	static const char *const words[] = {"one", "two", "three"};

	for (int i = 0; i < 3; i++) {
		int member = -1;

		ck_assert_int_eq(value_choice.read(&wide, &member, words[i], &why), 0);
		ck_assert_int_eq(member, i);
		value_choice.write(&wide, &member, text);
		ck_assert_str_eq(text, words[i]);
	}
}
END_TEST

START_TEST(owners_are_names_or_numbers)
{
	struct value_owner owner = {(uid_t)-1, (gid_t)-1};

	value_owner_kind.write(&wide, &owner, text);
	ck_assert_str_eq(text, "");
	ck_assert_int_eq(value_owner_kind.read(&wide, &owner, "root", &why), 0);
	value_owner_kind.write(&wide, &owner, text);
	ck_assert_str_eq(text, "0");
	ck_assert_int_eq(value_owner_kind.read(&wide, &owner, "7:0", &why), 0);
	value_owner_kind.write(&wide, &owner, text);
	ck_assert_str_eq(text, "7:0");
	ck_assert_int_eq(value_owner_kind.read(&wide, &owner, "4294967294:4294967294", &why), 0);
	value_owner_kind.write(&wide, &owner, text);
	ck_assert_str_eq(text, "4294967294:4294967294");
	/* a refused one changes nothing */
	ck_assert_int_eq(value_owner_kind.read(&wide, &owner, "1:no such group", &why), -1);
	ck_assert_uint_eq(owner.uid, 4294967294);
}
END_TEST

START_TEST(lists_grow_by_what_is_good)
{
	struct value_list list = {NULL, 0};

	ck_assert_int_eq(value_path.read(&wide, &list, "/a", &why), 0);
	ck_assert_int_eq(value_path.read(&wide, &list, "b", &why), -1);
	ck_assert_int_eq(value_path.read(&wide, &list, "/c d", &why), 0);
	ck_assert_uint_eq(list.count, 2);
	ck_assert_str_eq(value_path.item(&list, 0), "/a");
	ck_assert_str_eq(value_path.item(&list, 1), "/c d");
	ck_assert_ptr_null(value_path.item(&list, 2));
	free(list.items);
}
END_TEST

START_TEST(sockets_are_kept_as_addresses)
{
	struct value_sockets sockets = {NULL, 0};

	ck_assert_int_eq(value_socket.read(&wide, &sockets, "fd:0", &why), 0);
	ck_assert_int_eq(value_socket.read(&wide, &sockets, "fd:x", &why), -1);
	ck_assert_int_eq(value_socket.read(&wide, &sockets, "unix:/a b", &why), 0);
	ck_assert_uint_eq(sockets.count, 2);
	ck_assert_int_eq(sockets.items[0].kind, ADDRESS_FD);
	ck_assert_str_eq(sockets.items[1].path, "/a b");
	ck_assert_str_eq(value_socket.item(&sockets, 0), "fd:0");
	ck_assert_str_eq(value_socket.item(&sockets, 1), "unix:/a b");
	ck_assert_ptr_null(value_socket.item(&sockets, 2));
	free(sockets.items);
}
END_TEST

/* The words of a handler, '|' before each; NULL if it is none. */
static const char *words_of(const char *value)
{
	static char words[2000];
	struct value_handlers handlers = {NULL, 0};

	words[0] = '\0';
	if (value_handler.read(&wide, &handlers, value, &why) != 0) {
		ck_assert_uint_eq(handlers.count, 0);
		value_handlers_fini(&handlers);
		return NULL;
	}
	ck_assert_str_eq(value_handler.item(&handlers, 0), value);
	ck_assert_ptr_null(value_handler.item(&handlers, 1));
	for (size_t i = 0; i < handlers.items[0].argc; i++)
		snprintf(words + strlen(words), sizeof words - strlen(words), "|%s",
		    handlers.items[0].argv[i]);
	ck_assert_ptr_null(handlers.items[0].argv[handlers.items[0].argc]);
	value_handlers_fini(&handlers);
	return words;
}

static const struct {
	const char *value, *words;
} handlers[] = {
	{".x=/bin/sh", "|/bin/sh"}, {".x.y=/bin/sh", "|/bin/sh"},
	{".x=/bin/sh -e  -u\t-x ", "|/bin/sh|-e|-u|-x"},
	{".x=/bin/sh -c 'a b' \"c\" d\\ e", "|/bin/sh|-c|a b|c|d e"},
	{".x=/a\n\n\n\n\n\n\n\n\n\r\n b", "|/a|b"}, {".x=/a b c d e f g h", "|/a|b|c|d|e|f|g|h"},
	{".x=/a '' \"\"", "|/a||"}, {".x=/a=b c=d", "|/a=b|c=d"}, {".x=/a 'b", NULL}, {".=/a", NULL},
	{"x=/a", NULL}, {".x/y=/a", NULL}, {".x=a", NULL}, {".x=", NULL}, {".x", NULL}, {"", NULL},
	{".x= /a", NULL},
};

START_TEST(a_handler_is_a_command)
{
	const char *words = words_of(handlers[_i].value);

	if (handlers[_i].words == NULL)
		ck_assert_ptr_null(words);
	else
		ck_assert_str_eq(words, handlers[_i].words);
}
END_TEST

static const struct {
	const char *value;
	const char *words; /* NULL: it is not one */
} preloads[] = {
	{"/usr/bin/perl=/p", "|/p"}, {"/perl=/p --file '/a b' X", "|/p|--file|/a b|X"},
	{"/a=/b=c", "|/b=c"}, {"", NULL}, {"/perl", NULL}, {"/perl=", NULL}, {"perl=/p", NULL},
	{"/perl=p", NULL}, {"/pe rl=/p", NULL}, {"/perl=/p 'x", NULL},
};

START_TEST(a_preloader_is_an_interpreter_and_a_command)
{
	struct value_preloads list = {.items = NULL};
	char words[256] = "";

	if (preloads[_i].words == NULL) {
		ck_assert_int_eq(value_preload_kind.read(&wide, &list, preloads[_i].value, &why), -1);
		ck_assert_ptr_nonnull(strstr(why.text, "expected INTERPRETER=PROGRAM"));
		ck_assert_uint_eq(list.count, 0);
	} else {
		ck_assert_int_eq(value_preload_kind.read(&wide, &list, preloads[_i].value, &why), 0);
		ck_assert_str_eq(value_preload_kind.item(&list, 0), preloads[_i].value);
		ck_assert_ptr_null(value_preload_kind.item(&list, 1));
		for (char **at = list.items[0].argv; *at != NULL; at++)
			snprintf(words + strlen(words), sizeof words - strlen(words), "|%s", *at);
		ck_assert_str_eq(words, preloads[_i].words);
	}
	value_preloads_fini(&list);
}
END_TEST

START_TEST(an_interpreter_has_one_preloader_and_there_are_not_too_many)
{
	struct value_preloads list = {.items = NULL};
	static char values[VALUE_PRELOADS_MAX][16];

	for (int i = 0; i < VALUE_PRELOADS_MAX; i++) {
		snprintf(values[i], sizeof values[i], "/%d=/p", i);
		ck_assert_int_eq(value_preload_kind.read(&wide, &list, values[i], &why), 0);
	}
	ck_assert_int_eq(value_preload_kind.read(&wide, &list, "/0=/q", &why), -1);
	ck_assert_str_eq(why.text, "expected each interpreter only once");
	ck_assert_int_eq(value_preload_kind.read(&wide, &list, "/other=/q", &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "expected at most"));
	ck_assert_uint_eq(list.count, VALUE_PRELOADS_MAX);
	value_preloads_fini(&list);
	ck_assert_uint_eq(list.count, 0);
}
END_TEST

START_TEST(a_program_with_a_blank_in_its_path_needs_no_quotes)
{
	char value[400];

	temp_make();
	snprintf(value, sizeof value, ".x=%s", temp_path("a b"));
	ck_assert_ptr_nonnull(strstr(words_of(value), "/a|b"));
	temp_write("a b", 0755, "");
	ck_assert_ptr_nonnull(strstr(words_of(value), "/a b"));
	temp_remove();
}
END_TEST

START_TEST(variables_have_a_value_or_none)
{
	struct value_variables variables = {NULL, 0};

	ck_assert_int_eq(value_variable.read(&wide, &variables, "A", &why), 0);
	ck_assert_int_eq(value_variable.read(&wide, &variables, "B_2=", &why), 0);
	ck_assert_int_eq(value_variable.read(&wide, &variables, "2B=", &why), -1);
	ck_assert_uint_eq(variables.count, 2);
	ck_assert(!variables.items[0].is_set);
	ck_assert(variables.items[1].is_set);
	ck_assert_str_eq(value_variable.item(&variables, 1), "B_2=");
	ck_assert_ptr_null(value_variable.item(&variables, 2));
	free(variables.items);
}
END_TEST

START_TEST(the_path_of_a_url_is_absolute_and_plain)
{
	static const char *const bad[] = {"", "a", "/a?b", "/a#b", "/%61", "/a b", "/a\n"};
	const char *member = NULL;

	value_url_path.write(&wide, &member, text);
	ck_assert_str_eq(text, "");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_int_eq(value_url_path.read(&wide, &member, bad[i], &why), -1);
	ck_assert_ptr_null(member);
	ck_assert_int_eq(value_url_path.read(&wide, &member, "/a/status.cgi", &why), 0);
	value_url_path.write(&wide, &member, text);
	ck_assert_str_eq(text, "/a/status.cgi");
}
END_TEST

START_TEST(a_directory_is_an_absolute_path)
{
	const char *member = NULL;

	ck_assert_int_eq(value_directory.read(&wide, &member, "/a", &why), 0);
	ck_assert_str_eq(member, "/a");
	ck_assert_int_eq(value_directory.read(&wide, &member, ".", &why), -1);
	ck_assert_int_eq(value_directory.read(&wide, &member, "", &why), -1);
	ck_assert_str_eq(member, "/a");
}
END_TEST

START_TEST(words_are_not_empty)
{
	const char *member = NULL;

	value_word.write(&wide, &member, text);
	ck_assert_str_eq(text, "");
	ck_assert_int_eq(value_word.read(&wide, &member, "", &why), -1);
	ck_assert_ptr_null(member);
	ck_assert_int_eq(value_word.read(&wide, &member, "a word", &why), 0);
	value_word.write(&wide, &member, text);
	ck_assert_str_eq(text, "a word");
}
END_TEST

static const struct {
	const char *text;
	int resource;
	rlim_t wanted;
} limits[] = {
	{"cpu=30", RLIMIT_CPU, 30}, {"cpu=2m", RLIMIT_CPU, 120}, {"cpu=1ms", RLIMIT_CPU, 1},
	{"as=512M", RLIMIT_AS, 512 << 20}, {"data=1", RLIMIT_DATA, 1}, {"stack=64K", RLIMIT_STACK, 65536},
	{"nofile=100", RLIMIT_NOFILE, 100}, {"nproc=7", RLIMIT_NPROC, 7}, {"fsize=0", RLIMIT_FSIZE, 0},
	{"core=0", RLIMIT_CORE, 0},
};

/* The one limit that `limit` says; freed with the next one. */
static const struct sys_limit *limit_of(const char *limit)
{
	static struct value_limits member;

	free(member.items);
	member = (struct value_limits){NULL, 0};
	if (value_limit_kind.read(&wide, &member, limit, &why) != 0)
		return NULL;
	ck_assert_uint_eq(member.count, 1);
	ck_assert_str_eq(value_limit_kind.item(&member, 0), limit);
	ck_assert_ptr_null(value_limit_kind.item(&member, 1));
	return &member.items[0].limit;
}

START_TEST(limits_are_read)
{
	const struct sys_limit *limit = limit_of(limits[_i].text);

	ck_assert_ptr_nonnull(limit);
	ck_assert_int_eq((int)limit->resource, limits[_i].resource);
	ck_assert_uint_eq(limit->value.rlim_cur, limits[_i].wanted);
	/* SIGXCPU comes at the soft limit, KILL at the hard one */
	ck_assert_uint_eq(limit->value.rlim_max,
	    limits[_i].wanted + (limits[_i].resource == RLIMIT_CPU));
}
END_TEST

START_TEST(the_hard_limit_of_cpu_is_no_higher_than_ours)
{
	struct rlimit ours = {1000, 1000};
	const struct sys_limit *limit;

	ck_assert_int_eq(setrlimit(RLIMIT_CPU, &ours), 0);
	limit = limit_of("cpu=1000");
	ck_assert_ptr_nonnull(limit);
	ck_assert_uint_eq(limit->value.rlim_cur, 1000);
	ck_assert_uint_eq(limit->value.rlim_max, 1000);
	ck_assert_uint_eq(limit_of("cpu=999")->value.rlim_max, 1000);
}
END_TEST

START_TEST(a_limit_may_be_none)
{
	const struct sys_limit *limit;
	struct rlimit now;

	ck_assert_int_eq(getrlimit(RLIMIT_CPU, &now), 0);
	limit = limit_of("cpu=unlimited");
	if (now.rlim_max == RLIM_INFINITY || geteuid() == 0) {
		ck_assert(limit->value.rlim_cur == RLIM_INFINITY);
		ck_assert(limit->value.rlim_max == RLIM_INFINITY);
	} else {
		ck_assert_ptr_null(limit);
		ck_assert_ptr_nonnull(strstr(why.text, "hard limit"));
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase, limits_are_read, 0, sizeof limits / sizeof *limits);
	tcase_add_test(tcase, the_hard_limit_of_cpu_is_no_higher_than_ours);
	tcase_add_test(tcase, a_limit_may_be_none);
	tcase_add_test(tcase, times_are_read);
	tcase_add_loop_test(tcase, what_is_no_time_is_refused, 0, sizeof no_times / sizeof *no_times);
	tcase_add_test(tcase, what_is_written_can_be_read_again);
	tcase_add_loop_test(tcase, facilities_are_known_by_name, 0,
	    sizeof facilities / sizeof *facilities);
	tcase_add_test(tcase, what_is_no_facility_is_refused);
	tcase_add_loop_test(tcase, logs_go_to_what_is_absolute, 0, sizeof places / sizeof *places);
	tcase_add_test(tcase, choices_are_their_place);
	tcase_add_test(tcase, owners_are_names_or_numbers);
	tcase_add_test(tcase, lists_grow_by_what_is_good);
	tcase_add_test(tcase, sockets_are_kept_as_addresses);
	tcase_add_loop_test(tcase, a_handler_is_a_command, 0, sizeof handlers / sizeof *handlers);
	tcase_add_loop_test(tcase, a_preloader_is_an_interpreter_and_a_command, 0,
	    sizeof preloads / sizeof *preloads);
	tcase_add_test(tcase, an_interpreter_has_one_preloader_and_there_are_not_too_many);
	tcase_add_test(tcase, a_program_with_a_blank_in_its_path_needs_no_quotes);
	tcase_add_test(tcase, variables_have_a_value_or_none);
	tcase_add_test(tcase, the_path_of_a_url_is_absolute_and_plain);
	tcase_add_test(tcase, a_directory_is_an_absolute_path);
	tcase_add_test(tcase, words_are_not_empty);
}

int main(void)
{
	return check_main("value", add);
}
