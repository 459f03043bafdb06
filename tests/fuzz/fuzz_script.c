/* SPDX-License-Identifier: ISC */
/*
 * fuzz_script: parameters -> the script, on a tree of files.  What is found is a file that may
 * run, named by its absolute path; PATH_INFO and the other names fit it, and no part from the
 * URL leads out of its directory.
 *
 * Input: a byte for the rules, and parameters: a byte that chooses the name, and a value that
 * ends in a NUL, in which '@' stands for the tree.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgi/script.h"
#include "fcgi/fcgi.h"
#include "fuzz.h"

enum { RAW_MAX = 64 * 1024 };

static char tree[PATH_MAX]; /* canonical */

static void make_dir(const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", fuzz_dir(), name);
	fuzz_require(mkdir(path, 0755) == 0);
}

static void make_link(const char *name, const char *target)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", fuzz_dir(), name);
	fuzz_require(symlink(target, path) == 0);
}

static void make_tree(void)
{
	static const char *const dirs[] = {"www", "www/sub", "www2", "out"};
	static const char *const files[] = {"www/x.cgi", "www/q?.cgi", "www/sp ace.cgi",
	    "www/per%20cent", "www/per cent", "www/sub/y.cgi", "www2/x.cgi", "out/x.cgi", "www/a..b"};

	fuzz_require(realpath(fuzz_dir(), tree) != NULL);
	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
		make_dir(dirs[i]);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		fuzz_write_file(files[i], 0755, "#!/bin/sh\n", 10);
	fuzz_write_file("www/p.php", 0644, "<?php\n", 6);
	make_link("www/link", "x.cgi");
	make_link("www/dir", "sub");
	make_link("www/loop", "loop");
	make_link("www/gone", "nothing");
	make_link("www/out", "../out");
}

/* A value of the input with each '@' replaced by the tree; to be freed. */
static char *expand(const char *text)
{
	size_t size = strlen(text) * strlen(tree) + strlen(text) + 1;
	char *value = malloc(size);
	size_t at = 0;

	fuzz_require(value != NULL);
	value[0] = '\0';
	for (; *text != '\0'; text++)
		at += (size_t)snprintf(value + at, size - at, "%.*s",
		    *text == '@' ? (int)strlen(tree) : 1, *text == '@' ? tree : text);
	return value;
}

static void add_pair(struct params *params, const char *name, const char *value)
{
	struct fcgi_pair pair = {(const unsigned char *)name, strlen(name),
	    (const unsigned char *)value, strlen(value)};
	size_t size = fcgi_pair_size(pair.name_len, pair.value_len);
	unsigned char *bytes = malloc(size);

	fuzz_require(bytes != NULL);
	fcgi_put_pair(bytes, &pair);
	fuzz_require(params_feed(params, bytes, size) == 0 || errno == E2BIG);
	free(bytes);
}

static void read_params(struct params *params, struct fuzz_input *input)
{
	static const char *const names[] = {"SCRIPT_FILENAME", "PATH_INFO", "DOCUMENT_ROOT",
	    "SCRIPT_NAME", "PATH_TRANSLATED", "REDIRECT_STATUS", "SCRIPT_FILENAME", "SCRIPT_NAME"};

	params_init(params, RAW_MAX);
	while (input->left > 0) {
		const char *name = names[fuzz_byte(input) % 8];
		char *text = fuzz_text(input);
		char *value = expand(text);

		add_pair(params, name, value);
		free(text);
		free(value);
	}
	fuzz_require(params_decode(params) == 0);
}

/* ---- what must hold -------------------------------------------------------------------------- */

static void check_rules(const char *path, const struct options *options)
{
	char canonical[PATH_MAX];
	bool rooted = false;

	fuzz_require(realpath(path, canonical) != NULL);
	for (size_t i = 0; i < options->roots.count; i++)
		rooted = rooted || fuzz_is_below(canonical, options->roots.items[i]);
	fuzz_require(rooted || options->roots.count == 0);
	fuzz_require(options->programs.count == 0 ||
	    strcmp(path, options->programs.items[0]) == 0);
}

/* As they were before: NULL where a parameter was not set. */
struct names {
	char *file, *info, *root, *name;
};

static char *copy_of(const struct params *params, const char *name)
{
	const char *value = params_get_filled(params, name);

	return value == NULL ? NULL : strdup(value);
}

static bool is_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void check_names(const struct params *params, const struct names *before)
{
	const char *info = params_get_filled(params, "PATH_INFO");
	const char *name = params_get(params, "SCRIPT_NAME");
	const char *translated = params_get_filled(params, "PATH_TRANSLATED");
	size_t root_len = before->root == NULL ? 0 : strlen(before->root);

	fuzz_require(before->file != NULL || before->root != NULL);
	fuzz_require(before->name == NULL || !fuzz_climbs(before->name));
	/* what PATH_INFO has gained, SCRIPT_NAME has lost, and the other way round */
	if (before->name != NULL && !is_same(before->info, info) && before->info == NULL)
		fuzz_require(strlen(name) <= strlen(before->name));
	if (!is_same(before->info, info) && translated != NULL)
		fuzz_require(strlen(translated) == root_len + strlen(info) &&
		    strcmp(translated + root_len, info) == 0);
}

static void check_found(const struct params *params, const struct options *options,
    const struct names *before)
{
	const char *path = params_get(params, "SCRIPT_FILENAME");
	struct stat info;

	fuzz_require(path != NULL && path[0] == '/');
	fuzz_require(stat(path, &info) == 0 && S_ISREG(info.st_mode));
	if (before->file == NULL || !fuzz_climbs(before->file))
		fuzz_require(before->root == NULL || fuzz_climbs(before->root) || !fuzz_climbs(path));
	check_rules(path, options);
	check_names(params, before);
}

static void check_refused(const struct script_refusal *refusal)
{
	fuzz_require(refusal->status == 403 || refusal->status == 404 || refusal->status == 500 ||
	    refusal->status == 503);
	fuzz_require(refusal->reason[0] != '\0');
	fuzz_require(memchr(refusal->reason, '\0', sizeof refusal->reason) != NULL);
}

/* ---- rules ----------------------------------------------------------------------------------- */

static char www[PATH_MAX + 8], only[PATH_MAX + 16];
static const char *roots[] = {www}, *programs[] = {only};
static char program[] = "/bin/true", *program_argv[] = {program, NULL};
static struct value_handler handlers[] = {{".php", 4, program_argv, 1}};

static void set_options(struct options *options, unsigned how)
{
	snprintf(www, sizeof www, "%s/www", tree);
	snprintf(only, sizeof only, "%s/www/x.cgi", tree);
	*options = (struct options){.query_args = 0};
	if (how & 1)
		options->roots = (struct value_list){roots, 1};
	if (how & 2)
		options->programs = (struct value_list){programs, 1};
	if (how & 4)
		options->handlers = (struct value_handlers){handlers, 1};
	options->handler_always = (how & 8) != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len};
	struct script_refusal refusal = {.status = 0};
	struct stat info;
	struct options options;
	struct params params;
	struct names before;

	if (tree[0] == '\0')
		make_tree();
	set_options(&options, fuzz_byte(&input));
	read_params(&params, &input);
	before = (struct names){copy_of(&params, "SCRIPT_FILENAME"), copy_of(&params, "PATH_INFO"),
	    copy_of(&params, "DOCUMENT_ROOT"), copy_of(&params, "SCRIPT_NAME")};
	if (script_resolve(&params, &options, &info, &refusal) == 0)
		check_found(&params, &options, &before);
	else
		check_refused(&refusal);
	free(before.file);
	free(before.info);
	free(before.root);
	free(before.name);
	params_fini(&params);
	return 0;
}
