/* SPDX-License-Identifier: ISC */
/*
 * check_address: socket URLs, and how peers are named.
 */
#include "check_util.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/address.h"

static struct address address;
static struct fault why;

START_TEST(a_unix_path)
{
	struct sockaddr_un un;

	ck_assert_int_eq(address_parse("unix:/run/a.sock", &address, &why), 0);
	memcpy(&un, &address.addr, sizeof un);
	ck_assert_int_eq(address.kind, ADDRESS_UNIX);
	ck_assert_int_eq(un.sun_family, AF_UNIX);
	ck_assert_str_eq(un.sun_path, "/run/a.sock");
	ck_assert_str_eq(address.path, "/run/a.sock");
	ck_assert_uint_eq(address.len, offsetof(struct sockaddr_un, sun_path) + 12);
}
END_TEST

START_TEST(an_abstract_name)
{
	struct sockaddr_un un;

	ck_assert_int_eq(address_parse("unix:@name", &address, &why), 0);
	memcpy(&un, &address.addr, sizeof un);
	ck_assert_int_eq(address.kind, ADDRESS_UNIX);
	ck_assert_ptr_null(address.path);
	ck_assert_int_eq(un.sun_path[0], 0);
	ck_assert_mem_eq(un.sun_path + 1, "name", 4);
	ck_assert_uint_eq(address.len, offsetof(struct sockaddr_un, sun_path) + 5);
}
END_TEST

START_TEST(a_unix_path_has_a_bound)
{
	char url[256] = "unix:/";
	size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	memset(url + 6, 'x', 200);
	url[5 + most] = '\0';
	ck_assert_int_eq(address_parse(url, &address, &why), 0);
	url[5 + most] = 'x';
	url[5 + most + 1] = '\0';
	ck_assert_int_eq(address_parse(url, &address, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "too long"));
}
END_TEST

START_TEST(tcp)
{
	struct sockaddr_in in;

	ck_assert_int_eq(address_parse("tcp:127.0.0.1:9000", &address, &why), 0);
	memcpy(&in, &address.addr, sizeof in);
	ck_assert_int_eq(address.kind, ADDRESS_TCP);
	ck_assert_int_eq(in.sin_family, AF_INET);
	ck_assert_uint_eq(ntohs(in.sin_port), 9000);
	ck_assert_uint_eq(ntohl(in.sin_addr.s_addr), INADDR_LOOPBACK);
	ck_assert_uint_eq(address.len, sizeof in);
	ck_assert_ptr_null(address.path);
	ck_assert_msg(address_parse("tcp:localhost:1", &address, &why) == 0,
	    "localhost has no address here: %s (is there an /etc/hosts?)", why.text);
	ck_assert_int_eq(address.addr.ss_family, AF_INET);
	ck_assert_int_eq(address_parse("tcp:0.0.0.0:65535", &address, &why), 0);
}
END_TEST

START_TEST(tcp6)
{
	struct sockaddr_in6 in;

	ck_assert_int_eq(address_parse("tcp6:[::1]:9000", &address, &why), 0);
	memcpy(&in, &address.addr, sizeof in);
	ck_assert_int_eq(in.sin6_family, AF_INET6);
	ck_assert_uint_eq(ntohs(in.sin6_port), 9000);
	ck_assert_mem_eq(&in.sin6_addr, &in6addr_loopback, 16);
	ck_assert_int_eq(address_parse("tcp6:[::]:1", &address, &why), 0);
}
END_TEST

START_TEST(a_descriptor)
{
	ck_assert_int_eq(address_parse("fd:0", &address, &why), 0);
	ck_assert_int_eq(address.kind, ADDRESS_FD);
	ck_assert_int_eq(address.fd, 0);
	ck_assert_int_eq(address_parse("fd:17", &address, &why), 0);
	ck_assert_int_eq(address.fd, 17);
}
END_TEST

static const struct {
	const char *url;
	const char *hint;
} bads[] = {
	{"", "unix:"}, {"/run/x", "unix:"}, {"UNIX:/x", "unix:"}, {"udp:1", "tcp:"}, {":", "unix:"},
	{"unix:", "absolute"}, {"unix:x", "absolute"}, {"unix:/", "absolute"}, {"unix:@", "@name"},
	{"tcp:", "HOST:PORT"}, {"tcp:9000", "HOST:PORT"}, {"tcp::9000", "HOST:PORT"},
	{"tcp:h:", "65535"}, {"tcp:127.0.0.1:0", "65535"}, {"tcp:127.0.0.1:65536", "65535"},
	{"tcp:127.0.0.1:-1", "65535"}, {"tcp:127.0.0.1:9x", "65535"}, {"tcp:127.0.0.1: 9", "65535"},
	{"tcp:127.0.0.1:99999999999999999999", "65535"}, {"tcp:300.0.0.1:1", ""},
	{"tcp6:", "[ADDR]"}, {"tcp6:[]:1", ""}, {"tcp6:[::1]", ""}, {"tcp6:[::1]:0", "65535"},
	{"tcp6:[127.0.0.1]:1", ""}, {"tcp6:::1:80", "[ADDR]"}, {"tcp:::1:80", "HOST:PORT"},
	{"fd:", "number"}, {"fd:x", "number"}, {"fd:-1", "number"}, {"fd:3x", "number"},
	{"fd:65536", "number"}, {"fd:99999999999999999999", "number"},
};

START_TEST(anything_else_is_refused_with_a_reason)
{
	why.text[0] = '\0';
	ck_assert_int_eq(address_parse(bads[_i].url, &address, &why), -1);
	ck_assert_str_ne(why.text, "");
	ck_assert_msg(strstr(why.text, bads[_i].hint) != NULL, "%s: %s", bads[_i].url, why.text);
}
END_TEST

START_TEST(a_very_long_host_is_refused)
{
	static char url[2000] = "tcp:";

	memset(url + 4, 'h', 1000);
	strcpy(url + 1004, ":1");
	ck_assert_int_eq(address_parse(url, &address, &why), -1);
}
END_TEST

/* ---- peers ---------------------------------------------------------------------------- */

START_TEST(a_unix_peer)
{
	struct address_peer peer = {.len = sizeof(sa_family_t)};
	char text[ADDRESS_TEXT_MAX];

	peer.addr.any.sa_family = AF_UNIX;
	address_text(&peer, text);
	ck_assert_str_eq(text, "unix");
}
END_TEST

START_TEST(a_tcp_peer)
{
	struct address_peer peer = {.len = sizeof peer.addr.in};
	char text[ADDRESS_TEXT_MAX];

	peer.addr.in.sin_family = AF_INET;
	peer.addr.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	peer.addr.in.sin_port = htons(4711);
	address_text(&peer, text);
	ck_assert_str_eq(text, "127.0.0.1:4711");
	peer.addr.in.sin_addr.s_addr = htonl(INADDR_NONE);
	peer.addr.in.sin_port = htons(65535);
	address_text(&peer, text);
	ck_assert_str_eq(text, "255.255.255.255:65535");
}
END_TEST

START_TEST(a_tcp6_peer)
{
	struct address_peer peer = {.len = sizeof peer.addr.in6};
	char text[ADDRESS_TEXT_MAX];

	peer.addr.in6.sin6_family = AF_INET6;
	peer.addr.in6.sin6_addr = in6addr_loopback;
	peer.addr.in6.sin6_port = htons(4711);
	address_text(&peer, text);
	ck_assert_str_eq(text, "[::1]:4711");
	memset(&peer.addr.in6.sin6_addr, 0xfd, 16); /* the longest */
	peer.addr.in6.sin6_port = htons(65535);
	address_text(&peer, text);
	ck_assert_str_eq(text, "[fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd]:65535");
}
END_TEST

/* ---- what a socket is bound to ------------------------------------------------------------- */

/* A socket that is bound to `url`, but to any port; it says to which in `bound`. */
static int bind_to(const char *url, struct address *bound)
{
	int fd;

	ck_assert_int_eq(address_parse(url, bound, &why), 0);
	fd = socket(bound->addr.ss_family, SOCK_STREAM, 0);
	ck_assert_int_ge(fd, 0);
	if (bound->addr.ss_family == AF_INET)
		((struct sockaddr_in *)(void *)&bound->addr)->sin_port = 0;
	if (bound->addr.ss_family == AF_INET6)
		((struct sockaddr_in6 *)(void *)&bound->addr)->sin6_port = 0;
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&bound->addr, bound->len), 0);
	if (bound->addr.ss_family != AF_UNIX)
		ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&bound->addr, &bound->len), 0);
	return fd;
}

START_TEST(a_socket_is_bound_to_one_address)
{
	static char path[4096];
	const char *const urls[] = {path, "tcp:127.0.0.1:9000", "tcp6:[::1]:9000"};
	enum { COUNT = sizeof urls / sizeof *urls };
	struct address bound[COUNT], other;
	int fds[COUNT];

	temp_make();
	snprintf(path, sizeof path, "unix:%s", temp_path("socket"));
	for (int i = 0; i < COUNT; i++)
		fds[i] = bind_to(urls[i], &bound[i]);
	for (int i = 0; i < COUNT; i++)
		for (int at = 0; at < COUNT; at++)
			ck_assert_int_eq(address_is_bound(&bound[i], fds[at]), i == at);
	other = bound[2];
	((struct sockaddr_in6 *)(void *)&other.addr)->sin6_addr = in6addr_any;
	ck_assert(!address_is_bound(&other, fds[2]));
	other = bound[2];
	((struct sockaddr_in6 *)(void *)&other.addr)->sin6_scope_id++;
	ck_assert(!address_is_bound(&other, fds[2]));
	ck_assert(!address_is_bound(&bound[0], -1));
	for (int i = 0; i < COUNT; i++)
		close(fds[i]);
	temp_remove();
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_unix_path);
	tcase_add_test(tcase, an_abstract_name);
	tcase_add_test(tcase, a_unix_path_has_a_bound);
	tcase_add_test(tcase, tcp);
	tcase_add_test(tcase, tcp6);
	tcase_add_test(tcase, a_descriptor);
	tcase_add_loop_test(tcase, anything_else_is_refused_with_a_reason, 0,
	    sizeof bads / sizeof *bads);
	tcase_add_test(tcase, a_very_long_host_is_refused);
	tcase_add_test(tcase, a_unix_peer);
	tcase_add_test(tcase, a_tcp_peer);
	tcase_add_test(tcase, a_tcp6_peer);
	tcase_add_test(tcase, a_socket_is_bound_to_one_address);
}

int main(void)
{
	return check_main("address", add);
}
