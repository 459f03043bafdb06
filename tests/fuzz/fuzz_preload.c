/* SPDX-License-Identifier: ISC */
/*
 * fuzz_preload: what a preloader says, what it is told, and the first line of a script.  Nothing
 * is read outside of a packet; a message to a preloader is what a plain reading of it says; the
 * words of a "#!" line are in that line.
 *
 * Input: a byte, and the rest for the function that this chooses.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cgi/preload_message.h"
#include "cgi/shebang.h"
#include "fuzz.h"

enum { TEXTS = 40 };

/* ---- from a preloader ----------------------------------------------------------------------- */

static bool is_inside(const char *text, const char *bytes, size_t len)
{
	return text >= bytes && text < bytes + len && memchr(text, '\0', (size_t)(bytes + len - text)) != NULL;
}

static void check_message(const struct preload_message *message, const char *bytes, size_t len)
{
	const char *at = message->names;

	fuzz_require(message->pid >= 0 && message->fault.error >= 0);
	fuzz_require(message->reason == NULL || is_inside(message->reason, bytes, len));
	for (size_t i = 0; i < message->name_count; i++) {
		fuzz_require(is_inside(at, bytes, len));
		at += strlen(at) + 1;
	}
	if (message->verb == PRELOAD_HAS_EXITED)
		fuzz_require(WIFEXITED(message->status) || WIFSIGNALED(message->status));
	if (message->verb == PRELOAD_DECLINES)
		fuzz_require(message->reason != NULL);
	if (message->verb == PRELOAD_HAS_FAILED)
		fuzz_require(message->fault.step < SYS_STEP_EXEC);
}

static void read_message(const struct fuzz_input *input)
{
	unsigned char *bytes = fuzz_copy(input->at, input->left);
	struct preload_message message;

	if (preload_message_parse((char *)bytes, input->left, &message) == 0)
		check_message(&message, (char *)bytes, input->left);
	free(bytes);
}

/* ---- to a preloader ------------------------------------------------------------------------- */

/* The next string of a message. */
static const char *next(const char **at, const char *end)
{
	const char *text = *at;

	fuzz_require(text < end);
	*at += strlen(text) + 1;
	return text;
}

static void expect(const char **at, const char *end, const char *text)
{
	fuzz_require(strcmp(next(at, end), text) == 0);
}

static void expect_number(const char **at, const char *end, unsigned long number)
{
	char text[32];

	snprintf(text, sizeof text, "%lu", number);
	expect(at, end, text);
}

static void expect_texts(const char **at, const char *end, char *const *texts, size_t count)
{
	expect_number(at, end, count);
	for (size_t i = 0; i < count; i++)
		expect(at, end, texts[i]);
}

static void check_request(const struct buf *out, const struct preload_request *request,
    char *const *switches, size_t words)
{
	const char *at = (const char *)buf_bytes(out);
	const char *end = at + buf_len(out);

	fuzz_require(buf_len(out) <= PRELOAD_REQUEST_MAX && end[-1] == '\0');
	expect(&at, end, "start");
	expect_number(&at, end, request->serial);
	expect_texts(&at, end, switches, request->switch_count);
	expect(&at, end, request->dir);
	expect_number(&at, end, 1);
	expect_number(&at, end, (unsigned long)request->limits[0].resource);
	expect_number(&at, end, (unsigned long)request->limits[0].value.rlim_cur);
	expect(&at, end, "unlimited");
	expect_texts(&at, end, request->argv, words);
	expect_texts(&at, end, request->envp, words);
	fuzz_require(at == end);
}

static void write_message(struct fuzz_input *input)
{
	unsigned serial = fuzz_number(input);
	struct sys_limit limit = {.resource = RLIMIT_NOFILE, .value = {serial, RLIM_INFINITY}};
	char *texts[TEXTS + 1];
	size_t count = 0;
	struct preload_request request;
	struct buf out;

	texts[count++] = fuzz_text(input); /* the directory */
	while (count < TEXTS && input->left > 0)
		texts[count++] = fuzz_text(input);
	texts[count] = NULL;
	request = (struct preload_request){.serial = serial, .dir = texts[0],
	    .switches = (const char *const *)texts, .switch_count = count / 2,
	    .limits = &limit, .limit_count = 1, .argv = texts, .envp = texts};
	buf_init(&out, PRELOAD_REQUEST_MAX);
	if (preload_message_start(&out, &request) == 0)
		check_request(&out, &request, texts, count);
	else
		fuzz_require(errno == ENOBUFS);
	buf_fini(&out);
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
}

/* ---- the first line ------------------------------------------------------------------------- */

static void check_word(const struct shebang *shebang, const char *word, const struct fuzz_input *input)
{
	size_t len = strlen(word);
	const char *line_end = memchr(input->at, '\n', input->left);

	fuzz_require(word >= shebang->text && word + len < shebang->text + sizeof shebang->text);
	fuzz_require(line_end != NULL);
	fuzz_require(len > 0 && memmem(input->at, (size_t)(line_end - (const char *)input->at), word, len) != NULL);
}

static void read_line(const struct fuzz_input *input)
{
	unsigned char *bytes = fuzz_copy(input->at, input->left);
	char found[PATH_MAX];
	struct shebang shebang;

	shebang_parse(&shebang, (char *)bytes, input->left);
	fuzz_require((shebang.kind == SHEBANG_NONE) ==
	    (input->left < 2 || memcmp(bytes, "#!", 2) != 0));
	if (shebang.kind == SHEBANG_PATH || shebang.kind == SHEBANG_NAME) {
		check_word(&shebang, shebang.interpreter, input);
		fuzz_require((shebang.kind == SHEBANG_PATH) == (shebang.interpreter[0] == '/'));
		fuzz_require(shebang.word_count <= SHEBANG_WORDS_MAX);
		for (size_t i = 0; i < shebang.word_count; i++)
			check_word(&shebang, shebang.words[i], input);
	}
	if (shebang.kind == SHEBANG_NAME && shebang_find(shebang.interpreter, "/bin:/usr/bin", found))
		fuzz_require(strncmp(found, "/bin/", 5) == 0 || strncmp(found, "/usr/bin/", 9) == 0);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len};

	switch (fuzz_byte(&input) % 3) {
	case 0:
		read_message(&input);
		break;
	case 1:
		write_message(&input);
		break;
	default:
		read_line(&input);
		break;
	}
	return 0;
}
