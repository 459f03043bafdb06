/* SPDX-License-Identifier: ISC */
/*
 * allow: parsing and comparing networks, comparing users.
 */
#include "config/allow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"

enum { V4_BITS = 32, V6_BITS = 128, MAPPED_BITS = 96 };

/* RFC 4291 2.5.5.2 */
static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

/* ---- networks -------------------------------------------------------------------------- */

static unsigned max_bits(const struct allow_network *network)
{
	return network->family == AF_INET ? V4_BITS : V6_BITS;
}

/* Turns an IPv4 address or network written as an IPv6 one into an IPv4 one. */
static void unmap(struct allow_network *network)
{
	if (network->family != AF_INET6 || network->bits < MAPPED_BITS ||
	    memcmp(network->bytes, mapped, sizeof mapped) != 0)
		return;
	network->family = AF_INET;
	network->bits -= MAPPED_BITS;
	memmove(network->bytes, network->bytes + sizeof mapped, 4);
}

/* The mask of byte `i` of a network. */
static unsigned char mask_of(const struct allow_network *network, unsigned i)
{
	if (network->bits >= 8 * (i + 1))
		return 0xff;
	if (network->bits <= 8 * i)
		return 0;
	return (unsigned char)(0xffU << (8 * (i + 1) - network->bits) & 0xffU);
}

static bool contains(const struct allow_network *network, const struct allow_network *host)
{
	if (network->family != host->family)
		return false;
	for (unsigned i = 0; 8 * i < network->bits; i++)
		if (((network->bytes[i] ^ host->bytes[i]) & mask_of(network, i)) != 0)
			return false;
	return true;
}

static bool read_address(struct allow_network *network, const char *text)
{
	network->family = AF_INET;
	if (inet_pton(AF_INET, text, network->bytes) != 1) {
		network->family = AF_INET6;
		if (inet_pton(AF_INET6, text, network->bytes) != 1)
			return false;
	}
	network->bits = max_bits(network);
	return true;
}

/* Digits only, and at most the number of bits of the address. */
static bool read_bits(struct allow_network *network, const char *text)
{
	size_t len = strspn(text, "0123456789");
	unsigned long bits;

	if (len == 0 || len > 3 || text[len] != '\0')
		return false;
	bits = strtoul(text, NULL, 10);
	if (bits > max_bits(network))
		return false;
	network->bits = (unsigned)bits;
	return true;
}

/* 10.1.2.3/8: host or network?  A wrong guess would let in the wrong clients. */
static int check_host_bits(const struct allow_network *network, const char *host, struct fault *why)
{
	struct allow_network right = *network;
	char text[INET6_ADDRSTRLEN] = "";

	for (unsigned i = 0; 8 * i < max_bits(&right); i++)
		right.bytes[i] &= mask_of(&right, i);
	if (memcmp(right.bytes, network->bytes, max_bits(network) / 8) == 0)
		return 0;
	inet_ntop(right.family, right.bytes, text, sizeof text);
	return fault_set(why, "bits are set beyond the length: the network is %s/%u, the host %s", text,
	    right.bits, host);
}

static int read_network(struct allow_network *network, const char *text, struct fault *why)
{
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);

	*network = (struct allow_network){.family = AF_UNSPEC};
	if (len < sizeof host) {
		memcpy(host, text, len);
		host[len] = '\0';
	}
	if (len >= sizeof host || !read_address(network, host))
		return fault_set(why, "expected an IPv4 or IPv6 address, such as 192.0.2.7, "
		    "192.0.2.0/24 or 2001:db8::/32");
	if (slash != NULL && !read_bits(network, slash + 1))
		return fault_set(why, "expected a length from 0 to %u after the /", max_bits(network));
	if (check_host_bits(network, host, why) != 0)
		return -1;
	unmap(network);
	return 0;
}

static int add_network(struct allow *allow, const struct allow_network *network, struct fault *why)
{
	struct allow_network *networks =
	    realloc(allow->networks, (allow->network_count + 1) * sizeof *networks);

	if (networks == NULL)
		return fault_set(why, "out of memory");
	networks[allow->network_count++] = *network;
	allow->networks = networks;
	return 0;
}

int allow_add_network(struct allow *allow, const char *text, struct fault *why)
{
	struct allow_network network;

	if (read_network(&network, text, why) != 0)
		return -1;
	network.text = text;
	return add_network(allow, &network, why);
}

int allow_add_addresses(struct allow *allow, const char *list, struct fault *why)
{
	while (list != NULL) {
		struct allow_network network = {.family = AF_UNSPEC};
		char item[INET6_ADDRSTRLEN] = "";
		size_t len = strcspn(list, ",");

		if (len < sizeof item)
			memcpy(item, list, len);
		if (!read_address(&network, item))
			return fault_set(why, "expected addresses separated by commas, not '%.*s'",
			    len < 100 ? (int)len : 100, list);
		unmap(&network);
		if (add_network(allow, &network, why) != 0)
			return -1;
		list = list[len] == ',' ? list + len + 1 : NULL;
	}
	return 0;
}

int allow_add_user(struct allow *allow, uid_t uid, const char *text)
{
	struct allow_user *users = realloc(allow->users, (allow->user_count + 1) * sizeof *users);

	if (users == NULL)
		return -1;
	users[allow->user_count++] = (struct allow_user){uid, text};
	allow->users = users;
	return 0;
}

void allow_fini(struct allow *allow)
{
	free(allow->networks);
	free(allow->users);
	*allow = (struct allow){.networks = NULL};
}

/* ---- the peer ----------------------------------------------------------------------------- */

/* The address in `addr` as a network of one host; false if it is not an IP address. */
static bool host_of(const struct sockaddr *addr, struct allow_network *host)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)addr;

	if (addr->sa_family != AF_INET && addr->sa_family != AF_INET6)
		return false;
	host->family = addr->sa_family;
	host->bits = max_bits(host);
	if (addr->sa_family == AF_INET)
		memcpy(host->bytes, &in->sin_addr, V4_BITS / 8);
	else
		memcpy(host->bytes, &in6->sin6_addr, V6_BITS / 8);
	unmap(host);
	return true;
}

static bool is_loopback(const struct allow_network *host)
{
	static const struct allow_network four = {AF_INET, {127}, 8, NULL};
	static const struct allow_network six = {AF_INET6, {[15] = 1}, V6_BITS, NULL};

	return contains(&four, host) || contains(&six, host);
}

static bool allows_host(const struct allow *allow, const struct allow_network *host)
{
	for (size_t i = 0; i < allow->network_count; i++)
		if (contains(&allow->networks[i], host))
			return true;
	return allow->network_count == 0 && is_loopback(host);
}

static bool allows_user(const struct allow *allow, int fd, struct fault *why)
{
	uid_t uid;

	if (sys_peer_user(fd, &uid) != 0) {
		fault_set(why, "unix, user unknown: %s", strerror(errno));
		return false;
	}
	for (size_t i = 0; i < allow->user_count; i++)
		if (allow->users[i].uid == uid)
			return true;
	fault_set(why, "unix, user %ld: not one of --allow-user", (long)uid);
	return false;
}

bool allow_peer(const struct allow *allow, int fd, const struct address_peer *peer,
    struct fault *why)
{
	struct allow_network host;
	char text[ADDRESS_TEXT_MAX];

	if (!host_of(&peer->addr.any, &host))
		return allow->user_count == 0 || allows_user(allow, fd, why);
	if (allows_host(allow, &host))
		return true;
	address_text(peer, text);
	fault_set(why, "%s: %s", text,
	    allow->network_count > 0 ? "not one of --allow"
				     : "without --allow, only loopback may connect");
	return false;
}

bool allow_listening(const struct allow *allow, const struct sockaddr *addr)
{
	struct allow_network host;

	return allow->network_count > 0 || !host_of(addr, &host) || is_loopback(&host);
}
