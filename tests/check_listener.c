/* SPDX-License-Identifier: ISC */
/*
 * check_listener: sockets that are opened, their files, and sockets that are inherited.
 */
#include "check_util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/inherited.h"
#include "daemon/listener.h"
#include "base/log.h"
#include "base/sys.h"

static struct options options;
static struct handover no_handover = {.role = HANDOVER_NONE};
static struct listeners listeners;
static char url[2][300];
static struct address addresses[2];

static void setup(void)
{
	temp_make();
	memset(&options, 0, sizeof options);
	memset(&listeners, 0, sizeof listeners);
	options.socket_mode = 0660;
	options.socket_owner = (struct value_owner){(uid_t)-1, (gid_t)-1};
	options.backlog = 16;
	snprintf(url[0], sizeof url[0], "unix:%s", temp_path("a.sock"));
	options.sockets = (struct value_sockets){addresses, 1};
}

static void teardown(void)
{
	listeners_unlink(&listeners);
	listeners_close(&listeners);
	temp_remove();
}

static const char *path_of(int number)
{
	return url[number] + 5;
}

/* Opens; what was logged meanwhile is in `said`. */
static const char *said;

static enum listener_failure open_all(void)
{
	enum listener_failure result;
	struct fault why;

	for (size_t i = 0; i < options.sockets.count; i++)
		ck_assert_int_eq(address_parse(url[i], &addresses[i], &why), 0);
	capture_begin();
	result = listeners_open(&listeners, &options, &no_handover);
	said = capture_end();
	return result;
}

static int unix_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	ck_assert_uint_lt(strlen(path), sizeof un.sun_path);
	memcpy(un.sun_path, path, strlen(path) + 1);
	return un;
}

/* Whether somebody accepts at `path`. */
static bool answers(const char *path)
{
	struct sockaddr_un un = address_of(path);
	int fd = unix_socket();
	bool yes = connect(fd, (struct sockaddr *)&un, sizeof un) == 0;

	close(fd);
	return yes;
}

static int listen_at(const char *path)
{
	struct sockaddr_un un = address_of(path);
	int fd = unix_socket();

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

static bool exists(const char *path)
{
	struct stat info;

	return lstat(path, &info) == 0;
}

static int count_files(void)
{
	int count = 0;
	char command[400];
	FILE *out;

	snprintf(command, sizeof command, "ls -A '%s' | wc -l", temp_dir());
	out = popen(command, "r");
	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(fscanf(out, "%d", &count), 1);
	pclose(out);
	return count;
}

/* ---- socket files ----------------------------------------------------------------------- */

START_TEST(a_unix_socket_is_made_with_its_mode)
{
	static const int modes[] = {0660, 0600, 0666, 0777, 0};

	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		struct stat info;
		mode_t before = umask(0077); /* counts for nothing */

		options.socket_mode = modes[i];
		ck_assert_int_eq(open_all(), LISTENER_OK);
		umask(before);
		ck_assert_uint_eq(listeners.count, 1);
		ck_assert(listeners.items[0].fd >= 3);
		ck_assert_str_eq(listeners.items[0].path, path_of(0));
		ck_assert_int_eq(lstat(path_of(0), &info), 0);
		ck_assert(S_ISSOCK(info.st_mode));
		ck_assert_uint_eq(info.st_mode & 07777, (unsigned)modes[i]);
		ck_assert_int_eq(count_files(), 1); /* no other name is left */
		listeners_unlink(&listeners);
		ck_assert(!exists(path_of(0)));
		listeners_close(&listeners);
	}
}
END_TEST

START_TEST(the_umask_is_left_alone)
{
	mode_t before = umask(0027);

	ck_assert_int_eq(open_all(), LISTENER_OK);
	ck_assert_uint_eq(umask(before), 0027);
}
END_TEST

START_TEST(descriptors_are_closed_on_exec_and_do_not_block)
{
	int fd;

	ck_assert_int_eq(open_all(), LISTENER_OK);
	fd = listeners.items[0].fd;
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ck_assert_int_eq(accept(fd, NULL, NULL), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert(answers(path_of(0)));
}
END_TEST

START_TEST(an_owner_is_set)
{
	struct stat info;

	if (getuid() != 0)
		return; /* only root can give files away */
	options.socket_owner = (struct value_owner){1, 2};
	ck_assert_int_eq(open_all(), LISTENER_OK);
	ck_assert_int_eq(lstat(path_of(0), &info), 0);
	ck_assert_uint_eq(info.st_uid, 1);
	ck_assert_uint_eq(info.st_gid, 2);
}
END_TEST

START_TEST(a_stale_socket_is_replaced)
{
	close(listen_at(path_of(0)));
	ck_assert(exists(path_of(0)));
	ck_assert(!answers(path_of(0)));
	ck_assert_int_eq(open_all(), LISTENER_OK);
	ck_assert(answers(path_of(0)));
}
END_TEST

START_TEST(a_socket_whose_server_hangs_is_refused_at_once)
{
	struct sockaddr_un un = address_of(path_of(0));
	int other = listen_at(path_of(0));
	int waiting[64];
	size_t count = 0;

	do {
		waiting[count] = unix_socket();
		ck_assert_int_eq(sys_nonblock(waiting[count]), 0);
	} while (connect(waiting[count++], (struct sockaddr *)&un, sizeof un) == 0 && count < 64);
	ck_assert_uint_lt(count, 64); /* the backlog is full */
	ck_assert_int_eq(open_all(), LISTENER_FAILED);
	ck_assert_ptr_nonnull(strstr(said, "another process is serving it"));
	ck_assert(exists(path_of(0)));
	while (count > 0)
		close(waiting[--count]);
	close(other);
}
END_TEST

START_TEST(a_live_socket_is_refused_and_left_alone)
{
	int other = listen_at(path_of(0));
	int fds = count_fds();

	ck_assert_int_eq(open_all(), LISTENER_FAILED);
	ck_assert_ptr_nonnull(strstr(said, path_of(0)));
	ck_assert_ptr_nonnull(strstr(said, "another process is serving it"));
	ck_assert(answers(path_of(0)));
	ck_assert_int_eq(count_fds(), fds);
	ck_assert_uint_eq(listeners.count, 0);
	close(other);
}
END_TEST

START_TEST(a_file_that_is_no_socket_is_refused_and_left_alone)
{
	temp_write("a.sock", 0644, "precious");
	ck_assert_int_eq(open_all(), LISTENER_FAILED);
	ck_assert_ptr_nonnull(strstr(said, "not a socket"));
	ck_assert(exists(path_of(0)));
	ck_assert_int_eq(count_files(), 1);
}
END_TEST

/* Opens url[0] as nobody, if we are root; the lines are in `said`. */
static int open_as_nobody(void)
{
	if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
		return 1;
	return listeners_open(&listeners, &options, &no_handover) == LISTENER_FAILED ? 0 : 2;
}

static void fail_as_nobody(void)
{
	struct fault why;
	pid_t pid;

	ck_assert_int_eq(address_parse(url[0], &addresses[0], &why), 0);
	capture_begin();
	pid = fork();
	if (pid == 0)
		_exit(open_as_nobody());
	ck_assert_int_eq(wait_for(pid), 0);
	said = capture_end();
}

START_TEST(a_directory_that_is_not_there_is_named)
{
	char wanted[300];

	snprintf(url[0], sizeof url[0], "unix:%s", temp_path("none/a.sock"));
	ck_assert_int_eq(open_all(), LISTENER_FAILED);
	snprintf(wanted, sizeof wanted, "/none/a.sock: the directory %s does not exist: create it",
	    temp_path("none"));
	ck_assert_ptr_nonnull(strstr(said, wanted));
	temp_write("file", 0644, "");
	snprintf(url[0], sizeof url[0], "unix:%s", temp_path("file/a.sock"));
	ck_assert_int_eq(open_all(), LISTENER_FAILED);
	ck_assert_ptr_nonnull(strstr(said, "/file is not a directory"));
}
END_TEST

START_TEST(what_one_may_not_has_a_cure)
{
	temp_mkdir("closed");
	snprintf(url[0], sizeof url[0], "unix:%s", temp_path("closed/a.sock"));
	ck_assert_int_eq(chmod(temp_path("closed"), 0500), 0);
	ck_assert_int_eq(chmod(temp_dir(), 0755), 0);
	fail_as_nobody();
	ck_assert_ptr_nonnull(strstr(said, "cannot create files in /"));
	ck_assert_ptr_nonnull(strstr(said, "/closed: Permission denied (start it as root, with --user"));
	ck_assert_int_eq(chmod(temp_path("closed"), 0777), 0);
	options.socket_owner = (struct value_owner){1, (gid_t)-1};
	fail_as_nobody();
	ck_assert_ptr_nonnull(strstr(said, "only root can give it the owner"));
}
END_TEST

START_TEST(a_file_is_described)
{
	char owner[100];
	char wanted[110];
	struct stat info;

	options.socket_mode = 0604;
	ck_assert_int_eq(open_all(), LISTENER_OK);
	ck_assert_int_eq(lstat(path_of(0), &info), 0);
	identity_owner_text(info.st_uid, info.st_gid, owner, sizeof owner);
	snprintf(wanted, sizeof wanted, " (%s 0604)", owner);
	ck_assert_str_eq(listeners.items[0].about, wanted);
	if (getuid() == 0)
		ck_assert_str_eq(wanted, " (root:root 0604)");
}
END_TEST

START_TEST(only_our_own_file_is_removed)
{
	int other;

	ck_assert_int_eq(open_all(), LISTENER_OK);
	ck_assert_int_eq(unlink(path_of(0)), 0);
	other = listen_at(path_of(0)); /* another bridge has taken over */
	listeners_unlink(&listeners);
	ck_assert(exists(path_of(0)));
	ck_assert(answers(path_of(0)));
	listeners_close(&listeners);
	close(other);
}
END_TEST

START_TEST(removing_twice_removes_once)
{
	int other;

	ck_assert_int_eq(open_all(), LISTENER_OK);
	listeners_unlink(&listeners);
	ck_assert(!exists(path_of(0)));
	other = listen_at(path_of(0));
	listeners_unlink(&listeners);
	ck_assert(exists(path_of(0)));
	close(other);
}
END_TEST

START_TEST(all_or_none_are_opened)
{
	int fds = count_fds();

	snprintf(url[1], sizeof url[1], "unix:%s", temp_path("none/b.sock"));
	options.sockets.count = 2;
	ck_assert_int_eq(open_all(), LISTENER_FAILED);
	ck_assert(!exists(path_of(0)));
	ck_assert_uint_eq(listeners.count, 0);
	ck_assert_int_eq(count_fds(), fds);
}
END_TEST

START_TEST(the_longest_path_is_served_or_refused_and_not_cut)
{
	size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	size_t dir = strlen(temp_dir());

	snprintf(url[0], sizeof url[0], "unix:%s/", temp_dir());
	memset(url[0] + 5 + dir + 1, 's', most - dir - 1);
	url[0][5 + most] = '\0';
	ck_assert_int_eq(open_all(), LISTENER_OK);
	ck_assert(exists(path_of(0)));
	ck_assert(answers(path_of(0)));
}
END_TEST

/* ---- other sockets ---------------------------------------------------------------------------- */

START_TEST(an_abstract_socket)
{
	snprintf(url[0], sizeof url[0], "unix:@cgibridge-check-%ld", (long)getpid());
	ck_assert_int_eq(open_all(), LISTENER_OK);
	ck_assert_ptr_null(listeners.items[0].path);
	listeners_unlink(&listeners);
	ck_assert_int_eq(count_files(), 0);
}
END_TEST

START_TEST(an_inherited_socket_is_called_by_its_address)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char text[ADDRESS_URL_MAX], expected[ADDRESS_URL_MAX];
	int len = snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "cgibridge-check-%ld", (long)getpid());

	snprintf(expected, sizeof expected, "inherited socket %d (unix:@%s)", fd, un.sun_path + 1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) + (socklen_t)len), 0);
	inherited_text(fd, text);
	ck_assert_str_eq(text, expected);
	close(fd);
	inherited_text(999, text);
	ck_assert_str_eq(text, "inherited socket 999");
}
END_TEST

/* A listening TCP socket; its port is in `*port`. */
static int listen_tcp(unsigned *port)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	socklen_t len = sizeof in;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	*port = ntohs(in.sin_port);
	return fd;
}

START_TEST(a_tcp_socket_and_a_taken_port)
{
	unsigned port;
	int fd = listen_tcp(&port);

	snprintf(url[0], sizeof url[0], "tcp:127.0.0.1:%u", port);
	ck_assert_int_eq(open_all(), LISTENER_FAILED);
	ck_assert_ptr_nonnull(strstr(said, url[0]));
	ck_assert_ptr_nonnull(strstr(said, "in use"));
	close(fd);
	ck_assert_int_eq(open_all(), LISTENER_OK); /* at once: the old one lingers nowhere */
	ck_assert_str_eq(listeners.items[0].name, url[0]);
	ck_assert_ptr_null(listeners.items[0].path);
}
END_TEST

START_TEST(a_descriptor_that_is_given_is_taken_over)
{
	unsigned port;
	int fd = listen_tcp(&port);

	snprintf(url[0], sizeof url[0], "fd:%d", fd);
	ck_assert_int_eq(open_all(), LISTENER_OK);
	ck_assert_int_eq(listeners.items[0].fd, fd);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	listeners_close(&listeners);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

START_TEST(a_descriptor_that_does_not_listen_is_refused)
{
	int fd = unix_socket();

	snprintf(url[0], sizeof url[0], "fd:%d", fd);
	ck_assert_int_eq(open_all(), LISTENER_FAILED);
	ck_assert_ptr_nonnull(strstr(said, "not a listening socket"));
	snprintf(url[0], sizeof url[0], "fd:%d", 200);
	ck_assert_int_eq(open_all(), LISTENER_FAILED);
	close(fd);
}
END_TEST

/* ---- names, which may mean something else the next time --------------------------------------- */

static struct addrinfo answer;
static struct sockaddr_in answered;
static int lookups;

/* In place of libc's: each look-up of a name finds the next address of loopback. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
    struct addrinfo **found)
{
	(void)host;
	(void)hints;
	answered.sin_family = AF_INET;
	answered.sin_port = htons((uint16_t)atoi(port));
	answered.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (unsigned)lookups++);
	answer.ai_addr = (struct sockaddr *)&answered;
	answer.ai_addrlen = sizeof answered;
	*found = &answer;
	return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
	(void)found;
}

static unsigned free_port(void)
{
	unsigned port;

	close(listen_tcp(&port));
	return port;
}

/* Which address of loopback, from 1 on, a socket is bound to. */
static unsigned bound_to(int fd)
{
	struct sockaddr_in in;
	socklen_t len = sizeof in;

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	return ntohl(in.sin_addr.s_addr) - INADDR_LOOPBACK + 1;
}

/* With the real options, from the command line to the socket. */
START_TEST(a_host_is_looked_up_once)
{
	const char *argv[] = {"cgibridge", "-s", url[0], NULL};
	struct options_fault fault;
	struct options real;

	snprintf(url[0], sizeof url[0], "tcp:app.example:%u", free_port());
	lookups = 0;
	ck_assert_int_eq(options_parse(&real, 3, argv, &fault), OPTIONS_RUN);
	ck_assert_int_eq(listeners_open(&listeners, &real, &no_handover), LISTENER_OK);
	ck_assert_int_eq(lookups, 1);
	ck_assert_uint_eq(bound_to(listeners.items[0].fd), 1);
	ck_assert_str_eq(listeners.items[0].name, url[0]);
	listeners_close(&listeners);
	options_fini(&real);
}
END_TEST

/* Opens as the heir of somebody who had the socket `given`; `said` is what was logged. */
static enum listener_failure inherit_from(struct handover_socket *given)
{
	struct handover handover = {.role = HANDOVER_HEIR, .sockets = given, .socket_count = 1};
	enum listener_failure result;

	capture_begin();
	log_open(LOG_LEVEL_INFO, LOG_FORM_PLAIN);
	result = listeners_open(&listeners, &options, &handover);
	if (result == LISTENER_OK)
		listeners_drop(&handover);
	said = capture_end();
	return result;
}

START_TEST(a_host_with_another_address_is_bound_anew)
{
	struct fault why;

	snprintf(url[0], sizeof url[0], "tcp:app.example:%u", free_port());
	lookups = 0;
	ck_assert_int_eq(open_all(), LISTENER_OK);
	for (int time = 0; time < 2; time++) {
		struct handover_socket given = {.fd = listeners.items[0].fd, .name = url[0]};

		free(listeners.items);
		if (time == 0) /* the same address */
			lookups = 0;
		ck_assert_int_eq(address_parse(url[0], &addresses[0], &why), 0);
		ck_assert_int_eq(inherit_from(&given), LISTENER_OK);
		ck_assert_uint_eq(listeners.count, 1);
		ck_assert_uint_eq(bound_to(listeners.items[0].fd), (unsigned)time + 1);
		ck_assert_int_eq(strstr(said, "no longer listening on tcp:app") != NULL, time);
		ck_assert_int_eq(strstr(said, "a different address than before") != NULL, time);
	}
}
END_TEST

/* A reload may come with fewer --allow: then the check is that of a start. */
START_TEST(a_socket_handed_over_is_judged_again)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct handover_socket given = {.fd = fd, .name = "inherited socket 3"};

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	options.sockets.count = 0;
	ck_assert_int_eq(inherit_from(&given), LISTENER_FAILED);
	ck_assert_ptr_nonnull(strstr(said, "other machines can reach"));
	close(fd);
}
END_TEST

/* ---- socket files that were handed over --------------------------------------------------------- */

/* What a supervisor that has opened url[0] hands on. */
static struct handover_socket hand_over(void)
{
	struct handover_socket given = {.name = url[0]};

	ck_assert_int_eq(open_all(), LISTENER_OK);
	given.fd = listeners.items[0].fd;
	given.has_file = true;
	given.dev = listeners.items[0].dev;
	given.ino = listeners.items[0].ino;
	free(listeners.items);
	listeners = (struct listeners){.items = NULL};
	return given;
}

/* Goes on with url[1] alone. */
static void give_up_the_first(struct handover_socket *given)
{
	struct fault why;

	snprintf(url[1], sizeof url[1], "unix:%s", temp_path("b.sock"));
	ck_assert_int_eq(address_parse(url[1], &addresses[0], &why), 0);
	ck_assert_int_eq(inherit_from(given), LISTENER_OK);
	ck_assert_ptr_nonnull(strstr(said, "no longer listening on unix:"));
	ck_assert(answers(path_of(1)));
}

START_TEST(a_file_is_removed_with_its_socket)
{
	struct handover_socket given = hand_over();

	give_up_the_first(&given);
	ck_assert(!exists(path_of(0)));
}
END_TEST

START_TEST(the_file_of_another_process_stays_on_a_reload)
{
	struct handover_socket given = hand_over();
	int other;

	ck_assert_int_eq(unlink(path_of(0)), 0);
	other = listen_at(path_of(0));
	give_up_the_first(&given);
	ck_assert(answers(path_of(0)));
	close(other);
}
END_TEST

START_TEST(the_file_of_another_process_stays_after_a_reload)
{
	struct handover_socket given = hand_over();
	int other;

	ck_assert_int_eq(unlink(path_of(0)), 0);
	other = listen_at(path_of(0));
	ck_assert_int_eq(inherit_from(&given), LISTENER_OK); /* it keeps the one it has */
	listeners_unlink(&listeners);
	ck_assert(answers(path_of(0)));
	close(other);
}
END_TEST

START_TEST(an_heir_removes_the_file_at_the_end)
{
	struct handover_socket given = hand_over();

	ck_assert_int_eq(inherit_from(&given), LISTENER_OK);
	ck_assert(answers(path_of(0)));
	listeners_unlink(&listeners);
	ck_assert(!exists(path_of(0)));
}
END_TEST

/* ---- inheriting: each in a process of its own, whose descriptors it may rearrange --------------- */

typedef int scene(void);

static void play(scene *run)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(run());
	ck_assert_int_eq(wait_for(pid), 0);
}

static void put_at(int fd, int number)
{
	dup2(fd, number);
	if (fd != number)
		close(fd);
}

static void announce(const char *count, long pid)
{
	char text[24];

	snprintf(text, sizeof text, "%ld", pid);
	setenv("LISTEN_PID", text, 1);
	setenv("LISTEN_FDS", count, 1);
	setenv("LISTEN_FDNAMES", "a:b", 1);
	options.sockets.count = 0;
}

/* 0 when all holds, else the number of the line that does not. */
#define EXPECT(what) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "line %d: %s\n", __LINE__, #what); \
			return 1; \
		} \
	} while (0)

static int inherit_two(void)
{
	unsigned port;

	/* high numbers first, so that 3 and 4 do not land on each other */
	put_at(listen_tcp(&port), 103);
	put_at(listen_at(path_of(0)), 104);
	put_at(103, 3);
	put_at(104, 4);
	announce("2", (long)getpid());
	EXPECT(listeners_open(&listeners, &options, &no_handover) == LISTENER_OK);
	EXPECT(listeners.count == 2);
	EXPECT(listeners.items[0].fd == 3 && listeners.items[1].fd == 4);
	EXPECT((fcntl(3, F_GETFD) & FD_CLOEXEC) != 0 && (fcntl(4, F_GETFL) & O_NONBLOCK) != 0);
	EXPECT(getenv("LISTEN_PID") == NULL && getenv("LISTEN_FDS") == NULL);
	EXPECT(getenv("LISTEN_FDNAMES") == NULL);
	/* the file is its starter's */
	listeners_unlink(&listeners);
	EXPECT(exists(path_of(0)));
	listeners_close(&listeners);
	return 0;
}

START_TEST(sockets_are_inherited_as_systemd_hands_them_over)
{
	play(inherit_two);
}
END_TEST

static char heard_path[300];

/* As open_all(), with no assertion: Check's own descriptor has been taken for a socket. */
static enum listener_failure open_with(const char *text)
{
	static char heard[2000];
	enum listener_failure result;
	struct fault why;
	int fd = open(heard_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	ssize_t n;

	announce("2", (long)getpid());
	options.sockets.count = 1;
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || address_parse(text, &addresses[0], &why) != 0)
		return LISTENER_NONE;
	close(fd);
	result = listeners_open(&listeners, &options, &no_handover);
	n = pread(STDERR_FILENO, heard, sizeof heard - 1, 0);
	heard[n < 0 ? 0 : n] = '\0';
	said = heard;
	return result;
}

/* Those that --socket leaves out are said, and what is inherited cannot be opened anew. */
static int inherit_and_name_another(void)
{
	char tcp[40];
	unsigned port;

	snprintf(heard_path, sizeof heard_path, "%s", temp_path("heard"));
	put_at(listen_tcp(&port), 103);
	put_at(listen_at(path_of(0)), 104);
	snprintf(tcp, sizeof tcp, "tcp:127.0.0.1:%u", port);
	lookups = 0;
	put_at(103, 3);
	put_at(104, 4);
	EXPECT(open_with(url[0]) == LISTENER_FAILED);
	EXPECT(strstr(said, path_of(0)) != NULL && strstr(said, "it is already inherited") != NULL);
	EXPECT(open_with(tcp) == LISTENER_FAILED);
	EXPECT(strstr(said, tcp) != NULL && strstr(said, "it is already inherited") != NULL);
	EXPECT(open_with("fd:3") == LISTENER_OK);
	EXPECT(strstr(said, "socket 3") == NULL);
	EXPECT(strstr(said, "warn: inherited socket 4 (unix:/") != NULL);
	EXPECT(strstr(said, "a.sock) is not served") != NULL);
	return 0;
}

START_TEST(sockets_that_are_inherited_for_nothing_are_said)
{
	play(inherit_and_name_another);
}
END_TEST

static int inherit_for_another(void)
{
	unsigned port;

	put_at(listen_tcp(&port), 3);
	put_at(open("/dev/null", O_RDWR), 0);
	announce("1", (long)getppid());
	EXPECT(listeners_open(&listeners, &options, &no_handover) == LISTENER_NONE);
	EXPECT(getenv("LISTEN_PID") == NULL);
	return 0;
}

START_TEST(sockets_for_another_process_are_not_ours)
{
	play(inherit_for_another);
}
END_TEST

static int inherit_nonsense(void)
{
	put_at(open("/dev/null", O_RDWR), 0);
	put_at(open("/dev/null", O_RDWR), 3);
	announce("1", (long)getpid());
	EXPECT(listeners_open(&listeners, &options, &no_handover) == LISTENER_FAILED);
	announce("-1", (long)getpid());
	EXPECT(listeners_open(&listeners, &options, &no_handover) == LISTENER_NONE);
	announce("x", (long)getpid());
	EXPECT(listeners_open(&listeners, &options, &no_handover) == LISTENER_NONE);
	announce("99999999999", (long)getpid());
	EXPECT(listeners_open(&listeners, &options, &no_handover) == LISTENER_NONE);
	return 0;
}

START_TEST(what_is_no_listening_socket_is_not_inherited)
{
	play(inherit_nonsense);
}
END_TEST

static int inherit_zero(void)
{
	struct stat null;
	struct stat zero;
	int fd = listen_at(path_of(0));

	put_at(fd, 0);
	options.sockets.count = 0;
	EXPECT(listeners_open(&listeners, &options, &no_handover) == LISTENER_OK);
	EXPECT(listeners.count == 1 && listeners.items[0].fd >= 3);
	EXPECT(answers(path_of(0)));
	/* a script's stdin is never the socket */
	EXPECT(fstat(0, &zero) == 0 && stat("/dev/null", &null) == 0);
	EXPECT(zero.st_rdev == null.st_rdev);
	listeners_unlink(&listeners);
	EXPECT(exists(path_of(0)));
	listeners_close(&listeners);
	return 0;
}

START_TEST(descriptor_zero_may_be_the_socket)
{
	play(inherit_zero);
}
END_TEST

static int have_none(void)
{
	put_at(open("/dev/null", O_RDWR), 0);
	options.sockets.count = 0;
	EXPECT(listeners_open(&listeners, &options, &no_handover) == LISTENER_NONE);
	EXPECT(listeners.count == 0);
	return 0;
}

START_TEST(without_any_socket_there_is_none)
{
	play(have_none);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_unix_socket_is_made_with_its_mode);
	tcase_add_test(tcase, the_umask_is_left_alone);
	tcase_add_test(tcase, descriptors_are_closed_on_exec_and_do_not_block);
	tcase_add_test(tcase, an_owner_is_set);
	tcase_add_test(tcase, a_stale_socket_is_replaced);
	tcase_add_test(tcase, a_live_socket_is_refused_and_left_alone);
	tcase_add_test(tcase, a_socket_whose_server_hangs_is_refused_at_once);
	tcase_add_test(tcase, a_file_that_is_no_socket_is_refused_and_left_alone);
	tcase_add_test(tcase, a_directory_that_is_not_there_is_named);
	tcase_add_test(tcase, what_one_may_not_has_a_cure);
	tcase_add_test(tcase, a_file_is_described);
	tcase_add_test(tcase, only_our_own_file_is_removed);
	tcase_add_test(tcase, removing_twice_removes_once);
	tcase_add_test(tcase, all_or_none_are_opened);
	tcase_add_test(tcase, the_longest_path_is_served_or_refused_and_not_cut);
	tcase_add_test(tcase, an_abstract_socket);
	tcase_add_test(tcase, an_inherited_socket_is_called_by_its_address);
	tcase_add_test(tcase, a_tcp_socket_and_a_taken_port);
	tcase_add_test(tcase, a_descriptor_that_is_given_is_taken_over);
	tcase_add_test(tcase, a_descriptor_that_does_not_listen_is_refused);
	tcase_add_test(tcase, a_host_is_looked_up_once);
	tcase_add_test(tcase, a_host_with_another_address_is_bound_anew);
	tcase_add_test(tcase, a_socket_handed_over_is_judged_again);
	tcase_add_test(tcase, a_file_is_removed_with_its_socket);
	tcase_add_test(tcase, the_file_of_another_process_stays_on_a_reload);
	tcase_add_test(tcase, the_file_of_another_process_stays_after_a_reload);
	tcase_add_test(tcase, an_heir_removes_the_file_at_the_end);
	tcase_add_test(tcase, sockets_are_inherited_as_systemd_hands_them_over);
	tcase_add_test(tcase, sockets_that_are_inherited_for_nothing_are_said);
	tcase_add_test(tcase, sockets_for_another_process_are_not_ours);
	tcase_add_test(tcase, what_is_no_listening_socket_is_not_inherited);
	tcase_add_test(tcase, descriptor_zero_may_be_the_socket);
	tcase_add_test(tcase, without_any_socket_there_is_none);
}

int main(void)
{
	return check_main("listener", add);
}
