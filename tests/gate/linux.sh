#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Is a kernel's source judged right, by what Debian built of it?
#
# usage: linux.sh EXPORTGATE
# Needs the trees of fetch-linux.sh in the cache; without them it is skipped.
set -u
tool=$1
top=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/exportgate/linux
seen=0
failed=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for dir in "$top"/*/; do
	[ -e "$dir/.complete" ] || continue
	seen=$((seen + 1))
	if "$tool" -n --stats scan --elf "$dir/modules" "$dir/src" >"$out" 2>&1; then
		echo "$(basename "$dir"): no symbol that a built module imports is unconsumed"
	else
		failed=$((failed + 1))
		echo "$(basename "$dir"):"
	fi
	cat "$out"
done
if [ $seen -eq 0 ]; then
	echo "skipped: no kernel in $top; tests/gate/fetch-linux.sh 6.1 6.12 7.2 gets them"
	exit 77
fi
echo "$((seen - failed)) passed, $failed failed"
[ $failed -eq 0 ]
