/* SPDX-License-Identifier: ISC */
/*
 * hello: the least that a CGI script can do, in one write.
 */
#include <unistd.h>

int main(void)
{
	static const char answer[] = "Content-Type: text/plain\r\n\r\nHello, world\n";

	return write(STDOUT_FILENO, answer, sizeof answer - 1) == (ssize_t)sizeof answer - 1 ? 0 : 1;
}
