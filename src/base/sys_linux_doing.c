/* SPDX-License-Identifier: ISC */
/*
 * sys_linux_doing: what a process is doing now, from /proc.
 *
 * The kernel shows this for processes of our own user, and a script's system call because the
 * script is our descendant.  What it does not show is left out.
 */
#include "base/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATH_SIZE = 64, PROC_TEXT_MAX = 512, TARGET_MAX = 128 };

/* A system call that scripts wait in. */
struct call {
	long number;
	const char *name;
	bool takes_fd; /* as its first argument */
};

static const struct call calls[] = {
	{SYS_read, "read", true},
	{SYS_write, "write", true},
	{SYS_readv, "readv", true},
	{SYS_writev, "writev", true},
	{SYS_recvfrom, "recvfrom", true},
	{SYS_recvmsg, "recvmsg", true},
	{SYS_sendto, "sendto", true},
	{SYS_sendmsg, "sendmsg", true},
	{SYS_connect, "connect", true},
	{SYS_accept4, "accept4", true},
	{SYS_fcntl, "fcntl", true},
	{SYS_flock, "flock", true},
	{SYS_fsync, "fsync", true},
	{SYS_fdatasync, "fdatasync", true},
	{SYS_splice, "splice", true},
	{SYS_sendfile, "sendfile", true},
	{SYS_openat, "openat", false},
	{SYS_wait4, "wait4", false},
	{SYS_waitid, "waitid", false},
	{SYS_futex, "futex", false},
	{SYS_ppoll, "ppoll", false},
	{SYS_pselect6, "pselect6", false},
	{SYS_epoll_pwait, "epoll_pwait", false},
	{SYS_nanosleep, "nanosleep", false},
	{SYS_clock_nanosleep, "clock_nanosleep", false},
	{SYS_rt_sigsuspend, "rt_sigsuspend", false},
#ifdef SYS_poll /* newer architectures have only those above */
	{SYS_poll, "poll", false},
	{SYS_select, "select", false},
	{SYS_epoll_wait, "epoll_wait", false},
	{SYS_pause, "pause", false},
	{SYS_open, "open", false},
#endif
};

/* The beginning of /proc/PID/`name`, without its last newline; "" if it cannot be read. */
static void read_proc(pid_t pid, const char *name, char text[PROC_TEXT_MAX])
{
	char path[PATH_SIZE];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, PROC_TEXT_MAX - 1);
		close(fd);
	}
	text[n < 0 ? 0 : n] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

static const char *state_words(char letter)
{
	switch (letter) {
	case 'R':
		return "running";
	case 'S':
		return "sleeping";
	case 'D':
		return "in uninterruptible sleep (a disk, or a network file system)";
	case 'T':
	case 't':
		return "stopped by a signal or a debugger";
	case 'Z':
	case 'X':
		return "ended";
	default:
		return "";
	}
}

/* The state follows the name, which is in parentheses and may contain some itself. */
static const char *find_state(pid_t pid)
{
	char text[PROC_TEXT_MAX];
	const char *name_end;

	read_proc(pid, "stat", text);
	name_end = strrchr(text, ')');
	return name_end == NULL || name_end[1] != ' ' ? "" : state_words(name_end[2]);
}

static const struct call *find_call(long number)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (calls[i].number == number)
			return &calls[i];
	return NULL;
}

/* " of /srv/lock" or " of descriptor 3": the file of descriptor `fd` of `pid`. */
static void describe_fd(pid_t pid, unsigned long fd, char *text, size_t size)
{
	char path[PATH_SIZE];
	char target[TARGET_MAX];
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%ld/fd/%lu", (long)pid, fd);
	n = readlink(path, target, sizeof target);
	if (n <= 0)
		snprintf(text, size, " of descriptor %lu", fd);
	else
		snprintf(text, size, " of %.*s%s", (int)n, target,
		    n == (ssize_t)sizeof target ? "..." : "");
}

/* ", in read() of pipe:[4711]", from a line such as "0 0x3 0x7ffd..."; else "". */
static void describe_call(pid_t pid, char *text, size_t size)
{
	char line[PROC_TEXT_MAX];
	char file[TARGET_MAX + 32] = "";
	const struct call *call;
	char *end;
	long number;

	*text = '\0';
	read_proc(pid, "syscall", line);
	number = strtol(line, &end, 10);
	if (end == line || number < 0)
		return;
	call = find_call(number);
	if (call == NULL) {
		snprintf(text, size, ", in system call %ld", number);
		return;
	}
	if (call->takes_fd)
		describe_fd(pid, strtoul(end, NULL, 16), file, sizeof file);
	snprintf(text, size, ", in %s()%s", call->name, file);
}

void sys_process_doing(pid_t pid, char text[SYS_DOING_MAX])
{
	char call[TARGET_MAX + 64];
	char where[PROC_TEXT_MAX];
	const char *state = find_state(pid);

	describe_call(pid, call, sizeof call);
	read_proc(pid, "wchan", where);
	if (strcmp(where, "0") == 0) /* it waits for nothing, or the kernel does not say */
		*where = '\0';
	snprintf(text, SYS_DOING_MAX, "%s%s%s%.60s", state, *state == '\0' ? "" : call,
	    *state == '\0' || *where == '\0' ? "" : ", kernel: ", *state == '\0' ? "" : where);
}
