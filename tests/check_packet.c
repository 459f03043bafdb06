/* SPDX-License-Identifier: ISC */
/*
 * check_packet: packets, descriptors in them, and what the kernel promises about their end.
 */
#include "check_util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/packet.h"

static int ends[2];
static char bytes[64];
static pid_t sender;

/* The first pair of a process, when there are descriptors for one only, and for none. */
static void first_pairs(void)
{
	struct rlimit before;
	struct rlimit tight;
	int lowest = dup(STDERR_FILENO);

	close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	for (int room = 0; room <= 2; room++) {
		tight.rlim_cur = (rlim_t)(lowest + room);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
		ck_assert_int_eq(packet_pair(ends), room < 2 ? -1 : 0);
		ck_assert(room == 2 || (errno == EMFILE && ends[0] == -1 && ends[1] == -1));
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* valgrind has an account of its own of how many descriptors there may be. */
static void setup(void)
{
	if (!is_under_valgrind())
		first_pairs();
	else
		ck_assert_int_eq(packet_pair(ends), 0);
}

static void teardown(void)
{
	close(ends[0]);
	close(ends[1]);
}

static ssize_t receive(int end)
{
	return packet_receive(end, bytes, sizeof bytes, &sender);
}

START_TEST(packets_stay_what_they_were)
{
	ck_assert_int_eq(packet_send(ends[1], "one", 3, NULL, 0), 0);
	ck_assert_int_eq(packet_send(ends[1], "two!", 4, NULL, 0), 0);
	ck_assert_int_eq(receive(ends[0]), 3);
	ck_assert_int_eq(memcmp(bytes, "one", 3), 0);
	ck_assert_int_eq(receive(ends[0]), 4);
	ck_assert_int_eq(receive(ends[0]), -1);
	ck_assert_int_eq(errno, EAGAIN);
	close(ends[1]);
	ends[1] = -1;
	ck_assert_int_eq(receive(ends[0]), 0);
}
END_TEST

START_TEST(what_was_sent_counts_with_packets_unread)
{
	ck_assert_int_eq(packet_send(ends[0], "unread", 6, NULL, 0), 0);
	ck_assert_int_eq(packet_send(ends[1], "sent", 4, NULL, 0), 0);
	close(ends[1]);
	ends[1] = -1;
	ck_assert_int_eq(receive(ends[0]), 4);
	ck_assert_int_eq(receive(ends[0]), 0);
}
END_TEST

START_TEST(the_kernel_names_the_sender)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(packet_send(ends[1], "child", 5, NULL, 0) == 0 ? 0 : 1);
	ck_assert_int_eq(wait_for(pid), 0); /* it has been reaped by then */
	ck_assert_int_eq(receive(ends[0]), 5);
#ifdef SO_PASSCRED
	ck_assert_int_eq(sender, pid);
	ck_assert_int_eq(packet_send(ends[1], "us", 2, NULL, 0), 0);
	ck_assert_int_eq(receive(ends[0]), 2);
	ck_assert_int_eq(sender, getpid());
#endif
}
END_TEST

START_TEST(one_that_is_too_long_is_dropped)
{
	char more[sizeof bytes + 1];

	memset(more, 'x', sizeof more);
	ck_assert_int_eq(packet_send(ends[1], more, sizeof more, NULL, 0), 0);
	ck_assert_int_eq(packet_send(ends[1], more, sizeof bytes, NULL, 0), 0);
	ck_assert_int_eq(receive(ends[0]), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_int_eq(receive(ends[0]), sizeof bytes);
}
END_TEST

START_TEST(a_full_socket_does_not_block)
{
	static char large[64 * 1024];
	int sent = 0;

	while (packet_send(ends[0], large, sizeof large, NULL, 0) == 0)
		ck_assert_int_lt(sent++, 1000);
	ck_assert(errno == EAGAIN || errno == ENOBUFS);
	ck_assert_int_gt(sent, 0);
	ck_assert_int_eq(packet_send(ends[0], large, 128 * 1024, NULL, 0), -1);
}
END_TEST

START_TEST(the_largest_request_fits)
{
	static char large[128 * 1024];

	ck_assert_int_eq(packet_send(ends[0], large, sizeof large, NULL, 0), 0);
}
END_TEST

/* Receives a packet with up to three descriptors; how many there were. */
static size_t receive_fds(int fds[3])
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(3 * sizeof(int))];
	} control;
	struct iovec piece = {bytes, sizeof bytes};
	struct msghdr message = {.msg_iov = &piece,
	    .msg_iovlen = 1,
	    .msg_control = control.room,
	    .msg_controllen = sizeof control.room};
	const struct cmsghdr *item;

	ck_assert_int_gt(recvmsg(ends[1], &message, MSG_DONTWAIT), 0);
	item = CMSG_FIRSTHDR(&message);
	if (item == NULL)
		return 0;
	memcpy(fds, CMSG_DATA(item), item->cmsg_len - CMSG_LEN(0));
	return (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
}

START_TEST(descriptors_go_with_it)
{
	int before = count_fds();
	int pipes[2][2];
	int got[3];
	char byte;

	ck_assert_int_eq(pipe(pipes[0]) | pipe(pipes[1]), 0);
	ck_assert_int_eq(packet_send(ends[0], "x", 1,
	    (int[]){pipes[0][0], pipes[0][1], pipes[1][1]}, 3), 0);
	close(pipes[0][0]);
	close(pipes[0][1]);
	ck_assert_uint_eq(receive_fds(got), 3);
	ck_assert_int_eq(write(got[1], "y", 1), 1);
	ck_assert_int_eq(read(got[0], &byte, 1), 1);
	ck_assert_int_eq(byte, 'y');
	for (int i = 0; i < 3; i++)
		close(got[i]);
	close(pipes[1][0]);
	close(pipes[1][1]);
	ck_assert_int_eq(packet_send(ends[0], "x", 1, NULL, 0), 0);
	ck_assert_uint_eq(receive_fds(got), 0);
	ck_assert_int_eq(count_fds(), before);
}
END_TEST

START_TEST(descriptors_that_nobody_asked_for)
{
	int before = count_fds();

	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(packet_send(ends[1], "x", 1, (int[]){0, 1, 2}, 3), 0);
		ck_assert_int_eq(receive(ends[0]), 1);
	}
	ck_assert_int_eq(count_fds(), before);
}
END_TEST

START_TEST(what_was_sent_before_the_end_counts)
{
	ck_assert_int_eq(packet_send(ends[1], "before", 6, NULL, 0), 0);
	packet_close(ends[0]);
	ck_assert_int_eq(packet_send(ends[1], "after", 5, NULL, 0), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_int_eq(receive(ends[0]), 6);
	ck_assert_int_eq(receive(ends[0]), 0);
}
END_TEST

/*
 * Several processes send until they may not, and each says how often it could: no packet of
 * theirs is lost, and none comes that its sender thinks was not sent.
 */
START_TEST(an_end_amid_many_senders)
{
	enum { SENDERS = 4, PACKETS = 400 };
	pid_t pids[SENDERS];
	int sent = 0;
	int came = 0;

	for (int i = 0; i < SENDERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			int n = 0;

			while (n < 250 && send(ends[1], "x", 1, MSG_NOSIGNAL) == 1)
				n++;
			_exit(n);
		}
	}
	while (came < PACKETS)
		came += receive(ends[0]) == 1;
	packet_close(ends[0]);
	while (receive(ends[0]) == 1)
		came++;
	for (int i = 0; i < SENDERS; i++)
		sent += wait_for(pids[i]);
	ck_assert_int_eq(came, sent);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, packets_stay_what_they_were);
	tcase_add_test(tcase, the_kernel_names_the_sender);
	tcase_add_test(tcase, one_that_is_too_long_is_dropped);
	tcase_add_test(tcase, a_full_socket_does_not_block);
	tcase_add_test(tcase, the_largest_request_fits);
	tcase_add_test(tcase, descriptors_go_with_it);
	tcase_add_test(tcase, descriptors_that_nobody_asked_for);
	tcase_add_test(tcase, what_was_sent_before_the_end_counts);
	tcase_add_test(tcase, what_was_sent_counts_with_packets_unread);
	tcase_add_test(tcase, an_end_amid_many_senders);
}

int main(void)
{
	return check_main("packet", add_tests);
}
