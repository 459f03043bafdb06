/* SPDX-License-Identifier: ISC */
/*
 * notify: the datagram, and the environment variables.
 */
#include "base/notify.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/sys.h"

enum {
	MESSAGE_MAX = 512,
	WATCHDOG_MAX = 24 * 3600 * 1000, /* ms: feeding it more often does no harm */
};

/* Reads the address in NOTIFY_SOCKET, a path or "@name"; its length, or 0 if there is none. */
static socklen_t find_address(struct sockaddr_un *addr)
{
	const char *name = getenv("NOTIFY_SOCKET");
	size_t len = name == NULL ? 0 : strlen(name);

	*addr = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (len < 2 || len >= sizeof addr->sun_path || (name[0] != '/' && name[0] != '@'))
		return 0;
	memcpy(addr->sun_path, name, len);
	if (name[0] == '@')
		addr->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'));
}

bool notify_wanted(void)
{
	struct sockaddr_un addr;

	return find_address(&addr) > 0;
}

static void send_to(const struct sockaddr_un *addr, socklen_t len, const char *text, size_t size)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	if (fd < 0)
		return;
	if (sys_cloexec(fd) == 0)
		(void)sendto(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT,
		    (const struct sockaddr *)addr, len);
	close(fd);
}

void notify_send(const char *format, ...)
{
	struct sockaddr_un addr;
	socklen_t len = find_address(&addr);
	char text[MESSAGE_MAX];
	va_list args;
	int n;

	if (len == 0)
		return;
	va_start(args, format);
	n = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (n > 0)
		send_to(&addr, len, text, n < MESSAGE_MAX ? (size_t)n : MESSAGE_MAX - 1);
}

int64_t notify_watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	char ours[24];
	long long time;

	snprintf(ours, sizeof ours, "%ld", (long)getpid());
	if (usec == NULL || (pid != NULL && strcmp(pid, ours) != 0))
		return 0;
	time = strtoll(usec, NULL, 10) / 1000;
	return time < 0 ? 0 : time < WATCHDOG_MAX ? time : WATCHDOG_MAX;
}
