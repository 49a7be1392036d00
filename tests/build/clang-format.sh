#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Is every source file as clang-format lays it out?
top=$1
. "$top/tests/build/common.sh"
need clang-format

cd "$top"
# Golden trees are what they are.
tree_files | grep '\.[ch]$' | grep -v /golden/ | xargs clang-format --dry-run -Werror
