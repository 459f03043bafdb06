/* SPDX-License-Identifier: ISC */
/*
 * fuzz_bridge: see fuzz_bridge.h.
 */
#include "fuzz_bridge.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "fuzz.h"

struct options options;
struct loop *loop;
struct scoreboard *board;
struct children children;
struct request_sink sink;
struct left_list left;
struct conn_times times;
struct conn_owner owner;

static struct environment environment;
static struct admission admission;
static struct relay_scratch scratch;
static struct flaw_log flaws;
static struct mounts mounts; /* none: every file system answers */
static struct scouts scouts;
static struct request_services services;

static void on_count(struct conn_owner *of)
{
	fuzz_require(of == &owner);
}

static void set_times(void)
{
	times = (struct conn_times){.first = 6000, .late = 1000, .grace = 500, .settle = 20,
	    .busy = 1000, .idle = 8000, .write = 4000, .quiet = 200, .leave = 1000, .drain = 3000};
}

void fuzz_bridge_open(void)
{
	static const int signals[] = {0};
	static char path[] = "PATH=/usr/bin:/bin";
	static char *base[] = {path, NULL};

	loop = loop_new();
	board = scoreboard_new(1, FUZZ_SLOTS);
	fuzz_require(loop != NULL && board != NULL);
	fuzz_require(loop_signals(loop, signals, NULL, NULL) == 0);
	fuzz_require(children_init(&children, loop, board, 50) == 0);
	fuzz_require(environment_init(&environment, base, NULL) == 0);
	admission_init(&admission, loop, board, &options, 0);
	services = (struct request_services){.loop = loop, .options = &options,
	    .environment = &environment, .admission = &admission, .children = &children,
	    .scratch = &scratch, .flaws = &flaws, .sink = &sink, .left = &left,
	    .mounts = &mounts, .scouts = &scouts, .times = request_times};
	left_init(&left, loop, &children);
	scouts_init(&scouts, loop);
	request_sink_init(&sink, &services);
	set_times();
	owner = (struct conn_owner){.services = &services, .times = &times, .max = 100,
	    .opened = on_count, .closed = on_count, .scratch = malloc(CONN_SCRATCH)};
	fuzz_require(owner.scratch != NULL);
	log_open(LOG_LEVEL_DEBUG, LOG_FORM_PLAIN);
}

int fuzz_bridge_dial(bool tcp)
{
	struct address_peer peer = {.len = sizeof(sa_family_t)};
	int fds[2];

	fuzz_require(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	for (int i = 0; i < 2; i++)
		fuzz_require(sys_nonblock(fds[i]) == 0 && sys_cloexec(fds[i]) == 0);
	peer.addr.any.sa_family = tcp ? AF_INET : AF_UNIX;
	fuzz_require(conn_open(&owner, fds[1], &peer) == 0);
	return fds[0];
}

void fuzz_bridge_add_pair(struct buf *pairs, const char *name, const char *value)
{
	struct fcgi_pair pair = {(const unsigned char *)name, strlen(name),
	    (const unsigned char *)value, strlen(value)};
	unsigned char *to = buf_reserve(pairs, fcgi_pair_size(pair.name_len, pair.value_len));

	fuzz_require(to != NULL);
	buf_commit(pairs, fcgi_put_pair(to, &pair));
}
