/* SPDX-License-Identifier: ISC */
/*
 * options: the table of options, and the parser, --help and --check, which are driven by it.
 *
 * To add an option: a line in the table, a member in struct options, its default
 * beside the others, an entry in cgibridge(8).
 */
#include "config/options.h"

#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/nearest.h"

struct option_spec {
	const char *name;     /* long name; NULL for a letter only */
	char letter;          /* 0: none */
	const char *argument; /* its name in --help; NULL: takes none; "[=X]": it may be left out */
	const char *help;
	const struct value_kind *kind; /* NULL: a flag, which sets its int to rule.min */
	size_t member;        /* offset in struct options; NO_MEMBER: answered by answer() */
	struct value_rule rule;  /* .choices: the value if the argument is left out */
};

/* ---- the table ---------------------------------------------------------- */

#define MEMBER(name) offsetof(struct options, name)
#define NO_MEMBER SIZE_MAX
#define NONE NULL, NO_MEMBER, {0, 0, NULL}
#define ANY {0, 0, NULL}

static const struct option_spec specs[] = {
	{"socket", 's', "URL",
	    "listen on unix:/path, unix:@name, tcp:HOST:PORT, tcp6:[ADDR]:PORT or fd:N; may be "
	    "repeated (default: sockets inherited through LISTEN_FDS, else descriptor 0)",
	    &value_socket, MEMBER(sockets), ANY},
	{"socket-mode", 0, "MODE", "file mode of unix sockets (0660)", &value_mode,
	    MEMBER(socket_mode), ANY},
	{"socket-owner", 0, "USER[:GROUP]",
	    "owner of unix sockets (that of --user and --group)",
	    &value_owner_kind, MEMBER(socket_owner), ANY},
	{"backlog", 0, "N", "connections that may wait in the kernel to be accepted (511)",
	    &value_number, MEMBER(backlog), {1, 65535, NULL}},
	{"allow", 0, "ADDR[/LEN]",
	    "TCP clients allowed to connect; may be repeated (loopback, or FCGI_WEB_SERVER_ADDRS)",
	    &value_allow, MEMBER(allow), ANY},
	{"allow-user", 0, "USER",
	    "users allowed to connect to unix sockets, in addition to root and --user; may be "
	    "repeated (all who can open them)",
	    &value_allow_user, MEMBER(allow), ANY},
	{"user", 'u', "USER", "run workers and scripts as this user (the one that starts it)",
	    &value_word, MEMBER(user), ANY},
	{"group", 'g', "GROUP",
	    "run workers and scripts in this group (that of --user)",
	    &value_word, MEMBER(group), ANY},
	{"chroot", 0, "DIR", "make this the root directory of workers and scripts (none)",
	    &value_directory, MEMBER(identity.root), ANY},
	{"workers", 'c', "N", "worker processes (one per CPU)", &value_number, MEMBER(workers),
	    {1, 1024, NULL}},
	{"max-scripts", 'm', "N", "scripts that may run at once, in all workers together (128)",
	    &value_number, MEMBER(max_scripts), {1, 65536, NULL}},
	{"queue", 0, "N",
	    "requests that may wait for a script to end; more are answered 503 (512)",
	    &value_number, MEMBER(queue), {0, 1000000, NULL}},
	{"queue-timeout", 0, "TIME", "how long a request may wait for a script to end (30s)",
	    &value_time_kind, MEMBER(queue_timeout), {1, VALUE_TIME_MAX, NULL}},
	{"program", 'p', "PATH", "run only this script; may be repeated (any)", &value_path,
	    MEMBER(programs), ANY},
	{"root", 'r', "DIR", "run only scripts below this directory; may be repeated (any)",
	    &value_path, MEMBER(roots), ANY},
	{"handler", 0, ".EXT=COMMAND",
	    "run scripts whose names end in .EXT with this program, which may have arguments; "
	    "may be repeated (none)", &value_handler, MEMBER(handlers), ANY},
	{"handler-always", 0, NULL,
	    "use --handler even for executable scripts with a \"#!\" line", NULL,
	    MEMBER(handler_always), {1, 0, NULL}},
	{"preload", 0, "INTERPRETER=COMMAND",
	    "start scripts whose \"#!\" line names INTERPRETER through this program, which "
	    "keeps it loaded; may be repeated (none)", &value_preload_kind, MEMBER(preloads), ANY},
	{"preload-learn", 0, NULL,
	    "let preloaders load what earlier scripts have loaded", NULL,
	    MEMBER(preload_learn), {1, 0, NULL}},
	{"query-args", 0, NULL, "pass a query without \"=\" as arguments (RFC 3875, 4.4)", NULL,
	    MEMBER(query_args), {1, 0, NULL}},
	{"env", 0, "NAME[=VALUE]",
	    "set this variable for scripts, or let them inherit it; may be repeated (all are "
	    "inherited except those of requests and of the daemon)",
	    &value_variable, MEMBER(variables), ANY},
	{"clear-env", 0, NULL, "let scripts inherit no variables except those of --env", NULL,
	    MEMBER(clear_env), {1, 0, NULL}},
	{"limit", 0, "NAME=VALUE",
	    "limit a resource of each script: cpu, as, data, stack, nofile, nproc, fsize or "
	    "core; may be repeated (inherited)", &value_limit_kind, MEMBER(limits), ANY},
	{"timeout", 't', "TIME", "time limit for a script; 0 for none (0)", &value_time_kind,
	    MEMBER(timeout), {0, VALUE_TIME_MAX, NULL}},
	{"idle-timeout", 0, "TIME",
	    "time limit without a byte in either direction; 0 for none (300s)", &value_time_kind,
	    MEMBER(idle_timeout), {0, VALUE_TIME_MAX, NULL}},
	{"slow-log", 0, "TIME",
	    "log once if a script runs longer than this, and what it is waiting for; 0 for "
	    "never (0)",
	    &value_time_kind, MEMBER(slow_log), {0, VALUE_TIME_MAX, NULL}},
	{"linger", 0, "TIME",
	    "how long a response stays open, without new data, if a process holds the output "
	    "of a script that has exited (5s)",
	    &value_time_kind, MEMBER(linger), {0, VALUE_TIME_MAX, NULL}},
	{"kill-delay", 0, "TIME", "time between TERM and KILL to a script's process group (5s)",
	    &value_time_kind, MEMBER(kill_delay), {0, VALUE_TIME_MAX, NULL}},
	{"drain-timeout", 0, "TIME",
	    "how long running scripts may take to end when cgibridge stops (30s)",
	    &value_time_kind, MEMBER(drain_timeout), {0, VALUE_TIME_MAX, NULL}},
	{"on-disconnect", 0, "WHAT",
	    "what to do with a script when its client leaves: kill, close or ignore (kill)",
	    &value_choice, MEMBER(on_disconnect), {0, 0, ON_DISCONNECT_CHOICES}},
	{"disconnect-grace", 0, "TIME",
	    "how long a script may go on if its client leaves after it got the response's "
	    "headers (5s)",
	    &value_time_kind, MEMBER(disconnect_grace), {0, VALUE_TIME_MAX, NULL}},
	{"stderr", 0, "WHERE", "where a script's stderr goes: log, client or discard (log)",
	    &value_choice, MEMBER(stderr_to), {0, 0, "log|client|discard"}},
	{NULL, 'f', NULL, "the same as --stderr client", NULL, MEMBER(stderr_to),
	    {STDERR_CLIENT, 0, NULL}},
	{"error-detail", 0, NULL, "show the cause, with paths, on error pages (only in the log)", NULL,
	    MEMBER(error_detail), {1, 0, NULL}},
	{"strict-headers", 0, NULL,
	    "answer 500 for any flaw in a script's header block (most are mended and logged)",
	    NULL, MEMBER(strict_headers), {1, 0, NULL}},
	{"local-redirect", 0, NULL,
	    "follow a script's Location that is only a path, as RFC 3875 says (sent as a 302)",
	    NULL, MEMBER(local_redirect), {1, 0, NULL}},
	{"max-body", 0, "SIZE", "how much of a request body may be held for a script; more is "
	    "answered 413 (1G)",
	    &value_size, MEMBER(max_body), {0, LLONG_MAX, NULL}},
	{"max-params", 0, "SIZE",
	    "maximum size of a request's parameters; more is answered 431 (256K)",
	    &value_size, MEMBER(max_params), {1024, 64LL << 20, NULL}},
	{"spool-dir", 0, "DIR", "directory for request bodies too large for memory (TMPDIR)",
	    &value_directory, MEMBER(spool_dir), ANY},
	{"status-path", 0, "PATH",
	    "answer requests for this path with the status: text, ?json, ?openmetrics or ?html "
	    "(none)", &value_url_path, MEMBER(status_path), ANY},
	{"ping-path", 0, "PATH", "answer requests for this path with \"pong\" (none)",
	    &value_url_path, MEMBER(ping_path), ANY},
	{"log-level", 'l', "LEVEL",
	    "least severe messages to log: error, warn, info or debug (info)",
	    &value_choice, MEMBER(log_level), {0, 0, "error|warn|info|debug"}},
	{"syslog", 0, "[=FACILITY]", "send the log to syslog, with this facility or daemon",
	    &value_facility, MEMBER(syslog), {0, 0, "daemon"}},
	{"syslog-socket", 0, "PATH", "where syslog listens (/dev/log)", &value_file,
	    MEMBER(syslog_socket), ANY},
	{"access-log", 0, "FILE",
	    "write a line for each request to this file, to \"syslog\", or to \"-\" for standard "
	    "output (none)", &value_access_log, MEMBER(access_log), ANY},
	{"access-log-format", 0, "FORM", "format of these lines: text or json (text)",
	    &value_choice, MEMBER(access_log_format), {0, 0, ACCESSLOG_FORM_CHOICES}},
	{"check", 'n', NULL, "check the options, print them with all defaults, and exit", NULL,
	    MEMBER(check), {1, 0, NULL}},
	{"watchdog", 0, "TIME",
	    "kill and replace a worker whose event loop has not run for this long; 0 for never "
	    "(30s)", &value_time_kind, MEMBER(watchdog), {0, VALUE_TIME_MAX, NULL}},
	{"version", 'V', NULL, "print the version and exit", NONE},
	{"help", 'h', NULL, "print this help and exit", NONE},
};

enum { SPEC_COUNT = sizeof specs / sizeof *specs, LONG_ONLY = 256 };

/* Whether the argument may be left out; if given, it is joined by "=", not a separate word. */
static bool may_lack(const struct option_spec *spec)
{
	return spec->argument != NULL && spec->argument[0] == '[';
}

static void set_defaults(struct options *options)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	*options = (struct options){
	    .socket_mode = 0660,
	    .socket_owner = {(uid_t)-1, (gid_t)-1},
	    .backlog = 511,
	    .workers = cpus < 1 ? 1 : cpus > 1024 ? 1024 : (int)cpus,
	    .max_scripts = 128,
	    .queue = 512,
	    .queue_timeout = 30 * 1000,
	    .idle_timeout = 300 * 1000,
	    .linger = 5 * 1000,
	    .kill_delay = 5 * 1000,
	    .disconnect_grace = 5 * 1000,
	    .drain_timeout = 30 * 1000,
	    .watchdog = 30 * 1000,
	    .max_body = 1ULL << 30,
	    .max_params = 256 << 10,
	    .log_level = LOG_LEVEL_INFO,
	    .syslog_socket = "/dev/log",
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
	fputs("usage: cgibridge [options] [@FILE]\n"
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
		    specs[i].argument == NULL || may_lack(&specs[i]) ? "" : " ",
		    specs[i].argument == NULL ? "" : specs[i].argument);
		if (strlen(left) < 29)
			fprintf(out, "%-30s", left);
		else
			fprintf(out, "%s\n%30s", left, "");
		put_wrapped(out, specs[i].help);
	}
	fputs("\n@FILE stands for the options in a file; see cgibridge.conf(5).\n"
	      "Times take ms, s, m or h (seconds if none); sizes K, M or G.\n"
	      "The manual is cgibridge(8).\n",
	    out);
}

/* ---- --check ------------------------------------------------------------- */

/* Writes an option in a form that a shell, or an @FILE, can read back. */
static void put_option(FILE *out, const struct option_spec *spec, const char *value)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-_./:@,+=%[]";

	fprintf(out, "--%s%c", spec->name, may_lack(spec) ? '=' : ' ');
	if (*value != '\0' && value[strspn(value, plain)] == '\0') {
		fprintf(out, "%s\n", value);
		return;
	}
	fputc('\'', out);
	for (; *value != '\0'; value++)
		fputs(*value == '\'' ? "'\\''" : (char[]){*value, '\0'}, out);
	fputs("'\n", out);
}

static void put_items(FILE *out, const struct option_spec *spec, const void *member)
{
	const char *item;

	for (size_t i = 0; (item = spec->kind->item(member, i)) != NULL; i++)
		put_option(out, spec, item);
}

/* Writes a flag that is set; not -f, without a long name, nor --check, with a letter. */
static void put_flag(FILE *out, const struct option_spec *spec, const int *member)
{
	if (spec->name != NULL && spec->letter == 0 && *member == (int)spec->rule.min)
		fprintf(out, "--%s\n", spec->name);
}

static void put_value(FILE *out, const struct option_spec *spec, const void *member)
{
	char text[VALUE_TEXT_MAX];

	spec->kind->write(&spec->rule, member, text);
	if (text[0] != '\0')
		put_option(out, spec, text);
}

void options_print(const struct options *options, FILE *out)
{
	for (size_t i = 0; i < SPEC_COUNT; i++) {
		const struct option_spec *spec = &specs[i];
		const void *member;

		if (spec->member == NO_MEMBER)
			continue;
		member = (const char *)options + spec->member;
		if (spec->kind == NULL)
			put_flag(out, spec, member);
		else if (spec->kind->item != NULL)
			put_items(out, spec, member);
		else
			put_value(out, spec, member);
	}
}

/* ---- parsing ------------------------------------------------------------- */

static void fill_tables(struct option longs[SPEC_COUNT + 1], char shorts[2 * SPEC_COUNT + 3])
{
	*shorts++ = '+'; /* keep the order of the words */
	*shorts++ = ':'; /* tell a missing argument from an unknown option */
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
		    .has_arg = spec->argument == NULL ? no_argument
			: may_lack(spec)	       ? optional_argument
						       : required_argument,
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
	/* getopt found it, so it is in the table: the last one, if none before it */
	while (i < SPEC_COUNT - 1 && specs[i].letter != found)
		i++;
	return &specs[i];
}

static enum options_verdict usage(struct options_fault *fault, const char *fmt, ...)
    PRINTF_LIKE(2, 3);

static enum options_verdict usage(struct options_fault *fault, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)fault_vset(&fault->why, fmt, args);
	va_end(args);
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
    const char *value, struct options_fault *fault)
{
	struct fault why;

	if (spec->member == NO_MEMBER)
		return answer(spec);
	if (spec->kind == NULL) {
		*(int *)(void *)((char *)options + spec->member) = (int)spec->rule.min;
		return OPTIONS_RUN;
	}
	if (value == NULL)
		value = spec->rule.choices;
	if (spec->kind->read(&spec->rule, (char *)options + spec->member, value, &why) == 0)
		return OPTIONS_RUN;
	return usage(fault, "--%s '%.200s': %s", spec->name, value, why.text);
}

/* ---- unknown options ------------------------------------------------------- */

/*
 * Lists the options whose names start with the `len` bytes at `start`, as "--a, --b"; how
 * many.
 */
static int list_options(const char *start, size_t len, char *list, size_t size)
{
	int count = 0;
	size_t used = 0;

	list[0] = '\0';
	for (size_t i = 0; i < SPEC_COUNT; i++) {
		if (specs[i].name == NULL || strncmp(specs[i].name, start, len) != 0)
			continue;
		if (used < size)
			used += (size_t)snprintf(list + used, size - used, "%s--%s",
			    count == 0 ? "" : ", ", specs[i].name);
		count++;
	}
	return count;
}

/* The option that these `len` bytes probably mean, or NULL. */
static const char *find_nearest(const char *word, size_t len)
{
	struct nearest nearest = {.word = word, .len = len};

	for (size_t i = 0; i < SPEC_COUNT; i++)
		if (specs[i].name != NULL)
			nearest_offer(&nearest, specs[i].name);
	return nearest.name;
}

static enum options_verdict refuse_name(const char *word, struct options_fault *fault)
{
	const char *name = word + strspn(word, "-");
	size_t len = strcspn(name, "=");
	int shown = (int)(name - word) + (len > 100 ? 100 : (int)len);
	const char *nearest = find_nearest(name, len);
	char list[300];
	int count = list_options(name, len, list, sizeof list);

	if (count == 1 || (count > 1 && nearest != NULL && strlen(nearest) == len &&
			      strncmp(nearest, name, len) == 0))
		return usage(fault, "%.*s: it takes no argument", shown, word);
	if (count > 1)
		return usage(fault, "%.*s: ambiguous: %s", shown, word, list);
	if (nearest != NULL)
		return usage(fault, "%.*s: unknown option; did you mean --%s?", shown, word,
		    nearest);
	return usage(fault, "%.*s: unknown option (see --help)", shown, word);
}

/* Words the error for getopt's `found`, ':' or '?', at `word`. */
static enum options_verdict refuse(int found, const char *word, struct options_fault *fault)
{
	bool is_letter = optopt > 0 && optopt < LONG_ONLY;

	if (found == ':' && is_letter)
		return usage(fault, "-%c: expected an argument", optopt);
	if (found == ':')
		return usage(fault, "%.200s: expected an argument", word);
	if (is_letter)
		return usage(fault, "-%c: unknown option (see --help)", optopt);
	return refuse_name(word, fault);
}

/* ---- all words --------------------------------------------------------------- */

static enum options_verdict parse_words(struct options *options, int argc, char **argv,
    struct options_fault *fault)
{
	struct option longs[SPEC_COUNT + 1];
	char shorts[2 * SPEC_COUNT + 3];
	enum options_verdict verdict = OPTIONS_RUN;
	int at = 1;

	fill_tables(longs, shorts);
	opterr = 0;
	optind = 0; /* also forgets the words of an earlier parse (getopt_long(3)) */
	while (verdict == OPTIONS_RUN) {
		int found = getopt_long(argc, argv, shorts, longs, NULL);

		if (found == -1)
			break;
		fault->word = optarg != NULL && found != '?' && found != ':' ? optarg : argv[at];
		if (found == '?' || found == ':')
			verdict = refuse(found, argv[at], fault);
		else
			verdict = apply(options, spec_of(found), optarg, fault);
		at = optind;
	}
	if (verdict != OPTIONS_RUN || optind == argc)
		return verdict;
	fault->word = argv[optind];
	return usage(fault, "%.200s: expected only options", argv[optind]);
}

/* Puts file and line in front of the text if the offending word comes from a file. */
static void add_place(const struct cmdline *cmdline, struct options_fault *fault)
{
	struct cmdline_place place = cmdline_place(cmdline, fault->word);
	struct fault plain = fault->why;

	if (place.file != NULL)
		(void)fault_set(&fault->why, "%.150s:%d: %.340s", place.file, place.line, plain.text);
}

static void warn_of_option(const char *text)
{
	fprintf(stderr, "cgibridge: warning: %s\n", text);
}

enum options_verdict options_parse(struct options *options, int argc, const char *const *argv,
    struct options_fault *fault)
{
	enum options_verdict verdict;

	set_defaults(options);
	*fault = (struct options_fault){.word = NULL};
	if (cmdline_init(&options->cmdline, argc, argv, &fault->why) != 0)
		return OPTIONS_USAGE;
	verdict = parse_words(options, options->cmdline.argc, options->cmdline.argv, fault);
	if (verdict == OPTIONS_RUN) {
		fault->word = NULL;
		verdict = options_resolve(options, fault);
	}
	if (verdict == OPTIONS_RUN && options->check)
		verdict = options_rehearse(options, fault);
	if (verdict != OPTIONS_RUN)
		add_place(&options->cmdline, fault);
	if (verdict != OPTIONS_RUN || !options->check)
		return verdict;
	options_print(options, stdout);
	options_warn(options, warn_of_option);
	return OPTIONS_DONE;
}

void options_fini(struct options *options)
{
	identity_fini(&options->identity);
	allow_fini(&options->allow);
	free(options->sockets.items);
	free(options->programs.items);
	free(options->roots.items);
	value_handlers_fini(&options->handlers);
	value_preloads_fini(&options->preloads);
	free(options->variables.items);
	free(options->limits.items);
	cmdline_fini(&options->cmdline);
}
