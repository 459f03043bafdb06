/* SPDX-License-Identifier: ISC */
/*
 * inject: runs a program whose system calls can be made to fail.
 *
 *   inject CONTROL CALL[,CALL]... PROGRAM [ARGUMENT]...
 *
 * A filter (seccomp(2)) reports the named calls of PROGRAM, and of all processes that it
 * starts, to a second process, which lets each one go on or gives it an error instead; which,
 * it reads in the file CONTROL, struct control in faults.h, and there it counts them.  Only
 * processes that run PROGRAM's file count: a script that it starts does so until its exec.
 * PROGRAM has the process id of the caller, as if there were nothing in front of it.
 *
 * Calls made by the C library are seen as well, and those between vfork and exec; and the
 * fault can be taken away while PROGRAM runs, which strace -e inject= cannot do.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

static char program[4096]; /* the file whose processes count */
static pid_t supervisor;
static struct control *control;

static void fail(const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	_exit(125);
}

/* ---- the names ---------------------------------------------------------------------- */

#define CALL(name) {#name, SYS_##name}

static const struct {
	const char *name;
	int number;
} calls[] = {
	CALL(accept4), CALL(bind), CALL(brk), CALL(chdir), CALL(chroot), CALL(clone), CALL(close_range),
	CALL(connect), CALL(dup3), CALL(epoll_create1), CALL(epoll_ctl), CALL(execve),
	CALL(fchmod), CALL(fchmodat), CALL(fchownat), CALL(fcntl), CALL(fstatfs), CALL(fstat),
	CALL(ftruncate), CALL(getdents64), CALL(getpgid), CALL(getrandom), CALL(getsid),
	CALL(getsockname), CALL(getsockopt), CALL(ioctl), CALL(kill), CALL(listen),
	CALL(memfd_create), CALL(mmap), CALL(mprotect), CALL(munmap), CALL(newfstatat),
	CALL(openat), CALL(pipe2), CALL(prctl), CALL(pread64), CALL(prlimit64), CALL(pwrite64),
	CALL(read), CALL(readlinkat), CALL(readv), CALL(recvfrom), CALL(recvmsg),
	CALL(rt_sigprocmask), CALL(sendmsg), CALL(sendto), CALL(setgroups), CALL(setpgid),
	CALL(setresgid), CALL(setresuid), CALL(setsid), CALL(setsockopt), CALL(shutdown),
	CALL(signalfd4), CALL(socket), CALL(socketpair), CALL(splice), CALL(unlinkat), CALL(unshare),
	CALL(wait4), CALL(write), CALL(writev),
#ifdef SYS_access /* newer machines have only what is above */
	CALL(access), CALL(chmod), CALL(dup2), CALL(epoll_wait), CALL(fork), CALL(open),
	CALL(pipe), CALL(poll), CALL(readlink), CALL(stat), CALL(unlink), CALL(vfork),
#else
	CALL(epoll_pwait), CALL(ppoll),
#endif
};

static int number_of(const char *name)
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (strcmp(calls[i].name, name) == 0)
			return calls[i].number;
	fprintf(stderr, "inject: no such call: %s\n", name);
	_exit(125);
}

/* ---- the filter ----------------------------------------------------------------------- */

enum { CALLS_MAX = 200 };

static int install(char *names)
{
	struct sock_filter code[CALLS_MAX + 4];
	struct sock_fprog filter = {.filter = code};
	const unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	int numbers[CALLS_MAX];
	int count = 0;
	int n = 0;
	long fd;

	for (char *name = strtok(names, ","); name != NULL; name = strtok(NULL, ","))
		if (count < CALLS_MAX)
			numbers[count++] = number_of(name);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	    offsetof(struct seccomp_data, nr));
	for (int i = 0; i < count; i++)
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
		    (unsigned)numbers[i], (unsigned char)(count - i), 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	filter.len = (unsigned short)n;
	/* without the second flag (before Linux 5.19) a signal makes a call be reported twice */
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	    flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &filter);
	if (fd < 0 && errno == EINVAL)
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
	return (int)fd;
}

/* ---- which process it is ---------------------------------------------------------------- */

static bool runs_program(pid_t pid)
{
	char path[64];
	char target[sizeof program];
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
	n = readlink(path, target, sizeof target - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	return strcmp(target, program) == 0;
}

static enum role role_of(pid_t pid)
{
	char path[64];
	char stat[512];
	const char *rest;
	FILE *file;
	int parent = 0;
	int session = 0;

	if (!runs_program(pid))
		return ROLE_NONE;
	if (pid == supervisor)
		return ROLE_SUPERVISOR;
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	if (file == NULL || fgets(stat, sizeof stat, file) == NULL)
		stat[0] = '\0';
	if (file != NULL)
		fclose(file);
	rest = strrchr(stat, ')');
	if (rest == NULL || sscanf(rest, ") %*c %d %*d %d", &parent, &session) != 2)
		return ROLE_NONE;
	if (parent != supervisor)
		return ROLE_CHILD;
	return session == pid ? ROLE_WORKER : ROLE_TRIAL;
}

/* ---- the second process ------------------------------------------------------------------ */

/*
 * Whether the call is the dynamic loader's: before main(), where nothing can be done about its
 * errors.
 */
static bool is_loader(pid_t pid, unsigned long long at)
{
	char line[512];
	bool found = false;
	FILE *maps;

	snprintf(line, sizeof line, "/proc/%d/maps", (int)pid);
	maps = fopen(line, "r");
	while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
		unsigned long long from;
		unsigned long long to;

		if (sscanf(line, "%llx-%llx", &from, &to) == 2 && at >= from && at < to) {
			found = strstr(line, "/ld-linux") != NULL;
			break;
		}
	}
	if (maps != NULL)
		fclose(maps);
	return found;
}

/* What the call gets: 0, or an error. */
static int judge(const struct seccomp_notif *call)
{
	enum role role = role_of((pid_t)call->pid);

	if (role == ROLE_NONE || call->data.nr < 0 || call->data.nr >= CONTROL_CALLS ||
	    is_loader((pid_t)call->pid, call->data.instruction_pointer))
		return 0;
	control->counts[role][call->data.nr]++;
	return control_fault(control, role, call->data.nr);
}

/* The end of its heap: brk(2) reports an error by not moving it. */
static long long heap_end(pid_t pid)
{
	char line[512];
	unsigned long long end = 0;
	FILE *maps;

	snprintf(line, sizeof line, "/proc/%d/maps", (int)pid);
	maps = fopen(line, "r");
	while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
		if (strstr(line, "[heap]") != NULL)
			(void)sscanf(line, "%*x-%llx", &end);
	if (maps != NULL)
		fclose(maps);
	return (long long)end;
}

static void serve(int listener)
{
	struct seccomp_notif call;
	struct seccomp_notif_resp answer;
	struct pollfd ready = {.fd = listener, .events = POLLIN};

	for (;;) {
		if (poll(&ready, 1, -1) > 0 && (ready.revents & POLLHUP))
			return;
		memset(&call, 0, sizeof call);
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0)
			continue; /* its process has been killed */
		memset(&answer, 0, sizeof answer);
		answer.id = call.id;
		answer.error = -judge(&call);
		if (answer.error == 0) {
			answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		} else if (call.data.nr == SYS_brk) {
			answer.error = 0;
			answer.val = heap_end((pid_t)call.pid);
		}
		(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
}

/*
 * Forks the second process twice, so that it is no child of the program's.  It takes the
 * listener out of the first one's table once that has written its number down.
 */
static void start_second(void)
{
	pid_t pid = fork();
	int table;

	if (pid < 0)
		fail("fork");
	if (pid > 0) {
		waitpid(pid, NULL, 0);
		return;
	}
	if (setsid() < 0 || fork() != 0)
		_exit(0);
	while (control->listener == 0)
		usleep(200);
	table = (int)syscall(SYS_pidfd_open, supervisor, 0);
	if (table < 0)
		fail("pidfd_open");
	control->taken = (int)syscall(SYS_pidfd_getfd, table, control->listener, 0);
	close(table);
	if (control->taken < 0)
		fail("pidfd_getfd");
	serve(control->taken);
	_exit(0);
}

static int inherited(void)
{
	const char *count = getenv("LISTEN_FDS");

	return count == NULL ? 0 : atoi(count);
}

int main(int argc, char **argv)
{
	int file;

	if (argc == 2 && strcmp(argv[1], "--calls") == 0) {
		for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
			printf("%s %d\n", calls[i].name, calls[i].number);
		return 0;
	}
	if (argc < 4)
		return 125;
	supervisor = getpid();
	/* they would be gone after a reload; not those from a service manager */
	for (int fd = 3 + inherited(); fd < 1024; fd++)
		close(fd);
	if (realpath(argv[3], program) == NULL)
		fail(argv[3]);
	file = open(argv[1], O_RDWR | O_CLOEXEC);
	control = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE,
	    MAP_SHARED, file, 0);
	if (control == MAP_FAILED)
		fail(argv[1]);
	control->supervisor = supervisor;
	if (argv[2][0] != '\0') {
		start_second();
		if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
			fail("prctl");
		file = install(argv[2]);
		if (file < 0)
			fail("seccomp");
		control->listener = file;
		while (control->taken == 0)
			; /* no system call: it might be one that is reported */
	}
	execv(argv[3], argv + 3);
	fail(argv[3]);
}
