/* SPDX-License-Identifier: ISC */
/*
 * address: parsing socket URLs, naming peers.
 */
#include "base/address.h"

#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static int parse_unix(const char *path, struct address *address, struct fault *why)
{
	struct sockaddr_un *un = (struct sockaddr_un *)(void *)&address->addr;
	size_t len = strlen(path);

	un->sun_family = AF_UNIX;
	if (len < 2 || (path[0] != '/' && path[0] != '@'))
		return fault_set(why, "expected an absolute path or @name after unix:");
	if (len >= sizeof un->sun_path)
		return fault_set(why, "the path is too long for a unix socket");
	memcpy(un->sun_path, path, len);
	address->kind = ADDRESS_UNIX;
	address->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (path[0] == '@') {
		un->sun_path[0] = '\0'; /* abstract: the length ends it, not a terminator */
		return 0;
	}
	address->len++;
	address->path = path;
	return 0;
}

static int resolve(const char *host, const char *port, int family, struct address *address,
    struct fault *why)
{
	struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	int error;

	hints.ai_flags = AI_NUMERICSERV;
	error = getaddrinfo(host, port, &hints, &found);
	if (error != 0)
		return fault_set(why, "%s", gai_strerror(error));
	memcpy(&address->addr, found->ai_addr, found->ai_addrlen);
	address->len = found->ai_addrlen;
	address->kind = ADDRESS_TCP;
	freeaddrinfo(found);
	return 0;
}

/* `rest` is HOST:PORT or [ADDR]:PORT. */
static int parse_tcp(const char *rest, int family, struct address *address, struct fault *why)
{
	char host[256];
	const char *colon = strrchr(rest, ':');
	size_t len = colon == NULL ? 0 : (size_t)(colon - rest);
	char *end;
	long port;

	fault_set(why, "expected %s",
	    family == AF_INET6 ? "[ADDR]:PORT after tcp6:" : "HOST:PORT after tcp:");
	if (len > 2 && rest[0] == '[' && rest[len - 1] == ']') {
		rest++;
		len -= 2;
	} else if (len > 0 && memchr(rest, ':', len) != NULL) {
		return -1; /* IPv6 without brackets: is the last part a port? */
	}
	if (len == 0 || len >= sizeof host)
		return -1;
	memcpy(host, rest, len);
	host[len] = '\0';
	port = strtol(colon + 1, &end, 10);
	if (colon[1] < '0' || colon[1] > '9' || *end != '\0' || port < 1 || port > 65535)
		return fault_set(why, "expected a port from 1 to 65535");
	return resolve(host, colon + 1, family, address, why);
}

static int parse_fd(const char *number, struct address *address, struct fault *why)
{
	char *end;
	long fd = strtol(number, &end, 10);

	if (number[0] < '0' || number[0] > '9' || *end != '\0' || fd > 65535)
		return fault_set(why, "expected a descriptor number after fd:");
	address->kind = ADDRESS_FD;
	address->fd = (int)fd;
	return 0;
}

int address_parse(const char *url, struct address *address, struct fault *why)
{
	memset(address, 0, sizeof *address);
	address->fd = -1;
	address->url = url;
	if (strlen(url) >= ADDRESS_URL_MAX || strchr(url, '\n') != NULL)
		return fault_set(why, "it is too long, or contains a line end");
	if (strncmp(url, "unix:", 5) == 0)
		return parse_unix(url + 5, address, why);
	if (strncmp(url, "tcp:", 4) == 0)
		return parse_tcp(url + 4, AF_INET, address, why);
	if (strncmp(url, "tcp6:", 5) == 0)
		return parse_tcp(url + 5, AF_INET6, address, why);
	if (strncmp(url, "fd:", 3) == 0)
		return parse_fd(url + 3, address, why);
	return fault_set(why,
	    "expected unix:/path, unix:@name, tcp:HOST:PORT, tcp6:[ADDR]:PORT or fd:N");
}

bool address_is_bound(const struct address *address, int fd)
{
	struct address bound = {.len = sizeof bound.addr};
	const struct sockaddr_in *in[2] = {(const void *)&address->addr, (const void *)&bound.addr};
	const struct sockaddr_in6 *in6[2] = {(const void *)in[0], (const void *)in[1]};
	const struct sockaddr_un *un[2] = {(const void *)in[0], (const void *)in[1]};

	if (getsockname(fd, (struct sockaddr *)&bound.addr, &bound.len) != 0 ||
	    bound.addr.ss_family != address->addr.ss_family)
		return false;
	if (bound.addr.ss_family == AF_UNIX)
		return bound.len == address->len &&
		    memcmp(un[0]->sun_path, un[1]->sun_path,
			address->len - offsetof(struct sockaddr_un, sun_path)) == 0;
	if (bound.addr.ss_family == AF_INET)
		return in[0]->sin_port == in[1]->sin_port &&
		    in[0]->sin_addr.s_addr == in[1]->sin_addr.s_addr;
	return bound.addr.ss_family == AF_INET6 && in6[0]->sin6_port == in6[1]->sin6_port &&
	    memcmp(&in6[0]->sin6_addr, &in6[1]->sin6_addr, sizeof in6[0]->sin6_addr) == 0 &&
	    in6[0]->sin6_scope_id == in6[1]->sin6_scope_id;
}

void address_text(const struct address_peer *peer, char text[ADDRESS_TEXT_MAX])
{
	bool six = peer->addr.any.sa_family == AF_INET6;
	char host[48];
	char port[8];

	if ((peer->addr.any.sa_family != AF_INET && !six) ||
	    getnameinfo(&peer->addr.any, peer->len, host, sizeof host, port, sizeof port,
		NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(text, ADDRESS_TEXT_MAX, "unix");
	else
		snprintf(text, ADDRESS_TEXT_MAX, six ? "[%s]:%s" : "%s:%s", host, port);
}
