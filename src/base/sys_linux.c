/* SPDX-License-Identifier: ISC */
/*
 * sys_linux: accept4, pipe2, memfd_create, close_range, vfork, signalfd, setresuid,
 * SO_PEERCRED, prctl and /proc.
 *
 * vfork instead of fork: the child shares our memory until it execs, so the cost of a spawn
 * does not depend on the size of the worker, and a failed step is reported by a store into our
 * own `fault` instead of through a pipe.
 */
#include "base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

/*
 * With thousands of connections open, or hundreds of scripts running, the main cost of a spawn
 * is copying our table of descriptors and closing them all at exec: 200 ns each.  So the
 * numbers below MANY_FDS are left to the descriptors that scripts get, and a child copies no
 * more of the table.
 */
enum { FEW_FDS = 64, MANY_FDS = 512, SPAWN_STACK = 64 * 1024 };

static int highest_fd; /* so far, of a connection or our end of a script's pipe */

/* Moves `fd` out of the low numbers if it is in the way there; returns its number. */
static int move_up(int fd)
{
	if (fd >= FEW_FDS && fd < MANY_FDS) {
		int high = fcntl(fd, F_DUPFD_CLOEXEC, MANY_FDS);

		if (high >= 0) {
			close(fd);
			fd = high;
		}
	}
	if (fd > highest_fd)
		highest_fd = fd;
	return fd;
}

int sys_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	int accepted = accept4(fd, addr, len, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return accepted < 0 ? -1 : move_up(accepted);
}

int sys_pipe(int fds[2], enum sys_pipe_end ours)
{
	if (pipe2(fds, O_CLOEXEC) != 0)
		return -1;
	if (fcntl(fds[ours], F_SETFL, O_NONBLOCK) == 0) {
		fds[ours] = move_up(fds[ours]);
		return 0;
	}
	close_keeping_errno(fds[0]);
	close_keeping_errno(fds[1]);
	return -1;
}

ssize_t sys_move(int from, int to, size_t len)
{
	return splice(from, NULL, to, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

size_t sys_readable(int fd)
{
	int waiting;

	return ioctl(fd, FIONREAD, &waiting) == 0 && waiting > 0 ? (size_t)waiting : 0;
}

size_t sys_unsent(int fd)
{
	int unsent;

	/* SIOCOUTQ, by the name that the C library has for it */
	return ioctl(fd, TIOCOUTQ, &unsent) == 0 && unsent > 0 ? (size_t)unsent : 0;
}

void sys_pipe_widen(int fd, int size)
{
	(void)fcntl(fd, F_SETPIPE_SZ, size); /* no more than fs.pipe-user-pages-soft allows */
}

/* Whether descriptor `fd` of process `pid` is the pipe called `wanted`. */
static bool has_pipe(const char *pid, int fd, const char *wanted)
{
	char path[64];
	char target[64];
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%.16s/fd/%d", pid, fd);
	n = readlink(path, target, sizeof target - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	return strcmp(target, wanted) == 0;
}

/* Looks only at standard output and standard error, where scripts' descendants have it. */
static pid_t find_holder(DIR *processes, const char *wanted)
{
	const struct dirent *entry;

	while ((entry = readdir(processes)) != NULL) {
		long pid = strtol(entry->d_name, NULL, 10);

		if (pid > 0 && pid != (long)getpid() &&
		    (has_pipe(entry->d_name, 1, wanted) || has_pipe(entry->d_name, 2, wanted)))
			return (pid_t)pid;
	}
	return 0;
}

pid_t sys_pipe_holder(int fd)
{
	static int64_t looked; /* the second of the last search */
	int64_t now = clock_ms() / 1000;
	struct stat pipe;
	char wanted[64];
	DIR *processes;
	pid_t holder;

	if (now == looked || fstat(fd, &pipe) != 0)
		return 0;
	looked = now;
	processes = opendir("/proc");
	if (processes == NULL)
		return 0;
	snprintf(wanted, sizeof wanted, "pipe:[%llu]", (unsigned long long)pipe.st_ino);
	holder = find_holder(processes, wanted);
	closedir(processes);
	return holder;
}

int sys_shared_file(size_t size)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int fd = memfd_create("cgibridge", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	/* a process that has it could truncate it, which would kill all that have it mapped */
	if (fd >= 0 && (ftruncate(fd, (off_t)size) != 0 || fcntl(fd, F_ADD_SEALS, seals) != 0)) {
		close_keeping_errno(fd);
		return -1;
	}
	return fd;
}

bool sys_is_proc(int dir)
{
	enum { PROC_SUPER_MAGIC = 0x9fa0 }; /* statfs(2); the header that has it is the kernel's */
	struct statfs info;

	return fstatfs(dir, &info) == 0 && info.f_type == PROC_SUPER_MAGIC;
}

/* An open file stays the same between the check and the change. */
static int give_open(int fd, uid_t uid, gid_t gid)
{
	struct stat info;

	if (fstat(fd, &info) != 0)
		return -1;
	if (!S_ISSOCK(info.st_mode) || info.st_nlink != 1 || info.st_uid != geteuid()) {
		errno = EEXIST;
		return -1;
	}
	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH);
}

int sys_give_socket(int dir, const char *name, uid_t uid, gid_t gid)
{
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int failed;

	if (fd < 0)
		return -1;
	failed = give_open(fd, uid, gid);
	close_keeping_errno(fd);
	return failed;
}

void sys_cloexec_from(int lowest)
{
	const unsigned set_cloexec = 1U << 2; /* CLOSE_RANGE_CLOEXEC, newer than some libcs */

	/* before Linux 5.11 the call is missing or does not know the flag */
	if (syscall(SYS_close_range, (unsigned)lowest, ~0U, set_cloexec) == 0)
		return;
	sys_cloexec_each(lowest);
}

void sys_close_from(int lowest)
{
	if (syscall(SYS_close_range, (unsigned)lowest, ~0U, 0U) != 0) /* before Linux 5.9 */
		sys_close_each(lowest);
}

int sys_open_mounts(void)
{
	return open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
}

dev_t sys_device(unsigned long major_number, unsigned long minor_number)
{
	return makedev((unsigned)major_number, (unsigned)minor_number);
}

/* Without the call, before Linux 3.17, time, pid and address have to do. */
void sys_random(void *bytes, size_t len)
{
	unsigned char *to = bytes;
	ssize_t n = 0;

	for (; len > 0; to += n, len -= (size_t)n) {
		do {
			n = syscall(SYS_getrandom, to, len, 0);
		} while (n < 0 && errno == EINTR);
		if (n <= 0) {
			sys_random_guess(to, len);
			return;
		}
	}
}

gid_t *sys_groups_of(const char *name, gid_t gid, size_t *count)
{
	int room = 32;

	for (;;) {
		gid_t *groups = calloc((size_t)room, sizeof *groups);
		int found = room;

		if (groups == NULL)
			return NULL;
		if (getgrouplist(name, gid, groups, &found) >= 0) {
			*count = (size_t)found;
			return groups;
		}
		free(groups);
		/* not every libc sets `found` to the number needed */
		room *= 2;
		if (room > 1 << 20) {
			errno = EOVERFLOW;
			return NULL;
		}
	}
}

int sys_set_gid(gid_t gid)
{
	return setresgid(gid, gid, gid);
}

int sys_set_uid(uid_t uid)
{
	return setresuid(uid, uid, uid);
}

int sys_peer_user(int fd, uid_t *uid)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return -1;
	*uid = peer.uid;
	return 0;
}

void sys_close_to_others(void)
{
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* The process of a line of proc_pid_stat(5). */
struct kin {
	char state;
	pid_t parent, group, session;
	long threads;
	long long begun; /* clock ticks since the system was started */
};

enum { STAT_SESSION = 6, STAT_THREADS = 20, STAT_BEGUN = 22 };

static void skip_fields(char **at, int count)
{
	for (; count > 0; count--)
		(void)strtoll(*at, at, 10);
}

/* False if `stat` is not such a line. */
static bool parse_stat(const char *stat, struct kin *kin)
{
	const char *after_name = strrchr(stat, ')'); /* the name may contain any byte */
	char *at;

	if (after_name == NULL || strlen(after_name) < strlen(") S "))
		return false;
	kin->state = after_name[2];
	kin->parent = (pid_t)strtol(after_name + strlen(") S"), &at, 10);
	kin->group = (pid_t)strtol(at, &at, 10);
	kin->session = (pid_t)strtol(at, &at, 10);
	skip_fields(&at, STAT_THREADS - STAT_SESSION - 1);
	kin->threads = strtol(at, &at, 10);
	skip_fields(&at, STAT_BEGUN - STAT_THREADS - 1);
	kin->begun = strtoll(at, &at, 10);
	return true;
}

/* Reads /proc/`name`/stat; false if `name` is not a process, or has ended. */
static bool read_stat(const char *name, struct kin *kin)
{
	char path[32];
	char stat[512];
	ssize_t len = -1;
	int fd;

	if (name[0] < '1' || name[0] > '9' ||
	    snprintf(path, sizeof path, "/proc/%s/stat", name) >= (int)sizeof path)
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		len = read(fd, stat, sizeof stat - 1);
		close(fd);
	}
	stat[len > 0 ? len : 0] = '\0';
	return len > 0 && parse_stat(stat, kin);
}

/* Searches all processes for one in the group; its session, or -1 with errno ESRCH. */
static pid_t session_of_group(pid_t group)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	struct kin kin = {.session = -1};
	bool found = false;

	while (proc != NULL && !found && (entry = readdir(proc)) != NULL)
		found = read_stat(entry->d_name, &kin) && kin.group == group;
	if (proc != NULL)
		closedir(proc);
	errno = ESRCH;
	return found ? kin.session : -1;
}

pid_t sys_session_of(pid_t pid)
{
	pid_t session = getsid(pid);

	return session < 0 && errno == ESRCH && kill(-pid, 0) == 0 ? session_of_group(pid) : session;
}

bool sys_is_running(pid_t pid)
{
	struct kin kin;
	char name[24];

	snprintf(name, sizeof name, "%ld", (long)pid);
	if (!read_stat(name, &kin))
		return kill(pid, 0) == 0 || errno == EPERM; /* without /proc */
	/* the first thread may have ended alone */
	return kin.state != 'X' && (kin.state != 'Z' || kin.threads > 1);
}

bool sys_is_younger(pid_t pid, int64_t time)
{
	long ticks = sysconf(_SC_CLK_TCK);
	int64_t now = clock_us();
	struct timespec up;
	struct kin kin;
	char name[24];

	snprintf(name, sizeof name, "%ld", (long)pid);
	if (ticks <= 0 || clock_gettime(CLOCK_BOOTTIME, &up) != 0 || !read_stat(name, &kin))
		return false;
	/* CLOCK_BOOTTIME goes on while the system sleeps, unlike clock_us() */
	time += (int64_t)up.tv_sec * 1000000 + up.tv_nsec / 1000 - now;
	return kin.begun * 1000000 / ticks > time;
}

void sys_kill_family(pid_t leader, pid_t session)
{
	DIR *proc;
	const struct dirent *entry;
	struct kin kin;

	if (leader <= 1 || getsid(leader) != session)
		return;
	kill(leader, SIGSTOP); /* from here on it forks no more */
	proc = opendir("/proc");
	while (proc != NULL && (entry = readdir(proc)) != NULL)
		if (read_stat(entry->d_name, &kin) && kin.parent == leader &&
		    kin.session == session && kin.group > 1)
			kill(-kin.group, SIGKILL);
	if (proc != NULL)
		closedir(proc);
	kill(-leader, SIGKILL);
	kill(leader, SIGKILL); /* in case it does not lead a group */
}

void sys_die_with_parent(pid_t parent)
{
	/* the parent may have ended before the call */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() != parent)
		_exit(1);
}

int sys_signals_open(const sigset_t *set)
{
	sigset_t blocked = *set;

	sigaddset(&blocked, SIGPIPE);
	sigaddset(&blocked, SIGXFSZ);
	if (sigprocmask(SIG_SETMASK, &blocked, NULL) != 0)
		return -1;
	return signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Signals that were read but not yet returned by sys_signals_next(). */
static struct {
	struct signalfd_siginfo infos[8];
	size_t count, next;
} arrived;

int sys_signals_next(int fd)
{
	ssize_t n;

	if (arrived.next < arrived.count)
		return (int)arrived.infos[arrived.next++].ssi_signo;
	/* a read that left room has brought all there were: another one is not needed */
	if (arrived.count > 0 && arrived.count < sizeof arrived.infos / sizeof *arrived.infos) {
		arrived.count = arrived.next = 0;
		return 0;
	}
	do {
		n = read(fd, arrived.infos, sizeof arrived.infos);
	} while (n < 0 && errno == EINTR);
	arrived.count = n < 0 ? 0 : (size_t)n / sizeof *arrived.infos;
	arrived.next = 0;
	return arrived.count == 0 ? 0 : (int)arrived.infos[arrived.next++].ssi_signo;
}

void sys_signals_close(int fd)
{
	arrived.count = arrived.next = 0;
	close(fd);
}

/* The child runs in our memory: it changes none of our local variables but `*fault`. */
static pid_t vfork_program(const struct sys_program *program, struct sys_fault *fault)
{
	/* NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork): see the head of this file */
	pid_t pid = vfork();

	if (pid == 0) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Vfork): only calls that are safe there */
		sys_exec_child(program, fault);
		_exit(127);
	}
	return pid;
}

struct spawn {
	const struct sys_program *program;
	struct sys_fault *fault;
};

/* In the child, which shares our table of descriptors until it copies the start of it. */
static int exec_with_few(void *argument)
{
	const struct spawn *spawn = argument;
	const unsigned unshare_files = 1U << 1; /* CLOSE_RANGE_UNSHARE, newer than some libcs */
	unsigned first = STDERR_FILENO + 1;

	for (int i = 0; i < 3; i++)
		if (spawn->program->stdio[i] >= (int)first)
			first = (unsigned)spawn->program->stdio[i] + 1;
	if (syscall(SYS_close_range, first, ~0U, unshare_files) == 0 || unshare(CLONE_FILES) == 0)
		sys_exec_child(spawn->program, spawn->fault);
	else
		spawn->fault->error = errno;
	_exit(127);
}

/* As with vfork, the parent continues after the child's exec, so one stack is enough. */
static pid_t clone_program(const struct sys_program *program, struct sys_fault *fault)
{
	static _Alignas(16) char stack[SPAWN_STACK];
	struct spawn spawn = {program, fault};

	return clone(exec_with_few, stack + sizeof stack,
	    CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, &spawn);
}

static pid_t spawn_once(const struct sys_program *program, struct sys_fault *fault, bool with_few)
{
	pid_t pid;

	*fault = (struct sys_fault){.step = SYS_STEP_FORK};
	pid = with_few ? clone_program(program, fault) : vfork_program(program, fault);
	if (pid < 0)
		fault->error = errno;
	if (pid < 0 || fault->error == 0)
		return pid;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return -1;
}

pid_t sys_spawn(const struct sys_program *program, struct sys_fault *fault)
{
	static bool forbidden; /* in some containers: then the whole table is copied */
	bool with_few = highest_fd >= MANY_FDS && !forbidden;
	pid_t pid = spawn_once(program, fault, with_few);

	if (pid >= 0 || !with_few || fault->step != SYS_STEP_FORK ||
	    (fault->error != EPERM && fault->error != ENOSYS))
		return pid;
	forbidden = true;
	return spawn_once(program, fault, false);
}
