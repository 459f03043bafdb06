/* SPDX-License-Identifier: ISC */
/*
 * main: wiring only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handover.h"
#include "listener.h"
#include "log.h"
#include "options.h"
#include "supervisor.h"
#include "sys.h"

/* systemd.exec(5): JOURNAL_STREAM names the device and inode of a stderr that is the journal. */
static enum log_form choose_log_form(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char ours[64];
	struct stat info;

	if (stream == NULL || fstat(STDERR_FILENO, &info) != 0)
		return LOG_FORM_PLAIN;
	snprintf(ours, sizeof ours, "%llu:%llu", (unsigned long long)info.st_dev,
	    (unsigned long long)info.st_ino);
	return strcmp(stream, ours) == 0 ? LOG_FORM_JOURNAL : LOG_FORM_PLAIN;
}

static int serve(const struct options *options, struct handover *handover, char **argv)
{
	struct listeners listeners;
	int status;

	switch (listeners_open(&listeners, options, handover)) {
	case LISTENER_OK:
		break;
	case LISTENER_NONE:
		fprintf(stderr, "cgibridge: no socket: give one with --socket, or have it inherited "
				"(--help)\n");
		return 2;
	case LISTENER_FAILED:
		return 1;
	}
	if (handover->role == HANDOVER_TRIAL) {
		listeners_abandon(&listeners);
		return 0;
	}
	status = supervisor_run(options, &listeners, handover, argv);
	listeners_unlink(&listeners);
	listeners_close(&listeners);
	return status;
}

int main(int argc, char **argv)
{
	struct options options;
	struct handover handover;
	int status = 0;

	if (handover_take(&handover) != 0)
		return 1;
	/* signals that came during the exec of a reload wait for their handler */
	sys_signals_reset(handover.role == HANDOVER_HEIR);
	if (sys_open_stdio() != 0)
		return 1;
	sys_cloexec_from(STDERR_FILENO + 1);
	switch (options_parse(&options, argc, argv)) {
	case OPTIONS_RUN:
		log_open((enum log_level)options.log_level, choose_log_form());
		status = serve(&options, &handover, argv);
		break;
	case OPTIONS_DONE:
		break;
	case OPTIONS_USAGE:
		status = 2;
		break;
	}
	options_fini(&options);
	handover_fini(&handover);
	return status;
}
