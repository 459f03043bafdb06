/* SPDX-License-Identifier: ISC */
/*
 * fuzz_exec_fault: why a file that its owner may write anything into cannot be executed.  The
 * interpreter is the one that the first line names, by execve(2), and the same that shebang_parse()
 * finds; the reason fits the file's first bytes and the errno, and is text that ends.  Nothing is
 * executed.
 *
 * Input: a byte for errno, one for the file's mode, and the file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cgi/exec_fault.h"
#include "cgi/shebang.h"
#include "fuzz.h"

static char path[256];

/* The program that the first line names; "" and false: there is no such line. */
static bool read_interpreter(const uint8_t *bytes, size_t len, char name[EXEC_FAULT_NAME_MAX + 1])
{
	size_t at = 2, n = 0;

	*name = '\0';
	if (len > EXEC_FAULT_NAME_MAX)
		len = EXEC_FAULT_NAME_MAX;
	if (len < 2 || memcmp(bytes, "#!", 2) != 0)
		return false;
	while (at < len && (bytes[at] == ' ' || bytes[at] == '\t'))
		at++;
	while (at < len && memchr(" \t\n", bytes[at], 4) == NULL)
		name[n++] = (char)bytes[at++];
	name[n] = '\0';
	return true;
}

static void check_same_line(const uint8_t *bytes, size_t len, const char *name)
{
	struct shebang shebang;

	shebang_parse(&shebang, (const char *)bytes, len);
	fuzz_require((shebang.kind == SHEBANG_NONE) == (len < 2 || memcmp(bytes, "#!", 2) != 0));
	if (shebang.kind == SHEBANG_PATH && strstr(name, "env") == NULL)
		fuzz_require(strcmp(shebang.interpreter, name) == 0);
}

static bool begins(const uint8_t *bytes, size_t len, const char *with, size_t size)
{
	return len >= size && memcmp(bytes, with, size) == 0;
}

/* The kinds that say something about the bytes say what is so. */
static void check_kind(const struct exec_fault *fault, int error, const uint8_t *bytes, size_t len)
{
	const char *name = fault->interpreter;
	bool has_line = begins(bytes, len, "#!", 2);
	bool is_program = begins(bytes, len, "\177ELF", 4);

	switch (fault->kind) {
	case EXEC_FAULT_OTHER:
		fuzz_require(error != E2BIG && error != EACCES && error != ENOEXEC);
		fuzz_require(error != ENOENT || (!has_line && !is_program));
		return;
	case EXEC_FAULT_NO_LOADER:
		fuzz_require(error == ENOENT && is_program);
		return;
	case EXEC_FAULT_NO_INTERPRETER:
	case EXEC_FAULT_INTERPRETER_BROKEN:
		fuzz_require(error == ENOENT && has_line && *name == '/');
		fuzz_require(name[strlen(name) - 1] != '\r');
		return;
	case EXEC_FAULT_INTERPRETER_CR:
		fuzz_require(error == ENOENT && has_line && *name != '\0' && name[strlen(name) - 1] == '\r');
		return;
	case EXEC_FAULT_INTERPRETER_RELATIVE:
		fuzz_require(error == ENOENT && has_line && *name != '/');
		return;
	case EXEC_FAULT_NOT_EXECUTABLE:
	case EXEC_FAULT_NOEXEC:
		fuzz_require(error == EACCES);
		return;
	case EXEC_FAULT_INTERPRETER_DENIED:
		fuzz_require(error == EACCES && has_line);
		return;
	case EXEC_FAULT_EMPTY:
		fuzz_require(error == ENOEXEC && len == 0);
		return;
	case EXEC_FAULT_BOM:
		fuzz_require(error == ENOEXEC && begins(bytes, len, "\xef\xbb\xbf", 3));
		return;
	case EXEC_FAULT_UTF16:
		fuzz_require(error == ENOEXEC && len >= 2 && bytes[0] + bytes[1] == 0xff + 0xfe);
		return;
	case EXEC_FAULT_MACHINE:
		fuzz_require(error == ENOEXEC && is_program);
		return;
	case EXEC_FAULT_NO_NAME:
		fuzz_require(error == ENOEXEC && has_line);
		return;
	case EXEC_FAULT_LATE_MARK:
	case EXEC_FAULT_NO_MARK:
		fuzz_require(error == ENOEXEC && !has_line && len > 0 && !is_program);
		return;
	case EXEC_FAULT_TOO_LARGE:
		fuzz_require(error == E2BIG);
		return;
	}
	fuzz_require(false);
}

static void check_text(const struct exec_fault *fault, int error)
{
	char text[EXEC_FAULT_MAX];
	const char *reason = strerror(error);
	int status = exec_fault_status(error);

	memset(text, 'x', sizeof text);
	exec_fault_describe(path, error, text);
	fuzz_require(memchr(text, '\0', sizeof text) != NULL && strlen(text) < sizeof text - 1);
	fuzz_require(strncmp(text, reason, strlen(reason)) == 0);
	if (fault->kind >= EXEC_FAULT_NO_INTERPRETER && fault->kind <= EXEC_FAULT_INTERPRETER_BROKEN)
		fuzz_require(strstr(text, fault->interpreter) != NULL);
	fuzz_require(status == 403 || status == 431 || status == 500 || status == 503);
}

/* Without executing it: no more than what can be told. */
static void check_foreseen(const char *name, const uint8_t *bytes, size_t len)
{
	int error = exec_fault_foresee(path);
	struct stat info;

	fuzz_require(stat(path, &info) == 0);
	if ((info.st_mode & 0111) == 0)
		fuzz_require(error == EACCES);
	else if (begins(bytes, len, "\177ELF", 4))
		fuzz_require(error == 0);
	else if (*name == '\0')
		fuzz_require(error == ENOEXEC);
	else if (stat(name, &info) != 0)
		fuzz_require(error == errno);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const int errors[] = {ENOENT, EACCES, ENOEXEC, E2BIG, ENOMEM, ETXTBSY, EPERM, ELOOP};
	struct fuzz_input input = {bytes, len};
	int error = errors[fuzz_byte(&input) % 8];
	unsigned mode = fuzz_byte(&input) & 1 ? 0755 : 0644;
	char name[EXEC_FAULT_NAME_MAX + 1];
	struct exec_fault fault;

	snprintf(path, sizeof path, "%s/script", fuzz_dir());
	fuzz_write_file("script", mode, input.at, input.left);
	(void)read_interpreter(input.at, input.left, name);
	check_same_line(input.at, input.left, name);
	memset(&fault, 'x', sizeof fault);
	exec_fault_find(path, error, &fault);
	fuzz_require(memchr(fault.interpreter, '\0', sizeof fault.interpreter) != NULL);
	fuzz_require(strcmp(fault.interpreter, name) == 0);
	check_kind(&fault, error, input.at, input.left);
	check_text(&fault, error);
	check_foreseen(name, input.at, input.left);
	return 0;
}
