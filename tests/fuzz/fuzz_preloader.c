/* SPDX-License-Identifier: ISC */
/*
 * fuzz_preloader: a worker that has a hostile preloader, from what that says and does to what
 * becomes of the scripts.  There are no processes: this takes the place of base/packet.c, of
 * sys_spawn() and of the system's calls about processes.
 *
 *   - each script is answered at most once, all of them by the end unless their owner left them;
 *     only one that was STARTED exits, at most once;
 *   - an answer has streams only with STARTED, and a slot belongs to one of the two sides;
 *   - what runs as a script is a child of a preloader, in our session;
 *   - no process gets a signal but a preloader, or one of our session that the kernel has named
 *     as the sender of a packet: a child that a preloader has forked;
 *   - in the end nothing is left: no child, slot, descriptor.
 *
 * Input: steps of a byte, with arguments; see `enum step`.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/packet.h"
#include "cgi/preload.h"
#include "fuzz.h"

enum { STARTS = 16, CHILDREN = 8, PRELOADERS = 24, SLOTS = 6, STEPS = 200, PACKET_MAX = 2048 };

enum step {
	START,        /* a script: which */
	PACKET,       /* sender, length, bytes */
	READY,
	STARTED,      /* sender, number of the script, number of the process that it names */
	FAILED,       /* number of the script, of the step, errno */
	EXITED,       /* number of the process that it names, status */
	STALE,        /* number of the script */
	PONG,
	TURN,
	TIME,         /* so many times 100 ms */
	EXIT,         /* the preloader: status */
	CLOSE,        /* its socket */
	CHILD_ENDS,   /* which of its children */
	STOP_SCRIPT,  /* which */
	DROP_SCRIPT,  /* which */
	NO_SPAWN,     /* the next start of a preloader fails: with which errno */
	STEPS_END
};

/* ---- processes ------------------------------------------------------------------------------ */

enum { SESSION = 0x3d000000, CHILD_PID = 0x3e000000, PRELOADER_PID = 0x3f000000 };

struct process {
	bool runs, zombie;
	int status;
	int socket, errors; /* of a preloader; -1: closed */
	bool spoke;         /* of a child: it has sent a packet */
};

static struct process preloaders[PRELOADERS], kids[CHILDREN];
static size_t preloader_count;
static int spawn_error;
static struct loop *loop;

/* The last child is of another session, the one before it leads no group. */
static pid_t session_of(int kid)
{
	return kid == CHILDREN - 1 ? SESSION + 1 : SESSION;
}

static struct process *find(pid_t pid)
{
	if (pid >= PRELOADER_PID && pid < PRELOADER_PID + (pid_t)preloader_count)
		return &preloaders[pid - PRELOADER_PID];
	if (pid >= CHILD_PID && pid < CHILD_PID + CHILDREN)
		return &kids[pid - CHILD_PID];
	return NULL;
}

static struct process *find_there(pid_t pid)
{
	struct process *process = find(pid);

	if (process != NULL && (process->runs || process->zombie))
		return process;
	errno = ESRCH;
	return NULL;
}

static void close_end(int *end)
{
	if (*end >= 0)
		close(*end);
	*end = -1;
}

/* It ends; its parent reaps children at once, and we reap preloaders. */
static void end(struct process *process, int status)
{
	if (!process->runs)
		return;
	process->runs = false;
	close_end(&process->socket);
	close_end(&process->errors);
	if (process >= kids && process < kids + CHILDREN)
		return;
	process->zombie = true;
	process->status = status;
	loop_reap(loop);
}

pid_t getsid(pid_t pid)
{
	if (pid == 0)
		return SESSION;
	if (pid == 1)
		return 1;
	if (find_there(pid) == NULL)
		return -1;
	return pid < PRELOADER_PID ? session_of(pid - CHILD_PID) : SESSION;
}

pid_t getpgid(pid_t pid)
{
	if (pid == 1)
		return 1;
	if (find_there(pid) == NULL)
		return -1;
	return pid == CHILD_PID + CHILDREN - 2 ? CHILD_PID : pid;
}

int kill(pid_t pid, int signo)
{
	struct process *process = find_there(pid < 0 ? -pid : pid);

	fuzz_require(pid != 0 && pid != -1 && pid != 1);
	if (process == NULL)
		return -1;
	if (signo == 0)
		return 0;
	fuzz_require(getsid(pid < 0 ? -pid : pid) == SESSION);
	fuzz_require(process >= preloaders && process < preloaders + PRELOADERS ? true
										 : process->spoke);
	if (signo == SIGKILL || signo == SIGTERM)
		end(process, signo);
	return 0;
}

pid_t waitpid(pid_t pid, int *status, int flags)
{
	fuzz_require(pid == -1 && flags == WNOHANG);
	for (size_t i = 0; i < preloader_count; i++) {
		if (!preloaders[i].zombie)
			continue;
		preloaders[i].zombie = false;
		*status = preloaders[i].status;
		return PRELOADER_PID + (pid_t)i;
	}
	return 0;
}

pid_t sys_spawn(const struct sys_program *program, struct sys_fault *fault)
{
	struct process *process = &preloaders[preloader_count];

	fuzz_require(strcmp(program->path, "/bin/prog") == 0);
	if (spawn_error != 0 || preloader_count == PRELOADERS) {
		*fault = (struct sys_fault){SYS_STEP_FORK, spawn_error != 0 ? spawn_error : EAGAIN};
		spawn_error = 0;
		return -1;
	}
	*process = (struct process){.runs = true,
	    .socket = dup(program->stdio[0]),
	    .errors = dup(program->stdio[2])};
	fuzz_require(process->socket >= 0 && process->errors >= 0);
	return PRELOADER_PID + (pid_t)preloader_count++;
}

/* ---- in place of base/packet.c: the first byte of a packet is its sender ----------------------- */

int packet_pair(int ends[2])
{
	fuzz_require(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
	fuzz_require(sys_nonblock(ends[0]) == 0 && sys_nonblock(ends[1]) == 0);
	return 0;
}

int packet_send(int to, const void *bytes, size_t len, const int *fds, size_t count)
{
	(void)fds;
	fuzz_require(count <= PACKET_FDS_MAX);
	return send(to, bytes, len, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* 0 to 7: a child; 8: the preloader, 9 another process; more: the kernel does not know. */
static pid_t sender_of(unsigned char code)
{
	if (code < CHILDREN) {
		kids[code].spoke = true;
		return CHILD_PID + code;
	}
	if (code > CHILDREN + 1) {
		for (int i = 0; i < CHILDREN; i++) /* what it names is believed */
			kids[i].spoke = true;
		return 0;
	}
	return code == CHILDREN ? PRELOADER_PID + (pid_t)preloader_count - 1 : 1;
}

ssize_t packet_receive(int from, void *bytes, size_t size, pid_t *sender)
{
	unsigned char packet[PACKET_MAX + 1];
	ssize_t n = recv(from, packet, sizeof packet, 0);

	if (n <= 0)
		return n;
	*sender = sender_of(packet[0]);
	if ((size_t)n - 1 > size) {
		errno = EMSGSIZE;
		return -1;
	}
	memcpy(bytes, packet + 1, (size_t)n - 1);
	return n - 1;
}

void packet_close(int which)
{
	shutdown(which, SHUT_RD);
}

/* ---- the worker --------------------------------------------------------------------------------- */

/* What a script's owner, a request, sees of it. */
struct owner {
	struct child *child;
	int slot;      /* -1: it is not ours, or not any more */
	int answers, exits;
	bool started, dropped;
};

static struct options options;
static struct scoreboard *board;
static struct children children;
static struct environment environment;
static struct preload *preload;
static struct owner owners[STARTS];
static size_t owner_count;
static const struct preload_times times = {.answer = 300, .ready = 2000, .silence = 900};

/* What runs as a script leads a group in our session, and has said so; or it has ended. */
static void check_script(pid_t pid)
{
	const struct process *process = find(pid);

	if (process == NULL)
		return; /* never there: where the kernel does not name senders, a number that is free */
	fuzz_require(process >= kids && process < kids + CHILDREN && process->spoke);
	fuzz_require(!process->runs || (getsid(pid) == SESSION && getpgid(pid) == pid));
}

static void on_answer(void *context, const struct preload_answer *answer)
{
	struct owner *owner = context;

	fuzz_require(!owner->dropped && owner->answers++ == 0);
	if (answer->outcome == PRELOAD_STARTED) {
		check_script(child_pid(owner->child));
		owner->started = true;
		owner->slot = -1; /* the child's from now on */
		close(answer->pipes.in);
		close(answer->pipes.out);
		close(answer->pipes.err);
		return;
	}
	owner->child = NULL;
	scoreboard_release(board, owner->slot);
	owner->slot = -1;
}

static void on_exit_of(void *context, int status)
{
	struct owner *owner = context;

	(void)status;
	fuzz_require(owner->started && !owner->dropped && owner->exits++ == 0);
	owner->child = NULL;
}

static char file[PATH_MAX];

static void start_script(void)
{
	static char *argv[] = {file, NULL}, *envp[] = {NULL};
	struct owner *owner = &owners[owner_count];
	struct child_plan plan = {
	    .argv = argv, .dir = "/", .envp = envp, .wants_stdin = 1, .wants_stderr = 1};
	struct preload_script script = {.path = file, .plan = &plan, .answered = on_answer,
	    .exited = on_exit_of, .context = owner};
	struct stat info;

	if (owner_count == STARTS || (plan.slot = scoreboard_claim(board, 0)) < 0)
		return;
	fuzz_require(stat(file, &info) == 0);
	*owner = (struct owner){.slot = plan.slot};
	owner_count++; /* it may be answered at once, though not by contract */
	if (preload_concerns(preload, file, &info, NULL))
		owner->child = preload_start(preload, &script);
	fuzz_require(owner->answers == 0);
	if (owner->child == NULL) {
		scoreboard_release(board, owner->slot);
		owner_count--;
	}
}

static struct owner *choose_owner(struct fuzz_input *input)
{
	unsigned number = fuzz_byte(input);

	return owner_count == 0 ? NULL : &owners[number % owner_count];
}

static void drop(struct owner *owner)
{
	if (owner == NULL || owner->child == NULL)
		return;
	owner->dropped = true;
	child_drop(&owner->child);
}

/* ---- what the preloader says ---------------------------------------------------------------------- */

static struct process *latest(void)
{
	return preloader_count == 0 ? NULL : &preloaders[preloader_count - 1];
}

static void say(unsigned sender, const void *bytes, size_t len)
{
	unsigned char packet[PACKET_MAX];
	const struct process *process = latest();

	if (process == NULL || process->socket < 0 || len >= sizeof packet)
		return;
	packet[0] = (unsigned char)sender;
	if (len > 0)
		memcpy(packet + 1, bytes, len);
	(void)send(process->socket, packet, len + 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A message of words, each of which is in `text` before a blank. */
static void say_words(unsigned sender, const char *text)
{
	char words[128];
	size_t len = strlen(text);

	fuzz_require(len < sizeof words);
	for (size_t i = 0; i <= len; i++)
		words[i] = (char)(text[i] == ' ' ? '\0' : text[i]);
	say(sender, words, len + 1);
}

static void say_numbers(enum step step, struct fuzz_input *input)
{
	static const char *const names[] = {"fork", "group", "dir", "limit", "stdio"};
	unsigned a = fuzz_byte(input);
	unsigned b = step == STALE ? 0 : fuzz_byte(input);
	unsigned c = step == STARTED || step == FAILED ? fuzz_byte(input) : 0;
	char text[128];

	if (step == STARTED) /* 255: the process that says so */
		snprintf(text, sizeof text, "start %u %ld", b,
		    (long)CHILD_PID + (c == 255 ? a : c % CHILDREN));
	else if (step == FAILED)
		snprintf(text, sizeof text, "fail %u %s %u", a, names[b % 5], c);
	else if (step == EXITED)
		snprintf(text, sizeof text, "exit %ld %u 0", (long)CHILD_PID + a % CHILDREN, b);
	else
		snprintf(text, sizeof text, "stale %u", a);
	say_words(step == STARTED ? a : CHILDREN, text);
}

static void say_bytes(struct fuzz_input *input)
{
	unsigned sender = fuzz_byte(input);
	size_t len = fuzz_byte(input);
	const uint8_t *bytes = fuzz_bytes(input, &len);

	say(sender, bytes, len);
}

/* ---- steps ------------------------------------------------------------------------------------------ */

static void turn(int count)
{
	for (int i = 0; i < count; i++)
		fuzz_require(loop_turn(loop, 0) == 0);
}

static void pass_time(int64_t ms)
{
	for (; ms > 0; ms -= 100) {
		fuzz_advance(100);
		turn(2);
	}
}

static void end_preloader(struct fuzz_input *input)
{
	unsigned status = fuzz_byte(input);

	if (latest() != NULL)
		end(latest(), (int)(status & 1 ? status << 8 & 0xff00 : status & 0x7f));
}

static void take_step(enum step step, struct fuzz_input *input)
{
	static const int errors[] = {EAGAIN, ENOMEM, EMFILE, ENOENT};
	struct owner *owner;

	switch (step) {
	case START:
		start_script();
		return;
	case PACKET:
		say_bytes(input);
		return;
	case READY:
		say_words(CHILDREN, "ready 1 LD_LIBRARY_PATH");
		return;
	case STARTED:
	case FAILED:
	case EXITED:
	case STALE:
		say_numbers(step, input);
		return;
	case PONG:
		say_words(CHILDREN, "pong");
		return;
	case TURN:
		turn(2);
		return;
	case TIME:
		pass_time((fuzz_byte(input) % 64 + 1) * 100);
		return;
	case EXIT:
		end_preloader(input);
		return;
	case CLOSE:
		if (latest() != NULL)
			close_end(&latest()->socket);
		return;
	case CHILD_ENDS:
		end(&kids[fuzz_byte(input) % CHILDREN], 0);
		return;
	case STOP_SCRIPT:
		owner = choose_owner(input);
		if (owner != NULL && owner->child != NULL)
			child_terminate(owner->child);
		return;
	case DROP_SCRIPT:
		drop(choose_owner(input));
		return;
	case NO_SPAWN:
		spawn_error = errors[fuzz_byte(input) % 4];
		return;
	case STEPS_END:
		return;
	}
}

static void open_worker(void)
{
	static const int signals[] = {0};
	static char path[] = "PATH=/usr/bin:/bin";
	static char *base[] = {path, NULL};
	static const char text[] = "#!/bin/interpreter\n";

	loop = loop_new();
	board = scoreboard_new(1, SLOTS);
	fuzz_require(loop != NULL && board != NULL);
	fuzz_require(loop_signals(loop, signals, NULL, NULL) == 0);
	fuzz_require(environment_init(&environment, base, NULL) == 0);
	log_open(LOG_LEVEL_DEBUG, LOG_FORM_PLAIN);
	fuzz_write_file("a.cgi", 0755, text, sizeof text - 1);
	snprintf(file, sizeof file, "%s/a.cgi", fuzz_dir());
}

static void begin(void)
{
	static char program[] = "/bin/prog", *argv[] = {program, NULL};
	static struct value_preload item = {"/bin/interpreter=/bin/prog", 16, argv, 1};
	struct preload_parts parts = {.loop = loop, .options = &options,
	    .environment = &environment, .children = &children, .times = &times};

	memset(preloaders, 0, sizeof preloaders);
	memset(owners, 0, sizeof owners);
	preloader_count = owner_count = 0;
	spawn_error = 0;
	for (int i = 0; i < CHILDREN; i++)
		kids[i] = (struct process){.runs = true, .socket = -1, .errors = -1};
	options = (struct options){.workers = 1, .max_scripts = SLOTS, .preloads = {&item, 1}};
	fuzz_require(children_init(&children, loop, board, 50) == 0);
	preload = preload_new(&parts);
	fuzz_require(preload != NULL);
}

/* The worker ends, as worker.c does it. */
static void finish(int lowest_fd)
{
	int fd;

	preload_stop(preload);
	for (size_t i = 0; i < owner_count; i++)
		fuzz_require(owners[i].dropped || owners[i].answers == 1);
	turn(2);
	for (size_t i = 0; i < owner_count; i++)
		drop(&owners[i]);
	children_fini(&children);
	preload_free(&preload);
	turn(2);
	for (size_t i = 0; i < preloader_count; i++) {
		fuzz_require(!preloaders[i].runs);
		close_end(&preloaders[i].socket);
	}
	fuzz_require(scoreboard_running(board) == 0);
	fd = dup(STDIN_FILENO);
	fuzz_require(fd == lowest_fd);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len};
	int lowest;

	if (loop == NULL)
		open_worker();
	lowest = dup(STDIN_FILENO);
	close(lowest);
	begin();
	turn(1);
	for (int i = 0; i < STEPS && input.left > 0; i++)
		take_step((enum step)(fuzz_byte(&input) % STEPS_END), &input);
	turn(2);
	finish(lowest);
	return 0;
}
