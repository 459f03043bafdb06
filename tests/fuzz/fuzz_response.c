/* SPDX-License-Identifier: ISC */
/*
 * fuzz_response: a script's output.  Its header block is judged the same however it arrives;
 * the normal form is in normal form, and says the same; the body does not depend on how it is
 * split either.
 *
 * Input: a byte for the kind of response, one for how it is split, and the output.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cgi/response.h"
#include "fuzz.h"

enum { CLOSELY = 300 }; /* this many prefixes are tried one by one */

static ptrdiff_t parse(struct response *response, const struct response *like,
    const uint8_t *bytes, size_t len, bool ended)
{
	unsigned char *copy = fuzz_copy(bytes, len);
	ptrdiff_t end;

	response_init(response, like->kind, like->strict);
	end = response_parse(response, copy, len, ended);
	fuzz_require(end >= -1 && end <= (ptrdiff_t)len);
	fuzz_require((end == -1) == (response->fault != NULL));
	free(copy);
	return end;
}

/* What is found in a part of the output, if anything, is what is found in all of it. */
static void check_prefixes(const struct response *whole, ptrdiff_t end, const uint8_t *bytes,
    size_t len, size_t step)
{
	for (size_t part = 1; part < len; part += part < CLOSELY ? 1 : step) {
		struct response early;
		ptrdiff_t found = parse(&early, whole, bytes, part, false);

		if (found == 0)
			continue;
		fuzz_require(found == end && early.fault == whole->fault);
		if (end > 0)
			fuzz_require(early.status == whole->status && early.flaws == whole->flaws &&
			    early.framing == whole->framing && early.left == whole->left &&
			    early.as_is == whole->as_is);
		return;
	}
}

/* Lines that end in CR LF, without a control character, and an empty one only at the end. */
static void check_form(const unsigned char *block, size_t len)
{
	fuzz_require(len >= 2 && memcmp(block + len - 2, "\r\n", 2) == 0);
	fuzz_require(len < 4 || memcmp(block + len - 4, "\r\n\r\n", 4) == 0);
	for (size_t i = 0; i < len; i++) {
		fuzz_require(block[i] != '\n' || (i > 0 && block[i - 1] == '\r'));
		fuzz_require(block[i] != '\r' || (i + 1 < len && block[i + 1] == '\n'));
		fuzz_require(block[i] >= 0x20 || memchr("\r\n\t", block[i], 3) != NULL);
		fuzz_require(i == 0 || i + 2 >= len || block[i - 1] != '\n' || block[i] != '\r');
		fuzz_require(i == 0 || block[i - 1] != '\n' || (block[i] != ' ' && block[i] != '\t'));
	}
}

/*
 * The normal form means the same as the block did, and needs no mending.  It is read by the rules
 * that the block was read by: strict ones leave a Transfer-Encoding alone that others leave out.
 */
static void check_meaning(const struct response *response, const unsigned char *block, size_t len)
{
	struct response again;
	bool granted = response->kind == RESPONSE_AUTHORIZER && response->status == 200;
	unsigned unmended = 1U << FLAW_NO_FIELD;

	if (granted || len == 2) /* there may be no header left, which is no response by itself */
		return;
	response_init(&again, response->kind, response->strict);
	if (response_parse(&again, block, len, true) == -1) {
		fuzz_require(response->flaws & unmended);
		return;
	}
	fuzz_require((again.flaws & ~unmended) == 0);
	fuzz_require(again.status == response->status);
	fuzz_require(again.as_is || again.flaws != 0);
	if (response->framing == RESPONSE_COUNTED)
		fuzz_require(again.framing == RESPONSE_COUNTED && again.left == response->left);
	else if (response->framing == RESPONSE_EMPTY)
		fuzz_require(again.framing == RESPONSE_EMPTY);
	else
		fuzz_require(again.framing == RESPONSE_TO_END);
}

/*
 * What goes out untouched is in normal form, byte by byte, but for the case of Status's name:
 * "status: 404 Gone" means the same to every client, and is left as the script wrote it.
 */
static void check_untouched(const struct response *response, const unsigned char *block, size_t n,
    const unsigned char *raw, size_t len)
{
	size_t name = response->line[RESPONSE_STATUS] == 0 ? strlen("Status") : 0;

	fuzz_require(n == len && memcmp(block + name, raw + name, n - name) == 0);
	fuzz_require(strncasecmp((const char *)block, (const char *)raw, name) == 0);
}

static void check_block(const struct response *response, const uint8_t *bytes, size_t len)
{
	unsigned char *raw = fuzz_copy(bytes, len);
	unsigned char *block = malloc(len + RESPONSE_GROWTH_MAX);
	size_t n;

	fuzz_require(block != NULL);
	n = response_render(response, raw, len, block);
	fuzz_require(n <= len + RESPONSE_GROWTH_MAX);
	check_form(block, n);
	check_meaning(response, block, n);
	if (response->as_is)
		check_untouched(response, block, n, raw, len);
	free(block);
	free(raw);
}

/* ---- the body ------------------------------------------------------------------------------ */

/* Filters it in parts of `step` bytes; returns what goes to the client, to be freed. */
static unsigned char *filter(struct response *response, const uint8_t *bytes, size_t len,
    size_t step, size_t *kept)
{
	unsigned char *out = malloc(len + 1);

	fuzz_require(out != NULL);
	*kept = 0;
	while (len > 0) {
		size_t part = len < step ? len : step;
		size_t passes = response_passes(response, part);
		unsigned char *copy = fuzz_copy(bytes, part);
		size_t n = response_body(response, copy, part);

		fuzz_require(n <= part && passes <= n);
		fuzz_require(memcmp(copy, bytes, passes) == 0);
		if (n > 0)
			memcpy(out + *kept, copy, n);
		*kept += n;
		free(copy);
		bytes += part;
		len -= part;
	}
	return out;
}

static void check_body(const struct response *response, const uint8_t *bytes, size_t len,
    size_t step)
{
	struct response one = *response;
	struct response other = *response;
	size_t n, m;
	unsigned char *whole = filter(&one, bytes, len, SIZE_MAX, &n);
	unsigned char *split = filter(&other, bytes, len, step, &m);

	fuzz_require(n == m && memcmp(whole, split, n) == 0);
	fuzz_require(one.left == other.left && one.chunk == other.chunk);
	fuzz_require(one.framing == other.framing);
	fuzz_require(!(response_is_whole(&one) && response_is_short(&one)));
	if (response->framing == RESPONSE_COUNTED)
		fuzz_require(n == (len < response->left ? len : response->left));
	else if (response->framing == RESPONSE_TO_END)
		fuzz_require(n == len && memcmp(whole, bytes, n) == 0);
	else if (response->framing == RESPONSE_EMPTY)
		fuzz_require(n == 0);
	free(whole);
	free(split);
}

/* ---- pages of the bridge --------------------------------------------------------------------- */

static void check_page(const struct response *like, const uint8_t *bytes, size_t len)
{
	static const int statuses[] = {200, 403, 404, 500, 503, 504, 599};
	unsigned char page[RESPONSE_PAGE_MAX];
	struct fuzz_input input = {bytes, len};
	char *detail = fuzz_text(&input);
	int status = statuses[len % (sizeof statuses / sizeof *statuses)];
	size_t n = response_page(like->kind, status, detail, page);
	struct response page_response;

	fuzz_require(n < sizeof page);
	response_init(&page_response, like->kind, true);
	fuzz_require(response_parse(&page_response, page, n, true) > 0);
	fuzz_require(page_response.status == status);
	free(detail);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len};
	unsigned how = fuzz_byte(&input);
	size_t step = fuzz_byte(&input) + 1U;
	struct response like, response;
	ptrdiff_t end;

	response_init(&like, (enum response_kind)(how & 3), (how & 4) != 0);
	end = parse(&response, &like, input.at, input.left, true);
	if (input.left < RESPONSE_HEAD_MAX)
		check_prefixes(&response, end, input.at, input.left, step);
	if (end > 0) {
		check_block(&response, input.at, (size_t)end);
		check_body(&response, input.at + end, input.left - (size_t)end, step);
	}
	for (int flaw = 0; flaw < RESPONSE_FLAWS; flaw++)
		fuzz_require(response_flaw_text((enum response_flaw)flaw) != NULL &&
		    response_flaw_cure((enum response_flaw)flaw) != NULL);
	check_page(&like, input.at, input.left);
	return 0;
}
