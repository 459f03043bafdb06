/* SPDX-License-Identifier: ISC */
/*
 * shebang: the words of a "#!" line, and the search along PATH.
 */
#include "cgi/shebang.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Ends the word at `text` at its first blank, and returns the start of the next one. */
static char *cut(char *text, const char *blanks)
{
	text += strcspn(text, blanks);
	if (*text == '\0')
		return text;
	*text++ = '\0';
	return text + strspn(text, blanks);
}

static bool is_env(const char *interpreter)
{
	return strcmp(interpreter, "/usr/bin/env") == 0 || strcmp(interpreter, "/bin/env") == 0;
}

/* Splits `text` into words; false if there are too many. */
static bool split(struct shebang *shebang, char *text)
{
	static const char blanks[] = " \t\r\v\f";

	while (*text != '\0') {
		if (shebang->word_count == SHEBANG_WORDS_MAX)
			return false;
		shebang->words[shebang->word_count++] = text;
		text = cut(text, blanks);
	}
	return true;
}

/* What env makes of its argument, the rest of the line.  No more than splitting is done here. */
static bool read_env(struct shebang *shebang, char *argument)
{
	static const char option[] = "--split-string=";
	size_t skip = 0;

	if (strncmp(argument, "-S", 2) == 0)
		skip = 2;
	else if (strncmp(argument, option, strlen(option)) == 0)
		skip = strlen(option);
	if (skip == 0 && strpbrk(argument, " \t") != NULL)
		return false; /* it looks for a program whose name has blanks */
	argument += skip;
	argument += strspn(argument, " \t\r\v\f");
	if (*argument == '\0' || *argument == '-' || strpbrk(argument, "\\'\"$#") != NULL)
		return false;
	shebang->interpreter = argument;
	return split(shebang, cut(argument, " \t\r\v\f"));
}

/* The rest of the line is one word; execve(2) leaves out the blanks around it. */
static bool read_line(struct shebang *shebang, char *line)
{
	size_t len = strlen(line);
	char *argument;

	while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		line[--len] = '\0';
	line += strspn(line, " \t");
	shebang->interpreter = line;
	argument = cut(line, " \t");
	if (is_env(line))
		return read_env(shebang, argument);
	if (*argument != '\0')
		shebang->words[shebang->word_count++] = argument;
	return true;
}

static enum shebang_kind kind_of(const char *interpreter)
{
	if (*interpreter == '/')
		return SHEBANG_PATH;
	/* an assignment, or relative to the working directory */
	if (*interpreter == '\0' || strpbrk(interpreter, "=/") != NULL)
		return SHEBANG_OTHER;
	return SHEBANG_NAME;
}

void shebang_parse(struct shebang *shebang, const char *bytes, size_t len)
{
	const char *end;

	shebang->kind = SHEBANG_NONE;
	shebang->interpreter = NULL;
	shebang->word_count = 0;
	if (len < 2 || bytes[0] != '#' || bytes[1] != '!')
		return;
	shebang->kind = SHEBANG_OTHER;
	end = memchr(bytes, '\n', len < SHEBANG_MAX ? len : SHEBANG_MAX);
	if (end == NULL || memchr(bytes, '\0', (size_t)(end - bytes)) != NULL)
		return;
	len = (size_t)(end - bytes) - 2;
	memcpy(shebang->text, bytes + 2, len);
	shebang->text[len] = '\0';
	if (read_line(shebang, shebang->text))
		shebang->kind = kind_of(shebang->interpreter);
	/* only env looks for a name; execve(2) takes it as a path */
	if (shebang->kind == SHEBANG_NAME &&
	    shebang->interpreter == shebang->text + strspn(shebang->text, " \t"))
		shebang->kind = SHEBANG_OTHER;
}

void shebang_read(struct shebang *shebang, const char *path)
{
	char bytes[SHEBANG_MAX];
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);

	if (fd >= 0)
		close(fd);
	if (len >= 0) {
		shebang_parse(shebang, bytes, (size_t)len);
		return;
	}
	shebang_parse(shebang, "", 0);
	shebang->kind = SHEBANG_OTHER;
}

static bool is_program(const char *path)
{
	struct stat info;

	return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

bool shebang_find(const char *name, const char *path, char found[PATH_MAX])
{
	for (;;) {
		size_t len = strcspn(path, ":");
		int size = snprintf(found, PATH_MAX, "%.*s/%s", (int)len, path, name);

		if (*path != '/')
			return false;
		if (size < PATH_MAX && is_program(found))
			return true;
		if (path[len] == '\0')
			return false;
		path += len + 1;
	}
}
