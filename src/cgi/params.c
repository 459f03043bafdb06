/* SPDX-License-Identifier: ISC */
/*
 * params: decoding in place, and the table of names.
 */
#include "cgi/params.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/sys.h"
#include "fcgi/fcgi.h"

enum {
	SPARE_ENTRIES = 16,      /* names that params_set() may add */
	SPARE_BYTES = 64 * 1024, /* for its values */
};

void params_init(struct params *params, size_t max)
{
	*params = (struct params){.max = max};
	/* joined and set values are appended: room for as much again, and some more */
	buf_init(&params->raw, 2 * max + SPARE_BYTES);
}

void params_fini(struct params *params)
{
	buf_fini(&params->raw);
	free(params->list);
	params_init(params, params->max);
}

int params_feed(struct params *params, const void *bytes, size_t len)
{
	if (len > params->max - buf_len(&params->raw)) {
		errno = E2BIG;
		return -1;
	}
	return buf_append(&params->raw, bytes, len);
}

/* ---- the table of names -------------------------------------------------- */

/*
 * The clients of a front end choose the header names that it passes on, and must not be able to
 * choose names that collide.  This is multilinear hashing (Lemire and Kaser, "Strongly
 * universal string hashing is fast"): the sum of the words of a name, each multiplied by a
 * random number of its own.  A client that does not know these numbers cannot do better than
 * chance, which is 1 in 2^32 for two names.
 */
enum { HASH_WORDS = 8 }; /* of 64 bits, in a block; most names fit in one */

static struct {
	bool drawn;
	uint64_t start, before, low[HASH_WORDS], high[HASH_WORDS];
} key; /* of this process */

static void draw_key(void)
{
	if (key.drawn)
		return;
	sys_random(&key, sizeof key);
	key.drawn = true;
}

/* Folds eight letters at once to upper case; other bytes stay, as in find_cell()'s comparison. */
static uint64_t fold(uint64_t letters)
{
	const uint64_t each = 0x0101010101010101U;
	uint64_t low = letters & 0x7f * each;
	uint64_t from_a = low + (0x80 - 'a') * each;
	uint64_t past_z = low + (0x7f - 'z') * each;

	return letters - ((from_a & ~past_z & ~letters & 0x80 * each) >> 2);
}

static uint64_t hash_word(uint64_t word, size_t place)
{
	uint64_t folded = fold(word);

	return key.low[place] * (uint32_t)folded + key.high[place] * (folded >> 32);
}

static uint64_t hash_start(uint64_t before)
{
	return key.start + before * key.before;
}

static uint64_t load_word(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof word);
	return word;
}

/* Fewer than eight letters as one word.  Some may be in it twice: `len` decides where. */
static uint64_t load_short(const char *at, size_t len)
{
	uint32_t first, last;

	if (len >= sizeof first) {
		memcpy(&first, at, sizeof first);
		memcpy(&last, at + len - sizeof last, sizeof last);
		return first | (uint64_t)last << 32;
	}
	if (len == 0)
		return 0;
	return (unsigned char)at[0] | (uint64_t)(unsigned char)at[len / 2] << 8 |
	    (uint64_t)(unsigned char)at[len - 1] << 16;
}

/* Word by word, in place; the last one ends with the name and may overlap the one before. */
static uint32_t hash_name(const char *name, size_t len)
{
	uint64_t sum = hash_start((uint32_t)len);
	size_t place = 0;
	const char *last;

	if (len < sizeof(uint64_t))
		return (uint32_t)((sum + hash_word(load_short(name, len), 0)) >> 32);
	last = name + len - sizeof(uint64_t);
	for (; name < last; name += sizeof(uint64_t)) {
		sum += hash_word(load_word(name), place);
		if (++place == HASH_WORDS) {
			sum = hash_start(sum >> 32);
			place = 0;
		}
	}
	return (uint32_t)((sum + hash_word(load_word(last), place)) >> 32);
}

static const char *text_of(const struct params *params, const struct param *param)
{
	return (const char *)params->raw.data + param->text;
}

/* The table's cell for a name: it holds the name's entry, or is free. */
static uint32_t *find_cell(const struct params *params, const char *name, size_t len, uint32_t hash)
{
	for (size_t at = hash;; at++) {
		uint32_t *cell = &params->index[at & params->index_mask];
		const struct param *param;

		if (*cell == 0)
			return cell;
		param = &params->list[*cell - 1];
		if (param->hash == hash && param->name_len == len &&
		    strncasecmp(text_of(params, param), name, len) == 0)
			return cell;
	}
}

static struct param *find(const struct params *params, const char *name, size_t len)
{
	uint32_t cell;

	if (params->list == NULL)
		return NULL;
	cell = *find_cell(params, name, len, hash_name(name, len));
	return cell == 0 ? NULL : &params->list[cell - 1];
}

/* The entry of a name, added (unset) if it is missing; NULL when the table is full. */
static struct param *find_or_add(struct params *params, const char *name, size_t len)
{
	uint32_t hash = hash_name(name, len);
	uint32_t *cell = find_cell(params, name, len, hash);

	if (*cell == 0) {
		if (params->count == params->cap)
			return NULL;
		params->list[params->count] = (struct param){.name_len = len, .hash = hash};
		*cell = (uint32_t)++params->count;
	}
	return &params->list[*cell - 1];
}

/* Entries and hash table in one allocation, the table at most half full. */
static int make_table(struct params *params, size_t pairs)
{
	size_t cells = 64;

	draw_key();
	params->cap = pairs + SPARE_ENTRIES;
	while (cells < 2 * params->cap)
		cells *= 2;
	params->list = calloc(1, params->cap * sizeof *params->list + cells * sizeof *params->index);
	if (params->list == NULL)
		return -1;
	params->index = (uint32_t *)(void *)(params->list + params->cap);
	params->index_mask = cells - 1;
	return 0;
}

/* ---- decoding ------------------------------------------------------------ */

/* How many pairs the stream holds, or -1 if the last one is not whole. */
static ssize_t count_pairs(const struct params *params)
{
	const unsigned char *at = buf_bytes(&params->raw);
	size_t left = buf_len(&params->raw);
	ssize_t pairs = 0;

	while (left > 0) {
		struct fcgi_pair pair;
		size_t n = fcgi_get_pair(at, left, &pair);

		if (n == 0)
			return -1;
		at += n;
		left -= n;
		pairs++;
	}
	return pairs;
}

static bool is_legal(const struct fcgi_pair *pair)
{
	return memchr(pair->name, '\0', pair->name_len) == NULL &&
	    memchr(pair->value, '\0', pair->value_len) == NULL;
}

static bool names_equal(const char *name, size_t len, const char *other)
{
	return strlen(other) == len && strncasecmp(name, other, len) == 0;
}

/* Pairs that an environment cannot hold, or should not. */
static bool is_dropped(const struct fcgi_pair *pair)
{
	return pair->name_len == 0 || memchr(pair->name, '=', pair->name_len) != NULL ||
	    names_equal((const char *)pair->name, pair->name_len, "HTTP_PROXY");
}

/*
 * Makes the string of `first` the last one in `raw`, with room for `more` bytes after it;
 * returns its length, or -1 with errno.  One that is last already is not copied: a header that
 * is repeated many times costs linear time, not quadratic.
 */
static ssize_t make_last(struct params *params, struct param *first, size_t more)
{
	size_t len = strlen(text_of(params, first));
	bool last = first->text + len + 1 == params->raw.end;
	unsigned char *to = buf_reserve(&params->raw, (last ? 0 : len + 1) + more);

	if (to == NULL)
		return -1;
	if (!last) {
		memcpy(to, params->raw.data + first->text, len + 1);
		first->text = params->raw.end;
		buf_commit(&params->raw, len + 1);
	}
	return (ssize_t)len;
}

/* Appends the value of the string at `second` to that of `first`. */
static int join(struct params *params, struct param *first, size_t second)
{
	size_t from = second + first->name_len + 1;
	size_t add = strlen((const char *)params->raw.data + from);
	bool cookie = names_equal(text_of(params, first), first->name_len, "HTTP_COOKIE");
	ssize_t len = make_last(params, first, add + 2);
	unsigned char *end;

	if (len < 0)
		return -1;
	end = params->raw.data + first->text + len;
	memcpy(end, cookie ? "; " : ", ", 2);
	memcpy(end + 2, params->raw.data + from, add + 1);
	buf_commit(&params->raw, add + 2);
	return 0;
}

/* Enters the string at offset `text`, whose name has `len` bytes. */
static int enter(struct params *params, size_t text, size_t len)
{
	const char *name = (const char *)params->raw.data + text;
	struct param *param = find_or_add(params, name, len);

	if (param->set && strncasecmp(name, "HTTP_", 5) == 0)
		return join(params, param, text);
	param->text = text;
	param->set = true;
	return 0;
}

/* Writes `pair` as "NAME=VALUE" at offset `to`, at or before where it was decoded from. */
static void move_pair(struct params *params, size_t to, const struct fcgi_pair *pair)
{
	unsigned char *at = params->raw.data + to;

	memmove(at, pair->name, pair->name_len);
	at[pair->name_len] = '=';
	memmove(at + pair->name_len + 1, pair->value, pair->value_len);
	at[pair->name_len + 1 + pair->value_len] = '\0';
}

static int decode_pairs(struct params *params)
{
	size_t len = buf_len(&params->raw);
	size_t from = 0;
	size_t to = 0;

	while (from < len) {
		struct fcgi_pair pair;
		/* joining may move the buffer: start from its base each time */
		size_t n = fcgi_get_pair(params->raw.data + from, len - from, &pair);

		if (n == 0 || !is_legal(&pair)) {
			errno = EBADMSG;
			return -1;
		}
		from += n;
		if (is_dropped(&pair))
			continue;
		move_pair(params, to, &pair);
		if (enter(params, to, pair.name_len) != 0)
			return -1;
		to += pair.name_len + 1 + pair.value_len + 1;
	}
	return 0;
}

int params_decode(struct params *params)
{
	ssize_t pairs = count_pairs(params);

	if (pairs < 0) {
		errno = EBADMSG;
		return -1;
	}
	/* bytes are only ever appended to the stream: it starts at raw.data */
	if (make_table(params, (size_t)pairs) != 0)
		return -1;
	if (decode_pairs(params) == 0)
		return 0;
	if (errno == ENOBUFS)
		errno = E2BIG;
	free(params->list);
	params->list = NULL;
	params->count = 0;
	return -1;
}

/* ---- use ----------------------------------------------------------------- */

const char *params_get(const struct params *params, const char *name)
{
	const struct param *param = find(params, name, strlen(name));

	if (param == NULL || !param->set)
		return NULL;
	return text_of(params, param) + param->name_len + 1;
}

const char *params_get_filled(const struct params *params, const char *name)
{
	const char *value = params_get(params, name);

	return value == NULL || *value == '\0' ? NULL : value;
}

/* The offset of `value` in `raw`, or SIZE_MAX; unlike pointers, numbers may be compared freely. */
static size_t offset_of(const struct params *params, const char *value)
{
	uintptr_t at = (uintptr_t)value;
	uintptr_t base = (uintptr_t)params->raw.data;

	return at >= base && at - base < params->raw.end ? (size_t)(at - base) : SIZE_MAX;
}

int params_set(struct params *params, const char *name, const char *value)
{
	size_t name_len = strlen(name);
	size_t value_len = strlen(value);
	size_t inside = offset_of(params, value);
	unsigned char *to = buf_reserve(&params->raw, name_len + value_len + 2);
	struct param *param;

	if (to == NULL) {
		errno = errno == ENOBUFS ? E2BIG : errno;
		return -1;
	}
	if (inside != SIZE_MAX) /* it may have moved with the buffer */
		value = (const char *)params->raw.data + inside;
	memcpy(to, name, name_len);
	to[name_len] = '=';
	memcpy(to + name_len + 1, value, value_len + 1);
	param = find_or_add(params, name, name_len);
	if (param == NULL) {
		errno = E2BIG;
		return -1;
	}
	param->text = params->raw.end;
	param->set = true;
	buf_commit(&params->raw, name_len + value_len + 2);
	return 0;
}

void params_unset(struct params *params, const char *name)
{
	struct param *param = find(params, name, strlen(name));

	if (param != NULL)
		param->set = false;
}

static bool is_for_bridge(const char *text, size_t name_len)
{
	/* most names differ in their first letter: no call for them */
	return names_equal(text, name_len, "FCGI_CHDIR") ||
	    (name_len >= 10 && (text[0] == 'C' || text[0] == 'c') &&
		strncasecmp(text, "CGIBRIDGE_", 10) == 0);
}

char **params_environ(const struct params *params, const struct environment *below)
{
	char **vector = calloc(params->count + below->count + 1, sizeof *vector);
	size_t n = 0;

	if (vector == NULL)
		return NULL;
	for (size_t i = 0; i < params->count; i++) {
		const struct param *param = &params->list[i];

		if (param->set && !is_for_bridge(text_of(params, param), param->name_len))
			vector[n++] = (char *)params->raw.data + param->text;
	}
	for (size_t i = 0; i < below->count; i++) {
		const char *item = below->items[i];
		const char *equals = strchr(item, '='); /* strcspn() takes twice as long */
		const struct param *param =
		    find(params, item, equals == NULL ? strlen(item) : (size_t)(equals - item));

		if (param == NULL || !param->set) {
			/* execve(2) takes char *, and leaves the strings alone */
			memcpy(&vector[n++], &below->items[i], sizeof *vector);
		}
	}
	return vector;
}
