#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# toy.sh HMM FILE.so: the driver in docs/driver.md is examples/toy.c, is short, and passes
# the conformance suite.
set -eu
here=$(dirname "$0")
fence=$(printf '\140\140\140')
shown=$(awk -v fence="$fence" '$0 == fence { on = 0 } on { print }
	$0 == fence "c toy.c" { on = 1 }' "$here/../docs/driver.md")
[ "$shown" = "$(cat "$here/toy.c")" ] || {
	echo "docs/driver.md shows another driver than examples/toy.c"
	exit 1
}
lines=$(wc -l <"$here/toy.c")
[ "$lines" -lt 150 ] || {
	echo "examples/toy.c has $lines lines; docs/driver.md says under 150"
	exit 1
}
out=$("$1" check --quiet --driver "$2" --device toy --kind anon,heap,file-shared,stack) || {
	echo "$out"
	exit 1
}
echo "$out" | tail -n 1
echo "$out" | grep -q '^[1-9][0-9]* cells: [1-9][0-9]* pass, 0 fail'
