#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The smallest CGI script: a header, an empty line, the body.

echo "Content-Type: text/plain"
echo
echo "Hello from a shell script, to ${REMOTE_ADDR:-nobody} at $(date +%T)."
