/* SPDX-License-Identifier: ISC */
/*
 * check_fd: closing on the way out.
 */
#include "check_util.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"

START_TEST(an_error_outlives_the_close)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	errno = ENOSPC;
	close_keeping_errno(fds[0]);
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_int_eq(fcntl(fds[0], F_GETFD), -1);
	errno = ENOSPC;
	close_keeping_errno(fds[0]); /* EBADF */
	ck_assert_int_eq(errno, ENOSPC);
	close_keeping_errno(fds[1]);
}
END_TEST

START_TEST(none_is_not_closed)
{
	errno = ENOSPC;
	close_keeping_errno(-1);
	ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, an_error_outlives_the_close);
	tcase_add_test(tcase, none_is_not_closed);
}

int main(void)
{
	return check_main("fd", add);
}
