/* SPDX-License-Identifier: ISC */
/*
 * check_shebang: lines that are read as execve(2) and env(1) read them, and those that are left
 * to them.
 */
#include "check_util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cgi/shebang.h"

static struct shebang shebang;

static void parse(const char *text)
{
	shebang_parse(&shebang, text, strlen(text));
}

/* The words, each followed by a bar. */
static const char *words(void)
{
	static char text[256];

	text[0] = '\0';
	for (size_t i = 0; i < shebang.word_count; i++) {
		strcat(text, shebang.words[i]);
		strcat(text, "|");
	}
	return text;
}

static const struct {
	const char *line;
	const char *interpreter, *words;
} paths[] = {
    {"#!/bin/sh\n", "/bin/sh", ""},
    {"#!/bin/sh\nexit\n", "/bin/sh", ""},
    {"#! \t/bin/sh \t\n", "/bin/sh", ""},
    {"#!/bin/sh -e\n", "/bin/sh", "-e|"},
    {"#!/bin/sh \t -e  -u \t\n", "/bin/sh", "-e  -u|"},
    {"#!/bin/sh\t-e\n", "/bin/sh", "-e|"},
    {"#!/bin/sh\r\n", "/bin/sh\r", ""}, /* there is no such program */
    {"#!/usr/bin/env /bin/sh\n", "/bin/sh", ""},
    {"#!/usr/bin/env -S /bin/sh -e -u\n", "/bin/sh", "-e|-u|"},
    {"#!/usr/bin/envy perl\n", "/usr/bin/envy", "perl|"},
};

START_TEST(a_path_and_its_words)
{
	parse(paths[_i].line);
	ck_assert_int_eq(shebang.kind, SHEBANG_PATH);
	ck_assert_str_eq(shebang.interpreter, paths[_i].interpreter);
	ck_assert_str_eq(words(), paths[_i].words);
}
END_TEST

static const struct {
	const char *line;
	const char *name, *words;
} names[] = {
    {"#!/usr/bin/env perl\n", "perl", ""},
    {"#!/bin/env perl\n", "perl", ""},
    {"#! /usr/bin/env \t perl \n", "perl", ""},
    {"#!/usr/bin/env -S perl\n", "perl", ""},
    {"#!/usr/bin/env -Sperl -w\n", "perl", "-w|"},
    {"#!/usr/bin/env -S  perl \t -w   -T\n", "perl", "-w|-T|"},
    {"#!/usr/bin/env --split-string=perl -w\n", "perl", "-w|"},
};

START_TEST(a_name_for_env)
{
	parse(names[_i].line);
	ck_assert_int_eq(shebang.kind, SHEBANG_NAME);
	ck_assert_str_eq(shebang.interpreter, names[_i].name);
	ck_assert_str_eq(words(), names[_i].words);
}
END_TEST

static const char *const others[] = {
    "#!\n", "#! \n", "#!perl\n", "#!bin/perl\n", "#!/bin/sh", "#!/usr/bin/env\n",
    "#!/usr/bin/env perl -w\n", "#!/usr/bin/env -i perl\n", "#!/usr/bin/env - perl\n",
    "#!/usr/bin/env A=b\n", "#!/usr/bin/env -S A=b perl\n", "#!/usr/bin/env -S\n",
    "#!/usr/bin/env -S -i perl\n", "#!/usr/bin/env -S perl '-w'\n", "#!/usr/bin/env -S ${X}\n",
    "#!/usr/bin/env -S perl -w # x\n", "#!/usr/bin/env -S perl a\\_b\n", "#!/usr/bin/env ./perl\n",
    "#!/usr/bin/env -S \"perl\"\n", "#!/usr/bin/env -vS perl\n", "#!/usr/bin/env -S bin/perl\n",
    "#!/usr/bin/env -S perl 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n",
};

START_TEST(lines_that_only_execve_can_judge)
{
	parse(others[_i]);
	ck_assert_int_eq(shebang.kind, SHEBANG_OTHER);
}
END_TEST

START_TEST(no_line_at_all)
{
	static const char *const texts[] = {"", "#", "!#/bin/sh\n", " #!/bin/sh\n", "echo\n"};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		parse(texts[i]);
		ck_assert_int_eq(shebang.kind, SHEBANG_NONE);
	}
}
END_TEST

START_TEST(the_longest_line)
{
	char text[SHEBANG_MAX + 1];

	memset(text, 'x', sizeof text);
	memcpy(text, "#!/", 3);
	text[SHEBANG_MAX - 1] = '\n';
	shebang_parse(&shebang, text, sizeof text);
	ck_assert_int_eq(shebang.kind, SHEBANG_PATH);
	ck_assert_uint_eq(strlen(shebang.interpreter), SHEBANG_MAX - 3);
	text[SHEBANG_MAX - 1] = 'x';
	text[SHEBANG_MAX] = '\n';
	shebang_parse(&shebang, text, sizeof text);
	ck_assert_int_eq(shebang.kind, SHEBANG_OTHER);
}
END_TEST

START_TEST(a_nul_in_the_line)
{
	shebang_parse(&shebang, "#!/bin/sh\0x\n", 12);
	ck_assert_int_eq(shebang.kind, SHEBANG_OTHER);
}
END_TEST

START_TEST(files)
{
	temp_make();
	temp_write("script", 0644, "#!/bin/sh -e\necho\n");
	temp_write("empty", 0644, "");
	shebang_read(&shebang, temp_path("script"));
	ck_assert_int_eq(shebang.kind, SHEBANG_PATH);
	ck_assert_str_eq(words(), "-e|");
	shebang_read(&shebang, temp_path("empty"));
	ck_assert_int_eq(shebang.kind, SHEBANG_NONE);
	shebang_read(&shebang, temp_path("none"));
	ck_assert_int_eq(shebang.kind, SHEBANG_OTHER);
	temp_remove();
}
END_TEST

START_TEST(programs_along_path)
{
	char found[PATH_MAX];
	char path[PATH_MAX];

	temp_make();
	temp_mkdir("one");
	temp_mkdir("two");
	temp_mkdir("one/folder");
	temp_write("one/data", 0644, "");
	temp_write("two/data", 0755, "");
	temp_write("two/folder", 0755, "");
	snprintf(path, sizeof path, "%s:%s", temp_path("one"), temp_path("two"));
	ck_assert(shebang_find("data", path, found));
	ck_assert_str_eq(found, temp_path("two/data"));
	ck_assert(shebang_find("folder", path, found));
	ck_assert_str_eq(found, temp_path("two/folder"));
	ck_assert(!shebang_find("none", path, found));
	ck_assert(!shebang_find("data", "", found));
	/* the working directory, or relative to it: cannot be told */
	snprintf(path, sizeof path, ":%s", temp_path("two"));
	ck_assert(!shebang_find("data", path, found));
	snprintf(path, sizeof path, "bin:%s", temp_path("two"));
	ck_assert(!shebang_find("data", path, found));
	snprintf(path, sizeof path, "%s:", temp_path("two"));
	ck_assert(shebang_find("data", path, found));
	temp_remove();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_loop_test(tcase, a_path_and_its_words, 0, sizeof paths / sizeof *paths);
	tcase_add_loop_test(tcase, a_name_for_env, 0, sizeof names / sizeof *names);
	tcase_add_loop_test(tcase, lines_that_only_execve_can_judge, 0,
	    sizeof others / sizeof *others);
	tcase_add_test(tcase, no_line_at_all);
	tcase_add_test(tcase, the_longest_line);
	tcase_add_test(tcase, a_nul_in_the_line);
	tcase_add_test(tcase, files);
	tcase_add_test(tcase, programs_along_path);
}

int main(void)
{
	return check_main("shebang", add_tests);
}
