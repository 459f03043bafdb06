/* SPDX-License-Identifier: ISC */
/*
 * check_front_end: which front end a name means, and what each one does.
 */
#include "check_util.h"

#include <stdio.h>
#include <string.h>

#include "bridge/front_end.h"
#include "fcgi/fcgi.h"

static const struct {
	const char *software; /* NULL: not sent */
	enum front_end front_end;
	bool stops_stdin, needs_stdin, drops_body, trusts_eof, redirects;
} names[] = {
	{NULL, FRONT_END_UNNAMED, true, false, false, false, false},
	{"", FRONT_END_UNNAMED, true, false, false, false, false},
	{"nginx/1.22.1", FRONT_END_NGINX, true, false, true, true, true},
	{"nginx", FRONT_END_NGINX, true, false, true, true, true},
	{"HAProxy 2.6.12", FRONT_END_HAPROXY, false, true, false, false, false},
	{"Apache/2.4.57 (Debian)", FRONT_END_OTHER, false, false, false, false, false},
	{"lighttpd/1.4.69", FRONT_END_OTHER, false, false, false, false, false},
	{"Caddy/v2.6.2", FRONT_END_OTHER, false, false, false, false, false},
	{"not nginx", FRONT_END_OTHER, false, false, false, false, false},
};

START_TEST(a_name_is_a_front_end_and_its_quirks)
{
	const char *software = names[_i].software;
	struct params params;
	unsigned char bytes[256];
	struct fcgi_pair pair = {.name = (const unsigned char *)"SERVER_SOFTWARE", .name_len = 15};
	enum front_end found;

	params_init(&params, 1024);
	if (software != NULL) {
		pair.value = (const unsigned char *)software;
		pair.value_len = strlen(software);
		ck_assert_int_eq(params_feed(&params, bytes, fcgi_put_pair(bytes, &pair)), 0);
	}
	ck_assert_int_eq(params_decode(&params), 0);
	found = front_end_of(&params);
	ck_assert_int_eq(found, names[_i].front_end);
	ck_assert_int_eq(front_end_stops_stdin(found), names[_i].stops_stdin);
	ck_assert_int_eq(front_end_needs_stdin(found), names[_i].needs_stdin);
	ck_assert_int_eq(front_end_drops_body(found), names[_i].drops_body);
	ck_assert_int_eq(front_end_trusts_eof(found), names[_i].trusts_eof);
	ck_assert_int_eq(front_end_redirects(found), names[_i].redirects);
	params_fini(&params);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase, a_name_is_a_front_end_and_its_quirks, 0,
	    sizeof names / sizeof *names);
}

int main(void)
{
	return check_main("front_end", add);
}
