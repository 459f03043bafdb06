/* SPDX-License-Identifier: ISC */
/*
 * sys: the interface to calls that differ between systems.
 *
 * sys.c holds the plain POSIX part; sys_linux.c (accept4, pipe2, vfork, signalfd, setresuid)
 * and sys_posix.c (fork, a self-pipe, setuid) each implement the rest, and Makefile.am picks
 * one.  Callers are the same on every system.
 */
#ifndef CGIBRIDGE_SYS_H
#define CGIBRIDGE_SYS_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/attributes.h"

/* ---- descriptors ------------------------------------------------------- */

/* Sets close-on-exec, non-blocking mode.  0, or -1 with errno. */
int sys_cloexec(int fd) MUST_CHECK;
int sys_nonblock(int fd) MUST_CHECK;

/* Sets close-on-exec on every open descriptor from `lowest` on. */
void sys_cloexec_from(int lowest);

/*
 * For both implementations of sys_cloexec_from(), one descriptor after the other: those that
 * /proc lists or, without it, all up to the limit, but not more than 2^20.
 */
void sys_cloexec_each(int lowest);

/*
 * Closes every descriptor from `lowest` on, in a forked process that needs none of them.
 * sys_close_each() is for both implementations: one after the other, but not more than 2^20.
 */
void sys_close_from(int lowest);
void sys_close_each(int lowest);

/*
 * Opens /dev/null as each of 0, 1 and 2 that is closed, so that no pipe of ours gets that
 * number.  0, or -1 with errno.
 */
int sys_open_stdio(void) MUST_CHECK;

/*
 * Accepts a connection from listening socket `fd`: close-on-exec and non-blocking.
 * `addr` (of `*len` bytes) gets the peer's address.  The descriptor, or -1 with errno.
 */
int sys_accept(int fd, struct sockaddr *addr, socklen_t *len) MUST_CHECK;

enum sys_pipe_end { SYS_PIPE_READ = 0, SYS_PIPE_WRITE = 1 };

/*
 * Makes a pipe, both ends close-on-exec; the end `ours` is non-blocking and the other one
 * blocking, as scripts expect.  0, or -1 with errno.
 */
int sys_pipe(int fds[2], enum sys_pipe_end ours) MUST_CHECK;

/*
 * Moves up to `len` bytes from `from` to `to`, one a pipe and one a socket, without copying
 * them and without waiting.  Returns as read(2); EAGAIN when there is nothing to move, or no
 * room.  Where the system cannot do that: -1 with ENOSYS.
 */
ssize_t sys_move(int from, int to, size_t len) MUST_CHECK;

/* How many bytes wait in pipe `fd`; 0 where sys_move() does not work. */
size_t sys_readable(int fd);

/*
 * How many of the bytes sent to socket `fd` its peer has not taken yet; 0 where the system
 * cannot tell.  A unix socket counts the memory that they occupy, which is more.
 */
size_t sys_unsent(int fd);

/* Sets the size of a pipe to `size` bytes, if the system allows that. */
void sys_pipe_widen(int fd, int size);

/*
 * Another process that has pipe `fd` as its standard output or error; 0 if none can be found.
 * It looks at every process of the system, but at most once a second: 0 if it is too early.
 */
pid_t sys_pipe_holder(int fd);

/* Zeroed memory, shared with processes forked later; NULL with errno. */
void *sys_shared_alloc(size_t size) MUST_CHECK;
void sys_shared_free(void *memory, size_t size);

/*
 * The same with a descriptor, so that it can be shared across an exec, too: a file of `size`
 * zero bytes without a name, close-on-exec.  -1 with errno.
 */
int sys_shared_file(size_t size) MUST_CHECK;
void *sys_shared_map(int fd, size_t size) MUST_CHECK;

/* ---- files ------------------------------------------------------------- */

/*
 * Opens the table of this process's mounts, in the format of /proc/PID/mountinfo; loops report
 * each change as LOOP_HUP.  -1 with errno, ENOSYS where there is no such table.
 */
int sys_open_mounts(void) MUST_CHECK;

/* The number of a device, as stat(2) has it, from the two that the table of mounts has. */
dev_t sys_device(unsigned long major_number, unsigned long minor_number);

/* Whether directory `dir` is in /proc, where a link need not lead where its text says. */
bool sys_is_proc(int dir);

/*
 * Changes the owner of socket file `name` in directory `dir`, which this process has made, to
 * `uid` and `gid`, -1 to leave either.  0, or -1 with errno: EEXIST if it is not such a socket
 * any more.
 */
int sys_give_socket(int dir, const char *name, uid_t uid, gid_t gid) MUST_CHECK;

/* ---- random numbers ---------------------------------------------------- */

/* Fills `bytes` with random bytes that other processes cannot guess. */
void sys_random(void *bytes, size_t len);

/*
 * For sys_random() where the system offers nothing better: from the time, our pid and an
 * address in memory.
 */
void sys_random_guess(unsigned char *bytes, size_t len);

/* ---- users ------------------------------------------------------------- */

/*
 * All groups of user `name`, whose primary group is `gid`: an allocated list that starts with
 * `gid` and has `*count` items.  NULL with errno.
 */
gid_t *sys_groups_of(const char *name, gid_t gid, size_t *count) MUST_CHECK;

/*
 * Sets the real, effective and saved id; on systems without setresuid(2) the saved one only
 * for root.  0, or -1 with errno.
 */
int sys_set_gid(gid_t gid) MUST_CHECK;
int sys_set_uid(uid_t uid) MUST_CHECK;

/* The user at the other end of the connected unix socket `fd`.  0, or -1 with errno. */
int sys_peer_user(int fd, uid_t *uid) MUST_CHECK;

/* ---- processes --------------------------------------------------------- */

/*
 * The session of process `pid` or, if it has ended, of the process group of that number.  -1
 * with errno: ESRCH if there is neither, or the system cannot tell for a group.
 */
pid_t sys_session_of(pid_t pid) MUST_CHECK;

/*
 * Whether process `pid` has not ended; where the system tells, one that has ended and was not
 * reaped yet does not count.
 */
bool sys_is_running(pid_t pid);

/*
 * Whether process `pid` has begun after `time` (us, clock_us()): then it is not the one that had
 * this number at that time.  The system may tell it with a tick of 10 ms, or not tell it: false.
 */
bool sys_is_younger(pid_t pid, int64_t time);

/*
 * Kills process `leader` of session `session`, its process group, and the groups of its
 * children in that session, where the system tells which these are.  Does nothing if there is
 * no such process in that session.
 */
void sys_kill_family(pid_t leader, pid_t session);

/*
 * Protects this process from others of the same user, such as scripts: they cannot get at its
 * memory, descriptors and environment, and it dumps no core.  Forked children are protected,
 * too; an executed program is not, and a change of user may undo it.  Does nothing where the
 * system cannot do that.
 */
void sys_close_to_others(void);

enum { SYS_DOING_MAX = 384 };

/*
 * Describes what process `pid`, which has not been reaped, is doing now, for a log line:
 * "sleeping, in read() of pipe:[4711], kernel: pipe_read".  "" where the system does not tell.
 */
void sys_process_doing(pid_t pid, char text[SYS_DOING_MAX]);

/* ---- signals ----------------------------------------------------------- */

/*
 * Gives every signal its default action, and unblocks all unless `keep_blocked`: otherwise
 * scripts would inherit what our parent left ignored or blocked.
 */
void sys_signals_reset(bool keep_blocked);

/*
 * Blocks every signal, until sys_signals_open() or an executed program changes that.
 * `before`, which may be NULL, gets the old mask.
 */
void sys_signals_block(sigset_t *before);

/*
 * Takes over the signals of `set` in this process: from now on they are delivered through the
 * returned descriptor, which is close-on-exec, non-blocking and readable while one is pending.
 * SIGPIPE and SIGXFSZ are blocked, so that a write to a closed pipe fails with EPIPE and one
 * past the file size limit with EFBIG; all other signals are unblocked.  -1 with errno.  Only
 * one at a time in a process.
 */
int sys_signals_open(const sigset_t *set) MUST_CHECK;

/* The next signal that has arrived, or 0.  To be called until it returns 0. */
int sys_signals_next(int fd);

/*
 * In sys_posix.c only: whether one has arrived that sys_signals_next() has not returned.  The
 * descriptor may not tell of it.
 */
bool sys_signals_waiting(void);

/* Ends delivery through `fd` and closes it. */
void sys_signals_close(int fd);

/* ---- processes --------------------------------------------------------- */

/*
 * In a process forked by `parent`: has the system kill this process when `parent` ends, even
 * after an exec, but not after a change of user.  Where the system cannot do that, a forked
 * process watches and kills it within 0.1 s, if it could be forked.
 */
void sys_die_with_parent(pid_t parent);

/* ---- programs ---------------------------------------------------------- */

/* The type of the first argument of setrlimit(2): some systems have their own. */
#ifdef HAVE___RLIMIT_RESOURCE_T
typedef __rlimit_resource_t sys_resource;
#else
typedef int sys_resource;
#endif

struct sys_limit {
	sys_resource resource; /* RLIMIT_* */
	struct rlimit value;
};

/* A program to run.  All pointers are borrowed for the call. */
struct sys_program {
	const char *path;
	char *const *argv;
	char *const *envp;
	const char *dir;                /* working directory; NULL to stay */
	int stdio[3];                   /* become 0, 1, 2; all others are close-on-exec */
	const struct sys_limit *limits; /* set in the child, in order */
	size_t limit_count;
	atomic_int *pid_cell; /* the child writes its pid here before exec; may be NULL */
};

/*
 * Advice for a log line about a call that failed with errno `error` because the system ran out
 * of something, as " (...)"; "" for all other errors.
 */
const char *sys_remedy(int error);

/*
 * Whether a call that failed with errno `error` may succeed later as it is: the machine, or a
 * process's limits, were short of memory, descriptors or processes.
 */
bool sys_is_shortage(int error);

/* The steps of sys_spawn() that can fail, in order. */
enum sys_step {
	SYS_STEP_FORK,
	SYS_STEP_GROUP,
	SYS_STEP_DIR,
	SYS_STEP_LIMIT,
	SYS_STEP_STDIO,
	SYS_STEP_EXEC,
};

struct sys_fault {
	enum sys_step step;
	int error; /* errno of that step */
};

/*
 * Runs `program` in a process group of its own, with default signal actions and an empty
 * signal mask.  Returns the pid once the exec has succeeded; or -1 once it has failed, with
 * `fault` filled, nothing running and nothing to reap.  The calling process must not have
 * signal handlers of its own: the child may share its memory until the exec.
 */
pid_t sys_spawn(const struct sys_program *program, struct sys_fault *fault) MUST_CHECK;

/*
 * The same without waiting for the exec, for a program on a file system that may not answer: the
 * caller goes on whatever the child is blocked by, and the child holds none of our descriptors.
 * Returns the pid, or -1 with `fault` filled.  `fault` is in memory of sys_shared_alloc(), and
 * that of a step that fails later is there when the child has exited, with status 127; as long
 * as its `error` is 0, none has failed.  If execve(2) fails, the child calls `unexecuted` before,
 * which may look at the program to find out why: what blocks it then blocks nobody else.
 */
typedef void sys_unexecuted_fn(void *context, const char *path, int error);
pid_t sys_spawn_apart(const struct sys_program *program, struct sys_fault *fault,
    sys_unexecuted_fn *unexecuted, void *context) MUST_CHECK;

/*
 * For all implementations of sys_spawn(): the child's part, up to the exec.  Makes
 * async-signal-safe calls only; returns (with `fault` filled) only when a step failed.
 */
void sys_exec_child(const struct sys_program *program, struct sys_fault *fault);

#endif
