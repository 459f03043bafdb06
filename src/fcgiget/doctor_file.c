/* SPDX-License-Identifier: ISC */
/*
 * doctor_file: the path to the script, and the file itself, seen as the user it is to run as.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgi/exec_fault.h"
#include "fcgiget/doctor_private.h"

enum { OWNER_SIZE = 100, LOOK_SIZE = 64 * 1024 };

/* ---- words ---------------------------------------------------------------------- */

/* "drwxr-x--- root:www-data" */
static const char *owner_text(const struct stat *info, char text[OWNER_SIZE])
{
	const struct passwd *user = getpwuid(info->st_uid);
	const struct group *group = getgrgid(info->st_gid);
	char numbers[2][24];
	char mode[] = "-rwxrwxrwx";

	for (int i = 0; i < 9; i++)
		if ((info->st_mode & (mode_t)(0400 >> i)) == 0)
			mode[i + 1] = '-';
	mode[0] = S_ISDIR(info->st_mode) ? 'd' : '-';
	snprintf(numbers[0], sizeof *numbers, "%ld", (long)info->st_uid);
	snprintf(numbers[1], sizeof *numbers, "%ld", (long)info->st_gid);
	snprintf(text, OWNER_SIZE, "%s %.40s:%.40s", mode, user == NULL ? numbers[0] : user->pw_name,
	    group == NULL ? numbers[1] : group->gr_name);
	return text;
}

/* ---- the way ---------------------------------------------------------------------- */

static void explain_closed(struct doctor *doctor, const char *dir)
{
	char owner[OWNER_SIZE];
	struct stat info;

	if (stat(dir, &info) != 0) {
		doctor_fault(doctor, "directory", "%s: %s", dir, strerror(errno));
		return;
	}
	doctor_fault(doctor, "directory", "%s is closed to %s: %s", dir, doctor->user,
	    owner_text(&info, owner));
	doctor_cure(doctor, "let others through: chmod o+x %s", dir);
	doctor_cure(doctor, "or this user alone: setfacl -m u:%s:x %s", doctor->user, dir);
	doctor_cure(doctor, "or move the scripts out of it, as out of a home directory");
}

static void explain_absent(struct doctor *doctor, const char *name, const char *dir)
{
	doctor_fault(doctor, "path", "%s is not there; %s is", name, dir);
	doctor_cure(doctor, "look at the spelling, capitals too: ls -la %s", dir);
	doctor_cure(doctor, "in the web server: root and fastcgi_param SCRIPT_FILENAME (nginx), "
	    "DocumentRoot or ProxyPass (Apache) have to make this path");
	doctor_cure(doctor, "with --chroot the path is counted from the new root");
}

static bool explain_step(struct doctor *doctor, const char *name, const char *dir)
{
	struct stat info;
	char target[PATH_MAX];
	ssize_t len = readlink(name, target, sizeof target - 1);

	if (stat(name, &info) == 0)
		return true;
	if (errno == EACCES) {
		explain_closed(doctor, dir);
	} else if (len > 0) {
		doctor_fault(doctor, "path", "%s is a symbolic link to %.*s: %s", name, (int)len, target,
		    strerror(errno));
		doctor_cure(doctor, "make the link again: ln -sfn TARGET %s", name);
	} else if (errno == ENOENT) {
		explain_absent(doctor, name, dir);
	} else if (errno == ENOTDIR) {
		doctor_fault(doctor, "path", "%s is a file, and the path continues after it", dir);
		doctor_cure(doctor, "the rest of the path is PATH_INFO: give it as -p PATH_INFO=");
	} else {
		doctor_fault(doctor, "path", "%s: %s", name, strerror(errno));
	}
	return false;
}

/* Follows the path from the root, step by step: the first step that fails is the one to mend. */
static bool walk(struct doctor *doctor)
{
	char name[PATH_MAX];
	char dir[PATH_MAX] = "/";
	int directories = 1;

	for (const char *at = doctor->path + 1; *at != '\0';) {
		size_t len = strcspn(at, "/");

		snprintf(name, sizeof name, "%.*s", (int)(at + len - doctor->path), doctor->path);
		if (len > 0 && !explain_step(doctor, name, dir))
			return false;
		at += len;
		if (*at == '/') {
			snprintf(dir, sizeof dir, "%s", name);
			directories += len > 0;
			at++;
		}
	}
	doctor_ok("path", "it is there, and its %d directories are open to %s", directories,
	    doctor->user);
	return true;
}

/* ---- the file --------------------------------------------------------------------- */

static bool check_kind(struct doctor *doctor)
{
	struct stat info;
	char owner[OWNER_SIZE];

	if (stat(doctor->path, &info) != 0)
		return false;
	if (S_ISREG(info.st_mode)) {
		doctor_ok("file", "%lld bytes, %s", (long long)info.st_size, owner_text(&info, owner));
		return true;
	}
	doctor_fault(doctor, "file", "%s is %s", doctor->path,
	    S_ISDIR(info.st_mode) ? "a directory" : "not a regular file");
	doctor_cure(doctor, "name the script, not where it is%s",
	    S_ISDIR(info.st_mode) ? "; in nginx an index= line, or SCRIPT_FILENAME with the name" : "");
	return false;
}

static void explain_interpreter(struct doctor *doctor, const struct exec_fault *fault)
{
	const char *name = strrchr(fault->interpreter, '/');

	name = name == NULL ? fault->interpreter : name + 1;
	doctor_fault(doctor, "interpreter", "\"%s\", which its first line names, is not there",
	    fault->interpreter);
	doctor_cure(doctor, "find out where it is, and write that there: command -v %s", name);
	doctor_cure(doctor, "or install it");
	doctor_cure(doctor, "or name it by \"#!/usr/bin/env %s\"", name);
	doctor_cure(doctor, "with --chroot it has to be below the new root, with its libraries");
}

static void explain_crlf(struct doctor *doctor)
{
	doctor_fault(doctor, "first line", "it ends with CR LF: the file was saved on Windows");
	doctor_cure(doctor, "sed -i 's/\\r$//' %s", doctor->path);
	doctor_cure(doctor, "and keep it so: git config core.autocrlf false, or ASCII mode in FTP");
}

static void explain_mode(struct doctor *doctor)
{
	struct stat info;
	char owner[OWNER_SIZE] = "";

	if (stat(doctor->path, &info) == 0)
		owner_text(&info, owner);
	doctor_fault(doctor, "mode", "%s may not execute it: %s", doctor->user, owner);
	doctor_cure(doctor, "chmod a+rx %s", doctor->path);
	doctor_cure(doctor, "or run its kind by a program: --handler .EXT=COMMAND of cgibridge");
}

static void explain_noexec(struct doctor *doctor)
{
	doctor_fault(doctor, "mount", "its file system is mounted noexec");
	doctor_cure(doctor, "move the script to another: findmnt -T %s shows this one", doctor->path);
	doctor_cure(doctor, "or mount -o remount,exec it, and take noexec out of /etc/fstab");
	doctor_cure(doctor, "in a unit of systemd NoExecPaths= does the same");
}

static void explain_beginning(struct doctor *doctor, const char *what)
{
	doctor_fault(doctor, "first line", "%s", what);
	doctor_cure(doctor, "make its first line, from the very first byte, name its interpreter: "
	    "#!/bin/sh, #!/usr/bin/perl, #!/usr/bin/python3");
	doctor_cure(doctor, "or run its kind by a program: --handler .EXT=COMMAND of cgibridge");
}

static void explain_encoding(struct doctor *doctor, const char *what, const char *command)
{
	doctor_fault(doctor, "first line", "%s", what);
	doctor_cure(doctor, "%s %s", command, doctor->path);
	doctor_cure(doctor, "or save it as UTF-8 without a byte order mark in the editor");
}

static void explain_binary(struct doctor *doctor, enum exec_fault_kind kind)
{
	if (kind == EXEC_FAULT_MACHINE)
		doctor_fault(doctor, "program", "it was built for another kind of machine");
	else
		doctor_fault(doctor, "program", "its loader is not there");
	doctor_cure(doctor, "compare: file %s; uname -m", doctor->path);
	doctor_cure(doctor, "build it here, or link it statically");
	doctor_cure(doctor, "with --chroot the loader and the libraries have to be below the new root");
}

static void explain_denied(struct doctor *doctor, const struct exec_fault *fault)
{
	doctor_fault(doctor, "interpreter", "%s may not execute \"%s\"", doctor->user,
	    fault->interpreter);
	doctor_cure(doctor, "is it a program at all?  ls -l %s", fault->interpreter);
	doctor_cure(doctor, "chmod a+rx %s", fault->interpreter);
}

void doctor_explain_exec(struct doctor *doctor, int error)
{
	struct exec_fault fault;

	exec_fault_find(doctor->path, error, &fault);
	switch (fault.kind) {
	case EXEC_FAULT_NO_LOADER:
	case EXEC_FAULT_MACHINE:
		explain_binary(doctor, fault.kind);
		return;
	case EXEC_FAULT_NO_INTERPRETER:
	case EXEC_FAULT_INTERPRETER_RELATIVE:
	case EXEC_FAULT_INTERPRETER_BROKEN:
		explain_interpreter(doctor, &fault);
		return;
	case EXEC_FAULT_INTERPRETER_CR:
		explain_crlf(doctor);
		return;
	case EXEC_FAULT_NOT_EXECUTABLE:
		explain_mode(doctor);
		return;
	case EXEC_FAULT_INTERPRETER_DENIED:
		explain_denied(doctor, &fault);
		return;
	case EXEC_FAULT_NOEXEC:
		explain_noexec(doctor);
		return;
	case EXEC_FAULT_EMPTY:
		explain_beginning(doctor, "the file is empty");
		return;
	case EXEC_FAULT_BOM:
		explain_encoding(doctor, "a byte order mark is in front of it",
		    "sed -i '1s/^\\xef\\xbb\\xbf//'");
		return;
	case EXEC_FAULT_UTF16:
		explain_encoding(doctor, "it is in UTF-16",
		    "iconv -f UTF-16 -t UTF-8 -o NEW");
		return;
	case EXEC_FAULT_NO_NAME:
		explain_beginning(doctor, "\"#!\" is there, without a program after it");
		return;
	case EXEC_FAULT_LATE_MARK:
		explain_beginning(doctor, "\"#!\" is not at the very beginning");
		return;
	case EXEC_FAULT_NO_MARK:
		explain_beginning(doctor, "it is not a program, and has no \"#!\" line");
		return;
	case EXEC_FAULT_TOO_LARGE:
	case EXEC_FAULT_OTHER:
		break;
	}
	doctor_fault(doctor, "start", "%s", strerror(error));
}

/* An interpreter opens the script like any file: x permission alone is not enough. */
static void check_readable(const struct doctor *doctor)
{
	if (access(doctor->path, R_OK) != 0)
		doctor_note("mode", "%s may not read it: well for a program, not for a script: chmod a+r "
		    "%s", doctor->user, doctor->path);
}

/* CR LF after a first line without it: the shell takes the CR for a part of each command. */
static void look_for_crlf(const struct doctor *doctor)
{
	static char text[LOOK_SIZE];
	int fd = open(doctor->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
	const char *found;

	if (fd >= 0)
		close(fd);
	if (n < 2 || text[0] != '#' || text[1] != '!')
		return;
	found = memmem(text, (size_t)n, "\r\n", 2);
	if (found != NULL)
		doctor_note("text", "lines of it end with CR LF, as on Windows: if commands are \"not "
		    "found\": sed -i 's/\\r$//' %s", doctor->path);
}

bool doctor_examine_path(struct doctor *doctor)
{
	int error;

	if (!walk(doctor) || !check_kind(doctor))
		return false;
	error = exec_fault_foresee(doctor->path);
	if (error != 0) {
		doctor_explain_exec(doctor, error);
		return false;
	}
	doctor_ok("start", "%s may execute it, and what its first line names", doctor->user);
	look_for_crlf(doctor);
	check_readable(doctor);
	return true;
}
