/* SPDX-License-Identifier: ISC */
/*
 * options_resolve: values and checks that depend on more than one option: the user and what it
 * may do, directories below the new root, sockets and the clients that may connect.
 *
 * Each step returns OPTIONS_RUN, or another verdict with `fault` set.
 */
#include "config/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/preloader_check.h"

static enum options_verdict fail(struct options_fault *fault, enum options_verdict verdict,
    const char *fmt, ...) PRINTF_LIKE(3, 4);

static enum options_verdict fail(struct options_fault *fault, enum options_verdict verdict,
    const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)fault_vset(&fault->why, fmt, args);
	va_end(args);
	return verdict;
}

/* ---- identity and directories ------------------------------------------------------ */

static enum options_verdict find_identity(struct options *options, struct options_fault *fault)
{
	const char *wrong;
	struct fault why;

	if (identity_find(&options->identity, options->user, options->group, &wrong, &why) != 0) {
		fault->word = wrong;
		return fail(fault, OPTIONS_USAGE, "--%s '%s': %s",
		    wrong == options->user ? "user" : "group", wrong, why.text);
	}
	return OPTIONS_RUN;
}

/* The present path of the file that will be `path` below the new root. */
static void path_below(const struct options *options, const char *path, char full[VALUE_TEXT_MAX])
{
	snprintf(full, VALUE_TEXT_MAX, "%s%s",
	    options->identity.root == NULL ? "" : options->identity.root, path);
}

/* 0, or an errno that says why `path` cannot be used as a directory. */
static int directory_error(const char *path)
{
	struct stat info;

	if (stat(path, &info) != 0)
		return errno;
	return S_ISDIR(info.st_mode) ? 0 : ENOTDIR;
}

/* 0, or an errno if `path` cannot be used for spool files, as far as this process can tell. */
static int spool_error(const struct options *options, const char *path)
{
	char full[VALUE_TEXT_MAX];
	int error;

	path_below(options, path, full);
	error = directory_error(full);
	if (error == 0 && !identity_is_set(&options->identity) && access(full, W_OK | X_OK) != 0)
		error = errno;
	return error;
}

static void choose_spool_dir(struct options *options)
{
	const char *tmp = getenv("TMPDIR");

	if (tmp != NULL && tmp[0] == '/' && spool_error(options, tmp) == 0)
		options->spool_dir = tmp;
	else
		options->spool_dir = "/tmp";
}

static enum options_verdict check_directories(struct options *options, struct options_fault *fault)
{
	const char *dir = options->identity.root;
	int error = dir == NULL ? 0 : directory_error(dir);

	fault->word = dir;
	if (error != 0)
		return fail(fault, OPTIONS_USAGE, "--chroot '%s': %s", dir, strerror(error));
	options->spool_by_default = options->spool_dir == NULL;
	if (options->spool_by_default)
		choose_spool_dir(options);
	error = spool_error(options, options->spool_dir);
	fault->word = options->spool_dir;
	/* a default that cannot be used matters only for large request bodies */
	if (error == 0 || (options->spool_by_default && dir == NULL))
		return OPTIONS_RUN;
	return fail(fault, OPTIONS_USAGE,
	    "--spool-dir '%s'%s%s: expected a writable directory: %s",
	    options->spool_dir, dir == NULL ? "" : " below --chroot ", dir == NULL ? "" : dir,
	    strerror(error));
}

/* ---- clients ----------------------------------------------------------------------- */

static enum options_verdict add_networks(struct options *options, struct options_fault *fault)
{
	const char *addresses = getenv("FCGI_WEB_SERVER_ADDRS");
	struct fault why;

	if (addresses == NULL || *addresses == '\0' ||
	    allow_add_addresses(&options->allow, addresses, &why) == 0)
		return OPTIONS_RUN;
	return fail(fault, OPTIONS_FAILED, "the environment variable FCGI_WEB_SERVER_ADDRS: %s",
	    why.text);
}

/* Root and the scripts' user are always allowed: refusing them would not stop them. */
static enum options_verdict add_users(struct options *options, struct options_fault *fault)
{
	uid_t ours = options->identity.has_user ? options->identity.uid : geteuid();

	if (options->allow.user_count == 0 ||
	    (allow_add_user(&options->allow, 0, NULL) == 0 &&
		allow_add_user(&options->allow, ours, NULL) == 0))
		return OPTIONS_RUN;
	return fail(fault, OPTIONS_FAILED, "--allow-user: out of memory");
}

static enum options_verdict check_sockets(struct options *options, struct options_fault *fault)
{
	for (size_t i = 0; i < options->sockets.count; i++) {
		const struct address *address = &options->sockets.items[i];

		fault->word = address->url;
		if (address->kind == ADDRESS_TCP &&
		    !allow_listening(&options->allow, (const struct sockaddr *)&address->addr))
			return fail(fault, OPTIONS_USAGE, "--socket '%s': other machines can reach it, and "
			    "whoever can connect can run programs: name the web servers by --allow "
			    "ADDR or ADDR/LEN, or listen on 127.0.0.1", address->url);
	}
	return OPTIONS_RUN;
}

/* ---- rehearsal ----------------------------------------------------------------------- */

/* Runs as the user, below the new root: tries what a worker will do there. */
static int try_out(void *context, struct fault *why)
{
	const struct options *options = context;
	struct fault reason;

	if (!options->spool_by_default && access(options->spool_dir, W_OK | X_OK) != 0)
		return fault_set(why, "--spool-dir %.100s cannot be written to: %s: choose "
		    "another", options->spool_dir, strerror(errno));
	for (size_t i = 0; i < options->limits.count; i++) {
		const struct value_limit *item = &options->limits.items[i];

		if (value_limit_check(&item->limit, &reason) != 0)
			return fault_set(why, "--limit %.60s: %.400s", item->text, reason.text);
	}
	return 0;
}

/* --check is for everybody: it does not fail for users who cannot switch to --user. */
enum options_verdict options_rehearse(struct options *options, struct options_fault *fault)
{
	struct fault why;

	if (!identity_is_set(&options->identity) || (options->check && geteuid() != 0))
		return OPTIONS_RUN;
	if (identity_rehearse(&options->identity, try_out, options, &why) == 0)
		return OPTIONS_RUN;
	return fail(fault, OPTIONS_FAILED, "%s", why.text);
}

enum options_verdict options_resolve(struct options *options, struct options_fault *fault)
{
	static enum options_verdict (*const steps[])(
	    struct options *options, struct options_fault *fault) = {find_identity,
	    check_directories, add_networks, add_users, check_sockets};
	enum options_verdict verdict = OPTIONS_RUN;

	for (size_t i = 0; verdict == OPTIONS_RUN && i < sizeof steps / sizeof *steps; i++) {
		fault->word = NULL;
		verdict = steps[i](options, fault);
	}
	return verdict;
}

/* ---- warnings ------------------------------------------------------------------------- */

enum { WARNING_MAX = 1024 };

typedef void warn_fn(const char *text);

/* A path that an option names, and the access(2) mode that the scripts' user needs. */
struct wanted {
	const char *path;
	int mode;
};

/* Runs in the process that has switched to the user. */
static int try_access(void *context, struct fault *why)
{
	const struct wanted *wanted = context;

	if (access(wanted->path, wanted->mode) == 0)
		return 0;
	return fault_set(why, "%s", strerror(errno));
}

/*
 * Whether scripts will have access to `path`: with --check it is tried as their user, if
 * possible, else as ourselves.  False with `why`.
 */
static bool is_open(const struct options *options, const char *path, int mode,
    struct fault *why)
{
	char full[VALUE_TEXT_MAX];
	struct wanted wanted = {.path = path, .mode = mode};

	if (options->check && identity_is_set(&options->identity) && geteuid() == 0)
		return identity_rehearse(&options->identity, try_access, &wanted, why) == 0;
	path_below(options, path, full);
	wanted.path = full;
	return try_access(&wanted, why) == 0;
}

/* Warns about the value of an option. */
static void doubt(warn_fn *warn, const char *option, const char *value, const char *why)
{
	char text[WARNING_MAX];

	snprintf(text, sizeof text, "--%.20s '%.300s': %.500s", option, value, why);
	warn(text);
}

static void doubt_root(const struct options *options, const char *root, warn_fn *warn)
{
	char full[VALUE_TEXT_MAX];
	struct fault why;
	int error;

	path_below(options, root, full);
	error = directory_error(full);
	if (error != 0)
		doubt(warn, "root", root, strerror(error));
	else if (options->check && !is_open(options, root, X_OK, &why))
		doubt(warn, "root", root, why.text);
}

static void doubt_spool(const struct options *options, warn_fn *warn)
{
	char text[WARNING_MAX];
	char full[VALUE_TEXT_MAX];
	struct fault why;
	int error;

	if (!options->spool_by_default)
		return;
	path_below(options, options->spool_dir, full);
	error = directory_error(full);
	if (error != 0)
		(void)fault_set(&why, "%s", strerror(error));
	else if (is_open(options, options->spool_dir, W_OK | X_OK, &why))
		return;
	snprintf(text, sizeof text,
	    "request bodies too large for memory cannot be held: %.200s: %s: give --spool-dir",
	    options->spool_dir, why.text);
	warn(text);
}

/*
 * A socket that cannot be made is an error at the start.  With --user or the like it is
 * probably root that will make it, so our own permissions do not count.
 */
static void doubt_socket(const struct options *options, const struct address *address,
    warn_fn *warn)
{
	char dir[VALUE_TEXT_MAX];
	char why[WARNING_MAX];
	const char *slash = address->path == NULL ? NULL : strrchr(address->path, '/');
	int error;

	if (slash == NULL)
		return;
	snprintf(dir, sizeof dir, "%.*s", slash == address->path ? 1 : (int)(slash - address->path),
	    address->path);
	error = directory_error(dir);
	if (error == 0 && !identity_is_set(&options->identity) && access(dir, W_OK | X_OK) != 0)
		error = errno;
	if (error == 0)
		return;
	snprintf(why, sizeof why, "no socket can be made in %.300s: %.100s", dir, strerror(error));
	doubt(warn, "socket", address->url, why);
}

/* A preloader that is tried. */
struct tried {
	const struct value_preload *preload;
	bool learn;
};

/* Runs in the process that has switched to the user. */
static int try_preloader(void *context, struct fault *why)
{
	const struct tried *tried = context;

	return preloader_check(tried->preload, tried->learn, why);
}

/* With --check it is run, if that can be done as the user and in the place of the workers. */
static void doubt_preload(const struct options *options, const struct value_preload *preload,
    warn_fn *warn)
{
	struct tried tried = {preload, options->preload_learn != 0};
	struct fault why;
	bool fits;

	if (!options->check || (identity_is_set(&options->identity) && geteuid() != 0))
		fits = is_open(options, preload->argv[0], X_OK, &why);
	else if (identity_is_set(&options->identity))
		fits = identity_rehearse(&options->identity, try_preloader, &tried, &why) == 0;
	else
		fits = try_preloader(&tried, &why) == 0;
	if (!fits)
		doubt(warn, "preload", preload->text, why.text);
}

void options_warn(const struct options *options, warn_fn *warn)
{
	struct fault why;

	for (size_t i = 0; options->check && i < options->sockets.count; i++)
		doubt_socket(options, &options->sockets.items[i], warn);
	for (size_t i = 0; i < options->roots.count; i++)
		doubt_root(options, options->roots.items[i], warn);
	for (size_t i = 0; i < options->programs.count; i++)
		if (!is_open(options, options->programs.items[i], F_OK, &why))
			doubt(warn, "program", options->programs.items[i], why.text);
	for (size_t i = 0; i < options->handlers.count; i++)
		if (!is_open(options, options->handlers.items[i].argv[0], X_OK, &why))
			doubt(warn, "handler", options->handlers.items[i].text, why.text);
	for (size_t i = 0; i < options->preloads.count; i++)
		doubt_preload(options, &options->preloads.items[i], warn);
	doubt_spool(options, warn);
}
