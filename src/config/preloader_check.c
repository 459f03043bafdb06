/* SPDX-License-Identifier: ISC */
/*
 * preloader_check: a worker's side of the protocol, up to the first message.
 */
#include "config/preloader_check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/packet.h"
#include "base/sys.h"

extern char **environ;

/* Starts it with `socket` as its descriptor 0; its pid, or -1 with errno. */
static pid_t run(const struct value_preload *preload, bool learn, int socket)
{
	static char word[] = "--learn";
	char **argv = calloc(preload->argc + 2, sizeof *argv);
	int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct sys_program program = {.path = preload->argv[0],
	    .argv = argv,
	    .envp = environ,
	    .dir = "/",
	    .stdio = {socket, null_fd, STDERR_FILENO}};
	struct sys_fault fault = {.error = errno}; /* of the two above, if one has failed */
	pid_t pid = -1;

	if (argv != NULL && null_fd >= 0) {
		memcpy(argv, preload->argv, preload->argc * sizeof *argv);
		argv[preload->argc] = learn ? word : NULL;
		pid = sys_spawn(&program, &fault);
	}
	close_keeping_errno(null_fd);
	free(argv);
	errno = fault.error;
	return pid;
}

/* 1 when something is to be received, 0 when the time is up, or -1 with errno. */
static int wait_for_packet(int end)
{
	int64_t until = clock_ms() + PRELOADER_CHECK_TIME;
	struct pollfd item = {.fd = end, .events = POLLIN};
	int found = -1;

	for (int64_t left = PRELOADER_CHECK_TIME; left > 0 && found < 0; left = until - clock_ms()) {
		found = poll(&item, 1, (int)left);
		if (found < 0 && errno != EINTR)
			return -1;
	}
	return found > 0;
}

static int receive_ready(int end, struct fault *why)
{
	static const char wanted[] = "ready\0" "1"; /* with the NUL at its end */
	char packet[1024];
	pid_t sender;
	ssize_t len;

	len = wait_for_packet(end);
	if (len == 0)
		return fault_set(why, "it was not ready after %d s", PRELOADER_CHECK_TIME / 1000);
	if (len > 0)
		len = packet_receive(end, packet, sizeof packet, &sender);
	if (len < 0)
		return fault_set(why, "its answer cannot be received: %s", strerror(errno));
	if (len == 0)
		return fault_set(why, "it ended before it was ready");
	if (len < (ssize_t)sizeof wanted || memcmp(packet, wanted, sizeof wanted) != 0)
		return fault_set(why, "it does not speak the protocol of cgibridge-preload(7)");
	return 0;
}

int preloader_check(const struct value_preload *preload, bool learn, struct fault *why)
{
	int ends[2];
	pid_t pid;
	int failed;

	if (packet_pair(ends) != 0)
		return fault_set(why, "no sockets for a preloader: %s", strerror(errno));
	pid = run(preload, learn, ends[1]);
	failed = pid < 0 ? fault_set(why, "cannot be started: %s", strerror(errno)) : 0;
	close(ends[1]);
	if (pid > 0) {
		failed = receive_ready(ends[0], why);
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL); /* it may have left its group */
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(ends[0]);
	return failed;
}
