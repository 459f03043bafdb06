/* SPDX-License-Identifier: ISC */
/*
 * inherited: the variables, and the sockets that they describe.
 */
#include "daemon/inherited.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int inherited_count(void)
{
	const char *pid = getenv("LISTEN_PID");
	const char *fds = getenv("LISTEN_FDS");
	char ours[24];
	long count;

	snprintf(ours, sizeof ours, "%ld", (long)getpid());
	if (pid == NULL || fds == NULL || strcmp(pid, ours) != 0)
		return 0;
	count = strtol(fds, NULL, 10);
	return count < 0 || count > 1024 ? 0 : (int)count;
}

void inherited_forget(void)
{
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

bool inherited_has(const struct address *address)
{
	int count = inherited_count();

	for (int fd = INHERITED_FIRST; fd < INHERITED_FIRST + count; fd++)
		if (address_is_bound(address, fd))
			return true;
	return false;
}

/* On some systems the length includes the terminator, on others it does not. */
static void unix_text(const struct sockaddr_un *un, socklen_t len, char *text, size_t size)
{
	size_t start = offsetof(struct sockaddr_un, sun_path);
	const char *path = un->sun_path;
	size_t room = len > start ? len - start : 0;

	if (room > 0 && path[0] == '\0')
		snprintf(text, size, "unix:@%.*s", (int)room - 1, path + 1);
	else
		snprintf(text, size, "unix:%.*s", (int)room, path);
}

void inherited_text(int fd, char text[ADDRESS_URL_MAX])
{
	struct sockaddr_un un = {.sun_family = AF_UNSPEC};
	socklen_t len = sizeof un;
	struct address_peer own = {.len = sizeof own.addr};
	char where[ADDRESS_URL_MAX / 2] = "";

	if (getsockname(fd, (struct sockaddr *)&un, &len) != 0) {
		snprintf(text, ADDRESS_URL_MAX, "inherited socket %d", fd);
		return;
	}
	memcpy(&own.addr, &un, sizeof own.addr);
	if (un.sun_family == AF_UNIX)
		unix_text(&un, len, where, sizeof where);
	else
		address_text(&own, where);
	snprintf(text, ADDRESS_URL_MAX, "inherited socket %d (%s)", fd, where);
}
