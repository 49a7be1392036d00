#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Does the demo show stale data the usual way and none with libhmm, and clean up?
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
TMPDIR=$work/tmp
mkdir "$TMPDIR"
export TMPDIR

"$HMM" demo --seconds 1 --json >"$work/json" 2>"$work/err"
status=$?
if [ $status = 77 ]; then
	cat "$work/err"
	exit 77
fi
[ $status = 0 ] || fail "status $status: $(cat "$work/json" "$work/err")"
"$JSON_CHECK" 'libhmm_operations>0' libhmm_wrong=0 <"$work/json" || fail "with libhmm"
if grep -q '"usual": {' "$work/json" && grep -q '"usual_operations": 0,' "$work/json"; then
	echo "the usual way could not be run here"
else
	"$JSON_CHECK" 'usual_wrong>0' <"$work/json" || fail "the usual way shows nothing"
fi

# What is wrong comes from the changes, not from the way it is measured.
expect 0 "$HMM" demo --seconds 0.5 --still --json
"$JSON_CHECK" usual_wrong=0 libhmm_wrong=0 <"$work/out" || fail "wrong though nothing changed"

expect 0 "$HMM" demo --seconds 0.3 --kind anonymous --kind heap
plain out
plain err
says out "anonymous"
says out "heap (malloc)"
says out "With libhmm none of"
grep -q '^thread stack' "$work/out" && fail "a kind was shown that was not asked for"
[ -z "$(ls -A "$TMPDIR")" ] || fail "files are left: $(ls -A "$TMPDIR")"

finish
