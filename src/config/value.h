/* SPDX-License-Identifier: ISC */
/*
 * value: the kinds of values that options take, each parsed from text and written back.
 *
 * A value that is parsed is valid, as far as that can be told without other options; for the
 * rest there is options_resolve.c.  Written text can be parsed again.
 */
#ifndef CGIBRIDGE_VALUE_H
#define CGIBRIDGE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/address.h"
#include "base/attributes.h"
#include "base/fault.h"
#include "base/sys.h"

/* The longest time that is accepted, in ms: a year.  Adding it to a clock cannot overflow. */
#define VALUE_TIME_MAX (8760LL * 3600 * 1000)

/* The least size of the buffer that a kind's write() gets. */
#define VALUE_TEXT_MAX 4200

/* What an option requires beyond its kind. */
struct value_rule {
	long long min, max;  /* of numbers, times (ms) and sizes (bytes) */
	const char *choices; /* "a|b|c", stored as 0, 1, 2 */
};

/* Values of an option that may be repeated, in order; the strings are borrowed. */
struct value_list {
	const char **items; /* owned */
	size_t count;
};

/* The same for socket URLs, whose hosts have been looked up. */
struct value_sockets {
	struct address *items; /* owned */
	size_t count;
};

/* The program that runs scripts whose name has an extension: ".EXT=PROGRAM ARGS". */
struct value_handler {
	const char *text;     /* borrowed; starts with the extension */
	size_t extension_len;
	char **argv;          /* PROGRAM, its arguments, NULL; owned, one allocation */
	size_t argc;
};

struct value_handlers {
	struct value_handler *items; /* owned */
	size_t count;
};

enum { VALUE_PRELOADS_MAX = 8 };

/* A program that starts the scripts of an interpreter: "INTERPRETER=PROGRAM ARGS". */
struct value_preload {
	const char *text;     /* borrowed; starts with the interpreter */
	size_t interpreter_len;
	char **argv;          /* PROGRAM, its arguments, NULL; owned, one allocation */
	size_t argc;
};

struct value_preloads {
	struct value_preload *items; /* owned; each interpreter once */
	size_t count;
};

/* A variable, "NAME=VALUE" as in environ(7), or "NAME": the inherited one. */
struct value_variable {
	const char *text; /* borrowed */
	bool is_set;      /* has a value */
};

struct value_variables {
	struct value_variable *items; /* owned */
	size_t count;
};

/* A resource limit, as "nofile=1024"; cpu has a soft limit below the hard one, for SIGXCPU. */
struct value_limit {
	struct sys_limit limit;
	const char *text; /* borrowed */
};

struct value_limits {
	struct value_limit *items; /* owned */
	size_t count;
};

struct value_owner {
	uid_t uid; /* (uid_t)-1: none given */
	gid_t gid; /* (gid_t)-1: none given */
};

/*
 * A kind of value.  read() parses `text` into `member`: 0, or -1 with `why` set to a phrase
 * that says what was expected.  write() writes the text of `member` to `text`, "" if it has no
 * value.  A kind whose values accumulate has item() instead of write(): the text that value
 * number `i` was parsed from, NULL after the last.
 */
struct value_kind {
	int (*read)(const struct value_rule *rule, void *member, const char *text,
	    struct fault *why);
	void (*write)(const struct value_rule *rule, const void *member, char *text);
	const char *(*item)(const void *member, size_t i);
};

extern const struct value_kind value_number;     /* int */
extern const struct value_kind value_time_kind;  /* int64_t, in ms */
extern const struct value_kind value_size;       /* uint64_t, in bytes */
extern const struct value_kind value_choice;     /* int */
extern const struct value_kind value_mode;       /* int, as in chmod(2) */
extern const struct value_kind value_owner_kind; /* struct value_owner */
extern const struct value_kind value_facility;   /* int, as log_facility_parse() */
extern const struct value_kind value_file;       /* const char *, borrowed: absolute path */
extern const struct value_kind value_access_log; /* struct accesslog_target */
extern const struct value_kind value_word;       /* const char *, borrowed; not empty */
extern const struct value_kind value_directory;  /* const char *, borrowed; an absolute path */
extern const struct value_kind value_path;       /* struct value_list of absolute paths */
extern const struct value_kind value_socket;     /* struct value_sockets */
extern const struct value_kind value_handler;    /* struct value_handlers */
extern const struct value_kind value_preload_kind; /* struct value_preloads */
extern const struct value_kind value_variable;   /* struct value_variables */
extern const struct value_kind value_url_path;   /* const char *, borrowed; NULL: none */
extern const struct value_kind value_limit_kind; /* struct value_limits */
extern const struct value_kind value_allow;      /* struct allow: "ADDR" or "ADDR/LEN" */
extern const struct value_kind value_allow_user; /* struct allow: a name or number */

/*
 * Parses a time: a number followed by s (the default), ms, m or h.  Returns it in ms, at most
 * VALUE_TIME_MAX, or -1 if `text` is not one.
 */
int64_t value_time(const char *text);

/*
 * The decimal number, without a sign, at the start of `text`; `*rest` is what follows it.  -1
 * if it is too large, or if there is none: `*rest` is then unchanged.
 */
long long value_leading_number(const char *text, const char **rest);

/* Parses a size: a number, which K, M or G may follow.  In bytes; -1 if it is not one. */
long long value_bytes(const char *text);

/* Frees the list and the items in it. */
void value_handlers_fini(struct value_handlers *handlers);
void value_preloads_fini(struct value_preloads *preloads);

/*
 * Splits `command` into words, quoted as in a file of options; the path of a program without
 * arguments may contain unquoted blanks if the file exists.  Sets `*argv`, which is owned by
 * the caller, one allocation with NULL at the end.  How many words there are; 0, with nothing to
 * free and errno: EINVAL if there is none or a quote is not closed, ENOMEM.
 */
size_t value_command(const char *command, char ***argv) MUST_CHECK;

/* Whether this process may set `limit` for its scripts: 0, or -1 with `why` as for a read(). */
int value_limit_check(const struct sys_limit *limit, struct fault *why) MUST_CHECK;

#endif
