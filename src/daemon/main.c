/* SPDX-License-Identifier: ISC */
/*
 * main: wiring only.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stats/accesslog.h"
#include "daemon/handover.h"
#include "daemon/listener.h"
#include "base/log.h"
#include "base/log_stderr.h"
#include "base/log_syslog.h"
#include "base/safepath.h"
#include "config/options.h"
#include "daemon/supervisor.h"
#include "base/sys.h"

enum { TAKE_TRIES = 30 };

/* systemd.exec(5): JOURNAL_STREAM names the device and inode of a stderr that is the journal. */
static enum log_form choose_log_form(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char ours[64];
	struct stat info;

	if (isatty(STDERR_FILENO))
		return LOG_FORM_PLAIN;
	if (stream == NULL || fstat(STDERR_FILENO, &info) != 0)
		return LOG_FORM_DATED;
	snprintf(ours, sizeof ours, "%llu:%llu", (unsigned long long)info.st_dev,
	    (unsigned long long)info.st_ino);
	return strcmp(stream, ours) == 0 ? LOG_FORM_JOURNAL : LOG_FORM_DATED;
}

static bool uses_syslog(const struct options *options)
{
	return options->syslog != 0 || options->access_log.way == ACCESSLOG_SYSLOG;
}

/* 0, or -1, which has been logged: an access log that cannot be opened fails the start. */
static int open_logs(const struct options *options)
{
	int failed = 0;
	const struct accesslog_target *target = &options->access_log;

	log_open((enum log_level)options->log_level, choose_log_form());
	if (uses_syslog(options)) {
		failed = log_syslog_open(options->syslog_socket,
		    options->syslog != 0 ? options->syslog : log_facility_parse("daemon"));
		if (failed)
			log_error("no syslog daemon takes log lines at %s: %s (start it, or see "
			    "--syslog-socket)",
			    options->syslog_socket, strerror(errno));
	}
	if (options->syslog != 0) /* syslogd may come up later: stderr until then */
		log_open((enum log_level)options->log_level, LOG_FORM_SYSLOG);
	if (target->way == ACCESSLOG_NONE)
		return 0;
	if (target->way == ACCESSLOG_SYSLOG && failed)
		return -1;
	if (accesslog_open(target, (enum accesslog_form)options->access_log_format) == 0 &&
	    (!options->identity.has_user ||
		accesslog_give(options->identity.uid, options->identity.gid) == 0))
		return 0;
	log_error("access log %s cannot be opened: %s%s (it has to be writable for uid %ld)",
	    target->text, safepath_error(errno), errno == ENXIO ? ": nobody reads it" : "",
	    (long)geteuid());
	return -1;
}

/* A failed start is reported on stderr, a failed reload in the log of the old image. */
static void complain(const struct handover *handover, const char *text)
{
	if (handover->role == HANDOVER_NONE)
		fprintf(stderr, "cgibridge: %s\n", text);
	else
		log_error("%s", text);
}

/* The log until the options are known: on a reload, that of the old image. */
static void open_first_log(const struct handover *handover)
{
	log_open(LOG_LEVEL_INFO, choose_log_form());
	log_unblock();
	if (handover->syslog != 0 && handover->syslog_socket != NULL &&
	    log_syslog_open(handover->syslog_socket, handover->syslog) == 0)
		log_open(LOG_LEVEL_INFO, LOG_FORM_SYSLOG);
}

static void warn_of_option(const char *text)
{
	log_warn("%s", text);
}

/* Serves as the options say; returns the exit status. */
static int serve(const struct options *options, struct handover *handover, char **argv)
{
	struct listeners listeners;
	int status;

	if (open_logs(options) != 0)
		return 1;
	if (handover->role != HANDOVER_TRIAL) /* the heir warns */
		options_warn(options, warn_of_option);
	/* from here on a stop has to remove sockets, which the supervisor does */
	if (handover->role != HANDOVER_TRIAL)
		sys_signals_block(NULL);
	switch (listeners_open(&listeners, options, handover)) {
	case LISTENER_OK:
		break;
	case LISTENER_NONE:
		complain(handover, "no socket: give one with --socket, or have one inherited "
		    "(see --help)");
		return 2;
	case LISTENER_FAILED:
		return 1;
	}
	if (handover->role == HANDOVER_TRIAL) {
		listeners_abandon(&listeners, handover);
		return 0;
	}
	status = supervisor_run(options, &listeners, handover, argv);
	if (handover->role == HANDOVER_HEIR) { /* it has not taken over: the sockets stay served */
		listeners_abandon(&listeners, handover);
		return status;
	}
	listeners_unlink(&listeners);
	listeners_close(&listeners);
	return status;
}

static int start(struct handover *handover, int argc, char **argv)
{
	struct options options;
	struct options_fault fault;
	int status = 0;
	enum options_verdict verdict =
	    options_parse(&options, argc, (const char *const *)argv, &fault);

	if (verdict == OPTIONS_RUN && handover->role != HANDOVER_HEIR)
		verdict = options_rehearse(&options, &fault);
	switch (verdict) {
	case OPTIONS_RUN:
		status = serve(&options, handover, argv);
		accesslog_close();
		log_syslog_close();
		break;
	case OPTIONS_DONE:
		if (handover->role == HANDOVER_NONE)
			break;
		log_error("with --help, --version or --check nothing is served");
		status = 2;
		break;
	case OPTIONS_FAILED:
		complain(handover, fault.why.text);
		status = 1;
		break;
	case OPTIONS_USAGE:
		complain(handover, fault.why.text);
		status = 2;
		break;
	}
	options_fini(&options);
	return status;
}

/*
 * Without memory, waits for some, as supervisor_hold() does: if this process ended, the workers
 * that serve would, too.
 */
static int take_handover(struct handover *handover)
{
	int tries = TAKE_TRIES;

	while (handover_take(handover) != 0) {
		if (tries-- == 0)
			return -1;
		sleep(1);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct handover handover;
	int status;

	if (take_handover(&handover) != 0)
		return 1;
	/* signals from the exec of a reload stay blocked until they have handlers */
	sys_signals_reset(handover.role == HANDOVER_HEIR);
	/* one that takes over has them from the image before it */
	if (sys_open_stdio() != 0 && handover.role != HANDOVER_HEIR) {
		fprintf(stderr, "cgibridge: /dev/null cannot be opened: %s\n", strerror(errno));
		return 1;
	}
	/* scripts may run as the same user as this process */
	sys_close_to_others();
	sys_cloexec_from(STDERR_FILENO + 1);
	open_first_log(&handover);
	status = start(&handover, argc, argv);
	/* whatever has failed: a reload must not end the workers that serve */
	if (handover.role == HANDOVER_HEIR) {
		open_first_log(&handover);
		status = supervisor_hold(&handover, argv);
	}
	handover_fini(&handover);
	log_stderr_close();
	return status;
}
