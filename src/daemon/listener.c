/* SPDX-License-Identifier: ISC */
/*
 * listener: binding, inheriting, and the life of a unix socket file.
 */
#include "daemon/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/address.h"
#include "base/log.h"
#include "base/safepath.h"
#include "base/sys.h"
#include "config/identity.h"
#include "daemon/inherited.h"

static int fail(const char *name, const char *what)
{
	log_error("cannot listen on %s: %s: %s", name, what, strerror(errno));
	return -1;
}

/* ---- any socket ------------------------------------------------------------ */

static bool is_listening(int fd)
{
	int listening = 0;
	socklen_t len = sizeof listening;
	struct sockaddr_storage peer;
	socklen_t peer_len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0)
		return listening != 0;
	/* FastCGI 1.0 2.2: getpeername fails with ENOTCONN on the listening socket */
	return getpeername(fd, (struct sockaddr *)&peer, &peer_len) != 0 && errno == ENOTCONN;
}

static int add(struct listeners *listeners, const struct listener *listener)
{
	struct listener *items =
	    realloc(listeners->items, (listeners->count + 1) * sizeof *items);

	if (items == NULL)
		return fail(listener->name, "no memory");
	items[listeners->count++] = *listener;
	listeners->items = items;
	return 0;
}

/* Puts listening socket `listener->fd`, opened or inherited, into service. */
static int adopt(struct listeners *listeners, const struct listener *listener,
    const struct options *options)
{
	struct sockaddr_un addr = {.sun_family = AF_UNSPEC};
	socklen_t len = sizeof addr;
	int one = 1;

	if (sys_cloexec(listener->fd) != 0 || sys_nonblock(listener->fd) != 0)
		return fail(listener->name, "cannot set its flags");
	if (getsockname(listener->fd, (struct sockaddr *)&addr, &len) != 0 ||
	    addr.sun_family != AF_UNIX)
		/* accepted sockets inherit it: an END record must not wait for an ACK */
		(void)setsockopt(listener->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	else if (len > offsetof(struct sockaddr_un, sun_path) && addr.sun_path[0] == '\0' &&
		 options->allow.user_count == 0)
		log_warn("%s: a name without a file has no mode: every user of this machine can "
		    "connect (limit that with --allow-user)",
		    listener->name);
	return add(listeners, listener);
}

/* ---- unix socket files ------------------------------------------------------- */

/* Owner and mode decide which web servers can connect: logged for when nginx says EACCES. */
static void describe(struct listener *listener, const struct stat *info)
{
	char owner[72];

	identity_owner_text(info->st_uid, info->st_gid, owner, sizeof owner);
	snprintf(listener->about, sizeof listener->about, " (%s %04o)", owner,
	    (unsigned)info->st_mode & 07777);
}

/* A socket file that cannot be made: the directory is usually at fault, and is named then. */
static int fail_file(const char *url)
{
	const char *path = url + strlen("unix:");
	int len = (int)(strrchr(path, '/') - path);
	int error = errno;

	len += len == 0; /* the root directory */
	if (error == ENOENT)
		log_error("cannot listen on %s: the directory %.*s does not exist: create it, or "
		    "have it created at each boot (RuntimeDirectory= in a unit, or tmpfiles.d)",
		    url, len, path);
	else if (error == ENOTDIR)
		log_error("cannot listen on %s: %.*s is not a directory", url, len, path);
	else if (error == EACCES || error == EROFS)
		log_error("cannot listen on %s: uid %ld cannot create files in %.*s: %s (start it as "
			  "root, "
			  "with --user, or give that user the directory)",
		    url, (long)geteuid(), len, path, strerror(error));
	else if (error == EPERM)
		log_error("cannot listen on %s: %s: only root can give it the owner that --socket-owner, "
			  "--user or --group names",
		    url, strerror(error));
	else
		log_error("cannot listen on %s: cannot create it: %s", url, safepath_error(error));
	return -1;
}

/* Whether a process serves socket file `at`; -1 with errno on an error, EEXIST for another file. */
static int probe(const struct safepath *at)
{
	struct stat info;
	int fd;
	int failed;

	if (fstatat(at->dir, at->name, &info, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : -1;
	if (!S_ISSOCK(info.st_mode)) {
		errno = EEXIST;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0)
		return -1;
	/* its process may be stuck, with a full backlog: connecting must not wait for that */
	if (sys_nonblock(fd) != 0) {
		close(fd);
		return -1;
	}
	failed = safepath_connect_at(fd, at, at->name);
	close(fd);
	/* refused: no process has it open; all else (EAGAIN: a full backlog) means it is served */
	return failed != 0 && errno == ECONNREFUSED ? 0 : 1;
}

static int check_path(const struct safepath *at, const char *name)
{
	int alive = probe(at);

	if (alive == 0)
		return 0;
	if (alive > 0)
		log_error("cannot listen on %s: another process is serving it; stop that one or "
			  "choose another socket",
		    name);
	else if (errno == EEXIST)
		log_error("cannot listen on %s: a file that is not a socket is there; remove it "
		    "or choose another path",
		    name);
	else
		fail_file(name);
	return -1;
}

/* Without --socket-owner, the socket belongs to --user, as if that user had started the bridge. */
static struct value_owner owner_of_socket(const struct options *options)
{
	struct value_owner owner = options->socket_owner;

	if (owner.uid == (uid_t)-1 && options->identity.has_user)
		owner.uid = options->identity.uid;
	if (owner.gid == (gid_t)-1 && options->identity.has_group)
		owner.gid = options->identity.gid;
	return owner;
}

static int unlink_keeping_errno(int dir, const char *name)
{
	int saved = errno;
	int failed = unlinkat(dir, name, 0);

	errno = saved;
	return failed;
}

/* Makes the socket file `name` in the directory of `at`, with its mode and owner. */
static int bind_temporary(int fd, const struct safepath *at, const char *name,
    const struct options *options)
{
	struct value_owner owner = owner_of_socket(options);
	mode_t before;
	int failed;

	(void)unlink_keeping_errno(at->dir, name); /* of a process with this pid that died here */
	before = umask(0777 & ~(mode_t)options->socket_mode);
	failed = safepath_bind(fd, at, name);
	umask(before);
	if (failed)
		return -1;
	if ((owner.uid == (uid_t)-1 && owner.gid == (gid_t)-1) ||
	    sys_give_socket(at->dir, name, owner.uid, owner.gid) == 0)
		return 0;
	(void)unlink_keeping_errno(at->dir, name);
	return -1;
}

static int make_file(struct listener *listener, const struct safepath *at,
    const struct options *options)
{
	char name[32]; /* in the same directory, and unique to this process */
	struct stat info;

	if (check_path(at, listener->name) != 0)
		return -1;
	snprintf(name, sizeof name, ".cgib%ld", (long)getpid());
	if (bind_temporary(listener->fd, at, name, options) != 0)
		return fail_file(listener->name);
	if (listen(listener->fd, options->backlog) != 0 ||
	    fstatat(at->dir, name, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
	    renameat(at->dir, name, at->dir, at->name) != 0) {
		(void)unlink_keeping_errno(at->dir, name);
		return fail_file(listener->name);
	}
	describe(listener, &info);
	listener->dev = info.st_dev;
	listener->ino = info.st_ino;
	return 0;
}

static int open_unix_file(struct listener *listener, const struct address *address,
    const struct options *options)
{
	struct safepath at;
	int failed;

	if (safepath_find(&at, address->path, SAFEPATH_KEEP) != 0)
		return fail_file(listener->name);
	failed = make_file(listener, &at, options);
	safepath_leave(&at);
	if (failed == 0)
		listener->path = address->path;
	return failed;
}

/* Removes a socket file, unless another process has put its own there since. */
static void unlink_if(const char *path, dev_t dev, ino_t ino)
{
	struct safepath at;
	struct stat info;

	if (safepath_find(&at, path, SAFEPATH_KEEP) != 0)
		return;
	if (fstatat(at.dir, at.name, &info, AT_SYMLINK_NOFOLLOW) == 0 && info.st_dev == dev &&
	    info.st_ino == ino)
		(void)unlink_keeping_errno(at.dir, at.name);
	safepath_leave(&at);
}

/* ---- other ways to a socket ---------------------------------------------------- */

static int open_bound(struct listener *listener, const struct address *address,
    const struct options *options)
{
	int one = 1;

	(void)setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (address->addr.ss_family == AF_INET6)
		(void)setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (bind(listener->fd, (const struct sockaddr *)&address->addr, address->len) != 0)
		return fail(listener->name,
		    errno == EACCES              ? "only root may use a port below 1024"
			: errno == EADDRINUSE    ? "stop what listens there, or choose another"
			: errno == EADDRNOTAVAIL ? "this machine does not have this address"
						 : "cannot bind");
	if (listen(listener->fd, options->backlog) != 0)
		return fail(listener->name, "cannot listen");
	return 0;
}

/* Checks that inherited socket `fd` is of a kind whose peers can be judged.  0, or -1, logged. */
static int check_inherited(int fd, const char *name, const struct options *options)
{
	struct sockaddr_storage addr = {.ss_family = AF_UNSPEC};
	struct address_peer own = {.len = sizeof own.addr};
	socklen_t len = sizeof addr;
	char text[ADDRESS_TEXT_MAX];

	if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
		return fail(name, "cannot find out its address");
	if (addr.ss_family == AF_UNIX)
		return 0;
	if (addr.ss_family != AF_INET && addr.ss_family != AF_INET6) {
		log_error("cannot listen on %s: it is neither a unix nor a TCP socket", name);
		return -1;
	}
	if (allow_listening(&options->allow, (const struct sockaddr *)&addr))
		return 0;
	memcpy(&own.addr, &addr, sizeof own.addr);
	address_text(&own, text);
	log_error("cannot listen on %s: other machines can reach %s, and whoever can connect can run "
		  "programs: name the web servers by --allow ADDR or ADDR/LEN",
	    name, text);
	return -1;
}

static bool serves(const struct listeners *listeners, int fd)
{
	for (size_t i = 0; i < listeners->count; i++)
		if (listeners->items[i].fd == fd)
			return true;
	return false;
}

/* Takes over descriptor `fd`, after moving it away from 0, 1 and 2. */
static int inherit(struct listeners *listeners, int fd, const char *name,
    const struct options *options)
{
	struct listener listener = {.fd = fd};

	snprintf(listener.name, sizeof listener.name, "%s", name);
	if (serves(listeners, fd)) {
		log_error("cannot listen on %s: it is given twice", name);
		return -1;
	}
	if (!is_listening(fd)) {
		log_error("cannot listen on %s: it is not a listening socket", name);
		return -1;
	}
	if (check_inherited(fd, name, options) != 0)
		return -1;
	if (fd < INHERITED_FIRST) {
		listener.fd = fcntl(fd, F_DUPFD, INHERITED_FIRST);
		close(fd);
		if (listener.fd < 0 || sys_open_stdio() != 0)
			return fail(name, "cannot move it");
	}
	return adopt(listeners, &listener, options);
}

/* Takes over a socket that the previous supervisor listened on, and the file it made for that. */
static int adopt_socket(struct listeners *listeners, struct handover_socket *socket,
    const struct address *address, const struct options *options)
{
	struct listener listener = {.fd = socket->fd, .handed_over = true};

	snprintf(listener.name, sizeof listener.name, "%s", socket->name);
	if (check_inherited(socket->fd, socket->name, options) != 0)
		return -1;
	if (address != NULL && socket->has_file) {
		struct stat info;

		if (lstat(address->path, &info) == 0)
			describe(&listener, &info);
		listener.path = address->path;
		listener.dev = socket->dev;
		listener.ino = socket->ino;
	}
	if (address != NULL)
		(void)listen(listener.fd, options->backlog); /* applies a new --backlog */
	if (adopt(listeners, &listener, options) != 0)
		return -1;
	socket->fd = -1;
	return 0;
}

/* The socket handed over for `address`; NULL if the host name resolves to another one by now. */
static struct handover_socket *find_handed_over(struct handover *handover,
    const struct address *address)
{
	struct handover_socket *socket = handover_socket(handover, address->url);

	if (socket == NULL || address->kind != ADDRESS_TCP || address_is_bound(address, socket->fd))
		return socket;
	log_info("%s has a different address than before", address->url);
	return NULL;
}

static int open_socket(struct listeners *listeners, const struct address *address,
    const struct options *options, struct handover *handover)
{
	struct handover_socket *before = find_handed_over(handover, address);
	struct listener listener = {.fd = -1};
	int failed;

	if (before != NULL)
		return adopt_socket(listeners, before, address, options);
	if (address->kind == ADDRESS_FD)
		return inherit(listeners, address->fd, address->url, options);
	snprintf(listener.name, sizeof listener.name, "%s", address->url);
	if (inherited_has(address)) {
		log_error("cannot listen on %s: it is already inherited: leave out this "
		    "--socket to have it served",
		    listener.name);
		return -1;
	}
	listener.fd = socket(address->addr.ss_family, SOCK_STREAM, 0);
	if (listener.fd < 0)
		return fail(listener.name, "cannot make a socket");
	failed = address->path != NULL ? open_unix_file(&listener, address, options)
				       : open_bound(&listener, address, options);
	if (failed == 0 && adopt(listeners, &listener, options) == 0)
		return 0;
	if (listener.path != NULL)
		unlink_if(listener.path, listener.dev, listener.ino);
	close(listener.fd);
	return -1;
}

static bool is_inherited_name(const char *name)
{
	return strchr(name, ':') == NULL;
}

/* Takes over the sockets that the previous supervisor had inherited: how many, or -1. */
static int adopt_inherited(struct listeners *listeners, struct handover *handover,
    const struct options *options)
{
	int count = 0;

	for (size_t i = 0; i < handover->socket_count; i++) {
		struct handover_socket *socket = &handover->sockets[i];

		if (socket->fd < 0 || !is_inherited_name(socket->name))
			continue;
		if (adopt_socket(listeners, socket, NULL, options) != 0)
			return -1;
		count++;
	}
	return count;
}

/* Takes over the sockets that systemd and the like have opened. */
static enum listener_failure open_announced(struct listeners *listeners, int count,
    const struct options *options)
{
	for (int i = 0; i < count; i++) {
		char name[32];

		snprintf(name, sizeof name, "inherited socket %d", INHERITED_FIRST + i);
		if (inherit(listeners, INHERITED_FIRST + i, name, options) != 0)
			return LISTENER_FAILED;
	}
	return LISTENER_OK;
}

static enum listener_failure open_inherited(struct listeners *listeners, struct handover *handover,
    const struct options *options)
{
	int before = adopt_inherited(listeners, handover, options);
	int count = inherited_count();

	if (before != 0)
		return before > 0 ? LISTENER_OK : LISTENER_FAILED;
	if (count > 0)
		return open_announced(listeners, count, options);
	if (!is_listening(0))
		return LISTENER_NONE;
	return inherit(listeners, 0, "descriptor 0", options) == 0 ? LISTENER_OK : LISTENER_FAILED;
}

/* Warns of inherited sockets that are not served: their clients would wait for ever. */
static void warn_unused(const struct listeners *listeners)
{
	int count = inherited_count();

	for (int fd = INHERITED_FIRST; fd < INHERITED_FIRST + count; fd++) {
		char text[ADDRESS_URL_MAX];

		inherited_text(fd, text);
		if (is_listening(fd) && !serves(listeners, fd))
			log_warn("%s is not served, as --socket names others (it would be, "
			    "without --socket)",
			    text);
	}
}

/* The socket file that was made for it, or NULL. */
static const char *path_of(const struct handover_socket *socket)
{
	return socket->has_file && strncmp(socket->name, "unix:/", 6) == 0 ? socket->name + 5 : NULL;
}

void listeners_drop(struct handover *handover)
{
	for (size_t i = 0; i < handover->socket_count; i++) {
		struct handover_socket *socket = &handover->sockets[i];

		if (socket->fd < 0)
			continue;
		log_info("no longer listening on %s", socket->name);
		if (path_of(socket) != NULL)
			unlink_if(path_of(socket), socket->dev, socket->ino);
	}
	handover_close_sockets(handover);
}

int listeners_keep(struct listeners *listeners, struct handover *handover)
{
	*listeners = (struct listeners){.items = NULL};
	for (size_t i = 0; i < handover->socket_count; i++) {
		struct handover_socket *socket = &handover->sockets[i];
		struct listener listener = {.fd = socket->fd,
		    .path = path_of(socket),
		    .dev = socket->dev,
		    .ino = socket->ino,
		    .handed_over = true};

		snprintf(listener.name, sizeof listener.name, "%s", socket->name);
		if (socket->fd >= 0 && add(listeners, &listener) != 0)
			return -1;
		socket->fd = -1;
	}
	return 0;
}

enum listener_failure listeners_open(struct listeners *listeners, const struct options *options,
    struct handover *handover)
{
	enum listener_failure result = LISTENER_OK;

	*listeners = (struct listeners){.items = NULL};
	if (options->sockets.count == 0)
		result = open_inherited(listeners, handover, options);
	for (size_t i = 0; result == LISTENER_OK && i < options->sockets.count; i++)
		if (open_socket(listeners, &options->sockets.items[i], options, handover) != 0)
			result = LISTENER_FAILED;
	if (options->sockets.count > 0)
		warn_unused(listeners);
	inherited_forget();
	if (result != LISTENER_OK)
		listeners_abandon(listeners, handover);
	return result;
}

void listeners_abandon(struct listeners *listeners, struct handover *handover)
{
	for (size_t i = 0; i < listeners->count; i++) {
		struct listener *listener = &listeners->items[i];

		if (!listener->handed_over)
			continue;
		handover_give_back(handover, listener->name, listener->fd);
		listener->path = NULL;
		listener->fd = -1;
	}
	listeners_unlink(listeners);
	listeners_close(listeners);
}

void listeners_unlink(struct listeners *listeners)
{
	for (size_t i = 0; i < listeners->count; i++) {
		struct listener *listener = &listeners->items[i];
		if (listener->path != NULL)
			unlink_if(listener->path, listener->dev, listener->ino);
		listener->path = NULL;
	}
}

void listeners_close(struct listeners *listeners)
{
	for (size_t i = 0; i < listeners->count; i++)
		if (listeners->items[i].fd >= 0)
			close(listeners->items[i].fd);
	free(listeners->items);
	*listeners = (struct listeners){.items = NULL};
}
