/* SPDX-License-Identifier: ISC */
/*
 * address: a socket URL as users write it, and peers as logs name them.
 *
 *   unix:/path   unix:@name (Linux abstract)   tcp:HOST:PORT   tcp6:[ADDR]:PORT   fd:N
 */
#ifndef CGIBRIDGE_ADDRESS_H
#define CGIBRIDGE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/attributes.h"
#include "base/fault.h"

enum address_kind { ADDRESS_UNIX, ADDRESS_TCP, ADDRESS_FD };

/* Room for the longest URL, terminator included. */
#define ADDRESS_URL_MAX 300

struct address {
	enum address_kind kind;
	const char *url;   /* the text it was parsed from, borrowed; for logs */
	int fd;            /* ADDRESS_FD: the descriptor's number */
	const char *path;  /* ADDRESS_UNIX with a file: points into the URL; else NULL */
	struct sockaddr_storage addr;
	socklen_t len;
};

/* The longest text of address_text(), terminator included. */
#define ADDRESS_TEXT_MAX 64

/* A peer's address as accept(2) returns it, without room for a unix socket's path. */
struct address_peer {
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} addr;
	socklen_t len;
};

/*
 * Parses `url` into `address`, which borrows it.  A HOST that is a name is looked up here, and
 * its first address is used.  0, or -1 with `why` set to a phrase that says what is wrong.
 */
int address_parse(const char *url, struct address *address, struct fault *why) MUST_CHECK;

/* Whether socket `fd` is bound to `address`, which must not be an ADDRESS_FD. */
bool address_is_bound(const struct address *address, int fd) MUST_CHECK;

/* Writes the name of `peer` to `text`: "127.0.0.1:4711", "[::1]:4711" or "unix". */
void address_text(const struct address_peer *peer, char text[ADDRESS_TEXT_MAX]);

#endif
