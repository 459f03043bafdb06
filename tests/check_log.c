/* SPDX-License-Identifier: ISC */
/*
 * check_log: what a log line looks like, what cannot be in it, and what is left out.
 */
#include "check_util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/log_syslog.h"

static char text[LOG_LINE_MAX * 3];

static void teardown(void)
{
	log_open(LOG_LEVEL_INFO, LOG_FORM_PLAIN);
	log_syslog_close();
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

		if (byte == '\\')
			snprintf(wanted, sizeof wanted, "<6>[\\\\]\n");
		else if (byte >= 0x20 && byte < 0x7f)
			snprintf(wanted, sizeof wanted, "<6>[%c]\n", byte);
		else
			snprintf(wanted, sizeof wanted, "<6>[\\x%02x]\n", (unsigned)byte);
		capture_begin();
		log_info("[%c]", byte);
		ck_assert_str_eq(capture_end(), wanted);
	}
}
END_TEST

START_TEST(other_languages_can_be_read)
{
	log_open(LOG_LEVEL_INFO, LOG_FORM_JOURNAL);
	capture_begin();
	log_info("h\303\274bsch \346\274\242 \360\237\230\200, typed \\x0a");
	log_info("\342\200\256"); /* RIGHT-TO-LEFT OVERRIDE */
	log_info_escaped("a \\x0a \n");
	ck_assert_str_eq(capture_end(), "<6>h\303\274bsch \346\274\242 \360\237\230\200, typed "
					"\\\\x0a\n<6>\\xe2\\x80\\xae\n<6>a \\x0a \\x0a\n");
}
END_TEST

START_TEST(dated_lines_start_with_the_time)
{
	int year = 0;
	int at = 0;
	const char *line;

	log_open(LOG_LEVEL_INFO, LOG_FORM_DATED);
	capture_begin();
	log_warn("w");
	line = capture_end();
	ck_assert_int_eq(sscanf(line, "%4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ %n", &year, &at), 1);
	ck_assert_int_gt(year, 2000);
	ck_assert_int_eq(at, 25);
	ck_assert_str_eq(line + at, plain("warn", "w"));
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

/* ---- syslog ------------------------------------------------------------------------- */

static char datagram[LOG_LINE_MAX * 2];

/* A log daemon at `path`: its socket. */
static int listen_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
	unlink(path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)(void *)&addr, sizeof addr), 0);
	return fd;
}

static const char *received(int fd)
{
	ssize_t n = recv(fd, datagram, sizeof datagram - 1, MSG_DONTWAIT);

	datagram[n > 0 ? n : 0] = '\0';
	return datagram;
}

START_TEST(syslog_gets_a_datagram_a_line)
{
	int fd;
	int month = 0;
	char head[64];
	char name[4] = "";
	int at = 0;

	temp_make();
	fd = listen_at(temp_path("log"));
	ck_assert_int_eq(log_syslog_open(temp_path("log"), log_facility_parse("daemon")), 0);
	log_open(LOG_LEVEL_DEBUG, LOG_FORM_SYSLOG);
	capture_begin();
	log_error("one\ntwo %d", 2);
	ck_assert_int_eq(sscanf(received(fd), "<27>%3s %d %*d:%*d:%*d %n", name, &month, &at), 2);
	snprintf(head, sizeof head, "cgibridge[%ld]: one\\x0atwo 2", (long)getpid());
	ck_assert_str_eq(datagram + at, head);
	log_warn("w");
	ck_assert_ptr_eq(strstr(received(fd), "<28>"), datagram);
	log_info("i");
	ck_assert_ptr_eq(strstr(received(fd), "<30>"), datagram);
	log_debug("d");
	ck_assert_ptr_eq(strstr(received(fd), "<31>"), datagram);
	ck_assert_str_eq(received(fd), "");
	ck_assert_str_eq(capture_end(), "");
	close(fd);
	temp_remove();
}
END_TEST

START_TEST(a_log_daemon_that_was_started_anew_is_found)
{
	int fd;

	temp_make();
	fd = listen_at(temp_path("log"));
	ck_assert_int_eq(log_syslog_open(temp_path("log"), 3), 0);
	log_open(LOG_LEVEL_INFO, LOG_FORM_SYSLOG);
	close(fd);
	fd = listen_at(temp_path("log"));
	errno = ENOSPC;
	capture_begin();
	log_info("again");
	ck_assert_str_eq(capture_end(), "");
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_ptr_nonnull(strstr(received(fd), "]: again"));
	close(fd);
	temp_remove();
}
END_TEST

START_TEST(without_a_log_daemon_lines_go_to_stderr)
{
	int fd;

	temp_make();
	ck_assert_int_eq(log_syslog_open(temp_path("log"), 3), -1);
	ck_assert_int_eq(errno, ENOENT);
	log_open(LOG_LEVEL_INFO, LOG_FORM_SYSLOG);
	capture_begin();
	log_warn("nobody\a");
	ck_assert_str_eq(strchr(capture_end(), ' ') + 1, plain("warn", "nobody\\x07"));
	fd = listen_at(temp_path("log"));
	capture_begin();
	log_warn("now");
	ck_assert_str_eq(capture_end(), "");
	ck_assert_ptr_nonnull(strstr(received(fd),
	    "]: log: lines that went to standard error instead: 1: the log daemon did not take them"));
	ck_assert_ptr_nonnull(strstr(received(fd), "]: now"));
	close(fd);
	temp_remove();
}
END_TEST

START_TEST(a_log_daemon_that_hangs_is_not_waited_for)
{
	struct rusage before;
	struct rusage after;
	const char *said;
	int fd;

	temp_make();
	fd = listen_at(temp_path("log"));
	ck_assert_int_eq(log_syslog_open(temp_path("log"), 3), 0);
	log_open(LOG_LEVEL_INFO, LOG_FORM_SYSLOG);
	capture_begin();
	ck_assert_int_eq(getrusage(RUSAGE_SELF, &before), 0);
	for (int i = 0; i < 2000; i++) /* more than its queue or its buffer holds */
		log_info("%.1000d", i);
	ck_assert_int_eq(getrusage(RUSAGE_SELF, &after), 0);
	said = capture_end();
	/* each time that it waits, it gives up the processor */
	ck_assert_int_lt(after.ru_nvcsw - before.ru_nvcsw, 500);
	ck_assert_ptr_nonnull(strstr(said, "info: 0000"));
	/* once it reads on, it is sent to again */
	while (*received(fd) != '\0')
		;
	capture_begin();
	log_info("more");
	ck_assert_str_eq(capture_end(), "");
	ck_assert_ptr_nonnull(strstr(received(fd), "]: log: lines that went to standard error"));
	ck_assert_ptr_nonnull(strstr(received(fd), "]: more"));
	close(fd);
	temp_remove();
}
END_TEST

START_TEST(a_path_that_is_too_long_is_none)
{
	char path[300];

	memset(path, 'x', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	ck_assert_int_eq(log_syslog_open(path, 3), -1);
	ck_assert_int_eq(errno, ENAMETOOLONG);
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
	tcase_add_test(tcase, other_languages_can_be_read);
	tcase_add_test(tcase, dated_lines_start_with_the_time);
	tcase_add_test(tcase, long_lines_are_cut_and_end);
	tcase_add_test(tcase, short_lines_are_not_cut);
	tcase_add_test(tcase, errno_is_kept);
	tcase_add_test(tcase, errno_is_kept_when_stderr_is_closed);
	tcase_add_test(tcase, syslog_gets_a_datagram_a_line);
	tcase_add_test(tcase, a_log_daemon_that_was_started_anew_is_found);
	tcase_add_test(tcase, without_a_log_daemon_lines_go_to_stderr);
	tcase_add_test(tcase, a_log_daemon_that_hangs_is_not_waited_for);
	tcase_add_test(tcase, a_path_that_is_too_long_is_none);
}

int main(void)
{
	return check_main("log", add);
}
