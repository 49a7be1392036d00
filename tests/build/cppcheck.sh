#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Does cppcheck find nothing? What it is told to overlook is in cppcheck.suppress, with why.
top=$1
build=$2
. "$top/tests/build/common.sh"
need cppcheck

cd "$top"
parts=
for part in src drivers cli include gate; do
	[ -d "$part" ] && parts="$parts $part"
done
mkdir -p "$build/cppcheck"
# The trees of libbsd are made by macros whose header it does not read.
# shellcheck disable=SC2086
cppcheck --enable=warning,performance,portability --std=c11 --quiet -j "$(nproc)" \
	--error-exitcode=1 --inline-suppr --cppcheck-build-dir="$build/cppcheck" \
	--suppressions-list=tests/build/cppcheck.suppress -D_GNU_SOURCE -D__x86_64__ -D__linux__ \
	"-DRB_PROTOTYPE_INTERNAL(a,b,c,d,e)=" "-DRB_GENERATE_INTERNAL(a,b,c,d,e)=" \
	-I include -I src -I gate $parts
