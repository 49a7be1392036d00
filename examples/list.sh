#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# list.sh PROGRAM: the device finds what the CPU finds, before and after half the nodes went.
set -eu
out=$("$1" 2000)
echo "$out"
# 1 + ... + 2000, then the even ones: every other node from the last one on.
[ "$out" = "the device walked 2000 nodes, sum 2001000
the device walked 1000 nodes, sum 1001000" ]
