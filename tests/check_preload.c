/* SPDX-License-Identifier: ISC */
/*
 * check_preload: a worker's preloaders, whatever these say.  The preloader is this program:
 *
 *   check_preload preloader MOOD [TEXT]
 *
 * good; mute (reports no exits, and answers no ping); unready (says nothing); hang (starts
 * nothing); end (ends instead of starting something); say (answers each "start" with TEXT, whose
 * words are separated by '|': % stands for the serial); child (forks, and the child says TEXT and
 * waits); early (says TEXT before it is ready); deaf (does not read); close (closes its socket);
 * leave (ends when its script has begun); lie (says at once that its script has ended); stay
 * (is stale, starts nothing, and does not end); chat (the same, and says so again and again).
 */
#include "check_util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgi/preload.h"

/* ---- the preloader ------------------------------------------------------------------------ */

enum { SLOTS = 8 };

static const char *mood = "";

static void say(const char *text, const char *serial)
{
	char packet[4096];
	size_t len = 0;

	for (; *text != '\0'; text++) {
		if (*text == '%')
			len += (size_t)sprintf(packet + len, "%s", serial);
		else
			packet[len++] = *text == '|' ? '\0' : *text;
	}
	packet[len++] = '\0';
	(void)!send(0, packet, len, MSG_NOSIGNAL);
}

/* The text after `count` of them. */
static char *skip(char *at, long count)
{
	while (count-- > 0)
		at += strlen(at) + 1;
	return at;
}

/* Becomes the script. */
static void become(char *packet, const int fds[3])
{
	char *serial = skip(packet, 1);
	char *at = skip(serial, 1);
	char *argv[20] = {(char[]){"sh"}};
	char *envp[] = {NULL};
	char text[64];
	int argc = 1;

	for (long count = strtol(at, NULL, 10); count > 0; count--)
		argv[argc++] = at = skip(at, 1);
	at = skip(at, 2); /* and DIR */
	at = skip(at, 1 + 3 * strtol(at, NULL, 10));
	for (long count = strtol(at, NULL, 10); count > 0; count--)
		argv[argc++] = at = skip(at, 1);
	setpgid(0, 0);
	sprintf(text, "start|%%|%ld", (long)getpid());
	say(text, serial);
	for (int i = 0; i < 3; i++)
		dup2(fds[i], i);
	execve("/bin/sh", argv, envp);
	_exit(127);
}

_Noreturn static void wait_closed(void)
{
	close(0);
	for (;;)
		pause();
}

static void start_child(char *packet, const int fds[3], const char *text)
{
	char report[64];
	pid_t pid = fork();

	if (pid == 0 && strcmp(mood, "child") == 0) {
		say(text, skip(packet, 1));
		for (;;)
			pause();
	}
	if (pid == 0)
		become(packet, fds);
	sprintf(report, "exit|%ld|0|0", (long)pid);
	if (strcmp(mood, "leave") == 0 || strcmp(mood, "lie") == 0)
		poll(NULL, 0, 200); /* the script has begun by then, or the test sees nothing */
	if (strcmp(mood, "lie") == 0)
		say(report, "");
	if (strcmp(mood, "leave") == 0)
		_exit(0);
}

static bool stays(void)
{
	return strcmp(mood, "stay") == 0 || strcmp(mood, "chat") == 0;
}

static bool is_retired;

static void answer(char *packet, const int fds[3], const char *text)
{
	is_retired = is_retired || strcmp(packet, "retire") == 0;
	if (strcmp(packet, "ping") == 0 && strcmp(mood, "mute") != 0)
		say("pong", "");
	if (strcmp(packet, "retire") == 0 && !stays())
		_exit(0);
	if (strcmp(packet, "start") != 0)
		return;
	if (strcmp(mood, "end") == 0)
		_exit(7);
	if (strcmp(mood, "close") == 0)
		wait_closed();
	if (strcmp(mood, "say") == 0)
		say(text, skip(packet, 1));
	else if (stays())
		say("stale|%", skip(packet, 1));
	else if (strcmp(mood, "hang") != 0)
		start_child(packet, fds, text);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static void hear(const char *text)
{
	static char packet[PIPE_BUF * 64];
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(3 * sizeof(int))];
	} control;
	struct iovec piece = {packet, sizeof packet - 1};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.room,
	    .msg_controllen = sizeof control.room};
	int fds[3] = {-1, -1, -1};

	if (recvmsg(0, &message, 0) <= 0)
		_exit(0);
	if (message.msg_controllen > 0)
		memcpy(fds, CMSG_DATA(&control.header), sizeof fds);
	answer(packet, fds, text);
}

_Noreturn static void be_preloader(const char *text)
{
	struct pollfd item = {.fd = 0, .events = POLLIN};
	char report[64];
	int status;
	pid_t pid;

	if (strcmp(mood, "early") == 0)
		say(text, "");
	if (strcmp(mood, "unready") != 0)
		say("ready|1|FIXED", "");
	while (strcmp(mood, "deaf") == 0)
		pause();
	for (;;) {
		if (poll(&item, 1, 10) > 0)
			hear(text);
		if (is_retired && strcmp(mood, "chat") == 0)
			say("stale|0", "");
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			sprintf(report, "exit|%ld|%d|%d", (long)pid, status >> 8, status & 127);
			if (strcmp(mood, "mute") != 0)
				say(report, "");
		}
	}
}

/* ---- the worker --------------------------------------------------------------------------- */

static char self[PATH_MAX];
static char words[PATH_MAX + 4096];
static char *inherited[] = {(char[]){"LANG=C"}, (char[]){"FIXED=1"}, NULL};
static struct options options;
static struct environment environment;
static struct children children;
static struct loop *loop;
static struct scoreboard *board;
static struct preload *preload;
static struct preload_times times;
static struct preload_answer answered;
static int answers, exits, exit_status;
static int descriptors;

static void on_signal(void *context, int signo)
{
	(void)context;
	(void)signo;
}

static void setup(void)
{
	static const int signals[] = {SIGTERM, 0};

	signals_keep();
	temp_make();
	descriptors = count_fds();
	loop = loop_new();
	board = scoreboard_new(1, SLOTS);
	ck_assert(loop != NULL && board != NULL);
	ck_assert_int_eq(loop_signals(loop, signals, on_signal, NULL), 0);
	ck_assert_int_eq(children_init(&children, loop, board, 50), 0);
	ck_assert_int_eq(environment_init(&environment, inherited, NULL), 0);
	options.preload_learn = false;
	times = (struct preload_times){patience(2000), patience(5000), patience(5000)};
	answers = exits = 0;
}

static void teardown(void)
{
	if (preload != NULL)
		preload_stop(preload);
	children_fini(&children);
	preload_free(&preload);
	value_preloads_fini(&options.preloads);
	value_handlers_fini(&options.handlers);
	environment_fini(&environment);
	scoreboard_free(&board);
	loop_free(&loop);
	while (waitpid(-1, NULL, 0) > 0)
		;
	ck_assert_int_eq(count_fds(), descriptors);
	signals_restore();
	temp_remove();
}

/* Begins with preloaders of this command. */
static void begin(const char *command)
{
	const struct preload_parts parts = {loop, &options, &environment, &children, &times};
	struct fault why;

	snprintf(words, sizeof words, "/bin/sh=%s", command);
	ck_assert_int_eq(value_preload_kind.read(NULL, &options.preloads, words, &why), 0);
	preload = preload_new(&parts);
	ck_assert_ptr_nonnull(preload);
}

static void begin_as(const char *as)
{
	char command[PATH_MAX + 4096];

	snprintf(command, sizeof command, "%s preloader %s", self, as);
	begin(command);
}

static void on_answer(void *context, const struct preload_answer *given)
{
	answers++;
	answered = *given;
	if (given->outcome == PRELOAD_STARTED)
		close(given->pipes.out);
	else
		scoreboard_release(board, *(const int *)context);
}

static void on_exit_of(void *context, int status)
{
	(void)context;
	exits++;
	exit_status = status;
}

static const char *script(const char *line, const char *text)
{
	char all[4096];

	snprintf(all, sizeof all, "%s\n%s\n", line, text);
	temp_write("x", 0755, all);
	return temp_path("x");
}

static char *no_environment[] = {
    (char[]){"LANG=C"}, (char[]){"FIXED=1"}, (char[]){"OWN=2"}, NULL};

/* Starts the script, or does not. */
static struct child *start(const char *path, char **argv, char **envp, const char *dir)
{
	static int slots[SLOTS]; /* each is its own number */
	struct child_plan plan = {.argv = argv, .envp = envp, .dir = dir};
	struct preload_script given = {path, &plan, on_answer, on_exit_of, NULL, NULL};
	struct child *child;

	plan.slot = scoreboard_claim(board, 0);
	ck_assert_int_ge(plan.slot, 0);
	slots[plan.slot] = plan.slot;
	given.context = &slots[plan.slot];
	child = preload_start(preload, &given);
	if (child == NULL)
		scoreboard_release(board, plan.slot);
	return child;
}

static struct child *start_plain(const char *path)
{
	char *argv[] = {(char *)(uintptr_t)path, NULL};

	return start(path, argv, no_environment, temp_dir());
}

static bool has_started(void *context)
{
	struct child **child = context;

	*child = start_plain(temp_path("x"));
	return *child != NULL;
}

/* When a preloader is ready. */
static struct child *start_when_ready(void)
{
	struct child *child = NULL;

	ck_assert(turn_until(loop, has_started, &child));
	return child;
}

static bool is_answered(void *context)
{
	(void)context;
	return answers > 0;
}

static bool is_over(void *context)
{
	(void)context;
	return children.count == 0;
}

/* ---- scripts -------------------------------------------------------------------------------- */

START_TEST(a_script_runs_and_its_status_comes_back)
{
	script("#!/bin/sh -e", "false; exit 9");
	begin_as("good");
	(void)start_when_ready();
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(answers, 1);
	ck_assert_int_eq(answered.outcome, PRELOAD_STARTED);
	ck_assert_int_eq(exits, 1);
	ck_assert(WIFEXITED(exit_status));
	ck_assert_int_eq(WEXITSTATUS(exit_status), 1); /* by -e */
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

START_TEST(a_dropped_script_is_not_answered_for)
{
	struct child *child;

	script("#!/bin/sh", "exit 0");
	begin_as("good");
	child = start_when_ready();
	child_drop(&child);
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(answers + exits, 0);
	ck_assert_int_eq(scoreboard_running(board), 0);
}
END_TEST

/* Each is one that exec has to start. */
START_TEST(what_does_not_fit)
{
	struct rlimit limit, low;
	char *other[] = {(char[]){"LANG=de"}, (char[]){"FIXED=1"}, NULL};
	char *fewer[] = {(char[]){"LANG=C"}, NULL};
	char *more[] = {(char[]){"LANG=C"}, (char[]){"FIXED=1"}, (char[]){"LC_ALL=C"}, NULL};
	char *large = calloc(1, 200000);
	char *too_large[] = {(char[]){"LANG=C"}, (char[]){"FIXED=1"}, large, NULL};
	char path[PATH_MAX];
	char *argv[] = {path, NULL};

	strcpy(path, script("#!/bin/sh", "exit 0"));
	memset(large, 'x', 199999);
	begin_as("good");
	(void)start_when_ready();
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_ptr_null(start(path, argv, other, "/"));
	ck_assert_ptr_null(start(path, argv, fewer, "/"));
	ck_assert_ptr_null(start(path, argv, more, "/"));
	ck_assert_ptr_null(start(path, argv, too_large, "/"));
	ck_assert_ptr_null(start(path, argv, no_environment, "relative"));
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = 3; /* no pipe */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
	ck_assert_ptr_null(start(path, argv, no_environment, "/"));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_ptr_nonnull(start(path, argv, no_environment, NULL));
	ck_assert(turn_until(loop, is_over, NULL));
	temp_write("x", 0644, "#!/bin/sh\n");
	ck_assert_int_eq(chmod(path, 0644), 0);
	if (geteuid() != 0 || access(path, X_OK) != 0)
		ck_assert_ptr_null(start(path, argv, no_environment, "/"));
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_ptr_null(start(path, argv, no_environment, "/"));
	free(large);
}
END_TEST

START_TEST(a_handler_counts_for_a_script_without_words)
{
	static const struct {
		const char *line;
		bool concerns;
	} lines[] = {{"#!/bin/sh\n", true}, {"exit 0\n", true},
	    {"#!/bin/sh -u\n", true}, {"#!/bin/cat\n", false}};
	char path[PATH_MAX];
	char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-e"}, path, NULL};
	struct fault why;
	struct stat info;

	ck_assert_int_eq(value_handler.read(NULL, &options.handlers, ".cgi=/bin/sh -e", &why), 0);
	script("#!/bin/sh", "exit 0");
	begin_as("good");
	(void)start_when_ready();
	ck_assert(turn_until(loop, is_over, NULL));
	strcpy(path, temp_path("y.cgi"));
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		temp_write("y.cgi", 0644, lines[i].line);
		ck_assert_int_eq(stat(path, &info), 0);
		ck_assert_msg(preload_concerns(preload, path, &info, NULL) == lines[i].concerns, "%s",
		    lines[i].line);
		ck_assert((start(path, argv, no_environment, "/") != NULL) == (i < 2));
		ck_assert(turn_until(loop, is_over, NULL));
	}
}
END_TEST

/* One that had just changed when it was looked at may change again, and look the same. */
START_TEST(a_look_that_is_long_ago)
{
	const char *path = temp_path("y.cgi");
	struct preload_look look;

	begin_as("good");
	for (int age = 0; age < 10; age += 5) {
		temp_write("y.cgi", 0755, "#!/bin/sh\n");
		ck_assert_int_eq(stat(path, &look.info), 0);
		look.info.st_ctim.tv_sec -= 20;
		look.time = ((int64_t)look.info.st_ctim.tv_sec + age) * 1000;
		preload_look(preload, path, &look);
		ck_assert(look.executable);
		ck_assert(preload_concerns(preload, path, &look.info, &look));
		temp_write("y.cgi", 0755, "#!/bin/ca\n");
		ck_assert(preload_concerns(preload, path, &look.info, NULL) == (age > 0));
	}
}
END_TEST

/* More files than are remembered; what is kept of them is freed with them. */
START_TEST(many_files_with_words)
{
	char name[32];
	struct stat info;

	begin_as("good");
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof name, "%d", i % 1500);
		temp_write(name, 0755, i < 1500 ? "#!/bin/sh -e\n" : "#!/usr/bin/env -S sh -e -u\n");
		ck_assert_int_eq(stat(temp_path(name), &info), 0);
		(void)preload_concerns(preload, temp_path(name), &info, NULL);
	}
}
END_TEST

/* ---- what a preloader says ------------------------------------------------------------------ */

static const struct {
	const char *text;
	enum preload_outcome outcome;
	const char *log;
} said[] = {
    {"decline|%|it cannot", PRELOAD_EXEC, "not preloaded: it cannot"},
    {"decline|4711|it cannot", PRELOAD_EXEC, "broke the protocol: \"decline\" is wrong"},
    {"fail|%|dir|2", PRELOAD_FAILED, ""},
    {"fail|%|fork|11", PRELOAD_EXEC, ""},
    {"fail|%|limit|0", PRELOAD_EXEC, ""},
    {"fail|4711|dir|2", PRELOAD_EXEC, "\"fail\" is wrong"},
    {"stale|%", PRELOAD_EXEC, "has changed"},
    {"stale|0", PRELOAD_EXEC, "has changed"},
    {"stale|4711", PRELOAD_EXEC, "\"stale\" is wrong"},
    {"ready|1", PRELOAD_EXEC, "\"ready\" is wrong"},
    {"pong", PRELOAD_EXEC, "\"pong\" is wrong"},
    {"exit|4711|0|0", PRELOAD_EXEC, "did not start a script within"},
    {"start|4711|4711", PRELOAD_EXEC, "\"start\" is wrong"},
    {"nonsense-that-is-rather-long", PRELOAD_EXEC, "\"nonsense-that-i\" is wrong"},
};

START_TEST(an_answer)
{
	char as[256];
	const char *log;

	if (strstr(said[_i].log, "within") != NULL)
		times.answer = patience(500);
	script("#!/bin/sh", "exit 0");
	snprintf(as, sizeof as, "say '%s'", said[_i].text);
	capture_begin();
	begin_as(as);
	(void)start_when_ready();
	ck_assert(turn_until(loop, is_answered, NULL));
	turn_for(loop, 20);
	preload_stop(preload);
	log = capture_end();
	ck_assert_int_eq(answers, 1);
	ck_assert_int_eq(exits, 0);
	ck_assert_int_eq(answered.outcome, said[_i].outcome);
	ck_assert_msg(strstr(log, said[_i].log) != NULL, "%s", log);
}
END_TEST

/* The child leads no group: it cannot be the script. */
static const struct {
	const char *text;
	enum preload_outcome outcome;
} said_by_child[] = {
    {"start|%|4711", PRELOAD_LOST}, {"start|%|1", PRELOAD_LOST}, {"start|%|0", PRELOAD_LOST},
    {"start|4711|4711", PRELOAD_EXEC}, {"nonsense", PRELOAD_EXEC}};

START_TEST(what_a_child_says)
{
	char as[256];

	script("#!/bin/sh", "exit 0");
	snprintf(as, sizeof as, "child '%s'", said_by_child[_i].text);
	begin_as(as);
	(void)start_when_ready();
	ck_assert(turn_until(loop, is_answered, NULL));
	ck_assert_int_eq(answered.outcome, said_by_child[_i].outcome);
	ck_assert_int_eq(exits, 0);
}
END_TEST

START_TEST(what_comes_before_ready_is_wrong)
{
	times.ready = patience(500);
	capture_begin();
	begin_as("early pong");
	turn_for(loop, 300);
	ck_assert_ptr_nonnull(strstr(capture_end(), "\"pong\" is wrong"));
}
END_TEST

START_TEST(one_that_closes_its_socket)
{
	script("#!/bin/sh", "exit 0");
	begin_as("close");
	(void)start_when_ready();
	ck_assert(turn_until(loop, is_answered, NULL));
	ck_assert_int_eq(answered.outcome, PRELOAD_EXEC);
}
END_TEST

/* Its script goes on, and its end is noticed. */
START_TEST(one_that_ends_before_its_script)
{
	script("#!/bin/sh", "sleep 1");
	begin_as("leave");
	(void)start_when_ready();
	ck_assert(turn_until(loop, is_over, NULL));
	ck_assert_int_eq(answered.outcome, PRELOAD_STARTED);
	ck_assert_int_eq(exits, 1);
	ck_assert_int_eq(exit_status, 0);
}
END_TEST

START_TEST(an_end_that_is_none)
{
	const char *log;

	script("#!/bin/sh", "sleep 1");
	capture_begin();
	begin_as("lie");
	(void)start_when_ready();
	ck_assert(turn_until(loop, is_over, NULL));
	log = capture_end();
	ck_assert_int_eq(exits, 1);
	ck_assert_ptr_nonnull(strstr(log, "\"exit\" is wrong"));
}
END_TEST

static bool is_not_there(void *context)
{
	return kill(*(const pid_t *)context, 0) != 0;
}

START_TEST(one_that_is_stale_and_stays_is_ended)
{
	static const char *const moods[] = {"stay", "chat"};
	pid_t pid;

	script("#!/bin/sh", "exit 0");
	times.silence = 100;
	begin_as(moods[_i]);
	(void)start_when_ready();
	pid = atomic_load(scoreboard_preloader(board, 0, 0));
	ck_assert_int_gt(pid, 0);
	ck_assert(turn_until(loop, is_answered, NULL));
	ck_assert_int_eq(answered.outcome, PRELOAD_EXEC);
	ck_assert(turn_until(loop, is_not_there, &pid));
}
END_TEST

/* What does not fit into its socket is for exec. */
START_TEST(one_that_does_not_read)
{
	char *large = calloc(1, 100000);
	char *envp[] = {(char[]){"LANG=C"}, (char[]){"FIXED=1"}, large, NULL};
	char path[PATH_MAX];
	char *argv[] = {path, NULL};
	int sent = 1;

	memset(large, 'x', 99999);
	strcpy(path, script("#!/bin/sh", "exit 0"));
	begin_as("deaf");
	(void)start_when_ready();
	while (sent < SLOTS && start(path, argv, envp, "/") != NULL)
		sent++;
	ck_assert_int_lt(sent, SLOTS);
	preload_stop(preload);
	ck_assert_int_eq(answers, sent);
	free(large);
}
END_TEST

START_TEST(an_answer_that_is_too_long)
{
	char as[2048] = "say ";

	memset(as + strlen(as), 'x', 1500);
	script("#!/bin/sh", "exit 0");
	begin_as(as);
	(void)start_when_ready();
	ck_assert(turn_until(loop, is_answered, NULL));
	ck_assert_int_eq(answered.outcome, PRELOAD_EXEC);
}
END_TEST

START_TEST(one_that_ends_has_started_nothing)
{
	script("#!/bin/sh", "exit 0");
	begin_as("end");
	(void)start_when_ready();
	ck_assert(turn_until(loop, is_answered, NULL));
	ck_assert_int_eq(answered.outcome, PRELOAD_EXEC);
}
END_TEST

START_TEST(a_script_that_was_stopped_meanwhile_is_said_to_be)
{
	times.answer = 200;
	script("#!/bin/sh", "exit 0");
	begin_as("hang");
	child_terminate(start_when_ready());
	ck_assert(turn_until(loop, is_answered, NULL));
	ck_assert_int_eq(answered.outcome, PRELOAD_STOPPED);
}
END_TEST

START_TEST(at_the_end_nothing_is_waited_for)
{
	script("#!/bin/sh", "exit 0");
	begin_as("hang");
	(void)start_when_ready();
	preload_stop(preload);
	ck_assert_int_eq(answers, 1);
	ck_assert_int_eq(answered.outcome, PRELOAD_STOPPED);
}
END_TEST

/* A script that still runs belongs to the children. */
START_TEST(at_the_end_a_script_is_left)
{
	script("#!/bin/sh", "sleep 60");
	begin_as("good");
	(void)start_when_ready();
	ck_assert(turn_until(loop, is_answered, NULL));
	ck_assert_int_eq(answered.outcome, PRELOAD_STARTED);
}
END_TEST

/* ---- those that hang, and those that do not start ----------------------------------------- */

START_TEST(one_that_reports_no_end)
{
	const char *log;

	times.answer = patience(500); /* and a look each time */
	times.silence = patience(1200);
	script("#!/bin/sh", "exit 3");
	capture_begin();
	begin_as("mute");
	do { /* it may take longer than it may, on a busy machine */
		answers = 0;
		(void)start_when_ready();
		ck_assert(turn_until(loop, is_answered, NULL));
	} while (answered.outcome != PRELOAD_STARTED);
	ck_assert(turn_until(loop, is_over, NULL));
	preload_stop(preload);
	log = capture_end();
	ck_assert_int_eq(exits, 1);
	ck_assert_int_eq(exit_status, 0); /* nobody knows it */
	ck_assert_msg(strstr(log, "did not report the end") != NULL ||
	    strstr(log, "did not answer within") != NULL, "%s", log);
}
END_TEST

static bool are_given_up(void *context)
{
	(void)context;
	return capture_has("the last 3 ended before");
}

static const char *const never_ready[] = {"/none/such", "(this one)", "/bin/true"};

START_TEST(three_that_start_nothing_are_the_last)
{
	times.ready = 50;
	options.preload_learn = true;
	capture_begin();
	if (_i == 1)
		begin_as("unready");
	else
		begin(never_ready[_i]);
	ck_assert(turn_until(loop, are_given_up, NULL));
	(void)capture_end();
	ck_assert_uint_eq(tally_count(scoreboard_tally(board, 0), TALLY_PRELOADERS), 2);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_script_runs_and_its_status_comes_back);
	tcase_add_test(tcase, a_dropped_script_is_not_answered_for);
	tcase_add_test(tcase, what_does_not_fit);
	tcase_add_test(tcase, a_handler_counts_for_a_script_without_words);
	tcase_add_test(tcase, a_look_that_is_long_ago);
	tcase_add_test(tcase, many_files_with_words);
	tcase_add_loop_test(tcase, an_answer, 0, sizeof said / sizeof *said);
	tcase_add_loop_test(tcase, what_a_child_says, 0, sizeof said_by_child / sizeof *said_by_child);
	tcase_add_test(tcase, what_comes_before_ready_is_wrong);
	tcase_add_test(tcase, one_that_closes_its_socket);
	tcase_add_test(tcase, one_that_ends_before_its_script);
	tcase_add_test(tcase, an_end_that_is_none);
	tcase_add_loop_test(tcase, one_that_is_stale_and_stays_is_ended, 0, 2);
	tcase_add_test(tcase, one_that_does_not_read);
	tcase_add_test(tcase, an_answer_that_is_too_long);
	tcase_add_test(tcase, one_that_ends_has_started_nothing);
	tcase_add_test(tcase, a_script_that_was_stopped_meanwhile_is_said_to_be);
	tcase_add_test(tcase, at_the_end_nothing_is_waited_for);
	tcase_add_test(tcase, at_the_end_a_script_is_left);
	tcase_add_test(tcase, one_that_reports_no_end);
	tcase_add_loop_test(tcase, three_that_start_nothing_are_the_last, 0, 3);
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "preloader") == 0) {
		mood = argv[2];
		be_preloader(argc > 3 ? argv[3] : "");
	}
	if (realpath(argv[0], self) == NULL)
		return 1;
	return check_main("preload", add);
}
