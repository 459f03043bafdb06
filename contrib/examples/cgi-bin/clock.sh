#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A stream: one line a second, each on its way as soon as it is written.
# clock.sh?3 ticks three times; five is the default and sixty the most.

case $QUERY_STRING in
[1-9] | [1-5][0-9] | 60) ticks=$QUERY_STRING ;;
*) ticks=5 ;;
esac

echo "Content-Type: text/plain"
echo "X-Accel-Buffering: no" # nginx: pass it on at once, whatever the configuration
echo

while [ "$ticks" -gt 0 ]; do
	date +%T
	ticks=$((ticks - 1))
	[ "$ticks" -eq 0 ] || sleep 1
done
