/* SPDX-License-Identifier: ISC */
/*
 * report: outcomes on standard output, for people or as JSON.
 */
#ifndef CGIBRIDGE_REPORT_H
#define CGIBRIDGE_REPORT_H

#include "fcgiget/fcgiget_options.h"
#include "fcgiget/outcomes.h"

void report_text(const struct outcomes *t, const struct fcgiget_options *o);

/* One JSON object on one line; times are in seconds. */
void report_json(const struct outcomes *t, const struct fcgiget_options *o);

#endif
