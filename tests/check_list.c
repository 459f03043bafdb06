/* SPDX-License-Identifier: ISC */
/*
 * check_list: both kinds of list, each element removed from each place.
 */
#include "check_util.h"

#include "base/list.h"

enum { ITEMS = 4 };

struct item {
	char name;
	struct item *next, *prev;
};

static struct item items[ITEMS];
static struct item *first, *last;

static void setup(void)
{
	for (int i = 0; i < ITEMS; i++)
		items[i] = (struct item){.name = (char)('a' + i)};
	first = last = NULL;
}

/* The list is `names`, both ways round. */
static void assert_list(const char *names)
{
	const struct item *before = NULL;
	const struct item *item = first;

	for (; *names != '\0'; names++) {
		ck_assert_ptr_nonnull(item);
		ck_assert_int_eq(item->name, *names);
		ck_assert_ptr_eq(item->prev, before);
		before = item;
		item = item->next;
	}
	ck_assert_ptr_null(item);
	if (last != NULL || first == NULL)
		ck_assert_ptr_eq(last, before);
}

static void assert_alone(const struct item *item)
{
	ck_assert_ptr_null(item->next);
	ck_assert_ptr_null(item->prev);
}

START_TEST(a_list_grows_at_its_front)
{
	assert_list("");
	for (int i = 0; i < ITEMS; i++)
		LIST_PREPEND(first, &items[i]);
	assert_list("dcba");
}
END_TEST

START_TEST(any_element_of_a_list_can_be_removed)
{
	static const char *const rests[ITEMS] = {"dcb", "dca", "dba", "cba"};

	for (int i = 0; i < ITEMS; i++) {
		setup();
		for (int n = 0; n < ITEMS; n++)
			LIST_PREPEND(first, &items[n]);
		LIST_REMOVE(first, &items[i]);
		assert_list(rests[i]);
		assert_alone(&items[i]);
		LIST_PREPEND(first, &items[i]);
		ck_assert_ptr_eq(first, &items[i]);
	}
}
END_TEST

START_TEST(a_list_with_an_end_grows_there)
{
	for (int i = 0; i < ITEMS; i++)
		LIST2_APPEND(first, last, &items[i]);
	assert_list("abcd");
	ck_assert_ptr_eq(last, &items[ITEMS - 1]);
}
END_TEST

START_TEST(a_list_with_an_end_grows_at_its_front_too)
{
	for (int i = 0; i < ITEMS; i++)
		LIST2_PREPEND(first, last, &items[i]);
	assert_list("dcba");
	ck_assert_ptr_eq(last, &items[0]);
}
END_TEST

START_TEST(any_element_of_a_list_with_an_end_can_be_removed)
{
	static const char *const rests[ITEMS] = {"bcd", "acd", "abd", "abc"};

	for (int i = 0; i < ITEMS; i++) {
		setup();
		for (int n = 0; n < ITEMS; n++)
			LIST2_APPEND(first, last, &items[n]);
		LIST2_REMOVE(first, last, &items[i]);
		assert_list(rests[i]);
		assert_alone(&items[i]);
		LIST2_APPEND(first, last, &items[i]);
		ck_assert_ptr_eq(last, &items[i]);
	}
}
END_TEST

START_TEST(the_last_one_out_leaves_an_empty_list)
{
	LIST2_APPEND(first, last, &items[0]);
	LIST2_REMOVE(first, last, &items[0]);
	ck_assert_ptr_null(first);
	ck_assert_ptr_null(last);
	LIST_PREPEND(first, &items[0]);
	LIST_REMOVE(first, &items[0]);
	ck_assert_ptr_null(first);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, a_list_grows_at_its_front);
	tcase_add_test(tcase, any_element_of_a_list_can_be_removed);
	tcase_add_test(tcase, a_list_with_an_end_grows_there);
	tcase_add_test(tcase, a_list_with_an_end_grows_at_its_front_too);
	tcase_add_test(tcase, any_element_of_a_list_with_an_end_can_be_removed);
	tcase_add_test(tcase, the_last_one_out_leaves_an_empty_list);
}

int main(void)
{
	return check_main("list", add);
}
