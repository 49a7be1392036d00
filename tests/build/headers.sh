#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Does every public header compile alone, in C and C++, with either compiler?
top=$1
. "$top/tests/build/common.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tried=0
failed=0

# headers_with COMPILER LANGUAGE STANDARD
headers_with()
{
	command -v "$1" >/dev/null || {
		echo "$1 is not installed: not tried"
		return 0
	}
	tried=$((tried + 1))
	for header in "$top"/include/hmm/*.h; do
		name=hmm/$(basename "$header")
		# Twice: the guard has to hold, too.
		printf '#include <%s>\n#include <%s>\n' "$name" "$name" >"$work/alone"
		# liburing.h itself does not compile without it.
		gnu=
		! grep -q "<liburing.h>" "$header" || gnu=-D_GNU_SOURCE
		"$1" -x "$2" -std="$3" ${gnu:+"$gnu"} -Wall -Wextra -Wpedantic -Werror -fsyntax-only \
			-I"$top/include" "$work/alone" || {
			echo "$name does not compile alone with $1 -std=$3"
			failed=1
		}
	done
}

headers_with gcc c c11
headers_with gcc c gnu17
headers_with clang c c11
headers_with g++ c++ c++11
headers_with g++ c++ c++20
headers_with clang++ c++ c++17
[ "$tried" -gt 0 ] || skip "no compiler under a name that is known here"
exit "$failed"
