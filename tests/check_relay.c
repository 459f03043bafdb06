/* SPDX-License-Identifier: ISC */
/*
 * check_relay: a script's output on its way to records: one for the headers, each read
 * at once, no more than there is room for.
 */
#include "check_util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/record.h"
#include "cgi/relay.h"
#include "bridge/request.h"
#include "base/sys.h"

static struct loop *loop;
static struct relay relay;
static struct relay_scratch scratch;
static struct outlet out;
static int script = -1; /* the script's end of its stdout */
static int moves;

/* The records that have been taken from `out`. */
static size_t first_len; /* content of the first one */
static unsigned char *content;
static size_t content_len;
static int records;

enum { CONTENT_MAX = 2 << 20 };

static void on_moved(struct relay *moved)
{
	ck_assert_ptr_eq(moved, &relay);
	moves++;
}

static void on_others_moved(struct relay *moved)
{
	ck_assert_ptr_ne(moved, &relay);
}

static void start(enum response_kind kind)
{
	int fds[2];

	ck_assert_int_eq(sys_pipe(fds, SYS_PIPE_READ), 0);
	ck_assert_int_eq(sys_nonblock(fds[1]), 0);
	relay_init(&relay, &(struct relay_plan){.loop = loop, .scratch = &scratch, .out = &out,
			       .id = 7, .kind = kind, .moved = on_moved});
	ck_assert_int_eq(relay_attach(&relay, fds[0]), 0);
	script = fds[1];
	moves = records = 0;
	content_len = first_len = 0;
}

static void close_script(void)
{
	if (script >= 0)
		close(script);
	script = -1;
}

static void stop(void)
{
	relay_fini(&relay);
	close_script();
	buf_consume(&out.records, buf_len(&out.records));
}

static void setup(void)
{
	loop = loop_new();
	content = malloc(CONTENT_MAX);
	ck_assert(loop != NULL && content != NULL);
	outlet_init(&out, REQUEST_OUT_MAX);
	start(RESPONSE_NORMAL);
}

static void teardown(void)
{
	stop();
	outlet_fini(&out);
	free(content);
	loop_free(&loop);
}

static void say_bytes(const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(script, bytes, len);

		ck_assert_int_gt(n, 0);
		bytes += n;
		len -= (size_t)n;
	}
}

static void say(const char *text)
{
	say_bytes(text, strlen(text));
}

static void turn(void)
{
	ck_assert_int_eq(loop_turn(loop, 0), 0);
}

/* Takes the records out, as the connection's socket does. */
static void take_records(void)
{
	while (buf_len(&out.records) > 0) {
		const unsigned char *at = buf_bytes(&out.records);
		size_t len = (size_t)(at[4] << 8 | at[5]);

		ck_assert_uint_ge(buf_len(&out.records), record_size(len));
		ck_assert_mem_eq(at, "\1\6\0\7", 4);
		ck_assert_uint_gt(len, 0); /* an empty one would end the stream */
		ck_assert_uint_le(content_len + len, CONTENT_MAX);
		memcpy(content + content_len, at + 8, len);
		content_len += len;
		first_len = records++ == 0 ? len : first_len;
		buf_consume(&out.records, record_size(len));
	}
}

static bool has_ended(void *context)
{
	(void)context;
	take_records();
	relay_resume(&relay);
	return relay.state == RELAY_ENDED || relay.state >= RELAY_FAULT;
}

static void finish(void)
{
	close_script();
	ck_assert(turn_until(loop, has_ended, NULL));
	take_records();
}

static void expect(const char *text)
{
	ck_assert_uint_eq(content_len, strlen(text));
	ck_assert_mem_eq(content, text, content_len);
	ck_assert_uint_eq(relay.sent, content_len);
}

#define ANSWER "Content-Type: text/plain\r\n\r\n"

START_TEST(headers_and_the_body_that_came_with_them_are_one_record)
{
	say("Content-Type: text/plain\n\nhello");
	turn();
	ck_assert_int_eq(relay.state, RELAY_BODY);
	ck_assert_int_eq(moves, 1);
	take_records();
	ck_assert_int_eq(records, 1);
	expect(ANSWER "hello");
	finish();
	ck_assert_int_eq(relay.state, RELAY_ENDED);
	ck_assert_int_eq(records, 1);
}
END_TEST

START_TEST(each_read_goes_on_at_once)
{
	say("Content-Type: text/plain\n\n");
	turn();
	for (int i = 0; i < 5; i++) {
		say("tick\n");
		turn();
		take_records();
		ck_assert_int_eq(records, i + 2);
	}
	finish();
	expect(ANSWER "tick\ntick\ntick\ntick\ntick\n");
}
END_TEST

START_TEST(headers_go_out_whole_however_they_come)
{
	static const char raw[] = "Content-Type: text/plain\r\nX: 1\r\n\r\nbody";
	static const char head[] = "Content-Type: text/plain\r\nX: 1\r\n\r\n";
	size_t whole = strlen(raw) - 4;

	for (size_t cut = 1; cut < strlen(raw); cut++) {
		stop();
		start(RESPONSE_NORMAL);
		say_bytes(raw, cut);
		turn();
		ck_assert_int_eq(relay.state, cut < whole ? RELAY_HEAD : RELAY_BODY);
		ck_assert_int_eq(buf_len(&out.records) == 0, cut < whole);
		say(raw + cut);
		turn();
		finish();
		ck_assert_uint_ge(first_len, strlen(head));
		ck_assert_uint_eq(content_len, strlen(head) + 4);
		ck_assert_mem_eq(content, head, strlen(head));
		ck_assert_mem_eq(content + strlen(head), "body", 4);
	}
}
END_TEST

START_TEST(byte_by_byte_is_the_same)
{
	static const char raw[] = "Content-Type: text/plain\n\nbody";

	for (size_t at = 0; at < strlen(raw); at++) {
		say_bytes(raw + at, 1);
		turn();
	}
	finish();
	expect(ANSWER "body");
	ck_assert_uint_eq(first_len, strlen(ANSWER));
}
END_TEST

/* Says a header block of nearly `size` bytes; its length. */
static size_t say_large_headers(size_t size)
{
	static char block[RESPONSE_HEAD_MAX];
	size_t len;

	strcpy(block, "Content-Type: text/plain\n");
	for (len = strlen(block); len + 4 < size; len += 3)
		memcpy(block + len, "a:\n", 3);
	block[len++] = '\n';
	say_bytes(block, len);
	return len;
}

START_TEST(large_headers_are_one_record)
{
	size_t len = say_large_headers(48 * 1024); /* in normal form, just less than a record holds */

	turn_for(loop, 5); /* several reads */
	ck_assert_int_eq(relay.state, RELAY_BODY);
	take_records();
	ck_assert_int_eq(records, 1);
	ck_assert_uint_gt(content_len, len);
	finish();
}
END_TEST

START_TEST(headers_that_no_record_can_hold_are_a_fault)
{
	say_large_headers(RESPONSE_HEAD_MAX - 2);
	finish();
	ck_assert_int_eq(relay.state, RELAY_FAULT_ENDED);
	ck_assert_ptr_nonnull(strstr(relay_fault(&relay), "64 KiB"));
	ck_assert_uint_eq(content_len, 0);
}
END_TEST

/* ---- the first record, without a copy ----------------------------------------------------- */

/* A client; what it gets goes through take_bytes(). */
static int connect_client(void)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert(sys_nonblock(fds[0]) == 0 && sys_nonblock(fds[1]) == 0);
	out.socket = fds[1];
	return fds[0];
}

static void disconnect_client(int client)
{
	close(client);
	close(out.socket);
	out.socket = -1;
}

/* Flushes, and takes what the client got for records in `out`. */
static void receive(int client)
{
	static unsigned char bytes[200 * 1024];
	size_t len = 0;
	ssize_t n;

	do {
		ck_assert_int_eq(outlet_flush(&out), 0);
		n = read(client, bytes + len, sizeof bytes - len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || outlet_waiting(&out) > 0);
	ck_assert_int_eq(buf_append(&out.records, bytes, len), 0);
	take_records();
}

START_TEST(a_large_first_record_is_lent_and_sent_with_what_follows)
{
	static const char *const heads[] = {"Content-Type: a\r\n\r\n", "Content-Type: a\n\n"};
	static char body[9000];

	memset(body, 'b', sizeof body);
	for (size_t i = 0; i < 2; i++) {
		int client;

		stop();
		start(RESPONSE_NORMAL);
		client = connect_client();
		say(heads[i]);
		say_bytes(body, sizeof body);
		turn();
		ck_assert_ptr_eq(scratch.borrower, &out);
		ck_assert_uint_eq(buf_len(&out.records), 0); /* it has not been copied */
		ck_assert_uint_ge(outlet_waiting(&out), sizeof body);
		ck_assert_int_eq(record_put(&out.records, FCGI_STDOUT, 7, "end", 3), 0);
		receive(client);
		ck_assert_ptr_null(scratch.borrower);
		ck_assert_int_eq(records, 2);
		ck_assert_uint_eq(first_len, strlen(heads[0]) + sizeof body);
		ck_assert_mem_eq(content, heads[0], strlen(heads[0]));
		ck_assert_mem_eq(content + first_len, "end", 3);
		disconnect_client(client);
	}
}
END_TEST

START_TEST(a_lent_record_is_kept_when_its_memory_is_needed)
{
	static char body[9000];
	int client = connect_client();
	struct relay other;
	struct outlet others_out;
	int fds[2];

	memset(body, 'b', sizeof body);
	outlet_init(&others_out, REQUEST_OUT_MAX);
	ck_assert_int_eq(sys_pipe(fds, SYS_PIPE_READ), 0);
	relay_init(&other, &(struct relay_plan){.loop = loop, .scratch = &scratch,
			       .out = &others_out, .id = 9, .moved = on_others_moved});
	ck_assert_int_eq(relay_attach(&other, fds[0]), 0);
	say("Content-Type: a\n\n");
	say_bytes(body, sizeof body);
	turn();
	ck_assert_ptr_eq(scratch.borrower, &out);
	ck_assert_int_eq(write(fds[1], "Content-Type: other\n\n", 21), 21);
	turn();
	ck_assert_ptr_null(scratch.borrower);
	ck_assert_uint_gt(buf_len(&out.records), sizeof body);
	receive(client);
	ck_assert_uint_eq(first_len, strlen("Content-Type: a\r\n\r\n") + sizeof body);
	ck_assert_mem_eq(content, "Content-Type: a\r\n\r\nbbb", 22);
	relay_fini(&other);
	outlet_fini(&others_out);
	close(fds[1]);
	disconnect_client(client);
}
END_TEST

START_TEST(a_first_read_that_grows_past_a_record_is_two)
{
	static char bytes[RESPONSE_HEAD_MAX];
	size_t len = 0;

	for (; len < 30000; len += 3)
		memcpy(bytes + len, "a:\n", 3);
	len += (size_t)sprintf(bytes + len, "Status: 200\n\n");
	memset(bytes + len, 'b', sizeof bytes - len);
	say_bytes(bytes, sizeof bytes);
	turn();
	take_records();
	ck_assert_int_eq(records, 2);
	ck_assert_uint_eq(first_len, RELAY_MOVE);
	ck_assert_uint_eq(content_len, 10000 * 4 + strlen("Status: 200 OK\r\n\r\n") +
		sizeof bytes - len);
	ck_assert_int_eq(content[content_len - 1], 'b');
	ck_assert_uint_eq(relay.sent, content_len);
}
END_TEST

/* ---- faults ------------------------------------------------------------------------------- */

static const struct {
	const char *raw;
	const char *fault;
} faults[] = {
	{"", "nothing"},
	{"Content-Type: text/plain\n", "empty line"},
	{"no header\n\n", "Name: value"},
	{"\n", "Content-Type"},
	{"Status: x\n\nbody", "three digits"},
};

START_TEST(what_is_no_response_is_a_fault_and_nothing_goes_out)
{
	say(faults[_i].raw);
	finish();
	ck_assert_int_eq(relay.state, RELAY_FAULT_ENDED);
	ck_assert_msg(strstr(relay_fault(&relay), faults[_i].fault) != NULL, "%s",
	    relay_fault(&relay));
	ck_assert_uint_eq(content_len, 0);
	ck_assert_uint_eq(relay.sent, 0);
	ck_assert_int_eq(relay.pipe.fd, -1);
}
END_TEST

START_TEST(endless_headers_are_a_fault)
{
	static char block[RESPONSE_HEAD_MAX + 10];

	memset(block, 'x', sizeof block);
	memcpy(block, "X: ", 3);
	say_bytes(block, 32 * 1024);
	turn();
	say_bytes(block + 32 * 1024, sizeof block - 32 * 1024);
	ck_assert(turn_until(loop, has_ended, NULL));
	ck_assert_int_eq(relay.state, RELAY_FAULT);
	ck_assert_uint_ge(buf_len(&relay.head), RESPONSE_START_MAX);
	ck_assert_ptr_nonnull(strstr(relay_fault(&relay), "64 KiB"));
	ck_assert_uint_eq(buf_len(&out.records), 0);
}
END_TEST

START_TEST(no_memory_for_the_header_block_is_not_a_fault_of_the_script)
{
	outlet_fini(&out);
	outlet_init(&out, 20);
	say("Content-Type: text/plain\n\n");
	turn();
	ck_assert_int_eq(relay.state, RELAY_STARVED);
	ck_assert_int_eq(relay.pipe.fd, -1);
	ck_assert_uint_eq(relay.sent, 0);
}
END_TEST

START_TEST(nor_is_no_memory_for_the_body)
{
	outlet_fini(&out);
	outlet_init(&out, 1000);
	say("Content-Type: text/plain\n\n");
	turn();
	ck_assert_int_eq(relay.state, RELAY_BODY);
	say("more");
	turn();
	ck_assert_int_eq(relay.state, RELAY_STARVED);
}
END_TEST

/* ---- bodies -------------------------------------------------------------------------------- */

START_TEST(a_dropped_body_is_read_and_goes_nowhere)
{
	stop();
	start(RESPONSE_NO_BODY);
	say("Content-Type: text/plain\n\nbody");
	turn();
	say("more body");
	turn();
	finish();
	expect(ANSWER);
	ck_assert_int_eq(records, 1);
	ck_assert_int_eq(relay.state, RELAY_ENDED);
}
END_TEST

START_TEST(a_body_is_cut_at_its_length)
{
	say("Content-Type: text/plain\nContent-Length: 4\n\nab");
	turn();
	say("cdef");
	turn();
	say("ghi");
	turn();
	finish();
	expect("Content-Type: text/plain\r\nContent-Length: 4\r\n\r\nabcd");
	ck_assert(!response_is_short(&relay.response));
}
END_TEST

START_TEST(a_chunked_body_of_an_nph_script_is_decoded)
{
	say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n");
	turn();
	say("abc\r\n2\r");
	turn();
	say("\nde\r\n0\r\n\r\n");
	turn();
	finish();
	expect("Status: 200 OK\r\n\r\nabcde");
}
END_TEST

/* ---- authorizers ------------------------------------------------------------------------------ */

START_TEST(a_refusing_authorizers_body_goes_with_its_headers)
{
	stop();
	start(RESPONSE_AUTHORIZER);
	say("Status: 403 No\n\n");
	turn();
	ck_assert_uint_eq(buf_len(&out.records), 0);
	say("because");
	turn();
	ck_assert_uint_eq(buf_len(&out.records), 0);
	finish();
	ck_assert_int_eq(records, 1);
	expect("Status: 403 No\r\n\r\nbecause");
	ck_assert_int_eq(relay.state, RELAY_ENDED);
}
END_TEST

START_TEST(a_refusing_authorizers_long_body_is_not_waited_for)
{
	static char body[RELAY_AUTHORIZER_BODY + 1000];

	memset(body, 'b', sizeof body);
	stop();
	start(RESPONSE_AUTHORIZER);
	say("Status: 403 No\n\n");
	say_bytes(body, sizeof body);
	turn_for(loop, 5);
	take_records();
	ck_assert_uint_ge(first_len, RELAY_AUTHORIZER_BODY);
	finish();
	ck_assert_uint_eq(content_len, sizeof body + strlen("Status: 403 No\r\n\r\n"));
}
END_TEST

START_TEST(a_granting_authorizer_does_not_wait)
{
	stop();
	start(RESPONSE_AUTHORIZER);
	say("Content-Type: text/plain\nVariable-A: b\n\n");
	turn();
	take_records();
	expect("Status: 200 OK\r\nVariable-A: b\r\n\r\n");
	say("body");
	turn();
	finish();
	expect("Status: 200 OK\r\nVariable-A: b\r\n\r\n");
}
END_TEST

/* ---- back-pressure --------------------------------------------------------------------------------- */

/* Writes as much as the pipe takes. */
static size_t say_much(char fill)
{
	static char bytes[8192];
	size_t len = 0;
	ssize_t n;

	memset(bytes, fill, sizeof bytes);
	while ((n = write(script, bytes, sizeof bytes)) > 0)
		len += (size_t)n;
	ck_assert_int_eq(errno, EAGAIN);
	return len;
}

START_TEST(a_slow_client_stops_the_script_and_not_the_bridge)
{
	size_t said = 0;
	size_t more;
	int turns = 0;

	say("Content-Type: text/plain\n\n");
	do {
		more = say_much('a');
		said += more;
		turn_for(loop, 2);
		ck_assert_uint_le(buf_len(&out.records), REQUEST_OUT_MAX);
		ck_assert_int_lt(++turns, 100);
	} while (more > 0);
	ck_assert(!relay_has_room(&relay));
	ck_assert(relay_is_paused(&relay));
	ck_assert_uint_lt(said, 1 << 20);
	turns = moves;
	turn_for(loop, 5);
	ck_assert_int_eq(moves, turns); /* it does not spin */
	relay_resume(&relay); /* no room yet: nothing */
	ck_assert(relay_is_paused(&relay));
	take_records();
	relay_resume(&relay);
	ck_assert(!relay_is_paused(&relay));
	ck_assert_int_gt(moves, turns);
	finish();
	ck_assert_uint_eq(content_len, strlen(ANSWER) + said);
}
END_TEST

START_TEST(much_comes_through_whole)
{
	size_t said = 0;

	say("Content-Type: text/plain\n\n");
	while (said < 1500000) {
		said += say_much((char)('a' + said % 7));
		turn();
		take_records();
		relay_resume(&relay);
	}
	finish();
	ck_assert_uint_eq(content_len, strlen(ANSWER) + said);
	ck_assert_uint_eq(relay.sent, content_len);
}
END_TEST

/* ---- moving ------------------------------------------------------------------------------------------- */

static int client = -1; /* the other end of the socket that `out` has */

static void open_client(void)
{
	static const int signals[] = {0};
	int fds[2];

	signals_keep();
	ck_assert_int_eq(loop_signals(loop, signals, NULL, NULL), 0); /* blocks SIGPIPE */
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert(sys_nonblock(fds[0]) == 0 && sys_nonblock(fds[1]) == 0);
	client = fds[0];
	out.socket = fds[1];
}

static void close_client(void)
{
	close(client);
	close(out.socket);
	out.socket = -1;
	signals_restore();
}

/* The client reads; whole records are taken from its bytes. */
static void client_reads(void)
{
	static struct buf in = {.max = 1 << 20};
	struct outlet socket = out;
	ssize_t n;

	do {
		unsigned char *to = buf_reserve(&in, 65536);

		ck_assert_ptr_nonnull(to);
		n = read(client, to, 65536);
		if (n > 0)
			buf_commit(&in, (size_t)n);
	} while (n > 0);
	while (buf_len(&in) >= 8 &&
	    buf_len(&in) >= record_size((size_t)(buf_bytes(&in)[4] << 8 | buf_bytes(&in)[5]))) {
		size_t size = record_size((size_t)(buf_bytes(&in)[4] << 8 | buf_bytes(&in)[5]));
		unsigned char *to;

		buf_init(&out.records, 1 << 20);
		to = buf_reserve(&out.records, size);
		memcpy(to, buf_bytes(&in), size);
		buf_commit(&out.records, size);
		buf_consume(&in, size);
		take_records();
		buf_fini(&out.records);
	}
	out.records = socket.records;
	buf_release(&in);
}

/* Lets the socket take what waits, as the connection does. */
static void flush(void)
{
	ck_assert_int_eq(outlet_flush(&out), 0);
	client_reads();
	relay_resume(&relay);
}

static bool has_all(void *context)
{
	flush();
	return content_len >= *(size_t *)context;
}

/* The script writes `head` and then much, so that moving begins; how much in all. */
static size_t write_much(const char *head)
{
	size_t said = 0;

	say(head);
	while (relay.splice == SPLICE_COPIED && said < 500000) {
		said += say_much((char)('a' + said / 8192 % 26));
		turn();
		if (!relay_is_paused(&relay))
			flush();
	}
	return said;
}

START_TEST(much_output_is_moved_and_comes_whole)
{
	size_t said;

	open_client();
	said = write_much("Content-Type: text/plain\n\n");
	for (int i = 0; i < 5; i++) {
		said += say_much('z');
		turn();
		flush();
	}
	said += strlen(ANSWER);
	ck_assert(turn_until(loop, has_all, &said));
	close_script();
	turn_for(loop, 5);
	flush();
	ck_assert_int_eq(relay.state, RELAY_ENDED);
	ck_assert_uint_eq(content_len, said);
	ck_assert_uint_eq(relay.sent, said);
	close_client();
}
END_TEST

START_TEST(moved_output_is_cut_at_its_length)
{
	size_t said;
	size_t length = 200003 + strlen(ANSWER "Content-Length: 200003\r\n");

	open_client();
	said = write_much("Content-Type: text/plain\nContent-Length: 200003\n\n");
	while (said < 400000) {
		said += say_much('z');
		turn();
		flush();
	}
	close_script();
	ck_assert(turn_until(loop, has_all, &length));
	ck_assert(turn_until(loop, has_ended, NULL));
	ck_assert_int_eq(relay.state, RELAY_ENDED);
	ck_assert_uint_eq(content_len, length);
	ck_assert(!response_is_short(&relay.response));
	close_client();
}
END_TEST

START_TEST(a_client_that_does_not_read_stops_moving)
{
	size_t said;
	size_t more;
	int turns = 0;

	open_client();
	said = write_much("Content-Type: text/plain\n\n");
	do {
		more = say_much('z');
		said += more;
		turn();
		ck_assert_int_eq(outlet_flush(&out), 0);
		relay_resume(&relay);
		ck_assert_int_lt(++turns, 1000);
	} while (more > 0 || turns < 50);
	ck_assert(!relay_has_room(&relay));
	ck_assert(!relay_is_silent(&relay));
	ck_assert_uint_lt(said, 2 << 20);
	turns = moves;
	turn_for(loop, 5);
	ck_assert_int_eq(moves, turns); /* it does not spin */
	ck_assert_uint_le(outlet_waiting(&out), REQUEST_OUT_MAX);
	/* stopped now, what is on its way goes out whole */
	relay_stop(&relay);
	ck_assert_uint_eq(out.left, 0);
	ck_assert_int_eq(relay.state, RELAY_ENDED);
	while (outlet_waiting(&out) > 0)
		flush();
	client_reads();
	ck_assert_uint_eq(content_len, relay.sent);
	close_client();
}
END_TEST

START_TEST(what_is_on_its_way_stays_behind_when_the_relay_goes_elsewhere)
{
	struct outlet other;

	open_client();
	write_much("Content-Type: text/plain\n\n");
	for (int i = 0; i < 50; i++) {
		say_much('z');
		turn();
		ck_assert_int_eq(outlet_flush(&out), 0);
		relay_resume(&relay);
	}
	outlet_init(&other, REQUEST_OUT_MAX);
	relay_redirect(&relay, &other);
	ck_assert_uint_eq(out.left, 0);
	while (outlet_waiting(&out) > 0) {
		ck_assert_int_eq(outlet_flush(&out), 0);
		client_reads();
	}
	client_reads();
	ck_assert_uint_eq(content_len, relay.sent);
	relay_resume(&relay);
	ck_assert_uint_gt(buf_len(&other.records), 0);
	relay_redirect(&relay, &out);
	outlet_fini(&other);
	close_client();
}
END_TEST

START_TEST(resuming_what_is_not_paused_is_nothing)
{
	relay_resume(&relay);
	ck_assert_int_eq(moves, 0);
	say("Content-Type: text/plain\n\n");
	relay_resume(&relay);
	ck_assert_int_eq(moves, 0);
	ck_assert_int_eq(relay.state, RELAY_HEAD);
}
END_TEST

/* ---- holding ----------------------------------------------------------------------------------------- */

START_TEST(a_held_response_is_kept_until_it_is_let_go)
{
	relay_hold(&relay);
	say("Content-Type: text/plain\n\nhello");
	turn();
	say(" world");
	turn();
	ck_assert_int_eq(relay.state, RELAY_HELD);
	ck_assert_uint_eq(buf_len(&out.records), 0);
	moves = 0;
	relay_let_go(&relay);
	ck_assert_int_eq(relay.state, RELAY_BODY);
	ck_assert_int_ge(moves, 1);
	take_records();
	ck_assert_int_eq(records, 1);
	expect(ANSWER "hello world");
	say("!");
	turn();
	finish();
	expect(ANSWER "hello world!");
}
END_TEST

START_TEST(a_held_response_waits_for_room)
{
	unsigned char *others;

	relay_hold(&relay);
	say("Content-Type: text/plain\n\nhello");
	turn();
	close_script();
	turn();
	others = record_open(&out.records, FCGI_MAX_CONTENT);
	ck_assert_ptr_nonnull(others);
	memset(others, 'o', FCGI_MAX_CONTENT);
	record_close(&out.records, FCGI_STDOUT, 99, RELAY_HIGH - FCGI_HEADER_LEN);
	relay_let_go(&relay);
	ck_assert_int_eq(relay.state, RELAY_HELD_ENDED);
	buf_consume(&out.records, RELAY_HIGH);
	relay_let_go(&relay);
	ck_assert_int_eq(relay.state, RELAY_ENDED);
	take_records();
	expect(ANSWER "hello");
}
END_TEST

START_TEST(a_held_response_that_has_ended_goes_out_whole)
{
	relay_hold(&relay);
	say("Content-Type: text/plain\n\nhello");
	turn();
	close_script();
	turn();
	ck_assert_int_eq(relay.state, RELAY_HELD_ENDED);
	relay_let_go(&relay);
	ck_assert_int_eq(relay.state, RELAY_ENDED);
	take_records();
	expect(ANSWER "hello");
}
END_TEST

START_TEST(a_held_response_stops_the_script_when_it_is_large)
{
	size_t said = 0;
	size_t more;

	relay_hold(&relay);
	say("Content-Type: text/plain\n\n");
	do {
		more = say_much('a');
		said += more;
		turn_for(loop, 2);
	} while (more > 0);
	ck_assert_uint_eq(buf_len(&out.records), 0);
	ck_assert(!relay_has_room(&relay));
	moves = 0;
	turn_for(loop, 5);
	ck_assert_int_eq(moves, 0); /* it does not spin */
	relay_resume(&relay);
	ck_assert_int_eq(relay.state, RELAY_HELD);
	relay_let_go(&relay);
	finish();
	ck_assert_uint_eq(content_len, strlen(ANSWER) + said);
}
END_TEST

START_TEST(a_fault_is_known_though_it_is_held)
{
	relay_hold(&relay);
	say("no header\n\n");
	turn();
	ck_assert_int_eq(relay.state, RELAY_FAULT);
	relay_let_go(&relay);
	ck_assert_int_eq(relay.state, RELAY_FAULT);
}
END_TEST

START_TEST(letting_go_before_anything_has_come_is_nothing)
{
	relay_let_go(&relay); /* not held */
	ck_assert_int_eq(moves, 0);
	relay_hold(&relay);
	relay_let_go(&relay);
	ck_assert_int_eq(relay.state, RELAY_HEAD);
	say("Content-Type: text/plain\n\n");
	turn();
	finish();
	expect(ANSWER);
}
END_TEST

/* ---- stopping ---------------------------------------------------------------------------------------- */

START_TEST(stopping_ends_the_response_where_it_is)
{
	say("Content-Type: text/plain\n\nhalf");
	turn();
	relay_stop(&relay);
	ck_assert_int_eq(relay.state, RELAY_ENDED);
	ck_assert_int_eq(relay.pipe.fd, -1);
	relay_stop(&relay);
	take_records();
	expect(ANSWER "half");
}
END_TEST

START_TEST(stopping_before_the_headers_is_a_fault)
{
	say("Content-Type: text/plain\n");
	turn();
	relay_stop(&relay);
	ck_assert_int_eq(relay.state, RELAY_FAULT_ENDED);
	ck_assert_ptr_nonnull(relay_fault(&relay));
}
END_TEST

START_TEST(stopping_an_authorizer_sends_what_it_has_said)
{
	stop();
	start(RESPONSE_AUTHORIZER);
	say("Status: 403 No\n\nbecause");
	turn();
	relay_stop(&relay);
	ck_assert_int_eq(relay.state, RELAY_ENDED);
	take_records();
	expect("Status: 403 No\r\n\r\nbecause");
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, headers_and_the_body_that_came_with_them_are_one_record);
	tcase_add_test(tcase, each_read_goes_on_at_once);
	tcase_add_test(tcase, headers_go_out_whole_however_they_come);
	tcase_add_test(tcase, byte_by_byte_is_the_same);
	tcase_add_test(tcase, large_headers_are_one_record);
	tcase_add_test(tcase, headers_that_no_record_can_hold_are_a_fault);
	tcase_add_test(tcase, a_large_first_record_is_lent_and_sent_with_what_follows);
	tcase_add_test(tcase, a_lent_record_is_kept_when_its_memory_is_needed);
	tcase_add_test(tcase, a_first_read_that_grows_past_a_record_is_two);
	tcase_add_loop_test(tcase, what_is_no_response_is_a_fault_and_nothing_goes_out, 0,
	    sizeof faults / sizeof *faults);
	tcase_add_test(tcase, endless_headers_are_a_fault);
	tcase_add_test(tcase, no_memory_for_the_header_block_is_not_a_fault_of_the_script);
	tcase_add_test(tcase, nor_is_no_memory_for_the_body);
	tcase_add_test(tcase, a_dropped_body_is_read_and_goes_nowhere);
	tcase_add_test(tcase, a_body_is_cut_at_its_length);
	tcase_add_test(tcase, a_chunked_body_of_an_nph_script_is_decoded);
	tcase_add_test(tcase, a_refusing_authorizers_body_goes_with_its_headers);
	tcase_add_test(tcase, a_refusing_authorizers_long_body_is_not_waited_for);
	tcase_add_test(tcase, a_granting_authorizer_does_not_wait);
	tcase_add_test(tcase, a_slow_client_stops_the_script_and_not_the_bridge);
	tcase_add_test(tcase, much_comes_through_whole);
	tcase_add_test(tcase, much_output_is_moved_and_comes_whole);
	tcase_add_test(tcase, moved_output_is_cut_at_its_length);
	tcase_add_test(tcase, a_client_that_does_not_read_stops_moving);
	tcase_add_test(tcase, what_is_on_its_way_stays_behind_when_the_relay_goes_elsewhere);
	tcase_add_test(tcase, resuming_what_is_not_paused_is_nothing);
	tcase_add_test(tcase, a_held_response_is_kept_until_it_is_let_go);
	tcase_add_test(tcase, a_held_response_waits_for_room);
	tcase_add_test(tcase, a_held_response_that_has_ended_goes_out_whole);
	tcase_add_test(tcase, a_held_response_stops_the_script_when_it_is_large);
	tcase_add_test(tcase, a_fault_is_known_though_it_is_held);
	tcase_add_test(tcase, letting_go_before_anything_has_come_is_nothing);
	tcase_add_test(tcase, stopping_ends_the_response_where_it_is);
	tcase_add_test(tcase, stopping_before_the_headers_is_a_fault);
	tcase_add_test(tcase, stopping_an_authorizer_sends_what_it_has_said);
}

int main(void)
{
	return check_main("relay", add);
}
