/* SPDX-License-Identifier: ISC */
/*
 * address: a socket URL as users write it, and peers as logs name them.
 *
 *   unix:/path   unix:@name (Linux abstract)   tcp:HOST:PORT   tcp6:[ADDR]:PORT   fd:N
 */
#ifndef CGIBRIDGE_ADDRESS_H
#define CGIBRIDGE_ADDRESS_H

#include <sys/socket.h>

#include "attributes.h"

enum address_kind { ADDRESS_UNIX, ADDRESS_TCP, ADDRESS_FD };

struct address {
	enum address_kind kind;
	int fd;            /* ADDRESS_FD: the descriptor's number */
	const char *path;  /* ADDRESS_UNIX with a file: into the URL; else NULL */
	struct sockaddr_storage addr;
	socklen_t len;
};

/* Longest text of address_peer(), terminator included. */
#define ADDRESS_TEXT_MAX 64

/*
 * Reads `url` into `address`, which borrows it.  HOST may be a name; it is looked
 * up here and its first address taken.  0, or -1 with `*why` a phrase that says
 * what is wrong.
 */
int address_parse(const char *url, struct address *address, const char **why) MUST_CHECK;

/* Writes who is at the other end of `fd`, "127.0.0.1:4711" or "unix", to `text`. */
void address_peer(int fd, char text[ADDRESS_TEXT_MAX]);

#endif
