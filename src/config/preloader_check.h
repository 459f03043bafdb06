/* SPDX-License-Identifier: ISC */
/*
 * preloader_check: whether the program of a --preload works.
 */
#ifndef CGIBRIDGE_PRELOADER_CHECK_H
#define CGIBRIDGE_PRELOADER_CHECK_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/fault.h"
#include "config/value.h"

enum { PRELOADER_CHECK_TIME = 10 * 1000 }; /* ms that it may take to be ready */

/*
 * Runs the program, as this process's user, until it says that it is ready, and ends it; its
 * standard error is ours.  `learn`: as with --preload-learn.  0, or -1 with `why`.
 */
int preloader_check(const struct value_preload *preload, bool learn, struct fault *why) MUST_CHECK;

#endif
