/* SPDX-License-Identifier: ISC */
/*
 * handover: writing and reading the variable.
 */
#include "daemon/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char variable[] = "CGIBRIDGE_HANDOVER";

/* ---- reading -------------------------------------------------------------------- */

/*
 * Reads the `count` numbers after `word` at the start of `line`; returns the text after them
 * and a blank, or NULL if they are not all there.
 */
static const char *read_numbers(const char *line, const char *word, long *numbers, int count)
{
	size_t len = strlen(word);

	if (strncmp(line, word, len) != 0)
		return NULL;
	line += len;
	for (int i = 0; i < count; i++) {
		char *end;

		errno = 0;
		numbers[i] = strtol(line, &end, 10);
		if (end == line || line[0] != ' ' || errno != 0 || numbers[i] < INT_MIN ||
		    numbers[i] > INT_MAX)
			return NULL;
		line = end;
	}
	return line + (*line == ' ');
}

static void add_worker(struct handover *handover, const char *line)
{
	long numbers[2];

	if (read_numbers(line, "worker", numbers, 2) != NULL && numbers[0] > 1 &&
	    handover->worker_count < HANDOVER_WORKERS)
		handover->workers[handover->worker_count++] =
		    (struct handover_worker){(pid_t)numbers[0], (int)numbers[1]};
}

static void add_socket(struct handover *handover, const char *line)
{
	long fd;
	const char *name = read_numbers(line, "socket", &fd, 1);

	if (name != NULL && *name != '\0' && fd > STDERR_FILENO &&
	    handover->socket_count < HANDOVER_SOCKETS)
		handover->sockets[handover->socket_count++] =
		    (struct handover_socket){.fd = (int)fd, .name = name};
}

/* Reads a number and the blank before it; device and inode may need all bits of it. */
static bool read_unsigned(const char **line, unsigned long long *number)
{
	char *end;

	errno = 0;
	*number = strtoull(*line, &end, 10);
	if (end == *line || **line != ' ' || errno != 0)
		return false;
	*line = end;
	return true;
}

static void add_file(struct handover *handover, const char *line)
{
	const char *word = "file";
	unsigned long long fd;
	unsigned long long dev;
	unsigned long long ino;

	if (strncmp(line, word, strlen(word)) != 0)
		return;
	line += strlen(word);
	if (!read_unsigned(&line, &fd) || !read_unsigned(&line, &dev) || !read_unsigned(&line, &ino))
		return;
	for (size_t i = 0; i < handover->socket_count; i++) {
		struct handover_socket *socket = &handover->sockets[i];

		if ((unsigned long long)socket->fd != fd)
			continue;
		socket->has_file = true;
		socket->dev = (dev_t)dev;
		socket->ino = (ino_t)ino;
	}
}

static void read_board(struct scoreboard_share *board, const char *line)
{
	long numbers[6];

	if (read_numbers(line, "board", numbers, 6) == NULL)
		return;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (numbers[i] < 0)
			return;
	*board = (struct scoreboard_share){.fd = (int)numbers[0],
	    .wake = {(int)numbers[1], (int)numbers[2]},
	    .workers = (int)numbers[3],
	    .scripts = (int)numbers[4],
	    .layout = (unsigned)numbers[5]};
}

static void read_lifeline(struct handover *handover, const char *line)
{
	long numbers[2];

	if (read_numbers(line, "lifeline", numbers, 2) == NULL)
		return;
	handover->lifeline.stop[0] = (int)numbers[0];
	handover->lifeline.stop[1] = (int)numbers[1];
}

static void read_drain(struct handover *handover, const char *line)
{
	long numbers[2];

	if (read_numbers(line, "drain", numbers, 2) == NULL || numbers[1] < 0)
		return;
	handover->lifeline.drain[1] = (int)numbers[0];
	handover->drain_time = numbers[1];
}

static void read_syslog(struct handover *handover, const char *line)
{
	long facility;
	const char *path = read_numbers(line, "syslog", &facility, 1);

	if (path == NULL || *path != '/')
		return;
	handover->syslog = (int)facility;
	handover->syslog_socket = path;
}

static enum handover_role role_of(long pid)
{
	if (pid == (long)getpid())
		return HANDOVER_HEIR;
	return pid == (long)getppid() ? HANDOVER_TRIAL : HANDOVER_NONE;
}

static void read_lines(struct handover *handover)
{
	char *next = handover->text;
	char *line;
	long pid = -1;

	while ((line = strtok_r(next, "\n", &next)) != NULL) {
		(void)read_numbers(line, "pid", &pid, 1);
		read_lifeline(handover, line);
		read_drain(handover, line);
		read_syslog(handover, line);
		read_board(&handover->board, line);
		add_worker(handover, line);
		add_socket(handover, line);
		add_file(handover, line);
	}
	if (handover->lifeline.stop[0] >= 0 && handover->lifeline.stop[1] >= 0)
		handover->role = role_of(pid);
}

void handover_init(struct handover *handover)
{
	*handover = (struct handover){.lifeline = {{-1, -1}, {-1, -1}},
	    .drain_time = -1,
	    .board = {.fd = -1}};
}

void handover_fini(struct handover *handover)
{
	free(handover->text);
	free(handover->workers);
	free(handover->sockets);
	*handover = (struct handover){.role = HANDOVER_NONE};
}

int handover_take(struct handover *handover)
{
	const char *value = getenv(variable);

	handover_init(handover);
	if (value == NULL)
		return 0;
	handover->text = strdup(value);
	handover->workers = calloc(HANDOVER_WORKERS, sizeof *handover->workers);
	handover->sockets = calloc(HANDOVER_SOCKETS, sizeof *handover->sockets);
	if (handover->text == NULL || handover->workers == NULL || handover->sockets == NULL) {
		handover_fini(handover);
		errno = ENOMEM;
		return -1;
	}
	unsetenv(variable);
	read_lines(handover);
	return 0;
}

struct handover_socket *handover_socket(struct handover *handover, const char *name)
{
	for (size_t i = 0; i < handover->socket_count; i++)
		if (handover->sockets[i].fd >= 0 && strcmp(handover->sockets[i].name, name) == 0)
			return &handover->sockets[i];
	return NULL;
}

void handover_give_back(struct handover *handover, const char *name, int fd)
{
	for (size_t i = 0; i < handover->socket_count; i++) {
		struct handover_socket *socket = &handover->sockets[i];

		if (socket->fd >= 0 || strcmp(socket->name, name) != 0)
			continue;
		socket->fd = fd;
		return;
	}
}

void handover_close_sockets(struct handover *handover)
{
	for (size_t i = 0; i < handover->socket_count; i++) {
		if (handover->sockets[i].fd >= 0)
			close(handover->sockets[i].fd);
		handover->sockets[i].fd = -1;
	}
}

/* ---- writing -------------------------------------------------------------------- */

static void write_socket(const struct handover_socket *socket, FILE *out)
{
	fprintf(out, "socket %d %s\n", socket->fd, socket->name);
	if (socket->has_file)
		fprintf(out, "file %d %llu %llu\n", socket->fd, (unsigned long long)socket->dev,
		    (unsigned long long)socket->ino);
}

static void write_lines(const struct handover *handover, pid_t pid, FILE *out)
{
	const struct scoreboard_share *board = &handover->board;
	const struct lifeline *lifeline = &handover->lifeline;

	fprintf(out, "pid %ld\nlifeline %d %d\n", (long)pid, lifeline->stop[0], lifeline->stop[1]);
	if (handover->drain_time >= 0)
		fprintf(out, "drain %d %lld\n", lifeline->drain[1],
		    (long long)(handover->drain_time < INT_MAX ? handover->drain_time : INT_MAX));
	if (handover->syslog != 0)
		fprintf(out, "syslog %d %s\n", handover->syslog, handover->syslog_socket);
	if (board->fd >= 0)
		fprintf(out, "board %d %d %d %d %d %u\n", board->fd, board->wake[0], board->wake[1],
		    board->workers, board->scripts, board->layout);
	for (size_t i = 0; i < handover->worker_count; i++)
		fprintf(out, "worker %ld %d\n", (long)handover->workers[i].pid,
		    handover->workers[i].number);
	for (size_t i = 0; i < handover->socket_count; i++)
		write_socket(&handover->sockets[i], out);
}

int handover_give(const struct handover *handover, pid_t pid)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int failed = -1;

	if (out == NULL)
		return -1;
	write_lines(handover, pid, out);
	if (fclose(out) == 0)
		failed = setenv(variable, text, 1);
	free(text);
	return failed;
}

void handover_withdraw(void)
{
	unsetenv(variable);
}

static int keep_one(int fd, bool keep)
{
	return fd < 0 ? 0 : fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

int handover_keep(const struct handover *handover, bool keep)
{
	const struct scoreboard_share *board = &handover->board;
	int failed = 0;

	for (int end = 0; end < 2; end++) {
		failed |= keep_one(handover->lifeline.stop[end], keep);
		if (board->fd >= 0)
			failed |= keep_one(board->wake[end], keep);
	}
	failed |= keep_one(handover->lifeline.drain[1], keep);
	failed |= keep_one(board->fd, keep);
	for (size_t i = 0; i < handover->socket_count; i++)
		failed |= keep_one(handover->sockets[i].fd, keep);
	return failed;
}
