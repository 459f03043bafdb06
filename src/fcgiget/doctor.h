/* SPDX-License-Identifier: ISC */
/*
 * doctor: --doctor, why a script does not answer, and what to do about it.
 *
 * It does what a person would: looks at the path and at the file as the scripts' user, runs
 * the script, here or through the server of -s, and reads what that wrote.  It changes nothing.
 */
#ifndef CGIBRIDGE_DOCTOR_H
#define CGIBRIDGE_DOCTOR_H

#include "fcgiget/fcgiget_options.h"
#include "fcgiget/verdict.h"

/*
 * Prints what it finds: EXIT_OK if nothing is at fault, EXIT_PROTOCOL if something is,
 * EXIT_USAGE if it could not look.  This process is the user of --user from then on.
 */
enum exit_status doctor_start(const struct fcgiget_options *o);

#endif
