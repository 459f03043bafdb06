/* SPDX-License-Identifier: ISC */
/*
 * check_status: each form, with much, little and hostile things to show.  That other
 * programs can read the forms is in status.t.
 */
#include "check_util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"
#include "stats/scoreboard_private.h"
#include "stats/status.h"

static struct scoreboard *board;
static struct buf page;

static void make_board(int workers, int slots)
{
	scoreboard_free(&board);
	board = scoreboard_new(workers, slots);
	ck_assert_ptr_nonnull(board);
}

static void setup(void)
{
	make_board(2, 4);
	buf_init(&page, STATUS_MAX);
}

static void teardown(void)
{
	buf_fini(&page);
	scoreboard_free(&board);
}

static struct status_source source(void)
{
	return (struct status_source){.board = board,
	    .max_queue = 17,
	    .slow = 2000,
	    .now = scoreboard_made(board) + 60000};
}

/* The page, as a string. */
static const char *render(enum status_form form)
{
	struct status_source from = source();

	buf_fini(&page);
	buf_init(&page, STATUS_MAX);
	ck_assert_int_eq(status_render(form, &from, &page), 0);
	ck_assert_uint_gt(buf_room(&page), 0);
	ck_assert_int_eq(buf_append(&page, "", 1), 0);
	return (const char *)buf_bytes(&page);
}

static void shows(enum status_form form, const char *wanted)
{
	const char *text = render(form);

	ck_assert_msg(strstr(text, wanted) != NULL, "no '%s' in:\n%s", wanted, text);
}

static void hides(enum status_form form, const char *unwanted)
{
	const char *text = render(form);

	ck_assert_msg(strstr(text, unwanted) == NULL, "'%s' in:\n%s", unwanted, text);
}

/* A script of worker `worker` that is `age` ms old. */
static int run(int worker, const char *path, int64_t age)
{
	struct script_info info = {
	    .client = "192.0.2.7", .peer = "unix", .started = source().now - age, .request = 3};
	int slot = scoreboard_claim(board, worker);

	ck_assert_int_ge(slot, 0);
	scoreboard_cut(info.script, sizeof info.script, path);
	scoreboard_describe(board, slot, &info);
	scoreboard_set_state(board, slot, SCOREBOARD_RUNNING);
	atomic_store(scoreboard_pid(board, slot), 4711);
	return slot;
}

/* ---- which form --------------------------------------------------------------- */

static const struct {
	const char *query;
	enum status_form form;
} queries[] = {
    {NULL, STATUS_TEXT}, {"", STATUS_TEXT}, {"full", STATUS_TEXT}, {"text", STATUS_TEXT},
    {"json", STATUS_JSON}, {"full&json", STATUS_JSON}, {"json&full", STATUS_JSON},
    {"&&json", STATUS_JSON}, {"json=", STATUS_JSON}, {"x=json", STATUS_TEXT},
    {"jso", STATUS_TEXT}, {"jsonx", STATUS_TEXT}, {"JSON", STATUS_TEXT},
    {"openmetrics", STATUS_OPENMETRICS}, {"openmetrics=&x=1", STATUS_OPENMETRICS},
    {"html", STATUS_HTML}, {"&", STATUS_TEXT}, {"=", STATUS_TEXT},
};

START_TEST(the_query_says_which_form)
{
	ck_assert_int_eq(status_form_of(queries[_i].query), queries[_i].form);
}
END_TEST

START_TEST(each_form_has_its_type)
{
	ck_assert_str_eq(status_type(STATUS_TEXT), "text/plain; charset=utf-8");
	ck_assert_str_eq(status_type(STATUS_JSON), "application/json");
	ck_assert_str_eq(status_type(STATUS_OPENMETRICS),
	    "application/openmetrics-text; version=1.0.0; charset=utf-8");
	ck_assert_str_eq(status_type(STATUS_HTML), "text/html; charset=utf-8");
}
END_TEST

/* ---- numbers -------------------------------------------------------------------- */

START_TEST(shows_what_was_counted)
{
	tally_add(scoreboard_tally(board, 0), TALLY_4XX, 2);
	tally_add(scoreboard_tally(board, 1), TALLY_4XX, 3);
	shows(STATUS_TEXT, "\nresponses_4xx: 5\n");
	shows(STATUS_JSON, "\"responses_4xx\":5,");
	shows(STATUS_OPENMETRICS, "\ncgibridge_responses_total{class=\"4xx\"} 5\n");
	shows(STATUS_TEXT, "\nuptime_seconds: 60\n");
	shows(STATUS_TEXT, "\nmax_queue: 17\n");
	shows(STATUS_TEXT, "\nmax_scripts: 4\n");
}
END_TEST

START_TEST(idle_connections_are_the_open_ones_less_the_busy_ones)
{
	scoreboard_connected(board, 0, 3);
	scoreboard_connected(board, 1, 4);
	tally_move(scoreboard_tally(board, 1), TALLY_BUSY, 2);
	shows(STATUS_TEXT, "\nconnections: 7\nidle_connections: 5\n");
	tally_move(scoreboard_tally(board, 1), TALLY_BUSY, 20); /* read out of step */
	shows(STATUS_TEXT, "\nidle_connections: 0\n");
}
END_TEST

START_TEST(workers_are_counted_and_respawns_too)
{
	shows(STATUS_TEXT, "\nworkers: 0\n");
	shows(STATUS_TEXT, "worker 0: down");
	scoreboard_enter(board, 0, source().now - 1500);
	scoreboard_enter(board, 1, source().now);
	shows(STATUS_TEXT, "\nworkers: 2\n");
	shows(STATUS_TEXT, "worker 0: idle");
	shows(STATUS_JSON, "\"age\":1.500");
	ck_assert_int_eq(scoreboard_bury(board, 0, 0x7fffffff), 0);
	shows(STATUS_TEXT, "\nworkers: 1\n");
	shows(STATUS_TEXT, "\nworker_respawns: 0\n");
	scoreboard_enter(board, 0, source().now);
	tally_move(scoreboard_tally(board, 0), TALLY_ACTIVE, 1);
	shows(STATUS_TEXT, "\nworker_respawns: 1\n");
	shows(STATUS_TEXT, "worker 0: busy");
}
END_TEST

START_TEST(times_are_shown_with_bounds)
{
	shows(STATUS_TEXT, "\nrequest_seconds: 0\n");
	for (int i = 0; i < 98; i++)
		tally_time(scoreboard_tally(board, 0), TALLY_REQUEST, 1500);
	tally_time(scoreboard_tally(board, 0), TALLY_REQUEST, 30000);
	tally_time(scoreboard_tally(board, 1), TALLY_REQUEST, 300000000);
	shows(STATUS_TEXT, "\nrequest_seconds: 100, mean 3.00177, 50% <= 0.002, 90% <= 0.002, "
			   "99% <= 0.032\n");
	shows(STATUS_OPENMETRICS, "cgibridge_request_seconds_bucket{le=\"0.001\"} 0\n");
	shows(STATUS_OPENMETRICS, "cgibridge_request_seconds_bucket{le=\"0.002\"} 98\n");
	shows(STATUS_OPENMETRICS, "cgibridge_request_seconds_bucket{le=\"262.144\"} 99\n"
				  "cgibridge_request_seconds_bucket{le=\"+Inf\"} 100\n"
				  "cgibridge_request_seconds_count 100\n"
				  "cgibridge_request_seconds_sum 300.177\n");
	shows(STATUS_JSON, "\"request_seconds\":{\"count\":100,\"sum\":300.177,");
}
END_TEST

START_TEST(what_took_longer_than_the_last_bound_is_shown_so)
{
	tally_time(scoreboard_tally(board, 1), TALLY_REQUEST, 300000000);
	shows(STATUS_TEXT, "\nrequest_seconds: 1, mean 300.0, 50% > 262.144, ");
}
END_TEST

START_TEST(openmetrics_ends_with_its_end)
{
	const char *text = render(STATUS_OPENMETRICS);

	ck_assert_str_eq(text + strlen(text) - 6, "# EOF\n");
}
END_TEST

/* ---- scripts -------------------------------------------------------------------- */

START_TEST(a_script_is_shown_until_it_is_over)
{
	int slot = run(1, "/srv/x.cgi", 1234);

	shows(STATUS_TEXT, "\nrunning_scripts: 1\n");
	shows(STATUS_TEXT, "\nscript 4711: running, age 1.234, worker 1, request 3, "
			   "client 192.0.2.7, peer unix, /srv/x.cgi\n");
	shows(STATUS_JSON, "{\"pid\":4711,\"state\":\"running\",\"worker\":1,\"request\":3,");
	shows(STATUS_JSON, "\"age\":1.234,\"slow\":false,\"client\":\"192.0.2.7\",\"peer\":\"unix\","
			   "\"script\":\"/srv/x.cgi\"}");
	scoreboard_set_state(board, slot, SCOREBOARD_STOPPING);
	shows(STATUS_TEXT, "\nscript 4711: stopping, ");
	scoreboard_release(board, slot);
	hides(STATUS_TEXT, "4711");
	hides(STATUS_JSON, "4711");
}
END_TEST

START_TEST(a_script_that_runs_long_is_slow)
{
	run(1, "/srv/x.cgi", 2000);
	shows(STATUS_TEXT, "\nscript 4711: running, age 2.0 (slow), worker 1, ");
	shows(STATUS_JSON, "\"age\":2.000,\"slow\":true,\"client\"");
}
END_TEST

/* Scripts that are this very process; how many of them the page has a "doing" for. */
static int count_doing(int scripts, int64_t age)
{
	int count = 0;

	make_board(2, scripts);
	for (int i = 0; i < scripts; i++)
		atomic_store(scoreboard_pid(board, run(1, "/srv/x.cgi", age)), (int)getpid());
	for (const char *at = render(STATUS_JSON); (at = strstr(at, ",\"doing\":\"running")) != NULL; at++)
		count++;
	return count;
}

START_TEST(what_slow_scripts_wait_for_is_shown)
{
	char doing[SYS_DOING_MAX];
	bool is_told;

	sys_process_doing(getpid(), doing);
	is_told = doing[0] != '\0';
	ck_assert_int_eq(count_doing(1, 2000), is_told ? 1 : 0);
	ck_assert_int_eq(count_doing(1, 1999), 0);
	ck_assert_int_eq(count_doing(33, 2000), is_told ? 32 : 0);
}
END_TEST

START_TEST(a_hostile_name_is_harmless)
{
	run(0, "/srv/<script>&'\"\\\n\033[2J\177\303\244\377", 0);
	shows(STATUS_TEXT, "/srv/<script>&'\"\\\\\\x0a\\x1b[2J\\x7f\303\244\\xff\n");
	shows(STATUS_JSON, "\"script\":\"/srv/\\u003cscript\\u003e\\u0026\\u0027\\u0022\\u005c"
			   "\\u000a\\u001b[2J\\u007f\303\244\\ufffd\"}");
	hides(STATUS_HTML, "srv");
}
END_TEST

static const struct {
	const char *bytes;
	const char *json;
} sequences[] = {
    {"\342\202\254", "\342\202\254"}, {"\360\237\230\200", "\360\237\230\200"},
    {"\300\257", "\\ufffd\\ufffd"}, {"\340\200\200", "\\ufffd\\ufffd\\ufffd"},
    {"\355\240\200", "\\ufffd\\ufffd\\ufffd"}, {"\342\202", "\\ufffd\\ufffd"},
    {"\364\220\200\200", "\\ufffd\\ufffd\\ufffd\\ufffd"}, {"\302x", "\\ufffdx"},
    {"\360\200\200\200", "\\ufffd\\ufffd\\ufffd\\ufffd"},
};

START_TEST(what_is_no_utf8_does_not_get_into_json)
{
	char path[64];
	char wanted[128];

	snprintf(path, sizeof path, "/%s", sequences[_i].bytes);
	snprintf(wanted, sizeof wanted, "\"script\":\"/%s\"}", sequences[_i].json);
	run(0, path, 0);
	shows(STATUS_JSON, wanted);
}
END_TEST

START_TEST(a_long_path_keeps_its_end)
{
	char path[4096];

	memset(path, 'd', sizeof path);
	memcpy(path + sizeof path - 8, "/it.cgi", 8);
	run(0, path, 0);
	shows(STATUS_TEXT, " ...ddddd");
	shows(STATUS_TEXT, "ddddd/it.cgi\n");
}
END_TEST

/* ---- much to show ------------------------------------------------------------------ */

/* The number behind the last `name` on the page. */
static long number_behind(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	ck_assert_msg(at != NULL, "no %s", name);
	return strtol(at + strlen(name), NULL, 10);
}

static long count_of(const char *text, const char *what)
{
	long count = 0;

	for (; (text = strstr(text, what)) != NULL; text += strlen(what))
		count++;
	return count;
}

START_TEST(lists_are_cut_and_say_so)
{
	enum { WORKERS = 1024, SLOTS = 65536 };
	char path[256];
	const char *text;
	long shown;

	make_board(WORKERS, SLOTS);
	memset(path, 1, sizeof path - 1); /* each byte takes six in JSON */
	path[sizeof path - 1] = '\0';
	for (int i = 0; i < SLOTS; i++)
		run(i % WORKERS, path, i * 7919LL % SLOTS);
	text = render(STATUS_JSON);
	ck_assert_str_eq(text + strlen(text) - 2, "}\n");
	shown = count_of(text, "\"script\":\"");
	ck_assert_int_gt(shown, 10);
	ck_assert_int_eq(number_behind(text, "\"more_scripts\":"), SLOTS - shown);
	shown = count_of(text, "{\"worker\":");
	ck_assert_int_gt(shown, 50);
	ck_assert_int_eq(number_behind(text, "\"more_workers\":"), WORKERS - shown);
	text = render(STATUS_TEXT);
	shown = count_of(text, "\nscript 4711: ");
	ck_assert_int_gt(shown, 10);
	ck_assert_int_eq(strtol(strrchr(text, 'a') + 4, NULL, 10), SLOTS - shown);
}
END_TEST

START_TEST(the_oldest_scripts_are_shown_first)
{
	enum { SLOTS = 3000 };
	const char *at;
	double before = SLOTS;

	make_board(1, SLOTS);
	for (int i = 0; i < SLOTS; i++)
		run(0, "/x", i * 7919LL % SLOTS * 1000);
	at = render(STATUS_TEXT);
	for (int i = 0; i < 100; i++) {
		double age;

		at = strstr(at, ", age ");
		ck_assert_ptr_nonnull(at);
		at += 6;
		age = strtod(at, NULL);
		ck_assert_double_eq(age, before - 1);
		before = age;
	}
}
END_TEST

START_TEST(the_page_loads_nothing_and_is_whole)
{
	const char *text = render(STATUS_HTML);

	ck_assert_int_eq(strncmp(text, "<!DOCTYPE html>", 15), 0);
	ck_assert_str_eq(text + strlen(text) - 8, "</html>\n");
	ck_assert_ptr_null(strstr(text, "://"));
	ck_assert_ptr_null(strstr(text, "innerHTML"));
	ck_assert_ptr_null(strstr(text, "src="));
}
END_TEST

START_TEST(without_room_it_fails)
{
	struct status_source from = source();
	struct buf small;

	buf_init(&small, 100);
	ck_assert_int_eq(status_render(STATUS_TEXT, &from, &small), -1);
	buf_fini(&small);
}
END_TEST

START_TEST(the_log_gets_it_line_by_line)
{
	struct status_source from = source();
	const char *log;

	run(0, "/srv/forged\ncgibridge[1] error: line", 0);
	log_open(LOG_LEVEL_INFO, LOG_FORM_PLAIN);
	capture_begin();
	status_log(&from);
	log = capture_end();
	ck_assert_ptr_nonnull(strstr(log, "info: status: max_queue: 17\n"));
	ck_assert_ptr_null(strstr(log, "\ncgibridge[1]"));
	ck_assert_int_eq(count_of(log, "\n"), count_of(log, "info: status: "));
}
END_TEST

/* ---- memory that a worker has written to --------------------------------------------------- */

static void render_all(void)
{
	for (int form = STATUS_TEXT; form <= STATUS_HTML; form++)
		render((enum status_form)form);
}

static void fill_at_random(unsigned *seed)
{
	unsigned char *bytes = (unsigned char *)board->shared;

	for (size_t i = 0; i < board->size; i++) {
		*seed = *seed * 1103515245 + 12345;
		bytes[i] = (unsigned char)(*seed >> 16);
	}
}

/* Half of the numbers that say who, what and how much are such as could be. */
static void fill_likely(unsigned seed)
{
	for (int i = 0; i < board->scripts; i++) {
		struct shared_slot *slot = &board->shared->slots[i];

		seed = seed * 1103515245 + 12345;
		atomic_store(&slot->owner, (int)(seed >> 16) % 8 - 1);
		atomic_store(&board->infos[i].state, (int)(seed >> 20) % 16 - 4);
		atomic_store(&board->infos[i].seq, (seed >> 16 & 1) * 2);
	}
}

START_TEST(any_bytes_in_the_memory_do_no_harm)
{
	unsigned seed = 4711;

	for (int round = 0; round < 300; round++) {
		struct scoreboard *heir = scoreboard_new(2, 4);

		ck_assert_ptr_nonnull(heir);
		if (round % 3 == 0)
			memset(board->shared, (int[]){0xff, 0x7f, 0x80}[round / 3 % 3], board->size);
		else
			fill_at_random(&seed);
		if (round % 3 == 2)
			fill_likely(seed);
		render_all();
		scoreboard_inherit(heir, board);
		for (int i = 0; i < 2; i++)
			scoreboard_bury(board, i, 0x7fffffff);
		ck_assert_int_eq(scoreboard_running(board), 0);
		scoreboard_inherit(heir, board);
		render_all();
		scoreboard_free(&board);
		board = heir;
		render_all();
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, the_query_says_which_form, 0,
	    (int)(sizeof queries / sizeof *queries));
	tcase_add_test(tcase, each_form_has_its_type);
	tcase_add_test(tcase, shows_what_was_counted);
	tcase_add_test(tcase, idle_connections_are_the_open_ones_less_the_busy_ones);
	tcase_add_test(tcase, workers_are_counted_and_respawns_too);
	tcase_add_test(tcase, times_are_shown_with_bounds);
	tcase_add_test(tcase, what_took_longer_than_the_last_bound_is_shown_so);
	tcase_add_test(tcase, openmetrics_ends_with_its_end);
	tcase_add_test(tcase, a_script_is_shown_until_it_is_over);
	tcase_add_test(tcase, a_script_that_runs_long_is_slow);
	tcase_add_test(tcase, what_slow_scripts_wait_for_is_shown);
	tcase_add_test(tcase, a_hostile_name_is_harmless);
	tcase_add_loop_test(tcase, what_is_no_utf8_does_not_get_into_json, 0,
	    (int)(sizeof sequences / sizeof *sequences));
	tcase_add_test(tcase, a_long_path_keeps_its_end);
	tcase_add_test(tcase, lists_are_cut_and_say_so);
	tcase_add_test(tcase, the_oldest_scripts_are_shown_first);
	tcase_add_test(tcase, the_page_loads_nothing_and_is_whole);
	tcase_add_test(tcase, without_room_it_fails);
	tcase_add_test(tcase, any_bytes_in_the_memory_do_no_harm);
	tcase_add_test(tcase, the_log_gets_it_line_by_line);
}

int main(void)
{
	return check_main("status", add);
}
