/* SPDX-License-Identifier: ISC */
/*
 * check_log: what a log line looks like, what cannot be in it, and what is left out.
 */
#include "check_util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

static char text[LOG_LINE_MAX * 3];

static void teardown(void)
{
	log_open(LOG_LEVEL_INFO, LOG_FORM_PLAIN);
}

/* The plain form of a line with `message`. */
static const char *plain(const char *level, const char *message)
{
	static char line[LOG_LINE_MAX * 2];

	snprintf(line, sizeof line, "cgibridge[%ld] %s: %s\n", (long)getpid(), level, message);
	return line;
}

START_TEST(plain_lines_say_who_and_how_grave)
{
	log_open(LOG_LEVEL_DEBUG, LOG_FORM_PLAIN);
	capture_begin();
	log_error("one %d", 1);
	ck_assert_str_eq(capture_end(), plain("error", "one 1"));
	capture_begin();
	log_warn("two %s", "words");
	ck_assert_str_eq(capture_end(), plain("warn", "two words"));
	capture_begin();
	log_info("three");
	ck_assert_str_eq(capture_end(), plain("info", "three"));
	capture_begin();
	log_debug("four");
	ck_assert_str_eq(capture_end(), plain("debug", "four"));
}
END_TEST

START_TEST(journal_lines_start_with_their_priority)
{
	log_open(LOG_LEVEL_DEBUG, LOG_FORM_JOURNAL);
	capture_begin();
	log_error("a");
	log_warn("b");
	log_info("c");
	log_debug("d");
	ck_assert_str_eq(capture_end(), "<3>a\n<4>b\n<6>c\n<7>d\n");
}
END_TEST

static const struct {
	enum log_level level;
	const char *lines;
} shown[] = {
	{LOG_LEVEL_ERROR, "<3>e\n"},
	{LOG_LEVEL_WARN, "<3>e\n<4>w\n"},
	{LOG_LEVEL_INFO, "<3>e\n<4>w\n<6>i\n"},
	{LOG_LEVEL_DEBUG, "<3>e\n<4>w\n<6>i\n<7>d\n"},
};

START_TEST(only_the_level_and_what_is_graver_is_written)
{
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
		log_open(shown[i].level, LOG_FORM_JOURNAL);
		capture_begin();
		log_error("e");
		log_warn("w");
		log_info("i");
		log_debug("d");
		ck_assert_str_eq(capture_end(), shown[i].lines);
		for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++)
			ck_assert_int_eq(log_enabled((enum log_level)level) != 0,
			    level <= (int)shown[i].level);
	}
}
END_TEST

START_TEST(levels_are_known_by_name)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};

	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(log_level_parse(names[i]), i);
		ck_assert_str_eq(log_level_name((enum log_level)i), names[i]);
	}
	ck_assert_int_eq(log_level_parse(""), -1);
	ck_assert_int_eq(log_level_parse("ERROR"), -1);
	ck_assert_int_eq(log_level_parse("warning"), -1);
}
END_TEST

START_TEST(no_byte_can_forge_a_line_or_drive_a_terminal)
{
	log_open(LOG_LEVEL_INFO, LOG_FORM_JOURNAL);
	for (int byte = 1; byte < 256; byte++) {
		char wanted[16];

		if (byte >= 0x20 && byte < 0x7f)
			snprintf(wanted, sizeof wanted, "<6>[%c]\n", byte);
		else
			snprintf(wanted, sizeof wanted, "<6>[\\x%02x]\n", (unsigned)byte);
		capture_begin();
		log_info("[%c]", byte);
		ck_assert_str_eq(capture_end(), wanted);
	}
}
END_TEST

/* Logs `len` times `byte`; the line as it came out. */
static const char *log_long(size_t len, char byte)
{
	memset(text, byte, len);
	text[len] = '\0';
	capture_begin();
	log_error("%s", text);
	return capture_end();
}

static void check_long_line(const char *line, size_t len)
{
	size_t got = strlen(line);

	ck_assert_uint_le(got, LOG_LINE_MAX);
	ck_assert_ptr_eq(strchr(line, '\n'), line + got - 1);
	if (len > LOG_LINE_MAX)
		ck_assert_str_eq(line + got - 4, "...\n");
}

START_TEST(long_lines_are_cut_and_end)
{
	log_open(LOG_LEVEL_INFO, LOG_FORM_PLAIN);
	for (size_t len = LOG_LINE_MAX - 64; len < LOG_LINE_MAX + 8; len++)
		check_long_line(log_long(len, 'x'), len);
	check_long_line(log_long(LOG_LINE_MAX * 2, 'x'), LOG_LINE_MAX * 2);
	check_long_line(log_long(LOG_LINE_MAX * 2, '\n'), LOG_LINE_MAX * 2);
	/* each escape is whole or not there */
	for (size_t len = 520; len < 540; len++) {
		const char *line = log_long(len, '\x1b');

		check_long_line(line, len * 4);
		ck_assert_ptr_nonnull(strstr(line, "\\x1b...\n"));
	}
}
END_TEST

START_TEST(short_lines_are_not_cut)
{
	const char *line;

	log_open(LOG_LEVEL_INFO, LOG_FORM_PLAIN);
	line = log_long(LOG_LINE_MAX - 64, 'x');
	ck_assert_ptr_null(strstr(line, "..."));
	ck_assert_uint_gt(strlen(line), LOG_LINE_MAX - 64);
}
END_TEST

START_TEST(errno_is_kept)
{
	log_open(LOG_LEVEL_INFO, LOG_FORM_PLAIN);
	capture_begin();
	errno = ENOSPC;
	log_error("written");
	ck_assert_int_eq(errno, ENOSPC);
	log_debug("not written");
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_str_eq(capture_end(), plain("error", "written"));
}
END_TEST

START_TEST(errno_is_kept_when_stderr_is_closed)
{
	int kept = dup(STDERR_FILENO);

	ck_assert_int_ge(kept, 0);
	close(STDERR_FILENO);
	errno = EAGAIN;
	log_error("nobody hears this");
	ck_assert_int_eq(errno, EAGAIN);
	dup2(kept, STDERR_FILENO);
	close(kept);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_add_test(tcase, plain_lines_say_who_and_how_grave);
	tcase_add_test(tcase, journal_lines_start_with_their_priority);
	tcase_add_test(tcase, only_the_level_and_what_is_graver_is_written);
	tcase_add_test(tcase, levels_are_known_by_name);
	tcase_add_test(tcase, no_byte_can_forge_a_line_or_drive_a_terminal);
	tcase_add_test(tcase, long_lines_are_cut_and_end);
	tcase_add_test(tcase, short_lines_are_not_cut);
	tcase_add_test(tcase, errno_is_kept);
	tcase_add_test(tcase, errno_is_kept_when_stderr_is_closed);
}

int main(void)
{
	return check_main("log", add);
}
