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
says err "libhmm: used by 0 of 1 processes"
grep -q "not used" "$work/err" && fail "a process that did not use the library has a line"
expect 0 "$HMM" run --all -- ls /
says err "libhmm: ls["
# Several processes of which none uses the library: one line in all.
expect 0 "$HMM" run -- sh -c 'ls / >/dev/null; ls / >/dev/null; true'
says err "libhmm: used by 0 of"
[ "$(wc -l <"$work/err")" = 1 ] || fail "more than the summary: $(cat "$work/err")"
expect 0 "$HMM" run -- "$HMM" demo --seconds 0.1 --kind heap
says err "translations made"
says err "used by 1 of 1 processes"
# Where the lines go is known before the command runs, and what is lost is told.
expect 1 "$HMM" run -o "$work/nothing/x" -- touch "$work/ran"
[ -e "$work/ran" ] && fail "the command ran although its output cannot be written"
expect 0 "$HMM" run -o /dev/full -- true
says err "could not be written"
expect 3 "$HMM" run -- sh -c 'exit 3'
expect 143 "$HMM" run -- sh -c 'kill -TERM $$'
says err "no statistics"
expect 127 "$HMM" run -- "$work/nothing-here"
expect 126 "$HMM" run -- "$work"
expect 0 "$HMM" run -q -- true
[ -s "$work/err" ] && fail "--quiet is not quiet"
expect 0 "$HMM" run -o "$work/stats" -- true
[ -s "$work/err" ] && fail "--output still writes to stderr"
grep -q '^libhmm: used by 0 of 1' "$work/stats" || fail "--output wrote nothing"
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
