/* SPDX-License-Identifier: ISC */
/*
 * value_allow: the clients that may connect; both kinds use the same struct allow.
 */
#include "config/allow.h"
#include "config/identity.h"
#include "config/value.h"

static int read_network(const struct value_rule *rule, void *member, const char *value,
    const char **why)
{
	static struct fault fault;

	(void)rule;
	*why = fault.text;
	return allow_add_network(member, value, &fault);
}

static int read_user(const struct value_rule *rule, void *member, const char *value,
    const char **why)
{
	uid_t uid;

	(void)rule;
	*why = "there is no such user";
	if (identity_user_id(value, &uid) != 0)
		return -1;
	*why = "out of memory";
	return allow_add_user(member, uid, value);
}

/* Networks that were not given in an option come last, and have no text. */
static const char *network_item(const void *member, size_t i)
{
	const struct allow *allow = member;

	return i < allow->network_count ? allow->networks[i].text : NULL;
}

static const char *user_item(const void *member, size_t i)
{
	const struct allow *allow = member;

	return i < allow->user_count ? allow->users[i].text : NULL;
}

const struct value_kind value_allow = {read_network, NULL, network_item};
const struct value_kind value_allow_user = {read_user, NULL, user_item};
