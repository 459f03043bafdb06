/* SPDX-License-Identifier: ISC */
/*
 * fuzz_text: see fuzz_text.h.  These are readers by the book, and share no code with what
 * writes the text.
 */
#include "fuzz_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

enum { DEEP = 20, MEMBERS = 64 };

struct text {
	const char *at, *end;
};

static char peek(const struct text *text)
{
	return text->at < text->end ? *text->at : '\0';
}

static bool skip(struct text *text, char c)
{
	if (text->at == text->end || *text->at != c)
		return false;
	text->at++;
	return true;
}

static bool skip_word(struct text *text, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(text->end - text->at) < len || memcmp(text->at, word, len) != 0)
		return false;
	text->at += len;
	return true;
}

static size_t skip_any(struct text *text, const char *set)
{
	const char *from = text->at;

	while (text->at < text->end && *text->at != '\0' && strchr(set, *text->at) != NULL)
		text->at++;
	return (size_t)(text->at - from);
}

/* ---- JSON ------------------------------------------------------------------------------- */

static const char blanks[] = " \t\r\n";
static const char digits[] = "0123456789";
static const char hex[] = "0123456789abcdefABCDEF";

static bool skip_number(struct text *text)
{
	(void)skip(text, '-');
	if (!skip(text, '0') && skip_any(text, digits) == 0)
		return false;
	if (skip(text, '.') && skip_any(text, digits) == 0)
		return false;
	if (!skip(text, 'e') && !skip(text, 'E'))
		return true;
	(void)(skip(text, '-') || skip(text, '+'));
	return skip_any(text, digits) > 0;
}

/* Four hexadecimal digits; their number, or -1. */
static long read_unit(struct text *text)
{
	long unit = 0;

	for (int i = 0; i < 4; i++, text->at++) {
		const char *digit = text->at == text->end || *text->at == '\0'
		    ? NULL : strchr(hex, *text->at);

		if (digit == NULL)
			return -1;
		unit = unit * 16 + (digit - hex < 16 ? digit - hex : digit - hex - 6);
	}
	return unit;
}

/* What follows a backslash; half of a pair of surrogates is not a character. */
static bool skip_escape(struct text *text)
{
	long unit;

	if (!skip(text, 'u'))
		return text->at < text->end && *text->at != '\0' &&
		    strchr("\"\\/bfnrt", *text->at++) != NULL;
	unit = read_unit(text);
	if (unit >= 0xd800 && unit < 0xdc00) {
		unit = skip_word(text, "\\u") ? read_unit(text) : -1;
		return unit >= 0xdc00 && unit < 0xe000;
	}
	return unit >= 0 && (unit < 0xdc00 || unit >= 0xe000);
}

static bool skip_string(struct text *text)
{
	const char *from;

	if (!skip(text, '"'))
		return false;
	from = text->at;
	while (text->at < text->end && *text->at != '"')
		if (*text->at++ == '\\' && !skip_escape(text))
			return false;
	return fuzz_is_text(from, (size_t)(text->at - from)) && skip(text, '"');
}

static bool skip_value(struct text *text, int depth);

/* The names of an object's members, so far. */
struct names {
	struct text list[MEMBERS];
	size_t count;
};

/* The name of a member, which no other has, and the colon. */
static bool skip_member_name(struct text *text, struct names *names)
{
	struct text name = *text;

	if (names->count == MEMBERS || !skip_string(text))
		return false;
	name.end = text->at;
	for (size_t i = 0; i < names->count; i++)
		if (names->list[i].end - names->list[i].at == name.end - name.at &&
		    memcmp(names->list[i].at, name.at, (size_t)(name.end - name.at)) == 0)
			return false;
	names->list[names->count++] = name;
	skip_any(text, blanks);
	return skip(text, ':');
}

/* What stands between `open` and `close`, separated by commas; members have names. */
static bool skip_items(struct text *text, char open, char close, int depth)
{
	struct names names;

	names.count = 0;
	if (!skip(text, open) || depth == DEEP)
		return false;
	skip_any(text, blanks);
	if (skip(text, close))
		return true;
	do {
		skip_any(text, blanks);
		if (open == '{' && !skip_member_name(text, &names))
			return false;
		if (!skip_value(text, depth + 1))
			return false;
	} while (skip(text, ','));
	return skip(text, close);
}

static bool skip_scalar(struct text *text)
{
	if (peek(text) == '"')
		return skip_string(text);
	if (skip_word(text, "true") || skip_word(text, "false") || skip_word(text, "null"))
		return true;
	return skip_number(text);
}

static bool skip_value(struct text *text, int depth)
{
	bool good;

	skip_any(text, blanks);
	if (peek(text) == '{')
		good = skip_items(text, '{', '}', depth);
	else if (peek(text) == '[')
		good = skip_items(text, '[', ']', depth);
	else
		good = skip_scalar(text);
	skip_any(text, blanks);
	return good;
}

bool fuzz_is_json(const char *bytes, size_t len)
{
	struct text text = {bytes, bytes + len};

	return skip_value(&text, 0) && text.at == text.end;
}

struct fuzz_json fuzz_json_member(struct fuzz_json object, const char *name)
{
	struct text text = {object.at + 1, object.at + object.len};
	size_t len = strlen(name);

	fuzz_require(object.len >= 2 && *object.at == '{');
	for (skip_any(&text, blanks); peek(&text) == '"'; skip_any(&text, blanks)) {
		const char *from = text.at + 1;
		bool same;
		struct fuzz_json value;

		fuzz_require(skip_string(&text));
		same = (size_t)(text.at - from) == len + 1 && memcmp(from, name, len) == 0;
		skip_any(&text, blanks);
		fuzz_require(skip(&text, ':'));
		skip_any(&text, blanks);
		value.at = text.at;
		fuzz_require(skip_value(&text, 0));
		value.len = (size_t)(text.at - value.at);
		if (same)
			return value;
		(void)skip(&text, ',');
	}
	return (struct fuzz_json){NULL, 0};
}

struct fuzz_json fuzz_json_item(struct fuzz_json array, size_t number)
{
	struct text text = {array.at + 1, array.at + array.len};

	fuzz_require(array.len >= 2 && *array.at == '[');
	for (skip_any(&text, blanks); peek(&text) != ']'; skip_any(&text, blanks)) {
		struct fuzz_json value = {.at = text.at};

		fuzz_require(skip_value(&text, 0));
		value.len = (size_t)(text.at - value.at);
		if (number-- == 0)
			return value;
		(void)skip(&text, ',');
	}
	return (struct fuzz_json){NULL, 0};
}

bool fuzz_json_is(struct fuzz_json value, const char *text)
{
	while (value.len > 0 && strchr(blanks, value.at[value.len - 1]) != NULL)
		value.len--;
	return value.at != NULL && value.len == strlen(text) && memcmp(value.at, text, value.len) == 0;
}

double fuzz_json_number(struct fuzz_json value)
{
	struct text text = {value.at, value.at + value.len};

	fuzz_require(value.at != NULL && skip_number(&text));
	return strtod(value.at, NULL); /* more text follows it */
}

/* Writes a character as UTF-8; returns its end. */
static char *put_character(char *to, unsigned long point)
{
	if (point < 0x80) {
		*to++ = (char)point;
		return to;
	}
	if (point < 0x800)
		*to++ = (char)(0xc0 | point >> 6);
	else {
		if (point < 0x10000)
			*to++ = (char)(0xe0 | point >> 12);
		else {
			*to++ = (char)(0xf0 | point >> 18);
			*to++ = (char)(0x80 | (point >> 12 & 0x3f));
		}
		*to++ = (char)(0x80 | (point >> 6 & 0x3f));
	}
	*to++ = (char)(0x80 | (point & 0x3f));
	return to;
}

/* The character of an escape, whose backslash has been skipped. */
static unsigned long read_escape(struct text *text)
{
	static const char named[] = "bfnrt", meant[] = "\b\f\n\r\t";
	const char *name;
	unsigned long unit;

	if (!skip(text, 'u')) {
		name = strchr(named, *text->at);
		return (unsigned char)(name == NULL ? *text->at++
						    : (text->at++, meant[name - named]));
	}
	unit = (unsigned long)read_unit(text);
	if (unit < 0xd800 || unit >= 0xe000)
		return unit;
	(void)skip_word(text, "\\u");
	return 0x10000 + ((unit - 0xd800) << 10) + ((unsigned long)read_unit(text) - 0xdc00);
}

char *fuzz_json_string(struct fuzz_json value)
{
	struct text text = {value.at + 1, value.at + value.len};
	char *string = malloc(value.len + 1);
	char *to = string;

	fuzz_require(string != NULL && value.len >= 2 && *value.at == '"');
	while (*text.at != '"') {
		if (skip(&text, '\\'))
			to = put_character(to, read_escape(&text));
		else
			*to++ = *text.at++;
		fuzz_require(to[-1] != '\0');
	}
	*to = '\0';
	return string;
}

/* ---- metrics ------------------------------------------------------------------------------ */

static const char letters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789";

enum { NAME_MAX_LEN = 128, LABELS = 4 };

/* The metric whose lines are being read. */
struct family {
	char name[NAME_MAX_LEN], type[16];
	bool helped, typed;
	size_t samples;
	double bound, bucket;        /* of the last bucket */
	bool ended, counted, summed; /* a histogram: +Inf, _count, _sum */
};

struct sample {
	char name[NAME_MAX_LEN];
	char labels[LABELS][2][NAME_MAX_LEN];
	size_t count;
	double value;
};

/* Copies the name at `text`; false if there is none. */
static bool read_name(struct text *text, char name[NAME_MAX_LEN])
{
	const char *from = text->at;
	size_t len;

	if (peek(text) == '\0' || strchr(digits, peek(text)) != NULL)
		return false;
	len = skip_any(text, letters);
	if (len == 0 || len >= NAME_MAX_LEN)
		return false;
	memcpy(name, from, len);
	name[len] = '\0';
	return true;
}

static bool read_label_value(struct text *text, char value[NAME_MAX_LEN])
{
	const char *from = text->at + 1;
	size_t len;

	if (!skip(text, '"'))
		return false;
	while (text->at < text->end && *text->at != '"')
		if (*text->at++ == '\\' && (text->at == text->end || *text->at == '\0' ||
					       strchr("\\\"n", *text->at++) == NULL))
			return false;
	len = (size_t)(text->at - from);
	if (len >= NAME_MAX_LEN)
		return false;
	memcpy(value, from, len);
	value[len] = '\0';
	return skip(text, '"');
}

static bool read_labels(struct text *text, struct sample *sample)
{
	if (!skip(text, '{'))
		return true;
	do {
		char *name = sample->labels[sample->count][0];

		if (sample->count == LABELS || !read_name(text, name) || strchr(name, ':') != NULL)
			return false;
		if (!skip(text, '=') || !read_label_value(text, sample->labels[sample->count][1]))
			return false;
		for (size_t i = 0; i < sample->count; i++)
			if (strcmp(sample->labels[i][0], name) == 0)
				return false;
		sample->count++;
	} while (skip(text, ','));
	return skip(text, '}');
}

static bool read_sample(struct text line, struct sample *sample)
{
	const char *number;

	memset(sample, 0, sizeof *sample);
	if (!read_name(&line, sample->name) || !read_labels(&line, sample) || !skip(&line, ' '))
		return false;
	number = line.at;
	if (!skip_number(&line) || line.at != line.end)
		return false;
	sample->value = strtod(number, NULL);
	return true;
}

static const char *label_of(const struct sample *sample, const char *name)
{
	for (size_t i = 0; i < sample->count; i++)
		if (strcmp(sample->labels[i][0], name) == 0)
			return sample->labels[i][1];
	return NULL;
}

/* The buckets come first, bounds and counts grow, and the last one has no bound. */
static bool is_next_bucket(struct family *family, const struct sample *sample)
{
	const char *le = label_of(sample, "le");
	bool first = family->samples == 0;
	double bound;

	if (le == NULL || family->ended || family->counted || family->summed)
		return false;
	family->ended = strcmp(le, "+Inf") == 0;
	bound = strtod(le, NULL);
	if (!family->ended && (strchr(le, '.') == NULL || (!first && bound <= family->bound)))
		return false;
	if (sample->value < 0 || (!first && sample->value < family->bucket))
		return false;
	family->bound = bound;
	family->bucket = sample->value;
	return true;
}

static bool is_of_histogram(struct family *family, const struct sample *sample, const char *suffix)
{
	bool *once = strcmp(suffix, "_count") == 0 ? &family->counted
	    : strcmp(suffix, "_sum") == 0 ? &family->summed : NULL;

	if (strcmp(suffix, "_bucket") == 0)
		return is_next_bucket(family, sample);
	if (once == NULL || *once || !family->ended || sample->count > 0 || sample->value < 0)
		return false;
	*once = true;
	return once == &family->summed || sample->value == family->bucket;
}

/* Whether the sample is one that the family may have. */
static bool belongs(struct family *family, const struct sample *sample)
{
	size_t len = strlen(family->name);
	const char *suffix = sample->name + len;

	if (len == 0 || strncmp(sample->name, family->name, len) != 0)
		return false;
	if (strcmp(family->type, "histogram") == 0)
		return is_of_histogram(family, sample, suffix);
	if (strcmp(family->type, "counter") == 0)
		return strcmp(suffix, "_total") == 0 && sample->value >= 0;
	return *suffix == '\0' && label_of(sample, "le") == NULL;
}

static bool is_whole(const struct family *family)
{
	if (family->name[0] == '\0')
		return true;
	return family->samples > 0 && (strcmp(family->type, "histogram") != 0 ||
	    (family->ended && family->counted && family->summed));
}

/* The line at `at` begins one, unless another before it has done so. */
static bool begin_family(struct family *family, const char *name, const char *page, const char *at)
{
	static const char *const words[] = {"HELP", "TYPE"};
	char line[NAME_MAX_LEN + 16];

	if (!is_whole(family))
		return false;
	for (int i = 0; i < 2; i++) {
		const char *found;

		snprintf(line, sizeof line, "\n# %s %s ", words[i], name);
		found = strstr(page, line);
		if (found != NULL && found + 1 < at)
			return false;
	}
	*family = (struct family){.type = "unknown"};
	snprintf(family->name, sizeof family->name, "%s", name);
	return true;
}

/* "# HELP" and "# TYPE", each once for a family, before its samples. */
static bool read_comment(struct text line, struct family *family, const char *page)
{
	static const char *const types[] = {"gauge", "counter", "histogram", "unknown"};
	const char *at = line.at;
	char name[NAME_MAX_LEN];
	bool helps = skip_word(&line, "# HELP ");

	if ((!helps && !skip_word(&line, "# TYPE ")) || !read_name(&line, name) || !skip(&line, ' '))
		return false;
	if (strcmp(family->name, name) != 0 && !begin_family(family, name, page, at))
		return false;
	if (family->samples > 0 || (helps ? family->helped : family->typed))
		return false;
	if (helps) {
		family->helped = true;
		return line.at < line.end;
	}
	family->typed = true;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (skip_word(&line, types[i])) {
			snprintf(family->type, sizeof family->type, "%s", types[i]);
			return line.at == line.end;
		}
	return false;
}

/* Whether another line from `first` on is a sample with the same name and labels. */
static bool is_repeated(const char *first, struct text line)
{
	size_t len = 0;

	while (line.at + len < line.end && line.at[len] != ' ')
		len++;
	for (const char *at = first; at < line.at; at = strchr(at, '\n') + 1)
		if (strncmp(at, line.at, len + 1) == 0)
			return true;
	return false;
}

/* A line of the page, which ends in a NUL and begins with a line end. */
static bool read_line(struct text line, struct family *family, const char *page)
{
	struct sample sample;

	if (*line.at == '#')
		return read_comment(line, family, page);
	if (is_repeated(page + 1, line) || !read_sample(line, &sample) || !belongs(family, &sample))
		return false;
	family->samples++;
	return true;
}

bool fuzz_is_metrics(const char *bytes, size_t len)
{
	char *page = malloc(len + 2);
	struct family family = {.name = ""};
	const char *end = page + 1 + len - 6; /* "# EOF\n" */
	const char *at = page + 1;

	fuzz_require(page != NULL);
	if (!fuzz_is_lines(bytes, len) || len < 6 || memcmp(bytes + len - 6, "# EOF\n", 6) != 0)
		at = NULL;
	page[0] = '\n';
	memcpy(page + 1, bytes, len);
	page[len + 1] = '\0';
	while (at != NULL && at < end) {
		struct text line = {at, strchr(at, '\n')};

		at = read_line(line, &family, page) ? line.end + 1 : NULL;
	}
	free(page);
	return at != NULL && is_whole(&family);
}

/* ---- lines --------------------------------------------------------------------------------- */

bool fuzz_is_lines(const char *text, size_t len)
{
	while (len > 0) {
		const char *end = memchr(text, '\n', len);

		if (end == NULL || !fuzz_is_text(text, (size_t)(end - text)))
			return false;
		len -= (size_t)(end + 1 - text);
		text = end + 1;
	}
	return true;
}
