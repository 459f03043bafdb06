/* SPDX-License-Identifier: ISC */
/*
 * check_bench: a worker's inside for the unit tests of connections and requests, with a
 * client at the other end of a socket pair: what it sends, and what has come back.
 */
#ifndef CGIBRIDGE_CHECK_BENCH_H
#define CGIBRIDGE_CHECK_BENCH_H

#include "check_util.h"

#include "bridge/conn.h"

enum { SLOTS = 4, CONTENT_MAX = 4 << 20 };

#define HEAD "printf 'Content-Type: text/plain\\n\\n'\n"
#define ANSWER "Content-Type: text/plain\r\n\r\n"

/* What has come back for one request id. */
struct answer {
	unsigned char *out; /* STDOUT, all records */
	size_t len;
	size_t first_len;   /* of the first record */
	size_t stderr_len;
	int ends;
	uint32_t app_status;
	unsigned status;
};

/* The bridge's side: what requests and connections share. */
extern struct options options;
extern struct loop *loop;
extern struct scoreboard *board;
extern struct children children;
extern struct request_sink sink;
extern struct left_list left;
extern struct request_services services;
extern struct conn_times times;
extern struct conn_owner owner;
extern int closed; /* connections */

/* The client's side. */
extern int client;
extern struct buf stream; /* what is to be sent */
extern struct buf input;  /* what has come and is no whole record yet */
extern struct answer answers[10];
extern bool eof;
extern unsigned char management[1024]; /* contents of records with id 0 */
extern size_t management_len;
extern unsigned management_type;
extern struct buf pairs;

/* A fixture: makes all of it, with a connection; and takes it down. */
void bench_setup(void);
void bench_teardown(void);

/* A new connection, the old one is gone; dial_narrow: one on which little is on its way. */
void dial(void);
void dial_narrow(int sndbuf);
void hang_up(void);
void forget_answers(void);

/* ---- what is sent: put into `stream`, then sent ------------------------------------------ */

void put(enum fcgi_type type, uint16_t id, const char *text);
void put_begin(uint16_t id, enum fcgi_role role, unsigned flags);
void put_params(uint16_t id, const char *method, const char *script);
void add_pair(const char *name, const char *value);
void put_get(uint16_t id, unsigned flags, const char *script);
void put_post(uint16_t id, unsigned flags, const char *script, const char *length);
void send_bytes(const unsigned char *bytes, size_t len);
void send_stream(void);
void put_get_values(void);

/* A script of that name: a shell script with `body`. */
void script(const char *name, const char *body);

/*
 * A gate that jobs wait at without turning; it opens, too, when the test dies.  The kernel
 * lets go of the lock with the last descriptor, and no script has one.
 */
#define WAIT_AT_GATE "flock -s -w 30 gate true"

int close_gate(void);

/* ---- what has come back ------------------------------------------------------------------ */

void receive(void);
void wait_for_end(int id);

/* Sends a request whose FCGI_STDIN does not end, and waits for its answer. */
void answer_without_reading(unsigned flags);

void expect(int id, const char *text);
void expect_status(int id, const char *status);
void wait_for_children(size_t count);
void wait_for_management(void);
int read_number(const char *name);

/* What turn_until() may wait for. */
bool is_eof(void *context);
bool is_closed(void *context);
bool is_idle(void *context);
bool has_no_children(void *context);
bool nothing_is_left(void *context);

#endif
