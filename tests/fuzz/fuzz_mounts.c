/* SPDX-License-Identifier: ISC */
/*
 * fuzz_mounts: the system's table of mounts, whose paths users choose, and the paths that are
 * looked up in it.  What is found is what a plain reading finds, by proc_pid_mountinfo(5) and by
 * the components of the path.
 *
 * Input: a path and another one, which end in a NUL; the table.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "cgi/mounts.h"
#include "fuzz.h"

enum { WORDS = 64, PARTS = PATH_MAX };

/* ---- a plain reading ------------------------------------------------------------------------- */

/* The words of a line, which is changed; as many as there are, up to WORDS. */
static size_t split(char *line, char *words[WORDS])
{
	size_t count = 0;

	for (line += strspn(line, " "); *line != '\0' && count < WORDS; line += strspn(line, " ")) {
		words[count++] = line;
		line += strcspn(line, " ");
		if (*line != '\0')
			*line++ = '\0';
	}
	return count;
}

/* Three octal digits after a backslash are a byte. */
static void decode(char *text)
{
	char *to = text;

	while (*text != '\0') {
		unsigned value;
		int len = 0;

		if (text[0] == '\\' && strspn(text + 1, "01234567") >= 3 &&
		    sscanf(text + 1, "%3o%n", &value, &len) == 1 && len == 3) {
			*to++ = (char)value;
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

/* A file system of a server, or of a process. */
static bool is_remote(const char *type)
{
	static const char *const types = " 9p afs autofs beegfs ceph cifs coda fuse fuseblk gfs2 "
					 "glusterfs gpfs lustre ncpfs nfs nfs4 ocfs2 orangefs smb3 "
					 "smbfs virtiofs ";
	char word[PATH_MAX];

	if (strncmp(type, "fuse.", 5) == 0)
		return true;
	return strlen(type) < 20 && snprintf(word, sizeof word, " %s ", type) > 0 &&
	    strstr(types, word) != NULL;
}

static bool is_kernels(const char *path)
{
	return strcmp(path, "/") == 0 || strncmp(path, "/proc/", 6) == 0 ||
	    strncmp(path, "/sys/", 5) == 0;
}

/* MAJOR:MINOR; false: it is not like that, and may be taken for any device. */
static bool read_device(const char *text, dev_t *device)
{
	size_t len = strspn(text, "0123456789");
	size_t more = text[len] == ':' ? strspn(text + len + 1, "0123456789") : 0;

	if (len == 0 || len > 9 || more == 0 || more > 9 || text[len + 1 + more] != '\0')
		return false;
	*device = sys_device((unsigned long)atol(text), (unsigned long)atol(text + len + 1));
	return true;
}

/* The mount that a line is about: its path, decoded, in the line; NULL: none of interest. */
static char *read_line(char *line, dev_t *device)
{
	char *words[WORDS];
	size_t count = split(line, words);
	size_t dash = 6;

	while (dash < count && strcmp(words[dash], "-") != 0)
		dash++;
	/* the kernel never has a dash as its options, and never so few words */
	if (count > 5 && strcmp(words[5], "-") == 0)
		dash = 5;
	if (dash + 1 >= count || !is_remote(words[dash + 1]) || is_kernels(words[4]))
		return NULL;
	(void)read_device(words[2], device);
	decode(words[4]);
	return words[4];
}

/* `path` by its components. */
static void resolve(const char *path, char parts[PATH_MAX + 2])
{
	size_t len = 0;

	*parts = '\0';
	while (*path != '\0') {
		size_t size = strcspn(path, "/");

		if (size == 2 && strncmp(path, "..", 2) == 0) {
			char *slash = strrchr(parts, '/');

			if (slash != NULL)
				*slash = '\0';
			len = strlen(parts);
		} else if (size > 0 && !(size == 1 && *path == '.')) {
			len += (size_t)snprintf(parts + len, PATH_MAX + 2 - len, "/%.*s", (int)size, path);
		}
		path += size + (path[size] == '/');
	}
}

/* Whether it is `mount` or below it. */
static bool is_at(const char *path, const char *mount)
{
	char parts[PATH_MAX + 2];

	resolve(path, parts);
	return strcmp(parts, mount) == 0 || fuzz_is_below(parts, mount);
}

/* ---- what must hold --------------------------------------------------------------------------- */

/* The mounts of `text` against those that were found, and the one that `path` leads to. */
static void check_table(const struct mounts *mounts, const char *text, const char *path)
{
	const struct mount *found = mounts_find(mounts, path);
	const struct mount *wanted = NULL;
	char *copy = strdup(text);
	size_t count = 0;
	char *next = copy;

	fuzz_require(copy != NULL);
	while (next != NULL) {
		char *line = strsep(&next, "\n");
		dev_t device = count < mounts->count ? mounts->items[count].device : 0;
		const char *mount = read_line(line, &device);

		if (mount == NULL)
			continue;
		fuzz_require(count < mounts->count && mounts->items[count].device == device);
		fuzz_require(strcmp(mounts->items[count].path, mount) == 0);
		if (wanted == NULL && is_at(path, mount))
			wanted = &mounts->items[count];
		count++;
	}
	fuzz_require(count == mounts->count && mounts_any(mounts) == (count > 0));
	fuzz_require(found == wanted);
	free(copy);
}

/* A device of none of the mounts. */
static dev_t other_device(const struct mounts *mounts)
{
	dev_t device = 1;

	for (size_t i = 0; i < mounts->count; i++)
		if (mounts->items[i].device == device) {
			device++;
			i = (size_t)-1;
		}
	return device;
}

/* A script that was found elsewhere, with its program, is local from then on. */
static void check_local(struct mounts *mounts, const char *path)
{
	dev_t device = other_device(mounts);
	struct mounts_trace trace = {device, device, device};

	fuzz_require(!mounts_is_local(mounts, path));
	mounts_learn(mounts, path, &trace);
	fuzz_require(mounts_is_local(mounts, path) == (mounts_find(mounts, path) == NULL));
	trace.program = mounts->items[0].device; /* with a program on a mount, it is not */
	mounts_learn(mounts, "/program/x.cgi", &trace);
	fuzz_require(mounts_find(mounts, "/program/x.cgi") != NULL);
}

/* A script that was found on one of them, by another path, is known from then on. */
static void check_links(struct mounts *mounts, const char *path)
{
	dev_t device = mounts->items[0].device;
	struct mounts_trace trace = {device, device, 0};
	char empty[1] = "";

	for (int i = 0; i < MOUNTS_LINKS_MAX + 2; i++) {
		char other[64];
		const struct mount *found;

		snprintf(other, sizeof other, "/nowhere/%d/x.cgi", i);
		if (mounts_find(mounts, other) != NULL) /* it is a mount */
			continue;
		mounts_learn(mounts, other, &trace);
		found = mounts_find(mounts, other);
		fuzz_require(found != NULL && found->device == device);
	}
	mounts_learn(mounts, path, &trace);
	fuzz_require(mounts_find(mounts, path) != NULL);
	mounts_parse(mounts, empty);
	fuzz_require(mounts->count == 0 && mounts_find(mounts, path) == NULL);
	fuzz_require(mounts_find(mounts, "/nowhere/17/x.cgi") == NULL);
	fuzz_require(!mounts_is_local(mounts, path));
}

/* An absolute path of a length that the system takes; to be freed. */
static char *read_path(struct fuzz_input *input)
{
	char *text = fuzz_text(input);
	char *path = malloc(strlen(text) + 2);

	fuzz_require(path != NULL);
	sprintf(path, "/%s", text);
	if (strlen(path) >= PATH_MAX / 2)
		path[PATH_MAX / 2] = '\0';
	free(text);
	return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len};
	struct mounts mounts = {.fd = -1};
	char parts[PATH_MAX + 2];
	char *path = read_path(&input);
	char *other = read_path(&input);
	char *text = fuzz_text(&input);
	char *copy = strdup(text);

	fuzz_require(copy != NULL);
	loop_watch_init(&mounts.watch, NULL);
	mounts_parse(&mounts, copy);
	check_table(&mounts, text, path);
	resolve(other, parts);
	if (mounts.count > 0 && *parts != '\0') { /* a script is not the root */
		check_local(&mounts, other);
		check_links(&mounts, other);
	}
	*copy = '\0';
	mounts_parse(&mounts, copy);
	fuzz_require(mounts.items == NULL && mounts.local == NULL);
	for (size_t i = 0; i < MOUNTS_LINKS_MAX; i++)
		fuzz_require(mounts.links[i].path == NULL);
	free(copy);
	free(text);
	free(other);
	free(path);
	return 0;
}
