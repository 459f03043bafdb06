/* SPDX-License-Identifier: ISC */
/*
 * A CGI program in C.  `cc -o hello hello.c`, then put the program, not this
 * file, where the scripts are.
 */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	const char *peer = getenv("REMOTE_ADDR");

	printf("Content-Type: text/plain\n\n");
	printf("Hello from a C program, to %s.\n", peer != NULL ? peer : "nobody");
	return 0;
}
