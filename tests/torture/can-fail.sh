#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Can the torture fail? Runs the command given, and passes when it found a violation.
#
#	can-fail.sh [RULE,...] -- COMMAND...
#
# With rules, the command runs once for each, with that hard rule switched off.
set -u
rules=
if [ "$1" != -- ]; then
	rules=$(echo "$1" | tr , ' ')
	shift
fi
shift
log=$(mktemp) || exit 99
trap 'rm -f "$log"' EXIT

expect() {
	what=$1
	shift
	"$@" >"$log" 2>&1
	status=$?
	if [ $status -eq 77 ]; then
		cat "$log"
		exit 77
	fi
	if [ $status -ne 1 ] || ! grep -q '^VIOLATION' "$log"; then
		echo "FAIL: $what: exit status $status, and no violation reported"
		cat "$log"
		exit 1
	fi
	echo "ok: $what: $(grep -m 1 '^VIOLATION' "$log")"
	grep '^changes' "$log"
}

if [ -z "$rules" ]; then
	expect "the usual way" "$@"
	exit 0
fi
for rule in $rules; do
	HMM_DEBUG_RULES_OFF=$rule
	export HMM_DEBUG_RULES_OFF
	expect "rule $rule off" "$@"
done
