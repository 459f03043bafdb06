/* SPDX-License-Identifier: ISC */
/*
 * check_notify: datagrams to a service manager of our own, and to none.
 */
#include "check_util.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/notify.h"

/* A service manager's socket at `name`, a path or "@name". */
static int manager(const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	size_t len = strlen(name);

	memcpy(addr.sun_path, name, len);
	if (name[0] == '@')
		addr.sun_path[0] = '\0';
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&addr,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

static const char *heard(int fd)
{
	static char text[1024];
	ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

START_TEST(a_message_arrives)
{
	int fd;

	temp_make();
	fd = manager(temp_path("notify"));
	ck_assert(notify_wanted());
	notify_send("READY=%d\nSTATUS=%s", 1, "well");
	ck_assert_str_eq(heard(fd), "READY=1\nSTATUS=well");
	close(fd);
	temp_remove();
}
END_TEST

START_TEST(an_abstract_name_will_do)
{
	char name[64];
	int fd;

	snprintf(name, sizeof name, "@cgibridge-check-%ld", (long)getpid());
	fd = manager(name);
	notify_send("STOPPING=1");
	ck_assert_str_eq(heard(fd), "STOPPING=1");
	close(fd);
}
END_TEST

START_TEST(a_long_message_is_cut)
{
	char text[2000];
	int fd;

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	temp_make();
	fd = manager(temp_path("notify"));
	notify_send("STATUS=%s", text);
	ck_assert_uint_eq(strlen(heard(fd)), 511);
	close(fd);
	temp_remove();
}
END_TEST

START_TEST(a_full_queue_does_not_block)
{
	int fd;

	temp_make();
	fd = manager(temp_path("notify"));
	for (int i = 0; i < 5000; i++)
		notify_send("STATUS=%d", i);
	ck_assert_str_eq(heard(fd), "STATUS=0");
	close(fd);
	temp_remove();
}
END_TEST

static const char *const nobody[] = {"/nonexistent/socket", "@nobody", "relative", "", "/", "@"};

START_TEST(nobody_need_listen)
{
	setenv("NOTIFY_SOCKET", nobody[_i], 1);
	notify_send("READY=1");
	unsetenv("NOTIFY_SOCKET");
	ck_assert(!notify_wanted());
	notify_send("READY=1");
}
END_TEST

START_TEST(the_watchdog_is_ours_or_not)
{
	char pid[24];

	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	ck_assert_int_eq(notify_watchdog(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	ck_assert_int_eq(notify_watchdog(), 30000);
	setenv("WATCHDOG_PID", "1", 1);
	ck_assert_int_eq(notify_watchdog(), 0);
	snprintf(pid, sizeof pid, "%ld", (long)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	ck_assert_int_eq(notify_watchdog(), 30000);
	setenv("WATCHDOG_USEC", "9223372036854775807", 1);
	ck_assert_int_eq(notify_watchdog(), 24 * 3600 * 1000);
	setenv("WATCHDOG_USEC", "-9223372036854775808", 1);
	ck_assert_int_eq(notify_watchdog(), 0);
	setenv("WATCHDOG_USEC", "no number", 1);
	ck_assert_int_eq(notify_watchdog(), 0);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_message_arrives);
	tcase_add_test(tcase, an_abstract_name_will_do);
	tcase_add_test(tcase, a_long_message_is_cut);
	tcase_add_test(tcase, a_full_queue_does_not_block);
	tcase_add_loop_test(tcase, nobody_need_listen, 0, sizeof nobody / sizeof *nobody);
	tcase_add_test(tcase, the_watchdog_is_ours_or_not);
}

int main(void)
{
	return check_main("notify", add);
}
