#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What does a scan of a kernel's source cost, beside a plain read of the same files?
#
# usage: bench.sh EXPORTGATE [TREE...]
# Without a TREE: those of fetch-linux.sh in the cache. Wall and processor seconds and the
# memory of each; on a loaded machine only the processor seconds say anything.
set -eu
tool=$1
shift
if [ $# -eq 0 ]; then
	top=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/exportgate/linux
	for dir in "$top"/*/; do
		[ ! -e "$dir/.complete" ] || set -- "$@" "${dir}src"
	done
fi
[ $# -gt 0 ] || {
	echo "skipped: no kernel here; tests/gate/fetch-linux.sh 6.1 6.12 7.2 gets them"
	exit 77
}
[ -x /usr/bin/time ] || {
	echo "skipped: /usr/bin/time is not installed (Debian: time)"
	exit 77
}
XDG_CACHE_HOME=$(mktemp -d)
export XDG_CACHE_HOME
trap 'rm -rf "$XDG_CACHE_HOME"' EXIT

# row NAME COMMAND...: the exit status says only what was found.
row() {
	name=$1
	shift
	/usr/bin/time -o "$XDG_CACHE_HOME/time" -f '%e %U %S %M' "$@" >/dev/null 2>&1 || :
	tail -n 1 "$XDG_CACHE_HOME/time" | {
		read -r wall user sys memory
		printf '%-34s %7.2f s  %7.2f s  %6d MiB\n' "$name" "$wall" \
			"$(echo "$user $sys" | awk '{ print $1 + $2 }')" "$((memory / 1024))"
	}
}

echo "$(nproc) processors, load $(cut -d ' ' -f 1-3 /proc/loadavg)"
for tree in "$@"; do
	echo "$tree"
	printf '%-34s %9s  %9s  %10s\n' "" wall processor memory
	# The first reads the files into the page cache.
	grep -rlw printk "$tree" >/dev/null 2>&1 || :
	! command -v rg >/dev/null || row "rg -w: a plain read for one word" rg -uu -w -c printk "$tree"
	row "grep -rw: the same" grep -rlw printk "$tree"
	row "full scan" "$tool" -n scan "$tree"
	row "scan that writes its cache" "$tool" scan "$tree"
	row "scan with its cache" "$tool" scan "$tree"
done
