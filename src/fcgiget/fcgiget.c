/* SPDX-License-Identifier: ISC */
/*
 * fcgiget: FastCGI requests from the shell: main(), and its choice of the action.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fcgiget/check.h"
#include "fcgiget/doctor.h"
#include "fcgiget/fcgiget_options.h"
#include "fcgiget/load.h"
#include "fcgiget/report.h"
#include "fcgiget/session.h"
#include "fcgiget/verdict.h"

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

static int run_load(const struct fcgiget_options *o)
{
	struct outcomes outcomes;
	enum exit_status status = load_run(o, o->requests, o->connections, &outcomes);

	if (status != EXIT_OK) {
		fprintf(stderr, "fcgiget: %s\n", outcomes.error);
		return (int)status;
	}
	if (o->json)
		report_json(&outcomes, o);
	else
		report_text(&outcomes, o);
	return outcomes_verdict(&outcomes);
}

static int ask(const struct fcgiget_options *o)
{
	if (o->check)
		return (int)check_run(o);
	if (o->doctor)
		return (int)doctor_start(o);
	return o->requests > 0 ? run_load(o) : (int)session_start(o);
}

static int perform(const struct fcgiget_options *o)
{
	switch (o->action) {
	case ACTION_HELP:
		return (int)print_help();
	case ACTION_VERSION:
		return (int)print_version();
	case ACTION_REQUEST:
	case ACTION_VALUES:
		return ask(o);
	}
	return EXIT_USAGE;
}

/* The status for a wrong command line; with --check a plug-in's status, and its line. */
static int refuse(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--check") == 0)
			return (int)check_refuse("wrong command line; standard error says more");
	return EXIT_USAGE;
}

/*
 * Occupies standard descriptors that the caller has closed, or a socket would get their number.
 * They are opened in the wrong direction: using them still fails.
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
	int status;

	if (occupy_standard() != 0)
		return EXIT_USAGE;
	signal(SIGPIPE, SIG_IGN);
	if (fcgiget_options_parse(&options, argc, argv) == 0)
		status = perform(&options);
	else
		status = refuse(argc, argv);
	if (fflush(stdout) != 0) {
		enum exit_status unwritten =
		    complain(EXIT_WRITE, "standard output", strerror(errno));

		if (options.check)
			status = CHECK_UNKNOWN;
		else if (status == EXIT_OK)
			status = (int)unwritten;
	}
	fcgiget_options_fini(&options);
	return status;
}
