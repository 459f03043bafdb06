/* SPDX-License-Identifier: ISC */
/*
 * sys_posix: the same services with nothing but POSIX.1-2008: accept and fcntl, fork with an
 * error pipe, signals through a self-pipe, setuid.  POSIX has no call for finding the user at
 * the other end of a socket, or for protecting a process from others; configure looks for
 * those that exist.
 */
#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#ifdef HAVE_SYS_PRCTL_H
#include <sys/prctl.h>
#elif defined(HAVE_SYS_PROCCTL_H)
#include <sys/procctl.h>
#endif
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

int sys_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	int conn = accept(fd, addr, len);

	if (conn >= 0 && (sys_cloexec(conn) != 0 || sys_nonblock(conn) != 0)) {
		close_keeping_errno(conn);
		return -1;
	}
	return conn;
}

int sys_pipe(int fds[2], enum sys_pipe_end ours)
{
	if (pipe(fds) != 0)
		return -1;
	if (sys_cloexec(fds[0]) == 0 && sys_cloexec(fds[1]) == 0 && sys_nonblock(fds[ours]) == 0)
		return 0;
	close_keeping_errno(fds[0]);
	close_keeping_errno(fds[1]);
	return -1;
}

ssize_t sys_move(int from, int to, size_t len)
{
	(void)from;
	(void)to;
	(void)len;
	errno = ENOSYS;
	return -1;
}

size_t sys_readable(int fd)
{
	(void)fd;
	return 0;
}

/* Not in POSIX, but all systems that we know have one of these. */
size_t sys_unsent(int fd)
{
	int unsent = 0;

#ifdef FIONWRITE
	(void)ioctl(fd, FIONWRITE, &unsent);
#elif defined TIOCOUTQ
	(void)ioctl(fd, TIOCOUTQ, &unsent);
#else
	(void)fd;
#endif
	return unsent > 0 ? (size_t)unsent : 0;
}

void sys_pipe_widen(int fd, int size)
{
	(void)fd;
	(void)size;
}

int sys_shared_file(size_t size)
{
	char name[] = "/tmp/cgibridge-XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0)
		return -1;
	unlink(name);
	if (sys_cloexec(fd) != 0 || ftruncate(fd, (off_t)size) != 0) {
		close_keeping_errno(fd);
		return -1;
	}
	return fd;
}

bool sys_is_proc(int dir)
{
	(void)dir;
	return false;
}

/* Between check and change the file could be replaced only where others can write. */
int sys_give_socket(int dir, const char *name, uid_t uid, gid_t gid)
{
	struct stat info;

	if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	if (!S_ISSOCK(info.st_mode) || info.st_nlink != 1 || info.st_uid != geteuid()) {
		errno = EEXIST;
		return -1;
	}
	return fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

void sys_cloexec_from(int lowest)
{
	sys_cloexec_each(lowest);
}

/* ---- users --------------------------------------------------------------- */

static bool has_member(const struct group *group, const char *name)
{
	for (char **member = group->gr_mem; *member != NULL; member++)
		if (strcmp(*member, name) == 0)
			return true;
	return false;
}

static gid_t *append_gid(gid_t *groups, size_t *count, gid_t gid)
{
	gid_t *more = realloc(groups, (*count + 1) * sizeof *groups);

	if (more == NULL) {
		free(groups);
		return NULL;
	}
	more[(*count)++] = gid;
	return more;
}

void sys_random(void *bytes, size_t len)
{
	int fd = open("/dev/urandom", O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, len);

	if (fd >= 0)
		close(fd);
	if (n < 0 || (size_t)n < len)
		sys_random_guess(bytes, len);
}

gid_t *sys_groups_of(const char *name, gid_t gid, size_t *count)
{
	gid_t *groups;
	const struct group *group;

	*count = 0;
	groups = append_gid(NULL, count, gid);
	setgrent();
	while (groups != NULL && (group = getgrent()) != NULL)
		if (group->gr_gid != gid && has_member(group, name))
			groups = append_gid(groups, count, group->gr_gid);
	endgrent();
	return groups;
}

/* Called by root, setgid() and setuid() set the saved id, too; for others they need not. */
int sys_set_gid(gid_t gid)
{
	return setgid(gid);
}

int sys_set_uid(uid_t uid)
{
	return setuid(uid);
}

/* In a child of `child`: kills `child` when `parent` ends.  Keeps no descriptor open. */
static void guard(pid_t parent, pid_t child)
{
	const struct timespec pause = {.tv_nsec = 100L * 1000 * 1000};
	long fds = sysconf(_SC_OPEN_MAX);

	for (int fd = 0; fd < (fds > 0 && fds < 65536 ? (int)fds : 65536); fd++)
		close(fd);
	while (getppid() == child) {
		if (kill(parent, 0) != 0 && errno == ESRCH)
			kill(child, SIGKILL);
		nanosleep(&pause, NULL);
	}
	_exit(0);
}

void sys_die_with_parent(pid_t parent)
{
	pid_t child = getpid();

	if (fork() == 0)
		guard(parent, child);
}

int sys_peer_user(int fd, uid_t *uid)
{
#if defined(HAVE_GETPEEREID)
	gid_t gid;

	return getpeereid(fd, uid, &gid);
#elif defined(HAVE_STRUCT_UCRED_UID)
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return -1;
	*uid = peer.uid;
	return 0;
#else
	(void)fd;
	(void)uid;
	errno = ENOTSUP;
	return -1;
#endif
}

/* A group whose leader has ended has no pid that we could ask about. */
pid_t sys_session_of(pid_t pid)
{
	return getsid(pid);
}

bool sys_is_running(pid_t pid)
{
	return kill(pid, 0) == 0 || errno == EPERM;
}

bool sys_is_younger(pid_t pid, int64_t time)
{
	(void)pid;
	(void)time;
	return false;
}

/* Its children notice its end. */
void sys_kill_family(pid_t leader, pid_t session)
{
	if (leader <= 1 || getsid(leader) != session)
		return;
	kill(-leader, SIGKILL);
	kill(leader, SIGKILL);
}

pid_t sys_pipe_holder(int fd)
{
	(void)fd;
	return 0;
}

void sys_close_from(int lowest)
{
	sys_close_each(lowest);
}

int sys_open_mounts(void)
{
	errno = ENOSYS;
	return -1;
}

dev_t sys_device(unsigned long major_number, unsigned long minor_number)
{
	return (dev_t)(major_number << 8 | minor_number);
}

void sys_close_to_others(void)
{
#if defined(HAVE_SYS_PRCTL_H) && defined(PR_SET_DUMPABLE)
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#elif defined(HAVE_SYS_PROCCTL_H) && defined(PROC_TRACE_CTL)
	int off = PROC_TRACE_CTL_DISABLE;

	(void)procctl(P_PID, getpid(), PROC_TRACE_CTL, &off);
#endif
}

void sys_process_doing(pid_t pid, char text[SYS_DOING_MAX])
{
	(void)pid;
	text[0] = '\0';
}

/* ---- signals through a self-pipe --------------------------------------- */

enum { SIGNALS = 32 };

static int signal_pipe[2] = {-1, -1}; /* wakes the loop, and says nothing else */
static sigset_t signal_set;
static volatile sig_atomic_t arrived[SIGNALS];
static volatile sig_atomic_t any_arrived; /* set after one of those, and cleared before a look */

static void on_signal(int signo)
{
	int saved = errno;

	arrived[signo] = 1;
	any_arrived = 1;
	/* if it fails, the wait that this signal interrupts or the next one finds it */
	if (write(signal_pipe[1], "", 1) < 0)
		errno = saved;
	errno = saved;
}

static int set_actions(const sigset_t *set, void (*action)(int))
{
	struct sigaction act;

	memset(&act, 0, sizeof act);
	act.sa_handler = action;
	act.sa_flags = SA_RESTART;
	sigemptyset(&act.sa_mask);
	for (int signo = 1; signo < SIGNALS; signo++)
		if (sigismember(set, signo) == 1 && sigaction(signo, &act, NULL) != 0)
			return -1;
	return 0;
}

int sys_signals_open(const sigset_t *set)
{
	sigset_t broken;

	if (sys_pipe(signal_pipe, SYS_PIPE_READ) != 0)
		return -1;
	sigemptyset(&broken);
	sigaddset(&broken, SIGPIPE);
	sigaddset(&broken, SIGXFSZ);
	signal_set = *set;
	if (sys_nonblock(signal_pipe[1]) != 0 || set_actions(set, on_signal) != 0 ||
	    sigprocmask(SIG_SETMASK, &broken, NULL) != 0) {
		sys_signals_close(signal_pipe[0]);
		return -1;
	}
	return signal_pipe[0];
}

bool sys_signals_waiting(void)
{
	return any_arrived && signal_pipe[0] >= 0;
}

static void empty(int fd)
{
	char bytes[64];
	ssize_t n;

	do {
		n = read(fd, bytes, sizeof bytes);
	} while (n == (ssize_t)sizeof bytes || (n < 0 && errno == EINTR));
}

int sys_signals_next(int fd)
{
	empty(fd);
	any_arrived = 0;
	for (int signo = 1; signo < SIGNALS; signo++) {
		if (!arrived[signo])
			continue;
		arrived[signo] = 0;
		any_arrived = 1; /* there may be more */
		return signo;
	}
	return 0;
}

static void forget_signals(void)
{
	any_arrived = 0;
	for (int signo = 1; signo < SIGNALS; signo++)
		arrived[signo] = 0;
}

void sys_signals_close(int fd)
{
	/* the caller is on its way out, or is a worker: these were for its supervisor */
	forget_signals();
	close_keeping_errno(fd);
	close_keeping_errno(signal_pipe[1]);
	signal_pipe[0] = signal_pipe[1] = -1;
}

/* ---- programs by fork and an error pipe --------------------------------- */

/* In the child: `report` is the error pipe, which a successful exec closes. */
static void run_child(const struct sys_program *program, int report)
{
	struct sys_fault fault;

	set_actions(&signal_set, SIG_DFL);
	sys_exec_child(program, &fault);
	/* a write of this size to an empty pipe is whole or fails */
	if (write(report, &fault, sizeof fault) < 0)
		_exit(126);
	_exit(127);
}

/* Waits for the exec (end of file: success) or the report of a failure. */
static int read_fault(int report, struct sys_fault *fault)
{
	ssize_t n;

	do {
		n = read(report, fault, sizeof *fault);
	} while (n < 0 && errno == EINTR);
	return n == 0 ? 0 : -1;
}

static pid_t fork_program(const struct sys_program *program, const int report[2],
    struct sys_fault *fault)
{
	pid_t pid = fork();

	if (pid == 0)
		run_child(program, report[1]);
	if (pid < 0) {
		fault->error = errno;
		close(report[1]);
		return -1;
	}
	close(report[1]);
	if (read_fault(report[0], fault) == 0)
		return pid;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return -1;
}

pid_t sys_spawn(const struct sys_program *program, struct sys_fault *fault)
{
	int report[2];
	sigset_t all;
	sigset_t before;
	pid_t pid;

	*fault = (struct sys_fault){.step = SYS_STEP_FORK};
	if (pipe(report) != 0 || sys_cloexec(report[0]) != 0 || sys_cloexec(report[1]) != 0) {
		fault->error = errno;
		return -1;
	}
	/* our handlers must not run in the child, where they would write into our pipe */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork_program(program, report, fault);
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(report[0]);
	return pid;
}
