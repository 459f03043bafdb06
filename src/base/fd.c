/* SPDX-License-Identifier: ISC */
/*
 * fd: close(2) without losing errno.
 */
#include "base/fd.h"

#include <errno.h>
#include <unistd.h>

void close_keeping_errno(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
}
