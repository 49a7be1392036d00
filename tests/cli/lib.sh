# shellcheck shell=sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the shell tests of the command share. Sourced; $HMM and $JSON_CHECK are set.
set -u
: "${HMM:?the hmm command}" "${JSON_CHECK:?the JSON checker}"
ESCAPE=$(printf '\033')
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
	echo "FAIL: $*"
	failures=$((failures + 1))
}

# expect STATUS COMMAND...: its output is in $work/out and $work/err
expect() {
	want=$1
	shift
	timeout 120 "$@" >"$work/out" 2>"$work/err" </dev/null
	got=$?
	[ "$got" = "$want" ] && return
	fail "status $got instead of $want: $*"
	sed 's/^/    /' "$work/out" "$work/err"
}

says() { # FILE TEXT
	grep -qF -- "$2" "$work/$1" || fail "$1 of the last command does not say: $2"
}

plain() { # FILE
	! grep -qF "$ESCAPE" "$work/$1" || fail "$1 of the last command has escape sequences"
}

finish() {
	[ "$failures" = 0 ] && exit 0
	exit 1
}
