/* SPDX-License-Identifier: ISC */
/*
 * check_params: the parameters are the same however their stream is split, each
 * name is there once, and nothing gets into an environment that may not be there.
 */
#include "check_util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fcgi/fcgi.h"
#include "cgi/params.h"

enum { MAX = 256 * 1024 };

static struct buf stream;

static void setup(void)
{
	buf_init(&stream, 4 << 20);
}

static void teardown(void)
{
	buf_fini(&stream);
}

static void put_bytes(const char *name, size_t name_len, const char *value, size_t value_len)
{
	struct fcgi_pair pair = {(const unsigned char *)name, name_len,
	    (const unsigned char *)value, value_len};
	unsigned char *to = buf_reserve(&stream, fcgi_pair_size(name_len, value_len));

	ck_assert_ptr_nonnull(to);
	buf_commit(&stream, fcgi_put_pair(to, &pair));
}

static void put(const char *name, const char *value)
{
	put_bytes(name, strlen(name), value, strlen(value));
}

/* Decodes what has been put, fed in two parts; 0, or errno. */
static int decode_split(struct params *params, size_t max, size_t cut)
{
	size_t rest = buf_len(&stream) - cut;

	params_init(params, max);
	if (params_feed(params, buf_bytes(&stream), cut) != 0)
		return errno;
	if (rest > 0 && params_feed(params, buf_bytes(&stream) + cut, rest) != 0)
		return errno;
	return params_decode(params) == 0 ? 0 : errno;
}

static int decode(struct params *params)
{
	return decode_split(params, MAX, buf_len(&stream));
}

/* The one item of `vector` with `name`; NULL if there is none. */
static const char *item_of(char *const *vector, const char *name)
{
	const char *found = NULL;

	for (; *vector != NULL; vector++) {
		if (strncmp(*vector, name, strlen(name)) != 0 || (*vector)[strlen(name)] != '=')
			continue;
		ck_assert_ptr_null(found);
		found = *vector;
	}
	return found;
}

static size_t count_items(char *const *vector)
{
	size_t count = 0;

	while (vector[count] != NULL)
		count++;
	return count;
}

/* ---- decoding --------------------------------------------------------------------- */

static void put_a_request(void)
{
	char long_value[300];

	memset(long_value, 'q', sizeof long_value);
	put("REQUEST_METHOD", "GET");
	put("EMPTY", "");
	put_bytes("QUERY_STRING", 12, long_value, sizeof long_value);
	put("HTTP_ACCEPT", "a");
	put("HTTP_ACCEPT", "b");
	put("REQUEST_METHOD", "POST");
	put("HTTP_PROXY", "http://evil/");
}

static void check_a_request(const struct params *params)
{
	ck_assert_str_eq(params_get(params, "REQUEST_METHOD"), "POST");
	ck_assert_str_eq(params_get(params, "EMPTY"), "");
	ck_assert_ptr_null(params_get_filled(params, "EMPTY"));
	ck_assert_uint_eq(strlen(params_get(params, "QUERY_STRING")), 300);
	ck_assert_str_eq(params_get(params, "HTTP_ACCEPT"), "a, b");
	ck_assert_ptr_null(params_get(params, "HTTP_PROXY"));
	ck_assert_ptr_null(params_get(params, "OTHER"));
	ck_assert_ptr_null(params_get(params, "REQUEST_METHO"));
	ck_assert_ptr_null(params_get(params, ""));
}

START_TEST(every_split_gives_the_same)
{
	struct params params;

	put_a_request();
	for (size_t cut = 0; cut <= buf_len(&stream); cut++) {
		ck_assert_int_eq(decode_split(&params, MAX, cut), 0);
		check_a_request(&params);
		params_fini(&params);
	}
}
END_TEST

START_TEST(byte_by_byte_gives_the_same)
{
	struct params params;

	put_a_request();
	params_init(&params, MAX);
	for (size_t at = 0; at < buf_len(&stream); at++)
		ck_assert_int_eq(params_feed(&params, buf_bytes(&stream) + at, 1), 0);
	ck_assert_int_eq(params_decode(&params), 0);
	check_a_request(&params);
	params_fini(&params);
}
END_TEST

START_TEST(a_stream_that_ends_inside_a_pair_is_refused)
{
	struct params params;

	put("A", "1");
	put_bytes("LONG", 4, "0123456789", 10);
	for (size_t len = 0; len <= buf_len(&stream); len++) {
		params_init(&params, MAX);
		ck_assert_int_eq(params_feed(&params, buf_bytes(&stream), len), 0);
		errno = 0;
		if (len == 0 || len == 4 || len == buf_len(&stream)) {
			ck_assert_int_eq(params_decode(&params), 0);
		} else {
			ck_assert_int_eq(params_decode(&params), -1);
			ck_assert_int_eq(errno, EBADMSG);
		}
		params_fini(&params);
	}
}
END_TEST

START_TEST(no_parameters_at_all_are_fine)
{
	static const char *none[1];
	const struct environment below = {none, 0};
	struct params params;
	char **vector;

	ck_assert_int_eq(decode(&params), 0);
	ck_assert_ptr_null(params_get(&params, "A"));
	params_unset(&params, "A");
	vector = params_environ(&params, &below);
	ck_assert_uint_eq(count_items(vector), 0);
	free(vector);
	ck_assert_int_eq(params_set(&params, "A", "1"), 0);
	ck_assert_str_eq(params_get(&params, "A"), "1");
	params_fini(&params);
	params_fini(&params);
}
END_TEST

START_TEST(what_cannot_be_in_an_environment_is_refused)
{
	static const struct {
		const char *name;
		size_t name_len;
		const char *value;
		size_t value_len;
	} bad[] = {
		{"A\0B", 3, "x", 1}, {"\0", 1, "", 0},
		{"A", 1, "x\0y", 3}, {"A", 1, "\0", 1}, {"A", 1, "x\0", 2},
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct params params;

		put("GOOD", "1");
		put_bytes(bad[i].name, bad[i].name_len, bad[i].value, bad[i].value_len);
		put("GOOD", "2");
		ck_assert_int_eq(decode(&params), EBADMSG);
		params_fini(&params);
		buf_consume(&stream, buf_len(&stream));
	}
}
END_TEST

START_TEST(a_name_that_no_environment_can_hold_is_dropped)
{
	static const struct {
		const char *name;
		size_t name_len;
	} odd[] = {{"", 0}, {"=", 1}, {"A=B", 3}, {"=A", 2}, {"GOOD=", 5}};

	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		struct params params;

		put("GOOD", "1");
		put_bytes(odd[i].name, odd[i].name_len, "x", 1);
		put("ALSO", "2");
		ck_assert_int_eq(decode(&params), 0);
		ck_assert_uint_eq(params.count, 2);
		ck_assert_str_eq(params_get(&params, "GOOD"), "1");
		ck_assert_str_eq(params_get(&params, "ALSO"), "2");
		params_fini(&params);
		buf_consume(&stream, buf_len(&stream));
	}
}
END_TEST

START_TEST(a_value_may_hold_anything_else)
{
	struct params params;

	put("A", "=x=\n\x01\xff%s");
	put("lower", "1");
	put("WITH SPACE", "2");
	put("\xc3\xa9", "3");
	put("", "no name: dropped");
	ck_assert_int_eq(decode(&params), 0);
	ck_assert_str_eq(params_get(&params, "A"), "=x=\n\x01\xff%s");
	ck_assert_str_eq(params_get(&params, "WITH SPACE"), "2");
	ck_assert_str_eq(params_get(&params, "\xc3\xa9"), "3");
	params_fini(&params);
}
END_TEST

/* ---- each name once ------------------------------------------------------------------ */

START_TEST(repeated_headers_are_joined_in_order)
{
	struct params params;

	put("HTTP_X", "one");
	put("HTTP_COOKIE", "a=1");
	put("HTTP_X", "");
	put("http_x", "three");
	put("HTTP_COOKIE", "b=2");
	put("OTHER", "1");
	put("HTTP_X", "four");
	put("HTTP_COOKIE", "c=3");
	ck_assert_int_eq(decode(&params), 0);
	ck_assert_str_eq(params_get(&params, "HTTP_X"), "one, , three, four");
	ck_assert_str_eq(params_get(&params, "HTTP_COOKIE"), "a=1; b=2; c=3");
	params_fini(&params);
}
END_TEST

START_TEST(of_any_other_name_the_last_one_wins)
{
	struct params params;

	put("SCRIPT_FILENAME", "/first");
	put("HTTP", "1");
	put("HTTPS", "on");
	put("script_filename", "/last");
	put("HTTPS", "off");
	put("HTTP", "2");
	ck_assert_int_eq(decode(&params), 0);
	ck_assert_str_eq(params_get(&params, "SCRIPT_FILENAME"), "/last");
	ck_assert_str_eq(params_get(&params, "HTTPS"), "off");
	ck_assert_str_eq(params_get(&params, "HTTP"), "2");
	params_fini(&params);
}
END_TEST

START_TEST(names_are_the_same_in_any_case)
{
	struct params params;

	put("Path_Info", "/x");
	ck_assert_int_eq(decode(&params), 0);
	ck_assert_str_eq(params_get(&params, "PATH_INFO"), "/x");
	ck_assert_str_eq(params_get(&params, "path_info"), "/x");
	ck_assert_int_eq(params_set(&params, "PATH_INFO", "/y"), 0);
	ck_assert_str_eq(params_get(&params, "pAtH_iNfO"), "/y");
	params_unset(&params, "PATH_info");
	ck_assert_ptr_null(params_get(&params, "Path_Info"));
	params_fini(&params);
}
END_TEST

START_TEST(the_httpoxy_name_is_dropped_in_any_case)
{
	static const char *none[1];
	const struct environment below = {none, 0};
	struct params params;
	char **vector;

	put("HTTP_PROXY", "1");
	put("http_proxy", "2");
	put("Http_Proxy", "3");
	put("HTTP_PROXY_X", "4");
	ck_assert_int_eq(decode(&params), 0);
	ck_assert_ptr_null(params_get(&params, "HTTP_PROXY"));
	ck_assert_str_eq(params_get(&params, "HTTP_PROXY_X"), "4");
	vector = params_environ(&params, &below);
	ck_assert_uint_eq(count_items(vector), 1);
	free(vector);
	params_fini(&params);
}
END_TEST

START_TEST(many_small_repeated_headers_fit)
{
	struct params params;
	char value[101];

	memset(value, 'v', 100);
	value[100] = '\0';
	for (int i = 0; i < 400; i++) /* 45 KB of 256 */
		put("HTTP_X_FORWARDED_FOR", value);
	ck_assert_int_eq(decode(&params), 0);
	ck_assert_uint_eq(strlen(params_get(&params, "HTTP_X_FORWARDED_FOR")), 400 * 102 - 2);
	params_fini(&params);
}
END_TEST

/* ---- bounds ---------------------------------------------------------------------------- */

START_TEST(a_stream_may_have_the_maximum_and_no_more)
{
	struct params params;
	char value[2000];

	memset(value, 'v', sizeof value);
	put_bytes("NAME", 4, value, 1015); /* 5 bytes of lengths: 1024 in all */
	ck_assert_uint_eq(buf_len(&stream), 1024);
	ck_assert_int_eq(decode_split(&params, 1024, 100), 0);
	ck_assert_uint_eq(strlen(params_get(&params, "NAME")), 1015);
	params_fini(&params);
	ck_assert_int_eq(decode_split(&params, 1023, 100), E2BIG);
	params_fini(&params);
	ck_assert_int_eq(decode_split(&params, 1023, 1024), E2BIG);
	params_fini(&params);
}
END_TEST

START_TEST(many_parameters_are_all_found)
{
	struct params params;
	char name[32];
	char value[32];

	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof name, "NAME_%d", i);
		snprintf(value, sizeof value, "%d", i * 7);
		put(name, value);
	}
	ck_assert_int_eq(decode(&params), 0);
	for (int i = 0; i < 10000; i++) {
		const char *got;

		snprintf(name, sizeof name, "name_%d", i);
		snprintf(value, sizeof value, "%d", i * 7);
		got = params_get(&params, name);
		if (got == NULL || strcmp(got, value) != 0)
			ck_abort_msg("%s is %s", name, got == NULL ? "missing" : got);
	}
	params_fini(&params);
}
END_TEST

START_TEST(one_byte_names_and_empty_values_fit_where_they_were)
{
	struct params params;

	/* the strings are never longer than what they are decoded from */
	for (int i = 0; i < 26; i++) {
		char name[2] = {(char)('A' + i), '\0'};

		put(name, i % 2 == 0 ? "" : "x");
	}
	ck_assert_int_eq(decode(&params), 0);
	for (int i = 0; i < 26; i++) {
		char name[2] = {(char)('A' + i), '\0'};

		ck_assert_str_eq(params_get(&params, name), i % 2 == 0 ? "" : "x");
	}
	params_fini(&params);
}
END_TEST

/* ---- setting ----------------------------------------------------------------------------- */

START_TEST(sets_unsets_and_sets_again)
{
	struct params params;

	put("A", "1");
	put("B", "2");
	ck_assert_int_eq(decode(&params), 0);
	ck_assert_int_eq(params_set(&params, "A", "one"), 0);
	ck_assert_int_eq(params_set(&params, "C", "three"), 0);
	params_unset(&params, "B");
	params_unset(&params, "NEVER");
	ck_assert_str_eq(params_get(&params, "A"), "one");
	ck_assert_ptr_null(params_get(&params, "B"));
	ck_assert_str_eq(params_get(&params, "C"), "three");
	ck_assert_int_eq(params_set(&params, "B", ""), 0);
	ck_assert_str_eq(params_get(&params, "B"), "");
	ck_assert_ptr_null(params_get_filled(&params, "B"));
	params_fini(&params);
}
END_TEST

START_TEST(sets_a_value_that_is_inside)
{
	struct params params;

	put("A", "0123456789");
	ck_assert_int_eq(decode(&params), 0);
	/* each one may move the memory that the value is in */
	for (int i = 0; i < 2000; i++)
		ck_assert_int_eq(params_set(&params, i % 2 == 0 ? "B" : "A",
				     params_get(&params, i % 2 == 0 ? "A" : "B")), 0);
	ck_assert_str_eq(params_get(&params, "A"), "0123456789");
	ck_assert_int_eq(params_set(&params, "A", params_get(&params, "A") + 5), 0);
	ck_assert_str_eq(params_get(&params, "A"), "56789");
	params_fini(&params);
}
END_TEST

START_TEST(setting_has_a_bound)
{
	struct params params;
	char *large = malloc(70000);
	char name[16];
	int set = 0;

	ck_assert_ptr_nonnull(large);
	memset(large, 'x', 69999);
	large[69999] = '\0';
	put("A", "1");
	ck_assert_int_eq(decode_split(&params, 1024, 0), 0);
	errno = 0;
	ck_assert_int_eq(params_set(&params, "A", large), -1);
	ck_assert_int_eq(errno, E2BIG);
	ck_assert_str_eq(params_get(&params, "A"), "1");
	do {
		snprintf(name, sizeof name, "NEW_%d", set);
		errno = 0;
	} while (params_set(&params, name, "v") == 0 && ++set < 1000);
	ck_assert_int_eq(errno, E2BIG);
	ck_assert_int_ge(set, 8);
	ck_assert_str_eq(params_get(&params, "NEW_0"), "v");
	params_fini(&params);
	free(large);
}
END_TEST

/* ---- the environment ------------------------------------------------------------------------ */

START_TEST(an_environment_is_the_parameters_over_the_base)
{
	static const char *base[] = {"PATH=/bin", "LANG=C", "TZ=UTC", "odd", "lower=1"};
	const struct environment below = {base, sizeof base / sizeof *base};
	struct params params;
	char **vector;

	put("PATH_INFO", "/p");
	put("LANG", "de");
	put("GONE", "1");
	put("TZ", "CET");
	ck_assert_int_eq(decode(&params), 0);
	params_unset(&params, "GONE");
	params_unset(&params, "TZ"); /* then the base's own one shows */
	ck_assert_int_eq(params_set(&params, "SCRIPT_NAME", "/s"), 0);
	vector = params_environ(&params, &below);
	ck_assert_ptr_nonnull(vector);
	ck_assert_str_eq(item_of(vector, "PATH"), "PATH=/bin");
	ck_assert_str_eq(item_of(vector, "LANG"), "LANG=de");
	ck_assert_str_eq(item_of(vector, "TZ"), "TZ=UTC");
	ck_assert_str_eq(item_of(vector, "PATH_INFO"), "PATH_INFO=/p");
	ck_assert_str_eq(item_of(vector, "SCRIPT_NAME"), "SCRIPT_NAME=/s");
	ck_assert_str_eq(item_of(vector, "lower"), "lower=1");
	ck_assert_ptr_null(item_of(vector, "GONE"));
	ck_assert_uint_eq(count_items(vector), 7);
	free(vector);
	params_fini(&params);
}
END_TEST

START_TEST(what_is_addressed_to_the_bridge_stays_here)
{
	static const char *none[1];
	const struct environment below = {none, 0};
	struct params params;
	char **vector;

	put("FCGI_CHDIR", "/tmp");
	put("CGIBRIDGE_TIMEOUT", "1s");
	put("CGIBRIDGE_", "no name");
	put("cgibridge_x", "1");
	put("FCGI_ROLE", "RESPONDER");
	put("CGIBRIDGE", "mine");
	ck_assert_int_eq(decode(&params), 0);
	vector = params_environ(&params, &below);
	ck_assert_uint_eq(count_items(vector), 2);
	ck_assert_str_eq(item_of(vector, "FCGI_ROLE"), "FCGI_ROLE=RESPONDER");
	ck_assert_str_eq(item_of(vector, "CGIBRIDGE"), "CGIBRIDGE=mine");
	free(vector);
	params_fini(&params);
}
END_TEST

/* ---- names that somebody has chosen ------------------------------------------------------ */

/* Puts `n` names of 16 letters, each one of two. */
static void put_names(unsigned n, char zero, char one)
{
	for (unsigned i = 0; i < n; i++) {
		char name[17] = "";

		for (unsigned at = 0; at < 16; at++)
			name[at] = (i >> at & 1) != 0 ? one : zero;
		put(name, "");
	}
}

/* Milliseconds of this processor to decode what has been put. */
static double time_to_decode(size_t count)
{
	struct params params;
	clock_t before = clock();

	ck_assert_int_eq(decode_split(&params, 4 << 20, 0), 0);
	ck_assert_uint_eq(params.count, count);
	params_fini(&params);
	buf_consume(&stream, buf_len(&stream));
	return (double)(clock() - before) * 1000 / CLOCKS_PER_SEC;
}

/* '[' and '{' differ as 'A' and 'a' do, but are not letters. */
START_TEST(names_that_are_almost_the_same_take_no_longer)
{
	double usual;
	double chosen;

	put_names(16384, '0', 'Z');
	usual = time_to_decode(16384);
	put_names(16384, '[', '{');
	chosen = time_to_decode(16384);
	ck_assert_msg(chosen < 20 * (usual + 1), "%.0f ms instead of %.0f", chosen, usual);
}
END_TEST

static uint32_t hash_in_another_process(void)
{
	struct params params;
	uint32_t hash = 0;
	int fds[2];
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		bool known = decode(&params) == 0 && params.count == 1 &&
		    write(fds[1], &params.list[0].hash, sizeof hash) == sizeof hash;

		_exit(known ? 0 : 1);
	}
	ck_assert_int_eq(wait_for(pid), 0);
	ck_assert_int_eq(read(fds[0], &hash, sizeof hash), sizeof hash);
	close(fds[0]);
	close(fds[1]);
	return hash;
}

/* What collides here cannot be found out by trying it elsewhere. */
START_TEST(each_process_hashes_in_its_own_way)
{
	uint32_t first;

	put("REQUEST_METHOD", "GET");
	first = hash_in_another_process();
	/* equal by chance: once in 2^64 runs */
	ck_assert(hash_in_another_process() != first || hash_in_another_process() != first);
}
END_TEST

START_TEST(long_names_are_told_apart_by_any_letter)
{
	char name[301];
	struct params params;

	for (size_t at = 0; at < sizeof name - 1; at++) {
		memset(name, 'A', sizeof name);
		name[at] = 'B';
		name[sizeof name - 1] = '\0';
		put(name, "");
		name[at] = 'b'; /* the same name */
		put(name, "");
	}
	ck_assert_int_eq(decode_split(&params, 4 << 20, 0), 0);
	ck_assert_uint_eq(params.count, sizeof name - 1);
	for (size_t at = 0; at < sizeof name - 1; at++) {
		memset(name, 'a', sizeof name);
		name[at] = 'b';
		name[sizeof name - 1] = '\0';
		ck_assert_ptr_nonnull(params_get(&params, name));
		/* equal by chance: once in 2^32 times */
		ck_assert(at == 0 || params.list[at].hash != params.list[at - 1].hash);
	}
	params_fini(&params);
}
END_TEST

/* Also the letters that are hashed twice, as the last words of a name overlap. */
START_TEST(any_letter_of_a_name_of_any_length_counts)
{
	enum { MOST = 80 };
	char name[MOST + 1];
	struct params params;

	for (size_t len = 1; len <= MOST; len++) {
		memset(name, 'A', sizeof name);
		name[len] = '\0';
		put(name, "");
		for (size_t at = 0; at < len; at++) {
			name[at] = 'B';
			put(name, "");
			name[at] = 'A';
		}
	}
	ck_assert_int_eq(decode_split(&params, 4 << 20, 0), 0);
	ck_assert_uint_eq(params.count, MOST + MOST * (MOST + 1) / 2);
	for (size_t at = 1; at < params.count; at++)
		ck_assert_uint_ne(params.list[at].hash, params.list[at - 1].hash);
	params_fini(&params);
}
END_TEST

/* Each time the other one has been joined last, a value is copied: that has a bound. */
START_TEST(values_that_are_joined_in_turns_have_a_bound)
{
	struct params params;

	for (int i = 0; i < 500; i++)
		put(i % 2 == 0 ? "HTTP_A" : "HTTP_B", "value");
	ck_assert_int_eq(decode_split(&params, 16 * 1024, 0), E2BIG);
	ck_assert_ptr_null(params_get(&params, "HTTP_A"));
	params_fini(&params);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	/* the first: in one process for all tests, the next one draws the key for it */
	tcase_add_test(tcase, each_process_hashes_in_its_own_way);
	tcase_add_test(tcase, values_that_are_joined_in_turns_have_a_bound);
	tcase_add_test(tcase, every_split_gives_the_same);
	tcase_add_test(tcase, byte_by_byte_gives_the_same);
	tcase_add_test(tcase, a_stream_that_ends_inside_a_pair_is_refused);
	tcase_add_test(tcase, no_parameters_at_all_are_fine);
	tcase_add_test(tcase, what_cannot_be_in_an_environment_is_refused);
	tcase_add_test(tcase, a_name_that_no_environment_can_hold_is_dropped);
	tcase_add_test(tcase, a_value_may_hold_anything_else);
	tcase_add_test(tcase, repeated_headers_are_joined_in_order);
	tcase_add_test(tcase, of_any_other_name_the_last_one_wins);
	tcase_add_test(tcase, names_are_the_same_in_any_case);
	tcase_add_test(tcase, the_httpoxy_name_is_dropped_in_any_case);
	tcase_add_test(tcase, many_small_repeated_headers_fit);
	tcase_add_test(tcase, a_stream_may_have_the_maximum_and_no_more);
	tcase_add_test(tcase, many_parameters_are_all_found);
	tcase_add_test(tcase, one_byte_names_and_empty_values_fit_where_they_were);
	tcase_add_test(tcase, sets_unsets_and_sets_again);
	tcase_add_test(tcase, sets_a_value_that_is_inside);
	tcase_add_test(tcase, setting_has_a_bound);
	tcase_add_test(tcase, an_environment_is_the_parameters_over_the_base);
	tcase_add_test(tcase, what_is_addressed_to_the_bridge_stays_here);
	tcase_add_test(tcase, names_that_are_almost_the_same_take_no_longer);
	tcase_add_test(tcase, long_names_are_told_apart_by_any_letter);
	tcase_add_test(tcase, any_letter_of_a_name_of_any_length_counts);
}

int main(void)
{
	return check_main("params", add);
}
