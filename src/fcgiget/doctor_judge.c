/* SPDX-License-Identifier: ISC */
/*
 * doctor_judge: the findings of a run: its end, its output, and its time.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fcgiget/doctor_private.h"
#include "fcgiget/verdict.h"

enum {
	QUOTED = 5,       /* lines of a script's output */
	PATIENCE = 60000, /* ms: the default of nginx's fastcgi_read_timeout */
};

/* ---- the header block ----------------------------------------------------------- */

/* Whether one of the fields that make it a CGI response is there (RFC 3875 6.2). */
static bool has_cgi_field(const struct answer *answer)
{
	static const char *const fields[] = {"Content-Type:", "Location:", "Status:"};
	const char *at = (const char *)buf_bytes(&answer->head);
	const char *end = at + buf_len(&answer->head);

	while (at < end) {
		const char *next = memchr(at, '\n', (size_t)(end - at));

		for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
			if ((size_t)(end - at) > strlen(fields[i]) &&
			    strncasecmp(at, fields[i], strlen(fields[i])) == 0)
				return true;
		at = next == NULL ? end : next + 1;
	}
	return false;
}

static void explain_silence(struct doctor *doctor)
{
	doctor_fault(doctor, "output", "it wrote nothing to standard output");
	doctor_cure(doctor, "standard error, below if there is any, often says why");
	doctor_cure(doctor, "a response starts with a header block: print \"Content-Type: text/plain\", "
	    "an empty line, and then the page");
	doctor_cure(doctor, "what it wrote may be in a buffer that an abrupt end has lost: flush it");
}

static void explain_no_header(struct doctor *doctor, const struct doctor_run *run)
{
	const char *why = run->answer_error != 0 ? answer_explain(run->answer_error)
						 : answer_missing(&run->answer);

	doctor_fault(doctor, "header", "what it wrote is not a CGI response: %s", why);
	doctor_quote(run->output.bytes, run->output.len, QUOTED);
	doctor_cure(doctor, "write the header block first: \"Content-Type: text/html\" and an empty "
	    "line, before anything else");
	doctor_cure(doctor, "commands that print something before it: send that to standard error, "
	    ">&2");
}

static void judge_header(struct doctor *doctor, const struct doctor_run *run)
{
	const struct answer *answer = &run->answer;

	if (run->output.all == 0) {
		explain_silence(doctor);
		return;
	}
	if (answer->status < 100) {
		explain_no_header(doctor, run);
		return;
	}
	if (!has_cgi_field(answer)) {
		doctor_fault(doctor, "header", "none of Content-Type, Location and Status is there");
		doctor_quote((const char *)buf_bytes(&answer->head), buf_len(&answer->head), QUOTED);
		doctor_cure(doctor, "write a Content-Type: with --strict-headers this is a 500");
		doctor_cure(doctor, "is the empty line after the header block missing?");
		return;
	}
	if (answer->status >= 500) {
		doctor_fault(doctor, "header", "it answers with status %d itself", answer->status);
		doctor_cure(doctor, "its own log or standard error should say why");
		doctor_cure(doctor, "parameters that it needs: -p NAME=VALUE, as the web server sends them");
		return;
	}
	doctor_ok("header", "status %d, and %" PRIu64 " bytes of body", answer->status, run->body);
}

/* ---- its end --------------------------------------------------------------------- */

/* Common error messages of programs, and their cures. */
static const struct {
	const char *said, *cure;
} sayings[] = {
	{"error while loading shared libraries", "a library is missing: ldd SCRIPT; with --chroot it "
	    "has to be below the new root"},
	{"ermission denied", "a file it uses is closed to this user: namei -l FILE shows where"},
	{"ead-only file system", "it writes where it may not: ReadWritePaths= in the unit"},
	{"o such file or directory", "a file it names is not there: relative names count from the "
	    "script's directory"},
	{"No module named", "install the Python module for all users, not for yours: pip's --user, a "
	    "virtualenv and PYTHONPATH are not those of this user"},
	{"Can't locate ", "install the Perl module for all users; PERL5LIB is not set: --env PERL5LIB"},
	{"not found", "PATH is a service's: name programs by their whole path, or give --env PATH=..."},
	{"yntax error", "the interpreter cannot read it: sh -n, perl -c, python3 -m py_compile"},
};

static void cure_by_errors(struct doctor *doctor, const struct doctor_run *run)
{
	for (size_t i = 0; i < sizeof sayings / sizeof *sayings; i++)
		if (memmem(run->errors.bytes, run->errors.len, sayings[i].said,
			strlen(sayings[i].said)) != NULL)
			doctor_cure(doctor, "%s", sayings[i].cure);
}

static void judge_exit(struct doctor *doctor, const struct doctor_run *run)
{
	unsigned long status = run->app_status;

	if (status == 0) {
		doctor_ok("exit", "status 0");
		return;
	}
	if (status > 128 && status < 128 + 65)
		doctor_fault(doctor, "exit", "signal %lu ended it (%s)", status - 128,
		    strsignal((int)status - 128));
	else
		doctor_fault(doctor, "exit", "status %lu", status);
	cure_by_errors(doctor, run);
	if (status == 127)
		doctor_cure(doctor, "127: a command, or a library, was not found");
	else if (status == 126)
		doctor_cure(doctor, "126: a command was found, and is not executable");
	else if (status == 128 + SIGKILL)
		doctor_cure(doctor, "out of memory? dmesg, and MemoryMax= and --limit as=");
	else if (status == 128 + SIGSYS)
		doctor_cure(doctor, "SystemCallFilter= in the unit forbids a system call");
	else if (status == 128 + SIGSEGV)
		doctor_cure(doctor, "a fault of the program, or of one of its libraries: gdb, valgrind");
	if (doctor->cures == 0)
		doctor_cure(doctor, "run it by hand as this user: sudo -u %s env -i PATH=/usr/bin:/bin "
		    "%s", doctor->user, doctor->path);
}

static void judge_errors(const struct doctor_run *run)
{
	if (run->errors.all == 0)
		return;
	doctor_note("stderr", "%" PRIu64 " bytes, in cgibridge's log with --stderr log",
	    run->errors.all);
	doctor_quote(run->errors.bytes, run->errors.len, QUOTED);
}

static void judge_time(const struct doctor_run *run)
{
	long seconds = (long)(run->time / 1000);
	int ms = (int)(run->time % 1000);

	if (run->time >= PATIENCE)
		doctor_note("time", "%ld.%03d s: nginx waits 60 s if fastcgi_read_timeout says no more",
		    seconds, ms);
	else
		doctor_ok("time", "%ld.%03d s", seconds, ms);
}

static void explain_timeout(struct doctor *doctor, const struct doctor_run *run)
{
	doctor_fault(doctor, "time", "no end within %lld s (-t)",
	    (long long)(doctor->options->timeout / 1000));
	if (run->local && run->output.all == 0)
		doctor_cure(doctor, "it may wait for input: its standard input is empty, CONTENT_LENGTH "
		    "says how much to read");
	doctor_cure(doctor, "a server or a lock that it waits for: --slow-log of cgibridge says which");
	doctor_cure(doctor, "if it needs the time: raise -t here, --timeout there, and "
	    "fastcgi_read_timeout in nginx");
}

/* ---- the server's part ------------------------------------------------------------- */

static void explain_connect(struct doctor *doctor, int error)
{
	const char *url = doctor->options->socket;

	doctor_fault(doctor, "server", "nothing answers at %s: %s", url, strerror(error));
	if (error == EACCES)
		doctor_cure(doctor, "let this user in: --socket-mode, --socket-owner or the group of the "
		    "socket; nginx needs the same");
	doctor_cure(doctor, "does it run?  systemctl status cgibridge");
	doctor_cure(doctor, "is it this socket?  cgibridge @/etc/cgibridge.conf --check shows --socket");
	doctor_cure(doctor, "why not: journalctl -u cgibridge -n 20");
}

static void explain_status(struct doctor *doctor, int status)
{
	doctor_fault(doctor, "answer", "status %d", status);
	if (status == 404)
		doctor_cure(doctor, "there is no such file where cgibridge runs: --chroot, and "
		    "PrivateTmp=, ProtectHome= or RootDirectory= in its unit");
	if (status == 403)
		doctor_cure(doctor, "it is not below --root, or not a --program, or its user may not "
		    "execute it");
	if (status == 503)
		doctor_cure(doctor, "--max-scripts run already: the status page shows which");
	if (status == 504)
		doctor_cure(doctor, "it takes longer than --timeout or --idle-timeout");
	doctor_cure(doctor, "cgibridge's log has a line that says why: journalctl -u cgibridge -n 20, or "
	    "--error-detail");
	doctor_cure(doctor, "if no line is there, the script itself has answered so");
}

static bool judge_server(struct doctor *doctor, const struct doctor_run *run)
{
	if (run->protocol_status != 0) {
		doctor_fault(doctor, "server", "it refused the request: %s",
		    verdict_status_name(run->protocol_status));
		doctor_cure(doctor, "OVERLOADED: --max-scripts and --queue are used up");
		return false;
	}
	if (run->answer.status >= 400) {
		explain_status(doctor, run->answer.status);
		return false;
	}
	return true;
}

/* ---- all of it --------------------------------------------------------------------- */

static void judge_answer(struct doctor *doctor, const struct doctor_run *run)
{
	if (!run->local && !judge_server(doctor, run)) {
		judge_errors(run);
		return;
	}
	judge_errors(run);
	judge_exit(doctor, run); /* first: a failed exit explains a missing header */
	judge_header(doctor, run);
	judge_time(run);
}

void doctor_judge(struct doctor *doctor, const struct doctor_run *run)
{
	switch (run->end) {
	case DOCTOR_ENDED:
		judge_answer(doctor, run);
		return;
	case DOCTOR_HELD:
		judge_answer(doctor, run);
		doctor_fault(doctor, "output", "it has exited, and a process that it has started still "
		    "holds its output");
		doctor_cure(doctor, "start that with </dev/null >/dev/null 2>&1");
		return;
	case DOCTOR_TIMED_OUT:
		judge_errors(run);
		explain_timeout(doctor, run);
		return;
	case DOCTOR_NOT_BEGUN:
		if (!run->local)
			explain_connect(doctor, run->error);
		return;
	case DOCTOR_BROKEN_OFF:
		doctor_fault(doctor, "server", "%s", run->why_text);
		doctor_cure(doctor, "does cgibridge listen there?  A web server, or another FastCGI "
		    "server, may answer otherwise");
		doctor_cure(doctor, "see its log: journalctl -u cgibridge -n 20");
		return;
	}
}
