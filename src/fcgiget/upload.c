/* SPDX-License-Identifier: ISC */
/*
 * upload: a file's size is known beforehand, a pipe's is not.
 */
#include "fcgiget/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

enum { CHUNK = 64 * 1024 };

static int open_file(const char *name)
{
	return strcmp(name, "-") == 0 ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
}

int upload_init(struct upload *u, const char *data)
{
	struct stat st;

	*u = (struct upload){.fd = -1, .sized = 1};
	if (data == NULL)
		return 0;
	if (*data != '@') {
		u->left = (off_t)strlen(data);
		return 0;
	}
	u->fd = open_file(data + 1);
	if (u->fd < 0 || fstat(u->fd, &st) != 0) {
		upload_fini(u);
		return -1;
	}
	u->sized = S_ISREG(st.st_mode);
	if (u->sized) {
		off_t at = lseek(u->fd, 0, SEEK_CUR); /* for @-, perhaps not the start */

		u->left = at < st.st_size ? st.st_size - at : 0;
	}
	return 0;
}

void upload_fini(struct upload *u)
{
	if (u->fd > STDIN_FILENO)
		close_keeping_errno(u->fd);
	u->fd = -1;
}

off_t upload_size(const struct upload *u)
{
	return u->sized ? u->left : -1;
}

ssize_t upload_read(struct upload *u, unsigned char *bytes, size_t len)
{
	size_t want = u->sized && u->left < (off_t)len ? (size_t)u->left : len;
	ssize_t n = read(u->fd, bytes, want);

	if (n == 0 && u->sized && u->left > 0) { /* a code that read(2) never sets */
		errno = EPIPE;
		return -1;
	}
	if (n > 0)
		u->left -= n;
	return n;
}

const char *upload_explain(int error)
{
	if (error == EPIPE)
		return "became shorter while it was sent";
	return error == ENOBUFS ? "is too large to be sent repeatedly" : strerror(error);
}

/* Appends the whole file to `out`. */
static int read_all(struct upload *u, struct buf *out)
{
	for (;;) {
		unsigned char bytes[CHUNK];
		ssize_t n = upload_read(u, bytes, sizeof bytes);

		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || buf_append(out, bytes, (size_t)n) != 0)
			return -1;
	}
}

int upload_all(const char *data, struct buf *out)
{
	struct upload u;
	int result;

	if (data == NULL)
		return 0;
	if (*data != '@')
		return buf_append(out, data, strlen(data));
	if (upload_init(&u, data) != 0)
		return -1;
	result = read_all(&u, out);
	upload_fini(&u);
	return result;
}
