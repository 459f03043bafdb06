/* SPDX-License-Identifier: ISC */
/*
 * fuzz_conn: one connection with its requests and their scripts, from the client's bytes to the
 * client's answer.  The input is a list of steps of the client, of the scripts and of time; all
 * records that come back are checked against what was asked:
 *
 *   - records are whole, of version 1, padded to 8, of types that a client may get;
 *   - none is for an id that is not active: none after END_REQUEST, none out of nothing;
 *   - the first STDOUT record has the whole header block, and an empty one precedes END_REQUEST;
 *   - STDOUT is what the script wrote, byte by byte;
 *   - a script's stdin is the body as the client sent it, as much as CONTENT_LENGTH says, and its
 *     environment is what RFC 3875 asks for, with the values that the client sent;
 *   - every management record is answered, by the answer that belongs to it and in the order of
 *     the questions, and none comes unasked for (but to nginx one may, in between);
 *   - a client that keeps to the rules gets exactly one END_REQUEST for each request, and its
 *     connection stays open exactly as long as it may still send (an id is known until its
 *     FCGI_STDIN has ended, whatever came first) or has asked for (FCGI_KEEP_CONN);
 *   - in the end nothing is left: no connection, request, script, slot, descriptor, and the
 *     access log has had a line for each request, with the status that the client got.
 *
 * The rules that a client may break, if it is a rogue, are the first byte's; see `enum step`.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge/conn.h"
#include "fcgi/record.h"
#include "fuzz.h"
#include "fuzz_bridge.h"
#include "fuzz_child.h"
#include "fuzz_text.h"

enum { IDS = 4, BEGINS = 64, STEPS = 300, SENT_MAX = 1 << 20, STEP_MS = 400, MANY = 1000 };

/* What an input does, in steps of one byte; arguments follow. */
enum step {
	BEGIN,         /* id, flags: 1 KEEP_CONN, 2 authorizer, 4 filter */
	PARAMS,        /* id, three bytes that choose parameters */
	PARAMS_RAW,    /* id, length, bytes */
	PARAMS_END,    /* id */
	STDIN,         /* id, length, bytes */
	STDIN_LARGE,   /* id, KiB */
	STDIN_END,     /* id */
	ABORT,         /* id */
	GET_VALUES,    /* length, bytes */
	UNKNOWN,       /* type: a management record; MANY of them from 200 on */
	OTHER,         /* id, type, length, bytes: a record that a client does not send */
	RAW,           /* length, bytes: no record at all, perhaps; rogues only */
	SEND,          /* so many of the bytes made so far */
	READ,          /* so many of the bytes that have come, times 64 */
	TURN,          /* the client sends and reads all, the bridge does what there is to do */
	WRITE,         /* script, length, bytes */
	WRITE_HEAD,    /* script, which */
	WRITE_LARGE,   /* script, KiB */
	COMPLAIN,      /* script, length, bytes: to stderr */
	READ_STDIN,    /* script */
	CLOSE_STDIN,   /* script */
	CLOSE_STDOUT,  /* script */
	EXIT,          /* script, status, flags: 1 stdout, 2 stderr stays open, 4 by a signal */
	WAIT,          /* which of some times */
	SHUT,          /* the client's side */
	HANG_UP,
	DRAIN,
	STOP,
	CLOSE_ALL,
	NO_SPAWN,      /* step, errno */
	FINISH,        /* script: a whole answer, and exit */
	STEPS_END
};

/* ---- the bridge ------------------------------------------------------------------------------ */

static size_t access_lines;
static struct {
	int status;
	uint32_t app_status;
	uint64_t in, out;
	bool found; /* the request that it is about */
} ends[BEGINS]; /* by access_lines */

/* In place of stats/accesslog.c. */
bool accesslog_is_open(void)
{
	return true;
}

void accesslog_write(const struct accesslog_entry *entry)
{
	char line[ACCESSLOG_LINE_MAX];

	for (int form = ACCESSLOG_TEXT; form <= ACCESSLOG_JSON; form++) {
		size_t len = accesslog_format((enum accesslog_form)form, entry, 0, line);

		fuzz_require(len > 1 && len <= sizeof line && line[len - 1] == '\n');
		fuzz_require(fuzz_is_text(line, len - 1));
		fuzz_require(form != ACCESSLOG_JSON || fuzz_is_json(line, len - 1));
	}
	fuzz_require(entry->duration >= 0);
	if (access_lines < BEGINS) {
		ends[access_lines].status = entry->status;
		ends[access_lines].app_status = entry->app_status;
		ends[access_lines].in = entry->in;
		ends[access_lines].out = entry->out;
		ends[access_lines].found = false;
	}
	access_lines++;
}

static void make_scripts(void)
{
	static const char text[] = "#!/bin/sh\n";
	char dir[256];

	fuzz_write_file("a.cgi", 0755, text, sizeof text - 1);
	fuzz_write_file("plain", 0644, text, sizeof text - 1);
	snprintf(dir, sizeof dir, "%s/spool", fuzz_dir());
	fuzz_require(mkdir(dir, 0700) == 0);
}

static void set_options(unsigned a, unsigned b)
{
	static char spool[256];

	snprintf(spool, sizeof spool, "%s/spool", fuzz_dir());
	options = (struct options){.workers = 1, .max_scripts = FUZZ_SLOTS,
	    .queue = a & 1 ? 2 : 0, .queue_timeout = 2000,
	    .linger = 100, .kill_delay = 50,
	    .timeout = a & 2 ? 3000 : 0, .idle_timeout = a & 4 ? 1500 : 0,
	    .slow_log = a & 8 ? 700 : 0,
	    .disconnect_grace = a & 16 ? 800 : 0,
	    .on_disconnect = a & 32 ? ON_DISCONNECT_IGNORE : ON_DISCONNECT_KILL,
	    .stderr_to = (int)(b % 3),
	    .error_detail = b & 4 ? 1 : 0, .strict_headers = b & 8 ? 1 : 0,
	    .query_args = 1,
	    .max_body = b & 16 ? 4096 : 1024 * 1024, .max_params = b & 32 ? 300 : 16 * 1024,
	    .spool_dir = spool,
	    .status_path = "/status", .ping_path = "/ping"};
}

/* ---- the client ------------------------------------------------------------------------------ */

/* One request, as the client sees it. */
struct asked {
	unsigned id;
	bool params_end, stdin_end; /* made: records that end them */
	bool aborted;
	bool any;                   /* it has had STDOUT */
	bool out_end;               /* the empty STDOUT */
	bool ended;
	bool may_differ;            /* what comes is not simply what its script wrote */
	struct buf written;         /* by its script */
	size_t seen;                /* how much of it has come back */
	struct buf body;            /* made: STDIN */
	size_t taken;               /* how much of it a script has read */
	int status;                 /* of the response, by its header block; 0: there was none */
	uint32_t app_status;        /* of END_REQUEST */
	uint64_t got;               /* bytes of STDOUT */
	bool raw;                   /* not all of its parameters are known */
	const char *method, *query, *software; /* that were sent last */
};

static struct {
	int fd;              /* -1: it has hung up */
	bool rogue;          /* may break rules */
	bool greedy;         /* reads whenever it can */
	bool last;           /* has begun a request without KEEP_CONN */
	bool shut, eof, gone; /* it has shut its side; has seen the bridge's end; could not send */
	bool aged;           /* time has passed, or the worker ends: much may be cut */
	bool marked;         /* it has been told that an answer is cut */
	bool cut;            /* an answer may have been cut, and its connection with it */
	struct buf out;      /* made, not sent */
	size_t sent, needed; /* bytes so far; up to the last record of a request's streams */
	struct buf in;       /* come, and no whole record yet */
	struct asked list[BEGINS];
	size_t count;
	struct asked *current[IDS]; /* the last one with this id */
	int begun[IDS], ended[IDS]; /* all with this id */
	struct buf questions;       /* management records that are not answered: a byte for each type */
} client;

static const uint16_t ids[IDS] = {1, 2, 300, 65535};

static bool is_active(const struct asked *asked)
{
	return asked != NULL && !asked->ended;
}

static int index_of(unsigned id)
{
	for (int i = 0; i < IDS; i++)
		if (ids[i] == id)
			return i;
	return -1;
}

/* An own page of the bridge, or a response that is changed on its way, starts otherwise. */
static void check_content(struct asked *asked, const unsigned char *bytes, size_t len)
{
	if (!asked->any && bytes[0] == 'S')
		asked->may_differ = true;
	if (asked->may_differ)
		return;
	fuzz_require(len <= buf_len(&asked->written) - asked->seen);
	fuzz_require(memcmp(bytes, buf_bytes(&asked->written) + asked->seen, len) == 0);
	asked->seen += len;
}

static bool has_block(const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i + 4 <= len; i++)
		if (memcmp(bytes + i, "\r\n\r\n", 4) == 0)
			return true;
	return false;
}

/* Of a header block in normal form: its Status line, if it has one, is first. */
static int status_of(const unsigned char *block)
{
	return memcmp(block, "Status: ", 8) == 0 ? atoi((const char *)block + 8) : 200;
}

static void handle_stdout(struct asked *asked, const unsigned char *bytes, size_t len)
{
	fuzz_require(!asked->out_end);
	if (len == 0) {
		asked->out_end = true;
		return;
	}
	fuzz_require(asked->any || has_block(bytes, len));
	if (!asked->any)
		asked->status = status_of(bytes);
	asked->got += len;
	check_content(asked, bytes, len);
	asked->any = true;
}

static void handle_end(struct asked *asked, const unsigned char *bytes, size_t len)
{
	uint32_t app_status;
	unsigned status;

	fuzz_require(len == FCGI_BODY_LEN && asked->out_end);
	fcgi_get_end(bytes, &app_status, &status);
	fuzz_require(status <= FCGI_UNKNOWN_ROLE && status != FCGI_CANT_MPX_CONN);
	asked->ended = true;
	asked->app_status = app_status;
}

/* Whether it answers the first question that is still open: these come in the client's order. */
static bool is_next_answer(unsigned type, const unsigned char *bytes)
{
	unsigned question;

	if (buf_len(&client.questions) == 0)
		return false;
	question = *buf_bytes(&client.questions);
	if (question == FCGI_GET_VALUES)
		return type == FCGI_GET_VALUES_RESULT;
	return type == FCGI_UNKNOWN_TYPE && bytes[0] == question;
}

/*
 * To nginx, a record that it has not asked for is the end of an answer that is cut.  It comes as
 * soon as that answer ends: questions that the bridge has not read by then are answered after it.
 */
static void handle_mark(unsigned type, const unsigned char *bytes)
{
	fuzz_require(type == FCGI_UNKNOWN_TYPE && bytes[0] == 0);
	fuzz_require((client.cut || client.aged) && !client.marked);
	client.marked = true;
}

static void handle_management(unsigned type, const unsigned char *bytes, size_t len)
{
	fuzz_require(type == FCGI_GET_VALUES_RESULT || type == FCGI_UNKNOWN_TYPE);
	fuzz_require(type != FCGI_UNKNOWN_TYPE || len == FCGI_BODY_LEN);
	if (client.rogue)
		return;
	if (is_next_answer(type, bytes))
		buf_consume(&client.questions, 1);
	else
		handle_mark(type, bytes);
}

static void handle_record(unsigned type, unsigned id, const unsigned char *bytes, size_t len)
{
	int at = index_of(id);
	struct asked *asked = at < 0 ? NULL : client.current[at];

	if (id == 0) {
		handle_management(type, bytes, len);
		return;
	}
	fuzz_require(client.rogue || is_active(asked));
	fuzz_require(type == FCGI_STDOUT || type == FCGI_STDERR || type == FCGI_END_REQUEST);
	fuzz_require(type != FCGI_STDERR || (options.stderr_to == STDERR_CLIENT && len > 0));
	fuzz_require(type != FCGI_END_REQUEST || len == FCGI_BODY_LEN);
	if (client.rogue)
		return;
	/* trap 14: never before the head, unless none will come */
	fuzz_require(type != FCGI_STDERR || asked->any || asked->aborted);
	if (type == FCGI_STDOUT)
		handle_stdout(asked, bytes, len);
	else if (type == FCGI_END_REQUEST)
		handle_end(asked, bytes, len);
}

static void handle_records(void)
{
	while (buf_len(&client.in) >= FCGI_HEADER_LEN) {
		const unsigned char *at = buf_bytes(&client.in);
		size_t len = (size_t)(at[4] << 8 | at[5]);
		size_t size = FCGI_HEADER_LEN + len + at[6];

		fuzz_require(at[0] == FCGI_VERSION_1 && size % 8 == 0);
		if (buf_len(&client.in) < size)
			return;
		handle_record(at[1], (unsigned)(at[2] << 8 | at[3]), at + FCGI_HEADER_LEN, len);
		buf_consume(&client.in, size);
	}
}

/* All requests that it has begun are answered. */
static bool is_answered(void)
{
	for (size_t i = 0; i < client.count; i++)
		if (!client.list[i].ended)
			return false;
	return true;
}

/*
 * The bridge has ended its side, or (`closed`) takes nothing any more.  It may do so after the
 * last answer if the client does not want the connection any longer; it may close it only if
 * the client has nothing left to send, too.
 */
static void check_end(bool closed)
{
	bool all_sent = client.sent >= client.needed;

	if (client.rogue || client.aged || client.cut || client.shut)
		return;
	fuzz_require(client.last);
	fuzz_require(is_answered());
	for (int i = 0; i < IDS; i++) /* a new one with the same id ends the old one's stdin */
		if (client.current[i] != NULL)
			all_sent = all_sent &&
			    (client.current[i]->stdin_end || client.current[i]->aborted);
	fuzz_require(!closed || all_sent || client.count == 0);
}

/* Reads up to `most` bytes of what has come. */
static void receive(size_t most)
{
	while (client.fd >= 0 && !client.eof && most > 0) {
		size_t part = most < 65536 ? most : 65536;
		unsigned char *to = buf_reserve(&client.in, part);
		ssize_t n;

		fuzz_require(to != NULL);
		n = read(client.fd, to, part);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			client.eof = true;
			fuzz_require(client.rogue || client.aged || client.cut || client.shut ||
			    buf_len(&client.in) == 0);
			check_end(n < 0);
			return;
		}
		buf_commit(&client.in, (size_t)n);
		most -= (size_t)n;
		handle_records();
	}
}

static void turn(int times_)
{
	for (int i = 0; i < times_; i++) {
		fuzz_require(loop_turn(loop, 0) == 0);
		if (client.greedy)
			receive(SIZE_MAX);
	}
}

/* Sends up to `most` of the bytes that have been made. */
static void send_some(size_t most)
{
	while (client.fd >= 0 && !client.shut && !client.gone && most > 0 && buf_len(&client.out) > 0) {
		size_t len = buf_len(&client.out) < most ? buf_len(&client.out) : most;
		ssize_t n = send(client.fd, buf_bytes(&client.out), len, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			receive(SIZE_MAX); /* the bridge's last words */
			client.gone = true;
			check_end(true);
			buf_consume(&client.out, buf_len(&client.out));
			return;
		}
		buf_consume(&client.out, (size_t)n);
		client.sent += (size_t)n;
		most -= (size_t)n;
	}
}

static void settle(void)
{
	for (int i = 0; i < 6; i++) {
		send_some(SIZE_MAX);
		turn(2);
		receive(SIZE_MAX);
	}
}

static void pass_time(int64_t ms)
{
	for (; ms > 0; ms -= STEP_MS) {
		fuzz_advance(ms < STEP_MS ? ms : STEP_MS);
		turn(1);
	}
	turn(2);
}

static void hang_up(void)
{
	if (client.fd >= 0)
		close(client.fd);
	client.fd = -1;
	client.aged = true;
}

/* ---- the client's records ---------------------------------------------------------------------- */

static void make(enum fcgi_type type, unsigned id, const void *bytes, size_t len)
{
	int at = index_of(id);

	if (type == FCGI_STDIN && len > 0 && at >= 0 && client.current[at] != NULL)
		fuzz_require(buf_append(&client.current[at]->body, bytes, len) == 0);
	fuzz_require(record_put(&client.out, type, (uint16_t)id, bytes, len) == 0);
	if (id != 0 && (type == FCGI_PARAMS || type == FCGI_STDIN)) /* else it is a question */
		client.needed = client.sent + buf_len(&client.out);
}

static void begin(struct fuzz_input *input)
{
	unsigned which = fuzz_byte(input) % IDS;
	unsigned flags = fuzz_byte(input);
	enum fcgi_role role =
	    flags & 4 ? FCGI_FILTER : flags & 2 ? FCGI_AUTHORIZER : FCGI_RESPONDER;
	struct asked *asked = &client.list[client.count];

	if (client.count == BEGINS)
		return;
	if (!client.rogue && (is_active(client.current[which]) || client.last))
		return;
	*asked = (struct asked){.id = ids[which], .may_differ = role != FCGI_RESPONDER};
	buf_init(&asked->written, SENT_MAX);
	buf_init(&asked->body, SENT_MAX * 16);
	client.count++;
	client.current[which] = asked;
	client.last = client.last || (flags & FCGI_KEEP_CONN) == 0;
	fuzz_require(record_put_begin(&client.out, ids[which], role, flags & FCGI_KEEP_CONN) == 0);
}

/* The request of the next byte, if it may send `params`, or else stdin; NULL. */
static struct asked *sender(struct fuzz_input *input, bool params)
{
	struct asked *asked = client.current[fuzz_byte(input) % IDS];

	if (asked == NULL || client.rogue)
		return asked;
	if (asked->aborted)
		return NULL;
	return (params ? asked->params_end : asked->stdin_end || !asked->params_end) ? NULL : asked;
}

/* Chooses by some bits of `*choice` which of `values` it gets, and returns that; NULL: none. */
static const char *add_choice(struct buf *pairs, unsigned *choice, const char *name,
    const char *const values[8])
{
	const char *value = values[*choice & 7];

	*choice >>= 3;
	if (value != NULL)
		fuzz_bridge_add_pair(pairs, name, value);
	return value;
}

/* What was sent before counts if this was not. */
static void set_last(const char **last, const char *value)
{
	if (value != NULL)
		*last = value;
}

static void make_params(struct asked *asked, unsigned choice)
{
	static const char *const methods[8] = {"GET", "POST", "HEAD", "PUT", NULL, "GET", "POST", ""};
	static const char *const scripts[8] = {"a.cgi", "a.cgi", "a.cgi", "a.cgi", "missing",
	    "plain", "a.cgi/more/path", "spool"};
	static const char *const lengths[8] = {NULL, "4", "0", "100000", "-1", "700000", "", "99x"};
	static const char *const software[8] = {NULL, "nginx/1.22", "HAProxy", "Apache", "Caddy",
	    "nginx", "HAProxy 2.9", "lighttpd"};
	static const char *const names[8] = {"/a.cgi", "/status", "/ping", "", NULL, "/a.cgi/x",
	    "/a.cgi", "/x"};
	static const char *const queries[8] = {NULL, "json", "a+b", "html", "openmetrics", "%", "x=y", ""};
	static const char *const wishes[8] = {NULL, NULL, "kill", "ignore", NULL, "bad", NULL, NULL};
	unsigned script = choice & 7;
	char text[300];
	struct buf pairs;

	buf_init(&pairs, 4096);
	snprintf(text, sizeof text, "%s/%s", fuzz_dir(), scripts[script]);
	fuzz_bridge_add_pair(&pairs, "SCRIPT_FILENAME", text);
	snprintf(text, sizeof text, "%d", (int)(asked - client.list));
	fuzz_bridge_add_pair(&pairs, "FUZZ_TAG", text);
	choice >>= 3;
	if (methods[choice & 7] != NULL && strcmp(methods[choice & 7], "HEAD") == 0)
		asked->may_differ = true;
	set_last(&asked->method, add_choice(&pairs, &choice, "REQUEST_METHOD", methods));
	(void)add_choice(&pairs, &choice, "CONTENT_LENGTH", lengths);
	set_last(&asked->software, add_choice(&pairs, &choice, "SERVER_SOFTWARE", software));
	(void)add_choice(&pairs, &choice, "SCRIPT_NAME", names);
	set_last(&asked->query, add_choice(&pairs, &choice, "QUERY_STRING", queries));
	(void)add_choice(&pairs, &choice, "CGIBRIDGE_ON_DISCONNECT", wishes);
	if (choice & 1)
		fuzz_bridge_add_pair(&pairs, "CGIBRIDGE_TIMEOUT", "900ms");
	make(FCGI_PARAMS, asked->id, buf_bytes(&pairs), buf_len(&pairs));
	buf_fini(&pairs);
}

static void make_large(struct asked *asked, unsigned kib)
{
	static unsigned char bytes[64 * 1024];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 7 + (i >> 8));
	kib = kib % 63 + 1;
	make(FCGI_STDIN, asked->id, bytes, kib * 1024);
}

static void end_params(struct asked *asked)
{
	asked->params_end = true;
	make(FCGI_PARAMS, asked->id, NULL, 0);
}

static void end_stdin(struct asked *asked)
{
	asked->stdin_end = true;
	make(FCGI_STDIN, asked->id, NULL, 0);
}

/* A client has no more to send for a request that is over, but may end its stdin. */
static void step_request(enum step step, struct fuzz_input *input)
{
	struct asked *asked = sender(input, step <= PARAMS_END);
	unsigned choice = step == PARAMS ? fuzz_byte(input) << 16 | fuzz_number(input) : 0;
	size_t len = step == PARAMS_RAW || step == STDIN || step == STDIN_LARGE ? fuzz_byte(input) : 0;
	const uint8_t *bytes = step == STDIN_LARGE ? NULL : fuzz_bytes(input, &len);

	if (asked == NULL || buf_len(&client.out) > SENT_MAX / 2)
		return;
	if (step == PARAMS)
		make_params(asked, choice);
	else if (step == PARAMS_RAW && len > 0) {
		asked->may_differ = true;
		asked->raw = true;
		make(FCGI_PARAMS, asked->id, bytes, len);
	} else if (step == PARAMS_END)
		end_params(asked);
	else if (step == STDIN && len > 0)
		make(FCGI_STDIN, asked->id, bytes, len);
	else if (step == STDIN_LARGE)
		make_large(asked, (unsigned)len);
	else if (step == STDIN_END)
		end_stdin(asked);
}

static void abort_request(struct fuzz_input *input)
{
	struct asked *asked = client.current[fuzz_byte(input) % IDS];

	if (asked == NULL)
		return;
	asked->aborted = true;
	make(FCGI_ABORT_REQUEST, asked->id, NULL, 0);
}

static void make_other(enum step step, struct fuzz_input *input)
{
	unsigned id = step == OTHER ? ids[fuzz_byte(input) % IDS] : 0;
	unsigned type = step == GET_VALUES ? FCGI_GET_VALUES : fuzz_byte(input);
	size_t len = step == UNKNOWN ? 0 : fuzz_byte(input);
	const uint8_t *bytes = fuzz_bytes(input, &len);

	if (buf_len(&client.out) > SENT_MAX / 2)
		return;
	if (step == OTHER && type <= FCGI_STDIN && !client.rogue)
		type = FCGI_DATA;
	for (int n = step == UNKNOWN && type >= 200 ? MANY : 1; n > 0; n--) {
		unsigned char question = (unsigned char)type;

		make((enum fcgi_type)type, id, bytes, len);
		if (id == 0)
			fuzz_require(buf_append(&client.questions, &question, 1) == 0);
	}
}

static void make_raw(struct fuzz_input *input)
{
	size_t len = fuzz_byte(input);
	const uint8_t *bytes = fuzz_bytes(input, &len);

	if (client.rogue && len > 0)
		fuzz_require(buf_append(&client.out, bytes, len) == 0);
}

/* ---- the scripts --------------------------------------------------------------------------------- */

static struct asked *asked_of(size_t script)
{
	int tag = fuzz_scripts[script].tag;

	return tag >= 0 && (size_t)tag < client.count ? &client.list[tag] : NULL;
}

/* The value in its environment is the one that the client sent last. */
static void check_value(char *const *envp, const char *name, const char *wanted)
{
	size_t len = strlen(name);

	while (*envp != NULL && (strncmp(*envp, name, len) != 0 || (*envp)[len] != '='))
		envp++;
	fuzz_require((*envp == NULL) == (wanted == NULL));
	fuzz_require(wanted == NULL || strcmp(*envp + len + 1, wanted) == 0);
}

static void on_start(const struct child_plan *plan)
{
	char *const *tag = plan->envp;
	const struct asked *asked;

	check_value(plan->envp, "SCRIPT_FILENAME", plan->argv[0]);
	check_value(plan->envp, "GATEWAY_INTERFACE", "CGI/1.1");
	while (*tag != NULL && strncmp(*tag, "FUZZ_TAG=", 9) != 0)
		tag++;
	if (client.rogue || *tag == NULL || (size_t)atoi(*tag + 9) >= client.count)
		return;
	asked = &client.list[atoi(*tag + 9)];
	if (asked->raw)
		return;
	check_value(plan->envp, "REQUEST_METHOD", asked->method);
	check_value(plan->envp, "SERVER_SOFTWARE", asked->software);
	check_value(plan->envp, "QUERY_STRING", asked->query == NULL ? "" : asked->query);
}

/* The script's stdin is the body; at its end, all of it that CONTENT_LENGTH speaks of. */
static void on_take(size_t script, const unsigned char *bytes, size_t len)
{
	struct asked *asked = asked_of(script);
	int64_t length = fuzz_scripts[script].length;

	if (asked == NULL || client.rogue || asked->raw)
		return;
	fuzz_require(asked->taken + len <= buf_len(&asked->body));
	fuzz_require(len == 0 || memcmp(bytes, buf_bytes(&asked->body) + asked->taken, len) == 0);
	asked->taken += len;
	fuzz_require(length >= 0 ? asked->taken <= (uint64_t)length : asked->taken == 0);
	if (len > 0 || client.aged || client.cut || client.shut || asked->aborted || asked->ended)
		return;
	fuzz_require(asked->taken == (uint64_t)length ||
	    (asked->stdin_end && asked->taken == buf_len(&asked->body)));
}

/* Whatever the script writes, and `plain`: so that the client gets it as it is. */
static void script_writes(size_t script, const void *bytes, size_t len, bool plain)
{
	struct asked *asked = asked_of(script);
	size_t n;

	if (asked != NULL && buf_len(&asked->written) + len > SENT_MAX)
		return;
	n = fuzz_script_write(script, bytes, len);
	if (asked == NULL) {
		client.cut = true;
		return;
	}
	plain = plain || buf_len(&asked->written) > 0;
	asked->may_differ = asked->may_differ || !plain;
	client.cut = client.cut || asked->may_differ;
	if (n > 0)
		fuzz_require(buf_append(&asked->written, bytes, n) == 0);
}

#define PLAIN_HEAD "Content-Type: text/plain\r\n\r\n"

static const char *const heads[] = {PLAIN_HEAD, PLAIN_HEAD, "Content-Type: text/plain\n\n",
    "Status: 404 Not Found\nContent-Type: a\n\n", "Location: /x\n\n", "Status: 204 No\r\n\r\n",
    "Content-Type: a\nContent-Length: 5\n\nhe", "Content-Length: 3\nContent-Type: a\n\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "0\r\n\r\n",
    "no header\n", "Status: 100 Go on\n\n", "Content-Type: a\n b: c\n", "\n",
    "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"};

static void write_head(size_t script, unsigned which)
{
	const char *head = heads[which % (sizeof heads / sizeof *heads)];

	script_writes(script, head, strlen(head), head == heads[0]);
}

static void write_large(size_t script, unsigned kib)
{
	static unsigned char bytes[256 * 1024];

	for (size_t i = 0; bytes[3] == 0 && i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 11 + (i >> 9));
	script_writes(script, bytes, (kib + 1) * 1024U, false);
}

static void exit_script(size_t script, unsigned status, unsigned flags)
{
	client.cut = client.cut || flags != 0;
	if (!(flags & 1))
		fuzz_script_close(&fuzz_scripts[script].out);
	if (!(flags & 2))
		fuzz_script_close(&fuzz_scripts[script].err);
	fuzz_script_close(&fuzz_scripts[script].in);
	fuzz_script_exit(script, flags & 4 ? SIGSEGV : (int)(status << 8));
}

/* Answers as it should, if it has not begun otherwise, and exits. */
static void finish_script(size_t script)
{
	const struct asked *asked = asked_of(script);

	if (asked == NULL || buf_len(&asked->written) == 0)
		write_head(script, 0);
	exit_script(script, 0, 0);
}

static void step_script(enum step step, struct fuzz_input *input)
{
	size_t which = fuzz_byte(input);
	unsigned choice = step <= COMPLAIN || step == EXIT ? fuzz_byte(input) : 0;
	size_t len = step == WRITE || step == COMPLAIN ? choice : 0;
	const uint8_t *bytes = fuzz_bytes(input, &len);
	struct fuzz_script *script;

	if (fuzz_script_count == 0)
		return;
	which %= fuzz_script_count;
	script = &fuzz_scripts[which];
	if (step == WRITE && len > 0)
		script_writes(which, bytes, len, false);
	else if (step == WRITE_HEAD)
		write_head(which, choice);
	else if (step == WRITE_LARGE)
		write_large(which, choice);
	else if (step == COMPLAIN && len > 0)
		fuzz_script_complain(which, bytes, len);
	else if (step == READ_STDIN)
		(void)fuzz_script_read(which);
	else if (step == CLOSE_STDIN)
		fuzz_script_close(&script->in);
	else if (step == CLOSE_STDOUT)
		fuzz_script_close(&script->out);
	else if (step == EXIT)
		exit_script(which, choice, fuzz_byte(input));
	else if (step == FINISH)
		finish_script(which);
}

/* ---- the rest ------------------------------------------------------------------------------------- */

static void step_time(struct fuzz_input *input)
{
	static const int64_t some[8] = {1, 10, 25, 100, 400, 1100, 5000, 62000};

	client.aged = true;
	pass_time(some[fuzz_byte(input) % 8]);
}

static void refuse_spawn(struct fuzz_input *input)
{
	static const int errors[8] = {EAGAIN, ENOMEM, EMFILE, ENFILE, ENOENT, EACCES, ENOEXEC, E2BIG};
	unsigned step = fuzz_byte(input) % (SYS_STEP_EXEC + 1);

	fuzz_script_refuse((enum sys_step)step, errors[fuzz_byte(input) % 8]);
}

static void step_worker(enum step step)
{
	client.aged = true;
	if (step == DRAIN)
		conn_drain_all(&owner);
	else if (step == STOP)
		conn_stop_all(&owner);
	else
		conn_close_all(&owner);
}

static void shut_writing(void)
{
	client.shut = true;
	if (client.fd >= 0)
		shutdown(client.fd, SHUT_WR);
}

static void take_step(enum step step, struct fuzz_input *input)
{
	switch (step) {
	case BEGIN:
		begin(input);
		return;
	case PARAMS:
	case PARAMS_RAW:
	case PARAMS_END:
	case STDIN:
	case STDIN_LARGE:
	case STDIN_END:
		step_request(step, input);
		return;
	case ABORT:
		abort_request(input);
		return;
	case GET_VALUES:
	case UNKNOWN:
	case OTHER:
		make_other(step, input);
		return;
	case RAW:
		make_raw(input);
		return;
	case SEND:
		send_some(fuzz_byte(input) + 1U);
		turn(1);
		return;
	case READ:
		receive((fuzz_byte(input) + 1U) * 64);
		turn(1);
		return;
	case TURN:
		send_some(SIZE_MAX);
		turn(3);
		return;
	case WRITE:
	case WRITE_HEAD:
	case WRITE_LARGE:
	case COMPLAIN:
	case READ_STDIN:
	case CLOSE_STDIN:
	case CLOSE_STDOUT:
	case EXIT:
	case FINISH:
		step_script(step, input);
		return;
	case WAIT:
		step_time(input);
		return;
	case SHUT:
		shut_writing();
		return;
	case HANG_UP:
		hang_up();
		return;
	case DRAIN:
	case STOP:
	case CLOSE_ALL:
		step_worker(step);
		return;
	case NO_SPAWN:
		refuse_spawn(input);
		return;
	case STEPS_END:
		return;
	}
}

/* The client ends all that it has begun, and the scripts answer. */
static void end_requests(void)
{
	for (size_t i = 0; i < client.count && !client.rogue; i++) {
		struct asked *asked = &client.list[i];

		if (client.current[index_of(asked->id)] != asked || asked->aborted)
			continue;
		if (!asked->params_end)
			end_params(asked);
		if (!asked->stdin_end)
			end_stdin(asked);
	}
	client.greedy = true;
	for (size_t round = 0; round < BEGINS; round++) { /* one that ends may let another start */
		settle();
		for (size_t i = 0; i < fuzz_script_count; i++) {
			(void)fuzz_script_read(i);
			finish_script(i);
		}
		if (children.count == 0 && (client.eof || client.gone || is_answered()) &&
		    buf_len(&client.out) == 0)
			break;
	}
	settle();
}

/* It has aborted one whose stdin has not ended: the bridge may wait a moment for that. */
static bool has_unended(void)
{
	for (size_t i = 0; i < client.count; i++)
		if (client.list[i].aborted && !client.list[i].stdin_end)
			return true;
	return false;
}

/*
 * The access log has a line for each request, which says what the client has seen.  That of an
 * aborted one says how its script ended.
 */
static void check_lines(void)
{
	fuzz_require(access_lines == client.count);
	for (size_t i = 0; i < client.count; i++) {
		const struct asked *asked = &client.list[i];
		size_t line = 0;

		if (asked->aborted)
			continue;
		while (line < access_lines &&
		    (ends[line].found || ends[line].status != asked->status ||
			ends[line].app_status != asked->app_status || ends[line].out != asked->got ||
			ends[line].in > buf_len(&asked->body)))
			line++;
		fuzz_require(line < access_lines);
		ends[line].found = true;
	}
}

/* What a client that has kept to the rules may expect. */
static void check_answers(void)
{
	bool open = !client.last;

	if (client.rogue || client.aged || client.shut || client.fd < 0)
		return;
	if (!client.cut) {
		fuzz_require(is_answered());
		fuzz_require(buf_len(&client.questions) == 0 || client.last);
		check_lines();
		fuzz_require(has_unended() || (owner.count > 0) == open);
		fuzz_require(has_unended() || client.eof != open);
		fuzz_require(!open || (owner.count > 0 && !client.eof));
	} else if (!is_answered()) {
		if (has_unended())
			pass_time(times.quiet + 1);
		fuzz_require(client.eof || client.gone);
	}
}

/* Nothing is left when the client has gone and the scripts have ended. */
static void check_leftovers(int lowest_fd)
{
	int fd;

	hang_up();
	settle();
	fuzz_script_reset();
	pass_time(10 * 1000);
	fuzz_require(owner.count == 0 && owner.first == NULL);
	fuzz_require(sink.requests.first == NULL && left.first == NULL);
	fuzz_require(children.count == 0 && scoreboard_running(board) == 0);
	fuzz_require(scoreboard_waiting(board) == 0);
	fuzz_require(access_lines <= client.count || client.rogue);
	fd = dup(STDIN_FILENO);
	fuzz_require(fd == lowest_fd);
	close(fd);
}

static void forget(void)
{
	for (size_t i = 0; i < client.count; i++) {
		buf_fini(&client.list[i].written);
		buf_fini(&client.list[i].body);
	}
	buf_fini(&client.out);
	buf_fini(&client.in);
	buf_fini(&client.questions);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len};
	unsigned how = fuzz_byte(&input);
	unsigned a = fuzz_byte(&input);
	unsigned b = fuzz_byte(&input);
	int lowest;

	if (loop == NULL) {
		fuzz_bridge_open();
		make_scripts();
		fuzz_script_started = on_start;
		fuzz_script_took = on_take;
	}
	set_options(a, b);
	lowest = dup(STDIN_FILENO);
	close(lowest);
	memset(&client, 0, sizeof client);
	client.rogue = (how & 1) != 0;
	client.greedy = (how & 2) == 0;
	client.cut = options.strict_headers != 0;
	access_lines = 0;
	buf_init(&client.out, 2 * SENT_MAX);
	buf_init(&client.in, 16 * SENT_MAX);
	buf_init(&client.questions, STEPS * MANY);
	client.fd = fuzz_bridge_dial((how & 4) != 0);
	for (int i = 0; i < STEPS && input.left > 0; i++)
		take_step((enum step)(fuzz_byte(&input) % STEPS_END), &input);
	end_requests();
	check_answers();
	check_leftovers(lowest);
	forget();
	return 0;
}
