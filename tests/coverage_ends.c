/* SPDX-License-Identifier: ISC */
/*
 * coverage_ends: in a build with --enable-coverage, processes that end by _exit(2), or execute
 * another image, save their counts first.  exit(3) does that by itself; the linker puts these
 * functions in place of the calls.
 */
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

void __gcov_dump(void);
void __gcov_reset(void);

pid_t __real_fork(void);
int __real_execve(const char *path, char *const argv[], char *const envp[]);
void __real__exit(int status) __attribute__((noreturn));
pid_t __wrap_fork(void);
int __wrap_execve(const char *path, char *const argv[], char *const envp[]);
void __wrap__exit(int status) __attribute__((noreturn));

/* The process that this memory belongs to: not the child of a vfork, which counts in it, too. */
static pid_t owner;
static struct stat root; /* the directory / at the start */

static void __attribute__((constructor)) begin(void)
{
	owner = getpid();
	if (stat("/", &root) != 0)
		owner = 0;
}

/* After a chroot(2) the files are out of reach. */
static bool can_save(void)
{
	struct stat now;

	return getpid() == owner && stat("/", &now) == 0 && now.st_dev == root.st_dev &&
	    now.st_ino == root.st_ino;
}

static void save(void)
{
	if (!can_save())
		return;
	__gcov_dump();
	__gcov_reset();
}

pid_t __wrap_fork(void)
{
	pid_t pid = __real_fork();

	if (pid == 0)
		owner = getpid();
	return pid;
}

int __wrap_execve(const char *path, char *const argv[], char *const envp[])
{
	save();
	return __real_execve(path, argv, envp);
}

void __wrap__exit(int status)
{
	save();
	__real__exit(status);
}
