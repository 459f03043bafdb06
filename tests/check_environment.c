/* SPDX-License-Identifier: ISC */
/*
 * check_environment: what of the daemon's environment a script inherits.
 */
#include "check_util.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cgi/environment.h"

/* Filters one item; the result has it, or not. */
static bool keeps(const char *item)
{
	char text[128];
	char *source[] = {text, NULL};
	struct environment environment;
	bool found = false;

	strcpy(text, item);
	ck_assert_int_eq(environment_init(&environment, source, NULL), 0);
	for (size_t i = 0; i < environment.count; i++)
		found = found || environment.items[i] == text;
	environment_fini(&environment);
	return found;
}

static const char *const withheld[] = {"AUTH_TYPE=x", "CONTENT_LENGTH=1", "CONTENT_TYPE=x",
    "DOCUMENT_ROOT=/", "DOCUMENT_URI=/", "GATEWAY_INTERFACE=x", "HTTPS=on", "HTTP_HOST=x",
    "HTTP_PROXY=x", "HTTP_=", "PATH_INFO=x", "PATH_TRANSLATED=x", "QUERY_STRING=x",
    "REDIRECT_STATUS=200", "REMOTE_ADDR=x", "REMOTE_USER=x", "REQUEST_METHOD=GET", "REQUEST_URI=/",
    "SCRIPT_FILENAME=/x", "SCRIPT_NAME=/", "SERVER_NAME=x", "SERVER_PROTOCOL=x", "CGIBRIDGE_X=1",
    "FCGI_ROLE=x", "FCGI_WEB_SERVER_ADDRS=x", "INVOCATION_ID=x", "JOURNAL_STREAM=1:2",
    "LISTEN_FDS=1", "LISTEN_PID=1", "LISTEN_FDNAMES=x", "MAINPID=1", "NOTIFY_SOCKET=/x",
    "SYSTEMD_EXEC_PID=1", "WATCHDOG_USEC=1", "WATCHDOG_PID=1"};

START_TEST(the_requests_and_the_daemons_own_stay_back)
{
	ck_assert_msg(!keeps(withheld[_i]), "%s", withheld[_i]);
}
END_TEST

static const char *const kept[] = {"PATH=/bin", "HOME=/root", "LANG=C", "TZ=UTC", "TMPDIR=/tmp",
    "PERL5LIB=/x", "GIT_PROJECT_ROOT=/srv", "PATH_INFO_X=1", "HTTPSX=1", "HTTP=1", "EMPTY=",
    "lower=1", "HTTPS_PROXY=x", "http_proxy=x", "QUERY_STRINGS=x", "MAINPIDX=1", "A=b=c"};

START_TEST(all_else_is_inherited)
{
	ck_assert_msg(keeps(kept[_i]), "%s", kept[_i]);
}
END_TEST

static const char *value_of(const struct environment *environment, const char *name)
{
	const char *found = NULL;
	size_t len = strlen(name);

	for (size_t i = 0; i < environment->count; i++) {
		const char *item = environment->items[i];

		if (strncmp(item, name, len) == 0 && item[len] == '=') {
			ck_assert_ptr_null(found);
			found = item + len + 1;
		}
	}
	return found;
}

START_TEST(an_empty_environment_gets_what_a_script_needs)
{
	char *source[] = {NULL};
	struct environment environment;

	ck_assert_int_eq(environment_init(&environment, source, NULL), 0);
	ck_assert_uint_eq(environment.count, 2);
	ck_assert_str_eq(value_of(&environment, "PATH"), "/usr/local/bin:/usr/bin:/bin");
	ck_assert_str_eq(value_of(&environment, "GATEWAY_INTERFACE"), "CGI/1.1");
	environment_fini(&environment);
	ck_assert_uint_eq(environment.count, 0);
	ck_assert_ptr_null(environment.items);
}
END_TEST

START_TEST(a_path_that_is_there_stays)
{
	char path[] = "PATH=/opt/bin";
	char gateway[] = "GATEWAY_INTERFACE=CGI/1.0";
	char *source[] = {path, gateway, NULL};
	struct environment environment;

	ck_assert_int_eq(environment_init(&environment, source, NULL), 0);
	ck_assert_str_eq(value_of(&environment, "PATH"), "/opt/bin");
	ck_assert_str_eq(value_of(&environment, "GATEWAY_INTERFACE"), "CGI/1.1");
	environment_fini(&environment);
}
END_TEST

START_TEST(an_empty_path_is_none)
{
	char path[] = "PATH=";
	char *source[] = {path, NULL};
	struct environment environment;

	/* each name may be there once only */
	ck_assert_int_eq(environment_init(&environment, source, NULL), 0);
	ck_assert_str_eq(value_of(&environment, "PATH"), "/usr/local/bin:/usr/bin:/bin");
	environment_fini(&environment);
}
END_TEST

START_TEST(an_item_that_is_none_is_left_out)
{
	char odd[] = "no equals sign";
	char empty[] = "";
	char *source[] = {odd, empty, NULL};
	struct environment environment;

	ck_assert_int_eq(environment_init(&environment, source, NULL), 0);
	ck_assert_uint_eq(environment.count, 2);
	environment_fini(&environment);
}
END_TEST

START_TEST(what_is_wished_for_is_set_whatever_else)
{
	char language_1[] = "LANG=C";
	char language[] = "LANGUAGE=de";
	char withheld_one[] = "HTTP_X=inherited";
	char *source[] = {language_1, language, withheld_one, NULL};
	const struct value_variable set[] = {{"LANG=de", true}, {"HTTP_X", false}, {"NOT_THERE", false},
	    {"NEW=a=b", true}, {"NEW=2", true}, {"PATH=", true}, {"EMPTY=", true}};
	const struct environment_wish wish = {0, set, sizeof set / sizeof *set};
	struct environment environment;

	ck_assert_int_eq(environment_init(&environment, source, &wish), 0);
	ck_assert_str_eq(value_of(&environment, "LANG"), "de");
	ck_assert_str_eq(value_of(&environment, "LANGUAGE"), "de");
	ck_assert_str_eq(value_of(&environment, "HTTP_X"), "inherited");
	ck_assert_ptr_null(value_of(&environment, "NOT_THERE"));
	ck_assert_str_eq(value_of(&environment, "NEW"), "2");
	ck_assert_str_eq(value_of(&environment, "EMPTY"), "");
	ck_assert_str_eq(value_of(&environment, "PATH"), "/usr/local/bin:/usr/bin:/bin");
	environment_fini(&environment);
}
END_TEST

START_TEST(a_cleared_environment_has_only_what_is_wished_for)
{
	char path[] = "PATH=/opt/bin";
	char language[] = "LANG=C";
	char other[] = "OTHER=x";
	char *source[] = {path, language, other, NULL};
	const struct value_variable set[] = {{"LANG", false}, {"NEW=1", true}};
	const struct environment_wish wish = {1, set, 2};
	struct environment environment;

	ck_assert_int_eq(environment_init(&environment, source, &wish), 0);
	ck_assert_uint_eq(environment.count, 4);
	ck_assert_str_eq(value_of(&environment, "LANG"), "C");
	ck_assert_str_eq(value_of(&environment, "NEW"), "1");
	ck_assert_str_eq(value_of(&environment, "PATH"), "/usr/local/bin:/usr/bin:/bin");
	ck_assert_str_eq(value_of(&environment, "GATEWAY_INTERFACE"), "CGI/1.1");
	environment_fini(&environment);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, what_is_wished_for_is_set_whatever_else);
	tcase_add_test(tcase, a_cleared_environment_has_only_what_is_wished_for);
	tcase_add_loop_test(tcase, the_requests_and_the_daemons_own_stay_back, 0,
	    sizeof withheld / sizeof *withheld);
	tcase_add_loop_test(tcase, all_else_is_inherited, 0, sizeof kept / sizeof *kept);
	tcase_add_test(tcase, an_empty_environment_gets_what_a_script_needs);
	tcase_add_test(tcase, a_path_that_is_there_stays);
	tcase_add_test(tcase, an_empty_path_is_none);
	tcase_add_test(tcase, an_item_that_is_none_is_left_out);
}

int main(void)
{
	return check_main("environment", add);
}
