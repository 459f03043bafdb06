/* SPDX-License-Identifier: ISC */
/*
 * fuzz_record: the record reader.  However a stream is split, what it holds is the same; what
 * the reader says agrees with a reader that needs all of it at once; and what was read, written
 * again, is read again.
 *
 * Input: a byte that says how the stream is split, and the stream.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "fcgi/fcgi.h"
#include "fcgi/record.h"
#include "fuzz.h"

enum { ROOM = 1 << 22 };

/* What a stream held: type, id, length and content of each record, one after the other. */
struct transcript {
	struct buf text;
	struct buf content; /* of the record that is coming in */
	bool broken;
};

static void transcript_init(struct transcript *t)
{
	buf_init(&t->text, ROOM);
	buf_init(&t->content, FCGI_MAX_CONTENT);
	t->broken = false;
}

static void transcript_fini(struct transcript *t)
{
	buf_fini(&t->text);
	buf_fini(&t->content);
}

static void add_record(struct buf *text, unsigned type, unsigned id, const void *bytes, size_t len)
{
	unsigned char head[] = {(unsigned char)type, (unsigned char)(id >> 8), (unsigned char)id,
	    (unsigned char)(len >> 8), (unsigned char)len};

	fuzz_require(buf_append(text, head, sizeof head) == 0);
	fuzz_require(len == 0 || buf_append(text, bytes, len) == 0);
}

static void add_piece(struct transcript *t, const struct fcgi_piece *piece)
{
	fuzz_require(piece->len > 0 || piece->content == 0);
	if (piece->len > 0)
		fuzz_require(buf_append(&t->content, piece->bytes, piece->len) == 0);
	fuzz_require((piece->last != 0) == (buf_len(&t->content) == piece->content));
	if (!piece->last)
		return;
	add_record(&t->text, piece->type, piece->id, buf_bytes(&t->content), piece->content);
	buf_consume(&t->content, buf_len(&t->content));
}

/* Checks what is said about the record that is coming in. */
static void check_rest(const struct fcgi_reader *reader, const struct fcgi_piece *piece)
{
	struct fcgi_piece record;

	fcgi_reader_record(reader, &record);
	if (piece->len == 0 && !piece->last)
		return;
	if (!piece->last) {
		fuzz_require(record.type == piece->type && record.id == piece->id);
		fuzz_require(record.content == piece->content);
		fuzz_require(record.len > 0 && record.len < record.content);
		fuzz_require(!fcgi_reader_between(reader));
	} else {
		fuzz_require(record.len == 0);
		fuzz_require(fcgi_reader_gap(reader) >= FCGI_HEADER_LEN);
		fuzz_require(fcgi_reader_gap(reader) <= FCGI_HEADER_LEN + FCGI_MAX_PADDING);
	}
}

static void read_part(struct transcript *t, struct fcgi_reader *reader, const uint8_t *bytes,
    size_t len)
{
	while (len > 0 && !t->broken) {
		struct fcgi_piece piece;
		ssize_t n = fcgi_reader_next(reader, bytes, len, &piece);

		if (n < 0) {
			t->broken = true;
			return;
		}
		fuzz_require(n >= 1 && (size_t)n <= len);
		fuzz_require(piece.len == 0 ||
		    (piece.bytes >= bytes && piece.bytes + piece.len <= bytes + n));
		if (piece.len > 0 || piece.last)
			add_piece(t, &piece);
		check_rest(reader, &piece);
		bytes += n;
		len -= (size_t)n;
	}
}

/* Reads the stream in parts of `step` bytes, each in memory of its own. */
static void read_split(struct transcript *t, const uint8_t *bytes, size_t len, size_t step)
{
	struct fcgi_reader reader;

	transcript_init(t);
	fcgi_reader_init(&reader);
	while (len > 0) {
		size_t part = len < step ? len : step;
		unsigned char *copy = fuzz_copy(bytes, part);

		read_part(t, &reader, copy, part);
		free(copy);
		bytes += part;
		len -= part;
	}
}

/* The same by the picture in the specification: no state, all bytes at once. */
static void read_plainly(struct transcript *t, const uint8_t *at, size_t left)
{
	transcript_init(t);
	while (left > 0) {
		size_t content = left < 6 ? 0 : (size_t)(at[4] << 8 | at[5]);
		size_t size = left < 8 ? 8 : 8 + content + at[6];

		t->broken = at[0] != 1;
		if (t->broken || left < 8 || left - 8 < content)
			return;
		add_record(&t->text, at[1], (unsigned)(at[2] << 8 | at[3]), at + 8, content);
		if (left < size)
			return;
		at += size;
		left -= size;
	}
}

static void require_same(const struct transcript *a, const struct transcript *b)
{
	fuzz_require(a->broken == b->broken);
	fuzz_require(buf_len(&a->text) == buf_len(&b->text));
	fuzz_require(buf_len(&a->text) == 0 ||
	    memcmp(buf_bytes(&a->text), buf_bytes(&b->text), buf_len(&a->text)) == 0);
}

/* Writes all records of a transcript, and reads them. */
static void write_again(const struct transcript *t)
{
	struct transcript again;
	struct buf out;
	const unsigned char *at = buf_bytes(&t->text);
	size_t left = buf_len(&t->text);

	buf_init(&out, 2 * ROOM);
	while (left > 0) {
		size_t len = (size_t)(at[3] << 8 | at[4]);

		fuzz_require(record_put(&out, (enum fcgi_type)at[0],
				 (uint16_t)(at[1] << 8 | at[2]), at + 5, len) == 0);
		fuzz_require(buf_len(&out) % 8 == 0);
		at += 5 + len;
		left -= 5 + len;
	}
	read_split(&again, buf_bytes(&out), buf_len(&out), SIZE_MAX);
	fuzz_require(!again.broken && buf_len(&again.text) == buf_len(&t->text));
	fuzz_require(buf_len(&t->text) == 0 ||
	    memcmp(buf_bytes(&again.text), buf_bytes(&t->text), buf_len(&t->text)) == 0);
	transcript_fini(&again);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fuzz_input input = {bytes, len < ROOM / 8 ? len : ROOM / 8};
	size_t step = fuzz_byte(&input) + 1U;
	struct transcript plain, whole, split;

	read_plainly(&plain, input.at, input.left);
	read_split(&whole, input.at, input.left, SIZE_MAX);
	read_split(&split, input.at, input.left, step);
	require_same(&plain, &whole);
	require_same(&whole, &split);
	write_again(&whole);
	transcript_fini(&plain);
	transcript_fini(&whole);
	transcript_fini(&split);
	return 0;
}
