/* SPDX-License-Identifier: ISC */
/*
 * hex: digits, independent of the locale.
 */
#include "base/hex.h"

int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int hex_byte(const char *text)
{
	int high = hex_digit(text[0]);
	int low = high < 0 ? -1 : hex_digit(text[1]); /* the string may end after the first */

	return low < 0 ? -1 : high * 16 + low;
}

void hex_percent_decode(char *text)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		int byte = *from == '%' ? hex_byte(from + 1) : -1;

		if (byte > 0) {
			*to++ = (char)byte;
			from += 2;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}
