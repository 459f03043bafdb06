/* SPDX-License-Identifier: ISC */
/*
 * log_syslog: the datagram (RFC 3164, as C libraries send it) and the connection.
 */
#include "base/log_syslog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/safepath.h"

static struct {
	const char *path;
	int facility;
	int fd;
	bool behind; /* the daemon did not keep up: do not wait again until it takes a line */
} sink = {.path = "/dev/log", .facility = 3, .fd = -1};

/* ---- facilities ------------------------------------------------------------- */

static const struct {
	const char *name;
	int code; /* RFC 5424 6.2.1 */
} facilities[] = {
	{"user", 1}, {"mail", 2}, {"daemon", 3}, {"auth", 4}, {"syslog", 5}, {"lpr", 6},
	{"news", 7}, {"uucp", 8}, {"cron", 9}, {"authpriv", 10}, {"ftp", 11}, {"local0", 16},
	{"local1", 17}, {"local2", 18}, {"local3", 19}, {"local4", 20}, {"local5", 21},
	{"local6", 22}, {"local7", 23},
};

enum { FACILITIES = sizeof facilities / sizeof *facilities };

int log_facility_parse(const char *name)
{
	for (size_t i = 0; i < FACILITIES; i++)
		if (strcmp(name, facilities[i].name) == 0)
			return facilities[i].code;
	return -1;
}

const char *log_facility_name(int facility)
{
	for (size_t i = 0; i < FACILITIES; i++)
		if (facilities[i].code == facility)
			return facilities[i].name;
	return "";
}

/* ---- the connection ----------------------------------------------------------- */

void log_syslog_close(void)
{
	close_keeping_errno(sink.fd);
	sink.fd = -1;
	sink.behind = false;
}

static int reconnect(void)
{
	log_syslog_close();
	sink.fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (sink.fd < 0)
		return -1;
	if (fcntl(sink.fd, F_SETFD, FD_CLOEXEC) == 0 && safepath_connect(sink.fd, sink.path) == 0)
		return 0;
	log_syslog_close();
	return -1;
}

int log_syslog_open(const char *path, int facility)
{
	tzset(); /* now: a chroot may have no /etc/localtime */
	sink.path = path;
	sink.facility = facility;
	return reconnect();
}

/* ---- lines ---------------------------------------------------------------------- */

/* Sends without waiting. */
static int send_now(const struct msghdr *message)
{
	ssize_t n;

	if (sink.fd < 0) {
		errno = ENOTCONN;
		return -1;
	}
	do {
		n = sendmsg(sink.fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
}

static bool is_full(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS;
}

/* Sends, over a new connection if the old one is dead. */
static int send_message(const struct msghdr *message, int patience)
{
	struct pollfd room = {.events = POLLOUT};

	if (send_now(message) == 0)
		return 0;
	if (!is_full(errno))
		return reconnect() == 0 ? send_now(message) : -1;
	if (sink.behind || patience == 0)
		return -1;
	sink.behind = true;
	room.fd = sink.fd;
	(void)poll(&room, 1, patience); /* the next attempt shows the result */
	return send_now(message);
}

/* "<30>Nov 21 07:21:52 cgibridge[4711]: "; returns the length. */
static size_t make_head(char *head, size_t size, int priority)
{
	time_t now = time(NULL);
	struct tm parts;
	char when[32] = "Jan  1 00:00:00";

	if (localtime_r(&now, &parts) != NULL)
		strftime(when, sizeof when, "%b %e %H:%M:%S", &parts);
	return (size_t)snprintf(head, size, "<%d>%s cgibridge[%ld]: ", sink.facility * 8 + priority,
	    when, (long)getpid());
}

int log_syslog_send(int priority, const char *text, size_t len, int patience)
{
	char head[96];
	struct iovec parts[2];
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	parts[0] = (struct iovec){head, make_head(head, sizeof head, priority)};
	parts[1].iov_len = len;
	memcpy(&parts[1].iov_base, &text, sizeof text); /* sendmsg(2) only reads it */
	if (send_message(&message, patience) != 0)
		return -1;
	sink.behind = false;
	return 0;
}
