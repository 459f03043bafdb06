/* SPDX-License-Identifier: ISC */
/*
 * fuzz_address: socket URLs, and which clients may connect.  A client is allowed if a plain
 * comparison, bit by bit, says so.
 *
 * Input: a byte for the kind of client, 16 for its address, and texts that end in a NUL: a URL, a
 * list of addresses, and networks.
 */
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "config/allow.h"
#include "fuzz.h"

static void check_url(const char *url)
{
	struct address address;
	struct fault why = {""};

	if (address_parse(url, &address, &why) != 0) {
		fuzz_require(why.text[0] != '\0');
		return;
	}
	fuzz_require(address.url == url);
	fuzz_require((address.kind == ADDRESS_FD) == (strncmp(url, "fd:", 3) == 0));
	fuzz_require(address.kind == ADDRESS_FD || address.len >= sizeof(sa_family_t));
	fuzz_require(address.len <= sizeof address.addr);
	fuzz_require(address.path == NULL || (address.kind == ADDRESS_UNIX && *address.path != '@'));
	fuzz_require(address.kind != ADDRESS_FD || address.fd >= 0);
	fuzz_require(!address_is_bound(&address, 0) || address.kind == ADDRESS_FD);
}

static void make_peer(struct address_peer *peer, unsigned kind, const uint8_t bytes[16])
{
	memset(peer, 0, sizeof *peer);
	if (kind == 0) {
		peer->addr.any.sa_family = AF_UNIX;
		peer->len = sizeof(sa_family_t);
	} else if (kind == 1) {
		peer->addr.in.sin_family = AF_INET;
		memcpy(&peer->addr.in.sin_addr, bytes, 4);
		peer->len = sizeof peer->addr.in;
	} else {
		peer->addr.in6.sin6_family = AF_INET6;
		memcpy(&peer->addr.in6.sin6_addr, bytes, 16);
		if (kind == 3) /* an IPv4 address in IPv6 */
			memcpy(&peer->addr.in6.sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
		peer->len = sizeof peer->addr.in6;
	}
}

/* The address as IPv6 has it: IPv4 ones are mapped. */
static void map(unsigned char to[16], int family, const void *bytes)
{
	memcpy(to, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
	if (family == AF_INET)
		memcpy(to + 12, bytes, 4);
	else
		memcpy(to, bytes, 16);
}

static bool is_in(const unsigned char client[16], const struct allow_network *network)
{
	unsigned char net[16];
	unsigned skip = network->family == AF_INET ? 96 : 0;

	fuzz_require(network->family == AF_INET || network->family == AF_INET6);
	fuzz_require(network->bits <= 128 - skip);
	map(net, network->family, network->bytes);
	for (unsigned bit = 0; bit < skip + network->bits; bit++)
		if (((client[bit / 8] ^ net[bit / 8]) >> (7 - bit % 8) & 1) != 0)
			return false;
	return true;
}

static bool is_mapped(const unsigned char client[16])
{
	return memcmp(client, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0;
}

static bool is_expected(const struct allow *allow, const struct address_peer *peer)
{
	static const unsigned char one[16] = {[15] = 1};
	unsigned char client[16];

	map(client, peer->addr.any.sa_family, peer->addr.any.sa_family == AF_INET
		? (const void *)&peer->addr.in.sin_addr
		: (const void *)&peer->addr.in6.sin6_addr);
	for (size_t i = 0; i < allow->network_count; i++)
		/* an IPv4 client is not in an IPv6 network, however large */
		if (is_in(client, &allow->networks[i]) &&
		    (!is_mapped(client) || allow->networks[i].family == AF_INET))
			return true;
	if (allow->network_count > 0)
		return false;
	return is_mapped(client) ? client[12] == 127 : memcmp(client, one, 16) == 0;
}

static void check_peer(const struct allow *allow, const struct address_peer *peer)
{
	struct fault why = {.text = ""};
	char text[ADDRESS_TEXT_MAX];
	bool allowed = allow_peer(allow, -1, peer, &why);

	address_text(peer, text);
	fuzz_require(fuzz_is_text(text, strlen(text)));
	fuzz_require(allowed || (why.text[0] != '\0' && fuzz_is_text(why.text, strlen(why.text))));
	if (peer->addr.any.sa_family == AF_UNIX)
		fuzz_require(allowed);
	else
		fuzz_require(allowed == is_expected(allow, peer));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len};
	struct allow allow = {.network_count = 0};
	unsigned kind = fuzz_byte(&input) & 3;
	unsigned char address[16] = {0};
	size_t n = sizeof address;
	const uint8_t *from = fuzz_bytes(&input, &n);
	struct address_peer peer;
	struct fault why = {.text = ""};
	char *texts[8];
	size_t count = 0;

	memcpy(address, from, n);
	make_peer(&peer, kind, address);
	while (count < 8 && (input.left > 0 || count < 2))
		texts[count++] = fuzz_text(&input);
	check_url(texts[0]);
	if (texts[1][0] != '\0')
		fuzz_require(allow_add_addresses(&allow, texts[1], &why) == 0 || why.text[0] != '\0');
	for (size_t i = 2; i < count; i++)
		fuzz_require(allow_add_network(&allow, texts[i], &why) == 0 || why.text[0] != '\0');
	check_peer(&allow, &peer);
	fuzz_require(allow_listening(&allow, &peer.addr.any) || allow.network_count == 0);
	allow_fini(&allow);
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	return 0;
}
