/* SPDX-License-Identifier: ISC */
/*
 * script: resolving a path, splitting it, and the rules for scripts that may run.
 */
#include "cgi/script.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/sys.h"
#include "cgi/arguments.h"
#include "cgi/shebang.h"

/* The path being resolved.  With PATH_INFO after it, it may be longer than a file's path can be. */
struct path {
	char *text;      /* `fixed`, or on the heap when it does not fit there */
	size_t base;     /* bytes from SCRIPT_FILENAME (or the root); the rest is from the URL */
	bool from_proxy; /* it was inside one of Apache's proxy: URLs */
	char *rest;      /* the part after the script; owned, NULL: none */
	struct stat *info; /* of the script; borrowed */
	char fixed[PATH_MAX];
};

static void path_init(struct path *path, struct stat *info)
{
	path->text = path->fixed;
	path->fixed[0] = '\0';
	path->base = 0;
	path->from_proxy = false;
	path->rest = NULL;
	path->info = info;
}

static void path_fini(struct path *path)
{
	if (path->text != path->fixed)
		free(path->text);
	free(path->rest);
}

/*
 * Sets it to the `len` bytes at `first`, which may be its own text, followed by `second`, with
 * a slash between them if `second` does not begin with one.  0, or -1 with errno ENOMEM.
 */
static int path_join(struct path *path, const char *first, size_t len, const char *second)
{
	size_t more = strlen(second);
	size_t slash = more > 0 && second[0] != '/';
	char *text = path->fixed;

	if (len + slash + more >= sizeof path->fixed)
		text = malloc(len + slash + more + 1);
	if (text == NULL)
		return -1;
	memmove(text, first, len);
	text[len] = '/';
	memcpy(text + len + slash, second, more + 1);
	if (path->text != path->fixed && path->text != text)
		free(path->text);
	path->text = text;
	path->base = len;
	return 0;
}

static int refuse(struct script_refusal *refusal, int status, const char *path, const char *why)
{
	refusal->status = status;
	snprintf(refusal->reason, sizeof refusal->reason, "%.400s: %s", path, why);
	return -1;
}

static int refuse_errno(struct script_refusal *refusal, const char *path, int error)
{
	int status = 500;

	if (error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG)
		status = 404;
	else if (error == EACCES || error == EPERM || error == ELOOP)
		status = 403;
	else if (sys_is_shortage(error))
		status = 503;
	return refuse(refusal, status, path, strerror(error));
}

/* ---- the path in the parameters ----------------------------------------- */

/*
 * Apache hands over proxy:fcgi://HOST:PORT/path, proxy:balancer://NAME/path and
 * proxy:unix:/socket|fcgi://HOST/path, each possibly with ?query.  Returns the path inside, or
 * NULL if there is none; any other name as it is.
 */
static const char *inside_proxy_url(const char *name)
{
	const char *host;

	if (strncmp(name, "proxy:", 6) != 0)
		return name;
	host = strstr(name, "://");
	return host == NULL ? NULL : strchr(host + 3, '/');
}

static int from_filename(const char *name, struct path *path, struct script_refusal *refusal)
{
	const char *file = inside_proxy_url(name);

	if (file == NULL || file[0] != '/')
		return refuse(refusal, 500, name, "SCRIPT_FILENAME is not an absolute path");
	path->from_proxy = file != name;
	if (path_join(path, file, path->from_proxy ? strcspn(file, "?") : strlen(file), "") != 0)
		return refuse_errno(refusal, file, errno);
	return 0;
}

/* Whether a component of `path` is "..": in a part from the URL, a way out of the directory. */
static bool climbs(const char *path)
{
	for (const char *at = strstr(path, ".."); at != NULL; at = strstr(at + 1, ".."))
		if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == '\0'))
			return true;
	return false;
}

/* `directory` is given by the administrator, `below` comes from the URL. */
static int from_url(const char *directory, const char *below, struct path *path,
    struct script_refusal *refusal)
{
	size_t len = strlen(directory);

	while (len > 1 && directory[len - 1] == '/')
		len--;
	if (path_join(path, directory, len, below) != 0)
		return refuse_errno(refusal, directory, errno);
	if (climbs(path->text + len))
		return refuse(refusal, 404, path->text, "its part from the URL contains \"..\"");
	return 0;
}

static int name_path(const struct params *params, struct path *path, struct script_refusal *refusal)
{
	const char *file = params_get_filled(params, "SCRIPT_FILENAME");
	const char *name = params_get_filled(params, "SCRIPT_NAME");
	const char *root;

	/* HAProxy passes on a URL as it is, also inside SCRIPT_FILENAME */
	if (name != NULL && climbs(name))
		return refuse(refusal, 404, name, "its part from the URL contains \"..\"");
	if (file != NULL)
		return from_filename(file, path, refusal);
	root = params_get_filled(params, "DOCUMENT_ROOT");
	if (root == NULL || (name == NULL && params_get_filled(params, "PATH_INFO") == NULL))
		return refuse(refusal, 500, "no SCRIPT_FILENAME",
		    "the web server has to send it, or DOCUMENT_ROOT and SCRIPT_NAME");
	if (root[0] != '/')
		return refuse(refusal, 500, root, "DOCUMENT_ROOT is not an absolute path");
	/* h2o: all of it is in PATH_INFO, where locate() will look for it */
	return from_url(root, name == NULL ? "" : name, path, refusal);
}

/* ---- the file ------------------------------------------------------------ */

/*
 * The length of the prefix of `text` that is a file, not a directory, from the left (each
 * component but the last has to be a directory: there is only one), and its stat(2); 0 with
 * errno if none is.  All of `text` may be a directory only if that was made meanwhile.
 */
static size_t walk(char *text, struct stat *info)
{
	for (char *at = strchr(text + 1, '/');; at = strchr(at + 1, '/')) {
		int failed;

		if (at != NULL)
			*at = '\0';
		failed = stat(text, info);
		if (at != NULL)
			*at = '/';
		if (failed != 0)
			return 0;
		if (at == NULL || !S_ISDIR(info->st_mode))
			return at == NULL ? strlen(text) : (size_t)(at - text);
	}
}

static int check_kind(const char *path, mode_t mode, struct script_refusal *refusal)
{
	if (S_ISREG(mode))
		return 0;
	return refuse(refusal, 403, path,
	    S_ISDIR(mode) ? "is a directory" : "is not a regular file");
}

/* Cuts `path` after the script; the part after it becomes its `rest`. */
static int split(struct path *path, struct script_refusal *refusal)
{
	size_t len;

	free(path->rest);
	path->rest = NULL;
	if (stat(path->text, path->info) == 0)
		return check_kind(path->text, path->info->st_mode, refusal);
	if (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG)
		return refuse_errno(refusal, path->text, errno);
	len = walk(path->text, path->info);
	if (len == 0)
		return refuse_errno(refusal, path->text, errno);
	path->rest = strdup(path->text + len);
	if (path->rest == NULL)
		return refuse_errno(refusal, path->text, errno);
	path->text[len] = '\0';
	return check_kind(path->text, path->info->st_mode, refusal);
}

/*
 * Tries the other meaning of a path that does not lead to a file: Apache's ProxyPassMatch
 * leaves it percent-encoded; if it was rewritten, without "proxy:" in front, it can end in
 * "?query".  False if there is no other meaning.
 */
static bool reread(struct path *path)
{
	char *mark = strchr(path->text, path->from_proxy ? '%' : '?');

	if (mark == NULL)
		return false;
	if (path->from_proxy)
		hex_percent_decode(mark);
	else
		*mark = '\0';
	path->base = strlen(path->text);
	return true;
}

/* As split(), and if no file is there, once more with the other meaning of the path. */
static int find_file(struct path *path, struct script_refusal *refusal)
{
	bool climbed = climbs(path->text);

	if (split(path, refusal) == 0)
		return 0;
	if (refusal->status != 404 || !reread(path))
		return -1;
	if (!climbed && climbs(path->text))
		return refuse(refusal, 404, path->text, "its part from the URL contains \"..\"");
	return split(path, refusal);
}

/* ---- the names that go with it ------------------------------------------- */

/* Sets `name` to the `len` bytes at `first` followed by `second`. */
static int set_joined(struct params *params, const char *name, const char *first, size_t len,
    const char *second)
{
	size_t more = strlen(second);
	char *joined = malloc(len + more + 1);
	int failed;

	if (joined == NULL)
		return -1;
	memcpy(joined, first, len);
	memcpy(joined + len, second, more + 1);
	failed = params_set(params, name, joined);
	free(joined);
	return failed;
}

/*
 * PATH_TRANSLATED is PATH_INFO below the document root (RFC 3875 4.1.6); it is unset if one of
 * them is missing, or if it would be too long for a path: PATH_INFO need not be a path at all.
 */
static int translate(struct params *params)
{
	const char *info = params_get_filled(params, "PATH_INFO");
	const char *root = params_get_filled(params, "DOCUMENT_ROOT");

	if (info == NULL || root == NULL || strlen(root) + strlen(info) >= PATH_MAX) {
		params_unset(params, "PATH_TRANSLATED");
		return 0;
	}
	return set_joined(params, "PATH_TRANSLATED", root, strlen(root), info);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/*
 * The script's path ended inside the part from the URL: the rest of that is PATH_INFO, and must
 * not be in SCRIPT_NAME too.  Apache's ProxyPass leaves it percent-encoded in SCRIPT_FILENAME;
 * in SCRIPT_NAME it never is.
 */
static int move_rest(struct params *params, char *rest)
{
	const char *name = params_get(params, "SCRIPT_NAME");

	if (name != NULL && !ends_with(name, rest)) {
		char *decoded = strdup(rest);

		if (decoded == NULL)
			return -1;
		hex_percent_decode(decoded);
		if (ends_with(name, decoded))
			memcpy(rest, decoded, strlen(decoded) + 1);
		free(decoded);
	}
	if (name != NULL && ends_with(name, rest) &&
	    set_joined(params, "SCRIPT_NAME", name, strlen(name) - strlen(rest), "") != 0)
		return -1;
	if (params_set(params, "PATH_INFO", rest) != 0)
		return -1;
	return translate(params);
}

/* SCRIPT_FILENAME is a directory, and PATH_INFO holds both the script and the path. */
static int move_script(struct params *params, const char *script, const char *rest)
{
	const char *name = params_get(params, "SCRIPT_NAME");

	if (name == NULL)
		name = "";
	if (set_joined(params, "SCRIPT_NAME", name, strlen(name), script) != 0 ||
	    params_set(params, "PATH_INFO", rest) != 0)
		return -1;
	return translate(params);
}

static int fill_translated(struct params *params)
{
	if (params_get(params, "PATH_TRANSLATED") != NULL)
		return 0;
	return translate(params);
}

static bool is_directory(const char *path)
{
	struct stat info;

	return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Sets the names that fit the script at `path`; `in_info`: it was found along PATH_INFO. */
static int set_names(struct params *params, struct path *path, bool in_info)
{
	int failed;

	if (in_info)
		failed = move_script(params, path->text + path->base,
		    path->rest == NULL ? "" : path->rest);
	else if (path->rest != NULL)
		failed = move_rest(params, path->rest);
	else
		failed = fill_translated(params);
	return failed != 0 ? -1 : params_set(params, "SCRIPT_FILENAME", path->text);
}

/* Finds the file and sets the names; `path` is then the script. */
static int locate(struct params *params, struct path *path, struct script_refusal *refusal)
{
	const char *info = params_get_filled(params, "PATH_INFO");
	bool in_info = false;

	if (find_file(path, refusal) != 0) {
		/* only a refused path is tried twice */
		if (info == NULL || refusal->status != 403 || !is_directory(path->text))
			return -1;
		if (from_url(path->text, info, path, refusal) != 0 || split(path, refusal) != 0)
			return -1;
		in_info = true;
	}
	if (set_names(params, path, in_info) == 0)
		return 0;
	return refuse(refusal, 503, path->text, strerror(errno));
}

/* ---- scripts that may run ------------------------------------------------- */

static bool is_listed(const struct value_list *programs, const char *path)
{
	for (size_t i = 0; i < programs->count; i++)
		if (strcmp(programs->items[i], path) == 0)
			return true;
	return programs->count == 0;
}

/* Whether the canonical `path` is below the directory `root`, which is made canonical here. */
static bool is_below(const char *root, const char *path)
{
	char canonical[PATH_MAX];
	size_t len;

	if (realpath(root, canonical) == NULL)
		return false;
	len = strlen(canonical);
	if (len > 0 && canonical[len - 1] == '/') /* the root directory itself */
		len--;
	return strncmp(path, canonical, len) == 0 && path[len] == '/';
}

static bool is_rooted(const struct value_list *roots, const char *path)
{
	char canonical[PATH_MAX];

	if (roots->count == 0)
		return true;
	if (realpath(path, canonical) == NULL)
		return false;
	for (size_t i = 0; i < roots->count; i++)
		if (is_below(roots->items[i], canonical))
			return true;
	return false;
}

/* Names a symbolic link with its target, which has to be below a --root. */
static int refuse_rootless(const char *path, struct script_refusal *refusal)
{
	char canonical[PATH_MAX];

	if (realpath(path, canonical) == NULL || strcmp(canonical, path) == 0)
		return refuse(refusal, 403, path, "not below a directory given by --root");
	refusal->status = 403;
	snprintf(refusal->reason, sizeof refusal->reason, "%.200s: a symbolic link to %.200s, "
	    "which is not below a directory given by --root", path, canonical);
	return -1;
}

/* Whether the script at `path` may run. */
static int check_rules(const char *path, const struct options *options,
    struct script_refusal *refusal)
{
	if (!is_listed(&options->programs, path))
		return refuse(refusal, 403, path, "not among the scripts given by --program");
	if (!is_rooted(&options->roots, path))
		return refuse_rootless(path, refusal);
	return 0;
}

/* Without REDIRECT_STATUS, php-cgi thinks that the request bypassed the web server's rules. */
static int prepare_handler(struct params *params, const char *path, const struct options *options,
    struct script_refusal *refusal)
{
	if (arguments_handler(options, path) == NULL)
		return 0;
	if (access(path, R_OK) != 0)
		return refuse_errno(refusal, path, errno);
	if (params_get(params, "REDIRECT_STATUS") == NULL &&
	    params_set(params, "REDIRECT_STATUS", "200") != 0)
		return refuse(refusal, 503, path, strerror(errno));
	return 0;
}

int script_resolve(struct params *params, const struct options *options, struct stat *info,
    struct script_refusal *refusal)
{
	struct path path;
	int failed;

	path_init(&path, info);
	failed = name_path(params, &path, refusal) != 0 || locate(params, &path, refusal) != 0 ||
	    check_rules(path.text, options, refusal) != 0 ||
	    prepare_handler(params, path.text, options, refusal) != 0;
	path_fini(&path);
	return failed ? -1 : 0;
}

/* ---- in place of another process ------------------------------------------- */

static const char *const set_by_resolve[] = {"SCRIPT_FILENAME", "SCRIPT_NAME", "PATH_INFO",
    "PATH_TRANSLATED", "REDIRECT_STATUS"};
enum { NAMES_SET = sizeof set_by_resolve / sizeof *set_by_resolve };

/* Each is a path, or made of two other parameters, or unchanged. */
size_t script_names_max(const struct params *params)
{
	return NAMES_SET * (buf_len(&params->raw) + 2 * PATH_MAX);
}

/* Each is a text: '=' and the value, or nothing if it is not set. */
int script_put_names(const struct params *params, char *text, size_t size)
{
	char *at = text;

	for (size_t i = 0; i < NAMES_SET; i++) {
		const char *value = params_get(params, set_by_resolve[i]);
		size_t left = size - (size_t)(at - text);
		int len = snprintf(at, left, "%s%s", value == NULL ? "" : "=",
		    value == NULL ? "" : value);

		if (len < 0 || (size_t)len >= left) {
			memset(text, 0, size); /* without an end, it would be read past its own */
			return -1;
		}
		at += len + 1;
	}
	return 0;
}

int script_take_names(struct params *params, const char *text)
{
	for (size_t i = 0; i < NAMES_SET; i++, text += strlen(text) + 1) {
		const char *old = params_get(params, set_by_resolve[i]);

		if (*text == '\0')
			params_unset(params, set_by_resolve[i]);
		else if ((old == NULL || strcmp(old, text + 1) != 0) &&
		    params_set(params, set_by_resolve[i], text + 1) != 0)
			return -1;
	}
	return 0;
}

/* ---- file systems that may not answer -------------------------------------- */

enum { READINGS = 3 };

/* As find_file() and locate() look for it: as it is, decoded, and with PATH_INFO; false: not so. */
static bool read_as(struct path *path, const struct params *params, int reading)
{
	const char *info = reading == 2 ? params_get_filled(params, "PATH_INFO") : NULL;

	if (reading == 1 && path->from_proxy)
		hex_percent_decode(path->text);
	if (reading == 2)
		return info != NULL && path_join(path, path->text, strlen(path->text), info) == 0;
	return reading == 0 || path->from_proxy;
}

static const struct mount *find_mount(const struct params *params, struct path *path,
    const struct mounts *mounts)
{
	const struct mount *mount = NULL;

	for (int i = 0; mount == NULL && i < READINGS; i++)
		if (read_as(path, params, i))
			mount = mounts_find(mounts, path->text);
	return mount;
}

bool script_is_local(const struct params *params, const struct mounts *mounts)
{
	struct script_refusal refusal;
	struct path path;
	bool local;

	path_init(&path, NULL);
	local = name_path(params, &path, &refusal) != 0;
	for (int i = 0; !local && i < READINGS; i++)
		if (read_as(&path, params, i))
			local = mounts_is_local(mounts, path.text);
	path_fini(&path);
	return local;
}

/*
 * That of a handler for an extension that `path` has somewhere: which file it names is not
 * known.
 */
static const struct mount *handler_mount(const struct options *options, const char *path,
    const struct mounts *mounts)
{
	const struct mount *mount = NULL;
	char extension[NAME_MAX + 1];

	for (size_t i = 0; mount == NULL && i < options->handlers.count; i++) {
		const struct value_handler *handler = &options->handlers.items[i];

		snprintf(extension, sizeof extension, "%.*s", (int)handler->extension_len,
		    handler->text);
		if (strstr(path, extension) != NULL)
			mount = mounts_find(mounts, handler->argv[0]);
	}
	return mount;
}

const struct mount *script_mount(const struct params *params, const struct options *options,
    const struct mounts *mounts)
{
	const char *directory = params_get_filled(params, "FCGI_CHDIR");
	const struct mount *mount = NULL;
	struct script_refusal refusal;
	struct path path;

	path_init(&path, NULL);
	if (name_path(params, &path, &refusal) == 0)
		mount = find_mount(params, &path, mounts);
	if (mount == NULL)
		mount = handler_mount(options, path.text, mounts);
	path_fini(&path);
	if (mount == NULL && directory != NULL)
		mount = mounts_find(mounts, directory);
	for (size_t i = 0; mount == NULL && i < options->roots.count; i++)
		mount = mounts_find(mounts, options->roots.items[i]);
	return mount;
}

dev_t script_touch(const struct options *options, const char *path)
{
	const struct value_handler *handler = arguments_handler(options, path);
	const char *program = NULL;
	struct shebang shebang, ignored;
	struct stat info;

	shebang_read(&shebang, path);
	if (handler != NULL)
		program = handler->argv[0];
	else if (shebang.kind == SHEBANG_PATH)
		program = shebang.interpreter;
	if (program == NULL)
		return 0;
	shebang_read(&ignored, program);
	return stat(program, &info) == 0 ? info.st_dev : 0;
}
