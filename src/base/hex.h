/* SPDX-License-Identifier: ISC */
/*
 * hex: the values of hexadecimal digits, in either case.
 */
#ifndef CGIBRIDGE_HEX_H
#define CGIBRIDGE_HEX_H

/* The value of digit `c`, or -1 if it is not one. */
int hex_digit(char c);

/* The value of the two digits at the start of the string `text`, or -1. */
int hex_byte(const char *text);

/* Decodes the %XX of the string `text` in place; %00 and any other '%' stay. */
void hex_percent_decode(char *text);

#endif
