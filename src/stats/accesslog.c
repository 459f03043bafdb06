/* SPDX-License-Identifier: ISC */
/*
 * accesslog: writing the lines, and reporting those that were lost.
 */
#include "stats/accesslog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_syslog.h"
#include "base/output.h"
#include "base/stamp.h"
#include "base/safepath.h"
#include "base/sys.h"

enum {
	COMPLAIN_EVERY = 60, /* s */
	PRIORITY = 6,        /* "informational" */
	OPEN_FLAGS = O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
};

/* Shared by all workers. */
struct common {
	atomic_ullong lost;       /* lines, since the log last reported them */
	atomic_llong complained;  /* when it last did, s; 0: never */
	atomic_int torn;          /* the file ends in the middle of a line */
};

static struct {
	struct accesslog_target target;
	enum accesslog_form form;
	struct output output;
	uid_t uid; /* the file's owner; (uid_t)-1: its creator */
	gid_t gid;
	bool made; /* by us: it did not exist before */
	struct common *common;
} access_log = {.output = {-1, OUTPUT_WRITE}, .uid = (uid_t)-1, .gid = (gid_t)-1};

/* ---- opening -------------------------------------------------------------------- */

/* Opens standard output again, if possible, so that its mode is not shared. */
static int open_stdout(void)
{
	int fd = open("/dev/stdout", OPEN_FLAGS);

	return fd < 0 ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : fd;
}

static int open_target(const struct accesslog_target *target)
{
	int fd;

	if (target->way == ACCESSLOG_STDOUT)
		return open_stdout();
	fd = safepath_open(target->text, OPEN_FLAGS | O_CREAT | O_EXCL, 0640);
	access_log.made = fd >= 0;
	return fd >= 0 || errno != EEXIST ? fd
					  : safepath_open(target->text, OPEN_FLAGS | O_CREAT, 0640);
}

int accesslog_open(const struct accesslog_target *target, enum accesslog_form form)
{
	int fd = -1;

	if (target->way != ACCESSLOG_SYSLOG) {
		fd = open_target(target);
		if (fd < 0)
			return -1;
	}
	if (access_log.common == NULL)
		access_log.common = sys_shared_alloc(sizeof *access_log.common);
	if (access_log.common == NULL) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	access_log.target = *target;
	access_log.form = form;
	access_log.output = (struct output){fd, output_way(fd)};
	return 0;
}

/* Whether the open file has the target's name and no other. */
static bool is_our_own(void)
{
	struct stat file;
	struct stat name;

	return fstat(access_log.output.fd, &file) == 0 && lstat(access_log.target.text, &name) == 0 &&
	    S_ISREG(file.st_mode) && file.st_nlink == 1 && file.st_dev == name.st_dev &&
	    file.st_ino == name.st_ino;
}

/* Outside of root's own directories, a user may have given this name to a file of root's. */
static bool is_in_private_folder(void)
{
	struct safepath at;
	bool is_private;

	if (safepath_find(&at, access_log.target.text, SAFEPATH_KEEP) != 0)
		return false;
	is_private = at.is_private;
	safepath_leave(&at);
	return is_private;
}

/* Standard output, devices and the targets of links belong to others and are left alone. */
static int give_file(void)
{
	if (access_log.uid == (uid_t)-1 || access_log.target.way != ACCESSLOG_FILE || !is_our_own() ||
	    !(access_log.made || is_in_private_folder()))
		return 0;
	return fchown(access_log.output.fd, access_log.uid, access_log.gid);
}

int accesslog_give(uid_t uid, gid_t gid)
{
	access_log.uid = uid;
	access_log.gid = gid;
	return access_log.output.fd < 0 ? 0 : give_file();
}

bool accesslog_is_open(void)
{
	return access_log.target.way != ACCESSLOG_NONE;
}

void accesslog_close(void)
{
	if (access_log.output.fd >= 0)
		close(access_log.output.fd);
	if (access_log.common != NULL)
		sys_shared_free(access_log.common, sizeof *access_log.common);
	access_log.output.fd = -1;
	access_log.common = NULL;
	access_log.target.way = ACCESSLOG_NONE;
}

void accesslog_reopen(void)
{
	int fd;

	if (access_log.target.way == ACCESSLOG_SYSLOG)
		log_syslog_close();
	if (access_log.target.way != ACCESSLOG_FILE)
		return;
	fd = open_target(&access_log.target);
	if (fd < 0) {
		log_error("access log %s cannot be opened again: %s: still writing to the old file "
			  "(make it, or its directory, writable for uid %ld, and send USR1 again)",
		    access_log.target.text, safepath_error(errno), (long)geteuid());
		return;
	}
	close(access_log.output.fd);
	access_log.output = (struct output){fd, output_way(fd)};
	if (geteuid() == 0 && give_file() != 0)
		log_warn("access log %s cannot be given to uid %ld: %s", access_log.target.text,
		    (long)access_log.uid, strerror(errno));
	atomic_store(&access_log.common->torn, 0);
}

/* ---- lines that are lost ----------------------------------------------------------- */

/* Whether a report is due, and this worker is the one to make it. */
static bool may_complain(void)
{
	long long now = clock_ms() / 1000 + 1; /* never 0 */
	long long last = atomic_load(&access_log.common->complained);

	return (last == 0 || now - last >= COMPLAIN_EVERY) &&
	    atomic_compare_exchange_strong(&access_log.common->complained, &last, now);
}

static void complain(const char *why)
{
	unsigned long long lost = atomic_exchange(&access_log.common->lost, 0);

	log_warn("access log %s: lines lost: %llu: %s", access_log.target.text, lost, why);
}

static const char *reason(int error)
{
	if (output_is_full(error))
		return "its reader does not keep up";
	if (error == EPIPE)
		return "nobody reads it";
	return strerror(error);
}

static void lose(int error)
{
	atomic_fetch_add(&access_log.common->lost, 1);
	if (may_complain())
		complain(reason(error));
}

/* ---- lines that are written -------------------------------------------------------- */

/* One write; 0, or -1 with errno. */
static int write_bytes(const char *bytes, size_t len)
{
	ssize_t n = output_write(&access_log.output, bytes, len);

	if (n == (ssize_t)len)
		return 0;
	if (n > 0)
		atomic_store(&access_log.common->torn, 1);
	if (n >= 0)
		errno = ENOSPC;
	return -1;
}

/*
 * `line` has a newline before its `len` bytes, which is written, too, if the last line is
 * torn.  The mark is cleared first, so that only one worker does that.
 */
static int write_line(const char *line, size_t len)
{
	bool torn = atomic_load(&access_log.common->torn) != 0 &&
	    atomic_exchange(&access_log.common->torn, 0) != 0;

	if (!torn)
		return write_bytes(line + 1, len);
	if (write_bytes(line, len + 1) == 0)
		return 0;
	atomic_store(&access_log.common->torn, 1);
	return -1;
}

void accesslog_write(const struct accesslog_entry *entry)
{
	char line[1 + ACCESSLOG_LINE_MAX] = "\n";
	size_t len;
	int failed;

	if (access_log.target.way == ACCESSLOG_NONE)
		return;
	len = accesslog_format(access_log.form, entry, clock_real_ms(), line + 1);
	failed = access_log.target.way == ACCESSLOG_SYSLOG
	    ? log_syslog_send(PRIORITY, line + 1, len - 1, 0)
	    : write_line(line, len);
	if (failed)
		lose(errno);
	else if (atomic_load(&access_log.common->lost) > 0 && may_complain())
		complain("it can be written again");
}
