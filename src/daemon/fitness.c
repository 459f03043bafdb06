/* SPDX-License-Identifier: ISC */
/*
 * fitness: limits at the start, and now.
 */
#include "daemon/fitness.h"

#include <stddef.h>

#include "base/sys.h"

/* The limits that accepting connections, starting scripts and running them depend on. */
static const struct {
	const char *name;
	sys_resource resource;
} limits[FITNESS_LIMITS] = {
	{"nofile", RLIMIT_NOFILE},
	{"as", RLIMIT_AS},
	{"data", RLIMIT_DATA},
	{"stack", RLIMIT_STACK},
	{"fsize", RLIMIT_FSIZE},
	{"cpu", RLIMIT_CPU},
#ifdef RLIMIT_NPROC
	{"nproc", RLIMIT_NPROC},
#else
	{"core", RLIMIT_CORE},
#endif
};

void fitness_init(struct fitness *fitness)
{
	*fitness = (struct fitness){.lost_since = 0};
	for (int i = 0; i < FITNESS_LIMITS; i++)
		if (getrlimit(limits[i].resource, &fitness->limits[i]) != 0)
			fitness->limits[i].rlim_cur = 0; /* no limit is lower */
}

const char *fitness_lowered(const struct fitness *fitness)
{
	for (int i = 0; i < FITNESS_LIMITS; i++) {
		struct rlimit now;

		if (getrlimit(limits[i].resource, &now) == 0 &&
		    now.rlim_cur < fitness->limits[i].rlim_cur)
			return limits[i].name;
	}
	return NULL;
}

static void look_at_scripts(struct fitness *fitness, const struct fitness_look *look)
{
	if (look->answers != fitness->answers)
		fitness->scripts_fail = false;
	else if (look->failures != fitness->failures)
		fitness->scripts_fail = true;
	fitness->answers = look->answers;
	fitness->failures = look->failures;
}

const char *fitness_lost(struct fitness *fitness, const struct fitness_look *look, int64_t patience)
{
	const char *limit;

	look_at_scripts(fitness, look);
	limit = look->accepts && !fitness->scripts_fail ? NULL : fitness_lowered(fitness);
	if (limit == NULL) {
		fitness->lost_since = 0;
		return NULL;
	}
	if (fitness->lost_since == 0)
		fitness->lost_since = look->now;
	return look->now - fitness->lost_since >= patience ? limit : NULL;
}
