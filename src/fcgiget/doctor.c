/* SPDX-License-Identifier: ISC */
/*
 * doctor: the order of the examination.
 *
 * The server is asked first, as the user who started fcgiget; then the process becomes --user.
 */
#include "fcgiget/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/identity.h"
#include "fcgiget/doctor_private.h"

/* The script's path, absolute.  0, or -1 with errno. */
static int find_path(struct doctor *doctor)
{
	const char *script = doctor->options->script;
	size_t len = strcspn(script, "?");
	size_t used = 0;

	if (*script != '/') {
		if (getcwd(doctor->path, sizeof doctor->path - 1) == NULL)
			return -1;
		used = strlen(doctor->path);
		doctor->path[used++] = '/';
	}
	if (used + len >= sizeof doctor->path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(doctor->path + used, script, len);
	doctor->path[used + len] = '\0';
	return 0;
}

/* A script must not run as root only because --user was forgotten. */
static bool is_reckless(const struct fcgiget_options *o)
{
	return geteuid() == 0 && o->user == NULL && o->socket == NULL;
}

/* Becomes the user of --user.  0, or -1 after a message. */
static int change_user(struct doctor *doctor)
{
	const char *user = doctor->options->user;
	struct identity identity = {.has_user = false};
	const char *wrong;
	struct fault why = {""};
	int failed = 0;

	if (user != NULL)
		failed = identity_find(&identity, user, NULL, &wrong, &why);
	else
		identity.uid = geteuid();
	if (failed == 0 && user != NULL && identity.uid != geteuid())
		failed = identity_drop_privileges(&identity, &why);
	if (failed != 0)
		complain(EXIT_USAGE, user, why.text);
	else if (user != NULL)
		snprintf(doctor->user, sizeof doctor->user, "%s", user);
	else
		identity_owner_text(geteuid(), getegid(), doctor->user, sizeof doctor->user);
	doctor->user[strcspn(doctor->user, ":")] = '\0';
	identity_fini(&identity);
	return failed;
}

static void warn_of_root(const struct doctor *doctor)
{
	if (geteuid() == 0)
		doctor_note("user", "root, which may do everything: give the scripts' user by "
		    "--user");
	else
		doctor_ok("user", "%s", doctor->user);
}

/* Examines the file, and runs the script here if the file has no fault. */
static int examine_here(struct doctor *doctor, struct doctor_run *run)
{
	if (!doctor_examine_path(doctor))
		return 0;
	if (doctor_run_here(run, doctor) != 0)
		return -1;
	if (run->end != DOCTOR_NOT_BEGUN)
		doctor_judge(doctor, run);
	else if (run->fault.step == SYS_STEP_EXEC)
		doctor_explain_exec(doctor, run->error);
	else
		doctor_fault(doctor, "start", "no process: %s%s", strerror(run->error),
		    sys_remedy(run->error));
	return 0;
}

/* Judges the server's answer; if that is a failure, looks for faults of the file here first. */
static void examine_there(struct doctor *doctor, const struct doctor_run *run)
{
	bool answered = run->end == DOCTOR_ENDED && run->answer.status > 0 && run->answer.status < 400;

	if (answered || doctor_examine_path(doctor))
		doctor_judge(doctor, run);
	else
		doctor_note("server", "asked at %s; what it says may change with this",
		    doctor->options->socket);
}

static enum exit_status conclude(const struct doctor *doctor)
{
	if (doctor->faults == 0) {
		printf("\nNothing is at fault.\n");
		return EXIT_OK;
	}
	printf("\n%d fault%s.  Mend the first one, then run this again.\n", doctor->faults,
	    doctor->faults == 1 ? "" : "s");
	return EXIT_PROTOCOL;
}

static enum exit_status examine(struct doctor *doctor, struct doctor_run *run)
{
	bool there = doctor->options->socket != NULL;

	if (there && doctor_run_there(run, doctor) != 0)
		return complain(EXIT_READ, "the request", strerror(errno));
	if (change_user(doctor) != 0)
		return EXIT_USAGE;
	printf("%s\n\n", doctor->path);
	warn_of_root(doctor);
	fflush(stdout); /* or a forked child would print its copy, too */
	if (there)
		examine_there(doctor, run);
	else if (examine_here(doctor, run) != 0)
		return complain(EXIT_USAGE, doctor->path, strerror(errno));
	return conclude(doctor);
}

enum exit_status doctor_start(const struct fcgiget_options *o)
{
	struct doctor doctor = {.options = o};
	struct doctor_run run;
	enum exit_status status;

	if (is_reckless(o))
		return complain(EXIT_USAGE, "--doctor", "it would run the script as root: give the "
		    "scripts' user by --user, or --user root");
	if (find_path(&doctor) != 0)
		return complain(EXIT_USAGE, o->script, strerror(errno));
	doctor_run_init(&run);
	status = examine(&doctor, &run);
	doctor_run_fini(&run);
	return status;
}
