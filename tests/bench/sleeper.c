/* SPDX-License-Identifier: ISC */
/*
 * sleeper: answers after a second.
 */
#include <unistd.h>

int main(void)
{
	static const char answer[] = "Content-Type: text/plain\r\n\r\nslept\n";

	sleep(1);
	return write(STDOUT_FILENO, answer, sizeof answer - 1) == (ssize_t)sizeof answer - 1 ? 0 : 1;
}
