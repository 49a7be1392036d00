#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Does `hmm info` tell people and programs what there is?
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

expect 0 "$HMM" info
says out "userfaultfd"
says out "Drivers:"
plain out
# For whatever is not on there is a reason.
grep -q ' missing  \| off  ' "$work/out" && says out "why, and how to get it"

expect 0 "$HMM" info --json
"$JSON_CHECK" version kernel features <"$work/out" || fail "the JSON of info"

# Colours on a terminal only, and not where NO_COLOR is set.
if command -v script >/dev/null; then
	TERM=xterm script -qec "'$HMM' info" /dev/null >"$work/tty" </dev/null
	grep -qF "$ESCAPE" "$work/tty" || fail "no colours on a terminal"
	TERM=xterm NO_COLOR=1 script -qec "'$HMM' info" /dev/null >"$work/tty" </dev/null
	plain tty
	TERM=dumb script -qec "'$HMM' info" /dev/null >"$work/tty" </dev/null
	plain tty
fi
finish
