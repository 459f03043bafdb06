/* SPDX-License-Identifier: ISC */
/*
 * check_escape: which bytes are UTF-8, and how each is shown in each place.
 */
#include "check_util.h"

#include <string.h>

#include "base/escape.h"

static char shown[256];

/* All of `text`, as `escape` shows it. */
static const char *show(const char *text, escape_fn *escape)
{
	size_t len = escape_copy(shown, sizeof shown - 1, text, escape);

	shown[len] = '\0';
	return shown;
}

static const struct {
	const char *text;
	size_t len; /* 0: not UTF-8 */
	unsigned long point;
} sequences[] = {
	{"a", 1, 'a'}, {"\177", 1, 0x7f}, {"\303\244", 2, 0xe4}, {"\337\277", 2, 0x7ff},
	{"\342\202\254", 3, 0x20ac}, {"\357\277\277", 3, 0xffff},
	{"\360\237\230\200", 4, 0x1f600}, {"\364\217\277\277", 4, 0x10ffff},
	/* without a start, cut off, too long a form, a surrogate, beyond the last */
	{"\200", 0, 0}, {"\303", 0, 0}, {"\303a", 0, 0}, {"\342\202", 0, 0}, {"\360\237\230", 0, 0},
	{"\300\257", 0, 0}, {"\301\277", 0, 0}, {"\340\237\277", 0, 0}, {"\360\217\277\277", 0, 0},
	{"\355\240\200", 0, 0}, {"\355\277\277", 0, 0}, {"\364\220\200\200", 0, 0},
	{"\370\210\200\200\200", 0, 0}, {"\377", 0, 0},
};

START_TEST(utf_8_is_told_from_other_bytes)
{
	for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
		unsigned long point = 0;
		size_t len = escape_decode((const unsigned char *)sequences[i].text, &point);

		ck_assert_msg(len == sequences[i].len, "sequence %zu: length %zu", i, len);
		if (len > 0)
			ck_assert_uint_eq(point, sequences[i].point);
	}
}
END_TEST

static const struct {
	const char *text, *line, *field, *json, *html;
} texts[] = {
	{"a~", "a~", "a~", "a~", "a~"},
	{"a b", "a b", "a\\x20b", "a b", "a b"},
	{"\\x0a", "\\\\x0a", "\\x5cx0a", "\\\\x0a", "\\u005cx0a"},
	{"\n", "\\x0a", "\\x0a", "\\u000a", "\\u000a"},
	{"\033[2J\177", "\\x1b[2J\\x7f", "\\x1b[2J\\x7f", "\\u001b[2J\\u007f", "\\u001b[2J\\u007f"},
	{"\"<&>'", "\"<&>'", "\"<&>'", "\\\"<&>'", "\\u0022\\u003c\\u0026\\u003e\\u0027"},
	{"\303\244", "\303\244", "\\xc3\\xa4", "\\u00e4", "\303\244"},
	{"\346\274\242", "\346\274\242", "\\xe6\\xbc\\xa2", "\\u6f22", "\346\274\242"},
	{"\360\237\230\200", "\360\237\230\200", "\\xf0\\x9f\\x98\\x80", "\\ud83d\\ude00",
		"\360\237\230\200"},
	{"\377", "\\xff", "\\xff", "\\\\xff", "\\ufffd"},
	{"\303", "\\xc3", "\\xc3", "\\\\xc3", "\\ufffd"},
};

START_TEST(each_place_has_its_way)
{
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		ck_assert_str_eq(show(texts[i].text, escape_line), texts[i].line);
		ck_assert_str_eq(show(texts[i].text, escape_field), texts[i].field);
		ck_assert_str_eq(show(texts[i].text, escape_json), texts[i].json);
		ck_assert_str_eq(show(texts[i].text, escape_json_html), texts[i].html);
	}
}
END_TEST

START_TEST(what_is_shown_is_shown_again_as_it_is)
{
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		ck_assert_str_eq(show(texts[i].line, escape_rest), texts[i].line);
	ck_assert_str_eq(show("\\x0a\n", escape_rest), "\\x0a\\x0a");
}
END_TEST

static const struct {
	const char *text, *line, *html;
} hidden[] = {
	/* NEXT LINE, a C1 control */
	{"\302\205", "\\xc2\\x85", "\\u0085"},
	/* CSI */
	{"\302\233", "\\xc2\\x9b", "\\u009b"},
	/* SOFT HYPHEN */
	{"\302\255", "\\xc2\\xad", "\\u00ad"},
	/* ZERO WIDTH SPACE */
	{"\342\200\213", "\\xe2\\x80\\x8b", "\\u200b"},
	/* RIGHT-TO-LEFT MARK */
	{"\342\200\217", "\\xe2\\x80\\x8f", "\\u200f"},
	/* LINE SEPARATOR */
	{"\342\200\250", "\\xe2\\x80\\xa8", "\\u2028"},
	/* RIGHT-TO-LEFT OVERRIDE */
	{"\342\200\256", "\\xe2\\x80\\xae", "\\u202e"},
	/* LEFT-TO-RIGHT ISOLATE */
	{"\342\201\246", "\\xe2\\x81\\xa6", "\\u2066"},
	/* ARABIC LETTER MARK */
	{"\330\234", "\\xd8\\x9c", "\\u061c"},
	/* byte order mark */
	{"\357\273\277", "\\xef\\xbb\\xbf", "\\ufeff"},
	/* U+FFFF, not a character */
	{"\357\277\277", "\\xef\\xbf\\xbf", "\\uffff"},
	/* HANGUL FILLER, a letter that is blank */
	{"\343\205\244", "\\xe3\\x85\\xa4", "\\u3164"},
	/* SHORTHAND FORMAT LETTER OVERLAP */
	{"\360\233\262\240", "\\xf0\\x9b\\xb2\\xa0", "\\ud82f\\udca0"},
	/* MUSICAL SYMBOL BEGIN BEAM */
	{"\360\235\205\263", "\\xf0\\x9d\\x85\\xb3", "\\ud834\\udd73"},
	/* LANGUAGE TAG */
	{"\363\240\200\201", "\\xf3\\xa0\\x80\\x81", "\\udb40\\udc01"},
	/* U+10FFFE, not a character */
	{"\364\217\277\276", "\\xf4\\x8f\\xbf\\xbe", "\\udbff\\udffe"},
};

START_TEST(a_line_and_a_page_have_nothing_that_cannot_be_seen)
{
	/* their neighbours can */
	static const char seen[] = "\302\240\342\200\220\342\200\257";

	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
		ck_assert_str_eq(show(hidden[i].text, escape_line), hidden[i].line);
		ck_assert_str_eq(show(hidden[i].text, escape_json_html), hidden[i].html);
	}
	ck_assert_str_eq(show(seen, escape_line), seen);
	ck_assert_str_eq(show(seen, escape_json_html), seen);
}
END_TEST

START_TEST(a_copy_is_cut_between_units)
{
	/* "a", 4 bytes for ESC, 2 for a with dots */
	static const char *const cut[] = {"...", "a...", "a...", "a...", "a...", "a\\x1b...",
		"a\\x1b...", "a\\x1b\303\244"};

	for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
		size_t len = escape_copy(shown, 3 + i, "a\033\303\244", escape_line);

		ck_assert_uint_le(len, 3 + i);
		shown[len] = '\0';
		ck_assert_str_eq(shown, cut[i]);
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, utf_8_is_told_from_other_bytes);
	tcase_add_test(tcase, each_place_has_its_way);
	tcase_add_test(tcase, what_is_shown_is_shown_again_as_it_is);
	tcase_add_test(tcase, a_line_and_a_page_have_nothing_that_cannot_be_seen);
	tcase_add_test(tcase, a_copy_is_cut_between_units);
}

int main(void)
{
	return check_main("escape", add);
}
