/* SPDX-License-Identifier: ISC */
/*
 * check_fcgi: the record reader, whose result does not depend on how the input is
 * split, and the codecs of records and name-value pairs.
 */
#include "check_util.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "fcgi/fcgi.h"

/* ---- replaying a stream ------------------------------------------------------- */

/* What a reader has made of a stream: one entry a record, "type id content..." */
struct transcript {
	struct fcgi_reader reader;
	struct buf text;
	struct buf content; /* of the record that is coming in */
	bool broken;
};

static void transcript_init(struct transcript *t)
{
	*t = (struct transcript){.broken = false};
	fcgi_reader_init(&t->reader);
	buf_init(&t->text, 1 << 20);
	buf_init(&t->content, FCGI_MAX_CONTENT);
}

static void transcript_fini(struct transcript *t)
{
	buf_fini(&t->text);
	buf_fini(&t->content);
}

static void note_piece(struct transcript *t, const struct fcgi_piece *piece)
{
	unsigned char head[5] = {(unsigned char)piece->type, (unsigned char)(piece->id >> 8),
	    (unsigned char)piece->id, (unsigned char)(piece->content >> 8),
	    (unsigned char)piece->content};

	if ((piece->len == 0 && piece->content > 0) ||
	    buf_append(&t->content, piece->bytes, piece->len) != 0 ||
	    (piece->last != 0) != (buf_len(&t->content) == piece->content))
		ck_abort_msg("a wrong piece of %zu bytes", piece->len);
	if (!piece->last)
		return;
	if (buf_append(&t->text, head, sizeof head) != 0 ||
	    buf_append(&t->text, buf_bytes(&t->content), buf_len(&t->content)) != 0)
		ck_abort_msg("the transcript is full");
	buf_consume(&t->content, buf_len(&t->content));
}

/* Feeds a copy that ends where the bytes end, so that a reader who looks further is seen. */
static void feed(struct transcript *t, const unsigned char *bytes, size_t len)
{
	unsigned char *copy = malloc(len + (len == 0));

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, bytes, len);
	for (size_t at = 0; at < len && !t->broken;) {
		struct fcgi_piece piece;
		ssize_t n = fcgi_reader_next(&t->reader, copy + at, len - at, &piece);

		if (n < 0) {
			t->broken = true;
			break;
		}
		if (n < 1 || n > (ssize_t)(len - at))
			ck_abort_msg("%zd of %zu bytes taken", n, len - at);
		if (piece.len > 0 || piece.last)
			note_piece(t, &piece);
		at += (size_t)n;
	}
	free(copy);
}

static void assert_same(const struct transcript *a, const struct transcript *b)
{
	ck_assert_int_eq(a->broken, b->broken);
	ck_assert_uint_eq(buf_len(&a->text), buf_len(&b->text));
	if (buf_len(&a->text) > 0)
		ck_assert_mem_eq(buf_bytes(&a->text), buf_bytes(&b->text), buf_len(&a->text));
	if (a->broken) { /* only the version byte means anything then */
		ck_assert_uint_eq(a->reader.header[0], b->reader.header[0]);
		return;
	}
	ck_assert_uint_eq(a->reader.have, b->reader.have);
	ck_assert_uint_eq(a->reader.content, b->reader.content);
	ck_assert_uint_eq(a->reader.padding, b->reader.padding);
}

static void replay_split(const struct transcript *whole, const struct buf *in, size_t cut)
{
	struct transcript t;

	transcript_init(&t);
	feed(&t, buf_bytes(in), cut);
	feed(&t, buf_bytes(in) + cut, buf_len(in) - cut);
	assert_same(whole, &t);
	transcript_fini(&t);
}

static void replay_steps(const struct transcript *whole, const struct buf *in, size_t step)
{
	struct transcript t;

	transcript_init(&t);
	for (size_t at = 0; at < buf_len(in); at += step)
		feed(&t, buf_bytes(in) + at, buf_len(in) - at < step ? buf_len(in) - at : step);
	assert_same(whole, &t);
	transcript_fini(&t);
}

/* Replays `in` whole, in two at every offset, and in equal steps; `whole` is the result. */
static void replay(struct transcript *whole, const struct buf *in)
{
	transcript_init(whole);
	feed(whole, buf_bytes(in), buf_len(in));
	for (size_t cut = 0; cut <= buf_len(in); cut++)
		replay_split(whole, in, cut);
	for (size_t step = 1; step <= 17; step++)
		replay_steps(whole, in, step);
}

/* ---- making streams -------------------------------------------------------------- */

static void put(struct buf *in, unsigned type, uint16_t id, size_t content, size_t padding)
{
	size_t size = FCGI_HEADER_LEN + content + padding;
	unsigned char *to = buf_reserve(in, size);

	ck_assert_ptr_nonnull(to);
	fcgi_put_header(to, (enum fcgi_type)type, id, content, padding);
	for (size_t i = 0; i < content; i++)
		to[FCGI_HEADER_LEN + i] = (unsigned char)i;
	memset(to + FCGI_HEADER_LEN + content, FCGI_VERSION_1, padding); /* as if it went on */
	buf_commit(in, size);
}

START_TEST(a_request_is_the_same_however_it_is_split)
{
	static const unsigned char first[] = {FCGI_BEGIN_REQUEST, 0, 1, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7,
	    FCGI_PARAMS, 0, 1, 0, 3, 0, 1, 2, FCGI_PARAMS, 0, 1, 0, 0};
	struct buf in;
	struct transcript whole;

	buf_init(&in, 4096);
	put(&in, FCGI_BEGIN_REQUEST, 1, 8, 0);
	put(&in, FCGI_PARAMS, 1, 3, 5);
	put(&in, FCGI_PARAMS, 1, 0, 0);
	put(&in, FCGI_STDIN, 1, 31, 1);
	put(&in, FCGI_STDIN, 1, 0, 8);
	replay(&whole, &in);
	ck_assert(!whole.broken);
	ck_assert(fcgi_reader_between(&whole.reader));
	ck_assert_mem_eq(buf_bytes(&whole.text), first, sizeof first);
	ck_assert_uint_eq(buf_len(&whole.text), 5 * 5 + 8 + 3 + 31);
	transcript_fini(&whole);
	buf_fini(&in);
}
END_TEST

START_TEST(interleaved_ids_and_odd_records_are_the_same_however_they_are_split)
{
	struct buf in;
	struct transcript whole;

	buf_init(&in, 4096);
	put(&in, FCGI_GET_VALUES, 0, 17, 255);
	put(&in, FCGI_BEGIN_REQUEST, 65535, 8, 0);
	put(&in, FCGI_BEGIN_REQUEST, 256, 8, 7);
	put(&in, 99, 0, 0, 0);
	put(&in, 255, 3, 1, 1);
	put(&in, 0, 0, 2, 0);
	put(&in, FCGI_ABORT_REQUEST, 65535, 0, 0);
	put(&in, FCGI_STDIN, 256, 300, 4);
	replay(&whole, &in);
	ck_assert(!whole.broken);
	ck_assert_uint_eq(buf_len(&whole.text), 8 * 5 + 17 + 8 + 8 + 1 + 2 + 300);
	transcript_fini(&whole);
	buf_fini(&in);
}
END_TEST

START_TEST(a_cut_record_is_not_between_two)
{
	struct buf in;

	buf_init(&in, 4096);
	put(&in, FCGI_PARAMS, 1, 3, 5);
	put(&in, FCGI_STDIN, 1, 0, 2);
	for (size_t cut = 0; cut <= buf_len(&in); cut++) {
		struct transcript t;

		transcript_init(&t);
		feed(&t, buf_bytes(&in), cut);
		ck_assert_int_eq(fcgi_reader_between(&t.reader) != 0,
		    cut == 0 || cut == 16 || cut == buf_len(&in));
		transcript_fini(&t);
	}
	buf_fini(&in);
}
END_TEST

START_TEST(another_version_is_refused_at_its_first_byte)
{
	static const unsigned char versions[] = {0, 2, 'G', 'P', 0x16, 255};
	struct buf in;

	for (size_t i = 0; i < sizeof versions; i++) {
		struct transcript whole;

		buf_init(&in, 4096);
		put(&in, FCGI_BEGIN_REQUEST, 1, 8, 0);
		put(&in, FCGI_PARAMS, 1, 2, 6);
		ck_assert_int_eq(buf_append(&in, &versions[i], 1), 0);
		replay(&whole, &in); /* one byte is enough */
		ck_assert(whole.broken);
		ck_assert_int_eq(whole.reader.header[0], versions[i]);
		ck_assert_uint_eq(buf_len(&whole.text), 5 + 8 + 5 + 2);
		transcript_fini(&whole);
		buf_fini(&in);
	}
}
END_TEST

START_TEST(the_largest_record_comes_through)
{
	static const size_t cuts[] = {0, 1, 7, 8, 9, 4096, 65535, 65542, 65543, 65544, 65797, 65798};
	struct buf in;
	struct transcript whole;

	buf_init(&in, 1 << 20);
	put(&in, FCGI_STDIN, 1, FCGI_MAX_CONTENT, FCGI_MAX_PADDING);
	put(&in, FCGI_STDIN, 1, 0, 0);
	transcript_init(&whole);
	feed(&whole, buf_bytes(&in), buf_len(&in));
	ck_assert_uint_eq(buf_len(&whole.text), 5 + FCGI_MAX_CONTENT + 5);
	for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
		replay_split(&whole, &in, cuts[i]);
	replay_steps(&whole, &in, 1000);
	transcript_fini(&whole);
	buf_fini(&in);
}
END_TEST

START_TEST(random_streams_are_the_same_however_they_are_split)
{
	draw_restart();
	for (int round = 0; round < 20; round++) {
		struct buf in;
		struct transcript whole;

		buf_init(&in, 1 << 16);
		for (unsigned i = 0; i < 8; i++)
			put(&in, draw(12), (uint16_t)draw(65536), draw(3) == 0 ? 0 : draw(20),
			    draw(3) == 0 ? draw(20) : 0);
		if (draw(2) == 0)
			buf_bytes(&in)[draw((unsigned)buf_len(&in))] = 3;
		replay(&whole, &in);
		transcript_fini(&whole);
		buf_fini(&in);
	}
}
END_TEST

/* ---- collecting a short record --------------------------------------------------- */

START_TEST(collects_a_body_from_pieces)
{
	unsigned char body[FCGI_BODY_LEN];
	size_t have = 0;
	unsigned role;
	unsigned flags;

	for (unsigned char i = 0; i < 8; i++) {
		unsigned char byte = i == 1 ? FCGI_FILTER : i == 2 ? FCGI_KEEP_CONN : 0;
		struct fcgi_piece piece = {.bytes = &byte, .len = 1, .content = 8, .last = i == 7};

		fcgi_collect(&piece, body, sizeof body, &have);
	}
	ck_assert_uint_eq(have, 8);
	fcgi_get_begin(body, &role, &flags);
	ck_assert_uint_eq(role, FCGI_FILTER);
	ck_assert_uint_eq(flags, FCGI_KEEP_CONN);
}
END_TEST

START_TEST(counts_what_is_too_much_and_does_not_keep_it)
{
	unsigned char body[4] = {0, 0, 0, 0x5a};
	size_t have = 0;
	const struct fcgi_piece two = {.bytes = (const unsigned char *)"ab", .len = 2, .content = 8};
	const struct fcgi_piece none = {.len = 0, .content = 0, .last = 1};

	for (int i = 0; i < 4; i++)
		fcgi_collect(&two, body, 3, &have);
	fcgi_collect(&none, body, 3, &have);
	ck_assert_uint_eq(have, 8);
	ck_assert_mem_eq(body, "aba\x5a", 4);
}
END_TEST

/* ---- records and bodies ------------------------------------------------------------- */

START_TEST(headers_and_bodies_are_as_specified)
{
	unsigned char out[8];

	fcgi_put_header(out, FCGI_STDOUT, 0x1234, 0xabcd, 3);
	ck_assert_mem_eq(out, "\x01\x06\x12\x34\xab\xcd\x03\x00", 8);
	fcgi_put_begin(out, FCGI_AUTHORIZER, FCGI_KEEP_CONN);
	ck_assert_mem_eq(out, "\x00\x02\x01\x00\x00\x00\x00\x00", 8);
	fcgi_put_end(out, 0x01020384, FCGI_OVERLOADED);
	ck_assert_mem_eq(out, "\x01\x02\x03\x84\x02\x00\x00\x00", 8);
	fcgi_put_unknown(out, 200);
	ck_assert_mem_eq(out, "\xc8\x00\x00\x00\x00\x00\x00\x00", 8);
}
END_TEST

START_TEST(bodies_are_read_back)
{
	unsigned char out[8];
	uint32_t app_status;
	unsigned status;
	unsigned role;
	unsigned flags;

	fcgi_put_end(out, UINT32_MAX, FCGI_UNKNOWN_ROLE);
	fcgi_get_end(out, &app_status, &status);
	ck_assert_uint_eq(app_status, UINT32_MAX);
	ck_assert_uint_eq(status, FCGI_UNKNOWN_ROLE);
	memcpy(out, "\x12\x34\xff\0\0\0\0\0", 8);
	fcgi_get_begin(out, &role, &flags);
	ck_assert_uint_eq(role, 0x1234);
	ck_assert_uint_eq(flags, 255);
}
END_TEST

START_TEST(padding_completes_eight)
{
	for (size_t n = 0; n <= FCGI_MAX_CONTENT; n++)
		if (fcgi_padding(n) > 7 || (n + fcgi_padding(n)) % 8 != 0)
			ck_abort_msg("%zu is padded with %zu", n, fcgi_padding(n));
}
END_TEST

START_TEST(types_have_names)
{
	ck_assert_str_eq(fcgi_type_name(FCGI_BEGIN_REQUEST), "BEGIN_REQUEST");
	ck_assert_str_eq(fcgi_type_name(FCGI_STDOUT), "STDOUT");
	ck_assert_str_eq(fcgi_type_name(FCGI_UNKNOWN_TYPE), "UNKNOWN_TYPE");
	ck_assert_str_eq(fcgi_type_name(0), "unknown");
	ck_assert_str_eq(fcgi_type_name(12), "unknown");
	ck_assert_str_eq(fcgi_type_name(~0U), "unknown");
}
END_TEST

/* ---- pairs ----------------------------------------------------------------------------- */

static const size_t lengths[] = {0, 1, 127, 128, 300, 70000};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

/* Decodes the first `len` bytes from memory that ends there. */
static size_t get_cut(const unsigned char *bytes, size_t len, struct fcgi_pair *pair)
{
	unsigned char *copy = malloc(len + (len == 0));
	size_t n;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, bytes, len);
	n = fcgi_get_pair(copy, len, pair);
	free(copy);
	return n;
}

static void check_pair(size_t name_len, size_t value_len)
{
	size_t size = fcgi_pair_size(name_len, value_len);
	unsigned char *bytes = malloc(size + 1);
	unsigned char *text = malloc(name_len + value_len + 1);
	struct fcgi_pair in = {text, name_len, text + name_len, value_len};
	struct fcgi_pair out;

	ck_assert(bytes != NULL && text != NULL);
	memset(text, 'n', name_len);
	memset(text + name_len, 'v', value_len);
	ck_assert_uint_eq(fcgi_put_pair(bytes, &in), size);
	ck_assert_uint_eq(fcgi_get_pair(bytes, size, &out), size);
	ck_assert_uint_eq(out.name_len, name_len);
	ck_assert_uint_eq(out.value_len, value_len);
	ck_assert_mem_eq(out.name, text, name_len);
	ck_assert_mem_eq(out.value, text + name_len, value_len);
	bytes[size] = 0xff; /* what follows is another pair's */
	ck_assert_uint_eq(fcgi_get_pair(bytes, size + 1, &out), size);
	for (size_t cut = 0; cut < size; cut += cut > 500 ? 9973 : 1)
		if (get_cut(bytes, cut, &out) != 0)
			ck_abort_msg("whole after %zu of %zu bytes", cut, size);
	ck_assert_uint_eq(get_cut(bytes, size - 1, &out), 0);
	free(bytes);
	free(text);
}

START_TEST(pairs_come_back_and_are_incomplete_when_cut_anywhere)
{
	for (size_t i = 0; i < LENGTHS; i++)
		for (size_t j = 0; j < LENGTHS; j++)
			check_pair(lengths[i], lengths[j]);
}
END_TEST

START_TEST(lengths_take_one_byte_or_four)
{
	unsigned char out[16] = {0};
	struct fcgi_pair pair = {(const unsigned char *)"AB", 2, (const unsigned char *)"c", 1};

	ck_assert_uint_eq(fcgi_put_pair(out, &pair), 5);
	ck_assert_mem_eq(out, "\2\1ABc", 5);
	ck_assert_uint_eq(fcgi_pair_size(127, 0), 129);
	ck_assert_uint_eq(fcgi_pair_size(128, 0), 133);
	ck_assert_uint_eq(fcgi_pair_size(127, 128), 5 + 127 + 128);
	/* four bytes for a small length are as good */
	ck_assert_uint_eq(
	    fcgi_get_pair((const unsigned char *)"\x80\0\0\2\x80\0\0\1ABc", 11, &pair), 11);
	ck_assert_uint_eq(pair.name_len, 2);
	ck_assert_uint_eq(pair.value_len, 1);
}
END_TEST

START_TEST(huge_lengths_are_incomplete_and_do_not_wrap)
{
	static const char *const heads[] = {
		"\xff\xff\xff\xff\xff\xff\xff\xff", /* two of 2^31-1 */
		"\xff\xff\xff\xff\1zzz",
		"\1\377\377\377\377abc",
		"\x80\0\0\4\xff\xff\xff\xfc",
	};
	struct fcgi_pair pair;

	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
		for (size_t len = 0; len <= 8; len++)
			ck_assert_uint_eq(
			    get_cut((const unsigned char *)heads[i], len, &pair), 0);
}
END_TEST

/* Gives the reader `len` bytes in one piece after the other. */
static void give(struct fcgi_reader *r, const unsigned char *bytes, size_t len)
{
	while (len > 0) {
		struct fcgi_piece piece;
		ssize_t n = fcgi_reader_next(r, bytes, len, &piece);

		ck_assert_int_gt(n, 0);
		bytes += n;
		len -= (size_t)n;
	}
}

START_TEST(content_may_be_taken_past_the_reader)
{
	struct fcgi_reader r;
	struct fcgi_piece record;
	unsigned char header[FCGI_HEADER_LEN];

	fcgi_reader_init(&r);
	fcgi_reader_record(&r, &record);
	ck_assert_uint_eq(record.type, 0);
	ck_assert_uint_eq(fcgi_reader_gap(&r), FCGI_HEADER_LEN);
	for (size_t padding = 0; padding <= FCGI_MAX_PADDING; padding += 5) {
		fcgi_put_header(header, FCGI_STDIN, 7, 1000, padding);
		give(&r, header, 5);
		fcgi_reader_record(&r, &record);
		ck_assert_uint_eq(record.type, 0); /* in the middle of a header */
		ck_assert_uint_eq(fcgi_reader_gap(&r), 3);
		give(&r, header + 5, 3);
		for (size_t left = 1000; left > 0; left -= 250) {
			fcgi_reader_record(&r, &record);
			ck_assert_uint_eq(record.type, FCGI_STDIN);
			ck_assert_uint_eq(record.id, 7);
			ck_assert_uint_eq(record.content, 1000);
			ck_assert_uint_eq(record.len, left);
			fcgi_reader_skip(&r, 250);
		}
		fcgi_reader_record(&r, &record); /* still known behind its end */
		ck_assert_uint_eq(record.type, FCGI_STDIN);
		ck_assert_uint_eq(record.len, 0);
		ck_assert_uint_eq(fcgi_reader_gap(&r), padding + FCGI_HEADER_LEN);
		ck_assert_int_eq(fcgi_reader_between(&r), padding == 0);
		give(&r, (const unsigned char[FCGI_MAX_PADDING]){0}, padding);
		ck_assert_int_ne(fcgi_reader_between(&r), 0);
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_request_is_the_same_however_it_is_split);
	tcase_add_test(tcase, interleaved_ids_and_odd_records_are_the_same_however_they_are_split);
	tcase_add_test(tcase, a_cut_record_is_not_between_two);
	tcase_add_test(tcase, another_version_is_refused_at_its_first_byte);
	tcase_add_test(tcase, the_largest_record_comes_through);
	tcase_add_test(tcase, random_streams_are_the_same_however_they_are_split);
	tcase_add_test(tcase, collects_a_body_from_pieces);
	tcase_add_test(tcase, counts_what_is_too_much_and_does_not_keep_it);
	tcase_add_test(tcase, headers_and_bodies_are_as_specified);
	tcase_add_test(tcase, bodies_are_read_back);
	tcase_add_test(tcase, padding_completes_eight);
	tcase_add_test(tcase, types_have_names);
	tcase_add_test(tcase, pairs_come_back_and_are_incomplete_when_cut_anywhere);
	tcase_add_test(tcase, lengths_take_one_byte_or_four);
	tcase_add_test(tcase, content_may_be_taken_past_the_reader);
	tcase_add_test(tcase, huge_lengths_are_incomplete_and_do_not_wrap);
}

int main(void)
{
	return check_main("fcgi", add);
}
