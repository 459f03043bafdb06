/* SPDX-License-Identifier: ISC */
/*
 * check_hex: every byte as a digit, and pairs of them.
 */
#include "check_util.h"

#include <string.h>

#include "base/hex.h"

START_TEST(each_byte_is_a_digit_or_not)
{
	static const char digits[] = "0123456789abcdef";
	static const char capitals[] = "0123456789ABCDEF";

	for (int c = -128; c < 256; c++) {
		const char *small = c == 0 ? NULL : strchr(digits, (char)c);
		const char *big = c == 0 ? NULL : strchr(capitals, (char)c);
		int value = small != NULL ? (int)(small - digits)
		    : big != NULL	  ? (int)(big - capitals)
					  : -1;

		ck_assert_msg(hex_digit((char)c) == value, "%d", c);
	}
}
END_TEST

START_TEST(two_digits_are_a_byte)
{
	static const struct {
		const char *text;
		int value;
	} cases[] = {{"00", 0}, {"0a", 10}, {"aF", 0xaf}, {"FfF", 0xff}, {"", -1}, {"f", -1},
	    {"g0", -1}, {"0g", -1}, {"0x1", -1}, {"-1", -1}, {" 1", -1}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_msg(hex_byte(cases[i].text) == cases[i].value, "%s", cases[i].text);
}
END_TEST

START_TEST(percent_encoding_is_decoded_once)
{
	static const struct {
		const char *text, *decoded;
	} cases[] = {{"", ""}, {"/a%20b", "/a b"}, {"%41%4a", "AJ"}, {"%2541", "%41"}, {"%00", "%00"},
	    {"%", "%"}, {"%4", "%4"}, {"%zz%", "%zz%"}, {"\303%A9", "\303\251"}};
	char text[32];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		strcpy(text, cases[i].text);
		hex_percent_decode(text);
		ck_assert_str_eq(text, cases[i].decoded);
	}
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, each_byte_is_a_digit_or_not);
	tcase_add_test(tcase, two_digits_are_a_byte);
	tcase_add_test(tcase, percent_encoding_is_decoded_once);
}

int main(void)
{
	return check_main("hex", add);
}
