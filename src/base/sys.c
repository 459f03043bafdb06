/* SPDX-License-Identifier: ISC */
/*
 * sys: the calls that are the same everywhere.
 */
#include "base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { FDS_TRIED = 1 << 20 }; /* numbers tried where nothing lists the open descriptors */

int sys_cloexec(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	return flags < 0 ? -1 : fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

int sys_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* Sets it on the descriptors that /proc lists; -1 without /proc. */
static int cloexec_listed(int lowest)
{
	DIR *list = opendir("/proc/self/fd");
	const struct dirent *entry;

	if (list == NULL)
		return -1;
	while ((entry = readdir(list)) != NULL) {
		long fd = strtol(entry->d_name, NULL, 10); /* "." and "..": 0 */

		if (fd >= lowest)
			(void)fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	}
	closedir(list);
	return 0;
}

void sys_cloexec_each(int lowest)
{
	long limit;

	if (cloexec_listed(lowest) == 0)
		return;
	/* a container may allow 2^30 descriptors; trying them all would take minutes */
	limit = sysconf(_SC_OPEN_MAX);
	if (limit < 0 || limit > FDS_TRIED)
		limit = FDS_TRIED;
	for (int fd = lowest; fd < limit; fd++)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void sys_close_each(int lowest)
{
	long limit = sysconf(_SC_OPEN_MAX);

	if (limit < 0 || limit > FDS_TRIED)
		limit = FDS_TRIED;
	for (int fd = lowest; fd < limit; fd++)
		(void)close(fd);
}

int sys_open_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

void *sys_shared_alloc(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void *sys_shared_map(int fd, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void sys_shared_free(void *memory, size_t size)
{
	munmap(memory, size);
}

void sys_random_guess(unsigned char *bytes, size_t len)
{
	struct timespec now;
	uint64_t state;

	clock_gettime(CLOCK_REALTIME, &now);
	state = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	state ^= (uint64_t)getpid() << 40 ^ (uint64_t)(uintptr_t)&now;
	for (size_t i = 0; i < len; i++) {
		state = state * 6364136223846793005U + 1442695040888963407U;
		bytes[i] = (unsigned char)(state >> 56);
	}
}

void sys_signals_reset(bool keep_blocked)
{
	struct sigaction act;
	sigset_t none;

	memset(&act, 0, sizeof act);
	act.sa_handler = SIG_DFL;
	sigemptyset(&act.sa_mask);
	sigemptyset(&none);
	/* KILL, STOP and the C library's own signals fail, as they should */
	for (int signo = 1; signo <= 64; signo++)
		(void)sigaction(signo, &act, NULL);
	if (!keep_blocked)
		sigprocmask(SIG_SETMASK, &none, NULL);
}

void sys_signals_block(sigset_t *before)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, before);
}

const char *sys_remedy(int error)
{
	switch (error) {
	case EMFILE:
		return " (raise the limit of open files, LimitNOFILE=, or lower --max-scripts)";
	case ENFILE:
		return " (raise the system's limits, fs.file-max or fs.pipe-user-pages-hard)";
	case ENOSPC:
		return " (raise the system's limit, fs.epoll.max_user_watches)";
	case EAGAIN:
		return " (raise the limit of processes, TasksMax= or LimitNPROC=, or lower --max-scripts)";
	case ENOMEM:
	case ENOBUFS:
		return " (out of memory: lower --max-scripts, or limit scripts with --limit)";
	default:
		return "";
	}
}

bool sys_is_shortage(int error)
{
	return error == ENOMEM || error == ENOBUFS || error == EMFILE || error == ENFILE ||
	    error == EAGAIN;
}

static int set_limits(const struct sys_program *program)
{
	for (size_t i = 0; i < program->limit_count; i++)
		if (setrlimit(program->limits[i].resource, &program->limits[i].value) != 0)
			return -1;
	return 0;
}

static int set_stdio(const struct sys_program *program)
{
	for (int fd = 0; fd < 3; fd++) {
		/* dup2 onto itself would leave close-on-exec set */
		int failed = program->stdio[fd] == fd ? fcntl(fd, F_SETFD, 0) < 0
						      : dup2(program->stdio[fd], fd) < 0;

		if (failed)
			return -1;
	}
	return 0;
}

void sys_exec_child(const struct sys_program *program, struct sys_fault *fault)
{
	sigset_t none;

	if (program->pid_cell != NULL)
		atomic_store(program->pid_cell, (int)getpid());
	fault->step = SYS_STEP_GROUP;
	if (setpgid(0, 0) != 0)
		goto failed;
	fault->step = SYS_STEP_DIR;
	if (program->dir != NULL && chdir(program->dir) != 0)
		goto failed;
	fault->step = SYS_STEP_LIMIT;
	if (set_limits(program) != 0)
		goto failed;
	fault->step = SYS_STEP_STDIO;
	if (set_stdio(program) != 0)
		goto failed;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	fault->step = SYS_STEP_EXEC;
	execve(program->path, program->argv, program->envp);
failed:
	fault->error = errno;
}

/*
 * Its streams come first: a copy of a client's socket would stay open for as long as it hangs.  Who
 * it is comes before that: its worker may be killed now.
 */
static void exec_apart(const struct sys_program *program, struct sys_fault *fault)
{
	struct sys_program connected = *program;

	if (program->pid_cell != NULL)
		atomic_store(program->pid_cell, (int)getpid());
	sys_signals_reset(false);
	*fault = (struct sys_fault){.step = SYS_STEP_STDIO};
	if (set_stdio(program) != 0) {
		fault->error = errno;
		return;
	}
	sys_close_from(STDERR_FILENO + 1);
	for (int fd = 0; fd < 3; fd++)
		connected.stdio[fd] = fd;
	sys_exec_child(&connected, fault);
}

pid_t sys_spawn_apart(const struct sys_program *program, struct sys_fault *fault,
    sys_unexecuted_fn *unexecuted, void *context)
{
	sigset_t before;
	pid_t pid;

	*fault = (struct sys_fault){.step = SYS_STEP_FORK};
	sys_signals_block(&before); /* our handlers must not run in the child */
	pid = fork();
	if (pid == 0) {
		struct sys_fault own;

		exec_apart(program, &own);
		if (own.step == SYS_STEP_EXEC)
			unexecuted(context, program->path, own.error);
		fault->step = own.step;
		atomic_thread_fence(memory_order_release);
		fault->error = own.error; /* all else is there when the caller sees it */
		_exit(127);
	}
	if (pid < 0)
		fault->error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}
