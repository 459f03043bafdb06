/* SPDX-License-Identifier: ISC */
/*
 * fcgi: record and name-value codec; the incremental reader.
 */
#include "fcgi/fcgi.h"

#include <string.h>

const char *fcgi_type_name(unsigned type)
{
	static const char *const names[] = {
		"unknown", "BEGIN_REQUEST", "ABORT_REQUEST", "END_REQUEST", "PARAMS",
		"STDIN", "STDOUT", "STDERR", "DATA", "GET_VALUES", "GET_VALUES_RESULT",
		"UNKNOWN_TYPE",
	};

	return names[type < sizeof names / sizeof *names ? type : 0];
}

static void put16(unsigned char *out, size_t value)
{
	out[0] = (unsigned char)(value >> 8 & 0xff);
	out[1] = (unsigned char)(value & 0xff);
}

static void put32(unsigned char *out, uint32_t value)
{
	put16(out, value >> 16);
	put16(out + 2, value & 0xffff);
}

static uint16_t get16(const unsigned char *in)
{
	return (uint16_t)(in[0] << 8 | in[1]);
}

static uint32_t get32(const unsigned char *in)
{
	return (uint32_t)get16(in) << 16 | get16(in + 2);
}

void fcgi_put_header(unsigned char out[FCGI_HEADER_LEN], enum fcgi_type type, uint16_t id,
    size_t content, size_t padding)
{
	out[0] = FCGI_VERSION_1;
	out[1] = (unsigned char)type;
	put16(out + 2, id);
	put16(out + 4, content);
	out[6] = (unsigned char)padding;
	out[7] = 0;
}

size_t fcgi_padding(size_t content)
{
	return (8 - content % 8) % 8;
}

void fcgi_put_begin(unsigned char out[FCGI_BODY_LEN], enum fcgi_role role, unsigned flags)
{
	memset(out, 0, FCGI_BODY_LEN);
	put16(out, (size_t)role);
	out[2] = (unsigned char)flags;
}

void fcgi_put_end(unsigned char out[FCGI_BODY_LEN], uint32_t app_status,
    enum fcgi_protocol_status status)
{
	memset(out, 0, FCGI_BODY_LEN);
	put32(out, app_status);
	out[4] = (unsigned char)status;
}

void fcgi_put_unknown(unsigned char out[FCGI_BODY_LEN], unsigned type)
{
	memset(out, 0, FCGI_BODY_LEN);
	out[0] = (unsigned char)type;
}

/* Reads a length of 1 or 4 bytes; returns how many, or 0 if it is incomplete. */
static size_t get_length(const unsigned char *bytes, size_t len, size_t *value)
{
	if (len == 0)
		return 0;
	if (bytes[0] < 0x80) {
		*value = bytes[0];
		return 1;
	}
	if (len < 4)
		return 0;
	*value = get32(bytes) & 0x7fffffff;
	return 4;
}

size_t fcgi_get_pair(const unsigned char *bytes, size_t len, struct fcgi_pair *pair)
{
	size_t first = get_length(bytes, len, &pair->name_len);
	size_t second = first == 0 ? 0 : get_length(bytes + first, len - first, &pair->value_len);
	size_t head = first + second;

	if (second == 0)
		return 0;
	/* compared separately: the sum of two lengths of 2^31-1 can wrap in 32 bits */
	if (pair->name_len > len - head || pair->value_len > len - head - pair->name_len)
		return 0;
	pair->name = bytes + head;
	pair->value = pair->name + pair->name_len;
	return head + pair->name_len + pair->value_len;
}

static size_t length_size(size_t value)
{
	return value < 0x80 ? 1 : 4;
}

size_t fcgi_pair_size(size_t name_len, size_t value_len)
{
	return length_size(name_len) + length_size(value_len) + name_len + value_len;
}

static unsigned char *put_length(unsigned char *out, size_t value)
{
	if (value < 0x80) {
		*out = (unsigned char)value;
		return out + 1;
	}
	put32(out, (uint32_t)value | 0x80000000U);
	return out + 4;
}

size_t fcgi_put_pair(unsigned char *out, const struct fcgi_pair *pair)
{
	unsigned char *at = put_length(put_length(out, pair->name_len), pair->value_len);

	memcpy(at, pair->name, pair->name_len);
	memcpy(at + pair->name_len, pair->value, pair->value_len);
	return (size_t)(at - out) + pair->name_len + pair->value_len;
}

void fcgi_reader_init(struct fcgi_reader *r)
{
	*r = (struct fcgi_reader){.have = 0};
}

/* Gets ready for the next header once content and padding have been taken. */
static void end_record(struct fcgi_reader *r)
{
	if (r->content == 0 && r->padding == 0)
		r->have = 0;
}

static void describe(const struct fcgi_reader *r, struct fcgi_piece *piece)
{
	piece->type = r->header[1];
	piece->id = get16(r->header + 2);
	piece->content = get16(r->header + 4);
	piece->last = r->content == 0;
}

/* Collects header bytes; a record without content is a piece of its own. */
static ssize_t read_header(struct fcgi_reader *r, const unsigned char *bytes, size_t len,
    struct fcgi_piece *piece)
{
	size_t want = (size_t)(FCGI_HEADER_LEN - r->have);
	size_t n = len < want ? len : want;

	memcpy(r->header + r->have, bytes, n);
	r->have = (unsigned char)(r->have + n);
	/* The first byte distinguishes garbage from an incomplete record. */
	if (r->header[0] != FCGI_VERSION_1)
		return -1;
	if (r->have < FCGI_HEADER_LEN)
		return (ssize_t)n;
	r->content = get16(r->header + 4);
	r->padding = r->header[6];
	if (r->content == 0)
		describe(r, piece);
	end_record(r);
	return (ssize_t)n;
}

static ssize_t read_content(struct fcgi_reader *r, const unsigned char *bytes, size_t len,
    struct fcgi_piece *piece)
{
	size_t n = len < r->content ? len : r->content;

	r->content = (uint16_t)(r->content - n);
	piece->bytes = bytes;
	piece->len = n;
	describe(r, piece);
	end_record(r);
	return (ssize_t)n;
}

static ssize_t skip_padding(struct fcgi_reader *r, size_t len)
{
	size_t n = len < r->padding ? len : r->padding;

	r->padding = (unsigned char)(r->padding - n);
	end_record(r);
	return (ssize_t)n;
}

ssize_t fcgi_reader_next(struct fcgi_reader *r, const unsigned char *bytes, size_t len,
    struct fcgi_piece *piece)
{
	*piece = (struct fcgi_piece){.type = 0};
	if (r->have < FCGI_HEADER_LEN)
		return read_header(r, bytes, len, piece);
	if (r->content > 0)
		return read_content(r, bytes, len, piece);
	return skip_padding(r, len);
}

void fcgi_reader_record(const struct fcgi_reader *r, struct fcgi_piece *record)
{
	*record = (struct fcgi_piece){.type = 0};
	if (r->have > 0 && r->have < FCGI_HEADER_LEN)
		return;
	describe(r, record);
	record->len = r->content;
}

void fcgi_reader_skip(struct fcgi_reader *r, size_t n)
{
	r->content = (uint16_t)(r->content - n);
	end_record(r);
}

size_t fcgi_reader_gap(const struct fcgi_reader *r)
{
	return r->have < FCGI_HEADER_LEN ? (size_t)(FCGI_HEADER_LEN - r->have)
					 : (size_t)(r->padding + FCGI_HEADER_LEN);
}

bool fcgi_reader_between(const struct fcgi_reader *r)
{
	return r->have == 0;
}

void fcgi_collect(const struct fcgi_piece *piece, unsigned char *body, size_t size, size_t *have)
{
	size_t room = *have < size ? size - *have : 0;

	if (piece->len > 0)
		memcpy(body + (*have < size ? *have : size), piece->bytes,
		    piece->len < room ? piece->len : room);
	*have += piece->len;
}

void fcgi_get_begin(const unsigned char body[FCGI_BODY_LEN], unsigned *role, unsigned *flags)
{
	*role = get16(body);
	*flags = body[2];
}

void fcgi_get_end(const unsigned char body[FCGI_BODY_LEN], uint32_t *app_status, unsigned *status)
{
	*app_status = get32(body);
	*status = body[4];
}
