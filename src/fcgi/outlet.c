/* SPDX-License-Identifier: ISC */
/*
 * outlet: records from memory, and content from pipes, to a socket.
 */
#include "fcgi/outlet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/sys.h"

/*
 * A unix socket treats the bytes of one send as one piece: until the client has read the last
 * of them, outlet_taken() does not change.
 */
enum { SEND_MAX = 64 * 1024 };

void outlet_init(struct outlet *outlet, size_t max)
{
	*outlet = (struct outlet){.socket = -1, .pipe = -1};
	buf_init(&outlet->records, max);
}

static void return_loan(struct outlet *outlet)
{
	if (outlet->loan != NULL)
		*outlet->loan = NULL;
	outlet->loan = NULL;
	outlet->lent_len = 0;
}

void outlet_fini(struct outlet *outlet)
{
	return_loan(outlet);
	buf_fini(&outlet->records);
}

size_t outlet_waiting(const struct outlet *outlet)
{
	return outlet->header_left + outlet->left + outlet->lent_len + buf_len(&outlet->records);
}

int64_t outlet_taken(const struct outlet *outlet)
{
	size_t unsent = outlet->socket < 0 ? 0 : sys_unsent(outlet->socket);

	return (int64_t)(outlet->sent - unsent);
}

int64_t outlet_end(const struct outlet *outlet)
{
	return (int64_t)(outlet->sent + outlet_waiting(outlet));
}

bool outlet_is_moving(const struct outlet *outlet, int fd)
{
	return outlet->left > 0 && outlet->pipe == fd;
}

/* ---- bytes from memory ---------------------------------------------------------- */

/* Counts the `n` bytes of a send(2); returns `n`, or 0 when the socket is full. */
static ssize_t count_sent(struct outlet *outlet, ssize_t n)
{
	if (n > 0)
		outlet->sent += (uint64_t)n;
	return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : n;
}

static ssize_t send_some(struct outlet *outlet, const void *bytes, size_t len, int flags)
{
	ssize_t n;

	if (len > SEND_MAX)
		len = SEND_MAX;
	do {
		n = send(outlet->socket, bytes, len, flags | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return count_sent(outlet, n);
}

/* As send_some(), for the lent bytes and the records after them, in one call. */
static ssize_t send_lent(struct outlet *outlet, int flags)
{
	size_t lent = outlet->lent_len < SEND_MAX ? outlet->lent_len : SEND_MAX;
	size_t more = buf_len(&outlet->records);
	struct iovec parts[2] = {
	    /* sendmsg(2) takes void *, but only reads the bytes */
	    /* NOLINTNEXTLINE(performance-no-int-to-ptr): the integer was a pointer */
	    {.iov_base = (void *)(uintptr_t)outlet->lent, .iov_len = lent},
	    {.iov_base = buf_bytes(&outlet->records),
		.iov_len = more < SEND_MAX - lent ? more : SEND_MAX - lent},
	};
	struct msghdr message = {
	    .msg_iov = parts, .msg_iovlen = parts[1].iov_len > 0 ? 2 : 1};
	ssize_t n;

	do {
		n = sendmsg(outlet->socket, &message, flags | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return count_sent(outlet, n);
}

static void consume(struct outlet *outlet, size_t n)
{
	size_t lent = n < outlet->lent_len ? n : outlet->lent_len;

	if (lent > 0) {
		outlet->lent += lent;
		outlet->lent_len -= lent;
		if (outlet->lent_len == 0)
			return_loan(outlet);
	}
	buf_consume(&outlet->records, n - lent);
}

static int send_records(struct outlet *outlet, int flags)
{
	while (outlet->lent_len > 0 || buf_len(&outlet->records) > 0) {
		ssize_t n = outlet->lent_len > 0
		    ? send_lent(outlet, flags)
		    : send_some(outlet, buf_bytes(&outlet->records), buf_len(&outlet->records), flags);

		if (n <= 0) {
			outlet_keep(outlet);
			return (int)n;
		}
		consume(outlet, (size_t)n);
	}
	buf_release(&outlet->records);
	return 0;
}

/* Makes room for `len` bytes in front of the records; NULL if there is no memory. */
static unsigned char *open_front(struct outlet *outlet, size_t len)
{
	unsigned char *front;

	if (buf_reserve(&outlet->records, len) == NULL)
		return NULL;
	front = buf_bytes(&outlet->records);
	memmove(front + len, front, buf_len(&outlet->records));
	buf_commit(&outlet->records, len);
	return front;
}

bool outlet_lend(struct outlet *outlet, const unsigned char *bytes, size_t len,
    struct outlet **loan)
{
	if (outlet->socket < 0 || outlet_waiting(outlet) > 0)
		return false;
	outlet->lent = bytes;
	outlet->lent_len = len;
	outlet->loan = loan;
	*loan = outlet;
	return true;
}

void outlet_keep(struct outlet *outlet)
{
	unsigned char *front = NULL;

	if (outlet->lent_len > 0)
		front = open_front(outlet, outlet->lent_len);
	if (front != NULL)
		memcpy(front, outlet->lent, outlet->lent_len);
	else if (outlet->lent_len > 0)
		outlet->broken = OUTLET_NO_MEMORY;
	return_loan(outlet);
}

/* ---- a record whose content is in a pipe ------------------------------------------ */

static int send_header(struct outlet *outlet)
{
	const unsigned char *at = outlet->header + FCGI_HEADER_LEN - outlet->header_left;
	ssize_t n = send_some(outlet, at, outlet->header_left, MSG_MORE);

	if (n > 0)
		outlet->header_left -= (unsigned char)n;
	return n < 0 ? -1 : 0;
}

/* Reads `len` bytes that should be waiting in `fd`; false if they are not. */
static bool read_whole(int fd, unsigned char *to, size_t len)
{
	while (len > 0) {
		ssize_t n = read(fd, to, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		to += n;
		len -= (size_t)n;
	}
	return true;
}

/* Reads the rest of the record being sent into memory, in front of the records there. */
static void read_into_memory(struct outlet *outlet)
{
	size_t head = outlet->header_left;
	unsigned char *front = open_front(outlet, head + outlet->left);

	if (front == NULL) {
		outlet->broken = OUTLET_NO_MEMORY;
	} else {
		memcpy(front, outlet->header + FCGI_HEADER_LEN - head, head);
		if (!read_whole(outlet->pipe, front + head, outlet->left))
			outlet->broken = OUTLET_TAKEN_BACK;
	}
	outlet->header_left = 0;
	outlet->left = 0;
}

static int send_content(struct outlet *outlet)
{
	while (outlet->left > 0) {
		ssize_t n = sys_move(outlet->pipe, outlet->socket, outlet->left);

		if (n > 0) {
			outlet->left = (uint16_t)(outlet->left - n);
			outlet->sent += (uint64_t)n;
		} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			/* if the socket has failed, the next send reports that again */
			outlet->copies = true;
			read_into_memory(outlet);
		} else if (n == 0 || errno == EAGAIN) {
			/* the socket is full, or another process has read the content */
			if (sys_readable(outlet->pipe) >= outlet->left)
				return 0;
			outlet->broken = OUTLET_TAKEN_BACK;
			return -1;
		}
	}
	return 0;
}

/* ---- both ----------------------------------------------------------------------- */

static int send_all(struct outlet *outlet, int flags)
{
	if (outlet->broken != OUTLET_FINE)
		return -1;
	if (outlet->header_left > 0 && send_header(outlet) != 0)
		return -1;
	if (outlet->header_left == 0 && send_content(outlet) != 0)
		return -1;
	if (outlet->broken != OUTLET_FINE)
		return -1;
	return outlet->left > 0 ? 0 : send_records(outlet, flags);
}

int outlet_flush(struct outlet *outlet)
{
	return send_all(outlet, 0);
}

int outlet_flush_last(struct outlet *outlet)
{
	return send_all(outlet, MSG_MORE);
}

bool outlet_move(struct outlet *outlet, uint16_t id, int fd, size_t len)
{
	if (outlet->copies || outlet->socket < 0 || outlet_waiting(outlet) > 0)
		return false;
	fcgi_put_header(outlet->header, FCGI_STDOUT, id, len, 0);
	outlet->header_left = FCGI_HEADER_LEN;
	outlet->pipe = fd;
	outlet->left = (uint16_t)len;
	send_all(outlet, 0); /* the owner of the socket sees a failure at its next flush */
	return true;
}

void outlet_recall(struct outlet *outlet, int fd)
{
	if (outlet_is_moving(outlet, fd))
		read_into_memory(outlet);
}
