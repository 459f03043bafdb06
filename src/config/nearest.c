/* SPDX-License-Identifier: ISC */
/*
 * nearest: the distance between two words (Damerau and Levenshtein's, no pair changed twice).
 */
#include "config/nearest.h"

#include <string.h>

enum {
	LONGEST = 40,   /* bytes; longer words are not compared */
	MOST_SLIPS = 2, /* with more it is a different word */
};

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/*
 * Fills row `i` of the table: distances of the first `i` bytes of `word` to each prefix of
 * `name`.
 */
static void fill_row(unsigned table[][LONGEST + 1], size_t i, const char *word, const char *name,
    size_t name_len)
{
	table[i][0] = (unsigned)i;
	for (size_t j = 1; j <= name_len; j++) {
		unsigned other = word[i - 1] != name[j - 1];

		table[i][j] = least(least(table[i - 1][j], table[i][j - 1]) + 1,
		    table[i - 1][j - 1] + other);
		if (i > 1 && j > 1 && word[i - 1] == name[j - 2] && word[i - 2] == name[j - 1])
			table[i][j] = least(table[i][j], table[i - 2][j - 2] + 1);
	}
}

/* The distance between `word`, of `len` bytes, and `name`. */
static unsigned count_slips(const char *word, size_t len, const char *name)
{
	unsigned table[LONGEST + 1][LONGEST + 1];
	size_t name_len = strlen(name);

	if (len > LONGEST || name_len > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= name_len; j++)
		table[0][j] = (unsigned)j;
	for (size_t i = 1; i <= len; i++)
		fill_row(table, i, word, name, name_len);
	return table[len][name_len];
}

void nearest_offer(struct nearest *nearest, const char *name)
{
	unsigned bound = nearest->name == NULL ? MOST_SLIPS + 1 : nearest->slips;
	unsigned slips = count_slips(nearest->word, nearest->len, name);

	/* where every second letter is wrong, another word is meant */
	if (slips >= bound || slips * 2 >= nearest->len)
		return;
	nearest->name = name;
	nearest->slips = slips;
}
