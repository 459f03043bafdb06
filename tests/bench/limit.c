/* SPDX-License-Identifier: ISC */
/*
 * limit: what the kernel allows, without any bridge.
 *
 *   limit spawn PROCESSES SECONDS SCRIPT   vfork, exec, read, wait, as often as it goes
 *   limit serve PROCESSES SOCKET SCRIPT    the same behind a socket: each request that
 *                                          comes whole is answered by one run of SCRIPT,
 *                                          the parameters unread; until TERM
 *   limit out BYTES SCRIPT                 SCRIPT writes into a unix socket, we read it
 *   limit in BYTES SCRIPT                  we write a unix socket, SCRIPT reads it
 *   limit piped-out BYTES SCRIPT           the same, but SCRIPT has a pipe, and a process
 *   limit piped-in BYTES SCRIPT            between that and the socket only splices
 *
 * All but serve print one line of JSON.  `serve` is the spawn limit with the load
 * client's own cost in it: no bridge on these cores can answer that client faster,
 * as long as it runs one script a request; nor copy faster than `piped-out` and
 * `piped-in`, as long as its scripts have pipes.  The scripts get the environment that
 * bench_params() makes.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "fcgi/fcgi.h"

enum { CHUNK = 256 * 1024, PIPE = 1024 * 1024, ANSWER_MAX = 4096, PROCESSES_MAX = 1024 };

static int null_fd;
static char chunk[CHUNK];

/* ---- running a script ------------------------------------------------------------- */

/* Starts `script` on these descriptors.  The child borrows our memory until its exec. */
static pid_t start(const char *script, char **env, int in, int out)
{
	char *argv[2] = {(char *)(uintptr_t)script, NULL};
	pid_t pid = vfork();

	if (pid == 0) {
		if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0)
			execve(script, argv, env);
		_exit(127);
	}
	if (pid < 0)
		bench_die("vfork");
	return pid;
}

static void finish(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			bench_die("waitpid");
	if (status != 0) {
		errno = ECHILD;
		bench_die("the script failed");
	}
}

/* Runs `script` once; its output goes to `answer`.  Returns how long that is. */
static size_t run(const char *script, char **env, char answer[ANSWER_MAX])
{
	int fds[2];
	size_t have = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0)
		bench_die("pipe2");
	pid = start(script, env, null_fd, fds[1]);
	close(fds[1]);
	while ((n = read(fds[0], answer + have, ANSWER_MAX - have)) > 0)
		have += (size_t)n;
	close(fds[0]);
	finish(pid);
	return have;
}

/* ---- spawn ------------------------------------------------------------------------ */

/* One process of the spawn limit: its durations go into `fd`. */
static void spawn_loop(const char *script, char **env, int64_t until, int fd)
{
	struct bench_times times = {.count = 0};
	char answer[ANSWER_MAX];
	int64_t before = bench_now();
	const char *at;
	size_t left;

	while (before < until) {
		int64_t after;

		run(script, env, answer);
		after = bench_now();
		bench_add(&times, after - before);
		before = after;
	}
	at = (const char *)times.ns;
	left = times.count * sizeof *times.ns;
	while (left > 0) {
		ssize_t n = write(fd, at, left);

		if (n < 0)
			bench_die("write");
		at += n;
		left -= (size_t)n;
	}
}

/* All durations that the processes write into `fd`. */
static void collect(int fd, struct bench_times *times)
{
	FILE *in = fdopen(fd, "r");
	int64_t ns;

	if (in == NULL) {
		bench_die("fdopen");
		return; /* for checkers that do not know it does not */
	}
	while (fread(&ns, sizeof ns, 1, in) == 1)
		bench_add(times, ns);
	fclose(in);
}

static void spawn(size_t processes, double seconds, const char *script)
{
	char **env = bench_params(script, "", 0);
	struct bench_times times = {.count = 0};
	int64_t until = bench_now() + (int64_t)(seconds * 1e9);
	int fds[PROCESSES_MAX][2];

	for (size_t i = 0; i < processes; i++) {
		if (pipe2(fds[i], O_CLOEXEC) != 0)
			bench_die("pipe2");
		if (fork() == 0) {
			spawn_loop(script, env, until, fds[i][1]);
			_exit(0);
		}
		close(fds[i][1]);
	}
	for (size_t i = 0; i < processes; i++)
		collect(fds[i][0], &times);
	while (wait(NULL) > 0)
		;
	printf("{\"requests\":%zu,\"per_s\":%.1f", times.count, (double)times.count / seconds);
	bench_print_times(stdout, &times);
	puts("}");
}

/* ---- serve ------------------------------------------------------------------------ */

/* Appends a record to `to`; returns its end. */
static unsigned char *put_record(unsigned char *to, enum fcgi_type type, const void *content,
    size_t len)
{
	fcgi_put_header(to, type, 1, len, 0);
	if (len > 0)
		memcpy(to + FCGI_HEADER_LEN, content, len);
	return to + FCGI_HEADER_LEN + len;
}

/* Answers the request that waits at `fd`; false when there is none, or no other will come. */
static bool answer_one(int fd, const char *script, char **env)
{
	unsigned char wire[ANSWER_MAX + 64];
	unsigned char end[FCGI_BODY_LEN];
	char answer[ANSWER_MAX];
	unsigned char *at = wire;
	ssize_t n = read(fd, chunk, sizeof chunk);

	/* the client sends a request in one write: all of it is here */
	if (n < 2 * FCGI_HEADER_LEN)
		return false;
	at = put_record(at, FCGI_STDOUT, answer, run(script, env, answer));
	at = put_record(at, FCGI_STDOUT, NULL, 0);
	fcgi_put_end(end, 0, FCGI_REQUEST_COMPLETE);
	at = put_record(at, FCGI_END_REQUEST, end, sizeof end);
	if (write(fd, wire, (size_t)(at - wire)) != at - wire)
		return false;
	return chunk[FCGI_HEADER_LEN + 2] & FCGI_KEEP_CONN;
}

static void add(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		bench_die("epoll_ctl");
}

static void accept_one(int epoll, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0)
		add(epoll, fd, EPOLLIN);
}

static _Noreturn void serve_loop(int listener, const char *script, char **env)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		bench_die("epoll_create1");
	add(epoll, listener, EPOLLIN | (uint32_t)EPOLLEXCLUSIVE);
	for (;;) {
		struct epoll_event event;

		/* one at a time: whoever is free takes the next */
		if (epoll_wait(epoll, &event, 1, -1) != 1)
			continue;
		if (event.data.fd == listener)
			accept_one(epoll, listener);
		else if (!answer_one(event.data.fd, script, env))
			close(event.data.fd);
	}
}

static void serve(size_t processes, const char *path, const char *script)
{
	char **env = bench_params(script, "", 0);
	int listener = bench_listen(path);

	for (size_t i = 0; i < processes; i++) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			serve_loop(listener, script, env);
		}
	}
	while (wait(NULL) > 0)
		;
}

/* ---- copying ---------------------------------------------------------------------- */

static uint64_t read_all(int fd)
{
	uint64_t total = 0;
	ssize_t n;

	while ((n = read(fd, chunk, sizeof chunk)) > 0)
		total += (uint64_t)n;
	return total;
}

static void write_all(int fd, uint64_t left)
{
	while (left > 0) {
		size_t want = left < sizeof chunk ? (size_t)left : sizeof chunk;
		ssize_t n = write(fd, chunk, want);

		if (n <= 0)
			bench_die("write");
		left -= (uint64_t)n;
	}
}

/* The ends of what lies between a script and us. */
struct way {
	int in, out; /* the script's */
	int client;  /* ours, a unix socket */
	pid_t mover; /* the process in between; 0: none */
};

static void open_direct(struct way *way, bool out)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
		bench_die("socketpair");
	*way = (struct way){.in = out ? null_fd : fds[1], .out = fds[1], .client = fds[0]};
}

static _Noreturn void move_all(int from, int to)
{
	ssize_t n;

	while ((n = splice(from, NULL, to, NULL, PIPE, SPLICE_F_MOVE)) > 0)
		;
	_exit(n < 0);
}

/* The script has a pipe; all goes from one to the other in a process of its own. */
static void open_piped(struct way *way, bool out)
{
	int fds[2];
	int far;

	open_direct(way, out);
	far = way->out;
	if (pipe2(fds, O_CLOEXEC) != 0)
		bench_die("pipe2");
	(void)fcntl(fds[0], F_SETPIPE_SZ, PIPE);
	way->mover = fork();
	if (way->mover < 0)
		bench_die("fork");
	if (way->mover == 0) {
		close(way->client);
		close(fds[out]);
		move_all(out ? fds[0] : far, out ? far : fds[1]);
	}
	close(far);
	close(fds[!out]);
	way->in = out ? null_fd : fds[0];
	way->out = out ? fds[1] : null_fd;
}

static void copy(bool out, bool piped, const char *bytes, const char *script)
{
	uint64_t size = bench_number(bytes, UINT64_MAX);
	char **env = bench_params(script, out ? bytes : "0", out ? 0 : size);
	int64_t before = bench_now();
	uint64_t total;
	struct way way;
	pid_t pid;

	(piped ? open_piped : open_direct)(&way, out);
	pid = start(script, env, way.in, way.out);
	close(out ? way.out : way.in);
	if (!out)
		write_all(way.client, size);
	shutdown(way.client, SHUT_WR);
	total = read_all(way.client) + (out ? 0 : size);
	finish(pid);
	if (piped)
		finish(way.mover);
	printf("{\"bytes\":%llu,\"mb_s\":%.1f}\n", (unsigned long long)total,
	    (double)total * 1e3 / (double)(bench_now() - before));
}

/* ---- arguments -------------------------------------------------------------------- */

static _Noreturn void usage(void)
{
	fputs("usage: limit spawn PROCESSES SECONDS SCRIPT | serve PROCESSES SOCKET SCRIPT |\n"
	      "       out|in|piped-out|piped-in BYTES SCRIPT\n",
	    stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	const char *what = argc < 4 ? "" : argv[1];
	bool piped = strncmp(what, "piped-", 6) == 0;
	const char *way = piped ? what + 6 : what;

	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0)
		bench_die("/dev/null");
	signal(SIGPIPE, SIG_IGN);
	if (strcmp(what, "spawn") == 0 && argc == 5)
		spawn((size_t)bench_number(argv[2], PROCESSES_MAX), strtod(argv[3], NULL), argv[4]);
	else if (strcmp(what, "serve") == 0 && argc == 5)
		serve((size_t)bench_number(argv[2], PROCESSES_MAX), argv[3], argv[4]);
	else if ((strcmp(way, "out") == 0 || strcmp(way, "in") == 0) && argc == 4)
		copy(strcmp(way, "out") == 0, piped, argv[2], argv[3]);
	else
		usage();
	return 0;
}
