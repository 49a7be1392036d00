#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Does `hmm run` run a command as it is, with the library in it, and report?
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
TMPDIR=$work/tmp
mkdir "$TMPDIR"
export TMPDIR
unset HMM_STATS

expect 0 "$HMM" run -- ls /
says out "etc"
says err "libhmm: ls["
expect 3 "$HMM" run -- sh -c 'exit 3'
expect 143 "$HMM" run -- sh -c 'kill -TERM $$'
says err "no statistics"
expect 127 "$HMM" run -- "$work/nothing-here"
expect 126 "$HMM" run -- "$work"
expect 0 "$HMM" run -q -- true
[ -s "$work/err" ] && fail "--quiet is not quiet"
expect 0 "$HMM" run -o "$work/stats" -- true
[ -s "$work/err" ] && fail "--output still writes to stderr"
grep -q '^libhmm: true\[' "$work/stats" || fail "--output wrote nothing"
# Options behind the command are the command's.
expect 0 "$HMM" run echo --output
says out "--output"
# A preload that is there already stays.
# shellcheck disable=SC2016
expect 0 env LD_PRELOAD=/nonexistent/other.so "$HMM" run -q -- sh -c 'echo "$LD_PRELOAD"'
says out "libhmm.so"
says out ":/nonexistent/other.so"
expect 0 env HMM_STATS="$work/own" "$HMM" run -- true
grep -q '^libhmm: true\[' "$work/own" || fail "HMM_STATS of the user's is not honoured"
[ -z "$(ls -A "$TMPDIR")" ] || fail "files are left: $(ls -A "$TMPDIR")"
finish
