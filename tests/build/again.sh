#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Builds the tree once more, with another compiler or under a sanitizer, and runs the unit
# tests there.
#
#	again.sh SOURCE FOLDER COMPILER MESON-OPTION "all"|"unit"
top=$1
folder=$2
compiler=$3
option=$4
what=$5
. "$top/tests/build/common.sh"
need meson ninja "$compiler"

# Kept from run to run, beside build/: only what changed is built.
build=$top/$folder
if [ ! -f "$build/build.ninja" ]; then
	# shellcheck disable=SC2086
	CC=$compiler meson setup "$build" "$top" $option >"$build.log" 2>&1 || {
		cat "$build.log"
		exit 1
	}
fi
rm -f "$build.log"
[ "$what" = unit ] || ninja -C "$build" -j "$(nproc)"

# A report ends the test, and what is found once must not be lost in a suppression.
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:abort_on_error=0
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:die_after_fork=0
meson test -C "$build" --suite unit --print-errorlogs --timeout-multiplier 5
