/* SPDX-License-Identifier: ISC */
/*
 * check_exec_fault: what is said of a program that execve(2) has refused, here by itself.
 */
#include "check_util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgi/exec_fault.h"

#define BOM "\357\273\277"

static const struct {
	const char *content;
	mode_t mode;
	int error;
	const char *reason;
} faults[] = {
	{"#!/no/such/program\necho\n", 0755, ENOENT,
		"No such file or directory: its interpreter \"/no/such/program\" is not there"},
	{"#! /no/such/program -x\n", 0755, ENOENT,
		"No such file or directory: its interpreter \"/no/such/program\" is not there"},
	{"#!/bin/sh\r\necho\r\n", 0755, ENOENT,
		"No such file or directory: its interpreter \"/bin/sh\r\" is not there (the line ends "
		"with CR: saved on Windows)"},
	{"#!no-such-program\n", 0755, ENOENT,
		"No such file or directory: its interpreter \"no-such-program\" is not there (it has to "
		"be an absolute path)"},
	{"#!/bin/sh\n", 0644, EACCES,
		"Permission denied (it is not executable for this user: chmod +x)"},
	{"#!/etc/passwd\n", 0755, EACCES,
		"Permission denied: its interpreter \"/etc/passwd\" is not executable for this user"},
	{"", 0755, ENOEXEC, "Exec format error (it is empty)"},
	{BOM "#!/bin/sh\n", 0755, ENOEXEC,
		"Exec format error (a byte order mark is in front of its first line: save it without)"},
	{"\377\376#", 0755, ENOEXEC, "Exec format error (it is in UTF-16: save it as UTF-8)"},
	{"\n#!/bin/sh\n", 0755, ENOEXEC,
		"Exec format error (its \"#!\" is not at the very beginning)"},
	{"#!\necho\n", 0755, ENOEXEC, "Exec format error (its \"#!\" line names no program)"},
	{"echo\n", 0755, ENOEXEC, "Exec format error (not a program, and without a \"#!\" line)"},
	{"\177ELF\001\001\001", 0755, ENOEXEC,
		"Exec format error (it was built for another kind of machine)"},
};

/* The error of executing it; it must not run. */
static int try_to_execute(const char *path)
{
	char *argv[] = {(char[]){"x"}, NULL};

	execve(path, argv, argv + 1);
	return errno;
}

START_TEST(what_is_wrong_with_a_script_is_named)
{
	char text[EXEC_FAULT_MAX];

	temp_make();
	temp_write("x", faults[_i].mode, faults[_i].content);
	ck_assert_int_eq(try_to_execute(temp_path("x")), faults[_i].error);
	if (strncmp(faults[_i].content, "\177ELF", 4) != 0)
		ck_assert_int_eq(exec_fault_foresee(temp_path("x")), faults[_i].error);
	exec_fault_describe(temp_path("x"), faults[_i].error, text);
	ck_assert_str_eq(text, faults[_i].reason);
	temp_remove();
}
END_TEST

START_TEST(an_interpreter_that_is_a_script_can_lack_its_own)
{
	char script[600];
	char text[EXEC_FAULT_MAX];

	temp_make();
	temp_write("interpreter", 0755, "#!/no/such/program\n");
	snprintf(script, sizeof script, "#!%s\n", temp_path("interpreter"));
	temp_write("x", 0755, script);
	exec_fault_describe(temp_path("x"), ENOENT, text);
	ck_assert_ptr_nonnull(strstr(text, "/interpreter\" cannot be started itself"));
	ck_assert_int_eq(exec_fault_foresee(temp_path("x")), ENOENT);
	temp_remove();
}
END_TEST

START_TEST(what_can_be_executed_has_no_fault)
{
	temp_make();
	temp_write("x", 0755, "#!/bin/sh\n");
	ck_assert_int_eq(exec_fault_foresee(temp_path("x")), 0);
	ck_assert_int_eq(exec_fault_foresee("/bin/sh"), 0);
	ck_assert_int_eq(exec_fault_foresee("/no/such/program"), ENOENT);
	ck_assert_int_eq(exec_fault_foresee("/"), EACCES);
	temp_remove();
}
END_TEST

START_TEST(what_is_not_there_has_no_interpreter)
{
	char text[EXEC_FAULT_MAX];

	exec_fault_describe("/no/such/program", ENOENT, text);
	ck_assert_str_eq(text, "No such file or directory");
	exec_fault_describe("/no/such/program", ENOEXEC, text);
	ck_assert_str_eq(text, "Exec format error");
}
END_TEST

START_TEST(a_loader_can_be_missing)
{
	char text[EXEC_FAULT_MAX];

	temp_make();
	temp_write("x", 0755, "\177ELF");
	exec_fault_describe(temp_path("x"), ENOENT, text);
	ck_assert_str_eq(text, "No such file or directory (its loader is not there: was it built for "
			       "another system?)");
	temp_remove();
}
END_TEST

START_TEST(a_long_name_is_cut)
{
	char script[1001] = "#!/";
	char text[EXEC_FAULT_MAX];

	temp_make();
	memset(script + 3, 'x', sizeof script - 4);
	temp_write("x", 0755, script);
	exec_fault_describe(temp_path("x"), ENOENT, text);
	ck_assert_ptr_nonnull(strstr(text, "xxx\" is not there"));
	temp_remove();
}
END_TEST

START_TEST(other_errors_speak_for_themselves)
{
	char text[EXEC_FAULT_MAX];

	exec_fault_describe("/bin/sh", EIO, text);
	ck_assert_str_eq(text, strerror(EIO));
	exec_fault_describe("/bin/sh", E2BIG, text);
	ck_assert_ptr_nonnull(strstr(text, "parameters are too large"));
}
END_TEST

START_TEST(a_fault_has_a_status)
{
	ck_assert_int_eq(exec_fault_status(EACCES), 403);
	ck_assert_int_eq(exec_fault_status(EPERM), 403);
	ck_assert_int_eq(exec_fault_status(ENOMEM), 503);
	ck_assert_int_eq(exec_fault_status(EAGAIN), 503);
	ck_assert_int_eq(exec_fault_status(EMFILE), 503);
	ck_assert_int_eq(exec_fault_status(ENFILE), 503);
	ck_assert_int_eq(exec_fault_status(ETXTBSY), 503);
	ck_assert_int_eq(exec_fault_status(EIO), 500);
	ck_assert_int_eq(exec_fault_status(ENOENT), 500);
	ck_assert_int_eq(exec_fault_status(ENOEXEC), 500);
	ck_assert_int_eq(exec_fault_status(E2BIG), 431);
}
END_TEST

static void add(TCase *tcase)
{
	tcase_add_loop_test(tcase, what_is_wrong_with_a_script_is_named, 0,
	    (int)(sizeof faults / sizeof *faults));
	tcase_add_test(tcase, an_interpreter_that_is_a_script_can_lack_its_own);
	tcase_add_test(tcase, what_can_be_executed_has_no_fault);
	tcase_add_test(tcase, what_is_not_there_has_no_interpreter);
	tcase_add_test(tcase, a_loader_can_be_missing);
	tcase_add_test(tcase, a_long_name_is_cut);
	tcase_add_test(tcase, other_errors_speak_for_themselves);
	tcase_add_test(tcase, a_fault_has_a_status);
}

int main(void)
{
	return check_main("exec_fault", add);
}
