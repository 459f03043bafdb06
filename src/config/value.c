/* SPDX-License-Identifier: ISC */
/*
 * value: the text of an option's value <-> its C form, kind by kind.
 */
#include "config/value.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/identity.h"

static int out_of_range(struct fault *why, const char *kind, const struct value_rule *rule)
{
	return fault_set(why, "expected %s from %lld to %lld", kind, rule->min, rule->max);
}

long long value_leading_number(const char *text, const char **rest)
{
	char *end;
	long long number;

	if (text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	number = strtoll(text, &end, 10);
	*rest = end;
	return errno != 0 ? -1 : number;
}

/* `number` times `unit`, or -1 on overflow. */
static long long scaled(long long number, long long unit)
{
	return number < 0 || number > LLONG_MAX / unit ? -1 : number * unit;
}

/* Every parsed time, an option's or a client's, passes here: nothing else has to check it. */
static int64_t bounded_time(long long ms)
{
	return ms > VALUE_TIME_MAX ? -1 : ms;
}

int64_t value_time(const char *text)
{
	static const struct {
		const char *suffix;
		long long ms;
	} units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000}, {"h", 3600000}};
	const char *suffix = "";
	long long number = value_leading_number(text, &suffix);

	for (size_t i = 0; number >= 0 && i < sizeof units / sizeof *units; i++)
		if (strcmp(suffix, units[i].suffix) == 0)
			return bounded_time(scaled(number, units[i].ms));
	return -1;
}

long long value_bytes(const char *text)
{
	static const char units[] = "KMG";
	const char *suffix = "";
	long long number = value_leading_number(text, &suffix);
	const char *unit;

	if (number < 0 || *suffix == '\0')
		return number;
	unit = strchr(units, *suffix);
	if (unit == NULL || suffix[1] != '\0')
		return -1;
	return scaled(number, 1LL << (10 * (unit - units + 1)));
}

static int read_number(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	const char *rest = "";
	long long number = value_leading_number(value, &rest);

	if (number < rule->min || number > rule->max || *rest != '\0')
		return out_of_range(why, "a number", rule);
	*(int *)member = (int)number;
	return 0;
}

static int read_time(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	int64_t ms = value_time(value);

	if (ms < rule->min || ms > rule->max)
		return fault_set(why, "expected a time such as 500ms, 10s, 5m or 1h, at most 8760h");
	*(int64_t *)member = ms;
	return 0;
}

static int read_size(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	long long size = value_bytes(value);

	if (size < rule->min || size > rule->max)
		return out_of_range(why, "a size such as 64K, 10M or 1G, in bytes", rule);
	*(uint64_t *)member = (uint64_t)size;
	return 0;
}

static int read_choice(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	const char *at = rule->choices;
	size_t len = strlen(value);

	for (int i = 0; at != NULL; i++) {
		size_t item = strcspn(at, "|");

		if (item == len && memcmp(at, value, len) == 0) {
			*(int *)member = i;
			return 0;
		}
		at = at[item] == '|' ? at + item + 1 : NULL;
	}
	return fault_set(why, "expected one of %s", rule->choices);
}

static int read_item(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	struct value_list *list = member;
	const char **items = realloc(list->items, (list->count + 1) * sizeof *items);

	(void)rule;
	if (items == NULL)
		return fault_set(why, "out of memory");
	items[list->count++] = value;
	list->items = items;
	return 0;
}

static int read_path(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	if (value[0] == '/')
		return read_item(rule, member, value, why);
	return fault_set(why, "expected an absolute path");
}

static int read_word(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	(void)rule;
	if (*value == '\0')
		return fault_set(why, "expected a value that is not empty");
	*(const char **)member = value;
	return 0;
}

static int read_directory(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	if (value[0] == '/')
		return read_word(rule, member, value, why);
	return fault_set(why, "expected the absolute path of a directory");
}

static int read_mode(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	char *end;
	long mode = strtol(value, &end, 8);

	(void)rule;
	if (value[0] < '0' || value[0] > '7' || *end != '\0' || mode > 0777)
		return fault_set(why, "expected an octal file mode from 0 to 0777");
	*(int *)member = (int)mode;
	return 0;
}

/* USER[:GROUP]; a user alone leaves the group as it is. */
static int read_owner(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	struct value_owner *owner = member;
	char user[128];
	const char *colon = strchr(value, ':');
	size_t len = colon == NULL ? strlen(value) : (size_t)(colon - value);
	uid_t uid;
	gid_t gid = owner->gid;

	(void)rule;
	fault_set(why, "expected USER or USER:GROUP, both of which have to exist");
	if (len >= sizeof user)
		return -1;
	memcpy(user, value, len);
	user[len] = '\0';
	if (identity_user_id(user, &uid) != 0)
		return -1;
	if (colon != NULL && identity_group_id(colon + 1, &gid) != 0)
		return -1;
	*owner = (struct value_owner){.uid = uid, .gid = gid};
	return 0;
}

static const char *item_of_list(const void *member, size_t i)
{
	const struct value_list *list = member;

	return i < list->count ? list->items[i] : NULL;
}

/* ---- writing ------------------------------------------------------------- */

static void write_number(const struct value_rule *rule, const void *member, char *text)
{
	(void)rule;
	snprintf(text, VALUE_TEXT_MAX, "%d", *(const int *)member);
}

static void write_time(const struct value_rule *rule, const void *member, char *text)
{
	int64_t ms = *(const int64_t *)member;

	(void)rule;
	if (ms % 1000 == 0)
		snprintf(text, VALUE_TEXT_MAX, "%llds", (long long)ms / 1000);
	else
		snprintf(text, VALUE_TEXT_MAX, "%lldms", (long long)ms);
}

static void write_size(const struct value_rule *rule, const void *member, char *text)
{
	static const char *const units[] = {"", "K", "M", "G"};
	uint64_t size = *(const uint64_t *)member;
	size_t unit = 0;

	(void)rule;
	while (unit < 3 && size > 0 && size % 1024 == 0) {
		size /= 1024;
		unit++;
	}
	snprintf(text, VALUE_TEXT_MAX, "%llu%s", (unsigned long long)size, units[unit]);
}

static void write_choice(const struct value_rule *rule, const void *member, char *text)
{
	const char *at = rule->choices;

	for (int i = *(const int *)member; i > 0; i--)
		at += strcspn(at, "|") + 1;
	snprintf(text, VALUE_TEXT_MAX, "%.*s", (int)strcspn(at, "|"), at);
}

static void write_mode(const struct value_rule *rule, const void *member, char *text)
{
	(void)rule;
	snprintf(text, VALUE_TEXT_MAX, "0%o", (unsigned)*(const int *)member);
}

static void write_text(const struct value_rule *rule, const void *member, char *text)
{
	const char *value = *(const char *const *)member;

	(void)rule;
	snprintf(text, VALUE_TEXT_MAX, "%s", value == NULL ? "" : value);
}

static void write_owner(const struct value_rule *rule, const void *member, char *text)
{
	const struct value_owner *owner = member;

	(void)rule;
	text[0] = '\0';
	if (owner->uid != (uid_t)-1 && owner->gid != (gid_t)-1)
		snprintf(text, VALUE_TEXT_MAX, "%ld:%ld", (long)owner->uid, (long)owner->gid);
	else if (owner->uid != (uid_t)-1)
		snprintf(text, VALUE_TEXT_MAX, "%ld", (long)owner->uid);
}

const struct value_kind value_number = {read_number, write_number, NULL};
const struct value_kind value_time_kind = {read_time, write_time, NULL};
const struct value_kind value_size = {read_size, write_size, NULL};
const struct value_kind value_choice = {read_choice, write_choice, NULL};
const struct value_kind value_mode = {read_mode, write_mode, NULL};
const struct value_kind value_owner_kind = {read_owner, write_owner, NULL};
const struct value_kind value_word = {read_word, write_text, NULL};
const struct value_kind value_directory = {read_directory, write_text, NULL};
const struct value_kind value_path = {read_path, NULL, item_of_list};
