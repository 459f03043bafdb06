/* SPDX-License-Identifier: ISC */
/*
 * fuzz_sys: base/sys_linux.c or base/sys_posix.c, in which a target may take the place of some
 * functions: it defines them, and they replace the weak ones here.  (With link-time optimization
 * a linker's --wrap does not reach functions of this program.)
 */
#include "base/sys.h"
#include "fuzz.h"

#define sys_random system_random
#define sys_spawn system_spawn
#define sys_session_of system_session_of
#define sys_kill_family system_kill_family

void system_random(void *bytes, size_t len);
pid_t system_spawn(const struct sys_program *program, struct sys_fault *fault);
pid_t system_session_of(pid_t pid);
void system_kill_family(pid_t leader, pid_t session);

#ifdef WITH_SYS_LINUX
#include "base/sys_linux.c"
const char fuzz_system[] = "Linux";
#else
#define sys_process_doing system_process_doing
void system_process_doing(pid_t pid, char text[SYS_DOING_MAX]);
#include "base/sys_posix.c"
#undef sys_process_doing
const char fuzz_system[] = "POSIX";
#endif

#undef sys_random
#undef sys_spawn
#undef sys_session_of
#undef sys_kill_family

#define MAY_BE_REPLACED __attribute__((weak))

MAY_BE_REPLACED pid_t sys_spawn(const struct sys_program *program, struct sys_fault *fault)
{
	return system_spawn(program, fault);
}

MAY_BE_REPLACED pid_t sys_session_of(pid_t pid)
{
	return system_session_of(pid);
}

MAY_BE_REPLACED void sys_kill_family(pid_t leader, pid_t session)
{
	system_kill_family(leader, session);
}

#ifndef WITH_SYS_LINUX
MAY_BE_REPLACED void sys_process_doing(pid_t pid, char text[SYS_DOING_MAX])
{
	system_process_doing(pid, text);
}
#endif

/* Always the same. */
void sys_random(void *bytes, size_t len)
{
	unsigned char *to = bytes;
	uint32_t state = 1;

	for (size_t i = 0; i < len; i++) {
		state = state * 1664525 + 1013904223;
		to[i] = (unsigned char)(state >> 24);
	}
}
