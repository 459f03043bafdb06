/* SPDX-License-Identifier: ISC */
/*
 * check_arguments: handlers by extension, and queries that are words or are not.
 */
#include "check_util.h"

#include <stdlib.h>
#include <string.h>

#include "cgi/arguments.h"
#include "fcgi/fcgi.h"

static struct params params;
static struct options options;

static void put(const char *name, const char *value)
{
	struct fcgi_pair pair = {(const unsigned char *)name, strlen(name),
	    (const unsigned char *)value, strlen(value)};
	unsigned char bytes[1024];

	ck_assert_int_eq(params_feed(&params, bytes, fcgi_put_pair(bytes, &pair)), 0);
}

/* Decodes a request of `method` for `query`; either may be NULL. */
static void request(const char *method, const char *query)
{
	params_init(&params, 4096);
	if (method != NULL)
		put("REQUEST_METHOD", method);
	if (query != NULL)
		put("QUERY_STRING", query);
	ck_assert_int_eq(params_decode(&params), 0);
}

/* The argv for `script`, its words with '|' between; good until the next call. */
static const char *words(const char *script)
{
	static char text[1024];
	char **argv = arguments_new(&options, &params, script,
	    arguments_handler(&options, script));

	ck_assert_ptr_nonnull(argv);
	text[0] = '\0';
	for (size_t i = 0; argv[i] != NULL; i++) {
		strcat(text, i == 0 ? "" : "|");
		strcat(text, argv[i]);
	}
	free(argv);
	params_fini(&params);
	return text;
}

static const struct {
	const char *method, *query;
	const char *argv; /* after the script's name */
} queries[] = {
	{"GET", "a+b", "|a|b"},
	{"GET", "one", "|one"},
	{"HEAD", "a+b", "|a|b"},
	{"GET", "a%20b+%2bc%2F", "|a b|+c/"},
	{"GET", "a%3Db", "|a=b"},
	{"GET", "-x+--y", "|-x|--y"},
	{"GET", "%ff", "|\xff"},
	{"POST", "a+b", ""},
	{NULL, "a+b", ""},
	{"GET", NULL, ""},
	{"GET", "", ""},
	{"GET", "a=b", ""},
	{"GET", "a+b=", ""},
	/* all or none: what is no word */
	{"GET", "a++b", ""},
	{"GET", "+a", ""},
	{"GET", "a+", ""},
	{"GET", "a+%00", ""},
	{"GET", "a+b%0", ""},
	{"GET", "a+%zz", ""},
	{"GET", "%", ""},
	{"GET", "a+%2+x", ""},
	{"GET", "%-1", ""},
};

START_TEST(a_query_of_words_is_arguments)
{
	char wanted[128] = "/srv/x";

	strcat(wanted, queries[_i].argv);
	options.query_args = 1;
	request(queries[_i].method, queries[_i].query);
	ck_assert_str_eq(words("/srv/x"), wanted);
}
END_TEST

START_TEST(without_the_option_no_query_is)
{
	request("GET", "a+b");
	ck_assert_str_eq(words("/srv/x"), "/srv/x");
}
END_TEST

START_TEST(many_words_are_many_arguments)
{
	char query[1001];
	const char *text;

	for (size_t i = 0; i < 1000; i += 2)
		memcpy(query + i, "x+", 2);
	query[999] = '\0';
	options.query_args = 1;
	request("GET", query);
	text = words("/s");
	ck_assert_uint_eq(strlen(text), 2 + 2 * 500);
}
END_TEST

static const struct {
	const char *script, *handler;
} handled[] = {
	{"/srv/x.pl", "/usr/bin/perl"},
	{"/srv/x.cgi.pl", "/usr/bin/perl"},
	{"/srv/a.tar.gz", "/usr/bin/untar"},
	{"/srv/a.gz", NULL},
	{"/srv/x.PL", NULL},
	{"/srv/x.plx", NULL},
	{"/srv/x", NULL},
	{"/srv/.pl", NULL},
	{".pl", NULL},
	{"/srv/x.pl/y", NULL},
	{"pl", NULL},
	{"", NULL},
};

static void add_handler(const char *value)
{
	static const struct value_rule rule = {0, 0, NULL};
	struct fault why;

	ck_assert_int_eq(value_handler.read(&rule, &options.handlers, value, &why), 0);
}

START_TEST(the_extension_names_the_handler)
{
	const struct value_handler *found;

	add_handler(".pl=/usr/bin/perl");
	add_handler(".tar.gz=/usr/bin/untar");
	add_handler(".pl=/never");
	found = arguments_handler(&options, handled[_i].script);
	if (handled[_i].handler == NULL)
		ck_assert_ptr_null(found);
	else
		ck_assert_str_eq(found->argv[0], handled[_i].handler);
}
END_TEST

START_TEST(a_handler_gets_script_and_words)
{
	add_handler(".pl=/usr/bin/perl");
	options.query_args = 1;
	request("GET", "a+b");
	ck_assert_str_eq(words("/srv/x.pl"), "/usr/bin/perl|/srv/x.pl|a|b");
}
END_TEST

START_TEST(a_handler_has_its_own_arguments_first)
{
	add_handler(".pl=/usr/bin/perl -T '-I/a b'");
	options.query_args = 1;
	request("GET", "a+b");
	ck_assert_str_eq(words("/srv/x.pl"), "/usr/bin/perl|-T|-I/a b|/srv/x.pl|a|b");
	request("GET", NULL);
	ck_assert_str_eq(words("/srv/x.pl"), "/usr/bin/perl|-T|-I/a b|/srv/x.pl");
}
END_TEST

static const struct {
	const char *content;
	mode_t mode;
	bool by_itself;
} owns[] = {{"#!/bin/sh\n", 0755, true}, {"#!/bin/sh\n", 0644, false}, {"<?php", 0755, false},
    {"#", 0755, false}, {"", 0755, false}, {" #!/bin/sh\n", 0755, false}};

START_TEST(a_script_that_names_its_interpreter_keeps_it)
{
	temp_make();
	temp_write("x.pl", owns[_i].mode, owns[_i].content);
	add_handler(".pl=/usr/bin/perl");
	ck_assert_int_eq(arguments_handler(&options, temp_path("x.pl")) == NULL, owns[_i].by_itself);
	options.handler_always = 1;
	ck_assert_ptr_nonnull(arguments_handler(&options, temp_path("x.pl")));
	temp_remove();
}
END_TEST

static void teardown(void)
{
	value_handlers_fini(&options.handlers);
}

static void setup(void)
{
	options = (struct options){.query_args = 0};
}

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, a_query_of_words_is_arguments, 0,
	    sizeof queries / sizeof *queries);
	tcase_add_test(tcase, without_the_option_no_query_is);
	tcase_add_test(tcase, many_words_are_many_arguments);
	tcase_add_loop_test(tcase, the_extension_names_the_handler, 0,
	    sizeof handled / sizeof *handled);
	tcase_add_test(tcase, a_handler_gets_script_and_words);
	tcase_add_test(tcase, a_handler_has_its_own_arguments_first);
	tcase_add_loop_test(tcase, a_script_that_names_its_interpreter_keeps_it, 0,
	    sizeof owns / sizeof *owns);
}

int main(void)
{
	return check_main("arguments", add);
}
