#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Are the man pages well-formed?
top=$1
shift
. "$top/tests/build/common.sh"
need mandoc
mandoc -Tlint -W warning "$@"
echo "$# pages"
