/* SPDX-License-Identifier: ISC */
/*
 * packet: sendmsg and recvmsg with SCM_RIGHTS, and SCM_CREDENTIALS where there is one.
 */
#include "base/packet.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sys.h"

/* Asks the kernel to name the sender of each packet, where it can. */
static void ask_for_senders(int end)
{
#ifdef SO_PASSCRED
	int on = 1;

	(void)setsockopt(end, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
#else
	(void)end;
#endif
}

static int make_pair(int ends[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0)
		return -1;
	if (sys_cloexec(ends[0]) == 0 && sys_cloexec(ends[1]) == 0 && sys_nonblock(ends[0]) == 0)
		return 0;
	close_keeping_errno(ends[0]);
	close_keeping_errno(ends[1]);
	ends[0] = ends[1] = -1;
	return -1;
}

/*
 * Some systems throw away what was received when receiving ends: found out by trying.  1: this
 * one keeps it, 0: it does not, or -1 with errno if that cannot be tried now.
 */
static int keeps_packets(void)
{
	char byte = 0;
	int ends[2];
	bool keeps;

	if (make_pair(ends) != 0)
		return -1;
	keeps = send(ends[1], "x", 1, MSG_NOSIGNAL) == 1;
	packet_close(ends[0]);
	keeps = keeps && recv(ends[0], &byte, 1, 0) == 1 && byte == 'x' &&
	    send(ends[1], "x", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE;
	close(ends[0]);
	close(ends[1]);
	return keeps;
}

int packet_pair(int ends[2])
{
	static int known = -1;

	ends[0] = ends[1] = -1;
	if (known < 0)
		known = keeps_packets();
	if (known == 0)
		errno = ENOTSUP;
	if (known <= 0 || make_pair(ends) != 0)
		return -1;
	ask_for_senders(ends[0]);
	return 0;
}

/* Room for descriptors: a header, then their numbers. */
union rights {
	struct cmsghdr header;
	char room[CMSG_SPACE(PACKET_FDS_MAX * sizeof(int))];
};

int packet_send(int end, const void *bytes, size_t len, const int *fds, size_t count)
{
	union rights control;
	struct iovec piece = {.iov_len = len};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	ssize_t sent;

	memcpy(&piece.iov_base, &bytes, sizeof piece.iov_base); /* it is not written to */
	if (count > 0) {
		memset(&control, 0, sizeof control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = (socklen_t)CMSG_LEN(count * sizeof *fds);
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof *fds);
		message.msg_control = control.room;
		message.msg_controllen = (socklen_t)CMSG_SPACE(count * sizeof *fds);
	}
	do {
		sent = sendmsg(end, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -1 : 0;
}

static void close_rights(const struct cmsghdr *item)
{
	size_t len = item->cmsg_len - CMSG_LEN(0);

	for (size_t at = 0; at + sizeof(int) <= len; at += sizeof(int)) {
		int fd;

		memcpy(&fd, CMSG_DATA(item) + at, sizeof fd);
		close(fd);
	}
}

/* The next item of `message`, or NULL.  musl's macro mixes signs. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
static struct cmsghdr *next_item(struct msghdr *message, struct cmsghdr *item)
{
	return CMSG_NXTHDR(message, item);
}
#pragma GCC diagnostic pop

/* Looks through what came with the packet. */
static pid_t find_sender(struct msghdr *message)
{
	pid_t sender = 0;

	for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item != NULL;
	     item = next_item(message, item)) {
		if (item->cmsg_level != SOL_SOCKET)
			continue;
		if (item->cmsg_type == SCM_RIGHTS)
			close_rights(item);
#if defined(SO_PASSCRED) && defined(HAVE_STRUCT_UCRED_UID)
		if (item->cmsg_type == SCM_CREDENTIALS) {
			struct ucred user;

			memcpy(&user, CMSG_DATA(item), sizeof user);
			sender = user.pid;
		}
#endif
	}
	return sender;
}

/*
 * ECONNRESET says, once and before what is still queued, that the other end was closed with
 * packets unread: the queued ones count.
 */
static ssize_t receive(int end, struct msghdr *message)
{
	bool is_reset = false;

	for (;;) {
		ssize_t len = recvmsg(end, message, MSG_DONTWAIT);

		if (len >= 0 || (errno != EINTR && (errno != ECONNRESET || is_reset)))
			return len;
		is_reset = is_reset || errno == ECONNRESET;
	}
}

ssize_t packet_receive(int end, void *bytes, size_t size, pid_t *sender)
{
	union {
		struct cmsghdr align;
		char room[128];
	} control;
	struct iovec piece = {.iov_base = bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &piece,
	    .msg_iovlen = 1,
	    .msg_control = control.room,
	    .msg_controllen = sizeof control.room};
	ssize_t len = receive(end, &message);

	*sender = 0;
	if (len < 0)
		return -1;
	*sender = find_sender(&message);
	if ((message.msg_flags & MSG_TRUNC) == 0)
		return len;
	errno = EMSGSIZE;
	return -1;
}

void packet_close(int end)
{
	(void)shutdown(end, SHUT_RD);
}
