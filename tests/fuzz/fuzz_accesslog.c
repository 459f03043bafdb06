/* SPDX-License-Identifier: ISC */
/*
 * fuzz_accesslog: a line of the access log, of any bytes: it is one line of printable ASCII with
 * as many fields as any other, or one JSON value.
 *
 * Input: numbers, and five texts that end in a NUL; one that is empty is not known.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "fuzz_text.h"
#include "stats/accesslog.h"

static uint64_t read_large(struct fuzz_input *input)
{
	uint64_t value = 0;

	for (unsigned n = fuzz_byte(input) % 9; n > 0; n--)
		value = value << 8 | fuzz_byte(input);
	return value;
}

static void check_text(const char *line, size_t len)
{
	size_t blanks = 0;

	for (size_t i = 0; i < len; i++)
		blanks += line[i] == ' ';
	fuzz_require(blanks == 12);
	fuzz_require(strstr(line, "  ") == NULL);
}

static void check_line(enum accesslog_form form, const struct accesslog_entry *entry, int64_t now)
{
	char line[ACCESSLOG_LINE_MAX + 1];
	size_t len = accesslog_format(form, entry, now, line);

	fuzz_require(len > 1 && len <= ACCESSLOG_LINE_MAX);
	fuzz_require(line[len - 1] == '\n' && memchr(line, '\0', len) == NULL);
	line[len] = '\0';
	for (size_t i = 0; i < len - 1; i++)
		fuzz_require(line[i] >= 0x20 && line[i] <= 0x7e);
	if (form == ACCESSLOG_JSON)
		fuzz_require(fuzz_is_json(line, len - 1));
	else
		check_text(line, len - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len};
	struct accesslog_entry entry = {.status = (int)fuzz_number(&input),
	    .end = (enum accesslog_end)(fuzz_byte(&input) % (ACCESSLOG_ERROR + 1)),
	    .app_status = (uint32_t)read_large(&input),
	    .in = read_large(&input),
	    .out = read_large(&input),
	    .duration = (int64_t)(read_large(&input) >> 12), /* a time is never negative */
	    .pid = (pid_t)fuzz_number(&input)};
	int64_t now = (int64_t)(read_large(&input) >> 20);
	const char **fields[] = {&entry.peer, &entry.method, &entry.script, &entry.uri, &entry.client};
	char *texts[5];

	for (size_t i = 0; i < 5; i++) {
		texts[i] = fuzz_text(&input);
		*fields[i] = texts[i][0] == '\0' && i % 2 == 0 ? NULL : texts[i];
	}
	check_line(ACCESSLOG_TEXT, &entry, now);
	check_line(ACCESSLOG_JSON, &entry, now);
	for (size_t i = 0; i < 5; i++)
		free(texts[i]);
	return 0;
}
