/* SPDX-License-Identifier: ISC */
/*
 * fuzz: see fuzz.h.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_stderr.h"

void fuzz_abort(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d (%s): does not hold: %s\n", file, line, fuzz_system, what);
	abort();
}

unsigned fuzz_byte(struct fuzz_input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->at++;
}

unsigned fuzz_number(struct fuzz_input *input)
{
	unsigned high = fuzz_byte(input);

	return high << 8 | fuzz_byte(input);
}

const uint8_t *fuzz_bytes(struct fuzz_input *input, size_t *len)
{
	const uint8_t *bytes = input->at;

	if (*len > input->left)
		*len = input->left;
	input->at += *len;
	input->left -= *len;
	return bytes;
}

char *fuzz_text(struct fuzz_input *input)
{
	size_t len = input->left == 0 ? 0 : strnlen((const char *)input->at, input->left);
	char *text = malloc(len + 1);

	fuzz_require(text != NULL);
	if (len > 0)
		memcpy(text, input->at, len);
	text[len] = '\0';
	len += len < input->left;
	(void)fuzz_bytes(input, &len);
	return text;
}

unsigned char *fuzz_copy(const void *bytes, size_t len)
{
	unsigned char *copy = malloc(len + (len == 0));

	fuzz_require(copy != NULL);
	if (len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

/* ---- text ------------------------------------------------------------------------- */

static const struct {
	uint8_t first, last; /* of the first byte */
	uint8_t from, to;    /* of the second one */
	uint8_t more;        /* bytes after it */
} sequences[] = {
    {0x00, 0x7f, 0, 0, 0},
    {0xc2, 0xdf, 0x80, 0xbf, 1},
    {0xe0, 0xe0, 0xa0, 0xbf, 2},
    {0xe1, 0xec, 0x80, 0xbf, 2},
    {0xed, 0xed, 0x80, 0x9f, 2},
    {0xee, 0xef, 0x80, 0xbf, 2},
    {0xf0, 0xf0, 0x90, 0xbf, 3},
    {0xf1, 0xf3, 0x80, 0xbf, 3},
    {0xf4, 0xf4, 0x80, 0x8f, 3},
};

size_t fuzz_character(const void *bytes, size_t left)
{
	const uint8_t *at = bytes;
	size_t i = 0;

	if (left == 0)
		return 0;
	while (i < sizeof sequences / sizeof *sequences &&
	    (at[0] < sequences[i].first || at[0] > sequences[i].last))
		i++;
	if (i == sizeof sequences / sizeof *sequences || left <= sequences[i].more)
		return 0;
	for (size_t n = 1; n <= sequences[i].more; n++)
		if (at[n] < (n == 1 ? sequences[i].from : 0x80) ||
		    at[n] > (n == 1 ? sequences[i].to : 0xbf))
			return 0;
	return 1 + (size_t)sequences[i].more;
}

/*
 * Control characters, and Unicode's Cf, but for those that are seen, Zl and Zp: what is invisible or
 * changes the direction of text; noncharacters; tags.
 */
static const uint32_t unseen[][2] = {
    {0x0000, 0x001f}, {0x007f, 0x009f}, {0x00ad, 0x00ad}, {0x061c, 0x061c}, {0x115f, 0x1160}, {0x180e, 0x180e}, {0x200b, 0x200f},
    {0x2028, 0x202e}, {0x2060, 0x206f}, {0x3164, 0x3164}, {0xfdd0, 0xfdef}, {0xfeff, 0xfeff},
    {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3},
    {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

/* Whether the character, of `n` bytes, can be seen. */
static bool is_seen(const uint8_t *at, size_t n)
{
	uint32_t point = n == 1 ? at[0] : at[0] & (0x7fU >> n);

	for (size_t i = 1; i < n; i++)
		point = point * 64 + (at[i] - 0x80U);
	for (size_t i = 0; i < sizeof unseen / sizeof *unseen; i++)
		if (point >= unseen[i][0] && point <= unseen[i][1])
			return false;
	return point % 0x10000 < 0xfffe;
}

bool fuzz_is_text(const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	while (len > 0) {
		bool plain = *at >= ' ' && *at < 0x7f; /* most are, and need no look at tables */
		size_t n = plain ? 1 : fuzz_character(at, len);

		if (n == 0 || (!plain && !is_seen(at, n)))
			return false;
		at += n;
		len -= n;
	}
	return true;
}

/* ---- in place of base/clock.c ------------------------------------------------------- */

static int64_t now = 1000 * 1000;

void fuzz_advance(int64_t ms)
{
	now += ms;
}

int64_t clock_ms(void)
{
	return now;
}

int64_t clock_us(void)
{
	return now * 1000;
}

int64_t clock_real_ms(void)
{
	return 1700000000000 + now;
}

/* ---- in place of the system's --------------------------------------------------------- */

pid_t getpid(void)
{
	return 4711;
}

/* ---- in place of base/log_stderr.c ---------------------------------------------------- */

static size_t log_lines;

void log_stderr_open(log_lost_fn *format_lost)
{
	(void)format_lost;
}

void log_stderr_follow(struct loop *loop)
{
	(void)loop;
}

void log_stderr_put(const char *line, size_t len)
{
	if (getenv("FUZZ_VERBOSE") != NULL)
		fwrite(line, 1, len, stderr);
	fuzz_require(len > 1 && len <= LOG_LINE_MAX && line[len - 1] == '\n');
	fuzz_require(fuzz_is_text(line, len - 1));
	log_lines++;
}

void log_stderr_close(void)
{
}

size_t fuzz_log_lines(void)
{
	return log_lines;
}

/* ---- files ---------------------------------------------------------------------------- */

static char directory[64];

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	(void)info;
	(void)type;
	(void)walk;
	return remove(path);
}

static void remove_dir(void)
{
	(void)nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_dir(void)
{
	const char *base = getenv("TMPDIR");

	if (directory[0] != '\0')
		return directory;
	snprintf(directory, sizeof directory, "%.40s/fuzz-XXXXXX", base == NULL ? "/tmp" : base);
	fuzz_require(mkdtemp(directory) != NULL && atexit(remove_dir) == 0);
	return directory;
}

void fuzz_write_file(const char *name, unsigned mode, const void *bytes, size_t len)
{
	char path[256];
	int fd;

	snprintf(path, sizeof path, "%s/%s", fuzz_dir(), name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fuzz_require(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	fuzz_require(fchmod(fd, (mode_t)mode) == 0);
	close(fd);
}

bool fuzz_climbs(const char *path)
{
	for (const char *at = strstr(path, ".."); at != NULL; at = strstr(at + 1, ".."))
		if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == '\0'))
			return true;
	return false;
}

bool fuzz_is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && path[len] == '/';
}
