#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Are the shell scripts clean, and is ./run one that a plain POSIX shell takes?
top=$1
. "$top/tests/build/common.sh"
need shellcheck

cd "$top"
scripts=$(tree_files | while read -r file; do
	head -n 1 "$file" | grep -qE '^#!/(bin|usr/bin)/(env )?(ba)?sh' && echo "$file"
done || :)
# shellcheck disable=SC2086
shellcheck -S warning -x --source-path=SCRIPTDIR $scripts
if command -v dash >/dev/null; then
	dash -n run
fi
