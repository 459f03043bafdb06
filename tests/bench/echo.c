/* SPDX-License-Identifier: ISC */
/*
 * echo: answers with its body, while it comes.
 */
#include <unistd.h>

static char chunk[64 * 1024];

static int put(const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, bytes, len);

		if (n <= 0)
			return -1;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

int main(void)
{
	static const char head[] = "Content-Type: application/octet-stream\r\n\r\n";
	ssize_t n;

	if (put(head, sizeof head - 1) != 0)
		return 1;
	while ((n = read(STDIN_FILENO, chunk, sizeof chunk)) > 0)
		if (put(chunk, (size_t)n) != 0)
			return 1;
	return n < 0 ? 1 : 0;
}
