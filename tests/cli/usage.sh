#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Does every subcommand explain itself, refuse what it does not know, and appear with all
# its options in the man page?
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
man=$1

expect 0 "$HMM" --help
says out "Usage: hmm"
plain out
subcommands=$(sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p' "$work/out" | grep -v '^help$')
[ -n "$subcommands" ] || fail "no subcommands in the help"
expect 0 "$HMM" --version
says out "hmm "
expect 2 "$HMM"
says err "Usage: hmm"
expect 2 "$HMM" --nonsense
says err "unknown option"
expect 2 "$HMM" nonsense
says err "no subcommand"
expect 2 "$HMM" help nonsense
expect 2 "$HMM" help demo info

for name in $subcommands; do
	expect 0 "$HMM" "$name" --help
	says out "Usage: hmm $name"
	plain out
	cp "$work/out" "$work/help"
	expect 0 "$HMM" help "$name"
	cmp -s "$work/out" "$work/help" || fail "help $name differs from $name --help"
	expect 2 "$HMM" "$name" --nonsense
	says err "nonsense"
	plain err
	grep -q "^\.SS hmm $name" "$man" || fail "hmm(1) has no section on $name"
	grep -o -- '--[a-z][a-z-]*' "$work/help" | sort -u >"$work/options"
	while read -r option; do
		sed 's/\\-/-/g' "$man" | grep -qF -- "$option" ||
			fail "hmm(1) does not mention $option of $name"
	done <"$work/options"
done

expect 2 "$HMM" info surplus
expect 2 "$HMM" demo surplus
expect 2 "$HMM" demo --seconds zero
expect 2 "$HMM" demo --seconds 0
expect 2 "$HMM" demo --seconds -1
expect 2 "$HMM" demo --kind nonsense
says err "no kind of memory 'nonsense'"
expect 2 "$HMM" run
# What gets lost is told.
"$HMM" info >/dev/full 2>"$work/err"
[ $? = 1 ] || fail "hmm info > /dev/full is no failure"
says err "could not be written"
# Too few descriptors: a sentence, not silence.
if command -v prlimit >/dev/null; then
	expect 1 prlimit --nofile=12 "$HMM" demo --seconds 0.1
	[ -s "$work/err" ] || fail "hmm demo with 12 descriptors says nothing"
fi
# Lists add up, and a name that there is not is refused.
expect 2 "$HMM" check -q --only Y3 --only nonsense
says err "no 'nonsense'"
expect 2 "$HMM" check -q --kind anon,nonsense
says err "no 'nonsense'"
expect 2 "$HMM" check -q --device nonsense
expect 2 "$HMM" check -q --dir "$work/nothing-here"
says err "nothing-here"
expect 0 "$HMM" check -q -v --brief --device ref --kind anon --change dontneed --change munmap
says out "munmap"
says out "dontneed"
finish
