/* SPDX-License-Identifier: ISC */
/*
 * check_fault: a phrase is kept, or as much of it as fits.
 */
#include "check_util.h"

#include <string.h>

#include "base/fault.h"

START_TEST(a_phrase_is_kept)
{
	struct fault fault;

	ck_assert_int_eq(fault_set(&fault, "%s: %d of %d", "limit", 3, 2), -1);
	ck_assert_str_eq(fault.text, "limit: 3 of 2");
}
END_TEST

START_TEST(a_long_phrase_is_cut)
{
	struct fault fault;
	char text[2 * sizeof fault.text];

	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	ck_assert_int_eq(fault_set(&fault, "%s", text), -1);
	ck_assert_uint_eq(strlen(fault.text), sizeof fault.text - 1);
	ck_assert_int_eq(strncmp(fault.text, text, sizeof fault.text - 1), 0);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_test(tcase, a_phrase_is_kept);
	tcase_add_test(tcase, a_long_phrase_is_cut);
}

int main(void)
{
	return check_main("fault", add);
}
