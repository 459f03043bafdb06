/* SPDX-License-Identifier: ISC */
/*
 * bench: see bench.h.
 */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int64_t bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void bench_die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

void bench_raise_fds(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		bench_die("getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		bench_die("setrlimit");
}

uint64_t bench_number(const char *text, uint64_t max)
{
	char *end;
	unsigned long long number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno == 0 && *end == '\0' && end != text && number <= max)
		return number;
	fprintf(stderr, "bench: no number up to %llu: %s\n", (unsigned long long)max, text);
	exit(2);
}

int bench_listen(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof addr) != 0 || listen(fd, 511) != 0)
		bench_die(path);
	return fd;
}

/* ---- the parameters ------------------------------------------------------------- */

enum { PARAMS_MAX = 32, PARAM_SIZE = 512 };

static char texts[PARAMS_MAX][PARAM_SIZE];
static char *list[PARAMS_MAX + 1];
static size_t used;

static void set(const char *name, const char *value)
{
	if (used == PARAMS_MAX)
		abort();
	snprintf(texts[used], PARAM_SIZE, "%s=%s", name, value);
	list[used] = texts[used];
	list[++used] = NULL;
}

static void set_fixed(void)
{
	set("REMOTE_ADDR", "127.0.0.1");
	set("REMOTE_PORT", "54321");
	set("SERVER_ADDR", "127.0.0.1");
	set("SERVER_PORT", "80");
	set("SERVER_NAME", "localhost");
	set("SERVER_PROTOCOL", "HTTP/1.1");
	set("SERVER_SOFTWARE", "nginx/1.22.1");
	set("GATEWAY_INTERFACE", "CGI/1.1");
	set("REQUEST_SCHEME", "http");
	set("REDIRECT_STATUS", "200");
	set("HTTP_HOST", "localhost");
	set("HTTP_USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101");
	set("HTTP_ACCEPT", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
	set("HTTP_ACCEPT_LANGUAGE", "en-US,en;q=0.5");
	set("HTTP_ACCEPT_ENCODING", "gzip, deflate, br");
	set("HTTP_CONNECTION", "keep-alive");
}

/* `script` is absolute: its folder is the document root. */
static void set_paths(const char *script)
{
	const char *name = strrchr(script, '/');
	char root[PARAM_SIZE / 2];

	if (name == NULL)
		name = script;
	snprintf(root, sizeof root, "%.*s", (int)(name - script), script);
	set("SCRIPT_FILENAME", script);
	set("DOCUMENT_ROOT", root);
	set("SCRIPT_NAME", name);
	set("REQUEST_URI", name);
	set("DOCUMENT_URI", name);
}

char **bench_params(const char *script, const char *query, uint64_t body)
{
	char length[24] = "";

	used = 0;
	if (body > 0)
		snprintf(length, sizeof length, "%llu", (unsigned long long)body);
	set_paths(script);
	set("QUERY_STRING", query);
	set("REQUEST_METHOD", body > 0 ? "POST" : "GET");
	set("CONTENT_TYPE", body > 0 ? "application/octet-stream" : "");
	set("CONTENT_LENGTH", length);
	set_fixed();
	return list;
}

/* ---- durations ------------------------------------------------------------------- */

void bench_add(struct bench_times *times, int64_t ns)
{
	if (times->count == times->cap) {
		size_t cap = times->cap == 0 ? 4096 : 2 * times->cap;
		int64_t *more = realloc(times->ns, cap * sizeof *more);

		if (more == NULL)
			bench_die("realloc");
		times->ns = more;
		times->cap = cap;
	}
	times->ns[times->count++] = ns;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The smallest duration that `percent` of all do not exceed, in microseconds. */
static double percentile(const struct bench_times *times, unsigned percent)
{
	size_t at = times->count * percent / 100;

	if (times->count == 0)
		return 0;
	if (at == times->count)
		at--;
	return (double)times->ns[at] / 1000;
}

void bench_print_times(FILE *out, struct bench_times *times)
{
	if (times->count > 0)
		qsort(times->ns, times->count, sizeof *times->ns, compare);
	fprintf(out, ",\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f",
	    percentile(times, 50), percentile(times, 90), percentile(times, 99),
	    percentile(times, 100));
}
