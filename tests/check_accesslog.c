/* SPDX-License-Identifier: ISC */
/*
 * check_accesslog: what a line looks like, what cannot be in it, where it goes, and
 * what becomes of those that cannot go there.
 */
#include "check_util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "stats/accesslog.h"
#include "base/log_syslog.h"

static char line[ACCESSLOG_LINE_MAX + 1];
static char content[64 * 1024];

static const struct accesslog_entry full = {.peer = "127.0.0.1:4711",
    .method = "GET",
    .script = "/srv/x.cgi",
    .uri = "/x.cgi/a?b=c",
    .status = 200,
    .app_status = 3,
    .in = 17,
    .out = 4711,
    .duration = 1042,
    .pid = 99,
    .end = ACCESSLOG_FAILED,
    .client = "192.0.2.7"};

static void setup(void)
{
	temp_make();
	ck_assert(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
}

static void teardown(void)
{
	accesslog_close();
	log_syslog_close();
	temp_remove();
}

/* ---- the line --------------------------------------------------------------------- */

static const char *formatted(enum accesslog_form form, const struct accesslog_entry *entry)
{
	size_t len;

	memset(line, 'Z', sizeof line);
	len = accesslog_format(form, entry, 1763709712007, line);
	ck_assert_uint_le(len, ACCESSLOG_LINE_MAX);
	line[len] = '\0';
	ck_assert_uint_eq(strlen(line), len);
	return line;
}

START_TEST(a_line_of_text)
{
	ck_assert_str_eq(formatted(ACCESSLOG_TEXT, &full),
	    "2025-11-21T07:21:52.007Z 127.0.0.1:4711 GET /srv/x.cgi /x.cgi/a?b=c 200 3 17 4711 "
	    "1.042 99 failed 192.0.2.7\n");
}
END_TEST

START_TEST(a_line_of_json)
{
	ck_assert_str_eq(formatted(ACCESSLOG_JSON, &full),
	    "{\"time\":\"2025-11-21T07:21:52.007Z\",\"peer\":\"127.0.0.1:4711\",\"method\":\"GET\","
	    "\"script\":\"/srv/x.cgi\",\"uri\":\"/x.cgi/a?b=c\",\"status\":200,\"app_status\":3,"
	    "\"bytes_in\":17,\"bytes_out\":4711,\"duration\":1.042,\"pid\":99,"
	    "\"ended\":\"failed\",\"remote_addr\":\"192.0.2.7\"}\n");
}
END_TEST

START_TEST(what_is_not_known_is_said_to_be_so)
{
	struct accesslog_entry entry = {.peer = "", .end = ACCESSLOG_LOST};

	ck_assert_str_eq(formatted(ACCESSLOG_TEXT, &entry),
	    "2025-11-21T07:21:52.007Z - - - - - 0 0 0 0.000 - lost -\n");
	ck_assert_str_eq(formatted(ACCESSLOG_JSON, &entry),
	    "{\"time\":\"2025-11-21T07:21:52.007Z\",\"peer\":null,\"method\":null,\"script\":null,"
	    "\"uri\":null,\"status\":null,\"app_status\":0,\"bytes_in\":0,\"bytes_out\":0,"
	    "\"duration\":0.000,\"pid\":null,\"ended\":\"lost\",\"remote_addr\":null}\n");
}
END_TEST

static const struct {
	enum accesslog_end end;
	const char *word;
} ends[] = {
	{ACCESSLOG_OK, "ok"}, {ACCESSLOG_FAILED, "failed"}, {ACCESSLOG_SHORT, "short"},
	{ACCESSLOG_INVALID, "invalid"}, {ACCESSLOG_REFUSED, "refused"},
	{ACCESSLOG_TIMEOUT, "timeout"}, {ACCESSLOG_ABORTED, "aborted"}, {ACCESSLOG_LOST, "lost"},
	{ACCESSLOG_DETACHED, "detached"}, {ACCESSLOG_STOPPED, "stopped"},
	{ACCESSLOG_ERROR, "error"},
};

START_TEST(each_end_has_its_word)
{
	struct accesslog_entry entry = full;
	char tail[32];

	entry.end = ends[_i].end;
	snprintf(tail, sizeof tail, " 99 %s 192.0.2.7\n", ends[_i].word);
	ck_assert_ptr_nonnull(strstr(formatted(ACCESSLOG_TEXT, &entry), tail));
}
END_TEST

/* The line for an entry whose script, method, peer, URI and client are `text`. */
static const char *with(enum accesslog_form form, const char *text)
{
	struct accesslog_entry entry = full;

	entry.peer = entry.method = entry.script = entry.uri = entry.client = text;
	return formatted(form, &entry);
}

static void check_ascii(const char *text, char first)
{
	for (size_t i = 0; text[i] != '\0'; i++)
		ck_assert_msg((text[i] >= first && text[i] < 0x7f) ||
			(text[i] == '\n' && text[i + 1] == '\0'), "byte %zu of %s", i, text);
}

START_TEST(no_byte_can_forge_a_field)
{
	char text[2] = {(char)_i, '\0'};
	char wanted[128];
	bool plain = _i > 0x20 && _i < 0x7f && _i != '\\';

	char shown[8];

	snprintf(shown, sizeof shown, plain ? "%c" : "\\x%02x", (unsigned)_i);
	snprintf(wanted, sizeof wanted, " %s %s %s %s 200 ", shown, shown, shown, shown);
	ck_assert_ptr_nonnull(strstr(with(ACCESSLOG_TEXT, text), wanted));
	check_ascii(line, 0x20);
}
END_TEST

START_TEST(no_byte_can_forge_json)
{
	char text[2] = {(char)_i, '\0'};
	char wanted[32];

	if (_i >= 0x80)
		snprintf(wanted, sizeof wanted, ":\"\\\\x%02x\",", (unsigned)_i);
	else if (_i < 0x20 || _i == 0x7f)
		snprintf(wanted, sizeof wanted, ":\"\\u%04x\",", (unsigned)_i);
	else
		snprintf(wanted, sizeof wanted, _i == '"' || _i == '\\' ? ":\"\\%c\"," : ":\"%c\",", _i);
	ck_assert_ptr_nonnull(strstr(with(ACCESSLOG_JSON, text), wanted));
	check_ascii(line, 0x20);
}
END_TEST

static const struct {
	const char *bytes, *json;
} sequences[] = {
	{"\xc3\xa9", "\\u00e9"},
	{"\xc2\x9b", "\\u009b"}, /* a control that terminals obey */
	{"\xe2\x82\xac", "\\u20ac"},
	{"\xef\xbf\xbf", "\\uffff"},
	{"\xf0\x9f\x98\x80", "\\ud83d\\ude00"},
	{"\xf4\x8f\xbf\xbf", "\\udbff\\udfff"},
	{"\xc3", "\\\\xc3"},                             /* cut short */
	{"\xe2\x82", "\\\\xe2\\\\x82"},
	{"\xf0\x9f\x98", "\\\\xf0\\\\x9f\\\\x98"},
	{"\xc3\"", "\\\\xc3\\\""},
	{"\xa9", "\\\\xa9"},                             /* a continuation alone */
	{"\xc0\xaf", "\\\\xc0\\\\xaf"},                  /* overlong */
	{"\xe0\x80\xaf", "\\\\xe0\\\\x80\\\\xaf"},
	{"\xf0\x80\x80\xaf", "\\\\xf0\\\\x80\\\\x80\\\\xaf"},
	{"\xed\xa0\x80", "\\\\xed\\\\xa0\\\\x80"},       /* a surrogate */
	{"\xf4\x90\x80\x80", "\\\\xf4\\\\x90\\\\x80\\\\x80"}, /* past the last one */
	{"\xf8\x88\x80\x80\x80", "\\\\xf8\\\\x88\\\\x80\\\\x80\\\\x80"},
	{"\xff\xfe", "\\\\xff\\\\xfe"},
};

START_TEST(utf8_is_told_from_what_is_none)
{
	char wanted[80];

	snprintf(wanted, sizeof wanted, "\"uri\":\"%s\",", sequences[_i].json);
	ck_assert_ptr_nonnull(strstr(with(ACCESSLOG_JSON, sequences[_i].bytes), wanted));
}
END_TEST

START_TEST(long_fields_are_cut_and_the_line_ends)
{
	static const char units[][5] = {"x", "\n", "\xff", "\"", "\xc3\xa9", "\xf0\x9f\x98\x80"};
	static char text[ACCESSLOG_LINE_MAX * 4 + 1];
	struct accesslog_entry entry = full;

	text[0] = '\0';
	for (size_t i = 0; i < ACCESSLOG_LINE_MAX; i++)
		memcpy(text + i * strlen(units[_i]), units[_i], strlen(units[_i]) + 1);
	entry.peer = entry.method = entry.script = entry.uri = entry.client = text;
	entry.app_status = UINT32_MAX;
	entry.in = entry.out = UINT64_MAX;
	entry.duration = INT64_MAX;
	entry.pid = INT32_MAX;
	entry.end = ACCESSLOG_DETACHED;
	for (enum accesslog_form form = ACCESSLOG_TEXT; form <= ACCESSLOG_JSON; form++) {
		const char *end = form == ACCESSLOG_JSON ? "...\"}\n" : "...\n";

		formatted(form, &entry);
		check_ascii(line, 0x20);
		ck_assert_str_eq(line + strlen(line) - strlen(end), end);
		ck_assert_ptr_nonnull(strstr(line, form == ACCESSLOG_JSON
			? ",\"ended\":\"detached\",\"remote_addr\":\"" : " detached "));
		ck_assert_ptr_nonnull(strstr(line, form == ACCESSLOG_JSON ? "...\",\"status\":200,"
									   : "... 200 "));
	}
}
END_TEST

START_TEST(a_field_that_fits_is_not_cut)
{
	char text[ACCESSLOG_LINE_MAX / 4];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (enum accesslog_form form = ACCESSLOG_TEXT; form <= ACCESSLOG_JSON; form++) {
		struct accesslog_entry entry = full;

		entry.script = entry.uri = text;
		ck_assert_ptr_null(strstr(formatted(form, &entry), "..."));
	}
}
END_TEST

/* ---- a file --------------------------------------------------------------------------- */

static const char *read_all(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	n = read(fd, content, sizeof content - 1);
	ck_assert_int_ge(n, 0);
	content[n] = '\0';
	close(fd);
	return content;
}

static int count_lines(const char *text)
{
	int lines = 0;

	for (; *text != '\0'; text++)
		lines += *text == '\n';
	return lines;
}

START_TEST(without_one_nothing_happens)
{
	ck_assert(!accesslog_is_open());
	accesslog_write(&full);
	accesslog_reopen();
	accesslog_close();
}
END_TEST

static int open_log(const char *text, enum accesslog_form form)
{
	const struct accesslog_target target = {.way = text[0] == '/' ? ACCESSLOG_FILE
		: text[0] == '-'				      ? ACCESSLOG_STDOUT
								      : ACCESSLOG_SYSLOG,
	    .text = text};

	return accesslog_open(&target, form);
}

START_TEST(a_file_grows_by_a_line_a_request)
{
	const char *path = temp_path("log");
	struct stat info;

	umask(022);
	ck_assert_int_eq(open_log(path, ACCESSLOG_TEXT), 0);
	ck_assert(accesslog_is_open());
	accesslog_write(&full);
	accesslog_write(&full);
	ck_assert_int_eq(count_lines(read_all(path)), 2);
	ck_assert_int_eq(stat(path, &info), 0);
	ck_assert_int_eq(info.st_mode & 07777, 0640);
	accesslog_close();
	ck_assert(!accesslog_is_open());
	ck_assert_int_eq(open_log(path, ACCESSLOG_JSON), 0);
	accesslog_write(&full);
	ck_assert_int_eq(count_lines(read_all(path)), 3);
}
END_TEST

START_TEST(a_file_that_cannot_be_opened)
{
	ck_assert_int_eq(open_log(temp_path("no/such"), ACCESSLOG_TEXT), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(open_log(temp_dir(), ACCESSLOG_TEXT), -1);
	ck_assert_int_eq(errno, EISDIR);
	ck_assert(!accesslog_is_open());
}
END_TEST

START_TEST(a_renamed_file_is_opened_again)
{
	const char *path = temp_path("log");
	int fds;

	ck_assert_int_eq(open_log(path, ACCESSLOG_TEXT), 0);
	fds = count_fds();
	accesslog_write(&full);
	ck_assert_int_eq(rename(path, temp_path("old")), 0);
	accesslog_write(&full);
	accesslog_reopen();
	accesslog_write(&full);
	ck_assert_int_eq(count_lines(read_all(temp_path("old"))), 2);
	ck_assert_int_eq(count_lines(read_all(path)), 1);
	ck_assert_int_eq(count_fds(), fds);
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_again_stays_in_use)
{
	const char *path = temp_path("log");
	const char *said;

	ck_assert_int_eq(open_log(path, ACCESSLOG_TEXT), 0);
	ck_assert_int_eq(rename(path, temp_path("old")), 0);
	temp_mkdir("log"); /* not even root can write to it */
	capture_begin();
	accesslog_reopen();
	said = capture_end();
	ck_assert_ptr_nonnull(strstr(said, "cannot be opened again: Is a directory: still writing"));
	accesslog_write(&full);
	ck_assert_int_eq(count_lines(read_all(temp_path("old"))), 1);
}
END_TEST

/* ---- lines that are lost ------------------------------------------------------------------ */

/* Writes `count` lines; what the log then has. */
static const char *write_lines(int count)
{
	capture_begin();
	for (int i = 0; i < count; i++)
		accesslog_write(&full);
	return capture_end();
}

START_TEST(a_full_disk_is_said_once)
{
	const char *said;

	ck_assert_int_eq(open_log("/dev/full", ACCESSLOG_TEXT), 0);
	said = write_lines(50);
	ck_assert_ptr_nonnull(strstr(said,
	    "warn: access log /dev/full: lines lost: 1: No space left on device\n"));
	ck_assert_int_eq(count_lines(said), 1);
	ck_assert_str_eq(write_lines(50), "");
}
END_TEST

START_TEST(a_fifo_that_nobody_reads)
{
	const char *path = temp_path("fifo");

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(open_log(path, ACCESSLOG_TEXT), -1);
	ck_assert_int_eq(errno, ENXIO);
}
END_TEST

START_TEST(a_fifo_whose_reader_is_slow_or_leaves)
{
	const char *path = temp_path("fifo");
	const char *said;
	int fd;
	ssize_t n;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(open_log(path, ACCESSLOG_TEXT), 0);
	said = write_lines(2000); /* more than a pipe holds: waiting would be for ever */
	ck_assert_ptr_nonnull(strstr(said, "lines lost: 1: its reader does not keep up\n"));
	ck_assert_int_eq(count_lines(said), 1);
	n = read(fd, content, sizeof content - 1);
	ck_assert_int_gt(n, 0);
	/* there is room again: whole lines come */
	ck_assert_str_eq(write_lines(1), "");
	while ((n = read(fd, content, sizeof content - 1)) > 0)
		content[n] = '\0';
	ck_assert_ptr_nonnull(strstr(content, "\n"));
	ck_assert_str_eq(content + strlen(content) - 11, " 192.0.2.7\n");
	close(fd);
	ck_assert_str_eq(write_lines(3), ""); /* EPIPE; has been said */
}
END_TEST

START_TEST(a_reader_that_has_left)
{
	const char *path = temp_path("fifo");
	int fd;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_eq(open_log(path, ACCESSLOG_TEXT), 0);
	close(fd);
	ck_assert_ptr_nonnull(strstr(write_lines(1), "lines lost: 1: nobody reads it\n"));
}
END_TEST

START_TEST(a_torn_line_spoils_no_other)
{
	const char *path = temp_path("log");
	struct rlimit before;
	struct rlimit limit;
	char *second;

	ck_assert_int_eq(open_log(path, ACCESSLOG_TEXT), 0);
	accesslog_write(&full);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){strlen(read_all(path)) + 20, before.rlim_max};
	capture_begin(); /* no limit yet: stderr is a file as well */
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	accesslog_write(&full);
	accesslog_write(&full);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	capture_end();
	accesslog_write(&full);
	accesslog_write(&full);
	ck_assert_int_eq(count_lines(read_all(path)), 4);
	second = strchr(content, '\n') + 1;
	ck_assert_ptr_eq(strchr(second, '\n'), second + 20); /* the torn one */
	ck_assert_ptr_nonnull(strstr(second + 21, "Z 127.0.0.1:4711 GET"));
	ck_assert_int_eq(second[20 + 1], '2');
}
END_TEST

/* ---- standard output ------------------------------------------------------------------------ */

/* Opens "-" while standard output is `fd`; then it is as before. */
static void open_on(int fd)
{
	int kept = dup(STDOUT_FILENO);

	fflush(stdout);
	ck_assert_int_ge(dup2(fd, STDOUT_FILENO), 0);
	ck_assert_int_eq(open_log("-", ACCESSLOG_TEXT), 0);
	dup2(kept, STDOUT_FILENO);
	close(kept);
}

START_TEST(standard_output_as_a_pipe)
{
	int fds[2];
	ssize_t n;

	ck_assert_int_eq(pipe(fds), 0);
	open_on(fds[1]);
	ck_assert_ptr_nonnull(strstr(write_lines(2000), "does not keep up"));
	ck_assert_int_eq(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0); /* the others' mode is theirs */
	n = read(fds[0], content, sizeof content);
	ck_assert_int_gt(n, 100);
	accesslog_reopen();
	accesslog_write(&full);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(standard_output_as_a_socket)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	open_on(fds[1]);
	ck_assert_ptr_nonnull(strstr(write_lines(20000), "does not keep up"));
	ck_assert_int_eq(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* ---- syslog ----------------------------------------------------------------------------------- */

START_TEST(syslog_gets_a_datagram_a_line)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	ssize_t n;
	char tail[] = "Z 127.0.0.1:4711 GET /srv/x.cgi /x.cgi/a?b=c 200 3 17 4711 1.042 99 failed 192.0.2.7";

	snprintf(addr.sun_path, sizeof addr.sun_path, "%s", temp_path("syslog"));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)(void *)&addr, sizeof addr), 0);
	ck_assert_int_eq(log_syslog_open(addr.sun_path, log_facility_parse("local3")), 0);
	ck_assert_int_eq(open_log("syslog", ACCESSLOG_TEXT), 0);
	accesslog_write(&full);
	n = recv(fd, content, sizeof content - 1, MSG_DONTWAIT);
	ck_assert_int_gt(n, 0);
	content[n] = '\0';
	ck_assert_ptr_eq(strstr(content, "<158>"), content); /* local3, informational */
	ck_assert_str_eq(content + n - strlen(tail), tail);
	accesslog_reopen();
	accesslog_write(&full);
	ck_assert_int_gt(recv(fd, content, sizeof content, MSG_DONTWAIT), 0);
	close(fd);
	ck_assert_ptr_nonnull(strstr(write_lines(5), "access log syslog: lines lost: 1: "));
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_line_of_text);
	tcase_add_test(tcase, a_line_of_json);
	tcase_add_test(tcase, what_is_not_known_is_said_to_be_so);
	tcase_add_loop_test(tcase, each_end_has_its_word, 0, sizeof ends / sizeof *ends);
	tcase_add_loop_test(tcase, no_byte_can_forge_a_field, 1, 256);
	tcase_add_loop_test(tcase, no_byte_can_forge_json, 1, 256);
	tcase_add_loop_test(tcase, utf8_is_told_from_what_is_none, 0,
	    sizeof sequences / sizeof *sequences);
	tcase_add_loop_test(tcase, long_fields_are_cut_and_the_line_ends, 0, 6);
	tcase_add_test(tcase, a_field_that_fits_is_not_cut);
	tcase_add_test(tcase, without_one_nothing_happens);
	tcase_add_test(tcase, a_file_grows_by_a_line_a_request);
	tcase_add_test(tcase, a_file_that_cannot_be_opened);
	tcase_add_test(tcase, a_renamed_file_is_opened_again);
	tcase_add_test(tcase, a_file_that_cannot_be_opened_again_stays_in_use);
	tcase_add_test(tcase, a_full_disk_is_said_once);
	tcase_add_test(tcase, a_fifo_that_nobody_reads);
	tcase_add_test(tcase, a_fifo_whose_reader_is_slow_or_leaves);
	tcase_add_test(tcase, a_reader_that_has_left);
	tcase_add_test(tcase, a_torn_line_spoils_no_other);
	tcase_add_test(tcase, standard_output_as_a_pipe);
	tcase_add_test(tcase, standard_output_as_a_socket);
	tcase_add_test(tcase, syslog_gets_a_datagram_a_line);
}

int main(void)
{
	return check_main("accesslog", add);
}
