#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Is what a comment cites there? The hard rules by their numbers, in docs/architecture.md; and
# sections, cited as docs/FILE.md, "Title".
top=$1
. "$top/tests/build/common.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

have=$(sed -n '/^## The hard rules/,/^## Locks/s/^\([0-9][0-9]*\)\. .*/\1/p' \
	"$top/docs/architecture.md")
[ "$(echo "$have" | wc -l)" -ge 10 ] || {
	echo "docs/architecture.md lists no hard rules"
	exit 1
}
cited=$(cd "$top" && grep -rhoE --exclude-dir=golden \
	'\<[Rr]ules? [0-9]+((, | and )[0-9]+)*' src kit cli drivers include tests docs |
	grep -oE '[0-9]+' | sort -nu)
status=0
for rule in $cited; do
	echo "$have" | grep -qx "$rule" || {
		echo "rule $rule is cited, and docs/architecture.md has none of that number"
		status=1
	}
done
cd "$top"
grep -rhoE 'docs/[a-z-]+\.md, "[^"]+"' src kit cli drivers include | sort -u >"$work/titles"
while read -r line; do
	file=${line%%,*}
	title=${line#*\"}
	grep -qx "#* ${title%\"}" "$file" || {
		echo "$file has no section \"${title%\"}\", which is cited"
		status=1
	}
done <"$work/titles"
[ -s "$work/titles" ] || status=1
echo "rules cited: $(echo "$cited" | tr '\n' ' ')"
exit $status
