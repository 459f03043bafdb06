/* SPDX-License-Identifier: ISC */
/*
 * ppid: answers with the process that started it, so that one can count who serves.
 */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	char answer[64];
	int len = snprintf(answer, sizeof answer, "Content-Type: text/plain\r\n\r\n%ld\n",
	    (long)getppid());

	return write(STDOUT_FILENO, answer, (size_t)len) == len ? 0 : 1;
}
