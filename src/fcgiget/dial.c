/* SPDX-License-Identifier: ISC */
/*
 * dial: a connect that cannot outlast its deadline.
 */
#include "fcgiget/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

enum { RETRY_DELAY = 10 }; /* ms between attempts at a full unix socket queue */

/*
 * Waits up to `most` ms until `fd` is writable (if it is -1, for the time only); 0, or -1 with
 * errno, ETIMEDOUT past `deadline`.
 */
static int wait_for(int fd, int64_t deadline, int64_t most)
{
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};
	int64_t left = deadline - clock_ms();

	if (left <= 0) {
		errno = ETIMEDOUT;
		return -1;
	}
	if (poll(&pfd, 1, (int)(left < most ? left : most)) < 0 && errno != EINTR)
		return -1;
	return 0;
}

int dial_begin(const struct address *to)
{
	int fd = socket(to->addr.ss_family, SOCK_STREAM, 0);

	if (fd < 0)
		return -1;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
	    (connect(fd, (const struct sockaddr *)&to->addr, to->len) == 0 ||
	        errno == EINPROGRESS || errno == EINTR))
		return fd;
	close_keeping_errno(fd);
	return -1;
}

int dial_outcome(int fd)
{
	int error = 0;
	socklen_t len = sizeof error;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		return -1;
	errno = error;
	return error == 0 ? 0 : -1;
}

/* Waits for the outcome of a connect that is under way. */
static int await_connect(int fd, int64_t deadline)
{
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};

	while (poll(&pfd, 1, 0) <= 0)
		if (wait_for(fd, deadline, INT_MAX) != 0)
			return -1;
	return dial_outcome(fd);
}

int dial_connect(const struct address *to, int64_t deadline)
{
	int fd = dial_begin(to);

	while (fd < 0 && errno == EAGAIN && wait_for(-1, deadline, RETRY_DELAY) == 0)
		fd = dial_begin(to);
	if (fd < 0 || await_connect(fd, deadline) == 0)
		return fd;
	close_keeping_errno(fd);
	return -1;
}
