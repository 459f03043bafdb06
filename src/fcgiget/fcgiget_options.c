/* SPDX-License-Identifier: ISC */
/*
 * fcgiget_options: the table of options and its readers.
 */
#include "fcgiget/fcgiget_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/nearest.h"
#include "config/value.h"

enum {
	LONG_BASE = 256,               /* getopt_long's value of table row i is this + i */
	TIMEOUT_DEFAULT = 60 * 1000,
	TIMEOUT_CHECK = 10 * 1000,     /* less than the patience of monitoring systems */
	TIMEOUT_MAX = 24 * 3600 * 1000,
	REQUESTS_MAX = 1000000000,
	CONNECTIONS_MAX = 10000,
};

/* The forms that address parses, without fd:N, which cannot be connected to. */
#define SOCKET_FORMS "unix:/path, unix:@name, tcp:HOST:PORT or tcp6:[ADDR]:PORT"

struct option_row {
	const char *name;
	int letter;           /* 0: none */
	const char *argument; /* NULL: takes none */
	const char *help;
	/* Returns NULL, or a phrase that says what was expected of `value`. */
	const char *(*read)(struct fcgiget_options *o, const char *value);
};

static const char *read_socket(struct fcgiget_options *o, const char *value)
{
	static struct fault why;

	o->socket = value;
	if (address_parse(value, &o->server, &why) != 0)
		return why.text;
	return o->server.kind != ADDRESS_FD ? NULL : "expected " SOCKET_FORMS;
}

static const char *read_request(struct fcgiget_options *o, const char *value)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789"
	                            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	o->method = value;
	if (*value == '\0' || value[strspn(value, token)] != '\0')
		return "expected a request method such as GET";
	return NULL;
}

static const char *read_param(struct fcgiget_options *o, const char *value)
{
	const char *equals = strchr(value, '=');

	if (equals == NULL || equals == value)
		return "expected NAME=VALUE";
	o->params[o->param_count++] = value;
	return NULL;
}

static const char *read_data(struct fcgiget_options *o, const char *value)
{
	o->data = value;
	return strcmp(value, "@") == 0 ? "expected a file name or - after @" : NULL;
}

static const char *read_include(struct fcgiget_options *o, const char *value)
{
	(void)value;
	o->include_head = 1;
	return NULL;
}

static const char *read_keep(struct fcgiget_options *o, const char *value)
{
	(void)value;
	o->keep_connection = 1;
	return NULL;
}

static const char *read_fail(struct fcgiget_options *o, const char *value)
{
	(void)value;
	o->fail_on_status = 1;
	return NULL;
}

static const char *read_verbose(struct fcgiget_options *o, const char *value)
{
	(void)value;
	o->verbose = 1;
	return NULL;
}

static const char *read_values(struct fcgiget_options *o, const char *value)
{
	(void)value;
	o->action = ACTION_VALUES;
	return NULL;
}

static const char *read_version(struct fcgiget_options *o, const char *value)
{
	(void)value;
	o->action = ACTION_VERSION;
	return NULL;
}

static const char *read_help(struct fcgiget_options *o, const char *value)
{
	(void)value;
	o->action = ACTION_HELP;
	return NULL;
}

static const char *read_json(struct fcgiget_options *o, const char *value)
{
	(void)value;
	o->json = 1;
	return NULL;
}

static const char *read_check(struct fcgiget_options *o, const char *value)
{
	(void)value;
	o->check = 1;
	return NULL;
}

static const char *read_doctor(struct fcgiget_options *o, const char *value)
{
	(void)value;
	o->doctor = 1;
	return NULL;
}

static const char *read_user(struct fcgiget_options *o, const char *value)
{
	o->user = value;
	return *value == '\0' ? "expected the name or number of a user" : NULL;
}

static const char *read_number(const char *value, int most, int *member)
{
	const struct value_rule rule = {.min = 1, .max = most};
	static struct fault why;

	return value_number.read(&rule, member, value, &why) == 0 ? NULL : why.text;
}

static const char *read_requests(struct fcgiget_options *o, const char *value)
{
	return read_number(value, REQUESTS_MAX, &o->requests);
}

static const char *read_connections(struct fcgiget_options *o, const char *value)
{
	return read_number(value, CONNECTIONS_MAX, &o->connections);
}

static const char *read_time(const char *value, int64_t *member)
{
	*member = value_time(value);
	if (*member < 1 || *member > TIMEOUT_MAX)
		return "expected a time such as 500ms, 10s, 5m or 1h, from 1ms to 24h";
	return NULL;
}

static const char *read_timeout(struct fcgiget_options *o, const char *value)
{
	return read_time(value, &o->timeout);
}

static const char *read_warning(struct fcgiget_options *o, const char *value)
{
	return read_time(value, &o->warning);
}

static const char *read_critical(struct fcgiget_options *o, const char *value)
{
	return read_time(value, &o->critical);
}

static const struct option_row rows[] = {
	{"socket", 's', "URL", SOCKET_FORMS, read_socket},
	{"request", 'X', "METHOD", "request method (GET, or POST with -d)", read_request},
	{"param", 'p', "NAME=VALUE", "add or replace a parameter; may be repeated", read_param},
	{"data", 'd', "DATA|@FILE", "request body: DATA, a file, or @- for stdin", read_data},
	{"include", 'i', NULL, "print the response's header block as well", read_include},
	{"keep-conn", 'k', NULL, "ask the server to keep the connection open", read_keep},
	{"timeout", 't', "TIME", "time limit of a request: 500ms, 10s, 5m, 1h (60s)", read_timeout},
	{"fail", 'f', NULL, "exit with 22 if the status is 400 or more", read_fail},
	{"values", 0, NULL, "send FCGI_GET_VALUES instead of running a script", read_values},
	{"requests", 'n', "N", "send N requests; report rate, latency and errors", read_requests},
	{"connections", 'c', "N", "with -n: use N connections at once (1)", read_connections},
	{"json", 0, NULL, "with -n: print the report as JSON", read_json},
	{"check", 0, NULL, "report like a Nagios plug-in, exit with 0 to 3", read_check},
	{"warning", 0, "TIME", "with --check: WARNING if the answer takes longer", read_warning},
	{"critical", 0, "TIME", "with --check: CRITICAL if the answer takes longer", read_critical},
	{"doctor", 0, NULL, "find out why a script does not answer", read_doctor},
	{"user", 'u', "USER", "with --doctor: run the script as this user", read_user},
	{"verbose", 'v', NULL, "print appStatus and protocolStatus to stderr", read_verbose},
	{"help", 'h', NULL, "print this help and exit", read_help},
	{"version", 'V', NULL, "print the version and exit", read_version},
};

enum { ROWS = sizeof rows / sizeof *rows };

void fcgiget_options_help(void)
{
	printf("usage: fcgiget -s URL [options] SCRIPT[?QUERY]\n"
	       "       fcgiget -s URL [-t TIME] --values\n"
	       "       fcgiget -s URL -n N [-c N] [options] SCRIPT[?QUERY] | --values\n"
	       "       fcgiget -s URL --check [options] SCRIPT[?QUERY] | --values\n"
	       "       fcgiget [-s URL] --doctor [-u USER] [options] SCRIPT[?QUERY]\n\n");
	for (size_t i = 0; i < ROWS; i++) {
		const struct option_row *row = &rows[i];
		int width;

		if (row->letter != 0)
			printf("  -%c, ", row->letter);
		else
			printf("      ");
		width = printf("--%s%s%s", row->name, row->argument == NULL ? "" : " ",
		    row->argument == NULL ? "" : row->argument);
		printf("%*s  %s\n", 20 - width > 0 ? 20 - width : 0, "", row->help);
	}
}

/* getopt's two views of the table. */
struct getopt_tables {
	struct option longs[ROWS + 1];
	char shorts[2 * ROWS + 2];
};

static void fill_tables(struct getopt_tables *t)
{
	size_t used = 0;

	memset(t, 0, sizeof *t);
	t->shorts[used++] = ':';
	for (size_t i = 0; i < ROWS; i++) {
		t->longs[i] = (struct option){.name = rows[i].name,
		    .has_arg = rows[i].argument == NULL ? no_argument : required_argument,
		    .val = LONG_BASE + (int)i};
		if (rows[i].letter == 0)
			continue;
		t->shorts[used++] = (char)rows[i].letter;
		if (rows[i].argument != NULL)
			t->shorts[used++] = ':';
	}
}

/* The row for getopt_long()'s `value`, or NULL. */
static const struct option_row *find_row(int value)
{
	if (value >= LONG_BASE)
		return &rows[value - LONG_BASE];
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].letter != 0 && rows[i].letter == value)
			return &rows[i];
	return NULL;
}

/* Prints the error for `word`: the `len` bytes at `name` are the start of several options. */
static void reject_ambiguous(const char *word, const char *name, size_t len)
{
	const char *before = ": ";

	fprintf(stderr, "fcgiget: ambiguous option %s", word);
	for (size_t i = 0; i < ROWS; i++) {
		if (strncmp(rows[i].name, name, len) != 0)
			continue;
		fprintf(stderr, "%s--%s", before, rows[i].name);
		before = ", ";
	}
	fputc('\n', stderr);
}

/* Prints the error for `word`, which is not a long option, nor the start of just one. */
static void reject_name(const char *word)
{
	const char *name = word + strspn(word, "-");
	struct nearest nearest = {.word = name, .len = strcspn(name, "=")};
	int beginnings = 0;

	for (size_t i = 0; i < ROWS; i++) {
		if (strncmp(rows[i].name, name, nearest.len) == 0)
			beginnings++;
		nearest_offer(&nearest, rows[i].name);
	}
	if (beginnings > 1)
		reject_ambiguous(word, name, nearest.len);
	else if (nearest.name != NULL)
		fprintf(stderr, "fcgiget: unknown option %s; did you mean --%s?\n", word, nearest.name);
	else
		fprintf(stderr, "fcgiget: unknown option %s; see fcgiget --help\n", word);
}

/* Prints the error that getopt_long() found: ':' is a missing argument, '?' any other.  -1. */
static int reject(int result, const char *word)
{
	const struct option_row *row = find_row(optopt);

	if (result == ':' && row != NULL)
		fprintf(stderr, "fcgiget: --%s: expected %s\n", row->name, row->argument);
	else if (row != NULL)
		fprintf(stderr, "fcgiget: --%s: takes no argument\n", row->name);
	else if (optopt != 0)
		fprintf(stderr, "fcgiget: unknown option -%c; see fcgiget --help\n", optopt);
	else
		reject_name(word);
	return -1;
}

static int read_options(struct fcgiget_options *o, int argc, char **argv)
{
	struct getopt_tables tables;
	int result;

	fill_tables(&tables);
	opterr = 0;
	while ((result = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1) {
		const struct option_row *row = find_row(result);
		const char *why;

		if (row == NULL)
			return reject(result, argv[optind - 1]);
		why = row->read(o, optarg);
		if (why != NULL) {
			fprintf(stderr, "fcgiget: --%s '%s': %s\n", row->name, optarg, why);
			return -1;
		}
	}
	return 0;
}

static int usage_error(const char *what)
{
	fprintf(stderr, "fcgiget: %s; see fcgiget --help\n", what);
	return -1;
}

/* Checks for options that need others, or exclude them.  0, or -1 after a message. */
static int check_modes(const struct fcgiget_options *o)
{
	const struct {
		int wrong;
		const char *what;
	} rules[] = {
		{o->connections > 0 && o->requests == 0, "-c needs -n"},
		{o->json && o->requests == 0, "--json needs -n"},
		{o->check && o->requests > 0, "--check cannot be used with -n"},
		{!o->check && o->warning > 0, "--warning needs --check"},
		{!o->check && o->critical > 0, "--critical needs --check"},
		{(o->check || o->requests > 0) && (o->include_head || o->verbose),
		    "-i and -v cannot be used with -n or --check"},
		{o->user != NULL && !o->doctor, "--user needs --doctor"},
		{o->doctor && (o->check || o->requests > 0 || o->action == ACTION_VALUES),
		    "--doctor cannot be used with -n, --check or --values"},
		{o->doctor && (o->include_head || o->verbose || o->fail_on_status),
		    "-f, -i and -v cannot be used with --doctor"},
		{o->doctor && o->data != NULL && o->socket == NULL, "with --doctor, -d needs -s"},
		{o->warning > 0 && o->critical > 0 && o->warning > o->critical,
		    "--warning is more than --critical"},
		{o->check && (o->warning >= o->timeout || o->critical >= o->timeout),
		    "--warning and --critical have to be less than -t"},
	};

	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (rules[i].wrong)
			return usage_error(rules[i].what);
	return 0;
}

/* Fills in options that were not given. */
static void set_defaults(struct fcgiget_options *o)
{
	if (o->timeout == 0)
		o->timeout = o->check ? TIMEOUT_CHECK : TIMEOUT_DEFAULT;
	if (o->requests > 0 && o->connections == 0)
		o->connections = 1;
}

/* Reads the one operand, and checks that -s was given. */
static int read_operands(struct fcgiget_options *o, int count, char **operands)
{
	if (o->action == ACTION_HELP || o->action == ACTION_VERSION)
		return 0;
	if (check_modes(o) != 0)
		return -1;
	if (o->socket == NULL && !o->doctor)
		return usage_error("no server given: use -s URL");
	if (o->action == ACTION_VALUES)
		return count == 0 ? 0 : usage_error("--values takes no SCRIPT");
	if (count != 1)
		return usage_error(count == 0 ? "no SCRIPT given" : "more than one SCRIPT given");
	o->script = operands[0];
	if (*o->script == '\0' || *o->script == '?')
		return usage_error("SCRIPT has no path");
	return 0;
}

int fcgiget_options_parse(struct fcgiget_options *o, int argc, char **argv)
{
	*o = (struct fcgiget_options){.timeout = 0};
	o->params = calloc((size_t)argc + 1, sizeof *o->params);
	if (o->params == NULL) {
		fprintf(stderr, "fcgiget: %s\n", strerror(errno));
		return -1;
	}
	if (read_options(o, argc, argv) != 0)
		return -1;
	set_defaults(o);
	return read_operands(o, argc - optind, argv + optind);
}

void fcgiget_options_fini(struct fcgiget_options *o)
{
	free(o->params);
	o->params = NULL;
}
