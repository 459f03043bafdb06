/* SPDX-License-Identifier: ISC */
/*
 * script: resolving a path, splitting it, and the rules of what may run.
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

#include "cgi/arguments.h"

/* The path being resolved. */
struct path {
	char text[PATH_MAX];
	size_t base; /* bytes that SCRIPT_FILENAME (or the root) gave; the rest is from the URL */
};

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
	return refuse(refusal, status, path, strerror(error));
}

/* ---- what the parameters name ------------------------------------------- */

static int path_set(struct path *path, const char *first, const char *second)
{
	int n = snprintf(path->text, sizeof path->text, "%s%s", first, second);

	path->base = strlen(first);
	return n < (int)sizeof path->text ? 0 : -1;
}

/*
 * Apache hands over proxy:fcgi://HOST:PORT/path, proxy:balancer://NAME/path and
 * proxy:unix:/socket|fcgi://HOST/path, each maybe with ?query: the path inside,
 * or NULL if there is none.
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
		return refuse(refusal, 500, name, "SCRIPT_FILENAME is no absolute path");
	if (path_set(path, file, "") != 0)
		return refuse_errno(refusal, file, ENAMETOOLONG);
	if (file != name)
		path->base = strcspn(path->text, "?");
	path->text[path->base] = '\0';
	return 0;
}

/* Whether a component of `path` is "..": in a part that came from the URL, a way out. */
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
	char joined[sizeof refusal->reason];
	const char *slash = below[0] == '/' ? "" : "/";
	size_t len = strlen(directory);

	while (len > 1 && directory[len - 1] == '/')
		len--;
	snprintf(joined, sizeof joined, "%.*s%s%s", (int)len, directory, slash, below);
	if (climbs(below))
		return refuse(refusal, 404, joined, "the URL's part of the path has \"..\"");
	if (snprintf(path->text, sizeof path->text, "%.*s%s%s", (int)len, directory, slash,
		below) >= (int)sizeof path->text)
		return refuse_errno(refusal, joined, ENAMETOOLONG);
	path->base = len;
	return 0;
}

static int name_path(const struct params *params, struct path *path, struct script_refusal *refusal)
{
	const char *file = params_get_filled(params, "SCRIPT_FILENAME");
	const char *root = params_get_filled(params, "DOCUMENT_ROOT");
	const char *name = params_get_filled(params, "SCRIPT_NAME");

	/* HAProxy passes on a URL as it is, also inside SCRIPT_FILENAME */
	if (name != NULL && climbs(name))
		return refuse(refusal, 404, name, "the URL's part of the path has \"..\"");
	if (file != NULL)
		return from_filename(file, path, refusal);
	if (root == NULL || name == NULL)
		return refuse(refusal, 500, "no SCRIPT_FILENAME",
		    "the web server has to send it, or DOCUMENT_ROOT and SCRIPT_NAME");
	if (root[0] != '/')
		return refuse(refusal, 500, root, "DOCUMENT_ROOT is no absolute path");
	return from_url(root, name, path, refusal);
}

/* ---- the file ------------------------------------------------------------ */

/*
 * The length of the prefix of `text` that is a file and no directory, going
 * from the left (each component but the last has to be a directory, so there is
 * only one); 0 with errno when there is none.
 */
static size_t walk(char *text)
{
	struct stat info;

	for (char *at = strchr(text + 1, '/');; at = strchr(at + 1, '/')) {
		int failed;

		if (at != NULL)
			*at = '\0';
		failed = stat(text, &info);
		if (at != NULL)
			*at = '/';
		if (failed != 0)
			return 0;
		if (!S_ISDIR(info.st_mode))
			return at == NULL ? strlen(text) : (size_t)(at - text);
		if (at == NULL) {
			errno = EISDIR;
			return 0;
		}
	}
}

static int check_kind(const char *path, mode_t mode, struct script_refusal *refusal)
{
	if (S_ISREG(mode))
		return 0;
	return refuse(refusal, 403, path, S_ISDIR(mode) ? "is a directory" : "is no regular file");
}

/* Cuts `path` behind the script; `rest` gets the part behind, "" if there is none. */
static int split(struct path *path, char rest[PATH_MAX], struct script_refusal *refusal)
{
	struct stat info;
	size_t len;

	rest[0] = '\0';
	if (stat(path->text, &info) == 0)
		return check_kind(path->text, info.st_mode, refusal);
	if (errno != ENOENT && errno != ENOTDIR)
		return refuse_errno(refusal, path->text, errno);
	len = walk(path->text);
	if (len == 0)
		return refuse_errno(refusal, path->text, errno);
	memcpy(rest, path->text + len, strlen(path->text + len) + 1);
	path->text[len] = '\0';
	if (stat(path->text, &info) != 0)
		return refuse_errno(refusal, path->text, errno);
	return check_kind(path->text, info.st_mode, refusal);
}

/* ---- the names that go with it ------------------------------------------- */

/* Sets `name` to `first` followed by `second`. */
static int set_joined(struct params *params, const char *name, const char *first, size_t first_len,
    const char *second)
{
	char joined[2 * PATH_MAX];

	if (snprintf(joined, sizeof joined, "%.*s%s", (int)first_len, first, second) >=
	    (int)sizeof joined) {
		errno = E2BIG;
		return -1;
	}
	return params_set(params, name, joined);
}

/* PATH_TRANSLATED is PATH_INFO below the document root (RFC 3875 4.1.6). */
static int translate(struct params *params)
{
	const char *info = params_get_filled(params, "PATH_INFO");
	const char *root = params_get_filled(params, "DOCUMENT_ROOT");

	if (info == NULL || root == NULL) {
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

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes %XX in place; what is none stays. */
static void percent_decode(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		int high = *from == '%' ? hex_digit(from[1]) : -1;
		int low = high < 0 ? -1 : hex_digit(from[2]);

		if (low >= 0 && high + low > 0) {
			*to++ = (char)(high << 4 | low);
			from += 2;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

/*
 * The script's path ended inside what came from the URL: what was behind it is
 * PATH_INFO, and must not be in SCRIPT_NAME too.  Apache's ProxyPass leaves it
 * percent-encoded in SCRIPT_FILENAME; in SCRIPT_NAME it never is.
 */
static int move_rest(struct params *params, char *rest)
{
	const char *name = params_get(params, "SCRIPT_NAME");

	if (name != NULL && !ends_with(name, rest)) {
		char decoded[PATH_MAX];

		memcpy(decoded, rest, strlen(rest) + 1);
		percent_decode(decoded);
		if (ends_with(name, decoded))
			memcpy(rest, decoded, strlen(decoded) + 1);
	}
	if (name != NULL && ends_with(name, rest) &&
	    set_joined(params, "SCRIPT_NAME", name, strlen(name) - strlen(rest), "") != 0)
		return -1;
	if (params_set(params, "PATH_INFO", rest) != 0)
		return -1;
	return translate(params);
}

/* SCRIPT_FILENAME is a directory, and PATH_INFO has script and path in one. */
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

/* Finds the file and sets the names; `path` is then the script. */
static int locate(struct params *params, struct path *path, struct script_refusal *refusal)
{
	const char *info = params_get_filled(params, "PATH_INFO");
	char rest[PATH_MAX];
	bool in_info = false;
	int set;

	if (split(path, rest, refusal) != 0) {
		/* only a refused path is looked at twice */
		if (info == NULL || refusal->status != 403 || !is_directory(path->text))
			return -1;
		char directory[PATH_MAX];

		memcpy(directory, path->text, sizeof directory);
		if (from_url(directory, info, path, refusal) != 0 || split(path, rest, refusal) != 0)
			return -1;
		in_info = true;
	}
	if (in_info)
		set = move_script(params, path->text + path->base, rest);
	else if (rest[0] != '\0')
		set = move_rest(params, rest);
	else
		set = fill_translated(params);
	if (set == 0 && params_set(params, "SCRIPT_FILENAME", path->text) == 0)
		return 0;
	return refuse(refusal, 503, path->text, strerror(errno));
}

/* ---- what may run --------------------------------------------------------- */

static bool is_listed(const struct value_list *programs, const char *path)
{
	for (size_t i = 0; i < programs->count; i++)
		if (strcmp(programs->items[i], path) == 0)
			return true;
	return programs->count == 0;
}

/* Whether the canonical `path` is below the directory `root`, canonical by now. */
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

int script_resolve(struct params *params, const struct options *options,
    struct script_refusal *refusal)
{
	struct path path;

	if (name_path(params, &path, refusal) != 0 || locate(params, &path, refusal) != 0)
		return -1;
	if (!is_listed(&options->programs, path.text))
		return refuse(refusal, 403, path.text, "not among the scripts given by --program");
	if (!is_rooted(&options->roots, path.text))
		return refuse(refusal, 403, path.text, "not below a directory given by --root");
	if (arguments_handler(options, path.text) != NULL && access(path.text, R_OK) != 0)
		return refuse_errno(refusal, path.text, errno);
	return 0;
}

int script_exec_status(int error)
{
	if (error == EACCES || error == EPERM)
		return 403;
	if (error == ENOMEM || error == EAGAIN || error == EMFILE || error == ENFILE ||
	    error == ETXTBSY)
		return 503;
	return 500;
}

const char *script_exec_hint(int error)
{
	if (error == EACCES)
		return " (is it executable, and its interpreter?)";
	if (error == ENOENT)
		return " (the interpreter in its first line is missing)";
	if (error == ENOEXEC)
		return " (no program, and no \"#!\" line)";
	if (error == E2BIG)
		return " (the request's parameters are too large for an environment)";
	return "";
}
