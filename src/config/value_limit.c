/* SPDX-License-Identifier: ISC */
/*
 * value_limit: resource limits, "NAME=VALUE".
 *
 * cpu takes a time, as, data, stack, fsize and core take sizes, nofile and nproc numbers;
 * all take "unlimited".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/value.h"

/* Seconds between SIGXCPU, which a script may catch, and the kernel's KILL. */
enum { CPU_GRACE = 1 };

static long long read_seconds(const char *text)
{
	int64_t ms = value_time(text);

	return ms < 0 ? -1 : ms / 1000 + (ms % 1000 != 0);
}

static long long read_number(const char *text)
{
	const char *rest = "";
	long long number = value_leading_number(text, &rest);

	return *rest == '\0' ? number : -1;
}

static const struct resource {
	const char *name;
	sys_resource id;
	long long (*read)(const char *text);
} resources[] = {{"cpu", RLIMIT_CPU, read_seconds}, {"as", RLIMIT_AS, value_bytes},
    {"data", RLIMIT_DATA, value_bytes}, {"stack", RLIMIT_STACK, value_bytes},
    {"nofile", RLIMIT_NOFILE, read_number}, {"nproc", RLIMIT_NPROC, read_number},
    {"fsize", RLIMIT_FSIZE, value_bytes}, {"core", RLIMIT_CORE, value_bytes}};

/* The resource whose name is these `len` bytes, or NULL. */
static const struct resource *find_resource(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof resources / sizeof *resources; i++)
		if (strlen(resources[i].name) == len && memcmp(resources[i].name, name, len) == 0)
			return &resources[i];
	return NULL;
}

/* The hard limit for the soft one: higher for cpu, if our own hard limit allows it. */
static rlim_t hard_limit(const struct sys_limit *limit)
{
	rlim_t soft = limit->value.rlim_cur;
	struct rlimit ours;

	if (limit->resource != RLIMIT_CPU || soft >= RLIM_INFINITY - CPU_GRACE)
		return soft;
	if (getrlimit(RLIMIT_CPU, &ours) == 0 && ours.rlim_max >= soft &&
	    ours.rlim_max - soft < CPU_GRACE)
		return ours.rlim_max;
	return soft + CPU_GRACE;
}

int value_limit_check(const struct sys_limit *limit, struct fault *why)
{
	struct rlimit now;

	if (geteuid() == 0 || getrlimit(limit->resource, &now) != 0 ||
	    now.rlim_max == RLIM_INFINITY || limit->value.rlim_max <= now.rlim_max)
		return 0;
	return fault_set(why, "the hard limit of this process is %llu",
	    (unsigned long long)now.rlim_max);
}

static int parse(const char *text, struct sys_limit *limit, struct fault *why)
{
	size_t len = strcspn(text, "=");
	const struct resource *resource = find_resource(text, len);
	const char *value = text + len + 1;
	long long amount;

	fault_set(why, "expected NAME=VALUE, such as cpu=30s, as=512M or nofile=256; the names are "
	    "cpu, as, data, stack, nofile, nproc, fsize, core");
	if (resource == NULL || text[len] != '=')
		return -1;
	limit->resource = resource->id;
	limit->value.rlim_cur = RLIM_INFINITY;
	if (strcmp(value, "unlimited") != 0) {
		amount = resource->read(value);
		if (amount < 0)
			return -1;
		limit->value.rlim_cur = (rlim_t)amount;
	}
	limit->value.rlim_max = hard_limit(limit);
	return value_limit_check(limit, why);
}

static int read_limit(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	struct value_limits *limits = member;
	struct value_limit *items = realloc(limits->items, (limits->count + 1) * sizeof *items);

	(void)rule;
	if (items == NULL)
		return fault_set(why, "out of memory");
	limits->items = items;
	if (parse(value, &items[limits->count].limit, why) != 0)
		return -1;
	items[limits->count++].text = value;
	return 0;
}

static const char *limit_item(const void *member, size_t i)
{
	const struct value_limits *limits = member;

	return i < limits->count ? limits->items[i].text : NULL;
}

const struct value_kind value_limit_kind = {read_limit, NULL, limit_item};
