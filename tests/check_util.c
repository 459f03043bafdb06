/* SPDX-License-Identifier: ISC */
/*
 * check_util: see the header.
 */
#include "check_util.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int patience(int ms)
{
	const char *text = getenv("TEST_SLOW");
	int factor = text == NULL ? 1 : atoi(text);

	return factor > 1 ? ms * factor : ms;
}

int check_main(const char *name, void (*add)(TCase *tcase))
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, patience(30000) / 1000);
	add(tcase);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static uint32_t seed = 1;

void draw_restart(void)
{
	seed = 1;
}

unsigned draw(unsigned bound)
{
	seed = seed * 1664525U + 1013904223U;
	return (seed >> 8) % bound;
}

/* ---- a temporary directory ---------------------------------------------------- */

static char directory[64];

void temp_make(void)
{
	snprintf(directory, sizeof directory, "/tmp/cgibridge-check.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
}

static int remove_one(const char *path, const struct stat *info, int flag, struct FTW *ftw)
{
	(void)info;
	(void)flag;
	(void)ftw;
	remove(path);
	return 0;
}

void temp_remove(void)
{
	if (directory[0] != '\0')
		nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	directory[0] = '\0';
}

const char *temp_dir(void)
{
	return directory;
}

const char *temp_path(const char *name)
{
	static char paths[16][512];
	static unsigned next;
	char *path = paths[next++ % 16];

	snprintf(path, sizeof paths[0], "%s/%s", directory, name);
	return path;
}

void temp_write(const char *name, mode_t mode, const char *text)
{
	int fd = open(temp_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	ck_assert_int_eq(fchmod(fd, mode), 0); /* whatever the umask is */
	close(fd);
}

void temp_mkdir(const char *name)
{
	ck_assert_int_eq(mkdir(temp_path(name), 0755), 0);
}

/* ---- stderr --------------------------------------------------------------------- */

static int true_stderr = -1;
static char captured[256 * 1024];

void capture_begin(void)
{
	char name[] = "/tmp/cgibridge-check.XXXXXX";
	int fd = mkstemp(name);

	ck_assert_int_ge(fd, 0);
	unlink(name);
	fflush(stderr);
	true_stderr = dup(STDERR_FILENO);
	ck_assert_int_ge(true_stderr, 0);
	ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	close(fd);
	/* a loop's or a test's children must not keep it */
	ck_assert_int_eq(fcntl(true_stderr, F_SETFD, FD_CLOEXEC), 0);
}

static void read_captured(void)
{
	ssize_t n;

	fflush(stderr);
	n = pread(STDERR_FILENO, captured, sizeof captured - 1, 0);
	captured[n > 0 ? n : 0] = '\0';
}

const char *capture_end(void)
{
	read_captured();
	dup2(true_stderr, STDERR_FILENO);
	close(true_stderr);
	true_stderr = -1;
	return captured;
}

bool capture_has(const char *text)
{
	read_captured();
	return strstr(captured, text) != NULL;
}

/* ---- signals ---------------------------------------------------------------------- */

static const int taken_signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2,
    SIGPIPE};
enum { TAKEN = sizeof taken_signals / sizeof *taken_signals };
static struct sigaction kept_actions[TAKEN];
static sigset_t kept_mask;

void signals_keep(void)
{
	sigprocmask(SIG_SETMASK, NULL, &kept_mask);
	for (int i = 0; i < TAKEN; i++)
		sigaction(taken_signals[i], NULL, &kept_actions[i]);
}

void signals_restore(void)
{
	struct timespec none = {0, 0};
	sigset_t taken;

	/* what is still pending must not hit the default action */
	sigemptyset(&taken);
	for (int i = 0; i < TAKEN; i++)
		sigaddset(&taken, taken_signals[i]);
	while (sigtimedwait(&taken, NULL, &none) > 0)
		;
	for (int i = 0; i < TAKEN; i++)
		sigaction(taken_signals[i], &kept_actions[i], NULL);
	sigprocmask(SIG_SETMASK, &kept_mask, NULL);
}

/* ---- waiting ------------------------------------------------------------------------ */

static int64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool turn_until(struct loop *loop, done_fn *done, void *context)
{
	int64_t end = clock_ms() + patience(10000);

	while (!done(context)) {
		if (clock_ms() > end)
			return false;
		ck_assert_int_eq(loop_turn(loop, 10), 0);
	}
	return true;
}

void turn_for(struct loop *loop, int ms)
{
	int64_t end = clock_ms() + ms;

	do {
		ck_assert_int_eq(loop_turn(loop, 1), 0);
	} while (clock_ms() < end);
}

int wait_for(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool is_under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			count++;
	return count;
}
