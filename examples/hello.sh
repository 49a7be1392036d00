#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# hello.sh PROGRAM: the device copies, and after the unmapping says that nothing is there;
# and the README shows this very program.
set -eu
out=$("$1")
echo "$out"
echo "$out" | sed -n 1p | grep -qx 'hello, device'
echo "$out" | sed -n 2p | grep -q 'nothing is mapped at'
here=$(dirname "$0")
# shellcheck disable=SC2016  # the backticks are what is looked for
shown=$(sed -n '/^```c$/,/^```$/p' "$here/../README.md" | sed '1d;$d')
[ "$shown" = "$(cat "$here/hello.c")" ] || {
	echo "README.md shows another program than examples/hello.c"
	exit 1
}
