/* SPDX-License-Identifier: ISC */
/*
 * fcgiget: FastCGI requests from the shell.  Here is what main() wires.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fcgiget_options.h"
#include "session.h"
#include "verdict.h"

static enum exit_status print_version(void)
{
	printf("fcgiget " PACKAGE_VERSION "\n");
	return EXIT_OK;
}

static enum exit_status print_help(void)
{
	fcgiget_options_help();
	return EXIT_OK;
}

static enum exit_status perform(const struct fcgiget_options *o)
{
	switch (o->action) {
	case ACTION_HELP:
		return print_help();
	case ACTION_VERSION:
		return print_version();
	case ACTION_REQUEST:
	case ACTION_VALUES:
		return session_start(o);
	}
	return EXIT_USAGE;
}

/*
 * Occupies standard descriptors that the caller closed, so that no socket gets
 * their number; the wrong way round, so that using them still fails.
 */
static int occupy_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		if (open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY) != fd)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct fcgiget_options options;
	enum exit_status status = EXIT_USAGE;

	if (occupy_standard() != 0)
		return EXIT_USAGE;
	signal(SIGPIPE, SIG_IGN);
	if (fcgiget_options_parse(&options, argc, argv) == 0)
		status = perform(&options);
	fcgiget_options_fini(&options);
	if (fflush(stdout) != 0 && status == EXIT_OK)
		status = complain(EXIT_WRITE, "standard output", strerror(errno));
	return (int)status;
}
