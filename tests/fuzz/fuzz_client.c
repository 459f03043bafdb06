/* SPDX-License-Identifier: ISC */
/*
 * fuzz_client: fcgiget's reading of a server, and what its --doctor says of a script's output.
 * What is taken from the server's bytes is what a plain reading of them gives, however they are
 * split; the status is that of RFC 3875; and nothing that a script writes reaches the terminal
 * of an administrator but as lines of printable text.
 *
 * Input: a byte for the exchange, one for the size of the parts, and the server's bytes.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"
#include "fcgiget/doctor_private.h"
#include "fuzz.h"
#include "fuzz_text.h"

enum { ROOM = 1 << 16 };

/* The first byte; bits. */
enum { ASKS = 1, KEEPS = 2, IS_LOCAL = 4, TIMES_OUT = 8, IS_HELD = 16, IS_SLOW = 32 };

struct stream {
	uint8_t bytes[ROOM];
	size_t len;
};

/* ---- a plain reading ------------------------------------------------------------------------ */

static struct {
	struct stream out, err;
	enum client_state state;
	uint32_t app_status;
	unsigned protocol_status;
	size_t after; /* bytes after the last record */
} plain;

static void add(struct stream *stream, const uint8_t *bytes, size_t len)
{
	fuzz_require(len <= ROOM - stream->len);
	if (len > 0)
		memcpy(stream->bytes + stream->len, bytes, len);
	stream->len += len;
}

/*
 * A record that has arrived as far as `len` of its `content` bytes.  END_REQUEST and
 * GET_VALUES_RESULT count when they are whole.
 */
static void read_record(unsigned type, unsigned id, const uint8_t *bytes, size_t len,
    size_t content, bool asks)
{
	bool awaited = asks ? type == FCGI_GET_VALUES_RESULT && id == 0
			    : type == FCGI_END_REQUEST && id == 1;

	if (type == 0 || (len == 0 && content > 0)) /* nothing to go by, yet */
		return;
	if (awaited && len < content)
		return;
	if (awaited && !asks && content < 8) {
		plain.state = CLIENT_FAILED;
	} else if (awaited) {
		plain.state = CLIENT_ENDED;
		if (!asks) {
			plain.app_status = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
			    (uint32_t)bytes[2] << 8 | bytes[3];
			plain.protocol_status = bytes[4];
		}
	} else if (!asks && id == 1 && type == FCGI_STDOUT) {
		add(&plain.out, bytes, len);
	} else if (!asks && id == 1 && type == FCGI_STDERR) {
		add(&plain.err, bytes, len);
	} else {
		plain.state = CLIENT_FAILED;
	}
}

static void read_plainly(const uint8_t *at, size_t left, bool asks)
{
	plain.out.len = plain.err.len = 0;
	plain.state = CLIENT_OPEN;
	plain.app_status = plain.protocol_status = 0;
	while (left > 0 && plain.state == CLIENT_OPEN) {
		size_t content = left < 8 ? 0 : (size_t)(at[4] << 8 | at[5]);
		size_t size = left < 8 ? 8 : 8 + content + at[6];

		if (at[0] != 1) {
			plain.state = CLIENT_FAILED;
			break;
		}
		if (left >= 8)
			read_record(at[1], (unsigned)(at[2] << 8 | at[3]), at + 8,
			    left - 8 < content ? left - 8 : content, content, asks);
		plain.after = left < size ? 0 : left - size;
		at += left < size ? left : size;
		left -= left < size ? left : size;
	}
	if (plain.state == CLIENT_OPEN) /* the server has closed the connection */
		plain.state = CLIENT_FAILED;
}

/* The length of the header block, with its empty line; 0: that is missing. */
static size_t head_of(const struct stream *out)
{
	size_t from = 0;

	for (size_t i = 0; i < out->len; i++) {
		size_t len = i - from;

		if (out->bytes[i] != '\n')
			continue;
		if (len == 0 || (len == 1 && out->bytes[from] == '\r'))
			return i + 1;
		from = i + 1;
	}
	return 0;
}

/* The first field of that name, what follows its colon; NULL: there is none. */
static const char *find_field(const char *head, const char *name)
{
	while (*head != '\0') {
		if (strncasecmp(head, name, strlen(name)) == 0)
			return head + strlen(name);
		head += strcspn(head, "\n");
		head += *head == '\n';
	}
	return NULL;
}

/* RFC 3875 6.3.3; -1: there is none. */
static int status_of(const struct stream *out, size_t len)
{
	char head[ROOM + 1];
	const char *status;

	for (size_t i = 0; i < len; i++) /* a NUL ends no line */
		head[i] = out->bytes[i] == '\0' ? '?' : (char)out->bytes[i];
	head[len] = '\0';
	status = find_field(head, "Status:");
	if (status == NULL)
		return find_field(head, "Location:") == NULL ? 200 : 302;
	status += strspn(status, " \t");
	return strspn(status, "0123456789") == 3 && *status != '0' ? atoi(status) : -1;
}

/* ---- the client ---------------------------------------------------------------------------- */

static struct stream out, err;
static struct doctor_run run;

static void on_output(struct client *c, void *context, const unsigned char *bytes, size_t len)
{
	(void)c;
	(void)context;
	fuzz_require(len > 0);
	add(&out, bytes, len);
	doctor_run_output(&run, bytes, len);
}

static void on_errors(struct client *c, void *context, const unsigned char *bytes, size_t len)
{
	(void)c;
	(void)context;
	fuzz_require(len > 0);
	add(&err, bytes, len);
	doctor_run_errors(&run, bytes, len);
}

static const struct client_sink sink = {on_output, on_errors, NULL};

static void ask(struct client *c, unsigned how)
{
	static const char *const names[] = {"FCGI_MAX_CONNS", "FCGI_MPXS_CONNS"};
	struct buf params;

	buf_init(&params, 64);
	if (how & ASKS) {
		client_ask(c, names, 2);
		return;
	}
	client_request(c, how & KEEPS ? FCGI_KEEP_CONN : 0, &params);
	client_send(c, NULL, 0);
}

/* The server's bytes, in parts, and its end. */
static void talk(struct client *c, int server, const uint8_t *bytes, size_t len, size_t step)
{
	while (len > 0 && c->state == CLIENT_OPEN) {
		size_t part = len < step ? len : step;

		fuzz_require(send(server, bytes, part, MSG_NOSIGNAL) == (ssize_t)part);
		client_ready(c, POLLIN, true);
		bytes += part;
		len -= part;
	}
	close(server);
	for (int i = 0; i < 3 && c->state == CLIENT_OPEN; i++)
		client_ready(c, POLLIN | POLLHUP, true);
}

static void require_same(const struct stream *a, const struct stream *b)
{
	fuzz_require(a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0);
}

static void check_exchange(const struct client *c)
{
	fuzz_require(c->state == plain.state);
	fuzz_require((c->state == CLIENT_FAILED) == (c->error[0] != '\0'));
	fuzz_require(fuzz_is_text(c->error, strlen(c->error)));
	require_same(&out, &plain.out);
	require_same(&err, &plain.err);
	if (c->state != CLIENT_ENDED)
		return;
	fuzz_require(c->app_status == plain.app_status);
	fuzz_require(c->protocol_status == plain.protocol_status);
	fuzz_require(!c->surplus || plain.after > 0);
}

static void check_answer(void)
{
	size_t head = head_of(&out);
	int status = head == 0 ? 0 : status_of(&out, head);

	fuzz_require(run.answer.status == status);
	fuzz_require((run.answer_error != 0) == (status < 0));
	fuzz_require(run.body == (status > 0 ? out.len - head : 0));
}

/* ---- the doctor ----------------------------------------------------------------------------- */

/* What it prints is kept from standard output, and looked at. */
static void check_findings(unsigned how)
{
	static const struct fcgiget_options options = {.socket = "unix:/run/x", .timeout = 30000};
	static char text[ROOM];
	static FILE *file;
	struct doctor doctor = {.options = &options, .path = "/srv/x.cgi", .user = "nobody"};
	int before = dup(STDOUT_FILENO);
	ssize_t len;

	if (file == NULL)
		file = tmpfile();
	fuzz_require(file != NULL && before >= 0 && fflush(stdout) == 0);
	fuzz_require(ftruncate(fileno(file), 0) == 0 && lseek(fileno(file), 0, SEEK_SET) == 0);
	fuzz_require(dup2(fileno(file), STDOUT_FILENO) == STDOUT_FILENO);
	doctor_judge(&doctor, &run);
	fuzz_require(fflush(stdout) == 0 && dup2(before, STDOUT_FILENO) == STDOUT_FILENO);
	close(before);
	len = pread(fileno(file), text, sizeof text, 0);
	fuzz_require(len > 0 && (size_t)len < sizeof text && text[len - 1] == '\n');
	fuzz_require(fuzz_is_lines(text, (size_t)len));
	/* without a status that a browser can be shown, something is at fault */
	fuzz_require(doctor.faults > 0 || (run.answer.status >= 100 && run.answer.status < 500));
	fuzz_require(doctor.faults > 0 || !(how & (TIMES_OUT | IS_HELD)));
}

static void judge(const struct client *c, unsigned how)
{
	run.local = (how & IS_LOCAL) != 0;
	run.time = how & IS_SLOW ? 61234 : 12;
	run.app_status = c->app_status;
	run.protocol_status = c->protocol_status;
	snprintf(run.why_text, sizeof run.why_text, "%s", c->error);
	run.end = c->state == CLIENT_FAILED ? DOCTOR_BROKEN_OFF
	    : how & TIMES_OUT ? DOCTOR_TIMED_OUT
	    : how & IS_HELD ? DOCTOR_HELD : DOCTOR_ENDED;
	check_findings(how);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len < ROOM / 2 ? len : ROOM / 2};
	unsigned how = fuzz_byte(&input);
	size_t step = fuzz_byte(&input) * 16 + 1U;
	struct client client;
	int fds[2];

	read_plainly(input.at, input.left, (how & ASKS) != 0);
	out.len = err.len = 0;
	doctor_run_init(&run);
	fuzz_require(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 && sys_nonblock(fds[0]) == 0);
	client_init(&client, fds[0], &sink);
	ask(&client, how);
	talk(&client, fds[1], input.at, input.left, step);
	check_exchange(&client);
	check_answer();
	if (!(how & ASKS))
		judge(&client, how);
	client_fini(&client);
	doctor_run_fini(&run);
	close(fds[0]);
	return 0;
}
