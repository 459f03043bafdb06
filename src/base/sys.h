/* SPDX-License-Identifier: ISC */
/*
 * sys: the seam for calls that differ between systems.
 *
 * sys.c holds what is plain POSIX; sys_linux.c (accept4, pipe2, vfork, signalfd,
 * setresuid) and sys_posix.c (fork, a self-pipe, setuid) each give the rest, and Makefile.am picks
 * one.  Everything above this line is the same on every system.
 */
#ifndef CGIBRIDGE_SYS_H
#define CGIBRIDGE_SYS_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
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

/* For the two sys_cloexec_from(): one after the other, however many there could be. */
void sys_cloexec_each(int lowest);

/* Opens /dev/null on each of 0, 1, 2 that is closed, so that no pipe of ours lands there. */
int sys_open_stdio(void) MUST_CHECK;

/*
 * Accepts a connection from listening socket `fd`: close-on-exec and non-blocking.
 * `addr` (of `*len` bytes) gets the peer's address.  The descriptor, or -1 with errno.
 */
int sys_accept(int fd, struct sockaddr *addr, socklen_t *len) MUST_CHECK;

enum sys_pipe_end { SYS_PIPE_READ = 0, SYS_PIPE_WRITE = 1 };

/*
 * Makes a pipe, both ends close-on-exec; the end `ours` is non-blocking and the
 * other one blocking, as a script expects it.  0, or -1 with errno.
 */
int sys_pipe(int fds[2], enum sys_pipe_end ours) MUST_CHECK;

/*
 * Moves up to `len` bytes from `from` to `to`, a pipe and a socket, without copying
 * them and without waiting.  As read(2); EAGAIN when there is nothing, or no room.
 * Where the system cannot do that: -1 with ENOSYS.
 */
ssize_t sys_move(int from, int to, size_t len) MUST_CHECK;

/* How many bytes wait in pipe `fd`; 0 where the system cannot move them anyway. */
size_t sys_readable(int fd);

/*
 * How many bytes that socket `fd` was given its peer has not taken yet; 0 where the system
 * cannot tell.  A unix socket counts the memory they take, which is more.
 */
size_t sys_unsent(int fd);

/* Has a pipe hold `size` bytes, if the system lets it. */
void sys_pipe_widen(int fd, int size);

/*
 * A process, not this one, that has the other end of pipe `fd` open; 0 if it cannot be found
 * out.  It looks at every process of the system, but not more than once a second.
 */
pid_t sys_pipe_holder(int fd);

/* Zeroed memory shared with the processes forked from here on; NULL with errno. */
void *sys_shared_alloc(size_t size) MUST_CHECK;
void sys_shared_free(void *memory, size_t size);

/*
 * The same with a descriptor, so that it can be shared over an exec, too: a file of
 * `size` zero bytes that has no name, close-on-exec.  -1 with errno.
 */
int sys_shared_file(size_t size) MUST_CHECK;
void *sys_shared_map(int fd, size_t size) MUST_CHECK;

/* ---- files ------------------------------------------------------------- */

/* Whether directory `dir` is in /proc, whose links need not lead to what their text says. */
bool sys_is_proc(int dir);

/*
 * Gives socket file `name` in directory `dir`, which this process has made, to `uid` and
 * `gid`, -1 to leave either; if it is another file by now, it does not.  0, or -1 with errno.
 */
int sys_give_socket(int dir, const char *name, uid_t uid, gid_t gid) MUST_CHECK;

/* ---- chance ------------------------------------------------------------ */

/* Fills `bytes` with what no other process can guess. */
void sys_random(void *bytes, size_t len);

/* For it, where the system has nothing better: from the time, our pid and our place in memory. */
void sys_random_guess(unsigned char *bytes, size_t len);

/* ---- users ------------------------------------------------------------- */

/*
 * All groups of user `name`, whose first group is `gid`: an allocated list that starts
 * with `gid` and has `*count` items.  NULL with errno.
 */
gid_t *sys_groups_of(const char *name, gid_t gid, size_t *count) MUST_CHECK;

/* Sets the real, effective and saved id at once.  0, or -1 with errno. */
int sys_set_gid(gid_t gid) MUST_CHECK;
int sys_set_uid(uid_t uid) MUST_CHECK;

/* The user at the other end of the connected unix socket `fd`.  0, or -1 with errno. */
int sys_peer_user(int fd, uid_t *uid) MUST_CHECK;

/* ---- processes --------------------------------------------------------- */

/*
 * The session of process `pid`, or of the process group of that number, whose leader may have
 * ended.  -1 with errno: ESRCH if there is none, or the system does not tell of a group.
 */
pid_t sys_session_of(pid_t pid) MUST_CHECK;

/*
 * Closes this process to others of the same user, as scripts may be: its memory, descriptors
 * and environment; it dumps no core.  Children have it, too; a program that is executed has
 * not, and a change of user may undo it.  Where the system cannot do that, nothing happens.
 */
void sys_close_to_others(void);

enum { SYS_DOING_MAX = 384 };

/*
 * What process `pid`, which has not been reaped, does at this moment, for a log line: "sleeping,
 * in read() of pipe:[4711], kernel: pipe_read".  "" where the system does not tell.
 */
void sys_process_doing(pid_t pid, char text[SYS_DOING_MAX]);

/* ---- signals ----------------------------------------------------------- */

/*
 * Gives every signal its default action, and unblocks all unless `keep_blocked`:
 * whatever the starter left ignored or blocked would reach the scripts.
 */
void sys_signals_reset(bool keep_blocked);

/*
 * Blocks every signal, until sys_signals_open() or an exec'd program's own choice.
 * `before`, which may be NULL, gets the mask as it was.
 */
void sys_signals_block(sigset_t *before);

/*
 * Takes over the signals of `set` in this process: from now on they are delivered
 * through the returned descriptor, which is close-on-exec, non-blocking and
 * readable while one waits.  SIGPIPE and SIGXFSZ are blocked besides, so that writing
 * to a closed pipe is EPIPE, and past a limit of file size EFBIG; nothing else is.
 * -1 with errno.  One at a time in a process.
 */
int sys_signals_open(const sigset_t *set) MUST_CHECK;

/* The next signal that has arrived, or 0.  To be called until it says 0. */
int sys_signals_next(int fd);

/* Ends delivery through `fd` and closes it. */
void sys_signals_close(int fd);

/* ---- processes --------------------------------------------------------- */

/*
 * In a process forked by `parent`: has the system kill it when `parent` ends, over an exec, too,
 * but not over a change of user.  Where the system cannot, a process of ours looks after it
 * and kills it within 0.1 s, if one can be forked.
 */
void sys_die_with_parent(pid_t parent);

/* ---- programs ---------------------------------------------------------- */

/* What setrlimit(2) takes first: some systems have their own type for it. */
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
	int stdio[3];                   /* become 0, 1, 2; all else is close-on-exec */
	const struct sys_limit *limits; /* set in the child, in order */
	size_t limit_count;
	atomic_int *pid_cell; /* the child writes its pid here before exec; may be NULL */
};

/*
 * For a log line about a call that failed with errno `error`: where the system ran out of
 * something, what to do about it, as " (...)"; "" for all else.
 */
const char *sys_remedy(int error);

/* The step of sys_spawn() that failed, in order. */
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
 * Runs `program` in a process group of its own, with default signal actions and an
 * empty signal mask.  Returns only when the exec
 * has succeeded: the pid; or has failed: -1 with `fault` filled, nothing running
 * and nothing to reap.  The process must have no signal handler of its own: the
 * child may share its memory until the exec.
 */
pid_t sys_spawn(const struct sys_program *program, struct sys_fault *fault) MUST_CHECK;

/*
 * For the two sys_spawn(): the child's part, up to exec.  Async-signal-safe
 * calls only; returns (with `fault` filled) only when a step failed.
 */
void sys_exec_child(const struct sys_program *program, struct sys_fault *fault);

#endif
