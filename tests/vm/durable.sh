#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Is what a device wrote in the file after its file system was unmounted and mounted again?
#
#	durable.sh PROGRAM [DIR...]	(default: HMM_DAX_EXT4, HMM_DAX_XFS, HMM_DISK)
#
# A DIR that is where a file system is mounted is unmounted in between: root's business, in
# a virtual machine. Elsewhere the files are closed and opened again only, and it says so.
set -eu
program=$1
shift
[ $# -gt 0 ] || set -- ${HMM_DAX_EXT4:-} ${HMM_DAX_XFS:-} ${HMM_DISK:-}
[ $# -gt 0 ] || {
	echo "skipped: no directory (HMM_DAX_EXT4, HMM_DAX_XFS, HMM_DISK): ./run lab has some"
	exit 77
}

# What is mounted there: source, type, options. Nothing where it is no mount point.
mounted()
{
	awk -v dir="$1" '$2 == dir {found = $1 " " $3 " " $4} END {print found}' /proc/self/mounts
}

again()
{
	dir=$1
	# shellcheck disable=SC2046
	set -- $(mounted "$dir")
	if [ $# -lt 3 ] || [ "$2" = tmpfs ] || [ "$(id -u)" != 0 ]; then
		echo "$dir: stays mounted"
		return 0
	fi
	umount "$dir"
	mount -t "$2" -o "$3" "$1" "$dir"
	echo "$dir: mounted again ($2, $3)"
}

status=0
for dir; do
	"$program" write "$dir" || status=1
	again "$dir" || status=1
	"$program" verify "$dir" || status=1
done
exit $status
