/* SPDX-License-Identifier: ISC */
/*
 * in: reads its body to the end and answers with its length.  QUERY_STRING is how
 * many microseconds to sleep after each read: 0 to be as fast as it can.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char chunk[256 * 1024];

int main(void)
{
	const char *query = getenv("QUERY_STRING");
	long pause = query == NULL ? 0 : strtol(query, NULL, 10);
	struct timespec delay = {.tv_nsec = pause * 1000};
	unsigned long long total = 0;
	char answer[80];
	ssize_t n;
	int len;

	while ((n = read(STDIN_FILENO, chunk, sizeof chunk)) > 0) {
		total += (unsigned long long)n;
		if (pause > 0)
			nanosleep(&delay, NULL);
	}
	len = snprintf(answer, sizeof answer, "Content-Type: text/plain\r\n\r\n%llu\n", total);
	return write(STDOUT_FILENO, answer, (size_t)len) == len ? 0 : 1;
}
