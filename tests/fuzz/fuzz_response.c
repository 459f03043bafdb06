/* SPDX-License-Identifier: ISC */
/*
 * fuzz_response: a script's output.  Its header block is judged the same however it arrives;
 * the normal form is in normal form, and says the same: a front end that reads it as HTTP's
 * header fields finds those that a plain reading of the script's lines gives, in their order,
 * and no other.  The body does not depend on how it is split either, and is what its framing
 * says by a plain reading.
 *
 * Input: a byte for the kind of response, one for how it is split, and the output.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cgi/response.h"
#include "fuzz.h"

enum { CLOSELY = 300, FIELDS = 600 }; /* this many prefixes are tried one by one; header fields */

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
		fuzz_require(block[i] != 0x7f);
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

/* ---- header fields by a plain reading -------------------------------------------------------- */

/* A line of a block, as one line without its end; `name` NULL: it is not "Name: value". */
struct field {
	char *name, *value; /* owned, in one piece of memory */
};

struct fields {
	struct field list[FIELDS];
	size_t count;
	bool full; /* there were more */
};

static const char token[] = "!#$%&'*+-.^_`|~0123456789"
			    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* Takes `line`, of memory of its own. */
static void add_line(struct fields *fields, char *line)
{
	size_t len = strspn(line, token);
	char *value = line + len + 1;
	char *end = line + strlen(line);
	struct field *field = &fields->list[fields->count];

	fields->full = fields->full || fields->count == FIELDS;
	if (fields->full) {
		free(line);
		return;
	}
	fields->count++;
	*field = (struct field){NULL, line};
	if (len == 0 || line[len] != ':')
		return;
	line[len] = '\0';
	value += strspn(value, " \t");
	while (end > value && strchr(" \t", end[-1]) != NULL)
		*--end = '\0';
	*field = (struct field){line, value};
}

/* The bytes of lines that are one, each line end with the blanks after it as one blank. */
static char *join_lines(const uint8_t *bytes, size_t len)
{
	char *line = malloc(len + 1);
	char *to = line;

	fuzz_require(line != NULL);
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != '\r' && bytes[i] != '\n') {
			*to++ = (char)bytes[i];
			continue;
		}
		while (i + 1 < len && memchr("\r\n\t ", bytes[i + 1], 4) != NULL)
			i++;
		*to++ = ' ';
	}
	*to = '\0';
	return line;
}

/* Where the line at `at` ends, with the lines that go on with it, and their line ends. */
static size_t end_of_line(const uint8_t *bytes, size_t at, size_t len)
{
	bool empty = true;

	while (at < len) {
		for (; bytes[at] != '\n'; at++)
			empty = empty && bytes[at] == '\r';
		at++;
		if (empty || at == len || (bytes[at] != ' ' && bytes[at] != '\t'))
			break;
	}
	return at;
}

/* Reads the block of `len` bytes, which has line ends and is without control characters. */
static void read_fields(struct fields *fields, const uint8_t *bytes, size_t len)
{
	memset(fields, 0, sizeof *fields);
	for (size_t at = 0; at < len;) {
		size_t next = end_of_line(bytes, at, len);
		size_t end = next;

		while (end > at && (bytes[end - 1] == '\r' || bytes[end - 1] == '\n'))
			end--;
		if (end > at)
			add_line(fields, join_lines(bytes + at, end - at));
		at = next;
	}
}

static void free_fields(struct fields *fields)
{
	for (size_t i = 0; i < fields->count; i++)
		free(fields->list[i].name != NULL ? fields->list[i].name : fields->list[i].value);
}

static bool is_named(const struct field *field, const char *name)
{
	return field->name != NULL && strcasecmp(field->name, name) == 0;
}

/* The first, or the last, with that name; NULL: none has it. */
static const struct field *find_field(const struct fields *fields, const char *name, bool last)
{
	const struct field *found = NULL;

	for (size_t i = 0; i < fields->count && (found == NULL || last); i++)
		if (is_named(&fields->list[i], name))
			found = &fields->list[i];
	return found;
}

/* ---- what a front end finds ------------------------------------------------------------------- */

static bool is_hop(const struct field *field)
{
	static const char *const names[] = {"Connection", "Keep-Alive", "Proxy-Connection", "TE",
	    "Trailer", "Upgrade", "Transfer-Encoding"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (is_named(field, names[i]))
			return true;
	return false;
}

/* Whether the script's field is one that a front end gets, by the rules of response.h. */
static bool is_passed_on(const struct response *response, const struct fields *script,
    const struct field *field)
{
	const struct field *encoding = find_field(script, "Transfer-Encoding", true);
	bool chunked = encoding != NULL && strcasecmp(encoding->value, "chunked") == 0 &&
	    (response->http || !response->strict); /* even if the body is not */

	if (field->name == NULL || is_named(field, "Status"))
		return false;
	if (response->http && is_hop(field))
		return false;
	if (is_named(field, "Transfer-Encoding"))
		return response->strict;
	if (is_named(field, "Location") || is_named(field, "Content-Type")) {
		if (find_field(script, field->name, true) != field)
			return false;
	} else if (is_named(field, "Content-Length")) {
		if (find_field(script, field->name, false) != field || chunked ||
		    response->status == 205)
			return false;
		if (*field->value == '\0' || field->value[strspn(field->value, "0123456789")] != '\0')
			return false;
		if (strlen(field->value + strspn(field->value, "0")) > 18) /* is that too large? */
			return response->line[RESPONSE_LENGTH] != RESPONSE_NOWHERE;
	}
	if (response->kind == RESPONSE_AUTHORIZER && response->status == 200)
		return strncasecmp(field->name, "Variable-", 9) == 0 && field->name[9] != '\0';
	return true;
}

/* Three digits, a blank, a reason. */
static void check_status(const struct response *response, const struct fields *out)
{
	bool has_status = out->count > 0 && is_named(&out->list[0], "Status");
	const char *value = has_status ? out->list[0].value : "200 OK";

	fuzz_require(strspn(value, "0123456789") == 3 && value[3] == ' ' && value[4] != '\0');
	fuzz_require(atoi(value) == response->status);
	fuzz_require(has_status || find_field(out, "Location", false) == NULL ||
	    response->status == 200);
}

/* What the status has to be (RFC 3875 6.2, 6.3.3), if its line is as it should be. */
static void check_code(const struct response *response, const struct fields *script)
{
	const struct field *status = find_field(script, "Status", false);
	const struct field *location = find_field(script, "Location", false);

	if (status != NULL)
		fuzz_require(atoi(status->value) == response->status);
	else if (!response->http)
		fuzz_require(response->status == (location == NULL ? 200 : 302));
	else { /* "HTTP/1.1 404 Not Found" */
		const char *line = script->list[0].value;

		fuzz_require(strncmp(line, "HTTP/", 5) == 0);
		line += strcspn(line, " \t");
		fuzz_require(atoi(line + strspn(line, " \t")) == response->status);
	}
}

static void check_length(const struct response *response, const struct fields *out)
{
	const struct field *length = find_field(out, "Content-Length", false);

	fuzz_require(length == NULL || find_field(out, "Content-Length", true) == length);
	if (response->framing == RESPONSE_COUNTED)
		fuzz_require(length != NULL && strtoull(length->value, NULL, 10) == response->left);
	else if (response->framing != RESPONSE_EMPTY)
		fuzz_require(length == NULL);
}

/* `raw` is the script's block without a mark and without interim responses. */
static void check_fields(const struct response *response, const uint8_t *raw, size_t raw_len,
    const uint8_t *block, size_t len)
{
	static struct fields script, out;
	size_t at;

	read_fields(&script, raw, raw_len);
	read_fields(&out, block, len);
	if (!script.full && !out.full) {
		bool begun = out.count > 0 && is_named(&out.list[0], "Status");

		check_status(response, &out);
		check_code(response, &script);
		check_length(response, &out);
		at = begun;
		for (size_t i = response->http; i < script.count; i++) {
			const struct field *field = &script.list[i];

			if (!is_passed_on(response, &script, field))
				continue;
			fuzz_require(at < out.count && strcmp(out.list[at].name, field->name) == 0);
			fuzz_require(strcmp(out.list[at].value, field->value) == 0);
			at++;
		}
		fuzz_require(at == out.count);
	}
	free_fields(&script);
	free_fields(&out);
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
	check_fields(response, raw + response->begin, len - response->begin, block, n);
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

/*
 * A chunked body by the grammar (RFC 9112 7.1), with any line end: its data, in `out`; how many
 * bytes, up to the first that does not fit.
 */
static size_t unchunk(const uint8_t *at, size_t left, uint8_t *out, bool *whole)
{
	static const char hex[] = "0123456789abcdef0123456789ABCDEF";
	const uint8_t *end = at + left;
	size_t n = 0;

	*whole = false;
	for (;;) {
		uint64_t size = 0;
		const char *digit;
		const uint8_t *first = at;

		for (; at < end && *at != '\0' && (digit = strchr(hex, *at)) != NULL; at++) {
			if (size >> 56 != 0)
				return n;
			size = size * 16 + (uint64_t)(digit - hex) % 16;
		}
		if (at == first || at == end || memchr("\r\n; \t", *at, 5) == NULL)
			return n;
		at = memchr(at, '\n', (size_t)(end - at));
		if (at == NULL)
			return n;
		at++;
		if (size == 0)
			break;
		if (size > (size_t)(end - at))
			size = (size_t)(end - at);
		memcpy(out + n, at, (size_t)size);
		n += (size_t)size;
		at += size;
		while (at < end && *at == '\r')
			at++;
		if (at == end || *at++ != '\n')
			return n;
	}
	while (at < end && !*whole) { /* trailers, up to an empty line */
		bool empty = true;

		for (; at < end && *at != '\n'; at++)
			empty = empty && *at == '\r';
		*whole = at < end && empty;
		at += at < end;
	}
	return n;
}

static void check_chunked(const struct response *after, const uint8_t *bytes, size_t len,
    const uint8_t *kept, size_t n)
{
	uint8_t *plain = malloc(len + 1);
	bool whole;

	fuzz_require(plain != NULL);
	fuzz_require(unchunk(bytes, len, plain, &whole) == n && memcmp(plain, kept, n) == 0);
	fuzz_require(whole == (after->chunk == CHUNK_DONE));
	free(plain);
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
	else
		check_chunked(&one, bytes, len, whole, n);
	free(whole);
	free(split);
}

/* ---- pages of the bridge --------------------------------------------------------------------- */

/* Text that no browser takes for markup, with the status twice, and the detail. */
static void check_page(const struct response *like, const uint8_t *bytes, size_t len)
{
	static const int statuses[] = {200, 403, 404, 500, 503, 504, 599};
	static struct fields fields;
	unsigned char page[RESPONSE_PAGE_MAX + 1];
	struct fuzz_input input = {bytes, len};
	char *detail = fuzz_text(&input);
	int status = statuses[len % (sizeof statuses / sizeof *statuses)];
	size_t n = response_page(like->kind, status, detail, page);
	struct response page_response;
	ptrdiff_t end;
	char line[RESPONSE_PAGE_MAX + 64];

	fuzz_require(n < sizeof page - 1);
	page[n] = '\0';
	response_init(&page_response, like->kind, true);
	end = response_parse(&page_response, page, n, true);
	fuzz_require(end > 0);
	fuzz_require(page_response.status == status);
	read_fields(&fields, page, (size_t)end);
	fuzz_require(fields.count == (status == 503 ? 3 : 2));
	fuzz_require(strcmp(find_field(&fields, "Content-Type", true)->value, "text/plain") == 0);
	snprintf(line, sizeof line, "%s%s%.*s\n", fields.list[0].value, *detail == '\0' ? "" : ": ",
	    RESPONSE_DETAIL_MAX, detail);
	fuzz_require(strcmp((char *)page + end, like->kind == RESPONSE_NO_BODY ? "" : line) == 0);
	free_fields(&fields);
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
