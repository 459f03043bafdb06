/* SPDX-License-Identifier: ISC */
/*
 * doctor: --doctor: finds out why a script does not answer, and suggests a cure.
 *
 * It does what a person would: checks the path and the file as the scripts' user, runs the
 * script, here or through the server of -s, and reads its output.  It changes nothing.
 */
#ifndef CGIBRIDGE_DOCTOR_H
#define CGIBRIDGE_DOCTOR_H

#include "fcgiget/fcgiget_options.h"
#include "fcgiget/verdict.h"

/*
 * Prints its findings: EXIT_OK if there is no fault, EXIT_PROTOCOL if there is one, EXIT_USAGE
 * or EXIT_READ if it could not examine the script.  This process runs as --user from then on.
 */
enum exit_status doctor_start(const struct fcgiget_options *o);

#endif
