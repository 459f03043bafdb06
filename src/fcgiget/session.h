/* SPDX-License-Identifier: ISC */
/*
 * session: one request or question, its answer printed while it arrives.
 *
 * One poll(2) loop over the socket, the body's file and both outputs, so that nothing
 * waits for anything else; what is held in memory is bounded whatever the sizes.
 */
#ifndef CGIBRIDGE_SESSION_H
#define CGIBRIDGE_SESSION_H

#include "fcgiget/fcgiget_options.h"
#include "fcgiget/verdict.h"

/* Does what `o` asks for, once; errors have been complained of. */
enum exit_status session_start(const struct fcgiget_options *o);

#endif
