/* SPDX-License-Identifier: ISC */
/*
 * check_script: every form in which front ends name a script, on a tree of files; and
 * what is refused, with which status.
 */
#include "check_util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi/fcgi.h"
#include "cgi/script.h"

static struct params params;
static struct options options;
static struct stat file;
static struct script_refusal refusal;

static void link_to(const char *name, const char *target)
{
	ck_assert_int_eq(symlink(target, temp_path(name)), 0);
}

static void setup(void)
{
	temp_make();
	temp_mkdir("www");
	temp_mkdir("www/sub");
	temp_mkdir("www2");
	temp_mkdir("out");
	temp_write("www/x.cgi", 0755, "#!/bin/sh\n");
	temp_write("www/a..b.cgi", 0755, "#!/bin/sh\n");
	temp_write("www/q?.cgi", 0755, "#!/bin/sh\n");
	temp_write("www/sp ace.cgi", 0755, "#!/bin/sh\n");
	temp_write("www/per%20cent.cgi", 0755, "#!/bin/sh\n");
	temp_write("www/per cent.cgi", 0755, "#!/bin/sh\n");
	temp_write("www/plain", 0644, "no program\n");
	temp_write("www/sub/y.cgi", 0755, "#!/bin/sh\n");
	temp_write("www2/x.cgi", 0755, "#!/bin/sh\n");
	temp_write("out/evil.cgi", 0755, "#!/bin/sh\n");
	link_to("www/link.cgi", "x.cgi");
	link_to("www/dir", "sub");
	link_to("www/loop.cgi", "loop.cgi");
	link_to("www/gone.cgi", "nothing");
	link_to("www/out.cgi", "../out/evil.cgi");
	link_to("alias", "www");
	ck_assert_int_eq(mkfifo(temp_path("www/fifo"), 0666), 0);
	params_init(&params, 64 * 1024);
	memset(&options, 0, sizeof options);
}

static void teardown(void)
{
	params_fini(&params);
	temp_remove();
}

/* `text` with each @ replaced by the temporary directory. */
static const char *full(const char *text)
{
	static char results[16][20000];
	static unsigned next;
	char *result = results[next++ % 16];
	size_t at = 0;

	for (; *text != '\0'; text++)
		if (*text == '@')
			at += (size_t)snprintf(result + at, sizeof results[0] - at, "%s", temp_dir());
		else
			result[at++] = *text;
	result[at] = '\0';
	return result;
}

static void put(const char *name, const char *value)
{
	unsigned char bytes[PATH_MAX + 64];
	struct fcgi_pair pair = {.name = (const unsigned char *)name, .name_len = strlen(name)};

	if (value == NULL)
		return;
	value = full(value);
	pair.value = (const unsigned char *)value;
	pair.value_len = strlen(value);
	ck_assert_uint_le(fcgi_pair_size(pair.name_len, pair.value_len), sizeof bytes);
	ck_assert_int_eq(params_feed(&params, bytes, fcgi_put_pair(bytes, &pair)), 0);
}

/* What a client sends, or what a script is told; NULL: not there. */
struct names {
	const char *filename, *root, *name, *info, *translated;
};

static void put_names(const struct names *names)
{
	put("SCRIPT_FILENAME", names->filename);
	put("DOCUMENT_ROOT", names->root);
	put("SCRIPT_NAME", names->name);
	put("PATH_INFO", names->info);
	put("PATH_TRANSLATED", names->translated);
	ck_assert_int_eq(params_decode(&params), 0);
}

static void check_name(const char *name, const char *wanted)
{
	const char *got = params_get_filled(&params, name);

	if (wanted == NULL)
		ck_assert_msg(got == NULL, "%s is %s", name, got);
	else
		ck_assert_msg(got != NULL && strcmp(got, full(wanted)) == 0, "%s is %s, not %s", name,
		    got == NULL ? "not set" : got, full(wanted));
}

/* ---- forms ---------------------------------------------------------------------------- */

static const struct form {
	struct names given, told;
} forms[] = {
	/* nginx: the file alone, and split by a rule */
	{{"@/www/x.cgi", "@/www", "/x.cgi", NULL, NULL}, {"@/www/x.cgi", "@/www", "/x.cgi", NULL, NULL}},
	{{"@/www/x.cgi", NULL, "/x.cgi", "", NULL}, {"@/www/x.cgi", NULL, "/x.cgi", NULL, NULL}},
	{{"@/www/x.cgi", "@/www", "/x.cgi", "/a/b", NULL},
	    {"@/www/x.cgi", "@/www", "/x.cgi", "/a/b", "@/www/a/b"}},
	{{"@/www/x.cgi", NULL, "/x.cgi", "/a/b", NULL}, {"@/www/x.cgi", NULL, "/x.cgi", "/a/b", NULL}},
	{{"@/www/x.cgi", "@/www", "/x.cgi", "/a", "/given"},
	    {"@/www/x.cgi", "@/www", "/x.cgi", "/a", "/given"}},
	/* the path goes on behind the file */
	{{"@/www/x.cgi/a/b", "@/www", "/x.cgi/a/b", NULL, NULL},
	    {"@/www/x.cgi", "@/www", "/x.cgi", "/a/b", "@/www/a/b"}},
	{{"@/www/x.cgi/a/b", "@/www", "/x.cgi/a/b", "", ""},
	    {"@/www/x.cgi", "@/www", "/x.cgi", "/a/b", "@/www/a/b"}},
	{{"@/www/x.cgi/", "@/www", "/x.cgi/", NULL, NULL},
	    {"@/www/x.cgi", "@/www", "/x.cgi", "/", "@/www/"}},
	{{"@/www/x.cgi/a", "@/www", "/x.cgi", "/a", "@/www/a"},
	    {"@/www/x.cgi", "@/www", "/x.cgi", "/a", "@/www/a"}},
	{{"@/www/sub/y.cgi//z", "@/www", "/cgi/sub/y.cgi//z", NULL, NULL},
	    {"@/www/sub/y.cgi", "@/www", "/cgi/sub/y.cgi", "//z", "@/www//z"}},
	/* Apache: trap 18 */
	{{"proxy:fcgi://127.0.0.1:9000@/www/x.cgi", "@/www", "/x.cgi", NULL, NULL},
	    {"@/www/x.cgi", "@/www", "/x.cgi", NULL, NULL}},
	{{"proxy:fcgi://127.0.0.1:9000@/www/x.cgi/extra", "@/www", "/x.cgi/extra", NULL, NULL},
	    {"@/www/x.cgi", "@/www", "/x.cgi", "/extra", "@/www/extra"}},
	{{"proxy:fcgi://localhost@/www/x.cgi/extra?a=/b&c", "@/www", "/x.cgi/extra", NULL, NULL},
	    {"@/www/x.cgi", "@/www", "/x.cgi", "/extra", "@/www/extra"}},
	{{"proxy:fcgi://[::1]:9000@/www/x.cgi?", "@/www", "/x.cgi", NULL, NULL},
	    {"@/www/x.cgi", "@/www", "/x.cgi", NULL, NULL}},
	{{"proxy:balancer://pool@/www/x.cgi?q", "@/www", "/x.cgi", NULL, NULL},
	    {"@/www/x.cgi", "@/www", "/x.cgi", NULL, NULL}},
	{{"proxy:unix:/run/x.sock|fcgi://localhost@/www/x.cgi", "@/www", "/x.cgi", NULL, NULL},
	    {"@/www/x.cgi", "@/www", "/x.cgi", NULL, NULL}},
	/* ProxyPass encodes the path and not SCRIPT_NAME; with SetHandler neither is encoded */
	{{"proxy:fcgi://h:1@/www/x.cgi/a%20b/%C3%a9%25%zz%00", "@/www", "/x.cgi/a b/\303\251%%zz%00", NULL,
	     NULL},
	    {"@/www/x.cgi", "@/www", "/x.cgi", "/a b/\303\251%%zz%00", "@/www/a b/\303\251%%zz%00"}},
	{{"proxy:fcgi://h:1@/www/x.cgi/a%20b", "@/www", "/x.cgi/a%20b", NULL, NULL},
	    {"@/www/x.cgi", "@/www", "/x.cgi", "/a%20b", "@/www/a%20b"}},
	/* ProxyPassMatch: encoded, and decoded once, when no such file is there */
	{{"proxy:fcgi://h:1@/www/sp%20ace.cgi", "@/www", "/sp ace.cgi", NULL, NULL},
	    {"@/www/sp ace.cgi", "@/www", "/sp ace.cgi", NULL, NULL}},
	{{"proxy:fcgi://h:1@/www/sp%20ace.cgi/a%20b/%2541?q", "@/www", "/sp ace.cgi/a b/%41", NULL, NULL},
	    {"@/www/sp ace.cgi", "@/www", "/sp ace.cgi", "/a b/%41", "@/www/a b/%41"}},
	{{"proxy:fcgi://h:1@/www/per%20cent.cgi", "@/www", "/per cent.cgi", NULL, NULL},
	    {"@/www/per%20cent.cgi", "@/www", "/per cent.cgi", NULL, NULL}},
	{{"proxy:fcgi://h:1@/www/per%2520cent.cgi", "@/www", "/per%20cent.cgi", NULL, NULL},
	    {"@/www/per%20cent.cgi", "@/www", "/per%20cent.cgi", NULL, NULL}},
	/* rewritten, and without "proxy:": the query is behind it */
	{{"@/www/x.cgi?a=/b&c", "@/www", "/x.cgi", NULL, NULL},
	    {"@/www/x.cgi", "@/www", "/x.cgi", NULL, NULL}},
	/* a file's name may have a question mark where no query can be */
	{{"@/www/q?.cgi", NULL, "/q?.cgi", NULL, NULL}, {"@/www/q?.cgi", NULL, "/q?.cgi", NULL, NULL}},
	/* Caddy: the directory, all in PATH_INFO (trap 19) */
	{{"@/www", "@/www", "", "/x.cgi", NULL}, {"@/www/x.cgi", "@/www", "/x.cgi", NULL, NULL}},
	{{"@/www/", "@/www", "", "/x.cgi/a", "@/www/x.cgi/a"},
	    {"@/www/x.cgi", "@/www", "/x.cgi", "/a", "@/www/a"}},
	{{"@/www", "@/www", NULL, "/sub/y.cgi/a", NULL},
	    {"@/www/sub/y.cgi", "@/www", "/sub/y.cgi", "/a", "@/www/a"}},
	{{"@/www/sub", "@/www", "/sub", "/y.cgi/a", NULL},
	    {"@/www/sub/y.cgi", "@/www", "/sub/y.cgi", "/a", "@/www/a"}},
	/* h2o: no SCRIPT_FILENAME */
	{{NULL, "@/www", "/x.cgi", NULL, NULL}, {"@/www/x.cgi", "@/www", "/x.cgi", NULL, NULL}},
	{{"", "@/www/", "/x.cgi/a", NULL, NULL}, {"@/www/x.cgi", "@/www/", "/x.cgi", "/a", NULL}},
	{{NULL, "@/www", "/sub/y.cgi/a/b", "", NULL},
	    {"@/www/sub/y.cgi", "@/www", "/sub/y.cgi", "/a/b", "@/www/a/b"}},
	{{NULL, "@/www", "", "/sub/y.cgi/a/b", NULL},
	    {"@/www/sub/y.cgi", "@/www", "/sub/y.cgi", "/a/b", "@/www/a/b"}},
	{{NULL, "@/www", NULL, "/x.cgi", NULL}, {"@/www/x.cgi", "@/www", "/x.cgi", NULL, NULL}},
	{{NULL, "@/www", "x.cgi", NULL, NULL}, {"@/www/x.cgi", "@/www", "x.cgi", NULL, NULL}},
	{{NULL, "@/www", "/a..b.cgi/..c/d..", NULL, NULL},
	    {"@/www/a..b.cgi", "@/www", "/a..b.cgi", "/..c/d..", "@/www/..c/d.."}},
	/* links keep their names: a multicall binary looks at its own */
	{{"@/www/link.cgi", "@/www", "/link.cgi", NULL, NULL},
	    {"@/www/link.cgi", "@/www", "/link.cgi", NULL, NULL}},
	{{"@/alias/dir/y.cgi/p", "@/alias", "/dir/y.cgi/p", NULL, NULL},
	    {"@/alias/dir/y.cgi", "@/alias", "/dir/y.cgi", "/p", "@/alias/p"}},
	/* not executable: execve(2) will say so, with its own text */
	{{"@/www/plain", NULL, "/plain", NULL, NULL}, {"@/www/plain", NULL, "/plain", NULL, NULL}},
};

/* As if another process had resolved the parameters, which were `given` here. */
static void take_over(const struct names *given, size_t size)
{
	char *text = malloc(size);

	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(script_put_names(&params, text, size), 0);
	params_fini(&params);
	put_names(given);
	ck_assert_int_eq(script_take_names(&params, text), 0);
	free(text);
}

START_TEST(every_form_ends_in_one_file_and_names_that_fit)
{
	const struct form *form = &forms[_i];

	put_names(&form->given);
	ck_assert_msg(script_resolve(&params, &options, &file, &refusal) == 0, "%s", refusal.reason);
	check_name("SCRIPT_FILENAME", form->told.filename);
	check_name("DOCUMENT_ROOT", form->told.root);
	check_name("SCRIPT_NAME", form->told.name);
	check_name("PATH_INFO", form->told.info);
	if (form->told.translated != NULL)
		check_name("PATH_TRANSLATED", form->told.translated);
	else if (form->told.info == NULL) /* RFC 3875 4.1.6: only with a PATH_INFO */
		check_name("PATH_TRANSLATED", NULL);
}
END_TEST

START_TEST(a_name_that_is_unset_elsewhere_is_unset_here)
{
	static const struct names given = {"/x.cgi", NULL, "/x", "", "/y"};
	size_t size;

	put_names(&given);
	size = script_names_max(&params);
	params_unset(&params, "PATH_TRANSLATED");
	ck_assert_int_eq(params_set(&params, "SCRIPT_NAME", ""), 0);
	take_over(&given, size);
	ck_assert_ptr_null(params_get(&params, "PATH_TRANSLATED"));
	ck_assert_ptr_null(params_get(&params, "REDIRECT_STATUS"));
	ck_assert_str_eq(params_get(&params, "SCRIPT_NAME"), "");
	ck_assert_str_eq(params_get(&params, "PATH_INFO"), "");
	ck_assert_str_eq(params_get(&params, "SCRIPT_FILENAME"), "/x.cgi");
}
END_TEST

/* ---- refusals --------------------------------------------------------------------------- */

static const struct refused {
	struct names given;
	int status;
	const char *reason; /* a part of it */
} refused[] = {
	{{NULL, NULL, NULL, NULL, NULL}, 500, "SCRIPT_FILENAME"},
	{{NULL, "@/www", NULL, NULL, NULL}, 500, "SCRIPT_NAME"},
	{{NULL, NULL, "/x.cgi", NULL, NULL}, 500, "DOCUMENT_ROOT"},
	{{NULL, NULL, "", "/x.cgi", NULL}, 500, "DOCUMENT_ROOT"},
	{{NULL, "@/www", "", "/../out/evil.cgi", NULL}, 404, "\"..\""},
	{{"x.cgi", NULL, NULL, NULL, NULL}, 500, "absolute"},
	{{NULL, "www", "/x.cgi", NULL, NULL}, 500, "absolute"},
	{{"proxy:fcgi://localhost", NULL, NULL, NULL, NULL}, 500, "absolute"},
	{{"proxy:nonsense", NULL, NULL, NULL, NULL}, 500, "absolute"},
	/* HAProxy: a URL nobody has normalised */
	{{"@/www/../out/evil.cgi", "@/www", "/../out/evil.cgi", NULL, NULL}, 404, "\"..\""},
	{{"@/www/..", "@/www", "/..", "/out/evil.cgi", NULL}, 404, "\"..\""},
	{{"@/www/none.cgi", NULL, "/none.cgi", NULL, NULL}, 404, "none.cgi: No such file"},
	{{"@/none/x.cgi", NULL, "/x.cgi", NULL, NULL}, 404, "No such file"},
	{{"@/www/gone.cgi", NULL, "/gone.cgi", NULL, NULL}, 404, "No such file"},
	{{NULL, "@/www", "/none/x.cgi", NULL, NULL}, 404, "No such file"},
	{{NULL, "@/none", "/x.cgi", NULL, NULL}, 404, "No such file"},
	{{"@/www", "@/www", "", "/none", NULL}, 404, "No such file"},
	{{"@/www", NULL, "/", NULL, NULL}, 403, "directory"},
	{{"@/www/", NULL, "/", NULL, NULL}, 403, "directory"},
	{{NULL, "@/www", "/", NULL, NULL}, 403, "directory"},
	{{NULL, "@/www", "/sub", NULL, NULL}, 403, "directory"},
	{{"@/www", "@/www", "", "/sub", NULL}, 403, "directory"},
	{{"@/www/fifo", NULL, "/fifo", NULL, NULL}, 403, "not a regular file"},
	{{"@/www/fifo/a", NULL, "/fifo/a", NULL, NULL}, 403, "not a regular file"},
	{{"@/www/loop.cgi", NULL, "/loop.cgi", NULL, NULL}, 403, "loop.cgi: "},
	/* the way out of the document root */
	{{NULL, "@/www", "/../out/evil.cgi", NULL, NULL}, 404, "\"..\""},
	{{NULL, "@/www", "/sub/../x.cgi", NULL, NULL}, 404, "\"..\""},
	{{NULL, "@/www", "/x.cgi/..", NULL, NULL}, 404, "\"..\""},
	{{NULL, "@/www", "..", NULL, NULL}, 404, "\"..\""},
	{{"@/www", "@/www", "", "/../out/evil.cgi", NULL}, 404, "\"..\""},
	{{"@/www", "@/www", "", "../out/evil.cgi", NULL}, 404, "\"..\""},
	/* what only Apache encodes is decoded, once, and may not climb either */
	{{"@/www/sp%20ace.cgi", "@/www", "/sp ace.cgi", NULL, NULL}, 404, "No such file"},
	{{"proxy:fcgi://h:1@/www/sp%2520ace.cgi", NULL, "/x", NULL, NULL}, 404, "No such file"},
	{{"proxy:fcgi://h:1@/www/%2e%2e/out/evil.cgi", NULL, "/x", NULL, NULL}, 404, "\"..\""},
	{{"proxy:fcgi://h:1@/www/sp%00ace.cgi", NULL, "/x", NULL, NULL}, 404, "No such file"},
	{{"@/www/none.cgi?a", NULL, "/none.cgi", NULL, NULL}, 404, "none.cgi: No such file"},
};

START_TEST(what_is_no_script_is_refused_with_a_status_and_a_reason)
{
	put_names(&refused[_i].given);
	ck_assert_int_eq(script_resolve(&params, &options, &file, &refusal), -1);
	ck_assert_int_eq(refusal.status, refused[_i].status);
	ck_assert_msg(strstr(refusal.reason, refused[_i].reason) != NULL, "%s", refusal.reason);
}
END_TEST

START_TEST(a_path_that_is_too_long_is_not_there)
{
	static char name[PATH_MAX + 100];
	struct names names = {.filename = name, .name = "/x"};

	memset(name, 'x', sizeof name - 1);
	name[0] = '/';
	for (size_t i = 100; i < sizeof name; i += 100)
		name[i] = '/';
	name[PATH_MAX - 1] = '\0';
	put_names(&names);
	ck_assert_int_eq(script_resolve(&params, &options, &file, &refusal), -1);
	ck_assert_int_eq(refusal.status, 404);
	ck_assert_uint_lt(strlen(refusal.reason), sizeof refusal.reason);
}
END_TEST

/* Data in a URL: longer than any path, with slashes or without. */
static const char *long_info(size_t len, const char *slashes)
{
	static char info[20000];

	memset(info, 'p', len);
	info[0] = '/';
	for (size_t i = 50; slashes[0] != '\0' && i < len; i += 50)
		info[i] = '/';
	info[len] = '\0';
	return info;
}

static void feed_pair(const char *name, const char *first, const char *second)
{
	static char value[40000];
	static unsigned char bytes[50000];
	struct fcgi_pair pair = {.name = (const unsigned char *)name, .name_len = strlen(name)};

	pair.value = (const unsigned char *)value;
	pair.value_len = (size_t)snprintf(value, sizeof value, "%s%s", full(first), second);
	ck_assert_int_eq(params_feed(&params, bytes, fcgi_put_pair(bytes, &pair)), 0);
}

START_TEST(path_info_may_be_longer_than_a_path)
{
	static const struct {
		const char *file, *root, *name, *info; /* `*`: the long part follows */
	} ways[] = {
		{"@/www/x.cgi", "@/www", "/x.cgi", "*"}, /* beside */
		{"*@/www/x.cgi", "@/www", "*/x.cgi", NULL}, /* inside */
		{"*proxy:fcgi://h:1@/www/x.cgi", "@/www", "*/x.cgi", NULL},
		{"*proxy:fcgi://h:1@/www/sp%20ace.cgi", "@/www", "*/sp ace.cgi", NULL},
		{NULL, "@/www", "*/x.cgi", NULL},
		{"@/www", "@/www", "", "*/x.cgi"},
	};

	for (size_t i = 0; i < 2 * (sizeof ways / sizeof *ways); i++) {
		const char *info = long_info(9000, i % 2 == 0 ? "" : "/");
		const char *const given[] = {
		    ways[i / 2].file, ways[i / 2].root, ways[i / 2].name, ways[i / 2].info};
		static const char *const names[] = {
		    "SCRIPT_FILENAME", "DOCUMENT_ROOT", "SCRIPT_NAME", "PATH_INFO"};

		params_init(&params, 64 * 1024);
		for (size_t n = 0; n < 4; n++)
			if (given[n] != NULL)
				feed_pair(names[n], given[n] + (given[n][0] == '*'),
				    given[n][0] == '*' ? info : "");
		ck_assert_int_eq(params_decode(&params), 0);
		ck_assert_msg(script_resolve(&params, &options, &file, &refusal) == 0, "way %zu: %s", i,
		    refusal.reason);
		check_name("PATH_INFO", info);
		check_name("PATH_TRANSLATED", NULL); /* which cannot be made */
		ck_assert_ptr_nonnull(strstr(params_get(&params, "SCRIPT_FILENAME"), ".cgi"));
		ck_assert_ptr_nonnull(strstr(params_get(&params, "SCRIPT_NAME"), ".cgi"));
		ck_assert_uint_lt(strlen(params_get(&params, "SCRIPT_NAME")), 20);
		params_fini(&params);
	}
}
END_TEST

START_TEST(a_name_that_is_too_long_is_not_there)
{
	static char name[2000];
	struct names names = {.root = "@/www", .name = name};

	memset(name, 'x', sizeof name - 1);
	name[0] = '/';
	put_names(&names);
	ck_assert_int_eq(script_resolve(&params, &options, &file, &refusal), -1);
	ck_assert_int_eq(refusal.status, 404);
}
END_TEST

/* The other meaning of such a path is a directory, which PATH_INFO goes on from. */
START_TEST(a_long_query_may_follow_a_directory)
{
	feed_pair("SCRIPT_FILENAME", "@/www?", long_info(9000, "/"));
	put("PATH_INFO", "/x.cgi/more");
	ck_assert_int_eq(params_decode(&params), 0);
	ck_assert_msg(script_resolve(&params, &options, &file, &refusal) == 0, "%s", refusal.reason);
	check_name("SCRIPT_FILENAME", "@/www/x.cgi");
	check_name("SCRIPT_NAME", "/x.cgi");
	check_name("PATH_INFO", "/more");
}
END_TEST

/* In a process of its own, that is not root. */
static int resolve_as_nobody(void)
{
	if (getuid() == 0 && setuid(65534) != 0)
		return 1;
	if (script_resolve(&params, &options, &file, &refusal) == 0)
		return 2;
	return refusal.status == 403 && strstr(refusal.reason, "Permission denied") ? 0 : 3;
}

START_TEST(an_unreadable_directory_is_forbidden)
{
	static const struct names names = {.filename = "@/www/sub/y.cgi", .name = "/sub/y.cgi"};
	int status;
	pid_t pid;

	put_names(&names);
	ck_assert_int_eq(chmod(temp_dir(), 0755), 0);
	ck_assert_int_eq(chmod(temp_path("www/sub"), 0), 0);
	pid = fork();
	if (pid == 0)
		_exit(resolve_as_nobody());
	status = wait_for(pid);
	ck_assert_int_eq(chmod(temp_path("www/sub"), 0755), 0);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* ---- in place of another process ------------------------------------------------------- */

static void check_same(char *const *environ_of_one, const struct environment *none)
{
	char **own = params_environ(&params, none);
	size_t count = 0;

	ck_assert_ptr_nonnull(own);
	for (; environ_of_one[count] != NULL; count++) {
		size_t len = strcspn(environ_of_one[count], "=");
		char name[64];
		const char *value;

		snprintf(name, sizeof name, "%.*s", (int)len, environ_of_one[count]);
		value = params_get(&params, name);
		ck_assert_msg(value != NULL && strcmp(value, environ_of_one[count] + len + 1) == 0,
		    "%s, here %s", environ_of_one[count], value == NULL ? "not set" : value);
		ck_assert_ptr_nonnull(own[count]);
	}
	ck_assert_ptr_null(own[count]);
	free(own);
}

/* What is resolved there, with that result, is the same here. */
static void resolve_there(const struct names *given, int result)
{
	static const struct environment none;
	static char text[1024 * 1024];
	struct params there;
	char **environ_there;
	size_t size;

	put_names(given);
	size = script_names_max(&params);
	ck_assert_uint_le(size, sizeof text);
	ck_assert_int_eq(script_resolve(&params, &options, &file, &refusal), result);
	ck_assert_int_eq(script_put_names(&params, text, size), 0);
	there = params;
	params_init(&params, 64 * 1024);
	put_names(given);
	ck_assert_int_eq(script_take_names(&params, text), 0);
	size = buf_len(&params.raw);
	ck_assert_int_eq(script_take_names(&params, text), 0);
	ck_assert_uint_eq(buf_len(&params.raw), size); /* there is nothing to change */
	environ_there = params_environ(&there, &none);
	ck_assert_ptr_nonnull(environ_there);
	check_same(environ_there, &none);
	free(environ_there);
	params_fini(&there);
}

START_TEST(another_process_may_find_it)
{
	static char program[] = "/bin/sh", *argv[] = {program, NULL};
	static struct value_handler handler = {".cgi", 4, argv, 1};

	options.handlers = (struct value_handlers){&handler, 1};
	options.handler_always = 1;
	resolve_there(&forms[_i].given, 0);
}
END_TEST

START_TEST(another_process_may_refuse_it)
{
	resolve_there(&refused[_i].given, -1);
}
END_TEST

START_TEST(names_without_room_are_none)
{
	static const struct names names = {"@/www/x.cgi", "@/www", "/x.cgi", "/a", "@/www/a"};
	char text[PATH_MAX];
	size_t size = 5;

	put_names(&names);
	for (;; size++) {
		memset(text, 'x', sizeof text);
		if (script_put_names(&params, text, size) == 0)
			break;
		ck_assert_int_eq(script_take_names(&params, text), 0);
		ck_assert_ptr_null(params_get(&params, "SCRIPT_FILENAME"));
		params_fini(&params);
		put_names(&names);
	}
	ck_assert_uint_gt(size, 60);
}
END_TEST

/* ---- --program and --root ------------------------------------------------------------------ */

static const struct rule {
	const char *program, *root; /* NULL: none */
	const char *filename;
	int status; /* 0: runs */
} rules[] = {
	{"@/www/x.cgi", NULL, "@/www/x.cgi", 0},
	{"@/www/x.cgi", NULL, "@/www/x.cgi/info", 0},
	{"@/www/x.cgi", NULL, "proxy:fcgi://h:1@/www/x.cgi?q", 0},
	{"@/www/x.cgi", NULL, "@/www/sub/y.cgi", 403},
	{"@/www/x.cgi", NULL, "@/www/x.cg", 404},
	{"@/www/x.cgi", NULL, "@/www/sub/../../out/evil.cgi", 403},
	{NULL, "@/www", "@/www/x.cgi", 0},
	{NULL, "@/www", "@/www/sub/y.cgi/info", 0},
	{NULL, "@/www/", "@/www/x.cgi", 0},
	{NULL, "@/www/sub/..", "@/www/x.cgi", 0},
	{NULL, "/", "@/www/x.cgi", 0},
	{NULL, "@/alias", "@/www/x.cgi", 0},
	{NULL, "@/www", "@/alias/x.cgi", 0},
	{NULL, "@/www", "@/www/link.cgi", 0},
	{NULL, "@/www", "@/out/evil.cgi", 403},
	{NULL, "@/www", "@/www2/x.cgi", 403}, /* a prefix, and not a directory above */
	{NULL, "@/www", "@/www/out.cgi", 403},
	{NULL, "@/www", "@/www/../out/evil.cgi", 403},
	{NULL, "@/www/x.cgi", "@/www/x.cgi", 403},
	{NULL, "@/none", "@/www/x.cgi", 403},
	{"@/www/x.cgi", "@/out", "@/www/x.cgi", 403},
	{"@/www/x.cgi", "@/www", "@/www/x.cgi", 0},
};

START_TEST(only_what_the_rules_allow_runs)
{
	const struct rule *rule = &rules[_i];
	const char *program[1] = {rule->program == NULL ? "" : full(rule->program)};
	const char *root[1] = {rule->root == NULL ? "" : full(rule->root)};
	struct names names = {.filename = rule->filename, .name = "/x"};

	options.programs = (struct value_list){program, rule->program != NULL};
	options.roots = (struct value_list){root, rule->root != NULL};
	put_names(&names);
	if (rule->status == 0) {
		ck_assert_msg(script_resolve(&params, &options, &file, &refusal) == 0, "%s", refusal.reason);
		return;
	}
	ck_assert_int_eq(script_resolve(&params, &options, &file, &refusal), -1);
	ck_assert_int_eq(refusal.status, rule->status);
	ck_assert(rule->status != 403 || strstr(refusal.reason, "--") != NULL);
}
END_TEST

START_TEST(a_link_that_leads_out_is_named_with_its_target)
{
	const char *roots[1] = {full("@/www")};
	static const struct names names = {.filename = "@/www/out.cgi", .name = "/x"};

	options.roots = (struct value_list){roots, 1};
	put_names(&names);
	ck_assert_int_eq(script_resolve(&params, &options, &file, &refusal), -1);
	ck_assert_ptr_nonnull(strstr(refusal.reason, "/www/out.cgi: a symbolic link to /"));
	ck_assert_ptr_nonnull(strstr(refusal.reason, "/out/evil.cgi, which is not below"));
}
END_TEST

START_TEST(one_of_several_rules_is_enough)
{
	const char *roots[2] = {full("@/out"), full("@/www")};
	static const struct names names = {.filename = "@/www/x.cgi", .name = "/x"};

	options.roots = (struct value_list){roots, 2};
	put_names(&names);
	ck_assert_int_eq(script_resolve(&params, &options, &file, &refusal), 0);
}
END_TEST

static char deep_name[200];

/* Directories in each other until the path of the last is too long; a file is there. */
static void make_deep(void)
{
	int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	memset(deep_name, 'd', sizeof deep_name - 1);
	ck_assert_int_eq(chdir(temp_path("www")), 0);
	for (size_t depth = 0; depth < PATH_MAX; depth += sizeof deep_name) {
		ck_assert_int_eq(mkdir(deep_name, 0755), 0);
		ck_assert_int_eq(chdir(deep_name), 0);
	}
	close(open("x.cgi", O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
	ck_assert_int_eq(fchdir(home), 0);
	close(home);
}

/* Two links, each of which is a path short enough, lead there. */
static void link_deep(void)
{
	static char half[PATH_MAX];
	size_t at = 0;

	for (size_t depth = 0; depth < PATH_MAX; depth += 200) {
		memset(half + at, 'd', 199);
		half[at + 199] = '/';
		at += 200;
		if (depth >= PATH_MAX / 2 && depth < PATH_MAX / 2 + 200) {
			half[at - 1] = '\0';
			link_to("www/first", half);
			ck_assert_int_eq(chdir(temp_path("www/first")), 0);
			at = 0;
		}
	}
	half[at - 1] = '\0';
	ck_assert_int_eq(symlink(half, "second"), 0);
}

/* They are too deep for temp_remove(). */
static void remove_deep(void)
{
	int depth = 0;

	ck_assert_int_eq(chdir(temp_path("www")), 0);
	while (chdir(deep_name) == 0)
		depth++;
	for (; depth > 0; depth--) {
		unlink("x.cgi");
		unlink("second");
		ck_assert_int_eq(chdir(".."), 0);
		ck_assert_int_eq(rmdir(deep_name), 0);
	}
}

START_TEST(a_file_whose_true_path_is_too_long_is_below_no_root)
{
	const char *roots[1] = {full("@/www")};
	static const struct names names = {.filename = "@/www/first/second/x.cgi", .name = "/x"};
	int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	make_deep();
	link_deep();
	put_names(&names);
	ck_assert_msg(script_resolve(&params, &options, &file, &refusal) == 0, "%s", refusal.reason);
	options.roots = (struct value_list){roots, 1};
	ck_assert_int_eq(script_resolve(&params, &options, &file, &refusal), -1);
	ck_assert_int_eq(refusal.status, 403);
	ck_assert_ptr_nonnull(strstr(refusal.reason, "not below a directory given by --root"));
	remove_deep();
	ck_assert_int_eq(fchdir(home), 0);
	close(home);
}
END_TEST

/* The interpreter has to read it, whatever execve(2) would say. */
START_TEST(a_script_that_its_handler_cannot_read_is_forbidden)
{
	static char program[] = "/bin/sh", *argv[] = {program, NULL};
	static struct value_handler handler = {".cgi", 4, argv, 1};
	static const struct names names = {.filename = "@/www/x.cgi", .name = "/x.cgi"};
	uid_t uid = getuid();
	int failed;

	options.handlers = (struct value_handlers){&handler, 1};
	options.handler_always = 1;
	put_names(&names);
	ck_assert_int_eq(script_resolve(&params, &options, &file, &refusal), 0);
	check_name("REDIRECT_STATUS", "200");
	ck_assert_int_eq(chmod(temp_dir(), 0755), 0);
	ck_assert_int_eq(chmod(temp_path("www/x.cgi"), 0311), 0);
	/* access(2) asks for the real user */
	ck_assert(uid != 0 || setreuid(65534, (uid_t)-1) == 0);
	failed = script_resolve(&params, &options, &file, &refusal);
	ck_assert(uid != 0 || setreuid(0, (uid_t)-1) == 0);
	ck_assert_int_eq(failed, -1);
	ck_assert_int_eq(refusal.status, 403);
	ck_assert_ptr_nonnull(strstr(refusal.reason, "Permission denied"));
}
END_TEST

/* ---- file systems that may not answer -------------------------------------------------- */

/* What names one: a parameter, an interpreter, a --root. */
static const struct {
	const char *filename, *info, *chdir, *interpreter, *root;
	bool found;
} ways[] = {
	{"/mnt/nfs/x.cgi", NULL, NULL, NULL, NULL, true},
	{"/mnt/nfsx/x.cgi", NULL, NULL, NULL, NULL, false},
	{"proxy:fcgi://host/mnt/n%66s/x.cgi", NULL, NULL, NULL, NULL, true},
	{"proxy:fcgi://host/mnt/n%66s%78/x.cgi", NULL, NULL, NULL, NULL, false},
	{"/mnt/n%66s/x.cgi", NULL, NULL, NULL, NULL, false},
	{"/mnt", "/nfs/x.cgi", NULL, NULL, NULL, true},
	{"/srv/x.php", NULL, NULL, "/mnt/nfs/php", NULL, true},
	{"/srv/x.php/info", NULL, NULL, "/mnt/nfs/php", NULL, true},
	{"/srv/x.cgi", NULL, NULL, "/mnt/nfs/php", NULL, false},
	{"/srv/x.cgi", NULL, "/mnt/nfs", NULL, NULL, true},
	{"/srv/x.cgi", NULL, "/mnt", NULL, NULL, false},
	{"/srv/x.cgi", NULL, NULL, NULL, "/mnt/nfs/www", true},
	{"/srv/x.cgi", NULL, NULL, NULL, "/srv", false},
	{NULL, NULL, NULL, NULL, NULL, false},
};

START_TEST(a_file_system_that_may_not_answer_is_known_by_name)
{
	static char path[] = "/mnt/nfs";
	struct mount nfs = {.path = path, .device = 1};
	struct mounts mounts = {.items = &nfs, .count = 1};
	char interpreter[64], root[64];
	char *argv[] = {interpreter, NULL};
	const char *roots[] = {root};
	struct value_handler handler = {.text = ".php", .extension_len = 4, .argv = argv, .argc = 1};
	const struct mount *found;

	snprintf(interpreter, sizeof interpreter, "%s",
	    ways[_i].interpreter == NULL ? "/bin/true" : ways[_i].interpreter);
	snprintf(root, sizeof root, "%s", ways[_i].root == NULL ? "" : ways[_i].root);
	options.handlers.items = &handler;
	options.handlers.count = 1;
	options.roots.items = roots;
	options.roots.count = ways[_i].root != NULL;
	put("FCGI_CHDIR", ways[_i].chdir);
	put_names(&(struct names){.filename = ways[_i].filename, .info = ways[_i].info});
	found = script_mount(&params, &options, &mounts);
	ck_assert_ptr_eq(found, ways[_i].found ? &nfs : NULL);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, every_form_ends_in_one_file_and_names_that_fit, 0,
	    sizeof forms / sizeof *forms);
	tcase_add_test(tcase, a_name_that_is_unset_elsewhere_is_unset_here);
	tcase_add_loop_test(tcase, what_is_no_script_is_refused_with_a_status_and_a_reason, 0,
	    sizeof refused / sizeof *refused);
	tcase_add_loop_test(tcase, another_process_may_find_it, 0, sizeof forms / sizeof *forms);
	tcase_add_loop_test(tcase, another_process_may_refuse_it, 0,
	    sizeof refused / sizeof *refused);
	tcase_add_test(tcase, names_without_room_are_none);
	tcase_add_test(tcase, a_path_that_is_too_long_is_not_there);
	tcase_add_test(tcase, a_name_that_is_too_long_is_not_there);
	tcase_add_test(tcase, path_info_may_be_longer_than_a_path);
	tcase_add_test(tcase, an_unreadable_directory_is_forbidden);
	tcase_add_loop_test(tcase, only_what_the_rules_allow_runs, 0, sizeof rules / sizeof *rules);
	tcase_add_test(tcase, a_link_that_leads_out_is_named_with_its_target);
	tcase_add_test(tcase, one_of_several_rules_is_enough);
	tcase_add_test(tcase, a_long_query_may_follow_a_directory);
	tcase_add_test(tcase, a_file_whose_true_path_is_too_long_is_below_no_root);
	tcase_add_test(tcase, a_script_that_its_handler_cannot_read_is_forbidden);
	tcase_add_loop_test(tcase, a_file_system_that_may_not_answer_is_known_by_name, 0,
	    sizeof ways / sizeof *ways);
}

int main(void)
{
	return check_main("script", add);
}
