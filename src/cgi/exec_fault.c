/* SPDX-License-Identifier: ISC */
/*
 * exec_fault: the first line of a script, as execve(2) reads it.
 */
#include "cgi/exec_fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/sys.h"

enum { HEAD_MAX = EXEC_FAULT_NAME_MAX };

struct head {
	char text[HEAD_MAX + 1];
	size_t len;
	bool known;        /* the file could be read */
	char *interpreter; /* in `text`; NULL: there is no "#!" line */
};

static bool starts_with(const struct head *head, const char *bytes, size_t len)
{
	return head->len >= len && memcmp(head->text, bytes, len) == 0;
}

/* Ends the interpreter's name where execve(2) does: at a blank, or at the end of the line. */
static void find_interpreter(struct head *head)
{
	char *name = head->text + 2;

	if (!starts_with(head, "#!", 2))
		return;
	name += strspn(name, " \t");
	name[strcspn(name, " \t\n")] = '\0';
	head->interpreter = name;
}

static void read_head(struct head *head, const char *program)
{
	int fd = open(program, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd >= 0) {
		n = read(fd, head->text, HEAD_MAX);
		close(fd);
	}
	head->known = n >= 0;
	head->len = n < 0 ? 0 : (size_t)n;
	head->text[head->len] = '\0';
	head->interpreter = NULL;
	find_interpreter(head);
}

int exec_fault_status(int error)
{
	if (error == EACCES || error == EPERM)
		return 403;
	if (error == E2BIG)
		return 431;
	if (sys_is_shortage(error) || error == ETXTBSY)
		return 503;
	return 500;
}

/* ---- the kinds of fault ------------------------------------------------------------- */

/* The texts for the log; `named`: the text follows the interpreter's name. */
static const struct {
	bool named;
	const char *text;
} kinds[] = {
	[EXEC_FAULT_OTHER] = {false, ""},
	[EXEC_FAULT_NO_LOADER] =
	    {false, "its loader is not there: was it built for another system?"},
	[EXEC_FAULT_NO_INTERPRETER] = {true, " is not there"},
	[EXEC_FAULT_INTERPRETER_CR] =
	    {true, " is not there (the line ends with CR: saved on Windows)"},
	[EXEC_FAULT_INTERPRETER_RELATIVE] =
	    {true, " is not there (it has to be an absolute path)"},
	[EXEC_FAULT_INTERPRETER_BROKEN] = {true, " cannot be started itself"},
	[EXEC_FAULT_NOT_EXECUTABLE] = {false, "it is not executable for this user: chmod +x"},
	[EXEC_FAULT_INTERPRETER_DENIED] = {true, " is not executable for this user"},
	[EXEC_FAULT_NOEXEC] = {false, "is its file system mounted noexec?"},
	[EXEC_FAULT_EMPTY] = {false, "it is empty"},
	[EXEC_FAULT_BOM] =
	    {false, "a byte order mark is in front of its first line: save it without"},
	[EXEC_FAULT_UTF16] = {false, "it is in UTF-16: save it as UTF-8"},
	[EXEC_FAULT_MACHINE] = {false, "it was built for another kind of machine"},
	[EXEC_FAULT_NO_NAME] = {false, "its \"#!\" line names no program"},
	[EXEC_FAULT_LATE_MARK] = {false, "its \"#!\" is not at the very beginning"},
	[EXEC_FAULT_NO_MARK] = {false, "not a program, and without a \"#!\" line"},
	[EXEC_FAULT_TOO_LARGE] =
	    {false, "the request's parameters are too large for an environment"},
};

static bool is_binary(const struct head *head)
{
	return starts_with(head, "\177ELF", 4);
}

static enum exec_fault_kind find_missing(const struct head *head)
{
	const char *name = head->interpreter;
	size_t len = name == NULL ? 0 : strlen(name);

	if (name == NULL)
		return is_binary(head) ? EXEC_FAULT_NO_LOADER : EXEC_FAULT_OTHER;
	if (len > 0 && name[len - 1] == '\r')
		return EXEC_FAULT_INTERPRETER_CR;
	if (*name != '/')
		return EXEC_FAULT_INTERPRETER_RELATIVE;
	return access(name, F_OK) == 0 ? EXEC_FAULT_INTERPRETER_BROKEN : EXEC_FAULT_NO_INTERPRETER;
}

static enum exec_fault_kind find_denied(const struct head *head, const char *program)
{
	struct statvfs mount;
	bool noexec = false;

#ifdef ST_NOEXEC
	noexec = statvfs(program, &mount) == 0 && (mount.f_flag & ST_NOEXEC) != 0;
#else
	(void)mount;
#endif
	if (noexec)
		return EXEC_FAULT_NOEXEC;
	if (access(program, X_OK) != 0)
		return EXEC_FAULT_NOT_EXECUTABLE;
	if (head->interpreter != NULL && access(head->interpreter, X_OK) != 0)
		return EXEC_FAULT_INTERPRETER_DENIED;
	return EXEC_FAULT_NOEXEC;
}

static enum exec_fault_kind find_format(const struct head *head)
{
	if (!head->known)
		return EXEC_FAULT_OTHER;
	if (head->len == 0)
		return EXEC_FAULT_EMPTY;
	if (starts_with(head, "\357\273\277", 3))
		return EXEC_FAULT_BOM;
	if (starts_with(head, "\377\376", 2) || starts_with(head, "\376\377", 2))
		return EXEC_FAULT_UTF16;
	if (is_binary(head))
		return EXEC_FAULT_MACHINE;
	if (head->interpreter != NULL)
		return EXEC_FAULT_NO_NAME;
	if (strstr(head->text, "#!") != NULL)
		return EXEC_FAULT_LATE_MARK;
	return EXEC_FAULT_NO_MARK;
}

static enum exec_fault_kind find_kind(const struct head *head, const char *program, int error)
{
	if (error == ENOENT)
		return find_missing(head);
	if (error == EACCES)
		return find_denied(head, program);
	if (error == ENOEXEC)
		return find_format(head);
	return error == E2BIG ? EXEC_FAULT_TOO_LARGE : EXEC_FAULT_OTHER;
}

void exec_fault_find(const char *program, int error, struct exec_fault *fault)
{
	struct head head;

	read_head(&head, program);
	fault->kind = find_kind(&head, program, error);
	snprintf(fault->interpreter, sizeof fault->interpreter, "%s",
	    head.interpreter == NULL ? "" : head.interpreter);
}

void exec_fault_describe(const char *program, int error, char text[EXEC_FAULT_MAX])
{
	struct exec_fault fault;
	const char *words;

	exec_fault_find(program, error, &fault);
	words = kinds[fault.kind].text;
	if (kinds[fault.kind].named)
		snprintf(text, EXEC_FAULT_MAX, "%.90s: its interpreter \"%s\"%s", strerror(error),
		    fault.interpreter, words);
	else
		snprintf(text, EXEC_FAULT_MAX, "%.90s%s%s%s", strerror(error),
		    *words == '\0' ? "" : " (", words, *words == '\0' ? "" : ")");
}

/* ---- without executing it ------------------------------------------------------------ */

enum { SCRIPTS_DEEP = 4 }; /* how deep Linux follows interpreters that are scripts themselves */

int exec_fault_foresee(const char *program)
{
	struct head heads[SCRIPTS_DEEP];
	const char *name = program;

	for (int i = 0; i < SCRIPTS_DEEP; i++) {
		struct stat info;

		if (stat(name, &info) != 0)
			return errno;
		if (!S_ISREG(info.st_mode) || access(name, X_OK) != 0)
			return EACCES;
		read_head(&heads[i], name);
		if (!heads[i].known || is_binary(&heads[i]))
			return 0; /* as far as can be told */
		name = heads[i].interpreter;
		if (name == NULL || *name == '\0')
			return ENOEXEC;
	}
	return ELOOP;
}
