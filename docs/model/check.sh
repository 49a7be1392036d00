#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Searches the model exhaustively and compares the outcome with what is expected.
#
#	check.sh MODEL holds [-Dswitch...]
#	check.sh MODEL 'what the violation says' [-Dswitch...]
set -eu

model=$(realpath "$1")
expected=$2
shift 2

for tool in spin cc; do
	command -v "$tool" >/dev/null || {
		echo "skip: $tool is not installed (apt-get install spin gcc)"
		exit 77
	}
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
spin "$@" -a "$model"
# What spin writes is not held to our warnings.
cc -O2 -w -DSAFETY -DCOLLAPSE -o pan pan.c
./pan -m1000000 >out
grep -E 'pan:1|errors:|states, stored|elapsed' out

if grep -q -e 'max search depth too small' -e 'out of memory' out; then
	echo "the search was not exhaustive"
	exit 1
fi
if [ "$expected" = holds ]; then
	if grep -q 'Search not completed' out || ! grep -q 'errors: 0$' out; then
		spin "$@" -t -p "$model" | tail -n 60
		exit 1
	fi
	# A model in which some step never happens proves less than it says.
	if sed -n '/^unreached in proctype/,/^unreached in init/p' out | grep 'state [0-9]' |
	   grep -v -e '"-end-"'; then
		echo "these steps are never taken"
		exit 1
	fi
elif ! grep -F "pan:1: $expected" out; then
	echo "expected to find: $expected"
	exit 1
fi
