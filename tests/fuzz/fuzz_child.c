/* SPDX-License-Identifier: ISC */
/*
 * fuzz_child: see fuzz_child.h, and cgi/child.h for what the functions promise.
 */
#include "fuzz_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/list.h"
#include "fuzz.h"

struct child {
	struct children *family;
	struct child *next, *prev;
	int slot;
	size_t number; /* in fuzz_scripts */
	bool stopped;
	struct loop_timer kill;
	child_exit_fn *exited; /* NULL once dropped */
	void *context;
};

struct fuzz_script fuzz_scripts[FUZZ_SCRIPTS];
size_t fuzz_script_count;
void (*fuzz_script_started)(const struct child_plan *plan);
void (*fuzz_script_took)(size_t number, const unsigned char *bytes, size_t len);
static struct sys_fault refusal; /* of the next start; error 0: none */

void fuzz_script_refuse(enum sys_step step, int error)
{
	refusal = (struct sys_fault){step, error};
}

/* ---- the script's side ------------------------------------------------------------------ */

size_t fuzz_script_write(size_t number, const void *bytes, size_t len)
{
	ssize_t n = -1;

	if (fuzz_scripts[number].out >= 0)
		n = write(fuzz_scripts[number].out, bytes, len);
	if (n < 0 && errno == EPIPE)
		fuzz_script_close(&fuzz_scripts[number].out);
	return n < 0 ? 0 : (size_t)n;
}

void fuzz_script_complain(size_t number, const void *bytes, size_t len)
{
	if (fuzz_scripts[number].err >= 0 && write(fuzz_scripts[number].err, bytes, len) < 0 &&
	    errno == EPIPE)
		fuzz_script_close(&fuzz_scripts[number].err);
}

bool fuzz_script_read(size_t number)
{
	static unsigned char bytes[64 * 1024];
	ssize_t n;

	if (fuzz_scripts[number].in < 0)
		return true;
	do {
		n = read(fuzz_scripts[number].in, bytes, sizeof bytes);
		if (n >= 0 && fuzz_script_took != NULL)
			fuzz_script_took(number, bytes, (size_t)n);
	} while (n > 0);
	return n == 0;
}

void fuzz_script_close(int *end)
{
	if (*end >= 0)
		close(*end);
	*end = -1;
}

static void child_free(struct child *child)
{
	struct children *family = child->family;

	LIST_REMOVE(family->first, child);
	loop_timer_clear(family->loop, &child->kill);
	scoreboard_release(family->board, child->slot);
	fuzz_scripts[child->number].child = NULL;
	free(child);
	family->count--;
	if (family->count == 0 && family->emptied != NULL)
		family->emptied(family);
}

static void finish(struct child *child, int status)
{
	child_exit_fn *exited = child->exited;
	void *context = child->context;

	if (exited != NULL) /* it may ask whether its child was stopped */
		exited(context, status);
	child_free(child);
}

void fuzz_script_exit(size_t number, int status)
{
	if (fuzz_scripts[number].child != NULL)
		finish(fuzz_scripts[number].child, status);
}

void fuzz_script_reset(void)
{
	for (size_t i = 0; i < fuzz_script_count; i++) {
		fuzz_script_exit(i, 0);
		fuzz_script_close(&fuzz_scripts[i].in);
		fuzz_script_close(&fuzz_scripts[i].out);
		fuzz_script_close(&fuzz_scripts[i].err);
	}
	fuzz_script_count = 0;
	refusal.error = 0;
}

/* ---- cgi/child.h --------------------------------------------------------------------------- */

int children_init(struct children *children, struct loop *loop, struct scoreboard *board,
    int64_t kill_delay)
{
	*children = (struct children){.loop = loop, .board = board, .kill_delay = kill_delay};
	children->null_fd = -1;
	return 0;
}

void children_fini(struct children *children)
{
	children->emptied = NULL;
	while (children->first != NULL)
		child_free(children->first);
}

static void on_kill(struct loop_timer *timer)
{
	finish(CONTAINER_OF(timer, struct child, kill), SIGKILL);
}

void child_terminate(struct child *child)
{
	if (child->stopped)
		return;
	child->stopped = true;
	scoreboard_set_state(child->family->board, child->slot, SCOREBOARD_STOPPING);
	loop_timer_set(child->family->loop, &child->kill, child->family->kill_delay);
}

void children_terminate(struct children *children)
{
	for (struct child *child = children->first; child != NULL; child = child->next)
		child_terminate(child);
}

/* Makes a pipe for one stream: our end, and the script's. */
static void open_stream(enum sys_pipe_end ours, int *end, int *theirs)
{
	int fds[2];

	fuzz_require(sys_pipe(fds, ours) == 0);
	*end = fds[ours];
	*theirs = fds[1 - ours];
	fuzz_require(sys_nonblock(*theirs) == 0);
}

/* The number that a variable is; -1: there is no such one. */
static int64_t number_of(char *const *envp, const char *name)
{
	size_t len = strlen(name);

	for (; *envp != NULL; envp++)
		if (strncmp(*envp, name, len) == 0 && (*envp)[len] == '=')
			return strtoll(*envp + len + 1, NULL, 10);
	return -1;
}

/*
 * Each variable has a name, and each name has one (RFC 3875 4.1); those that a script may rely on
 * are there, and those that are for the bridge, or dangerous, are not.
 */
static void check_environment(char *const *envp)
{
	static const char *const without[] = {"HTTP_PROXY=", "FCGI_CHDIR=", "CGIBRIDGE_"};
	bool has_interface = false, has_query = false, has_path = false;

	for (char *const *item = envp; *item != NULL; item++) {
		size_t len = strcspn(*item, "=");

		fuzz_require(len > 0 && (*item)[len] == '=');
		for (char *const *other = item + 1; *other != NULL; other++)
			fuzz_require(strncasecmp(*item, *other, len + 1) != 0);
		for (size_t i = 0; i < sizeof without / sizeof *without; i++)
			fuzz_require(strncasecmp(*item, without[i], strlen(without[i])) != 0);
		has_interface |= strncasecmp(*item, "GATEWAY_INTERFACE=", 18) == 0;
		has_query |= strncasecmp(*item, "QUERY_STRING=", 13) == 0;
		has_path |= strncasecmp(*item, "PATH=", 5) == 0;
		if (strncmp(*item, "CONTENT_LENGTH=", 15) == 0)
			fuzz_require(strlen(*item) > 15 && (*item)[15 + strspn(*item + 15, "0123456789")] == '\0');
	}
	fuzz_require(has_interface && has_query && has_path);
}

static void check_plan(const struct child_plan *plan)
{
	fuzz_require(plan->argv[0] != NULL && plan->argv[0][0] == '/');
	fuzz_require(plan->slot >= 0);
	check_environment(plan->envp);
}

struct child *child_spawn(struct children *children, const struct child_plan *plan,
    struct child_pipes *pipes, struct sys_fault *fault, child_exit_fn *exited, void *context)
{
	struct fuzz_script *script = &fuzz_scripts[fuzz_script_count];
	struct child *child;

	check_plan(plan);
	if (fuzz_script_started != NULL)
		fuzz_script_started(plan);
	*fault = refusal.error != 0 ? refusal : (struct sys_fault){SYS_STEP_FORK, EAGAIN};
	if (refusal.error != 0 || fuzz_script_count == FUZZ_SCRIPTS) {
		refusal.error = 0;
		return NULL;
	}
	child = malloc(sizeof *child);
	fuzz_require(child != NULL);
	*child = (struct child){.family = children, .slot = plan->slot,
	    .number = fuzz_script_count++, .exited = exited, .context = context};
	loop_timer_init(&child->kill, on_kill);
	LIST_PREPEND(children->first, child);
	children->count++;
	*script = (struct fuzz_script){child, -1, -1, -1,
	    (int)number_of(plan->envp, "FUZZ_TAG"), number_of(plan->envp, "CONTENT_LENGTH")};
	*pipes = (struct child_pipes){-1, -1, -1};
	if (plan->wants_stdin)
		open_stream(SYS_PIPE_WRITE, &pipes->in, &script->in);
	open_stream(SYS_PIPE_READ, &pipes->out, &script->out);
	if (plan->wants_stderr)
		open_stream(SYS_PIPE_READ, &pipes->err, &script->err);
	scoreboard_set_state(children->board, plan->slot, SCOREBOARD_RUNNING);
	return child;
}

/* ---- of preloaders, which are not fuzzed: preload.c is linked, and not called ---------- */

struct child *child_expect(struct children *children, const struct child_plan *plan,
    struct child_streams *streams, child_exit_fn *exited, void *context)
{
	(void)children;
	(void)plan;
	(void)streams;
	(void)exited;
	(void)context;
	fuzz_require(false);
	return NULL;
}

void child_close_streams(const struct children *children, const int ends[3])
{
	(void)children;
	(void)ends;
	fuzz_require(false);
}

bool child_begin(struct child *child, pid_t pid, int64_t now)
{
	(void)now;
	(void)child;
	(void)pid;
	fuzz_require(false);
	return false;
}

bool child_withdraw(struct child *child)
{
	(void)child;
	fuzz_require(false);
	return false;
}

void child_ended(struct child *child, int status)
{
	(void)child;
	(void)status;
	fuzz_require(false);
}

bool child_is_starting(const struct child *child)
{
	(void)child;
	return false;
}

/* ---- as requests see it ------------------------------------------------------------------ */

pid_t child_pid(const struct child *child)
{
	return (pid_t)(0x3fffff00 + child->number); /* more than any system has */
}

/* None is started apart: there are no mounts. */
const struct child_failure *child_failure(const struct child *child)
{
	(void)child;
	return NULL;
}

void child_answers(struct child *child)
{
	if (child != NULL && !child->stopped)
		scoreboard_set_state(child->family->board, child->slot, SCOREBOARD_ANSWERING);
}

bool child_is_stopped(const struct child *child)
{
	return child->stopped;
}

void child_leave(struct child *child, child_exit_fn *exited, void *context)
{
	child->exited = exited;
	child->context = context;
	if (!child->stopped)
		scoreboard_set_state(child->family->board, child->slot, SCOREBOARD_LEFT);
}

void child_drop(struct child **child)
{
	if (*child != NULL)
		child_leave(*child, NULL, NULL);
	*child = NULL;
}
