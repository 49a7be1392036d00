#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What the shell tests of this folder share; they set "top" to the tree before.
set -eu
: "${top:?}"

skip()
{
	echo "skip: $*"
	exit 77
}

need()
{
	for tool in "$@"; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
}

# The project's own files, one a line, whether or not there is a git here.
tree_files()
{
	(cd "$top" && find . -path ./.git -prune -o -path './build*' -prune -o \
		-type d -name __pycache__ -prune -o -type f -print)
}
