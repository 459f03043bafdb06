/* SPDX-License-Identifier: ISC */
/*
 * safepath: the walk, and sockets by changing directory.
 *
 * An open directory stays the same whatever happens to its name.  A file looked at by name may
 * have been replaced a moment later, so a name is looked at only to say what is wrong, or
 * where nobody but root can change it; O_NOFOLLOW does the rest.
 */
#include "base/safepath.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/sys.h"

/* Searching a directory does not require permission to read it. */
#if defined(O_SEARCH)
#define OPEN_DIR (O_SEARCH | O_DIRECTORY | O_CLOEXEC)
#elif defined(O_PATH)
#define OPEN_DIR (O_PATH | O_DIRECTORY | O_CLOEXEC)
#else
#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#endif

enum { PATH_ROOM = 4096, LINKS_MAX = 40 };

struct walk {
	struct safepath *at;
	int links;            /* links followed so far */
	char rest[PATH_ROOM]; /* the part of the path that is still to be walked */
};

static bool is_root(void)
{
	return geteuid() == 0;
}

void safepath_leave(struct safepath *at)
{
	if (at->dir >= 0)
		close_keeping_errno(at->dir);
	at->dir = -1;
}

/* ---- the walk --------------------------------------------------------------- */

/* Continues in directory `dir`, just opened; `is_private`: all those before it were private. */
static int enter(struct safepath *at, int dir, bool is_private)
{
	struct stat info;

	if (dir < 0)
		return -1;
	safepath_leave(at);
	at->dir = dir;
	if (fstat(dir, &info) != 0)
		return -1;
	at->is_private = is_private && info.st_uid == 0 && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
	return 0;
}

static int start(struct walk *walk)
{
	return enter(walk->at, open(walk->rest[0] == '/' ? "/" : ".", OPEN_DIR), true);
}

/* Anyone who can move the directory can change where `..` leads. */
static int descend(struct walk *walk, const char *name)
{
	struct safepath *at = walk->at;

	if (is_root() && !at->is_private && strcmp(name, "..") == 0) {
		errno = ELOOP;
		return -1;
	}
	return enter(at, openat(at->dir, name, OPEN_DIR | O_NOFOLLOW), at->is_private);
}

/* Puts the target of link `name` in front of the rest. */
static int follow(struct walk *walk, const char *name)
{
	char target[PATH_ROOM];
	size_t left = strlen(walk->rest);
	ssize_t len = readlinkat(walk->at->dir, name, target, sizeof target);

	if (len < 0)
		return -1;
	if (++walk->links > LINKS_MAX || len == 0) {
		errno = ELOOP;
		return -1;
	}
	if ((size_t)len + 1 + left >= sizeof walk->rest) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memmove(walk->rest + len + (left > 0), walk->rest, left + 1);
	memcpy(walk->rest, target, (size_t)len);
	if (left > 0)
		walk->rest[len] = '/';
	return walk->rest[0] == '/' ? start(walk) : 0;
}

/* Takes the next name, and the slashes around it, off the rest.  0, or -1 with errno. */
static int next_name(struct walk *walk, char name[NAME_MAX + 1])
{
	char *begin = walk->rest + strspn(walk->rest, "/");
	size_t len = strcspn(begin, "/");
	char *after = begin + len + strspn(begin + len, "/");

	if (len == 0 || len > NAME_MAX) {
		errno = len == 0 ? EISDIR : ENAMETOOLONG;
		return -1;
	}
	memcpy(name, begin, len);
	name[len] = '\0';
	memmove(walk->rest, after, strlen(after) + 1);
	return 0;
}

/* Whether `name` is a link: 1, 0, or -1 with errno if it is one that must not be followed. */
static int check_link(const struct safepath *at, const char *name)
{
	struct stat info;

	if (fstatat(at->dir, name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISLNK(info.st_mode))
		return 0;
	if (!is_root() || (at->is_private && info.st_uid == 0))
		return 1;
	errno = ELOOP;
	return -1;
}

/* Walks one name further: 1 at the file's own name, 0 to continue, -1 with errno. */
static int step(struct walk *walk, enum safepath_link last)
{
	struct safepath *at = walk->at;
	char name[NAME_MAX + 1];
	bool is_last;
	int is_link = 0;

	if (next_name(walk, name) != 0)
		return -1;
	is_last = walk->rest[0] == '\0';
	if (!is_last || last == SAFEPATH_FOLLOW)
		is_link = check_link(at, name);
	if (is_link < 0)
		return -1;
	/* a link in /proc leads to the open file, whatever its text says */
	if (is_link && !(is_last && sys_is_proc(at->dir)))
		return follow(walk, name);
	if (!is_last)
		return descend(walk, name);
	memcpy(at->name, name, sizeof name);
	return 1;
}

int safepath_find(struct safepath *at, const char *path, enum safepath_link last)
{
	struct walk walk = {.at = at};
	size_t len = strlen(path);
	int done;

	*at = (struct safepath){.dir = -1};
	if (len >= sizeof walk.rest) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(walk.rest, path, len + 1);
	done = start(&walk);
	while (done == 0)
		done = step(&walk, last);
	if (done > 0)
		return 0;
	safepath_leave(at);
	return -1;
}

/* ---- files ------------------------------------------------------------------ */

/* A second name may be a hard link, made by a user who cannot write to the file itself. */
static int check_names(int fd, const struct safepath *at)
{
	struct stat info;

	if (at->is_private || (fstat(fd, &info) == 0 && !(S_ISREG(info.st_mode) && info.st_nlink > 1)))
		return 0;
	errno = EMLINK;
	return -1;
}

int safepath_open(const char *path, int flags, mode_t mode)
{
	struct safepath at;
	int fd;

	if (!is_root())
		return open(path, flags, mode);
	if (safepath_find(&at, path, SAFEPATH_FOLLOW) != 0)
		return -1;
	if (!at.is_private || !sys_is_proc(at.dir))
		flags |= O_NOFOLLOW;
	fd = openat(at.dir, at.name, flags, mode);
	if (fd >= 0 && check_names(fd, &at) != 0) {
		close_keeping_errno(fd);
		fd = -1;
	}
	safepath_leave(&at);
	return fd;
}

/* ---- sockets ------------------------------------------------------------------ */

typedef int socket_call(int fd, const struct sockaddr *addr, socklen_t len);

/* bind(2) and connect(2) know no directory but the working directory. */
static int call_in(const struct safepath *at, const char *name, int fd, socket_call *call)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int here, failed, error;

	if (strlen(name) >= sizeof addr.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(addr.sun_path, name, strlen(name) + 1);
	here = open(".", OPEN_DIR);
	/* another user's home, as after su: nothing can be found from there anyway */
	if (here < 0 && errno == EACCES)
		here = open("/", OPEN_DIR);
	if (here < 0)
		return -1;
	failed = fchdir(at->dir) != 0 ||
	    call(fd, (const struct sockaddr *)(const void *)&addr, sizeof addr) != 0;
	error = errno;
	if (fchdir(here) != 0 && !failed) {
		failed = 1;
		error = errno;
	}
	close(here);
	errno = error;
	return failed ? -1 : 0;
}

int safepath_bind(int fd, const struct safepath *at, const char *name)
{
	return call_in(at, name, fd, bind);
}

int safepath_connect_at(int fd, const struct safepath *at, const char *name)
{
	return call_in(at, name, fd, connect);
}

static int connect_plainly(int fd, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if (len >= sizeof addr.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(addr.sun_path, path, len + 1);
	return connect(fd, (const struct sockaddr *)(const void *)&addr, sizeof addr);
}

int safepath_connect(int fd, const char *path)
{
	struct safepath at;
	int failed;

	if (!is_root())
		return connect_plainly(fd, path);
	if (safepath_find(&at, path, SAFEPATH_FOLLOW) != 0)
		return -1;
	failed = safepath_connect_at(fd, &at, at.name);
	safepath_leave(&at);
	return failed;
}

const char *safepath_error(int error)
{
	if (error == ELOOP)
		return "a symbolic link in its path that users other than root can change";
	if (error == EMLINK)
		return "a file with a second name, in a directory that users other than root can "
		    "write to";
	return strerror(error);
}
