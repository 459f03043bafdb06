/* SPDX-License-Identifier: ISC */
/*
 * fuzz_redirect: --local-redirect, from what a script writes to the script that runs next, or to
 * the answer that the client gets.  Each script that runs writes the next part of the input.
 *
 *   - a script that is started has the path of a file below DOCUMENT_ROOT, without a ".."; if
 *     there is a --root, its true path is below that;
 *   - its request is a GET (or HEAD) without a body, for the path and query that Location named,
 *     and it finds the one that led to it in REDIRECT_*;
 *   - there are five redirects at most;
 *   - the client gets one answer, with one END_REQUEST; of a redirect that is not followed, the
 *     Location as the script wrote it.
 *
 * Input: a byte for the request and its rules; for each script a byte of what it does besides
 * (enum manner), and what it writes after "Location: ", which ends in a NUL.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"
#include "fcgi/record.h"
#include "fuzz.h"
#include "fuzz_bridge.h"
#include "fuzz_child.h"

enum { REDIRECTS_MAX = 5, STARTS_MAX = REDIRECTS_MAX + 1, TURNS = 4, URL_MAX = 16 * 1024 };

/* What a script does besides; bits. */
enum manner {
	FAILS = 1,        /* exits with status 1 */
	WRITES_BODY = 2,
	EXITS_FIRST = 4,  /* its output ends later */
	COMPLAINS = 8,    /* to stderr */
	OWN_HEAD = 16,    /* what it writes is all, and not a Location's value */
};

/* The request's byte; bits. */
enum { IS_HEAD = 1, IS_POST = 2, HAS_ROOT = 4, HAS_URI = 8, IS_TCP = 16, IS_STRICT = 32 };

static char tree[PATH_MAX], www[PATH_MAX + 8]; /* canonical */
static const char *roots[] = {www};

static struct {
	unsigned how;
	size_t starts;
	bool plain;          /* the script that wrote last wrote a Location, and no more */
	char *location;      /* of that script; owned */
	char url[URL_MAX];   /* SCRIPT_NAME and PATH_INFO of the script that runs */
	char query[URL_MAX]; /* its QUERY_STRING */
} now;

static void make_tree(void)
{
	static const char *const dirs[] = {"www", "www/sub", "out"};
	static const char *const files[] = {"www/x.cgi", "www/sp ace.cgi", "www/q?.cgi",
	    "www/sub/y.cgi", "out/x.cgi", "www/a..b"};
	char path[PATH_MAX + 16];

	fuzz_require(realpath(fuzz_dir(), tree) != NULL);
	snprintf(www, sizeof www, "%s/www", tree);
	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
		snprintf(path, sizeof path, "%s/%s", tree, dirs[i]);
		fuzz_require(mkdir(path, 0755) == 0);
	}
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		fuzz_write_file(files[i], 0755, "#!/bin/sh\n", 10);
	fuzz_write_file("www/plain", 0644, "text\n", 5);
	snprintf(path, sizeof path, "%s/link", www);
	fuzz_require(symlink("../out", path) == 0);
}

/* ---- a script starts ----------------------------------------------------------------------- */

static const char *find(char *const *envp, const char *name)
{
	size_t len = strlen(name);

	for (; *envp != NULL; envp++)
		if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=')
			return *envp + len + 1;
	return NULL;
}

static void check_file(const char *path)
{
	char canonical[PATH_MAX];
	struct stat info;

	fuzz_require(fuzz_is_below(path, www) && !fuzz_climbs(path));
	fuzz_require(stat(path, &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & 0111) != 0);
	fuzz_require(realpath(path, canonical) != NULL);
	fuzz_require(!(now.how & HAS_ROOT) || fuzz_is_below(canonical, www));
}

/* The request is the one that `now.location` names. */
static void check_request(char *const *envp, const char *url)
{
	const char *method = find(envp, "REQUEST_METHOD");
	const char *uri = find(envp, "DOCUMENT_URI");
	const char *mark = strchr(now.location, '?');
	const char *former_query = find(envp, "REDIRECT_QUERY_STRING");
	char path[URL_MAX];

	fuzz_require(strcmp(method, now.how & IS_HEAD ? "HEAD" : "GET") == 0);
	fuzz_require(find(envp, "CONTENT_LENGTH") == NULL && find(envp, "CONTENT_TYPE") == NULL);
	fuzz_require(find(envp, "HTTP_CONTENT_LENGTH") == NULL);
	snprintf(path, sizeof path, "%.*s", (int)strcspn(now.location, "?"), now.location);
	hex_percent_decode(path);
	fuzz_require(strcmp(url, path) == 0);
	fuzz_require(uri == NULL || strcmp(uri, path) == 0);
	fuzz_require(strcmp(find(envp, "QUERY_STRING"), mark == NULL ? "" : mark + 1) == 0);
	fuzz_require(strcmp(find(envp, "REDIRECT_STATUS"), "200") == 0);
	fuzz_require(strcmp(find(envp, "REDIRECT_URL"), now.url) == 0);
	fuzz_require(strcmp(former_query == NULL ? "" : former_query, now.query) == 0);
}

static void on_start(const struct child_plan *plan)
{
	const char *name = find(plan->envp, "SCRIPT_NAME");
	const char *info = find(plan->envp, "PATH_INFO");
	const char *query = find(plan->envp, "QUERY_STRING");
	char url[URL_MAX];

	snprintf(url, sizeof url, "%s%s", name, info == NULL ? "" : info);
	check_file(plan->argv[0]);
	fuzz_require(strcmp(plan->argv[0], find(plan->envp, "SCRIPT_FILENAME")) == 0);
	if (now.starts > 0) {
		fuzz_require(now.plain);
		/* its name may go on after the file's, with an encoded question mark */
		fuzz_require(strncmp(plan->argv[0] + strlen(www), name,
				 strlen(plan->argv[0] + strlen(www))) == 0);
		check_request(plan->envp, url);
	}
	now.starts++;
	fuzz_require(now.starts <= STARTS_MAX);
	memcpy(now.url, url, sizeof url);
	snprintf(now.query, sizeof now.query, "%s", query == NULL ? "" : query);
}

/* ---- the client ---------------------------------------------------------------------------------- */

static struct {
	int fd;
	struct buf out; /* STDOUT */
	int ends;
	bool eof;
} client;

static void add_pairs(struct buf *pairs)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof path, "%s/x.cgi", www);
	fuzz_bridge_add_pair(pairs, "SCRIPT_FILENAME", path);
	fuzz_bridge_add_pair(pairs, "DOCUMENT_ROOT", www);
	fuzz_bridge_add_pair(pairs, "SCRIPT_NAME", "/x.cgi");
	fuzz_bridge_add_pair(pairs, "QUERY_STRING", "first");
	fuzz_bridge_add_pair(pairs, "REQUEST_METHOD",
	    now.how & IS_HEAD ? "HEAD" : now.how & IS_POST ? "POST" : "GET");
	if (now.how & HAS_URI)
		fuzz_bridge_add_pair(pairs, "DOCUMENT_URI", "/x.cgi");
	if (now.how & IS_POST) {
		fuzz_bridge_add_pair(pairs, "CONTENT_LENGTH", "5");
		fuzz_bridge_add_pair(pairs, "CONTENT_TYPE", "text/plain");
	}
}

static void send_request(void)
{
	struct buf pairs, stream;

	buf_init(&pairs, 4096);
	buf_init(&stream, 8192);
	add_pairs(&pairs);
	fuzz_require(record_put_begin(&stream, 1, FCGI_RESPONDER, 0) == 0);
	fuzz_require(record_put_stream(&stream, FCGI_PARAMS, 1, buf_bytes(&pairs), buf_len(&pairs)) == 0);
	fuzz_require(record_put(&stream, FCGI_PARAMS, 1, NULL, 0) == 0);
	if (now.how & IS_POST)
		fuzz_require(record_put(&stream, FCGI_STDIN, 1, "hello", 5) == 0);
	fuzz_require(record_put(&stream, FCGI_STDIN, 1, NULL, 0) == 0);
	fuzz_require(send(client.fd, buf_bytes(&stream), buf_len(&stream), MSG_NOSIGNAL) ==
	    (ssize_t)buf_len(&stream));
	buf_fini(&pairs);
	buf_fini(&stream);
}

static void read_pieces(struct fcgi_reader *reader, const unsigned char *bytes, size_t len)
{
	while (len > 0) {
		struct fcgi_piece piece;
		ssize_t n = fcgi_reader_next(reader, bytes, len, &piece);

		fuzz_require(n > 0);
		bytes += n;
		len -= (size_t)n;
		if (piece.len == 0 && !piece.last)
			continue;
		fuzz_require(piece.id == 1 && client.ends == 0);
		if (piece.type == FCGI_STDOUT)
			fuzz_require(buf_append(&client.out, piece.bytes, piece.len) == 0);
		else if (piece.type == FCGI_END_REQUEST)
			client.ends += piece.last;
		else
			fuzz_require(piece.type == FCGI_STDERR);
	}
}

static void receive(struct fcgi_reader *reader)
{
	unsigned char bytes[4096];
	ssize_t n;

	while ((n = read(client.fd, bytes, sizeof bytes)) > 0)
		read_pieces(reader, bytes, (size_t)n);
	client.eof = client.eof || n == 0;
}

static void turn(struct fcgi_reader *reader)
{
	for (int i = 0; i < TURNS; i++) {
		fuzz_require(loop_turn(loop, 0) == 0);
		receive(reader);
	}
}

/* ---- the scripts ------------------------------------------------------------------------------- */

/* Takes away a carriage return, which ends a header's line, and the blanks around its value. */
static void trim(char *text)
{
	size_t start = strspn(text, " \t");
	size_t len = strlen(text);

	if (len > start && text[len - 1] == '\r')
		len--;
	while (len > start && strchr(" \t", text[len - 1]) != NULL)
		len--;
	memmove(text, text + start, len - start);
	text[len - start] = '\0';
}

/* Whether it is the path of a local redirect (RFC 3875 6.2.2), by the characters of RFC 3986. */
static bool is_local(const char *text)
{
	static const char other[] = "!$%&'()*+,-./:;=?@[]_~";

	if (text[0] != '/' || text[1] == '/')
		return false;
	for (; *text != '\0'; text++)
		if (!(*text >= 'a' && *text <= 'z') && !(*text >= 'A' && *text <= 'Z') &&
		    !(*text >= '0' && *text <= '9') && strchr(other, *text) == NULL)
			return false;
	return true;
}

static void write_text(size_t script, const char *text)
{
	(void)fuzz_script_write(script, text, strlen(text));
}

/* The script that was started last does what the input says, and ends. */
static void play(struct fuzz_input *input, struct fcgi_reader *reader)
{
	size_t script = fuzz_script_count - 1;
	unsigned manner = fuzz_byte(input);
	int status = manner & FAILS ? 1 << 8 : 0;

	free(now.location);
	now.location = fuzz_text(input);
	if (!(manner & OWN_HEAD))
		write_text(script, "Location: ");
	write_text(script, now.location);
	write_text(script, "\n\n");
	trim(now.location);
	now.plain = (manner & (FAILS | WRITES_BODY | OWN_HEAD)) == 0 && is_local(now.location);
	if (manner & WRITES_BODY)
		write_text(script, "body");
	if (manner & COMPLAINS)
		fuzz_script_complain(script, "Oops\n", 5);
	if (manner & EXITS_FIRST)
		fuzz_script_exit(script, status);
	turn(reader);
	fuzz_script_close(&fuzz_scripts[script].out);
	fuzz_script_close(&fuzz_scripts[script].err);
	turn(reader);
	fuzz_script_exit(script, status);
	turn(reader);
}

/* ---- the answer ------------------------------------------------------------------------------------ */

/* What has come is a whole header block, whose lines have no control characters. */
static void check_head(const char *head)
{
	const char *end = strstr(head, "\r\n\r\n");

	fuzz_require(end != NULL);
	for (const char *at = head; at < end; at++)
		fuzz_require((unsigned char)*at >= ' ' || *at == '\t' ||
		    (at[0] == '\r' && at[1] == '\n') || (at[0] == '\n' && at[-1] == '\r'));
}

/* The value of its Location, without the blanks around it, is `value`. */
static bool leads_to(const char *head, const char *value)
{
	const char *at = strstr(head, "\nLocation:");

	if (at == NULL)
		return false;
	at += strlen("\nLocation:");
	at += strspn(at, " \t");
	if (strncmp(at, value, strlen(value)) != 0)
		return false;
	at += strlen(value);
	at += strspn(at, " \t");
	return *at == '\r';
}

/* A redirect that was not followed is passed on as it is. */
static void check_answer(void)
{
	const char *head;

	fuzz_require(client.ends == 1 && client.eof);
	fuzz_require(buf_append(&client.out, "", 1) == 0);
	head = (const char *)buf_bytes(&client.out);
	check_head(head);
	if (!now.plain || strlen(now.location) >= 4096) /* too much of it is a fault */
		return;
	fuzz_require(strncmp(head, "Status: 302 ", 12) == 0);
	fuzz_require(leads_to(head, now.location));
}

static void set_options(void)
{
	options = (struct options){.workers = 1, .max_scripts = FUZZ_SLOTS, .linger = 100,
	    .kill_delay = 50, .local_redirect = 1, .query_args = 1, .max_body = 4096,
	    .max_params = 16 * 1024, .spool_dir = tree,
	    .strict_headers = now.how & IS_STRICT ? 1 : 0};
	if (now.how & HAS_ROOT)
		options.roots = (struct value_list){roots, 1};
}

static void clean_up(struct fcgi_reader *reader)
{
	close(client.fd);
	for (int i = 0; i < 3; i++) {
		fuzz_require(loop_turn(loop, 0) == 0);
		fuzz_advance(2000);
	}
	fuzz_script_reset();
	fuzz_require(fcgi_reader_between(reader));
	fuzz_require(owner.count == 0 && children.count == 0 && scoreboard_running(board) == 0);
	fuzz_require(sink.requests.first == NULL && left.first == NULL);
	buf_fini(&client.out);
	free(now.location);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len};
	struct fcgi_reader reader;

	if (loop == NULL) {
		fuzz_bridge_open();
		make_tree();
		fuzz_script_started = on_start;
	}
	memset(&now, 0, sizeof now);
	now.how = fuzz_byte(&input);
	set_options();
	memset(&client, 0, sizeof client);
	buf_init(&client.out, 1 << 20);
	fcgi_reader_init(&reader);
	client.fd = fuzz_bridge_dial((now.how & IS_TCP) != 0);
	send_request();
	turn(&reader);
	fuzz_require(now.starts == 1);
	for (size_t played = 0; played < now.starts && client.ends == 0; played++)
		play(&input, &reader);
	check_answer();
	clean_up(&reader);
	return 0;
}
