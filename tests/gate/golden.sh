#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Does exportgate report of each small tree what is right for it?
#
# usage: golden.sh EXPORTGATE GOLDEN-FOLDER [--update]
# Each folder is one construct: a tree, and beside it NAME.expected with the whole report.
set -u
tool=$1
dir=$2
export EXPORTGATE_TODAY=2026-06-01
failed=0
count=0
out=$(mktemp) || exit 3
trap 'rm -f "$out"' EXIT
cd "$dir" || exit 3
for tree in */; do
	name=${tree%/}
	{
		"$tool" -n -a scan "$name"
		echo "--- check"
		"$tool" -n check "$name" 2>&1
		echo "exit $?"
	} >"$out" 2>&1
	[ "${3:-}" != --update ] || cp "$out" "$name.expected"
	count=$((count + 1))
	if ! diff -u "$name.expected" "$out"; then
		echo "golden: $name differs"
		failed=$((failed + 1))
	fi
done
[ $count -gt 15 ] || { echo "golden: only $count trees found in $dir"; exit 1; }
echo "$((count - failed)) passed, $failed failed"
[ $failed -eq 0 ]
