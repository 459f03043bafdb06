/* SPDX-License-Identifier: ISC */
/*
 * check_cmdline: joined words, and words out of files.
 */
#include "check_util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "config/cmdline.h"

static struct cmdline cmdline;
static struct fault why;

/* Gives `word` as the only argument; the result with '|' in front of each word. */
static const char *words_of(const char *word)
{
	static char text[4096];
	const char *const argv[] = {"cgibridge", word, NULL};

	text[0] = '\0';
	why.text[0] = '\0';
	if (cmdline_init(&cmdline, 2, argv, &why) != 0) {
		cmdline_fini(&cmdline);
		return NULL;
	}
	ck_assert_str_eq(cmdline.argv[0], "cgibridge");
	ck_assert_ptr_null(cmdline.argv[cmdline.argc]);
	for (int i = 1; i < cmdline.argc; i++) {
		strcat(text, "|");
		strcat(text, cmdline.argv[i]);
	}
	cmdline_fini(&cmdline);
	return text;
}

static const struct {
	const char *given, *wanted;
} lines[] = {
	{"-f", "|-f"}, {"", ""}, {"-f -c 4", "|-f|-c|4"}, {"--timeout 5s", "|--timeout|5s"},
	{"--socket=unix:/a b", "|--socket=unix:/a b"}, {"unix:/a b", "|unix:/a b"},
	{"-sunix:/a b", "|-sunix:/a b"}, {"@", "|@"}, {"-", "|-"}, {"- x", "|- x"},
};

START_TEST(joined_words_are_taken_apart)
{
	ck_assert_str_eq(words_of(lines[_i].given), lines[_i].wanted);
}
END_TEST

static const struct {
	const char *content, *wanted; /* NULL: unclosed quote */
} files[] = {
	{"", ""},
	{"\n\n  \t\r\n", ""},
	{"-c 4\n-f", "|-c|4|-f"},
	{"# nothing\n-c 4 # four\n#-f\n", "|-c|4"},
	{"--env A=#x -f", "|--env|A=#x|-f"},
	{"'a b' \"c d\"", "|a b|c d"},
	{"a'b c'd\"e f\"g", "|ab cde fg"},
	{"--env 'it'\\''s'", "|--env|it's"},
	{"a\\ b \\\"x\\\" \\\\", "|a b|\"x\"|\\"},
	{"'a\\b' \"a\\\"b\"", "|a\\b|a\"b"},
	{"'' x \"\"", "||x|"},
	{"'#' \\#", "|#|#"},
	{"'a\nb'", "|a\nb"},
	{"-c 4\r\n-f\r\n", "|-c|4|-f"},
	{"'open", NULL},
	{"-c \"4", NULL},
	{"x \\", "|x|\\"},
};

START_TEST(a_file_is_words)
{
	char argument[512];
	const char *got;

	temp_make();
	temp_write("options", 0600, files[_i].content);
	snprintf(argument, sizeof argument, "@%s", temp_path("options"));
	got = words_of(argument);
	if (files[_i].wanted == NULL) {
		ck_assert_ptr_null(got);
		ck_assert_ptr_nonnull(strstr(why.text, "quote"));
		ck_assert_ptr_nonnull(strstr(why.text, argument + 1));
		ck_assert_ptr_nonnull(strstr(why.text, ":1: "));
	} else {
		ck_assert_ptr_nonnull(got);
		ck_assert_str_eq(got, files[_i].wanted);
	}
	temp_remove();
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_named)
{
	ck_assert_ptr_null(words_of("@/no/such/file"));
	ck_assert_ptr_nonnull(strstr(why.text, "@/no/such/file: No such file"));
	ck_assert_ptr_null(words_of("@/"));
	ck_assert_ptr_nonnull(strstr(why.text, "directory"));
}
END_TEST

START_TEST(a_file_for_which_there_is_no_descriptor_may_be_right)
{
	struct rlimit before, none = {0, 0};
	const char *got;

	if (is_under_valgrind()) /* which has some of its own, and no limit for them */
		return;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	got = words_of("@/dev/null");
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_ptr_null(got);
	ck_assert_ptr_nonnull(strstr(why.text, strerror(EMFILE)));
}
END_TEST

START_TEST(a_file_that_never_ends_is_refused)
{
	ck_assert_ptr_null(words_of("@/dev/zero"));
	ck_assert_ptr_nonnull(strstr(why.text, "large"));
}
END_TEST

START_TEST(a_file_with_a_nul_is_no_text)
{
	char argument[512];
	FILE *out;

	temp_make();
	out = fopen(temp_path("options"), "w");
	ck_assert_ptr_nonnull(out);
	fwrite("-c\0004", 1, 4, out);
	fclose(out);
	snprintf(argument, sizeof argument, "@%s", temp_path("options"));
	ck_assert_ptr_null(words_of(argument));
	ck_assert_ptr_nonnull(strstr(why.text, "not a text file"));
	temp_remove();
}
END_TEST

START_TEST(many_words_fit)
{
	enum { COUNT = 5000 };
	const char **argv = calloc(COUNT + 1, sizeof *argv);

	ck_assert_ptr_nonnull(argv);
	argv[0] = "cgibridge";
	for (int i = 1; i < COUNT; i++)
		argv[i] = "-f";
	ck_assert_int_eq(cmdline_init(&cmdline, COUNT, argv, &why), 0);
	ck_assert_int_eq(cmdline.argc, COUNT);
	ck_assert_ptr_null(cmdline.argv[COUNT]);
	cmdline_fini(&cmdline);
	free(argv);
}
END_TEST

/* A reload starts with them again: a word that has lost its end is a lost option. */
START_TEST(the_command_line_stays_as_it_is)
{
	char program[] = "cgibridge";
	char joined[] = "-f -u nobody";
	char plain[] = "--timeout=5s";
	char empty[] = "";
	const char *const argv[] = {program, joined, plain, empty, NULL};

	ck_assert_int_eq(cmdline_init(&cmdline, 4, argv, &why), 0);
	ck_assert_int_eq(cmdline.argc, 5);
	for (int i = 0; i < cmdline.argc; i++)
		memset(cmdline.argv[i], 'x', strlen(cmdline.argv[i]));
	cmdline_fini(&cmdline);
	ck_assert_mem_eq(program, "cgibridge", sizeof program);
	ck_assert_mem_eq(joined, "-f -u nobody", sizeof joined);
	ck_assert_mem_eq(plain, "--timeout=5s", sizeof plain);
	ck_assert_mem_eq(empty, "", sizeof empty);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase, joined_words_are_taken_apart, 0, sizeof lines / sizeof *lines);
	tcase_add_loop_test(tcase, a_file_is_words, 0, sizeof files / sizeof *files);
	tcase_add_test(tcase, a_file_that_cannot_be_read_is_named);
	tcase_add_test(tcase, a_file_for_which_there_is_no_descriptor_may_be_right);
	tcase_add_test(tcase, a_file_that_never_ends_is_refused);
	tcase_add_test(tcase, a_file_with_a_nul_is_no_text);
	tcase_add_test(tcase, many_words_fit);
	tcase_add_test(tcase, the_command_line_stays_as_it_is);
}

int main(void)
{
	return check_main("cmdline", add);
}
