/* SPDX-License-Identifier: ISC */
/*
 * mounts: the table of mounts, and paths compared with it.
 */
#include "cgi/mounts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/sys.h"

/* ---- the table ----------------------------------------------------------- */

/* File systems whose answers come from another machine or from another process. */
static bool may_hang(const char *type)
{
	static const char *const types[] = {"9p", "afs", "autofs", "beegfs", "ceph", "cifs", "coda",
	    "fuse", "fuseblk", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2",
	    "orangefs", "smb3", "smbfs", "virtiofs"};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return strncmp(type, "fuse.", 5) == 0;
}

/*
 * When the root does not answer, nothing on this machine does; and with systemd, most machines
 * have an autofs in /proc.
 */
static bool may_have_scripts(const char *mount_point)
{
	return *mount_point != '\0' && strcmp(mount_point, "/") != 0 &&
	    strncmp(mount_point, "/proc/", 6) != 0 && strncmp(mount_point, "/sys/", 5) != 0;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* Replaces each \ooo, as which the table has blanks and backslashes. */
static void decode(char *text)
{
	char *to = text;

	for (const char *at = text; *at != '\0'; to++) {
		if (at[0] == '\\' && is_octal(at[1]) && is_octal(at[2]) && is_octal(at[3])) {
			*to = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
			at += 4;
		} else {
			*to = *at++;
		}
	}
	*to = '\0';
}

/* The parts of a line of the table that are of interest; they point into the line. */
struct line {
	char *device, *path, *type;
};

/* ID PARENT MAJOR:MINOR ROOT PATH OPTIONS [TAG]... - TYPE SOURCE OPTIONS; false: not like that. */
static bool split_line(struct line *line, char *text)
{
	char *rest = NULL;
	char *word = text;

	*line = (struct line){NULL, NULL, NULL};
	for (int i = 0; i < 6 && word != NULL; i++) {
		word = strtok_r(i == 0 ? text : NULL, " ", &rest);
		if (i == 2)
			line->device = word;
		else if (i == 4)
			line->path = word;
	}
	while (word != NULL && strcmp(word, "-") != 0)
		word = strtok_r(NULL, " ", &rest);
	if (word != NULL)
		line->type = strtok_r(NULL, " ", &rest);
	return line->type != NULL;
}

static dev_t device_of(const char *text)
{
	char *end;
	unsigned long major_number = strtoul(text, &end, 10);
	unsigned long minor_number = *end == ':' ? strtoul(end + 1, NULL, 10) : 0;

	return sys_device(major_number, minor_number);
}

/* `path` as it is counted from the root; NULL: it is not below that. */
static const char *from_root(const struct mounts *mounts, const char *path)
{
	size_t len = mounts->root == NULL ? 0 : strlen(mounts->root);

	if (len > 0 && mounts->root[len - 1] == '/')
		len--;
	if (len == 0)
		return path;
	return strncmp(path, mounts->root, len) == 0 && path[len] == '/' ? path + len : NULL;
}

/* Without memory for one, scripts on it are run as any others. */
static void add(struct mounts *mounts, const char *path, dev_t device)
{
	struct mount *items = realloc(mounts->items, (mounts->count + 1) * sizeof *items);
	struct mount *mount;

	if (items == NULL)
		return;
	mounts->items = items;
	mount = &items[mounts->count];
	*mount = (struct mount){strdup(path), device};
	if (mount->path != NULL)
		mounts->count++;
}

static void read_line(struct mounts *mounts, struct line *line)
{
	const char *path;

	if (!may_hang(line->type))
		return;
	decode(line->path);
	path = from_root(mounts, line->path);
	if (path != NULL && may_have_scripts(path))
		add(mounts, path, device_of(line->device));
}

static void forget_items(struct mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++)
		free(mounts->items[i].path);
	free(mounts->items);
	mounts->items = NULL;
	mounts->count = 0;
}

static void forget_link(struct mount *link)
{
	free(link->path);
	link->path = NULL;
}

static bool has_device(const struct mounts *mounts, dev_t device)
{
	for (size_t i = 0; i < mounts->count; i++)
		if (mounts->items[i].device == device)
			return true;
	return false;
}

void mounts_parse(struct mounts *mounts, char *text)
{
	struct line line;
	char *rest = NULL;

	forget_items(mounts);
	free(mounts->local); /* a path may lead to a mount that is new */
	mounts->local = NULL;
	for (char *at = strtok_r(text, "\n", &rest); at != NULL; at = strtok_r(NULL, "\n", &rest))
		if (split_line(&line, at))
			read_line(mounts, &line);
	for (size_t i = 0; i < MOUNTS_LINKS_MAX; i++)
		if (!has_device(mounts, mounts->links[i].device))
			forget_link(&mounts->links[i]);
}

/* All of `fd` from its beginning, with a NUL at the end; owned.  NULL with errno. */
static char *read_all(int fd)
{
	size_t size = 16384, len = 0;
	char *text = malloc(size);
	ssize_t n = text != NULL && lseek(fd, 0, SEEK_SET) == 0 ? 0 : -1;

	while (n >= 0 && (n = read(fd, text + len, size - len - 1)) > 0) {
		len += (size_t)n;
		if (size - len > 4096)
			continue;
		size *= 2;

		char *more = realloc(text, size);

		n = more == NULL ? -1 : n;
		text = more == NULL ? text : more;
	}
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[len] = '\0';
	return text;
}

static void read_table(struct mounts *mounts, int fd)
{
	char *text = read_all(fd);

	if (text == NULL) /* those that are known are kept */
		return;
	mounts_parse(mounts, text);
	free(text);
	log_debug("%zu mounts of file systems that may stop answering", mounts->count);
}

/* The table has changed, which is reported as an error, once for each change. */
static void on_change(struct loop_watch *watch, unsigned events)
{
	struct mounts *mounts = CONTAINER_OF(watch, struct mounts, watch);

	(void)events;
	read_table(mounts, watch->fd);
}

void mounts_init(struct mounts *mounts, const char *root)
{
	*mounts = (struct mounts){.fd = sys_open_mounts(),
	    .root = root == NULL ? NULL : realpath(root, NULL)};
	loop_watch_init(&mounts->watch, on_change);
}

void mounts_follow(struct mounts *mounts, struct loop *loop)
{
	int fd = mounts->fd;
	bool watched;

	mounts->loop = loop;
	mounts->fd = -1;
	if (fd < 0)
		return;
	/* read after that: a change between open(2) and epoll_ctl(2) is not reported */
	watched = loop_watch(loop, &mounts->watch, fd, LOOP_HUP) == 0;
	read_table(mounts, fd);
	if (!watched)
		close(fd);
}

void mounts_fini(struct mounts *mounts)
{
	if (mounts->fd >= 0)
		close(mounts->fd);
	if (mounts->loop != NULL)
		loop_close(mounts->loop, &mounts->watch);
	free(mounts->root);
	free(mounts->local);
	forget_items(mounts);
	for (size_t i = 0; i < MOUNTS_LINKS_MAX; i++)
		forget_link(&mounts->links[i]);
}

/* ---- paths ---------------------------------------------------------------- */

/* Appends the component at `at` to `text` of `len` bytes, or goes up; the new length. */
static size_t step(char *text, size_t len, const char *at, size_t size)
{
	if (size == 0 || (size == 1 && at[0] == '.'))
		return len;
	if (size == 2 && at[0] == '.' && at[1] == '.') {
		while (len > 0 && text[--len] != '/')
			;
		return len;
	}
	text[len++] = '/';
	memcpy(text + len, at, size);
	return len + size;
}

/* `path` without "//", "/./" and "/../" as text; cut where it is longer than a path can be. */
static void normalise(const char *path, char text[PATH_MAX])
{
	size_t len = 0;

	while (*path != '\0') {
		size_t size = strcspn(path, "/");

		if (len + size + 2 > PATH_MAX)
			break;
		len = step(text, len, path, size);
		path += size + (path[size] == '/');
	}
	text[len] = '\0';
}

static bool leads_to(const char *path, const struct mount *mount)
{
	size_t len = strlen(mount->path);

	return strncmp(path, mount->path, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

const struct mount *mounts_find(const struct mounts *mounts, const char *path)
{
	char text[PATH_MAX];

	normalise(path, text);
	for (size_t i = 0; i < mounts->count; i++)
		if (leads_to(text, &mounts->items[i]))
			return &mounts->items[i];
	for (size_t i = 0; i < MOUNTS_LINKS_MAX; i++)
		if (mounts->links[i].path != NULL && leads_to(text, &mounts->links[i]))
			return &mounts->links[i];
	return NULL;
}

/* ---- what has been found --------------------------------------------------- */

enum { LOCAL_SETS = 1024, LOCAL_WAYS = 4 }; /* scripts that are remembered: in all, 4,096 */

/* FNV-1a, of 64 bits: that two scripts have the same is no reason to do more. */
static uint64_t hash_add(uint64_t hash, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3U;
	return hash;
}

static const uint64_t hash_start = 0xcbf29ce484222325U;

static uint64_t *set_of(const struct mounts *mounts, uint64_t hash)
{
	return &mounts->local[(hash ^ hash >> 32) % LOCAL_SETS * LOCAL_WAYS];
}

static bool is_remembered(const struct mounts *mounts, uint64_t hash)
{
	const uint64_t *set = set_of(mounts, hash);

	for (size_t i = 0; i < LOCAL_WAYS; i++)
		if (set[i] == hash)
			return true;
	return false;
}

/*
 * Adds the next component at `at`; the end of that.  ".." is one: what it means is not in a
 * text.
 */
static const char *hash_component(uint64_t *hash, const char *at)
{
	size_t len;

	at += strspn(at, "/");
	len = strcspn(at, "/");
	if (len > 0 && !(len == 1 && at[0] == '.'))
		*hash = hash_add(hash_add(*hash, "/", 1), at, len);
	return at + len;
}

bool mounts_is_local(const struct mounts *mounts, const char *path)
{
	uint64_t hash = hash_start;

	if (mounts->local == NULL)
		return false;
	while (*path != '\0') {
		path = hash_component(&hash, path);
		if (is_remembered(mounts, hash))
			return true;
	}
	return false;
}

dev_t mounts_guess(const char *path)
{
	const char *slash = strrchr(path, '/');

	return (dev_t)hash_add(hash_start, path, slash == NULL ? 0 : (size_t)(slash - path));
}

/* The last one of its set makes room.  Without memory it is found out again. */
static void remember_local(struct mounts *mounts, const char *path)
{
	uint64_t hash = hash_start;
	uint64_t *set;

	while (*path != '\0')
		path = hash_component(&hash, path);
	if (mounts->local == NULL)
		mounts->local = calloc(LOCAL_SETS * LOCAL_WAYS, sizeof *mounts->local);
	if (mounts->local == NULL || is_remembered(mounts, hash))
		return;
	set = set_of(mounts, hash);
	memmove(set + 1, set, (LOCAL_WAYS - 1) * sizeof *set);
	set[0] = hash;
}

/* Remembers the script at `path` or, if all of its directory is there, that. */
static void remember_link(struct mounts *mounts, const char *path, dev_t device, bool directory)
{
	struct mount *link = &mounts->links[mounts->next_link];
	char text[PATH_MAX];
	char *slash;

	normalise(path, text);
	slash = strrchr(text, '/');
	if (directory && slash != NULL && slash != text)
		*slash = '\0';
	forget_link(link);
	*link = (struct mount){strdup(text), device};
	mounts->next_link = (mounts->next_link + 1) % MOUNTS_LINKS_MAX;
}

void mounts_learn(struct mounts *mounts, const char *path, const struct mounts_trace *trace)
{
	if (mounts_find(mounts, path) != NULL)
		return;
	if (has_device(mounts, trace->directory))
		remember_link(mounts, path, trace->directory, true);
	else if (has_device(mounts, trace->script))
		remember_link(mounts, path, trace->script, false);
	else if (has_device(mounts, trace->program))
		remember_link(mounts, path, trace->program, false);
	else
		remember_local(mounts, path);
}
