/* SPDX-License-Identifier: ISC */
/*
 * fuzz_params: FCGI_PARAMS, the environment made of them, and the arguments made of a query.
 * What is decoded agrees with a plain reading of the stream, and it does not matter how the
 * stream is split.
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
#include "fcgi/fcgi.h"
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

static int decode(struct params *params, const struct fuzz_input *stream, size_t step)
{
	size_t left = stream->left;

	params_init(params, MAX);
	for (const uint8_t *at = stream->at; left > 0;) {
		size_t part = left < step ? left : step;

		if (params_feed(params, at, part) != 0) {
			fuzz_require(errno == E2BIG && stream->left > MAX);
			return -1;
		}
		at += part;
		left -= part;
	}
	fuzz_require(stream->left <= MAX);
	if (params_decode(params) == 0)
		return 0;
	fuzz_require(errno == EBADMSG || errno == E2BIG);
	fuzz_require(params->count == 0 && params_get(params, "A") == NULL);
	return -1;
}

/* ---- the plain reading ----------------------------------------------------------------- */

/* Whether all pairs are whole and without NUL; if so, `*value` is the last value of `name`. */
static bool look_up(const struct fuzz_input *stream, const char *name, char **value)
{
	size_t left = stream->left;

	*value = NULL;
	for (const uint8_t *at = stream->at; left > 0;) {
		struct fcgi_pair pair;
		size_t n = fcgi_get_pair(at, left, &pair);

		if (n == 0 || memchr(pair.name, '\0', pair.name_len) != NULL ||
		    memchr(pair.value, '\0', pair.value_len) != NULL)
			return false;
		if (pair.name_len == strlen(name) &&
		    strncasecmp((const char *)pair.name, name, pair.name_len) == 0) {
			free(*value);
			*value = strndup((const char *)pair.value, pair.value_len);
		}
		at += n;
		left -= n;
	}
	return true;
}

/* A variable of the environment against the plain reading: those that are not joined. */
static void check_variable(const struct fuzz_input *stream, const char *text)
{
	size_t name_len = strcspn(text, "=");
	char *name = strndup(text, name_len);
	char *value;

	fuzz_require(name != NULL && name_len > 0 && text[name_len] == '=');
	fuzz_require(strcasecmp(name, "HTTP_PROXY") != 0);
	fuzz_require(strcasecmp(name, "FCGI_CHDIR") != 0);
	fuzz_require(strncasecmp(name, "CGIBRIDGE_", 10) != 0);
	fuzz_require(look_up(stream, name, &value));
	if (strncasecmp(name, "HTTP_", 5) == 0)
		fuzz_require(value != NULL && strlen(text + name_len + 1) >= strlen(value));
	else if (value != NULL)
		fuzz_require(strcmp(value, text + name_len + 1) == 0);
	free(value);
	free(name);
}

static void check_unique(char *const *vector)
{
	for (size_t i = 0; vector[i] != NULL; i++)
		for (size_t j = i + 1; vector[j] != NULL && j < i + 50; j++)
			fuzz_require(strncasecmp(vector[i], vector[j],
					 strcspn(vector[i], "=") + 1) != 0);
}

/* ---- use --------------------------------------------------------------------------------- */

static void check_environment(const struct params *params, const struct fuzz_input *stream)
{
	char **vector = params_environ(params, &below);
	size_t count = 0;

	fuzz_require(vector != NULL);
	check_unique(vector);
	for (; vector[count] != NULL; count++)
		if (count < 40 && strcmp(vector[count], below.items[0]) != 0 &&
		    strcmp(vector[count], below.items[1]) != 0)
			check_variable(stream, vector[count]);
	fuzz_require(count <= params->count + below.count);
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
	fuzz_require(params_get(params, name) == NULL);
}

static void use(struct params *params, const char *name, const char *value)
{
	static const struct options options = {.query_args = true};
	char **argv = arguments_new(&options, params, "/srv/script", NULL);

	fuzz_require(argv != NULL && strcmp(argv[0], "/srv/script") == 0);
	free(argv);
	set_one(params, name, value);
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
	if (made == 0) {
		check_environment(&whole, &input);
		check_same(&whole, &split);
		use(&whole, name, value);
	}
	params_fini(&whole);
	params_fini(&split);
	free(name);
	free(value);
	return 0;
}
