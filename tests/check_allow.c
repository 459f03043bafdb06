/* SPDX-License-Identifier: ISC */
/*
 * check_allow: networks as they are written, and who is in them.
 */
#include "check_util.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/allow.h"

static struct allow rules;
static struct fault why;

static void setup(void)
{
	rules = (struct allow){.networks = NULL};
	strcpy(why.text, "nothing said");
}

static void teardown(void)
{
	allow_fini(&rules);
	ck_assert_ptr_null(rules.networks);
	ck_assert_ptr_null(rules.users);
}

static struct address_peer peer_at(const char *text)
{
	struct address_peer peer;

	memset(&peer, 0, sizeof peer);
	if (inet_pton(AF_INET, text, &peer.addr.in.sin_addr) == 1) {
		peer.addr.in.sin_family = AF_INET;
		peer.len = sizeof peer.addr.in;
	} else {
		ck_assert_int_eq(inet_pton(AF_INET6, text, &peer.addr.in6.sin6_addr), 1);
		peer.addr.in6.sin6_family = AF_INET6;
		peer.len = sizeof peer.addr.in6;
	}
	return peer;
}

static bool lets_in(const char *text)
{
	struct address_peer peer = peer_at(text);

	return allow_peer(&rules, -1, &peer, &why);
}

static void add(const char *network)
{
	ck_assert_msg(allow_add_network(&rules, network, &why) == 0, "%s: %s", network, why.text);
}

/* ---- one network ------------------------------------------------------------------------ */

static const struct {
	const char *network, *in[3], *out[4];
} networks[] = {
	{"0.0.0.0/0", {"0.0.0.0", "127.0.0.1", "255.255.255.255"}, {"::", "::1", "2001:db8::1", NULL}},
	{"128.0.0.0/1", {"128.0.0.0", "255.255.255.255"}, {"127.255.255.255", "0.0.0.0", "8000::", NULL}},
	{"10.0.0.0/8", {"10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"}, {"9.255.255.255", "11.0.0.0", "::10.1.2.3", "127.0.0.1"}},
	{"192.0.2.4/31", {"192.0.2.4", "192.0.2.5"}, {"192.0.2.3", "192.0.2.6", NULL}},
	{"192.0.2.7/32", {"192.0.2.7", "::ffff:192.0.2.7"}, {"192.0.2.6", "192.0.2.8", NULL}},
	{"192.0.2.7", {"192.0.2.7"}, {"192.0.2.6", "192.0.2.135", "127.0.0.1", NULL}},
	{"172.16.0.0/12", {"172.16.0.0", "172.31.255.255"}, {"172.15.255.255", "172.32.0.0", NULL}},
	{"::/0", {"::", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, {"127.0.0.1", "::ffff:127.0.0.1", NULL}},
	{"2001:db8::/32", {"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"}, {"2001:db7:ffff::", "2001:db9::", "32.1.13.184", NULL}},
	{"2001:db8::8/125", {"2001:db8::8", "2001:db8::f"}, {"2001:db8::7", "2001:db8::10", NULL}},
	{"2001:db8::1/128", {"2001:db8::1"}, {"2001:db8::", "2001:db8::2", NULL}},
	{"2001:DB8::1", {"2001:db8:0:0:0:0:0:1"}, {"2001:db8::3", "::1", NULL}},
	{"::ffff:10.0.0.0/104", {"10.1.2.3", "::ffff:10.1.2.3"}, {"11.0.0.0", "::ffff:11.0.0.0", "::1", NULL}},
	{"::ffff:10.1.2.3", {"10.1.2.3", "::ffff:10.1.2.3"}, {"10.1.2.2", NULL}},
	{"::ffff:0.0.0.0/96", {"0.0.0.0", "::ffff:1.2.3.4", "255.255.255.255"}, {"::1", NULL}},
};

START_TEST(a_network_has_its_addresses_and_no_others)
{
	add(networks[_i].network);
	for (size_t i = 0; i < 3 && networks[_i].in[i] != NULL; i++)
		ck_assert_msg(lets_in(networks[_i].in[i]), "%s is in %s", networks[_i].in[i],
		    networks[_i].network);
	for (size_t i = 0; i < 4 && networks[_i].out[i] != NULL; i++)
		ck_assert_msg(!lets_in(networks[_i].out[i]), "%s is not in %s", networks[_i].out[i],
		    networks[_i].network);
}
END_TEST

static const struct {
	const char *text, *why;
} bad[] = {
	{"", "an IPv4 or IPv6 address"}, {"/8", "an IPv4 or IPv6 address"},
	{"localhost", "an IPv4 or IPv6 address"}, {"10", "an IPv4 or IPv6 address"},
	{"10.0.0/8", "an IPv4 or IPv6 address"}, {"10.0.0.256", "an IPv4 or IPv6 address"},
	{" 10.0.0.1", "an IPv4 or IPv6 address"}, {"10.0.0.1 ", "an IPv4 or IPv6 address"},
	{"10.0.0.1:80", "an IPv4 or IPv6 address"}, {"[::1]", "an IPv4 or IPv6 address"},
	{"fe80::1%lo", "an IPv4 or IPv6 address"},
	{"1111111111111111111111111111111111111111111111111111", "an IPv4 or IPv6 address"},
	{"10.0.0.0/", "from 0 to 32"}, {"10.0.0.0/33", "from 0 to 32"},
	{"10.0.0.0/-1", "from 0 to 32"}, {"10.0.0.0/+8", "from 0 to 32"},
	{"10.0.0.0/8x", "from 0 to 32"}, {"10.0.0.0/8/8", "from 0 to 32"},
	{"10.0.0.0/ 8", "from 0 to 32"}, {"10.0.0.0/0008", "from 0 to 32"},
	{"10.0.0.0/4294967304", "from 0 to 32"}, {"10.0.0.0/255.0.0.0", "from 0 to 32"},
	{"::/129", "from 0 to 128"}, {"::1/999", "from 0 to 128"},
	{"10.1.2.3/8", "the network is 10.0.0.0/8, the host 10.1.2.3"},
	{"10.1.2.3/0", "the network is 0.0.0.0/0, the host 10.1.2.3"},
	{"192.0.2.7/31", "the network is 192.0.2.6/31, the host 192.0.2.7"},
	{"192.0.2.200/25", "the network is 192.0.2.128/25"},
	{"2001:db8::1/127", "the network is 2001:db8::/127, the host 2001:db8::1"},
	{"::1/0", "the network is ::/0, the host ::1"},
	{"::ffff:10.1.2.3/104", "the network is ::ffff:10.0.0.0/104"},
};

START_TEST(what_is_no_network_is_refused)
{
	ck_assert_int_eq(allow_add_network(&rules, bad[_i].text, &why), -1);
	ck_assert_msg(strstr(why.text, bad[_i].why) != NULL, "'%s': %s", bad[_i].text, why.text);
	ck_assert_uint_eq(rules.network_count, 0);
}
END_TEST

/* ---- several, and none --------------------------------------------------------------------- */

START_TEST(without_networks_it_is_loopback)
{
	static const char *const in[] = {"127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"};
	static const char *const out[] = {"126.255.255.255", "128.0.0.0", "0.0.0.0", "::", "::2",
	    "10.0.0.1", "fe80::1", "::ffff:10.0.0.1", "7f00::1", "::127.0.0.1"};

	for (size_t i = 0; i < sizeof in / sizeof *in; i++)
		ck_assert_msg(lets_in(in[i]), "%s", in[i]);
	for (size_t i = 0; i < sizeof out / sizeof *out; i++)
		ck_assert_msg(!lets_in(out[i]), "%s", out[i]);
	ck_assert_str_eq(why.text, "[::127.0.0.1]:0: without --allow, only loopback may connect");
}
END_TEST

START_TEST(networks_add_up_and_replace_loopback)
{
	add("192.0.2.0/24");
	add("2001:db8::/32");
	ck_assert(lets_in("192.0.2.1"));
	ck_assert(lets_in("2001:db8::1"));
	ck_assert(!lets_in("127.0.0.1"));
	ck_assert_str_eq(why.text, "127.0.0.1:0: not one of --allow");
	ck_assert(!lets_in("::1"));
	add("::1");
	ck_assert(lets_in("::1"));
	ck_assert(!lets_in("127.0.0.1"));
}
END_TEST

START_TEST(a_list_of_addresses_is_read)
{
	ck_assert_int_eq(allow_add_addresses(&rules, "199.170.183.28,199.170.183.71", &why), 0);
	ck_assert_uint_eq(rules.network_count, 2);
	ck_assert_int_eq(allow_add_addresses(&rules, "2001:db8::1", &why), 0);
	ck_assert(lets_in("199.170.183.28"));
	ck_assert(lets_in("::ffff:199.170.183.71"));
	ck_assert(lets_in("2001:db8::1"));
	ck_assert(!lets_in("199.170.183.29"));
	ck_assert(!lets_in("127.0.0.1"));
}
END_TEST

START_TEST(a_malformed_list_is_refused)
{
	static const char *const lists[] = {"", ",", "10.0.0.1,", ",10.0.0.1", "10.0.0.1, 10.0.0.2",
	    "10.0.0.1;10.0.0.2", "10.0.0.0/8", "10.0.0.1,,10.0.0.2", "localhost", "10.0.0.1,x",
	    "111111111111111111111111111111111111111111111111111111111111111111111111111111111111"};

	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		why.text[0] = '\0';
		ck_assert_msg(allow_add_addresses(&rules, lists[i], &why) == -1, "'%s'", lists[i]);
		ck_assert_ptr_nonnull(strstr(why.text, "addresses separated by commas"));
	}
	ck_assert_int_eq(allow_add_addresses(&rules, "10.0.0.1,10.0.0.x", &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "'10.0.0.x'"));
}
END_TEST

/* ---- sockets ----------------------------------------------------------------------------------- */

static bool may_listen(const char *text)
{
	struct address_peer own = peer_at(text);

	return allow_listening(&rules, &own.addr.any);
}

START_TEST(beyond_loopback_needs_a_rule)
{
	struct sockaddr local = {.sa_family = AF_UNIX};

	ck_assert(may_listen("127.0.0.1") && may_listen("::1") && may_listen("::ffff:127.0.0.1"));
	ck_assert(!may_listen("0.0.0.0"));
	ck_assert(!may_listen("::"));
	ck_assert(!may_listen("10.0.0.1"));
	ck_assert(!may_listen("::ffff:0.0.0.0"));
	ck_assert(allow_listening(&rules, &local));
	add("10.0.0.0/8");
	ck_assert(may_listen("0.0.0.0") && may_listen("::") && may_listen("10.0.0.1"));
}
END_TEST

static const struct address_peer unix_peer = {.addr = {.any = {.sa_family = AF_UNIX}}, .len = 2};

START_TEST(on_unix_sockets_users_count)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	add("10.0.0.0/8"); /* says nothing about them */
	ck_assert(allow_peer(&rules, -1, &unix_peer, &why)); /* nothing is asked of the socket */
	ck_assert_int_eq(allow_add_user(&rules, getuid() + 1, NULL), 0);
	ck_assert(!allow_peer(&rules, fds[0], &unix_peer, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "--allow-user"));
	ck_assert_int_eq(allow_add_user(&rules, getuid(), NULL), 0);
	ck_assert(allow_peer(&rules, fds[0], &unix_peer, &why));
	close(fds[0]);
	close(fds[1]);
	ck_assert(!allow_peer(&rules, fds[0], &unix_peer, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "unknown"));
	ck_assert(lets_in("10.0.0.1")); /* and users nothing about TCP */
}
END_TEST

/* Some systems give no address at all for the other end of a unix socket. */
START_TEST(a_peer_without_an_address_is_one_of_a_unix_socket)
{
	struct address_peer peer;

	memset(&peer, 0, sizeof peer);
	ck_assert(allow_peer(&rules, -1, &peer, &why));
	ck_assert_int_eq(allow_add_user(&rules, 1, NULL), 0);
	ck_assert(!allow_peer(&rules, -1, &peer, &why));
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, a_network_has_its_addresses_and_no_others, 0,
	    sizeof networks / sizeof *networks);
	tcase_add_loop_test(tcase, what_is_no_network_is_refused, 0, sizeof bad / sizeof *bad);
	tcase_add_test(tcase, without_networks_it_is_loopback);
	tcase_add_test(tcase, networks_add_up_and_replace_loopback);
	tcase_add_test(tcase, a_list_of_addresses_is_read);
	tcase_add_test(tcase, a_malformed_list_is_refused);
	tcase_add_test(tcase, beyond_loopback_needs_a_rule);
	tcase_add_test(tcase, on_unix_sockets_users_count);
	tcase_add_test(tcase, a_peer_without_an_address_is_one_of_a_unix_socket);
}

int main(void)
{
	return check_main("allow", add_tests);
}
