/* SPDX-License-Identifier: ISC */
/*
 * load: a FastCGI client that costs little.  One process, one epoll, N connections,
 * a request at a time on each; bodies come from one buffer, answers are counted.
 *
 *   load [OPTION]... SOCKET SCRIPT       see usage() for the options
 *
 * Prints one line of JSON.  An answer is good if it ends with END_REQUEST and status
 * 0, is no Status 3xx, 4xx or 5xx, and is as long as -e says; what is not good counts
 * in "errors", a request without its answer after a silence of -w seconds in "starved".
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "base/buf.h"
#include "fcgi/fcgi.h"
#include "fcgi/record.h"

enum {
	BATCH = 64,             /* events taken at once */
	READ_SIZE = 256 * 1024,
	CONTENT = 65528,        /* of a STDIN record: whole multiples of 8 */
	RECORD = CONTENT + FCGI_HEADER_LEN,
	RING = 4,               /* equal STDIN records in a row: the body's source */
	TEXT = 160,             /* kept of an answer */
	TALLY = 64,             /* different last lines that are counted */
};

struct conn {
	int fd;              /* -1: to be opened */
	bool busy;           /* a request has begun */
	bool wants_out;      /* registered for writing too */
	uint64_t sent;       /* bytes of the request */
	uint64_t got;        /* bytes of the answer */
	int64_t begun;
	struct fcgi_reader reader;
	unsigned char end[FCGI_BODY_LEN];
	size_t end_len;
	char text[TEXT];     /* the answer's beginning */
	size_t text_len;
};

struct tally {
	char text[32];
	uint64_t count;
};

/* What was asked for. */
static struct {
	bool keep, aside, tally;
	size_t conns;
	uint64_t requests; /* or: */
	double seconds;
	uint64_t body, expected, rate;
	int64_t silence; /* ns */
	const char *query, *extra, *path, *script;
} ask = {.conns = 1, .silence = 30000000000, .query = ""};

/* The bytes of a request: `head`, `full` records out of `ring`, `tail`. */
static struct {
	struct buf head, tail;
	unsigned char *ring;
	uint64_t full;
} wire;

/* What came of it. */
static struct {
	uint64_t begun, good, errors, bytes;
	int64_t first, last;
	struct bench_times times;
	struct tally tally[TALLY];
} result;

static int epoll;
static size_t busy, unopened;
static unsigned char input[READ_SIZE];

/* ---- the bytes of a request ------------------------------------------------------- */

static void put(struct buf *to, enum fcgi_type type, const void *content, size_t len)
{
	if (record_put(to, type, 1, content, len) != 0)
		bench_die("request");
}

static void put_param(struct buf *to, const char *text)
{
	const char *value = strchr(text, '=') + 1;
	struct fcgi_pair pair = {(const unsigned char *)text, (size_t)(value - text) - 1,
	    (const unsigned char *)value, strlen(value)};
	unsigned char *room = buf_reserve(to, fcgi_pair_size(pair.name_len, pair.value_len));

	if (room == NULL)
		bench_die("parameters");
	buf_commit(to, fcgi_put_pair(room, &pair));
}

static void make_head(void)
{
	unsigned char begin[FCGI_BODY_LEN];
	char **env = bench_params(ask.script, ask.query, ask.body);
	struct buf params;

	buf_init(&params, FCGI_MAX_CONTENT);
	while (*env != NULL)
		put_param(&params, *env++);
	if (ask.extra != NULL)
		put_param(&params, ask.extra);
	fcgi_put_begin(begin, FCGI_RESPONDER, ask.keep || ask.aside ? FCGI_KEEP_CONN : 0);
	buf_init(&wire.head, 2 * FCGI_MAX_CONTENT);
	put(&wire.head, FCGI_BEGIN_REQUEST, begin, sizeof begin);
	put(&wire.head, FCGI_PARAMS, buf_bytes(&params), buf_len(&params));
	put(&wire.head, FCGI_PARAMS, NULL, 0);
	buf_fini(&params);
}

static void make_body(void)
{
	size_t rest = (size_t)(ask.body % CONTENT);

	wire.full = ask.body / CONTENT;
	wire.ring = calloc(RING, RECORD);
	if (wire.ring == NULL)
		bench_die("calloc");
	for (size_t i = 0; i < RING; i++)
		fcgi_put_header(wire.ring + i * RECORD, FCGI_STDIN, 1, CONTENT, 0);
	buf_init(&wire.tail, 2 * FCGI_MAX_CONTENT);
	if (rest > 0)
		put(&wire.tail, FCGI_STDIN, wire.ring + FCGI_HEADER_LEN, rest);
	put(ask.body > 0 ? &wire.tail : &wire.head, FCGI_STDIN, NULL, 0);
}

/* What comes next of a request of which `sent` bytes are gone: 0 at the end. */
static size_t next_bytes(uint64_t sent, const unsigned char **bytes)
{
	uint64_t head = buf_len(&wire.head);
	uint64_t full = wire.full * RECORD;
	uint64_t left;

	if (sent < head) {
		*bytes = buf_bytes(&wire.head) + sent;
		return (size_t)(head - sent);
	}
	sent -= head;
	if (sent < full) {
		uint64_t offset = sent % RECORD;

		*bytes = wire.ring + offset;
		left = full - sent;
		return left < RING * RECORD - offset ? (size_t)left : (size_t)(RING * RECORD - offset);
	}
	sent -= full;
	*bytes = ask.body > 0 ? buf_bytes(&wire.tail) + sent : NULL;
	return buf_len(&wire.tail) - (size_t)sent;
}

/* ---- connections ------------------------------------------------------------------ */

/* Whether another request is to be made. */
static bool goes_on(int64_t now)
{
	if (ask.seconds > 0)
		return (double)(now - result.first) < ask.seconds * 1e9;
	return result.begun < ask.requests;
}

static void hang_up(struct conn *conn)
{
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
}

static void fail(struct conn *conn, const char *why)
{
	if (result.errors++ == 0)
		fprintf(stderr, "load: %s: %.*s\n", why, (int)conn->text_len, conn->text);
	hang_up(conn);
	conn->busy = false;
	busy--;
}

static void watch(struct conn *conn, int operation, bool out)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};

	if (out)
		event.events |= EPOLLOUT;
	if (epoll_ctl(epoll, operation, conn->fd, &event) != 0)
		bench_die("epoll_ctl");
	conn->wants_out = out;
}

/* False while the server's queue of connections is full: to be tried again. */
static bool open_conn(struct conn *conn)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof addr.sun_path, "%s", ask.path);
	conn->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (conn->fd < 0)
		bench_die("socket");
	if (connect(conn->fd, (struct sockaddr *)&addr, sizeof addr) == 0) {
		watch(conn, EPOLL_CTL_ADD, false);
		return true;
	}
	if (errno != EAGAIN)
		bench_die(ask.path);
	hang_up(conn);
	return false;
}

static void send_more(struct conn *conn)
{
	const unsigned char *bytes;
	size_t len;

	while ((len = next_bytes(conn->sent, &bytes)) > 0) {
		ssize_t n = send(conn->fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN) {
			fail(conn, "cannot send");
			return;
		}
		if (n < 0)
			break;
		conn->sent += (uint64_t)n;
	}
	if (conn->wants_out != (len > 0))
		watch(conn, EPOLL_CTL_MOD, len > 0);
}

static void begin(struct conn *conn, int64_t now)
{
	if (!goes_on(now)) {
		hang_up(conn);
		return;
	}
	result.begun++;
	busy++;
	conn->busy = true;
	conn->sent = conn->got = 0;
	conn->text_len = conn->end_len = 0;
	conn->begun = now;
	if (conn->fd >= 0 || open_conn(conn))
		send_more(conn);
	else
		unopened++;
}

/* ---- answers ---------------------------------------------------------------------- */

/* Counts the last line of an answer, which is short and ends with a newline. */
static void count_last_line(const struct conn *conn)
{
	size_t end = conn->text_len > 0 ? conn->text_len - 1 : 0;
	size_t start = end;
	size_t i = 0;
	char line[sizeof result.tally->text];

	while (start > 0 && conn->text[start - 1] != '\n')
		start--;
	snprintf(line, sizeof line, "%.*s", (int)(end - start), conn->text + start);
	while (i < TALLY - 1 && result.tally[i].count > 0 && strcmp(result.tally[i].text, line) != 0)
		i++;
	memcpy(result.tally[i].text, line, sizeof line);
	result.tally[i].count++;
}

static bool is_good(const struct conn *conn)
{
	uint32_t app;
	unsigned status;

	fcgi_get_end(conn->end, &app, &status);
	if (app != 0 || status != FCGI_REQUEST_COMPLETE || conn->got < ask.expected)
		return false;
	return conn->text_len > 9 &&
	    (strncmp(conn->text, "Status: ", 8) != 0 || conn->text[8] == '2');
}

/* Leaves the connection open, and forgets it. */
static void put_aside(struct conn *conn)
{
	epoll_ctl(epoll, EPOLL_CTL_DEL, conn->fd, NULL);
	conn->fd = -1;
}

static void end_request(struct conn *conn)
{
	int64_t now = bench_now();

	if (!is_good(conn)) {
		fail(conn, "bad answer");
		begin(conn, now);
		return;
	}
	result.good++;
	result.last = now;
	bench_add(&result.times, now - conn->begun);
	if (ask.tally)
		count_last_line(conn);
	conn->busy = false;
	busy--;
	if (ask.aside)
		put_aside(conn);
	else if (!ask.keep)
		hang_up(conn);
	begin(conn, now);
}

static void take_output(struct conn *conn, const struct fcgi_piece *piece)
{
	size_t room = TEXT - conn->text_len;
	size_t n = piece->len < room ? piece->len : room;

	if (n > 0)
		memcpy(conn->text + conn->text_len, piece->bytes, n);
	conn->text_len += n;
	conn->got += piece->len;
	result.bytes += piece->len;
}

/* Takes one piece; false when it ended the request, or the connection. */
static bool take_piece(struct conn *conn, const struct fcgi_piece *piece)
{
	if (piece->type == FCGI_STDOUT)
		take_output(conn, piece);
	if (piece->type != FCGI_END_REQUEST)
		return true;
	fcgi_collect(piece, conn->end, sizeof conn->end, &conn->end_len);
	if (!piece->last)
		return true;
	end_request(conn);
	return false;
}

static void parse(struct conn *conn, size_t len)
{
	size_t at = 0;

	while (at < len) {
		struct fcgi_piece piece;
		ssize_t n = fcgi_reader_next(&conn->reader, input + at, len - at, &piece);

		if (n < 0) {
			fail(conn, "no FastCGI");
			return;
		}
		at += (size_t)n;
		if ((piece.len > 0 || piece.last) && !take_piece(conn, &piece))
			return;
	}
}

/* A slow reader takes no more than its rate allows. */
static void hold_back(const struct conn *conn)
{
	int64_t due = conn->begun + (int64_t)((double)conn->got / (double)ask.rate * 1e9);
	int64_t wait = due - bench_now();
	struct timespec pause = {.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000};

	if (wait > 0)
		nanosleep(&pause, NULL);
}

static void receive(struct conn *conn)
{
	ssize_t n;

	if (ask.rate > 0)
		hold_back(conn);
	n = recv(conn->fd, input, ask.rate > 0 ? sizeof input / 4 : sizeof input, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && conn->busy)
		parse(conn, (size_t)n);
	else if (conn->busy)
		fail(conn, "closed without an answer");
	else
		hang_up(conn);
}

/* ---- the run ---------------------------------------------------------------------- */

static void open_waiting(struct conn *conns)
{
	for (size_t i = 0; unopened > 0 && i < ask.conns; i++) {
		if (conns[i].busy && conns[i].fd < 0) {
			if (!open_conn(&conns[i]))
				return;
			unopened--;
			send_more(&conns[i]);
		}
	}
}

static void take_events(const struct epoll_event *events, int found)
{
	for (int i = 0; i < found; i++) {
		struct conn *conn = events[i].data.ptr;

		if (conn->fd >= 0 && events[i].events & EPOLLOUT && conn->busy)
			send_more(conn);
		if (conn->fd >= 0 && events[i].events & ~(uint32_t)EPOLLOUT)
			receive(conn);
	}
}

static void run(struct conn *conns)
{
	struct epoll_event events[BATCH];
	int64_t heard = bench_now();

	result.first = result.last = heard;
	for (size_t i = 0; i < ask.conns; i++) {
		conns[i].fd = -1;
		begin(&conns[i], heard);
	}
	while (busy > 0 && bench_now() - heard < ask.silence) {
		int found = epoll_wait(epoll, events, BATCH, unopened > 0 ? 1 : 1000);

		if (found > 0) {
			heard = bench_now();
			take_events(events, found);
		}
		open_waiting(conns);
	}
}

/* User and system time of this process, in microseconds. */
static double cpu_us(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
	    (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static void report(void)
{
	double seconds = (double)(result.last - result.first) / 1e9;
	double good = (double)result.good;

	printf("{\"requests\":%llu,\"errors\":%llu,\"starved\":%zu,\"seconds\":%.6f",
	    (unsigned long long)result.good, (unsigned long long)result.errors, busy, seconds);
	printf(",\"bytes\":%llu", (unsigned long long)(result.bytes + result.good * ask.body));
	if (seconds > 0 && good > 0)
		printf(",\"per_s\":%.1f,\"mb_s\":%.1f,\"client_us\":%.1f", good / seconds,
		    ((double)result.bytes + good * (double)ask.body) / seconds / 1e6,
		    cpu_us() / good);
	bench_print_times(stdout, &result.times);
	if (ask.tally) {
		fputs(",\"tally\":{", stdout);
		for (size_t i = 0; i < TALLY && result.tally[i].count > 0; i++)
			printf("%s\"%s\":%llu", i == 0 ? "" : ",", result.tally[i].text,
			    (unsigned long long)result.tally[i].count);
		putchar('}');
	}
	puts("}");
	fflush(stdout);
}

/* ---- arguments -------------------------------------------------------------------- */

static _Noreturn void usage(void)
{
	fputs("usage: load [OPTION]... SOCKET SCRIPT\n"
	      "  -c N           connections (1)\n"
	      "  -n N           requests, or\n"
	      "  -t SECONDS     begin none after this time\n"
	      "  -k             connections are kept for the next request\n"
	      "  -i             connections are put aside, idle, after one request each; after\n"
	      "                 the last they stay open until the end of standard input\n"
	      "  -b BYTES       request body\n"
	      "  -e BYTES       the least that a good answer has (0)\n"
	      "  -r BYTES       read no more than so many a second (with -c 1)\n"
	      "  -q TEXT        QUERY_STRING\n"
	      "  -p NAME=VALUE  one parameter more\n"
	      "  -w SECONDS     give up after such a silence (30)\n"
	      "  -l             count the answers' last lines\n",
	    stderr);
	exit(2);
}

static void set_flag(int letter)
{
	if (letter == 'k')
		ask.keep = true;
	else if (letter == 'i')
		ask.aside = true;
	else if (letter == 'l')
		ask.tally = true;
	else
		usage();
}

static void set_option(int letter)
{
	switch (letter) {
	case 'c': ask.conns = (size_t)bench_number(optarg, 1000000); break;
	case 'n': ask.requests = bench_number(optarg, UINT32_MAX); break;
	case 't': ask.seconds = strtod(optarg, NULL); break;
	case 'b': ask.body = bench_number(optarg, UINT64_MAX); break;
	case 'e': ask.expected = bench_number(optarg, UINT64_MAX); break;
	case 'r': ask.rate = bench_number(optarg, UINT64_MAX); break;
	case 'q': ask.query = optarg; break;
	case 'p': ask.extra = optarg; break;
	case 'w': ask.silence = (int64_t)bench_number(optarg, 3600) * 1000000000; break;
	default: set_flag(letter);
	}
}

static void parse_arguments(int argc, char **argv)
{
	int letter;

	while ((letter = getopt(argc, argv, "c:n:t:kib:e:r:q:p:w:l")) != -1)
		set_option(letter);
	if (argc - optind != 2 || ask.conns == 0 || (ask.requests == 0) == !(ask.seconds > 0) ||
	    (ask.rate > 0 && ask.conns > 1) ||
	    (ask.extra != NULL && strchr(ask.extra, '=') == NULL))
		usage();
	ask.path = argv[optind];
	ask.script = argv[optind + 1];
}

int main(int argc, char **argv)
{
	struct conn *conns;
	char byte;

	parse_arguments(argc, argv);
	bench_raise_fds();
	make_head();
	make_body();
	conns = calloc(ask.conns, sizeof *conns);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (conns == NULL || epoll < 0)
		bench_die("start");
	run(conns);
	report();
	while (ask.aside && read(STDIN_FILENO, &byte, 1) > 0)
		;
	return result.errors == 0 && busy == 0 ? 0 : 1;
}
