#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# card.sh HMM FILE.so: a driver for a card in another process is short, and passes the
# conformance suite, reaching the program or staging all. ALL=1: every kind of memory.
set -eu
lines=$(wc -l <"$(dirname "$0")/driver.c")
[ "$lines" -lt 200 ] || {
	echo "examples/card/driver.c has $lines lines"
	exit 1
}
what="--kind anon,file-shared --device card,card-stage"
[ -z "${ALL-}" ] || what="--device card,card-stage"
# shellcheck disable=SC2086
out=$("$1" check --quiet --driver "$2" $what) || {
	echo "$out"
	exit 1
}
out2=$("$1" check --quiet --driver "$2" --device card,card-stage \
	--only old-address,hold,in-flight,limits,progress) || {
	echo "$out2"
	exit 1
}
echo "$out" | tail -n 1
echo "$out2" | tail -n 1
