#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Does every relative link of the documentation lead somewhere?
top=$1
. "$top/tests/build/common.sh"

cd "$top"
tree_files | grep '\.md$' | while read -r file; do
	grep -o '](\([^)#]*\)[^)]*)' "$file" | sed 's/^](//; s/[#)].*//' |
		while read -r link; do
			case $link in
			*:* | '') continue ;;
			esac
			[ -e "$(dirname "$file")/$link" ] || echo "$file: $link is not there"
		done
done >"${TMPDIR:-/tmp}/links.$$"
cat "${TMPDIR:-/tmp}/links.$$"
[ ! -s "${TMPDIR:-/tmp}/links.$$" ] || failed=1
rm -f "${TMPDIR:-/tmp}/links.$$"
exit "${failed:-0}"
