/* SPDX-License-Identifier: ISC */
/*
 * fuzz_accesslog: a line of the access log, of any bytes: it is one line of printable ASCII, and
 * what a reader by the manual (cgibridge-status(7)) gets out of it is what was put in: each of
 * the 13 fields, or each member of the JSON object, in its place.  A text may be cut, if it is
 * long, and ends in "..." then.
 *
 * Input: numbers, and five texts that end in a NUL; one that is empty is not known.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "fuzz_text.h"
#include "stats/accesslog.h"

enum { FIELDS = 13, TEXTS = 5 };

static const char *const ends[] = {"ok", "failed", "short", "invalid", "refused", "timeout",
    "aborted", "lost", "detached", "stopped", "error"};

/* The names of the members, in the order of the fields. */
static const char *const names[FIELDS] = {"time", "peer", "method", "script", "uri", "status",
    "app_status", "bytes_in", "bytes_out", "duration", "pid", "ended", "remote_addr"};

/* A field as it has to be read: a number or word, or a text. */
struct wanted {
	char word[40];     /* "": not known */
	const char *text;  /* NULL: it is a word */
	size_t least;      /* a text that is cut has at least so many bytes of the line */
};

static uint64_t read_large(struct fuzz_input *input)
{
	uint64_t value = 0;

	for (unsigned n = fuzz_byte(input) % 9; n > 0; n--)
		value = value << 8 | fuzz_byte(input);
	return value;
}

/* ---- what is wanted ------------------------------------------------------------------------ */

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* The Gregorian calendar, year by year. */
static void put_time(char word[40], int64_t now)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t day = now / 86400000;
	int64_t rest = now % 86400000;
	int64_t year = 1970;
	int month = 0;

	for (; day >= 365 + is_leap(year); year++)
		day -= 365 + is_leap(year);
	for (; day >= lengths[month] + (month == 1 && is_leap(year)); month++)
		day -= lengths[month] + (month == 1 && is_leap(year));
	snprintf(word, 40, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int)year, month + 1, (int)day + 1,
	    (int)(rest / 3600000), (int)(rest / 60000 % 60), (int)(rest / 1000 % 60),
	    (int)(rest % 1000));
}

static void put_known(char word[40], uint64_t number)
{
	if (number != 0)
		snprintf(word, 40, "%" PRIu64, number);
}

static void list_wanted(struct wanted wanted[FIELDS], const struct accesslog_entry *entry,
    int64_t now)
{
	memset(wanted, 0, FIELDS * sizeof *wanted);
	put_time(wanted[0].word, now);
	wanted[1] = (struct wanted){"", entry->peer == NULL ? "" : entry->peer, 48};
	wanted[2] = (struct wanted){"", entry->method == NULL ? "" : entry->method, 48};
	wanted[3] = (struct wanted){"", entry->script == NULL ? "" : entry->script, 1000};
	wanted[4] = (struct wanted){"", entry->uri == NULL ? "" : entry->uri, 1500};
	put_known(wanted[5].word, (uint64_t)entry->status);
	snprintf(wanted[6].word, 40, "%" PRIu32, entry->app_status);
	snprintf(wanted[7].word, 40, "%" PRIu64, entry->in);
	snprintf(wanted[8].word, 40, "%" PRIu64, entry->out);
	snprintf(wanted[9].word, 40, "%" PRId64 ".%03d", entry->duration / 1000,
	    (int)(entry->duration % 1000));
	put_known(wanted[10].word, (uint64_t)entry->pid);
	snprintf(wanted[11].word, 40, "%s", ends[entry->end]);
	wanted[12] = (struct wanted){"", entry->client == NULL ? "" : entry->client, 48};
}

/* Whether `got`, of `size` bytes in the line, is `text`, or its beginning and "...". */
static void check_field(const char *got, size_t size, const char *text, size_t least)
{
	size_t len = strlen(got);

	if (strcmp(got, text) == 0)
		return;
	fuzz_require(size >= least && len >= 3 && strcmp(got + len - 3, "...") == 0);
	fuzz_require(strncmp(got, text, len - 3) == 0 && strlen(text) > len - 3);
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Two hexadecimal digits in lower case. */
static unsigned read_byte(const char *at)
{
	static const char hex[] = "0123456789abcdef";
	const char *high = strchr(hex, at[0]);
	const char *low = at[0] == '\0' || high == NULL ? NULL : strchr(hex, at[1]);

	fuzz_require(high != NULL && low != NULL && at[1] != '\0');
	return (unsigned)(high - hex) * 16 + (unsigned)(low - hex);
}

/* Decodes a field in place; only what has to be escaped is. */
static void decode_field(char *field)
{
	char *to = field;

	for (char *at = field; *at != '\0';) {
		unsigned byte = (unsigned char)*at++;

		if (byte == '\\') {
			fuzz_require(*at++ == 'x');
			byte = read_byte(at);
			at += 2;
			fuzz_require(byte != 0);
			fuzz_require(byte <= ' ' || byte >= 0x7f || byte == '\\');
		}
		*to++ = (char)byte;
	}
	*to = '\0';
}

static void check_text(char *line, const struct wanted wanted[FIELDS])
{
	char *at = line;

	for (int i = 0; i < FIELDS; i++) {
		char *end = at + strcspn(at, " ");
		size_t size = (size_t)(end - at);

		fuzz_require(size > 0 && (*end == '\0') == (i == FIELDS - 1));
		*end = '\0';
		if (wanted[i].text == NULL || *wanted[i].text == '\0') {
			fuzz_require(strcmp(at, *wanted[i].word == '\0' ? "-" : wanted[i].word) == 0);
		} else {
			decode_field(at);
			check_field(at, size, wanted[i].text, wanted[i].least);
		}
		at = end + 1;
	}
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* The text with each byte that is not UTF-8 as \xHH; to be freed. */
static char *make_utf8(const char *text)
{
	size_t left = strlen(text);
	char *made = malloc(4 * left + 1);
	char *to = made;

	fuzz_require(made != NULL);
	while (left > 0) {
		size_t n = fuzz_character(text, left);

		if (n == 0)
			to += snprintf(to, 5, "\\x%02x", (unsigned)(unsigned char)*text);
		memcpy(to, text, n);
		to += n;
		text += n + (n == 0);
		left -= n + (n == 0);
	}
	*to = '\0';
	return made;
}

static void check_member(struct fuzz_json value, const struct wanted *wanted, bool is_string)
{
	char *got, *text;

	fuzz_require(value.at != NULL);
	if (wanted->text == NULL && !is_string) {
		fuzz_require(fuzz_json_is(value, *wanted->word == '\0' ? "null" : wanted->word));
		return;
	}
	if (wanted->text != NULL && *wanted->text == '\0') {
		fuzz_require(fuzz_json_is(value, "null"));
		return;
	}
	got = fuzz_json_string(value);
	text = make_utf8(wanted->text == NULL ? wanted->word : wanted->text);
	check_field(got, value.len - 2, text, wanted->least);
	free(text);
	free(got);
}

static void check_json(const char *line, size_t len, const struct wanted wanted[FIELDS])
{
	struct fuzz_json object = {line, len};

	fuzz_require(fuzz_is_json(line, len) && line[0] == '{');
	for (int i = 0; i < FIELDS; i++)
		check_member(fuzz_json_member(object, names[i]), &wanted[i], i == 0 || i == 11);
}

static void check_line(enum accesslog_form form, const struct accesslog_entry *entry, int64_t now)
{
	char line[ACCESSLOG_LINE_MAX + 1];
	size_t len = accesslog_format(form, entry, now, line);
	struct wanted wanted[FIELDS];

	fuzz_require(len > 1 && len <= ACCESSLOG_LINE_MAX && line[len - 1] == '\n');
	for (size_t i = 0; i < len - 1; i++)
		fuzz_require(line[i] >= 0x20 && line[i] <= 0x7e);
	line[len - 1] = '\0';
	list_wanted(wanted, entry, now);
	if (form == ACCESSLOG_JSON)
		check_json(line, len - 1, wanted);
	else
		check_text(line, wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len};
	struct accesslog_entry entry;
	const char **fields[] = {&entry.peer, &entry.method, &entry.script, &entry.uri, &entry.client};
	char *texts[TEXTS];
	int64_t now;

	entry.status = (int)fuzz_number(&input);
	entry.end = (enum accesslog_end)(fuzz_byte(&input) % (ACCESSLOG_ERROR + 1));
	entry.app_status = (uint32_t)read_large(&input);
	entry.in = read_large(&input);
	entry.out = read_large(&input);
	entry.duration = (int64_t)(read_large(&input) >> 12); /* a time is never negative */
	entry.pid = (pid_t)fuzz_number(&input);
	now = (int64_t)(read_large(&input) >> 20);
	for (size_t i = 0; i < TEXTS; i++) {
		texts[i] = fuzz_text(&input);
		*fields[i] = texts[i][0] == '\0' && i % 2 == 0 ? NULL : texts[i];
	}
	check_line(ACCESSLOG_TEXT, &entry, now);
	check_line(ACCESSLOG_JSON, &entry, now);
	for (size_t i = 0; i < TEXTS; i++)
		free(texts[i]);
	return 0;
}
