/* SPDX-License-Identifier: ISC */
/*
 * replay: runs a fuzz target over given inputs, in place of libFuzzer.
 *
 *   PROGRAM [FILE|DIRECTORY]...   by default $srcdir/tests/fuzz/corpus/NAME, for the target that
 *                                 PROGRAM, fuzz_NAME, is made of
 *
 * Prints how many inputs there were.  A wrong answer aborts, and the last line names the input.
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char current[4096]; /* the input that is being run */
static size_t count;

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

/* Reads the file into memory of exactly its size. */
static uint8_t *read_file(const char *path, size_t *len)
{
	FILE *file = fopen(path, "rb");
	struct stat info;
	uint8_t *bytes;

	if (file == NULL || fstat(fileno(file), &info) != 0)
		die(path);
	*len = (size_t)info.st_size;
	bytes = malloc(*len + (*len == 0));
	if (bytes == NULL || fread(bytes, 1, *len, file) != *len)
		die(path);
	fclose(file);
	return bytes;
}

static void run_file(const char *path)
{
	size_t len;
	uint8_t *bytes = read_file(path, &len);

	snprintf(current, sizeof current, "%s\n", path);
	if (getenv("FUZZ_VERBOSE") != NULL)
		fputs(current, stderr);
	(void)LLVMFuzzerTestOneInput(bytes, len);
	free(bytes);
	count++;
}

static void run(const char *path)
{
	struct dirent **entries;
	struct stat info;
	int n;

	if (stat(path, &info) != 0)
		die(path);
	if (!S_ISDIR(info.st_mode)) {
		run_file(path);
		return;
	}
	n = scandir(path, &entries, NULL, alphasort);
	if (n < 0)
		die(path);
	for (int i = 0; i < n; i++) {
		char name[4096];

		snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			run(name);
		free(entries[i]);
	}
	free(entries);
}

static void run_corpus(const char *program)
{
	const char *srcdir = getenv("srcdir");
	const char *name = strstr(program, "fuzz_");
	char path[4096];

	for (const char *next = name; next != NULL; next = strstr(next + 1, "fuzz_"))
		name = next;
	if (name == NULL) {
		fprintf(stderr, "%s: not the name of a fuzz target\n", program);
		exit(EXIT_FAILURE);
	}
	snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s", srcdir == NULL ? "." : srcdir,
	    name + strlen("fuzz_"));
	run(path);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		run(argv[i]);
	if (argc < 2)
		run_corpus(argv[0]);
	printf("%zu inputs\n", count);
	return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
