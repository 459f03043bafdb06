/* SPDX-License-Identifier: ISC */
/*
 * fuzz_options: a command line, and a file of options.  What is refused has a reason, of one
 * line; what is taken is printed by --check so that it is taken again, and means the same.
 *
 * Input: a byte, whose lowest bit says where the rest stands: in the words of a command line,
 * each ended by a NUL, or in a file.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/options.h"
#include "fuzz.h"

enum { WORDS = 40, PRINTED_MAX = 1 << 20 };

static char file[256];    /* the options, as a file */
static char at_file[260]; /* "@" and its path */
static int out = -1;      /* where standard output goes meanwhile */

/* A text with what has been printed since, to be freed. */
static char *take_printed(size_t *len)
{
	char *text = malloc(PRINTED_MAX);
	ssize_t n;

	fuzz_require(text != NULL && fflush(stdout) == 0);
	n = pread(out, text, PRINTED_MAX, 0);
	fuzz_require(n >= 0 && n < PRINTED_MAX);
	fuzz_require(ftruncate(out, 0) == 0 && lseek(out, 0, SEEK_SET) == 0);
	*len = (size_t)n;
	return text;
}

/* `*options` keeps its numbers, and nothing else. */
static enum options_verdict parse(int argc, const char *const *argv, struct options *options,
    char **printed, size_t *len)
{
	struct options_fault fault;
	int stdout_fd = dup(STDOUT_FILENO);
	enum options_verdict verdict;

	fuzz_require(stdout_fd >= 0 && fflush(stdout) == 0 && dup2(out, STDOUT_FILENO) >= 0);
	verdict = options_parse(options, argc, argv, &fault);
	if (verdict == OPTIONS_USAGE || verdict == OPTIONS_FAILED) {
		fuzz_require(fault.why.text[0] != '\0');
		log_error("%s", fault.why.text);
	}
	options_fini(options);
	*printed = take_printed(len);
	fuzz_require(dup2(stdout_fd, STDOUT_FILENO) >= 0);
	close(stdout_fd);
	return verdict;
}

static void require_same(const struct options *a, const struct options *b)
{
	const long long numbers[][2] = {{a->workers, b->workers}, {a->max_scripts, b->max_scripts},
	    {a->queue, b->queue}, {a->queue_timeout, b->queue_timeout}, {a->timeout, b->timeout},
	    {a->idle_timeout, b->idle_timeout}, {a->slow_log, b->slow_log}, {a->linger, b->linger},
	    {a->kill_delay, b->kill_delay}, {a->disconnect_grace, b->disconnect_grace},
	    {a->drain_timeout, b->drain_timeout}, {a->watchdog, b->watchdog},
	    {a->on_disconnect, b->on_disconnect}, {a->stderr_to, b->stderr_to},
	    {a->error_detail, b->error_detail}, {a->strict_headers, b->strict_headers},
	    {(long long)a->max_body, (long long)b->max_body},
	    {(long long)a->max_params, (long long)b->max_params}, {a->log_level, b->log_level},
	    {a->syslog, b->syslog}, {a->access_log_format, b->access_log_format},
	    {a->handler_always, b->handler_always}, {a->query_args, b->query_args},
	    {a->clear_env, b->clear_env}, {(long long)a->sockets.count, (long long)b->sockets.count}};

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		fuzz_require(numbers[i][0] == numbers[i][1]);
}

/* It was run with --check: what it has printed is a file of options. */
static void check_printed(const struct options *options, const char *text, size_t len)
{
	struct options again_options;
	const char *argv[] = {"cgibridge", at_file, "--check", NULL};
	char *again;
	size_t again_len;

	fuzz_write_file("options", 0600, text, len);
	fuzz_require(parse(3, argv, &again_options, &again, &again_len) == OPTIONS_DONE);
	require_same(options, &again_options);
	fuzz_require(again_len == len && memcmp(again, text, len) == 0);
	free(again);
}

static int read_words(struct fuzz_input *input, char *words[WORDS])
{
	int count = 0;

	while (input->left > 0 && count < WORDS)
		words[count++] = fuzz_text(input);
	return count;
}

/* The answer to --help or --version instead. */
static bool is_help(const char *text, size_t len)
{
	return (len > 7 && memcmp(text, "usage: ", 7) == 0) ||
	    (len > 10 && memcmp(text, "cgibridge ", 10) == 0);
}

static void prepare(void)
{
	char path[256];

	if (out >= 0)
		return;
	snprintf(file, sizeof file, "%s/options", fuzz_dir());
	snprintf(at_file, sizeof at_file, "@%s", file);
	fuzz_write_file("printed", 0600, "", 0);
	snprintf(path, sizeof path, "%s/printed", fuzz_dir());
	out = open(path, O_RDWR | O_CLOEXEC);
	fuzz_require(out >= 0 && setenv("TMPDIR", fuzz_dir(), 1) == 0);
	fuzz_require(unsetenv("FCGI_WEB_SERVER_ADDRS") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len};
	const char *argv[WORDS + 4] = {"cgibridge", "--check"};
	char *words[WORDS];
	bool in_file = (fuzz_byte(&input) & 1) != 0;
	int count = 0;
	struct options options;
	char *printed;

	prepare();
	if (in_file) {
		fuzz_write_file("options", 0600, input.at, input.left);
		argv[2] = at_file;
	} else {
		count = read_words(&input, words);
		memcpy(argv + 2, words, (size_t)count * sizeof *words);
	}
	if (parse(in_file ? 3 : 2 + count, argv, &options, &printed, &len) == OPTIONS_DONE &&
	    !is_help(printed, len))
		check_printed(&options, printed, len);
	free(printed);
	for (int i = 0; i < count; i++)
		free(words[i]);
	return 0;
}
