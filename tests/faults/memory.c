/* SPDX-License-Identifier: ISC */
/*
 * memory: to be preloaded (LD_PRELOAD); lets malloc and its like fail, as the file in
 * $FAULTS_CONTROL says.  Only in processes that run the file $FAULTS_PROGRAM.  GNU libc.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "faults.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static struct control *control;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("FAULTS_CONTROL");
	const char *program = getenv("FAULTS_PROGRAM");
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	void *memory;
	int fd;

	exe[n < 0 ? 0 : n] = '\0';
	if (path == NULL || program == NULL || strcmp(exe, program) != 0)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	memory = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	control = memory == MAP_FAILED ? NULL : memory;
}

static enum role own_role(void)
{
	if (getpid() == control->supervisor)
		return ROLE_SUPERVISOR;
	if (getppid() != control->supervisor)
		return ROLE_CHILD;
	return getsid(0) == getpid() ? ROLE_WORKER : ROLE_TRIAL;
}

static bool may_go_on(void)
{
	enum role role;
	int error;

	if (control == NULL)
		return true;
	role = own_role();
	__atomic_add_fetch(&control->counts[role][CALL_MALLOC], 1, __ATOMIC_SEQ_CST);
	error = control_fault(control, role, CALL_MALLOC);
	if (error != 0)
		errno = error;
	return error == 0;
}

void *malloc(size_t size)
{
	return may_go_on() ? __libc_malloc(size) : NULL;
}

void *calloc(size_t count, size_t size)
{
	return may_go_on() ? __libc_calloc(count, size) : NULL;
}

void *realloc(void *old, size_t size)
{
	return may_go_on() ? __libc_realloc(old, size) : NULL;
}
