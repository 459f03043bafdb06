/* SPDX-License-Identifier: ISC */
/*
 * value_allow: the clients that may connect; both kinds use the same struct allow.
 */
#include "config/allow.h"
#include "config/identity.h"
#include "config/value.h"

static int read_network(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	(void)rule;
	return allow_add_network(member, value, why);
}

static int read_user(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	uid_t uid;

	(void)rule;
	if (identity_user_id(value, &uid) != 0)
		return fault_set(why, "there is no such user");
	return allow_add_user(member, uid, value) == 0 ? 0 : fault_set(why, "out of memory");
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
