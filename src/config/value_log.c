/* SPDX-License-Identifier: ISC */
/*
 * value_log: the destinations of the logs.
 */
#include <stdio.h>
#include <string.h>

#include "base/log_syslog.h"
#include "config/value.h"
#include "stats/accesslog.h"

static int read_facility(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	int facility = log_facility_parse(value);

	(void)rule;
	if (facility < 0)
		return fault_set(why, "expected a syslog facility: daemon, user, auth, authpriv, cron, "
		    "ftp, lpr, mail, news, syslog, uucp or local0 to local7");
	*(int *)member = facility;
	return 0;
}

static void write_facility(const struct value_rule *rule, const void *member, char *text)
{
	(void)rule;
	snprintf(text, VALUE_TEXT_MAX, "%s", log_facility_name(*(const int *)member));
}

static int read_file(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	(void)rule;
	if (value[0] != '/')
		return fault_set(why, "expected an absolute path");
	*(const char **)member = value;
	return 0;
}

static int read_access_log(const struct value_rule *rule, void *member, const char *value,
    struct fault *why)
{
	struct accesslog_target *target = member;

	(void)rule;
	if (strcmp(value, "-") != 0 && strcmp(value, "syslog") != 0 && value[0] != '/')
		return fault_set(why,
		    "expected an absolute path, \"syslog\", or \"-\" for standard output");
	*target = (struct accesslog_target){.way = value[0] == '/' ? ACCESSLOG_FILE
		: value[0] == '-'				   ? ACCESSLOG_STDOUT
								   : ACCESSLOG_SYSLOG,
	    .text = value};
	return 0;
}

static void write_access_log(const struct value_rule *rule, const void *member, char *text)
{
	const struct accesslog_target *target = member;

	(void)rule;
	snprintf(text, VALUE_TEXT_MAX, "%s", target->way == ACCESSLOG_NONE ? "" : target->text);
}

static void write_path(const struct value_rule *rule, const void *member, char *text)
{
	const char *path = *(const char *const *)member;

	(void)rule;
	snprintf(text, VALUE_TEXT_MAX, "%s", path == NULL ? "" : path);
}

const struct value_kind value_facility = {read_facility, write_facility, NULL};
const struct value_kind value_file = {read_file, write_path, NULL};
const struct value_kind value_access_log = {read_access_log, write_access_log, NULL};
