/* SPDX-License-Identifier: ISC */
/*
 * fuzz_names: in place of the system's resolver, and of config/identity.c: hosts are numbers or
 * "localhost", users are a few.  Nothing is asked of a network or a database, and no process is
 * forked to try an identity.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/identity.h"
#include "fuzz.h"

struct answer {
	struct addrinfo info;
	struct sockaddr_storage addr;
};

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
    struct addrinfo **found)
{
	struct answer *answer = calloc(1, sizeof *answer);
	struct sockaddr_in *in = (struct sockaddr_in *)&answer->addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&answer->addr;

	fuzz_require(answer != NULL);
	if (strcmp(host, "localhost") == 0)
		host = hints->ai_family == AF_INET6 ? "::1" : "127.0.0.1";
	if (hints->ai_family != AF_INET6 && inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)atoi(port));
		answer->info.ai_addrlen = sizeof *in;
	} else if (hints->ai_family != AF_INET && inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)atoi(port));
		answer->info.ai_addrlen = sizeof *in6;
	} else {
		free(answer);
		return EAI_NONAME;
	}
	answer->info.ai_addr = (struct sockaddr *)&answer->addr;
	*found = &answer->info;
	return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
	free((struct answer *)(void *)found);
}

/* ---- config/identity.h -------------------------------------------------------------------- */

static const char *const users[] = {"root", "daemon", "www-data", "nobody"};

static int id_of(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	for (size_t i = 0; i < sizeof users / sizeof *users; i++)
		if (strcmp(text, users[i]) == 0)
			return (int)i;
	return end != text && *end == '\0' && number >= 0 && number < 100000 ? (int)number : -1;
}

int identity_user_id(const char *text, uid_t *uid)
{
	int id = id_of(text);

	*uid = (uid_t)id;
	return id < 0 ? -1 : 0;
}

int identity_group_id(const char *text, gid_t *gid)
{
	int id = id_of(text);

	*gid = (gid_t)id;
	return id < 0 ? -1 : 0;
}

void identity_owner_text(uid_t uid, gid_t gid, char *text, size_t size)
{
	snprintf(text, size, "%lu:%lu", (unsigned long)uid, (unsigned long)gid);
}

int identity_find(struct identity *identity, const char *user, const char *group,
    const char **wrong, struct fault *why)
{
	*identity = (struct identity){.has_user = user != NULL, .has_group = group != NULL,
	    .root = identity->root};
	*wrong = user != NULL && identity_user_id(user, &identity->uid) != 0 ? user
	    : group != NULL && identity_group_id(group, &identity->gid) != 0 ? group
									     : NULL;
	return *wrong == NULL ? 0 : fault_set(why, "no such user or group");
}

void identity_fini(struct identity *identity)
{
	*identity = (struct identity){.has_user = false};
}

bool identity_is_set(const struct identity *identity)
{
	return identity->has_user || identity->has_group || identity->root != NULL;
}

int identity_drop_privileges(const struct identity *identity, struct fault *why)
{
	(void)identity;
	return fault_set(why, "not here");
}

int identity_rehearse(const struct identity *identity, identity_trial *trial, void *context,
    struct fault *why)
{
	(void)identity;
	return trial(context, why);
}
