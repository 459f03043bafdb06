/* SPDX-License-Identifier: ISC */
/*
 * session: one request or FCGI_GET_VALUES, whose answer is printed while it arrives.
 *
 * One poll(2) loop over the socket, the body's file and both outputs: none waits for another,
 * and memory is bounded whatever the sizes.
 */
#ifndef CGIBRIDGE_SESSION_H
#define CGIBRIDGE_SESSION_H

#include "fcgiget/fcgiget_options.h"
#include "fcgiget/verdict.h"

/* Makes the one request of `o`; prints a message for each error. */
enum exit_status session_start(const struct fcgiget_options *o);

#endif
