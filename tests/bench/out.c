/* SPDX-License-Identifier: ISC */
/*
 * out: answers with as many bytes as QUERY_STRING says, as fast as they are taken.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char chunk[256 * 1024];

int main(void)
{
	static const char head[] = "Content-Type: application/octet-stream\r\n\r\n";
	const char *query = getenv("QUERY_STRING");
	unsigned long long left = query == NULL ? 0 : strtoull(query, NULL, 10);

	memset(chunk, 'x', sizeof chunk);
	if (write(STDOUT_FILENO, head, sizeof head - 1) < 0)
		return 1;
	while (left > 0) {
		size_t want = left < sizeof chunk ? (size_t)left : sizeof chunk;
		ssize_t n = write(STDOUT_FILENO, chunk, want);

		if (n <= 0)
			return 1;
		left -= (unsigned long long)n;
	}
	return 0;
}
