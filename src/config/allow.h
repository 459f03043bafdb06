/* SPDX-License-Identifier: ISC */
/*
 * allow: which clients may connect.
 *
 * On TCP the networks given, on unix sockets the users given.  Without any: on TCP loopback,
 * on a unix socket every client that can open it.  An IPv4-mapped IPv6 address
 * (::ffff:a.b.c.d) is the IPv4 address, in rules and in peers.
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
	unsigned bits;    /* how many bits count */
	const char *text; /* as given in an option, borrowed; else NULL */
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

/* Adds `text`, ADDR or ADDR/LEN of an option, and borrows it.  0, or -1 with `why`. */
int allow_add_network(struct allow *allow, const char *text, struct fault *why) MUST_CHECK;

/* Adds addresses separated by commas only (FastCGI 1.0, 3.2).  0, or -1 with `why`. */
int allow_add_addresses(struct allow *allow, const char *list,
    struct fault *why) MUST_CHECK;

/* Adds a user of unix sockets; `text` as above.  0, or -1 with errno ENOMEM. */
int allow_add_user(struct allow *allow, uid_t uid, const char *text) MUST_CHECK;

void allow_fini(struct allow *allow);

/*
 * Whether the connection `fd` from `peer` is allowed; if not, `why` names the client and the
 * reason, for a log line.  Makes a system call only on a unix socket, if users were given.
 */
bool allow_peer(const struct allow *allow, int fd, const struct address_peer *peer,
    struct fault *why) MUST_CHECK;

/*
 * Whether a socket may listen at `addr`: not if other machines can reach it and no networks
 * were given.
 */
bool allow_listening(const struct allow *allow, const struct sockaddr *addr) MUST_CHECK;

#endif
