/* SPDX-License-Identifier: ISC */
/*
 * options: the table of options, and a reader for each kind of value.
 *
 * To add an option: a line in the table, a member in struct options, its default
 * beside the others, an entry in cgibridge(8).
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"

struct option_spec;

/* Stores `value` where the option goes; 0, or -1 with `*why` what would be right. */
typedef int read_fn(const struct option_spec *spec, void *member, const char *value,
    const char **why);

struct option_spec {
	const char *name;    /* long name; NULL for a letter only */
	char letter;         /* 0: none */
	const char *argument; /* as --help names it; NULL: takes none */
	const char *help;
	read_fn *read;       /* NULL: answered by answer() */
	size_t member;       /* offset in struct options */
	long long min, max;  /* of numbers, times and sizes; `min` is the value of a flag */
	const char *choices; /* "a|b|c", stored as 0, 1, 2 */
};

/* ---- readers, one a kind of value --------------------------------------- */

static char why_text[160];

static int out_of_range(const char **why, const char *kind, const struct option_spec *spec)
{
	snprintf(why_text, sizeof why_text, "%s from %lld to %lld is expected", kind, spec->min,
	    spec->max);
	*why = why_text;
	return -1;
}

/* A decimal number with no sign at the start of `text`; -1 if there is none or it is huge. */
static long long leading_number(const char *text, const char **rest)
{
	char *end;
	long long number;

	if (text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	number = strtoll(text, &end, 10);
	*rest = end;
	return errno != 0 ? -1 : number;
}

/* `number` in units of `unit`, or -1 if that does not fit. */
static long long scaled(long long number, long long unit)
{
	return number < 0 || number > LLONG_MAX / unit ? -1 : number * unit;
}

int64_t options_time(const char *text)
{
	static const struct {
		const char *suffix;
		long long ms;
	} units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"m", 60000}, {"h", 3600000}};
	const char *suffix = "";
	long long number = leading_number(text, &suffix);

	for (size_t i = 0; number >= 0 && i < sizeof units / sizeof *units; i++)
		if (strcmp(suffix, units[i].suffix) == 0)
			return scaled(number, units[i].ms);
	return -1;
}

static long long parse_size(const char *text)
{
	static const char units[] = "KMG";
	const char *suffix = "";
	long long number = leading_number(text, &suffix);
	const char *unit;

	if (number < 0 || *suffix == '\0')
		return number;
	unit = strchr(units, *suffix);
	if (unit == NULL || suffix[1] != '\0')
		return -1;
	return scaled(number, 1LL << (10 * (unit - units + 1)));
}

static int read_number(const struct option_spec *spec, void *member, const char *value,
    const char **why)
{
	const char *rest = "";
	long long number = leading_number(value, &rest);

	if (number < spec->min || number > spec->max || *rest != '\0')
		return out_of_range(why, "a number", spec);
	*(int *)member = (int)number;
	return 0;
}

static int read_time(const struct option_spec *spec, void *member, const char *value,
    const char **why)
{
	int64_t ms = options_time(value);

	if (ms < spec->min || ms > spec->max) {
		*why = "a time such as 500ms, 10s, 5m or 1h is expected, at most 8760h";
		return -1;
	}
	*(int64_t *)member = ms;
	return 0;
}

static int read_size(const struct option_spec *spec, void *member, const char *value,
    const char **why)
{
	long long size = parse_size(value);

	if (size < spec->min || size > spec->max)
		return out_of_range(why, "a size such as 64K, 10M or 1G, in bytes", spec);
	*(uint64_t *)member = (uint64_t)size;
	return 0;
}

static int read_choice(const struct option_spec *spec, void *member, const char *value,
    const char **why)
{
	const char *at = spec->choices;
	size_t len = strlen(value);

	for (int i = 0; at != NULL; i++) {
		size_t item = strcspn(at, "|");

		if (item == len && memcmp(at, value, len) == 0) {
			*(int *)member = i;
			return 0;
		}
		at = at[item] == '|' ? at + item + 1 : NULL;
	}
	snprintf(why_text, sizeof why_text, "one of %s is expected", spec->choices);
	*why = why_text;
	return -1;
}

static int read_flag(const struct option_spec *spec, void *member, const char *value,
    const char **why)
{
	(void)value;
	(void)why;
	*(int *)member = (int)spec->min;
	return 0;
}

static int read_item(const struct option_spec *spec, void *member, const char *value,
    const char **why)
{
	struct option_list *list = member;
	const char **items = realloc(list->items, (list->count + 1) * sizeof *items);

	(void)spec;
	if (items == NULL) {
		*why = "out of memory";
		return -1;
	}
	items[list->count++] = value;
	list->items = items;
	return 0;
}

static int read_path(const struct option_spec *spec, void *member, const char *value,
    const char **why)
{
	if (value[0] == '/')
		return read_item(spec, member, value, why);
	*why = "an absolute path is expected";
	return -1;
}

static int read_directory(const struct option_spec *spec, void *member, const char *value,
    const char **why)
{
	(void)spec;
	if (value[0] != '/' || access(value, W_OK | X_OK) != 0) {
		*why = "a directory that can be written to is expected";
		return -1;
	}
	*(const char **)member = value;
	return 0;
}

static int read_socket(const struct option_spec *spec, void *member, const char *value,
    const char **why)
{
	struct address address;

	return address_parse(value, &address, why) != 0 ? -1 : read_item(spec, member, value, why);
}

static int read_mode(const struct option_spec *spec, void *member, const char *value,
    const char **why)
{
	char *end;
	long mode = strtol(value, &end, 8);

	(void)spec;
	if (value[0] < '0' || value[0] > '7' || *end != '\0' || mode > 0777) {
		*why = "an octal file mode from 0 to 0777 is expected";
		return -1;
	}
	*(int *)member = (int)mode;
	return 0;
}

/* A number, or the id that `by_name` finds; -1 if neither. */
static long find_id(const char *name, long (*by_name)(const char *))
{
	const char *rest = "";
	long long number = leading_number(name, &rest);

	if (number >= 0 && *rest == '\0')
		return number < UINT_MAX ? (long)number : -1;
	return by_name(name);
}

static long user_by_name(const char *name)
{
	const struct passwd *user = getpwnam(name);

	return user == NULL ? -1 : (long)user->pw_uid;
}

static long group_by_name(const char *name)
{
	const struct group *group = getgrnam(name);

	return group == NULL ? -1 : (long)group->gr_gid;
}

/* USER[:GROUP]; a user alone leaves the group as it is.  `member` is socket_uid. */
static int read_owner(const struct option_spec *spec, void *member, const char *value,
    const char **why)
{
	struct options *options =
	    (struct options *)(void *)((char *)member - offsetof(struct options, socket_uid));
	char user[128];
	const char *colon = strchr(value, ':');
	size_t len = colon == NULL ? strlen(value) : (size_t)(colon - value);
	long uid = -1;
	long gid = 0;

	(void)spec;
	*why = "USER or USER:GROUP is expected, and both have to exist";
	if (len < sizeof user) {
		memcpy(user, value, len);
		user[len] = '\0';
		uid = find_id(user, user_by_name);
	}
	if (colon != NULL)
		gid = find_id(colon + 1, group_by_name);
	if (uid < 0 || gid < 0)
		return -1;
	options->socket_uid = (uid_t)uid;
	if (colon != NULL)
		options->socket_gid = (gid_t)gid;
	return 0;
}

/* ---- the table ---------------------------------------------------------- */

#define MEMBER(name) offsetof(struct options, name)
#define NONE NULL, 0, 0, 0, NULL
#define YEAR (8760LL * 3600 * 1000)

static const struct option_spec specs[] = {
	{"socket", 's', "URL",
	    "listen on unix:/path, unix:@name, tcp:HOST:PORT, tcp6:[ADDR]:PORT or fd:N; may be "
	    "repeated (default: the sockets inherited by LISTEN_FDS, else descriptor 0)",
	    read_socket, MEMBER(sockets), 0, 0, NULL},
	{"socket-mode", 0, "MODE", "file mode of unix sockets (0660)", read_mode,
	    MEMBER(socket_mode), 0, 0, NULL},
	{"socket-owner", 0, "USER[:GROUP]", "owner of unix sockets (as started)", read_owner,
	    MEMBER(socket_uid), 0, 0, NULL},
	{"backlog", 0, "N", "connections the kernel holds until they are accepted (511)",
	    read_number, MEMBER(backlog), 1, 65535, NULL},
	{"workers", 'c', "N", "worker processes (one a CPU)", read_number, MEMBER(workers), 1, 1024,
	    NULL},
	{"max-scripts", 'm', "N", "scripts running at once, all workers together (128)",
	    read_number, MEMBER(max_scripts), 1, 65536, NULL},
	{"queue", 0, "N", "requests waiting for a script to end; past that: 503 (512)", read_number,
	    MEMBER(queue), 0, 1000000, NULL},
	{"queue-timeout", 0, "TIME", "how long a request waits for a script to end (30s)", read_time,
	    MEMBER(queue_timeout), 1, YEAR, NULL},
	{"program", 'p', "PATH", "run only this script; may be repeated (any)", read_path,
	    MEMBER(programs), 0, 0, NULL},
	{"root", 'r', "DIR", "run only scripts below this directory; may be repeated (any)",
	    read_path, MEMBER(roots), 0, 0, NULL},
	{"timeout", 't', "TIME", "a script's whole time; 0 for none (0)", read_time, MEMBER(timeout),
	    0, YEAR, NULL},
	{"idle-timeout", 0, "TIME",
	    "time without a byte in either direction; 0 for none (300s)", read_time,
	    MEMBER(idle_timeout), 0, YEAR, NULL},
	{"linger", 0, "TIME",
	    "how long a silent response stays open after the script's exit while a descendant "
	    "holds its output (5s)",
	    read_time, MEMBER(linger), 0, YEAR, NULL},
	{"kill-delay", 0, "TIME", "time between TERM and KILL to a script's process group (5s)",
	    read_time, MEMBER(kill_delay), 0, YEAR, NULL},
	{"drain-timeout", 0, "TIME", "grace for running scripts when stopping (30s)", read_time,
	    MEMBER(drain_timeout), 0, YEAR, NULL},
	{"on-disconnect", 0, "WHAT",
	    "what a script gets when its client is gone: kill, close or ignore (kill)", read_choice,
	    MEMBER(on_disconnect), 0, 0, "kill|close|ignore"},
	{"stderr", 0, "WHERE", "a script's stderr goes to the log, the client or is discarded: log, "
	    "client or discard (log)",
	    read_choice, MEMBER(stderr_to), 0, 0, "log|client|discard"},
	{NULL, 'f', NULL, "the same as --stderr client", read_flag, MEMBER(stderr_to),
	    STDERR_CLIENT, 0, NULL},
	{"max-body", 0, "SIZE", "request body that is held for a script; past that: 413 (1G)",
	    read_size, MEMBER(max_body), 0, LLONG_MAX, NULL},
	{"max-params", 0, "SIZE", "a request's parameters; past that: 431 (256K)", read_size,
	    MEMBER(max_params), 1024, 64LL << 20, NULL},
	{"spool-dir", 0, "DIR", "where request bodies are held that do not fit memory (TMPDIR)",
	    read_directory, MEMBER(spool_dir), 0, 0, NULL},
	{"log-level", 'l', "LEVEL", "log error, warn, info or debug and what is graver (info)",
	    read_choice, MEMBER(log_level), 0, 0, "error|warn|info|debug"},
	{"version", 'V', NULL, "print the version and exit", NONE},
	{"help", 'h', NULL, "print this help and exit", NONE},
};

enum { SPEC_COUNT = sizeof specs / sizeof *specs, LONG_ONLY = 256 };

static void set_defaults(struct options *options)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const char *tmp = getenv("TMPDIR");

	*options = (struct options){
	    .socket_mode = 0660,
	    .socket_uid = (uid_t)-1,
	    .socket_gid = (gid_t)-1,
	    .backlog = 511,
	    .workers = cpus < 1 ? 1 : cpus > 1024 ? 1024 : (int)cpus,
	    .max_scripts = 128,
	    .queue = 512,
	    .queue_timeout = 30 * 1000,
	    .idle_timeout = 300 * 1000,
	    .linger = 5 * 1000,
	    .kill_delay = 5 * 1000,
	    .drain_timeout = 30 * 1000,
	    .max_body = 1ULL << 30,
	    .max_params = 256 << 10,
	    .spool_dir = tmp != NULL && tmp[0] == '/' && access(tmp, W_OK | X_OK) == 0 ? tmp : "/tmp",
	    .log_level = LOG_LEVEL_INFO,
	};
}

/* ---- --help -------------------------------------------------------------- */

/* Writes `text` in lines of at most 78 columns, from column 30 on. */
static void put_wrapped(FILE *out, const char *text)
{
	enum { INDENT = 30, WIDTH = 78 - INDENT };

	while (*text != '\0') {
		size_t len = strlen(text);

		if (len > WIDTH)
			for (len = WIDTH; len > 0 && text[len] != ' ';)
				len--;
		fprintf(out, "%.*s\n", (int)len, text);
		text += len;
		if (*text == ' ') {
			fprintf(out, "%*s", INDENT, "");
			text++;
		}
	}
}

void options_help(FILE *out)
{
	fputs("usage: cgibridge [options]\n"
	      "Runs CGI/1.1 scripts for FastCGI clients such as nginx.\n\n",
	    out);
	for (size_t i = 0; i < SPEC_COUNT; i++) {
		char left[64];
		char letter[8] = "   ";

		if (specs[i].letter != 0)
			snprintf(letter, sizeof letter, "-%c%c", specs[i].letter,
			    specs[i].name == NULL ? ' ' : ',');
		snprintf(left, sizeof left, "  %s %s%s%s%s", letter,
		    specs[i].name == NULL ? "" : "--", specs[i].name == NULL ? "" : specs[i].name,
		    specs[i].argument == NULL ? "" : " ",
		    specs[i].argument == NULL ? "" : specs[i].argument);
		if (strlen(left) < 29)
			fprintf(out, "%-30s", left);
		else
			fprintf(out, "%s\n%30s", left, "");
		put_wrapped(out, specs[i].help);
	}
	fputs("\nTimes take ms, s, m or h (seconds if none); sizes K, M or G.\n"
	      "The manual is cgibridge(8).\n",
	    out);
}

/* ---- parsing ------------------------------------------------------------- */

static void fill_tables(struct option longs[SPEC_COUNT + 1], char shorts[2 * SPEC_COUNT + 2])
{
	*shorts++ = ':'; /* a missing argument is told from an unknown option */
	for (int i = 0; i < SPEC_COUNT; i++) {
		const struct option_spec *spec = &specs[i];

		if (spec->letter != 0) {
			*shorts++ = spec->letter;
			if (spec->argument != NULL)
				*shorts++ = ':';
		}
		if (spec->name == NULL)
			continue;
		*longs++ = (struct option){.name = spec->name,
		    .has_arg = spec->argument == NULL ? no_argument : required_argument,
		    .val = LONG_ONLY + i};
	}
	*shorts = '\0';
	*longs = (struct option){.name = NULL};
}

static const struct option_spec *spec_of(int found)
{
	size_t i = 0;

	if (found >= LONG_ONLY)
		return &specs[found - LONG_ONLY];
	/* getopt has found it, so it is in the table: the last one if no other */
	while (i < SPEC_COUNT - 1 && specs[i].letter != found)
		i++;
	return &specs[i];
}

static enum options_verdict usage(const char *subject, const char *why)
{
	fprintf(stderr, "cgibridge: %s: %s\n", subject, why);
	return OPTIONS_USAGE;
}

static enum options_verdict answer(const struct option_spec *spec)
{
	if (spec->letter == 'h')
		options_help(stdout);
	else
		printf("cgibridge %s\n", PACKAGE_VERSION);
	return OPTIONS_DONE;
}

static enum options_verdict apply(struct options *options, const struct option_spec *spec,
    const char *value)
{
	char subject[256];
	const char *why = "";

	if (spec->read == NULL)
		return answer(spec);
	if (spec->read(spec, (char *)options + spec->member, value, &why) == 0)
		return OPTIONS_RUN;
	snprintf(subject, sizeof subject, "--%s '%s'", spec->name, value);
	return usage(subject, why);
}

/* `word` is the argument in which getopt found something wrong, `found` ':' or '?'. */
static enum options_verdict refuse(int found, const char *word)
{
	char letter[] = "-?";

	if (word == NULL || strncmp(word, "--", 2) != 0) {
		letter[1] = (char)optopt;
		word = letter;
	}
	if (found == ':')
		return usage(word, "an argument is expected");
	return usage(word, "no such option, or not one with this argument (--help lists them)");
}

/*
 * Start-up files pass several options as one word, "-f -c 4", where a variable is
 * not split, or an empty word where it is not set.  Such words are taken apart and
 * dropped; a blank anywhere but right behind an option's name stays what it is.
 */
static bool is_joined(const char *word)
{
	size_t name = strcspn(word, " =");

	return word[0] == '-' && word[name] == ' ' && (word[1] == '-' || name == 2);
}

/* Appends `word` to `argv`, cut at its blanks if it is several; returns the new count. */
static int add_words(char **argv, int argc, char *word)
{
	char *next = word;

	if (!is_joined(word)) {
		if (*word != '\0')
			argv[argc++] = word;
		return argc;
	}
	while ((word = strtok_r(next, " ", &next)) != NULL)
		argv[argc++] = word;
	return argc;
}

/* A copy of `argv` in which each word is one; NULL without memory.  The caller frees it. */
static char **split_words(int *argc, char **argv)
{
	size_t room = 2;
	char **words;
	int count = 0;

	for (int i = 0; i < *argc; i++)
		room += strlen(argv[i]) / 2 + 1;
	words = calloc(room, sizeof *words);
	if (words == NULL)
		return NULL;
	words[count++] = argv[0];
	for (int i = 1; i < *argc; i++)
		count = add_words(words, count, argv[i]);
	*argc = count;
	return words;
}

static enum options_verdict parse_words(struct options *options, int argc, char **argv)
{
	struct option longs[SPEC_COUNT + 1];
	char shorts[2 * SPEC_COUNT + 2];
	enum options_verdict verdict = OPTIONS_RUN;

	fill_tables(longs, shorts);
	opterr = 0;
	optind = 1;
	while (verdict == OPTIONS_RUN) {
		const char *word = optind < argc ? argv[optind] : NULL;
		int found = getopt_long(argc, argv, shorts, longs, NULL);

		if (found == -1)
			break;
		if (found == '?' || found == ':')
			verdict = refuse(found, word);
		else
			verdict = apply(options, spec_of(found), optarg);
	}
	if (verdict == OPTIONS_RUN && optind < argc)
		verdict = usage(argv[optind], "no argument is expected besides options");
	return verdict;
}

enum options_verdict options_parse(struct options *options, int argc, char **argv)
{
	char **words = split_words(&argc, argv);
	enum options_verdict verdict;

	set_defaults(options);
	if (words == NULL)
		return usage("command line", "out of memory");
	verdict = parse_words(options, argc, words);
	free(words);
	return verdict;
}

void options_fini(struct options *options)
{
	free(options->sockets.items);
	free(options->programs.items);
	free(options->roots.items);
}
