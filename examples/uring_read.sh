#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Does uring_read read every byte of a file, whatever happens to its memory? Its sum beside
# one made without it.
program=$1
file=$(mktemp) || exit 1
trap 'rm -f "$file"' EXIT
head -c 300000 /dev/urandom >"$file"
want=$(od -An -v -tu1 "$file" | awk '{ for (i = 1; i <= NF; i++) sum += $i } END { print sum }')
said=$("$program" "$file")
status=$?
echo "$said"
[ $status -eq 0 ] || exit $status
case $said in
"300000 bytes, sum $want, 3 reads on fixed buffers, 0 plain") exit 0 ;;
esac
echo "wanted 300000 bytes, sum $want, 3 reads on fixed buffers"
exit 1
