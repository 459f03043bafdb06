/* SPDX-License-Identifier: ISC */
/*
 * doctor_run: one run of the script, followed to its end.
 *
 * A local run is started as cgibridge starts it: in its directory, leading a process group,
 * with only the parameters of a request and a service's PATH in its environment.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "fcgi/fcgi.h"
#include "fcgiget/client.h"
#include "fcgiget/dial.h"
#include "fcgiget/doctor_private.h"
#include "fcgiget/fcgiget_params.h"
#include "fcgiget/upload.h"

enum {
	STEP = 20,        /* ms between checks for the exit */
	LINGER = 2000,    /* ms that output may follow the exit */
	BODY_MAX = 4 << 20,
	READ_SIZE = 16 * 1024,
};

/* ---- its output ---------------------------------------------------------------- */

void doctor_run_init(struct doctor_run *run)
{
	*run = (struct doctor_run){.end = DOCTOR_ENDED};
	answer_init(&run->answer);
}

void doctor_run_fini(struct doctor_run *run)
{
	answer_fini(&run->answer);
}

static void keep(struct doctor_text *text, const void *bytes, size_t len)
{
	size_t room = DOCTOR_KEPT_MAX - text->len;
	size_t some = len < room ? len : room;

	memcpy(text->bytes + text->len, bytes, some);
	text->len += some;
	text->all += len;
}

void doctor_run_output(struct doctor_run *run, const void *bytes, size_t len)
{
	ssize_t head = 0;

	keep(&run->output, bytes, len);
	if (run->answer.status == 0 && run->answer_error == 0) {
		head = answer_read_header(&run->answer, bytes, len);
		if (head < 0)
			run->answer_error = errno;
	}
	if (run->answer.status > 0)
		run->body += len - (size_t)head;
}

void doctor_run_errors(struct doctor_run *run, const void *bytes, size_t len)
{
	keep(&run->errors, bytes, len);
}

/* ---- here ---------------------------------------------------------------------- */

/* A list of "NAME=VALUE" strings, all in one allocation: free() it.  NULL with errno. */
static char **make_environment(const struct buf *params)
{
	static const char path[] =
	    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	size_t most = buf_len(params) / 2 + 2; /* a pair has at least two bytes */
	size_t size = most * sizeof(char *) + buf_len(params) + sizeof path;
	char **list = malloc(size);
	const unsigned char *at = buf_bytes(params);
	size_t left = buf_len(params);
	struct fcgi_pair pair;
	size_t count = 0;
	size_t n;
	char *text;

	if (list == NULL)
		return NULL;
	text = (char *)(list + most);
	list[count++] = memcpy(text, path, sizeof path);
	text += sizeof path;
	for (; (n = fcgi_get_pair(at, left, &pair)) > 0; at += n, left -= n) {
		list[count++] = text;
		memcpy(text, pair.name, pair.name_len);
		text += pair.name_len;
		*text++ = '=';
		memcpy(text, pair.value, pair.value_len);
		text += pair.value_len;
		*text++ = '\0';
	}
	list[count] = NULL;
	return list;
}

/* The script's process, and this side of its streams. */
struct process {
	pid_t pid;
	int fds[2]; /* its output, its errors; -1 past the end */
};

static int spawn(struct process *process, const struct doctor *doctor, char *const *envp,
    struct sys_fault *fault)
{
	const char *slash = strrchr(doctor->path, '/');
	char directory[PATH_MAX];
	char path[PATH_MAX];
	char *argv[] = {path, NULL};
	int out[2] = {-1, -1};
	int err[2] = {-1, -1};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct sys_program program = {
	    .path = path, .argv = argv, .envp = envp, .dir = directory};

	snprintf(path, sizeof path, "%s", doctor->path);
	snprintf(directory, sizeof directory, "%.*s",
	    slash == doctor->path ? 1 : (int)(slash - doctor->path), doctor->path);
	*fault = (struct sys_fault){.step = SYS_STEP_FORK};
	process->pid = -1;
	if (null >= 0 && sys_pipe(out, SYS_PIPE_READ) == 0 && sys_pipe(err, SYS_PIPE_READ) == 0) {
		program.stdio[0] = null;
		program.stdio[1] = out[1];
		program.stdio[2] = err[1];
		process->pid = sys_spawn(&program, fault);
	} else {
		fault->error = errno;
	}
	process->fds[0] = out[0];
	process->fds[1] = err[0];
	close(null);
	close(out[1]);
	close(err[1]);
	return process->pid < 0 ? -1 : 0;
}

static void read_stream(struct doctor_run *run, struct process *process, int which)
{
	char bytes[READ_SIZE];
	ssize_t n = read(process->fds[which], bytes, sizeof bytes);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close(process->fds[which]);
		process->fds[which] = -1;
	} else if (which == 0) {
		doctor_run_output(run, bytes, (size_t)n);
	} else {
		doctor_run_errors(run, bytes, (size_t)n);
	}
}

/* Reads the output that arrives within STEP. */
static void read_streams(struct doctor_run *run, struct process *process)
{
	struct pollfd fds[2] = {{.fd = process->fds[0], .events = POLLIN},
	    {.fd = process->fds[1], .events = POLLIN}};

	if (poll(fds, 2, STEP) <= 0)
		return;
	for (int i = 0; i < 2; i++)
		if (fds[i].revents != 0)
			read_stream(run, process, i);
}

static uint32_t status_of(int status)
{
	return (uint32_t)(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* Follows it until it has exited and its output has ended, or its time is up. */
static void watch(struct doctor_run *run, struct process *process, int64_t timeout)
{
	int64_t begun = clock_ms();
	int64_t exited = -1;
	int status = 0;

	while (exited < 0 || process->fds[0] >= 0) {
		int64_t now;

		read_streams(run, process);
		now = clock_ms();
		if (exited < 0 && waitpid(process->pid, &status, WNOHANG) == process->pid)
			exited = now;
		if (exited < 0 && now - begun >= timeout) {
			run->end = DOCTOR_TIMED_OUT;
			kill(-process->pid, SIGKILL);
			kill(process->pid, SIGKILL); /* in case it has left its group */
			waitpid(process->pid, &status, 0);
			exited = now;
			break;
		}
		if (exited >= 0 && process->fds[0] >= 0 && now - exited >= LINGER) {
			run->end = DOCTOR_HELD;
			kill(-process->pid, SIGKILL);
			break;
		}
	}
	run->time = exited - begun;
	run->app_status = status_of(status);
}

int doctor_run_here(struct doctor_run *run, const struct doctor *doctor)
{
	struct process process;
	struct buf params;
	char **envp = NULL;

	run->local = true;
	buf_init(&params, FCGIGET_PARAMS_MAX);
	if (fcgiget_params_put(&params, doctor->options, 0) == 0)
		envp = make_environment(&params);
	buf_fini(&params);
	if (envp == NULL)
		return -1;
	if (spawn(&process, doctor, envp, &run->fault) == 0) {
		watch(run, &process, doctor->options->timeout);
		read_streams(run, &process); /* the rest of its standard error */
	} else {
		run->end = DOCTOR_NOT_BEGUN;
		run->error = run->fault.error;
	}
	for (int i = 0; i < 2; i++)
		if (process.fds[i] >= 0)
			close(process.fds[i]);
	free(envp);
	return 0;
}

/* ---- there --------------------------------------------------------------------- */

static void on_output(struct client *c, void *context, const unsigned char *bytes, size_t len)
{
	(void)c;
	doctor_run_output(context, bytes, len);
}

static void on_errors(struct client *c, void *context, const unsigned char *bytes, size_t len)
{
	(void)c;
	doctor_run_errors(context, bytes, len);
}

static void exchange(struct doctor_run *run, struct client *client, int64_t deadline)
{
	while (client->state == CLIENT_OPEN) {
		struct pollfd poll_fd = {.fd = client->fd, .events = client_interest(client, 1)};
		int64_t left = deadline - clock_ms();

		if (left <= 0) {
			run->end = DOCTOR_TIMED_OUT;
			return;
		}
		if (poll(&poll_fd, 1, left > 1000 ? 1000 : (int)left) > 0)
			client_ready(client, poll_fd.revents, 1);
	}
	if (client->state == CLIENT_FAILED)
		run->end = DOCTOR_BROKEN_OFF;
	snprintf(run->why_text, sizeof run->why_text, "%s", client->error);
	run->app_status = client->app_status;
	run->protocol_status = client->protocol_status;
}

/* Sends the request over `fd` and takes the answer.  0, or -1 with errno. */
static int ask(struct doctor_run *run, const struct doctor *doctor, int fd, int64_t deadline)
{
	const struct client_sink sink = {
	    .output = on_output, .errors = on_errors, .context = run};
	struct client client;
	struct buf params;
	struct buf body;
	int failed;

	buf_init(&body, BODY_MAX);
	buf_init(&params, FCGIGET_PARAMS_MAX);
	failed = upload_all(doctor->options->data, &body) != 0 ||
	    fcgiget_params_put(&params, doctor->options, (off_t)buf_len(&body)) != 0;
	if (!failed) {
		client_init(&client, fd, &sink);
		client_request(&client, 0, &params);
		if (buf_len(&body) > 0)
			client_send(&client, buf_bytes(&body), buf_len(&body));
		client_send(&client, NULL, 0);
		exchange(run, &client, deadline);
		client_fini(&client);
	}
	buf_fini(&params);
	buf_fini(&body);
	return failed ? -1 : 0;
}

int doctor_run_there(struct doctor_run *run, const struct doctor *doctor)
{
	int64_t begun = clock_ms();
	int64_t deadline = begun + doctor->options->timeout;
	int fd = dial_connect(&doctor->options->server, deadline);
	int failed;

	if (fd < 0) {
		run->end = DOCTOR_NOT_BEGUN;
		run->error = errno;
		return 0;
	}
	failed = ask(run, doctor, fd, deadline);
	run->time = clock_ms() - begun;
	close(fd);
	return failed;
}
