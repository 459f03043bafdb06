/* SPDX-License-Identifier: ISC */
/*
 * progress: a line that fits every terminal, without escape sequences.
 */
#include "fcgiget/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 79, BAR = 24 };

int progress_init(struct progress *p, int fd, uint64_t total)
{
	*p = (struct progress){.fd = isatty(fd) ? fd : -1, .total = total};
	return p->fd >= 0;
}

/* Overwrites the current line with `text`. */
static void put_line(const struct progress *p, const char *text)
{
	char line[WIDTH + 3];
	int len = snprintf(line, sizeof line, "\r%-*.*s\r", WIDTH, WIDTH, text);

	/* a terminal that has gone away is not a reason to stop */
	if (write(p->fd, line, (size_t)len) < 0)
		return;
}

void progress_draw(struct progress *p, uint64_t done, uint64_t failed, int64_t elapsed)
{
	char text[2 * WIDTH];
	char bar[BAR + 1];
	double share = p->total == 0 ? 1 : (double)done / (double)p->total;

	if (p->fd < 0)
		return;
	memset(bar, '.', BAR);
	memset(bar, '#', (size_t)(share * BAR));
	bar[BAR] = '\0';
	snprintf(text, sizeof text, "[%s] %3d%% %llu/%llu %.0f/s %llu failed", bar,
	    (int)(share * 100), (unsigned long long)done, (unsigned long long)p->total,
	    elapsed > 0 ? (double)done * 1e6 / (double)elapsed : 0.0, (unsigned long long)failed);
	put_line(p, text);
	p->drawn = 1;
}

void progress_erase(struct progress *p)
{
	if (p->drawn)
		put_line(p, "");
	p->drawn = 0;
}
