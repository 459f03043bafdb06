/* SPDX-License-Identifier: ISC */
/*
 * script: the parameters -> the file to run, and the parameters about its path.
 *
 * Front ends name a script in five ways (SCRIPT_FILENAME alone; with PATH_INFO after the file;
 * as proxy:fcgi://host/path?query; as a directory, with all the rest in PATH_INFO; not at all,
 * with DOCUMENT_ROOT and one of SCRIPT_NAME and PATH_INFO).  All lead to the absolute path of
 * a regular file, and to a SCRIPT_NAME, PATH_INFO and PATH_TRANSLATED that fit it.  It runs
 * nothing.
 */
#ifndef CGIBRIDGE_SCRIPT_H
#define CGIBRIDGE_SCRIPT_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/attributes.h"
#include "config/options.h"
#include "cgi/mounts.h"
#include "cgi/params.h"

/* Why a script is not run. */
struct script_refusal {
	int status;      /* of the HTTP answer: 403, 404, 500 or 503 */
	char reason[512]; /* for the log: the path, and errno's text where there is one */
};

/*
 * Finds the script of `params`, fills `info` with its stat(2), and sets SCRIPT_FILENAME to its
 * absolute path as it is to be executed (symbolic links kept), SCRIPT_NAME, PATH_INFO and
 * PATH_TRANSLATED, and for a handler REDIRECT_STATUS.  0, or -1 with `refusal` filled: 404 nothing
 * there, 403 not allowed by permission or by --program and --root, 500 the parameters do not name a
 * script, 503 a shortage (sys_is_shortage()).
 */
int script_resolve(struct params *params, const struct options *options, struct stat *info,
    struct script_refusal *refusal) MUST_CHECK;

/*
 * For a process that resolves in place of another: copies the parameters that script_resolve()
 * sets to `text` of script_names_max() bytes, as they are in the other process before it.  0, or
 * -1 if there is no room: then it says that none is set.
 */
size_t script_names_max(const struct params *params);
int script_put_names(const struct params *params, char *text, size_t size) MUST_CHECK;

/* In the other process: sets them.  0, or -1 with errno E2BIG or ENOMEM. */
int script_take_names(struct params *params, const char *text) MUST_CHECK;

/*
 * The mount that script_resolve() may be blocked by, or a start by a handler, or in the
 * directory that FCGI_CHDIR names; NULL: none that is known.  Makes no system calls.
 */
const struct mount *script_mount(const struct params *params, const struct options *options,
    const struct mounts *mounts) MUST_CHECK;

/*
 * Whether script_resolve() will find a script that is known to be local, or touch no file.  Makes
 * no system calls.
 */
bool script_is_local(const struct params *params, const struct mounts *mounts) MUST_CHECK;

/*
 * Reads the first bytes of the script at `path`, and of the program that it is run by, as
 * execve(2) would: in a process that may be blocked by it.  Returns the device of that program; 0:
 * not known.
 */
dev_t script_touch(const struct options *options, const char *path);

#endif
