/* SPDX-License-Identifier: ISC */
/*
 * output: reopening, and asking before writing.
 */
#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- opening -------------------------------------------------------------------- */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_rdev == b->st_rdev;
}

/*
 * Reopens the file of `fd`, described by `info`, by its name in `folder`; -1 if that does not
 * help.
 */
static int open_name(const char *folder, int fd, const struct stat *info)
{
	char name[32];
	struct stat opened;
	int own;

	snprintf(name, sizeof name, "%s/%d", folder, fd);
	own = open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return -1;
	/* where the name only duplicates the descriptor, flags have no effect */
	if (fstat(own, &opened) == 0 && is_same_file(info, &opened) &&
	    (fcntl(own, F_GETFL) & O_NONBLOCK) != 0)
		return own;
	close(own);
	return -1;
}

static int open_again(int fd, const struct stat *info)
{
	int own = open_name("/proc/self/fd", fd, info);

	return own >= 0 ? own : open_name("/dev/fd", fd, info);
}

static bool may_wait(int fd, const struct stat *info)
{
	return S_ISFIFO(info->st_mode) || isatty(fd);
}

enum output_way output_way(int fd)
{
	struct stat info;

	if (fstat(fd, &info) != 0)
		return OUTPUT_WRITE; /* each write will report the error */
	if (S_ISSOCK(info.st_mode))
		return OUTPUT_SEND;
	return may_wait(fd, &info) && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0 ? OUTPUT_ASK
									     : OUTPUT_WRITE;
}

void output_open(struct output *output, int fd)
{
	struct stat info;
	int own = -1;

	if (fstat(fd, &info) == 0 && may_wait(fd, &info))
		own = open_again(fd, &info);
	output->fd = own >= 0 ? own : fd;
	output->way = output_way(output->fd);
}

/* ---- writing -------------------------------------------------------------------- */

/*
 * poll(2) promises room to one writer, but all our processes write here: a lock on the pipe
 * itself admits one at a time.  The kernel releases it when a process dies.  Systems that
 * cannot lock pipes do without.
 */
static int set_lock(int fd, short type)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET};

	return fcntl(fd, F_SETLK, &lock) < 0 && (errno == EACCES || errno == EAGAIN) ? -1 : 0;
}

static bool has_room(int fd, int ms)
{
	struct pollfd room = {.fd = fd, .events = POLLOUT};

	return poll(&room, 1, ms) > 0;
}

/* A writable pipe takes PIPE_BUF bytes without waiting; more is not guaranteed. */
static ssize_t write_if_room(int fd, const char *bytes, size_t len)
{
	ssize_t n = -1;
	int error;

	if (set_lock(fd, F_WRLCK) != 0) {
		errno = EAGAIN;
		return -1;
	}
	errno = EAGAIN;
	if (has_room(fd, 0))
		n = write(fd, bytes, len < PIPE_BUF ? len : PIPE_BUF);
	error = errno;
	(void)set_lock(fd, F_UNLCK);
	errno = error;
	return n;
}

ssize_t output_write(const struct output *output, const char *bytes, size_t len)
{
	ssize_t n = -1;

	do {
		switch (output->way) {
		case OUTPUT_WRITE:
			n = write(output->fd, bytes, len);
			break;
		case OUTPUT_SEND:
			n = send(output->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
			break;
		case OUTPUT_ASK:
			n = write_if_room(output->fd, bytes, len);
			break;
		}
	} while (n < 0 && errno == EINTR);
	return n;
}

bool output_is_full(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS;
}

void output_wait(const struct output *output, int ms)
{
	(void)has_room(output->fd, ms);
}
