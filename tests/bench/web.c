/* SPDX-License-Identifier: ISC */
/*
 * web: an HTTP client that costs little, for what runs behind a web server.
 *
 *   web requests CONNECTIONS SECONDS PORT PATH   GET, on kept connections: requests a second
 *   web out SIZE PORT PATH                       GET an answer of at least SIZE bytes: MB/s
 *   web in SIZE PORT PATH                        POST SIZE bytes: MB/s
 *
 * Prints one line of JSON.  Each connection has a process of its own.  An answer is good if
 * its status is 200 and it is whole: the last chunk is there, or all of Content-Length; to
 * `in`, it is SIZE.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024, HEAD = 64 * 1024 };

static char buffer[BUFFER + 1];

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int dial(const char *port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	const int on = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
		perror("connect");
		exit(1);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

/* ---- requests -------------------------------------------------------------- */

/* Whether the `len` bytes are a whole answer. */
static int is_whole(const char *answer, size_t len)
{
	const char *body = strstr(answer, "\r\n\r\n");
	const char *length = strcasestr(answer, "\r\nContent-Length: ");

	if (body == NULL)
		return 0;
	if (length != NULL && length < body)
		return len >= (size_t)(body + 4 - answer) + strtoul(length + 18, NULL, 10);
	return len >= 5 && memcmp(answer + len - 5, "0\r\n\r\n", 5) == 0;
}

/* One request on a kept connection: 0, or -1 if its answer is not good. */
static int ask(int fd, const char *request)
{
	size_t len = 0;

	if (write(fd, request, strlen(request)) < 0)
		return -1;
	do {
		ssize_t n = read(fd, buffer + len, HEAD - len);

		if (n <= 0)
			return -1;
		len += (size_t)n;
		buffer[len] = '\0';
	} while (!is_whole(buffer, len));
	return strncmp(buffer, "HTTP/1.1 200", 12) == 0 ? 0 : -1;
}

struct count {
	unsigned long good, bad;
};

/* Asks until the time is up, and reports to `out`. */
static void ask_on(int out, const char *port, const char *path, double until)
{
	struct count count = {0, 0};
	char request[512];
	int fd = dial(port);

	snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
	while (now() < until) {
		if (ask(fd, request) == 0) {
			count.good++;
			continue;
		}
		count.bad++; /* or it was closed after so many requests */
		close(fd);
		fd = dial(port);
	}
	if (write(out, &count, sizeof count) != sizeof count)
		exit(1);
}

static int requests(int connections, double seconds, const char *port, const char *path)
{
	struct count sum = {0, 0};
	struct count one;
	double begun = now();
	int pipes[2];

	if (pipe(pipes) != 0)
		return 1;
	for (int i = 0; i < connections; i++) {
		if (fork() == 0) {
			ask_on(pipes[1], port, path, begun + seconds);
			_exit(0);
		}
	}
	close(pipes[1]);
	while (read(pipes[0], &one, sizeof one) == sizeof one) {
		sum.good += one.good;
		sum.bad += one.bad;
	}
	while (wait(NULL) > 0)
		continue;
	printf("{\"per_s\":%.1f,\"errors\":%lu}\n", (double)sum.good / (now() - begun), sum.bad);
	return 0;
}

/* ---- copies ------------------------------------------------------------------ */

/* Reads once; the first bytes are kept in `answer`.  The bytes read so far, -1 at the end. */
static long long read_some(int fd, char *answer, long long got)
{
	ssize_t n = read(fd, buffer, BUFFER);

	if (n <= 0)
		return -1;
	if (got < HEAD) {
		size_t more = n < HEAD - got ? (size_t)n : (size_t)(HEAD - got);

		memcpy(answer + got, buffer, more);
		answer[(size_t)got + more] = '\0';
	}
	return got + n;
}

/* Sends `size` bytes, and reads the answer to its end; how many bytes that has. */
static long long exchange(int fd, long long size, char *answer)
{
	static char body[BUFFER];
	long long got = 0, more;

	while (1) {
		struct pollfd poller = {.fd = fd, .events = POLLIN | (size > 0 ? POLLOUT : 0)};

		if (poll(&poller, 1, 60 * 1000) <= 0)
			return -1;
		if (poller.revents & POLLOUT) {
			ssize_t n = send(fd, body, size < BUFFER ? (size_t)size : BUFFER, MSG_DONTWAIT);

			if (n < 0 && errno != EAGAIN)
				return -1;
			size -= n > 0 ? n : 0;
		}
		if ((poller.revents & ~POLLOUT) == 0)
			continue;
		more = read_some(fd, answer, got);
		if (more < 0)
			return got;
		got = more;
	}
}

static int copy(int upload, long long size, const char *port, const char *path)
{
	static char answer[HEAD + 1];
	char text[512];
	int fd = dial(port);
	double begun = now();
	long long got;
	int good;

	snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
	    upload ? "POST" : "GET", path);
	if (upload)
		snprintf(text + strlen(text), sizeof text - strlen(text), "Content-Length: %lld\r\n",
		    size);
	strcat(text, "\r\n");
	if (write(fd, text, strlen(text)) < 0)
		return 1;
	got = exchange(fd, upload ? size : 0, answer);
	snprintf(text, sizeof text, "%lld\n", size);
	good = strncmp(answer, "HTTP/1.1 200", 12) == 0 &&
	    (upload ? strstr(answer, text) != NULL : got >= size);
	printf("{\"mb_s\":%.1f,\"errors\":%d}\n", (double)size / 1e6 / (now() - begun), !good);
	return good ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "requests") == 0)
		return requests(atoi(argv[2]), atof(argv[3]), argv[4], argv[5]);
	if (argc == 5 && (strcmp(argv[1], "out") == 0 || strcmp(argv[1], "in") == 0))
		return copy(argv[1][0] == 'i', atoll(argv[2]), argv[3], argv[4]);
	fprintf(stderr, "usage: web requests CONNECTIONS SECONDS PORT PATH\n"
			"       web out|in SIZE PORT PATH\n");
	return 2;
}
