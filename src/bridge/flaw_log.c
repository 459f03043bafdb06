/* SPDX-License-Identifier: ISC */
/*
 * flaw_log: the table.
 */
#include "bridge/flaw_log.h"

#include <stddef.h>

/* FNV-1a, of 64 bits. */
static uint64_t hash_flaw(const char *path, unsigned flaw)
{
	uint64_t hash = 14695981039346656037U;

	for (; *path != '\0'; path++)
		hash = (hash ^ (unsigned char)*path) * 1099511628211U;
	return (hash ^ flaw) * 1099511628211U;
}

bool flaw_log_admits(struct flaw_log *log, const char *path, unsigned flaw, int64_t now)
{
	uint64_t key = hash_flaw(path, flaw);
	size_t row = (size_t)(key >> 32) % FLAW_LOG_ROWS;
	size_t way = 0;

	for (size_t i = 0; i < FLAW_LOG_WAYS; i++) {
		if (log->told[row][i].key == key && log->told[row][i].until > now)
			return false;
		if (log->told[row][i].until < log->told[row][way].until)
			way = i;
	}
	log->told[row][way].key = key;
	log->told[row][way].until = now + FLAW_LOG_PAUSE;
	return true;
}
