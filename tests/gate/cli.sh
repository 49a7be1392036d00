#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Does the command line keep what the manual says: help, exit status, errors, cache?
#
# usage: cli.sh EXPORTGATE SOURCE-TREE
set -eu
tool=$1
golden=$2/tests/golden
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export XDG_CACHE_HOME="$tmp/cache" EXPORTGATE_TODAY=2026-06-01
cd "$tmp"
fail() {
	echo "cli: $*" >&2
	cat out >&2 || :
	exit 1
}
want() { # status pattern command...
	expected=$1
	pattern=$2
	shift 2
	status=0
	"$tool" "$@" >out 2>&1 || status=$?
	[ $status -eq "$expected" ] || fail "'$*' gave exit status $status, not $expected"
	grep -q -e "$pattern" out || fail "'$*' does not say '$pattern'"
}

want 0 '^usage: exportgate' --help
want 0 '^exportgate [0-9]' --version
want 2 'a command is missing'
want 2 'unknown command' frobnicate
want 2 'unknown option' scan --frobnicate
want 2 'needs one TREE' scan
want 2 'needs a SYMBOL' explain
want 2 'needs one RANGE' series
want 3 'cannot open tree' scan /nonexistent
want 3 'is no release' history 6.1
want 1 'error: consumed: unused' check "$golden/call"
want 0 '0 failures' check "$golden/address"
want 1 '"symbol": "unused"' scan --json "$golden/call"
want 1 '"ruleId": "consumed"' check --sarif "$golden/call"
want 0 'used by drv/user\|drv/user.c:[0-9]*  in drv/user' explain used "$golden/call"
want 0 'through CORE_TWICE (include/linux/core.h:[0-9]*)' explain by_macro "$golden/header"
want 0 'drv/b.c:[0-9]*  in its own module' explain inner "$golden/composite"
want 1 'is no export' explain nothing "$golden/call"

# A policy with an error is refused, with its line.
cp -r "$golden/call" tree
printf '[rules]\nconsumed = maybe\n' >tree/.exportgate
want 3 '.exportgate:2: a rule is on, off or warn' check tree
printf '[rules]\nconsumed = warn\n' >tree/.exportgate
want 0 'warning: consumed: unused' check tree

# The cache gives the same report, sees a change, and may be damaged.
want 0 'unused' scan -a tree
cp out first
want 0 'unused' scan -a --stats tree
grep -q ' 0 read' out || fail "the second scan read files"
grep -v '^scan:' out >second
cmp -s first second || fail "the cache changes the report"
printf 'int z(void) { return unused(2); }\n' >>tree/drv/user.c
want 0 '0 without consumer' scan -a --stats tree
grep -q ' 1 read' out || fail "not just the changed file was read"
for f in "$XDG_CACHE_HOME"/exportgate/*.facts; do
	head -c 5000 "$f" >x && mv x "$f"
done
want 0 '0 without consumer' scan -a tree
for f in "$XDG_CACHE_HOME"/exportgate/*.facts; do
	printf 'garbage' | dd of="$f" bs=1 seek=40 conv=notrunc 2>/dev/null
done
want 0 '0 without consumer' scan -a tree
# One bit of it that is another one changes no report: a sum stands over every part.
rm -rf "$XDG_CACHE_HOME"/exportgate
want 0 '0 without consumer' scan -a tree
cp out first
f=$(ls "$XDG_CACHE_HOME"/exportgate/*.facts)
cp "$f" whole
size=$(wc -c <whole)
at=88
while [ "$at" -lt "$size" ]; do
	cp whole "$f"
	byte=$(od -An -tu1 -j "$at" -N 1 whole)
	printf "\\$(printf %o $((byte ^ 4)))" | dd of="$f" bs=1 seek="$at" conv=notrunc 2>/dev/null
	rm -f "$XDG_CACHE_HOME"/exportgate/*.linked
	want 0 '0 without consumer' scan -a tree
	cmp -s first out || fail "byte $at of the facts is damaged and the report another one"
	at=$((at + 61))
done

# What a scan that was killed left of them is written over, and goes with the next.
for f in "$XDG_CACHE_HOME"/exportgate/*.facts; do
	printf 'garbage' >"$f.new"
	rm "$f"
done
printf 'int x(void) { return unused(4); }\n' >>tree/drv/user.c
want 0 '0 without consumer' scan -a tree
cp out first
f=$(ls "$XDG_CACHE_HOME"/exportgate/*.facts)
[ -e "$f" ] || fail "no facts were kept"
[ -e "$f.new" ] && fail "an unfinished file stays"
rm -f "$XDG_CACHE_HOME"/exportgate/*.new
# One that another scan is writing is left to it.
printf 'int y(void) { return unused(3); }\n' >>tree/drv/user.c
cp "$f" x
flock "$f.new" "$tool" scan -a tree >out 2>err || fail "two scans at a time"
cmp -s first out || fail "beside another scan the report is another one"
[ -s err ] && fail "a scan beside another warns"
cmp -s "$f" x || fail "a scan writes what another is writing"
rm "$f.new"

# What was found out as a whole holds until any file changes, a makefile too.
want 0 '0 without consumer' scan -a tree
cp out first
ls "$XDG_CACHE_HOME"/exportgate/*.linked >/dev/null || fail "nothing was kept as a whole"
want 0 '0 without consumer' scan -a tree
cmp -s first out || fail "the kept report is another one"
cp tree/drv/Makefile makefile
printf 'obj-m += one.o\none-y := core.o user.o\n' >tree/drv/Makefile
want 0 '2 without consumer' scan -a tree
cp makefile tree/drv/Makefile
want 0 '0 without consumer' scan -a tree
for f in "$XDG_CACHE_HOME"/exportgate/*.linked; do
	printf 'garbage' | dd of="$f" bs=1 seek=200 conv=notrunc 2>/dev/null
done
want 0 '0 without consumer' scan -a tree

# A waiver holds until a date or a release, and not for ever.
cp -r "$golden/call" waived
for end in never 2020-1-1 'when it is done' 01.01.2020; do
	printf 'symbol: unused\nreason: r\nowner: o\nexpires: %s\n' "$end" >waived/.exportgate-waivers
	want 1 'error: consumed: unused' check waived
done
for end in 2027-01-01 v9.1 9.1; do
	printf 'symbol: unused\nreason: r\nowner: o\nexpires: %s\n' "$end" >waived/.exportgate-waivers
	want 0 '0 failures' check waived
done

# Releases as folders, and the report in HTML.
cp -r "$golden/call" r1
cp -r r1 r2
printf 'int later;\nEXPORT_SYMBOL_GPL(later);\n' >>r2/drv/core.c
cp -r r2 r3
want 0 '^later *2 *never *.--' history -a --html h.html 1=r1 2=r2 3=r3
grep -q 'later' h.html || fail "the HTML report lacks what is due"
want 1 'later: added in 2 ' due 1=r1 2=r2 3=r3
# What cannot be read or is not there is no clean bill.
mkdir nothing
want 3 'no source that exportgate reads' check nothing
want 3 'cannot open tree' scan tree/Kconfig
if [ "$(id -u)" != 0 ]; then
	chmod 000 r1/drv/user.c
	want 3 'cannot read r1/drv/user.c' check r1
	chmod 644 r1/drv/user.c
fi
if command -v git >/dev/null; then
	git init -q deep
	git -C deep -c user.name=a -c user.email=a@b commit -q --allow-empty -m one
	cp -r "$golden/call/." deep
	git -C deep add -A
	git -C deep -c user.name=a -c user.email=a@b commit -q -m two
	git -C deep tag v1
	git clone -q --depth 1 "file://$PWD/deep" shallow 2>/dev/null
	want 0 'shallow is a shallow clone' -C shallow history
fi
echo "cli: as the manual says"
