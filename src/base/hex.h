/* SPDX-License-Identifier: ISC */
/*
 * hex: hexadecimal digits, in either case, as numbers.
 */
#ifndef CGIBRIDGE_HEX_H
#define CGIBRIDGE_HEX_H

/* The value of the digit, or -1. */
int hex_digit(char c);

/* The value of the two digits at `text`, which is a string, or -1. */
int hex_byte(const char *text);

#endif
