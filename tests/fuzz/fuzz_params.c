/* SPDX-License-Identifier: ISC */
/*
 * fuzz_params: FCGI_PARAMS, the environment made of them, and the arguments made of a query.
 * The environment has the variables that a plain reading of the stream by the specifications
 * gives (FastCGI 3.4, RFC 3875 4.1), no more, and the arguments are those of RFC 3875 4.4; it
 * does not matter how the stream is split.
 *
 * Input: the size of the parts that the stream comes in; what to set afterwards, as a name and
 * a value that end in a NUL; the stream.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cgi/arguments.h"
#include "cgi/params.h"
#include "fuzz.h"

enum { MAX = 16 * 1024 };

static struct environment below;

static void make_environment(void)
{
	static char path[] = "PATH=/usr/bin:/bin";
	static char zone[] = "TZ=UTC";
	static char *base[] = {path, zone, NULL};

	if (below.items == NULL)
		fuzz_require(environment_init(&below, base, NULL) == 0);
}

static bool made_too_large; /* that is why it could not be decoded */

static int decode(struct params *params, const struct fuzz_input *stream, size_t step)
{
	size_t left = stream->left;

	params_init(params, MAX);
	made_too_large = false;
	for (const uint8_t *at = stream->at; left > 0;) {
		size_t part = left < step ? left : step;

		if (params_feed(params, at, part) != 0) {
			fuzz_require(errno == E2BIG && stream->left > MAX);
			made_too_large = true;
			return -1;
		}
		at += part;
		left -= part;
	}
	fuzz_require(stream->left <= MAX);
	if (params_decode(params) == 0)
		return 0;
	made_too_large = errno == E2BIG;
	fuzz_require(errno == EBADMSG || errno == E2BIG);
	fuzz_require(params->count == 0 && params_get(params, "A") == NULL);
	return -1;
}

/* ---- the plain reading ----------------------------------------------------------------- */

/* A variable as the stream has it; name and value are owned. */
struct variable {
	char *name, *value;
};

static struct {
	struct variable *list;
	size_t count;
	bool legal; /* all pairs are whole, and without NUL */
} plain;

/* A length (FastCGI 3.4): one byte, or four, of which the first has its highest bit set. */
static bool read_length(const struct fuzz_input *stream, size_t *at, size_t *len)
{
	size_t size = *at < stream->left && stream->at[*at] >> 7 ? 4 : 1;

	if (stream->left - *at < size)
		return false;
	*len = 0;
	for (size_t i = 0; i < size; i++)
		*len = *len * 256 + stream->at[*at + i];
	*len &= size == 4 ? 0x7fffffff : 0x7f;
	*at += size;
	return true;
}

static struct variable *find_plain(const char *name)
{
	for (size_t i = 0; i < plain.count; i++)
		if (strcasecmp(plain.list[i].name, name) == 0)
			return &plain.list[i];
	return NULL;
}

/*
 * Takes `name` and `value`.  What comes later counts, but values of a repeated header are one list
 * (RFC 3875 4.1.18); that of Cookie has its own separator (RFC 6265 5.4).
 */
static void add_plain(char *name, char *value)
{
	struct variable *old = find_plain(name);
	char *both;

	if (old == NULL) {
		plain.list[plain.count++] = (struct variable){name, value};
		return;
	}
	if (strncasecmp(name, "HTTP_", 5) != 0) {
		free(old->name);
		free(old->value);
		*old = (struct variable){name, value};
		return;
	}
	both = malloc(strlen(old->value) + strlen(value) + 3);
	fuzz_require(both != NULL);
	sprintf(both, "%s%s%s", old->value, strcasecmp(name, "HTTP_COOKIE") == 0 ? "; " : ", ",
	    value);
	free(old->value);
	free(name);
	free(value);
	old->value = both;
}

/* A name that cannot be one in an environment, or that would name the proxy of a script. */
static bool is_left_out(const char *name)
{
	return *name == '\0' || strchr(name, '=') != NULL || strcasecmp(name, "HTTP_PROXY") == 0;
}

/* The bytes as a string, to be freed; NULL: there is a NUL in it. */
static char *read_string(const uint8_t *bytes, size_t len)
{
	char *text = malloc(len + 1);

	fuzz_require(text != NULL);
	if (len > 0)
		memcpy(text, bytes, len);
	text[len] = '\0';
	if (strlen(text) == len)
		return text;
	free(text);
	return NULL;
}

static bool read_pair(const struct fuzz_input *stream, size_t *at)
{
	size_t name_len, value_len;
	char *name, *value;

	if (!read_length(stream, at, &name_len) || !read_length(stream, at, &value_len))
		return false;
	if (stream->left - *at < name_len || stream->left - *at - name_len < value_len)
		return false;
	name = read_string(stream->at + *at, name_len);
	value = read_string(stream->at + *at + name_len, value_len);
	*at += name_len + value_len;
	if (name != NULL && value != NULL && !is_left_out(name)) {
		add_plain(name, value);
		return true;
	}
	free(name);
	free(value);
	return name != NULL && value != NULL;
}

static void read_plainly(const struct fuzz_input *stream)
{
	size_t at = 0;

	plain.count = 0;
	plain.list = calloc(stream->left / 2 + 1, sizeof *plain.list);
	fuzz_require(plain.list != NULL);
	plain.legal = true;
	while (plain.legal && at < stream->left)
		plain.legal = read_pair(stream, &at);
}

static void forget_plain(void)
{
	for (size_t i = 0; i < plain.count; i++) {
		free(plain.list[i].name);
		free(plain.list[i].value);
	}
	free(plain.list);
}

/* ---- use --------------------------------------------------------------------------------- */

static bool is_for_bridge(const char *name)
{
	return strcasecmp(name, "FCGI_CHDIR") == 0 || strncasecmp(name, "CGIBRIDGE_", 10) == 0;
}

/* The value of the one item with that name, spelled so; NULL: there is none. */
static const char *find_item(char *const *vector, const char *name)
{
	size_t len = strlen(name);
	const char *found = NULL;

	for (; *vector != NULL; vector++) {
		if (strncasecmp(*vector, name, len) != 0 || (*vector)[len] != '=')
			continue;
		fuzz_require(found == NULL && strncmp(*vector, name, len) == 0);
		found = *vector + len + 1;
	}
	return found;
}

/* An item of the environment below is there, unless a parameter has its name. */
static bool is_below(char *const *vector, const char *item)
{
	char *name = strndup(item, strcspn(item, "="));
	bool below_it;

	fuzz_require(name != NULL);
	below_it = find_plain(name) == NULL;
	if (below_it)
		fuzz_require(strcmp(find_item(vector, name), item + strlen(name) + 1) == 0);
	free(name);
	return below_it;
}

static void check_environment(const struct params *params)
{
	char **vector = params_environ(params, &below);
	size_t count = 0;

	fuzz_require(vector != NULL);
	for (size_t i = 0; i < plain.count; i++) {
		const struct variable *variable = &plain.list[i];
		const char *value = params_get(params, variable->name);
		const char *item = i < 60 ? find_item(vector, variable->name) : NULL;

		fuzz_require(value != NULL && strcmp(value, variable->value) == 0);
		count += !is_for_bridge(variable->name);
		if (i >= 60)
			continue;
		fuzz_require((item == NULL) == is_for_bridge(variable->name));
		fuzz_require(item == NULL || strcmp(item, value) == 0);
	}
	for (size_t i = 0; i < below.count; i++)
		count += is_below(vector, below.items[i]);
	for (size_t i = 0; i < count; i++)
		fuzz_require(vector[i] != NULL);
	fuzz_require(vector[count] == NULL);
	free(vector);
}

static void check_same(const struct params *a, const struct params *b)
{
	char **one = params_environ(a, &below);
	char **other = params_environ(b, &below);
	size_t i = 0;

	fuzz_require(one != NULL && other != NULL);
	for (; one[i] != NULL; i++)
		fuzz_require(other[i] != NULL && strcmp(one[i], other[i]) == 0);
	fuzz_require(other[i] == NULL);
	free(one);
	free(other);
}

/* Without the parameter, a variable has the value that it has below, or is not there. */
static void check_unset(const struct params *params, const char *name)
{
	char **vector = params_environ(params, &below);

	fuzz_require(vector != NULL && params_get(params, name) == NULL);
	if (strcasecmp(name, "PATH") == 0)
		fuzz_require(strcmp(find_item(vector, "PATH"), "/usr/bin:/bin") == 0);
	else if (strcasecmp(name, "TZ") != 0 && strcasecmp(name, "GATEWAY_INTERFACE") != 0)
		fuzz_require(find_item(vector, name) == NULL);
	free(vector);
}

static void set_one(struct params *params, const char *name, const char *value)
{
	const char *inside = params_get(params, "SCRIPT_NAME");

	if (*name == '\0')
		return;
	fuzz_require(params_set(params, name, value) == 0 || errno == E2BIG);
	fuzz_require(strcmp(params_get(params, name), value) == 0);
	fuzz_require((params_get_filled(params, name) == NULL) == (*value == '\0'));
	inside = params_get(params, "SCRIPT_NAME");
	if (inside != NULL) { /* the value is in the memory that grows */
		char *copy = strdup(inside);

		fuzz_require(params_set(params, "PATH_INFO", inside) == 0);
		fuzz_require(strcmp(params_get(params, "PATH_INFO"), copy) == 0);
		free(copy);
	}
	params_unset(params, name);
	check_unset(params, name);
}

/* ---- the arguments ---------------------------------------------------------------------- */

static int digit_of(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	return at == NULL ? -1 : (int)(at - digits) % 16;
}

/*
 * Whether `*query` begins with a word that means `word`: up to a "+", with %XX for a byte.  Goes on
 * to the next one; NULL: there is none.
 */
static bool is_word(const char **query, const char *word)
{
	const char *at = *query;

	for (; *at != '\0' && *at != '+'; word++) {
		int byte = (unsigned char)*at;

		if (byte == '%') {
			byte = digit_of(at[1]) * 16 + digit_of(at[2]);
			at += 2;
		}
		if (byte != (unsigned char)*word)
			return false;
		at++;
	}
	*query = *at == '+' ? at + 1 : NULL;
	return *word == '\0';
}

/* A query without "=" whose words are all whole: these are arguments. */
static bool is_words(const char *query)
{
	const char *at = query;

	if (strchr(query, '=') != NULL || *query == '+' || query[strlen(query) - 1] == '+')
		return false;
	for (; *at != '\0'; at++) {
		if (*at == '+' && at[1] == '+')
			return false;
		if (*at == '%' && (digit_of(at[1]) < 0 || digit_of(at[2]) < 0))
			return false;
		if (*at == '%' && at[1] == '0' && at[2] == '0')
			return false;
	}
	return true;
}

static void check_arguments(const struct params *params)
{
	static const struct options options = {.query_args = true};
	char **argv = arguments_new(&options, params, "/srv/script", NULL);
	const char *method = params_get(params, "REQUEST_METHOD");
	const char *query = params_get(params, "QUERY_STRING");
	size_t count = 1;

	fuzz_require(argv != NULL && strcmp(argv[0], "/srv/script") == 0);
	if (method == NULL || (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) ||
	    query == NULL || *query == '\0' || !is_words(query))
		query = NULL;
	for (; query != NULL; count++)
		fuzz_require(argv[count] != NULL && is_word(&query, argv[count]));
	fuzz_require(argv[count] == NULL);
	free(argv);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len};
	size_t step = fuzz_byte(&input) + 1U;
	char *name = fuzz_text(&input);
	char *value = fuzz_text(&input);
	struct params whole, split;
	int made;

	make_environment();
	made = decode(&whole, &input, SIZE_MAX);
	fuzz_require(decode(&split, &input, step) == made);
	read_plainly(&input);
	fuzz_require(made == 0 ? plain.legal : !plain.legal || made_too_large);
	if (made == 0) {
		check_environment(&whole);
		check_same(&whole, &split);
		check_arguments(&whole);
		set_one(&whole, name, value);
	}
	forget_plain();
	params_fini(&whole);
	params_fini(&split);
	free(name);
	free(value);
	return 0;
}
