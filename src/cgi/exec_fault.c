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
#include <unistd.h>

enum { HEAD_MAX = 255 }; /* more than this of a first line Linux does not look at */

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
	if (error == ENOMEM || error == EAGAIN || error == EMFILE || error == ENFILE ||
	    error == ETXTBSY)
		return 503;
	return 500;
}

/* ---- the kinds of fault ------------------------------------------------------------- */

static bool is_binary(const struct head *head)
{
	return starts_with(head, "\177ELF", 4);
}

static void describe_missing(const struct head *head, char *text, size_t size)
{
	const char *name = head->interpreter;
	size_t len = name == NULL ? 0 : strlen(name);

	if (name == NULL)
		snprintf(text, size, "%s", is_binary(head)
			? " (its loader is not there: was it built for another system?)" : "");
	else if (len > 0 && name[len - 1] == '\r')
		snprintf(text, size,
		    ": its interpreter \"%s\" is not there (the line ends with CR: saved on Windows)",
		    name);
	else if (*name != '/')
		snprintf(text, size,
		    ": its interpreter \"%s\" is not there (it has to be an absolute path)", name);
	else if (access(name, F_OK) == 0)
		snprintf(text, size, ": its interpreter \"%s\" cannot be started itself", name);
	else
		snprintf(text, size, ": its interpreter \"%s\" is not there", name);
}

static void describe_denied(const struct head *head, const char *program, char *text, size_t size)
{
	if (access(program, X_OK) != 0)
		snprintf(text, size, " (it is not executable for this user: chmod +x)");
	else if (head->interpreter != NULL && access(head->interpreter, X_OK) != 0)
		snprintf(text, size, ": its interpreter \"%s\" is not executable for this user",
		    head->interpreter);
	else
		snprintf(text, size, " (is its file system mounted noexec?)");
}

static const char *format_fault(const struct head *head)
{
	if (!head->known)
		return "";
	if (head->len == 0)
		return " (it is empty)";
	if (starts_with(head, "\357\273\277", 3))
		return " (a byte order mark is in front of its first line: save it without)";
	if (starts_with(head, "\377\376", 2) || starts_with(head, "\376\377", 2))
		return " (it is in UTF-16: save it as UTF-8)";
	if (is_binary(head))
		return " (it was built for another kind of machine)";
	if (head->interpreter != NULL)
		return " (its \"#!\" line names no program)";
	if (strstr(head->text, "#!") != NULL)
		return " (its \"#!\" is not at the very beginning)";
	return " (not a program, and without a \"#!\" line)";
}

void exec_fault_describe(const char *program, int error, char text[EXEC_FAULT_MAX])
{
	struct head head;
	char found[EXEC_FAULT_MAX - 100] = "";

	read_head(&head, program);
	if (error == ENOENT)
		describe_missing(&head, found, sizeof found);
	else if (error == EACCES)
		describe_denied(&head, program, found, sizeof found);
	else if (error == ENOEXEC)
		snprintf(found, sizeof found, "%s", format_fault(&head));
	else if (error == E2BIG)
		snprintf(found, sizeof found,
		    " (the request's parameters are too large for an environment)");
	snprintf(text, EXEC_FAULT_MAX, "%.90s%s", strerror(error), found);
}
