/* SPDX-License-Identifier: ISC */
/*
 * packet: a pair of local sockets for packets, with descriptors in them.
 *
 * A packet (SOCK_SEQPACKET) is there whole or not at all, so neither side ever has a part of a
 * message, and one that does not fit is not sent.
 */
#ifndef CGIBRIDGE_PACKET_H
#define CGIBRIDGE_PACKET_H

#include <stddef.h>
#include <sys/types.h>

#include "base/attributes.h"

enum { PACKET_FDS_MAX = 3 };

/*
 * Makes a pair of connected sockets, both close-on-exec.  Ours, ends[0], does not block, and
 * learns who sends to it.  0, or -1 with errno, and both are -1: ENOTSUP where packet_close()
 * could not do what it says.
 */
int packet_pair(int ends[2]) MUST_CHECK;

/*
 * Sends a packet with copies of `count` descriptors, without waiting.  0, or -1 with errno:
 * EAGAIN, ENOBUFS or EMSGSIZE if it does not fit now, or ever; EPIPE if the other end is closed.
 */
int packet_send(int end, const void *bytes, size_t len, const int *fds, size_t count) MUST_CHECK;

/*
 * Receives a packet without waiting.  `*sender` is the process that has sent it, according to
 * the kernel; 0: not known.  Returns its length, 0 when there will be no more, or -1 with
 * errno: EAGAIN; EMSGSIZE for one of more than `size` bytes, which is dropped.  Descriptors
 * that come with it are closed.
 */
ssize_t packet_receive(int end, void *bytes, size_t size, pid_t *sender) MUST_CHECK;

/*
 * From here on, a packet sent to `end` fails with EPIPE for its sender; those sent before can
 * still be received.  So a sender knows whether its packet counts.
 */
void packet_close(int end);

#endif
