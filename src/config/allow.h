/* SPDX-License-Identifier: ISC */
/*
 * allow: which clients may connect.
 *
 * On TCP it is the networks given, on unix sockets the users; without any, loopback
 * on TCP, and on a unix socket any client that could open it.  An IPv4 address in an IPv6
 * one (::ffff:a.b.c.d) is the IPv4 address, in rules and in peers.
 */
#ifndef CGIBRIDGE_ALLOW_H
#define CGIBRIDGE_ALLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/address.h"
#include "base/attributes.h"
#include "base/fault.h"

struct allow_network {
	int family; /* AF_INET or AF_INET6 */
	unsigned char bytes[16];
	unsigned bits;    /* how many of them count */
	const char *text; /* as an option gave it, borrowed; else NULL */
};

struct allow_user {
	uid_t uid;
	const char *text; /* likewise */
};

/* All zero: the defaults. */
struct allow {
	struct allow_network *networks; /* owned */
	size_t network_count;
	struct allow_user *users; /* owned */
	size_t user_count;
};

/* Adds ADDR or ADDR/LEN, of an option; borrows it.  0, or -1 with `why`. */
int allow_add_network(struct allow *allow, const char *text, struct fault *why) MUST_CHECK;

/* Adds a list of addresses as in FastCGI 1.0 3.2: separated by commas alone. */
int allow_add_addresses(struct allow *allow, const char *list,
    struct fault *why) MUST_CHECK;

/* Adds a user of unix sockets; `text` as above.  0, or -1 with errno ENOMEM. */
int allow_add_user(struct allow *allow, uid_t uid, const char *text) MUST_CHECK;

void allow_fini(struct allow *allow);

/*
 * Whether the connection `fd` from `peer` may stay; else `why` says who that was, for a
 * log.  A system call only on a unix socket with users to compare.
 */
bool allow_peer(const struct allow *allow, int fd, const struct address_peer *peer,
    struct fault *why) MUST_CHECK;

/*
 * Whether a socket may listen at `addr`: not if it can be reached from beyond this
 * machine and no option says which may connect.
 */
bool allow_listening(const struct allow *allow, const struct sockaddr *addr) MUST_CHECK;

#endif
